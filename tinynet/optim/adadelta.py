"""Adadelta: state for the rule in `derivations/adadelta.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynet.derivations import adadelta as rule
from tinynet.errors import ArgumentError
from tinynet.optim.optimizer import Optimizer
from tinynet.tensor import Tensor


class Adadelta(Optimizer):
    """w ← w − lr · g · √(u + eps) / √(v + eps): u, v are running means of d² and g².

    d is the step without lr, and u is its mean before this step.

    rho    what both means keep of their past
    eps    the seed from which the steps grow

    Raises ArgumentError for a negative lr, eps or weight_decay, and a rho outside [0, 1].

    >>> import tinynet as tn
    >>> w = tn.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = Adadelta([w], eps=1e-3)
    >>> (w * tn.tensor([30.0, -30.0])).sum().backward(); optimizer.step(); w
    tensor([0.9000, 1.1000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["rho"] <= 1:
            raise ArgumentError("rho lies in [0, 1]", got=f"rho = {group['rho']}")

    def _update(self, p: Tensor, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["step"] = 0
            names = ("square_avg", "acc_delta")
            state.update({name: Tensor(np.zeros_like(p.array)) for name in names})
        state["step"] += 1
        rule.step(
            p.array,
            g,
            state["square_avg"].array,
            state["acc_delta"].array,
            (self._room(p.array), self._room(p.array, 1)),
            lr=group["lr"],
            rho=group["rho"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
