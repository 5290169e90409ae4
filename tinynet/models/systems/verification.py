"""Who is it? Pictures as vectors, compared with those of people who were never trained on.

The faces at hand come one to a person, as far as anybody knows: there is no second photograph to
recognise. So the persons here are **synthetic identities**: each photograph is a person, and the
other pictures of a person are that photograph moved, turned, lit differently, with noise and with a
piece missing. What is measured is whether the network tells those changes from a change of person.
It shows how verification is trained, how a threshold is chosen and what it costs. It does not show
that the lock would know you with a beard, a year later, or seen from the side: for that the data
would need several real photographs of each person.

Training, on batches of n persons with two pictures each, z and z′:

    L = −(1/n) Σ_i log ( exp(s zᵢᵀ z′ᵢ) / Σ_j exp(s zᵢᵀ z′ⱼ) )

the cross-entropy of the question "which of these n pictures shows the same person as this one?",
with a scale s. A photograph in the mirror counts as one more person to learn from.

Five rounds: in each, three fifths of the persons are trained on, one fifth chooses the threshold,
and one fifth, of whom nothing was seen, is measured: all pairs of all their pictures.

Source: document C, 4.3.1 ("who it is").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinynet import metrics, plot
from tinynet.arrays import Array
from tinynet.data import (
    Compose,
    DataLoader,
    Dataset,
    Images,
    RandomErasing,
    RandomRotation,
    RandomShift,
    TensorDataset,
    load_faces,
)
from tinynet.errors import ArgumentError, DataError
from tinynet.models.embedder import Embedder, EmbedderConfig
from tinynet.models.system import Recipe, Run, System, Trained
from tinynet.models.systems.faces import Framed, Round, rounds
from tinynet.nn import functional
from tinynet.random import Stream, default_generator
from tinynet.tensor import Tensor
from tinynet.train import History

SIDE = 25


@dataclass(frozen=True)
class VerificationSettings(Recipe):
    """How the network learns to compare.

    batch_size        persons in a batch, with two pictures each
    steps             batches in an epoch
    scale             s of the loss
    width             numbers in a vector
    pictures          of each person who is measured
    false_accepts     the share that the threshold may let in, among the persons who choose it
    parts, rounds     into how many parts the persons are divided; how many of them are measured
    """

    epochs: int = 10
    batch_size: int = 40
    lr: float = 5e-3
    warmup: float = 0.1
    schedule: str = "cosine"
    steps: int = 40
    scale: float = 16.0
    width: int = 64
    pictures: int = 10
    false_accepts: float = 0.01
    parts: int = 5
    rounds: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.rounds <= self.parts or self.parts < 3 or self.pictures < 2:
            raise ArgumentError(
                "a part is for the test, one for the threshold, and one or more to learn from",
                expected="parts of 3 or more, 1 <= rounds <= parts, pictures of 2 or more",
                got=f"parts={self.parts}, rounds={self.rounds}, pictures={self.pictures}",
            )


class Light:
    """Each picture with a contrast and a brightness of its own, and noise in every pixel:
    x → mean + contrast · (x − mean) + brightness + noise.
    """

    def __init__(self, contrast: float, brightness: float, noise: float) -> None:
        self.contrast, self.brightness, self.noise = contrast, brightness, noise

    def __call__(self, images: Any) -> Array:
        x, draw = np.asarray(images), default_generator()
        a, b = (2 * draw.random((2, len(x), 1, 1, 1), np.float64) - 1).astype(x.dtype)
        mean = x.mean(axis=(2, 3), keepdims=True)
        lit = mean + (1 + self.contrast * a) * (x - mean) + self.brightness * b
        return np.clip(lit + self.noise * draw.standard_normal(x.shape, x.dtype), 0, 1)


VARY = Compose(
    [
        Framed(Compose([RandomShift(2), RandomRotation(15.0)]), 8),
        Light(contrast=0.4, brightness=0.2, noise=0.04),
        RandomErasing(0.5, scale=(0.02, 0.15), value=0.5),
    ]
)


class Meetings(Dataset):
    """Item i is a whole batch: n persons drawn at random, and two pictures of each, made anew.

    faces   (persons, h, w)

    An item is (pictures (2 n, 1, h, w), the first of each and then the second; (2 n,) the place of
    the person among the n).
    """

    def __init__(self, faces: Array, persons: int, count: int) -> None:
        self.faces, self.persons, self.count = faces[:, None], min(persons, len(faces)), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        drawn = default_generator().permutation(len(self.faces))[: self.persons]
        pictures = VARY(self.faces[np.tile(drawn, 2)])
        return Tensor(pictures), Tensor(np.tile(np.arange(self.persons), 2))


def one_by_one(data: Any, batch_size: int, generator: Any) -> DataLoader:
    """Items that are batches already."""
    return DataLoader(data, batch_size=None, generator=generator)


class Verification(System):
    """25 × 25 pixels → a unit vector; the same person where the cosine reaches the threshold."""

    name = "verification"
    document = "C 4.3.1"
    about = "who is it? faces as vectors, on persons never seen (each photograph, varied, is one)"
    Settings = VerificationSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 3, "steps": 20, "rounds": 1}
    Network = Embedder

    def train(self, run: Run) -> Any:
        """Round by round; the network of the first is kept."""
        settings, found = run.settings, dict[str, Measured]()
        for k, part in enumerate(_rounds(settings)):
            trained = self._one(run, part, k)
            tests = crowd(part.test, settings, k)
            vectors = trained.predictions(tests)
            before = trained.predictions(crowd(part.calibrate, settings, k))
            for either, people in ((vectors, part.test), (before, part.calibrate)):
                shown = crowd(people, settings, k)
                either["pixels alone"] = _centred(shown.tensors[0].array), shown.tensors[1].array
            for engine in vectors:
                measured = found.setdefault(engine, Measured([], [], []))
                measured.add(before[engine], vectors[engine], settings.false_accepts)
                rate = measured.round(-1)["equal error rate"]
                run.say(f"   round {k + 1}, {engine}: equal error rate {100 * rate:.1f} %")
            if k == 0:
                kept, shown = trained, tests
        run.metrics |= {engine: measured.report() for engine, measured in found.items()}
        self._draw(run, kept, found, shown)
        return kept.model

    def _one(self, run: Run, part: Round, k: int) -> Trained:
        s = run.settings
        faces = part.train.images.array
        people = np.concatenate([faces, faces[:, :, ::-1]])  # and those in the mirror

        def loss(F: Any, z: Any, y: Any) -> Any:
            n = len(y) // 2
            return F.cross_entropy(s.scale * (z[:n] @ z[n:].T), y[:n])

        return run.fit(
            Embedder(EmbedderConfig(side=SIDE, width=s.width)),
            Meetings(people, s.batch_size, s.steps),
            loss,
            label=f"round {k}",
            loader=one_by_one,
            metrics={"found": found_again},
        )

    def evaluate(self, model: Any, settings: VerificationSettings) -> dict[str, float]:
        """The first round: its threshold, and what comes of it on persons never seen."""
        part, trained = _rounds(settings)[0], Trained(model, History(), 0.0)
        before, vectors = (
            trained.predictions(crowd(people, settings, 0))["tinynet"]
            for people in (part.calibrate, part.test)
        )
        measured = Measured([], [], [])
        measured.add(before, vectors, settings.false_accepts)
        return measured.round(0)

    def embed(self, model: Any, folder: Path, texts: Sequence[str]) -> Array:
        """A vector for each picture: a file, or the number of a face, 0 … 99, in the data."""
        pictures = Tensor(np.stack([_picture(text) for text in texts])[:, None])
        labels = Tensor(np.zeros(len(texts), np.int64))
        data = TensorDataset(pictures, labels)
        return Trained(model, History(), 0.0).predictions(data)["tinynet"][0]

    def _draw(
        self, run: Run, kept: Trained, found: dict[str, Measured], shown: TensorDataset
    ) -> None:
        ours = found["tinynet"]
        run.picture("learning_curves", plot.learning_curves(kept.history))
        run.picture("thresholds", plot.thresholds(ours.curve(), float(np.mean(ours.thresholds))))
        ax = None
        for name, measured in found.items():
            ax = plot.roc(measured.curve(), name, ax=ax)
        run.picture("roc", ax)
        pictures, people = (tensor.array for tensor in shown.tensors)
        few = people < 4
        run.picture("persons", plot.images(1 - pictures[few, 0], people[few], columns=10))
        vectors, _ = kept.predictions(shown)["tinynet"]
        some = people < 10
        run.picture("vectors", plot.embedding(vectors[some], people[some]))


@dataclass
class Measured:
    """What one engine did in all rounds: cosines of pairs, and whether they are one person."""

    cosines: list[Array]
    same: list[Array]
    thresholds: list[float]

    def add(self, before: tuple[Any, Any], after: tuple[Any, Any], false_accepts: float) -> None:
        """A round: the vectors that choose the threshold, and those that are measured."""
        self.thresholds.append(metrics.threshold_curve(*pairs(*before)).at_most(false_accepts))
        cosines, same = pairs(*after)
        self.cosines.append(cosines)
        self.same.append(same)

    def round(self, k: int) -> dict[str, float]:
        cosines, same, threshold = self.cosines[k], self.same[k], self.thresholds[k]
        return {
            "equal error rate": metrics.threshold_curve(cosines, same).equal_error_rate(),
            "auc": metrics.roc_auc(cosines, same),
            "false accepts": float(np.mean(cosines[same == 0] >= threshold)),
            "false rejects": float(np.mean(cosines[same == 1] < threshold)),
            "threshold": threshold,
        }

    def report(self) -> dict[str, Any]:
        """The mean over the rounds, and the rounds."""
        each = [self.round(k) for k in range(len(self.thresholds))]
        means = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        return {**means, "equal error rates": [one["equal error rate"] for one in each]}

    def curve(self) -> metrics.ThresholdCurve:
        return metrics.threshold_curve(np.concatenate(self.cosines), np.concatenate(self.same))


def pairs(vectors: Array, people: Array) -> tuple[Array, Array]:
    """(the cosine, whether both are of one person) of every two rows.

    vectors, people   (n, d) and (n,); the results have n (n − 1) / 2 entries
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    i, j = np.triu_indices(len(vectors), 1)
    return (unit @ unit.T)[i, j], (people[i] == people[j]).astype(np.int64)


def crowd(people: Images, settings: VerificationSettings, k: int) -> TensorDataset:
    """Pictures of each person, the same ones every time: (pictures (n, 1, h, w), persons (n,))."""
    who = np.repeat(np.arange(len(people)), settings.pictures)
    with Stream(settings.seed, k):
        return TensorDataset(Tensor(VARY(people.images.array[who, None])), Tensor(who))


def found_again(z: Any, y: Any) -> float:
    """How often the second picture of a person is the one most like the first, batch by batch."""
    z, y = np.asarray(z), np.asarray(y)
    size = 2 * (int(y.max()) + 1)
    halves = z.reshape(-1, 2, size // 2, z.shape[1])
    best = (halves[:, 0] @ halves[:, 1].transpose(0, 2, 1)).argmax(axis=2)
    return float(np.mean(best == np.arange(size // 2)))


def _rounds(settings: VerificationSettings) -> list[Round]:
    return list(rounds(load_faces().only(1), settings.parts, settings.seed))[: settings.rounds]


def _centred(pictures: Array) -> Array:
    """The pixels themselves as a vector, without their mean: what nobody had to learn."""
    flat = pictures.reshape(len(pictures), -1)
    return flat - flat.mean(axis=1, keepdims=True)


def _picture(text: str) -> Array:
    """The face of that number, or the picture of that file, as (25, 25) from 0 to 1."""
    if text.isdecimal():
        faces = load_faces().only(1).images.array
        if int(text) >= len(faces):
            raise ArgumentError(f"there is no face {text}", expected=f"0 … {len(faces) - 1}")
        return faces[int(text)]
    if not Path(text).is_file():
        raise DataError(f"there is no picture {text}", expected="a file, or a number 0 … 99")
    from matplotlib.image import imread

    pixels = np.array(imread(text), dtype=np.float32)
    if pixels.max() > 1:
        pixels /= 255
    if pixels.ndim == 3:
        pixels = pixels[..., :3].mean(axis=2)
    grey = Tensor(pixels[None, None])
    small = functional.interpolate(grey, size=(SIDE, SIDE), mode="area")
    return small.array[0, 0]
