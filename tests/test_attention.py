"""Attention: what must hold for any queries, keys and values; positions; the cache; the heads."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn
from tinynet.check.mutants import mutants_of
from tinynet.check.samples import Draw, sample
from tinynet.derivations import attention, rotary, sinusoidal
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return tn.tensor(rng.standard_normal(shape))


def three(lead: tuple[int, ...], L: int, S: int, E: int, Ev: int) -> list[Any]:
    return [normal(*lead, L, E), normal(*lead, S, E), normal(*lead, S, Ev)]


def assert_same(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(
        a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance
    )


def gradients(y: Any, inputs: Any, seed: int = 1) -> list[Any]:
    g = tn.tensor(np.random.default_rng(seed).standard_normal(y.shape))
    return list(tn.autograd.grad(y, inputs, g))


sizes = st.tuples(*(st.integers(1, 5) for _ in range(4)))


# -- what attention is -----------------------------------------------------------------------------


@given(sizes=sizes, causal=st.booleans())
def test_weights_are_distributions(sizes: Any, causal: bool) -> None:
    L, S, E, Ev = sizes
    q, k, v = three((2,), L, S, E, Ev)
    P = attention.weights(q, k, is_causal=causal).numpy()
    assert (P >= 0).all()
    np.testing.assert_allclose(P.sum(-1), 1, rtol=1e-12)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=causal).numpy()
    low, high = v.numpy().min(1, keepdims=True), v.numpy().max(1, keepdims=True)
    assert ((low - 1e-12 <= y) & (y <= high + 1e-12)).all()  # a mean lies between the extremes


@given(sizes=sizes, seed=st.integers(0, 99))
def test_keys_are_a_set_and_queries_do_not_know_of_each_other(sizes: Any, seed: int) -> None:
    L, S, E, Ev = sizes
    q, k, v = three((2,), L, S, E, Ev)
    draw = np.random.default_rng(seed)
    of_keys, of_queries = draw.permutation(S), draw.permutation(L)
    y = F.scaled_dot_product_attention(q, k, v)
    assert_same(F.scaled_dot_product_attention(q, k[:, of_keys], v[:, of_keys]), y)
    assert_same(F.scaled_dot_product_attention(q[:, of_queries], k, v), y[:, of_queries])


def test_one_key_is_answered_by_its_value() -> None:
    q, k, v = three((2,), 3, 1, 4, 5)
    assert_same(F.scaled_dot_product_attention(q, k, v), v.expand(2, 3, 5))


def test_causal_outputs_do_not_depend_on_the_future() -> None:
    for t in range(5):
        q, k, v = (x.requires_grad_() for x in three((2,), 5, 5, 3, 3))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, t]
        dq, dk, dv = gradients(y, [q, k, v])
        for d in (dk, dv):
            assert (d.numpy()[:, t + 1 :] == 0).all()  # exactly
            assert (d.numpy()[:, : t + 1] != 0).all() or t == 0
        assert (dq.numpy()[:, np.arange(5) != t] == 0).all()


def test_masks_of_booleans_and_of_floats_are_one_thing() -> None:
    q, k, v = (x.requires_grad_() for x in three((2, 3), 4, 5, 3, 2))
    allowed = rng.random((3, 4, 5)) < 0.5
    added = tn.tensor(np.where(allowed, 0.0, -np.inf))
    y, z = (F.scaled_dot_product_attention(q, k, v, m) for m in (tn.tensor(allowed), added))
    assert_same(y, z)
    for a, b in zip(gradients(y, [q, k, v]), gradients(z, [q, k, v]), strict=True):
        assert_same(a, b)
    causal = tn.tensor(np.tri(4, 5, dtype=bool))
    assert_same(
        F.scaled_dot_product_attention(q, k, v, causal),
        F.scaled_dot_product_attention(q, k, v, is_causal=True),
    )


@pytest.mark.parametrize("kind", ["booleans", "floats", "no keys"])
def test_a_query_that_may_attend_to_nothing_gives_zero(kind: str) -> None:
    q, k, v = (x.requires_grad_() for x in three((2,), 3, 0 if kind == "no keys" else 4, 3, 2))
    allowed = np.array([[True] * 4, [False] * 4, [True] * 4])
    mask = {
        "booleans": tn.tensor(allowed),
        "floats": tn.tensor(np.where(allowed, 1.0, -np.inf), requires_grad=True),
        "no keys": None,
    }[kind]
    y = F.scaled_dot_product_attention(q, k, v, mask)
    assert (y.detach().numpy()[:, 1] == 0).all()
    wanted = [q, k, v] + ([mask] if kind == "floats" else [])
    found = gradients(y, wanted)
    assert all(np.isfinite(d.numpy()).all() for d in found)
    assert (found[0].numpy()[:, 1] == 0).all()
    y = F.scaled_dot_product_attention(q, k, v, mask)
    ones = tn.ones(*y.shape, dtype=tn.float64)
    firsts = tn.autograd.grad(y * y, wanted, ones, create_graph=True)  # through the definition
    for d in tn.autograd.grad(sum((d * d).sum() for d in firsts), wanted):
        assert np.isfinite(d.numpy()).all()


def test_the_scale() -> None:
    q, k, v = three((2,), 3, 4, 16, 2)
    assert_same(
        F.scaled_dot_product_attention(q, k, v),
        F.scaled_dot_product_attention(q, k, v, scale=1 / 4),
    )
    assert_same(
        F.scaled_dot_product_attention(q, k, v, scale=0.3),
        F.scaled_dot_product_attention(q * 1.2, k, v),
    )
    mean = F.scaled_dot_product_attention(q, k, v, scale=0.0)
    assert_same(mean, v.mean(1, keepdim=True).expand(2, 3, 2))


def test_why_the_root_of_the_width() -> None:
    """A sum of E products has the variance E; divided by √E, 1. Unscaled, one key takes nearly all
    weight, and the gradient has next to nothing to go through.
    """
    source = np.random.default_rng(1)
    for E in (16, 256):
        q, k = source.standard_normal((400, E)), source.standard_normal((400, E))
        scores = q @ k.T
        assert math.isclose(scores.var(), E, rel_tol=0.05)
        assert math.isclose((scores / math.sqrt(E)).var(), 1, rel_tol=0.05)
    largest, slope = [], []
    for scale in (1.0, 1 / math.sqrt(E)):
        P = attention.weights(q, k[:32], scale=scale)
        largest.append(P.max(-1).mean())
        slope.append((P * (1 - P)).mean())
    assert largest[0] > 0.85
    assert largest[1] < 0.25
    assert slope[1] > 4 * slope[0]


def test_dropped_weights_keep_the_mean() -> None:
    tn.manual_seed(0)
    q, k, v = three((), 2, 3, 4, 2)
    dropped = F.scaled_dot_product_attention(
        q.expand(4000, 2, 4), k.expand(4000, 3, 4), v, dropout_p=0.3
    )
    np.testing.assert_allclose(
        dropped.numpy().mean(0), F.scaled_dot_product_attention(q, k, v).numpy(), atol=0.06
    )
    nothing = F.scaled_dot_product_attention(q, k, v, dropout_p=1.0)
    assert (nothing.numpy() == 0).all()


@pytest.mark.parametrize("mask", ["none", "causal", "one", "for each head", "for one head"])
def test_grouped_queries_are_repeated_keys(mask: str) -> None:
    q, k, v = normal(2, 6, 4, 3), normal(2, 2, 5, 3), normal(2, 2, 5, 2)
    for x in (q, k, v):
        x.requires_grad_()
    shape = {"one": (4, 5), "for each head": (2, 6, 4, 5), "for one head": (2, 1, 1, 5)}.get(mask)
    given = normal(*shape) if shape else None
    options = {"attn_mask": given, "is_causal": mask == "causal"}
    y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True, **options)
    wide = [x.repeat_interleave(3, 1) for x in (k, v)]
    z = F.scaled_dot_product_attention(q, *wide, **options)
    assert_same(y, z)
    for a, b in zip(gradients(y, [q, k, v]), gradients(z, [q, k, v]), strict=True):
        assert_same(a, b)


def test_the_extremes_stay_finite() -> None:
    q, k, v = (tn.tensor(1e4 * np.sign(rng.standard_normal((2, 3, 2)))) for _ in range(3))
    for x in (q, k, v):
        x.requires_grad_()
    y = F.scaled_dot_product_attention(q, k, v)
    assert np.isfinite(y.detach().numpy()).all()
    assert all(np.isfinite(d.numpy()).all() for d in gradients(y, [q, k, v]))


def test_what_the_document_prints() -> None:
    q, k, v = (x.numpy() for x in three((), 3, 4, 2, 5))
    same_for_all = np.broadcast_to(v.sum(0), (3, 5))
    np.testing.assert_allclose(attention.as_printed(q, k, v), same_for_all)
    np.testing.assert_allclose(attention.as_worded(q, k, v), same_for_all + 1)
    right = attention.definition(q, k, v, True, True)
    assert np.ptp(right, axis=0).min() > 1e-3  # other queries, other answers


# -- block by block --------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("L", [1, 3, 4, 5, 8, 9])
def test_blocks_give_the_gradient_of_the_definition(
    monkeypatch: pytest.MonkeyPatch, L: int, causal: bool
) -> None:
    monkeypatch.setattr(attention, "BLOCK", 4)
    for S, shape in itertools.product((1, 4, 6), ((L, 1), (2, 1, 1, -1), (2, 3, L, -1), ())):
        q, k, v = (x.requires_grad_() for x in three((2, 3), L, S, 3, 2))
        mask = normal(*(S if n == -1 else n for n in shape)).requires_grad_()
        kept = tn.tensor(rng.random((2, 3, L, S)) < 0.7)
        args, options = (q, k, v, mask, kept), {"is_causal": causal, "scale": 0.8, "p": 0.3}
        y, z = attention.op(*args, **options), attention.definition(*args, **options)
        assert_same(y, z)
        for a, b in zip(gradients(y, args[:4]), gradients(z, args[:4]), strict=True):
            assert_same(a, b)


def half(x: Any) -> Any:
    return x.astype("f2") if x is not True and x.dtype.kind == "f" else x


def test_half_precision_neither_overflows_nor_loses_small_weights() -> None:
    q, k, v = (half(rng.standard_normal((2, 70, 16)) * size) for size in (200, 200, 1))
    v, g = half(np.abs(v)), half(rng.standard_normal((2, 70, 16)))
    assert np.abs(np.einsum("nie,nje->nij", q, k, dtype=float)).max() / 4 > 2 * 65504
    exact = [x.astype(float) for x in (q, k, v)]
    expected, _ = attention.forward(*exact, True, True)
    y, saved = attention.forward(q, k, v, True, True)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, expected, rtol=2e-3)
    gradients = attention.backward(g, saved)
    assert all(d.dtype == np.float16 and np.isfinite(d).all() for d in gradients[:3])
    q, k, v, g = (half(rng.standard_normal((2, 70, 16)) * size) for size in (1, 1, 20, 1000))
    v += half(np.array(200.0))  # g · y is too large, but cancels
    exact, small = [x.astype(float) for x in (q, k, v)], {"scale": 0.01}
    _, saved = attention.forward(*exact, True, True, **small)
    expected = attention.backward(g.astype(float), saved, **small)
    _, saved = attention.forward(q, k, v, True, True, **small)
    for d, right in zip(attention.backward(g, saved, **small)[:3], expected[:3], strict=True):
        np.testing.assert_allclose(d, right, rtol=0, atol=1e-2 * np.abs(right).max())
    same_keys = np.zeros((3000, 1), "f2")  # e^0, 3000 times: in float16 their sum stops at 2048
    y, _ = attention.forward(same_keys[:1], same_keys, same_keys + 1, True, True)
    assert y.item() == 1


def test_no_mistake_in_the_blocks_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The draws of `test_mutants.py` fit into one block; here every query is a block of its own."""
    monkeypatch.setattr(attention, "BLOCK", 1)
    drawn = []
    for seed in range(100):
        draw = Draw(seed)
        inputs, options = sample(attention.op, draw)
        y, saved = attention.forward(*inputs, **options)
        g = np.asarray(draw.rng.standard_normal(y.shape))
        drawn.append((g, saved, options, attention.backward(g, saved, **options)))
        _, saved = attention.forward(*map(half, inputs), **options)
        drawn.append((half(g), saved, options, attention.backward(half(g), saved, **options)))

    def differs(mutant: Any) -> bool:
        try:
            with np.errstate(all="ignore"):
                return any(
                    not np.allclose(d, right, rtol=1e-9, atol=1e-9)
                    for g, saved, options, expected in drawn
                    for d, right in zip(mutant(g, saved, **options), expected, strict=True)
                    if right is not None
                )
        except Exception:  # of any kind, as the mistake may be
            return True

    in_source = [m for m in mutants_of(attention.op) if m.argument is None]
    in_source = [m for m in in_source if "needs" not in m.change]  # seen where one is wanted alone
    assert len(in_source) > 50
    assert [str(m) for m in in_source if not differs(m.function)] == []


@pytest.mark.parametrize("mask", [True, np.ones((1, 1, 1, 300), bool)])
def test_no_matrix_of_weights_is_kept(mask: Any) -> None:
    q, k, v = (rng.standard_normal((2, 3, 300, 4)) for _ in range(3))
    _, saved = attention.forward(q, k, v, mask, True, is_causal=True)
    shapes = [x.shape for x in saved if x is not True]
    assert max(math.prod(s) for s in shapes) == 2 * 3 * 300 * 4
    assert all(s[-2:] != (300, 300) for s in shapes)
    largest = []

    def watched(*args: Any) -> Any:
        s = scores(*args)
        largest.append(s.shape[-2])
        return s

    scores, attention._scores = attention._scores, watched
    try:
        _, saved = attention.forward(q, k, v, mask, True)
        attention.backward(q, saved)
    finally:
        attention._scores = scores
    assert max(largest) == attention.BLOCK


# -- mistakes in words -----------------------------------------------------------------------------


def test_wrong_arguments_are_named() -> None:
    q, k, v = three((2,), 3, 4, 5, 2)
    attend = F.scaled_dot_product_attention
    for args in ((q, v, k), (q[0, 0], k, v), (q, k, v[:, 1:]), (q, k[:, :, 1:], v)):
        with pytest.raises(ShapeError, match=r"attention: the sizes do not fit\n.*\(…, L, E\)"):
            attend(*args)
    for p in (0.0, 0.5):
        with pytest.raises(ShapeError, match="attention: the leading axes do not broadcast"):
            attend(normal(3, 3, 5), k, v, dropout_p=p)
    for shape in ((3, 3), (2, 2, 3, 4), (3, 3, 4)):
        with pytest.raises(ShapeError, match=r"mask does not broadcast(.|\n)*\(2, 3, 4\)"):
            attend(q, k, v, normal(*shape))
    with pytest.raises(DTypeError, match="floats of one dtype"):
        attend(q.float(), k, v)
    with pytest.raises(DTypeError, match="floats of one dtype"):
        attend(q.long(), k.long(), v.long())
    for mask in (tn.ones(3, 4), tn.ones(3, 4, dtype=tn.int64)):
        with pytest.raises(DTypeError, match=r"mask is of booleans, or of floats"):
            attend(q, k, v, mask)
    with pytest.raises(ArgumentError, match="is_causal is a mask"):
        attend(q, k, v, normal(3, 4), is_causal=True)
    for p in (-0.1, 1.5):
        with pytest.raises(ArgumentError, match=r"between 0 and 1(.|\n)*p = "):
            attend(q, k, v, dropout_p=p)
    for args in (
        (q[0], k[0], v[0]),
        (q, normal(3, 4, 5), normal(3, 4, 2)),
        (q, k, v[:1]),
        (q, k[:0], v[:0]),
    ):
        with pytest.raises(ShapeError, match="groups of one size"):
            attend(*args, enable_gqa=True)


# -- positions -------------------------------------------------------------------------------------


@given(k=st.integers(-50, 50), p=st.integers(0, 1000), pairs=st.integers(1, 6))
def test_a_shift_is_a_rotation(k: int, p: int, pairs: int) -> None:
    d = 2 * pairs
    here, there = sinusoidal.table(np.array([p, p + k]), d)
    np.testing.assert_allclose(sinusoidal.rotation(k, d) @ here, there, atol=1e-9)
    speeds = 10000.0 ** (-np.arange(0, d, 2) / d)
    assert math.isclose(here @ there, np.cos(k * speeds).sum(), abs_tol=1e-9)


def test_sinusoidal_positions_by_the_formula() -> None:
    found = nn.SinusoidalPositions(6)(tn.zeros(2, 5, 6, dtype=tn.float64), offset=3).numpy()
    for p, i in itertools.product(range(5), range(3)):
        angle = (p + 3) / 10000 ** (2 * i / 6)
        assert math.isclose(found[1, p, 2 * i], math.sin(angle), rel_tol=1e-12)
        assert math.isclose(found[1, p, 2 * i + 1], math.cos(angle), rel_tol=1e-12)
    assert nn.SinusoidalPositions(6)(tn.zeros(5, 6)).dtype == tn.float32


def test_rotary_scores_depend_on_the_distance_only() -> None:
    turn, q, k = nn.RotaryPositions(8), normal(1, 8), normal(1, 8)
    scores = [(turn(q, p) * turn(k, p + 3)).sum().item() for p in (0, 1, 17, 4000)]
    np.testing.assert_allclose(scores, scores[0], rtol=1e-10)
    other = (turn(q, 0) * turn(k, 4)).sum().item()
    assert abs(other - scores[0]) > 1e-3
    x = normal(2, 5, 8)
    assert_same((turn(x) ** 2).sum(-1), (x**2).sum(-1))  # a turn keeps lengths
    for d in (turn(x, 10_000), turn(x.float(), 10_000)):  # far from the start, in float32 too
        np.testing.assert_allclose(d.numpy(), turn(x, 10_000).numpy(), atol=1e-5)


def test_rotary_backward_turns_back() -> None:
    x, theta, g = (rng.standard_normal(s) for s in ((2, 3, 4), (3, 2), (2, 3, 4)))
    _, saved = rotary.forward(x, theta)
    back, _ = rotary.forward(g, -theta)
    np.testing.assert_allclose(rotary.backward(g, saved)[0], back, rtol=1e-12)
    np.testing.assert_allclose(rotary.forward(rotary.forward(x, theta)[0], -theta)[0], x)


def test_positions_that_do_not_fit() -> None:
    for layer in (nn.SinusoidalPositions, nn.RotaryPositions):
        with pytest.raises(ArgumentError, match="dim is positive and even"):
            layer(3)
        with pytest.raises(ShapeError, match=r"\(…, T, 4\)"):
            layer(4)(normal(3, 6))
        assert repr(layer(4)) == f"{layer.__name__}(4, base=10000)"
    with pytest.raises(ShapeError, match="pairs are turned"):
        rotary.op(normal(3, 3), normal(3, 1))
    with pytest.raises(ShapeError, match="an angle for each pair"):
        rotary.op(normal(3, 4), normal(2, 2))
    with pytest.raises(DTypeError, match="of one dtype"):
        rotary.op(normal(3, 4), tn.ones(3, 2))


# -- decoding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("steps", [(1,) * 7, (7,), (3, 1, 1, 2), (1, 4, 2)])
def test_step_by_step_is_the_causal_whole(steps: tuple[int, ...], groups: int) -> None:
    T, turn = sum(steps), nn.RotaryPositions(4)
    q, k, v = normal(2, 2 * groups, T, 4), normal(2, 2, T, 4), normal(2, 2, T, 3)
    whole = F.scaled_dot_product_attention(
        turn(q), turn(k), v, is_causal=True, scale=0.4, enable_gqa=True
    )
    cache, found, at = nn.KeyValueCache(), [], 0
    for n in steps:
        now = slice(at, at + n)
        assert len(cache) == at
        turned = turn(q[:, :, now], len(cache)), turn(k[:, :, now], len(cache))
        found.append(cache.attend(*turned, v[:, :, now], scale=0.4, enable_gqa=True))
        at += n
    assert_same(tn.cat(found, 2), whole)
    assert cache.keys.shape == (2, 2, T, 4)  # grouped keys are kept once, not for each query head


def test_a_cache_refuses_tokens_without_keys() -> None:
    cache = nn.KeyValueCache()
    with pytest.raises(ShapeError, match="for each token"):
        cache.attend(normal(3, 4), normal(2, 4), normal(2, 4))
    assert len(cache) == 0
