"""Which learning rate? Try them all, from too small to too large, on the way of one short training.

The rate grows by the same factor with every step, so that each power of ten gets as many steps. As
long as it is too small the loss hardly moves; then it falls; then the steps are too long and it
rises, or stays high for good. Good rates lie where it falls: the suggestion is the rate, below that
of the lowest loss, at which the smoothed loss falls most steeply per factor of the rate.

The losses of single batches are noisy: they are averaged with a decay, by the formula of
`averaging.py`.

Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3, where the
rate grows linearly.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet import random
from tinynet.errors import ArgumentError
from tinynet.train.averaging import newest_share
from tinynet.train.batches import Pair, as_loader, pairs, predict
from tinynet.train.evaluation import Loss
from tinynet.train.guard import Buffers

_DECAY = 0.9  # of the smoothed loss: about the last 10 steps
_FAR = 4.0  # times the lowest loss: it has blown up


@dataclass
class LearningRates:
    """The loss at each learning rate that was tried.

    rates        growing
    losses       of the batch at each step, before the step
    smoothed     their average with a decay
    suggestion   the rate at which `smoothed` falls most steeply
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float

    def plot(self, ax: Any = None) -> Any:
        """The losses over the rates, with the suggestion marked: Axes."""
        from tinynet.plot import learning_rates

        return learning_rates(self, ax=ax)


def find_lr(
    model: Any,
    data: Any,
    *,
    loss: Loss,
    optimizer: Any,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    seed: int | None = None,
) -> LearningRates:
    """Train for a few steps with a growing learning rate, and suggest one.

    model, data, loss, optimizer, batch_size, seed   as of `fit`
    lowest, highest   the rates of the first and of the last step; of several parameter groups, the
                      first has these, the others keep their ratio to it
    steps             how many; it ends earlier where the loss blows up

    Afterwards everything is as it was, to the bit: weights, buffers, gradients, optimizer, random
    numbers. Set the rate that you choose in a new optimizer, or in `optimizer.param_groups`.

    Raises ArgumentError for rates that do not grow and for fewer than 10 steps.

    >>> from tinynet import nn, optim
    >>> import tinynet as tn
    >>> _ = tn.manual_seed(0)
    >>> model = nn.Linear(4, 1)
    >>> x = tn.randn(64, 4)
    >>> sgd = optim.SGD(model.parameters(), lr=0.1)
    >>> found = find_lr(model, (x, x.sum(1, keepdim=True)), loss=nn.MSELoss(), optimizer=sgd)
    >>> 0.01 < found.suggestion < 1, sgd.param_groups[0]["lr"]
    (True, 0.1)
    """
    if not 0 < lowest < highest < math.inf or steps < 10:
        raise ArgumentError(
            "the learning rate grows from lowest to highest, in 10 steps or more",
            got=f"lowest={lowest}, highest={highest}, steps={steps}",
        )
    with _put_back(model, optimizer):
        if seed is not None:
            random.manual_seed(seed)
        groups = optimizer.param_groups
        ratios = [group["lr"] / groups[0]["lr"] if groups[0]["lr"] else 1.0 for group in groups]
        rates = np.geomspace(lowest, highest, steps).tolist()
        losses: list[float] = []
        smoothed: list[float] = []
        model.train()
        batches = _endless(as_loader(data, batch_size, shuffle=True))
        for rate, (x, y) in zip(rates, batches, strict=False):
            optimizer.zero_grad()
            value = loss(predict(model, x), y)
            number = value.item()
            last = smoothed[-1] if smoothed else 0.0
            now = last + newest_share(_DECAY, len(losses) + 1) * (number - last)
            if not math.isfinite(now) or (losses and now > _limit(smoothed)):
                break
            losses.append(number)
            smoothed.append(now)
            value.backward()
            for group, ratio in zip(groups, ratios, strict=True):
                group["lr"] = rate * ratio
            with np.errstate(over="ignore", invalid="ignore"):
                optimizer.step()
    rates = rates[: len(losses)]
    return LearningRates(rates, losses, smoothed, _steepest(rates, smoothed))


def _endless(loader: Any) -> Iterator[Pair]:
    """One pass over the data after another."""
    while True:
        found = False
        for pair in pairs(loader):
            found = True
            yield pair
        if not found:
            raise ArgumentError("there is no batch to learn from")


def _limit(smoothed: list[float]) -> float:
    """A loss above this has blown up; losses may be negative."""
    lowest = min(smoothed)
    return max(lowest + (_FAR - 1) * abs(lowest), smoothed[0] + abs(smoothed[0] - lowest))


def _steepest(rates: list[float], smoothed: list[float]) -> float:
    """The rate, before the lowest loss, at which the loss falls most steeply over log(rate)."""
    if len(rates) < 3:
        return rates[0] if rates else math.nan
    few = min(round(1 / (1 - _DECAY)), len(rates) // 3)  # where the average is of few losses yet
    end = max(int(np.argmin(smoothed)), few) + 1
    slopes = np.gradient(np.array(smoothed), np.log(rates))
    return rates[few + int(np.argmin(slopes[few:end]))]


@contextmanager
def _put_back(model: Any, optimizer: Any) -> Iterator[None]:
    """Afterwards weights, buffers, gradients, optimizer and random numbers are as they were."""
    devices = {"cpu", *(p.device for p in model.parameters())}
    weights = [(p, p.array.copy(), p.grad) for p in model.parameters()]
    buffers, modes = Buffers(model), [(module, module.training) for module in model.modules()]
    buffers.remember()
    options = [
        {key: copy.deepcopy(x) for key, x in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    state, stepped = optimizer.state, optimizer._stepped
    itself = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    optimizer.state, position = copy.deepcopy(state, itself), random.positions(devices)
    for p, _, _ in weights:
        p.grad = None  # a new gradient is another tensor: the old one keeps its numbers
    try:
        yield
    finally:
        for p, array, grad in weights:
            p.array[...] = array
            p._counter[0] += 1
            p.grad = grad
        buffers.restore()
        optimizer.state, optimizer._stepped = state, stepped
        for group, saved in zip(optimizer.param_groups, options, strict=True):
            for key in [key for key in group if key not in ("params", *saved)]:
                del group[key]
            group.update(saved)
        for module, mode in modes:
            module.training = mode
        random.set_positions(position)
