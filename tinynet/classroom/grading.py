"""Every submission judged: its code in a process of its own, its properties here.

    submissions/ada/04_losses_and_likelihood.ipynb        or  submissions/ada.ipynb

A property is tried at arguments that are drawn here, against the registered op that is run here.
The student's process only ever sees arguments and gives values, so nothing it does to itself can
turn a wrong answer into a right one. Results are written by this side alone, one file for each
student, whole or not at all: a run that was cut off goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import tinynet
from tinynet.classroom.notebooks import MOST, student_cells, write
from tinynet.classroom.release import MANIFEST, versions
from tinynet.classroom.remote import Gone, Limits, NotStarted, Student
from tinynet.errors import ArgumentError, FileFormatError
from tinynet.exercises import Failure, exercise
from tinynet.exercises.properties import drawn
from tinynet.exercises.task import found

ALL_LIMITS = ("limits", "files", "calls")
_MOST_NOTES = 20  # of the cells that went wrong


@dataclass(frozen=True)
class Rules:
    """How is graded: the draws, their number, the limits of a student's process.

    seed        of the arguments: keep it to yourself, and the same for all
    examples    how many are drawn for each property
    """

    seed: int = 0
    examples: int = 60
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Submission:
    """One notebook of one student."""

    student: str
    assignment: str
    path: Path

    @property
    def label(self) -> str:
        """What its files are called; a name that is too long for a file is cut."""
        return f"{_short(self.student)}.{self.assignment}"


def _short(name: str) -> str:
    if len(name.encode(errors="replace")) <= 100:
        return name
    return f"{name[:20]}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def find_submissions(folder: str | Path, manifest: dict[str, Any]) -> list[Submission]:
    """All notebooks below a folder, by student and assignment.

    The student is the first folder below `folder`, or the file's name where it lies in `folder`
    itself; the assignment is the one that the file is called after, or the only one. A student has
    one notebook for each: of several, the last changed counts.
    """
    root, known = Path(folder), list(manifest["assignments"])
    if not root.is_dir():
        raise ArgumentError(f"there is no folder {root}")
    found: dict[tuple[str, str], Submission] = {}
    for path in sorted(root.rglob("*.ipynb"), key=lambda p: (p.lstat().st_mtime, str(p))):
        parts = path.relative_to(root).parts
        if path.is_symlink() or not path.is_file() or ".ipynb_checkpoints" in parts:
            continue
        named = [name for name in known if name in path.stem]
        if not named and len(known) > 1:
            continue
        student = _printable(parts[0] if len(parts) > 1 else path.stem)
        assignment = named[0] if named else known[0]
        found[student, assignment] = Submission(student, assignment, path)
    return sorted(found.values(), key=lambda s: (s.student, s.assignment))


def _printable(name: str) -> str:
    """A name from the disk without what a terminal, or an encoding, would stumble over."""
    return "".join(c if c.isprintable() else "�" for c in name)


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest that `release` wrote."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise ArgumentError(
            f"there is no {MANIFEST} in {folder}", hint="the folder that classroom release made"
        )
    manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if manifest.get("format") != 1:
        raise FileFormatError(f"{path} is not a manifest of this version")
    return manifest


def grade(
    submissions: str | Path,
    to: str | Path,
    *,
    release: str | Path,
    rules: Rules | None = None,
    jobs: int | None = None,
    progress: Callable[[dict[str, Any], int, int], None] = lambda *_: None,
) -> list[dict[str, Any]]:
    """Grade every submission into a folder; the results come back, ordered by student.

    submissions    a folder of notebooks, see `find_submissions`
    to             gets `results/`; what is there of the same submission, release and rules is kept
    release        the folder that `release` made for the students
    jobs           submissions at a time, by default one for each core
    progress       (result, how many are done, of how many)

    Raises `ArgumentError` where there is nothing to grade.
    """
    versions()  # an error before any work where there is no Hypothesis
    manifest, rules = read_manifest(release), rules or Rules()
    handed_in = find_submissions(submissions, manifest)
    if not handed_in:
        raise ArgumentError(f"there are no notebooks in {submissions} that belong to {release}")
    folder = Path(to) / "results"
    folder.mkdir(parents=True, exist_ok=True)
    results, waiting = [], []
    for submission in handed_in:
        key = _key(submission, manifest, rules)
        kept = _kept(folder / f"{submission.label}.json", key)
        if kept is None:
            waiting.append((submission, key))
        else:
            results.append(kept)
            progress(kept, len(results), len(handed_in))
    workers = max(1, min(jobs or os.cpu_count() or 1, len(waiting) or 1))
    processes = get_context("spawn")
    with ProcessPoolExecutor(workers, processes, initializer=_end_with_parent) as pool:
        running = {
            pool.submit(judge, s, manifest["assignments"][s.assignment], rules): (s, key)
            for s, key in waiting
        }
        for done in as_completed(running):
            submission, key = running[done]
            result = {**done.result(), "label": submission.label, "key": key}
            text = json.dumps(result, indent=1, ensure_ascii=False)
            write(folder / f"{submission.label}.json", text.encode(errors="replace"))
            results.append(result)
            progress(result, len(results), len(handed_in))
    return sorted(results, key=lambda r: (r["student"], r["assignment"]))


def _end_with_parent() -> None:
    """A process that grades ends when the one that started it was killed."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def judge(submission: Submission, assignment: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """One submission: points, and each property of each exercise with what was found."""
    start = time.monotonic()
    result: dict[str, Any] = {
        "student": submission.student,
        "assignment": submission.assignment,
        "notes": [],
        "exercises": [],
    }
    cells = [assignment["given"]]
    try:
        cells += student_cells(submission.path)
    except FileFormatError as error:
        result["notes"].append(str(error))
    with Student(cells, rules.limits) as student, drawn(rules.seed, rules.examples):
        try:
            student.start()
        except Gone as gone:
            result["notes"].append(str(gone))
        result["notes"] += [f"code cell {i}: {e}" for i, e in enumerate(student.errors) if e]
        result["notes"] = result["notes"][:_MOST_NOTES]
        result["held"] = student.held
        for asked in assignment["exercises"]:
            result["exercises"].append(_judged(student, asked))
    result["points"] = sum(e["points"] for e in result["exercises"])
    result["most"] = sum(e["most"] for e in result["exercises"])
    result["seconds"] = round(time.monotonic() - start, 1)
    return result


def _judged(student: Student, asked: dict[str, Any]) -> dict[str, Any]:
    """One exercise of one student."""
    properties = []
    for wanted in exercise(asked["name"]).properties:
        message = _message(student, asked["answer"], wanted)
        points = 0 if message else wanted.points
        properties.append(
            {"name": wanted.name, "points": points, "most": wanted.points, "message": message}
        )
    return {
        "name": asked["name"],
        "points": sum(p["points"] for p in properties),
        "most": sum(p["most"] for p in properties),
        "properties": properties,
    }


def _message(student: Student, name: str, wanted: Any) -> str:
    """What a property has to say against the answer; nothing if it holds."""
    try:
        held = student.ask(name)
        if held["kind"] == "missing":
            return f"there is no {name}: was it renamed, or is its cell in error?"
        answer = student.function(name) if held["kind"] == "function" else held["value"]
        return found(wanted, answer)[:4000]
    except Failure as failure:
        return str(failure) or "an error without a word"
    except NotStarted:
        raise
    except Exception as error:  # an answer that changes while it is explained
        return f"the answer is not the same each time ({type(error).__name__})"


def _key(submission: Submission, manifest: dict[str, Any], rules: Rules) -> str:
    """What a result depends on."""
    about = json.dumps([asdict(rules), manifest["assignments"][submission.assignment]])
    key = hashlib.sha256(about.encode() + tinynet.__version__.encode())
    with suppress(OSError), submission.path.open("rb") as file:
        key.update(file.read(MOST + 1))
    return key.hexdigest()


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    try:
        result: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and result.get("key") == key else None


def warnings(manifest: dict[str, Any], results: list[dict[str, Any]]) -> Iterator[str]:
    """What a teacher must know about the run."""
    for name, here in versions().items():
        if manifest.get(name) != here:
            yield (
                f"WARNING: released with {name} {manifest.get(name)}, graded with {here}: "
                "properties may be tried at other arguments than the students saw"
            )
    missing = {limit for r in results for limit in ALL_LIMITS if limit not in r["held"]}
    words = {
        "limits": "memory and time were NOT limited",
        "files": "students' code could READ YOUR FILES, and write where you can",
        "calls": "students' code could START PROGRAMS and USE THE NETWORK",
    }
    for limit in ALL_LIMITS:
        if limit in missing:
            yield f"WARNING: on this system ({sys.platform}) {words[limit]}"
