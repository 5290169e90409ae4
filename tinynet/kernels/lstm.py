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
    padded,
    rows_for,
    states_for,
    strips,
    sums_for,
    times,
    to_weights,
)
from tinynet.kernels.strips import LOW
from tinynet.kernels.threads import room

# -- one step of one sequence ----------------------------------------------------------------------


@inner
def step(q: Any, b: Any, a: Any, before: Any, after: Any) -> None:
    """The gates, into a, and the states after the step; q = W_ih x_t + W_hh h_{t−1}."""
    H = after.shape[0] // 2
    for k in range(4):
        gate, qk, bk = a[k * H : (k + 1) * H], q[k * H : (k + 1) * H], b[k * H : (k + 1) * H]
        if k == 2:
            for j in range(H):
                gate[j] = tanh(qk[j] + bk[j])
        else:
            for j in range(H):
                gate[j] = sigmoid(qk[j] + bk[j])
    i, f, u, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
    h, c, before_c = after[:H], after[H:], before[H:]
    for j in range(H):
        c[j] = f[j] * before_c[j] + i[j] * u[j]
    for j in range(H):
        h[j] = o[j] * tanh(c[j])


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


@kernel("W", "x", "a", "b", "kept", "z", "q")
def steps(
    W: Any,
    x: Any,
    a: Any,
    b: Any,
    kept: Any,
    lengths: Any,
    z: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
) -> None:
    """All steps of the sequences first … last − 1: gates a (T, N, 4H), and states in kept
    (T + 1, N, 2H), which begins with the first, at its end if `end` is 1. W is (W_ih W_hh)ᵀ in
    strips, the rows of z are x_t and h_{t−1}, which begins as h_0.
    """
    T, inputs = x.shape[0], x.shape[2]
    H = z.shape[1] - inputs
    for k in range(T):
        t = T - 1 - k if end else k
        before, after = kept[t + end], kept[t + 1 - end]
        for n in range(first, last):
            z[n - first, :inputs] = x[t, n]
        times(z, W, q)
        for n in range(first, last):
            if t < lengths[n]:
                step(q[n - first], b, a[t, n], before[n], after[n])
                z[n - first, inputs:] = after[n, :H]
            else:
                after[n] = before[n]


@kernel("W", "a", "kept", "g", "da", "dx", "dh", "dc", "q")
def steps_back(
    W: Any,
    a: Any,
    kept: Any,
    lengths: Any,
    g: Any,
    da: Any,
    dx: Any,
    dh: Any,
    dc: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
) -> None:
    """The same from the last step to the first: da (T N and more, 4H) and dx (T, N, I), and at its
    end dh and dc are the gradients of h_0 and c_0. W is (W_hh W_ih) in strips. Where x̄ is not
    wanted, I = 0, and W is W_hh. The last block of a product may read rows that are not ours, or
    not there yet: what it makes of them is dropped.
    """
    T, N, H, inputs = a.shape[0], a.shape[1], dh.shape[1], dx.shape[2]
    for k in range(T):
        t = k if end else T - 1 - k
        before, after, row = kept[t + end], kept[t + 1 - end], da[t * N + first :]
        for n in range(first, last):
            r = n - first
            if t < lengths[n]:
                step_back(a[t, n], before[n], after[n], g[t, n], dh[r], dc[r], row[r])
            else:
                row[r] = 0
                for j in range(H):
                    dh[r, j] += g[t, n, j]
                    dc[r, j] += g[t, n, H + j]
        times(row[: q.shape[0]], W, q)
        for n in range(first, last):
            dx[t, n] = q[n - first, H : H + inputs]
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
    (T, N, inputs), H = x.shape, h0.shape[1]
    x, counts = padded(x, lengths)
    gates = np.empty((T, N, 4 * H), x.dtype)
    kept = states_for(T, np.concatenate((h0, c0), axis=-1), reverse)
    W = strips(np.concatenate((W_ih, W_hh), axis=1).T)
    bias = sum(b) if b else np.zeros(4 * H, x.dtype)

    def work(first: int, last: int) -> None:
        z, q = rows_for("z", last - first, inputs + H, x.dtype), sums_for(last - first, W)
        z[: last - first, inputs:] = h0[first:last]
        steps(W, x, gates, bias, kept, counts, z, q, first, last, int(reverse))

    by_sequences(N, 2 * T * N * W.size, work)
    return before_and_after(kept, reverse)[1], (x, W_ih, W_hh, gates, kept, counts, bool(b))


def backward(
    g: Any,
    saved: Any,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    """The gradients of all inputs."""
    x, W_ih, W_hh, gates, kept, counts, biased = saved
    (T, N, inputs), H, g = x.shape, W_hh.shape[1], dense(g)
    W = strips(np.concatenate((W_hh, W_ih), axis=1) if needs[0] else W_hh)
    da = room("recurrent da", (T * N + LOW, 4 * H), g.dtype)
    dx = np.empty((T, N, needs[0] * inputs), g.dtype)
    dh0, dc0 = np.empty((N, H), g.dtype), np.empty((N, H), g.dtype)

    def work(first: int, last: int) -> None:
        count, end = last - first, int(reverse)
        dh, dc = (rows_for(s, count, H, g.dtype) for s in ("dh", "dc"))
        q = sums_for(count, W)
        steps_back(W, gates, kept, counts, g, da, dx, dh, dc, q, first, last, end)
        dh0[first:last], dc0[first:last] = dh[:count], dc[:count]

    by_sequences(N, 2 * T * N * W.size, work)
    before, _ = before_and_after(kept, reverse)
    da = da[: T * N].reshape(gates.shape)
    weights = to_weights(da, da, x, before[..., :H], biased, needs[3:])
    return dx if needs[0] else None, dh0, dc0, *weights


def serves(
    x: Any, h0: Any, c0: Any, W_ih: Any, W_hh: Any, *b: Any, lengths: Lengths = None, **_: Any
) -> bool:
    """What is a recurrence of several steps and projects no states."""
    return fits(4, x, (h0, c0), W_ih, W_hh, b, lengths)


KERNELS = {"lstm": Kernel(forward, backward, serves=serves, least=512)}
