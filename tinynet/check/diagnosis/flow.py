"""The forward pass on a tape: the true gradient of every intermediate value, and the gradient as it
would be if one step of the forward pass were another.

The second is how a cause is found. A learner who forgets the derivative of tanh differentiates a
function in which that tanh is the identity; one who takes the variance for a constant, a function
in which it is one. So each step is replaced in turn, its value left as it is:

    y' = h(x) + (f(x) − h(x)).detach()          value f(x), derivative that of h

and if the gradient of the changed function is the learner's, the change is the cause.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinynet.autograd import grad
from tinynet.check.diagnosis.meaning import Found, elementwise, softmaxes
from tinynet.check.diagnosis.recording import Step, fill, record, refs
from tinynet.check.diagnosis.words import Words
from tinynet.check.problem import Array, Problem
from tinynet.errors import TinynetError
from tinynet.tensor import Tensor

# What stands in for one step on Tensors: (step, values) -> its value, or the step to leave it alone
Change = Callable[[Step, Sequence[Any]], Any]


class Forward:
    """The recorded forward pass of a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.program = record(problem.forward, *problem.args)
        if len(list(refs(self.program.outputs))) != 1:
            raise TinynetError("the output does not come from the arguments by NumPy calls alone")
        self.values = self.program.values
        self.output: int = next(refs(self.program.outputs)).slot
        self.words = Words(self.program, problem.names)
        self.depends = self._depends()
        self.tape: dict[int, Any] = {}
        values = self.run()
        self.tape = {slot: values[slot] for slot in self._lasting()}
        self.true = self._gradients_of_slots(values)

    @cached_property
    def activations(self) -> list[Found]:
        """The activations in it, each at its last step."""
        return list(elementwise(self.program))

    @cached_property
    def softmaxes(self) -> list[Found]:
        """The softmaxes and log-softmaxes in it."""
        return softmaxes(self.program)

    def _depends(self) -> set[int]:
        """The slots that depend on what is differentiated."""
        inputs = self.program.inputs
        found = {s for i in self.problem.wrt if (s := inputs[i]) is not None}
        for step in self.program.steps:
            if any(s in found for s in step.reads()):
                found.add(step.out)
        return found

    def _lasting(self) -> set[int]:
        """The slots whose memory nothing writes into."""
        memory = self.program.memory
        written = {memory[step.into] for step in self.program.steps if step.into is not None}
        return {slot for slot, root in enumerate(memory) if root not in written}

    def _tensors(self) -> list[Any]:
        wanted = {self.program.inputs[i] for i in self.problem.wrt}
        return [
            x
            if slot is None
            else self.tape[slot]
            if slot in self.tape
            else Tensor(np.array(x, dtype=float), requires_grad=True)
            if slot in wanted
            else Tensor(np.array(x))
            for slot, x in zip(self.program.inputs, self.problem.args, strict=True)
        ]

    def run(self, change: Change | None = None) -> list[Any]:
        """The forward pass on Tensors; the value of every slot. What no change reaches is taken
        from the tape of the first run.
        """
        tape = self.tape

        def on_tensors(step: Step, values: Sequence[Any]) -> Any:
            y = step if change is None else change(step, values)
            if y is not step:
                return y
            if step.out in tape and all(values[s] is tape.get(s, step) for s in step.reads()):
                return tape[step.out]
            if step.function in _REARRANGING:
                return _rearrange(step, values)
            if step.function in _COMPOSED:
                return _COMPOSED[step.function](
                    *fill(step.args, values), **fill(step.kwargs, values)
                )
            if step.function in _MAKERS:  # to be written into: a Tensor too
                return Tensor(step.function(*fill(step.args, values), **step.kwargs))
            return step

        return self.program.run(self._tensors(), on_tensors)

    def gradients(self, change: Change | None = None) -> list[Array]:
        """The gradients of the arguments, with the forward pass changed at one step."""
        values = self.run(change)
        return self._gradients(values, [self.program.inputs[i] for i in self.problem.wrt])

    def _gradients(self, values: Sequence[Any], slots: Sequence[Any]) -> list[Array]:
        ends = [values[s] for s in slots]
        y = values[self.output]
        if not y.requires_grad:
            return [np.zeros(np.shape(x.array)) for x in ends]
        g = Tensor(self.problem.g.reshape(y.shape))
        found = grad(y, ends, g, retain_graph=True, allow_unused=True)
        return [
            np.zeros(np.shape(x.array)) if d is None else np.asarray(d.array)
            for d, x in zip(found, ends, strict=True)
        ]

    def _gradients_of_slots(self, values: Sequence[Any]) -> dict[int, Array]:
        slots = [
            s
            for s in sorted(self.depends)
            if isinstance(values[s], Tensor) and values[s].requires_grad
        ]
        return dict(zip(slots, self._gradients(values, slots), strict=True))


def as_if(step: Step, values: Sequence[Any], wrong: Any) -> Any:
    """The step's value with the derivative of `wrong`."""
    y = step.compute(values)
    y = y.detach() if isinstance(y, Tensor) else Tensor(y)
    if not isinstance(wrong, Tensor):
        return y
    return wrong + (y - wrong.detach())


def _append(x: Any, values: Any, axis: int | None = None) -> Any:
    if axis is None:
        x, values = np.reshape(x, (-1,)), np.reshape(Tensor(values) + 0 * np.sum(x), (-1,))
    return np.concatenate((x, values), axis=axis or 0)


def _average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    if weights is None:
        return np.mean(x, axis=axis)
    if np.ndim(weights) < np.ndim(x):
        shape = [1] * np.ndim(x)
        shape[axis] = -1
        weights = np.reshape(weights, shape)
    return np.sum(x * weights, axis=axis) / np.sum(weights + 0 * x, axis=axis)


def _full(shape: Any, value: Any, **_kwargs: Any) -> Any:
    return np.zeros(shape) + value


def _difference(x: Any, n: int = 1, axis: int = -1) -> Any:
    for _ in range(n):
        ends = np.arange(np.shape(x)[axis])
        x = np.take(x, ends[1:], axis=axis) - np.take(x, ends[:-1], axis=axis)
    return x


def _convolve(a: Any, v: Any, mode: str = "full") -> Any:
    n, m = np.shape(a)[0], np.shape(v)[0]
    place = np.arange(n + m - 1)[:, None] - np.arange(m)
    inside = (place >= 0) & (place < n)
    full = np.sum(a[np.clip(place, 0, n - 1)] * (inside * v), axis=1)
    if mode == "full":
        return full
    size = max(n, m) if mode == "same" else max(n, m) - min(n, m) + 1
    start = (n + m - 1 - size) // 2
    return full[start : start + size]


# NumPy functions that tinynet does not know, made of those that it does.
_COMPOSED: dict[Any, Callable[..., Any]] = {
    np.append: _append,
    np.average: _average,
    np.full: _full,
    np.diff: _difference,
    np.convolve: _convolve,
    np.atleast_1d: lambda x: x if np.ndim(x) else np.reshape(x, (1,)),
    np.atleast_2d: lambda x: x if np.ndim(x) > 1 else np.reshape(x, (1, -1)),
}
_MAKERS = (np.zeros, np.ones, np.empty, np.eye, np.identity)
_REARRANGING = {np.rot90, np.fliplr, np.flipud}


def _rearrange(step: Step, values: Sequence[Any]) -> Any:
    """Functions that only move entries: moving the entries' numbers says which entry goes where."""
    x, *rest = fill(step.args, values)
    kwargs = fill(step.kwargs, values)
    numbers = np.arange(x.array.size).reshape(x.shape)
    return operator.getitem(np.reshape(x, (-1,)), np.array(step.function(numbers, *rest, **kwargs)))
