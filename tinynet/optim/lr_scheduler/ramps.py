"""Schedules that follow a curve: a constant, a line, a power, a cosine.

Each has a closed form η_t = η_0 f(t). What is computed is the chaining form
η_t = η_(t−1) · f(t) / f(t−1), which lets other schedules, and people, change the rate as well.
"""

from __future__ import annotations

import math

from tinynet.errors import ArgumentError
from tinynet.optim.lr_scheduler.base import LRScheduler, checked
from tinynet.optim.optimizer import Optimizer


def _checked_factor(name: str, value: float, *, zero: bool = False) -> None:
    if not (0 < value <= 1 or (zero and value == 0)):
        raise ArgumentError(
            f"{name} lies in {'[' if zero else '('}0, 1]", got=f"{name} = {value!r}"
        )


class ConstantLR(LRScheduler):
    """η_t = η_0 · factor for t < total_iters, then η_0.

    Raises ArgumentError for a factor outside (0, 1] and a negative total_iters. (A rate times 0
    could not be multiplied back.)

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: ConstantLR(optimizer, factor=0.5, total_iters=2), 4)
    [0.5, 0.5, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _checked_factor("factor", factor)
        checked("total_iters", total_iters)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._rates()]
        if self.last_epoch != self.total_iters:
            return self._rates()
        return [lr * (1.0 / self.factor) for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [lr * factor for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """η_t = η_0 · f, where f goes from start_factor to end_factor on a line, and then stays.

        f(t) = start + (end − start) · min(t, total_iters) / total_iters

    so that f(t) / f(t−1) = 1 + (end − start) / (total · start + (t − 1)(end − start)). The usual
    warm-up. Raises ArgumentError for a start_factor outside (0, 1], an end_factor outside [0, 1],
    and total_iters below 1.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: LinearLR(optimizer, start_factor=0.5, total_iters=2), 4)
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _checked_factor("start_factor", start_factor)
        _checked_factor("end_factor", end_factor, zero=True)
        checked("total_iters", total_iters, least=1)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._rates()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [lr * (1.0 + rise / before) for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        rise = self.end_factor - self.start_factor
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return [lr * (self.start_factor + rise * done) for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """η_t = η_0 · (1 − min(t, total_iters) / total_iters)^power: down to 0.

    Raises ArgumentError for total_iters below 1 and a negative power.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: PolynomialLR(optimizer, total_iters=4, power=2.0), 6)
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        checked("total_iters", total_iters, least=1)
        checked("power", power)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return [lr * (now / before) ** self.power for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [lr * left**self.power for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """η_t = η_min + (η_0 − η_min) (1 + cos(π t / T_max)) / 2: down to eta_min in T_max steps.

    Half a wave of the cosine; it rises again after T_max. At the foot of the wave, where the ratio
    f(t) / f(t−1) would divide by 0, the difference f(t) − f(t−1) is added instead.

    Raises ArgumentError for a T_max or an eta_min that is not above, or at, 0. Source: Loshchilov
    and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, here
    without the restarts.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: CosineAnnealingLR(optimizer, T_max=2, eta_min=0.1), 6)
    [1.0, 0.55, 0.1, 0.55, 1.0, 0.55]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        checked("T_max", T_max)
        if T_max == 0:
            raise ArgumentError("T_max is above 0", got="T_max = 0")
        checked("eta_min", eta_min)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, low = self.last_epoch, self.eta_min
        if self._is_initial:
            return self._rates()
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(self._rates(), self.base_lrs, strict=True)
            return [lr + (base - low) * rise for lr, base in pairs]
        now, before = (1 + math.cos(math.pi * k / self.T_max) for k in (t, t - 1))
        return [now / before * (lr - low) + low for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """η_t = η_min + (η_0 − η_min) (1 + cos(π T_cur / T_i)) / 2, from the top again every T_i steps.

    T_0        length of the first cycle
    T_mult     each cycle is this many times as long as the one before
    eta_min    the foot of each cycle

    T_cur counts steps since the last restart. `step(epoch)` may be given a fraction, such as
    epoch + batch / batches. Rates changed by hand are overwritten. Raises ArgumentError for a T_0
    or T_mult that is not whole or below 1, a negative eta_min, and a negative epoch. Source:
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5.

    >>> from tinynet.optim.lr_scheduler import preview
    >>> preview(lambda o: CosineAnnealingWarmRestarts(o, T_0=2, T_mult=2), 7)
    [1.0, 0.5, 1.0, 0.85355, 0.5, 0.14645, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        checked("T_0", T_0, least=1, whole=True)
        checked("T_mult", T_mult, least=1, whole=True)
        checked("eta_min", eta_min)
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by one step, or to `epoch`, which may be a fraction. Raises where it is negative.

        The place in the cycle is found exactly. (PyTorch takes a rounded logarithm, which at some
        restarts comes out one cycle early, and resumes by last_epoch in the first cycles only.)
        """
        if epoch is None and self._is_initial:
            epoch = self.last_epoch + 1
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            checked("epoch", epoch)
            self._find(epoch)
        self.last_epoch = math.floor(epoch)
        self._write(self.get_lr())

    def _restart(self) -> None:
        self.T_cur, self.T_i = 0, self.T_0
        super()._restart()

    def _find(self, epoch: float) -> None:
        """The cycle that `epoch` is in, and the place in it."""
        self.T_i = self.T_0
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
            return
        self.T_cur = epoch
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
