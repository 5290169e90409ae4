"""The systems that read and write: sentiment, and language models. On texts made up here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import models
from tinynet.cli import main
from tinynet.data import RatedTexts, Sonnets, WordTokenizer
from tinynet.errors import ArgumentError
from tinynet.models import beside
from tinynet.models.gpt import GPT, GPTConfig
from tinynet.models.language import (
    Bigram,
    BigramConfig,
    MLPLanguageConfig,
    MLPLanguageModel,
    RecurrentConfig,
    RecurrentLanguageModel,
)
from tinynet.models.sentiment import BagOfWords, BagOfWordsConfig, SentimentConfig, SentimentLSTM
from tinynet.models.systems import drawing, sonnets
from tinynet.models.systems.sentiment import Texts
from tinynet.nn import functional as F

LANGUAGE = ["bigram", "mlp-lm", "rnn-lm", "lstm-lm", "gru-lm", "gpt"]


def trainable(model: Any) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# -- the networks ----------------------------------------------------------------------------------


def test_the_documents_number_of_parameters() -> None:
    """B 5.2 counts one bias for each gate, PyTorch has two."""
    document = SentimentLSTM(SentimentConfig())
    assert trainable(document) == 344_897
    assert trainable(SentimentLSTM(SentimentConfig(biases=2))) == 345_153
    frozen = document.lstm.bias_hh_l0
    assert not frozen.requires_grad
    assert not frozen.detach().numpy().any()
    with pytest.raises(ArgumentError, match="biases=3"):
        SentimentConfig(biases=3)


@pytest.mark.parametrize(
    "model",
    [SentimentLSTM(SentimentConfig(9, 4, 5)), BagOfWords(BagOfWordsConfig(9))],
    ids=["lstm", "bag of words"],
)
def test_padding_is_not_read(model: Any) -> None:
    rng = np.random.default_rng(0)
    for p in model.parameters():
        tn.nn.init.normal_(p)
    if isinstance(model, BagOfWords):
        model.weights.weight.detach()[0] = 0.0  # as padding_idx keeps it
    rows = [rng.integers(1, 9, n).tolist() for n in (3, 1, 6)]
    alone = [model(tn.tensor([row])).item() for row in rows]
    together, _ = tn.data.pad_batch(rows)
    np.testing.assert_allclose(model(together).detach().numpy(), alone, rtol=1e-5)
    wider = np.pad(together.numpy(), ((0, 0), (0, 7)))
    np.testing.assert_allclose(model(tn.tensor(wider)).detach().numpy(), alone, rtol=1e-5)
    model(tn.tensor(wider)).sum().backward()
    table = model.weights if isinstance(model, BagOfWords) else model.embedding
    assert not table.weight.grad.numpy()[0].any()  # what was not read learns nothing


def test_a_bag_of_words_does_not_see_their_order() -> None:
    bag = BagOfWords(BagOfWordsConfig(9))
    tn.nn.init.normal_(bag.weights.weight)
    y = bag(tn.tensor([[1, 5, 7, 7], [7, 1, 7, 5]])).detach().numpy()
    assert y[0] == pytest.approx(y[1])
    lstm = SentimentLSTM(SentimentConfig(9, 4, 5))
    y = lstm(tn.tensor([[1, 5, 7, 7], [7, 1, 7, 5]])).detach().numpy()
    assert y[0] != pytest.approx(y[1], rel=1e-4)


def networks() -> list[Any]:
    return [
        SentimentLSTM(SentimentConfig(7, 4, 5)),
        BagOfWords(BagOfWordsConfig(7)),
        Bigram(BigramConfig(7)),
        MLPLanguageModel(MLPLanguageConfig(7, context=3, width=4, hidden=5, dropout=0.0)),
        *(
            RecurrentLanguageModel(RecurrentConfig(7, cell, 4, 5, layers=2, dropout=0.0))
            for cell in ("RNN", "LSTM", "GRU")
        ),
        GPT(GPTConfig(7, window=6, width=8, layers=2, heads=2, dropout=0.0)),
        GPT(GPTConfig(7, window=6, width=8, layers=2, heads=2, dropout=0.0, tied=False)),
    ]


@pytest.mark.peers
@pytest.mark.parametrize("model", networks(), ids=lambda model: type(model).__name__)
def test_the_same_file_on_pytorch(model: Any) -> None:
    """Outputs and gradients of the twin."""
    torch = pytest.importorskip("torch")
    twin = beside.twin(model)
    assert trainable(twin) == trainable(model)
    ids = np.random.default_rng(0).integers(1, 7, (3, 6))
    ours, theirs = model(tn.tensor(ids)), twin(torch.from_numpy(ids))
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
    g = np.random.default_rng(1).standard_normal(ours.shape).astype("f4")
    ours.backward(tn.tensor(g))
    theirs.backward(torch.from_numpy(g))
    grads = {name: p.grad for name, p in twin.named_parameters() if p.requires_grad}
    for name, p in model.named_parameters():
        if p.requires_grad:
            np.testing.assert_allclose(
                p.grad.numpy(), grads[name].numpy(), rtol=1e-3, atol=1e-5, err_msg=name
            )


def test_attention_maps_are_what_the_network_uses() -> None:
    """softmax weights times the values give what the kernel gives."""
    config = GPTConfig(7, window=6, width=8, layers=2, heads=2, dropout=0.0)
    model = GPT(config).eval()
    for p in model.parameters():
        tn.nn.init.normal_(p, 0.0, 0.5)
    ids = tn.tensor([[1, 4, 2, 6, 3]])
    maps = [m.detach().numpy() for m in model.attention_maps(ids)]
    assert [m.shape for m in maps] == [(1, 2, 5, 5)] * 2
    for m in maps:
        np.testing.assert_allclose(m.sum(-1), 1, rtol=1e-5)
        assert not np.triu(m[0, 0], 1).any()
    block = model.blocks[0]
    x = block.norm1(model.tokens(ids) + model.positions(tn.arange(5)))
    values = block.attention.input(x).detach().numpy()[0, :, 16:].reshape(5, 2, 4)
    mixed = np.einsum("hts,shd->thd", maps[0][0], values).reshape(1, 5, 8)
    expected = block.attention.output(tn.tensor(mixed)).detach().numpy()
    np.testing.assert_allclose(block.attention(x)[0].detach().numpy(), expected, rtol=1e-4)


def test_tied_weights_are_one_table() -> None:
    tied, loose = (GPT(GPTConfig(7, 6, 8, 1, 2, tied=tied)) for tied in (True, False))
    assert trainable(loose) - trainable(tied) == 7 * 8
    assert "output.weight" not in tied.state_dict()
    with pytest.raises(ArgumentError, match="heads=3"):
        GPTConfig(width=8, heads=3)


# -- rows and labels -------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2, 4, 5])
def test_held_out_rows_score_each_token_once(length: int) -> None:
    ids = np.arange(40)
    x, y = (part.numpy() for part in sonnets.held_out(ids, length).tensors)
    counted = y >= 0
    assert (y[counted] == x[counted] + 1).all()  # the token that follows
    scored = y[counted].tolist()
    assert scored == list(range(scored[0], scored[0] + len(scored)))
    assert counted[:, : length - length // 2].any() == 0
    assert len(set(counted.sum(1))) == 1  # so the mean over rows is the mean over tokens


def test_all_rows() -> None:
    x, y = (part.numpy() for part in sonnets.rows(np.arange(6), 3).tensors)
    assert x.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert y.tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]


def test_the_loss_leaves_out_what_has_no_label() -> None:
    scores = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("f4")
    y = np.array([[-100, 1, 2], [-100, 0, 3]])
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = -np.mean(np.log([p[0, 1, 1], p[0, 2, 2], p[1, 1, 0], p[1, 2, 3]]))
    assert sonnets.loss(F, tn.tensor(scores), tn.tensor(y)).item() == pytest.approx(expected)


def test_bits_per_character() -> None:
    """A model that knows nothing of 16 pieces, of two characters each."""
    units = sonnets._units(math.log(16), characters=2.0)
    assert units["test perplexity"] == pytest.approx(16)
    assert units["test bits per character"] == pytest.approx(2)


def test_texts_come_in_rows_of_like_length() -> None:
    words = WordTokenizer.train(["good bad film"], 10)
    texts = Texts(["good", "", "bad film bad film"] * 4, np.array([1, 0, 0] * 4), words)
    assert texts[1][0] == [WordTokenizer.UNKNOWN]  # a text without words
    seen = 0
    for ids, labels in texts.batches(4):
        assert ids.shape[0] == len(labels) == 4
        seen += len(labels)
    assert seen == 12


# -- whole runs, on little texts -------------------------------------------------------------------


VERSES = "I\n\nThe cat sat on the mat, and sat,\nAnd sat on that until the rat\nRan.\n\n"


@pytest.fixture
def poems(monkeypatch: pytest.MonkeyPatch) -> Sonnets:
    """Ten poems of the same few words."""
    numbers = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"]
    text = "".join(VERSES.replace("I\n\n", f"{n}\n\n", 1) for n in numbers)
    made = Sonnets(text, (VERSES,) * 10, "made up")
    monkeypatch.setattr(sonnets, "load_sonnets", lambda: made)
    return made


SMALL: dict[str, Any] = {"epochs": 2, "rows": 96, "batch_size": 8, "length": 16, "progress": False}
TINY: dict[str, dict[str, Any]] = {
    "bigram": {},
    "mlp-lm": {"width": 4, "hidden": 16},
    "rnn-lm": {"width": 4, "hidden": 16},
    "lstm-lm": {"width": 4, "hidden": 16},
    "gru-lm": {"width": 4, "hidden": 16},
    "gpt": {"width": 16, "layers": 1, "heads": 2},
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_model_from_text_to_text(
    name: str, poems: Sonnets, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / name
    result = models.train(name, out=folder, **SMALL, **TINY[name])
    scores = result.metrics["tinynet"]
    assert scores["test bits per character"] == pytest.approx(
        scores["test loss"] / math.log(2), rel=1e-6
    )
    assert scores["test loss"] < math.log(len(set(poems.text)))  # better than knowing nothing
    pictures = {path.stem for path in folder.glob("*.png")}
    assert {"learning_curves", "bits_per_character", "next_tokens"} <= pictures
    assert ("attention" in pictures) == (name == "gpt")
    system, settings = models.find(name), result.settings
    again = system.evaluate(result.model, settings)
    assert again["test loss"] == pytest.approx(scores["test loss"], rel=1e-5)
    argv = ["generate", name, "--from", str(folder), "--prompt", "The cat", "--length", "40"]
    written = []
    for _ in range(2):
        assert main(argv) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]
    assert written[0].startswith("The cat")
    assert len(written[0].rstrip("\n")) <= 47
    assert main([*argv[:5], "¿Qué?"]) != 0
    refused = capsys.readouterr()
    assert "lacks '?Q¿é'" in refused.err
    assert not refused.out


def test_byte_pairs_read_any_prompt(poems: Sonnets, tmp_path: Path) -> None:
    result = models.train(
        "gpt", out=tmp_path / "gpt", tokens="bpe", vocabulary=270, **SMALL, **TINY["gpt"]
    )
    scores, corpus = result.metrics["tinynet"], sonnets.Corpus.read(result.settings)
    assert corpus.characters > 1
    bits = scores["test loss"] / math.log(2) / corpus.characters
    assert scores["test bits per character"] == pytest.approx(bits)
    system = models.find("gpt")
    written = list(system.generate(result.model, result.folder, "¿Qué?", length=20))
    assert len(written) == 21  # a piece for each token, and the end
    with pytest.raises(ArgumentError, match="characters or bpe"):
        sonnets.SonnetSettings(tokens="words")


def test_the_finished_runs_are_shown_together(poems: Sonnets, tmp_path: Path) -> None:
    first = models.train("bigram", out=tmp_path / "a", **SMALL)
    assert first.metrics["bigram, counted"]["test loss"] > 0
    label = "test bits per character"
    run = type("Run", (), {"folder": tmp_path / "b", "name": "gpt", "metrics": {}})()
    run.metrics = {"bigram, counted": {label: 3.0}, "tinynet": {label: 2.0}}
    found, _ = sonnets._all_runs(run, "characters")
    expected = first.metrics["tinynet"][label]
    assert found == {"counted bigram": 3.0, "bigram": expected, "gpt": 2.0}
    assert "bigram" not in sonnets._all_runs(run, "bpe")[0]


def test_the_counted_bigram_is_where_training_goes(poems: Sonnets, tmp_path: Path) -> None:
    """Without weight decay and with many steps, the trained one has the counts' loss."""
    result = models.train(
        "bigram", out=tmp_path / "bigram", **{**SMALL, "epochs": 20}, weight_decay=0.0
    )
    scores = result.metrics
    assert scores["tinynet"]["test loss"] == pytest.approx(
        scores["bigram, counted"]["test loss"], abs=0.1
    )


@pytest.fixture
def snippets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences that one word decides."""
    from tinynet.models.systems import sentiment

    rng = np.random.default_rng(0)
    filling = [f"word{i}" for i in range(30)]
    texts, ratings = [], []
    for i in range(300):
        words = [*rng.choice(filling, rng.integers(2, 9)), ("awful", "lovely")[i % 2]]
        rng.shuffle(words)
        texts.append(" ".join(words))
        ratings.append((-2.0, 2.0)[i % 2])
    made = RatedTexts(tuple(texts), tn.tensor(np.array(ratings, "f4")), "made up")
    monkeypatch.setattr(sentiment, "load_movie_snippets", lambda: made)


@pytest.mark.usefixtures("snippets")
def test_sentiment_learns_which_word_decides(tmp_path: Path) -> None:
    result = models.train(
        "sentiment", out=tmp_path / "run", seeds=1, epochs=8, lr=0.02, patience=8, progress=False
    )
    for name in ("LSTM", "bag of words"):
        assert result.metrics[name]["tinynet"]["accuracy"] > 0.9
    pictures = {path.stem for path in result.folder.glob("*.png")}
    assert {"accuracy", "learning_curves", "words", "reading"} <= pictures
    again = models.find("sentiment").evaluate(result.model, result.settings)
    assert again["accuracy"] == result.metrics["LSTM"]["tinynet"]["accuracy"]
    assert json.loads((result.folder / "tokenizer.json").read_text())["kind"] == "words"


@pytest.mark.peers
def test_a_twin_ends_with_its_best_weights() -> None:
    """One epoch down the slope, then two up it: the first was the best."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    batch = (rng.integers(1, 7, (8, 5)), rng.integers(0, 2, 8).astype("f4"))

    def trained(epochs: int, validation: Any) -> Any:
        twin = beside.twin(BagOfWords(BagOfWordsConfig(7)))
        beside.fit(
            twin,
            lambda: [batch],
            loss=lambda F, y, labels: F.binary_cross_entropy(y, labels),
            optimizer=torch.optim.SGD(twin.parameters(), lr=0.1),
            epochs=epochs,
            factor=lambda step: 1.0 if step == 0 else -1.0,
            validation=validation,
        )
        return beside.numbers(twin)["weights.weight"]

    np.testing.assert_array_equal(trained(3, [batch]), trained(1, None))
    assert not np.array_equal(trained(3, None), trained(1, None))


# -- pictures --------------------------------------------------------------------------------------


def test_pictures_hold_the_numbers() -> None:
    p = np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25]])
    ax = drawing.next_tokens(p, [0, 2], ["a", " ", "\n"])
    shown = [text.get_text() for text in ax.texts]
    assert shown == ["␣", "⏎", "a"]  # of the first token; nothing follows the second
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array())[:, 0], [0.6, 0.3, 0.1])
    assert ax.patches[0].get_xy() == (-0.5, 0.5)  # what came, "\n", had rank 2
    panels = drawing.heads([np.full((3, 2, 2), 0.25)] * 2, ["a", "b"])
    assert panels.shape == (2, 3)
    np.testing.assert_allclose(np.asarray(panels[0, 0].images[0].get_array()), 0.5)
    left, right = drawing.strongest(np.array([0.1, -2.0, 3.0]), ["x", "bad", "good"], most=1)
    assert [label.get_text() for label in left.get_yticklabels()] == ["bad"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["good"]
    (panel,) = drawing.reading([(["so", "good"], [0.4, 0.9])])
    assert list(panel.lines[0].get_ydata()) == [0.4, 0.9]
