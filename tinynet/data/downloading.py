"""The network's part of fetching: one archive, whole and with the right sum, or why it is not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

from tinynet.data.fetching import BLOCK, Source, explained, fault, no_room
from tinynet.data.indexes import TROUBLE, Indexes, why
from tinynet.errors import FetchError

_TRIES = 4  # connections for one file, where each ends too early
_PAUSE = 1.0  # seconds between them


def download(source: Source, part: Path) -> None:
    """Fill `part` with the archive, from the first place that has it."""
    needed = source.size + sum(m.size for m in source.members) - _size(part)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        no_room(part.parent, f"{needed:,} bytes are needed, {free:,} are free")
    tried: list[str] = []
    try:
        indexes = Indexes()
    except TROUBLE as error:
        raise FetchError(f"the configuration of pip cannot be used: {why(error)}") from error
    if source.kind == "url":
        addresses = iter([source.package])
    else:
        addresses = indexes.addresses(
            source.kind, source.package, source.version, source.file, tried
        )
    for address in addresses:
        try:
            _receive(indexes, address, part, source)
            return
        except FetchError:
            raise
        except TROUBLE as error:
            tried.append(f"{address}: {why(error)}")
    _not_to_be_had(source, part, tried)


def _receive(indexes: Indexes, address: str, part: Path, source: Source) -> None:
    """The file at the address, complete and with the right sum. A connection that ends too early
    is made again, and goes on where the last one stopped.
    """
    began = _size(part)
    ended = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        try:
            if _size(part) != source.size:
                _append(indexes, address, part, source)
        except (FetchError, URLError):  # the disk; a server that refuses, or is not there
            raise
        except (OSError, HTTPException) as error:
            ended = f": {why(error)}"
        if _size(part) == source.size:
            wrong = fault(part, source.sha256, source.size)
            if wrong is None:
                return
            part.unlink()
            if began == 0:
                raise LookupError(f"{wrong}; what came was deleted")
            began = 0  # the part that was there may have been wrong: once more, from the start
    raise OSError(f"the connection ended after {_size(part):,} of {source.size:,} bytes{ended}")


def _append(indexes: Indexes, address: str, part: Path, source: Source) -> None:
    """What one connection gives, added to `part`."""
    have = _size(part) if _size(part) < source.size else 0
    with indexes.open(address, {"Range": f"bytes={have}-"} if have else {}) as answer:
        if answer.status != 206 or not _begins_at(answer, have):
            have = 0  # the server sends the whole file
        announced = answer.headers.get("Content-Length")
        if announced is not None and have + int(announced) != source.size:
            raise LookupError(
                f"it holds {have + int(announced):,} bytes instead of {source.size:,}: another file"
            )
        with _written(part, "ab" if have else "wb") as write, _bar(source, have) as bar:
            while have <= source.size and (block := answer.read1(BLOCK)):
                write(block)
                bar.update(len(block))
                have += len(block)
    if have > source.size:
        part.unlink()
        raise LookupError(f"it holds more than {source.size:,} bytes: another file")


def _begins_at(answer: Any, first: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {first}-")


def _bar(source: Source, have: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        desc=source.file[:40],
        initial=have,
        total=source.size,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None,  # shown on a terminal only
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _written(path: Path, mode: str) -> Iterator[Any]:
    """A function that adds bytes to the file. What the disk refuses is told apart from what the
    network refuses, which is an OSError too.
    """
    with explained(path.parent):
        file = open(path, mode, buffering=0)  # noqa: SIM115 (closed below)

    def write(block: bytes) -> None:
        rest = memoryview(block)
        with explained(path.parent):
            while rest:
                rest = rest[file.write(rest) :]

    with file:
        yield write


def _not_to_be_had(source: Source, part: Path, tried: list[str]) -> NoReturn:
    brought = part.with_suffix("")
    wrong = fault(brought, source.sha256, source.size) if brought.exists() else None
    if wrong:
        tried.insert(0, f"{brought}: {wrong}")
    if source.kind == "pip" and not tried:
        tried = ["there is no pip here that could name its index; PIP_INDEX_URL can"]
    raise FetchError(
        f"{source.file} cannot be had",
        expected=f"{source.size:,} bytes with SHA-256 {source.sha256}",
        got="; ".join(tried),
        hint=f"connect and try again, or bring {source.file} from another machine into "
        f"{brought.parent} (the folder that TINYNET_DATA names, where it is set)",
    )
