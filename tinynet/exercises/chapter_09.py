"""The Transformer and language models."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.exercises.properties import gradient, number, right, values
from tinynet.exercises.task import Exercise

cross_entropy = right("cross_entropy")


def _bigram(ids: Any, size: Any, alpha: Any) -> Any:
    from tinynet.derivations import bigram

    return bigram.estimate(bigram.counts(ids, int(size)), alpha=float(alpha))


def _texts() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import indices

    size = st.shared(st.integers(1, 4), key="signs")
    length = st.integers(2, 8)
    return {
        "ids": st.tuples(size, length).flatmap(lambda d: indices(d[0], (d[1],))),
        "size": size,
        "alpha": st.sampled_from([1.0, 0.5]),
    }


def _rows() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"x": arrays("n d", away_from=0), "gamma": arrays("d")}


def _residual(X: Any, W: Any) -> Any:
    return X + np.tanh(right("matmul")(X, W))


def _square() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"X": arrays("n d"), "W": arrays("d d")}


def _shifted(scores: Any, ids: Any) -> Any:
    return cross_entropy(scores[:-1], ids[1:])


def _scored() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays, indices

    length = st.shared(st.integers(2, 5), key="tokens")
    signs = st.shared(st.integers(2, 4), key="signs")
    both = st.tuples(length, signs)
    return {
        "scores": both.flatmap(arrays),
        "ids": both.flatmap(lambda d: indices(d[1], (d[0],))),
    }


EXERCISES = (
    Exercise(
        "09.bits",
        "By hand: three signs with the probabilities 1/2, 1/2 and 1/16. Bits per character?",
        "a number",
        (number(lambda: -float(np.mean(np.log2([0.5, 0.5, 0.0625])))),),
        (
            "The surprise of a sign of probability 1/2 is one bit.",
            "1/16 is 1/2 four times over.",
            "The mean of 1, 1 and 4.",
        ),
    ),
    Exercise(
        "09.bigram",
        "The best bigram model of a text, with alpha added to every count.",
        "bigram(ids, size, alpha) -> p (size, size), ids a row of whole numbers below size",
        (values(_bigram, _texts, name="gives the share of each follower, in each row"),),
        (
            "Count each pair of neighbours in a table (this, next).",
            "Add alpha to every entry, seen or not; then each row must sum to 1.",
            "N[ids[:-1], ids[1:]] += 1 forgets repeated pairs: np.add.at, or a loop.",
        ),
    ),
    Exercise(
        "09.rms_norm_backward",
        "The backward pass of RMS norm, y = γ x / √(mean(x²) + 1e-5) for each row.",
        "rms_norm_backward(g, x, gamma) -> (dx, dgamma), x and g (n, d), gamma (d)",
        (gradient(right("rms_norm"), _rows),),
        (
            "Write r = (mean(x²) + ε)^(−1/2). What is ∂r/∂x_j?",
            "−r³ x_j / d. So ∂(x_i r)/∂x_j = r (δ_ij − x̂_i x̂_j / d), with x̂ = x r.",
            "Section 3 without the plain mean: only the part along x̂ is taken out.",
        ),
    ),
    Exercise(
        "09.residual_backward",
        "Both gradients of Y = X + tanh(X W).",
        "residual_backward(g, X, W) -> (dX, dW), X and g (n, d), W (d, d)",
        (gradient(_residual, _square),),
        (
            "Two ways lead from X to Y. Their gradients add up.",
            "Through the second way: first tanh, then the product X W.",
            "With a = tanh(XW) and u = g (1 − a²): X gets g and u Wᵀ.",
        ),
    ),
    Exercise(
        "09.planted_bug",
        "The mean loss of a language model: scores (t, V) of what follows each of the ids (t).",
        "loss(scores, ids) -> number",
        (values(_shifted, _scored, name="is the surprise about what follows"),),
        (
            "Which entry of ids is row n of the scores about?",
            "The next one. And what is the last row about?",
            "About a sign that is not in ids: leave it out. scores[:-1] and ids[1:].",
        ),
    ),
)
