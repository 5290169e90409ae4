"""Measuring: every engine does the same work, all take turns, and what is kept can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_plot_legible import collisions

import tinynet as tn
from tinynet import bench, cli
from tinynet.bench import engines, picture, processes, stopwatch
from tinynet.bench.rows import memory, networks, starting
from tinynet.bench.stopwatch import Result, Spread
from tinynet.errors import ArgumentError, TinynetError

TINY = {"batch": 3, "steps": 5, "vocabulary": 20, "side": 12, "tokens": 18, "ops": 20, "context": 6}


def tiny(row: bench.Row) -> bench.Row:
    return replace(row, sizes={k: min(n, TINY.get(k, 6)) for k, n in row.sizes.items()})


TIMED = [row for row in bench.ROWS.values() if not row.returns and "cpu" in row.devices]


@pytest.mark.parametrize("row", TIMED, ids=lambda row: row.name)
def test_all_engines_of_a_row_do_the_same_work(row: bench.Row) -> None:
    calls = tiny(row).prepare()
    assert "tinynet" in calls
    bench.compare(calls, row.name, row.tolerance)
    assert all(str(n) in tiny(row).text for n in tiny(row).sizes.values())


def test_the_engines_learn_from_the_same_first_weights() -> None:
    """Losses fall, so equal losses say that the steps before were equal."""
    for name in ("mlp", "cnn", "lock", "lstm", "gpt"):
        step = tiny(bench.ROWS[name]).prepare()["tinynet"]
        losses = [float(step()) for _ in range(4)]
        assert losses[-1] < losses[0] - 1e-4


def test_what_is_done_by_hand_is_the_same_too() -> None:
    """Adam hides a factor in the gradients: they are compared, and the step of Adam alone."""
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (5, 6), "0.bias": (5,), "2.weight": (3, 5), "2.bias": (3,)}
    w = {name: rng.standard_normal(s) for name, s in shapes.items()}
    x, y = rng.standard_normal((4, 6)), rng.integers(0, 3, 4)
    own = {name: tn.tensor(v, requires_grad=True) for name, v in w.items()}
    W1, b1, W2, b2 = own.values()
    scores = tn.relu(tn.tensor(x) @ W1.T + b1) @ W2.T + b2
    tn.nn.functional.cross_entropy(scores, tn.tensor(y)).backward()
    _, gradients = networks._mlp_by_hand(w, x, y)
    for name, p in own.items():
        np.testing.assert_allclose(gradients[name], p.grad.numpy(), rtol=1e-10)
    optimizer, by_hand = tn.optim.AdamW(own.values(), lr=engines.LR), engines.Adam(w, 0.01)
    for _ in range(3):
        optimizer.step()
        by_hand.step(gradients)
    for name, p in own.items():
        np.testing.assert_allclose(w[name], p.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("name", ["cnn", "lock"])
def test_images_of_any_size(name: str) -> None:
    row = bench.ROWS[name]
    for side in (13, 14, 15):
        sizes = {**tiny(row).sizes, "side": side}
        bench.compare(replace(row, sizes=sizes).prepare(), name, row.tolerance)


@pytest.mark.parametrize("wrong", [0.999, float("nan")])
def test_a_wrong_loss_names_row_and_engine(wrong: float) -> None:
    calls = {"tinynet": lambda: (1.0, np.ones(2)), "other": lambda: (wrong, np.ones(2))}
    with pytest.raises(TinynetError, match=r"bench row: other and tinynet .* call 1"):
        bench.compare(calls, "row", 1e-4)
    calls["other"] = lambda: (1.0, np.ones(3))
    with pytest.raises(TinynetError, match="other returns shapes"):
        bench.compare(calls, "row", 1e-4)


def test_a_wrong_step_shows_in_the_second_loss() -> None:
    losses, late = iter([3.0, 2.0, 1.0]), iter([3.0, 2.5, 1.0])
    calls = {"tinynet": lambda: next(losses), "other": lambda: next(late)}
    with pytest.raises(TinynetError, match="call 2"):
        bench.compare(calls, "row", 1e-4)


def test_peers_that_are_not_there_are_left_out(monkeypatch: Any) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda name: name == "tinynet")
    assert set(tiny(bench.ROWS["mlp"]).prepare()) == {"tinynet", "numpy"}
    assert set(tiny(bench.ROWS["gpt"]).prepare()) == {"tinynet"}
    assert set(tiny(bench.ROWS["engine"]).prepare()) == {"tinynet", "numpy"}


# -- the stopwatch ---------------------------------------------------------------------------------


def test_the_stopwatch_sees_who_is_slower_and_engines_take_turns() -> None:
    turns: list[str] = []

    def work(name: str, n: int) -> Any:
        return lambda: (turns.append(name), sum(range(n)))

    spread = bench.measure({"a": work("a", 1_000), "b": work("b", 100_000)}, rounds=5)
    assert spread["b"].median / spread["a"].median > 10
    changes = sum(x != y for x, y in pairwise(turns))
    assert changes >= 9  # five rounds each
    assert all(s.low <= s.median <= s.high for s in spread.values())


def test_the_median_and_the_quartiles_of_the_turns() -> None:
    values = iter([9.0, 1.0, 2.0, 3.0, 4.0, 100.0])  # the first is the warm-up
    spread = bench.measure({"a": lambda: next(values)}, rounds=5, returns_numbers=True)
    assert spread["a"] == Spread(3.0, 2.0, 4.0)


def test_compiling_is_counted_apart(monkeypatch: Any) -> None:
    from tinynet.kernels import jit

    def slow() -> float:
        jit.seconds["compiling"] += 2.5
        return 1.0

    row = bench.Row("row", "some work", lambda device: {"tinynet": slow}, {})
    monkeypatch.setitem(jit.seconds, "compiling", 0.0)
    result = stopwatch._run(row, "cpu", 1)
    assert result.compiling == 7.5  # three calls are compared
    assert "compiled before, in 7.5 s" in bench.lines(result)[-1]


# -- rows and their sizes --------------------------------------------------------------------------


def test_names_and_groups_of_rows() -> None:
    from tinynet.bench.row import select

    assert [r.name for r in select(["gpt", "engine"], "cpu")] == ["gpt", "engine"]
    assert len(select(["attention"], "cpu")) == 12
    assert len(select(["attention-512-causal"], "cpu")) == 2
    assert "gpt-small" in [r.name for r in select([], "cuda")]
    assert "import" not in [r.name for r in select([], "cuda")]
    with pytest.raises(ArgumentError, match="no row 'atten'"):
        select(["atten"], "cpu")


def test_sizes_around_those_of_a_row() -> None:
    row = bench.ROWS["gpt"]
    itself, *others = row.around(3)
    assert itself is row
    assert [r.name for r in others] == ["gpt~1", "gpt~2", "gpt~3"]
    assert others == list(row.around(3))[1:]
    for other in others:
        assert other.options == row.options
        assert other.sizes != row.sizes
        for key, n in row.sizes.items():
            assert 0.7 * n - 0.5 <= other.sizes[key] <= 1.3 * n + 0.5
    assert list(bench.ROWS["import"].around(3)) == [bench.ROWS["import"]]
    ends = [row.near(np.random.default_rng(i))["context"] for i in range(200)]
    assert (min(ends), max(ends)) == pytest.approx((90, 166), abs=3)


# -- processes of their own ------------------------------------------------------------------------


def test_a_process_that_fails_says_why() -> None:
    assert processes.fresh("import tinynet; print('x', 3)") == 3.0
    with pytest.raises(TinynetError, match="ZeroDivisionError"):
        processes.fresh("1 / 0")


def test_rows_that_measure_themselves() -> None:
    assert 0 < bench.ROWS["import"].prepare()["tinynet"]() < 20
    assert 0 < starting._seconds(lambda: None) < 1
    assert 0 < starting.first_product("tinynet") < 100


@pytest.mark.parametrize("cold", [True, False])
def test_cold_means_an_empty_cache_at_every_turn(cold: bool, monkeypatch: Any) -> None:
    seen = []

    def process(code: str, environment: dict[str, str] | None = None) -> float:
        seen.extend((path, os.listdir(path)) for path in (environment or {}).values())
        return 1.0

    monkeypatch.setattr(starting, "fresh", process)
    call = starting.first("cpu", function="first_product", cold=cold)["tinynet"]
    call(), call()
    assert [files for _, files in seen] == ([[], []] if cold else [])
    assert len({path for path, _ in seen}) == len(seen)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux")
def test_memory_is_what_a_process_grows_by() -> None:
    """In a process of its own, as it is measured: here, freed memory would be used again."""
    script = (
        "import numpy as np; from tinynet.bench.rows import memory; "
        "print(memory._peak(lambda: np.ones(2**22)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert int(run.stdout) == pytest.approx(2**25, rel=0.1)
    n = 512
    ours = memory.of_attention("cpu", tokens=n, width=8)["tinynet"]()
    assert 0 < ours < 8 * n * n * 4


# -- what is shown ---------------------------------------------------------------------------------

RESULTS = [
    Result("one", "some work", "s", {"tinynet": Spread(0.5e-3, 0.4e-3, 0.6e-3),
                                     "torch": Spread(1e-3, 9e-4, 2e-3)}),
    Result("two", "other work", "B", {"tinynet": Spread(3 * 2**20, 2**21, 2**22),
                                      "numpy": Spread(2**20, 2**20, 2**20)}),
]  # fmt: skip


def test_lines_and_table() -> None:
    first, ours, theirs = bench.lines(RESULTS[0])
    assert first.startswith("one   some work")
    assert ours.split() == ["tinynet", "500.00", "µs", "(400.00", "…", "600.00)"]
    assert "tinynet / torch = 0.50" in theirs
    assert "3.00 MiB (2.00 … 4.00)" in bench.lines(RESULTS[1])[1]
    head, one, two = (line.split() for line in bench.table(RESULTS))
    assert head == ["row", "tinynet", "/", "torch", "/", "numpy"]
    assert one == ["one", "500.00", "µs", "0.50", "–"]
    assert two == ["two", "3.00", "MiB", "–", "3.00"]


@pytest.mark.parametrize("ratio", [0.5, 200, 1e4])
def test_the_numbers_of_the_scale_do_not_touch(ratio: float) -> None:
    spread = {"tinynet": Spread(1.0, 1.0, 1.0), "torch": Spread(ratio, ratio, ratio)}
    far = {**spread, "torch": Spread(1 / 150, 1 / 150, 1 / 150)}
    name = "attention-2048-causal-forward"
    figure = picture.ratios([Result(name, "", "s", spread), Result("two", "", "s", far)])
    figure.draw_without_rendering()
    assert not collisions(figure)


def test_the_picture_shows_the_ratios() -> None:
    figure = picture.ratios(RESULTS)
    (ax,) = figure.axes
    points = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert points["PyTorch"] == [[0.5, 0]]
    assert points["NumPy by hand"] == [[3.0, 1]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "two"]
    assert ax.get_xscale() == "log"
    with pytest.raises(ArgumentError, match="no row"):
        picture.ratios([])


def test_bench_prints_and_keeps_what_it_measured(
    capsys: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(stopwatch, "_ROUND", 0.0005)
    kept, drawn = tmp_path / "b.json", tmp_path / "b.png"
    argv = ["bench", "engine", "--around", "1", "--json", str(kept), "--picture", str(drawn)]
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    found = json.loads(kept.read_text())
    assert [row["name"] for row in found["rows"]] == ["engine", "engine~1"]
    row = found["rows"][0]
    assert {"tinynet", "numpy"} <= set(row["medians"]) == set(row["quartiles"])
    ratio = row["medians"]["tinynet"] / row["medians"]["numpy"]
    assert row["ratios"]["numpy"] == ratio
    assert f"tinynet / numpy = {ratio:.2f}" in out
    assert found["machine"] in out
    assert found["engines"] in out
    assert "[2/2] engine~1" in out
    assert drawn.read_bytes()[:4] == b"\x89PNG"
