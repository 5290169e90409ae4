"""The door to PyTorch's `linalg`: imports only. The mathematics stands in `ops/linalg.py`."""

from tinynet.ops.linalg import (
    cholesky,
    det,
    inv,
    matrix_norm,
    norm,
    slogdet,
    solve,
    vector_norm,
)

__all__ = ["cholesky", "det", "inv", "matrix_norm", "norm", "slogdet", "solve", "vector_norm"]
