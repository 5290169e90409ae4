"""Language models on Shakespeare's sonnets: from the last character to all of them.

The poems are cut in file order: the first eight tenths are trained on, the next tenth says how the
training goes, and the last is tested on once. All models guess the same tokens: held-out text is
cut into rows that overlap by half, and the second half of each is scored. So each guess has half a
row of text before it at least.

Models of different pieces are compared in bits per character: a loss of l nats per token is
l / log 2 bits, and a token stands for as many characters as it does on the average.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinynet import plot
from tinynet.arrays import Array
from tinynet.data import (
    BytePairTokenizer,
    CharacterTokenizer,
    DataLoader,
    RandomSampler,
    TensorDataset,
    Tokenizer,
    load_sonnets,
)
from tinynet.derivations import bigram
from tinynet.errors import ArgumentError
from tinynet.grad_mode import no_grad
from tinynet.models import sampling
from tinynet.models.gpt import GPT, GPTConfig
from tinynet.models.language import (
    Bigram,
    BigramConfig,
    MLPLanguageConfig,
    MLPLanguageModel,
    RecurrentConfig,
    RecurrentLanguageModel,
)
from tinynet.models.system import Recipe, Run, System, Trained
from tinynet.models.systems import drawing
from tinynet.nn import functional
from tinynet.random import Generator
from tinynet.tensor import Tensor
from tinynet.train import evaluate

IGNORED = -100  # the label that cross_entropy leaves out


@dataclass(frozen=True)
class SonnetSettings(Recipe):
    """tokens       "characters", or "bpe": pieces that are learnt from the training text
    vocabulary   how many pieces
    length       tokens in a row
    rows         how many rows an epoch draws, each from anywhere in the text
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: str = "AdamW"
    lr: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    schedule: str = "cosine"
    clip: float = 1.0
    tokens: str = "characters"
    vocabulary: int = 512
    length: int = 64
    rows: int = 3200

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokens not in ("characters", "bpe"):
            raise ArgumentError("tokens are characters or bpe", got=repr(self.tokens))
        if self.length < 2 or self.rows < 1:
            raise ArgumentError(
                "a row has 2 tokens or more, an epoch 1 row or more",
                got=f"length={self.length}, rows={self.rows}",
            )


@dataclass(frozen=True)
class Corpus:
    """The sonnets as numbers. The alphabet is that of all of them; byte pairs are learnt from the
    training text alone.
    """

    tokenizer: Tokenizer
    train: Array
    validation: Array
    test: Array
    text: str  # the test text as it stands

    @classmethod
    def read(cls, settings: SonnetSettings) -> Corpus:
        sonnets = load_sonnets()
        rest, test = sonnets.split(0.1)
        train, validation = replace(sonnets, text=rest).split(1 / 9)
        tokenizer: Tokenizer = (
            CharacterTokenizer.train([sonnets.text])
            if settings.tokens == "characters"
            else BytePairTokenizer.train([train], settings.vocabulary)
        )
        a, b, c = (np.array(tokenizer.encode(part)) for part in (train, validation, test))
        return cls(tokenizer, train=a, validation=b, test=c, text=test)

    @property
    def characters(self) -> float:
        """For each token of the test text."""
        return len(self.text) / len(self.test)

    @property
    def line(self) -> str:
        """The first verse of the test text, for pictures."""
        return self.text.split("\n")[2]


def rows(ids: Array, length: int) -> TensorDataset:
    """All rows of this length, and for each token the one that follows it."""
    every = np.lib.stride_tricks.sliding_window_view(ids, length + 1)
    return TensorDataset(every[:, :-1], every[:, 1:])


def held_out(ids: Array, length: int) -> TensorDataset:
    """Rows that overlap by half, with labels for the second half of each."""
    half = length // 2
    x, y = (part.array[::half] for part in rows(ids, length).tensors)
    return TensorDataset(x, np.where(np.arange(length) < length - half, IGNORED, y))


def loss(F: Any, scores: Any, y: Any) -> Any:
    """The mean of −log P of the tokens that have labels."""
    return F.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=IGNORED)


class LanguageSystem(System):
    """A language model, trained on rows of the sonnets."""

    document = "D 4.3"
    Settings = SonnetSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 2, "rows": 640, "batch_size": 8}

    def network(self, settings: Any, size: int) -> Any:
        """A new network for so many tokens."""
        raise NotImplementedError

    def train(self, run: Run) -> Any:
        """Train, score, draw, and write a little."""
        settings, corpus = run.settings, Corpus.read(run.settings)
        run.write("tokenizer", corpus.tokenizer.to_dict())

        def drawn(data: Any, batch_size: int, generator: Any) -> DataLoader:
            order = RandomSampler(data, True, settings.rows, generator)
            return DataLoader(data, batch_size, sampler=order, generator=generator)

        trained = run.fit(
            self.network(settings, len(corpus.tokenizer)),
            rows(corpus.train, settings.length),
            loss,
            loader=drawn,
            validation=held_out(corpus.validation, settings.length),
        )
        self._measure(run, corpus, trained)
        model = trained.model
        run.picture("learning_curves", plot.learning_curves(trained.history))
        run.picture("bits_per_character", drawing.bars(*_all_runs(run, settings.tokens)))
        ids = corpus.tokenizer.encode(corpus.line)[: settings.length]
        with no_grad():
            p = model.eval()(Tensor(np.array([ids]))).softmax(-1).array[0]
        names = [corpus.tokenizer.decode([i]) for i in range(len(corpus.tokenizer))]
        run.picture("next_tokens", drawing.next_tokens(p, ids, names))
        self.draw(run, model, [names[i] for i in ids], ids)
        written = "".join(self.generate(model, run.folder, "\n", length=400, temperature=0.8))
        run.write("written", written)
        run.say(written)
        return model

    def draw(self, run: Run, model: Any, names: list[str], ids: list[int]) -> None:
        """What there is to see of this model alone."""

    def _measure(self, run: Run, corpus: Corpus, trained: Trained) -> None:
        length = run.settings.length
        parts = {"validation": corpus.validation, "test": corpus.test}
        found = {k: trained.scores(held_out(ids, length), {}, loss) for k, ids in parts.items()}
        seconds = {"tinynet": trained.seconds, "torch": trained.twin_seconds}
        for engine in found["test"]:
            nats = {part: found[part][engine]["loss"] for part in parts}
            run.metrics[engine] = {
                "validation loss": nats["validation"],
                **_units(nats["test"], corpus.characters),
                "seconds of training": seconds[engine],
            }
        run.metrics["parameters"] = sum(p.numel() for p in trained.model.parameters())
        run.metrics["bigram, counted"] = counted(corpus, length)

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """On the test text."""
        corpus = Corpus.read(settings)
        found = evaluate(
            model,
            held_out(corpus.test, settings.length),
            loss=lambda scores, y: loss(functional, scores, y),
        )
        return _units(found["loss"], corpus.characters)

    def generate(self, model: Any, folder: Path, prompt: str, **options: Any) -> Iterator[str]:
        """What follows the prompt; without one, what follows an empty line."""
        tokenizer = tokenizer_of(folder)
        seed = options.pop("seed", 0)
        options["generator"] = Generator().manual_seed(seed)
        return sampling.text(model, tokenizer, prompt or "\n", **options)


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer of a run."""
    data = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    kind = CharacterTokenizer if data.get("kind") == "characters" else BytePairTokenizer
    return kind.from_dict(data)


def counted(corpus: Corpus, length: int) -> dict[str, float]:
    """The bigram model without training: relative frequencies, with 0.1 added to each count, which
    keeps unseen pairs possible.
    """
    p = bigram.estimate(bigram.counts(corpus.train, len(corpus.tokenizer)), alpha=0.1)
    x, y = (part.array for part in held_out(corpus.test, length).tensors)
    nats = -np.log(p[x[y >= 0], y[y >= 0]])
    return _units(float(np.mean(nats)), corpus.characters)


def _units(nats: float, characters: float) -> dict[str, float]:
    """A loss for each token, as it is and in the units that people compare."""
    return {
        "test loss": nats,
        "test perplexity": math.exp(nats),
        "test bits per character": nats / math.log(2) / characters,
    }


def _all_runs(run: Run, tokens: str) -> tuple[dict[str, float], str]:
    """Bits per character of this run and of the finished runs of other models beside its folder."""
    label = "test bits per character"
    found = {"counted bigram": run.metrics["bigram, counted"][label]}
    for path in sorted(run.folder.resolve().parent.glob("*/metrics.json")):
        config = json.loads((path.parent / "config.json").read_text("utf-8"))
        if config["settings"].get("tokens") == tokens and config["system"] != run.name:
            found[config["system"]] = json.loads(path.read_text("utf-8"))["tinynet"][label]
    found[run.name] = run.metrics["tinynet"][label]
    return found, label


@dataclass(frozen=True)
class BigramSettings(SonnetSettings):
    """Its loss is convex, and each weight is moved by few pairs: large steps."""

    lr: float = 0.1


class BigramSystem(LanguageSystem):
    """D 4.3 as printed."""

    name = "bigram"
    about = "the sonnets by the last character alone, as the document prints it"
    Settings = BigramSettings
    Network = Bigram

    def network(self, settings: Any, size: int) -> Any:
        """One row of W for each token."""
        return Bigram(BigramConfig(size))


@dataclass(frozen=True)
class MLPSettings(SonnetSettings):
    """context: how many tokens it sees; width of an embedding; hidden neurons."""

    context: int = 8
    width: int = 32
    hidden: int = 256
    dropout: float = 0.1


class MLPSystem(LanguageSystem):
    """A window of the last tokens."""

    name = "mlp-lm"
    about = "the sonnets by the last eight characters, through a hidden layer"
    Settings = MLPSettings
    Network = MLPLanguageModel

    def network(self, settings: Any, size: int) -> Any:
        """n-grams without a table."""
        s = settings
        return MLPLanguageModel(MLPLanguageConfig(size, s.context, s.width, s.hidden, s.dropout))


@dataclass(frozen=True)
class RecurrentSettings(SonnetSettings):
    """width of an embedding; hidden: size of the state."""

    width: int = 64
    hidden: int = 256
    layers: int = 1
    dropout: float = 0.2


class RecurrentSystem(LanguageSystem):
    """A state that is carried along."""

    Settings = RecurrentSettings
    Network = RecurrentLanguageModel
    cell: ClassVar[str]

    def network(self, settings: Any, size: int) -> Any:
        """The cell is that of the system."""
        s = settings
        return RecurrentLanguageModel(
            RecurrentConfig(size, self.cell, s.width, s.hidden, s.layers, s.dropout)
        )


class RNNSystem(RecurrentSystem):
    """h ← tanh(W x + U h + b)."""

    name, cell = "rnn-lm", "RNN"
    about = "the sonnets by a recurrent network"


class LSTMSystem(RecurrentSystem):
    """A state with gates, and a memory beside it."""

    name, cell = "lstm-lm", "LSTM"
    about = "the sonnets by an LSTM"


class GRUSystem(RecurrentSystem):
    """A state with gates."""

    name, cell = "gru-lm", "GRU"
    about = "the sonnets by a GRU"


@dataclass(frozen=True)
class GPTSettings(SonnetSettings):
    """width of a token's vector; layers; heads; tied: one table to read and to write."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1
    tied: bool = True


class GPTSystem(LanguageSystem):
    """Attention to everything in the window."""

    name = "gpt"
    document = "D 4.2, 4.3"
    about = "the sonnets by a Transformer, which looks back at all characters"
    Settings = GPTSettings
    quick: ClassVar[dict[str, Any]] = {
        **LanguageSystem.quick,
        "rows": 480,
        "layers": 2,
        "width": 64,
    }
    Network = GPT

    def network(self, settings: Any, size: int) -> Any:
        """As wide a window as the rows."""
        s = settings
        config = GPTConfig(size, s.length, s.width, s.layers, s.heads, s.dropout, s.tied)
        return GPT(config)

    def draw(self, run: Run, model: Any, names: list[str], ids: list[int]) -> None:
        """Where each head of each layer looks."""
        with no_grad():
            maps = [m.array[0] for m in model.eval().attention_maps(Tensor(np.array([ids])))]
        run.picture("attention", drawing.heads(maps, names))
