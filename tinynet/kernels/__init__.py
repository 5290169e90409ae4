"""How mathematics becomes speed: the same functions as in `derivations`, faster.

In: `choice` (what computes an op: a kernel or the reference), `jit` (Numba, where it is),
`threads` (all cores), `products` (BLAS on all cores), `gemm` (the product of matrices, a ladder
from three loops to the machine's speed), `tile` (its innermost block), `elementary` (exp and tanh
as vector code), `convolution` (with `grid` and `shifted`), `pooling`. Kernels take and return plain
arrays and know nothing of Tensors. Not in: formulas (`derivations`, `ops`).

Start with `gemm`.
"""

from typing import Any

from tinynet.kernels.choice import Kernel, find, use
from tinynet.kernels.threads import get_num_threads, set_num_threads

__all__ = ["Kernel", "find", "get_num_threads", "matmul", "set_num_threads", "use"]

_FILES = {"matmul": "gemm"}  # functions for everybody, opened when first used


def __getattr__(name: str) -> Any:
    """The functions that anyone can call."""
    if name in _FILES:
        import importlib

        return getattr(importlib.import_module(f"tinynet.kernels.{_FILES[name]}"), name)
    raise AttributeError(f"module 'tinynet.kernels' has no attribute {name!r}")
