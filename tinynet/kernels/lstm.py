"""Long short-term memory over a whole sequence, compiled: `recurrent.py` says what makes it fast,
`derivations/lstm.py` what it computes, with the same letters.
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
def step(a: Any, q: Any, b: Any, before: Any, after: Any, h: Any) -> None:
    """The gates in the place of a = W_ih x_t, the states after the step, and h once more for the
    next product; q = W_hh h_{t−1}.
    """
    H = h.shape[0]
    for k in range(4):
        gate, qk, bk = a[k * H : (k + 1) * H], q[k * H : (k + 1) * H], b[k * H : (k + 1) * H]
        if k == 2:
            for j in range(H):
                gate[j] = tanh(gate[j] + qk[j] + bk[j])
        else:
            for j in range(H):
                gate[j] = sigmoid(gate[j] + qk[j] + bk[j])
    i, f, u, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
    c, before_c = after[H:], before[H:]
    for j in range(H):
        c[j] = f[j] * before_c[j] + i[j] * u[j]
    for j in range(H):
        h[j] = o[j] * tanh(c[j])
    after[:H] = h


@inner
def step_back(a: Any, before: Any, after: Any, g: Any, dh: Any, dc: Any, da: Any) -> None:
    """ā of the four gates, and c̄_{t−1} in the place of c̄_t; dh, dc are what arrived from the step
    after, to which g is added.
    """
    H = dh.shape[0]
    i, f, u, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
    di, df, du, do = da[:H], da[H : 2 * H], da[2 * H : 3 * H], da[3 * H :]
    before_c, c, g_h, g_c = before[H:], after[H:], g[:H], g[H:]
    for j in range(H):
        s, m = tanh(c[j]), g_h[j] + dh[j]
        do[j] = m * s * o[j] * (1 - o[j])
        dc[j] += g_c[j] + m * o[j] * (1 - s * s)
    for j in range(H):
        di[j] = dc[j] * u[j] * i[j] * (1 - i[j])
        df[j] = dc[j] * before_c[j] * f[j] * (1 - f[j])
        du[j] = dc[j] * i[j] * (1 - u[j] * u[j])
        dc[j] *= f[j]


# -- all steps of some sequences -------------------------------------------------------------------


@kernel("W", "a", "b", "kept", "h", "q")
def steps(
    W: Any, a: Any, b: Any, kept: Any, lengths: Any, h: Any, q: Any, first: int, last: int, end: int
) -> None:
    """All steps of the sequences first … last − 1: gates in the place of a (T, N, 4H), states in
    kept (T + 1, N, 2H), which begins at its end if `end` is 1. W is W_hhᵀ in strips, h begins as
    h_0.
    """
    T = a.shape[0]
    for k in range(T):
        t = T - 1 - k if end else k
        before, after = kept[t + end], kept[t + 1 - end]
        times(h, W, q)
        for n in range(first, last):
            if t < lengths[n]:
                step(a[t, n], q[n - first], b, before[n], after[n], h[n - first])
            else:
                after[n] = before[n]


@kernel("W", "a", "kept", "g", "da", "dh", "dc", "row", "q")
def steps_back(
    W: Any,
    a: Any,
    kept: Any,
    lengths: Any,
    g: Any,
    da: Any,
    dh: Any,
    dc: Any,
    row: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
) -> None:
    """The same from the last step to the first: da (T, N, 4H), and at its end dh and dc are the
    gradients of h_0 and c_0. W is W_hh in strips, row the ā of one step.
    """
    T, _, H = a.shape[0], a.shape[1], dh.shape[1]
    for k in range(T):
        t = k if end else T - 1 - k
        before, after = kept[t + end], kept[t + 1 - end]
        for n in range(first, last):
            r = n - first
            if t < lengths[n]:
                step_back(a[t, n], before[n], after[n], g[t, n], dh[r], dc[r], row[r])
                da[t, n] = row[r]
            else:
                da[t, n] = 0
                for j in range(H):
                    dh[r, j] += g[t, n, j]
                    dc[r, j] += g[t, n, H + j]
        times(row, W, q)
        for n in range(first, last):
            if t < lengths[n]:
                dh[n - first] = q[n - first, :H]


# -- the op ----------------------------------------------------------------------------------------


def forward(
    x: Any,
    h0: Any,
    c0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """h_t and c_t side by side, (T, N, 2H)."""
    (T, N, _), H = x.shape, h0.shape[1]
    x, counts = padded(x, lengths)
    gates = from_inputs(x, W_ih, np.empty((T, N, 4 * H), x.dtype))
    kept = states_for(T, np.concatenate((h0, c0), axis=-1), reverse)
    W = strips(W_hh.T)
    bias = sum(b) if b else np.zeros(4 * H, x.dtype)

    def work(first: int, last: int) -> None:
        h = rows_for("recurrent state", last - first, H, x.dtype)
        h[: last - first] = h0[first:last]
        q = sums_for(last - first, W)
        steps(W, gates, bias, kept, counts, h, q, first, last, int(reverse))

    by_sequences(T, N, work)
    return before_and_after(kept, reverse)[1], (x, W_ih, W_hh, gates, kept, counts, bool(b))


def backward(
    g: Any,
    saved: Any,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...] = (True,) * 7,
) -> tuple[Any, ...]:
    """The gradients of all inputs."""
    x, W_ih, W_hh, gates, kept, counts, biased = saved
    (T, N, _), H = x.shape, W_hh.shape[1]
    g, W = dense(g), strips(W_hh)
    da = room("recurrent da", gates.shape, g.dtype)
    dh0, dc0 = np.empty((N, H), g.dtype), np.empty((N, H), g.dtype)

    def work(first: int, last: int) -> None:
        count = last - first
        dh, dc = (rows_for(f"recurrent {s}", count, H, g.dtype) for s in ("dh", "dc"))
        row = rows_for("recurrent row", count, 4 * H, g.dtype)
        q = sums_for(count, W)
        steps_back(W, gates, kept, counts, g, da, dh, dc, row, q, first, last, int(reverse))
        dh0[first:last], dc0[first:last] = dh[:count], dc[:count]

    by_sequences(T, N, work)
    before, _ = before_and_after(kept, reverse)
    dx, weights = to_weights(da, da, x, before[..., :H], W_ih, biased, (needs[0], *needs[3:]))
    return dx, dh0, dc0, *weights


def serves(
    x: Any, h0: Any, c0: Any, W_ih: Any, W_hh: Any, *b: Any, lengths: Lengths = None, **_: Any
) -> bool:
    """What is a recurrence and projects no states."""
    return fits(4, x, (h0, c0), W_ih, W_hh, b, lengths)


KERNELS = {"lstm": Kernel(forward, backward, serves=serves, least=512)}
