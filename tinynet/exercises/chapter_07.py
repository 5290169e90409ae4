"""Recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.check import complex_step
from tinynet.exercises.properties import gradient, number, right, values
from tinynet.exercises.task import Exercise

states = right("rnn")
sigmoid, tanh, linear = right("sigmoid"), right("tanh"), right("linear")


def _by_hand() -> float:
    """The three steps of h_t = w h_(t−1) + x_t at w = ½, and ∂h_3/∂w by a complex step."""

    def last(w: Any) -> Any:
        return w * (w * 1 + 2) + 3

    return float(complex_step(last, [np.array(0.5)], 0, np.array(1.0)))


def _both_ends(x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    back = right("rnn", reverse=True)
    return np.concatenate([states(x, h0, W_x, W_h), back(x, h0, W_x, W_h)], axis=-1)


def _linear(x: Any, h0: Any, W: Any) -> Any:
    h, every = h0, []
    for x_t in x:
        h = linear(h, W, x_t)  # x W^T + b, with x_t for the bias
        every.append(h)
    return np.stack(every)


def _first_input(h: Any, W_x: Any, W_h: Any) -> Any:
    """∂h_T/∂x_1 by complex steps: z_t is what gave the state h_t, moved by what came before."""
    z = np.arctanh(h)

    def last(x: Any) -> Any:
        state = np.tanh(z[0] + W_x @ x)  # moved from x_1 = 0 on: only the slopes count
        for before, z_t in zip(h, z[1:], strict=False):
            state = np.tanh(z_t + W_h @ (state - before))
        return state

    start = np.zeros(W_x.shape[1])
    return np.stack([complex_step(last, [start], 0, unit) for unit in np.eye(len(W_h))])


def _coupled(p: Any, q: Any, c0: Any) -> Any:
    f = sigmoid(p)
    return tanh(f * c0 + (1 - f) * tanh(q))


def _sizes(least: int = 1) -> tuple[Any, Any, Any, Any]:
    from hypothesis import strategies as st

    return tuple(
        st.shared(st.integers(start, most), key=f"07: {name}, {start}")
        for name, start, most in (("T", least, 4), ("n", 1, 2), ("d", 1, 2), ("k", 1, 3))
    )  # type: ignore[return-value]


def _sequence(least: int = 1) -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    T, n, d, k = _sizes(least)
    return {
        "x": arrays((T, n, d), low=-1, high=1),
        "h0": arrays((n, k), low=-1, high=1),
        "W_x": arrays((k, d), low=-1, high=1),
        "W_h": arrays((k, k), low=-1, high=1),
    }


def _steps() -> dict[str, Any]:
    """Two steps at least: with one alone, `h0` would do for the state before each."""
    return _sequence(least=2)


def _one_sequence() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    T, _, _, k = _sizes()
    return {"x": arrays((T, k)), "h0": arrays((k,)), "W": arrays((k, k), low=-1, high=1)}


def _states_and_weights() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    T, _, d, k = _sizes()
    return {
        "h": arrays((T, k), low=-0.875, high=0.875),
        "W_x": arrays((k, d)),
        "W_h": arrays((k, k)),
    }


def _gate() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"p": arrays("n k"), "q": arrays("n k"), "c0": arrays("n k")}


EXERCISES = (
    Exercise(
        "07.by_hand",
        "By hand: h_t = w h_(t−1) + x_t, w = 0.5, h_0 = 0, x = (1, 2, 3). What is ∂h_3/∂w?",
        "a number",
        (number(_by_hand),),
        (
            "First all states: h_1 = 1, and so on. w was used at every step.",
            "Step t adds h_(t−1), times what h_t does to h_3.",
            "h_2 does it at once; h_1 through one more step, so times w; h_0 is 0.",
        ),
    ),
    Exercise(
        "07.both_ends",
        "Read a batch from both ends with tanh and the same weights; the two states side by side.",
        "both(x, h0, W_x, W_h) -> y, x (T, n, d), h0 (n, k), W_x (k, d), W_h (k, k), y (T, n, 2k)",
        (values(_both_ends, _sequence),),
        (
            "The second reader meets x[T − 1] first.",
            "x[::-1] turns the steps round. What comes out is turned round as well.",
            "Turn the second reader's states back before np.concatenate along the last axis.",
        ),
    ),
    Exercise(
        "07.linear_backward",
        "h_t = W h_(t−1) + x_t for one sequence; g_t arrives at every h_t. All gradients.",
        "linear_backward(g, x, h0, W) -> (dx, dh0, dW), x and g (T, k), h0 (k,), W (k, k)",
        (gradient(_linear, _one_sequence),),
        (
            "Section 4 without the activation: z_t and h_t are the same thing.",
            "Downwards from T: dh = g_t + Wᵀ dh. That is the gradient of x_t, too.",
            "W met h_(t−1): its gradient adds np.outer(dh, h_(t−1)) at every step, h_0 included.",
        ),
    ),
    Exercise(
        "07.first_input",
        "Derive: the matrix ∂h_T/∂x_1 of h_t = tanh(W_h h_(t−1) + W_x x_t + b), from its states.",
        "first_input(h, W_x, W_h) -> M, h (T, k), W_x (k, d), W_h (k, k), M (k, d)",
        (values(_first_input, _states_and_weights, name="is the matrix of slopes"),),
        (
            "x_1 is seen by h_1 alone. What is ∂h_1/∂x_1? Mind the slope of the tanh.",
            "Then from h_1 on to h_T: T − 1 Jacobians of section 5.",
            "They multiply from the left, each with the slopes 1 − h_t² of its own step.",
        ),
    ),
    Exercise(
        "07.coupled_backward",
        "h = tanh(f ⊙ c0 + (1 − f) ⊙ u) with f = σ(p), u = tanh(q). Its backward pass.",
        "coupled_backward(g, p, q, c0) -> (dp, dq, dc0), all of shape (n, k)",
        (gradient(_coupled, _gate),),
        (
            "Let c be what the outer tanh is taken of: first c̄. Then, who sees f? It stands twice.",
            "c̄ = g ⊙ (1 − h²). ∂c/∂f = c0 − u, and ∂c/∂u = 1 − f.",
            "Then through the activations: f (1 − f) for p, and 1 − u² for q.",
        ),
    ),
    Exercise(
        "07.planted_bug",
        "`hasty_backward` of the chapter has a mistake. Write it right.",
        "rnn_backward(g, x, h0, W_x, W_h) -> (dx, dh0, dW_x, dW_h), shapes as in section 4",
        (gradient(states, _steps),),
        (
            "Which of the four gradients is wrong? The check says so.",
            "What did W_h meet in step t? Write the step with its indices.",
            "The state before the step. Before the first step that is h0.",
        ),
    ),
)
