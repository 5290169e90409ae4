"""Where files are looked for: pip's and npm's configuration, pages, folders, passwords; and what is
said when no index helps.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data_server import DataServer, member, pinned, serving, zipped

from tinynet.data import Source, cache_folder, downloading, fetch, indexes, is_cached
from tinynet.errors import FetchError

NOTE = b"to be read\n"
WHEEL = zipped({"little/note.txt": NOTE})
LITTLE = pinned(WHEEL, member("little/note.txt", NOTE))
TARBALL = pinned(WHEEL, member("little/note.txt", NOTE), kind="npm", file="little-1.0.zip")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataServer]:
    """An index that offers LITTLE, an empty cache, and no configuration at all."""
    for name in [n for n in os.environ if n.upper().startswith(("PIP_", "NPM_CONFIG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("TINYNET_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(downloading, "_PAUSE", 0)
    with serving() as running:
        running.offer(LITTLE, WHEEL)
        yield running


def configured(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Take these as pip's configuration, without asking pip."""
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    monkeypatch.setattr(indexes, "_pip_settings", lambda: named)


def refused(source: Source = LITTLE) -> str:
    """The message of the error, after which the cache is empty."""
    with pytest.raises(FetchError) as caught:
        fetch(source)
    assert not is_cached(source)
    assert not list(cache_folder().glob("*.part"))
    return str(caught.value)


# -- pip -------------------------------------------------------------------------------------------


def test_pip_says_what_is_configured(
    server: DataServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one test that asks pip itself: files, sections, environment."""
    file = tmp_path / "pip.conf"
    file.write_text(
        f"[global]\nindex-url = {server.url}/nowhere\ntimeout = 7\nfind-links =\n  /a\n  /b\n"
        f"[download]\nextra-index-url = {server.url}/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    settings = indexes._pip_settings()
    assert settings["index-url"] == f"{server.url}/nowhere"
    assert settings["extra-index-url"] == f"{server.url}/simple"
    assert settings["find-links"].split() == ["/a", "/b"]
    assert indexes.Indexes()._timeout == 7
    fetch(LITTLE)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    assert indexes._pip_settings()["index-url"] == "http://127.0.0.1:1/simple"


def test_without_pip_the_environment_counts(
    server: DataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes.sys, "executable", "/bin/false" if os.name == "posix" else "no")
    monkeypatch.setattr(indexes.importlib, "import_module", _no_module)
    assert "PIP_INDEX_URL" in refused()
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    fetch(LITTLE)


def _no_module(name: str) -> Any:
    raise ImportError(name)


def test_the_default_index_is_pips_own() -> None:
    assert indexes._default_index().startswith("https://")


@pytest.mark.parametrize("name", ["Little_Data", "little.data", "LITTLE--DATA"])
def test_names_of_packages_are_written_in_many_ways(
    server: DataServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    configured(monkeypatch, index_url=f"{server.url}/simple")
    server.files["/simple/little-data/"] = server.files.pop("/simple/little/")
    folder = fetch(pinned(WHEEL, *LITTLE.members, package=name))
    assert (folder / "note.txt").read_bytes() == NOTE


@pytest.mark.parametrize(
    "page",
    [
        '<a href="/files/{0}">x</a>',
        '<A HREF="../../files/{0}#sha256=12">x</A>',
        '<base href="{1}/files/"><a href="{0}?token=a%2Fb">x</a>',
        '<a>x</a><a href="">y</a><a href="{1}/files/little-1.0-py3%2Dnone-any.whl">x</a></p>',
    ],
)
def test_pages_of_links(server: DataServer, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    configured(monkeypatch, index_url=f"{server.url}/simple/")
    text = page.format(LITTLE.file, server.url)
    server.files["/simple/little/"] = text.encode()
    server.files[f"/files/{LITTLE.file}?token=a%2Fb"] = WHEEL
    server.files["/files/little-1.0-py3%2Dnone-any.whl"] = WHEEL
    assert (fetch(LITTLE) / "note.txt").read_bytes() == NOTE


def test_folders(server: DataServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels of mine"
    page = wheels / "simple" / "little"
    page.mkdir(parents=True)
    (wheels / LITTLE.file).write_bytes(WHEEL)
    (page / "index.html").write_text(f'<a href="../../{LITTLE.file}">x</a>')
    monkeypatch.chdir(tmp_path)
    for settings in (
        {"find_links": wheels.as_uri()},
        {"index_url": (wheels / "simple").as_uri()},
        {"find_links": (page / "index.html").as_uri()},
        {"find_links": f"{server.url}/simple/little/"},
    ):
        configured(monkeypatch, **{"no_index": "no", "index_url": f"{server.url}/x", **settings})
        (fetch(LITTLE) / "note.txt").unlink()
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / LITTLE.file).write_bytes(WHEEL)
    asked = len(server.log)
    configured(monkeypatch, find_links="wheels", no_index="1")
    fetch(LITTLE)
    assert len(server.log) == asked


@pytest.mark.parametrize("value", ["1", "true", "yes", "on"])
def test_no_index(server: DataServer, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    configured(monkeypatch, no_index=value, index_url=f"{server.url}/simple")
    assert "no index (no-index)" in refused()
    assert not server.log


def test_a_password_is_sent_and_not_shown(
    server: DataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server.url.replace("http://", "http://me:se%20cret@")
    configured(monkeypatch, index_url=f"{address}/simple")
    fetch(LITTLE)
    told = f"Basic {base64.b64encode(b'me:se cret').decode()}"
    assert [password for _, _, password in server.log] == [told, told]
    (cache_folder() / "little" / "note.txt").unlink()
    server.files.clear()
    message = refused()
    assert "cret" not in message
    assert f"{server.url}/simple/little/: the server answers 404" in message


# -- npm -------------------------------------------------------------------------------------------


def test_npm_names_its_registry(
    server: DataServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configured(monkeypatch)
    server.offer(TARBALL, WHEEL)
    monkeypatch.setattr(indexes.shutil, "which", lambda _: None)
    message = refused(TARBALL)
    assert "npm" in message
    assert "npm_config_registry" in message
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{server.url}/npm/")
    (fetch(TARBALL) / "note.txt").unlink()
    monkeypatch.delenv("NPM_CONFIG_REGISTRY")
    if os.name == "posix":
        npm = tmp_path / "npm"
        npm.write_text(f"#!/bin/sh\n[ $1 = config ] && echo {server.url}/npm\n")
        npm.chmod(0o755)
        monkeypatch.setattr(indexes.shutil, "which", lambda _: str(npm))
        fetch(TARBALL)


@pytest.mark.parametrize("page", [b"{}", b"[1]", b"<html>", b'{"versions": {"2.0": {}}}', b"\xff"])
def test_pages_of_a_registry_that_say_nothing(
    server: DataServer, monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    configured(monkeypatch)
    monkeypatch.setenv("npm_config_registry", f"{server.url}/npm")
    server.files["/npm/little"] = page
    assert f"{server.url}/npm/little: " in refused(TARBALL)
    server.offer(TARBALL, WHEEL)
    fetch(TARBALL)


# -- no index helps --------------------------------------------------------------------------------


def test_no_network(server: DataServer, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(
        monkeypatch, index_url="http://127.0.0.1:1/simple", extra_index_url="http://x.invalid/"
    )
    message = refused()
    for part in (
        LITTLE.file,
        LITTLE.sha256,
        str(cache_folder()),
        "TINYNET_DATA",
        "http://127.0.0.1:1/simple/little/: ",
        "http://x.invalid/little/: ",
    ):
        assert part in message
    (cache_folder() / LITTLE.file).write_bytes(WHEEL)  # what the message asks for
    assert (fetch(LITTLE) / "note.txt").read_bytes() == NOTE


@pytest.mark.parametrize(
    "page",
    [b"", b"<html>no links</html>", b'<a href="little-2.0-py3-none-any.whl">', b"\xff\xfe\x00<a"],
)
def test_pages_without_the_file(
    server: DataServer, monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    configured(monkeypatch, index_url=f"{server.url}/simple")
    server.files["/simple/little/"] = page
    assert f"/simple/little/: there is no {LITTLE.file}" in refused()


@pytest.mark.parametrize(
    "settings",
    [
        {"index_url": "nonsense"},
        {"index_url": "ftp//x"},
        {"index_url": "http://[::1"},
        {"index_url": "gopher://x/y"},
        {"timeout": "soon"},
        {"cert": "/not/there.pem"},
        {"find_links": "/not/there"},
    ],
)
def test_a_configuration_that_makes_no_sense(
    server: DataServer, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    configured(monkeypatch, **{"index_url": f"{server.url}/none", **settings})
    refused()
    configured(monkeypatch, index_url=f"{server.url}/simple")
    fetch(LITTLE)


def test_links_to_what_is_not_there(server: DataServer, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, index_url=f"{server.url}/simple")
    for address in ("/files/gone/{0}", "http://127.0.0.1:1/{0}", "ftp:///{0}", "mailto:{0}"):
        server.files["/simple/little/"] = f'<a href="{address.format(LITTLE.file)}">'.encode()
        assert LITTLE.file in refused()
    server.offer(LITTLE, WHEEL)
    fetch(LITTLE)
