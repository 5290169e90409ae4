"""The check of the built site: what it finds, and what it lets pass."""

from __future__ import annotations

import sys
from pathlib import Path

import pages
import pytest

sys.path.insert(0, str(pages.DOCS / "_ext"))
import site_check

RIGHT = """<h1 id="one">1</h1><a name="two"></a><a href="">a</a><a href="#two">b</a>
<a href="sub/page.html#h%C3%A9">c</a><a href="sub/">d</a><a href="https://example.org/x">e</a>
<a href="mailto:a@example.org">f</a><img src="data:image/png;base64,AA"><img src="a.png?v=1">
<link rel="canonical" href="https://example.org/">"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "page.html").write_text('<p id="hé">x</p><a href="../index.html#one">a</a>')
    (tmp_path / "sub" / "index.html").write_text('<a href="page.html">a</a>')
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(RIGHT)
    return tmp_path


def found(site: Path, html: str, *allowed: str) -> list[str]:
    (site / "index.html").write_text(RIGHT + html)
    return [problem for path, problem in site_check.problems(site, allowed) if path.parent == site]


def test_links_that_lead_somewhere(site: Path) -> None:
    assert [*site_check.problems(site)] == []


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ('<a href="gone.html">x</a>', "links to gone.html, which is not there"),
        ('<a href="sub/page.html#he">x</a>', "page.html has no such place"),
        ('<a href="#three">x</a>', "index.html has no such place"),
        ('<img src="b.png">', "links to b.png, which is not there"),
        (
            '<script src="https://cdn.example.org/m.js"></script>',
            "needs the network for https://cdn",
        ),
        ('<link rel="stylesheet" href="//fonts.example.org/f.css">', "needs the network"),
    ],
)
def test_a_problem_is_named(site: Path, html: str, words: str) -> None:
    (problem,) = found(site, html)
    assert words in problem


def test_what_may_be_fetched(site: Path) -> None:
    page = '<script src="https://cdn.example.org/m.js"></script>'
    assert found(site, page, "https://cdn.example.org/m.js") == []
