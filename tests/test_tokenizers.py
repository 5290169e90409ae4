"""Texts as numbers and back: characters, words, byte pairs."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinynet.data import BytePairTokenizer, CharacterTokenizer, Tokenizer, WordTokenizer
from tinynet.errors import ArgumentError, DataError, FileFormatError, OutOfRangeError

VERSE = """From fairest creatures we desire increase,
That thereby beauty's rose might never die,
But as the riper should by time decease,
His tender heir might bear his memory: """

BYTE_PAIRS = BytePairTokenizer.train([VERSE], 300)


@given(st.text())
@example("  two  spaces \n\n\tand é, 我爱北京, \U0001f600_\x00 ")
def test_byte_pairs_lose_nothing(text: str) -> None:
    assert BYTE_PAIRS.decode(BYTE_PAIRS.encode(text)) == text


@given(st.lists(st.text(alphabet="ab 'é", max_size=12), min_size=1), st.integers(0, 12))
@settings(deadline=None)
def test_a_tokenizer_trained_on_anything_loses_nothing(texts: list[str], merges: int) -> None:
    tokenizer = BytePairTokenizer.train(texts, 256 + merges)
    assert len(tokenizer) <= 256 + merges
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert len(ids) <= len(text.encode())


@given(st.text(alphabet="ab ", min_size=1, max_size=40), st.integers(0, 8))
@example("aab aab aab abb abb bb bb bb", 4)
@settings(deadline=None)
def test_training_is_the_greedy_search_that_it_claims_to_be(text: str, merges: int) -> None:
    """Against the plain way: count all pairs of all words again after each merge."""
    words = [list(word.encode()) for word in re.findall(r" ?\w+|\s+(?!\S)|\s+", text)]
    expected: list[tuple[int, int]] = []
    for k in range(merges):
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts or max(counts.values()) < 2:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        expected.append(best)
        words = [_replaced(word, best, 256 + k) for word in words]
    tokenizer = BytePairTokenizer.train([text], 256 + merges)
    assert tokenizer.merges == expected
    written = [i for word in words for i in word]
    assert tokenizer.encode(text) == written  # as training left it


def _replaced(word: list[int], pair: tuple[int, int], new: int) -> list[int]:
    made: list[int] = []
    for i in word:
        if made and (made[-1], i) == pair:
            made[-1] = new
        else:
            made.append(i)
    return made


def test_pieces_stay_inside_words() -> None:
    tokenizer = BytePairTokenizer.train(["red dog, red dog, red dog, red dog, "], 300)
    pieces = {piece.decode() for piece in tokenizer.pieces[256:]}
    assert {" dog", "red"} < pieces
    lines = BytePairTokenizer.train(["red\n\n\n  dog\n\n\n  dog"], 300)
    assert b"\n\n\n " in lines.pieces  # white space, but for the space before a word
    assert not any("dog," in piece or " " in piece.strip() for piece in pieces)


def test_bytes_that_are_no_text_become_a_mark() -> None:
    assert BYTE_PAIRS.decode([0xE6, 0x88]) == "�"
    with pytest.raises(DataError, match="surrogate"):
        BYTE_PAIRS.encode("\ud800")
    for wrong in (-1, len(BYTE_PAIRS)):
        with pytest.raises(OutOfRangeError, match=str(wrong)):
            BYTE_PAIRS.decode([wrong])


def test_bad_merges() -> None:
    with pytest.raises(ArgumentError, match="merge 1"):
        BytePairTokenizer([(97, 98), (257, 97)])
    with pytest.raises(ArgumentError, match="256"):
        BytePairTokenizer.train(["a"], 255)


@given(st.text(min_size=1))
def test_characters_lose_nothing(text: str) -> None:
    tokenizer = CharacterTokenizer.train([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == len(set(text))
    assert sorted(tokenizer.alphabet) == list(tokenizer.alphabet)


def test_a_character_that_is_not_in_the_alphabet() -> None:
    tokenizer = CharacterTokenizer("abc")
    with pytest.raises(DataError, match=r"lacks '-é'\n.*'abc'"):
        tokenizer.encode("cab-é")
    for wrong in (-1, 3):
        with pytest.raises(OutOfRangeError, match=str(wrong)):
            tokenizer.decode([wrong])
    for alphabet in ("", "aba"):
        with pytest.raises(ArgumentError, match="once"):
            CharacterTokenizer(alphabet)


def test_words_are_the_most_frequent_ones() -> None:
    texts = ["b b b a a c", "a c d"]
    tokenizer = WordTokenizer.train(texts, 5)
    assert tokenizer.words == ("<pad>", "<unk>", "a", "b", "c")  # a, b: 3 times each; c: 2; d: 1
    assert tokenizer.encode("d a, x! B") == [1, 2, 1, 1, 3]
    assert tokenizer.decode([0, 3, 1, 2, 0, 0]) == "b <unk> a"
    assert len(WordTokenizer.train(texts, 100)) == 6
    assert tokenizer.encode("…") == []


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    words = WordTokenizer.split(text)
    assert WordTokenizer.split(" ".join(words)) == words


def test_bad_vocabularies() -> None:
    for words in (["a", "b"], ["<pad>", "<unk>", "a", "a"]):
        with pytest.raises(ArgumentError, match="<pad> and <unk>"):
            WordTokenizer(words)
    with pytest.raises(ArgumentError, match="room"):
        WordTokenizer.train(["a"], 2)
    with pytest.raises(OutOfRangeError, match="9"):
        WordTokenizer.train(["a"], 3).decode([9])


@pytest.mark.parametrize(
    "tokenizer",
    [BYTE_PAIRS, CharacterTokenizer.train([VERSE]), WordTokenizer.train([VERSE], 20)],
    ids=lambda tokenizer: type(tokenizer).__name__,
)
def test_through_json_and_back(tokenizer: Any) -> None:
    shared: Tokenizer = tokenizer
    data = json.loads(json.dumps(shared.to_dict()))
    again = type(tokenizer).from_dict(data)
    assert again.encode(VERSE) == shared.encode(VERSE)
    assert again.decode(again.encode(VERSE)) == shared.decode(shared.encode(VERSE))
    assert len(again) == len(shared)
    for wrong in ({}, {**data, "kind": "runes"}, {"kind": data["kind"]}):
        with pytest.raises(FileFormatError, match="no tokenizer of"):
            type(tokenizer).from_dict(wrong)
