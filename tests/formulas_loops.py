"""What the backward lines say that `tn.explain` shows, as loops: for each structured op a function
of what arrives, the output, the inputs and the options, which gives the gradients.
"""

from __future__ import annotations

import formulas_loops_layers
import formulas_loops_primitives
import formulas_loops_sequences
import formulas_loops_windows

BACKWARD = {
    **formulas_loops_primitives.BACKWARD,
    **formulas_loops_layers.BACKWARD,
    **formulas_loops_sequences.BACKWARD,
    **formulas_loops_windows.BACKWARD,
}
