"""Softmax and log-softmax over the last axis on the GPU, as derived in `derivations/softmax.py`.

What makes it fast. An entry costs an exponential and a few flops, but 4 bytes to read and 4 to
write, and a GPU does ten times more flops than it moves bytes: memory sets the pace. So x is read
as few times as can be. In primitives softmax passes over memory eight times: max, subtract, exp,
sum and divide each read and write. Here a block of threads takes a row: the first pass finds the
largest entry m and s = Σ exp(x − m) together, the second writes. The row is still in the cache
then.

How one pass finds both: when an entry larger than m comes, what was summed so far is multiplied by
exp(m − x), which makes it the sum with the new m. Each thread does so with every 32nd, 64th, …
entry; at last the threads' (m, s) are brought to the largest m in the same way, and added.

Source of the single pass: Milakov and Gimelshein, "Online normalizer calculation for softmax",
2018.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels.choice import Kernel
from tinynet.kernels.cuda.launch import Source, contiguous, empty, threads

LOG_SUM = """
__device__ A largest(A v) {
    __shared__ A part[32];
    for (int o = 16; o; o /= 2) v = max(v, __shfl_xor_sync(~0u, v, o));
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    for (int w = 0; w < blockDim.x / 32; ++w) v = max(v, part[w]);
    __syncthreads();
    return v;
}

// m = max x and s = Σ exp(x − m) of a row, one pass. A NaN is never larger, but it makes s NaN.
__device__ void max_and_sum(const T *x, i64 n, A &m, A &s) {
    m = -INFINITY, s = 0;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        A u = A(x[i]);
        if (u > m) {
            s = s * exp(m - u) + 1;
            m = u;
        } else {
            s += u == m ? 1 : exp(u - m);  // −∞ − (−∞) would be NaN
        }
    }
    A top = largest(m);
    s = total(m == top || s == 0 ? s : s * exp(m - top));
    m = top;
}
"""
_SOURCE = Source(
    LOG_SUM
    + """
extern "C" __global__ void forward(const T *x, T *y, i64 n, i64 logs) {
    x += blockIdx.x * n, y += blockIdx.x * n;
    A m, s;
    max_and_sum(x, n, m, s);
    if (!logs && m == INFINITY) s = NAN;  // ∞/∞; of logarithms only ∞ − ∞
    A log_s = log(s), over_s = 1 / s;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x)
        y[i] = T(logs ? A(x[i]) - m - log_s : exp(A(x[i]) - m) * over_s);
}

// softmax: y (g − Σ g y); its logarithm: g − exp(y) Σ g
extern "C" __global__ void backward(const T *g, const T *y, T *dx, i64 n, i64 logs) {
    g += blockIdx.x * n, y += blockIdx.x * n, dx += blockIdx.x * n;
    A sum = 0;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) sum += A(g[i]) * (logs ? 1 : A(y[i]));
    sum = total(sum);
    for (i64 i = threadIdx.x; i < n; i += blockDim.x)
        dx[i] = T(logs ? A(g[i]) - exp(A(y[i])) * sum : A(y[i]) * (A(g[i]) - sum));
}
"""
)


def _kernel(logs: int) -> Kernel:
    def forward(x: Any, *, axis: int | None = -1) -> tuple[Any, Any]:
        x, n = contiguous(x), x.shape[-1]
        y = empty(x.shape, x)
        _SOURCE.launch("forward", (x.size // n,), (threads(n),), x, y, n, logs, like=x)
        return y, (y,)

    def backward(
        g: Any, saved: Any, *, needs: tuple[bool, ...], axis: int | None = -1
    ) -> tuple[Any, ...]:
        (y,), g, n = saved, contiguous(g), g.shape[-1]
        dx = empty(y.shape, y)
        _SOURCE.launch("backward", (y.size // n,), (threads(n),), g, y, dx, n, logs, like=y)
        return (dx,)

    return Kernel(forward, backward, serves=_serves, least=0)


def _serves(x: Any, *, axis: int | None = -1) -> bool:
    """The last axis: where a row lies together in memory."""
    return x.ndim > 0 and x.size > 0 and axis in (-1, x.ndim - 1)


KERNELS = {"softmax": _kernel(0), "log_softmax": _kernel(1)}
