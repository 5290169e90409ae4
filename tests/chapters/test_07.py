"""Chapter 07: the functions of its own cells against the package and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from chapter_cells import code_of
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import derivations, nn
from tinynet.check import property_check
from tinynet.check.strategies import arrays

CODE: Any = code_of("07")
SIZES = {name: st.shared(st.integers(1, 3), key=f"chapter 07: {name}") for name in "Tndk"}
T, N, D, K = SIZES.values()


def drawn(blocks: int, *states: str) -> dict[str, Any]:
    """A sequence, its first states, and weights of so many blocks."""
    rows = K.map(lambda k: blocks * k)
    return {
        "x": arrays((T, N, D), low=-1, high=1),
        **{name: arrays((N, K), low=-1, high=1) for name in states},
        "W_x": arrays((rows, D), low=-1, high=1),
        "W_h": arrays((rows, K), low=-1, high=1),
        "b": arrays((rows,), low=-1, high=1),
    }


test_rnn = property_check(
    CODE["rnn"],
    CODE["rnn_backward"],
    reference=derivations.rnn.definition,
    max_examples=15,
    **drawn(1, "h0"),
)
test_lstm = property_check(
    CODE["lstm"],
    CODE["lstm_backward"],
    reference=lambda *a: derivations.lstm.definition(*a, 0 * a[-1])[..., : a[1].shape[1]],
    max_examples=10,
    **drawn(4, "h0", "c0"),
)


@given(*drawn(4, "h0", "c0").values())
def test_cells(x: Any, h0: Any, c0: Any, W_x: Any, W_h: Any, b: Any) -> None:
    cells = np.stack([step[6] for step in CODE["lstm_steps"](x, h0, c0, W_x, W_h, b)])
    expected = derivations.lstm.definition(x, h0, c0, W_x, W_h, b, 0 * b)
    np.testing.assert_allclose(cells, expected[..., h0.shape[1] :], atol=1e-12)


@given(*drawn(3, "h0").values())
def test_gru_step(x: Any, h: Any, W_x: Any, W_h: Any, b: Any) -> None:
    expected = derivations.gru.definition(x[:1], h, W_x, W_h, b, b / 2)[0]
    found = CODE["gru_step"](x[0], h, W_x, W_h, b, b / 2)
    np.testing.assert_allclose(found, expected, atol=1e-12)


STEP = drawn(3, "h")
test_gru_step_backward = property_check(
    CODE["gru_step"],
    CODE["gru_step_backward"],
    reference=lambda x, *others: derivations.gru.definition(x[None], *others)[0],
    max_examples=15,
    x=arrays((N, D), low=-1, high=1),
    **{name: STEP[name] for name in ("h", "W_x", "W_h")},
    b_x=STEP["b"],
    b_h=STEP["b"],
)


@given(arrays((T, K), low=-0.9, high=0.9), arrays((K, K)))
def test_carried(h: Any, W_h: Any) -> None:
    np.testing.assert_allclose(CODE["carried"](h, W_h), derivations.rnn.carried(h, W_h), atol=1e-12)


@given(arrays("n k"), arrays("m"), st.floats(0.1, 10))
def test_clip(one: Any, two: Any, most: float) -> None:
    """As the package does, and nothing becomes longer."""
    one = one + 0.01  # some length at all
    params = [nn.Parameter(tn.tensor(np.zeros_like(a))) for a in (one, two)]
    for p, a in zip(params, (one, two), strict=True):
        p.grad = tn.tensor(a)
    nn.utils.clip_grad_norm_(params, most)
    for p, a in zip(params, CODE["clip"]([one, two], most), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), a, rtol=2e-4)


@given(arrays("n"))
def test_sigmoid(z: Any) -> None:
    np.testing.assert_allclose(CODE["sigmoid"](z), tn.tensor(z).sigmoid().numpy(), rtol=1e-12)


@given(st.sampled_from([("RNN", 1), ("GRU", 3), ("LSTM", 4)]), st.integers(1, 5), st.integers(1, 5))
def test_parameters(kind: tuple[str, int], d: int, k: int) -> None:
    layer = getattr(nn, kind[0])(d, k)
    counted = sum(p.numel() for p in layer.parameters())
    assert counted == CODE["parameters"](kind[1], d, k, 2)
