"""What all schedules share: the step counter, and the rate written into each parameter group."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, describe
from tinynet.optim.optimizer import Optimizer
from tinynet.optim.sgd import SGD
from tinynet.tensor import Tensor


class LRScheduler:
    """The base of every schedule: `step()` after each epoch writes new rates into the groups.

    optimizer     its groups' 'lr' are changed; their first values are kept as 'initial_lr'
    last_epoch    the number t of the last step; −1 starts anew, anything else resumes, and needs
                  the groups' 'initial_lr' (an optimizer state that was loaded has it)

    A subclass says in `get_lr` how the new rates follow from the present ones. That is what makes
    schedules *chain*: several on one optimizer multiply, and a rate changed by hand in between
    stays changed. Where a formula gives the rate from t and the first rate alone, it stands in
    `_get_closed_form_lr`; left undisturbed, both agree.

    >>> import tinynet as tn
    >>> class Halve(LRScheduler):
    ...     def get_lr(self):
    ...         return [lr if self.last_epoch == 0 else lr / 2 for lr in self._rates()]
    >>> preview(Halve, 4)
    [1.0, 0.5, 0.25, 0.125]
    """

    optimizer: Optimizer
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"parameter group {i} has no 'initial_lr' to resume from",
                    got=f"last_epoch = {last_epoch}",
                    hint="optimizer.load_state_dict first, or last_epoch=-1 and load_state_dict",
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`, one per group, from those the groups have now."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr()")

    def _get_closed_form_lr(self) -> list[float] | None:
        """The rates at `last_epoch` from `base_lrs` alone; None where there is no such formula."""
        return None

    def get_last_lr(self) -> list[float]:
        """The rates after the last step, one per group."""
        return self._last_lr

    def step(self) -> None:
        """Go on to the next t. Call it after `optimizer.step()`."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(
                "the schedule is stepped before the optimizer: its first rate is never used. "
                "Call optimizer.step() first, then scheduler.step()",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._write(self.get_lr())

    def _restart(self) -> None:
        """Become t = 0, whatever the rates are now: SequentialLR comes to this schedule."""
        self.last_epoch = 0
        closed = self._get_closed_form_lr()
        self._write(self.get_lr() if closed is None else closed)

    def _write(self, rates: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = self._rates()

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer, as in PyTorch; save the optimizer's state with it."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. The rates themselves are the optimizer's state."""
        self.__dict__.update(state_dict)


def checked_optimizer(optimizer: Any) -> Optimizer:
    """The optimizer; raise DTypeError where it is none."""
    if not isinstance(optimizer, Optimizer):
        raise DTypeError("a schedule changes an Optimizer", got=describe(optimizer))
    return optimizer


def per_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """A list with one value per group; one value serves them all. Raises for another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(f"{name} has one value per group, {count}", got=f"{len(value)} values")
    return list(value)


def checked(name: str, value: Any, *, least: float = 0.0, whole: bool = False) -> None:
    """Raise ArgumentError where a number is below `least`, not finite, or not whole as asked."""
    if whole and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise ArgumentError(f"{name} is a whole number", got=f"{name} = {value!r}")
    if not least <= value < math.inf:
        raise ArgumentError(f"{name} is at least {least:g}", got=f"{name} = {value!r}")


def preview(make: Callable[[Optimizer], Any], steps: int, lr: float = 1.0) -> list[float]:
    """The first `steps` rates of a schedule, to look at or to plot; nothing is trained.

    make     makes the schedule of an optimizer, such as `lambda o: StepLR(o, 30)`
    lr       the rate that the optimizer is given

    >>> from tinynet.optim.lr_scheduler import CosineAnnealingLR
    >>> preview(lambda optimizer: CosineAnnealingLR(optimizer, T_max=4), 5)
    [1.0, 0.85355, 0.5, 0.14645, 0.0]
    """
    optimizer = SGD([Tensor(np.zeros(1))], lr=lr, momentum=0.5)
    scheduler = make(optimizer)
    optimizer._stepped = True
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        scheduler.step()
    return rates
