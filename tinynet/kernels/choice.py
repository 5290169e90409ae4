"""The one place of choice: what computes an op on the arrays that came.

An op is computed by a kernel where one is listed below, the arrays are float32 or float64 of the
CPU, there are enough numbers to be worth a call, and the kernel serves the options; else by the
reference: the rule of the table or the derivation, in NumPy. On a GPU the same with its own list.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError

# Which file of `kernels` (of `kernels.cuda`) holds the kernel of an op, under KERNELS[op].
CPU: dict[str, str] = {
    "adaptive_avg_pool": "pooling",
    "adaptive_max_pool": "pooling",
    "avg_pool": "pooling",
    "conv2d": "convolution",
    "conv_transpose2d": "convolution",
    "max_pool": "pooling",
}
GPU: dict[str, str] = {}

MODES = ("auto", "reference", "compiled")
_mode = ContextVar("mode", default="auto")  # of its own in every thread


class Kernel:
    """What computes an op and its gradients in the place of the reference.

    forward   (*arrays, **options) -> (y, saved), as in a derivation
    backward  (g, saved, *, needs, **options) -> gradients: one for each input, None where `needs`
              asks for none
    serves    (*arrays, **options) -> bool: False for options that it leaves to the reference
    least     how many numbers the inputs must hold together for it to be faster
    """

    def __init__(
        self,
        forward: Callable[..., tuple[Any, Any]],
        backward: Callable[..., Sequence[Any]],
        *,
        serves: Callable[..., bool] | None = None,
        least: int = 4096,
    ) -> None:
        self.forward, self.backward, self.serves, self.least = forward, backward, serves, least

    def run(self, values: Sequence[Any], options: dict[str, Any]) -> tuple[Any, Any]:
        """The output, and what `backward` wants saved."""
        return self.forward(*values, **options)


class use:
    """Say what computes: "reference" (NumPy), "compiled" (kernels, however small the arrays), or
    "auto" (kernels where they are faster, the default), in this thread until the block ends.

    Raises ArgumentError for another word.

    >>> with use("reference"):
    ...     mode()
    'reference'
    """

    def __init__(self, mode: str) -> None:
        if mode not in MODES:
            raise ArgumentError("kernels.use: no such mode", expected=", ".join(MODES), got=mode)
        self._wanted = mode
        self._before: list[str] = []

    def __enter__(self) -> None:
        self._before.append(_mode.get())
        _mode.set(self._wanted)

    def __exit__(self, *_: object) -> None:
        _mode.set(self._before.pop())


def mode() -> str:
    """What computes in this thread: "auto", "reference" or "compiled"."""
    return _mode.get()


def find(name: str, values: Sequence[Any], options: dict[str, Any]) -> Kernel | None:
    """The kernel that computes the op `name` on these arrays; None where the reference does."""
    wanted = _mode.get()
    if wanted == "reference":
        return None
    on_cpu = type(values[0]) is np.ndarray
    table = CPU if on_cpu else GPU
    if name not in table or not _uniform(values):
        return None
    if wanted == "auto" and on_cpu and not has_compiler():
        return None
    # Small arrays are turned down before Numba is imported, which takes half a second.
    if wanted == "auto" and sum(x.size for x in values) < _LEAST_OF_ALL:
        return None
    kernel = _load(table is CPU, name)
    if wanted == "auto" and sum(x.size for x in values) < kernel.least:
        return None
    return kernel if kernel.serves is None or kernel.serves(*values, **options) else None


_LEAST_OF_ALL = 512


def _uniform(values: Sequence[Any]) -> bool:
    """Whether all are arrays of one kind, and those of floats of one dtype, float32 or float64."""
    kind, dtype = type(values[0]), None
    for x in values:
        if type(x) is not kind or not hasattr(x, "dtype"):
            return False
        if x.dtype.kind == "f":
            if dtype is None:
                dtype = x.dtype
            if x.dtype != dtype:
                return False
        elif x.dtype.kind not in "iub":
            return False
    return dtype is not None and dtype.itemsize in (4, 8) and dtype.isnative


@functools.cache
def has_compiler() -> bool:
    """Whether Numba is installed and not told to leave Python as it is (NUMBA_DISABLE_JIT)."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return False
    return importlib.util.find_spec("numba") is not None


@functools.cache
def _load(on_cpu: bool, name: str) -> Kernel:
    package, table = ("tinynet.kernels", CPU) if on_cpu else ("tinynet.kernels.cuda", GPU)
    found: Kernel = importlib.import_module(f"{package}.{table[name]}").KERNELS[name]
    return found
