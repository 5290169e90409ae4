"""The guard before each step: numbers that are not finite go no further."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.errors import GraphError, TinynetError, describe
from tinynet.tensor import Tensor
from tinynet.train.batches import Pair


class DivergenceError(TinynetError, ArithmeticError):
    """The loss, or a gradient, is no longer a number: training cannot go on."""


class Guard:
    """Looks at each loss and at the gradients before they become a step."""

    def __init__(self, model: Any, loss: Any, parameters: list[Any]) -> None:
        self.model, self.loss, self.parameters = model, loss, parameters
        self.reached = False
        self.epoch = self.number = 0

    def watch(self, batches: list[Pair], epoch: int, done: int) -> Iterator[Pair]:
        """The batches of one step."""
        self.epoch, self.number = epoch + 1, done
        for x, y in batches:
            self.number += 1
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
            raise DivergenceError(
                f"the loss is {value.item()} in epoch {self.epoch}, batch {self.number}",
                hint="a smaller lr; NaN in the data; log or division of 0; clip=1.0",
            )

    def check_gradients(self) -> None:
        """Raise unless every gradient is there and finite."""
        if not self.reached:
            _check_reached(self.model)
            self.reached = True
        if not finite([p._grad.array for p in self.parameters if p._grad is not None]):
            raise DivergenceError("a gradient is not finite")

    def check_weights(self, epoch: int) -> None:
        """Raise unless all weights are finite."""
        if not finite([p.array for p in self.parameters]):
            raise DivergenceError("the weights are not finite")


def finite(found: list[Any]) -> bool:
    """Whether all numbers of all arrays are finite. A sum of them shows it: it is NaN or infinite
    where one of them is (or where it overflows, so then each number is looked at).
    """
    if not found:
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        sums = [arrays.to_device(np.sum(x), "cpu") for x in found]
    if all(math.isfinite(x) for x in sums):
        return True
    return all(bool(np.all(np.isfinite(x))) for x in found)


def _check_reached(model: Any) -> None:
    lost = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if lost:
        raise GraphError(
            f"the loss does not reach {', '.join(lost)}: no gradient arrived there",
            hint="use the layer in forward(), without .detach(), .numpy() or no_grad() on the way; "
            "or freeze it: parameter.requires_grad_(False)",
        )
