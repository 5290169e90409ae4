"""Products of matrices for the kernels: BLAS, on all cores through the pool of all kernels.

BLAS libraries bring threads of their own, which after each call keep a core busy for milliseconds
while they wait for the next. Kernels that run in between would find that core taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def product(a: Any, b: Any, out: Any = None) -> Any:
    """a b, as `np.matmul`: a (…, m, k), b (…, k, n), into `out` (…, m, n) where it is given.

    >>> product(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    return np.matmul(a, b, out=out)
