"""Timing that is fair: each engine is warmed up, then all take turns, and the median of many turns
counts.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.bench.rows import ROWS, Row
from tinynet.errors import ArgumentError
from tinynet.files import write_atomically

_ROUND = 0.02  # seconds that one engine has in one round


@dataclass(frozen=True)
class Result:
    """One row: what was done, and the median seconds of each engine."""

    name: str
    what: str
    seconds: dict[str, float]

    def ratio(self, peer: str) -> float:
        """Our time as a multiple of the peer's: below 1, tinynet is faster."""
        return self.seconds["tinynet"] / self.seconds[peer]


def measure(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 15,
    wait: Callable[[], None] = lambda: None,
    returns_seconds: bool = False,
) -> dict[str, float]:
    """The median seconds per call of each function, all taking turns in every round.

    wait             called before the clock is read: until the GPU has finished
    returns_seconds  the functions measure themselves and return the seconds
    """

    def once(call: Callable[[], Any], times: int) -> float:
        if returns_seconds:
            return float(call())
        start = time.perf_counter()
        for _ in range(times):
            call()
        wait()
        return (time.perf_counter() - start) / times

    times = {}
    for name, call in calls.items():
        once(call, 1)  # warm-up: caches are filled, code is compiled
        times[name] = max(1, min(10_000, round(_ROUND / max(once(call, 1), 1e-7))))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in calls.items():
                seconds[name].append(once(call, times[name]))
    finally:
        if collecting:
            gc.enable()
    return {name: statistics.median(values) for name, values in seconds.items()}


def run(names: Sequence[str] = (), *, device: str = "cpu", rounds: int = 15) -> Iterator[Result]:
    """Measure the rows with these names, or all that the device can run."""
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise ArgumentError(f"no row {', '.join(unknown)}", expected=", ".join(ROWS))
    device = arrays.Device(device)
    if device != "cpu":
        arrays.cupy()  # a clear error where there is none
    for row in [ROWS[name] for name in names] if names else ROWS.values():
        if device == "cpu" or row.on_gpu:
            yield _run(row, device, rounds)


def _run(row: Row, device: str, rounds: int) -> Result:
    calls = row.make(device)
    if row.returns_seconds:
        rounds = min(rounds, 7)
    seconds = measure(
        calls, rounds=rounds, wait=_waiter(device), returns_seconds=row.returns_seconds
    )
    return Result(row.name, row.what, seconds)


def _waiter(device: str) -> Callable[[], None]:
    """What waits until the device has done all that it was asked to."""
    if device == "cpu":
        return lambda: None
    synchronize: Callable[[], None] = arrays.cupy().cuda.Device(int(device[5:])).synchronize
    return synchronize  # waits for the device, so for the work of every library on it


# -- what is shown ---------------------------------------------------------------------------------


def machine() -> str:
    """One line about where the numbers come from."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.system()}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        found = []
    return found[0] if found else platform.processor() or platform.machine()


def report(result: Result) -> list[str]:
    """A row as lines of text: the time of each engine, and ours as a multiple of it."""
    lines = [f"{result.name:<8} {result.what}"]
    for name, seconds in result.seconds.items():
        unit, factor = next((u, f) for u, f in _UNITS if seconds * f >= 1 or u == "µs")
        beside = "" if name == "tinynet" else f"   tinynet / {name} = {result.ratio(name):.2f}"
        lines.append(f"   {name:<10} {seconds * factor:9.2f} {unit:<2}{beside}")
    return lines


_UNITS = (("s", 1), ("ms", 1e3), ("µs", 1e6))


def write_json(path: str, results: Sequence[Result], device: str) -> None:
    """Keep the numbers, with the machine that they belong to."""
    with write_atomically(path, text=True) as file:
        rows = [asdict(result) for result in results]
        json.dump({"machine": machine(), "device": device, "rows": rows}, file, indent=2)
        file.write("\n")
