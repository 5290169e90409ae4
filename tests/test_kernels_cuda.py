"""The kernels of the GPU against the reference: on a CPU that plays GPU, and with `-m gpu` on one.

`cuda_on_cpu.py` runs the very source and refuses what a GPU would not: wrong arguments, writes
beside an array, numbers that depend on the order of the threads.
"""

from __future__ import annotations

from typing import Any

import cuda_on_cpu
import numpy as np
import pytest
import test_on_cupy
from properties import assert_close, host

import tinynet as tn
from tinynet.autograd import grad
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.derivations import adam, sgd
from tinynet.kernels import choice
from tinynet.kernels.cuda import attention, optimisers
from tinynet.op import registry
from tinynet.tensor import Tensor

CASES = 25


@pytest.fixture(autouse=True)
def _can_run(request: pytest.FixtureRequest) -> None:
    if cuda_on_cpu.COMPILER is None and "real" not in request.node.name:
        pytest.skip("no C++ compiler to run CUDA C on the CPU")


def check(
    cupy: Any, name: str, inputs: Any, options: dict[str, Any], dtype: str, seed: int = 0
) -> bool:
    """Value and gradients of an op by its kernel, on arrays with gaps, against the reference on the
    CPU. Whether there was a kernel for it.
    """
    op, rng = registry[name], np.random.default_rng(seed)
    places = differentiable(inputs)
    inputs = [x.astype(dtype) if i in places else x for i, x in enumerate(inputs)]
    found: list[Any] = []
    for module in (None, cupy):
        tensors = [_put(module, x, seed) if isinstance(x, np.ndarray) else x for x in inputs]
        own = [tensors[i].requires_grad_() for i in places]
        with tn.kernels.use("reference" if module is None else "compiled"):
            y = op(*tensors, **options)
            if module is None:
                g = rng.standard_normal(y.shape).astype(y.dtype)
            gradients = grad(y, own, _put(module, g, seed), allow_unused=True)
        found.append([y, *gradients])
    served = y._node is not None and y._node.by is not None
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert_close(b, a, dtype)
    return served


def _put(module: Any, x: np.ndarray[Any, Any], seed: int) -> Tensor:
    """A tensor of these values; every second one with gaps between them in memory."""
    if seed % 2 and x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1] + 1), x.dtype)
        wide[..., 1::2] = x
        return Tensor((wide if module is None else module.asarray(wide))[..., 1::2])
    return Tensor(x.copy() if module is None else module.asarray(x))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", sorted(choice.GPU))
def test_kernels_give_what_the_reference_gives(cupy: Any, name: str, dtype: str) -> None:
    served = 0
    for seed in range(CASES):
        inputs, options = sample(registry[name], Draw(seed))
        served += check(cupy, name, inputs, options, dtype, seed)
    assert served, "no sample that the kernel serves"


# -- sizes across the borders of warps, blocks and tiles -------------------------------------------


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n", [1, 31, 33, 129, 1100])
def test_softmax_of_rows_of_any_length(cupy: Any, name: str, n: int) -> None:
    x = 5 * normal(3, n)
    x[0, n // 2] = -np.inf if n > 1 else 0
    for dtype in ("f4", "f8"):
        assert check(cupy, name, [x], {"axis": 1}, dtype, seed=n)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_what_is_no_number(cupy: Any, name: str) -> None:
    x = normal(6, 40)
    x[0], x[1, 39], x[2, 3], x[3, :7], x[4], x[5] = -np.inf, np.nan, np.inf, -np.inf, 1e4, -1e4
    found = []
    for mode in ("reference", "compiled"):
        with tn.kernels.use(mode):
            found.append(host(registry[name](tn.tensor(cupy.asarray(x)), axis=-1)))
    np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("n", "classes"), [(1, 1), (300, 10), (5, 700)])
def test_cross_entropy(cupy: Any, n: int, classes: int, reduction: str) -> None:
    names = np.random.default_rng(0).integers(0, classes, n)
    options = {"reduction": reduction, "ignore_index": 0}
    inputs = [1e3 + normal(n, classes), names]
    if n > 1:
        assert check(cupy, "cross_entropy", inputs, options, "f8", n)
    assert check(cupy, "cross_entropy", inputs, options | {"ignore_index": -100}, "f8", n)
    assert check(cupy, "cross_entropy", [normal(classes), names[:1].reshape(())], {}, "f4", n)


def test_a_class_or_an_id_that_there_is_not_gives_nan(cupy: Any) -> None:
    x = tn.tensor(normal(40, 30), device="cuda", requires_grad=True)
    t = np.arange(40) % 30
    t[7], t[9] = 30, -1
    with tn.kernels.use("compiled"):
        loss = tn.nn.functional.cross_entropy(x, tn.tensor(t, device="cuda"), reduction="none")
        loss.sum().backward()
        rows = registry["embedding"](tn.tensor(t, device="cuda"), x[:30])
    for found in (host(loss), host(x.grad), host(rows)):
        bad = np.isnan(found).reshape(40, -1)
        assert bad[[7, 9]].all()
        assert not np.delete(bad, [7, 9], axis=0).any()


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("shape", [(1, 1), (70, 33), (200, 130), (3, 5, 40), (2, 1100)])
def test_norms(cupy: Any, name: str, shape: tuple[int, ...]) -> None:
    for count, seed in ((0, 0), (1, 1), (2, 0), (2, 1)):
        if count == 2 and name == "rms_norm":
            continue
        dims = len(shape) - 1
        affine = [normal(*shape[1:]) + k for k in range(count)]
        inputs = [100 + normal(*shape), *affine]
        assert check(cupy, name, inputs, {"dims": dims, "eps": 1e-3}, "f8", seed)


def test_embedding_adds_up_what_occurs_often(cupy: Any) -> None:
    ids = np.random.default_rng(0).integers(0, 5, (30, 3)) % 4
    for dtype in ("f4", "f8"):
        assert check(cupy, "embedding", [ids, normal(6, 70)], {}, dtype, 1)


CONVOLUTIONS: dict[str, Any] = {
    "large plane": ((2, 1, 40, 40), (3, 1, 3, 3), {"padding": 1}),
    "all options": (
        *((2, 4, 19, 17), (6, 2, 3, 2)),
        {"stride": (2, 3), "padding": (2, 1), "dilation": (1, 2), "groups": 2},
    ),
    "one axis": ((3, 4, 300), (4, 1, 5), {"stride": 2, "padding": 3, "groups": 4}),
    "one place": ((1, 2, 3, 3), (2, 2, 3, 3), {}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(cupy: Any, name: str) -> None:
    x, W, options = CONVOLUTIONS[name]
    for bias in ([], [normal(W[0])]):
        assert check(cupy, "conv2d", [normal(*x), normal(*W), *bias], options, "f8", len(bias))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("biases", [0, 2])
def test_lstm(cupy: Any, reverse: bool, biases: int) -> None:
    T, N, size, H = 4, 7, 3, 40
    inputs = [normal(T, N, size), normal(N, H), 2 * normal(N, H)]
    inputs += [normal(4 * H, size), normal(4 * H, H) / 4, *[normal(4 * H)] * biases]
    for dtype in ("f4", "f8"):
        assert check(cupy, "lstm", inputs, {"reverse": reverse}, dtype, 1)


def assert_steps_agree(
    cupy: Any, name: str, arrays: list[Any], *first: Any, **options: Any
) -> None:
    """A step by the kernel and by the derivation, from the same arrays: w, g and the rest."""
    rule = {"adam": adam.step, "sgd": sgd.step}[name]
    found = []
    for step, module in ((rule, np), (optimisers.STEPS[name], cupy)):
        own = [module.asarray(x.copy())[::-1] for x in arrays]
        largest = {"largest": own.pop()} if options.get("largest") else {}
        step(*own, *first, module.empty(own[0].shape), **{**options, **largest})
        found.append([host(x) for x in own])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
def test_a_step_of_adam(cupy: Any, decoupled: bool, largest: bool) -> None:
    arrays = [normal(50, 9), normal(9, 50).T, *[np.abs(normal(50, 9 + k))[:, k:] for k in range(3)]]
    options: Any = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "decoupled": decoupled}
    options |= {"largest": True} if largest else {}
    arrays = arrays if largest else arrays[:4]
    assert_steps_agree(cupy, "adam", arrays, 7, weight_decay=0.2, **options)
    arrays[0][3, 3] = np.inf  # stays: without decay, nothing is added to the gradient
    assert_steps_agree(cupy, "adam", arrays, 1, maximize=True, **options)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_step_of_descent(cupy: Any, nesterov: bool) -> None:
    arrays = [normal(50, 9), normal(9, 50).T, np.full((50, 9), np.nan)]
    options: Any = {"lr": 0.1, "momentum": 0.9, "dampening": 0.25, "nesterov": nesterov}
    assert_steps_agree(cupy, "sgd", arrays, lr=1, maximize=True)
    assert_steps_agree(cupy, "sgd", arrays, first=True, weight_decay=0.1, **options)
    assert_steps_agree(cupy, "sgd", [*arrays[:2], normal(50, 9)], **options)


ATTENTION: dict[str, Any] = {
    "one": ((1,), 1, 1, 1, 1),
    "across tiles": ((2,), 70, 65, 8, 5),
    "short keys": ((), 33, 7, 16, 16),
    "groups share keys": ((2, 2, 3), 18, 17, 20, 12),
    "wide heads": ((1, 2), 17, 34, 128, 100),
}


TILES = [(name, 227) for name in ATTENTION] + [("across tiles", 48), ("across tiles", 16)]


@pytest.mark.parametrize(("name", "room"), TILES)  # KiB: tiles of 64, of 32 and of 16
@pytest.mark.parametrize("masks", ["none", "causal", "allowed", "added", "kept"])
def test_attention(
    cupy: Any, monkeypatch: pytest.MonkeyPatch, name: str, masks: str, room: int
) -> None:
    if room < 227:
        monkeypatch.setattr(attention, "_room", lambda *_: room * 1024)
    lead, L, S, E, Ev = ATTENTION[name]
    keys = (*lead[:-1], 1) if len(lead) == 3 else lead
    mask: Any = {"allowed": normal(L, S) > -0.5, "added": normal(*lead[-1:], 1, S)}.get(masks, True)
    kept: Any = normal(*lead, L, S) > -0.5 if masks == "kept" else True
    if masks == "allowed":
        mask[L // 2] = False  # a query that may attend to nothing
    options = {"is_causal": masks == "causal", "p": 0.25 if masks == "kept" else 0.0, "scale": None}
    inputs = [normal(*lead, L, E), normal(*keys, S, E), normal(*keys, S, Ev), mask, kept]
    dtype = "f4" if room == 227 else "f8"
    assert check(cupy, "attention", inputs, options, dtype, len(masks))


# -- float16: computed in float32 ------------------------------------------------------------------

HALF: dict[str, Any] = {
    "attention": lambda: ([normal(2, 20, 8) for _ in range(3)] + [True, True], {"is_causal": True}),
    "conv2d": lambda: ([normal(2, 2, 9, 9), normal(3, 2, 3, 3)], {"padding": 1}),
    "cross_entropy": lambda: ([normal(20, 40), np.arange(20)], {}),
    "embedding": lambda: ([np.arange(600) % 3, normal(4, 5)], {}),
    "gelu": lambda: ([normal(600)], {}),
    "gelu_tanh": lambda: ([normal(600)], {}),
    "layer_norm": lambda: ([normal(30, 40), normal(40), normal(40)], {}),
    "log_softmax": lambda: ([normal(9, 100)], {}),
    "lstm": lambda: (
        [*(normal(3, 4, 5), normal(4, 8), normal(4, 8), normal(32, 5), normal(32, 8) / 3)],
        {},
    ),
    "rms_norm": lambda: ([normal(30, 40), normal(40)], {}),
    "silu": lambda: ([normal(600)], {}),
    "softmax": lambda: ([normal(9, 100)], {}),
}


@pytest.mark.parametrize("name", sorted(choice.GPU))
def test_float16_is_as_good_as_its_digits(cupy: Any, name: str) -> None:
    inputs, options = HALF[name]()
    places, found = differentiable(inputs), []
    for module, dtype in ((None, "f4"), (cupy, "f2")):
        put = [x.astype("f2").astype(dtype) if i in places else x for i, x in enumerate(inputs)]
        tensors = [_put(module, x, 0) if isinstance(x, np.ndarray) else x for x in put]
        own = [tensors[i].requires_grad_() for i in places]
        with tn.kernels.use("reference" if module is None else "compiled"):
            y = registry[name](*tensors, **options)
            g = normal(*y.shape).astype("f2").astype(dtype)
            found.append([y, *grad(y, own, _put(module, np.asarray(g), 0))])
        assert module is None or y._node.by is not None
    for a, b in zip(*found, strict=True):
        assert b.dtype == np.float16
        room = 5e-3 * float(np.abs(host(a)).max())  # sums of numbers of 11 bits, some kept so
        np.testing.assert_allclose(host(b).astype("f4"), host(a), rtol=5e-3, atol=room)


@pytest.mark.parametrize("name", sorted(choice.GPU))
def test_derivatives_of_derivatives_of_what_a_kernel_computed(cupy: Any, name: str) -> None:
    for seed in range(4):
        with tn.kernels.use("compiled"):
            found = test_on_cupy._results(name, seed, "f8", cupy)
        for a, b in zip(test_on_cupy._results(name, seed, "f8", None), found, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_close(b, a)


def test_examples_of_vmap_are_left_to_the_reference() -> None:
    x = tn.tensor(normal(30, 40))
    with tn.kernels.use("compiled"):
        found = tn.func.vmap(lambda row: tn.nn.functional.gelu(row))(x)
    assert_close(found, tn.nn.functional.gelu(x))


class Language(tn.nn.Module):
    """Next letters by one block of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tn.nn.Embedding(11, 16)
        self.block = tn.nn.TransformerEncoderLayer(
            16, 2, 32, 0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.head = tn.nn.Linear(16, 11)

    def forward(self, ids: Any) -> Any:
        n = ids.shape[1]
        hidden = tn.nn.Transformer.generate_square_subsequent_mask(n, device=ids.device)
        return self.head(self.block(self.table(ids), src_mask=hidden.double()))


def test_a_network_learns_the_same(cupy: Any) -> None:
    ids = np.random.default_rng(0).integers(0, 11, (3, 21))
    runs = []
    for device, mode in (("cpu", "reference"), ("cuda", "compiled")):
        tn.manual_seed(0)
        model = Language().double().to(device)
        optimizer = tn.optim.AdamW(model.parameters(), lr=0.01)
        x = tn.tensor(ids, device=device)
        with tn.kernels.use(mode):
            for _ in range(3):
                optimizer.zero_grad()
                y = model(x[:, :-1])
                loss = tn.nn.functional.cross_entropy(y.flatten(0, 1), x[:, 1:].flatten())
                loss.backward()
                optimizer.step()
        runs.append([loss, *model.parameters()])
    for a, b in zip(*runs, strict=True):
        assert_close(b, a)
