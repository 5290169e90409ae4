"""The teacher's end: a student's code in a process of its own, called like functions.

Only values cross. A call has a time limit, and so has the whole; a process that does not answer, or
is gone, or takes too much, is ended with all it started, and begun anew for the next answer.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import matplotlib
import numpy as np

import tinynet
from tinynet.classroom.wire import Unknown, pack, read_frame
from tinynet.errors import ArgumentError, DataError, TinynetError
from tinynet.exercises import Failure

_ROOT = Path(tinynet.__file__).parent
_DISK, _FILES, _THREADS = 64 << 20, 1000, 64  # what a process may have before it is ended
_START = 60.0  # seconds, for numpy and tinynet
_ENDED = "the process of the answer has ended (os._exit, a crash, or a limit)"


@dataclass(frozen=True)
class Limits:
    """seconds for one call and one cell; total, for the notebook; mebibytes of memory."""

    seconds: float = 10.0
    total: int = 60
    mebibytes: int = 2048


class Gone(Failure):
    """The process did not answer in time, or has ended."""


class NotStarted(TinynetError):
    """The process did not begin at all: not the student's fault."""


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
        self.left = float("inf")  # seconds, counted as soon as the student's code begins
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
                raise Failure(str(reply["error"])[:500])
            wrote = reply.get("wrote")
            for part in wrote if isinstance(wrote, list) else ():
                with suppress(ValueError, IndexError, TypeError):  # also into a read-only array
                    place, value = part
                    args[place][...] = value
            return _known(reply.get("value"))

        def within(mebibytes: float, *args: Any) -> bool:
            answer(*args)  # once for what libraries take at their first call
            with self._room(mebibytes):
                try:
                    answer(*args)
                except Gone:
                    return False
                except Failure as failure:
                    if "MemoryError" in str(failure):
                        return False
                    raise
            return True

        answer.within = within  # type: ignore[attr-defined]
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
        self._stopped.set()
        self._watcher.join()  # before the process's number can become another's
        self.process.wait()
        os.close(self._sink)
        os.close(self._source)
        with suppress(RecursionError):  # folders in folders, where none of the limits hold
            shutil.rmtree(self.folder, ignore_errors=True)
        self.process = None

    # -- the process -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin anew: the cells are run, without those that did not come back."""
        while (lost := self._run()) is not None:
            self.cells[lost] = ""

    def _run(self) -> int | None:
        """Start the process and run its cells; the one at which it was lost."""
        self.stop()
        self._spawn()
        set_up = {
            "folder": self.folder,
            "readable": _readable(),
            "seconds": self.limits.total,
            "mebibytes": self.limits.mebibytes,
            "cells": self.cells,
        }
        try:
            self._send(set_up, _START)
            self.held = list(self._receive(_START)["held"])
        except Gone as gone:
            self._check_time()
            raise NotStarted(
                "the process for a student's code did not start", got=str(gone)
            ) from None
        self.left = min(self.left, self.limits.total)
        for number, cell in enumerate(self.cells):
            try:
                error = self._receive(self.limits.seconds).get("error")
            except Gone as gone:
                self.errors[number] = str(gone)
                self._check_time()
                return number
            if cell:
                self.errors[number] = None if error is None else str(error)[:500]
        return None

    def _spawn(self) -> None:
        self._check_time()
        self.folder = tempfile.mkdtemp(prefix="tinynet-student-")
        with suppress(OSError):  # or matplotlib would look through all fonts each time
            for fonts in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
                shutil.copy(fonts, self.folder)
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
            cwd=self.folder,
            env=_environment(self.folder),
            pass_fds=(theirs, back),
            start_new_session=True,
        )
        os.close(theirs)
        os.close(back)
        self._excess = ""
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=[self.process.pid], daemon=True)
        self._watcher.start()

    def _watch(self, process: int) -> None:
        """End the process if it fills the disk, or has more threads than any answer needs."""
        while not self._stopped.wait(0.05):
            self._excess = _excess(self.folder, process)
            if self._excess:
                with suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
                return

    @contextmanager
    def _room(self, mebibytes: float) -> Iterator[None]:
        """Within the block, the process may take this much more memory (on Linux)."""
        import resource

        if self.process is None or not hasattr(resource, "prlimit"):
            yield
            return
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[0])
        most = self.limits.mebibytes << 20
        soft = min(most, pages * resource.getpagesize() + int(mebibytes * 2**20))
        resource.prlimit(self.process.pid, resource.RLIMIT_AS, (soft, most))
        try:
            yield
        finally:
            if self.process is not None:
                resource.prlimit(self.process.pid, resource.RLIMIT_AS, (most, most))

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.process is None:
            self.start()
        self._send(message, self.limits.seconds)
        return self._receive(self.limits.seconds)

    def _send(self, message: dict[str, Any], seconds: float) -> None:
        frame = memoryview(pack(message))
        with self._counted(seconds) as deadline:
            self._write(frame, deadline)

    def _write(self, frame: memoryview, deadline: float) -> None:
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
                self._gone(_ENDED)

    def _receive(self, seconds: float) -> dict[str, Any]:
        why = self._over() if self.left < seconds else f"no answer within {seconds:g} seconds"

        def read(count: int) -> bytes:
            whole = bytearray()
            while len(whole) < count:
                left = max(0.0, deadline - time.monotonic())
                if not select.select([self._source], [], [], left)[0]:
                    self._gone(why)
                part = os.read(self._source, min(count - len(whole), 1 << 20))
                if not part:
                    self._gone(_ENDED)
                whole += part
            return bytes(whole)

        try:
            with self._counted(seconds) as deadline:
                reply = read_frame(read)
        except DataError as error:
            self._gone(f"the answer is no value: {error.reason}")
        if not isinstance(reply, dict):
            self._gone("the answer is no value")
        return dict(reply)

    @contextmanager
    def _counted(self, seconds: float) -> Iterator[float]:
        """Until when to wait; what was waited is taken off what is left. Judging costs nothing."""
        start = time.monotonic()
        try:
            yield start + max(0.0, min(seconds, self.left))
        finally:
            self.left -= time.monotonic() - start

    def _gone(self, why: str) -> Any:
        self.stop()
        raise Gone(self._excess or why)

    def _check_time(self) -> None:
        if self.left <= 0:
            raise Gone(self._over()) from None

    def _over(self) -> str:
        return f"the {self.limits.total} seconds for this notebook are over"


def _excess(folder: str, process: int) -> str:
    """What a process has too much of; nothing where all is well."""
    size = files = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            files += 1
            if files > _FILES:
                break
            with suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
    if size > _DISK or files > _FILES:
        return f"files of more than {_DISK >> 20} MiB, or more than {_FILES}, were written"
    with suppress(OSError):  # no /proc but on Linux
        if len(os.listdir(f"/proc/{process}/task")) > _THREADS:
            return f"more than {_THREADS} threads were started"
    return ""


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
        "MALLOC_MMAP_THRESHOLD_": "1048576",  # a large array is taken anew, and given back
        **threads,
    }


def _readable() -> list[str]:
    """Where Python, its packages and the system's libraries lie, and this package."""
    system = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/proc/cpuinfo"]
    own = [sys.prefix, sys.base_prefix, str(_ROOT), "/sys/devices/system/cpu", "/etc/ld.so.cache"]
    return [*system, *own]
