"""Wrong or missing operands in the backward pass: another variable, a factor that was forgotten, a
value that the forward pass computed differently.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.diagnosis.meaning import ACTIVATIONS, same
from tinynet.check.diagnosis.paths import own_class
from tinynet.check.diagnosis.recording import Ref, Step, fill
from tinynet.check.diagnosis.retraced import Backward, Edit, compute, edit
from tinynet.check.diagnosis.slopes import NONLINEARITIES
from tinynet.check.diagnosis.words import Words
from tinynet.check.problem import Array

Say = tuple[str, str]


# -- another variable ------------------------------------------------------------------------------


def operands(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """Another variable of the backward code in place of an argument."""
    step = steps[-1]
    if step.into is not None or step.function is operator.setitem:
        return
    for place, old in arguments(step):
        value = backward.values[old.slot]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fb":
            continue
        for name in backward.variables:
            slot = backward.latest(name, step.out)
            if slot is None or slot == old.slot or np.shape(backward.values[slot]) != value.shape:
                continue

            def say(name: str = name, old: Ref = old) -> Say:
                return _in_place_of(backward, step, old, name)

            yield edit(
                steps,
                ("operand", place, name),
                "other value",
                1.3,
                say,
                lambda s, v, i=place, n=name: with_operand(
                    s, v, i, v[backward.latest(n, s.out) or 0]
                ),
            )


def neighbours(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """The value of another time step: the next or the previous item of a list or an array of
    states. Before the first one stands an argument of the same shape: the state to begin with.
    """
    if len(steps) < 2:
        return
    step = steps[-1]
    for place, old in arguments(step):
        reads = [s.reads() for s in steps]
        if any(place >= len(r) for r in reads):
            continue
        items = [_item(backward, r[place]) for r in reads]
        shape = np.shape(backward.values[old.slot])
        begins = [s for s in backward.words.arguments if np.shape(backward.values[s]) == shape]
        for d, begin in ((-1, None), (1, None), *((-1, slot) for slot in begins)):
            moved: dict[int, Callable[[Any], Any] | None] = {}
            for s, item in zip(steps, items, strict=True):
                first = item is not None and item.number + d < 0 and begin is not None
                at = operator.itemgetter(begin) if first else item and item.others.get(d)
                moved[s.out] = at or None
            if None in moved.values():
                continue
            stem = next(item.stem for item in items if item is not None)
            name = backward.words(begin) if begin is not None else ""

            def say(stem: str = stem, d: int = d, name: str = name) -> Say:
                which = "previous" if d < 0 else "next"
                first = f", and `{name}` before the first" if name else ""
                return (
                    f"{backward.here(step)} uses `{stem}` of the wrong time step (off by one): "
                    f"that of the {which} step belongs there{first}.",
                    f"Use the index of the {which} step.",
                )

            yield edit(
                steps,
                ("neighbour", place, d, name),
                "time step",
                1.1,
                say,
                lambda s, v, i=place, moved=moved: with_operand(s, v, i, moved[s.out](v)),
            )


class _Item(NamedTuple):
    """An item of a list or an array of states: whose and which, and how to read its neighbours."""

    stem: str
    number: int
    others: dict[int, Callable[[Any], Any]]


def _item(backward: Backward, slot: int) -> _Item | None:
    named, _ = backward.program.names.get(slot, ("", 0))
    made = backward.words.steps.get(slot)
    if named.endswith("]"):
        stem, number = named.split("[")[0], int(named.split("[")[1][:-1])
        slots = {name: slot for slot, (name, _) in backward.program.names.items()}
        beside = {d: slots.get(f"{stem}[{number + d}]") for d in (-1, 1)}
        return _Item(
            stem, number, {d: operator.itemgetter(s) for d, s in beside.items() if s is not None}
        )
    if made is None or made.function is not operator.getitem or type(made.args[1]) is not int:
        return None
    whole, number = made.args[0].slot, made.args[1]
    there = [d for d in (-1, 1) if 0 <= number + d < len(backward.values[whole])]
    return _Item(backward.words(whole), number, {d: _entry(whole, number + d) for d in there})


def _entry(whole: int, number: int) -> Callable[[Any], Any]:
    """Reads an entry of an array of states."""
    return lambda values: values[whole][number]


def forward_operands(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A value of the forward pass that no variable of the backward code holds."""
    step, forward = steps[-1], backward.forward
    if forward is None or len(steps) > 1 or step.into is not None:
        return
    words = forward.words
    held = [backward.values[s] for bound in backward.variables.values() for _, s in bound]
    for place, old in arguments(step):
        value = backward.values[old.slot]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fb" or not value.ndim:
            continue
        for slot, theirs in enumerate(forward.values):
            if not isinstance(theirs, np.ndarray) or theirs.shape != value.shape:
                continue
            if theirs.dtype.kind not in "fb" or any(same(theirs, x) for x in (value, *held)):
                continue

            def say(slot: int = slot, old: Ref = old) -> Say:
                return (
                    f"{backward.here(step)} uses `{backward.words(old.slot)}` instead of "
                    f"`{words(slot)}` of the forward pass{_is_forward(backward, slot)}.",
                    f"Use `{words(slot)}` there.",
                )

            yield edit(
                steps,
                ("forward operand", place, slot),
                "other value",
                1.85,
                say,
                lambda s, v, i=place, slot=slot: with_operand(
                    s, v, i, np.array(forward.values[slot])
                ),
            )


def _is_forward(backward: Backward, slot: int) -> str:
    assert backward.forward is not None
    for found in (*backward.forward.softmaxes, *backward.forward.activations):
        if found.a == slot:
            return f", the output of the {found.name}"
    return ""


def arguments(step: Step) -> Iterator[tuple[int, Ref]]:
    """The values among the arguments, numbered as they come, in lists too."""
    yield from enumerate(Ref(slot) for slot in step.reads())


def with_operand(step: Step, values: Sequence[Any], place: int, x: Any) -> Any:
    """The step's result with x in place of its value number `place`."""
    return step.compute(values, lambda i, _, old: x if i == place else old)


def _in_place_of(backward: Backward, step: Step, old: Ref, name: str) -> Say:
    words = backward.words
    slot = backward.latest(name, step.out) or 0
    slots = [slot, *(i for _, i in backward.variables[name])]
    about = next((a for i in slots if (a := _is(backward, i))), "")
    line = backward.program.names.get(slot, ("", 0))[1]
    where = f" (line {line})" if line and slot not in words.arguments else ""
    right = f"`{name}`{where}{about}"
    made = words.steps.get(old.slot)
    if same(-backward.values[slot], backward.values[old.slot]):
        return (
            f"The sign of `{words(old.slot)}` in {backward.here(step)} is wrong (factor -1): "
            f"`{name}` belongs there.",
            f"Use `{name}` there.",
        )
    if made is not None and made.function is np.concatenate:
        parts = made.reads()
        twice = [words(p) for p in dict.fromkeys(parts) if parts.count(p) > 1]
        if twice:
            return (
                f"{backward.here(step)} holds a copy of `{twice[0]}` in place of the other parts "
                f"(copy and paste: the gates must have gradients of their own): use {right}.",
                f"Use `{name}` there.",
            )
    pre = _preactivation(backward, slot)
    if pre and step.function not in (np.matmul, np.dot):
        return (
            f"{backward.here(step)} takes the derivative of the {pre} at the wrong place: "
            f"evaluated at `{words(old.slot)}` instead of the pre-activation `{name}`{where}.",
            f"Use `{name}` there.",
        )
    return f"{backward.here(step)} uses `{words(old.slot)}` instead of {right}.", f"Use `{name}`."


def _preactivation(backward: Backward, slot: int) -> str:
    """The nonlinearity that the forward pass applies to a value."""
    forward, value = backward.forward, backward.values[slot]
    if forward is None:
        return ""
    own = [f for f in forward.activations if f.name in NONLINEARITIES]
    return next((f.name for f in own if same(forward.values[f.z], value)), "")


def _is(backward: Backward, slot: int) -> str:
    """What a value is in the forward pass, or in its gradients, as an aside."""
    forward, value = backward.forward, backward.values[slot]
    if forward is None:
        return ""
    words = forward.words
    for found in (*forward.softmaxes, *forward.activations):
        if same(forward.values[found.a], value):
            return f", the output of the {found.name}"
    for found in forward.activations:
        slope = ACTIVATIONS[found.name].derivative(forward.values[found.z], forward.values[found.a])
        if same(slope, value):
            return f", the derivative of the {found.name}"
        if same(forward.true.get(found.z), value):
            return (
                f": the gradient that has been through the derivative of the {found.name} "
                f"`{words(found.a)}`"
            )
    return ""


# -- what the forward pass computed ----------------------------------------------------------------


def recomputed(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A variable that the backward pass computes again, but differently from the forward pass."""
    step = steps[-1]
    forward = backward.forward
    name = backward.words.name(step.out)
    if forward is None or name is None or len(steps) > 1:
        return
    value = backward.values[step.out]
    words = forward.words
    for slot, theirs in enumerate(forward.values):
        if not isinstance(theirs, np.ndarray) or theirs.shape != np.shape(value):
            continue
        if theirs.dtype.kind != "f" or slot not in words.steps or same(theirs, value):
            continue

        def say(slot: int = slot) -> Say:
            return _differently(backward, step, words, words.steps[slot], name)

        yield edit(
            steps,
            ("recomputed", slot),
            "recomputed",
            1.1 if words.name(slot) == name else 1.7,
            say,
            lambda s, v, slot=slot: np.array(forward.values[slot]),
        )


def _differently(backward: Backward, step: Step, words: Words, theirs: Step, name: str) -> Say:
    assert backward.forward is not None
    code = f"`{words.expression(theirs, 3)}` (line {theirs.line} of the forward pass)"
    if theirs.function is operator.setitem:
        own = (
            "each row's own class (the true label) " if own_class(backward.forward, theirs) else ""
        )
        return (
            f"The forward pass sets {own}`{words.expression(theirs)}` (line {theirs.line}); the "
            f"backward pass leaves that out when it computes `{name}` (line {step.line}) again, "
            f"and counts those entries.",
            f"Repeat that line after `{name}` is computed.",
        )
    used = {s.function for s in backward.program.steps}
    masked = next((s for s in _behind(words, theirs) if s.function is np.where), None)
    if masked is not None and np.where not in used:
        return (
            f"The mask is missing when the backward pass computes `{name}` (line {step.line}) "
            f"again: the forward pass has `{words.expression(masked, 3)}` (line {masked.line}).",
            "Apply the same mask.",
        )
    own_code = backward.words.expression(step)
    stat = (
        " (the variance and its root, the standard deviation, mixed up)"
        if any(f in words.expression(theirs, 4) + own_code for f in ("sqrt", "std"))
        else ""
    )
    return (
        f"`{name} = {own_code}` (line {step.line}) is not what the forward pass computed: it must "
        f"be {code}{stat}.",
        "Compute it as the forward pass does.",
    )


def _behind(words: Words, step: Step, depth: int = 6) -> Iterator[Step]:
    """A step, and those that its arguments came from."""
    yield step
    for slot in step.reads() if depth else ():
        if slot in words.steps:
            yield from _behind(words, words.steps[slot], depth - 1)


# -- a factor that is missing ----------------------------------------------------------------------


class Factor(NamedTuple):
    """Something that one may have forgotten to multiply by: a form of a variable."""

    text: str
    name: str
    about: str
    cost: float
    form: Callable[[Any], Any]


def factors(backward: Backward) -> list[Factor]:
    """The same, made once."""
    if backward.factors is None:
        backward.factors = list(_factors(backward))
    return backward.factors


def _factors(backward: Backward) -> Iterator[Factor]:
    """The variables of the code, and what derivatives are made of: 1 − a², a(1 − a), z > 0."""
    derivatives = _derivatives(backward)
    for name, slots in backward.variables.items():
        x = backward.values[slots[-1][1]]
        if x.dtype.kind not in "fb" or not x.size:
            continue
        forms: list[tuple[str, Callable[[Any], Any]]] = [(name, lambda a: a)]
        if x.size == 1:
            forms.append((f"1 / {name}", lambda a: 1 / a))
        elif x.dtype.kind == "f":
            forms += [
                (f"(1 - {name}**2)", lambda a: 1 - a * a),
                (f"{name} * (1 - {name})", lambda a: a * (1 - a)),
                (f"(1 - {name})", lambda a: 1 - a),
                (f"1 / {name}", lambda a: 1 / a),
                (f"({name} > 0)", lambda a: (a > 0) * 1.0),
            ]
        for text, f in forms:
            about = next((d for v, d in derivatives if x.size > 1 and same(f(x), v)), "")
            cost = 1.1 if about else 1.5 if text == name else 2.6 if ">" in text else 1.8
            yield Factor(text, name, about, cost, f)


def _derivatives(backward: Backward) -> list[tuple[Array, str]]:
    """The values of the derivatives of the forward pass's activations, and of what they pass."""
    if backward.forward is None:
        return []
    values, program = backward.forward.values, backward.forward.program
    words = backward.forward.words
    found = []
    for f in backward.forward.activations:
        slope = np.asarray(ACTIVATIONS[f.name].derivative(values[f.z], values[f.a]))
        found.append((slope, f"the derivative of the {f.name} `{words(f.a)}`"))
        for step in program.steps:  # parts of a: the gates that share one sigmoid
            if step.function is operator.getitem and step.args[0] == Ref(f.a):
                part = slope[fill(step.args[1], values)]
                found.append((part, f"the derivative of the {f.name} `{words(step.out)}` (a gate)"))
    return found


def insertions(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A value multiplied by something that is missing."""
    step = steps[-1]
    value = backward.values[step.out]
    if step.into is not None or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return
    for factor in factors(backward):
        slot = backward.latest(factor.name, step.out)
        if slot is None:
            continue
        shape = np.shape(backward.values[slot])
        fits = len(shape) <= value.ndim and all(
            n in (1, m) for n, m in zip(shape[::-1], value.shape[::-1], strict=False)
        )
        if not fits and value.ndim == 2 and shape == value.shape[:1]:  # one factor for each row
            factor = factor._replace(text=f"{factor.text}[:, None]", form=_as_column(factor.form))
        elif not fits:
            continue

        def say(factor: Factor = factor) -> Say:
            about = f", {factor.about}," if factor.about else _role(backward, factor)
            mask = (
                "the mask, "
                if backward.values[backward.latest(factor.name, step.out) or 0].dtype.kind == "b"
                else ""
            )
            return (
                f"{backward.here(step)} is right only up to the factor `{factor.text}`{about} "
                f"which is missing{' (' + mask[:-2] + ')' if mask else ''}.",
                f"Multiply by `{factor.text}`.",
            )

        yield edit(
            steps,
            ("factor", factor.text),
            "derivative missing" if factor.about else "factor",
            factor.cost,
            say,
            lambda s, v, f=factor: compute(s, v) * f.form(v[backward.latest(f.name, s.out) or 0]),
        )


def _as_column(form: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda a: form(a)[:, None]


def _role(backward: Backward, factor: Factor) -> str:
    """What a forgotten variable is in the forward pass."""
    about = (
        _is(backward, backward.variables[factor.name][-1][1]) if factor.text == factor.name else ""
    )
    gate = " (a gate)" if "sigmoid" in about else ""
    return f"{about}{gate}," if about else ""
