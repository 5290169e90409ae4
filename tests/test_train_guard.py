"""Numbers that are not finite: who made them is told, and nothing of them is left behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import dispatch, nn, optim, random
from tinynet.data import DataLoader, TensorDataset
from tinynet.op import Op
from tinynet.train import DivergenceError, diagnosis, fit

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)
mse = nn.functional.mse_loss
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, about these numbers


class Net(nn.Module):
    """Linear, batch norm, dropout, then what is handed in."""

    def __init__(self, last: Callable[[Any], Any]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.1))
        self.head = Last(last)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


class Last(nn.Module):
    def __init__(self, last: Callable[[Any], Any]) -> None:
        super().__init__()
        self.last = last

    def forward(self, x: Any) -> Any:
        return self.last(x)[:, :1]


def everything(model: Any) -> Any:
    state = [x.array.tobytes() for x in model.state_dict().values()]
    return state, tn.get_rng_state()


def message(model: Any, x: Any = X, **options: Any) -> str:
    """What the error says, when all is as it was before."""
    tn.manual_seed(1)
    loader = DataLoader(TensorDataset(x, options.pop("y", Y)), batch_size=8)
    stages = [everything(model)]

    class Watched(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            stages.append(everything(model))

    sgd = Watched(model.parameters(), lr=0.1, momentum=0.9)
    options = {"loss": mse, "epochs": 3, **options}
    with pytest.raises(DivergenceError) as caught:
        fit(model, loader, optimizer=sgd, **options)
    assert everything(model)[0] == stages[-1][0]
    if not re.search(r"batch(es)? 1\b", str(caught.value)):  # for the order one was drawn
        assert everything(model)[1] == stages[-1][1]
    assert all(p.grad is None for p in model.parameters())
    assert Op.__call__ is dispatch.apply  # nobody watches any more
    assert not any(module._forward_hooks for module in model.modules())
    return str(caught.value)


def test_an_op_in_the_forward_pass() -> None:
    text = message(Net(lambda x: x.log()))
    assert "the loss is nan in epoch 1, batch 1" in text
    assert "log in head (Last) (forward): (8, 3) float32 -> (8, 3) float32, where" in text
    assert "entries are not finite (-inf, nan)" in text
    assert "try: log of 0 or less" in text
    assert "x.log()" in text  # the line, in this file
    assert "test_train_guard.py:" in text


def test_an_op_in_the_backward_pass() -> None:
    text = message(Net(lambda x: (x * 0).sqrt()))
    assert "the gradient of body.0.weight, body.0.bias, body.1.weight and 1 more is not" in text
    assert "sqrt in head (Last) (backward): a finite gradient (8, 3) float32 arrives" in text
    assert "sqrt(x + eps)" in text
    assert "x * 0" in text


def test_of_several_batches_the_bad_one_is_found() -> None:
    y = Y.copy()
    y[8:16] = 0

    def loss(p: Any, y: Any) -> Any:
        return ((p * y) ** 2).sum().sqrt()

    text = message(nn.Linear(3, 1), y=y, loss=loss, accumulate=2, clip=1.0)
    assert "the gradient of weight, bias is not finite in epoch 1, batches 1 to 2" in text
    assert "sqrt in the loss (backward): a finite gradient () float32 arrives" in text


def test_infinite_numbers_that_become_nan_later() -> None:
    def last(x: Any) -> Any:
        large = (x * 1000).exp()
        return large / large.sum()

    text = message(Net(last))
    assert "div in head (Last) (forward)" in text
    assert "came from exp in head (Last) (forward)" in text
    assert "large = (x * 1000).exp()" in text
    assert "subtract the maximum first" in text


def test_a_mask_of_minus_infinity_is_no_mistake() -> None:
    """It is there in every batch; only where it leaves nothing open a NaN is born."""
    calls = []

    def last(x: Any) -> Any:
        calls.append(1)
        mask = np.array([[False, True, len(calls) > 3]] * 8)
        mask[:, 0] = len(calls) > 3
        return x.masked_fill(tn.tensor(mask), -np.inf).softmax(-1)

    text = message(Net(last))
    assert "in epoch 2, batch 1" in text
    assert "softmax in head (Last) (forward)" in text
    assert "leave at least one entry" in text


def test_bad_data() -> None:
    bad = X.copy()
    bad[12, 1] = np.nan
    text = message(Net(lambda x: x), bad)
    assert "in epoch 1, batch 2" in text
    assert "linear in body.0 (Linear) (forward)" in text
    assert "it was given the input of the batch (8, 3) float32" in text
    assert "samples with NaN in the batch: 4" in text
    assert "look at it" in text


def test_bad_weights_and_losses() -> None:
    model = nn.Linear(3, 1)
    model.weight.data.array[0, 1] = np.inf
    assert "it was given weight (1, 3) float32, where 1 of 3 entries" in message(model)
    text = message(nn.Linear(3, 1), loss=lambda p, y: (p - y).mean() / (0 * p).sum())
    assert "div in the loss (forward)" in text

    class Own(nn.Module):
        def forward(self, p: Any, y: Any) -> Any:
            return (p * 0 - 1).log().mean()

    assert "log in the loss (Own) (forward)" in message(nn.Linear(3, 1), loss=Own())


def test_steps_that_are_too_long() -> None:
    model = nn.Linear(3, 1)
    sgd = optim.SGD(model.parameters(), lr=1e12)
    with pytest.raises(DivergenceError, match=r"in epoch \d+, batch(.|\n)*a smaller lr"):
        fit(model, (X, Y), loss=mse, optimizer=sgd, epochs=50)
    assert np.isfinite(model.weight.array).all()


def test_what_cannot_be_repeated_is_said() -> None:
    calls = []

    def once(prediction: Any, y: Any) -> Any:
        calls.append(1)
        return mse(prediction, y) * (np.nan if len(calls) == 2 else 1.0)

    text = message(nn.Linear(3, 1), loss=once)
    assert "in epoch 1, batch 2" in text
    assert "did not come again when the batch was repeated" in text

    def broken(prediction: Any, y: Any) -> Any:
        calls.append(1)
        if calls[:1] == ["on"]:
            raise KeyError("gone")
        calls[0] = "on"
        return mse(prediction, y) * np.nan

    assert "repeating the batch failed: KeyError: 'gone'" in message(nn.Linear(3, 1), loss=broken)


def test_a_gradient_is_looked_at_in_every_step() -> None:
    """From a function whose backward is wrong in the fifth step only."""
    steps = []

    class Wrong(tn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            steps.append(1)
            return g * (np.inf if len(steps) >= 5 else 2.0)

    text = message(Net(Wrong.apply))
    assert "in epoch 2, batch 2" in text
    assert "dropout in body.2 (Dropout) (backward): the gradient that arrives is bad" in text
    assert "from a Function's own backward" in text


def test_dropout_is_repeated_with_the_same_mask() -> None:
    """Only where the mask hides the right entry a 0 comes to the logarithm."""

    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.drop = nn.Linear(3, 1), nn.Dropout(0.03)

        def forward(self, x: Any) -> Any:
            return self.layer(x) + self.drop(tn.ones(len(x), 1)).log()

    text = message(Sometimes(), epochs=100)
    assert "log in Sometimes (forward)" in text
    assert "(-inf)" in text


def test_a_checkpoint_from_before_goes_on(tmp_path: Path) -> None:
    bad = X.copy()
    bad[20, 0] = np.nan

    def run(x: Any, **options: Any) -> Any:
        tn.manual_seed(0)
        model = nn.Linear(3, 1)
        loader = [(tn.tensor(x[i : i + 8]), tn.tensor(Y[i : i + 8])) for i in (0, 8, 16)]
        sgd = optim.SGD(model.parameters(), lr=0.1)
        return fit(
            model, loader, loss=mse, optimizer=sgd, epochs=1, checkpoint=tmp_path / "c",
            checkpoint_every=1,
        )  # fmt: skip

    with pytest.raises(DivergenceError, match="in epoch 1, batch 3"):
        run(bad)
    place = tn.load(tmp_path / "c")["place"]
    assert place == {"epoch": 0, "batch": 2, "steps": 2}
    assert len(run(X)) == 1


def test_other_threads_are_not_watched() -> None:
    import threading

    seen: list[str] = []
    with dispatch.watched(lambda op, *_: seen.append(op.name), lambda *_: None):
        thread = threading.Thread(target=lambda: tn.ones(2).exp())
        thread.start()
        thread.join()
        tn.ones(2).sqrt()
    tn.ones(2).log()
    assert seen == ["sqrt"]


def test_numbers_in_words() -> None:
    assert diagnosis.count_bad(np.ones(3)) == ""
    assert diagnosis.count_bad("text") == ""
    assert diagnosis.count_bad(np.array([1, 2])) == ""
    assert diagnosis.count_bad(np.array(np.inf)) == "1 of 1 entries is not finite (inf)"
    assert diagnosis.bad_samples((X, np.array([[1.0], [np.nan]]))) == "1"
    assert random.get_rng_state() is not None
