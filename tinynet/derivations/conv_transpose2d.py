r"""Transposed convolution: the way back of a convolution as a layer, and its three derivatives.

Convolution gathers: each output looks at a window of the input. Its transpose scatters: each input
entry stamps the filter, scaled by its value, onto a window of the output, and stamps that overlap
add up. With a stride the stamps lie s apart, so the output is larger than the input:

    y_{n,j,m} = b_j + Σ_i Σ_{p,u: ps+ud−P=m} W_{i,j,u} x_{n,i,p}

i runs over the channels of the input, j over those of the output; p, u and m stand for one place on
each of any number of axes (`derivations/columns.py`). s is the stride, d the dilation; the padding
P is that of the convolution that is transposed, so it is cut off here. x = (1, 10), W = (1, 2, 3),
s = 2:

     1 · W      1   2   3
    10 · W             10  20  30
         y      1   2  13  20  30

Several input sizes of a convolution with stride give one output size (the floor in `positions`).
The transpose takes the smallest, plus `output_padding` r: for p = 0 … n − 1 there are the places

    m = 0 … (n − 1) s + d (K − 1) − 2P + r.

Derivation. The sum is that of x̄ in `conv2d`, with x in the place of g. So y = Kᵀ x for the
convolution K with the same W, read there as (filter i, channel j), and x̄ must be Kᵀᵀ g = K g, a
convolution. Term by term: at the place m = ps + ud − P,

    x_nip  touches y_njm for all j, u, with factor W_iju:    x̄_nip  = Σ_{j,u} W_iju g_{n,j,ps+ud−P}
    W_iju  touches y_njm for all n, p, with factor x_nip:    W̄_iju  = Σ_{n,p} x_nip g_{n,j,ps+ud−P}
    b_j    touches y_njm for all n, m, with factor 1:        b̄_j    = Σ_{n,m} g_njm

No flipped filter occurs. The definition below needs one, as it goes the other way around: put s − 1
zeros between the entries of x, and slide the filter, turned by 180 degrees, over all places that it
touches at all (u ↦ K − 1 − u). It says the same, with s times the multiplications on each axis; the
zeros are why the layer is also called a convolution with fractional stride. "Deconvolution" it is
not: it has the shape of the inverse of a convolution, not its values.

Shapes: x (n, C, …), W (C, O/G, K …), b (O,) or left out, y and g (n, O, out …). Cost: 2 n C (O/G) K
in flops forward (K taps, in places of x), as much again for W̄ and for x̄.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.columns import col2im, grouped, im2col, matrices, sliding, with_bias
from tinynet.derivations.windows import geometry, per_axis
from tinynet.errors import ArgumentError, ShapeError
from tinynet.op import Derivation
from tinynet.ops.indexing import scatter


def definition(
    x: Any,
    W: Any,
    *b: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Zeros between the entries of x, and a correlation with the turned filter; g names the group.

    >>> definition(np.array([[[1.0, 10.0]]]), np.array([[[1.0, 2.0, 3.0]]]), stride=2)
    array([[[ 1.,  2., 13., 20., 30.]]])
    """
    n, (C, filters, *kernel) = x.shape[0], W.shape
    s, P, d, r = _numbers(x.ndim - 2, stride, padding, dilation, output_padding)
    at = tuple(slice(None, None, step) for step in (1, 1, *s))
    spread = tuple((size - 1) * step + 1 for size, step in zip(x.shape[2:], s, strict=True))
    x = scatter(x, index=at, shape=(n, C, *spread))
    reach = tuple(step * (K - 1) for step, K in zip(d, kernel, strict=True))
    x = np.pad(x, ((0, 0), (0, 0), *((a, a + more) for a, more in zip(reach, r, strict=True))))
    one, none = (1,) * len(s), (0,) * len(s)
    X = sliding(x, kernel, one, none, d)
    out = X.shape[2 : x.ndim]
    X = np.reshape(X, (n, groups, C // groups, math.prod(out), math.prod(kernel)))
    turned = np.flip(W, axis=tuple(range(2, W.ndim)))
    turned = np.reshape(turned, (groups, C // groups, filters, math.prod(kernel)))
    y = np.einsum("giju,ngipu->ngjp", turned, X)
    y = np.reshape(y, (n, groups * filters, *out))
    y = y[:, :, *(slice(a, m - a) for a, m in zip(P, out, strict=True))]
    return with_bias(y, b)


def forward(
    x: Any,
    W: Any,
    *b: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, tuple[Any, ...]]:
    """One matrix product gives all stamps Σ_i W_{i,j,u} x_{n,i,p}; col2im puts them in place."""
    _check(x, W, b, groups)
    s, P, d, r = _numbers(x.ndim - 2, stride, padding, dilation, output_padding)
    kernel = W.shape[2:]
    axes = zip(x.shape[2:], kernel, s, P, d, r, strict=True)
    sizes = tuple((n - 1) * s + d * (K - 1) + 1 - 2 * P + r for n, K, s, P, d, r in axes)
    if min(sizes) < 1 or min(kernel) < 1 or min(x.shape[2:]) < 1:
        raise ShapeError(
            "nothing is left of the output",
            expected="at least one entry on each axis of the input, the filter and the output",
            got=f"input {x.shape[2:]}, filter {kernel}, output {sizes}",
        )
    stamps = np.matmul(np.swapaxes(matrices(W, groups), 1, 2), grouped(x, groups))
    rows = groups * W.shape[1] * math.prod(kernel)
    y = col2im(np.reshape(stamps, (x.shape[0], rows, *x.shape[2:])), sizes, kernel, s, P, d)
    return with_bias(y, b), (x, W, *b)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    needs: tuple[bool, ...] = (True, True, True),
) -> tuple[Any, ...]:
    """With G_{j,u,p} = g_{j,ps+ud−P}: x̄ = W G, W̄ = Σ_n x Gᵀ, b̄ = Σ_{n,m} g; each where needed."""
    x, W, *b = saved
    dx = dW = db = None
    if needs[0] or needs[1]:
        how = geometry(x.ndim - 2, stride, padding, dilation)
        G = im2col(g, W.shape[2:], *how)
        G = grouped(G[:, :, *map(slice, x.shape[2:])], groups)  # output_padding may add windows
    if needs[0]:
        dx = np.reshape(np.matmul(matrices(W, groups), G), x.shape)
    if needs[1]:
        products = np.matmul(grouped(x, groups), np.swapaxes(G, 2, 3))
        dW = np.reshape(np.sum(products, axis=0), W.shape)
    if b and needs[2]:
        db = np.sum(g, axis=(0, *range(2, g.ndim)))
    return (dx, dW, db) if b else (dx, dW)


def _numbers(axes: int, stride: Any, padding: Any, dilation: Any, output_padding: Any) -> Any:
    """Stride, padding, dilation and output padding, each with a number for every axis."""
    s, P, d = geometry(axes, stride, padding, dilation)
    r = per_axis("output_padding", output_padding, axes, 0)
    if any(more >= max(pair) for more, *pair in zip(r, s, d, strict=True)):
        raise ArgumentError(
            "output_padding adds fewer entries than the stride or the dilation skips",
            got=f"output_padding={r}, stride={s}, dilation={d}",
        )
    return s, P, d, r


def _check(x: Any, W: Any, b: tuple[Any, ...], groups: Any) -> None:
    """Raise ShapeError, or ArgumentError for groups that are no number, where sizes do not fit."""
    (G,) = per_axis("groups", groups, 1, 1)
    fits = x.ndim == W.ndim > 2 and x.shape[1] == W.shape[0] and W.shape[0] % G == 0
    if not fits or (b and getattr(b[0], "shape", None) != (G * W.shape[1],)):
        raise ShapeError(
            f"the sizes do not fit, with groups={groups}",
            expected="x (n, C, …), W (C, O/groups, K …), b (O,), with groups dividing C",
        )


op = Derivation(
    "conv_transpose2d",
    definition,
    backward,
    forward,
    formula=r"b_j + \sum_i \sum_{p,u:\, ps+ud-P=m} W_{iju}\, x_{ip}",
    variadic=True,  # with or without b
    in_place=True,
    room="derivations",
    doc="The adjoint of a convolution: each entry stamps the filter onto the output.",
)
