r"""The average of the weights over the steps, newer ones counting more.

Near a minimum the weights of a noisy descent wander around it. Their average lies closer to it than
they do. With a decay d in [0, 1), the weights θ_i after step i have the share d^{t−i} at step t:

    θ̄_t = (1/N_t) Σ_{i=1..t} (1 − d) d^{t−i} θ_i,      N_t = Σ_{i=1..t} (1 − d) d^{t−i} = 1 − d^t

N_t makes the shares sum to 1 from the first step on. (Started at the first weights θ_0 and left
undivided, the average would hold a part d^t of weights that knew nothing: at d = 0.999 still 37 %
after 1,000 steps.)

Derivation of the update. Let S_t = N_t θ̄_t be the sum. Its newest term stands apart:

    S_t = d S_{t−1} + (1 − d) θ_t,    and for the shares    N_t = d N_{t−1} + (1 − d)

so  N_t θ̄_t = d N_{t−1} θ̄_{t−1} + (1 − d) θ_t = (N_t − (1 − d)) θ̄_{t−1} + (1 − d) θ_t,  and

    θ̄_t = θ̄_{t−1} + w_t (θ_t − θ̄_{t−1}),      w_t = (1 − d) / (1 − d^t)

w_1 = 1: the average begins as θ_1. w_t falls to 1 − d: then about the last 1/(1 − d) steps count.
For d → 1 it is w_t → 1/t, the plain mean of all steps.

Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992, for the
plain mean; dividing by 1 − d^t as in Kingma and Ba, "Adam", 2015, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError
from tinynet.tensor import raw


def newest_share(decay: float, t: int) -> float:
    """w_t, the share of the newest value in an average of t.

    >>> newest_share(0.9, 1), newest_share(0.9, 1000)
    (1.0, 0.1)
    """
    return (1 - decay) / (1 - decay**t)


class Average:
    """The average of a model's trained parameters. Buffers are not averaged: they stay the model's.

    The average of float16 parameters is kept in float32, where small changes are not lost.
    """

    def __init__(self, model: Any, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ArgumentError("ema is a decay in [0, 1), such as 0.999", got=str(decay))
        self.decay, self.steps = decay, 0
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.means: dict[str, Any] = {}

    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = newest_share(self.decay, self.steps)
        for name, p in self.parameters.items():
            with arrays.home(p.array):
                if name not in self.means:
                    wide = np.result_type(p.dtype, np.float32)
                    self.means[name] = np.zeros_like(p.array, dtype=wide)
                mean = self.means[name]
                mean += share * (p.array - mean)

    def write(self) -> None:
        """Put the average into the model, for good."""
        for name, mean in self.means.items():
            _put(self.parameters[name], mean)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with its average weights; afterwards it has its own again."""
        own = {name: p.array.copy() for name, p in self.parameters.items()}
        self.write()
        try:
            yield
        finally:
            for name, array in own.items():
                _put(self.parameters[name], array)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many steps it holds."""
        return {"steps": self.steps, "means": self.means}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.steps = state["steps"]
        self.means = {
            name: arrays.to_device(raw(mean), self.parameters[name].device)
            for name, mean in state["means"].items()
        }


def _put(p: Any, array: Any) -> None:
    p.array[...] = array
    p._counter[0] += 1
