"""Modules: names, state, modes, hooks; the first weights; tools for all gradients at once."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from tinynet.nn import functional as F


class Block(nn.Module):
    """Every kind of part: shared layers, a list, buffers of both kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Dropout(0.5)])
        self.again = self.first
        self.scale = nn.Parameter(tn.ones(4))
        self.register_buffer("count", tn.tensor(0))
        self.register_buffer("cache", tn.zeros(2), persistent=False)
        self.register_parameter("absent", None)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.first(x)) * self.scale
        for layer in self.rest:
            x = layer(x)
        return x


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


# -- the tree ----------------------------------------------------------------------------------


def test_names_come_in_order_and_shared_parts_once() -> None:
    model = Block()
    assert [k for k, _ in model.named_parameters()] == [
        "scale",
        "first.weight",
        "first.bias",
        "rest.0.weight",
    ]
    assert [k for k, _ in model.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [k for k, _ in model.named_children()] == ["first", "rest"]
    assert [k for k, _ in model.named_buffers()] == ["count", "cache"]
    assert len(list(model.parameters(recurse=False))) == 1
    assert len(list(model.named_parameters(remove_duplicate=False))) == 4
    assert model.get_submodule("rest.0") is model.rest[0]
    with pytest.raises(AttributeError, match="no part 'nowhere'"):
        model.get_submodule("rest.nowhere")


def test_parts_change_their_kind() -> None:
    model = nn.Module()
    model.part = 3
    model.part = nn.Linear(1, 1)
    assert "part" not in vars(model)
    model.part = nn.Parameter(tn.ones(2))
    assert list(model.state_dict()) == ["part"]
    model.part = None
    assert model.part is None
    assert list(model.state_dict()) == []
    del model.part
    with pytest.raises(AttributeError, match="Module has no attribute 'part'"):
        _ = model.part


def test_mistakes_in_building() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(ArgumentError, match=r"Early.layer .*super\(\).__init__\(\)"):
        Early()
    model = nn.Linear(1, 1)
    with pytest.raises(DTypeError, match=r"Linear.weight is a parameter"):
        model.weight = tn.ones(1, 1)
    with pytest.raises(ArgumentError, match="has an attribute 'weight' already"):
        model.register_buffer("weight", tn.ones(1))
    with pytest.raises(ArgumentError, match="no dot"):
        model.register_parameter("a.b", None)
    with pytest.raises(DTypeError, match="not a Parameter"):
        model.register_parameter("a", tn.ones(1))  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="not a Module"):
        model.register_module("a", 3)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)
    with pytest.raises(DTypeError, match="floating-point"):
        nn.Parameter(tn.tensor([1, 2]))


def test_a_buffer_stays_a_buffer() -> None:
    model = Block()
    model.count = model.count + 1
    assert list(dict(model.named_buffers())) == ["count", "cache"]
    assert model.state_dict()["count"].item() == 1


# -- state -------------------------------------------------------------------------------------


def test_state_goes_round() -> None:
    one, two = Block(), Block()
    one.count = tn.tensor(7)
    assert list(one.state_dict()) == [
        "scale",
        "count",
        "first.weight",
        "first.bias",
        "rest.0.weight",
        "again.weight",
        "again.bias",
    ]
    result = two.load_state_dict(one.state_dict())
    assert result == ([], [])
    x = tn.randn(5, 3)
    np.testing.assert_array_equal(one.eval()(x).detach().numpy(), two.eval()(x).detach().numpy())
    one.first.weight.data.fill_(0.0)
    assert two.first.weight.detach().numpy().all()  # a copy, not the same memory


def test_state_is_shared_and_counted() -> None:
    layer = nn.Linear(2, 2)
    x = tn.ones(1, 2, requires_grad=True)
    y = layer(x)
    layer.load_state_dict({k: v * 0 for k, v in layer.state_dict().items()})
    with pytest.raises(tn.errors.InPlaceError, match="linear"):
        y.sum().backward()


def test_state_that_does_not_fit() -> None:
    model = mlp()
    good = {k: v.clone() for k, v in model.state_dict().items()}
    part = {k: v * 0 for k, v in good.items() if k != "2.bias"} | {"extra": tn.ones(1)}
    with pytest.raises(ShapeError, match=r"missing keys 2.bias; unexpected keys extra"):
        model.load_state_dict(part)
    assert model[0].weight.detach().numpy().all()  # nothing was changed
    missing, unexpected = model.load_state_dict(part, strict=False)
    assert (missing, unexpected) == (["2.bias"], ["extra"])
    assert not model[0].weight.detach().numpy().any()
    with pytest.raises(ShapeError, match=r"0.weight: \(1,\) where \(4, 3\) is expected"):
        model.load_state_dict(good | {"0.weight": tn.ones(1)}, strict=False)


def test_state_keeps_the_dtype_of_the_module() -> None:
    model = mlp().double()
    model.load_state_dict(mlp().state_dict())
    assert {v.dtype for v in model.state_dict().values()} == {np.dtype("f8")}


def test_deepcopy_is_independent() -> None:
    model = Block()
    twin = copy.deepcopy(model)
    assert twin.again is twin.first
    assert type(twin.scale) is nn.Parameter
    with tn.no_grad():
        twin.scale.zero_()
        twin.first.weight.zero_()
    assert model.scale.detach().numpy().all()
    assert model.first.weight.detach().numpy().all()
    handle = twin.register_forward_hook(lambda *_: None)
    assert not model._forward_hooks
    handle.remove()


# -- modes, moving, gradients ------------------------------------------------------------------


def test_train_and_eval_reach_everything() -> None:
    model = Block()
    assert all(not m.training for m in model.eval().modules())
    assert all(m.training for m in model.train().modules())


def test_dropout_drops_in_training_only() -> None:
    tn.manual_seed(0)
    layer, x = nn.Dropout(0.25), tn.ones(200, 200)
    y = layer(x).numpy()
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert abs(y.mean() - 1) < 0.01
    assert layer.eval()(x) is x
    assert not F.dropout(x, 1.0).numpy().any()
    one = F.dropout(x, 0.5, generator=tn.Generator().manual_seed(3)).numpy()
    two = F.dropout(x, 0.5, generator=tn.Generator().manual_seed(3)).numpy()
    np.testing.assert_array_equal(one, two)
    with pytest.raises(ArgumentError, match=r"p = 1.5"):
        nn.Dropout(1.5)


def test_moving_keeps_parameters_the_same_objects() -> None:
    model = Block()
    before = list(model.parameters())
    model(tn.ones(1, 3)).sum().backward()
    model.to(tn.float64)
    assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
    assert {p.dtype for p in model.parameters()} == {np.dtype("f8")}
    assert model.scale.grad.dtype == np.dtype("f8")
    assert model.count.dtype == np.dtype("i8")
    assert model.float().to("cpu").scale.dtype == np.dtype("f4")
    assert model.to(tn.ones(1, dtype=tn.float64)).scale.dtype == np.dtype("f8")
    with pytest.raises(DTypeError, match="floating point"):
        model.to(tn.int64)


def test_freezing_and_forgetting() -> None:
    model = mlp()
    model[0].requires_grad_(False)
    model(tn.ones(1, 3)).sum().backward()
    assert model[0].weight.grad is None
    assert model[2].weight.grad is not None
    model.zero_grad(set_to_none=False)
    assert not model[2].weight.grad.numpy().any()
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_apply_goes_from_the_leaves_up() -> None:
    seen: list[str] = []
    mlp().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Tanh", "Linear", "Sequential"]


def test_hooks() -> None:
    layer, seen = nn.Linear(2, 2), []

    def before(module: Any, args: Any) -> Any:
        seen.append("before")
        return args[0] * 0

    def after(module: Any, args: Any, output: Any) -> Any:
        seen.append("after")
        assert not args[0].numpy().any()
        return output + 1

    first = layer.register_forward_pre_hook(before)
    second = layer.register_forward_hook(after)
    y = layer(tn.ones(1, 2))
    np.testing.assert_allclose(y.detach().numpy()[0], layer.bias.detach().numpy() + 1)
    first.remove()
    second.remove()
    second.remove()  # once more does no harm
    layer(tn.ones(1, 2))
    assert seen == ["before", "after"]
    layer.register_forward_pre_hook(before)  # alone
    np.testing.assert_array_equal(layer(tn.ones(1, 2)).detach()[0], layer.bias.detach())


# -- layers ------------------------------------------------------------------------------------


def test_the_printed_model() -> None:
    assert repr(Block()) == (
        "Block(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)  # 16 parameters\n"
        "  (rest): ModuleList(\n"
        "    (0): Linear(in_features=4, out_features=4, bias=False)  # 16 parameters\n"
        "    (1): Dropout(p=0.5, inplace=False)\n"
        "  )  # 16 parameters\n"
        "  (again): Linear(in_features=3, out_features=4, bias=True)  # 16 parameters\n"
        ")  # 36 parameters"
    )
    assert repr(nn.Softmax(dim=1)) == "Softmax(dim=1)"
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Parameter(tn.ones(1))).startswith("Parameter containing:\ntensor([1.]")


def test_rows_of_modules() -> None:
    model = nn.Sequential({"in": nn.Linear(3, 4), "act": nn.ReLU()})
    assert list(model.state_dict()) == ["in.weight", "in.bias"]
    assert model[-1] is model.act
    assert list(model[:1]._modules) == ["in"]
    model.append(nn.Linear(4, 2))
    assert model(tn.ones(5, 3)).shape == (5, 2)
    with pytest.raises(OutOfRangeError, match="no module 3"):
        model[3]
    numbered = mlp()
    del numbered[1]
    assert list(numbered._modules) == ["0", "1"]
    numbered[1] = nn.Identity()
    assert isinstance(numbered[1], nn.Identity)
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.insert(0, nn.Tanh())
    layers.extend([nn.ReLU()])
    assert [type(m).__name__ for m in layers] == ["Tanh", "Linear", "ReLU"]
    assert isinstance(layers[1:], nn.ModuleList)
    assert len(layers[1:]) == 2


def test_layers_compute_what_they_say() -> None:
    x = tn.tensor([[-1.0, 0.0, 2.0]])
    e = np.exp(x.numpy())
    for layer, expected in (
        (nn.ReLU(), [[0, 0, 2]]),
        (nn.Tanh(), np.tanh(x.numpy())),
        (nn.Sigmoid(), e / (1 + e)),
        (nn.Softmax(dim=1), e / e.sum()),
        (nn.LogSoftmax(dim=1), np.log(e / e.sum())),
        (nn.Identity(3, anything=4), x.numpy()),
        (nn.Flatten(0), x.numpy().ravel()),
    ):
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-6)
    assert nn.Flatten()(tn.ones(2, 3, 4)).shape == (2, 12)


def test_softmax_takes_both_spellings() -> None:
    x = tn.randn(2, 3)
    np.testing.assert_array_equal(F.softmax(x, dim=0).numpy(), F.softmax(x, axis=0).numpy())
    np.testing.assert_array_equal(F.softmax(x, -1).numpy(), x.softmax(dim=1).numpy())
    assert F.softmax(x, 1, dtype=tn.float64).dtype == np.dtype("f8")
    assert F.softmax(tn.tensor(3.0), 0).item() == 1
    with pytest.raises(OutOfRangeError, match="no axis 2"):
        F.softmax(x, 2)


def test_losses_are_the_functions() -> None:
    x, t = tn.randn(4, 3), tn.tensor([0, 2, 1, 2])
    y = tn.rand(4, 3)
    for r in ("none", "mean", "sum"):
        pairs = (
            (nn.CrossEntropyLoss(reduction=r)(x, t), F.cross_entropy(x, t, reduction=r)),
            (nn.MSELoss(r)(x, y), F.mse_loss(x, y, reduction=r)),
            (
                nn.BCEWithLogitsLoss(reduction=r)(x, y),
                F.binary_cross_entropy_with_logits(x, y, reduction=r),
            ),
        )
        for a, b in pairs:
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(ArgumentError, match="no such reduction"):
        nn.MSELoss("average")


def test_one_hot() -> None:
    ids = tn.tensor([[0, 2], [1, 1]])
    np.testing.assert_array_equal(F.one_hot(ids).numpy(), np.eye(3)[ids.numpy()])
    assert F.one_hot(ids, 5).shape == (2, 2, 5)
    assert F.one_hot(tn.tensor(1), 2).tolist() == [0, 1]
    with pytest.raises(OutOfRangeError, match="one_hot"):
        F.one_hot(ids, 2)
    with pytest.raises(DTypeError, match="whole numbers"):
        F.one_hot(tn.ones(2))
    with pytest.raises(ShapeError, match="num_classes"):
        F.one_hot(tn.tensor(np.zeros(0, np.int64)))


# -- all gradients at once ---------------------------------------------------------------------


def test_clipping() -> None:
    ps = [tn.zeros(2, requires_grad=True), tn.zeros(1, requires_grad=True), tn.zeros(1)]
    ps[0].grad, ps[1].grad = tn.tensor([3.0, 0.0]), tn.tensor([4.0])
    assert float(nn.utils.clip_grad_norm_(ps, 10.0)) == 5
    assert ps[0].grad.tolist() == [3, 0]
    nn.utils.clip_grad_norm_(ps, 1.0)
    np.testing.assert_allclose(ps[1].grad.numpy(), [0.8], rtol=1e-5)
    assert math.isclose(float(nn.utils.clip_grad_norm_(iter(ps), 9, math.inf)), 0.8, rel_tol=1e-5)
    nn.utils.clip_grad_value_(ps, 0.5)
    assert ps[0].grad.tolist() == [0.5, 0]
    ps[0].grad = tn.tensor([math.nan, 0.0])
    with pytest.raises(ArgumentError, match="not finite"):
        nn.utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)
    assert float(nn.utils.clip_grad_norm_([tn.ones(1)], 1.0)) == 0
    with pytest.raises(ArgumentError, match="norm_type is positive"):
        nn.utils.clip_grad_norm_(ps, 1.0, 0.0)


def test_parameters_as_one_vector() -> None:
    model = mlp()
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.shape == (26,)
    (vector * 2).sum().backward()
    assert (model[0].weight.grad.numpy() == 2).all()
    nn.utils.vector_to_parameters(tn.arange(26.0), model.parameters())
    assert model[2].bias.tolist() == [24, 25]
    with pytest.raises(ShapeError, match=r"\(26,\)"):
        nn.utils.vector_to_parameters(tn.ones(25), model.parameters())


# -- against PyTorch ---------------------------------------------------------------------------


@pytest.mark.peers
def test_peer_state_and_training() -> None:
    """One model, the same weights both ways; outputs, loss, gradients, clipped norms agree."""
    torch = pytest.importorskip("torch")
    ours = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 3)
    ).double()
    layers = torch.nn
    theirs = layers.Sequential(
        layers.Flatten(),
        layers.Linear(12, 8),
        layers.ReLU(),
        layers.Linear(8, 8),
        layers.Sigmoid(),
        layers.Linear(8, 3),
    ).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((5, 3, 4)), rng.integers(0, 3, 5)
    mine = F.cross_entropy(ours(tn.tensor(x)), tn.tensor(t))
    loss = layers.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(t))
    mine.backward()
    loss.backward()
    assert math.isclose(mine.item(), loss.item(), rel_tol=1e-13)
    norms = [
        float(nn.utils.clip_grad_norm_(ours.parameters(), 0.1)),
        float(layers.utils.clip_grad_norm_(theirs.parameters(), 0.1)),
    ]
    assert math.isclose(*norms, rel_tol=1e-12)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-11, atol=1e-15)
