"""PyTorch's path to `checkpoint`, which lives in `tinynet.recompute`."""

from tinynet.recompute import checkpoint

__all__ = ["checkpoint"]
