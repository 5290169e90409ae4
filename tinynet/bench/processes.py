"""Measurements that need a Python process of their own: what happens first, happens once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tinynet.errors import TinynetError

_ROOT = str(Path(__file__).resolve().parents[2])


def fresh(code: str, environment: Mapping[str, str] | None = None) -> float:
    """The number that `code` prints last, run in a new process.

    >>> fresh("print(6 * 7)")
    42.0
    """
    code = f"import sys; sys.path.insert(0, {_ROOT!r}); {code}"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if run.returncode:
        raise TinynetError(f"bench: a process failed: {run.stderr.strip().splitlines()[-1:]}")
    return float(run.stdout.split()[-1])
