r"""The logarithm of softmax over one axis, and its derivative.

    y_i = x_i − log Σ_k exp(x_k)

Why not log(softmax(x)): a probability below 1e-45 is 0 in float32, and log 0 = −inf. Here nothing
is ever that small: the difference above is computed directly, with the largest entry taken out of
the sum of exponentials.

Derivation. As in softmax, ∂y_i/∂x_j = δ_ij − p_j with p_j = exp(x_j) / Σ_k exp(x_k) = exp(y_j).
With g_i from above,

    x̄_j = Σ_i g_i (δ_ij − p_j) = g_j − p_j Σ_i g_i.

Shapes: x, y, g all (…, n, …), n along `axis`.
Source: document D, 4.2, whose loss −log P(y given x) is one entry of −y.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.op import Derivation
from tinynet.ops.reductions import logsumexp


def definition(x: Any, *, axis: int | None = -1) -> Any:
    """y_i = x_i − log Σ_k exp(x_k) along `axis`.

    >>> definition(np.array([0.0, -1000.0]))
    array([    0., -1000.])
    """
    return x - logsumexp(x, axis=axis, keepdims=True)


def backward(g: Any, saved: tuple[Any, ...], *, axis: int | None = -1) -> tuple[Any, ...]:
    """x̄_j = g_j − p_j Σ_i g_i, with p = exp(y)."""
    y, _ = saved
    return (g - np.exp(y) * np.sum(g, axis=axis, keepdims=True),)


op = Derivation(
    "log_softmax",
    definition,
    backward,
    formula=r"x_i - \ln \sum_k e^{x_k}",
    promote="float",
    room="derivations",
    doc="The logarithms of softmax's weights along an axis.",
)
