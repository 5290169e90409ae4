"""Forgotten paths: an argument taken for a constant, a statistic, a step of time."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis.as_if import Hypothesis, at_steps, detached, with_argument
from tinynet.check.diagnosis.flow import Change, Forward, as_if
from tinynet.check.diagnosis.recording import Step, fill
from tinynet.check.diagnosis.words import Words


def missing_paths(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """One argument of a step treated as a constant."""
    for place, slot in enumerate(steps[-1].reads()):
        if slot not in forward.depends:
            continue

        def wrong(step: Step, values: Sequence[Any], place: int = place) -> Any:
            return with_argument(step, values, place, detached)

        turns = steps[1:] if carried(forward, steps, place) else steps
        kind, message, hint, cost = _path_in_words(forward, words, steps, place, slot)
        yield Hypothesis(kind, message, hint, cost, at_steps(turns, wrong))


def _path_in_words(
    forward: Forward, words: Words, steps: list[Step], place: int, slot: int
) -> tuple[str, str, str, float]:
    step = steps[-1]
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    if carried(forward, steps, place):
        h = words(slot)
        return (
            "recurrent",
            f"The gradient that comes back through time is missing: in {here} `{h}` is the hidden "
            f"state of the previous time step, and the gradient from the next step is never added.",
            f"Add what the next time step sends back to the gradient of `{h}`.",
            1.0,
        )
    penalised = _penalised(forward, words, slot)
    if penalised and step.function in (np.add, np.multiply):
        return (
            "regulariser",
            f"The gradient of the regulariser (penalty, weight decay) is missing: {here} adds a "
            f"penalty on `{penalised}` to the loss.",
            f"Add the derivative of the penalty to the gradient of `{penalised}`.",
            1.1,
        )
    statistic = _statistic(forward, slot)
    if statistic:
        return (
            "statistic",
            f"The {statistic} is treated as a constant: in {here} it depends on the input, and "
            f"that path is missing from the gradient (a normalisation has one term for each).",
            f"Add the path through the {statistic}.",
            1.2,
        )
    if step.function is operator.getitem and own_class(forward, step):
        return (
            "missing term",
            f"The path through {here} is missing from the gradient: the score of each row's true "
            f"class (its label) gets no gradient.",
            "Add the gradient of the true class.",
            1.1,
        )
    if step.function is np.where:
        return (
            "branch",
            f"The branch `{words(slot)}` of {here} is missing from the gradient: its slope on that "
            f"side is not zero.",
            "Give each branch its own slope.",
            1.2,
        )
    uses = sum(s.reads().count(slot) for s in forward.program.steps)
    if uses > 1 or slot in words.arguments:
        inner = _rule(forward, step, slot)
        return (
            "missing term",
            f"`{words(slot)}` is used more than once, and its path through {here} is missing from "
            f"the gradient{inner}: the gradients of all paths are added (accumulated with +=).",
            f"Add the missing term of `{words(slot)}`.",
            1.5,
        )
    return (
        "missing path",
        f"The path through `{words(slot)}` in {here} is missing from the gradient: it is treated "
        f"as a constant.",
        f"Differentiate `{words(slot)}` too, and add its term.",
        2.0,
    )


def _rule(forward: Forward, step: Step, slot: int) -> str:
    """The rule of calculus that a forgotten path belongs to: where it meets the other paths."""
    rules: dict[Any, str] = {
        np.multiply: " (product rule: one term of two)",
        np.matmul: " (product rule: one term of two)",
        np.divide: " (quotient rule: one term of two)",
    }
    mine, others = {step.out}, {slot}
    for s in forward.program.steps:
        reads = set(s.reads())
        if s.out == step.out:
            if (reads - {slot}) & others and s.function in rules:
                return rules[s.function]
            continue
        if reads & mine and reads & others:
            if s.function in rules:
                return rules[s.function]
            break
        if reads & mine:
            mine.add(s.out)
        elif reads & others:
            others.add(s.out)
    if step.function is np.add and all(r in forward.depends for r in step.reads()):
        return " (the skip, or residual, path)"
    if len(step.reads()) == 1 and step.function not in (np.transpose, np.reshape, np.sum):
        return " (chain rule: the inner derivative of that term)"
    return ""


def carried(forward: Forward, steps: list[Step], place: int) -> bool:
    """Whether the argument is what the turn before left behind."""
    if len(steps) < 2:
        return False
    same = [s for s in forward.program.sites().values() if len(s) == len(steps)]
    starts = [step.out for step in min(same, key=lambda s: s[0].out)]
    if any(place >= len(step.reads()) for step in steps[1:]):  # the first may start from a number
        return False
    return all(starts[i - 1] <= steps[i].reads()[place] < starts[i] for i in range(1, len(steps)))


def own_class(forward: Forward, step: Step) -> bool:
    """Whether a step's key is (0, 1, 2, …), labels: one entry of each row."""
    key = step.args[1]
    if not isinstance(key, tuple) or len(key) != 2:
        return False
    rows, labels = fill(key, forward.values)
    return (
        isinstance(rows, np.ndarray)
        and np.array_equal(rows, np.arange(rows.size))
        and isinstance(labels, np.ndarray)
        and labels.dtype.kind in "iu"
    )


STATISTICS = {np.mean: "mean", np.var: "variance", np.std: "standard deviation"}


def _penalised(forward: Forward, words: Words, slot: int) -> str:
    """The argument of whose squares or absolute values a slot is a multiple of the sum."""
    steps = words.steps
    step = steps.get(slot)
    while step is not None and step.function is np.multiply and len(step.reads()) == 1:
        step = steps.get(step.reads()[0])
    if step is None or step.function is not np.sum:
        return ""
    inner = steps.get(step.reads()[0])
    if inner is None or inner.function not in (np.square, np.power, np.abs, np.multiply):
        return ""
    own = set(inner.reads())
    return words.arguments.get(own.pop(), "") if len(own) == 1 else ""


def _statistic(forward: Forward, slot: int, depth: int = 4) -> str:
    """The statistic that a value is, up to a root, a reshape and an epsilon."""
    steps = forward.words.steps
    step = steps.get(slot)
    if step is None or not depth:
        return ""
    if step.function in STATISTICS:
        return STATISTICS[step.function]
    if step.function is np.linalg.norm:
        return "norm"
    if step.function is np.sum:
        before = steps.get(step.reads()[0])
        if before is not None and before.function in (np.square, np.power):
            return "norm"
        if before is not None and before.function is np.exp:
            return "sum in the softmax (its Jacobian has off-diagonal terms) "
    if step.function in (np.sqrt, np.reshape, np.add, np.power, np.divide, np.expand_dims):
        inputs = [s for s in step.reads() if s in forward.depends]
        if len(inputs) == 1:
            return _statistic(forward, inputs[0], depth - 1)
    return ""


def statistics(forward: Forward, words: Words, groups: list[list[Step]]) -> Iterator[Hypothesis]:
    """Mean and variance both taken for constants, or both differentiated as sums."""
    own = [s for steps in groups for s in steps if s.function in STATISTICS]
    if len(own) < 2:
        return
    kinds = list(dict.fromkeys(STATISTICS[s.function] for s in own))
    names = " and ".join(kinds) if len(kinds) > 1 else f"{kinds[0]}s"
    lines = ", ".join(str(n) for n in dict.fromkeys(s.line for s in own))
    n = np.size(forward.values[own[0].reads()[0]]) // max(1, np.size(forward.values[own[0].out]))
    yield Hypothesis(
        "statistic",
        f"The {names} (line {lines} of the forward pass) are treated as constants: they depend on "
        f"the input too, and their terms are missing from the gradient of the normalisation.",
        "Add the terms of both.",
        1.2,
        at_steps(own, lambda s, v: with_argument(s, v, 0, detached)),
    )
    yield Hypothesis(
        "factor",
        f"The factor 1/n is missing in the terms of the {names} (line {lines} of the forward "
        f"pass): they are averages over n = {n} entries, so their gradients are divided by n.",
        f"Divide both terms by {n}.",
        1.2,
        at_steps(own, lambda s, v: n * s.compute(v)),
    )


def passed_through(forward: Forward, words: Words) -> Iterator[Hypothesis]:
    """The gradient of a function of an argument handed to the argument unchanged."""
    for slot, name in words.arguments.items():
        for step in forward.program.steps:
            if slot not in forward.depends or step.out not in forward.depends:
                continue
            if np.shape(forward.values[step.out]) != np.shape(forward.values[slot]):
                continue

            def change(
                s: Step, values: Sequence[Any], out: int = step.out, slot: int = slot
            ) -> Any:
                return as_if(s, values, values[slot]) if s.out == out else s

            what = "the normalised" if step.function is np.divide else "its function"
            yield Hypothesis(
                "passed through",
                f"The gradient of `{words(step.out)}` (line {step.line} of the forward pass) is "
                f"handed to `{name}` unchanged: the local derivative (chain rule) from {what} "
                f"`{words.expression(step)}` back to `{name}` is missing.",
                f"Multiply by the derivative of `{words.expression(step)}`.",
                1.7,
                change,
            )


# -- time ------------------------------------------------------------------------------------------


def time_steps(forward: Forward, words: Words, groups: list[list[Step]]) -> Iterator[Hypothesis]:
    """Steps of time that get no gradient: of their own output, of the first turns, of all later
    ones.
    """
    states = [
        (steps, place)
        for steps in groups
        for place in range(len(steps[-1].reads()))
        if carried(forward, steps, place)
    ]
    if not states:
        return
    turns = max(len(steps) for steps, _ in states)
    names = " and ".join(dict.fromkeys(words(steps[-1].reads()[p]) for steps, p in states))
    if len(states) > 1:
        change = all_of(
            [
                at_steps(steps[1:], lambda s, v, p=p: with_argument(s, v, p, detached))
                for steps, p in states
            ]
        )
        yield Hypothesis(
            "recurrent",
            f"No gradient comes back through time: that of the hidden state and cell ({names}) is "
            f"not carried from one time step to the one before it.",
            "Update the carried gradients in the loop.",
            1.1,
            change,
        )
    for step in forward.program.steps:
        if step.function in (np.stack, np.concatenate) and len(step.reads()) == turns:
            yield Hypothesis(
                "recurrent",
                f"Each time step's own upstream gradient is ignored: only that of the last output "
                f"in `{words.expression(step, 1)}` (line {step.line}) is sent back through time.",
                "Add g[t] to the gradient of the hidden state in each turn of the loop.",
                1.1,
                at_steps([step], _last_only),
            )
    looped = [steps for steps in groups if len(steps) == turns]
    for k in range(1, turns):
        early = [s for steps in looped for s in steps[:k]]
        yield Hypothesis(
            "truncated",
            f"The loop back through time stops too early: the first {k} of {turns} time steps are "
            f"never reached (the loop runs over the wrong number of steps, it is truncated).",
            f"Run the loop over all {turns} time steps.",
            1.1 + 0.01 * k,
            at_steps(early, lambda s, v: detached(s.compute(v))),
        )


def all_of(changes: Sequence[Change]) -> Change:
    """Several changes at once."""

    def change(step: Step, values: Sequence[Any]) -> Any:
        for one in changes:
            y = one(step, values)
            if y is not step:
                return y
        return step

    return change


def _last_only(step: Step, values: Sequence[Any]) -> Any:
    last = step.reads()[-1]

    return step.compute(values, lambda _, slot, x: x if slot == last else detached(x))
