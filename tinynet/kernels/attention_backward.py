"""The gradients of attention, strip by strip, with the weights computed once more.

    P = exp(Q Kᵀ / √E − ℓ),   V̄ = Pᵀ g,   S̄ = P (g Vᵀ − D),   Q̄ = S̄ K / √E,   K̄ = S̄ᵀ Q / √E

Derived in `derivations/attention.py`. Five products of 2·L·S·E flops, one of them to have P again:
2.5 times the forward pass, and again one exponential for each score. As there, a strip of queries
meets BLOCK keys at a time and both P and S̄ are kept transposed, so that all five find their factors
as they lie:

    Pᵀ ← K Qᵀ      S̄ᵀ ← V gᵀ      Q̄ᵀ += Kᵀ S̄ᵀ      V̄ += Pᵀ g      K̄ += S̄ᵀ Q

Q̄ is summed over keys, K̄ and V̄ over queries; whichever loop is outside, one of them is added to by
all. Here one thread has all strips of a head and of those that share its keys and values, and K̄
and V̄ stay in the cache. Few heads are cut into parts, with sums of their own that are added at the
end, always in the same order.

For few queries packing does not pay, and memory sets the pace: `naive_backward`, the formulas one
key after the other, reads keys and values once and adds to their gradients once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
    five,
    hide,
    kept_values,
    memory,
    pack,
    side_by_side,
    spread,
    transpose,
    visible,
    within,
)
from tinynet.kernels.elementary import exp
from tinynet.kernels.jit import inner, kernel
from tinynet.kernels.strips import ROWS, lanes, product, row
from tinynet.kernels.threads import share

NOTHING = (0, 1, 1, 1)  # the shape of a gradient that nobody wants
SUMS = 8  # of K̄ and V̄ at the same time, for a single head


@kernel("table", "log_total", "dq", "dk", "dv", "dmask", allocates=True)
def naive_backward(
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
    g: Any,
    dq: Any,
    dk: Any,
    dv: Any,
    dmask: Any,
) -> None:
    """Adds to dq, dk, dv (samples, rows, heads, columns) and dmask (heads, rows, columns) what
    comes from the heads of the table, one query after the other. Where no gradient is wanted they
    have no samples.
    """
    weights = np.empty(k.shape[3], y.dtype)
    for t in range(table.shape[0]):
        a, b, c, m, place = table[t, 0], table[t, 1], table[t, 2], table[t, 3], table[t, 4]
        Q, K, V, G = q[at(q, a)], k[at(k, b)], v[at(v, c)], g[at(g, place)]
        F, B, Y = flags[at(flags, m)], added[at(added, m)], y[at(y, place)]
        for i in range(Q.shape[0]):
            p = weights[: min(i + 1, K.shape[0])] if causal else weights
            for j in range(p.shape[0]):
                p[j] = dot(row(Q, i), row(K, j)) * scale[0]
            hide(p.reshape(p.shape[0], 1), i, 0, causal, kind, F, B)
            D, ell = dot(row(G, i), row(Y, i)), log_total[place, i]
            for j in range(p.shape[0]):
                p[j] = exp(p[j] - ell)
            for j in range(p.shape[0]):
                d = p[j] * (dot(row(G, i), row(V, j)) - D)
                if dv.shape[0]:
                    add(row(dv[within(dv, c)], j), p[j], row(G, i))
                if dq.shape[0]:
                    add(row(dq[within(dq, a)], i), d * scale[0], row(K, j))
                if dk.shape[0]:
                    add(row(dk[within(dk, b)], j), d * scale[0], row(Q, i))
                if dmask.shape[0]:
                    line = dmask[m, i if dmask.shape[1] > 1 else 0]
                    line[j if line.shape[0] > 1 else 0] += d


@inner
def jacobian(p: Any, d: Any, D: Any) -> None:
    """S̄ = P (P̄ − D), in place of P̄, piece by piece."""
    n = D.shape[0]
    for start in range(0, d.shape[0], n):
        weight, part = p[start : start + n], d[start : start + n]
        for x in range(n):
            part[x] = weight[x] * (part[x] - D[x])


@inner
def add_rows(x: Any, into: Any) -> None:
    """into += x, of whose rows and columns there may be more."""
    for j in range(into.shape[0]):
        line, out = x[j], row(into, j)
        for e in range(out.shape[0]):
            out[e] += line[e]


@inner
def add_scores(d: Any, i0: int, j0: int, dmask: Any) -> None:
    """dmask += S̄, where d[j, i] is S̄[i0 + i, j0 + j]; dmask may be one row for all, or
    one column."""
    for i in range(d.shape[1]):
        line = dmask[i0 + i if dmask.shape[0] > 1 else 0]
        for j in range(d.shape[0]):
            line[j0 + j if line.shape[0] > 1 else 0] += d[j, i]


@kernel("table", "log_total", "dq", "dk", "dv", "dmask", "K", "V", "dK", "dV", allocates=True)
def tiled_backward(
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
    g: Any,
    dq: Any,
    dk: Any,
    dv: Any,
    dmask: Any,
    K: Any,
    V: Any,
    dK: Any,
    dV: Any,
    part: int,
    parts: int,
) -> None:
    """What comes from the heads of the table: writes dq (samples, L, heads, E), this part's sums
    dk and dv (samples, S, heads, ·); adds to dmask (heads, L, S). Where no gradient is wanted they
    have no samples.
    """
    L, E, S, Ev = q.shape[3], q.shape[4], v.shape[3], v.shape[4]
    strip = 2 * lanes(log_total)
    to_q, to_k, to_v, to_mask = dq.shape[0], dk.shape[0], dv.shape[0], dmask.shape[0]
    high = (E + ROWS - 1) // ROWS * ROWS
    weights, scores = np.zeros(BLOCK * strip, dq.dtype), np.zeros(BLOCK * strip, dq.dtype)
    Q, Qt = np.zeros((strip, K.shape[1]), dq.dtype), np.zeros((E, strip), dq.dtype)
    G, Gt = np.zeros((strip, V.shape[1]), dq.dtype), np.zeros((Ev, strip), dq.dtype)
    Ds, ells = np.zeros(REPEATS * strip, dq.dtype), np.zeros(REPEATS * strip, dq.dtype)
    unused = np.zeros(REPEATS * strip, dq.dtype)
    dQt = np.zeros((high, strip), dq.dtype)
    for t in range(table.shape[0]):  # cleared here, they are near when they are added to
        for i0 in range(part * strip, L if to_q else 0, parts * strip):
            dq[within(dq, table[t, 0])][i0 : i0 + strip] = 0
        if to_k:
            dk[within(dk, table[t, 1])][:] = 0
        if to_v:
            dv[within(dv, table[t, 2])][:] = 0
    for t in range(table.shape[0]):
        a, b, c, m, place = table[t, 0], table[t, 1], table[t, 2], table[t, 3], table[t, 4]
        if t == 0 or b != table[t - 1, 1]:
            pack(k[at(k, b)], K, scale.dtype.type(1))
            dK[:] = 0
        if t == 0 or c != table[t - 1, 2]:
            pack(v[at(v, c)], V, scale.dtype.type(1))
            dV[:] = 0
        queries, arrived = q[at(q, a)], g[at(g, place)]
        F, B, Y = flags[at(flags, m)], added[at(added, m)], y[at(y, place)]
        for i0 in range(part * strip, L, parts * strip):
            count = min(strip, L - i0)
            width = strip if count > lanes(log_total) else lanes(log_total)
            pack(queries[i0 : i0 + count], Q, scale[0])
            transpose(Q[:count, :E], Qt)
            pack(arrived[i0 : i0 + count], G, scale.dtype.type(1))
            transpose(G[:count, :Ev], Gt)
            D, ell = Ds[: REPEATS * width], ells[: REPEATS * width]
            for r in range(count):
                D[r] = dot(G[r, :Ev], row(Y, i0 + r))
                ell[r] = log_total[place, i0 + r]
            spread(D[:width], D)
            spread(ell[:width], ell)
            dQt[:] = 0
            stop = visible(i0 + count, S, causal)
            for j0 in range(0, stop, BLOCK):
                keys = min(BLOCK, stop - j0)
                j1, rows = j0 + keys, (keys + ROWS - 1) // ROWS * ROWS
                P = weights[: rows * width].reshape(rows, width)
                dS = scores[: rows * width].reshape(rows, width)
                product(K[j0 : j0 + rows, :E].T, Qt[:, :width], P, 0)
                hide(P[:keys, :count], i0, j0, causal, kind, F, B)
                exponentials(P.reshape(-1), ell, unused[: REPEATS * width])
                if to_v:
                    product(P[:, :count].T, G[:count], dV[j0 : j0 + rows], 1)
                if not (to_q or to_k or to_mask):
                    continue
                product(V[j0 : j0 + rows, :Ev].T, Gt[:, :width], dS, 0)
                jacobian(P.reshape(-1), dS.reshape(-1), D)
                if to_q:
                    product(K[j0:j1, :high], dS[:keys], dQt[:, :width], 1)
                if to_k:
                    product(dS[:, :count].T, Q[:count], dK[j0 : j0 + rows], 1)
                if to_mask:
                    add_scores(dS[:keys, :count], i0, j0, dmask[m])
            if to_q:
                for r in range(count):
                    out = row(dq[within(dq, a)], i0 + r)
                    for e in range(E):
                        out[e] += dQt[e, r] * scale[0]
        last = t + 1 == table.shape[0]
        if to_k and (last or b != table[t + 1, 1]):
            add_rows(dK, dk[within(dk, b)])
        if to_v and (last or c != table[t + 1, 2]):
            add_rows(dV, dv[within(dv, c)])


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
    needs: tuple[bool, ...] = (True, True, True, True, False),
) -> tuple[Any, ...]:
    """Q̄, K̄, V̄, and for a float mask B̄ = S̄, summed where the mask was broadcast."""
    q, k, v, mask, kept, y, log_total = saved
    values = kept_values(v, kept, p)
    to_mask = needs[3] and mask is not None and mask.dtype != bool
    heads = Heads(q, k, values, mask, is_causal, scale, to_mask)
    L, S, E, Ev = heads.L, heads.S, heads.E, heads.Ev
    packs, flops = L > FEW, L * S * (6 * E + 4 * Ev)
    if packs:
        groups, parts = heads.pieces(2 * lanes(y), flops, heads.together, SUMS)
    else:
        groups, parts = heads.pieces(L, WAIT * flops, heads.together)
    if to_mask and mask.shape[-2:-1] != (L,):
        parts = 1  # all queries add to the same row
    make = np.empty if packs and y.size and S else np.zeros
    dq, dk, dv = (
        memory(make, count, x.shape if need else NOTHING, x)
        for count, x, need in zip((1, parts, parts), (q, k, v), needs, strict=False)
    )
    dmask = np.zeros(_matrices(mask.shape) if to_mask else (0, 1, 1), q.dtype)
    arrived, outputs = five(side_by_side(g)), five(y)

    def piece(number: int) -> Any:
        table = heads.table[groups[number // parts]]
        arguments = (*heads.arrays, table, outputs, log_total, *heads.options, arrived)
        if not packs:
            return naive_backward(*arguments, dq[0], dk[0], dv[0], dmask)
        part, rooms = number % parts, (*heads.rooms("K", "V"), *heads.rooms("dK", "dV"))
        return tiled_backward(*arguments, dq[0], dk[part], dv[part], dmask, *rooms, part, parts)

    if y.size and S:
        share(len(groups) * parts, piece)
    return (
        as_heads(dq[0], q.shape) if needs[0] else None,
        as_heads(_sum(dk), k.shape) if needs[1] else None,
        kept_values(as_heads(_sum(dv), v.shape), kept, p) if needs[2] else None,
        dmask.reshape(mask.shape) if to_mask else None,
        None,
    )


def _matrices(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with one leading axis."""
    shape = (1,) * (2 - len(shape)) + shape
    return (math.prod(shape[:-2]), *shape[-2:])


def _sum(parts: Any) -> Any:
    """The sum of the parts, always in the same order."""
    for part in parts[1:]:
        parts[0] += part
    return parts[0]
