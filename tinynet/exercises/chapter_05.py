"""The multilayer perceptron and backpropagation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.check import numeric_vjp
from tinynet.derivations import adam
from tinynet.derivations.initialisation import he_std
from tinynet.exercises.properties import gradient, number, right, values
from tinynet.exercises.task import Exercise

linear = right("linear")


def _by_hand() -> float:
    hidden, loss = right("neuron", act="relu"), right("mse")
    x, b1, t = np.array([[2.0, 1.0]]), np.ones(2), np.ones((1, 1))
    W2, b2 = np.array([[2.0, -1.0]]), np.array([0.5])

    def compute(W1: Any) -> Any:
        return loss(linear(hidden(x, W1, b1), W2, b2), t)

    W1 = np.array([[1.0, -1.0], [2.0, -1.0]])
    return float(numeric_vjp(compute, [W1], 0, np.array(1.0))[0][0, 0])


def _silu_network(X: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    return linear(right("silu")(linear(X, W1, b1)), W2, b2)


def _two_layers() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {
        "X": arrays("n d"),
        "W1": arrays("h d"),
        "b1": arrays("h"),
        "W2": arrays("k h"),
        "b2": arrays("k"),
    }


def _residual(A: Any, W: Any, b: Any) -> Any:
    return A + np.maximum(A @ W.T + b, 0)


def _square_layer() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    # signs that differ: where all numbers are 1, several explanations fit
    return {
        "A": arrays("n 2", low=-1, high=1, distinct=True),
        "W": arrays("2 2", low=-2, high=2, distinct=True),
        "b": arrays("2").map(lambda b: b + 0.3),  # away from the kink
    }


def _leaky_std(fan_in: int, s: float) -> float:
    return he_std(fan_in, math.sqrt(2 / (1 + s**2)))


def _fan_and_slope() -> dict[str, Any]:
    from hypothesis.strategies import sampled_from

    return {
        "fan_in": sampled_from([2, 8, 50, 400]),
        "s": sampled_from([0.0, 1.0, 0.01, 0.1, 0.25]),
    }


def _adamw_step(w: Any, m: Any, v: Any, t: Any, g: Any, lr: Any, decay: Any) -> Any:
    w, m, v = (np.array(x) for x in (w, m, v))
    adam.step(w, g, m, v, t, np.zeros_like(w), lr=lr, weight_decay=decay, decoupled=True)
    return np.stack([w, m, v])


def _state() -> dict[str, Any]:
    from hypothesis.strategies import integers, sampled_from

    from tinynet.check.strategies import arrays

    return {
        "w": arrays("n"),
        "m": arrays("n"),
        "v": arrays("n", low=0.0, high=3.0),
        "t": integers(1, 20),
        "g": arrays("n", away_from=0),
        "lr": sampled_from([0.5, 0.1, 0.01]),
        "decay": sampled_from([0.5, 0.1]),
    }


def _tied(X: Any, W: Any) -> Any:
    return np.tanh(X @ W.T) @ W


def _batch_and_weights() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    # weights that differ, and no saturated tanh: elsewhere several explanations fit
    return {"X": arrays("n 2", low=-1, high=1), "W": arrays("h 2", low=-1, high=1, distinct=True)}


EXERCISES = (
    Exercise(
        "05.by_hand",
        "By hand: the network of section 4 with ReLU, x = (2, 1), t = 1. "
        "The slope of the loss by the first weight of the first hidden neuron?",
        "a number",
        (number(_by_hand, name="is ∂L/∂w of W₁ in row 1, column 1"),),
        (
            "Forward first. z₁ = W₁ x + b₁ = (2 − 1 + 1, 4 − 1 + 1). Both are positive.",
            "ŷ = 2 · 2 − 4 + 0.5. What is 2(ŷ − t), and with which weight does the first hidden "
            "neuron speak to the output?",
            "Three factors: the slope of the loss, that weight, and the input at this weight. The "
            "slope of an open ReLU is 1.",
        ),
    ),
    Exercise(
        "05.silu_network",
        "Write two layers with the activation SiLU, a = z σ(z), between them; scores come out.",
        "silu_network(X, W1, b1, W2, b2) -> scores, X (n, d), W1 (h, d), W2 (k, h), scores (n, k)",
        (values(_silu_network, _two_layers),),
        (
            "Samples are rows, and W is (out, in). Which of the two is transposed in the product?",
            "Z₁ = X W₁ᵀ + b₁ of shape (n, h), then z times the sigmoid of z, entry by entry.",
            "The second layer takes A₁, not Z₁, and has no activation after it.",
        ),
    ),
    Exercise(
        "05.residual_backward",
        "Write the backward pass of a residual layer, Y = A + relu(A Wᵀ + b). g is ∂L/∂Y.",
        "residual_backward(g, A, W, b) -> (dA, dW, db), A and g (n, d), W (d, d), b (d,)",
        (gradient(_residual, _square_layer),),
        (
            "Give the ReLU's part a name: Y = A + R. What does a sum pass to each of its terms?",
            "R is a layer of section 3; its slope is a mask, 1 where Z > 0 (not where Y > 0).",
            "A is used twice: in the sum, and in Z. Its gradient is the sum of what comes back "
            "on both ways.",
        ),
    ),
    Exercise(
        "05.leaky_std",
        "Derive the standard deviation of first weights that keeps the mean square of z from layer "
        "to layer, for the leaky ReLU: z where z > 0, else s z.",
        "leaky_std(fan_in, s) -> a number",
        (values(_leaky_std, _fan_and_slope, name="keeps the mean square"),),
        (
            "Section 7 has E[z²] = fan_in · v · E[a²]. What is E[a²] by E[z²] for this activation?",
            "Take z and −z together: one of them gives |z|, the other s|z|. Square and average.",
            "The kept share is (1 + s²)/2. fan_in · v times it must be 1; the answer is √v. "
            "For s = 0 it is He's, for s = 1 a linear layer's.",
        ),
    ),
    Exercise(
        "05.adamw_step",
        "Write one step of AdamW: w shrinks by the factor 1 − lr · decay, then takes Adam's step. "
        "β₁ = 0.9, β₂ = 0.999, ε = 1e-8; t counts from 1.",
        "adamw_step(w, m, v, t, g, lr, decay) -> (w, m, v), arrays of shape (n,)",
        (values(_adamw_step, _state, name="gives the new w, m and v"),),
        (
            "m and v are Adam's, of g alone: no decay in them.",
            "m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) serve the step; what is returned are m and v.",
            "The shrinking is not divided by √v̂: that is the whole difference from adding λw to g.",
        ),
    ),
    Exercise(
        "05.planted_bug",
        "The function `tied_backward` of the chapter's last section has a mistake. Write it right.",
        "tied_backward(g, X, W) -> (dX, dW), X and g (n, d), W (h, d)",
        (gradient(_tied, _batch_and_weights),),
        (
            "Check it against differences: which of the two gradients is wrong?",
            "In Y = tanh(X Wᵀ) W, where does W stand? Ask what a number touches, and sum over it.",
            "Each place gives a part of dW. Both are computed; what happens to the first?",
        ),
    ),
)
