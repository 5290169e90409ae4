"""Batches in order or shuffled, one after another or prepared ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any

from tinynet.arrays import gpus
from tinynet.data.batching import default_collate, gather, pinned
from tinynet.data.sets import IterableDataset
from tinynet.dtypes import (
    float64,
)
from tinynet.errors import ArgumentError, DataError
from tinynet.ops.creation import as_tensor, multinomial
from tinynet.random import Generator, Stream, default_generator


class Sampler:
    """An order of the numbers of samples. A subclass writes `__iter__`, and `__len__` where it can.

    >>> class Even(Sampler):
    ...     def __iter__(self): return iter(range(0, 6, 2))
    >>> list(Even())
    [0, 2, 4]
    """

    def __init__(self, data_source: Any = None) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class SequentialSampler(Sampler):
    """0, 1, 2, … in order."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Each number once, in an order drawn anew for every pass; with `replacement`, each drawn anew.

    `num_samples` are drawn, by default as many as there are.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(data_source)
        self.replacement, self.generator = replacement, generator
        self.num_samples = len(data_source) if num_samples is None else num_samples

    def __iter__(self) -> Iterator[int]:
        generator, n = self.generator or default_generator(), len(self.data_source)
        if self.replacement:
            return iter(generator.integers(0, n, (self.num_samples,)).tolist())
        passes = (
            generator.permutation(n).tolist() for _ in range(-(-self.num_samples // (n or 1)))
        )
        return islice(chain.from_iterable(passes), self.num_samples)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """These numbers, in an order drawn anew for every pass.

    >>> sorted(SubsetRandomSampler([4, 1, 7]))
    [1, 4, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        generator = self.generator or default_generator()
        return (self.indices[i] for i in generator.permutation(len(self.indices)).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` numbers 0, 1, … drawn in proportion to their weights: rare classes more often.

    >>> list(WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = as_tensor(weights, dtype=float64)
        self.num_samples, self.replacement = num_samples, replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
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
    pin_memory     put the tensors of a batch into page-locked memory, from which `x.to("cuda",
                   non_blocking=True)` copies while Python goes on; without a GPU it does nothing
    drop_last      leave out a last batch that is not full

    Random numbers: when a pass begins, one number is drawn, from `generator` or the default one.
    The order, and each batch, have streams of their own that begin there. So a data set that
    draws (augmentation) gives the same batches whatever num_workers is, and whatever else is drawn
    meanwhile.

    An `IterableDataset` comes in its own order, without numbers: no shuffle, no sampler, no length.

    `timeout`, `worker_init_fn` and `persistent_workers` are accepted so that programs for PyTorch
    run, and change nothing.

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
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        *,
        generator: Generator | None = None,
        prefetch_factor: int = 2,
        persistent_workers: bool = False,
    ) -> None:
        self.endless = isinstance(dataset, IterableDataset)
        if self.endless:
            if shuffle or sampler is not None or batch_sampler is not None:
                raise ArgumentError("an IterableDataset has an order of its own")
            sampler = dataset  # what comes is the samples themselves, not their numbers
        elif not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
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
            sampler = (
                RandomSampler(dataset, generator=generator)
                if shuffle
                else SequentialSampler(dataset)
            )
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        elif batch_size is None and drop_last:
            raise ArgumentError("without batches (batch_size=None) there is no last one to drop")
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.collate_fn, self.num_workers, self.pin_memory = collate_fn, num_workers, pin_memory
        self.prefetch_factor = prefetch_factor

    def __len__(self) -> int:
        order: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(order)

    def __iter__(self) -> Iterator[Any]:
        return self.batches()

    def batches(self, skip: int = 0) -> Iterator[Any]:
        """One pass, without its first `skip` batches: these are passed over, not fetched."""
        seed = int((self.generator or default_generator()).integers(0, 2**62, (1,))[0])
        jobs = islice(enumerate(self._order(seed)), skip, None)
        fetch = self._pinned if self.pin_memory and gpus() else self._fetch

        def make(number: int, indices: Any) -> Any:
            with Stream(seed, number + 1):
                return fetch(indices)

        if self.num_workers == 0:
            return (make(*job) for job in jobs)
        return self._ahead(jobs, make)

    def _order(self, seed: int) -> Iterator[Any]:
        """What the sampler says, drawn from a stream of its own."""
        order: Iterable[Any] = self.sampler if self.batch_sampler is None else self.batch_sampler
        stream, end = Stream(seed, 0), object()
        with stream:
            rest = iter(order)
        while True:
            with stream:
                indices = next(rest, end)
            if indices is end:
                return
            yield indices

    def _pinned(self, indices: Any) -> Any:
        """The same as `_fetch`, in page-locked memory."""
        return pinned(self._fetch(indices))

    def _fetch(self, indices: Any) -> Any:
        """One batch, or one sample where there are no batches."""
        if self.endless:
            samples = indices
            if self.batch_sampler is None:
                return self.collate_fn(samples) if self.collate_fn else samples
            return (self.collate_fn or default_collate)(samples)
        if self.batch_sampler is None:
            sample = self.dataset[indices]
            return self.collate_fn(sample) if self.collate_fn else sample
        if self.collate_fn is None:
            return gather(self.dataset, indices)
        return self.collate_fn([self.dataset[i] for i in indices])

    def _ahead(
        self, jobs: Iterator[tuple[int, Any]], make: Callable[[int, Any], Any]
    ) -> Iterator[Any]:
        """Batches in order, num_workers · prefetch_factor of them under way in threads."""
        waiting: deque[Future[Any]] = deque()
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="DataLoader")
        try:
            for job in jobs:
                waiting.append(pool.submit(make, *job))
                if len(waiting) >= self.num_workers * self.prefetch_factor:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also when the loop over the batches is left early
            pool.shutdown(wait=True, cancel_futures=True)
