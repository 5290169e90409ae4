"""GELU, its tanh form and SiLU on the GPU; their rules stand in `ops/activations.py`.

What makes them fast: each is one pass over memory, 8 bytes an entry forward and 12 backward. In
primitives GELU's rule makes an array for each of nine operations. The arithmetic, an exponential
and a quotient or so, is hidden behind the reading.

`wide` computes float16 in float32.
"""

from __future__ import annotations

import functools
from typing import Any

from tinynet.arrays import cupy
from tinynet.kernels.choice import Kernel

_FUNCTIONS = """
__device__ float wide(float x) { return x; }
__device__ double wide(double x) { return x; }

// u Φ(u), and its slope Φ(u) + u φ(u): Φ and φ of the normal distribution. √½ and 1/√(2π):
template <class A> __device__ A gelu(A u) { return u * (1 + erf(u * A(0.7071067811865476))) / 2; }
template <class A> __device__ A gelu_slope(A u) {
    return (1 + erf(u * A(0.7071067811865476))) / 2 + u * exp(-u * u / 2) * A(0.3989422804014327);
}

// u (1 + tanh z) / 2 with z = √(2/π) (u + 0.044715 u³), √(2/π) = 0.79788…
template <class A> __device__ A gelu_tanh(A u) {
    A z = A(0.7978845608028654) * (u + A(0.044715) * u * u * u);
    return u * (1 + tanh(z)) / 2;
}
template <class A> __device__ A gelu_tanh_slope(A u) {
    A r = A(0.7978845608028654), t = tanh(r * (u + A(0.044715) * u * u * u));
    return (1 + t + u * (1 - t * t) * r * (1 + 3 * A(0.044715) * u * u)) / 2;
}

// u σ(u), and σ (1 + u (1 − σ))
template <class A> __device__ A silu(A u) { return u / (1 + exp(-u)); }
template <class A> __device__ A silu_slope(A u) {
    A s = 1 / (1 + exp(-u));
    return s * (1 + u * (1 - s));
}
"""


@functools.cache
def _loop(module: Any, name: str) -> tuple[Any, Any]:
    """Forward and backward, over arrays of any strides."""
    forward = module.ElementwiseKernel(
        "T u", "T y", f"y = T({name}(wide(u)))", f"{name}_forward", preamble=_FUNCTIONS
    )
    backward = module.ElementwiseKernel(
        *("T g, T u", "T d", f"d = T(wide(g) * {name}_slope(wide(u)))", f"{name}_backward"),
        preamble=_FUNCTIONS,
    )
    return forward, backward


def _kernel(name: str) -> Kernel:
    def forward(u: Any) -> tuple[Any, Any]:
        return _loop(cupy(), name)[0](u), (u,)

    def backward(g: Any, saved: Any, *, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (_loop(cupy(), name)[1](g, *saved),)

    return Kernel(forward, backward, least=0)


KERNELS = {name: _kernel(name) for name in ("gelu", "gelu_tanh", "silu")}
