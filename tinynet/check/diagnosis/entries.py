"""Some entries are right and some are wrong: which?

A pattern counts only if it is described without looking at the gradients: by indices, by the sign
of an argument, by the diagonal. Then it can be wrong at the second point, and is worth something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from tinynet.check.diagnosis.fix import Fix, arrays, number, own, pair
from tinynet.check.diagnosis.shapes import where_in
from tinynet.check.problem import Array, Problem

Mask = Callable[[Problem], Array]


def _off(p: Problem, k: int) -> Array | None:
    """The entries that are wrong, where some are right and not zero."""
    both = pair(p, k)
    if both is None or both[1].size < 2:
        return None
    off = ~(np.abs(both[0] - both[1]) <= p.tolerance[k])
    right = ~off & (np.abs(both[1]) > p.tolerance[k])
    return off if right.any() and off.any() else None


def _by_index(shape: tuple[int, ...], name: str) -> Iterator[tuple[str, str, float, Array]]:
    """Runs at the start or the end of an axis, the diagonal, the triangles: name, how a loop would
    miss it, cost, mask.
    """
    for axis, n in enumerate(shape):
        index = np.arange(n).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        for start, stop in [(0, i) for i in range(1, n)] + [(i, n) for i in range(1, n)]:
            loop = (
                f"a loop that starts at {stop} instead of 0 (off by one)"
                if start == 0
                else f"a loop that ends early, after index {start - 1}, or returns after the first "
                "pass (indentation)"
                if start == 1
                else f"a loop that ends early, at {start} instead of {n} (off by one)"
            )
            mask = np.broadcast_to((index >= start) & (index < stop), shape)
            yield where_in(shape, axis, list(range(start, stop))) + f" of {name}", loop, 0.0, mask
        for one in range(1, n - 1):
            where = where_in(shape, axis, [one]) + f" of {name}"
            mask = np.broadcast_to(index == one, shape)
            yield where, "an index that the loop leaves out", 0.3, mask
    if len(shape) >= 2 and min(shape[-2:]) > 1:
        eye = np.eye(shape[-2], shape[-1], dtype=bool)
        low = np.tril(np.ones(shape[-2:], dtype=bool), -1)
        for where, mask in (
            (f"the diagonal of {name}", eye),
            (f"everything but the diagonal of {name}", ~eye),
            (f"the entries above the diagonal of {name}", ~eye & ~low),
            (f"the entries below the diagonal of {name}", low),
        ):
            yield (
                where,
                "a mask or a loop over half of the matrix",
                0.2,
                np.broadcast_to(mask, shape),
            )


def _by_value(p: Problem, shape: tuple[int, ...]) -> Iterator[tuple[str, Mask]]:
    """Where an argument, the output, or a difference of two arguments is positive or negative."""
    named: dict[str, Callable[[Problem], Any]] = {
        name: partial(lambda p, name: arrays(p)[name], name=name)
        for name, a in arrays(p).items()
        if a.shape == shape
    }
    for a, b in combinations(list(named), 2):
        named[f"{a} - {b}"] = partial(lambda p, a, b: arrays(p)[a] - arrays(p)[b], a=a, b=b)
    if p.y.shape == shape:
        named["the output"] = lambda p: p.y
    if p.g.shape == shape and p.g.ndim:
        named["g"] = lambda p: p.g
    for name, value in named.items():
        yield f"where {name} > 0", partial(lambda p, value: value(p) > 0, value=value)
        yield f"where {name} < 0", partial(lambda p, value: value(p) < 0, value=value)
        yield f"where |{name}| > 1", partial(lambda p, value: np.abs(value(p)) > 1, value=value)
        yield f"where |{name}| < 1", partial(lambda p, value: np.abs(value(p)) < 1, value=value)


def _patterns(
    p: Problem, k: int, off: Array, live: Array
) -> Iterator[tuple[str, str, float, Mask]]:
    """The descriptions of the wrong entries, judged where a mistake would show."""
    shape = off.shape
    for where, loop, cost, mask in _by_index(shape, own(p, k)):
        if np.array_equal(mask & live, off & live):
            yield where, loop, cost, partial(lambda p, mask: mask, mask=mask)
    for where, made in _by_value(p, shape):
        mask = made(p)
        if np.array_equal(mask & live, off & live):
            yield where, "a branch with its slope or mask", 0.1, made


def never_written(p: Problem, k: int) -> Iterator[Fix]:
    """Exactly zero where the true gradient is not."""
    off = _off(p, k)
    if off is None or np.asarray(p.found[k])[off].any():
        return
    live = p.true[k] != 0
    known = False
    for where, loop, cost, mask in _patterns(p, k, off, live):
        known = True
        yield Fix(
            f"zero {where}, right elsewhere: {loop} (the negative or the other branch) is forgotten"
            if where.startswith("where")
            else f"zero in {where}, where it is never written, and right elsewhere: {loop}",
            "let the backward pass reach these entries too",
            1.4 + cost,
            partial(lambda p, mask: np.where(mask(p), 0, p.true[k]), mask=mask),
            model=True,
        )
    if not known:

        def scattered(p: Problem) -> Array | None:
            now = _off(p, k)
            if now is None or np.asarray(p.found[k])[now].any():
                return None
            return np.asarray(p.true[k])

        n = int(off.sum())
        yield Fix(
            f"zero in {n} entries ({_box(off)}) where the true gradient is not, and right in the "
            "others: these entries are never written (a loop that ends early or a mask too many)",
            "let the backward pass reach these entries too",
            3.0,
            scattered,
        )


def _box(off: Array) -> str:
    """The smallest block of indices that holds all wrong entries."""
    ranges = [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(off)]
    return "[" + ", ".join(f"{a}:{b}" for a, b in ranges) + "]"


def not_masked(p: Problem, k: int) -> Iterator[Fix]:
    """A gradient where there should be none."""
    off = _off(p, k)
    if off is None or p.true[k][off].any():
        return
    live = np.asarray(p.found[k]) != 0
    for where, _, cost, mask in _patterns(p, k, off, live):
        yield Fix(
            f"a mask is missing: not zero {'in ' if not where.startswith('where') else ''}{where}, "
            "where the output does not depend on it; right elsewhere",
            "multiply by the mask of the forward pass",
            1.6 + cost,
            partial(lambda p, mask: np.where(mask(p), 0, p.found[k]), mask=mask),
        )
    selects = p.y.size < p.true[k].size and all(
        np.isin(p.y, np.asarray(a)).all() for a in (p.args[p.wrt[k]],)
    )

    def apply(p: Problem) -> Array:
        return np.where(p.true[k] == 0, 0, p.found[k])

    extra = (
        ": the output copies single entries, as max-pooling does, and only the maximum (argmax) of "
        "each window may get the gradient"
        if selects
        else ""
    )
    if off.sum() > 1 or selects:
        yield Fix(
            f"a mask is missing{extra}: {int(off.sum())} entries are not zero though the output "
            "does not depend on them, the others are right",
            "multiply by the mask of the forward pass",
            2.0 if selects else 2.6,
            apply,
        )


def _one_of_two(p: Problem, k: int, c: float) -> Array | None:
    """Each entry as it is, or times c, whichever is right; at least three must need it."""
    both = pair(p, k)
    if both is None:
        return None
    off = np.abs(both[0] - both[1]) > p.tolerance[k]
    return np.where(off, c * both[0], both[0]) if off.sum() >= 3 else None


def branches(p: Problem, k: int) -> Iterator[Fix]:
    """Two constant factors, one on each side of a condition."""
    both = pair(p, k)
    if both is None or both[1].size < 4:
        return
    found, true = both
    live = (found != 0) & (np.abs(true) > p.tolerance[k])
    ratio = np.where(live, true / found, np.nan)
    values = _distinct(ratio[live])
    if len(values) != 2:
        return
    for where, made in _by_value(p, true.shape):
        mask = made(p)
        yes, no = _distinct(ratio[live & mask]), _distinct(ratio[live & ~mask])
        if len(yes) != 1 or len(no) != 1 or "<" in where:
            continue
        a, b = yes[0], no[0]
        if abs(a * b - 1) < 1e-4:
            text = (
                f"the two branches are swapped: it needs the factor {number(a)} {where} and "
                f"{number(b)} elsewhere (a slope on the wrong side, a mask the wrong way round)"
            )
        elif a == 1 or b == 1:
            side = where if b == 1 else f"except {where}"
            c = a if b == 1 else b
            what = "sign is wrong" if abs(c + 1) < 1e-5 else f"factor {number(c)} is missing"
            text = f"the {what} {side}, and it is right elsewhere: one branch is wrong"
        else:
            text = f"the factor {number(a)} is missing {where}, and {number(b)} elsewhere"
        yield Fix(
            text,
            "compare the two branches with those of the forward pass",
            2.0,
            partial(
                lambda p, a, b, made: np.where(made(p), a, b) * p.found[k], a=a, b=b, made=made
            ),
        )
        return
    if 1.0 in values:
        c = next(v for v in values if v != 1.0)
        if np.sum(np.abs(ratio[live] - c) < 1e-5 * abs(c)) >= 3:
            what = (
                "the sign is wrong" if abs(c + 1) < 1e-5 else f"the factor {number(c)} is missing"
            )
            yield Fix(
                f"{what} in {int(np.sum(ratio[live] != 1))} entries, the others are right: one "
                "branch or term (linear, negative, beyond a threshold) lacks a constant or a sign",
                "look at the branch of these entries in the forward pass, and its slope",
                2.4,
                lambda p: _one_of_two(p, k, c),
            )


def _distinct(values: Array) -> list[float]:
    """The different values, up to rounding; 1 is exactly 1. Many count as three."""
    out: list[float] = []
    for v in values.ravel():
        if not any(abs(v - w) <= 1e-5 * abs(w) for w in out):
            out.append(1.0 if abs(v - 1) < 1e-5 else float(v))
        if len(out) > 2:
            break
    return out


def copied(p: Problem, k: int) -> Iterator[Fix]:
    """One part holds the gradient of another part of the same argument: copied and not edited."""
    both, off = pair(p, k), _off(p, k)
    if both is None or off is None:
        return
    found, true = both
    axis = true.ndim - 1
    n = true.shape[axis]
    for width in {n // parts for parts in (2, 3, 4) if n % parts == 0 and n > parts}:
        blocks = [slice(i, i + width) for i in range(0, n, width)]
        source: dict[int, int] = {}
        for i, block in enumerate(blocks):
            for j, other in enumerate(blocks):
                near = np.abs(found[..., block] - true[..., other]) <= p.tolerance[k][..., block]
                if near.all() and (i not in source or j == i):
                    source[i] = j
        if len(source) < len(blocks) or all(i == j for i, j in source.items()):
            continue
        bad = [f"[{blocks[i].start}:{blocks[i].stop}]" for i, j in source.items() if i != j]
        froms = sorted({blocks[j].start for i, j in source.items() if i != j})
        yield Fix(
            f"the parts {', '.join(bad)} along axis {axis} hold the gradient that belongs to the "
            f"part at {froms[0]}: copied from another gate or block, or slices in the wrong order",
            "give each part (gate, head, block) its own gradient",
            1.8,
            partial(
                lambda p, blocks, source: np.concatenate(
                    [p.true[k][..., blocks[source[i]]] for i in range(len(blocks))], axis=-1
                ),
                blocks=blocks,
                source=source,
            ),
            model=True,
        )


def overwritten(p: Problem, k: int) -> Iterator[Fix]:
    """Wrong in exactly the rows that an integer argument names more than once."""
    off = _off(p, k)
    if off is None:
        return
    for name, index in zip(p.names, p.args, strict=False):
        if not isinstance(index, np.ndarray) or index.dtype.kind not in "iu" or not index.size:
            continue
        rows, count = np.unique(index, return_counts=True)
        many = rows[count > 1]
        if rows.min() < 0 or rows.max() >= len(off) or not len(many) or len(many) == len(rows):
            continue
        expected = np.isin(np.arange(len(off)), many)

        def apply(p: Problem, expected: Array = expected) -> Array | None:
            now = _off(p, k)
            if now is None or not np.array_equal(_rows(now), expected):
                return None
            return np.asarray(p.true[k])

        yield Fix(
            f"wrong in exactly the rows that {name} names more than once, {many.tolist()}: their "
            "gradients are overwritten instead of accumulated (+=)",
            f"np.add.at(d, {name}, ...) adds up repeated indices; d[{name}] += ... does not",
            1.6,
            apply,
        )


def _rows(off: Array) -> Array:
    return np.asarray(off.reshape(len(off), -1).any(axis=1))
