"""Timing that is fair: results are compared, each engine is warmed up, then all take turns, and the
median of many turns counts.

A turn begins with calls that do not count. After its last call the threads of an engine watch for
the next one, each on a core of its own, and whoever comes next would be charged for that. On the
machine this was measured on, OpenMP's threads, so PyTorch's, did so for up to 20 ms, OpenBLAS's, so
NumPy's, for 100.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinynet import arrays
from tinynet.bench.row import Row, select
from tinynet.errors import ArgumentError, TinynetError

_WATCH = 0.12  # seconds after which the threads of the engine before are asleep
_ROUND = 0.02  # seconds that one engine has in one round
_COMPARED = 3  # calls whose results are compared


class Spread(NamedTuple):
    """The median of many turns, and the quartiles: half of the turns lay between."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """One row: what was done, and what each engine needed.

    spread     by engine: seconds, or bytes where `unit` is "B"
    compiling  the seconds that tinynet's kernels took to compile before, not counted in it
    """

    name: str
    what: str
    unit: str
    spread: dict[str, Spread]
    compiling: float = 0.0

    def ratio(self, peer: str) -> float:
        """Ours as a multiple of the peer's: below 1, tinynet is faster, or smaller."""
        theirs = self.spread[peer].median
        return self.spread["tinynet"].median / theirs if theirs else float("inf")

    @property
    def peers(self) -> list[str]:
        """The other engines."""
        return [name for name in self.spread if name != "tinynet"]


def run(
    names: Sequence[str] = (),
    *,
    device: str = "cpu",
    rounds: int = 15,
    around: int = 0,
    progress: Callable[[Row, int, int], None] = lambda row, i, total: None,
) -> Iterator[Result]:
    """Measure the rows with these names, or all that the device can run.

    around    how many more times each row is measured, at sizes drawn from those near its own
    progress  called before each row with the row, its number from 1, and how many there are

    Raises ArgumentError for an unknown row, and DeviceError where there is no such device.
    """
    if around < 0 or rounds < 1:
        raise ArgumentError("bench: around is not negative, and rounds are at least one")
    device = arrays.Device(device)
    if device != "cpu":
        arrays.cupy()  # a clear error where there is none
    rows = [near for row in select(names, device) for near in row.around(around)]
    for i, row in enumerate(rows, 1):
        progress(row, i, len(rows))
        yield _run(row, device, rounds)


def _run(row: Row, device: str, rounds: int) -> Result:
    calls, before = row.prepare(device), _compiling()
    if row.returns:
        rounds = min(rounds, 3)
    else:
        compare(calls, row.name, row.tolerance)
    compiling = _compiling() - before
    spread = measure(calls, rounds=rounds, wait=_waiter(device), returns_numbers=bool(row.returns))
    return Result(row.name, row.text, row.returns or "s", spread, compiling)


def _compiling() -> float:
    """The seconds that kernels have taken to compile in this process."""
    jit = sys.modules.get("tinynet.kernels.jit")
    return jit.seconds["compiling"] if jit else 0.0


def _waiter(device: str) -> Callable[[], None]:
    """What waits until the device has done all that it was asked to."""
    if device == "cpu":
        return lambda: None
    synchronize: Callable[[], None] = arrays.cupy().cuda.Device(int(device[5:])).synchronize
    return synchronize  # waits for the device, so for the work of every library on it


# -- is it the same work? --------------------------------------------------------------------------


def compare(calls: Mapping[str, Callable[[], Any]], name: str, tolerance: float) -> None:
    """Call every engine three times and hold what it returns against what tinynet returns.

    For a training step these are three losses: the second and the third tell whether the steps
    before were the same. Raises TinynetError where they are farther apart than by rounding.
    """
    ours = [_numbers(calls["tinynet"]()) for _ in range(_COMPARED)]
    for engine, call in calls.items():
        if engine == "tinynet":
            continue
        for turn, wanted in enumerate(ours, 1):
            found = _numbers(call())
            if [x.shape for x in found] != [x.shape for x in wanted]:
                raise TinynetError(
                    f"bench {name}: {engine} returns shapes {[x.shape for x in found]}, "
                    f"tinynet {[x.shape for x in wanted]}"
                )
            for x, y in zip(found, wanted, strict=True):
                off = np.max(np.abs(x - y), initial=0) / (np.max(np.abs(y), initial=0) or 1)
                if not off <= tolerance:
                    raise TinynetError(
                        f"bench {name}: {engine} and tinynet do not compute the same: in call "
                        f"{turn} they are {off:.0e} apart, and {tolerance:.0e} would be rounding"
                    )


def _numbers(result: Any) -> list[Any]:
    """What a call returned, of whichever library, as float64 arrays."""
    if isinstance(result, tuple | list):
        return [x for part in result for x in _numbers(part)]
    if isinstance(result, Mapping):
        return [x for part in result.values() for x in _numbers(part)]
    if hasattr(result, "detach"):  # a Tensor of tinynet or PyTorch
        result = result.detach().cpu().numpy()
    elif arrays.is_array(result):
        result = arrays.to_device(result, "cpu")
    return [np.asarray(result, dtype=np.float64)]


# -- how long does it take? ------------------------------------------------------------------------


def measure(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 15,
    wait: Callable[[], None] = lambda: None,
    returns_numbers: bool = False,
) -> dict[str, Spread]:
    """The seconds per call of each function, all taking turns in every round.

    wait             called before the clock is read: until the GPU has finished
    returns_numbers  the functions measure themselves, and return what they measured
    """

    def once(call: Callable[[], Any], times: int) -> float:
        if returns_numbers:
            return float(call())
        start = time.perf_counter()
        for _ in range(times):
            call()
        wait()
        return (time.perf_counter() - start) / times

    def alone(call: Callable[[], Any]) -> None:
        end = time.perf_counter() + _WATCH
        call()
        while time.perf_counter() < end:
            call()
        wait()

    times = {}
    for name, call in calls.items():
        once(call, 1)  # warm-up: caches are filled, code is compiled
        times[name] = 1
        if not returns_numbers:
            times[name] = max(1, min(10_000, round(_ROUND / max(once(call, 1), 1e-7))))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in calls.items():
                if not returns_numbers:
                    alone(call)
                taken[name].append(once(call, times[name]))
    finally:
        if collecting:
            gc.enable()
    return {name: _spread(values) for name, values in taken.items()}


def _spread(values: Sequence[float]) -> Spread:
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)
