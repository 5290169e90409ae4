"""From many losses to one number: what `reduction` means in every loss.

    none    ℓ_1 … ℓ_n as they are
    sum     L = Σ_i ℓ_i            ∂L/∂ℓ_i = 1
    mean    L = (1/n) Σ_i ℓ_i      ∂L/∂ℓ_i = 1/n

So a loss derives the gradient of one ℓ_i, and `weight` supplies the factor. The mean keeps the
size of the gradient, and with it the learning rate, independent of the batch. The mean of nothing
is NaN, as in PyTorch. Where samples have weights, n is the sum of the weights.

`classes_of` and `check_classes` say which samples of a classification count, and that their classes
exist.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError


def weight(n: float, reduction: str) -> float:
    """∂L/∂ℓ_i: the factor with which each of n losses counts.

    Raises ArgumentError for a reduction other than 'none', 'mean' and 'sum'.

    >>> weight(4, "mean"), weight(4, "sum"), weight(0, "mean")
    (0.25, 1.0, nan)
    """
    if reduction == "mean":
        return 1 / n if n else math.nan
    if reduction in ("none", "sum"):
        return 1.0
    raise ArgumentError(
        "no such reduction", expected="'none', 'mean' or 'sum'", got=repr(reduction)
    )


def reduce(losses: Any, n: float, reduction: str) -> Any:
    """The losses, their sum, or their sum over n.

    >>> float(reduce(np.array([1.0, 2.0]), 2, "mean"))
    1.5
    """
    factor = weight(n, reduction)
    return losses if reduction == "none" else np.sum(losses) * factor


def classes_of(t: Any, ignore_index: int) -> tuple[Any, Any, float]:
    """Which samples count (None: all), their classes (0 for the others), and how many they are.

    >>> classes_of(np.array([2, -100]), -100)
    (array([ True, False]), array([2, 0]), 1)
    """
    counted = t != ignore_index
    n, size = int(np.count_nonzero(counted)), math.prod(t.shape)
    return (None, t, n) if n == size else (counted, np.where(counted, t, 0), n)


def check_classes(classes: Any, count: int) -> None:
    """Raise OutOfRangeError for a class that there is not."""
    if 0 in classes.shape:
        return
    for found in (np.min(classes), np.max(classes)):
        if not 0 <= found < count:
            raise OutOfRangeError(f"there is no class {int(found)}", expected=f"0 … {count - 1}")


def sizes_of(x: Any, t: Any, what: str) -> tuple[int, int, int]:
    """(n, C, d) of x (C,), (n, C) or (n, C, d1, …), whose classes t has x's shape without C.

    `what` names the entries of x in the message of the DTypeError; sizes that do not fit are a
    ShapeError.

    >>> sizes_of(np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), int), "scores")
    (2, 3, 20)
    """
    axis = min(1, x.ndim - 1)
    if x.ndim == 0 or t.shape != x.shape[:axis] + x.shape[axis + 1 :]:
        raise ShapeError(
            "the sizes do not fit",
            expected="x (C,), (n, C) or (n, C, …); t has no axis C",
            hint="target.float() if these are probabilities"
            if what == "scores" and t.shape == x.shape
            else None,
        )
    if t.dtype.kind not in "iu" or x.dtype.kind != "f":
        raise DTypeError(f"floating-point {what} and whole numbers for the classes are expected")
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
