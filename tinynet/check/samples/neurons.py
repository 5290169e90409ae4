"""Arguments for the derivation of a layer of neurons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinynet.check.samples.draw import Draw, Sample


def _neuron(draw: Draw) -> Sample:
    n_in, n_out = draw.integer(1, 2), draw.integer(1, 2)
    act = draw.choice(("gelu", "sigmoid", "gelu", "tanh", "relu"))  # gelu has the longest rule
    samples = draw.choice(((2,), (), (1, 2), (3,), (0,)))
    shape, bias = (*samples, n_in), draw.choice((True, False))
    still = act == "gelu" and draw.choice((False, False, True))  # z = 0, where the rule has a case
    while True:
        x, W, b = draw.uniform(shape), draw.uniform((n_out, n_in)), draw.uniform((n_out,))
        x, b = x * (not still), b * (not still)
        z = x @ W.T + b * bias
        if act != "relu" or np.min(np.abs(z), initial=1) > 0.05:  # away from its corner
            return [x, W, b] if bias else [x, W], {"act": act}


SAMPLERS: dict[str, Callable[[Draw], Sample]] = {"neuron": _neuron}
