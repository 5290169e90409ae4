"""Applying an op: the one door through which every computation on Tensors goes.

Here, once for all ops: PyTorch's dtype promotion, and float16 inside `autocast`; one device for all
inputs; recording with version checks; and the un-broadcasting of gradients. (NumPy scalars become
0-d arrays in `Tensor` itself.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import numpy as np

from tinynet import arrays, autocasting, dtypes
from tinynet.arrays import Array
from tinynet.autograd import AliasNode, Edge, Node, clock, differentiate, place
from tinynet.crossing import alike
from tinynet.errors import DTypeError, InPlaceError, RuleError, at_op, describe, foreseen
from tinynet.grad_mode import is_grad_enabled
from tinynet.kernels.choice import Kernel, find
from tinynet.op import Derivation, Op, Spec
from tinynet.tensor import Tensor
from tinynet.views import View, renew

_NUMBERS = frozenset((bool, int, float))


def apply(op: Op, *inputs: Any, **options: Any) -> Any:
    """Call an op: compute, and record if a gradient is wanted. On plain arrays it only computes."""
    if len(inputs) > op.arity >= 0:
        options.update(zip(op.options, inputs[op.arity :], strict=False))
        inputs = inputs[: op.arity]
    if op.defaults:
        options = {**op.defaults, **options}
    values, edges, tensors, common = _take_apart(op, inputs)
    if not tensors:
        letter = next((x for x in values if isinstance(x, arrays.Letter)), None)
        return letter.apply(op, values, options) if letter else op.run(values, options)[0]
    try:
        if autocasting.blocks:
            inputs = _autocast(op, inputs, values)
            values, edges, _, common = _take_apart(op, inputs)
        if not common:
            inputs = _promote(op, inputs, values)
            values, edges, _, _ = _take_apart(op, inputs)
            if isinstance(op, Derivation) and op.in_place and _is_batch(values):
                return op.definition(*inputs, **options)
            elsewhere = arrays.away(values)
            if elsewhere is not None:
                with elsewhere:
                    return apply(op, *inputs, **options)
        by = find(op.name, values, options) if op.accelerated else None
        if by is None and not op.derived:
            y, saved = op.forward(*values, **options), None
        else:
            y, saved = (by or op).run(values, options)
    except foreseen as error:
        shown = at_op(op.name, inputs, error)
        raise shown from (None if shown is error else error)
    output = Tensor(y)
    if op.view:
        _share_memory(output, inputs[0], op, options)
    if edges is None or not op.differentiable or not is_grad_enabled():
        return output
    if output.array.dtype.kind in "fc":
        output._requires_grad = True
        kind = OpNode if op.adds is None else PartNode
        output._node = kind(op, edges, inputs, options, output, saved, by)
    return output


def _take_apart(
    op: Op, inputs: Sequence[Any]
) -> tuple[list[Any], list[Edge | None] | None, bool, bool]:
    """The arrays of the inputs; where their gradients go, if anywhere; whether there is a Tensor at
    all; and whether this is the common case, CPU arrays and numbers that need no other dtype.
    """
    values: list[Any] = []
    edges: list[Edge | None] = []
    tensors, tracked, plain, same, dtype = False, False, True, True, None
    for x in inputs:
        edge = None
        if isinstance(x, Tensor):
            tensors = True
            if x._base is not None and x._base.version != x._counter[0]:
                renew(x)
            if x._requires_grad:
                tracked = True
                edge = x if x._node is None else x._node
            x = x.array
        values.append(x)
        edges.append(edge)
        if type(x) is np.ndarray:
            same = same and (dtype is None or x.dtype is dtype)
            dtype = x.dtype
        elif type(x) not in _NUMBERS:
            plain = False
    fits = op.promote == "none" or (same and dtype is not None and dtype.kind == "f")
    return values, edges if tracked else None, tensors, plain and fits


setattr(Op, "__call__", apply)  # noqa: B010  an op is called like a function; op.py cannot know how


class OpNode(Node):
    """A recorded op. `inputs` holds, for each, the values its rules read or else shape and dtype.

    `versions` remembers how often the kept values had been changed in place when they were saved.
    `by` is the kernel that computed it, if one did, and computes its gradients too.
    """

    __slots__ = ("by", "inputs", "op", "options", "saved", "versions", "y")

    def __init__(
        self,
        op: Op,
        edges: Sequence[Edge | None],
        inputs: Sequence[Any],
        options: dict[str, Any],
        y: Tensor,
        saved: Any,
        by: Kernel | None = None,
    ) -> None:
        self.order, self.edges, self.hooks = next(clock), edges, None
        self.op, self.options, self.saved, self.by = op, options, saved, by
        needed = 0  # the values that the rules read, of those inputs whose gradient is wanted
        for edge, bits in zip(edges, op.reads, strict=False):
            if edge is not None:
                needed |= bits
        if needed & 1 and op.derived and not any(_shows(x, y.array) for x in saved):
            needed &= ~1  # so that relu_ may follow a linear layer
        kept: list[Any] = []
        versions: list[tuple[list[int], int]] = []
        bit = 1
        for x in inputs:
            bit <<= 1
            if isinstance(x, Tensor):
                if needed & bit:
                    kept.append(x.array)
                    versions.append((x._counter, x._counter[0]))
                else:
                    kept.append(Spec(x.array, not x._requires_grad))
            else:  # copied: nobody could notice when the owner of a plain array changes it
                kept.append(x.copy() if arrays.is_array(x) else x)
        self.y = y.array if needed & 1 else None
        if needed & 1:
            versions.append((y._counter, y._counter[0]))
        self.inputs, self.versions = kept, versions

    @property
    def name(self) -> str:
        """The op's name in PyTorch's style: `MulBackward`."""
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward"

    def release(self) -> None:
        """Forget values and edges."""
        self.edges = self.y = self.saved = None
        self.inputs = []

    def gradients(self, g: Any, wanted: Sequence[Edge | None], create_graph: bool) -> Sequence[Any]:
        """Run the rules of the inputs that are wanted: on arrays, or on Tensors to be recorded."""
        op, y, inputs = self.op, self.y, self.inputs
        for counter, version in self.versions:
            if counter[0] != version:
                self._refuse(counter[0] - version)
        if create_graph:
            if autocasting.blocks and autocasting.current() is not None:
                with autocasting.as_before(None):  # the derivative of what ran, in its dtypes
                    return self.gradients(g, wanted, create_graph)
            y, inputs = self._as_tensors()
        if self.by is not None and not create_graph:
            needs = tuple(e is not None for e in wanted)
            return self._owned(self.by.backward(g, self.saved, needs=needs, **self.options), wanted)
        if isinstance(op, Derivation):
            return self._derived(op, g, inputs, wanted, create_graph)
        found: list[Any] = [None] * len(inputs)
        for i, edge in enumerate(wanted):
            if edge is not None:
                d = op.rule(i)(g, y, *inputs, **self.options)
                found[i] = d if d.shape == inputs[i].shape else self._fit(d, i)
        return found

    def _derived(
        self, op: Derivation, g: Any, inputs: Any, wanted: Sequence[Edge | None], create_graph: bool
    ) -> Sequence[Any]:
        """The derived backward; or, to be differentiated again, the gradient of the definition."""
        if create_graph:
            return differentiate(lambda *x: op.definition(*x, **self.options), inputs, g, wanted)
        needs = {"needs": tuple(e is not None for e in wanted)} if op.selective else {}
        return self._owned(op.backward(g, self.saved, **needs, **self.options), wanted)

    def _owned(self, gradients: Sequence[Any], wanted: Sequence[Edge | None]) -> Sequence[Any]:
        """The gradients that are wanted, each an array that nobody else holds."""
        found: list[Any] = []
        held = set(map(id, self.saved))
        for i, d in enumerate(gradients):
            if d is None or wanted[i] is None:
                found.append(None)
                continue
            if id(d) in held:
                d = d.copy()  # the receiver may change its gradient in place
            held.add(id(d))
            found.append(d if d.shape == self.inputs[i].shape else self._fit(d, i))
        return found

    def _as_tensors(self) -> tuple[Any, list[Any]]:
        """Output and inputs as Tensors at their old places in the graph."""
        assert self.edges is not None
        inputs = [
            x if edge is None or isinstance(x, Spec) else _at(x, edge)
            for x, edge in zip(self.inputs, self.edges, strict=True)
        ]
        return (None if self.y is None else place(self.y, self)), inputs

    def _refuse(self, changes: int) -> None:
        raise InPlaceError(
            f"a value that {self.op.name} saved for its gradient was changed in place afterwards",
            got=f"{changes} change(s) since it was saved",
            hint="the out-of-place form (x = x + 1), or change x.clone()",
        )

    def _fit(self, d: Any, i: int) -> Any:
        """What broadcasting repeated is summed; any other wrong shape is a wrong rule."""
        shape = self.inputs[i].shape
        repeats = zip(reversed(shape), reversed(d.shape), strict=False)
        if self.op.broadcasts and d.ndim >= len(shape) and all(n in (1, m) for n, m in repeats):
            return unbroadcast(d, shape)
        raise RuleError(
            f"the rule of {self.op.name} for input {i} gave a gradient of the wrong shape",
            expected=str(shape),
            got=str(d.shape),
        )


class PartNode(OpNode):
    """A recorded op that takes a part of its input. Of T steps cut from one sequence each has a
    gradient of its own; as whole arrays, zeros but for one step, they would cost T².
    """

    __slots__ = ()
    adds = True

    def add_to(self, total: Array, g: Any) -> bool:
        """Add the gradient where the part was taken."""
        if type(total) is not np.ndarray or total.dtype != g.dtype:
            return False
        self.op.adds(total, g, **self.options)  # type: ignore[misc]
        return True


def _shows(x: Any, y: Array) -> bool:
    """Whether what was saved is memory of the output."""
    if type(x) is type(y) is np.ndarray and x.base is None and y.base is None:
        return x is y
    return x is y or (arrays.is_array(x) and bool(np.may_share_memory(x, y)))


def _at(array: Array, edge: Edge) -> Tensor:
    """A Tensor of these values whose gradient goes to `edge`."""
    if isinstance(edge, Tensor):
        return edge if edge.array is array else place(array, AliasNode([edge]))
    return place(array, edge)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which broadcasting repeated the input.

    >>> unbroadcast(np.ones((4, 2, 3)), (2, 1))
    array([[12.],
           [12.]])
    """
    lead = g.ndim - len(shape)
    repeated = [lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1]
    return np.reshape(np.sum(g, axis=(*range(lead), *repeated)), shape)


# -- watching --------------------------------------------------------------------------------------


@contextmanager
def watched(
    forward: Callable[[Op, Sequence[Any], Any], None],
    backward: Callable[[OpNode, Any, Sequence[Any]], None],
) -> Iterator[None]:
    """In the block, and in this thread, show every op when it has run, forward(op, inputs, y), and
    every backward step, backward(node, g, gradients). Where nobody watches it costs nothing.
    """
    thread, walk = get_ident(), OpNode.gradients

    def call(op: Op, *inputs: Any, **options: Any) -> Any:
        y = apply(op, *inputs, **options)
        if get_ident() == thread:
            forward(op, inputs, y)
        return y

    def gradients(
        node: OpNode, g: Any, wanted: Sequence[Edge | None], create_graph: bool
    ) -> Sequence[Any]:
        found = walk(node, g, wanted, create_graph)
        if get_ident() == thread:
            backward(node, g, found)
        return found

    setattr(Op, "__call__", call)  # noqa: B010
    setattr(OpNode, "gradients", gradients)  # noqa: B010
    adds, PartNode.adds = PartNode.adds, False  # each gradient as an array, to be seen
    try:
        yield
    finally:
        setattr(Op, "__call__", apply)  # noqa: B010
        setattr(OpNode, "gradients", walk)  # noqa: B010
        PartNode.adds = adds


# -- dtypes and devices ----------------------------------------------------------------------------


def _is_batch(values: Sequence[Any]) -> bool:
    """Whether one of them stands for all examples of a `vmap`."""
    return any(isinstance(x, arrays.Duck) for x in values)


def _promote(op: Op, inputs: tuple[Any, ...], values: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs with one dtype, by PyTorch's rules, after a look at their kinds and devices. Where
    one is a batch of examples, all become batches.
    """
    for value in values:
        if not arrays.is_array(value) and not isinstance(value, bool | int | float | complex):
            raise DTypeError(
                "expected tensors, arrays or numbers",
                got=describe(value),
                hint="tn.tensor(...) around it",
            )
    arrays.same_device(values, [f"input {i}" for i in range(len(values))])
    if _is_batch(values):
        inputs = alike(*inputs)
    if op.promote == "none":
        return inputs
    dtype = arrays.result_type(*values[op.masks :])
    if op.promote == "float" and not dtypes.is_floating(dtype):
        dtype = dtypes.get_default_dtype()
    elif op.promote == "number" and dtype == dtypes.bool_:
        dtype = dtypes.int64
    return (*inputs[: op.masks], *(_promoted(x, dtype) for x in inputs[op.masks :]))


def _promoted(x: Any, dtype: np.dtype[Any]) -> Any:
    """x with another dtype, by `cast`; a constant keeps its name."""
    y = cast(x, dtype)
    if y is not x and isinstance(x, Tensor) and not x._requires_grad:
        y.name = arrays.name_of(x.array)
    return y


def cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """x with another dtype, recorded where gradients are. Python numbers stay as they are."""
    if not isinstance(x, Tensor) and not arrays.is_array(x):
        return x
    return x if x.dtype == dtype else to_dtype(x, dtype=dtype)


def _autocast(op: Op, inputs: tuple[Any, ...], values: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs in the dtype that the op computes in inside `autocast`: float16 or float32 of
    those that have one of the two.
    """
    dtype = autocasting.dtype_for(op.name, values)
    if dtype is None:
        return inputs
    known = autocasting.casts()
    wanted: list[Any] = []
    for x, value in zip(inputs, values, strict=True):
        if not arrays.is_array(value) or value.dtype not in _CAST or value.dtype == dtype:
            wanted.append(x)
        elif known is None or not isinstance(x, Tensor) or not (x.is_leaf and x.requires_grad):
            wanted.append(to_dtype(x, dtype=dtype))
        else:
            wanted.append(_cast_once(x, dtype, known))
    return tuple(wanted)


_CAST = (dtypes.float16, dtypes.float32)


def _cast_once(x: Tensor, dtype: np.dtype[Any], known: dict[Any, Any]) -> Any:
    """A parameter in another dtype: cast when first used in this block, or since it was changed."""
    version, _, array = known.get((id(x), dtype), (None, None, None))
    if version != x._version:
        array = x.array.astype(dtype)
        known[id(x), dtype] = (x._version, x, array)  # x itself, so that its id stays its own
    y = Tensor(array)
    if is_grad_enabled():
        y._requires_grad = True
        y._node = OpNode(to_dtype, [x], (x,), {"dtype": dtype}, y, None)
    return y


def _to_dtype(x: Array, *, dtype: Any) -> Array:
    return x.astype(dtype)


to_dtype = Op(
    "to_dtype",
    _to_dtype,
    (lambda g, _, _x, dtype: cast(g, _x.dtype),),
    formula="u",
    promote="none",
    room="dispatch",
    doc="The same values in another dtype; the gradient comes back in the old one.",
)


def _share_memory(output: Tensor, x: Any, op: Op, options: dict[str, Any]) -> None:
    """Let a view know the tensor whose memory it shows, and count changes together with it."""
    if isinstance(x, Tensor) and np.may_share_memory(output.array, x.array):
        output._counter = x._counter
        output._base = View(x, op, options)
