r"""Formulas as MathML, which browsers draw by themselves: a page needs no script from elsewhere.

It reads the LaTeX that this package writes: fractions, roots, indices, accents, sums with limits,
brackets that grow, cases, aligned equations, words. Anything else is an error, so that a formula is
never half shown.
"""

from __future__ import annotations

import re
from html import escape

from tinynet.errors import ArgumentError

_WORDS_IN = r"\\(?:text|mathrm|operatorname)\{(?:[^{}])*\}"
_TOKEN = re.compile(_WORDS_IN + r"|\\[A-Za-z]+|\\.|\s+|[0-9]+(?:\.[0-9]+)?|.")

_GREEK = "alpha beta gamma delta zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon"
_GREEK_LETTERS = "αβγδζηθικλμνξπρστυ"
_SIGNS = {
    **dict(zip(_GREEK.split(), _GREEK_LETTERS, strict=True)),
    **{"varepsilon": "ε", "varphi": "φ", "phi": "ϕ", "chi": "χ", "psi": "ψ", "omega": "ω"},
    **{"Phi": "Φ", "Delta": "Δ", "infty": "∞", "partial": "∂", "ell": "ℓ"},
}
_OPERATORS = {
    **{"cdot": "·", "odot": "⊙", "le": "≤", "ge": "≥", "ne": "≠", "in": "∈", "land": "∧"},
    **{"lor": "∨", "lnot": "¬", "dots": "…", "top": "⊤", "oplus": "⊕", "sim": "∼", "mid": "∣"},
    **{"lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "times": "×", "to": "→"},
    **{"bmod": "mod", "&": "&", "_": "_", "|": "‖", "{": "{", "}": "}", "approx": "≈"},
}
_LARGE = {"sum": "∑", "prod": "∏", "int": "∫", "bigvee": "⋁", "bigwedge": "⋀"}
_WORDS = frozenset(("max", "min", "ln", "log", "exp", "det", "arg"))
_WORDS |= {"sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan"}
_SPACES = {",": 0.17, ";": 0.28, "!": -0.1, " ": 0.25, "quad": 1.0}
_ACCENTS = {"bar": "‾", "hat": "^", "tilde": "~"}
_BIG = ("bigl", "bigr", "Bigl", "Bigr")


def mathml(latex: str, *, display: bool = False) -> str:
    r"""The formula as a `<math>` element.

    Raises ArgumentError for a command that it does not know.

    >>> mathml(r"\frac{1}{2}")
    '<math><mfrac><mn>1</mn><mn>2</mn></mfrac></math>'
    """
    reader = _Reader(latex)
    body = reader.row(end=None)
    kind = ' display="block"' if display else ""
    return f"<math{kind}>{body}</math>"


class _Reader:
    """Reads tokens one after the other."""

    def __init__(self, latex: str) -> None:
        self.latex = latex
        self.tokens: list[str] = [t for t in _TOKEN.findall(latex) if not t.isspace()]
        self.at = 0

    def peek(self) -> str | None:
        """The next token."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> str:
        """The next token, used up."""
        if self.at == len(self.tokens):
            raise self._unknown("its end")
        self.at += 1
        return self.tokens[self.at - 1]

    def row(self, end: str | None) -> str:
        """What stands before `end`, side by side."""
        parts = []
        while self.peek() != end:
            parts.append(self.scripted())
        if end is not None:
            self.take()
        return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"

    def scripted(self) -> str:
        """One thing with what stands below and above it."""
        large = (self.peek() or "")[1:] in _LARGE
        base, below, above = self.one(), "", ""
        while self.peek() in ("_", "^", "'"):
            mark = self.take()
            if mark == "_":
                below = self.one()
            else:
                above += self.one() if mark == "^" else "<mo>′</mo>"
        if not below and not above:
            return base
        kinds = ("munder", "mover", "munderover") if large else ("msub", "msup", "msubsup")
        kind = kinds[2 if below and above else 1 if above else 0]
        return f"<{kind}>{base}{below}{above}</{kind}>"

    def one(self) -> str:
        """A letter, a number, a group or a command with its arguments."""
        token = self.take()
        if token == "{":
            return self.row("}")
        if token[0] == "\\" and token[-1] == "}" and len(token) > 2:
            words = token[token.index("{") + 1 : -1]
            text = escape(words.replace("\\_", "_").replace(" ", "\N{NO-BREAK SPACE}"))
            return f"<mtext>{text}</mtext>"
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token == "-":
            first = self.at == 1 or self.tokens[self.at - 2] in ("=", "(", r"\,", "{")
            return '<mo form="prefix">−</mo>' if first else "<mo>−</mo>"
        return f"<mo>{escape(token)}</mo>"

    def command(self, name: str) -> str:
        """A command, its name without the backslash."""
        if name in _SIGNS:
            return f"<mi>{_SIGNS[name]}</mi>"
        if name in _OPERATORS:
            return f"<mo>{escape(_OPERATORS[name])}</mo>"
        if name in _LARGE:
            return f'<mo largeop="true">{_LARGE[name]}</mo>'
        if name in _WORDS:
            close = self.peek() in (None, "(", "_", "^", r"\left", r"\!")
            return f"<mi>{name}</mi>" + ("" if close else '<mspace width="0.17em"/>')
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}em"/>'
        if name in ("frac", "tfrac"):
            return f"<mfrac>{self.one()}{self.one()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self.one()}</msqrt>"
        if name in _ACCENTS:
            return f"<mover>{self.one()}<mo>{_ACCENTS[name]}</mo></mover>"
        if name in ("mathbin", "mathord", "mathbf"):
            return self.one()
        if name in _BIG:
            return self.one()
        if name == "left":
            return self.brackets()
        if name == "begin":
            return self.table()
        raise self._unknown("\\" + name)

    def brackets(self) -> str:
        r"""\left( … \right), as high as what stands between."""
        left = self.one()
        parts = []
        while self.peek() != r"\right":
            parts.append(self.scripted())
        self.take()
        return f"<mrow>{left}{''.join(parts)}{self.one()}</mrow>"

    def table(self) -> str:
        r"""\begin{cases} … \end{cases}, a row for each; or aligned, rows that begin at &."""
        kind = self.braced()
        if kind not in ("cases", "aligned"):
            raise self._unknown(rf"\begin{{{kind}}}")
        rows: list[str] = []
        cells: list[str] = []
        parts: list[str] = []
        while True:
            token = self.peek()
            if token in ("&", "\\\\", r"\end"):
                self.take()
                if parts or cells or kind == "cases":
                    cells.append(f'<mtd style="text-align: left">{"".join(parts)}</mtd>')
                parts = []
                if token != "&":
                    rows.append(f"<mtr>{''.join(cells)}</mtr>")
                    cells = []
                if token == r"\end":
                    break
            else:
                parts.append(self.scripted())
        self.braced()
        brace = '<mo fence="true" stretchy="true">{</mo>' if kind == "cases" else ""
        return f"<mrow>{brace}<mtable>{''.join(rows)}</mtable></mrow>"

    def braced(self) -> str:
        """A word in braces."""
        letters = []
        self.take()
        while self.peek() != "}":
            letters.append(self.take())
        self.take()
        return "".join(letters)

    def _unknown(self, what: str) -> ArgumentError:
        return ArgumentError(f"no MathML is known for {what}", got=self.latex)
