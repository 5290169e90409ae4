"""One cycle: the rate rises to a peak and falls far below its start; momentum does the reverse."""

from __future__ import annotations

import math
from typing import Any

from tinynet.errors import ArgumentError
from tinynet.optim.lr_scheduler.base import LRScheduler, checked, checked_optimizer, per_group
from tinynet.optim.optimizer import Optimizer

_UP = {"start_lr": "initial_lr", "end_lr": "max_lr"}
_MOMENTUM_DOWN = {"start_momentum": "max_momentum", "end_momentum": "base_momentum"}
_MOMENTUM_UP = {"start_momentum": "base_momentum", "end_momentum": "max_momentum"}
_MOMENTUM_STAYS = {"start_momentum": "max_momentum", "end_momentum": "max_momentum"}


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr, then down, in `total_steps` steps, once.

    Within a phase, where p goes from 0 to 1, a rate a becomes b as

        η = b + (a − b) (1 + cos π p) / 2  ('cos'),      η = a + (b − a) p  ('linear').

    max_lr              the peak; like the momenta, one number or one per group
    total_steps         or epochs and steps_per_epoch, whose product it is
    pct_start           the share of the steps that rise, 0 to 1
    anneal_strategy     'cos' or 'linear'
    cycle_momentum      takes momentum (Adam: betas[0]) from max_momentum to base_momentum and back
    div_factor          the first rate is max_lr / div_factor
    final_div_factor    the last is that over final_div_factor
    three_phase         falls back to the first rate as it rose, and only then to the last

    Call `step()` after every batch. Rates changed by hand are overwritten. Raises ArgumentError for
    options outside of these ranges, an optimizer without momentum where momentum should cycle,
    and more steps than total_steps. Source: Smith and Topin, "Super-Convergence: Very Fast Training
    of Neural Networks Using Large Learning Rates", 2018; two phases with a cosine are PyTorch's.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda o: OneCycleLR(o, 1.0, total_steps=5, pct_start=0.6, div_factor=4.0), 5)
    [0.25, 0.625, 1.0, 0.50001, 0.000025]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked_optimizer(optimizer)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ArgumentError("pct_start lies in [0, 1]", got=f"pct_start = {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                "there is no such anneal_strategy",
                expected="'cos' or 'linear'",
                got=repr(anneal_strategy),
            )
        for name, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if not 0 < value < math.inf:
                raise ArgumentError(f"{name} is above 0", got=f"{name} = {value!r}")
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        peaks = per_group("max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                checked("max_lr", peak)
                group["initial_lr"], group["max_lr"] = peak / div_factor, peak
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _start_momentum(self, base: Any, largest: Any, last_epoch: int) -> None:
        known = self.optimizer.defaults
        if "momentum" not in known and "betas" not in known:
            raise ArgumentError(
                f"{type(self.optimizer).__name__} has no momentum to cycle",
                hint="cycle_momentum=False",
            )
        self.use_beta1 = "betas" in known
        lows = per_group("base_momentum", base, self.optimizer)
        highs = per_group("max_momentum", largest, self.optimizer)
        for group, low, high in zip(self.optimizer.param_groups, lows, highs, strict=True):
            for name, value in (("base_momentum", low), ("max_momentum", high)):
                if not 0 <= value < 1:
                    raise ArgumentError(f"{name} lies in [0, 1)", got=f"{name} = {value!r}")
            if last_epoch == -1:
                self._set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`; momenta are written into the groups on the way."""
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                "the cycle is over",
                expected=f"at most {self.total_steps} steps",
                got=f"step {self.last_epoch}",
            )
        start, end, phase = 0.0, 0.0, self._schedule_phases[-1]
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if self.last_epoch <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        # A phase may have no length (pct_start · total_steps = 1): it is over at once.
        share = (self.last_epoch - start) / (end - start) if end != start else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._anneal(*ends, share))
        return rates


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        checked("total_steps", total_steps, least=1, whole=True)
        return total_steps
    if epochs is None or steps_per_epoch is None:
        raise ArgumentError(
            "total_steps is missing", hint="total_steps, or epochs with steps_per_epoch"
        )
    checked("epochs", epochs, least=1, whole=True)
    checked("steps_per_epoch", steps_per_epoch, least=1, whole=True)
    return epochs * steps_per_epoch


def _phases(total: int, pct_start: float, three: bool) -> list[dict[str, Any]]:
    """Where each phase ends, and which entries of a group it goes from and to."""
    rise = {"end_step": float(pct_start * total) - 1, **_UP, **_MOMENTUM_DOWN}
    last = {"end_step": total - 1, "end_lr": "min_lr"}
    if not three:
        return [rise, {**last, "start_lr": "max_lr", **_MOMENTUM_UP}]
    fall = {"end_step": float(2 * pct_start * total) - 2, **_MOMENTUM_UP}
    fall |= {"start_lr": "max_lr", "end_lr": "initial_lr"}
    return [rise, fall, {**last, "start_lr": "initial_lr", **_MOMENTUM_STAYS}]
