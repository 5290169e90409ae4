r"""Binary cross-entropy of probabilities, and its derivatives.

The model says that a coin shows 1 with probability p; y is what came, 0 or 1, or between:

    ℓ = −y log p − (1 − y) log(1 − p).

Derivation. (log p)′ = 1/p and (log(1 − p))′ = −1/(1 − p), so

    ∂ℓ/∂p = −y/p + (1 − y)/(1 − p) = (p − y) / (p (1 − p)),
    ∂ℓ/∂y = log(1 − p) − log p.

A p that was rounded to 0 or 1 has an infinite logarithm, and one confident mistake would make the
mean of a batch infinite. As in PyTorch, a logarithm below −100 is taken as −100, and a
p (1 − p) below 10⁻¹² as 10⁻¹². `bce` takes the scores before the sigmoid and needs neither.

Shapes: p, y, ℓ equal, of any shape; they do not broadcast.
Source: document B, 4.1 and 4.2, with the half that is missing there (see `bce`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import reduce, weight
from tinynet.errors import ArgumentError, ShapeError
from tinynet.op import Derivation


def definition(p: Any, y: Any, *, reduction: str = "mean") -> Any:
    """−y log p − (1 − y) log(1 − p), reduced.

    >>> definition(np.array([0.5, 0.0]), np.array([1.0, 1.0]), reduction="none")
    array([  0.6931, 100.    ])
    """
    losses = -y * _log(p) - (1 - y) * _log(1 - p)
    return reduce(losses, math.prod(p.shape), reduction)


def _log(p: Any) -> Any:
    """log p, and −100 where that would be less."""
    return np.where(p == 0, -100, np.maximum(np.log(np.where(p == 0, 1, p)), -100))


def forward(p: Any, y: Any, *, reduction: str = "mean") -> tuple[Any, tuple[Any, ...]]:
    """The definition; both logarithms are kept."""
    if p.shape != y.shape:
        raise ShapeError("probabilities and labels must have one shape: nothing is broadcast here")
    if not np.all((p >= 0) & (p <= 1)):
        raise ArgumentError("a probability lies between 0 and 1")
    head, tail = _log(p), _log(1 - p)
    losses = (y - 1) * tail - y * head
    return reduce(losses, math.prod(p.shape), reduction), (p, y, head, tail)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    reduction: str = "mean",
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """g (p − y) / (p (1 − p)) and g (log(1 − p) − log p), over n for the mean."""
    p, y, head, tail = saved
    g = g * weight(math.prod(p.shape), reduction)
    dp = g * (p - y) / np.maximum(p * (1 - p), 1e-12) if needs[0] else None
    return dp, g * (tail - head) if needs[1] else None


op = Derivation(
    "bernoulli",
    definition,
    backward,
    forward,
    formula=r"-y \ln p - (1 - y) \ln(1 - p)",
    promote="float",
    room="derivations",
    doc="−log of the probability that a coin which shows 1 with probability p gives to the label.",
)
