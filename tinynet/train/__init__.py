"""The training loop, written once.

In: `fit` (epochs, validation, schedules, clipping, accumulation, averages, early stopping,
checkpoints), `evaluate`, `find_lr`, and the `History` of a run. Not in: losses and layers (`nn`),
steps (`optim`), scores (`metrics`), batches (`data`), pictures (`plot`).

Start with `loop.py`; its function `_epoch` is the whole of training, the rest is bookkeeping:
`run.py` (what a run consists of), `batches.py`, `evaluation.py`, `averaging.py`, `checkpoints.py`
and `randomness.py` (a run that goes on), `guard.py` and `diagnosis.py` (numbers that are none).
"""

from tinynet.train.checkpoints import CheckpointError
from tinynet.train.evaluation import evaluate
from tinynet.train.finder import LearningRates, find_lr
from tinynet.train.guard import DivergenceError
from tinynet.train.history import History
from tinynet.train.loop import fit

__all__ = [
    "CheckpointError",
    "DivergenceError",
    "History",
    "LearningRates",
    "evaluate",
    "find_lr",
    "fit",
]
