"""Data sets and what brings them to a model in batches.

In: the handwritten digits that ship with the package (`load_digits`); images and texts that are
fetched once and kept (`load_mnist`, `load_sonnets` ...); PyTorch's tools for any data: `Dataset`,
`TensorDataset`, `Subset`, `random_split`, `DataLoader`, which `tinynet.utils.data` offers under
PyTorch's path. Not in: scores (`metrics.py`) and the training loop (`train/`).

Start with `sets.py`, then `loading.py`. `handwriting.py`, `images.py` and `texts.py` are the data;
`fetching.py` is the one way in which a file comes from elsewhere.
"""

from tinynet.data.augmentation import (
    Augmented,
    Compose,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    Standardize,
)
from tinynet.data.batching import default_collate
from tinynet.data.byte_pairs import BytePairTokenizer
from tinynet.data.fetching import Member, Source, cache_folder, fetch, is_cached
from tinynet.data.handwriting import Digits, load_digits
from tinynet.data.images import Images, load_faces, load_mnist, load_mnist_5k
from tinynet.data.lengths import LengthBuckets, pad_batch
from tinynet.data.loading import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinynet.data.masking import mask_tokens
from tinynet.data.sets import (
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tinynet.data.texts import (
    RatedTexts,
    Sonnets,
    load_movie_snippets,
    load_sonnets,
    load_tweets,
)
from tinynet.data.tokenizers import CharacterTokenizer, Tokenizer, WordTokenizer
from tinynet.data.wordpiece import WordPieceTokenizer

__all__ = [
    "Augmented",
    "BatchSampler",
    "BytePairTokenizer",
    "CharacterTokenizer",
    "Compose",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "Images",
    "IterableDataset",
    "LengthBuckets",
    "Member",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomSampler",
    "RandomShift",
    "RatedTexts",
    "Sampler",
    "SequentialSampler",
    "Sonnets",
    "Source",
    "Standardize",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "Tokenizer",
    "WeightedRandomSampler",
    "WordPieceTokenizer",
    "WordTokenizer",
    "cache_folder",
    "default_collate",
    "fetch",
    "is_cached",
    "load_digits",
    "load_faces",
    "load_mnist",
    "load_mnist_5k",
    "load_movie_snippets",
    "load_sonnets",
    "load_tweets",
    "mask_tokens",
    "pad_batch",
    "random_split",
]
