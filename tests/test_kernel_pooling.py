"""Pooling as kernels: all windows, ties and NaN, layouts, pieces."""

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

from tinynet import kernels
from tinynet.derivations import adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool
from tinynet.kernels import get_num_threads, pooling, set_num_threads

REFERENCE = {
    "adaptive_avg_pool": adaptive_avg_pool,
    "adaptive_max_pool": adaptive_max_pool,
    "avg_pool": avg_pool,
    "max_pool": max_pool,
}
LAYOUTS = ("rows", "channels last", "reversed", "spread", "broadcast")


def laid(x: Any, kind: str) -> Any:
    """The same numbers in another layout; "broadcast" are others, the same for all samples."""
    if kind == "channels last" and x.ndim > 2:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if kind == "reversed":
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if kind == "spread":
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return np.broadcast_to(x[:1], x.shape) if kind == "broadcast" and x.ndim else x


def check(name: str, x: Any, options: Any, kind: str = "rows") -> None:
    """Maxima are the reference's to the bit, sums to their rounding; inputs stay as they were."""
    reference, mine = REFERENCE[name], pooling.KERNELS[name]
    assert mine.serves is not None
    assert mine.serves(x, **options)
    exactly = name.endswith("max_pool")
    dtype = x.dtype if exactly else np.float64
    y, saved = reference.forward(x.astype(dtype), **options)
    g = laid(np.random.default_rng(9).standard_normal(y.shape).astype(x.dtype), kind)
    (meant,) = reference.backward(g.astype(np.float64), saved, **options)
    before = x.copy(), g.copy()
    found, kept = mine.forward(x, **options)
    (dx,) = mine.backward(g, kept, needs=(True,), **options)
    assert (found.shape, found.dtype) == (y.shape, x.dtype)
    assert (dx.shape, dx.dtype) == (x.shape, x.dtype)
    close = 3e-6 if x.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(found, y, rtol=0, atol=0 if exactly else close)
    np.testing.assert_allclose(dx, meant, rtol=0, atol=close)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(g, before[1])
    assert not any(np.may_share_memory(a, v) for a in (found, dx) for v in (x, g))


@st.composite
def sliding(draw: Any) -> tuple[str, tuple[int, ...], dict[str, Any]]:
    integer = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    name, axes = (
        draw(st.sampled_from(("max_pool", "avg_pool"))),
        draw(st.sampled_from((1, 2, 2, 3))),
    )
    columns = []
    for _ in range(axes):
        k, s, d = integer(1, 4), integer(1, 4), integer(1, 3) if name == "max_pool" else 1
        length = d * (k - 1) + 1
        p = integer(0, length // 2)
        columns.append((max(1, d, length - 2 * p) + integer(0, 6), k, s, p, d))
    sizes, *windows = zip(*columns, strict=True)
    options = dict(zip(("kernel", "stride", "padding", "dilation"), windows, strict=True))
    options["ceil_mode"] = draw(st.booleans())
    if name == "avg_pool":
        del options["dilation"]
        options["count_include_pad"] = draw(st.booleans())
        options["divisor"] = draw(st.sampled_from((None, None, 3, -2)))
    return name, sizes, options


@st.composite
def adaptive(draw: Any) -> tuple[str, tuple[int, ...], dict[str, Any]]:
    axes, integer = draw(st.sampled_from((1, 2, 3))), lambda high: draw(st.integers(1, high))
    sizes, m = tuple(integer(9) for _ in range(axes)), tuple(integer(11) for _ in range(axes))
    name = draw(st.sampled_from(("adaptive_max_pool", "adaptive_avg_pool")))
    return name, sizes, {"output_size": m}


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(sliding(), adaptive()),
    st.sampled_from(((2, 3), (1,), (), (3, 1))),
    st.sampled_from(("float32", "float64")),
    st.sampled_from(LAYOUTS),
    st.sampled_from(LAYOUTS),
    st.integers(0, 2**20),
)
def test_pooling(case: Any, lead: Any, dtype: str, kind: str, of_g: str, seed: int) -> None:
    """With few different numbers: many entries are equal. Some are −∞, in max pooling some NaN."""
    name, sizes, options = case
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (*lead, *sizes)).astype(dtype)
    if name.endswith("max_pool"):
        x[rng.random(x.shape) < 0.2] = -np.inf
        x[rng.random(x.shape) < 0.1] = np.nan
    check(name, laid(x, kind), options, of_g)


def test_of_equal_entries_the_first_is_taken_and_of_nan_the_last() -> None:
    options = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}
    x = np.array([[1.0, 7, np.nan, 3], [7, 7, 1, np.nan]])
    y, saved = pooling.max_pool(x, **options)
    np.testing.assert_array_equal(y, [[7, np.nan]])
    (dx,) = pooling.max_pool_backward(np.array([[5.0, 6.0]]), saved, needs=(True,), **options)
    np.testing.assert_array_equal(dx, [[0, 5, 0, 0], [0, 0, 0, 6]])


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_planes_are_shared_by_threads(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((7, 11, 24, 25)).astype("f4")
    options: dict[str, Any] = {"output_size": (5, 7)}
    if not name.startswith("adaptive"):
        options = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0)}
        options |= {"dilation": (1, 2)} if name == "max_pool" else {}
    before, found = get_num_threads(), []
    for threads in (1, 2, 5):
        set_num_threads(threads)
        check(name, x, options)
        found.append(pooling.KERNELS[name].forward(x, **options)[0])
    set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_is_saved_outlives_the_next_call() -> None:
    options = {"kernel": (2,), "stride": (2,), "padding": (0,), "dilation": (1,)}
    x = np.array([[1.0, 2, 4, 3]])
    _, saved = pooling.max_pool(x, **options)
    pooling.max_pool(-x, **options)
    (dx,) = pooling.max_pool_backward(np.array([[5.0, 6.0]]), saved, needs=(True,), **options)
    np.testing.assert_array_equal(dx, [[0, 5, 6, 0]])


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("max_pool", (2, 1), {"kernel": (3,), "stride": (1,), "padding": (0,), "dilation": (1,)}),
        ("max_pool", (2, 5), {"kernel": (2,), "stride": (0,), "padding": (0,), "dilation": (1,)}),
        ("max_pool", (2, 5), {"kernel": (2,), "stride": (1,), "padding": (2,), "dilation": (1,)}),
        ("max_pool", (2, 2), {"kernel": (2,), "stride": (1,), "padding": (2,), "dilation": (4,)}),
        ("max_pool", (0, 5), {"kernel": (2,), "stride": (1,), "padding": (0,), "dilation": (1,)}),
        ("avg_pool", (2, 5), {"kernel": (2,), "stride": (1,), "padding": (0,), "divisor": 0}),
        ("avg_pool", (2, 1), {"kernel": (3,), "stride": (2,), "padding": (0,), "ceil_mode": True}),
        ("adaptive_max_pool", (2, 5), {"output_size": (0,)}),
        ("adaptive_avg_pool", (2, 5), {"output_size": (0,)}),
        ("adaptive_avg_pool", (2, 0), {"output_size": (1,)}),
    ],
)
def test_the_reference_says_what_is_wrong(name: str, shape: Any, options: Any) -> None:
    x, found = np.zeros(shape), []
    assert not pooling.KERNELS[name].serves(x, **options)
    for mode in ("reference", "compiled"):
        with kernels.use(mode):
            try:
                found.append(REFERENCE[name].op(x, **options).shape)
            except Exception as error:
                found.append((type(error), str(error)))
    assert found[0] == found[1]


def test_a_table_that_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "LARGEST", 100)
    options = {"kernel": (3, 3), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    pooling.sliding.cache_clear()
    assert not pooling.KERNELS["max_pool"].serves(np.zeros((2, 6, 6)), **options)
    assert pooling.KERNELS["max_pool"].serves(np.zeros((2, 5, 5)), **options)
    pooling.sliding.cache_clear()


def test_without_a_compiler() -> None:
    program = (
        'import sys; sys.path.insert(0, "tests")\n'
        "import numpy as np, test_kernel_pooling as t\n"
        "t.test_of_equal_entries_the_first_is_taken_and_of_nan_the_last()\n"
        'x = np.random.default_rng(0).standard_normal((2, 6, 7)).astype("f4")\n'
        't.check("adaptive_avg_pool", x, {"output_size": (4, 3)})\n'
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
