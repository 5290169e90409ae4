"""`rnn`, `lstm` and `gru` over a whole sequence: how a recurrence becomes fast.

    h_t = σ(x_t W_ihᵀ + h_{t−1} W_hhᵀ + b)          G gates: W_ih (G H, I), W_hh (G H, H)

Flops. The inputs need 2·T·N·I·G·H, the states 2·T·N·H·G·H; backward twice both. These are T
products that wait for each other, (N, I + H) with (I + H, G H). With N = 32, I = 32, H = 64, G = 4
each is 1.6 million flops, 8 µs of two cores: less than it takes to call BLAS, to wake its threads
and to run the ten NumPy functions of an LSTM's step. So the whole sequence is one compiled loop.
The limit for T = 100: three such products in each step are 0.47 GFLOP, 2.1 ms of two cores that do
115 GFLOP/s each, and five functions of 20 to 30 flops for each of the numbers in h 0.3 ms.

1. `rnn.naive`  the formula, number by number: a scalar product for every entry, which waits for
                each sum, and reads W_hh again for every sequence.
2. the derivation, in NumPy: BLAS, but called T times, and each function passes over the gates.
3. `steps`      per step one product in registers (`times`) with weights that are packed once for
                all steps; the gates are made while the sums are in the first-level cache.

What differs between the three layers is a step of one sequence: `rnn.step`, `lstm.step` and
`gru.step`, and `step_back` beside them. Here is what they share.

One product for all. The row z = (x_t, 1, h_{t−1}) times (W_ih, b, W_hh)ᵀ is the whole sum of a
gate, the bias being the weight of an input that is always 1; and zᵀ ā, summed over all rows, is the
gradient of W_ih, b and W_hh in one. The GRU multiplies one gate's W_hh h + b_hh by another before
it adds: it has two products, of (x_t, 1) and of (1, h_{t−1}).

Borders. A thread has few rows, and I + H columns may be one more than whole vectors hold. What is
computed beyond the border is lost, so rows are rounded up to two and columns to one vector.

Cores. Sequences do not see each other. Each thread takes some of them through all steps, with a
state and sums of its own, and nobody waits for anybody (`pieces`). The other way, to split
the gates, would make all threads wait for each other in every step.

Bytes. Each step reads all weights, G·H·(I + H) numbers, from the second-level cache as long as they
fit there, and serves N/threads sequences with them. The gates of all steps are written once and
read once. Their gradients and z never are: as soon as there are DEPTH rows of them, still in the
cache, zᵀ ā is added to the weights' gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.kernels import gru, lstm, rnn
from tinynet.kernels.choice import Kernel
from tinynet.kernels.jit import inner, kernel, put
from tinynet.kernels.strips import LOW, ROWS, lanes, low, pair, product, small
from tinynet.kernels.threads import get_num_threads, room, share
from tinynet.kernels.tile import tile_shape
from tinynet.kernels.vectors import lanes as lanes_of

SMALL = 1e7  # flops below which a second thread costs more than it brings
LINES = 16  # of memory that packing reads side by side
DEPTH = 128  # rows that a product with the gradients of the gates sums over, at least

# -- one step's product ----------------------------------------------------------------------------


@kernel("into")
def cut(b: Any, into: Any) -> None:
    """into[s, p, r] = b[p, s·S + r]: a few lines of memory at a time, however b lies in it."""
    k, n, width = b.shape[0], b.shape[1], into.shape[2]
    for s in range(into.shape[0]):
        for p0 in range(0, k, LINES):
            for r in range(min(width, n - s * width)):
                for p in range(p0, min(p0 + LINES, k)):
                    into[s, p, r] = b[p, s * width + r]


def strips(b: Any) -> Any:
    """b (k, n), cut into strips as wide as the tile and put one behind the other: (n/S, k, S), with
    zeros beyond the border.

    >>> strips(np.ones((3, 40), np.float32)).shape[1]
    3
    """
    (k, n), width = b.shape, tile_shape(b.dtype)[1]
    into = np.zeros((-(-n // width), k, width), b.dtype)
    cut(b, into)
    return into


@inner
def times(a: Any, b: Any, c: Any, n: int) -> None:
    """c = a b for a b of n columns that was cut into strips: each is used by all rows of a while it
    is near. The rows of a and c come in pairs, and c has columns for whole strips.
    """
    rest = a.shape[0] % LOW
    for s in range(b.shape[0]):
        j = s * b.shape[2]
        into = c[:, j : j + b.shape[2]]
        for i in range(0, a.shape[0] - rest, LOW):
            if n - j > lanes(c):
                low(a.T, b[s], into, i, 0, 0)
            else:
                small(a.T, b[s], into, i, 0, 0)
        if rest:
            pair(a.T, b[s], into, a.shape[0] - rest, 0, 0)


# -- all steps of some sequences -------------------------------------------------------------------

TANH, RELU, LSTM, GRU = range(4)  # what a step is


@inner
def add(into: Any, x: Any) -> None:
    """into += x."""
    for i in range(x.shape[0]):
        into[i] += x[i]


@inner
def join(x: Any, h: Any, z: Any, runs: bool) -> None:
    """z = (x, 1, h). Where the sequence has ended x is 0, and no NaN that stands in the padding."""
    inputs = x.shape[0]
    if runs:
        put(z, x)
    else:
        z[:inputs] = 0
    z[inputs] = 1
    put(z[inputs + 1 :], h)


@kernel("U", "V", "a", "kept", "z", "q")
def steps(
    U: Any,
    V: Any,
    x: Any,
    a: Any,
    kept: Any,
    lengths: Any,
    z: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
    layer: int,
) -> None:
    """All steps of the sequences first … last − 1: the gates a (T, N, ·), and the states in kept
    (T + 1, N, ·), which begins with the first, at its end if `end` is 1. U, in strips, is
    multiplied by the first columns of z, and V by those from I on. z and q are room: the rows of
    one step and their products, in whole blocks; what is beyond our rows is never read.
    """
    T, inputs, width = x.shape[0], x.shape[2], U.shape[0] * U.shape[2]
    H = kept.shape[2] // (2 if layer == LSTM else 1)
    high = H * (4 if layer == LSTM else 3 if layer == GRU else 1)
    for k in range(T):
        t = T - 1 - k if end else k
        before, after = kept[t + end], kept[t + 1 - end]
        for n in range(first, last):
            join(x[t, n], before[n, :H], z[n - first], t < lengths[n])
        times(z[:, : U.shape[1]], U, q, high)
        times(z[:, inputs : inputs + V.shape[1]], V, q[:, width:], high)
        for n in range(first, last):
            sums = q[n - first]
            if t >= lengths[n]:
                put(after[n], before[n])
            elif layer == LSTM:
                lstm.step(sums, a[t, n], before[n], after[n])
            elif layer == GRU:
                gru.step(sums, sums[width:], a[t, n], before[n], after[n])
            else:
                rnn.step(sums, after[n], layer == RELU)


@kernel("U", "V", "a", "kept", "g", "dx", "d", "dU", "dV", "z", "da", "q")
def steps_back(
    U: Any,
    V: Any,
    x: Any,
    a: Any,
    kept: Any,
    lengths: Any,
    g: Any,
    dx: Any,
    d: Any,
    dU: Any,
    dV: Any,
    z: Any,
    da: Any,
    q: Any,
    first: int,
    last: int,
    end: int,
    layer: int,
    place: int,
) -> None:
    """The same from the last step to the first: dx (T, N, I); d (N, ·), at the end the gradient of
    the first states; and zᵀ ā is added to dU[0] and dV[0], if there are any. U is multiplied by the
    first columns of ā, and V by those from H on; what they make begins with x̄_t, and has at `place`
    what h̄_{t−1} gets. z and da are room for the rows of some steps, q for the products of one.
    """
    T, count, width = x.shape[0], last - first, U.shape[0] * U.shape[2]
    H, inputs = d.shape[1] // (2 if layer == LSTM else 1), x.shape[2]
    m = 0  # rows that wait
    for k in range(T):
        t = k if end else T - 1 - k
        before, after, rows = kept[t + end], kept[t + 1 - end], da[m : m + q.shape[0]]
        for n in range(first, last):
            row = rows[n - first]
            add(d[n], g[t, n])
            if t >= lengths[n]:
                row[:] = 0
            elif layer == LSTM:
                lstm.step_back(a[t, n], before[n], after[n], d[n], row)
            elif layer == GRU:
                gru.step_back(a[t, n], before[n], d[n], row)
            else:
                rnn.step_back(after[n], d[n], row, layer == RELU)
        times(rows[:, : U.shape[1]], U, q, dx.shape[2] + (0 if layer == GRU else H))
        times(rows[:, H : H + V.shape[1]], V, q[:, width:], H)
        for n in range(first, last):
            found = q[n - first]
            put(dx[t, n], found[: dx.shape[2]])
            if t < lengths[n]:
                add(d[n], found[place : place + H])
            join(x[t, n], before[n, :H], z[m + n - first], t < lengths[n])
        m += count
        if m + count + LOW > da.shape[0] or k + 1 == T:
            for w in range(dU.shape[0]):
                product(z[:m, : dU.shape[1]], da[:m, : dU.shape[2]], dU[w], 1)
                product(z[:m, inputs : inputs + dV.shape[1]], da[:m, H : H + dV.shape[2]], dV[w], 1)
            m = 0


def pieces(N: int, flops: int) -> list[tuple[int, int]]:
    """The first and last of the sequences for each thread."""
    threads = get_num_threads() if flops > SMALL else 1
    each = max(-(-N // threads), 1)
    return [(n, min(n + each, N)) for n in range(0, N, each)]


def rows(name: str, count: int, width: int, dtype: Any) -> Any:
    """Room of this thread's for rows, and for what whole blocks of them have beyond."""
    return room(f"recurrent {name}", (count + LOW, width + max(ROWS, lanes_of(dtype))), dtype)


def sums(count: int, U: Any, V: Any) -> Any:
    """Room for the products of `count` rows with U and V, in whole blocks."""
    shape = (-(-count // 2) * 2, U.shape[0] * U.shape[2] + V.shape[0] * V.shape[2])
    return room("recurrent sums", shape, U.dtype)


# -- the ops ---------------------------------------------------------------------------------------

Lengths = tuple[int, ...] | None


def taken_apart(layer: int, values: Sequence[Any]) -> tuple[Any, Sequence[Any], Any, Any, Any]:
    """x, the first states, W_ih, W_hh and the biases, if any."""
    x, *rest = values
    count = 2 if layer == LSTM else 1
    return x, rest[:count], *rest[count : count + 2], rest[count + 2 :]


def serves(
    layer: int, *values: Any, nonlinearity: str = "tanh", lengths: Lengths = None, **_: Any
) -> bool:
    """What is a recurrence of more than one step, since to pack the weights for one does not pay,
    and projects no states. Where sizes do not fit, the reference raises.
    """
    x, states, W_ih, W_hh, b = taken_apart(layer, values)
    if x.ndim != 3 or states[0].ndim != 2 or x.shape[0] < 2 or states[0].shape[1] == 0:
        return False
    (T, N, inputs), H = x.shape, states[0].shape[1]
    found = [v.shape for v in (*states, W_ih, W_hh, *b)]
    high = {LSTM: 4, GRU: 3}.get(layer, 1) * H
    wanted = [*((N, H) for _ in states), (high, inputs), (high, H), *((high,) for _ in b)]
    known = lengths is None or (len(lengths) == N and all(0 <= n <= T for n in lengths))
    return found == wanted and len(b) in (0, 2) and known and nonlinearity in ("tanh", "relu")


def forward(
    layer: int,
    *values: Any,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """The states of all steps, side by side."""
    x, first_states, W_ih, W_hh, b = taken_apart(layer, values)
    (T, N, inputs), H, end = x.shape, W_hh.shape[1], int(reverse)
    counts = np.full(N, T) if lengths is None else np.array(lengths, np.int64)
    b_ih, b_hh = (c[:, None] for c in b) if b else np.zeros((2, len(W_ih), 1), x.dtype)
    if layer == GRU:
        U, V = strips(np.hstack((W_ih, b_ih)).T), strips(np.hstack((b_hh, W_hh)).T)
    else:
        U, V = strips(np.hstack((W_ih, b_ih + b_hh, W_hh)).T), strips(W_hh[:0, :0])
    a = np.empty((T, N, 4 * H if layer in (LSTM, GRU) else 0), x.dtype)
    kept = np.empty((T + 1, N, len(first_states) * H), x.dtype)
    kept[T * end] = np.hstack(first_states)
    kind = RELU if nonlinearity == "relu" else layer
    parts = pieces(N, 2 * T * N * (U.size + V.size))

    def work(k: int) -> None:
        count = parts[k][1] - parts[k][0]
        z, q = rows("z", count, inputs + 1 + H, x.dtype), sums(count, U, V)
        steps(U, V, x, a, kept, counts, z[: len(q)], q, *parts[k], end, kind)

    share(len(parts), work)
    return kept[1 - end : T + 1 - end], (x, W_ih, W_hh, a, kept, counts)


def backward(
    layer: int,
    g: Any,
    saved: Any,
    *,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    """The gradients of all inputs."""
    x, W_ih, W_hh, a, kept, counts = saved
    (T, N, states), H, inputs = g.shape, W_hh.shape[1], x.shape[2]
    g, wanted = dense(g), inputs * needs[0]  # columns of x̄
    high, kind, end = len(W_hh), RELU if nonlinearity == "relu" else layer, int(reverse)
    if layer == GRU:  # ā has n, r and z of W_ih x first, and r, z and n of W_hh h last
        U, V = strips(np.roll(W_ih, H, 0)[:, :wanted]), strips(W_hh)
        place, shapes = U.shape[0] * U.shape[2], [(inputs + 1, high), (1 + H, high)]
    else:
        U, V = strips(np.hstack((W_ih[:, :wanted], W_hh))), strips(W_hh[:0, :0])
        place, shapes = wanted, [(inputs + 1 + H, high), (0, 0)]
    to_weights = any(needs[1 + states // H :])
    parts = pieces(N, 2 * T * N * (U.size + V.size))
    dU, dV = (zeros(len(parts) if to_weights else 0, *s, g.dtype) for s in shapes)
    dx, d = np.empty((T, N, wanted), g.dtype), np.zeros((N, states), g.dtype)

    def work(k: int) -> None:
        count = parts[k][1] - parts[k][0]
        depth = max(DEPTH // count, 1) * count
        z, da = rows("z", depth, inputs + 1 + H, g.dtype), rows("da", depth, high + H, g.dtype)
        rest = (z, da, sums(count, U, V), *parts[k], end, kind, place)
        steps_back(U, V, x, a, kept, counts, g, dx, d, dU[k : k + 1], dV[k : k + 1], *rest)

    share(len(parts), work)
    ih, hh = (w[:, :k, :n].sum(0).T for w, (k, n) in zip((dU, dV), shapes, strict=True))
    if layer == GRU:
        ih = np.roll(ih, -H, 0)
    else:
        ih, hh = ih[:, : inputs + 1], ih[:, inputs:]
    found = (*np.split(d, states // H, 1), ih[:, :-1], hh[:, 1:], ih[:, -1], hh[:, 0])
    rest = (w.copy() if need else None for w, need in zip(found, needs[1:], strict=False))
    return dx if needs[0] else None, *rest


def zeros(parts: int, k: int, n: int, dtype: Any) -> Any:
    """For each part the sum of products (k, n), rounded up to whole blocks and vectors."""
    one = lanes_of(dtype)
    return np.zeros((parts, -(-k // ROWS) * ROWS, -(-n // one) * one), dtype)


def dense(g: Any) -> Any:
    """g without gaps and writable: itself, or a copy in this thread's room."""
    if g.flags.c_contiguous and g.flags.writeable and g.flags.aligned:
        return g
    copy = room("recurrent g", g.shape, g.dtype)
    np.copyto(copy, g)
    return copy


def _kernel(layer: int) -> Kernel:
    run, back = functools.partial(forward, layer), functools.partial(backward, layer)
    return Kernel(run, back, serves=functools.partial(serves, layer), least=512)


KERNELS = {"rnn": _kernel(TANH), "lstm": _kernel(LSTM), "gru": _kernel(GRU)}
