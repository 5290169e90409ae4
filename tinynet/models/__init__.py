"""The systems that the documents build, small and whole, trained on real data.

    mlp, cnn …       networks: a config and Modules, in the words that tinynet and PyTorch share
    pretrained.py    a network into a folder and out of it
    systems/         a network with its data, its recipe, its scores and its pictures
    system.py        what a system is, and a run of it
    beside.py        the same network on PyTorch, from the same file
    sampling.py      from the scores of a language model to text

In: numbers of the documents. Not in: formulas (`derivations`), layers (`nn`), the loop (`train`).
Start with `mlp.py`, then `systems/digits.py`; `python -m tinynet train` lists what there is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinynet.models.cnn import CNN, CNNConfig
from tinynet.models.embedder import Embedder, EmbedderConfig
from tinynet.models.gpt import GPT, GPTConfig
from tinynet.models.language import (
    Bigram,
    BigramConfig,
    LanguageModel,
    MLPLanguageConfig,
    MLPLanguageModel,
    RecurrentConfig,
    RecurrentLanguageModel,
)
from tinynet.models.mlp import MLP, MLPConfig
from tinynet.models.pretrained import Pretrained
from tinynet.models.sentiment import BagOfWords, BagOfWordsConfig, SentimentConfig, SentimentLSTM
from tinynet.models.system import Recipe, Result, Run, System, adjusted, run_system
from tinynet.models.systems import NAMES, find

__all__ = [
    "CNN",
    "GPT",
    "MLP",
    "NAMES",
    "BagOfWords",
    "BagOfWordsConfig",
    "Bigram",
    "BigramConfig",
    "CNNConfig",
    "Embedder",
    "EmbedderConfig",
    "GPTConfig",
    "LanguageModel",
    "MLPConfig",
    "MLPLanguageConfig",
    "MLPLanguageModel",
    "Pretrained",
    "Recipe",
    "RecurrentConfig",
    "RecurrentLanguageModel",
    "Result",
    "Run",
    "SentimentConfig",
    "SentimentLSTM",
    "System",
    "find",
    "run_folder",
    "train",
]


def run_folder(name: str, quick: bool = False, parent: str | Path = "runs") -> Path:
    """Where a run is kept unless another folder is named: parent/NAME, or parent/NAME-quick."""
    return Path(parent) / (name + ("-quick" if quick else ""))


def train(
    name: str,
    *,
    quick: bool = False,
    out: str | Path | None = None,
    beside: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Result:
    """Train a system on its data and measure it: what `python -m tinynet train NAME` does.

    name        "digits-mlp", …: `models.NAMES` lists them
    quick       few epochs on little data: seconds, and lower scores
    out         the folder for all that is kept, by default runs/NAME or runs/NAME-quick; a run
                that was cut off goes on there, to the same numbers
    beside      train the same network on PyTorch, too: same first weights, same data
    settings    what to change in the system's `Settings`: `epochs=3`

    Raises `ArgumentError` for a name or a setting that is not there, and `DataError` where the
    folder holds something else.

    >>> import tempfile
    >>> result = train("digits-mlp", quick=True, out=tempfile.mkdtemp(), progress=False, splits=1)
    >>> result.metrics["tinynet"]["accuracy"] > 0.8
    True
    """
    system = find(name)
    folder = run_folder(name, quick) if out is None else Path(out)
    chosen = adjusted(system, quick, settings)
    return run_system(system, chosen, folder, beside=beside, progress=progress)
