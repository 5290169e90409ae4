"""What programs written for PyTorch touch besides ops: devices, types, older constructors, changes
of shape in place, printing, samplers. The values of the ops themselves are compared with PyTorch's
in `test_operator_samples.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from tinynet.errors import ArgumentError, DTypeError, InPlaceError, OutOfRangeError, ShapeError

# -- devices ---------------------------------------------------------------------------------------


def test_a_device_is_a_text_with_parts() -> None:
    cpu, gpu = tn.device("cpu"), tn.device("cuda", 1)
    assert (cpu.type, cpu.index, gpu.type, gpu.index) == ("cpu", None, "cuda", 1)
    assert tn.device("cuda") == "cuda:0" == tn.device(0) == tn.device(tn.device("cuda:0"))
    assert (repr(cpu), f"{gpu}") == ("device(type='cpu')", "cuda:1")
    assert tn.ones(2).device.type == "cpu"
    assert isinstance(tn.ones(2).device, tn.device)
    assert tn.ones(2, device=cpu).to(cpu).device == cpu
    for wrong in ("tpu", "cuda:x", "cpu:1", ""):
        with pytest.raises(ArgumentError, match="no such device"):
            tn.device(wrong)


def test_a_device_of_a_gpu(cupy: Any) -> None:
    x = tn.ones(2, device="cuda")
    assert (x.device.type, x.device.index, x.is_cuda) == ("cuda", 0, True)
    assert x.cuda(0).cpu().is_cpu
    assert x.new_zeros(3).device == x.device == tn.zeros(1, device=tn.device(0)).device


@pytest.mark.gpu
def test_an_address_on_a_gpu() -> None:
    x = tn.ones(2, device="cuda")
    assert x.data_ptr() == x.view(2, 1).data_ptr() != x.clone().data_ptr()
    assert tn.cuda.get_device_name()


def test_without_a_gpu_programs_stay_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    assert not tn.cuda.is_available()
    assert tn.cuda.device_count() == 0
    tn.cuda.manual_seed(0)
    tn.cuda.manual_seed_all(0)
    tn.cuda.synchronize()
    tn.cuda.empty_cache()
    device = tn.device("cuda" if tn.cuda.is_available() else "cpu")
    assert nn.Linear(2, 1).to(device, non_blocking=True)(tn.ones(2).to(device)).device == "cpu"
    assert not tn.backends.cudnn.is_available()
    assert tn.accelerator.current_accelerator() is None


# -- types -----------------------------------------------------------------------------------------


def test_to_takes_what_pytorch_takes() -> None:
    x = tn.ones(2)
    assert x.to("cpu", tn.float64).dtype == x.to(tn.float64, True).dtype == tn.float64
    assert x.to(tn.zeros(1, dtype=tn.int64)).dtype == tn.int64
    assert x.to(None) is x.to(tn.float32) is x.to("cpu") is x
    assert x.to(copy=True) is not x
    assert x.to(tn.float32, False, True) is not x
    assert x.to(tn.LongTensor).dtype == tn.int64
    with pytest.raises(ArgumentError, match="takes a dtype, a device or a tensor"):
        x.to(3.5)
    model = nn.BCEWithLogitsLoss(pos_weight=tn.ones(2)).to(tn.float64)
    assert model.pos_weight.dtype == tn.float64
    assert nn.Linear(1, 1).half().weight.dtype == tn.float16


def test_types_have_older_names() -> None:
    assert tn.FloatTensor([1, 2]).dtype == tn.float32 == tn.FloatTensor(3, 4).dtype
    assert tn.ByteTensor([[1]]).type() == "tinynet.ByteTensor"
    assert tn.LongTensor(np.arange(2)).tolist() == [0, 1]
    assert tn.ones(2).type(tn.float64).type("torch.IntTensor").dtype == tn.int32
    assert (tn.ones(1).byte().dtype, tn.ones(1).char().dtype) == (tn.uint8, tn.int8)
    assert tn.ones(1).short().dtype == tn.short
    assert tn.Tensor([1, 2]).dtype == tn.float32
    assert tn.Tensor(2, 3, 4).shape == (2, 3, 4)
    assert tn.Tensor().shape == (0,)
    assert nn.Parameter(tn.Tensor(2, 3)).shape == (2, 3)
    with pytest.raises(DTypeError, match="sizes, or the data alone"):
        tn.Tensor([1.0], [2.0])
    with pytest.raises(DTypeError, match="wraps an array"):
        tn.Tensor("text")


def test_a_tensor_tells_about_itself() -> None:
    x = tn.ones(2, 3, dtype=tn.float64)
    assert (x.numel(), x.nelement(), x.dim(), x.ndimension()) == (6, 6, 2, 2)
    assert (x.element_size(), x.itemsize, x.nbytes) == (8, 8, 48)
    assert x.stride() == (3, 1)
    assert x.T.stride(-1) == 3
    assert not x.T.is_contiguous()
    assert x.T.contiguous().is_contiguous()
    assert x.is_floating_point()
    assert not tn.is_complex(x)
    assert tn.is_tensor(x)
    assert isinstance(x.shape, tn.Size)
    assert x.dtype == tn.dtype("float64")
    assert x.data_ptr() == x.view(-1).data_ptr()
    assert x.is_same_size(tn.zeros(2, 3))


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_new_tensors_are_like_their_parent(name: str) -> None:
    x = tn.ones(2, dtype=tn.float64)
    y = getattr(x, f"new_{name}")(2, 3)
    assert (y.shape, y.dtype) == ((2, 3), tn.float64)
    assert getattr(x, f"new_{name}")((2,), dtype=tn.int64, device="cpu").dtype == tn.int64
    assert getattr(x, f"new_{name}")(1, requires_grad=True).requires_grad


def test_new_full_and_new_tensor() -> None:
    x = tn.ones(2, dtype=tn.int32)
    assert x.new_full((2,), 7).tolist() == [7, 7]
    assert x.new_tensor([1, 2]).dtype == tn.int32


def test_limits() -> None:
    assert tn.finfo(tn.float32).max == float(np.finfo(np.float32).max)
    assert tn.finfo().dtype == "float32"
    assert (tn.finfo(tn.float64).bits, tn.iinfo(tn.int64).bits) == (64, 64)
    assert tn.zeros(2).masked_fill(tn.ones(2) > 0, tn.finfo(tn.float32).min).dtype == tn.float32
    assert (tn.inf, tn.pi, tn.e) == (float("inf"), np.pi, np.e)
    assert tn.nan != tn.nan


def test_dtypes_of_numbers() -> None:
    mask, whole = tn.tensor([True, False]), tn.tensor([1, 2, -1])
    assert tn.where(mask, 1.0, 0.0).dtype == tn.float32
    assert tn.where(mask, 1, 0).dtype == tn.int64
    assert tn.clamp(whole, max=1.5).dtype == tn.float32
    assert tn.tensor([tn.tensor(1.5), tn.tensor(2)]).dtype == tn.float32
    assert tn.tensor([np.float64(1.5), 2]).dtype == tn.float64
    assert tn.tensor([[], []]).dtype == tn.float32
    assert nn.functional.relu6(whole).tolist() == [1, 2, 0]
    assert nn.functional.hardtanh(whole).dtype == tn.int64
    assert tn.square(mask).dtype == tn.int64
    assert tn.sign(mask).tolist() == [True, False]
    assert tn.sign(tn.tensor([tn.nan, -0.0, -2.0])).tolist() == [0.0, 0.0, -1.0]
    assert (whole ** tn.tensor([-1, -1, -3])).tolist() == [1, 0, -1]
    assert tn.arange(1.7, 5.2, dtype=tn.int64).tolist() == [1, 2, 3, 4]


# -- recording -------------------------------------------------------------------------------------


def test_switches_decorate_with_and_without_brackets() -> None:
    x = tn.ones(2, requires_grad=True)
    double = tn.no_grad(lambda: x * 2)
    assert not double().requires_grad
    assert not tn.no_grad()(lambda: x * 2)().requires_grad
    assert not tn.inference_mode()(lambda: x * 2)().requires_grad
    with tn.inference_mode(False):
        assert (x * 2).requires_grad
    with tn.autograd.no_grad():
        assert not (x * 2).requires_grad


def test_relu_may_overwrite_what_a_linear_layer_gave() -> None:
    tn.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    inplace = nn.Sequential(plain[0], nn.ReLU(inplace=True), plain[2])
    x = tn.randn(5, 3)
    gradients = []
    for model in (plain, inplace):
        model.zero_grad()
        model(x).sum().backward()
        gradients.append([p.grad.numpy().copy() for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_graph_can_be_walked() -> None:
    w = tn.ones(2, requires_grad=True)
    y = (w * 3).sum()
    assert y.grad_fn.next_functions[0][0].name == "MulBackward"
    assert y.grad_fn.next_functions[0][0].next_functions[0] == (w, 0)
    assert y.grad_fn.next_functions[0][0].next_functions[1] == (None, 0)


def test_checkpoint_takes_pytorchs_switch() -> None:
    x = tn.ones(2, requires_grad=True)
    tn.utils.checkpoint.checkpoint(lambda x: x * x, x, use_reentrant=False).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_seeds_are_told() -> None:
    tn.manual_seed(42)
    assert tn.initial_seed() == 42
    source = tn.Generator()
    assert source.initial_seed() == source.initial_seed()
    assert source.seed() != source.seed()
    seed = source.seed()
    a = source.random((3,))
    np.testing.assert_array_equal(a, tn.Generator().manual_seed(seed).random((3,)))


def test_what_saves_its_output_still_refuses() -> None:
    x = tn.randn(2, 3, requires_grad=True)
    y = tn.softmax(x, 1)
    y.relu_()
    with pytest.raises(InPlaceError, match="softmax saved"):
        y.sum().backward()


def test_the_shape_changes_in_place() -> None:
    x = tn.arange(6.0).reshape(2, 3)
    assert x.unsqueeze_(0) is x
    assert x.shape == (1, 2, 3)
    assert x.squeeze_().t_().shape == (3, 2)
    assert x.transpose_(0, 1).tolist() == [[0, 1, 2], [3, 4, 5]]
    w = tn.randn(3, requires_grad=True)
    y = w * 2
    y.unsqueeze_(1)
    assert y.shape == (3, 1)
    (y * tn.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [2, 4, 6]
    with pytest.raises(InPlaceError, match="leaf"):
        w.unsqueeze_(0)


def test_a_view_changes_its_shape_and_still_shows_its_parent() -> None:
    w = tn.randn(2, 3, requires_grad=True)
    y = w * 1
    row = y[0]
    row.unsqueeze_(0)
    row.mul_(5)
    y.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [[5, 5, 5], [1, 1, 1]]


def test_detach_in_place() -> None:
    x = tn.ones(2, requires_grad=True)
    y = x * 2
    assert y.detach_() is y
    assert y.is_leaf
    assert not y.requires_grad


def test_draws_in_place() -> None:
    tn.manual_seed(0)
    x = tn.zeros(2000)
    assert 0.25 < float(x.bernoulli_(0.3).mean()) < 0.35
    assert set(x.random_(3).tolist()) == {0, 1, 2}
    assert set(x.random_(5, 7).tolist()) == {5, 6}
    assert float(x.random_().max()) > 2**20
    assert float(tn.zeros(50, dtype=tn.int32).random_().max()) > 2**16
    assert 0.45 < float(x.exponential_(2.0).mean()) < 0.55
    assert tn.ones(3).bernoulli().tolist() == [1, 1, 1]
    assert tn.tensor([0.0, 1.0]).multinomial(1).tolist() == [1]


def test_fill_diagonal() -> None:
    x = tn.zeros(2, 2, 2)
    assert float(x.fill_diagonal_(3).sum()) == 6
    with pytest.raises(ShapeError, match="matrix"):
        tn.zeros(3).fill_diagonal_(1)


# -- on a GPU --------------------------------------------------------------------------------------

# Each call gets a matrix (3, 4), and functions to make whole numbers on its device.
ON_CUPY: dict[str, Any] = {
    "entry by entry": lambda x, ids: (
        tn.addcmul(x, x, x, value=2) + tn.addcdiv(x, x, x * x + 1) + x.clamp_min(0).clamp_max(1)
    ),
    "replaced": lambda x, ids: (
        tn.nan_to_num(tn.where(x > 0, x, tn.nan), 1.0) + tn.xlogy(x > 0, x.exp())
    ),
    "powers": lambda x, ids: tn.matrix_power(x[:, :3], 3) + tn.matrix_power(x[:, :3], 0),
    "along": lambda x, ids: tn.diff(x, dim=1).sum() + tn.trapezoid(x) + tn.cov(x) + tn.cdist(x, x),
    "moments": lambda x, ids: sum(tn.var_mean(x, 1)) + sum(x.aminmax(dim=1)) + tn.corrcoef(x).sum(),
    "cross": lambda x, ids: tn.cross(x, x.flip(1), dim=0) + x.dist(x * 2),
    "order": lambda x, ids: x.median(1).values + x.quantile(tn.tensor([0.3]), 1) + x.kthvalue(2)[0],
    "arranged": lambda x, ids: tn.block_diag(x, x.rot90()) + tn.diagflat(x[0]).sum(),
    "windows": lambda x, ids: (
        x.unfold(1, 2, 1).sum(-1) + sum(t.sum() for t in x.tensor_split(3, 1))
    ),
    "scatter": lambda x, ids: (
        x.scatter_reduce(1, ids([[0, 0, 1, 1]]), x * 2, "prod")
        + x.scatter(1, ids([[0, 0]]), 3.0, reduce="add")
        + x.scatter_reduce(0, ids([[1, 1, 1, 1]]), x, "mean")
    ),
    "index": lambda x, ids: (
        x.index_fill(1, ids([0, 2]), 5.0)
        + x.index_put((ids([0, 0]), ids([1, 1])), x[0, :2], accumulate=True)
        + x.index_copy(0, ids([2]), x[:1])
    ),
    "in place": lambda x, ids: (x * 1).unsqueeze_(0).squeeze_(0).fill_diagonal_(0.0).tril_(),
    "layers": lambda x, ids: nn.functional.hardswish(x) + nn.functional.softshrink(x),
    "losses": lambda x, ids: nn.functional.multi_margin_loss(x, ids([0, 3, 1])) + 0 * x.sum(),
}


@pytest.mark.parametrize("name", ON_CUPY)
def test_the_surface_on_a_gpu(cupy: Any, name: str) -> None:
    values, results = np.random.default_rng(0).standard_normal((3, 4)), []
    for device in ("cpu", "cuda"):
        x = tn.tensor(values, device=device, requires_grad=True)
        y = ON_CUPY[name](x, lambda data, device=device: tn.tensor(data, device=device))
        y.sum().backward()
        assert y.device == device if device == "cpu" else y.is_cuda
        assert x.grad is not None
        results.append([y.detach().cpu().numpy(), x.grad.cpu().numpy()])
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_counting_on_a_gpu(cupy: Any) -> None:
    found = []
    for device in ("cpu", "cuda"):
        x = tn.tensor([2, 2, 0, 5, 5, 5], device=device)
        y = [x.bincount(), tn.bucketize(x, x.sort()[0]), tn.isin(x, x[:1]), x.argwhere()]
        y += [*tn.unique_consecutive(x, True, True), x.double().histc(3)]
        found.append([v.cpu().tolist() for v in y])
    assert found[0] == found[1]


# -- mistakes --------------------------------------------------------------------------------------

X = tn.arange(6.0).reshape(2, 3)
IDS = tn.tensor([[0, 1, 1]])
MISTAKES: dict[str, tuple[Any, type[Exception]]] = {
    "scatter reduce": (lambda: X.scatter(1, IDS, 1.0, reduce="max"), ArgumentError),
    "scatter_reduce": (lambda: X.scatter_reduce(1, IDS, X, "median"), ArgumentError),
    "unfold": (lambda: X.unfold(1, 4, 1), ArgumentError),
    "unfold step": (lambda: X.unfold(1, 2, 0), ArgumentError),
    "cross": (lambda: tn.cross(X, X, dim=0), ShapeError),
    "cdist": (lambda: tn.cdist(X, X.T), ShapeError),
    "cov": (lambda: tn.cov(X[None]), ShapeError),
    "diff": (lambda: tn.diff(tn.tensor(1.0)), ShapeError),
    "matrix_power": (lambda: tn.matrix_power(X, 2), ShapeError),
    "matrix_power of a half": (lambda: tn.matrix_power(tn.eye(2), 0.5), ArgumentError),
    "kthvalue": (lambda: X.kthvalue(4), OutOfRangeError),
    "quantile": (lambda: X.quantile(1.5), ArgumentError),
    "quantile interpolation": (lambda: X.quantile(0.5, interpolation="cubic"), ArgumentError),
    "searchsorted": (lambda: tn.searchsorted(X, X[:1]), ShapeError),
    "searchsorted side": (lambda: tn.searchsorted(X[0], 1.0, side="middle"), ArgumentError),
    "bincount": (lambda: X.bincount(), DTypeError),
    "combinations": (lambda: tn.combinations(X), ShapeError),
    "diag_embed": (lambda: tn.diag_embed(X, dim1=0, dim2=0), ArgumentError),
    "tensor_split": (lambda: X.tensor_split(0), ArgumentError),
    "broadcast_shapes": (lambda: tn.broadcast_shapes((2,), (3,)), ShapeError),
    "dropout1d": (lambda: nn.functional.dropout1d(tn.ones(3)), ShapeError),
    "dropout2d": (lambda: nn.functional.dropout2d(X[None], p=2.0), ArgumentError),
    "softshrink": (lambda: nn.functional.softshrink(X, -1.0), ArgumentError),
    "Softmax2d": (lambda: nn.Softmax2d()(X), ShapeError),
    "printing": (lambda: tn.set_printoptions(profile="long"), ArgumentError),
    "shuffled stream": (lambda: DataLoader(IterableDataset(), shuffle=True), ArgumentError),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name: str) -> None:
    call, kind = MISTAKES[name]
    with pytest.raises(kind):
        call()


# -- layers that draw ------------------------------------------------------------------------------


def test_dropout_of_channels_drops_whole_ones() -> None:
    tn.manual_seed(0)
    for layer, shape in (
        (nn.Dropout1d(0.5), (50, 20, 2)),
        (nn.Dropout1d(0.5), (1000, 3)),
        (nn.Dropout2d(0.5), (50, 20, 2, 3)),
        (nn.Dropout2d(0.5), (50, 20, 3)),
        (nn.Dropout3d(0.5), (50, 20, 1, 2, 2)),
    ):
        y = layer(tn.ones(*shape)).numpy()
        channels = y.reshape(1000, -1)
        assert ((channels == 0) | (channels == 2)).all()
        assert (channels == channels[:, :1]).all()
        assert 0.4 < (channels[:, 0] == 0).mean() < 0.6
        assert (layer.eval()(tn.ones(*shape)) == 1).all()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    tn.manual_seed(0)
    y = nn.AlphaDropout(0.3)(tn.randn(20000))
    assert abs(float(y.mean())) < 0.05
    assert abs(float(y.var()) - 1) < 0.05
    assert nn.AlphaDropout(0.3).eval()(tn.ones(2)).tolist() == [1, 1]
    assert nn.AlphaDropout(1.0)(tn.ones(2)).tolist() == [0, 0]


def test_gumbel_softmax_draws_the_classes() -> None:
    tn.manual_seed(0)
    logits = tn.log(tn.tensor([0.2, 0.8])).expand(4000, 2).clone().requires_grad_()
    y = nn.functional.gumbel_softmax(logits, hard=True)
    assert set(np.unique(y.detach().numpy().round(6))) == {0, 1}
    assert 0.77 < float(y[:, 1].mean()) < 0.83
    (y * tn.tensor([1.0, -1.0])).sum().backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) > 0
    soft = nn.functional.gumbel_softmax(logits.detach(), tau=0.5)
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)


# -- data ------------------------------------------------------------------------------------------


class Count(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        return iter([(float(i), i) for i in range(5)])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_is_batched(workers: int) -> None:
    loader = DataLoader(Count(), batch_size=2, num_workers=workers)
    batches = list(loader)
    assert [y.tolist() for _, y in batches] == [[0, 1], [2, 3], [4]]
    assert batches[0][0].dtype == tn.float32
    assert len(list(DataLoader(Count(), batch_size=2, drop_last=True))) == 2
    assert list(DataLoader(Count(), batch_size=None))[1] == (1.0, 1)
    assert next(iter(DataLoader(Count(), batch_size=3, collate_fn=len))) == 3
    with pytest.raises(TypeError, match="no length"):
        len(loader)


def test_samplers() -> None:
    tn.manual_seed(0)
    data = TensorDataset(tn.arange(6))
    assert len(list(RandomSampler(data, num_samples=4))) == 4
    assert sorted(RandomSampler(data, num_samples=12)) == sorted([*range(6)] * 2)
    drawn = list(RandomSampler(data, replacement=True, num_samples=300))
    assert set(drawn) == set(range(6))
    weighted = list(WeightedRandomSampler(tn.tensor([0.0, 1.0, 3.0]), 4000))
    assert 0.72 < np.mean(np.array(weighted) == 2) < 0.78
    only = DataLoader(data, batch_size=2, sampler=SubsetRandomSampler([1, 3, 5]))
    assert sorted(int(i) for (x,) in only for i in x) == [1, 3, 5]
    a, b = (
        list(SubsetRandomSampler(range(9), generator=tn.Generator().manual_seed(1)))
        for _ in range(2)
    )
    assert a == b


# -- files and print -------------------------------------------------------------------------------


def test_load_takes_pytorchs_arguments(tmp_path: Path) -> None:
    tn.save({"w": tn.ones(2)}, tmp_path / "w.pt")
    assert tn.load(tmp_path / "w.pt", "cpu", weights_only=False)["w"].tolist() == [1, 1]
    assert tn.load(tmp_path / "w.pt", map_location=tn.device("cpu"))["w"].device == "cpu"


def test_print_options() -> None:
    x = tn.tensor([0.12345, 1e-5])
    try:
        tn.set_printoptions(sci_mode=False)
        assert repr(x) == "tensor([0.1235, 0.0000])"
        tn.set_printoptions(precision=2, sci_mode=True)
        assert repr(x) == "tensor([1.23e-01, 1.00e-05])"
        tn.set_printoptions(profile="short", threshold=5)
        assert repr(tn.arange(9)) == "tensor([0, 1, ..., 7, 8])"
    finally:
        tn.set_printoptions(profile="default")
    assert repr(x) == "tensor([1.2345e-01, 1.0000e-05])"
