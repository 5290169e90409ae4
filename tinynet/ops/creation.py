"""New Tensors: from data, of zeros and ones, along ranges, and at random.

Shapes are given as in PyTorch, `zeros(2, 3)` or `zeros((2, 3))`. Floating-point results have the
default dtype (float32) unless `dtype` says otherwise. Random functions take `generator=`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError, describe
from tinynet.op import implements
from tinynet.ops.public import public
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
    array = arrays.as_array(_plain(data), dtype, device)
    return Tensor(array.copy(), requires_grad, name)


def _plain(data: Any) -> Any:
    """Data without Tensors in it."""
    if isinstance(data, list | tuple):
        return [_plain(x) for x in data]
    return raw(data)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a Tensor, sharing memory with an array and returning a Tensor as it is where
    nothing must change.
    """
    if isinstance(data, Tensor) and dtype is None and device is None:
        return data
    return Tensor(arrays.as_array(_plain(data), dtype, device))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A Tensor that shares memory with the array: a change to one is a change to both."""
    if not isinstance(array, np.ndarray):
        raise ArgumentError(
            "from_numpy needs a NumPy array", got=describe(array), hint="tn.tensor(data)"
        )
    return Tensor(array)


def _new(array: Any, device: Any, requires_grad: bool) -> Tensor:
    return Tensor(array if device is None else arrays.to_device(array, device), requires_grad)


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


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros.

    >>> import tinynet as tn
    >>> tn.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return _new(np.zeros(sizes(size), dtype or arrays.get_default_dtype()), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return _new(np.ones(sizes(size), dtype or arrays.get_default_dtype()), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor whose values are not set: they are whatever the memory held."""
    return _new(np.empty(sizes(size), dtype or arrays.get_default_dtype()), device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere; n × m, square by default."""
    return _new(np.eye(n, m, dtype=dtype or arrays.get_default_dtype()), device, requires_grad)


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
    if step == 0 or (end - start) / step < 0:
        raise ArgumentError(
            "arange: the step must lead from start to end", got=f"{start}, {end}, {step}"
        )
    count = math.ceil((end - start) / step)
    whole = all(isinstance(v, int) for v in (start, end, step))
    values = start + step * np.arange(count)
    return _new(
        values.astype(dtype or (arrays.int64 if whole else arrays.get_default_dtype())),
        device,
        requires_grad,
    )


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` values from start to end, both included, evenly spaced."""
    values = np.linspace(start, end, steps)
    return _new(values.astype(dtype or arrays.get_default_dtype()), device, requires_grad)


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


# -- random ----------------------------------------------------------------------------------------


def _generator(generator: Generator | None, device: Any) -> Generator:
    return generator or default_generator(device or "cpu")


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1)."""
    return Tensor(_generator(generator, device).random(sizes(size), dtype), requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and variance 1."""
    return Tensor(_generator(generator, device).standard_normal(sizes(size), dtype), requires_grad)


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


def rand_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None) -> Tensor:
    """`rand` in the shape, dtype and device of another Tensor."""
    return rand(input.shape, generator=generator, dtype=dtype or input.dtype, device=input.device)


def randn_like(input: Tensor, *, generator: Generator | None = None, dtype: Any = None) -> Tensor:
    """`randn` in the shape, dtype and device of another Tensor."""
    return randn(input.shape, generator=generator, dtype=dtype or input.dtype, device=input.device)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that stands in each entry, else 0."""
    p = raw(input)
    if p.size and not bool(((p >= 0) & (p <= 1)).all()):
        raise ArgumentError("bernoulli: probabilities lie between 0 and 1")
    u = _generator(generator, arrays.device_of(p)).random(p.shape, p.dtype)
    return Tensor((u < p).astype(p.dtype))


def normal(
    mean: float = 0.0, std: float = 1.0, size: Any = (), *, generator: Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return mean + std * randn(size, generator=generator)


for _function in (
    *(tensor, as_tensor, from_numpy, full, zeros, ones, empty, eye, arange, linspace),
    *(zeros_like, ones_like, empty_like, full_like, rand_like, randn_like),
    *(rand, randn, randint, randperm, bernoulli, normal),
):
    public(_function, as_method=False)

# What rules may create when g is a Tensor.
implements(np.zeros_like)(zeros_like)
implements(np.ones_like)(ones_like)
implements(np.full_like)(full_like)
