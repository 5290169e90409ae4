"""How good is it? The loss and the metrics of a model over many batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError, DataError
from tinynet.grad_mode import no_grad
from tinynet.tensor import Tensor, raw
from tinynet.train.batches import as_loader, pairs, predict

Metric: TypeAlias = Callable[[Any, Any], Any]
Metrics: TypeAlias = Mapping[str, Metric] | Sequence[Metric]
Loss: TypeAlias = Callable[[Any, Any], Tensor]


def evaluate(
    model: Any,
    data: Any,
    *,
    loss: Loss | None = None,
    metrics: Metrics = (),
    batch_size: int = 256,
) -> dict[str, float]:
    """Loss and metrics of a model on data, without training: {"loss": …, "accuracy": …}.

    The model is in evaluation mode meanwhile, and nothing is recorded. Each metric sees all
    predictions at once; the loss is the mean over the samples. `data` is as in `fit`.

    >>> from tinynet import nn
    >>> x, y = np.array([1.0, 3.0]), np.array([1.0, 1.0])
    >>> evaluate(nn.Identity(), (x, y), loss=nn.functional.mse_loss)
    {'loss': 2.0}
    """
    sums = Sums(named(metrics))
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            for x, y in pairs(as_loader(data, batch_size)):
                prediction = predict(model, x)
                sums.add(prediction, y, None if loss is None else loss(prediction, y))
    finally:
        model.train(was_training)
    return sums.result()


class Sums:
    """The loss so far, weighted by the sizes of the batches, and the predictions that the metrics
    want.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = metrics
        self.loss, self.losses, self.samples = 0.0, 0, 0
        self.predictions: list[Any] = []
        self.labels: list[Any] = []

    def add(self, prediction: Any, y: Any, loss: Tensor | None) -> None:
        """Take in one batch."""
        n = len(y)
        self.samples += n
        if loss is not None:
            self.loss, self.losses = self.loss + n * loss.item(), self.losses + n
        if self.metrics:
            self.predictions.append(prediction.detach().array)
            self.labels.append(y.detach().array if isinstance(y, Tensor) else np.asarray(y))

    def result(self) -> dict[str, float]:
        """The mean loss, and each metric of all predictions."""
        if not self.samples:
            raise DataError(
                "there was not a single batch", hint="drop_last with fewer samples than batch_size?"
            )
        numbers = {"loss": self.loss / self.losses} if self.losses else {}
        if self.metrics:
            predictions, labels = _joined(self.predictions), _joined(self.labels)
            for name, metric in self.metrics.items():
                numbers[name] = float(metric(Tensor(predictions), Tensor(labels)))
        return numbers

    def state_dict(self) -> dict[str, Any]:
        """What was taken in so far, for a checkpoint in the middle of an epoch."""
        arrays = {"predictions": self.predictions, "labels": self.labels}
        return {
            **{name: getattr(self, name) for name in ("loss", "losses", "samples")},
            **{name: _joined(parts) if parts else None for name, parts in arrays.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.loss, self.losses, self.samples = state["loss"], state["losses"], state["samples"]
        if state["predictions"] is not None:
            self.predictions, self.labels = [raw(state["predictions"])], [raw(state["labels"])]


def _joined(parts: list[Any]) -> Any:
    """One array of them all, where the last one lives: what a checkpoint held is on the CPU."""
    device = arrays.device_of(parts[-1])
    return np.concatenate([arrays.to_device(part, device) for part in parts])


def named(metrics: Metrics) -> Mapping[str, Metric]:
    """Metrics by their names, which must not hide the loss or the learning rate."""
    found = (
        metrics if isinstance(metrics, Mapping) else {metric.__name__: metric for metric in metrics}
    )
    for name in ("loss", "lr", "epoch", "ended"):
        if name in found:
            raise ArgumentError(f"a metric cannot be called {name!r}: that name is taken")
    return found
