"""The CPU that plays GPU runs CUDA C rightly, and catches what a GPU would let pass."""

from __future__ import annotations

from typing import Any

import cuda_on_cpu
import fake_cupy
import numpy as np
import nvrtc
import pytest
from cuda_on_cpu import ElementwiseKernel, RawKernel, Wrong

cp = fake_cupy.MODULE
pytestmark = pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="no C++ compiler")
N = 64


def run(body: str, *arguments: Any, parameters: str = "float *x, float *y", **how: Any) -> None:
    code = f'extern "C" __global__ void f({parameters}) {{ {body} }}'
    kernel = RawKernel(code, "f")
    kernel(
        how.get("grid", (1,)), how.get("block", (N,)), arguments, shared_mem=how.get("shared", 0)
    )


def numbers(n: int = N, dtype: str = "f4") -> Any:
    return cp.asarray(np.arange(n).astype(dtype))


def refused(reason: str, body: str, *arguments: Any, **how: Any) -> None:
    with pytest.raises(Wrong, match=reason):
        run(body, *arguments, **how)


REVERSE = """
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    {barrier}
    y[threadIdx.x] = s[63 - threadIdx.x];
"""
# Each round writes to `s` again: all must have read it before.
ROUNDS = """
    __shared__ float s[64];
    float sum = 0;
    for (int k = 0; k < 3; ++k) {{
        s[threadIdx.x] = x[threadIdx.x] + k;
        __syncthreads();
        sum += s[(threadIdx.x + 1) % 64];
        {barrier}
    }}
    y[threadIdx.x] = sum;
"""


# A shuffle makes a warp wait for its own lanes, and for no other warp.
SHUFFLE = """
    __shared__ float s[64];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    float v = __shfl_xor_sync(~0u, s[63 - threadIdx.x], 1);
    {barrier}
    s[threadIdx.x] = 0;
    y[threadIdx.x] = v;
"""
EXPECTED = {
    REVERSE: np.arange(N)[::-1],
    ROUNDS: 3 * ((np.arange(N) + 1) % N) + 3,
    SHUFFLE: 63 - (np.arange(N) ^ 1),
}


@pytest.mark.parametrize("body", EXPECTED)
def test_a_missing_barrier_is_caught(body: str) -> None:
    x, y = numbers(), cp.empty(N, "f4")
    run(body.format(barrier="__syncthreads();"), x, y)
    np.testing.assert_array_equal(y.get(), EXPECTED[body])
    refused("another order", body.format(barrier=""), x, y)


def test_shared_memory_is_nan_at_first() -> None:
    y = cp.empty(N, "f4")
    run("__shared__ float s[64]; y[threadIdx.x] = s[threadIdx.x];", numbers(), y)
    assert np.isnan(y.get()).all()


def test_a_write_beside_an_array_is_caught() -> None:
    x, y = numbers(), cp.empty(N, "f4")
    refused("beside", "y[threadIdx.x + 1] = 0;", x, y)
    refused("beside", "y[(int)threadIdx.x - 1] = 0;", x, y)
    run("y[threadIdx.x] = x[threadIdx.x + 64];", x, y)  # nor is there anything to be read
    assert np.isnan(y.get()).all()
    both = cp.empty(2 * N, "f4")
    run("y[threadIdx.x] = y[(int)threadIdx.x - 64] = 1;", x, both[N:])  # a view: memory goes on
    assert (both.get() == 1).all()


def test_two_views_of_one_memory_are_one_memory() -> None:
    x = numbers(2 * N)
    run("y[threadIdx.x] = x[threadIdx.x];", x[:N], x[N:])
    np.testing.assert_array_equal(x.get()[N:], np.arange(N))


def test_barriers_that_not_all_reach_are_caught() -> None:
    x, y = numbers(), cp.empty(N, "f4")
    refused("two barriers", "if (threadIdx.x < 7) __syncthreads();\n else __syncthreads();", x, y)
    shuffle = "y[0] = __shfl_xor_sync({}, x[0], 1);"
    refused("never reach", f"if (threadIdx.x < 7) {shuffle.format('~0u')} __syncthreads();", x, y)
    refused("lanes out", shuffle.format("1u"), x, y)


def test_a_sum_by_shuffles_and_by_atomics() -> None:
    x, y = numbers(), cp.zeros(N, "f4")
    run("""
        float v = x[threadIdx.x];
        for (int o = 16; o; o /= 2) v += __shfl_xor_sync(~0u, v, o);
        y[threadIdx.x] = v;
    """, x, y)  # fmt: skip
    np.testing.assert_array_equal(y.get(), np.repeat(np.arange(N).reshape(2, 32).sum(1), 32))
    y = cp.zeros(1, "f4")
    run("atomicAdd(y, x[blockIdx.x * 32 + threadIdx.x]);", x, y, block=(32,), grid=(2,))
    assert y.item() == N * (N - 1) / 2
    refused("another order", "y[0] += x[threadIdx.x]; y[0] *= 2;", x, y)


def test_three_dimensions_and_dynamic_shared_memory() -> None:
    y = cp.empty((2, 3, 4, 8), "i8")
    body = """
        extern __shared__ float s[];
        s[threadIdx.x] = blockIdx.z * 1000 + blockIdx.y * 100 + threadIdx.y * 10 + threadIdx.x;
        long long block = blockIdx.z * gridDim.y + blockIdx.y;
        y[(block * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x] = s[threadIdx.x];
    """
    how: Any = {"parameters": "long long *y", "grid": (1, 3, 2), "block": (8, 4), "shared": 64}
    run(body, y, **how)
    assert y.get()[1, 2, 3, 7] == 1237
    refused("shared memory", body, y, **{**how, "shared": 50_000})
    refused("INVALID_VALUE", body, y, **{**how, "grid": (1, 70_000)})
    refused("INVALID_VALUE", body, y, **{**how, "block": (2048,)})


def test_arguments_have_the_types_of_the_signature() -> None:
    how = {"parameters": "const float *x, long long n, double e, int k"}
    x = numbers()
    run("", x, 1, 0.5, np.int32(3), **how)
    run("", None, np.int64(1), np.float64(0.5), np.int32(3), **how)
    for wrong in (
        (x.astype("f8"), 1, 0.5, np.int32(3)),
        (x, np.int32(1), 0.5, np.int32(3)),
        (x, 1, np.float32(0.5), np.int32(3)),
        (x, 1, 2, np.int32(3)),
        (x, 1, 0.5, 3),
        (x, x, 0.5, np.int32(3)),
        (x.get(), 1, 0.5, np.int32(3)),
    ):
        refused("is passed for", "", *wrong, **how)
    refused("takes 4 arguments", "", x, **how)
    with pytest.raises(Wrong, match="does not compile"):
        run("y[0] = INFINITY;", x, x)  # NVRTC has no math.h


def test_the_loop_around_one_line() -> None:
    kernel = ElementwiseKernel("T x, T factor", "T y, T z", "y = x * factor; z += 1", "f")
    x, z = numbers().reshape(8, 8).T, cp.zeros((8, 8), "f4")
    y, same = kernel(x, 2.0, cp.empty((8, 8), "f4"), z)
    np.testing.assert_array_equal(y.get(), 2 * x.get())
    assert same is z
    assert (z.get() == 1).all()
    assert np.isnan(kernel(x, 2.0)[1].get()).all()  # new memory, and NaN + 1
    assert kernel(cp.asarray(3.0), 2.0)[0].shape == ()
    for error, arguments in (
        (TypeError, (x, x.astype("f8"))),
        (TypeError, (x.get(), 2.0)),
        (TypeError, (1.0, 2.0)),
        (TypeError, (x,)),
        (ValueError, (x, 2.0, cp.zeros((9, 8, 8), "f4"), z)),
    ):
        with pytest.raises(error):
            kernel(*arguments)


@pytest.mark.skipif(nvrtc.library() is None, reason="nvidia-cuda-nvrtc-cu12 is not installed")
def test_the_real_compiler_is_asked_too() -> None:
    nvrtc.accept('extern "C" __global__ void f(float *x) { x[threadIdx.x] = 1; }')
    with pytest.raises(AssertionError, match="INFINITY"):
        nvrtc.accept('extern "C" __global__ void f(float *x) { x[threadIdx.x] = INFINITY; }')
