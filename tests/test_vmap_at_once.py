"""`vmap` computes all examples at once, and finds what a loop over them finds.

Every op of the registry with its gradients of first and second order, taken inside `vmap` and
through it; then nesting, randomness, changes in place, control flow: where the loop must be taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import properties
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn, vectorize
from tinynet.batching import Batch, Level, batched, unbatched
from tinynet.check.samples import sample
from tinynet.check.sweep import differentiable
from tinynet.errors import BatchError, InPlaceError, OutOfRangeError, ShapeError
from tinynet.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from tinynet.op import registry
from tinynet.tensor import Tensor

rng = np.random.default_rng(0)
B = 3

# Ops whose value asks each example for a number of its own, and so need a loop.
BY_LOOP = {"nll": "the weights of the classes are an array that is asked with each example's class"}


def normal(*shape: int) -> Tensor:
    return tn.tensor(rng.standard_normal(shape))


@contextmanager
def loop() -> Iterator[None]:
    """vmap as a loop."""

    def refuse(*_: Any) -> Any:
        raise BatchError("a loop is wanted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectorize, "_at_once", refuse)
        yield


@contextmanager
def at_once() -> Iterator[list[bool]]:
    """vmap as it is; for each run, whether all examples were computed at once."""
    runs: list[bool] = []
    whole = vectorize._at_once

    def watched(*args: Any) -> Any:
        runs.append(False)
        k = len(runs) - 1
        y = whole(*args)
        runs[k] = True
        return y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectorize, "_at_once", watched)
        yield runs


def leaves(x: Any) -> list[Any]:
    if isinstance(x, dict):
        x = list(x.values())
    return [v for part in x for v in leaves(part)] if isinstance(x, list | tuple) else [x]


def same(found: Any, expected: Any) -> None:
    """Equal to rounding: 1e-12 of the largest entry, of all results: differences of equal numbers
    are 0 in one order of the sums, and not in another.
    """
    a, b = leaves(found), leaves(expected)
    assert len(a) == len(b)
    size = max(map(_largest, b), default=0.0)
    for x, y in zip(a, b, strict=True):
        assert (x is None) == (y is None)
        if x is None:
            continue
        assert (x.shape, x.dtype, x.requires_grad) == (y.shape, y.dtype, y.requires_grad)
        u, v = properties.host(x), properties.host(y)
        np.testing.assert_allclose(u, v, rtol=1e-12, atol=1e-12 * size)


def _largest(x: Any) -> float:
    if x is None or x.dtype.kind not in "fc":
        return 0.0
    v = properties.host(x)
    return float(np.max(np.abs(v), where=np.isfinite(v), initial=0))


def both_ways(function: Callable[[], Any], fast: bool = True) -> Any:
    """What vmap finds is what a loop finds; and it needs none."""
    with loop():
        expected = function()
    with at_once() as runs:
        found = function()
    assert runs
    assert not fast or all(runs), "the loop was taken"
    same(found, expected)
    return found


# -- the registry ----------------------------------------------------------------------------------


def examples(x: Any, i: int) -> Any:
    """Other arguments of the same kind: scaled, or in another order."""
    if not isinstance(x, np.ndarray) or not i:
        return x
    return x * (1 - 0.1 * i) if x.dtype.kind == "f" else np.roll(x, i)


def arguments(name: str, draw: Any) -> tuple[Any, list[Any], list[int | None], list[int]]:
    """The op as a function of its arrays, a batch of them along some axes (at least one), the
    axes, and which arrays carry gradients.
    """
    op = registry[name]
    inputs, options = sample(op, draw)
    places = [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray)]
    mapped = [i for i in places if draw.choice((True, True, False))] or places[:1]
    dims: list[int | None] = [None] * len(inputs)
    xs = list(inputs)
    for i in mapped:
        dims[i] = draw.integer(0, inputs[i].ndim)
        xs[i] = np.stack([examples(inputs[i], k) for k in range(B)], axis=dims[i])
    xs = [Tensor(x.copy()) if isinstance(x, np.ndarray) else x for x in xs]
    return (lambda *x: op(*x, **options)), xs, dims, differentiable(inputs)


def check_inside(name: str, draw: Any) -> None:
    """Value; gradients by random cotangents; gradients of a random combination of those."""
    f, xs, dims, places = arguments(name, draw)
    both_ways(lambda: vmap(f, dims)(*xs), name not in BY_LOOP)
    with loop():
        y = vmap(f, dims)(*xs)
    if not registry[name].differentiable or not places or y.dtype.kind != "f":
        return
    g = Tensor(draw.rng.standard_normal(y.shape))
    weights = [Tensor(draw.rng.standard_normal(xs[i].shape)) for i in places]
    wdims = [dims[i] for i in places]

    def first(g: Any, *x: Any) -> Any:
        def of(*own: Any) -> Any:
            full = list(x)
            for i, v in zip(places, own, strict=True):
                full[i] = v
            return f(*full)

        return vjp(of, *(x[i] for i in places))[1](g)

    def second(g: Any, ws: Any, *x: Any) -> Any:
        def of(*own: Any) -> Any:
            full = list(x)
            for i, v in zip(places, own, strict=True):
                full[i] = v
            return sum((w * d).sum() for w, d in zip(ws, first(g, *full), strict=True))

        return vjp(of, *(x[i] for i in places))[1](tn.tensor(1.0, dtype=tn.float64))

    both_ways(lambda: vmap(first, (0, *dims))(g, *xs), name not in BY_LOOP)
    both_ways(
        lambda: vmap(second, (0, tuple(wdims), *dims))(g, tuple(weights), *xs), name not in BY_LOOP
    )


def check_through(name: str, draw: Any) -> None:
    """Gradients, and gradients of those, of what vmap gives."""
    f, xs, dims, places = arguments(name, draw)
    if not registry[name].differentiable or not places:
        return

    def run() -> Any:
        own = [Tensor(xs[i].array.copy(), requires_grad=True) for i in places]
        full = list(xs)
        for i, v in zip(places, own, strict=True):
            full[i] = v
        y = vmap(f, dims)(*full)
        if not y.requires_grad:
            return [y]
        seeded = np.random.default_rng(1)
        g = Tensor(seeded.standard_normal(y.shape), requires_grad=True)
        first = tn.autograd.grad(y, own, g, create_graph=True, allow_unused=True)
        terms = [
            (d * Tensor(seeded.standard_normal(d.shape))).sum() for d in first if d is not None
        ]
        value = sum(terms)
        if not terms or not value.requires_grad:
            return [y, *first]
        return [y, *first, *tn.autograd.grad(value, [g, *own], allow_unused=True)]

    both_ways(run, name not in BY_LOOP)


@pytest.mark.parametrize("check", [check_inside, check_through])
@pytest.mark.parametrize("name", sorted(registry))
def test_every_op(name: str, check: Any) -> None:
    @settings(max_examples=6)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            check(name, properties.Drawn(data))

    run()


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("shared", [True, False])
def test_the_ways_in_and_out_are_adjoint(axis: int | None, shared: bool) -> None:
    level = Level(B)
    inside = Batch(rng.standard_normal((1 if shared else B, 2)), level)
    out = unbatched(inside, axis, level)
    g = rng.standard_normal(out.shape)
    left = np.sum(out * g)
    pairs = np.broadcast_to(inside.data, (B, 2)) * batched(g, axis, level).data
    np.testing.assert_allclose(np.sum(pairs), left, rtol=1e-12)


ARRAYS: dict[str, Callable[..., Any]] = {
    "matmul": lambda x, y: np.matmul(x, y),
    "matmul, two rows": lambda x, y: x[..., None, :] @ np.stack([y, y], axis=-1),
    "reduce": lambda x, y: np.add.reduce(x) + np.maximum.reduce(y, axis=-1, keepdims=True).sum(),
    "reductions": lambda x, y: x.mean(0).sum() + np.var(y, axis=-1) + np.prod(x, axis=(0,)).sum(),
    "running": lambda x, y: np.cumsum(x)[-1] + np.cumprod(y, axis=-1) * np.argmax(x),
    "order": lambda x, y: np.sort(x) * np.argsort(-y, axis=-1) + np.flip(y),
    "moved": lambda x, y: (
        np.roll(x, 1) + np.swapaxes(np.stack([x, y]), 0, -1).reshape(-1)[:2].sum()
    ),
    "joined": lambda x, y: np.concatenate([x, y], axis=-1) * np.pad(x, 1).mean(),
    "einsum": lambda x, y: np.einsum("...i,...i->...", x, y) + np.einsum("i,j->", x[..., 0], y[0]),
    "by hand": lambda x, y: np.where(x > y, x, [0, 1]) + np.kron(x, y)[..., :2] + np.ptp(x),
}


@pytest.mark.parametrize("shared", ["neither", "first", "second", "both"])
@pytest.mark.parametrize("ranks", [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (2, 3), (3, 3)])
@pytest.mark.parametrize("name", ARRAYS)
def test_functions_of_numpy_on_batches(name: str, ranks: tuple[int, int], shared: str) -> None:
    """Bare batches, as a user's rule may have them: each call is that of every example."""
    level, function = Level(B), ARRAYS[name]
    counts = [1 if shared in (place, "both") else B for place in ("first", "second")]
    x, y = (rng.standard_normal((n, *(2,) * rank)) for n, rank in zip(counts, ranks, strict=True))
    try:
        rows = [function(x[i % len(x)], y[i % len(y)]) for i in range(B)]
    except (ValueError, IndexError):
        with pytest.raises((ValueError, IndexError)):
            function(Batch(x, level), Batch(y, level))
        return
    found = unbatched(function(Batch(x, level), Batch(y, level)), 0, level)
    np.testing.assert_allclose(found, np.stack(rows), rtol=1e-12, atol=1e-14)


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
        same(found, each(params, *batch))
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

    both_ways(run)


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
            properties.close(d, expected[name], dtype)
    cube = vmap(vmap(lambda u, v: (u * v).tanh().sum(), (None, 0)), (0, None))
    u, v = normal(3, 2), normal(4, 2)
    with at_once() as runs:
        properties.close(cube(u.to("cuda"), v.to("cuda")), cube(u, v))
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
    both_ways(NESTED[name])


def test_without_recording() -> None:
    w = normal(2).requires_grad_()
    x = normal(3, 2).requires_grad_()

    def inside(v: Any) -> Any:
        with tn.no_grad():
            return v * w

    both_ways(lambda: vmap(inside)(x))
    with tn.no_grad():
        both_ways(lambda: vmap(lambda v: v * w)(x))
        both_ways(lambda: vmap(grad(lambda v: (v * v * w).sum()))(x))


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

    both_ways(run)
    both_ways(lambda: vmap(grad(lambda x, i: INDEXED[name](x, i, table).exp().sum()))(m, ids))
    both_ways(
        lambda: vmap(vmap(lambda x, i: INDEXED[name](x, i, table)), (0, None))(
            m[:, None].repeat(1, 3, 1, 1), ids
        )
    )


def test_an_embedding_and_its_bounds() -> None:
    rows = normal(4, 2).requires_grad_()
    look = vmap(lambda i: nn.functional.embedding(i, rows))
    both_ways(lambda: tn.autograd.grad(look(ids).exp().sum(), rows))
    with pytest.raises(OutOfRangeError, match=r"id \d has no row"):
        look(ids + 3)


# -- where examples must be taken one by one -------------------------------------------------------


def by_loop(function: Callable[[], Any]) -> Any:
    """What vmap gives is what a loop gives, and a loop is what was run."""
    with at_once() as runs:
        found = function()
    assert runs
    assert not any(runs)
    with loop():
        same(found, function())
    return found


def test_control_flow_on_values() -> None:
    x = tn.tensor([1.0, -2.0, 3.0], dtype=tn.float64)

    def collatz(v: Any) -> Any:
        return v * v if v > 0 else -v

    assert by_loop(lambda: vmap(collatz)(x)).tolist() == [1, 2, 9]
    by_loop(lambda: vmap(grad(collatz))(x))
    by_loop(lambda: vmap(lambda v: v * int(v))(x))
    by_loop(lambda: vmap(lambda v: v * v.item())(x))
    by_loop(lambda: vmap(lambda v: tn.tensor(np.asarray(v.numpy()) * 2))(x))
    y = tn.tensor([[1.0, 5.0], [7.0, 6.0]])
    by_loop(lambda: vmap(lambda r: r[r > r.mean()])(y))
    by_loop(lambda: vmap(lambda r: r[int(r.argmax()) :][:1])(y))
    # where all examples agree, one answer does
    both_ways(lambda: vmap(collatz)(x.abs()))
    both_ways(lambda: vmap(lambda v: v * float((v < 9).sum()))(x))
    with pytest.raises(ShapeError, match="different shapes"):
        vmap(lambda r: r[r > 0])(tn.tensor([[1.0, 1.0], [1.0, -1.0]]))


def test_a_refusal_that_the_function_catches() -> None:
    def careful(v: Any) -> Any:
        try:
            return v * 2 if v > 0 else v
        except Exception:
            return v * 0

    assert by_loop(lambda: vmap(careful)(tn.tensor([1.0, -1.0]))).tolist() == [2, -1]


@pytest.mark.parametrize("own", [True, False])
def test_random_numbers_are_drawn_for_each_example(own: bool) -> None:
    x = normal(3, 4)
    source = tn.Generator().manual_seed(0) if own else None

    def noisy(v: Any) -> Any:
        y = v * 2
        return nn.functional.dropout(y, 0.5, generator=source) + tn.randn(4, generator=source)

    results = []
    for way in (loop(), at_once()):
        (source or tn.random.default_generator()).manual_seed(3)
        with way:
            results.append(vmap(noisy)(x))
        results.append(tn.rand(2, generator=source))  # and the stream goes on from the same place
    same(results[2:], results[:2])
    assert (results[0][0] / x[0]).tolist() != (results[0][1] / x[1]).tolist()


def test_changes_in_place() -> None:
    x = normal(3, 2)
    results = []
    for way in (loop(), at_once()):
        total, count, log = tn.zeros(2, dtype=tn.float64), tn.tensor(0), tn.zeros(4)
        array, y = np.zeros(2), x.clone()
        with way as runs:
            first = vmap(lambda v: total.add_(v) * 1)(x)  # noqa: B023
            vmap(lambda v: count.add_(1) * v)(x)  # noqa: B023
            vmap(lambda v: log.__setitem__(int(count) % 4, 2.0) or v)(x)  # noqa: B023
            vmap(lambda v: np.add(array, v, out=array) is None or v)(x)  # noqa: B023
            vmap(lambda v: v.mul_(2))(y)
        assert not any(runs or [])
        results.append([first, total, count, log, tn.tensor(array), y])
    same(results[1], results[0])
    assert results[0][2].item() == 3

    def running(v: Any) -> Any:  # memory of its own may be written to
        y = tn.zeros_like(v)
        y[0] = v[1]
        y[1:] = v[0] * 2
        z = v.clone()
        z[1] = 3.0
        z.mul_(2)
        return y + z

    both_ways(lambda: vmap(running)(x))

    def residual(v: Any) -> Any:  # and so may what was just computed
        y = v[None] @ W + 1.0
        y += v
        y[0, 1] = 3.0
        return y[0]

    both_ways(lambda: vmap(residual)(x))
    both_ways(lambda: vmap(grad(lambda v: residual(v).exp().sum()))(x))

    def aliased(v: Any) -> Any:
        y = tn.zeros_like(v)
        part = y[:1]
        y[0] = v[1]
        return part + 1

    both_ways(lambda: vmap(aliased)(x), fast=False)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(2))
        self.register_buffer("seen", tn.tensor(0.0))

    def forward(self, x: Any) -> Any:
        y = x * self.weight
        self.seen.add_(1)
        return y.sum()


def test_buffers_gradients_and_leaves_of_the_outside() -> None:
    x, model = normal(3, 2), Counting()
    by_loop(lambda: vmap(model)(x))
    assert model.seen.item() == 6  # three for each way, none for the attempt
    assert model.weight._node is None

    def backward(v: Any) -> Any:
        (v * model.weight).sum().backward()
        return v

    vmap(backward)(x)
    np.testing.assert_allclose(model.weight.grad.numpy(), x.sum(0).numpy())
    model.weight.grad = None
    vmap(lambda v: (model.weight.sum().backward(), v)[1])(x)  # not of an example, and yet for each
    assert model.weight.grad.tolist() == [3, 3]
    w = model.weight
    by_loop(lambda: vmap(lambda v: tn.autograd.grad((v * w).sum() ** 2, w)[0])(x))

    def leaf(v: Any) -> Any:
        own = tn.ones(2, dtype=tn.float64, requires_grad=True)
        (own * own * v).sum().backward()
        return own.grad

    by_loop(lambda: vmap(leaf)(x))

    for change in (lambda v: setattr(w, "data", v), lambda v: setattr(w, "grad", v)):
        by_loop(lambda change=change: vmap(lambda v: v if change(v) else v * 1)(x))
        assert w.grad is None or isinstance(w.grad.array, np.ndarray)
        assert isinstance(w.array, np.ndarray)
    w.grad, before = tn.ones(2, dtype=tn.float64), w.detach().clone()
    step = tn.optim.SGD([w], lr=1.0).step
    vmap(lambda v: v if step() else v * 1)(x)
    same(w.detach(), before - 3)

    def leaf_of_a_batch(v: Any) -> Any:
        own = v.clone().requires_grad_()
        (own * own).sum().backward()
        return own.grad

    both_ways(lambda: vmap(leaf_of_a_batch)(x))


def test_functional_call_leaves_the_model_as_it_was() -> None:
    model, x = Counting(), normal(3, 2)
    given = {"weight": normal(3, 2), "seen": normal(3)}
    before = model.weight.detach().clone()
    by_loop(lambda: vmap(lambda p, v: functional_call(model, p, v))(given, x))
    same(model.weight.detach(), before)
    assert model.seen.item() == 0


class Cube(tn.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grads[0] * 3 * x**2


def test_rules_of_the_user() -> None:
    x, w = normal(3, 2), normal(2).requires_grad_()
    both_ways(lambda: vmap(grad(lambda v: Cube.apply(v * w.detach()).sum()))(x))

    def through() -> Any:
        y = vmap(lambda v: Cube.apply(v * w).sum())(x)
        return tn.autograd.grad(y, w, tn.tensor([1.0, 2.0, 3.0], dtype=tn.float64))

    by_loop(through)  # its backward may ask for values, when no loop can be taken any more
    by_loop(lambda: vmap(lambda v: tn.utils.checkpoint.checkpoint(lambda u: (u * w).exp(), v))(x))


def test_a_rule_that_asks_for_values() -> None:
    """The gradient of det takes another way where some determinant is 0."""
    x = normal(3, 3, 3)
    x[1] = 1.0

    def run() -> Any:
        own = x.clone().requires_grad_()
        y = vmap(lambda u: tn.det(u) ** 2 + u.sum() * tn.det(u))(own)
        return tn.autograd.grad(y, own, tn.tensor([1.0, 2.0, 3.0], dtype=tn.float64))

    found = both_ways(run, fast=True)
    assert np.isfinite(found[0].numpy()).all()


# -- the rest --------------------------------------------------------------------------------------


def test_functions_of_numpy() -> None:
    clipped = tn.custom_op(backward=lambda g, y, u: g)(
        lambda u: np.add(u, [1.0, 2.0, 3.0]) * np.clip(u, [0, 1, 2], 3)
    )
    x = normal(3, 4, 4)
    both_ways(lambda: vmap(lambda v: np.ptp(v, 0) * np.median(v, axis=0))(x))  # no rule: one by one
    both_ways(lambda: vmap(lambda v: np.moveaxis(v, 0, 1) @ np.linalg.solve(v, v[0]))(x))
    both_ways(lambda: vmap(lambda v: np.dot(v, v[0]) + np.trace(v) + np.outer(v[0], v[1])[2])(x))
    both_ways(lambda: vmap(lambda v: np.stack([v, W[:1].sum() * v]).reshape(-1, 8)[..., ::2])(x))
    both_ways(
        lambda: vmap(lambda v: (v > 0).sum() + v.argmax() + v.argmax(0, keepdim=True).sum())(x)
    )
    both_ways(lambda: vmap(lambda v: clipped(v[0, 0]) + clipped(v[:3, 0]))(x))
    both_ways(lambda: vmap(lambda v: v.unbind()[1] + sum(row.sum() for row in v) + len(v))(x))
    both_ways(lambda: vmap(lambda v: tn.einsum("ij,...j->...i", v, W.repeat(1, 2)[0]))(x))


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
