"""Rows of a table by their number on the GPU, as derived in `derivations/embedding.py`.

    y_k = W_(i_k),      W̄_v = Σ_(k: i_k = v) g_k

Forward copies rows. Backward adds rows that have one id. An atomicAdd for each number would be
simple, but then the sums come in another order in each run, and so do the last digits of what is
learnt. Here the ids are sorted, stably, and then those of one row of the table stand side by side,
from starts[v] to starts[v + 1]; a block of 8 warps takes a row, each warp every eighth of its
gradients, 32 columns at a time. All else is reading and writing: g once, W̄ once, zeros included.

An id that has no row gives a row of NaN; the reference raises, but has to wait for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.cuda.launch import Source, contiguous, empty, threads

_SOURCE = Source("""
extern "C" __global__ void gather(const i64 *ids, const T *W, T *y, i64 rows, i64 d) {
    i64 v = ids[blockIdx.x];
    for (i64 j = threadIdx.x; j < d; j += blockDim.x)
        y[blockIdx.x * d + j] = 0 <= v && v < rows ? W[v * d + j] : T(NAN);
}

extern "C" __global__ void scatter(
    const i64 *order, const i64 *starts, const T *g, T *dW, i64 d
) {
    __shared__ A part[8][32];
    i64 v = blockIdx.x;
    for (i64 first = 0; first < d; first += 32) {
        i64 j = first + threadIdx.x;
        A sum = 0;
        for (i64 k = starts[v] + threadIdx.y; k < starts[v + 1] && j < d; k += 8)
            sum += A(g[order[k] * d + j]);
        part[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y == 0 && j < d) {
            for (int w = 1; w < 8; ++w) sum += part[w][threadIdx.x];
            dW[v * d + j] = T(sum);
        }
        __syncthreads();
    }
}
""")


def _forward(ids: Any, W: Any) -> tuple[Any, Any]:
    names, d = contiguous(ids.astype("q", copy=False)), W.shape[1]
    y = empty((*ids.shape, d), W)
    given = (names, contiguous(W), y, W.shape[0], d)
    _SOURCE.launch("gather", (names.size,), (threads(d),), *given, like=W)
    return y, (names, W.shape[0])


def _backward(g: Any, saved: Any, *, needs: tuple[bool, ...]) -> tuple[Any, ...]:
    ids, rows = saved
    ids, d = ids.reshape(-1), g.shape[-1]
    order = np.argsort(ids, kind="stable")
    starts = np.searchsorted(ids[order], np.arange(rows + 1, like=ids))
    dW = empty((rows, d), g)
    _SOURCE.launch("scatter", (rows,), (32, 8), order, starts, contiguous(g), dW, d, like=g)
    return None, dW


def _serves(ids: Any, W: Any) -> bool:
    return ids.dtype.kind in "iu" and W.ndim == 2 and ids.size > 0 and W.size > 0


KERNELS = {"embedding": Kernel(_forward, _backward, serves=_serves, least=0)}
