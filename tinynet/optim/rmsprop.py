"""RMSprop: state for the rule in `derivations/rmsprop.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynet.derivations import rmsprop as rule
from tinynet.errors import ArgumentError
from tinynet.optim.optimizer import Optimizer
from tinynet.tensor import Tensor


class RMSprop(Optimizer):
    """w ← w − lr · g / (√v + eps): each gradient divided by its own running size.

    alpha        what v keeps of its past: v ← alpha · v + (1 − alpha) g²
    momentum     collects the divided gradients, if above 0
    centered     takes the variance of g in the place of v

    Raises ArgumentError for a negative lr, eps, momentum or weight_decay, and an alpha outside
    [0, 1].

    >>> import tinynet as tn
    >>> w = tn.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.01)
    >>> (w * tn.tensor([3.0, -0.001])).sum().backward(); optimizer.step(); w
    tensor([0.9000, 1.1000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["alpha"] <= 1:
            raise ArgumentError("alpha lies in [0, 1]", got=f"alpha = {group['alpha']}")

    def _update(self, p: Tensor, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            names = ["square_avg"]
            names += ["momentum_buffer"] if group["momentum"] else []
            names += ["grad_avg"] if group["centered"] else []
            state["step"] = 0
            state.update({name: Tensor(np.zeros_like(p.array)) for name in names})
        state["step"] += 1
        rule.step(
            p.array,
            g,
            state["square_avg"].array,
            self._room(p.array),
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            mean=state["grad_avg"].array if group["centered"] else None,
            velocity=state["momentum_buffer"].array if group["momentum"] else None,
            maximize=group["maximize"],
        )
