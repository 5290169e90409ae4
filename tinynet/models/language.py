"""Language models: how likely is each token, given those before it?

    P(x_1 … x_T) = Π_n P(x_(n+1) given x_1 … x_n),        P(· given x_1 … x_n) = softmax(W h_n + b)

They differ in h_n alone, in what is left of x_1 … x_n when the next token is guessed:

    Bigram        the last token: D 4.3 as printed
    MLP           the last k tokens, side by side
    Recurrent     a state of fixed size that each token changes (RNN, LSTM, GRU)
    GPT           all of them, each looked at by attention: `gpt.py`

All are trained on whole rows of tokens: scores[:, n] is about ids[:, n + 1] and depends on
ids[:, : n + 1]. Text is written token by token, and nothing should be read twice: `read` gives,
beside the scores, what the model remembers, and takes it back with the next tokens.

Source: document D, 4.2 and 4.3, whose formula is the bigram; Y. Bengio, R. Ducharme, P. Vincent,
C. Jauvin, "A Neural Probabilistic Language Model", 2003, for the MLP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tinynet as tn
from tinynet import nn
from tinynet.models.pretrained import Pretrained
from tinynet.nn import functional as F


class LanguageModel(nn.Module, Pretrained):
    """What a model of the next token answers to.

    window   the most tokens that it can read, one text; None where nothing limits it
    """

    window: int | None = None

    def read(self, ids: tn.Tensor, past: Any = None) -> tuple[tn.Tensor, Any]:
        """ids (n, t) → scores (n, t, tokens) of what follows each, and what is remembered.

        past   what was remembered of the tokens before; None at the beginning of a text
        """
        raise NotImplementedError

    def forward(self, ids: tn.Tensor) -> tn.Tensor:
        """ids (n, t) → scores (n, t, tokens)."""
        return self.read(ids)[0]


@dataclass(frozen=True)
class BigramConfig:
    """tokens: how many there are."""

    tokens: int = 62


class Bigram(LanguageModel):
    """softmax(W x_n + b) with x_n one-hot, as document D, 4.3 prints it.

    >>> Bigram(BigramConfig(tokens=5))(tn.tensor([[1, 4, 2]])).shape
    (1, 3, 5)
    """

    Config = BigramConfig

    def __init__(self, config: BigramConfig) -> None:
        super().__init__()
        self.config = config
        self.output = nn.Linear(config.tokens, config.tokens)

    def read(self, ids: tn.Tensor, past: Any = None) -> tuple[tn.Tensor, Any]:
        x = F.one_hot(ids, self.config.tokens).float()  # (n, t, tokens)
        return self.output(x), None


@dataclass(frozen=True)
class MLPLanguageConfig:
    """context: how many tokens it sees; width of an embedding; hidden neurons."""

    tokens: int = 62
    context: int = 8
    width: int = 32
    hidden: int = 256
    dropout: float = 0.1


class MLPLanguageModel(LanguageModel):
    """h_n = tanh(V [e_(n−k+1); …; e_n] + c): the embeddings of the last k tokens, side by side.
    Before the text there are zeros.
    """

    Config = MLPLanguageConfig

    def __init__(self, config: MLPLanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.tokens, config.width)
        self.hidden = nn.Linear(config.context * config.width, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, config.tokens)

    def read(self, ids: tn.Tensor, past: Any = None) -> tuple[tn.Tensor, Any]:
        (n, t), k = ids.shape, self.config.context
        x = self.embedding(ids)  # (n, t, width)
        before = x.new_zeros(n, k - 1, self.config.width) if past is None else past
        x = tn.cat([before, x], dim=1)  # (n, k − 1 + t, width)
        seen = tn.cat([x[:, i : i + t] for i in range(k)], dim=2)  # (n, t, k · width)
        h = self.drop(self.hidden(seen).tanh())  # (n, t, hidden)
        return self.output(h), x[:, t:]


@dataclass(frozen=True)
class RecurrentConfig:
    """cell: "RNN", "LSTM" or "GRU"; width of an embedding; size of the state; layers."""

    tokens: int = 62
    cell: str = "LSTM"
    width: int = 64
    hidden: int = 256
    layers: int = 1
    dropout: float = 0.2


class RecurrentLanguageModel(LanguageModel):
    """h_n = cell(e_n, h_(n−1)): everything so far, in `hidden` numbers."""

    Config = RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.tokens, config.width)
        self.cells = getattr(nn, config.cell)(
            config.width, config.hidden, config.layers, batch_first=True
        )
        self.drop = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, config.tokens)

    def read(self, ids: tn.Tensor, past: Any = None) -> tuple[tn.Tensor, Any]:
        x = self.drop(self.embedding(ids))  # (n, t, width)
        h, state = self.cells(x, past)  # (n, t, hidden); (h_t, c_t) for the LSTM
        return self.output(self.drop(h)), state
