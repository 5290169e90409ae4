"""Adagrad: state for the rule in `derivations/adagrad.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynet.derivations import adagrad as rule
from tinynet.optim.optimizer import Optimizer
from tinynet.tensor import Tensor


class Adagrad(Optimizer):
    """w ← w − lr_t · g / (√s + eps): each step shrinks with all g² so far, s ← s + g².

    lr_decay                     shrinks the rate with the step number t from 1 as well:
                                 lr_t = lr / (1 + (t − 1) · lr_decay)
    initial_accumulator_value    what s starts from

    Raises ArgumentError where an option is negative.

    >>> import tinynet as tn
    >>> w = tn.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (w * tn.tensor([3.0, -0.001])).sum().backward(); optimizer.step(); w
    tensor([0.9000, 1.1000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )
        for p in self._order():
            self.state[p] = self._start(p)

    def _start(self, p: Tensor) -> dict[str, Any]:
        # The optimizer's value for all groups, as in PyTorch.
        value = self.defaults["initial_accumulator_value"]
        return {"step": 0, "sum": Tensor(np.full_like(p.array, value))}

    def _update(self, p: Tensor, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:  # in a group that was added later
            state.update(self._start(p))
        state["step"] += 1
        rule.step(
            p.array,
            g,
            state["sum"].array,
            state["step"],
            self._room(p.array),
            lr=group["lr"],
            lr_decay=group["lr_decay"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
        )
