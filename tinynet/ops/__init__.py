"""The table of derivatives: what a calculus book has on its inside cover, one or two lines each.

In: primitives with their rules, PyTorch's names for them, creation of Tensors. A rule that needs a
proof is not here but in `derivations/`; how an op is declared, applied and recorded stands in
`op.py` and `dispatch.py`.

Start with `elementwise.py`; then `activations.py`, `reductions.py`, `products.py`, `shape.py`,
`indexing.py`, `creation.py`, `moving.py`. `public.py` gives each its public name.
"""

from tinynet.ops import (
    activations,
    creation,
    elementwise,
    indexing,
    inplace,
    moving,
    products,
    reductions,
    saving,
    shape,
)
from tinynet.ops.public import exports, methods

__all__ = [
    "activations",
    "creation",
    "elementwise",
    "exports",
    "indexing",
    "inplace",
    "methods",
    "moving",
    "products",
    "reductions",
    "saving",
    "shape",
]
