"""The door lock of C 4.3 with the network of C 5.2, as far as the data go: face, or no face.

**This is detection. The door opens to every face**, also to a printed one. Whose face it is, the
labels do not say; `verification.py` asks that.

The data: 200 pictures of 25 × 25 grey pixels. The network as printed is made for 128 × 128 × 3: the
pictures are enlarged (bilinear) and repeated for three colours, which adds numbers and no
knowledge. Nearly all of its 7,392,449 parameters come from that size.

Cross-validation in five parts. In each round three parts train the network, the fourth chooses the
threshold of the lock, and the fifth, of which nothing was used, is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinynet import metrics, plot
from tinynet.arrays import Array
from tinynet.data import (
    Compose,
    Images,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    Standardize,
    TensorDataset,
    load_faces,
)
from tinynet.errors import ArgumentError
from tinynet.models.cnn import CNN, CNNConfig
from tinynet.models.system import Recipe, Run, System, Trained, augmented
from tinynet.models.systems.faces import Framed, Round, rounds
from tinynet.nn import functional
from tinynet.plot.style import new_figure
from tinynet.tensor import Tensor
from tinynet.train import History

NAMES = {0: "none", 1: "face"}


@dataclass(frozen=True)
class DoorSettings(Recipe):
    """How the lock learns.

    side       of the enlarged pictures
    parts      into how many parts the pictures are divided
    rounds     how many of these parts are measured on, one after another
    rotation   augmentation: degrees by which a picture is turned at most
    shift      augmentation: pixels, of 25, by which it is moved at most
    """

    epochs: int = 20
    batch_size: int = 20
    lr: float = 1e-3
    schedule: str = "cosine"
    side: int = 128
    parts: int = 5
    rounds: int = 5
    rotation: float = 10.0
    shift: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.rounds <= self.parts or self.parts < 3:
            raise ArgumentError(
                "a part is for the test, one for the threshold, and one or more to learn from",
                expected="parts of 3 or more, 1 <= rounds <= parts",
                got=f"parts={self.parts}, rounds={self.rounds}",
            )


@dataclass
class Measured:
    """What one engine did in all rounds: for each picture held out, a row."""

    scores: list[Array]  # p, of 0 … 1
    labels: list[Array]
    thresholds: list[float]

    def report(self) -> dict[str, Any]:
        """What C 4.3.5 asks for, over all rounds, each with the threshold of its own."""
        y = np.concatenate(self.labels)
        opened = np.concatenate(
            [p >= t for p, t in zip(self.scores, self.thresholds, strict=True)]
        ).astype(np.int64)
        areas = [metrics.roc_auc(*pair) for pair in zip(self.scores, self.labels, strict=True)]
        return {
            "accuracy": metrics.accuracy(opened, y),
            "auc": float(np.mean(areas)),
            "recall": metrics.recall(opened, y),
            "precision": metrics.precision(opened, y),
            "f1": metrics.f1(opened, y),
            "false accepts": float(np.mean(opened[y == 0])),
            "false rejects": float(np.mean(1 - opened[y == 1])),
            "accuracy at 0.5": metrics.accuracy(np.concatenate(self.scores) >= 0.5, y),
            "thresholds": self.thresholds,
            "areas": areas,
        }

    def curve(self) -> metrics.ThresholdCurve:
        return metrics.threshold_curve(np.concatenate(self.scores), np.concatenate(self.labels))


class DoorLock(System):
    """128 × 128 × 3 pixels → p(face); the lock opens where p is at least the threshold."""

    name = "door-lock"
    document = "C 4.3, 5.2"
    about = "face or no face, by the network as printed: a detector, which opens to any face"
    Settings = DoorSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 3, "rounds": 1}
    Network = CNN

    def train(self, run: Run) -> Any:
        """Round by round; the network of the first is kept."""
        settings, found = run.settings, dict[str, Measured]()
        histories, tests = [], []
        for k, part in enumerate(self._rounds(settings)):
            trained, view = self._one(run, part, k), View(part.train, settings.side)
            calibration = trained.predictions(view.data(part.calibrate), 40)
            held_out = trained.predictions(view.data(part.test), 40)
            calibration["roughness alone"], held_out["roughness alone"] = (
                (roughness(images.images.array), images.labels.array)
                for images in (part.calibrate, part.test)
            )
            for engine, (scores, y) in held_out.items():
                measured = found.setdefault(engine, Measured([], [], []))
                p, before = (_probability(s) for s in (scores, calibration[engine][0]))
                curve = metrics.threshold_curve(before, calibration[engine][1])
                measured.thresholds.append(curve.least_error())
                measured.scores.append(p)
                measured.labels.append(y)
                right = np.mean((p >= measured.thresholds[-1]) == y)
                run.say(f"   round {k + 1}, {engine}: {100 * right:.1f} % right")
            histories.append(trained.history)
            tests.append(part.test)
            if k == 0:
                kept = trained
        run.metrics |= {engine: measured.report() for engine, measured in found.items()}
        del run.metrics["roughness alone"]["accuracy at 0.5"]  # it is no probability
        self._draw(run, kept, found, histories, tests)
        return kept.model

    def _rounds(self, settings: DoorSettings) -> list[Round]:
        return list(rounds(load_faces(), settings.parts, settings.seed))[: settings.rounds]

    def _one(self, run: Run, part: Round, k: int) -> Trained:
        s = run.settings
        moves = [RandomHorizontalFlip(), RandomShift(s.shift), RandomRotation(s.rotation)]
        view = View(part.train, s.side)
        return run.fit(
            CNN(CNNConfig(side=s.side)),
            TensorDataset(part.train.images[:, None], part.train.labels),
            loss,
            label=f"round {k}",
            loader=augmented(Compose([Framed(Compose(moves), 6), view])),
            metrics={"accuracy": _accuracy},
            validation=view.data(part.calibrate),
        )

    def evaluate(self, model: Any, settings: DoorSettings) -> dict[str, float]:
        """The first round: its threshold, and what comes of it on the pictures held out."""
        part = self._rounds(settings)[0]
        trained, view = Trained(model, History(), 0.0), View(part.train, settings.side)
        (before, y), (scores, truth) = (
            trained.predictions(view.data(images), 40)["tinynet"]
            for images in (part.calibrate, part.test)
        )
        threshold = metrics.threshold_curve(_probability(before), y).least_error()
        report = Measured([_probability(scores)], [truth], [threshold]).report()
        return {name: value for name, value in report.items() if isinstance(value, float)}

    def _draw(
        self,
        run: Run,
        kept: Trained,
        found: dict[str, Measured],
        histories: list[History],
        tests: list[Images],
    ) -> None:
        ours = found["tinynet"]
        run.picture("learning_curves", plot.learning_curves(_mean(histories)))
        chosen = float(np.mean(ours.thresholds))
        run.picture("thresholds", plot.thresholds(ours.curve(), chosen))
        ax = None
        for name, measured in found.items():
            ax = plot.roc(measured.curve(), name, ax=ax)
        run.picture("roc", ax)
        p, y = np.concatenate(ours.scores), np.concatenate(ours.labels)
        limits = np.repeat(ours.thresholds, [len(part) for part in ours.labels])
        matrix = metrics.confusion_matrix((p >= limits).astype(np.int64), y, classes=2)
        run.picture("confusion_matrix", plot.confusion_matrix(matrix, [*NAMES.values()]))
        # How far each lies on the right side of the threshold: the worst first.
        worst = np.argsort(np.where(y == 1, p - limits, limits - p), kind="stable")[:16]
        images = 1 - np.concatenate([part.images.array for part in tests])[worst]  # dark is dark
        answers = [NAMES[int(p[i] >= limits[i])] for i in worst]
        truth = [NAMES[int(y[i])] for i in worst]
        panels = plot.images(images, truth, answers)
        for ax in panels:
            ax.title.set_fontsize(7)
        run.picture("hardest", panels)
        first = self._rounds(run.settings)[0]
        view = View(first.train, run.settings.side)
        run.picture("saliency", self._saliency(kept.model.eval(), first.test, view))

    def _saliency(self, model: Any, test: Images, view: View) -> Any:
        """Two faces and two others: which pixels the score hangs on."""
        order = np.argsort(-test.labels.array, kind="stable")
        axes = new_figure(13.0, 3.2).subplots(1, 4)
        for ax, i in zip(axes, [*order[:2], *order[-2:]], strict=True):
            image = view(test.images.array[i : i + 1, None])[0]
            # The picture is drawn as ink: with the other sign, what is dark stays dark.
            plot.saliency(lambda ink: model(-ink[None])[0, 0], -image, ax=ax)
            ax.set_title(f"{NAMES[int(test.labels.array[i])]}: what its score hangs on", fontsize=9)
        return axes


def loss(F: Any, scores: Any, y: Any) -> Any:
    """−(y log σ(z) + (1 − y) log(1 − σ(z))), the mean of it: the binary cross-entropy, whole."""
    return F.binary_cross_entropy_with_logits(scores[:, 0], y.to(scores.dtype))


class View:
    """Pictures as the network takes them: (n, 1, h, w) → (n, 3, side, side). The mean and the
    deviation of the pictures trained on are taken out; between the pixels lie straight lines.
    """

    def __init__(self, train: Images, side: int) -> None:
        self.standardize, self.side = Standardize.fit(train.images), side

    def __call__(self, images: Any) -> Tensor:
        x, size = Tensor(self.standardize(np.asarray(images))), (self.side, self.side)
        large = functional.interpolate(x, size=size, mode="bilinear")
        return Tensor(np.repeat(large.array, 3, axis=1))

    def data(self, images: Images) -> TensorDataset:
        """All pictures, with their labels."""
        return TensorDataset(self(images.images.array[:, None]), images.labels)


def roughness(images: Array) -> Array:
    """How much neighbours differ, on average: a number that no network had to learn.

    images   (n, h, w) of 0 … 1
    """
    across, down = np.abs(np.diff(images, axis=2)), np.abs(np.diff(images, axis=1))
    return across.mean(axis=(1, 2)) + down.mean(axis=(1, 2))


def _probability(scores: Array) -> Array:
    """σ(z) of (n, 1) scores; (n,) are probabilities already."""
    if scores.ndim == 1:
        return scores.astype(np.float64)
    return 1 / (1 + np.exp(-scores[:, 0].astype(np.float64)))


def _accuracy(scores: Any, y: Any) -> float:
    return float(np.mean((np.asarray(scores)[:, 0] >= 0) == np.asarray(y)))


def _mean(histories: list[History]) -> dict[str, list[float]]:
    """The curves of all rounds, averaged."""
    return {
        name: np.mean([history[name] for history in histories], axis=0).tolist()
        for name in histories[0].curves
        if name != "lr"
    }
