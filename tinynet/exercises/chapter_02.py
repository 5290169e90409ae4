"""The tape: order, rules, two walks."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinynet as tn
from tinynet.exercises.properties import gradient, holds, number, right, values
from tinynet.exercises.task import Exercise, Failure, Property

_DEEP = 5_000  # values in a chain: five times what Python lets a recursion do


def _by_hand() -> float:
    a = tn.tensor(2.0, requires_grad=True)
    b = a * a
    (b * (a + b)).backward()
    assert a.grad is not None
    return float(a.grad.item())


# -- an order --------------------------------------------------------------------------------------


def _graphs() -> dict[str, Any]:
    """Which values each was made from, with names that tell nothing, and the last one."""
    from hypothesis import strategies as st

    @st.composite
    def graph(draw: Any) -> dict[str, tuple[str, ...]]:
        names = draw(st.permutations("abcdef"[: draw(st.integers(2, 6))]))
        made = {n: draw(_some(names[:i])) for i, n in enumerate(names)}
        return {name: made[name] for name in draw(st.permutations(names))}

    def _some(earlier: Any) -> Any:
        if not earlier:
            return st.just(())
        return st.lists(st.sampled_from(earlier), max_size=3).map(tuple)

    parents = graph()
    return {
        "parents": st.shared(parents, key="graph"),
        "last": st.shared(parents, key="graph").flatmap(lambda made: st.sampled_from(sorted(made))),
    }


def _behind(parents: Any, last: str) -> set[str]:
    found: set[str] = set()
    waiting = [last]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(parents[name])
    return found


def _against_order(found: Any, parents: Any, last: str) -> str:
    """What is wrong with an order; nothing if it is one."""
    try:
        names = list(found)
    except TypeError:
        return f"a list of names is asked for, and {type(found).__name__} came"
    wanted = _behind(parents, last)
    place = {name: i for i, name in enumerate(names)}
    shown = f": {names}" if len(names) < 20 else ""
    for i, name in enumerate(names):
        if name not in wanted:
            return f"{last!r} was not made from {name!r}, and yet it is listed{shown}"
        if place[name] != i:
            return f"{name!r} is listed more than once{shown}"
    if len(names) < len(wanted):
        return f"{min(wanted - set(names))!r} is missing{shown}"
    for user in names:
        for name in parents[user]:
            if place[name] < place[user]:
                return f"{name!r} stands before {user!r}, which was made from it{shown}"
    return ""


def _walks_a_deep_chain(answer: Any) -> None:
    chain: dict[str, tuple[str, ...]] = {"v0": ()}
    chain.update({f"v{i}": (f"v{i - 1}",) * 2 for i in range(1, _DEEP)})
    last = f"v{_DEEP - 1}"
    text = _against_order(answer(chain, last), chain, last)
    if text:
        raise Failure(text)


# -- rules -----------------------------------------------------------------------------------------


def _quotient() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"a": arrays("3 k"), "b": arrays("k", low=0.5, high=3)}


def _matrix() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"x": arrays("n 3")}


def _centred(x: Any) -> Any:
    return right("sub")(x, right("mean", axis=1, keepdims=True)(x))


# -- two walks -------------------------------------------------------------------------------------


class _Named:
    """A function of a tensor that is shown as its formula."""

    def __init__(self, formula: str, function: Any) -> None:
        self.formula, self.function = formula, function

    def __call__(self, x: Any) -> Any:
        return self.function(x)

    def __repr__(self) -> str:
        return f"x -> {self.formula}"


_FUNCTIONS = (
    _Named("(x ** 3).sum()", lambda x: (x**3).sum()),
    _Named("x.sum() ** 2", lambda x: x.sum() ** 2),
    _Named("(x * x.tanh()).sum() * x.sum()", lambda x: (x * x.tanh()).sum() * x.sum()),
)


def _hessian_times(f: Any, x: Any, v: Any) -> Any:
    return tn.func.hvp(f, tn.tensor(x), tn.tensor(v))[1].numpy()


def _function_and_direction() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    return {"f": st.sampled_from(_FUNCTIONS), "x": arrays("n"), "v": arrays("n")}


# -- a walk with a mistake -------------------------------------------------------------------------


def _tapes() -> dict[str, Any]:
    from hypothesis import strategies as st

    @st.composite
    def tape(draw: Any) -> list[list[tuple[int, float]]]:
        slopes = st.sampled_from([1.0, 2.0, -1.0, 0.5])
        made: list[list[tuple[int, float]]] = [[]]
        for i in range(1, draw(st.integers(2, 6))):
            pairs = st.tuples(st.integers(0, i - 1), slopes)
            made.append(draw(st.lists(pairs, min_size=1, max_size=3)))
        return made

    return {"tape": tape()}


def _by_the_engine(tape: Any) -> Any:
    """The same computation on tensors, and the engine's own walk."""
    made: list[Any] = []
    for pairs in tape:
        value = tn.tensor(np.array(1.0), requires_grad=True)
        for parent, slope in pairs:
            value = value + slope * made[parent]
        made.append(value)
    found = tn.autograd.grad(made[-1], made, allow_unused=True)
    return np.array([0.0 if g is None else g.item() for g in found])


EXERCISES = (
    Exercise(
        "02.by_hand",
        "By hand: b = a · a, c = a + b, L = b · c, at a = 2. What is ∂L/∂a?",
        "a number",
        (number(_by_hand, name="is the derivative"),),
        (
            "Forward first: b = 4, c = 6. Then back, from L to b and c, and only then to a.",
            "b gets two parts, one from L and one from c; both must be there before it hands on.",
            "c has 4, b has 6 + 4. a gets one part from c, and two from b = a · a.",
        ),
    ),
    Exercise(
        "02.order",
        "Values have names; `parents` says which each was made from (one may occur twice). List "
        "`last` and all behind it, so that each comes after all values that were made from it.",
        'order(parents, last) -> names, as in order({"b": ("a", "a"), "a": ()}, "b") -> ["b", "a"]',
        (
            holds(_against_order, _graphs, name="is a topological order"),
            Property("manages a chain of 5,000 doublings", _walks_a_deep_chain),
        ),
        (
            "Visited once is not enough: a value must wait for its last user. How many has it?",
            "Find all values behind `last` first, and count for each how often it is used there.",
            "A value whose users have all been listed is ready. Listing it makes one use less for "
            "each of its parents: which of them are ready then?",
        ),
    ),
    Exercise(
        "02.divide_backward",
        "Write the backward pass of y = a / b, where b is broadcast over the rows of a.",
        "divide_backward(g, a, b) -> (da, db); g and a (n, k), b (k,)",
        (gradient(right("div"), _quotient),),
        (
            "y = a · b⁻¹. Write dy with the product rule: one part has da, one has db.",
            "dy = da / b − a db / b². Pair each part with g.",
            "The second part has the shape (n, k); b was copied to every row.",
        ),
    ),
    Exercise(
        "02.centre_backward",
        "Write the backward pass of y = x − mean of its row.",
        "centre_backward(g, x) -> dx, all of shape (n, k)",
        (gradient(_centred, _matrix),),
        (
            "x is used twice. The first use hands back g. What does y = −m do, m broadcast?",
            "m_i gets −Σ_j g_ij. And what does the mean m_i = Σ_j x_ij / k hand to each x_ij?",
            "Every x_ij gets g_ij, less the same number for all of its row. Which one?",
        ),
    ),
    Exercise(
        "02.hessian_times",
        "Give H v, with H the matrix of second derivatives of f at x, without building H.",
        "hessian_times(f, x, v) -> H v; f: tensor (n,) -> one number, x and v arrays of shape (n,)",
        (values(_hessian_times, _function_and_direction, name="is the Hessian times v"),),
        (
            "(H v)_i = Σ_j v_j ∂²f/∂x_i∂x_j. Which scalar has this as its gradient?",
            "⟨∇f(x), v⟩ with v fixed. Make a leaf of x, and walk once with create_graph=True.",
            "Then the product with tn.tensor(v), its sum, and a second walk from there.",
        ),
    ),
    Exercise(
        "02.planted_bug",
        "The function `gradients` of the chapter's section 7 visits each value once, and is wrong. "
        "Find the mistake and write it right.",
        "gradients(tape) -> the gradient of the last value by each; tape[i]: pairs (parent, slope)",
        (values(_by_the_engine, _tapes, name="is the derivative by every value"),),
        (
            "It is right on chains. Try a tape in which a value is used early and late.",
            "b = 2a, c = b, d = c + b: when is b visited, and what has it handed on by then?",
            "Once is right, but when? What does the number of a value say about its users?",
        ),
    ),
)
