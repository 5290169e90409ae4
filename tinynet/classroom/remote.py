"""The teacher's end: a student's code in a process of its own, called like functions.

Only values cross. A call has a time limit; a process that does not answer, or is gone, is ended
with all it started, and begun anew for the next answer.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

import tinynet
from tinynet.classroom.wire import Unknown, pack, read_frame
from tinynet.errors import ArgumentError, DataError
from tinynet.exercises import Failure

_ROOT = Path(tinynet.__file__).parent


@dataclass(frozen=True)
class Limits:
    """seconds for one call; total, processor seconds of the process; mebibytes of memory."""

    seconds: float = 10.0
    total: int = 60
    mebibytes: int = 2048


class Gone(Failure):
    """The process did not answer in time, or has ended."""


class Student:
    """A process with the code of one submission in it.

    held      which of the sandbox's limits hold: "limits", "files", "calls"
    errors    what each cell raised, None where nothing

    >>> with Student(["def double(x): return 2 * x"]) as student:
    ...     student.function("double")(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    def __init__(self, cells: Sequence[str], limits: Limits = Limits()) -> None:
        if not hasattr(os, "setsid"):
            raise ArgumentError("grading needs Linux or macOS", got=sys.platform)
        self.cells, self.limits = list(cells), limits
        self.held: list[str] = []
        self.errors: list[str | None] = [None] * len(self.cells)
        self.process: subprocess.Popen[bytes] | None = None
        self.lost: dict[str, str] = {}  # what did not come back once is not called again

    def __enter__(self) -> Student:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def function(self, name: str) -> Callable[..., Any]:
        """The student's function of that name, or `Failure` where there is none."""
        if self.ask(name)["kind"] != "function":
            raise Failure(f"there is no function {name}: was it renamed, or is its cell in error?")

        def answer(*args: Any) -> Any:
            if not all(isinstance(x, np.ndarray | np.generic | bool | int | float) for x in args):
                raise TypeError("numbers and arrays only")
            if name not in self.lost:
                try:
                    reply = self._exchange({"name": name, "args": list(args)})
                except Gone as gone:
                    self.lost[name] = str(gone)
            if name in self.lost:
                raise Gone(self.lost[name])
            if "error" in reply:
                raise Failure(str(reply["error"]))
            for place, value in reply.get("wrote", ()):
                with suppress(ValueError, IndexError, TypeError):  # into a read-only array
                    args[place][...] = value
            return _known(reply.get("value"))

        answer.__name__ = name
        return answer

    def ask(self, name: str) -> dict[str, Any]:
        """{"kind": "function", "value" or "missing", "value": …} of a name."""
        reply = self._exchange({"name": name})
        kind = str(reply.get("kind"))
        return {"kind": kind, "value": _known(reply.get("value")) if kind == "value" else None}

    def stop(self) -> None:
        """End the process, and everything in its session."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._sink)
        os.close(self._source)
        self._folder.cleanup()
        self.process = None

    # -- the process -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin anew: the cells are run once more."""
        self.stop()
        self._folder = tempfile.TemporaryDirectory(
            prefix="tinynet-student-", ignore_cleanup_errors=True
        )
        theirs, self._sink = os.pipe()
        self._source, back = os.pipe()
        command = (
            f"import sys; sys.path.insert(0, {str(_ROOT.parent)!r}); "
            f"from tinynet.classroom.worker import serve; serve({theirs}, {back})"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=_environment(self._folder.name),
            pass_fds=(theirs, back),
            start_new_session=True,
        )
        os.close(theirs)
        os.close(back)
        self._send(
            {
                "folder": self._folder.name,
                "readable": _readable(),
                "seconds": self.limits.total,
                "mebibytes": self.limits.mebibytes,
                "cells": self.cells,
            }
        )
        self.held = list(self._receive(60.0)["held"])  # numpy and tinynet are imported before
        for number, cell in enumerate(self.cells):
            try:
                error = self._receive(self.limits.seconds)["error"]
            except Gone as gone:  # without that cell, then
                self.cells[number] = ""
                self.errors[number] = str(gone)
                return self.start()
            if cell:
                self.errors[number] = error

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.process is None:
            self.start()
        self._send(message)
        return self._receive(self.limits.seconds)

    def _send(self, message: dict[str, Any]) -> None:
        frame = memoryview(pack(message))
        deadline = time.monotonic() + self.limits.seconds
        os.set_blocking(self._sink, False)
        while frame:
            ready = select.select([], [self._sink], [], max(0.0, deadline - time.monotonic()))[1]
            if not ready:
                self._gone("the answer takes nothing more")
            try:
                frame = frame[os.write(self._sink, frame[: 1 << 16]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._gone("the process of the answer has ended (os._exit, a crash, or a limit)")

    def _receive(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds

        def read(count: int) -> bytes:
            parts = []
            while count:
                left = max(0.0, deadline - time.monotonic())
                if not select.select([self._source], [], [], left)[0]:
                    self._gone(f"no answer within {seconds:g} seconds")
                part = os.read(self._source, min(count, 1 << 20))
                if not part:
                    self._gone(
                        "the process of the answer has ended (os._exit, a crash, or a limit)"
                    )
                parts.append(part)
                count -= len(part)
            return b"".join(parts)

        try:
            reply = read_frame(read)
        except DataError as error:
            self._gone(f"the answer is no value: {error.reason}")
        if not isinstance(reply, dict):
            self._gone("the answer is no value")
        return dict(reply)

    def _gone(self, why: str) -> Any:
        self.stop()
        raise Gone(why)


def _known(value: Any) -> Any:
    """A value without those things that could not be sent."""
    if isinstance(value, Unknown):
        raise Failure(f"numbers or arrays are asked for, and {value.kind} came")
    if isinstance(value, tuple | list):
        return type(value)(_known(part) for part in value)
    return value


def _environment(folder: str) -> dict[str, str]:
    """Nothing of the teacher's, and one thread for each library."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        "HOME": folder,
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": folder,
        "LC_ALL": "C.UTF-8",
        **threads,
    }


def _readable() -> list[str]:
    """Where Python, its packages and the system's libraries lie, and this package."""
    system = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/proc/cpuinfo"]
    own = [sys.prefix, sys.base_prefix, str(_ROOT), "/sys/devices/system/cpu", "/etc/ld.so.cache"]
    return [*system, *own]
