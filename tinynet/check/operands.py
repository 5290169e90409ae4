"""Wrong or missing operands in the backward pass: another variable, a factor that was forgotten, a
value that the forward pass computed differently, a constant.

Most backward passes are linear in each value that they make. So a wrong constant is not searched but
solved for: with the value replaced by 0 the gradient is A, as it stands A + L, and the true one is
A + c·L if the factor c is all that is missing.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.meaning import ACTIVATIONS, elementwise, softmaxes
from tinynet.check.problem import Array
from tinynet.check.recording import Ref, Step, fill, nested
from tinynet.check.retraced import Backward, Edit, compute, edit
from tinynet.check.scales import factors as named_factors
from tinynet.check.words import Words

Say = tuple[str, str]


# -- another variable ------------------------------------------------------------------------------


def operands(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """Another variable of the backward code in place of an argument."""
    step = steps[-1]
    if step.into is not None or step.function is operator.setitem:
        return
    for place, old in _arguments(step):
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
                1.5,
                say,
                lambda s, v, i=place, n=name: _with_argument(
                    s, v, i, v[backward.latest(n, s.out) or 0]
                ),
            )


def _arguments(step: Step) -> Iterator[tuple[int, Ref]]:
    """The values among the arguments, numbered as they come, in lists too."""
    yield from enumerate(Ref(slot) for slot in step.reads())


def _with_argument(step: Step, values: Sequence[Any], place: int, x: Any) -> Any:
    count = iter(range(10**9))

    def put(item: Any) -> Any:
        if type(item) is not Ref:
            return item
        return x if next(count) == place else values[item.slot]

    return step.function(*nested(step.args, put), **nested(step.kwargs, put))


def _in_place_of(backward: Backward, step: Step, old: Ref, name: str) -> Say:
    words = backward.words
    here = backward.here(step)
    was = words(old.slot)
    slot = backward.latest(name, step.out)
    about = ""
    if backward.forward is not None and slot is not None:
        about = _is(backward, backward.values[slot])
    line = backward.program.names.get(slot, ("", 0))[1] if slot is not None else 0
    where = f" (line {line})" if line and name not in words.arguments.values() else ""
    return (
        f"{here} uses `{was}` where `{name}`{where} belongs{about}.",
        f"Use `{name}` there.",
    )


def _is(backward: Backward, value: Array) -> str:
    """What a value is in the forward pass, or in its gradients, as an aside."""
    forward = backward.forward
    if forward is None:
        return ""
    words = Words(forward.program, backward.problem.names)
    for found in (*softmaxes(forward.program), *elementwise(forward.program)):
        if _equal(forward.values[found.a], value):
            return f", the output of the {found.name}"
    for found in elementwise(forward.program):
        slope = ACTIVATIONS[found.name].derivative(forward.values[found.z], forward.values[found.a])
        if _equal(slope, value):
            return f", the derivative of the {found.name}"
        if _equal(forward.true.get(found.z), value):
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
    words = Words(forward.program, backward.problem.names)
    for slot, theirs in enumerate(forward.values):
        if not isinstance(theirs, np.ndarray) or theirs.shape != np.shape(value):
            continue
        if theirs.dtype.kind != "f" or slot not in words.steps or _equal(theirs, value):
            continue

        def say(slot: int = slot) -> Say:
            return _differently(backward, step, words, words.steps[slot], name)

        yield edit(
            steps,
            ("recomputed", slot),
            "recomputed",
            1.4 if words.name(slot) == name else 1.7,
            say,
            lambda s, v, slot=slot: np.array(forward.values[slot]),
        )


def _differently(backward: Backward, step: Step, words: Words, theirs: Step, name: str) -> Say:
    code = f"`{words.expression(theirs, 3)}` (line {theirs.line} of the forward pass)"
    if theirs.function is operator.setitem:
        own = "each row's own class (the true label) " if _own_class(backward, theirs) else ""
        return (
            f"The forward pass sets {own}`{words.expression(theirs)}` (line {theirs.line}); the "
            f"backward pass leaves that out when it computes `{name}` (line {step.line}) again, "
            f"and counts those entries.",
            f"Repeat that line after `{name}` is computed.",
        )
    if theirs.function is np.where or any(
        words.steps[s].function is np.where for s in theirs.reads() if s in words.steps
    ):
        return (
            f"The mask is missing when the backward pass computes `{name}` (line {step.line}) "
            f"again: the forward pass has {code}.",
            "Apply the same mask.",
        )
    own_code = backward.words.expression(step)
    stat = " (the variance and its root, the standard deviation, mixed up)" if any(
        f in words.expression(theirs, 4) + own_code for f in ("sqrt", "std")
    ) else ""
    return (
        f"`{name} = {own_code}` (line {step.line}) is not what the forward pass computed: it must be "
        f"{code}{stat}.",
        "Compute it as the forward pass does.",
    )


def _own_class(backward: Backward, step: Step) -> bool:
    """Whether a key is (0, 1, 2, …), labels: one entry of each row."""
    key = step.args[1]
    if backward.forward is None or not isinstance(key, tuple) or len(key) != 2:
        return False
    rows, labels = fill(key, backward.forward.values)
    return (
        isinstance(rows, np.ndarray)
        and np.array_equal(rows, np.arange(rows.size))
        and isinstance(labels, np.ndarray)
        and labels.dtype.kind in "iu"
    )


# -- the true gradient -----------------------------------------------------------------------------


def departures(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A variable that should be the gradient of a value of the forward pass, and is not: what it
    must be, from the variables at hand.
    """
    step = steps[-1]
    forward = backward.forward
    name = backward.words.name(step.out)
    if forward is None or name is None or len(steps) > 1 or step.into is not None:
        return
    value = backward.values[step.out]
    words = Words(forward.program, backward.problem.names)
    for slot, true in forward.true.items():
        if true.shape != np.shape(value) or _equal(true, value) or not true.any():
            continue
        ways = list(_made_of(backward, step, true))
        for text, about, cost, make in ways[:2]:

            def say(text: str = text, about: str = about, slot: int = slot) -> Say:
                return (
                    f"`{name} = {backward.words.expression(step)}` (line {step.line}) is not the "
                    f"gradient of `{words(slot)}`: it must be `{text}`{about}.",
                    f"Write `{name} = {text}`.",
                )

            yield edit(
                steps, ("departs", slot, text), "departure", cost, say, lambda s, v, m=make: m(v, s)
            )


def _made_of(
    backward: Backward, step: Step, true: Array
) -> Iterator[tuple[str, str, float, Callable[[Sequence[Any], Step], Any]]]:
    """Ways to make the true gradient from the variables: u @ W.T, u * φ."""
    values = backward.values
    before = {n: s for n in backward.variables if (s := backward.latest(n, step.out)) is not None}
    matrices = {n: s for n, s in before.items() if np.ndim(values[s]) == 2}
    for u, i in matrices.items():
        for w, j in matrices.items():
            if i == j:
                continue
            forms: list[tuple[str, Callable[[Any, Any], Any]]] = [
                (f"{u} @ {w}.T", lambda a, b: a @ b.T),
                (f"{u} @ {w}", lambda a, b: a @ b),
                (f"{u}.T @ {w}", lambda a, b: a.T @ b),
            ]
            for text, f in forms:
                try:
                    made = f(values[i], values[j])
                except ValueError:
                    continue
                if _equal(made, true):
                    about = f": propagated through the weights `{w}`"
                    yield text, about, 1.3, lambda v, _, f=f, i=i, j=j: f(v[i], v[j])
    for u, i in before.items():
        if np.shape(values[i]) != true.shape or values[i].dtype.kind != "f":
            continue
        for factor in factors(backward):
            if factor.name == u or factor.name not in before:
                continue
            if np.ndim(values[before[factor.name]]) not in (0, true.ndim):
                continue
            try:
                made = values[i] * factor.form(values[before[factor.name]])
            except ValueError:
                continue
            if _equal(made, true):
                about = f", with {factor.about}" if factor.about else ""
                yield (
                    f"{u} * {factor.text}",
                    about,
                    1.3 if about else 1.7,
                    lambda v, _, i=i, j=before[factor.name], f=factor.form: v[i] * f(v[j]),
                )


# -- a factor that is missing ----------------------------------------------------------------------


class Factor(NamedTuple):
    """Something that one may have forgotten to multiply by: a form of a variable."""

    text: str
    name: str
    about: str
    cost: float
    form: Callable[[Any], Any]


def factors(backward: Backward) -> Iterator[Factor]:
    """The variables of the code, and what derivatives are made of: 1 − a², a(1 − a), z > 0."""
    derivatives = _derivatives(backward)
    for name, slots in backward.variables.items():
        x = backward.values[slots[-1]]
        if x.dtype.kind not in "fb" or not x.size:
            continue
        forms: list[tuple[str, Callable[[Any], Any]]] = [(name, lambda a: a)]
        if x.dtype.kind == "f":
            forms += [
                (f"(1 - {name}**2)", lambda a: 1 - a * a),
                (f"{name} * (1 - {name})", lambda a: a * (1 - a)),
                (f"({name} > 0)", lambda a: (a > 0) * 1.0),
                (f"(1 - {name})", lambda a: 1 - a),
                (f"1 / {name}", lambda a: 1 / a),
            ]
        for text, f in forms:
            about = next((d for v, d in derivatives if _equal(f(x), v)), "")
            cost = 1.1 if about else 1.5 if text == name else 1.8
            yield Factor(text, name, about, cost, f)


def _derivatives(backward: Backward) -> list[tuple[Array, str]]:
    """The values of the derivatives of the forward pass's activations, and of what they pass."""
    if backward.forward is None:
        return []
    values, program = backward.forward.values, backward.forward.program
    words = Words(program, backward.problem.names)
    found = []
    for f in elementwise(program):
        slope = np.asarray(ACTIVATIONS[f.name].derivative(values[f.z], values[f.a]))
        found.append((slope, f"the derivative of the {f.name} `{words(f.a)}`"))
        for step in program.steps:  # parts of a: the gates that share one sigmoid
            if step.function is operator.getitem and step.args[0] == Ref(f.a):
                part = slope[fill(step.args[1], values)]
                found.append((part, f"the derivative of the {f.name} `{words(step.out)}` (a gate)"))
    return found


def _equal(x: Any, y: Any) -> bool:
    return (
        x is not None
        and y is not None
        and np.shape(x) == np.shape(y)
        and bool(np.allclose(x, y, rtol=1e-9, atol=1e-12))
    )


def insertions(backward: Backward, steps: list[Step], pool: Sequence[Factor]) -> Iterator[Edit]:
    """A value multiplied by something that is missing."""
    step = steps[-1]
    value = backward.values[step.out]
    if step.into is not None or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return
    for factor in pool:
        slot = backward.latest(factor.name, step.out)
        if slot is None:
            continue
        shape = np.shape(backward.values[slot])
        if len(shape) > value.ndim or any(
            n not in (1, m) for n, m in zip(shape[::-1], value.shape[::-1], strict=False)
        ):
            continue

        def say(factor: Factor = factor) -> Say:
            about = f", {factor.about}," if factor.about else _role(backward, factor)
            mask = "the mask, " if backward.values[
                backward.latest(factor.name, step.out) or 0
            ].dtype.kind == "b" else ""
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


def _role(backward: Backward, factor: Factor) -> str:
    """What a forgotten variable is in the forward pass."""
    slot = backward.variables[factor.name][-1]
    about = _is(backward, backward.values[slot]) if factor.text == factor.name else ""
    gate = " (a gate)" if "sigmoid" in about else ""
    return f"{about}{gate}," if about else ""


# -- a constant factor -----------------------------------------------------------------------------


def solved(
    backward: Backward, steps: list[Step], now: Sequence[Any], k: int
) -> tuple[Edit, float] | None:
    """The constant factor that this instruction lacks, if one makes the gradient number k right."""
    step = steps[-1]
    true = backward.problem.true[k]
    if step.into is not None or np.asarray(backward.values[step.out]).dtype.kind != "f":
        return None
    without = np.asarray(backward.run(times(steps, 0.0).change, steps)[k])
    if without.shape != true.shape or np.shape(now[k]) != true.shape:
        return None
    part, rest = now[k] - without, true - without
    weight = float(np.sum(part * part))
    c = float(np.sum(part * rest)) / weight if weight else math.nan
    if not math.isfinite(c) or abs(c) < 1e-9 or abs(c - 1) < 1e-5:
        return None
    if backward.problem.residual(k, without + c * part) > 1:
        return None
    text, hint, cost = _factor_in_words(backward, c)

    def say() -> Say:
        return f"{backward.here(step)} is {text}{_penalty(backward, step)}.", hint

    return times(steps, c)._replace(say=say, cost=cost), c


def times(steps: Sequence[Step], c: float) -> Edit:
    """The values of these steps, times a constant."""
    return edit(
        steps, ("times",), "factor", 9.0, lambda: ("", ""), lambda s, v: c * compute(s, v)
    )


def _factor_in_words(backward: Backward, c: float) -> tuple[str, str, float]:
    if backward.forward is not None:
        for step in backward.forward.program.steps:
            for x in step.args:
                if isinstance(x, (float, np.floating)) and x not in (0, 1) and step.out:
                    for value, what in ((x, "multiply"), (1 / x, "divide")):
                        if math.isclose(c, value, rel_tol=1e-6):
                            return (
                                f"off by a constant factor: the {x:.6g} of the forward pass (line "
                                f"{step.line}) is missing",
                                f"{what.capitalize()} by {x:.6g}.",
                                1.7,
                            )
    one = np.array([1.0, 2.0])
    ratio = dataclasses.replace(
        backward.problem,
        found=(one / c,),
        true=(one,),
        tolerance=(1e-5 * one,),
        wrt=(0,),
    )
    fixes = sorted(named_factors(ratio, 0), key=lambda f: f.cost)
    if not fixes:
        return f"off by the factor {c:.6g}", f"Multiply by {c:.6g}.", 3.0
    return fixes[0].text, fixes[0].hint, fixes[0].cost + 0.1


def _penalty(backward: Backward, step: Step) -> str:
    """A note if the instruction is a constant times a parameter: the gradient of a penalty."""
    reads = step.reads()
    words = backward.words
    own = {words.arguments.get(s) for s in reads}
    wrt = {backward.problem.names[i] for i in backward.problem.wrt}
    if step.function is np.multiply and len(reads) == 1 and own & wrt:
        return ": the term of the regulariser (weight decay)"
    return ""
