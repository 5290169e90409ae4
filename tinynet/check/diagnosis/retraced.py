"""The recorded backward pass, and what a repair of it is."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.diagnosis.flow import Forward
from tinynet.check.problem import Problem
from tinynet.check.diagnosis.recording import Step, fill, record, refs
from tinynet.check.diagnosis.words import Words

New = Callable[[Step, Sequence[Any]], Any]  # what a step computes instead


class Edit(NamedTuple):
    """One repair of the code.

    key      finds the same edit at another point
    say      the message and the hint
    cost     how far-fetched it is
    change   what Program.run takes
    changed  the steps that it changes
    """

    key: tuple[Any, ...]
    kind: str
    say: Callable[[], tuple[str, str]]
    cost: float
    line: int
    change: New
    changed: Sequence[Step]


def edit(
    steps: Sequence[Step],
    key: tuple[Any, ...],
    kind: str,
    cost: float,
    say: Callable[[], tuple[str, str]],
    new: New,
) -> Edit:
    """The repair that computes `new(step, values)` at these steps."""
    places = {step.out for step in steps}

    def change(step: Step, values: Sequence[Any]) -> Any:
        return new(step, values) if step.out in places else step

    return Edit((steps[-1].site, *key), kind, say, cost, steps[0].line, change, steps)


def compute(step: Step, values: Sequence[Any], **changes: Any) -> Any:
    """The step as it was, but for some of its arguments: compute(step, values, a0=x)."""
    args = [changes.get(f"a{i}", x) for i, x in enumerate(step.args)]
    return step.function(*fill(tuple(args), values), **fill(step.kwargs, values))


class Backward:
    """The recorded backward pass of a problem, beside its forward pass where that is known."""

    def __init__(self, problem: Problem, forward: Forward | None) -> None:
        assert problem.backward is not None
        self.problem, self.forward = problem, forward
        self.program = record(problem.backward, problem.g, *problem.args)
        self.values = self.program.values
        self.words = Words(self.program, ["g", *problem.names])
        self.steps = self.words.steps
        self.factors: list[Any] | None = None  # what operands.py makes of the variables
        self.made_of: dict[Any, list[Any]] = {}
        self._after: dict[Any, list[Step]] = {}
        named = [(slot, name) for slot, name in self.words.arguments.items()]
        named += sorted((slot, name) for slot, (name, _) in self.program.names.items())
        self.variables: dict[str, list[int]] = {}
        for slot, name in named:
            if isinstance(self.values[slot], np.ndarray):
                self.variables.setdefault(name, []).append(slot)

    def run(self, change: New | None = None, changed: Sequence[Step] = ()) -> list[Any]:
        """The gradients, with the code changed at the steps `changed`."""
        p = self.problem
        copies = [np.array(x) if isinstance(x, (np.ndarray, float)) else x for x in (p.g, *p.args)]
        key = tuple(step.out for step in changed)
        if key not in self._after:
            self._after[key] = self.program.after(changed)
        values = self.program.run(copies, change, self._after[key], self.values)
        out = fill(self.program.outputs, values)
        return list(out) if isinstance(out, (tuple, list)) else [out]

    def latest(self, name: str, before: int) -> int | None:
        """The slot that a variable stood for just before a step was made."""
        slots = self.variables[name]
        place = bisect.bisect_left(slots, before)
        return slots[place - 1] if place else None

    def behind(self, k: int) -> set[int]:
        """The slots on which the gradient number k depends, through memory too."""
        outputs = self.program.outputs
        outputs = outputs[k] if isinstance(outputs, (tuple, list)) else outputs
        memory = self.program.memory
        found = {r.slot for r in refs(outputs)}
        for step in reversed(self.program.steps):
            if step.out in found or (step.into is not None and memory[step.into] in found):
                found.add(step.out)
                found.update(step.reads())
                found.update(memory[slot] for slot in step.reads())
        return found

    def here(self, step: Step) -> str:
        """The step as code, with its line."""
        name = self.words.name(step.out)
        code = self.words.expression(step)
        assigned = name and step.into is None
        return f"`{name} = {code}` (line {step.line})" if assigned else f"`{code}` (line {step.line})"
