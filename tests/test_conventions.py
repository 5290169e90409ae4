"""What the engine gives where a derivative does not exist: the table of docs/engine.md, line by
line.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinynet as tn


def gradient(f, *values: float) -> list[float]:
    x = tn.tensor(list(values), dtype=tn.float64, requires_grad=True)
    (d,) = tn.autograd.grad(f(x), x)
    return d.tolist()


def test_corners() -> None:
    assert gradient(lambda x: x.relu().sum(), 0.0) == [0.0]
    assert gradient(lambda x: x.abs().sum(), 0.0, -0.0) == [0.0, 0.0]
    assert gradient(lambda x: x.clamp(0, 1).sum(), 0.0, 1.0, 1.5) == [1.0, 1.0, 0.0]


def test_ties_are_shared() -> None:
    assert gradient(lambda x: tn.maximum(x[0], x[1]), 2.0, 2.0) == [0.5, 0.5]
    assert gradient(lambda x: tn.minimum(x[0], x[1]), 2.0, 2.0) == [0.5, 0.5]
    for f in (tn.amax, tn.amin, tn.max, tn.min):
        assert gradient(f, 2.0, 2.0, 2.0, 2.0) == [0.25] * 4
    assert gradient(lambda x: x.max(dim=0).values, 2.0, 2.0) == [1.0, 0.0]
    assert gradient(lambda x: x.min(dim=0).values, 2.0, 2.0) == [1.0, 0.0]


def test_counting_ties_in_half_precision_does_not_overflow() -> None:
    x = tn.ones(3000, dtype=tn.float16, requires_grad=True)
    x.amax().backward()
    np.testing.assert_allclose(x.grad, np.full(3000, 1 / 3000), rtol=1e-3)


def test_nan_takes_the_gradient_of_a_maximum() -> None:
    assert math.isnan(tn.amax(tn.tensor([1.0, math.nan])).item())
    assert gradient(tn.amax, 1.0, math.nan, 2.0) == [0.0, 1.0, 0.0]
    assert gradient(tn.amin, math.nan, 0.0, math.nan) == [0.5, 0.0, 0.5]


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_roots_and_powers_at_zero() -> None:
    assert gradient(lambda x: x.sqrt().sum(), 0.0) == [math.inf]
    x = tn.tensor(0.0, dtype=tn.float64)
    f, found = (lambda x: x**2), []
    for _ in range(3):
        f = tn.func.grad(f)
        found.append(f(x).item())
    assert found == [0.0, 2.0, 0.0]
    zero = tn.tensor(0.0, dtype=tn.float64)
    for v in (0.0, 1.0, 2.5):
        assert gradient(lambda p: (zero**p).sum(), v) == [0.0]


def test_logsumexp_of_nothing_likely() -> None:
    x = tn.tensor([-math.inf, -math.inf], requires_grad=True)
    y = tn.logsumexp(x, 0)
    y.backward()
    assert y.item() == -math.inf
    assert x.grad.tolist() == [0.0, 0.0]
    assert tn.logsumexp(tn.tensor([math.inf, 0.0]), 0).item() == math.inf
    assert tn.logsumexp(tn.tensor([1000.0, 0.0]), 0).item() == 1000.0


def test_statistics_of_too_little() -> None:
    assert math.isnan(tn.tensor([3.0]).var().item())
    assert tn.tensor([3.0]).var(correction=0).item() == 0.0
    assert math.isnan(tn.zeros(0).mean().item())
    assert tn.zeros(0).sum().item() == 0.0
    with pytest.raises(tn.errors.ShapeError, match="max of nothing"):
        tn.zeros(0).max()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_unused_side_of_where_can_spoil_the_gradient_and_how_to_prevent_it() -> None:
    spoilt = gradient(lambda x: tn.where(x > 0, x**0.5, 0.0).sum(), 0.0, 4.0)
    assert math.isnan(spoilt[0])
    assert spoilt[1] == 0.25

    def harmless(x: tn.Tensor) -> tn.Tensor:
        return tn.where(x > 0, tn.where(x > 0, x, 1.0) ** 0.5, 0.0).sum()

    assert gradient(harmless, 0.0, 4.0) == [0.0, 0.25]


def test_the_sigmoid_and_the_softmax_do_not_overflow() -> None:
    with np.errstate(all="raise", under="ignore"):
        assert tn.sigmoid(tn.tensor([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
        assert tn.softmax(tn.tensor([1000.0, 0.0, 0.0]), 0).tolist() == [1.0, 0.0, 0.0]
    tiny = tn.sigmoid(tn.tensor(-50.0, dtype=tn.float64)).item()
    assert tiny == pytest.approx(math.exp(-50), rel=1e-14)
