"""Walking back through what was recorded: nodes, `backward`, `grad`, and hooks.

A *node* is one recorded step; its edges say where the gradient of each input goes. `backward`
visits the nodes from the output to the leaves.

Why the order matters: a node may be visited only when every node that used its output has been, or
it passes on an incomplete sum. Take a = 1, b = a + a, c = b + b, d = c + c. Naive recursion visits
c twice, b four times, a eight times, and 2**n times after n steps. But nodes are numbered as they
are made, and an op can only use what exists: so *newest first* is an order in which every node
comes after all its users. That is the topological sort.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np

from tinynet import arrays
from tinynet.arrays import Array
from tinynet.batching import once_for_all
from tinynet.errors import GraphError, ShapeError, at_op, describe, foreseen
from tinynet.grad_mode import enable_grad, is_grad_enabled
from tinynet.grad_mode import inference_mode as inference_mode  # PyTorch's path to the switches
from tinynet.grad_mode import no_grad as no_grad
from tinynet.grad_mode import set_grad_enabled as set_grad_enabled
from tinynet.hooks import Hook, RemovableHandle, Retain, run_hooks
from tinynet.tensor import Tensor, raw
from tinynet.views import renew

clock = itertools.count()
Function: Any  # PyTorch's path to `function.Function`, which stands above this file


# -- nodes -----------------------------------------------------------------------------------------


class Node:
    """One recorded step. `edges` say where the gradient of each input goes: a node, a leaf Tensor,
    or nowhere.
    """

    __slots__ = ("__weakref__", "edges", "hooks", "order")
    adds = False  # whether it has `add_to`

    def __init__(self, edges: Sequence[Edge | None]) -> None:
        self.order = next(clock)
        self.edges: Sequence[Edge | None] | None = edges
        self.hooks: dict[int, Hook] | None = None

    @property
    def name(self) -> str:
        """What was recorded, in PyTorch's style: `MulBackward`."""
        return type(self).__name__.strip("_").replace("Node", "Backward")

    @property
    def next_functions(self) -> tuple[tuple[Edge | None, int], ...]:
        """Where the gradient of each input goes, in PyTorch's form: pairs with a 0."""
        return tuple((edge, 0) for edge in self.edges or ())

    def gradients(self, g: Any, wanted: Sequence[Edge | None], create_graph: bool) -> Sequence[Any]:
        """dL/dinput for each input, given g = dL/doutput; None where no edge in `wanted` asks for
        it.

        Each is g itself, a view, or an array that nobody else holds.
        """
        return [g]

    def add_to(self, total: Array, g: Any) -> bool:
        """Add dL/dinput of the one input to `total`, in place. False where that cannot be."""
        return False

    def release(self) -> None:
        """Free what was kept. A second backward pass then says that the graph is gone."""
        self.edges = None

    def retains(self, tensor: Tensor) -> bool:
        """Whether `retain_grad()` was called on this output."""
        hooks = (self.hooks or {}).values()
        return any(isinstance(hook, Retain) and hook.owner() is tensor for hook in hooks)

    def __repr__(self) -> str:
        return f"<{self.name}>"


Edge: TypeAlias = Node | Tensor


class AliasNode(Node):
    """The same value under another name: the gradient passes unchanged."""

    __slots__ = ()


def edge_of(x: Any) -> Edge | None:
    """Where a gradient with respect to x goes."""
    if not isinstance(x, Tensor):
        return None
    if x._base is not None:
        renew(x)
    if not x._requires_grad:
        return None
    return x if x._node is None else x._node


def place(array: Array, node: Node) -> Tensor:
    """A Tensor of these values that stands as the output of `node`."""
    tensor = Tensor(array)
    tensor._requires_grad, tensor._node = True, node
    return tensor


# -- walking back ----------------------------------------------------------------------------------


def propagate(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Any],
    *,
    targets: Iterable[Edge] | None = None,
    create_graph: bool = False,
    keep: bool = False,
    oldest: int = -1,
) -> dict[Edge, Any]:
    """The gradient at every leaf, or at the targets: arrays that nobody else holds (with
    create_graph, Tensors). Nodes older than `oldest` are not entered.
    """
    if create_graph and not is_grad_enabled():
        with enable_grad():
            return propagate(
                outputs, cotangents, targets=targets, create_graph=True, keep=keep, oldest=oldest
            )
    sums: dict[Edge, Any] = {}  # the gradient that has arrived at each edge so far
    for output, cotangent in zip(outputs, cotangents, strict=True):
        edge = edge_of(output)
        if edge is not None:
            sums[edge] = _sum(sums[edge], cotangent) if edge in sums else cotangent
    borrowed = set(sums)  # where it is somebody else's array, to be copied in the end
    heap = [(-edge.order, edge) for edge in sums if isinstance(edge, Node)]  # the newest on top
    heapify(heap)
    ends = set() if targets is None else set(targets)
    useful = None if targets is None else _leading_to(ends, reachable(sums, oldest))
    try:
        while heap:
            node = heappop(heap)[1]  # the newest: all its users have been visited
            g = sums.pop(node)
            if isinstance(g, np.generic):  # NumPy makes scalars of 0-d arrays; rules see arrays
                g = np.asarray(g)
            if node.hooks:
                g = run_hooks(node.hooks, g)
            if node in ends:
                sums[node] = g
            edges = node.edges
            if edges is None:
                raise _freed(node)
            if useful is not None:
                edges = [e if e in useful else None for e in edges]
            gradients: Sequence[Any] = ()
            if useful is None or any(e is not None for e in edges):
                if type(g) is np.ndarray:
                    only = edges[0] if node.adds else None
                    own = only is not None and only in sums and only not in borrowed
                    if not own or not node.add_to(sums[only], g):  # type: ignore[index]
                        gradients = node.gradients(g, edges, create_graph)
                else:
                    with arrays.home(raw(g)):
                        gradients = node.gradients(g, edges, create_graph)
            for edge, d in zip(edges, gradients, strict=False):
                if d is None or edge is None:
                    continue
                if edge in sums:  # never in place: several edges may hold the same array
                    sums[edge] = sums[edge] + d if type(d) is np.ndarray else _sum(sums[edge], d)
                    borrowed.discard(edge)
                    continue
                sums[edge] = d
                if d is g:  # handed on, by one that had it for itself alone
                    held = len(edges) > 1 or node in borrowed or node in ends or bool(node.hooks)
                else:
                    held = getattr(d, "base", None) is not None
                if held:
                    borrowed.add(edge)
                if isinstance(edge, Node) and edge.order >= oldest:
                    heappush(heap, (-edge.order, edge))
            if not keep:
                node.release()
    except foreseen as error:
        shown = at_op(f"backward of {node.name.removesuffix('Backward')}", (g,), error)
        raise shown from (None if shown is error else error)
    return _finished(sums, borrowed)


def _sum(a: Any, b: Any) -> Any:
    """a + b, on the GPU where they are."""
    with arrays.home(raw(b)):
        return a + b


def _finished(sums: dict[Edge, Any], borrowed: set[Edge]) -> dict[Edge, Any]:
    """The gradients, each an array of its own, after the hooks of the leaves have seen them."""
    for edge, g in sums.items():
        if edge in borrowed:
            with arrays.home(raw(g)):
                g = np.copy(g)
        sums[edge] = run_hooks(edge._hooks, g) if isinstance(edge, Tensor) and edge._hooks else g
    return sums


def _freed(node: Node) -> GraphError:
    return GraphError(
        f"the graph was freed by an earlier backward pass (reached again at {node.name})",
        hint="backward(retain_graph=True) the first time, or compute the forward pass again",
    )


def reachable(edges: Iterable[Edge | None], oldest: int) -> set[Node]:
    """All nodes behind these edges, found without recursion: a chain may be 100,000 long."""
    seen: set[Node] = set()
    stack = list(edges)
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and node not in seen and node.order >= oldest:
            seen.add(node)
            stack.extend(node.edges or ())
    return seen


def leaves_of(output: Tensor) -> set[Tensor]:
    """The leaves that a value was computed from."""
    nodes = reachable([output if output._node is None else output._node], -1)
    found = {e for node in nodes for e in node.edges or () if isinstance(e, Tensor)}
    return found or ({output} if output._requires_grad else set())


def _leading_to(ends: set[Edge], nodes: Iterable[Node]) -> set[Edge]:
    """The ends, and every node from which one can be reached. Oldest first, one look suffices."""
    useful = set(ends)
    for node in sorted(nodes, key=attrgetter("order")):
        if any(e in useful for e in node.edges or ()):
            useful.add(node)
    return useful


# -- backward and grad -----------------------------------------------------------------------------


def _cotangent(output: Tensor, gradient: Any, create_graph: bool) -> Any:
    """dL/doutput: as given, or 1 where the output is the loss itself."""
    if not output._requires_grad:
        raise GraphError(
            "nothing to differentiate: no input of this value requires gradients",
            got=describe(output),
            hint="requires_grad=True on a leaf, no no_grad() around it, no detach() on the way",
        )
    if gradient is None:
        if output.array.size != 1:
            raise GraphError(
                "only a scalar has a gradient of its own; this output has several entries",
                got=describe(output),
                hint="reduce it to a loss (.sum(), .mean()), or pass gradient=dL/doutput",
            )
        like = output.array
        if type(like) is np.ndarray:
            gradient = np.array(1, like.dtype, ndmin=like.ndim)
        else:
            with arrays.home(like):
                gradient = np.array(1, like.dtype, ndmin=like.ndim, like=like)
    elif not isinstance(gradient, Tensor):
        gradient = arrays.as_array(gradient, output.dtype, output.device)
    else:
        arrays.same_device((output.array, gradient.array), ("the output", "its gradient"))
    if gradient.shape != output.shape:
        raise ShapeError(
            "dL/doutput must have the output's shape",
            expected=str(output.shape),
            got=str(gradient.shape),
        )
    if create_graph:
        return gradient if isinstance(gradient, Tensor) else Tensor(gradient)
    return raw(gradient)


def backward(
    tensor: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | Tensor | None = None,
) -> None:
    """Add dL/dx to `x.grad` of every leaf x that this value was computed from.

    gradient      dL/d(this), of its shape; may be left out where this is a scalar, the loss itself
    retain_graph  keep the graph for another pass; by default only `create_graph` does
    create_graph  record the pass itself, so that gradients can be differentiated again
    inputs        only these receive gradients

    >>> import tinynet as tn
    >>> a = tn.tensor(3.0, requires_grad=True)
    >>> (a * a + a).backward()
    >>> a.grad
    tensor(7.)
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    found = propagate(
        [tensor],
        [_cotangent(tensor, gradient, create_graph)],
        targets=None if inputs is None else [_required_edge(i, x) for i, x in enumerate(inputs)],
        create_graph=create_graph,
        keep=create_graph if retain_graph is None else retain_graph,
    )
    for edge, g in found.items():
        if isinstance(edge, Tensor):
            _accumulate(edge, g)
    for x in inputs or ():
        if x._node in found:
            _accumulate(x, found[x._node])


def _accumulate(owner: Tensor, g: Any) -> None:
    """owner.grad += g, in place where nothing is recorded: the gradient is the owner's array."""
    once_for_all("a gradient that is added", owner.array)
    old = owner._grad
    if old is None:
        owner._grad = g if isinstance(g, Tensor) else Tensor(g)
    elif isinstance(g, Tensor) or old._requires_grad:
        owner._grad = old + g
    else:
        if type(g) is np.ndarray:
            np.add(old.array, g, out=old.array)
        else:
            with arrays.home(g):
                np.add(old.array, g, out=old.array)
        old._counter[0] += 1


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """dL/dx for each x in `inputs`, without touching any `.grad`.

    grad_outputs  dL/doutput for each output (may be left out for scalars)
    allow_unused  None instead of an error for an input that the outputs do not depend on

    >>> import tinynet as tn
    >>> x = tn.tensor(2.0, requires_grad=True)
    >>> (dx,) = tn.autograd.grad(x**3, x, create_graph=True)
    >>> tn.autograd.grad(dx, x)
    (tensor(12.),)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not isinstance(grad_outputs, list | tuple):
        grad_outputs = [grad_outputs] * len(outputs)
    edges = [_required_edge(i, x) for i, x in enumerate(inputs)]
    found = propagate(
        outputs,
        [_cotangent(o, g, create_graph) for o, g in zip(outputs, grad_outputs, strict=True)],
        targets=edges,
        create_graph=create_graph,
        keep=create_graph if retain_graph is None else retain_graph,
        oldest=min(e.order if isinstance(e, Node) else -1 for e in edges),
    )
    results: list[Tensor | None] = []
    for i, edge in enumerate(edges):
        if edge not in found and not allow_unused:
            raise GraphError(
                f"the outputs do not depend on input {i}",
                got=describe(inputs[i]),
                hint="allow_unused=True gives None; if it should matter, look for a detach()",
            )
        g = found.get(edge)
        results.append(g if g is None or isinstance(g, Tensor) else Tensor(g))
    return tuple(results)


def _required_edge(i: int, x: Tensor) -> Edge:
    edge = edge_of(x)
    if edge is None:
        raise GraphError(f"input {i} does not require gradients", got=describe(x))
    return edge


def differentiate(
    function: Callable[..., Any], inputs: Sequence[Any], g: Any, wanted: Sequence[Edge | None]
) -> list[Any]:
    """Gradients of `function(*inputs)`, recorded, so that they can be differentiated again. Each
    input gets a node of its own, newer than all it was computed from, where the walk ends.
    """
    oldest = next(clock)
    with enable_grad():
        edges = [edge_of(x) for x in inputs]
        own = [
            x if e is None else place(x.array, AliasNode([e]))
            for x, e in zip(inputs, edges, strict=True)
        ]
        ends = [None if w is None else edge_of(x) for x, w in zip(own, wanted, strict=True)]
        y = function(*own)
        targets = [e for e in ends if e is not None]
        found = propagate([y], [g], targets=targets, create_graph=True, keep=True, oldest=oldest)
    return [None if e is None else found.get(e) for e in ends]


# -- hooks -----------------------------------------------------------------------------------------


def register_hook(tensor: Tensor, hook: Hook) -> RemovableHandle:
    """Call `hook(grad)` when the gradient of this value is complete; what it returns replaces it.

    >>> import tinynet as tn
    >>> x = tn.tensor(1.0, requires_grad=True)
    >>> _ = x.register_hook(lambda g: g * 10)
    >>> (2 * x).backward(); x.grad
    tensor(20.)
    """
    edge = _required_edge(0, tensor)
    if isinstance(edge, Tensor):
        hooks = edge._hooks = edge._hooks or {}
    else:
        hooks = edge.hooks = edge.hooks or {}
    key = next(clock)
    hooks[key] = hook
    return RemovableHandle(hooks, key)


def retain_grad(tensor: Tensor) -> None:
    """Keep the gradient of this computed value in `.grad`, as leaves do."""
    edge = _required_edge(0, tensor)
    if isinstance(edge, Node) and not edge.retains(tensor):
        register_hook(tensor, Retain(tensor))


for _method in (backward, register_hook, retain_grad):
    setattr(Tensor, _method.__name__, _method)
