"""Why a gradient is wrong."""

from __future__ import annotations

from tinynet.check.problem import Candidate, Problem


def diagnose(problem: Problem) -> list[Candidate]:
    """The explanations that fit, cheapest first."""
    return []
