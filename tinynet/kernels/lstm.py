"""A step of long short-term memory, for one sequence; `recurrent.py` takes all of them.

What is computed, with the same letters, is derived in `derivations/lstm.py`. Blocks of H numbers
stand side by side: the gates i, f, u, o, and the states h, c.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels.elementary import sigmoid, tanh
from tinynet.kernels.jit import inner


@inner
def step(q: Any, a: Any, before: Any, after: Any) -> None:
    """The gates, into a, and the states after the step; q = W_ih x_t + W_hh h_{t−1} + b."""
    H = after.shape[0] // 2
    i, f, u, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
    q_u, q_o, h, c, before_c = q[2 * H :], q[3 * H :], after[:H], after[H:], before[H:]
    for j in range(2 * H):
        a[j] = sigmoid(q[j])
    for j in range(H):
        u[j] = tanh(q_u[j])
    for j in range(H):
        o[j] = sigmoid(q_o[j])
    for j in range(H):
        c[j] = f[j] * before_c[j] + i[j] * u[j]
    for j in range(H):
        h[j] = o[j] * tanh(c[j])


@inner
def step_back(a: Any, before: Any, after: Any, d: Any, da: Any) -> None:
    """ā of the four gates; d is h̄_t and c̄_t, and becomes 0, to which ā W_hh is then added, and
    c̄_{t−1}.
    """
    H = d.shape[0] // 2
    i, f, u, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
    di, df, du, do = da[:H], da[H : 2 * H], da[2 * H : 3 * H], da[3 * H :]
    dh, dc, before_c, c = d[:H], d[H:], before[H:], after[H:]
    one = a.dtype.type(1)  # beside a whole number a float32 would become float64
    for j in range(H):
        s, m = tanh(c[j]), dh[j]
        do[j] = m * s * o[j] * (one - o[j])
        dc[j] += m * o[j] * (one - s * s)
        dh[j] = 0
    for j in range(H):
        di[j] = dc[j] * u[j] * i[j] * (one - i[j])
        df[j] = dc[j] * before_c[j] * f[j] * (one - f[j])
        du[j] = dc[j] * i[j] * (one - u[j] * u[j])
        dc[j] *= f[j]
