r"""Mean absolute error, and its derivatives.

    ℓ_i = |ŷ_i − y_i|,      L = (1/n) Σ_i ℓ_i

Derivation. |d| is d for d > 0 and −d for d < 0, so its slope is sign d. As in `mse`, ŷ_j occurs
in one term alone:

    ∂L/∂ŷ_j = (1/n) sign(ŷ_j − y_j),      ∂L/∂y_j = −∂L/∂ŷ_j.

At d = 0 there is a corner and every slope from −1 to 1 would do; sign 0 = 0 is taken. The gradient
has one size however large the error is: an outlier pulls no harder than any other sample, and near
the target the steps do not shrink (`huber` mends that).

Why absolute values: if the errors have the density e^(−|d|/s) / 2s (Laplace's), maximum likelihood
minimises Σ |d|. The best constant is the median, where as many errors are positive as negative.

Shapes: ŷ and y are equal, of any shape. They do not broadcast.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import reduce, weight
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """|ŷ − y|, reduced.

    >>> float(definition(np.array([1.0, 4.0]), np.array([0.0, 6.0])))
    1.5
    """
    return reduce(np.abs(prediction - target), math.prod(prediction.shape), reduction)


def forward(
    prediction: Any, target: Any, *, reduction: str = "mean"
) -> tuple[Any, tuple[Any, ...]]:
    """The definition; the difference is kept."""
    if prediction.shape != target.shape:
        raise ShapeError("prediction and target must have one shape: nothing is broadcast here")
    difference = prediction - target
    return reduce(np.abs(difference), math.prod(prediction.shape), reduction), (difference,)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    reduction: str = "mean",
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """g sign(ŷ − y) / n for the prediction, its negative for the target."""
    (difference,) = saved
    d = g * weight(math.prod(difference.shape), reduction) * np.sign(difference)
    return d, np.negative(d) if needs[1] else None


op = Derivation(
    "mae",
    definition,
    backward,
    forward,
    formula=r"\frac{1}{n} \sum_i |\hat{y}_i - y_i|",
    promote="float",
    room="derivations",
    doc="The mean of the absolute differences.",
)
