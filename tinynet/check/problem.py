"""A wrong gradient with all that is known about it, and what may explain it.

A cause is named only if its repair brings the gradient to the true one: at the point that was
checked, and again at a second point with another cotangent, because at one point 0.25 and x² may
be the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Problem:
    """One gradient under suspicion. Tuples run over `wrt`.

    forward    arrays in, array out
    backward   (g, *args) -> the gradients, one for each of `wrt`; None: they came from a tape
    args       the arguments, floating-point ones as float64
    wrt        the positions in `args` of what was differentiated
    names      what the arguments are called, all of them
    g, y       the cotangent and the output, of one shape
    found      the gradients under suspicion, as they came: a shape may be wrong
    true       the gradients by differences, in the shapes of the arguments
    tolerance  how far off a right gradient may be: from the error estimate, entry by entry
    again      makes the same problem at another point, with another cotangent; None where there
               is none to be had
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    args: tuple[Any, ...]
    wrt: tuple[int, ...]
    names: tuple[str, ...]
    g: Array
    y: Array
    found: tuple[Array, ...]
    true: tuple[Array, ...]
    tolerance: tuple[Array, ...]
    again: Callable[[], Problem | None] = field(default=lambda: None)

    def residual(self, k: int, gradient: Array) -> float:
        """How far a gradient for `wrt[k]` is from the true one, in units of the tolerance: right
        is ≤ 1.
        """
        gradient, true = np.asarray(gradient), self.true[k]
        if gradient.shape != true.shape or gradient.dtype.kind not in "fiub":
            return np.inf
        if not true.size:
            return 0.0
        with np.errstate(all="ignore"):
            off = np.abs(gradient - true) / self.tolerance[k]
        return float(np.max(np.where(np.isnan(off), np.inf, off)))

    def wrong(self) -> list[int]:
        """The positions in `wrt` whose gradients are not right."""
        return [k for k, d in enumerate(self.found) if self.residual(k, d) > 1]


# Given a problem, the gradients as they would be without the mistake; None where it cannot say.
Repair = Callable[[Problem], Sequence[Array] | None]


@dataclass(frozen=True)
class Candidate:
    """One explanation: what is wrong in a learner's words, what to do, and how well it fits.

    kind       the kind of mistake, for programs: "sign", "factor", "transposed", ...
    message    one sentence, at most 300 characters, with the names of the learner's own variables
    hint       what to change
    cost       how far-fetched it is: of those that fit, the cheapest is the diagnosis
    repaired   which positions in `wrt` it sets right
    residual   the worst residual of those after the repair (≤ 1)
    line       the line of the backward code that is at fault, where known
    """

    kind: str
    message: str
    hint: str
    cost: float
    repaired: tuple[int, ...]
    residual: float
    line: int | None = None
