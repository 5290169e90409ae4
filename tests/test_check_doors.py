"""The doors of the gradient check: wrong gradients are found, right ones pass, and everything else
is told apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import check
from tinynet.check import check_backward, check_gradients, gradcheck, gradgradcheck
from tinynet.errors import ArgumentError, DTypeError, GradientError

Array = Any
rng = np.random.default_rng(7)
X = rng.standard_normal((3, 4))


def frozen(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


def layer(X: Array, W: Array, b: Array) -> Array:
    return np.tanh(X @ W + b)


def layer_backward(g: Array, X: Array, W: Array, b: Array) -> tuple[Array, Array, Array]:
    d = g * (1 - np.tanh(X @ W + b) ** 2)
    return d @ W.T, X.T @ d, d.sum(0)


LAYER = (X, rng.standard_normal((4, 2)), rng.standard_normal(2))


# -- right -----------------------------------------------------------------------------------------

RIGHT: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "a layer": (layer, layer_backward, LAYER),
    "one array": (np.sin, lambda g, x: g * np.cos(x), (X,)),
    "read-only": (np.sin, lambda g, x: g * np.cos(x), (frozen(X),)),
    "every other entry": (np.sin, lambda g, x: g * np.cos(x), (X[:, ::2],)),
    "0-d": (lambda a: a**2, lambda g, a: 2 * g * a, (np.array(3.0),)),
    "a Python float": (lambda a, x: a * x, lambda g, a, x: (np.sum(g * x), g * a), (2.0, X)),
    "returns a Python float": (lambda x: float(np.sum(x)), lambda g, x: g + 0 * x, (X,)),
    "empty": (np.sin, lambda g, x: g * np.cos(x), (np.zeros((0, 2)),)),
    "integers": (lambda E, i: E[i], lambda g, E, i: (np.eye(3)[i].T @ g,), (X, np.array([2, 0]))),
    "constant": (lambda x: 3.0, lambda g, x: 0 * x, (X,)),
    "a sum of a softmax": (
        lambda z: np.sum(np.exp(z) / np.exp(z).sum()),
        lambda g, z: 1e-17 * z,
        (X,),
    ),
    "saturated": (
        lambda z: 1 / (1 + np.exp(-z)),
        lambda g, z: g / (2 + np.exp(z) + np.exp(-z)),
        (np.array([-40.0, 0.0, 20.0, 40.0]),),
    ),
    "log near zero": (np.log, lambda g, x: g / x, (np.array([1e-9, 1.0]),)),
    "sorting": (np.sort, lambda g, x: g[np.argsort(np.argsort(x))], (np.array([3.0, 1.0, 2.0]),)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name: str) -> None:
    forward, backward, args = RIGHT[name]
    report = check_backward(forward, backward, *args)
    assert report.ok, str(report)
    assert report.verdict == "pass"
    assert report.candidates == ()


def test_one_array_for_two_arguments() -> None:
    A = rng.standard_normal((3, 3))
    report = check_backward(np.matmul, lambda g, A, B: (g @ B.T, A.T @ g), A, A)
    assert report.verdict == "pass"


def test_float32_gradients_are_right_up_to_their_rounding() -> None:
    f = lambda g, x: (g * np.exp(x)).astype(np.float32)  # noqa: E731
    report = check_backward(np.exp, f, X)
    assert report.verdict == "pass"
    assert any("float32" in note for note in report.notes)
    off = check_backward(np.exp, lambda g, x: f(g, x) * np.float32(1.001), X)
    assert off.verdict == "wrong"


def test_integers_are_promoted_where_they_are_asked_for() -> None:
    report = check_backward(lambda x: (x**2).sum(), lambda g, x: 2 * g * x, np.arange(4), wrt=0)
    assert report.verdict == "pass"
    assert any("integers" in note for note in report.notes)


def test_writing_into_things_is_noticed() -> None:
    def backward(g: Array, x: Array) -> Array:
        g *= np.cos(x)
        x[:] = 0
        return g

    report = check_backward(np.sin, backward, X)
    assert report.verdict == "pass"
    assert any("writes into g" in note and "x" in note for note in report.notes)
    report = check_backward(lambda x: np.negative(x, out=x), lambda g, x: -g, X.copy())
    assert report.verdict == "pass"
    assert any("forward writes into" in note for note in report.notes)


def test_arguments_stay_as_they_were() -> None:
    args = [a.copy() for a in LAYER]

    def backward(g: Array, *args: Array) -> tuple[Array, ...]:
        found = layer_backward(g, *args)
        for a in args:
            a[:] = np.nan
        return found

    assert check_backward(layer, backward, *args).ok
    for a, b in zip(args, LAYER, strict=True):
        np.testing.assert_array_equal(a, b)


# -- wrong -----------------------------------------------------------------------------------------


@given(st.integers(0, 2), st.integers(0, 11), st.sampled_from([1.001, 0.999, 0.0, -1.0, 2.0]))
def test_one_wrong_entry_is_found_and_named(k: int, n: int, factor: float) -> None:
    def backward(g: Array, *args: Array) -> tuple[Array, ...]:
        found = layer_backward(g, *args)
        found[k].flat[n % found[k].size] *= factor
        return found

    report = check_backward(layer, backward, *LAYER)
    assert report.verdict == "wrong"
    worst = report.evidence.worst[0]
    assert worst.name == "XWb"[k]
    assert worst.index == np.unravel_index(n % LAYER[k].size, LAYER[k].shape)
    assert worst.ratio == pytest.approx(factor, rel=1e-5)
    assert not report.ok
    assert len(report.diagnosis) <= 300


def test_a_small_entry_among_large_ones() -> None:
    def backward(g: Array, x: Array) -> Array:
        return g * np.exp(x) * [1, 1, 1.001]

    assert check_backward(np.exp, backward, np.array([10.0, 0.0, -8.0])).verdict == "wrong"


WRONG: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "right at 1 only": (lambda x: x**3, lambda g, x: 3 * g * x, (np.ones(2),)),
    "right at 0 only": (lambda x: x**2, lambda g, x: 3 * g * x, (np.zeros(2),)),
    "g squared": (np.sin, lambda g, x: g * g * np.cos(x), (X,)),
    "ones for g": (np.sin, lambda g, x: np.cos(x), (X,)),
    "zeros": (np.sin, lambda g, x: 0 * x, (X,)),
    "NaN": (np.sin, lambda g, x: g * np.nan, (X,)),
    "a fast sine": (lambda x: np.sin(1e6 * x), lambda g, x: 1.01e6 * g * np.cos(1e6 * x), (X,)),
    "straight through": (np.round, lambda g, x: g, (np.array([0.3, 0.8]),)),
    "kinks do not hide it": (
        lambda x: np.max(x) + np.sum(np.sin(x)),
        lambda g, x: g * (x == np.max(x)) / 2 + g * np.cos(x) * [1, 1, 1.001],
        (np.array([2.0, 2.0, 1.0]),),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_are_found(name: str) -> None:
    forward, backward, args = WRONG[name]
    report = check_backward(forward, backward, *args)
    assert report.verdict == "wrong", str(report)


def test_the_wrong_and_the_right_arguments_are_named() -> None:
    def backward(g: Array, X: Array, W: Array, b: Array) -> tuple[Array, ...]:
        dX, dW, db = layer_backward(g, X, W, b)
        return dX, dW + np.sin(W), db

    report = check_backward(layer, backward, *LAYER)
    assert [a.name for a in report.arguments if a.wrong] == ["W"]
    assert "W" in report.diagnosis


@pytest.mark.parametrize(
    ("backward", "said"),
    [
        (lambda g, x, y: (g * y,), "1 gradient"),
        (lambda g, x, y: (g * y, g * x, g), "3 gradients"),
        (lambda g, x, y: None, "None"),
        (lambda g, x, y: (g * y, None), "None for y"),
        (lambda g, x, y: (g * y, (g * x).T), "shape (4, 3)"),
    ],
)
def test_gradients_that_are_missing_or_misshapen(backward: Any, said: str) -> None:
    report = check_backward(lambda x, y: x * y, backward, X, X, wrt=(0, 1))
    assert report.verdict == "wrong"
    assert said in report.diagnosis


def test_without_wrt_the_leading_gradients_will_do() -> None:
    report = check_backward(lambda x, y: x * y, lambda g, x, y: (g * y,), X, X)
    assert report.verdict == "pass"
    assert any("not checked: y" in note for note in report.notes)
    assert check_backward(lambda x, y: x * y, lambda g, x, y: (g * x,), X, X + 1).verdict == "wrong"


def test_gradients_left_over_from_the_last_call() -> None:
    kept = np.zeros_like(X)

    def backward(g: Array, x: Array) -> Array:
        kept[...] += g * np.cos(x)
        return kept.copy()

    report = check_backward(np.sin, backward, X)
    assert report.verdict == "wrong"
    assert "twice" in report.diagnosis


# -- neither ---------------------------------------------------------------------------------------


def relu_net(X: Array, W1: Array, W2: Array) -> Array:
    return np.log(np.exp(np.maximum(X @ W1, 0) @ W2).sum(1)).sum()


def relu_net_backward(g: Array, X: Array, W1: Array, W2: Array) -> tuple[Array, Array, Array]:
    H = np.maximum(X @ W1, 0)
    P = np.exp(H @ W2)
    P = g * P / P.sum(1, keepdims=True)
    D = (P @ W2.T) * (H > 0)
    return D @ W1.T, X.T @ D, H.T @ P


def test_a_net_of_zeros_sits_on_its_kinks() -> None:
    args = X, np.zeros((4, 3)), rng.standard_normal((3, 2))
    report = check_backward(relu_net, relu_net_backward, *args)
    assert report.verdict == "kink"
    assert report.ok
    assert "not differentiable here" in report.diagnosis
    assert "kink at W1[0, 0]" in report.diagnosis

    def doubled(g: Array, *args: Array) -> tuple[Array, ...]:
        dX, dW1, dW2 = relu_net_backward(g, *args)
        return dX, 2 * dW1, dW2

    assert check_backward(relu_net, doubled, *args).verdict == "wrong"


@pytest.mark.parametrize(
    ("forward", "backward", "x"),
    [
        (np.abs, lambda g, x: g * np.sign(x), [0.0, 1.0]),
        (np.abs, lambda g, x: g * np.where(x >= 0, 1, -1), [0.0, 1.0]),
        (np.max, lambda g, x: g * (x == np.max(x)) / np.sum(x == np.max(x)), [2.0, 1.0, 2.0]),
        (np.max, lambda g, x: g * np.eye(3)[np.argmax(x)], [2.0, 1.0, 2.0]),
        (lambda x: np.clip(x, 0, 1), lambda g, x: g * ((x >= 0) & (x <= 1)), [0.0, 1.0, 0.5]),
        (np.sqrt, lambda g, x: g / 2 / np.sqrt(x), [0.0, 1.0]),
        (lambda x: np.linalg.norm(x), lambda g, x: g * x / (np.linalg.norm(x) or 1), [0.0, 0.0]),
    ],
)
def test_kinks_are_no_errors(forward: Any, backward: Any, x: list[float]) -> None:
    report = check_backward(forward, backward, np.array(x))
    assert report.verdict == "kink"
    assert report.ok
    assert "not differentiable here" in report.diagnosis


def test_kinks_of_parts_that_cancel() -> None:
    relu = tn.nn.functional.relu
    report = check_gradients(lambda x: relu(x) - relu(-x), np.array([0.0, 1.0]))
    assert report.verdict == "kink"
    assert "x[0]" in report.diagnosis
    wrong = check_backward(lambda x: x, lambda g, x: g * (x != 0) * 1.001, np.array([0.0, 1.0]))
    assert wrong.verdict == "wrong"


def test_other_verdicts() -> None:
    noise = np.random.default_rng()
    cases: list[tuple[str, Any, Any, Array]] = [
        ("nan", np.log, lambda g, x: g / x, [1.0, -1.0]),
        ("nan", np.log, lambda g, x: g / x, [1.0, 0.0]),
        ("discontinuous", np.floor, lambda g, x: 0 * g, [1.0, 0.5]),
        ("non-deterministic", lambda x: x * noise.random(2), lambda g, x: g, [1.0, 2.0]),
        ("unresolved", lambda x: np.sin(1e30 * x), lambda g, x: g, [1.0, 2.0]),
        ("error", np.sin, lambda g, x: g @ np.ones((3, 3)), [1.0, 2.0]),
        ("error", lambda x: x @ np.ones((3, 3)), lambda g, x: g, [1.0, 2.0]),
    ]
    for verdict, forward, backward, x in cases:
        report = check_backward(forward, backward, np.array(x))
        assert report.verdict == verdict, str(report)
        assert not report.ok
        assert verdict in check.VERDICTS


def test_the_line_of_an_error_is_quoted() -> None:
    def backward(g: Array, x: Array) -> Array:
        return g @ np.ones((3, 3))

    report = check_backward(np.sin, backward, np.ones(2))
    assert "ValueError" in report.diagnosis
    assert "g @ np.ones((3, 3))" in report.diagnosis


def test_too_much_noise_to_tell() -> None:
    report = check_backward(
        lambda x: np.tanh(x.astype(np.float16)), lambda g, x: g * (1 - np.tanh(x) ** 2), X
    )
    assert report.verdict in ("pass", "unresolved")


# -- large -----------------------------------------------------------------------------------------


def mlp() -> tuple[Any, Any, tuple[Array, ...]]:
    data = np.random.default_rng(0)
    X, y = data.random((16, 784)), data.integers(0, 10, 16)
    own = data.standard_normal((784, 256)) * 0.05, np.zeros(256)
    own += data.standard_normal((256, 10)) * 0.1, np.zeros(10)

    def forward(W1: Array, b1: Array, W2: Array, b2: Array) -> Array:
        z = np.maximum(X @ W1 + b1, 0) @ W2 + b2
        return np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(16), y])

    def backward(g: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> tuple[Array, ...]:
        A = X @ W1 + b1
        H = np.maximum(A, 0)
        P = np.exp(H @ W2 + b2)
        P /= P.sum(1, keepdims=True)
        P[np.arange(16), y] -= 1
        P *= g / 16
        D = (P @ W2.T) * (A > 0)
        return X.T @ D, D.sum(0), H.T @ P, P.sum(0)

    return forward, backward, own


def test_two_hundred_thousand_parameters() -> None:
    forward, backward, own = mlp()
    start = time.perf_counter()
    report = check_backward(forward, backward, *own)
    assert report.verdict == "pass", str(report)
    assert time.perf_counter() - start < 20  # a fraction of a second on a quiet machine


def test_one_entry_in_two_hundred_thousand() -> None:
    forward, backward, own = mlp()

    def off(g: Array, *args: Array) -> tuple[Array, ...]:
        found = backward(g, *args)
        found[0][300, 17] *= 1.001
        return found

    report = check_backward(forward, off, *own)
    assert report.verdict == "wrong"
    assert report.evidence.worst[0].place == "W1[300, 17]"
    assert report.evidence.worst[0].ratio == pytest.approx(1.001, rel=1e-5)


def test_a_million_parameters_take_a_few_evaluations() -> None:
    calls = 0

    def forward(x: Array) -> Array:
        nonlocal calls
        calls += 1
        return np.sum(np.tanh(x))

    x = rng.standard_normal(1_000_000)
    backward = lambda g, x: g * (1 - np.tanh(x) ** 2)  # noqa: E731
    assert check_backward(forward, backward, x).verdict == "pass"
    assert calls < 120


# -- of Tensors ------------------------------------------------------------------------------------


def test_functions_of_tensors() -> None:
    x = tn.tensor(X, dtype=tn.float64)
    assert check_gradients(lambda x: tn.tanh(x) @ x.transpose(0, 1), x).verdict == "pass"
    assert check_gradients(lambda x, y: (x * y, y.sum()), X, X).verdict == "pass"
    assert check_gradients(lambda x, y: x * 2, X, X).verdict == "pass"
    assert check_gradients(lambda x: tn.nn.functional.relu(x), np.array([0.0, 1.0])).ok


def test_a_broken_tape_is_found() -> None:
    report = check_gradients(lambda x: (x * x.detach()).sum(), X)
    assert report.verdict == "wrong"
    assert report.evidence.worst[0].ratio == pytest.approx(0.5)


@pytest.mark.parametrize("order", [2, 3])
def test_higher_orders(order: int) -> None:
    assert check_gradients(lambda x: tn.sin(x) * x, X[0], order=order).verdict == "pass"


def test_a_wrong_second_derivative_is_found() -> None:
    class Square(tn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 2 * x.detach()

    assert check_gradients(Square.apply, X).verdict == "pass"
    assert check_gradients(Square.apply, X, order=2).verdict == "wrong"
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    assert gradcheck(Square.apply, x)
    assert not gradgradcheck(Square.apply, x, raise_exception=False)


def test_gradcheck_returns_or_raises() -> None:
    x = tn.tensor([0.5, 1.0], dtype=tn.float64, requires_grad=True)
    assert gradcheck(lambda x: tn.sin(x), (x,), eps=1e-6, atol=1e-5, rtol=1e-3) is True
    wrong = lambda x: x * x.detach()  # noqa: E731
    assert gradcheck(wrong, (x,), raise_exception=False) is False
    with pytest.raises(GradientError, match="wrong") as caught:
        gradcheck(wrong, (x,))
    assert caught.value.report.verdict == "wrong"
    slightly = lambda x: x + 1e-4 * x.detach()  # noqa: E731
    assert not gradcheck(slightly, x, raise_exception=False)
    assert gradcheck(slightly, x, rtol=1e-3)


# -- what cannot be asked --------------------------------------------------------------------------


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ArgumentError, match="nothing to differentiate"):
        check_backward(lambda i: i * 2.0, lambda g, i: g, np.arange(3))
    with pytest.raises(DTypeError, match="complex"):
        check_backward(np.sin, lambda g, x: g, np.array([1j]))
    with pytest.raises(DTypeError, match="cannot be differentiated"):
        check_backward(np.sin, lambda g, x: g, np.array([None]), wrt=0)
    with pytest.raises(ArgumentError, match="wrt"):
        check_backward(np.sin, lambda g, x: g, X, wrt=3)
    with pytest.raises(ArgumentError, match="order"):
        check_gradients(lambda x: x, X, order=0)
    with pytest.raises(ArgumentError, match="requires gradients"):
        gradcheck(lambda x: x, tn.tensor([1.0]))
    with pytest.raises(GradientError):
        check_backward(np.sin, lambda g, x: g, X, raise_exception=True)


# -- the report ------------------------------------------------------------------------------------


def test_reports_can_be_read_in_three_ways() -> None:
    def backward(g: Array, X: Array, W: Array, b: Array) -> tuple[Array, ...]:
        dX, dW, db = layer_backward(g, X, W, b)
        return dX, 2 * dW, db[:, None]

    report = check_backward(layer, backward, *LAYER)
    text = str(report)
    assert text.startswith("wrong: ")
    assert "analytic" in text
    page = report._repr_html_()
    assert page.count("<table") == 3  # the evidence, X and W
    assert "background:#" in page
    titles = [ax.get_title() for ax in report.plot().ravel()]
    assert {"X: error", "W: numeric"} <= set(titles)
    assert not report


def test_markup_in_names_does_no_harm() -> None:
    x = tn.tensor([1.0], dtype=tn.float64, name="<b>")
    assert "<b>:" not in check_gradients(lambda x: x * x.detach(), x)._repr_html_()


def test_the_diagnosis_gets_two_points_to_look_at() -> None:
    from tinynet.check.judge import judge
    from tinynet.check.subject import pair

    def backward(g: Array, *args: Array) -> tuple[Array, ...]:
        dX, dW, db = layer_backward(g, *args)
        return dX, dW * 2, db

    problem = judge(pair(layer, backward, LAYER, None)).problem
    assert problem is not None
    again = problem.again()
    assert again is not None
    assert not np.array_equal(problem.g, again.g)
    for p in (problem, again):
        assert p.names == ("X", "W", "b")
        assert p.wrong() == [1]
        assert all((t > 0).all() for t in p.tolerance)
        right = layer_backward(p.g, *p.args)
        assert all(p.residual(k, d) <= 1 for k, d in enumerate(right))
        np.testing.assert_allclose(p.true[1], p.found[1] / 2, rtol=1e-6)


def test_other_causes_are_of_other_kinds() -> None:
    """And a factor that the numbers suggest says less than a line of the code."""

    def averaged(g: Array, X: Array, s: Array) -> tuple[Array, Array]:
        return g * s, np.mean(g * X, axis=0)

    report = check_backward(lambda X, s: X * s, averaged, X, X[0])
    assert "averaged" in report.diagnosis
    assert {"factor"} == {c.kind for c in report.candidates[1:]}
    assert "  or: " not in str(report)
    twice = check_backward(np.sin, lambda g, x: 2 * g * np.cos(x), X)
    assert str(twice).count("  or: ") == 2
    shown = [c for c in twice.candidates if f"  or: {c.message}" in str(twice)]
    assert len({c.kind for c in (twice.candidates[0], *shown)}) == 3
