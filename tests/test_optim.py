"""Optimizers: PyTorch's numbers, state that goes round, mistakes that are named."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ("Adam", {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.05, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 1e-3}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.02, "centered": True}),
    ("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.5, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 2.0, "eps": 1e-2, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adadelta", {"maximize": True}),
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
    options = {k: v for k, v in options.items() if k != "maximize"}
    options["lr"] = 1.0 if name == "Adadelta" else 0.05
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
    assert name == "Adagrad" or a not in optimizer.state  # Adagrad's is made at the start
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
    for name in ("SGD", "Adam", "Adagrad"):
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
    with pytest.raises(ArgumentError, match="alpha lies in"):
        optim.RMSprop([p], alpha=1.1)
    with pytest.raises(ArgumentError, match="rho lies in"):
        optim.Adadelta([p], rho=-0.1)
    for option in ("lr_decay", "initial_accumulator_value", "eps", "weight_decay"):
        with pytest.raises(ArgumentError, match=f"{option} is not negative"):
            optim.Adagrad([p], **{option: -1.0})
    with pytest.raises(ArgumentError, match="names, others none"):
        optim.SGD([("p", p), tn.ones(1, requires_grad=True)])
    with pytest.raises(ArgumentError, match="names, others none"):
        optim.SGD([("p", p)]).add_param_group({"params": [tn.ones(1, requires_grad=True)]})
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


# -- every option, by chance -----------------------------------------------------------------------

small, share = st.floats(0, 0.3), st.floats(0, 0.95)
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": share, "dampening": share, "weight_decay": small},
    "Adam": {"betas": st.tuples(share, share), "amsgrad": st.booleans(), "weight_decay": small},
    "AdamW": {"betas": st.tuples(share, share), "amsgrad": st.booleans(), "weight_decay": small},
    "RMSprop": {
        "alpha": st.floats(0.1, 0.95),  # near 0, v − m² is all rounding
        "momentum": share,
        "centered": st.booleans(),
        "weight_decay": small,
    },
    "Adagrad": {
        "lr_decay": small,
        "initial_accumulator_value": st.floats(0, 3),
        "weight_decay": small,
    },
    "Adadelta": {"rho": share, "weight_decay": small},
}


@pytest.mark.peers
@pytest.mark.parametrize("name", OPTIONS)
@given(data=st.data())
def test_peer_any_options(name: str, data: Any) -> None:
    torch = pytest.importorskip("torch")
    options = data.draw(
        st.fixed_dictionaries({"lr": small, "maximize": st.booleans(), **OPTIONS[name]})
    )
    if name != "SGD":
        options["eps"] = data.draw(st.floats(1e-4, 0.1))
    elif options["momentum"] and not options["dampening"]:
        options["nesterov"] = data.draw(st.booleans())
    gs = gradients((2, 3), 30, np.float64)
    start = gs[-1]
    ours, theirs = tn.tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    a = run(getattr(optim, name)([ours], **options), ours, gs)
    b = run(getattr(torch.optim, name)([theirs], **options), theirs, gs, torch.tensor)
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * np.abs(b).max())


@pytest.mark.peers
@pytest.mark.parametrize("name", [*OPTIONS, "LBFGS"])
def test_defaults_and_order_are_the_peers(name: str) -> None:
    torch = pytest.importorskip("torch")

    def plain(cls: Any) -> dict[str, Any]:
        only_there = {"foreach", "fused", "capturable", "differentiable"}
        found = inspect.signature(cls).parameters
        return {k: p.default for k, p in found.items() if k not in only_there}

    mine, peers = plain(getattr(optim, name)), plain(getattr(torch.optim, name))
    assert mine == peers
    assert list(mine) == list(peers)


# -- the rules, weight by weight -------------------------------------------------------------------


def by_the_book(name: str, options: Any) -> Any:
    """One weight's steps in scalar arithmetic, straight from the formulas of the papers."""
    lr, a = options["lr"], options.get("alpha", options.get("rho", 0.0))
    w, v, u, m, b = 1.0, 0.0, 0.0, 0.0, 0.0
    t = 0

    def step(g: float) -> float:
        nonlocal w, v, u, m, b, t
        t += 1
        if name == "Adagrad":
            v += g * g
            w -= lr / (1 + (t - 1) * options["lr_decay"]) * g / (math.sqrt(v) + 1e-10)
        elif name == "Adadelta":
            v = a * v + (1 - a) * g * g
            d = math.sqrt(u + 1e-6) / math.sqrt(v + 1e-6) * g
            u = a * u + (1 - a) * d * d
            w -= lr * d
        else:
            v, m = a * v + (1 - a) * g * g, a * m + (1 - a) * g
            size = math.sqrt(v - m * m if options["centered"] else v) + 1e-8
            b = options["momentum"] * b + g / size
            w -= lr * b
        return w

    return step


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.5}),
        ("Adadelta", {"lr": 1.0, "rho": 0.8}),
        ("RMSprop", {"lr": 0.1, "alpha": 0.9, "momentum": 0.7, "centered": True}),
        ("RMSprop", {"lr": 0.1, "alpha": 0.9, "momentum": 0.0, "centered": False}),
    ],
)
def test_rules_by_the_book(name: str, options: Any) -> None:
    gs = gradients((1, 3), 30, np.float64)[:, 0]
    p = tn.ones(3, dtype=tn.float64, requires_grad=True)
    end = run(getattr(optim, name)([p], **options), p, gs)
    for i in range(3):
        step = by_the_book(name, options)
        w = [step(float(g)) for g in gs[:, i]][-1]
        assert math.isclose(w, end[i], rel_tol=1e-12)


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_adagrad_keeps_its_bound(seed: int, scale: float) -> None:
    """Regret ≤ (D² / (2 lr) + lr) √s for linear losses g · w, D the widest way to the target."""
    gs = scale * np.random.default_rng(seed).standard_normal(50)
    p = tn.zeros(1, dtype=tn.float64, requires_grad=True)
    optimizer, lr = optim.Adagrad([p], lr=0.3), 0.3
    target, ways, regret = -np.sign(gs.sum()), [], 0.0
    for g in gs:
        way = p.item() - target
        ways.append(abs(way))
        regret += g * way
        p.grad = tn.tensor([g])
        optimizer.step()
    bound = (max(ways) ** 2 / (2 * lr) + lr) * math.sqrt((gs**2).sum())
    assert regret <= bound * (1 + 1e-9)


def test_a_steady_gradient_has_no_variance() -> None:
    """Rounding makes v − m² negative: PyTorch's weights become NaN, ours stay numbers."""
    p = tn.ones(4, requires_grad=True)
    optimizer = optim.RMSprop([p], lr=1e-6, centered=True, alpha=0.5)
    for _ in range(100):
        p.grad = tn.tensor([0.1, 0.3, 0.7, 1.1])
        optimizer.step()
    assert np.isfinite(p.detach().numpy()).all()


# -- names, and what else a state holds ------------------------------------------------------------


def test_named_parameters() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][0] is model.weight
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["param_names"] == ["weight", "bias"]
    plain = optim.SGD(model.parameters(), lr=0.5)
    plain.load_state_dict(saved)
    assert plain.param_groups[0]["param_names"] == ["weight", "bias"]
    assert plain.param_groups[0]["param_names"] is not saved["param_groups"][0]["param_names"]
    del saved["param_groups"][0]["param_names"]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    extra = tn.ones(1, requires_grad=True)
    optimizer.add_param_group({"params": [("extra", extra)], "lr": 1.0})
    extra.grad = tn.ones(1)
    optimizer.step()
    assert extra.item() == 0


def test_adagrad_in_a_group_that_is_added_later() -> None:
    optimizer = optim.Adagrad([tn.ones(1, requires_grad=True)], initial_accumulator_value=3.0)
    p = tn.ones(1, requires_grad=True)
    optimizer.add_param_group({"params": [p], "lr": 1.0})
    p.grad = tn.ones(1)
    optimizer.step()
    np.testing.assert_allclose(p.item(), 1 - 1 / 2)


def test_what_is_loaded_is_not_shared() -> None:
    p = tn.ones(2, requires_grad=True)
    first, second = optim.RMSprop([p], momentum=0.9), optim.RMSprop([p])
    p.grad = tn.ones(2)
    first.step()
    second.load_state_dict(first.state_dict())
    before = second.state[p]["square_avg"].numpy().copy()
    first.step()
    np.testing.assert_array_equal(second.state[p]["square_avg"].numpy(), before)
    assert second.param_groups[0]["momentum"] == 0.9


def test_adamw_stays_adamw() -> None:
    p = tn.ones(1, requires_grad=True)
    optimizer = optim.AdamW([p], lr=0.1)
    optimizer.load_state_dict(optim.Adam([p], lr=0.1, weight_decay=0.5).state_dict())
    p.grad = tn.zeros(1)
    optimizer.step()
    np.testing.assert_allclose(p.item(), 1 - 0.1 * 0.5)
