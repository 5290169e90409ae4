"""Each proof: definition, forward and derived backward agree, with independent formulas too."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proof_cases import classes, normal
from proofs import CASES, PROOFS, peers
from properties import Drawn

import tinynet as tn
from tinynet import func
from tinynet.check.samples import sample
from tinynet.derivations import (
    adam,
    bce,
    cross_entropy,
    linear,
    mse,
    perceptron,
    sgd,
    softmax,
)
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from tinynet.op import Derivation


def real(inputs: Any) -> list[int]:
    return [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]


def run(proof: Any, inputs: Any, options: Any) -> tuple[Any, Any]:
    y, saved = proof.op.run(inputs, {**proof.op.defaults, **options})
    return np.asarray(y), saved


def central(f: Callable[[Any], Any], x: Any, cotangent: Any, h: float = 1e-5) -> Any:
    """d(cotangent · f)/dx, two evaluations per entry."""
    g = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        moved = []
        for sign in (1, -1):
            at = x.copy()
            at[i] += sign * h
            moved.append(np.asarray(f(at)))
        g[i] = np.sum(cotangent * (moved[0] - moved[1])) / (2 * h)
    return g


@pytest.mark.parametrize(("proof", "inputs", "options"), CASES)
def test_forward_is_the_definition(proof: Any, inputs: Any, options: Any) -> None:
    y, _ = run(proof, inputs, options)
    meant = np.asarray(proof.definition(*inputs, **options))
    assert y.shape == meant.shape
    assert y.dtype == meant.dtype
    np.testing.assert_allclose(y, meant, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("proof", "inputs", "options"), CASES)
def test_backward_is_the_derivative(proof: Any, inputs: Any, options: Any) -> None:
    y, saved = run(proof, inputs, options)
    g = np.asarray(np.random.default_rng(1).standard_normal(y.shape))
    found = proof.backward(g, saved, **options)
    assert len(found) == len(inputs)
    for i in range(len(inputs)):
        if i not in real(inputs):
            assert found[i] is None
            continue

        def of_one(x: Any, i: int = i) -> Any:
            return proof.definition(*inputs[:i], x, *inputs[i + 1 :], **options)

        assert found[i].shape == inputs[i].shape
        np.testing.assert_allclose(found[i], central(of_one, inputs[i], g), rtol=1e-6, atol=1e-8)


def _tensors(inputs: Any) -> list[Any]:
    return [tn.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]


def _grads(y: Any, own: list[Any], g: Any, create_graph: bool) -> list[Any]:
    return list(tn.autograd.grad(y, own, g, create_graph=create_graph, allow_unused=True))


@pytest.mark.parametrize(("proof", "inputs", "options"), CASES)
def test_the_definitions_own_gradient_is_the_derived_one(
    proof: Any, inputs: Any, options: Any
) -> None:
    args = _tensors(inputs)
    own = [args[i] for i in real(inputs)]
    y = proof.op(*args, **options)
    g = tn.tensor(np.asarray(np.random.default_rng(2).standard_normal(y.shape)))
    derived = _grads(y, own, g, create_graph=False)
    by_graph = _grads(proof.op(*args, **options), own, g, create_graph=True)
    plain = [tn.tensor(x) if x.dtype.kind != "f" else a for x, a in zip(inputs, args, strict=True)]
    by_definition = _grads(proof.definition(*plain, **options), own, g, create_graph=False)
    for a, b, c in zip(derived, by_graph, by_definition, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(a.numpy(), c.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("proof", "inputs", "options"), CASES)
def test_second_order(proof: Any, inputs: Any, options: Any) -> None:
    """The derivative of (derived gradient · direction) against differences of the gradient."""
    y, _ = run(proof, inputs, options)
    g = tn.tensor(np.asarray(np.random.default_rng(3).standard_normal(y.shape)))
    for i in real(inputs):
        v = np.asarray(np.random.default_rng(4).standard_normal(inputs[i].shape))

        def value(x: Any, i: int = i) -> Any:
            args = [tn.tensor(a) for a in inputs]
            args[i] = x
            return (proof.op(*args, **options) * g).sum()

        x = tn.tensor(inputs[i])
        _, found = func.hvp(value, x, tn.tensor(v))
        gradient = func.grad(value)
        h = 1e-5
        ahead = gradient(tn.tensor(inputs[i] + h * v)).numpy()
        behind = gradient(tn.tensor(inputs[i] - h * v)).numpy()
        np.testing.assert_allclose(found.numpy(), (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("proof", "inputs", "options"), CASES)
def test_dtypes_stay(proof: Any, inputs: Any, options: Any, dtype: Any) -> None:
    cast = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
    args = _tensors(cast)
    y = proof.op(*args, **options)
    assert y.dtype == dtype
    g = np.ones(y.shape, dtype)
    before = [x.copy() for x in cast]
    y.backward(tn.tensor(g))
    for x, a, old in zip(cast, args, before, strict=True):
        np.testing.assert_array_equal(x, old)  # nothing was changed on the way
        if x.dtype.kind == "f":
            assert a.grad.dtype == dtype


@pytest.mark.parametrize("proof", PROOFS, ids=lambda m: m.op.name)
@given(data=st.data())
def test_definition_and_derivation_agree(proof: Any, data: st.DataObject) -> None:
    """Values and gradients, over all shapes and options; and the backward pass is linear in g."""
    draw = Drawn(data)
    inputs, options = sample(proof.op, draw)
    y, saved = run(proof, inputs, options)
    meant = np.asarray(proof.definition(*inputs, **options))
    assert (y.shape, y.dtype) == (meant.shape, meant.dtype)
    _within(y, meant)
    g, h = (np.asarray(draw.rng.standard_normal(y.shape)) for _ in range(2))
    options = {**proof.op.defaults, **options}
    derived = proof.backward(g, saved, **options)
    args = _tensors(inputs)
    own = [args[i] for i in real(inputs)]
    if own:
        by_definition = _grads(proof.definition(*args, **options), own, tn.tensor(g), False)
        for i, expected in zip(real(inputs), by_definition, strict=True):
            missing = np.zeros_like(inputs[i]) if expected is None else expected.numpy()
            _within(missing if derived[i] is None else derived[i], missing)
    twice = proof.backward(h, saved, **options)
    for a, b, both in zip(
        derived, twice, proof.backward(2 * g - 3 * h, saved, **options), strict=True
    ):
        if a is not None:
            _within(both, 2 * a - 3 * b)


def _within(found: Any, expected: Any) -> None:
    """Equal but for 1e-10 of the largest value."""
    largest = float(np.max(np.abs(expected), initial=1, where=np.isfinite(expected)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * largest)


@given(
    scores=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8),
    shift=st.floats(-1e3, 1e3),
)
def test_softmax_is_a_distribution_that_ignores_a_shift(scores: list[float], shift: float) -> None:
    x = np.array(scores)
    y = softmax.definition(x)
    assert (y >= 0).all()
    assert math.isclose(float(np.sum(y)), 1, rel_tol=1e-12)
    np.testing.assert_allclose(softmax.definition(x + shift), y, rtol=1e-9, atol=1e-12)
    (dx,) = softmax.backward(np.ones_like(x), (y, x))
    np.testing.assert_allclose(dx, 0, atol=1e-12)  # the sum of the outputs never moves


def test_cross_entropy_in_scalar_arithmetic() -> None:
    x, t = normal(5, 4), classes(4, 5)
    losses = [
        -math.log(math.exp(row[c]) / math.fsum(math.exp(v) for v in row))
        for row, c in zip(x.tolist(), t.tolist(), strict=True)
    ]
    y, _ = cross_entropy.forward(x, t)
    assert math.isclose(float(y), math.fsum(losses) / 5, rel_tol=1e-13)


def test_the_extremes_stay_finite() -> None:
    x, t = np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([1, 1])
    y, saved = cross_entropy.forward(x, t, reduction="none")
    np.testing.assert_allclose(y, [2e4, 0])
    assert np.isfinite(cross_entropy.backward(np.ones(2), saved, reduction="none")[0]).all()
    y, saved = bce.forward(np.array([1e4, -1e4]), np.array([0.0, 1.0]), reduction="none")
    np.testing.assert_allclose(y, [1e4, 1e4])
    np.testing.assert_allclose(bce.backward(np.ones(2), saved, reduction="none")[0], [1, -1])


def test_the_mean_of_nothing_is_nan() -> None:
    for y in (
        cross_entropy.forward(normal(0, 3), classes(3, 0))[0],
        cross_entropy.forward(normal(2, 3), np.array([-100, -100]))[0],
        mse.forward(normal(0), normal(0))[0],
        bce.forward(normal(0), normal(0))[0],
    ):
        assert math.isnan(float(y))


@pytest.mark.parametrize("target", [np.array([0, 3]), np.array([-1, 0])])
def test_a_class_that_there_is_not(target: Any) -> None:
    with pytest.raises(OutOfRangeError, match=r"cross_entropy: there is no class (3|-1)\n.*0 … 2"):
        cross_entropy.op(tn.tensor(normal(2, 3)), tn.tensor(target))


def test_wrong_inputs_are_named() -> None:
    two = tn.tensor(normal(2, 3))
    with pytest.raises(ShapeError, match="cross_entropy: the sizes do not fit"):
        cross_entropy.op(two, tn.tensor([0, 1, 2]))
    with pytest.raises(DTypeError, match="whole numbers"):
        cross_entropy.op(two, tn.tensor([0.0, 1.0]))
    with pytest.raises(ShapeError, match=r"linear: .*\n.*W \(out, in\)"):
        linear.op(two, tn.tensor(normal(4, 2)))
    with pytest.raises(ShapeError, match="linear"):
        linear.op(two, tn.tensor(normal(4, 3)), tn.tensor(normal(3)))
    with pytest.raises(ShapeError, match=r"one shape(.|\n)*\(3, 1\) float64, \(3,\) float64"):
        mse.op(tn.tensor(normal(3, 1)), tn.tensor(normal(3)))
    with pytest.raises(ShapeError, match="bce"):
        bce.op(tn.tensor(normal(3, 1)), tn.tensor(normal(3)))
    with pytest.raises(ArgumentError, match="'none', 'mean' or 'sum'"):
        mse.op(two, two, reduction="average")


def test_only_the_gradients_that_are_needed() -> None:
    x, W, b = normal(4, 3), normal(2, 3), normal(2)
    _, saved = linear.forward(x, W, b)
    dx, dW, db = linear.backward(normal(4, 2), saved, needs=(False, True, False))
    assert dx is None
    assert db is None
    assert dW.shape == W.shape


# -- the rules of the house --------------------------------------------------------------------


def _uses(function: Any, seen: dict[int, Any]) -> list[Any]:
    """Every value that a function reads from its module, through the helpers that it calls."""
    module = inspect.getmodule(function)
    local = set(inspect.signature(function).parameters)
    tree = ast.parse(inspect.getsource(function))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
    body = tree.body[0].body  # the annotations in the signature are not what runs
    loads = {n.id for part in body for n in ast.walk(part) if isinstance(n, ast.Name)}
    for name in loads - local - set(dir(builtins)):
        value = getattr(module, name)
        if id(value) not in seen:
            seen[id(value)] = value
            if inspect.isfunction(value) and value.__module__.startswith("tinynet.derivations."):
                _uses(value, seen)
    return list(seen.values())


def _is_helper(function: Any, proof: Any) -> bool:
    """Whether a function belongs to the proof, or to a file of derivations that proves nothing."""
    home = inspect.getmodule(function)
    return home is proof or (
        home.__name__.startswith("tinynet.derivations.") and not hasattr(home, "op")
    )


@pytest.mark.parametrize("proof", PROOFS, ids=lambda m: m.op.name)
def test_the_derived_pass_owes_nothing_to_the_definition(proof: Any) -> None:
    """It uses NumPy, math, helpers that use no more, and errors."""
    functions = [proof.backward, *([proof.forward] if hasattr(proof, "forward") else [])]
    for value in (value for function in functions for value in _uses(function, {})):
        assert value is not proof.definition
        if inspect.ismodule(value):
            assert value.__name__ in ("numpy", "math")
        elif inspect.isfunction(value):
            assert _is_helper(value, proof)
        elif inspect.isclass(value):
            assert issubclass(value, tn.errors.TinynetError)
        else:
            assert isinstance(value, int | float | str | tuple | dict)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda m: m.op.name)
def test_the_definition_owes_nothing_to_a_derivation(proof: Any) -> None:
    """It uses primitives: NumPy, math, the table of ops, and helpers that use no more."""
    for value in _uses(proof.definition, {}):
        assert not isinstance(value, Derivation)
        assert value is not proof.backward
        assert value is not getattr(proof, "forward", None)
        if inspect.isfunction(value) and not value.__module__.startswith("tinynet.ops."):
            assert _is_helper(value, proof)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d * 1.001,
        np.negative,
        np.zeros_like,
        lambda d: d + 1e-4,
        lambda d: np.roll(d, 1),
    ],
    ids=["scaled", "negated", "zero", "shifted", "rolled"],
)
@pytest.mark.parametrize("proof", PROOFS, ids=lambda m: m.op.name)
def test_a_wrong_backward_is_noticed(proof: Any, change: Any) -> None:
    """The comparison with differences must fail for a gradient that is spoilt a little."""
    chosen = [c.values for c in CASES if c.values[0] is proof and c.values[1][0].size > 3]
    _, inputs, options = chosen[0]

    class Spoilt:
        op, definition = proof.op, staticmethod(proof.definition)

        @staticmethod
        def backward(g: Any, saved: Any, **opts: Any) -> Any:
            return tuple(None if d is None else change(d) for d in proof.backward(g, saved, **opts))

    with pytest.raises(AssertionError):
        test_backward_is_the_derivative(Spoilt, inputs, options)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda m: m.op.name)
def test_each_proof_says_what_it_must(proof: Any) -> None:
    text = proof.__doc__
    assert "Derivation." in text
    assert "Shapes:" in text
    assert isinstance(proof.op, Derivation)
    assert proof.op.formula
    assert proof.op.__doc__
    assert proof.op.room == "derivations"


# -- rules that are not ops --------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), gap=st.floats(0.05, 1.0))
def test_the_perceptron_keeps_its_promise(seed: int, gap: float) -> None:
    source = np.random.default_rng(seed)
    u, shift = source.standard_normal(3), source.standard_normal()
    X = source.standard_normal((30, 3))
    side = X @ u + shift
    y = np.where(side > 0, 1, -1)
    X = X + gap * y[:, None] * u / np.linalg.norm(u)  # now the plane (u, shift) has this margin
    bound = perceptron.mistake_bound(X, y, u, float(shift))
    found = perceptron.fit(X, y, epochs=10_000)
    assert found.mistakes <= bound < math.inf
    assert found.converged
    assert (perceptron.predict(X, found.w, found.b) == y).all()


def test_the_perceptron_without_a_margin() -> None:
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([-1, 1, 1, -1])
    assert not perceptron.fit(X, y, epochs=50).converged
    assert perceptron.mistake_bound(X, y, np.array([1.0, 1.0]), -0.5) == math.inf
    assert perceptron.mistake_bound(X[:0], y[:0], np.array([1.0, 1.0]), 0.0) == 0
    with pytest.raises(ArgumentError, match="labels are"):
        perceptron.fit(X, np.array([0, 1, 1, 0]))
    with pytest.raises(ShapeError, match=r"X \(n, d\)"):
        perceptron.fit(X, y[:2])


def test_momentum_unrolled() -> None:
    """v_t = Σ_k μ^k g_(t−k), and the weights its running sum."""
    g = normal(6, 4)
    w, v, room = np.zeros(4), np.empty(4), np.empty(4)
    expected = np.zeros(4)
    for t in range(6):
        sgd.step(w, g[t], v, room, lr=0.1, momentum=0.7, first=t == 0)
        expected -= 0.1 * sum(0.7**k * g[t - k] for k in range(t + 1))
    np.testing.assert_allclose(w, expected)


def test_adam_by_the_book() -> None:
    """Algorithm 1 of the paper, weight by weight in scalar arithmetic, without the reordering."""
    g, (b1, b2), lr, eps = normal(20, 3), (0.9, 0.99), 0.03, 1e-3
    w, m, v, room = np.ones(3), np.zeros(3), np.zeros(3), np.empty(3)
    kept = g.copy()
    for t in range(20):
        adam.step(w, g[t], m, v, t + 1, room, lr=lr, betas=(b1, b2), eps=eps)
    np.testing.assert_array_equal(g, kept)
    for i in range(3):
        wi, mi, vi = 1.0, 0.0, 0.0
        for t in range(1, 21):
            gi = float(g[t - 1, i])
            mi = b1 * mi + (1 - b1) * gi
            vi = b2 * vi + (1 - b2) * gi * gi
            wi -= lr * (mi / (1 - b1**t)) / (math.sqrt(vi / (1 - b2**t)) + eps)
        assert math.isclose(wi, float(w[i]), rel_tol=1e-12)


def test_adam_does_not_see_the_scale_of_the_loss() -> None:
    ends = []
    for scale in (1.0, 1000.0):
        w, m, v, room = np.ones(3), np.zeros(3), np.zeros(3), np.empty(3)
        source = np.random.default_rng(6)
        for t in range(10):
            adam.step(w, scale * source.standard_normal(3), m, v, t + 1, room, eps=0.0)
        ends.append(w)
    np.testing.assert_allclose(*ends, rtol=1e-12)


# -- against PyTorch ---------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize(("proof", "inputs", "options"), CASES)
def test_peer(proof: Any, inputs: Any, options: Any) -> None:
    torch = pytest.importorskip("torch")
    if 0 in inputs[0].shape[-1:]:
        pytest.skip("PyTorch warns about empty weights")

    theirs = peers(torch)[proof.op.name]
    args = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    y = theirs(*args, **{k: torch.tensor(v) if k == "weight" else v for k, v in options.items()})
    mine = _tensors(inputs)
    z = proof.op(*mine, **options)
    np.testing.assert_allclose(z.detach().numpy(), y.detach().numpy(), rtol=1e-12, atol=1e-13)
    g = np.asarray(np.random.default_rng(7).standard_normal(z.shape))
    y.backward(torch.tensor(g))
    z.backward(tn.tensor(g))
    for i in real(inputs):
        np.testing.assert_allclose(
            mine[i].grad.numpy(), args[i].grad.numpy(), rtol=1e-11, atol=1e-13
        )
