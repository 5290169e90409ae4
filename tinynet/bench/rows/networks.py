"""Training steps of networks of layers: forward, loss, backward, Adam."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tinynet.bench.engines import Task, training
from tinynet.bench.row import Calls, row


@row(
    "mlp",
    "a training step of {inputs}-{hidden}-{classes} with ReLU and cross-entropy, Adam, "
    "batch {batch}, float32",
    batch=64,
    inputs=784,
    hidden=256,
    classes=10,
)
def mlp(device: str, *, batch: int, inputs: int, hidden: int, classes: int) -> Calls:
    """Two layers, on digits of noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, inputs)).astype(np.float32)
    y = rng.integers(0, classes, batch)

    def model(lib: Any) -> Any:
        nn = lib.nn
        return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    return training(device, Task(model, _cross_entropy, x, y, formula=_mlp, by_hand=_mlp_by_hand))


def _cross_entropy(lib: Any, scores: Any, y: Any) -> Any:
    return lib.nn.functional.cross_entropy(scores, y)


def _mlp(xp: Any, w: Any, x: Any, y: Any) -> Any:
    a = xp.maximum(x @ w["0.weight"].T + w["0.bias"], 0)
    return mean_cross_entropy(xp, a @ w["2.weight"].T + w["2.bias"], y)


def mean_cross_entropy(xp: Any, s: Any, y: Any) -> Any:
    """The mean of log Σ exp(s) − s_y over rows of scores s (n, classes)."""
    s = s - xp.max(s, axis=1, keepdims=True)
    return xp.mean(xp.log(xp.sum(xp.exp(s), axis=1)) - s[np.arange(len(y)), y])


def _mlp_by_hand(w: Any, x: Any, y: Any) -> Any:
    """The loss and the gradients with every formula written out."""
    W1, b1, W2, b2 = w.values()
    z = x @ W1.T + b1
    a = np.maximum(z, 0)
    s = a @ W2.T + b2
    s = s - s.max(axis=1, keepdims=True)
    e = np.exp(s)
    total = e.sum(axis=1, keepdims=True)
    rows = np.arange(len(y), like=y)
    loss = (np.log(total[:, 0]) - s[rows, y]).mean()
    ds = e / total
    ds[rows, y] -= 1
    ds /= len(y)
    dz = (ds @ W2) * (z > 0)
    gradients = (dz.T @ x, dz.sum(axis=0), ds.T @ a, ds.sum(axis=0))
    return loss, dict(zip(w, gradients, strict=True))


# -- images ----------------------------------------------------------------------------------------


@row(
    "cnn",
    "a training step of a convolutional network, 3×3, 1-{first}-{second} channels, ReLU and 2×2 "
    "pooling twice, Linear to 10; images 1×{side}×{side}, Adam, batch {batch}, float32",
    batch=32,
    side=28,
    first=32,
    second=64,
)
def cnn(device: str, *, batch: int, side: int, first: int, second: int) -> Calls:
    """The usual network for digits."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 1, side, side)).astype(np.float32)
    y = rng.integers(0, 10, batch)

    def model(lib: Any) -> Any:
        nn = lib.nn
        return nn.Sequential(
            *(nn.Conv2d(1, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(second * (side // 4) ** 2, 10)),
        )

    def formula(xp: Any, w: Any, x: Any, y: Any) -> Any:
        for layer in ("0", "3"):
            x = _pool(xp, xp.maximum(_convolve(xp, x, w, layer, 1), 0))
        s = x.reshape(len(y), -1) @ w["7.weight"].T + w["7.bias"]
        return mean_cross_entropy(xp, s, y)

    engines = ("jax", "mygrad") if side % 4 == 0 else ("jax",)
    return training(device, Task(model, _cross_entropy, x, y, formula=formula, engines=engines))


@row(
    "lock",
    "a training step of the door lock's network, document C, 5.2, at half its side: 3×3 without "
    "border, 3-{first}-{second} channels, ReLU and 2×2 pooling twice, {hidden}, 1, binary "
    "cross-entropy; images 3×{side}×{side}, Adam, batch {batch}, float32",
    batch=16,
    side=64,
    first=32,
    second=64,
    hidden=128,
)
def lock(device: str, *, batch: int, side: int, first: int, second: int, hidden: int) -> Calls:
    """Face or no face. The sigmoid is part of the loss."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 3, side, side)).astype(np.float32)
    y = rng.integers(0, 2, batch).astype(np.float32)
    last = ((side - 2) // 2 - 2) // 2

    def model(lib: Any) -> Any:
        nn = lib.nn
        return nn.Sequential(
            *(nn.Conv2d(3, first, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(first, second, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(second * last**2, hidden), nn.ReLU(), nn.Linear(hidden, 1)),
        )

    def formula(xp: Any, w: Any, x: Any, y: Any) -> Any:
        for layer in ("0", "3"):
            x = _pool(xp, xp.maximum(_convolve(xp, x, w, layer, 0), 0))
        a = xp.maximum(x.reshape(len(y), -1) @ w["7.weight"].T + w["7.bias"], 0)
        return binary_cross_entropy(xp, (a @ w["9.weight"].T + w["9.bias"])[:, 0], y)

    def loss(lib: Any, z: Any, y: Any) -> Any:
        return lib.nn.functional.binary_cross_entropy_with_logits(z[:, 0], y)

    even = side % 2 == 0 and (side - 2) // 2 % 2 == 0
    engines = ("jax", "mygrad") if even else ("jax",)
    return training(device, Task(model, loss, x, y, formula=formula, engines=engines))


def binary_cross_entropy(xp: Any, z: Any, y: Any) -> Any:
    """The mean of log(1 + e^z) − y z: binary cross-entropy of a sigmoid of z (n,)."""
    return xp.mean(xp.logaddexp(0, z) - y * z)


def _convolve(xp: Any, x: Any, w: Any, layer: str, border: int) -> Any:
    """A convolution in JAX or MyGrad."""
    W, b = w[f"{layer}.weight"], w[f"{layer}.bias"].reshape(1, -1, 1, 1)
    if xp.__name__ == "mygrad":
        return importlib.import_module("mygrad.nnet").conv_nd(x, W, stride=1, padding=border) + b
    lax = importlib.import_module("jax.lax")
    return lax.conv_general_dilated(x, W, (1, 1), [(border, border)] * 2) + b


def _pool(xp: Any, x: Any) -> Any:
    """The largest of each 2×2 window. MyGrad wants the windows to fill the image."""
    if xp.__name__ == "mygrad":
        return importlib.import_module("mygrad.nnet").max_pool(x, pool=(2, 2), stride=2)
    lax = importlib.import_module("jax.lax")
    return lax.reduce_window(x, -xp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
