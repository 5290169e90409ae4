"""The oracles of normalisation, of embedding and of matrix factorisation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

Place = tuple[int, ...]


def _norm(
    set_of: Callable[[Place], Place],
    parameter_of: Callable[[Place], Place],
    x: Any,
    affine: tuple[Any, ...],
    eps: float,
    centred: bool = True,
) -> Any:
    """Entries standardised in sets; `set_of` names the set of a place, `parameter_of` its γ."""
    sets: dict[Place, list[float]] = defaultdict(list)
    for k in np.ndindex(x.shape):
        sets[set_of(k)].append(float(x[k]))
    y = np.empty(x.shape, dtype=object)
    for k in np.ndindex(x.shape):
        values = sets[set_of(k)]
        m = math.fsum(values) / len(values) if centred else 0.0
        v = math.fsum((u - m) ** 2 for u in values) / len(values)
        y[k] = (x[k] - m) / math.sqrt(v + eps)
        for p, combine in zip(affine, (lambda a, b: a * b, lambda a, b: a + b), strict=False):
            y[k] = combine(y[k], p[parameter_of(k)])
    return y


def _batch_norm(x: Any, *affine: Any, eps: float) -> Any:
    return _norm(lambda k: k[1:2], lambda k: k[1:2], x, affine, eps)


def _layer_norm(x: Any, *affine: Any, dims: int, eps: float, centred: bool = True) -> Any:
    first = x.ndim - dims
    return _norm(lambda k: k[:first], lambda k: k[first:], x, affine, eps, centred)


def _group_norm(x: Any, *affine: Any, groups: int, eps: float) -> Any:
    size = x.shape[1] // groups
    return _norm(lambda k: (k[0], k[1] // size), lambda k: k[1:2], x, affine, eps)


def _embedding(ids: Any, W: Any) -> Any:
    y = np.empty((*ids.shape, W.shape[1]), dtype=object)
    for k in np.ndindex(ids.shape):
        for j in range(W.shape[1]):
            y[(*k, j)] = W[int(ids[k]), j]
    return y


def _matrix_factorisation(P: Any, Q: Any, b: Any, c: Any, u: Any, i: Any, mean: float) -> Any:
    ratings = []
    for user, item in zip(u.tolist(), i.tolist(), strict=True):
        taste = [p * q for p, q in zip(P[user].tolist(), Q[item].tolist(), strict=True)]
        ratings.append(math.fsum([mean, float(b[user]), float(c[item]), *taste]))
    return np.array(ratings, dtype=object)


ORACLES: dict[str, Callable[..., Any]] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "rms_norm": lambda x, *w, dims, eps: _layer_norm(x, *w, dims=dims, eps=eps, centred=False),
    "embedding": _embedding,
    "matrix_factorisation": _matrix_factorisation,
}
