"""The door to PyTorch's older path to mixed precision; `tn.amp` is the newer one."""

from __future__ import annotations

from typing import Any

from tinynet import autocasting
from tinynet.amp import GradScaler

__all__ = ["GradScaler", "autocast"]


class autocast(autocasting.autocast):
    """`tn.autocast("cuda", …)` with PyTorch's older arguments.

    >>> autocast().device_type
    'cuda'
    """

    def __init__(
        self, enabled: bool = True, dtype: Any = None, cache_enabled: bool | None = None
    ) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)
