r"""The equations of recurrent layers, read from their LaTeX: vectors that depend on the step t and
on each other. A matrix multiplies what stands behind it, two vectors side by side are multiplied
entry by entry, and v w^\top is their outer product.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from latex_value import SPACES, Tokens

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[0-9]+|\S")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    r"\tanh": np.tanh,
    r"\sigma": lambda x: 1 / (1 + np.exp(-x)),
    r"\max": np.maximum,
}


class Row:
    """A vector that was turned."""

    def __init__(self, vector: Any) -> None:
        self.vector = vector


class Equations:
    """Lines that define vectors; `arrays` are known, those of three axes for each step and each
    sequence.

    T, b   how many steps there are, and the sequence that is looked at
    """

    def __init__(self, lines: list[str], arrays: dict[str, Any], T: int) -> None:
        self.arrays, self.T, self.b = arrays, T, 0
        self.generic: dict[
            str, tuple[list[str], int, int]
        ] = {}  # right side, which part, of how many
        self.fixed: dict[
            str, list[tuple[list[str], list[str]]]
        ] = {}  # at one step: index, right side
        self.known: dict[Any, Any] = {}
        for line in lines:
            for equation in re.split(r"\\text\{[^{}]*\}", line):
                self.define(equation)

    def define(self, equation: str) -> None:
        tokens = [t for t in TOKEN.findall(equation) if t not in SPACES]
        if "=" not in tokens:
            return
        last = len(tokens) - tokens[::-1].index("=")
        right, reader = tokens[last:], Vector(self, tokens[: last - 1], 0)
        if reader.peek() == "(" or "=" in reader.tokens:  # a tuple, which maybe has a name too
            if reader.peek() != "(":
                name, _ = reader.name()
                self.generic[name] = right, 0, 1
                reader.take()
            parts = reader.names()
            for k, part in enumerate(parts):
                self.generic[part] = right, k, len(parts)
            return
        name, index = reader.name()
        if index in (["t"], []):
            if not (name in self.arrays and right[0] == "("):
                self.generic[name] = right, 0, 1
            else:  # a known vector, made of parts
                parts = Vector(self, right, 0).names()
                for k, part in enumerate(parts):
                    bar = [r"\bar"] * name.startswith("¯")
                    self.generic[part] = [*bar, name[-1], "_", "t"], k, len(parts)
        else:
            self.fixed.setdefault(name, []).append((index, right))

    def value(self, name: str, index: list[str], t: int) -> Any:
        if not index:
            x = self.arrays[name]
            return x[self.b] if name in ("B", "C") else x  # the first states
        step = self.step(index, t)
        for at, right in self.fixed.get(name, ()):
            if self.step(at, t) == step:
                return Vector(self, list(right), step).sum()
        key = name, step, self.b
        if key not in self.known:
            if name in self.arrays:
                x = self.arrays[name]  # outside of the steps it meets a gradient that is 0
                inside = 1 <= step <= self.T
                self.known[key] = x[step - 1, self.b] if inside else np.zeros(x.shape[2])
            else:
                right, k, parts = self.generic[name]
                whole = Vector(self, list(right), step).sum()
                split = parts > 1 and np.ndim(whole)
                self.known[key] = np.split(whole, parts)[k] if split else whole
        return self.known[key]

    def step(self, index: list[str], t: int) -> int:
        return int(eval("".join(index), {"t": t, "T": self.T}))  # t-1, T+1, 0


class Vector(Tokens):
    """Reads with t at one step."""

    def __init__(self, equations: Equations, tokens: list[str], t: int) -> None:
        self.equations, self.tokens, self.t = equations, tokens, t

    def name(self) -> tuple[str, list[str]]:
        r"""A letter, maybe with a bar and a superscript, and its index: \bar{a}_{t+1}^i."""
        name, index = "", []
        if self.peek() == "{":
            inner = Vector(self.equations, self.group(), self.t)
            name = inner.name()[0]
        elif self.peek() == r"\bar":
            self.take()
            name = "¯" + "".join(c for c in self.group() if c not in "{}")
        else:
            name = self.take()
        while self.peek() in ("_", "^"):
            if self.peek() == "_":
                self.take()
                index = self.group()
            elif self.tokens[1].isdigit() or self.tokens[1] == r"\top":
                break
            else:
                self.take()
                name += "^" + "".join(self.group())
        return name, index

    def names(self) -> list[str]:
        self.take("(")
        found = [self.name()[0]]
        while self.peek() == ",":
            self.take()
            found.append(self.name()[0])
        self.take(")")
        return found

    def sum(self) -> Any:
        total = self.product()
        while self.peek() in ("+", "-"):
            total = total + self.product() if self.take() == "+" else total - self.product()
        return total

    def product(self) -> Any:
        factors = [self.power()]
        while self.peek() not in ("", "+", "-", ",", ")", "]", ">"):
            if self.peek() == r"\odot":
                self.take()
            factors.append(self.power())
        if isinstance(factors[-1], Row):
            return np.outer(factors[0], factors[1].vector)
        total = factors.pop()
        for factor in reversed(factors):
            total = factor @ total if np.ndim(factor) == 2 and np.ndim(total) else factor * total
            total = 0.0 if np.ndim(total) == 2 else total  # a matrix times the vector 0
        return total

    def power(self) -> Any:
        base = self.one()
        if self.peek() == "^":
            self.take()
            raised = self.group()
            if raised == [r"\top"]:
                return base.T if np.ndim(base) == 2 else Row(base)
            base = base ** int(raised[0])
        return base

    def one(self) -> Any:
        token = self.peek()
        if token == r"\sum":
            return self.over_all()
        if token in FUNCTIONS:
            self.take()
            power = int(self.group()[0]) if self.peek() == "^" and self.take() else 1
            return FUNCTIONS[token](*self.arguments()) ** power
        if token in ("(", "["):
            found = self.arguments()
            return found[0] if len(found) == 1 else np.concatenate(found)
        if token.isdigit():
            return float(self.take())
        name, index = self.name()
        return self.equations.value(name, index, self.t)

    def arguments(self) -> list[Any]:
        if self.peek() not in ("(", "["):
            return [self.one()]
        opened = self.take()
        found = [self.sum()]
        while self.peek() == ",":
            self.take()
            found.append(self.sum())
        if opened == "[":
            self.take(">")
            found = [(found[0] > self.sum()) * 1.0]
        self.take(")" if opened == "(" else "]")
        return found

    def over_all(self) -> Any:
        """Over all sequences b and steps t."""
        self.take()
        self.take("_")
        assert self.group() == ["b", ",", "t"]
        total, body, N = 0.0, list(self.tokens), self.equations.arrays["A"].shape[1]
        for b in range(N):
            for t in range(1, self.equations.T + 1):
                self.equations.b = b
                reader = Vector(self.equations, list(body), t)
                total, self.tokens = total + reader.product(), reader.tokens
        return total
