"""The handwritten digits, read by a multilayer perceptron and by a convolutional network.

A random split shows the network every hand that wrote; the last fifth of the file, in its order,
holds hands that it hardly saw. Both are measured, and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinynet import plot
from tinynet.data import (
    Augmented,
    Compose,
    DataLoader,
    Digits,
    RandomRotation,
    RandomShift,
    TensorDataset,
    load_digits,
)
from tinynet.metrics import accuracy
from tinynet.models.cnn import CNN, CNNConfig
from tinynet.models.mlp import MLP, MLPConfig
from tinynet.models.system import Recipe, Run, System, Trained
from tinynet.models.systems import pictures
from tinynet.random import manual_seed
from tinynet.train import evaluate


@dataclass(frozen=True)
class DigitsSettings(Recipe):
    """How a network reads digits.

    splits     how many random fifths are held out, one after another
    shift      augmentation: pixels by which an image is moved at most
    rotation   augmentation: degrees by which it is turned at most
    """

    epochs: int = 40
    lr: float = 4e-3
    schedule: str = "cosine"
    splits: int = 5
    shift: int = 0
    rotation: float = 0.0


class DigitsMLP(System):
    """64 pixels → 128 neurons → 10 classes."""

    name = "digits-mlp"
    document = "C 4.1.1"
    about = "8 × 8 digits by a multilayer perceptron: five random splits, and the last fifth"
    Settings: ClassVar[type[Any]] = DigitsSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 8, "splits": 1}
    Network: ClassVar[type[Any]] = MLP

    def model(self, settings: Any) -> Any:
        """A network with new weights."""
        return MLP(MLPConfig())

    def train(self, run: Run) -> Any:
        """Each split, then the file's order."""
        digits, settings = load_digits(scaled=True), run.settings
        found: list[dict[str, Any]] = []
        for seed in range(settings.splits):
            train, test = digits.split(0.2, seed=seed)
            trained = self._one(run, train, test, f"split-{seed}", seed)
            found.append(trained.scores(_samples(test), {"accuracy": accuracy}))
            run.say(f"   a random fifth, seed {seed}: {_text(found[-1])}")
            if seed == 0:
                kept = trained
        train, test = digits.split_in_file_order(0.2)
        other = self._one(run, train, test, "file-order", 0)
        last = other.scores(_samples(test), {"accuracy": accuracy})
        run.say(f"   the last fifth of the file: {_text(last)}")
        for engine in last:
            each = [scores[engine]["accuracy"] for scores in found]
            run.metrics[engine] = {
                "accuracy": float(np.mean(each)),
                "splits": each,
                "last fifth in file order": last[engine]["accuracy"],
            }
        run.picture("learning_curves", plot.learning_curves(kept.history))
        # Of the last fifth, which has more to show.
        pictures.answers(run, other.model, test.images[:, None], test.labels)
        self.look_inside(run, other.model, test)
        return kept.model

    def look_inside(self, run: Run, model: Any, test: Digits) -> None:
        """Pictures of what the network has learned to look at."""
        run.picture("weights", plot.weights(model.hidden.weight[:32]))

    def _one(self, run: Run, train: Digits, test: Digits, label: str, seed: int) -> Trained:
        manual_seed(seed)
        return run.fit(
            self.model(run.settings),
            _samples(train),
            lambda F, scores, y: F.cross_entropy(scores, y),
            label=label,
            loader=loader_of(run.settings),
            validation=_samples(test),
            metrics=[accuracy],
        )

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the fifth that was held out with seed 0."""
        _, test = load_digits(scaled=True).split(0.2, seed=0)
        return evaluate(model, _samples(test), metrics=[accuracy])


@dataclass(frozen=True)
class DigitsCNNSettings(DigitsSettings):
    """As `DigitsSettings`; dropout is that of the hidden neurons."""

    epochs: int = 30
    lr: float = 2e-3
    dropout: float = 0.3
    shift: int = 1
    rotation: float = 10.0


class DigitsCNN(DigitsMLP):
    """The network of C 5.2 for 8 × 8 pixels and ten classes; borders are padded, as 8 is small."""

    name = "digits-cnn"
    document = "C 4.1.2, 5.2"
    about = "8 × 8 digits by a convolutional network: five random splits, and the last fifth"
    Settings = DigitsCNNSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 4, "splits": 1}
    Network = CNN

    def model(self, settings: Any) -> Any:
        return CNN(CNNConfig(side=8, channels=1, outputs=10, padding=1, dropout=settings.dropout))

    def look_inside(self, run: Run, model: Any, test: Digits) -> None:
        pictures.convolution(run, model, test.images[:1, None], test.labels[:1])


def loader_of(settings: Any) -> Any:
    """A shuffled loader of images moved and turned at random, as far as the settings say."""

    def load(data: Any, batch_size: int, generator: Any) -> DataLoader:
        if settings.shift or settings.rotation:
            moved = Compose([RandomShift(settings.shift), RandomRotation(settings.rotation)])
            data = Augmented(data, moved)
        return DataLoader(data, batch_size=batch_size, shuffle=True, generator=generator)

    return load


def _samples(digits: Digits) -> TensorDataset:
    return TensorDataset(digits.images[:, None], digits.labels)


def _text(scores: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{100 * s['accuracy']:.1f} % ({engine})" for engine, s in scores.items())
