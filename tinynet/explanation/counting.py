"""What a computation costs: arithmetic, memory traffic, and what is kept for the backward pass.

The formula of each op is run again, forward and backward, on arrays that count what is done to them
(`Counted`): nothing is estimated. One flop is one +, −, ×, ÷ or max of two floats; a product of
matrices (m, k)(k, n) takes 2·m·k·n; a sum of n numbers n − 1. exp, tanh and their like are counted
by themselves, as `special`: each costs several flops, how many is the library's affair; so is what
LAPACK does (inv, solve, det, cholesky), of which only the traffic is counted. erf, which NumPy
lacks, is the polynomials that it is computed by. Comparisons, roundings and moves are no flops.
Bytes: a call of NumPy reads its inputs and writes its output once; of a table, the rows that are
looked up. Views are free, and to add to zeros that were just made is a move.

It is the cost of the formulas in `ops` and `derivations`, with the sums that undo broadcasting, and
those over the paths of a value: each counts for the step whose part arrives later. Kernels do the
same arithmetic, with less traffic; the difference is what they are for. A checkpoint costs what its
stretch costs, and the forward pass of it once more on the way back. What a `Function` of one's own
does is not known.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.autograd import clock
from tinynet.dispatch import unbroadcast
from tinynet.explanation.graph import Graph, Names, Step, Value, plain, trace
from tinynet.explanation.table import as_html, as_text
from tinynet.function import FunctionNode
from tinynet.op import Derivation
from tinynet.recompute import CheckpointNode
from tinynet.tensor import Tensor


@dataclass
class Cost:
    """What was spent. Costs can be added.

    flops     arithmetic on floats
    special   values of exp, log, tanh, sqrt …
    read      bytes
    written   bytes
    """

    flops: int = 0
    special: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.special + other.special,
            self.read + other.read,
            self.written + other.written,
        )


_meter: ContextVar[Cost] = ContextVar("meter")

_ARITHMETIC = {
    *(np.add, np.subtract, np.multiply, np.true_divide, np.negative, np.square, np.reciprocal),
    *(np.maximum, np.minimum, np.absolute, np.floor_divide, np.remainder, np.fmax, np.fmin),
    np.fmod,
}
_MOVES = {np.floor, np.ceil, np.trunc, np.rint, np.sign, np.copysign, np.positive}
# flops for each number that goes in, and for each that comes out: a sum of n takes n − 1
_REDUCTIONS = {
    **{"sum": (1, -1), "mean": (1, 0), "var": (4, 0), "prod": (1, -1), "amax": (1, -1)},
    **{"max": (1, -1), "amin": (1, -1), "min": (1, -1)},
}
_BLANK = {"zeros", "zeros_like"}
_LOOKUPS = {"take", "take_along_axis"}
_FREE = {
    *("empty", "empty_like"),
    *("reshape", "swapaxes", "transpose", "moveaxis", "broadcast_to", "expand_dims", "squeeze"),
    *("shape", "ndim", "size", "atleast_1d", "ravel", "split", "sliding_window_view", "flip"),
    *("may_share_memory", "result_type", "broadcast_shapes", "diagonal"),
}


class Counted(np.ndarray[Any, np.dtype[Any]]):
    """An array that counts what NumPy does to it, on the meter of the moment."""

    blank = False  # whether it is of zeros, as it was made

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        result = getattr(ufunc, method)(*map(_plain, inputs), **_plain(options))
        meter = _meter.get()
        made = result if isinstance(result, np.ndarray) else np.asarray(result)
        added = ufunc is np.add and method == "__call__"
        moved = added and any(getattr(x, "blank", False) for x in inputs)
        if not moved and (made.dtype.kind in "fc" or any(_floats(x) for x in inputs)):
            if ufunc is np.matmul:
                meter.flops += 2 * made.size * inputs[0].shape[-1]
            elif method == "reduce" and ufunc in _ARITHMETIC:
                meter.flops += max(np.size(inputs[0]) - made.size, 0)
            elif method == "at":
                meter.flops += np.size(inputs[-1])
            elif ufunc in _ARITHMETIC:
                meter.flops += made.size
            elif made.dtype.kind in "fc" and ufunc not in _MOVES:
                meter.special += made.size
        if method == "at":  # at each place read, add, write
            _traffic(meter, [*inputs[1:], inputs[-1]], inputs[-1])
        else:
            _traffic(meter, inputs, made)
        if options.get("out") is None:
            return _counted(result)
        options["out"][0].blank = False
        return options["out"][0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = _plain(args), _plain(kwargs)
        result = function(*args, **kwargs)
        meter = _meter.get()
        name = function.__name__
        meter.flops += _flops(name, args, kwargs, result)
        if name in _LOOKUPS:
            _traffic(meter, [*_arrays(args[1:]), result], result)
        elif name not in _FREE:
            read = () if name in _BLANK else _arrays((*args, *kwargs.values()))
            _traffic(meter, read, result)
        counted = _counted(result)
        if name in _BLANK:
            counted.blank = True
        return counted

    def __getitem__(self, index: Any) -> Any:
        result = self.view(np.ndarray)[_plain(index)]
        if not np.may_share_memory(result, self):  # looked up, or one number
            parts = index if isinstance(index, tuple) else (index,)
            _traffic(_meter.get(), [*_arrays(parts), result], result)
        return _counted(result)

    def __setitem__(self, index: Any, value: Any) -> None:
        place = self.view(np.ndarray)[_plain(index)]
        same = isinstance(value, np.ndarray) and value.__array_interface__["data"] == (
            place.__array_interface__["data"] if isinstance(place, np.ndarray) else None
        )
        self.view(np.ndarray)[_plain(index)] = _plain(value)
        self.blank = False
        if not same:  # a[i] += b adds in place: nothing is left to be moved
            _traffic(_meter.get(), [value], place)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        """Read and written."""
        return self._moved(self.view(np.ndarray).copy(*args, **kwargs))

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        """Read and written."""
        return self._moved(self.view(np.ndarray).astype(*args, **kwargs))

    def _moved(self, result: Any) -> Any:
        if not np.may_share_memory(result, self):  # astype(copy=False) may have nothing to do
            _traffic(_meter.get(), [self], result)
        return _counted(result)


def _flops(name: str, args: Any, kwargs: Any, result: Any) -> int:
    """Of a function of NumPy that is no ufunc."""
    if name == "einsum":
        return _einsum_flops(*args, **kwargs)
    if name == "bincount" and "weights" in kwargs:
        return int(kwargs["weights"].size)
    if not (args and _floats(args[0])):
        return 0
    u, made = args[0], int(np.size(result))
    if name in _REDUCTIONS:
        each, once = _REDUCTIONS[name]
        return int(each * u.size + once * made)
    if name in ("cumsum", "cumprod"):  # a row of n takes n − 1
        axis = args[1] if len(args) > 1 else kwargs.get("axis")
        return int(u.size - (1 if axis is None else u.size // max(u.shape[axis], 1)))
    if name == "tensordot":  # a matrix product: K is summed over, K² = |u| |v| / |y|
        return 2 * made * math.isqrt(u.size * args[1].size // max(made, 1))
    if name == "round":  # of hundredths: times 100, and back
        return 2 * int(u.size) * bool(kwargs.get("decimals", args[1] if len(args) > 1 else 0))
    if name == "clip":
        return int(u.size * sum(x is not None for x in (*args[1:3], *kwargs.values())))
    return 0


def _einsum_flops(*args: Any, optimize: bool = False) -> int:
    """For each term of the sum one flop to add it, and one for each × in it. Where NumPy may choose
    an order, it multiplies two operands at a time.
    """
    terms: list[tuple[list[Any], Any]]
    if isinstance(args[0], str):  # "ij,jk->ik", u, v
        left, _, right = args[0].replace(" ", "").partition("->")
        parts = left.split(",")
        marked = [[Ellipsis if c == "…" else c for c in p.replace("...", "…")] for p in parts]
        terms = list(zip(marked, args[1:], strict=True))
    else:  # u, [0, 1], v, [1, 2], [0, 2]
        terms = [(list(axes), x) for x, axes in zip(args[::2], args[1::2], strict=False)]
        right = args[-1]
    sizes: dict[Any, int] = {}
    for labels, x in terms:
        if Ellipsis in labels:
            at, more = labels.index(Ellipsis), x.ndim - len(labels) + 1
            labels[at : at + 1] = [("…", i - more) for i in range(more)]
        sizes.update({c: max(n, sizes.get(c, 1)) for c, n in zip(labels, x.shape, strict=True)})
    waiting = [set(labels) for labels, _ in terms]
    order = np.einsum_path(*args, optimize=True)[0][1:] if optimize else [range(len(terms))]
    flops = 0
    for chosen in order:
        here = [waiting.pop(i) for i in sorted(chosen, reverse=True)]
        met = set().union(*here)
        flops += math.prod(sizes[c] for c in met) * len(here)
        waiting.append({c for c in met if any(c in other for other in (right, *waiting))})
    return flops


def _floats(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def _traffic(meter: Cost, inputs: Iterable[Any], result: Any) -> None:
    meter.read += sum(x.nbytes for x in _arrays(inputs))
    meter.written += sum(x.nbytes for x in _arrays((result,), (np.ndarray, np.generic)))


def _arrays(values: Any, kinds: Any = np.ndarray) -> list[Any]:
    """Those of these kinds in nested lists and tuples."""
    found: list[Any] = []
    for x in values:
        if isinstance(x, kinds):
            found.append(x)
        elif isinstance(x, list | tuple):
            found += _arrays(x, kinds)
    return found


def _plain(x: Any) -> Any:
    """With bare arrays in the place of counted ones."""
    if isinstance(x, Counted):
        return x.view(np.ndarray)
    if isinstance(x, list | tuple):
        return type(x)(map(_plain, x))
    if isinstance(x, dict):
        return {key: _plain(value) for key, value in x.items()}
    return x


def _counted(x: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return np.asarray(x).view(Counted)
    if not isinstance(x, list | tuple):
        return x
    parts = map(_counted, x)
    return x._make(parts) if hasattr(x, "_make") else type(x)(parts)


# -- of a whole computation ------------------------------------------------------------------------


@dataclass
class Row:
    """What one step costs.

    forward, backward   its two passes
    kept                bytes that it keeps for the backward pass and that no step before it keeps;
                        leaves that somebody holds are not counted, they live anyway
    """

    step: Step
    forward: Cost
    backward: Cost
    kept: int


class Costs:
    """The cost of a computation, step by step: `rows`, and sums of them."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    @property
    def forward(self) -> Cost:
        """The whole forward pass."""
        return sum((row.forward for row in self.rows), Cost())

    @property
    def backward(self) -> Cost:
        """The whole backward pass."""
        return sum((row.backward for row in self.rows), Cost())

    @property
    def kept(self) -> int:
        """Bytes kept from the forward pass for the backward pass."""
        return sum(row.kept for row in self.rows)

    def by_op(self) -> dict[str, Costs]:
        """The costs of each kind of op, the most expensive first."""
        return self._grouped(lambda row: row.step.title)

    def by_module(self, depth: int = 1) -> dict[str, Costs]:
        """The costs of each module, by `depth` parts of its path."""
        return self._grouped(lambda row: ".".join(row.step.module.split(".")[:depth]))

    def _grouped(self, key: Callable[[Row], str]) -> dict[str, Costs]:
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(key(row), []).append(row)
        found = {name: Costs(rows) for name, rows in groups.items()}
        return dict(sorted(found.items(), key=lambda item: -item[1].flops))

    @property
    def flops(self) -> int:
        """Of both passes."""
        return self.forward.flops + self.backward.flops

    def _lines(self) -> list[list[str]]:
        """A table: a line for each kind of op."""
        lines = [["op", "steps", "flops", "flops back", "read", "written", "kept"]]
        for name, group in [*self.by_op().items(), ("all", self)]:
            both = group.forward + group.backward
            counts = group.forward.flops, group.backward.flops
            sizes = both.read, both.written, group.kept
            steps = str(len(group.rows))
            lines.append([name, steps, *map(_thousands, counts), *map(_bytes, sizes)])
        return lines

    def _unknown(self) -> list[str]:
        """Whose cost is not known."""
        own = sorted({r.step.title for r in self.rows if isinstance(r.step.node, FunctionNode)})
        return [f"not counted: {', '.join(own)}"] if own else []

    def __repr__(self) -> str:
        return "\n".join([as_text(self._lines()), *self._unknown()])

    def _repr_html_(self) -> str:
        return as_html(self._lines(), after=self._unknown())


def _thousands(n: int) -> str:
    return f"{n:,}"


def _bytes(n: int) -> str:
    for unit in ("B", "KB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000  # type: ignore[assignment]
    return f"{n:.3g} GB"


def costs(graph: Graph, names: Names = None) -> Costs:
    """Count the whole graph, forward and backward. The steps inside a checkpoint have rows of their
    own; the checkpoint's is what it keeps.
    """
    seen = _living(graph)
    rows, sums = [], _sums(graph)
    for step in graph.steps:
        kept = 0
        for owner in map(_owner, _kept(step)):
            if id(owner) not in seen:
                seen.add(id(owner))
                kept += owner.nbytes
        if isinstance(step.node, CheckpointNode):
            oldest = next(clock)
            inside = costs(trace(step.node.again(), names, oldest), names)
            rows += [Row(r.step, r.forward, r.forward + r.backward, 0) for r in inside.rows]
        forward, backward = _both(step)
        rows.append(Row(step, forward, backward + sums[id(step)], kept))
    return Costs(rows)


def _kept(step: Step) -> list[Any]:
    """The arrays that wait for the backward pass of a step: of a checkpoint, what went in."""
    if isinstance(step.node, CheckpointNode):
        return [_known(x) for x in step.inputs if isinstance(x, Value)]
    return step.kept


def _owner(array: Any) -> Any:
    """The array whose memory this one shows."""
    while arrays.is_array(getattr(array, "base", None)):
        array = array.base
    return array


def _living(graph: Graph) -> set[int]:
    """Of memory that lives without the tape: parameters, and constants that a Tensor holds. A mask
    that a dropout drew is held by nobody else.
    """
    leaves = [leaf for leaf in graph.leaves if leaf.array is not None]
    owners = [_owner(leaf.array) for leaf in leaves if leaf.kind == "input"]
    held = [x.array for x in gc.get_referrers(*owners) if isinstance(x, Tensor)] if owners else []
    held += [leaf.array for leaf in leaves if leaf.kind == "parameter"]
    return {id(_owner(array)) for array in held}


def _sums(graph: Graph) -> dict[int, Cost]:
    """For each step, what it costs to add what it hands back to what has arrived before."""
    found: dict[int, Cost] = {}
    reached: set[int] = set()
    for step in reversed(graph.steps):
        cost = Cost()
        for x, d in zip(step.inputs, step.handed, strict=True):
            if isinstance(x, Value) and d is not None:
                if id(x) in reached:
                    size, nbytes = math.prod(x.shape), math.prod(x.shape) * x.dtype.itemsize
                    cost += Cost(size, 0, 2 * nbytes, nbytes)
                reached.add(id(x))
        found[id(step)] = cost
    return found


def _both(step: Step) -> tuple[Cost, Cost]:
    """The cost of the forward and of the backward pass of a step."""
    op = step.op
    if op is None:
        return Cost(), Cost()
    inputs = [_counted(plain(_known(x))) if isinstance(x, Value) else x for x in step.inputs]
    forward, (y, saved) = _measured(lambda: op.run(inputs, step.options))
    g = np.ones(y.shape, step.output.dtype).view(Counted)
    if isinstance(op, Derivation):
        needs = {"needs": tuple(d is not None for d in step.handed)} if op.selective else {}
        back, found = _measured(lambda: op.backward(g, saved, **needs, **step.options))
    else:
        back, found = Cost(), [None] * len(inputs)
        for i, d in enumerate(step.handed):
            if d is not None:
                rule = op.rule(i)
                cost, found[i] = _measured(lambda: rule(g, y, *inputs, **step.options))  # noqa: B023
                back += cost
    for x, d, handed in zip(step.inputs, found, step.handed, strict=False):
        if handed is not None and d.shape != x.shape:  # what was repeated is summed
            back += _measured(lambda: unbroadcast(_counted(d), x.shape))[0]  # noqa: B023
    return forward, back


def _measured(call: Callable[[], Any]) -> tuple[Cost, Any]:
    meter = Cost()
    token = _meter.set(meter)
    try:
        return meter, call()
    finally:
        _meter.reset(token)


def _known(x: Value) -> Any:
    """A value's array; of ones where its numbers are not known."""
    if x.array is None:
        x.array = np.ones(x.shape, x.dtype)
    return x.array
