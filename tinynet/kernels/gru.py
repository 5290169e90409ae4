"""The gated recurrent unit over a whole sequence, compiled: `recurrent.py` says what makes it fast,
`derivations/gru.py` what it computes, with the same letters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.elementary import sigmoid, tanh
from tinynet.kernels.jit import inner, kernel
from tinynet.kernels.recurrent import (
    Lengths,
    before_and_after,
    by_sequences,
    dense,
    fits,
    from_inputs,
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
def step(p: Any, q: Any, b: Any, qn: Any, before: Any, after: Any, h: Any) -> None:
    """The gates in the place of p = W_ih x_t, q^n, the state after the step, and once more for the
    next product; q = W_hh h_{t−1}. Of b the first 2H belong to both, then come b_in and b_hn.
    """
    H = h.shape[0]
    rz, b_rz, n, z = p[: 2 * H], b[: 2 * H], p[2 * H :], p[H : 2 * H]
    for j in range(2 * H):
        rz[j] = sigmoid(rz[j] + q[j] + b_rz[j])
    q_n, b_in, b_hn = q[2 * H :], b[2 * H : 3 * H], b[3 * H :]
    for j in range(H):
        qn[j] = q_n[j] + b_hn[j]
    for j in range(H):
        n[j] = tanh(n[j] + b_in[j] + rz[j] * qn[j])
    for j in range(H):
        h[j] = n[j] + z[j] * (before[j] - n[j])
    after[:] = h


@inner
def step_back(p: Any, qn: Any, before: Any, g: Any, dh: Any, dp: Any, dq: Any, row: Any) -> None:
    """p̄ and q̄ (in dq and in row), and h̄ ⊙ z in the place of h̄; dh is what arrived from the step
    after, to which g is added.
    """
    H = dh.shape[0]
    r, z, n = p[:H], p[H : 2 * H], p[2 * H :]
    dr, dz, dn, dqn = dp[:H], dp[H : 2 * H], dp[2 * H :], row[2 * H :]
    for j in range(H):
        total = g[j] + dh[j]
        dz[j] = total * (before[j] - n[j]) * z[j] * (1 - z[j])
        dn[j] = total * (1 - z[j]) * (1 - n[j] * n[j])
        dh[j] = total * z[j]
    for j in range(H):
        dqn[j] = dn[j] * r[j]
        dr[j] = dqn[j] * qn[j] * (1 - r[j])
    row[: 2 * H] = dp[: 2 * H]
    dq[:] = row


# -- all steps of some sequences -------------------------------------------------------------------


@kernel("W", "p", "b", "qn", "kept", "h", "q")
def steps(
    W: Any,
    p: Any,
    b: Any,
    qn: Any,
    kept: Any,
    lengths: Any,
    h: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
) -> None:
    """All steps of the sequences first … last − 1: gates in the place of p (T, N, 3H), states in
    kept (T + 1, N, H), which begins with h_0, at its end if `end` is 1. W is W_hhᵀ in strips, h
    begins as h_0.
    """
    T = p.shape[0]
    for k in range(T):
        t = T - 1 - k if end else k
        before, after = kept[t + end], kept[t + 1 - end]
        times(h, W, q)
        for n in range(first, last):
            if t < lengths[n]:
                step(p[t, n], q[n - first], b, qn[t, n], before[n], after[n], h[n - first])
            else:
                after[n] = before[n]


@kernel("W", "p", "qn", "kept", "g", "dp", "dq", "dh", "row", "q")
def steps_back(
    W: Any,
    p: Any,
    qn: Any,
    kept: Any,
    lengths: Any,
    g: Any,
    dp: Any,
    dq: Any,
    dh: Any,
    row: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
) -> None:
    """The same from the last step to the first: dp and dq (T, N, 3H), and at its end dh is the
    gradient of h_0. W is W_hh in strips, row the q̄ of one step.
    """
    T, H = p.shape[0], dh.shape[1]
    for k in range(T):
        t = k if end else T - 1 - k
        before = kept[t + end]
        for n in range(first, last):
            r = n - first
            if t < lengths[n]:
                step_back(p[t, n], qn[t, n], before[n], g[t, n], dh[r], dp[t, n], dq[t, n], row[r])
            else:
                dp[t, n] = 0
                dq[t, n] = 0
                for j in range(H):
                    dh[r, j] += g[t, n, j]
        times(row, W, q)
        for n in range(first, last):
            if t < lengths[n]:
                for j in range(H):
                    dh[n - first, j] += q[n - first, j]


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
    (T, N, _), H = x.shape, h0.shape[1]
    x, counts = padded(x, lengths)
    gates = from_inputs(x, W_ih, np.empty((T, N, 3 * H), x.dtype))
    qn = np.empty((T, N, H), x.dtype)
    kept = states_for(T, h0, reverse)
    W, bias = strips(W_hh.T), np.zeros(4 * H, x.dtype)
    if b:
        bias[: 3 * H], bias[3 * H :] = b[0], b[1][2 * H :]
        bias[: 2 * H] += b[1][: 2 * H]

    def work(first: int, last: int) -> None:
        h = rows_for("recurrent state", last - first, H, x.dtype)
        h[: last - first] = h0[first:last]
        q = sums_for(last - first, W)
        steps(W, gates, bias, qn, kept, counts, h, q, first, last, int(reverse))

    by_sequences(T, N, work)
    return before_and_after(kept, reverse)[1], (x, W_ih, W_hh, gates, qn, kept, counts, bool(b))


def backward(
    g: Any,
    saved: Any,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...] = (True,) * 6,
) -> tuple[Any, ...]:
    """The gradients of all inputs."""
    x, W_ih, W_hh, gates, qn, kept, counts, biased = saved
    (T, N, _), H, g, W = x.shape, W_hh.shape[1], dense(g), strips(W_hh)
    dp, dq = (room(f"recurrent {s}", gates.shape, g.dtype) for s in ("dp", "dq"))
    dh0 = np.empty((N, H), g.dtype)

    def work(first: int, last: int) -> None:
        count, end = last - first, int(reverse)
        dh = rows_for("recurrent dh", count, H, g.dtype)
        row, q = rows_for("recurrent row", count, 3 * H, g.dtype), sums_for(count, W)
        steps_back(W, gates, qn, kept, counts, g, dp, dq, dh, row, q, first, last, end)
        dh0[first:last] = dh[:count]

    by_sequences(T, N, work)
    before, _ = before_and_after(kept, reverse)
    dx, weights = to_weights(dp, dq, x, before, W_ih, biased, (needs[0], *needs[2:]))
    return dx, dh0, *weights


def serves(
    x: Any, h0: Any, W_ih: Any, W_hh: Any, *b: Any, lengths: Lengths = None, **_: Any
) -> bool:
    """What is a recurrence."""
    return fits(3, x, (h0,), W_ih, W_hh, b, lengths)


KERNELS = {"gru": Kernel(forward, backward, serves=serves, least=512)}
