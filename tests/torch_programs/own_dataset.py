"""Words of different lengths: a Dataset, random_split, collate_fn, averaged embeddings."""

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset, Subset, random_split

NEEDS = ()
WORDS = "red green blue one two three four five six black white yellow seven eight nine ten pink"
NUMBERS = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}


class Words(Dataset):
    def __init__(self, words, transform=None):
        self.words, self.transform = words, transform

    def __len__(self):
        return len(self.words)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        word = self.words[idx]
        sample = {"word": word, "label": int(word in NUMBERS)}
        return self.transform(sample) if self.transform else sample


class ToTensor:
    def __call__(self, sample):
        ids = [ord(ch) - ord("a") + 1 for ch in sample["word"]]
        return {"ids": torch.tensor(ids), "label": sample["label"]}


def collate(batch):
    longest = max(len(sample["ids"]) for sample in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    for row, sample in enumerate(batch):
        ids[row, : len(sample["ids"])] = sample["ids"]
    return ids, torch.tensor([sample["label"] for sample in batch], dtype=torch.float32)


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(27, 8, padding_idx=0)
        self.out = nn.Linear(8, 1)

    def forward(self, ids):
        mask = (ids != 0).unsqueeze(-1).float()
        mean = (self.embedding(ids) * mask).sum(1) / mask.sum(1).clamp(min=1)
        return self.out(mean).squeeze(-1)


def make():
    return Bag()


def train(model):
    data = Words(WORDS.split(), transform=ToTensor())
    generator = torch.Generator().manual_seed(42)
    training, validation = random_split(data, [0.8, 0.2], generator=generator)
    assert isinstance(validation, Subset)
    assert len(training) + len(validation) == len(data)
    loader = DataLoader(training, batch_size=4, shuffle=True, collate_fn=collate, drop_last=False)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        total = 0.0
        for ids, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(ids), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * ids.size(0)
        losses.append(total / len(training))
    with torch.set_grad_enabled(False):
        for ids, labels in DataLoader(validation, batch_size=2, collate_fn=collate):
            assert torch.sigmoid(model(ids)).shape == labels.shape
    return losses
