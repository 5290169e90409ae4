"""The numbers: gradients by differences at a point, entry by entry or along random directions.

What is affordable decides: every entry where there are few, and otherwise a few random directions
for each argument, which see all entries at once, with a few single entries beside them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet.check.numeric import (
    EPS,
    Line,
    Slope,
    careful_slope,
    complex_slope,
    entry_line,
    quick_slope,
    rounding_noise,
)
from tinynet.check.subject import Subject

Array = np.ndarray[Any, Any]
TINY = 1e-290  # what is smaller has lost its digits
SECONDS = 0.5  # for all entries of one point: beyond that, directions


@dataclass
class Point:
    """Where the gradients are judged: arguments, output, two cotangents, and what was claimed.

    claims  for each of `wrt` the claims under the two cotangents: a right gradient fits both
    """

    subject: Subject
    args: tuple[Any, ...]
    y: Array
    cotangents: tuple[Array, Array]
    claims: list[tuple[Any, Any]]
    noise: Array
    seconds: float  # that one evaluation takes

    @property
    def weights(self) -> Array:
        """The cotangents, one in each row."""
        return np.stack([np.ravel(g) for g in self.cotangents])

    @property
    def entries(self) -> int:
        """How many entries there are to be judged."""
        return sum(int(np.size(self.args[i])) for i in self.subject.wrt)

    def affordable(self, seconds: float = SECONDS) -> bool:
        """Whether every entry can be measured."""
        return self.entries <= 20_000 and 5 * self.entries * self.seconds <= seconds

    def value(self, *args: Any) -> Array:
        """f at another point; NaN where it is not defined."""
        y = self.subject.moved_value(*args)
        return np.full(self.y.shape, np.nan) if y is None or y.shape != self.y.shape else y

    def floor(self, k: int) -> float:
        """The rounding error that any formula for this gradient may have."""
        x = self.args[self.subject.wrt[k]]
        if not np.size(x) or not self.y.size:
            return 0.0
        typical = float(np.max(np.abs(x))) or 1.0
        weighted = np.max(np.abs(self.weights)) * np.max(np.abs(self.y))
        return float(64 * EPS * weighted / typical)


@dataclass
class Measured:
    """The gradient of one argument by differences, under both cotangents.

    true, error, left, right   (2, *shape): the value, its estimated error, the one-sided slopes
    kinds                      the kind of point that each entry is; "" for one not measured
    """

    true: Array
    error: Array
    left: Array
    right: Array
    kinds: Array

    @property
    def smooth(self) -> Array:
        """Where there is a derivative, and it was measured."""
        return np.asarray(self.kinds == "smooth")

    @property
    def broken(self) -> Array:
        """Where it was measured, and there is none."""
        return np.asarray((self.kinds != "smooth") & (self.kinds != ""))

    def put(self, at: tuple[int, ...], slope: Slope) -> None:
        """Write down one entry."""
        place = (slice(None), *at)
        self.true[place], self.error[place] = slope.value, slope.error
        self.left[place], self.right[place] = slope.left, slope.right
        self.kinds[at] = slope.kind


def empty(shape: tuple[int, ...]) -> Measured:
    """Nothing measured yet."""
    blank = [np.zeros((2, *shape)) for _ in range(4)]
    return Measured(*blank, np.full(shape, "", dtype="<U9"))


def cotangents_for(y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two random cotangents without small entries, so that no output goes unseen."""
    one, two = (
        rng.choice([-1.0, 1.0], y.shape) * rng.uniform(0.5, 1.5, y.shape) for _ in range(2)
    )
    return np.asarray(one), np.asarray(two)


def point_at(subject: Subject, args: Sequence[Any], y: Array, rng: np.random.Generator) -> Point:
    """A point, with what is claimed there. The learner's backward may raise anything here."""
    cotangents = cotangents_for(y, rng)
    claims = []
    for g in cotangents:
        subject.value(*subject.given(args))  # a backward may rely on what forward stored just now
        given: Any = g[()] if not y.ndim else g.copy()
        claims.append(subject.gradients(given, args))
    start = time.perf_counter()
    subject.value(*args)
    seconds = time.perf_counter() - start
    noise = rounding_noise(subject.value, list(args), subject.wrt)
    if noise.shape != y.shape:
        noise = EPS * np.abs(y)
    pairs = list(zip(*claims, strict=True))
    return Point(subject, tuple(args), y, cotangents, pairs, noise, seconds)


def takes_complex(point: Point) -> bool:
    """Whether f lets complex numbers through, in every argument."""
    args = list(point.args)
    for i in point.subject.wrt:
        args[i] = args[i] + 1e-30j
    y = point.subject.moved_value(*args)
    return y is not None and y.shape == point.y.shape and y.dtype.kind == "c"


def entry_slope(point: Point, k: int, at: tuple[int, ...], known: float, careful: bool) -> Slope:
    """The derivative by one entry."""
    i = point.subject.wrt[k]
    line = entry_line(
        point.value, list(point.args), i, at, point.y, point.weights, point.noise
    )
    slope = None if careful else quick_slope(line, known)
    return slope or careful_slope(line)


def with_complex(point: Point, k: int, at: tuple[int, ...], slope: Slope) -> Slope:
    """The same by a complex step, where the differences do not contradict it."""
    i = point.subject.wrt[k]
    line = entry_line(
        point.value, list(point.args), i, at, point.y, point.weights, point.noise
    )
    exact = complex_slope(line)
    agrees = np.abs(exact.value - slope.value) <= 4 * slope.error
    if slope.kind == "smooth" and agrees.all():
        return exact._replace(kind="smooth")
    return slope


def measure(point: Point, k: int, places: Sequence[tuple[int, ...]] | None = None) -> Measured:
    """The gradient by `wrt[k]`, at all entries or at some."""
    x = point.args[point.subject.wrt[k]]
    result = empty(np.shape(x))
    analytic = None
    known = 0.0
    for at in np.ndindex(np.shape(x)) if places is None else places:
        slope = entry_slope(point, k, at, known, careful=False)
        loose = slope.error > 1e-6 * np.abs(slope.value)
        if slope.kind == "smooth" and loose.any():
            analytic = takes_complex(point) if analytic is None else analytic
            slope = with_complex(point, k, at, slope) if analytic else slope
        if slope.kind == "smooth":
            known = max(known, float(np.min(np.abs(slope.value))))
        result.put(at, slope)
    return result


def tolerance(point: Point, k: int, measured: Measured) -> Array:
    """How far off a right gradient may be: (2, *shape), always above zero."""
    claim = point.claims[k][0]
    true = np.where(np.isfinite(measured.true), measured.true, 0.0)
    biggest = float(np.max(np.abs(true), initial=0.0, where=measured.smooth[None]))
    allowed = 4 * measured.error + 1e-6 * np.abs(true) + 1e-12 * biggest + point.floor(k)
    if is_float32(claim):
        allowed = allowed + 4e-6 * np.abs(true) + 1e-6 * biggest
    return np.asarray(np.where(np.isnan(allowed), np.inf, allowed) + TINY)


def is_float32(claim: Any) -> bool:
    """Whether the gradient came with fewer digits than float64 has."""
    return claim is not None and claim.dtype.kind == "f" and claim.dtype.itemsize < 8


# -- directions ------------------------------------------------------------------------------------


def direction_in(x: Array, rng: np.random.Generator, chosen: Array | None = None) -> Array:
    """A random direction, each entry of about the size of its x; zero outside `chosen`, flat
    positions.
    """
    typical = float(np.max(np.abs(x))) or 1.0
    size = np.maximum(np.abs(x), 0.1 * typical)
    v = np.asarray(rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.5, x.shape) * size)
    if chosen is not None:
        kept = np.zeros(x.size)
        kept[chosen] = v.ravel()[chosen]
        v = kept.reshape(x.shape)
    return v


def along(point: Point, k: int, v: Array) -> Slope:
    """The derivative in the direction v of `wrt[k]`."""
    i = point.subject.wrt[k]
    x = point.args[i]

    def at(t: complex) -> Array:
        return point.value(*point.args[:i], np.asarray(x + t * v), *point.args[i + 1 :])

    for size in (1.0, 1e-2, 1e-4):
        line = Line(at, point.y, point.weights, point.noise, size)
        slope = quick_slope(line)
        if slope is not None:
            return slope
    return careful_slope(line._replace(size=1.0))


def mismatch(point: Point, k: int, v: Array) -> tuple[float, Slope]:
    """How far claim·v is from the slope along v, in units of what is allowed: right is ≤ 1."""
    slope = along(point, k, v)
    worst = 0.0
    for n, claim in enumerate(point.claims[k]):
        claimed = float(np.vdot(claim.astype(np.float64), v))
        spread = float(np.linalg.norm(claim * v))
        allowed = 4 * slope.error[n] + 1e-7 * abs(slope.value[n]) + 1e-9 * spread
        allowed += point.floor(k) * float(np.linalg.norm(v)) + TINY
        if is_float32(claim):
            allowed += 1e-5 * spread
        off = abs(claimed - slope.value[n]) / allowed
        worst = max(worst, np.inf if np.isnan(off) else float(off))
    return worst, slope


def wrong_places(
    point: Point, k: int, v: Array, rng: np.random.Generator, seconds: float = 1.0
) -> Iterator[tuple[int, ...]]:
    """The entries that make claim·v wrong, by halving: a few of them, the worst first."""
    x = point.args[point.subject.wrt[k]]
    stop = time.perf_counter() + seconds
    stack = [np.flatnonzero(v)]
    found = 0
    while stack and found < 3:
        chosen = stack.pop()
        if len(chosen) == 1:
            found += 1
            yield tuple(int(n) for n in np.unravel_index(int(chosen[0]), x.shape))
            continue
        halves = []
        for half in (chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]):
            off, slope = mismatch(point, k, direction_in(x, rng, half))
            if off > 1 and slope.kind == "smooth":
                halves.append((off, half))
        stack += [half for _, half in sorted(halves, key=lambda pair: pair[0])]
        if time.perf_counter() > stop and found:
            return
