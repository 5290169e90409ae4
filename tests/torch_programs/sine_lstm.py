"""Two LSTM cells learn sine waves with LBFGS and a closure, in double precision."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

NEEDS = ("LSTMCell",)


class Sequence(nn.Module):
    def __init__(self, hidden=8):
        super(Sequence, self).__init__()
        self.hidden = hidden
        self.lstm1 = nn.LSTMCell(1, hidden)
        self.lstm2 = nn.LSTMCell(hidden, hidden)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t = torch.zeros(input.size(0), self.hidden, dtype=torch.double)
        c_t = torch.zeros(input.size(0), self.hidden, dtype=torch.double)
        h_t2 = torch.zeros(input.size(0), self.hidden, dtype=torch.double)
        c_t2 = torch.zeros(input.size(0), self.hidden, dtype=torch.double)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        for _ in range(future):
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


def make():
    seq = Sequence()
    seq.double()
    return seq


def train(seq):
    x = np.sin(np.arange(20) / 3.0 + np.arange(5)[:, None])
    data = torch.from_numpy(x.astype("float64"))
    input, target = data[1:, :-1], data[1:, 1:]
    criterion = nn.MSELoss()
    optimizer = optim.LBFGS(seq.parameters(), lr=0.5, max_iter=5)
    losses = []
    for _ in range(4):

        def closure():
            optimizer.zero_grad()
            loss = criterion(seq(input), target)
            losses.append(loss.item())
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            pred = seq(data[:1, :-1], future=5)
            losses.append(criterion(pred[:, :-5], data[:1, 1:]).item())
    assert pred.detach().numpy().shape == (1, 24)
    return losses
