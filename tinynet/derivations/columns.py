"""Windows of an image as the columns of a matrix: for convolution, its adjoint, unfold and fold.

Tap u of window p looks at entry m = p s + u d − P of the image, as derived in `windows`; every axis
has numbers of its own, and the letters m, p, u below stand for one place on each axis. `im2col`
writes the windows into the columns of a matrix; `col2im` is its adjoint, which adds every column to
where it was read:

    X_{u,p} = x_m  (im2col)        x̄_m = Σ_{u,p: ps+ud−P=m} X̄_{u,p}  (col2im)

`matrices`, `grouped` and `with_bias` are the shapes of the product that stands between the two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.windows import taps


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
    seen = np.reshape(columns, (n, C, *kernel, *out))
    x = np.zeros((n, C, *sizes), dtype=columns.dtype, like=columns)
    each = taps(sizes, out, kernel, stride, padding, dilation)
    for u, (here, there) in zip(np.ndindex(*kernel), each, strict=True):
        x[there] += seen[:, :, *u][here]
    return x


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
