"""Is it right? Derivatives judged by differences, independently of every rule.

    doors.py      the functions to call
    numeric.py    derivatives by differences, with an error estimate
    subject.py    what is judged: a hand-written pair, or a function of Tensors
    measure.py    gradients at a point, entry by entry or along random directions
    compare.py    claims against numbers
    beside.py     other points: at one alone, much may be right by chance
    judge.py      the verdict
    problem.py    a wrong gradient with all that is known about it
    diagnosis.py  why it is wrong
    report.py     what was found, for people
    properties.py  one line makes a Hypothesis test
    strategies.py  arguments for it: import this module by its name, it needs Hypothesis
    pairs.py      pairs of forward and backward in a module
    files.py      those of a file: `python -m tinynet check layers.py::tanh`
    pytest_plugin.py  those of a project: `pytest --gradcheck`
    samples.py    random arguments for every op
    sweep.py      every op of the registry: `python -m tinynet check`

Not in: anything of `nn`; the checks serve code that never heard of it. Start with `numeric.py`.
"""

from tinynet.check.doors import check_backward, check_gradients, gradcheck, gradgradcheck
from tinynet.check.judge import VERDICTS
from tinynet.check.numeric import complex_step, numeric_vjp, relative_error
from tinynet.check.properties import property_check
from tinynet.check.report import Evidence, GradientReport
from tinynet.check.sweep import OpReport, check_ops

__all__ = [
    "VERDICTS",
    "Evidence",
    "GradientReport",
    "OpReport",
    "check_backward",
    "check_gradients",
    "check_ops",
    "complex_step",
    "gradcheck",
    "gradgradcheck",
    "numeric_vjp",
    "property_check",
    "relative_error",
]
