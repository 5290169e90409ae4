"""What was recorded on the way to a loss, as values and steps with names: the ground on which the
pictures, the derivation and the counts stand.

A `Value` is an array that took part: a parameter, an input, or the output of a step. A `Step` is
one op. `trace` follows the tape from the loss to the leaves, then walks it back as `backward` does,
newest step first, and notes what each step hands to each of its inputs. Nothing is freed and no
`.grad` is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import numpy as np

from tinynet import arrays
from tinynet.autograd import AliasNode, Node, edge_of, reachable
from tinynet.dispatch import OpNode
from tinynet.errors import ArgumentError, GraphError, describe
from tinynet.explanation.names import latex_name
from tinynet.function import FunctionNode
from tinynet.op import Derivation, Op, Spec
from tinynet.tensor import Tensor


@dataclass(eq=False)
class Value:
    """An array that took part in a computation.

    name      what it is called in formulas
    kind      "parameter" (a leaf whose gradient is wanted), "input" (a leaf without gradient),
              "value" (made by a step), "loss"
    array     its numbers, where they are still known
    enters    of an input, the paths of the modules to which it was given
    grad      dL/d(this): the sum of `arrivals`, one from each use of the value
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: Any = None
    enters: set[str] = field(default_factory=set)
    made_by: Step | None = None
    uses: list[Step] = field(default_factory=list)
    arrivals: list[Any] = field(default_factory=list)

    @property
    def grad(self) -> Any:
        """dL/d(this), or None where no gradient arrives."""
        total = None
        for arrival in self.arrivals:
            total = arrival if total is None else total + arrival
        return total


@dataclass(eq=False)
class Step:
    """One op: `output` from `inputs`, which are Values and plain numbers.

    title     the op's name
    op        the op itself; None for a step of another kind (a `Function`, a checkpoint)
    node      its node on the tape
    number    its place in the forward pass, from 1
    module    the path of the innermost module in whose call it was made; "" outside of all
    kept      the arrays that the tape keeps for its backward pass
    handed    for each input, the gradient that the step hands back to it; None where none is wanted
    """

    title: str
    op: Op | None
    inputs: list[Any]
    options: dict[str, Any]
    output: Value
    node: Node
    number: int
    module: str = ""
    kept: list[Any] = field(default_factory=list)
    handed: list[Any] = field(default_factory=list)


@dataclass
class Graph:
    """All values and steps of a computation, in the order of the forward pass.

    modules   the class name of each module that was called, by its path
    """

    loss: Value
    steps: list[Step]
    values: list[Value]
    modules: dict[str, str]

    @property
    def leaves(self) -> list[Value]:
        """The values that no step made."""
        return [v for v in self.values if v.made_by is None]


Names = Any  # a dict of names, a Module, or nothing


def trace(loss: Any, names: Names = None, oldest: int = -1) -> Graph:
    """The graph behind a loss, with the gradient at every value; of a value that is not one number,
    the gradient of the sum of its entries.

    names   {"z": z}: what values are called. A Module names its parameters, and the steps that it
            and its parts took; in a dict under a name, that name stands in front.
    oldest  steps with a smaller number are not followed

    Raises ArgumentError where loss is no Tensor or names are something else, GraphError where
    nothing was recorded or the graph has been freed.
    """
    if not isinstance(loss, Tensor):
        raise ArgumentError("explain: a Tensor is explained", got=describe(loss))
    edge = edge_of(loss)
    if not isinstance(edge, Node):
        raise GraphError(
            "explain: nothing was recorded on the way to this value",
            got=describe(loss),
            hint="requires_grad=True on a leaf, and no no_grad() around it",
        )
    nodes = sorted(reachable([edge], oldest), key=lambda node: node.order)
    if any(node.edges is None for node in nodes):
        raise GraphError(
            "explain: the graph was freed by a backward pass",
            hint="tn.explain(loss) before loss.backward(), or backward(retain_graph=True)",
        )
    with arrays.home(loss.array):
        return _Tracer(loss, nodes, _named(names)).graph()


def trace_of_number(loss: Any, names: Names = None) -> Graph:
    """The graph behind a loss that is one number, as `backward()` wants it."""
    graph = trace(loss, names)
    if loss.numel() != 1:
        raise GraphError(
            "explain: the gradient of one number is explained; this value has several entries",
            got=describe(loss),
            hint="reduce it to a loss (.sum(), .mean())",
        )
    return graph


def _named(names: Names) -> dict[str, Any]:
    """Names with what is called so; a model's own names need nothing in front."""
    given = {"": names} if hasattr(names, "named_modules") else names or {}
    if not isinstance(given, Mapping):
        raise ArgumentError("explain: names", expected="a dict or a Module", got=describe(names))
    for name, x in given.items():
        if not isinstance(name, str) or not (isinstance(x, Tensor) or hasattr(x, "named_modules")):
            raise ArgumentError(
                "explain: names",
                expected="Tensors or Modules by their names",
                got=f"{name!r}: {describe(x)}",
            )
    return dict(given)


class _Tracer:
    """Turns nodes into values and steps."""

    def __init__(self, loss: Tensor, nodes: Sequence[Node], names: Mapping[str, Any]) -> None:
        self.loss, self.nodes = loss, nodes
        self.given: dict[int, str] = {}  # names, by node, leaf, or the array of a constant
        self.calls: list[tuple[int, int, str]] = []  # of modules: from, to, path; outer ones first
        self.modules: dict[str, str] = {}
        self.entered: dict[int, set[str]] = {}  # by its reference, to which modules an array went
        for name, x in names.items():
            self._take(name, x)
        self.constants: dict[Any, tuple[Value, Any]] = {}
        self.made: dict[Any, Value] = {}  # by node, or by leaf Tensor
        self.values: list[Value] = []
        self.taken: set[str] = set()

    def _take(self, name: str, x: Any) -> None:
        """A named tensor, or a module with all that it names."""
        if isinstance(x, Tensor):
            self.given[id(_place(x))] = self.given[id(x.array)] = name
            return
        for path, module in x.named_modules(prefix=name):
            chain = type(module).__name__ == "Sequential"  # which takes no step of its own
            mine = [] if chain else [c for c in module.last_calls if self._holds(*c[:2])]
            for first, last, given in mine:
                self.modules[path] = type(module).__name__
                self.calls.append((first, last, path))
                for reference in given:
                    self.entered.setdefault(id(reference), set()).add(path)
        for path, parameter in x.named_parameters(prefix=name):
            self.given[id(parameter)] = path

    def _holds(self, first: int, last: int) -> bool:
        return first < self.nodes[-1].order and last > self.nodes[0].order

    def graph(self) -> Graph:
        """The steps forward, then the gradients backward."""
        steps: list[Step] = []
        for node in self.nodes:
            if isinstance(node, AliasNode):
                self.made[node] = self._input(node.edges[0], None)  # type: ignore[index]
            else:
                steps.append(self._step(node, len(steps) + 1))
        loss = self.made[self.nodes[-1]]
        loss.kind, loss.array = "loss", self.loss.array
        loss.arrivals.append(np.ones_like(self.loss.array))
        for node in reversed(self.nodes):
            if not isinstance(node, AliasNode):
                self._back(node)
        for step in steps:
            _fill(step)
        return Graph(loss, steps, self.values, self.modules)

    def _step(self, node: Node, number: int) -> Step:
        kept: Any = getattr(node, "inputs", None) or [None] * len(node.edges or ())
        inputs = [self._input(e, x) for e, x in zip(node.edges or (), kept, strict=True)]
        op = node.op if isinstance(node, OpNode) else None
        title = op.name if op is not None else node.name.removesuffix("Backward")
        options = dict(node.options) if isinstance(node, OpNode) else {}
        output = self._value(node, "value", (), np.dtype(np.float64))
        path = ""
        for first, last, module in self.calls:  # the innermost comes last
            path = module if first < node.order < last else path
        step = Step(title, op, inputs, options, output, node, number, path)
        step.kept = _arrays([getattr(node, name, None) for name in ("saved", "y", "inputs")])
        if isinstance(node, FunctionNode) and node.ctx is not None:
            step.kept = [x.array for x in node.ctx.saved_tensors if x is not None]
        output.made_by, output.array = step, getattr(node, "y", None)
        for x in {id(x): x for x in inputs if isinstance(x, Value)}.values():
            x.uses.append(step)
        self.made[node] = output
        return step

    def _input(self, edge: Any, kept: Any) -> Any:
        """A Value for what went into a step; a number stays a number."""
        if edge is None:
            return self._constant(kept) if isinstance(kept, Spec) or arrays.is_array(kept) else kept
        if isinstance(edge, Node) and edge not in self.made:  # older than what is followed
            shape, dtype = getattr(kept, "shape", ()), getattr(kept, "dtype", np.dtype(np.float64))
            self.made[edge] = self._value(edge, "input", shape, dtype)
        elif edge not in self.made:  # a leaf
            self.made[edge] = self._value(edge, "parameter", edge.shape, edge.dtype)
            self.made[edge].array = edge.array
        found = self.made[edge]
        _learn(found, kept)
        return found

    def _constant(self, kept: Any) -> Value:
        """The value of a constant, of which the tape keeps the array, or a `Spec` that knows which
        one it was.
        """
        spec = kept if isinstance(kept, Spec) else Spec(kept, constant=True)
        array = spec.reference()
        whole = None if array is None else arrays.reshaped(array)
        reference = spec.reference if whole is None else ref(whole)
        key = id(reference), spec.shape
        if key not in self.constants:
            value = self._value(whole, "input", spec.shape, spec.dtype, spec.name)
            for known in (spec.reference, reference):
                value.enters |= self.entered.get(id(known), set())
            _learn(value, array)
            self.constants[key] = value, reference  # which keeps its id
        return self.constants[key][0]

    def _value(
        self, owner: Any, kind: str, shape: tuple[int, ...], dtype: Any, name: str | None = None
    ) -> Value:
        name = self.given.get(id(owner)) or name
        if not name and kind == "parameter":
            name = owner.name
        elif not name and owner is self.nodes[-1]:
            name = "L"
        value = Value(self._free(" ".join((name or "").split())), kind, shape, dtype)
        self.values.append(value)
        return value

    def _free(self, name: str) -> str:
        """The name, or one that is not taken and does not look like one that is."""
        free, count = name, 0
        while not free or latex_name(free) in self.taken:
            count += 1
            free = f"{name or 'v'}_{count}"
        self.taken.add(latex_name(free))
        return free

    def _back(self, node: Node) -> None:
        output = self.made[node]
        step, g = output.made_by, output.grad
        assert step is not None
        if arrays.is_array(g):  # else those of several outputs of a Function
            output.shape, output.dtype = g.shape, g.dtype
        handed = hand_back(node, g)
        step.handed = handed + [None] * (len(step.inputs) - len(handed))
        for x, d in zip(step.inputs, step.handed, strict=True):
            if isinstance(x, Value) and d is not None:
                x.arrivals.append(d)


def hand_back(node: Node, g: Any) -> list[Any]:
    """What a node gives to each of its inputs when g arrives."""
    rule = _without_kernel(node)
    return [_array(d) for d in rule.gradients(_array(g), node.edges or (), False)]


def _without_kernel(node: Node) -> Node:
    """The node as NumPy alone would have recorded it: the rule that is shown is the rule that runs,
    and a learner who asks why does not wait for a compiler.
    """
    if not isinstance(node, OpNode) or node.by is None:
        return node
    rule = copy(node)
    rule.by = None
    if isinstance(node.op, Derivation):
        rule.saved = node.op.run(node.inputs, node.options)[1]
    return rule


def _array(x: Any) -> Any:
    """A 0-d array in the place of a NumPy scalar."""
    return np.asarray(x) if isinstance(x, np.generic) else x


def plain(x: Any) -> Any:
    """An array's values on the CPU."""
    return arrays.to_device(x, "cpu")


def _place(x: Any) -> Any:
    """Where a named tensor stands in the graph."""
    edge = edge_of(x) if isinstance(x, Tensor) else x
    return x if edge is None else edge


def in_words(shape: tuple[int, ...]) -> str:
    """A shape as it is told to people: (4, 3), or scalar."""
    return "scalar" if shape == () else "(" + ", ".join(map(str, shape)) + ")"


def _arrays(kept: Any) -> list[Any]:
    """All arrays in nested lists and tuples."""
    if isinstance(kept, list | tuple):
        return [array for part in kept for array in _arrays(part)]
    return [kept] if arrays.is_array(kept) else []


def _learn(value: Value, kept: Any) -> None:
    """The numbers of a value, from what a step kept of its input."""
    if value.array is None and kept is not None:
        value.array = kept.values if isinstance(kept, Spec) else kept


def _fill(step: Step) -> None:
    """The numbers of an output that nobody kept, computed again where all inputs are known."""
    inputs = [x.array if isinstance(x, Value) else x for x in step.inputs]
    if step.output.array is None and step.op is not None and all(x is not None for x in inputs):
        step.output.array = _array(step.op.run(inputs, step.options)[0])
