"""The product of matrices: every rung of the ladder, all layouts and dtypes, and the threads."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from other_computers import AVX2, PLAIN

from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.kernels import gemm, get_num_threads, matmul, set_num_threads
from tinynet.kernels.gemm import blocked, naive, reordered
from tinynet.kernels.packing import panel_width
from tinynet.kernels.tile import tile_shape

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


@st.composite
def stacks(draw: Any, lead: tuple[int, ...], m: int, k: int) -> Any:
    """Matrices in memory in any order of their axes, with steps, backwards, or repeated."""
    axes = draw(st.permutations(range(len(lead) + 2)))
    whole = (*lead, m, k)
    steps = [draw(st.sampled_from((1, 2, -1))) for _ in whole]
    once = [draw(st.booleans()) and i < len(lead) for i in range(len(whole))]
    sizes = [1 if single else n * abs(s) for n, s, single in zip(whole, steps, once, strict=True)]
    x = drawn(tuple(sizes[i] for i in axes), "f4", draw(st.integers(0, 99)))
    x = x.transpose(np.argsort(axes))[tuple(slice(None, None, s) for s in steps)]
    return np.broadcast_to(x, whole)


@given(st.data())
def test_any_stack_is_multiplied_where_it_lies(data: Any) -> None:
    lead = data.draw(st.lists(st.integers(1, 3), max_size=3).map(tuple))
    m, k, n = (data.draw(st.sampled_from((1, 2, 15, 33))) for _ in range(3))
    a, b = data.draw(stacks(lead, m, k)), data.draw(stacks(lead, k, n))
    check(a, b)
    for x in (a, b):
        row, _ = gemm._in_a_row(x, lead)
        assert np.may_share_memory(row, x)


def test_more_than_one_block_of_everything(monkeypatch: Any) -> None:
    """Packed; deeper than DEPTH, higher than ROWS panels, on several threads."""
    monkeypatch.setattr(gemm, "NEAR", 0)
    monkeypatch.setattr(gemm, "FEW", 0)
    m, k, n = 14 * gemm.ROWS + 5, gemm.DEPTH // 4 + 7, 70
    check(drawn((m, k), "f4"), drawn((k, n), "f4", 1))


# -- every way through the last rung ---------------------------------------------------------------


@pytest.fixture(params=[1, 2, 3])
def some_threads(request: Any, monkeypatch: Any) -> Any:
    """All products are split, however small."""
    before = get_num_threads()
    set_num_threads(request.param)
    monkeypatch.setattr(gemm, "SMALL", 0)
    monkeypatch.setattr(gemm, "PIECE", 100)
    yield
    set_num_threads(before)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "layouts", [("rows", "rows"), ("columns", "sliced"), ("sliced", "columns")]
)
def test_pieces(some_threads: Any, monkeypatch: Any, layouts: Any, large: bool) -> None:
    """By products, rows or columns; packed or not."""
    if large:
        monkeypatch.setattr(gemm, "NEAR", 0)
        monkeypatch.setattr(gemm, "FEW", 0)
    for left, m, k, n, right in (
        ((), 100, 20, 30, ()),
        ((), 30, 20, 150, ()),
        ((7,), 9, 5, 33, ()),
        ((2,), 29, 3, 40, (2,)),
        ((3, 1), 15, 2, 3, (2,)),
    ):
        a = layout(drawn((*left, m, k), "f4"), layouts[0])
        b = layout(drawn((*right, k, n), "f4", 1), layouts[1])
        check(a, b)
        bias = drawn((n,), "f4", 2)
        found = matmul(a, b, bias=bias, activation="relu")
        np.testing.assert_allclose(found, np.maximum(a @ b + bias, 0), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["rows", "sliced"])
def test_rows_of_a_that_lie_pages_apart(some_threads: Any, kind: str) -> None:
    """They are packed, where there are columns enough to pay for it."""
    wide = drawn((2, 161, gemm.PAGE // 4), "f4")
    for m, k, n in ((30, 21, gemm.MANY), (61, 20, gemm.MANY + 9), (161, 20, gemm.MANY)):
        a = wide[:, :m, : 2 * k : 2] if kind == "sliced" else wide[:, :m, :k]
        b = drawn((2, k, n), "f4", 1)
        c = layout(b, "columns")
        for left, right in ((a[0], b[0]), (a[0], c[0]), (a, b), (a[::-1, ::-1], c)):
            check(left, right)
        check(a[0].T, drawn((m, n), "f4", 1))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
@pytest.mark.parametrize("kind", ["rows", "columns", "sliced", "reversed"])
def test_strips_hold_the_columns_of_b(kind: str, dtype: str) -> None:
    """Each in its place, at all borders; what is beside them is not touched."""
    width = tile_shape(dtype)[1]
    for k, n in ((1, 1), (9, width), (16, width + 1), (33, 2 * width - 1), (70, 3 * width + 2)):
        b = layout(drawn((k, n), dtype), kind)
        slabs, strips = 2, -(-n // width)
        depth = -(-k // slabs)
        panels = np.full((slabs, strips, depth, width), 77, dtype)
        for q in range(slabs):
            gemm.pack_right(b, panels, q, 0, strips - 1)
            assert (panels[q, -1] == 77).all()
            gemm.pack_right(b, panels, q, strips - 1, strips)
        found = panels.transpose(0, 2, 1, 3).reshape(slabs * depth, strips * width)
        np.testing.assert_array_equal(found[:k, :n], b)


@pytest.mark.parametrize(
    ("whole", "unit", "pieces"), [(1024, 14, 8), (5, 14, 8), (70, 14, 5), (97, 1, 4)]
)
def test_pieces_are_of_one_size(whole: int, unit: int, pieces: int) -> None:
    """They end where tiles do, and differ by one tile at most."""
    cuts = gemm._cuts(whole, unit, pieces)
    assert (cuts[0], cuts[-1]) == (0, whole)
    assert all(cut % unit == 0 for cut in cuts[:-1])
    tiles = [-(-(end - start) // unit) for start, end in itertools.pairwise(cuts)]
    assert len(tiles) == min(pieces, -(-whole // unit))
    assert max(tiles) - min(tiles) <= 1


def test_few_rows_and_a_b_that_is_far(monkeypatch: Any) -> None:
    """On one thread: the parts of several may be near."""
    monkeypatch.setattr(gemm, "SMALL", math.inf)
    k = gemm.DEPTH // 4 + 30
    n = gemm.NEAR // (4 * k) + gemm.WIDTH
    check(drawn((9, k), "f4"), drawn((k, n), "f4", 1))


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_only_the_part_that_is_asked_for(gaps: bool, packs: bool) -> None:
    """Nothing else is written, and nothing outside is read: there it says NaN."""
    rows, columns = tile_shape("f4")
    for m, k, n, part in (
        (2 * rows + 3, 7, 2 * columns + 5, (0, 2 * rows + 3, 0, 2 * columns + 5)),
        (rows + 2, 4, 3 * columns, (1, rows, 3, 2 * columns + 1)),
        (5, 3, 4, (4, 5, 1, 2)),
    ):
        wide = np.full((3, m + 2, k + 2), np.nan, "f4")
        a, far = wide[:, 1:-1, 1:-1], np.full((3, k + 2, 2 * n + 2), np.nan, "f4")
        b = far[:, 1:-1, 1 : 1 + 2 * n : 2] if gaps else far[:, 1:-1, 1 : 1 + n]
        a[:], b[:] = drawn(a.shape, "f4"), drawn(b.shape, "f4", 1)
        room = np.full(3 * m * n + 200, 7, "f4")
        c = room[100:-100].reshape(3, m, n)
        i0, i1, j0, j1 = part
        strips = -(-(j1 - j0) // columns) if gaps else 0
        lines = np.full((strips, k, columns), np.nan, "f4")
        left = np.full((int(packs), k, panel_width(rows, "f4")), np.nan, "f4")
        order = np.array([2, 0, 1])
        gemm.unpacked(a, b, c, order, order, (1, 3, *part), left, lines, (rows, columns))
        expected = np.full((3, m, n), 7, "f4")
        expected[1:, i0:i1, j0:j1] = (a @ b)[order[1:], i0:i1, j0:j1]
        np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-4)
        assert (room[:100] == 7).all()
        assert (room[-100:] == 7).all()


def test_without_scipy() -> None:
    """BLAS inside compiled code would need it."""
    program = "import sys; sys.modules['scipy'] = None\n" + _PROGRAM
    subprocess.run([sys.executable, "-c", program], check=True)


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


@pytest.mark.parametrize("kind", ["sliced", "reversed", "repeated", "read only", "swapped bytes"])
def test_a_bias_may_lie_in_any_way(kind: str) -> None:
    a, b, bias = drawn((20, 9), "f4"), drawn((9, 35), "f4", 1), drawn((35,), "f4", 2)
    given = layout(bias[None], kind)[0]
    if kind == "repeated":
        given = bias = np.broadcast_to(bias[:1], (35,))
    elif kind == "read only":
        given.flags.writeable = False
    elif kind == "swapped bytes":
        given = bias.astype(">f4")
    before = given.copy()
    np.testing.assert_allclose(matmul(a, b, bias=given), a @ b + bias, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(given, before)


def test_gelu() -> None:
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
from tinynet.kernels import gemm, matmul
from tinynet.kernels.packing import panel_width
from tinynet.kernels.tile import tile_shape
rng = np.random.default_rng(0)
for dtype, m, k, n in (("f4", 20, 40, 35), ("i4", 9, 3, 20)):
    a, b = (rng.standard_normal(s) * 9 for s in ((m, k), (k, n)))
    a, b = a.astype(dtype), b.astype(dtype)
    for near in (2**21, 0):
        gemm.NEAR, gemm.FEW = near, 0
        np.testing.assert_allclose(matmul(a, b.copy("F")), a @ b, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(matmul(a.copy("F"), b), a @ b, rtol=1e-4, atol=1e-3)
print(tile_shape("f4"))
"""


@pytest.mark.parametrize(
    ("environment", "shape"),
    [
        pytest.param(AVX2, "(6, 16)", marks=pytest.mark.compiler),
        pytest.param(PLAIN, "(6, 8)", marks=pytest.mark.compiler),
        ({"NUMBA_DISABLE_JIT": "1"}, "(6, 16)"),
    ],
    ids=["avx2", "128 bits", "no compiler"],
)
def test_the_tile_follows_the_computer(environment: dict[str, str], shape: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", _PROGRAM],
        env={**os.environ, "NUMBA_DISABLE_JIT": "0", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shape
