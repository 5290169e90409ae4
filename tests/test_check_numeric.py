"""Derivatives by differences: right where it is hard, and honest about how right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.check import numeric

Array = Any


def line_at(f: Callable[[Array], Array], x: float) -> numeric.Line:
    point = np.array([x])
    y = np.asarray(f(point), dtype=float)
    noise = numeric.rounding_noise(f, [point], [0], y)
    return numeric.entry_line(f, [point], 0, (0,), y, np.array([[1.0], [-2.0]]), noise)


def careful(f: Callable[[Array], Array], x: float) -> numeric.Slope:
    with np.errstate(all="ignore"):
        return numeric.careful_slope(line_at(f, x))


HARD: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "log near zero": (np.log, 1e-9, 1e9),
    "log at 1e-300": (np.log, 1e-300, 1e300),
    "1/x near zero": (lambda x: 1 / x, 1e-9, -1e18),
    "cube at zero": (lambda x: x**3, 0.0, 0.0),
    "cube at 1e-8": (lambda x: x**3, 1e-8, 3e-16),
    "a fast sine": (lambda x: np.sin(1e6 * x), 0.3, 1e6 * math.cos(3e5)),
    "a faster sine": (lambda x: np.sin(1e8 * x), 0.1, 1e8 * math.cos(1e7)),
    "a sine far out": (np.sin, 1e6, math.cos(1e6)),
    "a kink close by": (lambda x: np.maximum(0, x), 1e-7, 1.0),
    "a kink very close by": (lambda x: np.abs(x - 1e-10), 0.0, -1.0),
    "jumps further away": (lambda x: np.floor(x) * x, 2.5, 2.0),
    "a bend at the point": (
        lambda x: np.where(np.abs(x) <= 1, x**2 / 2, np.abs(x) - 0.5),
        1.0,
        1.0,
    ),
    "|x|^1.5 at zero": (lambda x: np.abs(x) ** 1.5, 0.0, 0.0),
    "near the edge": (np.arccos, 1 - 1e-9, -1 / math.sqrt(2e-9)),
    "a large offset": (lambda x: 1e10 + x**2, 3.0, 6.0),
    "steep growth": (lambda x: np.exp(50 * x), 1.0, 50 * math.exp(50)),
    "computed in float32": (lambda x: np.tanh(x.astype(np.float32)), 0.5, 1 - math.tanh(0.5) ** 2),
    "saturated": (np.tanh, 15.0, 4 * math.exp(-30)),
    "constant": (lambda x: 0 * x + 3, 1.0, 0.0),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_derivatives_lie_within_their_error(name: str) -> None:
    f, x, true = HARD[name]
    slope = careful(f, x)
    weights = np.array([1.0, -2.0])
    assert slope.kind == "smooth"
    assert (np.abs(slope.value - weights * true) <= 2 * slope.error + 1e-6 * abs(true)).all()
    limit = {"computed in float32": 1e-3, "saturated": 1.0, "a large offset": 1e-3}
    assert (slope.error <= limit.get(name, 1e-4) * abs(true) + 1e-9).all()


@pytest.mark.parametrize(
    ("f", "x", "kind"),
    [
        (np.abs, 0.0, "kink"),
        (lambda x: np.maximum(1, 1 + x), 0.0, "kink"),
        (lambda x: np.exp(3 * x) + 0.01 * np.abs(x), 0.0, "kink"),
        (np.cbrt, 0.0, "steep"),
        (np.sqrt, 0.0, "edge"),
        (np.floor, 3.0, "jump"),
        (np.sign, 0.0, "jump"),
    ],
)
def test_points_without_a_derivative_are_recognised(
    f: Callable[[Array], Array], x: float, kind: str
) -> None:
    assert careful(f, x).kind == kind
    with np.errstate(all="ignore"):
        assert numeric.quick_slope(line_at(f, x)) is None


def test_the_two_slopes_of_a_kink_are_known() -> None:
    slope = careful(lambda x: np.where(x > 0, 3 * x, x), 0.0)
    np.testing.assert_allclose(slope.right, [3, -6], rtol=1e-6)
    np.testing.assert_allclose(slope.left, [1, -2], rtol=1e-6)


def _numbers(most: float) -> st.SearchStrategy[float]:
    """Up to `most`, and not so small that a difference of two values of a polynomial is 0."""
    return st.floats(-most, most).map(lambda v: v if abs(v) > 1e-100 else 0.0)


@given(
    _numbers(3),
    st.lists(_numbers(2), min_size=1, max_size=6),
    st.sampled_from([1.0, 1e-5, 1e5]),
)
def test_polynomials_are_right_at_every_scale(
    x: float, coefficients: list[float], scale: float
) -> None:
    p = np.polynomial.Polynomial(coefficients)
    value = numeric.numeric_vjp(lambda x: p(x / scale), [np.array([x * scale])], 0, np.ones(1))
    true = p.deriv()(x) / scale
    assert abs(value.value[0] - true) <= 2 * value.error[0] + 1e-6 * abs(true)
    assert value.error[0] <= 1e-5 * (sum(map(abs, coefficients)) * 3**6) / scale


@given(st.floats(-2, 2), st.sampled_from([np.sin, np.exp, np.tanh, np.arctan]))
def test_complex_steps_and_differences_agree(x: float, f: Any) -> None:
    exact = numeric.complex_step(f, [np.array([x])], 0, np.ones(1))
    by_differences = numeric.numeric_vjp(f, [np.array([x])], 0, np.ones(1))
    assert abs(exact[0] - by_differences.value[0]) <= 2 * by_differences.error[0] + 1e-14


def test_noise_is_seen() -> None:
    x = np.array([0.3, 0.7])
    for f, least, most in (
        (np.sin, 1e-17, 1e-14),
        (lambda x: (x + 1e6) - 1e6, 1e-11, 1e-8),
        (lambda x: np.sin(x.astype(np.float32)).astype(float), 1e-9, 1e-6),
        (lambda x: np.sin(x.astype(np.float16)).astype(float), 1e-5, 1e-2),
    ):
        noise = numeric.rounding_noise(f, [x], [0], f(x))
        assert (noise >= least).all()
        assert (noise <= most).all()


def test_integers_are_no_sign_of_few_digits() -> None:
    x = np.array([20.0, 30.0])
    f = lambda x: np.tanh(x) + np.floor(x)  # noqa: E731
    assert (numeric.rounding_noise(f, [x], [0], f(x)) < 1e-13).all()


def test_the_arguments_are_left_alone() -> None:
    x = np.array([1.0, 2.0])
    x.flags.writeable = False
    numeric.numeric_vjp(np.square, [x], 0, np.ones(2))
    np.testing.assert_array_equal(x, [1.0, 2.0])
