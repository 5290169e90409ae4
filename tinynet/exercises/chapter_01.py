"""Derivatives and how to check them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.autograd import grad
from tinynet.check import complex_step
from tinynet.exercises.properties import gradient, number, right, values
from tinynet.exercises.task import Exercise, Failure, Property
from tinynet.tensor import Tensor

exp, sin, square, tanh = right("exp"), right("sin"), right("square"), right("tanh")
norm = right("p_norm", axis=-1, keepdims=True)


class Named:
    """A function of one argument that is shown as its formula, and counts its calls."""

    def __init__(self, formula: str, compute: Callable[[Any], Any]) -> None:
        self.formula, self.compute, self.calls = formula, compute, 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return self.compute(x)

    def __repr__(self) -> str:
        return self.formula


WAVY = Named("Σ exp(x) sin(2x)", lambda x: np.sum(exp(x) * sin(2 * x)))
LAYER = Named("Σ tanh(x)² + Σ x", lambda x: np.sum(square(tanh(x))) + np.sum(x))
BOWL = Named("x[0]² + 3 Σ x²", lambda x: square(x)[0] + 3 * np.sum(square(x)))
QUOTIENT = Named("x²/(1 + x)", lambda x: square(x) / (1 + x))
SLOPE = Named("5 x[-1] − x[0]", lambda x: 5.0 * x[-1] - x[0])


def _cubics() -> dict[str, Any]:
    from hypothesis import strategies as st

    def cubic(a: int, b: int, c: int) -> Named:
        return Named(f"{a} x + {b} x² + {c} x³", lambda x: a * x + b * x**2 + c * x**3)

    few = st.integers(-3, 3)
    steps = st.sampled_from([1.0, 0.5, 0.25])
    return {"f": st.builds(cubic, few, few, few), "x": few.map(float), "h": steps}


def _bend(f: Any, x: Any, h: Any) -> Any:
    """f''(x), by the tape, twice."""
    point = Tensor(np.array(x, dtype=float), requires_grad=True)
    slope: Any = grad(f(point), point, create_graph=True)[0]
    bend: Any = grad(slope, point)[0]
    return bend.numpy()


def _best_step() -> float:
    """The lowest point of h²/12 + 2ε/h², by trying."""
    h = np.logspace(-8, 0, 400_001)
    return float(h[np.argmin(h**2 / 12 + 2 * np.finfo(float).eps / h**2)])


def _directions() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    return {"f": st.sampled_from([SLOPE, WAVY, LAYER]), "x": arrays("n"), "v": arrays("n")}


def _slope_along(f: Any, x: Any, v: Any) -> Any:
    return np.sum(_gradient_of(f, x) * v)


def _gradient_of(f: Any, x: Any, h: Any = None) -> Any:
    return complex_step(f, [x.astype(float)], 0, np.array(1.0))


def _exact(answer: Any) -> None:
    x, v = np.array([0.3, -1.2, 0.8]), np.array([0.5, 2.0, -1.0])
    before = WAVY.calls
    found = answer(WAVY, x, v)
    calls = WAVY.calls - before
    if not isinstance(found, float | complex | np.number | np.ndarray):
        raise Failure("no number is returned")
    error = np.abs(found - _slope_along(WAVY, x, v))
    if not error < 1e-13:
        raise Failure(f"off by {error:.1e}: a subtraction, or a step that is too large?")
    if calls != 1:
        raise Failure(f"f was called {calls} times")


def _rows() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"x": arrays("n d", away_from=0)}


def _vectors(whole: bool = False) -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    x = arrays("n").map(lambda x: np.round(x).astype(int)) if whole else arrays("n")
    return {"f": st.sampled_from([SLOPE, BOWL]), "x": x, "h": st.sampled_from([0.25, 0.5])}


EXERCISES = (
    Exercise(
        "01.by_hand",
        "By hand: the slope of x²/(1 + x) at x = 2.",
        "a number, to three digits",
        (number(lambda: float(_gradient_of(QUOTIENT, np.array(2.0))), name="is the slope"),),
        (
            "It is a product: x² times 1/(1 + x). What is the slope of each?",
            "2x and −1/(1 + x)². Now the product rule: each slope times the other function.",
            "4 · ⅓ from the first slope. The second one is negative, and meets x² = 4.",
        ),
    ),
    Exercise(
        "01.second_difference",
        "A difference for f''(x) from three values, exact for polynomials of degree 3.",
        "second_difference(f, x, h) -> number",
        (values(_bend, _cubics, name="is f'' for every cubic"),),
        (
            "Write Taylor's formula for f(x + h) and f(x − h) up to h³. What does their sum keep?",
            "f(x + h) + f(x − h) = 2f + h² f'' + … What must be taken away, and what divided by?",
            "Take 2f(x) away; then h² f'' is left.",
        ),
    ),
    Exercise(
        "01.best_step",
        "The step at which the difference of exercise 2 is best, for exp in float64.",
        "a number, to two digits",
        (number(_best_step, digits=2, name="is the lowest point of truncation + rounding"),),
        (
            "Taylor once more: which term in h⁴ does f(x + h) + f(x − h) keep, twice?",
            "Truncation h²/12 times the fourth derivative. Rounding: four times ½ε|f|, over h².",
            "E = h²/12 + 2ε/h² for f = 1. Its slope is h/6 − 4ε/h³: where is that 0?",
        ),
    ),
    Exercise(
        "01.slope_along",
        "The slope of f at x along v by a complex step, with one evaluation of f.",
        "slope_along(f, x, v) -> number, x and v (n), f(x) a number",
        (
            values(_slope_along, _directions, name="is the slope along v"),
            Property("is exact to rounding, by one evaluation", _exact),
        ),
        (
            "On the line x + t v, f is a function of one number t. Its slope at t = 0 is asked.",
            "A complex step in t: t = i h.",
            "The argument of f is x + 1j h v. What of the result do you need, and over what?",
        ),
    ),
    Exercise(
        "01.normalise_backward",
        "The backward pass of y = x/‖x‖, for each row.",
        "normalise_backward(g, x) -> dx, all (n, d)",
        (gradient(lambda x: x / norm(x), _rows),),
        (
            "First one row. With r = ‖x‖ the slope of r by x_j is x_j/r. Then the product rule.",
            "∂y_i/∂x_j = δ_ij/r − x_i x_j/r³. Multiply by g_i, sum over i.",
            "As for the shares: 1/r times (g − something). It is y times one number for each row.",
        ),
    ),
    Exercise(
        "01.planted_bug",
        "Make the gradient checker of the chapter's last section right.",
        "numeric_gradient(f, x, h) -> dx, x and dx (n), f(x) a number",
        (
            values(_gradient_of, _vectors, name="is the gradient, and leaves x alone"),
            values(
                _gradient_of, lambda: _vectors(whole=True), name="is right for whole numbers, too"
            ),
        ),
        (
            "How many arrays are there after `up, down = x, x`?",
            "One, with three names. Each of the two needs cells of its own: chapter 00, views.",
            "x.copy(). But what becomes of a step of 0.25 in an array of whole numbers? Make x an "
            "array of floats first, and look at what kind `zeros_like` gives.",
        ),
    ),
)
