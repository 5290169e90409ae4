"""Every op against differences: first and second derivatives, at random arguments, with random
cotangents.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet.autograd import grad
from tinynet.check.numeric import numeric_slope, numeric_vjp, relative_error
from tinynet.check.samples import Draw, sample
from tinynet.op import Op, registry
from tinynet.tensor import Tensor

TOLERANCE = 1e-6  # relative; differences in float64 are good to about 1e-9 on these arguments
CASES = 24  # so many that `mutants.py` finds no wrong rule that passes


class OpReport(NamedTuple):
    """What the sweep found for one op: the worst relative error of each derivative (NaN: it has
    none).
    """

    name: str
    room: str
    formula: str
    cases: int
    first: float
    second: float

    @property
    def ok(self) -> bool:
        """Whether no derivative was off by more than the tolerance."""
        return not (self.first > TOLERANCE or self.second > TOLERANCE)


def differentiable(inputs: Sequence[Any]) -> list[int]:
    """Which inputs carry gradients: the floating-point arrays."""
    return [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]


def op_vjp(
    op: Op,
    inputs: Sequence[Any],
    options: dict[str, Any],
    g: np.ndarray[Any, Any],
    places: Sequence[int] | None = None,
) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """The op's output, and its gradients with respect to the floating-point inputs, or to those
    at `places` alone, by its own rules.
    """
    tensors = [Tensor(x.copy()) if isinstance(x, np.ndarray) else x for x in inputs]
    wanted = differentiable(inputs) if places is None else places
    own = [tensors[i].requires_grad_() for i in wanted]
    y = op(*tensors, **options)
    if not y.requires_grad:
        return y.array, [np.zeros_like(x.array) for x in own]
    found = grad(y, own, Tensor(g), allow_unused=True)
    return y.array, [
        np.zeros_like(x.array) if d is None else d.array for d, x in zip(found, own, strict=True)
    ]


def all_gradients(
    op: Op, inputs: Sequence[Any], options: dict[str, Any], g: np.ndarray[Any, Any]
) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """(i, gradient of input i) for the floating-point inputs: of all asked for at once, and of
    each asked for alone, when the op keeps less and may take another way.
    """
    places = differentiable(inputs)
    yield from zip(places, op_vjp(op, inputs, options, g)[1], strict=True)
    if len(places) > 1:
        for i in places:
            yield i, op_vjp(op, inputs, options, g, [i])[1][0]


def first_errors(
    op: Op, inputs: Sequence[Any], options: dict[str, Any], rng: Any
) -> Iterator[float]:
    """The relative error of each of the op's gradients, contracted with a random cotangent. One by
    one: who looks for a mistake need not wait for the differences of the inputs that follow.
    """
    g = np.asarray(rng.standard_normal(np.shape(op(*inputs, **options))))
    expected: dict[int, Any] = {}
    for i, d in all_gradients(op, inputs, options, g):
        if i not in expected:
            expected[i] = numeric_vjp(lambda *x: op(*x, **options), inputs, i, g).value
        yield relative_error(d, expected[i])


def second_error(op: Op, inputs: Sequence[Any], options: dict[str, Any], rng: Any) -> float:
    """The relative error of the derivative of ⟨v, gradient⟩ by the inputs and by the cotangent
    itself, along a random line.
    """
    places = differentiable(inputs)
    g = np.asarray(rng.standard_normal(np.shape(op(*inputs, **options))))
    vs = [np.asarray(rng.standard_normal(inputs[i].shape)) for i in places]

    def contracted(*args: Any) -> np.ndarray[Any, Any]:
        _, gradients = op_vjp(op, args[:-1], options, args[-1])
        return np.asarray(
            math.fsum(float(np.sum(v * d)) for v, d in zip(vs, gradients, strict=True))
        )

    tensors = [Tensor(x.copy()) if isinstance(x, np.ndarray) else x for x in inputs]
    own = [tensors[i].requires_grad_() for i in places]
    cotangent = Tensor(g.copy(), requires_grad=True)
    y = op(*tensors, **options)
    if not y.requires_grad or not y.array.size:
        return 0.0
    firsts = grad(y, own, cotangent, create_graph=True, allow_unused=True)
    pairs = [
        (d, Tensor(v)) for d, v in zip(firsts, vs, strict=True) if d is not None and d.requires_grad
    ]
    ends = [*own, cotangent]
    if not pairs:
        return 0.0
    seconds = grad([d for d, _ in pairs], ends, [v for _, v in pairs], allow_unused=True)
    line = {
        i: np.asarray(rng.uniform(-1, 1, x.shape))
        for i, x in zip([*places, len(inputs)], ends, strict=True)
    }
    found = slope_along(line, seconds)
    return relative_error(found, np.asarray(numeric_slope(contracted, [*inputs, g], line)))


def slope_along(line: dict[int, Any], gradients: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Σ ⟨v, gradient⟩, what a step along the line changes; None is a gradient of zero."""
    pairs = zip(line.values(), gradients, strict=True)
    return np.asarray(math.fsum(float(np.sum(v * d.array)) for v, d in pairs if d is not None))


def telling_cases(op: Op, seed: int, cases: int) -> Iterator[tuple[list[Any], dict[str, Any], Any]]:
    """Random arguments for the op, if possible without those whose gradient is empty or zero: a
    case in which nothing moves tells little. Zero is what is zero by differences too, not by the
    rule alone: a rule that is wrongly zero for one option would keep that option out of sight.
    """
    found = 0
    for attempt in range(50 * cases):
        draw = Draw(seed * 10_007 + attempt)
        inputs, options = sample(op, draw)
        g = np.asarray(draw.rng.standard_normal(np.shape(op(*inputs, **options))))
        places = differentiable(inputs)
        if not g.size or not places:
            continue
        if attempt >= 5 * cases or _moves(op, inputs, options, g):
            yield inputs, options, draw.rng
            found += 1
        if found == cases:
            return


def _moves(op: Op, inputs: Sequence[Any], options: dict[str, Any], g: Any) -> bool:
    """Whether a gradient is not zero, by the rules or by differences."""
    _, gradients = op_vjp(op, inputs, options, g)
    return any(d.any() for d in gradients) or any(
        numeric_vjp(lambda *x: op(*x, **options), inputs, i, g).value.any()
        for i in differentiable(inputs)
    )


def op_errors(op: Op, *, seed: int = 0, cases: int = CASES) -> Iterator[tuple[int, float]]:
    """For each of `cases` random arguments (1, error of a first derivative) for each gradient, then
    (2, error of the second). None for an op without derivatives.
    """
    if op.differentiable:
        for inputs, options, rng in telling_cases(op, seed, cases):
            yield from ((1, error) for error in first_errors(op, inputs, options, rng))
            yield 2, second_error(op, inputs, options, rng)


def check_ops(
    names: Sequence[str] = (), *, seed: int = 0, cases: int = CASES
) -> Iterator[OpReport]:
    """A report for each op of the registry, or for those named: worst error over `cases` random
    arguments.

    >>> [r] = check_ops(["tanh"])
    >>> r.name, r.ok
    ('tanh', True)
    """
    for name in names or sorted(registry, key=lambda n: (registry[n].room, n)):
        op = registry[name]
        errors: dict[int, list[float]] = {1: [], 2: []}
        for order, error in op_errors(op, seed=seed, cases=cases):
            errors[order].append(error)
        first, second = (max(found, default=math.nan) for found in errors.values())
        yield OpReport(name, op.room, op.formula, len(errors[2]), first, second)
