"""Stochastic gradient descent: state for the rule in `derivations/sgd.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynet.derivations import sgd as rule
from tinynet.errors import ArgumentError
from tinynet.kernels.choice import find_step
from tinynet.optim.optimizer import Optimizer
from tinynet.tensor import Tensor


class SGD(Optimizer):
    """w ← w − lr · g, with momentum, Nesterov's form and weight decay where asked for.

    Raises ArgumentError for a negative lr, momentum or weight_decay, and for nesterov without
    momentum or with dampening.

    >>> import tinynet as tn
    >>> w = tn.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward(); optimizer.step(); w
    tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError("Nesterov's form needs a momentum above 0 and no dampening")

    def _update(self, p: Tensor, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        velocity, first = state.get("momentum_buffer"), False
        if velocity is None and group["momentum"]:
            velocity, first = Tensor(np.empty_like(p.array)), True
            state["momentum_buffer"] = velocity
        kept = None if velocity is None else velocity.array
        fast = find_step("sgd", g, (p.array,) if kept is None else (p.array, kept), self._count)
        (fast or rule.step)(
            p.array,
            g,
            kept,
            None if fast else self._room(p.array),
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first=first,
        )
