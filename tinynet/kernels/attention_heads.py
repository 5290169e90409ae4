"""What the kernels of attention share: the heads of a call, masks, and packing."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from tinynet.errors import ShapeError, describe
from tinynet.kernels.elementary import exp
from tinynet.kernels.jit import inner
from tinynet.kernels.strips import ROWS, lanes, row
from tinynet.kernels.threads import room

BLOCK = 128  # keys at a time
REPEATS = 4  # of a row, for loops that are long enough to be vector code
FLOPS = 8e6  # that a piece of work has at least
PIECES = 64  # at most
FEW = 4  # queries, for which packing does not pay
WAIT = 4  # times as long takes a flop that waits for memory
EVERYTHING, FLAGS, ADDED = 0, 1, 2  # kinds of masks


class Heads:
    """The heads of a call, in the form that kernels take.

    Arrays get three leading axes. Row t of `table` says which head of q, k, v and mask is wanted
    for which head of y. Rows that share a head of q, k, v, or of a mask that wants a gradient too,
    stand together, so many of them: the gradient is their sum, which is one thread's work.
    """

    def __init__(
        self,
        q: Any,
        k: Any,
        v: Any,
        mask: Any,
        causal: bool,
        scale: float | None,
        mask_too: bool = False,
    ) -> None:
        lead = () if mask is None else mask.shape[:-2]
        leads = (q.shape[:-2], k.shape[:-2], v.shape[:-2], lead)
        self.lead = _check(q, k, v, mask, leads[:3])
        self.table, self.together = _table(self.lead, leads, 4 if mask_too else 3)
        self.count, self.dtype = len(self.table), q.dtype
        (self.L, self.E), (self.S, self.Ev) = q.shape[-2:], v.shape[-2:]
        kind = EVERYTHING if mask is None else FLAGS if mask.dtype == bool else ADDED
        flags, added = _constant(0, np.dtype(bool), 5), _constant(0, q.dtype, 5)  # unread
        if kind != EVERYTHING:
            whole = five(np.broadcast_to(mask, (*lead, self.L, self.S)))
            unread = np.broadcast_to(added if kind == FLAGS else flags, whole.shape)
            flags, added = (whole, unread) if kind == FLAGS else (unread, whole)
        self.arrays = (*(five(side_by_side(x)) for x in (q, k, v)), flags, added)
        scale = 1 / math.sqrt(max(self.E, 1)) if scale is None else scale
        self.options = (int(causal), kind, _constant(float(scale), q.dtype, 1))

    def pieces(
        self, strip: int, flops: int, together: int, limit: int = PIECES
    ) -> tuple[list[slice], int]:
        """Rows of the table, and how many parts to make of their strips of queries: pieces of work,
        neither many nor small. So many rows stay `together`; a row costs so many `flops`. Parts are
        made where there are fewer rows than `limit`.
        """
        most = min(PIECES, int(flops * self.count / FLOPS))
        if most < 2:
            return [slice(0, self.count)], 1
        units = self.count // together
        groups = max(1, min(units, most))
        cuts = [units * i // groups * together for i in range(groups + 1)]
        parts = min(-(-self.L // max(strip, 1)), -(-min(most, limit) // max(units, 1)))
        return [slice(*cut) for cut in itertools.pairwise(cuts)], max(1, parts)

    def rooms(self, *names: str) -> list[Any]:
        """Memory for one head's keys and for its values, in whole blocks and vectors."""
        step = max(ROWS, lanes(self.arrays[0]))
        shapes = [(-(-self.S // ROWS) * ROWS, -(-n // step) * step) for n in (self.E, self.Ev)]
        return [room(f"attention {n}", s, self.dtype) for n, s in zip(names, shapes, strict=True)]


# Decoding asks for one query at a time, with a key more each time: what does not depend on how many
# keys there are is kept.


@functools.lru_cache(64)
def _constant(value: float, dtype: Any, axes: int) -> Any:
    """A number as an array, for kernels to read."""
    return np.full((1,) * axes, value, dtype)


_broadcast = functools.lru_cache(64)(np.broadcast_shapes)


def _check(q: Any, k: Any, v: Any, mask: Any, leads: Any) -> tuple[int, ...]:
    """The leading axes of the output, if there is one."""
    if min(q.ndim, k.ndim, v.ndim) < 2 or (q.shape[-1], k.shape[-2]) != (k.shape[-1], v.shape[-2]):
        raise _misfit("attention: the sizes do not fit", q, k, v)
    try:
        lead = _broadcast(*leads)
    except ValueError:
        raise _misfit("attention: the leading axes do not broadcast", q, k, v) from None
    if mask is None:
        return lead
    scores = (*lead, q.shape[-2], k.shape[-2])
    if mask.ndim > len(scores) or any(
        n not in (1, m) for n, m in zip(mask.shape[::-1], scores[::-1], strict=False)
    ):
        raise ShapeError(
            "attention: the mask does not broadcast to the scores",
            expected=str(scores),
            got=str(mask.shape),
        )
    return lead


def _misfit(problem: str, q: Any, k: Any, v: Any) -> ShapeError:
    sizes = "q (…, L, E), k (…, S, E), v (…, S, Ev)"
    return ShapeError(problem, expected=sizes, got=", ".join(map(describe, (q, k, v))))


def _at_least(axes: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (axes - len(shape)) + shape


def side_by_side(x: Any) -> Any:
    """x, copied if the numbers of its rows have gaps between them."""
    return x if x.shape[-1] < 2 or x.strides[-1] == x.itemsize else np.ascontiguousarray(x)


def five(x: Any) -> Any:
    """x with three leading axes."""
    if x.ndim > 5:
        return x.reshape(math.prod(x.shape[:-4]), *x.shape[-4:])
    return x[(None,) * (5 - x.ndim)]


@functools.lru_cache(64)
def _table(
    lead: tuple[int, ...], leads: tuple[tuple[int, ...], ...], owners: int
) -> tuple[Any, int]:
    """For each head of y which of the arrays' heads, and which of y. Rows that share a head of the
    first `owners` arrays follow each other; so many of them.
    """
    own = [_at_least(len(lead), x) for x in leads]
    shared = [any(x[axis] < n for x in own[:owners]) for axis, n in enumerate(lead)]
    order = sorted(range(len(lead)), key=shared.__getitem__)
    numbers = [np.arange(math.prod(x)).reshape(x) for x in (*own, lead)]
    columns = [np.broadcast_to(x, lead).transpose(order).reshape(-1) for x in numbers]
    return np.stack(columns, 1), math.prod(n for n, s in zip(lead, shared, strict=True) if s)


# A layer cuts queries, keys and values from rows in which the heads of a token stand side by side,
# and wants outputs and gradients in such rows again. So what is written lies as what was read.


def memory(make: Any, parts: int, shape: tuple[int, ...], like: Any) -> Any:
    """Memory (parts, samples, rows, heads, columns) for so many arrays (…, rows, columns) that lie
    as `like` does; where each head of it lies by itself, it counts as a sample with one head.
    """
    *lead, rows, columns = shape
    together = min(len(lead), like.ndim - 2) > 1 and like.strides[-3] < like.strides[-2]
    samples, heads = (lead[:1], lead[1:]) if together else (lead, [])
    return make((parts, math.prod(samples), rows, math.prod(heads), columns), like.dtype)


def as_heads(x: Any, shape: tuple[int, ...]) -> Any:
    """Such memory, of one part, as the array of this shape."""
    if x.shape[2] == 1:
        return x.reshape(shape)
    x = x.reshape(*x.shape[:2], *shape[1:-2], shape[-1])
    return x.transpose(0, *range(2, x.ndim - 1), 1, x.ndim - 1)


def kept_values(v: Any, kept: Any, p: float) -> Any:
    """v / (1 − p): what keeping all weights comes to, where they might have been dropped."""
    return v if kept is True or p == 0 else v * v.dtype.type(1 / (1 - p) if p < 1 else 0)


# -- inside the kernels --------------------------------------------------------------------------


@inner
def at(x: Any, number: int) -> tuple[int, int, int]:
    """Where the matrix of this number is in x (a, b, c, rows, columns)."""
    _, b, c, _, _ = x.shape
    return number // (b * c), number // c % b, number % c


@inner
def within(x: Any, number: int) -> tuple[int, slice, int]:
    """Where the matrix of this number is in x (samples, rows, heads, columns)."""
    return number // x.shape[2], slice(None), number % x.shape[2]


@inner
def visible(i1: int, S: int, causal: int) -> int:
    """How many keys the queries before i1 need: all, or the first ones, in whole blocks of rows."""
    return min(S, (i1 + ROWS - 1) // ROWS * ROWS) if causal else S


@inner
def hide(s: Any, i0: int, j0: int, causal: int, kind: int, flags: Any, added: Any) -> None:
    """−∞ where a query may not attend, and a float mask added: s[j, i] is S[i0 + i, j0 + j]."""
    keys, queries = s.shape
    if causal:
        for j in range(max(0, i0 - j0), keys):
            for i in range(min(j0 + j - i0, queries)):
                s[j, i] = -math.inf
    if kind == FLAGS:
        for j in range(keys):
            for i in range(queries):
                if not flags[i0 + i, j0 + j]:
                    s[j, i] = -math.inf
    elif kind == ADDED:
        for j in range(keys):
            for i in range(queries):
                s[j, i] += added[i0 + i, j0 + j]


@inner
def dot(x: Any, y: Any) -> Any:
    """Σ_e x_e y_e."""
    total = x.dtype.type(0)
    for e in range(x.shape[0]):
        total += x[e] * y[e]
    return total


@inner
def add(y: Any, factor: Any, x: Any) -> None:
    """y += factor x."""
    for f in range(y.shape[0]):
        y[f] += factor * x[f]


@inner
def pack(x: Any, rows: Any, factor: Any) -> None:
    """rows[j] = factor x[j], which may be shorter and lie anywhere."""
    for j in range(x.shape[0]):
        line, out = row(x, j), rows[j]
        for e in range(line.shape[0]):
            out[e] = line[e] * factor


@inner
def transpose(x: Any, columns: Any) -> None:
    """columns[j, i] = x[i, j]."""
    for i in range(x.shape[0]):
        line = row(x, i)
        for j in range(line.shape[0]):
            columns[j, i] = line[j]


# A loop over the 32 lanes of a row is too short for the compiler to make good vector code of it. So
# blocks are taken as flat arrays, several rows at a time, and what is one number for each lane is
# repeated for as many rows.


@inner
def spread(x: Any, repeated: Any) -> None:
    """x over and over."""
    for start in range(0, repeated.shape[0], x.shape[0]):
        for r in range(x.shape[0]):
            repeated[start + r] = x[r]


@inner
def largest(s: Any, best: Any) -> None:
    """best = max(best, s), with all pieces of s that are as long."""
    n = best.shape[0]
    for start in range(0, s.shape[0], n):
        part = s[start : start + n]
        for x in range(n):
            best[x] = max(best[x], part[x])


@inner
def exponentials(s: Any, shift: Any, sums: Any) -> None:
    """s = exp(s − shift), and sums += s, piece by piece."""
    n = shift.shape[0]
    for start in range(0, s.shape[0], n):
        part = s[start : start + n]
        for x in range(n):
            e = exp(part[x] - shift[x])
            part[x] = e
            sums[x] += e


@inner
def times(o: Any, factor: Any) -> None:
    """o = factor o, piece by piece."""
    n = factor.shape[0]
    for start in range(0, o.shape[0], n):
        part = o[start : start + n]
        for x in range(n):
            part[x] *= factor[x]
