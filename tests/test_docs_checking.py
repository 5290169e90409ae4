"""The page on gradient checking tells the truth: its cells run, and the reports are as promised."""

from __future__ import annotations

import contextlib
import io
import linecache
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "checking.md"
TEXT = PAGE.read_text(encoding="utf-8")
# A heading, or a fenced block: its kind, the word after it, what is in it.
PARTS = re.compile(
    r"^#+ ([^\n]+)$|^```(\{[\w-]+\}|\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def anchor(heading: str) -> str:
    """As MyST makes it from a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def blocks(*kinds: str) -> list[tuple[str, str]]:
    """The heading above each block of these kinds, and the block without its options."""
    found, heading = [], ""
    for match in PARTS.finditer(TEXT):
        if match[1]:
            heading = match[1]
        elif match[2] in kinds:
            found.append((heading, re.sub(r"\A(:.*\n)+\n?", "", match[4])))
    return found


def promises() -> dict[str, str]:
    """From the table of the page: the anchor of each example, and the words of its report."""
    rows = re.findall(r"^\| (.+) \| \[.+\]\(#(.+)\) \|$", TEXT, re.MULTILINE)
    return {link: words for words, link in rows}


@pytest.fixture(scope="module")
def ran() -> tuple[dict[str, str], dict[str, Any]]:
    """What the cells below each heading print, and the names that they define."""
    import matplotlib.pyplot as plt

    printed: dict[str, str] = {}
    names: dict[str, Any] = {"__name__": "page"}
    for n, (heading, code) in enumerate(blocks("{code-cell}")):
        out = io.StringIO()
        place = f"<cell {n}>"
        linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
        with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
            patch.setattr(plt, "show", lambda: None)
            exec(compile(code, place, "exec", dont_inherit=True), names)
        printed[anchor(heading)] = printed.get(anchor(heading), "") + out.getvalue()
    plt.close("all")
    return printed, names


@pytest.mark.parametrize("link", promises())
def test_each_example_says_what_the_table_says(link: str, ran: Any) -> None:
    printed = " ".join(ran[0][link].split())
    assert promises()[link] in printed
    assert printed.startswith("wrong: ")


def test_every_example_is_in_the_table() -> None:
    explained = TEXT.partition("\n## What your error means")[2].partition("\n## ")[0]
    headings = re.findall(r"^#### (.+)$", explained, re.MULTILINE)
    assert list(map(anchor, headings)) == list(promises())
    assert len(headings) > 50


def test_every_verdict_is_shown(ran: Any) -> None:
    from tinynet.check import VERDICTS

    shown = ran[0]["the-verdicts"]
    assert re.findall(rf"^({'|'.join(VERDICTS)}): ", shown, re.MULTILINE)
    for verdict in VERDICTS:
        assert f"\n| `{verdict}` | " in TEXT
        assert re.search(rf"^{verdict}: ", shown, re.MULTILINE), verdict


def test_the_first_report_and_its_picture(ran: Any) -> None:
    printed, names = ran
    assert (
        "wrong: `sum(g, axis=0)` (line 11) uses `g` instead of `d`" in printed["in-thirty-seconds"]
    )
    html = names["report"]._repr_html_()
    assert html.count("error by entry") == 3
    assert html.count(": right, error by entry") == 2


def test_a_cotangent_of_ones_is_blind(ran: Any) -> None:
    (_, blind), (_, seeing) = map(str.split, ran[0]["a-random-cotangent-never-ones"].splitlines())
    assert abs(float(blind)) < 1e-9 < 0.01 < float(seeing)


def test_the_property_tests(ran: Any) -> None:
    from tinynet.errors import GradientError

    (_, scale), (_, softsign) = blocks("python")
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(scale, "<property>", "exec", dont_inherit=True), names)
    with pytest.raises(GradientError) as error:
        names["test_scale"]()
    ((_, shown),) = blocks("text")
    assert str(error.value).startswith(shown.rstrip())
    exec(compile(softsign, "<property>", "exec", dont_inherit=True), names)
    names["test_softsign"]()


def test_the_file_and_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tinynet.cli import main

    monkeypatch.chdir(tmp_path)
    code = next(code for _, code in blocks("{code-block}") if "relu_forward" in code)
    Path("layers.py").write_text(code, encoding="utf-8")
    ((_, console),) = blocks("console")
    command, shown = console.split("\n", 1)
    assert command == "$ python -m tinynet check layers.py"
    assert main(["check", "layers.py"]) == 1
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_code_in_other_libraries(library: str, ran: Any) -> None:
    pytest.importorskip(library)
    code = next(code for _, code in blocks("{code-block}") if f"import {library}\n" in code)
    names = dict(ran[1])
    exec(compile(code, f"<{library}>", "exec", dont_inherit=True), names)
    assert names["report"].verdict == "pass"
