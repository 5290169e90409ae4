"""The losses without memory. Those with a proof stand in `derivations`; others are made of them.

`reduction` is 'none' (a loss for every entry), 'sum' or 'mean'; anything else is an ArgumentError.
Prediction and target have one shape: (n, 1) against (n,) would compare all pairs, and is a
ShapeError.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.derivations import bce, bernoulli, huber, kl, mae, mse, nll, soft_cross_entropy
from tinynet.derivations import cross_entropy as _cross_entropy
from tinynet.derivations.reduction import check_classes, classes_of, reduce, sizes_of
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.nn.functional.activations import log_softmax, logsigmoid, relu
from tinynet.ops.indexing import take_along_dim
from tinynet.ops.linalg import vector_norm
from tinynet.tensor import Tensor, raw

# -- classes ---------------------------------------------------------------------------------------


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−log softmax(input) at the true class. Derived in `tinynet/derivations/cross_entropy.py`,
    for probabilities in `tinynet/derivations/soft_cross_entropy.py`.

    Shapes: input (C,), (n, C) or (n, C, d1, …), scores; target either whole numbers 0 … C − 1, of
    the input's shape without C, or probabilities of the input's shape. `weight` (C,) makes classes
    count more or less; the mean is then over the weights of the true classes. Targets equal to
    `ignore_index` do not count. `label_smoothing` ε replaces the target by (1 − ε) target + ε/C.
    Raises ShapeError, DTypeError, ArgumentError, or OutOfRangeError for a class there is not.

    >>> import tinynet as tn
    >>> cross_entropy(tn.zeros(2, 10), tn.tensor([3, 7]))  # knows nothing: log 10
    tensor(2.3026)
    """
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError("label_smoothing lies between 0 and 1", got=f"{label_smoothing}")
    if dtypes.is_floating(target.dtype):
        if ignore_index >= 0:
            raise ArgumentError(
                "cross_entropy: probabilities have no class that could be ignored",
                got=f"ignore_index={ignore_index}, target {describe(target)}",
                hint="a weight of 0 for that class",
            )
        if target.ndim == input.ndim - 1:
            raise DTypeError(
                "cross_entropy: classes are whole numbers; probabilities have the scores' shape",
                got=f"{describe(input)}, {describe(target)}",
                hint="target.long() if these are classes",
            )
        return soft_cross_entropy.op(
            input,
            target,
            weight=raw(weight),
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
    if label_smoothing:
        return _smoothed(input, target, raw(weight), ignore_index, reduction, label_smoothing)
    if weight is None:
        return _cross_entropy.op(input, target, reduction=reduction, ignore_index=ignore_index)
    log_p = log_softmax(input, min(1, input.ndim - 1))
    return nll_loss(log_p, target, weight, ignore_index=ignore_index, reduction=reduction)


def _smoothed(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """Classes as one-hot distributions; the mean is over the weights of the classes that count."""
    axis = min(1, input.ndim - 1)
    count = sizes_of(input, target, "scores")[1]
    counted, classes, n = classes_of(raw(target), ignore_index)
    check_classes(classes, count)
    names = np.reshape(np.arange(count, like=classes), (-1, *(1,) * (input.ndim - 1 - axis)))
    one_hot = Tensor((np.expand_dims(classes, axis) == names).astype(input.dtype))
    losses = soft_cross_entropy.op(
        input, one_hot, weight=weight, reduction="none", label_smoothing=smoothing
    )
    if weight is not None:
        n = float(np.sum(weight[classes] if counted is None else weight[classes[counted]]))
    return reduce(losses if counted is None else np.where(counted, losses, 0), n, reduction)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """−weight · input at the true class; input are log-probabilities. Derived in
    `tinynet/derivations/nll.py`. Shapes, options and errors as for `cross_entropy`.

    >>> import tinynet as tn
    >>> nll_loss(tn.tensor([[0.5, 0.5]]).log(), tn.tensor([0]))
    tensor(0.6931)
    """
    return nll.op(input, target, weight=raw(weight), reduction=reduction, ignore_index=ignore_index)


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """−log of what a coin that shows 1 with probability `input` gives to the label, 0 or 1.

    Logarithms below −100 are taken as −100. `weight` broadcasts and multiplies each loss. Raises
    ArgumentError for a probability outside of [0, 1]. Derived in
    `tinynet/derivations/bernoulli.py`.

    >>> import tinynet as tn
    >>> binary_cross_entropy(tn.tensor([0.5, 0.0]), tn.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.6931, 100.0000])
    """
    return _weighted(bernoulli.op, input, target, weight, reduction)


def _weighted(op: Any, input: Any, target: Any, weight: Any, reduction: str) -> Any:
    if weight is None:
        return op(input, target, reduction=reduction)
    losses = op(input, target, reduction="none") * weight
    return reduce(losses, math.prod(losses.shape), reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """−log of the probability that sigmoid(input) gives to the label, 0 or 1 or between.

    `weight` multiplies each loss, `pos_weight` the part of label 1; both broadcast. Raises
    ShapeError unless input and target have one shape. Derived in `tinynet/derivations/bce.py`.

    >>> import tinynet as tn
    >>> binary_cross_entropy_with_logits(tn.tensor([0.0, 8.0]), tn.tensor([1.0, 0.0]))
    tensor(4.3467)
    """
    if pos_weight is None:
        return _weighted(bce.op, input, target, weight, reduction)

    def split(z: Any, y: Any, *, reduction: str) -> Any:
        losses = -pos_weight * y * logsigmoid(z) - (1 - y) * logsigmoid(-z)
        return reduce(losses, math.prod(losses.shape), reduction)

    _same_shape(input, target)
    return _weighted(split, input, target, weight, reduction)


def _same_shape(input: Any, target: Any) -> None:
    if input.shape != target.shape:
        raise ShapeError(
            "input and target must have one shape: nothing is broadcast here",
            got=f"{describe(input)}, {describe(target)}",
        )


# -- quantities ------------------------------------------------------------------------------------


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """(input − target)², averaged over all entries. Derived in `tinynet/derivations/mse.py`.

    >>> import tinynet as tn
    >>> mse_loss(tn.tensor([1.0, 4.0]), tn.tensor([0.0, 2.0]))
    tensor(2.5000)
    """
    return mse.op(input, target, reduction=reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """|input − target|, averaged over all entries. Derived in `tinynet/derivations/mae.py`.

    >>> import tinynet as tn
    >>> l1_loss(tn.tensor([1.0, 4.0]), tn.tensor([0.0, 6.0]))
    tensor(1.5000)
    """
    return mae.op(input, target, reduction=reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """With d = input − target: d²/2 where |d| ≤ delta, else delta (|d| − delta/2).

    Raises ArgumentError unless delta > 0. Derived in `tinynet/derivations/huber.py`.

    >>> import tinynet as tn
    >>> huber_loss(tn.tensor([0.5, 3.0]), tn.zeros(2), reduction="none")
    tensor([0.1250, 2.5000])
    """
    return huber.op(input, target, delta=delta, reduction=reduction)


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """`huber_loss` with delta = beta, divided by beta: slope 1 far from the target. beta = 0 is
    `l1_loss`.

    >>> import tinynet as tn
    >>> smooth_l1_loss(tn.tensor([0.5, 3.0]), tn.zeros(2), beta=2.0, reduction="none")
    tensor([0.0625, 2.0000])
    """
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return huber.op(input, target, delta=beta, reduction=reduction) / beta


# -- distributions ---------------------------------------------------------------------------------


def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """target (log target − input); input is a log-probability; with `log_target`, the target too.

    'batchmean' sums and divides by the first axis: the divergence itself. Derived in
    `tinynet/derivations/kl.py`.

    >>> import tinynet as tn
    >>> p, q = tn.tensor([[0.5, 0.5]]), tn.tensor([[1.0, 0.0]])
    >>> kl_div(p.log(), q, reduction="batchmean")
    tensor(0.6931)
    """
    batch = reduction == "batchmean"
    y = kl.op(input, target, log_target=log_target, reduction="sum" if batch else reduction)
    return y / input.shape[0] if batch and input.ndim else y


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    *,
    reduction: str = "mean",
) -> Any:
    """rate − target · log rate, minus log-likelihood of a count; `input` is log rate, or the rate.

    `full` adds Stirling's log target! where target > 1. `eps` keeps log rate finite.

    >>> import tinynet as tn
    >>> poisson_nll_loss(tn.tensor([0.0]), tn.tensor([3.0]))
    tensor(1.)
    """
    _same_shape(input, target)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        y = np.where(target > 1, target, 1)
        stirling = y * np.log(y) - y + np.log(2 * math.pi * y) / 2
        losses = losses + np.where(target > 1, stirling, 0)
    return reduce(losses, math.prod(losses.shape), reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    *,
    reduction: str = "mean",
) -> Any:
    """½ (log var + (input − target)² / var), −log of a normal density; `full` adds ½ log 2π.

    `var` broadcasts; or it lacks the last axis, and counts for all of it. Values below `eps` are
    taken as eps, with the gradient that they would have there. Raises ArgumentError for a negative
    variance.

    >>> import tinynet as tn
    >>> gaussian_nll_loss(tn.tensor([1.0]), tn.tensor([3.0]), tn.tensor([4.0]))
    tensor(1.1931)
    """
    if (raw(var) < 0).any():
        raise ArgumentError("gaussian_nll_loss: a variance is not negative")
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = np.expand_dims(var, -1)
    var = var + (np.maximum(var, eps) - var).detach()
    losses = (np.log(var) + np.square(input - target) / var) / 2
    if full:
        losses = losses + math.log(2 * math.pi) / 2
    return reduce(losses, math.prod(losses.shape), reduction)


# -- margins and angles ----------------------------------------------------------------------------


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along `dim`; norms below `eps` are taken as eps.

    >>> import tinynet as tn
    >>> cosine_similarity(tn.tensor([1.0, 0.0]), tn.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    shape = np.broadcast_shapes(x1.shape, x2.shape)

    def unit(x: Any) -> Any:
        x = np.broadcast_to(x, shape)
        return x / np.sqrt(np.maximum(np.square(x).sum(dim, keepdim=True), eps * eps))

    return (unit(x1) * unit(x2)).sum(dim)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """1 − cos for pairs that belong together (target 1), max(cos − margin, 0) for others (−1).

    Shapes: inputs (n, d) and target (n,), or (d,) and ().

    >>> import tinynet as tn
    >>> x, y = tn.tensor([[1.0, 0.0]]), tn.tensor([[1.0, 1.0]])
    >>> cosine_embedding_loss(x, y, tn.tensor([1])), cosine_embedding_loss(x, y, tn.tensor([-1]))
    (tensor(0.2929), tensor(0.7071))
    """
    sizes = [np.square(x).sum(-1) + 1e-12 for x in (input1, input2)]
    cos = (input1 * input2).sum(-1) / np.sqrt(sizes[0] * sizes[1])
    losses = np.where(target == 1, 1 - cos, relu(cos - margin))
    return reduce(losses, math.prod(losses.shape), reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean"
) -> Any:
    """A distance where pairs belong together (target 1), else (−1) max(margin − distance, 0).

    >>> import tinynet as tn
    >>> hinge_embedding_loss(tn.tensor([0.3, 0.3]), tn.tensor([1, -1]), reduction="none")
    tensor([0.3000, 0.7000])
    """
    apart = np.where(target != 1, relu(margin - input), 0)
    losses = np.where(target != -1, input, 0) + apart
    return reduce(losses, math.prod(losses.shape), reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """max(−target (input1 − input2) + margin, 0): target 1 wants the first to be larger, −1 the
    second.

    >>> import tinynet as tn
    >>> margin_ranking_loss(tn.tensor([1.0]), tn.tensor([3.0]), tn.tensor([1]))
    tensor(2.)
    """
    losses = relu(margin - target * (input1 - input2))
    return reduce(losses, math.prod(losses.shape), reduction)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of x1 − x2 + eps along the last axis; eps keeps the gradient finite at 0.

    >>> import tinynet as tn
    >>> pairwise_distance(tn.tensor([[3.0, 4.0]]), tn.zeros(1, 2))
    tensor([5.0000])
    """
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """max(d(anchor, positive) − d(anchor, negative) + margin, 0), d the p-norm distance.

    With `swap` the negative counts from the anchor or the positive, whichever is nearer.

    >>> import tinynet as tn
    >>> a, b, c = (tn.tensor([[x, 0.0]]) for x in (0.0, 1.0, 3.0))
    >>> triplet_margin_loss(a, c, b)
    tensor(3.)
    """
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = np.minimum(far, pairwise_distance(positive, negative, p, eps))
    losses = relu(margin + near - far)
    return reduce(losses, math.prod(losses.shape), reduction)


def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """log(1 + e^(−target · input)), targets being 1 and −1.

    >>> import tinynet as tn
    >>> soft_margin_loss(tn.tensor([0.0, 9.0]), tn.tensor([1.0, -1.0]), reduction="none")
    tensor([0.6931, 9.0001])
    """
    _same_shape(input, target)
    losses = -logsigmoid(target * input)
    return reduce(losses, math.prod(losses.shape), reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """Binary cross-entropy of each class, averaged over the classes along the last axis."""
    _same_shape(input, target)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    losses = (losses if weight is None else losses * weight).mean(-1)
    return reduce(losses, math.prod(losses.shape), reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    *,
    reduction: str = "mean",
) -> Any:
    """Σ_{i≠t} max(margin − x_t + x_i, 0)^p / C: the score of class t is to lead by the margin.

    Shapes: input (n, C) and target (n,), or (C,) and (). `weight` (C,) is that of the true class.

    >>> import tinynet as tn
    >>> multi_margin_loss(tn.tensor([0.0, 3.0, 2.5]), tn.tensor(1))
    tensor(0.1667)
    """
    input = input if input.ndim else np.reshape(input, (1,))
    true = np.expand_dims(target, -1)
    behind = relu(margin - take_along_dim(input, true, -1) + input) ** p
    others = true != Tensor(np.arange(input.shape[-1], like=raw(target)))
    losses = np.where(others, behind, 0) / input.shape[-1]
    losses = (losses if weight is None else losses * np.expand_dims(weight[target], -1)).sum(-1)
    return reduce(losses, math.prod(losses.shape), reduction)
