"""The product of matrices: every rung of the ladder, all layouts and dtypes, and the threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.kernels import gemm, get_num_threads, matmul, set_num_threads, threads
from tinynet.kernels.gemm import blocked, naive, reordered

rng = np.random.default_rng(0)
SIZES = st.sampled_from((1, 2, 3, 13, 14, 15, 31, 32, 33, 70, 0))


def drawn(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).standard_normal(shape) * 3
    return values.astype(dtype)


def layout(x: Any, kind: str) -> Any:
    """The same numbers, lying in memory in another way."""
    if kind == "columns":
        return np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2)
    if kind == "sliced":
        wide = np.zeros((*x.shape[:-2], 2 * x.shape[-2], 3 * x.shape[-1]), x.dtype)
        wide[..., ::2, ::3] = x
        return wide[..., ::2, ::3]
    if kind == "reversed":
        return np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    return x


LAYOUTS = st.sampled_from(("rows", "columns", "sliced", "reversed"))
FLOATS = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-11}


def check(a: Any, b: Any) -> None:
    """Floats to the rounding of a sum; integers to the bit, also where they wrap around."""
    before = a.copy(), b.copy()
    found, expected = matmul(a, b), np.matmul(a, b)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if found.dtype.kind == "f":
        exact = np.matmul(a.astype("f8"), b.astype("f8"))
        size = np.matmul(np.abs(a.astype("f8")), np.abs(b.astype("f8"))).max(initial=1)
        np.testing.assert_allclose(found, exact, rtol=0, atol=FLOATS[found.dtype.name] * size)
    else:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


@given(m=SIZES, k=SIZES, n=SIZES, left=LAYOUTS, right=LAYOUTS, dtype=st.sampled_from(("f4", "f8")))
def test_any_size_and_layout(m: int, k: int, n: int, left: str, right: str, dtype: str) -> None:
    check(layout(drawn((m, k), dtype), left), layout(drawn((k, n), dtype, 1), right))


@pytest.mark.parametrize("dtype", ["f2", "i1", "i2", "i4", "i8", "u1", "u4", "u8", "?"])
def test_what_has_no_blas(dtype: str) -> None:
    high = {"?": 2, "f2": 9}.get(dtype, 100)
    a, b = (rng.integers(0, high, s).astype(dtype) for s in ((17, 40), (40, 35)))
    check(a, b)
    check(layout(a, "columns"), layout(b, "sliced"))


def test_mixed_dtypes() -> None:
    check(drawn((3, 4), "f4"), drawn((4, 2), "f8"))
    check(rng.integers(0, 9, (3, 4)), drawn((4, 2), "f4"))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5,), ()),
        ((), (5,)),
        ((3, 1), (2,)),
        ((2, 3), (2, 3)),
        ((1,), (4,)),
        ((0,), ()),
        ((2,), (2,)),
    ],
)
def test_stacks_broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    check(drawn((*left, 15, 6), "f4"), drawn((*right, 6, 33), "f4", 1))
    check(drawn((*left, 4, 6), "f8"), layout(drawn((*right, 6, 3), "f8", 1), "columns"))


def test_more_than_one_block_of_everything() -> None:
    """Deeper than DEPTH, higher than ROWS panels, on several threads."""
    m, k, n = 14 * gemm.ROWS + 5, gemm.DEPTH + 7, 70
    check(drawn((m, k), "f4"), drawn((k, n), "f4", 1))


@pytest.mark.parametrize("rung", [naive, reordered, blocked])
def test_each_rung_is_the_same_sum(rung: Any) -> None:
    for m, k, n in ((3, 4, 5), (1, 1, 1), (2, 70, 66), (4, 0, 3)):
        a, b = drawn((m, k), "f8"), drawn((k, n), "f8", 1)
        c = np.ones((m, n))
        rung(a, b, c)
        np.testing.assert_allclose(c, 1 + a @ b, rtol=1e-12, atol=1e-12)


ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bias_and_activation(name: str) -> None:
    a, b, bias = drawn((2, 20, 9), "f8"), drawn((9, 35), "f8", 1), drawn((35,), "f8", 2)
    found = matmul(a, b, bias=bias, activation=name)
    np.testing.assert_allclose(found, ACTIVATIONS[name](a @ b + bias), rtol=1e-11, atol=1e-11)
    found = matmul(a, b, activation=name)
    np.testing.assert_allclose(found, ACTIVATIONS[name](a @ b), rtol=1e-11, atol=1e-11)


def test_gelu() -> None:
    import math

    z = drawn((4, 5), "f8")
    found = matmul(z, np.eye(5), activation="gelu")
    expected = [[v * math.erfc(-v / math.sqrt(2)) / 2 for v in row] for row in z.tolist()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"a \(…, m, k\), b \(…, k, n\)"):
        matmul(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ShapeError):
        matmul(np.ones(3), np.ones((3, 2)))
    with pytest.raises(ShapeError, match="do not broadcast"):
        matmul(np.ones((2, 2, 3)), np.ones((3, 3, 2)))
    with pytest.raises(ShapeError, match=r"bias \(n,\)"):
        matmul(np.ones((2, 3)), np.ones((3, 2)), bias=np.ones(3))
    with pytest.raises(DTypeError, match="complex64"):
        matmul(np.ones((2, 3), "c8"), np.ones((3, 2), "c8"))
    with pytest.raises(ArgumentError, match="relu"):
        matmul(np.ones((2, 3)), np.ones((3, 2)), activation="swish")
    with pytest.raises(ArgumentError, match="floats"):
        matmul(np.ones((2, 3), int), np.ones((3, 2), int), activation="relu")


# -- other computers, and no compiler --------------------------------------------------------------

_PROGRAM = """
import numpy as np
from tinynet.kernels import matmul
from tinynet.kernels.tile import tile_shape
rng = np.random.default_rng(0)
for dtype, m, k, n in (("f4", 20, 40, 35), ("i4", 9, 3, 20)):
    a, b = (rng.standard_normal(s) * 9 for s in ((m, k), (k, n)))
    a, b = a.astype(dtype), b.astype(dtype)
    np.testing.assert_allclose(matmul(a, b.copy("F")), a @ b, rtol=1e-4, atol=1e-3)
print(tile_shape("f4"))
"""


@pytest.mark.parametrize(
    ("environment", "shape"),
    [
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"}, "(6, 16)"),
        ({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, "(6, 8)"),
        ({"NUMBA_DISABLE_JIT": "1"}, "(6, 16)"),
    ],
    ids=["avx2", "128 bits", "no compiler"],
)
def test_the_tile_follows_the_computer(environment: dict[str, str], shape: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shape


# -- threads ---------------------------------------------------------------------------------------


@pytest.fixture
def two_threads() -> Any:
    before = get_num_threads()
    set_num_threads(2)
    yield
    set_num_threads(before)


def test_share_does_each_piece_once(two_threads: Any) -> None:
    done: list[int] = []
    threads.share(100, done.append)
    assert sorted(done) == list(range(100))


def test_an_error_in_a_piece_arrives(two_threads: Any) -> None:
    def work(piece: int) -> None:
        if piece == 3:
            raise ValueError("piece 3")

    with pytest.raises(ValueError, match="piece 3"):
        threads.share(4, work)


def test_sharing_inside_a_piece(two_threads: Any) -> None:
    done: list[int] = []
    threads.share(4, lambda i: threads.share(3, lambda j: done.append(3 * i + j)))
    assert sorted(done) == list(range(12))


def test_two_python_threads_multiply_at_once(two_threads: Any) -> None:
    a, b = drawn((300, 200), "f4"), drawn((200, 250), "f4", 1)
    expected, wrong = matmul(a, b), []

    def many() -> None:
        wrong.extend(1 for _ in range(20) if not np.array_equal(matmul(a, b), expected))

    workers = [threading.Thread(target=many) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_multiplies(two_threads: Any) -> None:
    a, b = drawn((300, 200), "f4"), drawn((200, 250), "f4", 1)
    expected = matmul(a, b)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(matmul(a, b), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_set_num_threads_refuses_none() -> None:
    with pytest.raises(ArgumentError, match="at least one"):
        set_num_threads(0)
