"""Exercises that answer: `tn.exercise("04.softmax_backward").check(answer)`.

    task.py          what an exercise is, its hints, and what it answers
    properties.py    what may be asked of an answer; what is right is asked of the registered ops
    chapter_NN.py    the exercises of a chapter, a table

In: tasks, properties, hints. Not in: solutions; whoever looks for one finds the derivations, which
is what they are for. Start with `task.py`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from tinynet.errors import ArgumentError
from tinynet.exercises.task import Exercise, Failure, Feedback, Outcome, Property

__all__ = ["Exercise", "Failure", "Feedback", "Outcome", "Property", "exercise", "names"]

_loaded: dict[str, Exercise] = {}


def names(chapter: str = "") -> list[str]:
    """The names of all exercises, or of those of a chapter, in the order of the book.

    >>> names("04")[0]
    '04.cross_entropy'
    """
    return [name for name in _all() if name.startswith(chapter)]


def exercise(name: str) -> Exercise:
    """The exercise of that name: show it, `.check(answer)`, `.hint()`.

    Raises `ArgumentError` for a name that is not there.

    >>> exercise("04.softmax").check(lambda x: x).ok
    False
    """
    known = _all()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise ArgumentError(
            f"there is no exercise {name!r}", hint=", ".join(near) or "tn.exercises.names()"
        )
    return known[name]


def _all() -> dict[str, Exercise]:
    if not _loaded:
        for module in pkgutil.iter_modules(__path__):
            if module.name.startswith("chapter_"):
                table = importlib.import_module(f"{__name__}.{module.name}").EXERCISES
                _loaded.update({exercise.name: exercise for exercise in table})
    return _loaded
