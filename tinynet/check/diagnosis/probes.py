"""Asking the backward function again, with another cotangent or with other arguments.

A backward function is a linear map of g, the transposed Jacobian; probed with one unit vector after
another, it shows its own Jacobian, which differences of the forward function judge block by block:
which outputs reach which entries of the argument, and which are lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from tinynet.check.diagnosis.fix import Fix, arrays, own, pair
from tinynet.check.diagnosis.shapes import rearrangements
from tinynet.check.problem import Array, Problem

LARGEST = 150  # entries of an argument, or of the output, whose Jacobian is worth its time


def _copy(a: object) -> object:
    return a.copy() if isinstance(a, np.ndarray) else a


def ask(p: Problem, k: int, g: Array, args: tuple[object, ...] | None = None) -> Array | None:
    """The gradient for `wrt[k]` with another cotangent or other arguments; None where the function
    fails, and foreign code may fail in any way.
    """
    if p.backward is None:
        return None
    try:
        made = p.backward(np.array(g), *(_copy(a) for a in (p.args if args is None else args)))
        if not isinstance(made, (tuple, list)):
            made = (made,)
        return np.asarray(made[k], dtype=np.float64)
    except Exception:
        return None


def _same(a: Array | None, b: Array | None, tolerance: float = 1e-9) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    return bool(np.max(np.abs(a - b), initial=0) <= tolerance * (np.max(np.abs(b), initial=0)))


def unstable(p: Problem, k: int) -> Iterator[Fix]:
    """Another result each time."""
    first, second = ask(p, k, p.g), ask(p, k, p.g)
    if first is None or second is None or _same(first, second):
        return

    def apply(p: Problem) -> Array | None:
        return None if _same(ask(p, k, p.g), ask(p, k, p.g)) else p.true[k]

    yield Fix(
        "not deterministic: the backward pass gives another result when it is called again with "
        "the same arguments (randomness, as in a dropout mask drawn anew, or kept state)",
        "keep the mask of the forward pass, and set accumulated gradients to zero",
        1.0,
        apply,
    )


def upstream(p: Problem, k: int) -> Iterator[Fix]:
    """Not linear in g: no backward function may be that."""
    once, twice = ask(p, k, p.g), ask(p, k, 2 * p.g)
    none = ask(p, k, 0 * p.g)
    if once is None or twice is None or none is None or not once.any() or pair(p, k) is None:
        return
    if _same(twice, 2 * once):
        return

    def bends(p: Problem) -> Array | None:
        a, b = ask(p, k, p.g), ask(p, k, 2 * p.g)
        return None if a is None or b is None or _same(b, 2 * a) else p.true[k]

    rest, cost = "a gradient must double when g doubles", 1.9
    if _same(twice, once):
        text = f"the upstream gradient g is not multiplied in (chain rule): {rest}, this one stays"
    elif _same(twice, 4 * once):
        text = f"the upstream gradient g is multiplied in twice (g squared): {rest}, this one is 4x"
    elif none.any():
        text = f"a term is not multiplied by the upstream gradient g: {rest}, and be 0 when g is 0"
        cost = 2.4
    else:
        text = (
            "not linear in the upstream gradient g: an error that contains g is used where a value "
            "of the forward pass belongs: a derivative formed from it, or weights after an update"
        )
        cost = 2.9
    yield Fix(text, "multiply every term by g once (chain rule)", cost, bends)


def rearranged_upstream(p: Problem, k: int) -> Iterator[Fix]:
    """Right, had g come in another order."""
    if p.backward is None or not p.y.ndim:
        return
    for word, move in rearrangements(p.g.shape):
        made = ask(p, k, move(p.g))
        if made is None or made.shape != p.true[k].shape:
            continue
        if p.true[k].ndim < p.g.ndim or p.true[k].size < p.g.size:
            if "transposed" in word:
                yield Fix(
                    "summed over the wrong axis of g: it is right when the axes of g are swapped, "
                    "and the square shape hides it",
                    "sum over the axis along which the argument was broadcast",
                    1.5,
                    partial(lambda p, move: ask(p, k, move(p.g)), move=move),
                )
            continue
        yield Fix(
            "the upstream gradient g is used in the wrong order: it must first be "
            + ("transposed, not reshaped" if "reshaped" in word else word.strip()),
            "undo what the forward pass did to the order of the axes: the inverse permutation",
            1.9,
            partial(lambda p, move: ask(p, k, move(p.g)), move=move),
        )
        yield Fix(
            f"a term is missing: the same with g {word.strip()} (the argument is used twice, and "
            "only one side is differentiated); accumulate both (+=)",
            "add the path through the other use of the argument",
            2.0,
            partial(lambda p, move: _plus(ask(p, k, p.g), ask(p, k, move(p.g))), move=move),
        )
    if p.g.shape == p.true[k].shape:
        for axis in range(p.g.ndim):

            def apply(p: Problem, axis: int = axis) -> Array | None:
                made = ask(p, k, np.flip(p.g, axis))
                return None if made is None else np.flip(made, axis)

            yield Fix(
                f"it runs in the wrong direction along axis {axis}: the backward pass must go "
                "through the entries in reverse (the Jacobian must be transposed)",
                f"reverse g along axis {axis}, apply the function, reverse the result",
                1.8,
                apply,
            )


def _plus(a: Array | None, b: Array | None) -> Array | None:
    return a + b if a is not None and b is not None and a.shape == b.shape else None


def rearranged_arguments(p: Problem, k: int) -> Iterator[Fix]:
    """Right, had one argument come transposed, flipped or with the other sign."""
    if p.backward is None:
        return
    for j, name in enumerate(p.names):
        a = arrays(p).get(name)
        if a is None or a.size < 2 or j >= len(p.args):
            continue
        options = [(w, m) for w, m in rearrangements(a.shape) if "off by one" not in w]
        for word, move in options[:12]:

            def apply(
                p: Problem, j: int = j, move: Callable[[Array], Array] = move
            ) -> Array | None:
                args = list(p.args)
                args[j] = move(np.asarray(args[j]))
                return ask(p, k, p.g, tuple(args))

            text = f"{name} is used the wrong way round: it must be {word.strip()}"
            yield Fix(
                text + (f" ({name}.T)" if word == "transposed" else ""),
                f"use {name} {word.strip()} in the gradient of {own(p, k)}",
                1.8,
                apply,
            )


# -- the Jacobian
# ----------------------------------------------------------------------------------------------


def jacobian(p: Problem, k: int) -> Array:
    """∂y / ∂args[wrt[k]] by differences, one row for each entry of the argument."""
    i = p.wrt[k]
    x = np.array(p.args[i], dtype=np.float64)
    rows = np.zeros((x.size, p.y.size))
    for n, at in enumerate(np.ndindex(x.shape)):
        h = 1e-4 * max(1.0, abs(float(x[at])))

        def moved(step: float, at: tuple[int, ...] = at) -> Array:
            near = x.copy()
            near[at] += step
            args = [_copy(a) for a in p.args]
            args[i] = near
            return np.asarray(p.forward(*args), dtype=np.float64).ravel()

        narrow, wide = moved(h) - moved(-h), moved(2 * h) - moved(-2 * h)
        rows[n] = (8 * narrow - wide) / (12 * h)  # the error is O(h⁴)
    return rows


def claimed(p: Problem, k: int) -> Array | None:
    """The same as the backward function has it: its answers to unit vectors. None where they do not
    make up its answer to g: then it is not linear, and has no Jacobian.
    """
    rows = np.zeros((p.true[k].size, p.y.size))
    for n, at in enumerate(np.ndindex(p.y.shape)):
        unit = np.zeros(p.y.shape)
        unit[at] = 1
        made = ask(p, k, unit)
        if made is None or made.size != len(rows):
            return None
        rows[:, n] = made.ravel()
    whole = (rows @ p.g.ravel()).reshape(p.true[k].shape)
    return rows if _same(whole, ask(p, k, p.g)) else None


Choice = Callable[[Array], Array]  # the Jacobian -> the entries of it that are kept


def _choices(
    inner: tuple[int, ...], outer: tuple[int, ...], name: str
) -> Iterator[tuple[str, str, float, Choice]]:
    """Parts of a Jacobian that a mistake may keep: what is wrong, what to do, cost, mask."""
    i, o = np.indices(inner).reshape(len(inner), -1), np.indices(outer).reshape(len(outer), -1)
    n_in = math.prod(inner)
    if inner == outer and math.prod(inner) > 1:
        eye = np.eye(n_in, dtype=bool)
        yield (
            "only the diagonal of the Jacobian is kept: the off-diagonal (cross) terms are missing,"
            f" each entry of {name} changes other outputs too",
            "add the sum over the other outputs: s * (g - sum(g * s)) for softmax",
            1.5,
            lambda j: eye,
        )
    for a, n in enumerate(outer):
        for first, last in [(0, m) for m in range(1, n)] + [(m, n) for m in range(1, n)]:
            kept = np.broadcast_to((o[a] >= first) & (o[a] < last), (n_in, o.shape[1]))
            span = f"index {first}" if last == first + 1 else f"indices {first} to {last - 1}"
            end = " (the last)" if last == n and first == n - 1 else ""
            yield (
                f"only {span}{end} of {n} along axis {a} of the upstream gradient g counts, the "
                "others are ignored: overwritten or reset in a loop instead of accumulated (+=)",
                "begin with zeros before the loop, and add with += inside it",
                1.7,
                partial(lambda j, kept: kept, kept=kept),
            )
    for b, m in enumerate(inner):
        for a, n in enumerate(outer):
            if m == n and m > 1:
                same = i[b][:, None] == o[a][None, :]
                yield (
                    f"index t of {name} along axis {b} receives only g at the same t: what it "
                    "changes at other positions (later time steps, the recurrent path) is missing",
                    "carry the gradient through time: add what comes from the next step",
                    2.0,
                    partial(lambda j, same: same, same=same),
                )

    def last_one(j: Array) -> Array:
        live = j != 0
        kept = np.zeros_like(live)
        kept[np.arange(len(j)), live.shape[1] - 1 - np.argmax(live[:, ::-1], axis=1)] = True
        return np.asarray(kept & live)

    yield (
        f"where several outputs share an entry of {name} (overlapping windows, repeated indices), "
        "only the last one counts: overwritten instead of accumulated",
        "use += instead of =, or np.add.at",
        1.5,
        last_one,
    )


def parts(p: Problem, k: int) -> Iterator[Fix]:
    """The found gradient has a part of the true Jacobian, and nothing for the rest; or it has all
    of it, and more; or it has it transposed.
    """
    both = pair(p, k)
    if both is None or p.backward is None or p.y.size < 2 or max(p.y.size, both[1].size) > LARGEST:
        return
    have = claimed(p, k)
    if have is None or not have.any():
        return
    want = _clean(jacobian(p, k))
    near = 1e-6 * max(1.0, float(np.max(np.abs(want))))
    have = np.where(np.abs(have) < near, 0, have)
    shape, name = both[1].shape, own(p, k)
    lost = (have == 0) & (want != 0)
    differ = (np.abs(have - want) > near) & ~lost
    if lost.any() and not differ.any():
        for text, hint, cost, choose in _choices(shape, p.y.shape, name):
            kept = choose(want) & (want != 0)
            if np.array_equal(kept, ~lost & (want != 0)):

                def apply(p: Problem, choose: Choice = choose) -> Array:
                    j = _clean(jacobian(p, k))
                    return np.asarray(np.where(choose(j), j, 0) @ p.g.ravel()).reshape(shape)

                yield Fix(text, hint, cost, apply, model=True)
    elif differ.any() and not lost.any() and np.all(want[differ] == 0):

        def masked(p: Problem) -> Array | None:
            made = claimed(p, k)
            if made is None:
                return None
            live = _clean(jacobian(p, k)) != 0
            return np.asarray(np.where(live, made, 0) @ p.g.ravel()).reshape(shape)

        yield Fix(
            f"a mask is missing: parts of g reach entries of {name} on which these outputs do not "
            "depend (such as future positions under a causal mask); the others are right",
            "apply the mask of the forward pass in the backward pass too",
            1.9,
            masked,
        )
    for a, n in enumerate(shape):
        for b, m in enumerate(p.y.shape):
            if n == m and n > 1:

                def turned(p: Problem, a: int = a, b: int = b) -> Array | None:
                    made = claimed(p, k)
                    if made is None:
                        return None
                    whole = made.reshape(*shape, *p.y.shape).swapaxes(a, len(shape) + b)
                    return np.asarray(whole.reshape(made.shape) @ p.g.ravel()).reshape(shape)

                yield Fix(
                    f"a matrix is not transposed: axis {a} of {name} and axis {b} of g are "
                    "exchanged (M where M.T belongs), and the square shape hides it",
                    "the backward pass of M @ x is M.T @ g, of x @ M it is g @ M.T",
                    1.9,
                    turned,
                )


def _clean(j: Array) -> Array:
    """What is zero but for rounding is zero."""
    return np.asarray(np.where(np.abs(j) < 1e-9 * max(1.0, float(np.max(np.abs(j)))), 0, j))
