"""Slips of memory in the backward pass: = for +=, an array changed under another name, a wrong
index, a statement that erases what was there.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis.paths import own_class
from tinynet.check.diagnosis.recording import Ref, Step, fill
from tinynet.check.diagnosis.retraced import Backward, Edit, compute, edit

Say = tuple[str, str]


def overwritten(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """`=` for `+=`: the last turn of a loop, or the last of equal indices, is all that is left."""
    step = steps[-1]
    words = backward.words
    if step.function is operator.setitem and isinstance(step.args[2], Ref):
        before = words.steps.get(step.args[2].slot)
        added = before is not None and before.into is not None  # x[k] += v: read, add, write

        def say() -> Say:
            if added:
                name = words(step.args[0].slot)
                return (
                    f"`{name}[…] += …` (line {step.line}) adds once for each index, also where an "
                    f"index is repeated: those gradients are overwritten, not accumulated.",
                    "Use np.add.at.",
                )
            return (
                f"`{words.expression(step)}` (line {step.line}) overwrites what is already there: "
                f"where windows overlap or an index is repeated, the gradients must be accumulated "
                f"with +=.",
                "Use += (np.add.at where an index is repeated).",
            )

        index = fill(step.args[1], backward.values)
        repeated = isinstance(index, np.ndarray) and np.unique(index).size < index.size
        cost = 1.0 if len(steps) > 1 or repeated else 1.7
        yield edit(steps, ("add",), "overwritten", cost, say, _add_into)
    if step.function is operator.setitem and not isinstance(step.args[2], Ref):

        def erased() -> Say:
            again = (
                "in each turn of the loop, so only the last one counts"
                if (len(steps) > 1)
                else "and loses what was accumulated"
            )
            return (
                f"`{words.expression(step)}` (line {step.line}) resets the array {again}: the "
                f"gradients of all turns must be added up (accumulated).",
                "Set it to zero once, before the loop.",
            )

        later = steps[1:] if len(steps) > 1 else steps
        cost = 1.1 if len(steps) > 1 else 1.7
        yield edit(later, ("erase",), "overwritten", cost, erased, lambda s, v: v[s.into or 0])
    yield from _rebound(backward, steps)


def _add_into(step: Step, values: Sequence[Any]) -> Any:
    target, key, value = fill(step.args, values)
    np.add.at(target, key, value)
    return target


def _rebound(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A name bound anew where its old value should have been added to."""
    step = steps[-1]
    name = backward.words.name(step.out)
    if step.into is not None or name is None or name not in backward.variables:
        return
    before = backward.latest(name, steps[0].out)
    if before is None or before in backward.words.arguments:
        return
    if np.shape(backward.values[before]) != np.shape(backward.values[step.out]):
        return

    def say() -> Say:
        again = (
            "in each turn of the loop: only the last one is kept"
            if (len(steps) > 1)
            else "the second time: only the last path is kept"
        )
        return (
            f"{backward.here(step)} overwrites `{name}` {again}; the gradients of all paths must "
            f"be accumulated with +=.",
            f"Write `{name} += …`.",
        )

    order = [s.out for s in steps]

    def accumulate(s: Step, values: Sequence[Any]) -> Any:
        place = order.index(s.out)
        return values[order[place - 1] if place else before] + compute(s, values)

    yield edit(steps, ("accumulate",), "overwritten", 1.0, say, accumulate)


def aliases(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """An argument, or g, written into through another name, and read afterwards."""
    writer = steps[0]
    memory, words = backward.program.memory, backward.words
    root = memory[writer.into] if writer.into is not None else -1
    if root not in words.arguments:
        return
    later = [
        s
        for s in backward.program.steps
        if s.out > writer.out and s.into is None and any(memory[r] == root for r in s.reads())
    ]
    name = words.arguments[root]

    def say() -> Say:
        return (
            f"`{words.expression(writer)}` (line {writer.line}) changes `{name}` in place: the "
            f"name on its left is an alias, not a copy, of `{name}`, and the new values are used "
            f"later as if they were the old ones.",
            f"Make a copy first: `{name}.copy()`.",
        )

    for group in ([later] if len(later) > 1 else []) + [[s] for s in later]:
        yield edit(
            group,
            ("alias", writer.site, len(group)),
            "in place",
            1.0,
            say,
            lambda s, v: _with_original(backward, s, v, root),
        )


def _with_original(backward: Backward, step: Step, values: Sequence[Any], root: int) -> Any:
    """The step with the argument as it was given."""
    p, memory = backward.problem, backward.program.memory
    given = np.array(dict(zip(backward.program.inputs, (p.g, *p.args), strict=True))[root])

    def original(_: int, slot: int, x: Any) -> Any:
        return given if memory[slot] == root and np.shape(x) == given.shape else x

    return step.compute(values, original)


def indices(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """An index or a slice that is off: by one, by a stride, or the wrong counter."""
    step = steps[-1]
    if step.function not in (operator.getitem, operator.setitem):
        return
    together = _same_key(backward, steps)
    if not together or together[0].out != steps[0].out:
        return  # x[k] += v reads and writes at one key: changed together, and once
    steps = together
    whole = [i for i, x in enumerate(_parts(step)) if type(x) is int]
    sliced = [i for i, x in enumerate(_parts(step)) if type(x) is slice and _bounded(x)]
    for i in whole:
        for d in (-1, 1):
            yield _moved(backward, steps, (i,), d, 1)
        for name in step.counters:
            if all(_parts(s)[i] == s.counters.get(name) for s in steps):
                continue
            if len(steps) > 1 and all(name in s.counters for s in steps):
                yield _counter(backward, steps, i, name)
    for places in ([tuple(sliced)] if len(sliced) > 1 else []) + [(i,) for i in sliced]:
        for d in (-2, -1, 1, 2):
            yield _moved(backward, steps, places, d, 1)
        for stride in (2, 3):
            yield _moved(backward, steps, places, 0, stride)


def _same_key(backward: Backward, steps: list[Step]) -> list[Step]:
    """The steps of one instruction, and those of the same line with the same keys."""
    line = [
        group
        for group in backward.program.sites().values()
        if group[0].line == steps[0].line
        and len(group) == len(steps)
        and group[0].function in (operator.getitem, operator.setitem)
        and all(str(a.args[1]) == str(b.args[1]) for a, b in zip(group, steps, strict=True))
    ]
    return sorted((s for group in line for s in group), key=lambda s: s.out)


def strides(backward: Backward) -> Iterator[Edit]:
    """A stride left out of all window positions."""
    windows = [
        s
        for s in backward.program.steps
        if s.function in (operator.getitem, operator.setitem)
        and sum(type(x) is slice and _bounded(x) for x in _parts(s)) > 1
    ]
    places = {
        tuple(i for i, x in enumerate(_parts(s)) if type(x) is slice and _bounded(x))
        for s in windows
    }
    if len(places) == 1:
        for stride in (2, 3, 4):
            yield _moved(backward, windows, next(iter(places)), 0, stride)


def _parts(step: Step) -> tuple[Any, ...]:
    key = step.args[1]
    return key if isinstance(key, tuple) else (key,)


def _bounded(x: slice) -> bool:
    return type(x.stop) is int and x.step is None and type(x.start) in (int, type(None))


def _moved(
    backward: Backward, steps: list[Step], places: tuple[int, ...], d: int, stride: int
) -> Edit:
    """The same key with the parts at `places` moved by d, or their starts times a stride."""
    step = steps[-1]

    def move(x: Any) -> Any:
        if type(x) is int:
            return x + d
        start = x.start or 0
        return slice(start * stride + d, x.stop - start + start * stride + d)

    def new(s: Step, v: Sequence[Any]) -> Any:
        key = tuple(move(x) if i in places else x for i, x in enumerate(_parts(s)))
        if any(type(x) is slice and type(x.start) is int and x.start < 0 for x in key):
            raise IndexError("a slice may not start before the array does")
        y = compute(s, v, a1=key)
        return y if s.into is None else v[s.into]

    def say() -> Say:
        if stride > 1:
            what = f"ignores the stride: the window position must be multiplied by {stride}"
        elif isinstance(_parts(step)[places[0]], slice):
            what = f"is shifted by {-d}: the window or the padding is cut off at the wrong offset"
        else:
            what = f"is off by one: the index must be {'one more' if d > 0 else 'one less'}"
        return f"The index in {backward.here(step)} {what}.", "Correct the index."

    cost = 1.3 if stride > 1 or len(places) > 1 else 1.6
    return edit(steps, ("moved", places, d, stride), "index", cost, say, new)


def _counter(backward: Backward, steps: list[Step], i: int, name: str) -> Edit:
    step = steps[-1]

    def new(s: Step, v: Sequence[Any]) -> Any:
        key = tuple(s.counters[name] if j == i else x for j, x in enumerate(_parts(s)))
        y = compute(s, v, a1=key)
        return y if s.into is None else v[s.into]

    def say() -> Say:
        old = [
            c for c, x in step.counters.items() if all(s.counters[c] == _parts(s)[i] for s in steps)
        ]
        was = f"`{old[0]}`" if old else str(_parts(step)[i])
        return (
            f"The wrong index along axis {i} in {backward.here(step)}: {was} where `{name}` belongs"
            f"{' (the other channel)' if name in 'oc' else ''}.",
            f"Use `{name}`.",
        )

    return edit(steps, ("counter", i, name), "index", 1.4, say, new)


def labels(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """The entries of an index array: whole columns, or row and column exchanged."""
    step = steps[-1]
    if step.function not in (operator.getitem, operator.setitem):
        return
    together = _same_key(backward, steps)
    key = fill(_parts(step), backward.values)
    if not together or together[0].out != steps[0].out or len(key) != 2:
        return
    index = [isinstance(x, np.ndarray) and x.dtype.kind in "iu" for x in key]
    menu: list[tuple[str, str, Any]] = []
    if all(index):
        menu.append(
            ("swapped", "are swapped (transposed): the label stands on the wrong axis", (1, 0))
        )
    if sum(index) == 1 and isinstance(key[index.index(False)], slice):
        menu.append(
            (
                "arange",
                "take whole columns or rows instead of one entry for each example: the other index "
                "must be np.arange, as in x[np.arange(n), labels]",
                None,
            )
        )
    for name, what, order in menu:

        def new(s: Step, v: Sequence[Any], order: Any = order) -> Any:
            parts = fill(_parts(s), v)
            if order is not None:
                parts = tuple(parts[i] for i in order)
            else:
                n = next(x.size for x in parts if isinstance(x, np.ndarray))
                parts = tuple(np.arange(n) if isinstance(x, slice) else x for x in parts)
            y = compute(s, v, a1=parts)
            return y if s.into is None else v[s.into]

        def say(what: str = what) -> Say:
            return f"The indices of {backward.here(step)} {what}.", "Correct the index."

        # x[k] += c reads, adds and writes: the middle step must see the new shapes too.
        yield edit(together, ("labels", name), "index", 1.1, say, new)


def unsubtracted(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """The 1 of the true class that softmax minus one-hot needs."""
    step, forward = steps[-1], backward.forward
    value = backward.values[step.out]
    if forward is None or len(steps) > 1 or step.into is not None or np.ndim(value) != 2:
        return
    for theirs in forward.program.steps:
        if theirs.function is not operator.getitem or not own_class(forward, theirs):
            continue
        if np.shape(forward.values[theirs.reads()[0]]) != np.shape(value):
            continue

        def say() -> Say:
            return (
                f"The 1 of the right class is not subtracted from {backward.here(step)}: the "
                f"gradient is the softmax minus the one-hot label.",
                "Subtract 1 at [np.arange(n), labels].",
            )

        def new(s: Step, v: Sequence[Any], theirs: Step = theirs) -> Any:
            y = np.array(compute(s, v))
            y[fill(theirs.args[1], forward.values)] -= 1
            return y

        yield edit(steps, ("label", theirs.out), "missing term", 1.1, say, new)


def slices_exchanged(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """Two parts of one array taken for each other."""
    step = steps[-1]
    if step.function is not operator.getitem or not isinstance(step.args[0], Ref):
        return
    for others in backward.program.sites().values():
        other = others[-1]
        if (
            other.function is operator.getitem
            and other.out > step.out
            and len(others) == len(steps)
            and other.args[0] == step.args[0]
            and np.shape(backward.values[other.out]) == np.shape(backward.values[step.out])
            and str(other.args[1]) != str(step.args[1])
        ):
            keys = {a.out: b.args[1] for a, b in zip(steps, others, strict=True)}
            keys |= {b.out: a.args[1] for a, b in zip(steps, others, strict=True)}

            def say(other: Step = other) -> Say:
                return (
                    f"{backward.here(step)} and {backward.here(other)} are swapped: each takes the "
                    f"slice of the other (the parts of the concatenated input).",
                    "Exchange the two slices.",
                )

            yield edit(
                [*steps, *others],
                ("slices", other.site),
                "slice",
                1.1,
                say,
                lambda s, v, keys=keys: compute(s, v, a1=keys[s.out]),
            )
