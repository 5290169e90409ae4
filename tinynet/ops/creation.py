"""New Tensors: from data, of zeros and ones, along ranges, and at random.

Shapes are given as in PyTorch, `zeros(2, 3)` or `zeros((2, 3))`. Floating-point results have the
default dtype (float32) unless `dtype` says otherwise. Random functions take `generator=`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.errors import ArgumentError, describe
from tinynet.op import implements
from tinynet.ops.public import method, public
from tinynet.ops.shape import sizes
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor, raw


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """A new leaf with a copy of `data`: a number, nested lists, or an array.

    Python floats become float32 (the default dtype), whole numbers int64; an array keeps its dtype.

    >>> import tinynet as tn
    >>> tn.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    >>> tn.tensor(0.5, requires_grad=True)
    tensor(0.5000, requires_grad=True)
    """
    array = arrays.as_array(plain(data), dtype, device)
    with arrays.home(array):
        return Tensor(array.copy(), requires_grad=requires_grad, name=name)


def plain(data: Any) -> Any:
    """Data without Tensors in it."""
    if isinstance(data, list | tuple):
        return [plain(x) for x in data]
    return raw(data)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a Tensor, sharing memory with an array and returning a Tensor as it is where
    nothing must change. Gradients flow to a Tensor.
    """
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    return Tensor(arrays.as_array(plain(data), dtype, device))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A Tensor that shares memory with the array: a change to one is a change to both."""
    if not isinstance(array, np.ndarray):
        raise ArgumentError(
            "from_numpy needs a NumPy array", got=describe(array), hint="tn.tensor(data)"
        )
    return Tensor(array)


def _new(array: Any, device: Any, requires_grad: bool) -> Tensor:
    array = array if device is None else arrays.to_device(array, device)
    return Tensor(array, requires_grad=requires_grad)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor of the given shape with one value everywhere."""
    value = arrays.as_array(raw(fill_value), dtype, "cpu")
    return _new(np.full(sizes((size,)), value, value.dtype), device, requires_grad)


def zeros(
    size: Any = (),
    *more: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros.

    >>> import tinynet as tn
    >>> tn.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    shape = sizes((size, *more))
    return _new(np.zeros(shape, dtype or dtypes.get_default_dtype()), device, requires_grad)


def ones(
    size: Any = (),
    *more: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones."""
    shape = sizes((size, *more))
    return _new(np.ones(shape, dtype or dtypes.get_default_dtype()), device, requires_grad)


def empty(
    size: Any = (),
    *more: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor whose values are not set: they are whatever the memory held."""
    shape = sizes((size, *more))
    return _new(np.empty(shape, dtype or dtypes.get_default_dtype()), device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere; n × m, square by default."""
    return _new(np.eye(n, m, dtype=dtype or dtypes.get_default_dtype()), device, requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … up to, and without, end. `arange(n)` counts from 0.

    >>> import tinynet as tn
    >>> tn.arange(3), tn.arange(0, 1, 0.5)
    (tensor([0, 1, 2]), tensor([0.0000, 0.5000]))
    """
    start, end = (0, start) if end is None else (start, end)
    whole = all(isinstance(v, int) for v in (start, end, step))
    kind = np.dtype(dtype or (dtypes.int64 if whole else dtypes.get_default_dtype()))
    if kind.kind in "iu":
        start, end, step = int(start), int(end), int(step)
    if step == 0 or (end - start) / step < 0:
        raise ArgumentError(
            "arange: the step must lead from start to end", got=f"{start}, {end}, {step}"
        )
    values = start + step * np.arange(math.ceil((end - start) / step))
    return _new(values.astype(kind), device, requires_grad)


def _number(x: Any) -> Any:
    """A Python number, also of a 0-d Tensor."""
    return x.item() if isinstance(x, Tensor) else x


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` values from start to end, both included, evenly spaced."""
    values = np.linspace(_number(start), _number(end), steps)
    return _new(values.astype(dtype or dtypes.get_default_dtype()), device, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` values from base^start to base^end, with equal quotients.

    >>> import tinynet as tn
    >>> tn.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    values = float(base) ** np.linspace(_number(start), _number(end), steps)
    return _new(values.astype(dtype or dtypes.get_default_dtype()), device, requires_grad)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None
) -> Tensor:
    """Rows and columns (2, n) of the entries that `tril` keeps."""
    return _new(np.stack(np.tril_indices(row, offset, col)).astype(dtype), device, False)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None
) -> Tensor:
    """Rows and columns (2, n) of the entries that `triu` keeps."""
    return _new(np.stack(np.triu_indices(row, offset, col)).astype(dtype), device, False)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """The coordinates of a grid: one Tensor for each vector, all of the grid's shape.

    indexing    "ij": the first vector runs down the rows; "xy": along the columns

    >>> import tinynet as tn
    >>> tn.meshgrid(tn.tensor([1, 2]), tn.tensor([3, 4, 5]))[1]
    tensor([[3, 4, 5],
            [3, 4, 5]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ArgumentError("meshgrid: no such indexing", expected="'ij', 'xy'", got=indexing)
    axes = list(range(len(tensors)))
    if indexing == "xy":
        axes[:2] = reversed(axes[:2])
    shape = tuple(math.prod(tensors[axes.index(k)].shape) for k in range(len(tensors)))
    own = [tuple(-1 if k == axis else 1 for k in range(len(tensors))) for axis in axes]
    return tuple(
        np.broadcast_to(np.reshape(x, s), shape) for x, s in zip(tensors, own, strict=True)
    )


@implements(np.meshgrid)
def _np_meshgrid(*xi: Any, indexing: str = "xy") -> list[Any]:
    return list(meshgrid(*xi, indexing=indexing))


def _like(input: Any, make: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    array = raw(input)
    return _new(make(array, dtype=dtype or array.dtype), device, requires_grad)


def zeros_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the shape, dtype and device of another Tensor."""
    return _like(input, np.zeros_like, dtype, device, requires_grad)


def ones_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of the shape, dtype and device of another Tensor."""
    return _like(input, np.ones_like, dtype, device, requires_grad)


def empty_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor of the shape, dtype and device of another, with values not set."""
    return _like(input, np.empty_like, dtype, device, requires_grad)


def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value everywhere, in the shape, dtype and device of another Tensor."""
    return _like(
        input,
        lambda x, dtype: np.full_like(x, fill_value, dtype=dtype),
        dtype,
        device,
        requires_grad,
    )


# -- with the dtype and device of another ----------------------------------------------------------


def _new_of(make: Any) -> Any:
    """The method `x.new_...`: `make` with the dtype and device of x, unless others are named."""

    def function(
        self: Tensor,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        **options: Any,
    ) -> Tensor:
        made: Tensor = make(
            *args,
            dtype=dtype or self.dtype,
            device=device or self.device,
            requires_grad=requires_grad,
            **options,
        )
        return made

    function.__doc__ = f"`tn.{make.__name__}` with the dtype and device of this Tensor."
    return function


for _make in (tensor, zeros, ones, full, empty):
    method(f"new_{_make.__name__}", _new_of(_make))


# -- random ----------------------------------------------------------------------------------------


def _generator(generator: Generator | None, device: Any) -> Generator:
    return generator or default_generator(device or "cpu")


def rand(
    size: Any = (),
    *more: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1)."""
    shape = sizes((size, *more))
    array = _generator(generator, device).random(shape, dtype)
    return Tensor(array, requires_grad=requires_grad)


def randn(
    size: Any = (),
    *more: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and variance 1."""
    shape = sizes((size, *more))
    array = _generator(generator, device).standard_normal(shape, dtype)
    return Tensor(array, requires_grad=requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Whole numbers from low up to, and without, high. `randint(high, size)` counts from 0.

    >>> import tinynet as tn
    >>> x = tn.randint(0, 10, (5,))
    >>> bool(((x >= 0) & (x < 10)).all())
    True
    """
    if size is None:
        low, high, size = 0, low, high
    if not low < high:
        raise ArgumentError("randint needs low < high", got=f"{low}, {high}")
    return Tensor(_generator(generator, device).integers(low, high, sizes((size,)), dtype))


def randperm(n: int, *, generator: Generator | None = None, device: Any = None) -> Tensor:
    """The numbers 0 … n − 1 in random order."""
    return Tensor(_generator(generator, device).permutation(n))


def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """`rand` in the shape, dtype and device of another Tensor."""
    dtype, device = dtype or input.dtype, device or input.device
    return rand(input.shape, generator=generator, dtype=dtype, device=device)


def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """`randn` in the shape, dtype and device of another Tensor."""
    dtype, device = dtype or input.dtype, device or input.device
    return randn(input.shape, generator=generator, dtype=dtype, device=device)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that stands in each entry, else 0."""
    p = raw(input)
    if p.size and not bool(((p >= 0) & (p <= 1)).all()):
        raise ArgumentError("bernoulli: probabilities lie between 0 and 1")
    u = _generator(generator, arrays.device_of(p)).random(p.shape, p.dtype)
    return Tensor((u < p).astype(p.dtype))


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Any:
    """Normal with the given mean and standard deviation: numbers with a size, or Tensors that
    broadcast (gradients flow to them: mean + std · z is the reparametrization trick).
    """
    if size is None:
        size = np.broadcast_shapes(np.shape(raw(mean)), np.shape(raw(std)))
    return mean + std * randn(size, generator=generator, dtype=dtype, device=device)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """`randint` in the shape, dtype and device of another Tensor."""
    low, high = (0, low) if high is None else (low, high)
    dtype, device = dtype or input.dtype, device or input.device
    return randint(low, high, input.shape, generator=generator, dtype=dtype, device=device)


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Class numbers drawn with probabilities in proportion to the entries of each row.

    Shapes: (classes,) -> (num_samples,); (n, classes) -> (n, num_samples). Without replacement no
    class is drawn twice: the classes with the smallest E/w win, E exponentially distributed.

    >>> import tinynet as tn
    >>> tn.multinomial(tn.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    w = raw(input)
    if w.ndim not in (1, 2) or not dtypes.is_floating(w.dtype) or w.shape[-1] == 0:
        raise ArgumentError("multinomial needs a vector or rows of weights", got=describe(input))
    if not bool((np.isfinite(w) & (w >= 0)).all()) or bool((w.sum(-1) <= 0).any()):
        raise ArgumentError("multinomial: weights are not negative, finite, and not all 0")
    source = _generator(generator, arrays.device_of(w))
    if replacement:
        total = np.cumsum(w, axis=-1, dtype=dtypes.float64)
        u = source.random((*w.shape[:-1], num_samples), dtypes.float64) * total[..., -1:]
        return Tensor(np.sum(u[..., None] >= total[..., None, :], axis=-1))
    if num_samples > int(np.count_nonzero(w, axis=-1).min()):
        raise ArgumentError(f"multinomial: there are no {num_samples} classes to draw from")
    waiting = -np.log1p(-source.random(w.shape, dtypes.float64))
    keys = np.where(w > 0, waiting / np.where(w > 0, w, 1), math.inf)
    return Tensor(np.argsort(keys, axis=-1)[..., :num_samples])


for _function in (
    *(tensor, as_tensor, from_numpy, full, zeros, ones, empty, eye, arange, linspace),
    *(zeros_like, ones_like, empty_like, full_like, rand_like, randn_like),
    *(rand, randn, randint, randperm, normal, randint_like),
    *(logspace, tril_indices, triu_indices, meshgrid),
):
    public(_function, as_method=False)
public(bernoulli)
public(multinomial)
public(as_tensor, name="asarray", as_method=False)

# What rules may create when g is a Tensor.
implements(np.zeros_like)(zeros_like)
implements(np.ones_like)(ones_like)
implements(np.full_like)(full_like)
