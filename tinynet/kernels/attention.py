"""Attention, from the formula row by row to products in the cache, without an L × S matrix.

    s_ij = Σ_e q_ie k_je / √E,      P_ij = exp(s_ij) / Σ_m exp(s_im),      y_if = Σ_j P_ij v_jf

Derived in `derivations/attention.py`; here the same sums are taken in another order. Two products
of 2·L·S·E flops each want to run at the speed of `gemm`; between them L·S exponentials are taken.

1. `naive`   one query after the other: its scores, their largest, exponentials, their sum, the mean
             of the values. Every query reads all keys and values, 4·S·E flops for 2·S·E numbers,
             so memory sets the pace. Where there is one query, as in decoding, nothing is faster.
2. `online`  one pass over keys and values, with no memory for scores: when a larger score turns up,
             what was summed so far is multiplied by exp(old − new). With m the largest score so
             far, Z = Σ_j exp(s_j − m) and o = Σ_j exp(s_j − m) v_j stay true; at the end y = o / Z.
3. `tiled`   the same for a strip of queries, as many as two vectors have lanes, and BLOCK keys at a
             time. Scores are kept transposed, Sᵀ (keys, queries): then the largest score, the sum
             and exp are taken lane by lane, nothing is summed across a vector, and

                 Sᵀ = K Qᵀ  (BLOCK, strip)        Oᵀ += Vᵀ Pᵀ  (Ev, strip)

             are two products of which the second takes what the first has left in the first-level
             cache, as it lies. A strip of 32 reads each key 1/32 as often as `naive` does.
             Causal: blocks above the diagonal are not computed, and only those on it masked.

Memory: y, ℓ_i = m_i + log Z_i for the backward pass, and one head's keys and values: O(L + S).
`attention_backward.py` has P from ℓ again. Pieces of work are cut by their number of flops, not by
the number of threads, so that the result does not depend on it.

Sources: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al.,
"FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", 2022.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import DTypeError
from tinynet.kernels.attention_backward import backward
from tinynet.kernels.attention_heads import (
    BLOCK,
    FEW,
    REPEATS,
    WAIT,
    Heads,
    add,
    as_heads,
    at,
    dot,
    exponentials,
    hide,
    kept_values,
    largest,
    memory,
    pack,
    spread,
    times,
    transpose,
    visible,
    within,
)
from tinynet.kernels.choice import Kernel
from tinynet.kernels.elementary import exp
from tinynet.kernels.jit import inner, kernel, put
from tinynet.kernels.strips import ROWS, lanes, product, row
from tinynet.kernels.threads import share


@inner
def mix(weights: Any, x: Any, y: Any) -> None:
    """y = Σ_j weights_j x_j, four rows of x for each time that y is loaded and stored."""
    y[:] = 0
    rest = weights.shape[0] % 4
    for j in range(rest):
        add(y, weights[j], row(x, j))
    for j in range(rest, weights.shape[0], 4):
        a, b, c, d = row(x, j), row(x, j + 1), row(x, j + 2), row(x, j + 3)
        for f in range(y.shape[0]):
            y[f] += (weights[j] * a[f] + weights[j + 1] * b[f]) + (
                weights[j + 2] * c[f] + weights[j + 3] * d[f]
            )


# -- one query after the other ---------------------------------------------------------------------


@kernel("table", "y", "log_total", allocates=True)
def naive(
    q: Any,
    k: Any,
    v: Any,
    flags: Any,
    added: Any,
    table: Any,
    y: Any,
    log_total: Any,
    causal: int,
    kind: int,
    scale: Any,
) -> None:
    """y_i = Σ_j exp(s_ij − m_i) v_j / Z_i, for each head of the table and each query."""
    zero, one = scale.dtype.type(0), scale.dtype.type(1)
    scores = np.empty(k.shape[3], y.dtype)
    for t in range(table.shape[0]):
        Q, K, V = q[at(q, table[t, 0])], k[at(k, table[t, 1])], v[at(v, table[t, 2])]
        F, B, place = flags[at(flags, table[t, 3])], added[at(added, table[t, 3])], table[t, 4]
        Y = y[within(y, place)]
        for i in range(Q.shape[0]):
            s = scores[: min(i + 1, K.shape[0])] if causal else scores
            for j in range(s.shape[0]):
                s[j] = dot(row(Q, i), row(K, j)) * scale[0]
            hide(s.reshape(s.shape[0], 1), i, 0, causal, kind, F, B)
            top = scale.dtype.type(-math.inf)
            for j in range(s.shape[0]):
                top = max(top, s[j])
            top = zero if top == -math.inf else top
            total = zero
            for j in range(s.shape[0]):
                s[j] = exp(s[j] - top)
            for j in range(s.shape[0]):
                total += s[j]
            total = one if total == 0 else total
            for j in range(s.shape[0]):
                s[j] /= total
            mix(s, V, row(Y, i))
            log_total[place, i] = top + np.log(total)


@kernel("table", "y", "log_total", allocates=True)
def online(
    q: Any,
    k: Any,
    v: Any,
    flags: Any,
    added: Any,
    table: Any,
    y: Any,
    log_total: Any,
    causal: int,
    kind: int,
    scale: Any,
) -> None:
    """The same in one pass, with one score at a time."""
    zero, one = scale.dtype.type(0), scale.dtype.type(1)
    s = np.empty((1, 1), y.dtype)
    for t in range(table.shape[0]):
        Q, K, V = q[at(q, table[t, 0])], k[at(k, table[t, 1])], v[at(v, table[t, 2])]
        F, B, place = flags[at(flags, table[t, 3])], added[at(added, table[t, 3])], table[t, 4]
        Y = y[within(y, place)]
        for i in range(Q.shape[0]):
            top, total, out = scale.dtype.type(-math.inf), zero, row(Y, i)
            out[:] = 0
            for j in range(min(i + 1, K.shape[0]) if causal else K.shape[0]):
                s[0, 0] = dot(row(Q, i), row(K, j)) * scale[0]
                hide(s, i, j, causal, kind, F, B)
                new = max(top, s[0, 0])
                shift = zero if new == -math.inf else new
                old, weight, top = exp(top - shift), exp(s[0, 0] - shift), new
                total = total * old + weight
                for f in range(out.shape[0]):
                    out[f] *= old
                add(out, weight, row(V, j))
            total = one if total == 0 else total
            for f in range(out.shape[0]):
                out[f] /= total
            log_total[place, i] = (zero if top == -math.inf else top) + np.log(total)


# -- a strip of queries after the other ------------------------------------------------------------


@inner
def update(s: Any, top: Any, total: Any, o: Any, best: Any, sums: Any) -> None:
    """exp(s − m) in place of the scores s (keys, queries), and what was summed so far, `total` and
    `o` (Ev, queries), as it is with the new largest scores m, `top`. `best` and `sums` are room.
    """
    width = s.shape[1]
    spread(top, best)
    largest(s.reshape(-1), best)
    for start in range(width, best.shape[0], width):
        for r in range(width):
            best[r] = max(best[r], best[start + r])
    for r in range(width):
        shift = best[r] if best[r] > -math.inf else s.dtype.type(0)
        sums[r] = exp(top[r] - shift)
        total[r] *= sums[r]
        top[r], best[r] = best[r], shift
    spread(sums[:width], sums)
    times(o.reshape(-1), sums)
    spread(best[:width], best)
    sums[:] = 0
    exponentials(s.reshape(-1), best, sums)
    for start in range(0, sums.shape[0], width):
        for r in range(width):
            total[r] += sums[start + r]


@kernel("table", "y", "log_total", "K", "V", allocates=True)
def tiled(
    q: Any,
    k: Any,
    v: Any,
    flags: Any,
    added: Any,
    table: Any,
    y: Any,
    log_total: Any,
    causal: int,
    kind: int,
    scale: Any,
    K: Any,
    V: Any,
    part: int,
    parts: int,
) -> None:
    """The same for one strip of queries in `parts`, from number `part` on. K and V are room for one
    head's keys and values (S, E), (S, Ev), rounded up to whole vectors and blocks of rows.
    """
    L, E, S, Ev = q.shape[3], q.shape[4], v.shape[3], v.shape[4]
    one = lanes(y)
    strip = 2 * one
    high = (Ev + ROWS - 1) // ROWS * ROWS
    Q, Qt = np.zeros((strip, E), y.dtype), np.zeros((E, strip), y.dtype)
    scores, sums = np.zeros(BLOCK * strip, y.dtype), np.zeros(high * strip, y.dtype)
    tops, totals = np.zeros(strip, y.dtype), np.zeros(strip, y.dtype)
    best, more = np.zeros(REPEATS * strip, y.dtype), np.zeros(REPEATS * strip, y.dtype)
    for t in range(table.shape[0]):
        if t == 0 or table[t, 1] != table[t - 1, 1]:
            pack(k[at(k, table[t, 1])], K, scale.dtype.type(1))
        if t == 0 or table[t, 2] != table[t - 1, 2]:
            pack(v[at(v, table[t, 2])], V, scale.dtype.type(1))
        F, B, place = flags[at(flags, table[t, 3])], added[at(added, table[t, 3])], table[t, 4]
        for i0 in range(part * strip, L, parts * strip):
            count = min(strip, L - i0)
            width = one if count <= one else strip
            pack(q[at(q, table[t, 0])][i0 : i0 + count], Q, scale[0])
            transpose(Q[:count], Qt)
            o, top, total = sums[: high * width].reshape(high, width), tops[:width], totals[:width]
            o[:] = 0
            top[:] = -math.inf
            total[:] = 0
            stop = visible(i0 + count, S, causal)
            for j0 in range(0, stop, BLOCK):
                keys = min(BLOCK, stop - j0)
                rows = (keys + ROWS - 1) // ROWS * ROWS
                s = scores[: rows * width].reshape(rows, width)
                product(K[j0 : j0 + rows, :E].T, Qt[:, :width], s, 0)
                s[keys:] = -math.inf
                hide(s[:keys, :count], i0, j0, causal, kind, F, B)
                update(s, top, total, o, best[: REPEATS * width], more[: REPEATS * width])
                product(V[j0 : j0 + keys, :high], s[:keys], o, 1)
            for r in range(width):
                z = total[r] if total[r] != 0 else y.dtype.type(1)
                top[r] = (top[r] if top[r] > -math.inf else y.dtype.type(0)) + np.log(z)
                total[r] = 1 / z
            spread(total, more[: REPEATS * width])
            times(o.reshape(-1), more[: REPEATS * width])
            transpose(o[:Ev, :count], y[within(y, place)][i0 : i0 + count])
            put(log_total[place, i0 : i0 + count], top[:count])


# -- all heads, all cores --------------------------------------------------------------------------


def flash_attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    causal: bool = False,
    mask: Any = None,
    scale: float | None = None,
) -> Any:
    """softmax(scale · Q Kᵀ + mask) V, without an L × S matrix in memory.

    q (…, L, E), k (…, S, E), v (…, S, Ev), y (…, L, Ev). The leading axes broadcast: groups of m
    heads of queries that share keys and values are q (n, h, m, L, E), k and v (n, h, 1, S, ·).

    causal   query i attends to the keys 0 … i
    mask     broadcasts to (…, L, S). Booleans: True where a query may attend. Floats: added
    scale    1/√E unless given

    A query that may attend to nothing gets 0. Float16 is summed in float32.
    Raises ShapeError where the sizes do not fit, DTypeError for what is no float.

    >>> q, k, v = np.array([[1.0]]), np.array([[0.0], [np.log(3.0)]]), np.array([[0.0], [4.0]])
    >>> flash_attention(q, k, v)
    array([[3.]])
    """
    q, k, v = (np.asarray(x) for x in (q, k, v))
    result = np.result_type(q, k, v)
    if result.kind != "f" or result.itemsize > 8:
        raise DTypeError("attention: queries, keys and values are floats", got=result.name)
    work = np.dtype("f8" if result.itemsize == 8 else "f4")
    mask = None if mask is None else np.asarray(mask)
    if mask is not None and mask.dtype != bool:
        if mask.dtype.kind != "f":
            raise DTypeError("attention: a mask is of booleans or floats", got=mask.dtype.name)
        mask = np.require(mask, work, "A")
    q, k, v = (np.require(x, work, "A") for x in (q, k, v))
    return attend(Heads(q, k, v, mask, causal, scale))[0].astype(result, copy=False)


def attend(heads: Heads, rung: Any = None) -> tuple[Any, Any]:
    """y and ℓ (heads, L): by a rung of the ladder, or by the one that is fastest."""
    shape = (*heads.lead, heads.L, heads.Ev)
    (y,) = memory(np.empty if heads.S else np.zeros, 1, shape, heads.arrays[0])
    log_total = np.zeros((heads.count, heads.L), heads.dtype)
    packs = rung is tiled if rung else heads.L > FEW
    strip = 2 * lanes(y) if packs else heads.L
    flops = 2 * heads.L * heads.S * (heads.E + heads.Ev) * (1 if packs else WAIT)
    groups, parts = heads.pieces(strip, flops, 1)

    def piece(number: int) -> None:
        table = heads.table[groups[number // parts]]
        arguments = (*heads.arrays, table, y, log_total, *heads.options)
        if packs:
            tiled(*arguments, *heads.rooms("K", "V"), number % parts, parts)
        else:
            (rung or naive)(*arguments)

    if log_total.size and heads.S:
        share(len(groups) * parts, piece)
    return as_heads(y, shape), log_total


def forward(
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    kept: Any,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
) -> tuple[Any, tuple[Any, ...]]:
    """Y and ℓ. Saved are q, k, v, the mask, y and ℓ."""
    mask = None if mask is True else mask
    y, log_total = attend(Heads(q, k, kept_values(v, kept, p), mask, is_causal, scale))
    return y, (q, k, v, mask, kept, y, log_total)


def serves(
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
    """All but dropped weights, and what the reference refuses."""
    every = kept is True or (kept.size == 1 and kept.dtype == bool and bool(kept.all()))
    return every and 0 <= p <= 1 and (mask is True or mask.dtype in (bool, q.dtype))


KERNELS = {"attention": Kernel(forward, backward, serves=serves, least=256)}
