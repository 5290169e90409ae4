"""What `fit` can do besides plain descent, each against its formula; the learning-rate finder; the
table of a history.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn, optim
from tinynet.data import DataLoader, Dataset, IterableDataset, TensorDataset
from tinynet.errors import ArgumentError, DataError, DTypeError, FileFormatError
from tinynet.optim import lr_scheduler
from tinynet.train import History, LearningRates, evaluate, find_lr, finder, fit

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]]) + 0.25
mse = nn.functional.mse_loss


def line(seed: int = 0) -> Any:
    tn.manual_seed(seed)
    return nn.Linear(3, 1).double()


def batches(*sizes: int) -> list[Any]:
    ends = np.cumsum(sizes)
    return [(tn.tensor(X[e - n : e]), tn.tensor(Y[e - n : e])) for n, e in zip(sizes, ends)]  # noqa: B905


def trained(data: Any, make: Callable[..., Any] | None = None, **options: Any) -> Any:
    model = line()
    optimizer = (make or (lambda p: optim.SGD(p, lr=0.1, momentum=0.5)))(model.parameters())
    options = {"loss": mse, "optimizer": optimizer, "epochs": 2, **options}
    history = fit(model, data, **options)
    return model, history


def weights(model: Any) -> Any:
    return np.concatenate([p.detach().array.ravel() for p in model.parameters()])


# -- accumulation ----------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 8), min_size=1, max_size=5), st.integers(1, 6))
def test_accumulated_batches_are_one_large_batch(sizes: list[int], accumulate: int) -> None:
    small = batches(*sizes)
    large = batches(*(sum(sizes[i : i + accumulate]) for i in range(0, len(sizes), accumulate)))
    one, history = trained(small, accumulate=accumulate)
    other, expected = trained(large)
    np.testing.assert_allclose(weights(one), weights(other), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-12)


def test_a_schedule_counts_steps_not_batches() -> None:
    rates: list[float] = []

    def run(**options: Any) -> list[float]:
        model = line()
        sgd = optim.SGD(model.parameters(), lr=1.0)
        scheduler = lr_scheduler.ExponentialLR(sgd, 0.5)
        history = fit(
            model, batches(8, 8, 8, 8, 8), loss=mse, optimizer=sgd, scheduler=scheduler,
            epochs=2, **options,
        )  # fmt: skip
        rates[:] = [sgd.param_groups[0]["lr"]]
        return history["lr"]

    assert run(clip=0.1) == [2.0**-5, 2.0**-10]
    assert run(clip=0.1, accumulate=2) == [2.0**-3, 2.0**-6]
    assert run(clip=0.1, scheduler_every="epoch") == [1.0, 0.5]
    assert rates == [0.25]


def test_a_plateau_is_seen_by_the_validation_loss() -> None:
    model = line()
    sgd = optim.SGD(model.parameters(), lr=0.25)
    scheduler = lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, patience=0)
    losses = iter([3.0, 2.0, 2.0, 1.0, 1.5, 1.5])

    def loss(prediction: Any, y: Any) -> Any:
        return mse(prediction, y) if model.training else tn.tensor(next(losses))

    data = batches(20)
    history = fit(
        model, data, loss=loss, optimizer=sgd, scheduler=scheduler, epochs=6, validation=data
    )
    assert history["lr"] == [0.25, 0.25, 0.25, 0.125, 0.125, 0.0625]


# -- clipping --------------------------------------------------------------------------------------


def test_clipping_is_that_of_nn_utils() -> None:
    data = batches(10, 30)
    found, _ = trained(data, clip=0.3, epochs=3)
    model = line()
    sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    for _ in range(3):
        for x, y in data:
            sgd.zero_grad()
            mse(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            sgd.step()
    assert weights(found).tobytes() == weights(model).tobytes()
    assert not np.allclose(weights(found), weights(trained(data, epochs=3)[0]))


# -- the average -----------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_weighted_mean_of_all_steps(decay: float) -> None:
    seen: list[Any] = []

    class Watched(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            seen.append(np.concatenate([p.array.ravel().copy() for p in self._order()]))

    scores: list[Any] = []

    def watch(prediction: Any, y: Any) -> float:
        scores.append(prediction.array.copy())
        return 0.0

    model, _ = trained(
        batches(10, 10, 20),
        lambda p: Watched(p, lr=0.2),
        ema=decay,
        validation=batches(40),
        metrics={"watch": watch},
    )
    shares = decay ** np.arange(len(seen))[::-1]
    expected = shares @ np.array(seen) / shares.sum()
    np.testing.assert_allclose(weights(model), expected, rtol=1e-12)
    assert len(seen) == 6
    validated = X @ expected[:3, None] + expected[3]
    np.testing.assert_allclose(scores[-1], validated, rtol=1e-12)  # the average is what is judged


def test_training_goes_on_with_its_own_weights() -> None:
    losses = [trained(batches(8, 8, 8), epochs=4, ema=d)[1]["loss"] for d in (None, 0.9)]
    assert losses[0] == losses[1]


def test_the_best_weights_are_averages_too() -> None:
    kept: list[Any] = []
    model = line()

    def watch(prediction: Any, y: Any) -> float:
        kept.append(weights(model))  # after the epoch, then on the validation data
        return 0.0

    history = fit(
        model, batches(20, 20), loss=mse, optimizer=optim.SGD(model.parameters(), lr=0.9), epochs=6,
        ema=0.5, validation=batches(10), metrics={"watch": watch}, restore_best=True,
    )  # fmt: skip
    assert history.best_epoch < 6
    assert weights(model).tobytes() == kept[1::2][history.best_epoch - 1].tobytes()


def test_frozen_parameters_and_half_precision() -> None:
    tn.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).half()
    model[0].requires_grad_(False)
    frozen = model[0].weight.array.copy()
    sgd = optim.SGD(model[1].parameters(), lr=0.01)
    fit(model, (X.astype("f2"), Y.astype("f2")), loss=mse, optimizer=sgd, epochs=2, ema=0.9)
    assert model[1].weight.dtype == np.float16
    np.testing.assert_array_equal(model[0].weight.array, frozen)


# -- several inputs --------------------------------------------------------------------------------


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1).double()

    def forward(self, x: Any, factor: Any) -> Any:
        return self.layer(x) * factor


class Pairs(Dataset):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: Any) -> Any:
        return (X[i], np.ones(1)), Y[i]


def test_several_inputs() -> None:
    expected, history = trained((X, Y), batch_size=16, seed=4)
    for data in ((X, np.ones((40, 1))), Y), Pairs():
        tn.manual_seed(0)
        model = Weighted()
        sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        found = fit(model, data, loss=mse, optimizer=sgd, epochs=2, batch_size=16, seed=4)
        assert found == history
        assert weights(model).tobytes() == weights(expected).tobytes()
        assert evaluate(model, data, loss=mse) == pytest.approx(
            evaluate(expected, (X, Y), loss=mse)
        )


# -- random numbers of the loader ------------------------------------------------------------------


class Noise(Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: Any) -> Any:
        return tn.rand(2), i


@pytest.mark.parametrize("options", [{"num_workers": 2}, {"num_workers": 3, "prefetch_factor": 1}])
def test_the_number_of_threads_changes_nothing(options: dict[str, int]) -> None:
    def run(meanwhile: Callable[[], Any], **options: Any) -> list[Any]:
        tn.manual_seed(5)
        loader = DataLoader(Noise(), batch_size=5, shuffle=True, **options)
        found = []
        for _ in range(2):
            for x, i in loader:
                meanwhile()
                found.append((x.array.tolist(), i.array.tolist()))
        return found

    expected = run(lambda: None)
    assert run(lambda: None, **options) == expected
    assert run(lambda: tn.rand(7), **options)[:3] == expected[:3]
    assert len({str(x) for x, _ in expected}) == 6  # every batch, in every pass, has its own
    tn.manual_seed(5)
    loader = DataLoader(Noise(), batch_size=5, shuffle=True, **options)
    assert [(x.array.tolist(), i.array.tolist()) for x, i in loader.batches(1)] == expected[1:3]


# -- progress --------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_progress(monkeypatch: Any, terminal: bool) -> None:
    def run(progress: Any) -> str:
        stderr = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        trained(batches(10, 10, 20), epochs=12, validation=batches(5), progress=progress)
        return stderr.getvalue()

    assert run(False) == ""
    if terminal:
        for progress in (True, "lines"):
            shown = run(progress)
            assert "36/36" in shown
            assert re.search(r"loss=.*, val_loss=.*samples/s", shown)
    else:
        assert run(True) == ""
        lines = run("lines").splitlines()
        assert len(lines) == 12
        pattern = r"epoch  2/12  loss \S+  val_loss \S+  [\d,]+ samples/s"
        assert re.fullmatch(pattern, lines[1])
    with pytest.raises(ArgumentError, match="'lines'"):
        run("bar")


def test_a_bar_for_a_stream(monkeypatch: Any) -> None:
    class Endless(IterableDataset):
        def __iter__(self) -> Any:
            return iter(zip(X, Y, strict=True))

    monkeypatch.setattr(sys, "stderr", Terminal())
    _, history = trained(DataLoader(Endless(), batch_size=8))
    assert len(history) == 2


# -- what makes no sense ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"accumulate": 0}, ArgumentError, "accumulate counts batches"),
        ({"clip": 0.0}, ArgumentError, "largest norm"),
        ({"clip": math.nan}, ArgumentError, "largest norm"),
        ({"ema": 1.0}, ArgumentError, r"decay in \[0, 1\)"),
        ({"scheduler": 0.1}, DTypeError, "schedule of optim"),
        ({"scheduler_every": "batch"}, ArgumentError, "'step' or 'epoch'"),
        ({"metrics": {"lr": lambda p, y: 0.0}}, ArgumentError, "'lr': that name is taken"),
        ({"data": ((X, X[:3]), Y)}, DataError, "different numbers"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        trained(options.pop("data", (X, Y)), **options)


def test_a_schedule_of_another_optimizer() -> None:
    other = lr_scheduler.StepLR(optim.SGD(line().parameters(), lr=0.1), 3)
    with pytest.raises(ArgumentError, match="another optimizer"):
        trained((X, Y), scheduler=other)


# -- the learning-rate finder ----------------------------------------------------------------------


def noisy_net() -> Any:
    tn.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 1)
    ).double()


MAKERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.1),
}


def everything(model: Any, optimizer: Any) -> Any:
    moments = [
        {key: x.array.tobytes() if isinstance(x, tn.Tensor) else x for key, x in state.items()}
        for state in optimizer.state_dict()["state"].values()
    ]
    return (
        [x.array.tobytes() for x in model.state_dict().values()],
        [None if p.grad is None else p.grad.array.tobytes() for p in model.parameters()],
        moments,
        repr(optimizer),
        tn.get_rng_state(),
        [module.training for module in model.modules()],
    )


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("fresh", [True, False])
def test_the_finder_puts_everything_back(name: str, fresh: bool) -> None:
    model = noisy_net()
    optimizer = MAKERS[name](model.parameters())
    if not fresh:
        fit(model, (X, Y), loss=mse, optimizer=optimizer, epochs=1)
    model[1].eval()
    before = everything(model, optimizer)
    with np.errstate(over="ignore"):
        found = find_lr(model, (X, Y), loss=mse, optimizer=optimizer, batch_size=8, highest=1e3)
    assert everything(model, optimizer) == before
    assert optimizer._stepped is not fresh
    histories = []
    for _ in range(2):  # and training goes the same way as without it
        histories.append(
            fit(model, (X, Y), loss=mse, optimizer=optimizer, epochs=2, seed=1)["loss"]
        )
        model = noisy_net()
        optimizer = MAKERS[name](model.parameters())
        if not fresh:
            fit(model, (X, Y), loss=mse, optimizer=optimizer, epochs=1)
    assert histories[0] == histories[1]
    assert found.rates[0] == 1e-6
    assert len(found.rates) == len(found.losses) == len(found.smoothed)


@pytest.mark.parametrize("curvature", [0.1, 1.0, 10.0])
def test_the_suggestion_lies_below_where_descent_diverges(curvature: float) -> None:
    """L = k w² / 2 diverges above 2/k: the suggestion is within a factor of 30 below it."""
    w = nn.ParameterList([nn.Parameter(tn.ones(1, dtype=tn.float64))])
    w.forward = lambda x: w[0] * x  # type: ignore[method-assign]
    sgd = optim.SGD(w.parameters(), lr=1.0)
    one = tn.ones(1, dtype=tn.float64)
    found = find_lr(
        w, [(one, one)], loss=lambda p, y: curvature / 2 * (p**2).mean(), optimizer=sgd,
        lowest=1e-5, highest=1e3,
    )  # fmt: skip
    assert 2 / curvature / 30 < found.suggestion < 2 / curvature
    assert found.rates[-1] < 1e3  # it stopped when the loss blew up


def test_neither_first_noise_nor_what_comes_after_the_lowest_loss_is_suggested() -> None:
    rates = np.geomspace(1e-6, 10, 60).tolist()
    falls = [2.9, 2.7, 2.2, 1.9, 1.85, *[1.8] * 5]
    smoothed = [9.0, 2.0, *[3.0] * 28, *falls, *[8.0] * 10, *[2.5] * 10]
    assert finder._steepest(rates, smoothed) == rates[32]
    assert finder._steepest(rates[:2], smoothed[:2]) == rates[0]
    assert math.isnan(finder._steepest([], []))


def test_the_rates_of_several_groups_keep_their_ratio() -> None:
    model, rates = line(), []
    groups = [{"params": [model.weight], "lr": 0.2}, {"params": [model.bias], "lr": 0.1}]

    class Watched(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append([group["lr"] for group in self.param_groups])

    find_lr(model, (X, Y), loss=mse, optimizer=Watched(groups), steps=10, lowest=1.0, highest=512.0)
    np.testing.assert_allclose(rates, [[2.0**i, 2.0**i / 2] for i in range(10)])


def test_the_picture_marks_the_suggestion() -> None:
    found = LearningRates([0.1, 1.0, 10.0], [3.0, 1.0, 4.0], [3.0, 2.0, 3.0], 1.0)
    ax = found.plot()
    assert "suggestion: 1" in [text.get_text() for text in ax.get_legend().get_texts()]
    (mark,) = [x for x in ax.lines if x.get_marker() == "o"]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1.0, 2.0)
    with pytest.raises(ArgumentError, match="nothing to draw"):
        LearningRates([], [], [], math.nan).plot()


@pytest.mark.parametrize(
    "options",
    [{"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}, {"steps": 3}, {"data": []}],
)
def test_a_search_that_makes_no_sense(options: dict[str, Any]) -> None:
    model = line()
    sgd = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ArgumentError):
        find_lr(model, options.pop("data", (X, Y)), loss=mse, optimizer=sgd, **options)


# -- the table -------------------------------------------------------------------------------------

numbers = st.lists(st.floats(), max_size=5)
names = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=5).filter(
    lambda name: name not in ("epoch", "ended")
)


@given(st.dictionaries(names, numbers, max_size=4), st.sampled_from(["finished", "early"]))
def test_a_table_comes_back(tmp_path_factory: Any, curves: Any, ended: str) -> None:
    path = tmp_path_factory.mktemp("table") / "h.csv"
    history = History(curves, ended)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)  # which takes its time
        history.to_csv(path)
    assert repr(History.from_csv(path)) == repr(history)


def test_other_programs_read_the_table(tmp_path: Path) -> None:
    _, history = trained((X, Y), epochs=3, validation=(X, Y))
    history.to_csv(tmp_path / "h.csv")
    with open(tmp_path / "h.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table of a history"),
        ("loss\n1\n", "no table of a history"),
        ("epoch,loss,ended\n", "no table of a history"),
        ("epoch,loss,ended\n1,many,\n", "line 2: not a number"),
        ("epoch,loss,ended\n1,0.5,\n2,finished\n", "line 3: not a number"),
    ],
)
def test_tables_of_another_kind(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(FileFormatError, match=message):
        History.from_csv(tmp_path / "h.csv")


def test_columns_that_are_taken(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'epoch'"):
        History({"epoch": [1.0]}).to_csv(tmp_path / "h.csv")


def test_a_data_set_of_triples_is_refused() -> None:
    with pytest.raises(DataError, match="a pair"):
        trained(TensorDataset(X, X, Y))
