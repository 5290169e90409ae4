"""The first weights: sizes, shapes, and what they are for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional as F


@pytest.mark.parametrize(
    ("draw", "std"),
    [
        (lambda w: nn.init.xavier_uniform_(w), math.sqrt(2 / (300 + 400))),
        (lambda w: nn.init.xavier_normal_(w, gain=2.0), 2 * math.sqrt(2 / (300 + 400))),
        (lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(2 / 400)),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out"), math.sqrt(2 / 300)),
        (lambda w: nn.init.uniform_(w, -3.0, 3.0), math.sqrt(3)),
        (lambda w: nn.init.normal_(w, 0.0, 0.1), 0.1),
    ],
)
def test_first_weights_have_the_promised_size(draw: Any, std: float) -> None:
    tn.manual_seed(1)
    w = nn.Parameter(tn.zeros(300, 400))
    assert draw(w) is w
    values = w.detach().numpy()
    assert math.isclose(float(values.std()), std, rel_tol=0.01)
    assert abs(float(values.mean())) < std * 0.02
    assert w.is_leaf


def test_init_keeps_the_signal() -> None:
    """Through 20 relu layers: He's weights keep the size, weights of 0.01 lose it."""
    tn.manual_seed(2)
    ends = []
    for draw in (
        lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        lambda w: nn.init.normal_(w, 0.0, 0.01),
    ):
        x = tn.randn(64, 128)
        for _ in range(20):
            x = F.relu(F.linear(x, draw(tn.empty(128, 128))))
        ends.append(float(x.numpy().std()))
    assert 0.1 < ends[0] < 10
    assert ends[1] < 1e-10


def test_init_mistakes_and_constants() -> None:
    with pytest.raises(ShapeError, match="fan-in"):
        nn.init.xavier_uniform_(tn.ones(3))
    with pytest.raises(ArgumentError, match="fan_in"):
        nn.init.kaiming_uniform_(tn.ones(3, 3), mode="in")
    with pytest.raises(ArgumentError, match="gain"):
        nn.init.calculate_gain("swish")
    assert nn.init.ones_(tn.zeros(2)).tolist() == [1, 1]
    assert nn.init.zeros_(tn.ones(2)).tolist() == [0, 0]
    with pytest.raises(ArgumentError, match="not negative"):
        nn.Linear(-1, 2)
    bound = 1 / math.sqrt(16)
    layer = nn.Linear(16, 500)
    for p in layer.parameters():
        assert bound * 0.97 < float(np.abs(p.detach().numpy()).max()) <= bound
    assert nn.Linear(0, 2)(tn.ones(3, 0)).shape == (3, 2)


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (4, 2, 3), (1, 5)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    tn.manual_seed(3)
    W = nn.init.orthogonal_(tn.empty(*shape, dtype=tn.float64), gain=2.0).numpy()
    W = W.reshape(shape[0], -1)
    small = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-13)


def test_orthogonal_matrices_are_equally_likely() -> None:
    """Their entries have mean 0 and variance 1/n; the trace of a rotation of the plane has too."""
    tn.manual_seed(4)
    drawn = np.stack([nn.init.orthogonal_(tn.empty(3, 3)).numpy() for _ in range(2000)])
    assert np.abs(drawn.mean(0)).max() < 0.06
    np.testing.assert_allclose(drawn.var(0), 1 / 3, atol=0.04)
    assert abs(float(np.linalg.det(drawn).mean())) < 0.1
    assert nn.init.orthogonal_(tn.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.0, 1.0, -2.0, 2.0), (0.0, 1.0, 1.0, 4.0), (1.0, 0.02, -2.0, 2.0), (3.0, 1.0, -1.0, 1.0)],
)
def test_truncated_normal(mean: float, std: float, a: float, b: float) -> None:
    tn.manual_seed(5)
    w = nn.init.trunc_normal_(tn.empty(200, 200, dtype=tn.float64), mean, std, a, b).numpy()
    assert a <= w.min() <= w.max() <= b
    x = np.linspace(a, b, 200_001)  # mean and variance by the density
    p = np.exp(-((x - mean) ** 2) / (2 * std**2))
    expected = float((x * p).sum() / p.sum())
    spread = math.sqrt(float(((x - expected) ** 2 * p).sum() / p.sum()))
    assert abs(float(w.mean()) - expected) < 0.02 * spread
    assert math.isclose(float(w.std()), spread, rel_tol=0.02)


def test_identities_and_zeros() -> None:
    x = tn.randn(4, 3)
    np.testing.assert_array_equal(F.linear(x, nn.init.eye_(tn.empty(3, 3))).numpy(), x.numpy())
    w = nn.init.sparse_(tn.empty(20, 50), sparsity=0.4, std=2.0).numpy()
    assert ((w == 0).sum(0) == 8).all()
    assert math.isclose(float(w[w != 0].std()), 2.0, rel_tol=0.1)
    p = nn.Parameter(tn.zeros(4, 4))
    for draw in (nn.init.orthogonal_, nn.init.trunc_normal_, nn.init.eye_):
        assert draw(p) is p
        assert p.is_leaf
        assert p.requires_grad


def test_a_generator_repeats_the_draw() -> None:
    for draw in (nn.init.orthogonal_, nn.init.trunc_normal_, nn.init.kaiming_normal_):
        pair = [draw(tn.empty(3, 4), generator=tn.Generator().manual_seed(1)).numpy() for _ in "ab"]
        np.testing.assert_array_equal(*pair)


def test_mistakes_of_shape() -> None:
    for draw in (nn.init.orthogonal_, nn.init.eye_, nn.init.dirac_):
        with pytest.raises(ShapeError):
            draw(tn.ones(3))
    with pytest.raises(ShapeError):
        nn.init.sparse_(tn.ones(3), 0.5)
    with pytest.raises(ShapeError, match="groups=2"):
        nn.init.dirac_(tn.ones(3, 1, 3), groups=2)
    with pytest.raises(ArgumentError, match="a < b"):
        nn.init.trunc_normal_(tn.ones(3), a=1.0, b=-1.0)


# -- against PyTorch ---------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize(("shape", "groups"), [((4, 2, 3), 2), ((3, 5, 3, 4), 1), ((5, 3, 2), 1)])
def test_peer_dirac(shape: tuple[int, ...], groups: int) -> None:
    torch = pytest.importorskip("torch")
    mine = nn.init.dirac_(tn.ones(*shape), groups)
    other = torch.nn.init.dirac_(torch.ones(*shape), groups)
    np.testing.assert_array_equal(mine.numpy(), other.numpy())


@pytest.mark.peers
@pytest.mark.parametrize(
    "name", ["relu", "tanh", "linear", "conv2d", "sigmoid", "selu", "leaky_relu"]
)
def test_peer_gains(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert math.isclose(nn.init.calculate_gain(name), torch.nn.init.calculate_gain(name))
