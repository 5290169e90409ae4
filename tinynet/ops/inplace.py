"""Changing a Tensor's own memory: `x += y`, `x[i] = y`, `x.zero_()`.

An in-place op is the ordinary op, its result written over the old values: the version counter goes
up, and the Tensor takes over the result's place in the graph. Whoever saved the old values notices
by the counter.

A leaf that requires gradients refuses outside `no_grad()`: afterwards nobody could say which of its
two values the gradient belongs to. A change of a view is a change of the Tensor whose memory it
shows (`_through`); other views of that memory notice when they are next used (`autograd.renew`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from tinynet import arrays, dtypes
from tinynet.autograd import place
from tinynet.batching import once_for_all
from tinynet.crossing import alike
from tinynet.errors import InPlaceError, ShapeError, describe
from tinynet.grad_mode import is_grad_enabled
from tinynet.ops import composed, pieces, products, scans  # noqa: F401  they make the names
from tinynet.ops.creation import as_tensor
from tinynet.ops.indexing import getitem, plain_index, put
from tinynet.ops.public import exports, method
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor, raw
from tinynet.views import renew


def overwrite(x: Tensor, result: Any) -> Tensor:
    """Write `result` over x and let x take its place in the graph."""
    once_for_all("a change in place", x.array)
    values = raw(result)
    if np.shape(values) not in (x.shape, ()):
        raise ShapeError(
            "an in-place change cannot change the shape",
            expected=str(x.shape),
            got=str(np.shape(values)),
        )
    if is_grad_enabled():
        if x.is_leaf and x.requires_grad:
            raise InPlaceError(
                "a leaf that requires gradients is being used in an in-place operation",
                got=describe(x),
                hint="with tn.no_grad(): ... to change a parameter, or x = x + 1 for a new value",
            )
        recorded = isinstance(result, Tensor) and result.requires_grad
        if x._base is not None and (recorded or _owner(x).requires_grad):
            return _through(x, result)
        x._requires_grad, x._node = recorded, result._node if recorded else None
    with arrays.home(x.array):  # also for `zero_` and its like
        x.array[...] = values
    x._counter[0] += 1
    return x


def _owner(x: Tensor) -> Tensor:
    """The Tensor whose memory x shows in the end; x itself if it is no view."""
    while x._base is not None:
        x = x._base.parent
    return x


def _through(x: Tensor, result: Any) -> Tensor:
    """Change a view by changing its parent where the view shows it; the view is then taken anew.

    A part that was picked is put back; reshape and permute only rearrange, and are undone by their
    own rules.
    """
    view = x._base
    new = result if isinstance(result, Tensor) else as_tensor(result, device=x.device)
    new = new.to(x.dtype).broadcast_to(x.shape)
    if not x.array.flags.writeable:
        raise InPlaceError(
            "several entries of an expanded tensor share one place", hint="x.clone()"
        )
    if view.op is getitem:
        whole = put(view.parent, new, index=view.options["index"])
    else:
        whole = view.op.rule(0)(new, None, view.parent, **view.options)
    overwrite(view.parent, whole)
    renew(x)
    return x


def _before(x: Tensor) -> Tensor:
    """x as it is now, for the op to save: a copy at the same place in the graph."""
    if not is_grad_enabled():
        return x
    renew(x)
    if x._node is None:
        return x if x.requires_grad else Tensor(x.array.copy())
    return place(x.array.copy(), x._node)


def in_place(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """The in-place form of a function: its result is written over its first argument."""

    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return overwrite(self, function(_before(self), *args, **kwargs))

    return _at_home(changed)


F = TypeVar("F", bound=Callable[..., Any])


def _at_home(function: F) -> F:
    """The function, run on the GPU of its first argument."""

    @wraps(function)
    def there(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        with arrays.home(self.array):
            return function(self, *args, **kwargs)

    return cast(F, there)


_IN_PLACE = """
    add sub mul div pow neg abs exp log sqrt square reciprocal sin cos tanh sigmoid relu clamp lerp
    round floor ceil remainder floor_divide masked_fill scatter scatter_add index_add
    rsqrt trunc frac sign tan asin acos atan sinh cosh erf exp2 expm1 log1p log2 log10 fmod
    tril triu cumsum cumprod addcmul addcdiv addmm baddbmm clamp_min clamp_max nan_to_num
    logical_not logical_and logical_or bitwise_and bitwise_or eq ne lt le gt ge
    scatter_reduce index_fill index_copy index_put
"""
for _name in _IN_PLACE.split():
    _function = in_place(exports[_name])
    _function.__doc__ = f"`{_name}`, written over this Tensor's own values."
    method(f"{_name}_", _function)
for _name, _op in {
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "itruediv": "div",
    "ipow": "pow",
}.items():
    method(f"__{_name}__", in_place(exports[_op]))


@_at_home
def _setitem(self: Tensor, index: Any, value: Any) -> None:
    """self[index] = value."""
    once_for_all("a change in place", self.array)
    index = plain_index(index, self.array)
    value = (
        value
        if isinstance(value, Tensor)
        else as_tensor(value, dtype=self.dtype, device=self.device)
    )
    if is_grad_enabled() and (_owner(self).requires_grad or value.requires_grad):
        overwrite(self, put(_before(self), value.to(self.dtype), index=index))
    else:
        arrays.same_device((self.array, value.array), ("the tensor", "the new values"))
        self.array[index] = value.array
        self._counter[0] += 1


def zero_(self: Tensor) -> Tensor:
    """All entries 0."""
    return overwrite(self, 0)


def fill_(self: Tensor, value: float) -> Tensor:
    """All entries `value`."""
    return overwrite(self, value)


def copy_(self: Tensor, src: Any) -> Tensor:
    """The values of `src`, cast and broadcast to this Tensor's dtype and shape; gradients flow to
    `src`.
    """
    src = as_tensor(src).to(self.dtype).to(self.device)
    _, src = alike(self, src)
    return overwrite(self, src if src.shape == self.shape else src.broadcast_to(self.shape))


@_at_home
def uniform_(
    self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Entries drawn uniformly from [a, b)."""
    source = generator or default_generator(self.device)
    return overwrite(self, a + (b - a) * source.random(self.shape, self.dtype))


@_at_home
def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Entries drawn from the normal distribution."""
    source = generator or default_generator(self.device)
    return overwrite(self, mean + std * source.standard_normal(self.shape, self.dtype))


@_at_home
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Each entry 1 with probability p, a number or a Tensor that broadcasts, else 0."""
    source = generator or default_generator(self.device)
    return overwrite(self, (source.random(self.shape) < raw(p)).astype(self.dtype))


@_at_home
def random_(
    self: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Whole numbers drawn from low up to, and without, high; `random_(high)` counts from 0."""
    if high is None and low:
        low, high = 0, low
    if high is None:  # as far as the dtype counts without gaps
        real = dtypes.is_floating(self.dtype)
        high = int(2 / dtypes.finfo(self.dtype).eps) if real else dtypes.iinfo(self.dtype).max
    source = generator or default_generator(self.device)
    return overwrite(self, source.integers(low, high, self.shape, self.dtype))


@_at_home
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Entries drawn from the density λ e^(−λx), x > 0."""
    source = generator or default_generator(self.device)
    return overwrite(self, -np.log1p(-source.random(self.shape, self.dtype)) / lambd)


def fill_diagonal_(self: Tensor, fill_value: float) -> Tensor:
    """The entries whose indices are all equal set to one value.

    >>> import tinynet as tn
    >>> tn.zeros(2, 3).fill_diagonal_(1)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if self.ndim < 2:
        raise ShapeError("fill_diagonal_: a matrix is expected", got=describe(self))
    self[(np.arange(min(self.shape)),) * self.ndim] = fill_value
    return self


def detach_(self: Tensor) -> Tensor:
    """Cut this Tensor itself off from the graph; it becomes a leaf without gradients."""
    self._node, self._base, self._requires_grad = None, None, False
    return self


for _function in (
    *(zero_, fill_, copy_, uniform_, normal_, bernoulli_, random_, exponential_),
    *(fill_diagonal_, detach_),
):
    method(_function.__name__, _function)


# -- another shape ---------------------------------------------------------------------------------


def _reshaped(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """The form of a view that changes the Tensor itself: the same memory under another shape."""

    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.is_leaf and self.requires_grad and is_grad_enabled():
            raise InPlaceError(
                "the shape of a leaf that requires gradients is being changed",
                got=describe(self),
                hint=f"x = x.{function.__name__}(...), or x.detach()",
            )
        renew(self)
        before = self.detach()
        before._requires_grad, before._node = self._requires_grad, self._node
        before._base = self._base
        after = function(before, *args, **kwargs)
        self.array, self._node, self._base = after.array, after._node, after._base
        return self

    return changed


for _name in ("squeeze", "unsqueeze", "t", "transpose", "swapaxes"):
    _changed = _reshaped(exports[_name])
    _changed.__doc__ = (
        f"`{_name}` of this Tensor itself. Views that were taken of it stay as they are."
    )
    method(f"{_name}_", _changed)
method("__setitem__", _setitem)
