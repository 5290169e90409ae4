"""The page for contributors: the plan is the contract's, and what it names is there."""

from __future__ import annotations

import re
import sys

import pages

sys.path.insert(0, str(pages.DOCS / "_ext"))
sys.path.insert(0, str(pages.DOCS.parent / "tests" / "chapters"))
import chapter_cells
import house_plan

import tinynet as tn

TEXT = (pages.DOCS / "contributing.md").read_text(encoding="utf-8")
ROOT = pages.DOCS.parent


def test_every_room_stands_in_the_plan_with_what_it_is() -> None:
    table = house_plan.markdown()
    rooms = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", table, re.MULTILINE)
    assert {room for _, room, _ in rooms} | {"__main__"} == {
        path.stem for path in (ROOT / "tinynet").iterdir() if path.suffix in ("", ".py")
    } - {"__init__", "__pycache__"}
    level = {room: int(number) for number, room, _ in rooms}
    assert level["cli"] < level["nn"] < level["derivations"] < level["ops"] < level["kernels"]
    assert all(len(what) > 10 for *_, what in rooms)
    assert house_plan.MARK in TEXT


def test_the_files_it_names_are_there() -> None:
    folders = (ROOT, ROOT / "tests", ROOT / "tinynet")
    named = re.findall(r"`([\w/]+(?:/|\.(?:py|toml)))`", TEXT)
    assert len(named) > 20
    for name in named:
        if "NN" not in name and "NAME" not in name:
            assert any((folder / name).exists() for folder in folders), name


def test_the_commands_are_those_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake (\w+)\b[^,]*(?:#|`)", TEXT)) <= {*targets, "it"}


def test_the_line_that_it_shows_is_that_of_the_table() -> None:
    line = re.search(r"tanh = (.+)", TEXT)[0]
    assert line.split('r"')[0] in (ROOT / "tinynet/ops/elementwise.py").read_text("utf-8")
    assert tn.op.registry["tanh"].formula == r"\tanh u"


def test_the_tags_are_those_of_the_chapters() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| ", TEXT, re.MULTILINE)) == chapter_cells.TAGS
