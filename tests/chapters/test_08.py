"""Chapter 08: the functions of its own cells against the package and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

from tinynet.check import property_check
from tinynet.check.strategies import arrays
from tinynet.derivations import attention as package
from tinynet.derivations import softmax as package_softmax

CODE: Any = code_of("08")
TRIPLE = {"q": arrays("n d"), "k": arrays("s d"), "v": arrays("s v")}

test_attention = property_check(
    CODE["attention"],
    CODE["attention_backward"],
    reference=lambda q, k, v: package.definition(q, k, v, True, True),
    **TRIPLE,
)


@given(arrays("n k"))
def test_softmax(x: Any) -> None:
    np.testing.assert_allclose(CODE["softmax"](x), package_softmax.definition(x), rtol=1e-12)


@given(*TRIPLE.values(), st.integers(1, 5))
def test_in_blocks(q: Any, k: Any, v: Any, block: int) -> None:
    """Blocks and the package's kernel-free forward pass are the definition."""
    expected = package.definition(q, k, v, True, True)
    np.testing.assert_allclose(CODE["in_blocks"](q, k, v, block)[0], expected, atol=1e-12)
    np.testing.assert_allclose(package.forward(q, k, v, True, True)[0], expected, atol=1e-12)


test_blocks_backward = property_check(
    lambda q, k, v: CODE["in_blocks"](q, k, v)[0], CODE["in_blocks_backward"], **TRIPLE
)
test_self_attention = property_check(
    CODE["self_attention"],
    CODE["self_attention_backward"],
    reference=lambda X, A, B, C: package.definition(X @ A.T, X @ B.T, X @ C.T, True, True),
    X=arrays("n c"),
    W_Q=arrays("d c"),
    W_K=arrays("d c"),
    W_V=arrays("v c"),
)
test_heads_backward = property_check(
    lambda q, k, v: CODE["multi_head"](q, k, v, 2),
    lambda g, q, k, v: CODE["multi_head_backward"](g, q, k, v, 2),
    max_examples=10,
    q=arrays("n 4"),
    k=arrays("s 4"),
    v=arrays("s 4"),
)


@given(arrays("n d"), st.integers(0, 99))
def test_masked_weights(x: Any, seed: int) -> None:
    n = len(x)
    allowed = np.random.default_rng(seed).random((n, n)) < 0.5
    np.fill_diagonal(allowed, True)
    expected = package.weights(x, x, allowed, scale=1.0)
    np.testing.assert_allclose(CODE["masked_weights"](x @ x.T, allowed), expected, atol=1e-12)


@given(arrays("n 4"), arrays("s 4"), arrays("s 4"), st.sampled_from([1, 2, 4]))
def test_heads(q: Any, k: Any, v: Any, h: int) -> None:
    parts = [slice(i * 4 // h, (i + 1) * 4 // h) for i in range(h)]
    heads = [package.definition(q[:, c], k[:, c], v[:, c], True, True) for c in parts]
    found = CODE["multi_head"](q, k, v, h)
    np.testing.assert_allclose(found, np.concatenate(heads, axis=1), atol=1e-12)
    np.testing.assert_array_equal(CODE["split_heads"](q, h)[-1], q[:, parts[-1]])
    np.testing.assert_array_equal(CODE["merge_heads"](CODE["split_heads"](q, h)), q)
