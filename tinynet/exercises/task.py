"""What an exercise is, and what it answers."""

from __future__ import annotations

import html
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinynet.errors import ArgumentError

_GREEN, _RED = "#009E73", "#D55E00"  # Okabe and Ito's


class Failure(Exception):
    """What is wrong with an answer, in a learner's words."""


@dataclass(frozen=True)
class Property:
    """One thing that must be true of an answer.

    name     what is asked, in words
    test     answer -> None, or raises `Failure`, or a `GradientError` of the gradient check
    points   what it counts where grades are given
    """

    name: str
    test: Callable[[Any], None]
    points: int = 1


@dataclass(frozen=True)
class Outcome:
    """A property, and what was found: empty where it holds."""

    asked: Property
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return not self.message


@dataclass(frozen=True)
class Feedback:
    """The answer to an answer: each property, and of those that fail the simplest case found."""

    exercise: str
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether every property holds."""
        return all(outcome.ok for outcome in self.outcomes)

    @property
    def points(self) -> tuple[int, int]:
        """(reached, to be had)."""
        return (
            sum(o.asked.points for o in self.outcomes if o.ok),
            sum(o.asked.points for o in self.outcomes),
        )

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        passed = sum(outcome.ok for outcome in self.outcomes)
        lines = [f"{self.exercise}: {passed} of {len(self.outcomes)} properties hold"]
        for outcome in self.outcomes:
            lines.append(f"  {'✓' if outcome.ok else '✗'} {outcome.asked.name}")
            lines += textwrap.indent(outcome.message, " " * 6).splitlines()
        if not self.ok:
            lines.append(f'  stuck? tn.exercise("{self.exercise}").hint()')
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for outcome in self.outcomes:
            sign, colour = ("✓", _GREEN) if outcome.ok else ("✗", _RED)
            text = html.escape(outcome.message)
            shown = f'<pre style="margin:.2em 0 .6em 1.6em">{text}</pre>' if text else ""
            rows.append(
                f'<div><b style="color:{colour}">{sign}</b> {html.escape(outcome.asked.name)}'
                f"{shown}</div>"
            )
        title, *_, last = repr(self).splitlines()
        hint = "" if self.ok else f"<div><small>{html.escape(last.strip())}</small></div>"
        return f"<div><p><b>{html.escape(title)}</b></p>{''.join(rows)}{hint}</div>"


@dataclass
class Exercise:
    """A task with properties that an answer must have. No solution is in it: what is right is asked
    of the registered ops.

    name         chapter and name: "04.softmax_backward"
    task         what to write, in one or two sentences
    signature    how the answer is called, for example "softmax_backward(g, x) -> dx"
    properties   what must be true of it
    hints        three, each saying more than the one before
    """

    name: str
    task: str
    signature: str
    properties: tuple[Property, ...]
    hints: tuple[str, str, str]
    _given: int = field(default=0, repr=False)

    def check(self, answer: Any) -> Feedback:
        """Try an answer: a function, or a number where a number is asked for.

        Every property is tried, those after a failure too. An answer that raises an error fails
        that property alone.
        """
        return Feedback(self.name, tuple(Outcome(p, found(p, answer)) for p in self.properties))

    def hint(self, level: int | None = None) -> str:
        """The next hint, from 1 to 3; or the one of a level."""
        if level is None:
            self._given = level = min(self._given + 1, len(self.hints))
        if not 1 <= level <= len(self.hints):
            raise ArgumentError("hints have levels", expected="1, 2 or 3", got=str(level))
        return f"hint {level} of {len(self.hints)}: {self.hints[level - 1]}"

    def __repr__(self) -> str:
        asked = "\n".join(f"  - {p.name}" for p in self.properties)
        return f"exercise {self.name}: {self.task}\n  {self.signature}\n{asked}"

    def _repr_html_(self) -> str:
        asked = "".join(f"<li>{html.escape(p.name)}</li>" for p in self.properties)
        return (
            f"<div><p><b>Exercise {html.escape(self.name)}.</b> {html.escape(self.task)}</p>"
            f"<pre>{html.escape(self.signature)}</pre><ul>{asked}</ul></div>"
        )


def found(asked: Property, answer: Any) -> str:
    """What a property has to say against an answer; nothing if it holds."""
    try:
        asked.test(answer)
    except (Failure, AssertionError) as failure:
        return str(failure) or f"{type(failure).__name__} without a word"  # nothing would be: holds
    except ImportError as missing:
        if (missing.name or "").startswith("hypothesis"):  # that is no fault of the answer
            raise ArgumentError(
                "exercises are checked with Hypothesis, which is not here",
                hint="pip install hypothesis",
            ) from missing
        return _own_lines(missing)
    except Exception as error:  # the learner's code may raise anything
        return _own_lines(error)
    return ""


def _own_lines(error: Exception) -> str:
    """An error with the learner's lines alone: those of the notebook or the file."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "tinynet" not in f.filename and "site-packages" not in f.filename]
    lines = [f"line {f.lineno}: {f.line}" for f in own[-2:]]
    return "\n".join([f"{type(error).__name__}: {error}", *lines])
