"""The oracles of pooling and upsampling: loops over outputs, entry by entry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np


def _filled(x: Any, sizes: Any, value: Callable[[Any, Any], float]) -> Any:
    """The output: `value` of each leading index and each place of the pooled axes."""
    lead = x.shape[: x.ndim - len(sizes)]
    y = np.empty((*lead, *sizes), dtype=object)
    for k in np.ndindex(y.shape):
        y[k] = value(x[k[: len(lead)]], k[len(lead) :])
    return y


def _count(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """Windows are begun as long as they end in the padded input, or with `ceil_mode` begin before
    its right padding and the one before ended inside.
    """
    count = 0
    while True:
        start = count * s - p
        whole = start + d * (k - 1) < n + p
        hangs_over = ceil_mode and start < n and start - s + d * (k - 1) < n + p - 1
        if not whole and not hangs_over:
            return count
        count += 1


def _counts(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
    sizes = x.shape[x.ndim - len(kernel) :]
    return tuple(
        _count(*axis, ceil) for axis in zip(sizes, kernel, stride, padding, dilation, strict=True)
    )


def _box(i: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Iterator[Any]:
    sides = zip(i, kernel, stride, padding, dilation, strict=True)
    return itertools.product(*([j * s - p + d * u for u in range(k)] for j, k, s, p, d in sides))


def _inside(q: Any, shape: Any, padding: Any = None) -> bool:
    padding = padding or (0,) * len(q)
    return all(-p <= a < n + p for a, n, p in zip(q, shape, padding, strict=True))


def _max_pool(
    x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    geometry = (kernel, stride, padding, dilation)
    return _filled(
        x,
        _counts(x, *geometry, ceil_mode),
        lambda part, i: max(float(part[q]) for q in _box(i, *geometry) if _inside(q, part.shape)),
    )


def _avg_pool(
    x: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: Any,
) -> Any:
    geometry = (kernel, stride, padding, (1,) * len(kernel))

    def mean(part: Any, i: Any) -> float:
        values = [float(part[q]) for q in _box(i, *geometry) if _inside(q, part.shape)]
        padded = sum(_inside(q, part.shape, padding) for q in _box(i, *geometry))
        places = padded if count_include_pad else len(values)
        return math.fsum(values) / (divisor or places)

    return _filled(x, _counts(x, *geometry, ceil_mode), mean)


def _adaptive(reduce: Callable[[list[float]], float]) -> Callable[..., Any]:
    def pooled(x: Any, output_size: Any) -> Any:
        def of_window(part: Any, i: Any) -> float:
            sides = [
                range(math.floor(Fraction(j * n, m)), math.ceil(Fraction((j + 1) * n, m)))
                for j, n, m in zip(i, part.shape, output_size, strict=True)
            ]
            return reduce([float(part[q]) for q in itertools.product(*sides)])

        return _filled(x, output_size, of_window)

    return pooled


def _cubic(t: float) -> float:
    """Weights of the four neighbours of a point that lies t behind the second of them."""
    a = -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a


def _weights(j: int, n: int, m: int, scale: Any, mode: str, align: bool) -> dict[int, float]:
    """What each entry of an axis counts for output j."""
    ratio = n / m if scale is None else 1 / scale
    if (mode in ("linear", "nearest") and m == n) or (mode == "nearest" and m == 2 * n):
        ratio = n / m
    if mode.startswith("nearest"):
        exact = mode == "nearest-exact"
        return {min(int((j + 0.5 if exact else j) * ratio + 1e-7), n - 1): 1.0}
    point = (j + 0.5) * ratio - 0.5
    if align:
        point = j * (n - 1) / (m - 1) if m > 1 else 0.0
    left = math.floor(point)
    t = point - left
    near = {left: 1 - t, left + 1: t}
    if mode == "cubic":
        distances = {left - 1: 1 + t, left: t, left + 1: 1 - t, left + 2: 2 - t}
        near = {q: _cubic(distance) for q, distance in distances.items()}
    found: dict[int, float] = {}
    for q, w in near.items():
        edge = min(max(q, 0), n - 1)
        found[edge] = found.get(edge, 0.0) + w
    return found


def _upsample(x: Any, size: Any, scale: Any, mode: str, align_corners: bool) -> Any:
    def value(part: Any, i: Any) -> float:
        sides = [
            _weights(*axis, mode, align_corners)
            for axis in zip(i, part.shape, size, scale, strict=True)
        ]
        return math.fsum(
            float(part[q]) * math.prod(side[a] for side, a in zip(sides, q, strict=True))
            for q in itertools.product(*sides)
        )

    return _filled(x, size, value)


ORACLES: dict[str, Callable[..., Any]] = {
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "adaptive_max_pool": _adaptive(max),
    "adaptive_avg_pool": _adaptive(lambda values: math.fsum(values) / len(values)),
    "upsample": _upsample,
}
