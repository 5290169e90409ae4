"""The 1797 handwritten digits that ship with tinynet. `DIGITS.md` beside this file names source and
terms.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from tinynet.data.images import Images
from tinynet.tensor import Tensor

ABOUT_DIGITS = """\
Handwritten digits: 1797 images of 8 × 8 pixels, each from 0 (white) to 16 (black), with the digit
0 … 9 as label. Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49 (CC BY 4.0); here the test part,
written by 13 people.
In file order the digits of one writer stand near each other. So a random split shows every hand to
the model, and measures how it reads known hands; holding out the end of the file asks it to read
hands that it hardly saw."""


@dataclass(frozen=True, repr=False)
class Digits(Images):
    """Images of digits with their labels.

    images   (n, 8, 8) float32
    labels   (n,) int64
    """

    description: str = ABOUT_DIGITS


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
