"""What the extensions share that write a part of a page when the site is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def written(app: Any, page: str, write: Callable[[str], str]) -> dict[str, bool]:
    """Let `write` make the text of a page from its source, in each build: the page depends on the
    package and on files elsewhere, which Sphinx does not watch. What `setup` has to return.
    """

    def fill_in(app: Any, docname: str, source: list[str]) -> None:
        if docname == page:
            source[0] = write(source[0])

    app.connect("source-read", fill_in)
    app.connect("env-get-outdated", lambda *_: [page])
    return {"parallel_read_safe": True, "parallel_write_safe": True}
