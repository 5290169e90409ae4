"""Chapter 01: the functions of its own cells against the package and against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.check import complex_step, numeric_vjp, property_check
from tinynet.check.numeric import numeric_slope
from tinynet.check.strategies import arrays
from tinynet.derivations import mse

CODE: Any = code_of("01")
NUMBERS = st.integers(-64, 64).map(lambda n: n / 32)
CUBIC = st.tuples(NUMBERS, NUMBERS, NUMBERS)

test_pair = property_check(CODE["pair"], CODE["pair_backward"], x=arrays((2,)))
test_shares = property_check(CODE["shares"], CODE["shares_backward"], x=arrays("n", low=0.5))
test_loss = property_check(
    CODE["loss"],
    CODE["loss_backward"],
    reference=lambda w, X, y: mse.definition(X @ w, y) / 2,
    w=arrays("d"),
    X=arrays("n d"),
    y=arrays("n"),
    wrt=["w"],
)


@given(arrays("n"))
def test_silu_and_its_slope(x: Any) -> None:
    t = tn.tensor(x, requires_grad=True)
    y = tn.nn.functional.silu(t)
    y.backward(tn.ones_like(y))
    np.testing.assert_allclose(CODE["silu"](x), y.detach().numpy(), atol=1e-15)
    np.testing.assert_allclose(CODE["silu_slope"](x), t.grad.numpy(), rtol=1e-12, atol=1e-14)


@given(CUBIC, NUMBERS, st.sampled_from([0.5, 0.25, 0.125]))
def test_what_each_difference_leaves(c: Any, x: float, h: float) -> None:
    """Of a cubic every number is exact, and so are the errors that the chapter derives."""

    def f(x: Any) -> Any:
        return c[0] * x + c[1] * x**2 + c[2] * x**3

    slope = c[0] + 2 * c[1] * x + 3 * c[2] * x**2
    bend, third = 2 * c[1] + 6 * c[2] * x, 6 * c[2]
    forward = slope + h / 2 * bend + h**2 / 6 * third
    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(CODE["forward_difference"](f, x, h), forward, **close)
    central = slope + h**2 / 6 * third
    np.testing.assert_allclose(CODE["central_difference"](f, x, h), central, **close)
    np.testing.assert_allclose(CODE["richardson"](f, x, h), slope, **close)
    np.testing.assert_allclose(CODE["complex_slope"](f, x), slope, **close)
    np.testing.assert_allclose(CODE["complex_slope"](f, x, h), slope - h**2 / 6 * third, **close)


@given(arrays("n"), st.integers(0, 99))
def test_along_a_direction(x: Any, seed: int) -> None:
    """Against the package's slope along the same line, and against all entries of the gradient."""
    g, v, e = np.random.default_rng(seed).normal(size=(3, *x.shape))
    found = CODE["along"](np.tanh, g, x, v)
    np.testing.assert_allclose(found, numeric_slope(lambda x: np.sum(g * np.tanh(x)), [x], {0: v}))
    whole = complex_step(np.tanh, [x], 0, g)
    np.testing.assert_allclose(found, np.sum(whole * v), rtol=1e-6, atol=1e-8)
    claim = numeric_vjp(np.tanh, [x], 0, g).value + e
    seen = CODE["gap"](np.tanh, lambda g, x: claim, g, x, v)
    np.testing.assert_allclose(seen, np.sum(e * v), rtol=1e-6, atol=1e-8)


@given(arrays("d"), arrays("n d"), arrays("n"), st.integers(0, 4))
def test_descent_is_the_package_s(w: Any, X: Any, y: Any, steps: int) -> None:
    """Step by step what SGD does with the tape's gradient."""
    weights = tn.tensor(w, requires_grad=True)
    optimizer = tn.optim.SGD([weights], lr=0.01)
    path = CODE["descend"](w, X, y, 0.01, steps)
    assert len(path) == steps + 1
    for expected in path:
        np.testing.assert_allclose(weights.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
        optimizer.zero_grad()
        (tn.nn.functional.mse_loss(tn.tensor(X) @ weights, tn.tensor(y)) / 2).backward()
        optimizer.step()
