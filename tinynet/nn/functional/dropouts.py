"""Dropout of whole channels, and dropout that keeps the mean and variance of SELU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.derivations import dropout as _dropout
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.ops.inplace import in_place
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor


def _kept(shape: Any, device: Any, p: float, generator: Generator | None) -> Any:
    """True with probability 1 − p."""
    source = generator or default_generator(device)
    return source.random(tuple(shape), arrays.float32) >= p


def _probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ArgumentError("dropout: a probability lies between 0 and 1", got=f"p = {p}")


def _of_channels(
    input: Any, p: float, training: bool, inplace: bool, axes: int, generator: Generator | None
) -> Any:
    """`axes` counts those of a batch: (n, c, …) or, with one less, (c, …)."""
    _probability(p)
    if input.ndim not in (axes - 1, axes):
        raise ShapeError(f"{axes - 1} or {axes} axes are expected", got=describe(input))
    if not training or p == 0:
        return input
    lead = input.shape[: input.ndim - axes + 2]
    mask = _kept(lead, input.device, p, generator).reshape(*lead, *(1,) * (axes - 2))
    function = in_place(_dropout.op) if inplace else _dropout.op
    return function(input, Tensor(np.broadcast_to(mask, input.shape)), p=p)


def dropout1d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """While training, each channel 0 with probability p, else divided by 1 − p; else the input.

    Shapes: (n, c, t) or (c, t). Raises ShapeError for others, ArgumentError unless 0 <= p <= 1.
    """
    return _of_channels(input, p, training, inplace, 3, generator)


def dropout2d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`dropout1d` of the channels of images. Shapes: (n, c, h, w); (n, c, t) as in `dropout1d`.

    >>> import tinynet as tn
    >>> y = dropout2d(tn.ones(2, 5, 3, 3))
    >>> bool((y == y[:, :, :1, :1]).all())
    True
    """
    return _of_channels(input, p, training, inplace, max(input.ndim, 3), generator)


def dropout3d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`dropout1d` of the channels of volumes. Shapes: (n, c, d, h, w) or (c, d, h, w)."""
    return _of_channels(input, p, training, inplace, 5, generator)


def alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """While training, with probability p the value v to which `selu` levels off; then a x + b, such
    that mean 0 and variance 1 are kept: a = (1 − p)^−½ (1 + p v²)^−½, b = −a p v.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017, section 3.
    """
    _probability(p)
    if not training or p == 0:
        return input
    if p == 1:
        return (in_place(_scaled) if inplace else _scaled)(input, 0)
    v = -1.7580993408473766
    a = 1 / math.sqrt((1 - p) * (1 + p * v * v))
    kept = Tensor(_kept(input.shape, input.device, p, generator))

    def function(x: Any) -> Any:
        return np.where(kept, x, v) * a - a * p * v

    return (in_place(function) if inplace else function)(input)


def _scaled(x: Any, factor: float) -> Any:
    return x * factor
