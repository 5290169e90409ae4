"""Reading a sequence of digits backwards: a GRU reads packed sequences, another one writes with
additive attention over what was read.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

NEEDS = ("Embedding", "GRU", "GRUCell", "Linear", "LayerNorm")
PAD, START, DIGITS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocabulary, width):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.gru = nn.GRU(width, width, num_layers=2, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * width, width)

    def forward(self, source, lengths):
        packed = pack_padded_sequence(
            self.embed(source), lengths, batch_first=True, enforce_sorted=False
        )
        output, last = self.gru(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=source.size(1))
        last = last.view(2, 2, source.size(0), -1)[-1]
        return output, torch.tanh(self.bridge(torch.cat(tuple(last), dim=-1)))


class Decoder(nn.Module):
    def __init__(self, vocabulary, width):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(2 * width, width, bias=False)
        self.energy = nn.Parameter(torch.ones(width) / math.sqrt(width))
        self.cell = nn.GRUCell(3 * width, width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, vocabulary, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids, h, memory, keys, forbidden):
        e = (self.query(h).unsqueeze(1) + keys).tanh() @ self.energy
        a = e.masked_fill(forbidden, float("-inf")).softmax(dim=-1)
        context = torch.bmm(a.unsqueeze(1), memory).squeeze(1)
        h = self.cell(torch.cat([self.embed(ids), context], dim=1), h)
        return self.out(self.norm(h)), h


class Translator(nn.Module):
    def __init__(self, vocabulary=7, width=8):
        super().__init__()
        self.encoder = Encoder(vocabulary, width)
        self.decoder = Decoder(vocabulary, width)

    def forward(self, source, lengths, target):
        memory, h = self.encoder(source, lengths)
        keys = self.decoder.key(memory)
        forbidden = source == PAD
        ids, scores = torch.full_like(source[:, 0], START), []
        for t in range(target.size(1)):
            s, h = self.decoder(ids, h, memory, keys, forbidden)
            scores.append(s)
            ids = target[:, t]
        return torch.stack(scores, dim=1)


def batch(step, n=5):
    lengths = torch.tensor([2 + (3 * i + step) % 4 for i in range(n)])
    lines = [DIGITS + torch.arange(int(m)) * (i + 1 + step) % 5 for i, m in enumerate(lengths)]
    source = pad_sequence(lines, batch_first=True, padding_value=PAD)
    target = pad_sequence([x.flip(0) for x in lines], batch_first=True)
    return source, lengths, target


def make():
    return Translator()


def train(model, steps=10):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.98), amsgrad=True)
    losses = []
    for step in range(steps):
        source, lengths, target = batch(step)
        scores = model(source, lengths, target)
        loss = F.cross_entropy(
            scores.transpose(1, 2), target, ignore_index=PAD, label_smoothing=0.1
        )
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        losses += [loss.item(), norm.item()]
    return losses
