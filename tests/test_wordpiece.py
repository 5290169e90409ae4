"""WordPiece, and hiding tokens.

`reference/wordpiece.json` holds what the tokenizer of the `tokenizers` package (0.23.3) answered: a
vocabulary of 323 pieces, texts with their numbers and what these decode to, and pairs that were cut
to a length. Beside it is the sum of its numbers for all snippets of films with BERT's vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynet.data import WordPieceTokenizer, archives, load_movie_snippets, mask_tokens
from tinynet.data.wordpiece import CHINESE, SPECIAL
from tinynet.errors import ArgumentError, DataError, OutOfRangeError, ShapeError
from tinynet.models.minilm import load_minilm
from tinynet.random import Generator

KNOWN = json.loads((Path(__file__).parent / "reference/wordpiece.json").read_text("utf-8"))
TOKENIZER = WordPieceTokenizer(KNOWN["pieces"].split(" "))


@pytest.mark.parametrize(("text", "ids", "back"), KNOWN["cases"])
def test_texts_become_the_numbers_of_the_reference(text: str, ids: list[int], back: str) -> None:
    assert TOKENIZER.encode(text) == ids
    assert TOKENIZER.encode(text) == ids  # the second time from what it remembers
    assert TOKENIZER.decode(ids) == back


@pytest.mark.parametrize(("a", "b", "most", "ids", "first"), KNOWN["pairs"])
def test_pairs_are_cut_as_in_the_reference(
    a: int, b: int, most: int, ids: list[int], first: int
) -> None:
    texts = [case[0] for case in KNOWN["cases"]]
    assert TOKENIZER.encode(texts[a], texts[b], max_length=most) == ids
    batch = TOKENIZER.batch([texts[a]], [texts[b]], max_length=most)
    assert batch.ids.tolist() == [ids]
    assert batch.kinds.tolist() == [[0] * first + [1] * (len(ids) - first)]


@pytest.mark.network(archives.MINILM, archives.RATED_TEXTS)
def test_all_snippets_of_films_with_the_vocabulary_of_bert() -> None:
    _, tokenizer = load_minilm(1)
    assert len(tokenizer) == 30522
    total = hashlib.sha256()
    for text in load_movie_snippets().texts:
        total.update(json.dumps(tokenizer.encode(text)).encode())
    assert total.hexdigest() == KNOWN["snippets"]


def test_a_lone_surrogate_is_left_out() -> None:
    assert TOKENIZER.tokenize("a\ud83db") == TOKENIZER.tokenize("ab")


@pytest.mark.parametrize("first", [first for first, _ in CHINESE])
def test_chinese_characters_are_words_of_their_own(first: int) -> None:
    assert len(TOKENIZER.tokenize(f"a{chr(first)}b")) == 3


def test_with_capitals_and_accents() -> None:
    cased = WordPieceTokenizer([*SPECIAL, "É", "é", "A"], lowercase=False)
    assert cased.tokenize("É é A a") == ["É", "é", "A", "[UNK]"]


def test_a_batch_is_padded_to_its_longest_text() -> None:
    texts = ["the cat", "", "the cat sat on the mat"]
    ids, mask, kinds = TOKENIZER.batch(texts)
    rows = [TOKENIZER.encode(text) for text in texts]
    assert ids.shape == (3, max(map(len, rows)))
    for i, row in enumerate(rows):
        assert ids[i].tolist() == row + [TOKENIZER.pad] * (ids.shape[1] - len(row))
        assert mask[i].tolist() == [j < len(row) for j in range(ids.shape[1])]
    assert not kinds.numpy().any()
    assert TOKENIZER.batch(texts, max_length=4).ids.shape == (3, 4)


def test_a_tokenizer_comes_back_from_json() -> None:
    again = WordPieceTokenizer.from_dict(json.loads(json.dumps(TOKENIZER.to_dict())))
    assert again.pieces == TOKENIZER.pieces
    by_number = {piece: i for i, piece in enumerate(TOKENIZER.pieces)}
    assert WordPieceTokenizer(by_number).encode("the cat") == again.encode("the cat")


def test_a_vocabulary_file(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENIZER.pieces) + "\n", "utf-8")
    assert WordPieceTokenizer.from_file(tmp_path / "vocab.txt").pieces == TOKENIZER.pieces


def test_trimming_keeps_what_is_used_and_all_letters_of_it() -> None:
    texts = ["the cat sat on the mat", "the dog"]
    small = TOKENIZER.trimmed(texts, 40)
    assert small.pieces[:5] == list(SPECIAL)
    assert len(small) <= 40
    assert not any(TOKENIZER.unknown in small.encode(text) for text in texts)
    assert small.tokenize("the") == ["the"]
    assert small.decode(small.encode(texts[0])) == texts[0]


@pytest.mark.parametrize(
    ("pieces", "words"), [(["a", "b"], "no \\[PAD\\]"), ([*SPECIAL, "a", "a"], "twice")]
)
def test_a_vocabulary_that_is_none(pieces: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        WordPieceTokenizer(pieces)


def test_arguments_that_make_no_sense() -> None:
    with pytest.raises(OutOfRangeError, match="outside the vocabulary"):
        TOKENIZER.decode([len(TOKENIZER)])
    with pytest.raises(OutOfRangeError, match="-1"):
        TOKENIZER.decode([-1])
    with pytest.raises(ArgumentError, match="max_length is 2"):
        TOKENIZER.encode("a", max_length=1)
    with pytest.raises(ArgumentError, match="2 texts with 1 pairs"):
        TOKENIZER.batch(["a", "b"], ["c"])


# -- hiding ----------------------------------------------------------------------------------------


def test_the_shares_of_what_is_hidden() -> None:
    draw, V, masked = Generator().manual_seed(0), 1000, 4
    ids = draw.integers(5, V, (200, 500))
    ordinary = draw.random(ids.shape) < 0.9
    shown, gaps, hidden = mask_tokens(ids, ordinary, masked=masked, vocabulary=V, generator=draw)
    assert (hidden == ids.reshape(-1)[gaps]).all()
    assert ordinary.reshape(-1)[gaps].all()
    elsewhere = np.ones(ids.size, bool)
    elsewhere[gaps] = False
    assert (shown.reshape(-1)[elsewhere] == ids.reshape(-1)[elsewhere]).all()
    there, n = shown.reshape(-1)[gaps], len(gaps)
    found = {
        0.15: (n, ordinary.sum()),
        0.80: ((there == masked).sum(), n),
        0.10: (((there != masked) & (there != hidden)).sum(), n),
        0.1001: ((there == hidden).sum(), n),
    }
    for share, (count, total) in found.items():
        assert abs(count / total - share) < 4 * math.sqrt(share * (1 - share) / total), share


def test_the_best_answer_to_a_visible_word() -> None:
    """The mixture of the docstring, counted: texts of one word, whose share is q."""
    draw, V = Generator().manual_seed(1), 5
    q = np.array([0.4, 0.3, 0.2, 0.07, 0.03])
    ids = np.searchsorted(np.cumsum(q), draw.random((1, 400_000)))
    shown, gaps, hidden = mask_tokens(
        ids, np.ones_like(ids), masked=V, vocabulary=V, share=1.0, generator=draw
    )
    there = shown.reshape(-1)[gaps]
    counts = Counter(zip(there.tolist(), hidden.tolist(), strict=True))
    for s in range(V):
        total = sum(counts[s, w] for w in range(V))
        for w in range(V):
            right = (q[w] / V + q[s] * (w == s)) / (1 / V + q[s])
            assert counts[s, w] / total == pytest.approx(right, abs=0.02)


def test_at_least_one_token_is_hidden() -> None:
    ids = np.arange(6).reshape(2, 3)
    ordinary = np.array([[False, True, False], [False, True, False]])
    for seed in range(50):
        draw = Generator().manual_seed(seed)
        _, gaps, _ = mask_tokens(ids, ordinary, masked=9, vocabulary=9, share=1e-6, generator=draw)
        assert len(gaps) == 1
        assert gaps[0] in (1, 4)


def test_hiding_what_cannot_be_hidden() -> None:
    ids = np.ones((2, 3), int)
    with pytest.raises(DataError, match="no token"):
        mask_tokens(ids, np.zeros_like(ids), masked=4, vocabulary=9)
    with pytest.raises(ShapeError):
        mask_tokens(ids, ids[:, :2], masked=4, vocabulary=9)
    with pytest.raises(ArgumentError, match="share"):
        mask_tokens(ids, ids, masked=4, vocabulary=9, share=0.0)
