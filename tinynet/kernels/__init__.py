"""How mathematics becomes speed: the same functions as in `derivations`, faster.

In: `gemm` (the product of matrices, a ladder from three loops to the machine's speed), `tile` (its
innermost block), `threads` (all cores), `jit` (Numba, where it is). Kernels take and return plain
arrays and know nothing of Tensors. Not in: formulas (`derivations`, `ops`).

Start with `gemm`.
"""

from tinynet.kernels.gemm import matmul
from tinynet.kernels.threads import get_num_threads, set_num_threads

__all__ = ["get_num_threads", "matmul", "set_num_threads"]
