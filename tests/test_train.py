"""The training loop: it does what the formula says, stops when told to, and names what is wrong."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynet import nn, optim
from tinynet.data import DataLoader, TensorDataset
from tinynet.errors import ArgumentError, DataError, GraphError
from tinynet.metrics import accuracy
from tinynet.ops.creation import tensor
from tinynet.ops.saving import load, save
from tinynet.random import manual_seed
from tinynet.tensor import Tensor
from tinynet.train import DivergenceError, History, evaluate, fit

X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]], dtype=np.float32) + 0.25).astype(np.float32)
LABELS = (Y[:, 0] > 0).astype(np.int64)


def linear(seed: int = 0) -> Any:
    manual_seed(seed)
    return nn.Linear(3, 1)


def sgd(model: Any, lr: float = 0.1) -> Any:
    return optim.SGD(model.parameters(), lr=lr)


mse = nn.functional.mse_loss


def test_it_is_gradient_descent() -> None:
    """Two epochs of whole batches, against the formula worked out by hand."""
    model = linear()
    w, b = (
        model.weight.detach().array.astype("f8").copy(),
        model.bias.detach().array.astype("f8").copy(),
    )
    history = fit(model, [(tensor(X), tensor(Y))], loss=mse, optimizer=sgd(model), epochs=2)
    for epoch in range(2):
        error = X @ w.T + b - Y
        assert history["loss"][epoch] == pytest.approx(np.mean(error**2), rel=1e-4)
        w -= 0.1 * 2 * error.T @ X / len(X)
        b -= 0.1 * 2 * error.mean(axis=0)
    np.testing.assert_allclose(model.weight.detach().numpy(), w, rtol=1e-4)
    np.testing.assert_allclose(model.bias.detach().numpy(), b, rtol=1e-4)


def test_the_loss_counts_samples_not_batches() -> None:
    """40 samples in batches of 32 and 8: with lr = 0 both ways of cutting give the same mean."""
    model = linear()
    history = fit(model, (X, Y), loss=mse, optimizer=sgd(model, lr=0.0), epochs=1, batch_size=32)
    expected = np.mean((model(tensor(X)).detach().numpy() - Y) ** 2)
    assert history["loss"] == [pytest.approx(expected, rel=1e-5)]
    assert evaluate(model, (X, Y), loss=mse, batch_size=7)["loss"] == pytest.approx(
        expected, rel=1e-5
    )


def test_a_line_is_learned() -> None:
    model = linear()
    history = fit(
        model, (X, Y), loss=mse, optimizer=sgd(model), epochs=40, validation=(X, Y), seed=1
    )
    assert len(history) == 40
    assert history.ended == "finished"
    assert history["val_loss"][-1] < 1e-6 < history["val_loss"][0]
    np.testing.assert_allclose(model.weight.detach().numpy(), [[1.0, -2.0, 0.5]], atol=1e-3)


def test_a_seed_repeats_the_run() -> None:
    def run(seed: int) -> list[float]:
        model = linear()
        return fit(
            model, (X, Y), loss=mse, optimizer=sgd(model), epochs=3, batch_size=8, seed=seed
        )["loss"]

    assert run(1) == run(1)
    assert run(1) != run(2)


def classifier() -> Any:
    manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))


@pytest.mark.parametrize("metrics", [[accuracy], {"accuracy": accuracy}])
def test_metrics_see_all_predictions_at_once(metrics: Any) -> None:
    seen = []

    def watched(predictions: Any, labels: Any) -> float:
        seen.append((len(predictions), len(labels)))
        return accuracy(predictions, labels)

    model = classifier()
    history = fit(
        model,
        TensorDataset(tensor(X), tensor(LABELS)),
        loss=nn.functional.cross_entropy,
        optimizer=optim.Adam(model.parameters(), lr=0.02),
        epochs=30,
        batch_size=8,
        validation=DataLoader(TensorDataset(tensor(X), tensor(LABELS)), batch_size=16),
        metrics={
            **(metrics if isinstance(metrics, dict) else {m.__name__: m for m in metrics}),
            "watched": watched,
        },
    )
    assert set(seen) == {(40, 40)}
    assert set(history.curves) == {
        "loss",
        "accuracy",
        "watched",
        "val_loss",
        "val_accuracy",
        "val_watched",
    }
    assert history["val_accuracy"][-1] > 0.9
    assert history["val_accuracy"] == history["val_watched"]


def test_evaluation_is_without_dropout_and_leaves_the_mode_as_it_was() -> None:
    model = classifier()
    expected = accuracy(model.eval()(tensor(X)), LABELS)
    for mode in (True, False):
        model.train(mode)
        assert evaluate(model, (X, LABELS), metrics=[accuracy]) == {"accuracy": expected}
        assert model.training is mode
    model.eval()
    modes = []
    model[2].register_forward_hook(lambda m, *_: modes.append(m.training))
    fit(model, (X, LABELS), loss=nn.functional.cross_entropy, optimizer=sgd(model), epochs=1)
    assert set(modes) == {True}
    assert not model.training


class Scripted(nn.Module):
    """A model whose loss on validation follows a script: it answers with its own weight."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(tensor([0.0]))

    def forward(self, x: Any) -> Any:
        return self.w * x


def steer(losses: list[float], **options: Any) -> tuple[History, float]:
    """Fit with a validation loss that takes the given values; the weight is the number of the
    epoch.
    """
    model, calls = Scripted(), iter(losses)

    def loss(prediction: Any, y: Any) -> Any:
        if model.training:
            return -prediction.sum()  # with lr = 1 the weight grows by 1 in each epoch
        return tensor(next(calls))

    data = [(tensor([1.0]), tensor([1.0]))]
    history = fit(
        model,
        data,
        loss=loss,
        optimizer=sgd(model, lr=1.0),
        epochs=len(losses),
        validation=data,
        **options,
    )
    return history, model.w.item()


def test_early_stopping_and_best_weights() -> None:
    losses = [5.0, 4.0, 4.5, 3.0, 3.0, 3.5, 3.2, 1.0]
    history, weight = steer(losses, patience=3)
    assert (history.ended, len(history), history.best_epoch, weight) == ("early", 7, 4, 7)
    history, weight = steer(losses, patience=3, restore_best=True)
    assert (history.best_epoch, weight) == (4, 4)
    history, weight = steer(losses, restore_best=True)
    assert (history.ended, history.best_epoch, weight) == ("finished", 8, 8)
    history, weight = steer(losses)
    assert weight == 8


def test_ctrl_c_returns_what_there_is() -> None:
    model, steps = linear(), 0

    def loss(prediction: Any, y: Any) -> Any:
        nonlocal steps
        steps += model.training
        if steps == 8:  # in the third epoch, of three batches each
            raise KeyboardInterrupt
        return mse(prediction, y)

    kept: list[Any] = []

    def watch(_p: Any, _y: Any) -> float:
        kept.append(model.weight.detach().array.copy())
        return 0.0

    history = fit(
        model,
        (X, Y),
        loss=loss,
        optimizer=sgd(model),
        epochs=9,
        batch_size=16,
        metrics={"watch": watch},
        restore_best=True,
    )
    assert (history.ended, len(history), history.best_epoch) == ("interrupted", 2, 2)
    np.testing.assert_array_equal(model.weight.detach().array, kept[-1])
    assert model.training


def test_a_loss_that_is_no_number_is_named() -> None:
    bad = X.copy()
    bad[20, 0] = math.nan
    model = linear()
    loader = DataLoader(TensorDataset(tensor(bad), tensor(Y)), batch_size=8)
    with pytest.raises(DivergenceError, match="nan in epoch 1, batch 3"):
        fit(model, loader, loss=mse, optimizer=sgd(model), epochs=2)
    model = linear()
    with (
        pytest.raises(ArithmeticError, match="in epoch"),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        fit(model, (X, Y), loss=mse, optimizer=sgd(model, lr=1e6), epochs=50)


class Cut(nn.Module):
    """The second layer is used, but the chain to the first is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x).detach())


def test_a_parameter_that_the_loss_cannot_reach_is_named() -> None:
    model = Cut()
    with pytest.raises(GraphError, match=r"does not reach first\.weight, first\.bias:"):
        fit(model, (X, Y), loss=mse, optimizer=sgd(model), epochs=1)
    model.first.requires_grad_(False)
    assert len(fit(model, (X, Y), loss=mse, optimizer=sgd(model), epochs=1)) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"epochs": -1}, ArgumentError),
        ({"patience": 2}, ArgumentError),
        ({"patience": 0, "validation": (X, Y)}, ArgumentError),
        ({"metrics": {"loss": accuracy}}, ArgumentError),
        ({"loss": lambda p, y: (p - y) ** 2}, GraphError),
        ({"loss": lambda p, y: 1.0}, GraphError),
        ({"data": (X,)}, DataError),
        ({"data": iter([(X, Y)])}, DataError),
        ({"data": []}, DataError),
        ({"data": [tensor(X)]}, DataError),
    ],
)
def test_what_cannot_be_trained(options: dict[str, Any], error: type[Exception]) -> None:
    model = linear()
    options = {"data": (X, Y), "loss": mse, "epochs": 1, "optimizer": sgd(model), **options}
    with pytest.raises(error):
        fit(model, options.pop("data"), **options)


def test_a_bar_only_on_a_terminal(monkeypatch: Any, capsys: Any) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def run(**options: Any) -> str:
        stderr = Terminal()
        monkeypatch.setattr(sys, "stderr", stderr)
        model = linear()
        fit(model, (X, Y), loss=mse, optimizer=sgd(model), epochs=2, **options)
        return stderr.getvalue()

    assert "loss=" in run()
    assert run(progress=False) == ""
    monkeypatch.undo()
    model = linear()
    fit(model, (X, Y), loss=mse, optimizer=sgd(model), epochs=2)
    assert capsys.readouterr() == ("", "")


def test_a_history_can_be_saved(tmp_path: Path) -> None:
    history = History({"loss": [2.0, math.nan], "val_loss": [1.5, 1.25]}, "early")
    save(history.to_dict(), tmp_path / "h")
    again = History.from_dict(load(tmp_path / "h"))
    assert repr(again) == repr(history)
    assert again.best_epoch == 2
    assert History({"loss": [2.0, math.nan]}).best_epoch == 1
    assert History().best_epoch == 0
    with pytest.raises(KeyError, match="no curve 'accuracy'; there are loss, val_loss"):
        history["accuracy"]
    with pytest.raises(ArgumentError):
        History.from_dict({"loss": []})


def test_predictions_that_metrics_keep_do_not_keep_the_graph() -> None:
    """What the metrics get requires no gradient."""
    kept: list[Tensor] = []
    model = linear()
    fit(
        model,
        (X, Y),
        loss=mse,
        optimizer=sgd(model),
        epochs=1,
        metrics={"keep": lambda p, y: kept.append(p) or 0.0},
    )
    assert len(kept) == 1
    assert not kept[0].requires_grad
