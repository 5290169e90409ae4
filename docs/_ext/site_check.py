"""Looks at the site when it is built: a warning for each link that leads nowhere, for whatever a
page would fetch from the network, and for a chapter that ran too long. ``make docs`` fails on
warnings.

Links to other sites are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LOADED = {"audio", "iframe", "img", "link", "script", "source", "video"}  # come with the page


class Page(HTMLParser):
    """The anchors of a page, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.references: list[tuple[str, str]] = []  # (tag, where to)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors.add(found.get("id") or "")
        if tag == "a":
            self.anchors.add(found.get("name") or "")
        reference = found.get("href") or found.get("src")
        if reference and not (tag == "link" and found.get("rel") == "canonical"):
            self.references.append((tag, reference))


def problems(site: Path, allowed: tuple[str, ...] = ()) -> Iterator[tuple[Path, str]]:
    """(page, what is wrong there). What begins with something `allowed` may be fetched."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for tag, reference in page.references:
            url = urlsplit(reference)
            if url.scheme in ("data", "mailto", "javascript"):
                continue
            if url.scheme or url.netloc:
                if tag in LOADED and not reference.startswith(allowed):
                    yield path, f"needs the network for {reference}"
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield path, f"links to {reference}, which is not there"
            elif target in pages and unquote(url.fragment) not in pages[target].anchors:
                yield path, f"links to {reference}: {target.name} has no such place"


def look(app: Any, exception: Exception | None) -> None:
    """The check of the site that was just built."""
    from sphinx.util import logging  # here, for the tests run without Sphinx

    if exception or app.builder.name != "html":
        return
    log = logging.getLogger(__name__)
    site = Path(app.outdir).resolve()
    allowed = tuple(filter(None, [app.config.mathjax_path]))  # where it could not be copied
    for path, problem in problems(site, allowed):
        log.warning("%s %s", path.relative_to(site), problem)
    for name, about in getattr(app.env, "nb_metadata", {}).items():
        seconds = (about.get("exec_data") or {}).get("runtime") or 0
        if name.startswith("chapters/") and seconds > app.config.chapter_seconds:
            limit = app.config.chapter_seconds
            log.warning("%s ran for %.0f s; a chapter may take %d", name, seconds, limit)


def setup(app: Any) -> dict[str, bool]:
    app.add_config_value("chapter_seconds", 120, "")
    app.connect("build-finished", look)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
