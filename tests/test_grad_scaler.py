"""Scaling of the loss, and training in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn

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
