r"""Byte-pair encoding: pieces of any length, learnt from a text; every text can be written in them.

At first every byte of the text (in UTF-8) is a piece; there are 256 of them. Then the pair of
neighbours that occurs most often becomes a new piece, wherever it occurs, and again, until there
are as many pieces as were asked for. The list of these merges is all that is learnt. Encoding does
them once more, in the same order.

Pieces do not reach over the border of two words: a text is cut first into words with the space
before them, runs of other signs, and white space. So `dog` does not become one thing with `.`, and
what a merge costs does not grow with the text: each different word is looked at once, with its
count. After a merge of (a, b), only pairs inside the words that held (a, b) have new counts.

Cost: a merge is one search for the largest count plus the words that hold the pair.
Source: P. Gage, "A New Algorithm for Data Compression", 1994; R. Sennrich, B. Haddow, A. Birch,
"Neural Machine Translation of Rare Words with Subword Units", 2016.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from tinynet.data.tokenizers import entry
from tinynet.errors import ArgumentError, DataError, OutOfRangeError

Pair = tuple[int, int]

# Every character is in \w, in \s or in neither: so the parts, put together, are the text again.
_PARTS = re.compile(r" ?\w+| ?[^\w\s]+|\s+(?!\S)|\s+")


class BytePairTokenizer:
    """Numbers 0 … 255 are the bytes; 256 + k is the piece that merge k made.

    merges   pairs of numbers, in the order in which they are done

    `decode(encode(text)) == text` for every text.

    >>> tokenizer = BytePairTokenizer.train(["low lower lowest"], size=259)
    >>> [tokenizer.pieces[i] for i in tokenizer.encode("slow lower")]
    [b's', b'low', b' low', b'e', b'r']
    """

    def __init__(self, merges: Sequence[Sequence[int]]) -> None:
        self.merges: list[Pair] = []
        self.pieces = [bytes([byte]) for byte in range(256)]
        for k, (a, b) in enumerate(merges):
            if not 0 <= min(a, b) <= max(a, b) < 256 + k:
                raise ArgumentError(
                    f"merge {k} joins a piece that is not there yet", got=f"({a}, {b})"
                )
            self.merges.append((a, b))
            self.pieces.append(self.pieces[a] + self.pieces[b])
        self._rank = {pair: k for k, pair in enumerate(self.merges)}
        self._encode_part = lru_cache(maxsize=1 << 16)(self._merged)

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> BytePairTokenizer:
        """Learn pieces until there are `size`, or until no pair occurs twice. Of pairs that occur
        equally often the one with the smaller numbers comes first.
        """
        if size < 256:
            raise ArgumentError("256 pieces are the bytes", expected="size ≥ 256", got=str(size))
        parts = Counter(part for text in texts for part in _parts(text))
        words, counts = [list(part) for part in parts], list(parts.values())
        found: Counter[Pair] = Counter()  # how often each pair occurs
        places: defaultdict[Pair, set[int]] = defaultdict(set)  # words that hold it, or held it
        for i, word in enumerate(words):
            for pair in pairwise(word):
                found[pair] += counts[i]
                places[pair].add(i)
        merges: list[Pair] = []
        while found and 256 + len(merges) < size:
            most = max(found.values())
            if most < 2:
                break
            best = min(pair for pair, count in found.items() if count == most)
            for i in places.pop(best):
                before, after = words[i], _joined(words[i], best, 256 + len(merges))
                for pair in pairwise(before):
                    found[pair] -= counts[i]
                for pair in pairwise(after):
                    found[pair] += counts[i]
                    places[pair].add(i)
                words[i] = after
            del found[best]
            merges.append(best)
        return cls(merges)

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces of a text."""
        return [i for part in _parts(text) for i in self._encode_part(part)]

    def _merged(self, part: bytes) -> tuple[int, ...]:
        """The merges of one part, each at all its places, the earliest learnt first."""
        word, never = list(part), len(self.merges)
        while len(word) > 1:
            first = min(self._rank.get(pair, never) for pair in pairwise(word))
            if first == never:
                break
            word = _joined(word, self.merges[first], 256 + first)
        return tuple(word)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these pieces; � where their bytes are not UTF-8."""
        found = bytearray()
        for i in ids:
            if not 0 <= i < len(self.pieces):
                raise OutOfRangeError(
                    f"no piece has the number {i}", expected=f"0 … {len(self.pieces) - 1}"
                )
            found += self.pieces[i]
        return found.decode("utf-8", errors="replace")

    def __len__(self) -> int:
        return len(self.pieces)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which JSON can hold."""
        return {"kind": "byte pairs", "merges": [list(pair) for pair in self.merges]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BytePairTokenizer:
        """The tokenizer of which `to_dict` told."""
        return cls(entry(data, "byte pairs", "merges"))


def _parts(text: str) -> list[bytes]:
    try:
        return [part.encode() for part in _PARTS.findall(text)]
    except UnicodeEncodeError as error:
        raise DataError(
            "half a surrogate pair is not a character", got=ascii(error.object[error.start])
        ) from None


def _joined(word: Sequence[int], pair: Pair, new: int) -> list[int]:
    """The word with `new` wherever it has the pair, from left to right."""
    found, i = [], 0
    while i < len(word):
        here = i + 1 < len(word) and word[i] == pair[0] and word[i + 1] == pair[1]
        found.append(new if here else word[i])
        i += 2 if here else 1
    return found
