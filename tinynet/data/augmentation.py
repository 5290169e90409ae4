"""Images changed at random, in ways that leave their label true: a network sees more of them.

Every transform takes a batch of images (n, c, h, w), or (n, h, w) without channels, as an array or
a tensor, and gives a new one of the same kind, shape and dtype. All images of a batch are changed
at once, each by numbers of its own, drawn from `generator` or from tinynet's default one: the same
state of the generator gives the same batch, to the bit.

A figure is moved by asking, for each place of the new image, which place of the old one it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.data.sets import Dataset
from tinynet.errors import ArgumentError, DataError, DeviceError, DTypeError, ShapeError, describe
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor


class _Random:
    """What the transforms share: draws, and batches as arrays (n, c, h, w)."""

    def __init__(self, generator: Generator | None) -> None:
        self.generator = generator

    def __call__(self, images: Any) -> Any:
        x = _array(images)
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__} changes a batch of images",
                expected="(n, c, h, w) or (n, h, w)",
                got=describe(images),
            )
        channels = x if x.ndim == 4 else x[:, None]
        y = self._changed(channels).reshape(x.shape)
        return Tensor(y) if isinstance(images, Tensor) else y

    def _changed(self, x: Array) -> Array:
        raise NotImplementedError

    def _uniform(self, low: float, high: float, n: int) -> Array:
        """n numbers, each one broadcast over an image."""
        drawn = (self.generator or default_generator()).random((n, 1, 1, 1), np.float64)
        return low + (high - low) * drawn

    def __repr__(self) -> str:
        settings = {k: v for k, v in vars(self).items() if k != "generator"}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in settings.items())})"


class RandomShift(_Random):
    """Each image moved by whole pixels, up to `most` up or down and up to `most` left or right.

    y[i, j] = x[i − a, j − b], and `fill` where that lies outside;  a, b uniform on −most … most

    >>> import tinynet as tn
    >>> _ = tn.manual_seed(0)
    >>> RandomShift(1)(np.eye(3)[None])
    array([[[0., 0., 0.],
            [1., 0., 0.],
            [0., 1., 0.]]])
    """

    def __init__(
        self, most: Any = 2, *, fill: float = 0.0, generator: Generator | None = None
    ) -> None:
        super().__init__(generator)
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ArgumentError("most is a number of pixels, 0 or larger", got=repr(most))
        self.most, self.fill = most, fill

    def _changed(self, x: Array) -> Array:
        (n, _, h, w), m = x.shape, self.most
        draw = (self.generator or default_generator()).integers
        top, left = draw(0, 2 * m + 1, (n,)), draw(0, 2 * m + 1, (n,))
        padded = np.pad(x, ((0, 0), (0, 0), (m, m), (m, m)), constant_values=self.fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), (2, 3))
        return windows[np.arange(n), :, top, left]


class RandomRotation(_Random):
    """Each image turned about its centre by an angle, uniform on −degrees … degrees; positive is
    counter-clockwise, as in mathematics.

    Place (u, v), to the right of the centre and below it, shows what was at
    (u cos φ − v sin φ, u sin φ + v cos φ), which lies between four pixels:

        y = (1−s)(1−t) x[i, j] + (1−s) t x[i, j+1] + s (1−t) x[i+1, j] + s t x[i+1, j+1]

    with i + s its row and j + t its column, 0 ≤ s, t < 1 (bilinear interpolation). Outside of the
    image everything is `fill`. Images are floats.
    """

    def __init__(
        self, degrees: float = 10.0, *, fill: float = 0.0, generator: Generator | None = None
    ) -> None:
        super().__init__(generator)
        if not 0 <= degrees < math.inf:
            raise ArgumentError("degrees is the largest angle, 0 or larger", got=repr(degrees))
        self.degrees, self.fill = degrees, fill

    def _changed(self, x: Array) -> Array:
        if x.dtype.kind != "f":
            raise DTypeError(
                "between the pixels of a turned image there are no whole numbers",
                got=str(x.dtype),
                hint="images.astype(np.float32)",
            )
        (n, c, h, w), most = x.shape, math.radians(self.degrees)
        angle = self._uniform(-most, most, n).reshape(n, 1, 1)
        v = (np.arange(h) - (h - 1) / 2)[:, None]
        u = np.arange(w) - (w - 1) / 2
        row = u * np.sin(angle) + v * np.cos(angle) + (h - 1) / 2
        column = u * np.cos(angle) - v * np.sin(angle) + (w - 1) / 2
        # One pixel of `fill` all around; what lies further outside is moved there.
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=self.fill)
        i, s = _between(row + 1, h)
        j, t = _between(column + 1, w)
        s, t = s.astype(x.dtype)[:, None], t.astype(x.dtype)[:, None]
        pixels = padded.reshape(n, c, (h + 2) * (w + 2))
        first = (i * (w + 2) + j).reshape(n, 1, h * w)

        def at(step: int) -> Array:
            return np.take_along_axis(pixels, first + step, axis=2).reshape(x.shape)

        upper = at(0) * (1 - t) + at(1) * t
        lower = at(w + 2) * (1 - t) + at(w + 3) * t
        return upper * (1 - s) + lower * s


def _between(place: Array, size: int) -> tuple[Array, Array]:
    """The pixel before the place, and how far it lies behind that, in a row of size + 2 pixels."""
    place = np.clip(place, 0, size + 1)
    before = np.minimum(place.astype(np.int64), size)
    return before, place - before


class RandomHorizontalFlip(_Random):
    """Each image, with probability p, seen in a mirror: left and right change places."""

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__(generator)
        self.p = _probability(p)

    def _changed(self, x: Array) -> Array:
        return np.where(self._uniform(0, 1, len(x)) < self.p, x[..., ::-1], x)


class RandomErasing(_Random):
    """In each image, with probability p, one rectangle is set to `value`.

    Its area is a share of the image, uniform on `scale`; its height over its width is drawn from
    `ratio`, uniform in the logarithm; its place is uniform. A side that would be longer than the
    image is as long as the image. The names and numbers are torchvision's.

    Source: Z. Zhong, L. Zheng, G. Kang, S. Li and Y. Yang, Random Erasing Data Augmentation, 2017.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0.0,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(generator)
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ArgumentError("scale is (least, largest) share of the area", got=str(scale))
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise ArgumentError("ratio is (least, largest) height over width", got=str(ratio))
        self.p, self.scale, self.ratio, self.value = _probability(p), scale, ratio, value

    def _changed(self, x: Array) -> Array:
        n, _, h, w = x.shape
        erased = self._uniform(0, 1, n) < self.p
        area = self._uniform(*self.scale, n) * (h * w)
        ratio = np.exp(self._uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), n))
        height = np.clip(np.round(np.sqrt(area * ratio)), 1, h)
        width = np.clip(np.round(np.sqrt(area / ratio)), 1, w)
        top = np.floor(self._uniform(0, 1, n) * (h - height + 1))
        left = np.floor(self._uniform(0, 1, n) * (w - width + 1))
        i, j = np.arange(h)[:, None], np.arange(w)
        inside = (top <= i) & (i < top + height) & (left <= j) & (j < left + width)
        return np.where(erased & inside, x.dtype.type(self.value), x)


def _array(x: Any) -> Array:
    if isinstance(x, Tensor) and x.device != "cpu":
        raise DeviceError(
            "data is changed on the CPU, before it is sent to a GPU", got=f"a tensor on {x.device}"
        )
    return np.asarray(x.array if isinstance(x, Tensor) else x)


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise ArgumentError("p is a probability", expected="0 ≤ p ≤ 1", got=repr(p))
    return p


class Compose:
    """One transform after another.

    >>> Compose([RandomShift(2), RandomHorizontalFlip()])
    Compose([RandomShift(most=2, fill=0.0), RandomHorizontalFlip(p=0.5)])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: Any) -> Any:
        for transform in self.transforms:
            images = transform(images)
        return images

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


class Augmented(Dataset):
    """A data set of (images, …) whose images are changed anew each time they are asked for.

    A `DataLoader` asks for a batch at a time, which is changed at once.

    >>> import tinynet as tn
    >>> from tinynet.data import DataLoader, TensorDataset
    >>> data = Augmented(TensorDataset(tn.ones(6, 1, 4, 4), tn.arange(6)), RandomShift(1))
    >>> [(x.shape, y) for x, y in DataLoader(data, batch_size=3)]
    [((3, 1, 4, 4), tensor([0, 1, 2])), ((3, 1, 4, 4), tensor([3, 4, 5]))]
    """

    def __init__(self, dataset: Any, transform: Callable[[Any], Any]) -> None:
        self.dataset, self.transform = dataset, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        image, *rest = self._parts(self.dataset[index])
        return (self.transform(image[None])[0], *rest)

    def changed(self, batch: Any) -> Any:
        """A batch of the data set with its images changed, all at once."""
        images, *rest = self._parts(batch)
        return (self.transform(images), *rest)

    @staticmethod
    def _parts(sample: Any) -> Any:
        if not isinstance(sample, tuple | list) or not sample:
            raise DataError(
                "a sample to be augmented is a tuple that begins with an image",
                got=describe(sample),
            )
        return sample


class Standardize:
    """(x − mean) / std: the numbers of the training data get mean 0 and standard deviation 1.

    `Standardize.fit(train)` takes both from the training data; the same numbers then serve
    validation and test data, of which a model must not know anything beforehand.

    >>> standardize = Standardize.fit(np.array([[0.0, 5.0], [2.0, 5.0]]), dim=0)
    >>> standardize(np.array([[4.0, 5.0]]))
    array([[3., 0.]])
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
        if not (self.std > 0).all():
            raise ArgumentError("a standard deviation is above 0", got=str(std))

    @classmethod
    def fit(cls, data: Any, dim: int | tuple[int, ...] | None = None) -> Standardize:
        """Mean and standard deviation of the data, over all numbers, or over the axes `dim`: 0 for
        each column of a table, (0, 2, 3) for each channel of images. Where all numbers are equal,
        their deviation 0 counts as 1.
        """
        x = _array(data)
        if x.size == 0:
            raise DataError("there is no data to standardize by", got=describe(x))
        mean = x.mean(axis=dim, keepdims=dim is not None, dtype=np.float64)
        std = x.std(axis=dim, keepdims=dim is not None, dtype=np.float64)
        if not np.isfinite(std).all():
            raise DataError("the data holds numbers that are infinite or not a number")
        return cls(mean, np.where(std == 0, 1, std))

    def __call__(self, data: Any) -> Any:
        return self._mapped(data, lambda x: (x - self.mean) / self.std)

    def inverse(self, data: Any) -> Any:
        """x · std + mean: the numbers as they were."""
        return self._mapped(data, lambda x: x * self.std + self.mean)

    def _mapped(self, data: Any, formula: Callable[[Array], Array]) -> Any:
        x = _array(data)
        y = formula(x).astype(x.dtype if x.dtype.kind == "f" else np.float32, copy=False)
        return Tensor(y) if isinstance(data, Tensor) else y

    def __repr__(self) -> str:
        if self.mean.size > 1:
            return f"Standardize(mean and std of shape {self.mean.shape})"
        return f"Standardize(mean={self.mean.item():.4g}, std={self.std.item():.4g})"
