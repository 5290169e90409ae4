r"""Softmax over one axis, and its derivative.

    y_i = exp(x_i) / Σ_k exp(x_k)

Derivation. Take logs, so that the quotient becomes a difference: log y_i = x_i − log Σ_k
exp(x_k). Differentiate by x_j. The first term gives 1 where i = j and 0 elsewhere, written δ_ij;
the second gives exp(x_j) / Σ_k exp(x_k) = y_j. The left side is (∂y_i/∂x_j) / y_i. So

    ∂y_i/∂x_j = y_i (δ_ij − y_j).

With g_i = ∂L/∂y_i arriving from above, the chain rule sums over every output that x_j touches,
which is all of them:

    x̄_j = Σ_i g_i y_i (δ_ij − y_j) = y_j (g_j − Σ_i g_i y_i).

The n × n Jacobian is never built: one dot product per row, one subtraction, one product. What
people forget is the sum: they keep only i = j and get g_j y_j (1 − y_j).

Why the largest entry may be taken out first: exp(x_i − m) / Σ_k exp(x_k − m) has exp(−m) above
and below. With m = max x every exponent is at most 0, so nothing overflows, and one of them is 0,
so the sum is at least 1.

Temperature. In y = softmax(x / τ), τ > 0, let u = x / τ: ∂u_k/∂τ = −x_k / τ². With the Jacobian
above, g_k standing for ∂u_k/∂τ,

    ∂y_i/∂τ = −(1/τ²) y_i (x_i − Σ_k y_k x_k):

when it gets warmer, scores above the mean lose weight to those below. For τ → ∞, u → 0 and every
y_i → 1/n. For τ → 0, y_i / y_j = exp((x_i − x_j)/τ) → ∞ where x_i > x_j: all weight goes to the
largest score, in equal parts if there are several. The entropy H = −Σ y log y = log Σ e^u − Σ y u
never falls on the way: dH/dτ = −(1/τ) Σ_i x_i ∂y_i/∂τ = Var_y[x] / τ³, the variance of the scores
under y.

Shapes: x, y, g all (…, n, …), n along `axis`. Cost: n exponentials and n divisions forward, 4n
flops backward.
Source: document A, 4.1, where the sum is missing (`as_printed`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.op import Derivation


def definition(x: Any, *, axis: int | None = -1) -> Any:
    """y_i = exp(x_i) / Σ_k exp(x_k) along `axis`.

    >>> definition(np.array([1.0, 2.0, 3.0]))
    array([0.0900, 0.2447, 0.6652])
    """
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def backward(g: Any, saved: tuple[Any, ...], *, axis: int | None = -1) -> tuple[Any, ...]:
    """x̄_j = y_j (g_j − Σ_i g_i y_i)."""
    y, _ = saved
    return (y * (g - np.sum(g * y, axis=axis, keepdims=True)),)


def as_printed(x: Any) -> Any:
    """exp(x_i) / exp(x_i), the quotient without its sum: every weight is 1, whatever the scores.

    >>> as_printed(np.array([1.0, 2.0, 3.0]))
    array([1., 1., 1.])
    """
    return np.exp(x) / np.exp(x)


op = Derivation(
    "softmax",
    definition,
    backward,
    formula=r"\frac{e^{x_i}}{\sum_k e^{x_k}}",
    promote="float",
    room="derivations",
    doc="Positive weights that sum to 1 along an axis, in the ratio of the exponentials.",
)
