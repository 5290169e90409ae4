"""What a gradient check found, for people: as text, as a table in a notebook, as a picture."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinynet.check.compare import Argument, Entry
from tinynet.check.diagnosis.locate import Departure
from tinynet.check.judge import Findings
from tinynet.check.problem import Candidate

Array = np.ndarray[Any, Any]
_ROWS, _COLUMNS = 24, 48  # more cells than this nobody can tell apart
_BLUE, _VERMILLION = (0, 114, 178), (213, 94, 0)  # Okabe and Ito's


@dataclass(frozen=True)
class Evidence:
    """The numbers behind a verdict.

    worst     the entries furthest from the derivative, worst first: name, index, analytic, numeric,
              ratio
    residual  of the diagnosis: how far its repair is from the derivative, in units of what rounding
              allows (right is ≤ 1); None where there is no diagnosis
    """

    worst: tuple[Entry, ...] = ()
    residual: float | None = None


@dataclass(frozen=True)
class GradientReport:
    """What a gradient check found.

    verdict     one of the words in `judge.VERDICTS`
    diagnosis   one sentence, at most 300 characters
    evidence    the worst entries, and how well the diagnosis fits
    hint        what to do
    where       the first line of the backward code that departs from the truth, where it is known
    candidates  every explanation that fits, cheapest first
    notes       what else was noticed: float32 promoted, integers left alone, arguments written into
    """

    verdict: str
    diagnosis: str
    evidence: Evidence = field(default_factory=Evidence)
    hint: str = ""
    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    where: Departure | None = None
    arguments: tuple[Argument, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether the gradient can be trusted: a kink is no error."""
        return self.verdict in ("pass", "kink")

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.diagnosis}"]
        lines += [f"  try: {self.hint}"] if self.hint else []
        lines += [f"  where: {self.where}"] if self.where else []
        if self.evidence.worst and self.verdict == "wrong":
            rows = [("entry", "analytic", "numeric", "ratio")]
            rows += [_row(e) for e in self.evidence.worst]
            widths = [max(len(row[i]) for row in rows) for i in range(4)]
            for row in rows:
                cells = [row[0].ljust(widths[0])]
                cells += [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
                lines.append("  " + "  ".join(cells))
        lines += [f"  or: {c.message}" for c in self._others()]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _others(self) -> list[Candidate]:
        """At most two other explanations, each of another kind; where the first names a line, a
        factor that the numbers alone suggest says less.
        """
        kinds: dict[str, Candidate] = {}
        for c in self.candidates:
            if c.kind != "factor" or c.line is not None or self.candidates[0].line is None:
                kinds.setdefault(c.kind, c)
        return list(kinds.values())[1:3]

    def _repr_html_(self) -> str:
        colour = "#009E73" if self.ok else "#D55E00"
        parts = [
            f'<p><b style="color:{colour}">{html.escape(self.verdict)}</b> '
            f"{_marked(self.diagnosis)}</p>"
        ]
        if self.hint:
            parts.append(f"<p><i>try:</i> {_marked(self.hint)}</p>")
        if self.where:
            parts.append(f"<p><i>where:</i> {_marked(str(self.where))}</p>")
        if self.evidence.worst:
            parts.append(_html_evidence(self.evidence.worst))
        parts += [_html_map(a) for a in self.arguments if a.claim is not None and not a.misfit]
        parts += [f"<p><small>note: {_marked(n)}</small></p>" for n in self.notes]
        return "<div>" + "".join(parts) + "</div>"

    def plot(self) -> Any:
        """`plot.gradient_errors` of this report: where each gradient is wrong."""
        from tinynet.plot import gradient_errors

        return gradient_errors(self)


def _row(e: Entry) -> tuple[str, str, str, str]:
    ratio = "–" if math.isnan(e.ratio) else f"{e.ratio:.4g}"  # 0 / 0
    return e.place, f"{e.analytic:.6g}", f"{e.numeric:.6g}", ratio


_PADDED = 'style="padding:0 .6em"'


def _marked(text: str) -> str:
    """Text for a page, with what stands between backticks as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _html_evidence(worst: tuple[Entry, ...]) -> str:
    """The worst entries, as a table."""
    head = "".join(
        f'<th style="padding:0 .6em">{name}</th>'
        for name in ("entry", "analytic", "numeric", "ratio")
    )
    rows = ""
    for e in worst:
        rows += (
            "<tr>"
            + "".join(f'<td style="padding:0 .6em">{html.escape(c)}</td>' for c in _row(e))
            + "</tr>"
        )
    return f"<table><tr>{head}</tr>{rows}</table>"


def as_matrix(x: Array) -> Array:
    """Any array as rows and columns: the last axis runs across."""
    return x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)


def error_of(a: Argument) -> Array:
    """analytic − numeric, relative to the largest numeric; NaN where nothing was measured."""
    size = np.max(np.abs(a.measured.true[0]), initial=0.0, where=a.measured.smooth)
    seen = np.where(a.measured.smooth, a.measured.true[0], np.nan)
    return np.asarray((np.asarray(a.claim, dtype=float) - seen) / (size or 1.0))


def _html_map(a: Argument) -> str:
    """The error of each entry as coloured cells: orange is too large, blue too small."""
    error = as_matrix(error_of(a))[:_ROWS, :_COLUMNS]
    off = as_matrix(a.off)[:_ROWS, :_COLUMNS]
    rows = ""
    for errors, offs in zip(error, off, strict=True):
        cells = ""
        for e, o in zip(errors, offs, strict=True):
            cells += f'<td style="{_CELL}background:{_shade(float(e), float(o))}" title="{e:.3g}">'
            cells += "</td>"
        rows += f"<tr>{cells}</tr>"
    title = f"{html.escape(a.name)} {a.shape}: {'wrong' if a.wrong else 'right'}"
    cut = "" if error.size == np.size(a.claim) else " (the first entries)"
    key = ": orange is too large, blue too small" if a.wrong else ""
    table = f'<table style="border-collapse:collapse">{rows}</table>'
    return f"<p>{title}, error by entry{cut}{key}</p>{table}"


_CELL = "width:12px;height:12px;min-width:12px;padding:0;border:1px solid #fff;"


def _shade(error: float, off: float) -> str:
    """Grey: not measured; near white: right; the stronger, the further off."""
    if not np.isfinite(error):
        return "#bbbbbb"
    depth = 0.0 if off <= 1 else 0.25 + 0.75 * min(1.0, abs(error))
    target = _VERMILLION if error > 0 else _BLUE
    return "#" + "".join(f"{round(245 + depth * (c - 245)):02x}" for c in target)


def report_of(
    found: Findings, candidates: list[Candidate], where: Departure | None = None
) -> GradientReport:
    """The findings in words."""
    sentence, hint, residual = found.sentence, found.hint, None
    if found.verdict == "wrong" and candidates:
        best = candidates[0]
        sentence, hint, residual = best.message, best.hint, best.residual
        right = [a.name for a in found.arguments if not a.wrong]
        sentence = sentence if sentence.endswith((".", "…")) else f"{sentence}."
        more = f" Right: {', '.join(right)}."
        if right and len(sentence) + len(more) <= 300:
            sentence += more
    elif found.verdict == "wrong" and not sentence:
        sentence = _unexplained(found)
    elif found.verdict == "pass" and not sentence:
        sentence = _praise(found.arguments)
    return GradientReport(
        found.verdict,
        sentence[:300],
        Evidence(tuple(found.worst), residual),
        hint,
        tuple(candidates),
        tuple(found.notes),
        where,
        tuple(found.arguments),
    )


def _unexplained(found: Findings) -> str:
    """What is known where the cause is not."""
    wrong = [a for a in found.arguments if a.wrong]
    right = [a.name for a in found.arguments if not a.wrong]
    misfits = [a.misfit for a in wrong if a.misfit]
    if misfits:
        text = f"{misfits[0][0].upper()}{misfits[0][1:]}."
        for misfit in misfits[1:]:
            longer = f"{text[:-1]}; {misfit}."
            text = longer if len(longer) <= 300 else text
    else:
        names = ", ".join(a.name for a in wrong)
        text = f"I do not know why: the gradient of {names} is wrong."
        ratios = [e.ratio for e in found.worst if math.isfinite(e.ratio)]
        if len(ratios) > 2 and max(ratios) - min(ratios) < 1e-4 * abs(ratios[0]):
            size, how = (ratios[0], "large") if abs(ratios[0]) > 1 else (1 / ratios[0], "small")
            text += f" A constant factor: {size:.6g} times too {how} in all entries looked at."
        elif found.worst:
            e = found.worst[0]
            text += f" {e.place} should be {e.numeric:.6g}, but is {e.analytic:.6g}."
    tail = f" Right: {', '.join(right)}."
    return text + tail if right and len(text) + len(tail) <= 300 else text


def _praise(arguments: list[Argument]) -> str:
    names = ", ".join(a.name for a in arguments)
    seen = sum(int(a.measured.seen.sum()) for a in arguments)
    total = sum(int(np.prod(a.shape)) for a in arguments)
    if total == 0:
        return f"There is nothing to check: {names} has no entries."
    if total == 1:
        return f"The gradient of {names} is right: it agrees with differences."
    how = f"all {total} entries" if seen == total else f"{seen} of {total} entries and directions"
    return f"The gradient of {names} is right: {how} agree with differences."[:300]
