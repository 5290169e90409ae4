"""Other points: a step beside the one that was asked for, and what the diagnosis gets to see.

At one point, 2x and x² may be the same number, and ReLU may sit on its kink: a few percent away
they part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.check.compare import Argument, compared, misfit_of
from tinynet.check.measure import Point, direction_in, measure, mismatch, point_at
from tinynet.check.problem import Problem
from tinynet.check.subject import Subject, quiet

Array = np.ndarray[Any, Any]


def moved_args(
    point: Point,
    which: Sequence[int],
    rng: np.random.Generator,
    keep_symmetric: bool = True,
    amount: float = 0.05,
) -> tuple[Any, ...]:
    """The arguments up to so much of their size away: signs stay, and what lies between 0 and 1
    stays there.
    """
    args = list(point.args)
    for i in which:
        x = args[i]
        if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.size:
            continue
        u = rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.2 * amount, amount, x.shape)
        if keep_symmetric and x.ndim == 2 and x.shape[0] == x.shape[1] and (x == x.T).all():
            u = np.triu(u) + np.triu(u, 1).T
        if ((x > 0) & (x < 1)).all():
            args[i] = np.asarray(x ** (1 + u))
        else:
            typical = float(np.max(np.abs(x))) or 1.0
            args[i] = np.asarray(np.where(x == 0, u * typical, x * (1 + u)))
    return tuple(args)


def nearby(point: Point, rng: np.random.Generator) -> Point | None:
    """A point beside this one, moved in what is differentiated only. Symmetric matrices stay
    symmetric: a gradient may rely on it.
    """
    return point_or_none(point.subject, moved_args(point, point.subject.wrt, rng), rng, point.noise)


def point_or_none(
    subject: Subject,
    args: tuple[Any, ...],
    rng: np.random.Generator,
    noise: Array | None = None,
) -> Point | None:
    """The claims and the function at other arguments; None where the code does not run there."""
    y = subject.moved_value(*args)
    if y is None or not np.isfinite(y).all():
        return None
    try:
        return point_at(subject, args, y, rng, noise)
    except Exception:  # the learner's code may raise anything
        return None


def suspicious(point: Point, rng: np.random.Generator) -> bool:
    """Whether a random direction finds anything wrong here."""
    own = [k for k, i in enumerate(point.subject.wrt) if np.size(point.args[i])]
    if any(misfit_of(point, k) for k in own):
        return True
    directions = {k: direction_in(point.args[point.subject.wrt[k]], rng) for k in own}
    return bool(own) and bool((np.abs(mismatch(point, directions)) > 1).any())


def problem_at(point: Point, arguments: list[Argument] | None, rng: np.random.Generator) -> Problem:
    """What the diagnosis gets to see."""
    subject = point.subject
    if arguments is None:
        arguments = [compared(point, k, measure(point, k)) for k in range(len(subject.wrt))]
    true, allowed = [], []
    for a in arguments:
        m = a.measured
        gap = np.abs(m.right - m.left)[0]
        middle = (m.right + m.left)[0] / 2
        true.append(np.where(m.smooth, m.true[0], np.where(np.isfinite(middle), middle, 0.0)))
        wide = np.where(np.isfinite(gap), gap, np.inf) + 1e-300
        allowed.append(np.where(m.smooth, a.allowed[0], wide))

    def again() -> Problem | None:
        with quiet():
            moving = [
                i
                for i, x in enumerate(point.args)
                if i in subject.wrt
                or (isinstance(x, np.ndarray) and x.dtype.kind == "f" and (x != np.round(x)).any())
            ]
            problem = None
            for amount in (0.05, 1e-3):  # the mistake may show close by only: near a tie, say
                args = moved_args(point, moving, rng, keep_symmetric=False, amount=amount)
                other = point_or_none(subject, args, rng)
                if other is not None:
                    problem = problem_at(other, None, rng)
                    if problem.wrong():
                        break
            return problem

    return Problem(
        forward=subject.forward,
        backward=subject.backward,
        args=tuple(subject.given(point.args)),
        wrt=subject.wrt,
        names=subject.names,
        g=point.cotangents[0],
        y=point.y,
        found=tuple(np.asarray(np.nan) if c[0] is None else c[0] for c in point.claims),
        true=tuple(true),
        tolerance=tuple(allowed),
        again=again,
    )
