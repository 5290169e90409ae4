"""Steps and penalties, by numbers: what `derivations/weight_decay`, `sgd` and `adam` say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.derivations import adam, sgd, weight_decay

rng = np.random.default_rng(0)
CURVATURE = np.array([0.1, 1.0, 4.0])
CENTRE = np.array([1.0, -2.0, 0.5])


def slope(w: Any) -> Any:
    """The gradient of Σ h (w − a)² / 2."""
    return CURVATURE * (w - CENTRE)


def descend(gradient: Any, steps: int = 2000, start: Any = None, **options: Any) -> Any:
    w = np.ones(3) if start is None else start.copy()
    v, scratch = np.zeros(3), np.empty(3)
    for t in range(steps):
        sgd.step(w, gradient(w), v, scratch, first=t == 0, **options)
    return w


# -- penalties ---------------------------------------------------------------------------------


@given(st.floats(0, 3), st.floats(0, 3))
def test_the_gradient_of_the_penalty(l1: float, l2: float) -> None:
    w, h = np.array([0.7, -1.3, 2.0]), 1e-6
    found = weight_decay.gradient(w, l1=l1, l2=l2)
    for i in range(3):
        step = h * (np.arange(3) == i)
        ahead, behind = (weight_decay.penalty(w + s * step, l1=l1, l2=l2) for s in (1, -1))
        assert math.isclose(found[i], (ahead - behind) / (2 * h), rel_tol=1e-6, abs_tol=1e-8)


def test_at_zero_the_subgradient_is_zero() -> None:
    assert not weight_decay.gradient(np.array([0.0, -0.0]), l1=5.0, l2=5.0).any()


@given(st.floats(-4, 4), st.floats(0, 3))
def test_the_soft_threshold_is_the_minimum(u: float, amount: float) -> None:
    """Of amount |v| + (v − u)²/2: nothing beside it is lower."""

    def cost(v: float) -> float:
        return amount * abs(v) + (v - u) ** 2 / 2

    v = float(weight_decay.soft_threshold(np.array(u), amount))
    assert all(cost(v) <= cost(v + d) + 1e-15 for d in (-1, -1e-3, -1e-6, 1e-6, 1e-3, 1))


def test_where_the_weights_end() -> None:
    """L2: a h / (h + λ), nowhere 0. L1: soft threshold at λ/h, exact zeros."""
    end = descend(slope, lr=0.3, weight_decay=0.5)
    np.testing.assert_allclose(end, CENTRE * CURVATURE / (CURVATURE + 0.5), rtol=1e-9)
    assert end.all()
    w = np.ones(3)
    for _ in range(2000):
        w = weight_decay.soft_threshold(w - 0.3 * slope(w), 0.3 * 0.5)
    np.testing.assert_allclose(
        w, [weight_decay.soft_threshold(a, 0.5 / h) for a, h in zip(CENTRE, CURVATURE, strict=True)]
    )
    assert w[0] == 0  # the flat direction
    assert w[1:].all()
    hopping = descend(lambda w: slope(w) + weight_decay.gradient(w, l1=0.5), lr=0.3)
    assert 1e-3 < abs(hopping[0]) <= 0.3 * (0.5 + 0.1)  # never at rest, and never further


def test_decay_is_l2_for_plain_descent_only() -> None:
    lr, decay, start = 0.1, 0.3, np.array([2.0, -1.0, 3.0])
    for momentum, equal in ((0.0, True), (0.9, False)):
        penalised = descend(slope, 5, start, lr=lr, momentum=momentum, weight_decay=decay)
        w, v, scratch = start.copy(), np.zeros(3), np.empty(3)
        for t in range(5):
            g = slope(w)
            w *= 1 - lr * decay
            sgd.step(w, g, v, scratch, lr=lr, momentum=momentum, first=t == 0)
        apart = float(np.abs(w - penalised).max())
        assert apart < 1e-14 if equal else apart > 0.1


def adam_steps(start: Any, gradients: Any, steps: int, **options: Any) -> Any:
    w, m, v, scratch = start.copy(), np.zeros(3), np.zeros(3), np.empty(3)
    for t in range(1, steps + 1):
        adam.step(w, gradients, m, v, t, scratch, lr=0.01, **options)
    return w


def test_l2_under_adam_is_not_decay() -> None:
    """Without a gradient, L2 walks by η for every λ; AdamW shrinks by a factor."""
    w, none = np.array([1.0, 2.0, -3.0]), np.zeros(3)
    for decay in (0.1, 0.001):
        np.testing.assert_allclose(
            adam_steps(w, none, 3, weight_decay=decay), w - 0.03 * np.sign(w), rtol=1e-4
        )
        np.testing.assert_allclose(
            adam_steps(w, none, 3, weight_decay=decay, decoupled=True), w * (1 - 0.01 * decay) ** 3
        )


def test_l2_under_adam_holds_large_gradients_less() -> None:
    """One weight of 2, and gradients of size 0.1 and 10 that average to 0: what λ = 0.1 takes."""
    kept = []
    for size in (0.1, 10.0):
        w, m, v, scratch = np.full(1, 2.0), np.zeros(1), np.zeros(1), np.empty(1)
        for t in range(1, 201):
            g = np.array([size if t % 2 else -size])
            adam.step(w, g, m, v, t, scratch, lr=0.001, weight_decay=0.1)
        kept.append(2.0 - w[0])
    assert kept[0] > 20 * kept[1] > 0


# -- steps -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "converges"), [(0.98, True), (1.02, False)])
def test_the_largest_learning_rate(share: float, converges: bool) -> None:
    """Of a quadratic it is 2 / λ_max of the Hessian, in any basis."""
    Q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    hessian = Q @ np.diag(CURVATURE) @ Q.T
    lr = share * 2 / float(np.linalg.eigvalsh(hessian).max())
    w = descend(lambda w: hessian @ w, 600, lr=lr)
    assert (float(np.abs(w).max()) < 1e-4) if converges else (float(np.abs(w).max()) > 1e6)


@pytest.mark.parametrize(("pattern", "factor"), [(1, 1 / (1 - 0.9)), (-1, 1 / (1 + 0.9))])
def test_what_momentum_adds_up(pattern: int, factor: float) -> None:
    """A steady gradient grows to g / (1 − μ); one that changes sign shrinks to g / (1 + μ)."""
    w, v, scratch = np.zeros(1), np.zeros(1), np.empty(1)
    for t in range(300):
        sgd.step(w, np.array([float(pattern) ** t]), v, scratch, lr=1.0, momentum=0.9, first=t == 0)
    assert math.isclose(abs(float(v[0])), factor, rel_tol=1e-9)


def test_nesterov_looks_ahead() -> None:
    """The book's form, gradient at θ = w − η μ v, and the step's form: the same points θ."""
    lr, mu = 0.2, 0.8
    w, v = np.ones(3), np.zeros(3)
    theta, velocity, scratch = w.copy(), np.zeros(3), np.empty(3)
    for t in range(12):
        ahead = w - lr * mu * v
        np.testing.assert_allclose(theta, ahead, rtol=0, atol=1e-14)
        v = mu * v + slope(ahead)
        w = w - lr * v
        options: dict[str, Any] = {"lr": lr, "momentum": mu, "nesterov": True, "first": t == 0}
        sgd.step(theta, slope(theta), velocity, scratch, **options)
    plain = descend(slope, 12, lr=lr, momentum=mu)
    assert np.abs(plain - theta).max() > 1e-3


@given(st.floats(-5, 5).filter(lambda g: abs(g) > 1e-3), st.integers(1, 50))
def test_the_bias_of_adams_means(g: float, steps: int) -> None:
    """A gradient that stays g: m = (1 − β₁^t) g and v = (1 − β₂^t) g², so every step is η."""
    w, m, v, scratch = np.zeros(1), np.zeros(1), np.zeros(1), np.empty(1)
    for t in range(1, steps + 1):
        adam.step(w, np.array([g]), m, v, t, scratch, lr=0.1, eps=0.0)
    assert math.isclose(m[0], (1 - 0.9**steps) * g, rel_tol=1e-12)
    assert math.isclose(v[0], (1 - 0.999**steps) * g * g, rel_tol=1e-10)
    assert math.isclose(w[0], -0.1 * steps * math.copysign(1, g), rel_tol=1e-9)


def test_the_expected_value_of_adams_mean() -> None:
    """E[m_t] = (1 − β₁^t) E[g] for gradients drawn around 2, over 40,000 draws."""
    shape, t = 40_000, 5
    w, m, v, scratch = (np.zeros(shape) for _ in range(4))
    for k in range(1, t + 1):
        adam.step(w, 2 + rng.standard_normal(shape), m, v, k, scratch)
    assert math.isclose(float(m.mean()), (1 - 0.9**t) * 2, rel_tol=5e-3)
    assert math.isclose(float(v.mean()), (1 - 0.999**t) * 5, rel_tol=2e-2)
