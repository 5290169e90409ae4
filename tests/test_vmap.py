"""`vmap` and `functional_call`: per-example gradients, nesting, and another model's parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, InPlaceError, ShapeError
from tinynet.func import functional_call, grad, jacrev, vjp, vmap

rng = np.random.default_rng(0)


def normal(*shape: int) -> tn.Tensor:
    return tn.tensor(rng.standard_normal(shape))


def assert_close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-14)


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()


# -- vmap --------------------------------------------------------------------------------------


def test_per_example_gradients_are_those_of_a_loop() -> None:
    model, x, t = mlp(), normal(6, 3), tn.tensor(rng.integers(0, 2, 6))
    params = {k: p.detach() for k, p in model.named_parameters()}

    def loss(params: Any, x: Any, t: Any) -> Any:
        scores = functional_call(model, params, x.unsqueeze(0))
        return nn.functional.cross_entropy(scores, t.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, t)
    assert {k: v.shape for k, v in found.items()} == {k: (6, *p.shape) for k, p in params.items()}
    for i in range(6):
        model.zero_grad()
        nn.functional.cross_entropy(model(x[i : i + 1]), t[i : i + 1]).backward()
        for name, p in model.named_parameters():
            assert_close(found[name][i], p.grad)
    model.zero_grad()
    nn.functional.cross_entropy(model(x), t).backward()
    for name, p in model.named_parameters():  # the batch's gradient is their mean
        assert_close(found[name].mean(0), p.grad)


@pytest.mark.parametrize("in_dims", [0, 1, -1, (0, None), (None, 1), (1, 0)])
@pytest.mark.parametrize("out_dims", [0, 1, -1])
def test_axes(in_dims: Any, out_dims: int) -> None:
    x, y = normal(4, 4), normal(4, 4)
    found = vmap(lambda a, b: a * b.sum(), in_dims, out_dims)(x, y)
    dims = in_dims if isinstance(in_dims, tuple) else (in_dims, in_dims)
    rows = []
    for i in range(4):
        a, b = (
            v if d is None else tn.tensor(np.take(v.numpy(), i, d))
            for v, d in zip((x, y), dims, strict=True)
        )
        rows.append((a * b.sum()).numpy())
    np.testing.assert_allclose(found.numpy(), np.stack(rows, out_dims), rtol=1e-13)


def test_it_nests_and_differentiates() -> None:
    x, y = normal(3, 2), normal(4, 2)
    products = vmap(vmap(lambda a, b: a @ b, (None, 0)), (0, None))
    assert_close(products(x, y), x @ y.T)
    value = lambda x: products(x, y).exp().sum()  # noqa: E731
    plain = lambda x: (x @ y.T).exp().sum()  # noqa: E731
    assert_close(grad(value)(x), grad(plain)(x))
    assert_close(jacrev(grad(value))(x), jacrev(grad(plain))(x))
    out, pullback = vjp(lambda x: products(x, y), x)
    assert_close(pullback(out)[0], (x @ y.T) @ y)
    assert_close(vmap(grad(lambda v: (v**3).sum()))(x), 3 * x**2)
    assert_close(vmap(jacrev(lambda v: v * v))(x)[1], tn.tensor(np.diag(2 * x[1].numpy())))


def test_trees_go_in_and_come_out() -> None:
    x = {"a": normal(3, 2), "b": normal(2, 3)}
    found = vmap(
        lambda d, k: {"sum": d["a"] + d["b"], "pair": (d["a"].sum(), k)}, ({"a": 0, "b": 1}, None)
    )(x, tn.tensor(2.0))
    assert_close(found["sum"], x["a"] + x["b"].T)
    assert_close(found["pair"][0], x["a"].sum(1))
    assert found["pair"][1].tolist() == [2, 2, 2]
    first, whole = vmap(lambda v: (v, v.sum()), out_dims=(1, None))(x["a"])
    assert_close(first, x["a"].T)
    assert_close(whole, x["a"][0].sum())


def test_leaves_outside_receive_gradients() -> None:
    w, x = normal(2).requires_grad_(), normal(5, 2)
    vmap(lambda v: (v * w).sum())(x).sum().backward()
    assert_close(w.grad, x.sum(0))


def test_vmap_mistakes() -> None:
    x = normal(3, 2)
    with pytest.raises(ShapeError, match=r"differ in size\n.*3, 2"):
        vmap(lambda a, b: a)(x, normal(2, 2))
    with pytest.raises(ShapeError, match="no axis 2"):
        vmap(lambda a: a, 2)(x)
    with pytest.raises(ShapeError, match="no axis 0"):
        vmap(lambda a: a)(3.0)
    with pytest.raises(ArgumentError, match="2 in_dims for 1"):
        vmap(lambda a: a, (0, 0))(x)
    with pytest.raises(ArgumentError, match="no argument has an example"):
        vmap(lambda a: a, None)(x)
    with pytest.raises(ArgumentError, match="no argument has an example"):
        vmap(lambda a: a)(normal(0, 2))
    with pytest.raises(DTypeError, match="must return a Tensor"):
        vmap(lambda a: 1.0)(x)
    with pytest.raises(ArgumentError, match="1 axes for 2"):
        vmap(lambda a: (a, a), out_dims=(0,))(x)
    rows = tn.tensor([[1.0, 0.0], [1.0, 1.0]])
    with pytest.raises(ShapeError, match=r"different shapes\n.*\(1,\)"):
        vmap(lambda a: a[a > 0])(rows)


# -- gradients of trees ------------------------------------------------------------------------


def test_grad_of_a_dict_of_a_list_of_a_tuple() -> None:
    a, b, c = normal(2), normal(2), normal(2)
    tree = {"one": a, "rest": [b, (c,)]}
    f = lambda t, x: (t["one"] * t["rest"][0] * x + t["rest"][1][0]).sum()  # noqa: E731
    (found, dx) = grad(f, argnums=(0, 1))(tree, a)
    assert_close(found["one"], b * a)
    assert_close(found["rest"][0], a * a)
    assert found["rest"][1][0].tolist() == [1, 1]
    assert_close(dx, a * b)
    assert grad(lambda x: (x * x).sum())([1.0, 2.0]).tolist() == [2, 4]  # numbers are one Tensor


# -- functional_call ---------------------------------------------------------------------------


class Tied(nn.Module):
    """One weight under two names, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3, bias=False).double()
        self.two = self.one
        self.register_buffer("seen", tn.tensor(0.0))

    def forward(self, x: Any, *, scale: float = 1.0) -> Any:
        self.seen.add_(1)
        return self.two(self.one(x)) * scale


def test_gradients_flow_to_what_was_given() -> None:
    model, x = mlp(), normal(4, 3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    given = {k: normal(*p.shape).requires_grad_() for k, p in model.named_parameters()}
    functional_call(model, given, x).exp().sum().backward()
    twin = mlp()
    twin.load_state_dict({k: v.detach() for k, v in given.items()})
    twin(x).exp().sum().backward()
    for name, p in twin.named_parameters():
        assert_close(given[name].grad, p.grad)
    for name, p in model.named_parameters():
        assert p.grad is None
        assert p.is_leaf
        assert_close(p, before[name])
    half = {k: v * 0.5 for k, v in given.items()}  # computed values will do, and several dicts
    first = {k: half.pop(k) for k in list(half)[:2]}
    y = functional_call(model, (first, half), (x,))
    (d,) = tn.autograd.grad(y.sum(), given["2.bias"])
    assert d.tolist() == [2, 2]


def test_tied_weights_buffers_and_keywords() -> None:
    model, x = Tied(), normal(2, 3)
    w, seen = normal(3, 3), tn.tensor(5.0)
    for name in ("one.weight", "two.weight"):
        y = functional_call(model, {name: w, "seen": seen}, x, {"scale": 2.0})
        assert_close(y, 2 * (x @ w.T @ w.T))
    assert seen.item() == 7  # the running count is the given one's
    assert model.seen.item() == 0
    assert functional_call(model, {}, x).shape == (2, 3)


def test_in_place_changes_of_what_was_given_are_noticed() -> None:
    model, x = mlp(), normal(2, 3).requires_grad_()
    given = {k: p.detach().clone() for k, p in model.named_parameters()}
    y = functional_call(model, given, x)
    given["0.weight"].zero_()
    with pytest.raises(InPlaceError):
        y.sum().backward()


def test_functional_call_mistakes() -> None:
    model, x = mlp(), normal(2, 3)
    for name in ("3.weight", "0.gain", "0"):
        with pytest.raises(ArgumentError, match=f"no parameter or buffer '{name}'"):
            functional_call(model, {name: x}, x)
    with pytest.raises(ArgumentError, match=r"strict(.|\n)*0.bias, 2.bias, 2.weight"):
        functional_call(model, {"0.weight": normal(5, 3)}, x, strict=True)
    kept = model[0].weight.detach().clone()
    with pytest.raises(ShapeError):
        functional_call(model, {"0.weight": normal(5, 4)}, x)
    assert_close(model[0].weight, kept)  # after an error too


@pytest.mark.peers
def test_peer_per_example_gradients() -> None:
    torch = pytest.importorskip("torch")
    x, t = rng.standard_normal((6, 3)), rng.integers(0, 2, 6)
    ours = mlp()
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)
    ).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    results = []
    for lib, model in ((tn, ours), (torch, theirs)):

        def loss(params: Any, x: Any, t: Any, lib: Any = lib, model: Any = model) -> Any:
            scores = lib.func.functional_call(model, params, (x.unsqueeze(0),))
            return lib.nn.functional.cross_entropy(scores, t.unsqueeze(0))

        params = {k: p.detach() for k, p in model.named_parameters()}
        each = lib.func.vmap(lib.func.grad(loss), in_dims=(None, 0, 0))
        results.append(each(params, lib.tensor(x), lib.tensor(t)))
    for name, d in results[0].items():
        np.testing.assert_allclose(d.numpy(), results[1][name].numpy(), rtol=1e-11, atol=1e-15)
