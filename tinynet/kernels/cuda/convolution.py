"""Convolution on the GPU, as derived in `derivations/conv2d.py`, over one or two axes.

Y = W X and X̄ = Wᵀ g are products of matrices, and cuBLAS's. What is left is to bring the windows
into the columns of X (im2col) and to add X̄ back (col2im). Both only move memory.

im2col: a block of threads takes one row of X, a channel and a tap (u, v); its threads go along the
places of the window, so that neighbours write neighbours, and read them where the stride is 1.

col2im as derived scatters, x̄_(ps+ud−P) += X̄_up, and two threads would add to one entry. Turned
round it gathers: an entry m of x̄ asks each tap which window saw it, p = (m + P − u d) / s, if that
is a whole number and there is such a window. Each entry is written once, by one thread, and the sum
has one order.

Three axes, and sizes that do not fit, are left to the reference.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.cuda.launch import Source, contiguous, empty, threads

_SOURCE = Source("""
struct Window { i64 size[2], kernel[2], out[2], stride[2], padding[2], dilation[2]; };

extern "C" __global__ void im2col(const T *x, T *X, Window w) {
    i64 tap = blockIdx.x % (w.kernel[0] * w.kernel[1]);
    i64 plane = blockIdx.x / (w.kernel[0] * w.kernel[1]);
    int h = tap / w.kernel[1] * w.dilation[0] - w.padding[0];  // what place (0, 0) sees
    int v = tap % w.kernel[1] * w.dilation[1] - w.padding[1];
    int wide = w.out[1], places = w.out[0] * w.out[1];
    x += plane * w.size[0] * w.size[1], X += blockIdx.x * i64(places);
    for (int p = threadIdx.x; p < places; p += blockDim.x) {
        i64 i = p / wide * w.stride[0] + h, j = p % wide * w.stride[1] + v;
        bool inside = 0 <= i && i < w.size[0] && 0 <= j && j < w.size[1];
        X[p] = inside ? x[i * w.size[1] + j] : T(0);
    }
}

extern "C" __global__ void col2im(const T *X, T *x, Window w) {
    int wide = w.size[1], entries = w.size[0] * w.size[1];
    i64 places = w.out[0] * w.out[1], taps = w.kernel[0] * w.kernel[1];
    x += blockIdx.x * i64(entries), X += blockIdx.x * taps * places;
    for (int m = blockIdx.y * blockDim.x + threadIdx.x; m < entries; m += gridDim.y * blockDim.x) {
        A sum = 0;
        for (int u = 0; u < w.kernel[0]; ++u) {
            int i = m / wide + w.padding[0] - u * w.dilation[0], stride = w.stride[0];
            if (i < 0 || i % stride || i / stride >= w.out[0]) continue;
            for (int v = 0; v < w.kernel[1]; ++v) {
                int j = m % wide + w.padding[1] - v * w.dilation[1], step = w.stride[1];
                if (j < 0 || j % step || j / step >= w.out[1]) continue;
                i64 tap = u * w.kernel[1] + v;
                sum += A(X[tap * places + i / stride * w.out[1] + j / step]);
            }
        }
        x[m] = T(sum);
    }
}
""")
_WINDOW = np.dtype([(f"{name}{k}", "q") for name in "nkosPd" for k in "01"])


def _forward(
    x: Any, W: Any, *b: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Any, Any]:
    x, W = contiguous(x), contiguous(W)
    window, out = _window(x, W, stride, padding, dilation)
    X = _im2col(x, W, window, out, groups)
    y = np.matmul(_grouped(W[None], groups)[0], X).reshape(x.shape[0], W.shape[0], *out)
    if b:
        y += b[0].reshape(-1, *(1,) * len(out))
    return y, (x, W, *b)


def _backward(
    g: Any,
    saved: Any,
    *,
    needs: tuple[bool, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    x, W, *b = saved
    G, (window, _) = _grouped(contiguous(g), groups), _window(x, W, stride, padding, dilation)
    dx = dW = db = None
    if needs[0]:
        W_T = np.swapaxes(_grouped(W[None], groups)[0], 1, 2)
        dX, dx = np.matmul(W_T, G), empty(x.shape, x)
        entries = math.prod(x.shape[2:])
        grid = (x.shape[0] * x.shape[1], math.ceil(entries / 1024))
        _SOURCE.launch("col2im", grid, (threads(entries),), dX, dx, window, like=x)
    if needs[1]:  # Σ_n X gᵀ, turned at last: CuPy copies what is turned, and g is smaller than X
        X = _im2col(x, W, window, g.shape[2:], groups)
        dW = np.sum(np.matmul(X, np.swapaxes(G, 2, 3)), axis=0)
        dW = contiguous(np.swapaxes(dW, 1, 2)).reshape(W.shape)
    if b and needs[2]:
        db = np.sum(G, axis=(0, 3)).reshape(b[0].shape)
    return (dx, dW, db) if b else (dx, dW)


def _im2col(x: Any, W: Any, window: Any, out: tuple[int, ...], groups: int) -> Any:
    """X (n, G, C/G · K, places)."""
    rows, places = x.shape[1] * math.prod(W.shape[2:]), math.prod(out)
    X = empty((x.shape[0], groups, rows // groups, places), x)
    grid = (x.shape[0] * rows,)
    _SOURCE.launch("im2col", grid, (threads(places),), x, X, window, like=x)
    return X


def _grouped(a: Any, groups: int) -> Any:
    """(n, R, …) -> (n, G, R/G, all the rest)."""
    n, rows = a.shape[:2]
    return a.reshape(n, groups, rows // groups, -1)


def _window(x: Any, W: Any, *how: Any) -> tuple[Any, tuple[int, ...]]:
    """The struct, and the places along each axis. One axis is the second of two, the first of 1."""
    axes = x.ndim - 2
    each = [
        (v,) * axes if isinstance(v, int) else tuple(v) * (axes if len(v) == 1 else 1) for v in how
    ]
    rows = [x.shape[2:], W.shape[2:], *each]
    out = tuple((n + 2 * P - d * (K - 1) - 1) // s + 1 for n, K, s, P, d in zip(*rows, strict=True))
    rows.insert(2, out)
    fill = (1, 1, 1, 1, 0, 1)
    flat = [k for row, one in zip(rows, fill, strict=True) for k in (one, *row)[-2:]]
    return np.array(tuple(flat), _WINDOW), out


def _serves(
    x: Any, W: Any, *b: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> bool:
    numbers = [
        n for v in (stride, padding, dilation) for n in (v if isinstance(v, list | tuple) else (v,))
    ]
    if not all(type(n) is int and n >= 0 for n in (groups, *numbers)) or groups < 1:
        return False
    fits = x.ndim == W.ndim and x.ndim in (3, 4) and x.shape[1] == groups * W.shape[1]
    fits = fits and W.shape[0] % groups == 0 and all(p.shape == W.shape[:1] for p in b)
    if not fits or not x.size or not W.size or math.prod(x.shape[2:]) >= 2**31:
        return False
    try:
        return min(_window(x, W, stride, padding, dilation)[1]) > 0
    except (ValueError, ZeroDivisionError):  # another count of numbers, a stride of 0
        return False


KERNELS = {"conv2d": Kernel(_forward, _backward, serves=_serves, least=0)}
