"""What is said about neurons and their first weights, by numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn, optim
from tinynet.derivations import initialisation, neuron
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)


@pytest.mark.parametrize("act", ["sigmoid", "tanh", "relu", "gelu"])
def test_one_op_is_two(act: str) -> None:
    """A layer of neurons is linear and then the activation, in value and in every gradient."""
    arrays = [rng.standard_normal(s) for s in ((2, 5, 3), (4, 3), (4,), (2, 5, 4))]
    *inputs, g = (tn.tensor(a, requires_grad=True) for a in arrays)
    one, two = neuron.op(*inputs, act=act), getattr(F, act)(F.linear(*inputs))
    np.testing.assert_allclose(one.detach().numpy(), two.detach().numpy(), rtol=1e-13)
    for a, b in zip(
        tn.autograd.grad(one, inputs, g), tn.autograd.grad(two, inputs, g), strict=True
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-11, atol=1e-13)


def test_the_slope_of_gelu_in_the_tails() -> None:
    """Φ(z) is read off y = z Φ(z); far out, and at 0, that still is Φ(z)."""
    z = np.array([-40.0, -9.0, -5.0, -1e-300, 0.0, 1e-300, 5.0, 40.0])
    x, one = z[:, None], np.ones((1, 1))
    y = neuron.definition(x, one, act="gelu")
    dx, _ = neuron.backward(np.ones((8, 1)), (y, x, one), act="gelu")
    for value, slope in zip(z, dx[:, 0], strict=True):
        density = math.exp(-value * value / 2) / math.sqrt(2 * math.pi)
        expected = math.erfc(-value / math.sqrt(2)) / 2 + value * density
        assert math.isclose(slope, expected, rel_tol=1e-9, abs_tol=1e-15)


def test_mistakes() -> None:
    x, W = tn.ones(2, 3), tn.ones(4, 3)
    with pytest.raises(ArgumentError, match=r"neuron: no such activation(.|\n)*'gelu'"):
        neuron.op(x, W, act="step")
    for wrong in ((x, tn.ones(3, 4)), (x, W, tn.ones(3)), (tn.tensor(1.0), W)):
        with pytest.raises(ShapeError, match=r"neuron: .*\n.*W \(out, in\)"):
            neuron.op(*wrong)


# -- the first weights -------------------------------------------------------------------------


def network(first: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    for p in model.parameters():
        first(p)
    return model


def trained(model: nn.Sequential, kind: type[Any]) -> tuple[Any, float]:
    """The hidden layer's weights after 200 steps, and the loss."""
    source = np.random.default_rng(1)
    x = tn.tensor(source.standard_normal((40, 3)))
    y = tn.tensor(np.sign(source.standard_normal((40, 1))))
    optimizer = kind(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    return model[0].weight.detach().numpy(), loss.item()


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_equal_units_stay_equal(kind: type[Any]) -> None:
    """From one constant the six units end as one, though they move; drawn, they end as six."""
    tn.manual_seed(0)
    same, loss_same = trained(network(lambda p: nn.init.constant_(p, 0.3)), kind)
    assert np.abs(same - 0.3).max() > 0.05
    np.testing.assert_allclose(same, np.broadcast_to(same[0], same.shape), rtol=0, atol=1e-12)
    drawn, loss_drawn = trained(network(lambda p: nn.init.normal_(p, 0, 0.5)), kind)
    assert np.linalg.matrix_rank(drawn, tol=1e-3) == 3
    assert loss_drawn < loss_same


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_from_zero_only_the_last_bias_learns(kind: type[Any]) -> None:
    model = network(nn.init.zeros_)
    trained(model, kind)
    for name, p in model.named_parameters():
        assert bool(p.detach().numpy().any()) is (name == "2.bias"), name


@pytest.mark.parametrize(("act", "kept"), [("identity", 1.0), ("relu", 0.5), ("leaky", 0.52)])
@pytest.mark.parametrize("variance", [0.5, 1.3])
def test_the_growth_through_layers(act: str, kept: float, variance: float) -> None:
    """Forward over fan_in and backward over fan_out; the mean of 8,000 drawn networks."""
    source = np.random.default_rng(2)
    phi = {"identity": lambda z: z, "relu": F.relu, "leaky": lambda z: F.leaky_relu(z, 0.2)}[act]
    x = tn.tensor(source.standard_normal((8_000, 1, 20)), requires_grad=True)
    a, forward, backward = x, 1.0, 1.0
    for n, m in pairwise((20, 15, 25, 20)):
        std = math.sqrt(variance) * initialisation.he_std(n, 1 / math.sqrt(kept))
        a = phi(a @ tn.tensor(source.standard_normal((8_000, n, m)) * std))
        forward *= initialisation.growth(n, std**2, kept)
        backward *= initialisation.growth(m, std**2, kept)
    assert math.isclose(forward, variance**3, rel_tol=1e-12)
    assert math.isclose(float((a.detach().numpy() ** 2).mean()), forward, rel_tol=0.05)
    a.backward(tn.tensor(source.standard_normal(a.shape)))
    assert math.isclose(float((x.grad.numpy() ** 2).mean()), backward, rel_tol=0.05)


def test_the_middle_between_two_ways() -> None:
    """Xavier: the growths forward and backward have the mean 1, and both are 1 for a square W."""
    variance = initialisation.xavier_std(300, 500) ** 2
    growths = [initialisation.growth(fan, variance) for fan in (300, 500)]
    assert math.isclose(sum(growths), 2)
    assert math.isclose(initialisation.growth(7, initialisation.xavier_std(7, 7) ** 2), 1)
