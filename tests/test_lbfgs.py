"""LBFGS: PyTorch's numbers, the matrix that is never built, Wolfe's conditions, mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn, optim
from tinynet.derivations import lbfgs as rule
from tinynet.derivations.line_search import Point, cubic_minimum, strong_wolfe
from tinynet.errors import ArgumentError, ShapeError

A = np.random.default_rng(0).standard_normal((12, 6))
B = np.random.default_rng(1).standard_normal(12)


def rosenbrock(lib: Any, w: Any) -> Any:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def quadratic(lib: Any, w: Any) -> Any:
    r = lib.tensor(A.astype(str(w.dtype).rpartition(".")[2])) @ w
    r = r - lib.tensor(B.astype(str(w.dtype).rpartition(".")[2]))
    return (r * r).sum()


def logistic(lib: Any, w: Any) -> Any:
    kind = str(w.dtype).rpartition(".")[2]
    margin = (lib.tensor(A.astype(kind)) @ w) * lib.tensor(np.sign(B).astype(kind))
    return lib.log(1 + lib.exp(-margin)).sum() + 0.05 * (w * w).sum()


def start_of(problem: Any, dtype: Any) -> Any:
    return np.array([-1.2, 1.0], dtype) if problem is rosenbrock else np.ones(6, dtype)


class Run:
    """A problem, its weights and its optimizer, in one of the two libraries."""

    def __init__(self, lib: Any, problem: Any, dtype: Any, **options: Any) -> None:
        self.lib, self.problem = lib, problem
        self.w = lib.tensor(start_of(problem, dtype), requires_grad=True)
        self.optimizer = lib.optim.LBFGS([self.w], **options)
        self.values: list[float] = []

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        loss = self.problem(self.lib, self.w)
        loss.backward()
        self.values.append(float(loss.detach()))
        return loss

    def steps(self, count: int) -> Any:
        rows = []
        for _ in range(count):
            self.optimizer.step(self.closure)
            rows.append(self.w.detach().numpy().copy())
        return np.array(rows)


OPTIONS: list[dict[str, Any]] = [
    {"line_search_fn": "strong_wolfe", "max_iter": 4},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 6, "max_eval": 5, "lr": 0.5},
    {"line_search_fn": "strong_wolfe", "tolerance_grad": 0.1},
    {"line_search_fn": "strong_wolfe", "tolerance_change": 0.1, "max_iter": 5},
    {"lr": 0.1, "max_iter": 3},
    {"lr": 0.1, "max_iter": 3, "history_size": 1},
    {"lr": 0.05, "max_iter": 10, "max_eval": 4},
]
problems = pytest.mark.parametrize("problem", [rosenbrock, quadratic, logistic])


@pytest.mark.peers
@problems
@pytest.mark.parametrize("options", OPTIONS)
def test_peer_30_iterations(problem: Any, options: Any) -> None:
    torch = pytest.importorskip("torch")
    mine, peer = (Run(lib, problem, np.float64, **options) for lib in (tn, torch))
    count = max(1, 30 // options.get("max_iter", 20))
    a, b = mine.steps(count), peer.steps(count)
    # The same evaluations in the same order: every branch of the search was the same.
    np.testing.assert_allclose(mine.values, peer.values, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(a[0], b[0], rtol=1e-11, atol=1e-12)  # before rounding has grown
    for name in ("func_evals", "n_iter"):
        assert mine.optimizer.state[mine.w][name] == peer.optimizer.state[peer.w][name]


@pytest.mark.peers
@pytest.mark.parametrize("problem", [rosenbrock, quadratic])  # others enlarge rounding more
@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_peer_float32(problem: Any, line_search_fn: Any) -> None:
    torch = pytest.importorskip("torch")
    options = {"max_iter": 3, "lr": 0.1, "line_search_fn": line_search_fn}
    a, b = (Run(lib, problem, np.float32, **options).steps(1) for lib in (tn, torch))
    assert a.dtype == np.float32
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max())


@pytest.mark.peers
@pytest.mark.parametrize("options", OPTIONS[:2])
def test_peer_takes_over_in_the_middle(options: Any) -> None:
    torch = pytest.importorskip("torch")
    mine, peer = (Run(lib, rosenbrock, np.float64, **options) for lib in (tn, torch))
    peer.steps(3)

    def moved(tree: Any, kind: Any, to: Any) -> Any:
        if isinstance(tree, dict):
            return {k: moved(v, kind, to) for k, v in tree.items()}
        if isinstance(tree, list):
            return [moved(v, kind, to) for v in tree]
        return to(tree.detach().numpy().copy()) if isinstance(tree, kind) else tree

    mine.w.array[...] = peer.w.detach().numpy()
    mine.optimizer.load_state_dict(moved(peer.optimizer.state_dict(), torch.Tensor, tn.tensor))
    back = Run(torch, rosenbrock, np.float64, **options)
    with torch.no_grad():
        back.w.copy_(torch.tensor(mine.w.detach().numpy()))
    back.optimizer.load_state_dict(moved(mine.optimizer.state_dict(), tn.Tensor, torch.tensor))
    a, b, c = mine.steps(2), peer.steps(2), back.steps(2)
    np.testing.assert_allclose(a, b, rtol=1e-9)
    np.testing.assert_allclose(c, b, rtol=1e-9)
    names = set(peer.optimizer.state_dict()["state"][0]) - {"al"}  # room, not state
    assert set(mine.optimizer.state_dict()["state"][0]) == names


# -- by itself -------------------------------------------------------------------------------------


def test_rosenbrock_and_a_quadratic_in_few_steps() -> None:
    run = Run(tn, rosenbrock, np.float64, max_iter=60, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(run.steps(1)[0], [1, 1], rtol=1e-4)
    assert len(run.values) < 60  # gradient descent needs thousands
    run = Run(tn, quadratic, np.float64, max_iter=40, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(run.steps(1)[0], np.linalg.lstsq(A, B)[0], rtol=1e-4)
    assert len(run.values) < 30


@problems
def test_accepted_steps_meet_wolfes_conditions(problem: Any) -> None:
    run = Run(tn, problem, np.float64, max_iter=1, max_eval=25, line_search_fn="strong_wolfe")
    gradients = []
    for _ in range(12):
        before = run.w.detach().numpy().copy()
        value = float(run.closure())
        g = run.w.grad.numpy().copy()
        if np.abs(g).max() < 1e-4:
            break
        run.optimizer.step(run.closure)
        s = run.w.detach().numpy() - before
        after, g_after = float(run.closure()), run.w.grad.numpy()
        assert after <= value + 1e-4 * (g @ s) + 1e-12
        assert abs(g_after @ s) <= 0.9 * abs(g @ s) + 1e-12
        assert s @ (g_after - g) > 0
        gradients.append(np.abs(g).max())
    assert len(gradients) >= 5


@given(seed=st.integers(0, 10_000), n=st.integers(1, 5), k=st.integers(0, 6))
def test_two_loops_are_the_matrix(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    curvature = (lambda m: m @ m.T + np.eye(n))(rng.standard_normal((n, n)))
    steps = list(rng.standard_normal((k, n)))
    changes = [curvature @ s for s in steps]
    rhos = [1 / float(s @ y) for s, y in zip(steps, changes, strict=True)]
    H, eye = 0.7 * np.eye(n), np.eye(n)
    for s, y, rho in zip(steps, changes, rhos, strict=True):
        V = eye - rho * np.outer(y, s)
        H = V.T @ H @ V + rho * np.outer(s, s)
        np.testing.assert_allclose(H @ y, s, rtol=1e-6, atol=1e-9)  # the secant equation
        assert np.linalg.eigvalsh((H + H.T) / 2).min() > 0
    g = rng.standard_normal(n)
    np.testing.assert_allclose(
        rule.direction(g, steps, changes, rhos, 0.7), -H @ g, rtol=1e-6, atol=1e-9
    )


@given(
    low=st.floats(-3, 3),
    size=st.floats(0.1, 5),
    ends=st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)),
    bend=st.floats(-0.2, 0.2),
)
def test_the_minimum_of_a_cubic(
    low: float, size: float, ends: tuple[float, float], bend: float
) -> None:
    """φ(t) = size (t − low)² + bend (t − low)³ has its minimum at low."""

    def phi(t: float) -> Point:
        x = t - low
        slope = 2 * size * x + 3 * bend * x * x
        return Point(t, size * x * x + bend * x**3, slope)

    a, b = phi(low - ends[0]), phi(low + ends[1])
    steep = 2 * size + 6 * bend * min(-ends[0], ends[1], key=lambda x: bend * x)
    found = cubic_minimum(a, b)
    assert a.t <= found <= b.t
    if steep > 0.1:  # no second root between
        assert math.isclose(found, low, abs_tol=1e-6)
        assert math.isclose(cubic_minimum(b, a), low, abs_tol=1e-6)


def test_a_cubic_without_a_minimum() -> None:
    assert cubic_minimum(Point(0.0, 0.0, -1.0), Point(2.0, 0.0, math.nan)) == 1
    assert cubic_minimum(Point(0.0, 0.0, -1.0), Point(2.0, math.inf, 1.0)) == 1
    assert cubic_minimum(Point(1.0, 0.0, 0.0), Point(1.0, 0.0, 0.0)) == 1
    assert cubic_minimum(Point(0.0, 0.0, 0.0), Point(2.0, 0.0, 0.0)) == 1
    assert cubic_minimum(Point(0.0, 1.0, -2.0), Point(3.0, 4.0, 4.0), (1.5, 3.0)) == 1.5


LINES = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "flat far out": (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
    "steep then flat": (lambda t: math.exp(-t) + 0.01 * t, lambda t: 0.01 - math.exp(-t)),
    "waves": (lambda t: math.cos(3 * t) / 3 - 0.1 * t, lambda t: -math.sin(3 * t) - 0.1),
    "a wall": (
        lambda t: -math.log(2 - t) * 1e-3 + (t - 1.9) ** 2 if t < 2 else math.nan,
        lambda t: 1e-3 / (2 - t) + 2 * (t - 1.9) if t < 2 else math.nan,
    ),
}


@pytest.mark.parametrize("line", LINES)
@given(t=st.floats(0.01, 50))
def test_the_search_meets_the_conditions(line: str, t: float) -> None:
    value, slope = LINES[line]

    def phi(t: float) -> Point:
        return Point(t, value(t), slope(t))

    start = phi(0.0)
    found, used = strong_wolfe(phi, start, t, max_evaluations=60)
    assert used <= 61
    assert found.value <= start.value + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)


@pytest.mark.peers
@pytest.mark.parametrize("line", ["parabola", "flat far out", "steep then flat", "waves"])
@given(t=st.floats(0.01, 50))
def test_peer_the_same_step_is_found(line: str, t: float) -> None:
    torch = pytest.importorskip("torch")
    value, slope = LINES[line]
    ours, theirs = [], []

    def phi(t: float) -> Point:
        ours.append(t)
        return Point(t, value(t), np.float64(slope(t)))

    def objective(_: Any, t: Any, d: Any) -> Any:
        theirs.append(float(t))
        return value(float(t)), torch.tensor([slope(float(t))], dtype=torch.float64)

    found, used = strong_wolfe(phi, Point(0.0, value(0.0), np.float64(slope(0.0))), t)
    g = torch.tensor([slope(0.0)], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    _, _, t_peer, used_peer = pytest.importorskip("torch.optim.lbfgs")._strong_wolfe(
        objective, None, t, one, value(0.0), g, g.dot(one)
    )
    assert used == used_peer
    np.testing.assert_allclose(ours, theirs, rtol=1e-7)
    assert math.isclose(found.t, float(t_peer), rel_tol=1e-7)


def test_evaluations_run_out() -> None:
    line = lambda t: Point(t, -t, -1.0)  # noqa: E731  (no bottom)
    found, used = strong_wolfe(line, line(0.0), 1.0, max_evaluations=3)
    assert used == 4
    assert found.value < -100
    up = lambda t: Point(t, abs(t - 0.001), -1.0 if t < 0.001 else 1.0)  # noqa: E731
    found, used = strong_wolfe(up, up(0.0), 1.0, max_evaluations=0)
    assert (found.t, used) == (0, 1)


def test_several_parameters_and_one_without_a_gradient() -> None:
    tn.manual_seed(0)
    model, idle = nn.Linear(3, 2).double(), tn.ones(2, 2, dtype=tn.float64, requires_grad=True)
    x, t = tn.randn(20, 3, dtype=tn.float64), tn.randn(20, 2, dtype=tn.float64)
    optimizer = optim.LBFGS([*model.parameters(), idle], line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), t)
        loss.backward()
        return loss

    memory, version = model.weight.array, model.weight._version
    with tn.no_grad():
        first = optimizer.step(closure)
    assert model.weight.array is memory
    assert model.weight._version > version
    assert (idle.numpy() if not idle.requires_grad else idle.detach().numpy() == 1).all()
    inputs = np.column_stack([x.numpy(), np.ones(20)])
    best = np.linalg.lstsq(inputs, t.numpy())[0]
    assert float(closure()) < float(first)
    np.testing.assert_allclose(model.weight.detach().numpy(), best[:3].T, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS)
def test_saved_in_the_middle(options: Any, tmp_path: Path) -> None:
    run = Run(tn, logistic, np.float64, **options)
    run.steps(2)
    state, w = run.optimizer.state_dict(), run.w.detach().numpy().copy()
    tn.save(state, tmp_path / "state")
    on = run.steps(3)
    for saved in (state, tn.load(tmp_path / "state")):
        again = Run(tn, logistic, np.float64)
        again.w.array[...] = w
        again.optimizer.load_state_dict(saved)
        np.testing.assert_array_equal(again.steps(3), on)


def test_at_the_minimum_nothing_moves() -> None:
    w = tn.zeros(2, requires_grad=True)
    optimizer = optim.LBFGS([w])

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 0
    assert w.tolist() == [0, 0]
    assert optimizer.state[w] == {"func_evals": 1, "n_iter": 0}


def test_mistakes_are_named() -> None:
    w = tn.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match=r"several times in a step\n.*step\(closure\)"):
        optim.LBFGS([w]).step()
    with pytest.raises(ArgumentError, match="one parameter group"):
        optim.LBFGS([{"params": [w]}, {"params": [tn.ones(1, requires_grad=True)]}])
    with pytest.raises(ArgumentError, match="no such line search"):
        optim.LBFGS([w], line_search_fn="armijo")
    for name in ("max_iter", "max_eval", "history_size"):
        with pytest.raises(ArgumentError, match=f"{name} is at least 1"):
            optim.LBFGS([w], **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="tolerance_grad is not negative"):
        optim.LBFGS([w], tolerance_grad=-1)
    run = Run(tn, quadratic, np.float64)
    run.steps(1)
    with pytest.raises(ShapeError, match="old_dirs does not fit the parameters"):
        optim.LBFGS([w]).load_state_dict(run.optimizer.state_dict())
