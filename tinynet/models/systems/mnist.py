"""Handwritten digits of 28 × 28 pixels, read by the network of C 5.2 in its ten-class version.

The document feeds MNIST to a network for 128 × 128 × 3 and one sigmoid; neither the sizes nor the
classes fit (47,040,000 numbers are no multiple of 49,152). Here the network has the size of the
images, and ten scores: 225,034 parameters.

A tenth as many images as the full training set: what is missing is made up for in part by images
moved and turned at random. The epochs are fixed beforehand: the curve of the test images is drawn,
and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tinynet import plot
from tinynet.data import (
    Compose,
    Images,
    RandomRotation,
    RandomShift,
    Standardize,
    TensorDataset,
    load_mnist_5k,
)
from tinynet.metrics import accuracy
from tinynet.models.cnn import CNN, CNNConfig
from tinynet.models.system import Recipe, Run, System, augmented
from tinynet.models.systems import pictures
from tinynet.train import evaluate


@dataclass(frozen=True)
class MnistSettings(Recipe):
    """How the network learns.

    samples    how many images are used, a fifth of them for the test
    dropout    of the hidden neurons
    shift      augmentation: pixels by which an image is moved at most
    rotation   augmentation: degrees by which it is turned at most
    """

    epochs: int = 30
    batch_size: int = 50
    lr: float = 3e-3
    warmup: float = 0.1
    schedule: str = "cosine"
    samples: int = 5000
    dropout: float = 0.4
    shift: int = 2
    rotation: float = 12.0


class MnistCNN(System):
    """28 × 28 pixels → 32 and 64 filters → 128 neurons → 10 classes."""

    name = "mnist-cnn"
    document = "C 5.2"
    about = "28 × 28 digits by a convolutional network: 4,000 to learn from, 1,000 to be tested on"
    Settings = MnistSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 3, "samples": 2000}
    Network = CNN

    def train(self, run: Run) -> Any:
        """Images changed anew in each epoch; the test images as they are."""
        settings = run.settings
        train, test = split(settings)
        standardize = Standardize.fit(train.images)
        held_out = _samples(test, standardize)
        moved = Compose([RandomShift(settings.shift), RandomRotation(settings.rotation)])
        trained = run.fit(
            CNN(CNNConfig(side=28, channels=1, outputs=10, dropout=settings.dropout)),
            TensorDataset(train.images[:, None], train.labels),
            lambda F, scores, y: F.cross_entropy(scores, y),
            loader=augmented(Compose([moved, standardize])),
            validation=held_out,
            metrics=[accuracy],
        )
        run.metrics |= trained.scores(held_out, {"accuracy": accuracy})
        run.picture("learning_curves", plot.learning_curves(trained.history))
        pictures.answers(run, trained.model, *held_out.tensors)
        pictures.convolution(run, trained.model, *held_out[:1])
        return trained.model

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the test images, with the numbers of the training images."""
        train, test = split(settings)
        return evaluate(model, _samples(test, Standardize.fit(train.images)), metrics=[accuracy])


def split(settings: MnistSettings) -> tuple[Images, Images]:
    """(train, test): of each digit, four fifths and one."""
    images = load_mnist_5k(scaled=True)
    if settings.samples < len(images):
        share = settings.samples / len(images)
        images = images.split(share, seed=settings.seed, stratify=True)[1]
    return images.split(0.2, seed=settings.seed, stratify=True)


def _samples(images: Images, standardize: Standardize) -> TensorDataset:
    return TensorDataset(standardize(images.images[:, None]), images.labels)
