"""The properties that every op must have, as functions that raise. `test_ops.py` applies them to
the whole registry; `test_wrong_rules.py` sees that a wrong rule is caught by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from oracles import ORACLES

from tinynet.autograd import grad
from tinynet.check.numeric import complex_step, numeric_slope, numeric_vjp, relative_error
from tinynet.check.samples import Draw
from tinynet.check.sweep import differentiable, op_vjp, slope_along
from tinynet.func import jvp, vjp
from tinynet.op import Op
from tinynet.tensor import Tensor

CLOSE = 1e-6  # differences of float64 on these arguments are good to about 1e-9


class Drawn(Draw):
    """A Draw whose choices are made, and shrunk, by Hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        super().__init__(data.draw(st.integers(0, 2**32 - 1), label="seed of the values"))
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))


def call(op: Op, inputs: Sequence[Any], options: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The op on plain arrays."""
    return np.asarray(op(*inputs, **options))


def cotangent(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> Any:
    """A random cotangent of the output's shape."""
    return np.asarray(draw.rng.standard_normal(call(op, inputs, options).shape))


def check_value(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> None:
    """The op on Tensors gives what the oracle gives."""
    tensors = [Tensor(x.copy()) if isinstance(x, np.ndarray) else x for x in inputs]
    found = op(*tensors, **options).array
    expected = np.asarray(ORACLES[op.name](*inputs, **options))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=1e-12, atol=1e-12)


def check_gradient(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> None:
    """⟨g, y⟩ has the gradient that differences find."""
    g = cotangent(op, inputs, options, draw)
    _, gradients = op_vjp(op, inputs, options, g)
    for i, d in zip(differentiable(inputs), gradients, strict=True):
        expected = numeric_vjp(lambda *x: op(*x, **options), inputs, i, g).value
        assert relative_error(d, expected) < CLOSE, f"input {i}: {d} is not {expected}"


def check_complex_step(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> None:
    """The same by the complex step, which is exact to rounding: only on the forward function."""
    g = cotangent(op, inputs, options, draw)
    _, gradients = op_vjp(op, inputs, options, g)
    for i, d in zip(differentiable(inputs), gradients, strict=True):
        expected = complex_step(
            lambda *x: op.forward(*x, **{**op.defaults, **options}), inputs, i, g
        )
        assert relative_error(d, expected) < 1e-12, f"input {i}: {d} is not {expected}"


def contraction(
    op: Op, tensors: Sequence[Any], options: dict[str, Any], weights: Sequence[Any]
) -> Tensor | None:
    """⟨w_n, ∇⟨w_{n−1}, … ∇⟨w_0, op⟩⟩⟩: a number that depends on n derivatives. None where they
    vanish.
    """
    own = [x for x in tensors if isinstance(x, Tensor) and x.requires_grad]
    value = (op(*tensors, **options) * weights[0]).sum()
    for w in weights[1:]:
        if not value.requires_grad:
            return None
        gradients = grad(value, own, create_graph=True, allow_unused=True)
        terms = [(d * v).sum() for d, v in zip(gradients, w, strict=True) if d is not None]
        if not terms:
            return None
        value = sum(terms[1:], terms[0])
    return value


def check_order(
    order: int, op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw
) -> None:
    """The derivative of the given order, against differences of the one before, along a random
    line.
    """
    places = differentiable(inputs)
    rng = draw.rng
    first = rng.standard_normal(call(op, inputs, options).shape)
    weights = [Tensor(np.asarray(first))] + [
        [Tensor(np.asarray(rng.standard_normal(inputs[i].shape))) for i in places]
        for _ in range(order - 1)
    ]

    def build(*args: Any) -> tuple[Tensor | None, list[Tensor]]:
        tensors = [Tensor(x.copy()) if isinstance(x, np.ndarray) else x for x in args]
        own = [tensors[i].requires_grad_() for i in places]
        return contraction(op, tensors, options, weights), own

    def number(*args: Any) -> np.ndarray[Any, Any]:
        value, _ = build(*args)
        return np.zeros(()) if value is None else value.detach().numpy()

    value, own = build(*inputs)
    found: Sequence[Any] = [None] * len(own)
    if value is not None and value.requires_grad:
        found = grad(value, own, allow_unused=True)
    line = {i: np.asarray(rng.uniform(-1, 1, inputs[i].shape)) for i in places}
    got, expected = slope_along(line, found), np.asarray(numeric_slope(number, inputs, line))
    assert relative_error(got, expected) < CLOSE, f"order {order}: {got} is not {expected}"


def check_jvp(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> None:
    """Forward and reverse mode are transposes of each other: ⟨w, Jv⟩ = ⟨Jᵀw, v⟩."""
    places = differentiable(inputs)
    fixed = [Tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]

    def f(*own: Tensor) -> Tensor:
        args = list(fixed)
        for i, x in zip(places, own, strict=True):
            args[i] = x
        return op(*args, **options)

    primals = [Tensor(inputs[i]) for i in places]
    vs = [np.asarray(draw.rng.standard_normal(x.shape)) for x in primals]
    y, pullback = vjp(f, *primals)
    w = np.asarray(draw.rng.standard_normal(y.shape))
    _, moved = jvp(f, primals, [Tensor(v) for v in vs])
    left = np.sum(w * moved.array)
    right = sum(np.sum(v * d.array) for v, d in zip(vs, pullback(Tensor(w)), strict=True))
    assert relative_error(np.asarray(left), np.asarray(right)) < 1e-10
    h = 1e-5  # and forward mode against differences along v
    ahead = f(*(Tensor(x.array + h * v) for x, v in zip(primals, vs, strict=True))).array
    behind = f(*(Tensor(x.array - h * v) for x, v in zip(primals, vs, strict=True))).array
    known = np.isfinite(ahead)  # the mean of nothing is NaN
    assert relative_error(moved.array[known], ((ahead - behind) / (2 * h))[known]) < 1e-4


def check_layouts(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> None:
    """Transposed, strided, reversed and read-only memory gives the same values and gradients."""
    g = cotangent(op, inputs, options, draw)
    y, gradients = op_vjp(op, inputs, options, g)
    kind = draw.choice(("transposed", "strided", "reversed", "read-only"))
    odd = [_laid_out(x, kind) if isinstance(x, np.ndarray) else x for x in inputs]
    tensors = [Tensor(x) if isinstance(x, np.ndarray) else x for x in odd]
    own = [tensors[i].requires_grad_() for i in differentiable(inputs)]
    again = op(*tensors, **options)
    np.testing.assert_allclose(again.array, y, rtol=1e-12, atol=1e-12)
    if again.requires_grad:
        weights = _laid_out(g, kind)
        for d, e in zip(
            grad(again, own, Tensor(weights), allow_unused=True), gradients, strict=True
        ):
            np.testing.assert_allclose(
                np.zeros_like(e) if d is None else d.array, e, rtol=1e-12, atol=1e-12
            )


def _laid_out(x: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    """The same values in another memory layout."""
    if kind == "transposed":
        return np.array(x.T, order="C").T
    if kind == "read-only" or not x.ndim:
        y = x.copy()
        y.flags.writeable = False
        return y
    if kind == "reversed":
        return np.array(x[..., ::-1])[..., ::-1]
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def check_ownership(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> None:
    """Inputs and cotangent are not changed; each leaf's gradient is an array of its own, writable,
    of its dtype.
    """
    tensors = [Tensor(x.copy()) if isinstance(x, np.ndarray) else x for x in inputs]
    own = [tensors[i].requires_grad_() for i in differentiable(inputs)]
    y = op(*tensors, **options)
    g = np.asarray(draw.rng.standard_normal(y.shape))
    kept = g.copy()
    if y.requires_grad:
        y.backward(Tensor(g))
    for x, tensor in zip(inputs, tensors, strict=True):
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(tensor.array, x)
    np.testing.assert_array_equal(g, kept)
    gradients = [x.grad.array for x in own if x.grad is not None]
    arrays = [*gradients, y.array, g, *(x.array for x in own)]
    for k, d in enumerate(gradients):
        assert d.flags.writeable
        assert isinstance(d, np.ndarray)
        for j, other in enumerate(arrays):
            assert j == k or not d.size or not np.shares_memory(d, other)


def check_float32(op: Op, inputs: Sequence[Any], options: dict[str, Any], draw: Draw) -> None:
    """float32 in, float32 out and back, close to the float64 result."""
    options = {
        k: np.dtype("f4") if k == "dtype" and v is not None else v for k, v in options.items()
    }
    g = cotangent(op, inputs, options, draw)
    y, gradients = op_vjp(op, inputs, options, g)
    single = [x.astype("f4") if i in differentiable(inputs) else x for i, x in enumerate(inputs)]
    z, others = op_vjp(op, single, options, g.astype("f4"))
    if y.dtype.kind == "f" and z.dtype.kind == "f":
        assert z.dtype == np.float32
    np.testing.assert_allclose(z.astype(float), y.astype(float), rtol=2e-4, atol=2e-4)
    for d, e in zip(others, gradients, strict=True):
        assert d.dtype == np.float32
        np.testing.assert_allclose(d, e, rtol=2e-3, atol=2e-3)


def host(x: Any) -> np.ndarray[Any, Any]:
    """The values of a Tensor, or of an array, on the CPU."""
    x = x.array if isinstance(x, Tensor) else x
    return np.asarray(x) if isinstance(x, np.ndarray | np.generic) else x.get()


def assert_close(found: Any, expected: Any, dtype: Any = "f8") -> None:
    """Equal to rounding; a real GPU sums in another order and has functions of its own."""
    tolerance = 1e-10 if np.dtype(dtype) == np.float64 else 2e-5
    np.testing.assert_allclose(host(found), host(expected), rtol=tolerance, atol=tolerance)
