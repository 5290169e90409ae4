"""Everything that a training run consists of, and its state as a tree that can be saved.

The state holds what the next step depends on: the weights and buffers, the optimizer, the schedule,
the average, the random numbers, the place in the data, the numbers so far, the best weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

from tinynet import arrays
from tinynet.errors import ArgumentError
from tinynet.optim.lr_scheduler import ReduceLROnPlateau
from tinynet.train.averaging import Average
from tinynet.train.batches import Pair, groups, pairs
from tinynet.train.checkpoints import (
    Checkpoint,
    describe_data,
    describe_model,
    describe_optimizer,
    describe_scheduler,
)
from tinynet.train.evaluation import Loss, Metric, Sums, evaluate
from tinynet.train.guard import Guard
from tinynet.train.history import History
from tinynet.train.interruption import Interruption
from tinynet.train.progress import Progress
from tinynet.train.randomness import Randomness


class Run:
    """A run between two steps. The arguments are those of `fit`."""

    def __init__(
        self,
        model: Any,
        loader: Any,
        held_out: Any,
        *,
        loss: Loss,
        optimizer: Any,
        metrics: Mapping[str, Metric],
        scheduler: Any,
        scheduler_every: str,
        clip: float | None,
        accumulate: int,
        ema: float | None,
        patience: int | None,
        restore_best: bool,
        checkpoint: Checkpoint | None,
        progress: Progress,
    ) -> None:
        self.model, self.loader, self.held_out = model, loader, held_out
        self.loss, self.optimizer, self.metrics = loss, optimizer, metrics
        self.scheduler = scheduler
        by_epoch = scheduler_every == "epoch" or isinstance(scheduler, ReduceLROnPlateau)
        self.scheduler_every = None if scheduler is None else "epoch" if by_epoch else "step"
        self.clip, self.accumulate = clip, accumulate
        self.patience, self.restore_best = patience, restore_best
        self.average = None if ema is None else Average(model, ema)
        self.checkpoint, self.progress = checkpoint, progress
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.guard = Guard(model, loss, self.parameters)
        self.interruption = Interruption()
        self.history = History()
        self.best: dict[str, Any] | None = None
        self.epoch = 0  # how many are finished
        self.batch = 0  # how many of the present epoch are done
        self.steps = 0
        self.sums = Sums(metrics)
        if checkpoint is not None:
            self.randomness = Randomness(model, loader, held_out)
        self.at_start: dict[str, Any] = {}  # where randomness stood when the pass began
        self.resumed: dict[str, Any] | None = None  # and in its middle, where a checkpoint says so

    # -- the course of a run -----------------------------------------------------------------------

    def steps_of_epoch(self) -> Iterator[list[Pair]]:
        """The batches of each step that the present epoch has still to take."""
        self.progress.begin(self.loader, self.epoch, self.batch)
        resumed, self.resumed = self.resumed, None
        if resumed is not None:
            self.randomness.restore(self.at_start)
        else:
            self.sums = Sums(self.metrics)
            if self.checkpoint is not None:
                self.at_start = self.randomness.state()
        batches = pairs(self.loader, self.batch)
        if resumed is not None:
            self.randomness.restore(resumed, order=False)
        return groups(batches, self.accumulate)

    def after_step(self, batches: int) -> None:
        """Schedule, average, checkpoint."""
        self.steps += 1
        self.batch += batches
        if self.scheduler_every == "step":
            self.scheduler.step()
        if self.average is not None:
            self.average.update()
        self.progress.step(batches, self.sums, self.optimizer)
        every = self.checkpoint.every if self.checkpoint is not None else None
        if self.interruption.wanted or (every and self.steps % every == 0):
            self.save()
        if self.interruption.wanted:
            raise KeyboardInterrupt

    def after_epoch(self) -> None:
        """The numbers of the epoch, the best weights, checkpoint."""
        numbers = self.sums.result()
        with self.average.in_place() if self.average is not None else nullcontext():
            if self.held_out is not None:
                scores = evaluate(self.model, self.held_out, loss=self.loss, metrics=self.metrics)
                numbers |= {f"val_{name}": value for name, value in scores.items()}
            if self.scheduler is not None:
                numbers["lr"] = self.optimizer.param_groups[0]["lr"]
            self.history.append(numbers)
            self.epoch, self.batch = self.epoch + 1, 0
            if self.restore_best and self.history.best_epoch == self.epoch:
                state = self.model.state_dict().items()
                self.best = {name: value.detach().clone() for name, value in state}
        if self.scheduler_every == "epoch":
            plateau = isinstance(self.scheduler, ReduceLROnPlateau)
            self.scheduler.step(*([self.history.monitored[-1]] if plateau else []))
        self.progress.show(self.epoch, numbers)
        self.save()
        if self.interruption.wanted:
            raise KeyboardInterrupt

    @property
    def exhausted(self) -> bool:
        """Whether there were `patience` epochs without a new lowest validation loss."""
        return self.patience is not None and self.epoch - self.history.best_epoch >= self.patience

    def leave_weights(self) -> None:
        """End with the best weights, or the average, where asked for."""
        if self.best is not None:
            self.model.load_state_dict(self.best)
        elif self.average is not None:
            self.average.write()

    # -- its state ---------------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one; else write the first."""
        if self.checkpoint is None:
            return
        _check_owner(self.model, self.parameters)
        self.description = self._describe()
        state = self.checkpoint.read(self.description)
        if state is None:
            self.save()
        else:
            self._load(state)

    def save(self) -> None:
        """Write the checkpoint, if one is asked for; never numbers that are not finite."""
        if self.checkpoint is not None:
            self.guard.check_weights()
            self.checkpoint.write({"run": self.description, **self._state()})

    def _describe(self) -> dict[str, Any]:
        """What makes this run itself. The number of epochs does not: a run may be prolonged."""
        return {
            "model": describe_model(self.model),
            "optimizer": describe_optimizer(self.optimizer, self.scheduler is not None),
            "scheduler": describe_scheduler(self.scheduler),
            "scheduler_every": self.scheduler_every,
            "data": describe_data(self.loader),
            "validation": None if self.held_out is None else describe_data(self.held_out),
            "loss": getattr(self.loss, "__name__", type(self.loss).__name__),
            "metrics": ", ".join(self.metrics),
            "clip": self.clip,
            "accumulate": self.accumulate,
            "ema": None if self.average is None else self.average.decay,
            "patience": self.patience,
            "restore_best": self.restore_best,
            "generators": ", ".join(self.randomness.names()),
        }

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "buffers": _unsaved_buffers(self.model),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "best": self.best,
            "history": self.history.to_dict(),
            "place": {"epoch": self.epoch, "batch": self.batch, "steps": self.steps},
            "sums": self.sums.state_dict() if self.batch else None,
            "random": {
                "at_start": self.at_start if self.batch else None,
                "now": self.randomness.state(),
            },
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for name, buffer in _unsaved_buffers(self.model).items():
            buffer.array[...] = arrays.to_device(state["buffers"][name].array, buffer.device)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.best, self.history = state["best"], History.from_dict(state["history"])
        self.history.ended = "finished"
        self.epoch, self.batch = state["place"]["epoch"], state["place"]["batch"]
        self.steps = state["place"]["steps"]
        if self.batch:
            self.sums.load_state_dict(state["sums"])
            self.at_start, self.resumed = state["random"]["at_start"], state["random"]["now"]
        else:
            self.randomness.restore(state["random"]["now"])


def _unsaved_buffers(model: Any) -> dict[str, Any]:
    """Buffers that `state_dict` leaves out."""
    saved = model.state_dict()
    return {name: x.detach() for name, x in model.named_buffers() if name not in saved}


def _check_owner(model: Any, parameters: list[Any]) -> None:
    owned = {id(p) for p in model.parameters()}
    if any(id(p) not in owned for p in parameters):
        raise ArgumentError(
            "a checkpoint keeps the model, and the optimizer changes a parameter that is not in it",
            hint="a Module around the model and that parameter",
        )
