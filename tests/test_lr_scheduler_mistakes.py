"""Schedules: options and combinations that make no sense are refused, and the message says why."""

from __future__ import annotations

import math
from typing import Any

import pytest

import tinynet as tn
from tinynet import optim
from tinynet.errors import ArgumentError, DTypeError
from tinynet.optim import lr_scheduler as ours


def here() -> Any:
    groups = [{"params": [tn.ones(n, requires_grad=True)]} for n in (1, 2)]
    return optim.SGD(groups, lr=0.1, momentum=0.5)


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("StepLR", {"step_size": 0}, "step_size is at least 1"),
    ("StepLR", {"step_size": 1, "gamma": -1.0}, "gamma is at least 0"),
    ("MultiStepLR", {"milestones": [1.5]}, "milestone is a whole number"),
    ("MultiStepLR", {"milestones": [-1]}, "milestone is at least 0"),
    ("MultiStepLR", {"milestones": [1], "gamma": math.nan}, "gamma is at least 0"),
    ("ExponentialLR", {"gamma": math.inf}, "gamma is at least 0"),
    ("ConstantLR", {"factor": 0.0}, r"factor lies in \(0, 1\]"),
    ("ConstantLR", {"factor": 1.5}, "factor lies in"),
    ("ConstantLR", {"total_iters": -1}, "total_iters is at least 0"),
    ("LinearLR", {"start_factor": 0.0}, "start_factor lies in"),
    ("LinearLR", {"end_factor": 1.1}, r"end_factor lies in \[0, 1\]"),
    ("LinearLR", {"total_iters": 0}, "total_iters is at least 1"),
    ("PolynomialLR", {"total_iters": 0}, "total_iters is at least 1"),
    ("PolynomialLR", {"power": -1.0}, "power is at least 0"),
    ("CosineAnnealingLR", {"T_max": 0}, "T_max is above 0"),
    ("CosineAnnealingLR", {"T_max": 3, "eta_min": -1.0}, "eta_min is at least 0"),
    ("CosineAnnealingWarmRestarts", {"T_0": 2.0}, "T_0 is a whole number"),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 0}, "T_mult is at least 1"),
    ("LambdaLR", {"lr_lambda": [lambda t: 1.0]}, "one value per group, 2"),
    ("OneCycleLR", {"max_lr": 1.0}, "total_steps is missing"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}, "total_steps is at least 1"),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 2, "steps_per_epoch": True}, "whole number"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "pct_start": 1.1}, "pct_start lies in"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "anneal_strategy": "sin"}, "'sin'"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "div_factor": 0.0}, "div_factor is above 0"),
    ("OneCycleLR", {"max_lr": [1.0], "total_steps": 9}, "max_lr has one value per group"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "max_momentum": 1.0}, "max_momentum lies"),
    ("ReduceLROnPlateau", {"factor": 1.0}, r"factor lies in \[0, 1\)"),
    ("ReduceLROnPlateau", {"mode": "least"}, "no such mode"),
    ("ReduceLROnPlateau", {"threshold_mode": "both"}, "no such threshold_mode"),
    ("ReduceLROnPlateau", {"patience": -1}, "patience is at least 0"),
    ("ReduceLROnPlateau", {"min_lr": [0.1]}, "min_lr has one value per group"),
]


@pytest.mark.parametrize(("name", "options", "message"), MISTAKES)
def test_options_that_make_no_sense(name: str, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        getattr(ours, name)(here(), **options)


def test_mistakes_are_named() -> None:
    optimizer, other = here(), here()
    step = ours.StepLR(optimizer, 2)
    with pytest.raises(DTypeError, match="changes an Optimizer"):
        ours.StepLR(tn.ones(1), 2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no 'initial_lr'"):
        ours.StepLR(other, 2, last_epoch=3)
    with pytest.raises(DTypeError, match="function of t"):
        ours.LambdaLR(optimizer, 0.9)  # type: ignore[arg-type]
    adagrad = optim.Adagrad([tn.ones(1, requires_grad=True)])
    with pytest.raises(ArgumentError, match="Adagrad has no momentum"):
        ours.OneCycleLR(adagrad, 1.0, 10)
    with pytest.raises(ArgumentError, match=r"the cycle is over\n.*at most 3 steps\n.*step 4"):
        ours.preview(lambda o: ours.OneCycleLR(o, 1.0, 3), 4)
    with pytest.raises(ArgumentError, match="at least one"):
        ours.ChainedScheduler([])
    with pytest.raises(DTypeError, match=r"schedulers\[1\] is not a schedule"):
        ours.ChainedScheduler([step, 3])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="needs a metric"):
        ours.ChainedScheduler([ours.ReduceLROnPlateau(optimizer)])
    with pytest.raises(ArgumentError, match="another optimizer"):
        ours.SequentialLR(optimizer, [step, ours.StepLR(other, 2)], [3])
    with pytest.raises(ArgumentError, match="one milestone between"):
        ours.SequentialLR(optimizer, [step], [3])
    with pytest.raises(ArgumentError, match="milestones rise"):
        ours.SequentialLR(optimizer, [step] * 3, [3, 2])
    with pytest.raises(ArgumentError, match="epoch is at least 0"):
        ours.CosineAnnealingWarmRestarts(optimizer, 2).step(-1)
    with pytest.raises(NotImplementedError, match="no get_lr"):
        ours.LRScheduler(optimizer)
    with pytest.raises(ArgumentError, match="number of schedules"):
        ours.ChainedScheduler([step] * 2).load_state_dict(
            ours.ChainedScheduler([step]).state_dict()
        )
    by_function = ours.LambdaLR(optimizer, lambda t: 1.0)
    with pytest.raises(ArgumentError, match="number of functions"):
        by_function.load_state_dict({"lr_lambdas": [None]})
