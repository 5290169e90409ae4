"""A vision transformer on 8 × 8 images: patches, a class token, warm-up, two groups of parameters,
and an average of the weights that is kept beside them.
"""

import copy
import math

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

NEEDS = ("Conv2d", "TransformerEncoder", "TransformerEncoderLayer", "LayerNorm", "Linear")


class ViT(nn.Module):
    def __init__(self, classes=4, patch=2, d=12, heads=3, layers=2):
        super().__init__()
        self.patches = nn.Conv2d(1, d, kernel_size=patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, d))
        self.place = nn.Parameter(torch.empty(1, (8 // patch) ** 2 + 1, d))
        nn.init.trunc_normal_(self.place, std=0.02)
        layer = nn.TransformerEncoderLayer(
            d, heads, 2 * d, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(d), enable_nested_tensor=False
        )
        self.head = nn.Linear(d, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.place
        return self.head(self.encoder(x)[:, 0])


def digits(step, n=6):
    """Stripes of four kinds: rows, columns and the two diagonals."""
    at = torch.arange(8.0)
    rows, columns = torch.meshgrid(at, at, indexing="ij")
    kinds = torch.stack([rows, columns, rows + columns, rows - columns])
    labels = (torch.arange(n) * 3 + step) % 4
    phase = (0.4 * step + torch.arange(n).float()).view(n, 1, 1)
    return torch.sin(1.3 * kinds[labels] + phase).unsqueeze(1), labels


def make():
    return ViT()


def train(model, steps=10, warm_up=4, decay=0.8):
    kept = {name for name, p in model.named_parameters() if p.dim() < 2 or name == "place"}
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for k, p in named.items() if k not in kept], "weight_decay": 0.05},
        {"params": [p for k, p in named.items() if k in kept], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=8e-3, betas=(0.9, 0.95))
    schedule = LambdaLR(
        optimizer,
        lambda k: (
            (k + 1) / warm_up
            if k < warm_up
            else 0.5 * (1 + math.cos(math.pi * (k - warm_up) / (steps - warm_up)))
        ),
    )
    average = copy.deepcopy(model).eval().requires_grad_(False)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    losses = []
    for step in range(steps):
        model.train()
        for part in range(2):  # gradients of two batches are accumulated
            x, labels = digits(2 * step + part)
            loss = criterion(model(x), labels) / 2
            loss.backward()
            losses.append(loss.item())
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        now = model.state_dict()
        average.load_state_dict(
            {k: decay * v + (1 - decay) * now[k] for k, v in average.state_dict().items()}
        )
        with torch.inference_mode():
            losses.append(criterion(average(x), labels).item())
    return losses
