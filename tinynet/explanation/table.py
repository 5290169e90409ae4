"""Tables of counts and sizes, as text and as HTML that a narrow page can scroll."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Lines = Sequence[Sequence[str]]  # the first has the names of the columns


def as_text(lines: Lines, words: int = 1) -> str:
    """Columns side by side: the first ones are words, and the others numbers.

    >>> print(as_text([["op", "flops"], ["add", "20"]]))
    op   flops
    add     20
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i < words else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_html(lines: Lines, words: int = 1, after: Sequence[str] = ()) -> str:
    """The same as a table, and sentences after it. Long names in the first column are broken."""
    rows = []
    for kind, line in zip(["th"] + ["td"] * len(lines), lines, strict=False):
        cells = []
        for i, cell in enumerate(line):
            style = f"padding:0.1em 0.5em 0.1em 0;text-align:{'left' if i < words else 'right'};"
            style += "white-space:nowrap" if i and kind == "td" else _BROKEN
            cells.append(f'<{kind} style="{style}">{escape(cell)}</{kind}>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    told = "".join(f"<li>{escape(text)}</li>" for text in after)
    return (
        '<div style="overflow-x:auto"><table style="font-variant-numeric:tabular-nums">'
        f"{''.join(rows)}</table></div>" + (f"<ul>{told}</ul>" if told else "")
    )


_BROKEN = "max-width:13em;overflow-wrap:break-word"
