"""What can go wrong, one class per kind of mistake.

Inner code raises a short exact reason. The door through which the user came
(`tinynet.dispatch.apply`) adds what it knows: the op, what came in, and the user's own line. Every
error is a `TinynetError`; each kind is also the built-in exception that NumPy or PyTorch would have
raised, so that existing `except` clauses keep working.

>>> import tinynet as tn
>>> tn.ones(2, 3) @ tn.ones(4, 5)
Traceback (most recent call last):
tinynet.errors.ShapeError: matmul: the inner sizes differ: 3 columns meet 4 rows
  expected: (..., n, k) @ (..., k, m)
  got: (2, 3) float32, (4, 5) float32
"""

from __future__ import annotations

import linecache
import os
import sys
from typing import Any

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class TinynetError(RuntimeError):
    """A mistake, said in full: the reason, what was expected, what came, and what to do.

    `reason` is one short clause. `expected`, `got` and `hint` are added to the message where they
    are known.
    """

    def __init__(
        self,
        reason: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.expected, self.got, self.hint = reason, expected, got, hint
        self.op: str | None = None
        self.line: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.op}: {self.reason}" if self.op else self.reason]
        named = {"expected": self.expected, "got": self.got, "try": self.hint, "at": self.line}
        parts += [f"{label}: {text}" for label, text in named.items() if text]
        return "\n  ".join(parts)


class ShapeError(TinynetError, ValueError):
    """Sizes or axes do not fit together."""


class DTypeError(TinynetError, TypeError):
    """A value is of a kind that the operation cannot use."""


class OutOfRangeError(TinynetError, IndexError):
    """An index, an axis or a class number lies outside its range."""


class ArgumentError(TinynetError, ValueError):
    """An option has a value that makes no sense."""


class DeviceError(TinynetError):
    """Arrays live on different devices, or the device is not there."""


class GraphError(TinynetError):
    """The recorded computation cannot give the derivative that was asked for."""


class BatchError(TinynetError):
    """All examples cannot be computed at once: they do not agree in a value that is asked for."""


class InPlaceError(GraphError):
    """A tensor was changed in place after, or where, its old value is needed."""


class RuleError(TinynetError):
    """A backward rule broke its contract: its gradient has not the shape of its input, or is not
    the derivative.
    """


class GradientError(TinynetError, AssertionError):
    """A gradient did not pass its check. `report` holds the `GradientReport`."""

    report: Any = None


class FileFormatError(TinynetError, ValueError):
    """A file cannot be written or read as asked."""


class DataError(TinynetError, ValueError):
    """A data set or a batch is not usable as it is."""


class FetchError(TinynetError, OSError):
    """The file of a data set cannot be had, or not be kept."""


foreseen = (TinynetError, ValueError, TypeError, IndexError)  # what at_op turns into words


def user_line() -> str | None:
    """The innermost line that runs and is not part of tinynet, as `file:line   code`; nothing where
    it was typed at a prompt, which shows it.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not os.path.abspath(path).startswith(_PACKAGE) and "numpy" + os.sep not in path:
            code = linecache.getline(path, frame.f_lineno).strip()
            if path.startswith("<"):
                return None
            name = os.path.basename(path)
            cell = name.removesuffix(".py").isdecimal()  # what a notebook calls its cells
            place = f"cell, line {frame.f_lineno}" if cell else f"{name}:{frame.f_lineno}"
            return place + (f"   {code}" if code else "")
        frame = frame.f_back
    return None


def describe(x: Any) -> str:
    """One operand in a message: shape and dtype of an array, the value of a number.

    >>> import numpy as np
    >>> describe(np.zeros((2, 3))), describe(2.5), describe([1, 2])
    ('(2, 3) float64', '2.5', 'list [1, 2]')
    """
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{tuple(x.shape)} {x.dtype}"
    text = repr(x)
    text = text if len(text) <= 60 else text[:57] + "..."
    return text if isinstance(x, int | float | complex) else f"{type(x).__name__} {text}"


def at_op(op: str, inputs: tuple[Any, ...], error: Exception) -> TinynetError:
    """The error that leaves the package: `error`, with the op, what came in, and the user's line.

    NumPy's own complaints are sorted into our kinds; what is unknown stays as it is, in words.
    """
    if isinstance(error, TinynetError):
        result = error
    else:
        kinds: dict[type[Exception], type[TinynetError]] = {
            IndexError: OutOfRangeError,
            ValueError: ShapeError,
            TypeError: DTypeError,
        }
        reason = str(error).strip().rstrip(".") or type(error).__name__
        if "could not be broadcast" in reason:
            reason = "the shapes do not broadcast: sizes must be equal or 1, counted from the right"
        kind = TinynetError
        for theirs, ours in kinds.items():
            if isinstance(error, theirs):
                kind = ours
        result = kind(reason)
    result.op = result.op or op
    result.got = result.got or ", ".join(describe(x) for x in inputs)
    result.line = result.line or user_line()
    return result
