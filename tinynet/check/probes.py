"""Asking the backward function again, with another cotangent or other arguments."""
from __future__ import annotations
from collections.abc import Iterator
from tinynet.check.fix import Fix
from tinynet.check.problem import Problem
def unstable(p: Problem, k: int) -> Iterator[Fix]:
    return iter(())
upstream = rearranged_upstream = rearranged_arguments = parts = unstable
