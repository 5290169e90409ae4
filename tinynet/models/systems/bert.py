"""BERT: taught to fill gaps from nothing, and MiniLM, which can do that, taught to judge films.

Document D, 5.2 prints the second one as a loop that cannot start (`docs/errata.md` runs it). What
it lacks, and what stands here instead:

    `AutoModel` has no loss and no classes     `BertForClassification`: a head, and cross-entropy
    optimizer, device, epochs, data unmade     AdamW with warm-up and clipping; the settings; films
    only the inputs go to the device           everything is where it is computed
    nothing says whether it learned            validation, a test set, a baseline beside it
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import tinynet
from tinynet import optim, plot
from tinynet.arrays import Array
from tinynet.data import (
    DataLoader,
    LengthBuckets,
    RatedTexts,
    WordPieceTokenizer,
    load_movie_snippets,
    mask_tokens,
    pad_batch,
)
from tinynet.data.wordpiece import SPECIAL
from tinynet.errors import ArgumentError
from tinynet.grad_mode import no_grad
from tinynet.metrics import accuracy, confusion_matrix
from tinynet.models import beside
from tinynet.models.bert import BertConfig, BertForClassification, BertForMaskedLM, mean
from tinynet.models.minilm import load_minilm
from tinynet.models.system import Recipe, Run, System
from tinynet.nn import functional
from tinynet.random import Generator, manual_seed
from tinynet.tensor import Tensor
from tinynet.train import evaluate, fit

LONGEST = 64  # tokens; the longest snippet has a few more


class Sentences:
    """Texts as numbers, each with a label.

    batches(…)   cut from texts of similar length, and padded to the longest of them
    """

    def __init__(self, tokenizer: WordPieceTokenizer, texts: Sequence[str], labels: Any) -> None:
        self.tokenizer, self.labels = tokenizer, np.asarray(labels)
        self.ids = [tokenizer.encode(text, max_length=LONGEST) for text in texts]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[list[int], int]:
        return self.ids[i], self.labels[i]

    def batches(
        self, batch_size: int, collate: Any, generator: Any = None, shuffle: bool = True
    ) -> DataLoader:
        lengths = [len(ids) for ids in self.ids]
        buckets = LengthBuckets(lengths, batch_size, shuffle=shuffle)
        return DataLoader(self, batch_sampler=buckets, collate_fn=collate, generator=generator)

    def padded(self, samples: list[tuple[list[int], int]]) -> tuple[Tensor, Tensor]:
        """ids and mask, (n, t) each."""
        ids, lengths = pad_batch([ids for ids, _ in samples], self.tokenizer.pad)
        return ids, Tensor(np.arange(ids.shape[1]) < lengths.array[:, None])

    def labelled(self, samples: list[tuple[list[int], int]]) -> tuple[Any, Tensor]:
        """((ids, mask), labels)."""
        return self.padded(samples), Tensor(np.array([label for _, label in samples]))

    def masked(self, samples: list[tuple[list[int], int]]) -> tuple[Any, Tensor]:
        """((shown, mask, gaps), what the gaps hid), drawn anew at every call."""
        ids, mask = self.padded(samples)
        ordinary = ~np.isin(ids.array, [self.tokenizer.numbers[name] for name in SPECIAL])
        shown, gaps, hidden = mask_tokens(
            ids.array,
            ordinary,
            masked=self.tokenizer.masked,
            vocabulary=len(self.tokenizer),
        )
        return (Tensor(shown), mask, Tensor(gaps)), Tensor(hidden)


# -- fine-tuning -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SentimentSettings(Recipe):
    """layers: how many of MiniLM's 6 are used; snippets: how many are trained on, 0 for all."""

    epochs: int = 3
    batch_size: int = 32
    optimizer: str = "AdamW"
    lr: float = 1e-4
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: str = "cosine"
    clip: float = 1.0
    layers: int = 6
    snippets: int = 0


class BertSentiment(System):
    """MiniLM, its states' mean, one matrix: does a sentence praise a film?"""

    name = "bert-sentiment"
    document = "D 5.2"
    about = "MiniLM fine-tuned on sentences about films: praise or not"
    Settings = SentimentSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 1, "snippets": 320, "layers": 2}
    Network = BertForClassification

    def data(self, settings: Any) -> tuple[RatedTexts, RatedTexts, RatedTexts]:
        """Train, validation, test; in a short run a part of each."""
        parts = load_movie_snippets().clear().split((0.8, 0.1, 0.1), seed=0)
        if settings.snippets:
            wanted = (settings.snippets, settings.snippets // 2, settings.snippets // 2)
            parts = tuple(p.take(range(min(n, len(p)))) for p, n in zip(parts, wanted, strict=True))
        train, validation, test = parts
        return train, validation, test

    def model(self, settings: Any) -> tuple[BertForClassification, WordPieceTokenizer]:
        """MiniLM's weights under a new head."""
        bert, tokenizer = load_minilm(settings.layers)
        model = BertForClassification(bert.config)
        model.bert.load_state_dict(bert.state_dict())
        return model, tokenizer

    def train(self, run: Run) -> Any:
        """First the head alone, which is the baseline; then all weights."""
        settings = run.settings
        train, validation, test = self.data(settings)
        model, tokenizer = self.model(settings)
        sets = [Sentences(tokenizer, p.texts, p.labels.array) for p in (train, validation, test)]
        run.metrics["head alone"] = self._train_head(model, sets[0], sets[2])
        run.say(f"   the head alone: {100 * run.metrics['head alone']['accuracy']:.1f} %")
        held, tested = (s.batches(64, s.labelled, shuffle=False) for s in sets[1:])
        trained = run.fit(
            model,
            sets[0],
            _cross_entropy,
            loader=lambda data, size, generator: data.batches(size, data.labelled, generator),
            validation=held,
            metrics=[accuracy],
        )
        run.metrics |= trained.scores(tested, {"accuracy": accuracy}, _cross_entropy)
        for engine, seconds in _step_seconds(trained, sets[0], settings).items():
            run.metrics[engine]["seconds of a step"] = seconds
        run.write("tokenizer", tokenizer.to_dict())
        self._pictures(run, trained, tested, test)
        return trained.model

    def _train_head(self, model: BertForClassification, train: Any, test: Any) -> dict[str, float]:
        """Train the head alone, on states that are computed once. A new head's first gradients
        would be noise to all that stands below it.
        """
        manual_seed(0)
        adam, entropy = optim.Adam(model.head.parameters(), lr=1e-3), functional.cross_entropy
        options: Any = {"loss": entropy, "batch_size": 128, "progress": False}
        fit(model.head, _means(model, train), optimizer=adam, epochs=20, **options)
        return evaluate(model.head, _means(model, test), loss=entropy, metrics=[accuracy])

    def _pictures(self, run: Run, trained: Any, tested: DataLoader, test: RatedTexts) -> None:
        run.picture("learning_curves", plot.learning_curves(trained.history))
        scores, labels = _answers(trained.model, tested)
        matrix = confusion_matrix(scores.argmax(axis=1), labels, classes=2)
        run.picture("confusion_matrix", plot.confusion_matrix(matrix, ["against", "for"]))
        order = [i for batch in tested.batch_sampler for i in batch]  # type: ignore[union-attr]
        lead = (scores[:, 1] - scores[:, 0]) * (1 - 2 * labels)  # how sure of the wrong class
        worst = np.argsort(-lead)[:20]
        run.write(
            "mistakes",
            [{"text": test.texts[order[i]], "label": int(labels[i])} for i in worst if lead[i] > 0],
        )

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the tenth that was held out."""
        _, _, test = self.data(settings)
        _, tokenizer = load_minilm(1)
        held = Sentences(tokenizer, test.texts, test.labels.array)
        return evaluate(model, held.batches(64, held.labelled, shuffle=False), metrics=[accuracy])


def _step_seconds(trained: Any, train: Sentences, settings: SentimentSettings) -> dict[str, float]:
    """The median step of each engine, on copies of the networks: forward, backward, clip, AdamW."""
    batches = train.batches(settings.batch_size, train.labelled, Generator().manual_seed(0))
    x, y = next(iter(batches))

    def step_of(model: Any, engine: Any, x: Any, y: Any) -> Callable[[], None]:
        optimizer = settings.build(engine.optim, model.train())

        def step() -> None:
            optimizer.zero_grad()
            engine.nn.functional.cross_entropy(model(*x), y).backward()
            engine.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()

        return step

    ours = copy.deepcopy(trained.model)
    steps = {"tinynet": step_of(ours, tinynet, x, y)}
    if trained.twin is not None:
        twin, torch = beside.twin(ours), beside.pytorch()
        steps["torch"] = step_of(twin, torch, beside.tensors(x), beside.tensors(y))
    return beside.seconds(steps)


def _cross_entropy(F: Any, scores: Any, y: Any) -> Any:
    return F.cross_entropy(scores, y)


def _means(model: BertForClassification, sentences: Sentences) -> tuple[Tensor, Tensor]:
    """(what the head sees of each text, labels)."""
    batches = sentences.batches(64, sentences.labelled, shuffle=False)
    with no_grad():
        pairs = [(mean(model.bert.eval()(*x), x[1]).numpy(), y.numpy()) for x, y in batches]
    x, y = zip(*pairs, strict=True)
    return Tensor(np.concatenate(x)), Tensor(np.concatenate(y))


def _answers(model: Any, batches: DataLoader) -> tuple[Array, Array]:
    """(scores, labels) over all batches."""
    model.eval()
    with no_grad():
        pairs = [(model(*x).numpy(), y.numpy()) for x, y in batches]
    scores, labels = zip(*pairs, strict=True)
    return np.concatenate(scores), np.concatenate(labels)


# -- filling gaps ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MaskedSettings(Recipe):
    """pieces: the size of the vocabulary; width, layers, heads: of the network; snippets: how many
    are trained on, 0 for all.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "AdamW"
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: str = "cosine"
    clip: float = 1.0
    pieces: int = 4000
    width: int = 128
    layers: int = 4
    heads: int = 4
    snippets: int = 0


class BertMLM(System):
    """A small BERT that starts from nothing and learns to fill gaps in sentences about films."""

    name = "bert-mlm"
    document = "D 5.2"
    about = "a small BERT taught to fill gaps in sentences about films"
    Settings = MaskedSettings
    quick: ClassVar[dict[str, Any]] = {
        "epochs": 12,
        "batch_size": 16,
        "snippets": 1500,
        "pieces": 1000,
        "width": 64,
        "layers": 2,
        "lr": 3e-3,
    }
    Network = BertForMaskedLM

    def data(self, settings: Any) -> tuple[Sentences, Sentences, WordPieceTokenizer]:
        """Train, validation, and the tokenizer: MiniLM's pieces, of which the texts choose some."""
        train, held = load_movie_snippets().split((0.9, 0.1), seed=0)
        if settings.snippets:
            train, held = (
                train.take(range(settings.snippets)),
                held.take(range(settings.snippets // 5)),
            )
        _, tokenizer = load_minilm(1)
        tokenizer = tokenizer.trimmed(train.texts, settings.pieces)
        first, second = (Sentences(tokenizer, p.texts, p.labels.array) for p in (train, held))
        return first, second, tokenizer

    def train(self, run: Run) -> Any:
        """Measured against what the frequencies of the pieces alone can tell."""
        settings = run.settings
        train, held, tokenizer = self.data(settings)
        config = BertConfig(
            vocabulary=len(tokenizer),
            width=settings.width,
            layers=settings.layers,
            heads=settings.heads,
            hidden=4 * settings.width,
            places=LONGEST,
        )
        gaps = fixed_gaps(held)
        run.metrics["unigram"] = {"loss": unigram_loss(train, gaps)}
        run.say(f"   frequencies alone: a loss of {run.metrics['unigram']['loss']:.3f}")
        trained = run.fit(
            BertForMaskedLM(config),
            train,
            _cross_entropy,
            loader=lambda data, size, generator: data.batches(size, data.masked, generator),
            validation=gaps,
            metrics=[accuracy],
        )
        run.metrics |= trained.scores(gaps, {"accuracy": accuracy}, _cross_entropy)
        run.picture("learning_curves", plot.learning_curves(trained.history))
        table = trained.model.bert.words.weight.detach().array
        chosen = [p for p in MAP if p in tokenizer.numbers]
        if len(chosen) > 2:
            vectors = table[[tokenizer.numbers[p] for p in chosen]]
            run.picture("words", plot.embedding(vectors, chosen))
        run.write("tokenizer", tokenizer.to_dict())
        return trained.model

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the tenth that was held out, with the same gaps for all."""
        _, held, _ = self.data(settings)
        return evaluate(model, fixed_gaps(held), loss=functional.cross_entropy, metrics=[accuracy])

    def generate(self, model: Any, folder: Path, prompt: str, **_: Any) -> Iterable[str]:
        """The likeliest pieces for each [MASK] of the prompt."""
        tokenizer = read_tokenizer(folder)
        text = tokenizer.batch([prompt], max_length=LONGEST)
        gaps = np.flatnonzero(text.ids.array == tokenizer.masked)
        if not len(gaps):
            raise ArgumentError("there is no gap to fill", hint='--prompt "a [MASK] film"')
        with no_grad():
            scores = functional.softmax(model.eval()(text.ids, text.mask, Tensor(gaps)), -1).numpy()
        for row in scores:
            best = np.argsort(-row)[:8]
            yield "\n" + ", ".join(f"{tokenizer.pieces[i]} {100 * row[i]:.1f} %" for i in best)


MAP = (
    *("good", "great", "funny", "best", "bad", "dull", "worst", "boring"),
    *("film", "movie", "comedy", "drama", "actor", "director", "he", "she", "his", "her"),
)


def fixed_gaps(sentences: Sentences) -> list[Any]:
    """Batches with the same gaps at every call, for validation."""
    draw = Generator().manual_seed(0)
    return list(sentences.batches(64, sentences.masked, draw, shuffle=False))


def unigram_loss(train: Sentences, batches: list[Any]) -> float:
    """−Σ log p over what the gaps hide, p the share of a piece in the training texts; each is
    counted once more than it is there, so that none has none.
    """
    counts = np.bincount(np.concatenate(train.ids), minlength=len(train.tokenizer)).astype(float)
    counts[[train.tokenizer.numbers[name] for name in SPECIAL]] = 0
    counts += 1
    hidden = np.concatenate([y.numpy() for _, y in batches])
    return float(-np.log(counts[hidden] / counts.sum()).mean())


def read_tokenizer(folder: Path) -> WordPieceTokenizer:
    """The tokenizer that a run left in its folder."""
    return WordPieceTokenizer.from_dict(json.loads((folder / "tokenizer.json").read_text("utf-8")))
