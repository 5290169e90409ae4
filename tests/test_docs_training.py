"""The page about training: its cells run, and show what the text says."""

from __future__ import annotations

import pages

TEXT = (pages.DOCS / "training.md").read_text(encoding="utf-8")


def test_the_cells_run_and_show_what_the_text_says() -> None:
    printed, names = pages.run(TEXT)
    assert names["history"]["val_accuracy"][-1] > 0.9
    assert 1e-3 < names["found"].suggestion < 0.3
    assert names["scheduled"]["val_loss"][-1] < 0.3
    assert "optimizer.step()" in printed["training"]
    assert printed["large-batches-in-small-memory"] == "the same to 1e-15: True\n"
    mean = {decay: sum(losses[5:]) for decay, losses in names["curves"].items()}
    assert mean[0.98] < mean[None]
    lost = printed["a-run-that-cannot-be-lost"]
    assert lost.count("cut off") == 3
    assert "the same, bit for bit: True" in lost
    assert "model.1.weight: (64, 64) float32 in the file, (32, 64) float32 now" in lost
    none = printed["numbers-that-are-none"]
    assert "log in Careless (forward)" in none
    assert "return p.log()" in none
    assert "sqrt in the loss (backward)" in none
