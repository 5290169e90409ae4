"""Functions that a forward pass computes in several steps, recognised by their values: sigmoid,
softmax, normalisation, …, and the derivatives that belong to named functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.diagnosis.recording import Program

Array = np.ndarray[Any, Any]


class Activation(NamedTuple):
    """An elementwise function, and its derivative as one writes it with z before and a after."""

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]  # of z and a
    formula: str


def _sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


ACTIVATIONS = {
    a.name: a
    for a in (
        Activation("tanh", np.tanh, lambda _, a: 1 - a * a, "1 - a**2"),
        Activation("sigmoid", _sigmoid, lambda _, a: a * (1 - a), "a * (1 - a)"),
        Activation(
            "sigmoid of -z", lambda z: _sigmoid(-z), lambda _, a: a * (a - 1), "-a * (1 - a)"
        ),
        Activation("ReLU", lambda z: np.maximum(z, 0), lambda z, _: (z > 0) * 1.0, "z > 0"),
        Activation("exp", np.exp, lambda _, a: a, "a"),
        Activation("log", np.log, lambda z, _: 1 / z, "1 / z"),
        Activation("sqrt", np.sqrt, lambda _, a: 0.5 / a, "1 / (2 * a)"),
        Activation("square", np.square, lambda z, _: 2 * z, "2 * z"),
        Activation("|z|", np.abs, lambda z, _: np.sign(z), "sign(z)"),
        Activation("sin", np.sin, lambda z, _: np.cos(z), "cos(z)"),
        Activation("cos", np.cos, lambda z, _: -np.sin(z), "-sin(z)"),
        Activation(
            "softplus", lambda z: np.logaddexp(0, z), lambda z, _: _sigmoid(z), "sigmoid(z)"
        ),
        Activation(
            "SiLU",
            lambda z: z * _sigmoid(z),
            lambda z, a: _sigmoid(z) * (1 + z - a),
            "s + z * s * (1 - s)",
        ),
    )
}


class Found(NamedTuple):
    """Slot `a` is the named function of slot `z`; `axis` for those that work along one."""

    name: str
    z: int
    a: int
    axis: tuple[int, ...] | None = None


def elementwise(program: Program) -> Iterator[Found]:
    """The activations in a program, each at its last step."""
    images: dict[int, list[tuple[str, Array]]] = {}  # of each z, under all of them
    with np.errstate(all="ignore"):
        for z, a in _pairs(program):
            zs, values = program.values[z], program.values[a]
            if same(zs, values):
                continue
            if z not in images:
                images[z] = [(f.name, f.value(zs)) for f in ACTIVATIONS.values()]
            name = next((name for name, image in images[z] if same(image, values)), None)
            if name is not None:
                yield Found(name, z, a)


def softmaxes(program: Program) -> list[Found]:
    """The softmaxes and log-softmaxes in a program, of the earliest value that they are one of:
    z and not z − max(z), which has the same softmax.
    """
    found: dict[int, Found] = {}
    with np.errstate(all="ignore"):
        for z, a in _pairs(program):
            zs, values = program.values[z], program.values[a]
            if zs.size < 2 or same(zs, values):
                continue
            for axis in _axes(zs.ndim):
                e = np.exp(zs - np.max(zs, axis=axis, keepdims=True))
                s = e / np.sum(e, axis=axis, keepdims=True)
                for name, y in (("softmax", s), ("log-softmax", np.log(s))):
                    if same(y, values) and (a not in found or z < found[a].z):
                        found[a] = Found(name, z, a, axis)
    return list(found.values())


def _axes(ndim: int) -> list[tuple[int, ...]]:
    return [(k,) for k in range(ndim)] + ([tuple(range(ndim))] if ndim > 1 else [])


def _pairs(program: Program, steps: int = 9) -> Iterator[tuple[int, int]]:
    """Slots of one shape of which the second comes from the first within a few steps."""
    behind: dict[int, dict[int, int]] = {}
    for step in program.steps:
        near: dict[int, int] = {}
        for slot in step.reads():
            near[slot] = 1
            for further, distance in behind.get(slot, {}).items():
                if distance < steps:
                    near[further] = min(near.get(further, steps), distance + 1)
        behind[step.out] = near
        a = program.values[step.out]
        if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or not a.size:
            continue
        for z in sorted(near, key=near.__getitem__):
            x = program.values[z]
            if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.shape == a.shape:
                yield z, step.out


def same(x: Any, y: Any) -> bool:
    """Whether two values are equal up to rounding."""
    if x is None or y is None or np.shape(x) != np.shape(y):
        return False
    if np.size(x) and not near(first(x), first(y)):  # most pairs differ: one entry tells
        return False
    return bool(np.all(np.abs(np.subtract(x, y)) <= 1e-12 + 1e-9 * np.abs(y)))


def near(x: float, y: float) -> bool:
    """The same for two numbers."""
    return abs(x - y) <= 1e-12 + 1e-9 * abs(y)


def first(x: Any) -> Any:
    """The first entry, as a number of Python."""
    return x.item(0) if isinstance(x, (np.ndarray, np.generic)) else x
