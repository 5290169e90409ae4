"""All gradients, or all parameters, of a model at once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.tensor import Tensor


def _with_gradients(parameters: Any) -> list[Tensor]:
    """The gradients there are: a parameter that the loss did not reach has none."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p._grad for p in given if p._grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Shorten all gradients together so that their norm is at most max_norm; returns the old norm.

    The norm is that of one long vector of all entries, (Σ |g|^p)^(1/p), or max |g| for
    norm_type = inf. Every gradient is multiplied by min(1, max_norm / (norm + 1e-6)), so the
    direction stays. Raises ArgumentError unless norm_type > 0, and for a norm that is not finite,
    if asked to.

    >>> import tinynet as tn
    >>> w = tn.zeros(2, requires_grad=True)
    >>> (w * tn.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm_(w, 1.0), w.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    gradients = _with_gradients(parameters)
    p = float(norm_type)
    if not p > 0:
        raise ArgumentError("norm_type is positive, or inf", got=f"{norm_type}")
    if not gradients:
        return Tensor(np.zeros((), np.float32))
    first = gradients[0].device
    norms = [arrays.to_device(_norm(g.array, p), first) for g in gradients]  # as PyTorch does
    with arrays.home(norms[0]):
        norm = Tensor(_norm(np.stack(norms), p))
        factor = np.minimum(max_norm / (norm.array + 1e-6), 1)
    if error_if_nonfinite and not math.isfinite(float(norm)):
        raise ArgumentError("the norm of the gradients is not finite", got=str(float(norm)))
    for g in gradients:
        with arrays.home(g.array):
            here = arrays.to_device(factor, g.device)
            np.multiply(g.array, here.astype(g.dtype), out=g.array)
        g._counter[0] += 1
    return norm


def _norm(x: Any, p: float) -> Any:
    """(Σ |x|^p)^(1/p), or max |x| for p = inf; 0 where there is nothing."""
    with arrays.home(x):
        if p == math.inf:
            return np.max(np.abs(x)) if x.size else np.sum(x)
        if p == 2 and x.dtype.itemsize >= 4:  # one pass, and no array between
            flat = np.reshape(x, (-1,))
            return np.sqrt(np.dot(flat, flat))
        return np.sum(np.abs(x) ** p) ** (1 / p)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Each entry of each gradient pulled back into [−clip_value, clip_value]."""
    for g in _with_gradients(parameters):
        with arrays.home(g.array):
            np.clip(g.array, -clip_value, clip_value, out=g.array)
        g._counter[0] += 1


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """All parameters, flattened, in one vector; gradients flow through.

    >>> import tinynet as tn
    >>> parameters_to_vector([tn.ones(2, 2), tn.zeros(1)])
    tensor([1., 1., 1., 1., 0.])
    """
    return np.concatenate([np.reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the parts of a vector into the parameters: undoes `parameters_to_vector`.

    Raises ShapeError unless the vector has exactly as many entries.
    """
    given = list(parameters)
    total = sum(p.array.size for p in given)
    if vec.shape != (total,):
        raise ShapeError(
            "the vector does not fill the parameters", expected=f"({total},)", got=describe(vec)
        )
    start = 0
    for p in given:
        n = p.array.size
        p.array[...] = np.reshape(vec.array[start : start + n], p.shape)
        p._counter[0] += 1
        start += n
