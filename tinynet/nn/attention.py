"""Attention with weights of its own, in several heads; and a memory for decoding step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.derivations.attention import weights as attention_weights
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.nn import functional, init
from tinynet.nn.layers import Linear
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter
from tinynet.ops.shape import cat
from tinynet.tensor import Tensor


class MultiheadAttention(Module):
    """Several attentions side by side, each on its own projections of queries, keys and values.

        head_h = attention(Q W_hᵠᵀ, K W_hᵏᵀ, V W_hᵛᵀ),      y = [head_1 … head_H] W_oᵀ + b_o

    Shapes: query (L, N, E), key (S, N, kdim), value (S, N, vdim), y (L, N, E); with `batch_first`
    (N, L, E) and so on; one sample alone has no N. `num_heads` divides `embed_dim`. Parameters:
    in_proj_weight (3E, E), or q_proj_weight, k_proj_weight, v_proj_weight where kdim or vdim
    differs; in_proj_bias (3E,); out_proj. The weights start Xavier uniform, the biases 0.

    add_bias_kv, add_zero_attn    one more key and value, learnt or 0, for every query to look at

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2.

    >>> import tinynet as tn
    >>> layer = MultiheadAttention(4, num_heads=2, batch_first=True)
    >>> x = tn.ones(1, 3, 4)
    >>> y, weights = layer(x, x, x)
    >>> y.shape, weights
    ((1, 3, 4), tensor([[[0.3333, 0.3333, 0.3333],
                         [0.3333, 0.3333, 0.3333],
                         [0.3333, 0.3333, 0.3333]]], grad_fn=<MeanBackward>))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if min(embed_dim, num_heads) <= 0 or embed_dim % num_heads:
            raise ArgumentError(
                "MultiheadAttention: num_heads divides embed_dim", got=f"{num_heads}, {embed_dim}"
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.head_dim = embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        kind = dtype or dtypes.get_default_dtype()

        def new(*shape: int) -> Parameter:
            return Parameter(np.zeros(shape, kind))

        one = self.kdim == self.vdim == embed_dim
        widths = {
            "q_proj_weight": embed_dim,
            "k_proj_weight": self.kdim,
            "v_proj_weight": self.vdim,
        }
        for name, width in widths.items():
            self.register_parameter(name, None if one else new(embed_dim, width))
        self.register_parameter("in_proj_weight", new(3 * embed_dim, embed_dim) if one else None)
        self.register_parameter("in_proj_bias", new(3 * embed_dim) if bias else None)
        self.register_parameter("bias_k", new(1, 1, embed_dim) if add_bias_kv else None)
        self.register_parameter("bias_v", new(1, 1, embed_dim) if add_bias_kv else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=kind)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def reset_parameters(self) -> None:
        """Draw the first weights again."""
        for name, p in self.named_parameters(recurse=False):
            if name in ("bias_k", "bias_v"):
                init.xavier_normal_(p)
            elif name != "in_proj_bias":
                init.xavier_uniform_(p)
        self.out_proj.reset_parameters()
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """(y, weights). A True in a mask forbids, as in PyTorch, and unlike in
        `functional.scaled_dot_product_attention`; floats are added to the scores.

        key_padding_mask    (N, S): keys at which no query may look
        attn_mask           (L, S), or (N·num_heads, L, S) for each sample and head
        need_weights        whether to return the weights too, (N, L, S): the mean over the heads,
                            or (N, num_heads, L, S) without `average_attn_weights`. This keeps
                            L × S matrices; without it none is kept
        is_causal           a promise that attn_mask is causal: then it need not be read

        A query that may look at nothing gets weights 0 (in PyTorch NaN, where weights are needed).
        """
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise ArgumentError(
                "MultiheadAttention: is_causal says what attn_mask is, and there is none",
                hint="attn_mask=nn.Transformer.generate_square_subsequent_mask(L)",
            )
        batched = query.ndim == 3
        query, key, value = (self._batch_first(x) for x in (query, key, value))
        sizes = (*query.shape[:2], key.shape[1])
        mask = self._mask(attn_mask, key_padding_mask, sizes, batched)
        q, k, v = map(self._heads, self._projected(query, key, value))
        if self.add_zero_attn:
            k, v = (cat([x, np.zeros_like(x[:, :, :1])], 2) for x in (k, v))
        weights = None
        p = self.dropout if self.training else 0.0
        if need_weights:
            weights = functional.dropout(attention_weights(q, k, mask), p)
            y = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights[0]
        else:
            causal = is_causal and key_padding_mask is None and k.shape[2] == key.shape[1]
            y = functional.scaled_dot_product_attention(
                q, k, v, None if causal or mask is True else mask, p, causal
            )
        y = self.out_proj(y.transpose(1, 2).flatten(2))
        if not batched:
            return y[0], weights
        return y if self.batch_first else y.transpose(0, 1), weights

    def _batch_first(self, x: Any) -> Any:
        if x.ndim == 2:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)

    def _projected(self, *inputs: Any) -> list[Any]:
        """Queries, keys and values (N, T, E), the learnt key and value at their end."""
        packed, bias = self.in_proj_weight, self.in_proj_bias
        if packed is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        else:
            weights = packed.chunk(3)
        biases = [None] * 3 if bias is None else bias.chunk(3)
        q, *rest = map(functional.linear, inputs, weights, biases)
        if self.bias_k is not None:
            n, _, width = q.shape
            more = (self.bias_k, self.bias_v)
            rest = [cat([x, b.expand(n, 1, width)], 1) for x, b in zip(rest, more, strict=True)]
        return [q, *rest]

    def _heads(self, x: Any) -> Any:
        """(N, T, E) as (N, num_heads, T, E / num_heads)."""
        return x.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _mask(
        self, attn_mask: Any, padding: Any, sizes: tuple[int, int, int], batched: bool
    ) -> Any:
        """What both masks allow, or add, as (N or 1, num_heads or 1, L or 1, S); True if all."""
        n, length, keys = sizes
        every, each = (length, keys), (n * self.num_heads, length, keys)
        if attn_mask is not None:
            self._check_mask("attn_mask", attn_mask, (every, each))
            heads = (1, 1) if attn_mask.ndim == 2 else (n, self.num_heads)
            attn_mask = attn_mask.reshape(*heads, length, keys)
        if padding is not None:
            self._check_mask("key_padding_mask", padding, ((n, keys) if batched else (keys,),))
            padding = padding.reshape(n, 1, 1, keys)
        given = [m for m in (attn_mask, padding) if m is not None]
        if not given:
            return True
        if all(m.dtype == bool for m in given):
            mask = ~given[0] if len(given) == 1 else ~(given[0] | given[1])
        else:
            mask = sum(_added(m, self.out_proj.weight.dtype) for m in given)
        more = (self.bias_k is not None) + self.add_zero_attn
        return functional.pad(mask, (0, more), value=mask.dtype == bool) if more else mask

    def _check_mask(self, name: str, mask: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
        if mask.shape not in shapes:
            raise ShapeError(
                f"MultiheadAttention: {name} does not fit",
                expected=" or ".join(map(str, shapes)),
                got=describe(mask),
            )
        if mask.dtype not in (bool, self.out_proj.weight.dtype):
            raise DTypeError(
                f"MultiheadAttention: {name} is of booleans, or of floats as the weights are",
                got=describe(mask),
            )

    def _check(self, query: Any, key: Any, value: Any) -> None:
        batch = 0 if self.batch_first else 1
        if (
            query.ndim not in (2, 3)
            or not query.ndim == key.ndim == value.ndim
            or (query.shape[-1], key.shape[-1], value.shape[-1])
            != (self.embed_dim, self.kdim, self.vdim)
            or key.shape[:-1] != value.shape[:-1]
            or (query.ndim == 3 and query.shape[batch] != key.shape[batch])
        ):
            order = ("N, {}, {}" if self.batch_first else "{}, N, {}").format
            sizes = ((order("L", self.embed_dim)), order("S", self.kdim), order("S", self.vdim))
            raise ShapeError(
                "MultiheadAttention: the sizes do not fit",
                expected=", ".join(f"({s})" for s in sizes) + ", or all three without N",
                got=", ".join(map(describe, (query, key, value))),
            )


def _added(mask: Any, dtype: Any) -> Any:
    """A mask as floats to be added: −∞ where a boolean one forbids."""
    if mask.dtype != bool:
        return mask
    return Tensor(np.where(mask.array, -np.inf, 0.0).astype(dtype))


class KeyValueCache:
    """The keys and values of the tokens so far, so that the next one need not compute them again.

    A token attends to itself and to those before it, whose keys and values do not change when the
    text goes on. Decoding T tokens one by one then costs O(T²) and not O(T³), and gives what causal
    attention to the whole text gives. `len(cache)` is the number of tokens, and the `offset` for
    `RotaryPositions`, which turn queries and keys before they come here.

    >>> import tinynet as tn
    >>> cache, x = KeyValueCache(), tn.tensor([[[1.0], [2.0], [3.0]]])
    >>> steps = [cache.attend(x[:, t : t + 1], x[:, t : t + 1], x[:, t : t + 1]) for t in range(3)]
    >>> tn.cat(steps, 1) - functional.scaled_dot_product_attention(x, x, x, is_causal=True)
    tensor([[[0.],
             [0.],
             [0.]]])
    >>> len(cache)
    3
    """

    def __init__(self) -> None:
        self.keys: Any = None
        self.values: Any = None

    def __len__(self) -> int:
        return 0 if self.keys is None else int(self.keys.shape[-2])

    def attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        """Add the next T tokens, of one batch with those before, and attend: each of them to all up
        to itself. Shapes: query (…, T, E), key (…, T, E), value (…, T, Ev), y (…, T, Ev).
        """
        past, new = len(self), key.shape[-2]
        if query.shape[-2] != new or value.shape[-2] != new:
            raise ShapeError(
                "KeyValueCache: a query, a key and a value for each token are expected",
                got=", ".join(map(describe, (query, key, value))),
            )
        if past:
            key, value = cat([self.keys, key], -2), cat([self.values, value], -2)
        self.keys, self.values = key, value
        mask = None
        if past and new > 1:
            rows = np.arange(past, past + new, like=query.array)
            mask = Tensor(np.arange(past + new, like=query.array) <= rows[:, None])
        return functional.scaled_dot_product_attention(
            query, key, value, mask, 0.0, not past, scale, enable_gqa
        )
