"""Softmax and cross-entropy in one on the GPU, as derived in `derivations/cross_entropy.py`.

    ℓ_b = r_b − x_bt,      x̄_bc = g_b (exp(x_bc − r_b) − δ_ct),      r_b = ln Σ_k exp(x_bk)

What makes it fast. With a vocabulary of 50,000 the scores are the largest array of a language
model, and memory sets the pace. Forward reads them once (`softmax.max_and_sum`) and writes two
numbers for each row; the probabilities are not kept, since x and r make them again. Backward reads
x once and writes x̄ once. PyTorch keeps log-softmax, an array as large as x: it reads and writes
two and a half times as much.

How many samples count is found on the GPU, and the mean taken there: nothing waits. A class that
does not exist gives a loss and a gradient of NaN; the reference raises, but has to wait for that.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels.choice import Kernel
from tinynet.kernels.cuda.launch import Source, contiguous, empty, threads
from tinynet.kernels.cuda.softmax import LOG_SUM

_SOURCE = Source(
    LOG_SUM
    + """
extern "C" __global__ void forward(
    const T *x, const i64 *t, T *loss, A *log_sum, i64 n, i64 ignored
) {
    A m, s;
    max_and_sum(x + blockIdx.x * n, n, m, s);
    if (threadIdx.x) return;
    if (m == INFINITY) s = NAN;  // ∞/∞, in the probabilities
    i64 c = t[blockIdx.x];
    A score = 0 <= c && c < n ? A(x[blockIdx.x * n + c]) : NAN;
    log_sum[blockIdx.x] = m + log(s);
    loss[blockIdx.x] = T(c == ignored ? 0 : log(s) + (m - score));  // in this order: m may be large
}

// One block: the sum of all losses, or their mean; and what each counts in it.
extern "C" __global__ void reduce(
    const T *loss, const i64 *t, T *y, A *weight, i64 rows, i64 ignored, i64 mean
) {
    A sum = 0, count = 0;
    for (i64 b = threadIdx.x; b < rows; b += blockDim.x) {
        sum += A(loss[b]);
        count += t[b] != ignored;
    }
    sum = total(sum), count = total(count);
    if (threadIdx.x) return;
    *weight = mean ? (count > 0 ? 1 / count : NAN) : 1;  // the mean of nothing is NaN
    *y = T(sum * *weight);
}

extern "C" __global__ void backward(
    const T *g, const A *weight, const T *x, const i64 *t, const A *log_sum, T *dx, i64 n,
    i64 ignored
) {
    i64 b = blockIdx.x, c = t[b];
    A scale = weight ? A(g[0]) * *weight : A(g[b]);  // one g for all, or one for each
    if (c < 0 || c >= n) scale = NAN;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        A p = exp(A(x[b * n + i]) - log_sum[b]);
        dx[b * n + i] = T(c == ignored ? 0 : scale * (p - (i == c)));
    }
}
"""
)


def _forward(
    x: Any, t: Any, *, reduction: str = "mean", ignore_index: int = -100
) -> tuple[Any, Any]:
    x, t, n = contiguous(x), contiguous(t.astype("q", copy=False)), x.shape[-1]
    rows, one = x.size // n, threads(n)
    loss, log_sum = empty(rows, x), empty(rows, x, wide=True)
    _SOURCE.launch("forward", (rows,), (one,), x, t, loss, log_sum, n, ignore_index, like=x)
    if reduction == "none":
        return loss.reshape(x.shape[:-1]), (x, t, log_sum, None)
    y, weight, mean = empty((), x), empty((), x, wide=True), int(reduction == "mean")
    sizes = (rows, ignore_index, mean)
    _SOURCE.launch("reduce", (1,), (256,), loss, t, y, weight, *sizes, like=x)
    return y, (x, t, log_sum, weight)


def _backward(
    g: Any,
    saved: Any,
    *,
    needs: tuple[bool, ...],
    reduction: str = "mean",
    ignore_index: int = -100,
) -> tuple[Any, ...]:
    x, t, log_sum, weight = saved
    n, dx = x.shape[-1], empty(x.shape, x)
    rows = (x.size // n,)
    given = (contiguous(g), weight, x, t, log_sum, dx, n, ignore_index)
    _SOURCE.launch("backward", rows, (threads(n),), *given, like=x)
    return dx, None


def _serves(x: Any, t: Any, *, reduction: str = "mean", ignore_index: int = -100) -> bool:
    """Scores (n, C) or (C,): their classes lie together in memory."""
    return (
        x.dtype.kind == "f"
        and t.dtype.kind in "iu"
        and x.ndim in (1, 2)
        and x.size > 0
        and t.shape == x.shape[:-1]
        and reduction in ("none", "sum", "mean")
    )


KERNELS = {"cross_entropy": Kernel(_forward, _backward, serves=_serves, least=0)}
