"""The schedule that looks at the training: it lowers the rate when a number stops improving."""

from __future__ import annotations

import math
from typing import Any

from tinynet.errors import ArgumentError
from tinynet.optim.lr_scheduler.base import LRScheduler, checked, checked_optimizer, per_group
from tinynet.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """η ← max(η · factor, min_lr) after more than `patience` steps without a better metric.

    mode              'min' where smaller metrics are better, 'max' where larger ones are
    factor            below 1
    patience          how many steps without improvement are let pass
    threshold         what counts as better than the best so far, b:
    threshold_mode    'rel': m < b (1 − threshold), or m > b (1 + threshold) for 'max';
                      'abs': m < b − threshold, or m > b + threshold
    cooldown          steps after a reduction in which nothing is counted
    min_lr            one number, or one per group
    eps               a change of the rate that is not larger is not made

    `step(metric)` after each epoch. A metric that is NaN is never better. Raises ArgumentError for
    options outside of these ranges.

    >>> from tinynet import optim, tensor
    >>> optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> scheduler = ReduceLROnPlateau(optimizer, patience=1)
    >>> rates = []
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
    ...     scheduler.step(loss)
    ...     rates += scheduler.get_last_lr()
    >>> rates
    [1.0, 1.0, 1.0, 0.1, 0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = checked_optimizer(optimizer)
        if not 0 <= factor < 1:
            raise ArgumentError("factor lies in [0, 1)", got=f"factor = {factor!r}")
        for name, value, known in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if value not in known:
                expected = " or ".join(map(repr, known))
                raise ArgumentError(f"there is no such {name}", expected=expected, got=repr(value))
        for name, number in (
            *(("patience", patience), ("threshold", threshold), ("cooldown", cooldown)),
            ("eps", eps),
        ):
            checked(name, number)
        self.min_lrs = per_group("min_lr", min_lr, optimizer)
        for low in self.min_lrs:
            checked("min_lr", low)
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.last_epoch = 0
        self.best = self.mode_worse = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = self._rates()

    @property
    def in_cooldown(self) -> bool:
        """Whether a reduction is so recent that nothing is counted."""
        return self.cooldown_counter > 0

    def _is_better(self, a: float, best: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            bar = best * (1.0 + sign * self.threshold)
        else:
            bar = best + sign * self.threshold
        return sign * a > sign * bar

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at a new metric, a number or a Tensor of one, and lower the rates if it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value, self.best):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise ArgumentError(
                    "a parameter group was added that has no min_lr",
                    expected=f"{len(groups)} values in min_lrs",
                    got=str(len(self.min_lrs)),
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, low in zip(groups, self.min_lrs, strict=True):
            new = max(group["lr"] * self.factor, low)
            if group["lr"] - new > self.eps:
                group["lr"] = new
