"""Tests of the tests: every planted mistake in a rule must be caught by the properties that right
rules pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import properties
import pytest

from tinynet.check.samples import Draw, sample
from tinynet.errors import TinynetError
from tinynet.op import Derivation, Op, registry

# Rules whose gradient is zero everywhere: a factor or a sign makes no difference to them.
ZERO = {"sign", "floor", "ceil", "trunc", "round", "floor_divide"}
OPS = [n for n in sorted(registry) if registry[n].differentiable and n not in ZERO]
MISTAKES: dict[str, Callable[[Any], Any]] = {
    "sign": lambda d: -d,
    "factor 2": lambda d: 2 * d,
    "off by 0.1 %": lambda d: 1.001 * d,
    "dropped": lambda d: d * 0,
}


@contextmanager
def _planted(op: Op, change: Callable[[int, Any], Any]) -> Iterator[None]:
    """The op with `change(i, gradient)` applied to what its rules give."""
    if isinstance(op, Derivation):
        right = op.backward
        selective = op.selective

        def backward(*args: Any, **options: Any) -> tuple[Any, ...]:
            found = right(*args, **options)
            return tuple(d if d is None else change(i, d) for i, d in enumerate(found))

        op.backward = backward
        try:
            yield
        finally:
            op.backward, op.selective = right, selective
    else:
        rule = op.rule
        op.rule = lambda i: lambda *args, **options: change(i, rule(i)(*args, **options))
        try:
            yield
        finally:
            op.rule = rule


def _caught(op: Op, draws: int = 25) -> bool:
    for seed in range(draws):
        draw = Draw(seed)
        inputs, options = sample(op, draw)
        try:
            properties.check_gradient(op, inputs, options, draw)
        except (AssertionError, TinynetError):
            return True
    return False


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", OPS)
def test_a_wrong_rule_is_caught(name: str, mistake: str) -> None:
    op = registry[name]
    assert not _caught(op, 5)
    with _planted(op, lambda _, d: MISTAKES[mistake](d)):
        assert _caught(op)


@pytest.mark.parametrize("name", ["sub", "div", "pow", "matmul", "where"])
def test_swapped_arguments_are_caught(name: str) -> None:
    op = registry[name]
    rule, last = op.rule, op.arity - 1
    swap = {last: last - 1, last - 1: last}
    op.rule = lambda i: rule(swap.get(i, i))
    try:
        assert _caught(op)
    finally:
        op.rule = rule


@pytest.mark.parametrize(
    "name", [n for n in OPS if registry[n].broadcasts and registry[n].arity != 1]
)
def test_a_missing_unbroadcast_is_caught(name: str) -> None:
    op = registry[name]
    op.broadcasts = False
    try:
        assert _caught(op, 60)
    finally:
        op.broadcasts = True


def test_a_check_contracted_with_ones_would_be_blind() -> None:
    """Why the cotangent is random: with g = 1 a softmax whose backward is zero passes."""
    op = registry["softmax"]
    x = np.array([[0.2, -1.0, 0.7]])
    with _planted(op, lambda _, d: 0 * d):
        from tinynet.check.numeric import numeric_vjp, relative_error
        from tinynet.check.sweep import op_vjp

        for g, passes in ((np.ones((1, 3)), True), (np.array([[0.5, -1.0, 0.3]]), False)):
            _, (d,) = op_vjp(op, [x], {}, g)
            expected = numeric_vjp(lambda x: op(x), [x], 0, g).value
            assert (relative_error(d, expected) < 1e-6) is passes
