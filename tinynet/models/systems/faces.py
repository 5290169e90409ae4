"""What the two systems on faces share: folds, and pictures changed at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinynet.data import Images
from tinynet.tensor import Tensor


class Round(NamedTuple):
    """One part is measured on; another, not trained on either, says where the threshold lies."""

    train: Images
    calibrate: Images
    test: Images


def rounds(images: Images, count: int, seed: int) -> Iterator[Round]:
    """Cross-validation with a part for the threshold: in round k, part k is for the test and part
    k + 1 for the threshold. The parts hold as many images of each label, up to one.
    """
    parts = [test for _, test in images.folds(count, seed=seed)]
    for k in range(count):
        test, calibrate, *rest = parts[k:] + parts[:k]
        yield Round(_together(rest), calibrate, test)


def _together(parts: Sequence[Images]) -> Images:
    images, labels = (
        Tensor(np.concatenate([getattr(part, name).array for part in parts]))
        for name in ("images", "labels")
    )
    return replace(parts[0], images=images, labels=labels)


class Framed:
    """A transform of a larger image, whose border is repeated outward meanwhile: where the figure
    is moved or turned away, its border stands, and nothing black that could be learned.
    """

    def __init__(self, transform: Callable[[Any], Any], margin: int) -> None:
        self.transform, self.margin = transform, margin

    def __call__(self, images: Any) -> Any:
        m = self.margin
        framed = np.pad(np.asarray(images), ((0, 0), (0, 0), (m, m), (m, m)), mode="edge")
        return self.transform(framed)[:, :, m:-m, m:-m]
