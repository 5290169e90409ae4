"""MiniLM: a BERT of 6 layers, taught by a larger one, whose vectors of sentences are comparable.

The weights are a file of the world outside, and that file has names of its own. They are
translated here, and nowhere else.

Source: Wang et al., "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of
Pre-Trained Transformers", 2020; sentence vectors as of Reimers and Gurevych, "Sentence-BERT:
Sentence Embeddings using Siamese BERT-Networks", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import files
from tinynet.errors import FileFormatError
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


def read(path: str | Path) -> Bert:
    """MiniLM from its `model.safetensors`, ready to be asked (`eval`)."""
    model = Bert(BertConfig())
    try:
        weights = renamed(files.load(path), model.config.layers)
    except KeyError as error:
        raise FileFormatError(f"{path} holds no MiniLM", got=f"no {error}") from None
    model.load_state_dict(weights)
    return model.eval()
