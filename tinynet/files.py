"""Writing that cannot half happen, and reading that cannot run code.

A file of `save` is a *safetensors* file, which any program that reads that format can open:

    8 bytes     length of the header, little-endian
    header      JSON: name -> {"dtype", "shape", "data_offsets": [begin, end]}, and "__metadata__":
                text -> text
    data        the bytes of the arrays, one after another, C order, little-endian

The tree around the arrays (dicts, lists, tuples, numbers, texts) stands as JSON in the metadata. A
reader only ever parses JSON and copies bytes; nothing is unpickled.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinynet import arrays
from tinynet.arrays import Array
from tinynet.errors import FileFormatError

_MARK = "tinynet"  # the metadata key of the tree
_VERSION = 1
_MAX_HEADER = 100_000_000  # bytes; the limit that the format sets

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "BF16": "<u2",  # NumPy has no bfloat16: read as bits, then widened to float32
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
}
_CODES = {np.dtype(code): name for name, code in _DTYPES.items() if name != "BF16"}

_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as torch.save and numpy.savez write",
    b"\x80": "a pickle",
    b"\x93NUMPY": "an array of numpy.save",
    b"\x1f\x8b": "compressed by gzip",
    b"\x89HDF": "an HDF5 file",
}


# -- writing a file whole, or not at all -----------------------------------------------------------


@contextmanager
def write_atomically(path: str | os.PathLike[str], *, text: bool = False) -> Iterator[IO[Any]]:
    """A file to write to, which takes its name only when the block ends well.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the file is
    renamed: whoever opens `path` sees the old content or the new, never a part. If the block fails,
    nothing is left and the old file stays.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with write_atomically(folder / "note.txt", text=True) as file:
    ...     _ = file.write("all or nothing")
    >>> [p.name for p in folder.iterdir()]
    ['note.txt']
    """
    target = os.path.realpath(
        path
    )  # through a symbolic link: the link stays, what it names is replaced
    if os.path.isdir(target):
        raise IsADirectoryError(f"{target} is a folder; a file was to be written there")
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _binary(), 0o666)
    try:
        with open(descriptor, "w" if text else "wb", encoding="utf-8" if text else None) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(temporary, os.stat(target).st_mode & 0o7777)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(folder)


def _binary() -> int:
    return int(getattr(os, "O_BINARY", 0))  # Windows would otherwise translate line ends


def _flush_folder(folder: str) -> None:
    """Put the new name itself on the disk, where the system lets a folder be flushed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# -- save ------------------------------------------------------------------------------------------


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write a tree of dicts, lists and tuples with tensors, arrays, numbers, texts, True/False and
    None at its leaves.

    Keys are texts or whole numbers. The arrays are named by their place in the tree
    (`model.0.weight`), so a `state_dict` is read by every program that knows safetensors. Of a
    tensor, the values are saved.

    Anything else is a `FileFormatError` that says where it stands; the file is then not touched.

    >>> import numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> save({"step": 3, "weights": [np.ones(2)]}, path)
    >>> load(path)
    {'step': 3, 'weights': [array([1., 1.])]}
    >>> save({"model": {"layers": [0, {1, 2}]}}, path)
    Traceback (most recent call last):
    tinynet.errors.FileFormatError: model.layers[1]: a set cannot be saved
      expected: dicts, lists, tuples, tensors, arrays, numbers, texts, True, False, None
    """
    found: dict[str, tuple[str, Array]] = {}
    try:
        tree = _encode(obj, "", found, set())
        text = json.dumps(
            {"version": _VERSION, "tree": tree}, separators=(",", ":"), allow_nan=False
        )
    except RecursionError:
        raise FileFormatError("the tree is nested too deeply to be saved") from None
    # Wide entries first: then each array begins at a multiple of its item size, as readers like it.
    order = sorted(found, key=lambda name: -found[name][1].itemsize)
    header: dict[str, Any] = {"__metadata__": {_MARK: text}}
    begin = 0
    for name in order:
        code, array = found[name]
        end = begin + array.nbytes
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    head = json.dumps(header, separators=(",", ":")).encode("ascii")
    head += b" " * (-len(head) % 8)
    if len(head) > _MAX_HEADER:
        raise FileFormatError(
            f"the tree is too large: {len(head)} bytes", expected=f"at most {_MAX_HEADER}"
        )
    with write_atomically(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in order:
            file.write(found[name][1].data if found[name][1].size else b"")


def _encode(x: Any, path: str, found: dict[str, tuple[str, Array]], above: set[int]) -> Any:
    """x as JSON, with its arrays put into `found`. `above` holds the ids of what x stands in."""
    kind = type(x)
    if x is None or kind in (bool, int, str):
        return x
    if kind is float:
        return x if math.isfinite(x) else {"float": str(x)}
    if kind is complex:
        return {
            "complex": [_encode(x.real, path, found, above), _encode(x.imag, path, found, above)]
        }
    if hasattr(x, "detach") and hasattr(x, "array"):
        return {"tensor": _add_array(x.detach().array, path, found)}
    if isinstance(x, np.generic):
        return {"scalar": _add_array(np.asarray(x), path, found)}
    if kind in (np.ndarray, np.memmap) or (arrays.is_array(x) and not isinstance(x, np.ndarray)):
        return {"array": _add_array(x, path, found)}
    if kind not in (list, tuple, dict, OrderedDict):
        raise FileFormatError(
            f"{path or 'the object'}: a {kind.__name__} cannot be saved",
            expected="dicts, lists, tuples, tensors, arrays, numbers, texts, True, False, None",
        )
    if id(x) in above:
        raise FileFormatError(f"{path or 'the object'}: it contains itself")
    above = above | {id(x)}
    if kind in (list, tuple):
        items = [_encode(value, f"{path}[{i}]", found, above) for i, value in enumerate(x)]
        return items if kind is list else {"tuple": items}
    return {
        "dict": [[_key(k, path), _encode(v, _below(path, k), found, above)] for k, v in x.items()]
    }


def _key(key: Any, path: str) -> Any:
    if type(key) in (str, int, bool):
        return key
    raise FileFormatError(
        f"{path or 'the object'}: a key of kind {type(key).__name__} cannot be saved: {key!r}",
        expected="texts or whole numbers as keys",
    )


def _below(path: str, key: Any) -> str:
    if not isinstance(key, str):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _add_array(array: Array, path: str, found: dict[str, tuple[str, Array]]) -> Any:
    """Note an array under its path; the name that the tree refers to it by."""
    array = np.asarray(arrays.to_device(array, "cpu"))
    dtype = array.dtype.newbyteorder("<")
    pairs = dtype == np.dtype("<c16")  # the format has no complex128: stored as pairs of float64
    if dtype not in _CODES and not pairs:
        raise FileFormatError(
            f"{path or 'the object'}: an array of dtype {array.dtype} cannot be saved",
            expected="bool, integers, float16/32/64, complex64/128",
        )
    array = array.astype(dtype, order="C", copy=False)
    if pairs:
        array = array.reshape(*array.shape, 1).view("<f8")
    base = path or "tensor"
    name, n = base, 2
    while name in found or name == "__metadata__":
        name, n = f"{base}#{n}", n + 1
    found[name] = (_CODES[array.dtype], np.ascontiguousarray(array).reshape(array.shape))
    return [name, "complex128"] if pairs else name


# -- load ------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str], *, tensor: Callable[[Array], Any] | None = None) -> Any:
    """What `save` wrote. A safetensors file of another program gives a flat dict: name -> array.

    tensor    what makes a tensor of an array; without it tensors come back as arrays

    Raises `FileFormatError` for a file of another kind, or one that is cut off or damaged.
    """
    wrap = tensor or (lambda array: array)
    path = Path(path)
    with open(path, "rb") as file:
        header, start = _read_header(file, path)
        metadata = header.pop("__metadata__", None)
        found = {
            name: _read_array(file, start, name, entry, path) for name, entry in header.items()
        }
    if not isinstance(metadata, dict) or _MARK not in metadata:
        return {name: wrap(array) for name, array in found.items()}
    try:
        stored = json.loads(metadata[_MARK])
        if stored["version"] > _VERSION:
            raise FileFormatError(
                f"{path.name} was written by a newer tinynet", hint="update tinynet"
            )
        return _decode(stored["tree"], found, wrap)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise _damaged(path, "the tree around the arrays cannot be read") from None


def _damaged(path: Path, reason: str) -> FileFormatError:
    return FileFormatError(f"{path.name} is damaged or cut off: {reason}")


def _read_header(file: IO[bytes], path: Path) -> tuple[dict[str, Any], int]:
    """The checked header, and where the data begins."""
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    for magic, what in _FOREIGN.items():
        if first.startswith(magic) and not (len(first) == 8 and _plausible(first, size)):
            raise FileFormatError(
                f"{path.name} is {what}",
                expected="a safetensors file, as tn.save writes",
                hint="convert it where it was made; tinynet never unpickles: that can run code",
            )
    if len(first) < 8 or not _plausible(first, size):
        raise FileFormatError(
            f"{path.name} is no safetensors file, or it is damaged", got=f"{size} bytes"
        )
    length = int.from_bytes(first, "little")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        raise _damaged(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table")
    _check_header(header, size - 8 - length, path)
    return header, 8 + length


def _plausible(first: bytes, size: int) -> bool:
    return 2 <= int.from_bytes(first, "little") <= min(size - 8, _MAX_HEADER)


def _check_header(header: dict[str, Any], data_size: int, path: Path) -> None:
    """Raise unless the arrays fill the data exactly, one after another, each with the bytes that
    its shape needs.
    """
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        except (KeyError, TypeError, ValueError):
            raise _damaged(path, f"the entry {name!r} is not understood") from None
        if code not in _DTYPES:
            raise FileFormatError(
                f"{path.name}: {name} has the dtype {code}, which NumPy does not know",
                expected=", ".join(_DTYPES),
            )
        if not whole or end - begin != math.prod(shape) * np.dtype(_DTYPES[code]).itemsize:
            raise _damaged(path, f"size and shape of {name!r} do not agree")
        spans.append((begin, end))
    last = 0
    for begin, end in sorted(spans):
        if begin != last:
            raise _damaged(path, "the arrays overlap or leave holes")
        last = end
    if last != data_size:
        raise _damaged(path, f"{data_size} bytes of data, {last} expected")


def _read_array(file: IO[bytes], start: int, name: str, entry: dict[str, Any], path: Path) -> Array:
    array = np.empty(entry["shape"], _DTYPES[entry["dtype"]])
    if array.size:
        file.seek(start + entry["data_offsets"][0])
        if file.readinto(array.reshape(-1).view("u1").data) != array.nbytes:  # type: ignore[attr-defined]
            raise _damaged(path, f"the bytes of {name!r} are missing")
    if entry["dtype"] == "BF16":  # the upper half of a float32
        return (array.astype("u4") << 16).view("f4")
    if entry["dtype"] == "BOOL" and array.size and array.view("u1").max() > 1:
        raise _damaged(path, f"{name!r} holds bytes that are neither True nor False")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _decode(x: Any, found: dict[str, Array], wrap: Callable[[Array], Any]) -> Any:
    """The inverse of `_encode`."""
    if isinstance(x, list):
        return [_decode(value, found, wrap) for value in x]
    if not isinstance(x, dict):
        return x
    ((kind, value),) = x.items()
    if kind == "dict":
        return {key: _decode(below, found, wrap) for key, below in value}
    if kind == "tuple":
        return tuple(_decode(below, found, wrap) for below in value)
    if kind == "float":
        return float(value)
    if kind == "complex":
        return complex(*(_decode(part, found, wrap) for part in value))
    name, pairs = (value, False) if isinstance(value, str) else (value[0], True)
    array = found[name]
    array = array.view("c16").reshape(array.shape[:-1]) if pairs else array
    if kind == "tensor":
        return wrap(array)
    return {"array": array, "scalar": array[()]}[kind]
