"""WordPiece, the tokenizer of BERT: words, and pieces of those that the vocabulary lacks.

    "Unaffable!"  →  "unaffable" "!"  →  un ##aff ##able !  →  numbers

1. Every character is looked up alone. Control characters go; white space becomes a space;
   punctuation and Chinese characters get spaces around them; accents go (É is E and an accent, of
   which the accent is left out); the rest becomes lower case. Then the text is split at spaces.
2. Each word is cut from the left: the longest piece that the vocabulary has, again and again.
   Pieces that do not begin a word are written with ##. A word that cannot be cut to its end is
   [UNK] as a whole, as is one of more than 100 characters.
3. [CLS] text [SEP], or [CLS] text [SEP] pair [SEP], is what BERT reads.

Source: document D, 5.2; Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding", 2019; the longest match: Wu et al., "Google's Neural Machine Translation
System: Bridging the Gap between Human and Machine Translation", 2016.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinynet.data.lengths import pad_batch
from tinynet.errors import ArgumentError, OutOfRangeError
from tinynet.tensor import Tensor

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST = 100  # characters of a word
CHINESE = (  # first and last of the blocks of Chinese characters
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class Batch(NamedTuple):
    """Texts of one batch, filled up with [PAD] to the longest of them: (n, t) each.

    ids     numbers of the pieces
    mask    True where there is a text
    kinds   0; 1 in the second text of a pair, and at its [SEP]
    """

    ids: Tensor
    mask: Tensor
    kinds: Tensor


class _Characters(dict[int, str]):
    """What becomes of a character: worked out when it is first met.

    As each is looked up alone, a capital sigma at the end of a word is σ, as in the middle.
    """

    def __init__(self, lowercase: bool) -> None:
        self.lowercase = lowercase

    def __missing__(self, code: int) -> str:
        self[code] = found = self._found(chr(code))
        return found

    def _found(self, c: str) -> str:
        if c in "\t\n\r":
            return " "
        category, code = unicodedata.category(c), ord(c)
        if category[0] == "C" or c == "\ufffd":
            return ""
        if category[0] == "Z":
            return " "
        if self.lowercase:
            parts = unicodedata.normalize("NFD", c)
            c = "".join(part.lower() for part in parts if unicodedata.category(part) != "Mn")
        if any(first <= code <= last for first, last in CHINESE):
            return f" {c} "
        return "".join(f" {part} " if _is_punctuation(part) else part for part in c)


def _is_punctuation(c: str) -> bool:
    """Unicode's, and all of ASCII's that is no letter, digit or space: $ + < = > ^ ` | ~ too."""
    return c in string.punctuation or unicodedata.category(c)[0] == "P"


class WordPieceTokenizer:
    """Texts to numbers and back, with a vocabulary that is given.

    vocabulary   the pieces in the order of their numbers, [PAD], [UNK], [CLS], [SEP] and [MASK]
                 among them; or a dict from pieces to numbers 0, 1, …
    lowercase    without capitals and accents

    A special token that a text spells out, "[MASK]", is that token.

    >>> pieces = [*SPECIAL, "un", "##aff", "##able", "!", "the"]
    >>> tokenizer = WordPieceTokenizer(pieces)
    >>> tokenizer.tokenize("Unaffable, the Unaffáble!")
    ['un', '##aff', '##able', '[UNK]', 'the', 'un', '##aff', '##able', '!']
    >>> tokenizer.encode("the [MASK]"), tokenizer.decode([2, 9, 5, 6, 7, 3])
    ([2, 9, 4, 3], 'the unaffable')
    """

    def __init__(
        self, vocabulary: Sequence[str] | Mapping[str, int], *, lowercase: bool = True
    ) -> None:
        if isinstance(vocabulary, Mapping):
            vocabulary = sorted(vocabulary, key=vocabulary.__getitem__)
        self.pieces = list(vocabulary)
        self.numbers = {piece: i for i, piece in enumerate(self.pieces)}
        missing = [name for name in SPECIAL if name not in self.numbers]
        if missing or len(self.numbers) != len(self.pieces):
            raise ArgumentError(
                "this is no vocabulary of WordPiece",
                expected=f"different pieces, with {' '.join(SPECIAL)} among them",
                got=f"no {' '.join(missing)}" if missing else "a piece twice",
            )
        self.lowercase = lowercase
        self.pad, self.unknown, self.first, self.separator, self.masked = (
            self.numbers[name] for name in SPECIAL
        )
        self._characters = _Characters(lowercase)
        self._special = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
        self._words: dict[str, list[int]] = {}  # cut before

    @classmethod
    def from_file(cls, path: str | Path, *, lowercase: bool = True) -> WordPieceTokenizer:
        """The vocabulary of a file `vocab.txt`, a piece in each line."""
        lines = Path(path).read_text("utf-8").split("\n")
        return cls(lines[:-1] if lines[-1] == "" else lines, lowercase=lowercase)

    def __len__(self) -> int:
        return len(self.pieces)

    def __repr__(self) -> str:
        return f"WordPieceTokenizer({len(self)} pieces)"

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text, without [CLS] and [SEP]."""
        return [self.pieces[i] for i in self._ids(text)]

    def encode(
        self, text: str, pair: str | None = None, *, max_length: int | None = None
    ) -> list[int]:
        """The numbers of [CLS] text [SEP], or of [CLS] text [SEP] pair [SEP].

        max_length   of the result: what is too much is cut off at the end of the text; of a pair,
                     of the longer one until both are as long, then of both
        """
        return self._join(text, pair, max_length)[0]

    def batch(
        self,
        texts: Iterable[str],
        pairs: Iterable[str] | None = None,
        *,
        max_length: int | None = None,
    ) -> Batch:
        """Texts, or pairs of them, as arrays that a network takes.

        >>> tokenizer = WordPieceTokenizer([*SPECIAL, "a", "b"])
        >>> ids, mask, kinds = tokenizer.batch(["a", "a b"])
        >>> ids.tolist(), mask.tolist()
        ([[2, 5, 3, 0], [2, 5, 6, 3]], [[True, True, True, False], [True, True, True, True]])
        """
        texts = list(texts)
        seconds = [None] * len(texts) if pairs is None else list(pairs)
        if len(seconds) != len(texts):
            raise ArgumentError(f"{len(texts)} texts with {len(seconds)} pairs")
        rows = [self._join(a, b, max_length) for a, b in zip(texts, seconds, strict=True)]
        ids, lengths = pad_batch([numbers for numbers, _ in rows], self.pad)
        place = np.arange(ids.shape[1])
        mask = place < lengths.array[:, None]
        kinds = mask & (place >= np.array([split for _, split in rows])[:, None])
        return Batch(ids, Tensor(mask), Tensor(kinds.astype(np.int64)))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of numbers, without special tokens. Capitals, accents and the spaces around
        punctuation do not come back.
        """
        numbers = [int(i) for i in ids]
        if numbers and not 0 <= min(numbers) <= max(numbers) < len(self):
            raise OutOfRangeError(
                "a number is outside the vocabulary",
                expected=f"0 … {len(self) - 1}",
                got=f"{min(numbers)} … {max(numbers)}",
            )
        pieces = [self.pieces[i] for i in numbers]
        words = [piece for piece in pieces if piece not in SPECIAL]
        return " ".join(words).replace(" ##", "")

    def trimmed(self, texts: Iterable[str], size: int) -> WordPieceTokenizer:
        """A tokenizer of at most `size` pieces: the special ones, the single characters that these
        texts have, then the pieces that they use most. Other words are cut finer.

        >>> tokenizer = WordPieceTokenizer([*SPECIAL, "a", "b", "##b", "ab", "ba", "abb"])
        >>> tokenizer.trimmed(["ab abb abb"], 9).pieces[5:]
        ['a', 'b', '##b', 'abb']
        """
        used = Counter(piece for text in texts for piece in self.tokenize(text))
        letters = {c for piece in used for c in piece.removeprefix("##")}
        single = [p for p in self.pieces if p.removeprefix("##") in letters]
        common = [piece for piece, _ in used.most_common()]
        chosen = list(dict.fromkeys([*SPECIAL, *single, *common]))[:size]
        return WordPieceTokenizer(chosen, lowercase=self.lowercase)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold and `from_dict` reads."""
        return {"kind": "wordpiece", "pieces": self.pieces, "lowercase": self.lowercase}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> WordPieceTokenizer:
        """The tokenizer that `to_dict` described."""
        return cls(content["pieces"], lowercase=content["lowercase"])

    # -- the steps ---------------------------------------------------------------------------------

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._special.split(text):
            if part in SPECIAL:
                ids.append(self.numbers[part])
                continue
            for word in part.translate(self._characters).split():
                found = self._words.get(word)
                if found is None:
                    found = self._words[word] = self._cut(word)
                ids += found
        return ids

    def _cut(self, word: str) -> list[int]:
        """The longest piece at the left end, again and again."""
        if len(word) > LONGEST:
            return [self.unknown]
        ids, start = [], 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self.numbers.get(mark + word[start:end])
                if number is not None:
                    break
            else:
                return [self.unknown]
            ids.append(number)
            start = end
        return ids

    def _join(self, text: str, pair: str | None, most: int | None) -> tuple[list[int], int]:
        """The numbers, and where the second text begins."""
        a, b = self._ids(text), [] if pair is None else self._ids(pair)
        room = len(a) + len(b)
        if most is not None:
            marks = 2 if pair is None else 3
            if most < marks:
                raise ArgumentError(f"max_length is {marks} or more", got=str(most))
            room = most - marks
        if len(a) + len(b) > room:
            longer, shorter = max(len(a), len(b)), min(len(a), len(b))
            shorter = min(shorter, room // 2)
            longer = room - shorter
            if len(a) > len(b):
                a, b = a[:longer], b[:shorter]
            else:
                a, b = a[:shorter], b[:longer]
        ids = [self.first, *a, self.separator]
        return (ids, len(ids)) if pair is None else ([*ids, *b, self.separator], len(ids))
