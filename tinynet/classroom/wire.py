"""Values between two processes that do not trust each other: numbers and arrays, nothing that runs.

    frame     8 bytes, its length; 4 bytes, the length of the header; JSON; the bytes of the arrays

Whoever reads checks each length before memory is taken for it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.errors import DataError

MOST = 64 << 20  # bytes in a frame
_MOST_HEADER, _MOST_DEPTH = 1 << 20, 16
_KINDS = "biufc"


def pack(value: Any) -> bytes:
    """A value as a frame. What is neither number, text nor array is named only.

    >>> unpack(pack({"value": (np.array([1.0, 2.0]), None, object())})[8:])
    {'value': (array([1., 2.]), None, Unknown(kind='object'))}
    """
    data: list[bytes] = []
    header = json.dumps(_tree(value, data, 0)).encode()
    body = b"".join((struct.pack("=I", len(header)), header, *data))
    if len(body) > MOST or len(header) > _MOST_HEADER:
        raise DataError("too much to send", got=f"{len(body)} bytes")
    return struct.pack("=Q", len(body)) + body


def read_frame(read: Callable[[int], bytes]) -> Any:
    """The next value of a stream. Raises `DataError` for what is no frame, or too large."""
    (length,) = struct.unpack("=Q", read(8))
    if length > MOST:
        raise DataError("the value is too large", expected=f"at most {MOST >> 20} MiB")
    return unpack(read(length))


def unpack(body: bytes) -> Any:
    """The value of a frame, its first 8 bytes left out."""
    try:
        (size,) = struct.unpack_from("=I", body)
        if size > _MOST_HEADER:
            raise ValueError("header")
        tree = json.loads(body[4 : 4 + size])
        value, end = _value(tree, memoryview(body), 4 + size, 0)
    except (ValueError, TypeError, KeyError, IndexError, struct.error, RecursionError) as error:
        raise DataError("what came over the wire is no value", got=str(error)[:80]) from None
    if end != len(body):
        raise DataError("what came over the wire is no value", got="bytes left over")
    return value


class Unknown:
    """Something that was not sent: only what kind of thing it is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"Unknown(kind={self.kind!r})"


def _tree(x: Any, data: list[bytes], depth: int) -> Any:
    if depth > _MOST_DEPTH:
        return {"other": "something nested too deeply"}
    if x is None or isinstance(x, bool | int | float | str):
        return x
    if isinstance(x, np.ndarray | np.generic) and x.dtype.kind in _KINDS:
        array = np.asarray(x)
        data.append(array.tobytes())
        return {"array": [array.dtype.str, list(array.shape)]}
    if isinstance(x, tuple):
        return {"tuple": [_tree(part, data, depth + 1) for part in x]}
    if isinstance(x, list):
        return [_tree(part, data, depth + 1) for part in x]
    if isinstance(x, dict):
        return {"dict": {str(k): _tree(v, data, depth + 1) for k, v in x.items()}}
    return {"other": type(x).__name__}


def _value(tree: Any, body: memoryview, at: int, depth: int) -> tuple[Any, int]:
    if depth > _MOST_DEPTH:
        raise ValueError("depth")
    if isinstance(tree, list) or (isinstance(tree, dict) and "tuple" in tree):
        parts = []
        for part in tree if isinstance(tree, list) else tree["tuple"]:
            value, at = _value(part, body, at, depth + 1)
            parts.append(value)
        return (parts if isinstance(tree, list) else tuple(parts)), at
    if not isinstance(tree, dict):
        return tree, at
    if "dict" in tree:
        named = {}
        for name, part in tree["dict"].items():
            named[name], at = _value(part, body, at, depth + 1)
        return named, at
    if "array" in tree:
        dtype, shape = tree["array"]
        return _array(dtype, shape, body, at)
    return Unknown(str(tree["other"])[:80]), at


def _array(code: str, shape: list[int], body: memoryview, at: int) -> tuple[Any, int]:
    dtype = np.dtype(str(code))
    if dtype.kind not in _KINDS or len(shape) > 16 or any(type(n) is not int for n in shape):
        raise ValueError("array")
    count = math.prod(shape)
    end = at + count * dtype.itemsize
    if min(shape, default=0) < 0 or end > len(body):
        raise ValueError("array")
    return np.frombuffer(body[at:end], dtype).reshape(shape).copy(), end
