r"""The divergence of Kullback and Leibler, and its derivatives.

The target is a distribution y, the model gives the logarithms x of its own probabilities. Entry by
entry,

    ℓ_i = y_i (log y_i − x_i),      L = Σ_i ℓ_i,

and, where the target comes as a logarithm too, v = log y, ℓ_i = e^(v_i) (v_i − x_i). The term of
y_i = 0 is 0, the limit of y log y.

Derivation. x_i occurs in one term, and there linearly. For y_i use the product rule, in which
y · (log y)′ = 1:

    ∂L/∂x_i = −y_i,      ∂L/∂y_i = log y_i − x_i + 1,      ∂L/∂v_i = e^(v_i) (v_i − x_i + 1).

The last is y_i ∂L/∂y_i: the chain rule through y = e^v. At y_i = 0 the true slope by y_i is −∞,
of no use to a descent; y log y counts as flat there, which leaves −x_i.

L is never negative, and 0 only for equal distributions: log r ≤ r − 1 gives
−L = Σ y_i log(p_i / y_i) ≤ Σ (p_i − y_i) = 0, where p = e^x. And L = Σ y log y − Σ y x: up to the
target's own entropy, which the model cannot change, it is the cross-entropy.

Shapes: x and y are equal, of any shape. They do not broadcast. The mean is over all entries;
over a batch of distributions the divergence is the sum over n ('batchmean').
Source: Kullback and Leibler, "On Information and Sufficiency", 1951.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import reduce, weight
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(x: Any, y: Any, *, log_target: bool = False, reduction: str = "mean") -> Any:
    """y (log y − x), or e^y (y − x), reduced.

    >>> x, y = np.log(np.array([0.5, 0.5])), np.array([1.0, 0.0])
    >>> float(definition(x, y, reduction="sum"))  # log 2: one bit
    0.6931
    """
    if log_target:
        losses = np.exp(y) * (y - x)
    else:
        losses = np.where(y == 0, 0, y * np.log(np.where(y == 0, 1, y))) - y * x
    return reduce(losses, math.prod(x.shape), reduction)


def forward(
    x: Any, y: Any, *, log_target: bool = False, reduction: str = "mean"
) -> tuple[Any, tuple[Any, ...]]:
    """The definition; the probabilities and log y − x are kept."""
    if x.shape != y.shape:
        raise ShapeError("both distributions must have one shape: nothing is broadcast here")
    p = np.exp(y) if log_target else y
    log_p = y if log_target else np.log(np.where(y == 0, 1, y))
    ratio = log_p - x
    return reduce(p * ratio, math.prod(x.shape), reduction), (p, ratio)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    log_target: bool = False,
    reduction: str = "mean",
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """−g y for x; g (log y − x + 1), or that times e^y, for the target; over n for the mean."""
    p, ratio = saved
    g = g * weight(math.prod(p.shape), reduction)
    if not needs[1]:
        return -g * p, None
    return -g * p, g * p * (ratio + 1) if log_target else g * (ratio + (p != 0))


op = Derivation(
    "kl",
    definition,
    backward,
    forward,
    formula=r"y (\ln y - x)",
    promote="float",
    room="derivations",
    doc="How much longer a message gets that is coded for e^u where y is the truth, in nats.",
)
