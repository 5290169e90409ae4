"""What may be asked of an answer: values, gradients, calm at extremes, manners.

What is right is asked of a registered op, run on arrays; arguments are drawn by Hypothesis, and of
those at which an answer fails the simplest is shown. The draws are the same each time.
"""

from __future__ import annotations

import copy
import inspect
import math
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinynet.check.properties import Counterexample, difference, property_check, shown
from tinynet.check.subject import quiet
from tinynet.exercises.task import Failure, Property
from tinynet.op import registry

Function = Callable[..., Any]
_DRAWS: ContextVar[tuple[int | None, int]] = ContextVar("draws", default=(None, 40))
Strategies = Callable[[], dict[str, Any]]  # drawn late: Hypothesis is loaded when first needed
_MISSING = "nothing is returned: not written yet, or is the return missing?"


def right(name: str, **options: Any) -> Function:
    """The registered op of that name as a function of arrays: what is right.

    >>> right("softmax")(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    import tinynet.derivations  # noqa: F401  (fills the registry)

    op = registry[name]

    def compute(*arrays: Any) -> Any:
        return op.run([np.asarray(x) for x in arrays], options)[0]

    return compute


def values(oracle: Function, draw: Strategies, *, name: str = "gives the right values") -> Property:
    """The answer gives what the oracle gives, at drawn arguments, and leaves them as they were."""

    def test(answer: Any) -> None:
        _callable(answer)
        strategies = draw()

        def compare(**arguments: Any) -> None:
            args = tuple(arguments[k] for k in strategies)
            text = _against(answer, oracle, args)
            if text:
                raise Counterexample(_title(answer), list(strategies), args, lambda: text)

        _search(compare, strategies)

    return Property(name, test)


def gradient(
    forward: Function,
    draw: Strategies,
    *,
    wrt: Sequence[str] | None = None,
    name: str = "is the derivative, at drawn arguments",
) -> Property:
    """The answer, (g, *arguments) -> gradients, is the derivative of `forward`."""

    def test(answer: Any) -> None:
        _callable(answer)
        strategies = draw()
        named = _with_names(forward, list(strategies), _title(answer))
        asked = list(strategies) if wrt is None else wrt
        _seeded(property_check(named, answer, wrt=asked, settings=_calm(), **strategies))()

    return Property(name, test)


def at(
    oracle: Function,
    *cases: tuple[Any, ...],
    name: str = "stays finite and right at extremes",
) -> Property:
    """The answer gives what the oracle gives at these arguments."""

    def test(answer: Any) -> None:
        _callable(answer)
        for case in cases:
            args = tuple(np.asarray(x) for x in case)
            if text := _against(answer, oracle, args):
                given = "\n".join(map(shown, _names(answer, len(args)), args))
                raise Failure(f"{given}\n{text}")

    return Property(name, test)


def holds(judge: Callable[..., str], draw: Strategies, *, name: str) -> Property:
    """Where more than one result is right: judge(result, *arguments) says what is wrong with it."""

    def test(answer: Any) -> None:
        _callable(answer)
        strategies = draw()

        def ask(**arguments: Any) -> None:
            args = tuple(arguments[k] for k in strategies)
            found = answer(*copy.deepcopy(args))
            text = _MISSING if found is None or found is ... else judge(found, *args)
            if text:
                raise Counterexample(_title(answer), list(strategies), args, lambda: text)

        _search(ask, strategies)

    return Property(name, test)


def frugal(*args: Any, mebibytes: float, name: str = "needs little memory") -> Property:
    """The answer takes no more memory than this, at these arguments."""

    def test(answer: Any) -> None:
        _callable(answer)
        shapes = ", ".join(str(np.shape(x)) for x in args)
        elsewhere = getattr(answer, "within", None)  # code in another process: limited there
        if elsewhere is not None:
            if not elsewhere(mebibytes, *(np.array(x) for x in args)):
                raise Failure(f"arguments of shapes {shapes}: {mebibytes} MiB are enough")
            return
        tracemalloc.start()
        try:
            with quiet():
                found = answer(*(np.array(x) for x in args))
            peak = tracemalloc.get_traced_memory()[1] / 2**20
        finally:
            tracemalloc.stop()
        if found is None or found is ...:
            raise Failure(_MISSING)
        if peak > mebibytes:
            raise Failure(
                f"{peak:.1f} MiB for arguments of shapes {shapes}: {mebibytes} are enough"
            )

    return Property(name, test)


def number(
    compute: Callable[[], float], *, name: str = "is the number", digits: int = 3
) -> Property:
    """The answer is a number, right to as many significant digits as one has on paper."""

    def test(answer: Any) -> None:
        try:
            found = float(answer)
        except (TypeError, ValueError, OverflowError):
            what = "a function" if callable(answer) else f"{answer!r:.60}"
            raise Failure(f"a number is asked for, and {what} came") from None
        if math.isnan(found):
            raise Failure("nan is no number: not written yet?")
        true = compute()
        if not math.isclose(found, true, rel_tol=0.5 * 10.0 ** (1 - digits), abs_tol=1e-12):
            way = "too large" if found > true else "too small"
            raise Failure(f"{found:g} is {way}" if math.isfinite(found) else f"{found:g}")

    return Property(name, test)


# -- the work --------------------------------------------------------------------------------------


def _callable(answer: Any) -> None:
    if not callable(answer):
        raise Failure(f"a function is asked for, and {type(answer).__name__} {answer!r:.60} came")


def _title(answer: Any) -> str:
    return str(getattr(answer, "__name__", "the answer"))


def _names(answer: Function, count: int) -> list[str]:
    """What the answer calls its first arguments; their numbers where that is not known."""
    try:
        parameters = list(inspect.signature(answer).parameters.values())[:count]
    except (TypeError, ValueError):
        parameters = []
    known = len(parameters) == count and all(p.kind <= p.POSITIONAL_OR_KEYWORD for p in parameters)
    if not known:
        return [f"argument {i}" for i in range(1, count + 1)]
    return [p.name for p in parameters]


def _against(answer: Function, oracle: Function, args: tuple[Any, ...]) -> str:
    """How the answer differs from the oracle at these arguments; empty where it does not."""
    given = [np.array(x) if isinstance(x, np.ndarray) else x for x in args]
    with quiet():
        found = answer(*given)
        expected = np.asarray(oracle(*args))
    if found is None or found is ...:
        return _MISSING
    for name, one, two in zip(_names(answer, len(args)), given, args, strict=True):
        if isinstance(two, np.ndarray) and not np.array_equal(one, two, equal_nan=True):
            return f"{name} was written into: the caller still needs it"
    if np.iscomplexobj(found):
        return "real numbers are asked for, and complex ones came"
    try:
        found = np.asarray(found, dtype=float)
    except (TypeError, ValueError):
        return f"numbers are asked for, and {type(found).__name__} came"
    text = difference(found, expected)
    return text and f"the value is not right: {text}"


def _with_names(function: Function, names: Sequence[str], title: str) -> Function:
    """A function whose parameters have these names, in which the diagnosis will speak."""

    def named(*args: Any) -> Any:
        return function(*args)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in names]
    vars(named)["__signature__"] = inspect.Signature(parameters)
    named.__name__ = title
    return named


def _search(compare: Function, strategies: dict[str, Any]) -> None:
    import hypothesis

    _seeded(_calm()(hypothesis.given(**strategies)(compare)))()


@contextmanager
def drawn(seed: int, examples: int) -> Iterator[None]:
    """Within the block, properties are tried at other arguments than a learner's, and at more."""
    token = _DRAWS.set((seed, examples))
    try:
        yield
    finally:
        _DRAWS.reset(token)


def _seeded(test: Function) -> Function:
    import hypothesis

    seed, _ = _DRAWS.get()
    seeded: Function = test if seed is None else hypothesis.seed(seed)(test)
    return seeded


def _calm() -> Any:
    """The same draws each time, nothing written to disk, no clock."""
    import hypothesis

    seed, examples = _DRAWS.get()
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink)
    return hypothesis.settings(
        derandomize=seed is None,
        database=None,
        deadline=None,
        max_examples=examples,
        phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
