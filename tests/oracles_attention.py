"""The oracles of attention and rotary positions: query by query, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _entry(x: Any, place: tuple[int, ...]) -> Any:
    """The entry that broadcasting brings to a place."""
    last = place[len(place) - x.ndim :]
    return x[tuple(0 if n == 1 else i for n, i in zip(x.shape, last, strict=True))].item()


def _attention(
    q: Any, k: Any, v: Any, mask: Any, kept: Any, is_causal: bool, scale: float | None, p: float
) -> Any:
    lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    y = np.empty((*lead, q.shape[-2], v.shape[-1]), dtype=object)
    for b in np.ndindex(*lead):
        for i in range(q.shape[-2]):
            weights = {}
            for j in range(k.shape[-2]):
                if (is_causal and j > i) or (mask.dtype == bool and not _entry(mask, (*b, i, j))):
                    continue
                products = [
                    _entry(q, (*b, i, e)) * _entry(k, (*b, j, e)) for e in range(q.shape[-1])
                ]
                added = 0 if mask.dtype == bool else _entry(mask, (*b, i, j))
                weights[j] = math.exp(factor * math.fsum(products) + added)
            total = math.fsum(weights.values())
            for f in range(v.shape[-1]):
                terms = [
                    w / total * _entry(v, (*b, j, f)) / (1 - p)
                    for j, w in weights.items()
                    if _entry(kept, (*b, i, j))
                ]
                y[(*b, i, f)] = math.fsum(terms)
    return y


def _rotary(x: Any, theta: Any) -> Any:
    """As a product of complex numbers: (x_2i + √−1 x_2i+1) e^(√−1 θ_i)."""
    y = np.empty(x.shape, dtype=object)
    for place in np.ndindex(*x.shape[:-1]):
        for i in range(x.shape[-1] // 2):
            angle = theta[(*place[len(place) - theta.ndim + 1 :], i)]
            turned = complex(x[(*place, 2 * i)], x[(*place, 2 * i + 1)])
            turned *= complex(math.cos(angle), math.sin(angle))
            y[(*place, 2 * i)], y[(*place, 2 * i + 1)] = turned.real, turned.imag
    return y


ORACLES: dict[str, Callable[..., Any]] = {"attention": _attention, "rotary": _rotary}
