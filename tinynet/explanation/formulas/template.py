r"""How an index formula is written down: a text with places for names, and small helpers.

In a text @y is the output's name, @g its gradient, @u, @v … the inputs by their letters, @0, @1 …
the inputs by number; \bar marks a derivative, ∂L/∂. What stands in ⟦ ⟧ is left out where an
input that it names was not given. Where a formula depends on options or shapes, the text is a
function of the step. An equation comes first; what it uses follows after `WHERE`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tinynet.explanation.graph import Step
from tinynet.explanation.symbols import number

Text = str | Callable[[Step], str]
Shape = tuple[int, ...]

WHERE = r", \; "


class Structured(NamedTuple):
    """How an op is written.

    letters    of the inputs, in their order
    forward    the output's entries
    backward   for each letter whose input has a gradient, that gradient's entries; or one function
               of an input's number and the step
    whole      the shape to which input number i was repeated, for ops whose formula leaves out the
               axes along which inputs are repeated
    """

    letters: Text
    forward: Text
    backward: Mapping[str, Text] | Callable[[int, Step], str]
    whole: Callable[[int, Step], Shape] | None = None


def letters_of(form: Structured, step: Step) -> str:
    """One letter for each input."""
    return form.letters(step) if callable(form.letters) else form.letters


def backward_of(form: Structured, i: int, step: Step) -> str:
    """The text of the gradient of input i; "" where there is none."""
    if callable(form.backward):
        return form.backward(i, step)
    return told(form.backward.get(letters_of(form, step)[i], ""), step)


def told(text: Text, step: Step) -> str:
    """The text for this step."""
    return text(step) if callable(text) else text


def filled(text: str, names: Mapping[str, str]) -> str:
    """The text with names in their places, without the groups that name something else.

    >>> filled(r"@u_i ⟦+ @v_i⟧⟦+ @w_i⟧", {"u": "a", "w": "b"})
    '{a}_i + {b}_i'
    """

    def group(match: re.Match[str]) -> str:
        return match[1] if all(n in names for n in re.findall(r"@(\d+|\w)", match[1])) else ""

    text = re.sub("⟦([^⟧]*)⟧", group, text)
    return re.sub(r"@(\d+|\w)", lambda match: f"{{{names[match[1]]}}}", text)


def option(step: Step, name: str) -> Any:
    """An option of the op, or its default."""
    assert step.op is not None
    return step.options[name] if name in step.options else step.op.defaults[name]


def lines(main: str, *rest: str) -> str:
    r"""An equation, and what it uses, a line for each.

    >>> lines("y = e", "e = 1")
    'y = e, \\; e = 1'
    """
    rest = tuple(line for line in rest if line)
    if len(rest) > 1:
        rest = (table("aligned", (f"& {line}" for line in rest)),)
    return WHERE.join((main, *rest))


def table(kind: str, rows: Iterable[str]) -> str:
    """Rows under each other: cases, or aligned equations."""
    return rf"\begin{{{kind}}} " + r" \\ ".join(rows) + rf" \end{{{kind}}}"


def plus(x: float) -> str:
    """A number to be added; "" for 0.

    >>> plus(2), plus(-1), plus(0)
    (' + 2', ' - 1', '')
    """
    return "" if x == 0 else f" {'+' if x > 0 else '-'} {number(abs(x))}"


def each(value: Any) -> str:
    """A number for each axis, or one for all if they are equal.

    >>> each((2, 2)), each((2, 1)), each(3)
    ('2', '(2, 1)', '3')
    """
    values = value if isinstance(value, tuple) else (value,)
    if len(set(values)) == 1:
        return number(values[0])
    return f"({', '.join(map(number, values))})"
