"""A training run as a program of its own, so that a test can kill it: everything that moves is in
it. Arguments: the checkpoint, the file for the results, seconds to sleep in each step.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

import tinynet as tn
from tinynet import nn, optim
from tinynet.data import DataLoader, Dataset
from tinynet.metrics import accuracy
from tinynet.random import Generator, default_generator
from tinynet.train import fit

SHAPES = np.random.default_rng(0).standard_normal((2, 1, 2, 4)).astype(np.float32)


class Noisy(Dataset):
    """Images that are shifted and blurred anew each time, from the default generator."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: Any) -> Any:
        source, label = default_generator(), i % 2
        image = np.roll(SHAPES[label], int(source.integers(0, 2, (1,))[0]), axis=-1)
        return image + source.standard_normal(image.shape, np.float32), label


class Net(nn.Module):
    """Dropout, batch norm, and a buffer that `state_dict` leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)
        )
        self.head = nn.Linear(9, 2)
        self.register_buffer("calls", tn.zeros(()), persistent=False)

    def forward(self, x: Any) -> Any:
        if self.training:
            self.calls += 1.0
        return self.head(self.body(x)) * (1 + 0.01 * self.calls.item() ** 0.5)


def main(checkpoint: str, result: str, sleep: float, kind: str) -> None:
    tn.manual_seed(3)
    model = Net()
    if kind == "adam":
        optimizer: Any = optim.Adam(model.parameters(), lr=0.01)
        scheduler: Any = optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=80)
    else:
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
        scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    order = Generator().manual_seed(5) if kind == "adam" else None

    def loss(prediction: Any, y: Any) -> Any:
        time.sleep(sleep)
        return nn.functional.cross_entropy(prediction, y)

    history = fit(
        model,
        DataLoader(Noisy(37), batch_size=4, shuffle=True, num_workers=2, generator=order),
        loss=loss,
        optimizer=optimizer,
        epochs=9,
        validation=DataLoader(Noisy(16), batch_size=5, num_workers=1),
        metrics=[accuracy],
        scheduler=scheduler,
        clip=0.5,
        accumulate=3,
        ema=0.9,
        patience=3,
        restore_best=True,
        checkpoint=checkpoint or None,
        checkpoint_every=1 if checkpoint else None,
    )
    state = {"model": model.state_dict(), "history": history.to_dict()}
    tn.save({**state, "optimizer": optimizer.state_dict(), "rng": tn.rand(3)}, result)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
