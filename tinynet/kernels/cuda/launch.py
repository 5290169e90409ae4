"""From CUDA C to a call: one source for all dtypes, compiled when it first runs, kept on disk.

In a source `T` is the dtype of the arrays and `A` the one to compute in: float for half and float,
double for double. Whole numbers are `i64` and other numbers double, as CuPy passes Python's; so no
argument needs a cast, and no offset is too large. What a grid is made of: blocks of up to 1024
threads, in warps of 32 that run in step and read 32 neighbours of memory at once.
"""

from __future__ import annotations

import math
from typing import Any

from tinynet.arrays import cupy

_TYPES = {"e": ("half", "float"), "f": ("float", "float"), "d": ("double", "double")}
_PRELUDE = """
typedef long long i64;
#define INFINITY A(__int_as_float(0x7f800000))  // NVRTC has no math.h
#define NAN A(__int_as_float(0x7fffffff))

// Σ v over the threads of a block (32, 64, …), for each of them; always in the same order.
__device__ A total(A v) {
    __shared__ A part[32];
    for (int o = 16; o; o /= 2) v += __shfl_xor_sync(~0u, v, o);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    for (int w = 0; w < blockDim.x / 32; ++w) v += part[w];
    __syncthreads();  // before `part` is written again
    return v;
}
"""


class Source:
    """CUDA C with any number of kernels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._made: dict[Any, Any] = {}

    def code(self, dtype: Any, constants: dict[str, int]) -> str:
        """The whole text for arrays of this dtype."""
        T, A = _TYPES[dtype.char]
        first = "#include <cuda_fp16.h>\n" if T == "half" else ""
        first += f"typedef {T} T;\ntypedef {A} A;\n"
        first += "".join(f"#define {name} {value}\n" for name, value in constants.items())
        return first + _PRELUDE + self.text

    def launch(
        self,
        name: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        *arguments: Any,
        like: Any,
        shared: int = 0,
        **constants: int,
    ) -> None:
        """Run a kernel on the current stream, with T the dtype of `like`."""
        key = (cupy(), name, like.dtype.char, *constants.items())
        kernel = self._made.get(key)
        if kernel is None:
            kernel = cupy().RawKernel(self.code(like.dtype, constants), name)
            if shared > 48 * 1024:  # more has to be asked for
                kernel.max_dynamic_shared_size_bytes = shared
            self._made[key] = kernel
        kernel(grid, block, arguments, shared_mem=shared)


def threads(n: int) -> int:
    """How many threads share a row of n entries: whole warps, about four entries for each thread.

    >>> threads(10), threads(768), threads(50257)
    (32, 192, 256)
    """
    return min(256, 32 * math.ceil(n / 128))


def contiguous(x: Any) -> Any:
    """x without gaps; x itself where there are none."""
    return cupy().ascontiguousarray(x)


def empty(shape: Any, like: Any, *, wide: bool = False) -> Any:
    """New memory of the dtype of `like`, or of the one that it is computed in."""
    return cupy().empty(shape, "f" if wide and like.dtype.char == "e" else like.dtype)
