"""Normalisation as modules: weights, running statistics and modes. What they compute stands in
`functional.normalisation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.nn import functional, init
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter
from tinynet.tensor import Tensor


class _Affine(Module):
    """A weight that starts at 1 and a bias that starts at 0, or neither."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, shape: tuple[int, ...], weight: bool, bias: bool, dtype: Any) -> None:
        kind = dtype or dtypes.get_default_dtype()
        for name, wanted in (("weight", weight), ("bias", weight and bias)):
            self.register_parameter(name, Parameter(np.empty(shape, kind)) if wanted else None)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


# -- with running statistics -----------------------------------------------------------------------


class _Running(_Affine):
    """Weight and bias of each channel, and running statistics.

    Buffers, where they are tracked: running_mean (c,), running_var (c,), num_batches_tracked ().
    """

    axes: tuple[int, ...]  # how many axes an input may have
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make((num_features,), affine, bias, dtype)
        kind = dtype or dtypes.get_default_dtype()
        buffers = {
            "running_mean": np.empty(num_features, kind),
            "running_var": np.empty(num_features, kind),
            "num_batches_tracked": np.zeros((), dtypes.int64),
        }
        for name, value in buffers.items():
            self.register_buffer(name, Tensor(value) if track_running_stats else None)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        for buffer, value in zip(self.buffers(recurse=False), (0, 1, 0), strict=False):
            buffer.fill_(value)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the running statistics as at the start."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Any) -> None:
        if input.ndim not in self.axes:
            raise ShapeError(
                f"{type(self).__name__}: the number of axes does not fit",
                expected=f"{' or '.join(map(str, self.axes))} axes",
                got=describe(input),
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Any) -> Any:
        self._check(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            if self.momentum is None:  # the average of all batches so far
                momentum = 1 / int(self.num_batches_tracked)
        use_running = self.running_mean is not None
        return functional.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not use_running,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Each channel standardised over the batch; times `weight`, plus `bias`, both (num_features,).

    Shapes: (n, c) or (n, c, l). While training the running statistics move towards those of the
    batch, by `momentum`, or as the average of all batches where it is None; evaluation uses them.
    `track_running_stats=False` always uses the batch. Raises ShapeError for another number of axes
    or channels, or for one value in a channel while training.

    >>> import tinynet as tn
    >>> layer = BatchNorm1d(1)
    >>> layer(tn.tensor([[1.0], [3.0]])).detach(), layer.running_mean
    (tensor([[-1.0000],
            [ 1.0000]]), tensor([0.2000]))
    >>> layer.eval()(tn.tensor([[0.2]])).detach()
    tensor([[0.]])
    """

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images (n, c, h, w).

    >>> import tinynet as tn
    >>> list(BatchNorm2d(3).state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    axes = (4,)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for volumes (n, c, d, h, w)."""

    axes = (5,)


class _InstanceNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Any) -> Any:
        self._check(input)
        one = input.ndim == self.axes[0]  # a sample without a batch
        x = input[None] if one else input
        if x.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: {self.num_features} channels are expected",
                got=describe(input),
            )
        y = functional.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y[0] if one else y


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample standardised by itself. Shapes: (n, c, l) or (c, l).

    Without weight, bias and running statistics unless `affine` and `track_running_stats` say so.

    >>> import tinynet as tn
    >>> InstanceNorm1d(2)(tn.tensor([[1.0, 3.0], [0.0, 100.0]]))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """

    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images (n, c, h, w) or (c, h, w)."""

    axes = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for volumes (n, c, d, h, w) or (c, d, h, w)."""

    axes = (4, 5)


# -- without ---------------------------------------------------------------------------------------


class LayerNorm(_Affine):
    """Each sample standardised over its last axes; times `weight`, plus `bias`, both of
    `normalized_shape`, which may be a number.

    >>> import tinynet as tn
    >>> LayerNorm(2)(tn.tensor([[1.0, 3.0], [0.0, 100.0]])).detach()
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, bias, dtype)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def forward(self, input: Any) -> Any:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """Each sample divided by its root mean square over its last axes; times `weight` of
    `normalized_shape`, which may be a number. There is no bias.

    >>> import tinynet as tn
    >>> RMSNorm(4)(tn.tensor([3.0, 4.0, 0.0, 0.0])).detach()
    tensor([1.2000, 1.6000, 0.0000, 0.0000])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, False, dtype)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def forward(self, input: Any) -> Any:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(_Affine):
    """Each sample's channels standardised in groups; times `weight`, plus `bias`, (num_channels,).

    Raises ArgumentError where the channels do not fall into groups of equal size.

    >>> import tinynet as tn
    >>> GroupNorm(2, 4)(tn.tensor([[1.0, 3.0, 0.0, 100.0]])).detach()
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: {num_channels} channels do not fall into {num_groups} groups of equal "
                "size"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._make((num_channels,), affine, bias, dtype)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def forward(self, input: Any) -> Any:
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Each channel divided by a power of its neighbours' mean square: `functional`'s function."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        return functional.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, int | np.integer):
        return (int(normalized_shape),)
    return tuple(normalized_shape)
