"""Convolution, its adjoint, unfold, fold and pixel shuffling: weights are arguments.

Formulas stand in `derivations/conv2d.py` and its neighbours. One op serves 1, 2 and 3 axes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations import conv2d as _conv2d
from tinynet.derivations import conv_transpose2d as _conv_transpose2d
from tinynet.derivations import fold as _fold
from tinynet.derivations import unfold as _unfold
from tinynet.derivations.windows import per_axis
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.nn.functional.layers import pad
from tinynet.nn.functional.pooling import planes


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """`conv2d` along one axis. Shapes: input (n, C, t) or (C, t), weight (O, C/groups, K).

    >>> import tinynet as tn
    >>> conv1d(tn.tensor([[1.0, 2.0, 0.0, 3.0, 1.0]]), tn.tensor([[[1.0, -1.0]]]))
    tensor([[-1.,  2., -3.,  2.]])
    """
    return _convolved("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y_{n,i,p,q} = b_i + Σ_k Σ_{u,v} W_{i,k,u,v} x_{n,k,ps+ud−P,qs+vd−P}: a filter of K taps at
    every place of the window, `stride` apart.

    padding     rows and columns of zeros at each end; "valid": none; "same": as many as make the
                output as large as the input, one more at the end than at the beginning if need be
    dilation    the distance of the taps
    groups      the channels are cut into so many parts, each with filters of its own

    Shapes: input (n, C, h, w) or (C, h, w), weight (O, C/groups, K_h, K_w), bias (O,) or None,
    output (n, O, h', w'), h' = ⌊(h + 2P − d (K − 1) − 1) / s⌋ + 1. Raises ShapeError where the
    sizes do not fit, ArgumentError for numbers that make no sense. Derived in
    `tinynet/derivations/conv2d.py`.

    >>> import tinynet as tn
    >>> x, edges = tn.tensor([[[0.0, 0.0, 5.0], [0.0, 5.0, 5.0]]]), tn.tensor([[[[-1.0, 1.0]]]])
    >>> conv2d(x, edges)
    tensor([[[0., 5.],
             [5., 0.]]])
    """
    return _convolved("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """`conv2d` along three axes. Shapes: input (n, C, t, h, w) or (C, t, h, w), weight
    (O, C/groups, K_t, K_h, K_w).
    """
    return _convolved("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """`conv_transpose2d` along one axis. Shapes: input (n, C, t) or (C, t), weight
    (C, O/groups, K).

    >>> import tinynet as tn
    >>> conv_transpose1d(tn.tensor([[1.0, 10.0]]), tn.tensor([[[1.0, 2.0, 3.0]]]), stride=2)
    tensor([[ 1.,  2., 13., 20., 30.]])
    """
    options = {"stride": stride, "padding": padding, "output_padding": output_padding}
    options |= {"groups": groups, "dilation": dilation}
    return _applied(_conv_transpose2d.op, "conv_transpose1d", 1, input, weight, bias, options)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """y_{n,j,m} = b_j + Σ_i Σ_{p,u: ps+ud−P=m} W_{i,j,u} x_{n,i,p}: every entry stamps the filter,
    scaled by its value, onto the output; the stamps lie `stride` apart, and add up.

    It is the adjoint of `conv2d` with the same weight. `padding` is that convolution's, and is cut
    off here; `output_padding` (less than the stride, or than the dilation) makes the output longer
    at its end.

    Shapes: input (n, C, h, w) or (C, h, w), weight (C, O/groups, K_h, K_w), bias (O,) or None,
    output (n, O, h', w'), h' = (h − 1) s − 2P + d (K − 1) + output_padding + 1. Raises ShapeError
    where the sizes do not fit, ArgumentError for numbers that make no sense. Derived in
    `tinynet/derivations/conv_transpose2d.py`.

    >>> import tinynet as tn
    >>> conv_transpose2d(tn.tensor([[[1.0, 2.0]]]), tn.ones(1, 1, 1, 2), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    options = {"stride": stride, "padding": padding, "output_padding": output_padding}
    options |= {"groups": groups, "dilation": dilation}
    return _applied(_conv_transpose2d.op, "conv_transpose2d", 2, input, weight, bias, options)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """`conv_transpose2d` along three axes. Shapes: input (n, C, t, h, w) or (C, t, h, w), weight
    (C, O/groups, K_t, K_h, K_w).
    """
    options = {"stride": stride, "padding": padding, "output_padding": output_padding}
    options |= {"groups": groups, "dilation": dilation}
    return _applied(_conv_transpose2d.op, "conv_transpose3d", 3, input, weight, bias, options)


def _convolved(
    name: str,
    axes: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    if isinstance(padding, str):
        ends = string_padding(padding, weight.shape[2:], stride, dilation)
        padding = ends[::2][::-1]
        longer = [after - before for before, after in zip(ends[::2], ends[1::2], strict=True)]
        if any(longer):
            input = pad(input, [more for after in longer for more in (0, after)])
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _applied(_conv2d.op, name, axes, input, weight, bias, options)


def string_padding(padding: str, kernel: tuple[int, ...], stride: Any, dilation: Any) -> list[int]:
    """What `pad` adds at both ends of each axis, the last one first: d (K − 1) entries in all for
    "same", none for "valid". Raises ArgumentError for other words, and for "same" with a stride.

    >>> string_padding("same", (3, 2), 1, 1)
    [0, 1, 1, 1]
    """
    if padding not in ("same", "valid"):
        raise ArgumentError(
            "convolution: no such padding",
            expected="a number, one for each axis, 'same' or 'valid'",
            got=repr(padding),
        )
    if padding == "valid":
        return [0, 0] * len(kernel)
    if set(per_axis("stride", stride, len(kernel), 1)) != {1}:
        raise ArgumentError(
            "convolution: with a stride the output is never as large as the input",
            expected="stride=1 where padding='same'",
            got=f"stride={stride}",
        )
    spread = per_axis("dilation", dilation, len(kernel), 1)
    totals = [d * (K - 1) for d, K in zip(spread, kernel, strict=True)]
    return [end for total in reversed(totals) for end in (total // 2, total - total // 2)]


def _applied(
    op: Any, name: str, axes: int, input: Any, weight: Any, bias: Any, options: dict[str, Any]
) -> Any:
    x, alone = _batch(name, input, axes)
    y = op(x, weight, **options) if bias is None else op(x, weight, bias, **options)
    return y[0] if alone else y


def _batch(name: str, input: Any, axes: int) -> tuple[Any, bool]:
    """The input as a batch, and whether it was a single sample."""
    alone = planes(input, axes, name).ndim == axes + 1
    return (np.expand_dims(input, 0) if alone else input), alone


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Every window of an image as a column: y_{n,(c,u,v),p} (im2col).

    Shapes: input (n, C, h, w) or (C, h, w), output (n, C·K_h·K_w, places). Raises ShapeError where
    no window fits, ArgumentError for numbers that make no sense. Derived in
    `tinynet/derivations/unfold.py`.

    >>> import tinynet as tn
    >>> unfold(tn.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]), (2, 2))
    tensor([[1., 2.],
            [2., 3.],
            [4., 5.],
            [5., 6.]])
    """
    x, alone = _batch("unfold", input, 2)
    y = _unfold.op(
        x,
        kernel_size=per_axis("kernel_size", kernel_size, 2, 1),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    return y[0] if alone else y


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Columns added up where they were windows of an image (col2im): the adjoint of `unfold`.

    Shapes: input (n, C·K_h·K_w, places) or without n, output (n, C, h, w) or without n, (h, w) =
    output_size. Raises ShapeError where the columns are not those of such an image, ArgumentError
    for numbers that make no sense. Derived in `tinynet/derivations/fold.py`.

    >>> import tinynet as tn
    >>> fold(tn.ones(4, 2), (2, 3), (2, 2))
    tensor([[[1., 2., 1.],
             [1., 2., 1.]]])
    """
    x, alone = _batch("fold", input, 1)
    y = _fold.op(
        x,
        output_size=per_axis("output_size", output_size, 2, 1),
        kernel_size=per_axis("kernel_size", kernel_size, 2, 1),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    return y[0] if alone else y


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels to places: y_{c,hr+a,wr+b} = x_{cr²+ar+b,h,w}, with r = upscale_factor.

    Shapes: (…, C·r², h, w) -> (…, C, h·r, w·r). Raises ShapeError where r² does not divide the
    channels.

    >>> import tinynet as tn
    >>> pixel_shuffle(tn.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    r = _factor("pixel_shuffle", input, upscale_factor)
    *batch, C, h, w = input.shape
    if C % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {r}² does not divide the {C} channels", got=describe(input)
        )
    n, C = math.prod(batch), C // (r * r)
    parts = np.transpose(np.reshape(input, (n, C, r, r, h, w)), (0, 1, 4, 2, 5, 3))
    return np.reshape(parts, (*batch, C, h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Places to channels: the inverse of `pixel_shuffle`.

    Shapes: (…, C, h·r, w·r) -> (…, C·r², h, w), r = downscale_factor. Raises ShapeError where r
    does not divide height and width.

    >>> import tinynet as tn
    >>> pixel_unshuffle(tn.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2).shape
    (4, 1, 1)
    """
    r = _factor("pixel_unshuffle", input, downscale_factor)
    *batch, C, h, w = input.shape
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle: {r} does not divide height and width", got=describe(input)
        )
    n, h, w = math.prod(batch), h // r, w // r
    parts = np.transpose(np.reshape(input, (n, C, h, r, w, r)), (0, 1, 3, 5, 2, 4))
    return np.reshape(parts, (*batch, C * r * r, h, w))


def _factor(name: str, input: Any, factor: Any) -> int:
    if input.ndim < 3:
        raise ShapeError(
            f"{name}: an image is expected", expected="(…, C, h, w)", got=describe(input)
        )
    (r,) = per_axis("the factor", factor, 1, 1)
    return r
