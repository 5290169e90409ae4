"""The steps of an LSTM on the GPU, as derived in `derivations/lstm.py`.

What makes it fast. A step is a product with W_hh, which is cuBLAS's, and then some forty flops for
each entry of the memory: in primitives twenty launches, and a launch costs 5 µs however small its
arrays are. Here all that is done entry by entry is one launch, forward and backward; so a step is
two launches each way. The products with x, and those that give the gradients of the weights, are
one for all steps. (cuDNN goes further: it keeps W_hh on the chip from step to step.)

Gates stand in the place of their a, in PyTorch's order i, f, u, o. A thread has one entry of the
memory, and its four gates.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.cuda.launch import Source, contiguous, empty

_SOURCE = Source("""
__device__ A sigma(A a) { return 1 / (1 + exp(-a)); }

// a (N, 4H) plus `more` becomes the gates; h_t and c_t come side by side into y (N, 2H).
extern "C" __global__ void forward(T *a, const T *more, const T *before, T *y, i64 N, i64 H) {
    i64 k = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (k >= N * H) return;
    i64 n = k / H, j = k % H, first = n * 4 * H + j;
    a += first, more += first, before += n * 2 * H + j, y += n * 2 * H + j;
    A i = sigma(A(a[0]) + A(more[0])), f = sigma(A(a[H]) + A(more[H]));
    A u = tanh(A(a[2 * H]) + A(more[2 * H])), o = sigma(A(a[3 * H]) + A(more[3 * H]));
    A c = f * A(before[H]) + i * u;
    a[0] = T(i), a[H] = T(f), a[2 * H] = T(u), a[3 * H] = T(o);
    y[0] = T(o * tanh(c)), y[H] = T(c);
}

// The gradients of a, from those of y, h_t and c_t; dc becomes that of c_{t−1}.
extern "C" __global__ void backward(
    const T *g, const T *dh, T *dc, const T *gates, const T *before, const T *y, T *da, i64 N, i64 H
) {
    i64 k = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (k >= N * H) return;
    i64 n = k / H, j = k % H, first = n * 4 * H + j;
    gates += first, da += first, before += n * 2 * H + j, y += n * 2 * H + j, g += n * 2 * H + j;
    A i = A(gates[0]), f = A(gates[H]), u = A(gates[2 * H]), o = A(gates[3 * H]);
    A s = tanh(A(y[H])), m = A(g[0]) + A(dh[k]);
    A c = A(g[H]) + A(dc[k]) + m * o * (1 - s * s);
    da[0] = T(c * u * i * (1 - i)), da[H] = T(c * A(before[H]) * f * (1 - f));
    da[2 * H] = T(c * i * (1 - u * u)), da[3 * H] = T(m * s * o * (1 - o));
    dc[k] = T(c * f);
}
""")


def _forward(
    x: Any,
    h0: Any,
    c0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    lengths: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    (T, N, _), H = x.shape, h0.shape[1]
    a = np.matmul(_rows(x), W_ih.T).reshape(T, N, 4 * H)
    if b:
        a += b[0] + b[1]
    kept, V = empty((T + 1, N, 2 * H), x), contiguous(W_hh.T)
    first = T if reverse else 0  # where the initial state stands
    kept[first, :, :H], kept[first, :, H:] = h0, c0
    y, before = (kept[:-1], kept[1:]) if reverse else (kept[1:], kept[:-1])
    for t in range(T)[::-1] if reverse else range(T):
        more = np.matmul(before[t, :, :H], V)
        _launch("forward", a[t], more, before[t], y[t], N, H, like=x)
    return y, (x, W_ih, W_hh, a, y, before, bool(b))


def _backward(
    g: Any, saved: Any, *, needs: tuple[bool, ...], lengths: Any = None, reverse: bool = False
) -> tuple[Any, ...]:
    x, W_ih, W_hh, gates, y, before, biased = saved
    (T, N, _), H = x.shape, W_hh.shape[1]
    g, da = contiguous(g), empty(gates.shape, x)
    dh, dc = (np.zeros((N, H), dtype=x.dtype, like=x) for _ in "hc")
    for t in range(T) if reverse else range(T)[::-1]:
        _launch("backward", g[t], dh, dc, gates[t], before[t], y[t], da[t], N, H, like=x)
        dh = np.matmul(da[t], W_hh)
    rows = _rows(da)
    dx = np.matmul(rows, W_ih).reshape(x.shape) if needs[0] else None
    dW_ih = np.matmul(rows.T, _rows(x)) if needs[3] else None
    dW_hh = np.matmul(rows.T, _rows(before[:, :, :H])) if needs[4] else None
    db = [np.sum(rows, axis=0) if wanted else None for wanted in needs[5:]] if biased else []
    return dx, dh, dc, dW_ih, dW_hh, *db


def _launch(name: str, *arguments: Any, like: Any) -> None:
    """One thread for each entry of the memory."""
    N, H = arguments[-2:]
    _SOURCE.launch(name, (math.ceil(N * H / 256),), (256,), *arguments, like=like)


def _rows(x: Any) -> Any:
    """(T, N, …) as a matrix (T N, …)."""
    return contiguous(x).reshape(-1, x.shape[-1])


def _serves(
    x: Any,
    h0: Any,
    c0: Any,
    W_ih: Any,
    W_hh: Any,
    *b: Any,
    lengths: Any = None,
    reverse: bool = False,
) -> bool:
    """Sequences of one length, without projection: the others the reference serves."""
    if lengths is not None or len(b) not in (0, 2) or x.ndim != 3 or h0.ndim != 2:
        return False
    N, H = h0.shape
    found = [v.shape for v in (c0, W_ih, W_hh, *b)]
    expected = [(N, H), (4 * H, x.shape[2]), (4 * H, H), *((4 * H,) for _ in b)]
    return x.size > 0 and h0.size > 0 and x.shape[1] == N and found == expected


KERNELS = {"lstm": Kernel(_forward, _backward, serves=_serves, least=0)}
