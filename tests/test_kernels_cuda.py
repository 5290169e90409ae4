"""The kernels of the GPU against the reference: on a CPU that plays GPU, and with `-m gpu` on one.

`cuda_on_cpu.py` runs the very source and refuses what a GPU would not: wrong arguments, writes
beside an array, numbers that depend on the order of the threads.
"""

from __future__ import annotations

from typing import Any

import cuda_on_cpu
import numpy as np
import pytest
from properties import close, host

import tinynet as tn
from tinynet.autograd import grad
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.kernels import choice
from tinynet.op import registry
from tinynet.tensor import Tensor

CASES = 25


@pytest.fixture(autouse=True)
def _can_run(request: pytest.FixtureRequest) -> None:
    if cuda_on_cpu.COMPILER is None and "real" not in request.node.name:
        pytest.skip("no C++ compiler to run CUDA C on the CPU")


def check(
    cupy: Any, name: str, inputs: Any, options: dict[str, Any], dtype: str, seed: int = 0
) -> bool:
    """Value and gradients of an op by its kernel, on arrays with gaps, against the reference on the
    CPU. Whether there was a kernel for it.
    """
    op, rng = registry[name], np.random.default_rng(seed)
    places = differentiable(inputs)
    inputs = [x.astype(dtype) if i in places else x for i, x in enumerate(inputs)]
    found: list[Any] = []
    for module in (None, cupy):
        tensors = [_put(module, x, seed) if isinstance(x, np.ndarray) else x for x in inputs]
        own = [tensors[i].requires_grad_() for i in places]
        with tn.kernels.use("reference" if module is None else "compiled"):
            y = op(*tensors, **options)
            if module is None:
                g = rng.standard_normal(y.shape).astype(y.dtype)
            gradients = grad(y, own, _put(module, g, seed), allow_unused=True)
        found.append([y, *gradients])
    served = y._node is not None and y._node.by is not None
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            close(b, a, dtype)
    return served


def _put(module: Any, x: np.ndarray[Any, Any], seed: int) -> Tensor:
    """A tensor of these values; every second one with gaps between them in memory."""
    if seed % 2 and x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1] + 1), x.dtype)
        wide[..., 1::2] = x
        return Tensor((wide if module is None else module.asarray(wide))[..., 1::2])
    return Tensor(x.copy() if module is None else module.asarray(x))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", sorted(choice.GPU))
def test_kernels_give_what_the_reference_gives(cupy: Any, name: str, dtype: str) -> None:
    if name not in registry:
        pytest.skip("no op")
    served = 0
    for seed in range(CASES):
        inputs, options = sample(registry[name], Draw(seed))
        served += check(cupy, name, inputs, options, dtype, seed)
    assert served, "no sample that the kernel serves"
