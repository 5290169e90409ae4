r"""Names as they stand in formulas.

One letter, with digits or a word below it, is a letter of mathematics: W1, x_train, ŷ, alpha_2.
Every other name is set upright, as it is, with what LaTeX would take for a command escaped.
"""

from __future__ import annotations

import re
import unicodedata

_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψω", (
    *("alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "varphi", "chi", "psi"),
    "omega",
), strict=True))  # fmt: skip
_ACCENTS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde"}
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_INDEXED = re.compile(rf"([^\W\d_][\u0302-\u0304]?|{'|'.join(_GREEK.values())})(?:(\d+)|_(\w+))?")
_ESCAPED = {"\\": r"\backslash ", "~": r"\sim ", "^": r"\wedge "}
_ESCAPED |= {c: "\\" + c for c in "{}$%#&_ "}


def latex_name(name: str) -> str:
    r"""A name as it stands in formulas.

    >>> latex_name("W1"), latex_name("ŷ"), latex_name("alpha_t"), latex_name("loss")
    ('W_{1}', '\\hat{y}', '\\alpha_{t}', '\\mathrm{loss}')
    >>> latex_name("0.in_proj"), latex_name("100%")
    ('\\mathrm{0.in\\_proj}', '\\mathrm{100\\%}')
    """
    plain = unicodedata.normalize("NFD", name).translate(_LOWERED)
    match = _INDEXED.fullmatch(plain)
    if match is None:
        return _upright(name)
    below = match[2] or match[3]
    if below is None:
        return _letter(match[1])
    short = below.isdigit() or (len(below) == 1 and below != "_")
    return f"{_letter(match[1])}_{{{below if short else _upright(below)}}}"


def _letter(text: str) -> str:
    """A Latin letter, maybe with an accent, or a Greek one."""
    letter, accent = (text[0], _ACCENTS[text[1]]) if text[1:] in _ACCENTS else (text, "")
    if letter in _GREEK or letter in _GREEK.values():
        letter = "\\" + _GREEK.get(letter, letter)
    return rf"\{accent}{{{letter}}}" if accent else letter


def _upright(name: str) -> str:
    return rf"\mathrm{{{escaped(name)}}}"


def escaped(name: str) -> str:
    r"""A name as it is, with what LaTeX would take for a command escaped.

    >>> escaped("my_op")
    'my\\_op'
    """
    return "".join(_ESCAPED.get(c, c) for c in name)


def barred(name: str) -> str:
    r"""∂L/∂ what is called so: a bar over the letter.

    >>> barred("W1"), barred("loss")
    ('\\bar{W}_{1}', '\\bar{\\mathrm{loss}}')
    """
    latex = latex_name(name)
    letter, below = latex, ""
    if not latex.startswith(r"\mathrm") and latex.endswith("}") and "_{" in latex:
        letter, _, below = latex.partition("_")
        below = "_" + below
    return rf"\bar{{{letter}}}{below}"
