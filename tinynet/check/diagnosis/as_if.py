"""What the learner seems to have differentiated instead: each generator below changes one thing in
the forward pass, in the way that a common mistake does, and says what that mistake is.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet.check.diagnosis.fix import sizes
from tinynet.check.diagnosis.flow import Change, Forward, as_if
from tinynet.check.diagnosis.meaning import ACTIVATIONS, Found
from tinynet.check.diagnosis.recording import Ref, Step, fill, nested
from tinynet.check.diagnosis.words import Words
from tinynet.tensor import Tensor


class Hypothesis(NamedTuple):
    """A mistake: what it is called, in words, what to do, how far-fetched it is, and the forward
    pass that it differentiates.
    """

    kind: str
    message: str
    hint: str
    cost: float
    change: Change


def hypotheses(forward: Forward) -> Iterator[Hypothesis]:
    """All of them, for one forward pass."""
    words = Words(forward.program, forward.problem.names)
    groups = [
        steps for steps in forward.program.sites().values() if steps[0].out in forward.depends
    ]
    for generate in (missing_paths, constants, products, powers):
        for steps in groups:
            yield from generate(forward, words, steps)
    yield from statistics(forward, words, groups)
    yield from passed_through(forward, words)
    yield from time(forward, words, groups)
    for found in _grouped(forward, forward.activations):
        yield from derivatives(forward, words, found)
        yield from gates(forward, words, found)
    for found in _grouped(forward, forward.softmaxes):
        yield from jacobians(forward, words, found)


def _grouped(forward: Forward, found: Iterable[Found]) -> list[list[Found]]:
    """The same function at the same place of the code, in all turns of a loop."""
    sites = {step.out: step.site for step in forward.program.steps}
    groups: dict[Any, list[Found]] = {}
    for f in found:
        if f.z in forward.depends:
            groups.setdefault((f.name, f.axis, sites[f.a], sites.get(f.z)), []).append(f)
    return list(groups.values())


# -- changes of the forward pass -------------------------------------------------------------------


def _at(steps: Sequence[Step], wrong: Callable[[Step, Sequence[Any]], Any]) -> Change:
    """At these steps, differentiate `wrong(step, values)` instead."""
    places = {step.out for step in steps}

    def change(step: Step, values: Sequence[Any]) -> Any:
        if step.out not in places or step.into is not None:
            return step
        return as_if(step, values, wrong(step, values))

    return change


def _with(step: Step, values: Sequence[Any], place: int, use: Callable[[Any], Any]) -> Any:
    """The step's result with its argument number `place` (of those that are values) replaced."""
    count = iter(range(10**9))

    def put(x: Any) -> Any:
        if type(x) is not Ref:
            return x
        value = values[x.slot]
        return use(value) if next(count) == place else value

    return step.function(*nested(step.args, put), **nested(step.kwargs, put))


def _detach(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _derivative(found: Sequence[Found], slope: Callable[[Any, Any], Any]) -> Change:
    """As if the derivative of the function were slope(z, a)."""
    places = {f.a: f.z for f in found}

    def change(step: Step, values: Sequence[Any]) -> Any:
        z = places.get(step.out)
        if z is None:
            return step
        a = step.function(*fill(step.args, values), **fill(step.kwargs, values))
        with np.errstate(all="ignore"):
            s = Tensor(np.asarray(slope(values[z].array, a.array), dtype=float))
        return as_if(step, values, values[z] * s)

    return change


def _map_gradient(found: Sequence[Found], rule: Callable[[Any, Any], Any]) -> Change:
    """As if the backward of the function were rule(g, a)."""
    places = {f.a: f.z for f in found}

    def change(step: Step, values: Sequence[Any]) -> Any:
        z = places.get(step.out)
        if z is None:
            return step
        y = as_if(step, values, values[z])
        a = y.array.copy()
        y.register_hook(lambda g: Tensor(np.asarray(rule(g.array, a))))
        return y

    return change


# -- a path that was forgotten ---------------------------------------------------------------------


def missing_paths(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """One argument of a step treated as a constant."""
    for place, slot in enumerate(steps[-1].reads()):
        if slot not in forward.depends:
            continue

        def wrong(step: Step, values: Sequence[Any], place: int = place) -> Any:
            return _with(step, values, place, _detach)

        carried = _carried(forward, steps, place)
        kind, message, hint, cost = _path_in_words(forward, words, steps, place, slot)
        yield Hypothesis(kind, message, hint, cost, _at(steps[1:] if carried else steps, wrong))


def _path_in_words(
    forward: Forward, words: Words, steps: list[Step], place: int, slot: int
) -> tuple[str, str, str, float]:
    step = steps[-1]
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    if _carried(forward, steps, place):
        h = words(slot)
        return (
            "recurrent",
            f"The gradient that comes back through time is missing: in {here} `{h}` is the hidden "
            f"state of the previous time step, and the gradient from the next step is never added.",
            f"In the backward loop, add to the gradient of `{h}` what the next time step sends back.",
            1.0,
        )
    statistic = _statistic(forward, slot)
    if statistic:
        return (
            "statistic",
            f"The {statistic} is treated as a constant: in {here} it depends on the input, and "
            f"that path is missing from the gradient (a normalisation has one term for each).",
            f"Add the path through the {statistic}.",
            1.2,
        )
    if step.function is operator.getitem and own_class(forward, step):
        return (
            "missing term",
            f"The path through {here} is missing from the gradient: the score of each row's true "
            f"class (its label) gets no gradient.",
            "Add the gradient of the true class.",
            1.1,
        )
    if step.function is np.where:
        return (
            "branch",
            f"The branch `{words(slot)}` of {here} is missing from the gradient: its slope on that "
            f"side is not zero.",
            "Give each branch its own slope.",
            1.2,
        )
    uses = sum(s.reads().count(slot) for s in forward.program.steps)
    if uses > 1 or slot in words.arguments:
        inner = ""
        if len(step.reads()) == 1 and step.function not in (np.transpose, np.reshape, np.sum):
            inner = " (chain rule: the inner derivative of that term)"
        elif step.function is np.add:
            inner = " (the skip, or residual, path)"
        return (
            "missing term",
            f"`{words(slot)}` is used more than once, and its path through {here} is missing from "
            f"the gradient{inner}: the gradients of all paths are added (accumulated with +=).",
            f"Add the missing term of `{words(slot)}`.",
            1.5,
        )
    return (
        "missing path",
        f"The path through `{words(slot)}` in {here} is missing from the gradient: it is treated "
        f"as a constant.",
        f"Differentiate `{words(slot)}` too, and add its term.",
        2.0,
    )


def _carried(forward: Forward, steps: list[Step], place: int) -> bool:
    """Whether the argument is what the turn before left behind."""
    if len(steps) < 2:
        return False
    same = [s for s in forward.program.sites().values() if len(s) == len(steps)]
    starts = [step.out for step in min(same, key=lambda s: s[0].out)]
    return all(starts[i - 1] <= steps[i].reads()[place] < starts[i] for i in range(1, len(steps)))


def own_class(forward: Forward, step: Step) -> bool:
    """Whether a step's key is (0, 1, 2, …), labels: one entry of each row."""
    key = step.args[1]
    if not isinstance(key, tuple) or len(key) != 2:
        return False
    rows, labels = fill(key, forward.values)
    return (
        isinstance(rows, np.ndarray)
        and np.array_equal(rows, np.arange(rows.size))
        and isinstance(labels, np.ndarray)
        and labels.dtype.kind in "iu"
    )


_STATISTICS = {np.mean: "mean", np.var: "variance", np.std: "standard deviation"}


def _statistic(forward: Forward, slot: int, depth: int = 4) -> str:
    """The statistic that a value is, up to a root, a reshape and an epsilon."""
    step = next((s for s in forward.program.steps if s.out == slot), None)
    if step is None or not depth:
        return ""
    if step.function in _STATISTICS:
        return _STATISTICS[step.function]
    if step.function is np.linalg.norm:
        return "norm"
    if step.function is np.sum:
        inner = step.reads()[0]
        before = next((s for s in forward.program.steps if s.out == inner), None)
        if before is not None and before.function in (np.square, np.power):
            return "norm"
        if before is not None and before.function is np.exp:
            return "sum in the softmax (its Jacobian has off-diagonal terms) "
    if step.function in (np.sqrt, np.reshape, np.add, np.power, np.divide, np.expand_dims):
        inputs = [s for s in step.reads() if s in forward.depends]
        if len(inputs) == 1:
            return _statistic(forward, inputs[0], depth - 1)
    return ""


def statistics(forward: Forward, words: Words, groups: list[list[Step]]) -> Iterator[Hypothesis]:
    """Mean and variance both taken for constants, or both differentiated as sums."""
    own = [s for steps in groups for s in steps if s.function in _STATISTICS]
    if len(own) < 2:
        return
    names = " and ".join(dict.fromkeys(_STATISTICS[s.function] for s in own))
    lines = ", ".join(str(n) for n in dict.fromkeys(s.line for s in own))
    n = np.size(forward.values[own[0].reads()[0]]) // max(1, np.size(forward.values[own[0].out]))
    yield Hypothesis(
        "statistic",
        f"The {names} (line {lines} of the forward pass) are treated as constants: they depend on "
        f"the input too, and their terms are missing from the gradient of the normalisation.",
        "Add the terms of both.",
        1.2,
        _at(own, lambda s, v: _with(s, v, 0, _detach)),
    )
    yield Hypothesis(
        "factor",
        f"The factor 1/n is missing in the terms of the {names} (line {lines} of the forward pass): "
        f"they are averages over n = {n} entries, so their gradients are divided by n.",
        f"Divide both terms by {n}.",
        1.2,
        _at(own, lambda s, v: n * s.function(*fill(s.args, v), **fill(s.kwargs, v))),
    )


def passed_through(forward: Forward, words: Words) -> Iterator[Hypothesis]:
    """The gradient of a function of an argument handed to the argument unchanged."""
    for slot, name in words.arguments.items():
        for step in forward.program.steps:
            if slot not in forward.depends or step.out not in forward.depends:
                continue
            if np.shape(forward.values[step.out]) != np.shape(forward.values[slot]):
                continue

            def change(
                s: Step, values: Sequence[Any], out: int = step.out, slot: int = slot
            ) -> Any:
                return as_if(s, values, values[slot]) if s.out == out else s

            what = "the normalised" if step.function is np.divide else "its function"
            yield Hypothesis(
                "passed through",
                f"The gradient of `{words(step.out)}` (line {step.line} of the forward pass) is "
                f"handed to `{name}` unchanged: the local derivative (chain rule) from {what} "
                f"`{words.expression(step)}` back to `{name}` is missing.",
                f"Multiply by the derivative of `{words.expression(step)}`.",
                1.7,
                change,
            )


# -- time ------------------------------------------------------------------------------------------


def time(forward: Forward, words: Words, groups: list[list[Step]]) -> Iterator[Hypothesis]:
    """Steps of time that get no gradient: of their own output, of the first turns, of all later
    ones.
    """
    carried = [
        (steps, place)
        for steps in groups
        for place in range(len(steps[-1].reads()))
        if _carried(forward, steps, place)
    ]
    if not carried:
        return
    turns = max(len(steps) for steps, _ in carried)
    states = " and ".join(dict.fromkeys(words(steps[-1].reads()[p]) for steps, p in carried))
    if len(carried) > 1:
        change = _all(
            [_at(steps[1:], lambda s, v, p=p: _with(s, v, p, _detach)) for steps, p in carried]
        )
        yield Hypothesis(
            "recurrent",
            f"No gradient comes back through time: that of the hidden state and cell ({states}) is "
            f"not carried from one time step to the one before it.",
            "Update the carried gradients in the loop.",
            1.1,
            change,
        )
    for step in forward.program.steps:
        if step.function in (np.stack, np.concatenate) and len(step.reads()) == turns:
            yield Hypothesis(
                "recurrent",
                f"Each time step's own upstream gradient is ignored: only that of the last output "
                f"in `{words.expression(step, 1)}` (line {step.line}) is sent back through time.",
                "Add g[t] to the gradient of the hidden state in each turn of the loop.",
                1.1,
                _at([step], _last_only),
            )
    looped = [steps for steps in groups if len(steps) == turns]
    for k in range(1, turns):
        early = [s for steps in looped for s in steps[:k]]
        yield Hypothesis(
            "truncated",
            f"The loop back through time stops too early: the first {k} of {turns} time steps are "
            f"never reached (the loop runs over the wrong number of steps, it is truncated).",
            f"Run the loop over all {turns} time steps.",
            1.1 + 0.01 * k,
            _at(early, lambda s, v: _detach(s.function(*fill(s.args, v), **fill(s.kwargs, v)))),
        )


def _all(changes: Sequence[Change]) -> Change:
    def change(step: Step, values: Sequence[Any]) -> Any:
        for one in changes:
            y = one(step, values)
            if y is not step:
                return y
        return step

    return change


def _last_only(step: Step, values: Sequence[Any]) -> Any:
    last = step.reads()[-1]

    def put(x: Any) -> Any:
        if type(x) is not Ref:
            return x
        return values[x.slot] if x.slot == last else _detach(values[x.slot])

    return step.function(*nested(step.args, put), **nested(step.kwargs, put))


# -- a factor, a power -----------------------------------------------------------------------------


def constants(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """A constant factor or divisor of one step left out; a mean differentiated as a sum."""
    step = steps[-1]
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    if step.function in (np.multiply, np.divide) and len(step.reads()) == len(step.args) - 1:
        numbers = [i for i, x in enumerate(step.args) if not isinstance(x, Ref)]
        if step.function is np.multiply or numbers == [1]:
            c = step.args[numbers[0]]
            if np.ndim(c) == 0 and c not in (0, 1):
                shown = f"{c:.6g}" if step.function is np.multiply else f"1/{c:.6g}"
                size = sizes(forward.problem).get(int(c)) if c == int(c) else None
                count = f": not divided by n = {c}, {size} (the batch size?)" if size else ""
                yield Hypothesis(
                    "factor",
                    f"The constant factor {shown} of {here} is missing from the gradient"
                    f"{_root(c)}{count}.",
                    f"Multiply by {shown} where that step is differentiated.",
                    1.2,
                    _at(steps, lambda step, values: values[step.reads()[0]]),
                )
    if step.function is np.mean:
        n = np.size(forward.values[step.reads()[0]]) // max(1, np.size(forward.values[step.out]))
        yield Hypothesis(
            "factor",
            f"The mean in {here} is differentiated as if it were a sum: the factor 1/n = 1/{n} is "
            f"missing (divide by the number of entries, {n}).",
            f"Divide by {n}.",
            1.1,
            _at(steps, lambda s, v: np.sum(*fill(s.args, v), **fill(s.kwargs, v))),
        )
    if step.function in (np.var, np.std):
        n = np.size(forward.values[step.reads()[0]]) // max(1, np.size(forward.values[step.out]))
        ddof = step.kwargs.get("ddof", 0)
        other = 0 if ddof else 1
        yield Hypothesis(
            "ddof",
            f"The {_STATISTICS[step.function]} in {here} divides by "
            f"{'n - 1 (ddof=1, Bessel)' if ddof else 'n (ddof=0)'} = {n - ddof}, but its gradient "
            f"by {'n - 1' if other else 'n'} = {n - other}.",
            f"Use {n - ddof} in the gradient of the variance as well.",
            1.2,
            _at(
                steps,
                lambda s, v: s.function(*fill(s.args, v), **{**fill(s.kwargs, v), "ddof": other}),
            ),
        )


def _root(c: Any) -> str:
    square = float(1 / c**2) if abs(c) < 1 else float(c) ** 2
    n = round(square)
    exact = n > 1 and math.isclose(square, n, rel_tol=1e-9) and not float(c).is_integer()
    return f", the scale sqrt({n})" if exact else ""


def powers(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """x**n and c**x with the wrong power rule."""
    step = steps[-1]
    if step.function is not np.power or len(step.reads()) != 1:
        return
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    base, exponent = step.args
    if isinstance(base, Ref):
        menu: list[tuple[str, Callable[[Any], Any]]] = [
            (f"its factor {exponent:.6g} is missing", lambda x: x**exponent / exponent),
            ("the exponent was not lowered by 1", lambda x: x ** (exponent + 1) * _ratio(exponent)),
        ]
        right = f"{exponent:.6g} * x**{exponent - 1:.6g}"
    else:
        menu = [
            ("it is taken as that of x**a, a power of x", lambda x: x**base),
            ("its factor log(a) is missing", lambda x: base**x / math.log(base)),
        ]
        right = "a**x * log(a)"
    for what, f in menu:
        yield Hypothesis(
            "power",
            f"The derivative of the power {here} is wrong: {what}; it is {right}.",
            "Use the power rule as given.",
            1.2,
            _at(steps, lambda s, v, f=f: f(v[s.reads()[0]])),
        )


def _ratio(n: float) -> float:
    return n / (n + 1)


# -- products --------------------------------------------------------------------------------------


def products(forward: Forward, words: Words, steps: list[Step]) -> Iterator[Hypothesis]:
    """One factor of a product with the other factor transposed, or with another value in its
    place.
    """
    step = steps[-1]
    if step.function not in (np.matmul, np.multiply, np.dot, np.divide) or len(step.args) != 2:
        return
    slots = step.reads()
    if len(slots) != 2:
        return
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    for place in (0, 1):
        mine, other = slots[place], slots[1 - place]
        if mine not in forward.depends:
            continue
        value = forward.values[other]
        if step.function is np.multiply and np.shape(value) == np.shape(forward.values[mine]):
            gate = _what(forward, other)
            gate = gate.replace("its forward value", "a gate") if "sigmoid" in gate else ""
            yield Hypothesis(
                "factor",
                f"In the gradient of `{words(mine)}` through {here} the factor `{words(other)}`"
                f"{gate} is missing.",
                f"Multiply by `{words(other)}`.",
                1.2,
                _partner(steps, place, lambda _, x: Tensor(np.ones(x.shape))),
            )
        if (
            step.function is not np.multiply
            and value.ndim == 2
            and value.shape[0] == value.shape[1]
        ):
            for name, f in (("transposed", np.transpose), ("inverted", _inverse)):
                yield Hypothesis(
                    "transposed",
                    f"In the gradient of `{words(mine)}` through {here} the matrix `{words(other)}` "
                    + (
                        "is not transposed: the backward multiplies by its transpose, .T."
                        if name == "transposed"
                        else "is inverted; it must be transposed (.T), not inverted."
                    ),
                    f"Multiply by `{words(other)}.T`.",
                    1.1,
                    _partner(steps, place, lambda _, x, f=f: f(x)),
                )
        yield from _other_values(forward, words, steps, place)


def _inverse(x: Any) -> Any:
    return Tensor(np.linalg.inv(x.array).T)


def _partner(steps: Sequence[Step], place: int, use: Callable[[Step, Any], Any]) -> Change:
    """For the gradient of argument `place`, the other argument is use(step, it)."""

    def wrong(step: Step, values: Sequence[Any]) -> Any:
        slots = step.reads()
        mine, other = values[slots[place]], values[slots[1 - place]]
        swapped = use(step, _detach(other))
        pair, changed = (_detach(mine), other), (mine, swapped)
        if place:
            pair, changed = pair[::-1], changed[::-1]
        y, z = step.function(*pair), step.function(*changed)
        return z + (y - y.detach()) if isinstance(y, Tensor) else z

    return _at(steps, wrong)


def _other_values(
    forward: Forward, words: Words, steps: list[Step], place: int
) -> Iterator[Hypothesis]:
    """Another value of the same shape in place of a factor: the neighbour in time, z for a."""
    step = steps[-1]
    slots = step.reads()
    mine, other = slots[place], slots[1 - place]
    shape = np.shape(forward.values[other])
    here = f"`{words.expression(step)}` (line {step.line} of the forward pass)"
    if len(steps) > 1 and _carried(forward, steps, 1 - place):
        nexts = [s.reads()[1 - place] for s in steps[1:]]
        last = words.name(nexts[-1])
        after = [s for s, (n, _) in forward.program.names.items() if n == last and s > nexts[-1]]
        if after:
            follow = dict(zip([s.out for s in steps], [*nexts, after[0]], strict=True))
            yield Hypothesis(
                "time step",
                f"The gradient of `{words(mine)}` through {here} uses the hidden state `{last}` of "
                f"the current time step; it was multiplied with the previous one, h_{{t-1}} (off "
                f"by one).",
                f"Use `{last}` as it was before the step.",
                1.3,
                _partner(steps, place, _from(forward, follow)),
            )
        return
    if len(steps) > 1:
        return
    for slot, (name, _) in forward.program.names.items():
        value = forward.values[slot]
        if slot == other or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            continue
        if value.shape == shape and not np.array_equal(value, forward.values[other]):
            yield Hypothesis(
                "other value",
                f"The gradient of `{words(mine)}` through {here} is built from `{name}` instead of "
                f"`{words(other)}`{_what(forward, other)}.",
                f"Use `{words(other)}` there.",
                1.6,
                _partner(steps, place, _from(forward, {step.out: slot})),
            )


def _what(forward: Forward, slot: int) -> str:
    for found in (*forward.softmaxes, *forward.activations):
        part = next((s for s in forward.program.steps if s.out == slot), None)
        if found.a == slot or (
            part is not None and part.function is operator.getitem and found.a in part.reads()
        ):
            return f", the output of the {found.name} (its forward value)"
    return ""


def _from(forward: Forward, slots: dict[int, int]) -> Callable[[Step, Any], Any]:
    return lambda step, _: Tensor(np.array(forward.values[slots[step.out]]))


# -- an activation's derivative --------------------------------------------------------------------

NONLINEARITIES = ("tanh", "sigmoid", "sigmoid of -z", "ReLU", "softplus", "SiLU")
_WRONG_SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "a": lambda _, a: a,
    "z": lambda z, _: z,
    "1 - a": lambda _, a: 1 - a,
    "1 + a**2": lambda _, a: 1 + a * a,
    "-a**2": lambda _, a: -a * a,
    "a * (1 - a)": lambda _, a: a * (1 - a),
    "1 - a**2": lambda _, a: 1 - a * a,
    "1 - z**2": lambda z, _: 1 - z * z,
    "z * (1 - z)": lambda z, _: z * (1 - z),
    "1 / a": lambda _, a: 1 / a,
    "1 / z": lambda z, _: 1 / z,
    "a > 0": lambda _, a: (a > 0) * 1.0,
    "z > 0": lambda z, _: (z > 0) * 1.0,
    "z < 0": lambda z, _: (z < 0) * 1.0,
    "sign(z)": lambda z, _: np.sign(z),
}


def derivatives(forward: Forward, words: Words, found: list[Found]) -> Iterator[Hypothesis]:
    """The derivative of an activation missing, written wrongly, or taken at the wrong place."""
    last = found[-1]
    f = ACTIVATIONS[last.name]
    values = forward.values[last.z], forward.values[last.a]
    z, a = words(last.z), words(last.a)
    here = f"{f.name} of `{z}`"
    right = f"the derivative of the {f.name} is {f.formula} (a is its output)"
    if f.name == "ReLU":
        right = "its derivative is the mask z > 0"
    hint = f"Multiply the gradient at `{a}` by {f.formula}, to get that at `{z}`."

    def hypothesis(kind: str, what: str, cost: float, slope: Any) -> Hypothesis:
        message = f"{what}: {right}."
        extra = 0.2 if f.name == "sigmoid of -z" else 0.0
        return Hypothesis(kind, message, hint, cost + extra, _derivative(found, slope))

    kind = "activation" if f.name in NONLINEARITIES else "local"
    masked = " (the mask of max(0, ·), the margin of a hinge)" if f.name == "ReLU" else ""
    yield hypothesis(
        "derivative missing",
        f"The {kind} derivative of the {here} is missing{masked}",
        1.0 if kind == "activation" else 1.5,
        lambda z, _: np.ones_like(z),
    )
    yield hypothesis(
        "derivative twice",
        f"The {kind} derivative of the {here} is multiplied in twice",
        1.3,
        lambda z, a: f.derivative(z, a) ** 2,
    )
    yield hypothesis(
        "sign",
        f"The derivative of the {here} has the wrong sign (factor -1)",
        1.3,
        lambda z, a: -f.derivative(z, a),
    )
    yield hypothesis(
        "derivative place",
        f"The {kind} derivative of the {here} is taken at the wrong place: evaluated at the output "
        f"`{a}` instead of z, {'the pre-activation' if kind == 'activation' else 'the input'}",
        1.1,
        lambda _, a: f.derivative(a, f.value(a)),
    )
    for formula, slope in _WRONG_SLOPES.items():
        slopes = slope(*values)
        if formula != f.formula and np.ptp(slopes) > 0:  # a constant is no formula, but a factor
            yield hypothesis(
                "derivative formula",
                f"The {kind} derivative of the {here} has the wrong formula, {formula}",
                1.2,
                slope,
            )


def gates(forward: Forward, words: Words, found: list[Found]) -> Iterator[Hypothesis]:
    """The derivative missing for a part of an activation: one of the gates that share a sigmoid."""
    places = {f.a: f.z for f in found}
    parts = [
        s
        for s in forward.program.steps
        if s.function is operator.getitem and s.reads() and s.reads()[0] in places
    ]
    groups: dict[Any, list[Step]] = {}
    for step in parts:
        groups.setdefault(step.site, []).append(step)
    for steps in groups.values():
        yield from _gate(words, found, steps, places)


def _gate(
    words: Words, found: list[Found], steps: list[Step], places: dict[int, int]
) -> Iterator[Hypothesis]:
    gate, f = words(steps[-1].out), ACTIVATIONS[found[-1].name]
    menu: list[tuple[str, float, Callable[[Any], Any]]] = [
        ("is missing", 1.0, np.ones_like),
        ("is only half there, a instead of the whole", 1.1, lambda a: a),
        ("is only half there, 1 - a instead of the whole", 1.1, lambda a: 1 - a),
    ]
    for what, cost, slope in menu:

        def wrong(s: Step, v: Sequence[Any], slope: Callable[[Any], Any] = slope) -> Any:
            z = operator.getitem(v[places[s.reads()[0]]], fill(s.args[1], v))
            a = operator.getitem(v[s.reads()[0]].array, fill(s.args[1], v))
            return z * Tensor(slope(a))

        yield Hypothesis(
            "derivative missing",
            f"The {f.name} derivative of the gate `{gate}` {what}: {f.formula} with a = `{gate}`, a "
            f"part of `{words(found[-1].a)}` (line {steps[-1].line} of the forward pass).",
            f"Multiply the gradient of `{gate}` by the derivative.",
            cost,
            _at(steps, wrong),
        )


# -- the Jacobian of softmax -----------------------------------------------------------------------


def jacobians(forward: Forward, words: Words, found: list[Found]) -> Iterator[Hypothesis]:
    """The Jacobian of softmax or log-softmax without a part of it, or along the wrong axis."""
    last = found[-1]
    axis = last.axis
    ndim = np.ndim(forward.values[last.a])
    where = f"{last.name} `{words(last.a)}`"
    right = {
        "softmax": "s * (g - sum(g * s))",
        "log-softmax": "g - softmax * sum(g)",
    }[last.name]

    def total(x: Any, over: Any = axis) -> Any:
        return np.sum(x, axis=over, keepdims=True)

    menu: list[tuple[str, str, Callable[[Any, Any], Any]]]
    if last.name == "softmax":
        menu = [
            ("keeps only its diagonal, s * (1 - s)", "jacobian", lambda g, s: g * s * (1 - s)),
            ("lacks its off-diagonal terms, the sum(g * s)", "jacobian", lambda g, s: g * s),
            ("is missing altogether, diagonal and off-diagonal", "jacobian", lambda g, s: g),
            ("has the wrong sign at sum(g * s)", "sign", lambda g, s: s * (g + total(g * s))),
            ("has sum(g * s) not multiplied by s", "jacobian", lambda g, s: s * g - total(g * s)),
        ]
    else:
        menu = [
            ("lacks its off-diagonal terms, softmax * sum(g)", "jacobian", lambda g, y: g),
            (
                "has the log-softmax itself where the softmax belongs: it subtracts sum(g * y)",
                "jacobian",
                lambda g, y: g - total(g * y),
            ),
            (
                "adds the softmax instead of subtracting softmax * sum(g) (sign, and the sum)",
                "jacobian",
                lambda g, y: g + np.exp(y),
            ),
            (
                "has the wrong sign at softmax * sum(g)",
                "sign",
                lambda g, y: g + np.exp(y) * total(g),
            ),
            ("lacks the factor sum(g) of the softmax", "jacobian", lambda g, y: g - np.exp(y)),
            ("lacks the factor softmax of the sum(g)", "jacobian", lambda g, y: g - total(g)),
        ]
    for what, kind, rule in menu:
        yield Hypothesis(
            kind,
            f"The Jacobian of the {where} {what}; the backward of {last.name} is {right}, summed "
            f"over axis {_shown(axis)}.",
            f"Use {right}.",
            1.0,
            _map_gradient(found, rule),
        )
    others = [(k,) for k in range(ndim) if (k,) != axis] + [tuple(range(ndim))]
    for over in others:
        if over == axis:
            continue

        def rule(g: Any, y: Any, over: Any = over) -> Any:
            if last.name == "softmax":
                return y * (g - total(g * y, over))
            return g - np.exp(y) * total(g, over)

        yield Hypothesis(
            "axis",
            f"The backward of the {where} sums over the wrong axis: {_shown(over)}, where the "
            f"softmax runs along axis {_shown(axis)} (one sum for each row of it, keepdims=True).",
            f"Sum over axis {_shown(axis)}.",
            1.1,
            _map_gradient(found, rule),
        )


def _shown(axis: Any) -> str:
    return str(axis[0]) if len(axis) == 1 else "all axes" if len(axis) > 1 else "none"
