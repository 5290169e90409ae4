"""Every op of the registry in `vmap`: its value and its gradients of first and second order, taken
inside `vmap` and through it, and NumPy's functions on a batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import properties
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmap_twice import B, assert_both_ways, loop, rng

import tinynet as tn
from tinynet.batching import Batch, Level, batched, unbatched
from tinynet.check.samples import sample
from tinynet.check.sweep import differentiable
from tinynet.func import vjp, vmap
from tinynet.op import registry
from tinynet.tensor import Tensor

# Ops whose value asks each example for a number of its own, and so need a loop.
BY_LOOP = {"nll": "the weights of the classes are an array that is asked with each example's class"}


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
    assert_both_ways(lambda: vmap(f, dims)(*xs), name not in BY_LOOP)
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

    assert_both_ways(lambda: vmap(first, (0, *dims))(g, *xs), name not in BY_LOOP)
    assert_both_ways(
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

    assert_both_ways(run, name not in BY_LOOP)


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
