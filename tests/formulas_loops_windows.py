"""What the backward lines say of convolution, unfold and fold, pooling and resampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

Place = tuple[int, ...]


def each(value: Any, axes: int) -> Place:
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


def seen(p: Place, u: Place, sizes: Place, stride: Any, dilation: Any, padding: Any) -> Any:
    """Where tap u of window p looks, p s + u d − P; None where that is outside."""
    axes = len(sizes)
    how = zip(p, u, *(each(x, axes) for x in (stride, dilation, padding)), strict=True)
    m = tuple(p * s + u * d - P for p, u, s, d, P in how)
    return m if all(0 <= i < n for i, n in zip(m, sizes, strict=True)) else None


def looks(
    places: Place, kernel: Place, sizes: Place, **how: Any
) -> Iterator[tuple[Place, Place, Place]]:
    """All (p, u, m) with p s + u d − P = m inside."""
    for p, u in product(np.ndindex(places), np.ndindex(kernel)):
        m = seen(p, u, sizes, **how)
        if m is not None:
            yield p, u, m


# -- convolution -----------------------------------------------------------------------------------


def _conv2d(g: Any, y: Any, x: Any, W: Any, *b: Any, groups: int, **how: Any) -> Any:
    dx, dW = np.zeros(x.shape), np.zeros(W.shape)
    O, C = W.shape[:2]  # noqa: E741
    every = list(looks(g.shape[2:], W.shape[2:], x.shape[2:], **how))
    for n, i, k in product(range(x.shape[0]), range(O), range(C)):
        c = k + C * (i // (O // groups))
        for p, u, m in every:
            dx[(n, c, *m)] += W[(i, k, *u)] * g[(n, i, *p)]
            dW[(i, k, *u)] += g[(n, i, *p)] * x[(n, c, *m)]
    return [dx, dW, *_bias(g, b)]


def _bias(g: Any, b: tuple[Any, ...]) -> Any:
    if not b:
        return []
    N, places = range(g.shape[0]), list(np.ndindex(g.shape[2:]))
    return [[sum(g[(n, i, *p)] for n in N for p in places) for i in range(g.shape[1])]]


def _conv_transpose2d(
    g: Any, y: Any, x: Any, W: Any, *b: Any, groups: int, output_padding: Any, **how: Any
) -> Any:
    dx, dW = np.zeros(x.shape), np.zeros(W.shape)
    C, O = W.shape[:2]  # noqa: E741
    every = list(looks(x.shape[2:], W.shape[2:], g.shape[2:], **how))
    for n, i, k in product(range(x.shape[0]), range(C), range(O)):
        c = k + O * (i // (C // groups))
        for p, u, m in every:
            dx[(n, i, *p)] += W[(i, k, *u)] * g[(n, c, *m)]
            dW[(i, k, *u)] += x[(n, i, *p)] * g[(n, c, *m)]
    return [dx, dW, *_bias(g, b)]


def _columns(taps: list[Place], places: list[Place], image: Place, **how: Any) -> Any:
    """All (row of a tap, column of a place, m)."""
    for (a, u), (q, p) in product(enumerate(taps), enumerate(places)):
        m = seen(p, u, image, **how)
        if m is not None:
            yield a, q, m


def _counts(sizes: Place, kernel: Place, stride: Any, dilation: Any, padding: Any) -> Place:
    """How many windows end inside the padded image."""
    axes = len(sizes)
    how = zip(sizes, kernel, *(each(x, axes) for x in (stride, dilation, padding)), strict=True)
    return tuple(
        sum(p * s + (K - 1) * d < n + 2 * P for p in range(n + 2 * P)) for n, K, s, d, P in how
    )


def _unfold(g: Any, y: Any, x: Any, kernel_size: Any, **how: Any) -> Any:
    sizes = x.shape[2:]
    kernel = each(kernel_size, len(sizes))
    taps, places = list(np.ndindex(kernel)), list(np.ndindex(_counts(sizes, kernel, **how)))
    dx = np.zeros(x.shape)
    for n, c in np.ndindex(x.shape[:2]):
        for a, q, m in _columns(taps, places, sizes, **how):
            dx[(n, c, *m)] += g[n, c * len(taps) + a, q]
    return [dx]


def _fold(g: Any, y: Any, x: Any, kernel_size: Any, output_size: Any, **how: Any) -> Any:
    kernel = each(kernel_size, len(output_size))
    counts = _counts(output_size, kernel, **how)
    taps, places = list(np.ndindex(kernel)), list(np.ndindex(counts))
    dx = np.zeros(x.shape)
    for n, c in np.ndindex(g.shape[:2]):
        for a, q, m in _columns(taps, places, output_size, **how):
            dx[n, c * len(taps) + a, q] = g[(n, c, *m)]
    return [dx]


# -- pooling ---------------------------------------------------------------------------------------


def _pooled(back: Callable[..., None], axes: int, g: Any, x: Any) -> Any:
    """A line about one image: back(g, x, x̄) for each."""
    dx = np.zeros(x.shape)
    for b in np.ndindex(x.shape[: x.ndim - axes]):
        back(g[b], x[b], dx[b])
    return [dx]


def _window(i: Place, sizes: Place, kernel: Place, **how: Any) -> list[Place]:
    """w_i, row by row."""
    found = (seen(i, u, sizes, **how) for u in np.ndindex(kernel))
    return [q for q in found if q is not None]


def _adaptive(i: Place, sizes: Place, counts: Place) -> list[Place]:
    """w_i = {⌊i N / M⌋ … ⌈(i + 1) N / M⌉ − 1}."""
    axes = zip(i, sizes, counts, strict=True)
    return list(product(*(range(a * N // M, -(-(a + 1) * N // M)) for a, N, M in axes)))


def _of_largest(windows: Callable[[Place, Place, Place], list[Place]]) -> Callable[..., None]:
    def back(g: Any, x: Any, dx: Any) -> None:
        for i in np.ndindex(g.shape):
            w = windows(i, x.shape, g.shape)
            q_i = next(q for q in w if x[q] == max(x[r] for r in w))
            dx[q_i] += g[i]

    return back


def _of_mean(
    windows: Callable[[Place, Place, Place], list[Place]], count: Callable[..., float] | None
) -> Callable[..., None]:
    def back(g: Any, x: Any, dx: Any) -> None:
        for i in np.ndindex(g.shape):
            w = windows(i, x.shape, g.shape)
            for q in w:
                dx[q] += g[i] / (count(i, x.shape) if count else len(w))

    return back


def _max_pool(g: Any, y: Any, x: Any, kernel: Any, ceil_mode: bool, **how: Any) -> Any:
    return _pooled(
        _of_largest(lambda i, sizes, _: _window(i, sizes, kernel, **how)), len(kernel), g, x
    )


def _avg_pool(
    g: Any,
    y: Any,
    x: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: Any,
) -> Any:
    def places(i: Place, sizes: Place) -> int:
        axes = zip(i, sizes, kernel, stride, padding, strict=True)
        return math.prod(
            sum(-P <= a * s + u - P < n + P for u in range(K)) for a, n, K, s, P in axes
        )

    def window(i: Place, sizes: Place, _: Place) -> list[Place]:
        return _window(i, sizes, kernel, stride=stride, dilation=1, padding=padding)

    count = (lambda i, sizes: divisor) if divisor else places if count_include_pad else None
    return _pooled(_of_mean(window, count), len(kernel), g, x)


# -- resampling ------------------------------------------------------------------------------------


def _h(t: float, mode: str) -> float:
    if mode.startswith("nearest"):
        return float(0 <= t < 1)
    t = abs(t)
    if mode == "linear":
        return max(1 - t, 0.0)
    if t <= 1:
        return 5 / 4 * t**3 - 9 / 4 * t**2 + 1
    return -3 / 4 * t**3 + 15 / 4 * t**2 - 6 * t + 3 if t < 2 else 0.0


def _point(i: int, N: int, M: int, scale: Any, mode: str, align: bool) -> float:
    if align and not mode.startswith("nearest"):
        return i * (N - 1) / (M - 1) if M > 1 else 0.0
    kept = {"linear": (N,), "nearest": (N, 2 * N)}.get(mode, ())
    rho = N / M if scale is None or M in kept else 1 / scale
    if mode == "nearest":
        return i * rho + 1e-7  # a whole number is not rounded below itself
    return (i + 0.5) * rho + (1e-7 if mode == "nearest-exact" else -0.5)


def _upsample(g: Any, y: Any, x: Any, size: Any, scale: Any, mode: str, align_corners: bool) -> Any:
    def A(axis: int, i: int, q: int, N: int) -> float:
        s = _point(i, N, size[axis], scale[axis], mode, align_corners)
        near = (r for r in range(-3, N + 3) if min(max(r, 0), N - 1) == q)
        return sum(_h(s - r, mode) for r in near)

    def back(g: Any, x: Any, dx: Any) -> None:
        axes = range(len(size))
        weights = [
            [[A(a, i, q, x.shape[a]) for q in range(x.shape[a])] for i in range(size[a])]
            for a in axes
        ]
        for i, q in product(np.ndindex(g.shape), np.ndindex(x.shape)):
            dx[q] += math.prod(weights[a][i[a]][q[a]] for a in axes) * g[i]

    return _pooled(back, len(size), g, x)


BACKWARD: dict[str, Callable[..., Any]] = {
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "unfold": _unfold,
    "fold": _fold,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "adaptive_max_pool": lambda g, y, x, output_size: _pooled(
        _of_largest(_adaptive), len(output_size), g, x
    ),
    "adaptive_avg_pool": lambda g, y, x, output_size: _pooled(
        _of_mean(_adaptive, None), len(output_size), g, x
    ),
    "upsample": _upsample,
}
