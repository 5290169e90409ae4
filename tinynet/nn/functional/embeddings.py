"""Tables of vectors without memory: the table is an argument. `derivations/embedding.py` has the
proof.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations import embedding as _embedding
from tinynet.derivations.lookup import check_ids
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, describe
from tinynet.grad_mode import no_grad
from tinynet.ops.indexing import scatter
from tinynet.tensor import Tensor, raw


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Row `input` of the weight. Shapes: input (…) of whole numbers, weight (V, d), y (…, d).

    A row's gradient is the sum over all places where it was looked up. Derived in
    `tinynet/derivations/embedding.py`. Raises DTypeError, or OutOfRangeError where there is no row.

    padding_idx         this row, which may count from the end, gets no gradient
    max_norm            rows that are looked up and are longer are first shortened to it, in place,
                        outside of the tape; `norm_type` is the p of their p-norm
    scale_grad_by_freq  a row's gradient is divided by how often it was looked up: the mean
    sparse              accepted, and of no effect: gradients are dense here

    >>> import tinynet as tn
    >>> embedding(tn.tensor([2, 0]), tn.tensor([[1.0], [2.0], [3.0]]))
    tensor([[3.],
            [1.]])
    """
    # A copy: a batch whose memory is used again changes no gradient.
    ids = Tensor(_array(input).copy(), name=getattr(input, "name", None))
    if max_norm is not None:
        _shorten(ids, weight, max_norm, norm_type)
    y, rows = _embedding.op(ids, weight), weight.shape[0]
    if scale_grad_by_freq:
        y = _averaged(y, ids, rows)
    padded = _padded("embedding", ids, rows, padding_idx)
    return y if padded is None else np.where(Tensor(np.expand_dims(padded, -1)), y.detach(), y)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or entrywise maximum of the rows that each bag of ids names.

    Shapes: weight (V, d); input (b, n), b bags of n ids, or (N,) with `offsets` (b,), where the
    bags begin (and with `include_last_offset` (b + 1,), where the last one ends too); y (b, d), 0
    for an empty bag. `per_sample_weights`, of the input's shape and for mode 'sum' only, weigh the
    rows. `padding_idx` is no member of its bag. The other options are those of `embedding`.
    Raises ShapeError, DTypeError, ArgumentError, or OutOfRangeError where there is no row.

    >>> import tinynet as tn
    >>> table = tn.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 0.0]])
    >>> embedding_bag(tn.tensor([0, 1, 2]), table, tn.tensor([0, 2]), mode="sum")
    tensor([[ 3., 30.],
            [ 6.,  0.]])
    """
    ids, bag, bags = _bags(input, offsets, include_last_offset)
    if max_norm is not None:
        _shorten(ids, weight, max_norm, norm_type)
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError("embedding_bag: no such mode", expected="sum, mean, max", got=mode)
    _check_weights(input, mode, per_sample_weights, scale_grad_by_freq)
    rows = weight.shape[0]
    padded = _padded("embedding_bag", ids, rows, padding_idx)
    if padded is not None:  # what is no member is left out
        kept = np.nonzero(~padded)[0]
        ids, bag = Tensor(ids.array[kept]), bag[kept]
    y = _embedding.op(ids, weight)
    if scale_grad_by_freq:
        y = _averaged(y, ids, rows)
    if per_sample_weights is not None:
        w = per_sample_weights.reshape(-1)
        y = y * np.expand_dims(w if padded is None else w[kept], -1)
    if mode == "max":
        return _largest(y, bag, bags)
    total = scatter(y, index=bag, shape=(bags, weight.shape[1]))
    if mode == "sum":
        return total
    count = np.maximum(np.bincount(bag, minlength=bags), 1)
    return total / Tensor(np.expand_dims(count, -1).astype(total.dtype))


def _array(ids: Any) -> Any:
    if not hasattr(ids, "dtype"):
        raise DTypeError("ids are a tensor", got=describe(ids), hint="tn.tensor(ids)")
    return raw(ids)


# -- bags ------------------------------------------------------------------------------------------


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> tuple[Tensor, Any, int]:
    """The ids in a row (copied), the number of the bag of each, and how many bags there are."""
    ids = _array(input)
    if ids.ndim == 2:
        if offsets is not None:
            raise ShapeError("embedding_bag: offsets belong to ids in a row", got=describe(input))
        bags, n = ids.shape
        bag = np.ravel(np.broadcast_to(np.arange(bags, like=ids)[:, None], (bags, n)))
        return Tensor(np.ravel(ids).copy()), bag, bags
    if ids.ndim != 1 or offsets is None:
        raise ShapeError(
            "embedding_bag: ids (b, n), or ids (N,) with offsets (b,), are expected",
            got=describe(input),
        )
    starts, n = raw(offsets), ids.shape[0]
    check_ids(starts, n + 1, "offset", "lies beyond the ids")
    if starts.ndim != 1 or (include_last_offset and not starts.shape[0]):
        raise ShapeError("embedding_bag: offsets are a vector", got=describe(offsets))
    if starts.shape[0] and (int(starts[0]) != 0 or bool(np.any(starts[1:] < starts[:-1]))):
        raise ArgumentError(
            "embedding_bag: offsets begin with 0 and do not fall", got=describe(offsets)
        )
    if include_last_offset:
        if int(starts[-1]) != n:
            raise ArgumentError(
                "embedding_bag: the last offset is the number of ids",
                expected=f"{n}",
                got=f"{int(starts[-1])}",
            )
        starts = starts[:-1]
    if n and not starts.shape[0]:
        raise ArgumentError("embedding_bag: there are ids, and no bag for them")
    bag = np.searchsorted(starts, np.arange(n, like=ids), side="right") - 1
    return Tensor(ids.copy()), bag, starts.shape[0]


def _check_weights(input: Any, mode: str, weights: Any, scale_grad_by_freq: bool) -> None:
    if weights is not None and mode != "sum":
        raise ArgumentError("embedding_bag: per_sample_weights are for mode='sum'", got=repr(mode))
    if weights is not None and weights.shape != input.shape:
        raise ShapeError(
            "embedding_bag: one weight for each id is expected",
            expected=str(input.shape),
            got=describe(weights),
        )
    if mode == "max" and scale_grad_by_freq:
        raise ArgumentError("embedding_bag: a maximum has no frequency to scale by")


def _largest(y: Any, bag: Any, bags: int) -> Any:
    """The entrywise maximum of the rows of each bag, 0 for an empty one. Equal ones share."""
    count = np.bincount(bag, minlength=bags)
    if 0 in y.shape or not bags:
        return scatter(y, index=bag, shape=(bags, y.shape[1]))
    first = np.cumsum(count) - count
    place = np.expand_dims(first, -1) + np.arange(int(np.max(count)), like=bag)  # (bag, member)
    is_member = place < np.expand_dims(first + count, -1)
    members = y[np.where(is_member, place, 0)]
    members = np.where(Tensor(np.expand_dims(is_member, -1)), members, -np.inf)
    return np.where(Tensor(np.expand_dims(count > 0, -1)), np.max(members, axis=1), 0.0)


# -- options ---------------------------------------------------------------------------------------


def _shorten(ids: Tensor, weight: Any, max_norm: float, p: float) -> None:
    """Bring the rows that are looked up and are longer than `max_norm` to that length, in place."""
    check_ids(ids.array, weight.shape[0])
    with no_grad():
        used = np.unique(ids.array)
        rows = weight.detach()[used]
        norms = np.linalg.norm(rows, ord=p, axis=1, keepdims=True)
        longer = np.nonzero(norms.array[:, 0] > max_norm)[0]
        if longer.shape[0]:
            weight[used[longer]] = rows[longer] * (max_norm / (norms[longer] + 1e-7))


def _padded(name: str, ids: Tensor, rows: int, padding_idx: int | None) -> Any:
    """Which ids are the padding; None where none is."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise OutOfRangeError(
            f"{name}: padding_idx has no row",
            expected=f"{-rows} … {rows - 1}",
            got=f"{padding_idx}",
        )
    return ids.array == padding_idx % rows


def _averaged(y: Any, ids: Tensor, rows: int) -> Any:
    """y, but its gradient divided by how often its id occurs."""
    count = np.bincount(np.ravel(ids.array), minlength=rows)[ids.array]
    less = y * Tensor(np.expand_dims(1 / count - 1, -1).astype(y.dtype))
    return y + (less - less.detach())  # the value is y + 0, the gradient g + g (1 / count − 1)
