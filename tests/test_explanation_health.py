"""The words of `tn.explain.health`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError

F = nn.functional


def words(model: Any, wide: int = 16) -> str:
    tn.manual_seed(1)
    batch = tn.randn(64, wide), tn.randn(64, wide)
    return "\n".join(tn.explain.health(model, batch, F.mse_loss).verdict)


def tower(activation: Any, depth: int, scale: float) -> Any:
    tn.manual_seed(0)
    model = nn.Sequential(*[m for _ in range(depth) for m in (nn.Linear(16, 16), activation())])
    with tn.no_grad():
        for p in model.parameters():
            p.mul_(scale)
    return model


def test_a_deep_sigmoid_network_vanishes() -> None:
    assert "the gradient vanishes" in words(tower(nn.Sigmoid, 10, 1))
    assert "vanishes" not in words(tower(nn.Sigmoid, 1, 1))


def test_large_weights_explode() -> None:
    found = words(tower(nn.Identity, 6, 10))
    assert "the gradient explodes" in found
    assert "the signal explodes" in found
    assert "vanishes" not in found


def test_numbers_that_overflow() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        found = words(tower(nn.Identity, 40, 100))
    assert re.search(
        r"the loss is (nan|inf): the first numbers that are not finite come from \d+", found
    )
    assert "the signal explodes" in found


def test_dead_units() -> None:
    model = tower(nn.ReLU, 2, 1)
    with tn.no_grad():
        model[0].bias.fill_(-100)
    assert words(model).startswith("1: 100% of the units are dead")
    model = tower(nn.Tanh, 1, 1)
    model.append(nn.ReLU())
    with tn.no_grad():
        model[0].bias[:4] = -100
    assert "2: 25% of the units are dead" in words(model)


def test_dead_units_of_many_layers_are_told_in_one_sentence() -> None:
    tn.manual_seed(0)
    (found,) = [x for x in words(tower(nn.ReLU, 12, 1)).splitlines() if "dead" in x]
    assert re.match(
        r"\d+% to \d+% of the units are dead in \d+ layers from \d+ to 23, 0 for", found
    )


def test_one_example_does_not_tell_whether_a_unit_is_dead() -> None:
    model = tower(nn.ReLU, 2, 1)
    for count, told in ((1, False), (7, False), (8, True)):
        with tn.no_grad():
            model[0].bias.fill_(-100)
        batch = tn.randn(count, 16), tn.randn(count, 16)
        health = tn.explain.health(model, batch, F.mse_loss)
        assert any("100% of the units are dead" in text for text in health.verdict) == told
    with pytest.raises(ArgumentError, match="a batch has an example"):
        tn.explain.health(model, (tn.randn(0, 16), tn.randn(0, 16)), F.mse_loss)


@pytest.mark.parametrize(("conv", "size"), [(nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3)])
def test_units_of_a_convolution_are_its_channels(conv: Any, size: int) -> None:
    tn.manual_seed(0)
    model = nn.Sequential(conv(1, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 3**size, 2))
    with tn.no_grad():
        model[0].bias[2] = -100
    x = tn.randn(32, 1, *[4] * size)
    health = tn.explain.health(model, (x, tn.zeros(32, 2)), F.mse_loss)
    assert [layer.dead for layer in health.layers] == [0, 0.25, 0.25, 0]
    (found,) = [text for text in health.verdict if "dead" in text]
    assert found.startswith("1: 25% of the units are dead, 0 for every example of the batch; ")


def test_a_network_at_the_start_is_well() -> None:
    assert words(tower(nn.Tanh, 3, 1)) == "nothing stands out: signal and gradient keep their size"


@pytest.mark.parametrize("count", [32, 64])
@pytest.mark.parametrize("norm", [nn.Identity, nn.BatchNorm1d])
def test_good_networks_are_well(norm: Any, count: int) -> None:
    tn.manual_seed(count)
    parts = [m for _ in range(3) for m in (nn.Linear(64, 64), norm(64), nn.ReLU())]
    batch = tn.randn(count, 64), tn.randint(0, 64, (count,))
    (found,) = tn.explain.health(nn.Sequential(*parts), batch).verdict
    assert found == "nothing stands out: signal and gradient keep their size"


@pytest.mark.parametrize("curve", [nn.Tanh, nn.Sigmoid])
def test_saturated_curves(curve: Any) -> None:
    model = tower(curve, 2, 20)
    x = tn.randn(64, 16)
    health = tn.explain.health(model, (x, x))
    z = model[0](x).detach().numpy().astype(float)
    slope = np.cosh(z) ** -2.0 if curve is nn.Tanh else 4 / (np.exp(z / 2) + np.exp(-z / 2)) ** 2
    assert health.layers[1].flat == np.mean(slope < 0.05)
    assert health.layers[0].flat == health.layers[2].flat == 0
    assert re.search(r"1: [678]\d% of the outputs are saturated", health.verdict[0])
    assert "saturated" not in words(tower(curve, 2, 1))
    assert re.match(r"\d+% to \d+% of the outputs .* in 5 layers", words(tower(nn.Tanh, 5, 20)))


class Called(nn.Module):
    """Its activations are functions, and a part of it is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.third, self.unused = nn.Linear(16, 16), nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        return self.third(tn.tanh(self.second(F.relu(self.first(x)))))


def test_activations_that_are_functions_are_layers_too() -> None:
    tn.manual_seed(0)
    model = Called()
    with tn.no_grad():
        model.first.bias[:4] = -100
        model.second.weight.mul_(100)
    health = tn.explain.health(model, (tn.randn(64, 16), tn.randint(0, 16, (64,))))
    kinds = [layer.kind for layer in health.layers]
    assert kinds == ["Linear", "relu", "Linear", "tanh", "Linear"]
    assert health.layers[1].dead == 0.25
    assert health.layers[3].flat > 0.5
    assert all(layer.gradient > 0 for layer in health.layers)
    assert (
        health.verdict[-1]
        == "unused.weight, unused.bias: no gradient, the loss does not depend on it"
    )


def test_frozen_layers() -> None:
    model = tower(nn.Tanh, 2, 1)
    for p in model[0].parameters():
        p.requires_grad_(False)
    health = tn.explain.health(model, (tn.randn(64, 16), tn.randn(64, 16)))
    assert [layer.path for layer in health.layers] == ["0", "1", "2", "3"]
    assert "nothing stands out" in health.verdict[0]
    assert health.verdict[1] == "0.weight, 0.bias: frozen, requires_grad is False"


def test_numbers_that_are_not_finite_are_told_where_they_stand() -> None:
    model, x = tower(nn.Tanh, 2, 1), tn.randn(64, 16)
    with tn.no_grad():
        model[2].weight[0, 0] = float("nan")
    verdict = tn.explain.health(model, (x, x)).verdict
    assert verdict == [
        "the loss is nan: the first numbers that are not finite come from 2",
        "2.weight: not all numbers are finite",
    ]
    x[3, 4] = float("inf")
    with np.errstate(invalid="ignore"):
        verdict = tn.explain.health(tower(nn.Tanh, 1, 1), (x * 0, x)).verdict
    assert verdict[-1] == "the inputs: not all numbers are finite"

    class Root(nn.Linear):
        def forward(self, x: Any) -> Any:
            return (super().forward(x) * 0).sqrt()

    with np.errstate(divide="ignore", invalid="ignore"):
        model = nn.Sequential(nn.Linear(16, 16), Root(16, 16))
        verdict = tn.explain.health(model, (tn.randn(8, 16), tn.randn(8, 16))).verdict
    assert "the gradient is not finite from 0 back: an infinite slope" in "\n".join(verdict)


class Last(nn.Module):
    """A recurrent layer, of which the last output counts."""

    def __init__(self, scale: float, **how: Any) -> None:
        super().__init__()
        tn.manual_seed(0)
        self.rnn, self.out = nn.RNN(4, 16, batch_first=True, **how), nn.Linear(16, 2)
        with tn.no_grad():
            self.rnn.weight_hh_l0.copy_(tn.eye(16) * scale)

    def forward(self, x: Any) -> Any:
        return self.out(self.rnn(x)[0][:, -1])


@pytest.mark.parametrize(("scale", "word"), [(1.5, "explodes"), (0.5, "vanishes"), (1, "")])
def test_a_gradient_through_time(scale: float, word: str) -> None:
    batch = tn.randn(8, 30, 4) * 0.01, tn.randint(0, 2, (8,))
    verdict = tn.explain.health(Last(scale, nonlinearity="relu"), batch).verdict
    found = [text for text in verdict if "back through time: at the last step of rnn" in text]
    assert [word in text for text in found] == ([True] if word else [])


def test_a_recurrent_network_written_by_hand_is_seen_step_by_step() -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W = nn.Parameter(tn.eye(8) * 2)

        def forward(self, x: Any) -> Any:
            h = tn.zeros(x.shape[1:])
            for x_t in x:
                h = tn.tanh(h @ self.W.T + x_t)
            return h

    health = tn.explain.health(ByHand(), (tn.randn(12, 8, 8) * 1e-5, tn.randn(8, 8)))
    assert [x.path for x in health.layers][:2] == ["ByHand", "ByHand (2)"]
    assert len(health.layers) == 12
    assert any("the gradient explodes" in text for text in health.verdict)


def test_which_loss() -> None:
    model, x = nn.Linear(16, 3), tn.randn(8, 16)
    for targets, loss in (
        (tn.randn(8, 3), F.mse_loss),
        (tn.randint(0, 3, (8,)), F.cross_entropy),
    ):
        assert (
            tn.explain.health(model, (x, targets)).loss
            == tn.explain.health(model, (x, targets), loss).loss
        )
    ids = tn.randint(0, 3, (4, 5))  # of a language model, the classes are last
    health = tn.explain.health(nn.Embedding(3, 3), (ids, ids))
    assert health.loss > 0
    with pytest.raises(ArgumentError, match="which loss"):
        tn.explain.health(model, (x, tn.randn(8, 2)))


def test_no_gradient_at_all() -> None:
    class Closed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(16, 16)
            self.weight = nn.Parameter(tn.ones(16))

        def forward(self, x: Any) -> Any:
            return (self.inner(x) - 100).clamp(min=0) * self.weight

    assert words(Closed()) == "no gradient arrives anywhere"


def test_health_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16))
    before = {name: x.clone() for name, x in model.state_dict().items()}
    words(model)
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x.numpy(), before[name].numpy())
    assert all(p.grad is None for p in model.parameters())


def test_health_of_something_else() -> None:
    with pytest.raises(ArgumentError, match="model is a Module"):
        tn.explain.health(3, (1, 2), F.mse_loss)
    with pytest.raises(ArgumentError, match="batch is"):
        tn.explain.health(nn.Linear(1, 1), 3, F.mse_loss)
