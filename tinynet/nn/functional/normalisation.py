"""Normalisation without memory: statistics and weights are arguments. The proofs stand in
`derivations`: `batch_norm`, `layer_norm`, `group_norm`, `rms_norm`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.derivations import batch_norm as _batch_norm
from tinynet.derivations import group_norm as _group_norm
from tinynet.derivations import layer_norm as _layer_norm
from tinynet.derivations import rms_norm as _rms_norm
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.grad_mode import no_grad
from tinynet.kernels.choice import find
from tinynet.nn.functional.precision import summed_in_float32
from tinynet.ops.elementwise import clamp
from tinynet.ops.linalg import vector_norm
from tinynet.tensor import Tensor, raw


@summed_in_float32
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel minus its mean, over √(variance + eps), times `weight`, plus `bias`.

    Shapes: input (n, c) or (n, c, …); the others (c,) or None. While training, mean and variance
    are those of the batch, and the running ones, where given, move towards them: r ← (1 − momentum)
    r + momentum · new, in place, with the unbiased variance. Else the running ones are used. Raises
    ShapeError where the sizes do not fit, or where a channel has one value only while training;
    ArgumentError where there are no statistics. Derived in `tinynet/derivations/batch_norm.py`.

    >>> import tinynet as tn
    >>> x, mean, var = tn.tensor([[1.0], [3.0]]), tn.zeros(1), tn.ones(1)
    >>> batch_norm(x, mean, var, training=True), mean, var
    (tensor([[-1.0000],
            [ 1.0000]]), tensor([0.2000]), tensor([1.1000]))
    """
    _check_channels("batch_norm", input, running_mean, running_var, weight, bias)
    affine = _affine(weight, bias, input.shape[1:2], input)
    if not training:
        return _with_running("batch_norm", input, running_mean, running_var, affine, eps)
    if math.prod((input.shape[0], *input.shape[2:])) == 1:
        raise ShapeError(
            "batch_norm: more than 1 value for each channel is expected when training",
            got=describe(input),
            hint="a larger batch, or layer.eval()",
        )
    if running_mean is not None and math.prod(input.shape):
        _move(running_mean, running_var, momentum, *_statistics(raw(input), eps))
    return _batch_norm.op(input, *affine, eps=eps)


@summed_in_float32
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel of each sample standardised by itself: `group_norm` with c groups.

    Shapes: input (n, c, …), the others (c,) or None. Running statistics, where given, move towards
    the averages over the samples; they are used where not `use_input_stats`. Raises ShapeError
    where the sizes do not fit, or where a channel of a sample has one value only; ArgumentError
    where there are no statistics.

    >>> import tinynet as tn
    >>> instance_norm(tn.tensor([[[1.0, 3.0], [0.0, 100.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    _check_channels("instance_norm", input, running_mean, running_var, weight, bias)
    affine = _affine(weight, bias, input.shape[1:2], input)
    if not use_input_stats:
        return _with_running("instance_norm", input, running_mean, running_var, affine, eps)
    if math.prod(input.shape[2:]) == 1:
        raise ShapeError(
            "instance_norm: more than 1 value for each channel of a sample is expected",
            expected="(n, c, …) with more than one position",
            got=describe(input),
        )
    if running_mean is not None and math.prod(input.shape):
        found = _batch_norm.statistics(raw(input), tuple(range(2, input.ndim)))
        _move(running_mean, running_var, momentum, *(np.mean(s, axis=0) for s in found))
    return _group_norm.op(input, *affine, groups=input.shape[1], eps=eps)


@summed_in_float32
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Each sample's channels standardised in `num_groups` groups; times `weight`, plus `bias`.

    Shapes: input (n, c, …), weight and bias (c,) or None. Raises ShapeError where the sizes do not
    fit, or the channels do not fall into groups of equal size. Derived in
    `tinynet/derivations/group_norm.py`.

    >>> import tinynet as tn
    >>> group_norm(tn.tensor([[1.0, 3.0, 0.0, 100.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    affine = _affine(weight, bias, input.shape[1:2], input)
    return _group_norm.op(input, *affine, groups=num_groups, eps=eps)


@summed_in_float32
def layer_norm(
    input: Any,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Each sample standardised over its last axes; times `weight`, plus `bias`.

    Shapes: input (…, *normalized_shape), weight and bias of `normalized_shape` or None. Raises
    ShapeError where the sizes do not fit. Derived in `tinynet/derivations/layer_norm.py`.

    >>> import tinynet as tn
    >>> layer_norm(tn.tensor([[1.0, 3.0], [0.0, 100.0]]), (2,))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    shape = _last_axes("layer_norm", input, normalized_shape)
    affine = _affine(weight, bias, shape, input)
    return _layer_norm.op(input, *affine, dims=len(shape), eps=eps)


@summed_in_float32
def rms_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """Each sample divided by √(mean of its squares + eps) over its last axes, times `weight`.

    Shapes and errors as for `layer_norm`. `eps` is the dtype's own, the step from 1 to the next
    number, where none is given. Derived in `tinynet/derivations/rms_norm.py`.

    >>> import tinynet as tn
    >>> rms_norm(tn.tensor([3.0, 4.0, 0.0, 0.0]), (4,))
    tensor([1.2000, 1.6000, 0.0000, 0.0000])
    """
    shape = _last_axes("rms_norm", input, normalized_shape)
    if eps is None:
        kept = dtypes.is_floating(input.dtype)
        eps = float(np.finfo(input.dtype if kept else dtypes.get_default_dtype()).eps)
    return _rms_norm.op(input, *_affine(weight, None, shape, input), dims=len(shape), eps=eps)


@summed_in_float32
def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """y_c = x_c / (k + α · mean of the squares of `size` channels around c)^β; beyond the first and
    the last channel there are zeros.

    Shapes: input (n, c, …), at least one axis of positions. Raises ShapeError, or ArgumentError
    unless size > 0. Source: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
    Convolutional Neural Networks", 2012, there with the sum in place of the mean.

    >>> import tinynet as tn
    >>> local_response_norm(tn.ones(1, 3, 1), size=2, alpha=1.0, beta=1.0).flatten()
    tensor([0.6667, 0.5000, 0.5000])
    """
    if input.ndim < 3:
        raise ShapeError("local_response_norm: (n, c, …) is expected", got=describe(input))
    if not hasattr(size, "__index__") or size < 1:
        raise ArgumentError("local_response_norm: size is a whole number from 1 on", got=f"{size}")
    channels = input.shape[1]
    rest = ((0, 0),) * (input.ndim - 2)
    around = np.pad(np.square(input), ((0, 0), (size // 2, (size - 1) // 2), *rest))
    squares = around[:, :channels]
    for j in range(1, size):
        squares = squares + around[:, j : j + channels]
    return input / (k + alpha / size * squares) ** beta


@summed_in_float32
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """Vectors along `dim` divided by their p-norm; norms below `eps` are taken as eps.

    >>> import tinynet as tn
    >>> normalize(tn.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return input / clamp(vector_norm(input, p, dim, keepdim=True), min=eps)


# -- what they share -------------------------------------------------------------------------------


def _affine(weight: Any, bias: Any, shape: tuple[int, ...], like: Any) -> tuple[Any, ...]:
    """The inputs of the derivation: (weight, bias), (weight,) or ()."""
    if bias is None:
        return () if weight is None else (weight,)
    if weight is None:
        weight = Tensor(np.ones(shape, dtype=like.dtype, like=raw(like)))
    return (weight, bias)


def _check_channels(name: str, input: Any, *of_channels: Any) -> None:
    if input.ndim < 2:
        raise ShapeError(f"{name}: (n, c) or (n, c, …) is expected", got=describe(input))
    names = ("running_mean", "running_var", "weight", "bias")
    for what, x in zip(names, of_channels, strict=True):
        if x is not None and x.shape != input.shape[1:2]:
            raise ShapeError(
                f"{name}: {what} does not fit the channels of {describe(input)}",
                expected=str(input.shape[1:2]),
                got=describe(x),
            )
    if (of_channels[0] is None) != (of_channels[1] is None):
        raise ArgumentError(f"{name}: running_mean and running_var are given together")


def _with_running(
    name: str, input: Any, mean: Any, var: Any, affine: tuple[Any, ...], eps: float
) -> Any:
    if mean is None:
        raise ArgumentError(
            f"{name}: there are no running statistics to evaluate with",
            hint="training=True" if name == "batch_norm" else "use_input_stats=True",
        )
    return _batch_norm.with_statistics(input, mean.detach(), var.detach(), *affine, eps=eps)


def _statistics(x: Any, eps: float) -> tuple[Any, Any]:
    """Mean and unbiased variance of each channel, by a kernel where one computes batch norm."""
    if isinstance(x, np.ndarray) and find("batch_norm", (x,), {"eps": eps}) is not None:
        from tinynet.kernels.normalisation import statistics

        return statistics(x)
    return _batch_norm.statistics(x, (0, *range(2, x.ndim)))


def _move(mean: Any, var: Any, momentum: float, new_mean: Any, new_var: Any) -> None:
    """r ← (1 − momentum) r + momentum · new, in place."""
    with no_grad():
        for running, new in ((mean, new_mean), (var, new_var)):
            running *= 1 - momentum
            running += Tensor(momentum * new)


def _last_axes(name: str, input: Any, normalized_shape: Any) -> tuple[int, ...]:
    if not isinstance(normalized_shape, Sequence) or isinstance(normalized_shape, str):
        raise ArgumentError(
            f"{name}: normalized_shape is the sizes of the last axes",
            expected=f"({input.shape[-1] if input.ndim else 'd'},)",
            got=repr(normalized_shape),
        )
    shape = tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"{name}: the input does not end with the normalised axes",
            expected=f"(…, {', '.join(map(str, shape))})",
            got=describe(input),
        )
    return shape
