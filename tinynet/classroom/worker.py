"""The process in which a student's code runs: it defines the answers, and is asked for values.

It judges nothing and writes nothing that counts. Whatever the code does to this process, the
other end of the wire sees values only, and compares them itself.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

import numpy as np

from tinynet.classroom.sandbox import enclose
from tinynet.classroom.wire import pack, read_frame
from tinynet.errors import DataError


def serve(source: int, sink: int) -> None:
    """Read the set-up, give up all rights, run the cells, and answer calls until the end."""

    def read(count: int) -> bytes:
        parts = []
        while count:
            part = os.read(source, min(count, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def write(value: Any) -> None:
        try:
            frame = memoryview(pack(value))
        except (DataError, MemoryError) as error:
            frame = memoryview(pack({"error": f"the answer is too large: {error}"}))
        while frame:
            frame = frame[os.write(sink, frame) :]

    set_up = read_frame(read)
    limits = {"seconds": set_up["seconds"], "mebibytes": set_up["mebibytes"]}
    write({"held": enclose(set_up["folder"], set_up["readable"], **limits)})
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(set_up["cells"], 1):
        write({"error": _run(cell, number, names)})
    while True:
        write(_answer(read_frame(read), names))


def _run(cell: str, number: int, names: dict[str, Any]) -> str | None:
    """Run one cell; what went wrong, in a line or two."""
    try:
        exec(compile(cell, f"<cell {number}>", "exec"), names)
    except BaseException as error:
        return _said(error)
    return None


def _answer(asked: Any, names: dict[str, Any]) -> dict[str, Any]:
    answer = names.get(asked["name"])
    if "args" not in asked:
        kind = "function" if callable(answer) else "value"
        return {"kind": kind if asked["name"] in names else "missing", "value": answer}
    args = [x.copy() if isinstance(x, np.ndarray) else x for x in asked["args"]]
    try:
        value = answer(*args)  # type: ignore[misc]
    except BaseException as error:
        return {"error": _said(error)}
    wrote = [
        (i, x)
        for i, (x, sent) in enumerate(zip(args, asked["args"], strict=True))
        if isinstance(x, np.ndarray) and not np.array_equal(x, sent, equal_nan=x.dtype.kind in "fc")
    ]
    return {"value": value, "wrote": wrote}


def _said(error: BaseException) -> str:
    """The error and the student's own line."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<cell")
    ]
    where = f" (line {frames[-1].lineno} of {frames[-1].filename[1:-1]})" if frames else ""
    if isinstance(error, SyntaxError):
        where = f" (line {error.lineno}: {(error.text or '').strip()[:80]})"
    return f"{type(error).__name__}: {error!s:.300}{where}"
