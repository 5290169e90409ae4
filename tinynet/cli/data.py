"""`data list`, `data get` and `data info`: the data sets, and what is here of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinynet.errors import ArgumentError


def declare(add: Callable[..., Any]) -> None:
    """Put the command into the parser."""
    data = add("data", _data, "the data sets: list them, get them, say what they are")
    data.add_argument(
        "what",
        nargs="?",
        choices=["list", "get", "info"],
        default="list",
        help="list: what there is, and what of it is here; get: fetch, check and keep; "
        "info: source, terms and counts",
    )
    data.add_argument("names", nargs="*", metavar="NAME", help="some data sets; `all` for all")


def _data(args: Any) -> int:
    from tinynet.data.catalogue import CATALOGUE, find

    names = list(CATALOGUE) if args.names == ["all"] else args.names
    entries = {name: find(name) for name in names}
    if args.what != "list" and not entries:
        raise ArgumentError(f"data {args.what}: which one?", hint=f"{', '.join(CATALOGUE)}, all")
    {"list": _list, "get": _get, "info": _info}[args.what](entries or CATALOGUE)
    return 0


def _list(entries: dict[str, Any]) -> None:
    from tinynet.data import cache_folder, is_cached

    print(f"{'name':<16}{'download':>9}  {'here':<6}what")
    for name, entry in entries.items():
        size = f"{entry.source.size / 1e6:.1f} MB" if entry.source else "–"
        here = "yes" if entry.source is None or is_cached(entry.source) else "no"
        print(f"{name:<16}{size:>9}  {here:<6}{entry.line}")
    print(f"\nkept in {cache_folder()}; the environment variable TINYNET_DATA names another folder")


def _get(entries: dict[str, Any]) -> None:
    from tinynet.data import fetch

    for name, entry in entries.items():
        where = fetch(entry.source) if entry.source else "ships with the package"
        print(f"{name:<16}{where}", flush=True)


def _info(entries: dict[str, Any]) -> None:
    from tinynet.data import cache_folder

    for i, (name, entry) in enumerate(entries.items()):
        print(("\n" if i else "") + name)
        print(entry.about)
        if entry.loader:
            print(f"\n   load     tinynet.data.{entry.loader}()")
        if entry.source is not None:
            source = entry.source
            print(f"   file     {source.file}, {source.size:,} bytes, from {source.kind}")
            print(f"   SHA-256  {source.sha256}")
            for member in source.members:
                print(f"   holds    {member.name}, {member.size:,} bytes")
            print(f"   kept in  {cache_folder() / source.name}")
