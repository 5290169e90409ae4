r"""The inside cover of the calculus book: functions that work entry by entry, a line or two each.

Inputs u, v; output y; upstream gradient g = dL/dy. A rule gives dL/du (or dL/dv). Where two inputs
broadcast, dispatch sums each gradient back to its input's shape, so every rule reads as in one
variable.

Where the derivative does not exist, by convention: relu'(0) = 0; |u|' = sign(u), which is 0 at 0
(and at NaN); `maximum` and `minimum` give each side half of a tie; `clamp` passes the gradient at
its edges; `atan2` has derivative 0 at the origin; sqrt'(0) = inf; 0 log 0 = 0 where `pow`
differentiates by its exponent; the steps (sign, floor, round, floor_divide ...) have derivative 0
everywhere; at a step of `remainder` the derivative by u is 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.arrays import Array
from tinynet.dispatch import cast
from tinynet.dtypes import (
    is_floating,
)
from tinynet.errors import ArgumentError
from tinynet.op import elementwise, implements, primitive
from tinynet.ops.public import binary, method, operator, public, unary
from tinynet.tensor import Tensor, raw


def _nonzero(x: Any) -> Any:
    """x, and 1 where x is 0: what is divided by it is 0 as well."""
    return np.where(x == 0, 1, x)


def _sign(u: Array) -> Array:
    """0 at NaN, where np.sign gives NaN; truth values have none."""
    return u if u.dtype.kind == "b" else np.subtract(u > 0, u < 0, dtype=u.dtype)


# fmt: off  (a table reads by its columns)

# -- arithmetic
add = elementwise("add", np.add, (lambda g, _y, _u, _v: g, lambda g, _y, _u, _v: g), r"u + v")
sub = elementwise("sub", np.subtract, (lambda g, _y, _u, _v: g, lambda g, _y, _u, _v: -g), r"u - v")
mul = elementwise("mul", np.multiply, (lambda g, _y, _u, v: g * v, lambda g, _y, u, _v: g * u),
    r"u \cdot v")
div = elementwise("div", np.true_divide,
    (lambda g, _y, _u, v: g / v, lambda g, y, _u, v: -g * y / v), r"u / v", promote="float",
    domain="v != 0")
neg = elementwise("neg", np.negative, lambda g, _y, _u: -g, r"-u")
reciprocal = elementwise("reciprocal", np.reciprocal, lambda g, y, _u: -g * y * y, r"1 / u",
    promote="float", domain="u != 0")

# -- exponentials and roots
exp = elementwise("exp", np.exp, lambda g, y, _u: g * y, r"e^{u}", promote="float")
expm1 = elementwise("expm1", np.expm1, lambda g, y, _u: g * (y + 1), r"e^{u} - 1", promote="float")
log = elementwise("log", np.log, lambda g, _y, u: g / u, r"\ln u", promote="float", domain="u > 0")
log1p = elementwise("log1p", np.log1p, lambda g, _y, u: g / (1 + u), r"\ln(1 + u)", promote="float",
    domain="u > -1")
sqrt = elementwise("sqrt", np.sqrt, lambda g, y, _u: g / (2 * y), r"\sqrt{u}", promote="float",
    domain="u > 0")
rsqrt = elementwise("rsqrt", lambda u: 1 / np.sqrt(u), lambda g, y, _u: g * y * y * y / -2,
    r"1 / \sqrt{u}", promote="float", domain="u > 0")
square = elementwise("square", np.square, lambda g, _y, u: g * 2 * u, r"u^2", promote="number")
exp2 = elementwise("exp2", np.exp2, lambda g, y, _u: g * y * math.log(2), r"2^{u}", promote="float")
log2 = elementwise("log2", np.log2, lambda g, _y, u: g / (u * math.log(2)), r"\log_2 u",
    promote="float", domain="u > 0")
log10 = elementwise("log10", np.log10, lambda g, _y, u: g / (u * math.log(10)), r"\log_{10} u",
    promote="float", domain="u > 0")
logaddexp = elementwise(
    "logaddexp",
    np.logaddexp,
    (
        lambda g, y, u, v: g * sigmoid(u - np.where(y == -math.inf, 0, v)),  # type: ignore[has-type]
        lambda g, y, u, v: g * sigmoid(v - np.where(y == -math.inf, 0, u)),  # type: ignore[has-type]
    ),
    r"\ln(e^{u} + e^{v})",
    promote="float",
)

# -- circular and hyperbolic
sin = elementwise("sin", np.sin, lambda g, _y, u: g * np.cos(u), r"\sin u", promote="float")
cos = elementwise("cos", np.cos, lambda g, _y, u: -g * np.sin(u), r"\cos u", promote="float")
tan = elementwise("tan", np.tan, lambda g, y, _u: g * (1 + y * y), r"\tan u", promote="float",
    domain="cos u != 0")
asin = elementwise("asin", np.arcsin, lambda g, _y, u: g / np.sqrt(1 - u * u), r"\arcsin u",
    promote="float", domain="|u| < 1")
acos = elementwise("acos", np.arccos, lambda g, _y, u: -g / np.sqrt(1 - u * u), r"\arccos u",
    promote="float", domain="|u| < 1")
atan = elementwise("atan", np.arctan, lambda g, _y, u: g / (1 + u * u), r"\arctan u",
    promote="float")
atan2 = elementwise(
    "atan2",
    np.arctan2,
    (
        lambda g, _y, u, v: g * v / _nonzero(u * u + v * v),
        lambda g, _y, u, v: -g * u / _nonzero(u * u + v * v),
    ),
    r"\text{the angle of the point } (v, u)",
    promote="float",
    domain="v != 0",
)
sinh = elementwise("sinh", np.sinh, lambda g, _y, u: g * np.cosh(u), r"\sinh u", promote="float")
cosh = elementwise("cosh", np.cosh, lambda g, _y, u: g * np.sinh(u), r"\cosh u", promote="float")
tanh = elementwise("tanh", np.tanh, lambda g, y, _u: g * (1 - y * y), r"\tanh u", promote="float")
asinh = elementwise("asinh", np.arcsinh, lambda g, _y, u: g / np.sqrt(u * u + 1),
    r"\operatorname{arsinh} u", promote="float")
acosh = elementwise("acosh", np.arccosh, lambda g, _y, u: g / np.sqrt(u * u - 1),
    r"\operatorname{arcosh} u", promote="float", domain="u > 1")
atanh = elementwise("atanh", np.arctanh, lambda g, _y, u: g / (1 - u * u),
    r"\operatorname{artanh} u", promote="float", domain="|u| < 1")
erf = elementwise("erf", arrays.erf,
    lambda g, _y, u: g * np.exp(-u * u) * (2 / math.sqrt(math.pi)),
    r"\frac{2}{\sqrt\pi} \int_0^{u} e^{-t^2} dt", promote="float")

# -- with corners
sign = elementwise("sign", _sign, lambda g, _y, _u: np.zeros_like(g), r"\operatorname{sign} u",
    domain="u != 0")
floor = elementwise("floor", np.floor, lambda g, _y, _u: np.zeros_like(g), r"\lfloor u \rfloor",
    domain="no integer")
ceil = elementwise("ceil", np.ceil, lambda g, _y, _u: np.zeros_like(g), r"\lceil u \rceil",
    domain="no integer")
trunc = elementwise("trunc", np.trunc, lambda g, _y, _u: np.zeros_like(g),
    r"\operatorname{sign}(u) \lfloor |u| \rfloor", domain="no integer")
frac = elementwise("frac", lambda u: u - np.trunc(u), lambda g, _y, _u: g,
    r"u - \operatorname{trunc} u", domain="no integer")
floor_divide = elementwise("floor_divide", np.floor_divide,
    (lambda g, _y, _u, _v: np.zeros_like(g), lambda g, _y, _u, _v: np.zeros_like(g)),
    r"\lfloor u / v \rfloor", domain="u / v no integer")
remainder = elementwise("remainder", np.remainder,
    (lambda g, _y, _u, _v: g, lambda g, _y, u, v: -g * np.floor_divide(u, v)),
    r"u - v \lfloor u / v \rfloor", domain="u / v no integer")
fmod = elementwise("fmod", np.fmod,
    (lambda g, _y, _u, _v: g, lambda g, _y, u, v: -g * np.trunc(u / v)),
    r"u - v \operatorname{trunc}(u / v)", domain="u / v no integer")
abs = elementwise("abs", np.abs, lambda g, _y, u: g * sign(u), r"|u|", domain="u != 0")
relu = elementwise("relu", lambda u: np.maximum(u, 0), lambda g, y, _u: np.where(y <= 0, 0, g),
    r"\max(u, 0)", domain="u != 0")
maximum = elementwise(
    "maximum",
    np.maximum,
    (
        lambda g, _y, u, v: np.where(u == v, g / 2, np.where(u < v, 0, g)),
        lambda g, _y, u, v: np.where(u == v, g / 2, np.where(v < u, 0, g)),
    ),
    r"\max(u, v)",
    domain="u != v",
)
minimum = elementwise(
    "minimum",
    np.minimum,
    (
        lambda g, _y, u, v: np.where(u == v, g / 2, np.where(u > v, 0, g)),
        lambda g, _y, u, v: np.where(u == v, g / 2, np.where(v > u, 0, g)),
    ),
    r"\min(u, v)",
    domain="u != v",
)
where = elementwise(
    "where",
    np.where,
    (
        lambda g, _y, _c, _u, _v: np.zeros_like(g),
        lambda g, _y, c, _u, _v: np.where(c, g, 0),
        lambda g, _y, c, _u, _v: np.where(c, 0, g),
    ),
    r"c \mathbin{?} u : v",
    masks=1,
)

# -- comparisons and logic: no gradient
eq = elementwise("eq", np.equal, formula="u = v")
ne = elementwise("ne", np.not_equal, formula=r"u \ne v")
lt = elementwise("lt", np.less, formula="u < v")
le = elementwise("le", np.less_equal, formula=r"u \le v")
gt = elementwise("gt", np.greater, formula="u > v")
ge = elementwise("ge", np.greater_equal, formula=r"u \ge v")
logical_and = elementwise("logical_and", np.logical_and, formula=r"u \land v")
logical_or = elementwise("logical_or", np.logical_or, formula=r"u \lor v")
logical_not = elementwise("logical_not", np.logical_not, formula=r"\lnot u")
bitwise_and = elementwise("bitwise_and", np.bitwise_and, formula=r"u \mathbin{\&} v",
    domain="integers")
bitwise_or = elementwise("bitwise_or", np.bitwise_or, formula=r"u \mathbin{|} v", domain="integers")
bitwise_xor = elementwise("bitwise_xor", np.bitwise_xor, formula=r"u \oplus v", domain="integers")
bitwise_not = elementwise("bitwise_not", np.invert, formula=r"\mathord{\sim} u", domain="integers")
isnan = elementwise("isnan", np.isnan, formula=r"u \ne u")
isinf = elementwise("isinf", np.isinf, formula=r"|u| = \infty")
isfinite = elementwise("isfinite", np.isfinite, formula=r"|u| < \infty")
# fmt: on


# -- a line or two more ----------------------------------------------------------------------------


def _sigmoid(u: Array) -> Array:
    e = np.exp(np.where(u >= 0, -u, u))  # at most 1: no overflow on either side
    return np.where(u >= 0, 1, e) / (1 + e)


sigmoid = elementwise("sigmoid", _sigmoid, lambda g, y, _u: g * y * (1 - y),
    r"\frac{1}{1 + e^{-u}}", promote="float")


def _pow_base(g: Any, _y: Any, u: Any, v: Any) -> Any:
    return g * v * u ** np.where(v == 0, 0, v - 1)  # the guard: 0 · u^-1 would be NaN at u = 0


def _pow_exponent(g: Any, y: Any, u: Any, v: Any) -> Any:
    at_zero = (u == 0) & (v >= 0)  # there u^v ln u -> 0
    return g * np.where(at_zero, 0, y * np.log(np.where(at_zero, 1, u)))


pow = elementwise("pow", np.power, (_pow_base, _pow_exponent), r"u^{v}", domain="u > 0")


def _power_rule(g: Any, _y: Any, u: Any, *, exponent: float) -> Any:
    return g * (exponent * power(u, exponent=exponent - 1)) if exponent else np.zeros_like(g)


@primitive(name="power", formula=r"u^{n}", domain="u > 0", rules=(_power_rule,))
def power(u: Array, *, exponent: float) -> Array:
    """u to a fixed number: x**2 has derivative 2x, then 2, then 0, also at x = 0."""
    return u**exponent


@primitive(
    np.round,
    np.around,
    name="round",
    formula=r"10^{-d} \cdot \text{the whole number nearest to } 10^{d} u",
    domain="no tie",
    rules=(lambda g, _y, _u, *, decimals: np.zeros_like(g),),
)
def _round(u: Array, decimals: int = 0) -> Array:
    return np.round(u, decimals)


def _inside(u: Any, min: Any, max: Any) -> Any:
    """Where min <= u <= max. A bound that is None does not bind."""
    above = u == u if min is None else u >= min
    return above if max is None else above & (u <= max)


@primitive(
    name="clamp",
    formula=r"\min(\max(u, a), b)",
    domain="u not at a bound",
    rules=(lambda g, _y, u, *, min, max: np.where(_inside(u, min, max), g, 0),),
)
def _clamp(u: Array, *, min: Any = None, max: Any = None) -> Array:
    """u, pulled back into [min, max]."""
    return np.clip(u, min, max)


# -- PyTorch's names -------------------------------------------------------------------------------

for _op in (exp, exp2, expm1, log, log2, log10, log1p, sqrt, rsqrt, square, reciprocal):
    unary(_op)
for _op in (sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh):
    unary(_op)
for _op in (sigmoid, relu, erf, neg, abs, sign, floor, ceil, trunc, frac):
    unary(_op)
for _op in (logical_not, bitwise_not, isnan, isinf, isfinite):
    unary(_op)
for _op in (mul, floor_divide, remainder, fmod, atan2, logaddexp, maximum, minimum):
    binary(_op)
for _op in (eq, ne, lt, le, gt, ge, logical_and, logical_or, bitwise_and, bitwise_or, bitwise_xor):
    binary(_op)


def _add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha · other."""
    return add(input, other if alpha == 1 else mul(other, alpha))


def _sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input − alpha · other."""
    return sub(input, other if alpha == 1 else mul(other, alpha))


def _div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; rounded down with "floor", towards 0 with "trunc" (whole numbers stay whole).

    >>> import tinynet as tn
    >>> x = tn.tensor([-7, 7])
    >>> tn.div(x, 2), tn.div(x, 2, rounding_mode="floor"), tn.div(x, 2, rounding_mode="trunc")
    (tensor([-3.5000, 3.5000]), tensor([-4, 3]), tensor([-3, 3]))
    """
    if rounding_mode is None:
        return div(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        whole = not is_floating(arrays.result_type(raw(input), raw(other)))
        if whole:  # int64 has more digits than a quotient of floats
            return floor_divide(sub(input, fmod(input, other)), other)
        return trunc(div(input, other))
    raise ArgumentError(
        "div: no such rounding_mode", expected="None, 'floor' or 'trunc'", got=repr(rounding_mode)
    )


def _rounded(input: Any, *, decimals: int = 0) -> Any:
    """The nearest number with that many decimals; a tie goes to the even one. Derivative 0.

    >>> import tinynet as tn
    >>> tn.round(tn.tensor([0.5, 1.5, 2.25])), tn.round(tn.tensor([2.25]), decimals=1)
    (tensor([0., 2., 2.]), tensor([2.2000]))
    """
    return _round(input, decimals=decimals)


@public
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight · (end − input): from `input` at weight 0 to `end` at weight 1.

    >>> import tinynet as tn
    >>> tn.lerp(tn.tensor([0.0, 10.0]), tn.tensor([10.0, 20.0]), 0.25)
    tensor([ 2.5000, 12.5000])
    """
    return add(input, mul(weight, sub(end, input)))


def _pow(input: Any, exponent: Any) -> Any:
    """input ** exponent, entry by entry; either may be a number.

    The derivative by the base is v u^(v−1), guarded so that x**2 has second derivative 2 and third
    0 at x = 0 too; by the exponent it is u^v ln u, taken as 0 where u = 0 and v >= 0.

    >>> import tinynet as tn
    >>> tn.pow(tn.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(exponent, bool | int | float) and isinstance(input, Tensor):
        if isinstance(exponent, float) and not is_floating(input.dtype):
            input = mul(input, 1.0)  # an integer tensor becomes a float one
        return power(input, exponent=exponent)
    dtype = arrays.result_type(raw(input), raw(exponent))
    if dtype.kind == "i" and isinstance(exponent, Tensor):  # 2^-1 is the whole number 0
        gone = logical_and(lt(exponent, 0), gt(abs(input), 1))
        input, exponent = cast(where(gone, 0, input), dtype), abs(exponent)
    return pow(input, exponent)


implements(np.power, np.float_power)(_pow)


@public
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Each entry pulled back into [min, max]. Either bound may be missing, a number, or a Tensor
    that broadcasts.

    The gradient passes where min <= input <= max and is 0 outside.

    >>> import tinynet as tn
    >>> tn.clamp(tn.tensor([-2.0, 0.5, 7.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        lower = input if min is None else maximum(input, min)
        return lower if max is None else minimum(lower, max)
    if not is_floating(input.dtype) and (isinstance(min, float) or isinstance(max, float)):
        input = mul(input, 1.0)
    return _clamp(input, min=min, max=max)


@implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return clamp(a, a_min if min is None else min, a_max if max is None else max)


@implements(np.where)
def _where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the condition holds, other elsewhere; all three broadcast.

    Without the last two, the indices of the true entries. The gradient of the side that was not
    chosen is 0, but 0 · inf is NaN: `where(x > 0, x ** 0.5, 0)` has the gradient NaN at 0, because
    sqrt'(0) = inf is computed and then multiplied by 0. Make the unused side harmless first:
    `where(x > 0, where(x > 0, x, 1) ** 0.5, 0)`.

    >>> import tinynet as tn
    >>> x = tn.tensor([-1.0, 2.0])
    >>> tn.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None or other is None:
        return tuple(Tensor(i) for i in np.nonzero(condition.array))
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):  # numbers have no dtype yet
        dtype = arrays.result_type(input, other)
        input = Tensor(np.zeros((), dtype, like=condition.array) + input)
    return where(condition, input, other)


@public
def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Entry by entry, whether |input − other| <= atol + rtol · |other|."""
    return Tensor(np.asarray(np.isclose(raw(input), raw(other), rtol, atol, equal_nan)))


@public
def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(np.allclose(raw(input), raw(other), rtol, atol, equal_nan))


@public
def equal(input: Any, other: Any) -> bool:
    """Whether shapes and all entries are equal."""
    return bool(np.array_equal(raw(input), raw(other)))


public(_add, name="add")
public(_sub, name="sub")
public(_div, name="div")
public(_rounded, name="round")
implements(np.rint)(_round)
implements(np.sign)(sign)
public(_pow, name="pow")
public(_where, name="where", as_method=False)
method("where", lambda self, condition, other: where(condition, self, other))

for _name, _op in {"add": add, "sub": sub, "mul": mul, "truediv": div}.items():
    operator(_name, _op, reverse=True)
for _name, _op in {"floordiv": floor_divide, "mod": remainder}.items():
    operator(_name, _op, reverse=True)
operator("pow", _pow, reverse=True)
for _name, _op in {"and": bitwise_and, "or": bitwise_or, "xor": bitwise_xor}.items():
    operator(_name, _op, reverse=True)
for _op in (eq, ne, lt, le, gt, ge):
    operator(_op.name, _op)
method("__neg__", lambda self: neg(self))
method("__pos__", lambda self: self)
method("__abs__", lambda self: abs(self))
method("__invert__", lambda self: bitwise_not(self))
