"""The right gradient times something: a sign, a number, a count, one factor for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from tinynet.check.diagnosis.fix import Fix, named_axis, number, pair, sizes
from tinynet.check.problem import Array, Problem

SIMPLE = {2.0: "2", 3.0: "3", 4.0: "4", 0.5: "1/2", 1 / 3: "1/3", 0.25: "1/4"}


def not_numbers(p: Problem, k: int) -> Iterator[Fix]:
    """NaN or infinity where the true gradient is finite."""
    both = pair(p, k)
    if both is None or np.isfinite(both[0]).all():
        return
    bad = ~np.isfinite(both[0])
    what = "NaN" if np.isnan(both[0]).any() else "infinity"

    def apply(p: Problem) -> Array:
        return np.where(np.isfinite(p.found[k]), p.found[k], p.true[k])

    yield Fix(
        f"{what} in {bad.sum()} of {bad.size} entries, though the function is smooth there: "
        "a division by zero, a log of 0 or an overflow in the backward formula; "
        "the other entries are right",
        "rewrite the formula so that no intermediate result divides by 0 or overflows",
        1.0,
        apply,
    )


def truncated(p: Problem, k: int) -> Iterator[Fix]:
    """Stored in an array of integers."""
    found = np.asarray(p.found[k])
    if found.dtype.kind in "iub":
        dtype = found.dtype
        yield Fix(
            f"the gradient has the integer dtype {dtype}, so every entry is truncated to a whole "
            "number",
            "make it with a floating-point dtype: zeros_like of an integer array holds integers",
            1.0,
            lambda p: p.true[k].astype(dtype).astype(np.float64),
            model=True,
        )


def rounded(p: Problem, k: int) -> Iterator[Fix]:
    """Right but for the few digits of a narrower dtype."""
    both = pair(p, k)
    if both is None:
        return
    for narrow, eps in (("float32", 1e-5), ("float16", 1e-2)):
        scale = eps * (np.max(np.abs(both[1])) + 1e-30)
        if np.asarray(p.found[k]).dtype == narrow and np.max(np.abs(both[0] - both[1])) < scale:

            def near(p: Problem, eps: float = eps) -> Array | None:
                found, true = np.asarray(p.found[k], dtype=np.float64), p.true[k]
                close = np.max(np.abs(found - true)) < eps * np.max(np.abs(true))
                return np.asarray(true) if close else None

            yield Fix(
                f"right up to the rounding of {narrow}: the precision, not the formula",
                "compute the gradient in float64 when you check it",
                1.0,
                near,
            )
            return


def zero(p: Problem, k: int) -> Iterator[Fix]:
    """Nothing there at all."""
    both = pair(p, k)
    if both is not None and not both[0].any():
        yield Fix(
            "zero everywhere: it was never computed (forgotten), or the result was not stored",
            "compute it and add it to the array that is returned",
            1.0,
            lambda p: np.zeros_like(p.true[k]),
            model=True,
        )


def _times(k: int, c: float) -> Callable[[Problem], Array]:
    return lambda p: c * np.asarray(p.found[k], dtype=np.float64)


def _by_count(
    c: float, counts: dict[int, str], loss: bool
) -> Iterator[tuple[float, str, str, float]]:
    """Ways to write the factor c with a size: its exact value, what is wrong, what to do, cost."""
    for n, what in counts.items():
        yield (
            1 / n,
            f"{n} times too large: not divided by n = {n}, {what} (the batch size, if the loss is "
            "a mean over it)",
            f"a mean needs 1/n in its gradient: divide by {n}",
            1.5,
        )
        yield (
            n,
            f"{n} times too small: averaged instead of summed, or an extra 1/n: divided twice by "
            f"n = {n}, {what}",
            f"sum, do not average: leave out one division by {n} (1/n)",
            1.5,
        )
        root = number(n**0.5)
        yield (
            n**-0.5,
            f"the scale 1/sqrt({n}) is missing (factor sqrt(d) = {root}, d = {n}: {what})",
            f"divide by sqrt({n}), as the forward pass does",
            1.8,
        )
        yield (
            n**0.5,
            f"divided by sqrt({n}) once too often (factor sqrt(d) = {root}, d = {n}: {what})",
            f"leave out one 1/sqrt({n})",
            1.8,
        )
        yield (
            n**-2.0,
            f"{n * n} times too large: n squared, not divided twice by n = {n}, {what}",
            f"divide by {n} twice",
            2.0,
        )
        yield (
            n**2.0,
            f"{n * n} times too small: divided by n = {n} twice too often ({what})",
            f"leave out two divisions by {n}",
            2.0,
        )
        for m in (2.0, 0.5) if loss else ():  # elsewhere 2/5 is more likely a constant 0.4
            yield (
                m / n,
                f"off by the factor {SIMPLE[m]}/n with n = {n}, {what}: not divided by n, and the "
                f"factor {SIMPLE[m]} is missing too",
                f"multiply by {SIMPLE[m]}/{n}",
                2.1,
            )
            yield (
                n * m,
                f"off by the factor {SIMPLE[m]}n with n = {n}, {what}: averaged instead of summed, "
                f"and the factor {SIMPLE[m]} is missing too",
                f"multiply by {number(n * m)}",
                2.1,
            )
        if n > 3:  # 2/3 is too common a number
            for top, bottom in ((n - 1, n), (n, n - 1)):
                yield (
                    top / bottom,
                    f"divided by {top} where {bottom} belongs: n - 1 and n = {n} mixed up (Bessel's"
                    f" correction, ddof), with n = {what}",
                    "divide by the same count as the forward pass",
                    2.0,
                )
    for a, first in counts.items() if loss else ():
        for b, second in counts.items():
            if a != b:
                yield (
                    a / b,
                    f"divided by the wrong size: by {a} ({first}) where {b} belongs ({second})",
                    f"divide by {b}, not by {a}: a mean needs 1/n with n = {b}",
                    (2.2 if abs(c) not in SIMPLE else 2.6) + 0.1 * ("entries" in first + second),
                )


def factors(p: Problem, k: int) -> Iterator[Fix]:
    """The same factor in every entry: −1, a count, or a number that nothing here explains."""
    both = pair(p, k)
    if both is None or not both[0].any() or not both[1].any():
        return
    found, true = both
    c = float(np.sum(found * true) / np.sum(found * found))
    if np.max(np.abs(c * found - true) / p.tolerance[k]) > 1 or abs(c - 1) < 1e-6:
        return  # no one factor fits; or the difference is too small to be one
    if abs(c + 1) < 1e-5:
        yield Fix(
            "the sign is wrong: it is minus the true gradient, in every entry",
            "multiply by -1: look for a difference taken the other way round (y - p, p - y)",
            1.0,
            _times(k, -1.0),
        )
        return
    counts, size = sizes(p), abs(c)
    also, extra = (", and the sign is wrong too", 0.7) if c < 0 else ("", 0.0)
    named = False
    for exact, word in SIMPLE.items():
        if abs(size / exact - 1) < 1e-5:
            n = round(max(exact, 1 / exact))
            how = "twice" if n == 2 else f"{n} times"
            wrong = "too small" if exact > 1 else "too large"
            hidden = ""
            if p.y.ndim and n == 2 and 4 in counts:
                hidden = f"; 2 is also sqrt(d) with d = 4, {counts[4]}: a scale 1/sqrt(d)?"
            elif n in counts:
                mean = "averaged instead of summed" if exact > 1 else "not divided by this size"
                hidden = f"; {n} is also {counts[n]}: {mean}?"
            text = f"{how} {wrong} (factor {n}{hidden}){also}"
            named = True
            yield Fix(
                text,
                f"multiply by {'-' if c < 0 else ''}{word}: a factor of a derivative such as "
                "2x from x**2, or a term that was added twice",
                (1.6 if hidden and n > 2 else 1.4) + extra,  # 3 or 4 is likelier a size
                _times(k, np.sign(c) * exact),
            )
    for exact, text, hint, cost in _by_count(c, counts, not p.y.ndim):
        if abs(size / exact - 1) < 1e-5:
            named = True
            yield Fix(text + also, hint, cost + extra, _times(k, np.sign(c) * exact))
    if not named and true.size > 0:
        yield Fix(
            f"the direction is right, but the constant factor {number(c)} is missing: "
            f"true = {number(c)} * found in every entry",
            f"multiply by {number(c)}: look for a constant of the forward pass (a scale, a "
            "temperature, a slope) that the backward pass lacks",
            3.0,
            _times(k, c),
        )


def _each_slice(p: Problem, k: int, axis: int) -> tuple[Array, Array] | None:
    """The best factor for each index along an axis, and the gradient with these factors."""
    both = pair(p, k)
    if both is None or axis >= both[1].ndim:
        return None
    found, true = both
    rest = tuple(a for a in range(true.ndim) if a != axis)
    power = np.sum(found * found, axis=rest, keepdims=True)
    c = np.sum(found * true, axis=rest, keepdims=True) / np.where(power == 0, 1, power)
    return c, c * found


def slices(p: Problem, k: int) -> Iterator[Fix]:
    """Right direction, but a factor of its own for each row, column or channel."""
    both = pair(p, k)
    if both is None or both[1].ndim < 2:
        return
    true = both[1]
    for axis, n in enumerate(true.shape):
        made = _each_slice(p, k, axis)
        if made is None or n < 2 or true.size // n < 3 or p.residual(k, made[1]) > 1:
            continue
        c, one = made[0].ravel(), named_axis(true.shape, axis)
        rows = f"in each {one} (index along axis {axis})"
        signs = np.sign(c)
        if np.all(np.abs(np.abs(c) - 1) < 1e-5):
            bad = [i for i in range(n) if signs[i] < 0]
            yield Fix(
                f"the sign is wrong at {bad} along axis {axis}, and right at its other indices",
                "multiply the part that makes these entries by -1",
                2.0,
                partial(
                    lambda p, axis, s: _shaped(s, p.true[k].ndim, axis) * p.found[k],
                    axis=axis,
                    s=signs,
                ),
            )
        elif np.sum(np.abs(c - 1) < 1e-5) > 0 and np.ptp(c[np.abs(c - 1) >= 1e-5]) < 1e-5:
            bad = [i for i in range(n) if abs(c[i] - 1) >= 1e-5]
            yield Fix(
                f"the constant factor {number(c[bad[0]])} is missing at {bad} along axis {axis}; "
                "its other indices are right",
                f"multiply these entries by {number(c[bad[0]])}",
                3.0,
                partial(
                    lambda p, axis, s: _shaped(s, p.true[k].ndim, axis) * p.found[k], axis=axis, s=c
                ),
            )
        elif np.ptp(c) > 1e-5 * np.max(np.abs(c)):
            yield Fix(
                f"right direction but wrong scale {rows}: a factor that differs from {one} to "
                f"{one}, {number(c[0])} in the first and {number(c[1])} in the second, is missing",
                f"look for a quantity with one value for each {one}: a norm, a standard deviation, "
                "a sum, a mask, a weight",
                4.5,
                partial(lambda p, axis: (_each_slice(p, k, axis) or (None, None))[1], axis=axis),
            )


def _shaped(c: Array, ndim: int, axis: int) -> Array:
    return c.reshape([-1 if a == axis else 1 for a in range(ndim)])
