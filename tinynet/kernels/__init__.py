"""How mathematics becomes speed: the same functions as in `derivations`, faster.

Start with `gemm`, the product of matrices from three loops to the machine's speed, and `tile`, its
innermost block; then `attention`, `convolution`, `lstm`, `softmax`, `normalisation` and the others,
named as what they compute. Below them: `jit` (Numba, where it is), `elementary` (exp and tanh as
vector code), `vectors`, `strips`, `shifted` (blocks that stay in registers), `threads` (all cores),
`products` (BLAS on all cores), `passes` (one reading, one writing), `memory`. `choice` says who
computes an op: a kernel or the reference. `cuda` holds the kernels of a GPU. Kernels take and
return plain arrays and know nothing of Tensors. Not in: formulas (`derivations`, `ops`).
"""

from typing import Any

from tinynet.kernels.choice import Kernel, find, use
from tinynet.kernels.threads import get_num_threads, set_num_threads

__all__ = [
    "Kernel",
    "find",
    "flash_attention",
    "get_num_threads",
    "matmul",
    "set_num_threads",
    "use",
]

# functions for everybody, opened when first used
_FILES = {"flash_attention": "attention", "matmul": "gemm"}


def __getattr__(name: str) -> Any:
    """The functions that anyone can call."""
    if name in _FILES:
        import importlib

        return getattr(importlib.import_module(f"tinynet.kernels.{_FILES[name]}"), name)
    raise AttributeError(f"module 'tinynet.kernels' has no attribute {name!r}")
