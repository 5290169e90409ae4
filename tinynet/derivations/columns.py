"""Windows of an image as the columns of a matrix: for convolution, its adjoint, unfold and fold.

A window has K taps, and moves over the image. Along one axis, tap u of window p looks at entry

    m = p s + u d − P          p = 0 … out − 1,  u = 0 … K − 1

with stride s (how far the window moves), dilation d (how far its taps lie apart) and P zeros of
padding at both ends. Five entries, P = 1, K = 3, s = 2, d = 1:

    padded input    ·   0   1   2   3   4   ·
    window 0       u=0 u=1 u=2
    window 1               u=0 u=1 u=2
    window 2                       u=0 u=1 u=2

The last tap of the last window must not leave the padded input: (out − 1) s + d (K − 1) + 1 ≤ n +
2P. Solved for out,

    out = ⌊(n + 2P − d (K − 1) − 1) / s⌋ + 1.

Every axis has numbers of its own; K, s, P, d are tuples, and the letters m, p, u below stand for
one place on each axis. `im2col` writes the windows into the columns of a matrix; `col2im` is its
adjoint, which adds every column to where it was read. `matrices`, `grouped` and `with_bias` are the
shapes of the product that stands between the two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError


def per_axis(name: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    """One whole number for each axis; a single one serves them all.

    Raises ArgumentError for another count, and for numbers below `least`.

    >>> per_axis("stride", 2, axes=3, least=1)
    (2, 2, 2)
    """
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    given = given * axes if len(given) == 1 else given
    if len(given) != axes or not all(hasattr(v, "__index__") and v >= least for v in given):
        raise ArgumentError(
            f"{name} is a whole number, or one for each of {axes} axes, from {least} on",
            got=f"{name}={value!r}",
        )
    return given


def geometry(
    axes: int, stride: Any, padding: Any, dilation: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Stride, padding and dilation, each with a number for every axis.

    >>> geometry(2, 1, (0, 2), 1)
    ((1, 1), (0, 2), (1, 1))
    """
    return (
        per_axis("stride", stride, axes, 1),
        per_axis("padding", padding, axes, 0),
        per_axis("dilation", dilation, axes, 1),
    )


def positions(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """How many windows there are along each axis: ⌊(n + 2P − d (K − 1) − 1) / s⌋ + 1.

    Raises ShapeError where not even one fits.

    >>> positions((5,), (3,), (2,), (1,), (1,))
    (3,)
    """
    axes = zip(sizes, kernel, stride, padding, dilation, strict=True)
    out = tuple((n + 2 * P - d * (K - 1) - 1) // s + 1 for n, K, s, P, d in axes)
    if min(out) < 1 or min(kernel) < 1:
        raise ShapeError(
            "the window does not fit into the padded input",
            expected="1 ≤ d (K − 1) + 1 ≤ n + 2P on each axis",
            got=f"n = {sizes}, K = {kernel}, P = {padding}, d = {dilation}",
        )
    return out


def sliding(
    x: Any,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Any:
    """X_{n,c,p,u} = x_{n,c,ps+ud−P}, zero outside. Shapes: x (n, C, …), X (n, C, out …, K …).

    Of an array it is a view: the entries of the padded input are read several times, not copied.

    >>> sliding(np.array([[[1.0, 2.0, 3.0, 4.0]]]), (2,), (1,), (0,), (1,))
    array([[[[1., 2.],
             [2., 3.],
             [3., 4.]]]])
    """
    if any(padding):
        x = np.pad(x, ((0, 0), (0, 0), *((P, P) for P in padding)))
    spans = tuple(d * (K - 1) + 1 for K, d in zip(kernel, dilation, strict=True))
    X = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(2, x.ndim)))
    steps = tuple(slice(None, None, step) for step in (*stride, *dilation))
    return X[(slice(None), slice(None), *steps)]


def im2col(
    x: Any,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Any:
    """Row (c, u) holds what tap u sees in channel c, for every window: `sliding`, copied into a
    matrix. Shapes: x (n, C, …) -> (n, C·K, out …), K here the number of taps.

    >>> im2col(np.array([[[1.0, 2.0, 3.0, 4.0]]]), (2,), (1,), (0,), (1,))
    array([[[1., 2., 3.],
            [2., 3., 4.]]])
    """
    X = sliding(x, kernel, stride, padding, dilation)
    n, C, last = x.shape[0], x.shape[1], x.ndim
    out = X.shape[2:last]
    columns = np.empty((n, C, *kernel, *out), dtype=x.dtype, like=x)
    columns[...] = np.transpose(X, (0, 1, *range(last, X.ndim), *range(2, last)))
    return np.reshape(columns, (n, C * math.prod(kernel), *out))


def col2im(
    columns: Any,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Any:
    """x_{n,c,m} = Σ of columns_{n,(c,u),p} over all p, u with p s + u d − P = m: the adjoint of
    `im2col`. Shapes: columns (n, C·K, out …) -> x (n, C, sizes …).

    One strided addition for each tap; what falls on the padding is dropped.

    >>> col2im(np.ones((1, 2, 3)), (4,), (2,), (1,), (0,), (1,))
    array([[[1., 2., 2., 1.]]])
    """
    n, C, out = columns.shape[0], columns.shape[1] // math.prod(kernel), columns.shape[2:]
    taps = np.reshape(columns, (n, C, *kernel, *out))
    padded = tuple(size + 2 * P for size, P in zip(sizes, padding, strict=True))
    x = np.zeros((n, C, *padded), dtype=columns.dtype, like=columns)
    for u in np.ndindex(*kernel):
        x[(slice(None), slice(None), *seen_by(u, out, stride, dilation))] += taps[:, :, *u]
    if not any(padding):
        return x
    inside = tuple(slice(P, P + size) for size, P in zip(sizes, padding, strict=True))
    return np.copy(x[:, :, *inside])


def seen_by(
    u: tuple[int, ...], out: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[slice, ...]:
    """The places of the padded input that tap u sees, one for each window: p s + u d.

    >>> seen_by((1,), (3,), (2,), (1,))
    (slice(1, 6, 2),)
    """
    axes = zip(u, out, stride, dilation, strict=True)
    return tuple(slice(u * d, u * d + (n - 1) * s + 1, s) for u, n, s, d in axes)


def matrices(W: Any, groups: int) -> Any:
    """The filters of each group as a matrix: (R, …) -> (G, R/G, all the rest)."""
    return np.reshape(W, (groups, W.shape[0] // groups, math.prod(W.shape[1:])))


def grouped(a: Any, groups: int) -> Any:
    """The channels of each group, all places in a row: (n, R, …) -> (n, G, R/G, places)."""
    n, rows, *sizes = a.shape
    return np.reshape(a, (n, groups, rows // groups, math.prod(sizes)))


def with_bias(y: Any, b: Any) -> Any:
    """y_{n,i,p} + b_i, if there is a bias: b holds it, or nothing."""
    return y + np.reshape(b[0], (*b[0].shape, *(1,) * (y.ndim - 2))) if b else y
