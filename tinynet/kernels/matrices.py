"""The ops that are products of matrices: `linear` and `matmul`, and their gradients.

The formulas are those of `derivations.linear` and `ops.products`; what is faster is where they are
computed. Floats go to BLAS, on all cores of the one pool, and the bias is added to rows that are
still in the cache: on its own, y + b reads and writes all of Y once more, n·out numbers for n·out
flops, which takes as long as 30 to 60 flops for each of them. What BLAS would copy first, or does
not know at all (stacks with gaps in both directions, float16, integers), goes to our own `matmul`.

So do products u v whose v stays in the second-level cache. BLAS copies u and v into the order in
which it reads them; `matmul` reads them where they lie, or copies v alone, and needs 0.7 to 0.95 of
the time, the less the fewer rows u has. That is so with vectors of 64 bytes; with those of 32, and
where the rows or columns of u lie pages apart, a copy pays, and BLAS is as fast or faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.gemm import NEAR, PAGE, SMALL, matmul
from tinynet.kernels.jit import vector_bytes
from tinynet.kernels.products import LARGE, blas_alone, product
from tinynet.kernels.threads import get_num_threads, share

Factors = tuple[Any, Any]

# -- u v, by whoever is faster ---------------------------------------------------------------------


def _times(u: Any, v: Any, bias: Any = None) -> Any:
    """u v + bias for u (…, n, k), v (…, k, m), bias (m,)."""
    floats = u.dtype.kind == "f" and u.dtype.itemsize > 2
    blas = floats and _known(u) and _known(v) and not _near(u, v)
    return (product if blas else matmul)(u, v, bias=bias)


def _known(x: Any) -> bool:
    """Whether BLAS reads x as it lies: rows or columns without gaps."""
    return x.ndim == 2 or x.dtype.itemsize in x.strides[-2:]


def _near(u: Any, v: Any) -> bool:
    """Whether this is a product that our own `matmul` reads where it lies, and large enough."""
    return bool(
        u.ndim == v.ndim == 2
        and 2 * u.size * v.shape[1] > SMALL
        and v.nbytes <= NEAR
        and vector_bytes() == 64
        and all(stride % PAGE for stride in u.strides)
    )


def _both(first: Factors, second: Factors, needs: Sequence[bool]) -> tuple[Any, Any]:
    """Two products of as many flops, each where it is needed. Two threads take one each: nothing
    is copied twice, and they wait for each other once.
    """

    def one(number: int) -> None:
        found[number] = _times(*(first, second)[number])

    found: list[Any] = [None, None]
    wanted = [number for number in (0, 1) if needs[number]]
    threads = get_num_threads()
    if len(wanted) == threads == 2 and 4 * first[0].size * first[1].shape[-1] > LARGE:
        with blas_alone:
            share(2, one)
    else:
        for number in wanted:
            one(number)
    return found[0], found[1]


# -- linear ----------------------------------------------------------------------------------------


def linear(x: Any, W: Any, *b: Any) -> tuple[Any, tuple[Any, ...]]:
    """y = x Wᵀ + b for x (…, in), W (out, in), b (out,)."""
    y = _times(_rows(x), W.T, b[0] if b else None)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], len(W)), (x, W, *b)


def linear_backward(g: Any, saved: Any, *, needs: tuple[bool, ...]) -> tuple[Any, ...]:
    """X̄ = G W, W̄ = Gᵀ X, b̄_o = Σ_b g_bo; each only where it is needed."""
    x, W, *b = saved
    rows = _rows(g)
    dx, dW = _both((rows, W), (rows.T, _rows(x)), needs)
    dx = dx.reshape(x.shape) if needs[0] else None
    return (dx, dW, *(np.add.reduce(rows, axis=0) if needs[2] else None for _ in b))


def _fits(x: Any, W: Any, *b: Any) -> bool:
    return bool(
        W.ndim == 2
        and x.ndim
        and x.shape[-1] == W.shape[1]
        and all(v.shape == W.shape[:1] for v in b)
    )


def _rows(x: Any) -> Any:
    """All leading axes made one."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


# -- matmul ----------------------------------------------------------------------------------------


def times(u: Any, v: Any) -> tuple[Any, tuple[Any, Any]]:
    """y = u v for u (…, n, k), v (…, k, m)."""
    return _times(u, v), (u, v)


def times_backward(g: Any, saved: Any, *, needs: tuple[bool, ...]) -> tuple[Any, ...]:
    """ū = g vᵀ, v̄ = uᵀ g."""
    u, v = saved
    return _both((g, np.swapaxes(v, -1, -2)), (np.swapaxes(u, -1, -2), g), needs)


def _are_matrices(u: Any, v: Any) -> bool:
    return bool(u.ndim > 1 and v.ndim > 1 and u.shape[-1] == v.shape[-2])


KERNELS = {
    "linear": Kernel(linear, linear_backward, serves=_fits),
    "matmul": Kernel(times, times_backward, serves=_are_matrices, integers=True),
}
