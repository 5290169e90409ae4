"""Convolution and its transpose as kernels: rungs, geometries, layouts, pieces, borders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from other_computers import AVX2, PLAIN

from tinynet import kernels
from tinynet.derivations import conv2d, conv_transpose2d
from tinynet.errors import ShapeError
from tinynet.kernels import convolution as kernel
from tinynet.kernels import get_num_threads, set_num_threads
from tinynet.kernels.grid import grids

TOLERANCE = {"float32": 1e-6, "float64": 1e-15}  # of the sum of all magnitudes, times its root
REFERENCE = {"conv2d": conv2d, "conv_transpose2d": conv_transpose2d}
LAYOUTS = ("rows", "channels last", "reversed", "spread", "broadcast")


def drawn(shape: tuple[int, ...], dtype: Any, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def laid(x: Any, kind: str) -> Any:
    """The same numbers in another layout; "broadcast" are others, the same for all samples."""
    if kind == "channels last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if kind == "reversed":
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if kind == "spread":
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return np.broadcast_to(x[:1], x.shape) if kind == "broadcast" else x


def check(name: str, x: Any, W: Any, b: tuple[Any, ...], options: Any, kind: str = "rows") -> None:
    """Value and gradients against the derivation in float64; the inputs are as they were."""
    reference, mine = REFERENCE[name], kernel.KERNELS[name]
    assert mine.serves is not None
    assert mine.serves(x, W, *b, **options)
    exact = [v.astype("f8") for v in (x, W, *b)]
    y, saved = reference.forward(*exact, **options)
    g = laid(drawn(y.shape, x.dtype, 7), kind)
    before = [v.copy() for v in (x, W, *b, g)]
    found, kept = mine.forward(x, W, *b, **options)
    meant = (y, *reference.backward(g.astype("f8"), saved, **options))
    large, saved = reference.forward(*map(np.abs, exact), **options)
    sizes = (large, *reference.backward(np.abs(g.astype("f8")), saved, **options))
    for needs in ((True,) * 3, (True, False, False), (False, True, False), (False, False, True)):
        results = mine.backward(g, kept, needs=needs, **options)
        assert len(results) == 2 + len(b)
        wanted = (True, *needs[: len(results)])
        pairs = zip((found, *results), meant, sizes, wanted, strict=True)
        for a, exactly, size, asked in pairs:
            if not asked:
                assert a is None
                continue
            assert (a.shape, a.dtype) == (exactly.shape, x.dtype)
            room = TOLERANCE[x.dtype.name] * size.max(initial=1) * 4
            np.testing.assert_allclose(a, exactly, rtol=0, atol=room)
            assert not any(np.may_share_memory(a, v) for v in (x, W, *b, g))
    for v, old in zip((x, W, *b, g), before, strict=True):
        np.testing.assert_array_equal(v, old)


@st.composite
def geometries(draw: Any) -> tuple[Any, ...]:
    """Sizes from those in which one window has just room to some that need several strips."""
    axes = draw(st.sampled_from((1, 2, 2, 3)))
    integer = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    most = (40, 11, 4)[axes - 1]
    columns = []
    for _ in range(axes):
        K, s, P, d = integer(1, 4), integer(1, 3), integer(0, 3), integer(1, 3)
        columns.append((max(1, d * (K - 1) + 1 - 2 * P) + integer(0, most), K, s, P, d))
    sizes, K, s, P, d = (tuple(each) for each in zip(*columns, strict=True))
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    n, C, filters = integer(1, 5), integer(1, 4), draw(st.sampled_from((1, 2, 5, 8, 9, 17)))
    options = {"stride": s, "padding": P, "dilation": d, "groups": groups}
    return n, groups, C, filters, sizes, K, options


@settings(max_examples=60, deadline=None)
@given(
    geometries(),
    st.sampled_from(("float32", "float64")),
    st.booleans(),
    st.sampled_from(LAYOUTS),
    st.sampled_from(LAYOUTS),
)
def test_convolution(case: Any, dtype: str, biased: bool, kind: str, of_g: str) -> None:
    n, groups, C, filters, sizes, K, options = case
    x = laid(drawn((n, groups * C, *sizes), dtype, 1), kind)
    W = laid(drawn((groups * filters, C, *K), dtype, 2), kind)
    b = (drawn((groups * filters,), dtype, 3),) if biased else ()
    check("conv2d", x, W, b, options, of_g)


@settings(max_examples=60, deadline=None)
@given(
    geometries(),
    st.sampled_from(("float32", "float64")),
    st.booleans(),
    st.sampled_from(LAYOUTS),
    st.data(),
)
def test_transposed_convolution(case: Any, dtype: str, biased: bool, kind: str, data: Any) -> None:
    n, groups, C, filters, sizes, K, options = case
    s, P, d = (options[name] for name in ("stride", "padding", "dilation"))
    # as the input of a convolution, `sizes` are the output; what is left over is output_padding
    each = list(zip(sizes, K, s, P, d, strict=True))
    m = tuple((n + 2 * P - d * (K - 1) - 1) // s + 1 for n, K, s, P, d in each)
    over = tuple((n + 2 * P - d * (K - 1) - 1) % s for n, K, s, P, d in each)
    x = laid(drawn((n, groups * filters, *m), dtype, 1), kind)
    W = drawn((groups * filters, C, *K), dtype, 2)
    b = (drawn((groups * C,), dtype, 3),) if biased else ()
    check("conv_transpose2d", x, W, b, {**options, "output_padding": over}, kind)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_rungs_agree(stride: int, dilation: int, padding: int, groups: int) -> None:
    x, W = drawn((2, 4, 9, 13), "f8", 0), drawn((6, 4 // groups, 3, 2), "f8", 1)
    numbers = [(1, v, v) for v in (stride, dilation)]
    grid, back = grids((1, 9, 13), (1, 3, 2), numbers[0], (0, padding, padding), numbers[1])
    x, W = x[:, :, None], W[:, :, None]
    g = drawn((2, 6, *grid.counts), "f8", 2)
    flat = W.reshape(groups, 6 // groups, -1)
    y = np.zeros((2, 6, g[0, 0].size))
    taps = kernel._taps(grid, 4, groups)
    how = kernel._places(grid), 4 * grid.size, taps
    kernel.plain(kernel.laid_out(x, grid), *how, flat, y)
    fast = kernel.correlate(x, flat, np.zeros(6), grid)
    np.testing.assert_allclose(fast, y.reshape(fast.shape), atol=1e-13)
    dW, db = kernel.weights(x, g, grid, groups)
    np.testing.assert_allclose(dW, kernel._careful_weights(x, g, grid, groups), atol=1e-12)
    np.testing.assert_allclose(db, np.sum(g, axis=(0, 2, 3, 4)), atol=1e-13)
    parts = W.reshape(groups, 6 // groups, 4 // groups, 1, 3, 2)
    slow = kernel._careful_adjoint(g, parts, np.ones(4), grid, np.empty(x.shape))
    fast = kernel.adjoint(g, W, np.ones(4), grid, back, groups, x.shape[2:])
    np.testing.assert_allclose(fast, slow, atol=1e-13)


# -- pieces ----------------------------------------------------------------------------------------


@pytest.fixture
def threads() -> Any:
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


@pytest.mark.parametrize(
    ("n", "C", "filters", "side", "groups"),
    [(1, 8, 20, 61, 1), (2, 3, 9, 50, 1), (23, 4, 16, 24, 2), (5, 6, 6, 40, 6), (9, 70, 33, 9, 1)],
)
def test_work_is_cut_into_pieces(
    threads: Any, n: int, C: int, filters: int, side: int, groups: int
) -> None:
    """Few images are shared by places and by filters, many image by image."""
    x, W = drawn((n, C, side, side), "f4", 0), drawn((filters, C // groups, 3, 3), "f4", 1)
    options = {"padding": 1, "groups": groups}
    ys = []
    for count in (1, 2, 3):
        threads(count)
        check("conv2d", x, W, (drawn((filters,), "f4", 2),), options)
        ys.append(kernel.conv2d(x, W, **options)[0])
    np.testing.assert_array_equal(ys[0], ys[1])
    np.testing.assert_array_equal(ys[0], ys[2])


def test_small_pieces_and_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over places that do not fit a span; more pieces than parts of W̄ and b̄."""
    monkeypatch.setattr(kernel, "SPAN", 48)
    monkeypatch.setattr(kernel, "PIECE", 1.0)
    monkeypatch.setattr(kernel, "SMALL", 0.0)
    x, W = drawn((11, 3, 12, 13), "f4", 0), drawn((5, 3, 3, 3), "f4", 1)
    check("conv2d", x, W, (drawn((5,), "f4", 2),), {"stride": 1})


def test_what_is_saved_outlives_the_next_call() -> None:
    x, W = drawn((2, 3, 8, 8), "f4", 0), drawn((4, 3, 3, 3), "f4", 1)
    y, saved = kernel.conv2d(x, W, padding=1)
    g = drawn(y.shape, "f4", 2)
    needs = (True, True, True)
    first = kernel.conv2d_backward(g, saved, needs=needs, padding=1)
    copies = [y.copy(), *(d.copy() for d in first)]
    other = kernel.conv2d(drawn(x.shape, "f4", 5), W, padding=1)
    kernel.conv2d_backward(drawn(y.shape, "f4", 6), other[1], needs=needs, padding=1)
    for a, b in zip((y, *first), copies, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(kernel.conv2d_backward(g, saved, needs=needs, padding=1), first, strict=True):
        np.testing.assert_array_equal(a, b)


# -- numbers that are none, and sizes that do not fit ----------------------------------------------


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("where", ["x", "W", "g"])
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nothing_leaks_from_what_is_not_finite(
    name: str, where: str, odd: float, stride: int
) -> None:
    reference, mine = REFERENCE[name], kernel.KERNELS[name]
    options = {"padding": 1, "stride": stride}
    x, W = drawn((2, 2, 5, 6), "f8", 0), drawn((2, 2, 3, 3), "f8", 1)
    g = drawn(reference.forward(x, W, **options)[0].shape, "f8", 2)
    {"x": x, "W": W, "g": g}[where][0, 0, 0, 0] = odd
    {"x": x, "W": W, "g": g}[where][1, 1, -1, -1] = odd
    meant, saved = reference.forward(x, W, **options)
    found, kept = mine.forward(x, W, **options)
    needs = (True, True, True)
    pairs = zip(
        (found, *mine.backward(g, kept, needs=needs, **options)),
        (meant, *reference.backward(g, saved, **options)),
        strict=True,
    )
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize(
    ("x", "W", "options"),
    [
        ((1, 2, 4, 4), (3, 3, 3, 3), {}),
        ((1, 2, 2, 2), (3, 2, 3, 3), {}),
        ((1, 2, 4, 4), (3, 1, 3, 3), {"groups": 2}),
        ((1, 2, 4, 4), (3, 2, 3), {}),
        ((1, 2, 4), (3, 2, 3), {"stride": (1, 1)}),
        ((1, 2, 4), (3, 2, 3), {"padding": -1}),
        ((0, 2, 4), (3, 2, 3), {}),
        ((1, 2, 4), (3, 2, 3), {"stride": 0}),
        ((1, 2, 4), (3, 2, 3), {"dilation": 2}),
    ],
)
def test_the_reference_says_what_is_wrong(x: Any, W: Any, options: Any) -> None:
    arrays = np.zeros(x), np.zeros(W)
    assert not kernel.KERNELS["conv2d"].serves(*arrays, **options)
    found = []
    for mode in ("reference", "compiled"):
        with kernels.use(mode):
            try:
                found.append(conv2d.op(*arrays, **options).shape)
            except Exception as error:
                found.append((type(error), str(error)))
    assert found[0] == found[1]


def test_a_bias_that_does_not_fit() -> None:
    with kernels.use("compiled"), pytest.raises(ShapeError):
        conv2d.op(np.zeros((1, 2, 4)), np.zeros((3, 2, 3)), np.zeros(2))


# -- other computers, and no compiler --------------------------------------------------------------

_PROGRAM = """
import sys
sys.path.insert(0, "tests")
import test_kernel_convolution as t
options = {"stride": (2, 1), "padding": 1, "dilation": (1, 2), "groups": 2}
for dtype in ("float32", "float64"):
    x, W = t.drawn((3, 4, 7, 9), dtype, 0), t.drawn((6, 2, 3, 2), dtype, 1)
    t.check("conv2d", x, W, (t.drawn((6,), dtype, 2),), options)
    t.check("conv_transpose2d", t.drawn((3, 6, 4, 5), dtype, 0), W, (), options)
t.test_rungs_agree(2, 1, 1, 2)
print(t.kernel.windows_shape("f4"))
"""


@pytest.mark.parametrize(
    ("environment", "shape"),
    [
        pytest.param(AVX2, "(4, 24)", marks=pytest.mark.compiler),
        pytest.param(PLAIN, "(4, 12)", marks=pytest.mark.compiler),
        ({"NUMBA_DISABLE_JIT": "1"}, "(4, 24)"),
    ],
    ids=["avx2", "sse", "python"],
)
def test_other_computers(environment: dict[str, str], shape: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", _PROGRAM],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shape
