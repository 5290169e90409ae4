"""Mixed precision: the table beside PyTorch's, `autocast`, `GradScaler`, and training with both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import autocasting, nn
from tinynet.op import registry

# -- the table -------------------------------------------------------------------------------------


def test_every_op_stands_in_one_class() -> None:
    classes = (autocasting.LOW, autocasting.FULL, autocasting.AS_IS)
    listed = [name for names in classes for name in names]
    assert sorted(listed) == sorted(set(listed))
    ours = {name for name, op in registry.items() if op.room != "tests"}
    assert set(listed) == ours, "an op says in autocasting.py in which dtype it computes"


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


# -- scaling ---------------------------------------------------------------------------------------


def _model_and_optimizer(device: str = "cpu", **options: Any) -> tuple[Any, Any, Any]:
    w = tn.tensor([1.0, 2.0], device=device, requires_grad=True)
    return w, tn.optim.SGD([w], lr=1.0), tn.amp.GradScaler(**options)


def test_the_step_is_that_without_scaling(cupy: Any) -> None:
    for device in ("cpu", "cuda"):
        w, optimizer, scaler = _model_and_optimizer(device)
        scaler.scale((w * w).sum()).backward()
        assert w.grad.tolist() == [2 * 65536, 4 * 65536]
        scaler.unscale_(optimizer)
        assert w.grad.tolist() == [2, 4]
        norm = nn.utils.clip_grad_norm_([w], 1.0)
        assert float(norm) == pytest.approx(20**0.5)
        scaler.step(optimizer)
        scaler.update()
        np.testing.assert_allclose(w.detach().cpu().numpy(), [1 - 0.4472136, 2 - 0.8944272], 1e-6)
        assert scaler.get_scale() == 65536


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_with_inf_or_nan_is_skipped(cupy: Any, bad: float) -> None:
    for device in ("cpu", "cuda"):
        w, optimizer, scaler = _model_and_optimizer(device, growth_interval=2)
        w.grad = tn.tensor([1.0, bad], device=device)
        assert scaler.step(optimizer) is None
        scaler.update()
        assert (w.tolist(), scaler.get_scale()) == ([1, 2], 32768)
        history = [(0, 32768), (0, 65536), (0, 65536), (bad, 32768), (0, 32768), (0, 65536)]
        for value, scale in history:  # an overflow starts the count anew
            w.grad = tn.tensor([value, 0.0], device=device)
            scaler.step(optimizer)
            scaler.update()
            assert scaler.get_scale() == scale


def test_one_overflow_among_several_parameters_is_seen() -> None:
    a, b = (tn.ones(1, requires_grad=True) for _ in range(2))
    optimizer, scaler = tn.optim.SGD([a, b], lr=1.0), tn.amp.GradScaler(init_scale=4.0)
    a.grad, b.grad = tn.tensor([tn.inf]), tn.tensor([4.0])
    scaler.step(optimizer)
    scaler.update()
    assert (a.item(), b.item(), scaler.get_scale()) == (1, 1, 2)


def test_one_overflow_among_several_optimizers_is_seen() -> None:
    a, b = (tn.ones(1, requires_grad=True) for _ in range(2))
    first, second = (tn.optim.SGD([p], lr=1.0) for p in (a, b))
    scaler = tn.amp.GradScaler(init_scale=4.0)
    a.grad, b.grad = tn.tensor([tn.inf]), tn.tensor([4.0])
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert (a.item(), b.item(), scaler.get_scale()) == (1, 0, 2)


def test_one_look_at_the_gpu_for_each_step(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if cupy.__name__ == "cupy" and hasattr(cupy.ndarray, "_of"):  # the double can be watched
        looks: list[None] = []
        seen = cupy.ndarray.__bool__
        monkeypatch.setattr(cupy.ndarray, "__bool__", lambda x: looks.append(None) or seen(x))
        model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5))).to("cuda")
        optimizer, scaler = tn.optim.Adam(model.parameters()), tn.amp.GradScaler()
        scaler.scale(model(tn.ones(1, 2, device="cuda")).sum()).backward()
        scaler.unscale_(optimizer)
        assert looks == []
        scaler.step(optimizer)
        scaler.update()
        assert looks == [None]


def test_the_order_of_calls_is_checked() -> None:
    w, optimizer, scaler = _model_and_optimizer()
    with pytest.raises(tn.errors.GraphError, match="no parameter has a gradient"):
        scaler.step(optimizer)
    w, optimizer, scaler = _model_and_optimizer()
    with pytest.raises(tn.errors.GraphError, match="no gradients were looked at"):
        scaler.update()
    w.grad = tn.ones(2)
    scaler.unscale_(optimizer)
    with pytest.raises(tn.errors.GraphError, match=r"unscale_\(\) has unscaled"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(tn.errors.GraphError, match=r"step\(\) has unscaled"):
        scaler.unscale_(optimizer)
    with pytest.raises(tn.errors.GraphError, match="already"):
        scaler.step(optimizer)
    scaler.update(8.0)
    assert scaler.get_scale() == 8
    with pytest.raises(tn.errors.ArgumentError, match="closure"):
        scaler.step(optimizer, closure=lambda: w.sum())
    with pytest.raises(tn.errors.ArgumentError, match="grows"):
        tn.amp.GradScaler(growth_factor=1.0)
    h = tn.ones(2, dtype=tn.float16, requires_grad=True)
    h.grad = tn.ones(2, dtype=tn.float16)
    with pytest.raises(tn.errors.DTypeError, match="float16 cannot be unscaled"):
        scaler.unscale_(tn.optim.SGD([h], lr=1.0))
    with pytest.raises(tn.errors.DTypeError, match="takes Tensors"):
        scaler.scale("loss")


def test_off_it_does_nothing() -> None:
    w, optimizer, scaler = _model_and_optimizer(enabled=False)
    x = tn.ones(1)
    assert scaler.scale(x) is x
    w.grad = tn.tensor([tn.inf, 1.0])
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [-tn.inf, 1]
    assert (scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()) == (1, {}, False)


def test_several_outputs_are_scaled() -> None:
    scaler = tn.amp.GradScaler(init_scale=2.0)
    a, (b,) = scaler.scale((tn.ones(1), [tn.ones(1) * 3]))
    assert (a.item(), b.item()) == (2, 6)


@pytest.mark.peers
def test_scales_go_the_way_of_pytorch() -> None:
    import torch

    options = {"init_scale": 1024.0, "growth_interval": 3, "growth_factor": 4.0}
    ours, theirs = tn.amp.GradScaler(**options), torch.amp.GradScaler("cpu", **options)
    w, v = tn.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    a, b = tn.optim.SGD([w], lr=0.1), torch.optim.SGD([v], lr=0.1)
    theirs.scale(torch.ones(1))
    for i, value in enumerate([1.0, np.inf, 1, 1, 1, 1, np.nan, np.inf, 1, 1, 1, 1, 1, 1, 1]):
        w.grad, v.grad = tn.tensor([float(value)]), torch.tensor([float(value)])
        for scaler, optimizer in ((ours, a), (theirs, b)):
            scaler.step(optimizer)
            scaler.update(7.0 if i == 13 else None)
        assert ours.get_scale() == theirs.get_scale()
        assert w.item() == pytest.approx(v.item())
    assert ours.state_dict() == theirs.state_dict()
    again = tn.amp.GradScaler()
    again.load_state_dict(theirs.state_dict())
    assert again.state_dict() == ours.state_dict()
    with pytest.raises(tn.errors.ArgumentError, match="empty"):
        again.load_state_dict({})


# -- training --------------------------------------------------------------------------------------


class Convolutional(nn.Module):
    """A convolution, a norm, a pool, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(16, 3)),
        )

    def forward(self, x: Any) -> Any:
        return self.layers(x.unsqueeze(1))


class Attentive(nn.Module):
    """A small GPT: embedded numbers, one causal layer, logits for the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 8), nn.Linear(8, 5)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(self.embed(x), is_causal=True, src_mask=_causal(x)))


def _causal(x: Any) -> Any:
    return nn.Transformer.generate_square_subsequent_mask(x.shape[1]).to(x.device)


class Recurrent(nn.Module):
    """An LSTM, whose last output a linear layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.cells(x)[0][:, -1])


MODELS: dict[str, Any] = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.GELU(), nn.Linear(12, 3)),
    "cnn": Convolutional,
    "lstm": Recurrent,
    "gpt": Attentive,
}


def _trained(name: str, device: str, half: bool) -> tuple[float, float, Any]:
    """The loss before and after some steps."""
    tn.manual_seed(0)
    rng = np.random.default_rng(0)
    model = MODELS[name]().to(device)
    if name == "gpt":
        x = tn.tensor(rng.integers(0, 5, (4, 6)), device=device)
        t = x.roll(-1, 1).flatten()
    else:
        x = tn.tensor(rng.standard_normal((12, 4, 4)).astype("f4"), device=device)
        t = tn.tensor(rng.integers(0, 3, 12), device=device)
    optimizer = tn.optim.Adam(model.parameters(), lr=0.03)
    scaler = tn.amp.GradScaler(enabled=half)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with tn.autocast(device.partition(":")[0], enabled=half):
            y = model(x)
            loss = nn.functional.cross_entropy(y.reshape(len(t), -1), t)
        assert y.dtype == (tn.float16 if half else tn.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert {p.dtype for p in model.parameters()} == {tn.dtype("float32")}
    return losses[0], losses[-1], scaler


@pytest.mark.parametrize("name", MODELS)
def test_training_in_half_precision_ends_where_float32_does(cupy: Any, name: str) -> None:
    first, last, _ = _trained(name, "cpu", half=False)
    assert last < 0.7 * first
    for device in ("cpu", "cuda"):
        start, end, scaler = _trained(name, device, half=True)
        assert start == pytest.approx(first, rel=5e-3)
        assert abs(end - last) < 0.05 * first + 0.1 * last
        assert scaler.get_scale() >= 2**10
