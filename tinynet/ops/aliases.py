"""PyTorch's second names: the same function, spelled differently. Nothing is computed here."""

from __future__ import annotations

from tinynet.ops import elementwise, pieces, products, shape  # noqa: F401  they make the names
from tinynet.ops.public import exports, methods, public

ALIASES = {
    "absolute": "abs",
    "negative": "neg",
    "multiply": "mul",
    "subtract": "sub",
    "divide": "div",
    "true_divide": "div",
    "clip": "clamp",
    "fix": "trunc",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "swapdims": "swapaxes",
    "moveaxis": "movedim",
    "concat": "cat",
    "concatenate": "cat",
    "ger": "outer",
    "row_stack": "vstack",
    "sgn": "sign",
    "vdot": "dot",
}

for _alias, _name in ALIASES.items():
    public(exports[_name], name=_alias, as_method=_name in methods)
