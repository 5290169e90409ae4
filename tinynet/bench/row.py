"""What a row is: a name, a text, the sizes it is measured at, and the calls that are timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError

Calls = dict[str, Callable[[], Any]]  # for every engine, something to call
Make = Callable[..., Calls]

ROWS: dict[str, Row] = {}

WIDTH = 0.3  # how far `near` goes from the sizes of a row, to both sides


@dataclass(frozen=True)
class Row:
    """A measurement.

    make       called with the device, the sizes and the options, prepares the calls; what they
               return (a loss, gradients) is compared before anything is measured
    what       in words, with {size} where a size is to be named
    sizes      whole numbers that may be others, too: the row is then the same work, of another
               shape
    options    what else `make` wants to know
    devices    where it can run
    returns    "" if calls are timed; "s" or "B" if they return seconds or bytes that they measured
    tolerance  how far results may lie apart, as a part of the largest number in them
    """

    name: str
    what: str
    make: Make
    sizes: Mapping[str, int]
    options: Mapping[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu", "cuda")
    returns: str = ""
    tolerance: float = 1e-4

    @property
    def text(self) -> str:
        """What is done, with the sizes."""
        return self.what.format(**self.sizes, **self.options)

    def prepare(self, device: str = "cpu") -> Calls:
        """The calls, by engine."""
        return self.make(device, **self.sizes, **self.options)

    def near(self, rng: np.random.Generator) -> dict[str, int]:
        """Sizes drawn evenly from 30 % below those of the row to 30 % above."""
        drawn = {}
        for name, n in self.sizes.items():
            drawn[name] = max(1, round(n * rng.uniform(1 - WIDTH, 1 + WIDTH)))
        return drawn

    def around(self, count: int, seed: int = 0) -> Iterator[Row]:
        """The row itself, and `count` rows of the same work at sizes near its own."""
        yield self
        rng = np.random.default_rng(seed)
        for i in range(count if self.sizes else 0):
            yield replace(self, name=f"{self.name}~{i + 1}", sizes=self.near(rng))


def row(
    name: str, what: str, *, options: Mapping[str, Any] | None = None, **more: Any
) -> Callable[[Make], Make]:
    """Add the decorated function to the rows. `more`: fields of Row, all others are sizes.

    A function may make several rows: one decorator each, the one next to it comes first.
    """
    fields = {key: more.pop(key) for key in ("devices", "returns", "tolerance") if key in more}

    def add(make: Make) -> Make:
        ROWS[name] = Row(name, what, make, more, options or {}, **fields)
        return make

    return add


def select(names: Sequence[str], device: str) -> list[Row]:
    """The rows with these names, all if there are none. `attention` names all `attention-…`.

    Raises ArgumentError for a name that no row has.
    """
    wanted = {}
    for name in names:
        found = [n for n in ROWS if n == name or n.startswith(f"{name}-")]
        if not found:
            raise ArgumentError(f"bench: there is no row {name!r}", expected=", ".join(ROWS))
        wanted.update(dict.fromkeys(found))
    kind = device.partition(":")[0]
    return [ROWS[n] for n in wanted or ROWS if kind in ROWS[n].devices]
