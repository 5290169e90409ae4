"""`vmap` computes all examples at once, and finds what a loop over them finds.

Every op of the registry with its gradients of first and second order, taken inside `vmap` and
through it; then nesting, randomness, changes in place, control flow: where the loop must be taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import properties
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet as tn
from tinynet import func, nn
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.errors import BatchError, ShapeError
from tinynet.func import functional_call, grad, hessian, jacrev, jvp, vjp, vmap
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
        patch.setattr(func, "_at_once", refuse)
        yield


@contextmanager
def at_once() -> Iterator[list[bool]]:
    """vmap as it is; for each run, whether all examples were computed at once."""
    runs: list[bool] = []
    whole = func._at_once

    def watched(*args: Any) -> Any:
        runs.append(False)
        k = len(runs) - 1
        try:
            y = whole(*args)
        except Exception:
            import os, traceback
            if os.environ.get("SHOW"): traceback.print_exc()
            raise
        runs[k] = True
        return y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(func, "_at_once", watched)
        yield runs


def leaves(x: Any) -> list[Any]:
    if isinstance(x, dict):
        x = list(x.values())
    return [v for part in x for v in leaves(part)] if isinstance(x, list | tuple) else [x]


def same(found: Any, expected: Any) -> None:
    """Equal to rounding: 1e-12 of the largest entry."""
    a, b = leaves(found), leaves(expected)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert (x is None) == (y is None)
        if x is None:
            continue
        assert (x.shape, x.dtype, x.requires_grad) == (y.shape, y.dtype, y.requires_grad)
        u, v = properties.host(x), properties.host(y)
        size = float(np.max(np.abs(v), where=np.isfinite(v), initial=0)) if v.dtype.kind in "fc" else 0
        np.testing.assert_allclose(u, v, rtol=1e-12, atol=1e-12 * size)


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
    both_ways(lambda: vmap(second, (0, tuple(wdims), *dims))(g, tuple(weights), *xs), name not in BY_LOOP)


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
        terms = [(d * Tensor(seeded.standard_normal(d.shape))).sum() for d in first if d is not None]
        value = sum(terms)
        if not terms or not value.requires_grad:
            return [y, *first]
        return [y, *first, *tn.autograd.grad(value, [g, *own], allow_unused=True)]

    both_ways(run, name not in BY_LOOP)


@pytest.mark.parametrize("check", [check_inside, check_through])
@pytest.mark.parametrize("name", sorted(registry))
def test_every_op(name: str, check: Any) -> None:
    @settings(max_examples=4)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            check(name, properties.Drawn(data))

    run()
