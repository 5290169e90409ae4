"""What comes back: a page for each student, a table of grades, and a picture of the class."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinynet.classroom.notebooks import write

_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem;
  color-scheme: light dark; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: rgba(128,128,128,.14);
  padding: .6rem .8rem; }
h2 { margin-bottom: .2rem; } .ok { color: #009E73; } .no { color: #D55E00; }
img { max-width: 100%; }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; }
"""


def write_feedback(results: Sequence[dict[str, Any]], to: str | Path) -> None:
    """Into a folder: `feedback/STUDENT.ASSIGNMENT.html`, `grades.csv`, `overview.html`."""
    folder = Path(to)
    for result in results:
        name = f"{result['student']}.{result['assignment']}.html"
        write(folder / "feedback" / name, _page(_student(result), result["student"]))
    write(folder / "grades.csv", _grades(results).encode())
    write(folder / "overview.html", _page(_overview(results), "Overview"))


def _page(body: str, title: str) -> bytes:
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    small = '<meta name="viewport" content="width=device-width">'
    whole = f"<!doctype html><html><head>{head}{small}</head><body>{body}</body></html>"
    return whole.encode(errors="replace")


def _student(result: dict[str, Any]) -> str:
    """The page of one student."""
    parts = [
        f"<h1>{html.escape(result['student'])}: {html.escape(result['assignment'])}</h1>",
        f"<p><b>{result['points']} of {result['most']} points</b></p>",
    ]
    if result["notes"]:
        notes = html.escape("\n".join(result["notes"]))
        parts.append(f"<p>While the notebook ran:</p><pre>{notes}</pre>")
    for exercise in result["exercises"]:
        name = html.escape(exercise["name"])
        parts.append(f"<h2>{name}: {exercise['points']} of {exercise['most']}</h2>")
        for wanted in exercise["properties"]:
            sign, colour = ("✗", "no") if wanted["message"] else ("✓", "ok")
            parts.append(
                f'<div><b class="{colour}">{sign}</b> {html.escape(wanted["name"])} '
                f"({wanted['points']} of {wanted['most']})</div>"
            )
            if wanted["message"]:
                parts.append(f"<pre>{html.escape(wanted['message'])}</pre>")
    return "\n".join(parts)


def _grades(results: Sequence[dict[str, Any]]) -> str:
    """A line for each student and assignment. Cells that a spreadsheet would run are quoted."""
    names = list(dict.fromkeys(e["name"] for r in results for e in r["exercises"]))
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["student", "assignment", "points", "most", *names])
    for result in results:
        points = {e["name"]: e["points"] for e in result["exercises"]}
        student = result["student"]
        student = f"'{student}" if student[:1] in "=+-@\t\r" else student
        row = [student, result["assignment"], result["points"], result["most"]]
        table.writerow([*row, *(points.get(name, "") for name in names)])
    return out.getvalue()


def _overview(results: Sequence[dict[str, Any]]) -> str:
    """The class: which property fails most, which mistake is the most common."""
    failed: Counter[str] = Counter()
    mistakes: Counter[str] = Counter()
    for result in results:
        for exercise in result["exercises"]:
            for wanted in exercise["properties"]:
                failed[f"{exercise['name']}: {wanted['name']}"] += bool(wanted["message"])
                if wanted["message"]:
                    mistakes[f"{exercise['name']}: {mistake(wanted['message'])}"] += 1
    rows = "".join(
        f"<tr><td>{count}</td><td>{html.escape(text)}</td></tr>"
        for text, count in mistakes.most_common(20)
    )
    shares = [r["points"] / r["most"] for r in results if r["most"]]
    mean = sum(shares) / max(1, len(shares))
    return (
        f"<h1>{len(results)} submissions, {mean:.0%} of the points on the mean</h1>"
        f"{_picture(failed, shares)}"
        f"<h2>The most common mistakes</h2><table>{rows}</table>"
    )


def mistake(message: str) -> str:
    """The one line of a message that says what kind of mistake it is, without its numbers.

    >>> mistake("f is wrong at the simplest arguments:\\n  x = 1\\nwrong: the sign of dx is wrong.")
    'the sign of dx is wrong.'
    """
    lines = message.splitlines()
    told = [line.strip() for line in lines if re.match(r"\s*(wrong|error|nan|shape):", line)]
    told = told or [line.strip() for line in lines if "not right" in line] or lines
    text = re.sub(r"^(wrong|error|nan|shape): ", "", told[0])
    return re.sub(r"-?\d+\.\d+(e[-+]?\d+)?", "…", text)[:200]


def _picture(failed: Counter[str], shares: Sequence[float]) -> str:
    """Two panels: how often each property failed, and how many reached which share."""
    from matplotlib.figure import Figure

    names = list(failed)
    figure = Figure(figsize=(9, 1.6 + 0.32 * len(names)), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    left.barh(names[::-1], [failed[name] for name in names[::-1]], color="#D55E00")
    left.set(xlabel="submissions that fail", title="Which property fails")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.hist([100 * share for share in shares], bins=range(0, 101, 10), color="#0072B2")
    right.set(xlabel="share of the points, %", ylabel="submissions", title="Points")
    right.yaxis.get_major_locator().set_params(integer=True)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    data = base64.b64encode(out.getvalue()).decode()
    return f'<img alt="the class" src="data:image/png;base64,{data}">'
