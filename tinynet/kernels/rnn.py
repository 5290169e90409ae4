"""A plain recurrent layer: number by number, and a step for one sequence; `recurrent.py` takes all
of them. What is computed, with the same letters, is derived in `derivations/rnn.py`.
"""

from __future__ import annotations

import math
from typing import Any

from tinynet.kernels.elementary import tanh
from tinynet.kernels.jit import inner, kernel

# -- the first rung --------------------------------------------------------------------------------


@kernel("y")
def naive(x: Any, h0: Any, W_ih: Any, W_hh: Any, b: Any, y: Any) -> None:
    """y_tnj = tanh(Σ_i W_ih_ji x_tni + Σ_k W_hh_jk y_{t−1},nk + b_j), as the formula reads."""
    T, N, H = y.shape
    for t in range(T):
        for n in range(N):
            for j in range(H):
                a = b[j]
                for i in range(x.shape[2]):
                    a += W_ih[j, i] * x[t, n, i]
                for k in range(H):
                    a += W_hh[j, k] * (y[t - 1, n, k] if t else h0[n, k])
                y[t, n, j] = math.tanh(a)


# -- a step of one sequence ------------------------------------------------------------------------


@inner
def step(q: Any, h: Any, relu: bool) -> None:
    """h_t, where q = W_ih x_t + W_hh h_{t−1} + b."""
    if relu:
        for j in range(h.shape[0]):
            h[j] = max(q[j], 0)
    else:
        for j in range(h.shape[0]):
            h[j] = tanh(q[j])


@inner
def step_back(h: Any, d: Any, da: Any, relu: bool) -> None:
    """ā = h̄ ⊙ σ′; d is h̄_t, and becomes 0, to which ā W_hh is then added."""
    one = h.dtype.type(1)
    if relu:
        for j in range(h.shape[0]):
            da[j] = d[j] * (h[j] > 0)
    else:
        for j in range(h.shape[0]):
            da[j] = d[j] * (one - h[j] * h[j])
    d[:] = 0
