"""Layers, losses, optimizers, files and loaders on CuPy's arrays, and on those of the double."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from properties import assert_close, host

import tinynet as tn
from tinynet import nn, optim
from tinynet.derivations import perceptron


class MLP(nn.Module):
    """Two layers, with dropout where asked for."""

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(p), nn.Linear(8, 3))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "adam": lambda p: optim.Adam(p, lr=0.05, weight_decay=0.01, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.05),
}


@pytest.mark.parametrize("loss_name", ["cross_entropy", "mse", "bce"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_the_same_way(cupy: Any, name: str, loss_name: str) -> None:
    rng = np.random.default_rng(0)
    inputs, classes = rng.standard_normal((12, 4)), rng.integers(0, 3, 12)
    targets = classes if loss_name == "cross_entropy" else np.eye(3)[classes]
    loss_of = {
        "cross_entropy": nn.CrossEntropyLoss(ignore_index=2),
        "mse": nn.MSELoss(),
        "bce": nn.BCEWithLogitsLoss(),
    }[loss_name]
    runs = []
    for device in ("cpu", "cuda"):
        tn.manual_seed(0)
        model = MLP().double().to(device)
        optimizer = OPTIMIZERS[name](model.parameters())
        x, t = tn.tensor(inputs, device=device), tn.tensor(targets, device=device)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = loss_of(model(x), t)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            nn.utils.clip_grad_value_(model.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
        assert {p.device for p in model.parameters()} == {x.device}
        runs.append((np.array(losses), *model.parameters()))
    for expected, found in zip(*runs, strict=True):
        assert_close(found, expected)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_the_norm_of_gradients(cupy: Any, norm_type: float) -> None:
    norms = []
    for device in ("cpu", "cuda"):
        ps = [
            tn.ones(2, 3, device=device, requires_grad=True),
            tn.zeros(0, device=device, requires_grad=True),
        ]
        sum((p * p * 3).sum() for p in ps).backward()
        norms.append(nn.utils.clip_grad_norm_(ps, 1.0, norm_type))
    assert_close(norms[1], norms[0], "f4")


def test_dropout(cupy: Any) -> None:
    tn.manual_seed(0)
    x = tn.ones(1000, device="cuda", requires_grad=True)
    y = nn.functional.dropout(x, 0.25)
    y.sum().backward()
    assert set(host(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    np.testing.assert_array_equal(host(x.grad), host(y))
    model = MLP(0.5).to("cuda")
    assert model(tn.ones(2, 4, device="cuda")).device == "cuda:0"
    assert model.eval()(tn.ones(2, 4, device="cuda")).shape == (2, 3)


def test_one_hot_and_vectors(cupy: Any) -> None:
    ids = tn.tensor([0, 2], device="cuda")
    assert_close(nn.functional.one_hot(ids), np.array([[1, 0, 0], [0, 0, 1]]))
    with pytest.raises(tn.errors.OutOfRangeError):
        nn.functional.one_hot(ids, 2)
    with pytest.raises(tn.errors.OutOfRangeError, match="no class 2"):
        nn.functional.cross_entropy(tn.zeros(2, 2, device="cuda"), ids)
    model = MLP().to("cuda")
    vector = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(vector.detach() * 2, model.parameters())
    assert_close(nn.utils.parameters_to_vector(model.parameters()), vector.detach() * 2, "f4")


def test_state_goes_to_a_file_and_back(cupy: Any, tmp_path: Path) -> None:
    model = MLP().to("cuda")
    optimizer = optim.Adam(model.parameters())
    model(tn.ones(2, 4, device="cuda")).sum().backward()
    optimizer.step()
    tn.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "run.st")
    saved = tn.load(tmp_path / "run.st")
    assert saved["model"]["layers.0.weight"].device == "cpu"
    there = tn.load(tmp_path / "run.st", map_location="cuda")
    assert there["model"]["layers.0.weight"].device == "cuda:0"
    for state, device in ((saved, "cuda"), (there, "cpu"), (there, "cuda")):
        other = MLP().to(device)
        other.load_state_dict(state["model"])
        again = optim.Adam(other.parameters())
        again.load_state_dict(state["optimizer"])
        other(tn.ones(2, 4, device=device)).sum().backward()
        again.step()
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            assert q.device == tn.zeros(1, device=device).device
            assert p.shape == q.shape


def test_a_loader_whose_batches_move(cupy: Any) -> None:
    data = tn.utils.data.TensorDataset(tn.randn(10, 4), tn.randint(3, (10,)))
    loader = tn.utils.data.DataLoader(data, batch_size=4, shuffle=True)
    model = MLP().to("cuda")
    for x, t in loader:
        loss = nn.functional.cross_entropy(model(x.to("cuda")), t.to("cuda"))
        loss.backward()
    assert loss.device == "cuda:0"
    on_gpu = tn.utils.data.TensorDataset(tn.randn(5, 4, device="cuda"), tn.arange(5, device="cuda"))
    generator = tn.Generator("cuda").manual_seed(0)
    for x, t in tn.utils.data.DataLoader(on_gpu, batch_size=2, shuffle=True, generator=generator):
        assert x.device == t.device == "cuda:0"


def test_metrics_take_tensors_of_the_gpu(cupy: Any) -> None:
    scores = tn.tensor([[2.0, 1.0], [0.0, 3.0]], device="cuda")
    assert tn.metrics.accuracy(scores, tn.tensor([0, 1], device="cuda")) == 1.0


def test_the_perceptron(cupy: Any) -> None:
    points, labels = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([-1, -1, -1, 1])
    expected, found = (perceptron.fit(f(points), f(labels)) for f in (np.array, cupy.asarray))
    assert (found.mistakes, found.converged, found.b) == (expected.mistakes, True, expected.b)
    assert_close(found.w, expected.w)
    assert_close(perceptron.predict(cupy.asarray(points), found.w, found.b), labels)
    bounds = [
        perceptron.mistake_bound(f(points), f(labels), f(expected.w), expected.b)
        for f in (np.array, cupy.asarray)
    ]
    assert bounds[0] == pytest.approx(bounds[1])
