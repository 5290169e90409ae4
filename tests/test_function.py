"""The learner's own ops: `autograd.Function` and `custom_op`, right uses and every mistake."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import func, nn
from tinynet.autograd import Function
from tinynet.errors import DTypeError, GraphError, InPlaceError, RuleError


def leaf(*values: float) -> tn.Tensor:
    return tn.tensor(list(values), dtype=tn.float64, requires_grad=True)


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (y,) = ctx.saved_tensors
        return grad_outputs[0] * y


class Product(Function):
    """Two inputs and an option that is not a Tensor."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, scale: float) -> Any:
        ctx.save_for_backward(x, y)
        ctx.scale = scale
        return x * y * scale

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, y = ctx.saved_tensors
        g = grad_outputs[0] * ctx.scale
        dx = g * y if ctx.needs_input_grad[0] else None
        return dx, g * x if ctx.needs_input_grad[1] else None, None


class Polar(Function):
    """Two outputs, each of both inputs."""

    @staticmethod
    def forward(ctx: Any, r: Any, t: Any) -> Any:
        ctx.save_for_backward(r, t)
        return r * t.cos(), r * t.sin()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (r, t), (gx, gy) = ctx.saved_tensors, grad_outputs
        return gx * t.cos() + gy * t.sin(), r * (gy * t.cos() - gx * t.sin())


class Largest(Function):
    """A value, and its position, which has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.at, ctx.n = int(x.argmax()), x.shape[0]
        at = tn.tensor(float(ctx.at))
        ctx.mark_non_differentiable(at)
        return x[ctx.at], at

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        assert not grad_outputs[1].numpy().any()
        d = tn.zeros(ctx.n, dtype=grad_outputs[0].dtype)
        d[ctx.at] = grad_outputs[0]
        return d


# -- right uses --------------------------------------------------------------------------------


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=4))
def test_every_order_of_a_saved_output(values: list[float]) -> None:
    x = leaf(*values)
    y = Exp.apply(x)
    assert y.grad_fn.name == "ExpBackward"
    for _ in range(3):
        np.testing.assert_allclose(y.detach().numpy(), np.exp(values), rtol=1e-13)
        (y,) = tn.autograd.grad(y.sum(), x, create_graph=True)


def test_several_inputs_and_what_needs_a_gradient() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    Product.apply(x, y, 10.0).sum().backward()
    assert x.grad.tolist() == [30, 40]
    assert y.grad.tolist() == [10, 20]
    seen: list[Any] = []

    class Look(Product):
        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return Product.backward(ctx, *grad_outputs)

    Look.apply(x, y.detach(), 1.0).sum().backward()
    Look.apply(x.detach(), y, 1.0).sum().backward()
    assert seen == [(True, False, False), (False, True, False)]
    assert not Product.apply(x.detach(), y.detach(), 1.0).requires_grad
    with tn.no_grad():
        assert not Product.apply(x, y, 1.0).requires_grad


def test_several_outputs_in_every_combination() -> None:
    def ours(r: Any, t: Any) -> Any:
        a, b = Polar.apply(r, t)
        return (a * a * b + b).sum()

    def plain(r: Any, t: Any) -> Any:
        a, b = r * t.cos(), r * t.sin()
        return (a * a * b + b).sum()

    r, t = leaf(1.5, 0.5), leaf(0.3, -1.0)
    for order in (
        lambda f: func.grad(f, (0, 1)),
        lambda f: func.hessian(f, 0),
        lambda f: func.hessian(f, 1),
        lambda f: func.jacfwd(func.grad(f, 1), 0),
    ):
        pair = r.detach(), t.detach()
        for a, b in zip(order(ours)(*pair), order(plain)(*pair), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
    a, b = Polar.apply(r, t)
    (da,) = tn.autograd.grad(a.sum(), r, retain_graph=True)  # the other output is not used
    np.testing.assert_allclose(da.numpy(), np.cos(t.detach().numpy()))
    (db,) = tn.autograd.grad(b.sum(), r)
    np.testing.assert_allclose(db.numpy(), np.sin(t.detach().numpy()))


def test_unused_outputs_are_zeros_or_none() -> None:
    seen: list[Any] = []

    class Pair(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, materialize: bool) -> Any:
            ctx.set_materialize_grads(materialize)
            return x * 1, x.sum()

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            seen.append(grad_outputs[1])
            return grad_outputs[0], None

    for materialize in (True, False):
        Pair.apply(leaf(1.0, 2.0), materialize)[0].sum().backward()
    assert seen[0].item() == 0
    assert seen[1] is None


def test_what_is_marked_has_no_gradient() -> None:
    x = leaf(1.0, 5.0, 2.0)
    value, at = Largest.apply(x)
    assert not at.requires_grad
    (value * 3).backward()
    assert x.grad.tolist() == [0, 3, 0]


def test_setup_context() -> None:
    class Square(Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * x

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 2 * x * grad_outputs[0]

    x = leaf(3.0)
    Square.apply(x).sum().backward()
    assert x.grad.item() == 6


def test_an_input_that_comes_back() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x, None)
            return x

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            assert ctx.saved_tensors[1] is None
            return grad_outputs[0] * 2

    x = leaf(1.0)
    y = Same.apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.item() == 2


def test_gradients_are_owned_and_of_the_inputs_dtype() -> None:
    kept = tn.tensor([7.0, 7.0], dtype=tn.float64)

    class Constant(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x + y

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            return kept, kept

    x, y = tn.ones(2, requires_grad=True), leaf(1.0, 1.0)
    Constant.apply(x, y).sum().backward()
    assert x.grad.dtype == tn.float32
    y.grad.zero_()
    assert kept.tolist() == [7, 7]
    assert x.grad.tolist() == [7, 7]


def test_nothing_is_kept_alive() -> None:
    """No cycles: values go when the last name for them goes, without the garbage collector."""
    gc.disable()
    try:
        x = leaf(1.0)
        a, b = Polar.apply(x, x)
        y = Exp.apply(a)
        gone = [weakref.ref(v) for v in (a, b, y, y.grad_fn, a.grad_fn)]
        del a, b, y
        assert [ref() for ref in gone] == [None] * 5
    finally:
        gc.enable()


def test_a_graph_serves_once_unless_kept() -> None:
    x = leaf(1.0)
    y = Exp.apply(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.e)
    a, b = Polar.apply(x, x)
    (a + b).sum().backward()
    with pytest.raises(GraphError, match=r"freed .*PolarBackward"):
        a.sum().backward()


# -- mistakes ----------------------------------------------------------------------------------


def test_saved_values_are_watched() -> None:
    for function, which in ((Exp, "output"), (Product, "input")):
        x = leaf(1.0) * 1
        y = function.apply(x) if function is Exp else function.apply(x, x, 1.0)
        z = y * 1
        (y if which == "output" else x).add_(1)
        with pytest.raises(InPlaceError, match=f"{function.__name__} saved .*changed in place"):
            z.sum().backward()


def returns(result: Any) -> type[Function]:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x * y

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            return result(grad_outputs[0])

    return Wrong


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda g: None, RuleError, r"Wrong: nothing was returned\n.*2 gradient(.|\n)*return"),
        (lambda g: g, RuleError, r"number of gradients is wrong\n  expected: 2(.|\n)*got: 1"),
        (lambda g: (g, g, g), RuleError, r"number of gradients is wrong(.|\n)*got: 3"),
        (lambda g: (g.sum(), g), RuleError, r"input 0 has the wrong shape\n.*\(2,\)\n  got: \(\)"),
        (lambda g: (g, "g"), DTypeError, "input 1 is not a Tensor"),
    ],
)
def test_wrong_backward(result: Any, error: Any, message: str) -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with pytest.raises(error, match=message):
        returns(result).apply(x, y).sum().backward()


def test_harmless_extras() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    returns(lambda g: (g, None, None, None)).apply(x, y).sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert y.grad is None
    returns(lambda g: [np.ones(2), g.numpy()]).apply(x, y).sum().backward()  # arrays will do
    assert y.grad.tolist() == [1, 1]


def test_wrong_forward() -> None:
    class Forgot(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x * 2

    with pytest.raises(DTypeError, match=r"Forgot.forward must return a Tensor(.|\n)*missing"):
        Forgot.apply(leaf(1.0))

    class Array(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(3.0)

    with pytest.raises(DTypeError, match=r"save_for_backward keeps Tensors(.|\n)*ctx.name"):
        Array.apply(leaf(1.0))
    with pytest.raises(NotImplementedError, match="forward"):
        Function.apply(leaf(1.0))

    class Half(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

    with pytest.raises(NotImplementedError, match="backward"):
        Half.apply(leaf(1.0)).sum().backward()


# -- the short way -----------------------------------------------------------------------------


@tn.custom_op(backward=lambda g, y, u, v, *, power: (g * power * y / u, g * y / v))
def scaled_power(u: Any, v: Any, *, power: float) -> Any:
    """v u^power, entry by entry."""
    return v * u**power


def test_custom_op() -> None:
    x, y = leaf(1.5, 2.0), leaf(3.0, 0.5)
    assert scaled_power.__doc__ == "v u^power, entry by entry."
    assert scaled_power(x, y, power=2.0).grad_fn.name == "scaled_powerBackward"

    def plain(u: Any, v: Any) -> Any:
        return (v * u**3.0).sum()

    def ours(u: Any, v: Any) -> Any:
        return scaled_power(u, v, power=3.0).sum()

    u, v = x.detach(), y.detach()
    for a, b in zip(func.grad(ours, (0, 1))(u, v), func.grad(plain, (0, 1))(u, v), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13)
    np.testing.assert_allclose(
        func.hessian(ours)(u, v).numpy(), func.hessian(plain)(u, v).numpy(), rtol=1e-12
    )
    third = func.grad(lambda u: func.hessian(ours)(u, v).sum())(u)
    np.testing.assert_allclose(third.numpy(), 6 * v.numpy(), rtol=1e-12)
    z = scaled_power(x, np.array([3.0, 0.5]), power=2.0)  # an array takes no gradient
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.array([1.5, 2.0]) * [3.0, 0.5])


def test_custom_op_rules_get_arrays() -> None:
    kinds: list[type] = []

    def rule(g: Any, y: Any, x: Any) -> Any:
        kinds.extend(map(type, (g, y, x)))
        return g * y

    op = tn.custom_op(backward=rule)(np.exp)
    x = leaf(0.0)
    op(x).sum().backward()
    assert set(kinds) == {np.ndarray}
    kinds.clear()
    tn.autograd.grad(op(x).sum(), x, create_graph=True)
    assert set(kinds) == {tn.Tensor}


def test_custom_op_mistakes() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuleError, match="sin: nothing was returned"):
        tn.custom_op(backward=lambda g, y, x: None)(np.sin)(x).sum().backward()
    with pytest.raises(RuleError, match=r"input 0 has the wrong shape\n.*\(2,\)"):
        tn.custom_op(backward=lambda g, y, x: g.sum())(np.sin)(x).sum().backward()
    with pytest.raises(RuleError, match=r"number of gradients(.|\n)*expected: 1,(.|\n)*got: 2"):
        tn.custom_op(backward=lambda g, y, x: (g, g))(np.sin)(x).sum().backward()
    with pytest.raises(DTypeError, match="must return one array"):
        tn.custom_op(backward=lambda g, y, x: g)(print)(x)


# -- the assignment of most courses ------------------------------------------------------------


class MyLinear(Function):
    """y = x Wᵀ + b, and its three gradients."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any) -> Any:
        ctx.save_for_backward(x, weight)
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, weight = ctx.saved_tensors
        (g,) = grad_outputs
        return g @ weight, g.T @ x, g.sum(0)


class MyReLU(Function):
    """PyTorch's tutorial, word for word."""

    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (input,) = ctx.saved_tensors
        grad_input = grad_outputs[0].clone()
        grad_input[input < 0] = 0
        return grad_input


class MyNetwork(nn.Module):
    """Two layers of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 16), nn.Linear(16, 2)

    def forward(self, x: Any) -> Any:
        x = MyReLU.apply(MyLinear.apply(x, self.one.weight, self.one.bias))
        return MyLinear.apply(x, self.two.weight, self.two.bias)


def test_training_with_ones_own_layers_is_training() -> None:
    tn.manual_seed(0)
    rng = np.random.default_rng(0)
    points = rng.standard_normal((200, 2)).astype(np.float32)
    x, t = tn.tensor(points), tn.tensor((points[:, 0] * points[:, 1] > 0).astype(np.int64))
    own = MyNetwork()
    usual = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    usual.load_state_dict(dict(zip(usual.state_dict(), own.state_dict().values(), strict=True)))
    losses: dict[Any, list[float]] = {}
    for model in (own, usual):
        optimizer = tn.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(150):
            loss = nn.functional.cross_entropy(model(x), t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.setdefault(model, []).append(loss.item())
    np.testing.assert_allclose(losses[own], losses[usual], rtol=1e-2)
    accuracy = (own(x).argmax(1) == t).float().mean().item()
    assert accuracy > 0.95
