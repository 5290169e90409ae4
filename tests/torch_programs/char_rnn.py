"""A language model of characters: RNN, LSTM or GRU, truncated backpropagation, sampling."""

import torch
import torch.nn as nn
import torch.nn.functional as F

NEEDS = ("RNN", "LSTM", "GRU")
TEXT = "the quick brown fox jumps over the lazy dog. " * 12
CHARS = sorted(set(TEXT))
stoi = {ch: i for i, ch in enumerate(CHARS)}
itos = {i: ch for ch, i in stoi.items()}


class CharRNN(nn.Module):
    def __init__(self, vocab_size, hidden_size=24, kind="LSTM", num_layers=1):
        super().__init__()
        self.kind, self.hidden_size, self.num_layers = kind, hidden_size, num_layers
        self.encoder = nn.Embedding(vocab_size, 12)
        self.rnn = getattr(nn, kind)(12, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.Linear(hidden_size, vocab_size)

    def forward(self, x, hidden):
        out, hidden = self.rnn(self.encoder(x), hidden)
        return self.decoder(out), hidden

    def init_hidden(self, batch_size):
        weight = next(self.parameters()).data
        h = weight.new_zeros(self.num_layers, batch_size, self.hidden_size)
        return (h, h.clone()) if self.kind == "LSTM" else h


def repackage(h):
    """Wrap hidden states in new tensors, to detach them from their history."""
    return h.detach() if isinstance(h, torch.Tensor) else tuple(repackage(v) for v in h)


def make(kind="LSTM"):
    return CharRNN(len(CHARS), kind=kind)


def train(model, batch_size=4, seq_len=10):
    data = torch.tensor([stoi[ch] for ch in TEXT], dtype=torch.long)
    nbatch = data.size(0) // batch_size
    data = data.narrow(0, 0, nbatch * batch_size).view(batch_size, -1).contiguous()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(3):
        hidden = model.init_hidden(batch_size)
        for i in range(0, data.size(1) - 1, seq_len):
            length = min(seq_len, data.size(1) - 1 - i)
            x, y = data[:, i : i + length], data[:, i + 1 : i + 1 + length]
            hidden = repackage(hidden)
            model.zero_grad()
            logits, hidden = model(x, hidden)
            loss = criterion(logits.reshape(-1, logits.size(-1)), y.reshape(-1))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
    return losses


@torch.no_grad()
def sample(model, start="t", length=20, temperature=0.8):
    model.eval()
    hidden, text = model.init_hidden(1), start
    x = torch.tensor([[stoi[start]]])
    for _ in range(length):
        logits, hidden = model(x, hidden)
        p = F.softmax(logits[0, -1] / temperature, dim=0)
        x = torch.multinomial(p, 1).unsqueeze(0)
        text += itos[x.item()]
    return text
