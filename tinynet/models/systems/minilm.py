"""MiniLM as it comes: sentences become vectors, and sentences that mean alike lie close.

Nothing is trained. The system asks whether the vectors are worth something (sentences of four
subjects, none of which share their words), looks at what its heads attend to, and takes the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinynet import plot
from tinynet.arrays import Array
from tinynet.data import WordPieceTokenizer, load_movie_snippets
from tinynet.grad_mode import no_grad
from tinynet.models import beside
from tinynet.models.bert import Bert
from tinynet.models.minilm import embed, in_batches, load_minilm
from tinynet.models.system import Run, System
from tinynet.plot.style import new_figure

SUBJECTS = {
    "music": (
        "A man is playing a guitar.",
        "She practises the violin every evening.",
        "The orchestra tuned up before the concert.",
        "This song has a wonderful melody.",
    ),
    "money": (
        "Share prices fell sharply today.",
        "The bank raised its interest rates.",
        "Investors are afraid of inflation.",
        "He lost his savings in the crash.",
    ),
    "food": (
        "Boil the pasta for eight minutes.",
        "Grandmother's soup needs more salt.",
        "We ordered pizza with extra cheese.",
        "The bread smells fresh from the oven.",
    ),
    "weather": (
        "It will rain all weekend.",
        "A storm is coming from the north.",
        "The snow melted in the warm sun.",
        "Fog covered the valley this morning.",
    ),
}
PRONOUN = "The animal did not cross the street because it was too tired.", "it", "animal"


@dataclass(frozen=True)
class MiniLMSettings:
    """batch_size: sentences at a time; snippets: how many of the films' the time is taken of."""

    batch_size: int = 32
    snippets: int = 256


class MiniLM(System):
    """Six layers with the weights of others; texts → vectors of 384 numbers."""

    name = "minilm"
    document = "D 5.2"
    about = "real pretrained weights: vectors of sentences, attention, speed; nothing is trained"
    Settings = MiniLMSettings
    quick: ClassVar[dict[str, Any]] = {"snippets": 64}
    Network = Bert

    def train(self, run: Run) -> Any:
        """Measure and draw."""
        model, tokenizer = load_minilm()
        run.metrics["tinynet"] = self.evaluate(model, run.settings)
        texts = load_movie_snippets().texts[: run.settings.snippets]
        self._speed(run, model, tokenizer, texts)
        names, sentences = _sentences()
        vectors = embed(model, tokenizer, sentences)
        run.picture("similarity", plot.similarity(vectors, sentences))
        run.picture("map", plot.embedding(vectors, names))
        run.picture("attention", attention_heads(model, tokenizer, *PRONOUN))
        return model

    def _speed(
        self, run: Run, model: Bert, tokenizer: WordPieceTokenizer, texts: Sequence[str]
    ) -> None:
        """Sentences per second, of batches that are there already."""
        size = run.settings.batch_size
        batches = [
            tokenizer.batch([texts[i] for i in batch])[:2] for batch in in_batches(texts, size)
        ]
        found: dict[str, Array] = {}

        def ours() -> None:
            with no_grad():
                found["tinynet"] = np.concatenate([model.embed(*b).numpy() for b in batches])

        calls = {"tinynet": ours}
        if run.beside:
            torch, twin = beside.pytorch(), beside.twin(model)
            theirs = [beside.tensors(batch) for batch in batches]

            def its() -> None:
                with torch.inference_mode():
                    found["torch"] = np.concatenate([twin.embed(*b).numpy() for b in theirs])

            calls["torch"] = its
            run.metrics["torch"] = {}
        for engine, seconds in beside.seconds(calls).items():
            run.metrics[engine]["sentences per second"] = len(texts) / seconds
        if run.beside:
            off = float(np.abs(found["tinynet"] - found["torch"]).max())
            run.metrics["torch"]["largest difference of a number"] = off

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """How close sentences of one subject are, and those of two; and how often the nearest
        sentence is of the same subject.
        """
        _, tokenizer = load_minilm(1)
        names, sentences = _sentences()
        vectors = embed(model, tokenizer, sentences)
        cosines, same = vectors @ vectors.T, np.equal.outer(names, names)
        others = ~np.eye(len(names), dtype=bool)
        nearest = np.where(others, cosines, -np.inf).argmax(axis=1)
        return {
            "cosine within a subject": float(cosines[same & others].mean()),
            "cosine between subjects": float(cosines[~same].mean()),
            "nearest is of the same subject": float((names[nearest] == names).mean()),
        }

    def pretrained(self) -> Any:
        """The network, without a run."""
        return load_minilm()[0]

    def embed(self, model: Any, folder: Path, texts: Sequence[str]) -> Any:
        """Vectors of length 1."""
        return embed(model, load_minilm(1)[1], texts)


def _sentences() -> tuple[Array, list[str]]:
    """(the subject of each, sentences)."""
    pairs = [(name, text) for name, texts in SUBJECTS.items() for text in texts]
    names, sentences = zip(*pairs, strict=True)
    return np.array(names), list(sentences)


def attention_heads(
    model: Bert, tokenizer: WordPieceTokenizer, text: str, pronoun: str, noun: str
) -> Any:
    """Four of the heads, each the one that does its thing most: look at the token before, at the
    token after, at [CLS], from the pronoun at its noun.
    """
    ids, _, _ = tokenizer.batch([text])
    with no_grad():
        weights = model.attention_weights(ids).numpy()[:, 0]  # (layers, heads, t, t)
    tokens = [tokenizer.pieces[i] for i in ids.numpy()[0]]
    i, j = tokens.index(pronoun), tokens.index(noun)
    habits = {
        "the token before": np.diagonal(weights, -1, 2, 3).mean(-1),
        "the token after": np.diagonal(weights, 1, 2, 3).mean(-1),
        "[CLS]": weights[..., 1:, 0].mean(-1),
        f"{pronoun} → {noun}": weights[..., i, j],
    }
    panels = new_figure(12, 10.5).subplots(2, 2)
    for ax, (habit, strength) in zip(panels.flat, habits.items(), strict=True):
        layer, head = np.unravel_index(strength.argmax(), strength.shape)
        plot.attention(weights[layer, head], tokens, ax=ax)
        ax.set_title(f"{habit}: layer {layer + 1}, head {head + 1} ({strength.max():.2f})")
    return panels
