"""Fetching: whatever goes wrong, the error says what to do, the cache is whole, and the next try
works.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data_server import DataServer, member, pinned, serving, tarred, zipped

from tinynet.data import Source, cache_folder, downloading, fetch, indexes, is_cached
from tinynet.errors import FetchError

WORDS = random.Random(0).randbytes(30_000)  # cannot be compressed
NOTE = b"to be read\n" * 9000
WHEEL = zipped({"little/words.bin": WORDS, "little/note.txt": NOTE})
LITTLE = pinned(WHEEL, member("little/words.bin", WORDS), member("little/note.txt", NOTE))
PART = f"{LITTLE.file}.part"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataServer]:
    """An index that offers LITTLE, an empty cache, no configuration but this."""
    monkeypatch.setenv("TINYNET_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(downloading, "_PAUSE", 0)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # waits for the disk, and for its other users
    with serving() as running:
        settings = {"index-url": f"{running.url}/simple"}
        monkeypatch.setattr(indexes, "_pip_settings", lambda: settings)
        monkeypatch.setenv("npm_config_registry", f"{running.url}/npm")
        running.offer(LITTLE, WHEEL)
        yield running


def kept() -> list[str]:
    """What the cache holds, but for locks."""
    root = cache_folder()
    files = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    return sorted(f for f in files if not f.endswith(".lock"))


def assert_works(source: Source = LITTLE) -> None:
    """Fetch it; the cache then holds the right members and nothing else."""
    folder = fetch(source)
    for m in source.members:
        assert hashlib.sha256((folder / m.name).read_bytes()).hexdigest() == m.sha256
    assert kept() == sorted(f"{source.name}/{m.name}" for m in source.members)


# -- what should happen ----------------------------------------------------------------------------


def test_a_wheel_is_fetched_once(server: DataServer) -> None:
    assert not is_cached(LITTLE)
    assert_works()
    assert is_cached(LITTLE)
    asked = len(server.log)
    assert_works()
    assert len(server.log) == asked == 2  # the page and the file


@pytest.mark.parametrize("kind", ["pip", "npm", "url"])
def test_archives_of_archives_from_every_kind_of_place(server: DataServer, kind: Any) -> None:
    inner = tarred({"texts/note.txt": NOTE})
    outer = tarred({"little-1.0/more/texts.tar.gz": inner, "little-1.0/words.bin": WORDS})
    source = pinned(
        outer,
        member("little-1.0/more/texts.tar.gz!texts/note.txt", NOTE),
        member("little-1.0/words.bin", WORDS),
        kind=kind,
        file="little-1.0.tar.gz",
    )
    if kind == "url":
        source = replace(source, package=f"{server.url}/files/{source.file}")
    server.offer(source, outer)
    assert_works(source)


def test_an_archive_that_somebody_brought(server: DataServer) -> None:
    server.files.clear()
    cache_folder().mkdir()
    (cache_folder() / LITTLE.file).write_bytes(WHEEL)
    folder = fetch(LITTLE)
    assert (folder / "note.txt").read_bytes() == NOTE
    assert not server.log
    assert (cache_folder() / LITTLE.file).read_bytes() == WHEEL  # it stays


def test_the_folder_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TINYNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    for platform in ("linux", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder() == tmp_path / "tinynet"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "tinynet"
    monkeypatch.setenv("TINYNET_DATA", "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere"


# -- the connection --------------------------------------------------------------------------------


def test_a_connection_that_drops_is_continued(server: DataServer) -> None:
    server.cuts = [7_000, 5_000]
    assert_works()
    assert server.requests(LITTLE.file) == [None, "bytes=7000-", "bytes=12000-"]


@pytest.mark.parametrize("lengths", [True, False])
def test_it_drops_too_often_and_is_continued_by_the_next_try(
    server: DataServer, lengths: bool
) -> None:
    server.cuts, server.lengths = [1_000, 1_000, 1_000, 1_000], lengths
    with pytest.raises(FetchError, match=f"4,000 of {len(WHEEL):,} bytes"):
        fetch(LITTLE)
    assert kept() == [PART]
    assert_works()
    assert server.requests(LITTLE.file)[-1] == "bytes=4000-"


def test_a_server_that_knows_no_ranges(server: DataServer) -> None:
    server.cuts, server.ranges = [7_000], False
    assert_works()
    assert server.requests(LITTLE.file) == [None, "bytes=7000-"]


def test_a_file_that_is_cut_on_the_server(server: DataServer) -> None:
    server.files[f"/files/{LITTLE.file}"] = WHEEL[:9_000]
    for server.lengths in (True, False):
        with pytest.raises(FetchError, match=r"9,000 bytes instead of|416") as caught:
            fetch(LITTLE)
        assert LITTLE.file in str(caught.value)
        assert not is_cached(LITTLE)
    server.offer(LITTLE, WHEEL)
    assert_works()


def test_a_page_instead_of_the_file(server: DataServer) -> None:
    """As networks give that want a password first. Its length tells, and nothing is kept."""
    server.files[f"/files/{LITTLE.file}"] = b"<html>Please sign in</html>"
    with pytest.raises(FetchError, match=r"it holds 27 bytes instead of .*: another file"):
        fetch(LITTLE)
    assert kept() == []
    assert server.requests(LITTLE.file) == [None]
    server.offer(LITTLE, WHEEL)
    assert_works()


def test_a_server_that_falls_silent(server: DataServer, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"index-url": f"{server.url}/simple", "timeout": "1"}
    monkeypatch.setattr(indexes, "_pip_settings", lambda: settings)
    monkeypatch.setattr(downloading, "_TRIES", 1)
    server.slow = 3
    with pytest.raises(FetchError, match=r"1,000 of .* bytes: timed out"):
        fetch(LITTLE)
    assert kept() == [PART]
    server.slow = 0
    assert_works()
    assert server.requests(LITTLE.file)[-1] == "bytes=1000-"


def test_a_file_that_is_longer(server: DataServer) -> None:
    server.files[f"/files/{LITTLE.file}"] = WHEEL + b"more"
    for server.lengths in (True, False):
        with pytest.raises(FetchError, match="another file"):
            fetch(LITTLE)
        assert kept() == []
    server.offer(LITTLE, WHEEL)
    assert_works()


@pytest.mark.parametrize("part", [b"x" * 5_000, b"x" * len(WHEEL), b"x" * 200_000, b""])
def test_a_part_that_is_wrong_is_fetched_anew(server: DataServer, part: bytes) -> None:
    cache_folder().mkdir()
    (cache_folder() / PART).write_bytes(part)
    assert_works()


def test_a_part_that_is_complete(server: DataServer) -> None:
    cache_folder().mkdir()
    (cache_folder() / PART).write_bytes(WHEEL)
    assert_works()
    assert not server.requests(LITTLE.file)


def test_a_server_that_refuses_a_range(server: DataServer) -> None:
    cache_folder().mkdir()
    (cache_folder() / PART).write_bytes(WHEEL[:-1])
    server.files[f"/files/{LITTLE.file}"] = WHEEL[:-1]
    with pytest.raises(FetchError, match="416"):
        fetch(LITTLE)
    assert kept() == [PART]
    server.offer(LITTLE, WHEEL)
    assert_works()


def test_a_process_that_is_killed(server: DataServer) -> None:
    server.slow = 0.02
    process = _elsewhere(server)
    part = cache_folder() / PART
    while not (part.exists() and part.stat().st_size > 5_000):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.communicate()
    assert kept() == [PART]
    server.slow = 0
    assert_works()
    assert str(server.requests(LITTLE.file)[-1]).startswith("bytes=")


# -- what comes is wrong ---------------------------------------------------------------------------


def test_an_archive_with_the_wrong_sum(server: DataServer) -> None:
    wrong = WHEEL[:-1] + b"?"
    server.files[f"/files/{LITTLE.file}"] = wrong
    with pytest.raises(FetchError) as caught:
        fetch(LITTLE)
    assert LITTLE.sha256 in str(caught.value)
    assert hashlib.sha256(wrong).hexdigest() in str(caught.value)
    assert kept() == []
    server.offer(LITTLE, WHEEL)
    assert_works()


def test_the_next_index_may_be_right(
    server: DataServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / LITTLE.file).write_bytes(WHEEL[:-1] + b"?")
    settings = {
        "find-links": f"{tmp_path} {tmp_path / 'nothing'}",
        "index-url": f"{server.url}/empty",
        "extra-index-url": f"{server.url}/none\n{server.url}/simple/",
    }
    monkeypatch.setattr(indexes, "_pip_settings", lambda: settings)
    assert_works()


def test_a_member_with_the_wrong_sum(server: DataServer) -> None:
    wrong = pinned(WHEEL, member("little/note.txt", NOTE), member("little/words.bin", NOTE))
    with pytest.raises(FetchError) as caught:
        fetch(wrong)
    for content in (NOTE, WORDS):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert kept() == ["little/note.txt"]
    assert_works()


@pytest.mark.parametrize(
    ("file", "pack"), [("a.whl", zipped), ("a.tar.gz", tarred), ("a.tgz", tarred)]
)
def test_an_archive_without_the_member(server: DataServer, file: str, pack: Any) -> None:
    archive = pack({"little/note.txt": NOTE, "little/inner.tar.gz": tarred({"x": b""})})
    for path in ("little/gone.txt", "little/inner.tar.gz!gone.txt", "little/note.txt!x.txt"):
        source = pinned(archive, member(path, NOTE), file=file)
        server.offer(source, archive)
        with pytest.raises(FetchError, match=r"gone\.txt|damaged"):
            fetch(source)
        assert kept() == []
    source = pinned(archive, member("little/note.txt", NOTE), file=file)
    assert_works(source)


@pytest.mark.parametrize("seed", range(40))
def test_an_archive_that_is_damaged(server: DataServer, seed: int) -> None:
    """Its sum is right, as if it had been pinned so: unpacking must notice."""
    draw = random.Random(seed)
    pack, file = draw.choice([(zipped, "a.whl"), (tarred, "a.tar.gz")])
    data = bytearray(pack({"little/note.txt": NOTE, "little/words.bin": WORDS}))
    if draw.random() < 0.3:
        del data[draw.randrange(len(data)) :]
    else:
        for _ in range(draw.choice([1, 5, 50])):
            place = draw.choice([draw.randrange(len(data)), -draw.randrange(1, 200)])
            data[place] ^= draw.randrange(1, 256)
    source = pinned(bytes(data), *LITTLE.members, file=file)
    server.offer(source, bytes(data))
    try:
        assert_works(source)  # the damage may lie where nobody looks
    except FetchError:
        assert not is_cached(source)
        assert not (cache_folder() / f"{file}.part").exists()
    server.offer(LITTLE, WHEEL)
    assert_works()


# -- the folder ------------------------------------------------------------------------------------


def test_the_folder_is_a_file(
    server: DataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    monkeypatch.setenv("TINYNET_DATA", str(file))
    with pytest.raises(FetchError, match="TINYNET_DATA names a file"):
        fetch(LITTLE)
    monkeypatch.setenv("TINYNET_DATA", str(file / "below"))
    with pytest.raises(FetchError, match="cannot be written"):
        fetch(LITTLE)
    assert file.read_text() == "mine"


def test_a_folder_that_is_not_there_is_made(
    server: DataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYNET_DATA", str(tmp_path / "not" / "there" / "yet"))
    assert not is_cached(LITTLE)
    assert_works()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_may_only_be_read(server: DataServer) -> None:
    assert_works()
    cache_folder().chmod(0o555)
    try:
        assert_works()  # needs no writing
        shutil.rmtree(cache_folder() / "little")
        with pytest.raises(FetchError, match="cannot be written"):
            fetch(LITTLE)
    finally:
        cache_folder().chmod(0o755)
    assert_works()


def test_a_folder_that_refuses(server: DataServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for root, whom no permission stops."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(cache_folder()))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", refuse)
        with pytest.raises(FetchError, match=r"cannot be written: Permission denied") as caught:
            fetch(LITTLE)
    assert "TINYNET_DATA" in str(caught.value)
    assert_works()


def test_bad_files_in_the_folder(server: DataServer) -> None:
    assert_works()
    for spoilt in (NOTE[:-1], NOTE[:-1] + b"?", b""):
        (cache_folder() / "little" / "note.txt").write_bytes(spoilt)
        assert not is_cached(LITTLE)
        assert_works()
    brought = cache_folder() / LITTLE.file
    brought.write_bytes(WHEEL[:-1] + b"?")
    (cache_folder() / "little" / "note.txt").unlink()
    server.files.clear()
    with pytest.raises(FetchError) as caught:
        fetch(LITTLE)
    assert f"{brought}: its SHA-256 is {hashlib.sha256(brought.read_bytes()).hexdigest()}" in str(
        caught.value
    )
    assert brought.exists()  # it is not ours to delete
    server.offer(LITTLE, WHEEL)
    fetch(LITTLE)
    assert is_cached(LITTLE)


def test_folders_where_files_should_be(server: DataServer) -> None:
    (cache_folder() / "little" / "note.txt").mkdir(parents=True)
    with pytest.raises(FetchError, match="is a folder"):
        fetch(LITTLE)
    (cache_folder() / "little" / "note.txt").rmdir()
    assert_works()


@contextmanager
def _no_file_larger_than(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource")  # Unix
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_disk_is_full_during_the_download(server: DataServer) -> None:
    with (
        _no_file_larger_than(10_000),
        pytest.raises(FetchError, match="there is no room for data: File too large"),
    ):
        fetch(LITTLE)
    assert kept() == [PART]
    assert_works()
    assert server.requests(LITTLE.file)[-1] == "bytes=10000-"


def test_the_disk_is_full_when_the_member_is_written(server: DataServer) -> None:
    assert len(WHEEL) < 40_000 < len(NOTE)
    with _no_file_larger_than(40_000), pytest.raises(FetchError, match="no room"):
        fetch(LITTLE)
    assert kept() == [PART, "little/words.bin"]
    assert_works()
    assert len(server.requests(LITTLE.file)) == 1  # the archive had been kept


def test_the_disk_is_known_to_be_too_small(
    server: DataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 0, 9))  # type: ignore[attr-defined]
        with pytest.raises(FetchError, match=r"bytes are needed, 9 are free"):
            fetch(LITTLE)
    assert kept() == []
    assert_works()


# -- several at once -------------------------------------------------------------------------------

_SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_fetching import LITTLE
from tinynet.data import downloading, fetch, indexes
indexes._pip_settings = lambda: {{"index-url": "{url}/simple"}}
print(fetch(LITTLE))
"""


def _elsewhere(server: DataServer) -> subprocess.Popen[str]:
    """A process that fetches LITTLE."""
    script = _SCRIPT.format(tests=str(Path(__file__).parent), url=server.url)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_and_threads_at_once_fetch_once(server: DataServer) -> None:
    server.slow = 0.03  # a second or so: all are there before the first is done
    others = [_elsewhere(server) for _ in range(2)]
    while not server.requests(LITTLE.file):
        assert any(p.poll() is None for p in others), others[0].communicate()
        time.sleep(0.005)
    threads = [threading.Thread(target=fetch, args=(LITTLE,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in others:
        out, err = process.communicate()
        assert out.strip() == str(cache_folder() / "little"), err
    assert server.requests(LITTLE.file) == [None]
    assert_works()
