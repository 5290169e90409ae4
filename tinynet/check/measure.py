"""The numbers: gradients by differences at a point, entry by entry or along random directions.

What is affordable decides: every entry where there are few, and otherwise a few random directions
for each argument, which see all entries at once, with a few single entries beside them.
"""

from __future__ import annotations

import math
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
KINDS = ("", "smooth", "kink", "steep", "edge", "jump", "undefined")  # "": not measured
LOST = 1e-9  # a claim below this is no fault where nothing else than 0 can be seen
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

    def nothing(self, k: int) -> float:
        """A slope too small to matter: it takes 10⁹ times x to move the output by a percent."""
        x = self.args[self.subject.wrt[k]]
        if not np.size(x) or not self.y.size:
            return 0.0
        typical = float(np.max(np.abs(x))) or 1.0
        return 1e-11 * max(float(np.max(np.abs(self.y))), 1e-5 * typical) / typical


@dataclass
class Measured:
    """The gradient of one argument by differences, under both cotangents.

    true, error, left, right   (2, *shape): the value, its estimated error, the one-sided slopes
    kinds                      the kind of point that each entry is: its place in KINDS
    """

    true: Array
    error: Array
    left: Array
    right: Array
    kinds: Array

    @property
    def smooth(self) -> Array:
        """Where there is a derivative, and it was measured."""
        return np.asarray(self.kinds == KINDS.index("smooth"))

    @property
    def seen(self) -> Array:
        """Where it was measured."""
        return np.asarray(self.kinds > 0)

    @property
    def broken(self) -> Array:
        """Where it was measured, and there is none."""
        return np.asarray(self.kinds > KINDS.index("smooth"))

    def has(self, kind: str) -> bool:
        """Whether any entry is of this kind."""
        return bool((self.kinds == KINDS.index(kind)).any())

    def put(self, at: tuple[int, ...], slope: Slope) -> None:
        """Write down one entry."""
        place: Any = (slice(None), *at)
        self.true[place], self.error[place] = slope.value, slope.error
        self.left[place], self.right[place] = slope.left, slope.right
        self.kinds[at] = KINDS.index(slope.kind)


def empty(shape: tuple[int, ...]) -> Measured:
    """Nothing measured yet."""
    true, error, left, right = (np.zeros((2, *shape)) for _ in range(4))
    return Measured(true, error, left, right, np.zeros(shape, dtype=np.int8))


def cotangents_for(y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two random cotangents without small entries, so that no output goes unseen."""
    one, two = (rng.choice([-1.0, 1.0], y.shape) * rng.uniform(0.5, 1.5, y.shape) for _ in range(2))
    return np.asarray(one), np.asarray(two)


def point_at(
    subject: Subject,
    args: Sequence[Any],
    y: Array,
    rng: np.random.Generator,
    noise: Array | None = None,
) -> Point:
    """A point, with what is claimed there. The learner's backward may raise anything here.

    noise   that of a point nearby; measured if left out
    """
    cotangents = cotangents_for(y, rng)
    claims, times = [], []
    for g in cotangents:
        start = time.perf_counter()
        subject.value(*subject.given(args))  # a backward may rely on what forward stored just now
        times.append(time.perf_counter() - start)
        given: Any = g[()] if not y.ndim else g.copy()
        claims.append(subject.gradients(given, args))
    if noise is None or noise.shape != y.shape:
        noise = rounding_noise(subject.value, list(args), subject.wrt, y)
    pairs = list(zip(*claims, strict=True))
    return Point(subject, tuple(args), y, cotangents, pairs, noise, min(times))


def takes_complex(point: Point) -> bool:
    """Whether f lets complex numbers through, in every argument."""
    args = list(point.args)
    for i in point.subject.wrt:
        args[i] = args[i] + 1e-30j
    y = point.subject.moved_value(*args)
    return y is not None and y.shape == point.y.shape and y.dtype.kind == "c"


def coarse_slope(line: Line, rounding: float) -> Slope:
    """The derivative as it looks if values of another size were rounded on the way, which the
    output does not show: 1 + erf(−6) moves in stairs, and x (1 + erf(x)) has slopes on them.
    """
    noise = np.maximum(line.noise, rounding * np.maximum(1.0, np.abs(line.y)))
    return careful_slope(line._replace(noise=noise))


def line_of(point: Point, k: int, at: tuple[int, ...]) -> Line:
    """The line along one entry."""
    i = point.subject.wrt[k]
    return entry_line(point.value, list(point.args), i, at, point.y, point.weights, point.noise)


def with_complex(line: Line, slope: Slope) -> Slope:
    """The same by a complex step, where the differences do not contradict it."""
    exact = complex_slope(line)
    agrees = np.abs(exact.value - slope.value) <= 4 * slope.error
    if slope.kind == "smooth" and agrees.all():
        return exact._replace(kind="smooth")
    return slope


def measure(
    point: Point,
    k: int,
    places: Sequence[tuple[int, ...]] | None = None,
    seconds: float = math.inf,
) -> Measured:
    """The gradient by `wrt[k]`, at all entries or at some: those that fit into the time."""
    stop = time.perf_counter() + seconds
    x = point.args[point.subject.wrt[k]]
    result = empty(np.shape(x))
    analytic = None
    known = 0.0
    for at in np.ndindex(np.shape(x)) if places is None else places:
        if time.perf_counter() > stop:
            break
        line = line_of(point, k, at)
        slope = quick_slope(line, known) or careful_slope(line)
        loose = slope.error > 1e-6 * np.abs(slope.value)
        if slope.kind == "smooth" and loose.any():
            analytic = takes_complex(point) if analytic is None else analytic
            slope = with_complex(line, slope) if analytic else slope
        if slope.kind == "smooth":
            known = max(known, float(np.min(np.abs(slope.value))))
        result.put(at, slope)
    return result


def tolerance(point: Point, k: int, measured: Measured) -> Array:
    """How far off a right gradient may be where it was measured, always above zero: (2, *shape)."""
    seen = measured.seen  # few, where there are millions
    true, error = measured.true[:, seen], measured.error[:, seen]
    true = np.abs(np.where(np.isfinite(true), true, 0.0))
    biggest = float(np.max(true, initial=0.0, where=measured.smooth[seen]))
    allowed = 4 * error + 1e-6 * true + 1e-12 * biggest + point.floor(k) + TINY
    atol, rtol = point.subject.slack
    allowed = allowed + atol + rtol * true
    # 1 - a² of a saturated tanh is 1e-16, not 0, whatever it is multiplied with.
    allowed = allowed + np.where(true <= 4 * error, LOST, 0.0)
    nothing = point.nothing(k)
    allowed = allowed + np.where(true <= nothing, nothing, 0.0)
    if is_float32(point.claims[k][0]):
        allowed = allowed + 4e-6 * true + 1e-6 * biggest
    result = np.zeros(measured.true.shape)
    result[:, seen] = np.where(np.isnan(allowed), np.inf, allowed)
    return result


def is_float32(claim: Any) -> bool:
    """Whether the gradient came with fewer digits than float64 has."""
    return claim is not None and claim.dtype.kind == "f" and claim.dtype.itemsize < 8


# -- directions ------------------------------------------------------------------------------------

Directions = dict[int, Array]  # for some of the positions in `wrt`


def direction_in(x: Array, rng: np.random.Generator) -> Array:
    """A random direction, each entry of about the size of its x."""
    typical = float(np.max(np.abs(x))) or 1.0
    v = rng.uniform(0.5, 1.5, x.shape) * np.maximum(np.abs(x), 0.1 * typical)
    return np.asarray(np.where(rng.random(x.shape) < 0.5, -v, v))


def along(point: Point, directions: Directions, patient: bool = True) -> Slope | None:
    """The derivative in a direction. Without patience, None where ordinary steps do not agree."""

    def at(t: complex) -> Array:
        near = list(point.args)
        for k, v in directions.items():
            i = point.subject.wrt[k]
            near[i] = np.asarray(near[i] + t * v)
        return point.value(*near).ravel()

    # Entries that cancel leave a small slope; what it is compared with is their spread.
    spread = sum(float(np.linalg.norm(point.claims[k][0] * v)) for k, v in directions.items())
    known = 1e4 * spread if np.isfinite(spread) else 0.0
    for size in (1.0, 1e-2, 1e-4):
        line = Line(at, point.y.ravel(), point.weights, point.noise.ravel(), size)
        slope = quick_slope(line, known)
        if slope is not None:
            return slope
    return careful_slope(line._replace(size=1.0)) if patient else None


def mismatch(point: Point, directions: Directions, patient: bool = True) -> Array:
    """How far claim·v is from the slope along v under each cotangent, in units of what is allowed:
    right is ≤ 1. Zero where there is no slope to compare with.
    """
    slope = along(point, directions, patient)
    if slope is None or slope.kind != "smooth":
        return np.zeros(2)
    atol, rtol = point.subject.slack
    allowed = 4 * slope.error + (1e-7 + rtol) * np.abs(slope.value) + TINY
    lost = LOST * (np.abs(slope.value) <= 4 * slope.error)
    claimed = np.zeros(2)
    for k, v in directions.items():
        length = float(np.linalg.norm(v))
        allowed += lost * length
        for n, claim in enumerate(point.claims[k]):
            product = claim * v
            claimed[n] += np.sum(product, dtype=np.float64)
            spread = float(np.linalg.norm(product))
            short = 1e-5 if is_float32(claim) else 0.0
            allowed[n] += (1e-9 + short + rtol) * spread + (point.floor(k) + atol) * length
    off = (claimed - slope.value) / allowed
    return np.where(np.isnan(off), np.inf, off)


def wrong_places(point: Point, k: int, v: Array, seconds: float = 1.0) -> Iterator[int]:
    """The entries, as flat positions, that make claim·v wrong: a few of them, by halving.

    What one half does not explain, the other does, so that only one of them is measured.
    """
    stop = time.perf_counter() + seconds
    ranges = [(0, v.size)]
    found = 0
    while ranges and found < 3:
        low, high = ranges.pop()
        while high - low > 1:
            middle = (low + high) // 2
            parts = [(low, middle), (middle, high)]
            offs = [_off_within(point, k, v, part) for part in parts[:1]]
            if offs[0] <= 1 or high - low <= 4:
                offs.append(_off_within(point, k, v, parts[1]))
            order = sorted(zip(offs, parts, strict=False), reverse=True)
            if order[0][0] <= 1:
                break
            if len(order) == 1 or order[1][0] > 1:
                ranges.append(parts[1] if order[0][1] == parts[0] else parts[0])
            low, high = order[0][1]
        else:
            found += 1
            yield low
        if time.perf_counter() > stop:
            return


def _off_within(point: Point, k: int, v: Array, part: tuple[int, int]) -> float:
    """The mismatch along a part of v."""
    kept = np.zeros(v.size)
    kept[slice(*part)] = v.ravel()[slice(*part)]
    return float(np.max(np.abs(mismatch(point, {k: kept.reshape(v.shape)}, patient=False))))
