"""Layers with a state: RNN, LSTM and GRU over sequences, and their cells, which make one step.

What one layer computes in one direction, all steps at once, is one op: `derivations/rnn.py`,
`lstm.py`, `gru.py`. Here are the weights, and how layers and directions are put together.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.derivations import gru as _gru
from tinynet.derivations import lstm as _lstm
from tinynet.derivations import rnn as _rnn
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.nn import functional, init
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter
from tinynet.nn.utils.rnn import PackedSequence, packed_like, padded_of
from tinynet.tensor import Tensor, raw

# -- one layer in one direction: all states after each step, (T, N, H) each ----------------------


def _rnn_states(x: Any, state: Any, weights: Any, **options: Any) -> tuple[Any, ...]:
    return (_rnn.op(x, *state, *weights, **options),)


def _lstm_states(x: Any, state: Any, weights: Any, **options: Any) -> tuple[Any, ...]:
    y, P = _lstm.op(x, *state, *weights, **options), state[0].shape[-1]
    return y[..., :P], y[..., P:]


def _gru_states(x: Any, state: Any, weights: Any, **options: Any) -> tuple[Any, ...]:
    return (_gru.op(x, *state, *weights, **options),)


# How many blocks of H rows the weights have, how many states there are, and what makes them.
_MODES: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "RNN": (1, 1, _rnn_states),
    "LSTM": (4, 2, _lstm_states),
    "GRU": (3, 1, _gru_states),
}


def _add_weights(module: Module, gates: int, inputs: int, suffix: str, options: Any) -> None:
    """Register weight_ih, weight_hh, bias_ih, bias_hh and, if the states are projected, weight_hr,
    their names ending in `suffix`.
    """
    bias, H, P, kind = options
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (gates * H, inputs),
        "weight_hh": (gates * H, P or H),
    }
    shapes |= {"bias_ih": (gates * H,), "bias_hh": (gates * H,)}
    if P:
        shapes["weight_hr"] = (P, H)
    for name, shape in shapes.items():
        there = bias or name.startswith("weight")
        module.register_parameter(
            name + suffix, Parameter(np.empty(shape, kind)) if there else None
        )


def _weights(module: Module, suffix: str = "") -> list[Any]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    found = [module._parameters.get(name + suffix) for name in names]
    return [w for w in found if w is not None]


def _check_nonlinearity(nonlinearity: str) -> None:
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            "no such nonlinearity", expected="'tanh' or 'relu'", got=repr(nonlinearity)
        )


class _Recurrent(Module):
    """What RNN, LSTM and GRU share: layers on top of each other, one or two directions."""

    mode: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        proj_size: int = 0,
    ) -> None:
        super().__init__()
        if min(hidden_size, num_layers) < 1 or input_size < 0:
            raise ArgumentError(
                f"{self.mode}: sizes and the number of layers are positive",
                got=f"input_size={input_size}, hidden_size={hidden_size}, num_layers={num_layers}",
            )
        if not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"{self.mode}: a state is projected to fewer entries than hidden_size",
                expected=f"proj_size from 1 to {hidden_size - 1}, or 0 for none",
                got=f"proj_size={proj_size}",
            )
        if not 0 <= dropout <= 1:
            raise ArgumentError(
                f"{self.mode}: a probability lies between 0 and 1", got=f"dropout = {dropout}"
            )
        if dropout and num_layers == 1:
            warnings.warn(
                f"{self.mode}: dropout stands between layers; dropout={dropout} does nothing "
                "with num_layers=1",
                stacklevel=3,  # each layer calls this from its own __init__
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first = bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self.proj_size = proj_size
        gates = _MODES[self.mode][0]
        options = (bias, hidden_size, proj_size, dtype or dtypes.get_default_dtype())
        for layer in range(num_layers):
            inputs = len(self._directions) * (proj_size or hidden_size) if layer else input_size
            for end in self._directions:
                _add_weights(self, gates, inputs, f"_l{layer}{end}", options)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    @property
    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def _options(self) -> dict[str, Any]:
        return {}

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters, a list for each layer and direction."""
        layers = range(self.num_layers)
        return [_weights(self, f"_l{k}{end}") for k in layers for end in self._directions]

    def reset_parameters(self) -> None:
        """Draw the first weights again: uniform on [−1/√H, 1/√H)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: PyTorch moves the weights into one piece of GPU memory here."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, last state). A PackedSequence gives a PackedSequence."""
        packed = input if isinstance(input, PackedSequence) else None
        if packed is None:
            x, lengths, batched = self._time_first(input), None, input.ndim == 3
        else:
            x, counts = padded_of(packed)
            lengths, batched = tuple(counts), True
            self._check_features(packed.data)
        state = self._first_state(x, hx, batched)
        order = None if packed is None else packed.sorted_indices
        if order is not None:
            state = [h[:, order] for h in state]
        output, last = self._layers(x, state, lengths)
        if packed is not None:
            output, back = packed_like(packed, output), packed.unsorted_indices
            last = last if back is None else [h[:, back] for h in last]
        elif not batched:
            output, last = output[:, 0], [h[:, 0] for h in last]
        elif self.batch_first:
            output = np.swapaxes(output, 0, 1)
        return output, tuple(last) if len(last) > 1 else last[0]

    def _layers(self, x: Any, state: Sequence[Any], lengths: Any) -> tuple[Any, list[Any]]:
        """The states of the last layer (T, N, D H), and the last states of all (layers D, N, H)."""
        states_of = _MODES[self.mode][2]
        last: list[list[Any]] = [[] for _ in state]
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            found = []
            for end in self._directions:
                first = [h[len(last[0])] for h in state]
                own = _weights(self, f"_l{layer}{end}")
                options = {**self._options, "lengths": lengths, "reverse": bool(end)}
                states = states_of(x, first, own, **options)
                found.append(states[0])
                for ends, h in zip(last, states, strict=True):
                    ends.append(h[:1] if end else h[-1:])
            x = found[0] if len(found) == 1 else np.concatenate(found, axis=-1)
        return x, [np.concatenate(ends) for ends in last]

    def _time_first(self, input: Any) -> Any:
        """The input as (T, N, I)."""
        if input.ndim not in (2, 3):
            form = "(N, T, I)" if self.batch_first else "(T, N, I)"
            raise ShapeError(
                f"{self.mode}: the input has 2 axes, or 3 with a batch",
                expected=f"(T, I) or {form}",
                got=describe(input),
            )
        self._check_features(input)
        if input.ndim == 2:
            return input[:, None]
        return np.swapaxes(input, 0, 1) if self.batch_first else input

    def _check_features(self, input: Any) -> None:
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.mode}: every step of the input has input_size entries",
                expected=f"(…, {self.input_size})",
                got=describe(input),
            )

    def _first_state(self, x: Any, hx: Any, batched: bool) -> list[Any]:
        """The first states of all layers and directions, (layers D, N, H) each; zeros for None."""
        count, layers = _MODES[self.mode][1], self.num_layers * len(self._directions)
        batch = (x.shape[1],) if batched or hx is None else ()
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[:count]
        shapes = [(layers, *batch, size) for size in sizes]
        if hx is None:
            return [Tensor(np.zeros(shape, x.dtype, like=raw(x))) for shape in shapes]
        given = list(hx) if count > 1 else [hx]
        if [getattr(h, "shape", None) for h in given] != shapes:
            raise ShapeError(
                f"{self.mode}: the first state has another shape",
                expected=f"{'(h_0, c_0)' if count > 1 else 'h_0'} {', '.join(map(str, shapes))}",
                got=", ".join(map(describe, given)),
            )
        return given if batched else [h[:, None] for h in given]

    def extra_repr(self) -> str:
        shown: dict[str, Any] = {"proj_size": 0, "num_layers": 1, "bias": True}
        shown |= {"batch_first": False, "dropout": 0.0, "bidirectional": False}
        own = {k: getattr(self, k) for k, usual in shown.items() if getattr(self, k) != usual}
        return ", ".join(
            [f"{self.input_size}, {self.hidden_size}", *(f"{k}={v}" for k, v in own.items())]
        )


class RNN(_Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), or relu in the place of tanh.

    Takes (input, h_0=None), returns (output, h_n). With L layers and D = 2 directions if
    bidirectional, else 1:

        input   (T, N, I); with batch_first (N, T, I); without a batch (T, I); or a PackedSequence
        h_0     (L D, N, H), without a batch (L D, H): the states before the first step, or zeros
        output  (T, N, D H): all states of the last layer, those of the other direction beside them
        h_n     as h_0: every layer's state after its last step

    `dropout` acts on the outputs of all layers but the last, while training. Weights: weight_ih_l0
    (H, I; in further layers H, D H), weight_hh_l0 (H, H), bias_ih_l0 and bias_hh_l0 (H,); with _l1
    and so on for further layers, with _reverse for the other direction. All start uniform on
    [−1/√H, 1/√H). Raises ShapeError where input or state do not fit. Derived in
    `tinynet/derivations/rnn.py`.

    >>> import tinynet as tn
    >>> output, h_n = RNN(3, 4, num_layers=2)(tn.ones(5, 2, 3))
    >>> output.shape, h_n.shape
    ((5, 2, 4), (2, 2, 4))
    """

    mode = "RNN"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _check_nonlinearity(nonlinearity)
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(*sizes, bias, batch_first, dropout, bidirectional, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def _options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class LSTM(_Recurrent):
    """Long short-term memory: a cell state that gates write to, keep and show.

    Takes (input, (h_0, c_0)=None), returns (output, (h_n, c_n)). Shapes and arguments as of `RNN`;
    c_0 and c_n have the shape of h_0. The blocks of the weights, weight_ih_l0 (4H, I) and so on,
    stand in the order i, f, g, o.

    With `proj_size` = P > 0 the states h are projected to P < H entries by weight_hr_l0 (P, H):
    then weight_hh_l0 is (4H, P), weight_ih of further layers (4H, D P), output (T, N, D P), and h_0
    and h_n have P entries for H; c_0 and c_n keep H. Raises ArgumentError unless 0 ≤ P < H. Derived
    in `tinynet/derivations/lstm.py`.

    >>> import tinynet as tn
    >>> output, (h_n, c_n) = LSTM(3, 4, batch_first=True, bidirectional=True)(tn.ones(2, 5, 3))
    >>> output.shape, h_n.shape, c_n.shape
    ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    >>> output, (h_n, c_n) = LSTM(3, 4, proj_size=2)(tn.ones(5, 2, 3))
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 2, 2), (1, 2, 2), (1, 2, 4))
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(
            *sizes, bias, batch_first, dropout, bidirectional, device, dtype, proj_size
        )


class GRU(_Recurrent):
    """The gated recurrent unit: each state is a mixture of the one before and a new one.

    Takes (input, h_0=None), returns (output, h_n). Shapes and arguments as of `RNN`. The blocks of
    the weights, weight_ih_l0 (3H, I) and so on, stand in the order r, z, n. Derived in
    `tinynet/derivations/gru.py`.

    >>> import tinynet as tn
    >>> output, h_n = GRU(3, 4)(tn.ones(5, 3))
    >>> output.shape, h_n.shape
    ((5, 4), (1, 4))
    """

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(*sizes, bias, batch_first, dropout, bidirectional, device, dtype)


# -- one step --------------------------------------------------------------------------------------


class _Cell(Module):
    """What the cells share: one step of a layer, which is a sequence of length 1."""

    mode: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if hidden_size < 1 or input_size < 0:
            raise ArgumentError(
                f"{self.mode}Cell: sizes are positive",
                got=f"input_size={input_size}, hidden_size={hidden_size}",
            )
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        kind = dtype or dtypes.get_default_dtype()
        _add_weights(self, _MODES[self.mode][0], input_size, "", (bias, hidden_size, 0, kind))
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    @property
    def _options(self) -> dict[str, Any]:
        return {}

    def reset_parameters(self) -> None:
        """Draw the first weights again: uniform on [−1/√H, 1/√H)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The next state."""
        _, count, states_of = _MODES[self.mode]
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.mode}Cell: a step of the input has input_size entries",
                expected=f"(N, {self.input_size}) or ({self.input_size},)",
                got=describe(input),
            )
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            hx = [Tensor(np.zeros(shape, input.dtype, like=raw(input)))] * count
        else:
            hx = list(hx) if count > 1 else [hx]
        if len(hx) != count or any(h.shape != shape for h in hx):
            raise ShapeError(
                f"{self.mode}Cell: the state has another shape",
                expected=f"{'(h, c), each' if count > 1 else 'h'} {shape}",
                got=", ".join(map(describe, hx)),
            )
        N = input.shape[0] if input.ndim == 2 else 1
        x = np.reshape(input, (1, N, self.input_size))
        before = [np.reshape(h, (N, self.hidden_size)) for h in hx]
        after = states_of(x, before, _weights(self), **self._options)
        new = tuple(np.reshape(h, shape) for h in after)
        return new if count > 1 else new[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of `RNN`: (input, h=None) -> the next h. Shapes: input (N, I), h (N, H), or both
    without N; weight_ih (H, I), weight_hh (H, H), bias_ih and bias_hh (H,).

    >>> import tinynet as tn
    >>> RNNCell(3, 4)(tn.ones(2, 3)).shape
    (2, 4)
    """

    mode = "RNN"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def _options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}

    def extra_repr(self) -> str:
        shown = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + shown


class LSTMCell(_Cell):
    """One step of `LSTM`: (input, (h, c)=None) -> (next h, next c). Shapes: input (N, I), h and c
    (N, H), or all without N; weight_ih (4H, I), weight_hh (4H, H), bias_ih and bias_hh (4H,).

    >>> import tinynet as tn
    >>> h, c = LSTMCell(3, 4)(tn.ones(2, 3))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    mode = "LSTM"


class GRUCell(_Cell):
    """One step of `GRU`: (input, h=None) -> the next h. Shapes: input (N, I), h (N, H), or both
    without N; weight_ih (3H, I), weight_hh (3H, H), bias_ih and bias_hh (3H,).

    >>> import tinynet as tn
    >>> GRUCell(3, 4)(tn.ones(2, 3)).shape
    (2, 4)
    """

    mode = "GRU"
