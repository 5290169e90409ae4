"""Optimizers: PyTorch's numbers, state that goes round, mistakes that are named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn, optim
from tinynet.errors import ArgumentError, DTypeError, InPlaceError, ShapeError

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "maximize": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
]
named = pytest.mark.parametrize(("name", "options"), SETTINGS)


def gradients(shape: Any, steps: int, dtype: Any) -> Any:
    """Gradients that turn, vanish and grow: what separates one rule from another."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.uniform(-3, 1, (steps, 1, 1))
    return (rng.standard_normal((steps, *shape)) * scale).astype(dtype)


def run(optimizer: Any, p: Any, gs: Any, tensor: Any = tn.tensor) -> Any:
    for g in gs:
        p.grad = tensor(g)
        optimizer.step()
    return p.detach().numpy()


@pytest.mark.peers
@named
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_peer_30_steps(name: str, options: Any, dtype: Any, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    start = np.random.default_rng(1).standard_normal((5, 4)).astype(dtype)
    gs = gradients((5, 4), 30, dtype)
    ours = tn.tensor(start, requires_grad=True)
    theirs = torch.tensor(start, requires_grad=True)
    a = run(getattr(optim, name)([ours], **options), ours, gs)
    b = run(getattr(torch.optim, name)([theirs], **options), theirs, gs, torch.tensor)
    assert a.dtype == dtype
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@pytest.mark.peers
@named
def test_peer_takes_over_in_the_middle(name: str, options: Any) -> None:
    """PyTorch's state after 5 steps, loaded here, and the other way round."""
    torch = pytest.importorskip("torch")
    start = np.random.default_rng(1).standard_normal((5, 4))
    gs = gradients((5, 4), 10, np.float64)
    theirs = torch.tensor(start, requires_grad=True)
    peer = getattr(torch.optim, name)([theirs], **options)
    run(peer, theirs, gs[:5], torch.tensor)
    ours = tn.tensor(theirs.detach().numpy().copy(), requires_grad=True)
    mine = getattr(optim, name)([ours], **options)
    saved = peer.state_dict()
    saved["state"] = {
        k: {n: v.numpy().copy() if hasattr(v, "numpy") else v for n, v in s.items()}
        for k, s in saved["state"].items()
    }
    mine.load_state_dict(saved)
    a, b = run(mine, ours, gs[5:]), run(peer, theirs, gs[5:], torch.tensor)
    np.testing.assert_allclose(a, b, rtol=1e-11)
    back, saved = mine.state_dict(), peer.state_dict()
    assert set(back) == set(saved)
    assert set(back["param_groups"][0]) <= set(saved["param_groups"][0])
    assert {k: list(s) for k, s in back["state"].items()} == {
        k: list(s) for k, s in saved["state"].items()
    }
    back["state"] = {
        k: {n: torch.tensor(v.numpy()) if n != "step" else v for n, v in s.items()}
        for k, s in back["state"].items()
    }
    again = torch.tensor(a, requires_grad=True)
    peer = getattr(torch.optim, name)([again])
    peer.load_state_dict(back)
    a, b = run(mine, ours, gs[:5]), run(peer, again, gs[:5], torch.tensor)
    np.testing.assert_allclose(a, b, rtol=1e-11)


@named
def test_state_goes_round(name: str, options: Any) -> None:
    gs = gradients((3, 2), 10, np.float32)
    ends = []
    for stop in (None, 4):
        p = tn.ones(3, 2, requires_grad=True)
        optimizer = getattr(optim, name)([p], **options)
        run(optimizer, p, gs[:4])
        if stop:
            state = optimizer.state_dict()
            p = tn.tensor(p.detach(), requires_grad=True)
            optimizer = getattr(optim, name)([p])
            optimizer.load_state_dict(state)
        ends.append(run(optimizer, p, gs[4:]).copy())
    np.testing.assert_array_equal(*ends)


@named
def test_the_loss_falls(name: str, options: Any) -> None:
    options = {k: v for k, v in options.items() if k != "maximize"} | {"lr": 0.05}
    tn.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    x = tn.randn(64, 2)
    t = tn.tensor((x.numpy().prod(axis=1) > 0).astype(np.int64))  # XOR
    optimizer = getattr(optim, name)(model.parameters(), **options)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * 0.97


def test_groups_have_their_own_options() -> None:
    a, b = tn.ones(1, requires_grad=True), tn.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    c = tn.ones(1, requires_grad=True)
    optimizer.add_param_group({"params": [c], "lr": 0.0})
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.5, 0.0]
    for p in (a, b, c):
        p.grad = tn.ones(1)
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item(), c.item()], [0.9, 0.5, 1.0])
    assert optimizer.state_dict()["param_groups"][1]["params"] == [1]
    assert "Parameter Group 2\n    dampening: 0.0\n    lr: 0.0" in repr(optimizer)
    optimizer.param_groups[0]["lr"] = 1.0  # what a schedule does
    optimizer.step()
    np.testing.assert_allclose(a.item(), -0.1, rtol=1e-6)


@named
def test_a_parameter_without_gradient_stays(name: str, options: Any) -> None:
    a, b = tn.ones(2, requires_grad=True), tn.ones(2, requires_grad=True)
    optimizer = getattr(optim, name)([a, b], **options)
    b.grad = tn.ones(2)
    optimizer.step()
    assert a.tolist() == [1, 1]
    assert b.tolist() != [1, 1]
    assert a not in optimizer.state
    optimizer.zero_grad(set_to_none=False)
    assert b.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert b.grad is None


@named
def test_a_step_changes_the_parameter_and_nothing_else(name: str, options: Any) -> None:
    p = tn.ones(3, 2, requires_grad=True)
    memory, other = p.array, tn.ones(4, 5, 6, requires_grad=True)
    optimizer = getattr(optim, name)([p, other], **options)
    for _ in range(3):
        p.grad, other.grad = tn.full((3, 2), 0.5), tn.ones(4, 5, 6)
        optimizer.step()
        assert (p.grad.numpy() == 0.5).all()
        assert p.array is memory
    assert p._version == 3
    assert np.unique(other.detach().numpy()).size == 1  # shared scratch memory does not leak


def test_a_graph_from_before_the_step_is_refused() -> None:
    p = tn.ones(2, requires_grad=True)
    loss = (p * p).sum()
    p.grad = tn.ones(2)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(InPlaceError, match="mul"):
        loss.backward()


def test_odd_layouts() -> None:
    """Transposed parameters and broadcast gradients; 0-d and empty ones."""
    for name in ("SGD", "Adam"):
        base = tn.tensor(np.arange(6.0).reshape(2, 3).T, requires_grad=True)
        zero_d, empty = tn.tensor(1.0, requires_grad=True), tn.zeros(0, requires_grad=True)
        optimizer = getattr(optim, name)([base, zero_d, empty], lr=0.1)
        base.grad = tn.Tensor(np.broadcast_to(np.float64(1.0), (3, 2)))
        zero_d.grad, empty.grad = tn.tensor(2.0), tn.zeros(0)
        optimizer.step()
        np.testing.assert_allclose(base.detach().numpy(), np.arange(6.0).reshape(2, 3).T - 0.1)
        assert zero_d.item() < 1


def test_closures() -> None:
    p = tn.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tn.no_grad():
        assert optimizer.step(closure).item() == 1
    assert math.isclose(p.item(), 0.8, rel_tol=1e-6)


def test_mistakes_are_named() -> None:
    p = tn.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(ArgumentError, match=r"lr = -1"):
        optim.Adam([p], lr=-1)
    with pytest.raises(ArgumentError, match="lr = nan"):
        optim.SGD([p], lr=math.nan)
    with pytest.raises(ArgumentError, match="two groups"):
        optim.SGD([p, p])
    with pytest.raises(ArgumentError, match="two groups"):
        optim.SGD([{"params": [p]}, {"params": [p]}])
    with pytest.raises(ArgumentError, match="leaf"):
        optim.SGD([p * 2])
    with pytest.raises(DTypeError, match="iterable of Tensors"):
        optim.SGD(p)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="set has no order"):
        optim.SGD([{"params": {p}}])
    with pytest.raises(DTypeError, match="changes Tensors"):
        optim.SGD([3])
    with pytest.raises(ArgumentError, match="group is empty"):
        optim.SGD([{"params": []}])
    with pytest.raises(ArgumentError, match="Nesterov"):
        optim.SGD([p], nesterov=True)
    with pytest.raises(ArgumentError, match="betas"):
        optim.Adam([p], betas=(0.9, 1.0))
    p.grad = tn.ones(2)
    with pytest.raises(NotImplementedError, match="Optimizer has no _update"):
        optim.Optimizer([p], {}).step()


def test_state_that_does_not_fit() -> None:
    p, q = tn.ones(2, requires_grad=True), tn.ones(3, requires_grad=True)
    one = optim.Adam([p])
    p.grad = tn.ones(2)
    one.step()
    with pytest.raises(ShapeError, match="exp_avg does not fit"):
        optim.Adam([q]).load_state_dict(one.state_dict())
    with pytest.raises(ShapeError, match="other sizes"):
        optim.Adam([p, q]).load_state_dict(one.state_dict())
