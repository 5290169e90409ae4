"""Attention without memory. The formula and its derivatives: `tinynet/derivations/attention.py`."""

from __future__ import annotations

from typing import Any

from tinynet import arrays, dtypes
from tinynet.derivations import attention
from tinynet.errors import ArgumentError, ShapeError, at_op, describe
from tinynet.random import default_generator
from tinynet.tensor import Tensor


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(Q Kᵀ · scale + mask) V: for each query the mean of the values, weighted by how well
    their keys fit. Shapes: query (…, L, E), key (…, S, E), value (…, S, Ev), y (…, L, Ev); the
    leading axes broadcast.

    attn_mask    broadcasts to (…, L, S). Booleans: True where a query may attend. Floats: added.
                 A query that may attend to nothing gets 0
    dropout_p    the probability with which a weight is dropped, always: there is no mode here
    is_causal    query i attends to the keys 0 … i; not together with a mask
    scale        1/√E unless given
    enable_gqa   grouped queries: query (…, H, L, E), key and value (…, H/n, S, E), of whose heads
                 each serves n heads of queries in a row

    No L × S matrix is kept for the backward pass, unless a dropped weight has to be remembered.
    Raises ShapeError, DTypeError or ArgumentError where the arguments do not fit.

    >>> import tinynet as tn
    >>> q, k, v = tn.tensor([[4.0], [0.0]]), tn.tensor([[1.0], [-1.0]]), tn.tensor([[1.0], [3.0]])
    >>> scaled_dot_product_attention(q, k, v)
    tensor([[1.0007],
            [2.0000]])
    """
    if is_causal and attn_mask is not None:
        raise ArgumentError("attention: is_causal is a mask already", hint="one of the two")
    if enable_gqa:
        query, key, value, attn_mask = _grouped(query, key, value, attn_mask)
    kept = _kept(query, key, value, dropout_p) if dropout_p else True
    mask = True if attn_mask is None else attn_mask
    y = attention.op(query, key, value, mask, kept, is_causal=is_causal, scale=scale, p=dropout_p)
    return y.flatten(-4, -3) if enable_gqa else y


def _kept(query: Any, key: Any, value: Any, p: float) -> Tensor:
    """For each weight, whether it stays: drawn anew at every call."""
    try:
        shape = attention.shape_of_scores(query, key, value)
    except ShapeError as error:
        raise at_op("attention", (query, key, value), error) from None
    source = default_generator(arrays.device_of(query.array))
    return Tensor(source.random(shape, dtypes.float32) >= p)


def _grouped(query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    """Heads of queries as (shared heads, n), over whose second axis keys and values broadcast."""
    if min(query.ndim, key.ndim, value.ndim) < 3 or (
        not key.shape[-3] or key.shape[-3] != value.shape[-3] or query.shape[-3] % key.shape[-3]
    ):
        raise ShapeError(
            "attention: heads of queries come in groups of one size for each head of keys",
            expected="query (…, n·H, L, E), key (…, H, S, E), value (…, H, S, Ev)",
            got=", ".join(map(describe, (query, key, value))),
        )
    heads = (key.shape[-3], query.shape[-3] // key.shape[-3])
    if mask is not None and mask.ndim > 2:
        mask = mask.unflatten(-3, heads if mask.shape[-3] > 1 else (1, 1))
    return query.unflatten(-3, heads), key.unsqueeze(-3), value.unsqueeze(-3), mask
