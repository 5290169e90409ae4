"""Arguments for attention and rotary positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.check.samples.draw import Draw, Sample, Shape

_NONE = np.array(True)  # a mask that allows everything


def _attention(draw: Draw) -> Sample:
    """Leading axes that broadcast; masks of every kind, some with rows that allow nothing."""
    lead = draw.choice(((), (2,), (1, 2), (), (0,)))
    L, S = draw.choice((2, 3, 1, 2, 0)), draw.choice((3, 2, 1))
    E, Ev = draw.choice((2, 1)), draw.choice((1, 2))
    q, k, v = (
        draw.uniform((*draw.broadcastable(lead), *last)) for last in ((L, E), (S, E), (S, Ev))
    )
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in (q, k, v)))
    scores = (*batch, L, S)
    mask = _mask(draw, scores)
    kept = draw.uniform(draw.choice((scores, draw.broadcastable(scores)))) > -1
    kept = draw.choice((kept, kept, _NONE))
    return [q, k, v, mask, kept], {
        "is_causal": draw.choice((False, True)),
        "scale": draw.choice((None, 0.7, -0.5)),
        "p": draw.choice((0.0, 0.5, 0.2)),
    }


def _mask(draw: Draw, scores: Shape) -> np.ndarray[Any, Any]:
    shape = draw.broadcastable(scores)
    kind = draw.choice(("none", "booleans", "floats", "floats"))
    if kind == "none":
        return _NONE
    if kind == "booleans":
        return np.asarray(draw.uniform(shape) > -0.5)
    return draw.uniform(shape)


def _rotary(draw: Draw) -> Sample:
    shape = (*draw.shape(0, 2), draw.choice((2, 4, 2)))
    of_one = shape[draw.integer(0, len(shape) - 1) : -1]
    return [draw.uniform(shape), draw.uniform((*of_one, shape[-1] // 2))], {}


SAMPLERS: dict[str, Callable[[Draw], Sample]] = {"attention": _attention, "rotary": _rotary}
