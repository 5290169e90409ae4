"""tinynet on CuPy's arrays: on the double everywhere, on the real ones with `-m gpu`.

Here the ops, moving, indexing, and errors; `test_training_on_cupy.py` has what trains.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pytest
from properties import assert_close, contraction, host

import tinynet as tn
from tinynet import nn
from tinynet.autograd import grad
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.errors import DeviceError
from tinynet.op import registry
from tinynet.tensor import Tensor

CASES = 25


# -- the registry ----------------------------------------------------------------------------------


def _results(name: str, seed: int, dtype: str, module: Any) -> list[Any]:
    """Value, gradients, and the gradients of a second-order contraction; on CuPy with a module."""
    op, draw = registry[name], Draw(seed)
    inputs, options = sample(op, draw)
    shape = np.shape(op(*inputs, **options))
    places = differentiable(inputs)
    inputs = [x.astype(dtype) if i in places else x for i, x in enumerate(inputs)]
    weights = [draw.rng.standard_normal(shape)]
    weights += [draw.rng.standard_normal(inputs[i].shape) for i in places]
    if "dtype" in options:
        options["dtype"] = None if options["dtype"] is None else np.dtype(dtype)
    put = functools.partial(_put, module)
    if module is not None and name == "to_device":
        options = {**options, "device": "cuda:0"}
        put = functools.partial(_put, None)
    if module is not None:
        options = _moved(module, options)
    if module is not None and seed % 2:  # every second case has its index arrays on the GPU
        options = {k: _indices(module, v) for k, v in options.items()}
    tensors = [put(x) if isinstance(x, np.ndarray) else x for x in inputs]
    own = [tensors[i].requires_grad_() for i in places]
    y = op(*tensors, **options)
    assert module is None or isinstance(y.array, module.ndarray)
    if not y.requires_grad:
        return [y]
    g, *vs = (_put(None if y.device == "cpu" else module, w.astype(dtype)) for w in weights)
    first = grad(y, own, g, retain_graph=True, allow_unused=True)
    moved = [
        _put(None if x.device == "cpu" else module, host(v)) for x, v in zip(own, vs, strict=True)
    ]
    value = contraction(op, tensors, options, [g, moved])
    second: Any = ()
    if value is not None and value.requires_grad:
        second = grad(value, own, allow_unused=True)
    for x, d in zip(own * 2, [*first, *second], strict=False):
        assert d is None or (d.dtype == dtype and d.device == x.device)
    return [y, *first, *([] if value is None else [value]), *second]


def _put(module: Any, x: np.ndarray[Any, Any]) -> Tensor:
    return Tensor(x.copy() if module is None else module.asarray(x))


def _moved(module: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Options with their floating-point arrays, such as class weights, on the GPU."""
    return {
        k: module.asarray(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
        for k, v in options.items()
    }


def _indices(module: Any, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_indices(module, v) for v in value)
    return module.asarray(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", sorted(registry))
def test_every_op_gives_what_numpy_gives(cupy: Any, name: str, dtype: str) -> None:
    for seed in range(CASES):
        expected, found = _results(name, seed, dtype, None), _results(name, seed, dtype, cupy)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
                assert_close(a, b, dtype)


@pytest.mark.parametrize("name", sorted(registry))
def test_every_op_computes_on_bare_arrays(cupy: Any, name: str) -> None:
    """A rule is applied to arrays: what an op gives on one that is not in a Tensor is one too."""
    for seed in range(5):
        inputs, options = sample(registry[name], Draw(seed))
        if name == "to_device":
            options = {**options, "device": "cuda:0"}
        on_gpu = [cupy.asarray(x) if isinstance(x, np.ndarray) else x for x in inputs]
        y = registry[name](*on_gpu, **_moved(cupy, options))
        assert isinstance(y, cupy.ndarray)
        assert_close(
            y,
            np.asarray(
                registry[name](
                    *inputs, **{**options, "device": "cpu"} if name == "to_device" else options
                )
            ),
        )


# -- PyTorch's face --------------------------------------------------------------------------------

FACE = {
    "clip": lambda x: x.clamp(-0.5, 0.5).sum(),
    "clamp by tensors": lambda x: x.clamp(x * 0.5, x * 2.0).sum(),
    "number on the left": lambda x: (2.0**x - 1 / (x * x + 1)).sum(),
    "number to where": lambda x: tn.where(x > 0, x, 0.0).sum() + tn.where(x > 0, 1.0, 2.0).sum(),
    "numpy functions": lambda x: np.sum(np.tanh(x) * np.exp(-x)) + np.var(x) + np.max(x),
    "numpy array": lambda x: np.matmul(x, np.swapaxes(x, 0, 1)).mean(),
    "max along an axis": lambda x: x.max(dim=1).values.sum() + x.min(dim=0)[0].sum(),
    "take_along_dim": lambda x: x.take_along_dim(x.argmax(dim=1, keepdim=True), dim=1).sum(),
    "einsum": lambda x: tn.einsum("ij,kj->ik", x, x).sum() + tn.einsum("ii->", x[:, :3]),
    "einsum with dots": lambda x: tn.einsum("...j,j->...", x, x[0]).sum(),
    "stack and cat": lambda x: tn.stack([x, 2 * x]).sum() + tn.cat([x, x * x], dim=1).sum(),
    "views": lambda x: (
        x.T.reshape(2, 6).flatten()[::2] * x.unsqueeze(0).squeeze().mT.reshape(-1)[:6]
    ).sum(),
    "iteration": lambda x: sum(row.sum() * i for i, row in enumerate(x)),
    "softmax": lambda x: (tn.softmax(x, 1) * tn.log_softmax(x, 1)).sum(),
    "pad": lambda x: sum(
        tn.nn.functional.pad(x, (2, 1), mode=mode).square().sum()
        for mode in ("constant", "reflect", "replicate", "circular")
    ),
    "normalize": lambda x: tn.nn.functional.normalize(x, p=3.0)[0].sum(),
    "entries of a number": lambda x: x.sum().gather(0, tn.arange(1, device=x.device))[0],
    "norms": lambda x: (x * x).sum().sqrt() + x.abs().amax() + tn.logsumexp(x, 1).sum(),
    "det of a singular matrix": lambda x: tn.det(tn.stack([x[0], x[0] * 2])[:, :2]),
    "erf": lambda x: tn.erf(x).sum(),
    "cast": lambda x: (x.float() * 2).double().sum() + (x > 0).sum() * x.sum(),
    "checkpoint": lambda x: tn.utils.checkpoint.checkpoint(lambda y: y.exp().sum(), x),
}


@pytest.mark.parametrize("name", FACE)
def test_the_public_face(cupy: Any, name: str) -> None:
    values = np.random.default_rng(0).standard_normal((3, 4))
    results = []
    for device in ("cpu", "cuda"):
        x = tn.tensor(values, device=device, requires_grad=True)
        y = FACE[name](x)
        y.backward()
        assert y.device == x.grad.device == x.device
        assert x.grad.dtype == x.dtype
        results.append((y, x.grad))
    for expected, found in zip(*results, strict=True):
        assert_close(found, expected, "f4" if name == "cast" else "f8")


def test_functional_transforms(cupy: Any) -> None:
    values = np.array([0.5, -1.0, 2.0])
    for transform in (tn.func.jacrev, tn.func.jacfwd, tn.func.hessian, tn.func.grad):
        function = (
            (lambda x: x.exp() * x[0]) if "jac" in transform.__name__ else lambda x: (x**3).sum()
        )
        found = transform(function)(tn.tensor(values, device="cuda"))
        assert found.device == "cuda:0"
        assert_close(found, transform(function)(tn.tensor(values)))


def test_a_numpy_function_without_entry_gives_a_tensor(cupy: Any) -> None:
    x = tn.tensor([1.0, 2.0], device="cuda")
    assert isinstance(np.cumsum(x), Tensor)
    assert_close(np.cumsum(x), np.array([1.0, 3.0]))
    assert np.ptp(x).device == "cuda:0"


def test_an_array_beside_a_tensor(cupy: Any) -> None:
    a, x = (
        cupy.asarray(np.array([1.0, 2.0])),
        tn.tensor([1.0, 1.0], device="cuda", dtype=tn.float64),
    )
    for y in (a + x, x + a, a * x + 1, 1 - a * x, a @ x):
        assert isinstance(y, Tensor)
        assert y.device == "cuda:0"


# -- moving ----------------------------------------------------------------------------------------


def test_gradients_flow_back_over_the_border(cupy: Any) -> None:
    for there in (lambda x: x.to("cuda"), lambda x: x.cuda(), lambda x: x.to("cuda:0", tn.float64)):
        x = tn.tensor([1.0, 2.0], requires_grad=True)
        y = there(x)
        assert y.device == "cuda:0"
        (y * y).cpu().sum().backward()
        assert x.grad.device == "cpu"
        assert_close(x.grad, np.array([2.0, 4.0]))
        assert y.to("cuda:0") is y
    x = tn.tensor([3.0], requires_grad=True)
    (dx,) = grad((x.cuda() ** 3).sum(), x, create_graph=True)
    (second,) = grad(dx.sum(), x)
    assert_close(second, np.array([18.0]))


def test_creation(cupy: Any) -> None:
    made = [tn.zeros(2, device="cuda"), tn.ones(2, 3, device="cuda:0"), tn.eye(2, device="cuda")]
    made += [
        tn.full((2,), 3.0, device="cuda"),
        tn.arange(4, device="cuda"),
        tn.empty(1, device="cuda"),
    ]
    made += [tn.linspace(0, 1, 3, device="cuda"), tn.tensor([1, 2], device="cuda")]
    made += [f(made[0]) for f in (tn.zeros_like, tn.ones_like, tn.rand_like, tn.randn_like)]
    made += [tn.full_like(made[0], 2.0), tn.as_tensor([1.0], device="cuda"), made[0].clone()]
    made += [tn.full((2,), made[1].sum(), device="cuda"), tn.bernoulli(made[1])]
    assert {x.device for x in made} == {"cuda:0"}
    assert all(isinstance(x.array, cupy.ndarray) for x in made)


def test_random_numbers(cupy: Any) -> None:
    def draws(**where: Any) -> list[Tensor]:
        functions = (tn.rand, tn.randn)
        return [
            *(f(3, 2, **where) for f in functions),
            tn.randint(5, (4,), **where),
            tn.randperm(6, **where),
        ]

    tn.manual_seed(1)
    first = draws(device="cuda")
    tn.manual_seed(1)
    again = draws(device="cuda")
    generator = tn.Generator("cuda").manual_seed(3)
    for a, b in zip(first, again, strict=True):
        assert a.device == "cuda:0"
        np.testing.assert_array_equal(host(a), host(b))
    assert [x.device for x in draws(generator=generator)] == ["cuda:0"] * 4
    assert sorted(host(first[3]).tolist()) == list(range(6))
    assert tn.rand(2, device="cuda", dtype=tn.float16).dtype == np.float16
    assert tn.randn((), device="cuda").shape == ()
    w = tn.zeros(3, 3, device="cuda", requires_grad=True)
    nn.init.kaiming_uniform_(w)
    nn.init.normal_(w, generator=generator)
    assert w.device == "cuda:0"
    assert host(w).any()


def test_a_generator_goes_back_to_its_position(cupy: Any) -> None:
    generator = tn.Generator("cuda").manual_seed(3)
    state = generator.get_state()
    first = generator.random((3,))
    assert host(generator.random((3,))).tolist() != host(first).tolist()
    generator.set_state(state)
    assert host(generator.random((3,))).tolist() == host(first).tolist()


def test_a_checkpoint_draws_the_same_dropout_again(cupy: Any) -> None:
    tn.manual_seed(0)
    x = tn.ones(50, device="cuda", requires_grad=True)
    y = tn.utils.checkpoint.checkpoint(lambda x: nn.functional.dropout(x, 0.5) * x, x)
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), 2 * host(y))


def test_repr_and_conversions(cupy: Any) -> None:
    x = tn.tensor([1.0, 2.5], device="cuda")
    assert repr(x) == "tensor([1.0000, 2.5000], device='cuda:0')"
    assert repr(x.sum()) == "tensor(3.5000, device='cuda:0')"
    assert (x.tolist(), x.sum().item(), float(x[0]), bool(x[0] > 0)) == ([1.0, 2.5], 3.5, 1.0, True)
    assert (f"{x[1]:.2f}", len(x), 2.5 in x, int(x[0])) == ("2.50", 2, True, 1)
    with pytest.raises(tn.errors.DTypeError, match="GPU"):
        x.numpy()
    with pytest.raises(tn.errors.TinynetError, match="GPU"):
        np.asarray(x)


# -- devices do not mix ----------------------------------------------------------------------------

MIXED = {
    "add": lambda a, b: a + b,
    "number and both": lambda a, b: tn.where(a > 0, a, b),
    "matmul": lambda a, b: a @ b,
    "cat": lambda a, b: tn.cat([a, b]),
    "stack": lambda a, b: tn.stack([a, b]),
    "mse": nn.functional.mse_loss,
    "cross_entropy": lambda a, b: nn.functional.cross_entropy(a, (b > 5).long().sum()),
    "linear": lambda a, b: nn.functional.linear(a, b.unsqueeze(0)),
    "in place": lambda a, b: a.detach().add_(b),
    "item assignment": lambda a, b: a.detach().__setitem__(slice(None), b),
    "recorded item assignment": lambda a, b: (a * 1).__setitem__(0, b[0]),
    "chosen item assignment": lambda a, b: a.detach().__setitem__([0, 1], b),
    "numpy function": lambda a, b: np.maximum(a, b),
    "gradient": lambda a, b: (a * 2).backward(b.detach()),
    "clamp": lambda a, b: a.clamp(min=b),
}


@pytest.mark.parametrize("gpu_first", [True, False])
@pytest.mark.parametrize("name", MIXED)
def test_mixing_devices_is_one_clear_error(cupy: Any, name: str, gpu_first: bool) -> None:
    a = tn.tensor([1.0, 2.0], requires_grad=True)
    b = tn.tensor([3.0, 4.0], device="cuda")
    a, b = (b.requires_grad_(), a) if gpu_first else (a, b)
    with pytest.raises(DeviceError, match=r"different devices: .+ on c.+, .+ on c") as caught:
        MIXED[name](a, b)
    assert re.search(r"on cpu", str(caught.value))
    assert re.search(r"on cuda:0", str(caught.value))


def test_a_bare_array_of_the_other_library_is_refused_too(cupy: Any) -> None:
    x = tn.tensor([1.0, 2.0], device="cuda")
    for operation in (lambda: x + np.ones(2), lambda: np.ones(2) + x, lambda: tn.ones(2) * x.array):
        with pytest.raises(DeviceError, match="different devices"):
            operation()


# -- indexing and changing in place ----------------------------------------------------------------

INDICES = {
    "number": 1,
    "negative": -1,
    "slice": slice(1, None),
    "step": slice(None, None, -2),
    "several": (slice(None), 2),
    "new axis": (None, ..., 0),
    "list": [0, 2, 2],
    "empty list": [],
    "array": np.array([2, 0, 0, -1]),
    "rows and columns": (np.array([0, 1]), np.array([2, 2])),
    "rows, apart, columns": (np.array([0, 1]), None, np.array([2, 2])),
    "mask": np.arange(12).reshape(3, 4) % 3 == 0,
    "mask of rows": np.array([True, False, True]),
    "cpu tensor": lambda device: tn.tensor([1, 1, 0]),
    "gpu tensor": lambda device: tn.tensor([1, 1, 0], device=device),
    "gpu mask": lambda device: tn.tensor([True, False, True], device=device),
    "gpu tensors": lambda device: (
        tn.tensor([0, 1], device=device),
        tn.tensor([3, 3], device=device),
    ),
    "one-entry tensor": lambda device: tn.tensor(2, device=device),
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing(cupy: Any, name: str) -> None:
    values, results = np.arange(12.0).reshape(3, 4), []
    for device in ("cpu", "cuda"):
        index = INDICES[name](device) if callable(INDICES[name]) else INDICES[name]
        x = tn.tensor(values, device=device, requires_grad=True)
        picked = x[index]
        (picked * picked).sum().backward()
        changed = x * 1
        changed[index] = -1.0
        y = tn.zeros(3, 4, device=device, dtype=tn.float64)
        y[index] = picked.detach() * 0 + 5
        assert picked.device == changed.device == x.device
        results.append((picked, x.grad, changed, y))
    for expected, found in zip(*results, strict=True):
        assert_close(found, expected)


def test_an_index_on_the_gpu_of_a_tensor_on_the_cpu(cupy: Any) -> None:
    ids = tn.tensor([0, 1], device="cuda")
    with pytest.raises(DeviceError, match="index"):
        tn.ones(3)[ids]
    with pytest.raises(DeviceError, match="index"):
        tn.ones(3)[ids] = 0.0


def test_in_place(cupy: Any) -> None:
    results = []
    for device in ("cpu", "cuda"):
        x = tn.tensor(
            [[1.0, -2.0], [3.0, 4.0]], device=device, dtype=tn.float64, requires_grad=True
        )
        y = x * 2
        y += 1
        y *= x
        y.clamp_(-5.0, 20.0)
        y[0] = x[1] * 3
        y[:, 1] = y[:, 1] + 1
        y.sum().backward()
        z = tn.zeros(2, 2, device=device)
        z.fill_(2.0).add_(1).copy_(x.detach().cpu())
        z -= z.mean()
        z[z > 0] = 0.5
        z[0] = [7.0, 8.0]
        z[[0, 1], [0, 1]] = [5.0, 6.0]
        z[1, 0] = tn.tensor(9.0, device=device)
        results.append((y, x.grad, z, z.zero_().clone()))
    for expected, found in zip(*results, strict=True):
        assert_close(found, expected)
