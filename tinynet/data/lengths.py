"""Sequences of different lengths in one batch: padding, and batches that need little of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.data.loading import Sampler
from tinynet.errors import ArgumentError, DataError, DTypeError, ShapeError, describe
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor


def pad_batch(sequences: Sequence[Any], padding_value: int = 0) -> tuple[Tensor, Tensor]:
    """(ids, lengths): n sequences of whole numbers as one tensor (n, t), t the largest length, with
    `padding_value` behind the shorter ones; and their lengths (n,).

    >>> pad_batch([[5, 6, 7], [8]])
    (tensor([[5, 6, 7],
            [8, 0, 0]]), tensor([3, 1]))
    """
    if len(sequences) == 0:
        raise DataError("a batch needs at least one sequence")
    rows = [_row(s, i) for i, s in enumerate(sequences)]
    lengths = np.array([row.size for row in rows])
    ids = np.full((len(rows), lengths.max()), padding_value, np.int64)
    ids[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(rows)
    return Tensor(ids), Tensor(lengths)


def _row(sequence: Any, i: int) -> Array:
    """Sequence i as an array of whole numbers."""
    try:
        row = np.asarray(sequence.array if isinstance(sequence, Tensor) else sequence)
    except ValueError:  # entries of different lengths
        row = np.empty((0, 0))
    if row.ndim != 1:
        raise ShapeError(
            f"sequence {i} is not a row of numbers", expected="(t,)", got=describe(sequence)
        )
    if row.size and row.dtype.kind not in "iu":
        raise DTypeError(
            f"sequence {i} holds no whole numbers",
            got=str(row.dtype),
            hint="nn.utils.rnn.pad_sequence pads tensors of every kind",
        )
    return row.astype(np.int64)


class LengthBuckets(Sampler):
    """Batches of samples of nearly the same length, for `DataLoader(batch_sampler=...)`.

    The samples are put in random order, `pool` batches at a time are sorted by length and cut, and
    the batches come in random order. So each pass differs, and a batch is padded to little more
    than the lengths it holds. A large pool needs less padding, a small one mixes better. Without
    `shuffle` all samples are sorted by length, the shortest first.

    lengths      the length of each sample
    batch_size   samples in a batch; the last one cut may be smaller, or is left out by `drop_last`

    >>> list(LengthBuckets([9, 2, 7, 3], batch_size=2, shuffle=False))
    [[1, 3], [2, 0]]
    """

    def __init__(
        self,
        lengths: Any,
        batch_size: Any,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        pool: Any = 50,
        generator: Generator | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("pool", pool)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name} is a whole number, 1 or larger", got=repr(value))
        self.lengths = np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths)
        if self.lengths.ndim != 1:
            raise ShapeError("each sample has one length", expected="(n,)", got=describe(lengths))
        self.batch_size, self.pool = int(batch_size), int(pool)
        self.shuffle, self.drop_last, self.generator = shuffle, drop_last, generator

    def __iter__(self) -> Iterator[list[int]]:
        n, size = len(self.lengths), self.batch_size
        if not self.shuffle:
            return iter(self._cut(np.arange(n)))
        generator = self.generator or default_generator()
        order = generator.permutation(n)
        reach = size * self.pool
        batches = [batch for k in range(0, n, reach) for batch in self._cut(order[k : k + reach])]
        return (batches[i] for i in generator.permutation(len(batches)).tolist())

    def _cut(self, indices: Any) -> list[list[int]]:
        """These samples by length, in batches."""
        row = indices[np.argsort(self.lengths[indices], kind="stable")].tolist()
        size = self.batch_size
        batches = [row[k : k + size] for k in range(0, len(row), size)]
        return batches[:-1] if self.drop_last and batches and len(batches[-1]) < size else batches

    def __len__(self) -> int:
        n = len(self.lengths)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
