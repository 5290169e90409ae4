"""Padding and length buckets: nothing lost, nothing twice, little padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.data import DataLoader, LengthBuckets, pad_batch
from tinynet.errors import ArgumentError, DataError, DTypeError, ShapeError
from tinynet.ops.creation import tensor
from tinynet.random import Generator, manual_seed

rows = st.lists(st.lists(st.integers(-5, 50), max_size=6), min_size=1, max_size=8)


@given(rows, st.integers(-1, 3), st.sampled_from([list, np.array, tensor]))
def test_padding_keeps_every_number(sequences: Any, padding: int, kind: Any) -> None:
    kind = kind if all(sequences) else list  # an empty array would be of floats
    ids, lengths = pad_batch([kind(s) for s in sequences], padding)
    assert ids.dtype == lengths.dtype == np.int64
    assert ids.shape == (len(sequences), max(map(len, sequences)))
    for row, length, sequence in zip(ids.array, lengths.array, sequences, strict=True):
        assert row[:length].tolist() == sequence
        assert (row[length:] == padding).all()


def test_what_cannot_be_padded() -> None:
    with pytest.raises(DataError, match="at least one"):
        pad_batch([])
    for wrong in ([[1], [[2]]], [[1], 2], [[[1], [2]]]):
        with pytest.raises(ShapeError, match="not a row"):
            pad_batch(wrong)
    for wrong in ([[1], [0.5]], ["text"], [[True]], [["a", "b"]]):
        with pytest.raises((DTypeError, ShapeError)):
            pad_batch(wrong)
    with pytest.raises(ShapeError, match="sequence 1"):
        pad_batch([[1, 2], [[1, 2], [3]]])
    assert pad_batch([np.zeros(0)])[0].shape == (1, 0)


@given(
    lengths=st.lists(st.integers(0, 30), max_size=60),
    size=st.integers(1, 7),
    shuffle=st.booleans(),
    drop=st.booleans(),
    pool=st.integers(1, 4),
)
def test_every_sample_comes_once(
    lengths: list[int], size: int, shuffle: bool, drop: bool, pool: int
) -> None:
    sampler = LengthBuckets(lengths, size, shuffle=shuffle, drop_last=drop, pool=pool)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    seen = [i for batch in batches for i in batch]
    assert len(set(seen)) == len(seen)
    if drop:
        assert all(len(batch) == size for batch in batches)
        assert len(lengths) - len(seen) < size
    else:
        assert sorted(seen) == list(range(len(lengths)))
        assert sum(len(batch) < size for batch in batches) <= 1
    for batch in batches:
        assert [lengths[i] for i in batch] == sorted(lengths[i] for i in batch)
    if not shuffle and not drop:
        assert [lengths[i] for i in seen] == sorted(lengths)


def test_little_is_padded_and_each_pass_differs() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 4000)

    def padding(sampler: Any) -> float:
        return sum(lengths[b].max() * len(b) - lengths[b].sum() for b in sampler) / lengths.sum()

    buckets = LengthBuckets(lengths, 32, generator=Generator().manual_seed(0))
    assert padding(buckets) < 0.03
    assert padding(np.arange(4000).reshape(-1, 32)) > 0.8
    first, second = list(buckets), list(buckets)
    assert first != second
    largest = [lengths[batch].max() for batch in first]
    assert abs(np.corrcoef(largest, np.arange(len(first)))[0, 1]) < 0.3  # long ones come anywhere
    buckets.generator.manual_seed(0)  # type: ignore[union-attr]
    assert padding(buckets) < 0.03
    manual_seed(3)
    other = list(LengthBuckets(tensor(lengths), 32))
    manual_seed(3)
    assert list(LengthBuckets(lengths.tolist(), 32)) == other


def test_in_a_loader() -> None:
    texts = [[1] * n for n in (5, 1, 3, 1, 5, 2)]
    loader = DataLoader(
        texts, batch_sampler=LengthBuckets([len(t) for t in texts], 2), collate_fn=pad_batch
    )
    manual_seed(0)
    shapes = [ids.shape for ids, _ in loader]
    assert sum(t for _, t in shapes) == 1 + 3 + 5
    manual_seed(0)
    assert [ids.shape for ids, _ in loader] == shapes


def test_settings_of_buckets() -> None:
    for wrong in (0, -1, 1.5, True, None):
        with pytest.raises(ArgumentError):
            LengthBuckets([1, 2], wrong)
        with pytest.raises(ArgumentError):
            LengthBuckets([1, 2], 1, pool=wrong)
    with pytest.raises(ShapeError):
        LengthBuckets([[1], [2]], 1)
