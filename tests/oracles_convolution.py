"""The oracles of convolution, its adjoint, unfold and fold: every pair of an entry and a window
that sees it, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

Place = tuple[int, ...]


def _each(value: Any, axes: int) -> Place:
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


def _places(sizes: Any) -> Iterator[Place]:
    return product(*map(range, sizes))


def _seen(
    p: Place, u: Place, sizes: Place, stride: Any, padding: Any, dilation: Any
) -> Place | None:
    """Where tap u of window p looks in an image of these sizes; None on the padding."""
    axes = len(sizes)
    s, P, d = _each(stride, axes), _each(padding, axes), _each(dilation, axes)
    m = tuple(p[a] * s[a] + u[a] * d[a] - P[a] for a in range(axes))
    return m if all(0 <= m[a] < sizes[a] for a in range(axes)) else None


def _counts(sizes: Place, kernel: Place, stride: Any, padding: Any, dilation: Any) -> Place:
    """How many windows there are: those whose last tap does not leave the padded image."""
    axes = len(sizes)
    s, P, d = _each(stride, axes), _each(padding, axes), _each(dilation, axes)
    found = []
    for a in range(axes):
        p = 0
        while p * s[a] + (kernel[a] - 1) * d[a] < sizes[a] + 2 * P[a]:
            p += 1
        found.append(p)
    return tuple(found)


def _zeros(*shape: int) -> Any:
    return np.full(shape, 0.0, dtype=object)


def _convolution(x: Any, W: Any, b: Any = None, *, groups: int, **how: Any) -> Any:
    (n, _, *sizes), (filters, C, *kernel) = x.shape, W.shape
    out = _counts(tuple(sizes), tuple(kernel), **how)
    y = _zeros(n, filters, *out)
    for k, i, p in product(range(n), range(filters), _places(out)):
        total = 0.0 if b is None else b[i]
        for c, u in product(range(C), _places(kernel)):
            m = _seen(p, u, tuple(sizes), **how)
            if m is not None:
                total += W[(i, c, *u)] * x[(k, i // (filters // groups) * C + c, *m)]
        y[(k, i, *p)] = total
    return y


def _transposed(
    x: Any, W: Any, b: Any = None, *, groups: int, output_padding: Any, **how: Any
) -> Any:
    (n, C, *places), (_, filters, *kernel) = x.shape, W.shape
    axes = len(places)
    s, P, d = (_each(how[name], axes) for name in ("stride", "padding", "dilation"))
    r = _each(output_padding, axes)
    last = [(places[a] - 1) * s[a] + (kernel[a] - 1) * d[a] for a in range(axes)]
    sizes = tuple(last[a] + 1 - 2 * P[a] + r[a] for a in range(axes))
    y = _zeros(n, groups * filters, *sizes)
    for k, i, p in product(range(n), range(C), _places(places)):
        for j, u in product(range(filters), _places(kernel)):
            m = _seen(p, u, sizes, **how)
            if m is not None:
                y[(k, i // (C // groups) * filters + j, *m)] += W[(i, j, *u)] * x[(k, i, *p)]
    for j in range(0 if b is None else groups * filters):
        y[:, j] += b[j]
    return y


def _unfold(x: Any, *, kernel_size: Any, **how: Any) -> Any:
    n, C, *sizes = x.shape
    kernel = _each(kernel_size, len(sizes))
    out, taps = list(_places(_counts(tuple(sizes), kernel, **how))), list(_places(kernel))
    y = _zeros(n, C * len(taps), len(out))
    for k, c, a, q in product(range(n), range(C), range(len(taps)), range(len(out))):
        m = _seen(out[q], taps[a], tuple(sizes), **how)
        y[k, c * len(taps) + a, q] = 0.0 if m is None else x[(k, c, *m)]
    return y


def _fold(x: Any, *, output_size: Any, kernel_size: Any, **how: Any) -> Any:
    kernel = _each(kernel_size, len(output_size))
    out, taps = list(_places(_counts(output_size, kernel, **how))), list(_places(kernel))
    n, C = x.shape[0], x.shape[1] // len(taps)
    y = _zeros(n, C, *output_size)
    for k, c, a, q in product(range(n), range(C), range(len(taps)), range(len(out))):
        m = _seen(out[q], taps[a], output_size, **how)
        if m is not None:
            y[(k, c, *m)] += x[k, c * len(taps) + a, q]
    return y


ORACLES: dict[str, Callable[..., Any]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "unfold": _unfold,
    "fold": _fold,
}
