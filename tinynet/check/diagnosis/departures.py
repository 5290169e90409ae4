"""A value of the backward code that should be the gradient of something in the forward pass, and is
not: what it must be, made from the variables at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis.meaning import first, near, same
from tinynet.check.diagnosis.operands import Factor, arguments, factors, with_operand
from tinynet.check.diagnosis.recording import Step
from tinynet.check.diagnosis.retraced import Backward, Edit, edit
from tinynet.check.problem import Array

Say = tuple[str, str]


def departures(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """What such a value must be: itself, or one of the arguments of a step."""
    step = steps[-1]
    forward = backward.forward
    if forward is None or len(steps) > 1 or step.into is not None or not step.reads():
        return
    words = forward.words
    value = backward.values[step.out]
    returned = backward.returned(backward.problem.wrong())
    places: list[tuple[int | None, Array]] = [
        (i, backward.values[r.slot])
        for i, r in arguments(step)
        if step.function is not np.multiply or np.shape(value) == np.shape(backward.values[r.slot])
    ]
    if step.function is np.multiply:  # an argument that was broadcast
        places += [
            (i, value)
            for i, r in arguments(step)
            if np.shape(value) != np.shape(backward.values[r.slot])
        ]
    if backward.words.name(step.out) is not None or step.out in returned:
        places.append((None, backward.values[step.out]))
    for slot, true in forward.true.items():
        fitting = [(i, x) for i, x in places if np.shape(x) == true.shape and not same(true, x)]
        if not fitting or not true.any():
            continue
        for text, about, cost, make in _made_of(backward, step, slot, true):
            for place, _ in fitting:

                def say(
                    place: int | None = place, whose: int = slot, must_be: str = f"{text}`{about}"
                ) -> Say:
                    return _departs(backward, step, place, words(whose), must_be)

                yield edit(
                    steps,
                    ("departs", place, slot, text),
                    "departure",
                    cost + (0.1 if place is not None else 0.0),
                    say,
                    lambda s, v, p=place, m=make: (
                        m(v) if p is None else with_operand(s, v, p, m(v))
                    ),
                )


def _departs(
    backward: Backward, step: Step, place: int | None, gradient_of: str, must_be: str
) -> Say:
    words = backward.words
    if place is None:
        wrong = backward.here(step)
    else:
        name = words(step.reads()[place])
        wrong = f"`{name}` in {backward.here(step)}"
    return (
        f"{wrong} is not the gradient of `{gradient_of}`: it must be `{must_be}.",
        f"Use `{must_be.split('`')[0]}`.",
    )


def _made_of(
    backward: Backward, step: Step, slot: int, true: Array
) -> Iterator[tuple[str, str, float, Callable[[Sequence[Any]], Any]]]:
    """Ways to make the true gradient of a slot from the variables: u @ W.T, u * φ."""
    key = step.out, slot
    if key not in backward.made_of:
        backward.made_of[key] = [
            *_products(backward, step, true),
            *_multiples(backward, step, true),
        ]
    yield from backward.made_of[key][:3]


def _products(backward: Backward, step: Step, true: Array) -> Iterator[Any]:
    values = backward.values
    before = [(n, s) for n in backward.variables if (s := backward.latest(n, step.out)) is not None]
    matrices = [(n, s) for n, s in before if np.ndim(values[s]) == 2]
    forms: list[tuple[str, Callable[[Any, Any], Any]]] = [
        ("{} @ {}.T", lambda a, b: a @ b.T),
        ("{} @ {}", lambda a, b: a @ b),
        ("{}.T @ {}", lambda a, b: a.T @ b),
    ]
    for u, i in matrices:
        for w, j in matrices:
            for text, f in forms if i != j and true.ndim == 2 else ():
                if same(_product(backward, text, f, i, j), true):
                    about = ""
                    if w in backward.problem.names:
                        about = f", propagated through the weights `{w}` (multiplied by {w}.T)"
                    cost = 1.35 if about else 1.6
                    yield text.format(u, w), about, cost, lambda v, f=f, i=i, j=j: f(v[i], v[j])


def _product(backward: Backward, text: str, f: Callable[[Any, Any], Any], i: int, j: int) -> Any:
    """A product of two values, made once; None where the shapes do not fit."""
    key = text, i, j
    if key not in backward.formed:
        try:
            backward.formed[key] = f(backward.values[i], backward.values[j])
        except ValueError:
            backward.formed[key] = None
    return backward.formed[key]


def _form(backward: Backward, factor: Factor, slot: int) -> Any:
    """A factor made from the value of its variable, once."""
    key = factor.text, slot
    if key not in backward.formed:
        backward.formed[key] = factor.form(backward.values[slot])
    return backward.formed[key]


def _multiples(backward: Backward, step: Step, true: Array) -> Iterator[Any]:
    values = backward.values
    before = {n: s for n in backward.variables if (s := backward.latest(n, step.out)) is not None}
    by = [
        (factor, j, form)
        for factor in factors(backward)
        if (j := before.get(factor.name)) is not None
        if np.ndim(form := _form(backward, factor, j)) in (0, true.ndim) and np.size(form)
    ]
    for u, i in before.items():
        if np.shape(values[i]) != true.shape or values[i].dtype.kind != "f" or not true.size:
            continue
        for factor, j, times in by:
            if factor.name == u or not near(first(values[i]) * first(times), first(true)):
                continue  # there are many pairs, and one entry tells
            try:
                made = values[i] * times
            except ValueError:
                continue
            if same(made, true):
                about = f", with {factor.about}" if factor.about else ""
                cost = 1.35 if about else 1.7
                form = factor.form
                yield (
                    f"{u} * {factor.text}",
                    about,
                    cost,
                    lambda v, i=i, j=j, f=form: v[i] * f(v[j]),
                )
