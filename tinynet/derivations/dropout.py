r"""Dropout: zeros at random while training, and its derivative.

    y_i = m_i x_i / (1 − p),      m_i = 1 with probability 1 − p, else 0

Why the division: E[y_i] = (1 − p) x_i / (1 − p) = x_i, so the next layer sees the same mean with
dropout and, in evaluation, without it. Its variance is Var[y_i] = x_i² p / (1 − p): the noise
that keeps units from relying on each other.

Derivation. Given the mask, y is linear in x with one factor per entry, so the same factor carries
the gradient:

    x̄_i = g_i m_i / (1 − p).

The mask is an input, drawn outside: a derivative, of whatever order, belongs to the mask that
ran. For p = 1 nothing is kept; y is 0 by convention.

Where whole channels are dropped, m has one entry for each channel, and broadcasts.

Alpha dropout. Behind selu, whose outputs keep mean 0 and variance 1, zeros would spoil both. There
what is not kept is set to ℓ = −λα, the value that selu takes far to the left, and the result is
brought back by y = a (m x + (1 − m) ℓ) + b. With q = 1 − p and x of mean 0 and variance 1, the
bracket has mean p ℓ and mean square q + p ℓ², so its variance is q + p ℓ² − p² ℓ² = q (1 + p ℓ²):

    a = (q (1 + p ℓ²))^(−1/2)      b = −a p ℓ      (`alpha_scale_and_shift`).

Shapes: x, m, y, g equal, or m broadcasts to x. m is boolean.
Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
2014, with the scaling moved from evaluation to training. Klambauer, Unterthiner, Mayr and
Hochreiter, "Self-Normalizing Neural Networks", 2017, for alpha dropout. Document B, 9.4 asks for
remedies against overfitting.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.op import Derivation

LOW = -1.0507009873554805 * 1.6732632423543772  # −λα of selu


def definition(x: Any, mask: Any, *, p: float = 0.5) -> Any:
    """y = m x / (1 − p).

    >>> definition(np.array([1.0, 2.0]), np.array([True, False]), p=0.5)
    array([2., 0.])
    """
    return np.where(mask, x * _scale(p), 0)  # chosen, not multiplied: 0 · inf would be NaN


def backward(g: Any, saved: tuple[Any, ...], *, p: float = 0.5) -> tuple[Any, ...]:
    """x̄ = g m / (1 − p); nothing for the mask."""
    _, _, mask = saved
    return np.where(mask, g * _scale(p), 0), None


def _scale(p: float) -> float:
    return 1 / (1 - p) if p < 1 else 0.0


def alpha_scale_and_shift(p: float) -> tuple[float, float]:
    """a and b of alpha dropout. For p = 1 nothing is kept; both are 0 by convention.

    >>> alpha_scale_and_shift(0.5)
    (0.8864, 0.7792)
    """
    a = 1 / math.sqrt((1 - p) * (1 + p * LOW * LOW)) if p < 1 else 0.0
    return a, -a * p * LOW


op = Derivation(
    "dropout",
    definition,
    backward,
    formula=r"\frac{m \odot x}{1 - p}",
    promote="none",
    room="derivations",
    doc="The entries that the mask keeps, scaled so that the mean stays; 0 elsewhere.",
)
