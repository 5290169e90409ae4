"""Derivatives of activations, the Jacobian of softmax: missing, miswritten, or at a wrong place."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis.as_if import Hypothesis, at_steps, with_rule, with_slope
from tinynet.check.diagnosis.flow import Forward
from tinynet.check.diagnosis.meaning import ACTIVATIONS, Found
from tinynet.check.diagnosis.recording import Step, fill
from tinynet.check.diagnosis.words import Words
from tinynet.tensor import Tensor

NONLINEARITIES = ("tanh", "sigmoid", "sigmoid of -z", "ReLU", "softplus", "SiLU")
_WRONG_SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "a": lambda _, a: a,
    "z": lambda z, _: z,
    "1 - a": lambda _, a: 1 - a,
    "1 + a**2": lambda _, a: 1 + a * a,
    "-a**2": lambda _, a: -a * a,
    "a * (1 - a)": lambda _, a: a * (1 - a),
    "1 - a**2": lambda _, a: 1 - a * a,
    "1 - z**2": lambda z, _: 1 - z * z,
    "z * (1 - z)": lambda z, _: z * (1 - z),
    "1 / a": lambda _, a: 1 / a,
    "1 / z": lambda z, _: 1 / z,
    "a > 0": lambda _, a: (a > 0) * 1.0,
    "z > 0": lambda z, _: (z > 0) * 1.0,
    "z < 0": lambda z, _: (z < 0) * 1.0,
    "sign(z)": lambda z, _: np.sign(z),
}


def derivatives(forward: Forward, words: Words, found: list[Found]) -> Iterator[Hypothesis]:
    """The derivative of an activation missing, written wrongly, or taken at the wrong place."""
    last = found[-1]
    f = ACTIVATIONS[last.name]
    values = forward.values[last.z], forward.values[last.a]
    z, a = words(last.z), words(last.a)
    here = f"{f.name} of `{z}`"
    right = f"the derivative of the {f.name} is {f.formula} (a is its output)"
    if f.name == "ReLU":
        right = "its derivative is the mask z > 0"
    hint = f"Multiply the gradient at `{a}` by {f.formula}, to get that at `{z}`."

    def hypothesis(kind: str, what: str, cost: float, slope: Any) -> Hypothesis:
        message = f"{what}: {right}."
        extra = 0.2 if f.name == "sigmoid of -z" else 0.0
        return Hypothesis(kind, message, hint, cost + extra, with_slope(found, slope))

    kind, place = (
        ("activation", "pre-activation") if f.name in NONLINEARITIES else ("local", "input")
    )
    masked = " (the mask of max(0, ·), the margin of a hinge)" if f.name == "ReLU" else ""
    yield hypothesis(
        "derivative missing",
        f"The {kind} derivative of the {here} is missing{masked}",
        1.0 if kind == "activation" else 1.5,
        lambda z, _: np.ones_like(z),
    )
    yield hypothesis(
        "derivative twice",
        f"The {kind} derivative of the {here} is multiplied in twice",
        1.15,
        lambda z, a: f.derivative(z, a) ** 2,
    )
    yield hypothesis(
        "sign",
        f"The derivative of the {here} has the wrong sign (factor -1)",
        1.3,
        lambda z, a: -f.derivative(z, a),
    )
    if kind == "activation" or f.name == "log":
        yield hypothesis(
            "derivative place",
            f"The {kind} derivative of the {here} is taken at the wrong place: evaluated at the "
            f"output `{a}` instead of z, the {place}",
            1.1,
            lambda _, a: f.derivative(a, f.value(a)),
        )
    if f.name == "square":
        yield hypothesis(
            "factor",
            f"The factor 2 of the derivative of the {here} is missing",
            1.0,
            lambda z, _: z,
        )
        return
    for formula, slope in _WRONG_SLOPES.items():
        slopes = slope(*values)
        # A constant is no formula, but a factor.
        if formula != f.formula and (np.size(slopes) == 1 or np.ptp(slopes) > 0):
            yield hypothesis(
                "derivative formula",
                f"The {kind} derivative of the {here} has the wrong formula, {formula}",
                1.2,
                slope,
            )


def gates(forward: Forward, words: Words, found: list[Found]) -> Iterator[Hypothesis]:
    """The derivative missing for a part of an activation: one of the gates that share a sigmoid."""
    places = {f.a: f.z for f in found}
    parts = [
        s
        for s in forward.program.steps
        if s.function is operator.getitem and s.reads() and s.reads()[0] in places
    ]
    groups: dict[Any, list[Step]] = {}
    for step in parts:
        groups.setdefault(step.site, []).append(step)
    for steps in groups.values():
        yield from _gate(words, found, steps, places)


def _gate(
    words: Words, found: list[Found], steps: list[Step], places: dict[int, int]
) -> Iterator[Hypothesis]:
    gate, f = words(steps[-1].out), ACTIVATIONS[found[-1].name]
    menu: list[tuple[str, float, Callable[[Any], Any]]] = [
        ("is missing", 1.0, np.ones_like),
        ("is only half there, a instead of the whole", 1.1, lambda a: a),
        ("is only half there, 1 - a instead of the whole", 1.1, lambda a: 1 - a),
    ]
    for what, cost, slope in menu:

        def wrong(s: Step, v: Sequence[Any], slope: Callable[[Any], Any] = slope) -> Any:
            z = operator.getitem(v[places[s.reads()[0]]], fill(s.args[1], v))
            a = operator.getitem(v[s.reads()[0]].array, fill(s.args[1], v))
            return z * Tensor(slope(a))

        yield Hypothesis(
            "derivative missing",
            f"The {f.name} derivative of the gate `{gate}` {what}: {f.formula} with a = `{gate}`, "
            f"a part of `{words(found[-1].a)}` (line {steps[-1].line} of the forward pass).",
            f"Multiply the gradient of `{gate}` by the derivative.",
            cost,
            at_steps(steps, wrong),
        )


# -- the Jacobian of softmax -----------------------------------------------------------------------


def jacobians(forward: Forward, words: Words, found: list[Found]) -> Iterator[Hypothesis]:
    """The Jacobian of softmax or log-softmax without a part of it, or along the wrong axis."""
    last = found[-1]
    axis = last.axis
    ndim = np.ndim(forward.values[last.a])
    where = f"{last.name} `{words(last.a)}`"
    right = {
        "softmax": "s * (g - sum(g * s))",
        "log-softmax": "g - softmax * sum(g)",
    }[last.name]

    def total(x: Any, over: Any = axis) -> Any:
        return np.sum(x, axis=over, keepdims=True)

    menu: list[tuple[str, str, Callable[[Any, Any], Any]]]
    if last.name == "softmax":
        menu = [
            ("keeps only its diagonal, s * (1 - s)", "jacobian", lambda g, s: g * s * (1 - s)),
            ("lacks its off-diagonal terms, the sum(g * s)", "jacobian", lambda g, s: g * s),
            ("is missing altogether, diagonal and off-diagonal", "jacobian", lambda g, s: g),
            ("has the wrong sign at sum(g * s)", "sign", lambda g, s: s * (g + total(g * s))),
            ("has sum(g * s) not multiplied by s", "jacobian", lambda g, s: s * g - total(g * s)),
            (
                "has the plain sum of g where it is weighted, sum(g * s)",
                "jacobian",
                lambda g, s: s * (g - total(g)),
            ),
            (
                "has the plain mean of g where it is weighted, sum(g * s)",
                "jacobian",
                lambda g, s: s * (g - np.mean(g, axis=axis, keepdims=True)),
            ),
        ]
    else:
        menu = [
            ("lacks its off-diagonal terms, softmax * sum(g)", "jacobian", lambda g, y: g),
            (
                "has the log-softmax itself where the softmax belongs: it subtracts sum(g * y)",
                "jacobian",
                lambda g, y: g - total(g * y),
            ),
            (
                "adds the softmax instead of subtracting softmax * sum(g) (sign, and the sum)",
                "jacobian",
                lambda g, y: g + np.exp(y),
            ),
            (
                "has the wrong sign at softmax * sum(g)",
                "sign",
                lambda g, y: g + np.exp(y) * total(g),
            ),
            ("lacks the factor sum(g) of the softmax", "jacobian", lambda g, y: g - np.exp(y)),
            ("lacks the factor softmax of the sum(g)", "jacobian", lambda g, y: g - total(g)),
            (
                "has the mean of g where its sum belongs",
                "jacobian",
                lambda g, y: g - np.exp(y) * np.mean(g, axis=axis, keepdims=True),
            ),
        ]
    for what, kind, rule in menu:
        yield Hypothesis(
            kind,
            f"The Jacobian of the {where} {what}; the backward of {last.name} is {right}, summed "
            f"over axis {_shown(axis)}.",
            f"Use {right}.",
            1.0,
            with_rule(found, rule),
        )
    others = [(k,) for k in range(ndim) if (k,) != axis] + [tuple(range(ndim))]
    for over in others:
        if over == axis:
            continue

        def rule(g: Any, y: Any, over: Any = over) -> Any:
            if last.name == "softmax":
                return y * (g - total(g * y, over))
            return g - np.exp(y) * total(g, over)

        yield Hypothesis(
            "axis",
            f"The backward of the {where} sums over the wrong axis: {_shown(over)}, where the "
            f"softmax runs along axis {_shown(axis)} (one sum for each row of it, keepdims=True).",
            f"Sum over axis {_shown(axis)}.",
            1.1,
            with_rule(found, rule),
        )


def _shown(axis: Any) -> str:
    return str(axis[0]) if len(axis) == 1 else "all axes" if len(axis) > 1 else "none"
