"""Losses and likelihood."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.check import complex_step
from tinynet.exercises.properties import at, gradient, number, right, values
from tinynet.exercises.task import Exercise

softmax = right("softmax")
soft_cross_entropy = right("soft_cross_entropy")
bce = right("bce", reduction="none")


def _scores() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"x": arrays("n k", low=-3, high=3)}


def _smoothed(x: Any, t: Any, eps: Any) -> Any:
    """The mean of H(q, softmax(x)), q being 1 − ε at the true class, and ε/k everywhere."""
    classes = x.shape[-1]
    return soft_cross_entropy(x, (1 - eps) * np.eye(classes)[t] + eps / classes)


def _scores_classes_and_doubt() -> dict[str, Any]:
    from hypothesis.strategies import sampled_from

    from tinynet.check.strategies import labels

    return {**_scores(), "t": labels("n", "k"), "eps": sampled_from([0.2, 0.1, 0.5])}


def _scores_and_answers() -> dict[str, Any]:
    from tinynet.check.strategies import arrays, labels

    return {"z": arrays("n"), "y": labels("n", 2).map(lambda y: y.astype(float))}


def _shares(x: Any) -> Any:
    return x * x / np.sum(x * x)


def _jacobian(x: Any) -> Any:
    """∂y_i/∂x_j of the shares at one vector, by complex steps: row i is the gradient of y_i."""
    return np.stack([complex_step(_shares, [x], 0, unit) for unit in np.eye(len(x))])


def _at_temperature(x: Any, tau: Any) -> Any:
    return softmax(x / tau)


def _scores_and_temperature() -> dict[str, Any]:
    from hypothesis.strategies import sampled_from

    return {**_scores(), "tau": sampled_from([1.0, 0.5, 2.0, 10.0])}


def _one_vector() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"x": arrays("k", away_from=0)}


def _surprise() -> float:
    return -math.log(float(softmax(np.array([1.0, 2.0, 3.0]))[1]))


_FAR = np.array([[1000.0, 0.0, -1000.0]])

EXERCISES = (
    Exercise(
        "04.cross_entropy",
        "By hand: the scores are 1, 2, 3 and the true class is the second. What does it cost?",
        "a number, to three digits",
        (number(_surprise, name="is −log of the probability of the second class"),),
        (
            "The cost is −log p, with p the probability that softmax gives to the true class.",
            "Softmax of (1, 2, 3) stands in section 4. Which of its three entries is meant?",
            "It is −log of the middle one; equally, log(e + e² + e³) − 2.",
        ),
    ),
    Exercise(
        "04.softmax",
        "Write softmax(x / τ) over the last axis, for scores of any size; τ > 0 is a temperature.",
        "softmax(x, tau) -> y, x and y of shape (n, k), tau a number",
        (
            values(_at_temperature, _scores_and_temperature),
            at(_at_temperature, (_FAR, 1.0), (-_FAR, 0.5), (np.full((2, 2), -1e4), 2.0)),
        ),
        (
            "Divide by τ, then each row by itself: exponentials over their sum. Which axis?",
            "A sum that keeps its axis (keepdims=True) divides each row by its own number.",
            "exp(1000) is inf. Subtracting one number from all scores of a row changes nothing: "
            "which number makes every exponent at most 0?",
        ),
    ),
    Exercise(
        "04.jacobian",
        "Derive: the matrix of all slopes ∂y_i/∂x_j of y_i = x_i² / Σ_m x_m², by its formula.",
        "jacobian(x) -> J, x of shape (k,) without zeros, J of shape (k, k), J[i, j] = ∂y_i/∂x_j",
        (values(_jacobian, _one_vector, name="is the matrix of slopes"),),
        (
            "log y_i = log x_i² − log Σ_m x_m². Differentiate both sides by x_j.",
            "The left side gives (∂y_i/∂x_j) / y_i, as for softmax. On the right log x_i² gives "
            "2/x_i, where i = j; what does the logarithm of the sum give?",
            "It is 2 x_j over the sum, at every i. So one term stands on the diagonal only, the "
            "other is a product of one number for the row and one for the column. Which NumPy "
            "function makes a table of all products?",
        ),
    ),
    Exercise(
        "04.log_softmax_backward",
        "Write the backward pass of v = log softmax(x), v_i = x_i − log Σ_m exp(x_m). g is ∂L/∂v.",
        "log_softmax_backward(g, x) -> dx, all of shape (n, k)",
        (gradient(right("log_softmax"), _scores),),
        (
            "Score x_j touches every v_i: dx_j = Σ_i g_i ∂v_i/∂x_j. What is ∂v_i/∂x_j?",
            "It is δ_ij − p_j, with p the softmax. Put it in; which factor leaves the sum over i?",
            "One number for each row multiplies p: the sum of its g. keepdims again.",
        ),
    ),
    Exercise(
        "04.smoothed_backward",
        "Write the gradient of the mean cross-entropy with label smoothing: the truth of a sample "
        "of class t is q_c = (1 − ε) δ_ct + ε/k, its cost −Σ_c q_c log p_c, p = softmax(x).",
        "smoothed_backward(g, x, t, eps) -> dx, g a number, x (n, k), t (n,) whole numbers",
        (gradient(_smoothed, _scores_classes_and_doubt, wrt=["x"]),),
        (
            "Begin with one sample. log p_c = x_c − log Σ_m exp(x_m). What does −Σ_c q_c log p_c "
            "become, when the second term leaves the sum over c?",
            "Σ_c q_c = 1, so ℓ = log Σ_m exp(x_m) − Σ_c q_c x_c. Differentiate each term by x_c.",
            "What is said minus what is true, with q as the truth; then the mean over n samples, "
            "and the g that arrives from above.",
        ),
    ),
    Exercise(
        "04.planted_bug",
        "The function `bce_backward` of the chapter's last section trains, and its answers are too "
        "timid. Find the mistake and write it right.",
        "bce_backward(g, z, y) -> dz, all of shape (n,): the loss of each sample from its score z",
        (gradient(bce, _scores_and_answers, wrt=["z"]),),
        (
            "Check it against differences: at which of y = 0 and y = 1 is it wrong?",
            "Its author started from ŷ = σ(z) and went down the chain. One link was used twice.",
            "The collapse: for the full loss, dz = g (ŷ − y), and no σ′ is left.",
        ),
    ),
)
