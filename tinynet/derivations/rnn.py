r"""A recurrent layer over a whole sequence, and backpropagation through time.

    h_t = σ(W_hh h_{t−1} + W_ih x_t + b_ih + b_hh),   t = 1 … T,   σ = tanh or relu

The same weights serve every step. h_0 is given; zeros where nobody says otherwise. The layer's
output is all states h_1 … h_T. (Two biases where one would do: PyTorch's layout, so that weights
can be exchanged. Their gradients are equal.)

Derivation. Write a_t for what σ is applied to. The loss sees h_t in two ways: directly, through
the output, with the gradient g_t that arrives from above; and through the next state, which is
made of it. So the total h̄_t = ∂L/∂h_t is a sum of two terms, and the second needs h̄_{t+1}. In the
arrays each sequence is a row, and W_hhᵀ ā is ā W_hh:

    h̄_t = g_t + ā_{t+1} W_hh         (ā_{T+1} = 0)       (N, H) = (N, H) + (N, H)(H, H)
    ā_t = h̄_t ⊙ σ′(a_t)                                  tanh′ = 1 − h_t², relu′ = [h_t > 0]

Forward runs t upwards, backward runs it downwards: this is all that "through time" means. What
people forget is the first term: they take g_T only, or overwrite where a sum belongs.

A weight acts at every step, so its gradient is a sum over the steps. Under each other, the ā_t of
all steps are a matrix (T N, H), and each sum is one product:

    W̄_ih = Σ_t ā_tᵀ x_t       (H, T N)(T N, I)           x̄_t = ā_t W_ih
    W̄_hh = Σ_t ā_tᵀ h_{t−1}   (H, T N)(T N, H)           h̄_0 = ā_1 W_hh
    b̄_ih = b̄_hh = Σ_t Σ_n ā_tn

Why gradients vanish. One step's Jacobian is ∂h_t/∂h_{t−1} = diag(σ′(a_t)) W_hh, so

    ∂h_T/∂h_t = diag(σ′(a_T)) W_hh · … · diag(σ′(a_{t+1})) W_hh,     T − t factors.

With |σ′| ≤ 1 and ‖·‖ the largest singular value, ‖∂h_T/∂h_t‖ ≤ ‖W_hh‖^(T−t). Where ‖W_hh‖ < 1, what
a state does to a state k steps later shrinks at least as fast as ‖W_hh‖^k: long memories are not
learnt. Where it is larger the bound says nothing; with tanh near saturation σ′ is small and they
still vanish, with relu they can explode. `carried` and `carried_at_most` compute both sides.

Shapes: x (T, N, I), h0 (N, H), W_ih (H, I), W_hh (H, H), b_ih and b_hh (H,) or both left out; y and
g (T, N, H). Options: `nonlinearity`; `lengths` and `reverse` as in `sequence.py`: a padded step has
h_t = h_{t−1}, hence h̄_{t−1} = h̄_t and ā_t = 0. Cost: 2 T N H (I + H) flops forward, twice that
backward; the states of all steps are kept.
Source: document C, 4.1.3 and 4.2.3 (h_t = σ(W_h h_{t−1} + W_x x_t + b); 4.2.3 calls the step t a
layer once, and h_0 is left open; its o_t = σ(W_o h_t + b_o) is a linear layer on top). Werbos,
"Backpropagation through time: what it does and how to do it", 1990; Pascanu, Mikolov and Bengio,
"On the difficulty of training recurrent neural networks", 2013.
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
from tinynet.errors import ArgumentError
from tinynet.op import Derivation
from tinynet.ops.elementwise import relu


def definition(
    x: Any,
    h0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
) -> Any:
    """h_t = σ(W_hh h_{t−1} + W_ih x_t + b_ih + b_hh), one step after the other.

    >>> one = np.ones((1, 1))
    >>> definition(np.array([[[2.0]], [[3.0]]]), 0 * one, one, one, nonlinearity="relu")[:, 0, 0]
    array([2., 5.])
    """
    sigma = np.tanh if nonlinearity == "tanh" else relu
    U, V, bias = np.swapaxes(W_ih, 0, 1), np.swapaxes(W_hh, 0, 1), sum(b)
    x, runs = running(x, lengths)
    h, states = h0, {}
    for t in steps(x.shape[0], reverse):
        new = sigma(np.matmul(x[t], U) + np.matmul(h, V) + bias)
        h = chosen(None if runs is None else runs[t], new, h)
        states[t] = h
    return np.stack([states[t] for t in range(x.shape[0])])


def forward(
    x: Any,
    h0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Any, tuple[Any, ...]]:
    """The same; the products with all inputs are one. The states are kept."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            "no such nonlinearity", expected="'tanh' or 'relu'", got=repr(nonlinearity)
        )
    check(1, x, (h0,), W_ih, W_hh, b, lengths)
    (x, runs), V = running(x, lengths), np.swapaxes(W_hh, 0, 1).copy()
    a = from_inputs(x, W_ih, b)
    y, before = room(h0, x.shape[0], reverse)
    for t in steps(x.shape[0], reverse):
        a[t] += np.matmul(before[t], V)
        h = np.tanh(a[t]) if nonlinearity == "tanh" else np.maximum(a[t], 0)
        y[t] = chosen(None if runs is None else runs[t], h, before[t])
    return y, (x, W_ih, W_hh, y, before, runs, bool(b))


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...] = (True,) * 6,
) -> tuple[Any, ...]:
    """h̄_t = g_t + ā_{t+1} W_hh and ā_t = h̄_t ⊙ σ′(a_t), from the last step to the first."""
    x, W_ih, W_hh, y, before, runs, biased = saved
    slope = chosen(runs, 1 - y * y if nonlinearity == "tanh" else y > 0, False)
    da, dh = np.empty_like(y), 0
    for t in steps(x.shape[0], not reverse):
        dh = g[t] + dh
        da[t] = dh * slope[t]
        dh = chosen(None if runs is None else runs[t], np.matmul(da[t], W_hh), dh)
    dx, weights = to_weights(da, da, x, before, W_ih, biased, (needs[0], *needs[2:]))
    return dx, dh, *weights


def carried(h: Any, W_hh: Any, *, nonlinearity: str = "tanh") -> Any:
    """∂h_T/∂h_0 = diag(σ′(a_T)) W_hh · … · diag(σ′(a_1)) W_hh, from the states h (T, H) of one
    sequence: (H, H), what the first state still does to the last.

    >>> carried(np.array([[0.0], [0.5]]), np.array([[2.0]]))  # (1 − ½²) 2 · (1 − 0²) 2
    array([[3.]])
    """
    J = np.eye(W_hh.shape[0], dtype=W_hh.dtype, like=W_hh)
    for h_t in h:
        slope = 1 - h_t * h_t if nonlinearity == "tanh" else h_t > 0
        J = np.matmul(slope[:, None] * W_hh, J)
    return J


def carried_at_most(W_hh: Any, T: int) -> float:
    """‖W_hh‖^T, which the largest singular value of `carried` cannot exceed.

    >>> carried_at_most(np.array([[0.5, 0.0], [0.0, 0.1]]), 10)
    0.0009766
    """
    return float(np.linalg.norm(W_hh, 2)) ** T


op = Derivation(
    "rnn",
    definition,
    backward,
    forward,
    formula=r"h_t = \sigma(W_{hh} h_{t-1} + W_{ih} x_t + b)",
    variadic=True,  # with or without biases
    in_place=True,
    room="derivations",
    doc="All states of a recurrent layer: each is made of the input and of the state before.",
)
