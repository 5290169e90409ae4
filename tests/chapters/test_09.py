"""Chapter 09: the functions of its own cells against the package and against differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

from tinynet import models
from tinynet.check import property_check
from tinynet.check.strategies import arrays, indices, probabilities
from tinynet.derivations import attention, bigram
from tinynet.derivations import layer_norm as package_layer_norm

CODE: Any = code_of("09")

test_layer_norm = property_check(
    CODE["layer_norm"],
    CODE["layer_norm_backward"],
    reference=package_layer_norm.definition,
    max_examples=10,
    x=arrays("n 3", distinct=True),
    gamma=arrays("3"),
    beta=arrays("3"),
)


@given(indices(4, st.integers(2, 9).map(lambda n: (n,))))
def test_pair_counts(ids: Any) -> None:
    np.testing.assert_array_equal(CODE["pair_counts"](ids, 4), bigram.counts(ids, 4))


@given(probabilities((5,)))
def test_bits_and_perplexity(p: Any) -> None:
    bits, perplexity = CODE["bits_and_perplexity"](p)
    assert math.isclose(2**bits, perplexity, rel_tol=1e-9)
    assert math.isclose(perplexity, np.prod(p) ** (-1 / 5), rel_tol=1e-9)


@given(arrays("n 4"), st.integers(0, 99))
def test_causal_attention(x: Any, seed: int) -> None:
    Wq, Wk, Wv = np.random.default_rng(seed).normal(size=(3, 4, 4))
    expected = attention.definition(x @ Wq, x @ Wk, x @ Wv, True, True, is_causal=True)
    np.testing.assert_allclose(CODE["causal_attention"](x, Wq, Wk, Wv), expected, atol=1e-10)


@given(arrays("n 2"), st.integers(0, 99))
def test_a_block_sees_no_future(x: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=s) for s in ((2, 2),) * 4 + ((2, 8), (8, 2))]
    whole = CODE["block"](x, *weights)
    for n in range(1, len(x)):
        np.testing.assert_allclose(CODE["block"](x[:n], *weights), whole[:n], atol=1e-9)


@given(arrays("5", distinct=True), st.sampled_from([0.3, 1.0, 2.0]), st.integers(1, 5))
def test_drawing(z: Any, tau: float, k: int) -> None:
    p = CODE["with_temperature"](z, tau)
    expected = models.sampling.probabilities(z, temperature=tau)
    np.testing.assert_allclose(p, expected, rtol=1e-9)
    expected = models.sampling.probabilities(z, temperature=tau, top_k=k)
    np.testing.assert_allclose(CODE["keep_k"](p, k), expected, rtol=1e-9)


@given(arrays("t 2"), st.integers(1, 4), st.integers(0, 99))
def test_window_states(e: Any, k: int, seed: int) -> None:
    """The state of a place depends on the last k rows, and on no other."""
    rng = np.random.default_rng(seed)
    H, c = rng.normal(size=(3, 2 * k)), rng.normal(size=3)
    h = CODE["window_states"](e, H, c, k)
    for n in range(len(e)):
        seen = np.vstack([np.zeros((k, 2)), e[: n + 1]])[-k:]
        np.testing.assert_allclose(h[n], np.tanh(H @ seen.ravel() + c), atol=1e-12)


@given(indices(3, st.integers(2, 9).map(lambda n: (n,))))
def test_counted_bits(ids: Any) -> None:
    """With one sign of context they are those of the smoothed bigram."""
    text = "".join("abc"[i] for i in ids)
    p = bigram.estimate(bigram.counts(ids, 3), alpha=0.1)[ids[:-1], ids[1:]]
    assert math.isclose(CODE["counted_bits"](text, text, 1, 3), -np.mean(np.log2(p)))


@given(probabilities((4,)), st.floats(0, 0.999))
def test_draw_with(p: Any, u: float) -> None:
    i = CODE["draw_with"](p, u)
    assert np.sum(p[:i]) <= u + 1e-12
    assert np.sum(p[: i + 1]) > u - 1e-12
