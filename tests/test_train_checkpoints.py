"""A checkpoint of another run, or one that cannot be written: told in words; the old one stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import files, nn, optim
from tinynet.data import DataLoader, TensorDataset
from tinynet.errors import ArgumentError
from tinynet.random import Generator
from tinynet.train import CheckpointError, DivergenceError, History, fit

X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]], dtype=np.float32)).astype(np.float32)
mse = nn.functional.mse_loss


class Blurred(TensorDataset):
    """Noise from a generator of its own."""

    def __init__(self) -> None:
        super().__init__(X, Y)
        self.transform = [Generator().manual_seed(9), np.random.default_rng(9)]

    def __getitem__(self, i: Any) -> Any:
        x, y = super().__getitem__(i)
        noise = self.transform[0].standard_normal((3,)) + self.transform[1].random(3, np.float32)
        return x + tn.tensor(noise), y


def linear_run(file: Any, **options: Any) -> History:
    model = options.pop("model", None) or nn.Linear(3, 1)
    options = {"loss": mse, "optimizer": optim.SGD(model.parameters(), lr=0.1), **options}
    options = {"epochs": 1, "batch_size": 8, "checkpoint": file, **options}
    return fit(model, options.pop("data", (X, Y)), **options)


def test_a_buffer_that_state_dict_leaves_out_belongs_to_the_model(tmp_path: Path) -> None:
    linear_run(tmp_path / "c")
    model = nn.Linear(3, 1)
    model.register_buffer("count", tn.zeros(2), persistent=False)
    with pytest.raises(CheckpointError, match=r"model\.count: nothing in the file, \(2,\) float32"):
        linear_run(tmp_path / "c", **sgd_with(model))


def sgd_with(model: Any, **options: Any) -> dict[str, Any]:
    return {"model": model, "optimizer": optim.SGD(model.parameters(), lr=0.1, **options)}


def scheduled(steps: int) -> dict[str, Any]:
    options = sgd_with(nn.Linear(3, 1))
    return {**options, "scheduler": optim.lr_scheduler.StepLR(options["optimizer"], steps)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            lambda: sgd_with(nn.Linear(3, 1, bias=False)),
            r"model\.bias: \(1,\) float32 in the file, nothing now",
        ),
        (
            lambda: sgd_with(nn.Linear(3, 1).double()),
            r"model\.weight: \(1, 3\) float32 in the file",
        ),
        (lambda: sgd_with(nn.Sequential(nn.Linear(3, 1))), "class: Linear in the file, Sequential"),
        (
            lambda: sgd_with(nn.Linear(3, 1), momentum=0.5),
            r"optimizer\.group\.0\.momentum: 0.0 in the file, 0.5 now",
        ),
        (lambda: scheduled(3), "scheduler: None in the file"),
        (lambda: {"batch_size": 4}, r"data\.batch_size: 8 in the file, 4 now"),
        (lambda: {"data": (X[:32], Y[:32])}, r"data\.samples: 40 in the file, 32 now"),
        (lambda: {"data": (X + 1, Y)}, r"data\.tensor 0: \(40, 3\) float32, checksum"),
        (lambda: {"validation": (X, Y)}, "validation: None in the file"),
        (lambda: {"loss": nn.functional.l1_loss}, "loss: mse_loss in the file, l1_loss now"),
        (lambda: {"accumulate": 2}, "accumulate: 1 in the file, 2 now"),
        (lambda: {"clip": 1.0}, r"clip: None in the file, 1\.0 now"),
        (lambda: {"ema": 0.9}, r"ema: None in the file, 0\.9 now"),
        (lambda: {"restore_best": True}, "restore_best: False in the file, True now"),
    ],
)
def test_the_checkpoint_of_another_run(tmp_path: Path, options: Any, message: str) -> None:
    file = tmp_path / "c"
    linear_run(file)
    before = file.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        linear_run(file, **options())
    assert file.read_bytes() == before


def test_other_schedules_are_told_apart(tmp_path: Path) -> None:
    linear_run(tmp_path / "c", **scheduled(3))
    linear_run(tmp_path / "c", **scheduled(3), epochs=2)
    with pytest.raises(CheckpointError, match="step_size: 3 in the file, 4 now"):
        linear_run(tmp_path / "c", **scheduled(4))


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    tn.save({"weight": tn.ones(2)}, tmp_path / "weights")
    with pytest.raises(CheckpointError, match=r"no checkpoint of train\.fit"):
        linear_run(tmp_path / "weights")
    (tmp_path / "text").write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        linear_run(tmp_path / "text")
    linear_run(tmp_path / "cut")
    whole = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"cut cannot be read(.|\n)*begins anew"):
        linear_run(tmp_path / "cut")


def test_a_folder_that_is_not_there_is_told_before_the_first_step(tmp_path: Path) -> None:
    def loss(prediction: Any, y: Any) -> Any:
        raise AssertionError("too late")

    with pytest.raises(CheckpointError, match=r"cannot be written: No such file(.|\n)*a folder"):
        linear_run(tmp_path / "missing" / "c", loss=loss)
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        linear_run(tmp_path)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "c"
    linear_run(file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"No space left(.|\n)*old one is as it was"):
            linear_run(file, epochs=3)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["c"]
    assert len(linear_run(file, epochs=3)) == 3


def test_bad_numbers_never_reach_the_checkpoint(tmp_path: Path) -> None:
    """A step so long that the weights overflow, although loss and gradient are numbers."""
    file, model = tmp_path / "c", nn.Linear(3, 1)
    sgd = optim.SGD(model.parameters(), lr=0.1)
    linear_run(file, model=model, optimizer=sgd)
    before = file.read_bytes()

    def loss(prediction: Any, y: Any) -> Any:
        sgd.param_groups[0]["lr"] = 1e38
        return 100 * prediction.mean()

    loss.__name__ = "mse_loss"
    with pytest.raises(DivergenceError, match="the step made weight"), np.errstate(over="ignore"):
        linear_run(file, model=model, optimizer=sgd, loss=loss, epochs=2, checkpoint_every=1)
    assert file.read_bytes() == before


def test_what_no_checkpoint_can_hold(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="needs a checkpoint"):
        linear_run(None, checkpoint_every=3)
    with pytest.raises(ArgumentError, match="counts steps"):
        linear_run(tmp_path / "c", checkpoint_every=0)
    with pytest.raises(ArgumentError, match=r"data\.transform\.0 is a generator"):
        linear_run(tmp_path / "c", data=DataLoader(Blurred(), batch_size=8, num_workers=2))
    model, other = nn.Linear(3, 1), nn.Linear(1, 1)
    both = optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    with pytest.raises(ArgumentError, match="a parameter that is not in it"):
        linear_run(tmp_path / "c", model=model, optimizer=both)


def test_the_weights_can_be_read_by_hand(tmp_path: Path) -> None:
    model = nn.Linear(3, 1)
    linear_run(tmp_path / "c", **sgd_with(model))
    other = nn.Linear(3, 1)
    other.load_state_dict(tn.load(tmp_path / "c")["model"])
    np.testing.assert_array_equal(other.weight.array, model.weight.array)
