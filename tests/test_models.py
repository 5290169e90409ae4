"""What systems share: a network into a folder and back, its twin on PyTorch, a run's folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import tinynet as tn
from tinynet import models
from tinynet.errors import ArgumentError, DataError, FileFormatError, ShapeError
from tinynet.models import MLP, MLPConfig, Recipe, System, beside
from tinynet.models.system import adjusted, run_system

SMALL = MLPConfig(inputs=6, hidden=5, classes=3)


def test_a_network_comes_back_from_its_folder(tmp_path: Path) -> None:
    model = MLP(SMALL).eval()
    model.save_pretrained(tmp_path / "new" / "folder")
    again = MLP.from_pretrained(tmp_path / "new" / "folder").eval()
    x = tn.randn(4, 6)
    assert again.config == SMALL
    assert np.array_equal(model(x).detach().numpy(), again(x).detach().numpy())


def test_the_weights_are_an_open_file(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    model = MLP(SMALL)
    model.save_pretrained(tmp_path)
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == model.state_dict().keys()
    np.testing.assert_array_equal(found["hidden.weight"], model.hidden.weight.detach().numpy())


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("config.json", None, FileFormatError, "no config.json"),
        ("model.safetensors", None, FileFormatError, "no model.safetensors"),
        ("config.json", "{", FileFormatError, "not JSON"),
        ("config.json", '{"model": "GPT"}', FileFormatError, "does not hold a MLP"),
        ("config.json", '{"model": "MLP", "width": 3}', ArgumentError, "no width"),
        ("config.json", '{"model": "MLP", "inputs": 7}', ShapeError, "hidden.weight"),
        ("model.safetensors", "text", FileFormatError, "model.safetensors"),
    ],
)
def test_a_bad_folder(tmp_path: Path, name: str, content: Any, kind: Any, words: str) -> None:
    MLP(SMALL).save_pretrained(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(kind, match=words):
        MLP.from_pretrained(tmp_path)


@pytest.mark.peers
@pytest.mark.parametrize("training", [True, False])
def test_a_twin_is_the_same_function(training: bool) -> None:
    torch = pytest.importorskip("torch")
    model = MLP(MLPConfig(6, 5, 3, dropout=0.0)).train(training)
    model.output.bias.requires_grad_(False)
    twin = beside.twin(model)
    assert isinstance(twin, torch.nn.Module)
    assert type(twin).__name__ == "MLP"
    assert twin.training is training
    assert not twin.output.bias.requires_grad
    x = np.random.default_rng(0).standard_normal((4, 6)).astype("f4")
    theirs = twin(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model(tn.tensor(x)).detach().numpy(), theirs, rtol=1e-5, atol=1e-6)
    twin.hidden.weight.data.zero_()
    assert model.hidden.weight.detach().numpy().any()  # no memory is shared


@pytest.mark.peers
def test_a_twin_learns_the_same(tmp_path: Path, capsys: Any) -> None:
    """Without dropout: the same weights after the same batches, to rounding."""
    pytest.importorskip("torch")
    system = Line()
    settings = adjusted(system, False, {"epochs": 3, "clip": 0.5, "schedule": "cosine"})
    result = run_system(system, settings, tmp_path / "run", beside=True)
    trained = system.trained
    lines = [f"PyTorch, epoch {n}/3  loss {x:.4g}" for n, x in enumerate(trained.twin_loss, 1)]
    assert [line for line in capsys.readouterr().out.splitlines() if "PyTorch" in line] == lines
    np.testing.assert_allclose(trained.history["loss"], trained.twin_loss, rtol=1e-4)
    theirs = beside.numbers(trained.twin)
    for name, value in beside.numbers(result.model).items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-3, atol=1e-5)
    assert result.metrics["torch"] == pytest.approx(result.metrics["tinynet"], rel=1e-3)


@dataclass(frozen=True)
class LineSettings(Recipe):
    width: int = 4


class Line(System):
    """A little system, of noise."""

    name = "line"
    about = "a test"
    Settings = LineSettings
    quick: ClassVar[dict[str, Any]] = {"epochs": 2}
    Network = MLP
    trainings = 0

    def data(self) -> Any:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((40, 6)).astype("f4")
        return tn.utils.data.TensorDataset(tn.tensor(x), tn.tensor((x[:, 0] > 0).astype("i8")))

    def train(self, run: Any) -> Any:
        self.trainings += 1
        model = MLP(MLPConfig(6, run.settings.width, 2, dropout=0.0))
        loss = lambda F, z, y: F.cross_entropy(z, y)  # noqa: E731
        self.trained = run.fit(model, self.data(), loss)
        scores = self.trained.scores(self.data(), {"sum": lambda z, _: float(np.sum(z))}, loss)
        run.metrics |= scores
        return model


def test_a_finished_run_is_read_and_not_repeated(tmp_path: Path) -> None:
    system, folder = Line(), tmp_path / "run"
    settings = adjusted(system, True, {})
    first = run_system(system, settings, folder, progress=False)
    assert {"config.json", "metrics.json", "model"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "checkpoints").exists()
    held = json.loads((folder / "config.json").read_text("utf-8"))
    assert held["settings"]["epochs"] == 2
    assert {"machine", "versions"} <= set(held)
    second = run_system(system, settings, folder, progress=False)
    assert system.trainings == 1
    assert second.metrics == first.metrics
    for name, value in first.model.state_dict().items():
        assert np.array_equal(value.numpy(), second.model.state_dict()[name].numpy())


def test_the_same_settings_give_the_same_numbers(tmp_path: Path) -> None:
    settings = adjusted(Line(), True, {})
    first = run_system(Line(), settings, tmp_path / "a", progress=False)
    tn.randn(100)
    second = run_system(Line(), settings, tmp_path / "b", progress=False)
    assert first.metrics == second.metrics
    other = run_system(Line(), adjusted(Line(), True, {"seed": 1}), tmp_path / "c", progress=False)
    assert other.metrics != first.metrics


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    settings = adjusted(Line(), True, {})
    run_system(Line(), settings, tmp_path / "run", progress=False)
    with pytest.raises(DataError, match=r"another run\n.*width=5\n.*width=4"):
        run_system(Line(), adjusted(Line(), True, {"width": 5}), tmp_path / "run", progress=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="other things"):
        run_system(Line(), settings, tmp_path / "other", progress=False)


def test_names_and_settings_that_are_not_there() -> None:
    with pytest.raises(ArgumentError, match="digits-mlp"):
        models.train("digit-mlp")
    with pytest.raises(ArgumentError, match="no setting colour"):
        models.train("digits-mlp", colour="red")
    for wrong in ({"epochs": 0}, {"lr": -1.0}, {"lr": float("nan")}, {"warmup": 1.0}, {"clip": -1}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            Recipe(**wrong)
    for wrong in ({"schedule": "square"}, {"optimizer": "Luck"}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            Recipe(**wrong)


@pytest.mark.parametrize("name", models.NAMES)
def test_every_system_says_what_it_is(name: str) -> None:
    system = models.find(name)
    assert system.name == name
    assert system.about
    assert adjusted(system, True, {}) != system.Settings()
    assert issubclass(system.Network, models.Pretrained)
