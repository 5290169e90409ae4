"""A run that was stopped goes on as if it had not been: the same numbers, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn, optim
from tinynet.data import DataLoader, IterableDataset, Sampler, TensorDataset
from tinynet.random import Generator
from tinynet.train import DivergenceError, History, fit

X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]], dtype=np.float32)).astype(np.float32)
mse = nn.functional.mse_loss
PROGRAM = Path(__file__).with_name("training_to_kill.py")


# -- killed ----------------------------------------------------------------------------------------


def start(*arguments: object) -> subprocess.Popen[bytes]:
    root = str(Path(tn.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing to kill with")
@pytest.mark.parametrize("kind", ["adam", "momentum"])
def test_killed_at_random_moments(tmp_path: Path, kind: str) -> None:
    """Four kills in a row, wherever they fall, against a run that nobody disturbs and that writes
    no checkpoint at all.
    """
    undisturbed = start("", tmp_path / "expected", 0, kind)
    file, moments = tmp_path / "checkpoint", random.Random(kind)
    kills = 0
    for _ in range(4):
        run = start(file, tmp_path / "found", 0.003, kind)
        deadline = time.monotonic() + 60
        before = file.stat().st_mtime_ns if file.exists() else 0
        while run.poll() is None and time.monotonic() < deadline:
            if file.exists() and file.stat().st_mtime_ns != before:
                break  # it has resumed, and gone on
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.2))
        kills += run.poll() is None
        run.kill()
        run.communicate()
    run = start(file, tmp_path / "found", 0, kind)
    assert run.communicate(timeout=100)[1] == b""
    assert undisturbed.communicate(timeout=100)[1] == b""
    assert kills >= 2
    assert (tmp_path / "found").read_bytes() == (tmp_path / "expected").read_bytes()
    assert len(tn.load(file)["history"]["curves"]["loss"]) >= 4


# -- stopped at any step, in this process ----------------------------------------------------------


class Stopped(Exception):
    pass


def train(
    file: Path | None, stop: int | None = None, data: Any = None, **options: Any
) -> tuple[History, dict[str, bytes]] | None:
    """A small run; `stop` is the number of the batch at which it breaks off, in this call."""
    tn.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 1)
    )
    count = 0

    def loss(prediction: Any, y: Any) -> Any:
        nonlocal count
        count += model.training
        if count == stop:
            raise Stopped
        return mse(prediction, y)

    options = {
        "optimizer": optim.Adam(model.parameters(), lr=0.02),
        "epochs": 3,
        "batch_size": 8,
        **options,
    }
    if file is not None:
        options = {"checkpoint": file, "checkpoint_every": 1, **options}
    try:
        history = fit(model, (X, Y) if data is None else data(), loss=loss, **options)
    except Stopped:
        return None
    state = {name: x.array.tobytes() for name, x in model.state_dict().items()}
    return history, {**state, "random": tn.rand(2).array.tobytes()}


class Lazy(Sampler):
    """Draws from the default generator while it goes, not at the start."""

    def __iter__(self) -> Any:
        return (int(tn.randint(0, 40, (1,)).item()) for _ in range(40))

    def __len__(self) -> int:
        return 40


class Stream(IterableDataset):
    """Samples in a shuffled order that is drawn on the way."""

    def __iter__(self) -> Any:
        for i in range(40):
            j = int(tn.randint(0, 40, (1,)).item())
            yield X[j] + np.float32(i), Y[j]


class Plain:
    """A loader of somebody else's."""

    def __init__(self) -> None:
        self.source = np.random.default_rng(3)

    def __iter__(self) -> Any:
        for _ in range(5):
            rows = self.source.integers(0, 40, 8)
            yield tn.tensor(X[rows]), tn.tensor(Y[rows])


class Blurred(TensorDataset):
    """Noise from a generator of its own."""

    def __init__(self) -> None:
        super().__init__(X, Y)
        self.transform = [Generator().manual_seed(9), np.random.default_rng(9)]

    def __getitem__(self, i: Any) -> Any:
        x, y = super().__getitem__(i)
        noise = self.transform[0].standard_normal((3,)) + self.transform[1].random(3, np.float32)
        return x + tn.tensor(noise), y


def shuffled(dataset: Any, **options: Any) -> Any:
    own = Generator().manual_seed(7)
    return DataLoader(dataset, batch_size=8, shuffle=True, generator=own, **options)


DATA: dict[str, Any] = {
    "arrays": lambda: (X, Y),
    "several inputs": lambda: ((X,), Y),
    "a list": lambda: [(tn.tensor(X[i : i + 8]), tn.tensor(Y[i : i + 8])) for i in (0, 8, 16, 24)],
    "a generator of the order": lambda: shuffled(TensorDataset(X, Y)),
    "threads": lambda: shuffled(TensorDataset(X, Y), num_workers=2),
    "a lazy sampler": lambda: DataLoader(TensorDataset(X, Y), batch_size=8, sampler=Lazy()),
    "a lazy sampler, threads": lambda: DataLoader(
        TensorDataset(X, Y), batch_size=8, sampler=Lazy(), num_workers=2
    ),
    "a stream": lambda: DataLoader(Stream(), batch_size=8),
    "a generator of the data": lambda: shuffled(Blurred()),
    "another loader": Plain,
}


@pytest.mark.parametrize("name", DATA)
def test_every_kind_of_loader(tmp_path: Path, name: str) -> None:
    expected = train(None, data=DATA[name])
    for number, stop in enumerate((2, 5, 4, 2)):
        assert train(tmp_path / "c", stop, DATA[name]) is None, number
    assert train(tmp_path / "c", data=DATA[name]) == expected


def test_stopped_in_every_batch(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "validation": (X, Y), "patience": 2, "restore_best": True, "ema": 0.8, "accumulate": 2
    }  # fmt: skip
    expected = train(None, **options)
    for stop in range(1, 16):
        file = tmp_path / str(stop)
        assert train(file, stop, **options) is None
        assert train(file, **options) == expected
        assert train(file, **options) == expected  # which trains no more


@pytest.mark.parametrize("every", [None, 2, 3, 100])
def test_checkpoints_here_and_there(tmp_path: Path, every: int | None) -> None:
    expected = train(None, metrics={"worst": lambda p, y: float(abs(p - y).max())})
    for stop in (4, 9, 3):
        options = {"checkpoint_every": every, "metrics": {"worst": lambda p, y: abs(p - y).max()}}
        assert train(tmp_path / "c", stop, **options) is None
    assert train(tmp_path / "c", **options) == expected


def test_a_run_is_prolonged(tmp_path: Path) -> None:
    train(tmp_path / "c", epochs=2)
    assert train(tmp_path / "c", epochs=5) == train(None, epochs=5)


def test_one_that_stopped_early_stays_so(tmp_path: Path) -> None:
    def run(epochs: int) -> Any:
        return train(
            tmp_path / "c", epochs=epochs, validation=(X, -Y), patience=1, restore_best=True
        )

    first = run(20)
    assert first[0].ended == "early"
    assert run(40) == first


@pytest.mark.parametrize("name", ["StepLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR"])
def test_schedules(tmp_path: Path, name: str) -> None:
    def run(file: Path | None, stop: int | None) -> Any:
        model = nn.Linear(3, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        kinds = optim.lr_scheduler
        scheduler: Any = {
            "StepLR": lambda: kinds.StepLR(optimizer, 4, 0.5),
            "OneCycleLR": lambda: kinds.OneCycleLR(optimizer, 0.2, total_steps=20),
            "ReduceLROnPlateau": lambda: kinds.ReduceLROnPlateau(optimizer, patience=0),
            "SequentialLR": lambda: kinds.SequentialLR(
                optimizer,
                [
                    kinds.LinearLR(optimizer, 0.1, total_iters=3),
                    kinds.ExponentialLR(optimizer, 0.9),
                ],
                milestones=[3],
            ),
        }[name]()
        for p in model.parameters():
            p.data = tn.zeros(*p.shape)
        count = 0

        def loss(prediction: Any, y: Any) -> Any:
            nonlocal count
            count += model.training
            if count == stop:
                raise Stopped
            return mse(prediction, y)

        tn.manual_seed(2)
        try:
            history = fit(
                model, (X, Y), loss=loss, optimizer=optimizer, scheduler=scheduler, epochs=3,
                batch_size=8, validation=(X, Y), checkpoint=file, checkpoint_every=file and 2,
            )  # fmt: skip
        except Stopped:
            return None
        return history, model.weight.array.tobytes(), optimizer.param_groups[0]["lr"]

    expected = run(None, None)
    for stop in (3, 8, 4):
        assert run(tmp_path / "c", stop) is None
    assert run(tmp_path / "c", None) == expected


# -- Ctrl-C ----------------------------------------------------------------------------------------


@pytest.fixture
def signals() -> Iterator[None]:
    """Ctrl-C as in a terminal; where tests run in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("batch", [3, 5])
def test_ctrl_c_waits_for_the_step_and_writes_the_checkpoint(tmp_path: Path, batch: int) -> None:
    """In the second epoch, in the middle and after the last of its five batches."""
    expected = train(None)

    class Pressed(nn.Module):
        training_calls = 0

        def forward(self, prediction: Any, y: Any) -> Any:
            Pressed.training_calls += 1
            if Pressed.training_calls == 5 + batch:
                signal.raise_signal(signal.SIGINT)
            return mse(prediction, y)

    tn.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 1)
    )
    adam = optim.Adam(model.parameters(), lr=0.02)
    file = tmp_path / "c"
    history = fit(
        model, (X, Y), loss=Pressed(), optimizer=adam, epochs=3, batch_size=8, checkpoint=file
    )
    assert (history.ended, len(history), Pressed.training_calls) == ("interrupted", 1, 5 + batch)
    assert tn.load(file)["place"] == {"epoch": 1, "batch": batch, "steps": 5 + batch}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    history = fit(
        model, (X, Y), loss=Pressed(), optimizer=adam, epochs=3, batch_size=8, checkpoint=file
    )
    assert expected is not None
    assert history == expected[0]
    assert model[0].weight.array.tobytes() == expected[1]["0.weight"]


@pytest.mark.usefixtures("signals")
def test_ctrl_c_twice_stops_at_once(tmp_path: Path) -> None:
    calls = []

    def loss(prediction: Any, y: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            calls.append(1)
        return mse(prediction, y)

    model = nn.Linear(3, 1)
    history = fit(
        model, (X, Y), loss=loss, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=2,
        batch_size=8, checkpoint=tmp_path / "c",
    )  # fmt: skip
    assert (history.ended, len(history), len(calls)) == ("interrupted", 0, 2)
    assert tn.load(tmp_path / "c")["place"]["steps"] == 0  # the one that was written at the start


def test_training_in_a_thread_leaves_signals_alone() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(train(None)))
    thread.start()
    thread.join(60)
    assert len(found[0][0]) == 3


# -- on a GPU --------------------------------------------------------------------------------------


def test_on_a_gpu(tmp_path: Path, cupy: Any) -> None:
    """A GPU's generator does not tell where it stands (see `Generator.get_state`): the run that is
    compared writes its checkpoints at the same steps.
    """

    def run(file: Path, stop: int | None = None) -> Any:
        tn.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
        model.cuda()
        count = 0

        def loss(prediction: Any, y: Any) -> Any:
            nonlocal count
            count += model.training
            if count == stop:
                raise Stopped
            return mse(prediction, y)

        x, y = tn.tensor(X).cuda(), tn.tensor(Y).cuda()
        try:
            history = fit(
                model, (x, y), loss=loss, optimizer=optim.Adam(model.parameters()), epochs=2,
                batch_size=8, checkpoint=file, checkpoint_every=1, ema=0.9, clip=1.0, accumulate=2,
                validation=(x, y), restore_best=True, patience=2,
                metrics={"error": lambda p, y: abs(p - y).max()},
            )  # fmt: skip
        except Stopped:
            return None
        return history, [x.cpu().array.tobytes() for x in model.state_dict().values()]

    expected = run(tmp_path / "whole")
    for stop in (2, 4, 3):
        assert run(tmp_path / "c", stop) is None
    assert run(tmp_path / "c") == expected
    model = nn.Linear(3, 1).cuda()
    bad = tn.tensor(X * np.float32(np.nan)).cuda()
    sgd = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DivergenceError, match=r"linear in Linear \(forward\)"):
        fit(model, (bad, tn.tensor(Y).cuda()), loss=mse, optimizer=sgd, epochs=1)
