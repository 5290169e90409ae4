"""Doors to PyTorch's paths: `tn.utils.data` and `tn.utils.checkpoint`. Imports only; what they lead
to stands in `tinynet.data` and `tinynet.recompute`.
"""

from tinynet.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
