"""Arguments for every op: drawn at random, inside its domain, over all the forms that its options
take.

One description of each op's arguments serves the gradient table (`check_ops`, drawn by NumPy) and
the property tests (drawn and shrunk by Hypothesis): both hand a `Draw` to `sample`. One file for
each room of ops: `primitives`, then `losses` and the other derivations.
"""

from __future__ import annotations

import numpy as np

from tinynet.check.samples import (
    attention,
    convolution,
    losses,
    neurons,
    normalisation,
    pooling,
    primitives,
    recurrence,
)
from tinynet.check.samples.draw import Draw, Sample, Shape
from tinynet.op import Op

__all__ = ["SAMPLERS", "Draw", "Sample", "Shape", "sample"]

SAMPLERS = {
    **attention.SAMPLERS,
    **convolution.SAMPLERS,
    **losses.SAMPLERS,
    **neurons.SAMPLERS,
    **normalisation.SAMPLERS,
    **pooling.SAMPLERS,
    **primitives.SAMPLERS,
    **recurrence.SAMPLERS,
}


def sample(op: Op, draw: Draw) -> Sample:
    """Inputs (float64, or what the op takes) and options for one call of the op."""
    if op.name in SAMPLERS:
        inputs, options = SAMPLERS[op.name](draw)
    elif op.room == "elementwise":
        inputs, options = primitives.elementwise(op, draw)
    elif op.room == "activations":
        inputs, options = primitives.activation(op, draw)
    else:
        raise KeyError(f"no arguments are known for the op {op.name!r}: add them to SAMPLERS")
    return [np.asarray(x) if isinstance(x, np.generic) else x for x in inputs], options
