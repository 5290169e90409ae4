"""Attention in strips: every rung against the derivation in float64, at the borders of strips and
blocks, with all masks, groups and layouts; memory, threads, and what is refused.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from other_computers import AVX2

import tinynet as tn
from tinynet import kernels, nn
from tinynet.derivations import attention as derived
from tinynet.errors import DTypeError, ShapeError
from tinynet.kernels import attention as kernel
from tinynet.kernels import attention_backward, flash_attention, get_num_threads, set_num_threads
from tinynet.kernels.attention_heads import BLOCK, Heads, memory
from tinynet.nn.functional import scaled_dot_product_attention

QUERIES = st.sampled_from((1, 2, 4, 5, 15, 16, 17, 31, 32, 33, 65, 0))
KEYS = st.sampled_from((1, 2, 7, 8, 9, 33, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 9, 2 * BLOCK, 0))
SIZES = st.sampled_from((1, 7, 8, 9, 16, 17, 33, 0))
LEADS = (  # of q, and of k and v
    ((), ()),
    ((3,), (3,)),
    ((2, 2), (2, 2)),
    ((2, 2, 3), (2, 2, 1)),
    ((1, 2), (3, 1)),
    ((2,), (1,)),
    ((1,), (2,)),
    ((2, 1, 1, 2), (2, 1, 2, 1)),
    ((0, 2), (0, 2)),
)
TOLERANCE = {"f4": 2e-5, "f8": 1e-12}


def drawn(shape: tuple[int, ...], dtype: str, seed: int, layout: str = "rows") -> Any:
    """Numbers, lying in memory in one way or another."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    if layout == "heads last" and x.ndim > 2:  # as MultiheadAttention passes them
        return np.ascontiguousarray(np.swapaxes(x, -2, -3)).swapaxes(-2, -3)
    if layout == "columns":
        return np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2)
    if layout == "reversed":
        return np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    if layout == "broadcast" and x.size:
        return np.broadcast_to(x[..., :1, :1], shape)
    return x


def a_mask(kind: str, scores: tuple[int, ...], dtype: str, seed: int) -> Any:
    """None, booleans or floats, of the shape of all scores or one that broadcasts to it."""
    rng = np.random.default_rng(seed)
    if kind == "none":
        return None
    shape = tuple(n if rng.random() < 0.7 else 1 for n in scores)[int(rng.integers(3)) :]
    if kind == "booleans":
        return rng.random(shape) > 0.4
    mask = rng.standard_normal(shape).astype(dtype)
    mask[rng.random(shape) > 0.8] = -np.inf
    return mask


def exact(x: Any) -> Any:
    """In float64; None is True, as the derivation has it."""
    return True if x is None else x if x.dtype == bool else x.astype("f8")


def assert_close(found: Any, meant: Any, tolerance: float) -> None:
    assert (found is None) == (meant is None)
    if meant is not None:
        assert found.shape == meant.shape
        scale = np.max(np.abs(meant[np.isfinite(meant)]), initial=1)
        np.testing.assert_allclose(found, meant, rtol=0, atol=tolerance * scale)


def check(
    q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float | None, g: Any, name: str
) -> None:
    """Every rung, ℓ and all gradients."""
    tolerance, options = TOLERANCE[name], {"is_causal": causal, "scale": scale}
    inputs = (q, k, v) if mask is None else (q, k, v, mask)
    before = [x.copy() for x in inputs]
    meant, saved = derived.forward(*map(exact, (q, k, v, mask)), True, **options)
    for rung in (kernel.naive, kernel.online, kernel.tiled, None):
        y, log_total = kernel.attend(Heads(q, k, v, mask, causal, scale), rung)
        assert y.dtype == q.dtype
        assert_close(y, meant, tolerance)
        assert_close(log_total.reshape(saved[-1].shape), saved[-1], tolerance)
    flash = flash_attention(q, k, v, causal=causal, mask=mask, scale=scale)
    assert_close(flash, meant, tolerance)
    _, kept = kernel.forward(q, k, v, True if mask is None else mask, True, **options)
    gradients = derived.backward(exact(g), saved, **options)
    for few in (0, q.shape[-2]):  # both rungs
        with mock.patch.object(attention_backward, "FEW", few):
            found = kernel.backward(g, kept, **options)
        for d, meant_d in zip(found, gradients, strict=True):
            assert_close(d, meant_d, 4 * tolerance)
    for x, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x, old)
    made = [d for d in found if d is not None]
    for i, d in enumerate(made):
        assert not any(np.shares_memory(d, x) for x in (*inputs, g, *made[:i]))


@given(st.data())
def test_every_rung_and_all_gradients(data: Any) -> None:
    draw, name = data.draw, "f4"
    L, S, E, Ev = draw(QUERIES), draw(KEYS), draw(SIZES), draw(SIZES)
    lead, shared = draw(st.sampled_from(LEADS))
    layouts = st.sampled_from(("rows", "heads last", "columns", "reversed", "broadcast"))
    seed = draw(st.integers(0, 99))
    q = drawn((*lead, L, E), name, seed, draw(layouts))
    k = drawn((*shared, S, E), name, seed + 1, draw(layouts))
    v = drawn((*shared, S, Ev), name, seed + 2, draw(layouts))
    batch = np.broadcast_shapes(lead, shared)
    mask = a_mask(draw(st.sampled_from(("none", "booleans", "floats"))), (*batch, L, S), name, seed)
    g = drawn((*batch, L, Ev), name, seed + 3, draw(layouts))
    check(q, k, v, mask, draw(st.booleans()), draw(st.sampled_from((None, 0.3, -0.5))), g, name)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 0), (9, 17, 8, 0), (9, 17, 0, 8)])
def test_without_columns(sizes: tuple[int, ...]) -> None:
    L, S, E, Ev = sizes
    q, k, v, g = (
        drawn((2, *x), "f4", seed) for seed, x in enumerate(((L, E), (S, E), (S, Ev), (L, Ev)))
    )
    check(q, k, v, None, False, None, g, "f4")


@pytest.mark.parametrize("kind", ["none", "booleans", "floats"])
@pytest.mark.parametrize("causal", [False, True])
def test_in_double_precision(kind: str, causal: bool) -> None:
    L, S, E, Ev = 37, BLOCK + 5, 9, 12
    q, k, v = drawn((2, 3, L, E), "f8", 0), drawn((2, 1, S, E), "f8", 1), drawn((3, S, Ev), "f8", 2)
    mask = a_mask(kind, (2, 3, L, S), "f8", 4)
    check(q, k, v, mask, causal, None, drawn((2, 3, L, Ev), "f8", 3), "f8")


@pytest.mark.compiler
@pytest.mark.parametrize("causal", [False, True])
def test_one_head_cut_into_parts(causal: bool) -> None:
    """Long enough for several pieces of one head, whose gradients are added."""
    q, k, v, g = (drawn((700, 40), "f4", seed) for seed in range(4))
    assert Heads(q, k, v, None, causal, None).pieces(32, 700 * 700 * 400, 1, 8)[1] > 3
    check(q, k, v, None, causal, None, g, "f4")
    check(q, k, v, drawn((700, 700), "f4", 5), causal, None, g, "f4")
    check(q, k, v, drawn((1, 700), "f4", 5), causal, None, g, "f4")


@pytest.mark.parametrize("keys", [37, 0])
@pytest.mark.parametrize(("lead", "shared"), LEADS)
def test_new_memory_is_written_before_it_is_read(lead: Any, shared: Any, keys: int) -> None:
    """Whatever it held, NaN for instance."""

    def poisoned(make: Any, *how: Any) -> Any:
        x = memory(make, *how)
        if make is np.empty:
            x.fill(np.nan)
        return x

    with (
        mock.patch.object(kernel, "memory", poisoned),
        mock.patch.object(attention_backward, "memory", poisoned),
    ):
        for causal, layout in itertools.product((False, True), ("rows", "heads last")):
            q, k = (drawn((*a, n, 5), "f4", n, layout) for a, n in ((lead, 37), (shared, keys)))
            v, g = drawn((*shared, keys, 6), "f4", 2, layout), drawn((*lead, 37, 6), "f4", 3)
            g = np.broadcast_to(g, (*np.broadcast_shapes(lead, shared), 37, 6))
            check(q, k, v, None, causal, None, g, "f4")


def test_the_heads_of_a_token_lie_side_by_side() -> None:
    """Where they did in what came: the layers around attention copy in neither direction."""
    rows = tn.randn(2, 40, 3 * 4 * 8, requires_grad=True)
    q, k, v = (x.unflatten(2, (4, 8)).transpose(1, 2) for x in rows.chunk(3, 2))
    with kernels.use("compiled"):
        y = scaled_dot_product_attention(q, k, v)
    assert np.shares_memory(y.transpose(1, 2).flatten(2).array, y.array)
    gradients = tn.autograd.grad(y, [q, k, v], tn.randn(2, 4, 40, 8))
    for d in gradients:
        assert d.transpose(1, 2).array.flags.c_contiguous


@pytest.mark.parametrize("wanted", range(16))
def test_only_the_gradients_that_are_wanted(wanted: int) -> None:
    q, k, v, mask, g = (drawn((2, 40, 40), "f4", seed) for seed in range(5))
    _, saved = kernel.forward(q, k, v, mask, True)
    everything = kernel.backward(g, saved)
    needs = (*(bool(wanted >> i & 1) for i in range(4)), False)
    for d, meant, wants in zip(
        kernel.backward(g, saved, needs=needs), everything, needs, strict=True
    ):
        assert (d is not None) == wants
        if wants:
            np.testing.assert_array_equal(d, meant)


def test_masks_of_one_row_and_of_one_column() -> None:
    q, k, v, g = (drawn((2, 40, 8), "f4", seed) for seed in range(4))
    for shape in ((40,), (1, 40), (40, 1), (2, 1, 1), (1,), (), (2, 40, 40)):
        mask = np.asarray(drawn(shape, "f4", 9))
        check(q, k, v, mask, False, None, g, "f4")
        check(q, k, v, mask > 0, True, None, g, "f4")


# -- numbers that are no ordinary ones -------------------------------------------------------------


@pytest.mark.parametrize("rung", [kernel.naive, kernel.online, kernel.tiled])
def test_a_query_that_may_attend_to_nothing_gets_nothing(rung: Any) -> None:
    q, k, v = (
        drawn((40, 8), "f4", 0),
        drawn((BLOCK + 3, 8), "f4", 1),
        drawn((BLOCK + 3, 5), "f4", 2),
    )
    allowed = np.ones((40, BLOCK + 3), bool)
    allowed[[0, 17, 39]] = False
    for mask in (allowed, np.where(allowed, 0, -np.inf).astype("f4")):
        y, log_total = kernel.attend(Heads(q, k, v, mask, False, None), rung)
        assert not y[[0, 17, 39]].any()
        assert not log_total[0, [0, 17, 39]].any()
        assert np.isfinite(y).all()
        assert y[1].any()
    _, saved = kernel.forward(q, k, v, allowed, True)
    dq, *others = kernel.backward(np.ones_like(y), saved)
    assert not dq[[0, 17, 39]].any()
    assert all(np.isfinite(d).all() for d in others[:2])


@pytest.mark.parametrize("rung", [kernel.naive, kernel.online, kernel.tiled])
def test_scores_whose_exponentials_overflow(rung: Any) -> None:
    """A late key that outweighs all before it, and an early one that outweighs all after it."""
    for largest in (0, 3, BLOCK, 2 * BLOCK):
        q, k = np.ones((20, 1), "f4"), np.zeros((2 * BLOCK + 1, 1), "f4")
        k[largest] = 1000
        v = np.arange(2 * BLOCK + 1, dtype="f4")[:, None]
        y, log_total = kernel.attend(Heads(q, k, v, None, False, 1.0), rung)
        np.testing.assert_array_equal(y, largest)
        np.testing.assert_array_equal(log_total, 1000)


@pytest.mark.parametrize("rung", [kernel.naive, kernel.online, kernel.tiled])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_stay_in_their_rows(rung: Any, bad: float) -> None:
    for place in (0, 5, 19):
        q, k, v = (np.abs(drawn((n, 4), "f4", 1)) for n in (20, BLOCK + 2, BLOCK + 2))
        q[place, 1] = bad
        y, _ = kernel.attend(Heads(q, k, v, None, False, None), rung)
        with np.errstate(invalid="ignore"):
            meant, _ = derived.forward(q, k, v, True, True)
        np.testing.assert_allclose(y, meant, rtol=1e-4)
        assert np.isfinite(np.delete(y, place, 0)).all()


@pytest.mark.parametrize("rung", [kernel.naive, kernel.online, kernel.tiled])
def test_nan_in_a_value_reaches_whom_it_may(rung: Any) -> None:
    q, k, v = (drawn((BLOCK + 40, 4), "f4", seed) for seed in range(3))
    v[BLOCK + 33] = np.nan
    y, _ = kernel.attend(Heads(q, k, v, None, False, None), rung)
    assert np.isnan(y).all()
    y, _ = kernel.attend(Heads(q, k, v, None, True, None), rung)
    assert np.isnan(y[BLOCK + 33 :]).all()
    assert np.isfinite(y[: BLOCK + 32]).all()  # in earlier strips, nobody reads the key


# -- all cores, and no L × S matrix ----------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[Any]:
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


def test_the_number_of_threads_changes_no_bit(threads: Any) -> None:
    q, k, v, g = (drawn((3, 600, 40), "f4", seed) for seed in range(4))
    found = []
    for count in (1, 2, 3):
        threads(count)
        y, saved = kernel.forward(q, k, v, True, True, is_causal=True)
        found.append((y, *kernel.backward(g, saved, is_causal=True)[:3]))
    for others in found[1:]:
        for a, b in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.compiler
def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    peaks = []
    for n in (2048, 4096, 8192):
        q, k, v, g = (drawn((n, 16), "f4", seed) for seed in range(4))
        tracemalloc.start()
        kernel.backward(g, kernel.forward(q, k, v, True, True)[1])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 4 * 8192 * 8192 / 12, peaks  # N² numbers are 256 MiB
    assert peaks[2] < 2.5 * peaks[1], peaks


def test_pieces_cover_all_heads_once() -> None:
    q, k = np.zeros((3, 5, 2, 400, 8), "f4"), np.zeros((3, 5, 1, 400, 8), "f4")
    heads = Heads(q, k, k, None, False, None)
    assert heads.together == 2
    for flops in (0, 10**5, 10**6, 10**7, 10**9):
        groups, parts = heads.pieces(32, flops, heads.together)
        rows = [r for group in groups for r in range(*group.indices(30))]
        assert rows == list(range(30))
        assert all(group.start % 2 == 0 for group in groups)
        assert 1 <= parts <= 13


def test_heads_that_share_keys_stand_together() -> None:
    """Or two threads would add to one sum."""
    q, k = np.zeros((3, 2, 4, 8), "f4"), np.zeros((2, 4, 8), "f4")
    heads = Heads(q, k, k, None, False, None)
    assert heads.together == 3
    assert heads.table[:, 1].tolist() == [0, 0, 0, 1, 1, 1]
    assert heads.table[:, 4].tolist() == [0, 2, 4, 1, 3, 5]


# -- the op, and what is built on it ---------------------------------------------------------------


def assert_both_agree(run: Any) -> None:
    """What is computed by kernels is what the reference computes."""
    with kernels.use("reference"):
        meant = run()
    with kernels.use("compiled"):
        found = run()
    for a, b in zip(found, meant, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def leaves(*shapes: tuple[int, ...]) -> list[Any]:
    return [tn.tensor(drawn(s, "f4", seed)).requires_grad_() for seed, s in enumerate(shapes)]


@pytest.mark.parametrize("causal", [False, True])
def test_grouped_queries(causal: bool) -> None:
    def run() -> list[Any]:
        q, k, v = leaves((2, 6, 20, 8), (2, 2, 20, 8), (2, 2, 20, 5))
        y = scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
        y.backward(tn.tensor(drawn(y.shape, "f4", 9)))
        return [x.numpy() for x in (y.detach(), q.grad, k.grad, v.grad)]

    assert_both_agree(run)


def test_the_op_asks_the_kernel_where_there_is_no_mask_and_where_there_is_one() -> None:
    q, k, v = leaves((2, 20, 8), (2, 30, 8), (2, 30, 8))
    mask = tn.tensor(drawn((20, 30), "f4", 5))
    for arguments in ((), (mask,), (mask > 0,), (None, 0.0, True)):
        with kernels.use("compiled"):
            y = scaled_dot_product_attention(q, k, v, *arguments)
        assert y._node.by is kernel.KERNELS["attention"]
    with kernels.use("compiled"):
        assert scaled_dot_product_attention(q, k, v, None, 0.5)._node.by is None


def test_multihead_attention() -> None:
    tn.manual_seed(0)
    layer = nn.MultiheadAttention(12, 3, batch_first=True)
    padding = tn.tensor(np.arange(17) > np.array([[16], [9]]))

    def run() -> list[Any]:
        (x,) = leaves((2, 17, 12))
        layer.zero_grad()
        y, _ = layer(x, x, x, key_padding_mask=padding, need_weights=False)
        y.backward(tn.tensor(drawn(y.shape, "f4", 9)))
        return [y.detach().numpy(), x.grad.numpy(), layer.in_proj_weight.grad.numpy().copy()]

    assert_both_agree(run)


def test_decoding_with_kept_keys_gives_what_the_whole_text_gives() -> None:
    x = tn.tensor(drawn((2, 3, 40, 8), "f4", 0))
    whole = scaled_dot_product_attention(x, x, x, is_causal=True).numpy()
    for steps in ((40,), (30, *[1] * 10), (20, 5, 15), (3, 37)):
        cache, start, parts = nn.KeyValueCache(), 0, []
        with kernels.use("compiled"):
            for n in steps:
                new = x[:, :, start : start + n]
                parts.append(cache.attend(new, new, new).numpy())
                start += n
        np.testing.assert_allclose(np.concatenate(parts, 2), whole, rtol=1e-5, atol=1e-6)


# -- the function ----------------------------------------------------------------------------------


def test_other_floats() -> None:
    q, k, v = (drawn((2, 20, 8), "f2", seed) for seed in range(3))
    y = flash_attention(q, k, v)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, flash_attention(*(x.astype("f8") for x in (q, k, v))), atol=2e-3)
    assert flash_attention(q, k.astype("f8"), v).dtype == np.float64
    assert flash_attention(q.astype(">f4"), k, v).dtype == np.float32


def test_what_is_refused() -> None:
    x = np.ones((4, 3))
    with pytest.raises(ShapeError, match=r"q \(…, L, E\), k \(…, S, E\), v \(…, S, Ev\)"):
        flash_attention(x, x[:, :2], x)
    with pytest.raises(ShapeError, match="sizes"):
        flash_attention(x, x, x[:3])
    with pytest.raises(ShapeError, match="sizes"):
        flash_attention(x[0], x, x)
    with pytest.raises(ShapeError, match="leading axes"):
        flash_attention(np.ones((2, 4, 3)), np.ones((3, 4, 3)), x)
    for shape in ((3, 4), (2, 4, 4), (5,)):
        with pytest.raises(ShapeError, match="mask"):
            flash_attention(x, x, x, mask=np.ones(shape, bool))
    with pytest.raises(DTypeError, match="int64"):
        flash_attention(x.astype("i8"), x.astype("i8"), x.astype("i8"))
    with pytest.raises(DTypeError, match="mask"):
        flash_attention(x, x, x, mask=np.ones((4, 4), int))
    with pytest.raises(DTypeError, match="complex"):
        flash_attention(x.astype("c16"), x, x)


# -- no compiler, other computers, PyTorch ---------------------------------------------------------

_PROGRAM = """
import sys
sys.path.insert(0, "tests")
import numpy as np
import test_kernel_attention as t
for L, S, E, Ev, lead, kind, causal in (
    (5, 9, 3, 2, (2,), "floats", True),
    (17, 20, 4, 5, (3,), "booleans", False),
    (0, 3, 1, 1, (), "none", True),
):
    q, k, v = t.drawn((*lead, L, E), "f4", 0), t.drawn((S, E), "f4", 1), t.drawn((S, Ev), "f4", 2)
    mask = t.a_mask(kind, (*lead, L, S), "f4", 3)
    t.check(q, k, v, mask, causal, None, t.drawn((*lead, L, Ev), "f4", 4), "f4")
"""


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(AVX2, marks=pytest.mark.compiler),
        {"NUMBA_DISABLE_JIT": "1"},
    ],
    ids=["avx2", "no compiler"],
)
def test_elsewhere(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", _PROGRAM],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.peers
@pytest.mark.parametrize("causal", [False, True])
def test_as_exact_as_pytorch(causal: bool) -> None:
    import torch

    q, k, v, g = (drawn((2, 3, 200, 48), "f4", seed) for seed in range(4))
    leaf = [torch.from_numpy(x).requires_grad_() for x in (q, k, v)]
    y = torch.nn.functional.scaled_dot_product_attention(*leaf, is_causal=causal)
    y.backward(torch.from_numpy(g))
    theirs = [y.detach().numpy(), *(x.grad.numpy() for x in leaf)]
    meant_y, saved = derived.forward(*map(exact, (q, k, v)), True, True, is_causal=causal)
    meant = [meant_y, *derived.backward(exact(g), saved, is_causal=causal)[:3]]
    y, saved = kernel.forward(q, k, v, True, True, is_causal=causal)
    ours = [y, *kernel.backward(g, saved, is_causal=causal)[:3]]
    for a, b, m in zip(ours, theirs, meant, strict=True):
        assert np.abs(a - m).max() < 2 * np.abs(b - m).max() + 1e-7
