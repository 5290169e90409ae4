"""The systems of the documents, one file each: data, network, recipe, scores, pictures.

In: what is trained by `python -m tinynet train NAME`. Not in: the networks, which stand one room
above, in the files of `models/`, in words that PyTorch shares.

`NAMES` is the table of them; a file is read when its system is asked for.
"""

from __future__ import annotations

import difflib
import importlib

from tinynet.errors import ArgumentError
from tinynet.models.system import System

NAMES = {  # what is typed -> the file, and the class in it
    "digits-cnn": ("digits", "DigitsCNN"),
    "digits-mlp": ("digits", "DigitsMLP"),
    "sentiment": ("sentiment", "Sentiment"),
    "bigram": ("sonnets", "BigramSystem"),
    "mlp-lm": ("sonnets", "MLPSystem"),
    "rnn-lm": ("sonnets", "RNNSystem"),
    "lstm-lm": ("sonnets", "LSTMSystem"),
    "gru-lm": ("sonnets", "GRUSystem"),
    "gpt": ("sonnets", "GPTSystem"),
    "door-lock": ("door", "DoorLock"),
    "mnist-cnn": ("mnist", "MnistCNN"),
    "verification": ("verification", "Verification"),
    "minilm": ("minilm", "MiniLM"),
    "bert-mlm": ("bert", "BertMLM"),
    "bert-sentiment": ("bert", "BertSentiment"),
}


def find(name: str) -> System:
    """The system of that name.

    >>> find("digits-mlp").document
    'C 4.1.1'
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.4)
        raise ArgumentError(
            f"there is no system {name!r}", expected=", ".join(NAMES), hint=", ".join(near) or None
        )
    file, kind = NAMES[name]
    system: System = getattr(importlib.import_module(f"{__name__}.{file}"), kind)()
    return system
