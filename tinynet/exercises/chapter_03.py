"""The neuron and the perceptron."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations import perceptron
from tinynet.exercises.properties import at, gradient, number, right, values
from tinynet.exercises.task import Exercise

linear, softplus = right("linear"), right("softplus")


def _by_hand() -> float:
    X, y = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 2.0]]), np.array([1, -1, 1])
    found = perceptron.fit(X, y, epochs=1)
    return float(X[0] @ found.w + found.b)


def _layer() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"X": arrays("n d"), "W": arrays("o d"), "b": arrays("o")}


def _softplus_layer(X: Any, W: Any, b: Any) -> Any:
    return softplus(linear(X, W, b))


def _scores() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"z": arrays()}


def _labelled() -> dict[str, Any]:
    from hypothesis.strategies import sampled_from

    from tinynet.check.strategies import arrays, labels

    return {
        "X": arrays("n d"),
        "y": labels("n", 2).map(lambda t: 2 * t - 1),
        "passes": sampled_from([1, 2, 3, 10]),
    }


def _weights_and_bias(X: Any, y: Any, passes: Any) -> Any:
    found = perceptron.fit(X, y, epochs=int(passes))
    return np.append(found.w, found.b)


_FAR = np.array([[1000.0], [-1000.0], [0.0]]), np.array([[1.0], [-1.0]]), np.array([0.0, 5.0])
_AND = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([-1, -1, -1, 1])

EXERCISES = (
    Exercise(
        "03.by_hand",
        "By hand: Rosenblatt's rule from 0, one pass over (1, 2) +, (2, 1) −, (3, 2) +. The score "
        "of the first sample then?",
        "a number",
        (number(_by_hand, name="is the score of (1, 2) after the pass"),),
        (
            "A table with three rows: sample, score, mistake or not, the new w and b.",
            "At the start every score is 0, and 0 is a mistake. Do not forget that b changes, too.",
            "All three samples are mistakes. After the second one w = (−1, 1) and b = 0.",
        ),
    ),
    Exercise(
        "03.softplus",
        "A layer of neurons with the curve log(1 + e^z), for scores of any size.",
        "softplus_layer(X, W, b) -> a, X (n, d), W (o, d), b (o,), a (n, o)",
        (values(_softplus_layer, _layer), at(_softplus_layer, _FAR)),
        (
            "Shapes first: X (n, d) and W (o, d) are to give scores (n, o). Which is transposed?",
            "e^1000 is inf. For large z the result is nearly z: take z out of the logarithm.",
            "log(e^0 + e^z): NumPy has a function for the log of a sum of two exponentials.",
        ),
    ),
    Exercise(
        "03.silu_backward",
        "Derive the slope of a = z σ(z) and write its backward pass. g is ∂L/∂a.",
        "silu_backward(g, z) -> dz, all of one shape",
        (gradient(right("silu"), _scores),),
        (
            "It is a product of two functions of z. Which rule?",
            "One term is σ(z). The other is z times a slope that section 6 derives.",
            "Write s = σ(z) first. Then the slope has s, z and 1 − s in it, and g in front.",
        ),
    ),
    Exercise(
        "03.tanh_layer_backward",
        "The backward pass of A = tanh(X Wᵀ + b), a whole layer over a batch. g is ∂L/∂A.",
        "tanh_layer_backward(g, X, W, b) -> (dX, dW, db), X (n, d), W (o, d), b (o,), g (n, o)",
        (gradient(lambda X, W, b: right("neuron", act="tanh")(X, W, b), _layer),),
        (
            "Forward first: A. Then δ = ∂L/∂Z, of shape (n, o): section 6 has the slope of tanh.",
            "Each gradient has the shape of its array. Which of n, o, d is missing in each? That "
            "index is summed over.",
            "δ (n, o), X (n, d), W (o, d): dW (o, d) is a product over n, dX (n, d) one over o.",
        ),
    ),
    Exercise(
        "03.planted_bug",
        "`restless_perceptron` of the chapter has a mistake. Write it right.",
        "perceptron(X, y, passes) -> (w, b) as one array (d + 1,), X (n, d), y (n,) of ±1",
        (
            values(_weights_and_bias, _labelled, name="is Rosenblatt's rule after some passes"),
            at(_weights_and_bias, (*_AND, 20), name="rests when all is right"),
        ),
        (
            "Run it on one sample, for two passes. What changes in the second?",
            "The rule changes w and b on a mistake. Which of the two lines knows about mistakes?",
            "Python reads the indentation: one line stands one level too far to the left.",
        ),
    ),
)
