"""The proofs, and the fixed arguments on which `test_derivations.py` compares their parts.

Each room, as in `tinynet/check/samples`, has a file: PROOFS, the modules; CASES, their arguments;
`peers(torch)`, for each op the function of PyTorch that takes the same arguments.
"""

from __future__ import annotations

from typing import Any

import proofs_attention
import proofs_convolution
import proofs_losses
import proofs_neurons
import proofs_normalisation
import proofs_pooling
import proofs_recurrence

ROOMS = (
    proofs_attention,
    proofs_convolution,
    proofs_losses,
    proofs_neurons,
    proofs_normalisation,
    proofs_pooling,
    proofs_recurrence,
)
PROOFS = [proof for room in ROOMS for proof in room.PROOFS]
CASES = [case for room in ROOMS for case in room.CASES]


def peers(torch: Any) -> dict[str, Any]:
    """For each op, PyTorch's function of the same inputs and options."""
    return {name: twin for room in ROOMS for name, twin in room.peers(torch).items()}
