"""Is it right? Derivatives judged by differences, independently of every rule; and if not, why not.

    doors.py       the functions to call: check_backward, check_gradients, gradcheck
    numeric.py     derivatives by differences, with an error estimate; judge.py: the verdict
    problem.py     a wrong gradient with all that is known about it
    diagnosis/     why it is wrong, and on which line
    report.py      what was found, for people
    properties.py, strategies.py, pytest_plugin.py, files.py      checks as tests, of anybody's code
    samples.py, sweep.py, mutants.py      every op of the registry; mistakes planted in its rules

Not in: anything of `nn`; the checks serve code that never heard of it. Start with `numeric.py`.
"""

from tinynet.check.diagnosis.recording import Traced
from tinynet.check.doors import check_backward, check_gradients, gradcheck, gradgradcheck
from tinynet.check.judge import VERDICTS
from tinynet.check.mutants import MutantReport, check_mutants
from tinynet.check.numeric import complex_step, numeric_vjp, relative_error
from tinynet.check.problem import Candidate, Problem
from tinynet.check.properties import property_check
from tinynet.check.report import Evidence, GradientReport
from tinynet.check.sweep import OpReport, check_ops

__all__ = [
    "VERDICTS",
    "Candidate",
    "Evidence",
    "GradientReport",
    "MutantReport",
    "OpReport",
    "Problem",
    "Traced",
    "check_backward",
    "check_gradients",
    "check_mutants",
    "check_ops",
    "complex_step",
    "gradcheck",
    "gradgradcheck",
    "numeric_vjp",
    "property_check",
    "relative_error",
]
