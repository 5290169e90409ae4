r"""Index formulas for ops that do not work entry by entry: forward, and what they hand back.

`FORMULAS` has an entry for each such op with a derivative; ops that work entry by entry write down
their own gradients (`explanation/symbols.py`), and `FORWARD` has those whose formula has options.
What a bar over an input stands for here is what this step hands to it; where a value is used more
than once, these are summed. A loop written from each of these lines is held against the code in the
tests. Start with `template.py`, then `primitives.py`; `losses`, `layers`, `windows` and `sequences`
follow the derivations.
"""

from tinynet.explanation.formulas import layers, losses, primitives, sequences, windows
from tinynet.explanation.formulas.entrywise import FORWARD
from tinynet.explanation.formulas.template import Structured

__all__ = ["FORMULAS", "FORWARD", "Structured"]

FORMULAS: dict[str, Structured] = {
    **primitives.FORMULAS,
    **losses.FORMULAS,
    **layers.FORMULAS,
    **windows.FORMULAS,
    **sequences.FORMULAS,
}
