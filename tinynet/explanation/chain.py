r"""The chain rule of one computation, written out: a line for each step, from the loss back.

For a step y = f(u, …) with ȳ = ∂L/∂y known, the line says what y was, and what the step hands to
each input: ū = ȳ ∂y/∂u. Rules that work entry by entry are run on symbols, so the line is the code
(`symbols`); the others have index formulas (`formulas`). Then what is said in words: shapes,
the sum that undoes broadcasting, the sum over several uses of one value, and numbers where they are
few.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tinynet import arrays
from tinynet.explanation.formulas import FORMULAS, FORWARD, Structured
from tinynet.explanation.formulas.template import (
    WHERE,
    backward_of,
    filled,
    letters_of,
    told,
)
from tinynet.explanation.graph import Graph, Step, Value, in_words, plain
from tinynet.explanation.names import barred, escaped, latex_name
from tinynet.explanation.symbols import ATOM, Symbol, number, written
from tinynet.op import Op

ENTRIES = "A line without an index holds for each entry. A bar is the gradient of the loss."
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
    gathered  LaTeX of the sum that makes the output's gradient where the output was used more than
              once; "" where it was not
    lines     one for each input to which a gradient goes
    """

    step: Step
    forward: str
    gathered: str
    lines: tuple[Line, ...]


def links(graph: Graph) -> list[Link]:
    """The chain, from the loss back."""
    chain: list[Link] = []
    seen: Counter[int] = Counter()
    for step in reversed(graph.steps):
        lines = []
        for i, gradient in enumerate(step.handed):
            if gradient is not None:
                seen[id(step.inputs[i])] += 1
                lines.append(_line(step, i, seen[id(step.inputs[i])]))
        chain.append(Link(step, forward(step), gathered(step.output), tuple(lines)))
    return chain


def gathered(x: Value) -> str:
    """x̄ as the sum over the paths along which x reaches the loss, if there are several."""
    paths = [_arrival(x, k + 1) for k in range(len(x.arrivals))]
    return f"{bar(x)} = {' + '.join(paths)}" if len(paths) > 1 else ""


def _arrival(x: Value, number: int) -> str:
    """What one use of x contributes to x̄; x̄ itself where there is one use only."""
    return f"{bar(x)}^{{({number})}}" if len(x.arrivals) > 1 else bar(x)


def bar(x: Value) -> str:
    """∂L/∂x as it stands in formulas."""
    return barred(x.name)


# -- one step --------------------------------------------------------------------------------------


def forward(step: Step) -> str:
    """What the step computed, as an equation."""
    y = latex_name(step.output.name)
    form = _form(step) or FORWARD.get(step.title if step.op is not None else "")
    if form is not None:
        return filled(told(form.forward, step), _names(form, step))
    if step.op is None:
        return (
            rf"{y} = \operatorname{{{escaped(step.title)}}}({', '.join(map(_letter, step.inputs))})"
        )
    return f"{y} = {_told(step.op, step)}"


def _form(step: Step) -> Structured | None:
    """The index formulas of an op; a `Function` may have the name of one."""
    return FORMULAS.get(step.title) if step.op is not None else None


def _told(op: Op, step: Step) -> str:
    """The op's formula with this step's names and numbers in the place of u and v."""
    inputs = dict(zip("uv", step.inputs, strict=False))

    def name(match: re.Match[str]) -> str:
        x = inputs[match[0]]
        text, tightness = (_letter(x), ATOM) if isinstance(x, Value) else written(x)
        before = op.formula[: match.start()].rstrip()[-1:]
        raised = op.formula[match.end() :].lstrip().startswith("^")
        alone = before in ("", "(", ",", "{") and not raised
        return text if tightness == ATOM or alone else rf"\left({text}\right)"

    return re.sub(r"(?<![A-Za-z\\])[uv](?![A-Za-z])", name, op.formula)


def _letter(x: Any) -> str:
    return latex_name(x.name) if isinstance(x, Value) else written(x)[0]


def _names(form: Structured, step: Step) -> dict[str, str]:
    """What stands in the places of a template; an input that is True is one that was not given."""
    given = {i: _letter(x) for i, x in enumerate(step.inputs) if x is not True}
    letters = dict(enumerate(letters_of(form, step)))
    return {
        "y": latex_name(step.output.name),
        "g": bar(step.output),
        **{str(i): name for i, name in given.items()},
        **{letters[i]: name for i, name in given.items() if i in letters},
    }


def valued(formula: str, values: Any) -> str:
    """An equation with its numbers, where they are few, before what it refers to."""
    few = numbers(values)
    main, where, rest = formula.partition(WHERE)
    return f"{main} = {few}{where}{rest}" if few else formula


def _line(step: Step, i: int, number: int) -> Line:
    x, arrival = step.inputs[i], _arrival(step.inputs[i], number)
    local = _local(step, i)
    form = _form(step)
    text = backward_of(form, i, step) if form is not None else ""
    if local is not None:
        formula = f"{arrival} = {written(local)[0]}"
    elif form is not None and text:
        for place in (str(i), *letters_of(form, step)[i : i + 1]):
            text = text.replace(rf"\bar{{@{place}}}", "\0")
        formula = filled(text, _names(form, step)).replace("\0", f"{{{arrival}}}")
    else:
        y, u = latex_name(step.output.name), latex_name(x.name)
        formula = rf"{arrival} = {bar(step.output)} \, \frac{{\partial {y}}}{{\partial {u}}}"
    whole = _whole(step, i)
    notes: tuple[str, ...] = ()
    if x.shape != whole:
        formula = _summed(formula, x.shape, whole)
        notes = (
            f"{x.name} {in_words(x.shape)} was repeated to {in_words(whole)}: "
            "the gradient is summed over the repeats",
        )
    return Line(x, formula, local, notes, step.handed[i])


def _local(step: Step, i: int) -> Symbol | float | None:
    """The rule of an elementwise op, run on letters that are this graph's names."""
    op = step.op
    if op is None or op.room not in ("elementwise", "activations"):
        return None
    letters = [Symbol.letter(_letter(x)) if isinstance(x, Value) else x for x in step.inputs]
    output, g = Symbol.letter(latex_name(step.output.name)), Symbol.letter(bar(step.output))
    found = op.rule(i)(g, output, *letters, **step.options)
    return found if isinstance(found, Symbol) else float(found)


def _summed(formula: str, shape: tuple[int, ...], whole: tuple[int, ...]) -> str:
    r"""The formula with the sum that undoes broadcasting.

    >>> _summed("a = b - c", (1, 3), (5, 4, 3))
    'a = \\sum_{\\text{axes 0, 1}} \\left(b - c\\right)'
    """
    new = len(whole) - len(shape)
    axes = [k for k, n in enumerate(whole) if k < new or n != shape[k - new]]
    over = f"{'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
    main, where, rest = formula.partition(WHERE)
    left, _, right = main.partition(" = ")
    if re.search(r" [+-] ", re.sub(r"\\left\(.*\\right\)", "", right)):
        right = rf"\left({right}\right)"
    return rf"{left} = \sum_{{\text{{{over}}}}} {right}{where}{rest}"


def _whole(step: Step, i: int) -> tuple[int, ...]:
    """The shape to which an input was repeated, if the formula does not say so itself."""
    form, x = _form(step), step.inputs[i]
    if form is not None:
        return x.shape if form.whole is None else form.whole(i, step)
    return step.output.shape if step.op is not None and step.op.broadcasts else x.shape


def numbers(x: Any) -> str:
    r"""A small array as LaTeX, with up to four digits; "" for a large, empty or unknown one.

    >>> import numpy as np
    >>> numbers(np.array([[1.0, 0.25], [1e-9, 0.0]]))
    '((1,\\, 0.25),\\, (10^{-9},\\, 0))'
    """
    return _nested(plain(x).tolist()) if arrays.is_array(x) and 0 < x.size <= FEW else ""


def _nested(values: Any) -> str:
    if isinstance(values, list):
        return "(" + r",\, ".join(map(_nested, values)) + ")"
    return number(float(f"{values:.4g}"))


def total(graph: Graph, leaf: Value) -> str:
    """The gradient of the loss by a leaf, as an equation without its numbers."""
    of, by = latex_name(graph.loss.name), latex_name(leaf.name)
    return rf"\frac{{\partial {of}}}{{\partial {by}}} = {gathered(leaf) or bar(leaf)}"
