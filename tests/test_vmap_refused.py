"""Where `vmap` cannot compute all examples at once: control flow, random numbers, changes in place.
It calls the function for each example, and nothing has happened before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from vmap_twice import assert_both_ways, assert_same, at_once, loop, normal

import tinynet as tn
from tinynet import nn
from tinynet.errors import ShapeError
from tinynet.func import functional_call, grad, vmap


def by_loop(function: Callable[[], Any]) -> Any:
    """What vmap gives is what a loop gives, and a loop is what was run."""
    with at_once() as runs:
        found = function()
    assert runs
    assert not any(runs)
    with loop():
        assert_same(found, function())
    return found


def test_control_flow_on_values() -> None:
    x = tn.tensor([1.0, -2.0, 3.0], dtype=tn.float64)

    def collatz(v: Any) -> Any:
        return v * v if v > 0 else -v

    assert by_loop(lambda: vmap(collatz)(x)).tolist() == [1, 2, 9]
    by_loop(lambda: vmap(grad(collatz))(x))
    by_loop(lambda: vmap(lambda v: v * int(v))(x))
    by_loop(lambda: vmap(lambda v: v * v.item())(x))
    by_loop(lambda: vmap(lambda v: tn.tensor(np.asarray(v.numpy()) * 2))(x))
    y = tn.tensor([[1.0, 5.0], [7.0, 6.0]])
    by_loop(lambda: vmap(lambda r: r[r > r.mean()])(y))
    by_loop(lambda: vmap(lambda r: r[int(r.argmax()) :][:1])(y))
    # where all examples agree, one answer does
    assert_both_ways(lambda: vmap(collatz)(x.abs()))
    assert_both_ways(lambda: vmap(lambda v: v * float((v < 9).sum()))(x))
    with pytest.raises(ShapeError, match="different shapes"):
        vmap(lambda r: r[r > 0])(tn.tensor([[1.0, 1.0], [1.0, -1.0]]))


def test_a_refusal_that_the_function_catches() -> None:
    def careful(v: Any) -> Any:
        try:
            return v * 2 if v > 0 else v
        except Exception:
            return v * 0

    assert by_loop(lambda: vmap(careful)(tn.tensor([1.0, -1.0]))).tolist() == [2, -1]


@pytest.mark.parametrize("own", [True, False])
def test_random_numbers_are_drawn_for_each_example(own: bool) -> None:
    x = normal(3, 4)
    source = tn.Generator().manual_seed(0) if own else None

    def noisy(v: Any) -> Any:
        y = v * 2
        return nn.functional.dropout(y, 0.5, generator=source) + tn.randn(4, generator=source)

    results = []
    for way in (loop(), at_once()):
        (source or tn.random.default_generator()).manual_seed(3)
        with way:
            results.append(vmap(noisy)(x))
        results.append(tn.rand(2, generator=source))  # and the stream goes on from the same place
    assert_same(results[2:], results[:2])
    assert (results[0][0] / x[0]).tolist() != (results[0][1] / x[1]).tolist()


def test_changes_in_place() -> None:
    x = normal(3, 2)
    results = []
    for way in (loop(), at_once()):
        total, count, log = tn.zeros(2, dtype=tn.float64), tn.tensor(0), tn.zeros(4)
        array, y = np.zeros(2), x.clone()
        with way as runs:
            first = vmap(lambda v: total.add_(v) * 1)(x)  # noqa: B023
            vmap(lambda v: count.add_(1) * v)(x)  # noqa: B023
            vmap(lambda v: log.__setitem__(int(count) % 4, 2.0) or v)(x)  # noqa: B023
            vmap(lambda v: np.add(array, v, out=array) is None or v)(x)  # noqa: B023
            vmap(lambda v: v.mul_(2))(y)
        assert not any(runs or [])
        results.append([first, total, count, log, tn.tensor(array), y])
    assert_same(results[1], results[0])
    assert results[0][2].item() == 3

    def running(v: Any) -> Any:  # memory of its own may be written to
        y = tn.zeros_like(v)
        y[0] = v[1]
        y[1:] = v[0] * 2
        z = v.clone()
        z[1] = 3.0
        z.mul_(2)
        return y + z

    assert_both_ways(lambda: vmap(running)(x))

    W = normal(2, 2)

    def residual(v: Any) -> Any:  # and so may what was just computed
        y = v[None] @ W + 1.0
        y += v
        y[0, 1] = 3.0
        return y[0]

    assert_both_ways(lambda: vmap(residual)(x))
    assert_both_ways(lambda: vmap(grad(lambda v: residual(v).exp().sum()))(x))

    def aliased(v: Any) -> Any:
        y = tn.zeros_like(v)
        part = y[:1]
        y[0] = v[1]
        return part + 1

    assert_both_ways(lambda: vmap(aliased)(x), fast=False)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(2))
        self.register_buffer("seen", tn.tensor(0.0))

    def forward(self, x: Any) -> Any:
        y = x * self.weight
        self.seen.add_(1)
        return y.sum()


def test_buffers_gradients_and_leaves_of_the_outside() -> None:
    x, model = normal(3, 2), Counting()
    by_loop(lambda: vmap(model)(x))
    assert model.seen.item() == 6  # three for each way, none for the attempt
    assert model.weight._node is None

    def backward(v: Any) -> Any:
        (v * model.weight).sum().backward()
        return v

    vmap(backward)(x)
    np.testing.assert_allclose(model.weight.grad.numpy(), x.sum(0).numpy())
    model.weight.grad = None
    vmap(lambda v: (model.weight.sum().backward(), v)[1])(x)  # not of an example, and yet for each
    assert model.weight.grad.tolist() == [3, 3]
    w = model.weight
    by_loop(lambda: vmap(lambda v: tn.autograd.grad((v * w).sum() ** 2, w)[0])(x))

    def leaf(v: Any) -> Any:
        own = tn.ones(2, dtype=tn.float64, requires_grad=True)
        (own * own * v).sum().backward()
        return own.grad

    by_loop(lambda: vmap(leaf)(x))

    for change in (lambda v: setattr(w, "data", v), lambda v: setattr(w, "grad", v)):
        by_loop(lambda change=change: vmap(lambda v: v if change(v) else v * 1)(x))
        assert w.grad is None or isinstance(w.grad.array, np.ndarray)
        assert isinstance(w.array, np.ndarray)
    w.grad, before = tn.ones(2, dtype=tn.float64), w.detach().clone()
    step = tn.optim.SGD([w], lr=1.0).step
    vmap(lambda v: v if step() else v * 1)(x)
    assert_same(w.detach(), before - 3)

    def leaf_of_a_batch(v: Any) -> Any:
        own = v.clone().requires_grad_()
        (own * own).sum().backward()
        return own.grad

    assert_both_ways(lambda: vmap(leaf_of_a_batch)(x))


def test_functional_call_leaves_the_model_as_it_was() -> None:
    model, x = Counting(), normal(3, 2)
    given = {"weight": normal(3, 2), "seen": normal(3)}
    before = model.weight.detach().clone()
    by_loop(lambda: vmap(lambda p, v: functional_call(model, p, v))(given, x))
    assert_same(model.weight.detach(), before)
    assert model.seen.item() == 0


class Cube(tn.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grads[0] * 3 * x**2


def test_rules_of_the_user() -> None:
    x, w = normal(3, 2), normal(2).requires_grad_()
    assert_both_ways(lambda: vmap(grad(lambda v: Cube.apply(v * w.detach()).sum()))(x))

    def through() -> Any:
        y = vmap(lambda v: Cube.apply(v * w).sum())(x)
        return tn.autograd.grad(y, w, tn.tensor([1.0, 2.0, 3.0], dtype=tn.float64))

    by_loop(through)  # its backward may ask for values, when no loop can be taken any more
    by_loop(lambda: vmap(lambda v: tn.utils.checkpoint.checkpoint(lambda u: (u * w).exp(), v))(x))


def test_a_rule_that_asks_for_values() -> None:
    """The gradient of det takes another way where some determinant is 0."""
    x = normal(3, 3, 3)
    x[1] = 1.0

    def run() -> Any:
        own = x.clone().requires_grad_()
        y = vmap(lambda u: tn.det(u) ** 2 + u.sum() * tn.det(u))(own)
        return tn.autograd.grad(y, own, tn.tensor([1.0, 2.0, 3.0], dtype=tn.float64))

    found = assert_both_ways(run, fast=True)
    assert np.isfinite(found[0].numpy()).all()
