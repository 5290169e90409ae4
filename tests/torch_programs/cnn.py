"""A small convolutional network in the manner of the MNIST example: StepLR, dropout, accuracy."""

import argparse
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR

NEEDS = ("Conv2d", "Dropout2d")


class Net(nn.Module):
    def __init__(self, p=0.25):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 1)
        self.conv2 = nn.Conv2d(4, 8, kernel_size=3, stride=1, padding=1)
        self.dropout1 = nn.Dropout2d(p)
        self.dropout2 = nn.Dropout(p)
        self.fc1 = nn.Linear(8 * 5 * 5, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = self.dropout2(x)
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


def batches(n, seed):
    """Images 12 × 12 with a bright bar that lies, stands, or leans."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        y = rng.integers(0, 3, 16)
        x = rng.normal(0, 0.3, (16, 1, 12, 12))
        for image, label, k in zip(x, y, rng.integers(2, 9, 16)):
            r = np.arange(2, 10)
            where = (k + 0 * r, r) if label == 0 else (r, k + 0 * r) if label == 1 else (r, r)
            image[0][where] += 2
        yield torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def train_epoch(args, model, device, train_loader, optimizer):
    losses = []
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if args.dry_run:
            break
    return losses


def test_epoch(model, device, test_loader):
    model.eval()
    test_loss = correct = count = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
            count += len(data)
    return test_loss / count, 100.0 * correct / count


def make(p=0.0):
    return Net(p)


def train(model):
    args = argparse.Namespace(lr=0.1, gamma=0.7, dry_run=False)
    use_cuda = torch.cuda.is_available()
    device = torch.device("cuda" if use_cuda else "cpu")
    model = model.to(device)
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.5)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    losses = []
    for epoch in range(1, 4):
        losses += train_epoch(args, model, device, batches(10, epoch), optimizer)
        scheduler.step()
    assert abs(optimizer.param_groups[0]["lr"] - args.lr * args.gamma**3) < 1e-12
    result = test_epoch(model, device, batches(4, 100))
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), os.path.join(folder, "cnn.pt"))
        again = Net()
        again.load_state_dict(torch.load(os.path.join(folder, "cnn.pt")))
    assert test_epoch(again.to(device), device, batches(4, 100)) == result
    return [*losses, *result]
