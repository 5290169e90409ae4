"""Chapter 02: the engine of its own cells against the package, differences and forward mode."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.check import check_gradients, property_check
from tinynet.check.strategies import arrays, broadcastable_arrays, broadcastable_shapes

CODE: Any = code_of("02")
Value, Dual = CODE["Value"], CODE["Dual"]

test_add = property_check(lambda x, y: x + y, CODE["add_rule"], x=arrays("n k"), y=arrays("n k"))
test_mul = property_check(lambda x, y: x * y, CODE["mul_rule"], x=arrays("n k"), y=arrays("n k"))
test_matmul = property_check(
    lambda A, B: A @ B, CODE["matmul_rule"], A=arrays("n m"), B=arrays("m k")
)
test_transpose = property_check(lambda A: A.T, CODE["transpose_rule"], A=arrays("n k"))
test_tanh = property_check(lambda x: np.tanh(x), CODE["tanh_rule"], x=arrays("n k"))
test_relu = property_check(
    lambda x: np.maximum(x, 0), CODE["relu_rule"], x=arrays("n k", away_from=(0.0,))
)
test_sum = property_check(lambda x: np.sum(x), CODE["sum_rule"], x=arrays("n k"))

UNARY = ("tanh", "relu", "T")
BINARY = ("+", "-", "*")


def program(choices: Any, *leaves: Any) -> Any:
    """A computation on any kind of number: choices say what is combined with what, and how."""
    values = list(leaves)
    for kind, i, j in choices:
        x, y = values[i % len(values)], values[j % len(values)]
        if kind == "T":
            values.append(x.T @ y if x is not y else x * x)
        elif kind in UNARY:
            values.append(getattr(x, kind)())
        else:
            values.append({"+": x.__add__, "-": x.__sub__, "*": x.__mul__}[kind](y))
    total = values[0].sum()
    for value in values[1:]:
        total = total + value.sum()
    return total


CHOICES = st.lists(
    st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 9), st.integers(0, 9)), max_size=6
)


@given(CHOICES, st.integers(0, 99))
def test_any_program_on_three_kinds_of_numbers(choices: Any, seed: int) -> None:
    """Square matrices, so that each op may follow each: ours, the package's, and forward mode."""
    rng = np.random.default_rng(seed)
    start, along = rng.normal(size=(2, 2, 3, 3)) / 2
    ours = [Value(x) for x in start]
    theirs = [tn.tensor(x, requires_grad=True) for x in start]
    program(choices, *ours).backward()
    program(choices, *theirs).backward()
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.grad, two.grad.numpy(), rtol=1e-9, atol=1e-9)
    if all(kind != "relu" for kind, _, _ in choices):  # the dual numbers have none
        slope = program(choices, *map(Dual, start, along)).slope
        paired = sum(np.sum(one.grad * v) for one, v in zip(ours, along, strict=True))
        np.testing.assert_allclose(slope, paired, rtol=1e-8, atol=1e-8)


@given(broadcastable_arrays(2), st.integers(0, 99))
def test_what_was_broadcast_is_summed_back(drawn: Any, seed: int) -> None:
    ours, theirs = [Value(x) for x in drawn], [tn.tensor(x, requires_grad=True) for x in drawn]
    y = ours[0] * ours[1]
    g = np.random.default_rng(seed).normal(size=y.data.shape)
    y.backward(g)
    (theirs[0] * theirs[1]).backward(tn.tensor(g))
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.grad, two.grad.numpy(), rtol=1e-10, atol=1e-12)


@given(broadcastable_shapes(2), st.integers(0, 99))
def test_unbroadcast_is_the_transpose_of_broadcasting(drawn: Any, seed: int) -> None:
    rng, whole = np.random.default_rng(seed), np.broadcast_shapes(*drawn)
    x, g = rng.normal(size=drawn[0]), rng.normal(size=whole)
    left = np.sum(g * np.broadcast_to(x, whole))
    np.testing.assert_allclose(left, np.sum(CODE["unbroadcast"](g, x.shape) * x), atol=1e-10)


TAPES = st.lists(st.lists(st.integers(0, 6), max_size=3), min_size=1, max_size=7).map(
    lambda rows: [tuple(j for j in row if j < i) for i, row in enumerate(rows)]
)


@given(TAPES)
def test_the_order_gives_the_sum_over_all_paths(tape: Any) -> None:
    def paths_between(low: int, high: int) -> int:
        return int(low == high) + sum(paths_between(low, p) for p in tape[high] if p >= low)

    expected = [paths_between(i, len(tape) - 1) for i in range(len(tape))]
    found, visits = CODE["newest_first"](tape)
    assert (found, visits) == (expected, len(tape))
    grads, visits = CODE["passing_arrivals"](tape)
    assert (grads, visits) == (expected, sum(expected))
    wrong, visits = CODE["passing_sums"](tape)
    assert visits == sum(expected)
    assert all(w >= e for w, e in zip(wrong, expected, strict=True))


@pytest.mark.parametrize("n", range(5))
def test_the_numbers_of_the_wrong_recursion(n: int) -> None:
    """Counted again by enumeration: the ways to write 2ⁿ⁺¹ − 1 as a sum of powers of two."""
    m = 2 ** (n + 1) - 1
    rest = [range(m // p + 1) for p in (2, 4, 8, 16)]
    found = sum(
        2 * a + 4 * b + 8 * c + 16 * d <= m for a, b, c, d in itertools.product(*rest)
    )  # ones fill up what is left
    assert CODE["passing_sums"](CODE["doublings"](n))[0][0] == found


@given(arrays("n d"), st.integers(0, 99))
def test_network_and_loss(X: Any, seed: int) -> None:
    rng, d = np.random.default_rng(seed), X.shape[1]
    parameters = [rng.normal(size=s) for s in ((3, d), (3,), (1, 3), (1,))]
    y = tn.tensor(rng.normal(size=(len(X), 1)))

    def loss(*p: Any) -> Any:
        return CODE["loss_of"](CODE["network"](tn.tensor(X), *p), y)

    W1, b1, W2, b2 = map(tn.tensor, parameters)
    F = tn.nn.functional
    expected = F.mse_loss(F.linear(F.linear(tn.tensor(X), W1, b1).tanh(), W2, b2), y)
    np.testing.assert_allclose(loss(W1, b1, W2, b2).item(), expected.item(), rtol=1e-10)
    assert check_gradients(loss, *parameters)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 99))
def test_the_product_from_both_ends(sizes: Any, seed: int) -> None:
    rng, sizes = np.random.default_rng(seed), [*sizes, 1]
    chain = [rng.normal(size=(n, m)) for m, n in itertools.pairwise(sizes)]
    right, few = CODE["from_the_right"](chain)
    left, many = CODE["from_the_left"](chain)
    np.testing.assert_allclose(right, left, atol=1e-10)
    assert few == sum(J.size for J in chain)
    assert many == sizes[0] * (1 + sum(J.size for J in chain[1:]))


@given(st.floats(0.05, 0.9), st.integers(1, 12))
def test_the_rumour_by_the_package(r: float, days: int) -> None:
    x = tn.tensor(np.array(r), requires_grad=True)
    last = CODE["rumour"](x, days)[-1]
    (slope,) = tn.autograd.grad(last, x)
    found = CODE["rumour"](Dual(r, 1.0), days)[-1]
    np.testing.assert_allclose(found.data, last.item(), rtol=1e-12)
    np.testing.assert_allclose(found.slope, slope.item(), rtol=1e-9)


def test_gradients_add_up_and_can_be_zeroed() -> None:
    x = Value([1.0, -2.0])
    (x * x).sum().backward()
    (x * 3.0).sum().backward()
    np.testing.assert_allclose(x.grad, [5.0, -1.0])
    x.zero_grad()
    np.testing.assert_allclose(x.grad, 0)
