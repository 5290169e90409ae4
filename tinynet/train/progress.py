"""How far it is: a bar on a terminal, or a line for each epoch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from tinynet.errors import ArgumentError
from tinynet.train.evaluation import Sums

_OFTEN = 0.1  # seconds between two looks at the bar


class Progress:
    """Loss, learning rate and samples per second, on stderr.

    kind   True: a bar where stderr is a terminal, else nothing; "lines": a line per epoch where it
           is none; False: nothing
    """

    def __init__(self, kind: bool | str, epochs: int) -> None:
        if kind not in (True, False, "lines"):
            raise ArgumentError("progress is True, False or 'lines'", got=repr(kind))
        terminal = kind is not False and sys.stderr.isatty()
        self.wants_bar, self.wants_lines = terminal, kind == "lines" and not terminal
        self.epochs = epochs
        self.bar: Any = None
        self.samples = 0  # before the speed was measured
        self.since = self.shown = perf_counter()
        self.speed = 0.0

    def begin(self, loader: Any, epoch: int, batch: int) -> None:
        """An epoch begins, or is taken up after some batches."""
        self.since, self.samples = perf_counter(), -1
        if self.wants_bar and self.bar is None:
            from tqdm import tqdm

            try:
                size = len(loader)
            except TypeError:  # a stream
                size = None
            done = 0 if size is None else epoch * size + batch
            total = None if size is None else self.epochs * size
            self.bar = tqdm(total=total, initial=done, unit="batch", leave=False, ncols=100)

    def step(self, batches: int, sums: Sums, optimizer: Any) -> None:
        """Some batches are done."""
        now = perf_counter()
        if self.samples < 0:  # the first step compiles, and may have been resumed
            self.samples, self.since = sums.samples, now
        self.speed = (sums.samples - self.samples) / max(now - self.since, 1e-9)
        if self.bar is not None:
            if now - self.shown >= _OFTEN:
                self.shown = now
                numbers = {"loss": sums.loss / sums.losses, "lr": optimizer.param_groups[0]["lr"]}
                self._postfix(numbers, refresh=False)
            self.bar.update(batches)

    def show(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """The numbers of an epoch."""
        if self.bar is not None:
            self._postfix(numbers)
        if self.wants_lines:
            width = len(str(self.epochs))
            told = [f"{name} {value:.4g}" for name, value in numbers.items()]
            told = [f"epoch {epoch:{width}}/{self.epochs}", *told, *self._speed()]
            print("  ".join(told), file=sys.stderr, flush=True)

    def _postfix(self, numbers: Mapping[str, float], refresh: bool = True) -> None:
        told = [f"{name}={value:.4g}" for name, value in numbers.items()]
        self.bar.set_postfix_str(", ".join([*told, *self._speed()]), refresh=refresh)

    def _speed(self) -> list[str]:
        return [f"{self.speed:,.0f} samples/s"] if self.speed else []

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
