"""Chapter 00: the functions of its own cells against NumPy and the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.check import check_gradients, property_check
from tinynet.check.strategies import arrays, broadcastable_shapes, shapes
from tinynet.derivations import linear

CODE: Any = code_of("00")


@given(shapes(min_dims=1))
def test_offset(shape: Any) -> None:
    steps = CODE["steps_of"](shape)
    places = [CODE["offset"](index, steps) for index in np.ndindex(shape)]
    assert places == list(range(len(places)))


@given(arrays("n d"), arrays("k d"))
def test_steps_of_a_view(X: Any, M: Any) -> None:
    """NumPy's own steps lead to the right cell where an array is transposed or stretched."""
    M = M.copy()
    stretched = np.broadcast_to(M[:, None], (len(M), len(X), M.shape[1]))
    for cells, view in ((X.ravel(), X.ravel().reshape(X.shape).T), (M.ravel(), stretched)):
        steps = [size // view.itemsize for size in view.strides]
        for index in np.ndindex(view.shape):
            assert cells[CODE["offset"](index, steps)] == view[index]


@given(arrays("n m"), arrays("m k"))
def test_matmul(A: Any, B: Any) -> None:
    np.testing.assert_allclose(CODE["matmul"](A, B), (tn.tensor(A) @ tn.tensor(B)).numpy())


test_layer = property_check(
    CODE["layer"],
    lambda g, X, W, b: CODE["layer_backward"](g, X, W),
    reference=linear.definition,
    X=arrays("n d"),
    W=arrays("o d"),
    b=arrays("o"),
)


@given(broadcastable_shapes(2))
def test_broadcast_shape(drawn: Any) -> None:
    assert CODE["broadcast_shape"](*drawn) == np.broadcast_shapes(*drawn)


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match="do not broadcast"):
        CODE["broadcast_shape"]((2, 3), (4,))


@given(broadcastable_shapes(2), st.integers(0, 99))
def test_sum_back_is_the_gradient_of_broadcasting(drawn: Any, seed: int) -> None:
    """The registered op's own rule, with a random cotangent."""
    rng = np.random.default_rng(seed)
    shape, whole = drawn[0], np.broadcast_shapes(*drawn)
    x, g = tn.tensor(rng.normal(size=shape), requires_grad=True), rng.normal(size=whole)
    tn.broadcast_to(x, whole).backward(tn.tensor(g))
    np.testing.assert_allclose(CODE["sum_back"](g, shape), x.grad.numpy(), rtol=1e-12)


@given(arrays("n d"), arrays("k d"))
def test_distances(X: Any, M: Any) -> None:
    found = CODE["distances_by_broadcasting"](X, M)
    np.testing.assert_allclose(found, tn.cdist(tn.tensor(X), tn.tensor(M)).numpy() ** 2, atol=1e-9)
    assert check_gradients(lambda x: CODE["distances_by_broadcasting"](x, tn.tensor(M)), X)
