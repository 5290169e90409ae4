"""The door to PyTorch's `backends`, whose switches programs ask and set. Here they exist and change
nothing: results are repeatable anyway, and there is no cuDNN and no MPS to ask for.

>>> import tinynet as tn
>>> tn.backends.cudnn.deterministic = True
>>> tn.backends.mps.is_available()
False
"""

from __future__ import annotations

from types import SimpleNamespace


def _no() -> bool:
    return False


cudnn = SimpleNamespace(enabled=False, benchmark=False, deterministic=True, is_available=_no)
mps = SimpleNamespace(is_available=_no, is_built=_no)
cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False))
