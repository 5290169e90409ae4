r"""Long short-term memory over a whole sequence, and its backpropagation through time.

    i_t = σ(W_ii x_t + b_ii + W_hi h_{t−1} + b_hi)          how much is written
    f_t = σ(W_if x_t + b_if + W_hf h_{t−1} + b_hf)          how much is kept
    u_t = tanh(W_ig x_t + b_ig + W_hg h_{t−1} + b_hg)       what is written
    o_t = σ(W_io x_t + b_io + W_ho h_{t−1} + b_ho)          how much is shown
    c_t = f_t ⊙ c_{t−1} + i_t ⊙ u_t
    m_t = o_t ⊙ tanh(c_t)                                   what is shown
    h_t = W_hr m_t                                          the same, projected; h_t = m_t without

The four blocks stand under each other, in PyTorch's order i, f, g, o: W_ih = (W_ii; W_if; W_ig;
W_io). (PyTorch calls u_t g_t; here g is the gradient that arrives.) Below, a_t = W_ih x_t + b_ih +
W_hh h_{t−1} + b_hh, of which i_t, f_t, u_t, o_t are σ, σ, tanh, σ of a quarter each. W_hr (P, H),
if it is there, makes a small state h (P) of a large memory c (H): then W_hh is (4H, P), and costs
less. Without it P = H, and all below holds with the identity for W_hr.

Derivation. The loss sees h_t through the output and through a_{t+1}; it sees m_t through h_t alone;
it sees c_t through the output (c's are part of it), through m_t, and through c_{t+1}, where c_t is
multiplied by f_{t+1}. Two gradients are carried from t = T down to 1 (in the arrays each sequence
is a row, and W_hhᵀ ā is ā W_hh):

    h̄_t = g^h_t + ā_{t+1} W_hh                                (N, P) = (N, P) + (N, 4H)(4H, P)
    m̄_t = h̄_t W_hr                                            (N, H) = (N, P)(P, H)
    c̄_t = g^c_t + m̄_t ⊙ o_t ⊙ (1 − tanh² c_t) + c̄_{t+1} ⊙ f_{t+1}

Each line of the definition is then differentiated entry by entry, with σ′ = σ (1 − σ) and
tanh′ = 1 − tanh²:

    ā^i_t = c̄_t ⊙ u_t ⊙ i_t (1 − i_t)              ā^u_t = c̄_t ⊙ i_t ⊙ (1 − u_t²)
    ā^f_t = c̄_t ⊙ c_{t−1} ⊙ f_t (1 − f_t)          ā^o_t = m̄_t ⊙ tanh(c_t) ⊙ o_t (1 − o_t)

All that multiplies c̄_t or m̄_t is known after the forward pass, for all steps at once; what is left
for the loop is a product with W_hh (and with W_hr) and a few multiplications. The weights act at
every step, so their gradients are sums over the steps:

    W̄_ih = Σ_t ā_tᵀ x_t    W̄_hh = Σ_t ā_tᵀ h_{t−1}    b̄ = Σ_t ā_t    W̄_hr = Σ_t h̄_tᵀ m_t

each W̄ one product, of (4H, T N) or (P, T N) with (T N, ·). A padded step makes no h_t and adds
nothing to W̄_hr. What people forget: the second term of c̄_t, which needs m̄_t complete; that the
gate in the third, f_{t+1}, is that of the step after; that W̄_hr wants the whole h̄_t, not g^h_t.

Why it remembers: along the c's alone, ∂c_t/∂c_{t−1} = diag(f_t), no matrix and no tanh′. Where
f_t ≈ 1, a gradient passes hundreds of steps; that of a plain recurrent layer shrinks with every
product by diag(σ′) W_hh (see `rnn.py`).

Shapes: x (T, N, I), h0 (N, P), c0 (N, H), W_ih (4H, I), W_hh (4H, P), b_ih and b_hh (4H,) or both
left out, then W_hr (P, H) or nothing; y and g (T, N, P + H), in y[t, n] first h_t and then c_t.
Options: `lengths` and `reverse` as in `sequence.py`: a padded step has h_t = h_{t−1} and c_t =
c_{t−1}, as if f_t were 1. Cost: 8 T N H (I + P) flops forward and 2 T N H P with W_hr, twice that
backward; gates and states of all steps are kept.
Source: document B, 5.2 (uses the layer, does not derive it); Hochreiter and Schmidhuber, "Long
Short-Term Memory", 1997 (there without f); W_hr: Sak, Senior and Beaufays, "Long Short-Term Memory
Recurrent Neural Network Architectures for Large Scale Acoustic Modeling", 2014.
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
    rows,
    running,
    steps,
    to_weights,
)
from tinynet.op import Derivation
from tinynet.ops.elementwise import sigmoid


def parts(rest: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """The biases, and W_hr or None: biases come in pairs.

    >>> parts(("b_ih", "b_hh", "W_hr")), parts(())
    ((('b_ih', 'b_hh'), 'W_hr'), ((), None))
    """
    return (rest[:-1], rest[-1]) if len(rest) % 2 else (rest, None)


def projected(m: Any, W_hr: Any) -> Any:
    """h_t = W_hr m_t, or m_t where there is no W_hr."""
    return m if W_hr is None else np.matmul(m, np.swapaxes(W_hr, 0, 1))


def definition(
    x: Any,
    h0: Any,
    c0: Any,
    W_ih: Any,
    W_hh: Any,
    *rest: Any,
    lengths: Lengths = None,
    reverse: bool = False,
) -> Any:
    """c_t = f_t ⊙ c_{t−1} + i_t ⊙ u_t and h_t = W_hr (o_t ⊙ tanh(c_t)), one step after the other.

    >>> x, zero, W = np.array([[[1.0]]]), np.zeros((1, 1)), np.array([[50.0], [0.0], [0.5], [50.0]])
    >>> definition(x, zero, zero, W, 0 * W)[0, 0]  # both gates open: tanh tanh ½ and tanh ½
    array([0.4318, 0.4621])
    """
    b, W_hr = parts(rest)
    U, V, bias = np.swapaxes(W_ih, 0, 1), np.swapaxes(W_hh, 0, 1), sum(b)
    x, runs = running(x, lengths)
    h, c, states = h0, c0, {}
    for t in steps(x.shape[0], reverse):
        a = np.matmul(x[t], U) + np.matmul(h, V) + bias
        i, f, u, o = np.split(a, 4, axis=-1)
        runs_t = None if runs is None else runs[t]
        c = chosen(runs_t, sigmoid(f) * c + sigmoid(i) * np.tanh(u), c)
        h = chosen(runs_t, projected(sigmoid(o) * np.tanh(c), W_hr), h)
        states[t] = np.concatenate((h, c), axis=-1)
    return np.stack([states[t] for t in range(x.shape[0])])


def forward(
    x: Any,
    h0: Any,
    c0: Any,
    W_ih: Any,
    W_hh: Any,
    *rest: Any,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Any, tuple[Any, ...]]:
    """The same; the products with all inputs are one, and σ(a) = ½ + ½ tanh(½ a) makes the four
    gates one tanh. Gates and states are kept.
    """
    b, W_hr = parts(rest)
    check(4, x, (h0, c0), W_ih, W_hh, b, lengths, W_hr)
    (T, N, _), P, H = x.shape, h0.shape[1], c0.shape[1]
    (x, runs), V = running(x, lengths), np.swapaxes(W_hh, 0, 1).copy()
    half = np.zeros((4, H), W_hh.dtype, like=W_hh) + 0.5
    half[2] = 1  # u is a tanh as it is
    half, other = np.reshape(half, (4 * H,)), np.reshape(1 - half, (4 * H,))
    a = from_inputs(x, W_ih, b)
    gates = np.reshape(a, (T, N, 4, H))
    y, before = room(np.concatenate((h0, c0), axis=-1), T, reverse)
    for t in steps(T, reverse):
        a_t = a[t]
        h, c = before[t, :, :P], before[t, :, P:]
        a_t += np.matmul(h, V)
        a_t *= half
        np.tanh(a_t, out=a_t)
        a_t *= half
        a_t += other
        i, f, u, o = (gates[t, :, k] for k in range(4))
        runs_t = None if runs is None else runs[t]
        c = y[t, :, P:] = chosen(runs_t, f * c + i * u, c)
        y[t, :, :P] = chosen(runs_t, projected(o * np.tanh(c), W_hr), h)
    return y, (x, W_ih, W_hh, W_hr, gates, y, before, runs, bool(b))


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...] = (True,) * 8,
) -> tuple[Any, ...]:
    """h̄_t = g^h_t + ā_{t+1} W_hh, m̄_t = h̄_t W_hr, c̄_t = g^c_t + m̄_t o_t (1 − tanh² c_t) + c̄_{t+1}
    f_{t+1}, and the ā of the four gates, from the last step to the first.
    """
    x, W_ih, W_hh, W_hr, gates, y, before, runs, biased = saved
    P = W_hh.shape[1]
    i, f, u, o = (gates[:, :, k] for k in range(4))
    s = np.tanh(y[:, :, P:])
    slope = gates * (1 - gates)  # σ′; then ∂c_t/∂a for i, f, u, and ∂m_t/∂a for o
    slope[:, :, 0] *= u
    slope[:, :, 1] *= before[:, :, P:]
    slope[:, :, 2] = i * (1 - u * u)
    slope[:, :, 3] *= s
    shown = o * (1 - s * s)  # ∂m_t/∂c_t
    if runs is not None:
        slope, shown = np.where(runs[..., None], slope, 0), np.where(runs, shown, 0)
        f = np.where(runs, f, 1)
    da, dh, dc = np.reshape(slope, (*x.shape[:2], W_hh.shape[0])), 0, 0  # ā in the slopes' place
    every = None if W_hr is None else np.empty_like(g[:, :, :P])  # h̄_t
    for t in steps(x.shape[0], not reverse):
        dm = dh = g[t, :, :P] + dh
        if every is not None:
            every[t], dm = dh, np.matmul(dh, W_hr)
        dc = g[t, :, P:] + dc + dm * shown[t]
        slope[t, :, :3] *= dc[:, None]
        slope[t, :, 3] *= dm
        dh = chosen(None if runs is None else runs[t], np.matmul(da[t], W_hh), dh)
        dc = dc * f[t]
    dx, weights = to_weights(da, da, x, before[:, :, :P], W_ih, biased, (needs[0], *needs[3:]))
    if every is not None:
        m = chosen(runs, o * s, 0)
        weights.append(np.matmul(np.swapaxes(rows(every), 0, 1), rows(m)) if needs[-1] else None)
    return dx, dh, dc, *weights


op = Derivation(
    "lstm",
    definition,
    backward,
    forward,
    formula=r"c_t = f_t \odot c_{t-1} + i_t \odot u_t,\; h_t = W_{hr} (o_t \odot \tanh c_t)",
    variadic=True,  # with or without biases and W_hr
    in_place=True,
    room="derivations",
    doc="All hidden and cell states of a layer that decides what to write, to keep and to show.",
)
