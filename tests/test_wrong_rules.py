"""Tests of the tests: what dispatch does for every rule is missed when it is missing, and the
cotangent has to be random. (Mistakes in the rules themselves: `test_mutants.py`.)
"""

from __future__ import annotations

import numpy as np
import properties
import pytest

from tinynet.check.mutants import Mutant, mutants_of, planted
from tinynet.check.numeric import numeric_vjp, relative_error
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import op_vjp
from tinynet.errors import TinynetError
from tinynet.op import Op, registry
from tinynet.tensor import raw


def _caught(op: Op, draws: int) -> bool:
    for seed in range(draws):
        draw = Draw(seed)
        inputs, options = sample(op, draw)
        try:
            properties.check_gradient(op, inputs, options, draw)
        except (AssertionError, TinynetError):
            return True
    return False


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, op in sorted(registry.items())
        if op.differentiable and op.broadcasts and op.arity != 1
    ],
)
def test_a_missing_unbroadcast_is_caught(name: str) -> None:
    op = registry[name]
    assert not _caught(op, 5)
    op.broadcasts = False
    try:
        assert _caught(op, 60)
    finally:
        op.broadcasts = True


def test_one_wrong_entry_of_a_second_derivative_is_caught() -> None:
    """Along a random line every entry counts: here one of six is treated as a constant."""
    op, x, one = registry["exp"], np.full((2, 3), 0.7), np.arange(6).reshape(2, 3) == 4
    properties.check_order(2, op, [x], {}, Draw(0))
    wrong = Mutant(op, 0, "by hand", lambda i: lambda g, y, _: g * np.where(one, raw(y), y))
    with planted(wrong), pytest.raises(AssertionError, match="order 2"):
        properties.check_order(2, op, [x], {}, Draw(0))


def test_a_check_contracted_with_ones_would_be_blind() -> None:
    """Why the cotangent is random: with g = 1 a softmax whose backward is zero passes."""
    op = registry["softmax"]
    x = np.array([[0.2, -1.0, 0.7]])
    [zero] = [m for m in mutants_of(op) if m.change == "zero"]
    with planted(zero):
        for g, passes in ((np.ones((1, 3)), True), (np.array([[0.5, -1.0, 0.3]]), False)):
            _, (d,) = op_vjp(op, [x], {}, g)
            expected = numeric_vjp(lambda x: op(x), [x], 0, g).value
            assert (relative_error(d, expected) < 1e-6) is passes
