r"""Derivatives by differences: slow, independent of every rule, and therefore the judge of all.

Everything here is a derivative along a line t ↦ f(x + t v): for v a unit vector one entry of the
gradient, for any other v the number gradient·v. With a step h there are three differences:

    D(h) = (f(h) − f(−h)) / 2h = f' + (h²/6) f''' + O(h⁴)       central
    R(h) = (f(h) − f(0)) / h,  L(h) = (f(0) − f(−h)) / h         from the right, from the left

Richardson's combination (4 D(h) − D(2h)) / 3 removes the term in h². How far it moves D says how
far to trust it. A large step is off by what the function does on the way, a small one by the
rounding of f, which is divided by h: where two steps of ordinary size do not agree, a ladder of
steps from large to tiny is climbed down, and the rung with the least estimated error is taken.

At a smooth point R − L shrinks with h. Where it does not, there is a kink: f has two slopes and no
derivative. f must itself be finite on both sides, and may not jump.

f may have many outputs: differences are contracted with random cotangents, so that each output
counts with a weight of its own. With g = 1 a check is blind to whatever sums to a constant: for a
softmax, Σ y = 1, and a backward of zeros would pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = Sequence[np.ndarray[Any, Any]]

# Relative to the size of x. Not a power of two: x + h should use all bits, because a function that
# computes in float32 behind our back is recognised by outputs that all fit into float32.
STEP = 2.7e-4
RATIO = 4.0  # from one rung of the ladder to the next
TIGHT = 1e-6  # a derivative known to so many parts needs no ladder
NOTHING = 1e-12  # next to values of size 1, less than this is rounding
EPS = float(np.finfo(np.float64).eps)


class Numeric(NamedTuple):
    """A derivative by differences, and an estimate of its error, entry by entry."""

    value: np.ndarray[Any, Any]
    error: np.ndarray[Any, Any]


class Slope(NamedTuple):
    """The derivative along a line, one number for each cotangent.

    kind   "smooth"; "kink": two slopes; "steep": infinitely steep; "edge": undefined on one side;
           "jump": not continuous; "undefined": not finite anywhere near
    """

    value: Array
    error: Array
    left: Array
    right: Array
    kind: str = "smooth"


class Line(NamedTuple):
    """f along a line through the point: what the differences below are taken of.

    at       t ↦ f(x + t v), flat
    y        f(x), flat
    weights  the cotangents, one in each row
    noise    the rounding error of each output, flat: from `rounding_noise`
    size     of x along the line: steps are relative to it
    start    the value at t = 0, for steps that x + t can hold exactly; 0 for a direction
    """

    at: Callable[[complex], Array]
    y: Array
    weights: Array
    noise: Array
    size: float
    start: float = 0.0

    def exact(self, h: float) -> float:
        """The step nearest to h by which x moves when h is added to it."""
        return (self.start + h) - self.start or h

    @property
    def top(self) -> float:
        """The largest step worth trying."""
        return self.exact(max(1.0, abs(self.start), self.size) / 16)

    def contract(self, dy: Array) -> Array:
        """Σ g dy, for each cotangent; of several dy, one in each row."""
        return np.asarray(dy @ self.weights.T)

    def noise_of(self, moved: Array, *outputs: Array) -> Array:
        """The noise of Σ g dy. Outputs that never moved add none; if none moved at all, rounding
        may have hidden it, and all count.
        """
        noise = self.noise
        for y in outputs:
            noise = np.maximum(noise, EPS * np.abs(y))
        if moved.any():
            noise = np.where(moved, noise, 0.0)
        return np.asarray(2 * np.sqrt(noise**2 @ self.weights.T**2))


def rounding_noise(f: Callable[..., Array], args: Arrays, moving: Sequence[int], y: Array) -> Array:
    """How far off each output may be, seen where the arguments move by so little that nothing but
    rounding can bend the way.

    On five points in a row the third differences of a smooth function are next to nothing: what is
    there is noise. There are two rows, one on either side, because a ReLU shows its noise on one
    only. Outputs that were computed with fewer bits and cast to float64 give themselves away: all
    of them fit into float32, or float16.
    """
    rng = np.random.default_rng(0)
    steps = {i: rng.choice([-1.0, 1.0], np.shape(args[i])) * args[i] for i in moving}

    def moved(amount: float) -> Array:
        near = list(args)
        for i, step in steps.items():
            near[i] = np.asarray(args[i] + amount * step)
        values = np.asarray(f(*near), dtype=np.float64)
        return values if values.shape == y.shape else np.full(y.shape, np.nan)

    noise = EPS * np.abs(y)
    limit = max(1e-6 * float(np.max(np.abs(y), initial=0.0)), NOTHING)
    still = np.ones(y.shape, dtype=bool)
    for amounts in ((1e-9, -0.37e-9), (1e-6,), (1e-3,)):
        rows = np.array([[moved(n * amount) for n in range(1, 6)] for amount in amounts])
        moves = np.max(np.abs(np.diff(rows, 1, axis=1)), axis=1)
        bends = np.max(np.abs(np.diff(rows, 3, axis=1)), axis=1) / math.sqrt(20)
        # More than the limit is a jump, unless neighbours are unrelated on both sides: noise alone.
        wild = ((bends > limit) & (bends > 0.15 * moves)).all(axis=0) & (len(rows) == 2)
        bends = np.max(np.where(bends <= limit, bends, 0.0), axis=0)
        noise = np.maximum(noise, np.where(still, bends, 0.0))
        noise = np.where(wild, np.max(np.abs(y), initial=0.0), noise)
        # What has not moved yet may move in stairs that are wider than these steps.
        still &= (rows == rows[:, :1]).all(axis=(0, 1))
        if not still.any():
            break
    far = moved(0.0123)
    changed = far[(far != y) & np.isfinite(far)]
    for short in (np.float16, np.float32):
        bits = np.finfo(short).nmant + 1
        # Integers fit as well: only what fits by the skin of its teeth is a sign.
        if _fits(changed, bits) and not _fits(changed, bits // 2):
            noise = np.maximum(noise, float(np.finfo(short).eps) * np.abs(y))
            break
    return np.where(np.isfinite(noise), noise, 0.0)


def _fits(x: Array, bits: int) -> bool:
    """Whether so many binary digits are enough for every number."""
    digits = np.frexp(x)[0] * 2.0**bits
    return bool((digits == np.round(digits)).all())


def quick_slope(line: Line, known: float = 0.0) -> Slope | None:
    """The slope from two steps of ordinary size, if it can be trusted: it is known to 1e-6, or to
    1e-11 of `known`, the size of its neighbours.
    """
    h = line.exact(STEP * line.size)
    ahead, behind = line.at(h), line.at(-h)
    far, back = line.at(2 * h), line.at(-2 * h)
    moved = (ahead != behind) | (far != back)
    if not moved.any():
        return _flat(line)
    narrow = line.contract(ahead - behind) / (2 * h)
    wide = line.contract(far - back) / (4 * h)
    value = (4 * narrow - wide) / 3
    noise = line.noise_of(moved, ahead, behind) / (2 * h)
    error = np.abs(value - narrow) + 2 * noise
    gap = line.contract(ahead + behind - 2 * line.y) / h
    wide_gap = line.contract(far + back - 2 * line.y) / (2 * h)
    # Around a smooth point the gap between the slopes doubles with the step.
    smooth: Array = np.abs(wide_gap) > 1.5 * np.abs(gap)
    smooth |= np.abs(gap) < 1e-8 * np.abs(value) + 8 * noise
    if not (smooth.all() and (error <= np.maximum(TIGHT * np.abs(value), 1e-11 * known)).all()):
        return None
    return Slope(value, error, value - gap / 2, value + gap / 2)


def _flat(line: Line) -> Slope | None:
    """The slope 0 where not even a large step moves any output."""
    h = line.top
    ahead, behind = line.at(h), line.at(-h)
    if not ((ahead == line.y) & (behind == line.y)).all():
        return None
    zero = np.zeros(len(line.weights))
    return Slope(zero, line.noise_of(ahead != behind) / (2 * h), zero, zero)


def complex_slope(line: Line) -> Slope:
    """Im f(x + ih) / h: nothing is subtracted, so h may be 1e-30 and the result is exact to
    rounding. Right only for functions that are analytic.
    """
    h = max(1e-30 * line.size, 1e-250)
    value = line.contract(line.at(1j * h).imag) / h
    return Slope(value, 16 * EPS * np.abs(value), value, value)


def careful_slope(line: Line) -> Slope:
    """The slope from a ladder of steps, with the kind of point it is."""
    own = abs(line.start)
    if 0 < own < line.size:  # a small x among large ones: perhaps its own size is the scale
        slope = quick_slope(line._replace(size=own))
        if slope is not None and (slope.value != 0).all():
            return slope
    low = max(1e-12 * min(1.0, line.size), 1e-305)
    rungs = max(6, 1 + math.ceil(math.log(line.top / low, RATIO)))
    steps = [line.exact(line.top * RATIO**-i) for i in range(rungs)]
    ahead, behind = (np.array([line.at(sign * h) for h in steps]) for sign in (1, -1))
    h = np.array(steps)[:, None]
    right, left = line.contract(ahead - line.y) / h, line.contract(line.y - behind) / h
    central = line.contract(ahead - behind) / (2 * h)
    moved = ((ahead != line.y) | (behind != line.y)).any(axis=0)
    noise = line.noise_of(moved, ahead, behind) / (2 * h)
    value, error = _best_rung(central, noise)
    kind, rung = _kind_of_point(h, left, right, noise)
    if kind == "smooth" and not np.isfinite(error).all():
        kind = "undefined"
    return Slope(value, error, left[rung], right[rung], kind)


def _best_rung(central: Array, noise: Array) -> tuple[Array, Array]:
    """Of all rungs, as they are and after Richardson's combination, the one of least error."""
    weight = RATIO**2
    better = (weight * central[1:] - central[:-1]) / (weight - 1)
    plain = np.abs(np.diff(central, axis=0)) + 2 * noise[1:]
    # Two rungs may agree by chance: what the combination moved counts a little as well.
    refined = np.abs(np.diff(better, axis=0)) + 2 * noise[2:]
    refined = refined + np.abs(better[1:] - central[2:]) / RATIO**4
    values = np.concatenate([central[1:], better[1:]])
    errors = np.concatenate([plain, refined])
    rungs = np.concatenate([np.arange(1, len(central)), np.arange(2, len(central))])
    errors[_contradicted(values, errors, rungs, central, noise) | ~np.isfinite(errors)] = np.inf
    best = np.argmin(errors, axis=0)[None]
    value, error = np.take_along_axis(values, best, 0)[0], np.take_along_axis(errors, best, 0)[0]
    return value, error


def _contradicted(
    values: Array, errors: Array, rungs: Array, central: Array, noise: Array
) -> Array:
    """Which values the smaller steps deny. From far away sin(10⁶x) looks flat, and 1/x like −1/x³:
    large steps agree with each other, and small ones with each other.
    """
    jitter = np.abs(np.diff(central, axis=0))
    around: Array = np.pad(jitter, ((1, 0), (0, 0))) + np.pad(jitter, ((0, 1), (0, 0)))
    # Where nothing moves at all, rounding may have hidden it: a witness to be doubted.
    slack = np.where(central == 0, 50 * noise, 4 * noise) + 2 * around
    own: Array = 2 * np.abs(central[rungs] - values) + errors
    apart = np.abs(central[None] - values[:, None])
    finer = (np.arange(len(central))[None] > rungs[:, None])[..., None]
    with np.errstate(invalid="ignore"):
        return np.asarray((finer & (apart > own[:, None] + slack[None])).any(axis=1))


def _kind_of_point(h: Array, left: Array, right: Array, noise: Array) -> tuple[str, int]:
    """What the two one-sided slopes do as h becomes small, and the rung that shows it."""
    last = len(h) - 1
    known_left = np.asarray(np.isfinite(left).all(axis=1))
    known_right = np.asarray(np.isfinite(right).all(axis=1))
    if (known_left[-6:] != known_right[-6:]).all():
        return "edge", last
    if not (known_left[-6:] & known_right[-6:]).any():
        return "undefined", last
    for column in range(left.shape[1]):
        sides = left[:, column], right[:, column]
        rung = _break(h[:, 0], *sides, noise[:, column])
        if rung is not None:
            return rung
    return "smooth", last


def _break(h: Array, left: Array, right: Array, noise: Array) -> tuple[str, int] | None:
    """What is broken, if three rungs say so, and no smaller step that could see it denies it: then
    it lies beside the point, and not at it.
    """
    steep, gap = np.maximum(np.abs(left), np.abs(right)), right - left
    clear = np.flatnonzero(np.isfinite(steep) & (50 * noise <= steep) & (steep > 0))[-3:]
    if len(clear) == 3:
        jump = (steep * h)[clear]
        rest = slice(clear[-1] + 1, None)
        denied = 20 * noise[rest] * h[rest] < 0.5 * np.min(jump)
        denied &= steep[rest] * h[rest] < 0.5 * np.min(jump)
        if np.min(jump) > max(0.5 * np.max(jump), NOTHING) and not denied.any():
            return "jump", int(clear[-1])
        if (steep[clear][1:] > 1.3 * steep[clear][:-1]).all():
            return "steep", int(clear[-1])
    clear = np.flatnonzero(np.isfinite(gap) & (20 * noise < np.abs(gap)) & (gap != 0))[-3:]
    if len(clear) == 3:
        size, rest = np.abs(gap[clear]), slice(clear[-1] + 1, None)
        denied = (10 * noise[rest] < np.min(size)) & (np.abs(gap[rest]) < 0.5 * np.min(size))
        kept = np.min(size) > 0.5 * np.max(size) and abs(np.sum(np.sign(gap[clear]))) == 3
        if kept and np.min(size) > 1e-4 * np.max(steep[clear]) and not denied.any():
            return "kink", int(clear[-1])
    return None


def entry_line(
    f: Callable[..., Array],
    args: Arrays,
    i: int,
    k: tuple[int, ...],
    y: Array,
    weights: Array,
    noise: Array,
) -> Line:
    """The line along entry k of args[i]."""
    x = args[i]
    own = abs(float(x[k].real))
    typical = float(np.max(np.abs(x)))
    size = max(own, 0.1 * typical) or 1.0

    def at(t: complex) -> Array:
        near = x.astype(np.complex128) if np.iscomplexobj(t) else x.copy()
        near[k] += t
        return np.ravel(f(*args[:i], near, *args[i + 1 :]))

    return Line(at, y.ravel(), weights, noise.ravel(), size, float(x[k].real))


def numeric_vjp(
    f: Callable[..., np.ndarray[Any, Any]], args: Arrays, i: int, g: np.ndarray[Any, Any]
) -> Numeric:
    """d⟨g, f(args)⟩ / d args[i] for float64 arrays: four evaluations of f for each entry of
    args[i], more where they do not agree.

    >>> x = np.array([1.0, 2.0])
    >>> numeric_vjp(np.square, [x], 0, np.array([1.0, 10.0])).value
    array([ 2., 40.])
    """
    args = [*args[:i], np.array(args[i], dtype=np.float64), *args[i + 1 :]]
    x = args[i]
    value, error = np.zeros_like(x), np.zeros_like(x)
    with np.errstate(all="ignore"):
        y = np.asarray(f(*args))
        weights = np.broadcast_to(g, y.shape).reshape(1, -1)
        noise = rounding_noise(f, args, [i], y) if x.size else y
        for k in np.ndindex(x.shape):
            line = entry_line(f, args, i, k, y, weights, noise)
            slope = quick_slope(line) or careful_slope(line)
            value[k], error[k] = slope.value[0], slope.error[0]
    return Numeric(value, error)


def numeric_slope(f: Callable[..., Array], args: Arrays, along: dict[int, Array]) -> float:
    """d f(args + t v) / dt at t = 0, for an f whose value is one number; `along` has v for the
    arguments that move. One line in the place of one for each entry: for a random v an error in any
    entry of a gradient moves the slope, and the cost does not grow with the number of entries.
    Where |v| ≤ 1 no entry moves farther than in `numeric_vjp`.

    >>> numeric_slope(np.dot, [np.array([1.0, 2.0]), np.array([3.0, 4.0])], {0: np.array([1.0, 0])})
    3.0
    """

    def moved(t: Array) -> Array:
        step = {i: np.asarray(args[i] + (t - 1) * v) for i, v in along.items()}
        return f(*(step.get(i, x) for i, x in enumerate(args)))

    return float(numeric_vjp(moved, [np.ones(())], 0, np.ones(())).value)


def complex_step(
    f: Callable[..., np.ndarray[Any, Any]], args: Arrays, i: int, g: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The same by a complex step: exact to rounding, but only for functions that are analytic and
    accept complex arrays.

    >>> complex_step(np.exp, [np.array([0.0, 1.0])], 0, np.array([1.0, 1.0]))
    array([1.    , 2.7183])
    """
    args = [a.astype(np.complex128) if np.asarray(a).dtype.kind == "f" else a for a in args]
    x = args[i]
    value = np.zeros(x.shape)
    if not value.size:
        return value
    y = np.asarray(f(*args))
    weights = np.broadcast_to(g, y.shape).reshape(1, -1)
    for k in np.ndindex(x.shape):
        value[k] = complex_slope(entry_line(f, args, i, k, y, weights, y)).value[0]
    return value


def relative_error(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """The largest |found − expected| relative to the largest |expected|, or to 1 where that is
    smaller. A NaN where a NaN is expected is no error; anywhere else the error is infinite.

    >>> relative_error(np.array([1.0, 100.0]), np.array([1.0, 101.0]))
    0.0099
    """
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape or (np.isnan(found) != np.isnan(expected)).any():
        return math.inf
    known = ~np.isnan(expected)
    if not known.any():
        return 0.0
    found, expected = found[known], expected[known]
    return float(np.max(np.abs(found - expected)) / max(1.0, np.max(np.abs(expected))))
