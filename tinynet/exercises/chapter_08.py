"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.exercises.properties import gradient, number, right, values
from tinynet.exercises.task import Exercise

softmax = right("softmax")


def _attention(q: Any, k: Any, v: Any, mask: Any = True) -> Any:
    return right("attention")(q, k, v, mask, True)


def _triple() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"q": arrays("n d"), "k": arrays("s d"), "v": arrays("s v")}


def _sequence() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    return {
        "q": arrays("n d"),
        "k": arrays("n d"),
        "v": arrays("n v"),
        "reach": st.integers(0, 3),
    }


def _window(q: Any, k: Any, v: Any, reach: Any) -> Any:
    places = np.arange(len(q))
    return _attention(q, k, v, np.abs(places[:, None] - places) <= int(reach))


def _sharp() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"x": arrays("n k"), "c": arrays("n")}


def _sharp_softmax(x: Any, c: Any) -> Any:
    return softmax(c[:, None] * x)


def _with_bias() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {**_triple(), "B": arrays("n s")}


def _by_hand() -> float:
    weights = softmax(np.array([math.log(3.0), 0.0]))
    return float(weights @ np.array([1.0, 5.0]))


EXERCISES = (
    Exercise(
        "08.by_hand",
        "By hand: keys (2, 0, 0, 0) and (0, 2, 0, 0), values 1 and 5, query (log 3, 0, 0, 0).",
        "a number",
        (number(_by_hand, name="is the weighted mean of the values"),),
        (
            "The scores are scalar products over √4.",
            "They are log 3 and 0. What are their exponentials, and what is their sum?",
            "Three quarters of the weight are on the first value.",
        ),
    ),
    Exercise(
        "08.window",
        "Attention in a window: query i may look at the keys j with |i − j| ≤ reach.",
        "window_attention(q, k, v, reach) -> y, q and k (n, d), v (n, v), reach a whole number",
        (values(_window, _sequence),),
        (
            "Make a table of booleans (n, n) that says who may look at whom.",
            "np.arange(n)[:, None] − np.arange(n) is the table of all i − j.",
            "Scores outside become −∞ before the softmax, not weights 0 after it.",
        ),
    ),
    Exercise(
        "08.softmax_backward",
        "The backward pass of softmax of c_i x_ij over the last axis, with a learned c_i a row.",
        "softmax_backward(g, x, c) -> (dx, dc), x and g (n, k), c (n)",
        (gradient(_sharp_softmax, _sharp),),
        (
            "Call s_ij = c_i x_ij. What arrives at s_ij is the formula of chapter 04.",
            "A product passes to each factor what arrives, times the other factor.",
            "c_i is in every entry of its row, so its gradient is a sum: over j.",
        ),
    ),
    Exercise(
        "08.bias_backward",
        "A table B is added to the scores: S = Q Kᵀ/√d + B. Its gradient.",
        "bias_backward(g, q, k, v, B) -> dB, q (n, d), k (s, d), v (s, v), B (n, s), g (n, v)",
        (gradient(_attention, _with_bias, wrt=["B"]),),
        (
            "S is a sum. What does a sum pass to each of its terms?",
            "The gradient of B is that of S. Section 4 has its formula; B itself changes P.",
            "P = softmax(Q Kᵀ/√d + B), then P (G Vᵀ − D). There is no root in it.",
        ),
    ),
    Exercise(
        "08.planted_bug",
        "`slow_backward` of the chapter has a mistake. Write it right.",
        "attention_backward(g, q, k, v) -> (dq, dk, dv)",
        (gradient(_attention, _triple),),
        (
            "Which of the three gradients are wrong? The check says so.",
            "dv is right, so P is right. What stands between dp and ds?",
            "Each query has a softmax of its own: along which axis is its sum?",
        ),
    ),
)
