r"""Formulas as MathML, which browsers draw by themselves: a page needs no script from elsewhere.

It reads the LaTeX that this package writes: fractions, roots, indices, accents, sums with limits,
brackets that grow, cases, aligned equations, words. Anything else is an error, so that a formula is
never half shown.
"""

from __future__ import annotations

import re
from html import escape

from tinynet.errors import ArgumentError

_WORDS_IN = r"\\(?:text|mathrm|operatorname)\{(?:[^{}\\]|\\.)*\}"
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
_ESCAPE = re.compile(r"\\(backslash |sim |wedge |.)")
_RIGID = ' stretchy="false"'
NBSP = "\N{NO-BREAK SPACE}"
_BIG = ("bigl", "bigr", "Bigl", "Bigr")


def mathml(latex: str) -> str:
    r"""The formula as a `<math>` element.

    Raises ArgumentError for a command that it does not know.

    >>> mathml(r"\frac{1}{2}")
    '<math displaystyle="true"><mfrac><mn>1</mn><mn>2</mn></mfrac></math>'
    """
    reader = _Reader(latex)
    body = reader.row(end=None)
    return f'<math displaystyle="true">{body}</math>'


def plain(words: str) -> str:
    """Words with the characters for which the escapes of `names` stand."""
    special = {"backslash ": "\\", "sim ": "~", "wedge ": "^"}
    return _ESCAPE.sub(lambda match: special.get(match[1], match[1]), words)


def _sign(text: str) -> str:
    """A sign. Brackets are as high as what stands between them only after \\left and \\right."""
    return f"<mo{_RIGID if text in '()[]{}|‖⌊⌋⌈⌉' else ''}>{escape(text)}</mo>"


def _brace(rows: list[str]) -> str:
    """A brace as high as the rows. A picture: fonts without mathematics have none that grows."""
    high = sum(2.4 if "<mfrac>" in row else 1.45 for row in rows)
    end, middle = 12 * high, 6 * high
    below = high / 2 - 0.28  # so that its middle is on the line of minus signs
    return (
        f'<mpadded height="{high - below:g}em" depth="{below:g}em" voffset="-{below:g}em"><mtext>'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 7 {end:g}" height="{high:g}em" '
        f'fill="none" stroke="currentColor"><path d="M6.5,.5 Q3.5,.5 3.5,4 V{middle - 4:g} '
        f"Q3.5,{middle:g} .5,{middle:g} Q3.5,{middle:g} 3.5,{middle + 4:g} "
        f'V{end - 4:g} Q3.5,{end - 0.5:g} 6.5,{end - 0.5:g}"/></svg></mtext></mpadded>'
    )


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
        """One thing with its indices and powers. The limits of a sum stand beside it too: a font
        without mathematics has no sign that is high enough for limits above and below.
        """
        base, below, above = self.one(), "", ""
        while self.peek() in ("_", "^", "'"):
            mark = self.take()
            if mark == "_":
                below = self.one()
            else:
                above += self.one() if mark == "^" else "<mo>′</mo>"
        if not below and not above:
            return base
        if below and base.startswith("<msub"):  # v_1 at i is not v at 1i
            below = f'<mrow><mspace width="0.25em"/>{below}</mrow>'
        kind = "msubsup" if below and above else "msup" if above else "msub"
        return f"<{kind}>{base}{below}{above}</{kind}>"

    def one(self) -> str:
        """A letter, a number, a group or a command with its arguments."""
        token = self.take()
        if token == "{":
            return self.row("}")
        if token[0] == "\\" and token[-1] == "}" and len(token) > 2:
            words = escape(plain(token[token.index("{") + 1 : -1]).replace(" ", NBSP))
            if token.startswith(r"\text"):
                return f"<mtext>{words}</mtext>"
            return f'<mi mathvariant="normal">{words}</mi>'
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token == "-":
            first = self.at == 1 or self.tokens[self.at - 2] in ("=", "(", r"\,", "{")
            return '<mo form="prefix">−</mo>' if first else "<mo>−</mo>"
        return _sign(token)

    def command(self, name: str) -> str:
        """A command, its name without the backslash."""
        if name in _SIGNS:
            return f"<mi>{_SIGNS[name]}</mi>"
        if name in _OPERATORS:
            return _sign(_OPERATORS[name])
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
            below = self.one()
            if name == "bar" and below.startswith("<mi m"):  # as long as the word, in any font
                return below.replace("<mi", '<mi style="text-decoration: overline"')
            return f"<mover>{below}<mo>{_ACCENTS[name]}</mo></mover>"
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
        ends = (end.replace(_RIGID, "") for end in (left, self.one()))
        return f"<mrow>{next(ends)}{''.join(parts)}{next(ends)}</mrow>"

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
        brace = _brace(rows) if kind == "cases" else ""
        return f'<mrow>{brace}<mtable displaystyle="true">{"".join(rows)}</mtable></mrow>'

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
