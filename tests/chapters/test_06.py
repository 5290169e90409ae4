"""Chapter 06: the functions of its own cells against the package and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

from tinynet import nn
from tinynet.check import check_backward, property_check
from tinynet.check.strategies import arrays
from tinynet.derivations import conv2d as package
from tinynet.ops.creation import tensor

CODE: Any = code_of("06")
PICTURES, FILTERS = arrays(("n", "c", 3, 4)), arrays(("o", "c", 2, 2))

test_conv2d = property_check(
    CODE["conv2d"],
    CODE["conv2d_backward"],
    reference=package.definition,
    max_examples=10,
    a=PICTURES,
    w=FILTERS,
    b=arrays("o"),
)


@given(PICTURES, FILTERS, arrays("o"))
def test_as_a_matrix_product(a: Any, w: Any, b: Any) -> None:
    np.testing.assert_allclose(
        CODE["conv2d_fast"](a, w, b), package.definition(a, w, b), atol=1e-12
    )


@given(PICTURES, st.integers(0, 99))
def test_cutting_and_its_adjoint(a: Any, seed: int) -> None:
    """The same as the package's unfold and fold, and adjoint to each other."""
    columns = CODE["im2col"](a, 2)
    unfolded = nn.functional.unfold(tensor(a), 2).numpy()
    np.testing.assert_array_equal(
        columns.reshape(len(a), -1, columns.shape[1]).swapaxes(1, 2), unfolded
    )
    D = np.random.default_rng(seed).normal(size=columns.shape)
    assert np.isclose(np.sum(D * columns), np.sum(CODE["col2im"](D, a.shape, 2) * a))


@given(arrays(("n", "c", 4, 2), distinct=True))
def test_max_pool(a: Any) -> None:
    expected = nn.functional.max_pool2d(tensor(a), 2).numpy()
    np.testing.assert_array_equal(CODE["max_pool"](a), expected)
    assert check_backward(CODE["max_pool"], CODE["max_pool_backward"], a)


@given(arrays("6"), arrays("3"))
def test_correlate(a: Any, w: Any) -> None:
    expected = package.definition(a[None, None], w[None, None])[0, 0]
    np.testing.assert_allclose(CODE["correlate"](a, w), expected, atol=1e-12)


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 3), st.integers(1, 3))
def test_outputs(h: int, k: int, P: int, s: int) -> None:
    if h + 2 * P >= k:
        a = np.zeros((1, 1, h))
        shape = package.definition(a, np.zeros((1, 1, k)), stride=s, padding=P).shape
        assert CODE["outputs"](h, k, P, s) == shape[-1]
