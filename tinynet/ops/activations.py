r"""The activations of neural networks: more lines of the table, entry by entry as in `elementwise`.

Where a curve has a corner the derivative is the one from the left, as in PyTorch: `leaky_relu`,
`prelu` and `elu` at 0. `hardtanh` passes nothing at its edges, where `clamp` passes the gradient.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from tinynet.op import elementwise as _elementwise
from tinynet.ops.elementwise import erf, sigmoid

elementwise = partial(_elementwise, promote="float", room="activations")

# -- pieces of lines -------------------------------------------------------------------------------

leaky_relu = elementwise(
    "leaky_relu",
    lambda u, *, negative_slope=0.01: np.where(u > 0, u, negative_slope * u),
    lambda g, _y, u, *, negative_slope: np.where(u > 0, g, negative_slope * g),
    r"\max(u, 0) + a \min(u, 0)",
    domain="u != 0",
)
prelu = elementwise(
    "prelu",
    lambda u, v: np.where(u > 0, u, v * u),
    (
        lambda g, _y, u, v: np.where(u > 0, g, v * g),
        lambda g, _y, u, _v: np.where(u > 0, 0, g * u),
    ),
    r"\max(u, 0) + v \min(u, 0)",
    domain="u != 0",
)
hardtanh = elementwise(
    "hardtanh",
    lambda u, *, min_val=-1.0, max_val=1.0: np.clip(u, min_val, max_val),
    lambda g, _y, u, *, min_val, max_val: np.where((u <= min_val) | (u >= max_val), 0, g),
    r"\min(\max(u, a), b)",
    domain="no integer",
)

# -- exponentials ----------------------------------------------------------------------------------

elu = elementwise(
    "elu",
    lambda u, *, alpha=1.0: np.where(u > 0, u, alpha * np.expm1(np.minimum(u, 0))),
    lambda g, y, u, *, alpha: np.where(u <= 0, g * (y + alpha), g),
    r"\max(u, 0) + \alpha (e^{\min(u, 0)} - 1)",
    domain="u != 0",
)
softplus = elementwise(  # u itself where e^(-βu) would vanish beside 1 anyway
    "softplus",
    lambda u, *, beta=1.0, threshold=20.0: np.where(
        beta * u > threshold, u, np.logaddexp(0, beta * u) / beta
    ),
    lambda g, _y, u, *, beta, threshold: np.where(beta * u > threshold, g, g * sigmoid(beta * u)),
    r"\frac{1}{\beta} \ln(1 + e^{\beta u})",
)
logsigmoid = elementwise(
    "logsigmoid",
    lambda u: -np.logaddexp(0, -u),
    lambda g, _y, u: g * sigmoid(-u),
    r"-\ln(1 + e^{-u})",
)
silu = elementwise(
    "silu",
    lambda u: u * sigmoid(u),
    lambda g, y, u: g * (sigmoid(u) + y * (1 - sigmoid(u))),
    r"\frac{u}{1 + e^{-u}}",
)
softsign = elementwise(
    "softsign",
    lambda u: u / (1 + np.abs(u)),
    lambda g, _y, u: g / np.square(1 + np.abs(u)),
    r"\frac{u}{1 + |u|}",
    domain="u != 0",
)


def _mish_rule(g: Any, _y: Any, u: Any) -> Any:
    t = np.tanh(softplus(u))
    return g * (t + u * (1 - t * t) * sigmoid(u))


mish = elementwise(
    "mish", lambda u: u * np.tanh(softplus(u)), _mish_rule, r"u \tanh \ln(1 + e^{u})"
)

# -- the normal distribution's ---------------------------------------------------------------------


def _normal_cdf(u: Any) -> Any:
    return (1 + erf(u * math.sqrt(0.5))) / 2


gelu = elementwise(
    "gelu",
    lambda u: u * _normal_cdf(u),
    lambda g, _y, u: g * (_normal_cdf(u) + u * np.exp(-u * u / 2) / math.sqrt(2 * math.pi)),
    r"u \, \Phi(u)",
)


def _gelu_inner(u: Any) -> Any:
    return math.sqrt(2 / math.pi) * (u + 0.044715 * u * u * u)


def _gelu_tanh_rule(g: Any, _y: Any, u: Any) -> Any:
    t = np.tanh(_gelu_inner(u))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * u * u)
    return g * (1 + t + u * (1 - t * t) * slope) / 2


gelu_tanh = elementwise(
    "gelu_tanh",
    lambda u: u * (1 + np.tanh(_gelu_inner(u))) / 2,
    _gelu_tanh_rule,
    r"\frac{u}{2} \left(1 + \tanh\left(\sqrt{2/\pi} (u + 0.044715 u^3)\right)\right)",
)
