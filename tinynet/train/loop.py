"""Training, as one reads it in a book: for each epoch, for each batch: forward, loss, backward,
step.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tinynet import random
from tinynet.errors import ArgumentError, DTypeError, describe
from tinynet.nn.utils import clip_grad_norm_
from tinynet.optim.lr_scheduler import LRScheduler
from tinynet.tensor import Tensor
from tinynet.train.batches import as_loader, predict
from tinynet.train.checkpoints import Checkpoint
from tinynet.train.evaluation import Loss, Metrics, named
from tinynet.train.history import History
from tinynet.train.progress import Progress
from tinynet.train.run import Run


def fit(
    model: Any,
    data: Any,
    *,
    loss: Loss,
    optimizer: Any,
    epochs: int,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Metrics = (),
    scheduler: Any = None,
    scheduler_every: str = "step",
    clip: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    patience: int | None = None,
    restore_best: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    seed: int | None = None,
    progress: bool | str = True,
) -> History:
    """Train `model` on `data` and return the history of the run.

    data          (x, y), or ((a, b, …), y) for a model(a, b, …) with several inputs; a data set of
                  such pairs, which is shuffled for each epoch; or a DataLoader, used as it is
    loss          loss(model(x), y) -> scalar tensor, the mean over the batch
    optimizer     holds the parameters of the model: `optim.Adam(model.parameters(), lr=1e-3)`
    validation    as `data`, never trained on; gives "val_loss" and "val_…" of each metric
    metrics       functions of (predictions, labels): a list, or a dict that names them; on the
                  training data they are taken of the predictions as they were made, while the
                  weights moved
    scheduler     of the optimizer's learning rate, such as `lr_scheduler.OneCycleLR(…)`; stepped
                  after each step of the optimizer, or with scheduler_every="epoch" after each
                  epoch (ReduceLROnPlateau always, with the validation loss). Gives "lr"
    clip          shorten the gradient to this norm: `nn.utils.clip_grad_norm_`
    accumulate    batches per step: the gradient is the mean over the samples of all of them, as if
                  they were one batch
    ema           a decay such as 0.999: the average of the weights over the steps (`averaging.py`)
                  is what is validated, and what the model ends with
    patience      stop after this many epochs without a new lowest validation loss
    restore_best  end with the weights of the best epoch, not of the last
    checkpoint    a file that holds the run: written at the start, after each epoch, and every
                  `checkpoint_every` steps. If it is there, the run goes on from it and gives the
                  same numbers, bit for bit, as if it had never stopped; a run that is at its end
                  returns at once, and a larger `epochs` prolongs it
    seed          call `tn.manual_seed(seed)` first, which makes the run repeatable
    progress      True: show a bar when the output is a terminal; "lines": else a line per epoch

    Ctrl-C ends the run after the present step, writes the checkpoint, and returns the history so
    far. Raises `GraphError` if the loss cannot reach a parameter, `DivergenceError` if loss or
    gradients become NaN or infinite (weights and checkpoint are as before that step), and
    `CheckpointError` for a file that belongs to another run or cannot be written.

    >>> from tinynet import nn, optim
    >>> model = nn.Linear(1, 1)
    >>> x = np.array([[0.0], [1.0]], "f4"); y = 2 * x
    >>> sgd = optim.SGD(model.parameters(), lr=0.5)
    >>> history = fit(model, (x, y), loss=nn.functional.mse_loss, optimizer=sgd, epochs=200)
    >>> len(history), round(model.weight.item(), 3)
    (200, 2.0)
    """
    _check_options(epochs, patience, validation, accumulate, clip)
    _check_schedule(scheduler, scheduler_every, optimizer)
    if checkpoint_every is not None and checkpoint is None:
        raise ArgumentError("checkpoint_every needs a checkpoint, the file to write")
    if seed is not None:
        random.manual_seed(seed)
    run = Run(
        model,
        as_loader(data, batch_size, shuffle=True),
        None if validation is None else as_loader(validation, batch_size),
        loss=loss,
        optimizer=optimizer,
        metrics=named(metrics),
        scheduler=scheduler,
        scheduler_every=scheduler_every,
        clip=clip,
        accumulate=accumulate,
        ema=ema,
        patience=patience,
        restore_best=restore_best,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint, checkpoint_every),
        progress=Progress(progress, epochs),
    )
    was_training = model.training
    try:
        run.resume()
        with run.interruption:
            while run.epoch < epochs and not run.exhausted:
                _epoch(run)
                run.after_epoch()
        if run.exhausted:
            run.history.ended = "early"
    except KeyboardInterrupt:
        run.history.ended = "interrupted"
    finally:
        run.progress.close()
        model.train(was_training)
    run.leave_weights()
    return run.history


def _epoch(run: Run) -> None:
    """One pass over the data: the whole of training."""
    run.model.train()
    for batches in run.steps_of_epoch():
        run.optimizer.zero_grad()
        n = sum(len(y) for _, y in batches)
        for x, y in run.guard.watch(batches, run.epoch, run.batch):
            prediction = predict(run.model, x)
            value = run.loss(prediction, y)
            run.guard.check_loss(value)
            value.backward(_share(value, len(y) / n))
            run.sums.add(prediction, y, value)
        run.guard.check_gradients()
        if run.clip is not None:
            clip_grad_norm_(run.parameters, run.clip)
        run.optimizer.step()
        run.after_step(len(batches))


def _share(value: Tensor, share: float) -> Tensor:
    """dL/d(value), for a loss that is the mean over all samples of a step, L = Σ_b (n_b / n) L_b,
    and the mean over one of its batches, value = L_b.
    """
    return Tensor(np.full_like(value.array, share))


# -- what is asked for -----------------------------------------------------------------------------


def _check_options(
    epochs: int, patience: int | None, validation: Any, accumulate: int, clip: float | None
) -> None:
    if epochs < 0:
        raise ArgumentError("epochs is 0 or more", got=str(epochs))
    if patience is not None and (patience < 1 or validation is None):
        raise ArgumentError(
            "patience counts epochs (1 or more) without progress on validation data",
            got=f"patience={patience}, validation {'missing' if validation is None else 'given'}",
        )
    if accumulate < 1:
        raise ArgumentError("accumulate counts batches, 1 or more", got=str(accumulate))
    if clip is not None and not clip > 0:
        raise ArgumentError("clip is the largest norm of the gradient, above 0", got=str(clip))


def _check_schedule(scheduler: Any, every: str, optimizer: Any) -> None:
    if every not in ("step", "epoch"):
        raise ArgumentError("scheduler_every is 'step' or 'epoch'", got=repr(every))
    if scheduler is None:
        return
    if not isinstance(scheduler, LRScheduler):
        raise DTypeError(
            "scheduler is a schedule of optim.lr_scheduler",
            got=describe(scheduler),
            hint="lr_scheduler.LambdaLR(optimizer, function)",
        )
    if scheduler.optimizer is not optimizer:
        raise ArgumentError("the schedule changes another optimizer than the one that steps")
