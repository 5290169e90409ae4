"""A run on the disk: one file, written whole or not at all, and read only by the run it belongs to.

The file is a tree that `tn.load` reads: "run" describes whose it is, the rest is its state (see
`run.py`); `tn.load(file)["model"]` are the weights.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.data import DataLoader, Subset, TensorDataset
from tinynet.errors import ArgumentError, FileFormatError, TinynetError
from tinynet.ops.saving import load, save

_FORMAT = 1
_SHOWN = 6  # differences in a message
# What steps change in an optimizer or a schedule: no setting of the run.
_MOVING = frozenset(
    (
        *("last_epoch", "_step_count", "_last_lr", "_is_initial", "T_cur", "T_i"),
        *("best", "num_bad_epochs", "cooldown_counter"),
    )
)


class CheckpointError(TinynetError, OSError):
    """A checkpoint cannot be written or read, or it belongs to another run."""


class Checkpoint:
    """The file of a run.

    every   steps between two writings within an epoch; None: only at the end of each epoch
    """

    def __init__(self, file: str | os.PathLike[str], every: int | None) -> None:
        if every is not None and every < 1:
            raise ArgumentError("checkpoint_every counts steps, 1 or more", got=str(every))
        self.file, self.every = Path(file), every

    def read(self, run: Mapping[str, Any]) -> dict[str, Any] | None:
        """The state that was written, or None where there is no file yet.

        Raises CheckpointError where it belongs to another run than this.
        """
        try:
            state = load(self.file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(
                f"the checkpoint {self.file} cannot be read: {error.strerror or error}"
            ) from None
        except FileFormatError as error:
            raise CheckpointError(
                f"the checkpoint {self.file} cannot be read: {error.reason}",
                hint="another file; or delete it, and the run begins anew",
            ) from None
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise CheckpointError(
                f"{self.file} is no checkpoint of train.fit",
                hint="another file; for weights: model.load_state_dict(tn.load(file))",
            )
        found = list(differences(state["run"], run))
        if found:
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise CheckpointError(
                f"{self.file.name} is the checkpoint of another run",
                got="; ".join(found[:_SHOWN]) + more,
                hint="the settings of that run; or another file, and "
                'model.load_state_dict(tn.load(file)["model"]) for its weights',
            )
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file, whole or not at all."""
        try:
            save({"format": _FORMAT, **state}, self.file)
        except OSError as error:
            old = "; the old one is as it was" if self.file.is_file() else ""
            raise CheckpointError(
                f"the checkpoint {self.file} cannot be written: {error.strerror or error}{old}",
                hint="room on the disk, and a folder that exists and may be written to",
            ) from None


def differences(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Where two trees of plain values differ, in words.

    >>> differences({"lr": 0.1, "clip": None}, {"lr": 0.01, "clip": None})
    ['lr: 0.1 in the file, 0.01 now']
    """
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        keys = [*theirs, *(key for key in ours if key not in theirs)]
        below = [(f"{path}.{key}" if path else str(key), key) for key in keys]
        return [
            line
            for name, key in below
            for line in differences(theirs.get(key, "nothing"), ours.get(key, "nothing"), name)
        ]
    return [] if theirs == ours else [f"{path}: {theirs} in the file, {ours} now"]


# -- whose checkpoint it is ------------------------------------------------------------------------


def describe_model(model: Any) -> dict[str, Any]:
    """Class, and shape and dtype of all parameters and buffers."""
    tensors = {**model.state_dict(), **dict(model.named_buffers())}
    return {
        "class": type(model).__name__,
        **{name: f"{x.shape} {x.dtype}" for name, x in tensors.items()},
    }


def describe_optimizer(optimizer: Any, scheduled: bool) -> dict[str, Any]:
    """Class and options; of an option that a schedule moves, where it began."""
    moved = ("lr", "momentum", "betas") if scheduled else ()
    groups = {
        str(i): {
            **{key: _plain(x) for key, x in group.items() if key not in ("params", *moved)},
            "parameters": len(group["params"]),
        }
        for i, group in enumerate(optimizer.param_groups)
    }
    return {"class": type(optimizer).__name__, "group": groups}


def describe_scheduler(scheduler: Any) -> Any:
    """Class and settings, without what its steps change."""
    if scheduler is None:
        return None
    return {"class": type(scheduler).__name__, **_settings(scheduler.state_dict())}


def _settings(state: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, x in state.items():
        if key == "_schedulers":
            found[key] = {str(i): _settings(inner) for i, inner in enumerate(x)}
        elif key not in _MOVING:
            found[key] = _plain(x)
    return found


def _plain(x: Any) -> Any:
    """As it comes back from a file."""
    if isinstance(x, np.generic):
        return x.item()
    return x if x is None or isinstance(x, bool | int | float | str) else repr(x)


def describe_data(loader: Any) -> dict[str, Any]:
    """Kind, sizes, and of tensors a checksum of their bytes."""
    data = getattr(loader, "dataset", loader)
    found: dict[str, Any] = {"kind": type(data).__name__}
    if hasattr(data, "__len__") and not getattr(loader, "endless", False):
        found["samples" if data is not loader else "batches"] = len(data)
    if isinstance(loader, DataLoader):
        for name in ("batch_size", "drop_last"):
            found[name] = getattr(loader, name)
    while isinstance(data, Subset):
        data = data.dataset
    parts = getattr(data, "parts", data)
    for i, x in enumerate(parts.tensors if isinstance(parts, TensorDataset) else ()):
        array = np.ascontiguousarray(arrays.to_device(x.array, "cpu"))
        found[f"tensor {i}"] = f"{x.shape} {x.dtype}, checksum {zlib.crc32(array.data):08x}"
    return found
