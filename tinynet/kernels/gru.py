"""A step of the gated recurrent unit, for one sequence; `recurrent.py` takes all of them.

What is computed, with the same letters, is derived in `derivations/gru.py`. Blocks of H numbers
stand side by side: p and q have those of r, z, n.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels.elementary import sigmoid, tanh
from tinynet.kernels.jit import inner


@inner
def step(p: Any, q: Any, a: Any, before: Any, after: Any) -> None:
    """r, z, n and q^n, into a, and the state after the step; p = W_ih x_t + b_ih and
    q = W_hh h_{t−1} + b_hh.
    """
    H = after.shape[0]
    r, z, n, qn = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
    p_n, q_n = p[2 * H :], q[2 * H :]
    for j in range(2 * H):
        a[j] = sigmoid(p[j] + q[j])
    for j in range(H):
        qn[j] = q_n[j]
    for j in range(H):
        n[j] = tanh(p_n[j] + r[j] * qn[j])
    for j in range(H):
        after[j] = n[j] + z[j] * (before[j] - n[j])


@inner
def step_back(a: Any, before: Any, d: Any, da: Any) -> None:
    """p̄^n, p̄^r = q̄^r, p̄^z = q̄^z and q̄^n; d is h̄_t, and becomes h̄_t ⊙ z, to which q̄ W_hh is then
    added.
    """
    H = d.shape[0]
    r, z, n, qn = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
    dn, dr, dz, dqn = da[:H], da[H : 2 * H], da[2 * H : 3 * H], da[3 * H :]
    one = a.dtype.type(1)  # beside a whole number a float32 would become float64
    for j in range(H):
        dz[j] = d[j] * (before[j] - n[j]) * z[j] * (one - z[j])
        dn[j] = d[j] * (one - z[j]) * (one - n[j] * n[j])
        d[j] *= z[j]
    for j in range(H):
        dqn[j] = dn[j] * r[j]
        dr[j] = dqn[j] * qn[j] * (one - r[j])
