"""The planted class, graded: every grade as it must be, and nothing left behind."""

from __future__ import annotations

import html
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import planted_class as planted
import pytest

from tinynet.classroom import feedback, grading, release, remote


def _running() -> set[str]:
    """The processes of students that are there."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"classroom.worker" in (entry / "cmdline").read_bytes():
                found.add(entry.name)
        except OSError:
            continue
    return found


def _said(result: Any) -> list[str]:
    messages = [p["message"] for e in result["exercises"] for p in e["properties"] if p["message"]]
    return [text[:600] for text in (*result["notes"], *messages)]


@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(os, "setsid"), reason="grading needs Linux or macOS")
def test_the_planted_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, handed_in, out = tmp_path / "chapters", tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / f"{planted.NAME}.py").write_text(planted.CHAPTER)
    release.release(["04"], tmp_path / "release", source=source)
    released = json.loads((tmp_path / "release" / f"{planted.NAME}.ipynb").read_text())
    secret = tmp_path / "secret.txt"
    secret.write_text("the teacher's own words")
    theirs = handed_in / "right" / f"{planted.NAME}.ipynb"
    places = {"out": str(out), "secret": str(secret), "theirs": str(theirs)}
    for name, submission in planted.CLASS.items():
        planted.hand_in(submission, released, handed_in / name / f"{planted.NAME}.ipynb", places)
    before, was = _running(), theirs.read_bytes()

    limits = remote.Limits(seconds=4, total=40, mebibytes=1024)
    rules = grading.Rules(seed=7, examples=10, limits=limits)
    start = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)):
        results = grading.grade(handed_in, out, release=tmp_path / "release", rules=rules)
    feedback.write_feedback(results, out)
    seconds = time.monotonic() - start

    held = {limit for r in results for limit in r["held"]}
    with capsys.disabled():
        print(f"\n{len(results)} submissions in {seconds:.0f} s; held: {sorted(held)}")
    if not held.issuperset(grading.ALL_LIMITS):
        pytest.skip(f"hostile code is not enclosed here: {sorted(held)}")
    wrong = []
    for result in results:
        wanted = planted.CLASS[result["student"]]
        points = tuple(exercise["points"] for exercise in result["exercises"])
        said = "\n".join(_said(result))
        page = (out / "feedback" / f"{result['label']}.html").read_text()
        if points != wanted.points:
            wrong.append(f"{result['student']}: {points}, not {wanted.points}; {_said(result)}")
        elif (
            wanted.says not in said or html.escape(said.splitlines()[0] if said else "") not in page
        ):
            wrong.append(f"{result['student']} does not say {wanted.says!r}: {_said(result)}")
    assert not wrong, "\n".join(wrong)
    assert [r["student"] for r in results] == sorted(planted.CLASS)
    assert _running() <= before
    assert theirs.read_bytes() == was
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert secret.read_bytes() not in written
    pages = b"".join(path.read_bytes() for path in out.rglob("*.html"))
    assert b"<script>" not in pages
    assert b"<img src=x" not in pages
    assert len(written) < 2 << 20
    assert not list(Path(tmp_path).rglob("mine*"))
    grades = (out / "grades.csv").read_text().splitlines()
    assert len(grades) == 1 + len(planted.CLASS)
    assert grades[0] == (
        "student,assignment,points,most,04.cross_entropy,04.softmax,04.log_softmax_backward"
    )
    assert not any(line.startswith(("=", '"=')) for line in grades)
