r"""Binary cross-entropy of logits (sigmoid and negative log-likelihood in one), and its derivative.

With ŷ = σ(z) = 1 / (1 + exp(−z)) the probability of class 1 and y the label, 0 or 1,

    ℓ = −y log ŷ − (1 − y) log(1 − ŷ).

In terms of z: −log σ(z) = log(1 + e^(−z)) = s(z) − z and −log(1 − σ(z)) = s(z), where s(z) =
log(1 + e^z). Hence

    ℓ = s(z) − y z,

in which no logarithm of a rounded 0 can occur. And s(z) = max(z, 0) + log(1 + e^(−|z|)) overflows
on neither side.

Derivation. s′(z) = e^z / (1 + e^z) = σ(z). Therefore

    ∂ℓ/∂z = σ(z) − y = ŷ − y,      ∂ℓ/∂y = −z.

The same by the chain rule, to see what cancels: ∂ℓ/∂ŷ = −y/ŷ + (1 − y)/(1 − ŷ) = (ŷ − y) / (ŷ (1
− ŷ)), and σ′(z) = ŷ (1 − ŷ), taken at z and merely *expressed* by ŷ. Their product is ŷ − y.

As printed, document B, 4.1 and 4.2, the second half of ℓ is missing: ℓ = −y log ŷ. Then a sample
with y = 0 costs nothing and has no gradient, and a sample with y = 1 has −(1 − ŷ), which always
pushes z upward. A neuron trained on it answers 1 to everything. Document B, 4.3 shows it
unawares: y = 0 with ŷ = 0.9 is said to cost 0; it costs −log 0.1 = 2.3026. And 4.2 takes act′ at
ŷ; it belongs at z.

Shapes: z, y, ℓ equal, of any shape; they do not broadcast.
Source: document B, 4.1, 4.2 and 4.3, completed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import reduce, weight
from tinynet.errors import ShapeError
from tinynet.op import Derivation
from tinynet.ops.reductions import logsumexp


def definition(z: Any, y: Any, *, reduction: str = "mean") -> Any:
    """ℓ = log(e^0 + e^z) − y z, reduced.

    >>> definition(np.array([0.0, 8.0]), np.array([1.0, 0.0]), reduction="none")
    array([0.6931, 8.0003])
    """
    s = logsumexp(
        np.stack([np.zeros_like(z), z]), axis=0
    )  # smooth at z = 0, where max and |z| are not
    return reduce(s - y * z, math.prod(z.shape), reduction)


def forward(z: Any, y: Any, *, reduction: str = "mean") -> tuple[Any, tuple[Any, ...]]:
    """ℓ = max(z, 0) − y z + log(1 + e^(−|z|)); e^(−|z|) is kept, for σ(z)."""
    if z.shape != y.shape:
        raise ShapeError("logits and labels must have one shape: nothing is broadcast here")
    e = np.exp(-np.abs(z))
    losses = np.maximum(z, 0) - y * z + np.log1p(e)
    return reduce(losses, math.prod(z.shape), reduction), (z, y, e)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    reduction: str = "mean",
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """g (σ(z) − y) and −g z, over n for the mean."""
    z, y, e = saved
    g = g * weight(math.prod(z.shape), reduction)
    dz = g * (np.where(z >= 0, 1, e) / (1 + e) - y) if needs[0] else None
    return dz, -g * z if needs[1] else None


def as_printed(prediction: Any, y: Any) -> tuple[Any, Any]:
    """The printed loss −(1/n) Σ y log ŷ and its gradient by z through a sigmoid, −y (1 − ŷ) / n.

    The four rows of document B, 4.3. The two with y = 0 cost nothing, though the first is a
    confident mistake.

    >>> y, prediction = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.9, 0.1, 0.8, 0.2])
    >>> loss, gradient = as_printed(prediction, y)
    >>> float(loss), gradient
    (0.9780, array([-0.   , -0.225, -0.   , -0.2  ]))
    """
    n = math.prod(y.shape)
    return -np.sum(y * np.log(prediction)) / n, -y * (1 - prediction) / n


op = Derivation(
    "bce",
    definition,
    backward,
    forward,
    formula=r"\ln(1 + e^{z}) - y z",
    promote="float",
    room="derivations",
    doc="−log of the probability that sigmoid of the logit gives to the true label.",
)
