"""Data as batches (x, y), whatever it came as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from tinynet.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
)
from tinynet.errors import DataError, describe

Pair: TypeAlias = tuple[Any, Any]


def as_loader(data: Any, batch_size: int, shuffle: bool = False) -> Any:
    """Data as batches: (x, y) and data sets are wrapped, a loader (any iterable of batches) stays
    as it is.
    """
    if isinstance(data, tuple):
        if len(data) != 2:
            raise DataError(
                "data is a pair (x, y), a data set or a loader", got=f"a tuple of {len(data)}"
            )
        if isinstance(data[0], tuple):
            several = _Several(*data)
            order: Any = (RandomSampler if shuffle else SequentialSampler)(several)
            order = BatchSampler(order, batch_size, drop_last=False)
            return DataLoader(several, None, sampler=order)
        data = TensorDataset(*data)
    if isinstance(data, Iterator):
        raise DataError(
            "an iterator gives one pass only", hint="a DataLoader, or a list of batches"
        )
    if isinstance(data, DataLoader | list) or not hasattr(data, "__getitem__"):
        return data
    return DataLoader(data, batch_size=batch_size, shuffle=shuffle)


class _Several(Dataset):
    """((a, b, …), y): samples with several inputs; numbered one by one, or many at once."""

    def __init__(self, inputs: tuple[Any, ...], y: Any) -> None:
        self.parts = TensorDataset(*inputs, y)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: Any) -> Pair:
        *inputs, y = self.parts[np.asarray(index)]
        return tuple(inputs), y


def pairs(loader: Any, skip: int = 0) -> Iterator[Pair]:
    """The batches of one pass over the data, without the first `skip`. Where a DataLoader passes
    them over, any other loader has to make them.
    """
    if isinstance(loader, DataLoader):
        return _checked(loader.batches(skip))
    rest = iter(loader)
    for _ in islice(rest, skip):
        pass
    return _checked(rest)


def _checked(batches: Iterable[Any]) -> Iterator[Pair]:
    for batch in batches:
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise DataError("a batch is a pair (x, y)", got=describe(batch))
        yield batch[0], batch[1]


def groups(batches: Iterator[Pair], size: int) -> Iterator[list[Pair]]:
    """`size` batches at a time; the last group may be shorter.

    >>> list(groups(iter([(1, 1), (2, 2), (3, 3)]), 2))
    [[(1, 1), (2, 2)], [(3, 3)]]
    """
    while group := list(islice(batches, size)):
        yield group


def predict(model: Any, x: Any) -> Any:
    """model(x); a tuple is several inputs."""
    return model(*x) if isinstance(x, tuple) else model(x)
