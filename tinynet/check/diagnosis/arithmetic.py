"""Misread rules of calculus: constant factors, powers, and the other factor of a product."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinynet.check.diagnosis.as_if import Hypothesis, at_steps, with_partner
from tinynet.check.diagnosis.fix import sizes
from tinynet.check.diagnosis.flow import Forward
from tinynet.check.diagnosis.paths import STATISTICS, carried
from tinynet.check.diagnosis.recording import Ref, Step, fill
from tinynet.check.diagnosis.words import Words
from tinynet.tensor import Tensor


def constants(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """A constant factor or divisor of one step left out; a mean differentiated as a sum."""
    step = steps[-1]
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    if step.function in (np.multiply, np.divide) and len(step.reads()) == len(step.args) - 1:
        numbers = [i for i, x in enumerate(step.args) if not isinstance(x, Ref)]
        if step.function is np.multiply or numbers == [1]:
            c = step.args[numbers[0]]
            if np.ndim(c) == 0 and c not in (0, 1):
                shown = f"{c:.6g}" if step.function is np.multiply else f"1/{c:.6g}"
                size = sizes(forward.problem).get(int(c)) if c == int(c) else None
                count = f": not divided by n = {c}, {size} (the batch size?)" if size else ""
                yield Hypothesis(
                    "factor",
                    f"The constant factor {shown} of {here} is missing from the gradient"
                    f"{_root(c)}{count}.",
                    f"Multiply by {shown} where that step is differentiated.",
                    1.2,
                    at_steps(steps, lambda step, values: values[step.reads()[0]]),
                )
    if step.function is np.mean:
        n = np.size(forward.values[step.reads()[0]]) // max(1, np.size(forward.values[step.out]))
        yield Hypothesis(
            "factor",
            f"The mean in {here} is differentiated as if it were a sum: the factor 1/n = 1/{n} is "
            f"missing (divide by the number of entries, {n}).",
            f"Divide by {n}.",
            1.1,
            at_steps(steps, lambda s, v: np.sum(*fill(s.args, v), **fill(s.kwargs, v))),
        )
    if step.function in (np.var, np.std):
        n = np.size(forward.values[step.reads()[0]]) // max(1, np.size(forward.values[step.out]))
        ddof = step.kwargs.get("ddof", 0)
        other = 0 if ddof else 1
        yield Hypothesis(
            "ddof",
            f"The {STATISTICS[step.function]} in {here} divides by "
            f"{'n - 1 (ddof=1, Bessel)' if ddof else 'n (ddof=0)'} = {n - ddof}, but its gradient "
            f"by {'n - 1' if other else 'n'} = {n - other}.",
            f"Use {n - ddof} in the gradient of the variance as well.",
            1.2,
            at_steps(
                steps,
                lambda s, v: s.function(*fill(s.args, v), **{**fill(s.kwargs, v), "ddof": other}),
            ),
        )


def _root(c: Any) -> str:
    square = float(1 / c**2) if abs(c) < 1 else float(c) ** 2
    n = round(square)
    exact = n > 1 and math.isclose(square, n, rel_tol=1e-9)
    exact = exact and (isinstance(c, np.floating) or math.isqrt(n) ** 2 != n)
    return f", the scale sqrt({n})" if exact else ""


def powers(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """x**n and c**x with the wrong power rule."""
    step = steps[-1]
    if step.function is not np.power or len(step.reads()) != 1:
        return
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    base, exponent = step.args
    if isinstance(base, Ref):
        menu: list[tuple[str, Callable[[Any], Any]]] = [
            (f"its factor {exponent:.6g} is missing", lambda x: x**exponent / exponent),
            ("the exponent was not lowered by 1", lambda x: x ** (exponent + 1) * _ratio(exponent)),
        ]
        right = f"{exponent:.6g} * x**{exponent - 1:.6g}"
    else:
        menu = [
            ("it is taken as that of x**a, a power of x", lambda x: x**base),
            ("its factor log(a) is missing", lambda x: base**x / math.log(base)),
        ]
        right = "a**x * log(a)"
    for what, f in menu:
        yield Hypothesis(
            "power",
            f"The derivative of the power {here} is wrong: {what}; it is {right}.",
            "Use the power rule as given.",
            1.2,
            at_steps(steps, lambda s, v, f=f: f(v[s.reads()[0]])),
        )


def _ratio(n: float) -> float:
    return n / (n + 1)


# -- products --------------------------------------------------------------------------------------


def products(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """One factor of a product with the other factor transposed, or with another value in its
    place.
    """
    step = steps[-1]
    if step.function not in (np.matmul, np.multiply, np.dot, np.divide) or len(step.args) != 2:
        return
    slots = step.reads()
    if len(slots) != 2:
        return
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    for place in (0, 1):
        mine, other = slots[place], slots[1 - place]
        if mine not in forward.depends:
            continue
        value = forward.values[other]
        if step.function is np.multiply and np.shape(value) == np.shape(forward.values[mine]):
            gate = what_is(forward, other)
            gate = gate.replace("its forward value", "a gate") if "sigmoid" in gate else ""
            yield Hypothesis(
                "factor",
                f"In the gradient of `{words(mine)}` through {here} the factor `{words(other)}`"
                f"{gate} is missing.",
                f"Multiply by `{words(other)}`.",
                1.2,
                with_partner(steps, place, lambda _, x: Tensor(np.ones(x.shape))),
            )
        if (
            step.function is not np.multiply
            and value.ndim == 2
            and value.shape[0] == value.shape[1]
        ):
            for name, f in (("transposed", np.transpose), ("inverted", _inverse)):
                yield Hypothesis(
                    "transposed",
                    f"In the gradient of `{words(mine)}` through {here} `{words(other)}` "
                    + (
                        "is not transposed: the backward multiplies by its transpose, .T."
                        if name == "transposed"
                        else "is inverted; it must be transposed (.T), not inverted."
                    ),
                    f"Multiply by `{words(other)}.T`.",
                    1.1,
                    with_partner(steps, place, lambda _, x, f=f: f(x)),
                )
        yield from _other_values(forward, words, steps, place)


def _inverse(x: Any) -> Any:
    return Tensor(np.linalg.inv(x.array).T)


def _other_values(
    forward: Forward, words: Words, steps: list[Step], place: int
) -> Iterator[Hypothesis]:
    """Another value of the same shape in place of a factor: the neighbour in time, z for a."""
    step = steps[-1]
    slots = step.reads()
    mine, other = slots[place], slots[1 - place]
    shape = np.shape(forward.values[other])
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    if len(steps) > 1 and carried(forward, steps, 1 - place):
        nexts = [s.reads()[1 - place] for s in steps[1:]]
        last = words.name(nexts[-1])
        after = [s for s, (n, _) in forward.program.names.items() if n == last and s > nexts[-1]]
        if after:
            follow = dict(zip([s.out for s in steps], [*nexts, after[0]], strict=True))
            yield Hypothesis(
                "time step",
                f"The gradient of `{words(mine)}` through {here} uses the hidden state `{last}` of "
                f"the current time step; it was multiplied with the previous one, h_{{t-1}} (off "
                f"by one).",
                f"Use `{last}` as it was before the step.",
                1.3,
                with_partner(steps, place, _from(forward, follow)),
            )
        return
    if len(steps) > 1:
        return
    for slot, (name, _) in forward.program.names.items():
        value = forward.values[slot]
        if slot == other or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            continue
        if value.shape == shape and not np.array_equal(value, forward.values[other]):
            yield Hypothesis(
                "other value",
                f"The gradient of `{words(mine)}` through {here} is built from `{name}` instead of "
                f"`{words(other)}`{what_is(forward, other)}.",
                f"Use `{words(other)}` there.",
                1.6,
                with_partner(steps, place, _from(forward, {step.out: slot})),
            )


def what_is(forward: Forward, slot: int) -> str:
    """The activation whose output, or a part of it, a slot is, as an aside."""
    for found in (*forward.softmaxes, *forward.activations):
        part = forward.words.steps.get(slot)
        if found.a == slot or (
            part is not None and part.function is operator.getitem and found.a in part.reads()
        ):
            return f", the output of the {found.name} (its forward value)"
    return ""


def _from(forward: Forward, slots: dict[int, int]) -> Callable[[Step, Any], Any]:
    return lambda step, _: Tensor(np.array(forward.values[slots[step.out]]))
