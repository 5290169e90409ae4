"""What the learner seems to have differentiated instead: a hypothesis is a forward pass with one
change, and here are the changes.

The hypotheses themselves, in the order in which a beginner makes the mistakes: forgotten paths
(`paths.py`), misread rules (`arithmetic.py`), derivatives of activations (`slopes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.diagnosis.flow import Change, as_if
from tinynet.check.diagnosis.meaning import Found
from tinynet.check.diagnosis.recording import Step
from tinynet.tensor import Tensor


class Hypothesis(NamedTuple):
    """A mistake: what it is called, in words, what to do, how far-fetched it is, and the forward
    pass that it differentiates.
    """

    kind: str
    message: str
    hint: str
    cost: float
    change: Change


def at_steps(steps: Sequence[Step], wrong: Callable[..., Any]) -> Change:
    """At these steps, differentiate `wrong(step, values)` instead."""
    places = {step.out for step in steps}

    def change(step: Step, values: Sequence[Any]) -> Any:
        if step.out not in places or step.into is not None:
            return step
        return as_if(step, values, wrong(step, values))

    return change


def with_argument(step: Step, values: Sequence[Any], place: int, use: Callable[[Any], Any]) -> Any:
    """The step's result with its argument number `place` (of those that are values) replaced."""
    return step.compute(values, lambda i, _, x: use(x) if i == place else x)


def detached(x: Any) -> Any:
    """The value as a constant."""
    return x.detach() if isinstance(x, Tensor) else x


def with_slope(found: Sequence[Found], slope: Callable[[Any, Any], Any]) -> Change:
    """As if the derivative of the function were slope(z, a)."""
    places = {f.a: f.z for f in found}

    def change(step: Step, values: Sequence[Any]) -> Any:
        z = places.get(step.out)
        if z is None:
            return step
        a = step.compute(values)
        with np.errstate(all="ignore"):
            s = Tensor(np.asarray(slope(values[z].array, a.array), dtype=float))
        return as_if(step, values, values[z] * s)

    return change


def with_rule(found: Sequence[Found], rule: Callable[[Any, Any], Any]) -> Change:
    """As if the backward of the function were rule(g, a)."""
    places = {f.a: f.z for f in found}

    def change(step: Step, values: Sequence[Any]) -> Any:
        z = places.get(step.out)
        if z is None:
            return step
        y = as_if(step, values, values[z])
        a = y.array.copy()
        y.register_hook(lambda g: Tensor(np.asarray(rule(g.array, a))))
        return y

    return change


def with_partner(steps: Sequence[Step], place: int, use: Callable[..., Any]) -> Change:
    """For the gradient of argument `place`, the other argument is use(step, it)."""

    def wrong(step: Step, values: Sequence[Any]) -> Any:
        slots = step.reads()
        mine, other = values[slots[place]], values[slots[1 - place]]
        swapped = use(step, detached(other))
        pair, changed = (detached(mine), other), (mine, swapped)
        if place:
            pair, changed = pair[::-1], changed[::-1]
        y, z = step.function(*pair), step.function(*changed)
        return z + (y - y.detach()) if isinstance(y, Tensor) else z

    return at_steps(steps, wrong)
