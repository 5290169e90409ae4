"""Schedules of the learning rate, under PyTorch's names: `optim.lr_scheduler.StepLR`.

In: schedules that change the 'lr' (OneCycleLR: also the momentum) of an optimizer's groups, and
`preview`, which lists the rates of one. Not in: the update rules (`derivations`).

Start with `base.py`; then `factors.py` (times a number), `ramps.py` (along a curve),
`one_cycle.py`, `plateau.py` (by a metric), `combined.py` (schedules of schedules).
"""

from tinynet.optim.lr_scheduler.base import LRScheduler, preview
from tinynet.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from tinynet.optim.lr_scheduler.factors import (
    ExponentialLR,
    LambdaLR,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)
from tinynet.optim.lr_scheduler.one_cycle import OneCycleLR
from tinynet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinynet.optim.lr_scheduler.ramps import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LinearLR,
    PolynomialLR,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "preview",
]
