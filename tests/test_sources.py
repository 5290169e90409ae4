"""The page from the documents to the code: every row is whole, every name is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pages
import pytest

sys.path.insert(0, str(pages.DOCS / "_ext"))
import source_rows

DATA = source_rows.rows()
ROWS = [*DATA["derivation"], *DATA["system"]]
FIELDS = {"where", "says", "status", "chapter", "code", "tests", "errata", "later"}


def name(row: Any) -> str:
    return f"{', '.join(row['where'])}: {row['says'][:30]}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_row_is_whole(row: Any) -> None:
    """Its names and tests exist, its errata stand on their page, its chapter is planned."""
    assert FIELDS - {"errata", "later"} <= set(row) <= FIELDS
    assert row["says"].endswith(".")
    assert row["where"]
    assert all(re.fullmatch(r"[A-D] [\d.]+", where) for where in row["where"])
    assert row["code"] or row.get("later"), "nothing is there, and nothing is planned"
    missing = [n for n in row["code"] if source_rows.find(n) is None]
    assert not missing
    missing = [n for n in row["tests"] if source_rows.find_test(n) is None]
    assert not missing
    assert row["tests"] or not row["code"], "code without a test"
    assert row["chapter"] in DATA["chapters"]
    headings = re.findall(r"^### (.+)$", (pages.DOCS / "errata.md").read_text("utf-8"), re.M)
    assert set(row.get("errata", ())) <= set(map(pages.anchor, headings))


def test_every_erratum_has_its_row() -> None:
    headings = re.findall(r"^### (.+)$", (pages.DOCS / "errata.md").read_text("utf-8"), re.M)
    assert sorted(a for row in ROWS for a in row.get("errata", ())) == sorted(
        map(pages.anchor, headings)
    )


def test_nothing_is_forgotten() -> None:
    """Every section of the documents that the derivations name as their source has a row."""
    from tinynet import derivations

    listed = {where for row in ROWS for where in row["where"]}
    for module in derivations.__all__:
        text = " ".join(getattr(derivations, module).__doc__.split())
        assert not re.search("ocuments [A-D]", text), f"{module}: one 'document B, 6' for each"
        for letter, named in re.findall(r"[Dd]ocument ([A-D]), ((?:[\d.]+|, | and )*)", text):
            for section in re.findall(r"\d[\d.]*", named):
                assert f"{letter} {section.strip('.')}" in listed, f"derivations.{module}"


def test_the_lines_are_the_right_ones() -> None:
    for dotted, start in (
        ("derivations.softmax", "def definition("),
        ("derivations.bce.as_printed", "def as_printed("),
        ("nn.Linear", "class Linear("),
        ("derivations.sgd", "def step("),
    ):
        path, line = source_rows.find(dotted)
        lines = (source_rows.ROOT / path).read_text("utf-8").splitlines()
        assert lines[line - 1].startswith(start)
    path, line = source_rows.find_test("test_sources.py::test_the_lines_are_the_right_ones")
    assert Path(path).name == "test_sources.py"
    here = Path(__file__).read_text("utf-8").splitlines()
    assert here[line - 1].startswith("def test_the_lines")


@pytest.mark.parametrize("wrong", ["derivations.softmin", "nothing", "nn.Linear.nothing"])
def test_a_name_that_is_not_there(wrong: str) -> None:
    assert source_rows.find(wrong) is None
    assert list(source_rows.linked([wrong], source_rows.find)) == [f"`{wrong}` (not yet)"]
    assert source_rows.find_test(f"test_sources.py::{wrong}") is None
    assert source_rows.find_test(f"{wrong}.py::test") is None


def test_the_page() -> None:
    """A row for each entry, and a name that comes later appears by itself."""
    page = source_rows.markdown()
    assert page.count("\n- **") == len(ROWS)
    assert (
        "{download}`derivations.mse <../tinynet/derivations/mse.py>` (tinynet/derivations/mse.py:"
        in page
    )
    row = {**ROWS[0], "code": [], "later": ["derivations.kl", "derivations.none_such"]}
    shown = source_rows.entry(row, DATA["chapters"])
    assert "(tinynet/derivations/kl.py:" in shown
    assert "`derivations.none_such` (not yet)" in shown
    assert source_rows.MARK in (pages.DOCS / "sources.md").read_text("utf-8")


def test_a_chapter_is_linked_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_rows, "ROOT", tmp_path)
    assert source_rows.chapter("04", DATA["chapters"]) == "04 Losses and likelihood (not yet)"
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "04_losses.ipynb").touch()
    assert "<../chapters/04_losses.ipynb>" in source_rows.chapter("04", DATA["chapters"])
