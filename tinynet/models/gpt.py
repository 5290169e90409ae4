"""GPT: a language model whose every token looks back at all tokens before it.

    x_n = e(token n) + p(n)
    x ← x + attention(norm(x)),   x ← x + mlp(norm(x))        once for each layer
    P(x_(n+1) given x_1 … x_n) = softmax(W norm(x)_n)

The norms stand before the two parts ("pre-norm"), so that a sum of untouched x runs from the first
layer to the last, and gradients with it. A token must not see those that follow: causal attention.
So all T predictions of a row are trained at once, and a key or value never changes when the text
goes on. It can be kept: **the key–value cache**. With it a new token costs one row of each product
instead of T.

Weight tying: with W = the table of embeddings, a token's row says both what it means when read and
what must be there for it to be written.

Source: document D, 4.3, corrected (h_n in the place of x_n); A. Vaswani and others, "Attention Is
All You Need", 2017, for attention; A. Radford and others, "Language Models are Unsupervised
Multitask Learners", 2019, for the order of the parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, OutOfRangeError
from tinynet.models.language import LanguageModel
from tinynet.nn import functional as F


@dataclass(frozen=True)
class GPTConfig:
    """window: the longest text it can look at; width of x; tied: W is the table of embeddings."""

    tokens: int = 62
    window: int = 128
    width: int = 128
    layers: int = 4
    heads: int = 4
    dropout: float = 0.2
    tied: bool = True

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ArgumentError(
                "each head has its share of the width",
                expected="heads that divide width",
                got=f"width={self.width}, heads={self.heads}",
            )


class GPT(LanguageModel):
    """ids (n, t) → scores (n, t, tokens), t ≤ window.

    >>> GPT(GPTConfig(tokens=5, width=8, heads=2))(tn.tensor([[1, 4, 2]])).shape
    (1, 3, 5)
    """

    Config = GPTConfig

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.window = config.window
        self.tokens = nn.Embedding(config.tokens, config.width)
        self.positions = nn.Embedding(config.window, config.width)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.width)
        if not config.tied:
            self.output = nn.Linear(config.width, config.tokens, bias=False)
        _first_weights(self)

    def read(self, ids: tn.Tensor, past: Any = None) -> tuple[tn.Tensor, Any]:
        past = [None] * self.config.layers if past is None else past
        known = 0 if past[0] is None else past[0][0].shape[2]
        places = self._places(known, known + ids.shape[1], ids)
        x = self.drop(self.tokens(ids) + self.positions(places))  # (n, t, width)
        now = []
        for block, before in zip(self.blocks, past, strict=True):
            x, kept = block(x, before)
            now.append(kept)
        table = self.tokens.weight if self.config.tied else self.output.weight
        return F.linear(self.norm(x), table), now

    def attention_maps(self, ids: tn.Tensor) -> list[tn.Tensor]:
        """How much each token (row) looks at each (column): (n, heads, t, t) of each layer."""
        x = self.tokens(ids) + self.positions(self._places(0, ids.shape[1], ids))
        maps = []
        for block in self.blocks:
            maps.append(block.attention.weights(block.norm1(x)))
            x, _ = block(x)
        return maps

    def _places(self, start: int, end: int, ids: tn.Tensor) -> tn.Tensor:
        if end > self.config.window:
            raise OutOfRangeError(
                f"the text has {end} tokens, and the window {self.config.window}",
                hint="models.sampling forgets the oldest tokens in good time",
            )
        return tn.arange(start, end, device=ids.device)


class Block(nn.Module):
    """One layer: tokens look at each other, then each thinks alone."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = CausalAttention(config)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, 4 * config.width),
            nn.GELU(),
            nn.Linear(4 * config.width, config.width),
            nn.Dropout(config.dropout),
        )

    def forward(self, x: tn.Tensor, past: Any = None) -> tuple[tn.Tensor, Any]:
        y, kept = self.attention(self.norm1(x), past)
        x = x + y
        return x + self.mlp(self.norm2(x)), kept


class CausalAttention(nn.Module):
    """softmax(Q Kᵀ/√d) V in each head, of which token n sees the first n rows."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.input = nn.Linear(config.width, 3 * config.width)
        self.output = nn.Linear(config.width, config.width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: tn.Tensor, past: Any = None) -> tuple[tn.Tensor, Any]:
        q, k, v = self._heads(x)
        if past is not None:
            k, v = tn.cat([past[0], k], dim=2), tn.cat([past[1], v], dim=2)
        t, s = q.shape[2], k.shape[2]  # new tokens, and all
        p = self.config.dropout if self.training else 0.0
        seen = None
        if 1 < t < s:  # new token i is number s − t + i of all; the last one sees them all
            seen = tn.ones(t, s, device=x.device).tril(s - t).bool()
        y = F.scaled_dot_product_attention(q, k, v, seen, p, is_causal=t == s)
        y = y.transpose(1, 2).flatten(2)  # (n, t, width)
        return self.drop(self.output(y)), (k, v)

    def weights(self, x: tn.Tensor) -> tn.Tensor:
        """The weights that `forward` does not keep, (n, heads, t, t)."""
        q, k, _ = self._heads(x)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        later = tn.ones(q.shape[2], q.shape[2], device=x.device).triu(1).bool()
        maps: tn.Tensor = scores.masked_fill(later, -math.inf).softmax(-1)
        return maps

    def _heads(self, x: tn.Tensor) -> list[tn.Tensor]:
        """Queries, keys and values, (n, heads, t, width / heads) each."""
        return list(self.input(x).unflatten(2, (3, self.config.heads, -1)).permute(2, 0, 3, 1, 4))


def _first_weights(model: GPT) -> None:
    """Small ones; and where 2 · layers parts are added to x, so much smaller that their sum has the
    spread of one.
    """
    for name, p in model.named_parameters():
        if p.ndim > 1:
            added = name.endswith(("attention.output.weight", "mlp.2.weight"))
            nn.init.normal_(p, 0.0, 0.02 / math.sqrt(2 * model.config.layers) if added else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(p)
