"""The training loop, written once.

In: `fit` (epochs, validation, schedules, clipping, accumulation, averages, early stopping,
checkpoints), `evaluate`, and the `History` that they leave. Not in: losses and layers (`nn`), steps
(`optim`), scores (`metrics`), batches (`data`), pictures (`plot`).

Start with `loop.py`; its function `_epoch` is the whole of training, the rest is bookkeeping.
"""

from tinynet.train.checkpoints import CheckpointError
from tinynet.train.evaluation import evaluate
from tinynet.train.guard import DivergenceError
from tinynet.train.history import History
from tinynet.train.loop import fit

__all__ = ["CheckpointError", "DivergenceError", "History", "evaluate", "fit"]
