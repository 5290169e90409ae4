"""Is the text for or against? An LSTM reads it; a list of words with weights stands beside.

    e_t = row x_t of the table,   h_t = LSTM(e_t, h_(t−1)),   ŷ = σ(w · h_T + b)

Texts differ in length, and a batch is filled up with 0. **The LSTM must not read the filling**: it
goes on changing the state, and after twenty zeros little is left of five words. So the batch is
packed: each text stops at its own last word, and h_T is the state there.

The baseline asks whether order matters at all: z = b + Σ_t w(x_t) counts words, each with its
weight, as logistic regression does.

Source: document B, 5.2, whose network has 344,897 parameters at a vocabulary of 10,000: 320,000 in
the table, 24,832 in the LSTM with one bias for each gate, 65 in the last layer. PyTorch's LSTM adds
two biases, 256 numbers more, which can represent nothing that one cannot. The table begins with
small numbers, as in the document's library (uniform on ±0.05). PyTorch's have a spread of 1: a word
that was seen twice keeps almost all of that noise, and each text can be known by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError
from tinynet.models.pretrained import Pretrained
from tinynet.nn.utils.rnn import pack_padded_sequence

PADDING = 0


@dataclass(frozen=True)
class SentimentConfig:
    """words in the vocabulary; width of an embedding; hidden: size of the state; biases for each
    gate: 1 as in the document, or 2 as in PyTorch.
    """

    words: int = 10_000
    width: int = 32
    hidden: int = 64
    biases: int = 1

    def __post_init__(self) -> None:
        if self.biases not in (1, 2):
            raise ArgumentError("a gate has 1 bias or 2", got=f"biases={self.biases}")


class SentimentLSTM(nn.Module, Pretrained):
    """ids (n, t) → the probability (n,) that a text is positive.

    >>> SentimentLSTM(SentimentConfig(words=9))(tn.tensor([[4, 2, 7], [3, 0, 0]])).shape
    (2,)
    """

    Config = SentimentConfig

    def __init__(self, config: SentimentConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.words, config.width)
        self.lstm = nn.LSTM(config.width, config.hidden, batch_first=True)
        self.output = nn.Linear(config.hidden, 1)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        if config.biases == 1:
            nn.init.zeros_(self.lstm.bias_hh_l0)
            self.lstm.bias_hh_l0.requires_grad_(False)

    def forward(self, ids: tn.Tensor) -> tn.Tensor:
        lengths = (ids != PADDING).sum(1).clamp(min=1)  # (n,); a text without words is read as one
        x = self.embedding(ids)  # (n, t, width)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)  # h (1, n, hidden): each text's last state
        y: tn.Tensor = self.output(h[0]).sigmoid().squeeze(1)
        return y


@dataclass(frozen=True)
class BagOfWordsConfig:
    """words in the vocabulary."""

    words: int = 10_000


class BagOfWords(nn.Module, Pretrained):
    """ids (n, t) → σ(b + Σ_t w(x_t)), (n,): logistic regression on how often each word occurs.

    >>> BagOfWords(BagOfWordsConfig(words=9))(tn.tensor([[4, 2, 7], [3, 0, 0]])).tolist()
    [0.5, 0.5]
    """

    Config = BagOfWordsConfig

    def __init__(self, config: BagOfWordsConfig) -> None:
        super().__init__()
        self.config = config
        self.weights = nn.Embedding(config.words, 1, padding_idx=PADDING)  # which stays 0
        self.bias = nn.Parameter(tn.zeros(1))
        nn.init.zeros_(self.weights.weight)

    def forward(self, ids: tn.Tensor) -> tn.Tensor:
        y: tn.Tensor = (self.weights(ids).sum(1) + self.bias).sigmoid().squeeze(1)
        return y
