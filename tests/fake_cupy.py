"""A double of CuPy for machines without a GPU: NumPy inside, CuPy's manners outside.

What CuPy refuses it refuses; what it does not know it refuses too. Every statement follows CuPy
14.2, whose files are named at each place (`core.pyx` and so on lie in `cupy/_core`). Names,
parameters and the loops of the ufuncs come from `cupy_names.txt`, which was written down from the
real one (`cupy_names.py`).

Not modelled: memory of arrays (the pool counts what is asked of itself), work that is not done yet,
speed, rounding that differs from NumPy's; of an entry that is assigned twice CuPy may keep either
value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cupy_cuda
import cupy_linalg
from cupy_array import MODULE, OWN, Module, _inside, ndarray, outside
from cupy_facts import KINDS, Bits, bind, current

__all__ = ["MODULE", "installed", "ndarray"]


class Generator:
    """cupy.random.Generator: only the methods of `cupy_names.txt`, always arrays."""

    def __init__(self, bits: Bits) -> None:
        self.bit_generator = bits

    def __getattr__(self, name: str) -> Any:
        full = f"random.Generator.{name}"
        if full not in KINDS:
            raise AttributeError(f"'Generator' object has no attribute {name!r}")

        def draw(*args: Any, **kwargs: Any) -> Any:
            bind(full, self, *args, **kwargs)
            self.bit_generator.state()
            return outside(getattr(self.bit_generator.numpy, name)(*args, **kwargs))

        return draw


MODULE.random.Generator = Generator
MODULE.random.default_rng = lambda seed=None: Generator(Bits(seed))
MODULE.cuda.Device = cupy_cuda.GPU
MODULE.cuda.get_device_id = lambda: current[-1]
for _name in ("runtime", "Event", "Stream", "MemoryHook", "MemoryPool", "PinnedMemoryPointer"):
    setattr(MODULE.cuda, _name, getattr(cupy_cuda, _name))
for _name in ("alloc_pinned_memory", "get_current_stream", "get_elapsed_time"):
    setattr(MODULE.cuda, _name, getattr(cupy_cuda, _name))
MODULE.get_default_memory_pool = lambda: cupy_cuda.pool
for _name in ("inv", "solve", "cholesky"):
    OWN[f"linalg.{_name}"] = cupy_linalg.crossing(_name, _inside, outside)
CUPYX: Any = Module("cupyx", "cupyx.")
CUPYX.errstate, CUPYX.empty_pinned = cupy_linalg.errstate, cupy_cuda.empty_pinned
CUPYX.scatter_add = lambda a, slices, value: a.scatter_add(slices, value)


@contextmanager
def installed() -> Iterator[Any]:
    """The double in the place of CuPy, for as long as the block lasts."""
    names = {"cupy": MODULE, "cupyx": CUPYX, "cupyx.scipy": CUPYX.scipy}
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)
    try:
        yield MODULE
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
