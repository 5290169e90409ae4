r"""Convolution (as in all of deep learning: cross-correlation), and its three derivatives.

A filter i looks at the input through a small window and gives one number; then the window moves
on. The weights stay the same, wherever it looks:

    y_{n,i,p,q} = b_i + Σ_k Σ_{u,v} W_{i,k,u,v} x_{n,k,ps+ud−P,qs+vd−P}         (x is 0 outside)

n runs over the batch, k over the channels of the input, i over the filters, (p, q) over the places
of the window, (u, v) over its taps; s is the stride, d the dilation, P the padding
(`derivations/columns.py` draws them). Nothing below needs two axes: read p for (p, q) and u for
(u, v), and the same lines serve 1-d and 3-d input. They do: this op is conv1d and conv3d too.

    x   1  2  0  3  1          W   1  −1         y_0 = 1·1 − 1·2 = −1    y_2 = 1·0 − 1·3 = −3
        └──┘                                     y_1 = 1·2 − 1·0 =  2    y_3 = 1·3 − 1·1 =  2

Derivation. Write X_{n,k,u,p} = x_{n,k,ps+ud−P} for what tap u sees from place p (im2col). Then y is
one matrix product, a linear layer that is applied at each place,

    y_{n,i,p} = b_i + Σ_{k,u} W_{i,(k,u)} X_{n,(k,u),p}                   Y = W X + b

and the derivatives are those of a linear layer, summed over every y that is touched:

    b_i     touches y_nip for all n, p, with factor 1:         b̄_i     = Σ_{n,p} g_nip
    W_iku   touches y_nip for all n, p, with factor X_nkup:    W̄_iku   = Σ_{n,p} g_nip X_nkup
    X_nkup  touches y_nip for all i, with factor W_iku:        X̄_nkup  = Σ_i W_iku g_nip

The second says: W̄ is itself a correlation, of the input with g. It remains to go from X to x.
Entry x_m was copied to every X_{u,p} with ps + ud − P = m, so its derivative is the sum over these
copies:

    x̄_{n,k,m} = Σ_{p,u: ps+ud−P=m} X̄_{n,k,u,p} = Σ_i Σ_{p,u: ps+ud−P=m} W_{i,k,u} g_{n,i,p}.

Every place p stamps W, scaled by g, back onto where it looked, and the stamps add up (col2im). For
s = 1 put p = m + P − ud: a correlation of g with the filter turned by 180 degrees. For any s it is
the layer `conv_transpose2d`. What people forget: the sum over places in W̄ (the weights are shared),
the turn in x̄, and that stamps overlap, so they are added and not assigned.

Groups. With G groups, filter i sees only the channels of its own group: the channels and the
filters are cut into G equal parts, and part by part the formulas hold. G = C gives each channel its
own filters.

Shapes: x (n, C, …), W (O, C/G, K …), b (O,) or left out, y and g (n, O, out …). Cost: 2 n O (C/G) K
out flops forward (K and out here the numbers of taps and places), as much again for W̄ and for x̄,
which a first layer does not need. X has K times the entries of x; it is made again for W̄, not kept.
Source: document C, 4.1.2 and 4.2.2, whose formula is no convolution (`as_printed`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.columns import col2im, grouped, im2col, matrices, sliding, with_bias
from tinynet.derivations.windows import geometry, per_axis, positions
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(
    x: Any, W: Any, *b: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """y_{n,i,p} = b_i + Σ_k Σ_u W_{i,k,u} x_{n,k,ps+ud−P}; g names the group of k and i.

    >>> x, W = np.array([[[1.0, 2.0, 0.0, 3.0, 1.0]]]), np.array([[[1.0, -1.0]]])
    >>> definition(x, W)
    array([[[-1.,  2., -3.,  2.]]])
    """
    n, (filters, C, *kernel) = x.shape[0], W.shape
    X = sliding(x, kernel, *geometry(x.ndim - 2, stride, padding, dilation))
    out = X.shape[2 : x.ndim]
    X = np.reshape(X, (n, groups, C, math.prod(out), math.prod(kernel)))
    W = np.reshape(W, (groups, filters // groups, C, math.prod(kernel)))
    y = np.einsum("giku,ngkpu->ngip", W, X)
    return with_bias(np.reshape(y, (n, filters, *out)), b)


def forward(
    x: Any, W: Any, *b: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Any, tuple[Any, ...]]:
    """Y = W X + b: the windows as columns of a matrix, one product for each sample and group."""
    _check(x, W, b, groups)
    how = geometry(x.ndim - 2, stride, padding, dilation)
    out = positions(x.shape[2:], W.shape[2:], *how)
    X = grouped(im2col(x, W.shape[2:], *how), groups)
    y = np.reshape(np.matmul(matrices(W, groups), X), (x.shape[0], W.shape[0], *out))
    return with_bias(y, b), (x, W, *b)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    needs: tuple[bool, ...] = (True, True, True),
) -> tuple[Any, ...]:
    """X̄ = Wᵀ g, of which x̄ is the col2im; W̄ = Σ_n g Xᵀ; b̄ = Σ_{n,p} g; each where needed."""
    x, W, *b = saved
    kernel, how = W.shape[2:], geometry(x.ndim - 2, stride, padding, dilation)
    G = grouped(g, groups)
    dx = dW = db = None
    if needs[0]:
        dX = np.matmul(np.swapaxes(matrices(W, groups), 1, 2), G)
        rows = x.shape[1] * math.prod(kernel)
        dx = col2im(np.reshape(dX, (x.shape[0], rows, *g.shape[2:])), x.shape[2:], kernel, *how)
    if needs[1]:
        X = grouped(im2col(x, kernel, *how), groups)
        dW = np.reshape(np.sum(np.matmul(G, np.swapaxes(X, 2, 3)), axis=0), W.shape)
    if b and needs[2]:
        db = np.sum(G, axis=(0, 3))
        db = np.reshape(db, b[0].shape)
    return (dx, dW, db) if b else (dx, dW)


def as_printed(a: Any, w: Any, b: Any) -> Any:
    """h_ij = σ(Σ_k w_ikj a_kj + b_j), σ logistic: place j is answered from place j alone, with
    weights w_i·j and a bias b_j of its own. Nothing is looked at through a window, and nothing is
    shared. Shapes: a (C, J), w (O, C, J), b (J,), h (O, J).

    Shift the input by one place and the answer does not shift: it is another one.

    >>> a, w, b = np.array([[1.0, 0.0]]), np.array([[[2.0, -2.0]]]), np.zeros(2)
    >>> as_printed(a, w, b), as_printed(a[:, ::-1], w, b)
    (array([[0.8808, 0.5   ]]), array([[0.5   , 0.1192]]))
    """
    return 1 / (1 + np.exp(-(np.einsum("ikj,kj->ij", w, a) + b)))


def _check(x: Any, W: Any, b: tuple[Any, ...], groups: Any) -> None:
    """Raise ShapeError, or ArgumentError for groups that are no number, where sizes do not fit."""
    (G,) = per_axis("groups", groups, 1, 1)
    fits = x.ndim == W.ndim > 2 and x.shape[1] == G * W.shape[1] and W.shape[0] % G == 0
    last = x.ndim > 2 and x.shape[1] != G * W.shape[1] == x.shape[-1]
    if not fits or (b and getattr(b[0], "shape", None) != W.shape[:1]):
        raise ShapeError(
            f"the sizes do not fit, with groups={groups}",
            expected="x (n, C, …), W (O, C/groups, K …), b (O,), with groups dividing C and O",
            hint="channels before places: np.moveaxis(x, -1, 1)" if last else None,
        )


op = Derivation(
    "conv2d",
    definition,
    backward,
    forward,
    formula=r"b_i + \sum_k \sum_{u,v} W_{ikuv}\, x_{k,ps+ud-P,qs+vd-P}",
    variadic=True,  # with or without b
    in_place=True,
    room="derivations",
    doc="The same small linear map at every place: filters that slide over the input.",
)
