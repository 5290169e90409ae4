"""Schedules that multiply the rate: at steps, at milestones, always, or by a function."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinynet.errors import ArgumentError, DTypeError, describe
from tinynet.optim.lr_scheduler.base import LRScheduler, checked, checked_optimizer, per_group
from tinynet.optim.optimizer import Optimizer


class StepLR(LRScheduler):
    """η_t = η_0 · gamma^⌊t / step_size⌋: times gamma after every `step_size` steps.

    Raises ArgumentError for a step_size below 1 and a negative gamma.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: StepLR(optimizer, step_size=2), 5)
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        checked("step_size", step_size, least=1)
        checked("gamma", gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self._rates()
        return [lr * self.gamma for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """η_t = η_0 · gamma^(milestones ≤ t): times gamma at each milestone.

    A milestone that stands twice counts twice. Raises ArgumentError for milestones that are
    negative or not whole, and a negative gamma.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: MultiStepLR(optimizer, [1, 3]), 5)
    [1.0, 0.1, 0.1, 0.01, 0.01]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = dict(Counter(milestones))
        for milestone in self.milestones:
            checked("milestone", milestone, whole=True)
        checked("gamma", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones.get(self.last_epoch, 0)
        return [lr * self.gamma**times if times else lr for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        times = sum(n for at, n in self.milestones.items() if at <= self.last_epoch)
        return [lr * self.gamma**times for lr in self.base_lrs]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; PyTorch's Counter of milestones becomes a dict."""
        super().load_state_dict({**state_dict, "milestones": dict(state_dict["milestones"])})


class ExponentialLR(LRScheduler):
    """η_t = η_0 · gamma^t: times gamma after every step.

    Raises ArgumentError for a negative gamma.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: ExponentialLR(optimizer, gamma=0.5), 4)
    [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        checked("gamma", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr if self._is_initial else lr * self.gamma for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class _ByFunction(LRScheduler):
    """One function of t per group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = per_group("lr_lambda", lr_lambda, checked_optimizer(optimizer))
        for function in self.lr_lambdas:
            if not callable(function):
                raise DTypeError("lr_lambda is a function of t", got=describe(function))
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer; of the functions, those of objects that are called.

        A plain function cannot be saved: None stands in its place, and it keeps its own.
        """
        functions = [
            None if isinstance(f, types.FunctionType) else dict(getattr(f, "__dict__", {}))
            for f in self.lr_lambdas
        ]
        return {**super().state_dict(), "lr_lambdas": functions}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises where the number of functions differs."""
        saved = state_dict["lr_lambdas"]
        if len(saved) != len(self.lr_lambdas):
            raise ArgumentError(
                "the saved schedule has another number of functions",
                expected=str(len(self.lr_lambdas)),
                got=str(len(saved)),
            )
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, saved, strict=True):
            if attributes:
                function.__dict__.update(attributes)


class LambdaLR(_ByFunction):
    """η_t = η_0 · lr_lambda(t). A list gives each group a function of its own.

    Rates changed by hand are overwritten: it does not chain. Raises where the list has not one
    function per group.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: LambdaLR(optimizer, lambda t: 1 / (1 + t)), 4)
    [1.0, 0.5, 0.33333, 0.25]
    """

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [lr * function(self.last_epoch) for lr, function in pairs]


class MultiplicativeLR(_ByFunction):
    """η_t = η_(t−1) · lr_lambda(t), from t = 1 on. A list gives each group one of its own.

    Raises where the list has not one function per group.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: MultiplicativeLR(optimizer, lambda t: 1 / t), 4)
    [1.0, 1.0, 0.5, 0.16667]
    """

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._rates()
        pairs = zip(self._rates(), self.lr_lambdas, strict=True)
        return [lr * function(self.last_epoch) for lr, function in pairs]
