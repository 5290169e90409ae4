"""What the strategies draw, how it shrinks, and property tests that must pass, and must fail."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import tinynet as tn
from tinynet.check import property_check
from tinynet.check import strategies as ts
from tinynet.errors import ArgumentError, GradientError

# -- strategies ------------------------------------------------------------------------------------


@given(ts.arrays(away_from=(0, 1)), ts.arrays(ts.shapes(min_side=0), distinct=True))
def test_arrays_keep_their_distance(x: Any, y: Any) -> None:
    assert (np.abs(x) >= 0.1).all()
    assert (np.abs(x - 1) >= 0.1).all()
    assert (np.abs(x) <= 3).all()
    assert x.dtype == np.float64
    assert len(np.unique(y)) == y.size


@given(ts.broadcastable_shapes(3), ts.broadcastable_arrays(2, low=0, high=1))
def test_what_broadcasts(shapes: Any, arrays: Any) -> None:
    np.broadcast_shapes(*shapes)
    assert (arrays[0] + arrays[1] <= 2).all()


@given(x=ts.arrays("n i"), W=ts.arrays("o i"), y=ts.labels("n", "o"), t=ts.one_hot("n", "o"))
def test_the_same_name_is_the_same_size(x: Any, W: Any, y: Any, t: Any) -> None:
    z = x @ W.T
    assert z.shape == t.shape
    assert y.shape == z.shape[:1]
    assert ((y >= 0) & (y < z.shape[1])).all()
    np.testing.assert_array_equal(t.sum(axis=1), 1)


@given(ts.probabilities(), ts.badly_scaled_arrays(), ts.scales())
def test_numbers_of_other_kinds(p: Any, bad: Any, scale: float) -> None:
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    assert (p > 0.01).all()
    assert (np.abs(bad) >= 1e-8).all()
    assert 1e-8 <= scale <= 1e8


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("transposed", lambda x: x.flags.f_contiguous and not x.flags.c_contiguous),
        ("strided", lambda x: x.strides[-1] == 2 * x.itemsize),
        ("reversed", lambda x: x.strides[-1] == -x.itemsize),
        ("read-only", lambda x: not x.flags.writeable),
        ("broadcast", lambda x: x.strides == (0, 0)),
    ],
)
def test_views(kind: str, told: Any) -> None:
    x = find(ts.views(ts.arrays((2, 3)), [kind]), told)
    assert x.shape == (2, 3)
    np.testing.assert_array_equal(x, 1)


def test_edges_repeats_and_shrinking() -> None:
    for shape in ((), (0,), (2, 0, 3), (1, 3)):
        assert find(ts.edge_shapes(), shape.__eq__) == shape
    assert find(ts.arrays(ts.edge_shapes()), lambda x: x.size == 0).shape == (0,)
    repeated = find(ts.indices(4, 3), lambda i: len(set(i.tolist())) < 3)
    assert repeated.tolist() == [0, 0, 0]
    assert sorted(find(ts.indices(3, 3, distinct=True), lambda i: True).tolist()) == [0, 1, 2]
    assert find(ts.arrays("n n"), lambda x: x.sum() > 1).tolist() in ([[2.0]], [[1, 1], [1, 1]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ts.arrays(low=2, high=1), "range is empty"),
        (lambda: ts.arrays(low=0, high=0.05, away_from=0), "nothing from 0 to 0.05"),
        (lambda: ts.views(kinds=["upside down"]), "no view is called"),
        (lambda: find(ts.arrays(5, low=1, high=1, distinct=True), lambda x: True), "distinct"),
    ],
)
def test_mistakes_in_a_strategy(make: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()


def test_without_hypothesis_only_what_needs_it_fails() -> None:
    script = """
import sys
import tinynet.check
assert "hypothesis" not in sys.modules
sys.modules["hypothesis"] = None
try:
    import tinynet.check.strategies
except ImportError as error:
    print(error)
try:
    tinynet.check.property_check(abs, x=1)
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.count('pip install "tinynet[check]"') == 2


# -- properties that hold --------------------------------------------------------------------------


def linear(x: Any, W: Any, b: Any) -> Any:
    return np.matmul(x, np.swapaxes(W, 0, 1)) + b


def linear_backward(g: Any, x: Any, W: Any, b: Any) -> Any:
    return np.matmul(g, W), np.matmul(np.swapaxes(g, 0, 1), x), np.sum(g, axis=0)


SIZES = {"x": ts.arrays("n i"), "W": ts.arrays("o i"), "b": ts.arrays("o")}

test_a_pair = property_check(
    linear,
    linear_backward,
    reference=lambda x, W, b: np.einsum("ni,oi->no", x, W) + b,
    order=2,
    max_examples=10,
    **SIZES,
)
test_a_function_of_tensors = property_check(
    tn.tanh, input=ts.views(ts.arrays()), reference=np.tanh, order=2, max_examples=10
)
test_a_kink_is_no_failure = property_check(tn.relu, input=ts.arrays(), max_examples=10)
test_integers_are_left_alone = property_check(
    lambda x, i: x[i],
    lambda g, x, i: np.bincount(i, weights=g, minlength=len(x)),
    x=ts.arrays("n"),
    i=ts.indices("n", "k"),
    max_examples=10,
)


@property_check(x=ts.arrays(away_from=0), order=2, max_examples=10)
def test_as_a_decorator(x: Any) -> Any:
    return tn.log(x * x)


@property_check(args=ts.broadcastable_arrays(2), wrt=[0, 1], settings=settings(max_examples=10))
def test_the_body_returns_the_pair() -> Any:
    def summed(g: Any, shape: Any) -> Any:
        g = g.sum(axis=tuple(range(g.ndim - len(shape))))
        return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)

    return np.multiply, lambda g, x, y: (summed(g * y, x.shape), summed(g * x, y.shape))


# -- properties that fail --------------------------------------------------------------------------


def message(test: Any) -> str:
    with pytest.raises(GradientError) as caught:
        test()
    return str(caught.value)


def test_a_wrong_gradient_is_shrunk_and_told() -> None:
    def wrong(g: Any, x: Any, W: Any, b: Any) -> Any:
        return (*linear_backward(g, x, W, b)[:2], g.mean(axis=0))

    text = message(property_check(linear, wrong, **SIZES))
    assert "linear is wrong at the simplest arguments" in text
    assert "shape (2, 1)" in text  # one row has the mean that it should have
    assert "b = array([1.])    shape (1,)" in text
    assert "\nwrong: " in text
    assert "b[0]" in text


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (property_check(np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2), x=ts.arrays(),
                        reference=np.sin), "not that of the reference: 0.761594156, not 0.84147"),
        (property_check(np.log, lambda g, x: g / x, x=ts.arrays()), "arrays(low="),
        (property_check(lambda x: x + missing, lambda g, x: g, x=ts.arrays()),  # type: ignore # noqa
         "NameError"),
        (property_check(np.exp, lambda g, x: np.ravel(g) * np.exp(x.T).ravel(), x=ts.arrays("n m")),
         "has shape (1,)"),
        (property_check(lambda x: x.detach() * x * 2 - (x * x).detach(), x=ts.arrays(), order=2),
         "derivative 2"),
    ],
)  # fmt: skip
def test_what_a_failure_says(test: Any, words: str) -> None:
    text = message(test)
    assert words in text
    assert "x = array(" in text


def test_code_that_writes_into_a_view_or_misreads_it() -> None:
    def doubled(x: Any) -> Any:
        x *= 2
        return x

    read_only = ts.views(ts.arrays("n m"), ["read-only"])
    text = message(property_check(doubled, lambda g, x: 2 * g, x=read_only))
    assert "read-only" in text

    def through_memory(g: Any, x: Any) -> Any:
        flat = x.ravel(order="K")  # the order of memory, not of the indices
        return g * 2 * flat.reshape(x.shape)

    turned = ts.views(ts.arrays("n m"), ["transposed"])
    text = message(property_check(np.square, through_memory, x=turned))
    assert "On a view" in text
    assert "backward" in text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: property_check(linear, linear_backward), "needs a strategy"),
        (lambda: property_check(linear, linear_backward, x=ts.arrays()), "no strategy for 'W'"),
        (lambda: property_check(linear, linear_backward, y=ts.arrays()), "which is no argument"),
        (lambda: property_check(tn.tanh, args=st.just(1), x=ts.arrays()), "leave the others out"),
        (lambda: property_check(tn.tanh, input=ts.arrays(), order=0), "order counts derivatives"),
        (lambda: property_check(lambda: 3, x=ts.arrays()), "returns no pair"),
    ],
)
def test_mistakes_in_a_property(make: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()
