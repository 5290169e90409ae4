"""The training loop, written once.

In: `fit` (epochs, validation, early stopping, best weights), `evaluate`, and the `History` that
they leave. Not in: losses and layers (`nn`), steps (`optim`), scores (`metrics`), batches (`data`),
pictures (`plot`).

Start with `loop.py`; its function `_epoch` is the whole of training, the rest is bookkeeping.
"""

from tinynet.train.history import History
from tinynet.train.loop import DivergenceError, evaluate, fit

__all__ = ["DivergenceError", "History", "evaluate", "fit"]
