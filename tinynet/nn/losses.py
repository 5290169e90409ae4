"""The losses as modules: they hold options only. Each is explained at its function."""

from __future__ import annotations

from typing import Any

from tinynet.derivations.reduction import weight as factor
from tinynet.nn import functional
from tinynet.nn.stateless import Stateless


class _Loss(Stateless):
    """`weight` and `pos_weight` are buffers: they move with the module."""

    def __init__(self, reduction: str = "mean", **options: Any) -> None:
        factor(1, reduction)  # raises for a reduction that does not exist
        weights = {name: options.pop(name) for name in ("weight", "pos_weight") if name in options}
        super().__init__(reduction=reduction, **options)
        for name, value in weights.items():
            self.register_buffer(name, value)
        self._options = (*self._options, *weights)

    def extra_repr(self) -> str:
        return ""


class CrossEntropyLoss(_Loss):
    """−log softmax(scores) at the true class: scores (n, C, …) and class ids (n, …), or
    probabilities (n, C, …).

    It holds the softmax itself: the model before it ends with plain scores.

    >>> import tinynet as tn
    >>> CrossEntropyLoss()(tn.zeros(1, 4), tn.tensor([2]))
    tensor(1.3863)
    """

    function = staticmethod(functional.cross_entropy)

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing
        )


class NLLLoss(_Loss):
    """−input at the true class: log-probabilities (n, C, …) and class ids (n, …)."""

    function = staticmethod(functional.nll_loss)

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index)


class BCELoss(_Loss):
    """−log of the probability that a coin with these probabilities gives to the labels."""

    function = staticmethod(functional.binary_cross_entropy)

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)


class BCEWithLogitsLoss(_Loss):
    """−log of the probability that sigmoid(input) gives to the label; both of one shape."""

    function = staticmethod(functional.binary_cross_entropy_with_logits)

    def __init__(
        self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
    ) -> None:
        super().__init__(reduction, weight=weight, pos_weight=pos_weight)


class MSELoss(_Loss):
    """(input − target)², averaged over all entries; both of one shape."""

    function = staticmethod(functional.mse_loss)


class L1Loss(_Loss):
    """|input − target|, averaged over all entries; both of one shape."""

    function = staticmethod(functional.l1_loss)


class HuberLoss(_Loss):
    """Half the square of small errors, delta times the size of large ones."""

    function = staticmethod(functional.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, delta=delta)


class SmoothL1Loss(_Loss):
    """Huber's loss with delta = beta, divided by beta."""

    function = staticmethod(functional.smooth_l1_loss)

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction, beta=beta)


class KLDivLoss(_Loss):
    """target (log target − input), input being log-probabilities; also with 'batchmean'."""

    function = staticmethod(functional.kl_div)

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("sum" if reduction == "batchmean" else reduction, log_target=log_target)
        self.reduction = reduction


class PoissonNLLLoss(_Loss):
    """rate − target · log rate; the input is the logarithm of the rate, or the rate."""

    function = staticmethod(functional.poisson_nll_loss)

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, log_input=log_input, full=full, eps=eps)


class GaussianNLLLoss(_Loss):
    """½ (log var + (input − target)² / var), of input, target and var."""

    function = staticmethod(functional.gaussian_nll_loss)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction, full=full, eps=eps)


class HingeEmbeddingLoss(_Loss):
    """A distance where pairs belong together (target 1), else (−1) max(margin − distance, 0)."""

    function = staticmethod(functional.hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class CosineEmbeddingLoss(_Loss):
    """1 − cos where pairs belong together (target 1), else (−1) max(cos − margin, 0)."""

    function = staticmethod(functional.cosine_embedding_loss)

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction, margin=margin)


class MarginRankingLoss(CosineEmbeddingLoss):
    """max(−target (input1 − input2) + margin, 0)."""

    function = staticmethod(functional.margin_ranking_loss)


class CosineSimilarity(Stateless):
    """The cosine of the angle between vectors along `dim`."""

    function = staticmethod(functional.cosine_similarity)

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(dim=dim, eps=eps)


class PairwiseDistance(Stateless):
    """The p-norm of the difference of vectors along the last axis."""

    function = staticmethod(functional.pairwise_distance)

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(p=p, eps=eps, keepdim=keepdim)


class TripletMarginLoss(_Loss):
    """max(d(anchor, positive) − d(anchor, negative) + margin, 0)."""

    function = staticmethod(functional.triplet_margin_loss)

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, margin=margin, p=p, eps=eps, swap=swap)


class SoftMarginLoss(_Loss):
    """log(1 + e^(−target · input)), targets being 1 and −1."""

    function = staticmethod(functional.soft_margin_loss)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)


class MultiMarginLoss(_Loss):
    """Σ_{i≠t} max(margin − x_t + x_i, 0)^p / C, t the true class."""

    function = staticmethod(functional.multi_margin_loss)

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, p=p, margin=margin, weight=weight)


class MultiLabelSoftMarginLoss(_Loss):
    """Binary cross-entropy of each class, averaged over the classes."""

    function = staticmethod(functional.multilabel_soft_margin_loss)

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)
