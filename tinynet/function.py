"""The learner's own op: a forward pass and a backward pass written by hand.

`Function` is PyTorch's way: two static methods and a context between them. `custom_op` is the short
way: an array function and one rule, as in the table of derivatives.

Several outputs share one node. Each output has a small node of its own before it, which tells the
shared one *which* output a gradient came from.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.autograd import AliasNode, Edge, Node, edge_of, place
from tinynet.dispatch import cast
from tinynet.errors import DTypeError, InPlaceError, RuleError, describe
from tinynet.grad_mode import enable_grad, is_grad_enabled, no_grad
from tinynet.op import Spec
from tinynet.tensor import Tensor, raw

__all__ = ["Context", "CustomOp", "Function", "custom_op"]


class _Saved:
    """A value kept for the backward pass, with its version and its place in the graph."""

    def __init__(self, x: Tensor, edge: Edge | None, output: int | None) -> None:
        self.array, self.edge, self.output = x.array, edge, output
        self.counter, self.version = x._counter, x._counter[0]


class Context:
    """What forward tells backward. Anything may be stored on it; Tensors by `save_for_backward`.

    needs_input_grad  for each argument of forward, whether its gradient is wanted
    saved_tensors     in backward: what was saved, in order
    """

    def __init__(self, name: str, needs: tuple[bool, ...]) -> None:
        self._name, self.needs_input_grad = name, needs
        self._to_save: tuple[Any, ...] = ()
        self._saved: list[_Saved | None] = []
        self._constant: list[Tensor] = []
        self._materialize = True
        self._outputs: list[Callable[[], Node | None]] = []

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other Tensors. A change in place afterwards is noticed."""
        for x in tensors:
            if x is not None and not isinstance(x, Tensor):
                raise DTypeError(
                    "save_for_backward keeps Tensors",
                    got=describe(x),
                    hint="ctx.name = value for anything else",
                )
        self._to_save = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """These outputs carry no gradient, such as the positions of a maximum."""
        self._constant += outputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether an output that the loss does not use has a gradient of zeros (True), or None."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept. Raises InPlaceError where it was changed since."""
        return tuple(None if s is None else self._restored(s) for s in self._saved)

    def _restored(self, saved: _Saved) -> Tensor:
        if saved.counter[0] != saved.version:
            raise InPlaceError(
                f"a value that {self._name} saved for its gradient was changed in place afterwards",
                got=f"{saved.counter[0] - saved.version} change(s) since it was saved",
                hint="the out-of-place form (x = x + 1), or change x.clone()",
            )
        edge = saved.edge if saved.output is None else self._outputs[saved.output]()
        if isinstance(edge, Tensor):
            return edge if edge.array is saved.array else place(saved.array, AliasNode([edge]))
        return Tensor(saved.array) if edge is None else place(saved.array, edge)

    def _keep(self, edges: dict[int, Edge | None], outputs: Sequence[Any]) -> None:
        """Turn what was saved into arrays with places; an output's own node would be a cycle."""
        numbers = {id(y): i for i, y in enumerate(outputs)}
        self._saved = [
            None if x is None else _Saved(x, edges.get(id(x)), numbers.get(id(x)))
            for x in self._to_save
        ]
        self._to_save, self._constant = (), []


class Function:
    """An op with a backward pass of your own. Subclass it and call `apply`.

    `forward(ctx, *inputs)` computes, unrecorded; `backward(ctx, *grad_outputs)` gets dL/doutput for
    each output and returns dL/dinput for each input, None where there is none. With
    `setup_context(ctx, inputs, output)`, `forward(*inputs)` does without a context. A backward
    that is written with Tensor operations can be differentiated again.

    Raises RuleError where backward returns too few or too many gradients, one of another shape, or
    nothing at all.

    >>> import tinynet as tn
    >>> class Cube(tn.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         (x,) = ctx.saved_tensors
    ...         return grad_output * 3 * x**2
    >>> x = tn.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward(); x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(*args: Any) -> Any:
        """What is computed. Every subclass writes its own."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *inputs)")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients. Every subclass that is differentiated writes its own."""
        raise NotImplementedError("a Function needs a static method backward(ctx, *grad_outputs)")

    setup_context: Callable[[Any, tuple[Any, ...], Any], None] | None = None

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        """Call the op: compute, and record if a gradient is wanted."""
        return _apply(cls, inputs)


def _apply(function: type[Function], inputs: tuple[Any, ...], **told: Any) -> Any:
    """Run forward on a new context, on which stands what it was told."""
    edges = [edge_of(x) if is_grad_enabled() else None for x in inputs]
    ctx = Context(function.__name__, tuple(e is not None for e in edges))
    ctx.__dict__.update(told)
    with no_grad():
        if function.setup_context is None:
            result = function.forward(ctx, *inputs)
        else:
            result = function.forward(*inputs)
            function.setup_context(ctx, inputs, result)
    several = isinstance(result, tuple)
    outputs = list(result) if several else [result]
    for y in outputs:
        if not isinstance(y, Tensor):
            raise DTypeError(
                f"{function.__name__}.forward must return a Tensor, or a tuple of Tensors",
                got=describe(y),
                hint="tn.tensor(...) around an array; or a `return` is missing",
            )
    constant = [any(y is c for c in ctx._constant) for y in outputs]
    ctx._keep(dict(zip(map(id, inputs), edges, strict=True)), outputs)
    outputs = [y.detach() for y in outputs]  # one may be an input, or be kept by the user
    if any(ctx.needs_input_grad):
        _record(FunctionNode(function, ctx, edges, inputs, outputs), outputs, constant)
    return tuple(outputs) if several else outputs[0]


def _record(node: FunctionNode, outputs: list[Tensor], constant: list[bool]) -> None:
    """Put the outputs into the graph."""
    for i, (y, fixed) in enumerate(zip(outputs, constant, strict=True)):
        own = node if len(outputs) == 1 else OutputNode(node, i)
        node.ctx._outputs.append(weakref.ref(own))  # type: ignore[union-attr]
        if not fixed and dtypes.is_floating(y.dtype):
            y._requires_grad, y._node = True, own


class _Gradients:
    """The gradients of several outputs, on their way to the node that the outputs share."""

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts

    def __add__(self, other: _Gradients) -> _Gradients:
        return _Gradients({**self.parts, **other.parts})  # each output's own node comes once

    def __repr__(self) -> str:
        return ", ".join(f"of output {i}: {describe(g)}" for i, g in self.parts.items())


class OutputNode(Node):
    """One of several outputs of a Function."""

    __slots__ = ("label", "number")

    def __init__(self, node: FunctionNode, number: int) -> None:
        super().__init__([node])
        self.label, self.number = node.name, number

    @property
    def name(self) -> str:
        """The name of the node that the outputs share."""
        return self.label

    def gradients(self, g: Any, wanted: Sequence[Edge | None], create_graph: bool) -> Sequence[Any]:
        return [_Gradients({self.number: g})]


class FunctionNode(Node):
    """A recorded Function."""

    __slots__ = ("ctx", "function", "inputs", "outputs")

    def __init__(
        self,
        function: type[Function],
        ctx: Context,
        edges: Sequence[Edge | None],
        inputs: Sequence[Any],
        outputs: Sequence[Tensor],
    ) -> None:
        super().__init__(edges)
        self.function = function
        self.ctx: Context | None = ctx
        self.inputs = [
            Spec(x.array, not x._requires_grad) if isinstance(x, Tensor) else None for x in inputs
        ]
        self.outputs = [(y.shape, y.dtype, y.device) for y in outputs]

    @property
    def name(self) -> str:
        """The Function's name, in PyTorch's style: `CubeBackward`."""
        return f"{self.function.__name__}Backward"

    def release(self) -> None:
        super().release()
        self.ctx = None

    def gradients(self, g: Any, wanted: Sequence[Edge | None], create_graph: bool) -> Sequence[Any]:
        assert self.ctx is not None
        parts = g.parts if isinstance(g, _Gradients) else {0: g}
        given = [self._tensor(parts.get(i), i) for i in range(len(self.outputs))]
        with enable_grad() if create_graph else no_grad():
            result = self.function.backward(self.ctx, *given)
        if result is None:
            raise RuleError(
                "nothing was returned",
                expected=f"{len(self.inputs)} gradient(s), one for each input of forward",
                hint="a `return`; or `return (None,)` if there is no gradient",
            )
        found = list(result) if isinstance(result, tuple | list) else [result]
        while len(found) > len(self.inputs) and found[-1] is None:
            found.pop()
        if len(found) != len(self.inputs):
            raise RuleError(
                "the number of gradients is wrong",
                expected=f"{len(self.inputs)}, one for each input of forward",
                got=str(len(found)),
                hint="None for an input that has no gradient",
            )
        return [
            None if edge is None or d is None else self._checked(d, i, create_graph)
            for i, (d, edge) in enumerate(zip(found, wanted, strict=True))
        ]

    def _tensor(self, g: Any, i: int) -> Tensor | None:
        """dL/doutput i; zeros where the loss did not use it."""
        if g is None:
            assert self.ctx is not None
            if not self.ctx._materialize:
                return None
            shape, dtype, device = self.outputs[i]
            return Tensor(arrays.to_device(np.zeros(shape, dtype), device))
        return g if isinstance(g, Tensor) else Tensor(g)

    def _checked(self, d: Any, i: int, create_graph: bool) -> Any:
        """The gradient of input i, of its shape and dtype."""
        of = self.inputs[i]
        assert of is not None
        if not isinstance(d, Tensor):
            if not arrays.is_array(d) and not isinstance(d, np.generic):
                raise DTypeError(f"the gradient of input {i} is not a Tensor", got=describe(d))
            d = Tensor(d)
        if d.shape != of.shape:
            raise RuleError(
                f"the gradient of input {i} has the wrong shape",
                expected=str(of.shape),
                got=str(d.shape),
                hint="sum over the axes along which the input was broadcast",
            )
        d = cast(d, of.dtype)
        # a view: the walk copies it where it ends, since the array may belong to somebody else
        return d if create_graph else d.array.view()


# -- the short way ---------------------------------------------------------------------------------


class _Custom(Function):
    """An array function with one rule for all inputs: `ctx.own`, called with `ctx.options`."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        ctx.plain = [None if isinstance(x, Tensor) else x for x in inputs]
        y = ctx.own.forward(*map(raw, inputs), **ctx.options)
        if not arrays.is_array(y) and not isinstance(y, np.generic):
            raise DTypeError(
                f"{ctx.own.__name__} must return one array",
                got=describe(y),
                hint="a `return` may be missing; autograd.Function for several outputs",
            )
        output = Tensor(y)
        ctx.save_for_backward(output, *(x for x in inputs if isinstance(x, Tensor)))
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        saved = [x if is_grad_enabled() else raw(x) for x in (*grad_outputs, *ctx.saved_tensors)]
        g, y, tensors = saved[0], saved[1], iter(saved[2:])
        inputs = [next(tensors) if x is None else x for x in ctx.plain]
        return ctx.own.backward(g, y, *inputs, **ctx.options)


class CustomOp:
    """What `custom_op` makes of a function: call it on Tensors."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self.forward, self.backward = forward, backward
        update_wrapper(self, forward)
        # a class of its own, so that messages and graphs show the function's name
        self._function = type(forward.__name__, (_Custom,), {})

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return _apply(self._function, inputs, own=self, options=options)

    __name__: str


def custom_op(*, backward: Callable[..., Any]) -> Callable[[Callable[..., Any]], CustomOp]:
    """Make an op of a function of arrays: `backward(g, y, *inputs)` gives dL/dinput for each input.

    g is dL/dy and y the output; all are arrays, or Tensors where the backward pass is itself
    differentiated, so a rule of `np` functions and operators serves both. Keyword arguments are
    options, and reach both functions. Errors as for `autograd.Function`.

    >>> import tinynet as tn
    >>> import numpy as np
    >>> @tn.custom_op(backward=lambda g, y, x: g * 3 * x**2)
    ... def cube(x):
    ...     return x**3
    >>> x = tn.tensor(2.0, requires_grad=True)
    >>> cube(x).backward(); x.grad
    tensor(12.)
    """

    def declare(function: Callable[..., Any]) -> CustomOp:
        return CustomOp(function, backward)

    return declare
