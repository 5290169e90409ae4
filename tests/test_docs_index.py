"""The landing page: its code says what it shows, and every page can be reached from it."""

from __future__ import annotations

import contextlib
import io
import linecache
import re

import pages

TEXT = (pages.DOCS / "index.md").read_text(encoding="utf-8")


def test_the_verdict_is_the_one_that_is_printed() -> None:
    code, verdict = (block for _, block in pages.blocks(TEXT, "{code-block}"))
    place, out = "<landing>", io.StringIO()
    linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
    with contextlib.redirect_stdout(out):
        exec(compile(code, place, "exec", dont_inherit=True), {"__name__": "page"})
    assert out.getvalue().startswith(verdict)


def test_every_page_is_listed_and_in_the_side_bar() -> None:
    top = {path.name for path in pages.DOCS.glob("*.md")} - {"index.md"}
    linked = set(re.findall(r"\]\((\w+\.md)\)", TEXT))
    assert top <= linked
    trees = "\n".join(re.findall(r"```\{toctree\}\n(.*?)```", TEXT, re.DOTALL)).split()
    assert {name.removesuffix(".md") for name in top} - set(trees) == {"reference"}  # in api/
    assert {"chapters/*", "api/index"} <= set(trees)
