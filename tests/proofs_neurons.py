"""A layer of neurons: fixed arguments, and PyTorch's twin."""

from __future__ import annotations

from typing import Any

import numpy as np
from proof_cases import case, normal

from tinynet.derivations import neuron

PROOFS = (neuron,)
CASES = [
    *(
        case(neuron, normal(4, 3), normal(2, 3), normal(2), act=act)
        for act in ("sigmoid", "tanh", "relu", "gelu")
    ),
    case(neuron, normal(4, 3), normal(1, 3)),
    case(neuron, normal(3), normal(2, 3), normal(2), act="tanh"),
    case(neuron, normal(2, 5, 3), normal(4, 3), normal(4), act="gelu"),
    case(neuron, normal(2, 2, 3), normal(4, 3), act="relu"),
    case(neuron, normal(0, 3), normal(2, 3), normal(2)),
    case(neuron, normal(4, 0), normal(2, 0), normal(2), act="tanh"),
    case(neuron, np.zeros((2, 3)), normal(2, 3), act="gelu"),
    case(neuron, normal(4, 3), normal(0, 3), normal(0)),
]


def peers(torch: Any) -> dict[str, Any]:
    """PyTorch's layer and activation, one after the other."""
    F = torch.nn.functional

    def neuron_(x: Any, W: Any, *b: Any, act: str = "sigmoid") -> Any:
        z = F.linear(x, W, *b)
        return F.gelu(z) if act == "gelu" else getattr(torch, act)(z)

    return {"neuron": neuron_}
