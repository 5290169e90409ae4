"""Claims against numbers, one argument at a time: how far each entry is off, in units of what
rounding allows.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet.check.measure import (
    Measured,
    Point,
    coarse_slope,
    direction_in,
    empty,
    line_of,
    measure,
    mismatch,
    tolerance,
    wrong_places,
)
from tinynet.check.numeric import EPS, Line, careful_slope
from tinynet.errors import describe

Array = np.ndarray[Any, Any]


@dataclass
class Entry:
    """One entry of a gradient: what was claimed, and what differences give."""

    name: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    off: float  # how far apart, in units of what rounding allows

    @property
    def ratio(self) -> float:
        """analytic / numeric."""
        with np.errstate(all="ignore"):
            return float(np.float64(self.analytic) / np.float64(self.numeric))

    @property
    def place(self) -> str:
        """As in Python: W[0, 2]."""
        return self.name + (f"[{', '.join(map(str, self.index))}]" if self.index else "")


@dataclass
class Argument:
    """One gradient, judged. `measured` is None where its shape was wrong, or it was missing."""

    name: str
    claim: Any
    shape: tuple[int, ...]
    measured: Measured
    allowed: Array
    off: Array  # in units of what is allowed; 0 where nothing was measured
    misfit: str = ""  # what is wrong besides the numbers

    @property
    def wrong(self) -> bool:
        """Whether any entry is further off than it may be."""
        return bool(self.misfit) or bool((self.off > 1).any())


def place_of(name: str, index: Sequence[Any]) -> str:
    return f"{name}[{', '.join(str(int(n)) for n in index)}]" if len(index) else name


def misfit_of(point: Point, k: int) -> str:
    """What is wrong with a claim before any number is compared."""
    subject = point.subject
    i = subject.wrt[k]
    name, shape = subject.names[i], np.shape(point.args[i])
    claim = point.claims[k][0]
    if claim is None:
        return f"backward returned None for {name}"
    if claim.dtype.kind not in "fiub":
        return f"the gradient of {name} is not real: {describe(claim)}"
    if claim.shape != shape:
        return f"the gradient of {name} has shape {claim.shape}, but {name} has shape {shape}"
    return ""


def judged_fully(point: Point, k: int) -> Argument:
    """Every entry against differences."""
    measured = measure(point, k)
    argument = compared(point, k, measured)
    # Looked at again and again in the same steps: what f gives there is kept.
    lines = functools.cache(lambda at: _remembering(line_of(point, k, at)))
    for again in (_on_the_ladder, _in_coarse_steps):
        if not argument.wrong or argument.misfit:
            break
        # The worst first: if that stays wrong, all is said.
        worst = np.unravel_index(int(np.argmax(argument.off)), argument.off.shape)
        if again(point, argument, k, at := tuple(int(n) for n in worst), lines(at)):
            for place in np.argwhere(argument.off > 1).tolist():
                again(point, argument, k, tuple(place), lines(tuple(place)))
        argument = compared(point, k, measured)
    return argument


def _remembering(line: Line) -> Line:
    return line._replace(at=functools.cache(line.at))


def _on_the_ladder(point: Point, a: Argument, k: int, at: tuple[int, ...], line: Line) -> bool:
    """Whether the claim is right after all: two ordinary steps may agree by chance."""
    a.measured.put(at, careful_slope(line))
    return bool(compared(point, k, a.measured).off[at] <= 1)


def _in_coarse_steps(point: Point, a: Argument, k: int, at: tuple[int, ...], line: Line) -> bool:
    """Whether the claim is right, if the function rounds more than its output shows."""
    claims = np.array([claim[at] for claim in point.claims[k]])
    for rounding, loose in ((EPS, 0.25), (1e3 * EPS, 1e-4), (1e6 * EPS, 1e-4), (1e8 * EPS, 1e-4)):
        slope = coarse_slope(line, rounding)
        size = np.maximum(np.abs(slope.value), np.abs(claims))
        near = np.abs(claims - slope.value) <= 4 * slope.error + 1e-6 * size
        if (near & (slope.error <= loose * size)).all() and slope.kind == "smooth":
            a.measured.put(at, slope)
            return True
    return False


def compared(point: Point, k: int, measured: Measured) -> Argument:
    """How far off each entry is, in units of what is allowed."""
    i = point.subject.wrt[k]
    name, shape = point.subject.names[i], np.shape(point.args[i])
    allowed = tolerance(point, k, measured)
    off = np.zeros(shape)
    misfit = misfit_of(point, k)
    if not misfit:
        seen = measured.smooth
        for n, claim in enumerate(point.claims[k]):
            distance = np.abs(claim[seen] - measured.true[n][seen]) / allowed[n][seen]
            distance = np.where(np.isnan(distance), np.inf, distance)
            off[seen] = np.maximum(off[seen], distance)
    return Argument(name, point.claims[k][0], shape, measured, allowed, off, misfit)


def judged_by_sample(point: Point, k: int, rng: np.random.Generator) -> Argument:
    """Random directions, which see every entry, and a few entries for themselves."""
    x = point.args[point.subject.wrt[k]]
    if misfit_of(point, k) or not np.size(x):
        return compared(point, k, empty(np.shape(x)))
    claim = point.claims[k][0]
    if not np.isfinite(claim).all():
        places = [tuple(int(n) for n in np.argwhere(~np.isfinite(claim))[0])]
        return compared(point, k, measure(point, k, places))
    flat = [int(np.argmax(np.abs(claim))), *map(int, rng.integers(0, x.size, 15))]
    seconds = 0.3 / len(point.subject.wrt)
    v = direction_in(x, rng)
    if (np.abs(mismatch(point, {k: v})) > 1).any():
        flat = [*wrong_places(point, k, v), *flat]
        seconds = 1.0
    places = [tuple(int(m) for m in np.unravel_index(n, x.shape)) for n in dict.fromkeys(flat)]
    argument = compared(point, k, measure(point, k, places, seconds))
    if seconds == 1.0 and not argument.wrong:
        other = direction_in(x, rng)
        if (np.abs(mismatch(point, {k: other})) > 1).any():
            argument.misfit = f"the gradient of {argument.name} is wrong along random directions; "
            argument.misfit += "which entries are at fault did not come out"
    return argument


def worst_of(arguments: list[Argument], count: int = 5) -> list[Entry]:
    """The entries that are furthest off, of every wrong argument some. If all are right: those that
    came nearest to being wrong.
    """
    wrong = [a for a in arguments if a.wrong] or arguments
    rows = [_worst_in(a, count) for a in wrong]
    ranked = [e for rank in itertools.zip_longest(*rows) for e in rank if e is not None]
    ranked = [e for e in ranked if e.off > 1] or ranked
    return sorted(ranked[:count], key=lambda e: -e.off)


def _worst_in(a: Argument, count: int) -> list[Entry]:
    if a.claim is None or np.shape(a.claim) != a.shape:
        return []
    places, off = np.argwhere(a.measured.smooth), a.off[a.measured.smooth]
    apart = np.abs(a.claim[a.measured.smooth] - a.measured.true[0][a.measured.smooth])
    entries = []
    for n in np.lexsort((-apart, off <= 1))[:count]:
        at = tuple(int(m) for m in places[n])
        true = float(a.measured.true[(0, *at)])
        entries.append(Entry(a.name, at, float(a.claim[at]), true, float(off[n])))
    return entries
