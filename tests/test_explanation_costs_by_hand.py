"""`tn.explain.cost` against what each op costs by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import (
    ENTRYWISE,
    LAYERS,
    LOSSES,
    OPTIONS,
    PRODUCTS,
    REDUCTIONS,
    SHAPES,
    WINDOWS,
    Case,
    Count,
)

import tinynet as tn
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.explanation.counting import Counted, _measured
from tinynet.op import registry

WHOLE: dict[str, list[Case]] = {
    **SHAPES,
    **REDUCTIONS,
    **PRODUCTS,
    **LOSSES,
    **LAYERS,
    **WINDOWS,
}


def test_every_op_is_counted_by_hand() -> None:
    assert {*ENTRYWISE, *WHOLE} == {name for name, op in registry.items() if op.differentiable}


def counted(name: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Count:
    tensors = [
        tn.tensor(x, requires_grad=x.dtype.kind == "f") if isinstance(x, np.ndarray) else x
        for x in inputs
    ]
    row = tn.explain.cost(registry[name](*tensors, **options)).rows[-1]
    forward, backward = row.forward, row.backward
    return Count(forward.flops, forward.special, backward.flops, backward.special)


@pytest.mark.parametrize("name", ENTRYWISE)
def test_entry_by_entry(name: str) -> None:
    rng, n = np.random.default_rng(0), 7
    inputs = [rng.uniform(0.1, 0.9, n) for _ in range(registry[name].arity)]
    inputs = [x + 1 for x in inputs] if name == "acosh" else inputs
    inputs[0] = inputs[0] > 0.5 if name == "where" else inputs[0]
    meant = ENTRYWISE[name]
    found = counted(name, tuple(inputs), OPTIONS.get(name, {}))
    assert found == Count(*(n * count for count in meant))


@pytest.mark.parametrize("name", WHOLE)
def test_whole_arrays(name: str) -> None:
    for inputs, options, meant in WHOLE[name]:
        assert counted(name, inputs, options) == meant, options


# -- what one call of NumPy reads and writes -------------------------------------------------------

X, Y, SQUARE = np.ones((3, 4)), np.ones((4, 2)), np.eye(3)  # 96, 64 and 72 bytes
MASK, PLACES = np.ones((3, 4), bool), np.array([2, 0])  # 12 and 16 bytes
ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum)
ARITHMETIC += (np.floor_divide, np.remainder, np.fmod)
ALONE = (np.negative, np.square, np.reciprocal, np.absolute)
SPECIAL = (np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sqrt, np.tanh)
SPECIAL += (np.sin, np.cos, np.tan, np.sinh, np.cosh, np.arctan, np.arcsinh, np.arcsin, np.arccos)
SPECIAL += (np.arctanh, np.arccosh)
COMPARED = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)

# What is called, and: flops, special values, bytes read, bytes written.
CALLS: list[tuple[Any, tuple[int, int, int, int]]] = [
    *((lambda f=f: f(seen(X), seen(X)), (12, 0, 192, 96)) for f in ARITHMETIC),
    *((lambda f=f: f(seen(X)), (12, 0, 96, 96)) for f in ALONE),
    *((lambda f=f: f(seen(X)), (0, 12, 96, 96)) for f in SPECIAL),
    *((lambda f=f: f(seen(X), seen(X)), (0, 0, 192, 12)) for f in COMPARED),
    *((lambda f=f: f(seen(X)), (0, 0, 96, 96)) for f in (np.floor, np.ceil, np.trunc, np.sign)),
    *((lambda f=f: f(seen(MASK), MASK), (0, 0, 24, 12)) for f in (np.bitwise_and, np.bitwise_or)),
    *((lambda f=f: f(seen(X), X), (0, 12, 192, 96)) for f in (np.power, np.arctan2, np.logaddexp)),
    (lambda: np.isfinite(seen(X)), (0, 0, 96, 12)),
    (lambda: np.copysign(seen(X), X), (0, 0, 192, 96)),
    (lambda: seen(X) + 1.0, (12, 0, 96, 96)),  # a number is at hand
    (lambda: seen(X) + seen(np.ones(4)), (12, 0, 96 + 32, 96)),  # repeated, but read once
    (lambda: np.matmul(seen(X), seen(Y)), (2 * 3 * 4 * 2, 0, 96 + 64, 48)),
    (lambda: np.tensordot(seen(X), seen(Y), 1), (2 * 3 * 4 * 2, 0, 96 + 64, 48)),
    (lambda: np.einsum("ij,jk->ik", seen(X), seen(Y)), (2 * 3 * 4 * 2, 0, 96 + 64, 48)),
    (lambda: np.sum(seen(X), axis=1), (9, 0, 96, 24)),
    (lambda: np.add.reduce(seen(X), axis=1), (9, 0, 96, 24)),
    (lambda: np.sum(seen(MASK), dtype=float), (0, 0, 12, 8)),  # truth values are counted
    (lambda: np.mean(seen(X), axis=1), (12, 0, 96, 24)),
    (lambda: np.prod(seen(X), axis=1), (9, 0, 96, 24)),
    *((lambda f=f: f(seen(X), axis=1), (9, 0, 96, 24)) for f in (np.max, np.min)),
    (lambda: np.argmax(seen(X), axis=1), (0, 0, 96, 24)),
    *((lambda f=f: f(seen(X), axis=1), (9, 0, 96, 96)) for f in (np.cumsum, np.cumprod)),
    *((lambda f=f: f(seen(MASK)), (0, 0, 12, 1)) for f in (np.any, np.all)),
    (lambda: np.count_nonzero(seen(MASK), axis=1), (0, 0, 12, 24)),
    (lambda: np.clip(seen(X), 0.0, 1.0), (24, 0, 96, 96)),
    (lambda: np.round(seen(X)), (0, 0, 96, 96)),
    (lambda: np.round(seen(X), 2), (24, 0, 96, 96)),
    (lambda: np.where(seen(MASK), seen(X), 0.0), (0, 0, 108, 96)),
    (lambda: np.concatenate((seen(X), seen(X))), (0, 0, 192, 192)),
    *((lambda f=f: f(seen(X)), (0, 0, 96, 96)) for f in (np.tril, np.triu)),
    (lambda: np.array(X, like=seen(X)), (0, 0, 96, 96)),
    (lambda: np.roll(seen(X), 1, 0), (0, 0, 96, 96)),
    (lambda: np.pad(seen(X), 1), (0, 0, 96, 5 * 6 * 8)),
    (lambda: np.zeros((3, 4), like=seen(X)), (0, 0, 0, 96)),
    (lambda: np.zeros_like(seen(X)), (0, 0, 0, 96)),
    (lambda: np.zeros((3, 4), like=seen(X)) + seen(X), (0, 0, 192, 96 + 96)),  # a move
    (lambda: np.arange(3, like=seen(X)), (0, 0, 0, 24)),
    (lambda: np.empty((3, 4), like=seen(X)), (0, 0, 0, 0)),
    (lambda: np.empty_like(seen(X)), (0, 0, 0, 0)),
    (lambda: np.take(seen(X), seen(PLACES), axis=0), (0, 0, 16 + 64, 64)),  # two rows
    (lambda: seen(X)[seen(PLACES)], (0, 0, 16 + 64, 64)),
    (lambda: np.take_along_axis(seen(X), seen(np.zeros((1, 4), int)), 0), (0, 0, 32 + 32, 32)),
    (lambda: np.bincount(seen(PLACES), weights=seen(np.ones(2))), (2, 0, 16 + 16, 24)),
    (lambda: np.add.at(seen(X), seen(PLACES), seen(np.ones((2, 4)))), (8, 0, 16 + 64 + 64, 64)),
    # views
    (lambda: np.reshape(seen(X), (2, 6)), (0, 0, 0, 0)),
    (lambda: np.ravel(seen(X)), (0, 0, 0, 0)),
    (lambda: np.transpose(seen(X)), (0, 0, 0, 0)),
    (lambda: np.swapaxes(seen(X), 0, 1), (0, 0, 0, 0)),
    (lambda: np.moveaxis(seen(X), 0, 1), (0, 0, 0, 0)),
    (lambda: np.broadcast_to(seen(X), (2, 3, 4)), (0, 0, 0, 0)),
    (lambda: np.expand_dims(seen(X), 0), (0, 0, 0, 0)),
    (lambda: np.squeeze(seen(X[None])), (0, 0, 0, 0)),
    (lambda: np.flip(seen(X)), (0, 0, 0, 0)),
    (lambda: np.lib.stride_tricks.sliding_window_view(seen(X), 2, 0), (0, 0, 0, 0)),
    (lambda: np.may_share_memory(seen(X), X), (0, 0, 0, 0)),
    (lambda: np.size(seen(X)), (0, 0, 0, 0)),
    # what LAPACK does: only the traffic
    *((lambda f=f: f(seen(SQUARE)), (0, 0, 72, 72)) for f in (np.linalg.inv, np.linalg.cholesky)),
    (lambda: np.linalg.det(seen(SQUARE)), (0, 0, 72, 8)),
    (lambda: np.linalg.slogdet(seen(SQUARE)), (0, 0, 72, 16)),
    (lambda: np.linalg.solve(seen(SQUARE), seen(X)), (0, 0, 72 + 96, 96)),
]


def seen(x: Any) -> Any:
    return x.view(Counted)


@pytest.mark.parametrize(("call", "meant"), CALLS)
def test_what_one_call_costs(call: Any, meant: tuple[int, int, int, int]) -> None:
    with np.errstate(all="ignore"):
        cost, _ = _measured(call)
    assert (cost.flops, cost.special, cost.read, cost.written) == meant


def test_every_call_that_an_op_makes_is_one_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    called: set[str] = set()
    of_ufuncs, of_others = Counted.__array_ufunc__, Counted.__array_function__

    def ufunc(self: Any, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        called.add(f"{function.__name__} {method}")
        return of_ufuncs(self, function, method, *inputs, **options)

    def other(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        called.add(function.__name__)
        return of_others(self, function, types, args, kwargs)

    monkeypatch.setattr(Counted, "__array_ufunc__", ufunc)
    monkeypatch.setattr(Counted, "__array_function__", other)
    with np.errstate(all="ignore"):
        for call, _ in CALLS:
            _measured(call)
        known = set(called)
        for name, op in registry.items():
            for seed in range(4 if op.differentiable else 0):
                inputs, options = sample(op, Draw(seed))
                own = differentiable(inputs)
                tensors = [
                    tn.tensor(x, requires_grad=i in own) if isinstance(x, np.ndarray) else x
                    for i, x in enumerate(inputs)
                ]
                y = registry[name](*tensors, **options)
                if y.requires_grad:
                    tn.explain.cost(y)
    assert called == known
