"""The tour: it runs, its pictures are there, and what it claims was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import cli, tour


def test_the_quick_tour(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    measured: dict[str, Any] = {}
    run = tour.run
    monkeypatch.setattr(tour, "run", lambda *a, **k: measured.update(run(*a, **k)) or measured)
    assert cli.main(["tour", "--quick", "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert measured["failed"] == []
    assert measured["tape_error"] < 1e-5
    assert 0 < measured["mistakes"] <= measured["bound"]
    assert f"After {measured['mistakes']} mistakes" in text
    assert measured["perceptron"] > 0.9
    assert measured["neuron"] > 0.9
    assert measured["mean_accuracy"] > 0.93
    assert measured["file_order_accuracy"] < measured["mean_accuracy"]
    for key in ("mean_accuracy", "file_order_accuracy"):
        assert f"{100 * measured[key]:.1f} % right" in text
    listed = re.findall(r"^   (\w+\.png) ", text, re.MULTILINE)
    assert set(listed) == set(tour._PICTURES)
    for name in listed:
        content = (tmp_path / "out" / name).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(content) > 2000
    assert str(tmp_path / "out") in text


def test_five_splits_of_the_digits() -> None:
    """The promise of the tour: 97 % in the mean, and less on other hands. Two splits stand for
    five.
    """
    from tinynet.data import load_digits

    digits = load_digits(scaled=True)
    scores = [tour.train_reader(*digits.split(seed=s), seed=s)[2] for s in (0, 1)]
    assert np.mean(scores) >= 0.97
