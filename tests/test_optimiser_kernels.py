"""The kernels of optimizers' steps: what the derivations do, in one pass, and nothing else."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import kernels, optim
from tinynet.derivations import adam as adam_rule
from tinynet.derivations import sgd as sgd_rule
from tinynet.kernels import choice, optimisers

TOLERANCE = {"float32": 3e-6, "float64": 1e-14}
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])

ADAM = [
    {"lr": lr, "betas": betas, "eps": eps, "weight_decay": decay, "decoupled": decoupled,
     "maximize": maximize}
    for (lr, betas, eps), decay, decoupled, maximize in itertools.product(
        [(0.1, (0.9, 0.999), 1e-8), (1, (0.0, 0.5), 0.01), (0.0, (0.5, 0.0), 0)],
        [0.0, 0.3], [False, True], [False, True])
]  # fmt: skip
SGD = [
    {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": decay,
     "nesterov": nesterov, "maximize": maximize}
    for lr, (momentum, dampening, nesterov), decay, maximize in itertools.product(
        [0.1, 1],
        [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.5, False), (0.5, 0.0, True)],
        [0.0, 0.3], [False, True])
]  # fmt: skip


def drawn(shape: Any, dtype: str, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_close(found: Any, meant: Any) -> None:
    """Equal to rounding; NaN and infinities where the other has them."""
    assert found.dtype == meant.dtype
    finite = np.abs(meant[np.isfinite(meant)]).max(initial=1)
    np.testing.assert_allclose(found, meant, rtol=0, atol=TOLERANCE[found.dtype.name] * finite)


def assert_adam_agrees(w: Any, gs: Any, **options: Any) -> None:
    """Several steps by the kernel and by the derivation, from the same start."""
    a, b = ([w.copy(), np.zeros_like(w), np.zeros_like(w)] for _ in range(2))
    for t, g in enumerate(gs, 1):
        before, scratch = g.copy(), np.full_like(w, 7)
        optimisers.adam(a[0], g, a[1], a[2], t, scratch, **options)
        np.testing.assert_array_equal(g, before)
        assert (scratch == 7).all()
        adam_rule.step(b[0], g, b[1], b[2], t, scratch, **options)
        for x, y in zip(a, b, strict=True):
            assert_close(x, y)


def assert_sgd_agrees(w: Any, gs: Any, **options: Any) -> None:
    """The same; what a velocity holds before the first step is never read."""
    a, b = ([w.copy(), np.full_like(w, np.nan)] for _ in range(2))
    for t, g in enumerate(gs):
        before, scratch = g.copy(), np.full_like(w, 7)
        optimisers.descent(a[0], g, a[1], scratch, first=t == 0, **options)
        np.testing.assert_array_equal(g, before)
        assert (scratch == 7).all()
        sgd_rule.step(b[0], g, b[1], scratch, first=t == 0, **options)
        for x, y in zip(a, b, strict=True):
            assert_close(x, y)


@dtypes
def test_all_options_over_several_steps(dtype: str) -> None:
    w, gs = drawn((5, 7), dtype), drawn((4, 5, 7), dtype, 1)
    for options in ADAM:
        assert_adam_agrees(w, gs, **options)
    for options in SGD:
        assert_sgd_agrees(w, gs, **options)


@dtypes
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (37,), (2, 3, 5)])
def test_any_shape(shape: Any, dtype: str) -> None:
    assert_adam_agrees(drawn(shape, dtype), drawn((2, *shape), dtype, 1), weight_decay=0.1)
    assert_sgd_agrees(drawn(shape, dtype), drawn((2, *shape), dtype, 1), lr=0.1, momentum=0.9)


def test_gradients_that_lie_in_memory_in_any_way() -> None:
    w, g = drawn((6, 4), "float32"), drawn((6, 8), "float32", 1)
    fixed = g[:, :4].copy()
    fixed.flags.writeable = False
    row = np.broadcast_to(g[0, :4], (6, 4))
    for each in (g[:, ::2], g[::-1, :4], np.asfortranarray(g[:, :4]), fixed, row):
        assert_adam_agrees(w, [each, each])
        assert_sgd_agrees(w, [each, each], lr=0.1, momentum=0.9)


def test_nan_and_infinities_stay_where_they_are() -> None:
    w, g = drawn((8,), "float32"), drawn((8,), "float32", 1)
    w[:3], g[2:6] = (np.inf, np.nan, -np.inf), (np.inf, -np.inf, np.nan, 1e30)
    with np.errstate(all="ignore"):
        assert_adam_agrees(w, [g, g])
        assert_adam_agrees(w, [g, g], weight_decay=0.1, decoupled=True)
        assert_sgd_agrees(w, [g, g], lr=0.1, momentum=0.9)


@pytest.mark.parametrize("extra", [-1, 0, 1, optimisers.PIECE])
def test_large_arrays_are_cut_into_pieces(extra: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(optimisers, "LARGE", 2 * optimisers.PIECE)
    n = 2 * optimisers.PIECE + extra
    w, gs = drawn((n,), "float32"), drawn((2, n), "float32", 1)
    assert_adam_agrees(w, gs)
    assert_sgd_agrees(w, gs, lr=0.1, momentum=0.9, nesterov=True)


# -- what the optimizers do with them --------------------------------------------------------------

OPTIMIZERS: list[tuple[Any, dict[str, Any], str]] = [
    (optim.SGD, {"lr": 0.1}, "sgd"),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, "sgd"),
    (optim.Adam, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}, "adam"),
    (optim.AdamW, {"lr": 0.1}, "adam"),
]


def trained(make: Any, options: Any, mode: str, dtype: str, order: str = "C") -> list[Any]:
    """Three parameters after five steps, one of them without a gradient."""
    with kernels.use(mode):
        params = [tn.tensor(drawn(s, dtype, i)) for i, s in enumerate([(40, 30), (30,), (9, 9)])]
        for p in params:
            p.array = np.array(p.array, order=order)
            p.requires_grad_()
        optimizer = make(params, **options)
        for t in range(5):
            for i, p in enumerate(params[:2]):
                p.grad = tn.tensor(drawn(p.shape, dtype, 10 * t + i))
            optimizer.step()
        state = [s for p in params[:2] for s in optimizer.state[p].values()]
    return [p.detach().numpy() for p in params] + [
        s.numpy() for s in state if not isinstance(s, int)
    ]


@dtypes
@pytest.mark.parametrize(("make", "options", "name"), OPTIMIZERS)
def test_optimizers_take_the_same_steps(
    make: Any, options: Any, name: str, dtype: str, monkeypatch: Any
) -> None:
    calls: list[int] = []
    step = optimisers.STEPS[name]

    def counted(w: Any, *arguments: Any, **more: Any) -> None:
        calls.append(w.size)
        step(w, *arguments, **more)

    monkeypatch.setitem(optimisers.STEPS, name, counted)
    meant = trained(make, options, "reference", dtype)
    assert calls == []
    for found, wanted in zip(trained(make, options, "compiled", dtype), meant, strict=True):
        assert_close(found, wanted)
    assert calls == [1200, 30] * 5
    calls.clear()
    small = trained(make, options, "auto", dtype)  # 1,311 numbers: not worth a compiler
    assert calls == []
    np.testing.assert_array_equal(small[0], meant[0])
    monkeypatch.setattr(choice, "LEAST_OF_A_STEP", 1000)
    trained(make, options, "auto", dtype)
    assert calls == ([1200, 30] * 5 if choice.has_compiler() else [])
    calls.clear()
    for found, wanted in zip(
        trained(make, options, "compiled", dtype, "F"), meant, strict=True
    ):  # what lies by columns is left to the derivation; vectors lie both ways
        assert_close(found, wanted)
    assert calls == [30] * 5


def test_what_the_kernels_leave_to_the_derivation() -> None:
    w = np.zeros((4, 3), np.float32)
    g = np.zeros_like(w)
    with kernels.use("compiled"):
        assert choice.find_step("adam", g, (w, w, w), 0) is optimisers.adam
        assert choice.find_step("adam", g.astype("f8"), (w, w, w), 0) is None
        assert choice.find_step("adam", g, (w.astype("f8"), w, w), 0) is None
        assert choice.find_step("adam", g.astype("f2"), (w.astype("f2"),) * 3, 0) is None
        assert choice.find_step("sgd", g, (w[:, ::2],), 0) is None
        fixed = w.copy()
        fixed.flags.writeable = False
        assert choice.find_step("sgd", g, (fixed,), 0) is None  # and NumPy says why it cannot
    with kernels.use("reference"):
        assert choice.find_step("adam", g, (w, w, w), 10**6) is None


def test_amsgrad_is_the_derivations() -> None:
    """It keeps a third array, which the kernel does not know."""
    runs = []
    for mode in ("reference", "compiled"):
        p = tn.tensor(drawn((30,), "float64"), requires_grad=True)
        optimizer = optim.Adam([p], lr=0.1, amsgrad=True)
        with kernels.use(mode):
            for t in range(4):
                p.grad = tn.tensor(drawn((30,), "float64", t) * 10.0**-t)
                optimizer.step()
        runs.append(p.detach().numpy())
    np.testing.assert_array_equal(*runs)


def test_a_compiled_step_takes_options_of_any_number_type() -> None:
    """What is compiled first must not fix lr to be an int."""
    for lr in (1, 0.5, np.float32(0.5), np.float64(0.5)):
        assert_adam_agrees(drawn((4,), "float64"), drawn((2, 4), "float64", 1), lr=lr, eps=1)
        assert_sgd_agrees(
            drawn((4,), "float64"), drawn((2, 4), "float64", 1), lr=lr, momentum=lr / 2
        )


def test_a_gpu_has_steps_of_its_own(cupy: Any) -> None:
    pytest.importorskip("cuda_on_cpu")
    from tinynet.kernels.cuda import optimisers as on_gpu

    def trained(kind: Any, device: str, mode: str) -> Any:
        p = tn.tensor(drawn((6, 5), "float32"), device=device, requires_grad=True)
        optimizer = kind([p])
        with kernels.use(mode):
            for _ in range(3):
                optimizer.zero_grad()
                (p * p * p).sum().backward()
                optimizer.step()
        return p.detach().cpu().numpy()

    for kind in (lambda p: optim.Adam(p, lr=0.1), lambda p: optim.SGD(p, lr=0.1, momentum=0.9)):
        assert_close(trained(kind, "cuda", "compiled"), trained(kind, "cpu", "reference"))
    w = tn.zeros(4, 3, device="cuda").array
    with kernels.use("compiled"):
        assert choice.find_step("adam", w, (w, w, w), 0) is on_gpu.adam
        assert choice.find_step("sgd", w, (w,), 0) is on_gpu.descent
