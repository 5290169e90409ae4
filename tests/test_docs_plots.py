"""The page of the pictures: every function has an example, and all of them run."""

from __future__ import annotations

import re

import pages

from tinynet import plot

TEXT = (pages.DOCS / "plots.md").read_text(encoding="utf-8")


def test_every_function_is_shown() -> None:
    code = "\n".join(cell for _, cell in pages.blocks(TEXT, "{code-cell}"))
    shown = {*re.findall(r"\bplot\.(\w+)\(", code)}
    assert "history.plot()" in code
    assert shown | {"learning_curves"} == set(plot.__all__) - {"OKABE_ITO"}


def test_the_cells_run() -> None:
    _, names = pages.run(TEXT)
    assert names["history"]["val_accuracy"][-1] > 0.9
    weights = names["weights"].numpy()
    assert (abs(weights.sum(axis=1) - 1) < 1e-6).all()
    assert (weights[names["hidden"].numpy()] == 0).all()
