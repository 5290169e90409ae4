"""Likelihood, cross-entropy, divergence, temperature, counts: what the proofs say, by numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.derivations import (
    bigram,
    cross_entropy,
    kl,
    log_softmax,
    nll,
    soft_cross_entropy,
    softmax,
)
from tinynet.errors import OutOfRangeError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)


def test_three_names_for_one_aim() -> None:
    """60 samples at 4 inputs: likelihood, cross-entropy and divergence differ by constants."""
    scores, place, t = rng.standard_normal((4, 3)), rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    p = softmax.definition(scores)
    likelihood = math.prod(float(p[i, c]) for i, c in zip(place, t, strict=True))
    total = float(nll.definition(np.log(p)[place], t, reduction="sum"))
    assert math.isclose(total, -math.log(likelihood), rel_tol=1e-12)

    N = np.zeros((4, 3))
    for i, c in zip(place, t, strict=True):
        N[i, c] += 1
    n = N.sum(1)
    q = N / n[:, None]
    losses = soft_cross_entropy.definition(scores, q, reduction="none")
    assert math.isclose(float(n @ losses), total, rel_tol=1e-12)

    entropy = -np.where(q > 0, q * np.log(np.where(q > 0, q, 1)), 0).sum(1)
    divergence = kl.definition(np.log(p), q, reduction="none").sum(1)
    np.testing.assert_allclose(losses, divergence + entropy, rtol=1e-12)
    # The three gradients by the scores are one; at p = q it is 0 and H(q) is left.
    x = tn.tensor(scores, requires_grad=True)
    weights = tn.tensor(n)
    three = (
        cross_entropy.op(x[place], tn.tensor(t), reduction="sum"),
        (soft_cross_entropy.op(x, tn.tensor(q), reduction="none") * weights).sum(),
        (kl.op(x.log_softmax(1), tn.tensor(q), reduction="none").sum(1) * weights).sum(),
    )
    first, *others = (tn.autograd.grad(loss, [x])[0].numpy() for loss in three)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-11, atol=1e-12)
    best = soft_cross_entropy.definition(np.log(q), q, reduction="none")
    np.testing.assert_allclose(best, entropy, rtol=1e-12)


def test_smoothed_targets_ask_for_finite_scores() -> None:
    """Descent on one sample ends where p = t: scores log((1 − ε) C/ε + 1) apart."""
    y, epsilon, x = np.array([0.0, 1.0, 0.0, 0.0]), 0.2, np.zeros(4)
    for _ in range(500):
        _, saved = soft_cross_entropy.forward(x, y, label_smoothing=epsilon)
        dx, _ = soft_cross_entropy.backward(np.array(1.0), saved, label_smoothing=epsilon)
        x = x - 2 * dx
    np.testing.assert_allclose(softmax.definition(x), [0.05, 0.85, 0.05, 0.05], rtol=1e-9)
    assert math.isclose(x[1] - x[0], math.log(0.8 * 4 / 0.2 + 1), rel_tol=1e-9)


def test_the_factor_that_people_forget() -> None:
    """Targets that sum to 3: p − y is wrong, p Σ y − y is right."""
    x, y = rng.standard_normal(4), np.array([1.0, 0.5, 1.5, 0.0])
    _, saved = soft_cross_entropy.forward(x, y)
    dx, _ = soft_cross_entropy.backward(np.array(1.0), saved)
    p = softmax.definition(x)
    np.testing.assert_allclose(dx, 3 * p - y, rtol=1e-12)
    assert np.abs(dx - (p - y)).max() > 0.1


def test_smoothed_classes_with_weights_and_some_ignored() -> None:
    """Sample by sample: the mean is over the weights of the true classes that count."""
    x, t, w, epsilon = rng.standard_normal((5, 3)), [0, -100, 2, 1, 0], [0.5, 2.0, 1.5], 0.3
    top = bottom = 0.0
    for row, c in zip(x.tolist(), t, strict=True):
        if c == -100:
            continue
        total = math.fsum(map(math.exp, row))
        for k in range(3):
            share = (1 - epsilon) * (k == c) + epsilon / 3
            top -= w[k] * share * math.log(math.exp(row[k]) / total)
        bottom += w[c]
    found = F.cross_entropy(
        tn.tensor(x), tn.tensor(t), tn.tensor(w, dtype=tn.float64), label_smoothing=epsilon
    )
    assert math.isclose(found.item(), top / bottom, rel_tol=1e-12)


def test_mistakes_in_soft_targets() -> None:
    with pytest.raises(ShapeError, match="at least one class"):
        soft_cross_entropy.op(tn.ones(2, 0), tn.ones(2, 0))
    with pytest.raises(ShapeError, match="shape of the scores"):
        soft_cross_entropy.op(tn.ones(2, 3), tn.ones(2, 2))
    with pytest.raises(ShapeError, match=r"one weight for each class(.|\n)*\(3,\)"):
        F.cross_entropy(tn.ones(2, 3), tn.ones(2, 3), tn.ones(2))
    with pytest.raises(OutOfRangeError, match="no class 3"):
        F.cross_entropy(tn.ones(2, 3), tn.tensor([0, 3]), label_smoothing=0.1)
    with pytest.raises(ShapeError, match="the sizes do not fit"):
        F.cross_entropy(tn.ones(2, 3), tn.tensor([0, 1, 2]), label_smoothing=0.1)


# -- temperature -------------------------------------------------------------------------------


def entropy(y: Any) -> float:
    return -math.fsum(v * math.log(v) for v in y.tolist() if v > 0)


@given(st.floats(0.2, 5), st.integers(0, 1000))
def test_the_derivatives_by_temperature(tau: float, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(5)
    t = tn.tensor(tau, dtype=tn.float64, requires_grad=True)
    g = rng.standard_normal(5)
    (softmax.op(tn.tensor(x) / t, axis=0) * tn.tensor(g)).sum().backward()
    y = softmax.definition(x / tau)
    mean = float(y @ x)
    by_hand = -y * (x - mean) / tau**2
    assert math.isclose(t.grad.item(), float(g @ by_hand), rel_tol=1e-9, abs_tol=1e-12)
    h = 1e-5 * tau
    warmer, colder = (softmax.definition(x / (tau + s * h)) for s in (1, -1))
    variance = float(y @ (x - mean) ** 2)
    slope = (entropy(warmer) - entropy(colder)) / (2 * h)
    assert math.isclose(slope, variance / tau**3, rel_tol=1e-4, abs_tol=1e-6)


def test_the_limits_of_temperature() -> None:
    x = np.array([1.0, 3.0, 2.0, 3.0])
    np.testing.assert_allclose(softmax.definition(x / 1e9), 0.25, rtol=1e-8)
    np.testing.assert_array_equal(softmax.definition(x / 1e-3), [0, 0.5, 0, 0.5])


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6))
def test_logsumexp_is_a_smooth_maximum(values: list[float]) -> None:
    u = tn.tensor(values, dtype=tn.float64, requires_grad=True)
    y = tn.logsumexp(u, 0)
    y.backward()
    assert max(values) <= y.item() <= max(values) + math.log(len(values)) + 1e-12
    np.testing.assert_allclose(u.grad.numpy(), softmax.definition(np.array(values)), atol=1e-13)


# -- the bigram model --------------------------------------------------------------------------

TEXT = "the cat sat on the mat and the dog sat on the cat"
WORDS = sorted(set(TEXT.split()))
IDS = np.array([WORDS.index(word) for word in TEXT.split()])


def test_the_counts() -> None:
    N, words = bigram.counts(IDS, len(WORDS)), TEXT.split()
    assert N.sum() == len(words) - 1
    for i, first in enumerate(WORDS):
        for j, second in enumerate(WORDS):
            assert N[i, j] == sum(pair == (first, second) for pair in pairwise(words))


def test_its_gradient_is_that_of_a_linear_layer_and_cross_entropy() -> None:
    V = len(WORDS)
    N = bigram.counts(IDS, V)
    W, b = rng.standard_normal((V, V)), rng.standard_normal(V)
    own = [tn.tensor(a, requires_grad=True) for a in (W, b)]
    loss = F.cross_entropy(F.linear(tn.tensor(np.eye(V)[IDS[:-1]]), *own), tn.tensor(IDS[1:]))
    loss.backward()
    assert math.isclose(loss.item(), float(bigram.loss(W, b, N)), rel_tol=1e-12)
    for found, p in zip(bigram.gradient(W, b, N), own, strict=True):
        np.testing.assert_allclose(found, p.grad.numpy(), rtol=1e-11, atol=1e-14)


def test_the_best_model_says_the_relative_frequencies() -> None:
    N = rng.integers(1, 9, (5, 5)).astype(float)
    W, b = rng.standard_normal((5, 5)), rng.standard_normal(5)
    for _ in range(3000):
        dW, db = bigram.gradient(W, b, N)
        W, b = W - 5 * dW, b - db
    np.testing.assert_allclose(softmax.definition(W.T + b), bigram.estimate(N), rtol=1e-6)
    least = -float((N * np.log(bigram.estimate(N))).sum() / N.sum())
    assert math.isclose(float(bigram.loss(W, b, N)), least, rel_tol=1e-12)
    solution = np.log(bigram.estimate(N)).T  # by hand; and a number added to a column is nothing
    for W in (solution, solution + rng.standard_normal(5)):
        for d in bigram.gradient(W, np.zeros(5), N):
            np.testing.assert_allclose(d, 0, atol=1e-15)


def test_a_pair_that_never_occurred() -> None:
    """Its probability sinks with every step, without end; one α for all counts holds it."""
    N = np.array([[1.0, 0.0], [1.0, 1.0]])
    W, b, seen = np.zeros((2, 2)), np.zeros(2), []
    for step in range(1, 1001):
        dW, _ = bigram.gradient(W, b, N)
        W = W - 5 * dW
        if step in (10, 100, 1000):
            seen.append(float(softmax.definition(W.T)[0, 1]))
    assert seen[0] > 5 * seen[1] > 25 * seen[2] > 0
    np.testing.assert_allclose(bigram.estimate(N, alpha=1.0)[0], [2 / 3, 1 / 3])
    assert np.isnan(bigram.estimate(np.array([[0.0, 0.0], [1.0, 1.0]]))[0]).all()


def test_wrong_words() -> None:
    with pytest.raises(OutOfRangeError, match="no such word"):
        bigram.counts(np.array([0, 3]), 3)
    with pytest.raises(ShapeError, match="one row"):
        bigram.counts(np.zeros((2, 2), int), 3)
    with pytest.raises(ShapeError, match=r"x \(n, d\)"):
        bigram.as_printed(np.ones(3), np.ones((2, 3)), np.ones(2))
    assert bigram.counts(np.array([], int), 2).tolist() == [[0, 0], [0, 0]]


def test_log_softmax_is_the_logarithm() -> None:
    x = rng.standard_normal((3, 4))
    np.testing.assert_allclose(np.exp(log_softmax.definition(x)), softmax.definition(x), rtol=1e-13)
