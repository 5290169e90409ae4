"""What a training run leaves behind: its numbers, epoch by epoch."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tinynet.errors import ArgumentError, FileFormatError
from tinynet.files import write_atomically


@dataclass
class History:
    """The curves of a run. `history["val_loss"]` is a list with one number for each epoch.

    curves      name -> numbers: "loss", "val_loss", each metric as "accuracy", "val_accuracy", and
                with a schedule "lr", the rate of the epoch's last step
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

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """A table for people and other programs: a line for each epoch, a column for each curve.

        Numbers are written with all their digits, so that `from_csv` gives the same history; the
        last line also tells how the run ended. The file is written whole or not at all.

        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "history.csv"
        >>> History({"loss": [0.5, 0.1], "val_loss": [0.75, 1 / 3]}).to_csv(path)
        >>> print(path.read_text())
        epoch,loss,val_loss,ended
        1,0.5,0.75,
        2,0.1,0.3333333333333333,finished
        >>> History.from_csv(path)["val_loss"][1] == 1 / 3
        True
        """
        for name in ("epoch", "ended"):
            if name in self.curves:
                raise ArgumentError(f"a curve cannot be called {name!r}: the table has that column")
        count = max([1, *map(len, self.curves.values())])
        with write_atomically(path, text=True) as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["epoch", *self.curves, "ended"])
            for i in range(count):
                cells = [repr(v[i]) if i < len(v) else "" for v in self.curves.values()]
                number = i + 1 if any(cells) else ""
                table.writerow([number, *cells, self.ended if i == count - 1 else ""])

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> History:
        """The inverse of `to_csv`. Raises `FileFormatError` for a table of another kind."""
        with open(path, encoding="utf-8", newline="") as file:
            try:
                rows = list(csv.reader(file))
            except (csv.Error, UnicodeDecodeError):
                rows = []
        if len(rows) < 2 or rows[0][:1] != ["epoch"] or rows[0][-1:] != ["ended"]:
            raise FileFormatError(
                f"{os.fspath(path)} is no table of a history",
                expected="a first line epoch,loss,…,ended, and a line for each epoch",
            )
        names = rows[0][1:-1]
        curves: dict[str, list[float]] = {name: [] for name in names}
        for number, row in enumerate(rows[1:], 2):
            try:
                for name, cell in zip(names, row[1:-1], strict=True):
                    if cell:
                        curves[name].append(float(cell))
            except ValueError:
                raise FileFormatError(
                    f"{os.fspath(path)}, line {number}: not a number for each curve",
                    expected=f"{len(rows[0])} cells",
                    got=",".join(row),
                ) from None
        return cls(curves, rows[-1][-1])

    def plot(self) -> Any:
        """`plot.learning_curves` of this run: an array of Axes."""
        from tinynet.plot import learning_curves

        return learning_curves(self)
