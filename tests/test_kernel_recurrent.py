"""The kernels of rnn, lstm and gru: sizes at the borders of tiles, threads, padding, every rung."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels import laid

import tinynet as tn
from tinynet import derivations, kernels, nn
from tinynet.errors import ArgumentError, ShapeError
from tinynet.kernels import get_num_threads, gru, lstm, recurrent, rnn, set_num_threads
from tinynet.kernels.recurrent import KERNELS, strips, times
from tinynet.kernels.rnn import naive
from tinynet.kernels.strips import LOW
from tinynet.kernels.tile import tile_shape
from tinynet.nn.utils.rnn import pack_sequence

GATES = {"gru": 3, "lstm": 4, "rnn": 1}
CLOSE = {"float32": 1e-5, "float64": 1e-13}  # of the largest number of its kind
WIDE = tile_shape("float32")[1]


@pytest.fixture(autouse=True)
def threads_even_for_little_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = get_num_threads()
    monkeypatch.setattr(recurrent, "SMALL", 0)
    yield
    set_num_threads(before)


def drawn(
    name: str, T: int, N: int, inputs: int, H: int, *, biased: bool = True, seed: int = 0
) -> list[Any]:
    """Inputs in float64, of a size at which the states neither die nor explode."""
    rng, rows = np.random.default_rng((seed, T, N, inputs, H)), GATES[name] * H
    states = [(N, H)] * (2 if name == "lstm" else 1)
    shapes = [(T, N, inputs), *states, (rows, inputs), (rows, H), *([(rows,)] * 2 * biased)]
    wide = len(states) + 1
    return [
        rng.standard_normal(s) * (1 if k < wide else (inputs + H) ** -0.5)
        for k, s in enumerate(shapes)
    ]


def cotangent(name: str, T: int, N: int, H: int) -> Any:
    return np.random.default_rng(7).standard_normal((T, N, H * (1 + (name == "lstm"))))


def computed(by: Any, inputs: Any, g: Any, options: Any, needs: Any = None) -> list[Any]:
    """The output and all gradients, by a kernel or a derivation."""
    y, saved = by.forward(*inputs, **options)
    needs = (True,) * len(inputs) if needs is None else needs
    return [y, *by.backward(g, saved, needs=needs, **options)]


class Reference:
    """A derivation, with the face of a kernel."""

    def __init__(self, name: str) -> None:
        op = getattr(derivations, name).op
        self.forward, self.backward = op.fast_forward, op.backward


def kernel(name: str) -> Any:
    return KERNELS[name]


def assert_close(found: Any, meant: Any, dtype: str) -> None:
    assert len(found) == len(meant)
    for a, b in zip(found, meant, strict=True):
        assert (a.shape, a.dtype) == (b.shape, dtype)
        scale = np.max(np.abs(b), initial=1)
        np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE[dtype] * scale)


# -- all sizes, options and layouts ----------------------------------------------------------------


@st.composite
def cases(draw: Any) -> Any:
    name = draw(st.sampled_from(sorted(GATES)))
    T, N = draw(st.integers(1, 6)), draw(st.sampled_from((0, 1, 2, LOW - 1, LOW, LOW + 1, 11)))
    inputs = draw(st.sampled_from((0, 1, 2, WIDE // 2, WIDE + 1)))
    H = draw(st.sampled_from((1, 2, 3, WIDE // 4, WIDE // 2 - 1, WIDE // 2, WIDE, WIDE + 1)))
    options: dict[str, Any] = {"reverse": draw(st.booleans()), "lengths": None}
    if draw(st.booleans()):
        options["lengths"] = tuple(draw(st.lists(st.integers(0, T), min_size=N, max_size=N)))
    if name == "rnn":
        options["nonlinearity"] = draw(st.sampled_from(("tanh", "relu")))
    values = drawn(name, T, N, inputs, H, biased=draw(st.booleans()), seed=draw(st.integers(0, 9)))
    return name, values, cotangent(name, T, N, H), options


LAYOUTS = st.sampled_from(("rows", "columns", "sliced", "reversed", "read only", "between"))


def lying(x: Any, kind: str) -> Any:
    if kind == "between":  # addresses at which no number of this size should begin
        bytes_ = np.empty(x.nbytes + 1, np.uint8)
        bytes_[1:] = np.frombuffer(x.tobytes(), np.uint8)
        return bytes_[1:].view(x.dtype).reshape(x.shape)
    x = laid(x, "rows" if kind == "read only" else kind)
    if kind == "read only":
        x.flags.writeable = False
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=100)
@given(case=cases(), layouts=st.lists(LAYOUTS, min_size=8, max_size=8), threads=st.integers(1, 3))
def test_a_kernel_computes_what_the_derivation_does(
    dtype: str, case: Any, layouts: Any, threads: int
) -> None:
    name, values, g, options = case
    set_num_threads(threads)
    meant = computed(Reference(name), values, g, options)
    given_ = [lying(x.astype(dtype), kind) for x, kind in zip([g, *values], layouts, strict=False)]
    before = [x.copy() for x in given_]
    found = computed(kernel(name), given_[1:], given_[0], options)
    assert_close(found, meant, dtype)
    for x, old in zip(given_, before, strict=True):
        np.testing.assert_array_equal(x, old)
    for k, d in enumerate(found):  # nobody else holds them
        others = [*given_, *found[:k], *found[k + 1 :]]
        assert not any(np.may_share_memory(d, other) for other in others)


@pytest.mark.compiler
@pytest.mark.parametrize("name", GATES)
def test_long_wide_and_on_any_number_of_threads(name: str) -> None:
    """The same to the bit, but for the gradients of weights: each thread has sums of its own."""
    T, N, inputs, H = 60, 21, 24, 90
    values, g = drawn(name, T, N, inputs, H), cotangent(name, T, N, H)
    options = {"lengths": tuple(T - n for n in range(N)), "reverse": False}
    given_ = [x.astype("f4") for x in values]
    results = []
    for threads in (1, 2, 3, 3):
        set_num_threads(threads)
        results.append(computed(kernel(name), given_, g.astype("f4"), options))
    meant, states = computed(Reference(name), values, g, options), 2 + (name == "lstm")
    for found in results:
        assert_close(found, meant, "float32")
        for a, b in zip(results[0][: 1 + states], found[: 1 + states], strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(*results[-2:], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", GATES)
def test_what_is_saved_outlives_other_calls_and_serves_twice(name: str) -> None:
    one, two = drawn(name, 5, 6, 3, 9), drawn(name, 7, 9, 4, 12, seed=1)
    g = cotangent(name, 5, 6, 9)
    y, saved = kernel(name).forward(*one)
    first = kernel(name).backward(g, saved, needs=(True,) * len(one))
    kept = [np.copy(v) for v in (y, *first)]
    computed(kernel(name), two, cotangent(name, 7, 9, 12), {})
    again = kernel(name).backward(g, saved, needs=(True,) * len(one))
    for a, b, c in zip((y, *first), (y, *again), kept, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, c)


@pytest.mark.parametrize("name", GATES)
def test_only_what_is_needed(name: str) -> None:
    values, g = drawn(name, 4, 5, 3, 8), cotangent(name, 4, 5, 8)
    _, *every = computed(kernel(name), values, g, {})
    states = range(1, 3 if name == "lstm" else 2)  # come for nothing
    for one in range(len(values)):
        needs = tuple(k == one for k in range(len(values)))
        _, *found = computed(kernel(name), values, g, {}, needs)
        np.testing.assert_allclose(found[one], every[one], rtol=1e-12, atol=1e-12)
        others = [d for k, d in enumerate(found) if k not in (one, *states)]
        assert all(d is None for d in others)


@pytest.mark.parametrize("name", GATES)
def test_python_threads_at_once(name: str) -> None:
    set_num_threads(2)
    tasks = [(drawn(name, 9, N, 5, 17, seed=N), cotangent(name, 9, N, 17)) for N in (8, 13, 20)]
    meant = [computed(kernel(name), *task, {}) for task in tasks]
    wrong: list[Any] = []

    def run(k: int) -> None:
        for _ in range(10):
            found = computed(kernel(name), *tasks[k], {})
            same = [np.array_equal(a, b) for a, b in zip(found, meant[k], strict=True)]
            wrong.extend(s for s in same if not s)

    workers = [threading.Thread(target=run, args=(k,)) for k in range(len(tasks))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


# -- NaN, infinities, padding ----------------------------------------------------------------------


@pytest.mark.parametrize("name", GATES)
def test_nan_in_the_padding_changes_nothing(name: str) -> None:
    values, g = drawn(name, 5, 4, 3, 6), cotangent(name, 5, 4, 6)
    for reverse in (False, True):
        options = {"lengths": (5, 0, 2, 3), "reverse": reverse}
        clean = computed(kernel(name), values, g, options)
        spoilt = [x.copy() for x in values]
        for n, length in enumerate(options["lengths"]):  # type: ignore[arg-type]
            spoilt[0][length:, n] = np.nan
        for a, b in zip(computed(kernel(name), spoilt, g, options), clean, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["gru", "lstm", "rnn", "relu"])
def test_what_is_not_finite_goes_where_the_reference_lets_it(name: str, bad: float) -> None:
    """Into its own sequence, from its step on; and into the gradients of all weights."""
    options = {"nonlinearity": "relu"} if name == "relu" else {}
    name = "rnn" if name == "relu" else name
    values, g = drawn(name, 5, 6, 3, 6), cotangent(name, 5, 6, 6)
    values[0][2, 1, 0] = bad
    with np.errstate(invalid="ignore"):
        meant = computed(Reference(name), values, g, options)
        found = computed(kernel(name), values, g, options)
    for a, b in zip(found, meant, strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_array_equal(np.isinf(a), np.isinf(b))
        finite = np.isfinite(b)
        np.testing.assert_allclose(a[finite], b[finite], rtol=1e-10, atol=1e-10)


# -- the rungs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, LOW, LOW + 1, 2 * LOW - 1])
@pytest.mark.parametrize("k", [1, 5, 64])
@pytest.mark.parametrize("halves", [0, 1, 2, 3])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_times_is_the_product(dtype: str, count: int, k: int, halves: int, more: int) -> None:
    """Of whole strips and half ones, a column more or less; of four rows at a time, and two."""
    rng, n = np.random.default_rng(0), max(1, halves * tile_shape(dtype)[1] // 2 + more)
    a, b = rng.standard_normal((count, k)), rng.standard_normal((k, n))
    rows = np.zeros((count + count % 2, k), dtype)
    rows[:count] = a
    W = strips(b.astype(dtype))
    c = np.full((len(rows) + 1, W.shape[0] * W.shape[2]), np.nan, dtype)
    times(rows, W, c[:-1], n)
    np.testing.assert_allclose(c[:count, :n], a @ b, rtol=0, atol=CLOSE[dtype] * 10)
    assert not np.any(c[count:-1, :n])
    assert np.all(np.isnan(c[-1]))


STEPS = [rnn.step, rnn.step_back, lstm.step, lstm.step_back, gru.step, gru.step_back]


@pytest.mark.compiler
@pytest.mark.parametrize("step", STEPS, ids=lambda f: f"{f.__module__[16:]}.{f.__name__}")
def test_a_step_in_float32_computes_nothing_in_float64(step: Any) -> None:
    """One whole number in a formula is enough for it, and costs half of the time."""
    import numba

    row = numba.types.Array(numba.float32, 1, "C")
    names = inspect.signature(step).parameters
    kinds = tuple(numba.int64 if name == "relu" else row for name in names)
    anew = numba.njit(error_model="numpy")(step.py_func)  # from disk it would show no code
    anew.compile(kinds)
    assert "double" not in anew.inspect_llvm(kinds)


def test_every_rung_is_the_same_layer() -> None:
    """Number by number, with a product for each step, and fused."""
    for T, N, inputs, H in ((1, 1, 1, 1), (4, 3, 2, 5), (3, LOW + 1, 0, 18)):
        x, h0, W_ih, W_hh, *b = drawn("rnn", T, N, inputs, H)
        y = np.empty((T, N, H))
        naive(x, h0, W_ih, W_hh, b[0] + b[1], y)
        for rung in (Reference("rnn"), kernel("rnn")):
            found, _ = rung.forward(x, h0, W_ih, W_hh, *b)
            np.testing.assert_allclose(found, y, rtol=0, atol=1e-13)


_WITHOUT = """
import sys
sys.path.insert(0, "tests")
import test_kernel_recurrent as tests
tests.test_every_rung_is_the_same_layer()
for name in tests.GATES:
    tests.test_nan_in_the_padding_changes_nothing(name)
    tests.test_only_what_is_needed(name)
"""


def test_without_a_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", _WITHOUT],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# -- the ops and the layers ------------------------------------------------------------------------


@pytest.mark.parametrize("name", GATES)
def test_what_does_not_fit_is_left_to_the_reference(name: str) -> None:
    op = getattr(derivations, name).op
    values = [tn.tensor(x) for x in drawn(name, 3, 2, 3, 4)]
    empty = tn.tensor(np.zeros((0, 2, 3)))
    short = tn.tensor(np.zeros((3, 2, 2)))
    with kernels.use("compiled"):
        for wrong in (empty, short):
            with pytest.raises(ShapeError):
                op(wrong, *values[1:])
        with pytest.raises(ShapeError):
            op(*values[:-1])
        for lengths in ((1,), (4, 1), (-1, 1)):
            with pytest.raises(ShapeError):
                op(*values, lengths=lengths)
        if name == "rnn":
            with pytest.raises(ArgumentError):
                op(*values, nonlinearity="gelu")


@pytest.mark.parametrize("name", GATES)
def test_one_step_is_left_to_the_reference(name: str) -> None:
    op = getattr(derivations, name).op
    with kernels.use("compiled"):
        made = [op(*map(tn.tensor, drawn(name, T, 2, 3, 4))) for T in (1, 2)]
    assert [y.shape[0] for y in made] == [1, 2]
    served = [kernel(name).serves(*drawn(name, T, 2, 3, 4)) for T in (1, 2)]
    assert served == [False, True]


def test_a_projected_lstm_is_left_to_the_reference() -> None:
    with kernels.use("compiled"):
        y, _ = nn.LSTM(3, 4, proj_size=2)(tn.ones(5, 2, 3))
        z, _ = nn.LSTM(3, 4)(tn.ones(5, 2, 3))
    assert [t._node.edges[0].by is None for t in (y, z)] == [True, False]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("made", [nn.RNN, nn.GRU, nn.LSTM])
def test_layers_and_directions(made: Any, packed: bool) -> None:
    layer = made(3, 5, num_layers=2, bidirectional=True, batch_first=True, dtype=tn.float64)
    rng, found = np.random.default_rng(0), []
    if packed:
        steps = [tn.tensor(rng.standard_normal((n, 3)), requires_grad=True) for n in (2, 4, 1)]
    else:
        steps = [tn.tensor(rng.standard_normal((3, 4, 3)), requires_grad=True)]
    for mode in ("reference", "compiled"):
        with kernels.use(mode):
            x = pack_sequence(steps, enforce_sorted=False) if packed else steps[0]
            output, last = layer(x)
            output = output.data if packed else output
            outputs = [output, *(last if isinstance(last, tuple) else (last,))]
            weights = [
                tn.tensor(np.random.default_rng(1).standard_normal(y.shape)) for y in outputs
            ]
            wanted = [*steps, *layer.parameters()]
            found.append([*outputs, *tn.autograd.grad(outputs, wanted, weights)])
    for a, b in zip(*found, strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1, np.abs(b).max()))
