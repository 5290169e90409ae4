"""`vmap` computes all examples at once, with one call of the function; nesting, and indices that
differ between the examples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import properties
import pytest
from vmap_twice import assert_both_ways, assert_same, at_once, loop, normal, rng

import tinynet as tn
from tinynet import nn
from tinynet.errors import InPlaceError, OutOfRangeError, ShapeError
from tinynet.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from tinynet.tensor import Tensor

# -- one call for all examples ---------------------------------------------------------------------


def counted(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    calls = [0]

    def watched(*args: Any) -> Any:
        calls[0] += 1
        return function(*args)

    return watched, calls


def perceptron() -> tuple[Any, Any, tuple[Any, ...]]:
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4)).double()
    params = {k: p.detach() for k, p in model.named_parameters()}

    def loss(params: Any, x: Any, t: Any) -> Any:
        scores = functional_call(model, params, x.unsqueeze(0))
        return nn.functional.cross_entropy(scores, t.unsqueeze(0))

    return loss, params, (normal(6, 3), tn.tensor(rng.integers(0, 4, 6)))


def convolution() -> tuple[Any, Any, tuple[Any, ...]]:
    """Windows of an image by an index, a product with the filters, ReLU, a pooled maximum."""
    params = {"filters": normal(2, 3, 3), "bias": normal(2, 1, 1), "out": normal(2, 5)}

    def loss(params: Any, x: Any, t: Any) -> Any:
        padded = nn.functional.pad(x, (1, 1, 1, 1))
        at = tn.arange(4).unsqueeze(1) + tn.arange(3)
        windows = padded[at[:, None, :, None], at[None, :, None, :]]
        maps = (tn.einsum("hwij,fij->fhw", windows, params["filters"]) + params["bias"]).relu()
        pooled = maps.reshape(2, 2, 2, 2, 2).amax((2, 4)).mean((1, 2))
        return nn.functional.cross_entropy(pooled @ params["out"], t)

    return loss, params, (normal(6, 4, 4), tn.tensor(rng.integers(0, 5, 6)))


def attention() -> tuple[Any, Any, tuple[Any, ...]]:
    """Embedded words, two heads of causal attention, a score for each word at each place."""
    sizes = {"words": (7, 4), "places": (5, 4), "qkv": (4, 12), "out": (4, 4), "scores": (4, 7)}
    params = {k: normal(*s) for k, s in sizes.items()}

    def loss(params: Any, ids: Any, targets: Any) -> Any:
        x = params["words"][ids] + params["places"]
        q, k, v = (x @ params["qkv"]).reshape(5, 3, 2, 2).permute(1, 2, 0, 3)
        scores = q @ k.mT / 2**0.5
        hidden = tn.triu(tn.ones(5, 5), 1) > 0
        weights = tn.softmax(scores.masked_fill(hidden, float("-inf")), -1)
        x = x + (weights @ v).transpose(0, 1).reshape(5, 4) @ params["out"]
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt()
        return nn.functional.cross_entropy(x @ params["scores"], targets)

    ids = rng.integers(0, 7, (6, 6))
    return loss, params, (tn.tensor(ids[:, :-1]), tn.tensor(ids[:, 1:]))


@pytest.mark.parametrize("make", [perceptron, convolution, attention])
def test_gradients_of_each_example_need_one_call(make: Any) -> None:
    loss, params, batch = make()
    watched, calls = counted(loss)
    each = vmap(grad(watched), in_dims=(None, 0, 0))
    found = each(params, *batch)
    assert calls[0] == 1
    with loop():
        assert_same(found, each(params, *batch))
    assert calls[0] == 7
    whole = grad(lambda p: sum(loss(p, *(v[i] for v in batch)) for i in range(6)))(params)
    for name, d in found.items():
        np.testing.assert_allclose(d.sum(0).numpy(), whole[name].numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("make", [perceptron, convolution, attention])
def test_all_of_it_through_and_twice(make: Any) -> None:
    """A loss of the examples' losses and gradients, differentiated by leaves outside."""
    loss, params, batch = make()

    def run() -> Any:
        own = {k: p.clone().requires_grad_() for k, p in params.items()}
        captured = vmap(lambda *b: loss(own, *b))(*batch)
        norms = vmap(
            lambda p, *b: sum((d * d).sum() for d in grad(loss)(p, *b).values()), (None, 0, 0)
        )(own, *batch)
        (captured.exp().sum() + (norms * norms).sum()).backward()
        return captured, norms, [p.grad for p in own.values()]

    assert_both_ways(run)


def test_float32_and_the_double_of_cupy(cupy: Any) -> None:
    loss, params, (x, t) = perceptron()
    each = vmap(grad(loss), in_dims=(None, 0, 0))
    for dtype in (tn.float32, tn.float64):
        given = {k: p.to(dtype) for k, p in params.items()}
        expected = each(given, x.to(dtype), t)
        moved = {k: p.to("cuda") for k, p in given.items()}
        with at_once() as runs:
            found = each(moved, x.to(dtype).to("cuda"), t.to("cuda"))
        assert all(runs)
        for name, d in found.items():
            assert (d.device, d.dtype) == ("cuda:0", dtype)
            properties.assert_close(d, expected[name], dtype)
    cube = vmap(vmap(lambda u, v: (u * v).tanh().sum(), (None, 0)), (0, None))
    u, v = normal(3, 2), normal(4, 2)
    with at_once() as runs:
        properties.assert_close(cube(u.to("cuda"), v.to("cuda")), cube(u, v))
    assert all(runs)


# -- nesting ---------------------------------------------------------------------------------------

a, b, W = normal(3, 2), normal(4, 2), normal(2, 2)


def energy(u: Any, v: Any) -> Any:
    return ((u @ W) * v).sum().exp() + (u * u * v).sum()


def earlier() -> tuple[Tensor, Tensor, Tensor]:
    """A leaf, and what runs that are over have made of it."""
    w = normal(2).requires_grad_()
    once = vmap(lambda u: (u * w).sum().exp())(b[:2])
    twice = vmap(lambda u: vmap(lambda v: (u * w * v).sum().exp())(b[:2]))(b[:2])
    return w, once, twice


EARLIER = earlier()


def put(u: Any, w: Any) -> Any:
    y = tn.zeros_like(u)
    y[0] = w[0, 1]
    y[1:] = u[:1] * w[1, 0]
    return y


NESTED: dict[str, Callable[[], Any]] = {
    "vmap of vmap": lambda: vmap(vmap(energy, (None, 0)), (0, None))(a, b),
    "vmap of vmap of grad": lambda: vmap(vmap(grad(energy), (None, 0)), (0, None))(a, b),
    "vmap of grad of vmap": lambda: vmap(
        grad(lambda u: vmap(lambda v: energy(u, v))(b).square().sum())
    )(a),
    "three deep": lambda: vmap(
        lambda u: vmap(lambda v: vmap(lambda w: energy(u, v) * w.sum())(a))(b).sum(0)
    )(a),
    "grad of vmap of grad": lambda: grad(
        lambda W: vmap(grad(lambda u: ((u @ W) ** 3).sum()))(a).square().sum()
    )(W),
    "grad of vmap of vmap": lambda: grad(
        lambda u: vmap(vmap(energy, (None, 0)), (0, None))(u, b).sum()
    )(a),
    "vmap of jacrev": lambda: vmap(jacrev(lambda u: (u @ W).tanh()))(a),
    "vmap of hessian": lambda: vmap(hessian(lambda u: ((u @ W) ** 3).sum()))(a),
    "jacrev of vmap": lambda: jacrev(vmap(lambda u: (u @ W).tanh()))(a),
    "hessian of vmap": lambda: hessian(lambda u: vmap(lambda v: energy(u, v))(b).sum())(a[0]),
    "vmap of jvp": lambda: vmap(lambda u, t: jvp(lambda v: (v @ W).tanh() * v, (u,), (t,)))(a, a),
    "vmap of vjp": lambda: vmap(lambda u, t: vjp(lambda v: (v @ W).tanh() * v, u)[1](t))(a, a),
    "by what all share": lambda: vmap(lambda u: grad(lambda w: ((u @ w) ** 3).sum())(W))(a),
    "by what a run outside shares": lambda: vmap(
        lambda u: vmap(lambda v: grad(lambda w: ((v @ w) ** 3).sum() * u.sum())(W))(b).sum(0)
    )(a),
    "by a value of the run outside": lambda: vmap(
        lambda u: vmap(lambda v: grad(lambda w: energy(w, v))(u))(b)
    )(a),
    "backward of an earlier run": lambda: vmap(
        lambda v: (
            tn.autograd.grad(EARLIER[1], EARLIER[0], v * (v @ b.T).sum(), retain_graph=True)[0] * v
        )
    )(a @ W),
    "and of one that was nested": lambda: vmap(
        lambda v: tn.autograd.grad(EARLIER[2], EARLIER[0], v[:, None] * b[0], retain_graph=True)[0]
    )(b.T @ b),
    "a constant": lambda: vmap(lambda u: W * 2)(a),
    "a constant gradient": lambda: vmap(grad(lambda u: u.sum()))(a),
    "a constant, through": lambda: grad(
        lambda w: (vmap(lambda u: w * 2)(a) * b.sum(0) * a[:, None]).sum()
    )(W),
    "shared, through": lambda: grad(
        lambda w: (vmap(lambda u, v: v * 2, (0, None))(a, w) * b.sum(0) * a[:, None]).sum()
    )(W),
    "a constant of a run outside": lambda: grad(
        lambda u: vmap(lambda v: vmap(lambda w: v * 2)(b) * b)(u).square().sum()
    )(a),
    "copied": lambda: grad(
        lambda w: (vmap(lambda u: tn.zeros_like(u).copy_(w[0] * 1) * u)(a) * a).sum()
    )(W),
    "put": lambda: grad(lambda w: (vmap(lambda u: put(u, w))(a) * a).sum())(W),
    "vmap of jacfwd": lambda: vmap(jacfwd(lambda u: (u @ W).tanh() * u))(a),
    "no gradient": lambda: vmap(grad(lambda u: W.sum()))(a),
    "detached": lambda: grad(lambda u: vmap(lambda v: (v.detach() * v).sum())(u).sum())(a),
    "axes": lambda: vmap(lambda u, v: (u[0], {"k": v * u.sum()}), (-1, 1), (0, -1))(a.T, b[:3].T),
    "the first alone": lambda: vmap(lambda u: (u, u.sum()), out_dims=(1, None))(a),
}


@pytest.mark.parametrize("name", NESTED)
def test_nesting(name: str) -> None:
    assert_both_ways(NESTED[name])


def test_without_recording() -> None:
    w = normal(2).requires_grad_()
    x = normal(3, 2).requires_grad_()

    def inside(v: Any) -> Any:
        with tn.no_grad():
            return v * w

    assert_both_ways(lambda: vmap(inside)(x))
    with tn.no_grad():
        assert_both_ways(lambda: vmap(lambda v: v * w)(x))
        assert_both_ways(lambda: vmap(grad(lambda v: (v * v * w).sum()))(x))


# -- indices that differ ---------------------------------------------------------------------------

m, ids, table = normal(3, 4, 5), tn.tensor(rng.integers(0, 4, (3, 2))), normal(4, 5, 6)
INDEXED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "rows": lambda x, i, t: x[i],
    "columns": lambda x, i, t: x[:, i],
    "apart": lambda x, i, t: t[i, :, i],
    "beside a number": lambda x, i, t: t[1, :, i] + t[i, :, 1],
    "new axes": lambda x, i, t: t[None, :, i, None, i - 1],
    "dots": lambda x, i, t: t[..., i] + x.sum(),
    "a table": lambda x, i, t: table[i] + t[..., :1, :1].sum(),
    "one number": lambda x, i, t: t[i[0], 1:, i[1]],
    "a shared mask": lambda x, i, t: x[tn.tensor([True, False, True, True])] * i.sum(),
    "shared places": lambda x, i, t: x[tn.tensor([2, 0])] + x[[1, 1]],
    "gather": lambda x, i, t: table[:, 0].gather(0, i.unsqueeze(1)) + x.gather(0, i.unsqueeze(1)),
    "scatter": lambda x, i, t: tn.zeros(4, 1, dtype=tn.float64).scatter(0, i[:1, None], x[:1, :1]),
    "scatter_add": lambda x, i, t: table[0].scatter_add(0, i.unsqueeze(1), x[:2, :1]),
    "index_add": lambda x, i, t: x.index_add(0, i, x[:2]),
    "index_select": lambda x, i, t: table.index_select(2, i) * x.sum(),
    "take": lambda x, i, t: tn.take(x, i) + tn.take(table, i),
    "sorted": lambda x, i, t: tn.sort(x, 0).values + tn.topk(x, 2, 1).values.sum(),
    "along": lambda x, i, t: x.take_along_dim(x.argmax(1, keepdim=True), 1),
    "one-hot": lambda x, i, t: nn.functional.one_hot(i, 4) * x.sum(),
}


@pytest.mark.parametrize("name", INDEXED)
def test_indices(name: str) -> None:
    def run() -> Any:
        x, t = m.clone().requires_grad_(), table.clone().requires_grad_()
        y = vmap(lambda x, i: INDEXED[name](x, i, t))(x, ids)
        g = Tensor(np.random.default_rng(1).standard_normal(y.shape))
        return y, *tn.autograd.grad(y, [x, t], g, allow_unused=True)

    assert_both_ways(run)
    assert_both_ways(
        lambda: vmap(grad(lambda x, i: INDEXED[name](x, i, table).exp().sum()))(m, ids)
    )
    assert_both_ways(
        lambda: vmap(vmap(lambda x, i: INDEXED[name](x, i, table)), (0, None))(
            m[:, None].repeat(1, 3, 1, 1), ids
        )
    )


def test_an_embedding_and_its_bounds() -> None:
    rows = normal(4, 2).requires_grad_()
    look = vmap(lambda i: nn.functional.embedding(i, rows))
    assert_both_ways(lambda: tn.autograd.grad(look(ids).exp().sum(), rows))
    with pytest.raises(OutOfRangeError, match=r"id \d has no row"):
        look(ids + 3)


# -- the rest --------------------------------------------------------------------------------------


def test_functions_of_numpy() -> None:
    clipped = tn.custom_op(backward=lambda g, y, u: g)(
        lambda u: np.add(u, [1.0, 2.0, 3.0]) * np.clip(u, [0, 1, 2], 3)
    )
    x = normal(3, 4, 4)
    assert_both_ways(
        lambda: vmap(lambda v: np.ptp(v, 0) * np.median(v, axis=0))(x)
    )  # no rule: one by one
    assert_both_ways(lambda: vmap(lambda v: np.moveaxis(v, 0, 1) @ np.linalg.solve(v, v[0]))(x))
    assert_both_ways(
        lambda: vmap(lambda v: np.dot(v, v[0]) + np.trace(v) + np.outer(v[0], v[1])[2])(x)
    )
    assert_both_ways(
        lambda: vmap(lambda v: np.stack([v, W[:1].sum() * v]).reshape(-1, 8)[..., ::2])(x)
    )
    assert_both_ways(
        lambda: vmap(lambda v: (v > 0).sum() + v.argmax() + v.argmax(0, keepdim=True).sum())(x)
    )
    assert_both_ways(lambda: vmap(lambda v: clipped(v[0, 0]) + clipped(v[:3, 0]))(x))
    assert_both_ways(
        lambda: vmap(lambda v: v.unbind()[1] + sum(row.sum() for row in v) + len(v))(x)
    )
    assert_both_ways(lambda: vmap(lambda v: tn.einsum("ij,...j->...i", v, W.repeat(1, 2)[0]))(x))


def test_what_comes_out_is_owned_and_what_went_in_is_watched() -> None:
    x = normal(3, 2)
    y = vmap(lambda v: v)(x)
    constant = vmap(lambda v: W)(x)
    y.zero_()
    constant[0] = 0
    assert (x != 0).all()
    assert (W != 0).all()
    assert (constant[1] == W).all()
    own = x.clone().requires_grad_()
    copy = own * 1
    z = vmap(lambda v: (v * v).sum())(copy)
    copy.detach().zero_()
    with pytest.raises(InPlaceError):
        z.sum().backward()


def test_one_example_and_errors_as_in_a_loop() -> None:
    watched, calls = counted(lambda v: v * 2)
    assert vmap(watched)(tn.ones(1, 2)).tolist() == [[2, 2]]
    assert calls[0] == 1
    with pytest.raises(ShapeError, match=r"(2,).*(3,)|broadcast"):
        vmap(lambda v: v + tn.ones(3))(tn.ones(4, 2))
    with pytest.raises(ShapeError, match="0-d Tensor"):
        vmap(grad(lambda v: v))(tn.ones(4, 2))
    with pytest.raises(OutOfRangeError, match="there is no class 9"):
        vmap(nn.functional.cross_entropy)(tn.ones(4, 2), tn.tensor([0, 1, 9, 0]))
    with pytest.raises(ZeroDivisionError):
        vmap(lambda v: v / (1 // 0))(tn.ones(4, 2))
