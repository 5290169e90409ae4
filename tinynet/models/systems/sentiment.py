"""Sentences from reviews of films: for or against? An LSTM beside a list of words with weights.

Sentences that people rated near 0 are left out, repeated ones are dropped before the split, and the
words are those of the training part. Both networks stop where the loss on the validation part is
lowest. The test part is looked at once by each network that was trained, when its training is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tinynet import plot
from tinynet.arrays import Array
from tinynet.data import (
    DataLoader,
    Dataset,
    LengthBuckets,
    WordTokenizer,
    load_movie_snippets,
    pad_batch,
)
from tinynet.grad_mode import no_grad
from tinynet.metrics import accuracy
from tinynet.models.sentiment import (
    BagOfWords,
    BagOfWordsConfig,
    SentimentConfig,
    SentimentLSTM,
)
from tinynet.models.system import Recipe, Run, System, Trained
from tinynet.models.systems import drawing
from tinynet.nn import functional
from tinynet.random import manual_seed
from tinynet.tensor import Tensor
from tinynet.train import evaluate

READ = (  # for the picture: what the network thinks after each word
    "a film that is funny , moving and never dull",
    "not a good film , and much too long",
)


@dataclass(frozen=True)
class SentimentSettings(Recipe):
    """seeds         how many networks are trained from new first weights; their mean counts
    vocabulary    words that have a row in the table
    biases        for each gate: 1 as in the document, 2 as in PyTorch
    patience      epochs without a lower validation loss, after which training ends
    texts         how many sentences to train on; 0: all
    """

    seeds: int = 3
    vocabulary: int = 10_000
    biases: int = 1
    patience: int = 3
    texts: int = 0


class Texts(Dataset):
    """Texts as rows of numbers, with their labels, 0 or 1."""

    def __init__(self, texts: Sequence[str], labels: Array, words: WordTokenizer) -> None:
        self.rows = [words.encode(text) or [words.UNKNOWN] for text in texts]
        self.labels = labels.astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index], self.labels[index]

    def batches(self, batch_size: int, generator: Any = None) -> DataLoader:
        """Texts of like length together, in an order drawn anew for each pass; without a generator
        the shortest first.
        """
        order = LengthBuckets(
            [len(row) for row in self.rows],
            batch_size,
            shuffle=generator is not None,
            generator=generator,
        )
        return DataLoader(self, batch_sampler=order, collate_fn=padded, generator=generator)


def padded(samples: Sequence[tuple[list[int], float]]) -> tuple[Tensor, Tensor]:
    """(ids (n, t), filled up with 0; labels (n,))."""
    rows, labels = zip(*samples, strict=True)
    return pad_batch(rows)[0], Tensor(np.array(labels, np.float32))


def right(predictions: Any, labels: Any) -> float:
    """The share of probabilities on the right side of one half."""
    return accuracy(predictions > 0.5, labels > 0.5)


def loss(F: Any, y: Any, labels: Any) -> Any:
    """Binary cross-entropy, both halves of it."""
    return F.binary_cross_entropy(y, labels)


class Sentiment(System):
    """The document's network, and the words alone."""

    name = "sentiment"
    document = "B 5.2"
    about = "sentences about films, for or against, by an LSTM; and by the words alone"
    Settings = SentimentSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 2, "seeds": 1, "texts": 2000}
    Network = SentimentLSTM

    def train(self, run: Run) -> Any:
        """Both networks, from several first weights."""
        settings = run.settings
        parts, words = _parts(settings)
        run.write("tokenizer", words.to_dict())
        found: dict[str, list[Any]] = {"LSTM": [], "bag of words": []}
        for seed in range(settings.seed, settings.seed + settings.seeds):
            recipe = replace(settings, seed=seed)
            manual_seed(seed)
            lstm = SentimentLSTM(SentimentConfig(len(words), biases=settings.biases))
            reader = self._one(run, lstm, parts, f"lstm-{seed}", recipe)
            bag = BagOfWords(BagOfWordsConfig(len(words)))
            counter = self._one(run, bag, parts, f"words-{seed}", replace(recipe, lr=0.01))
            for name, trained in (("LSTM", reader), ("bag of words", counter)):
                scores = trained.scores(parts[2].batches(256), {"accuracy": right}, loss)
                found[name].append(scores)
                run.say(f"   {name}, seed {seed}: {_text(scores)}")
            if seed == settings.seed:
                kept, weights = reader, counter.model.weights.weight.detach().numpy()[:, 0]
        for name, every in found.items():
            run.metrics[name] = {engine: _mean([s[engine] for s in every]) for engine in every[0]}
        run.metrics["parameters"] = sum(
            p.numel() for p in kept.model.parameters() if p.requires_grad
        )
        run.metrics["seconds of training"] = {
            "tinynet": kept.seconds,
            **({"torch": kept.twin_seconds} if kept.twin is not None else {}),
        }
        accuracies = {
            f"{name}, {engine}": 100 * run.metrics[name][engine]["accuracy"]
            for name in found
            for engine in run.metrics[name]
        }
        run.picture("accuracy", drawing.bars(accuracies, "test accuracy, %"))
        run.picture("learning_curves", plot.learning_curves(kept.history))
        run.picture("words", drawing.strongest(weights, words.words))
        lines = [_as_it_reads(kept.model, words, text) for text in READ]
        run.picture("reading", drawing.reading(lines))
        return kept.model

    def _one(self, run: Run, model: Any, parts: Any, label: str, recipe: Any) -> Trained:
        return run.fit(
            model,
            parts[0],
            loss,
            label=label,
            recipe=recipe,
            loader=lambda data, batch_size, generator: data.batches(batch_size, generator),
            validation=parts[1].batches(256),
            metrics={"accuracy": right},
            patience=recipe.patience,
            restore_best=True,
        )

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the test part."""
        parts, _ = _parts(settings)
        return evaluate(
            model,
            parts[2].batches(256),
            loss=lambda y, labels: loss(functional, y, labels),
            metrics={"accuracy": right},
        )


def _parts(settings: Any) -> tuple[list[Texts], WordTokenizer]:
    """(training, validation, test) and the words of the training part."""
    train, *rest = load_movie_snippets().clear().split((0.8, 0.1, 0.1), seed=0)
    if settings.texts:
        train = train.take(range(min(settings.texts, len(train))))
    words = WordTokenizer.train(train.texts, settings.vocabulary)
    parts = [Texts(part.texts, part.labels.array, words) for part in (train, *rest)]
    return parts, words


def _mean(scores: list[dict[str, float]]) -> dict[str, Any]:
    """The mean of each score, and the accuracies that it is made of."""
    means: dict[str, Any] = {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}
    return {**means, "accuracy of each seed": [s["accuracy"] for s in scores]}


def _as_it_reads(model: Any, words: WordTokenizer, text: str) -> tuple[list[str], list[float]]:
    """The words of a text, and ŷ after each of them."""
    ids = words.encode(text)
    with no_grad():
        y = [model.eval()(Tensor(np.array([ids[: n + 1]]))).item() for n in range(len(ids))]
    return words.split(text), y


def _text(scores: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{100 * s['accuracy']:.1f} % ({engine})" for engine, s in scores.items())
