"""Augmentation: each image is what a plain loop makes of it, the same state gives the same batch,
and loaders hand on whole batches.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.data import (
    Augmented,
    Compose,
    DataLoader,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    Standardize,
    Subset,
    TensorDataset,
)
from tinynet.errors import ArgumentError, DataError, DTypeError, ShapeError
from tinynet.ops.creation import tensor
from tinynet.random import Generator, default_generator, manual_seed
from tinynet.tensor import Tensor

TRANSFORMS = [
    RandomShift(2),
    RandomShift(1, fill=-1.5),
    RandomRotation(30),
    RandomRotation(180, fill=2.0),
    RandomHorizontalFlip(),
    RandomErasing(),
    RandomErasing(1, scale=(0.5, 1), value=7.0),
    Compose([RandomShift(1), RandomRotation(20), RandomErasing(0.3)]),
]
sizes = st.tuples(*[st.integers(1, 6)] * 4)
seeds = st.integers(0, 2**32)


def images(size: tuple[int, ...], seed: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).normal(size=size).astype(dtype)


# -- every transform -------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@given(size=sizes, seed=seeds, dtype=st.sampled_from([np.float32, np.float64]))
def test_shape_dtype_kind_and_repetition(
    transform: Any, size: tuple[int, ...], seed: int, dtype: Any
) -> None:
    x = images(size, seed, dtype)
    before = x.copy()
    manual_seed(seed)
    state = default_generator().get_state()
    y = transform(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(x, before)
    default_generator().set_state(state)
    again = transform(Tensor(x))
    assert isinstance(again, Tensor)
    np.testing.assert_array_equal(again.array, y)
    # any strides, and images without channels
    default_generator().set_state(state)
    np.testing.assert_array_equal(transform(np.asfortranarray(x)), y)
    flat = x.reshape(size[0], size[1] * size[2], size[3])
    assert transform(flat).shape == flat.shape


@pytest.mark.parametrize("transform", TRANSFORMS[:-1], ids=repr)
def test_a_generator_of_its_own(transform: Any) -> None:
    x = images((5, 1, 6, 6), 0)
    own = type(transform)(generator=Generator().manual_seed(3))
    first, second = own(x), own(x)
    own.generator.manual_seed(3)
    manual_seed(1)
    np.testing.assert_array_equal(own(x), first)
    assert not np.array_equal(first, second)
    assert default_generator().get_state() == manual_seed(1).get_state()


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_what_is_no_batch_of_images(transform: Any) -> None:
    for x in (np.zeros(3), np.zeros((3, 3)), np.zeros((1, 1, 1, 1, 1))):
        with pytest.raises(ShapeError, match="batch of images"):
            transform(x)
    assert transform(np.zeros((0, 1, 3, 3))).shape == (0, 1, 3, 3)


def test_settings_that_make_no_sense() -> None:
    for wrong in (-1, 1.5, True, "2"):
        with pytest.raises(ArgumentError):
            RandomShift(wrong)
    for degrees in (-1, math.inf, math.nan):
        with pytest.raises(ArgumentError):
            RandomRotation(degrees)
    for p in (-0.1, 1.1, math.nan):
        for kind in (RandomHorizontalFlip, RandomErasing):
            with pytest.raises(ArgumentError):
                kind(p)
    for settings in (
        {"scale": (0.5, 0.1)},
        {"scale": (0, 2)},
        {"ratio": (0, 1)},
        {"ratio": (2, 1)},
    ):
        with pytest.raises(ArgumentError):
            RandomErasing(**settings)
    with pytest.raises(DTypeError, match="whole numbers"):
        RandomRotation(10)(np.zeros((1, 3, 3), np.uint8))


# -- each of them, against plain loops -------------------------------------------------------------


def shifted(image: Any, a: int, b: int, fill: float) -> Any:
    h, w = image.shape
    rows = [
        [image[i - a, j - b] if 0 <= i - a < h and 0 <= j - b < w else fill for j in range(w)]
        for i in range(h)
    ]
    return np.array(rows, image.dtype)


@given(size=sizes, seed=seeds, most=st.integers(0, 3))
def test_a_shift_is_one_of_all_shifts(size: tuple[int, ...], seed: int, most: int) -> None:
    x = images(size, seed)
    y = RandomShift(most, fill=0.25, generator=Generator().manual_seed(seed))(x)
    for before, after in zip(x, y, strict=True):
        steps = [
            (a, b)
            for a in range(-most, most + 1)
            for b in range(-most, most + 1)
            if all(
                np.array_equal(shifted(before[c], a, b, 0.25), after[c]) for c in range(len(before))
            )
        ]
        assert steps, "every channel of an image is moved by the same step"


def test_every_shift_is_as_likely() -> None:
    x = np.zeros((9000, 7, 7))
    x[:, 3, 3] = 1
    y = RandomShift(1, generator=Generator().manual_seed(0))(x).sum(axis=0)
    inner = y[2:5, 2:5]
    assert inner.sum() == 9000
    assert (abs(inner - 1000) < 5 * math.sqrt(1000)).all()


def turned(image: Any, angle: float, fill: float) -> Any:
    """The formula of the docstring, pixel for pixel."""
    h, w = image.shape

    def pixel(i: int, j: int) -> float:
        return float(image[i, j]) if 0 <= i < h and 0 <= j < w else fill

    out = np.empty((h, w))
    for i in range(h):
        for j in range(w):
            u, v = j - (w - 1) / 2, i - (h - 1) / 2
            column = u * math.cos(angle) - v * math.sin(angle) + (w - 1) / 2
            row = u * math.sin(angle) + v * math.cos(angle) + (h - 1) / 2
            p, q = math.floor(row), math.floor(column)
            s, t = row - p, column - q
            out[i, j] = (
                (1 - s) * (1 - t) * pixel(p, q)
                + (1 - s) * t * pixel(p, q + 1)
                + s * (1 - t) * pixel(p + 1, q)
                + s * t * pixel(p + 1, q + 1)
            )
    return out


class _Fixed(Generator):
    """Draws that are known: these shares of the range."""

    def __init__(self, *shares: float) -> None:
        super().__init__()
        self.shares = shares

    def random(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return np.array(self.shares[: shape[0]], dtype).reshape(shape)


@given(
    size=st.tuples(st.just(3), *[st.integers(1, 6)] * 3),
    seed=seeds,
    shares=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    degrees=st.sampled_from([0.0, 15.0, 90.0, 180.0, 720.0]),
)
def test_a_rotation_is_the_formula(
    size: tuple[int, ...], seed: int, shares: list[float], degrees: float
) -> None:
    x = images(size, seed, np.float64)
    y = RandomRotation(degrees, fill=0.5, generator=_Fixed(*shares))(x)
    for before, after, share in zip(x, y, shares, strict=True):
        angle = math.radians(degrees) * (2 * share - 1)
        for c in range(len(before)):
            np.testing.assert_allclose(after[c], turned(before[c], angle, 0.5), atol=1e-9)


def test_quarter_turns_are_counter_clockwise() -> None:
    x = images((4, 2, 5, 5), 0)
    y = RandomRotation(180, generator=_Fixed(0.5, 0.75, 0.25, 1.0))(x)
    for k, quarters in enumerate((0, 1, -1, 2)):
        np.testing.assert_allclose(y[k], np.rot90(x[k], quarters, axes=(1, 2)), atol=1e-6)


@given(size=sizes, seed=seeds)
def test_a_flip_is_a_mirror_or_nothing(size: tuple[int, ...], seed: int) -> None:
    x = images(size, seed)
    y = RandomHorizontalFlip(generator=Generator().manual_seed(seed))(x)
    for before, after in zip(x, y, strict=True):
        assert np.array_equal(after, before) or np.array_equal(after, before[:, :, ::-1])
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(x), x)
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(x), x[..., ::-1])


@given(size=sizes, seed=seeds)
def test_what_is_erased_is_one_rectangle(size: tuple[int, ...], seed: int) -> None:
    x = images(size, seed)
    y = RandomErasing(1, value=99.0, generator=Generator().manual_seed(seed))(x)
    for before, after in zip(x, y, strict=True):
        gone = after == 99
        assert (gone == gone[0]).all()  # in all channels
        rows, columns = gone[0].any(axis=1), gone[0].any(axis=0)
        assert rows.any()
        np.testing.assert_array_equal(gone[0], np.outer(rows, columns))
        for line in (rows, columns):
            assert abs(np.diff(line.astype(int))).sum() <= 2 - line[0] - line[-1]  # no gap
        np.testing.assert_array_equal(after[~gone], before[~gone])
    np.testing.assert_array_equal(RandomErasing(0)(x), x)


def test_how_much_and_where_is_erased() -> None:
    x = np.zeros((4000, 40, 40))
    erase = RandomErasing(0.25, (0.1, 0.3), (0.5, 2), 1.0, generator=Generator().manual_seed(0))
    y = erase(x)
    shares = y.mean(axis=(1, 2))
    hit = shares > 0
    assert abs(hit.mean() - 0.25) < 0.03
    assert 0.09 < shares[hit].min() < 0.11 < 0.29 < shares[hit].max() < 0.31
    assert abs(shares[hit].mean() - 0.2) < 0.01
    height, width = y[hit].any(axis=2).sum(axis=1), y[hit].any(axis=1).sum(axis=1)
    ratios = np.log(height / width)
    assert abs(ratios.mean()) < 0.05
    assert abs(abs(ratios).max() - math.log(2)) < 0.15
    corners = y[:, [0, 0, -1, -1], [0, -1, 0, -1]].sum(axis=0)
    assert corners.min() > 0


# -- data sets -------------------------------------------------------------------------------------


def pairs(n: int = 10) -> TensorDataset:
    return TensorDataset(images((n, 1, 5, 5), 0), np.arange(n))


def test_labels_stay_with_their_images() -> None:
    data = pairs()
    for x, y in DataLoader(Augmented(data, RandomHorizontalFlip(1)), batch_size=4, shuffle=True):
        np.testing.assert_array_equal(x.array[..., ::-1], data.tensors[0].array[y.array])


def test_one_sample_and_a_subset() -> None:
    data = Augmented(pairs(), RandomHorizontalFlip(1))
    image, label = data[3]
    assert (image.shape, int(label)) == ((1, 5, 5), 3)
    [(batch, labels)] = DataLoader(Subset(data, [3, 5]), batch_size=2)
    np.testing.assert_array_equal(batch.array[0], image.array)
    assert labels.array.tolist() == [3, 5]
    assert len(data) == 10


def test_a_loader_changes_whole_batches_and_repeats_them() -> None:
    seen: list[tuple[int, ...]] = []

    def watch(x: Any) -> Any:
        seen.append(x.shape)
        return RandomShift(2)(x)

    loader = DataLoader(Augmented(pairs(), watch), batch_size=4, shuffle=True)
    manual_seed(0)
    first = [x.array for x, _ in loader]
    assert seen == [(4, 1, 5, 5), (4, 1, 5, 5), (2, 1, 5, 5)]
    second = [x.array for x, _ in loader]
    assert not all(map(np.array_equal, first, second))
    manual_seed(0)
    threads = DataLoader(Augmented(pairs(), watch), batch_size=4, shuffle=True, num_workers=3)
    for passes in (first, second):
        for x, (y, _) in zip(passes, threads, strict=True):
            np.testing.assert_array_equal(x, y.array)


def test_samples_that_are_no_tuples() -> None:
    for data in ([1.0, 2.0], [{"x": 1}]):
        with pytest.raises(DataError, match="begins with an image"):
            Augmented(data, RandomShift(1))[0]
        with pytest.raises(DataError, match="begins with an image"):
            next(iter(DataLoader(Augmented(data, RandomShift(1)))))


# -- standardisation -------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [None, 0, (0, 2, 3)])
def test_the_training_data_gets_mean_0_and_deviation_1(dim: Any) -> None:
    train, test = 3 + 2 * images((20, 3, 4, 5), 0), images((5, 3, 4, 5), 1)
    standardize = Standardize.fit(train, dim)
    y = standardize(train)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=dim), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=dim), 1, atol=1e-5)
    np.testing.assert_allclose(standardize.inverse(y), train, atol=1e-5)
    mean, std = train.mean(axis=dim, keepdims=True), train.std(axis=dim, keepdims=True)
    np.testing.assert_allclose(standardize(test), (test - mean) / std, atol=1e-4)
    held = standardize(tensor(test))
    assert isinstance(held, Tensor)
    np.testing.assert_array_equal(held.array, standardize(test))


def test_standardising_what_has_no_scale() -> None:
    constant = Standardize.fit(np.full((4, 2), 7.0), 0)
    np.testing.assert_array_equal(constant(np.full((1, 2), 8.0)), 1)
    assert Standardize.fit(np.arange(4, dtype=np.uint8))(np.uint8([1])).dtype == np.float32
    for empty in ([], np.zeros((0, 3))):
        with pytest.raises(DataError, match="no data"):
            Standardize.fit(empty)
    for wrong in ([1.0, math.nan], [math.inf, 0.0]):
        with np.errstate(invalid="ignore"), pytest.raises(DataError, match="not a number"):
            Standardize.fit(wrong)
    with pytest.raises(ArgumentError, match="above 0"):
        Standardize(0, [1, 0])
    assert repr(Standardize(1, 2)) == "Standardize(mean=1, std=2)"
