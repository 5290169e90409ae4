"""Numba, if it is there: how kernels are compiled, and what runs where it is not.

`@kernel` marks what Python calls, `@inner` what only kernels call.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinynet.kernels.choice import has_compiler
from tinynet.kernels.memory import keep_freed

keep_freed()
COMPILES = has_compiler()
if COMPILES:
    import numba
    from numba.core import event

_compiling = threading.RLock()
seconds = {"compiling": 0.0}  # spent so far in this process, what came from disk not counted


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function for kernels to call: compiled together with them."""
    return _compiled(function) if COMPILES else function


def _compiled(
    function: Callable[..., Any], signature: Any = None, allocates: bool = False
) -> Callable[..., Any]:
    on_disk = os.path.exists(inspect.getfile(function))  # what was typed in has no file to stand by
    options: dict[str, Any] = {"nogil": True, "cache": on_disk, "error_model": "numpy"}
    options |= {"fastmath": {"contract", "reassoc"}, "_nrt": allocates}
    made: Any = numba.njit(**options)(function)
    if on_disk:
        index = made._cache._cache_file
        index._source_stamp = (index._source_stamp, _sources())
    if signature is not None:
        with event.install_listener("numba:compile", _announcer(function.__name__)):
            made.compile(signature)
        made.disable_compile()
    return cast(Callable[..., Any], made)


@functools.cache
def _sources() -> str:
    """A fingerprint of all kernels. What is kept on disk holds the code of the functions that it
    calls as well; Numba looks only at the file of the caller, and would run yesterday's.
    """
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


@inner
def put(into: Any, x: Any) -> None:
    """into[: len(x)] = x. Where a kernel says it with a slice, Numba compiles what it would say of
    shapes that do not fit, too: a second or two.
    """
    for i in range(x.shape[0]):
        into[i] = x[i]


def _announcer(name: str) -> Any:
    """Listens to Numba: says that a kernel is being compiled, and counts the seconds. What is found
    on disk is not compiled.
    """

    class Announcer(event.Listener):
        depth, since = 0, 0.0

        def on_start(self, event: Any) -> None:
            if self.depth == 0:
                self.since = time.perf_counter()
                note = f"tinynet: compiling the kernel {name!r}, once; it is kept on disk"
                print(note, file=sys.stderr, flush=True)
            self.depth += 1

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                seconds["compiling"] += time.perf_counter() - self.since

    return Announcer()


class kernel:
    """A function of arrays, compiled at its first call for a dtype and kept on disk. It lets other
    threads run. Without Numba it runs as it is: the same result, slowly.

    Arguments in `own` are arrays of the kernels' own, without gaps, and may be written to. All
    others are read only and may lie in memory in any way: one machine code for all strides. The
    first argument is an array; what is compiled depends on its dtype alone, so each argument keeps
    its number of axes.

    A kernel works in memory that it is given (`threads.room`), and makes no arrays but with
    `allocates`: where none can be made, nobody counts who uses them. To count them costs more than
    a short row's arithmetic, above all where two threads count the same array.

    Products may be fused with sums and sums may be taken in another order, so that loops over them
    become vector code; NaN, infinities and signed zeros mean what they mean in NumPy.

    >>> @kernel("y")
    ... def double(x, y):
    ...     for i in range(x.shape[0]):
    ...         y[i] = 2 * x[i]
    >>> import numpy as np
    >>> y = np.zeros(2); double(np.arange(4.0)[::2], y); y
    array([0., 4.])
    """

    def __init__(self, *own: str, allocates: bool = False) -> None:
        self.own, self.allocates = own, allocates

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The kernel that runs this function."""
        if not COMPILES:
            return np.errstate(all="ignore")(function)  # compiled code does not warn, either
        names = list(inspect.signature(function).parameters)
        made: dict[Any, Callable[..., Any]] = {}  # by the dtype of the first argument

        @functools.wraps(function)
        def run(*arguments: Any) -> Any:
            dtype = arguments[0].dtype
            if dtype not in made:
                with _compiling:  # the threads that share a first call compile it once
                    if dtype not in made:
                        kinds = [self._kind(n, x) for n, x in zip(names, arguments, strict=True)]
                        made[dtype] = _compiled(function, tuple(kinds), self.allocates)
            return made[dtype](*arguments)

        return run

    def _kind(self, name: str, value: Any) -> Any:
        kind = numba.typeof(value)
        if not isinstance(kind, numba.types.Array):
            return kind
        own = name in self.own
        return numba.types.Array(kind.dtype, kind.ndim, "C" if own else "A", readonly=not own)


@functools.cache
def vector_bytes() -> int:
    """How many bytes a vector register holds: 64 (AVX-512), 32 (AVX2) or 16.

    Of this computer, or of the one that Numba is told to compile for (NUMBA_CPU_FEATURES).
    """
    if not COMPILES:
        return 32
    from llvmlite import binding

    told = numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    features = binding.get_host_cpu_features().flatten() if told is None else told
    return 64 if "+avx512f" in features else 32 if "+fma" in features else 16
