"""The gated recurrent unit over a whole sequence, compiled: `recurrent.py` says what makes it fast,
`derivations/gru.py` what it computes, with the same letters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.elementary import sigmoid, tanh
from tinynet.kernels.jit import inner, kernel, put
from tinynet.kernels.recurrent import (
    Lengths,
    before_and_after,
    by_sequences,
    dense,
    fits,
    padded,
    rows_for,
    states_for,
    strips,
    sums_for,
    times,
    to_weights,
)
from tinynet.kernels.threads import room

# -- one step of one sequence ----------------------------------------------------------------------


@inner
def step(p: Any, q: Any, b: Any, a: Any, qn: Any, before: Any, after: Any) -> None:
    """The gates, into a, q^n, and the state after the step; p = W_ih x_t and q = W_hh h_{t−1}. Of b
    the first 2H belong to both, then come b_in and b_hn.
    """
    H = after.shape[0]
    rz, b_rz = a[: 2 * H], b[: 2 * H]
    for j in range(2 * H):
        rz[j] = sigmoid(p[j] + q[j] + b_rz[j])
    p_n, q_n, b_in, b_hn = p[2 * H :], q[2 * H :], b[2 * H : 3 * H], b[3 * H :]
    r, z, n = a[:H], a[H : 2 * H], a[2 * H :]
    for j in range(H):
        qn[j] = q_n[j] + b_hn[j]
    for j in range(H):
        n[j] = tanh(p_n[j] + b_in[j] + r[j] * qn[j])
    for j in range(H):
        after[j] = n[j] + z[j] * (before[j] - n[j])


@inner
def step_back(a: Any, qn: Any, before: Any, g: Any, dh: Any, dp: Any, dq: Any) -> None:
    """p̄, q̄, and h̄ ⊙ z in the place of h̄; dh is what arrived from the step after, to which g is
    added.
    """
    H = dh.shape[0]
    r, z, n = a[:H], a[H : 2 * H], a[2 * H :]
    dr, dz, dn, dqn = dp[:H], dp[H : 2 * H], dp[2 * H :], dq[2 * H :]
    for j in range(H):
        total = g[j] + dh[j]
        dz[j] = total * (before[j] - n[j]) * z[j] * (1 - z[j])
        dn[j] = total * (1 - z[j]) * (1 - n[j] * n[j])
        dh[j] = total * z[j]
    for j in range(H):
        dqn[j] = dn[j] * r[j]
        dr[j] = dqn[j] * qn[j] * (1 - r[j])
    put(dq, dp[: 2 * H])


# -- all steps of some sequences -------------------------------------------------------------------


@kernel("U", "V", "x", "a", "b", "qn", "kept", "xs", "h", "p", "q")
def steps(
    U: Any,
    V: Any,
    x: Any,
    a: Any,
    b: Any,
    qn: Any,
    kept: Any,
    lengths: Any,
    xs: Any,
    h: Any,
    p: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
) -> None:
    """All steps of the sequences first … last − 1: gates a (T, N, 3H), q^n (T, N, H), and states in
    kept (T + 1, N, H), which begins with h_0, at its end if `end` is 1. U and V are W_ihᵀ and W_hhᵀ
    in strips; xs is x_t, and h is h_{t−1}, which begins as h_0.
    """
    T = x.shape[0]
    for k in range(T):
        t = T - 1 - k if end else k
        before, after = kept[t + end], kept[t + 1 - end]
        for n in range(first, last):
            put(xs[n - first], x[t, n])
        times(xs, U, p)
        times(h, V, q)
        for n in range(first, last):
            r = n - first
            if t < lengths[n]:
                step(p[r], q[r], b, a[t, n], qn[t, n], before[n], after[n])
                put(h[r], after[n])
            else:
                put(after[n], before[n])


@kernel("U", "V", "a", "qn", "kept", "g", "dp", "dq", "dx", "dh", "p", "q", "into_x", "into_h")
def steps_back(
    U: Any,
    V: Any,
    a: Any,
    qn: Any,
    kept: Any,
    lengths: Any,
    g: Any,
    dp: Any,
    dq: Any,
    dx: Any,
    dh: Any,
    p: Any,
    q: Any,
    into_x: Any,
    into_h: Any,
    first: int,
    last: int,
    end: int,
) -> None:
    """The same from the last step to the first: dp and dq (T, N, 3H) and dx (T, N, I), and at its
    end dh is the gradient of h_0. U and V are W_ih and W_hh in strips, p and q the p̄ and q̄ of one
    step, into_x and into_h what they are times U and V. Where x̄ is not wanted, U has no strips.
    """
    T, H, inputs = a.shape[0], dh.shape[1], dx.shape[2]
    for k in range(T):
        t = k if end else T - 1 - k
        before = kept[t + end]
        for n in range(first, last):
            r = n - first
            if t < lengths[n]:
                step_back(a[t, n], qn[t, n], before[n], g[t, n], dh[r], p[r], q[r])
            else:
                p[r] = 0
                q[r] = 0
                for j in range(H):
                    dh[r, j] += g[t, n, j]
            put(dp[t, n], p[r])
            put(dq[t, n], q[r])
        times(p, U, into_x)
        times(q, V, into_h)
        for n in range(first, last):
            put(dx[t, n], into_x[n - first, :inputs])
            for j in range(H):
                dh[n - first, j] += into_h[n - first, j]


# -- the op ----------------------------------------------------------------------------------------


def forward(
    x: Any,
    h0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """All states (T, N, H)."""
    (T, N, inputs), H = x.shape, h0.shape[1]
    x, counts = padded(x, lengths)
    gates, qn = np.empty((T, N, 3 * H), x.dtype), np.empty((T, N, H), x.dtype)
    kept = states_for(T, h0, reverse)
    U, V, bias = strips(W_ih.T), strips(W_hh.T), np.zeros(4 * H, x.dtype)
    if b:
        bias[: 3 * H], bias[3 * H :] = b[0], b[1][2 * H :]
        bias[: 2 * H] += b[1][: 2 * H]

    def work(first: int, last: int) -> None:
        count, end = last - first, int(reverse)
        xs, h = (rows_for(s, count, n, x.dtype) for s, n in (("x", inputs), ("h", H)))
        p, q = sums_for(count, U, "p"), sums_for(count, V, "q")
        h[:count] = h0[first:last]
        steps(U, V, x, gates, bias, qn, kept, counts, xs, h, p, q, first, last, end)

    by_sequences(N, 2 * T * N * (U.size + V.size), work)
    return before_and_after(kept, reverse)[1], (x, W_ih, W_hh, gates, qn, kept, counts, bool(b))


def backward(
    g: Any,
    saved: Any,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    """The gradients of all inputs."""
    x, W_ih, W_hh, gates, qn, kept, counts, biased = saved
    (T, N, inputs), H, g = x.shape, W_hh.shape[1], dense(g)
    U, V = strips(W_ih if needs[0] else W_ih[:, :0]), strips(W_hh)
    dp, dq = (room(f"recurrent d{s}", gates.shape, g.dtype) for s in "pq")
    dx, dh0 = np.empty((T, N, needs[0] * inputs), g.dtype), np.empty((N, H), g.dtype)

    def work(first: int, last: int) -> None:
        count, end = last - first, int(reverse)
        p, q = (rows_for(s, count, 3 * H, g.dtype) for s in "xh")
        into_x, into_h = sums_for(count, U, "p"), sums_for(count, V, "q")
        dh, more = rows_for("dh", count, H, g.dtype), (p, q, into_x, into_h)
        steps_back(U, V, gates, qn, kept, counts, g, dp, dq, dx, dh, *more, first, last, end)
        dh0[first:last] = dh[:count]

    by_sequences(N, 2 * T * N * (U.size + V.size), work)
    before, _ = before_and_after(kept, reverse)
    weights = to_weights(dp, dq, x, before, biased, needs[2:])
    return dx if needs[0] else None, dh0, *weights


def serves(
    x: Any, h0: Any, W_ih: Any, W_hh: Any, *b: Any, lengths: Lengths = None, **_: Any
) -> bool:
    """What is a recurrence of several steps."""
    return fits(3, x, (h0,), W_ih, W_hh, b, lengths)


KERNELS = {"gru": Kernel(forward, backward, serves=serves, least=512)}
