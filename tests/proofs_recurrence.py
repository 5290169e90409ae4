"""The recurrent layers: fixed arguments, and PyTorch's twins."""

from __future__ import annotations

from typing import Any

from proof_cases import case, normal

from tinynet.derivations import gru, lstm, rnn

PROOFS = (rnn, lstm, gru)
_GATES = {rnn: 1, lstm: 4, gru: 3}


def _case(
    proof: Any,
    T: int,
    N: int,
    inputs: int,
    H: int,
    biased: bool = True,
    projected: int = 0,
    **options: Any,
) -> Any:
    rows, P = _GATES[proof] * H, projected or H
    states = [normal(N, P), normal(N, H)] if proof is lstm else [normal(N, H)]
    biases = [normal(rows), normal(rows)] if biased else []
    weights = [normal(rows, inputs), normal(rows, P), *biases]
    weights += [normal(P, H)] if projected else []
    return case(proof, normal(T, N, inputs), *states, *weights, **options)


CASES = [
    made
    for proof in PROOFS
    for made in (
        _case(proof, 3, 2, 3, 2),
        _case(proof, 3, 2, 3, 2, biased=False),
        _case(proof, 4, 2, 2, 3, reverse=True),
        _case(proof, 3, 3, 2, 2, lengths=(2, 3, 1)),
        _case(proof, 3, 3, 2, 2, lengths=(0, 2, 3), reverse=True),
        _case(proof, 1, 2, 3, 2),
        _case(proof, 5, 1, 1, 1),
        _case(proof, 2, 0, 3, 2),
    )
]
CASES += [
    _case(rnn, 3, 2, 3, 2, nonlinearity="relu"),
    _case(rnn, 3, 2, 3, 2, nonlinearity="relu", lengths=(3, 1), reverse=True),
    _case(lstm, 3, 2, 2, 3, projected=2),
    _case(lstm, 3, 2, 1, 3, projected=1, biased=False, reverse=True),
    _case(lstm, 3, 3, 1, 2, projected=1, lengths=(0, 2, 3)),
    _case(lstm, 3, 2, 1, 2, projected=1, lengths=(3, 1), reverse=True),
    _case(lstm, 2, 2, 1, 2, projected=3),  # no layer has this, the formula does
]


def _alone(torch: Any, run: Any, states: int) -> Any:
    """PyTorch's function of one layer, applied to each sequence without its padding."""

    def twin(x: Any, *rest: Any, lengths: Any = None, reverse: bool = False, **options: Any) -> Any:
        first, weights = rest[:states], rest[states:]
        touched = 0 * sum(v.sum() for v in (x, *weights))  # in an empty batch nothing is
        found = [(torch.cat(first, 1) + touched).expand(len(x), -1, -1)[:, :0]]
        for n in range(x.shape[1]):
            last = x.shape[0] if lengths is None else lengths[n]
            state, steps = [h[n : n + 1] for h in first], {}
            for t in sorted(range(x.shape[0]), reverse=reverse):
                if t < last:
                    hx = [h[None] for h in state]
                    hx = hx if states > 1 else hx[0]
                    args = (weights, len(weights) > 3, 1, 0.0, True, False, False)
                    _, *new = run(x[t : t + 1, n : n + 1], hx, *args, **options)
                    state = [h[0] for h in new]
                steps[t] = torch.cat(state, 1)
            found.append(torch.stack([steps[t] for t in range(x.shape[0])]))
        return torch.cat(found, dim=1)

    return twin


def peers(torch: Any) -> dict[str, Any]:
    """PyTorch's function for each op."""

    def rnn_(*args: Any, nonlinearity: str = "tanh") -> Any:
        return (torch.rnn_tanh if nonlinearity == "tanh" else torch.rnn_relu)(*args)

    return {
        "rnn": _alone(torch, rnn_, 1),
        "lstm": _alone(torch, torch.lstm, 2),
        "gru": _alone(torch, torch.gru, 1),
    }
