"""BERT: an encoder in which every token looks at every other, left and right.

    x = norm(word + place + kind)                   three embeddings of each token
    x = norm(x + attention(x))                      in each block: every token asks all tokens,
    x = norm(x + W2 gelu(W1 x + b1) + b2)           then thinks for itself

The norm stands behind each sum, as in the first Transformer. No token is hidden from another, so
the network cannot write a text; it learns by filling gaps, and its states are read by a head.

Source: document D, 5.2; Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding", 2019. Sentence vectors: Reimers and Gurevych, "Sentence-BERT: Sentence
Embeddings using Siamese BERT-Networks", 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import tinynet as tn
from tinynet import nn
from tinynet.models.pretrained import Pretrained
from tinynet.nn import functional as F


@dataclass(frozen=True)
class BertConfig:
    """By default the sizes of MiniLM: 22.6 million numbers, half of them in the vocabulary.

    places     the longest text, in tokens
    kinds      first and second text of a pair
    classes    of the head of `BertForClassification`
    dropout    of what each part adds; attention_dropout of the weights of attention
    """

    vocabulary: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    hidden: int = 1536
    places: int = 512
    kinds: int = 2
    classes: int = 2
    dropout: float = 0.1
    attention_dropout: float = 0.0
    eps: float = 1e-12


class SelfAttention(nn.Module):
    """Every token asks all tokens: x (n, t, d), mask (n, 1, 1, t) → (n, t, d)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads, self.p = config.heads, config.attention_dropout
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def split(self, x: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor, tn.Tensor]:
        """Queries, keys and values: (n, heads, t, d / heads) each."""
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).unbind(2)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def forward(self, x: tn.Tensor, mask: tn.Tensor | None) -> tn.Tensor:
        q, k, v = self.split(x)
        p = self.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p)
        joined: tn.Tensor = self.out(y.transpose(1, 2).flatten(2))
        return joined

    def weights(self, x: tn.Tensor, mask: tn.Tensor | None) -> tn.Tensor:
        """How much token i takes from token j, which `forward` keeps no record of:
        (n, heads, t, t).
        """
        q, k, _ = self.split(x)
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        P: tn.Tensor = F.softmax(scores, -1)
        return P


class Block(nn.Module):
    """Attention, then a small network for each token; each is added, and the sum is normed."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.norm1 = nn.LayerNorm(config.width, eps=config.eps)
        self.up = nn.Linear(config.width, config.hidden)
        self.down = nn.Linear(config.hidden, config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=config.eps)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: tn.Tensor, mask: tn.Tensor | None) -> tn.Tensor:
        x = self.norm1(x + self.drop(self.attention(x, mask)))
        y: tn.Tensor = self.norm2(x + self.drop(self.down(F.gelu(self.up(x)))))
        return y


class Bert(nn.Module, Pretrained):
    """ids (n, t) → a state for each token (n, t, width).

    mask    (n, t), True where there is a token; all by default
    kinds   (n, t), 1 in the second text of a pair; 0 by default

    >>> import tinynet as tn
    >>> model = Bert(BertConfig(vocabulary=9, width=8, layers=1, heads=2, hidden=16, places=5))
    >>> model(tn.tensor([[2, 7, 3]])).shape, model.embed(tn.tensor([[2, 7, 3]])).shape
    ((1, 3, 8), (1, 8))
    """

    Config = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Embedding(config.places, config.width)
        self.kinds = nn.Embedding(config.kinds, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.eps)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.apply(initialise)

    def embeddings(self, ids: tn.Tensor, kinds: tn.Tensor | None = None) -> tn.Tensor:
        """What the first block reads: (n, t, width)."""
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        x = x + (self.kinds.weight[0] if kinds is None else self.kinds(kinds))
        states: tn.Tensor = self.drop(self.norm(x))
        return states

    def forward(
        self,
        ids: tn.Tensor,
        mask: tn.Tensor | None = None,
        kinds: tn.Tensor | None = None,
    ) -> tn.Tensor:
        x = self.embeddings(ids, kinds)
        for block in self.blocks:
            x = block(x, keys(mask))
        return x

    def embed(
        self,
        ids: tn.Tensor,
        mask: tn.Tensor | None = None,
        kinds: tn.Tensor | None = None,
    ) -> tn.Tensor:
        """A vector of length 1 for each text, (n, width): products of two are their cosine."""
        vectors: tn.Tensor = F.normalize(mean(self(ids, mask, kinds), mask), dim=1)
        return vectors

    def attention_weights(
        self, ids: tn.Tensor, mask: tn.Tensor | None = None, kinds: tn.Tensor | None = None
    ) -> tn.Tensor:
        """The weights of all blocks: (layers, n, heads, t, t)."""
        x, found = self.embeddings(ids, kinds), []
        for block in self.blocks:
            found.append(block.attention.weights(x, keys(mask)))
            x = block(x, keys(mask))
        return tn.stack(found)


class BertForMaskedLM(nn.Module, Pretrained):
    """What stands in the gaps? Scores over the vocabulary, (m, vocabulary), for m places.

    gaps    (m,), the places in the batch: place j of text i is i · t + j

    The last matrix is the table of the words itself: a word scores high where the state is near
    its vector.
    """

    Config = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config)
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.eps)
        self.bias = nn.Parameter(tn.zeros(config.vocabulary))
        self.dense.apply(initialise)

    def forward(self, ids: tn.Tensor, mask: tn.Tensor, gaps: tn.Tensor) -> tn.Tensor:
        x = self.bert(ids, mask).flatten(0, 1)[gaps]  # (m, width)
        x = self.norm(F.gelu(self.dense(x)))
        scores: tn.Tensor = F.linear(x, self.bert.words.weight, self.bias)
        return scores


class BertForClassification(nn.Module, Pretrained):
    """Texts into classes: scores (n, classes), from the mean of a text's states."""

    Config = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, config.classes)
        self.head.apply(initialise)

    def forward(self, ids: tn.Tensor, mask: tn.Tensor | None = None) -> tn.Tensor:
        scores: tn.Tensor = self.head(self.drop(mean(self.bert(ids, mask), mask)))
        return scores


def keys(mask: tn.Tensor | None) -> tn.Tensor | None:
    """(n, t) → (n, 1, 1, t): which keys are there, for all heads and queries."""
    return None if mask is None else mask[:, None, None, :]


def mean(states: tn.Tensor, mask: tn.Tensor | None) -> tn.Tensor:
    """The mean over the tokens that are there: (n, t, d) → (n, d)."""
    if mask is None:
        return states.mean(1)
    there = mask[:, :, None].to(states.dtype)  # (n, t, 1)
    return (states * there).sum(1) / there.sum(1)


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02²), biases 0, as BERT starts."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
