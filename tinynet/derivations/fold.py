r"""The columns of a matrix added up to an image (col2im), and its derivative.

    y_{n,c,m} = Σ_{p,u: ps+ud−P=m} x_{n,(c,u),p}

Column p of x is a window with taps u, as `unfold` writes it; fold puts each window to its place and
adds where they overlap. m is a place of the output, on each of any number of axes; s, d, P are
stride, dilation and padding (`derivations/windows.py`): what falls onto the padding is dropped.

Derivation. x_{(c,u),p} touches exactly one entry of y, at m = ps + ud − P, with factor 1, or none
if that lies on the padding. So its derivative is read off there:

    x̄_{n,(c,u),p} = g_{n,c,ps+ud−P},    0 outside,

which is `unfold` of g. The two are adjoint, ⟨fold x, g⟩ = ⟨x, unfold g⟩: both have a term for
each pair of an entry and a window that sees it.

Shapes: x (n, C·K, out), y and g (n, C, sizes …), where out is the number of windows that the sizes
have room for. No multiplications; n C K out additions forward, none backward.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.columns import col2im, im2col
from tinynet.derivations.windows import geometry, per_axis, positions, taps
from tinynet.errors import ShapeError
from tinynet.op import Derivation
from tinynet.ops.indexing import scatter


def definition(
    x: Any,
    *,
    output_size: tuple[int, ...],
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> Any:
    """The sum over the taps u of what each puts to the places ps + ud − P.

    >>> definition(np.ones((1, 2, 3)), output_size=(4,), kernel_size=2)
    array([[[1., 2., 2., 1.]]])
    """
    axes = len(output_size)
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    how = geometry(axes, stride, padding, dilation)
    out = positions(output_size, kernel, *how)
    n, C = x.shape[0], x.shape[1] // math.prod(kernel)
    seen = np.reshape(x, (n, C, *kernel, *out))
    y: Any = 0
    each = taps(output_size, out, kernel, *how)
    for u, (here, there) in zip(np.ndindex(*kernel), each, strict=True):
        y = y + scatter(seen[:, :, *u][here], index=there, shape=(n, C, *output_size))
    return y


def forward(
    x: Any,
    *,
    output_size: tuple[int, ...],
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> tuple[Any, tuple[Any, ...]]:
    """The same sum, in place."""
    axes = len(output_size)
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    how = geometry(axes, stride, padding, dilation)
    out = positions(output_size, kernel, *how)
    if x.ndim != 3 or x.shape[1] % math.prod(kernel) or x.shape[2] != math.prod(out):
        raise ShapeError(
            "these are not the windows of such an output",
            expected=f"x (n, C·{math.prod(kernel)}, {math.prod(out)})",
        )
    y = col2im(np.reshape(x, (*x.shape[:2], *out)), output_size, kernel, *how)
    return y, (x.shape, kernel, how)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    output_size: tuple[int, ...],
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> tuple[Any, ...]:
    """x̄_{n,(c,u),p} = g_{n,c,ps+ud−P}."""
    shape, kernel, how = saved
    return (np.reshape(im2col(g, kernel, *how), shape),)


op = Derivation(
    "fold",
    definition,
    backward,
    forward,
    formula=r"y_{c,m} = \sum_{p,u:\, ps+ud-P=m} x_{(c,u),p}",
    promote="none",
    in_place=True,
    room="derivations",
    doc="Windows put to their places and added up: the adjoint of unfold.",
)
