"""Data: the digits are what they should be, and loaders give every sample once, in the order
promised.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet import kernels
from tinynet.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    default_collate,
    load_digits,
    random_split,
)
from tinynet.errors import ArgumentError, DataError
from tinynet.ops.creation import arange, tensor
from tinynet.random import Generator, manual_seed
from tinynet.tensor import Tensor


class Squares(Dataset):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> tuple[int, int]:
        if not 0 <= i < 20:
            raise IndexError(i)
        return i, i * i


# -- the digits ------------------------------------------------------------------------------------


def test_the_digits_are_all_there() -> None:
    digits = load_digits()
    assert digits.images.shape == (1797, 8, 8)
    assert digits.images.dtype == np.float32
    assert digits.labels.dtype == np.int64
    assert set(np.unique(digits.images.array)) == set(range(17))
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(digits.labels.array).tolist() == counts
    # the first row of pixels of the first image, a zero
    assert digits.images.array[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    np.testing.assert_array_equal(load_digits(scaled=True).images.array * 16, digits.images.array)
    assert "UCI" in digits.description


@pytest.mark.parametrize("stratify", [False, True])
def test_a_split_holds_every_digit_once(stratify: bool) -> None:
    digits = load_digits()
    train, test = digits.split(0.2, seed=3, stratify=stratify)
    both = np.concatenate([train.images.array, test.images.array]).reshape(1797, 64)
    order = np.lexsort(both.T)
    whole = digits.images.array.reshape(1797, 64)
    np.testing.assert_array_equal(both[order], whole[np.lexsort(whole.T)])
    again = digits.split(0.2, seed=3, stratify=stratify)[1]
    other = digits.split(0.2, seed=4, stratify=stratify)[1]
    np.testing.assert_array_equal(again.labels.array, test.labels.array)
    assert not np.array_equal(other.labels.array, test.labels.array)


def test_a_stratified_split_takes_a_fifth_of_each_digit() -> None:
    digits = load_digits()
    _, test = digits.split(0.2, seed=0, stratify=True)
    held, whole = np.bincount(test.labels.array), np.bincount(digits.labels.array)
    assert (np.abs(held - 0.2 * whole) <= 0.5).all()


def test_file_order_and_selection() -> None:
    digits = load_digits()
    train, test = digits.split_in_file_order(0.2)
    np.testing.assert_array_equal(
        np.concatenate([train.labels.array, test.labels.array]), digits.labels.array
    )
    assert len(test) == 359
    assert set(digits.only(3, 5).labels.array) == {3, 5}
    for share in (0, 1, -0.5):
        with pytest.raises(ArgumentError):
            digits.split(share)
        with pytest.raises(ArgumentError):
            digits.split_in_file_order(share)


# -- data sets -------------------------------------------------------------------------------------


def test_tensors_that_do_not_go_together() -> None:
    with pytest.raises(DataError, match="different numbers"):
        TensorDataset(arange(3), arange(4))
    with pytest.raises(DataError, match="no samples"):
        TensorDataset(tensor(1.0))
    with pytest.raises(DataError):
        TensorDataset()


def test_concat_and_subset() -> None:
    both = Squares() + Subset(Squares(), [3, 1])
    assert isinstance(both, ConcatDataset)
    assert [both[i][0] for i in (0, 19, 20, 21, -1, -22)] == [0, 19, 3, 1, 1, 0]
    for i in (22, -23):
        with pytest.raises(IndexError):
            both[i]


@given(st.integers(0, 50), st.lists(st.floats(0.01, 1), min_size=1, max_size=4))
def test_random_split_parts_the_whole(n: int, weights: list[float]) -> None:
    shares = [w / sum(weights) for w in weights]
    parts = random_split(range(n), shares, Generator().manual_seed(0))
    assert sorted(i for part in parts for i in part) == list(range(n))
    assert all(abs(len(p) - s * n) <= len(shares) for p, s in zip(parts, shares, strict=True))


def test_random_split_by_counts_and_errors() -> None:
    assert [len(p) for p in random_split(range(10), [3, 7])] == [3, 7]
    for lengths in ([3, 3], [0.5, 0.4], [-1, 11]):
        with pytest.raises(ArgumentError):
            random_split(range(10), lengths)


# -- collate ---------------------------------------------------------------------------------------

samples = st.recursive(
    st.sampled_from(["number", "whole", "array", "tensor"]),
    lambda below: (
        st.tuples(below)
        | st.lists(below, min_size=1, max_size=2)
        | st.fixed_dictionaries({"k": below})
    ),
    max_leaves=4,
)


def build(shape: Any, i: int) -> Any:
    if isinstance(shape, dict):
        return {k: build(v, i) for k, v in shape.items()}
    if isinstance(shape, list | tuple):
        return type(shape)(build(v, i) for v in shape)
    array = np.full((2, 3), i, dtype="f4")
    return {"number": i + 0.5, "whole": i, "array": array, "tensor": Tensor(array)}[shape]


def part(batch: Any, i: int) -> Any:
    if isinstance(batch, dict):
        return {k: part(v, i) for k, v in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(part(v, i) for v in batch)
    return batch.array[i].tolist()


def plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(plain(v) for v in x)
    return x.tolist() if hasattr(x, "tolist") else x


@given(samples, st.integers(1, 4))
def test_entry_i_of_a_batch_is_sample_i(shape: Any, n: int) -> None:
    batch = default_collate([build(shape, i) for i in range(n)])
    for i in range(n):
        assert part(batch, i) == plain(build(shape, i))


def test_collate_keeps_kinds() -> None:
    Pair = namedtuple("Pair", "x y")
    batch = default_collate([Pair(1.0, "a"), Pair(2.0, "b")])
    assert type(batch) is Pair
    assert batch.x.dtype == np.float32
    assert batch.y == ["a", "b"]
    assert default_collate([True, False]).dtype == bool
    assert default_collate([1, 2]).dtype == np.int64
    assert default_collate([np.float64(1), np.float64(2)]).dtype == np.float64
    x = tensor([1.0], requires_grad=True)
    assert default_collate([x, x]).requires_grad


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([], "at least one"),
        ([1, "a"], "different kinds"),
        ([np.ones(2), np.ones(3)], r"different shapes\n  got: \(2,\), \(3,\)"),
        ([{"a": 1}, {"b": 1}], "different keys"),
        ([(1, 2), (1,)], "different lengths"),
        ([{"a": [None]}], r"sample\['a'\]\[0\]: a NoneType"),
    ],
)
def test_what_makes_no_batch(batch: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        default_collate(batch)


# -- the loader ------------------------------------------------------------------------------------


@given(
    st.integers(0, 20),
    st.integers(1, 7),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 2]),
    st.booleans(),
)
def test_every_sample_once(
    n: int, batch_size: int, shuffle: bool, drop_last: bool, workers: int, tensors: bool
) -> None:
    data = TensorDataset(arange(n)) if tensors else Subset(Squares(), list(range(n)))
    loader = DataLoader(data, batch_size, shuffle, num_workers=workers, drop_last=drop_last)
    batches = [batch[0].tolist() for batch in loader]
    assert len(batches) == len(loader)
    assert all(len(b) == batch_size for b in (batches if drop_last else batches[:-1]))
    seen = [i for b in batches for i in b]
    assert len(seen) == (n - n % batch_size if drop_last else n)
    assert max(Counter(seen).values(), default=1) == 1
    if not shuffle:
        assert seen == list(range(len(seen)))


def test_the_fast_way_gives_what_the_slow_way_gives() -> None:
    data = TensorDataset(arange(30).reshape(10, 3), arange(10))
    part = Subset(Subset(data, [9, 4, 4, 0, 7]), [1, 3, 0])
    fast = list(DataLoader(part, batch_size=2))
    slow = list(DataLoader(part, batch_size=2, collate_fn=default_collate))
    assert len(fast) == len(slow) == 2
    for a, b in zip(fast, slow, strict=True):
        assert [t.tolist() for t in a] == [t.tolist() for t in b]


def test_a_subclass_of_tensordataset_keeps_its_own_samples() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, i: Any) -> Any:
            return (super().__getitem__(i)[0] * 2,)

    (batch,) = DataLoader(Doubled(arange(3)), batch_size=3)
    assert batch[0].tolist() == [0, 2, 4]


def order(loader: DataLoader) -> list[int]:
    return [i for batch in loader for i in batch[0].tolist()]


def test_the_generator_decides_the_order() -> None:
    def made() -> DataLoader:
        return DataLoader(Squares(), 3, shuffle=True, generator=Generator().manual_seed(5))

    loader = made()
    first, second = order(loader), order(loader)
    assert first != second  # each pass anew
    assert order(made()) == first
    manual_seed(1)
    a = order(DataLoader(Squares(), 3, shuffle=True))
    manual_seed(1)
    assert order(DataLoader(Squares(), 4, shuffle=True, num_workers=3)) == a


def test_samplers() -> None:
    assert order(DataLoader(Squares(), 2, sampler=[5, 1, 5])) == [5, 1, 5]
    batches = list(DataLoader(Squares(), batch_sampler=[[1], [2, 3]]))
    assert [b[1].tolist() for b in batches] == [[1], [4, 9]]
    assert list(DataLoader(Squares(), batch_size=None, sampler=[2])) == [(2, 4)]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": 2.5},
        {"batch_size": True},
        {"shuffle": True, "sampler": [1]},
        {"batch_sampler": [[1]], "shuffle": True},
        {"batch_sampler": [[1]], "batch_size": 4},
        {"batch_size": None, "drop_last": True},
        {"num_workers": -1},
        {"prefetch_factor": 0},
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        DataLoader(Squares(), **options)


def test_what_is_no_data_set() -> None:
    with pytest.raises(DataError, match="__getitem__"):
        DataLoader(iter([1, 2]))


class Slow(Squares):
    """The first samples take longest: without care, later ones would overtake them."""

    def __getitem__(self, i: int) -> Any:
        time.sleep(0.002 * (4 - i % 4))
        return super().__getitem__(i)


def test_workers_keep_the_order_and_work_at_once() -> None:
    assert order(DataLoader(Slow(), 1, num_workers=4)) == list(range(20))
    names: set[str] = set()

    class Watched(Slow):
        def __getitem__(self, i: int) -> Any:
            names.add(threading.current_thread().name)
            return super().__getitem__(i)

    assert order(DataLoader(Watched(), 1, num_workers=4)) == list(range(20))
    assert len(names) > 1


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_sample_reaches_the_caller(workers: int) -> None:
    class Broken(Squares):
        def __getitem__(self, i: int) -> Any:
            if i == 7:
                raise ZeroDivisionError("sample 7")
            return super().__getitem__(i)

    seen: list[int] = []
    batches = DataLoader(Broken(), 2, num_workers=workers)
    with pytest.raises(ZeroDivisionError, match="sample 7"):
        seen.extend(i for batch in batches for i in batch[0].tolist())
    assert seen == [0, 1, 2, 3, 4, 5]


def test_the_error_shows_the_line_in_the_sample() -> None:
    class Broken(Squares):
        def __getitem__(self, i: int) -> Any:
            return 1 / (i - 3)

    with pytest.raises(ZeroDivisionError) as caught:
        list(DataLoader(Broken(), 2, num_workers=2))
    lines = [str(entry.statement) for entry in caught.traceback]
    assert any("1 / (i - 3)" in line for line in lines)


def test_only_so_many_batches_are_prepared_ahead() -> None:
    started: list[int] = []

    class Watched(Squares):
        def __getitem__(self, i: int) -> Any:
            started.append(i)
            return super().__getitem__(i)

    for k, _ in enumerate(DataLoader(Watched(), 1, num_workers=2, prefetch_factor=3)):
        time.sleep(0.002)
        assert len(started) <= k + 2 * 3
    assert sorted(started) == list(range(20))


def test_samples_may_be_computed_by_kernels() -> None:
    """In threads: a forked process could not use the pool of threads that a kernel has started."""
    a = np.random.default_rng(0).standard_normal((40, 40)).astype("f4")
    first = kernels.matmul(a, a)

    class Products(Squares):
        def __getitem__(self, i: int) -> Any:
            return kernels.matmul(a, a) + i

    for k, batch in enumerate(DataLoader(Products(), 1, num_workers=3)):
        np.testing.assert_array_equal(batch[0].numpy(), first + k)


def test_leaving_early_leaves_no_thread() -> None:
    before = threading.active_count()
    for _ in DataLoader(Slow(), 1, num_workers=3):
        break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_pytorchs_paths_lead_here() -> None:
    from tinynet import utils

    assert utils.data.DataLoader is DataLoader
    assert callable(utils.checkpoint.checkpoint)
