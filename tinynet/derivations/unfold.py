r"""The windows of an image as the columns of a matrix (im2col), and its derivative.

    y_{n,(c,u),p} = x_{n,c,ps+ud−P}                                       (x is 0 outside)

c is a channel, u a tap of the window, p its place; each stands for one number on each of any number
of axes, and s, d, P are stride, dilation and padding (`derivations/windows.py`). Column p is the
window at place p, written as a vector: first all taps of channel 0, then those of channel 1. So a
convolution is a matrix product with it, `F.conv2d(x, W) = W · unfold(x)`, and a dot product of two
columns compares two patches.

Derivation. Entry x_m stands in y once for each window that sees it: y_{(c,u),p} = x_{c,m} for all
u, p with ps + ud − P = m, each with factor 1. Its derivative is the sum over these copies,

    x̄_{n,c,m} = Σ_{p,u: ps+ud−P=m} g_{n,(c,u),p},

which is `fold`. An entry in the interior of a 3 × 3 unfold receives nine gradients, one at the
corner fewer. What people forget: fold does not undo unfold. fold(unfold(x)) is x times the number
of windows that see each entry, and what no window sees becomes 0.

Shapes: x (n, C, …), y and g (n, C·K, out): K taps, out places, counted row by row. No
multiplications; y holds each entry up to K times.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.columns import col2im, im2col, sliding
from tinynet.derivations.windows import geometry, per_axis, positions
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(
    x: Any, *, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Any:
    """y_{n,(c,u),p} = x_{n,c,ps+ud−P}.

    >>> definition(np.array([[[1.0, 2.0, 3.0, 4.0]]]), kernel_size=2)
    array([[[1., 2., 3.],
            [2., 3., 4.]]])
    """
    n, C, axes = x.shape[0], x.shape[1], x.ndim - 2
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    X = sliding(x, kernel, *geometry(axes, stride, padding, dilation))
    out = math.prod(X.shape[2 : x.ndim])
    X = np.reshape(X, (n, C, out, math.prod(kernel)))
    return np.reshape(np.swapaxes(X, 2, 3), (n, C * math.prod(kernel), out))


def forward(
    x: Any, *, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> tuple[Any, tuple[Any, ...]]:
    """The definition, copied once."""
    if x.ndim < 3:
        raise ShapeError("channels and places are missing", expected="x (n, C, …)")
    axes = x.ndim - 2
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    how = geometry(axes, stride, padding, dilation)
    out = positions(x.shape[2:], kernel, *how)
    y = im2col(x, kernel, *how)
    return np.reshape(y, (*y.shape[:2], math.prod(out))), (x.shape[2:], kernel, out, how)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> tuple[Any, ...]:
    """x̄_{n,c,m} = Σ_{p,u: ps+ud−P=m} g_{n,(c,u),p}."""
    sizes, kernel, out, how = saved
    return (col2im(np.reshape(g, (*g.shape[:2], *out)), sizes, kernel, *how),)


op = Derivation(
    "unfold",
    definition,
    backward,
    forward,
    formula=r"y_{(c,u),p} = x_{c,ps+ud-P}",
    promote="none",
    in_place=True,
    room="derivations",
    doc="Every window of the input as a column of a matrix.",
)
