"""Arguments for the recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tinynet.check.samples.draw import Draw, Sample


def _sequence(gates: int, states: int, draw: Draw) -> Sample:
    """A batch of up to two sequences of one to three steps, of one length or of several."""
    T, N = draw.choice((2, 3, 1)), draw.choice((1, 2, 0))
    # Small: differences visit every weight.
    inputs, H = draw.choice(((1, 1), (1, 1), (1, 1), (2, 1), (1, 2)))
    P = draw.choice((0, 0, 1, 2)) if states > 1 else 0  # 0: the h's are not projected
    shapes = [(T, N, inputs), (N, P or H), (N, H)][: 1 + states]
    shapes += [(gates * H, inputs), (gates * H, P or H)]
    if draw.choice((True, False)):
        shapes += [(gates * H,)] * 2
    if P:
        shapes.append((P, H))
    lengths = (draw.integer(0, T - 1), T)[:N]  # the first is padded, the second not
    arrays: list[Any] = [draw.uniform(shape, -1.0, 1.0) for shape in shapes]
    return arrays, {
        "lengths": draw.choice((lengths, lengths, None)),
        "reverse": draw.choice((False, True)),
    }


def _rnn(draw: Draw) -> Sample:
    inputs, options = _sequence(1, 1, draw)
    return inputs, {**options, "nonlinearity": draw.choice(("tanh", "relu"))}


SAMPLERS: dict[str, Callable[[Draw], Sample]] = {
    "rnn": _rnn,
    "lstm": partial(_sequence, 4, 2),
    "gru": partial(_sequence, 3, 1),
}
