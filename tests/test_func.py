"""Transforms of functions, against closed forms and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.func import grad, hessian, hvp, jacfwd, jacrev, jvp, value_and_grad, vjp


def x64(*values: float) -> tn.Tensor:
    return tn.tensor(list(values), dtype=tn.float64)


def number(value: float) -> tn.Tensor:
    return tn.tensor(value, dtype=tn.float64)


def times(f, n):
    for _ in range(n):
        f = grad(f)
    return f


@given(st.floats(-2, 2), st.integers(1, 5))
def test_higher_derivatives_of_the_sine(x: float, n: int) -> None:
    expected = math.sin(x + n * math.pi / 2)
    assert times(lambda x: x.sin(), n)(number(x)).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("x", [0.0, 1.5, -2.0])
@pytest.mark.parametrize(
    "square", [lambda x: x**2, lambda x: x**2.0, lambda x: x ** number(2.0), lambda x: x * x]
)
def test_x_squared_has_derivatives_2x_2_0_at_zero_too(x: float, square) -> None:
    found = [times(square, n)(number(x)).item() for n in (1, 2, 3, 4)]
    assert found == [2 * x, 2.0, 0.0, 0.0]


def test_cubes_and_powers_at_zero() -> None:
    assert [times(lambda x: x**3, n)(number(0.0)).item() for n in range(1, 6)] == [0, 0, 6, 0, 0]
    x = number(0.0)
    assert grad(lambda p: x**p)(number(2.0)).item() == 0.0


def test_tanh_third_derivative() -> None:
    t = math.tanh(0.3)
    expected = -2 * (1 - t * t) * (1 - 3 * t * t)
    assert times(lambda x: x.tanh(), 3)(number(0.3)).item() == pytest.approx(expected, rel=1e-12)


def test_value_and_grad_argnums_and_aux() -> None:
    f = lambda a, b: ((a * b).sum(), {"note": "kept"})  # noqa: E731
    (value, aux), (da, db) = value_and_grad(f, argnums=(0, 1), has_aux=True)(
        x64(1.0, 2.0), x64(3.0, 4.0)
    )
    assert value.item() == 11.0
    assert aux == {"note": "kept"}
    np.testing.assert_array_equal(da, [3.0, 4.0])
    np.testing.assert_array_equal(db, [1.0, 2.0])
    assert not da.requires_grad
    assert not value.requires_grad


def test_grad_stays_connected_to_what_the_function_captures() -> None:
    w = x64(2.0).requires_grad_()
    dx = grad(lambda x: (w * x * x).sum())(x64(3.0))
    dx.sum().backward()
    assert w.grad.item() == 6.0


def test_mixed_transforms_agree_on_the_hessian() -> None:
    x = x64(0.3, -0.7, 1.1)
    f = lambda x: (x.exp() * x.sum()).sum()  # noqa: E731
    H = hessian(f)(x)
    np.testing.assert_allclose(H, H.T, rtol=1e-12)
    np.testing.assert_allclose(jacfwd(grad(f))(x), H, rtol=1e-12)
    np.testing.assert_allclose(jacfwd(jacfwd(f))(x), H, rtol=1e-12)
    np.testing.assert_allclose(jacrev(jacfwd(f))(x), H, rtol=1e-12)
    v = x64(1.0, 2.0, -1.0)
    value, product = hvp(f, x, v)
    np.testing.assert_allclose(product, H @ v, rtol=1e-12)
    np.testing.assert_allclose(value, f(x), rtol=1e-12)


def test_jacobians_have_the_shape_output_by_input() -> None:
    x = tn.rand(2, 3, dtype=tn.float64)
    f = lambda x: (x @ x.T).exp()  # noqa: E731
    J = jacrev(f)(x)
    assert J.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(jacfwd(f)(x), J, rtol=1e-12)


def test_vjp_pulls_back_many_times_and_jvp_pushes_forward() -> None:
    x = x64(1.0, 2.0)
    y, pullback = vjp(lambda x: x * x, x)
    np.testing.assert_array_equal(y, [1.0, 4.0])
    for u in ([1.0, 0.0], [0.0, 1.0]):
        np.testing.assert_array_equal(pullback(x64(*u))[0], 2 * np.array(u) * [1.0, 2.0])
    _, moved = jvp(lambda a, b: a * b, (x, x64(3.0, 4.0)), (x64(1.0, 0.0), x64(0.0, 1.0)))
    np.testing.assert_array_equal(moved, [3.0, 2.0])


def test_functions_that_do_not_depend_on_their_argument() -> None:
    x = x64(1.0, 2.0)
    np.testing.assert_array_equal(grad(lambda x: number(3.0))(x), [0.0, 0.0])
    np.testing.assert_array_equal(jvp(lambda x: number(3.0), (x,), (x,))[1], 0.0)
    np.testing.assert_array_equal(hvp(lambda x: x.sum(), x, x)[1], [0.0, 0.0])
    np.testing.assert_array_equal(hessian(lambda x: x.sum())(x), np.zeros((2, 2)))


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(tn.errors.ShapeError, match="must return a 0-d Tensor"):
        grad(lambda x: x * 2)(x64(1.0, 2.0))
    with pytest.raises(tn.errors.DTypeError, match="floating point"):
        grad(lambda x: x.sum())(tn.tensor([1, 2]))
    with pytest.raises(tn.errors.ArgumentError, match="argnums 3"):
        grad(lambda x: x.sum(), argnums=3)(x64(1.0))
    with pytest.raises(tn.errors.ShapeError, match="a tangent has the shape of its primal"):
        jvp(lambda x: x, (x64(1.0),), (x64(1.0, 2.0),))


def test_the_inputs_are_left_alone() -> None:
    x = x64(1.0, 2.0)
    grad(lambda x: (x * x).sum())(x)
    assert not x.requires_grad
    assert x.grad is None


def test_mixed_derivatives_come_out_closed() -> None:
    """Leaves of the inner transform are nobody's business outside."""
    f = lambda a, b: (a * a * b).sum()  # noqa: E731
    a, b = x64(1.0, 2.0), x64(3.0, 4.0)
    for mixed in (jacfwd(grad(f, 1), 0), jacrev(grad(f, 1), 0)):
        found = mixed(a, b)
        assert not found.requires_grad
        np.testing.assert_array_equal(found, np.diag([2.0, 4.0]))
