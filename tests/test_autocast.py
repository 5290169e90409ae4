"""Mixed precision: the table of classes beside PyTorch's, and `autocast`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import autocasting, nn
from tinynet.op import registry

OPS = set(registry)

# -- the table -------------------------------------------------------------------------------------


def test_every_op_stands_in_one_class() -> None:
    classes = (autocasting.LOW, autocasting.FULL, autocasting.AS_IS)
    listed = [name for names in classes for name in names]
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == OPS, "an op says in autocasting.py in which dtype it computes"


def _words(text: str) -> list[str]:
    return text.split()


# What PyTorch calls each op: x is (2, 2) of the dtype in question; f is torch.nn.functional.
TWINS: dict[str, Callable[..., Any]] = {
    **{
        name: lambda t, f, x, name=name: getattr(t, name)(x)
        for name in _words(
            "abs acos acosh all any argmax argmin argsort asin asinh atan atanh ceil clone cos "
            "cosh erf exp exp2 expm1 floor frac isfinite isinf isnan log log10 log1p log2 mean neg "
            "prod reciprocal relu round rsqrt sigmoid sign sin sinh sqrt square std sum tan tanh "
            "tril triu trunc var"
        )
    },
    **{
        name: lambda t, f, x, name=name: getattr(t, name)(x, x)
        for name in _words(
            "add atan2 div eq floor_divide fmod ge gt le logaddexp logical_and logical_or lt "
            "matmul maximum minimum mul ne pow remainder sub"
        )
    },
    **{
        name: lambda t, f, x, name=name: getattr(t, name)(x, 0)
        for name in _words("amax amin cumprod cumsum logsumexp softmax log_softmax")
    },
    **{
        name: lambda t, f, x, name=name: getattr(f, name)(x)
        for name in _words("elu gelu hardtanh leaky_relu logsigmoid mish silu softplus softsign")
    },
    "adaptive_avg_pool": lambda t, f, x: f.adaptive_avg_pool2d(x.view(1, 2, 2), 1),
    "adaptive_max_pool": lambda t, f, x: f.adaptive_max_pool2d(x.view(1, 2, 2), 1),
    "attention": lambda t, f, x: f.scaled_dot_product_attention(x, x, x),
    "avg_pool": lambda t, f, x: f.avg_pool2d(x.view(1, 2, 2), 1),
    "bce": lambda t, f, x: f.binary_cross_entropy_with_logits(x, x),
    "broadcast_to": lambda t, f, x: t.broadcast_to(x, (2, 2, 2)),
    "cat": lambda t, f, x: t.cat([x, x]),
    "clamp": lambda t, f, x: t.clamp(x, 0, 1),
    "conv2d": lambda t, f, x: f.conv2d(x.view(1, 1, 2, 2), x.view(1, 1, 2, 2)),
    "conv_transpose2d": lambda t, f, x: f.conv_transpose2d(x.view(1, 1, 2, 2), x.view(1, 1, 2, 2)),
    "cross_entropy": lambda t, f, x: f.cross_entropy(x, _ids(t)),
    "dropout": lambda t, f, x: f.dropout(x, 0.5),
    "einsum": lambda t, f, x: t.einsum("ij,jk->ik", x, x),
    "embedding": lambda t, f, x: f.embedding(_ids(t), x),
    "flip": lambda t, f, x: t.flip(x, (0,)),
    "fold": lambda t, f, x: f.fold(x.view(1, 2, 2), (2, 1), 1),
    "gelu_tanh": lambda t, f, x: f.gelu(x, approximate="tanh"),
    "getitem": lambda t, f, x: x.select(0, 0),
    "group_norm": lambda t, f, x: f.group_norm(x, 1),
    "huber": lambda t, f, x: f.huber_loss(x, x),
    "kl": lambda t, f, x: f.kl_div(x, x, reduction="sum"),
    "layer_norm": lambda t, f, x: f.layer_norm(x, (2,)),
    "linear": lambda t, f, x: f.linear(x, x),
    "mae": lambda t, f, x: f.l1_loss(x, x),
    "max_pool": lambda t, f, x: f.max_pool2d(x.view(1, 2, 2), 1),
    "mse": lambda t, f, x: f.mse_loss(x, x),
    "nll": lambda t, f, x: f.nll_loss(x, _ids(t)),
    "p_norm": lambda t, f, x: t.linalg.vector_norm(x),
    "pad": lambda t, f, x: f.pad(x, (1, 1)),
    "permute": lambda t, f, x: x.T,
    "power": lambda t, f, x: x**3,
    "prelu": lambda t, f, x: f.prelu(x, x.select(0, 0)),
    "reshape": lambda t, f, x: x.reshape(4),
    "rms_norm": lambda t, f, x: f.rms_norm(x, (2,)),
    "rnn": lambda t, f, x: t.rnn_tanh_cell(x, x, x, x),
    "roll": lambda t, f, x: t.roll(x, 1),
    "soft_cross_entropy": lambda t, f, x: f.cross_entropy(x, x),
    "upsample": lambda t, f, x: f.interpolate(x.view(1, 1, 2, 2), scale_factor=2),
    "where": lambda t, f, x: t.where(x > 0, x, x),
}


def _ids(t: Any) -> Any:
    return t.zeros(2, dtype=t.long, device="cuda")


@pytest.mark.peers
@pytest.mark.parametrize("name", TWINS)
def test_the_class_is_that_of_pytorch_on_cuda(name: str) -> None:
    """PyTorch's own autocast for CUDA, on its tensors without memory: no GPU is needed."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    assert name in registry
    with FakeTensorMode(), torch.autocast("cuda", torch.float16, enabled=False):
        torch.set_autocast_enabled("cuda", True)
        x = torch.empty(2, 2, device="cuda")
        found = [TWINS[name](torch, torch.nn.functional, v).dtype for v in (x, x.half())]
    if not any(dtype.is_floating_point for dtype in found):
        expected = autocasting.AS_IS
    elif found[0] == found[1]:
        expected = autocasting.LOW if found[0] == torch.float16 else autocasting.FULL
    else:
        assert found == [torch.float32, torch.float16]
        expected = autocasting.AS_IS
    assert name in expected


@pytest.mark.peers
def test_what_pytorch_cannot_run_without_memory_is_registered_alike() -> None:
    import torch

    def cast(name: str) -> bool:
        return torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", "AutocastCUDA")

    assert cast("lstm_cell") == ("lstm" in autocasting.LOW)
    assert cast("gru_cell") == ("gru" in autocasting.LOW)
    assert cast("im2col") == ("unfold" not in autocasting.AS_IS)


# -- autocast --------------------------------------------------------------------------------------


def test_dtypes_of_values_and_gradients() -> None:
    layer, x = nn.Linear(3, 2), tn.randn(4, 3)
    x.requires_grad_()
    with tn.autocast("cpu"):
        y = layer(x)
        loss = nn.functional.mse_loss(y, tn.zeros(4, 2))
    assert (y.dtype, loss.dtype) == (tn.float16, tn.float32)
    loss.backward()
    assert {v.grad.dtype for v in (*layer.parameters(), x)} == {tn.dtype("float32")}
    assert layer(x).dtype == tn.float32  # outside again


def test_float64_and_whole_numbers_are_left_alone() -> None:
    x, ids = tn.ones(2, 2, dtype=tn.float64), tn.ones(2, 2, dtype=tn.int64)
    with tn.autocast("cpu"):
        assert (x @ x).dtype == x.exp().dtype == tn.float64
        assert (ids @ ids).dtype == ids.sum().dtype == tn.int64
        assert tn.ones(2).exp().dtype == tn.float32


def test_blocks_nest_and_end_with_an_error() -> None:
    x = tn.ones(2, 2)
    with tn.autocast("cpu"):
        with tn.amp.autocast("cpu", enabled=False):
            assert (x @ x).dtype == tn.float32
            assert not tn.is_autocast_enabled("cpu")
            with tn.autocast("cpu", dtype="float16"):
                assert (x @ x).dtype == tn.float16
        with pytest.raises(ZeroDivisionError), tn.autocast("cuda"):
            _fail_after(tn.is_autocast_enabled("cuda"), (x @ x).dtype == tn.float16)
        assert tn.is_autocast_enabled() > tn.is_autocast_enabled("cuda")
    assert not tn.is_autocast_enabled()
    assert autocasting.blocks == 0
    with tn.autocast("cuda"):  # these arrays are not on a GPU
        assert (x @ x).dtype == tn.float32


def _fail_after(*true: bool) -> None:
    assert all(true)
    raise ZeroDivisionError


def test_as_a_decorator_also_of_a_recursion() -> None:
    @tn.autocast("cpu")
    def product(n: int) -> Any:
        """Its docstring."""
        return product(n - 1) if n else tn.ones(2, 2) @ tn.ones(2, 2)

    assert product(3).dtype == tn.float16
    assert product.__doc__ == "Its docstring."
    assert autocasting.blocks == 0


def test_other_threads_are_not_touched() -> None:
    from concurrent.futures import ThreadPoolExecutor

    x = tn.ones(2, 2)
    with tn.autocast("cpu"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (x @ x).dtype).result() == tn.float32
        assert not pool.submit(tn.is_autocast_enabled).result()


def test_a_parameter_is_cast_once_and_again_when_it_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w, x = tn.ones(2, 2, requires_grad=True), tn.ones(2, 2, dtype=tn.float16)
    seen = []
    forward = registry["matmul"].forward
    monkeypatch.setattr(registry["matmul"], "forward", lambda u, v: seen.append(v) or forward(u, v))
    with tn.autocast("cpu"):
        first, second = (x @ w).sum(), (x @ w).sum()
        assert seen[0] is seen[1]
        first.backward()
        second.backward()  # a graph of its own
        assert w.grad.tolist() == [[4, 4], [4, 4]]
        with tn.no_grad():
            w.mul_(2.0)
            assert not (x @ w).requires_grad
        assert (x @ w).tolist() == [[4, 4], [4, 4]]
    with tn.autocast("cpu", cache_enabled=False):
        x @ w, x @ w
    assert seen[-1] is not seen[-2]


def test_derivatives_of_derivatives_and_checkpoints() -> None:
    x = tn.tensor([[0.5, 1.0]], requires_grad=True)
    w = tn.tensor([[2.0], [3.0]], requires_grad=True)
    for run in (lambda f, *args: f(*args), tn.utils.checkpoint.checkpoint):
        with tn.autocast("cpu"):
            y = run(lambda x, w: (x @ w).exp().sum(), x, w)
            (dx,) = tn.autograd.grad(y, x, create_graph=True)
        assert y.dtype == dx.dtype == tn.float32
        (d2x,) = tn.autograd.grad(dx.sum(), x)
        np.testing.assert_allclose(d2x, np.exp(4) * 5 * w.detach().numpy().T, rtol=2e-3)


def test_a_recorded_backward_keeps_the_dtypes_of_what_ran() -> None:
    x = tn.tensor([[1.7, 0.3], [0.2, 1.1]], requires_grad=True)
    (expected,) = tn.autograd.grad(tn.linalg.inv(x).sum(), x)
    with tn.autocast("cpu"):  # its rule multiplies matrices
        (dx,) = tn.autograd.grad(tn.linalg.inv(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(dx.detach(), expected, rtol=1e-5)


def test_a_checkpoint_computes_again_what_it_computed() -> None:
    tn.manual_seed(0)
    x, w = tn.randn(3, 4, requires_grad=True), tn.randn(4, 2)
    gradients = []
    for run in (lambda f, *args: f(*args), tn.utils.checkpoint.checkpoint):
        with tn.autocast("cpu"):
            y = run(lambda x, w: (x @ w).tanh().sum(), x, w)
        (dx,) = tn.autograd.grad(y, x)  # outside of the block
        gradients.append(dx.tolist())
    assert gradients[0] == gradients[1]


def test_a_float16_norm_stays_float32_inside_and_float16_outside() -> None:
    x = tn.randn(4, 6, dtype=tn.float16)
    norms: dict[str, Any] = {
        "layer_norm": lambda: nn.functional.layer_norm(x, (6,)),
        "group_norm": lambda: nn.functional.group_norm(x, 2),
        "batch_norm": lambda: nn.functional.batch_norm(x, None, None, training=True),
    }
    assert {norm().dtype for norm in norms.values()} == {tn.dtype("float16")}
    with tn.autocast("cpu"):
        dtypes = {name: norm().dtype for name, norm in norms.items()}
    assert dtypes == {
        "layer_norm": tn.float32,
        "group_norm": tn.float32,
        "batch_norm": tn.float16,  # as in PyTorch
    }


def test_what_autocast_refuses() -> None:
    with pytest.raises(tn.errors.DTypeError, match=r"no bfloat16[\s\S]*GradScaler"):
        tn.autocast("cuda", dtype="bfloat16")
    with pytest.raises(tn.errors.DTypeError, match="float16"):
        tn.autocast("cuda", dtype=tn.float32)
    with pytest.raises(tn.errors.ArgumentError, match="kind of device"):
        tn.autocast("tpu")
    with pytest.raises(AttributeError, match="no bfloat16"):
        _ = tn.bfloat16
    assert tn.get_autocast_dtype("cuda") == tn.float16


def test_on_a_gpu_only_its_arrays_are_cast(cupy: Any) -> None:
    here, there = tn.ones(2, 2), tn.ones(2, 2, device="cuda", requires_grad=True)
    with tn.autocast("cuda"):
        y = (there @ there).exp().sum()
        assert (here @ here).dtype == tn.float32
        assert (there @ there).dtype == tn.float16
    y.backward()
    assert (y.dtype, there.grad.dtype) == (tn.float32, tn.float32)
    assert there.grad.device == there.device
