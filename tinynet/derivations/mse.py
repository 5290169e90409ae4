r"""Mean squared error, and its derivatives.

    ℓ_i = (ŷ_i − y_i)²,      L = (1/n) Σ_i ℓ_i

Derivation. ŷ_j occurs in one term alone, the j-th, so the sum disappears:

    ∂L/∂ŷ_j = (1/n) · 2 (ŷ_j − y_j),      ∂L/∂y_j = −∂L/∂ŷ_j.

n counts every entry, not the rows: for ŷ (batch, d) it is batch · d.

Why squares: if the errors ŷ − y are drawn independently from a normal distribution with fixed
variance, −log of their density is (ŷ − y)²/(2σ²) plus a constant, and maximum likelihood is least
squares.

Shapes: ŷ and y are equal, of any shape. They do not broadcast: (n, 1) against (n,) would compare
all n² pairs.
Source: document B, 4.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import reduce, weight
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """(ŷ − y)², reduced.

    >>> float(definition(np.array([1.0, 4.0]), np.array([0.0, 2.0])))
    2.5
    """
    difference = prediction - target
    return reduce(difference * difference, math.prod(prediction.shape), reduction)


def forward(
    prediction: Any, target: Any, *, reduction: str = "mean"
) -> tuple[Any, tuple[Any, ...]]:
    """The definition; the difference is kept."""
    if prediction.shape != target.shape:
        raise ShapeError("prediction and target must have one shape: nothing is broadcast here")
    difference = prediction - target
    losses = difference * difference
    return reduce(losses, math.prod(prediction.shape), reduction), (difference,)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    reduction: str = "mean",
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """2 g (ŷ − y) / n for the prediction, its negative for the target."""
    (difference,) = saved
    d = g * (2 * weight(math.prod(difference.shape), reduction)) * difference
    return d, np.negative(d) if needs[1] else None


op = Derivation(
    "mse",
    definition,
    backward,
    forward,
    formula=r"\frac{1}{n} \sum_i (\hat{y}_i - y_i)^2",
    promote="float",
    room="derivations",
    doc="The mean of the squared differences.",
)
