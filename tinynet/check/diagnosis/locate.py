"""The first line of the backward code that departs from the truth.

The tape knows the true gradient of every value of the forward pass. A variable of the backward code
is *right* if it is one of them. The first one that is not, and that a wrong gradient depends on, is
where to look.
"""

from __future__ import annotations

import inspect
import linecache
import operator
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tinynet.check.diagnosis.flow import Forward
from tinynet.check.diagnosis.meaning import same
from tinynet.check.diagnosis.recording import fill
from tinynet.check.diagnosis.retraced import Backward
from tinynet.check.problem import Array, Candidate


class Place(NamedTuple):
    """A variable of the backward code, its value, and the line that made it."""

    name: str
    slot: int
    line: int


class Departure(NamedTuple):
    """The first wrong place, and the places before it that are right: each with the value whose
    gradient it is. `source` is the wrong line, where it can be read.
    """

    wrong: Place
    right: tuple[tuple[Place, str], ...]
    source: str = ""

    def __str__(self) -> str:
        name = (
            f"`{self.wrong.name}` (line {self.wrong.line})"
            if self.wrong.name
            else (f"line {self.wrong.line}")
        )
        text = f"{name} is the first that departs from the true gradient"
        if self.right:
            place, whose = self.right[-1]
            text = f"`{place.name}` (line {place.line}) is right, the gradient of `{whose}`; {text}"
        return f"{text}: {self.source}" if self.source else text


def departure(backward: Backward, candidates: Iterable[Candidate]) -> Departure | None:
    """Where the code goes wrong; None where the forward pass is not known.

    What the best explanation says of the line comes first.
    """
    if backward.forward is None:
        return None
    candidates = list(candidates)
    right, suspects = _judged(backward)
    wrong = suspects[0] if suspects else _returned(backward)
    if candidates and wrong is not None:
        wrong = _explained(backward, wrong, suspects, candidates)
    if wrong is None or not wrong.line:
        return None
    before = tuple(r for r in right if r[0].line < wrong.line)
    file = inspect.unwrap(backward.problem.backward or len).__code__.co_filename
    return Departure(wrong, before, linecache.getline(file, wrong.line).strip())


def _explained(
    backward: Backward, wrong: Place, suspects: list[Place], candidates: list[Candidate]
) -> Place:
    """The first wrong place in the light of the best explanation."""
    best = candidates[0]
    if best.line is not None:
        place = next((p for p in suspects if p.line == best.line), None)
        place = place or Place("", wrong.slot, best.line)
        return _alias(backward, place) if best.kind == "departure" else place
    if "missing" in best.kind and suspects:
        renamed = _alias(backward, wrong)
        if renamed is not wrong:
            return renamed
    lines = [
        c.line
        for c in candidates
        if c.line is not None and c.repaired == best.repaired and c.cost < best.cost + 1
    ]
    if lines and lines[0] < wrong.line:
        return Place("", wrong.slot, lines[0])
    return wrong


def _judged(backward: Backward) -> tuple[list[tuple[Place, str]], list[Place]]:
    """The variables that are right, and those that are not, in the order in which they are done."""
    program, forward = backward.program, backward.forward
    assert forward is not None
    wrong = backward.problem.wrong()
    outputs = backward.returned(wrong)
    concerned = set().union(*(backward.behind(k) for k in wrong))
    from_g = _from_g(backward)
    truth = _truth(backward, forward)
    last = {slot: Place(name, slot, line) for name, slot, line, _ in program.bindings}
    right: list[tuple[Place, str]] = []
    bound: dict[str, list[tuple[int, Place, bool]]] = {}
    for when, (name, slot, line, _) in enumerate(program.bindings):
        if slot in backward.words.arguments:
            continue
        place, value = Place(name, slot, line), backward.values[slot]
        whose = next((words for words, d in truth if same(value, d)), None)
        if whose is not None and slot in outputs and place != last[slot]:
            continue  # right here, but returned in the place of another, under another name
        if whose is not None and slot not in outputs:
            right.append((place, whose))
        if whose in backward.problem.names and slot in outputs:
            continue  # right, but returned in the place of another
        suspect = slot in outputs or (whose is None and slot in concerned and slot in from_g)
        bound.setdefault(name, []).append((when, place, suspect))
    made_right = _ancestors(backward, right, wrong)
    suspects: list[tuple[int, Place]] = []
    for places in bound.values():
        grows = len(places) > 1 and _grows(backward, places[-2][1].slot, places[-1][1].slot)
        for when, place, suspect in places[-1:] if grows else places:  # a sum, when it is done
            if suspect and (place.slot not in made_right or place.slot in outputs):
                suspects.append((when, place))
    return right, [place for _, place in sorted(suspects)]


def _grows(backward: Backward, before: int, after: int) -> bool:
    """Whether a value is the one before with something added."""
    step = backward.words.steps.get(after)
    return step is not None and (step.into is not None or before in step.reads())


def _ancestors(backward: Backward, right: list[tuple[Place, str]], wrong: list[int]) -> set[int]:
    """What right gradients were made of: it cannot be all wrong."""
    kept = [k for k in range(len(backward.problem.wrt)) if k not in wrong]
    found = {place.slot for place, _ in right} | backward.returned(kept)
    for step in reversed(backward.program.steps):
        if step.out in found:
            found.update(step.reads())
    return found


def _truth(backward: Backward, forward: Forward) -> list[tuple[str, Array]]:
    """The true gradients of the forward pass's values, and of the parts that are taken of them."""
    words = forward.words
    found = [
        (words(slot), d)
        for slot, d in forward.true.items()
        if slot not in words.steps or words.steps[slot].function is not np.negative
    ]
    for activation in forward.activations:
        for step in forward.program.steps:
            whole = forward.true.get(activation.z)
            part = step.function is operator.getitem and step.reads()[:1] == [activation.a]
            if part and whole is not None:
                found.append((words(step.out), whole[fill(step.args[1], forward.values)]))
    return found


def _from_g(backward: Backward) -> set[int]:
    """The slots that depend on the upstream gradient, through memory too."""
    memory = backward.program.memory
    found = {backward.program.inputs[0]}
    for step in backward.program.steps:
        if any(s in found or memory[s] in found for s in step.reads()):
            found |= {step.out} | ({memory[step.out]} if step.into is not None else set())
    return {s for s in found if s is not None}


def _returned(backward: Backward) -> Place | None:
    """A wrong gradient that never had a name: the line that returns it."""
    slots = backward.returned(backward.problem.wrong())
    steps = [backward.words.steps[s] for s in slots if s in backward.words.steps]
    if not steps:
        return None
    last = max(steps, key=lambda s: s.out)
    line = last.line if backward.words.name(last.out) is None else backward.program.last_line
    return Place("", last.out, line)


def _alias(backward: Backward, suspect: Place) -> Place:
    """Where something is missing: the line before that only gave a right value a new name."""
    step = backward.words.steps.get(suspect.slot)
    reads = step.reads() if step is not None else []
    before = [
        Place(name, slot, line)
        for name, slot, line, _ in backward.program.bindings
        if slot in reads and line < suspect.line
    ]
    names = {place.slot: place.name for place in reversed(before)}
    given = backward.words.arguments
    renamed = [p for p in before if given.get(p.slot, names[p.slot]) != p.name]
    return renamed[-1] if renamed else suspect
