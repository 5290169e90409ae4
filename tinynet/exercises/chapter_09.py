"""The Transformer and language models."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.exercises.properties import gradient, number, right, values
from tinynet.exercises.task import Exercise

cross_entropy = right("cross_entropy")


def _top_p(p: Any, share: Any) -> Any:
    from tinynet.models import sampling

    return sampling.probabilities(np.log(p), top_p=float(share))


def _shares() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import probabilities

    size = st.integers(1, 6)
    distinct = size.flatmap(lambda n: probabilities((n,))).filter(
        lambda p: bool(np.all(np.diff(np.sort(p)) > 1e-6))
    )
    return {"p": distinct, "share": st.sampled_from([0.87, 0.53, 0.11])}


def _rows() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"x": arrays("n d", away_from=0), "gamma": arrays("d")}


def _tied(ids: Any, E: Any) -> Any:
    return right("matmul")(np.tanh(E[ids]), E.T)


def _table() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays, indices

    signs = st.shared(st.integers(1, 3), key="signs")
    return {
        "ids": signs.flatmap(lambda n: indices(n, ("t",))),
        "E": st.tuples(signs, st.integers(1, 3)).flatmap(arrays),
    }


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
        "09.top_p",
        "Keep the fewest likeliest that together have at least the share; 0 elsewhere; sum 1.",
        "top_p(p, share) -> kept, both (n,), no two probabilities equal, 0 < share < 1",
        (values(_top_p, _shares, name="keeps the fewest likeliest that have the share"),),
        (
            "Sort from the likeliest down, and add up as you go.",
            "An entry stays if those before it, likelier than it, have less than the share.",
            "The places: np.argsort(-p). The sum before each: np.cumsum minus the entry itself.",
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
            "Section 4 without the plain mean: only the part along x̂ is taken out.",
        ),
    ),
    Exercise(
        "09.tied_backward",
        "The gradient of a table used twice: H = tanh(E[ids]), Z = H Eᵀ.",
        "tied_backward(g, ids, E) -> dE, ids (t), E (V, d), g (t, V)",
        (gradient(_tied, _table, wrt=["E"]),),
        (
            "E is used twice. What is used twice collects two gradients.",
            "As the second factor of H Eᵀ it gets gᵀ H. As a table its row x_n gets what h_n gets.",
            "h_n gets g_n E, and tanh a factor 1 − h². Rows used again must add: np.add.at.",
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
