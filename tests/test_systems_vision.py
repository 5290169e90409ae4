"""The systems on pictures: networks, folds, thresholds; on pictures that are made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import metrics, models
from tinynet.data import Digits, Images
from tinynet.errors import ArgumentError, DataError
from tinynet.models import CNN, CNNConfig, Embedder, EmbedderConfig, beside
from tinynet.models.system import Run, adjusted, run_system
from tinynet.models.systems import digits, door, faces, mnist, verification
from tinynet.random import Stream

SMALL = CNNConfig(side=10, channels=2, filters=(3, 4), hidden=5, outputs=3)
SMALLER = EmbedderConfig(side=10, filters=(3, 4), hidden=5, width=6)


def some_faces(of_each: int = 10, side: int = 25) -> Images:
    """Bright squares of many sizes on dark ground, and noise without one."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 0.3, (2 * of_each, side, side))
    for i in range(of_each):
        top, left = rng.integers(4, 8, 2)
        images[i, top : -4 - i % 4, left:-5] += 0.6
    labels = np.repeat([1, 0], of_each)
    return Images(tn.tensor(images.astype("f4")), tn.tensor(labels), "made here")


def some_digits(count: int, side: int) -> Images:
    """Bars: the class says which column is dark."""
    rng = np.random.default_rng(1)
    labels = np.arange(count) % 10
    images = rng.uniform(0, 0.2, (count, side, side)).astype("f4")
    images[np.arange(count), :, labels * side // 10] = 1
    return Images(tn.tensor(images), tn.tensor(labels), "made here")


# -- networks --------------------------------------------------------------------------------------


def parameters(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_network_as_printed_has_the_parameters_that_it_has() -> None:
    model = CNN(CNNConfig())
    assert parameters(model) == 7_392_449
    assert parameters(model.hidden) == 7_372_928
    with tn.no_grad():
        assert model(tn.zeros(1, 3, 128, 128)).shape == (1, 1)
    with pytest.raises(tn.errors.ShapeError):
        model(tn.zeros(1, 1, 28, 28))  # what the document feeds it


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (CNNConfig(side=28, channels=1, outputs=10), 225_034),
        (CNNConfig(side=8, channels=1, outputs=10, padding=1), 53_002),
    ],
)
def test_its_smaller_versions(config: CNNConfig, count: int) -> None:
    model = CNN(config)
    assert parameters(model) == count
    assert model(tn.zeros(2, 1, config.side, config.side)).shape == (2, 10)


def test_the_network_is_the_formula_of_its_page() -> None:
    """By loops, without the convolution and the pooling of the engine."""

    def layer(x: Any, conv: Any) -> Any:
        w, b = conv.weight.detach().numpy(), conv.bias.detach().numpy()
        side = x.shape[1] - 2
        z = np.empty((len(w), side, side))
        for i, p, q in np.ndindex(z.shape):
            z[i, p, q] = (w[i] * x[:, p : p + 3, q : q + 3]).sum() + b[i]
        a, half = np.maximum(z, 0), side // 2
        return a[:, : 2 * half, : 2 * half].reshape(len(w), half, 2, half, 2).max((2, 4))

    model = CNN(SMALL).eval()
    x = np.random.default_rng(0).standard_normal((2, 10, 10)).astype("f4")
    a = layer(layer(x, model.conv1), model.conv2).ravel()
    for name, bend in (("hidden", True), ("output", False)):
        full = getattr(model, name)
        a = full.weight.detach().numpy() @ a + full.bias.detach().numpy()
        a = np.maximum(a, 0) if bend else a
    np.testing.assert_allclose(model(tn.tensor(x[None])).detach().numpy()[0], a, rtol=1e-4)


def test_vectors_have_length_one_whatever_the_light() -> None:
    model, x = Embedder(SMALLER), tn.rand(4, 1, 10, 10)
    z = model(x).detach().numpy()
    np.testing.assert_allclose((z**2).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(model(0.3 * x + 0.5).detach().numpy(), z, atol=1e-3)


@pytest.mark.peers
@pytest.mark.parametrize("model", [CNN(SMALL), Embedder(SMALLER)], ids=["CNN", "Embedder"])
def test_their_twins_are_the_same_functions(model: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    twin = beside.twin(model)
    channels = 2 if isinstance(model, CNN) else 1
    x = np.random.default_rng(0).standard_normal((3, channels, 10, 10)).astype("f4")
    ours, theirs = model(tn.tensor(x)), twin(torch.from_numpy(x))
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-6)
    g = np.random.default_rng(1).standard_normal(ours.shape).astype("f4")
    ours.backward(tn.tensor(g))
    theirs.backward(torch.from_numpy(g))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-3, atol=1e-5)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert again.config == model.config
    np.testing.assert_array_equal(again(tn.tensor(x)).detach().numpy(), ours.detach().numpy())


# -- parts and pictures ----------------------------------------------------------------------------


def keys(images: Images) -> set[bytes]:
    return {image.tobytes() for image in images.images.array}


def test_no_picture_is_in_two_parts_of_a_round() -> None:
    images = some_faces()
    found = list(faces.rounds(images, 5, seed=3))
    assert len(found) == 5
    for part in found:
        assert [len(p) for p in part] == [12, 4, 4]
        assert len(keys(part.train) | keys(part.calibrate) | keys(part.test)) == 20
        for each in part:
            assert int(each.labels.numpy().sum()) * 2 == len(each)  # as many of each label
            for image, label in zip(each.images.array, each.labels.array, strict=True):
                at = [image.tobytes() == other.tobytes() for other in images.images.array].index(1)
                assert images.labels.array[at] == label  # still its own
    assert set().union(*(keys(part.test) for part in found)) == keys(images)
    assert set().union(*(keys(part.calibrate) for part in found)) == keys(images)
    for again, part in zip(faces.rounds(images, 5, seed=3), found, strict=True):
        assert np.array_equal(again.train.images.array, part.train.images.array)


def test_what_is_framed_keeps_its_border() -> None:
    x = np.random.default_rng(0).uniform(0.4, 0.6, (6, 1, 9, 9)).astype("f4")
    assert np.array_equal(faces.Framed(lambda y: y, 3)(x), x)
    moved = faces.Framed(tn.data.RandomShift(2), 3)(x)
    assert moved.shape == x.shape
    assert moved.min() >= 0.4  # nothing black comes in


def test_light_keeps_the_figure() -> None:
    x = np.random.default_rng(0).uniform(0.45, 0.55, (5, 1, 8, 8)).astype("f4")
    lit = verification.Light(contrast=0.4, brightness=0.2, noise=0.0)(x)
    for before, after in zip(x.reshape(5, -1), lit.reshape(5, -1), strict=True):
        assert np.corrcoef(before, after)[0, 1] == pytest.approx(1, abs=1e-3)
        assert 0.6 <= after.std() / before.std() <= 1.4
        assert abs(after.mean() - before.mean()) <= 0.2
    assert len({after.mean() for after in lit}) == 5  # each its own
    bright = verification.Light(0.4, 0.2, 0.3)(np.ones((2, 1, 4, 4), "f4"))
    assert bright.dtype == np.float32
    assert bright.min() >= 0
    assert bright.max() <= 1


def test_a_view_is_large_and_has_three_equal_colours() -> None:
    images = some_faces()
    view = door.View(images, 32)
    x = view(images.images.array[:, None]).numpy()
    assert x.shape == (20, 3, 32, 32)
    assert np.array_equal(x[:, 0], x[:, 1])
    assert np.array_equal(x[:, 0], x[:, 2])
    flat = door.View(images, 32)(np.full((1, 1, 25, 25), 0.5, "f4")).numpy()
    pixels = images.images.numpy()
    np.testing.assert_allclose(flat, (0.5 - pixels.mean()) / pixels.std(), rtol=1e-4)


def test_roughness_by_loops() -> None:
    images = np.random.default_rng(0).uniform(size=(2, 3, 4))
    for image, found in zip(images, door.roughness(images), strict=True):
        across = [abs(image[i, j + 1] - image[i, j]) for i in range(3) for j in range(3)]
        down = [abs(image[i + 1, j] - image[i, j]) for i in range(2) for j in range(4)]
        assert found == pytest.approx(sum(across) / 9 + sum(down) / 8)


# -- pairs and thresholds --------------------------------------------------------------------------


def test_pairs_by_loops() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 3))
    vectors[4] = 0
    people = np.array([0, 1, 0, 1, 1])
    cosines, same = verification.pairs(vectors, people)
    expected = []
    for i in range(5):
        for j in range(i + 1, 5):
            lengths = np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j])
            cosine = vectors[i] @ vectors[j] / lengths if lengths else 0.0
            expected.append((cosine, people[i] == people[j]))
    np.testing.assert_allclose(cosines, [cosine for cosine, _ in expected], atol=1e-12)
    assert same.tolist() == [int(is_same) for _, is_same in expected]


def test_a_meeting_shows_each_person_twice() -> None:
    patches = np.random.default_rng(0).uniform(0.3, 0.7, (7, 5, 5)).astype("f4")
    people = patches.repeat(5, axis=1).repeat(5, axis=2)
    meetings = verification.Meetings(people, persons=4, count=3)
    assert len(meetings) == 3
    with Stream(0, 0):
        x, y = meetings[0]
    with Stream(0, 0):
        again, _ = meetings[0]
    assert np.array_equal(x.numpy(), again.numpy())
    assert x.shape == (8, 1, 25, 25)
    assert y.numpy().tolist() == [0, 1, 2, 3] * 2
    several = [meetings[i] for i in range(20)]
    pixels = verification._centred(np.concatenate([x.numpy() for x, _ in several]))
    alike = verification.found_again(pixels, np.concatenate([y.numpy() for _, y in several]))
    assert alike > 0.6  # 0.25 by chance
    assert len(verification.Meetings(people, persons=40, count=1)[0][1]) == 14  # there are 7


def test_found_again_counts_batch_by_batch() -> None:
    eye = np.eye(3)
    right = np.concatenate([eye, eye])
    wrong = np.concatenate([eye, eye[[1, 0, 2]]])
    y = np.tile(np.arange(3), 2)
    assert verification.found_again(right, y) == 1
    assert verification.found_again(wrong, y) == pytest.approx(1 / 3)
    both = verification.found_again(np.concatenate([right, wrong]), np.tile(y, 2))
    assert both == pytest.approx(2 / 3)


def test_the_lock_is_measured_with_the_threshold_of_each_round() -> None:
    scores = [np.array([0.9, 0.6, 0.5, 0.1]), np.array([0.4, 0.3, 0.2, 0.1])]
    labels = [np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])]
    report = door.Measured(scores, labels, [0.55, 0.25]).report()
    # The first round is right; the second opens to 0.4 and 0.3, of which one is a face.
    assert report["accuracy"] == pytest.approx(6 / 8)
    assert report["recall"] == pytest.approx(3 / 4)
    assert report["precision"] == pytest.approx(3 / 4)
    assert report["false accepts"] == pytest.approx(1 / 4)
    assert report["false rejects"] == pytest.approx(1 / 4)
    assert report["areas"] == [1.0, 0.75]
    assert report["auc"] == pytest.approx(0.875)
    assert report["accuracy at 0.5"] == pytest.approx(5 / 8)


def test_the_threshold_of_verification_lets_in_what_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(8), 4)
    vectors = rng.standard_normal((8, 5))[people] + 0.5 * rng.standard_normal((32, 5))
    measured = verification.Measured([], [], [])
    measured.add((vectors, people), (vectors, people), false_accepts=0.05)
    (found,) = [measured.round(0)]
    assert found["false accepts"] <= 0.05
    cosines, same = verification.pairs(vectors, people)
    lower = cosines[cosines < found["threshold"]].max()
    assert np.mean(cosines[same == 0] >= lower) > 0.05 or lower < cosines[same == 0].max()
    assert found["equal error rate"] == pytest.approx(
        metrics.threshold_curve(cosines, same).equal_error_rate()
    )


# -- whole runs, on pictures made here -------------------------------------------------------------


def trained(name: str, folder: Path, **changes: Any) -> Any:
    system = models.find(name)
    settings = adjusted(system, True, {"epochs": 2, **changes})
    result = run_system(system, settings, folder / "run", progress=False)
    assert {"metrics.json", "config.json", "model"} <= {p.name for p in result.folder.iterdir()}
    pictures = {path.stem for path in result.folder.glob("*.png")}
    return system, settings, result, pictures


def test_the_lock_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "load_faces", some_faces)
    system, settings, result, pictures = trained("door-lock", tmp_path, side=16, epochs=8, lr=5e-3)
    assert result.metrics["tinynet"]["auc"] == 1.0
    assert result.metrics["roughness alone"]["auc"] <= 1
    assert pictures >= {"thresholds", "roc", "saliency", "confusion_matrix", "learning_curves"}
    again = system.evaluate(result.model, settings)
    for name in again:
        assert again[name] == pytest.approx(result.metrics["tinynet"][name])


def test_verification_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "load_faces", some_faces)
    system, settings, result, pictures = trained("verification", tmp_path, steps=2, pictures=3)
    assert 0 < result.metrics["tinynet"]["equal error rate"] < 1
    assert pictures >= {"thresholds", "roc", "vectors", "persons", "learning_curves"}
    again = system.evaluate(result.model, settings)
    for name in again:
        assert again[name] == pytest.approx(result.metrics["tinynet"][name])
    png = str(result.folder / "roc.png")
    vectors = system.embed(result.model, result.folder, ["3", png, "3"])
    np.testing.assert_allclose((vectors**2).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])
    with pytest.raises(ArgumentError, match="no face 10"):
        system.embed(result.model, result.folder, ["10"])
    with pytest.raises(DataError, match="no picture"):
        system.embed(result.model, result.folder, ["nobody.png"])


def test_mnist_is_split_by_digit_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "load_mnist_5k", lambda scaled: some_digits(200, 28))
    system, settings, result, pictures = trained("mnist-cnn", tmp_path, samples=100, shift=0)
    train, test = mnist.split(settings)
    assert (len(train), len(test)) == (80, 20)
    assert np.bincount(test.labels.numpy()).tolist() == [2] * 10
    assert not keys(train) & keys(test)
    assert pictures >= {"confusion_matrix", "feature_maps", "filters", "saliency"}
    assert system.evaluate(result.model, settings) == pytest.approx(result.metrics["tinynet"])


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_digits_are_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = some_digits(100, 8)
    made = Digits(few.images, few.labels, few.description)
    monkeypatch.setattr(digits, "load_digits", lambda scaled: made)
    system, settings, result, pictures = trained(name, tmp_path, splits=2)
    numbers = result.metrics["tinynet"]
    assert len(numbers["splits"]) == 2
    assert numbers["accuracy"] == pytest.approx(np.mean(numbers["splits"]))
    assert pictures >= {"confusion_matrix", "learning_curves"}
    again = system.evaluate(result.model, settings)
    assert again["accuracy"] == pytest.approx(numbers["splits"][0])


@pytest.mark.parametrize("name", ["door-lock", "verification"])
def test_settings_that_leave_nothing_to_learn_from(name: str) -> None:
    for wrong in ({"parts": 2}, {"rounds": 0}, {"rounds": 6}):
        with pytest.raises(ArgumentError, match="parts"):
            adjusted(models.find(name), False, wrong)


@pytest.mark.peers
def test_the_twin_sees_the_same_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed at random, yet the same for both: without dropout both learn the same."""
    pytest.importorskip("torch")
    monkeypatch.setattr(door, "load_faces", some_faces)
    system = models.find("door-lock")
    settings = adjusted(system, True, {"side": 16, "epochs": 2})
    run = Run("door-lock", settings, tmp_path, beside=True, progress=False)
    part = next(iter(faces.rounds(some_faces(), 5, 0)))
    both = system._one(run, part, 0)  # type: ignore[attr-defined]
    np.testing.assert_allclose(both.history["loss"], both.twin_loss, rtol=1e-4)
