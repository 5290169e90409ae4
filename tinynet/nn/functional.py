"""Layers without memory: weights are arguments. The formulas stand in `derivations` and `ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.derivations import bce, mse
from tinynet.derivations import cross_entropy as _cross_entropy
from tinynet.derivations import dropout as _dropout
from tinynet.derivations import linear as _linear
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, describe
from tinynet.ops.public import exports
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor

relu = exports["relu"]
tanh = exports["tanh"]
sigmoid = exports["sigmoid"]
softmax = exports["softmax"]
log_softmax = exports["log_softmax"]


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x Wᵀ + b. Shapes: input (…, in), weight (out, in), bias (out,) or None, y (…, out).

    Raises ShapeError where the sizes do not fit. Derived in `tinynet/derivations/linear.py`.

    >>> import tinynet as tn
    >>> linear(tn.tensor([1.0, 2.0]), tn.tensor([[3.0, 4.0]]), tn.tensor([0.5]))
    tensor([11.5000])
    """
    if bias is None:
        return _linear.op(input, weight)
    return _linear.op(input, weight, bias)


def dropout(
    input: Any, p: float = 0.5, training: bool = True, *, generator: Generator | None = None
) -> Any:
    """While training, each entry 0 with probability p, else divided by 1 − p; else the input.

    Raises ArgumentError unless 0 <= p <= 1. Derived in `tinynet/derivations/dropout.py`.

    >>> import tinynet as tn
    >>> dropout(tn.ones(3), p=0.9, training=False)
    tensor([1., 1., 1.])
    """
    if not 0 <= p <= 1:
        raise ArgumentError("dropout: a probability lies between 0 and 1", got=f"p = {p}")
    if not training or p == 0:
        return input
    source = generator or default_generator(arrays.device_of(input.array))
    drawn = source.random(input.shape, arrays.float32)
    return _dropout.op(input, Tensor(drawn >= p), p=p)


def cross_entropy(
    input: Any, target: Any, *, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """−log softmax(input) at the true class. Derived in `tinynet/derivations/cross_entropy.py`.

    Shapes: input (C,), (n, C) or (n, C, d1, …), scores; target whole numbers 0 … C − 1, of the
    input's shape without C. Targets equal to `ignore_index` do not count. `reduction` is 'none',
    'mean' or 'sum'. Raises ShapeError, DTypeError, or OutOfRangeError for a class there is not.

    >>> import tinynet as tn
    >>> cross_entropy(tn.zeros(2, 10), tn.tensor([3, 7]))  # knows nothing: log 10
    tensor(2.3026)
    """
    return _cross_entropy.op(input, target, reduction=reduction, ignore_index=ignore_index)


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """(input − target)², averaged over all entries. Derived in `tinynet/derivations/mse.py`.

    Raises ShapeError unless both have one shape: (n, 1) against (n,) would compare all pairs.

    >>> import tinynet as tn
    >>> mse_loss(tn.tensor([1.0, 4.0]), tn.tensor([0.0, 2.0]))
    tensor(2.5000)
    """
    return mse.op(input, target, reduction=reduction)


def binary_cross_entropy_with_logits(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """−log of the probability that sigmoid(input) gives to the label, 0 or 1 or between.

    Raises ShapeError unless both have one shape. Derived in `tinynet/derivations/bce.py`.

    >>> import tinynet as tn
    >>> binary_cross_entropy_with_logits(tn.tensor([0.0, 8.0]), tn.tensor([1.0, 0.0]))
    tensor(4.3467)
    """
    return bce.op(input, target, reduction=reduction)


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Row c of the identity matrix for each class id c. Shape (…) -> (…, num_classes), int64.

    −1 takes the largest id plus one. Raises OutOfRangeError for an id outside of the classes.

    >>> import tinynet as tn
    >>> one_hot(tn.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    ids = tensor.array
    if ids.dtype.kind not in "iu":
        raise DTypeError("one_hot: class ids are whole numbers", got=describe(tensor))
    if num_classes == -1:
        if not ids.size:
            raise ShapeError("one_hot of nothing needs num_classes", got=describe(tensor))
        num_classes = int(ids.max()) + 1
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < num_classes:
        raise OutOfRangeError(
            "one_hot: a class id is out of range",
            expected=f"0 … {num_classes - 1}",
            got=f"{int(ids.min())} … {int(ids.max())}",
        )
    names = np.arange(num_classes, like=ids)
    return Tensor((np.expand_dims(ids, -1) == names).astype(arrays.int64))
