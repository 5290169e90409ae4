r"""Forward formulas of ops that work entry by entry and whose options stand in the formula; the
others are shown as the table has them. Their gradients write themselves (`symbols.py`).
"""

from __future__ import annotations

from tinynet.explanation.formulas.template import Structured, Text, option, table
from tinynet.explanation.graph import Step
from tinynet.explanation.symbols import number


def _factor(x: float) -> str:
    """A number that something is multiplied with; nothing for 1."""
    return "" if x == 1 else rf"{number(x)} \, " if x >= 0 else rf"\left({number(x)}\right) \, "


def _between(low: str, high: str) -> Text:
    """min(max(u, a), b), of which a or b may be missing."""

    def text(step: Step) -> str:
        a, b = option(step, low), option(step, high)
        inside = "@u" if a is None else rf"\max(@u, {number(a)})"
        return f"@y = {inside}" if b is None else rf"@y = \min({inside}, {number(b)})"

    return text


def _round(step: Step) -> str:
    d = option(step, "decimals")
    if d == 0:
        return r"@y = \text{the whole number nearest to } @u"
    inside = rf"\left(10^{{{d}}} \, @u\right)"
    return rf"@y = 10^{{{-d}}} \cdot \text{{the whole number nearest to }} {inside}"


def _softplus(step: Step) -> str:
    beta = option(step, "beta")
    raised = rf"{_factor(beta)}@u"
    curve = rf"\ln(1 + e^{{{raised}}})"
    curve = curve if beta == 1 else rf"\frac{{{curve}}}{{{number(beta)}}}"
    rows = (
        rf"{curve} & \text{{if }} {raised} \le {number(option(step, 'threshold'))}",
        r"@u & \text{else}",
    )
    return "@y = " + table("cases", rows)


FORWARD: dict[str, Structured] = {
    "power": Structured("u", lambda step: f"@y = @u^{{{number(option(step, 'exponent'))}}}", {}),
    "round": Structured("u", _round, {}),
    "clamp": Structured("u", _between("min", "max"), {}),
    "hardtanh": Structured("u", _between("min_val", "max_val"), {}),
    "where": Structured(
        "cuv", "@y = " + table("cases", (r"@u & \text{if } @c", r"@v & \text{else}")), {}
    ),
    "leaky_relu": Structured(
        "u",
        lambda step: rf"@y = \max(@u, 0) + {_factor(option(step, 'negative_slope'))}\min(@u, 0)",
        {},
    ),
    "elu": Structured(
        "u",
        lambda step: (
            rf"@y = \max(@u, 0) + {_factor(option(step, 'alpha'))}"
            r"\left(e^{\min(@u, 0)} - 1\right)"
        ),
        {},
    ),
    "softplus": Structured("u", _softplus, {}),
}
