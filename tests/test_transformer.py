"""Attention in several heads, and the Transformer that is made of it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return tn.tensor(rng.standard_normal(shape))


def assert_same(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(
        a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance
    )


def spread(module: Any) -> Any:
    """The module in float64, evaluating, with weights that are all different from 0 and 1."""
    for p in module.double().eval().parameters():
        p.data[...] = rng.standard_normal(p.shape) / math.sqrt(p.shape[-1])
    return module


def heads(E: int = 6, H: int = 2, **options: Any) -> Any:
    return spread(nn.MultiheadAttention(E, H, batch_first=True, **options))


# -- several heads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [{}, {"kdim": 3, "vdim": 5}, {"bias": False}])
def test_heads_run_one_by_one(other: Any) -> None:
    layer = heads(6, 3, **other)
    q = normal(2, 4, 6)
    k, v = normal(2, 5, layer.kdim), normal(2, 5, layer.vdim)
    if layer.in_proj_weight is None:
        weights = [layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight]
    else:
        weights = [layer.in_proj_weight[6 * i : 6 * i + 6] for i in range(3)]
    answers, looks = [], []
    for h in range(3):
        rows = slice(2 * h, 2 * h + 2)
        parts = []
        for i, (x, w) in enumerate(zip((q, k, v), weights, strict=True)):
            b = 0 if layer.in_proj_bias is None else layer.in_proj_bias[6 * i : 6 * i + 6][rows]
            parts.append(x @ w[rows].T + b)
        P = tn.softmax(parts[0] @ parts[1].mT / math.sqrt(2), -1)
        answers.append(P @ parts[2])
        looks.append(P)
    y = layer.out_proj(tn.cat(answers, -1))
    found, mean = layer(q, k, v)
    assert_same(found, y)
    assert_same(mean, tn.stack(looks).mean(0))
    found, each = layer(q, k, v, average_attn_weights=False)
    assert_same(each, tn.stack(looks, 1))
    found, none = layer(q, k, v, need_weights=False)
    assert_same(found, y)
    assert none is None


def test_layouts_of_the_batch() -> None:
    layer = heads()
    q, k = normal(3, 4, 6), normal(3, 5, 6)
    mask = tn.tensor(rng.random((3, 5)) < 0.3)
    y, weights = layer(q, k, k, mask)
    layer.batch_first = False
    turned, again = layer(q.transpose(0, 1), k.transpose(0, 1), k.transpose(0, 1), mask)
    assert_same(turned.transpose(0, 1), y)
    assert_same(again, weights)
    for first in (False, True):
        layer.batch_first = first
        one, alone = layer(q[1], k[1], k[1], mask[1])
        assert_same(one, y[1])
        assert_same(alone, weights[1])
    assert layer(q[1], k[1], k[1], average_attn_weights=False)[1].shape == (2, 4, 5)


@pytest.mark.parametrize("need", [False, True])
def test_masks(need: bool) -> None:
    layer, x = heads(), normal(2, 4, 6)
    each = rng.random((4, 4, 4)) < 0.4
    each[..., 0] = False  # every query keeps a key
    padding = np.array([[False, False, True, True], [False, False, False, True]])

    def added(mask: Any) -> Any:
        return tn.tensor(np.where(mask, -np.inf, 0.0))

    def call(mask: Any = None, padding: Any = None) -> Any:
        return layer(x, x, x, attn_mask=mask, key_padding_mask=padding, need_weights=need)[0]

    both = each | np.repeat(padding, 2, 0)[:, None]
    whole = call(tn.tensor(both))
    forms = [tn.tensor, added]
    for f, g in itertools.product(forms, forms):
        assert_same(call(f(each), g(padding)), whole)
    assert_same(
        call(None, tn.tensor(padding)),
        call(tn.tensor(np.repeat(padding, 2, 0)[:, None].repeat(4, 1))),
    )
    changed = tn.tensor(np.where(padding[..., None], 9.0, x.numpy()))
    y = layer(x, changed, changed, tn.tensor(padding), need)[0]
    assert_same(y, call(None, tn.tensor(padding)))  # what is padded away does not matter
    causal = np.triu(np.ones((4, 4), bool), 1)
    assert_same(call(tn.tensor(causal)), call(added(causal)))
    promised = layer(x, x, x, attn_mask=added(causal), need_weights=need, is_causal=True)[0]
    assert_same(promised, call(tn.tensor(causal)))


def test_a_query_without_keys_gets_the_bias() -> None:
    layer, x = heads(), normal(1, 3, 6)
    nothing = tn.tensor(np.array([[False] * 3, [True] * 3, [False] * 3]))
    for need in (False, True):
        y, weights = layer(x, x, x, attn_mask=nothing, need_weights=need)
        assert_same(y[0, 1], layer.out_proj.bias)
    assert (weights[0, 1] == 0).all()


def test_one_more_key_and_value() -> None:
    x = normal(2, 3, 6)
    mask, padding = tn.tensor(np.eye(3, dtype=bool)), tn.tensor(np.ones((2, 3), bool))
    for options in ({"add_bias_kv": True}, {"add_zero_attn": True}):
        layer = heads(**options)
        y, weights = layer(x, x, x, attn_mask=mask)
        assert weights.shape == (2, 3, 4)
        assert_same(weights.sum(-1), tn.ones(2, 3, dtype=tn.float64))
        assert (weights[:, range(3), range(3)] == 0).all()
        assert_same(layer(x, x, x, attn_mask=mask, need_weights=False)[0], y)
        only = layer(x, x, x, padding, need_weights=False)[0]  # nothing else is left to look at
        value = layer.bias_v[0, 0] if layer.bias_v is not None else tn.zeros(6, dtype=tn.float64)
        assert_same(only, layer.out_proj(value).expand(2, 3, 6))
    causal = nn.Transformer.generate_square_subsequent_mask(3, dtype=tn.float64)
    plain = layer(x, x, x, attn_mask=causal, need_weights=False)[0]
    assert_same(layer(x, x, x, attn_mask=causal, need_weights=False, is_causal=True)[0], plain)


def test_dropout_while_training_only() -> None:
    tn.manual_seed(0)
    layer, x = heads(dropout=0.5), normal(2, 4, 6)
    for need in (False, True):
        quiet = layer.eval()(x, x, x, need_weights=need)[0]
        assert_same(layer(x, x, x, need_weights=need)[0], quiet)
        layer.train()
        assert abs(layer(x, x, x, need_weights=need)[0] - quiet).max().item() > 1e-3
    weights = layer(x, x, x, average_attn_weights=False)[1].detach().numpy()
    assert 0.2 < (weights == 0).mean() < 0.8


def test_how_the_weights_start() -> None:
    tn.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    bound = math.sqrt(6 / (64 + 3 * 64))
    assert 0.9 * bound < abs(layer.in_proj_weight).max().item() <= bound
    assert not layer.in_proj_bias.any()
    assert not layer.out_proj.bias.any()
    assert layer.bias_k.any()
    assert abs(layer.out_proj.weight).max().item() <= 1 / 8
    other = nn.MultiheadAttention(64, 4, kdim=8)
    assert abs(other.k_proj_weight).max().item() <= math.sqrt(6 / 72)
    assert list(other.state_dict()) == [
        *("q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias"),
        *("out_proj.weight", "out_proj.bias"),
    ]
    names = ["in_proj_weight", "in_proj_bias", "bias_k", "bias_v"]
    assert list(layer.state_dict()) == [*names, "out_proj.weight", "out_proj.bias"]


def test_mistakes_in_words() -> None:
    with pytest.raises(ArgumentError, match="num_heads divides embed_dim"):
        nn.MultiheadAttention(6, 4)
    layer, x = heads(), normal(2, 4, 6)
    for args in ((x[0], x, x), (x, x[..., :3], x), (x, x[:1], x[:1]), (x, x, x[:, :2])):
        with pytest.raises(ShapeError, match=r"MultiheadAttention: the sizes(.|\n)*\(N, L, 6\)"):
            layer(*args)
    for shape in ((4, 3), (2, 4, 4), (4,)):
        with pytest.raises(ShapeError, match=r"attn_mask does not fit\n.*\(4, 4\) or \(4, 4, 4\)"):
            layer(x, x, x, attn_mask=tn.zeros(*shape))
    with pytest.raises(ShapeError, match=r"key_padding_mask does not fit\n.*\(2, 4\)"):
        layer(x, x, x, tn.zeros(4))
    for mask in (tn.zeros(4, 4), tn.zeros(4, 4, dtype=tn.int64)):
        with pytest.raises(DTypeError, match="attn_mask is of booleans"):
            layer(x, x, x, attn_mask=mask)
    with pytest.raises(ArgumentError, match=r"is_causal says(.|\n)*generate_square"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(ArgumentError, match=r"no such activation\n.*'relu', 'gelu'"):
        nn.TransformerEncoderLayer(6, 2, activation="tanh")
    model = nn.Transformer(6, 2, 1, 1, 8, batch_first=True)
    for src, tgt in ((x[..., :4], x), (x, x[:1]), (x[0], x)):
        with pytest.raises(ShapeError, match=r"Transformer: source(.|\n)*\(N, S, 6\)"):
            model(src, tgt)


# -- layers and stacks -----------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gelu", F.silu])
def test_a_layer_is_its_parts(activation: Any) -> None:
    x, memory = normal(2, 4, 6), normal(2, 3, 6)
    act = {"relu": F.relu, "gelu": F.gelu}.get(activation, activation)
    for first in (False, True):
        options = {"activation": activation, "norm_first": first, "batch_first": True}
        layer = spread(nn.TransformerDecoderLayer(6, 2, 8, **options))
        blocks = [
            (layer.norm1, lambda x, own=layer: own.self_attn(x, x, x)[0]),
            (layer.norm2, lambda x, own=layer: own.multihead_attn(x, memory, memory)[0]),
            (layer.norm3, lambda x, own=layer: own.linear2(act(own.linear1(x)))),
        ]
        y = x
        for norm, f in blocks:
            y = y + f(norm(y)) if first else norm(y + f(y))
        assert_same(layer(x, memory), y)
        encoder = spread(nn.TransformerEncoderLayer(6, 2, 8, **options))
        y = x
        for norm, f in (
            (encoder.norm1, lambda x, own=encoder: own.self_attn(x, x, x)[0]),
            (encoder.norm2, lambda x, own=encoder: own.linear2(act(own.linear1(x)))),
        ):
            y = y + f(norm(y)) if first else norm(y + f(y))
        assert_same(encoder(x), y)


def encoder(layers: int = 2, **options: Any) -> Any:
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, **options)
    return spread(nn.TransformerEncoder(layer, layers, nn.LayerNorm(6)))


def test_an_encoder_without_positions_sees_a_set() -> None:
    model, x, order = encoder(), normal(2, 5, 6), rng.permutation(5)
    assert_same(model(x[:, order]), model(x)[:, order], 1e-11)
    placed = nn.SinusoidalPositions(6)
    moved, still = model(placed(x[:, order])), model(placed(x))[:, order]
    assert abs(moved - still).max().item() > 1e-3


def test_a_causal_encoder_does_not_see_the_future() -> None:
    model, x = encoder(norm_first=True), normal(1, 5, 6).requires_grad_()
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=tn.float64)
    for options in ({"mask": mask}, {"mask": mask, "is_causal": True}, {"mask": mask < 0}):
        for t in range(5):
            y = model(x, **options)[:, t]
            (d,) = tn.autograd.grad(y, x, normal(*y.shape))
            assert (d.numpy()[:, t + 1 :] == 0).all()
            assert (d.numpy()[:, : t + 1] != 0).all()


def test_padding_does_not_matter() -> None:
    tn.manual_seed(0)
    model = spread(nn.Transformer(6, 2, 2, 2, 8, batch_first=True))
    src, tgt = normal(2, 4, 6), normal(2, 3, 6)
    padding = tn.tensor(np.array([[False] * 3 + [True]] * 2))
    masks = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    assert_same(model(src, tgt, **masks), model(src[:, :3], tgt), 1e-11)


def test_each_dropout_has_its_place() -> None:
    model, x = nn.Transformer(6, 2, 1, 1, 8, dropout=0.25), tn.ones(3, 2, 6)
    calls: dict[str, Any] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(
                lambda m, x, y, name=name: calls.update({name: x[0].shape})
            )
    model(x, x)
    networks = {f"{part}.layers.0.dropout": (3, 2, 8) for part in ("encoder", "decoder")}
    blocks = {f"encoder.layers.0.dropout{i}": (3, 2, 6) for i in (1, 2)}
    blocks |= {f"decoder.layers.0.dropout{i}": (3, 2, 6) for i in (1, 2, 3)}
    assert calls == networks | blocks
    attentions = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    assert [m.dropout for m in attentions] == [0.25] * 3


def test_a_stack_owns_its_layers() -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 8)
    stack = nn.TransformerEncoder(layer, 3)
    first, second, _ = stack.layers
    assert_same(first.linear1.weight, second.linear1.weight)
    first.linear1.weight.data[...] = 0
    assert second.linear1.weight.any()
    assert layer.linear1.weight.any()
    assert stack.norm is None
    model, x = encoder(), normal(2, 5, 6)
    assert_same(model(x), model.norm(model.layers[1](model.layers[0](x))))


def test_the_whole_starts_xavier() -> None:
    tn.manual_seed(0)
    model = nn.Transformer(32, 4, 1, 1, 64)
    weight = model.encoder.layers[0].linear1.weight
    bound = math.sqrt(6 / 96)
    assert 0.95 * bound < abs(weight).max().item() <= bound
    custom = nn.Transformer(32, 4, custom_encoder=nn.Identity(), custom_decoder=model.decoder)
    assert custom.decoder is model.decoder


def test_a_transformer_learns_to_reverse() -> None:
    """Five digits, backwards: the position decides which digit to look at."""
    tn.manual_seed(0)
    source = np.random.default_rng(0)
    embed, out = nn.Embedding(10, 16), nn.Linear(16, 10)
    places = nn.Embedding(5, 16)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
    model = nn.ModuleList([embed, places, layer, out])
    optimizer = tn.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        ids = source.integers(0, 10, (32, 5))
        scores = out(layer(embed(tn.tensor(ids)) + places(tn.arange(5))))
        loss = F.cross_entropy(scores.reshape(-1, 10), tn.tensor(ids[:, ::-1].reshape(-1)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_all_of_it_on_the_gpu(cupy: Any) -> None:
    layer = spread(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True))
    heads, x = layer.self_attn, normal(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=tn.float64)
    padding = tn.tensor(np.array([[False] * 4 + [True], [False] * 5]))
    turn, place = nn.RotaryPositions(8), nn.SinusoidalPositions(8)
    results = []
    for device in ("cpu", "cuda"):
        layer.to(device)
        x, mask, padding = (z.detach().to(device) for z in (x, mask, padding))
        x.requires_grad_()
        cache = nn.KeyValueCache()
        steps = [place(x)[:, :2], place(x)[:, 2:]]
        turned = [turn(s, len(cache) + i * 2) for i, s in enumerate(steps)]
        y = tn.cat([cache.attend(t, t, s) for t, s in zip(turned, steps, strict=True)], 1)
        y = layer(y, mask, padding)
        z, weights = heads(y, y, y, padding, attn_mask=mask < 0)
        d = tn.autograd.grad(z, [x, *layer.parameters()], z.detach(), allow_unused=True)
        found = [y, z, weights, *(g for g in d if g is not None)]
        assert all(f.device.startswith(device) for f in found)
        results.append([f.detach().to("cpu") for f in found])
    for a, b in zip(*results, strict=True):
        assert_same(a, b, 1e-10)


# -- against PyTorch -------------------------------------------------------------------------------


class Twin:
    """A module of PyTorch and its counterpart, in float64 and with the same weights."""

    def __init__(self, torch: Any, kind: str, *args: Any, **options: Any) -> None:
        torch.manual_seed(0)
        self.torch = torch
        self.theirs = getattr(torch.nn, kind)(*args, **options).double()
        if "activation" in options and callable(options["activation"]):
            options["activation"] = F.silu
        self.ours = getattr(nn, kind)(*args, **options).double()
        for p in self.theirs.parameters():
            p.data += torch.randn_like(p) * 0.1  # no bias is 0, no copy like another
        state = {k: tn.tensor(v.numpy()) for k, v in self.theirs.state_dict().items()}
        assert list(state) == list(self.ours.state_dict())
        self.ours.load_state_dict(state)

    def check(self, *inputs: Any, **options: Any) -> None:
        """Outputs, and the gradients of all parameters and inputs, for one cotangent."""
        found = []
        for module, library in ((self.theirs, self.torch), (self.ours, tn)):
            made: dict[int, Any] = {}

            def put(x: Any, made: Any = made, library: Any = library) -> Any:
                if not isinstance(x, np.ndarray):
                    return x
                if id(x) not in made:  # one array, one tensor
                    made[id(x)] = library.tensor(x)
                    made[id(x)].requires_grad_(x.dtype.kind == "f" and bool(np.isfinite(x).all()))
                return made[id(x)]

            y = module(*map(put, inputs), **{k: put(v) for k, v in options.items()})
            outputs = [z for z in (y if isinstance(y, tuple) else (y,)) if z is not None]
            source = np.random.default_rng(1)
            drawn = [source.standard_normal(tuple(z.shape)) for z in outputs]
            leaves = [x for x in made.values() if x.requires_grad] + list(module.parameters())
            gradients = library.autograd.grad(
                outputs, leaves, [library.tensor(g) for g in drawn], allow_unused=True
            )
            found.append([*outputs, *gradients])
        for a, b in zip(*found, strict=True):
            if a is None or b is None:
                assert a is b is None or not (b if a is None else a).any()
                continue
            np.testing.assert_allclose(
                b.detach().numpy(), a.detach().numpy(), rtol=1e-9, atol=1e-11
            )


def _masks(N: int, H: int, L: int, S: int) -> dict[str, Any]:
    forbidden = rng.random((N * H, L, S)) < 0.3
    forbidden[..., 0] = False
    padding = rng.random((N, S)) < 0.3
    padding[:, 0] = False
    return {
        "none": {},
        "2-d": {"attn_mask": forbidden[0]},
        "3-d": {"attn_mask": forbidden},
        "floats": {"attn_mask": rng.standard_normal((L, S))},
        "padding": {"key_padding_mask": padding},
        "both": {"attn_mask": forbidden[0], "key_padding_mask": padding},
        "both of floats": {
            "attn_mask": rng.standard_normal((N * H, L, S)),
            "key_padding_mask": np.where(padding, -np.inf, 0.0),
        },
    }


@pytest.mark.peers
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"bias": False},
        {"kdim": 3, "vdim": 4, "batch_first": True},
        {"add_bias_kv": True},
        {"add_zero_attn": True, "add_bias_kv": True, "batch_first": True},
    ],
    ids=str,
)
def test_peer_heads(options: Any) -> None:
    torch = pytest.importorskip("torch")
    twin = Twin(torch, "MultiheadAttention", 6, 2, **options)
    shapes = ((2, 4, 6), (2, 5, options.get("kdim", 6)), (2, 5, options.get("vdim", 6)))
    inputs = [rng.standard_normal(s) for s in shapes]
    if not options.get("batch_first"):
        inputs = [np.ascontiguousarray(x.swapaxes(0, 1)) for x in inputs]
    one = options.get("batch_first", False)
    for need, masks in itertools.product(
        ({}, {"need_weights": False}), _masks(2, 2, 4, 5).values()
    ):
        twin.check(*inputs, **masks, **need)
    for mask in ({}, {"attn_mask": np.triu(np.ones((4, 5), bool), 1)}):
        twin.check(*inputs, average_attn_weights=False, **mask)
        twin.check(*(x[0] if one else x[:, 0] for x in inputs), **mask)
    if len({x.shape[-1] for x in inputs}) == 1:
        twin.check(inputs[0], inputs[0], inputs[0])  # self-attention


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@pytest.mark.parametrize(
    ("activation", "batch_first", "norm_first"),
    [
        ("relu", False, False),
        ("relu", True, True),
        ("gelu", False, True),
        ("gelu", True, False),
        ("function", True, True),
    ],
)
def test_peer_layers(activation: str, batch_first: bool, norm_first: bool) -> None:
    torch = pytest.importorskip("torch")
    options = {
        "dropout": 0.0,
        "batch_first": batch_first,
        "norm_first": norm_first,
        "activation": torch.nn.functional.silu if activation == "function" else activation,
        "bias": activation != "gelu",
        "layer_norm_eps": 1e-3,
    }
    src, tgt = ((2, 5, 6), (2, 4, 6)) if batch_first else ((5, 2, 6), (4, 2, 6))
    src, tgt = rng.standard_normal(src), rng.standard_normal(tgt)
    causal = np.where(np.tri(4, dtype=bool), 0.0, -np.inf)
    padding = np.array([[False] * 4 + [True], [False] * 5])
    layer = Twin(torch, "TransformerEncoderLayer", 6, 2, 8, **options)
    layer.check(tgt)
    layer.check(tgt, causal > -1, is_causal=False)
    layer.check(tgt, causal, is_causal=True)
    layer.check(src, src_key_padding_mask=padding)
    layer = Twin(torch, "TransformerDecoderLayer", 6, 2, 8, **options)
    layer.check(tgt, src)
    layer.check(tgt, src, causal, memory_key_padding_mask=padding, tgt_is_causal=True)
    whole = Twin(torch, "Transformer", 6, 2, 2, 1, 8, **options)
    whole.check(src, tgt)
    whole.check(src, tgt, tgt_mask=causal)
    whole.check(
        src,
        tgt,
        tgt_mask=causal,
        src_key_padding_mask=padding,
        memory_key_padding_mask=padding,
    )
    one = (slice(None), 0) if not batch_first else (0,)
    whole.check(src[one], tgt[one], tgt_mask=causal)
