r"""Index formulas, read from their LaTeX: what each entry of the left side is, by the right side
and what stands behind it. Inputs are called as in INPUTS, the output Y; sums run over the sizes
that the arrays have where their letters stand.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from latex_value import CLOSING, SPACES, TOKEN, Reader

INPUTS = "ABDFHQ"
BARS = dict(zip((*INPUTS, "Y"), "ÀÈÌÒÙÝÄ", strict=True))  # Ä is what arrives
RELATIONS: dict[str, Callable[[float, float], bool]] = {
    **{"=": operator.eq, "<": operator.lt, ">": operator.gt},
    **{r"\le": operator.le, r"\ge": operator.ge, r"\ne": operator.ne},
}
ENDS = (r"\in", r"\land", r"\lor")
LARGE: dict[str, Callable[[Any], float]] = {
    **{r"\sum": math.fsum, r"\prod": math.prod, r"\max": max, r"\min": min}
}


class Formula:
    """One line: its equation, and the ones that it refers to."""

    def __init__(self, latex: str, arrays: dict[str, Any], scalars: dict[str, float]) -> None:
        for name, bar in BARS.items():
            latex = latex.replace(rf"{{\bar{{{name}}}}}", bar).replace(f"{{{name}}}", name)
        main, _, rest = latex.partition(r", \; ")
        rest = rest.removeprefix(r"\begin{aligned} ").removesuffix(r" \end{aligned}")
        self.arrays, self.scalars = arrays, scalars
        self.sizes = {"f": 2, "k": 4, "l": 4}  # of letters that stand with no array alone
        shapes = {name: x.shape for name, x in arrays.items()}
        shapes |= {bar: shapes[name] for name, bar in BARS.items() if name in shapes}
        for name, letters in re.findall(r"([A-ZÀÈÌÒÙÝÄ])_(?:\{([a-z]+)\}|[a-z])", latex):
            for c, n in zip(letters or "", shapes[name], strict=False):
                self.sizes[c] = n
        for name, c in re.findall(r"([A-ZÀÈÌÒÙÝÄ])_([a-z])", latex):
            self.sizes[c] = shapes[name][0]
        self.name, self.letters, self.right = self.equation(main)
        self.defined = {}
        for line in rest.split(r" \\ "):
            line = line.removeprefix("& ")
            if " = " in line and not line.startswith(r"\text"):
                name, letters, right = self.equation(line)
                self.defined[name] = letters, right

    def equation(self, latex: str) -> tuple[str, list[str], list[str]]:
        """The name on the left, its indices, and the tokens on the right."""
        left, _, right = latex.partition(" = ")
        name, _, below = left.strip().partition("_")
        tokens = [t for t in TOKEN.findall(right) if t not in SPACES]
        rows = (r"\text{if }", r"\text{else}")  # of cases; other words end the formula
        words = [i for i, t in enumerate(tokens) if t.startswith(r"\text{") and t not in rows]
        letters = [t for t in TOKEN.findall(below) if t not in "{},"]
        return (
            name.replace("{", "").replace("}", ""),
            letters,
            tokens[: words[0]] if words else tokens,
        )

    def entry(self, place: tuple[int, ...]) -> float:
        """The right side at a place."""
        return self.read(self.right, dict(zip(self.letters, place, strict=True)))

    def read(self, tokens: list[str], indices: dict[str, int]) -> float:
        reader = Entry(self, list(tokens), indices)
        found = reader.sum()
        assert not reader.tokens, reader.tokens
        return found


class Entry(Reader):
    """Reads with every index at one place."""

    def __init__(self, formula: Formula, tokens: list[str], indices: dict[str, int]) -> None:
        self.formula, self.tokens, self.indices = formula, tokens, indices
        self.letters = {}

    def ends(self) -> bool:
        return self.peek() in ("", "+", "-", ",", "]", *ENDS, *CLOSING.values(), *RELATIONS)

    def product(self) -> float:
        total = self.power()
        while not self.ends():
            total = self.quotient(total) if self.peek() == "/" else total * self.power()
        return total

    def quotient(self, above: float) -> float:
        self.take("/")
        return above / self.power()

    def one(self) -> float:
        token = self.peek()
        if token == r"\begin":
            return self.cases()
        if token == r"\arg":  # the first place of the largest
            self.take()
            return self.over(max, self.take(r"\max"))
        if token in LARGE and self.tokens[1] == "_":
            return self.over(LARGE[self.take()])
        if token == "|" and self.tokens[1:3] == ["w", "_"]:
            return self.size_of_window()
        if token == "[":
            self.take()
            found = self.holds()
            self.take("]")
            return float(found)
        if token in (r"\bar", r"\hat"):
            self.take()
            return self.entry(token + "".join(self.group()))
        known = token in self.formula.arrays or token in self.formula.defined
        if token in self.indices and self.tokens[1:2] != ["_"]:
            return self.indices[self.take()]
        if known:
            return self.entry(self.take())
        if token in self.formula.scalars:
            return self.formula.scalars[self.take()]
        return super().one()

    def entry(self, name: str) -> float:
        """The entry at the indices that follow."""
        at: list[float] = []
        if self.peek() == "_":
            self.take()
            at = self.places(self.group())
        if name in self.formula.arrays:
            x, place = self.formula.arrays[name], tuple(map(int, at))
            inside = all(0 <= i < n for i, n in zip(place, x.shape, strict=True))
            return float(x[place]) if inside else 0.0  # as the formulas of windows say
        letters, right = self.formula.defined[name]
        bound = {c: int(i) for c, i in zip(letters, at, strict=True)}
        return self.formula.read(right, {**self.indices, **bound} if not letters else bound)

    def places(self, tokens: list[str]) -> list[float]:
        """Indices: between commas, one sum, or letters side by side."""
        reader = Entry(self.formula, list(tokens), self.indices)
        found = []
        alone = "," in tokens or "+" in tokens or "-" in tokens
        while reader.tokens:
            found.append(reader.sum() if alone else reader.one())
            if reader.peek() == ",":
                reader.take()
        return found

    def holds(self) -> bool:
        """A condition, or several."""
        found = self.condition()
        while self.peek() in (r"\land", r"\lor"):
            both, other = self.take() == r"\land", self.condition()
            found = (found and other) if both else (found or other)
        return found

    def condition(self) -> bool:
        if self.peek() == r"\lnot":
            self.take()
            return not self.condition()
        if self.peek() == "(" and self.tokens[self.closed() + 1 : self.closed() + 2] in (
            *([x] for x in (r"\land", r"\lor", "]", ")", ",")),
            [],
        ):
            self.take()
            found = self.holds()
            self.take(")")
            return found
        left = self.sum()
        if self.peek() not in (r"\in", *RELATIONS):
            return bool(left)
        if self.peek() == r"\in":  # a window: {a i + u | u = 0 … K}
            self.take()
            name = self.take()
            at = self.places(self.group() if self.take() == "_" else [])
            _, right = self.formula.defined[name]
            cut = right.index(r"\mid")
            last = int(right[right.index(r"\dots") + 1])
            window = right[1:cut]
            bound = {"i": int(at[0])}
            return left in [self.formula.read(window, {**bound, "u": u}) for u in range(last + 1)]
        true = True
        while self.peek() in RELATIONS:  # 1 < t < 2
            relation, right = RELATIONS[self.take()], self.sum()
            true, left = true and relation(left, right), right
        return true

    def closed(self) -> int:
        """Where the bracket that comes next is closed."""
        depth = 0
        for i, token in enumerate(self.tokens):
            depth += (token == "(") - (token == ")")
            if not depth:
                return i
        raise AssertionError(self.tokens)

    def cases(self) -> float:
        """The first row whose condition holds."""
        rows: list[list[list[str]]] = [[[]]]
        depth = 1
        self.take()
        self.group()
        while True:
            token = self.take()
            depth += (token == r"\begin") - (token == r"\end")
            if not depth:
                break
            if depth == 1 and token == r"\\":
                rows.append([[]])
            elif depth == 1 and token == "&":
                rows[-1].append([])
            else:
                rows[-1][-1].append(token)
        self.group()
        for one, (word, *condition) in rows:
            reader = Entry(self.formula, condition, self.indices)
            if word == r"\text{else}" or reader.holds():
                return self.formula.read(one, self.indices)
        raise AssertionError(rows)

    def size_of_window(self) -> float:
        """|w_i|: of the entries in the window, those inside."""
        self.take("|")
        tokens = [self.take(), self.take(), self.take()]
        self.take("|")
        condition = ["q", r"\in", *tokens]
        return float(len(list(self.values(["q", ":", *condition]))))

    def over(self, collect: Callable[[Any], float], arg: str = "") -> float:
        """A sum, a product or an extreme over all values of the letters below; of an extreme, where
        it is.
        """
        self.take("_")
        below = self.group()
        if self.peek() == "^":
            self.take()
            self.group()
            below = below[:1]
        body, found, at = list(self.tokens), [], []
        for indices in self.values(below):
            reader = Entry(self.formula, list(body), indices)
            found.append(reader.product())
            at.append(indices[below[0]] if arg else 0)
            self.tokens = reader.tokens
        if arg:
            return at[found.index(max(found))]
        if not found:  # an empty sum; its body is read all the same
            reader = Entry(self.formula, body, {**dict.fromkeys(below, 0), **self.indices})
            reader.product()
            self.tokens = reader.tokens
        return collect(found)

    def values(self, below: list[str]) -> Iterator[dict[str, int]]:
        """The letters below a sum, at all places where the conditions hold."""
        if ":" in below:
            cut = below.index(":")
            letters, conditions = below[:cut], below[cut + 1 :]
        elif any(t in RELATIONS or t == r"\in" for t in below):
            letters, conditions = below[:1], below
        else:
            letters, conditions = below, []
        letters = [c for c in letters if c != ","]
        for at in itertools.product(*(range(self.formula.sizes[c]) for c in letters)):
            indices = {**self.indices, **dict(zip(letters, at, strict=True))}
            reader, true = Entry(self.formula, list(conditions), indices), True
            while reader.tokens:
                true = reader.holds() and true
                if reader.peek() == ",":
                    reader.take()
            if true:
                yield indices


def entries(latex: str, arrays: dict[str, Any], scalars: dict[str, float], like: Any) -> Any:
    """All entries that a line says, in the shape of what it is compared with."""
    formula = Formula(latex, arrays, scalars)
    found = np.empty(like.shape)
    for place in np.ndindex(like.shape):
        found[place] = formula.entry(place[: len(formula.letters)])
    return found
