"""Attention on the GPU without an L × S matrix, as derived in `derivations/attention.py`.

A block of 16 × 16 threads takes SIDE queries and goes through the keys, SIDE at a time: scores,
exp, weights times values. A row's largest score m, its Σ exp(s − m) and its y so far are kept; when
a larger score comes, all three are multiplied by exp(m − m'). Scores live on the chip only.

Backward makes P = exp(s − ℓ) again. One kernel takes SIDE queries and goes through the keys for Q̄,
another takes SIDE keys and goes through the queries for K̄ and V̄. So scores are made twice, 7
products where 5 would do; but nothing is added by atomicAdd, in an order that changes.

What makes it fast. A thread has R × R scores, R = SIDE/16, and adds outer products: 2R numbers come
from shared memory for R² multiply-adds. A multiprocessor does 128 multiply-adds a clock and reads
32 words; with R = 4 and 16 threads that share a word, the reading takes three quarters of the time
of the arithmetic, and no longer sets the pace. So panels lie with the summed index outside, where
neighbouring threads read neighbours, four words each; rows are 4 words longer than SIDE, for else
the threads that turn a panel while they load it would all write to one memory bank. What a block
needs of shared memory grows with the head: SIDE is 64, or 32 or 16 where that would be too much.

What else could be done: let cuBLAS make blocks of scores in memory, as the reference does, and one
kernel turn them into weights. By count on an H200 (a forward score costs 256 flops at head size 64,
and 16 bytes written and read) that is about as fast in float32, 25 of 67 TFLOP/s for either; but it
takes memory, and many launches where L is small. Tensor cores would be faster than both: they round
float32 to 10 bits. Heads above 128, more than three leading axes: the reference.

Source: Dao et al., "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness",
2022.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinynet.arrays import cupy
from tinynet.kernels.choice import Kernel
from tinynet.kernels.cuda.launch import Source, contiguous, empty

_PARTS = """
#define R (SIDE / 16)     // rows and columns of scores for a thread
#define C (WIDTH / 16)    // columns of the result for a thread; WIDTH: the head, rounded up
#define PITCH (SIDE + 4)  // from row to row of a panel

struct At { i64 lead[3], row, column; };  // how far apart in memory: the three leading axes, i, j
struct Sizes { i64 lead[3], L, S, E, Ev, causal; };

__device__ i64 start(At at, Sizes n, i64 b) {
    return b / (n.lead[1] * n.lead[2]) * at.lead[0] +
           b / n.lead[2] % n.lead[1] * at.lead[1] + b % n.lead[2] * at.lead[2];
}

// SIDE rows of x from `first` on, zeros beside the matrix: turned, panel[column][row], or as it is.
__device__ void load(
    A *panel, const T *x, At at, i64 first, i64 rows, i64 columns, bool turned
) {
    for (int i = threadIdx.y; i < SIDE; i += 16) {
        const T *row = x + (first + i) * at.row;
        for (int j = threadIdx.x; j < WIDTH; j += 16) {
            bool inside = first + i < rows && j < columns;
            panel[turned ? j * PITCH + i : i * WIDTH + j] = inside ? A(row[j * at.column]) : A(0);
        }
    }
}

// acc[i][j] += Σ_k a[k][i] b[k][j]
template <int M, int N>
__device__ void add_product(
    A (&acc)[M][N], const A *a, int pitch_a, const A *b, int pitch_b, int depth
) {
    #pragma unroll 4
    for (int k = 0; k < depth; ++k) {
        A left[M], right[N];
        for (int i = 0; i < M; ++i) left[i] = a[k * pitch_a + i];
        for (int j = 0; j < N; ++j) right[j] = b[k * pitch_b + j];
        for (int i = 0; i < M; ++i)
            for (int j = 0; j < N; ++j) acc[i][j] += left[i] * right[j];
    }
}

// s with the masks; −∞ where query i may not attend to key j, or where there is none
__device__ A masked(
    A s, i64 i, i64 j, Sizes n, const bool *allowed, const T *added, At at
) {
    if (i >= n.L || j >= n.S || (n.causal && j > i)) return -INFINITY;
    if (allowed && !allowed[i * at.row + j * at.column]) return -INFINITY;
    return added ? s + A(added[i * at.row + j * at.column]) : s;
}

// m_ij / (1 − p): what dropout makes of a weight
__device__ A factor(i64 i, i64 j, Sizes n, const bool *kept, At at, A more) {
    if (!kept) return 1;
    return i < n.L && j < n.S && kept[i * at.row + j * at.column] ? more : A(0);
}
"""
_FORWARD = """
extern "C" __global__ void __launch_bounds__(256, 2) forward(
    const T *q, At q_at, const T *k, At k_at, const T *v, At v_at, const bool *allowed,
    const T *added, At mask_at, const bool *kept, At kept_at, T *y, A *log_total, Sizes n,
    double scale, double more
) {
    extern __shared__ A memory[];
    A *Q = memory, *KV = Q + WIDTH * PITCH, *P = KV + WIDTH * PITCH;
    i64 blocks = (n.L + SIDE - 1) / SIDE, b = blockIdx.x / blocks;
    i64 first = (blocks - 1 - blockIdx.x % blocks) * SIDE;  // causal: the longest rows first
    int row = threadIdx.y * R, column = threadIdx.x * R;
    q += start(q_at, n, b), k += start(k_at, n, b), v += start(v_at, n, b);
    if (allowed) allowed += start(mask_at, n, b);
    if (added) added += start(mask_at, n, b);
    if (kept) kept += start(kept_at, n, b);

    A m[R], sum[R] = {}, out[R][C] = {};
    for (int i = 0; i < R; ++i) m[i] = -INFINITY;
    load(Q, q, q_at, first, n.L, n.E, true);
    i64 end = n.causal ? min(n.S, first + SIDE) : n.S;
    for (i64 other = 0; other < end; other += SIDE) {
        load(KV, k, k_at, other, n.S, n.E, true);
        __syncthreads();
        A s[R][R] = {};
        add_product(s, Q + row, PITCH, KV + column, PITCH, WIDTH);
        for (int i = 0; i < R; ++i) {
            A top = m[i];
            for (int j = 0; j < R; ++j) {
                i64 a = first + row + i, c = other + column + j;
                s[i][j] = masked(s[i][j] * A(scale), a, c, n, allowed, added, mask_at);
                top = s[i][j] > top ? s[i][j] : top;
            }
            for (int o = 8; o; o /= 2) top = max(top, __shfl_xor_sync(~0u, top, o));
            A base = top == -INFINITY ? A(0) : top, shrink = exp(m[i] - base);
            m[i] = top, sum[i] *= shrink;
            for (int c = 0; c < C; ++c) out[i][c] *= shrink;
            for (int j = 0; j < R; ++j) sum[i] += s[i][j] = exp(s[i][j] - base);
        }
        __syncthreads();  // all have read the keys: the values may take their place
        load(KV, v, v_at, other, n.S, n.Ev, false);
        for (int i = 0; i < R; ++i)
            for (int j = 0; j < R; ++j)
                P[(column + j) * PITCH + row + i] = s[i][j] *
                    factor(first + row + i, other + column + j, n, kept, kept_at, A(more));
        __syncthreads();
        add_product(out, P + row, PITCH, KV + threadIdx.x * C, WIDTH, SIDE);
        __syncthreads();
    }
    for (int i = 0; i < R; ++i) {
        for (int o = 8; o; o /= 2) sum[i] += __shfl_xor_sync(~0u, sum[i], o);
        i64 a = first + row + i;
        A s = sum[i] == 0 ? A(1) : sum[i];  // a query that may attend to nothing gives 0
        if (a >= n.L) continue;
        for (int c = 0; c < C; ++c) {
            i64 f = threadIdx.x * C + c;
            if (f < n.Ev) y[(b * n.L + a) * n.Ev + f] = T(out[i][c] / s);
        }
        if (threadIdx.x == 0)
            log_total[b * n.L + a] = (m[i] == -INFINITY ? A(0) : m[i]) + log(s);
    }
}
"""
# `own`: what the block takes; `other`: what it goes through. KEYS: 0 gives Q̄, 1 gives K̄ and V̄.
_BACKWARD = """
__device__ void store(A (&x)[R][C], T *to, i64 first, i64 rows, i64 columns, A scale) {
    for (int i = 0; i < R; ++i)
        for (int c = 0; c < C; ++c) {
            i64 a = first + threadIdx.y * R + i, f = threadIdx.x * C + c;
            if (a < rows && f < columns) to[a * columns + f] = T(x[i][c] * scale);
        }
}

__device__ void put(A *panel, A (&x)[R][R]) {
    for (int i = 0; i < R; ++i)
        for (int j = 0; j < R; ++j)
            panel[(threadIdx.x * R + j) * PITCH + threadIdx.y * R + i] = x[i][j];
}

extern "C" __global__ void __launch_bounds__(256, 2) backward(
    const T *q, At q_at, const T *k, At k_at, const T *v, At v_at, const bool *allowed,
    const T *added, At mask_at, const bool *kept, At kept_at, const T *g, At g_at,
    const A *log_total, const A *D, T *dq, T *dk, T *dv, T *dS, Sizes n, double scale, double more
) {
    extern __shared__ A memory[];
    A *QK = memory, *GV = QK + WIDTH * PITCH, *panel = GV + WIDTH * PITCH;
    A *weights = panel + WIDTH * PITCH;
    i64 length = KEYS ? n.S : n.L, blocks = (length + SIDE - 1) / SIDE, b = blockIdx.x / blocks;
    i64 first = blockIdx.x % blocks * SIDE;
    int row = threadIdx.y * R, column = threadIdx.x * R;
    q += start(q_at, n, b), k += start(k_at, n, b), v += start(v_at, n, b), g += start(g_at, n, b);
    if (allowed) allowed += start(mask_at, n, b);
    if (added) added += start(mask_at, n, b);
    if (kept) kept += start(kept_at, n, b);
    log_total += b * n.L, D += b * n.L;

    A left[R][C] = {}, right[R][C] = {};  // Q̄; or K̄ and V̄
    load(QK, KEYS ? k : q, KEYS ? k_at : q_at, first, length, n.E, true);
    load(GV, KEYS ? v : g, KEYS ? v_at : g_at, first, length, n.Ev, true);
    i64 begin = KEYS && n.causal ? first : 0, last = KEYS ? n.L : n.S;
    i64 end = !KEYS && n.causal ? min(n.S, first + SIDE) : last;
    for (i64 other = begin; other < end; other += SIDE) {
        A s[R][R] = {}, d[R][R] = {};  // scores, then P; P̄, then S̄
        load(panel, KEYS ? q : k, KEYS ? q_at : k_at, other, last, n.E, true);
        __syncthreads();
        add_product(s, QK + row, PITCH, panel + column, PITCH, WIDTH);
        __syncthreads();
        load(panel, KEYS ? g : v, KEYS ? g_at : v_at, other, last, n.Ev, true);
        __syncthreads();
        add_product(d, GV + row, PITCH, panel + column, PITCH, WIDTH);
        #pragma unroll  // else s and d would not stay in registers
        for (int i = 0; i < R; ++i)
            #pragma unroll
            for (int j = 0; j < R; ++j) {
                i64 a = KEYS ? other + column + j : first + row + i;
                i64 c = KEYS ? first + row + i : other + column + j;
                A score = masked(s[i][j] * A(scale), a, c, n, allowed, added, mask_at);
                A p = a < n.L ? exp(score - log_total[a]) : A(0);
                A keep = factor(a, c, n, kept, kept_at, A(more));
                s[i][j] = p * keep;
                d[i][j] = a < n.L ? p * (d[i][j] * keep - D[a]) : A(0);
                if (dS && a < n.L && c < n.S) dS[(b * n.L + a) * n.S + c] = T(d[i][j]);
            }
        if (KEYS) {  // V̄ += Wᵀ g
            __syncthreads();
            load(panel, g, g_at, other, last, n.Ev, false);
            put(weights, s);
            __syncthreads();
            add_product(right, weights + row, PITCH, panel + threadIdx.x * C, WIDTH, SIDE);
        }
        __syncthreads();  // Q̄ += S̄ K; K̄ += S̄ᵀ Q
        load(panel, KEYS ? q : k, KEYS ? q_at : k_at, other, last, n.E, false);
        put(weights, d);
        __syncthreads();
        add_product(left, weights + row, PITCH, panel + threadIdx.x * C, WIDTH, SIDE);
        __syncthreads();
    }
    T *to = KEYS ? dk : dq;
    store(left, to + b * length * n.E, first, length, n.E, A(scale));
    if (KEYS) store(right, dv + b * length * n.Ev, first, length, n.Ev, 1);
}
"""
_FORWARDS, _BACKWARDS = Source(_PARTS + _FORWARD), Source(_PARTS + _BACKWARD)
_AT = np.dtype([(name, "q") for name in ("lead0", "lead1", "lead2", "row", "column")])
_SIZES = np.dtype(
    [(name, "q") for name in ("lead0", "lead1", "lead2", "L", "S", "E", "Ev", "causal")]
)


def _forward(
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    kept: Any,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
) -> tuple[Any, Any]:
    lead = _lead(q, k, v)
    y = empty(
        (*np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2]), q.shape[-2], v.shape[-1]),
        q,
    )
    log_total = empty(y.shape[:-1], q, wide=True)
    inputs, last = _arguments(q, k, v, mask, kept, lead, is_causal, scale, p)
    constants = _tile(q, v, panels=2)
    grid = (math.prod(lead) * math.ceil(q.shape[-2] / constants["SIDE"]),)
    _FORWARDS.launch("forward", grid, (16, 16), *inputs, y, log_total, *last, like=q, **constants)
    return y, (q, k, v, mask, kept, y, log_total)


def _backward(
    g: Any,
    saved: Any,
    *,
    needs: tuple[bool, ...],
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
) -> tuple[Any, ...]:
    q, k, v, mask, kept, y, log_total = saved
    lead, (L, S) = _lead(q, k, v), (q.shape[-2], k.shape[-2])
    D = contiguous(np.sum(g * y, axis=-1, dtype=log_total.dtype))
    dq, dk, dv = (empty((*lead, *x.shape[-2:]), x) for x in (q, k, v))
    dmask = None
    if needs[3] and mask is not True and mask.dtype != bool:  # as large as the mask may be
        dmask = np.zeros((*lead, L, S), dtype=q.dtype, like=q)
    inputs, last = _arguments(q, k, v, mask, kept, lead, is_causal, scale, p)
    given = (*inputs, g, _at(g, lead, g.shape[-2:]), log_total, D, dq, dk, dv)
    constants = _tile(q, v, panels=3)
    for keys, length in ((0, L), (1, S)):
        if any(needs[1:3]) if keys else needs[0] or dmask is not None:
            grid = (math.prod(lead) * math.ceil(length / constants["SIDE"]),)
            dS = None if keys else dmask
            _BACKWARDS.launch(
                "backward", grid, (16, 16), *given, dS, *last, like=q, KEYS=keys, **constants
            )
    gradients = zip((dq, dk, dv, dmask), (q, k, v, mask), needs, strict=False)
    return *(
        _summed(d, x) if wanted and d is not None else None for d, x, wanted in gradients
    ), None


def _arguments(
    q: Any, k: Any, v: Any, mask: Any, kept: Any, lead: tuple[int, ...], *options: Any
) -> tuple[Any, Any]:
    """What both kernels take first, and last."""
    is_causal, scale, p = options
    scores = (q.shape[-2], k.shape[-2])
    inputs = [a for x in (q, k, v) for a in (x, _at(x, lead, x.shape[-2:]))]
    mask = None if mask is True else mask
    kept = None if kept is True else kept
    boolean = mask is not None and mask.dtype == bool
    inputs += [mask, None] if boolean else [None, mask]
    inputs += [_at(mask, lead, scores), kept, _at(kept, lead, scores)]
    sizes = (*lead, *scores, q.shape[-1], v.shape[-1], int(is_causal))
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else float(scale)
    return inputs, (np.array(sizes, _SIZES), scale, 1 / (1 - p) if p < 1 else 0.0)


def _lead(q: Any, k: Any, v: Any) -> tuple[int, ...]:
    """The leading axes of the output: three of them, with ones in front."""
    lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    return (*(1,) * (3 - len(lead)), *lead)


def _at(x: Any, lead: tuple[int, ...], last: tuple[int, ...]) -> Any:
    """How far apart the entries of x lie, read as (*lead, *last)."""
    if x is None:
        return np.zeros((), _AT)
    steps = np.broadcast_to(x, (*lead, *last)).strides
    return np.array(tuple(step // x.dtype.itemsize for step in steps), _AT)


def _tile(q: Any, v: Any, panels: int) -> dict[str, int]:
    """The largest SIDE for which the panels, and the weights, find room on the chip."""
    width = 16 * math.ceil(max(q.shape[-1], v.shape[-1]) / 16)
    each = max(q.dtype.itemsize, 4)
    for side in (64, 32, 16) if each == 4 else (32, 16):  # or registers would run out
        shared = (panels * width + side) * (side + 4) * each
        if shared <= _room(cupy(), q.device.id):
            break
    return {"SIDE": side, "WIDTH": width, "shared": shared}


@functools.cache
def _room(module: Any, device: int) -> int:
    """How much shared memory a block may have, in bytes."""
    return int(module.cuda.Device(device).attributes["MaxSharedMemoryPerBlockOptin"])


def _summed(d: Any, x: Any) -> Any:
    """d, summed over the axes along which x was broadcast."""
    shape = (*(1,) * (d.ndim - x.ndim), *x.shape)
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 != d.shape[i])
    return (np.sum(d, axis=repeated) if repeated else d).reshape(x.shape)


def _serves(
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    kept: Any,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
) -> bool:
    """Heads up to 128, up to three leading axes, and no error: that the reference explains."""
    arrays = (q, k, v)
    if min(x.ndim for x in arrays) < 2 or max(x.ndim for x in arrays) > 5:
        return False
    fits = q.shape[-1] == k.shape[-1] <= 128 and k.shape[-2] == v.shape[-2] and v.shape[-1] <= 128
    if not fits or any(not x.size or x.dtype != q.dtype for x in arrays) or q.dtype.kind != "f":
        return False
    try:
        scores = (*np.broadcast_shapes(*(x.shape[:-2] for x in arrays)), q.shape[-2], k.shape[-2])
        masks = [
            (x, kinds) for x, kinds in ((mask, (bool, q.dtype)), (kept, (bool,))) if x is not True
        ]
        same = all(np.broadcast_shapes(x.shape, scores) == scores for x, _ in masks)
    except ValueError:
        return False
    return same and all(x.dtype in kinds for x, kinds in masks) and 0 <= p <= 1


KERNELS = {"attention": Kernel(_forward, _backward, serves=_serves, least=0)}
