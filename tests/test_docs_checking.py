"""The page on gradient checking tells the truth: its cells run, and the reports are as promised."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pages
import pytest
from pages import DOCS, anchor

TEXT = (DOCS / "checking.md").read_text(encoding="utf-8")


def blocks(*kinds: str) -> list[tuple[str, str]]:
    return pages.blocks(TEXT, *kinds)


def promises() -> dict[str, str]:
    """From the table of the page: the anchor of each example, and the words of its report."""
    rows = re.findall(r"^\| (.+) \| \[.+\]\(#(.+)\) \|$", TEXT, re.MULTILINE)
    return {link: words for words, link in rows}


@pytest.fixture(scope="module")
def ran() -> tuple[dict[str, str], dict[str, Any]]:
    """What the cells below each heading print, and the names that they define."""
    return pages.run(TEXT)


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
