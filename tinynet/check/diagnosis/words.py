"""Values of a program in the learner's own words: their variable names, or the expression that made
them.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis.recording import Program, Ref, Step

_INFIX: dict[Any, str] = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.matmul: "@",
    np.power: "**",
    np.greater: ">",
    np.greater_equal: ">=",
    np.less: "<",
    np.less_equal: "<=",
    np.equal: "==",
}


class Words:
    """Names for the slots of a program. `arguments` are the names of its inputs."""

    def __init__(self, program: Program, arguments: Sequence[str]) -> None:
        self.program = program
        self.steps = {step.out: step for step in program.steps}
        self.arguments = {
            slot: name
            for slot, name in zip(program.inputs, arguments, strict=True)
            if slot is not None
        }

    def name(self, slot: int) -> str | None:
        """What the code calls the slot, if it does."""
        if slot in self.arguments:
            return self.arguments[slot]
        return self.program.names[slot][0] if slot in self.program.names else None

    def __call__(self, slot: int, depth: int = 2) -> str:
        """The slot's name, or the expression that made it, to a depth."""
        name = self.name(slot)
        if name is not None:
            return name
        step = self.steps.get(slot)
        if step is None or not depth:
            return "…"
        return self.expression(step, depth)

    def expression(self, step: Step, depth: int = 2) -> str:
        """The call, written as code."""
        f = step.function

        def show(x: Any) -> str:
            if isinstance(x, Ref):
                return self(x.slot, depth - 1)
            if isinstance(x, slice):
                ends = [show(e) if e is not None else "" for e in (x.start, x.stop)]
                return ":".join(ends) + (f":{show(x.step)}" if x.step is not None else "")
            if isinstance(x, (tuple, list)):
                return ", ".join(show(item) for item in x)
            return f"{x:.6g}" if isinstance(x, float) else str(x)

        if f in _INFIX and len(step.args) == 2:
            return " ".join((_within(show(step.args[0])), _INFIX[f], _within(show(step.args[1]))))
        if f is np.negative:
            return "-" + _within(show(step.args[0]))
        if f is np.square:
            return _within(show(step.args[0])) + "**2"
        if f is np.transpose and len(step.args) == 1:
            return _within(show(step.args[0])) + ".T"
        if f is operator.getitem:
            return f"{_within(show(step.args[0]))}[{show(step.args[1])}]"
        if f is operator.setitem:
            return f"{show(step.args[0])}[{show(step.args[1])}] = {show(step.args[2])}"
        inside = [show(x) for x in step.args]
        inside += [f"{key}={show(x)}" for key, x in step.kwargs.items()]
        return f"{name_of(f)}({', '.join(inside)})"


def _within(text: str) -> str:
    """In brackets, if it is more than one word."""
    depth = 0
    for sign in text:
        depth += (sign in "([") - (sign in ")]")
        if sign == " " and not depth:
            return f"({text})"
    return text


def name_of(function: Any) -> str:
    """What a function is called: `np.tanh` is tanh; `a += b`, noted as a call, is add."""
    function = getattr(function, "args", (function,))[0]
    return str(getattr(function, "__name__", "f"))
