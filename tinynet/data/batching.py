"""From a list of samples to one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.data.augmentation import Augmented
from tinynet.data.sets import Subset, TensorDataset
from tinynet.errors import DataError
from tinynet.ops.creation import tensor
from tinynet.ops.shape import stack
from tinynet.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples of one structure, made one batch: a new first axis everywhere.

    Numbers, arrays and tensors become a tensor, with dtypes as `tn.tensor` has them. Tuples, lists
    and dicts are collated entry by entry, texts stay a list.

    >>> default_collate([(1.0, {"id": 7}), (2.0, {"id": 8})])
    (tensor([1., 2.]), {'id': tensor([7, 8])})
    """
    return _collate(list(batch), "sample")


def _collate(batch: list[Any], path: str) -> Any:
    if not batch:
        raise DataError("a batch needs at least one sample")
    first = batch[0]
    kinds = {_kind(x) for x in batch}
    if len(kinds) > 1:
        raise DataError(
            f"{path} is of different kinds within one batch", got=", ".join(sorted(kinds))
        )
    kind = kinds.pop()
    if kind == "array":
        return _stacked(batch, path)
    if kind == "number":
        return tensor(batch)
    if kind == "text":
        return batch
    if kind == "dict":
        if any(x.keys() != first.keys() for x in batch):
            raise DataError(
                f"{path}: the samples have different keys", got=str([list(x) for x in batch][:3])
            )
        return {key: _collate([x[key] for x in batch], f"{path}[{key!r}]") for key in first}
    if kind in ("tuple", "list"):
        if len({len(x) for x in batch}) > 1:
            raise DataError(
                f"{path}: the samples have different lengths", got=str([len(x) for x in batch][:8])
            )
        parts = [
            _collate(list(part), f"{path}[{i}]") for i, part in enumerate(zip(*batch, strict=True))
        ]
        if kind == "list":
            return parts
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    raise DataError(
        f"{path}: {kind} cannot be put into a batch",
        expected="numbers, arrays, tensors, texts, and tuples, lists or dicts of them",
        hint="DataLoader(..., collate_fn=your_function)",
    )


_KINDS: dict[str, Any] = {
    "number": (bool, int, float, complex),
    "text": (str, bytes),
    "dict": dict,
    "tuple": tuple,
    "list": list,
}


def _kind(x: Any) -> str:
    if isinstance(x, Tensor) or arrays.is_array(x):
        return "array"
    return next(
        (kind for kind, types in _KINDS.items() if isinstance(x, types)), f"a {type(x).__name__}"
    )


def _stacked(batch: list[Any], path: str) -> Tensor:
    shapes = {np.shape(x.array if isinstance(x, Tensor) else x) for x in batch}
    if len(shapes) > 1:
        raise DataError(
            f"{path}: the samples have different shapes",
            got=", ".join(map(str, sorted(shapes)[:4])),
            hint="pad or crop them, or DataLoader(..., collate_fn=your_function)",
        )
    tensors: list[Tensor] = [x if isinstance(x, Tensor) else tensor(x) for x in batch]
    result: Tensor = stack(tensors)
    return result


def gather(dataset: Any, indices: Sequence[int]) -> Any:
    """The batch of these samples. Tensors are indexed once for the whole batch, which gives the
    same, faster; augmented images are changed once for the whole batch.
    """
    if type(dataset) is Subset:
        return gather(dataset.dataset, [int(dataset.indices[i]) for i in indices])
    if type(dataset) is TensorDataset and indices:
        return dataset[np.asarray(indices)]
    if type(dataset) is Augmented:
        return dataset.changed(gather(dataset.dataset, indices))
    return default_collate([dataset[i] for i in indices])


def pinned(batch: Any) -> Any:
    """The batch with its tensors of the CPU in page-locked memory; what has a `pin_memory` of its
    own is asked. Needs a GPU.
    """
    if isinstance(batch, Tensor):
        return batch if batch.device != "cpu" else batch.pin_memory()
    if isinstance(batch, dict):
        return {key: pinned(value) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(pinned, batch))
    if isinstance(batch, list | tuple):
        return type(batch)(map(pinned, batch))
    return batch.pin_memory() if hasattr(batch, "pin_memory") else batch
