"""A small U-Net that finds the bright blobs in noisy images: skip connections, transposed
convolutions, groups of parameters, a schedule and early layers that are frozen for a while.
"""

import torch
import torch.nn.functional as F
from torch import nn

NEEDS = ("Conv2d", "ConvTranspose2d", "BatchNorm2d", "GroupNorm", "MaxPool2d", "Dropout2d")


class Block(nn.Sequential):
    def __init__(self, c_in, c_out, norm=nn.BatchNorm2d):
        super().__init__(
            nn.Conv2d(c_in, c_out, 3, padding=1, bias=False, padding_mode="reflect"),
            norm(c_out),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(c_out, c_out, 3, padding="same", groups=2),
            nn.SiLU(),
        )


class UNet(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.down = nn.ModuleList([Block(1, width), Block(width, 2 * width)])
        self.pool = nn.MaxPool2d(2)
        self.middle = Block(2 * width, 2 * width, norm=lambda c: nn.GroupNorm(2, c))
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge = nn.ModuleDict(
            {"low": Block(4 * width, 2 * width), "high": Block(2 * width, width)}
        )
        self.drop = nn.Dropout2d(0.0)
        self.head = nn.Conv2d(width, 2, 1)
        self.register_buffer("shades", torch.tensor([0.5, 2.0]))
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
                if m.bias is not None:
                    nn.init.zeros_(m.bias)

    def forward(self, x):
        high = self.down[0](x)
        low = self.down[1](self.pool(high))
        deep = self.drop(self.middle(self.pool(low)))
        deep = F.interpolate(deep, size=low.shape[-2:], mode="bilinear", align_corners=False)
        low = self.merge["low"](torch.cat([low, deep], dim=1))
        y = self.up(low, output_size=high.shape)
        return self.head(self.merge["high"](torch.cat((high, y), 1)))


def images(step, n=3, size=11):
    """Images (n, 1, size, size) and for each of their places whether a blob covers it."""
    at = torch.arange(size, dtype=torch.float32)
    k = torch.arange(n, dtype=torch.float32)
    y0, x0 = 5 + 3 * torch.sin(k + step), 5 + 3 * torch.cos(2 * k + step)
    d2 = (at[None, :, None] - y0[:, None, None]) ** 2 + (at[None, None, :] - x0[:, None, None]) ** 2
    noise = torch.sin(at.outer(at) * (step + 1.3))
    return (torch.exp(-d2 / 4) + 0.3 * noise).unsqueeze(1), (d2 < 4).long()


def dice(scores, target):
    p = scores.softmax(1)[:, 1].flatten(1)
    t = target.flatten(1).float()
    return 1 - ((2 * (p * t).sum(-1) + 1) / (p.sum(-1) + t.sum(-1) + 1)).mean()


def make():
    return UNet()


def train(model, steps=10):
    biases = [p for p in model.parameters() if p.ndim == 1]
    weights = [p for p in model.parameters() if p.ndim > 1]
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": 1e-3}, {"params": biases, "lr": 0.02}],
        lr=0.05,
        momentum=0.9,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[0.3, 0.1], total_steps=steps)
    losses = []
    for step in range(steps):
        model.down[0].requires_grad_(step >= 2)
        x, target = images(step)
        scores = model(x)
        loss = F.cross_entropy(scores, target, weight=model.shades) + dice(scores, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        x, target = images(100)
        losses.append(F.cross_entropy(model(x), target).item())
    return losses
