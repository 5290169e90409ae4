"""What each op should give, written a second time and differently: Python loops and `math`, no
NumPy functions.

An oracle takes the op's inputs and options and returns nested values that `np.asarray` understands.
Differences can check a derivative against the forward pass; only an oracle can see that the forward
pass itself is wrong. One file for each room, as in `tinynet/check/samples`.
"""

from __future__ import annotations

import oracles_attention
import oracles_convolution
import oracles_losses
import oracles_neurons
import oracles_normalisation
import oracles_pooling
import oracles_primitives
import oracles_recurrence

ORACLES = {
    **oracles_attention.ORACLES,
    **oracles_convolution.ORACLES,
    **oracles_losses.ORACLES,
    **oracles_neurons.ORACLES,
    **oracles_normalisation.ORACLES,
    **oracles_pooling.ORACLES,
    **oracles_primitives.ORACLES,
    **oracles_recurrence.ORACLES,
}

# Analytic functions whose forward pass accepts complex arrays: their derivatives are also checked
# by the complex step.
ANALYTIC = [
    *("add", "sub", "mul", "div", "neg", "exp", "expm1", "log", "log1p", "sqrt", "square", "sin"),
    *("cos", "tanh", "sigmoid", "pow", "power", "sum", "mean", "var", "reshape", "permute"),
    *("inv", "solve", "det"),
    *("flip", "roll", "tril", "triu", "pad", "cat", "std", "prod", "cumsum", "cumprod"),
    *(
        "reciprocal",
        "rsqrt",
        "exp2",
        "log2",
        "log10",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
    ),
    *("asinh", "acosh", "atanh"),
    *("broadcast_to", "clone", "getitem", "scatter", "put", "matmul", "einsum", "where"),
    *("silu", "gelu_tanh"),
    *("conv2d", "conv_transpose2d", "unfold", "fold"),
]
