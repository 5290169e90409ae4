"""What `rnn`, `lstm` and `gru` share: the order of the steps, sequences of unlike lengths, and the
two products that every step makes.

A batch has T steps and N sequences, x (T, N, I). Sequence n has `lengths[n]` steps (all have T
where lengths is None); what follows is padding. A padded step hands the state through unchanged, so
that the last state is that of each sequence's own end, and it gets no gradient; what stands in it,
even NaN, changes nothing. With `reverse` the steps run from the last to the first: the padding then
comes first, hands the initial state through, and each sequence starts at its own end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.errors import ShapeError

Lengths = tuple[int, ...] | None


def check(
    gates: int,
    x: Any,
    states: Sequence[Any],
    W_ih: Any,
    W_hh: Any,
    b: Sequence[Any],
    lengths: Lengths,
    W_hr: Any = None,
) -> None:
    """Raise ShapeError unless the sizes fit: weights and biases have `gates` blocks of H rows. The
    first state, h, has H entries, or as many as `W_hr` has rows.
    """
    H = W_ih.shape[0] // gates if W_ih.ndim else 0
    P = H if W_hr is None or not W_hr.ndim else W_hr.shape[0]
    found = [v.shape for v in (*states, W_ih, W_hh, *b)]
    if (
        x.ndim != 3
        or len(b) not in (0, 2)
        or found
        != [
            *((x.shape[1], size) for size in (P, H)[: len(states)]),
            (gates * H, x.shape[2]),
            (gates * H, P),
            *((gates * H,) for _ in b),
        ]
        or (W_hr is not None and W_hr.shape != (P, H))
    ):
        rows = "H" if gates == 1 else f"{gates}H"
        raise ShapeError(
            "the sizes do not fit",
            expected=f"x (T, N, I), each state (N, H), W_ih ({rows}, I), W_hh ({rows}, H), "
            f"two biases ({rows},) or none"
            + (f"; with W_hr (P, H), h (N, P) and W_hh ({rows}, P)" if gates == 4 else ""),
        )
    if not x.shape[0]:
        raise ShapeError("a sequence has at least one step")
    if lengths is not None and (
        len(lengths) != x.shape[1] or not all(0 <= n <= x.shape[0] for n in lengths)
    ):
        raise ShapeError(
            "the lengths do not fit",
            expected=f"{x.shape[1]} whole numbers from 0 to {x.shape[0]}",
            got=f"{lengths}",
        )


def steps(T: int, reverse: bool) -> range:
    """The steps 0 … T − 1 in the order in which they run.

    >>> list(steps(3, False)), list(steps(3, True))
    ([0, 1, 2], [2, 1, 0])
    """
    return range(T)[::-1] if reverse else range(T)


def running(x: Any, lengths: Lengths) -> tuple[Any, Any]:
    """x with zeros for its padding, since 0 times a NaN that stands there is NaN; and (T, N, 1):
    whether sequence n has a step t. x itself and None where all have T steps.

    >>> x, runs = running(np.array([[[1.0], [2.0]], [[3.0], [np.nan]]]), (2, 1))
    >>> x[:, :, 0], runs[:, :, 0].astype(int)
    (array([[1., 2.],
           [3., 0.]]), array([[1, 1],
           [1, 0]]))
    """
    if lengths is None:
        return x, None
    runs = np.zeros((*x.shape[:2], 1), bool, like=x)
    for n, length in enumerate(lengths):
        runs[:length, n] = True
    return np.where(runs, x, 0), runs


def chosen(runs: Any, new: Any, old: Any) -> Any:
    """`new` where a sequence is running, `old` where it is padded."""
    return new if runs is None else np.where(runs, new, old)


def room(first: Any, T: int, reverse: bool) -> tuple[Any, Any]:
    """Room y for the states of T steps, and `before` with before[t] the state that step t starts
    from. Both are views of one array (T + 1, N, H), the initial state at its beginning, or at its
    end where the steps run backwards.
    """
    kept = np.empty((T + 1, *first.shape), first.dtype, like=first)
    kept[T if reverse else 0] = first
    early, late = kept[:-1], kept[1:]
    return (early, late) if reverse else (late, early)


def rows(x: Any) -> Any:
    """All steps of all sequences under each other: (T, N, k) -> (T N, k)."""
    return np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def from_inputs(x: Any, W_ih: Any, b: Sequence[Any]) -> Any:
    """x_t W_ihᵀ + Σ b for all steps in one product: no step's input depends on another's."""
    p = np.matmul(rows(x), np.swapaxes(W_ih, 0, 1))
    if b:
        p += sum(b)
    return np.reshape(p, (*x.shape[:2], W_ih.shape[0]))


def to_weights(
    dp: Any, dq: Any, x: Any, before: Any, W_ih: Any, biased: bool, needs: Sequence[bool]
) -> tuple[Any, list[Any]]:
    """x̄ and the gradients of W_ih, W_hh and, if there are any, b_ih and b_hh, from those of
    p_t = W_ih x_t + b_ih and q_t = W_hh h_{t−1} + b_hh. Each sum over all t is one product:

        x̄_t = W_ihᵀ p̄_t    W̄_ih = Σ_t p̄_t x_tᵀ    W̄_hh = Σ_t q̄_t h_{t−1}ᵀ    b̄ = Σ_t p̄_t, Σ_t q̄_t

    `needs` says for x and then for each of the others whether it is wanted.
    """
    P, Q = rows(dp), rows(dq)
    dx = np.reshape(np.matmul(P, W_ih), x.shape) if needs[0] else None
    found = [
        np.matmul(np.swapaxes(P, 0, 1), rows(x)) if needs[1] else None,
        np.matmul(np.swapaxes(Q, 0, 1), rows(before)) if needs[2] else None,
    ]
    if biased:
        found += [np.sum(P, axis=0) if needs[3] else None, np.sum(Q, axis=0) if needs[4] else None]
    return dx, found
