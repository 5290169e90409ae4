"""The right numbers in the wrong shape, the wrong order, or at the wrong place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from tinynet.check.diagnosis.fix import Fix, named_axis, own, pair
from tinynet.check.problem import Array, Problem

Shape = tuple[int, ...]


def _found(p: Problem, k: int) -> Array:
    return np.asarray(p.found[k])


def reduced(p: Problem, k: int) -> Iterator[Fix]:
    """One entry for each output: the argument was broadcast, and its gradient not summed."""
    found, shape = _found(p, k), p.true[k].shape
    if found.shape == shape or found.dtype.kind not in "fiub":
        return
    for count in range(1, found.ndim + 1):
        for axes in itertools.combinations(range(found.ndim), count):
            rest = [n for a, n in enumerate(found.shape) if a not in axes]
            if math.prod(rest) != math.prod(shape):
                continue
            where = f"axis {axes[0]}" if count == 1 else f"axes {axes}"
            target = "a scalar" if shape == () else str(shape)

            def total(p: Problem, axes: Shape = axes) -> Array:
                return np.asarray(_found(p, k).sum(axis=axes)).reshape(p.true[k].shape)

            def mean(p: Problem, axes: Shape = axes) -> Array:
                return np.asarray(_found(p, k).mean(axis=axes)).reshape(p.true[k].shape)

            for apply, verb, extra in ((total, "sum", 0.0), (mean, "average", 0.5)):
                past = {"sum": "summed", "average": "averaged"}[verb]
                yield Fix(
                    f"shape {found.shape}, but {own(p, k)} is {target}: not {past} over {where}, "
                    f"along which {own(p, k)} was broadcast",
                    f"{verb} it over {where}"
                    + (" with keepdims=True" if len(shape) == found.ndim else ""),
                    1.2 + extra + 0.1 * count,
                    apply,
                )


def expanded(p: Problem, k: int) -> Iterator[Fix]:
    """Reduced too far: one number where all entries share it."""
    found, shape = _found(p, k), p.true[k].shape
    if found.shape == shape or found.size >= math.prod(shape) or found.dtype.kind not in "fiub":
        return
    try:
        np.broadcast_to(found, shape)
    except ValueError:
        return
    for share in (False, True):
        n = math.prod(shape) // max(found.size, 1)

        def spread(p: Problem, n: int = n if share else 1) -> Array:
            return np.broadcast_to(_found(p, k), shape) / n

        yield Fix(
            f"shape {found.shape}, but {own(p, k)} has {shape}: it must be broadcast back over the "
            "axes that were summed" + (f", each entry with 1/{n} of it (a mean)" if share else ""),
            "use np.broadcast_to, or multiply by np.ones_like of the argument",
            1.5,
            spread,
        )


def reshaped(p: Problem, k: int) -> Iterator[Fix]:
    """As many entries in another arrangement: transposed, or axes of size 1 too many or too few."""
    found, shape = _found(p, k), p.true[k].shape
    if found.shape == shape or found.size != math.prod(shape) or found.dtype.kind not in "fiub":
        return
    ones = [n for n in found.shape if n != 1] == [n for n in shape if n != 1]
    yield Fix(
        f"shape {found.shape} instead of {shape}: "
        + ("only axes of size 1 differ" if ones else "the right entries, in the right order"),
        "return it with .reshape(" + ("the argument's shape)" if shape else "()), a scalar"),
        1.2,
        lambda p: _found(p, k).reshape(p.true[k].shape),
    )
    for axes in _permutations(found.ndim):
        if tuple(found.shape[a] for a in axes) == shape:
            word = "transposed" if found.ndim == 2 else f"the axes are permuted by {axes}"
            yield Fix(
                f"{word}: shape {found.shape} instead of {shape}",
                "transpose it"
                + (" (.T), or swap the factors of the product" if found.ndim == 2 else ""),
                1.3,
                partial(lambda p, axes: np.transpose(_found(p, k), axes), axes=axes),
            )


def outer(p: Problem, k: int) -> Iterator[Fix]:
    """A product of a column and a row, which .T does not make from arrays with one axis."""
    shape = p.true[k].shape
    if _found(p, k).shape == shape or len(shape) != 2 or p.g.shape != shape[:1]:
        return
    for i, name in enumerate(p.names[: len(p.args)]):
        if np.shape(p.args[i]) == shape[1:]:
            yield Fix(
                f"shape {_found(p, k).shape} instead of {shape}: an outer product is needed; .T "
                "does nothing to an array with one axis, and @ makes a sum of it",
                f"np.outer(g, {name})",
                1.4,
                partial(lambda p, i: np.outer(p.g, p.args[i]), i=i),
            )


def cropped(p: Problem, k: int) -> Iterator[Fix]:
    """A block of the found gradient is the true one, or the other way round."""
    found, true = _found(p, k), p.true[k]
    if found.ndim != true.ndim or found.shape == true.shape or not found.size or not true.size:
        return
    if all(a >= b for a, b in zip(found.shape, true.shape, strict=True)):
        for at in itertools.product(
            *(range(a - b + 1) for a, b in zip(found.shape, true.shape, strict=True))
        ):
            if not np.isclose(found[at], true[(0,) * true.ndim], rtol=1e-3, atol=1e-9):
                continue  # quick: the first corner must agree
            block = tuple(slice(i, i + n) for i, n in zip(at, true.shape, strict=True))
            yield Fix(
                f"shape {found.shape} instead of {true.shape}: the padding is not cropped; the "
                f"gradient of {own(p, k)} is the block that starts at {at}",
                "return only the part that belongs to the argument: [..., P:P+H, P:P+W]",
                1.3,
                partial(lambda p, block: _found(p, k)[block], block=block),
            )
    elif all(a <= b for a, b in zip(found.shape, true.shape, strict=True)):
        for at in itertools.product(
            *(range(b - a + 1) for a, b in zip(found.shape, true.shape, strict=True))
        ):
            block = tuple(slice(i, i + n) for i, n in zip(at, found.shape, strict=True))

            def fill(p: Problem, block: tuple[slice, ...] = block) -> Array:
                whole = np.zeros_like(p.true[k])
                whole[block] = _found(p, k)
                return whole

            if p.residual(k, fill(p)) <= 1:
                yield Fix(
                    f"wrong shape {found.shape} instead of {true.shape}: it has the size of the "
                    f"slice that was used, and {own(p, k)} is larger; the rest must be 0",
                    f"begin with np.zeros_like({own(p, k)}) and write into the slice at {at}",
                    1.3,
                    fill,
                )


def _permutations(ndim: int) -> Iterator[Shape]:
    if ndim <= 5:
        yield from (a for a in itertools.permutations(range(ndim)) if a != tuple(range(ndim)))


def rearrangements(shape: Shape) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """The ways to move the entries of an array of this shape that keep its shape, with names."""
    for axes in _permutations(len(shape)):
        if tuple(shape[a] for a in axes) == shape:
            swapped = [a for a in range(len(shape)) if axes[a] != a]
            if len(shape) == 2:
                word = "transposed"
            elif len(swapped) == 2:
                word = f"transposed: axes {swapped[0]} and {swapped[1]} are swapped"
            else:
                word = f"permuted by {axes} (a permutation instead of its inverse?)"
            yield word, partial(lambda a, axes: np.transpose(a, axes), axes=axes)
    if len(shape) == 2 and shape[0] != shape[1] and min(shape) > 1:
        text = "reshaped where it must be transposed"
        yield text, lambda a: a.T.reshape(a.shape)
        yield text + " ", lambda a: a.reshape(a.shape[::-1]).T
    wide = [a for a, n in enumerate(shape) if n > 1]
    for axis in wide:
        yield (
            f"reversed (flipped) along axis {axis}",
            partial(lambda a, axis: np.flip(a, axis), axis=axis),
        )
    if len(wide) > 1:
        last = (wide[-2], wide[-1])
        yield (
            f"rotated by 180 degrees (flipped along axes {last[0]} and {last[1]})",
            lambda a: np.flip(a, last),
        )
    for axis in wide:
        for by in (1, -1):
            if shape[axis] > 2 or by == 1:
                yield (
                    f"off by one: shifted by {-by} along axis {axis}",
                    partial(lambda a, by, axis: np.roll(a, by, axis), by=by, axis=axis),
                )


def moved(p: Problem, k: int) -> Iterator[Fix]:
    """The right entries at the wrong places."""
    both = pair(p, k)
    if both is None or not both[0].any():
        return
    for word, move in rearrangements(both[1].shape):
        yield Fix(
            f"the gradient is {word.strip()}; its entries are right",
            "put the entries back in the order of the argument"
            + (": swap the factors of the product, or use .T" if "transposed" in word else ""),
            1.5,
            partial(lambda p, move: move(_found(p, k)), move=move),
        )
    yield from _shifted(p, k)


def _overlap(shape: Shape, shift: Shape) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where found and true overlap when found[i + shift] belongs to true[i]."""
    there = tuple(slice(max(0, s), n + min(0, s)) for s, n in zip(shift, shape, strict=True))
    here = tuple(slice(max(0, -s), n + min(0, -s)) for s, n in zip(shift, shape, strict=True))
    return there, here


def _shifted(p: Problem, k: int) -> Iterator[Fix]:
    """Cropped or written at an offset: what was moved over the edge is lost."""
    shape = p.true[k].shape
    for shift in itertools.product(*((-2, -1, 0, 1, 2) for _ in shape[-2:])):
        full = (0,) * (len(shape) - len(shift)) + shift
        kept = math.prod(n - abs(s) for n, s in zip(shape, full, strict=True))
        if not any(shift) or any(abs(s) >= n for n, s in zip(shape, full, strict=True)):
            continue
        if 3 * kept < math.prod(shape) or kept < 3:
            continue
        there, here = _overlap(shape, full)

        def apply(
            p: Problem, there: tuple[slice, ...] = there, here: tuple[slice, ...] = here
        ) -> Array | None:
            whole = np.array(p.true[k])  # what was lost cannot be restored; it is not judged
            whole[here] = _found(p, k)[there]
            enough = np.count_nonzero(np.abs(p.true[k][here]) > p.tolerance[k][here]) > 2
            return whole if enough else None

        by = {a: s for a, s in enumerate(full) if s}
        yield Fix(
            "shifted by "
            + " and ".join(f"{s} along axis {a}" for a, s in by.items())
            + ": an offset (off by one), such as padding cropped from the wrong side",
            "start at the offset of the argument: [..., P:P+H, P:P+W], not [..., :H, :W]",
            2.0,
            apply,
        )


def exchanged(p: Problem, k: int) -> Iterator[Fix]:
    """It is the gradient of another argument."""
    for j in range(len(p.wrt)):
        if j == k or _found(p, j).shape != p.true[k].shape or p.residual(k, p.found[j]) > 1:
            continue
        a, b = own(p, k), own(p, j)
        if p.residual(j, p.found[k]) <= 1:
            a, b = (a, b) if k < j else (b, a)
            text = f"the gradients of {a} and {b} are swapped"
            hint = f"return them in the order of the arguments: {a} before {b}"
        else:
            order = _order(p)
            text = (
                f"the gradients are returned in the wrong order: {', '.join(order)}"
                if order
                else f"the gradient of {a} is returned at the place of {b}"
            )
            hint = "return one gradient for each argument, in the order of the arguments"
        yield Fix(text, hint, 1.2, partial(lambda p, j: _found(p, j), j=j))


def _order(p: Problem) -> list[str]:
    """Whose gradient is returned at each place; nothing where they are not all there."""
    names = []
    for j in range(len(p.wrt)):
        fits = [i for i in range(len(p.wrt)) if p.residual(i, p.found[j]) <= 1]
        if not fits:
            return []
        names.append(own(p, fits[0]))
    return names if len(set(names)) == len(names) else []


def where_in(shape: Shape, axis: int, indices: list[int]) -> str:
    """What indices along an axis are called: "the first row", "rows 2 to 4"."""
    one, n = named_axis(shape, axis), shape[axis]
    along = "" if len(shape) < 3 else f" along axis {axis}"
    many = {"entry": "entries"}.get(one, one + "s")
    if indices == [0]:
        return f"the first {one} (index 0){along}"
    if indices == [n - 1]:
        return f"the last {one} (index {n - 1}){along}"
    if len(indices) == 1:
        return f"{one} {indices[0]}{along}"
    if indices == list(range(indices[0], indices[-1] + 1)):
        return f"{many} {indices[0]} to {indices[-1]} of {n}{along}"
    return f"{many} {indices} of {n}{along}"
