"""A package index on this machine, for tests: it can cut connections, ignore ranges, and lie."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tinynet.data import Member, Source


class DataServer:
    """Serves `files` (path -> bytes). `cuts` are byte counts after which the next answers end,
    in turn; `log` holds (path, Range, Authorization) of every request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.ranges, self.lengths, self.slow = True, True, 0.0
        self.log: list[tuple[str, str | None, str | None]] = []
        self.url = ""

    def requests(self, end: str) -> list[str | None]:
        """The ranges that were asked of paths with this end."""
        return [wanted for path, wanted, _ in self.log if path.endswith(end)]

    def offer(self, source: Source, archive: bytes) -> None:
        """Put an archive on the index of its kind."""
        self.files[f"/files/{source.file}"] = archive
        address = f"{self.url}/files/{source.file}"
        if source.kind == "npm":
            about = (
                f'{{"versions": {{"{source.version}": {{"dist": {{"tarball": "{address}"}}}}}}}}'
            )
            self.files[f"/npm/{source.package}"] = about.encode()
        else:
            link = f'<a href="../../files/{source.file}#sha256=0">{source.file}</a>'
            self.files[f"/simple/{source.package}/"] = f"<html>{link}</html>".encode()


@contextmanager
def serving() -> Iterator[DataServer]:
    """A server that runs while the block does."""
    state = DataServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.log.append((self.path, wanted, self.headers["Authorization"]))
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            first = int(wanted[6:-1]) if wanted and state.ranges else 0
            if first >= len(content) and first:
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            if first:
                total = len(content)
                self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
            if state.lengths:
                self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            is_file = self.path.startswith("/files/")
            until = first + state.cuts.pop(0) if is_file and state.cuts else len(content)
            for k in range(first, min(until, len(content)), 1000):
                self.wfile.write(content[k : min(k + 1000, until)])
                if is_file and state.slow:
                    self.wfile.flush()
                    time.sleep(state.slow)

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the client has gone
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A wheel in all that matters here."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, content in files.items():
            info = zipfile.ZipInfo(path)  # without today's date: the same bytes every time
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    """A .tar.gz."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(path: str, content: bytes) -> Member:
    return Member(path, hashlib.sha256(content).hexdigest(), len(content))


def pinned(archive: bytes, *members: Member, **changes: Any) -> Source:
    """The source that pins this archive."""
    settings: dict[str, Any] = {
        "name": "little",
        "kind": "pip",
        "package": "little",
        "version": "1.0",
        "file": "little-1.0-py3-none-any.whl",
        "sha256": hashlib.sha256(archive).hexdigest(),
        "size": len(archive),
        "members": members,
    }
    return Source(**{**settings, **changes})
