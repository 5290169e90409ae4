"""The recorded backward pass, and what a repair of it is."""

from __future__ import annotations

import bisect
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.diagnosis.flow import Forward
from tinynet.check.diagnosis.recording import Ref, Step, fill, record, refs
from tinynet.check.diagnosis.words import Words
from tinynet.check.problem import Problem
from tinynet.errors import TinynetError

# What code may raise that is not made for traced arrays or Tensors, or that was changed.
FAILURES = (TinynetError, TypeError, ValueError, IndexError, ArithmeticError, AttributeError)
New = Callable[..., Any]  # (step, values) -> what the step computes instead


class Edit(NamedTuple):
    """One repair of the code.

    key      finds the same edit at another point
    say      the message and the hint
    cost     how far-fetched it is
    change   what the steps that it changes compute instead, as Program.run takes it
    changed  these steps
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
    return Edit((steps[-1].site, *key), kind, say, cost, steps[0].line, new, steps)


def compute(step: Step, values: Sequence[Any], **changes: Any) -> Any:
    """The step as it was, but for some of its arguments: compute(step, values, a0=x)."""
    args = tuple(changes.get(f"a{i}", x) for i, x in enumerate(step.args))
    return step.function(*fill(args, values), **fill(step.kwargs, values))


class Backward:
    """The recorded backward pass of a problem, beside its forward pass where that is known."""

    def __init__(self, problem: Problem, forward: Forward | None) -> None:
        assert problem.backward is not None
        self.problem, self.forward = problem, forward
        self.program = record(inspect.unwrap(problem.backward), problem.g, *problem.args)
        self.outputs = _for_each(self.program.outputs, problem)
        self.values = self.program.values
        self.words = Words(self.program, ["g", *problem.names])
        self.steps = self.words.steps
        self.factors: list[Any] | None = None  # what operands.py makes of the variables
        self.made_of: dict[Any, list[Any]] = {}  # and departures.py, of a gradient
        self.formed: dict[tuple[Any, ...], Any] = {}  # and of factors and products
        self._after: dict[Any, list[Step]] = {}
        self.order = {step.out: i for i, step in enumerate(self.program.steps)}
        # What each variable stood for, and since which step.
        self.variables: dict[str, list[tuple[int, int]]] = {}
        given = [(name, slot, 0, 0) for slot, name in self.words.arguments.items()]
        for name, slot, _, when in [*given, *self.program.bindings]:
            if isinstance(self.values[slot], np.ndarray):
                self.variables.setdefault(name, []).append((when, slot))

    def run(
        self,
        change: New | None = None,
        changed: Sequence[Step] = (),
        only: Sequence[int] | None = None,
    ) -> list[Any]:
        """The gradients, or those numbered `only`, with the code changed at the steps `changed`."""
        p = self.problem
        copies = [np.array(x) if isinstance(x, (np.ndarray, float)) else x for x in (p.g, *p.args)]
        wanted = tuple(range(len(self.outputs)) if only is None else only)
        places = tuple(step.out for step in changed)
        if (places, wanted) not in self._after:
            needed = set().union(*(self.behind(k) for k in wanted))
            end = max(places, default=-1)  # up to here, an edit may read anything
            after = self.program.after(changed)
            self._after[places, wanted] = [s for s in after if s.out <= end or s.out in needed]
        steps = self._after[places, wanted]
        values = self.program.run(copies, change, steps, self.values, places=set(places))
        return [fill(self.outputs[k], values) for k in wanted]

    def latest(self, name: str, out: int) -> int | None:
        """The slot that a variable stood for when the step that made `out` ran."""
        bound = self.variables[name]
        place = bisect.bisect_right(bound, (self.order[out], len(self.values)))
        return bound[place - 1][1] if place else None

    def behind(self, k: int) -> set[int]:
        """The slots on which the gradient number k depends, through memory too."""
        memory = self.program.memory
        found = {r.slot for r in refs(self.outputs[k])}
        for step in reversed(self.program.steps):
            if step.out in found or (step.into is not None and memory[step.into] in found):
                found.add(step.out)
                found.update(step.reads())
                found.update(memory[slot] for slot in step.reads())
        return found

    def returned(self, wrong: Iterable[int]) -> set[int]:
        """The slots that were returned as these gradients."""
        return {r.slot for k in wrong for r in refs(self.outputs[k])}

    def here(self, step: Step) -> str:
        """The step as code, with its line."""
        name = self.words.name(step.out)
        code = self.words.expression(step)
        assigned = name and step.into is None
        return (
            f"`{name} = {code}` (line {step.line})" if assigned else f"`{code}` (line {step.line})"
        )


def _for_each(outputs: Any, problem: Problem) -> list[Any]:
    """What the backward code returned, one for each of `wrt`."""
    if isinstance(outputs, dict):
        return [outputs.get(problem.names[i]) for i in problem.wrt]
    several = isinstance(outputs, (tuple, list)) and not isinstance(outputs, Ref)
    parts = list(outputs) if several else [outputs]
    if len(parts) == len(problem.args) != len(problem.wrt):
        return [parts[i] for i in problem.wrt]
    if len(parts) != len(problem.wrt):
        raise ValueError("the backward code does not return one gradient for each argument")
    return parts
