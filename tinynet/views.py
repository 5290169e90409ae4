"""Tensors that show the memory of another: `x[0]`, `x.T`, `x.reshape(...)`, where NumPy copies
nothing. A change in place of one is a change of all.
"""

from __future__ import annotations

from typing import Any

from tinynet.grad_mode import is_grad_enabled
from tinynet.tensor import Tensor


class View:
    """How a Tensor shows the memory of another, its parent: it is `op(parent, **options)`, taken
    when the parent's node was `node` and the memory had been changed `version` times.
    """

    __slots__ = ("node", "op", "options", "parent", "version")

    def __init__(self, parent: Tensor, op: Any, options: dict[str, Any]) -> None:
        self.parent, self.op, self.options = parent, op, options
        self.node, self.version = parent._node, parent._counter[0]


def renew(x: Tensor) -> None:
    """Where the parent of a view was changed in place, and recorded so, since the view was taken:
    take the view anew. Its values are right as they are; its place in the graph was not.
    """
    stale = []
    while is_grad_enabled() and x._base is not None and x._base.version != x._counter[0]:
        stale.append(x)
        x = x._base.parent
    for view in reversed(stale):
        base = view._base
        if base.parent._node is base.node or (view._requires_grad and view._node is None):
            base.version = view._counter[0]
        else:
            fresh = base.op(base.parent, **base.options)
            view._node, view._requires_grad = fresh._node, fresh._requires_grad
            view._base = fresh._base
