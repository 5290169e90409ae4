"""Recurrent layers: backpropagation through time, sequences of unlike lengths, layers and cells."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.derivations import gru, lstm, rnn
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)

LAYERS = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN}
CELLS = {"GRU": nn.GRUCell, "LSTM": nn.LSTMCell, "RNN": nn.RNNCell}
MODES = [*LAYERS]
for made in (LAYERS, CELLS):
    made["relu"] = partial(made["RNN"], nonlinearity="relu")


def normal(*shape: int, seed: int = 0) -> Any:
    rng = np.random.default_rng((seed, *shape))
    return tn.tensor(rng.standard_normal(shape), requires_grad=True)


def layer(mode: str, *sizes: int, **options: Any) -> Any:
    return LAYERS[mode](*sizes, dtype=tn.float64, **options)


def first_state(mode: str, *shape: int, proj_size: int = 0) -> Any:
    state = normal(*shape[:-1], proj_size or shape[-1], seed=1), normal(*shape, seed=2)
    return state if mode == "LSTM" else state[0]


def flat(*values: Any) -> list[Any]:
    """The Tensors in nested tuples."""
    return [t for v in values for t in (flat(*v) if isinstance(v, tuple) else [v])]


def gradients(outputs: list[Any], inputs: list[Any]) -> list[Any]:
    """Of random cotangents; the same ones for outputs of the same shape."""
    cotangents = [normal(*y.shape, seed=9).detach() for y in outputs]
    found = tn.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    pairs = zip(found, inputs, strict=True)
    return [np.zeros(x.shape) if d is None else d.numpy() for d, x in pairs]


def assert_close(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        a, b = (v.detach().numpy() if isinstance(v, tn.Tensor) else v for v in (a, b))
        largest = max(1.0, float(np.max(np.abs(b), initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * largest)


# -- why gradients vanish --------------------------------------------------------------------------


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_what_is_carried_is_the_product_of_the_jacobians_and_the_bound_holds(
    nonlinearity: str,
) -> None:
    rng = np.random.default_rng(0)
    x, h0 = rng.standard_normal((12, 1, 3)), tn.tensor(np.zeros((1, 4)), requires_grad=True)
    W_ih, W_hh = rng.standard_normal((4, 3)), 0.4 * rng.standard_normal((4, 4))
    y = rnn.op(tn.tensor(x), h0, tn.tensor(W_ih), tn.tensor(W_hh), nonlinearity=nonlinearity)
    for T in (1, 2, 5, 12):
        rows = [tn.autograd.grad(y[T - 1, 0, j], h0, retain_graph=True)[0] for j in range(4)]
        measured = np.concatenate([row.numpy() for row in rows])
        product = rnn.carried(y.detach().numpy()[:T, 0], W_hh, nonlinearity=nonlinearity)
        np.testing.assert_allclose(measured, product, rtol=1e-12, atol=1e-14)
        assert 0 < np.linalg.norm(measured, 2) <= rnn.carried_at_most(W_hh, T)


def test_the_bound_is_reached_where_relu_lets_everything_through() -> None:
    W, h = np.diag([0.5, -0.1]), np.ones((6, 2))
    product = rnn.carried(h, W, nonlinearity="relu")
    assert np.linalg.norm(product, 2) == pytest.approx(0.5**6) == rnn.carried_at_most(W, 6)


def test_a_gradient_passes_hundreds_of_steps_of_an_lstm_whose_gate_is_open_and_of_no_rnn() -> None:
    T, H = 300, 4
    rng = np.random.default_rng(1)
    x, zero = rng.standard_normal((T, 1, 2)), np.zeros((1, H))
    kept = np.concatenate([np.zeros(H), np.full(H, 20.0), np.zeros(2 * H)])  # f ≈ 1 − 2e-9
    W = [0.3 * rng.standard_normal(s) for s in ((4 * H, 2), (4 * H, H))]
    c0 = tn.tensor(zero, requires_grad=True)
    y = lstm.op(*map(tn.tensor, (x, zero)), c0, *map(tn.tensor, (*W, kept, 0 * kept)))
    (through_lstm,) = tn.autograd.grad(y[-1, 0, H:].sum(), c0)
    h0 = tn.tensor(zero, requires_grad=True)
    y = rnn.op(tn.tensor(x), h0, tn.tensor(W[0][:H]), tn.tensor(W[1][:H]))
    (through_rnn,) = tn.autograd.grad(y[-1].sum(), h0)
    assert (np.abs(through_lstm.numpy()) > 0.1).all()
    assert np.abs(through_rnn.numpy()).max() < 1e-30


# -- the ops ---------------------------------------------------------------------------------------

PROOFS = {"RNN": rnn, "LSTM": lstm, "GRU": gru}


def weights(mode: str, inputs: int, H: int) -> list[Any]:
    rows = {"RNN": 1, "LSTM": 4, "GRU": 3}[mode] * H
    return [normal(rows, inputs), normal(rows, H), normal(rows, seed=3), normal(rows, seed=4)]


@pytest.mark.parametrize("mode", MODES)
def test_long_sequences_are_their_definition(mode: str) -> None:
    """Values and all gradients; the property tests have short sequences only."""
    proof, own = PROOFS[mode], weights(mode, 3, 4)
    args = [normal(20, 5, 3), *flat(first_state(mode, 5, 4)), *own]
    for options in ({}, {"lengths": (20, 3, 0, 11, 1)}, {"lengths": (7,) * 5, "reverse": True}):
        results = [f(*args, **options) for f in (proof.op, proof.definition)]
        assert_close(results[:1], results[1:])
        assert_close(*(gradients([y], args) for y in results))


@pytest.mark.parametrize("mode", MODES)
def test_only_the_gradients_that_are_needed(mode: str) -> None:
    proof = PROOFS[mode]
    args = [normal(3, 2, 2), *flat(first_state(mode, 2, 2)), *weights(mode, 2, 2)]
    y, saved = proof.forward(*(x.detach().numpy() for x in args))
    g = np.random.default_rng(0).standard_normal(y.shape)
    every = proof.backward(g, saved)
    states = range(1, 3 if mode == "LSTM" else 2)  # their gradients are found on the way
    for i in range(len(args)):
        found = proof.backward(g, saved, needs=tuple(k == i for k in range(len(args))))
        assert [k for k, d in enumerate(found) if d is not None] == sorted({i, *states})
        np.testing.assert_array_equal(found[i], every[i])


@pytest.mark.parametrize("mode", MODES)
def test_a_second_backward_pass_finds_what_the_first_found(mode: str) -> None:
    """What was saved is not spoilt by what is computed from it."""
    args = [normal(4, 2, 2), *flat(first_state(mode, 2, 2)), *weights(mode, 2, 2)]
    y = PROOFS[mode].op(*args, lengths=(4, 2))
    g = normal(*y.shape, seed=9).detach()
    first, again = (tn.autograd.grad(y, args, g, retain_graph=True) for _ in range(2))
    assert_close(first, again)


@pytest.mark.parametrize("mode", MODES)
def test_what_stands_in_the_padding_changes_nothing(mode: str) -> None:
    """Not even NaN: neither values nor gradients, of first and of second order."""
    args = [normal(4, 2, 2), *flat(first_state(mode, 2, 2)), *weights(mode, 2, 2)]
    padded = args[0].detach().clone()
    padded[2:, 1] = np.nan
    results = []
    for x in (args[0], padded.requires_grad_()):
        own = [x, *args[1:]]
        y = PROOFS[mode].op(*own, lengths=(4, 2))
        g = normal(*y.shape, seed=9).detach()
        first = tn.autograd.grad(y, own, g, create_graph=True)
        again = gradients(list(first), own)
        results.append([y, *gradients([PROOFS[mode].op(*own, lengths=(4, 2))], own), *again])
    assert_close(*results)


@pytest.mark.parametrize("mode", MODES)
def test_saturated_gates_stay_finite(mode: str) -> None:
    args = [1e4 * normal(3, 2, 2), *flat(first_state(mode, 2, 2)), *weights(mode, 2, 2)]
    with np.errstate(all="raise", under="ignore"):
        y = PROOFS[mode].op(*args)
        assert all(np.isfinite(d).all() for d in gradients([y], args))


def test_mistakes_at_the_door_of_the_ops() -> None:
    x, h, W, V = normal(3, 2, 4), normal(2, 5), normal(5, 4), normal(5, 5)
    for bad in (
        (x[0], h, W, V),
        (x, h[:1], W, V),
        (x, h, V, V),
        (x, h, W, W),
        (x, h, W, V, normal(5)),
        (x, h, W, V, normal(5), normal(4)),
    ):
        with pytest.raises(ShapeError, match=r"rnn: the sizes do not fit\n.*W_ih \(H, I\)"):
            rnn.op(*bad)
    with pytest.raises(ShapeError, match=r"lstm: the sizes do not fit\n.*W_ih \(4H, I\)"):
        lstm.op(x, h, h, W, V)
    with pytest.raises(ShapeError, match="gru: a sequence has at least one step"):
        gru.op(x[:0], h, normal(15, 4), normal(15, 5))
    for lengths in ((3,), (3, 4), (-1, 3)):
        with pytest.raises(ShapeError, match=r"lengths do not fit\n.*2 whole numbers from 0 to 3"):
            rnn.op(x, h, W, V, lengths=lengths)
    with pytest.raises(ArgumentError, match="no such nonlinearity"):
        rnn.op(x, h, W, V, nonlinearity="sigmoid")


def test_mistakes_at_the_door_of_a_projection() -> None:
    right = {"h0": (2, 2), "c0": (2, 5), "W_ih": (20, 4), "W_hh": (20, 2), "W_hr": (2, 5)}
    x = normal(3, 2, 4)
    assert lstm.op(x, *(normal(*shape) for shape in right.values())).shape == (3, 2, 7)
    wrong = {"h0": (2, 5), "c0": (2, 2), "W_ih": (20, 3), "W_hh": (20, 5), "W_hr": (5, 2)}
    for name, shape in [*wrong.items(), ("W_hr", ()), ("W_hr", (20,))]:
        with pytest.raises(ShapeError, match=r"lstm: .*\n.*with W_hr \(P, H\), h \(N, P\)"):
            lstm.op(x, *(normal(*shape) for shape in {**right, name: shape}.values()))


# -- the layers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", LAYERS)
def test_a_sequence_may_be_split_when_the_state_is_handed_over(mode: str) -> None:
    model, x = layer(mode, 3, 4, num_layers=2), normal(7, 2, 3)
    hx, ends = first_state(mode, 2, 2, 4), [x, *model.parameters()]
    whole, last = model(x, hx)
    early, between = model(x[:3], hx)
    late, end = model(x[3:], between)
    split = tn.cat([early, late])
    assert_close(flat(split, end), flat(whole, last))
    assert_close(
        gradients(flat(split, end), [*ends, *flat(hx)]),
        gradients(flat(whole, last), [*ends, *flat(hx)]),
    )


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("mode", [*LAYERS, "projected"])
def test_a_packed_batch_is_each_sequence_alone(mode: str, bidirectional: bool) -> None:
    """Outputs, last states and gradients; whatever stands in the padding."""
    mode, P = ("LSTM", 1) if mode == "projected" else (mode, 0)
    projection = {"proj_size": P} if P else {}
    model = layer(mode, 3, 2, num_layers=2, bidirectional=bidirectional, **projection)
    layers, lengths = 4 if bidirectional else 2, [2, 5, 1, 5]
    x, hx = normal(5, 4, 3), first_state(mode, layers, 4, 2, proj_size=P)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    output, last = model(packed, hx)
    assert isinstance(output, PackedSequence)
    padded, counts = pad_packed_sequence(output)
    assert counts.tolist() == lengths
    alone, ends = [], []
    for n, length in enumerate(lengths):
        own = tuple(h[:, n : n + 1] for h in flat(hx))
        y, end = model(x[:length, n : n + 1], own if mode == "LSTM" else own[0])
        alone.append(tn.nn.functional.pad(y, (0, 0, 0, 0, 0, 5 - length)))
        ends.append(flat(end))
    expected = [tn.cat(alone, 1), *(tn.cat(parts, 1) for parts in zip(*ends, strict=True))]
    assert_close([padded, *flat(last)], expected)
    inputs = [x, *flat(hx), *model.parameters()]
    found = gradients([padded, *flat(last)], inputs)
    assert_close(found, gradients(expected, inputs))
    for n, length in enumerate(lengths):
        assert not found[0][length:, n].any()


@pytest.mark.parametrize("mode", LAYERS)
def test_two_directions_are_a_run_forwards_and_a_run_backwards(mode: str) -> None:
    model, x = layer(mode, 3, 4, bidirectional=True), normal(5, 2, 3)
    hx = first_state(mode, 2, 2, 4)
    output, last = model(x, hx)
    ends = []
    for way, suffix in enumerate(("", "_reverse")):
        one = layer(mode, 3, 4)
        own = {k: v for k, v in model.state_dict().items() if k.endswith(f"l0{suffix}")}
        one.load_state_dict({k.removesuffix("_reverse"): v for k, v in own.items()})
        start = tuple(h[way : way + 1] for h in flat(hx))
        y, end = one(tn.flip(x, (0,)) if way else x, start if mode == "LSTM" else start[0])
        y = tn.flip(y, (0,)) if way else y
        assert_close([output[..., 4 * way : 4 * way + 4]], [y])
        ends.append(flat(end))
    assert_close(flat(last), [tn.cat(parts) for parts in zip(*ends, strict=True)])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mode", LAYERS)
def test_a_loop_of_cells_is_the_layer(mode: str, bias: bool) -> None:
    model, cell = layer(mode, 3, 4, bias=bias), CELLS[mode](3, 4, bias=bias, dtype=tn.float64)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in model.state_dict().items()})
    x, hx = normal(5, 2, 3), first_state(mode, 2, 4)
    states, state = [], hx
    for t in range(5):
        state = cell(x[t], state)
        states.append(flat(state)[0])
    start = tuple(h.unsqueeze(0) for h in flat(hx))
    output, last = model(x, start if mode == "LSTM" else start[0])
    assert_close([tn.stack(states), *flat(state)], [output, *(h[0] for h in flat(last))])
    inputs = [x, *flat(hx)]
    assert_close(
        gradients([tn.stack(states), *cell.parameters()], [*inputs, *cell.parameters()]),
        gradients([output, *model.parameters()], [*inputs, *model.parameters()]),
    )
    alone, zero = (tuple(f(h) for h in flat(hx)) for f in (lambda h: h[0], lambda h: 0 * h))
    after = cell(x[0, 0], alone if mode == "LSTM" else alone[0])
    assert_close(flat(after), [h[0] for h in flat(cell(x[0], hx))])
    assert_close(flat(cell(x[0])), flat(cell(x[0], zero if mode == "LSTM" else zero[0])))
    assert flat(cell(x[0, :0]))[0].shape == (0, 4)


@pytest.mark.parametrize("mode", LAYERS)
def test_forms_of_the_input(mode: str) -> None:
    """The batch first, no batch, no first state, one step, one unit, no sequence."""
    model = layer(mode, 3, 4, num_layers=2, bidirectional=True)
    first = layer(mode, 3, 4, num_layers=2, bidirectional=True, batch_first=True)
    first.load_state_dict(model.state_dict())
    x, hx = normal(5, 2, 3), first_state(mode, 4, 2, 4)
    output, last = model(x, hx)
    turned, same = first(x.transpose(0, 1), hx)
    assert_close(flat(turned, same), flat(output.transpose(0, 1), last))
    alone = tuple(h[:, 1] for h in flat(hx))
    for each in (model, first):
        y, end = each(x[:, 1], alone if mode == "LSTM" else alone[0])
        assert_close(flat(y, end), [output[:, 1], *(h[:, 1] for h in flat(last))])
    zeros = tuple(0 * h for h in flat(hx))
    assert_close(flat(*model(x)), flat(*model(x, zeros if mode == "LSTM" else zeros[0])))
    one, end = model(x[:1], hx)
    assert one.shape == (1, 2, 8)
    nothing, end = model(x[:, :0])
    assert (nothing.shape, flat(end)[0].shape) == ((5, 0, 8), (4, 0, 4))
    narrow = layer(mode, 3, 1)
    assert narrow(x)[0].shape == (5, 2, 1)


@pytest.mark.parametrize("mode", MODES)
def test_dropout_stands_between_the_layers_and_only_while_training(mode: str) -> None:
    model, plain = layer(mode, 3, 50, num_layers=2, dropout=0.5), layer(mode, 3, 50, num_layers=2)
    plain.load_state_dict(model.state_dict())
    x = normal(4, 2, 3)
    expected, (trained, again) = plain(x), (model(x), model(x))
    assert_close(flat(*model.eval()(x)), flat(*expected))
    for y, end in (trained, again):
        assert_close(
            [flat(end)[0][0]], [flat(expected[1])[0][0]]
        )  # the first layer's own state is whole
        assert np.abs(y.detach().numpy() - expected[0].detach().numpy()).max() > 1e-3
    assert np.abs(trained[0].detach().numpy() - again[0].detach().numpy()).max() > 1e-3
    everything = layer(mode, 3, 50, num_layers=2, dropout=1.0)
    inner = gradients([everything(x)[0]], [everything.weight_ih_l0, everything.weight_ih_l1])
    assert not inner[0].any()
    assert not inner[1].any()


def test_names_first_weights_and_what_is_printed() -> None:
    model = nn.LSTM(3, 16, num_layers=2, bidirectional=True, bias=False)
    assert list(model.state_dict()) == [
        f"weight_{kind}_l{k}{end}"
        for k in (0, 1)
        for end in ("", "_reverse")
        for kind in ("ih", "hh")
    ]
    assert model.weight_ih_l1.shape == (64, 32)
    assert [len(w) for w in model.all_weights] == [2] * 4
    for p in model.parameters():
        assert 0.2 < float(p.abs().max()) <= 0.25
        assert abs(float(p.mean())) < 0.05
    model.flatten_parameters()
    assert model.extra_repr() == "3, 16, num_layers=2, bias=False, bidirectional=True"
    model = nn.LSTM(3, 16, 2, proj_size=4)
    assert model.extra_repr() == "3, 16, proj_size=4, num_layers=2"
    assert [w.shape for w in model.all_weights[1]] == [(64, 4), (64, 4), (64,), (64,), (4, 16)]
    assert list(model.state_dict())[4::5] == ["weight_hr_l0", "weight_hr_l1"]
    assert 0.2 < float(model.weight_hr_l0.abs().max()) <= 0.25
    assert nn.GRUCell(3, 4, bias=False).extra_repr() == "3, 4, bias=False"
    assert nn.RNNCell(3, 4, nonlinearity="relu").extra_repr() == "3, 4, nonlinearity=relu"
    assert nn.RNN(2, 3).float().weight_hh_l0.dtype == np.float32
    assert nn.RNN(2, 3)(tn.ones(4, 2))[0].dtype == np.float32


@pytest.mark.parametrize("mode", MODES)
def test_mistakes_at_the_door_of_the_layers(mode: str) -> None:
    model, cell = LAYERS[mode](3, 4), CELLS[mode](3, 4)
    with pytest.raises(ShapeError, match=rf"{mode}: every step .* input_size entries\n.*\(…, 3\)"):
        model(tn.ones(5, 2, 4))
    with pytest.raises(ShapeError, match=rf"{mode}: the input has 2 axes, or 3 with a batch"):
        model(tn.ones(3))
    with pytest.raises(ShapeError, match=r"another shape\n.*\(1, 2, 4\)\n.*\(2, 4\) float32"):
        model(tn.ones(5, 2, 3), (tn.ones(2, 4),) * 2 if mode == "LSTM" else tn.ones(2, 4))
    with pytest.raises(ShapeError, match=r"another shape\n.*\(1, 4\)"):
        model(tn.ones(5, 3), (tn.ones(1, 1, 4),) * 2 if mode == "LSTM" else tn.ones(1, 1, 4))
    with pytest.raises(ShapeError, match="at least one step"):
        model(tn.ones(0, 2, 3))
    with pytest.raises(ShapeError, match="every step of the input"):
        model(pack_sequence([tn.ones(2, 4)]))
    with pytest.raises(ShapeError, match=rf"{mode}Cell: a step of the input"):
        cell(tn.ones(2, 4))
    with pytest.raises(ShapeError, match=rf"{mode}Cell: the state has another shape"):
        cell(tn.ones(2, 3), (tn.ones(2, 3),) * 2 if mode == "LSTM" else tn.ones(2, 3))
    with pytest.warns(UserWarning, match="does nothing with num_layers=1"):
        LAYERS[mode](3, 4, dropout=0.5)
    for wrong in ({"hidden_size": 0}, {"hidden_size": 4, "num_layers": 0}):
        with pytest.raises(ArgumentError, match="are positive"):
            LAYERS[mode](3, **wrong)
    with pytest.raises(ArgumentError, match="are positive"):
        CELLS[mode](3, 0)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        LAYERS[mode](3, 4, num_layers=2, dropout=1.5)


def test_mistakes_of_one_layer() -> None:
    for make in (nn.RNN, nn.RNNCell):
        with pytest.raises(ArgumentError, match="no such nonlinearity"):
            make(3, 4, nonlinearity="sigmoid")
    for size in (-1, 4, 5):
        with pytest.raises(ArgumentError, match=rf"from 1 to 3, or 0 for none\n.*={size}$"):
            nn.LSTM(3, 4, proj_size=size)
    with pytest.raises(ShapeError, match=r"\(h_0, c_0\) \(1, 2, 4\), \(1, 2, 4\)"):
        nn.LSTM(3, 4)(tn.ones(5, 2, 3), tn.ones(1, 2, 4))
    with pytest.raises(ShapeError, match=r"\(h_0, c_0\) \(1, 2, 2\), \(1, 2, 4\)"):
        nn.LSTM(3, 4, proj_size=2)(tn.ones(5, 2, 3), (tn.ones(1, 2, 4),) * 2)


@pytest.mark.parametrize("mode", MODES)
def test_the_warning_points_at_the_line_that_made_the_layer(mode: str) -> None:
    with pytest.warns(UserWarning, match="does nothing with num_layers=1") as seen:
        LAYERS[mode](3, 4, dropout=0.5)
    assert [w.filename for w in seen] == [__file__]


@pytest.mark.parametrize("mode", MODES)
def test_layers_on_a_gpu(cupy: Any, mode: str) -> None:
    """Packed, in both directions, and a cell: all that is made on the way is made there."""
    model, cell = layer(mode, 3, 2, bidirectional=True), CELLS[mode](3, 2, dtype=tn.float64)
    results = []
    for device in ("cpu", "cuda"):
        model, cell, x = model.to(device), cell.to(device), normal(4, 3, 3).detach().to(device)
        output, last = model(pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False))
        padded, lengths = pad_packed_sequence(output, padding_value=1.0)
        assert lengths.tolist() == [2, 4, 1]
        outputs = flat(padded, last, model(x), cell(x[0]))
        parameters = [*model.parameters(), *cell.parameters()]
        g = [normal(*y.shape, seed=9).detach().to(device) for y in outputs]
        found = [*outputs, *tn.autograd.grad(outputs, parameters, g)]
        assert all(y.device.startswith(device) for y in found)
        results.append([y.detach().cpu() for y in found])
    assert_close(*results)


def test_an_lstm_learns_what_it_saw_first() -> None:
    """The first of eight bits, asked for at the end: it has to be kept."""
    tn.manual_seed(0)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (8, 64, 1))
    x, t = tn.tensor(bits.astype(np.float32)), tn.tensor(bits[0].astype(np.float32))
    model, read = nn.LSTM(1, 8), nn.Linear(8, 1)
    steps = tn.optim.Adam([*model.parameters(), *read.parameters()], lr=0.05)
    for _ in range(60):
        steps.zero_grad()
        _, (h, _) = model(x)
        loss = nn.functional.binary_cross_entropy_with_logits(read(h[0]), t)
        loss.backward()
        steps.step()
    assert float(loss.detach()) < 0.05


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_projection_onto_the_first_states_is_an_lstm_whose_other_states_nobody_sees(
    bidirectional: bool,
) -> None:
    """W_hr = (1 0): what meets the last state of a layer that projects nothing is 0."""
    D, options = 1 + bidirectional, {"num_layers": 2, "bidirectional": bidirectional}
    small, whole = layer("LSTM", 3, 3, proj_size=2, **options), layer("LSTM", 3, 3, **options)
    state = {k: v.detach().numpy() for k, v in small.named_parameters()}
    for name in [k for k in state if "weight_hr" in k]:
        state.pop(name)[...] = np.eye(2, 3)
    for name in [k for k in state if "weight_hh" in k or "weight_ih_l1" in k]:
        W = state[name].reshape(12, -1, 2)
        state[name] = np.pad(W, ((0, 0), (0, 0), (0, 1))).reshape(12, -1)
    whole.load_state_dict(state)
    x, (h, c) = normal(4, 2, 3), first_state("LSTM", 2 * D, 2, 3)
    y, (h_n, c_n) = small(x, (h[..., :2], c))
    every, (h_m, c_m) = whole(x, (h, c))
    expected = [every.reshape(4, 2, D, 3)[..., :2].flatten(2), h_m[..., :2], c_m]
    assert_close([y, h_n, c_n], expected)
    assert_close(gradients([y, h_n, c_n], [x, h, c]), gradients(expected, [x, h, c]))
