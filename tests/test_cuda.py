"""GPUs: which one is meant, two of them, memory, time, pinned memory, and what is said without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from properties import assert_close

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DeviceError
from tinynet.utils.data import DataLoader, Dataset, TensorDataset


@pytest.fixture
def two_gpus(cupy: Any) -> Iterator[None]:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU only")
    with tn.cuda.device(0):
        yield


# -- which one -------------------------------------------------------------------------------------


def test_what_is_said_of_a_gpu(cupy: Any) -> None:
    assert tn.cuda.is_available()
    tn.cuda.init()
    assert tn.cuda.device_count() == cupy.cuda.runtime.getDeviceCount()
    properties = tn.cuda.get_device_properties("cuda")
    assert properties.name == tn.cuda.get_device_name()
    assert (properties.major, properties.minor) == tn.cuda.get_device_capability(0)
    assert properties.total_memory >= 2**30
    assert properties.multi_processor_count > 0
    free, total = tn.cuda.mem_get_info()
    assert 0 < free <= total
    tn.cuda.synchronize()
    tn.cuda.synchronize("cuda:0")
    with pytest.raises(DeviceError, match="no GPU 99"):
        tn.ones(1, device="cuda:99")
    with pytest.raises(DeviceError, match="expected a GPU"):
        tn.cuda.set_device("cpu")


def test_cuda_means_the_current_gpu(two_gpus: None) -> None:
    assert (tn.cuda.current_device(), tn.ones(1, device="cuda").device) == (0, "cuda:0")
    with tn.cuda.device(1):
        assert tn.cuda.current_device() == 1
        x, y = tn.ones(1, device="cuda"), tn.ones(1).cuda()
        assert x.device == y.device == (x + y).device == "cuda:1"
        with tn.cuda.device("cuda:0"):
            assert tn.ones(1).cuda().device == "cuda:0"
        assert tn.accelerator.current_accelerator() == "cuda:1"
    assert tn.ones(1).cuda().device == "cuda:0"
    tn.cuda.set_device(1)
    assert nn.Linear(1, 1).cuda().weight.device == tn.rand(1, device="cuda").device == "cuda:1"
    tn.cuda.set_device("cuda:0")


def test_each_gpu_draws_from_its_own_seed(two_gpus: None) -> None:
    tn.cuda.manual_seed_all(3)
    first = [tn.randn(4, device=f"cuda:{i}") for i in (0, 1)]
    tn.cuda.manual_seed_all(3)
    for x in first:
        assert_close(tn.randn(4, device=x.device), x.cpu(), "f4")
    assert sorted(tn.randperm(5, device="cuda:1").tolist()) == [*range(5)]
    assert tn.randint(3, (2,), device="cuda:1").device == "cuda:1"


# -- two of them -----------------------------------------------------------------------------------


class Split(nn.Module):
    """One layer on each GPU."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4).to(first), nn.Linear(4, 2).to(second)
        self.places = first, second

    def forward(self, x: Any) -> Any:
        hidden = self.first(x.to(self.places[0])).relu()
        return self.second(hidden.to(self.places[1]))


def test_a_model_on_two_gpus_trains_like_one_on_the_cpu(two_gpus: None) -> None:
    """Every op runs on the GPU of its arrays, whichever is the current one."""
    runs = []
    for places in (("cpu", "cpu"), ("cuda:0", "cuda:1"), ("cuda:1", "cuda:1")):
        tn.manual_seed(0)
        model, x = Split(*places), tn.randn(5, 3)
        optimizer = tn.optim.Adam(model.parameters(), lr=0.1)
        losses = []
        for _ in range(4):
            y = model(x)
            loss = nn.functional.cross_entropy(y, tn.tensor([0, 1, 0, 1, 1], device=places[1]))
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            (loss * 0.5 + (y * y).sum() * 0).backward()  # adds to what is there
            optimizer.step()
            losses.append(loss.item())
        assert [p.device for p in model.parameters()] == [p for p in places for _ in range(2)]
        runs.append([np.array(losses), *(p.detach().cpu() for p in model.parameters())])
        again = tn.optim.Adam(model.parameters())
        again.load_state_dict(optimizer.state_dict())
        assert {s["exp_avg"].device == p.device for p, s in again.state.items()} == {True}
    for other in runs[1:]:
        for expected, found in zip(runs[0], other, strict=True):
            assert_close(found, expected, "f4")
    assert tn.cuda.current_device() == 0


def test_one_gpu_that_is_not_the_current_one(two_gpus: None) -> None:
    x = tn.tensor([[1.0, -2.0], [3.0, 4.0]], device="cuda:1", requires_grad=True)
    y = (x[0] * 2).sum() + x.exp().log().sum() + tn.linalg.inv(x).sum()
    y.backward()
    assert x.grad.device == y.device == "cuda:1"
    z = x.detach() * 1
    z += 1
    z[0] = 5.0
    z.add_(x.detach()).zero_()
    assert z.tolist() == [[0, 0], [0, 0]]
    assert repr(z.sum()) == "tensor(0., device='cuda:1')"
    scaler = tn.amp.GradScaler()
    optimizer = tn.optim.SGD([x], lr=0.1)
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_([x], 1.0)
    nn.utils.clip_grad_value_([x], 0.5)
    scaler.step(optimizer)
    scaler.update()
    assert nn.Linear(2, 2).to("cuda:1").double()(x.double()).dtype == tn.float64


# -- memory ----------------------------------------------------------------------------------------


def test_memory_is_counted(cupy: Any) -> None:
    pool = cupy.get_default_memory_pool()
    tn.cuda.empty_cache()
    before = tn.cuda.memory_allocated()
    held = pool.malloc(100_000)
    rounded = -(-100_000 // 512) * 512
    assert tn.cuda.memory_allocated() == before + rounded
    assert tn.cuda.memory_reserved() >= before + rounded
    del held
    assert tn.cuda.memory_allocated("cuda:0") == before
    reserved = tn.cuda.memory_reserved()
    assert reserved >= before + rounded  # the pool keeps it
    assert tn.cuda.max_memory_reserved() == reserved
    tn.cuda.empty_cache()
    assert tn.cuda.memory_reserved() < reserved


def test_the_peak_is_seen(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinynet.cuda import memory

    monkeypatch.setattr(memory, "_peaks", {})
    monkeypatch.setattr(memory, "_watching", [])
    pool = cupy.get_default_memory_pool()
    tn.cuda.empty_cache()
    assert tn.cuda.max_memory_allocated() == tn.cuda.memory_reserved()  # nobody watches yet
    try:
        tn.cuda.reset_peak_memory_stats()
        before = tn.cuda.memory_allocated()
        for size in (51_200, 102_400, 512):
            held = pool.malloc(size)
            del held
        assert tn.cuda.memory_allocated() == before
        assert tn.cuda.max_memory_allocated() == before + 102_400
        stats = tn.cuda.memory_stats()
        assert stats["allocated_bytes.all.peak"] == before + 102_400
        assert "peak" in tn.cuda.memory_summary()
        tn.cuda.reset_peak_memory_stats("cuda")
        assert tn.cuda.max_memory_allocated() == before
        assert len(memory._watching) == 1
    finally:
        for hook in memory._watching:
            hook.__exit__()


# -- time ------------------------------------------------------------------------------------------


def test_events_take_the_time(cupy: Any) -> None:
    start, end = (tn.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    x = tn.ones(64, 64, device="cuda") @ tn.ones(64, 64, device="cuda")
    end.record()
    end.synchronize()
    assert end.query()
    assert 0 < start.elapsed_time(end) < 60_000
    assert float(x[0, 0]) == 64
    with pytest.raises(ArgumentError, match="enable_timing"):
        start.elapsed_time(tn.cuda.Event(enable_timing=True))
    untimed = tn.cuda.Event()
    untimed.record()
    with pytest.raises(ArgumentError, match="enable_timing"):
        untimed.elapsed_time(end)


def test_streams_receive_the_work_of_a_block(cupy: Any) -> None:
    stream, default = tn.cuda.Stream(), tn.cuda.default_stream()
    x = tn.arange(1000.0, device="cuda")
    stream.wait_stream(tn.cuda.current_stream())
    with tn.cuda.stream(stream):
        assert tn.cuda.current_stream().raw == stream.raw
        y = x * 2
    default.wait_stream(stream)
    assert float(y.sum()) == 999_000
    stream.synchronize()
    assert stream.query()
    assert tn.cuda.current_stream().raw != stream.raw


# -- pinned memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "i8", "?", "f2"])
def test_pinned_tensors_arrive(cupy: Any, dtype: str) -> None:
    for values in (np.arange(12).reshape(3, 4).astype(dtype), np.zeros((0, 2), dtype)):
        x = tn.tensor(values)
        assert not x.is_pinned()
        pinned = x.pin_memory()
        assert pinned.is_pinned() == pinned.T.is_pinned() == bool(pinned.numel())
        assert (pinned.pin_memory() is pinned) == pinned.is_pinned()
        for y in (pinned, pinned.T, x):
            there = y.to("cuda", non_blocking=True)
            assert (there.device, there.dtype) == ("cuda:0", y.dtype)
            np.testing.assert_array_equal(there.cpu().numpy(), y.numpy())
    with pytest.raises(DeviceError, match="of the CPU"):
        tn.ones(1, device="cuda").pin_memory()


def test_what_is_under_way_is_kept_until_it_has_arrived(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinynet import arrays

    if not hasattr(cupy.ndarray, "_of"):
        pytest.skip("only the double's events can be delayed")
    arrived = [False]
    monkeypatch.setattr(cupy.cuda.Event, "done", property(lambda self: arrived[0]))
    arrays._under_way.clear()
    x = tn.ones(3).pin_memory()
    for _ in range(3):
        x.to("cuda", non_blocking=True)
    assert len(arrays._under_way) == 3
    assert arrays._under_way[0][1] is x.array
    arrived[0] = True
    x.cuda(non_blocking=True)
    assert len(arrays._under_way) == 1


class Pair(NamedTuple):
    """A batch with names."""

    x: Any
    y: Any


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_pins_its_batches(cupy: Any, workers: int) -> None:
    data = TensorDataset(tn.arange(10.0).reshape(5, 2), tn.arange(5))
    loader = DataLoader(data, batch_size=2, num_workers=workers, pin_memory=True)
    seen = []
    for x, t in loader:
        assert x.is_pinned()
        assert t.is_pinned()
        x, t = (v.to("cuda", non_blocking=True) for v in (x, t))
        seen += t.tolist()
        assert_close(x[:, 0], t.cpu().float() * 2, "f4")
    assert seen == [0, 1, 2, 3, 4]

    class Rows(Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> Any:
            return {"x": float(i), "name": "row", "pair": (i, tn.ones(2))}

    (batch,) = DataLoader(Rows(), batch_size=2, num_workers=workers, pin_memory=True)
    assert batch["x"].is_pinned() > batch["name"].__contains__("x")
    assert all(v.is_pinned() for v in batch["pair"])
    named = DataLoader(Rows(), 2, collate_fn=lambda rows: Pair(tn.ones(1), "a"), pin_memory=True)
    (pair,) = named
    assert (type(pair), pair.x.is_pinned(), pair.y) == (Pair, True, "a")


def test_without_a_gpu_a_loader_does_not_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    (batch,) = DataLoader(TensorDataset(tn.arange(3)), batch_size=3, pin_memory=True)
    assert batch[0].tolist() == [0, 1, 2]
    assert not batch[0].is_pinned()


# -- matrices --------------------------------------------------------------------------------------

SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("name", ["inv", "solve", "cholesky"])
def test_a_singular_matrix_is_an_error_everywhere(cupy: Any, name: str, batched: bool) -> None:
    values = np.array([np.eye(2), SINGULAR] if batched else SINGULAR)
    values = values - (10 * np.eye(2) if name == "cholesky" else 0)
    function = getattr(tn.linalg, name)
    for device in ("cpu", "cuda"):
        x = tn.tensor(values, device=device)
        with pytest.raises(ArgumentError, match=r"singular|not positive definite"):
            function(x, tn.ones_like(x)) if name == "solve" else function(x)
    with cupy.cuda.Device(0):  # CuPy's own manner is left as it was
        left = getattr(np.linalg, name)(*[cupy.asarray(values)] * (1 + (name == "solve")))
    assert left.shape == values.shape


def test_systems_of_equations_broadcast(cupy: Any) -> None:
    results = []
    for device in ("cpu", "cuda"):
        A = tn.tensor([[2.0, 1.0], [1.0, 3.0]], device=device, requires_grad=True)
        B = tn.arange(12.0, device=device).reshape(3, 2, 2)
        X = tn.linalg.solve(A, B)
        X.sum().backward()
        results.append((X, A.grad))
    for expected, found in zip(*results, strict=True):
        assert_close(found, expected, "f4")


# -- without ---------------------------------------------------------------------------------------


def test_without_cupy_the_line_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for call in (
        lambda: tn.ones(2, device="cuda"),
        lambda: tn.ones(2).cuda(),
        lambda: nn.Linear(1, 1).to("cuda"),
        lambda: tn.Generator("cuda").manual_seed(0),
        lambda: tn.ones(2).pin_memory(),
        tn.cuda.init,
        tn.cuda.Event,
        tn.cuda.Stream,
    ):
        with pytest.raises(DeviceError) as caught:
            call()
        text = " ".join(str(caught.value).split())
        assert "CuPy is not installed" in text
        assert 'pip install "tinynet[cuda12]", or "tinynet[cuda13]"' in text
    assert tn.cuda.memory_allocated() == tn.cuda.max_memory_allocated() == 0
    tn.cuda.reset_peak_memory_stats()
    tn.cuda.empty_cache()


def test_without_a_driver_what_cuda_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    runtime = SimpleNamespace(getDeviceCount=fail)
    fake = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), ndarray=type("ndarray", (), {}))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    assert not tn.cuda.is_available()
    with pytest.raises(DeviceError, match=r"finds no GPU: cudaErrorInsufficientDriver[\s\S]*smi"):
        tn.ones(2, device="cuda")


def test_a_cupy_that_does_not_load(tmp_path: Any) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('libnvrtc.so.12: cannot open')")
    script = "import tinynet as tn\ntn.ones(2, device='cuda')"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": path}
    )
    assert "CuPy does not load: libnvrtc.so.12" in run.stderr
