"""BERT: against loops in NumPy, against PyTorch, and with the weights of the world outside.

`reference/minilm.json` holds facts about MiniLM that transformers 5.23 and PyTorch 2.13 computed in
float64: sums and first numbers of sentence vectors, their products, weights of attention.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import models
from tinynet.cli import main
from tinynet.data import WordPieceTokenizer, archives
from tinynet.data.wordpiece import SPECIAL
from tinynet.errors import ArgumentError, FileFormatError
from tinynet.models import beside
from tinynet.models.bert import Bert, BertConfig, BertForClassification, BertForMaskedLM
from tinynet.models.minilm import embed, load_minilm, read, renamed
from tinynet.models.systems.bert import Sentences, fixed_gaps, unigram_loss

KNOWN = json.loads((Path(__file__).parent / "reference/minilm.json").read_text("utf-8"))
SMALL = BertConfig(
    vocabulary=30, width=8, layers=2, heads=2, hidden=12, places=9, dropout=0.0, eps=1e-5
)
IDS = np.array([[2, 7, 8, 9, 3], [2, 5, 3, 0, 0], [2, 6, 6, 3, 0]])
MASK = IDS > 0
KINDS = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]])


def foreign(config: BertConfig, seed: int = 0) -> dict[str, Any]:
    """Random weights under the names that BERT's files have."""
    rng = np.random.default_rng(seed)
    d, h = config.width, config.hidden
    shapes = {
        "embeddings.word_embeddings.weight": (config.vocabulary, d),
        "embeddings.position_embeddings.weight": (config.places, d),
        "embeddings.token_type_embeddings.weight": (config.kinds, d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
        "pooler.dense.weight": (d, d),
    }
    for i in range(config.layers):
        for part, rows, columns in (
            ("attention.self.query", d, d),
            ("attention.self.key", d, d),
            ("attention.self.value", d, d),
            ("attention.output.dense", d, d),
            ("intermediate.dense", h, d),
            ("output.dense", d, h),
        ):
            shapes[f"encoder.layer.{i}.{part}.weight"] = (rows, columns)
            shapes[f"encoder.layer.{i}.{part}.bias"] = (rows,)
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            for kind in ("weight", "bias"):
                shapes[f"encoder.layer.{i}.{part}.{kind}"] = (d,)
    return {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}


def by_loops(config: BertConfig, weights: Any, ids: Any, kinds: Any) -> tuple[Any, list[Any]]:
    """The states of one text, and the weights of attention: one head and one token at a time."""
    W = {name: value.astype(float) for name, value in weights.items()}

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        size = np.sqrt((centred**2).mean(-1, keepdims=True) + config.eps)
        return centred / size * W[f"{name}.weight"] + W[f"{name}.bias"]

    def affine(x: Any, name: str) -> Any:
        return x @ W[f"{name}.weight"].T + W[f"{name}.bias"]

    erf = np.vectorize(math.erf)
    x = np.stack(
        [
            W["embeddings.word_embeddings.weight"][token]
            + W["embeddings.position_embeddings.weight"][place]
            + W["embeddings.token_type_embeddings.weight"][kind]
            for place, (token, kind) in enumerate(zip(ids, kinds, strict=True))
        ]
    )
    x, found, size = norm(x, "embeddings.LayerNorm"), [], config.width // config.heads
    for i in range(config.layers):
        layer = f"encoder.layer.{i}"
        q, k, v = (affine(x, f"{layer}.attention.self.{n}") for n in ("query", "key", "value"))
        heads = np.zeros_like(x)
        for head in range(config.heads):
            part = slice(head * size, (head + 1) * size)
            for token in range(len(x)):
                scores = k[:, part] @ q[token, part] / math.sqrt(size)
                p = np.exp(scores - scores.max())
                p /= p.sum()
                found.append(p)
                heads[token, part] = p @ v[:, part]
        heads = affine(heads, f"{layer}.attention.output.dense")
        x = norm(x + heads, f"{layer}.attention.output.LayerNorm")
        z = affine(x, f"{layer}.intermediate.dense")
        z = affine(z * (1 + erf(z / math.sqrt(2))) / 2, f"{layer}.output.dense")
        x = norm(x + z, f"{layer}.output.LayerNorm")
    return x, found


def small(weights: Any) -> Bert:
    model = Bert(SMALL)
    model.load_state_dict(renamed(weights, SMALL.layers))
    return model.eval()


def test_padded_texts_are_what_each_is_alone_by_loops() -> None:
    weights = foreign(SMALL)
    model = small(weights)
    batch = tn.tensor(IDS), tn.tensor(MASK), tn.tensor(KINDS)
    states, vectors = model(*batch).detach().numpy(), model.embed(*batch).detach().numpy()
    attention = model.attention_weights(*batch).detach().numpy()
    for n, length in enumerate(MASK.sum(axis=1)):
        right, rows = by_loops(SMALL, weights, IDS[n, :length], KINDS[n, :length])
        np.testing.assert_allclose(states[n, :length], right, atol=2e-5)
        middle = right.mean(axis=0)
        np.testing.assert_allclose(vectors[n], middle / np.linalg.norm(middle), atol=2e-6)
        mine = attention[:, n, :, :length]
        np.testing.assert_allclose(mine[..., :length].reshape(-1, length), rows, atol=2e-6)
        assert not mine[..., length:].any()
    whole = model(batch[0][:1]).detach().numpy()[0]  # without mask and kinds
    right, _ = by_loops(SMALL, weights, IDS[0], 0 * KINDS[0])
    np.testing.assert_allclose(whole, right, atol=2e-5)


def test_a_file_that_holds_no_such_network(tmp_path: Path) -> None:
    weights = foreign(SMALL)
    del weights["encoder.layer.1.output.dense.bias"]
    tn.save(weights, tmp_path / "x.safetensors")
    with pytest.raises(FileFormatError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        read(tmp_path / "x.safetensors", 2)


def test_it_starts_small_and_fresh() -> None:
    tn.manual_seed(0)
    model = BertForClassification(replace(BertConfig(), vocabulary=2000, layers=1))
    for name, p in model.named_parameters():
        values = p.detach().numpy()
        if "norm" in name:
            assert (values == (name.endswith("weight"))).all()
        elif name.endswith("bias"):
            assert not values.any()
        else:
            assert values.std() == pytest.approx(0.02, rel=0.1), name
    assert sum(p.numel() for p in Bert(BertConfig()).parameters()) == 22_565_376


def test_gaps_are_all_that_is_scored() -> None:
    tn.manual_seed(1)
    model = BertForMaskedLM(SMALL).eval()
    gaps = np.array([1, 6, 11, 12])
    scores = model(tn.tensor(IDS), tn.tensor(MASK), tn.tensor(gaps))
    assert scores.shape == (4, SMALL.vocabulary)
    states = model.bert(tn.tensor(IDS), tn.tensor(MASK)).detach().numpy().reshape(-1, SMALL.width)
    x = model.norm(tn.nn.functional.gelu(model.dense(tn.tensor(states[gaps])))).detach().numpy()
    table = model.bert.words.weight.detach().numpy()
    np.testing.assert_allclose(scores.detach().numpy(), x @ table.T, atol=1e-6)
    assert "decoder.weight" not in model.state_dict()  # one table, for reading and for writing
    scores[:, 17].sum().backward()  # a word that no text has: reading leaves it alone
    np.testing.assert_allclose(model.bert.words.weight.grad.numpy()[17], x.sum(axis=0), atol=1e-5)


def test_it_learns_to_fill_a_gap() -> None:
    """In `a b a b …` what a gap hid follows from its neighbours."""
    tn.manual_seed(0)
    ids = np.array([[5, 6] * 4, [6, 5] * 4])
    shown, gaps = ids.copy(), np.array([2, 13])
    shown.reshape(-1)[gaps] = 4
    model = BertForMaskedLM(SMALL)
    adam = tn.optim.Adam(model.parameters(), lr=3e-2)
    x = tn.tensor(shown), tn.tensor(shown > 0), tn.tensor(gaps)
    for _ in range(40):
        adam.zero_grad()
        loss = tn.nn.functional.cross_entropy(model(*x), tn.tensor(ids.reshape(-1)[gaps]))
        loss.backward()
        adam.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("kind", [Bert, BertForMaskedLM, BertForClassification])
def test_a_network_comes_back_to_the_bit(kind: Any, tmp_path: Path) -> None:
    model = kind(SMALL)
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert again.config == SMALL
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), again.state_dict()[name].numpy())
    x = [tn.tensor(IDS), tn.tensor(MASK)]
    x += [tn.tensor([1, 2])] if kind is BertForMaskedLM else []
    assert np.array_equal(model.eval()(*x).detach().numpy(), again.eval()(*x).detach().numpy())


@pytest.mark.peers
@pytest.mark.parametrize("kind", [BertForMaskedLM, BertForClassification])
def test_a_training_step_is_that_of_pytorch(kind: Any) -> None:
    torch = pytest.importorskip("torch")
    tn.manual_seed(2)
    model = kind(SMALL)
    for p in model.parameters():  # a fresh network hardly depends on what it reads
        tn.nn.init.normal_(p, std=0.5)
    twin = beside.twin(model)
    x = (IDS, MASK, np.array([1, 7])) if kind is BertForMaskedLM else (IDS, MASK)
    y = np.array([7, 9]) if kind is BertForMaskedLM else np.array([0, 1, 1])
    ours = tn.nn.functional.cross_entropy(model(*map(tn.tensor, x)), tn.tensor(y))
    its = torch.nn.functional.cross_entropy(twin(*beside.tensors(x)), torch.from_numpy(y))
    ours.backward()
    its.backward()
    assert ours.item() == pytest.approx(its.item(), rel=1e-5)
    for (name, p), (_, q) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            scale = float(q.grad.abs().max()) or 1.0
            np.testing.assert_allclose(p.grad.numpy() / scale, q.grad.numpy() / scale, atol=2e-5)


# -- sentences for the systems ---------------------------------------------------------------------

TOKENIZER = WordPieceTokenizer([*SPECIAL, "a", "b", "c", "d"])
TEXTS = ["a b c d", "b", "c d", "a a a", "d c b a d"]


def test_batches_of_sentences_hold_all_of_them() -> None:
    sentences = Sentences(TOKENIZER, TEXTS, [0, 1, 2, 3, 4])
    seen = {}
    for (ids, mask), labels in sentences.batches(2, sentences.labelled):
        for row, there, label in zip(ids.numpy(), mask.numpy(), labels.numpy(), strict=True):
            seen[int(label)] = TOKENIZER.decode(row[there])
    assert [seen[i] for i in range(5)] == TEXTS


def test_gaps_are_never_special_and_can_be_repeated() -> None:
    sentences = Sentences(TOKENIZER, TEXTS, [0] * 5)
    first, second = fixed_gaps(sentences), fixed_gaps(sentences)
    tn.randn(10)
    for ((shown, mask, gaps), hidden), ((again, _, _), _) in zip(first, second, strict=True):
        assert (shown.numpy() == again.numpy()).all()
        assert (hidden.numpy() > 4).all()
        assert mask.numpy().reshape(-1)[gaps.numpy()].all()


def test_the_loss_of_the_frequencies_alone() -> None:
    sentences = Sentences(TOKENIZER, ["a a a b", "c"], [0, 0])
    batches: list[Any] = [(None, tn.tensor([5, 5, 6, 8]))]
    # counts with one more each: a 4, b 2, c 2, d 1, and the five special pieces 1
    right = -np.mean(np.log(np.array([4, 4, 2, 1]) / 14))
    assert unigram_loss(sentences, batches) == pytest.approx(right)


# -- the real weights ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> tuple[Bert, WordPieceTokenizer]:
    return load_minilm()


@pytest.mark.network(archives.MINILM)
def test_sentence_vectors_agree_with_the_reference(minilm: Any) -> None:
    model, tokenizer = minilm
    with tn.no_grad():
        ids, mask, _ = tokenizer.batch(KNOWN["texts"])
        together = model.embed(ids, mask).numpy().astype(float)
    alone = embed(model, tokenizer, KNOWN["texts"], batch_size=1).astype(float)
    for vectors in (together, alone):
        np.testing.assert_allclose(vectors[:, :8], KNOWN["first"], atol=2e-6)
        np.testing.assert_allclose(vectors.sum(axis=1), KNOWN["sums"], atol=1e-5)
        np.testing.assert_allclose(vectors @ vectors.T, KNOWN["products"], atol=2e-6)


@pytest.mark.network(archives.MINILM)
def test_pairs_and_attention_agree_with_the_reference(minilm: Any) -> None:
    model, tokenizer = minilm
    with tn.no_grad():
        a, b = KNOWN["pair"]["texts"]
        states = model(*tokenizer.batch([a], [b])).numpy()[0]
        weights = model.attention_weights(tokenizer.batch(KNOWN["texts"][:1]).ids).numpy()
    np.testing.assert_allclose(states[-1, :8], KNOWN["pair"]["last"], atol=5e-6)
    assert np.linalg.norm(states) == pytest.approx(KNOWN["pair"]["norm"], abs=1e-4)
    np.testing.assert_allclose(weights[[0, 5], 0, 3, 1], KNOWN["attention"], atol=2e-6)


@pytest.mark.network(archives.MINILM)
def test_sentences_on_the_command_line(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "vectors.npy"
    assert (
        main(["embed", "minilm", "A cat sleeps.", "A kitten naps.", "Buy!", "--npy", str(file)])
        == 0
    )
    cat, kitten, buy = np.load(file)
    assert cat @ kitten > 0.5 > cat @ buy + 0.2
    assert "A kitten naps." in capsys.readouterr().out


def test_systems_that_need_a_run_say_so(tmp_path: Path, monkeypatch: Any) -> None:
    from tinynet.cli.systems import _open

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match="no finished run"):
        _open(type("args", (), {"name": "bert-mlm", "folder": None}))


@pytest.mark.network(archives.MINILM, archives.RATED_TEXTS)
def test_a_run_of_gaps_and_of_its_words(tmp_path: Path) -> None:
    settings = {"epochs": 1, "snippets": 48, "pieces": 200, "width": 16, "layers": 1, "heads": 2}
    result = models.train("bert-mlm", out=tmp_path / "run", progress=False, **settings)
    assert {"unigram", "tinynet"} == set(result.metrics)
    assert result.metrics["tinynet"]["loss"] < math.log(200) + 0.5
    system = models.find("bert-mlm")
    (line,) = system.generate(result.model, tmp_path / "run", "a [MASK] film")
    assert line.count("%") == 8
    with pytest.raises(ArgumentError, match="no gap"):
        list(system.generate(result.model, tmp_path / "run", "a film"))
