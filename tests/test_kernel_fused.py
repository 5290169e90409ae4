"""The kernels that make one pass over memory: large sizes, threads, numerics, rungs.

That each computes what its reference does, over all options and layouts, is in `test_kernels.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import kernels
from tinynet.errors import DTypeError, OutOfRangeError, ShapeError
from tinynet.kernels import passes
from tinynet.kernels.softmax import forward_rows, integers, online, three_passes
from tinynet.op import registry

inf, nan = np.inf, np.nan


def drawn(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def ids(high: int, *shape: int) -> Any:
    return np.random.default_rng(9).integers(0, high, shape)


# One large case of each op: more rows than a block, runs that fill no vector, several threads.
CASES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "layer_norm": ((drawn(203, 67), drawn(67, seed=1), drawn(67, seed=2)), {}),
    "rms_norm": ((drawn(203, 67), drawn(67, seed=1)), {}),
    "batch_norm": ((drawn(9, 11, 7, 5), drawn(11, seed=1), drawn(11, seed=2)), {}),
    "group_norm": ((drawn(9, 12, 7, 5), drawn(12, seed=1), drawn(12, seed=2)), {"groups": 4}),
    "softmax": ((drawn(203, 67),), {}),
    "log_softmax": ((drawn(203, 67),), {}),
    "cross_entropy": ((drawn(203, 67), ids(67, 203)), {"ignore_index": 3}),
    "embedding": ((ids(40, 9, 30), drawn(40, 67)), {}),
    "dropout": ((drawn(203, 67), drawn(203, 67, seed=1) > 0), {"p": 0.25}),
    "relu": ((drawn(203, 67),), {}),
    "leaky_relu": ((drawn(203, 67),), {"negative_slope": 0.25}),
    "exp": ((drawn(203, 67),), {}),
    "tanh": ((drawn(203, 67),), {}),
    "sigmoid": ((drawn(203, 67),), {}),
    "silu": ((drawn(203, 67),), {}),
    "elu": ((drawn(203, 67),), {"alpha": 0.5}),
    "mish": ((drawn(203, 67),), {}),
    "gelu": ((drawn(203, 67),), {}),
    "gelu_tanh": ((drawn(203, 67),), {}),
}


def run(name: str, arrays: Any, options: Any, mode: str = "compiled", g: Any = None) -> list[Any]:
    """The output and the gradients of the floats."""
    tensors = [tn.tensor(x) for x in arrays]
    for t, x in zip(tensors, arrays, strict=True):
        t.array = x  # as it lies in memory
    floats = [t.requires_grad_() for t in tensors if t.array.dtype.kind == "f"]
    with kernels.use(mode):
        y = registry[name](*tensors, **options)
        assert (y._node.by is not None) == (mode == "compiled")
    weight = tn.tensor(np.zeros((), y.dtype))
    weight.array = drawn(*y.shape, seed=7, dtype=y.dtype.name) if g is None else g
    found = tn.autograd.grad(y, floats, weight)
    return [y.detach().numpy(), *(d.numpy() for d in found)]


def wide(arrays: Any) -> list[Any]:
    return [x.astype("f8") if x.dtype.kind == "f" else x for x in arrays]


@pytest.fixture
def threads() -> Iterator[Any]:
    """Set how many threads share even the smallest pass."""
    before, waking = kernels.get_num_threads(), passes.WAKING
    passes.WAKING = 1
    yield kernels.set_num_threads
    passes.WAKING = waking
    kernels.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_float32_is_as_near_to_float64_as_the_reference(name: str) -> None:
    arrays, options = CASES[name]
    g = drawn(*np.shape(registry[name](*arrays, **options)), seed=7)
    exact = run(name, wide(arrays), options, "reference", g.astype("f8"))
    for found, near, meant in zip(
        run(name, arrays, options, g=g),
        run(name, arrays, options, "reference", g),
        exact,
        strict=True,
    ):
        scale = np.abs(meant).max()
        assert np.abs(found - meant).max() <= 2 * np.abs(near - meant).max() + 3e-7 * scale


@pytest.mark.parametrize("name", CASES)
def test_the_result_does_not_depend_on_the_threads(name: str, threads: Any) -> None:
    arrays, options = CASES[name]
    before = [x.copy() for x in arrays]
    threads(1)
    alone = run(name, arrays, options)
    for count in (2, 3):
        threads(count)
        for found, meant in zip(run(name, arrays, options), alone, strict=True):
            np.testing.assert_array_equal(found, meant)
    for x, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, old)


@pytest.mark.parametrize("name", CASES)
def test_read_only_and_strided_arrays(name: str) -> None:
    arrays, options = CASES[name]
    meant = run(name, arrays, options)
    frozen = [np.asfortranarray(x) for x in arrays]
    g = drawn(*meant[0].shape, seed=7).copy("F") if meant[0].ndim else None
    for x in frozen:
        x.flags.writeable = False
    for found, old in zip(run(name, frozen, options, g=g), meant, strict=True):
        np.testing.assert_array_equal(found, old)
    spread = np.broadcast_to(np.float32(0.5), meant[0].shape)  # what sum hands back
    for found, old in zip(
        run(name, arrays, options, g=spread),
        run(name, arrays, options, g=spread.copy()),
        strict=True,
    ):
        np.testing.assert_array_equal(found, old)
    for d in run(name, arrays, options)[1:]:
        assert d.flags.writeable


# -- numerics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["layer_norm", "batch_norm", "group_norm"])
def test_a_mean_far_from_0_costs_no_digits_of_the_variance(name: str) -> None:
    """In float32, mean(x²) − m² of these is rounded to a multiple of 8."""
    (x, *affine), options = CASES[name]
    arrays = (x + np.float32(1e4), *affine)
    g = drawn(*x.shape, seed=7)
    exact = run(name, wide(arrays), options, "reference", g.astype("f8"))
    for found, meant in zip(run(name, arrays, options, g=g), exact, strict=True):
        assert np.abs(found - meant).max() <= 8e-4 * np.abs(meant).max()


@pytest.mark.compiler
def test_long_rows() -> None:
    x = drawn(3, 300_000) + np.float32(100)
    y = run("layer_norm", (x,), {})[0]
    assert np.abs(y.mean(1, dtype="f8")).max() < 1e-4
    assert np.abs(y.std(1, dtype="f8") - 1).max() < 1e-5
    assert np.abs(run("softmax", (x,), {})[0].sum(1, dtype="f8") - 1).max() < 1e-5


ROWS = np.array(
    [
        [0, 1, 2, 3],
        [nan, 1, 2, 3],
        [1, -nan, 2, 3],
        [inf, 1, 2, 3],
        [-inf, 1, 2, 3],
        [-inf, -inf, -inf, -inf],
        [inf, inf, 1, 2],
        [inf, -inf, nan, 0],
        [1e30, -1e30, 1e30, 0],
        [-0.0, 0.0, -0.0, 0.0],
        [-3, -1, -2, -5],
        [1e-40, -1e-40, 0, 1e-45],
    ],
    "f4",
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name",
    [
        *("softmax", "log_softmax", "layer_norm", "rms_norm", "relu", "leaky_relu", "exp", "tanh"),
        *("sigmoid", "silu", "elu", "gelu"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the reference's
def test_nan_and_infinities(name: str, dtype: str) -> None:
    x = ROWS.astype(dtype)
    if name == "log_softmax":  # x − (1e30 + ln 2) loses ln 2; (x − 1e30) − ln 2 does not
        x = np.delete(x, 8, axis=0)
    g = drawn(*x.shape, seed=7, dtype=dtype)
    found, meant = (run(name, (x,), {}, mode, g) for mode in ("compiled", "reference"))
    for a, b in zip(found, meant, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_cross_entropy_of_nan_and_infinities(reduction: str) -> None:
    t = np.arange(len(ROWS)) % 4
    for rows in (slice(0, 1), slice(4, 5), slice(8, 12), slice(None)):
        for ignore in (-100, 1):
            options = {"reduction": reduction, "ignore_index": ignore}
            arrays = (ROWS[rows], t[rows])
            g = drawn(*np.shape(registry["cross_entropy"](*arrays, **options)), seed=7)
            g = g.reshape(np.shape(registry["cross_entropy"](*arrays, **options)))
            found, meant = (
                run("cross_entropy", arrays, options, mode, g) for mode in ("compiled", "reference")
            )
            for a, b in zip(found, meant, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_cross_entropy_of_nothing_and_of_what_there_is_not() -> None:
    x = tn.tensor(drawn(4, 5)).requires_grad_()
    with kernels.use("compiled"):
        loss = registry["cross_entropy"](x, tn.tensor(np.full(4, 2)), ignore_index=2)
        assert np.isnan(loss.item())
        loss.backward()
        np.testing.assert_array_equal(x.grad.numpy(), np.zeros((4, 5)))
        for bad in (5, -1, -100_000):
            with pytest.raises(OutOfRangeError, match="there is no class"):
                registry["cross_entropy"](x, tn.tensor(np.array([0, 1, bad, 2])))
        with pytest.raises(DTypeError):
            registry["cross_entropy"](x, tn.tensor(drawn(4)))
        with pytest.raises(ShapeError):
            registry["cross_entropy"](x, tn.tensor(ids(5, 3)))


def test_the_gradient_of_cross_entropy_sums_to_0() -> None:
    x, t = drawn(50, 333) * 5, ids(333, 50)
    d = run("cross_entropy", (x, t), {"reduction": "sum"}, g=np.float32(1))[1]
    assert np.abs(d.sum(1)).max() < 1e-5
    assert (d < 0).sum() == 50
    assert (d[np.arange(50), t] < 0).all()


def test_embedding_adds_up_what_came_twice_and_refuses_other_ids() -> None:
    table, places = tn.tensor(drawn(7, 33)).requires_grad_(), np.array([[3, 3], [0, 3]], "i4")
    with kernels.use("compiled"):
        for dtype in ("i4", "i8", "u1"):
            table.grad = None
            registry["embedding"](tn.tensor(places.astype(dtype)), table).sum().backward()
            meant = np.zeros((7, 33), "f4")
            meant[3], meant[0] = 3, 1
            np.testing.assert_array_equal(table.grad.numpy(), meant)
        for bad in (7, -1):
            with pytest.raises(OutOfRangeError, match="has no row"):
                registry["embedding"](tn.tensor(np.array([0, bad])), table)
    layer = tn.nn.Embedding(7, 33, padding_idx=3)
    with kernels.use("compiled"):
        layer(tn.tensor(places)).sum().backward()
    assert not layer.weight.grad[3].any()
    assert (layer.weight.grad[0] == 1).all()


def test_the_running_statistics_are_the_references() -> None:
    x, found = drawn(9, 11, 7, 5) * 3 + 100, []
    for mode in ("compiled", "reference"):
        layer = tn.nn.BatchNorm2d(11)
        with kernels.use(mode):
            layer(tn.tensor(x))
        found.append([layer.running_mean.numpy(), layer.running_var.numpy()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_dropout_of_an_infinity() -> None:
    x, mask = np.array([inf, nan, -inf, 2.0]), np.array([False, False, True, True])
    found = run("dropout", (x, mask), {"p": 0.5}, g=np.array([inf, nan, 1.0, 1.0]))
    np.testing.assert_array_equal(found, [[0, 0, -inf, 4], [0, 0, 2, 2]])
    found = run("dropout", (x, np.zeros(4, bool)), {"p": 1.0}, g=x)
    np.testing.assert_array_equal(found, np.zeros((2, 4)))


@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "layer_norm"])
def test_wrong_sizes_are_refused_as_the_reference_does(name: str) -> None:
    options = {"groups": 2} if name == "group_norm" else {}
    with kernels.use("compiled"), pytest.raises(ShapeError, match="weight does not fit"):
        registry[name](tn.tensor(drawn(3, 4, 8)), tn.tensor(drawn(5)), **options)
    if name == "group_norm":
        with kernels.use("compiled"), pytest.raises(ShapeError, match="groups of equal size"):
            registry[name](tn.tensor(drawn(3, 4, 8)), groups=3)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "gelu_tanh"])
def test_far_out_the_activations_keep_their_digits(name: str) -> None:
    x = np.linspace(-30, 30, 2001)
    exact = run(name, (x,), {}, "reference", np.ones_like(x))
    found = run(name, (x.astype("f4"),), {}, g=np.ones(2001, "f4"))
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-6, atol=1e-7 * np.abs(b).max())


# -- the rungs, and no compiler --------------------------------------------------------------------


@pytest.mark.parametrize("rung", [three_passes, online])
def test_each_rung_is_the_same_softmax(rung: Any) -> None:
    for x in (drawn(5, 37) * 9, drawn(1, 1), -np.abs(drawn(3, 16)), drawn(4, 5) + 1e4):
        meant, found, top = np.empty_like(x), np.empty_like(x), np.empty(len(x), x.dtype)
        forward_rows(x, integers(x), top, integers(top), meant)
        np.testing.assert_array_equal(top, x.max(1))
        rung(x, found)
        np.testing.assert_allclose(found, meant, rtol=2e-6)


_PROGRAM = """
import sys
sys.path.insert(0, "tests")
import test_kernel_fused as t
for name in ("layer_norm", "group_norm", "softmax", "cross_entropy", "embedding", "gelu", "mish"):
    arrays, options = t.CASES[name]
    arrays = [x[:3] if x.ndim > 1 and name != "embedding" else x for x in arrays]
    if name == "cross_entropy":
        arrays[1] = arrays[1][:3]
    if name == "embedding":
        arrays = arrays[0][:1, :7], arrays[1]
    found, meant = (t.run(name, arrays, options, mode) for mode in ("compiled", "reference"))
    for a, b in zip(found, meant, strict=True):
        t.np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
x = t.drawn(2, 9)
t.test_each_rung_is_the_same_softmax(t.online)
"""


@pytest.mark.compiler
def test_without_a_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", _PROGRAM],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
