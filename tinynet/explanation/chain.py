r"""The chain rule of one computation, written out: a line for each step, from the loss to the leaves.

For a step y = f(u, …) with ȳ = ∂L/∂y known, the line says what y was, and what the step hands to
each input: ū = ȳ ∂y/∂u. Rules that work entry by entry are run on symbols, so the line is the code
(`symbols`); the others have index formulas (`structured`). Then what is said in words: shapes,
the sum that undoes broadcasting, the sum over several uses of one value, and numbers where they are
few.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet.explanation.graph import Graph, Step, Value
from tinynet.explanation.structured import FORMULAS, Structured
from tinynet.explanation.symbols import Symbol, written
from tinynet.op import Op

FEW = 6  # entries that are shown as numbers


@dataclass(frozen=True)
class Line:
    """What one step contributes to the gradient of one of its inputs.

    into       the input
    formula    LaTeX of the contribution, an equation
    local      the same as a tree that can be evaluated; None for ops that are not elementwise
    notes      what to mind: broadcasting undone, the sum over paths
    gradient   the numbers that the step hands over
    """

    into: Value
    formula: str
    local: Symbol | float | None
    notes: tuple[str, ...]
    gradient: Any


@dataclass(frozen=True)
class Link:
    """One step of the chain, in the order of the backward pass.

    step      the step of the graph
    forward   LaTeX of what it computed
    lines     one for each input to which a gradient goes
    """

    step: Step
    forward: str
    lines: tuple[Line, ...]


def links(graph: Graph) -> list[Link]:
    """The chain, from the loss back."""
    return [
        Link(step, forward(step), tuple(_line(step, i) for i in _receivers(step)))
        for step in reversed(graph.steps)
    ]


def _receivers(step: Step) -> list[int]:
    return [i for i, d in enumerate(step.handed) if d is not None]


# -- names -----------------------------------------------------------------------------------------


_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψω", (
    *("alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "varphi", "chi", "psi"),
    "omega",
), strict=True))  # fmt: skip
_HATS = {"ŷ": r"\hat{y}", "x̂": r"\hat{x}", "ȳ": r"\bar{y}"}


def latex_name(name: str) -> str:
    r"""A name as it stands in formulas.

    >>> latex_name("W1"), latex_name("ŷ"), latex_name("0.weight"), latex_name("alpha")
    ('W_{1}', '\\hat{y}', '\\mathrm{0.weight}', '\\alpha')
    """
    if name in _HATS:
        return _HATS[name]
    if name in _GREEK or name in _GREEK.values():
        return "\\" + _GREEK.get(name, name)
    if match := re.fullmatch(r"([^\W\d_])_?(\w*)", name):
        letter = latex_name(match[1]) if match[1] in _GREEK else match[1]
        below = match[2] if match[2].isdigit() or len(match[2]) <= 1 else rf"\mathrm{{{match[2]}}}"
        return f"{letter}_{{{below}}}" if below else letter
    return rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"


def bar(x: Value) -> str:
    """∂L/∂x as it stands in formulas."""
    return rf"\bar{{{latex_name(x.name)}}}"


# -- one step --------------------------------------------------------------------------------------


def forward(step: Step) -> str:
    """What the step computed, as an equation."""
    y = latex_name(step.output.name)
    form = FORMULAS.get(step.title)
    if form is not None:
        return _filled(form.forward, form, step)
    if step.op is None:
        return rf"{y} = \operatorname{{{step.title}}}({', '.join(map(_letter, step.inputs))})"
    return f"{y} = {_told(step.op, step)}"


def _told(op: Op, step: Step) -> str:
    """The op's formula with this step's names in the place of u, v, w."""
    names = dict(zip("uvw", map(_letter, step.inputs), strict=False))
    names |= {"n": f"{step.options['exponent']:g}"} if "exponent" in step.options else {}
    return re.sub(
        r"(?<![A-Za-z\\])([uvwn])(?![A-Za-z])",
        lambda match: names.get(match[1], match[1]),
        op.formula,
    )


def _letter(x: Any) -> str:
    return latex_name(x.name) if isinstance(x, Value) else written(x)[0]


def _filled(template: str, form: Structured, step: Step) -> str:
    names = {"y": latex_name(step.output.name), "g": bar(step.output)}
    names |= dict(zip(form.letters, map(_letter, step.inputs), strict=False))
    return re.sub(r"@(\w)", lambda match: f"{{{names[match[1]]}}}", template)


def _line(step: Step, i: int) -> Line:
    x = step.inputs[i]
    local = _local(step, i)
    form = FORMULAS.get(step.title)
    if local is not None:
        formula = f"{bar(x)} = {written(local)[0]}"
    elif form is not None and i < len(form.backward):
        formula = _filled(form.backward[i], form, step)
    else:
        formula = rf"{bar(x)} = {bar(step.output)} \cdot \frac{{\partial {latex_name(step.output.name)}}}{{\partial {latex_name(x.name)}}}"
    return Line(x, formula, local, _notes(step, x), step.handed[i])


def _local(step: Step, i: int) -> Symbol | float | None:
    """The rule of an elementwise op, run on letters that are this graph's names."""
    op = step.op
    if op is None or op.derived or not (op.broadcasts or op.name in ("power", "clamp")):
        return None
    letters = [Symbol.letter(_letter(x)) if isinstance(x, Value) else x for x in step.inputs]
    output, g = Symbol.letter(latex_name(step.output.name)), Symbol.letter(bar(step.output))
    found = op.rule(i)(g, output, *letters, **step.options)
    return found if isinstance(found, Symbol) else float(found)


def _notes(step: Step, x: Value) -> tuple[str, ...]:
    notes = []
    if step.op is not None and step.op.broadcasts and x.shape != step.output.shape:
        notes.append(
            f"{x.name} {_shown(x.shape)} was repeated to {_shown(step.output.shape)}: "
            "the gradient is summed over the repeats"
        )
    if len(x.arrivals) > 1:
        notes.append(
            f"{x.name} is used {len(x.arrivals)} times: its gradient is the sum of what arrives"
        )
    return tuple(notes)


def _shown(shape: tuple[int, ...]) -> str:
    return "scalar" if shape == () else "(" + ", ".join(map(str, shape)) + ")"


def numbers(x: Any) -> str:
    """A small array as LaTeX, with up to four digits; "" for a large or an unknown one.

    >>> numbers(np.array([1.0, 0.25]))
    '(1,\\\\, 0.25)'
    """
    if x is None or np.size(x) > FEW:
        return ""
    flat = [f"{float(v):.4g}" for v in np.ravel(x)]
    return flat[0] if np.ndim(x) == 0 else "(" + r",\, ".join(flat) + ")"
