"""Planted errors: the diagnosis from values alone must name each, and must not name what it does
not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tinynet.check.diagnosis.values import KINDS, LONGEST, value_candidates
from tinynet.check.problem import Candidate, Problem

Gradients = Callable[..., Sequence[Any]]


def problem(
    forward: Callable[..., Any],
    right: Gradients,
    wrong: Gradients,
    args: Sequence[Any],
    wrt: Sequence[int] | None = None,
    seed: int = 0,
    names: str = "",
    second: bool = True,
) -> Problem:
    """The problem that the checker would make; `right` stands for the differences."""
    rng = np.random.default_rng(seed)
    positions = tuple(range(len(args)) if wrt is None else wrt)
    y = np.asarray(forward(*args), dtype=np.float64)
    g = np.asarray(rng.standard_normal(y.shape))
    true = tuple(
        np.asarray(d, dtype=np.float64).reshape(np.shape(args[i]))
        for d, i in zip(right(g, *args), positions, strict=True)
    )

    def again() -> Problem | None:
        moved = [
            a * (1 + 0.05 * rng.standard_normal(a.shape)) if np.asarray(a).dtype.kind == "f" else a
            for a in args
        ]
        return problem(forward, right, wrong, moved, wrt, seed + 1, names, False)

    return Problem(
        forward=forward,
        backward=wrong,
        args=tuple(args),
        wrt=positions,
        names=tuple(names or "xwbuv"[: len(args)]),
        g=g,
        y=y,
        found=tuple(np.asarray(d) for d in wrong(g.copy(), *(np.array(a) for a in args))),
        true=true,
        tolerance=tuple(1e-7 * (1 + np.abs(d)) for d in true),
        again=again if second else lambda: None,
    )


def best(p: Problem) -> Candidate:
    found = value_candidates(p)
    assert found, "no explanation"
    assert all(c.residual <= 1 and len(c.message) <= LONGEST and c.kind in KINDS for c in found)
    return found[0]


def normal(*shape: int, seed: int = 3) -> np.ndarray[Any, Any]:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


def linear(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b


def linear_backward(g: Any, x: Any, w: Any, b: Any) -> tuple[Any, ...]:
    return g @ w.T, x.T @ g, g.sum(axis=0)


def changed(**by: Callable[..., Any]) -> Gradients:
    """The gradients of the linear layer, some of them changed: f(d, g, x, w, b)."""

    def wrong(g: Any, x: Any, w: Any, b: Any) -> list[Any]:
        right = dict(zip("xwb", linear_backward(g, x, w, b), strict=True))
        return [by[n](d, g, x, w, b) if n in by else d for n, d in right.items()]

    return wrong


LAYER: list[tuple[str, Gradients, str, str]] = [
    ("sign", changed(w=lambda d, *_: -d, x=lambda d, *_: -d), "factor", "of x and w: the sign"),
    ("twice", changed(w=lambda d, *_: 2 * d), "factor", "factor 2"),
    ("averaged", changed(b=lambda d, g, *_: g.mean(axis=0)), "factor", "averaged instead of sum"),
    ("constant", changed(w=lambda d, *_: d / 3.7), "factor", "factor 3.7"),
    ("zero", changed(b=lambda d, *_: 0 * d), "zero", "zero everywhere"),
    ("not summed", changed(b=lambda d, g, *_: g), "not summed", "over axis 0"),
    ("transposed", changed(w=lambda d, *_: d.T), "order of entries", "transposed"),
    ("rolled", changed(w=lambda d, *_: np.roll(d, 1, 0)), "order of entries", "off by one"),
    ("flipped", changed(w=lambda d, *_: d[::-1, ::-1]), "order of entries", "180 degrees"),
    ("no row 0", changed(w=lambda d, *_: _blank(d, 0)), "part missing", "the first row"),
    ("no end", changed(x=lambda d, *_: _blank(d, -1)), "part missing", "the last row"),
    ("nan", changed(w=lambda d, *_: _blank(d, 1, np.nan)), "not a number", "nan"),
    ("integers", changed(b=lambda d, *_: d.astype(int)), "integer dtype", "truncated"),
    ("float16", changed(w=lambda d, *_: d.astype(np.float16)), "precision", "float16"),
    ("decay", changed(w=lambda d, g, x, w, b: d + 0.3 * w), "wrong term", "regulariser"),
    ("wrong axis", changed(b=lambda d, g, *_: g.sum(axis=1)), "upstream order", "wrong axis"),
    ("W not .T", changed(x=lambda d, g, x, w, b: g @ w), "argument order", "transposed"),
    ("inverse", changed(x=lambda d, g, x, w, b: g @ np.linalg.inv(w)), "matrix", "inverse"),
    ("not through w", changed(x=lambda d, g, *_: g), "matrix", "multiplied by w.t"),
    ("g twice", changed(b=lambda d, g, *_: (g * g).sum(0)), "upstream", "squared"),
    ("no g", changed(b=lambda d, g, *_: np.ones(g.shape).sum(0)), "upstream", "not multiplied in"),
    ("sign of a row", changed(w=lambda d, *_: _blank(d, 2, -d[2])), "factor per row", "sign"),
    (
        "last sample",
        changed(b=lambda d, g, *_: g[-1]),
        "part of the jacobian",
        "overwritten instead of",
    ),
]


def _blank(d: Any, at: int, value: Any = 0.0) -> Any:
    d = d.copy()
    d[at] = value
    return d


@pytest.mark.parametrize(("name", "wrong", "kind", "words"), LAYER, ids=[row[0] for row in LAYER])
@pytest.mark.parametrize("n", [4, 5])
def test_a_mistake_in_a_square_linear_layer(
    name: str, wrong: Gradients, kind: str, words: str, n: int
) -> None:
    args = [normal(n, n), normal(n, n, seed=4), normal(n, seed=5)]
    found = best(problem(linear, linear_backward, wrong, args, seed=n))
    assert (found.kind, words in found.message.lower()) == (kind, True), found
    assert found.repaired


@pytest.mark.parametrize("n", [3, 6])
def test_the_mean_of_a_loss(n: int) -> None:
    def right(g: Any, x: Any, t: Any) -> list[Any]:
        return [2 * g * (x - t) / n]

    args = [normal(n), normal(n, seed=1)]
    for wrong, words in (
        (lambda g, x, t: [2 * g * (x - t)], f"not divided by n = {n}"),
        (lambda g, x, t: [2 * g * (x - t) / n**2], "extra 1/n"),
        (lambda g, x, t: [-2 * g * (x - t) / n], "sign"),
    ):
        p = problem(lambda x, t: np.mean((x - t) ** 2), right, wrong, args, [0], n)
        assert words in best(p).message


def test_different_factors_are_one_explanation() -> None:
    wrong = changed(x=lambda d, *_: 2 * d, w=lambda d, *_: 3 * d)
    args = [normal(5, 7), normal(7, 2), normal(2)]
    found = best(problem(linear, linear_backward, wrong, args))
    assert found.repaired == (0, 1)
    assert "of x: twice too large" in found.message
    assert "of w: 3 times too large" in found.message.lower()


ACTIVATION: list[tuple[str, Any, Any, Any, str, str]] = [
    (
        "tanh + for -",
        np.tanh,
        lambda g, x: [g / np.cosh(x) ** 2],
        lambda g, x: [g * (1 + np.tanh(x) ** 2)],
        "local derivative",
        "tanh derivative",
    ),
    (
        "tanh twice",
        np.tanh,
        lambda g, x: [g / np.cosh(x) ** 2],
        lambda g, x: [g / np.cosh(np.tanh(x)) ** 2],
        "local derivative",
        "not (1 - tanh(y)**2)",
    ),
    (
        "abs",
        np.abs,
        lambda g, x: [g * np.sign(x)],
        lambda g, x: [g],
        "local derivative",
        "sign(x)",
    ),
    (
        "relu not masked",
        lambda x: np.maximum(x, 0),
        lambda g, x: [g * (x > 0)],
        lambda g, x: [g],
        "local derivative",
        "a mask",
    ),
    (
        "leaky swapped",
        lambda x: np.where(x > 0, x, 0.1 * x),
        lambda g, x: [g * np.where(x > 0, 1, 0.1)],
        lambda g, x: [g * np.where(x > 0, 0.1, 1)],
        "branch",
        "swapped",
    ),
    (
        "leaky slope",
        lambda x: np.where(x > 0, x, 0.1 * x),
        lambda g, x: [g * np.where(x > 0, 1, 0.1)],
        lambda g, x: [g * (x > 0)],
        "part missing",
        "the negative or the other branch",
    ),
    (
        "cumsum forwards",
        np.cumsum,
        lambda g, x: [np.cumsum(g[::-1])[::-1].reshape(x.shape)],
        lambda g, x: [np.cumsum(g).reshape(x.shape)],
        "upstream order",
        "reverse",
    ),
    (
        "slice",
        lambda x: x[:2] ** 2,
        lambda g, x: [np.concatenate([2 * x[:2] * g, 0 * x[2:]])],
        lambda g, x: [2 * x[:2] * g],
        "cropping",
        "wrong shape (2,)",
    ),
    (
        "softmax, diagonal only",
        lambda x: np.exp(x) / np.exp(x).sum(),
        lambda g, x: [_softmax(x) * (g - np.sum(g * _softmax(x)))],
        lambda g, x: [_softmax(x) * g * (1 - _softmax(x))],
        "part of the jacobian",
        "off-diagonal",
    ),
    (
        "softmax, no sum",
        lambda x: np.exp(x) / np.exp(x).sum(),
        lambda g, x: [_softmax(x) * (g - np.sum(g * _softmax(x)))],
        lambda g, x: [_softmax(x) * g],
        "wrong axis",
        "sum term of softmax",
    ),
]


def _softmax(x: Any) -> Any:
    return np.exp(x) / np.exp(x).sum()


@pytest.mark.parametrize(
    ("forward", "right", "wrong", "kind", "words"),
    [row[1:] for row in ACTIVATION],
    ids=[row[0] for row in ACTIVATION],
)
@pytest.mark.parametrize("n", [7, 9])
def test_a_mistake_in_a_function_of_one_vector(
    forward: Any, right: Any, wrong: Any, kind: str, words: str, n: int
) -> None:
    p = problem(forward, right, wrong, [normal(n, seed=n)], seed=n)
    found = best(p)
    assert (found.kind, words in found.message) == (kind, True), found


def test_swapped_gradients() -> None:
    def right(g: Any, u: Any, v: Any) -> list[Any]:
        return [g * v, g * u * 1.0]

    p = problem(
        np.multiply, right, lambda g, u, v: [g * u, g * v], [normal(3, 2), normal(3, 2, seed=8)]
    )
    found = best(p)
    assert found.repaired == (0, 1)
    assert "the gradients of x and w are swapped" in found.message


def test_a_repeated_index_is_overwritten() -> None:
    index = np.array([0, 2, 2, 3])

    def right(g: Any, e: Any, i: Any) -> list[Any]:
        d = np.zeros_like(e)
        np.add.at(d, i, g)
        return [d]

    def wrong(g: Any, e: Any, i: Any) -> list[Any]:
        d = np.zeros_like(e)
        d[i] += g
        return [d]

    p = problem(lambda e, i: e[i], right, wrong, [normal(5, 3), index], [0], names="ei")
    assert "overwritten instead of accumulated" in best(p).message


@pytest.mark.parametrize("axis", [0, 1])
def test_a_normalisation_whose_statistics_are_constants(axis: int) -> None:
    def forward(x: Any) -> Any:
        return (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True)

    def right(g: Any, x: Any, mean: float = 1.0, variance: float = 1.0) -> list[Any]:
        u, s = forward(x), x.std(axis, keepdims=True)
        d = g - mean * g.mean(axis, keepdims=True)
        return [(d - variance * u * (g * u).mean(axis, keepdims=True)) / s]

    for options, word in (({"variance": 0}, "the variance"), ({"mean": 0}, "the mean depends")):
        p = problem(forward, right, lambda g, x, o=options: right(g, x, **o), [normal(5, 4)])
        assert word in best(p).message


def test_padding_that_is_not_cropped_and_cropped_at_the_wrong_side() -> None:
    def whole(g: Any, x: Any) -> Any:
        return np.pad(np.cos(x), 1, mode="wrap") * np.pad(g, 1, mode="edge")

    args = [normal(5, 6)]
    for wrong, word in (
        (lambda g, x: [whole(g, x)], "padding is not cropped"),
        (lambda g, x: [whole(g, x)[:5, :6]], "padding cropped from the wrong side"),
    ):
        p = problem(np.sin, lambda g, x: [g * np.cos(x)], wrong, args)
        assert word in best(p).message


def test_a_backward_pass_that_is_not_repeatable() -> None:
    rng = np.random.default_rng(0)
    p = problem(
        lambda x: 2 * x,
        lambda g, x: [2 * g],
        lambda g, x: [2 * g * (rng.random(x.shape) > 0.5) + 0.1 * rng.random(x.shape)],
        [normal(6)],
    )
    assert "not deterministic" in best(p).message


UNKNOWN: dict[str, Callable[..., Any]] = {
    "noise": lambda d, g, x, w, b: d + normal(*d.shape, seed=int(1e6 * abs(g.flat[0]))),
    "cubed": lambda d, g, x, w, b: d * (1 + 0.3 * np.sin(7 * d + w)),
    "other gradient": lambda d, g, x, w, b: np.arctan(x).T @ (g * np.exp(x @ w)) + 0.3,
    "mixed": lambda d, g, x, w, b: d @ normal(3, 3, seed=9) + np.sin(g.sum(0)),
}


@pytest.mark.parametrize("name", list(UNKNOWN))
@pytest.mark.parametrize("seed", range(3))
def test_what_no_kind_describes_is_not_explained(name: str, seed: int) -> None:
    args = [normal(4, 5, seed=seed), normal(5, 3, seed=seed + 10), normal(3, seed=seed + 20)]
    p = problem(linear, linear_backward, changed(w=UNKNOWN[name]), args, seed=seed)
    # That it is not linear in g may be said: it is so, and dear enough to come last.
    assert all(c.kind == "upstream" and c.cost > 1.8 for c in value_candidates(p))


def test_without_a_second_point_an_explanation_costs_more() -> None:
    wrong = changed(w=lambda d, *_: -d)
    args = [normal(4, 5), normal(5, 3), normal(3)]
    sure = best(problem(linear, linear_backward, wrong, args))
    unsure = best(problem(linear, linear_backward, wrong, args, second=False))
    assert unsure.cost > sure.cost


def test_a_right_gradient_needs_no_explanation() -> None:
    args = [normal(4, 5), normal(5, 3), normal(3)]
    assert value_candidates(problem(linear, linear_backward, linear_backward, args)) == []
