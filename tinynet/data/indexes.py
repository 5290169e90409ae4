"""Where the user's own package indexes keep a file, as pip and npm are configured here.

An index is a page of links, or a folder of files, and a pinned file is found on it by its name.
So a mirror, an index within a company or a folder of wheels serves data as it serves packages.
What is obeyed: of pip's configuration (files and environment) `index-url`, `extra-index-url`,
`find-links`, `no-index`, `cert`, `proxy` and `timeout`; of npm's, the registry. Nothing is
installed, and no code of a package runs.
"""

from __future__ import annotations

import ast
import base64
import importlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener, url2pathname

TROUBLE = (OSError, HTTPException, ValueError, LookupError)  # what an index or the network may do


class Indexes:
    """The package indexes of this user, asked when data is missing and not before."""

    def __init__(self) -> None:
        self._settings = _pip_settings()
        self._passwords: dict[str, str] = {}  # of a host: name:password, as an address may hold
        self._no_index = self._settings.get("no-index", "") not in ("", "0", "false", "no", "off")
        self._timeout = float(self._settings.get("timeout", 30))
        proxy = self._settings.get("proxy")
        proxies = [ProxyHandler({"http": proxy, "https": proxy})] if proxy else []
        self._opener = build_opener(
            HTTPSHandler(context=_certificates(self._settings.get("cert"))), *proxies
        )

    def addresses(
        self, kind: str, package: str, version: str, file: str, tried: list[str]
    ) -> Iterator[str]:
        """Where the file of this name lies: one address for each index that has it. What the other
        indexes answered is added to `tried`.
        """
        for place in self._npm_pages(package, tried) if kind == "npm" else self._pip_pages(package):
            page = "an address in the configuration"  # shown without the password that it may hold
            try:
                page = self._without_password(_as_address(place))
                found = self._tarball(page, version) if kind == "npm" else self._link(page, file)
            except TROUBLE as error:
                tried.append(f"{page}: {why(error)}")
            else:
                yield found
        if self._no_index and kind == "pip":
            tried.append("pip is set to ask no index (no-index)")

    def open(self, address: str, headers: dict[str, str] | None = None) -> Any:
        """The answer to a request for this address, to be read."""
        address = self._without_password(address)
        request = Request(address, headers={"User-Agent": "tinynet", **(headers or {})})
        if password := self._passwords.get(urlsplit(address).netloc):
            token = base64.b64encode(unquote(password).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {token}")
        return self._opener.open(request, timeout=self._timeout)

    # -- pip ---------------------------------------------------------------------------------------

    def _pip_pages(self, package: str) -> list[str]:
        """The pages that may link to a file of the package: pip's `find-links` as they are, and a
        page of its own at each index.
        """
        settings = self._settings
        pages = settings.get("find-links", "").split()
        if not self._no_index:
            indexes = [settings.get("index-url") or _default_index()]
            indexes += settings.get("extra-index-url", "").split()
            name = re.sub(r"[-_.]+", "-", package).lower()
            pages += [f"{index.rstrip('/')}/{name}/" for index in indexes if index]
        return pages

    def _link(self, page: str, file: str) -> str:
        """The address of the file, from a page of links or a folder."""
        if urlsplit(page).scheme == "file":
            folder = Path(url2pathname(urlsplit(page).path))
            if (folder / file).is_file():
                return (folder / file).as_uri()
            if folder.is_dir():
                if not (folder / "index.html").is_file():
                    raise LookupError(f"there is no {file}")
                page = (folder / "index.html").as_uri()
        with self.open(page, {"Accept": "text/html"}) as answer:
            links = _Links(answer.geturl())
            links.feed(answer.read().decode("utf-8", errors="replace"))
        if file not in links.found:
            raise LookupError(f"there is no {file}")
        return links.found[file]

    # -- npm ---------------------------------------------------------------------------------------

    def _npm_pages(self, package: str, tried: list[str]) -> list[str]:
        try:
            registry = _npm_registry()
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(f"npm, which knows its registry, cannot be asked: {error}")
            return []
        return [f"{registry.rstrip('/')}/{quote(package, safe='@')}"]

    def _tarball(self, page: str, version: str) -> str:
        with self.open(page, {"Accept": "application/json"}) as answer:
            about = json.load(answer)
        try:
            return str(about["versions"][version]["dist"]["tarball"])
        except (KeyError, TypeError):
            raise LookupError(f"there is no version {version}") from None

    def _without_password(self, address: str) -> str:
        """The address as it may be shown. Name and password are kept for its host."""
        parts = urlsplit(address)
        password, at, host = parts.netloc.rpartition("@")
        if at:
            self._passwords[host] = password
        return urlunsplit(parts._replace(netloc=host))


class _Links(HTMLParser):
    """The links of a page by the names of the files that they lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page, self.found = page, dict[str, str]()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        address = dict(attributes).get("href") or ""
        if tag == "base" and address:
            self.page = urljoin(self.page, address)
        elif tag == "a" and address:
            address = urldefrag(urljoin(self.page, address))[0]
            self.found.setdefault(unquote(urlsplit(address).path.rpartition("/")[2]), address)


def why(error: Exception) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        return why(error.reason)
    if isinstance(error, KeyError):
        return repr(error)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def _as_address(place: str) -> str:
    """An address for a place that may be a path of this machine."""
    return place if "://" in place or place.startswith("file:") else Path(place).resolve().as_uri()


def _pip_settings() -> dict[str, str]:
    """pip's configuration, told by pip itself; of the environment alone where there is no pip."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    lines = asked.stdout.splitlines() if asked.returncode == 0 else []
    settings: dict[str, str] = {}
    for section in ("global", "install", "download"):  # later ones go before earlier ones
        for line in lines:
            key, equals, value = line.partition("=")
            if equals and key.startswith(f"{section}."):
                settings[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            settings[name[4:].lower().replace("_", "-")] = value
    if "default-timeout" in settings:  # one option of pip under two names
        settings.setdefault("timeout", settings["default-timeout"])
    return settings


def _default_index() -> str:
    """The index that pip asks when nothing is configured. pip alone knows its address."""
    try:
        return str(_part_of_pip("_internal.models.index").PyPI.simple_url)
    except (ImportError, AttributeError):
        return ""


def _certificates(file: str | None) -> ssl.SSLContext:
    """Whom to trust: the file that pip is told to use, or else the system and what pip brings."""
    context = ssl.create_default_context(cafile=file)
    if file is None:
        with suppress(ImportError, AttributeError, OSError):
            context.load_verify_locations(_part_of_pip("_vendor.certifi").where())
    return context


def _part_of_pip(name: str) -> Any:
    """A module of pip's, without what pip says about setuptools when it is loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"pip.{name}")


def _npm_registry() -> str:
    """The registry that npm would ask."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(name):
            return os.environ[name]
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(
            "it is not installed, and the environment variable npm_config_registry is not set"
        )
    asked = subprocess.run(
        [npm, "config", "get", "registry"], capture_output=True, encoding="utf-8", check=True
    )
    return asked.stdout.strip()
