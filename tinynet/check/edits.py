"""Small repairs of the backward pass: each generator below changes one instruction of the recorded
code in the way that undoes a common slip, and says what the slip is.

Most backward passes are linear in each value that they make. So a wrong factor is not searched but
solved for: with the value replaced by 0 the gradients are A; as they stand they are A + L; and the
true ones are A + c·L if a factor c is all that is wrong.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.flow import Forward
from tinynet.check.meaning import ACTIVATIONS, elementwise
from tinynet.check.problem import Array, Problem
from tinynet.check.recording import Program, Ref, Step, fill, record, refs
from tinynet.check.words import Words

Change = Callable[[Step, Sequence[Any]], Any]


class Edit(NamedTuple):
    """One repair. `key` finds the same edit at another point."""

    key: tuple[Any, ...]
    kind: str
    say: Callable[[], tuple[str, str]]  # message and hint
    cost: float
    line: int
    change: Change


@dataclass
class Backward:
    """The recorded backward pass of a problem, beside its forward pass where that is known."""

    problem: Problem
    forward: Forward | None
    program: Program = field(init=False)
    words: Words = field(init=False)

    def __post_init__(self) -> None:
        assert self.problem.backward is not None
        self.program = record(self.problem.backward, self.problem.g, *self.problem.args)
        self.words = Words(self.program, ["g", *self.problem.names])
        self.arguments = set(self.words.arguments)
        self._values = self.program.values
        self._after: dict[Any, list[Step]] = {}

    def run(self, change: Change | None = None, changed: Sequence[Step] = ()) -> list[Any]:
        """The gradients, with the code changed at the steps `changed`."""
        p = self.problem
        copies = [np.array(x) if isinstance(x, (np.ndarray, float)) else x for x in (p.g, *p.args)]
        if changed:
            key = changed[0].out, len(changed)
            if key not in self._after:
                self._after[key] = self.program.after(changed)
            values = self.program.run(copies, change, self._after[key], self._values)
        else:
            values = self.program.run(copies, change)
        out = fill(self.program.outputs, values)
        return list(out) if isinstance(out, (tuple, list)) else [out]

    def behind(self, k: int) -> set[int]:
        """The slots on which the gradient number k depends."""
        outputs = self.program.outputs
        outputs = outputs[k] if isinstance(outputs, (tuple, list)) else outputs
        memory = self.program.memory
        found = {r.slot for r in refs(outputs)}
        for step in reversed(self.program.steps):
            if step.out in found or step.into is not None and memory[step.into] in found:
                found.update(step.reads())
                found.update(memory[slot] for slot in step.reads())
        return found


def edits(backward: Backward, wrong: Iterable[int]) -> Iterator[Edit]:
    """All repairs that could set a wrong gradient right, place by place."""
    concerned = set().union(*(backward.behind(k) for k in wrong))
    groups = [s for s in backward.program.sites().values() if any(t.out in concerned for t in s)]
    pool = list(factors(backward))
    for steps in groups:
        for generate in (operators, transposes, reductions, assignments, numbers):
            yield from generate(backward, steps)
        yield from operands(backward, steps)
        yield from insertions(backward, steps, pool)


def at(steps: Sequence[Step], new: Callable[[Step, Sequence[Any]], Any]) -> Change:
    """At these steps, compute `new(step, values)` instead."""
    places = {step.out for step in steps}
    return lambda step, values: new(step, values) if step.out in places else step


def compute(step: Step, values: Sequence[Any]) -> Any:
    """The step as it was."""
    return step.function(*fill(step.args, values), **fill(step.kwargs, values))


# -- signs and operators ---------------------------------------------------------------------------

_SWAPS: dict[Any, list[tuple[str, Callable[..., Any]]]] = {
    np.add: [("-", np.subtract), ("*", np.multiply)],
    np.subtract: [("+", np.add)],
    np.multiply: [("/", np.divide), ("+", np.add), ("-", np.subtract)],
    np.divide: [("*", np.multiply)],
    np.greater: [("<", np.less)],
    np.less: [(">", np.greater)],
    np.greater_equal: [("<", np.less)],
    np.less_equal: [(">", np.greater)],
}


def operators(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """+ for −, × for ÷, a term or a factor too many."""
    step = steps[-1]
    words, line = backward.words, step.line
    if len(step.args) != 2 or step.into is not None:
        return
    for sign, f in _SWAPS.get(step.function, ()):

        def say(sign: str = sign) -> tuple[str, str]:
            code = words.expression(step)
            kind = "wrong sign" if sign in "+-" else "wrong operation"
            if sign in "<>":
                kind = "mask inverted, comparison the wrong way round"
            return (
                f"In `{code}` (line {line}) there is a {kind}: it must be `{sign}`.",
                f"Write `{sign}`.",
            )

        cost = 1.3 if sign in "+-<>" else 1.6
        kind = "sign" if sign in "+-" else "mask" if sign in "<>" else "operation"
        yield Edit(
            (step.site, "swap", sign),
            kind,
            say,
            cost,
            line,
            at(steps, lambda s, v, f=f: f(*fill(s.args, v))),
        )
    if step.function in (np.add, np.subtract, np.multiply, np.divide, np.matmul):
        for place in (0, 1):
            if step.function in (np.subtract, np.divide) and place == 1:
                continue
            kept, dropped = step.args[place], step.args[1 - place]

            def say(kept: Any = kept, dropped: Any = dropped) -> tuple[str, str]:
                return _superfluous(backward, step, kept, dropped)

            yield Edit(
                (step.site, "keep", place),
                "superfluous",
                say,
                1.5,
                line,
                at(steps, lambda s, v, i=place: _shaped(fill(s.args[i], v), s, v)),
            )


def _shaped(x: Any, step: Step, values: Sequence[Any]) -> Any:
    """The value, broadcast to the shape that the step's own result had."""
    shape = np.broadcast_shapes(*(np.shape(fill(a, values)) for a in step.args)) if (
        step.function is not np.matmul
    ) else np.shape(x)
    return np.array(np.broadcast_to(x, shape))


def _superfluous(backward: Backward, step: Step, kept: Any, dropped: Any) -> tuple[str, str]:
    words, line = backward.words, step.line
    code = words.expression(step)
    show = words(dropped.slot) if isinstance(dropped, Ref) else str(dropped)
    rest = words(kept.slot) if isinstance(kept, Ref) else str(kept)
    if isinstance(kept, Ref) and kept.slot in backward.arguments:
        if step.function in (np.add, np.subtract) and words.name(step.out) == rest:
            return (
                f"`{rest}` is changed by its own update (`{rest} = {code}`, line {line}) before "
                f"the backward pass is done with it: the old weights are needed here.",
                f"Compute all gradients first, and update `{rest}` afterwards.",
            )
    what = "term" if step.function in (np.add, np.subtract) else "factor"
    return (
        f"The {what} `{show}` in `{code}` (line {line}) is one too many: without it, `{rest}` "
        f"alone, the gradient is right.",
        f"Leave out `{show}`.",
    )


# -- transposes ------------------------------------------------------------------------------------


def transposes(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A transpose missing, or one too many; a permutation for its inverse."""
    step = steps[-1]
    words, line = backward.words, step.line
    if step.function in (np.matmul, np.dot):
        for place, x in enumerate(step.args):
            if isinstance(x, Ref) and np.ndim(backward.program.values[x.slot]) == 2:

                def say(x: Ref = x) -> tuple[str, str]:
                    return (
                        f"In `{words.expression(step)}` (line {line}) `{words(x.slot)}` must be "
                        f"transposed: a transpose (.T) is missing or one too many.",
                        f"Transpose `{words(x.slot)}` there.",
                    )

                yield Edit(
                    (step.site, "transpose", place),
                    "transposed",
                    say,
                    1.1,
                    line,
                    at(steps, lambda s, v, i=place: _with_transposed(s, v, i)),
                )
        if all(np.ndim(fill(x, backward.program.values)) == 1 for x in step.args):

            def outer() -> tuple[str, str]:
                return (
                    f"`{words.expression(step)}` (line {line}) multiplies two vectors to one "
                    f"number; the gradient is their outer product (.T of a 1-d array does "
                    f"nothing).",
                    "Use np.outer.",
                )

            yield Edit(
                (step.site, "outer"),
                "outer",
                outer,
                1.1,
                line,
                at(steps, lambda s, v: np.outer(*fill(s.args, v))),
            )
    if step.function is np.transpose and len(step.args) > 1:

        def inverse() -> tuple[str, str]:
            return (
                f"`{words.expression(step)}` (line {line}) repeats the permutation of the forward "
                f"pass; the backward pass needs the inverse one, np.argsort(axes).",
                "Use the inverse permutation.",
            )

        yield Edit(
            (step.site, "inverse"),
            "permuted",
            inverse,
            1.0,
            line,
            at(steps, lambda s, v: np.transpose(fill(s.args[0], v), np.argsort(s.args[1]))),
        )
    if step.function is np.reshape:

        def reshaped() -> tuple[str, str]:
            return (
                f"`{words.expression(step)}` (line {line}) is a reshape where a transpose is "
                f"needed: it keeps the order in memory and so mixes up rows and columns.",
                "Use .T or np.transpose with the inverse permutation.",
            )

        yield Edit(
            (step.site, "reshape"),
            "reshape",
            reshaped,
            1.1,
            line,
            at(steps, lambda s, v: np.transpose(fill(s.args[0], v))),
        )


def _with_transposed(step: Step, values: Sequence[Any], place: int) -> Any:
    args = list(fill(step.args, values))
    args[place] = np.transpose(args[place])
    return step.function(*args)


# -- reductions ------------------------------------------------------------------------------------


def reductions(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A sum or a mean over the wrong axis, a mean for a sum; a sum that is missing."""
    step = steps[-1]
    words, line = backward.words, step.line
    if step.function not in (np.sum, np.mean, np.max):
        return
    x = step.args[0]
    if not isinstance(x, Ref):
        return
    ndim = np.ndim(backward.program.values[x.slot])
    other = {np.sum: np.mean, np.mean: np.sum}.get(step.function)
    axes: list[Any] = [*range(ndim), *([None] if ndim > 1 else [])]
    now = step.kwargs.get("axis", step.args[1] if len(step.args) > 1 else None)
    n = np.size(backward.program.values[x.slot]) // max(
        1, np.size(backward.program.values[step.out])
    )
    if other is not None:

        def say() -> tuple[str, str]:
            if step.function is np.mean:
                what, do = "averaged (mean) where they must be summed", "np.sum"
            else:
                what, do = f"summed where they must be averaged (1/n, n = {n})", "np.mean"
            return (
                f"In `{words.expression(step)}` (line {line}) the entries are {what}.",
                f"Use {do}.",
            )

        yield Edit(
            (step.site, "mean"),
            "mean",
            say,
            1.2,
            line,
            at(steps, lambda s, v: other(*fill(s.args, v), **s.kwargs)),
        )
    for axis in axes:
        for keep in (True, False):
            if axis == now and keep == bool(step.kwargs.get("keepdims", False)):
                continue

            def wrong_axis(axis: Any = axis, keep: bool = keep) -> tuple[str, str]:
                right = f"axis={axis}" + (", keepdims=True" if keep else "")
                return (
                    f"`{words.expression(step)}` (line {line}) runs over the wrong axis: it must "
                    f"be {right}.",
                    f"Use {right}.",
                )

            kwargs = {k: v for k, v in step.kwargs.items() if k not in ("axis", "keepdims")}
            yield Edit(
                (step.site, "axis", axis, keep),
                "axis",
                wrong_axis,
                1.2,
                line,
                at(
                    steps,
                    lambda s, v, axis=axis, keep=keep, kwargs=kwargs: s.function(
                        fill(s.args[0], v), axis=axis, keepdims=keep, **kwargs
                    ),
                ),
            )


# -- assignments -----------------------------------------------------------------------------------


def assignments(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """`=` for `+=`: the last turn of a loop, or the last of equal indices, is all that is left."""
    step = steps[-1]
    words, line = backward.words, step.line
    program = backward.program
    if step.function is operator.setitem and isinstance(step.args[2], Ref):

        def say() -> tuple[str, str]:
            name = words(step.args[0].slot)
            return (
                f"`{words.expression(step)}` (line {line}) overwrites what is already in `{name}`: "
                f"where several paths or windows meet (overlap, repeated index) the gradients must "
                f"be accumulated with +=.",
                f"Use += (np.add.at where an index is repeated).",
            )

        yield Edit((step.site, "add"), "overwritten", say, 1.0, line, at(steps, _add_into))
    if step.into is None and len(steps) > 1 or words.name(step.out):
        name = words.name(step.out)
        earlier = [
            s
            for s, (n, _) in program.names.items()
            if n == name and s < steps[0].out and s not in words.arguments
        ]
        if name and earlier and np.shape(program.values[earlier[-1]]) == np.shape(
            program.values[step.out]
        ):
            before = earlier[-1]

            def accumulate() -> tuple[str, str]:
                again = "in each turn of the loop, so only the last one is kept" if (
                    len(steps) > 1
                ) else "a second time, so only the second path is kept"
                return (
                    f"`{name}` is overwritten (`{name} = {words.expression(step)}`, line {line}) "
                    f"{again}: gradients of several paths are accumulated with +=.",
                    f"Write `{name} += …`.",
                )

            def change(s: Step, values: Sequence[Any]) -> Any:
                place = next((i for i, t in enumerate(steps) if t.out == s.out), None)
                if place is None:
                    return s
                last = values[before] if place == 0 else values[steps[place - 1].out]
                return last + compute(s, values)

            yield Edit((step.site, "accumulate"), "overwritten", accumulate, 1.0, line, change)


def _add_into(step: Step, values: Sequence[Any]) -> Any:
    target, key, value = fill(step.args, values)
    np.add.at(target, key, value)
    return target


# -- numbers in the code ---------------------------------------------------------------------------


def numbers(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A constant of the code that must be another: an exponent, an offset."""
    step = steps[-1]
    words, line = backward.words, step.line
    if step.into is not None or step.function not in (np.power, np.add, np.subtract):
        return
    for place, c in enumerate(step.args):
        if isinstance(c, bool) or not isinstance(c, (int, float, np.generic)):
            continue
        power = step.function is np.power and place == 1
        for new in (c - 1, c + 1, -c, 2 * c, c / 2, 1 - c):
            if new == c:
                continue

            def say(new: Any = new, c: Any = c, power: bool = power) -> tuple[str, str]:
                what = "exponent" if power else "constant"
                return (
                    f"In `{words.expression(step)}` (line {line}) the {what} {c:.6g} must be "
                    f"{new:.6g}.",
                    f"Use {new:.6g}.",
                )

            yield Edit(
                (step.site, "number", place, float(new)),
                "exponent" if power else "constant",
                say,
                1.3 if power else 1.7,
                line,
                at(
                    steps,
                    lambda s, v, i=place, new=new: s.function(
                        *(new if j == i else fill(x, v) for j, x in enumerate(s.args))
                    ),
                ),
            )


# -- another value in its place --------------------------------------------------------------------


def operands(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """Another of the code's variables, or of the forward pass, in place of an argument."""
    step = steps[-1]
    program, words, line = backward.program, backward.words, step.line
    for place, old in enumerate(step.args):
        if not isinstance(old, Ref) or step.into is not None:
            continue
        value = program.values[old.slot]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fb":
            continue
        for name, slot in _variables(backward, step.out, value):
            if slot == old.slot or len(steps) > 1:
                continue

            def say(name: str = name, old: Ref = old) -> tuple[str, str]:
                return (
                    f"`{words.expression(step)}` (line {line}) uses `{words(old.slot)}` where "
                    f"`{name}` belongs{_called(backward, name)}.",
                    f"Use `{name}` there.",
                )

            yield Edit(
                (step.site, "operand", place, name),
                "other value",
                say,
                1.5,
                line,
                at(
                    steps,
                    lambda s, v, i=place, slot=slot: s.function(
                        *(v[slot] if j == i else fill(x, v) for j, x in enumerate(s.args)),
                        **fill(s.kwargs, v),
                    ),
                ),
            )


def _variables(backward: Backward, before: int, like: Array) -> Iterator[tuple[str, int]]:
    """The named values that exist before a step and have the shape of a value."""
    program = backward.program
    names = {s: n for s, n in backward.words.arguments.items()}
    names.update({s: n for s, (n, _) in program.names.items()})
    for slot, name in names.items():
        x = program.values[slot]
        if slot < before and isinstance(x, np.ndarray) and x.shape == like.shape:
            if x.dtype.kind == "f":
                yield name, slot


def _called(backward: Backward, name: str) -> str:
    if backward.forward is None:
        return ""
    for found in elementwise(backward.forward.program):
        if backward.forward.program.names.get(found.a, ("",))[0] == name:
            return f", the output of the {found.name}"
    return ""


# -- a factor that is missing ----------------------------------------------------------------------


class Factor(NamedTuple):
    """Something that one may have forgotten to multiply by."""

    text: str
    about: str
    cost: float
    value: Callable[[Sequence[Any]], Any]
    shape: tuple[int, ...]
    needs: int


def factors(backward: Backward) -> Iterator[Factor]:
    """The variables of the code, and what derivatives are made of: 1 − a², a(1 − a), z > 0."""
    program = backward.program
    names = {s: n for s, n in backward.words.arguments.items()}
    names.update({s: n for s, (n, _) in program.names.items()})
    derivatives = _derivatives(backward)
    for slot, name in names.items():
        x = program.values[slot]
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "fb":
            continue
        forms: list[tuple[str, Callable[[Any], Any]]] = [
            (name, lambda a: a),
            (f"1 / {name}", lambda a: 1 / a),
        ]
        if x.dtype.kind == "f":
            forms += [
                (f"1 - {name}", lambda a: 1 - a),
                (f"1 - {name}**2", lambda a: 1 - a * a),
                (f"{name} * (1 - {name})", lambda a: a * (1 - a)),
                (f"({name} > 0)", lambda a: (a > 0) * 1.0),
            ]
        for text, f in forms:
            with np.errstate(all="ignore"):
                about = next((d for v, d in derivatives if _equal(f(x), v)), "")
            cost = 1.1 if about else 1.6 if text == name else 1.8
            yield Factor(text, about, cost, lambda v, s=slot, f=f: f(v[s]), x.shape, slot)


def _derivatives(backward: Backward) -> list[tuple[Array, str]]:
    """The values of the derivatives of the forward pass's activations."""
    if backward.forward is None:
        return []
    values = backward.forward.values
    words = Words(backward.forward.program, backward.problem.names)
    return [
        (
            np.asarray(ACTIVATIONS[f.name].derivative(values[f.z], values[f.a])),
            f"the derivative of the {f.name} `{words(f.a)}`",
        )
        for f in elementwise(backward.forward.program)
    ]


def _equal(x: Any, y: Any) -> bool:
    return np.shape(x) == np.shape(y) and bool(np.allclose(x, y, rtol=1e-9, atol=1e-12))


def insertions(backward: Backward, steps: list[Step], pool: list[Factor]) -> Iterator[Edit]:
    """A value multiplied by something that is missing."""
    step = steps[-1]
    words, line = backward.words, step.line
    value = backward.program.values[step.out]
    if step.into is not None or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return
    for factor in pool:
        if factor.needs >= step.out or len(factor.shape) > value.ndim:
            continue
        if any(n not in (1, m) for n, m in zip(factor.shape[::-1], value.shape[::-1], strict=False)):
            continue

        def say(factor: Factor = factor) -> tuple[str, str]:
            place = words.name(step.out)
            here = f"`{place} = {words.expression(step)}`" if place else f"`{words.expression(step)}`"
            about = f", {factor.about}," if factor.about else ""
            return (
                f"{here} (line {line}) is right only up to the factor `{factor.text}`{about} "
                f"which is missing.",
                f"Multiply by `{factor.text}`.",
            )

        yield Edit(
            (step.site, "factor", factor.text),
            "derivative missing" if factor.about else "factor",
            say,
            factor.cost,
            line,
            at(steps, lambda s, v, f=factor: compute(s, v) * f.value(v)),
        )


# -- a constant factor, solved for -----------------------------------------------------------------


def constant_factor(
    backward: Backward, steps: Sequence[Step], now: Sequence[Any], true: Sequence[Array], k: int
) -> float | None:
    """The c that makes the gradient number k right if these steps' values are multiplied by it."""
    try:
        without = backward.run(at(steps, lambda s, v: 0 * compute(s, v)))[k]
    except (TypeError, ValueError, IndexError):
        return None
    if np.shape(without) != np.shape(true[k]):
        return None
    part, rest = np.asarray(now[k]) - without, true[k] - without
    weight = float(np.sum(part * part))
    if not weight or not math.isfinite(weight):
        return None
    c = float(np.sum(part * rest)) / weight
    return c if math.isfinite(c) else None


