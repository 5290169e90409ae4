"""Slips in one instruction of the backward pass: a sign, a transpose, an axis, a number."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis.recording import Ref, Step, fill
from tinynet.check.diagnosis.retraced import Backward, Edit, compute, edit

Say = tuple[str, str]


_SWAPS: dict[Any, list[tuple[str, Callable[..., Any]]]] = {
    np.add: [("-", np.subtract), ("*", np.multiply)],
    np.subtract: [("+", np.add)],
    np.multiply: [("/", np.divide), ("+", np.add), ("-", np.subtract)],
    np.divide: [("*", np.multiply)],
    np.greater: [("<", np.less)],
    np.less: [(">", np.greater)],
    np.greater_equal: [("<", np.less)],
    np.less_equal: [(">", np.greater)],
    np.maximum: [("minimum", np.minimum)],
    np.minimum: [("maximum", np.maximum)],
}
_ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide)


def operators(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """+ for −, × for ÷, < for >; a difference the other way round."""
    step = steps[-1]
    if len(step.args) != 2 or step.into is not None:
        return
    for sign, f in _SWAPS.get(step.function, ()):

        def say(sign: str = sign) -> Say:
            what = "the sign is wrong (+ and - mixed up)"
            if sign in "*/":
                what = "the operation is wrong"
            if sign in "<>":
                what = "the mask is inverted, the comparison the wrong way round"
            if "m" in sign:
                what = "the other side is taken, with the wrong sign"
            return f"In {backward.here(step)} {what}: it must be `{sign}`.", f"Write `{sign}`."

        kind = "sign" if sign in "+-m" else "mask" if sign in "<>" else "operation"
        yield edit(
            steps,
            ("swap", sign),
            kind,
            1.3 if kind != "operation" else 1.7,
            say,
            lambda s, v, f=f: f(*fill(s.args, v)),
        )
    if step.function is np.subtract:

        def reversed_difference() -> Say:
            return (
                f"The sign of the difference in {backward.here(step)} is wrong: it is taken the "
                f"other way round (factor -1).",
                "Exchange the two terms.",
            )

        yield edit(
            steps, ("negate",), "sign", 1.2, reversed_difference, lambda s, v: -compute(s, v)
        )


def _part(backward: Backward, step: Step) -> bool:
    """Whether the step takes a part of an array: with the whole in its place, another question
    would be asked (which entry is the largest?) that may have the same answer by chance.
    """
    if step.function is not operator.getitem:
        return False
    return np.size(backward.values[step.out]) != np.size(backward.values[step.args[0].slot])


def superfluous(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A term or a factor too many; a function that should not be applied."""
    step = steps[-1]
    if step.into is not None:
        return
    if step.function in (*_ARITHMETIC, np.matmul) and len(step.args) == 2:
        for place in (0, 1):
            if step.function in (np.subtract, np.divide) and place == 1:
                continue
            kept, dropped = step.args[place], step.args[1 - place]

            def say(kept: Any = kept, dropped: Any = dropped) -> Say:
                return _too_many(backward, step, kept, dropped)

            yield edit(
                steps,
                ("keep", place),
                "superfluous",
                1.25 if isinstance(dropped, Ref) else 1.4,
                say,
                lambda s, v, i=place: _broadcast(fill(s.args[i], v), s, v),
            )
    elif len(step.reads()) == 1 and isinstance(step.args[0], Ref) and not _part(backward, step):

        def undone() -> Say:
            return (
                f"{backward.here(step)} is one call too many: with "
                f"`{backward.words(step.reads()[0])}` as it is, the gradient is right.",
                "Leave the call out.",
            )

        yield edit(
            steps, ("undo",), "superfluous", 1.9, undone, lambda s, v: np.array(v[s.reads()[0]])
        )


def _broadcast(x: Any, step: Step, values: Sequence[Any]) -> Any:
    """The value, in the shape that the step's own result had."""
    if step.function is np.matmul:
        return x
    return np.array(
        np.broadcast_to(x, np.broadcast_shapes(*map(np.shape, fill(step.args, values))))
    )


def _too_many(backward: Backward, step: Step, kept: Any, dropped: Any) -> Say:
    words = backward.words
    code, line = words.expression(step), step.line
    show = words(dropped.slot) if isinstance(dropped, Ref) else f"{dropped:.6g}"
    rest = words(kept.slot) if isinstance(kept, Ref) else f"{kept:.6g}"
    argument = isinstance(kept, Ref) and kept.slot in words.arguments
    if argument and rest != "g" and step.function in (np.add, np.subtract):
        return (
            f"`{code}` (line {line}) uses `{rest}` after its update: the backward pass needs the "
            f"old weights, as the forward pass used them.",
            f"Compute all gradients first, and update `{rest}` afterwards.",
        )
    if show == "g":
        return (
            f"The upstream gradient `g` is multiplied in twice: `{rest}` in `{code}` (line {line}) "
            f"already holds it.",
            "Leave out the second `g`.",
        )
    if step.function is np.divide and not isinstance(dropped, Ref):
        return (
            f"`{code}` (line {line}) divides by {show} once too often: an extra 1/n, n = {show}; "
            f"`{rest}` was divided by it already, or must not be.",
            f"Leave out `/ {show}`.",
        )
    what = "term" if step.function in (np.add, np.subtract) else "factor"
    if what == "term" and _alike(words.steps, kept, dropped):
        return (
            f"The term `{show}` in `{code}` (line {line}) adds the same path twice: `{rest}` alone "
            f"is the gradient.",
            f"Leave out `{show}`.",
        )
    return (
        f"The {what} `{show}` in `{code}` (line {line}) is one too many: with `{rest}` alone the "
        f"gradient is right.",
        f"Leave out `{show}`.",
    )


def _alike(steps: dict[int, Step], a: Any, b: Any) -> bool:
    """Whether two terms are made by one function of one of the same values."""
    if not isinstance(a, Ref) or not isinstance(b, Ref):
        return False
    first, second = steps.get(a.slot), steps.get(b.slot)
    return (
        first is not None
        and second is not None
        and first.function is second.function
        and bool(set(first.reads()) & set(second.reads()))
    )


def transposes(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A transpose missing, or one too many; a permutation for its inverse."""
    step = steps[-1]
    words, values = backward.words, backward.values
    if step.function in (np.matmul, np.dot, np.multiply):
        for place, x in enumerate(step.args):
            if not isinstance(x, Ref) or np.ndim(values[x.slot]) != 2:
                continue

            def say(x: Ref = x) -> Say:
                return (
                    f"In {backward.here(step)} `{words(x.slot)}` must be transposed: a transpose "
                    f"(.T) is missing, or there is one too many.",
                    f"Transpose `{words(x.slot)}` there.",
                )

            def transposed(s: Step, v: Sequence[Any], i: int = place) -> Any:
                return compute(s, v, **{f"a{i}": np.transpose(fill(s.args[i], v))})

            yield edit(steps, ("transpose", place), "transposed", 1.1, say, transposed)
    if step.function in (np.matmul, np.dot) and len(step.reads()) == 2:

        def order() -> Say:
            a, b = (words(slot) for slot in step.reads())
            return (
                f"The factors of {backward.here(step)} stand in the wrong order (transposed or "
                f"swapped): the product must be `{b} @ {a}`.",
                "Exchange the factors.",
            )

        yield edit(
            steps,
            ("order",),
            "transposed",
            1.15,
            order,
            lambda s, v: np.matmul(*reversed(fill(s.args, v))),
        )
    if step.function in (np.matmul, np.dot) and all(
        np.ndim(x) == 1 for x in fill(step.args, values)
    ):

        def outer() -> Say:
            return (
                f"{backward.here(step)} multiplies two vectors to one number; the gradient is "
                f"their outer product (.T of a 1-d array does nothing).",
                "Use np.outer.",
            )

        yield edit(steps, ("outer",), "outer", 1.1, outer, lambda s, v: np.outer(*fill(s.args, v)))


def rearranged(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A permutation for its inverse, a reshape for a transpose, a running sum the wrong way."""
    step = steps[-1]
    if step.function is np.transpose and len(step.args) > 1 and step.args[1] is not None:

        def inverse() -> Say:
            return (
                f"{backward.here(step)} repeats the permutation of the forward pass; the backward "
                f"pass needs the inverse one, np.argsort(axes).",
                "Use the inverse permutation.",
            )

        yield edit(
            steps,
            ("inverse",),
            "permuted",
            1.0,
            inverse,
            lambda s, v: np.transpose(fill(s.args[0], v), np.argsort(s.args[1])),
        )
    if step.function is np.reshape:

        def reshaped() -> Say:
            return (
                f"{backward.here(step)} is a reshape where a transpose is needed: it keeps the "
                f"order in memory, and so mixes up the axes.",
                "Use .T, or np.transpose with the inverse permutation.",
            )

        yield edit(
            steps,
            ("reshape",),
            "reshape",
            1.1,
            reshaped,
            lambda s, v: np.transpose(fill(s.args[0], v)),
        )
    if step.function is np.cumsum:

        def backwards() -> Say:
            return (
                f"{backward.here(step)} must run in the reverse direction: entry i of the input "
                f"reaches all later sums, so its gradient is the sum of g from i to the end.",
                "Use np.cumsum(g[::-1])[::-1].",
            )

        yield edit(
            steps,
            ("reverse",),
            "reversed",
            1.0,
            backwards,
            lambda s, v: np.flip(compute(s, v, a0=np.flip(fill(s.args[0], v)))),
        )


def reductions(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A sum or a mean over the wrong axis, a mean for a sum."""
    step = steps[-1]
    x = step.args[0] if step.args else None
    if step.function not in (np.sum, np.mean, np.max) or not isinstance(x, Ref):
        return
    ndim = np.ndim(backward.values[x.slot])
    n = np.size(backward.values[x.slot]) // max(1, np.size(backward.values[step.out]))
    others: dict[Any, Any] = {np.sum: np.mean, np.mean: np.sum}
    other = others.get(step.function)
    if other is not None:

        def say() -> Say:
            if step.function is np.mean:
                what, do = "averaged (a mean) where they must be summed", "np.sum"
            else:
                what, do = (
                    f"summed where they must be averaged (the mean, 1/n with n = {n})",
                    "np.mean",
                )
            return f"In {backward.here(step)} the entries are {what}.", f"Use {do}."

        yield edit(
            steps,
            ("mean",),
            "mean",
            1.2,
            say,
            lambda s, v: other(*fill(s.args, v), **s.kwargs),
        )
    kwargs = {k: v for k, v in step.kwargs.items() if k not in ("axis", "keepdims")}
    now = step.kwargs.get("axis", step.args[1] if len(step.args) > 1 else None)
    kept = bool(step.kwargs.get("keepdims", False))
    for axis in (*range(ndim), None):
        for keep in (True, False):
            same = (
                axis == now or (now is not None and axis is not None and axis == now % ndim)
                if (not isinstance(now, tuple))
                else False
            )
            if same and keep == kept:
                continue

            def wrong_axis(axis: Any = axis, keep: bool = keep, same: bool = same) -> Say:
                right = f"axis={axis}" + (", keepdims=True" if keep else "")
                what = "has the wrong keepdims" if same else "runs over the wrong axis"
                return f"{backward.here(step)} {what}: it must be {right}.", f"Use {right}."

            def along(s: Step, v: Sequence[Any], axis: Any = axis, keep: bool = keep) -> Any:
                return s.function(fill(s.args[0], v), axis=axis, keepdims=keep, **kwargs)

            yield edit(steps, ("axis", axis, keep), "axis", 1.2, wrong_axis, along)


def all_axes(backward: Backward) -> Iterator[Edit]:
    """All sums and means along one axis that must run along another."""
    groups: dict[Any, list[Step]] = {}
    for step in backward.program.steps:
        if step.function in (np.sum, np.mean) and type(step.kwargs.get("axis")) is int:
            groups.setdefault((step.function, step.kwargs["axis"]), []).append(step)
    for (_, axis), steps in groups.items():
        ndim = max(np.ndim(backward.values[s.reads()[0]]) for s in steps)
        apart = [s for s in steps if s.kwargs.get("keepdims")]
        for new in range(-1, ndim):
            if new == axis or len(apart) < 2:
                continue

            def say(new: int = new, axis: int = axis, apart: list[Step] = apart) -> Say:
                lines = ", ".join(str(n) for n in dict.fromkeys(s.line for s in apart))
                return (
                    f"The sums and means of lines {lines} run over the wrong axis: {axis}, but the "
                    f"forward pass normalises along axis {new}.",
                    f"Use axis={new}.",
                )

            def along(s: Step, v: Sequence[Any], new: int = new) -> Any:
                return s.function(fill(s.args[0], v), **{**s.kwargs, "axis": new})

            yield edit(apart, ("axes", axis, new), "axis", 1.2, say, along)


def numbers(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A constant of the code that must be another: an exponent, an offset, a tolerance."""
    step = steps[-1]
    compares = step.function in (np.less, np.less_equal, np.greater, np.greater_equal)
    if step.into is not None or not (step.function in (np.power, np.add, np.subtract) or compares):
        return
    for place, c in enumerate(step.args):
        if isinstance(c, Ref) and place == 1 and step.function is np.power:
            yield from _exponents(backward, steps, c)
        if isinstance(c, (bool, Ref)) or np.ndim(c) or not isinstance(c, (int, float, np.number)):
            continue
        kind = "exponent" if step.function is np.power and place == 1 else "constant"
        for new in (c - 1, c + 1, -c, 2 * c, c / 2, 1 - c, c * 1e-6):
            if new == c or (new == c * 1e-6) != compares:
                continue

            def say(new: Any = new, c: Any = c, kind: str = kind) -> Say:
                if compares:
                    return (
                        f"The mask {backward.here(step)} is too wide: the tolerance {c:.6g} also "
                        f"lets near-maximal entries through, ties that are none.",
                        "Compare exactly.",
                    )
                return (
                    f"In {backward.here(step)} the {kind} {c:.6g} must be {new:.6g}.",
                    f"Use {new:.6g}.",
                )

            yield edit(
                steps,
                ("number", place, float(new)),
                "mask" if compares else kind,
                1.3 if kind == "exponent" else 1.7,
                say,
                lambda s, v, i=place, new=new: compute(s, v, **{f"a{i}": new}),
            )
    if compares:
        for place, x in enumerate(step.args):
            if isinstance(x, Ref):

                def absolute(x: Ref = x) -> Say:
                    return (
                        f"{backward.here(step)} must compare the absolute value "
                        f"|{backward.words(x.slot)}| with the threshold: negative entries take the "
                        f"wrong branch.",
                        f"Compare np.abs({backward.words(x.slot)}).",
                    )

                yield edit(
                    steps,
                    ("abs", place),
                    "branch",
                    1.4,
                    absolute,
                    lambda s, v, i=place: compute(s, v, **{f"a{i}": np.abs(fill(s.args[i], v))}),
                )


def _exponents(backward: Backward, steps: list[Step], c: Ref) -> Iterator[Edit]:
    name = backward.words(c.slot)
    for d in (-1, 1):

        def say(d: int = d) -> Say:
            right = f"{name} {'-' if d < 0 else '+'} 1"
            return (
                f"The exponent `{name}` of the power in {backward.here(steps[-1])} must be "
                f"`{right}`.",
                f"Use `{right}`.",
            )

        yield edit(
            steps,
            ("exponent", d),
            "exponent",
            1.2,
            say,
            lambda s, v, d=d: compute(s, v, a1=fill(s.args[1], v) + d),
        )


def exchanged(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """The branches of np.where exchanged; a concatenation in the wrong order."""
    step = steps[-1]
    if step.function is np.where and len(step.args) == 3:

        def say() -> Say:
            return (
                f"The branches of {backward.here(step)} are swapped: the mask is inverted, the "
                f"slope of one side stands on the other.",
                "Exchange the two branches.",
            )

        yield edit(
            steps,
            ("branches",),
            "mask",
            1.1,
            say,
            lambda s, v: compute(s, v, a1=s.args[2], a2=s.args[1]),
        )
    joins = (np.concatenate, np.vstack, np.hstack, np.stack)
    if step.function in joins and isinstance(step.args[0], (list, tuple)):

        def order() -> Say:
            return (
                f"The parts of {backward.here(step)} stand in the wrong order (swapped, shifted).",
                "Put them in the order of the forward pass.",
            )

        yield edit(
            steps,
            ("order",),
            "order",
            1.2,
            order,
            lambda s, v: compute(s, v, a0=type(s.args[0])(reversed(s.args[0]))),
        )
