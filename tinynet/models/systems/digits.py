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
    Compose,
    Digits,
    RandomRotation,
    Standardize,
    TensorDataset,
    load_digits,
)
from tinynet.metrics import accuracy
from tinynet.models.cnn import CNN, CNNConfig
from tinynet.models.mlp import MLP, MLPConfig
from tinynet.models.system import Recipe, Run, System, Trained, augmented
from tinynet.models.systems import pictures
from tinynet.random import manual_seed
from tinynet.train import evaluate


@dataclass(frozen=True)
class DigitsSettings(Recipe):
    """How a network reads digits.

    splits     how many random fifths are held out, one after another
    dropout    of the hidden neurons
    rotation   augmentation: degrees by which an image is turned at most
    """

    epochs: int = 30
    lr: float = 5e-3
    warmup: float = 0.1
    schedule: str = "cosine"
    splits: int = 5
    dropout: float = 0.3
    rotation: float = 10.0


class DigitsMLP(System):
    """64 pixels → 128 neurons → 10 classes."""

    name = "digits-mlp"
    document = "C 4.1.1"
    about = "8 × 8 digits by a multilayer perceptron: five random splits, and the last fifth"
    Settings = DigitsSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 8, "splits": 1}
    Network: ClassVar[type[Any]] = MLP

    def model(self, settings: Any) -> Any:
        """A network with new weights."""
        return MLP(MLPConfig(dropout=settings.dropout))

    def train(self, run: Run) -> Any:
        """Each split, then the file's order."""
        digits, settings = load_digits(scaled=True), run.settings
        found: list[dict[str, Any]] = []
        for seed in range(settings.splits):
            trained, _, scores = self._one(run, *digits.split(0.2, seed=seed), seed)
            run.say(f"   a random fifth, seed {seed}: {_text(scores)}")
            found.append(scores)
            if seed == 0:
                kept = trained
        other, test, last = self._one(run, *digits.split_in_file_order(0.2), "in file order")
        run.say(f"   the last fifth of the file: {_text(last)}")
        for engine in last:
            each = [scores[engine]["accuracy"] for scores in found]
            run.metrics[engine] = {
                "accuracy": float(np.mean(each)),
                "splits": each,
                "last fifth in file order": last[engine]["accuracy"],
            }
        run.picture("learning_curves", plot.learning_curves(kept.history))
        pictures.answers(run, other.model, *test.tensors)  # more goes wrong on the last fifth
        self.look_inside(run, other.model, test)
        return kept.model

    def look_inside(self, run: Run, model: Any, test: TensorDataset) -> None:
        """Pictures of what the network has learned to look at."""
        run.picture("weights", plot.weights(model.hidden.weight[:32]))

    def _one(
        self, run: Run, train: Digits, test: Digits, split: int | str
    ) -> tuple[Trained, TensorDataset, dict[str, dict[str, float]]]:
        """(the network, what was held out, its scores there)"""
        settings, standardize = run.settings, Standardize.fit(train.images)
        turned = Compose([RandomRotation(settings.rotation), standardize])
        held_out = _samples(test, standardize)
        manual_seed(settings.seed)
        trained = run.fit(
            self.model(settings),
            TensorDataset(train.images[:, None], train.labels),
            lambda F, scores, y: F.cross_entropy(scores, y),
            label=f"split {split}",
            loader=augmented(turned),
            validation=held_out,
            metrics=[accuracy],
        )
        return trained, held_out, trained.scores(held_out, {"accuracy": accuracy})

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the fifth that was held out with seed 0."""
        train, test = load_digits(scaled=True).split(0.2, seed=0)
        return evaluate(model, _samples(test, Standardize.fit(train.images)), metrics=[accuracy])


class DigitsCNN(DigitsMLP):
    """The network of C 5.2 for 8 × 8 pixels and ten classes; borders are padded, as 8 is small."""

    name = "digits-cnn"
    document = "C 4.1.2, 5.2"
    about = "8 × 8 digits by a convolutional network: five random splits, and the last fifth"
    Network = CNN

    def model(self, settings: Any) -> Any:
        return CNN(CNNConfig(side=8, channels=1, outputs=10, padding=1, dropout=settings.dropout))

    def look_inside(self, run: Run, model: Any, test: TensorDataset) -> None:
        pictures.convolution(run, model, *test[:1])


def _samples(digits: Digits, standardize: Standardize) -> TensorDataset:
    """Pixels with the mean and the deviation of those trained on taken out."""
    return TensorDataset(standardize(digits.images[:, None]), digits.labels)


def _text(scores: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{100 * s['accuracy']:.1f} % ({engine})" for engine, s in scores.items())
