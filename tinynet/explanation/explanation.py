"""What `tn.explain` gives: one computation, as steps, as text and as pictures."""

from __future__ import annotations

from html import escape

from tinynet.explanation.chain import ENTRIES, Line, Link, bar, gathered, links, total, valued
from tinynet.explanation.drawing import mermaid, svg
from tinynet.explanation.graph import Graph, Value, in_words
from tinynet.explanation.page import page
from tinynet.files import write_atomically

MOST = 6  # leaves that are named in its repr


class Explanation:
    """The chain rule of one computation.

    graph     its values and steps, in the order of the forward pass
    steps     its chain: what each step computed and hands back, from the loss to the leaves

    >>> import tinynet as tn
    >>> w = tn.tensor(3.0, requires_grad=True, name="w")
    >>> why = tn.explain((w * 2 - 1) ** 2)
    >>> print(why.markdown().splitlines()[0])
    **Forward**
    >>> for link in why.steps:
    ...     print(*(line.formula for line in link.lines))
    \\bar{v}_{2} = 2 \\, \\bar{L} \\, v_{2}
    \\bar{v}_{1} = \\bar{v}_{2}
    \\bar{w} = 2 \\, \\bar{v}_{1}
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Link] = links(graph)

    def __repr__(self) -> str:
        names = [v.name for v in self.graph.leaves if v.grad is not None]
        leaves = ", ".join(names[:MOST])
        if len(names) > MOST:
            leaves += f" and {len(names) - MOST} more"
        return f"<Explanation of {self.graph.loss.name}: {len(self.steps)} steps back to {leaves}>"

    def svg(self, path: str | None = None) -> str:
        """The graph as a stand-alone SVG picture.

        path   the inside of one module, its parts folded; "" is the outermost. By default all steps
               are shown or, where they are more than 40 and a model was given, its modules

        Raises ArgumentError where the module took no step.
        """
        return svg(self.graph, path)

    def mermaid(self, path: str | None = None) -> str:
        """The graph in Mermaid's notation for flow charts, with `path` as in `svg`."""
        return mermaid(self.graph, path)

    def markdown(self) -> str:
        """The derivation as Markdown with formulas between dollar signs."""
        parts = ["**Forward**", "", ENTRIES, ""]
        parts += [_item(link.forward, link.step.output) for link in reversed(self.steps)]
        parts += ["", "**Backward**", "", f"1. ${bar(self.graph.loss)} = 1$"]
        for link in self.steps:
            parts += [f"1. ${link.gathered}$"] if link.gathered else []
            parts += [_handed(line) for line in link.lines]
        parts += ["", "**Gradients**", ""]
        for leaf in self.graph.leaves:
            if leaf.grad is not None:
                parts.append(f"- ${valued(total(self.graph, leaf), leaf.grad)}$")
        return "\n".join(parts) + "\n"

    def html(self, path: str | None = None) -> str:
        """The three views as one page: the graph, the derivation, and the replay with a slider.

        path   a file to write it to; one that exists is replaced as a whole
        """
        text = page(self.graph, self.steps)
        if path is not None:
            with write_atomically(path, text=True) as file:
                file.write(text)
        return text

    def _repr_html_(self) -> str:
        frame = escape(self.html(), quote=True)
        return f'<iframe srcdoc="{frame}" style="width:100%;height:36em;border:0"></iframe>'

    def latex(self) -> str:
        """The backward pass as one `align*` block."""
        rows = [rf"{bar(self.graph.loss)} = 1"]
        for link in self.steps:
            rows += [link.gathered] if link.gathered else []
            rows += [line.formula for line in link.lines]
        rows += [sums for leaf in self.graph.leaves if (sums := gathered(leaf))]
        rows = [row.replace(" = ", " &= ", 1) for row in rows]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}\n"


def _item(formula: str, value: Value) -> str:
    shape = "" if value.shape == () else f", shape {in_words(value.shape)}"
    return f"1. ${valued(formula, value.array)}${shape}"


def _handed(line: Line) -> str:
    notes = "".join(f"; {note}" for note in line.notes)
    return f"1. ${valued(line.formula, line.gradient)}${notes}"
