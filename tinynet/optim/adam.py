"""Adam and AdamW: state for the rule in `derivations/adam.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinynet.derivations import adam as rule
from tinynet.errors import ArgumentError
from tinynet.kernels.choice import find_step
from tinynet.optim.optimizer import Optimizer
from tinynet.tensor import Tensor


class Adam(Optimizer):
    """w ← w − lr · m̂ / (√v̂ + eps): a step of its own size for every weight.

    `decoupled_weight_decay` makes it AdamW. Raises ArgumentError for a negative lr, eps or
    weight_decay, and betas outside [0, 1).

    >>> import tinynet as tn
    >>> w = tn.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * tn.tensor([3.0, -0.001])).sum().backward(); optimizer.step(); w
    tensor([0.9000, 1.1000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
            raise ArgumentError("betas are two numbers in [0, 1)", got=f"betas = {group['betas']}")

    def _update(self, p: Tensor, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["step"] = 0
            names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))
            state.update({name: Tensor(np.zeros_like(p.array)) for name in names})
        state["step"] += 1
        m, v = state["exp_avg"].array, state["exp_avg_sq"].array
        fast = None if group["amsgrad"] else find_step("adam", g, (p.array, m, v), self._count)
        (fast or rule.step)(
            p.array,
            g,
            m,
            v,
            state["step"],
            None if fast else self._room(p.array),
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            largest=state["max_exp_avg_sq"].array if group["amsgrad"] else None,
            maximize=group["maximize"],
        )


class AdamW(Adam):
    """Adam with the weights shrunk directly, w ← (1 − lr · weight_decay) w, before each step.

    Raises ArgumentError as Adam does.

    >>> import tinynet as tn
    >>> w = tn.tensor([1.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * 0.0).sum().backward(); optimizer.step(); w
    tensor([0.9500], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            *(params, lr, betas, eps, weight_decay, amsgrad),
            maximize=maximize,
            decoupled_weight_decay=True,
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As every optimizer's; a state that Adam saved still gives AdamW's steps."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
