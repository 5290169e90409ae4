"""Texts as rows of whole numbers, and back: by characters, and by words.

A tokenizer has five methods, whatever its pieces are:

    encode(text) -> ids        decode(ids) -> text        len(tokenizer): how many pieces it knows
    to_dict() -> plain data    from_dict(data): the same tokenizer again

Characters are few, and nothing gets lost; but rows get long. Words are short rows, but there is
always one more that was never seen. `byte_pairs.py` stands between the two.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from tinynet.errors import ArgumentError, DataError, FileFormatError, OutOfRangeError


class Tokenizer(Protocol):
    """What every tokenizer can do."""

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces of a text."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these pieces."""

    def __len__(self) -> int: ...

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which JSON can hold."""


class CharacterTokenizer:
    """One number for each character. `alphabet` lists them, in the order of their numbers.

    Encoding raises `DataError` for a character that the alphabet lacks: a model without a row for
    it can neither read nor write it.

    >>> tokenizer = CharacterTokenizer.train(["banana"])
    >>> tokenizer.alphabet, tokenizer.encode("nab"), tokenizer.decode([1, 0, 2])
    ('abn', [2, 0, 1], 'ban')
    """

    def __init__(self, alphabet: str) -> None:
        twice = sorted(c for c, n in Counter(alphabet).items() if n > 1)
        if twice or not alphabet:
            raise ArgumentError(
                "an alphabet lists each of its characters once",
                got=f"{''.join(twice)!r} more than once" if twice else "no character",
            )
        self.alphabet = alphabet
        self._ids = {character: i for i, character in enumerate(alphabet)}

    @classmethod
    def train(cls, texts: Iterable[str]) -> CharacterTokenizer:
        """The characters that occur, sorted."""
        return cls("".join(sorted(set().union(*texts))))

    def encode(self, text: str) -> list[int]:
        """The numbers of the characters of a text."""
        try:
            return [self._ids[character] for character in text]
        except KeyError:
            unknown = "".join(sorted(set(text) - self._ids.keys()))
            raise DataError(
                f"the alphabet lacks {unknown!r}", expected=f"only {self.alphabet!r}"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these characters. Raises `OutOfRangeError` for a number that has none."""
        return "".join(_pieces(self.alphabet, ids))

    def __len__(self) -> int:
        return len(self.alphabet)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which JSON can hold."""
        return {"kind": "characters", "alphabet": self.alphabet}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CharacterTokenizer:
        """The tokenizer of which `to_dict` told."""
        return cls(entry(data, "characters", "alphabet"))


class WordTokenizer:
    """One number for each word; 0 is `<pad>`, which fills up short rows, and 1 is `<unk>`, every
    word that is not in the list.

    Cleaning: letters become small, and words are runs of letters, digits and apostrophes inside a
    word; each of ! and ? is a word of its own; everything else separates. So decoding gives back
    the words, not the text.

    >>> tokenizer = WordTokenizer.train(["Good, good film!", "A film."], size=5)
    >>> tokenizer.words
    ('<pad>', '<unk>', 'film', 'good', '!')
    >>> tokenizer.encode("A GOOD film"), tokenizer.decode([3, 2])
    ([1, 3, 2], 'good film')
    """

    PAD, UNKNOWN = 0, 1

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        if self.words[:2] != ("<pad>", "<unk>") or len(set(self.words)) < len(self.words):
            raise ArgumentError(
                "a vocabulary begins with <pad> and <unk>, and lists each word once",
                got=", ".join(map(repr, self.words[:4])) + ", …",
            )
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> WordTokenizer:
        """The most frequent words, up to `size` numbers in all; words of one frequency by the
        alphabet.
        """
        if size < 3:
            raise ArgumentError("a vocabulary has room for <pad>, <unk> and a word", got=str(size))
        found = Counter(word for text in texts for word in cls.split(text))
        ranked = sorted(found, key=lambda word: (-found[word], word))
        return cls(("<pad>", "<unk>", *ranked[: size - 2]))

    @staticmethod
    def split(text: str) -> list[str]:
        """The words of a text, cleaned.

        >>> WordTokenizer.split("Isn't it -- GREAT?")
        ["isn't", 'it', 'great', '?']
        """
        return _WORD.findall(text.casefold().replace("’", "'"))

    def encode(self, text: str) -> list[int]:
        """The numbers of the words of a text."""
        return [self._ids.get(word, self.UNKNOWN) for word in self.split(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The words, with spaces between them; padding is left out."""
        return " ".join(_pieces(self.words, (i for i in ids if i != self.PAD)))

    def __len__(self) -> int:
        return len(self.words)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which JSON can hold."""
        return {"kind": "words", "words": list(self.words)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WordTokenizer:
        """The tokenizer of which `to_dict` told."""
        return cls(entry(data, "words", "words"))


_WORD = re.compile(r"\w+(?:'\w+)*|[!?]")


def entry(data: Mapping[str, Any], kind: str, name: str) -> Any:
    """What `to_dict` of a tokenizer of this kind stored under this name."""
    if data.get("kind") != kind or name not in data:
        raise FileFormatError(
            f"this is no tokenizer of {kind}",
            expected=f"kind = {kind!r}, {name}",
            got=", ".join(f"{k} = {v!r:.40}" for k, v in data.items()),
        )
    return data[name]


def _pieces(pieces: Sequence[str], ids: Iterable[int]) -> Iterable[str]:
    for i in ids:
        if not 0 <= i < len(pieces):
            raise OutOfRangeError(f"no piece has the number {i}", expected=f"0 … {len(pieces) - 1}")
        yield pieces[i]
