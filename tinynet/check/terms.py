from __future__ import annotations
from collections.abc import Iterator
from tinynet.check.fix import Fix
from tinynet.check.problem import Problem
def factors(p: Problem, k: int) -> Iterator[Fix]:
    return iter(())
sums = axes = matrices = factors
