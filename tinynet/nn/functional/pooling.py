"""Pooling: one number for each window. What is computed stands in `derivations`: `max_pool`,
`avg_pool`, `adaptive_max_pool`, `adaptive_avg_pool`, and where windows lie in `windows`.

Inputs are (n, c, …) or, unbatched, (c, …) with one, two or three axes to be pooled. Where sizes are
given, a number stands for that number along each axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations import adaptive_avg_pool as _adaptive_avg
from tinynet.derivations import adaptive_max_pool as _adaptive_max
from tinynet.derivations import avg_pool as _avg
from tinynet.derivations import max_pool as _max
from tinynet.derivations.windows import per_axis
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, describe
from tinynet.nn.functional.precision import summed_in_float32
from tinynet.tensor import Tensor

Sizes = int | tuple[int, ...]


def planes(input: Any, axes: int, name: str) -> Any:
    """The input, if it has as many axes as the function wants."""
    if input.ndim not in (axes + 1, axes + 2):
        sides = ("l", "h, w", "d, h, w")[axes - 1]
        raise ShapeError(
            f"{name}: the input has the wrong number of axes",
            expected=f"(n, c, {sides}) or (c, {sides})",
            got=describe(input),
        )
    return input


def _geometry(axes: int, kernel_size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    unset = stride is None or stride == ()
    return {
        "kernel": kernel,
        "stride": kernel if unset else per_axis("stride", stride, axes, 1),
        "padding": per_axis("padding", padding, axes, 0),
    }


# -- maxima ----------------------------------------------------------------------------------------


def max_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of each window. Shapes: (n, c, l) or (c, l) -> (…, m), with

        m = ⌊(l + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1,

    rounded up with `ceil_mode`. The stride is the window's size by default; the padding is −∞, and
    at most half of a window. With `return_indices` also where each maximum was (int64), as
    `max_unpool1d` wants it: of equal entries it is the first, which gets the gradient. Raises
    ShapeError or ArgumentError where windows do not fit. Derived in
    `tinynet/derivations/max_pool.py`.

    >>> import tinynet as tn
    >>> max_pool1d(tn.tensor([[1.0, 3.0, 2.0, 2.0]]), 2, return_indices=True)
    (tensor([[3., 2.]]), tensor([[1, 2]]))
    """
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(1, input, *window, return_indices)


def max_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """As `max_pool1d`, of images (n, c, h, w) or (c, h, w). Indices count through a plane, row by
    row.

    >>> import tinynet as tn
    >>> x = tn.arange(16.0).reshape(1, 4, 4)
    >>> max_pool2d(x, 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(2, input, *window, return_indices)


def max_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """As `max_pool1d`, of volumes (n, c, d, h, w) or (c, d, h, w).

    >>> import tinynet as tn
    >>> max_pool3d(tn.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[7.]]]])
    """
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(3, input, *window, return_indices)


def _max_pool(
    axes: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x = planes(input, axes, f"max_pool{axes}d")
    options = _geometry(axes, kernel_size, stride, padding)
    options["dilation"] = per_axis("dilation", dilation, axes, 1)
    y = _max.op(x, **options, ceil_mode=ceil_mode)
    if not return_indices:
        return y
    return y, Tensor(_max.indices(x.array, **options, ceil_mode=ceil_mode))


def adaptive_max_pool1d(input: Any, output_size: Sizes, return_indices: bool = False) -> Any:
    """`output_size` maxima, whatever the length. Shapes: (n, c, l) or (c, l) -> (…, output_size).

    Window i goes from ⌊i l / m⌋ to ⌈(i + 1) l / m⌉. With `return_indices` also where each maximum
    was. Derived in `tinynet/derivations/adaptive_max_pool.py`.

    >>> import tinynet as tn
    >>> adaptive_max_pool1d(tn.tensor([[1.0, 3.0, 2.0, 5.0, 4.0]]), 2)
    tensor([[3., 5.]])
    """
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool1d`, of images (n, c, h, w) or (c, h, w). None keeps the size of an
    axis; output_size 1 is global max pooling.

    >>> import tinynet as tn
    >>> adaptive_max_pool2d(tn.arange(12.0).reshape(1, 3, 4), (1, 2))
    tensor([[[ 9., 11.]]])
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


def _adaptive_max_pool(axes: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    x = planes(input, axes, f"adaptive_max_pool{axes}d")
    size = _outputs(x, axes, output_size)
    y = _adaptive_max.op(x, output_size=size)
    if not return_indices:
        return y
    return y, Tensor(_adaptive_max.indices(x.array, output_size=size))


def _outputs(input: Any, axes: int, output_size: Any) -> tuple[int, ...]:
    """The sizes asked for; None keeps the input's."""
    kept = input.shape[-axes:]
    if isinstance(output_size, list | tuple) and len(output_size) in (1, axes):
        wanted = output_size * axes if len(output_size) == 1 else output_size
        output_size = [n if m is None else m for n, m in zip(kept, wanted, strict=True)]
    return kept if output_size is None else per_axis("output_size", output_size, axes, 0)


# -- the way back ----------------------------------------------------------------------------------


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Any = None,
) -> Any:
    """Each entry at the place where `max_pool1d` found it, zeros elsewhere.

    Shapes: input and indices (n, c, m) or (c, m), y (…, l), l = (m − 1)·stride + kernel_size −
    2·padding, or `output_size` where several lengths give the same m. Raises OutOfRangeError for
    an index that has no place. An index that occurs twice keeps the last entry.

    >>> import tinynet as tn
    >>> y, indices = max_pool1d(tn.tensor([[1.0, 3.0, 2.0, 2.0]]), 2, return_indices=True)
    >>> max_unpool1d(y, indices, 2)
    tensor([[0., 3., 2., 0.]])
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Any = None,
) -> Any:
    """As `max_unpool1d`, of images (n, c, h, w) or (c, h, w).

    >>> import tinynet as tn
    >>> max_unpool2d(tn.tensor([[[5.0]]]), tn.tensor([[[2]]]), 2)
    tensor([[[0., 0.],
             [5., 0.]]])
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    axes: int,
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Any:
    name = f"max_unpool{axes}d"
    x = planes(input, axes, name)
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices are whole numbers", got=describe(indices))
    if indices.shape != x.shape:
        raise ShapeError(
            f"{name}: one index for each entry", got=f"{describe(x)}, {describe(indices)}"
        )
    size = _unpooled_size(axes, x, _geometry(axes, kernel_size, stride, padding), output_size)
    lead, places = x.shape[:-axes], math.prod(size)
    ids = indices.array
    if math.prod(x.shape) and not 0 <= int(ids.min()) <= int(ids.max()) < places:
        raise OutOfRangeError(
            f"{name}: an index has no place",
            expected=f"0 … {places - 1}",
            got=f"{int(ids.min())} … {int(ids.max())}",
        )
    rows = (*lead, math.prod(x.shape[-axes:]))
    empty = Tensor(np.zeros((*lead, places), dtype=x.dtype, like=x.array))
    filled = empty.scatter(-1, indices.reshape(rows), x.reshape(rows))
    return filled.reshape((*lead, *size))


def _unpooled_size(axes: int, x: Any, window: dict[str, Any], output_size: Any) -> tuple[int, ...]:
    """The size before pooling: the smallest by default, or one that gives the same after it."""
    kernel, stride, padding = window["kernel"], window["stride"], window["padding"]
    usual = tuple(
        (m - 1) * s + k - 2 * p
        for m, k, s, p in zip(x.shape[-axes:], kernel, stride, padding, strict=True)
    )
    if output_size is None:
        return usual
    size = tuple(output_size)[-axes:]
    if len(output_size) not in (axes, axes + 2) or not all(
        n - s < m < n + s for m, n, s in zip(size, usual, stride, strict=True)
    ):
        raise ArgumentError(
            f"max_unpool{axes}d: no such input was pooled",
            expected=f"less than {stride} from {usual}",
            got=f"{tuple(output_size)}",
        )
    return size


# -- means -----------------------------------------------------------------------------------------


@summed_in_float32
def avg_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window. Shapes as in `max_pool1d`; the padding is 0.

    Zeros of the padding count as entries unless `count_include_pad` is False. Derived in
    `tinynet/derivations/avg_pool.py`.

    >>> import tinynet as tn
    >>> x = tn.tensor([[1.0, 3.0, 2.0, 6.0]])
    >>> avg_pool1d(x, 2), avg_pool1d(x, 2, padding=1, count_include_pad=False)
    (tensor([[2., 4.]]), tensor([[1.0000, 2.5000, 6.0000]]))
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@summed_in_float32
def avg_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """As `avg_pool1d`, of images (n, c, h, w) or (c, h, w). `divisor_override` divides all sums.

    >>> import tinynet as tn
    >>> x = tn.arange(4.0).reshape(1, 2, 2)
    >>> avg_pool2d(x, 2), avg_pool2d(x, 2, divisor_override=1)
    (tensor([[[1.5000]]]), tensor([[[6.]]]))
    """
    how = (ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(2, input, kernel_size, stride, padding, *how)


@summed_in_float32
def avg_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """As `avg_pool2d`, of volumes (n, c, d, h, w) or (c, d, h, w).

    >>> import tinynet as tn
    >>> avg_pool3d(tn.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[3.5000]]]])
    """
    how = (ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(3, input, kernel_size, stride, padding, *how)


def _avg_pool(
    axes: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    return _avg.op(
        planes(input, axes, f"avg_pool{axes}d"),
        **_geometry(axes, kernel_size, stride, padding),
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor=divisor,
    )


@summed_in_float32
def adaptive_avg_pool1d(input: Any, output_size: Sizes) -> Any:
    """`output_size` means, whatever the length. Shapes: (n, c, l) or (c, l) -> (…, output_size).

    Windows as in `adaptive_max_pool1d`. Derived in `tinynet/derivations/adaptive_avg_pool.py`.

    >>> import tinynet as tn
    >>> adaptive_avg_pool1d(tn.tensor([[1.0, 3.0, 2.0, 6.0, 4.0]]), 2)
    tensor([[2., 4.]])
    """
    return _adaptive_avg_pool(1, input, output_size)


@summed_in_float32
def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """As `adaptive_avg_pool1d`, of images (n, c, h, w) or (c, h, w). None keeps the size of an
    axis; output_size 1 is global average pooling.

    >>> import tinynet as tn
    >>> adaptive_avg_pool2d(tn.arange(12.0).reshape(1, 3, 4), 1)
    tensor([[[5.5000]]])
    """
    return _adaptive_avg_pool(2, input, output_size)


@summed_in_float32
def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """As `adaptive_avg_pool2d`, of volumes (n, c, d, h, w) or (c, d, h, w).

    >>> import tinynet as tn
    >>> adaptive_avg_pool3d(tn.arange(8.0).reshape(1, 2, 2, 2), (2, 1, 1))
    tensor([[[[1.5000]],
    <BLANKLINE>
             [[5.5000]]]])
    """
    return _adaptive_avg_pool(3, input, output_size)


def _adaptive_avg_pool(axes: int, input: Any, output_size: Any) -> Any:
    x = planes(input, axes, f"adaptive_avg_pool{axes}d")
    return _adaptive_avg.op(x, output_size=_outputs(x, axes, output_size))


# -- between the two -------------------------------------------------------------------------------


@summed_in_float32
def lp_pool1d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """y_i = (Σ x_q^p)^(1/p) over each window, p = norm_type: the sum for p = 1, the largest |x_q|
    for p = ∞. Shapes as in `max_pool1d`.

    It is x_q^p, not |x_q|^p: with an odd p, negative entries count negatively, as in PyTorch. The
    gradient where the sum is 0 is taken as 0. A window that hangs over the end (`ceil_mode`) is
    scaled up as if it were whole.

    >>> import tinynet as tn
    >>> x = tn.tensor([[3.0, 4.0, -6.0, 8.0]])
    >>> lp_pool1d(x, 2, 2), lp_pool1d(x, 1, 2), lp_pool1d(x, float("inf"), 2)
    (tensor([[ 5., 10.]]), tensor([[7., 2.]]), tensor([[4., 8.]]))
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@summed_in_float32
def lp_pool2d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """As `lp_pool1d`, of images (n, c, h, w) or (c, h, w).

    >>> import tinynet as tn
    >>> lp_pool2d(tn.tensor([[[1.0, 1.0], [1.0, 1.0]]]), 2, 2)
    tensor([[[2.]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(
    axes: int, input: Any, p: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Any:
    if p == 0:
        raise ArgumentError(f"lp_pool{axes}d: there is no norm of order 0")
    x, window = planes(input, axes, f"lp_pool{axes}d"), (kernel_size, stride)
    if math.isinf(p):
        sign = math.copysign(1, p)
        return sign * _max_pool(axes, sign * abs(x), *window, 0, 1, ceil_mode, False)
    whole = math.prod(per_axis("kernel_size", kernel_size, axes, 1))
    total = whole * _avg_pool(axes, x**p, *window, 0, ceil_mode, True, None)
    return np.where(total == 0, 0, np.where(total == 0, 1, total) ** (1 / p))
