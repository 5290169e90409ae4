"""Helpers around modules.

In: all gradients, or all parameters, of a model at once (`parameters`); sequences of unlike lengths
in one batch (`rnn`).
"""

from tinynet.nn.utils import rnn
from tinynet.nn.utils.parameters import (
    clip_grad_norm_,
    clip_grad_value_,
    parameters_to_vector,
    vector_to_parameters,
)

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]
