"""What is paid once: importing, and the first call of what has to be compiled."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from typing import Any

from tinynet.bench.engines import PEERS, is_installed, training
from tinynet.bench.processes import fresh
from tinynet.bench.row import ROWS, Calls, row
from tinynet.bench.rows.matrices import matmul
from tinynet.bench.rows.sequences import gpt_task


@row(
    "import",
    "importing, each in a fresh process; all but NumPy itself after NumPy",
    devices=("cpu",),
    returns="s",
)
def importing(device: str) -> Calls:
    """Seconds of one import statement."""

    def seconds(name: str, after: str) -> float:
        return fresh(
            f"import time, {after}; t = time.perf_counter(); import {name}; "
            "print(time.perf_counter() - t)"
        )

    names = [name for name in ("tinynet", *PEERS) if is_installed(name)]
    calls: Calls = {name: functools.partial(seconds, name, "numpy") for name in names}
    return {**calls, "numpy": functools.partial(seconds, "numpy", "sys")}


_ONCE: dict[str, Any] = {"devices": ("cpu",), "returns": "s"}


@row(
    "first-step-disk",
    "the same with the compiled kernels on disk, in a fresh process",
    options={"function": "first_step", "cold": False},
    **_ONCE,
)
@row(
    "first-step-cold",
    "the first training step of the row gpt: compiling its kernels, in a fresh process",
    options={"function": "first_step", "cold": True},
    **_ONCE,
)
@row(
    "first-product-disk",
    "the same with the compiled kernel on disk, in a fresh process",
    options={"function": "first_product", "cold": False},
    **_ONCE,
)
@row(
    "first-product-cold",
    "the first product of two 64 × 64 matrices by the kernel: compiling it, in a fresh process",
    options={"function": "first_product", "cold": True},
    **_ONCE,
)
def first(device: str, *, function: str, cold: bool) -> Calls:
    """Seconds of a first call. Cold: with an empty cache at every turn; else with what the warm-up
    has left in the usual one. JAX is not told to keep what it compiled.
    """

    def seconds(engine: str) -> float:
        code = f"from tinynet.bench.rows.starting import {function} as f; print(f({engine!r}))"
        if not cold:
            return fresh(code)
        with tempfile.TemporaryDirectory(prefix="tinynet-kernels-") as empty:
            return fresh(code, {"NUMBA_CACHE_DIR": empty})

    engines = ("tinynet", "torch", "jax") if function == "first_step" else ("tinynet", "jax")
    return {name: functools.partial(seconds, name) for name in engines if is_installed(name)}


def first_product(engine: str) -> float:
    """Seconds of the first product of two matrices."""
    return _seconds(matmul("cpu", n=64)["gemm" if engine == "tinynet" else engine])


def first_step(engine: str) -> float:
    """Seconds of the first training step of a GPT."""
    task = gpt_task(**ROWS["gpt"].sizes, **ROWS["gpt"].options)
    return _seconds(training("cpu", task, only=engine)[engine])


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
