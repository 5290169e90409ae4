"""The handwritten digits, read by a multilayer perceptron.

A random split shows the network every hand that wrote; the last fifth of the file, in its order,
holds hands that it hardly saw. Both are measured, and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinynet import plot
from tinynet.data import Digits, TensorDataset, load_digits
from tinynet.metrics import accuracy, confusion_matrix
from tinynet.models.mlp import MLP, MLPConfig
from tinynet.models.system import Recipe, Run, System, Trained
from tinynet.random import manual_seed
from tinynet.train import evaluate


@dataclass(frozen=True)
class DigitsSettings(Recipe):
    """splits: how many random fifths are held out, one after another."""

    epochs: int = 40
    lr: float = 4e-3
    splits: int = 5


class DigitsMLP(System):
    """64 pixels → 128 neurons → 10 classes."""

    name = "digits-mlp"
    document = "C 4.1.1"
    about = "8 × 8 digits by a multilayer perceptron: five random splits, and the last fifth"
    Settings = DigitsSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 8, "splits": 1}
    Network = MLP

    def model(self) -> Any:
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
        predictions = other.model(test.images).detach().array.argmax(axis=1)
        matrix = confusion_matrix(predictions, test.labels.array, classes=10)
        run.picture("confusion_matrix", plot.confusion_matrix(matrix))
        return kept.model

    def _one(self, run: Run, train: Digits, test: Digits, label: str, seed: int) -> Trained:
        manual_seed(seed)
        return run.fit(
            self.model(),
            _samples(train),
            lambda F, scores, y: F.cross_entropy(scores, y),
            label=label,
            validation=_samples(test),
            metrics=[accuracy],
        )

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the fifth that was held out with seed 0."""
        _, test = load_digits(scaled=True).split(0.2, seed=0)
        return evaluate(model, _samples(test), metrics=[accuracy])


def _samples(digits: Digits) -> TensorDataset:
    return TensorDataset(digits.images, digits.labels)


def _text(scores: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{100 * s['accuracy']:.1f} % ({engine})" for engine, s in scores.items())
