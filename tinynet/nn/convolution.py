"""Convolutions and their adjoints, images as columns, channels as places: names and weights.

What each computes stands in `functional/convolution.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.derivations.windows import per_axis
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional, init
from tinynet.nn.functional.convolution import string_padding
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter


class _Convolution(Module):
    """What all convolutions share: sizes, first weights, their description."""

    axes = 0
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if (
            min(groups, in_channels, out_channels) < 1
            or in_channels % groups + out_channels % groups
        ):
            raise ArgumentError(
                f"{name}: there are channels, cut into groups of equal size",
                expected="groups from 1 on that divide in_channels and out_channels",
                got=f"groups={groups}, in_channels={in_channels}, out_channels={out_channels}",
            )
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if padding_mode not in modes:
            raise ArgumentError(
                f"{name}: no such padding mode",
                expected=", ".join(map(repr, modes)),
                got=repr(padding_mode),
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_axis("kernel_size", kernel_size, self.axes, 1)
        self.stride = per_axis("stride", stride, self.axes, 1)
        self.dilation = per_axis("dilation", dilation, self.axes, 1)
        self.output_padding = per_axis("output_padding", output_padding, self.axes, 0)
        self.padding_mode = padding_mode
        if isinstance(padding, str) and not self.transposed:
            self.padding: Any = padding
            self._ends = string_padding(padding, self.kernel_size, self.stride, self.dilation)
        else:
            self.padding = per_axis("padding", padding, self.axes, 0)
            self._ends = [end for P in reversed(self.padding) for end in (P, P)]
        kind = dtype or dtypes.get_default_dtype()
        channels = (in_channels, out_channels)
        outer, inner = channels if self.transposed else channels[::-1]
        self.weight = Parameter(np.empty((outer, inner // groups, *self.kernel_size), kind))
        self.register_parameter("bias", Parameter(np.empty(out_channels, kind)) if bias else None)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def reset_parameters(self) -> None:
        """Draw the first weights again."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in = math.prod(self.weight.shape[1:])
        if self.bias is not None and fan_in:
            bound = 1 / math.sqrt(fan_in)
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        none, one = (0,) * self.axes, (1,) * self.axes
        usual = {"padding": none, "dilation": one, "output_padding": none, "groups": 1}
        for name, value in usual.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        text += "" if self.bias is not None else ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        channels = (in_channels, out_channels, kernel_size, stride, padding, dilation, 0)
        super().__init__(*channels, groups, bias, padding_mode, device, dtype)

    def forward(self, input: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = functional.pad(input, self._ends, self.padding_mode), 0
        convolve = getattr(functional, f"conv{self.axes}d")
        return convolve(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Conv):
    """`Conv2d` along one axis. Shapes: x (n, C, t) or (C, t), weight (O, C/groups, K).

    >>> import tinynet as tn
    >>> Conv1d(3, 8, 5, padding="same")(tn.ones(2, 3, 10)).shape
    (2, 8, 10)
    """

    axes = 1


class Conv2d(_Conv):
    """y_{n,i,p,q} = b_i + Σ_k Σ_{u,v} W_{i,k,u,v} x_{n,k,ps+ud−P,qs+vd−P}, filters that are learnt.

    padding         entries added at each end; "same": as many as keep the size; "valid": none
    padding_mode    what they are: "zeros", or as in `functional.pad` "reflect", "replicate",
                    "circular"

    Shapes: x (n, C, h, w) or (C, h, w), y (n, O, h', w'), weight (O, C/groups, K_h, K_w), bias
    (O,). Both start uniform on [−1/√f, 1/√f), f = C/groups · K_h K_w, as in PyTorch.

    >>> import tinynet as tn
    >>> layer = Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
    >>> layer(tn.ones(5, 3, 28, 28)).shape, layer.weight.shape
    ((5, 8, 14, 14), (8, 3, 3, 3))
    """

    axes = 2


class Conv3d(_Conv):
    """`Conv2d` along three axes. Shapes: x (n, C, t, h, w) or (C, t, h, w)."""

    axes = 3


class _ConvTranspose(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        channels = (in_channels, out_channels, kernel_size, stride, padding, dilation)
        super().__init__(*channels, output_padding, groups, bias, padding_mode, device, dtype)

    def forward(self, input: Any, output_size: Any = None) -> Any:
        more = self.output_padding if output_size is None else self._missing(input, output_size)
        transpose = getattr(functional, f"conv_transpose{self.axes}d")
        return transpose(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            more,
            self.groups,
            self.dilation,
        )

    def _missing(self, input: Any, output_size: Any) -> tuple[int, ...]:
        """The output padding with which the output has this size."""
        wanted = tuple(output_size)[-self.axes :]
        sizes = zip(
            input.shape[-self.axes :],
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        least = [(n - 1) * s + d * (K - 1) + 1 - 2 * P for n, K, s, P, d in sizes]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        fits = len(wanted) == self.axes and len(output_size) in (self.axes, input.ndim)
        if not fits or any(not a <= n <= b for a, n, b in zip(least, wanted, most, strict=True)):
            raise ShapeError(
                f"{type(self).__name__}: no input of this size has such an output",
                expected=f"{tuple(least)} … {tuple(most)}",
                got=f"output_size={tuple(output_size)}",
            )
        return tuple(n - a for n, a in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """`ConvTranspose2d` along one axis. Shapes: x (n, C, t) or (C, t), weight (C, O/groups, K)."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of `Conv2d` with the same weight: y_{n,j,m} = b_j + Σ_i Σ_{p,u: ps+ud−P=m}
    W_{i,j,u} x_{n,i,p}. With a stride the output is larger than the input.

    Several sizes give one size when they are convolved; `output_size` of a call, or
    `output_padding`, chooses among them.

    Shapes: x (n, C, h, w) or (C, h, w), y (n, O, h', w'), weight (C, O/groups, K_h, K_w), bias
    (O,). Both start uniform on [−1/√f, 1/√f), f = O/groups · K_h K_w, as in PyTorch.

    >>> import tinynet as tn
    >>> layer = ConvTranspose2d(8, 3, kernel_size=3, stride=2, padding=1)
    >>> x = tn.ones(5, 8, 14, 14)
    >>> layer(x).shape, layer(x, output_size=(28, 28)).shape
    ((5, 3, 27, 27), (5, 3, 28, 28))
    """

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """`ConvTranspose2d` along three axes. Shapes: x (n, C, t, h, w) or (C, t, h, w)."""

    axes = 3


# -- images as columns, channels as places ---------------------------------------------------------


class Unfold(Module):
    """Every window of an image as a column. Shapes: x (n, C, h, w), y (n, C·K_h·K_w, places).

    >>> import tinynet as tn
    >>> Unfold((2, 3))(tn.ones(1, 4, 5, 6)).shape
    (1, 24, 16)
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Any) -> Any:
        return functional.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """Columns added up to an image: the adjoint of `Unfold`. Shapes: x (n, C·K_h·K_w, places), y
    (n, C, h, w).

    >>> import tinynet as tn
    >>> Fold((5, 6), (2, 3))(tn.ones(1, 24, 16)).shape
    (1, 4, 5, 6)
    """

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return functional.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class PixelShuffle(Module):
    """Channels to places: (…, C·r², h, w) -> (…, C, h·r, w·r)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Any:
        return functional.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Places to channels: (…, C, h·r, w·r) -> (…, C·r², h, w)."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Any:
        return functional.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
