"""`vmap`: one function of one example becomes a function of all of them.

It is first called once, with a `Batch` in place of every array (`batching.py` tells how). Where
that run is given up, it is called for each example and the results are stacked: the loop below is
the definition, so every function will do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.autograd import AliasNode, clock, edge_of, reachable
from tinynet.batching import Level, current
from tinynet.crossing import CrossingNode, enter, leave
from tinynet.dispatch import OpNode
from tinynet.errors import ArgumentError, BatchError, DTypeError, ShapeError, describe
from tinynet.tensor import Tensor

Function = Callable[..., Any]


# -- trees: dicts, lists and tuples of Tensors -----------------------------------------------------


def is_tree(x: Any) -> bool:
    """Whether x is a dict, or a list or tuple with Tensors in it; not a list of numbers."""
    if isinstance(x, list | tuple):
        return any(isinstance(v, Tensor) or is_tree(v) for v in x)
    return isinstance(x, dict)


def map_tree(function: Function, *trees: Any) -> Any:
    """The function of each leaf of the first tree (and what stands at its place in the others)."""
    tree = trees[0]
    if not is_tree(tree):
        return function(*trees)
    if isinstance(tree, dict):
        return {k: map_tree(function, *(t[k] for t in trees)) for k in tree}
    values = [map_tree(function, *parts) for parts in zip(*trees, strict=True)]
    return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)


def tensor_output(y: Any) -> Tensor:
    if not isinstance(y, Tensor):
        raise DTypeError("the function must return a Tensor", got=describe(y))
    return y


# -- vmap ------------------------------------------------------------------------------------------


def vmap(func: Function, in_dims: Any = 0, out_dims: Any = 0) -> Function:
    """From a function of one example to the function of a batch: examples along the axes `in_dims`,
    results stacked along `out_dims`.

    in_dims   for each argument the axis of its examples, or None to hand it over whole; one number
              for all; for a dict, list or tuple of Tensors one axis, or a dict, list or tuple
    out_dims  the axis of the examples in the result, or one for each of several results;
              None for the result of the first example alone

    What comes out is what a loop over the examples and a stack give; it nests, and differentiates
    like any other function. The function is called once for all examples. Where that will not do,
    it is called again, for each example: where it

    - asks for a value in which the examples differ: `if x > 0`, `x.item()`, `x[x > 0]`,
    - draws random numbers (anew for each example), or uses `checkpoint`, which records their state,
    - changes in place what stands outside of it, or a part of its argument,
    - differentiates by a leaf that is not made of its arguments (`backward`),
    - looks up class weights, or lets a gradient out through an `autograd.Function` or a hook.

    So how often it runs is not promised: a function that keeps something for its next call, or
    draws from a generator that is not tinynet's, belongs in a loop.

    Raises ShapeError where the batches differ in size, ArgumentError where nothing is mapped or
    there is no example.

    >>> import tinynet as tn
    >>> x, w = tn.tensor([[1.0, 2.0], [3.0, 4.0]]), tn.tensor([1.0, 1.0])
    >>> loss = lambda w, x: (w * x).sum() ** 2
    >>> tn.func.vmap(tn.func.grad(loss), in_dims=(None, 0))(w, x)  # one gradient per example
    tensor([[ 6., 12.],
            [42., 56.]])
    """

    def mapped(*args: Any, **kwargs: Any) -> Any:
        dims = tuple(in_dims) if isinstance(in_dims, list | tuple) else (in_dims,) * len(args)
        if len(dims) != len(args):
            raise ArgumentError(f"vmap: {len(dims)} in_dims for {len(args)} argument(s)")
        axes = tuple(_spread(x, d) for x, d in zip(args, dims, strict=True))
        sizes: list[int] = []
        for x, a in zip(args, axes, strict=True):
            map_tree(lambda v, d: None if d is None else sizes.append(_length(v, d)), x, a)
        if len(set(sizes)) > 1:
            raise ShapeError("vmap: the batches differ in size", got=", ".join(map(str, sizes)))
        if not sizes or not sizes[0]:
            raise ArgumentError("vmap: no argument has an example", got=f"in_dims={in_dims!r}")
        if sizes[0] > 1:
            try:
                return _at_once(func, args, axes, kwargs, sizes[0], out_dims)
            except Exception:  # the loop can do it, or says what is wrong with an example
                outer = current.get()
                if outer is not None and outer.refused:
                    raise
        results = [
            func(
                *(
                    map_tree(lambda v, d, i=i: _one(v, d, i), *p)
                    for p in zip(args, axes, strict=True)
                ),
                **kwargs,
            )
            for i in range(sizes[0])
        ]
        return map_tree(_joined, results[0], _spread(results[0], out_dims), *results)

    return mapped


def _at_once(
    func: Function, args: Any, axes: Any, kwargs: dict[str, Any], size: int, out_dims: Any
) -> Any:
    """One call for all examples."""
    with Level(size) as level:
        own = (
            map_tree(lambda v, d: enter(v, d, level) if isinstance(v, Tensor) else v, *p)
            for p in zip(args, axes, strict=True)
        )
        start, y = next(clock), func(*own, **kwargs)
    if level.refused:
        raise BatchError("vmap: the run was given up, and the function went on")
    return map_tree(lambda v, d: _stacked(v, d, level, start), y, _spread(y, out_dims))


def _stacked(y: Any, dim: int | None, level: Level, start: int) -> Tensor:
    """The results of all examples along `dim`, in memory of their own; or the first."""
    nodes = reachable([edge_of(tensor_output(y))], start)
    if any(n.hooks or not isinstance(n, OpNode | AliasNode | CrossingNode) for n in nodes):
        raise BatchError("vmap: a gradient that the user computes, of one example at a time")
    found: Tensor = leave(y, dim or 0, level)
    if dim is None:
        return found[0]
    if found.array.base is not None:  # it may be an argument, or one row that all share
        found.array = found.array.copy()
    return found


def _spread(x: Any, dims: Any) -> Any:
    """One axis for each leaf of x: the same for all, or as a container says."""
    if not is_tree(x):
        return dims
    if isinstance(x, dict):
        return {k: _spread(v, dims[k] if isinstance(dims, dict) else dims) for k, v in x.items()}
    several = isinstance(dims, list | tuple)
    if several and len(dims) != len(x):
        raise ArgumentError(f"vmap: {len(dims)} axes for {len(x)} Tensors")
    return [_spread(v, dims[i] if several else dims) for i, v in enumerate(x)]


def _length(x: Any, dim: int) -> int:
    if not isinstance(x, Tensor) or not -x.ndim <= dim < x.ndim:
        raise ShapeError(f"vmap: there is no axis {dim} to map over", got=describe(x))
    return x.shape[dim]


def _one(x: Any, dim: int | None, i: int) -> Any:
    """Example i of x."""
    return x if dim is None else x[(slice(None),) * (dim % x.ndim) + (i,)]


def _joined(first: Any, dim: int | None, *results: Any) -> Any:
    if dim is None:
        return first
    for y in results:
        if tensor_output(y).shape != first.shape:
            raise ShapeError(
                "vmap: the examples have results of different shapes",
                expected=str(first.shape),
                got=str(y.shape),
            )
    stacked: Any = np.stack(list(results), axis=dim)
    return stacked
