"""The Transformer: layers of attention and of a small network for each token, and stacks of them.

Parameters, names and defaults are PyTorch's. Sequences are (T, N, d_model), with `batch_first`
(N, T, d_model), one alone (T, d_model). In a mask, (T, S) or one for each sample and head, True
forbids and floats are added; a key_padding_mask (N, S) forbids keys. `is_causal` is a promise that
the mask is causal.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.nn import functional, init
from tinynet.nn.attention import MultiheadAttention
from tinynet.nn.containers import ModuleList
from tinynet.nn.dropouts import Dropout
from tinynet.nn.layers import Linear
from tinynet.nn.module import Module
from tinynet.nn.normalisation import LayerNorm
from tinynet.tensor import Tensor

Activation = str | Callable[[Any], Any]

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": functional.relu, "gelu": functional.gelu}


class _Layer(Module):
    """What both kinds of layers have: attentions, the network, a norm and a dropout for each."""

    attentions: tuple[str, ...]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(activation, str):
            if activation not in _ACTIVATIONS:
                raise ArgumentError(
                    f"{type(self).__name__}: no such activation",
                    expected="'relu', 'gelu' or a function",
                    got=repr(activation),
                )
            activation = _ACTIVATIONS[activation]
        where = {"device": device, "dtype": dtype}
        for name in self.attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **where
            )
            self.register_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        blocks = range(1, len(self.attentions) + 2)
        for i in blocks:
            self.register_module(f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **where))
        for i in blocks:
            self.register_module(f"dropout{i}", Dropout(dropout))
        self.norm_first, self.activation = norm_first, activation

    def _block(self, norm: Module, dropout: Module, x: Any, f: Callable[[Any], Any]) -> Any:
        """x + f(norm(x)) with the norm first, else norm(x + f(x))."""
        if self.norm_first:
            return x + dropout(f(norm(x)))
        return norm(x + dropout(f(x)))

    def _network(self, x: Any) -> Any:
        """W2 act(W1 x + b1) + b2, for each token alone."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


def _attend(layer: Module, x: Any, memory: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
    return layer(
        x,
        memory,
        memory,
        attn_mask=mask,
        key_padding_mask=padding,
        is_causal=is_causal,
        need_weights=False,
    )[0]


class TransformerEncoderLayer(_Layer):
    """Self-attention and a network for each token, each added to what comes in, and normalised.

        x = norm1(x + attention(x, x, x)),      y = norm2(x + W2 act(W1 x + b1) + b2)

    With `norm_first`, x + attention(norm1(x)) and x + network(norm2(x)): the sum is then a straight
    way from the output to the input, on which no norm stands.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3; the norm first: Xiong et
    al., "On Layer Normalization in the Transformer Architecture", 2020.

    >>> import tinynet as tn
    >>> layer = TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(tn.ones(5, 3, 8)).shape
    (5, 3, 8)
    """

    attentions = ("self_attn",)

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        def itself(x: Any) -> Any:
            return _attend(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal)

        x = self._block(self.norm1, self.dropout1, src, itself)
        return self._block(self.norm2, self.dropout2, x, self._network)


class TransformerDecoderLayer(_Layer):
    """An encoder layer with a second attention between its two parts: to the encoder's output.

        x = norm1(x + attention(x, x, x)),      x = norm2(x + attention(x, memory, memory)),
        y = norm3(x + W2 act(W1 x + b1) + b2)

    >>> import tinynet as tn
    >>> layer = TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(tn.ones(5, 3, 8), tn.ones(5, 4, 8)).shape
    (5, 3, 8)
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        def itself(x: Any) -> Any:
            return _attend(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def source(x: Any) -> Any:
            masks = (memory_mask, memory_key_padding_mask, memory_is_causal)
            return _attend(self.multihead_attn, x, memory, *masks)

        x = self._block(self.norm1, self.dropout1, tgt, itself)
        x = self._block(self.norm2, self.dropout2, x, source)
        return self._block(self.norm3, self.dropout3, x, self._network)


class TransformerEncoder(Module):
    """Copies of an encoder layer in a row, and a norm behind them.

    The copies start with the same weights, as in PyTorch. `enable_nested_tensor` and `mask_check`
    are accepted and say nothing here: there are no nested tensors.

    >>> import tinynet as tn
    >>> layer = TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> TransformerEncoder(layer, num_layers=2)(tn.ones(5, 3, 8)).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.register_module("norm", norm)

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Any:
        for layer in self.layers:
            src = layer(
                src,
                src_mask=mask,
                src_key_padding_mask=src_key_padding_mask,
                is_causal=bool(is_causal),
            )
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Copies of a decoder layer in a row, and a norm behind them; all attend to one memory.

    >>> import tinynet as tn
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> TransformerDecoder(layer, num_layers=2)(tn.ones(5, 3, 8), tn.ones(5, 4, 8)).shape
    (5, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.register_module("norm", norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder: memory = encoder(src), y = decoder(tgt, memory). Shapes: src (S, N,
    d_model), tgt and y (T, N, d_model); with `batch_first` N comes first.

    It has neither embeddings nor positions, and no output layer. All matrices start Xavier uniform.

    Source: Vaswani et al., "Attention Is All You Need", 2017; document A, 4.3, a translation.

    >>> import tinynet as tn
    >>> model = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> mask = Transformer.generate_square_subsequent_mask(3)
    >>> model(tn.ones(5, 4, 8), tn.ones(5, 3, 8), tgt_mask=mask).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options: tuple[Any, ...] = (d_model, nhead, dim_feedforward, dropout, activation)
        options += (layer_norm_eps, batch_first, norm_first, bias, device, dtype)

        def norm() -> Module:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*options), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*options), num_decoder_layers, norm()
        )
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        batch = 0 if self.batch_first else 1
        if (
            src.ndim != tgt.ndim
            or src.ndim not in (2, 3)
            or not src.shape[-1] == tgt.shape[-1] == self.d_model
            or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch])
        ):
            order = "(N, {}, {})" if self.batch_first else "({}, N, {})"
            raise ShapeError(
                "Transformer: source and target do not fit",
                expected=" and ".join(order.format(c, self.d_model) for c in "ST"),
                got=f"{describe(src)}, {describe(tgt)}",
            )
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask to be added: 0 where j ≤ i, else −∞. Shape (sz, sz).

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        mask = np.where(np.tri(sz, dtype=bool), 0.0, -np.inf)
        y = Tensor(mask.astype(dtype or dtypes.get_default_dtype()))
        return y if device is None else y.to(device)
