r"""Huber's loss, quadratic near the target and linear far from it, and its derivatives.

With d = ŷ − y and a width δ > 0,

    ℓ = d²/2               where |d| ≤ δ,
    ℓ = δ (|d| − δ/2)      elsewhere.

Both pieces give δ²/2 at |d| = δ.

Derivation. The slope is d in the middle, and δ sign d outside; both give ±δ at |d| = δ, so the
curve has no corner. In one expression it is d pulled back into [−δ, δ]:

    c = min(max(d, −δ), δ),      ∂ℓ/∂ŷ = c,      ∂ℓ/∂y = −c.

The gradient of half the square, clipped. And ℓ itself is c (d − c/2): for c = d that is d²/2, for
c = ±δ it is δ |d| − δ²/2. The second derivative is 1 inside and 0 outside.

`smooth_l1` is this loss with δ = β, divided by β: slope d/β in the middle and ±1 outside.

Shapes: ŷ and y are equal, of any shape. They do not broadcast.
Source: Huber, "Robust Estimation of a Location Parameter", 1964.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import reduce, weight
from tinynet.errors import ArgumentError, ShapeError
from tinynet.op import Derivation


def definition(prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean") -> Any:
    """d²/2 where |d| ≤ δ, else δ (|d| − δ/2), reduced.

    >>> definition(np.array([0.5, 3.0]), np.array([0.0, 0.0]), reduction="none")
    array([0.125, 2.5  ])
    """
    size = np.abs(prediction - target)
    losses = np.where(size <= delta, np.square(size) / 2, delta * (size - delta / 2))
    return reduce(losses, math.prod(prediction.shape), reduction)


def forward(
    prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean"
) -> tuple[Any, tuple[Any, ...]]:
    """ℓ = c (d − c/2); c, d pulled back into [−δ, δ], is kept."""
    if prediction.shape != target.shape:
        raise ShapeError("prediction and target must have one shape: nothing is broadcast here")
    if delta <= 0:
        raise ArgumentError("the width of the quadratic part is positive", got=f"{delta}")
    difference = prediction - target
    clipped = np.clip(difference, -delta, delta)
    losses = clipped * (difference - clipped / 2)
    return reduce(losses, math.prod(prediction.shape), reduction), (clipped,)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """g c / n for the prediction, its negative for the target."""
    (clipped,) = saved
    d = g * weight(math.prod(clipped.shape), reduction) * clipped
    return d, np.negative(d) if needs[1] else None


op = Derivation(
    "huber",
    definition,
    backward,
    forward,
    formula=r"c \, (d - \tfrac{c}{2}), \; c = \min(\max(d, -\delta), \delta), \; d = \hat{y} - y",
    promote="float",
    room="derivations",
    doc="Half the square of small differences, and a straight line for large ones.",
)
