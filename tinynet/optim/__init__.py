"""Steps: optimizers that change parameters by their gradients, under PyTorch's names.

In: groups of parameters, their options and state. Not in: the update rules, which are derived in
`derivations/sgd.py` and `derivations/adam.py`.

Start with `optimizer.py`; then `sgd.py` and `adam.py`.
"""

from tinynet.optim.adam import Adam, AdamW
from tinynet.optim.optimizer import Optimizer
from tinynet.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
