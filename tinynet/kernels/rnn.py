"""A plain recurrent layer over a whole sequence, compiled, from the formula to all cores.

1. `naive`               h_t = tanh(W_ih x_t + W_hh h_{t−1} + b), number by number.
2. `steps`, `steps_back` the inputs' products are there before, each step's is one, made in
                         registers; some sequences each for all cores.

`recurrent.py` says why, `derivations/rnn.py` what is computed, with the same letters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.elementary import tanh
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


# -- one step of one sequence ----------------------------------------------------------------------


@inner
def step(q: Any, b: Any, h: Any, relu: int) -> None:
    """h_t, where q = W_ih x_t + W_hh h_{t−1}."""
    if relu:
        for j in range(h.shape[0]):
            h[j] = max(q[j] + b[j], 0)
    else:
        for j in range(h.shape[0]):
            h[j] = tanh(q[j] + b[j])


@inner
def step_back(y: Any, g: Any, dh: Any, da: Any, relu: int) -> None:
    """ā = h̄ ⊙ σ′, where h̄ is g and what arrived from the step after."""
    for j in range(dh.shape[0]):
        da[j] = g[j] + dh[j]
    if relu:
        for j in range(dh.shape[0]):
            da[j] *= y[j] > 0
    else:
        for j in range(dh.shape[0]):
            da[j] *= 1 - y[j] * y[j]


# -- all steps of some sequences -------------------------------------------------------------------


@kernel("W", "x", "b", "kept", "z", "q")
def steps(
    W: Any,
    x: Any,
    b: Any,
    kept: Any,
    lengths: Any,
    z: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
    relu: int,
) -> None:
    """All steps of the sequences first … last − 1: states in kept (T + 1, N, H), which begins with
    h_0, at its end if `end` is 1. W is (W_ih W_hh)ᵀ in strips, the rows of z are x_t and h_{t−1},
    which begins as h_0.
    """
    T, inputs = x.shape[0], x.shape[2]
    for k in range(T):
        t = T - 1 - k if end else k
        before, after = kept[t + end], kept[t + 1 - end]
        for n in range(first, last):
            put(z[n - first], x[t, n])
        times(z, W, q)
        for n in range(first, last):
            if t < lengths[n]:
                step(q[n - first], b, after[n], relu)
                put(z[n - first, inputs:], after[n])
            else:
                put(after[n], before[n])


@kernel("W", "kept", "g", "da", "dx", "dh", "row", "q")
def steps_back(
    W: Any,
    kept: Any,
    lengths: Any,
    g: Any,
    da: Any,
    dx: Any,
    dh: Any,
    row: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
    relu: int,
) -> None:
    """The same from the last step to the first: da (T, N, H) and dx (T, N, I), and at its end dh is
    the gradient of h_0. W is (W_hh W_ih) in strips, row the ā of one step. Where x̄ is not wanted,
    I = 0, and W is W_hh.
    """
    T, H, inputs = g.shape[0], dh.shape[1], dx.shape[2]
    for k in range(T):
        t = k if end else T - 1 - k
        y = kept[t + 1 - end]
        for n in range(first, last):
            r = n - first
            if t < lengths[n]:
                step_back(y[n], g[t, n], dh[r], row[r], relu)
            else:
                row[r] = 0
                for j in range(H):
                    dh[r, j] += g[t, n, j]
            put(da[t, n], row[r])
        times(row, W, q)
        for n in range(first, last):
            put(dx[t, n], q[n - first, H : H + inputs])
            if t < lengths[n]:
                put(dh[n - first], q[n - first, :H])


# -- the op ----------------------------------------------------------------------------------------


def forward(
    x: Any,
    h0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """All states (T, N, H)."""
    (T, N, inputs), H = x.shape, h0.shape[1]
    x, counts = padded(x, lengths)
    kept = states_for(T, h0, reverse)
    W = strips(np.concatenate((W_ih, W_hh), axis=1).T)
    bias = sum(b) if b else np.zeros(H, x.dtype)

    def work(first: int, last: int) -> None:
        z, q = rows_for("z", last - first, inputs + H, x.dtype), sums_for(last - first, W)
        z[: last - first, inputs:] = h0[first:last]
        relu = int(nonlinearity == "relu")
        steps(W, x, bias, kept, counts, z, q, first, last, int(reverse), relu)

    by_sequences(N, 2 * T * N * W.size, work)
    return before_and_after(kept, reverse)[1], (x, W_ih, W_hh, kept, counts, bool(b))


def backward(
    g: Any,
    saved: Any,
    *,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    """The gradients of all inputs."""
    x, W_ih, W_hh, kept, counts, biased = saved
    (T, N, inputs), H, g = x.shape, W_hh.shape[1], dense(g)
    W = strips(np.concatenate((W_hh, W_ih), axis=1) if needs[0] else W_hh)
    da, dx = room("recurrent da", g.shape, g.dtype), np.empty((T, N, needs[0] * inputs), g.dtype)
    dh0 = np.empty((N, H), g.dtype)

    def work(first: int, last: int) -> None:
        count, relu = last - first, int(nonlinearity == "relu")
        dh, row = (rows_for(s, count, H, g.dtype) for s in ("dh", "row"))
        q = sums_for(count, W)
        steps_back(W, kept, counts, g, da, dx, dh, row, q, first, last, int(reverse), relu)
        dh0[first:last] = dh[:count]

    by_sequences(N, 2 * T * N * W.size, work)
    before, _ = before_and_after(kept, reverse)
    weights = to_weights(da, da, x, before, biased, needs[2:])
    return dx if needs[0] else None, dh0, *weights


def serves(
    x: Any,
    h0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    **_: Any,
) -> bool:
    """What is a recurrence of several steps."""
    return nonlinearity in ("tanh", "relu") and fits(1, x, (h0,), W_ih, W_hh, b, lengths)


KERNELS = {"rnn": Kernel(forward, backward, serves=serves, least=512)}
