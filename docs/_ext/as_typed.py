"""Two things that go wrong on the way to a page, put right.

A kernel sends what a cell prints in pieces, and a piece may end anywhere. They are joined as they
came; myst-nb would end a line at the end of each.

A browser may break a line between a formula and the comma behind it. They are held together.
"""

from __future__ import annotations

from typing import Any

CLOSING = ".,:;!?)]”’"


def joined(outputs: list[Any]) -> list[Any]:
    """The outputs of a cell, with one for all that was printed, where the first piece stood."""
    kept: list[Any] = []
    streams: dict[str, Any] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            kept.append(output)
        elif output["name"] in streams:
            streams[output["name"]]["text"] += output["text"]
        else:
            streams[output["name"]] = output
            kept.append(output)
    for output in streams.values():
        output["text"] = output["text"].rstrip() + "\n"
    return kept


def split_closing(text: str) -> tuple[str, str]:
    """The signs at the beginning of a text that must not begin a line, and the rest."""
    rest = text.lstrip(CLOSING)
    return text[: len(text) - len(rest)], rest


def setup(app: Any) -> dict[str, bool]:
    from docutils import nodes  # here, for the tests run without them
    from myst_nb.core import render
    from sphinx.transforms.post_transforms import SphinxPostTransform

    class HoldTogether(SphinxPostTransform):  # type: ignore[misc]
        """A formula and the punctuation behind it, in a span of class `together`."""

        default_priority = 900
        formats = ("html",)

        def run(self, **_: Any) -> None:
            for formula in list(self.document.findall(nodes.math)):
                after = formula.next_node(descend=False, siblings=True)
                if not isinstance(after, nodes.Text):
                    continue
                signs, rest = split_closing(str(after))
                if signs:
                    after.parent.replace(after, nodes.Text(rest))
                    together = nodes.inline(classes=["together"])
                    formula.replace_self(together)
                    together += [formula, nodes.Text(signs)]

    render.coalesce_streams = joined
    app.add_post_transform(HoldTogether)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
