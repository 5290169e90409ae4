"""Dropout in all its forms. The masks are drawn here; `derivations/dropout.py` has the formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.derivations import dropout as _dropout
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.ops.inplace import in_place
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """While training, each entry 0 with probability p, else divided by 1 − p; else the input.

    Raises ArgumentError unless 0 <= p <= 1. Derived in `tinynet/derivations/dropout.py`.

    >>> import tinynet as tn
    >>> dropout(tn.ones(3), p=0.9, training=False)
    tensor([1., 1., 1.])
    """
    return _dropped(_zeroed, "dropout", input, input.shape, p, training, inplace, generator)


def dropout1d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """While training, each channel 0 with probability p, else divided by 1 − p; else the input.

    Neighbours in a channel carry almost the same: to drop one of them alone would drop little.
    Shapes: (n, c, l) or (c, l). Raises ShapeError, or ArgumentError unless 0 <= p <= 1.

    >>> import tinynet as tn
    >>> y = dropout1d(tn.ones(100, 3))
    >>> bool((y.amin(1) == y.amax(1)).all())
    True
    """
    shape = _channels("dropout1d", input, 2, 3)
    return _dropped(_zeroed, "dropout1d", input, shape, p, training, inplace, generator)


def dropout2d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`dropout1d` for images (n, c, h, w). As in PyTorch, three axes are read as (n, c, l)."""
    _channels("dropout2d", input, 3, 4)
    shape = _of_channels(input, 2)
    return _dropped(_zeroed, "dropout2d", input, shape, p, training, inplace, generator)


def dropout3d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`dropout1d` for volumes (n, c, d, h, w) or (c, d, h, w)."""
    shape = _channels("dropout3d", input, 4, 5)
    return _dropped(_zeroed, "dropout3d", input, shape, p, training, inplace, generator)


def alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """While training, each entry with probability p at the low end of selu; then all scaled and
    shifted so that mean 0 and variance 1 stay; else the input.

    Raises ArgumentError unless 0 <= p <= 1. `derivations/dropout.py` has the factors.

    >>> import tinynet as tn
    >>> y = alpha_dropout(tn.randn(10_000), p=0.2, training=True)
    >>> abs(float(y.mean())) < 0.05, abs(float(y.var()) - 1) < 0.1
    (True, True)
    """
    return _dropped(_replaced, "alpha_dropout", input, input.shape, p, training, inplace, generator)


def feature_alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`alpha_dropout` of whole channels. Shapes: (n, c, …)."""
    name = "feature_alpha_dropout"
    if training and input.ndim < 2:
        raise ShapeError(f"{name}: (n, c, …) is expected", got=describe(input))
    shape = _of_channels(input, 2)
    return _dropped(_replaced, name, input, shape, p, training, inplace, generator)


# -- what they share -------------------------------------------------------------------------------


def _channels(name: str, input: Any, without_batch: int, with_batch: int) -> tuple[int, ...]:
    """The shape of a mask with one entry for each channel."""
    if input.ndim not in (without_batch, with_batch):
        raise ShapeError(
            f"{name}: the number of axes does not fit",
            expected=f"{without_batch} or {with_batch} axes",
            got=describe(input),
        )
    return _of_channels(input, input.ndim - without_batch + 1)


def _of_channels(input: Any, kept: int) -> tuple[int, ...]:
    return (*input.shape[:kept], *(1,) * (input.ndim - kept))


def _dropped(
    rule: Callable[[Any, Tensor, float], Any],
    name: str,
    input: Any,
    shape: tuple[int, ...],
    p: float,
    training: bool,
    inplace: bool,
    generator: Any,
) -> Any:
    """The rule applied with a mask of this shape: True, kept, with probability 1 − p."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: a probability lies between 0 and 1", got=f"p = {p}")
    if not training or p == 0:
        return input
    source = generator or default_generator(arrays.device_of(input.array))
    mask = Tensor(source.random(tuple(shape), dtypes.float32) >= p)
    return (in_place(rule) if inplace else rule)(input, mask, p)


def _zeroed(x: Any, mask: Tensor, p: float) -> Any:
    return _dropout.op(x, mask, p=p)


def _replaced(x: Any, mask: Tensor, p: float) -> Any:
    scale, shift = _dropout.alpha_scale_and_shift(p)
    return np.where(mask, x, _dropout.LOW) * scale + shift
