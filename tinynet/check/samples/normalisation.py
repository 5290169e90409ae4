"""Arguments for the derivations of normalisation, of embedding and of matrix factorisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.check.samples.draw import Draw, Sample, Shape

_EPS = (1e-5, 0.1, 2.0)  # large ones too: with a small one, where it stands is hardly seen


def _affine(draw: Draw, shape: Shape, most: int = 2) -> list[Any]:
    """No weight, a weight, or weight and bias."""
    return [draw.uniform(shape) for _ in range(draw.choice((most, most, 1, 0)))]


def _values(draw: Draw, shape: Shape) -> Any:
    """Numbers of which no two are close, about a mean that is not 0."""
    return draw.spread(shape) + draw.integer(-1, 2)


def _positions(draw: Draw) -> Shape:
    return draw.choice(((), (2,), (1, 2), (3,), (0,)))


def _batch_norm(draw: Draw) -> Sample:
    shape = (draw.choice((3, 2, 4, 0)), draw.choice((2, 1)), *_positions(draw))
    return [_values(draw, shape), *_affine(draw, shape[1:2])], {"eps": draw.choice(_EPS)}


def _over_last_axes(draw: Draw, most: int) -> Sample:
    last, lead = (
        draw.choice(((3,), (2,), (2, 2), (4,), (1,))),
        draw.choice(((2,), (), (1, 2), (0,))),
    )
    inputs = [_values(draw, (*lead, *last)), *_affine(draw, last, most)]
    return inputs, {"dims": len(last), "eps": draw.choice(_EPS)}


def _group_norm(draw: Draw) -> Sample:
    groups, size = draw.choice(((2, 2), (1, 2), (2, 1), (1, 3)))
    shape = (draw.choice((2, 1, 0)), groups * size, *_positions(draw))
    inputs = [_values(draw, shape), *_affine(draw, shape[1:2])]
    return inputs, {"groups": groups, "eps": draw.choice(_EPS)}


def _ids(draw: Draw, shape: Shape, rows: int) -> Any:
    return np.asarray(draw.rng.integers(0, rows, shape))


def _embedding(draw: Draw) -> Sample:
    rows = draw.choice((3, 1, 2, 4))
    return [_ids(draw, draw.shape(0, 2), rows), draw.uniform((rows, draw.choice((2, 1, 3))))], {}


def _matrix_factorisation(draw: Draw) -> Sample:
    users, items, d = draw.integer(1, 3), draw.integer(1, 3), draw.choice((2, 1))
    n = draw.choice((4, 1, 2, 0))
    table = [draw.uniform(shape) for shape in ((users, d), (items, d), (users,), (items,))]
    ids = [_ids(draw, (n,), users), _ids(draw, (n,), items)]
    return [*table, *ids], {"mean": draw.choice((0.0, 3.5))}


SAMPLERS: dict[str, Callable[[Draw], Sample]] = {
    "batch_norm": _batch_norm,
    "layer_norm": lambda draw: _over_last_axes(draw, 2),
    "group_norm": _group_norm,
    "rms_norm": lambda draw: _over_last_axes(draw, 1),
    "embedding": _embedding,
    "matrix_factorisation": _matrix_factorisation,
}
