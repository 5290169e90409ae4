"""The 1797 handwritten digits that ship with tinynet. `DIGITS.md` beside this file names source and
terms.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError
from tinynet.random import Generator
from tinynet.tensor import Tensor

_DESCRIPTION = """\
Handwritten digits: 1797 images of 8 × 8 pixels, each from 0 (white) to 16 (black), with the digit
0 … 9 as label. Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49 (CC BY 4.0); here the test part,
written by 13 people.
In file order the digits of one writer stand near each other. So a random split shows every hand to
the model, and measures how it reads known hands; holding out the end of the file asks it to read
hands that it hardly saw."""


@dataclass(frozen=True)
class Digits:
    """Images with their labels.

    images   (n, 8, 8) float32
    labels   (n,) int64
    """

    images: Tensor
    labels: Tensor
    description: str = _DESCRIPTION

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Digits({len(self)} images of {self.images.shape[1]} × {self.images.shape[2]})"

    def take(self, indices: Any) -> Digits:
        """The digits with these numbers."""
        indices = np.asarray(indices)
        return Digits(
            Tensor(self.images.array[indices]), Tensor(self.labels.array[indices]), self.description
        )

    def only(self, *digits: int) -> Digits:
        """Those whose label is one of `digits`.

        >>> len(load_digits().only(0, 1))
        360
        """
        return self.take(np.flatnonzero(np.isin(self.labels.array, digits)))

    def split(
        self, test: float = 0.2, *, seed: int = 0, stratify: bool = False
    ) -> tuple[Digits, Digits]:
        """(train, test) at random. With `stratify`, each digit has the same share in both, up to
        rounding.

        >>> train, test = load_digits().split(0.2, seed=0)
        >>> len(train), len(test)
        (1438, 359)
        """
        if not 0 < test < 1:
            raise ArgumentError(
                "test is the share that is held out", expected="0 < test < 1", got=str(test)
            )
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

    def split_in_file_order(self, test: float = 0.2) -> tuple[Digits, Digits]:
        """(train, test), the test set being the end of the file: mostly other writers than those
        trained on.

        >>> train, test = load_digits().split_in_file_order()
        >>> test.labels[:5]
        tensor([3, 4, 5, 6, 7])
        """
        if not 0 < test < 1:
            raise ArgumentError(
                "test is the share that is held out", expected="0 < test < 1", got=str(test)
            )
        first = len(self) - round(test * len(self))
        return self.take(np.arange(first)), self.take(np.arange(first, len(self)))


def load_digits(*, scaled: bool = False) -> Digits:
    """1797 handwritten digits of 8 × 8 pixels.

    scaled   pixels from 0 to 1 instead of 0 to 16

    >>> digits = load_digits()
    >>> digits, digits.images.shape, digits.labels[:10]
    (Digits(1797 images of 8 × 8), (1797, 8, 8), tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    """
    packed = files("tinynet.data").joinpath("digits.csv.gz").read_bytes()
    table = np.array(
        gzip.decompress(packed).replace(b"\n", b",").rstrip(b",").split(b","), dtype=np.float32
    )
    table = table.reshape(-1, 65)
    images = table[:, :64].reshape(-1, 8, 8) / (16 if scaled else 1)
    return Digits(Tensor(np.ascontiguousarray(images)), Tensor(table[:, 64].astype(np.int64)))
