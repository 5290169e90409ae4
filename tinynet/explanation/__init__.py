"""Why is the gradient what it is? One computation, explained step by step.

In: `explain` (called, it explains a loss), `graph` (the values and steps that were recorded),
`chain` (the chain rule written out), `symbols` (a rule run on letters gives its own formula),
`structured` (index formulas). Not in: checks (`check`), pictures of data (`plot`).

Start with `graph`.
"""

from __future__ import annotations

from typing import Any

from tinynet.explanation.explanation import Explanation
from tinynet.explanation.graph import Names, trace

__all__ = ["Explanation", "explain"]


class _Explain:
    """Called with a loss, explains it."""

    def __call__(self, loss: Any, names: Names = None) -> Explanation:
        """The chain rule of the computation behind `loss`, step by step: an `Explanation`.

        names   what values are called in formulas: {"z": z, "ŷ": prediction}. Tensors made with
                `tn.tensor(..., name=)` have names already.

        Raises ArgumentError where loss is no Tensor, GraphError where nothing was recorded or the
        graph was freed by `backward()`.

        >>> import tinynet as tn
        >>> a = tn.tensor(1.0, requires_grad=True, name="a")
        >>> b = a + a
        >>> tn.explain(b + b, {"b": b})
        <Explanation of L: 2 steps back to a>
        """
        return Explanation(trace(loss, names))


explain = _Explain()
