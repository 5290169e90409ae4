"""Steps: optimizers that change parameters by their gradients, under PyTorch's names.

In: groups of parameters, their options and state, and schedules of the learning rate
(`lr_scheduler`). Not in: the update rules, which are derived in `derivations/`, under the same
names: `sgd`, `adam`, `rmsprop`, `adagrad`, `adadelta`, `lbfgs` and its `line_search`.

Start with `optimizer.py`; then `sgd.py` and `adam.py`; `lr_scheduler/base.py` for schedules.
"""

from tinynet.optim import lr_scheduler
from tinynet.optim.adadelta import Adadelta
from tinynet.optim.adagrad import Adagrad
from tinynet.optim.adam import Adam, AdamW
from tinynet.optim.lbfgs import LBFGS
from tinynet.optim.optimizer import Optimizer
from tinynet.optim.rmsprop import RMSprop
from tinynet.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
]
