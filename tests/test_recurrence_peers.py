"""Recurrent layers and cells against PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from test_recurrence import CELLS, MODES, assert_close, first_state, flat, gradients, layer, normal

import tinynet as tn
from tinynet.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def twins(torch: Any, *tensors: Any) -> list[Any]:
    return [torch.tensor(x.detach().numpy(), requires_grad=True) for x in tensors]


def assert_same_as_peer(
    torch: Any, ours: Any, theirs: Any, mine: list[Any], other: list[Any]
) -> None:
    """Outputs, and the gradients of random cotangents."""
    ours, theirs = flat(ours), flat(theirs)
    assert_close(ours, [y.detach().numpy() for y in theirs])
    expected = torch.autograd.grad(
        theirs, other, [torch.tensor(normal(*y.shape, seed=9).detach().numpy()) for y in ours]
    )
    assert_close(gradients(ours, mine), [d.numpy() for d in expected])


@pytest.mark.peers
@pytest.mark.parametrize("batch", ["batch", "batch_first", "alone", "packed", "packed, any order"])
@pytest.mark.parametrize(
    ("num_layers", "bias", "bidirectional"),
    list(itertools.product((1, 2), (True, False), (True, False))),
)
@pytest.mark.parametrize("mode", [*MODES, "relu", "projected"])
def test_peer_layers(
    mode: str, num_layers: int, bias: bool, bidirectional: bool, batch: str
) -> None:
    torch = pytest.importorskip("torch")
    options = {"num_layers": num_layers, "bias": bias, "bidirectional": bidirectional}
    options["batch_first"] = batch == "batch_first"
    if mode == "relu":
        options["nonlinearity"], mode = "relu", "RNN"
    P = 1 if mode == "projected" else 0
    if P:
        options["proj_size"], mode = P, "LSTM"
    model = layer(mode, 3, 2, **options)
    peer = getattr(torch.nn, mode)(3, 2, dtype=torch.float64, **options)
    assert list(peer.state_dict()) == list(model.state_dict())
    peer.load_state_dict({k: torch.tensor(v.numpy()) for k, v in model.state_dict().items()})
    layers = num_layers * (2 if bidirectional else 1)
    x = normal(5, 3) if batch == "alone" else normal(5, 4, 3)
    states = (layers, 2) if batch == "alone" else (layers, 4, 2)
    hx = first_state(mode, *states, proj_size=P)
    if batch == "batch_first":
        x = normal(4, 5, 3)
    xt, *ht = twins(torch, x, *flat(hx))
    mine = [x, *flat(hx), *model.parameters()]
    other = [xt, *ht, *peer.parameters()]
    hx_t = tuple(ht) if mode == "LSTM" else ht[0]
    if not batch.startswith("packed"):
        assert_same_as_peer(torch, model(x, hx), peer(xt, hx_t), mine, other)
        return
    lengths = [2, 5, 1, 4] if "any" in batch else [5, 4, 4, 1]
    pack, unpack = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    ours, last = model(pack_padded_sequence(x, lengths, enforce_sorted="any" not in batch), hx)
    theirs, last_t = peer(pack(xt, lengths, enforce_sorted="any" not in batch), hx_t)
    assert_close([ours.data], [theirs.data.detach().numpy()])
    assert ours.batch_sizes.tolist() == theirs.batch_sizes.tolist()
    y, y_t = pad_packed_sequence(ours)[0], unpack(theirs)[0]
    assert_same_as_peer(torch, (y, last), (y_t, last_t), mine, other)


@pytest.mark.peers
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mode", [*MODES, "relu"])
def test_peer_cells(mode: str, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    options: dict[str, Any] = {"bias": bias}
    if mode == "relu":
        options["nonlinearity"], mode = "relu", "RNN"
    cell = CELLS[mode](3, 2, dtype=tn.float64, **options)
    peer = getattr(torch.nn, f"{mode}Cell")(3, 2, dtype=torch.float64, **options)
    assert list(peer.state_dict()) == list(cell.state_dict())
    peer.load_state_dict({k: torch.tensor(v.numpy()) for k, v in cell.state_dict().items()})
    for shape in ((4,), ()):
        x, hx = normal(*shape, 3), first_state(mode, *shape, 2)
        xt, *ht = twins(torch, x, *flat(hx))
        mine, other = [x, *flat(hx), *cell.parameters()], [xt, *ht, *peer.parameters()]
        assert_same_as_peer(
            torch, cell(x, hx), peer(xt, tuple(ht) if mode == "LSTM" else ht[0]), mine, other
        )
