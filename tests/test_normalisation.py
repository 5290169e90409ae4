"""Normalisation: what standardising means, running statistics, layers beside PyTorch's, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import assert_close

import tinynet as tn
from tinynet import nn
from tinynet.derivations import batch_norm, group_norm, layer_norm, rms_norm, standardise
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)

# (function of x alone, x's shape, axes of the sets that are standardised together, in `split`)
SETS: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "batch": (lambda x, eps: F.batch_norm(x, None, None, training=True, eps=eps), (6, 3), (0,)),
    "batch, images": (
        lambda x, eps: F.batch_norm(x, None, None, training=True, eps=eps),
        (4, 3, 2, 5),
        (0, 2, 3),
    ),
    "layer": (lambda x, eps: F.layer_norm(x, (5,), eps=eps), (2, 3, 5), (2,)),
    "layer, two axes": (lambda x, eps: F.layer_norm(x, (3, 5), eps=eps), (4, 3, 5), (1, 2)),
    "instance": (lambda x, eps: F.instance_norm(x, eps=eps), (2, 3, 4, 2), (2, 3)),
    "one group": (lambda x, eps: F.group_norm(x, 1, eps=eps), (3, 4, 2), (1, 2)),
}


def standardised(name: str, x: Any, eps: float = 0.0) -> Any:
    return SETS[name][0](tn.tensor(x), eps).numpy()


# -- what standardising means ----------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_mean_0_variance_1_and_nothing_else_of_scale_and_shift(
    name: str, seed: int, scale: float, shift: float
) -> None:
    _, shape, axes = SETS[name]
    x = np.random.default_rng(seed).standard_normal(shape)
    y = standardised(name, x)
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axes), 1, rtol=1e-12)
    np.testing.assert_allclose(standardised(name, scale * x + shift), y, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(standardised(name, -x), -y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_the_gradient_has_no_part_along_a_shift_or_a_stretch(name: str) -> None:
    function, shape, axes = SETS[name]
    x = tn.tensor(rng.standard_normal(shape) * 3 + 5, requires_grad=True)
    y = function(x, 0.0)
    (dx,) = tn.autograd.grad(y, x, tn.tensor(rng.standard_normal(shape)))
    d, x_hat = dx.numpy(), y.detach().numpy()
    assert np.abs(d).max() > 0.1
    np.testing.assert_allclose(d.sum(axes), 0, atol=1e-13)
    np.testing.assert_allclose((d * x_hat).sum(axes), 0, atol=1e-13)


def test_rms_norm_ignores_a_stretch_and_sees_a_shift() -> None:
    x = rng.standard_normal((4, 5))
    y = F.rms_norm(tn.tensor(x), (5,), eps=0.0).numpy()
    np.testing.assert_allclose((y * y).mean(1), 1)
    np.testing.assert_allclose(F.rms_norm(tn.tensor(7 * x), (5,), eps=0.0).numpy(), y)
    assert np.abs(F.rms_norm(tn.tensor(x + 7), (5,), eps=0.0).numpy() - y).max() > 0.5
    centred = tn.tensor(x - x.mean(1, keepdims=True))  # with mean 0 it is layer norm
    both = [f(centred, (5,), eps=1e-3).numpy() for f in (F.rms_norm, F.layer_norm)]
    np.testing.assert_allclose(*both)


def test_a_sample_alone_and_in_a_batch() -> None:
    """Layer and group norm do not look at other samples; batch norm does."""
    x = rng.standard_normal((5, 4, 3))
    other = x.copy()
    other[1:] += rng.standard_normal((4, 4, 3))
    for name in ("layer", "layer, two axes", "instance", "one group"):
        function = {
            "layer": lambda x: F.layer_norm(x, (3,)),
            "layer, two axes": lambda x: F.layer_norm(x, (4, 3)),
            "instance": F.instance_norm,
            "one group": lambda x: F.group_norm(x, 2),
        }[name]
        a, b, alone = (function(tn.tensor(v)).numpy() for v in (x, other, x[:1]))
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_allclose(a[:1], alone, rtol=1e-12, atol=1e-12)
        assert np.abs(a[1:] - b[1:]).max() > 0.1
    a, b = (F.batch_norm(tn.tensor(v), None, None, training=True).numpy() for v in (x, other))
    assert np.abs(a[0] - b[0]).max() > 0.1


def test_one_group_a_group_for_each_channel_and_the_norms_between() -> None:
    x = tn.tensor(rng.standard_normal((3, 6, 4)))
    one, layer = F.group_norm(x, 1), F.layer_norm(x, (6, 4))
    np.testing.assert_allclose(one.numpy(), layer.numpy(), rtol=1e-12, atol=1e-12)
    each, instance = F.group_norm(x, 6), F.instance_norm(x)
    np.testing.assert_array_equal(each.numpy(), instance.numpy())
    single = F.batch_norm(x[:1], None, None, training=True)  # a batch of one image
    np.testing.assert_allclose(single.numpy(), instance[:1].numpy(), rtol=1e-12, atol=1e-12)


def test_the_variance_is_taken_in_two_passes() -> None:
    """In float32 mean(x²) − mean(x)² of 1000 ± 0.1 is off by more than the variance itself."""
    exact = rng.standard_normal((64, 8)) * 0.1 + 1000
    x = exact.astype("f4")
    naive = np.mean(x * x, axis=0) - np.mean(x, axis=0) ** 2
    assert (np.abs(naive / exact.var(0) - 1) > 1).any()
    for name in ("batch", "layer"):
        proof, axis = (batch_norm, 0) if name == "batch" else (layer_norm, 1)
        y, _ = proof.forward(x, eps=1e-5)
        assert y.dtype == np.float32
        wide = x.astype("f8")
        expected = (wide - wide.mean(axis, keepdims=True)) / np.sqrt(
            wide.var(axis, keepdims=True) + 1e-5
        )
        np.testing.assert_allclose(y, expected, atol=0.01)  # the mean is known to ± 0.0005
    _, v = batch_norm.statistics(x, (0,))
    np.testing.assert_allclose(v, x.astype("f8").var(0, ddof=1), rtol=1e-2)


def test_epsilon_stands_inside_of_the_root() -> None:
    x = np.array([[0.0], [2.0]])  # variance 1
    y, _ = batch_norm.forward(x, eps=3.0)
    np.testing.assert_allclose(y, [[-0.5], [0.5]])
    np.testing.assert_allclose(rms_norm.forward(x.T, eps=2.0)[0], [[0.0, 1.0]])
    for constant in (F.layer_norm(tn.full((2, 3), 7.0), (3,)), F.rms_norm(tn.zeros(2, 3), (3,))):
        assert not constant.numpy().any()  # 0 over √ε, not over 0


def test_the_jacobian_of_the_text() -> None:
    """∂x̂_i/∂x_j = s (δ_ij − 1/n − x̂_i x̂_j / n), symmetric."""
    x, eps = rng.standard_normal(5), 0.3
    x_hat, s = standardise.x_hat_and_scale(x, (0,), eps)
    jacobian = tn.func.jacrev(lambda x: layer_norm.op(x, eps=eps))(tn.tensor(x)).numpy()
    np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-14)
    expected = s * (np.eye(5) - 1 / 5 - np.outer(x_hat, x_hat) / 5)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-12, atol=1e-14)


def test_only_the_gradients_that_are_needed() -> None:
    for proof, options in ((layer_norm, {}), (batch_norm, {}), (group_norm, {"groups": 2})):
        x, w = rng.standard_normal((3, 4)), rng.standard_normal(4)
        _, saved = proof.forward(x, w, w, **options)
        everything = proof.backward(x, saved, **options)
        none_of_x = proof.backward(x, saved, needs=(False, True, True), **options)
        assert none_of_x[0] is None
        np.testing.assert_array_equal(none_of_x[1], everything[1])
        np.testing.assert_array_equal(none_of_x[2], everything[2])


# -- evaluation, and the running statistics --------------------------------------------------------


def test_evaluation_is_an_affine_map() -> None:
    x, w, b = (
        tn.tensor(rng.standard_normal(s), requires_grad=True) for s in ((4, 3, 2), (3,), (3,))
    )
    mean, var = rng.standard_normal(3), rng.random(3) + 0.5
    given = [tn.tensor(mean), tn.tensor(var)]
    y = F.batch_norm(x, *given, w, b, eps=0.1)
    scale = w.detach().numpy() / np.sqrt(var + 0.1)
    expected = (x.detach().numpy() - mean[:, None]) * scale[:, None] + b.detach().numpy()[:, None]
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    g = rng.standard_normal((4, 3, 2))
    dx, db = tn.autograd.grad(y, [x, b], tn.tensor(g))
    np.testing.assert_allclose(dx.numpy(), g * scale[:, None])  # no sum is subtracted
    np.testing.assert_allclose(db.numpy(), g.sum((0, 2)))
    np.testing.assert_array_equal(given[0].numpy(), mean)  # nothing is learnt in evaluation
    np.testing.assert_array_equal(given[1].numpy(), var)


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_statistics_against_a_loop(momentum: float | None) -> None:
    layer = nn.BatchNorm1d(2, momentum=momentum, dtype=tn.float64)
    mean, var = [0.0, 0.0], [1.0, 1.0]
    for step in range(1, 5):
        x = rng.standard_normal((6, 2, 3)) * step + step
        layer(tn.tensor(x))
        weight = 1 / step if momentum is None else momentum
        for c in range(2):
            values = x[:, c].flatten().tolist()
            m = math.fsum(values) / len(values)
            v = math.fsum((u - m) ** 2 for u in values) / (len(values) - 1)
            mean[c] = (1 - weight) * mean[c] + weight * m
            var[c] = (1 - weight) * var[c] + weight * v
        assert int(layer.num_batches_tracked) == step
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-12)
    layer.eval()
    x = rng.standard_normal((3, 2))
    y = layer(tn.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(np.array(var) + 1e-5), rtol=1e-10)
    assert int(layer.num_batches_tracked) == 4
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0]
    assert layer.running_var.tolist() == [1, 1]
    assert int(layer.num_batches_tracked) == 0


def test_statistics_keep_their_dtype_and_no_graph() -> None:
    layer = nn.BatchNorm2d(2)
    x = tn.randn(3, 2, 4, 4, requires_grad=True)
    layer(x).sum().backward()
    assert layer.running_mean.dtype == layer.running_var.dtype == np.float32
    assert layer.num_batches_tracked.dtype == np.int64
    assert not layer.running_mean.requires_grad
    assert list(layer.state_dict()) == [
        *("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]


def test_without_tracking_the_batch_is_always_used() -> None:
    layer = nn.BatchNorm1d(2, affine=False, track_running_stats=False)
    assert list(layer.state_dict()) == []
    assert list(layer.parameters()) == []
    x = tn.randn(5, 2)
    np.testing.assert_array_equal(layer(x).numpy(), layer.eval()(x).numpy())


def test_instance_statistics_are_averages_over_the_samples() -> None:
    layer = nn.InstanceNorm1d(2, track_running_stats=True, momentum=1.0, dtype=tn.float64)
    x = rng.standard_normal((3, 2, 4))
    layer(tn.tensor(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), x.mean((0, 2)))
    np.testing.assert_allclose(layer.running_var.numpy(), x.var(2, ddof=1).mean(0))
    y = layer.eval()(tn.tensor(x[0])).numpy()  # one sample, without a batch
    z = (x[0] - x.mean((0, 2))[:, None]) / np.sqrt(x.var(2, ddof=1).mean(0)[:, None] + 1e-5)
    np.testing.assert_allclose(y, z)


def test_an_empty_batch() -> None:
    for layer in (nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(3, 3), nn.RMSNorm(3)):
        x = tn.zeros(0, 3, requires_grad=True)
        y = layer(x)
        assert y.shape == (0, 3)
        y.sum().backward()
        assert layer.weight.grad.tolist() == [0, 0, 0]
    assert nn.BatchNorm1d(3).running_mean.tolist() == [0, 0, 0]


def test_a_network_with_batch_norm_learns_what_plain_layers_hardly_do() -> None:
    """Inputs of very different sizes: standardised, one learning rate serves all."""
    tn.manual_seed(0)
    x = rng.standard_normal((128, 2)) * [100.0, 0.01] + [50.0, 0.0]
    y = tn.tensor((x[:, 1] > 0).astype("i8"))
    data, losses = tn.tensor(x.astype("f4")), {}
    for name in ("plain", "normalised"):
        model = (
            nn.Linear(2, 2)
            if name == "plain"
            else nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
        )
        sgd = tn.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(100):
            sgd.zero_grad()
            loss = F.cross_entropy(model(data), y)
            loss.backward()
            sgd.step()
        losses[name] = loss.item()
    assert losses["normalised"] < 0.2
    assert losses["plain"] > 0.6


@pytest.mark.parametrize("momentum", [0.3, None])
def test_on_the_gpu_as_on_the_cpu(cupy: Any, momentum: float | None) -> None:
    x, found = rng.standard_normal((4, 6, 3)), []
    for device in ("cpu", "cuda"):
        model = nn.Sequential(
            nn.BatchNorm1d(6, momentum=momentum),
            nn.InstanceNorm1d(6, affine=True, track_running_stats=True),
            nn.GroupNorm(2, 6),
            nn.LocalResponseNorm(2, alpha=1.0),
            nn.LayerNorm(3),
            nn.RMSNorm((6, 3)),
        ).double()
        model.to(device=device)
        data = tn.tensor(x, device=device, requires_grad=True)
        y = model(data) + model.eval()(data)
        (y * y * data).sum().backward()
        assert data.grad.device == y.device == data.device
        found.append([y, data.grad, *model.buffers(), *(p.grad for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        assert_close(b, a)


# -- local response normalisation ------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_local_response_norm_against_a_loop(size: int) -> None:
    x = rng.standard_normal((2, 5, 3))
    y = F.local_response_norm(tn.tensor(x), size, alpha=0.7, beta=0.6, k=1.5).numpy()
    for b, c, p in np.ndindex(x.shape):
        near = range(c - size // 2, c - size // 2 + size)
        squares = [float(x[b, j, p]) ** 2 for j in near if 0 <= j < 5]
        expected = x[b, c, p] / (1.5 + 0.7 * math.fsum(squares) / size) ** 0.6
        assert math.isclose(float(y[b, c, p]), expected, rel_tol=1e-12)


# -- mistakes --------------------------------------------------------------------------------------


def test_mistakes_are_named() -> None:
    x = tn.ones(1, 3)
    with pytest.raises(ShapeError, match=r"more than 1 value for each channel(.|\n)*layer.eval"):
        nn.BatchNorm1d(3)(x)
    assert nn.BatchNorm1d(3).eval()(x).shape == (1, 3)
    with pytest.raises(ShapeError, match=r"BatchNorm2d: the number of axes(.|\n)*4 axes"):
        nn.BatchNorm2d(3)(x)
    with pytest.raises(ShapeError, match=r"running_mean does not fit(.|\n)*\(3,\)"):
        nn.BatchNorm1d(2)(tn.ones(4, 3))
    with pytest.raises(ShapeError, match="weight does not fit"):
        F.batch_norm(tn.ones(4, 3), None, None, tn.ones(2), training=True)
    with pytest.raises(ShapeError, match=r"\(n, c\)"):
        F.batch_norm(tn.ones(3), None, None, training=True)
    with pytest.raises(ArgumentError, match="no running statistics"):
        F.batch_norm(tn.ones(4, 3), None, None)
    with pytest.raises(ArgumentError, match="together"):
        F.batch_norm(tn.ones(4, 3), tn.ones(3), None)
    with pytest.raises(ShapeError, match=r"does not end with(.|\n)*\(…, 4\)"):
        nn.LayerNorm(4)(x)
    with pytest.raises(ShapeError, match="layer_norm: the bias does not fit"):
        F.layer_norm(x, (3,), tn.ones(3), tn.ones(1))
    with pytest.raises(ShapeError, match="rms_norm"):
        F.rms_norm(x, (2,))
    with pytest.raises(ArgumentError, match="6 channels do not fall into 4 groups"):
        nn.GroupNorm(4, 6)
    with pytest.raises(ShapeError, match="group_norm: 3 channels do not fall into 2 groups"):
        F.group_norm(x, 2)
    with pytest.raises(ShapeError, match="no axis for the channels"):
        F.group_norm(tn.ones(()), 1)
    with pytest.raises(ShapeError, match="more than 1 value for each channel of a sample"):
        nn.InstanceNorm1d(3)(tn.ones(2, 3, 1))
    with pytest.raises(ShapeError, match="3 channels are expected"):
        nn.InstanceNorm1d(3)(tn.ones(2, 4, 5))
    with pytest.raises(ArgumentError, match="size is a whole number from 1 on"):
        F.local_response_norm(tn.ones(1, 3, 2), 0)
    with pytest.raises(ShapeError, match="local_response_norm"):
        F.local_response_norm(x, 2)


# -- against PyTorch -------------------------------------------------------------------------------

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"momentum": None, "eps": 0.1}, (5, 3, 2)),
    ("BatchNorm2d", (3,), {"affine": False}, (2, 3, 4, 2)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 2)),
    ("BatchNorm3d", (2,), {"bias": False}, (2, 2, 2, 3, 2)),
    ("LayerNorm", (4,), {}, (2, 3, 4)),
    ("LayerNorm", ((3, 4),), {"bias": False, "eps": 0.1}, (2, 3, 4)),
    ("LayerNorm", ([4],), {"elementwise_affine": False}, (3, 4)),
    ("GroupNorm", (2, 4), {}, (3, 4, 5)),
    ("GroupNorm", (4, 4), {"affine": False, "eps": 0.2}, (3, 4, 2, 2)),
    ("GroupNorm", (1, 4), {"bias": False}, (3, 4)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 4)),
    ("InstanceNorm1d", (3,), {"affine": True, "track_running_stats": True}, (3, 4)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 4, 2)),
    ("InstanceNorm3d", (2,), {"affine": True, "momentum": 0.3}, (2, 2, 2, 3, 2)),
    ("RMSNorm", (4,), {}, (2, 3, 4)),
    ("RMSNorm", ((3, 4),), {"eps": 0.1, "elementwise_affine": False}, (2, 3, 4)),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, (2, 5, 4)),
]


@pytest.mark.peers
@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_peer_layers(
    name: str, args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours).split("  #")[0] == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy())
    ours.double(), theirs.double()
    source = np.random.default_rng(1)
    state = {k: source.standard_normal(v.shape) for k, v in theirs.named_parameters()}
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    ours.load_state_dict(state, strict=False)
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        x, g = source.standard_normal(shape) * 2 + 1, source.standard_normal(shape)
        a, b = tn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-11, atol=1e-12)
        ours.zero_grad(), theirs.zero_grad()
        y.backward(tn.tensor(g)), z.backward(torch.tensor(g))
        pairs = [(a.grad, b.grad)]
        pairs += [
            (p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)
        ]
        pairs += list(zip(ours.buffers(), theirs.buffers(), strict=True))
        for mine, other in pairs:
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.peers
def test_peer_second_derivatives() -> None:
    torch = pytest.importorskip("torch")
    x, w, g, v = (rng.standard_normal(s) for s in ((4, 3), (3,), (4, 3), (4, 3)))
    calls = {
        "batch": lambda F, x, w: F.batch_norm(x, None, None, w, training=True),
        "layer": lambda F, x, w: F.layer_norm(x, (3,), w),
        "group": lambda F, x, w: F.group_norm(x, 1, w),
        "rms": lambda F, x, w: F.rms_norm(x, (3,), w),
    }
    for call in calls.values():
        found = []
        for module, functional in ((tn, F), (torch, torch.nn.functional)):
            a, b = module.tensor(x, requires_grad=True), module.tensor(w, requires_grad=True)
            y = call(functional, a, b)
            (dx,) = module.autograd.grad(y, a, module.tensor(g), create_graph=True)
            found.append(module.autograd.grad(dx, [a, b], module.tensor(v)))
        for mine, other in zip(*found, strict=True):
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-9, atol=1e-10)


# -- half precision --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["batch", "group", "instance", "layer", "rms", "average", "area"])
def test_half_precision_sums_in_float32(name: str) -> None:
    """Sums of these entries and of their squares are larger than any float16."""
    functions = {
        "batch": lambda x: F.batch_norm(x, None, None, training=True),
        "group": lambda x: F.group_norm(x, 2),
        "instance": F.instance_norm,
        "layer": lambda x: F.layer_norm(x, (8,), tn.ones(8, dtype=x.dtype)),
        "rms": lambda x: F.rms_norm(x, (8,)),
        "average": lambda x: F.avg_pool2d(x, 8),
        "area": lambda x: F.adaptive_avg_pool2d(x, 1),
    }
    values = (1000 + 5 * np.random.default_rng(0).normal(size=(2, 4, 8, 8))).astype(np.float16)
    x = tn.tensor(values, requires_grad=True)
    y, exact = functions[name](x), functions[name](tn.tensor(values.astype(np.float64)))
    assert y.dtype == tn.float16
    np.testing.assert_allclose(y.detach().numpy(), exact.numpy(), rtol=2e-3, atol=2e-3)
    y.sum().backward()
    assert x.grad.dtype == tn.float16
    assert np.isfinite(x.grad.numpy()).all()


def test_running_statistics_in_half_precision() -> None:
    layer = tn.nn.BatchNorm1d(2).half()
    layer(1000 + tn.arange(8.0).reshape(4, 2).half())
    assert layer.running_mean.dtype == tn.float16
    np.testing.assert_allclose(layer.running_mean.numpy(), [100.3, 100.4], rtol=1e-3)
