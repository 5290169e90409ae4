"""`classroom release` and `classroom grade`: assignments from the chapters, and their grades."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def declare(add: Callable[..., Any]) -> None:
    """Put the command into the parser."""
    command = add("classroom", _help, "assignments: make them, grade them")
    command.set_defaults(parser=command)
    actions = command.add_subparsers(title="actions", metavar="ACTION")
    release = actions.add_parser("release", help="notebooks for students, from chapters")
    release.set_defaults(command=_release)
    release.add_argument("chapters", nargs="+", metavar="CHAPTER", help="04 08 …")
    release.add_argument("--to", required=True, metavar="DIR")
    release.add_argument(
        "--chapters", dest="source", default="chapters", metavar="DIR", help="the chapters' scripts"
    )
    release.add_argument("--nbgrader", action="store_true", help="as a course folder of nbgrader")
    grade = actions.add_parser("grade", help="grade submissions, write feedback")
    grade.set_defaults(command=_grade)
    grade.add_argument(
        "submissions", metavar="SUBMISSIONS", help="STUDENT/…ipynb, or STUDENT.ipynb"
    )
    grade.add_argument("--to", required=True, metavar="OUT", help="results, feedback, grades.csv")
    grade.add_argument("--release", required=True, metavar="DIR", help="what release made")
    grade.add_argument("--seed", type=int, default=0, help="of the hidden arguments")
    grade.add_argument("--examples", type=int, default=60, help="drawn for each property")
    grade.add_argument("--seconds", type=float, default=10.0, help="for one call of an answer")
    grade.add_argument("--total", type=int, default=60, help="seconds for one notebook")
    grade.add_argument("--mebibytes", type=int, default=2048, help="of memory for one notebook")
    grade.add_argument("--jobs", type=int, metavar="N", help="notebooks at a time")
    grade.add_argument("--min-points", type=int, help="exit status 1 if anybody has fewer")


def _help(args: Any) -> int:
    args.parser.print_help()
    return 0


def _release(args: Any) -> int:
    from tinynet.classroom.release import release

    manifest = release(args.chapters, args.to, source=args.source, nbgrader=args.nbgrader)
    for made in manifest["assignments"].values():
        points = sum(asked["points"] for asked in made["exercises"])
        print(
            f"{Path(args.to) / made['file']}   {len(made['exercises'])} exercises, {points} points"
        )
    print(f"{Path(args.to) / 'manifest.json'}   keep it: grading asks for it")
    return 0


def _grade(args: Any) -> int:
    from tinynet.classroom.feedback import write_feedback
    from tinynet.classroom.grading import Rules, grade, read_manifest, warnings
    from tinynet.classroom.remote import Limits

    limits = Limits(args.seconds, args.total, args.mebibytes)
    results = grade(
        args.submissions,
        args.to,
        release=args.release,
        rules=Rules(args.seed, args.examples, limits),
        jobs=args.jobs,
        progress=_line,
    )
    write_feedback(results, args.to)
    for text in warnings(read_manifest(args.release), results):
        print(text, file=sys.stderr)
    print(f"{args.to}: grades.csv, overview.html, feedback/")
    least = args.min_points
    return int(least is not None and any(r["points"] < least for r in results))


def _line(result: dict[str, Any], done: int, of: int) -> None:
    said = f"{result['points']}/{result['most']}"
    print(
        f"[{done}/{of}] {result['student']:<24} {result['assignment']:<28} {said:>7}"
        f"   {result['seconds']:5.1f} s",
        flush=True,
    )
