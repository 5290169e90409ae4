"""Pooling and upsampling as modules: they hold no weights. What they compute stands in
`functional.pooling` and `functional.upsampling`.
"""

from __future__ import annotations

from typing import Any

from tinynet.derivations.windows import per_axis
from tinynet.nn import functional
from tinynet.nn.module import Module


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def _window(self) -> tuple[Any, ...]:
        window = (self.kernel_size, self.stride, self.padding, self.dilation)
        return (*window, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest entry of each window; see `functional.max_pool1d`. (n, c, l) -> (n, c, m).

    >>> import tinynet as tn
    >>> MaxPool1d(2)(tn.tensor([[1.0, 3.0, 2.0, 5.0]]))
    tensor([[3., 5.]])
    """

    def forward(self, input: Any) -> Any:
        return functional.max_pool1d(input, *self._window())


class MaxPool2d(_MaxPool):
    """The largest entry of each window of images (n, c, h, w); see `functional.max_pool2d`.

    >>> import tinynet as tn
    >>> MaxPool2d(3, stride=2, padding=1)(tn.ones(1, 8, 6, 6)).shape
    (1, 8, 3, 3)
    """

    def forward(self, input: Any) -> Any:
        return functional.max_pool2d(input, *self._window())


class MaxPool3d(_MaxPool):
    """The largest entry of each window of volumes (n, c, d, h, w); see `functional.max_pool3d`."""

    def forward(self, input: Any) -> Any:
        return functional.max_pool3d(input, *self._window())


class AvgPool1d(Module):
    """The mean of each window; see `functional.avg_pool1d`. (n, c, l) -> (n, c, m).

    >>> import tinynet as tn
    >>> AvgPool1d(2)(tn.tensor([[1.0, 3.0, 2.0, 6.0]]))
    tensor([[2., 4.]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = per_axis("kernel_size", kernel_size, 1, 1)
        self.stride = self.kernel_size if stride is None else per_axis("stride", stride, 1, 1)
        self.padding = per_axis("padding", padding, 1, 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Any) -> Any:
        window = (self.kernel_size, self.stride, self.padding)
        return functional.avg_pool1d(input, *window, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def _window(self) -> tuple[Any, ...]:
        window = (self.kernel_size, self.stride, self.padding)
        return (*window, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window of images (n, c, h, w); see `functional.avg_pool2d`.

    >>> import tinynet as tn
    >>> AvgPool2d(2)(tn.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
    tensor([[[3.]]])
    """

    def forward(self, input: Any) -> Any:
        return functional.avg_pool2d(input, *self._window())


class AvgPool3d(_AvgPool):
    """The mean of each window of volumes (n, c, d, h, w); see `functional.avg_pool3d`."""

    def forward(self, input: Any) -> Any:
        return functional.avg_pool3d(input, *self._window())


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """`output_size` means of (n, c, l), whatever l; see `functional.adaptive_avg_pool1d`."""

    def forward(self, input: Any) -> Any:
        return functional.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of images (n, c, h, w): as many as `output_size` says, 1 for global average pooling.

    >>> import tinynet as tn
    >>> AdaptiveAvgPool2d(1)(tn.ones(2, 8, 7, 5)).shape
    (2, 8, 1, 1)
    """

    def forward(self, input: Any) -> Any:
        return functional.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of volumes (n, c, d, h, w): as many as `output_size` says."""

    def forward(self, input: Any) -> Any:
        return functional.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPool(Module):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """`output_size` maxima of (n, c, l), whatever l; see `functional.adaptive_max_pool1d`."""

    def forward(self, input: Any) -> Any:
        return functional.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima of images (n, c, h, w): as many as `output_size` says, 1 for global max pooling."""

    def forward(self, input: Any) -> Any:
        return functional.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class _LPPool(Module):
    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def _window(self) -> tuple[Any, ...]:
        return float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(Σ x^p)^(1/p) of each window of (n, c, l); see `functional.lp_pool1d`."""

    def forward(self, input: Any) -> Any:
        return functional.lp_pool1d(input, *self._window())


class LPPool2d(_LPPool):
    """(Σ x^p)^(1/p) of each window of images (n, c, h, w); see `functional.lp_pool1d`."""

    def forward(self, input: Any) -> Any:
        return functional.lp_pool2d(input, *self._window())


class _MaxUnpool(Module):
    axes: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = per_axis("kernel_size", kernel_size, self.axes, 1)
        stride = kernel_size if stride is None else stride
        self.stride = per_axis("stride", stride, self.axes, 1)
        self.padding = per_axis("padding", padding, self.axes, 0)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Each entry of (n, c, m) where `MaxPool1d` found it, zeros elsewhere; see
    `functional.max_unpool1d`.
    """

    axes = 1

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        window = (self.kernel_size, self.stride, self.padding)
        return functional.max_unpool1d(input, indices, *window, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Each entry of images (n, c, h, w) where `MaxPool2d` found it, zeros elsewhere; see
    `functional.max_unpool1d`.

    >>> import tinynet as tn
    >>> pool, back = MaxPool2d(2, return_indices=True), MaxUnpool2d(2)
    >>> back(*pool(tn.tensor([[[1.0, 4.0], [3.0, 2.0]]])))
    tensor([[[0., 4.],
             [0., 0.]]])
    """

    axes = 2

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        window = (self.kernel_size, self.stride, self.padding)
        return functional.max_unpool2d(input, indices, *window, output_size)


class Upsample(Module):
    """The input (n, c, …) resampled to `size` or by `scale_factor`; see `functional.interpolate`.

    >>> import tinynet as tn
    >>> Upsample(scale_factor=2, mode="bilinear")(tn.ones(1, 3, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        if isinstance(scale_factor, tuple):
            self.scale_factor: Any = tuple(map(float, scale_factor))
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Any) -> Any:
        how = (self.mode, self.align_corners, self.recompute_scale_factor)
        return functional.interpolate(input, self.size, self.scale_factor, *how)

    def extra_repr(self) -> str:
        sized = f"size={self.size!r}"
        if self.scale_factor is not None:
            sized = f"scale_factor={self.scale_factor!r}"
        return f"{sized}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images (n, c, h, w) with mode "nearest"."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images (n, c, h, w) with mode "bilinear" and align_corners=True."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
