"""What is shown of the measurements: lines of text, a table, a file. The picture: `picture.py`."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from json import dump
from textwrap import wrap
from typing import Any

import numpy as np

from tinynet import kernels
from tinynet.bench.stopwatch import Result
from tinynet.files import write_atomically

_DISTRIBUTIONS = ("numba", "torch", "jax", "mygrad", "autograd", "cupy-cuda12x", "cupy-cuda13x")
_SECONDS = (("s", 1.0), ("ms", 1e3), ("µs", 1e6))
_BYTES = (("GiB", 2.0**-30), ("MiB", 2.0**-20), ("KiB", 2.0**-10))


def machine() -> str:
    """One line about where the numbers come from."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.system()}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


def versions() -> str:
    """One line about the engines: versions, and the threads that each may use."""
    found = []
    for name in _DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{', '.join(found) or 'no other engine'}; {kernels.get_num_threads()} threads"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        found = []
    return found[0] if found else platform.processor() or platform.machine()


def lines(result: Result) -> list[str]:
    """A row as text: what each engine needed, the quartiles, and ours as a multiple of it."""
    text = wrap(f"{result.name}   {result.what}", 96, subsequent_indent="   ")
    for name, spread in result.spread.items():
        median, low, high = (_amount(x, spread.median, result.unit) for x in spread)
        unit = _scale(spread.median, result.unit)[0]
        beside = "" if name == "tinynet" else f"   tinynet / {name} = {result.ratio(name):.2f}"
        text.append(f"   {name:<9}{median:>9} {unit:<3} ({low} … {high}){beside}")
    if result.compiling >= 0.05:
        text.append(f"   kernels compiled before, in {result.compiling:.1f} s")
    return text


def _scale(value: float, unit: str) -> tuple[str, float]:
    """The unit in which the value is at least 1, and how many of it one second or byte is."""
    units = _SECONDS if unit == "s" else _BYTES
    return next((u for u in units if value * u[1] >= 1), units[-1])


def _amount(value: float, beside: float, unit: str) -> str:
    return f"{value * _scale(beside, unit)[1]:.2f}"


def table(results: Sequence[Result]) -> list[str]:
    """All rows at a glance: ours, and its ratio to every peer."""
    peers = list(dict.fromkeys(name for result in results for name in result.peers))
    wide = max([len(result.name) for result in results], default=0) + 2
    head = f"{'row':<{wide}}{'tinynet':>13}" + "".join(f"{'/ ' + p:>11}" for p in peers)
    text = [head]
    for result in results:
        own = result.spread["tinynet"].median
        amount = f"{_amount(own, own, result.unit)} {_scale(own, result.unit)[0]:<3}"
        ratios = (f"{result.ratio(p):11.2f}" if p in result.spread else f"{'–':>11}" for p in peers)
        text.append(f"{result.name:<{wide}}{amount:>13}{''.join(ratios)}")
    return text


def write_json(path: str, results: Sequence[Result], device: str) -> None:
    """Keep the numbers, with the machine that they belong to."""
    rows: list[dict[str, Any]] = [
        {
            "name": result.name,
            "what": result.what,
            "unit": result.unit,
            "medians": {name: spread.median for name, spread in result.spread.items()},
            "quartiles": {name: spread[1:] for name, spread in result.spread.items()},
            "ratios": {name: result.ratio(name) for name in result.peers},
            "seconds_compiling": result.compiling,
        }
        for result in results
    ]
    kept = {"machine": machine(), "engines": versions(), "device": device, "rows": rows}
    with write_atomically(path, text=True) as file:
        dump(kept, file, indent=2)
        file.write("\n")
