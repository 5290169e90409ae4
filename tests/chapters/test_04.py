"""Chapter 04: the functions of its own cells against the package and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

from tinynet.check import property_check
from tinynet.check.strategies import arrays, labels, probabilities
from tinynet.derivations import bce, kl
from tinynet.derivations import cross_entropy as package_cross_entropy
from tinynet.derivations import mse as package_mse
from tinynet.derivations import softmax as package_softmax

CODE: Any = code_of("04")
ANSWERS = labels("n", 2).map(lambda y: y.astype(float))

test_mse = property_check(
    CODE["mse"],
    CODE["mse_backward"],
    reference=package_mse.definition,
    y_hat=arrays("n"),
    y=arrays("n"),
    wrt=["y_hat"],
)
test_bce = property_check(
    CODE["bce_of_scores"],
    CODE["bce_of_scores_backward"],
    reference=lambda z, y: bce.definition(z, y, reduction="none"),
    z=arrays("n"),
    y=ANSWERS,
    wrt=["z"],
)


@given(arrays("n k"))
def test_softmax(x: Any) -> None:
    np.testing.assert_allclose(CODE["softmax"](x), package_softmax.definition(x), rtol=1e-12)


@given(arrays("n k"), st.data())
def test_cross_entropy(x: Any, data: Any) -> None:
    t = data.draw(labels(*x.shape))
    expected = package_cross_entropy.definition(x, t)
    np.testing.assert_allclose(CODE["cross_entropy"](x, t), expected, rtol=1e-10, atol=1e-12)


@given(arrays("n"), ANSWERS)
def test_bce_of_probabilities(z: Any, y: Any) -> None:
    y = np.resize(y, z.shape)
    found = CODE["binary_cross_entropy"](CODE["sigmoid"](z), y)
    np.testing.assert_allclose(found, bce.definition(z, y, reduction="none"), rtol=1e-9)


@given(st.floats(0.01, 0.99), st.integers(0, 20), st.integers(0, 20))
def test_likelihood(p: float, heads: int, tails: int) -> None:
    """Against the product of the single probabilities."""
    product = np.prod([p] * heads + [1 - p] * tails)
    found = CODE["negative_log_likelihood"](p, heads, tails)
    np.testing.assert_allclose(np.exp(-found), product, rtol=1e-9)


@given(probabilities((4,)), probabilities((4,)))
def test_entropies(q: Any, p: Any) -> None:
    found = CODE["kl"](q, p)
    np.testing.assert_allclose(found, kl.definition(np.log(p), q, reduction="sum"), atol=1e-12)
    np.testing.assert_allclose(CODE["cross"](q, p) - CODE["cross"](q, q), found, atol=1e-12)
