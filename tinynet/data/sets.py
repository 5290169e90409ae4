"""What a data set is: something with a length, whose samples are numbered. With PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, DataError, describe
from tinynet.ops.creation import as_tensor
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor


class Dataset:
    """Numbered samples. A subclass writes `__len__` and `__getitem__(i)`.

    >>> class Squares(Dataset):
    ...     def __len__(self): return 5
    ...     def __getitem__(self, i): return i, i * i
    >>> Squares()[3]
    (3, 9)
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples that come one after another, from a stream or a file. A subclass writes `__iter__`.

    >>> class Countdown(IterableDataset):
    ...     def __iter__(self): return iter((3, 2, 1))
    >>> from tinynet.data import DataLoader
    >>> list(DataLoader(Countdown(), batch_size=2))
    [tensor([3, 2]), tensor([1])]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __len__(self) -> int:
        raise TypeError(
            f"{type(self).__name__} is a stream: it has no length"
        )  # list() asks for it


def chosen(indices: Any) -> Any:
    """Numbers of samples as an array: a mask becomes the numbers where it is true, [] stays whole
    numbers.
    """
    found = np.asarray(indices)
    if found.dtype == bool:
        return np.flatnonzero(found)
    return found if found.size else found.astype(int)


class TensorDataset(Dataset):
    """Tensors (or arrays) that go together: sample i is entry i of each.

    >>> import tinynet as tn
    >>> TensorDataset(tn.tensor([[1.0, 2.0], [3.0, 4.0]]), tn.tensor([0, 1]))[1]
    (tensor([3., 4.]), tensor(1))
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise DataError("TensorDataset needs at least one tensor")
        self.tensors: tuple[Tensor, ...] = tuple(as_tensor(t) for t in tensors)
        shapes = ", ".join(describe(t) for t in self.tensors)
        if any(t.ndim == 0 for t in self.tensors):
            raise DataError("a number has no samples in it", got=shapes)
        if len({len(t) for t in self.tensors}) > 1:
            raise DataError("the tensors hold different numbers of samples", got=shapes)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(t[index] for t in self.tensors)


class Subset(Dataset):
    """Some samples of another data set, in the order of `indices`."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[int(self.indices[index])]


class ConcatDataset(Dataset):
    """Several data sets, one after another."""

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError("ConcatDataset needs at least one data set")
        self.ends = np.cumsum([len(d) for d in self.datasets]).tolist()

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: Any) -> Any:
        i = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= i < len(self):
            raise IndexError(f"there is no sample {index} among {len(self)}")
        which = int(np.searchsorted(self.ends, i, side="right"))
        return self.datasets[which][i - (self.ends[which - 1] if which else 0)]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Parts of a data set at random, without overlap. `lengths` are counts, or shares that sum to
    1.

    Shares are rounded down, and what is left goes one by one to the first parts, as in PyTorch.

    >>> [len(part) for part in random_split(range(10), [0.7, 0.3])]
    [7, 3]
    """
    n = len(dataset)
    if any(part < 0 for part in lengths):
        raise ArgumentError("a part cannot have fewer than 0 samples", got=str(list(lengths)))
    if abs(sum(lengths) - 1) < 1e-9 and n != 1:
        counts = [int(n * share + 1e-9) for share in lengths]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    elif sum(lengths) == n and all(part == int(part) for part in lengths):
        counts = [int(part) for part in lengths]
    else:
        raise ArgumentError(
            "the parts do not make up the whole",
            expected=f"counts that sum to {n}, or shares that sum to 1",
            got=f"{list(lengths)}, sum {sum(lengths)}",
        )
    order = (generator or default_generator()).permutation(n).tolist()
    ends = np.cumsum(counts).tolist()
    return [
        Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)
    ]
