"""A classifier of flattened images: Sequential, CrossEntropyLoss, SGD, save and load."""

import os
import tempfile

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

NEEDS = ()
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def images(n=120, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.normal(0, 0.5, (n, 1, 6, 6))
    for i, label in enumerate(y):
        x[i, 0, 2 * label] += 2
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.from_numpy(y).long())


class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(6 * 6, 16),
            nn.ReLU(),
            nn.Linear(16, 3),
        )

    def forward(self, x):
        return self.linear_relu_stack(self.flatten(x))


def train_loop(dataloader, model, loss_fn, optimizer):
    size, losses = len(dataloader.dataset), []
    model.train()
    for batch, (X, y) in enumerate(dataloader):
        X, y = X.to(device, non_blocking=True), y.to(device)
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss, current = loss.item(), (batch + 1) * len(X)
        assert f"loss: {loss:>7f}  [{current:>5d}/{size:>5d}]".startswith("loss:")
        losses.append(loss)
    return losses


def test_loop(dataloader, model, loss_fn):
    model.eval()
    test_loss, correct = 0, 0
    with torch.no_grad():
        for X, y in dataloader:
            X, y = X.to(device), y.to(device)
            pred = model(X)
            test_loss += loss_fn(pred, y).item()
            correct += (pred.argmax(1) == y).type(torch.float).sum().item()
    return test_loss / len(dataloader), correct / len(dataloader.dataset)


def make():
    return NeuralNetwork().to(device)


def train(model):
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    training = DataLoader(images(), batch_size=20)
    losses = []
    for _ in range(3):
        losses += train_loop(training, model, loss_fn, optimizer)
    loss, accuracy = test_loop(DataLoader(images(seed=1), batch_size=32), model, loss_fn)
    assert accuracy > 0.9
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pth")
        torch.save(model.state_dict(), path)
        again = NeuralNetwork().to(device)
        again.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    assert test_loop(DataLoader(images(seed=1), batch_size=32), again, loss_fn) == (loss, accuracy)
    return [*losses, loss, accuracy]
