"""What the source documents get wrong: a test for each line of docs/errata.md, by a number.

Where a formula is wrong, the printed one (`as_printed`) is held against the right one.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

import numpy as np
import pages
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.data import load_digits
from tinynet.derivations import attention, bce, bigram, conv2d, neuron, rnn, softmax
from tinynet.nn import functional as F

PAGE = (pages.DOCS / "errata.md").read_text(encoding="utf-8")
rng = np.random.default_rng(0)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# -- document A --------------------------------------------------------------------------------


def test_attention_without_its_sum() -> None:
    """Every weight is 1 and every output ΣV; right weights add up to 1 for each query."""
    q, k, v = rng.standard_normal((3, 4)), rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    assert (softmax.as_printed(q @ k.T / math.sqrt(4)) == 1).all()
    np.testing.assert_allclose(attention.as_printed(q, k, v), np.tile(v.sum(0), (3, 1)))
    weights = attention.weights(q, k)
    np.testing.assert_allclose(weights, softmax.definition(q @ k.T / math.sqrt(4)))
    np.testing.assert_allclose(weights.sum(1), 1)
    outputs = attention.definition(q, k, v, True, True)
    np.testing.assert_allclose(outputs, weights @ v)
    assert np.ptp(outputs, axis=0).max() > 0.1


def test_weights_that_are_added() -> None:
    """Σ (w + v) = 1 + Σ v, the same for every query."""
    q, k, v = rng.standard_normal((3, 4)), rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    np.testing.assert_allclose(attention.as_worded(q, k, v), np.tile(1 + v.sum(0), (3, 1)))
    added = (attention.weights(q, k)[:, :, None] + v).sum(1)
    np.testing.assert_allclose(attention.as_worded(q, k, v), added)
    assert np.ptp(attention.definition(q, k, v, True, True), axis=0).max() > 0.01


# -- document B --------------------------------------------------------------------------------


def test_an_embedding_goes_down() -> None:
    """10,000 coordinates become 32; a row of the table is a one-hot vector times the table."""
    table = rng.standard_normal((10_000, 32))
    ids = rng.integers(0, 10_000, 3)
    one_hot = F.one_hot(tn.tensor(ids), 10_000).double().numpy()
    assert one_hot.shape == (3, 10_000)
    np.testing.assert_array_equal(one_hot @ table, table[ids])
    assert np.linalg.matrix_rank(table) == 32


def test_a_neuron_without_a_bias() -> None:
    """σ(w x) > 1/2 is w x > 0: on one side of the origin all points get one answer."""
    x, y = np.array([[1.0], [2], [3], [4]]), np.array([0, 0, 1, 1])
    for w in np.linspace(-5, 5, 101):
        answers = neuron.definition(x, np.array([[w]]))[:, 0] > 0.5
        assert (answers == y).mean() == 0.5
    assert ((neuron.definition(x, np.ones((1, 1)), np.array([-2.5]))[:, 0] > 0.5) == y).all()


@given(st.floats(1e-6, 1 - 1e-6))
def test_half_a_cross_entropy(prediction: float) -> None:
    """A sample with y = 0 costs nothing as printed; it costs −log(1 − ŷ)."""
    p, y = np.array([prediction]), np.zeros(1)
    loss, gradient = bce.as_printed(p, y)
    assert loss == 0
    assert gradient == 0
    right = float(bce.forward(np.log(p / (1 - p)), y)[0])
    assert math.isclose(right, -math.log1p(-prediction), rel_tol=1e-6)


def test_the_gradient_of_the_half() -> None:
    """−y (1 − ŷ)/n is the slope of the printed loss through a sigmoid; (ŷ − y)/n of the right."""
    z, y, h = rng.standard_normal(6), np.array([0.0, 1, 1, 0, 1, 0]), 1e-6
    _, printed = bce.as_printed(sigmoid(z), y)
    _, saved = bce.forward(z, y)
    right = bce.backward(np.array(1.0), saved)[0]
    for i in range(6):
        ahead, behind = (z + s * h * (np.arange(6) == i) for s in (1, -1))
        slope = bce.as_printed(sigmoid(ahead), y)[0] - bce.as_printed(sigmoid(behind), y)[0]
        assert math.isclose(printed[i], slope / (2 * h), rel_tol=1e-6, abs_tol=1e-9)
    np.testing.assert_allclose(right, (sigmoid(z) - y) / 6)
    np.testing.assert_allclose(printed[y == 1], right[y == 1])
    assert (printed <= 0).all()
    assert (right[y == 0] > 0).all()


def test_four_rows_worked_out() -> None:
    """As printed 0, 2.303, 0, 1.609; right 2.303, 2.303, 1.609, 1.609."""
    y, prediction = np.array([0.0, 1, 0, 1]), np.array([0.9, 0.1, 0.8, 0.2])
    rows = [bce.as_printed(prediction[[i]], y[[i]])[0] for i in range(4)]
    np.testing.assert_allclose(rows, [0, 2.303, 0, 1.609], atol=5e-4)
    z = np.log(prediction / (1 - prediction))
    losses, _ = bce.forward(z, y, reduction="none")
    np.testing.assert_allclose(losses, [2.303, 2.303, 1.609, 1.609], atol=5e-4)
    np.testing.assert_allclose(losses, -np.log([0.1, 0.1, 0.2, 0.2]))
    total, _ = bce.as_printed(prediction, y)
    assert math.isclose(total, float(losses[1] + losses[3]) / 4)


def test_trained_on_the_half() -> None:
    """It answers 1 to nearly everything, at a loss near 0, and is right by chance."""
    x = np.random.default_rng(5).standard_normal((200, 2))
    y = (x[:, 0] > 0).astype(float)
    found = {}
    for name in ("printed", "right"):
        w, b = np.zeros(2), 0.0
        for _ in range(5000):
            prediction = sigmoid(x @ w + b)
            loss, dz = bce.as_printed(prediction, y)
            dz = dz if name == "printed" else (prediction - y) / 200
            w, b = w - x.T @ dz, b - dz.sum()
        found[name] = prediction > 0.5, loss
    answers, _ = found["right"]
    assert (answers == y).mean() > 0.98
    answers, loss = found["printed"]
    assert answers.mean() > 0.95
    assert loss < 1e-3
    assert abs((answers == y).mean() - y.mean()) < 0.05


def test_the_slope_at_the_wrong_place() -> None:
    """σ′(ŷ) is not the derivative; σ′(z), or ŷ (1 − ŷ), is: the derived backward has it."""
    x, w, y = rng.standard_normal((5, 3)), rng.standard_normal(3), np.array([1.0, 0, 1, 1, 0])
    prediction = neuron.definition(x, w[None])
    g = (-y / prediction[:, 0] / 5)[:, None]
    _, dW = neuron.backward(g, (prediction, x, w[None]))

    def loss(w: Any) -> float:
        return float(-np.sum(y * np.log(sigmoid(x @ w))) / 5)

    h = 1e-6
    slopes = [(loss(w + h * e) - loss(w - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(dW[0], slopes, rtol=1e-7)
    printed = neuron.as_printed(x, w, y).sum(0)
    assert np.linalg.norm(printed - slopes) > 0.05 * np.linalg.norm(slopes)
    one = neuron.as_printed(np.ones((1, 1)), np.zeros(1), np.ones(1)).item()
    assert math.isclose(one, -0.470, abs_tol=5e-4)  # the slope at w = 0 is −0.5


def test_a_gradient_without_its_sum() -> None:
    """The printed right side is one row of many; only their sum is the derivative."""
    x, y, w = rng.standard_normal((100, 3)) + 1, np.ones(100), np.zeros(3)
    rows = neuron.as_printed(x, w, y)
    assert rows.shape == (100, 3)
    terms = (bce.as_printed(sigmoid(x @ w), y)[1])[:, None] * x  # with the slope in its place
    share = np.linalg.norm(terms, axis=1).mean() / np.linalg.norm(terms.sum(0))
    assert 0.01 < share < 0.03
    h = 1e-6
    slope = [
        (bce.as_printed(sigmoid(x @ (w + h * e)), y)[0] - bce.as_printed(sigmoid(x @ w), y)[0]) / h
        for e in np.eye(3)
    ]
    np.testing.assert_allclose(terms.sum(0), slope, rtol=1e-4)


# -- document C --------------------------------------------------------------------------------


def test_two_meanings_of_z() -> None:
    """σ(Z) with the Z of 4.1.1 applies the activation twice."""
    W, x, b = np.array([[2.0]]), np.array([1.0]), np.array([-1.0])
    Z, z = neuron.definition(x, W, b), x @ W.T + b
    assert math.isclose(Z.item(), 0.731, abs_tol=5e-4)
    assert z.item() == 1
    assert math.isclose(sigmoid(Z).item(), 0.675, abs_tol=5e-4)


def test_a_cnn_that_does_not_convolve() -> None:
    """As printed, place j sees place j alone, and a moved picture gives another answer."""
    a, w, b = (
        rng.standard_normal((2, 9)),
        rng.standard_normal((4, 2, 9)),
        rng.standard_normal(9),
    )
    printed = conv2d.as_printed(a, w, b)
    np.testing.assert_allclose(printed, sigmoid(np.einsum("ikj,kj->ij", w, a) + b))
    other, moved = a.copy(), np.roll(a, 1, axis=1)
    other[:, 5] += 1
    assert np.flatnonzero((conv2d.as_printed(other, w, b) != printed).any(0)).tolist() == [5]
    assert np.abs(conv2d.as_printed(moved, w, b)[:, 1:] - printed[:, :-1]).max() > 0.1

    filters, bias = rng.standard_normal((4, 2, 3)), rng.standard_normal(4)

    def right(a: Any) -> Any:
        return sigmoid(conv2d.definition(a[None], filters, bias)[0])

    assert np.flatnonzero((right(other) != right(a)).any(0)).tolist() == [3, 4, 5]
    np.testing.assert_allclose(right(moved)[:, 1:], right(a)[:, :-1], rtol=1e-13)
    places = 128 * 128
    assert 32 * 3 * places + places == 1_589_248
    assert 32 * 3 * 3 * 3 + 32 == 896


def test_a_recurrence_that_never_starts() -> None:
    """h₁ depends on the h₀ that is not given; and T steps have one set of weights."""
    one = np.ones((1, 1))
    first = [rnn.definition(one[None], h0, one, one / 2).item() for h0 in (0 * one, one)]
    np.testing.assert_allclose(first, np.tanh([1.0, 1.5]))
    np.testing.assert_allclose(first, [0.762, 0.905], atol=5e-4)
    W_x, W_h, b = rng.standard_normal((64, 32)), rng.standard_normal((64, 64)), np.zeros(64)
    assert W_x.size + W_h.size + b.size == 6208
    assert 50 * 6208 == 310_400
    x = rng.standard_normal((50, 1, 32))
    states = rnn.definition(x, np.zeros((1, 64)), W_x, W_h, b)
    assert states.shape == (50, 1, 64)
    again = rnn.definition(x[30:], states[29], W_x, W_h, b)  # the same weights at any step
    np.testing.assert_array_equal(states[30:], again)


def test_a_reshape_that_cannot_be() -> None:
    assert 60_000 * 28 * 28 == 47_040_000
    assert 128 * 128 * 3 == 49_152
    assert 47_040_000 % 49_152 != 0
    with pytest.raises(ValueError, match="cannot reshape array of size 47040000"):
        np.empty((60_000, 28, 28), np.uint8).reshape(-1, 128, 128, 3)


def test_ten_classes_in_one_sigmoid() -> None:
    """The loss of a label 7 falls for ever, and its gradient is never 0."""
    z = np.array([0.0, 10.0, 1000.0])
    losses, saved = bce.forward(z, np.full(3, 7.0), reduction="none")
    np.testing.assert_allclose(losses, np.logaddexp(0, z) - 7 * z)
    assert losses[2] < -5999
    assert (bce.backward(np.ones(3), saved, reduction="none")[0] <= -6).all()
    labels = load_digits().labels.numpy()
    assert sorted(set(labels.tolist())) == list(range(10))
    assert math.isclose(np.isin(labels, (0, 1)).mean(), 0.200, abs_tol=5e-4)


def test_ten_predictions() -> None:
    said = np.array([0.972, 0.972, 0.972, 0.889, 0.889, 0.833, 0.750, 0.667, 0.611, 0.444])
    assert (np.diff(said) <= 0).all()
    np.testing.assert_array_equal(np.round(np.round(said * 36) / 36, 3), said)
    assert len({round(k / 36, 3) for k in range(37)}) == 37  # of the 1,001 with three digits
    assert len(set(said)) == 7


@pytest.mark.parametrize("seed", range(5))
def test_a_door_that_opens_to_everybody(seed: int) -> None:
    """Detection lets all strangers in, a distance to the owner's own picture none or few."""
    source = np.random.default_rng(seed)
    faces, walls = source.standard_normal((40, 16)) + 2, source.standard_normal((20, 16))
    x, y = np.concatenate([faces[:20], walls]), np.repeat([1.0, 0.0], 20)
    w, b = np.zeros(16), 0.0
    for _ in range(500):
        dz = (sigmoid(x @ w + b) - y) / 40
        w, b = w - 0.1 * x.T @ dz, b - 0.1 * dz.sum()
    strangers, owner = faces[20:], faces[0]
    assert (sigmoid(strangers @ w + b) > 0.5).mean() >= 0.95
    again = owner + 0.3 * source.standard_normal((20, 16))
    assert (np.linalg.norm(again - owner, axis=1) < 2.5).all()
    assert (np.linalg.norm(strangers - owner, axis=1) < 2.5).mean() <= 0.05


# -- document D --------------------------------------------------------------------------------


def test_the_loss_of_one_sample() -> None:
    """Labels 1, 1, 0: the sum is least at p = 2/3, the loss of the first sample at p = 1."""
    p = np.linspace(0.001, 0.999, 999)
    z = np.log(p / (1 - p))
    losses = np.stack([bce.definition(z, np.full(999, y), reduction="none") for y in (1.0, 1, 0)])
    assert math.isclose(p[losses.sum(0).argmin()], 2 / 3, abs_tol=1e-3)
    assert losses[0].argmin() == 998


def test_a_model_of_the_last_word() -> None:
    """Other words before the last change nothing; 0 0 1 0 0 1 … costs (2/3) log 2 a word."""
    x, W, b = rng.standard_normal((9, 4)), rng.standard_normal((5, 4)), rng.standard_normal(5)
    other = np.concatenate([rng.standard_normal((8, 4)), x[-1:]])
    np.testing.assert_array_equal(bigram.as_printed(x, W, b), bigram.as_printed(other, W, b))
    text = np.tile([0, 0, 1], 1000)
    N = bigram.counts(text, 2)
    p = bigram.estimate(N)
    loss = -(N * np.log(np.where(N, p, 1))).sum() / N.sum()
    assert math.isclose(loss, 2 / 3 * math.log(2), rel_tol=1e-3)
    assert math.isclose(loss, 0.462, abs_tol=5e-4)
    pairs = bigram.counts(2 * text[:-1] + text[1:], 4)  # the last two words decide the next
    assert (np.count_nonzero(pairs, axis=1) <= 1).all()


def test_a_training_loop_that_cannot_start(ran: Any) -> None:
    """load_data, num_epochs, device and optimizer are read and never made."""
    loop, names = ran[1]["loop"], ran[1]["missing"]
    assert names == ["device", "load_data", "num_epochs", "optimizer"]
    assert "model.to(" not in loop
    stores = [n for n in ast.walk(ast.parse(loop)) if isinstance(n, ast.Name)]
    assert not {n.id for n in stores if isinstance(n.ctx, ast.Store)} & set(names)


# -- the page ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran() -> tuple[dict[str, str], dict[str, Any]]:
    """What the cells of the page print below each heading, and the names that they define."""
    return pages.run(PAGE)


ROWS = re.findall(r"^\| ([A-D] [\d., ]+) \| (.+?) \| \[.+\]\(#(.+)\) \| (.+) \|$", PAGE, re.M)
SECTIONS = re.findall(r"^### (.+)$", PAGE, re.M)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2])
def test_each_line_is_seen_in_its_number(row: Any, ran: Any) -> None:
    _, _, link, shown = row
    assert re.search(r"\d", shown)
    assert shown in " ".join(ran[0][link].split())


def test_each_line_has_a_section_with_its_place_and_its_test() -> None:
    assert [link for _, _, link, _ in ROWS] == list(map(pages.anchor, SECTIONS))
    assert len(ROWS) == 20
    texts = re.split(r"^### .+$", PAGE, flags=re.M)[1:]
    for (where, *_), heading, text in zip(ROWS, SECTIONS, texts, strict=True):
        document, sections = where.split(" ", 1)
        assert f"{document} {sections.split(',')[0]}" in text, heading
        name = f"test_{pages.anchor(heading).replace('-', '_')}"
        assert f"`{name}`" in text, heading
        assert callable(globals()[name])
