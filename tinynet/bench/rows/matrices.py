"""Products of matrices: sizes, layouts, dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.bench.engines import libraries, peer
from tinynet.bench.row import Calls, row

_SQUARE = "a product of two {n} × {n} float32 matrices"


@row("matmul-float16", "a product of two {n} × {n} float16 matrices, sums in float32", n=512,
     options={"dtype": "float16"}, tolerance=2e-3)  # fmt: skip
@row("matmul-int32", "a product of two {n} × {n} int32 matrices", n=512,
     options={"dtype": "int32"}, devices=("cpu",))  # fmt: skip
@row("matmul-stack", "{count} products of {n} × {n} float32 matrices", n=64, count=64,
     options={"stacked": True})  # fmt: skip
@row("matmul-sliced", "A B, every second column of two {n} × 2·{n} float32 matrices", n=512,
     options={"left": "sliced", "right": "sliced"})  # fmt: skip
@row("matmul-right", "A Bᵀ of two {n} × {n} float32 matrices", n=512,
     options={"right": "transposed"})  # fmt: skip
@row("matmul-left", "Aᵀ B of two {n} × {n} float32 matrices", n=512, options={"left": "transposed"})
@row("matmul-2048", _SQUARE, n=2048)
@row("matmul-1024", _SQUARE, n=1024)
@row("matmul-512", _SQUARE, n=512)
@row("matmul-256", _SQUARE, n=256)
def matmul(
    device: str,
    *,
    n: int,
    count: int = 1,
    stacked: bool = False,
    dtype: str = "float32",
    left: str = "",
    right: str = "",
) -> Calls:
    """`tn.matmul` on Tensors; "gemm" is the kernel alone, compiled by Numba, without BLAS."""
    rng = np.random.default_rng(0)
    shape = (count, n, n) if stacked else (n, n)
    values = rng.standard_normal((2, *shape)) * (9 if dtype == "int32" else 1)

    def laid_out(x: Any, layout: str) -> Any:
        if layout == "sliced":
            wide = np.zeros((*x.shape, 2), x.dtype)
            wide[..., 0] = x
            return wide[..., 0]
        return np.ascontiguousarray(x.T).T if layout == "transposed" else x

    A, B = (laid_out(x.astype(dtype), how) for x, how in zip(values, (left, right), strict=True))

    def of(lib: Any) -> Callable[[], Any]:
        a, b = (_shared(lib, x, device) for x in (A, B))
        return lambda: lib.matmul(a, b)

    calls: Calls = {name: of(lib) for name, lib in libraries(device).items()}
    a, b = (arrays.to_device(x, device) for x in (A, B))
    calls["numpy"] = lambda: np.matmul(a, b)
    if device == "cpu":
        from tinynet import kernels

        calls["gemm"] = lambda: kernels.matmul(A, B)
    if jax := peer("jax", device):
        product, p, q = jax.jit(jax.numpy.matmul), jax.numpy.asarray(A), jax.numpy.asarray(B)
        calls["jax"] = lambda: jax.block_until_ready(product(p, q))
    return calls


def _shared(lib: Any, x: Any, device: str) -> Any:
    """A tensor of the array's own strides."""
    return lib.from_numpy(x) if device == "cpu" else lib.from_numpy(x).to(device)
