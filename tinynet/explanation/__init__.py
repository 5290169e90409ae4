"""Why is the gradient what it is? One computation, explained step by step.

In: `explain` (called, it explains a loss; with `.cost`, `.health`, `.recursion`), `graph` (the
values and steps that were recorded), `chain` (the chain rule written out), `symbols` (a rule run on
letters gives its own formula), `formulas` (index formulas), `names`, `folding`, `layout`,
`drawing`, `mathml`, `page` and `table` (how it is shown), `counting` (what it costs), `recursion`
(why order matters), `health`. Not in: checks (`check`), pictures of data (`plot`).

Start with `graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinynet.explanation.counting import Costs, costs
from tinynet.explanation.explanation import Explanation
from tinynet.explanation.graph import Names, trace, trace_of_number
from tinynet.explanation.health import Health, examine
from tinynet.explanation.recursion import Recursions

__all__ = ["Explanation", "explain"]


class _Explain:
    """Called with a loss, explains it."""

    def __call__(self, loss: Any, names: Names = None) -> Explanation:
        """The chain rule of the computation behind `loss`, step by step: an `Explanation`.

        names   what values are called in formulas: {"z": z, "ŷ": prediction}. Tensors made with
                `tn.tensor(..., name=)` have names already.

        Raises ArgumentError where loss is no Tensor, GraphError where it is not one number, nothing
        was recorded, or the graph was freed by `backward()`.

        >>> import tinynet as tn
        >>> a = tn.tensor(1.0, requires_grad=True, name="a")
        >>> b = a + a
        >>> tn.explain(b + b, {"b": b})
        <Explanation of L: 2 steps back to a>
        """
        return Explanation(trace_of_number(loss, names))

    def cost(self, loss: Any, names: Names = None) -> Costs:
        """FLOPs, bytes read and written, and bytes kept for the backward pass, counted step by
        step: `.rows`, `.by_op()`, `.by_module()`, `.forward`, `.backward`, `.kept`.

        Errors as of `explain`, but a value of any shape will do. What counts as a flop: see
        `explanation/counting.py`.

        >>> import tinynet as tn
        >>> W = tn.ones(3, 4, requires_grad=True)
        >>> tn.explain.cost((tn.ones(2, 3) @ W).sum()).forward.flops  # 2·2·3·4, and 7 additions
        55
        """
        return costs(trace(loss, names), names)

    def recursion(self, loss: Any, names: Names = None) -> Recursions:
        """Why order matters: the tape's way back beside two naive recursions, with the number of
        visits and the gradient of each value.

        Errors as of `explain`; OutOfRangeError where a recursion makes more than 100,000 visits.

        >>> import tinynet as tn
        >>> a = tn.tensor(1.0, requires_grad=True, name="a")
        >>> b = a + a
        >>> tn.explain.recursion(b + b, {"b": b})
                newest first  passing arrivals  passing sums
        a       4 in 1        4 in 4            6 in 4
        b       2 in 1        2 in 2            2 in 2
        L       1 in 1        1 in 1            1 in 1
        visits  3             7                 7
        """
        return Recursions(trace_of_number(loss, names))

    def health(self, model: Any, batch: Any, loss: Callable[..., Any] | None = None) -> Health:
        """One forward and backward pass, layer by layer: size of the activations and gradients,
        dead and saturated units, how large a step would be; and a verdict in words.

        batch   (inputs, targets)
        loss    loss(model(inputs), targets) is the loss; by default cross-entropy where the targets
                are classes, and the mean square where they are numbers of the output's shape

        The model's `.grad` are left as they were. Raises ArgumentError for another kind of batch.

        >>> import tinynet as tn
        >>> tn.manual_seed(0)
        <tinynet.random.Generator object at ...>
        >>> layers = [m for _ in range(20) for m in (tn.nn.Linear(8, 8), tn.nn.Sigmoid())]
        >>> model, batch = tn.nn.Sequential(*layers), (tn.randn(16, 8), tn.randn(16, 8))
        >>> tn.explain.health(model, batch).verdict[0].partition(":")[0]
        'the gradient vanishes on its way back'
        """
        return examine(model, batch, loss)


explain = _Explain()
