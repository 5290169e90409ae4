"""The parts of the classroom: what is handed out, what is handed in, what comes back."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import planted_class as planted
import pytest

from tinynet import cli
from tinynet.classroom import feedback, grading, notebooks, release, remote
from tinynet.errors import ArgumentError, FileFormatError
from tinynet.exercises import Failure

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not hasattr(os, "setsid"), reason="grading needs Linux or macOS")

# -- a student's process ---------------------------------------------------------------------------

QUICK = remote.Limits(seconds=2, total=20, mebibytes=1024)


def test_a_notebook_that_ends_again_and_again_has_an_end() -> None:
    cells = ["import os; os._exit(0)"] * 500
    with remote.Student(cells, remote.Limits(seconds=5, total=3)) as student:
        with pytest.raises(remote.Gone, match="are over"):
            student.start()
        with pytest.raises(remote.Gone, match="are over"):
            student.ask("x")


def test_the_time_of_a_notebook_is_for_all_its_answers() -> None:
    cell = "import time\ndef f(x):\n    time.sleep(0.5)\n    return x"
    with remote.Student([cell], remote.Limits(seconds=5, total=2)) as student:
        student.start()
        function = student.function("f")
        with pytest.raises(remote.Gone, match="2 seconds"):
            [function(1.0) for _ in range(10)]


def test_memory_is_limited_where_a_property_limits_it() -> None:
    cell = (
        "import numpy as np\n"
        "def small(X, M): return (X * X).sum(1)[:, None] - 2 * X @ M.T + (M * M).sum(1)\n"
        "def large(X, M): return ((X[:, None] - M[None]) ** 2).sum(2)"
    )
    X = np.ones((200, 100))
    with remote.Student([cell], QUICK) as student:
        student.start()
        if sys.platform != "linux":
            pytest.skip("memory can be limited for a while on Linux only")
        assert student.function("small").within(4, X, X)  # type: ignore[attr-defined]
        assert not student.function("large").within(4, X, X)  # type: ignore[attr-defined]
        assert student.function("large")(X, X).shape == (200, 200)


def test_a_process_that_forges_what_it_wrote_changes_nothing_else() -> None:
    cell = (
        "import tinynet.classroom.worker as w\n"
        "def f(x): return x\n"
        "w._answer = lambda asked, names: {'kind': 'function', 'value': 1.0,"
        " 'wrote': [[0, [9.0]], [7, 1], 'no', [0, 'x'], [None, None]]}"
    )
    with remote.Student([cell], QUICK) as student:
        student.start()
        x = np.ones(3)
        assert student.function("f")(x) == 1.0
        assert x.tolist() == [9.0] * 3  # its own arguments, which whoever judges has copied
        with pytest.raises(TypeError, match="numbers and arrays only"):
            student.function("f")("text")


def test_a_process_that_leaves_is_begun_anew() -> None:
    cells = ["import os\ndef leave(x): os._exit(1)\ndef stay(x): return x + 1"]
    with remote.Student(cells, QUICK) as student:
        student.start()
        for _ in range(2):
            with pytest.raises(Failure, match="has ended"):
                student.function("leave")(1)
        assert student.function("stay")(1) == 2
        folder = student.folder
    assert not Path(folder).exists()


# -- release ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small chapter, and what is released of it."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "chapters").mkdir()
    (folder / "chapters" / f"{planted.NAME}.py").write_text(planted.CHAPTER)
    release.release(["04"], folder / "release", source=folder / "chapters")
    return folder


@pytest.mark.parametrize("nbgrader", [False, True])
def test_a_release_is_the_same_each_time(tmp_path: Path, nbgrader: bool) -> None:
    made = []
    for name in ("one", "two"):
        release.release(["04", "08"], tmp_path / name, source=ROOT / "chapters", nbgrader=nbgrader)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append({str(f.relative_to(tmp_path / name)): f.read_bytes() for f in files})
    assert made[0] == made[1]
    assert len(made[0]) == (4 if nbgrader else 3)
    manifest = json.loads(made[0]["manifest.json"])
    for name, about in manifest["assignments"].items():
        assert about["file"].endswith(f"{name}.ipynb")
        nbformat = pytest.importorskip("nbformat")
        nbformat.validate(nbformat.reads(made[0][about["file"]].decode(), as_version=4))


def _functions(source: str) -> dict[str, str]:
    """The functions of a text that do something, as trees without names."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and not isinstance(node.body[-1], ast.Expr):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            found[ast.dump(ast.Module(body, []))] = node.name
    return found


@pytest.mark.parametrize("chapter", ["04", "08"])
def test_no_solution_is_handed_out(chapter: str, tmp_path: Path) -> None:
    manifest = release.release([chapter], tmp_path, source=ROOT / "chapters")
    (about,) = manifest["assignments"].values()
    content = json.loads((tmp_path / about["file"]).read_text())
    code = ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code"]
    solutions = (ROOT / "tests" / "chapters" / f"solutions_{chapter}.py").read_text()
    given = _functions("\n".join(code))
    shared = {name for tree, name in _functions(solutions).items() if tree in given}
    assert not shared
    lines = {line.strip() for line in about["given"].splitlines() if "return" in line}
    assert not lines.intersection(map(str.strip, solutions.splitlines()))
    for asked in about["exercises"]:
        cells = {c["metadata"]["nbgrader"]["grade_id"]: c for c in content["cells"]}
        marks = cells[asked["grade_id"]]["metadata"]["nbgrader"]
        assert (marks["grade"], marks["locked"], marks["points"]) == (True, True, asked["points"])
        assert cells[f"{asked['grade_id']}-answer"]["metadata"]["nbgrader"]["solution"]
        assert not cells[f"{asked['grade_id']}-answer"]["metadata"]["nbgrader"]["locked"]


def test_a_release_says_what_is_missing(course: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no chapter '99'"):
        release.release(["99"], tmp_path, source=course / "chapters")
    (tmp_path / "05_none.py").write_text("# %% [markdown]\n# # Title\n\n# %%\nx = 1\n")
    with pytest.raises(ArgumentError, match="no exercises"):
        release.release(["05"], tmp_path, source=tmp_path)
    with pytest.raises(ArgumentError, match=r"no manifest\.json"):
        grading.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 9}')
    with pytest.raises(FileFormatError):
        grading.read_manifest(tmp_path)


# -- what is handed in -----------------------------------------------------------------------------


def _manifest(*names: str) -> dict[str, Any]:
    return {"assignments": {name: {} for name in names}}


def test_where_submissions_may_lie(tmp_path: Path) -> None:
    def put(name: str, when: int) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        os.utime(path, (when, when))

    put("ada/04_a.ipynb", 1)
    put("ada/deep/er/04_a (2).ipynb", 2)
    put("ada/08_b.ipynb", 1)
    put("ada/.ipynb_checkpoints/04_a.ipynb", 9)
    put("ada/notes.ipynb", 9)
    put("bob_04_a.ipynb", 1)
    put("cy\x1b[31m/04_a.ipynb", 1)
    put("d" * 200 + "/04_a.ipynb", 1)
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "04_a.ipynb").symlink_to(tmp_path / "ada" / "04_a.ipynb")
    os.mkfifo(tmp_path / "eve" / "08_b.ipynb")
    (tmp_path / "eve" / "all").symlink_to(tmp_path / "ada")
    found = grading.find_submissions(tmp_path, _manifest("04_a", "08_b"))
    told = [(s.student[:9], s.assignment, s.path.name) for s in found]
    assert told == [
        ("ada", "04_a", "04_a (2).ipynb"),
        ("ada", "08_b", "08_b.ipynb"),
        ("bob_04_a", "04_a", "bob_04_a.ipynb"),
        ("cy�[31m", "04_a", "04_a.ipynb"),
        ("ddddddddd", "04_a", "04_a.ipynb"),
    ]
    assert len(found[-1].label) < 60
    with pytest.raises(ArgumentError, match="no folder"):
        grading.find_submissions(tmp_path / "none", _manifest("04_a"))


def test_a_notebook_that_may_not_be_read_is_said_without_its_place(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError) as error:
        notebooks.student_cells(tmp_path / "none.ipynb")
    assert str(tmp_path) not in str(error.value)


# -- a run that was cut off ------------------------------------------------------------------------


def test_a_run_that_was_killed_goes_on(course: Path, tmp_path: Path) -> None:
    released = json.loads((course / "release" / f"{planted.NAME}.ipynb").read_text())
    sleeper = planted.cell("import time\ntime.sleep(100)")
    for name, what in {"a": planted.RIGHT["right"], "b": sleeper}.items():
        planted.hand_in(what, released, tmp_path / "in" / name / f"{planted.NAME}.ipynb", {})
    argv = ["classroom", "grade", str(tmp_path / "in"), "--to", str(tmp_path / "out")]
    argv += ["--release", str(course / "release"), "--jobs", "1", "--examples", "3"]
    run = subprocess.Popen(
        [sys.executable, "-m", "tinynet", *argv, "--seconds", "100", "--total", "100"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    assert run.stdout is not None
    assert "[1/2] a" in run.stdout.readline()
    session = _session(run.pid)
    run.kill()
    run.wait()
    run.stdout.close()
    for _ in range(200):
        if not (alive := [pid for pid in session if Path(f"/proc/{pid}").exists()]):
            break
        time.sleep(0.05)
    assert not alive
    kept = (tmp_path / "out" / "results" / f"a.{planted.NAME}.json").stat().st_mtime_ns
    rules = grading.Rules(0, 3, remote.Limits(100.0, 100))
    manifest = grading.read_manifest(course / "release")
    one = grading.find_submissions(tmp_path / "in", manifest)[0]
    assert grading._kept(
        tmp_path / "out" / "results" / f"a.{planted.NAME}.json",
        grading._key(one, manifest, rules),
    )
    (tmp_path / "in" / "b" / f"{planted.NAME}.ipynb").unlink()
    said: list[str] = []
    results = grading.grade(
        tmp_path / "in",
        tmp_path / "out",
        release=course / "release",
        rules=rules,
        progress=lambda result, done, of: said.append(f"{result['student']} {done}/{of}"),
    )
    assert said == ["a 1/1"]
    assert [r["points"] for r in results] == [4]
    assert (tmp_path / "out" / "results" / f"a.{planted.NAME}.json").stat().st_mtime_ns == kept


def _session(leader: int) -> list[int]:
    """The processes below one, the students' in sessions of their own among them."""
    if not Path("/proc/self/stat").exists():
        return [leader]
    below, parents = [leader], {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(
                entry.joinpath("stat").read_text().rsplit(")")[-1].split()[1]
            )
        except OSError:
            continue
    for process in below:
        below += [child for child, parent in parents.items() if parent == process]
    return below


# -- what comes back -------------------------------------------------------------------------------


def _result(student: str, message: str = "", note: str = "") -> dict[str, Any]:
    found = {"name": "is <right>", "points": int(not message), "most": 1, "message": message}
    task = {"name": "04.x", "points": found["points"], "most": 1, "properties": [found]}
    return {
        "student": student, "assignment": "04_a", "label": f"{student}.04_a", "notes": [note],
        "exercises": [task], "points": found["points"], "most": 1, "held": ["limits"], "seconds": 1,
    }  # fmt: skip


def test_names_and_messages_are_text_on_every_page(tmp_path: Path) -> None:
    evil = "<script>alert('&')<|script>"
    feedback.write_feedback([_result(evil, evil, evil), _result("\udcff")], tmp_path)
    for path in tmp_path.rglob("*.html"):
        assert "<script" not in path.read_text()
    assert "&lt;script&gt;" in (tmp_path / "overview.html").read_text()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", 'a"b', "a,b", "a\nb"])
def test_a_table_of_grades_holds_no_formula(name: str) -> None:
    rows = list(csv.reader(io.StringIO(feedback._grades([_result(name)]))))
    assert len(rows) == 2
    assert rows[1][1:] == ["04_a", "1", "1", "1"]
    assert rows[1][0].lstrip("'") == name
    assert rows[1][0].lstrip()[:1] not in ("=", "+", "-", "@")


def test_what_is_missing_is_said_loudly() -> None:
    said = list(grading.warnings({**release.versions(), "numpy": "1.0"}, [_result("ada")]))
    assert len(said) == 3
    assert said[0].startswith("WARNING: released with numpy 1.0, graded with")
    assert "READ YOUR FILES" in said[1]
    assert "USE THE NETWORK" in said[2]


def test_the_commands(course: Path, tmp_path: Path, capsys: Any) -> None:
    source = ["--chapters", str(course / "chapters")]
    assert cli.main(["classroom", "release", "04", "--to", str(tmp_path / "rel"), *source]) == 0
    assert "3 exercises, 4 points" in capsys.readouterr().out
    (tmp_path / "in").mkdir()
    argv = ["classroom", "grade", str(tmp_path / "in"), "--to", str(tmp_path / "out")]
    argv += ["--release", str(tmp_path / "rel"), "--examples", "3", "--jobs", "1"]
    assert cli.main(argv) == 2
    assert "there are no notebooks" in capsys.readouterr().err
    released = json.loads((tmp_path / "rel" / f"{planted.NAME}.ipynb").read_text())
    planted.hand_in(planted.RIGHT["right"], released, tmp_path / "in" / "ada" / "a.ipynb", {})
    assert cli.main([*argv, "--min-points", "4"]) == 0
    assert "[1/1] ada" in capsys.readouterr().out
    assert cli.main([*argv, "--min-points", "5"]) == 1
    assert (tmp_path / "out" / "feedback" / f"ada.{planted.NAME}.html").is_file()
    assert cli.main(["classroom"]) == 0
    assert "release" in capsys.readouterr().out
