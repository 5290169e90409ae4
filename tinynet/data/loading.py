"""Batches in order or shuffled, one after another or prepared ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tinynet.data.batching import gather
from tinynet.errors import ArgumentError, DataError
from tinynet.random import Generator, default_generator


class SequentialSampler:
    """0, 1, 2, … in order."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler:
    """Each number once, in an order drawn anew for every pass."""

    def __init__(self, data_source: Any, generator: Generator | None = None) -> None:
        self.data_source, self.generator = data_source, generator

    def __iter__(self) -> Iterator[int]:
        generator = self.generator or default_generator()
        return iter(generator.permutation(len(self.data_source)).tolist())

    def __len__(self) -> int:
        return len(self.data_source)


class BatchSampler:
    """Lists of `batch_size` numbers from another sampler; the last may be shorter, or is dropped.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: Any, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError("batch_size is a whole number, 1 or larger", got=repr(batch_size))
        self.sampler, self.batch_size, self.drop_last = sampler, int(batch_size), drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class DataLoader:
    """The batches of a data set, in PyTorch's manner: each `for` loop over it is one pass.

    batch_size     samples in a batch; None gives the samples themselves
    shuffle        in an order drawn anew for each pass, from `generator` or the default one
    sampler        your own order: an iterable of numbers
    batch_sampler  your own batches: an iterable of lists of numbers
    num_workers    how many threads prepare batches ahead; the order stays the same, and an error in
                   a thread is raised here. Threads help where samples wait for files or for NumPy,
                   not where Python computes.
    collate_fn     list of samples -> batch; `default_collate` if left out
    drop_last      leave out a last batch that is not full

    `pin_memory` and `persistent_workers` are accepted so that programs for PyTorch run, and change
    nothing.

    >>> import tinynet as tn
    >>> from tinynet.data import DataLoader, TensorDataset
    >>> data = TensorDataset(tn.arange(5), tn.arange(5) ** 2)
    >>> for x, y in DataLoader(data, batch_size=3):
    ...     print(x, y)
    tensor([0, 1, 2]) tensor([0, 1, 4])
    tensor([3, 4]) tensor([ 9, 16])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
        prefetch_factor: int = 2,
        persistent_workers: bool = False,
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise DataError(
                "a data set has a length and numbered samples",
                expected="an object with __len__ and __getitem__",
                got=type(dataset).__name__,
            )
        if shuffle and sampler is not None:
            raise ArgumentError("shuffle and sampler both say the order: give one")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ArgumentError(
                "batch_sampler stands for batch_size, shuffle, sampler and drop_last"
            )
        if num_workers < 0 or prefetch_factor < 1:
            raise ArgumentError(
                "num_workers is 0 or more, prefetch_factor 1 or more",
                got=f"{num_workers}, {prefetch_factor}",
            )
        if sampler is None:
            sampler = RandomSampler(dataset, generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        elif batch_size is None and drop_last:
            raise ArgumentError("without batches (batch_size=None) there is no last one to drop")
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.collate_fn, self.num_workers, self.prefetch_factor = (
            collate_fn,
            num_workers,
            prefetch_factor,
        )

    def __len__(self) -> int:
        order: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(order)

    def __iter__(self) -> Iterator[Any]:
        order: Iterable[Any] = self.sampler if self.batch_sampler is None else self.batch_sampler
        if self.num_workers == 0:
            return (self._fetch(indices) for indices in order)
        return self._ahead(iter(order))

    def _fetch(self, indices: Any) -> Any:
        """One batch, or one sample where there are no batches."""
        if self.batch_sampler is None:
            sample = self.dataset[indices]
            return self.collate_fn(sample) if self.collate_fn else sample
        if self.collate_fn is None:
            return gather(self.dataset, indices)
        return self.collate_fn([self.dataset[i] for i in indices])

    def _ahead(self, order: Iterator[Any]) -> Iterator[Any]:
        """Batches in order, num_workers · prefetch_factor of them under way in threads."""
        waiting: deque[Future[Any]] = deque()
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="DataLoader")
        try:
            for indices in order:
                waiting.append(pool.submit(self._fetch, indices))
                if len(waiting) >= self.num_workers * self.prefetch_factor:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also when the loop over the batches is left early
            pool.shutdown(wait=True, cancel_futures=True)
