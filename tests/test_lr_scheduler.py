"""Schedules: PyTorch's rates, closed forms, rates changed by hand, resuming, mistakes."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import optim
from tinynet.errors import ArgumentError
from tinynet.optim import lr_scheduler as ours

Make = Callable[[Any, Any], Any]  # (module, optimizer) -> schedule


class Decay:
    """A function with something to save."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, t: int) -> float:
        return self.rate**t


def one(name: str, *args: Any, **options: Any) -> Any:
    text = ",".join([*map(repr, args), *(f"{k}={v!r}" for k, v in options.items())])
    return pytest.param(
        lambda module, optimizer: getattr(module, name)(optimizer, *args, **options),
        id=re.sub(r"<\w+[^>]*> at 0x\w+>|<.*?object at 0x\w+>", "f", f"{name}({text})"),
    )


def sequential(module: Any, o: Any) -> Any:
    parts = [
        module.LinearLR(o, 0.1, total_iters=4),
        module.CosineAnnealingLR(o, 8),
        module.StepLR(o, 2),
        module.CosineAnnealingWarmRestarts(o, 3, 2),
        module.LambdaLR(o, lambda t: 1 / (1 + t)),
    ]
    return module.SequentialLR(o, parts, milestones=[4, 9, 13, 17])


def chained(module: Any, o: Any) -> Any:
    parts = [
        module.ConstantLR(o, 0.1, 3),
        module.ExponentialLR(o, 0.9),
        module.MultiStepLR(o, [5, 5, 8]),
        module.PolynomialLR(o, 20),
    ]
    return module.ChainedScheduler(parts)


def chain_inside(module: Any, o: Any) -> Any:
    inner = module.ChainedScheduler([module.StepLR(o, 3), module.ConstantLR(o, 0.5, 2)])
    return module.ChainedScheduler([inner, module.ExponentialLR(o, 0.9)], optimizer=o)


CLOSED = [
    one("StepLR", 3),
    one("StepLR", step_size=1, gamma=0.5),
    one("MultiStepLR", [2, 5, 5, 9]),
    one("MultiStepLR", milestones=[0, 3], gamma=2.0),
    one("ExponentialLR", 0.9),
    one("ExponentialLR", gamma=1.1),
    one("ConstantLR"),
    one("ConstantLR", factor=0.25, total_iters=7),
    one("ConstantLR", factor=1.0, total_iters=0),
    one("LinearLR"),
    one("LinearLR", start_factor=1.0, end_factor=0.0, total_iters=6),
    one("LinearLR", start_factor=0.01, end_factor=0.5, total_iters=1),
    one("PolynomialLR"),
    one("PolynomialLR", total_iters=9, power=2.5),
    one("PolynomialLR", total_iters=9, power=0.0),
    one("CosineAnnealingLR", 10),
    one("CosineAnnealingLR", T_max=5, eta_min=0.01),
    one("CosineAnnealingLR", T_max=1),
    one("LambdaLR", lambda t: 0.5 ** (t // 3)),
]
OTHER = [
    one("CosineAnnealingWarmRestarts", 4),
    one("CosineAnnealingWarmRestarts", T_0=2, T_mult=3, eta_min=0.01),
    one("LambdaLR", [Decay(0.9), lambda t: 1.0 / (1 + t)]),
    one("MultiplicativeLR", lambda t: 0.95),
    one("MultiplicativeLR", lr_lambda=[Decay(0.99), lambda t: 1.0]),
    one("OneCycleLR", 0.5, total_steps=30),
    one("OneCycleLR", max_lr=[0.5, 0.1], epochs=5, steps_per_epoch=6, anneal_strategy="linear"),
    one("OneCycleLR", 0.5, total_steps=31, three_phase=True, pct_start=0.4),
    one("OneCycleLR", 0.5, 30, three_phase=True, anneal_strategy="linear", cycle_momentum=False),
    one("OneCycleLR", 0.5, 30, pct_start=0.0, div_factor=10.0, final_div_factor=2.0),
    one("OneCycleLR", 0.5, 40, pct_start=1.0, base_momentum=0.5, max_momentum=[0.9, 0.8]),
]
COMBINED = [
    pytest.param(sequential, id="SequentialLR"),
    pytest.param(chained, id="ChainedScheduler"),
    pytest.param(chain_inside, id="ChainedScheduler inside"),
]
every = pytest.mark.parametrize("make", [*CLOSED, *OTHER, *COMBINED])


def optimizer_of(lib: Any, module: Any, kind: str = "SGD") -> Any:
    groups = [
        {"params": [lib.ones(2, requires_grad=True)]},
        {"params": [lib.ones(1, requires_grad=True)], "lr": 0.03},
    ]
    made = getattr(module, kind)(groups, lr=0.1, **({"momentum": 0.5} if kind == "SGD" else {}))
    made.step()
    return made


def here(kind: str = "SGD") -> Any:
    return optimizer_of(tn, optim, kind)


def shown(optimizer: Any) -> list[tuple[float, ...]]:
    return [
        (float(g["lr"]), *g["betas"]) if "betas" in g else (float(g["lr"]), float(g["momentum"]))
        for g in optimizer.param_groups
    ]


def curve(optimizer: Any, scheduler: Any, steps: int, hand: tuple[int, ...] = ()) -> Any:
    """What the groups hold after each step; at the steps in `hand` someone halves a rate."""
    rows = [shown(optimizer)]
    for t in range(steps):
        if t in hand:
            optimizer.param_groups[0]["lr"] *= 0.5
        optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        rows.append(shown(optimizer))
    return np.array(rows)


# -- against PyTorch -------------------------------------------------------------------------------


@pytest.mark.peers
@every
@pytest.mark.parametrize("hand", [(), (3, 11)])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_peer_30_steps(make: Make, hand: tuple[int, ...], kind: str) -> None:
    torch = pytest.importorskip("torch")
    mine, peer = here(kind), optimizer_of(torch, torch.optim, kind)
    a = curve(mine, make(ours, mine), 30, hand)
    b = curve(peer, make(torch.optim.lr_scheduler, peer), 30, hand)
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-17)


@pytest.mark.peers
@pytest.mark.parametrize("make", [*CLOSED, *OTHER])
@pytest.mark.parametrize("last", [0, 2, 4])
def test_peer_resumed_by_last_epoch(make: Any, last: int) -> None:
    torch = pytest.importorskip("torch")

    def resumed(optimizer: Any, module: Any) -> Any:
        make(module, optimizer)  # puts initial_lr, max_lr and so on into the groups

        class Late:
            def __getattr__(self, name: str) -> Any:
                return lambda *a, **k: getattr(module, name)(*a, **k, last_epoch=last)

        return curve(optimizer, make(Late(), optimizer), 8)

    mine, peer = here(), optimizer_of(torch, torch.optim)
    a, b = resumed(mine, ours), resumed(peer, torch.optim.lr_scheduler)
    if isinstance(make(ours, here()), ours.CosineAnnealingWarmRestarts):
        whole = curve(o := here(), make(ours, o), last + 9)[last + 1 :]
        np.testing.assert_allclose(a, whole, rtol=1e-12)  # PyTorch's is right in few cases
    else:
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-17)


@pytest.mark.peers
@every
def test_peer_states_are_exchanged(make: Make) -> None:
    """Ours in the middle becomes PyTorch's, and the other way round."""
    torch = pytest.importorskip("torch")
    theirs = torch.optim.lr_scheduler
    mine, peer = here(), optimizer_of(torch, torch.optim)
    a, b = make(ours, mine), make(theirs, peer)
    curve(mine, a, 6)
    curve(peer, b, 6)
    new_a, new_b = make(ours, here()), make(theirs, optimizer_of(torch, torch.optim))
    assert set(a.state_dict()) <= set(b.state_dict()) | {"_is_initial"}
    assert set(b.state_dict()) <= set(a.state_dict()) | {"_get_lr_called_within_step"}
    for new, saved, source in ((new_a, b, peer), (new_b, a, mine)):
        new.load_state_dict(saved.state_dict())
        for group, old in zip(new.optimizer.param_groups, source.param_groups, strict=True):
            group.update({k: v for k, v in old.items() if k != "params"})
    b = curve(peer, b, 12)
    np.testing.assert_allclose(curve(new_a.optimizer, new_a, 12), b, rtol=1e-12, atol=1e-17)
    np.testing.assert_allclose(curve(new_b.optimizer, new_b, 12), b, rtol=1e-12, atol=1e-17)


METRICS = [5.0, 4, 4, 4, 3.9999, 3.999, 4, math.nan, 4, 4, 2, 3, 3, 3, 3, 3, math.inf, 0, -1, -1, 0]


@pytest.mark.peers
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 0, "cooldown": 2, "factor": 0.5},
        {"patience": 0, "threshold": 0.5, "min_lr": 0.02},
        {"patience": 1, "min_lr": [0.05, 0.001], "eps": 0.01},
    ],
)
def test_peer_plateau(mode: str, threshold_mode: str, options: Any) -> None:
    torch = pytest.importorskip("torch")
    rates: list[Any] = []
    for lib, module in ((tn, optim), (torch, torch.optim)):
        optimizer = optimizer_of(lib, module)
        scheduler = module.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, threshold_mode=threshold_mode, **options
        )
        rates.append([])
        for metric in METRICS:
            scheduler.step(metric)
            rates[-1].append([*shown(optimizer), scheduler.num_bad_epochs, scheduler.best])
    assert repr(rates[0]) == repr(rates[1])


@pytest.mark.peers
@given(
    total=st.integers(2, 40),
    pct=st.floats(0, 1),
    three=st.booleans(),
    strategy=st.sampled_from(["cos", "linear"]),
    final=st.floats(0.5, 1e5),
)
def test_peer_one_cycle(total: int, pct: float, three: bool, strategy: str, final: float) -> None:
    torch = pytest.importorskip("torch")
    options: dict[str, Any] = {"anneal_strategy": strategy, "three_phase": three}
    options |= {"pct_start": pct, "final_div_factor": final}
    mine, peer = here(), optimizer_of(torch, torch.optim)
    a = curve(mine, ours.OneCycleLR(mine, 0.5, total, **options), total)
    theirs = torch.optim.lr_scheduler.OneCycleLR
    try:
        b = curve(peer, theirs(peer, 0.5, total, **options), total)
    except ZeroDivisionError:
        assert np.isfinite(a).all()  # a phase of no length
    else:
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.peers
@given(
    T_0=st.integers(1, 9),
    T_mult=st.sampled_from([1, 2, 4]),
    epochs=st.lists(st.floats(0, 100), min_size=1, max_size=5),
)
def test_peer_warm_restarts_at_any_epoch(T_0: int, T_mult: int, epochs: list[float]) -> None:
    torch = pytest.importorskip("torch")
    rows: list[Any] = []
    for lib, module in ((tn, optim), (torch, torch.optim)):
        optimizer = optimizer_of(lib, module)
        scheduler = module.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult)
        rows.append([])
        for epoch in epochs:
            scheduler.step(epoch)
            rows[-1].append(shown(optimizer))
            scheduler.step()
            rows[-1].append(shown(optimizer))
    np.testing.assert_allclose(*rows, rtol=1e-9, atol=1e-15)


# -- by themselves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", CLOSED)
def test_the_chaining_form_is_the_closed_form(make: Make) -> None:
    optimizer = here()
    scheduler = make(ours, optimizer)
    for _ in range(25):
        closed = scheduler._get_closed_form_lr()
        if closed is None:  # LambdaLR is a closed form
            closed = [lr * scheduler.lr_lambdas[0](scheduler.last_epoch) for lr in (0.1, 0.03)]
        np.testing.assert_allclose(scheduler.get_last_lr(), closed, rtol=1e-9, atol=1e-16)
        optimizer.step()
        scheduler.step()


@given(
    total=st.integers(1, 30),
    start=st.floats(0.01, 1),
    end=st.floats(0, 1),
    power=st.floats(0, 4),
    low=st.floats(0, 0.5),
)
def test_ramps_meet_their_ends(
    total: int, start: float, end: float, power: float, low: float
) -> None:
    line = ours.preview(lambda o: ours.LinearLR(o, start, end, total), total + 3)
    np.testing.assert_allclose(line[: total + 1], np.linspace(start, end, total + 1), atol=1e-12)
    np.testing.assert_allclose(line[total:], end, atol=1e-12)
    t = np.arange(total + 1)
    poly = ours.preview(lambda o: ours.PolynomialLR(o, total, power), total + 1)
    np.testing.assert_allclose(poly, (1 - t / total) ** power, atol=1e-12)
    wave = ours.preview(lambda o: ours.CosineAnnealingLR(o, total, low), 3 * total + 1)
    t = np.arange(3 * total + 1)
    np.testing.assert_allclose(wave, low + (1 - low) * (1 + np.cos(np.pi * t / total)) / 2, 1e-6)


@given(T_0=st.integers(1, 6), T_mult=st.integers(1, 4), steps=st.integers(1, 60))
def test_warm_restarts_by_step_and_by_epoch_agree(T_0: int, T_mult: int, steps: int) -> None:
    rates = ours.preview(lambda o: ours.CosineAnnealingWarmRestarts(o, T_0, T_mult), steps + 1)
    optimizer = here()
    scheduler = ours.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult)
    scheduler.step(steps)
    np.testing.assert_allclose(optimizer.param_groups[0]["lr"], 0.1 * rates[-1], rtol=1e-12)
    group = {"params": [tn.ones(1, requires_grad=True)], "initial_lr": 1.0}
    late = optim.SGD([group], lr=1.0)
    ours.CosineAnnealingWarmRestarts(late, T_0, T_mult, last_epoch=steps - 1)
    np.testing.assert_allclose(late.param_groups[0]["lr"], rates[-1], rtol=1e-12)


def test_a_restart_is_not_late() -> None:
    """Cycles of 1, 3, 9, 27, 81 steps end at 121: log₃ 243 is 4.999… in floating point."""
    optimizer = here()
    scheduler = ours.CosineAnnealingWarmRestarts(optimizer, 1, 3)
    scheduler.step(121)
    assert (scheduler.T_cur, scheduler.T_i) == (0, 243)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_one_cycle_has_a_peak_and_a_foot() -> None:
    for three in (False, True):
        make = lambda o, three=three: ours.OneCycleLR(  # noqa: E731
            o, 1.0, 100, pct_start=0.3, three_phase=three
        )
        rates = ours.preview(make, 100)
        assert math.isclose(rates[0], 1 / 25)
        assert int(np.argmax(rates)) == 29
        assert math.isclose(max(rates), 1.0)
        assert math.isclose(rates[-1], 1 / 25 / 1e4)
        assert (np.diff(rates[:30]) > 0).all()
        assert (np.diff(rates[29:]) < 0).all()


def test_momentum_runs_against_the_rate() -> None:
    optimizer = here("Adam")
    scheduler = ours.OneCycleLR(optimizer, 1.0, 20)
    rows = curve(optimizer, scheduler, 19)
    rate, beta1, beta2 = rows[:, 0].T
    assert (np.sign(np.diff(rate[:-1])) == -np.sign(np.diff(beta1[:-1]))).all()
    assert math.isclose(beta1.min(), 0.85)
    assert math.isclose(beta1.max(), 0.95)
    assert (beta2 == 0.999).all()


def test_a_phase_of_no_length() -> None:
    rates = ours.preview(lambda o: ours.OneCycleLR(o, 1.0, 10, pct_start=0.1), 10)
    assert rates[0] == 1.0
    assert (np.diff(rates) < 0).all()


def test_combined_schedules_inside_a_sequence() -> None:
    """A chain that begins later, and one that begins, are what they are alone."""

    def chain(o: Any) -> Any:
        return ours.ChainedScheduler([ours.ExponentialLR(o, 0.5), ours.ConstantLR(o, 0.1, 2)])

    def sequence(o: Any) -> Any:
        return ours.SequentialLR(o, [ours.ConstantLR(o, 0.5, 9), ours.StepLR(o, 1)], [2])

    for inner in (chain, sequence):
        alone = ours.preview(inner, 4)

        def later(o: Any, inner: Any = inner) -> Any:
            return ours.SequentialLR(o, [ours.ConstantLR(o, 1.0, 9), inner(o)], [3])

        def first(o: Any, inner: Any = inner) -> Any:
            return ours.SequentialLR(o, [inner(o), ours.ConstantLR(o, 1.0, 9)], [4])

        np.testing.assert_allclose(ours.preview(later, 7), [1.0] * 3 + alone)
        np.testing.assert_allclose(ours.preview(first, 6)[:4], alone)


@every
def test_saved_in_the_middle(make: Make, tmp_path: Path) -> None:
    optimizer = here()
    scheduler = make(ours, optimizer)
    curve(optimizer, scheduler, 5, hand=(2,))
    kept = {"optimizer": optimizer.state_dict(), "schedule": scheduler.state_dict()}
    tn.save(kept, tmp_path / "state")
    b = curve(optimizer, scheduler, 9)
    loaded = tn.load(tmp_path / "state")
    again = here()
    resumed = make(ours, again)
    again.load_state_dict(loaded["optimizer"])
    resumed.load_state_dict(loaded["schedule"])
    np.testing.assert_array_equal(curve(again, resumed, 9), b)


def test_plateau_goes_round() -> None:
    optimizer = here()
    scheduler = ours.ReduceLROnPlateau(optimizer, patience=1)
    for metric in (1.0, 2.0, 2.0):
        scheduler.step(tn.tensor(metric))
    assert optimizer.param_groups[0]["lr"] == 0.1 * 0.1
    again = here()
    resumed = ours.ReduceLROnPlateau(again)
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.patience == 1
    assert resumed.best == 1.0
    assert not resumed.in_cooldown


def test_a_group_that_is_added_later() -> None:
    optimizer = here()
    one_for_all, each = (
        ours.ReduceLROnPlateau(optimizer, patience=0, min_lr=low) for low in (0.0, [0.0, 0.0])
    )
    optimizer.add_param_group({"params": [tn.ones(1, requires_grad=True)], "lr": 1.0})
    for _ in range(2):
        one_for_all.step(1.0)
    assert optimizer.param_groups[2]["lr"] == 0.1
    each.step(1.0)
    with pytest.raises(ArgumentError, match="no min_lr"):
        each.step(1.0)


def test_stepping_before_the_optimizer_warns() -> None:
    optimizer = optim.SGD([tn.ones(1, requires_grad=True)], lr=0.1)
    scheduler = ours.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="before the optimizer"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()  # said once
        optimizer.step()
        ours.StepLR(optimizer, 2).step()
