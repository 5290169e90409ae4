r"""The activations of neural networks: more lines of the table, entry by entry as in `elementwise`.

Where a curve has a corner the derivative is the one from the left, as in PyTorch: `leaky_relu`,
`prelu` and `elu` at 0. `hardtanh` passes nothing at its edges, where `clamp` passes the gradient.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.op import elementwise as _elementwise
from tinynet.ops.elementwise import sigmoid

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
    lambda g, _y, u, *, min_val, max_val: np.where((u > min_val) & (u < max_val), g, 0),
    r"\min(\max(u, a), b)",
    domain="no integer",
)

# -- exponentials ----------------------------------------------------------------------------------

elu = elementwise(
    "elu",
    lambda u, *, alpha=1.0: np.where(u > 0, u, alpha * np.expm1(np.minimum(u, 0))),
    lambda g, y, u, *, alpha: np.where(u > 0, g, g * (y + alpha)),
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
# fdlibm's coefficients, lowest power first: erf on [0, 0.84375), erf - c on [0.84375, 1.25), and
# log(x erfc x) + x^2 + 0.5625 as functions of 1/x^2 on [1.25, 2.857) and [2.857, 6).
_PP = (
    1.28379167095512558561e-01,
    -3.25042107247001499370e-01,
    -2.84817495755985104766e-02,
    -5.77027029648944159157e-03,
    -2.37630166566501626084e-05,
)
_QQ = (
    1.0,
    3.97917223959155352819e-01,
    6.50222499887672944485e-02,
    5.08130628187576562776e-03,
    1.32494738004321644526e-04,
    -3.96022827877536812320e-06,
)
_PA = (
    -2.36211856075265944077e-03,
    4.14856118683748331666e-01,
    -3.72207876035701323847e-01,
    3.18346619901161753674e-01,
    -1.10894694282396677476e-01,
    3.54783043256182359371e-02,
    -2.16637559486879084300e-03,
)
_QA = (
    1.0,
    1.06420880400844228286e-01,
    5.40397917702171048937e-01,
    7.18286544141962662868e-02,
    1.26171219808761642112e-01,
    1.36370839120290507362e-02,
    1.19844998467991074170e-02,
)
_RA = (
    -9.86494403484714822705e-03,
    -6.93858572707181764372e-01,
    -1.05586262253232909814e01,
    -6.23753324503260060396e01,
    -1.62396669462573470355e02,
    -1.84605092906711035994e02,
    -8.12874355063065934246e01,
    -9.81432934416914548592e00,
)
_SA = (
    1.0,
    1.96512716674392571292e01,
    1.37657754143519042600e02,
    4.34565877475229228821e02,
    6.45387271733267880336e02,
    4.29008140027567833386e02,
    1.08635005541779435134e02,
    6.57024977031928170135e00,
    -6.04244152148580987438e-02,
)
_RB = (
    -9.86494292470009928597e-03,
    -7.99283237680523006574e-01,
    -1.77579549177547519889e01,
    -1.60636384855821916062e02,
    -6.37566443368389627722e02,
    -1.02509513161107724954e03,
    -4.83519191608651397019e02,
)
_SB = (
    1.0,
    3.03380607434824582924e01,
    3.25792512996573918826e02,
    1.53672958608443695994e03,
    3.19985821950859553908e03,
    2.55305040643316442583e03,
    4.74528541206955367215e02,
    -2.24409524465858183362e01,
)


def _ratio(x: Array, p: tuple[float, ...], q: tuple[float, ...]) -> Array:
    above, below = 0 * x, 0 * x
    for c in reversed(p):
        above = above * x + c
    for c in reversed(q):
        below = below * x + c
    return above / below


def _erf(u: Array) -> Array:
    x = np.minimum(np.abs(u), 6)
    s = 1 / np.square(np.maximum(x, 1))
    tail = np.where(x < 1 / 0.35, _ratio(s, _RA, _SA), _ratio(s, _RB, _SB))
    y = np.where(
        x < 1.25,
        0.845062911510467529297 + _ratio(x - 1, _PA, _QA),
        1 - np.exp(-x * x - 0.5625 + tail) / np.maximum(x, 1),
    )
    return np.copysign(np.where(x < 0.84375, x + x * _ratio(x * x, _PP, _QQ), y), u)


erf = elementwise(  # the table's erf
    "erf",
    _erf,
    lambda g, _y, u: g * (2 / math.sqrt(math.pi)) * np.exp(-u * u),
    r"\frac{2}{\sqrt{\pi}} \int_0^u e^{-t^2} dt",
)


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
    r"\frac{u}{2} \left(1 + \tanh \sqrt{2/\pi} (u + 0.044715 u^3)\right)",
)
