"""Every kernel against its reference: the same op, options and numbers, computed both ways."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import kernels
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.errors import ArgumentError
from tinynet.kernels import choice
from tinynet.op import registry

CASES = 40
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}  # of the largest number that takes part
LAYOUTS = ("rows", "columns", "sliced", "reversed")


def laid(x: Any, kind: str) -> Any:
    """The same numbers, lying in memory in another way."""
    if x.ndim == 0 or kind == "rows":
        return x
    if kind == "columns":
        return np.ascontiguousarray(x.T).T
    if kind == "sliced":
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return np.ascontiguousarray(x[::-1])[::-1]


def results(op: Any, inputs: Any, options: Any, g: Any, mode: str) -> tuple[list[Any], Any]:
    """The value and the gradients, and what computed them."""
    places = differentiable(inputs)
    tensors = [tn.tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
    for t, x in zip(tensors, inputs, strict=True):
        if isinstance(x, np.ndarray):
            t.array = x  # as it lies in memory
    own = [tensors[i].requires_grad_() for i in places]
    with kernels.use(mode):
        y = op(*tensors, **options)
    if not y.requires_grad:
        return [y.numpy()], None
    by = y._node.by
    weight = tn.tensor(g)
    weight.array = g
    found = tn.autograd.grad(y, own, weight, allow_unused=True)
    return [y.detach().numpy(), *(None if d is None else d.numpy() for d in found)], by


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(choice.CPU))
def test_a_kernel_computes_what_the_reference_does(name: str, dtype: str) -> None:
    op, served = registry[name], 0
    for seed in range(CASES):
        draw = Draw(seed)
        inputs, options = sample(op, draw)
        if "dtype" in options:
            continue
        shape = np.shape(op(*inputs, **options))
        places = differentiable(inputs)
        kind = LAYOUTS[seed % len(LAYOUTS)]
        inputs = [laid(x.astype(dtype), kind) if i in places else x for i, x in enumerate(inputs)]
        g = laid(draw.rng.standard_normal(shape).astype(dtype), LAYOUTS[seed // 4 % len(LAYOUTS)])
        if seed % 7 == 3:
            g = np.broadcast_to(np.asarray(0.5, dtype), shape)
        before = [np.copy(x) for x in inputs]
        meant, none = results(op, inputs, options, g, "reference")
        found, by = results(op, inputs, options, g, "compiled")
        assert none is None
        served += by is not None
        for a, b in zip(found, meant, strict=True):
            assert (a is None) == (b is None)
            if b is not None:
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
                scale = np.max(np.abs(b[np.isfinite(b)]), initial=1)
                np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * scale)
        for x, old in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(x, old)
    assert served >= CASES // 8, f"{name}: the kernel served {served} of {CASES} samples"


@pytest.mark.parametrize("name", sorted(choice.CPU))
def test_kernels_are_of_ops(name: str) -> None:
    assert name in registry
    assert registry[name].accelerated


@pytest.mark.parametrize("name", sorted(choice.CPU))
def test_the_second_derivative_differentiates_the_reference(name: str) -> None:
    op, draw = registry[name], Draw(1)
    inputs, options = sample(op, draw)
    place = differentiable(inputs)[0]
    shape = np.shape(op(*inputs, **options))
    g, v = (tn.tensor(draw.rng.standard_normal(s)) for s in (shape, inputs[place].shape))
    found = []
    for mode in ("compiled", "reference"):
        tensors = [tn.tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
        x = tensors[place].requires_grad_()
        with kernels.use(mode):
            (d,) = tn.autograd.grad(op(*tensors, **options), x, g, create_graph=True)
            if d.requires_grad:
                (d,) = tn.autograd.grad(d, x, v, allow_unused=True)
        found.append(d)
    assert (found[0] is None) == (found[1] is None)
    if found[0] is not None:
        np.testing.assert_allclose(found[0].numpy(), found[1].numpy(), rtol=1e-9, atol=1e-9)


# -- the choice ------------------------------------------------------------------------------------


def test_use_says_what_computes_until_the_block_ends() -> None:
    assert choice.mode() == "auto"
    with kernels.use("reference"):
        with kernels.use("compiled"):
            assert choice.mode() == "compiled"
        assert choice.mode() == "reference"
    assert choice.mode() == "auto"
    with pytest.raises(ArgumentError, match="no such mode"):
        kernels.use("fastest")


def test_what_no_kernel_serves() -> None:
    x = np.zeros((100, 100))
    assert kernels.find("no such op", [x], {}) is None
    for name in choice.CPU:
        with kernels.use("reference"):
            assert kernels.find(name, [x], {}) is None
        if name not in ("linear", "matmul"):  # which have no BLAS there, and serve float16
            assert kernels.find(name, [x.astype(np.float16)], {}) is None
        assert kernels.find(name, [x.astype(">f8")], {}) is None
        assert kernels.find(name, [x.astype(np.complex64)], {}) is None
        assert kernels.find(name, [x[:1, :1]], {}) is None
        assert kernels.find(name, [x, x.astype(np.float32)], {}) is None
        assert kernels.find(name, [x.astype(np.complex64)] * 3, {}) is None
        assert kernels.find(name, [x, x.astype(np.complex64)], {}) is None
        assert kernels.find(name, [x, 2.0], {}) is None


def test_one_row_and_one_query_are_worth_a_call() -> None:
    """As a language model has them that writes token by token."""
    x, p = np.zeros((1, 1, 128), np.float32), np.zeros(128, np.float32)
    q = np.zeros((1, 4, 1, 32), np.float32)
    found = kernels.find("layer_norm", [x, p, p], {"dims": 1, "eps": 1e-5})
    assert (found is not None) == choice.has_compiler()
    found = kernels.find("attention", [q, q, q, True, True], {})
    assert (found is not None) == choice.has_compiler()
    assert not kernels.find("layer_norm", [x[..., :8], p[:8], p[:8]], {"dims": 1, "eps": 1e-5})


# -- without SciPy, without a compiler, from disk --------------------------------------------------

_ALL = """
import sys
sys.modules["scipy"] = None
sys.path.insert(0, "tests")
import test_kernels
from tinynet.kernels import choice
test_kernels.CASES = 8
for name in choice.CPU:
    test_kernels.test_a_kernel_computes_what_the_reference_does(name, "float64")
"""


@pytest.mark.parametrize("environment", [{}, {"NUMBA_DISABLE_JIT": "1"}], ids=["numba", "python"])
def test_without_scipy_and_without_a_compiler(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", _ALL],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


_TWO_FILES = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
from tinynet.kernels import jit
jit._sources = lambda: open({callee!r}).read()
from caller import run
y = np.zeros(1)
run(np.ones(1), y)
print(y[0])
"""


@pytest.mark.compiler
def test_a_kernel_on_disk_follows_the_functions_that_it_calls(tmp_path: Path) -> None:
    """Numba alone would go on running the old ones."""
    callee = tmp_path / "callee.py"
    (tmp_path / "caller.py").write_text(
        "from callee import times\nfrom tinynet.kernels.jit import kernel\n\n\n"
        '@kernel("y")\ndef run(x, y):\n    y[0] = times(x[0])\n'
    )
    script = _TWO_FILES.format(folder=str(tmp_path), callee=str(callee))
    for factor in ("2.0", "3.0", "3.0"):
        callee.write_text(
            "from tinynet.kernels.jit import inner\n\n\n"
            f"@inner\ndef times(x):\n    return {factor} * x\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.stdout.strip() == factor, done.stderr
    assert "compiling" not in done.stderr  # the last time nothing had changed
