"""MiniLM: a BERT of 6 layers, taught by a larger one, whose vectors of sentences are comparable.

The weights are a file of the world outside, and that file has names of its own. They are
translated here, and nowhere else.

Source: Wang et al., "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of
Pre-Trained Transformers", 2020; sentence vectors as of Reimers and Gurevych, "Sentence-BERT:
Sentence Embeddings using Siamese BERT-Networks", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import files
from tinynet.arrays import Array
from tinynet.data import LengthBuckets, WordPieceTokenizer, fetch
from tinynet.data.archives import MINILM
from tinynet.errors import FileFormatError
from tinynet.grad_mode import no_grad
from tinynet.models.bert import Bert, BertConfig

PARTS = {  # of the file -> of `Bert`
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "places",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
}
BLOCK = {  # of encoder.layer.0 -> of blocks.0
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm2",
}

LONGEST = 256  # tokens, of a text that is embedded


def renamed(weights: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """The weights of such a file under the names of `Bert`.

    Queries, keys and values are one matrix here. A pooler is left out: sentence vectors are means.
    """
    new = {
        f"{ours}.{kind}": weights[f"{theirs}.{kind}"]
        for theirs, ours in PARTS.items()
        for kind in ("weight", "bias")
        if f"{theirs}.{kind}" in weights
    }
    for i in range(layers):
        there, here = f"encoder.layer.{i}", f"blocks.{i}"
        for kind in ("weight", "bias"):
            qkv = [weights[f"{there}.attention.self.{x}.{kind}"] for x in ("query", "key", "value")]
            new[f"{here}.attention.qkv.{kind}"] = np.concatenate(qkv)
            for theirs, ours in BLOCK.items():
                new[f"{here}.{ours}.{kind}"] = weights[f"{there}.{theirs}.{kind}"]
    return new


def load_minilm(layers: int = 6) -> tuple[Bert, WordPieceTokenizer]:
    """(MiniLM with its real weights, ready to be asked; its tokenizer). Fetched at its first use
    (83.5 MB), of which `layers` are built.
    """
    folder = fetch(MINILM)
    tokenizer = WordPieceTokenizer.from_file(folder / "vocab.txt")
    return read(folder / "model.safetensors", layers), tokenizer


def read(path: str | Path, layers: int = 6) -> Bert:
    """The network of a file with such names."""
    model = Bert(BertConfig(layers=layers))
    try:
        weights = renamed(files.load(path), layers)
    except KeyError as error:
        raise FileFormatError(
            f"{path} holds no MiniLM of {layers} layers", got=f"no {error}"
        ) from None
    model.load_state_dict(weights)
    return model.eval()


def embed(
    model: Bert, tokenizer: WordPieceTokenizer, texts: Sequence[str], batch_size: int = 32
) -> Array:
    """Vectors of length 1, (n, width): products of them are cosines. Of long texts the first 256
    tokens count.

    Batches hold texts of similar length, so that little is computed for padding.
    """
    vectors = np.zeros((len(texts), model.config.width), np.float32)
    with no_grad():
        for batch in in_batches(texts, batch_size):
            ids, mask, _ = tokenizer.batch([texts[i] for i in batch], max_length=LONGEST)
            vectors[batch] = model.embed(ids, mask).numpy()
    return vectors


def in_batches(texts: Sequence[str], batch_size: int) -> LengthBuckets:
    """The numbers of the texts, in batches of similar length."""
    return LengthBuckets([len(text) for text in texts], batch_size, shuffle=False)
