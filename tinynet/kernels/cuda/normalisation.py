"""Layer norm and RMS norm on the GPU, as derived in `derivations/layer_norm.py` and `rms_norm.py`.

    y = γ x̂ + β,   x̂ = s (x − m),   x̄ = s (h − mean(h) − x̂ mean(h x̂)),   h = g γ

RMS norm is the same with m = 0 and without mean(h): `centred` says which.

What makes it fast. Eight flops an entry against 8 bytes moved: memory sets the pace. Forward, a
block of threads takes a row, and reads it three times: for m, for Σ (x − m)², for y; only the first
time from memory, then it lies in the cache. x̂ is not kept: x is there, and two numbers for each row
make x̂ again. (In primitives each of ten operations passes over memory.)

γ̄ and β̄ are sums down the columns. Here 32 neighbouring columns go to the 32 threads of a warp, so
that they still read neighbours in memory; 8 warps take every eighth row, and the grid has a second
axis, so that all of the GPU works: at last a few rows of partial sums are added. No atomicAdd: its
sums come in another order each time.
"""

from __future__ import annotations

import math
from typing import Any

from tinynet.kernels.choice import Kernel
from tinynet.kernels.cuda.launch import Source, contiguous, empty, threads

_SOURCE = Source("""
extern "C" __global__ void forward(
    const T *x, const T *gamma, const T *beta, T *y, A *mean, A *scale, i64 n, double eps,
    i64 centred
) {
    x += blockIdx.x * n, y += blockIdx.x * n;
    A m = 0, v = 0;
    if (centred) {
        for (i64 i = threadIdx.x; i < n; i += blockDim.x) m += A(x[i]);
        m = total(m) / n;
    }
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) v += (A(x[i]) - m) * (A(x[i]) - m);
    A s = 1 / sqrt(total(v) / n + A(eps));
    for (i64 i = threadIdx.x; i < n; i += blockDim.x)
        y[i] = T((gamma ? A(gamma[i]) : 1) * s * (A(x[i]) - m) + (beta ? A(beta[i]) : 0));
    if (threadIdx.x == 0) mean[blockIdx.x] = m, scale[blockIdx.x] = s;
}

extern "C" __global__ void backward(
    const T *g, const T *x, const T *gamma, const A *mean, const A *scale, T *dx, i64 n, i64 centred
) {
    g += blockIdx.x * n, x += blockIdx.x * n, dx += blockIdx.x * n;
    A m = mean[blockIdx.x], s = scale[blockIdx.x], mean_h = 0, mean_hx = 0;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        A h = A(g[i]) * (gamma ? A(gamma[i]) : 1);
        mean_h += h;
        mean_hx += h * s * (A(x[i]) - m);
    }
    mean_h = centred ? total(mean_h) / n : 0;
    mean_hx = total(mean_hx) / n;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        A h = A(g[i]) * (gamma ? A(gamma[i]) : 1), z = s * (A(x[i]) - m);
        dx[i] = T(s * (h - mean_h - z * mean_hx));
    }
}

// Partial sums of g x̂ and g down the columns: rows y, y + 8 gridDim.y, … of 32 columns.
extern "C" __global__ void affine(
    const T *g, const T *x, const A *mean, const A *scale, A *dgamma, A *dbeta, i64 rows, i64 n
) {
    __shared__ A gamma[8][32], beta[8][32];
    i64 i = blockIdx.x * 32 + threadIdx.x;
    A a = 0, b = 0;
    for (i64 r = blockIdx.y * 8 + threadIdx.y; r < rows && i < n; r += gridDim.y * 8) {
        a += A(g[r * n + i]) * scale[r] * (A(x[r * n + i]) - mean[r]);
        b += A(g[r * n + i]);
    }
    gamma[threadIdx.y][threadIdx.x] = a, beta[threadIdx.y][threadIdx.x] = b;
    __syncthreads();
    if (threadIdx.y || i >= n) return;
    for (int w = 1; w < 8; ++w) a += gamma[w][threadIdx.x], b += beta[w][threadIdx.x];
    dgamma[blockIdx.y * n + i] = a, dbeta[blockIdx.y * n + i] = b;
}
""")


def _kernel(centred: int) -> Kernel:
    def forward(x: Any, *affine: Any, dims: int = 1, eps: float = 1e-5) -> tuple[Any, Any]:
        x, gamma, beta = contiguous(x), *_both(affine)
        n = math.prod(x.shape[x.ndim - dims :])
        rows = x.size // n
        y, mean, scale = empty(x.shape, x), empty(rows, x, wide=True), empty(rows, x, wide=True)
        given = (x, gamma, beta, y, mean, scale, n, float(eps), centred)
        _SOURCE.launch("forward", (rows,), (threads(n),), *given, like=x)
        return y, (x, mean, scale, *affine)

    def backward(
        g: Any, saved: Any, *, needs: tuple[bool, ...], dims: int = 1, eps: float = 1e-5
    ) -> tuple[Any, ...]:
        x, mean, scale, *affine = saved
        g, rows, dx = contiguous(g), mean.size, None
        sums: list[Any] = [None, None]
        n = x.size // rows
        if needs[0]:
            dx = empty(x.shape, x)
            given = (g, x, _both(affine)[0], mean, scale, dx, n, centred)
            _SOURCE.launch("backward", (rows,), (threads(n),), *given, like=x)
        if any(needs[1:]):
            parts = min(64, math.ceil(rows / 64))
            sums = [empty((parts, n), x, wide=True) for _ in "γβ"]
            grid, block = (math.ceil(n / 32), parts), (32, 8)
            _SOURCE.launch("affine", grid, block, g, x, mean, scale, *sums, rows, n, like=x)
        gradients = [
            s.sum(axis=0).astype(p.dtype, copy=False).reshape(p.shape) if wanted else None
            for s, p, wanted in zip(sums, affine, needs[1:], strict=False)
        ]
        return dx, *gradients

    return Kernel(forward, backward, serves=_serves, least=0)


def _both(affine: Any) -> tuple[Any, Any]:
    """γ and β, contiguous; None where there is none."""
    gamma, beta = (*(contiguous(p) for p in affine), None, None)[:2]
    return gamma, beta


def _serves(x: Any, *affine: Any, dims: int = 1, eps: float = 1e-5) -> bool:
    """What is no error; that the reference explains."""
    fits = all(p.shape == x.shape[x.ndim - dims :] for p in affine)
    return x.size > 0 and 0 < dims <= x.ndim and len(affine) < 3 and fits


KERNELS = {"layer_norm": _kernel(1), "rms_norm": _kernel(0)}
