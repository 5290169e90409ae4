"""Tables of learnt vectors as modules. What they compute stands in `functional.embeddings`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.errors import ArgumentError, OutOfRangeError, ShapeError, describe
from tinynet.nn import functional, init
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter
from tinynet.tensor import raw


class _Table(Module):
    """V vectors of d numbers, normal with variance 1; the row `padding_idx` starts at 0."""

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        weight: Any,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        if min(num_embeddings, embedding_dim) < 0:
            raise ArgumentError(
                f"{type(self).__name__}: sizes are not negative",
                got=f"num_embeddings={num_embeddings}, embedding_dim={embedding_dim}",
            )
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise OutOfRangeError(
                    f"{type(self).__name__}: padding_idx has no row",
                    expected=f"{-num_embeddings} … {num_embeddings - 1}",
                    got=f"{padding_idx}",
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        shape = (num_embeddings, embedding_dim)
        if weight is None:
            self.weight = Parameter(np.empty(shape, dtype or dtypes.get_default_dtype()))
            self.reset_parameters()
        elif tuple(weight.shape) != shape:
            raise ShapeError(
                f"{type(self).__name__}: the vectors do not fit",
                expected=f"{shape}",
                got=describe(weight),
            )
        else:
            self.weight = Parameter(raw(weight))
        if device is not None:
            self.to(device=device)

    def reset_parameters(self) -> None:
        """Draw the first vectors again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0


def _pretrained(layer: Any, embeddings: Any, freeze: bool, options: dict[str, Any]) -> Any:
    """A layer of this class with these vectors (V, d), shared and not copied."""
    if embeddings.ndim != 2:
        raise ShapeError("vectors (V, d) are expected", got=describe(embeddings))
    return layer(*embeddings.shape, _weight=embeddings, **options).requires_grad_(not freeze)


class Embedding(_Table):
    """One learnt vector for each of V ids. Shapes: ids (…), y (…, embedding_dim), weight
    (num_embeddings, embedding_dim).

    It starts normal with variance 1. The row `padding_idx` starts at 0 and stays there: it gets no
    gradient. The other options are those of `functional.embedding`. Raises OutOfRangeError where
    there is no such row.

    >>> import tinynet as tn
    >>> layer = Embedding(10, 3, padding_idx=0)
    >>> layer(tn.tensor([[1, 2, 0]])).shape, layer(tn.tensor(0)).detach()
    ((1, 3, 3), tensor([0., 0., 0.]))
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.requires_grad_(not _freeze)

    def forward(self, input: Any) -> Any:
        return functional.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An Embedding with these vectors (V, d), shared and not copied; frozen unless told.

        >>> import tinynet as tn
        >>> Embedding.from_pretrained(tn.tensor([[1.0, 2.0], [3.0, 4.0]]))(tn.tensor([1]))
        tensor([[3., 4.]])
        """
        options = {
            "padding_idx": padding_idx,
            "max_norm": max_norm,
            "norm_type": norm_type,
            "scale_grad_by_freq": scale_grad_by_freq,
            "sparse": sparse,
        }
        layer: Embedding = _pretrained(cls, embeddings, freeze, options)
        return layer

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text + _options(self) + (", sparse=True" if self.sparse else "")


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the vectors of each bag of ids. Shapes: ids (b, n), or (N,) with
    offsets (b,); y (b, embedding_dim), weight (num_embeddings, embedding_dim).

    The options are those of `functional.embedding_bag`.

    >>> import tinynet as tn
    >>> EmbeddingBag(10, 3)(tn.tensor([1, 2, 4, 5]), tn.tensor([0, 3])).shape
    (2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)
        self.max_norm, self.norm_type, self.mode = max_norm, norm_type, mode
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.include_last_offset = include_last_offset

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """An EmbeddingBag with these vectors (V, d), shared and not copied; frozen unless told."""
        options = {
            "max_norm": max_norm,
            "norm_type": norm_type,
            "scale_grad_by_freq": scale_grad_by_freq,
            "mode": mode,
            "sparse": sparse,
            "include_last_offset": include_last_offset,
            "padding_idx": padding_idx,
        }
        layer: EmbeddingBag = _pretrained(cls, embeddings, freeze, options)
        return layer

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}{_options(self)}, mode={self.mode!r}"
        return text + ("" if self.padding_idx is None else f", padding_idx={self.padding_idx}")


def _options(layer: Any) -> str:
    """Those of both layers that are not the usual ones."""
    text = "" if layer.max_norm is None else f", max_norm={layer.max_norm}"
    text += "" if layer.norm_type == 2 else f", norm_type={layer.norm_type}"
    return text + (", scale_grad_by_freq=True" if layer.scale_grad_by_freq else "")
