"""Training, as one reads it in a book: for each epoch, for each batch: forward, loss, backward,
step.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinynet import random
from tinynet.data import DataLoader, TensorDataset
from tinynet.errors import ArgumentError, DataError, GraphError, TinynetError, describe
from tinynet.grad_mode import no_grad
from tinynet.tensor import Tensor
from tinynet.train.history import History

Metric = Callable[[Any, Any], Any]
Loss = Callable[[Any, Any], Tensor]


class DivergenceError(TinynetError, ArithmeticError):
    """The loss is no longer a number: training cannot go on."""


def fit(
    model: Any,
    data: Any,
    *,
    loss: Loss,
    optimizer: Any,
    epochs: int,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Mapping[str, Metric] | Sequence[Metric] = (),
    patience: int | None = None,
    restore_best: bool = False,
    seed: int | None = None,
    progress: bool = True,
) -> History:
    """Train `model` on `data` and return the history of the run.

    data          (x, y); a data set of such pairs, which is shuffled for each epoch; or a
                  DataLoader, used as it is
    loss          loss(model(x), y) -> scalar tensor, the mean over the batch
    optimizer     holds the parameters of the model: `optim.Adam(model.parameters(), lr=1e-3)`
    validation    as `data`, never trained on; gives "val_loss" and "val_…" of each metric
    metrics       functions of (predictions, labels): a list, or a dict that names them; on the
                  training data they are taken of the predictions as they were made, while the
                  weights moved
    patience      stop after this many epochs without a new lowest validation loss
    restore_best  end with the weights of the best epoch, not of the last
    seed          call `tn.manual_seed(seed)` first, which makes the run repeatable
    progress      show a bar when the output is a terminal

    Ctrl-C ends the run and returns the history so far. Raises `GraphError` if the loss cannot reach
    a parameter, and `DivergenceError` if the loss becomes NaN or infinite.

    >>> from tinynet import nn, optim
    >>> model = nn.Linear(1, 1)
    >>> x = np.array([[0.0], [1.0]], "f4"); y = 2 * x
    >>> sgd = optim.SGD(model.parameters(), lr=0.5)
    >>> history = fit(model, (x, y), loss=nn.functional.mse_loss, optimizer=sgd, epochs=200)
    >>> len(history), round(model.weight.item(), 3)
    (200, 2.0)
    """
    _check_options(epochs, patience, validation)
    if seed is not None:
        random.manual_seed(seed)
    loader = as_loader(data, batch_size, shuffle=True)
    held_out = None if validation is None else as_loader(validation, batch_size)
    metrics = _named(metrics)
    history, best, was_training = History(), None, model.training
    bar = _Bar(loader, epochs, progress)
    try:
        for epoch in range(1, epochs + 1):
            numbers = _epoch(model, loader, loss, optimizer, metrics, epoch, bar)
            if held_out is not None:
                scores = evaluate(model, held_out, loss=loss, metrics=metrics)
                numbers |= {f"val_{name}": value for name, value in scores.items()}
            history.append(numbers)
            bar.show(numbers)
            if restore_best and history.best_epoch == epoch:
                best = {name: value.detach().clone() for name, value in model.state_dict().items()}
            if patience is not None and epoch - history.best_epoch >= patience:
                history.ended = "early"
                break
    except KeyboardInterrupt:
        history.ended = "interrupted"
    finally:
        bar.close()
        model.train(was_training)
    if best is not None:
        model.load_state_dict(best)
    return history


def _epoch(
    model: Any,
    loader: Any,
    loss: Loss,
    optimizer: Any,
    metrics: Mapping[str, Metric],
    epoch: int,
    bar: _Bar,
) -> dict[str, float]:
    """One pass over the data: the whole of training."""
    model.train()
    sums = _Sums(metrics)
    for number, (x, y) in enumerate(_pairs(loader), 1):
        optimizer.zero_grad()
        prediction = model(x)
        value = loss(prediction, y)
        _check_loss(value, epoch, number)
        value.backward()
        if epoch == number == 1:
            _check_reached(model)
        optimizer.step()
        sums.add(prediction, y, value)
        bar.step()
    return sums.result()


def evaluate(
    model: Any,
    data: Any,
    *,
    loss: Loss | None = None,
    metrics: Mapping[str, Metric] | Sequence[Metric] = (),
    batch_size: int = 256,
) -> dict[str, float]:
    """Loss and metrics of a model on data, without training: {"loss": …, "accuracy": …}.

    The model is in evaluation mode meanwhile, and nothing is recorded. Each metric sees all
    predictions at once; the loss is the mean over the samples.

    >>> from tinynet import nn
    >>> x, y = np.array([1.0, 3.0]), np.array([1.0, 1.0])
    >>> evaluate(nn.Identity(), (x, y), loss=nn.functional.mse_loss)
    {'loss': 2.0}
    """
    sums = _Sums(_named(metrics))
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            for x, y in _pairs(as_loader(data, batch_size)):
                prediction = model(x)
                sums.add(prediction, y, None if loss is None else loss(prediction, y))
    finally:
        model.train(was_training)
    return sums.result()


# -- bookkeeping -----------------------------------------------------------------------------------


class _Sums:
    """The loss of an epoch, weighted by the sizes of its batches, and the predictions that the
    metrics want.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = metrics
        self.loss, self.losses, self.samples = 0.0, 0, 0
        self.predictions: list[Any] = []
        self.labels: list[Any] = []

    def add(self, prediction: Any, y: Any, loss: Tensor | None) -> None:
        n = len(y)
        self.samples += n
        if loss is not None:
            self.loss, self.losses = self.loss + n * loss.item(), self.losses + n
        if self.metrics:
            self.predictions.append(prediction.detach().array)
            self.labels.append(y.detach().array if isinstance(y, Tensor) else np.asarray(y))

    def result(self) -> dict[str, float]:
        if not self.samples:
            raise DataError(
                "there was not a single batch", hint="drop_last with fewer samples than batch_size?"
            )
        numbers = {"loss": self.loss / self.losses} if self.losses else {}
        if self.metrics:
            predictions, labels = np.concatenate(self.predictions), np.concatenate(self.labels)
            for name, metric in self.metrics.items():
                numbers[name] = float(metric(Tensor(predictions), Tensor(labels)))
        return numbers


def as_loader(data: Any, batch_size: int, shuffle: bool = False) -> Any:
    """Data as batches: (x, y) and data sets are wrapped, a loader (any iterable of batches) stays
    as it is.
    """
    if isinstance(data, tuple):
        if len(data) != 2:
            raise DataError(
                "data is a pair (x, y), a data set or a loader", got=f"a tuple of {len(data)}"
            )
        data = TensorDataset(*data)
    if isinstance(data, Iterator):
        raise DataError(
            "an iterator gives one pass only", hint="a DataLoader, or a list of batches"
        )
    if isinstance(data, DataLoader | list) or not hasattr(data, "__getitem__"):
        return data
    return DataLoader(data, batch_size=batch_size, shuffle=shuffle)


def _pairs(loader: Any) -> Iterator[tuple[Any, Any]]:
    for batch in loader:
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise DataError("a batch is a pair (x, y)", got=describe(batch))
        yield batch[0], batch[1]


def _named(metrics: Mapping[str, Metric] | Sequence[Metric]) -> Mapping[str, Metric]:
    named = (
        metrics if isinstance(metrics, Mapping) else {metric.__name__: metric for metric in metrics}
    )
    if "loss" in named:
        raise ArgumentError("a metric cannot be called 'loss': that name is taken by the loss")
    return named


def _check_options(epochs: int, patience: int | None, validation: Any) -> None:
    if epochs < 0:
        raise ArgumentError("epochs is 0 or more", got=str(epochs))
    if patience is not None and (patience < 1 or validation is None):
        raise ArgumentError(
            "patience counts epochs (1 or more) without progress on validation data",
            got=f"patience={patience}, validation {'missing' if validation is None else 'given'}",
        )


def _check_loss(value: Any, epoch: int, batch: int) -> None:
    if not isinstance(value, Tensor) or value.array.size != 1:
        raise GraphError(
            "the loss must be one number",
            expected="a tensor with one entry",
            got=describe(value),
            hint="reduce it, for example with .mean()",
        )
    if not math.isfinite(value.item()):
        raise DivergenceError(
            f"the loss is {value.item()} in epoch {epoch}, batch {batch}",
            hint="a smaller lr; NaN in the data; log or division of 0; nn.utils.clip_grad_norm_",
        )


def _check_reached(model: Any) -> None:
    lost = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if lost:
        raise GraphError(
            f"the loss does not reach {', '.join(lost)}: no gradient arrived there",
            hint="use the layer in forward(), without .detach(), .numpy() or no_grad() on the way; "
            "or freeze it: parameter.requires_grad_(False)",
        )


class _Bar:
    """A progress bar over all batches of all epochs; nothing where the output is not a terminal."""

    def __init__(self, loader: Any, epochs: int, wanted: bool) -> None:
        self.bar: Any = None
        if wanted and sys.stderr.isatty():
            from tqdm import tqdm

            total = epochs * len(loader) if hasattr(loader, "__len__") else None
            self.bar = tqdm(total=total, unit="batch", leave=False, ncols=100)

    def step(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def show(self, numbers: Mapping[str, float]) -> None:
        if self.bar is not None:
            self.bar.set_postfix({name: f"{value:.4g}" for name, value in numbers.items()})

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
