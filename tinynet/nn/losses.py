"""The losses as modules: they hold options only."""

from __future__ import annotations

from typing import Any

from tinynet.derivations.reduction import weight
from tinynet.nn import functional
from tinynet.nn.module import Module


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        weight(1, reduction)  # raises for a reduction that does not exist
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """−log softmax(scores) at the true class: scores (n, C, …) and class ids (n, …).

    It holds the softmax itself: the model before it ends with plain scores.

    >>> import tinynet as tn
    >>> CrossEntropyLoss()(tn.zeros(1, 4), tn.tensor([2]))
    tensor(1.3863)
    """

    def __init__(self, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return functional.cross_entropy(
            input, target, ignore_index=self.ignore_index, reduction=self.reduction
        )


class MSELoss(_Loss):
    """(input − target)², averaged over all entries; both of one shape."""

    def forward(self, input: Any, target: Any) -> Any:
        return functional.mse_loss(input, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """−log of the probability that sigmoid(input) gives to the label; both of one shape."""

    def forward(self, input: Any, target: Any) -> Any:
        return functional.binary_cross_entropy_with_logits(input, target, reduction=self.reduction)
