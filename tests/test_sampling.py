"""From scores to text: which tokens may be drawn, how often, and with or without a cache."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as arrays_of

import tinynet as tn
from tinynet.data import BytePairTokenizer, CharacterTokenizer
from tinynet.errors import ArgumentError, DataError, OutOfRangeError, ShapeError
from tinynet.models import sampling
from tinynet.models.gpt import GPT, GPTConfig
from tinynet.models.language import (
    Bigram,
    BigramConfig,
    MLPLanguageConfig,
    MLPLanguageModel,
    RecurrentConfig,
    RecurrentLanguageModel,
)
from tinynet.models.sampling import draw, first_seen, probabilities, tokens

few = st.integers(-3, 3).map(float)  # ties are likely
anything = st.floats(-1e300, 1e300) | st.just(-math.inf)
SCORES = arrays_of(np.float64, st.integers(1, 9), elements=few | anything).filter(
    lambda z: bool(np.isfinite(z).any())
)


def softmax(z: list[float]) -> list[float]:
    top = max(z)
    parts = [math.exp(v - top) for v in z]
    return [v / sum(parts) for v in parts]


@given(
    SCORES,
    st.floats(0, 1e6),
    st.none() | st.integers(1, 12),
    st.none() | st.floats(0, 1, exclude_min=True),
)
def test_always_a_distribution(
    z: Any, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    before = z.copy()
    p = probabilities(z, temperature=temperature, top_k=top_k, top_p=top_p)
    assert np.array_equal(z, before)
    assert (p >= 0).all()
    assert math.isclose(p.sum(), 1, rel_tol=1e-12)
    assert p[np.argmax(z)] == p.max() > 0  # the likeliest is never cut off
    assert top_k is None or np.count_nonzero(p) <= top_k
    drawn = draw(p, tn.Generator().manual_seed(0))
    assert p[drawn] > 0


@given(st.lists(few, min_size=1, max_size=9), st.sampled_from([0.3, 1.0, 2.5]))
def test_temperature(z: list[float], temperature: float) -> None:
    expected = softmax([v / temperature for v in z])
    np.testing.assert_allclose(probabilities(z, temperature=temperature), expected, rtol=1e-12)


@given(SCORES)
def test_temperature_zero_is_the_first_of_the_likeliest(z: Any) -> None:
    p = probabilities(z, temperature=0)
    assert p[int(np.argmax(z))] == 1
    assert np.count_nonzero(p) == 1


@given(st.lists(few, min_size=1, max_size=9), st.integers(1, 12))
def test_top_k_keeps_k_and_their_proportions(z: list[float], k: int) -> None:
    p, every = probabilities(z, top_k=k), softmax(z)
    kept = sorted(range(len(z)), key=lambda i: (-z[i], i))[:k]
    share = sum(every[i] for i in kept)
    expected = [every[i] / share if i in kept else 0.0 for i in range(len(z))]
    np.testing.assert_allclose(p, expected, rtol=1e-12)


@given(st.lists(few, min_size=1, max_size=9), st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_that_have_the_share(z: list[float], share: float) -> None:
    p, every = probabilities(z, top_p=share), softmax(z)
    ranked = sorted(range(len(z)), key=lambda i: (-z[i], i))
    kept, total = [], 0.0
    for i in ranked:
        if total >= share - 1e-12 and kept:
            break
        kept.append(i)
        total += every[i]
    if abs(total - every[kept[-1]] - share) < 1e-9 or abs(total - share) < 1e-9:
        return  # on the border rounding decides
    assert sorted(np.flatnonzero(p)) == sorted(kept)
    np.testing.assert_allclose(p[kept], [every[i] / total for i in kept], rtol=1e-12)


def test_top_p_is_taken_of_what_top_k_left() -> None:
    z = np.log([0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(probabilities(z, top_k=2, top_p=0.5), [1, 0, 0, 0])  # 0.4 / 0.7
    np.testing.assert_allclose(probabilities(z, top_p=0.5), [4 / 7, 3 / 7, 0, 0])
    np.testing.assert_allclose(probabilities(z, top_p=1.0), [0.4, 0.3, 0.2, 0.1])


def test_how_often_each_is_drawn() -> None:
    p, source = np.array([0.5, 0.0, 0.2, 0.3]), tn.Generator().manual_seed(0)
    counts = Counter(draw(p, source) for _ in range(4000))
    for i in range(4):
        deviation = math.sqrt(4000 * p[i] * (1 - p[i]))
        assert abs(counts[i] - 4000 * p[i]) <= 4 * deviation


class Ends:
    """A source that gives the ends of [0, 1)."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self, shape: Any, dtype: Any) -> Any:
        return np.full(shape, self.value, dtype)


def test_a_token_without_probability_is_never_drawn() -> None:
    last = np.nextafter(1.0, 0.0)
    for p in ([0.0, 0.5, 0.0, 0.5, 0.0], [0.0, 0.1, 0.2, 0.7, 0.0], [0.0, 1 / 3, 1 / 3, 1 / 3, 0]):
        assert draw(p, Ends(0.0)) == 1  # type: ignore[arg-type]
        assert draw(p, Ends(last)) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scores", "options", "kind", "words"),
    [
        ([[1.0]], {}, ShapeError, r"\(V,\)"),
        ([], {}, ShapeError, r"\(V,\)"),
        ([1.0, math.nan], {}, DataError, "numbers"),
        ([1.0, math.inf], {}, DataError, "numbers"),
        ([-math.inf], {}, DataError, "numbers"),
        ([1.0], {"temperature": -0.1}, ArgumentError, "-0.1"),
        ([1.0], {"temperature": math.inf}, ArgumentError, "temperature"),
        ([1.0], {"top_k": 0}, ArgumentError, "top_k"),
        ([1.0], {"top_p": 0.0}, ArgumentError, "top_p"),
        ([1.0], {"top_p": 1.5}, ArgumentError, "top_p"),
    ],
)
def test_what_makes_no_sense(scores: Any, options: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        probabilities(scores, **options)


V = 11


def models() -> Iterator[Any]:
    tn.manual_seed(0)
    yield Bigram(BigramConfig(V))
    yield MLPLanguageModel(MLPLanguageConfig(V, context=3, width=4, hidden=8))
    for cell in ("RNN", "LSTM", "GRU"):
        yield RecurrentLanguageModel(RecurrentConfig(V, cell, width=4, hidden=8, layers=2))
    for tied in (True, False):
        gpt = GPT(GPTConfig(V, window=12, width=16, layers=2, heads=2, tied=tied))
        for p in gpt.parameters():  # larger than its first weights, so that something depends
            tn.nn.init.normal_(p, 0.0, 0.5)
        yield gpt


MODELS = list(models())
NAMES = [f"{type(m).__name__}-{getattr(m.config, 'cell', '')}" for m in MODELS]


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
@pytest.mark.parametrize("cuts", [[1] * 10, [4, 1, 5], [1, 9], [10]], ids=str)
def test_reading_in_parts_is_reading_at_once(model: Any, cuts: list[int]) -> None:
    model.eval()
    ids = tn.tensor(np.random.default_rng(1).integers(0, V, (3, 10)))
    expected = model(ids).detach().numpy()
    past, found, start = None, [], 0
    for cut in cuts:
        scores, past = model.read(ids[:, start : start + cut], past)
        found.append(scores.detach().numpy())
        start += cut
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_no_token_sees_those_that_follow(model: Any) -> None:
    model.eval()
    rng = np.random.default_rng(2)
    a = rng.integers(0, V, (2, 9))
    b = a.copy()
    b[:, 5:] = rng.integers(0, V, (2, 4))
    one, other = (model(tn.tensor(ids)).detach().numpy() for ids in (a, b))
    np.testing.assert_array_equal(one[:, :5], other[:, :5])
    assert not np.allclose(one[:, 5:], other[:, 5:])


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_the_cache_changes_nothing(model: Any) -> None:
    """Also where the text is longer than the window: 40 tokens, 12 at a time."""

    def written(**options: Any) -> list[int]:
        source = tn.Generator().manual_seed(5)
        return list(tokens(model, [1, 2, 3], 40, generator=source, **options))

    model.train()
    assert written(top_k=6) == written(top_k=6, cached=False)
    assert written(temperature=0) == written(temperature=0, cached=False)
    assert len(written()) == 40
    assert model.training  # as it was before; dropout was off meanwhile


def test_the_same_seed_writes_the_same() -> None:
    def written(seed: int) -> list[int]:
        return list(tokens(MODELS[0], [1], 30, generator=tn.Generator().manual_seed(seed)))

    assert written(1) == written(1)
    assert written(1) != written(2)


@given(st.integers(1, 300), st.integers(1, 40))
def test_the_window_holds_what_is_seen(n: int, window: int) -> None:
    start = first_seen(n, window)
    seen = n - start
    assert max(1, min(n, window - window // 2)) <= seen <= window or window == 1 == seen
    assert start in (first_seen(n + 1, window), first_seen(n + 1, window) - max(1, window // 2))
    assert first_seen(n, None) == 0


def test_a_prompt_longer_than_the_window() -> None:
    model = MODELS[-1]
    prompt = np.random.default_rng(0).integers(0, V, 50).tolist()
    written = list(tokens(model, prompt, 3, temperature=0))
    seen = prompt[first_seen(50, 12) :]
    assert written[0] == int(model.eval()(tn.tensor([seen])).detach().numpy()[0, -1].argmax())
    with pytest.raises(OutOfRangeError, match="13 tokens"):
        model(tn.tensor([prompt[:13]]))


def test_nothing_to_go_on_from() -> None:
    with pytest.raises(DataError, match="prompt"):
        next(tokens(MODELS[0], [], 3))
    with pytest.raises(ArgumentError, match="length"):
        next(tokens(MODELS[0], [1], -1))
    assert list(tokens(MODELS[0], [1], 0)) == []


class Reciting:
    """A model that says one row of tokens after another, whatever it reads."""

    window, training = None, False

    def __init__(self, ids: list[int], size: int) -> None:
        self.ids, self.size = ids, size

    def read(self, ids: Any, past: Any) -> Any:
        n = past or 0
        scores = np.full((1, 1, self.size), -math.inf)
        scores[0, 0, self.ids[n]] = 0.0
        return tn.tensor(scores), n + 1

    def eval(self) -> None:
        pass

    def train(self, mode: bool) -> None:
        pass


def test_half_a_character_waits_for_its_other_half() -> None:
    tokenizer = BytePairTokenizer([])
    ids = tokenizer.encode("aé\U0001f600z")
    pieces = list(sampling.text(Reciting(ids, 256), tokenizer, "x", len(ids)))
    assert "".join(pieces) == "aé\U0001f600z"
    assert all("�" not in piece for piece in pieces)
    cut = list(sampling.text(Reciting(ids[:2], 256), tokenizer, "x", 2))
    assert "".join(cut) == "a�"  # the end came in the middle


def test_text_of_characters_comes_one_by_one() -> None:
    tokenizer = CharacterTokenizer("abn")
    ids = tokenizer.encode("banana")
    assert list(sampling.text(Reciting(ids, 3), tokenizer, "a", 6)) == list("banana")
    with pytest.raises(DataError, match="lacks '!'"):
        next(sampling.text(MODELS[0], tokenizer, "a!", 3))
