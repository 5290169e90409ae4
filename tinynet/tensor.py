"""A value that remembers how it was made.

A `Tensor` is an array (NumPy or CuPy) with what backpropagation needs: whether its gradient is
wanted, the gradient once it is there, and the node that made it. Its arithmetic is not written
here: operators, methods and NumPy functions all look up an op in the registry, and the rooms above
attach the methods (`tensor.pyi` lists them all).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinynet import arrays, dtypes, printing
from tinynet.arrays import Array
from tinynet.batching import once_for_all
from tinynet.errors import ArgumentError, DTypeError, GraphError, ShapeError, describe
from tinynet.op import numpy_functions

_MAKERS = frozenset((np.zeros, np.ones, np.full, np.empty, np.arange, np.eye))


class Tensor:
    """An array that can be differentiated through. Make one with `tn.tensor(data)`.

    `Tensor(array)` wraps an array as it is. In PyTorch's older manner `Tensor(2, 3)` has that shape
    and values that are not set, and `Tensor([1, 2])` holds those numbers in the default dtype.

    array           the NumPy or CuPy array itself
    requires_grad   whether gradients flow to this value
    grad            dL/d(this), a Tensor of the same shape, after `backward()`
    grad_fn         the node that recorded how it was made; None for a leaf
    name            an optional name for messages and pictures

    >>> import tinynet as tn
    >>> x = tn.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # `_counter` is a one-element list: how often the values were changed in place. Tensors that
    # share memory share it.
    __slots__ = (
        "__weakref__",
        "_base",
        "_counter",
        "_grad",
        "_hooks",
        "_name",
        "_node",
        "_requires_grad",
        "array",
    )
    __hash__ = object.__hash__  # by identity; == compares entries, as in PyTorch

    array: Array

    def __init__(
        self,
        array: Array = (),
        *sizes: int,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        if sizes or type(array) is not np.ndarray:
            if sizes or isinstance(array, int | list | tuple):
                array = arrays.older((array, *sizes), dtypes.get_default_dtype())
            elif not arrays.is_array(array):
                raise DTypeError(
                    "Tensor() wraps an array", got=describe(array), hint="tn.tensor(data)"
                )
            elif arrays.on_cpu(array):
                array = np.asarray(array)  # a NumPy scalar becomes a 0-d array
        self.array, self._name = array, None
        if name is not None:
            self.name = name
        self._node: Any = None
        self._grad: Tensor | None = None
        self._hooks: dict[int, Callable[..., Any]] | None = None
        self._base: Any = None  # the `View` that says whose memory this one shows, and how
        self._counter = [0]
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # -- what it is --------------------------------------------------------------------------------

    @property
    def name(self) -> str | None:
        """What messages and pictures call it."""
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name
        if name is not None:
            arrays.call(self.array, name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self.array.ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries, a NumPy dtype."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def device(self) -> arrays.Device:
        """Where the entries live: 'cpu' or 'cuda:N'."""
        return arrays.device_of(self.array)

    @property
    def is_leaf(self) -> bool:
        """True for a value that no recorded op made: inputs and parameters."""
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """The node that recorded how this value was made; None for a leaf."""
        return self._node

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this value."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted and not dtypes.is_floating(self.dtype):
            raise DTypeError(
                "only floating-point tensors can require gradients: a derivative needs small steps",
                got=describe(self),
                hint="tensor.float()",
            )
        if not wanted and self._node is not None:
            raise GraphError(
                "only a leaf can stop requiring gradients; this value was computed",
                hint="x = x.detach()",
            )
        self._requires_grad = wanted

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        """dL/d(this) after `backward()`; None before, and for computed values without
        `retain_grad()`.
        """
        if self._grad is None and self._node is not None and not self._node.retains(self):
            warnings.warn(
                "this tensor was computed, and backward() keeps gradients of leaves only: "
                "call .retain_grad() on it before backward() to keep its gradient",
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        once_for_all("a new gradient", self.array)
        if value is not None:
            if not isinstance(value, Tensor):
                raise DTypeError("a gradient is a Tensor or None", got=describe(value))
            if value.shape != self.shape:
                raise ShapeError(
                    "a gradient has the shape of its tensor",
                    expected=str(self.shape),
                    got=str(value.shape),
                )
        self._grad = value

    # -- the same values without the history -------------------------------------------------------

    def detach(self) -> Tensor:
        """The same values (shared memory, shared version counter) cut off from the graph."""
        other = Tensor(self.array)
        other._counter = self._counter
        return other

    @property
    def data(self) -> Tensor:
        """`detach()`, under PyTorch's older name. Assigning replaces the values."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        array = value.array if isinstance(value, Tensor) else arrays.as_array(value)
        once_for_all("new data for a tensor", self.array)
        if array.shape != self.array.shape:
            raise ShapeError(
                "new data must have the old shape", expected=str(self.shape), got=str(array.shape)
            )
        self.array, self._base = array, None
        self._counter[0] += 1

    @property
    def _version(self) -> int:
        """How often the values were changed in place."""
        return self._counter[0]

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array that shares memory. Cuts the graph, so it asks for `detach()`
        first.
        """
        if self._requires_grad:
            raise GraphError(
                "a NumPy array cannot carry gradients: the chain would be cut here unseen",
                got=describe(self) + ", requires_grad=True",
                hint="x.detach().numpy()",
            )
        if not arrays.on_cpu(self.array):
            raise DTypeError(
                "the tensor lives on the GPU",
                got=f"{describe(self)} on {self.device}",
                hint="x.cpu().numpy()",
            )
        return np.asarray(self.array)

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.array.size != 1:
            raise ShapeError(
                "item() needs exactly one entry",
                got=describe(self),
                hint="x.tolist(), or reduce first",
            )
        return self.array.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.array.tolist()

    # -- Python's protocols ------------------------------------------------------------------------

    def __len__(self) -> int:
        if self.ndim == 0:
            raise DTypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise DTypeError("a 0-d tensor cannot be iterated", hint="x.item()")
        return (self[i] for i in range(self.shape[0]))  # type: ignore[index]

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ArgumentError(
                "the truth of a tensor with several entries is ambiguous",
                got=describe(self),
                hint="(x > 0).all() or (x > 0).any()",
            )
        return bool(self.array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "biu":
            raise DTypeError("only integer tensors can be used as an index", got=describe(self))
        return int(self.item())

    def __contains__(self, value: Any) -> bool:
        value = value.array if isinstance(value, Tensor) else value
        return bool((self.array == value).any())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 and spec else format(str(self), spec)

    def __repr__(self) -> str:
        return printing.text(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise GraphError(
                "only leaves can be deep-copied: a copy of a computed value would lose its history",
                hint="copy.deepcopy(x.detach())",
            )
        other = self.__class__.__new__(self.__class__)
        with arrays.home(self.array):
            values = self.array.copy()
            grad = None if self._grad is None else Tensor(self._grad.array.copy())
        Tensor.__init__(other, values, requires_grad=self._requires_grad, name=self.name)
        memo[id(self)], other._grad = other, grad
        return other

    def __reduce__(self) -> Any:
        raise DTypeError(
            "tensors are not pickled: unpickling a file can run code",
            hint="tn.save(obj, path) and tn.load(path)",
        )

    # -- NumPy's protocols: the second face --------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        if dtype is not None and dtype != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = method == "__call__"
        key, run = (ufunc, ufunc) if plain else ((ufunc, method), getattr(ufunc, method))
        name = ufunc.__name__ if plain else f"{ufunc.__name__}.{method}"
        if "out" in kwargs:
            return _into(run, name, inputs, kwargs)
        ours = numpy_functions.get(key)
        return _on_arrays(run, name, inputs, kwargs) if ours is None else ours(*inputs, **kwargs)

    def __array_function__(
        self, function: Any, _types: Any, inputs: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if function in _MAKERS:  # called as np.zeros(shape, like=self)
            return Tensor(function(*inputs, **kwargs, like=self.array))
        ours = numpy_functions.get(function)
        if ours is None:
            return _on_arrays(function, function.__name__, inputs, kwargs)
        return ours(*inputs, **kwargs)


def _unwrap(x: Any, name: str) -> Any:
    """Tensors in nested arguments become arrays; refuse where a gradient would be lost."""
    if isinstance(x, Tensor):
        if x._requires_grad:
            raise GraphError(
                f"np.{name} has no derivative in tinynet, and {describe(x)} requires gradients",
                hint="compose it from ops that have one, or x.detach() to let no gradient pass",
            )
        return x.array
    if isinstance(x, list | tuple):
        return type(x)(_unwrap(v, name) for v in x)
    return x


def _on_arrays(function: Any, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A NumPy function without an entry in the registry: run on arrays, if no gradient is lost."""
    kwargs = {key: _unwrap(value, name) for key, value in kwargs.items()}
    result = function(*_unwrap(inputs, name), **kwargs)
    array = arrays.is_array(result) and not isinstance(result, np.generic)
    return Tensor(result) if array else result


def _into(function: Any, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`np.add(a, t, out=b)`, and so `b += t` for an array b: allowed where no gradient is lost."""
    outs = kwargs.pop("out")
    arrays_out = tuple(_unwrap(out, name) for out in outs)
    for array in arrays_out:
        once_for_all("a change in place", array)
    function(*_unwrap(inputs, name), out=arrays_out, **kwargs)
    for out in outs:
        if isinstance(out, Tensor):
            out._counter[0] += 1
    return outs[0] if len(outs) == 1 else outs


def raw(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return x.array if isinstance(x, Tensor) else x
