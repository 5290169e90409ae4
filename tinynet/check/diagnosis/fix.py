"""One way to set one wrong gradient right, and the test that it must pass.

There are two directions, and either will do. A repair turns the gradient that was found into the
true one. A model of the mistake turns the true gradient into the one that was found: a gradient
that is zero cannot be repaired, yet "multiplied by zero" explains it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet.check.problem import Array, Problem


@dataclass(frozen=True)
class Fix:
    """What may be wrong with one gradient.

    text    what is wrong; fixes of several arguments that read the same become one explanation
    hint    what to change
    cost    how far-fetched it is
    apply   what the repair makes of the problem's gradient; None where it does not apply
    model   `apply` gives the wrong gradient, made from the true one
    """

    text: str
    hint: str
    cost: float
    apply: Callable[[Problem], Any]
    model: bool = False

    def residual(self, p: Problem, k: int) -> float:
        """How far off it is for `wrt[k]`, in units of the tolerance: it fits where this is ≤ 1."""
        made = self.apply(p)
        if made is None:
            return math.inf
        if not self.model:
            return p.residual(k, np.asarray(made))
        found, made = np.asarray(p.found[k]), np.asarray(made)
        if found.shape != made.shape or made.shape != p.true[k].shape:
            return math.inf
        off = np.abs(found - made) / p.tolerance[k]
        return float(np.max(np.where(np.isnan(off), np.inf, off), initial=0.0))


def pair(p: Problem, k: int) -> tuple[Array, Array] | None:
    """The gradient found and the true one, where they can be compared entry by entry."""
    found, true = np.asarray(p.found[k]), p.true[k]
    if found.shape != true.shape or found.dtype.kind not in "fiub" or not true.size:
        return None
    return found.astype(np.float64), true


def own(p: Problem, k: int) -> str:
    """What the argument of `wrt[k]` is called."""
    return p.names[p.wrt[k]]


def arrays(p: Problem) -> dict[str, Array]:
    """The floating-point arguments by name; a number counts as an array without axes."""
    return {
        name: np.asarray(a, dtype=np.float64)
        for name, a in zip(p.names, p.args, strict=False)
        if isinstance(a, float) or (isinstance(a, np.ndarray) and a.dtype.kind == "f")
    }


def sizes(p: Problem) -> dict[int, str]:
    """The counts that may be the n of a mean, and what each is the size of: data before parameters,
    and the lengths of axes before their products.
    """
    labels: dict[int, list[str]] = {}

    def note(n: int, label: str) -> None:
        if n > 1 and label not in labels.setdefault(n, []):
            labels[n].append(label)

    order = sorted(range(len(p.args)), key=lambda i: i in p.wrt)
    shaped = [(p.names[i], np.shape(p.args[i])) for i in order if hasattr(p.args[i], "shape")]
    for name, shape in shaped:
        for axis, n in enumerate(shape):
            note(n, f"the length of {name}" if axis == 0 else f"{name}.shape[{axis}]")
    for axis, n in enumerate(p.y.shape):
        note(n, f"the output's axis {axis}")
    for name, shape in [*shaped, ("the output", p.y.shape)]:
        if len(shape) > 1:
            note(math.prod(shape), f"the number of entries of {name}")
    for axis in range(p.y.ndim if p.y.ndim > 2 else 0):
        note(p.y.size // max(p.y.shape[axis], 1), f"the number of outputs for each of axis {axis}")
    return {n: " and ".join(found[:2]) for n, found in labels.items()}


def named_axis(shape: tuple[int, ...], axis: int) -> str:
    """What the slices along an axis are called."""
    return ("row", "column")[axis] if len(shape) == 2 else ("entry" if len(shape) == 1 else "slice")


def number(c: float) -> str:
    """A number as a learner would write it."""
    return f"{c:.4g}"
