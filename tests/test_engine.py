"""The tape: order, linear time, memory, ownership, versions, hooks, checkpoints."""

from __future__ import annotations

import contextlib
import copy
import gc
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.dispatch import watched
from tinynet.errors import GraphError, RuleError, ShapeError
from tinynet.op import Derivation, elementwise, registry
from tinynet.recompute import checkpoint


def leaf(*values: float) -> tn.Tensor:
    return tn.tensor(list(values), dtype=tn.float64, requires_grad=True)


# -- order -----------------------------------------------------------------------------------------


def test_every_node_is_visited_once_and_after_all_its_users() -> None:
    a = leaf(1.0)
    visits = []
    y = a
    for depth in range(60):
        y = y + y
        y.register_hook(lambda g, depth=depth: visits.append(depth))
    y.backward()
    assert a.grad.item() == 2.0**60
    assert visits == list(range(59, -1, -1))


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from("+*-")),
        min_size=1,
        max_size=12,
    )
)
def test_any_graph_has_the_gradient_of_its_polynomial(steps: list[tuple[int, int, str]]) -> None:
    """Random straight-line programs with much sharing, against forward differentiation by hand."""
    x = leaf(0.7)
    values, derivatives = [x], [1.0]
    for i, j, sign in steps:
        i, j = i % len(values), j % len(values)
        u, v, du, dv = values[i], values[j], derivatives[i], derivatives[j]
        if sign == "+":
            y, dy = u + v, du + dv
        elif sign == "-":
            y, dy = u - v, du - dv
        else:
            y, dy = u * v, du * v.item() + u.item() * dv
        values.append(y)
        derivatives.append(dy)
    values[-1].backward()
    np.testing.assert_allclose(x.grad.item(), derivatives[-1], rtol=1e-9, atol=1e-9)


def test_a_chain_of_100_000_ops_runs_forward_backward_and_is_freed() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-6
    y.backward()
    assert x.grad.item() == 1.0
    z = x
    for _ in range(100_000):
        z = z * 1.0
    del z, y  # a chain that was never walked must not overflow the stack either
    assert x.grad.item() == 1.0


# -- memory ----------------------------------------------------------------------------------------


def test_graphs_are_freed_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        h = x * x
        h.retain_grad()
        y = (h.exp() + h).sum()
        seen = [weakref.ref(t) for t in (h, y, h.grad_fn, y.grad_fn)]
        y.backward(create_graph=False)
        assert h.grad is not None
        del h, y
        assert [ref() for ref in seen] == [None] * 4
    finally:
        gc.enable()


def test_memory_is_flat_over_10_000_steps_with_the_collector_off() -> None:
    script = """
import gc, tracemalloc
import tinynet as tn
gc.disable()
w = tn.rand(8, 8, requires_grad=True)
def steps(n):
    for _ in range(n):
        w.grad = None
        ((tn.ones(4, 8) @ w).tanh() ** 2).mean().backward()
        with tn.no_grad():
            w.sub_(w.grad * 0.01)
steps(5_000)
tracemalloc.start()
steps(100); before = tracemalloc.get_traced_memory()[0]
steps(10_000); after = tracemalloc.get_traced_memory()[0]
print(after - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 5_000


def test_values_that_no_rule_reads_are_not_kept() -> None:
    x = tn.rand(1000, requires_grad=True)
    h = x + 1
    array = weakref.ref(h.array)
    y = (h + 2).sum()
    del h
    assert array() is None
    y.backward()
    np.testing.assert_array_equal(x.grad, np.ones(1000))


def test_backward_frees_what_was_kept_and_a_second_one_says_so() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match="freed by an earlier backward pass"):
        y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])  # the failed pass left nothing behind


def test_retain_graph_allows_another_pass() -> None:
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


# -- owned gradients -------------------------------------------------------------------------------


def test_two_leaves_never_share_a_gradient() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).backward(tn.ones(2, dtype=tn.float64))
    a.grad.zero_()
    np.testing.assert_array_equal(b.grad, [1.0, 1.0])


def test_a_gradient_that_is_handed_on_unchanged_has_one_owner() -> None:
    x, seen = leaf(1.0, 2.0), []
    g = tn.tensor([1.0, 1.0], dtype=tn.float64)
    x.clone().backward(g)
    x.grad.zero_()
    np.testing.assert_array_equal(g, [1.0, 1.0])
    y = x.clone()
    dy, dx = tn.autograd.grad((y * 2).sum(), [y, x])
    dy.zero_()
    np.testing.assert_array_equal(dx, [2.0, 2.0])
    x.grad, y = None, x.clone()
    y.register_hook(seen.append)
    (y * 2).sum().backward()
    x.grad.zero_()
    np.testing.assert_array_equal(seen[0], [2.0, 2.0])


def test_a_gradient_is_not_the_callers_array_and_can_be_changed_in_place() -> None:
    x = leaf(1.0, 2.0)
    g = tn.tensor([1.0, 1.0], dtype=tn.float64)
    (x + 0).backward(g)
    x.grad.mul_(0.5)
    np.testing.assert_array_equal(g, [1.0, 1.0])
    y = leaf(1.0, 2.0, 3.0)
    y.sum().backward()
    y.grad.clamp_(max=0.25)
    np.testing.assert_array_equal(y.grad, [0.25] * 3)


def test_a_derived_backward_may_give_one_array_twice_or_one_that_it_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tinynet.op.registry", {})

    def backward(g: Any, saved: Any) -> Any:
        d = g * saved[0]
        return d, d, saved[0]

    op = Derivation(
        "u + v + w", lambda u, v, w: u + v + w, backward, lambda u, v, w: (u + v + w, (w - w + 1,))
    )
    u, v, w = leaf(1.0), leaf(2.0), leaf(3.0)
    y = op(u, v, w)
    y.backward(tn.ones(1, dtype=tn.float64), retain_graph=True)
    u.grad.zero_()
    assert v.grad.item() == 1.0
    w.grad.zero_()
    w.grad = None
    y.backward(tn.ones(1, dtype=tn.float64))
    assert w.grad.item() == 1.0


def test_gradients_add_up_over_passes_in_the_same_memory() -> None:
    x = leaf(1.0)
    (2 * x).backward(tn.ones(1, dtype=tn.float64))
    held = x.grad
    (3 * x).backward(tn.ones(1, dtype=tn.float64))
    assert held is x.grad
    assert x.grad.item() == 5.0


INDICES = (0, -1, slice(1, 3), slice(None, None, -2), (..., 1), ([0, 2, 0],), None, ...)


@given(st.lists(st.sampled_from(INDICES), min_size=2, max_size=5), st.booleans(), st.booleans())
def test_the_gradients_of_parts_add_up(indices: list[Any], computed: bool, whole: bool) -> None:
    """However many parts are taken, of a leaf or of what was computed, and the whole beside them;
    recorded or not; and whoever holds one of the gradients keeps what it was.
    """
    rng = np.random.default_rng(len(indices))
    x = tn.tensor(rng.standard_normal((4, 3)), requires_grad=True)
    u = x * 1 if computed else x
    parts = [u[i] for i in indices] + ([u + 0] if whole else [])
    given = [rng.standard_normal(p.shape) for p in parts]
    expected = np.zeros((4, 3))
    for i, g in zip([*indices, ...], given, strict=False):
        np.add.at(expected, i, g)
    for order in (1, -1):
        for create_graph in (False, True):
            cotangents = [tn.tensor(g) for g in given[::order]]
            found = tn.autograd.grad(
                parts[::order], [u, x], cotangents, retain_graph=True, create_graph=create_graph
            )
            for d in found:
                np.testing.assert_allclose(d.detach(), expected, atol=1e-12)
            for c, g in zip(cotangents, given[::order], strict=True):
                np.testing.assert_array_equal(c, g)


def test_the_gradients_of_all_steps_cost_as_much_as_the_sequence(monkeypatch: Any) -> None:
    scatter, made = registry["scatter"], []
    forward = scatter.forward
    monkeypatch.setattr(
        scatter, "forward", lambda *x, **options: made.append(1) or forward(*x, **options)
    )
    x = tn.ones(50, 2, dtype=tn.float64, requires_grad=True)
    y = x * 1
    seen: list[Any] = []
    y.register_hook(seen.append)
    sum((t + 1) * y[t] for t in range(50)).sum().backward()
    assert len(made) == 1
    np.testing.assert_array_equal(x.grad, np.repeat(np.arange(1.0, 51)[:, None], 2, 1))
    np.testing.assert_array_equal(seen[0], x.grad)


def test_who_watches_sees_the_gradient_of_each_part() -> None:
    x, seen = leaf(1.0, 2.0, 3.0), []

    def backward(node: Any, g: Any, gradients: Any) -> None:
        if node.op.name == "getitem":
            seen.append(gradients[0].tolist())

    for _ in range(2):  # the second time nobody does
        y = (x[0] + 5 * x[1] + x[1:].sum()) * 1
        with watched(lambda *_: None, backward) if not seen else contextlib.nullcontext():
            y.backward()
    assert sorted(seen) == [[0, 1, 1], [0, 5, 0], [1, 0, 0]]
    np.testing.assert_array_equal(x.grad, [2, 12, 2])


def test_a_part_is_not_added_to_what_others_hold() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    u = x * 1
    g, both = tn.tensor([1.0, 1.0], dtype=tn.float64), u + w  # whose gradient u and w receive
    first, second = u[0], both * 1
    dx, dw = tn.autograd.grad([second, first], [x, w], [g, tn.tensor(5.0, dtype=tn.float64)])
    np.testing.assert_array_equal(g, [1.0, 1.0])
    np.testing.assert_array_equal(dw, [1.0, 1.0])
    np.testing.assert_array_equal(dx, [6.0, 1.0])


def test_accumulation_after_create_graph_does_not_change_the_recorded_gradient() -> None:
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    (x * 5).sum().backward()
    assert first.item() == 12.0
    assert x.grad.item() == 17.0


def test_ids_that_are_reused_after_the_forward_pass_do_not_change_the_gradient() -> None:
    for make in (np.array, tn.tensor):
        weight = tn.zeros(4, 2, requires_grad=True)
        ids = make([0, 0, 3])
        picked = weight[ids]
        ids[:] = 1
        picked.sum().backward()
        np.testing.assert_array_equal(weight.grad[:, 0], [2, 0, 0, 1])


def test_a_plain_array_that_changes_after_the_forward_pass_does_not_change_the_gradient() -> None:
    w, batch = leaf(1.0, 1.0), np.array([3.0, 4.0])
    y = (w * batch).sum()
    batch[:] = 0
    y.backward()
    np.testing.assert_array_equal(w.grad, [3.0, 4.0])


# -- switches --------------------------------------------------------------------------------------


def test_no_grad_enable_grad_and_set_grad_enabled() -> None:
    x = leaf(1.0)
    with tn.no_grad():
        assert not (x * 2).requires_grad
        with tn.enable_grad():
            assert (x * 2).requires_grad
        assert not tn.is_grad_enabled()
    with tn.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert tn.is_grad_enabled()
    tn.set_grad_enabled(False)
    assert not tn.is_grad_enabled()
    tn.set_grad_enabled(True)

    @tn.no_grad()
    def evaluate(n: int) -> bool:
        return (x * 2).requires_grad if n == 0 else evaluate(n - 1)

    assert not evaluate(3)
    assert tn.is_grad_enabled()


def test_no_grad_ends_when_an_error_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), tn.no_grad():
        raise ZeroDivisionError
    assert tn.is_grad_enabled()


def test_recording_is_switched_per_thread() -> None:
    seen = []
    with tn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


# -- grad, hooks -----------------------------------------------------------------------------------


def test_grad_touches_no_leaf_and_walks_only_where_it_must() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seen = []
    side = w * 2
    side.register_hook(lambda g: seen.append("side"))
    y = (x * x * side).sum()
    (dx,) = tn.autograd.grad(y, x)
    np.testing.assert_array_equal(dx, [12.0, 32.0])
    assert x.grad is None
    assert w.grad is None
    assert seen == []


def test_grad_of_an_intermediate_value_and_of_what_it_came_from() -> None:
    x = leaf(2.0)
    h = x * 3
    y = (h * h).sum()
    dh, dx = tn.autograd.grad(y, (h, x))
    assert (dh.item(), dx.item()) == (12.0, 36.0)


def test_an_input_that_is_not_reached_is_named_or_none() -> None:
    x, other = leaf(1.0), leaf(1.0)
    with pytest.raises(GraphError, match="do not depend on input 1"):
        tn.autograd.grad((x * 2).sum(), (x, other))
    assert tn.autograd.grad((x * 2).sum(), (x, other), allow_unused=True)[1] is None


def test_hooks_see_the_whole_gradient_and_may_replace_it() -> None:
    x = leaf(1.0, 2.0)
    h = x * 2
    seen = []
    h.register_hook(lambda g: seen.append(g.tolist()))
    handle = h.register_hook(lambda g: g * 10)
    h.retain_grad()
    x.register_hook(lambda g: g + 1)
    y = (h + h).sum()
    y.backward(retain_graph=True)
    assert seen == [[2.0, 2.0]]
    np.testing.assert_array_equal(h.grad, [20.0, 20.0])
    np.testing.assert_array_equal(x.grad, [41.0, 41.0])
    handle.remove()
    x.grad = None
    y.backward()
    np.testing.assert_array_equal(x.grad, [5.0, 5.0])


def test_a_hook_that_returns_the_wrong_shape_is_an_error() -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(GraphError, match="must return a Tensor of the gradient's shape"):
        (x * 2).sum().backward()


def test_the_gradient_of_a_computed_value_needs_retain_grad() -> None:
    h = leaf(1.0) * 2
    h.sum().backward()
    with pytest.warns(UserWarning, match="retain_grad"):
        assert h.grad is None


def test_backward_with_inputs_leaves_the_others_alone() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (x * w).sum().backward(inputs=[x])
    assert x.grad.item() == 3.0
    assert w.grad is None


# -- errors ----------------------------------------------------------------------------------------


def test_what_cannot_be_differentiated_says_why() -> None:
    with pytest.raises(GraphError, match="no input of this value requires gradients"):
        tn.ones(1).sum().backward()
    with pytest.raises(GraphError, match="only a scalar has a gradient of its own"):
        (leaf(1.0, 2.0) * 2).backward()
    with pytest.raises(ShapeError, match="must have the output's shape"):
        (leaf(1.0, 2.0) * 2).backward(tn.ones(3))
    with pytest.raises(tn.errors.DTypeError, match="only floating-point tensors"):
        tn.tensor([1, 2], requires_grad=True)
    with pytest.raises(GraphError, match="only a leaf can stop"):
        (leaf(1.0) * 2).requires_grad = False


@pytest.mark.parametrize("broadcasts", [False, True])
@pytest.mark.parametrize("shape", [(1,), (2, 1), (3,)])
def test_a_rule_that_gives_a_wrong_shape_is_named(broadcasts: bool, shape: Any) -> None:
    """Also where the size is right, and where the gradient could be taken for a broadcast one."""
    bad = elementwise("bad_shape", np.exp, lambda g, y, _u: np.ones(shape, like=g), "e^u")
    bad.broadcasts = broadcasts
    try:
        with pytest.raises(RuleError, match="the rule of bad_shape for input 0"):
            bad(leaf(1.0, 2.0)).sum().backward()
    finally:
        del registry["bad_shape"]
        from tinynet.op import numpy_functions
        from tinynet.ops import elementwise as table

        numpy_functions[np.exp] = table.exp


def test_an_error_names_the_users_line() -> None:
    with pytest.raises(
        ShapeError, match=r"at: test_engine\.py:\d+   tn\.ones\(2\) \+ tn\.ones\(3\)"
    ):
        tn.ones(2) + tn.ones(3)


# -- checkpoint ------------------------------------------------------------------------------------


def test_checkpoint_gives_the_same_gradients_for_inputs_and_captured_weights() -> None:
    w = tn.rand(3, 3, dtype=tn.float64, requires_grad=True)
    x = tn.rand(2, 3, dtype=tn.float64, requires_grad=True)
    h = x * 2

    def block(h: tn.Tensor) -> tn.Tensor:
        return ((h @ w).tanh() @ w).exp()

    expected = tn.autograd.grad(block(h).sum(), (x, w, h), retain_graph=True)
    found = tn.autograd.grad(checkpoint(block, h).sum(), (x, w, h))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_checkpoint_keeps_no_intermediate_value_and_replays_random_numbers() -> None:
    x = tn.ones(1000, requires_grad=True)
    seen = []

    def noisy(x: tn.Tensor) -> tn.Tensor:
        h = x * tn.rand(1000)
        seen.append(weakref.ref(h.array))
        return h * h

    y = checkpoint(noisy, x)
    assert seen[0]() is None
    after = tn.rand(3)
    y.sum().backward()
    expected = 2 * y.detach()
    np.testing.assert_allclose(x.grad, expected, rtol=1e-5)
    assert len(seen) == 2
    tn.set_rng_state(tn.get_rng_state())
    assert not np.array_equal(after, tn.rand(3))


def test_checkpoint_can_be_differentiated_twice() -> None:
    x = leaf(0.3)
    y = checkpoint(lambda x: x.sin().exp(), x)
    (dx,) = tn.autograd.grad(y, x, tn.ones(1, dtype=tn.float64), create_graph=True)
    (ddx,) = tn.autograd.grad(dx.sum(), x)
    s, c = np.sin(0.3), np.cos(0.3)
    np.testing.assert_allclose(ddx, [np.exp(s) * (c * c - s)], rtol=1e-12)


# -- copies ----------------------------------------------------------------------------------------


def test_deepcopy_of_leaves_and_refusal_of_computed_values() -> None:
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    y = copy.deepcopy([x, x])
    assert y[0] is y[1]
    assert y[0].requires_grad
    y[0].data.zero_()
    y[0].grad.zero_()
    np.testing.assert_array_equal(x.detach(), [1.0, 2.0])
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
    with pytest.raises(GraphError, match="deep-copied"):
        copy.deepcopy(x * 2)
