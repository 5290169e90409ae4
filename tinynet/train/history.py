"""What a training run leaves behind: its numbers, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tinynet.errors import ArgumentError


@dataclass
class History:
    """The curves of a run. `history["val_loss"]` is a list with one number for each epoch.

    curves      name -> numbers: "loss", "val_loss", and each metric as "accuracy", "val_accuracy"
    best_epoch  the epoch (counted from 1) with the lowest loss: on the validation data where there
                are some
    ended       how the run ended: "finished", "early" (patience was exhausted) or "interrupted"
                (Ctrl-C)

    >>> history = History({"loss": [2.0, 1.0, 0.5], "val_loss": [2.0, 1.5, 1.7]})
    >>> history.best_epoch, history["val_loss"][history.best_epoch - 1]
    (2, 1.5)
    """

    curves: dict[str, list[float]] = field(default_factory=dict)
    ended: str = "finished"

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.curves:
            raise KeyError(f"no curve {name!r}; there are {', '.join(self.curves) or 'none yet'}")
        return self.curves[name]

    def __len__(self) -> int:
        return len(self.curves.get("loss", ()))

    @property
    def monitored(self) -> list[float]:
        """The losses that decide which epoch was best."""
        return self.curves.get("val_loss") or self.curves.get("loss") or []

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest monitored loss, counted from 1; 0 if none has ended."""
        losses = [math.inf if math.isnan(value) else value for value in self.monitored]
        return 1 + losses.index(min(losses)) if losses else 0

    def append(self, numbers: Mapping[str, float]) -> None:
        """Add the numbers of one epoch."""
        for name, value in numbers.items():
            self.curves.setdefault(name, []).append(float(value))

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts and lists, for `tn.save`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        if set(data) != {"curves", "ended"}:
            raise ArgumentError(
                "not a saved history", expected="curves, ended", got=", ".join(map(str, data))
            )
        return cls({name: list(values) for name, values in data["curves"].items()}, data["ended"])

    def plot(self) -> Any:
        """`plot.learning_curves` of this run: an array of Axes."""
        from tinynet.plot import learning_curves

        return learning_curves(self)
