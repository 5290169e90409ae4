r"""Derivatives by differences: slow, independent of every rule, and therefore the judge of all.

For one entry x and a step h the symmetric difference

    D(h) = (f(x + h) − f(x − h)) / 2h = f'(x) + (h²/6) f'''(x) + O(h⁴)

is off by a term in h². Richardson's combination (4 D(h) − D(2h)) / 3 removes it; what is left is
O(h⁴). How far D(h) and the combination differ says how far to trust it.

f may have many outputs: it is contracted with a random cotangent g, so that each output counts with
a weight of its own. With g = 1 a check is blind to whatever sums to a constant: Σ softmax = 1, and
a backward of zeros would pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Arrays = Sequence[np.ndarray[Any, Any]]
STEP = (
    1e-3  # near eps^(1/5), which balances h⁴ against rounding, eps / h, for float64 values near 1
)


class Numeric(NamedTuple):
    """A derivative by differences, and an estimate of its error, entry by entry."""

    value: np.ndarray[Any, Any]
    error: np.ndarray[Any, Any]


def numeric_vjp(
    f: Callable[..., np.ndarray[Any, Any]], args: Arrays, i: int, g: np.ndarray[Any, Any]
) -> Numeric:
    """d⟨g, f(args)⟩ / d args[i] for float64 arrays: four evaluations of f for each entry of
    args[i].

    >>> x = np.array([1.0, 2.0])
    >>> numeric_vjp(np.square, [x], 0, np.array([1.0, 10.0])).value
    array([ 2., 40.])
    """
    x = np.array(args[i], dtype=np.float64)  # the caller's array is left alone
    before, after = list(args[:i]), list(args[i + 1 :])
    value, error = np.zeros_like(x), np.zeros_like(x)
    for k in np.ndindex(x.shape):
        h = STEP * max(1.0, abs(float(x[k])))

        def moved(step: float, k: tuple[int, ...] = k) -> np.ndarray[Any, Any]:
            near = x.copy()
            near[k] += step
            return np.asarray(f(*before, near, *after))

        narrow = np.sum(g * (moved(h) - moved(-h))) / (2 * h)
        wide = np.sum(g * (moved(2 * h) - moved(-2 * h))) / (4 * h)
        value[k] = (4 * narrow - wide) / 3
        error[k] = abs(value[k] - narrow)
    return Numeric(value, error)


def complex_step(
    f: Callable[..., np.ndarray[Any, Any]], args: Arrays, i: int, g: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The same by Im f(x + ih) / h: nothing is subtracted, so h may be 1e-30 and the result is
    exact to rounding.

    Only for functions that are analytic and accept complex arrays.

    >>> complex_step(np.exp, [np.array([0.0, 1.0])], 0, np.array([1.0, 1.0]))
    array([1.    , 2.7183])
    """
    h = 1e-30
    args = [a.astype(np.complex128) if np.asarray(a).dtype.kind == "f" else a for a in args]
    x = args[i]
    value = np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        near = x.copy()
        near[k] += 1j * h
        y = np.asarray(f(*args[:i], near, *args[i + 1 :]))
        value[k] = np.sum(g * y.imag) / h
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
