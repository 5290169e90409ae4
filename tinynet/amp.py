"""Mixed precision in training: float16 where it is fast, float32 where it must be exact.

In: `autocast`, which chooses for each op (the table is `autocasting.py`), and `GradScaler`, which
keeps small gradients from vanishing. Both together:

    scaler = tn.amp.GradScaler()
    for x, t in loader:
        optimizer.zero_grad()
        with tn.autocast("cuda"):
            loss = loss_of(model(x), t)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)                         # only to look at gradients, or to
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # clip them, in their own size
        scaler.step(optimizer)
        scaler.update()
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinynet import arrays, dtypes
from tinynet.autocasting import autocast, get_autocast_dtype, is_autocast_enabled
from tinynet.errors import ArgumentError, DTypeError, GraphError, describe
from tinynet.tensor import Tensor

__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_enabled"]


class _Seen(NamedTuple):
    """What is known of an optimizer's gradients since the last `update`."""

    bad: list[Any]  # one 0-d truth value per device: is one of them inf or NaN?
    stepped: bool = False


class GradScaler:
    r"""Multiply the loss, so that gradients in float16 do not vanish; divide before the step.

    float16 holds nothing between 0 and 2⁻²⁴ ≈ 6.0e-8, and from 2⁻¹⁴ ≈ 6.1e-5 downwards
    (subnormal numbers) ever fewer digits. The gradients of deep nets lie mostly below 1, many
    below 1e-7: these become exactly 0, and their weights stop learning. At the other end, up to
    65,504, the range is empty. So the whole distribution is moved up. Backpropagation is linear in
    what it starts with, dL/dL: for a number S,

        L' = S L      gives      dL'/dw = S dL/dw      for every weight w

    and all gradients on the way are S times as large, too. With S = 2¹⁶ what was 1e-9 is 6.6e-5,
    a normal number. The weights' own gradients are float32, where dividing by S is exact (S is a
    power of 2), and the optimizer sees what it would have seen.

    How large an S? As large as possible without an overflow, which changes during training. So it
    is found by trying: if a gradient is inf or NaN, the step is skipped and S is multiplied by
    `backoff_factor`; after `growth_interval` steps without one S is multiplied by `growth_factor`.
    The first steps of a run are often skipped. Whether to skip is asked once a step and device, so
    a GPU is waited for once, not once per parameter. On a CPU NumPy warns of these overflows;
    `np.errstate(over="ignore", invalid="ignore")` around `backward()` silences it.

    device           accepted as in PyTorch; gradients are checked where they live
    init_scale       S in the beginning
    enabled          False: `scale` and `unscale_` do nothing, and `step` is the optimizer's

    Source: Micikevicius et al., "Mixed Precision Training", 2018, section 3.2.

    >>> import tinynet as tn
    >>> w = tn.tensor([1e-6], dtype=tn.float32, requires_grad=True)
    >>> optimizer = tn.optim.SGD([w], lr=1.0)
    >>> (w.half() * 1e-5 * 1e-3).sum().backward(); w.grad           # 1e-8 is 0 in float16
    tensor([0.])
    >>> optimizer.zero_grad(); scaler = tn.amp.GradScaler(init_scale=2.0**14)
    >>> scaler.scale((w.half() * 1e-5 * 1e-3).sum().float()).backward()
    >>> scaler.unscale_(optimizer); f"{w.grad.item():.1e}"
    '1.0e-08'
    >>> scaler.step(optimizer); scaler.update(); scaler.get_scale()
    16384.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not (growth_factor > 1 and 0 < backoff_factor < 1):
            raise ArgumentError(
                "the scale grows by a factor above 1 and falls by one between 0 and 1",
                got=f"growth_factor = {growth_factor}, backoff_factor = {backoff_factor}",
            )
        self._scale, self._growth_tracker = float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._enabled = growth_interval, enabled
        self._seen: dict[int, _Seen] = {}  # by the identity of the optimizer

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def get_scale(self) -> float:
        """S, or 1 where it is not enabled."""
        return self._scale if self._enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """S times a Tensor, or each of a list, tuple or dictionary of Tensors."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, Mapping):
            return {key: self.scale(value) for key, value in outputs.items()}
        if isinstance(outputs, list | tuple):
            return type(outputs)(map(self.scale, outputs))
        raise DTypeError("scale() takes Tensors, or a list or tuple of them", got=describe(outputs))

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by S, in place: to clip or to look at
        them. `step` does it where it was not done.

        Raises GraphError for a second time between two updates, DTypeError for float16 gradients.
        """
        if not self._enabled:
            return
        if id(optimizer) in self._seen:
            done = "step()" if self._seen[id(optimizer)].stepped else "unscale_()"
            raise GraphError(
                f"unscale_(): {done} has unscaled these gradients since the last update()",
                hint="scaler.update() after each scaler.step(optimizer)",
            )
        bad: dict[str, Any] = {}
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    g = _unscalable(p._grad.array)
                    place = arrays.device_of(g)
                    with arrays.home(g):
                        g *= 1 / self._scale
                        here = np.logical_not(np.all(np.isfinite(g)))
                        bad[place] = here if place not in bad else np.logical_or(bad[place], here)
                    p._grad._counter[0] += 1
        self._seen[id(optimizer)] = _Seen(list(bad.values()))

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)`, unless a gradient is inf or NaN; what it returns, or None.

        Raises GraphError for a second step before `update()`, and where no parameter has a
        gradient; ArgumentError for a closure, which could not be scaled.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or "closure" in kwargs:
            raise ArgumentError("step(): a closure would compute gradients that are not scaled")
        if id(optimizer) not in self._seen:
            self.unscale_(optimizer)
        seen = self._seen[id(optimizer)]
        if seen.stepped:
            raise GraphError("step() was called already since the last update()")
        if not seen.bad:
            raise GraphError("step(): no parameter has a gradient", hint="backward() before it")
        found = any(bool(bad) for bad in seen.bad)  # here the GPU is waited for
        self._seen[id(optimizer)] = _Seen([found], stepped=True)
        return None if found else optimizer.step(**kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Adapt S to what the steps have seen, or set it; then gradients may be unscaled again.

        Raises GraphError where no gradients were looked at since the last time.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._seen:
            raise GraphError("update(): no gradients were looked at", hint="scaler.step(optimizer)")
        elif any(bool(bad) for seen in self._seen.values() for bad in seen.bad):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._scale = grown if math.isfinite(np.float32(grown)) else self._scale
                self._growth_tracker = 0
        self._seen = {}

    def get_growth_factor(self) -> float:
        """What S is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what S is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What S is multiplied by after an overflow."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what S is multiplied by after an overflow."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many steps without an overflow S grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many steps without an overflow S grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """S, how it changes, and how many steps it has held: PyTorch's keys; {} if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. Raises ArgumentError where that is empty: it came from
        a scaler that was not enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise ArgumentError("the state is empty: it came from a GradScaler that was off")
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = int(state_dict["_growth_tracker"])


def _unscalable(g: Any) -> Any:
    """The gradient, which must be wider than float16."""
    if g.dtype == dtypes.float16:
        raise DTypeError(
            "gradients in float16 cannot be unscaled: what was kept by scaling would vanish again",
            hint="keep parameters in float32 (no model.half()) and use tn.autocast",
        )
    return g
