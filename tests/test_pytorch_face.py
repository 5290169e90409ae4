"""PyTorch's face: the same call on `tinynet` and on `torch` gives the same values, dtypes, shapes
and gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinynet as tn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

rng = np.random.default_rng(0)
A, B, C = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
V, S, T3 = rng.standard_normal(4), rng.standard_normal(()), rng.standard_normal((2, 3, 4))
P = rng.uniform(0.3, 2.0, (3, 4))

# Each call gets the module (tn or torch) and its inputs as tensors that require gradients.
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "operators": (
        lambda m, x, y: (2 - x) * y / (3 + y * y) - -x + x**2 - (1 / (y * y + 1)),
        (A, B),
    ),
    "broadcast": (lambda m, x, v: x * v + v, (A, V)),
    "0-d": (lambda m, x, s: x * s + s, (A, S)),
    "rpow": (lambda m, x: 2.0**x, (A,)),
    "pow tensor": (lambda m, x, y: x**y, (P, A)),
    "add alpha": (lambda m, x, y: m.add(x, y, alpha=3), (A, B)),
    "sub alpha": (lambda m, x, y: x.sub(y, alpha=0.5), (A, B)),
    "functions": (
        lambda m, x: (
            m.exp(x) + m.log(x) + m.sqrt(x) + m.tanh(x) + m.sin(x) * m.cos(x) + m.square(x)
        ),
        (P,),
    ),
    "sigmoid relu abs": (lambda m, x: x.sigmoid() + x.relu() + x.abs() + m.neg(x), (A,)),
    "expm1 log1p": (lambda m, x: m.expm1(x) + m.log1p(x), (P,)),
    "powers of 2 and 10": (lambda m, x: m.exp2(x) + x.log2() + m.log10(x), (P,)),
    "reciprocal rsqrt": (lambda m, x: x.reciprocal() * m.rsqrt(x), (P,)),
    "trigonometry": (
        lambda m, x: m.tan(x / 3) + m.asin(x / 4) + x.div(4).acos() + m.atan(x) + m.arctan(x),
        (A,),
    ),
    "hyperbolic": (
        lambda m, x: x.sinh() + m.cosh(x) + m.asinh(x) + m.acosh(x + 1.5) + m.atanh(x / 3),
        (P,),
    ),
    "erf": (lambda m, x: m.erf(x) + (3 * x).erf(), (A,)),
    "atan2 logaddexp": (lambda m, x, y: m.atan2(x, y) + m.logaddexp(x, y), (A, B)),
    "lerp": (lambda m, x, y: m.lerp(x, y, 0.3) + x.lerp(y, m.sigmoid(x)), (A, B)),
    "rounding": (
        lambda m, x: x.round() + m.round(7 * x, decimals=1) + m.trunc(9 * x) + m.frac(9 * x),
        (A,),
    ),
    "whole division": (
        lambda m, x, y: (
            x % y
            + m.fmod(x, y)
            + m.remainder(x, 0.3)
            + x.detach() // y.detach()
            + 3 // x.detach()
            + 2 % y.detach()
        ),
        (A, B),
    ),
    "div rounding_mode": (
        lambda m, x, y: (
            m.div(x, y, rounding_mode="floor") - x.div(y, rounding_mode="trunc") + x.div(y)
        ),
        (9 * A, B),
    ),
    "div of whole numbers": (
        lambda m: (
            m.div(m.arange(-5, 5), 3, rounding_mode="trunc")
            + m.div(m.arange(-5, 5), 3, rounding_mode="floor")
        ),
        (),
    ),
    "aliases": (
        lambda m, x, y: (
            m.absolute(x) * m.multiply(x, y) - m.subtract(x, y).negative() + x.clip(-0.5, 0.5)
        ),
        (A, B),
    ),
    "maximum": (lambda m, x, y: m.maximum(x, y) * m.minimum(x, y), (A, B)),
    "maximum tie": (lambda m, x: m.maximum(x, x * 1), (A,)),
    "where": (lambda m, x, y: m.where(x > y, x, y * 2), (A, B)),
    "where scalar": (lambda m, x: m.where(x > 0, x, 0.5), (A,)),
    "clamp": (lambda m, x: m.clamp(x, -0.5, 0.5) + x.clamp(min=0) + x.clamp(max=0.1), (A,)),
    "clamp tensors": (lambda m, x, y: m.clamp(x, min=y - 0.3, max=y + 0.3), (A, B)),
    "clamp at its edge": (lambda m, x: m.clamp(x * 0, 0, 1), (A,)),
    "relu at 0": (lambda m, x: m.relu(x * 0), (A,)),
    "abs at 0": (lambda m, x: m.abs(x * 0), (A,)),
    "sum": (
        lambda m, x: (
            x.sum() + x.sum(0).sum(0) + m.sum(x, dim=(0, 1)) + x.sum(-1, keepdim=True).sum()
        ),
        (A,),
    ),
    "sum axis": (lambda m, x: x.sum(axis=1), (A,)),
    "sum keepdim": (lambda m, x: x.sum((0, -1), keepdim=True), (T3,)),
    "sum of nothing": (lambda m, x: m.sum(x[:, :0], 1), (A,)),
    "mean": (lambda m, x: m.mean(x, 1) + x.mean() + x.mean(dim=[0, 1], keepdim=True)[0], (A,)),
    "var": (
        lambda m, x: m.var(x) + x.var(1, unbiased=False)[0] + x.var(dim=0, correction=2)[1],
        (A,),
    ),
    "std": (
        lambda m, x: m.std(x) + x.std(1, unbiased=False)[0] + x.std(dim=0, correction=2)[1],
        (A,),
    ),
    "std keepdim": (lambda m, x: x.std((0, 2), keepdim=True), (T3,)),
    "prod": (lambda m, x: x.prod() + m.prod(x, 1)[0] + x.prod(dim=0, keepdim=True), (A,)),
    "prod with zeros": (lambda m, x: (x * m.tensor([1.0, 0, 1, 1])).prod(1) + x[0, 0], (A,)),
    "prod with two zeros": (lambda m, x: (x * m.tensor([0.0, 0, 1, 1])).prod(1), (A,)),
    "cumsum cumprod": (lambda m, x: m.cumsum(x, 1) + x.cumprod(dim=0) * x.cumsum(-2), (A,)),
    "cumprod with zeros": (lambda m, x: (x * m.tensor([1.0, 0, 1, 0])).cumprod(1), (A,)),
    "sums of whole numbers": (
        lambda m: m.arange(5).cumsum(0) + m.arange(1, 6).prod() + (m.arange(5) > 2).cumsum(0),
        (),
    ),
    "count_nonzero": (
        lambda m, x: m.count_nonzero(x > 0) + (x > 0).count_nonzero(dim=0),
        (A,),
    ),
    "nansum": (lambda m, x: m.nansum(m.where(x > 0, x, float("nan")), 1), (A,)),
    "var keepdim": (lambda m, x: x.var((0, 2), keepdim=True), (T3,)),
    "amax amin": (
        lambda m, x: m.amax(x, 1) - x.amin((0, 1)) + x.amax(dim=-1, keepdim=True)[0],
        (A,),
    ),
    "amax ties": (lambda m, x: m.amax(m.stack([x, x, x * 1]), 0), (A,)),
    "max": (lambda m, x: x.max() + x.min(), (A,)),
    "max dim": (
        lambda m, x: x.max(dim=1).values + m.min(x, 1)[0] + m.max(x, -1, keepdim=True)[0][0],
        (A,),
    ),
    "max dim ties": (lambda m, x: m.stack([x, x], 0).max(0).values, (A,)),
    "max indices": (lambda m, x: m.max(x, 0).indices, (A,)),
    "max of two": (lambda m, x, y: m.max(x, y) + m.min(x, y), (A, B)),
    "argmax": (lambda m, x: x.argmax() + m.argmax(x, dim=1, keepdim=True) + x.argmin(0), (A,)),
    "logsumexp": (
        lambda m, x: m.logsumexp(x, 1) + x.logsumexp((0, 1)) + m.logsumexp(x, -1, keepdim=True)[0],
        (A,),
    ),
    "softmax": (lambda m, x: m.softmax(x, 1) + x.softmax(dim=0) * m.log_softmax(x, -1), (A,)),
    "any all": (lambda m, x: (x > 0).any(1) & (x > -9).all(dim=1), (A,)),
    "reshape": (lambda m, x: x.reshape(2, 6) + m.reshape(x, (2, -1)) + x.view(2, 6), (A,)),
    "flatten": (lambda m, x: x.flatten(1) + m.flatten(x, 1, -1) + x.flatten(-2), (T3,)),
    "permute": (
        lambda m, x: (
            x.permute(2, 0, 1) + m.permute(x, (-1, 0, 1)) + x.transpose(0, 2).transpose(1, -1)
        ),
        (T3,),
    ),
    "T mT t": (lambda m, x, y: x.T + y[0].mT + x.t() + m.swapaxes(x, 0, 1), (A, T3)),
    "movedim": (
        lambda m, x: m.movedim(x, 0, -1) + x.movedim((0, 1), (2, 0)),
        (rng.standard_normal((3, 3, 3)),),
    ),
    "squeeze": (
        lambda m, x: (
            x.unsqueeze(0).squeeze(0) + x.unsqueeze(-1).squeeze() + m.unsqueeze(x, 1).squeeze(1)
        ),
        (A,),
    ),
    "expand": (lambda m, v: v.expand(3, 4) + v.expand(3, -1) + m.broadcast_to(v, (3, 4)), (V,)),
    "cat": (lambda m, x, y: m.cat([x, y, x], dim=-1), (A, B)),
    "stack": (lambda m, x, y: m.stack((x, y), dim=1) + m.stack([y, x], -2), (A, B)),
    "split": (
        lambda m, x: x.split(2, 1)[0] * m.split(x, [1, 3], dim=1)[0] + x.chunk(2, -1)[1],
        (A,),
    ),
    "chunk that does not fit": (lambda m, x: m.chunk(x, 3, 1)[1], (A,)),
    "unbind": (lambda m, x: x.unbind(1)[2] * m.unbind(x, -1)[0], (A,)),
    "narrow select": (lambda m, x: x.narrow(1, 1, 2) * m.select(x, 1, -1)[:, None], (A,)),
    "flip roll": (
        lambda m, x: x.flip(0) + m.flip(x, (0, 1)) * x.roll(1) + m.roll(x, (1, -1), (0, 1)),
        (A,),
    ),
    "tile repeat": (
        lambda m, x: x.tile(2, 1, 2) + m.tile(x, (2, 1, 2)) * x.repeat(2, 1, 2),
        (A,),
    ),
    "repeat_interleave": (
        lambda m, x: (
            m.repeat_interleave(x, 2, dim=0)[:2]
            + x.repeat_interleave(m.tensor([1, 0, 2, 1]), 1)[1:]
            + x.repeat_interleave(3)[:4]
        ),
        (A,),
    ),
    "tril triu": (lambda m, x: x.tril() + m.triu(x, 1) * m.tril(x, diagonal=-1), (T3,)),
    "diagonal": (
        lambda m, x: (
            x.diagonal(0, 1, 2)[:, :2]
            + m.diagonal(x, offset=-1, dim1=-2, dim2=-1)
            + x.diagonal(1, 1, 2)[:, :2]
            + x.diagonal(offset=2, dim1=0, dim2=2)[:2, :1]
        ),
        (T3,),
    ),
    "diagonal beside the matrix": (lambda m, x: x.diagonal(4), (A,)),
    "diag": (lambda m, v: m.diag(v, -1).diag(-1) * m.diag(m.diag(v)) + v.diag(1)[:4, 1], (V,)),
    "trace": (lambda m, x: m.trace(x) + x[:, 1:].trace(), (A,)),
    "vstack hstack": (
        lambda m, x, v: m.vstack([x, v])[:3] + m.hstack((x, x))[:, 4:] + m.hstack((v, v))[4:],
        (A, V),
    ),
    "ravel unflatten": (lambda m, x: x.ravel() + x.unflatten(1, (2, -1)).flatten(), (A,)),
    "clone": (lambda m, x: x.clone() * x.contiguous(), (A,)),
    "index": (lambda m, x: x[1] + x[-1] + x[:, 1].sum() + x[..., 0].sum() + x[0, 1], (A,)),
    "index step": (lambda m, x: x[::2] * x[1:3, None][:, 0], (A,)),
    "index ids": (
        lambda m, x: x[[0, 0, 2]] + x[m.tensor([1, 1, 0])] + x[np.array([2, 0, 0])],
        (A,),
    ),
    "index pairs": (lambda m, x: x[[0, 2], [1, 3]] + x[m.tensor([0, 0]), 1], (A,)),
    "index mask": (lambda m, x: x[x > 0], (A,)),
    "index rows": (lambda m, x: x[m.tensor([True, False, True])], (A,)),
    "take_along_dim": (lambda m, x: m.take_along_dim(x, m.tensor([[0, 0, 1, 2]]), 0), (A,)),
    "gather": (
        lambda m, x: (
            m.gather(x, 1, m.tensor([[0, 3, 3], [1, 1, 1]]))
            * x.gather(0, m.tensor([[2, 0, 1], [0, 0, 2]]))
        ),
        (A,),
    ),
    "scatter": (
        lambda m, x, y: (
            m.scatter(x, 1, m.tensor([[0, 3], [2, 1]]), y[:2, :2])
            + x.scatter(0, m.tensor([[2, 0, 1, 1]]), 1.5)
        ),
        (A, B),
    ),
    "scatter_add": (
        lambda m, x, y: (
            m.scatter_add(x, 1, m.tensor([[0, 3, 0], [2, 1, 2]]), y[1:, :3])
            * x.scatter_add(0, m.tensor([[2, 0, 1, 1], [2, 2, 1, 0]]), y[:2])
        ),
        (A, B),
    ),
    "scatter in place": (
        lambda m, x, y: (
            (x * 1)
            .scatter_add_(1, m.tensor([[0, 0]]), y[:1, :2])
            .scatter_(1, m.tensor([[1, 2]]), y[:1, 2:])
            .masked_fill_(m.tensor([False, False, False, True]), 2.0)
            .index_add_(0, m.tensor([1, 1]), y[:2], alpha=3)
        ),
        (A, B),
    ),
    "index_select": (
        lambda m, x: x.index_select(1, m.tensor([2, 0, 2])) + m.index_select(x, -1, m.tensor(1)),
        (A,),
    ),
    "index_add": (
        lambda m, x, y: m.index_add(x, 0, m.tensor([2, 2, 0]), y, alpha=-2),
        (A, B),
    ),
    "take": (lambda m, x: m.take(x, m.tensor([[0, -1], [5, 5]])), (A,)),
    "masked_fill": (
        lambda m, x: x.masked_fill(x > 0, -1.0) + m.masked_fill(x, x < 0, x[0, 0]),
        (A,),
    ),
    "masked_select": (
        lambda m, x, v: x.masked_select(x > 0).sum() + m.masked_select(x[0], x > 0),
        (A, V),
    ),
    "nonzero": (lambda m, x: m.nonzero(x > 0) + (x > 0).nonzero(as_tuple=True)[0].sum(), (A,)),
    "nonzero of a number": (lambda m: m.nonzero(m.tensor(3)), ()),
    "sort": (lambda m, x: x.sort().values * m.sort(x, 0, descending=True)[0], (A,)),
    "sort indices": (
        lambda m, x: m.sort(x, dim=0).indices + m.argsort(x, 1, descending=True),
        (A,),
    ),
    "sort with ties": (
        lambda m: (
            m.sort(m.tensor([2, 1, 2, 1]), descending=True, stable=True)[1]
            + m.argsort(m.tensor([2, 1, 2, 1]), stable=True)
        ),
        (),
    ),
    "topk": (
        lambda m, x: x.topk(2).values[:2] * m.topk(x, 2, dim=0, largest=False)[0][:, :2],
        (A,),
    ),
    "topk indices": (lambda m, x: x.topk(2, 0).indices, (A,)),
    "unique": (
        lambda m: (
            m.unique(m.tensor([[3, 1], [1, 2]]), return_inverse=True)[1]
            + m.unique(m.tensor([3, 1, 1]), return_counts=True)[1]
        ),
        (),
    ),
    "linalg": (
        lambda m, x, y: (
            m.linalg.inv(x @ x.mT + m.eye(3, dtype=m.float64))
            + m.linalg.solve(x @ x.mT + m.eye(3, dtype=m.float64), y[..., :3])
        ),
        (T3, T3 + 1),
    ),
    "solve a vector": (
        lambda m, x, v: m.linalg.solve(x.T @ x + m.eye(4, dtype=m.float64), v),
        (A, V),
    ),
    "det": (
        lambda m, x: m.linalg.det(x @ x.mT) + m.det(x[0, :, :3]) * m.slogdet(x @ x.mT)[1],
        (T3,),
    ),
    "slogdet": (
        lambda m, x: m.linalg.slogdet(x[..., :3]).logabsdet * m.linalg.slogdet(x[..., 1:])[0],
        (T3,),
    ),
    "det of a singular matrix": (
        lambda m, x: m.det(m.stack([x[0, :3], x[0, :3] * 2, x[1, :3]])),
        (np.round(4 * A),),
    ),
    "logdet inverse": (
        lambda m, x: m.logdet(x @ x.T) + m.inverse(x @ x.T),
        (A,),
    ),
    "cholesky": (
        lambda m, x: m.linalg.cholesky(x @ x.mT) + m.linalg.cholesky(x @ x.mT, upper=True),
        (T3,),
    ),
    "norm": (
        lambda m, x: m.norm(x) + x.norm(dim=1).sum() + m.norm(x, p=1, dim=0) + x.norm(3, 0),
        (A,),
    ),
    "norm inf 0": (
        lambda m, x: (
            m.norm(x, p=float("inf"))
            + x.norm(0, 1).sum()
            + m.norm(x, float("inf"), 0, True)
            + x.norm("fro", (0, 1))
            + m.norm(x, float("-inf"), 1).sum()
        ),
        (A,),
    ),
    "linalg norms": (
        lambda m, x: (
            m.linalg.norm(x)
            + m.linalg.vector_norm(x, 3, dim=1, keepdim=True)
            + m.linalg.matrix_norm(x, "fro", dim=(0, 2)).sum()
            + m.linalg.norm(x[0], 1)
            + m.linalg.norm(x[0], float("inf"))
            + m.linalg.norm(x, 2, dim=-1).sum()
            + m.linalg.matrix_norm(x, 1, keepdim=True)
        ),
        (T3,),
    ),
    "norm at 0": (
        lambda m, x: (
            m.norm(x * 0) + m.norm(x * 0, 1) + m.norm(x * 0, 3) + m.norm(x * 0, float("inf"))
        ),
        (A,),
    ),
    "bmm": (lambda m, x, y: m.bmm(x, y.mT) + x.bmm(y.transpose(1, 2)), (T3, T3 + 1)),
    "mv dot": (lambda m, x, v: m.mv(x, v) + m.dot(v, v) + x[0].dot(v) + m.inner(v, v), (A, V)),
    "outer": (lambda m, v, w: m.outer(v, w) + v.outer(w), (V, B[0])),
    "inner": (lambda m, x, y: m.inner(x, y), (A, B)),
    "tensordot": (
        lambda m, x, y: (
            m.tensordot(x, y, dims=2)
            + m.tensordot(x, y, dims=([1, 2], [0, 1])).sum()
            + m.tensordot(x, y[0], dims=([2], [1])).sum()
        ),
        (T3, rng.standard_normal((3, 4, 4))),
    ),
    "kron": (lambda m, x, y: m.kron(x, y[:2]), (A, B)),
    "addmm": (lambda m, x, y, z: m.addmm(x[:, :2], y, z, beta=0.5, alpha=2), (A, B, C)),
    "matmul": (lambda m, x, y: x @ y + m.matmul(x, y) + m.mm(x, y), (A, C)),
    "matmul vectors": (lambda m, x, v: (x @ v).sum() + (v @ x.T).sum() + v @ v, (A, V)),
    "matmul batch": (lambda m, x, y: x @ y, (T3, C)),
    "matmul batches": (lambda m, x, y: m.matmul(x, y), (T3, rng.standard_normal((5, 1, 4, 2)))),
    "matmul batch vector": (lambda m, x, v: x @ v, (T3, V)),
    "einsum": (lambda m, x, y: m.einsum("ij,ij->i", x, y) + m.einsum("ij,kj->i", x, y), (A, B)),
    "einsum implicit": (lambda m, x, y: m.einsum("ij,jk", x, y), (A, C)),
    "einsum dots": (lambda m, x, y: m.einsum("...ij,jk->...ki", x, y), (T3, C)),
    "einsum trace": (
        lambda m, x: m.einsum("ii", x[:, :3]) + m.einsum("ii->i", x[:, :3]).sum(),
        (A,),
    ),
    "in place": (lambda m, x: (x * 1).add_(2).mul_(3).clamp_(max=7).tanh_(), (A,)),
    "setitem": (lambda m, x, y: _assigned(x, y), (A, B)),
    "double dtype": (lambda m, x: x.float().double() * x, (A,)),
    "to": (lambda m, x: x.to(m.float64) + x.to("cpu") + x.type_as(x), (A,)),
}


def _assigned(x: Any, y: Any) -> Any:
    h = x * 1
    h[1:, ::2] = y[1:, 0:2]
    h[0] = 2.5
    h[0, 1:3] = h[0, 1:3] * 4
    return h


def _run(m: Any, call: Callable[..., Any], inputs: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
    own = [m.tensor(x, requires_grad=True) for x in inputs]
    y = call(m, *own)
    gradients = [np.zeros(x.shape) for x in inputs]
    if y.requires_grad:
        g = np.random.default_rng(1).standard_normal(tuple(y.shape))
        y.backward(m.tensor(g))
        gradients = [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in own]
    return y.detach().numpy(), str(y.dtype).removeprefix("torch."), gradients


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_pytorchs(name: str) -> None:
    call, inputs = CALLS[name]
    y, dtype, gradients = _run(tn, call, inputs)
    z, wanted, others = _run(torch, call, inputs)
    assert y.shape == z.shape
    assert dtype == wanted
    np.testing.assert_allclose(y, z, rtol=1e-6, atol=1e-12)
    for d, e in zip(gradients, others, strict=True):
        np.testing.assert_allclose(d, e, rtol=1e-6, atol=1e-9)


SPECIAL = {
    "amax of NaN": lambda m, x: m.amax(x * float("nan")),
    "maximum with NaN": lambda m, x: m.maximum(x, x * float("nan")),
    "logsumexp of nothing": lambda m, x: m.logsumexp(x[:0], 0),
    "relu of NaN": lambda m, x: m.relu(x * float("nan")),
    "hardtanh of NaN": lambda m, x: m.nn.functional.hardtanh(x * float("nan")),
    "atan2 at the origin": lambda m, x: m.atan2(x * 0, x * 0),
    "logaddexp of equals": lambda m, x: m.logaddexp(x * 0 + 1e20, x * 0 + 1e20),
    "logaddexp with inf": lambda m, x: m.logaddexp(x + float("inf"), x),
    "sqrt at 0": lambda m, x: m.sqrt(x * 0),
    "pow 0 ** 0": lambda m, x: (x * 0) ** 0,
    "std of equals": lambda m, x: (x * 0).std(),
    "std of one": lambda m, x: x[:1].std(unbiased=False),
    "var of one": lambda m, x: x[:1].var(unbiased=False),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", SPECIAL)
def test_edges_are_pytorchs(name: str) -> None:
    y, _, (d,) = _run(tn, SPECIAL[name], (V,))
    z, _, (e,) = _run(torch, SPECIAL[name], (V,))
    np.testing.assert_allclose(y, z)
    np.testing.assert_allclose(d, e)
