"""The glossary: every word of every chapter, once."""

from __future__ import annotations

import re
import sys

import pages

sys.path.insert(0, str(pages.DOCS / "_ext"))
import word_list


def test_a_row_of_several_words_becomes_several() -> None:
    script = (
        "# | not here | 不 |\n# ## Words\n#\n# | | |\n# |---|---|\n# | key; value | 键; 值 |\n"
        "# | tape, graph | 计算图 |\n# | loss; error | 损失 |\n#\n# ## What to read next\n"
        "# | nor here | 不 |\n"
    )
    assert [*word_list.rows(script)] == [
        ("key", "键"),
        ("value", "值"),
        ("tape, graph", "计算图"),
        ("loss; error", "损失"),
    ]


def test_every_chapter_adds_its_words() -> None:
    linked = set(re.findall(r"\(chapters/(.+?)\)", word_list.markdown()))
    assert linked == {path.name for path in word_list.CHAPTERS.glob("[0-9][0-9]_*.py")}


def test_it_is_sorted_and_names_each_once() -> None:
    shown = re.findall(r"^\| ([^|]+) \| ([^|]+) \| \[", word_list.markdown(), re.MULTILINE)
    words = [word for word, _ in shown]
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words)) > 50
    assert all(re.search(r"[\u4e00-\u9fff]", chinese) for _, chinese in shown)
    assert word_list.MARK in (pages.DOCS / "glossary.md").read_text("utf-8")
