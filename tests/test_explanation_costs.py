"""What a computation costs, against counts by hand; and the naive recursions."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import OutOfRangeError
from tinynet.op import registry

F = nn.functional


def row(loss: Any, title: str) -> Any:
    (found,) = [r for r in tn.explain.cost(loss).rows if r.step.title == title]
    return found


def leaf(*shape: int) -> Any:
    return tn.ones(*shape, requires_grad=True)


def test_elementwise() -> None:
    x, y = leaf(4, 5), leaf(4, 5)
    r = row((x * y).sum(), "mul")
    assert (r.forward.flops, r.forward.read, r.forward.written) == (20, 160, 80)
    assert (r.backward.flops, r.backward.read, r.backward.written) == (40, 320, 160)
    assert r.kept == 0  # x and y are leaves
    z = (x * 2).tanh()
    r = row(z.sum(), "tanh")
    assert (r.forward.flops, r.forward.special) == (0, 20)
    assert r.backward.flops == 60  # g (1 − y y)
    assert r.kept == 80  # y


def test_matrix_products() -> None:
    x, W, b = leaf(7, 5), leaf(3, 5), leaf(3)
    r = row((x @ W.T).sum(), "matmul")
    assert r.forward.flops == 2 * 7 * 5 * 3
    assert r.backward.flops == 4 * 7 * 5 * 3
    r = row(F.linear(x, W, b).sum(), "linear")
    assert r.forward.flops == 2 * 7 * 5 * 3 + 7 * 3
    assert r.backward.flops == 4 * 7 * 5 * 3 + 6 * 3
    x = tn.ones(7, 5)  # whose gradient nobody wants
    r = row(F.linear(x, W, b).sum(), "linear")
    assert r.backward.flops == 2 * 7 * 5 * 3 + 6 * 3


def test_convolution() -> None:
    x, W = leaf(2, 3, 6, 6), leaf(4, 3, 3, 3)
    r = row(F.conv2d(x, W).sum(), "conv2d")
    product = 2 * 2 * 4 * 16 * 27  # 2 images, 4 filters, 16 places, 27 numbers under the window
    assert r.forward.flops == product
    # W̄ is summed over the images; x̄ gets a number from each tap of each window.
    assert r.backward.flops == 2 * product + W.numel() + 2 * 16 * 27
    columns, y = 4 * 2 * 27 * 16, 4 * 2 * 4 * 16
    assert r.forward.read == columns + 4 * W.numel() + columns
    assert r.forward.written == columns + y
    r = row(F.conv2d(tn.ones(2, 3, 6, 6), W).sum(), "conv2d")  # nobody wants x̄
    assert r.backward.flops == product + W.numel()
    assert r.kept == 4 * 2 * 3 * 36  # the images, which nobody else holds


def test_convolution_with_options() -> None:
    x, W, b = leaf(2, 3, 6, 6), leaf(4, 3, 3, 3), leaf(4)
    r = row(F.conv2d(x, W, b, stride=2, padding=1).sum(), "conv2d")
    product, y = 2 * 2 * 4 * 9 * 27, 2 * 4 * 9
    assert r.forward.flops == product + y
    taps = (2 + 3 + 3) ** 2  # of 9 · 9, those that do not fall on the padding
    assert r.backward.flops == 2 * product + W.numel() + 2 * 3 * taps + (y - 4)
    x, W = leaf(2, 4, 6, 6), leaf(4, 2, 3, 3)
    r = row(F.conv2d(x, W, groups=2).sum(), "conv2d")  # each filter sees half of the channels
    product = 2 * 2 * 4 * 16 * 18
    assert r.forward.flops == product
    assert r.backward.flops == 2 * product + W.numel() + 2 * 4 * 9 * 16


def test_broadcasting_is_undone_by_a_sum() -> None:
    x, b = leaf(4, 5), leaf(5)
    r = row((x + b).sum(), "add")
    assert (r.forward.flops, r.forward.read, r.forward.written) == (20, 80 + 20, 80)
    assert (r.backward.flops, r.backward.read, r.backward.written) == (15, 80, 20)
    r = row((x * b).sum(), "mul")
    assert r.backward.flops == 20 + 20 + 15
    x, W = leaf(3, 4, 5), leaf(5, 2)
    r = row((x @ W).sum(), "matmul")
    assert r.forward.flops == 2 * 12 * 5 * 2
    assert r.backward.flops == 2 * r.forward.flops  # rows of all samples are one matrix
    x, W = leaf(3, 4, 5), leaf(3, 5, 2)
    r = row((x @ W).sum(), "matmul")
    assert (r.forward.flops, r.forward.read) == (2 * 12 * 5 * 2, 4 * (60 + 30))
    assert r.backward.flops == 2 * r.forward.flops
    x, W = leaf(3, 1, 4, 5), leaf(2, 5, 2)
    r = row((x @ W).sum(), "matmul")
    assert r.forward.flops == 2 * 6 * 4 * 5 * 2
    assert r.backward.flops == 2 * r.forward.flops + 60 + 2 * 20  # summed over 2, and over 3


def test_paths_are_added() -> None:
    """For the step whose part arrives later: backward, that is the earlier one."""
    x = leaf(4, 5)
    costs = tn.explain.cost((x.tanh() + x.exp()).sum()).by_op()
    assert costs["exp"].backward.flops == 20
    assert costs["tanh"].backward.flops == 60 + 20
    r = row((x + x).sum(), "add")
    assert (r.backward.flops, r.backward.read, r.backward.written) == (20, 160, 80)


def test_softmax() -> None:
    x = leaf(4, 5)
    r = row(tn.softmax(x, -1).sum(), "softmax")
    assert r.forward.flops == (20 - 4) + 20 + (20 - 4) + 20  # max, x − max, Σ, ÷
    assert r.forward.special == 20
    assert r.forward.read == 80 + (80 + 16) + 80 + 80 + (80 + 16)
    assert r.forward.written == 16 + 80 + 80 + 16 + 80
    assert r.backward.flops == 20 + (20 - 4) + 20 + 20  # g y, Σ, g − Σ, times y
    assert r.kept == 80


def test_layer_norm() -> None:
    x, w, b = leaf(4, 5), leaf(5), leaf(5)
    r = row(F.layer_norm(x, (5,), w, b).sum(), "layer_norm")
    centred, spread = 20 + 20, 40 + 4 + 4 + 4  # mean, x − mean; Σ c², /n, + ε, 1/√
    assert r.forward.flops == centred + spread + 20 + 20 + 20
    assert r.forward.special == 4
    h, mean_of_product, mean = 20, 40 + 4 + 4, 20  # g γ; Σ h x̂, /n and its sign
    dx = mean_of_product + 20 + 20 + mean + 20 + 20
    assert r.backward.flops == h + dx + 40 + (20 - 5)  # γ̄ = Σ g x̂, β̄ = Σ g
    assert r.kept == 80 + 16  # x̂ and s


def test_embedding() -> None:
    W = leaf(100, 4)
    r = row(F.embedding(tn.tensor([1, 2, 3, 1, 2, 3]), W).sum(), "embedding")
    assert r.forward.flops == 0
    assert r.forward.read < 400 < W.numel() * 4  # the rows that are looked up, not the table
    assert r.backward.flops == 6 * 4  # each row is added
    assert r.kept == 6 * 8


def test_pooling() -> None:
    x = leaf(1, 1, 4, 4)
    r = row(F.max_pool2d(x, 2).sum(), "max_pool")
    assert r.forward.flops == 4 * 4  # a max for each entry, with −∞ at first
    assert r.backward.flops == 16
    assert r.kept == 4  # a byte for each window: who has won
    r = row(F.avg_pool2d(x, 2).sum(), "avg_pool")
    assert r.forward.flops == r.backward.flops == 16 + 4


def test_scans_and_bounds() -> None:
    x = leaf(4, 5)
    assert row(x.cumsum(1).sum(), "cumsum").forward.flops == 4 * 4
    assert row(x.cumsum(0).sum(), "cumsum").backward.flops == 5 * 3
    assert row(x.clamp(0, 1).sum(), "clamp").forward.flops == 40
    assert row(x.clamp(min=0).sum(), "clamp").forward.flops == 20
    r = row((x.floor() * x).sum(), "floor")
    assert (r.forward.flops, r.forward.special) == (0, 0)
    assert row(x.var().sum(), "var").forward.flops == 80


def test_an_index_that_copies_is_traffic() -> None:
    x = leaf(100, 4)
    view, copy = row(x[10:20].sum(), "getitem"), row(x[[5, 7]].sum(), "getitem")
    assert (view.forward.read, view.forward.written) == (0, 0)
    assert (copy.forward.read - 2 * 8, copy.forward.written) == (32, 32)
    r = row(x.amax(), "amax")
    assert (r.forward.read, r.forward.written) == (1600, 4)


def test_sums() -> None:
    x = leaf(4, 5)
    assert row(x.sum(), "sum").forward.flops == 19
    assert row(x.mean(), "mean").forward.flops == 20


def test_moves_cost_no_flops() -> None:
    x = leaf(4, 6)
    r = row(x.reshape(8, 3).sum(), "reshape")
    assert (r.forward.flops, r.forward.read, r.forward.written, r.kept) == (0, 0, 0, 0)


def test_what_attention_keeps_grows_with_the_length_not_its_square() -> None:
    def kept(n: int) -> int:
        q, k, v = (leaf(1, 2, n, 4) * 1 for _ in range(3))
        return row(F.scaled_dot_product_attention(q, k, v).sum(), "attention").kept

    assert kept(256) <= 2.2 * kept(128)


def test_sums_of_costs() -> None:
    tn.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    cost = tn.explain.cost(model(tn.ones(3, 4)).sum(), model)
    assert sum(c.flops for c in cost.by_op().values()) == cost.flops
    modules = cost.by_module()
    assert set(modules) == {"0", "1", "2", ""}
    assert modules["0"].forward.flops == 2 * 3 * 4 * 8 + 3 * 8
    assert sum(c.kept for c in modules.values()) == cost.kept
    assert "linear" in repr(cost)


@pytest.mark.parametrize("name", sorted(n for n, op in registry.items() if op.differentiable))
def test_every_op_can_be_counted(name: str) -> None:
    from tinynet.check.samples import Draw, sample
    from tinynet.check.sweep import differentiable

    op = registry[name]
    inputs, options = sample(op, Draw(3))
    own = differentiable(inputs)
    tensors = [
        tn.tensor(x, requires_grad=i in own) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(inputs)
    ]
    y = op(*tensors, **options)
    if y.requires_grad:
        cost = tn.explain.cost(y.sum())
        assert cost.forward.read + cost.forward.flops >= 0
        assert len(cost.rows) == 2


def test_convolution_as_a_product_costs_memory() -> None:
    x, W = leaf(2, 3, 8, 8), leaf(4, 3, 3, 3)
    direct = tn.explain.cost(F.conv2d(x, W).sum())
    by_hand = tn.explain.cost((W.reshape(4, 27) @ F.unfold(x, 3)).sum())
    assert by_hand.by_op()["matmul"].forward.flops == direct.by_op()["conv2d"].forward.flops
    assert by_hand.kept == 4 * 2 * 27 * 36  # the windows, side by side
    assert direct.kept == 0


def test_attention() -> None:
    q, k, v = (leaf(2, 5, n) for n in (3, 3, 4))  # two heads
    r = row(F.scaled_dot_product_attention(q, k, v).sum(), "attention")
    qk, pv, pairs, rows = 2 * 2 * 25 * 3, 2 * 2 * 25 * 4, 2 * 25, 2 * 5
    scores, y = 30 + qk, 40  # q / √E first
    assert r.forward.special == pairs + rows  # exp, and ln of the sum
    largest = total = pairs - rows
    assert r.forward.flops == scores + largest + pairs + total + rows + pv + y
    # backward: Σ g y; the weights once more; v̄, p̄, s̄ = p (p̄ − Σ); q̄ and k̄, scaled and added
    assert r.backward.special == pairs
    assert r.backward.flops == (
        (40 + 40 - rows) + (scores + pairs) + (pv + 40) + pv + 2 * pairs + 2 * (qk + 30 + 30)
    )
    assert r.kept == 4 * (2 * 5 * 4 + rows)  # y and ln of the sums


def test_lstm() -> None:
    T, B, E, H = 5, 2, 3, 4
    lstm = nn.LSTM(E, H)
    r = row(lstm(tn.ones(T, B, E))[0].sum(), "lstm")
    products = 2 * T * B * 4 * H * (E + H)
    gates = 5 * T * B * 4 * H  # the bias; what h adds; half in, half out and a half more for σ
    states = 4 * T * B * H  # f c + i u, and o tanh c
    once = 3 * 4 * H  # b + b, and the halves
    assert r.forward.flops == products + gates + states + once
    assert r.forward.special == 5 * T * B * H  # four gates, and tanh c
    n = T * B * H
    slopes = 4 * n * 2 + n + n + 3 * n + n + 3 * n  # a (1 − a), then what each is multiplied with
    walk = n + 3 * n + 3 * n + n + 2 * n * 4 * H + n  # h̄, c̄, ā, ā W, c̄ f
    weights = 2 * T * B * 4 * H * (E + H) + 2 * 4 * H * (T * B - 1)  # and two biases
    assert r.backward.flops == slopes + walk + weights
    assert r.backward.special == n
    states = (T + 1) * B * 2 * H
    assert r.kept == 4 * (T * B * E + 2 * B * H + T * B * 4 * H + states)  # x, h₀, c₀, gates


def test_rnn() -> None:
    T, B, E, H = 5, 2, 3, 4
    r = row(nn.RNN(E, H)(tn.ones(T, B, E))[0].sum(), "rnn")
    n = T * B * H
    products = 2 * n * (E + H)
    assert r.forward.flops == products + 2 * n + 2 * H  # b + b once; what h adds, and the bias
    assert r.forward.special == n
    # 1 − h², ḣ + …, times the slope; ā W; then the weights and two biases
    assert r.backward.flops == 2 * n + 2 * n + 2 * n * H + products + 2 * H * (T * B - 1)


def test_dropout_keeps_its_mask() -> None:
    x = leaf(4, 5)
    assert (
        row(F.dropout(x, 0.5).sum(), "dropout").kept == 80 + 20
    )  # the output; a byte for each entry
    mask = tn.ones(4, 5)
    assert row((x * mask).sum(), "mul").kept == 0  # somebody holds it anyway


def networks() -> dict[str, tuple[Any, Any, int]]:
    """Models, their inputs, and how many classes they know."""
    tn.manual_seed(0)

    class Reader(nn.Module):
        def __init__(self, rnn: Any) -> None:
            super().__init__()
            self.table, self.rnn, self.out = nn.Embedding(50, 16), rnn, nn.Linear(32, 5)

        def forward(self, ids: Any) -> Any:
            return self.out(self.rnn(self.table(ids))[0][:, -1])

    dense = nn.Sequential(
        *(nn.Linear(32, 128), nn.Dropout(), nn.GELU(), nn.LayerNorm(128)),
        *(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 5)),
    )
    picture = nn.Sequential(
        *(nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(72, 5)),
    )
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    text = nn.Sequential(nn.Embedding(50, 16), layer, nn.Flatten(), nn.Linear(320, 5))
    ids = tn.randint(0, 50, (16, 20))
    return {
        "dense": (dense, tn.randn(128, 32), 5),
        "picture": (picture, tn.randn(16, 2, 16, 16), 5),
        "transformer": (text, ids, 5),
        "gru": (Reader(nn.GRU(16, 32, batch_first=True)), ids, 5),
        "lstm": (Reader(nn.LSTM(16, 32, batch_first=True)), ids, 5),
    }


@pytest.mark.parametrize("name", ["dense", "picture", "transformer", "gru", "lstm"])
def test_what_is_kept_is_what_python_holds(name: str) -> None:
    """The memory of the process, before a forward pass and after it."""
    model, x, classes = networks()[name]
    targets = tn.randint(0, classes, (len(x),))
    with tn.kernels.use("reference"):
        F.cross_entropy(model(x), targets)  # what is made once
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        loss = F.cross_entropy(model(x), targets)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        cost = tn.explain.cost(loss, model)
    overhead = after - before - cost.kept
    assert 0 <= overhead < 2000 * len(cost.rows)  # nodes, shapes, indices


def test_a_view_keeps_all_of_its_memory() -> None:
    x = leaf(4, 6).exp()
    assert row((x[:, :2] * x[:, :2]).sum(), "mul").kept == 0  # exp keeps what it made
    x = leaf(4, 6) + 1
    assert row((x[:, :2] * x[:, :2]).sum(), "mul").kept == 4 * 4 * 6


def test_checkpoints_keep_less_and_compute_more() -> None:
    tn.manual_seed(0)
    parts = [nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh()) for _ in "abc"]
    model, x = nn.Sequential(*parts), tn.ones(2, 4)

    def forgetful(x: Any) -> Any:
        for part in parts:
            x = tn.utils.checkpoint.checkpoint(part, x, use_reentrant=False)
        return x.sum()

    whole = tn.explain.cost(model(x).sum(), model)
    less = tn.explain.cost(forgetful(x), model)
    assert whole.kept == 6 * 4 * 8  # what each tanh made
    assert less.kept == 2 * 4 * 8  # what went into the second and the third part
    assert less.forward == whole.forward
    forward = whole.forward.flops - 7  # the sum is outside
    assert less.backward.flops == whole.backward.flops + forward
    ours, theirs = less.by_module(), whole.by_module()
    assert set(ours) == set(theirs)
    for name in "012":
        assert ours[name].forward == theirs[name].forward
        assert ours[name].flops == theirs[name].flops + theirs[name].forward.flops


def test_recursion() -> None:
    a = tn.tensor(1.0, requires_grad=True, name="a")
    x = a
    for _ in range(5):
        x = x + x
    walks = tn.explain.recursion(x)
    assert float(walks.newest_first.gradients["a"]) == 32
    assert float(walks.passing_arrivals.gradients["a"]) == 32
    assert walks.newest_first.visits["a"] == 1
    assert walks.passing_arrivals.visits["a"] == 32
    assert float(walks.passing_sums.gradients["a"]) > 32
    for _ in range(20):
        x = x + x
    with pytest.raises(OutOfRangeError, match="visits"):
        tn.explain.recursion(x)
