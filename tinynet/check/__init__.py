"""Is it right? Derivatives judged by differences, independently of every rule.

In: differences with an error estimate (`numeric.py`), random arguments for every op (`samples.py`),
the sweep over the whole registry (`sweep.py`), and the proof that the sweep would notice: mistakes
planted in every rule (`mutants.py`). Not in: anything of `nn`; the checks serve code that never
heard of it.

Start with `numeric.py`, then run `python -m tinynet check`, and with `--mutants`.
"""

from tinynet.check.mutants import MutantReport, check_mutants
from tinynet.check.numeric import complex_step, numeric_vjp, relative_error
from tinynet.check.sweep import OpReport, check_ops

__all__ = [
    "MutantReport",
    "OpReport",
    "check_mutants",
    "check_ops",
    "complex_step",
    "numeric_vjp",
    "relative_error",
]
