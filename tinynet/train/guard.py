"""The guard before each step: numbers that are not finite go no further.

A loss or a gradient that is NaN or infinite becomes a `DivergenceError` before the optimizer sees
it. Then the batch is computed once more, with the same random numbers, to tell which op made the
first bad number (`diagnosis.py`); and everything that the step had moved already is put back:
buffers, such as the running statistics of batch norm, and random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinynet import arrays, random
from tinynet.errors import GraphError, TinynetError, describe, user_line
from tinynet.tensor import Tensor
from tinynet.train.batches import Pair, predict
from tinynet.train.diagnosis import TOO_FAST, Cause, bad_samples, find_cause


class DivergenceError(TinynetError, ArithmeticError):
    """The loss, a gradient or a weight is no longer a number: training cannot go on."""


class Guard:
    """Looks at each loss, and at the gradients, before they become a step."""

    def __init__(self, model: Any, loss: Any, parameters: list[Any]) -> None:
        self.model, self.loss, self.parameters = model, loss, parameters
        self.buffers = Buffers(model)
        self.reached = False  # whether every parameter had a gradient in the first step
        self.epoch = 0
        self.seen: list[tuple[int, Any, Any, Any]] = []  # number, position of random numbers, x, y

    def watch(self, batches: list[Pair], epoch: int, done: int) -> Iterator[Pair]:
        """The batches of one step, which can be repeated: `done` of the epoch came before."""
        self.epoch, self.seen = epoch + 1, []
        self.buffers.remember()
        for number, (x, y) in enumerate(batches, done + 1):
            self.seen.append((number, random.get_rng_state(), x, y))
            yield x, y

    def check_loss(self, value: Any) -> None:
        """Raise unless the loss is one finite number."""
        if not isinstance(value, Tensor) or value.array.size != 1:
            raise GraphError(
                "the loss must be one number",
                expected="a tensor with one entry",
                got=describe(value),
                hint="reduce it, for example with .mean()",
            )
        if not math.isfinite(value.item()):
            number = self.seen[-1][0]
            what = f"the loss is {value.item()} in epoch {self.epoch}, batch {number}"
            raise self._diverged(what, self.seen[-1:])

    def check_gradients(self) -> None:
        """Raise unless every gradient is finite; at first also unless every parameter has one."""
        if not self.reached:
            _check_reached(self.model)
            self.reached = True
        if not finite([p._grad.array for p in self.parameters if p._grad is not None]):
            bad = self._named(lambda p: None if p._grad is None else p._grad.array)
            first, last = self.seen[0][0], self.seen[-1][0]
            numbers = f"batch {first}" if first == last else f"batches {first} to {last}"
            what = f"the gradient of {bad} is not finite in epoch {self.epoch}, {numbers}"
            raise self._diverged(what, self.seen)

    def check_weights(self) -> None:
        """Raise unless all weights are finite: called before they are saved."""
        if not finite([p.array for p in self.parameters]):
            raise DivergenceError(
                f"the step made {self._named(lambda p: p.array)} infinite or NaN "
                f"in epoch {self.epoch}",
                got="a finite gradient; the checkpoint was not overwritten",
                hint=TOO_FAST,
            )

    def _named(self, part: Callable[[Any], Any]) -> str:
        """The parameters of which this part is not finite."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        bad = [p for p in self.parameters if part(p) is not None and not finite([part(p)])]
        told = [names.get(id(p), describe(p)) for p in bad]
        return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")

    def _diverged(self, what: str, batches: list[Any]) -> DivergenceError:
        """The error, with the cause where it can be found; everything is put back before."""
        before = self.seen[0][1]
        cause: Cause | None = None
        problem = "the first bad number did not come again when the batch was repeated"
        for _, position, x, y in batches:
            self.buffers.restore()
            random.set_rng_state(position)
            try:
                cause = cause or self._repeat(x, y)
            except Exception as error:  # must not hide what is to be told
                problem = f"repeating the batch failed: {type(error).__name__}: {error}"
        self.buffers.restore()
        random.set_rng_state(before)
        for p in (*self.parameters, *self.model.parameters()):
            p.grad = None
        samples = "; ".join(filter(None, (bad_samples(x) for _, _, x, _ in batches)))
        words = f"the first bad number: {cause.words}" if cause else problem
        found = DivergenceError(
            what,
            got=words + (f"; samples with NaN in the batch: {samples}" if samples else ""),
            hint=(f"{cause.advice}; " if cause and cause.advice != TOO_FAST else "") + TOO_FAST,
        )
        found.line = cause.line if cause else None
        return found

    def _repeat(self, x: Any, y: Any) -> Cause | None:
        def compute() -> Tensor:
            value: Tensor = self.loss(predict(self.model, x), y)
            return value

        return find_cause(self.model, self.loss, x, y, compute, user_line())


class Buffers:
    """The buffers of a model as they were before a step. Of those that a step did not change, no
    second copy is made.
    """

    def __init__(self, model: Any) -> None:
        self.places = [(module, name) for module in model.modules() for name in module._buffers]
        self.copies: list[tuple[Any, int, Any]] = [(None, 0, None)] * len(self.places)

    def remember(self) -> None:
        """Copy what has changed."""
        for i, (module, name) in enumerate(self.places):
            buffer, (tensor, version, _) = module._buffers[name], self.copies[i]
            if buffer is not None and (buffer is not tensor or buffer._version != version):
                self.copies[i] = buffer, buffer._version, buffer.array.copy()

    def restore(self) -> None:
        """Put the copies back."""
        for i, (module, name) in enumerate(self.places):
            tensor, _, copy = self.copies[i]
            if tensor is not None:
                module._buffers[name] = tensor
                tensor.array[...] = copy
                tensor._counter[0] += 1
                self.copies[i] = tensor, tensor._version, copy


def finite(found: list[Any]) -> bool:
    """Whether all numbers of all arrays are finite. The sum of them all shows it: it is NaN or
    infinite where one of them is (or where it overflows, so then each number is looked at).

    >>> finite([np.array([1e308, 1e308])]), finite([np.array([np.inf])])
    (True, False)
    """
    total: Any = 0.0  # stays on the GPU until the end: it is waited for once
    with np.errstate(over="ignore", invalid="ignore"):
        for x in found:
            with arrays.home(x):
                total = total + np.add.reduce(x, axis=None)
    return math.isfinite(total) or all(bool(np.all(np.isfinite(x))) for x in found)


def _check_reached(model: Any) -> None:
    lost = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if lost:
        raise GraphError(
            f"the loss does not reach {', '.join(lost)}: no gradient arrived there",
            hint="use the layer in forward(), without .detach(), .numpy() or no_grad() on the way; "
            "or freeze it: parameter.requires_grad_(False)",
        )
