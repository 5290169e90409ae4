"""Schedules made of schedules: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tinynet.errors import ArgumentError, DTypeError, describe
from tinynet.optim.lr_scheduler.base import LRScheduler
from tinynet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinynet.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        if not schedulers:
            raise ArgumentError(f"{type(self).__name__} needs at least one schedule")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise DTypeError(f"schedulers[{i}] is not a schedule", got=describe(scheduler))
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(
                    f"schedulers[{i}] is ReduceLROnPlateau, whose step needs a metric",
                    hint="step it by itself",
                )
            optimizer = scheduler.optimizer if optimizer is None else optimizer
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(f"schedulers[{i}] changes another optimizer than the first")
        assert optimizer is not None
        self._schedulers, self.optimizer = list(schedulers), optimizer

    def _initial_step(self) -> None:
        """Start from t = 0, inside another SequentialLR.

        (PyTorch counts a first step inside twice, and cannot restart a combined schedule.)
        """
        self.last_epoch = 0
        for scheduler in self._schedulers:
            scheduler.last_epoch = -1
        self._begin()

    def _restart(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._initial_step()

    def _begin(self) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer, with the states of the schedules inside."""
        inner = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": inner}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises where the number of schedules differs."""
        inner = state_dict["_schedulers"]
        if len(inner) != len(self._schedulers):
            raise ArgumentError(
                "the saved state has another number of schedules",
                expected=str(len(self._schedulers)),
                got=str(len(inner)),
            )
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, inner, strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Combined):
    """The first schedule up to milestones[0], then the second from its own t = 0, and so on.

    Make the schedules first; their first steps are undone here. Raises ArgumentError where there
    is not one milestone less than schedules, milestones do not rise, or a schedule belongs to
    another optimizer.

    >>> from tinynet.optim.lr_scheduler import ExponentialLR, LinearLR, preview
    >>> def warm_up(optimizer):
    ...     parts = [LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.5)]
    ...     return SequentialLR(optimizer, parts, milestones=[2])
    >>> preview(warm_up, 5)
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._take(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                "there is one milestone between two schedules",
                expected=f"{len(schedulers) - 1} milestones",
                got=str(len(milestones)),
            )
        if sorted(milestones) != list(milestones):
            raise ArgumentError("milestones rise", got=str(list(milestones)))
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)
        self._begin()

    def _begin(self) -> None:
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next t: a step of the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Combined):
    """All schedules at every step; what they multiply the rate by is multiplied.

    Raises where a schedule belongs to another optimizer.

    >>> from tinynet.optim.lr_scheduler import ConstantLR, ExponentialLR, preview
    >>> def both(optimizer):
    ...     return ChainedScheduler([ConstantLR(optimizer, 0.1, 2), ExponentialLR(optimizer, 0.5)])
    >>> preview(both, 4)
    [0.1, 0.05, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = self._rates()

    def _begin(self) -> None:
        for scheduler in self._schedulers:
            scheduler._initial_step()
        self._last_lr = self._rates()

    def step(self) -> None:
        """Go on to the next t: a step of each, in their order."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._rates()


def _undo(scheduler: LRScheduler) -> None:
    """Take back the step that each schedule made when it was made."""
    if isinstance(scheduler, _Combined):
        for inner in scheduler._schedulers:
            _undo(inner)
    else:
        scheduler.last_epoch -= 1
