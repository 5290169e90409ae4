"""Chapter 05: the functions of its own cells against the package and against differences."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet as tn
from tinynet.check import property_check
from tinynet.check.strategies import arrays
from tinynet.derivations import adam, neuron, sgd
from tinynet.derivations.initialisation import growth

CODE: Any = code_of("05")
THREE_LAYERS = {
    "X": arrays("n d", low=-2, high=2),
    "W1": arrays("h d", low=-2, high=2),
    "b1": arrays("h", low=-2, high=2),
    "W2": arrays("k h", low=-2, high=2),
    "b2": arrays("k", low=-2, high=2),
    "W3": arrays("o k", low=-2, high=2),
    "b3": arrays("o", low=-2, high=2),
}

test_layer = property_check(
    CODE["layer"],
    CODE["layer_backward"],
    reference=neuron.definition,
    A=arrays("n i"),
    W=arrays("o i"),
    b=arrays("o"),
)


def network(act: str) -> tuple[Any, Any]:
    """Three layers of the chapter as a pair for a check."""
    function, slope = CODE[act], CODE[f"{act}_slope"]

    def forward(X: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
        return CODE["forward"](X, [(W1, b1), (W2, b2), (W3, b3)], function)[0]

    def backward(g: Any, X: Any, *weights: Any) -> Any:
        layers = CODE["pairs"](weights)
        kept = CODE["forward"](X, layers, function)[1]
        return tuple(CODE["backward"](g, layers, kept, slope))

    return forward, backward


def reference(act: str) -> Any:
    def compute(X: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
        A = neuron.definition(neuron.definition(X, W1, b1, act=act), W2, b2, act=act)
        return A @ W3.T + b3

    return compute


test_sigmoid_network = property_check(
    *network("sigmoid"), reference=reference("sigmoid"), wrt=list(THREE_LAYERS)[1:], **THREE_LAYERS
)
test_relu_network = property_check(
    *network("relu"), reference=reference("relu"), wrt=list(THREE_LAYERS)[1:], **THREE_LAYERS
)


@settings(max_examples=20)
@given(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_product_flops(n: int, sizes: list[int]) -> None:
    """Against what the package counts, biases taken off."""
    nn = tn.nn
    layers = [nn.Linear(i, o, bias=False) for i, o in pairwise(sizes)]
    scores = nn.Sequential(*layers)(tn.ones(n, sizes[0]))
    linear = tn.explain.cost((scores * scores.detach()).sum()).by_op()["linear"]
    found = CODE["product_flops"](n, sizes)
    assert found == (linear.forward.flops, linear.backward.flops)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(0, 99))
def test_first_weights(sizes: list[int], seed: int) -> None:
    """Standard normals times the factor for which the package's formula says: no growth."""
    found = CODE["first_weights"](sizes, 2**0.5, np.random.default_rng(seed))
    draw = np.random.default_rng(seed)
    for (W, b), i, o in zip(found, sizes, sizes[1:], strict=False):
        normal = draw.normal(size=(o, i))
        factor = float(np.median(W / normal))
        np.testing.assert_allclose(W, factor * normal)
        np.testing.assert_allclose(growth(i, factor**2, kept=0.5), 1)
        assert b.shape == (o,)
        assert not b.any()


@given(arrays("n"), arrays("n"), arrays("n"), st.floats(0.01, 1), st.floats(0, 0.99))
def test_momentum(w: Any, v: Any, g: Any, lr: float, mu: float) -> None:
    found = CODE["momentum_step"](w, v, g, lr, mu)
    w, v = w.copy(), v.copy()
    sgd.step(w, g, v, np.zeros_like(w), lr=lr, momentum=mu)
    np.testing.assert_allclose(found[0], w, atol=1e-12)
    if mu:
        np.testing.assert_allclose(found[1], v, atol=1e-12)


@given(
    arrays("n"), arrays("n"), arrays("n", low=0.1), arrays("n"), st.integers(1, 50), st.floats(0, 1)
)
def test_adam(w: Any, m: Any, v: Any, g: Any, t: int, lr: float) -> None:
    found = CODE["adam_step"](w, m, v, t, g, lr)
    w, m, v = w.copy(), m.copy(), v.copy()
    adam.step(w, g, m, v, t, np.zeros_like(w), lr=lr)
    for ours, theirs in zip(found, (w, m, v), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
