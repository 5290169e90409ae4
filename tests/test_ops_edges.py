"""NumPy's face of the wider table; what the ops do at zeros, singular matrices and bad arguments;
the random ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

A = np.random.default_rng(0).uniform(0.2, 2.0, (3, 3)) + 2 * np.eye(3)
NUMPY: dict[str, Callable[[Any], Any]] = {
    "elementary": lambda x: np.log2(x) + np.log10(x) + np.exp2(x) + np.tan(x) + np.arctan(x),
    "hyperbolic": lambda x: np.sinh(x) * np.cosh(x) + np.arcsinh(x) + np.arccosh(x + 1),
    "inverse": lambda x: np.arcsin(x / 9) + np.arccos(x / 9) + np.arctanh(x / 9),
    "two": lambda x: np.arctan2(x, x.T) + np.logaddexp(x, 1.0) + np.reciprocal(x),
    "remainders": lambda x: np.mod(x, 0.7) + np.fmod(x, 0.7) + np.floor_divide(x, 0.7) + x // 0.7,
    "rounding": lambda x: np.round(x, 1) + np.rint(x) + np.trunc(x) + np.around(x),
    "std": lambda x: np.std(x) + np.std(x, 0, ddof=1) + np.std(x, axis=-1, keepdims=True),
    "prod": lambda x: np.prod(x) + np.prod(x, axis=1) + np.multiply.reduce(x),
    "reduce": lambda x: np.add.reduce(x) + np.maximum.reduce(x) - np.minimum.reduce(x, axis=1),
    "reduce all": lambda x: np.add.reduce(x, axis=None) + np.sum(x),
    "running": lambda x: np.cumsum(x) + np.cumprod(x) + np.cumsum(x, 1).sum(),
    "running along": lambda x: np.cumsum(x, axis=0) + np.cumprod(x, axis=-1),
    "counting": lambda x: np.count_nonzero(x > 1, axis=0) + np.nansum(x, axis=1),
    "turning": lambda x: np.flip(x) + np.flip(x, 1) + np.roll(x, 2) + np.roll(x, (1, 1), (0, 1)),
    "tiling": lambda x: np.tile(x, 2) + np.repeat(x, 2, axis=1),
    "repeat flat": lambda x: np.repeat(x, 2) + np.repeat(x.ravel(), 2),
    "triangles": lambda x: np.tril(x) + np.triu(x, k=1) * np.trace(x) + np.diag(np.diag(x)),
    "diagonal": lambda x: np.diagonal(x) + np.diag(x, 1)[0] + np.diagonal(x, -1)[0],
    "split": lambda x: np.split(x, 3)[1] + np.split(x, [1, 2], axis=1)[2] + np.split(x, [2])[0][1],
    "stacks": lambda x: np.vstack([x, x])[1:4] + np.hstack([x, x])[:, 2:5],
    "pad": lambda x: np.pad(x, 1) + np.pad(x, ((0, 2), (1, 1)), constant_values=2.0),
    "sort": lambda x: np.sort(x) + np.sort(x, axis=0) + np.sort(x, axis=None)[0] + np.argsort(x),
    "take": lambda x: np.take(x, [0, 2, 2]) + np.take(x, [1, 1, 0], axis=1),
    "inv": lambda x: np.linalg.inv(x) + np.linalg.det(x) + np.linalg.slogdet(x)[1],
    "solve": lambda x: np.linalg.solve(x, x.T) + np.linalg.solve(x, x[0]),
    "cholesky": lambda x: np.linalg.cholesky(x @ x.T),
    "norm": lambda x: np.linalg.norm(x) + np.linalg.norm(x, axis=1) + np.linalg.norm(x, 1),
    "products": lambda x: np.dot(x, x) + np.outer(x[0], x[1]) + np.inner(x, x) + np.dot(x, x[0]),
    "tensordot": lambda x: np.tensordot(x, x, axes=1) + np.tensordot(x, x, axes=((0,), (1,))),
    "kron": lambda x: np.kron(x, x[:1]),
    "meshgrid": lambda x: np.meshgrid(x[0], x[1])[0] * np.meshgrid(x[0], x[1], indexing="ij")[0],
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_functions_keep_their_meaning_and_are_recorded(name: str) -> None:
    expected = NUMPY[name](A)
    x = tn.tensor(A, requires_grad=True)
    found = NUMPY[name](x)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-12)
    assert found.requires_grad


def test_erf_is_right_to_the_last_digits() -> None:
    import math

    x = np.concatenate([np.linspace(-7, 7, 20_001), [0.0, 1e-300, np.inf, -np.inf]])
    exact = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(tn.erf(tn.tensor(x)), exact, rtol=1e-15)
    single = x.astype("f4")
    exact = np.array([math.erf(v) for v in single])
    np.testing.assert_allclose(tn.erf(tn.tensor(single)), exact, rtol=4e-7)
    assert tn.erf(tn.tensor([0.5], dtype=tn.float16)).dtype == tn.float16


ZERO = {
    "std": lambda x: x.std(),
    "norm": lambda x: x.norm(),
    "norm 3": lambda x: x.norm(3),
    "norm 1.5": lambda x: x.norm(1.5),
    "norm inf": lambda x: x.norm(float("inf")),
}


@pytest.mark.parametrize("name", ZERO)
def test_norms_and_deviations_of_zeros_have_derivative_0_at_every_order(name: str) -> None:
    x = tn.zeros(3, dtype=tn.float64, requires_grad=True)
    y = ZERO[name](x)
    for _ in range(3):
        (d,) = tn.autograd.grad(y, x, create_graph=True)
        np.testing.assert_array_equal(d.detach(), [0, 0, 0])
        y = (d * tn.tensor([1.0, 2.0, 3.0])).sum() + (x * 0).sum()


@pytest.mark.parametrize("values", [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
def test_products_with_zeros_are_right_at_every_order(values: list[float]) -> None:
    x = tn.tensor(values, dtype=tn.float64, requires_grad=True)
    a, b, c = values
    (d,) = tn.autograd.grad(x.prod(), x, create_graph=True)
    np.testing.assert_array_equal(d.detach(), [b * c, a * c, a * b])
    (e,) = tn.autograd.grad(d[0], x, create_graph=True)
    np.testing.assert_array_equal(e.detach(), [0, c, b])
    (f,) = tn.autograd.grad(e[1], x)
    np.testing.assert_array_equal(f, [0, 0, 1])


def test_the_determinant_of_singular_matrices_has_the_right_gradient() -> None:
    for rows in ([[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]):
        x = tn.tensor(rows, requires_grad=True)
        tn.det(x).backward()
        (a, b), (c, d) = rows
        np.testing.assert_array_equal(x.grad, [[d, -c], [-b, a]])


SINGULAR = tn.ones(2, 2)
MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "inv": (lambda: tn.linalg.inv(SINGULAR), ArgumentError, "the matrix is singular"),
    "solve": (lambda: tn.linalg.solve(SINGULAR, SINGULAR), ArgumentError, "is singular"),
    "cholesky": (lambda: tn.linalg.cholesky(-SINGULAR), ArgumentError, "not positive definite"),
    "not square": (lambda: tn.linalg.det(tn.ones(2, 3)), ShapeError, "needs square matrices"),
    "rows": (lambda: tn.linalg.solve(SINGULAR, tn.ones(3)), ShapeError, "numbers of rows"),
    "split": (lambda: tn.ones(3).split([1, 1]), ArgumentError, "do not add up to 3"),
    "narrow": (lambda: tn.ones(3).narrow(0, 2, 2), OutOfRangeError, "leaves the axis"),
    "gather": (lambda: tn.ones(2, 2).gather(1, tn.tensor([0])), ShapeError, "axes of input"),
    "indices": (lambda: tn.ones(2).gather(0, tn.ones(1)), DTypeError, "whole numbers"),
    "mask": (lambda: tn.ones(2).masked_fill(tn.ones(2), 0), DTypeError, "made of booleans"),
    "infinite whole number": (
        lambda: tn.arange(2).masked_fill(tn.arange(2) > 0, -np.inf),
        DTypeError,
        "neither infinite nor NaN",
    ),
    "nuclear norm": (lambda: tn.ones(2, 2).norm("nuc"), ArgumentError, "no such norm"),
    "topk": (lambda: tn.ones(2).topk(3), OutOfRangeError, "there are 2 entries, not 3"),
    "dot": (lambda: tn.dot(SINGULAR, SINGULAR), ShapeError, "dot needs two vectors"),
    "bmm": (lambda: tn.bmm(SINGULAR, SINGULAR), ShapeError, "two batches"),
    "tensordot": (lambda: tn.tensordot(tn.ones(2), tn.ones(3), 1), ShapeError, "do not fit"),
    "rounding": (lambda: tn.div(SINGULAR, 2, rounding_mode="up"), ArgumentError, "rounding_mode"),
    "norm": (lambda: tn.norm(tn.arange(3)), ArgumentError, "floating-point"),
    "weights": (lambda: tn.multinomial(-tn.ones(2), 1), ArgumentError, "not negative"),
    "draws": (lambda: tn.multinomial(tn.ones(2), 3), ArgumentError, "no 3 classes"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name: str) -> None:
    call, kind, words = MISTAKES[name]
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_draws_in_proportion(replacement: bool) -> None:
    g = tn.Generator().manual_seed(0)
    w = tn.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]]).broadcast_to((2, 3))
    rows = tn.cat([tn.multinomial(w, 1, replacement, generator=g) for _ in range(4000)], 1)
    shares = [[np.mean(row == k) for k in range(3)] for row in rows.numpy()]
    np.testing.assert_allclose(shares, [[0.25, 0, 0.75], [0.5, 0.5, 0]], atol=0.03)
    pairs = tn.multinomial(w, 2, generator=g).numpy()
    assert sorted(pairs[0]) == [0, 2]


def test_normal_with_tensors_lets_gradients_through() -> None:
    mean = tn.zeros(3, requires_grad=True)
    y = tn.normal(mean, tn.tensor([[1.0], [0.0]]))
    assert y.shape == (2, 3)
    y.sum().backward()
    np.testing.assert_array_equal(mean.grad, [2, 2, 2])


@pytest.mark.parametrize(("window", "axis"), [((2, 3), None), (2, 1), ((2, 1), (0, -1)), (3, -1)])
def test_sliding_windows_of_tensors(window: Any, axis: Any) -> None:
    view = np.lib.stride_tricks.sliding_window_view
    x = tn.tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
    y = view(x, window, axis)
    np.testing.assert_array_equal(y.detach().numpy(), view(x.detach().numpy(), window, axis))
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(tn.tensor(g))
    expected, numbers = np.zeros(12), view(np.arange(12).reshape(3, 4), window, axis)
    np.add.at(expected, numbers, g)
    np.testing.assert_allclose(x.grad.numpy(), expected.reshape(3, 4), rtol=1e-12)
    with pytest.raises(ShapeError, match="a window of 5 on an axis of 4 entries"):
        view(x, 5, axis=1)
