"""Chapter 03: the functions of its own cells against the package and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.check import property_check
from tinynet.check.strategies import arrays, labels
from tinynet.derivations import neuron as package_neuron
from tinynet.derivations import perceptron as package_perceptron

CODE: Any = code_of("03")
SIDES = labels("n", 2).map(lambda t: 2 * t - 1)

test_neuron = property_check(
    CODE["neuron"],
    CODE["neuron_backward"],
    reference=lambda X, w, b: package_neuron.definition(X, w[None], b[None])[:, 0],
    X=arrays("n d"),
    w=arrays("d"),
    b=arrays(()),
)
test_network = property_check(
    CODE["network"],
    CODE["network_backward"],
    reference=lambda X, U, b, v, c: package_neuron.definition(X, U, b, act="tanh") @ v + c,
    X=arrays("n d"),
    U=arrays("h d"),
    b=arrays("h"),
    v=arrays("h"),
    c=arrays(()),
    wrt=["U", "b", "v", "c"],
)
test_sigmoid = property_check(
    CODE["sigmoid"], lambda g, z: g * CODE["sigmoid_slope"](CODE["sigmoid"](z)), z=arrays()
)
test_tanh = property_check(
    lambda z: np.tanh(z), lambda g, z: g * CODE["tanh_slope"](np.tanh(z)), z=arrays()
)
test_relu = property_check(
    lambda z: np.maximum(z, 0),
    lambda g, z: g * CODE["relu_slope"](np.maximum(z, 0)),
    z=arrays(away_from=0),
)


@given(arrays("n d"), arrays("d"), arrays(()), arrays("n"))
def test_the_right_chain(X: Any, w: Any, b: Any, y: Any) -> None:
    """Against the tape, for any truths; the document's loss has no bias."""
    weights = tn.tensor(w, requires_grad=True)
    loss = -(tn.tensor(y) * tn.sigmoid(tn.tensor(X) @ weights).log()).mean()
    loss.backward()
    np.testing.assert_allclose(CODE["printed_loss"](X, w, y), loss.item(), atol=1e-12)
    np.testing.assert_allclose(CODE["right_chain"](X, w, y), weights.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(CODE["score"](X, w, b), (X * w).sum(axis=1) + b, atol=1e-12)


@given(arrays("n d"), SIDES, st.integers(1, 6))
def test_perceptron(X: Any, y: Any, passes: int) -> None:
    """Step for step the package's; and its mistakes keep below any separating plane's bound."""
    w, b, steps = CODE["perceptron"](X, y, passes)
    found = package_perceptron.fit(X, y, epochs=passes)
    assert np.array_equal(w, found.w)
    assert (b, len(steps)) == (found.b, found.mistakes)
    again = np.zeros(X.shape[1]), 0
    for x, w_then, b_then in steps:
        truth = b_then - again[1]
        again = again[0] + truth * x, again[1] + truth
        assert np.array_equal(w_then, again[0])
        assert truth in y[(x == X).all(axis=1)]
    if (y * CODE["score"](X, w, b)).min() > 0:
        bound = CODE["bound"](X, y, w, b)
        assert len(steps) <= bound * (1 + 1e-12)
        expected = package_perceptron.mistake_bound(X, y, found.w, found.b)
        np.testing.assert_allclose(bound, expected, rtol=1e-12)


@given(st.integers(0, 5), st.integers(0, 99))
def test_the_bound_is_reached(doublings: int, seed: int) -> None:
    """Exercise 6: by samples (x, 1) that are perpendicular to each other and equally long."""
    tilde = np.ones((1, 1))
    for _ in range(doublings):
        tilde = np.block([[tilde, tilde], [-tilde, tilde]])
    X, y = tilde[:, :-1], np.random.default_rng(seed).choice([-1, 1], len(tilde))
    w, b, steps = CODE["perceptron"](X, y)
    assert len(steps) == len(tilde)
    np.testing.assert_allclose(CODE["bound"](X, y, w, b), len(tilde))


@given(arrays("n d"), arrays("d"), arrays(()), st.integers(0, 99))
def test_distance(X: Any, w: Any, b: Any, seed: int) -> None:
    """The point of the plane below x is that far away, and every other one is farther."""
    if not w.any():
        return
    r = CODE["distance"](X, w, b)
    foot = X - r[:, None] * w / np.linalg.norm(w)
    np.testing.assert_allclose(CODE["score"](foot, w, b), 0, atol=1e-10)
    aside = np.random.default_rng(seed).standard_normal(X.shape)
    aside -= (aside @ w)[:, None] * w / (w @ w)  # along the plane
    np.testing.assert_allclose(np.linalg.norm(X - foot, axis=1), abs(r), atol=1e-12)
    assert (np.linalg.norm(X - foot - aside, axis=1) >= abs(r) - 1e-10).all()
