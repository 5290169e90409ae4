"""Memory: modules with parameters, under PyTorch's names.

In: `Module` and `Parameter`, the layers, the losses as modules, `functional` (the same without
memory), `init` (first weights), `utils` (all gradients at once). Not in: any formula
(`derivations`, `ops`), and the steps (`optim`).

Start with `module.py`; then `layers.py`.
"""

from tinynet.nn import functional, init, utils
from tinynet.nn.layers import (
    Dropout,
    Flatten,
    Identity,
    Linear,
    LogSoftmax,
    ModuleList,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from tinynet.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
    "utils",
]
