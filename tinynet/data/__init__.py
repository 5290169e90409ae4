"""Data sets and what brings them to a model in batches.

In: the handwritten digits that ship with the package (`load_digits`), and PyTorch's tools for any
data: `Dataset`, `TensorDataset`, `Subset`, `random_split`, `DataLoader`. `tinynet.utils.data`
offers those under PyTorch's path. Not in: scores (`metrics.py`) and the training loop (`train/`).

Start with `sets.py`, then `loading.py`; `handwriting.py` is the digits.
"""

from tinynet.data.batching import default_collate
from tinynet.data.byte_pairs import BytePairTokenizer
from tinynet.data.handwriting import Digits, load_digits
from tinynet.data.loading import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinynet.data.sets import (
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tinynet.data.tokenizers import CharacterTokenizer, Tokenizer, WordTokenizer

__all__ = [
    "BatchSampler",
    "BytePairTokenizer",
    "CharacterTokenizer",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "Tokenizer",
    "WeightedRandomSampler",
    "WordTokenizer",
    "default_collate",
    "load_digits",
    "random_split",
]
