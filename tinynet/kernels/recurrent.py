"""What the kernels of `rnn`, `lstm` and `gru` share: how a recurrence becomes fast.

    h_t = σ(x_t W_ihᵀ + h_{t−1} W_hhᵀ + b)          G gates: W_ih (G H, I), W_hh (G H, H)

Flops. The inputs need 2·T·N·I·G·H, the states 2·T·N·H·G·H; backward twice both. The weights'
gradients are sums over all steps, which become one product of (G H, T N) with (T N, ·) each when
the gradients of all steps are there: BLAS makes them at the machine's speed. What is left are T
products that wait for each other, (N, I + H) with (I + H, G H). With N = 32, I = 32, H = 64, G = 4
each is 1.6 million flops, 8 µs of two cores: less than it takes to call BLAS, to wake its threads
and to run the ten NumPy functions of an LSTM's step. So the whole sequence is one compiled loop:

1. `rnn.naive`  the formula, number by number: a scalar product for every entry, which waits for
                each sum, and reads W_hh again for every sequence.
2. the derivation, in NumPy: BLAS, but called T times, and each function passes over the gates.
3. `rnn`, `lstm`, `gru`: per step one product in registers (`times`) with weights that are packed
                once for all steps; the gates are made while the sums are in the first-level cache.

Cores. Sequences do not see each other. Each thread takes some of them through all steps, with a
state of its own, and nobody waits for anybody (`by_sequences`). The other way, to split the gates,
would make all threads wait for each other in every step. For the same reason W_ih x_t is made step
by step too, though no step's input depends on another's: it costs no more there, x_t stands beside
h_{t−1}, and the sums need not go to memory and back.

Bytes. Each step reads all weights, G·H·(I + H) numbers, from the second-level cache as long as they
fit there, and serves N/threads sequences with them. The gates of all steps are written once and
read once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinynet.kernels.jit import inner, kernel
from tinynet.kernels.products import product
from tinynet.kernels.strips import LOW, low
from tinynet.kernels.threads import get_num_threads, room, share
from tinynet.kernels.tile import tile_shape

SMALL = 1e7  # flops below which a second thread costs more than it brings
LINES = 16  # of memory that packing reads side by side


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
def times(a: Any, b: Any, c: Any) -> None:
    """c = a b for a b that was cut into strips: each is used by all rows of a while it is near."""
    for s in range(b.shape[0]):
        into = c[:, s * b.shape[2] : (s + 1) * b.shape[2]]
        for i in range(0, a.shape[0], LOW):
            low(a.T, b[s], into, i, 0, 0)


def rows_for(name: str, count: int, width: int, dtype: Any) -> Any:
    """Memory of this thread's for `times`: `count` rows and what whole blocks have beyond, zero."""
    kept = room(f"recurrent {name}", (-(-count // LOW) * LOW, width), dtype)
    kept[:] = 0
    return kept


def sums_for(count: int, b: Any, name: str = "sums") -> Any:
    """Such memory for `count` rows of a b, b in strips."""
    return rows_for(name, count, b.shape[0] * b.shape[2], b.dtype)


# -- the sequences ---------------------------------------------------------------------------------

Lengths = tuple[int, ...] | None


def fits(
    gates: int, x: Any, states: Sequence[Any], W_ih: Any, W_hh: Any, b: Any, lengths: Lengths
) -> bool:
    """Whether the sizes are those of a recurrence, of more than one step: to pack the weights for
    one does not pay. Where they do not fit, the reference raises.
    """
    if x.ndim != 3 or states[0].ndim != 2 or x.shape[0] < 2 or states[0].shape[1] == 0:
        return False
    (T, N, inputs), H = x.shape, states[0].shape[1]
    found = [v.shape for v in (*states, W_ih, W_hh, *b)]
    high = gates * H
    wanted = [*((N, H) for _ in states), (high, inputs), (high, H), *((high,) for _ in b)]
    known = lengths is None or (len(lengths) == N and all(0 <= n <= T for n in lengths))
    return found == wanted and len(b) in (0, 2) and known


def padded(x: Any, lengths: Lengths) -> tuple[Any, Any]:
    """x without gaps, with zeros for its padding, since 0 times a NaN that stands there is NaN; and
    how many steps each sequence has.
    """
    T, N = x.shape[:2]
    if lengths is None:
        return np.require(x, None, ["C", "A", "W"]), np.full(N, T)
    x = x.copy("C")
    for n, length in enumerate(lengths):
        x[length:, n] = 0
    return x, np.array(lengths, np.int64)


def states_for(T: int, first: Any, reverse: bool) -> Any:
    """Room (T + 1, N, S) for the states of all steps, and for the one before them: `first`, which
    stands at the beginning, or at the end where the steps run backwards.
    """
    kept = np.empty((T + 1, *first.shape), first.dtype)
    kept[T if reverse else 0] = first
    return kept


def before_and_after(kept: Any, reverse: bool) -> tuple[Any, Any]:
    """What each step starts from, and what it makes."""
    return (kept[1:], kept[:-1]) if reverse else (kept[:-1], kept[1:])


def by_sequences(N: int, flops: int, work: Callable[[int, int], None]) -> None:
    """work(first, last) for all N sequences, each thread with a part of them."""
    threads = get_num_threads() if flops > SMALL else 1
    each = max(-(-N // threads), 1)
    share(-(-N // each), lambda k: work(k * each, min((k + 1) * each, N)), threads)


def dense(g: Any) -> Any:
    """g without gaps and writable: itself, or a copy in this thread's room."""
    if g.flags.c_contiguous and g.flags.writeable and g.flags.aligned:
        return g
    copy = room("recurrent g", g.shape, g.dtype)
    np.copyto(copy, g)
    return copy


# -- the products of all steps ---------------------------------------------------------------------


def rows(x: Any) -> Any:
    """All steps of all sequences under each other: (T, N, k) -> (T N, k)."""
    return x.reshape(math.prod(x.shape[:2]), x.shape[2])


def to_weights(
    dp: Any, dq: Any, x: Any, before: Any, biased: bool, needs: Sequence[bool]
) -> list[Any]:
    """The gradients of W_ih, W_hh and, if there are any, b_ih and b_hh from those of
    p_t = W_ih x_t + b_ih and q_t = W_hh h_{t−1} + b_hh of all steps:

        W̄_ih = Σ_t p̄_t x_tᵀ    W̄_hh = Σ_t q̄_t h_{t−1}ᵀ    b̄ = Σ_t p̄_t, Σ_t q̄_t

    Where a gate adds both, p̄ and q̄ are the same array.
    """
    P, Q = rows(dp), rows(dq)
    found = [
        product(P.T, rows(x)) if needs[0] else None,
        product(Q.T, rows(before)) if needs[1] else None,
    ]
    if biased:
        ones = np.ones((1, len(P)), dp.dtype)
        b_ih = product(ones, P)[0]
        b_hh = b_ih.copy() if dq is dp else product(ones, Q)[0]
        found += [b if need else None for b, need in zip((b_ih, b_hh), needs[2:], strict=True)]
    return found
