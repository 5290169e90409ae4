r"""Letters in the place of arrays: a rule run on them writes down its own formula.

A rule such as `lambda g, y, u: g * (1 - y * y)` computes with whatever answers NumPy's protocols.
A `Symbol` answers by remembering what was asked: what comes out is the formula as a tree, which can
be printed (`latex`) and computed again with numbers (`evaluate`). So a formula that is shown cannot
differ from the code that runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinynet import arrays
from tinynet.explanation.names import escaped
from tinynet.op import Op


class Symbol(NDArrayOperatorsMixin, arrays.Letter):
    """A letter, or a function of other symbols and numbers.

    function   the NumPy function or Op that was called; None for a letter
    arguments  what it was called with; for a letter, its LaTeX

    >>> g, y = Symbol.letter("g"), Symbol.letter("y")
    >>> print((g * (1 - y * y)).latex())
    g \\, \\left(1 - {y}^{2}\\right)
    >>> float((g * (1 - y * y)).evaluate({"g": 2.0, "y": 0.5}))
    1.5
    """

    __slots__ = ("arguments", "function", "options")
    __hash__ = object.__hash__
    shape, ndim, dtype = (), 0, np.dtype(np.float64)

    def __init__(self, function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.function, self.arguments, self.options = function, arguments, options

    @classmethod
    def letter(cls, name: str) -> Symbol:
        """A symbol that stands for itself."""
        return cls(None, (name,), {})

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return Symbol(ufunc, inputs, {}) if method == "__call__" else NotImplemented

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.zeros_like:
            return 0
        return Symbol(function, tuple(args), dict(kwargs))

    def apply(self, op: Op, values: Any, options: dict[str, Any]) -> Symbol:
        """An op that a rule calls is written by its name, not as what it does inside."""
        return Symbol(op, tuple(values), options)

    # -- what can be done with a formula -----------------------------------------------------------

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The formula's value, given one for each letter."""
        if self.function is None:
            return values[self.arguments[0]]
        inner = [a.evaluate(values) if isinstance(a, Symbol) else a for a in self.arguments]
        return self.function(*inner, **self.options)

    def latex(self) -> str:
        """The formula as it is printed."""
        return written(self)[0]


# -- printing: each formula with how tightly it holds together -------------------------------------

SUM, PRODUCT, PREFIX, POWER, ATOM = range(5)
Written = tuple[str, int]

_CONSTANTS = {
    math.log(2): r"\ln 2",
    math.log(10): r"\ln 10",
    math.sqrt(0.5): r"\tfrac{1}{\sqrt{2}}",
    2 / math.sqrt(math.pi): r"\tfrac{2}{\sqrt{\pi}}",
    math.sqrt(2 / math.pi): r"\sqrt{\tfrac{2}{\pi}}",
    math.sqrt(2 * math.pi): r"\sqrt{2 \pi}",
    math.inf: r"\infty",
}


def written(x: Any) -> Written:
    """LaTeX, and how tightly it binds: what is put into a tighter place gets parentheses."""
    if not isinstance(x, Symbol):
        return _number(x)
    if x.function is None:
        return x.arguments[0], ATOM
    name = x.function.name if isinstance(x.function, Op) else x.function.__name__
    if name in _FORMS:
        return _FORMS[name](*x.arguments, **x.options)
    inside = r",\, ".join(written(a)[0] for a in x.arguments)
    return rf"\operatorname{{{escaped(name)}}}\left({inside}\right)", ATOM


def _number(x: Any) -> Written:
    value = float(x)
    if abs(value) in _CONSTANTS:
        text = _CONSTANTS[abs(value)]
        return (text, ATOM) if value > 0 else ("-" + text, SUM)
    if math.isnan(value):
        return r"\mathrm{nan}", ATOM
    mantissa, _, exponent = f"{value:.6g}".partition("e")
    if not exponent:
        return mantissa, ATOM if value >= 0 else SUM
    power = f"10^{{{int(exponent)}}}"
    text = power if mantissa == "1" else rf"{mantissa} \cdot {power}"
    return text, PRODUCT if value >= 0 else SUM


def number(x: float) -> str:
    r"""A number as it stands in formulas.

    >>> number(0.1), number(-2.0), number(1e-5), number(math.inf)
    ('0.1', '-2', '10^{-5}', '\\infty')
    """
    return _number(x)[0]


def _fitted(x: Any, place: int) -> str:
    text, tightness = written(x)
    return text if tightness >= place else rf"\left({text}\right)"


def _is(x: Any, number: float) -> bool:
    return not isinstance(x, Symbol) and float(x) == number


def _add(a: Any, b: Any) -> Written:
    first, second = written(a)[0], written(b)[0]
    return f"{first} - {second[1:]}" if second.startswith("-") else f"{first} + {second}", SUM


def _subtract(a: Any, b: Any) -> Written:
    if _is(a, 0):
        return _product(Symbol(np.negative, (b,), {}))
    return f"{written(a)[0]} - {_fitted(b, PRODUCT)}", SUM


class _Factors:
    """A product as it is written: a sign, numbers, and powers in the order in which they came."""

    def __init__(self) -> None:
        self.number = 1.0
        self.powers: dict[str, int] = {}  # what is multiplied, fitted for a product -> exponent

    def take(self, x: Any, exponent: int = 1) -> None:
        """Multiply by x to a whole power."""
        function = x.function if isinstance(x, Symbol) else None
        if function is np.multiply:
            self.take(x.arguments[0], exponent)
            self.take(x.arguments[1], exponent)
        elif function is np.true_divide:
            self.take(x.arguments[0], exponent)
            self.take(x.arguments[1], -exponent)
        elif function is np.negative:
            self.number *= (-1) ** exponent
            self.take(x.arguments[0], exponent)
        elif function is np.square:
            self.take(x.arguments[0], 2 * exponent)
        elif function is np.where and exponent == 1 and _is(x.arguments[2], 0):
            self.take(x.arguments[1])
            self.put(Symbol(_bracket, (x.arguments[0],), {}), 1)
        elif function is np.where and exponent == 1 and _is(x.arguments[1], 0):
            self.take(x.arguments[2])
            self.put(Symbol(_bracket, (_not(x.arguments[0]),), {}), 1)
        elif isinstance(x, Symbol) or abs(float(x)) in _CONSTANTS:
            self.put(x, exponent)
        else:
            self.number *= float(x) ** exponent

    def put(self, x: Any, exponent: int) -> None:
        """Multiply by something that is no product itself."""
        text, tightness = written(x)
        if text.startswith("-") and tightness == SUM and not isinstance(x, Symbol):
            self.number, text, tightness = -self.number, text[1:], ATOM
        text = text if tightness > SUM else rf"\left({text}\right)"
        self.powers[text] = self.powers.get(text, 0) + exponent

    def side(self, sign: int) -> str:
        """Numerator (1) or denominator (-1)."""
        powers = [(t, sign * e) for t, e in self.powers.items() if sign * e > 0]
        parts = [t if e == 1 else f"{{{t}}}^{{{e}}}" for t, e in powers]
        number = abs(self.number) if sign > 0 else 1 / abs(self.number)
        alone = sign < 0 and len(parts) == 1 and (number == 1 or not self._belongs(sign))
        if alone and powers[0][1] == 1 and parts[0].startswith(r"\left("):
            parts = [parts[0][len(r"\left(") : -len(r"\right)")]]
        if number != 1 and (number > 1 or number != int(number)) and self._belongs(sign):
            parts.insert(0, f"{number:.6g}")
        return r" \, ".join(parts)

    def _belongs(self, sign: int) -> bool:
        """Whether the number stands on this side: 1/2 below, 3 and 0.3 above."""
        below = abs(self.number) < 1 and (1 / abs(self.number)).is_integer()
        return below == (sign < 0)


def _product(x: Any) -> Written:
    factors = _Factors()
    factors.take(x)
    if factors.number == 0:
        return "0", ATOM
    above, below = factors.side(1) or "1", factors.side(-1)
    text = rf"\frac{{{above}}}{{{below}}}" if below else above
    return ("-" + text, SUM) if factors.number < 0 else (text, PRODUCT)


def _power(a: Any, b: Any) -> Written:
    return rf"{{{_fitted(a, ATOM)}}}^{{{written(b)[0]}}}", POWER


def _where(condition: Any, yes: Any, no: Any) -> Written:
    if _is(no, 0) or _is(yes, 0):
        return _product(Symbol(np.where, (condition, yes, no), {}))
    cases = (yes, rf"\text{{if }} {written(condition)[0]}"), (no, r"\text{else}")
    lines = r" \\ ".join(rf"{written(v)[0]} & {c}" for v, c in cases)
    return rf"\begin{{cases}} {lines} \end{{cases}}", ATOM


def _bracket(condition: Any) -> Any:
    """[c] is 1 where c holds and 0 elsewhere."""
    return np.where(condition, 1, 0)


_OPPOSITE = {
    np.less: np.greater_equal,
    np.less_equal: np.greater,
    np.greater: np.less_equal,
    np.greater_equal: np.less,
    np.equal: np.not_equal,
}


def _not(condition: Any) -> Any:
    if isinstance(condition, Symbol) and condition.function in _OPPOSITE:
        return Symbol(_OPPOSITE[condition.function], condition.arguments, {})
    return Symbol(np.logical_not, (condition,), {})


def _between(sign: str, tightness: int = SUM) -> Callable[..., Written]:
    return lambda a, b: (f"{_fitted(a, PRODUCT)} {sign} {_fitted(b, PRODUCT)}", tightness)


def _called(name: str) -> Callable[..., Written]:
    return lambda a: (rf"{name}\!\left({written(a)[0]}\right)", ATOM)


def _around(left: str, right: str) -> Callable[..., Written]:
    return lambda a, **_: (f"{left}{written(a)[0]}{right}", ATOM)


def _base_power(a: Any, *, exponent: float) -> Written:
    return written(a) if exponent == 1 else _power(a, exponent)


def _multiplied(name: str) -> Callable[..., Written]:
    function = {"multiply": np.multiply, "divide": np.true_divide, "negative": np.negative}[name]
    return lambda *arguments: _product(Symbol(function, arguments, {}))


def _raised(a: Any, b: Any = None, *, exponent: Any = None) -> Written:
    b = exponent if b is None else b
    return written(a) if _is(b, 1) else _power(a, b)


_FORMS: dict[str, Callable[..., Written]] = {
    "add": _add,
    "subtract": _subtract,
    **{name: _multiplied(name) for name in ("multiply", "divide", "negative")},
    "power": _raised,
    "square": lambda a: _power(a, 2),
    "where": _where,
    "_bracket": lambda a: (rf"[{written(a)[0]}]", ATOM),
    "exp": lambda a: (rf"e^{{{written(a)[0]}}}", POWER),
    "exp2": lambda a: (rf"2^{{{written(a)[0]}}}", POWER),
    "sqrt": _around(r"\sqrt{", "}"),
    "absolute": _around(r"\left|", r"\right|"),
    "floor": _around(r"\left\lfloor ", r" \right\rfloor"),
    "floor_divide": lambda a, b: (
        rf"\left\lfloor {_product(Symbol(np.true_divide, (a, b), {}))[0]} \right\rfloor",
        ATOM,
    ),
    "greater": _between(">"),
    "greater_equal": _between(r"\ge"),
    "less": _between("<"),
    "less_equal": _between(r"\le"),
    "equal": _between("="),
    "not_equal": _between(r"\ne"),
    "bitwise_and": _between(r"\land"),
    "bitwise_or": _between(r"\lor"),
    "logical_not": lambda a: (rf"\lnot\left({written(a)[0]}\right)", ATOM),
    "sigmoid": _called(r"\sigma"),
    "log": _called(r"\ln"),
    **{name: _called("\\" + name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
}
