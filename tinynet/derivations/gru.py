r"""The gated recurrent unit over a whole sequence, and its backpropagation through time.

    r_t = σ(W_ir x_t + b_ir + W_hr h_{t−1} + b_hr)              how much of the past n_t sees
    z_t = σ(W_iz x_t + b_iz + W_hz h_{t−1} + b_hz)              how much of the past stays
    n_t = tanh(W_in x_t + b_in + r_t ⊙ (W_hn h_{t−1} + b_hn))   what is new
    h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}

The three blocks stand under each other, in PyTorch's order r, z, n. As there, r_t multiplies the
product, with its bias b_hn; in the paper it multiplies h_{t−1} before the product. So the two
biases are not one: p_t = W_ih x_t + b_ih and q_t = W_hh h_{t−1} + b_hh, each (N, 3H), meet as p + q
in r and z, but as p^n + r ⊙ q^n in n.

Derivation. h_t reaches the loss through the output (g_t), through q_{t+1}, and directly through
h_{t+1}, where it is multiplied by z_{t+1}. In the arrays each sequence is a row, and W_hhᵀ q̄ is
q̄ W_hh:

    h̄_t = g_t + q̄_{t+1} W_hh + h̄_{t+1} ⊙ z_{t+1}

The last line of the definition gives n̄_t = h̄_t ⊙ (1 − z_t) and z̄_t = h̄_t ⊙ (h_{t−1} − n_t). With
tanh′ = 1 − n² and σ′ = σ (1 − σ),

    p̄^n_t = h̄_t ⊙ (1 − z_t) (1 − n_t²)              q̄^n_t = p̄^n_t ⊙ r_t
    p̄^z_t = h̄_t ⊙ (h_{t−1} − n_t) z_t (1 − z_t)     q̄^z_t = p̄^z_t
    p̄^r_t = p̄^n_t ⊙ q^n_t ⊙ r_t (1 − r_t)           q̄^r_t = p̄^r_t

since r_t is seen through n_t only, where it multiplies q^n_t. Every p̄ and q̄ is h̄_t times something
that the forward pass knows, for all steps at once. The weights act at every step: W̄_ih = Σ_t p̄_tᵀ
x_t, b̄_ih = Σ_t p̄_t, W̄_hh = Σ_t q̄_tᵀ h_{t−1}, b̄_hh = Σ_t q̄_t, each W̄ one product of (3H, T N) with
(T N, ·). What people forget is the third way, h̄_{t+1} ⊙ z_{t+1}, and that the two biases differ.

Shapes: x (T, N, I), h0 (N, H), W_ih (3H, I), W_hh (3H, H), b_ih and b_hh (3H,) or both left out; y
and g (T, N, H). Options: `lengths` and `reverse` as in `sequence.py`: a padded step has
h_t = h_{t−1}, as if z_t were 1. Cost: 6 T N H (I + H) flops forward, twice that backward; gates,
q^n and states of all steps are kept.
Source: Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio, "Learning Phrase
Representations using RNN Encoder–Decoder for Statistical Machine Translation", 2014. The documents
do not name it; document C, 4.1.3 has the plain layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.sequence import (
    Lengths,
    check,
    chosen,
    from_inputs,
    room,
    running,
    steps,
    to_weights,
)
from tinynet.op import Derivation
from tinynet.ops.elementwise import sigmoid


def definition(
    x: Any,
    h0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    lengths: Lengths = None,
    reverse: bool = False,
) -> Any:
    """h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}, one step after the other.

    >>> x, h0, W = np.array([[[0.5]]]), np.array([[3.0]]), np.array([[0.0], [0.0], [1.0]])
    >>> definition(x, h0, W, 0 * W)[:, 0, 0]  # z = ½: half of tanh ½, half of 3
    array([1.7311])
    """
    U, V, (b_ih, b_hh) = np.swapaxes(W_ih, 0, 1), np.swapaxes(W_hh, 0, 1), b or (0, 0)
    x, runs = running(x, lengths)
    h, states = h0, {}
    for t in steps(x.shape[0], reverse):
        p = np.split(np.matmul(x[t], U) + b_ih, 3, axis=-1)
        q = np.split(np.matmul(h, V) + b_hh, 3, axis=-1)
        r, z = sigmoid(p[0] + q[0]), sigmoid(p[1] + q[1])
        n = np.tanh(p[2] + r * q[2])
        h = chosen(None if runs is None else runs[t], (1 - z) * n + z * h, h)
        states[t] = h
    return np.stack([states[t] for t in range(x.shape[0])])


def forward(
    x: Any,
    h0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Any, tuple[Any, ...]]:
    """The same; the products with all inputs are one, and σ(a) = ½ + ½ tanh(½ a), which cannot
    overflow. Gates, q^n and states are kept.
    """
    check(3, x, (h0,), W_ih, W_hh, b, lengths)
    (T, N, _), H = x.shape, W_hh.shape[1]
    (x, runs), V = running(x, lengths), np.swapaxes(W_hh, 0, 1).copy()
    gates = from_inputs(x, W_ih, b[:1])
    qn = np.empty((T, N, H), gates.dtype, like=gates)
    y, before = room(h0, T, reverse)
    for t in steps(T, reverse):
        q = np.matmul(before[t], V)
        if b:
            q += b[1]
        p, qn[t] = gates[t], q[:, 2 * H :]
        p[:, : 2 * H] = 0.5 + 0.5 * np.tanh(0.5 * (p[:, : 2 * H] + q[:, : 2 * H]))
        r, z, n = p[:, :H], p[:, H : 2 * H], p[:, 2 * H :]
        n[...] = np.tanh(n + r * qn[t])
        y[t] = chosen(None if runs is None else runs[t], n + z * (before[t] - n), before[t])
    return y, (x, W_ih, W_hh, gates, qn, before, runs, bool(b))


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...] = (True,) * 6,
) -> tuple[Any, ...]:
    """h̄_t = g_t + q̄_{t+1} W_hh + h̄_{t+1} z_{t+1} and the p̄, q̄, from the last step to the first."""
    x, W_ih, W_hh, gates, qn, before, runs, biased = saved
    H = W_hh.shape[1]
    r, z, n = gates[:, :, :H], gates[:, :, H : 2 * H], gates[:, :, 2 * H :]
    fresh = (1 - z) * (1 - n * n)
    slope = np.concatenate(  # ∂h_t/∂q_t
        (fresh * qn * r * (1 - r), (before - n) * z * (1 - z), fresh * r), axis=-1
    )
    if runs is not None:
        slope, fresh, z = np.where(runs, slope, 0), np.where(runs, fresh, 0), np.where(runs, z, 1)
    blocks = np.reshape(slope, (*x.shape[:2], 3, H))
    dq, dn, dh = slope, fresh, 0  # q̄ and p̄^n in the slopes' place
    for t in steps(x.shape[0], not reverse):
        dh = g[t] + dh
        blocks[t] *= dh[:, None]
        dn[t] *= dh
        dh = np.matmul(dq[t], W_hh) + dh * z[t]
    dp = np.concatenate((dq[:, :, : 2 * H], dn), axis=-1)
    dx, weights = to_weights(dp, dq, x, before, W_ih, biased, (needs[0], *needs[2:]))
    return dx, dh, *weights


op = Derivation(
    "gru",
    definition,
    backward,
    forward,
    formula=r"h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1}",
    variadic=True,  # with or without biases
    in_place=True,
    room="derivations",
    doc="All states of a layer whose gates mix the state before with a new one.",
)
