"""Functions of functions: from f to its gradient, its Jacobian, its Hessian.

All of them call f on Tensors and walk back through the recording; a walk that is recorded can be
walked again, so they nest: `grad(grad(f))` is the second derivative.

Where one Tensor may stand as an argument of `grad` or `vmap`, so may a dict, list or tuple of them:
all parameters of a model, by name. `functional_call` runs a model with such a dict in place of its
own parameters.

`jvp`, the derivative in a direction, is reverse mode twice: u -> Jᵀu is linear, and its own
transpose is v -> Jv.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.autograd import AliasNode, edge_of, leaves_of, place
from tinynet.autograd import grad as _gradients
from tinynet.crossing import inside
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.grad_mode import enable_grad
from tinynet.tensor import Tensor, raw
from tinynet.vectorize import map_tree, tensor_output, vmap

__all__ = ["functional_call", "grad", "hessian", "hvp", "jacfwd", "jacrev", "jvp"]
__all__ += ["value_and_grad", "vjp", "vmap"]

Function = Callable[..., Any]


_depth = ContextVar("depth", default=0)  # how many transforms are running, one inside the other


@contextmanager
def _inside() -> Iterator[None]:
    _depth.set(_depth.get() + 1)
    try:
        with enable_grad():
            yield
    finally:
        _depth.set(_depth.get() - 1)


class _Argument(Tensor):
    """A leaf that a transform made for itself: nobody outside waits for its gradient."""

    __slots__ = ()


def _fresh(x: Any, i: int) -> Tensor:
    """A new name for an input, from which the derivative is taken; it stays connected to what x was
    computed from.
    """
    if not isinstance(x, Tensor):
        x = Tensor(arrays.as_array(x))
    x = inside(x)
    if not dtypes.is_floating(x.dtype):
        raise DTypeError(
            f"argument {i} must be floating point to be differentiated",
            got=describe(x),
            hint="x.float()",
        )
    edge = edge_of(x)
    if edge is None:
        return _Argument(x.array, requires_grad=True)
    return place(x.array, AliasNode([edge]))


def _is_open(output: Tensor) -> bool:
    """Whether the result should itself be recorded: inside another transform, or when outer values
    take part.
    """
    if not output.requires_grad:
        return False
    return _depth.get() > 1 or any(not isinstance(leaf, _Argument) for leaf in leaves_of(output))


def _scalar(y: Any) -> Tensor:
    if not isinstance(y, Tensor) or y.array.size != 1 or y.ndim:
        raise ShapeError(
            "the function must return a 0-d Tensor, the value to be differentiated",
            got=describe(y),
            hint="y.sum(), or jacrev(f) for a function with many outputs",
        )
    return y


def _pull(
    y: Tensor, own: Sequence[Tensor], cotangent: Any, open_: bool, retain: bool = False
) -> tuple[Tensor, ...]:
    """Jᵀ cotangent for each input, zeros where y does not depend on it."""
    if not y.requires_grad:
        return tuple(Tensor(np.zeros_like(x.array)) for x in own)
    found = _gradients(y, own, cotangent, retain or open_, create_graph=open_, allow_unused=True)
    return tuple(
        Tensor(np.zeros_like(x.array)) if g is None else g for g, x in zip(found, own, strict=True)
    )


def value_and_grad(
    func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """From f to a function that returns (f(*args), df/d args[argnums]).

    argnums  the number of the argument to differentiate by, or a tuple of numbers; the gradient
             of a dict, list or tuple of Tensors is such a dict, list or tuple
    has_aux  f returns (value, aux); the result is then ((value, aux), gradient)

    >>> import tinynet as tn
    >>> tn.func.value_and_grad(lambda x: (x * x).sum())(tn.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        if any(not -len(args) <= n < len(args) for n in numbers):
            raise ArgumentError(f"argnums {argnums} of {len(args)} positional argument(s)")
        with _inside():
            full = list(args)
            own: list[Tensor] = []
            for n in numbers:
                full[n] = map_tree(lambda x, n=n: _fresh(x, n), args[n])
                map_tree(own.append, full[n])
            result = func(*full, **kwargs)
            y = _scalar(result[0] if has_aux else result)
            open_ = _is_open(y)
            gradients = _pull(y, own, None, open_)
            value = y if open_ else y.detach()
        left = iter(gradients)
        found = tuple(map_tree(lambda _: next(left), full[n]) for n in numbers)
        found = found[0] if isinstance(argnums, int) else found
        return ((value, result[1]) if has_aux else value), found

    return transformed


def grad(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """From a scalar function f to its gradient df/d args[argnums].

    >>> import tinynet as tn
    >>> tn.func.grad(tn.func.grad(lambda x: x**3))(tn.tensor(2.0))
    tensor(12.)
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        value, gradient = value_and_grad(func, argnums, has_aux)(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return transformed


def vjp(func: Function, *primals: Any) -> tuple[Tensor, Callable[[Any], tuple[Tensor, ...]]]:
    """(f(*primals), pullback), where pullback(u) = (Jᵀu for each argument) and may be called many
    times.

    >>> import tinynet as tn
    >>> y, pullback = tn.func.vjp(lambda x: x * x, tn.tensor([1.0, 2.0]))
    >>> pullback(tn.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    with _inside():
        own = [_fresh(x, i) for i, x in enumerate(primals)]
        y = tensor_output(func(*own))
        open_ = _is_open(y)

    def pullback(cotangent: Any) -> tuple[Tensor, ...]:
        return _pull(y, own, cotangent, open_, retain=True)

    return (y if open_ else y.detach()), pullback


def jvp(func: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """(f(*primals), J · tangents): how the output moves when the inputs move along the tangents.

    >>> import tinynet as tn
    >>> tn.func.jvp(lambda x: x * x, (tn.tensor([1.0, 2.0]),), (tn.tensor([1.0, 0.5]),))
    (tensor([1., 4.]), tensor([2., 2.]))
    """
    if len(primals) != len(tangents):
        raise ArgumentError(f"{len(primals)} primals need as many tangents", got=str(len(tangents)))
    for x, v in zip(primals, tangents, strict=True):
        if np.shape(raw(x)) != np.shape(raw(v)):
            raise ShapeError(
                "a tangent has the shape of its primal",
                expected=str(np.shape(raw(x))),
                got=str(np.shape(raw(v))),
            )
    with _inside():
        own = [_fresh(x, i) for i, x in enumerate(primals)]
        y = tensor_output(func(*own))
        open_ = _is_open(y)
        shown = y if open_ else y.detach()
        if not y.requires_grad:
            return shown, Tensor(np.zeros_like(y.array))
        u = Tensor(np.zeros_like(y.array), requires_grad=True)
        pulled = _gradients(y, own, u, create_graph=True, allow_unused=True)
        pairs = [
            (g, v)
            for g, v in zip(pulled, tangents, strict=True)
            if g is not None and g.requires_grad
        ]
        if not pairs:
            return shown, Tensor(np.zeros_like(y.array))
        (moved,) = _gradients(
            [g for g, _ in pairs], u, [v for _, v in pairs], create_graph=open_, allow_unused=True
        )
    return shown, Tensor(np.zeros_like(y.array)) if moved is None else moved


def _basis(x: Any) -> Iterator[Tensor]:
    """The unit tensors of x's shape, one after the other."""
    for i in range(x.array.size):
        unit = np.zeros(x.array.size, dtype=x.dtype, like=x.array)
        unit[i] = 1
        yield Tensor(np.reshape(unit, x.shape))


def _stack(columns: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    if not columns:
        return Tensor(np.zeros(shape, dtype=dtypes.get_default_dtype()))
    stacked: Any = np.stack(list[Any](columns))
    return Tensor.reshape(stacked, shape)


def jacrev(func: Function, argnums: int = 0) -> Function:
    """The Jacobian df/d args[argnums], of shape output.shape + input.shape, one output at a time.

    >>> import tinynet as tn
    >>> tn.func.jacrev(lambda x: x * x)(tn.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def transformed(*args: Any) -> Tensor:
        with _inside():
            own = _fresh(args[argnums], argnums)
            y = tensor_output(func(*args[:argnums], own, *args[argnums + 1 :]))
            open_ = _is_open(y)
            rows = [_pull(y, [own], unit, open_, retain=True)[0] for unit in _basis(y)]
            return _stack(rows, (*y.shape, *own.shape))

    return transformed


def jacfwd(func: Function, argnums: int = 0) -> Function:
    """The Jacobian as `jacrev`, one input at a time: the cheaper way where inputs are few and
    outputs many.

    >>> import tinynet as tn
    >>> tn.func.jacfwd(lambda x: x * x)(tn.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def transformed(*args: Any) -> Tensor:
        x = args[argnums]
        x = x if isinstance(x, Tensor) else Tensor(arrays.as_array(x))

        def of_x(v: Tensor) -> Any:
            return func(*args[:argnums], v, *args[argnums + 1 :])

        columns = [jvp(of_x, (x,), (unit,))[1] for unit in _basis(x)]
        if not columns:
            return _stack([], (*tensor_output(of_x(x)).shape, *x.shape))
        y_shape = columns[0].shape
        table = _stack(columns, (x.array.size, *y_shape))
        return table.movedim(0, -1).reshape(*y_shape, *x.shape)

    return transformed


def hessian(func: Function, argnums: int = 0) -> Function:
    """The second derivatives of a scalar function, of shape input.shape + input.shape.

    >>> import tinynet as tn
    >>> tn.func.hessian(lambda x: (x**3).sum())(tn.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(grad(func, argnums), argnums)


def hvp(func: Function, inputs: Any, v: Any) -> tuple[Tensor, Any]:
    """(f(x), H v): the Hessian times a direction, at the cost of two walks, without the Hessian.

    `inputs` and `v` are Tensors, or tuples of Tensors of the same shapes.

    >>> import tinynet as tn
    >>> tn.func.hvp(lambda x: (x**3).sum(), tn.tensor([1.0, 2.0]), tn.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    several = isinstance(inputs, list | tuple)
    xs, vs = (tuple(inputs), tuple(v)) if several else ((inputs,), (v,))
    with _inside():
        own = [_fresh(x, i) for i, x in enumerate(xs)]
        y = _scalar(func(*own))
        open_ = _is_open(y)
        zeros = tuple(Tensor(np.zeros_like(x.array)) for x in own)
        gradients = (
            _gradients(y, own, create_graph=True, allow_unused=True) if y.requires_grad else ()
        )
        pairs = [
            (g, u) for g, u in zip(gradients, vs, strict=False) if g is not None and g.requires_grad
        ]
        found: Sequence[Tensor | None] = zeros
        if pairs:
            found = _gradients(
                [g for g, _ in pairs],
                own,
                [u for _, u in pairs],
                create_graph=open_,
                allow_unused=True,
            )
    products = tuple(z if h is None else h for h, z in zip(found, zeros, strict=True))
    return (y if open_ else y.detach()), products if several else products[0]


# -- one example at a time, another model's parameters ---------------------------------------------


_PLACE = ("array", "_requires_grad", "_node", "_counter", "_base")


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with these Tensors in place of its parameters and buffers.

    Gradients flow to the given Tensors, and so do changes in place (of running means). Names that
    are not given keep the module's own values; with `strict`, all must be given. `args` is a tuple,
    or the only argument. Raises ArgumentError for a name that the module does not have.

    >>> import tinynet as tn
    >>> layer = tn.nn.Linear(2, 1)
    >>> zeros = {name: tn.zeros(p.shape) for name, p in layer.named_parameters()}
    >>> tn.func.functional_call(layer, zeros, tn.ones(3, 2)).tolist()
    [[0.0], [0.0], [0.0]]
    """
    dicts = parameter_and_buffer_dicts
    given = {k: v for d in ((dicts,) if isinstance(dicts, dict) else dicts) for k, v in d.items()}
    if strict:
        missing = {k for k, _ in (*module.named_parameters(), *module.named_buffers())} - {*given}
        if missing:
            raise ArgumentError("strict: some are not given", got=", ".join(sorted(missing)))
    owners = [_named(module, name) for name in given]
    before = [[getattr(owner, slot) for slot in _PLACE] for owner in owners]
    try:
        for owner, x in zip(owners, given.values(), strict=True):
            node = AliasNode([x]) if x._requires_grad and x._node is None else x._node
            for slot, value in zip(
                _PLACE, (x.array, x._requires_grad, node, x._counter, x._base), strict=True
            ):
                setattr(owner, slot, value)
        args = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*args, **(kwargs or {}))
    finally:
        for owner, values in reversed(list(zip(owners, before, strict=True))):
            for slot, value in zip(_PLACE, values, strict=True):
                setattr(owner, slot, value)


def _named(module: Any, name: str) -> Tensor:
    """The parameter or buffer under a dotted name."""
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Tensor):
        raise ArgumentError(f"{type(module).__name__} has no parameter or buffer {name!r}")
    return found
