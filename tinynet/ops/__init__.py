"""The table of derivatives: what a calculus book has on its inside cover, one or two lines each.

In: primitives with their rules, PyTorch's names for them, creation of Tensors. A rule that needs a
proof is not here but in `derivations/`; how an op is declared, applied and recorded stands in
`op.py` and `dispatch.py`.

Start with `elementwise.py`; then `activations.py`, `reductions.py`, `scans.py`, `products.py`,
`linalg.py`, `shape.py`, `pieces.py`, `indexing.py`, `sorting.py`, `creation.py`, `moving.py`. What
is made of these without a rule of its own stands in `composed.py` and `arranging.py`.
`public.py` gives each its public name.
"""

from tinynet.ops import (
    activations,
    aliases,
    arranging,
    composed,
    creation,
    elementwise,
    facts,
    indexing,
    inplace,
    kinds,
    linalg,
    moving,
    pieces,
    products,
    reductions,
    saving,
    scans,
    shape,
    sorting,
)
from tinynet.ops.public import exports, methods

__all__ = [
    "activations",
    "aliases",
    "arranging",
    "composed",
    "creation",
    "elementwise",
    "exports",
    "facts",
    "indexing",
    "inplace",
    "kinds",
    "linalg",
    "methods",
    "moving",
    "pieces",
    "products",
    "reductions",
    "saving",
    "scans",
    "shape",
    "sorting",
]
