"""The dropout family: what is dropped together, and what stays in the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.derivations import dropout
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional as F

# (layer, shape of its input, axes that one decision is made for)
WHOLE_CHANNELS: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("Dropout1d", (40, 30, 3), (2,)),
    ("Dropout1d", (900, 3), (1,)),
    ("Dropout2d", (40, 30, 3, 2), (2, 3)),
    ("Dropout2d", (40, 30, 3), (2,)),
    ("Dropout3d", (40, 30, 2, 3, 2), (2, 3, 4)),
    ("Dropout3d", (900, 2, 3, 2), (1, 2, 3)),
]


@pytest.mark.parametrize(("name", "shape", "axes"), WHOLE_CHANNELS)
def test_channels_are_kept_or_dropped_whole(
    name: str, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    tn.manual_seed(0)
    layer, x = getattr(nn, name)(0.25), tn.ones(*shape, requires_grad=True)
    y = layer(x).detach().numpy()
    np.testing.assert_array_equal(y.min(axes), y.max(axes))
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert abs(y.mean() - 1) < 0.06
    assert layer.eval()(x) is x


def test_the_gradient_takes_the_way_of_the_values() -> None:
    for name, shape in (("dropout2d", (3, 4, 2, 2)), ("feature_alpha_dropout", (3, 4, 2))):
        x = tn.randn(*shape, requires_grad=True, dtype=tn.float64)
        function = getattr(F, name)
        y = function(x, 0.5, True, generator=tn.Generator().manual_seed(1))
        g = np.random.default_rng(0).standard_normal(shape)
        (d,) = tn.autograd.grad(y, x, tn.tensor(g))
        moved = function(x.detach() + 1, 0.5, True, generator=tn.Generator().manual_seed(1))
        slope = moved.numpy() - y.detach().numpy()  # given the mask, y is affine in x
        assert 0 < (np.abs(slope) > 0.1).mean() < 1
        np.testing.assert_allclose(d.numpy(), g * slope, atol=1e-12)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(p: float) -> None:
    tn.manual_seed(0)
    y = nn.AlphaDropout(p)(tn.randn(400, 500)).numpy()
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.05
    low = float(F.selu(tn.tensor(-100.0, dtype=tn.float64)))
    assert abs(low - dropout.LOW) < 1e-12
    a, b = dropout.alpha_scale_and_shift(p)
    dropped = np.isclose(y, a * low + b, atol=1e-6)
    assert abs(dropped.mean() - p) < 0.01
    z = nn.FeatureAlphaDropout(p)(tn.randn(2000, 50, 4)).numpy()
    dropped = (z == z[..., :1]).all(2)  # what is kept is drawn anew in each place
    assert abs(dropped.mean() - p) < 0.01
    np.testing.assert_allclose(z[dropped], a * low + b, rtol=1e-5)
    assert abs(z.mean()) < 0.05
    assert abs(z.var() - 1) < 0.1


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout"])
def test_the_ends_and_the_modes(name: str) -> None:
    x = tn.randn(3, 4, 5)
    kept = x.clone()
    assert getattr(nn, name)(0.0)(x) is x
    assert not getattr(nn, name)(1.0)(x).numpy().any()
    layer = getattr(nn, name)(0.5, inplace=True)
    assert repr(layer) == f"{name}(p=0.5, inplace=True)"
    assert layer.eval()(x) is x
    assert layer.train()(x) is x
    assert (x != kept).numpy().any()
    with pytest.raises(ArgumentError, match=f"{name}: a probability"):
        getattr(nn, name)(-0.1)


def test_mistakes_are_named() -> None:
    calls: list[tuple[Any, int, str]] = [
        (F.dropout1d, 4, "dropout1d"),
        (F.dropout2d, 2, "dropout2d"),
        (F.dropout3d, 3, "dropout3d"),
    ]
    for function, axes, name in calls:
        with pytest.raises(ShapeError, match=f"{name}: the number of axes"):
            function(tn.ones(*(2,) * axes))
        with pytest.raises(ArgumentError, match=f"{name}: a probability"):
            function(tn.ones(2, 2, 2, 2)[(0,) * (name == "dropout1d")], p=1.5)
    with pytest.raises(ShapeError, match="feature_alpha_dropout"):
        F.feature_alpha_dropout(tn.ones(3), training=True)
