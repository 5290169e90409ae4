r"""The value of a formula of numbers, read from its LaTeX as a reader reads it: what stands side by
side is multiplied, a function takes what stands next to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

TOKEN = re.compile(r"\\text\{[^{}]*\}|\\operatorname\{\w+\}|\\[A-Za-z]+|\\.|[0-9.]+|\S")
FUNCTIONS: dict[str, Callable[..., float]] = {
    **{f"\\{n}": getattr(math, n) for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"\\arc{n}": getattr(math, f"a{n}") for n in ("sin", "cos", "tan")},
    **{rf"\operatorname{{ar{n}}}": getattr(math, f"a{n}") for n in ("sinh", "cosh", "tanh")},
    **{r"\ln": math.log, r"\max": max, r"\min": min, r"\operatorname{trunc}": math.trunc},
    r"\operatorname{sign}": lambda x: (x > 0) - (x < 0),
    r"\sigma": lambda x: 1 / (1 + math.exp(-x)),
    r"\operatorname{erf}": math.erf,
    r"\operatorname{softplus}": lambda x: math.log1p(math.exp(x)),
    r"\Phi": lambda x: math.erfc(-x / math.sqrt(2)) / 2,
    r"\text{the angle of the point }": lambda x, y: math.atan2(y, x),
    r"\text{the whole number nearest to }": round,
}
CLOSING = {"(": ")", "{": "}", "|": "|", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
SPACES = (r"\,", r"\!", r"\;", r"\left", r"\right")


class Tokens:
    """Tokens that are read from the front."""

    tokens: list[str]

    def peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, expected: str = "") -> str:
        token = self.tokens.pop(0)
        assert not expected or token == expected, (expected, token, self.tokens)
        return token

    def group(self) -> list[str]:
        """The next token, or those in the next braces."""
        if self.peek() != "{":
            return [self.take()]
        self.take()
        found, depth = [], 1
        while depth:
            token = self.take()
            depth += (token == "{") - (token == "}")
            found.append(token)
        return found[:-1]


class Reader(Tokens):
    """Reads tokens; `letters` says what letters stand for."""

    def __init__(self, latex: str, letters: dict[str, Any]) -> None:
        self.tokens = [t for t in TOKEN.findall(latex) if t not in SPACES]
        self.letters = letters

    def sum(self) -> float:
        sign = -1 if self.peek() == "-" else 1
        if sign < 0:
            self.take()
        total = sign * self.product()
        while self.peek() in ("+", "-"):
            total += (1 if self.take() == "+" else -1) * self.product()
        return total

    def product(self) -> float:
        total = self.power()
        while self.peek() not in ("", "+", "-", *CLOSING.values(), ",", "&", "\\\\", r"\end"):
            if self.peek() == "/":
                self.take()
                total /= self.power()
            else:
                if self.peek() == r"\cdot":
                    self.take()
                total *= self.power()
        return total

    def power(self) -> float:
        base = self.one()
        if self.peek() == "^":
            self.take()
            base = base ** self.one()
        return base

    def one(self) -> float:
        token = self.take()
        if token in CLOSING:
            value = self.sum()
            self.take(CLOSING[token])
            shown = {"|": abs, r"\lfloor": math.floor, r"\lceil": math.ceil}
            return shown.get(token, lambda x: x)(value)
        if token in FUNCTIONS:
            return FUNCTIONS[token](*self.arguments())
        if token == r"\log":
            self.take("_")
            base = self.one()
            return math.log(self.power(), base)
        if token in (r"\frac", r"\tfrac"):
            above = self.one()
            return above / self.one()
        if token == r"\sqrt":
            return math.sqrt(self.one())
        if token == "e":
            return math.e
        if token == r"\infty":
            return math.inf
        if token == r"\pi":
            return math.pi
        if token[0].isdigit():
            return float(token)
        return self.letters[token]

    def arguments(self) -> list[float]:
        """(a, b), or what stands next to the function."""
        if self.peek() != "(":
            nested = self.peek() in FUNCTIONS
            return [self.one() if nested else self.power()]
        self.take("(")
        found = [self.sum()]
        while self.peek() == ",":
            self.take()
            found.append(self.sum())
        self.take(")")
        return found


def value(latex: str, letters: dict[str, Any]) -> float:
    """What the right side of an equation is."""
    right = latex.partition(" = ")[2]
    if r"\begin{cases}" in right:
        return _cases(right, letters)
    reader = Reader(right, letters)
    found = reader.sum()
    assert not reader.tokens, reader.tokens
    return found


def _cases(latex: str, letters: dict[str, Any]) -> float:
    rows = latex.removeprefix(r"\begin{cases}").removesuffix(r"\end{cases}").split(r"\\")
    for row in rows:
        one, _, condition = row.partition("&")
        if r"\text{else}" in condition or _holds(condition.replace(r"\text{if }", ""), letters):
            return Reader(one, letters).sum()
    raise AssertionError(latex)


def _holds(condition: str, letters: dict[str, Any]) -> bool:
    left, sign, right = condition.partition(r"\le")
    if not sign:
        return bool(Reader(left, letters).sum())
    return Reader(left, letters).sum() <= Reader(right, letters).sum()
