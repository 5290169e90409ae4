"""Freed memory is used again, without a page fault for every 4 KiB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinynet.kernels.memory import keep_freed

_STEPS = """
import resource
import numpy as np
from tinynet.kernels import matmul

matmul(np.ones((2, 2)), np.ones((2, 2)))

def step():
    kept = [np.ones(3 << 20, np.uint8) for _ in range(5)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


def faults(**told: str) -> int:
    run = [sys.executable, "-c", _STEPS]
    done = subprocess.run(
        run,
        cwd=Path(__file__).parents[1],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed(), reason="not glibc, or told otherwise")
def test_freed_memory_is_used_again_unless_told_otherwise() -> None:
    assert faults() < 100
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 10_000
