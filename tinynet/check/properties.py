"""One line makes a property test: value, gradient and second derivative at drawn arguments.

Hypothesis draws the arguments, and of those that fail it looks for the simplest. The message says
which they are, what is wrong there, and why. Works on plain code that never heard of tinynet.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.check.doors import check_backward, check_gradients
from tinynet.check.judge import judge
from tinynet.check.report import GradientReport
from tinynet.check.subject import names_of, pair, quiet, taped
from tinynet.errors import ArgumentError, GradientError
from tinynet.function import custom_op
from tinynet.grad_mode import no_grad
from tinynet.tensor import Tensor

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
_UNTOLD = ("discontinuous", "unresolved")  # nothing can be said at such a point: draw another
_CLOSE = 1e-7  # how near a value must be to that of the reference, relative to the largest


def property_check(
    forward: Function | None = None,
    backward: Function | None = None,
    /,
    *,
    args: Any = None,
    reference: Function | None = None,
    order: int = 1,
    wrt: Sequence[int | str] | int | str | None = None,
    max_examples: int | None = None,
    settings: Any = None,
    **strategies: Any,
) -> Any:
    r"""A test that a gradient is right wherever Hypothesis looks. pytest collects it, or call it.

    forward, backward: a pair as for `check_backward`, or one function of Tensors. Without them, a
        decorator: of a function of Tensors, or of one without parameters that returns the pair
    strategies: one for each argument, by name, from `tinynet.check.strategies`; or args, one that
        draws the tuple of all
    reference: gives the same value in another way, from arrays
    order: 2 also checks the gradients' own gradients; a pair must then be code that Tensors can
        pass through
    wrt: as for `check_backward`
    max_examples, settings: of Hypothesis

    The test raises `GradientError` with the simplest arguments that fail, the diagnosis and a
    hint. A kink is no failure; points where the function jumps or is too noisy are left out. Raises
    `ArgumentError` if names and strategies do not match.

    >>> from tinynet.check.strategies import arrays
    >>> def cube(x):
    ...     return x**3
    >>> test_cube = property_check(cube, lambda g, x: 3 * g * x**2, x=arrays(), max_examples=5)
    >>> test_cube()
    >>> test_wrong = property_check(cube, lambda g, x: 3 * g * x, x=arrays((2,)))
    >>> try:
    ...     test_wrong()
    ... except GradientError as error:
    ...     print(*str(error).splitlines()[:2], sep="\n")
    cube is wrong at the simplest arguments that were found:
      x = array([1., 1.])    shape (2,)
    >>> @property_check(x=arrays(away_from=0), order=2, max_examples=5)
    ... def test_softsign(x):
    ...     return x / (1 + abs(x))
    >>> test_softsign()
    """
    if forward is None:
        return lambda body: property_check(
            body,
            args=args,
            reference=reference,
            order=order,
            wrt=wrt,
            max_examples=max_examples,
            settings=settings,
            **strategies,
        )
    body = forward
    parameters = _parameters(forward)
    if backward is None and parameters is not None and not parameters:
        forward, backward = _pair_of(forward)
    if order < 1:
        raise ArgumentError("order counts derivatives", expected="1, 2, ...", got=repr(order))
    if args is not None and strategies:
        raise ArgumentError(
            "args draws all arguments: leave the others out", got=", ".join(strategies)
        )
    drawn = {"args": args} if args is not None else _in_order(forward, strategies)
    name = getattr(body, "__name__", "<lambda>").replace("<lambda>", "the function")
    claim = _Claim(name, forward, backward, reference, order, wrt)
    return _test_of(claim, body, drawn, max_examples, settings)


def _parameters(function: Function) -> list[inspect.Parameter] | None:
    """None where they cannot be known."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def _pair_of(body: Function) -> tuple[Function, Function]:
    found = body()
    if isinstance(found, tuple | list) and len(found) == 2 and all(map(callable, found)):
        return found[0], found[1]
    raise ArgumentError(
        f"{getattr(body, '__name__', 'the function')} has no parameters, and returns no pair",
        expected="return forward, backward",
        got=type(found).__name__,
    )


def _in_order(forward: Function, strategies: dict[str, Any]) -> dict[str, Any]:
    """The strategies as the arguments come. Names must match, where they are known."""
    if not strategies:
        raise ArgumentError(
            "property_check needs a strategy for each argument",
            hint="property_check(forward, backward, x=arrays()), "
            "from tinynet.check.strategies import arrays",
        )
    parameters = _parameters(forward)
    if parameters is None or any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return strategies
    known = [p.name for p in parameters]
    for name in strategies:
        if name not in known:
            raise ArgumentError(
                f"there is a strategy for {name!r}, which is no argument", expected=", ".join(known)
            )
    count = max(known.index(name) for name in strategies) + 1
    for i, p in enumerate(parameters):
        needed = p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        if p.name not in strategies and (needed or i < count):
            raise ArgumentError(f"there is no strategy for {p.name!r}", hint=f"{p.name}=arrays()")
    return {name: strategies[name] for name in known if name in strategies}


def _test_of(
    claim: _Claim, body: Function, drawn: dict[str, Any], max_examples: int | None, settings: Any
) -> Any:
    """The claim as a Hypothesis test."""
    try:
        import hypothesis
    except ImportError as missing:
        raise ImportError(
            'property_check needs Hypothesis: pip install "tinynet[check]"', name="hypothesis"
        ) from missing
    together = list(drawn) == ["args"]

    def test(**arguments: Any) -> None:
        given = arguments["args"] if together else [arguments[name] for name in drawn]
        if not claim.holds(tuple(given)):  # raises what is said below
            hypothesis.reject()

    test.__name__ = test.__qualname__ = claim.name.replace(" ", "_")
    test.__module__ = getattr(body, "__module__", None) or __name__
    test.__doc__ = getattr(body, "__doc__", None)
    options: dict[str, Any] = {} if max_examples is None else {"max_examples": max_examples}
    if settings is None:
        # To explain, Hypothesis traces every line: slow, and the report knows better.
        current: Any = hypothesis.settings.default
        options["phases"] = [p for p in current.phases if p is not hypothesis.Phase.explain]
        options["deadline"] = None
    return hypothesis.settings(settings, **options)(hypothesis.given(**drawn)(test))


# -- at one point ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Claim:
    """What a property test claims about a function."""

    name: str
    forward: Function
    backward: Function | None
    reference: Function | None
    order: int
    wrt: Any

    def holds(self, args: tuple[Any, ...]) -> bool:
        """True if it does, False if nothing can be said here; otherwise a Counterexample.

        All are raised by one line, so that Hypothesis sees one mistake and shrinks it.
        """
        __tracebackhide__ = True
        verdict = self._verdict(args)
        explain: Callable[[], Any] | None = None
        what = self.name
        if verdict in ("error", "nan"):
            explain = lambda: self._report(args)  # noqa: E731
        elif text := self._other_value(args):
            explain = lambda: text  # noqa: E731
        elif verdict == "wrong":
            explain = lambda: self._report(args)  # noqa: E731
        elif text := self._other_in_memory(args):
            explain = lambda: text  # noqa: E731
        elif self.order > 1 and verdict not in _UNTOLD:
            second = check_gradients(self._on_tensors(), *args, wrt=self.wrt, order=self.order)
            verdict = second.verdict
            if not second.ok and verdict not in _UNTOLD:
                what = f"derivative {self.order} of {self.name}"
                explain = lambda: second  # noqa: E731
        if explain is not None:
            raise Counterexample(what, names_of(self.forward, len(args)), args, explain)
        return verdict not in _UNTOLD

    def _verdict(self, args: tuple[Any, ...]) -> str:
        """Without the diagnosis, which takes longer, and is wanted only in the end."""
        if self.backward is None:
            return judge(taped(self.forward, args, self.wrt)).verdict
        return judge(pair(self.forward, self.backward, args, self.wrt)).verdict

    def _report(self, args: tuple[Any, ...]) -> GradientReport:
        if self.backward is None:
            return check_gradients(self.forward, *args, wrt=self.wrt)
        return check_backward(self.forward, self.backward, *args, wrt=self.wrt)

    def _value(self, args: Sequence[Any]) -> Array:
        """What forward gives, as an array."""
        if self.backward is not None:
            return np.asarray(self.forward(*args))
        with no_grad():
            y = self.forward(*(Tensor(x) if isinstance(x, np.ndarray) else x for x in args))
        return np.asarray(y.numpy() if isinstance(y, Tensor) else y)

    def _other_value(self, args: tuple[Any, ...]) -> str:
        """How the value differs from that of the reference."""
        if self.reference is None:
            return ""
        with quiet():
            found, expected = self._value(_copies(args)), self.reference(*_copies(args))
        text = difference(found, np.asarray(expected))
        return text and f"The value is not that of the reference: {text}."

    def _other_in_memory(self, args: tuple[Any, ...]) -> str:
        """How views are treated differently from arrays of their own."""
        if all(_plain(x) for x in args if isinstance(x, np.ndarray)):
            return ""
        kinds = "transposed, strided, reversed or read-only"
        where = "forward"
        try:
            with quiet():
                text = difference(self._value(args), self._value(_copies(args)))
                if not text and self.backward is not None:
                    where, g = "backward", np.ones_like(self._value(_copies(args)), dtype=float)
                    found = self.backward(g.copy(), *args)
                    expected = self.backward(g.copy(), *_copies(args))
                    text = _differences(found, expected)
        except Exception as error:  # the learner's code may raise anything
            text = f"{type(error).__name__}: {error}"
        return text and f"On a view ({kinds}), {where} does not do what it does on a copy: {text}."

    def _on_tensors(self) -> Function:
        """The function of Tensors whose gradients are to be differentiated again."""
        backward = self.backward
        if backward is None:
            return self.forward

        def rule(g: Any, _y: Any, *inputs: Any) -> Any:
            found = backward(g, *inputs)
            gradients = list(found) if isinstance(found, tuple | list) else [found]
            if len(gradients) == len(inputs):
                return gradients
            floats = [
                i
                for i, x in enumerate(inputs)
                if isinstance(x, float) or (hasattr(x, "dtype") and dtypes.is_floating(x.dtype))
            ]
            places = dict(zip(floats, gradients, strict=False))
            return [places.get(i) for i in range(len(inputs))]

        return custom_op(backward=rule)(self.forward)


def _copies(args: Sequence[Any]) -> list[Any]:
    return [np.array(x, order="C") if isinstance(x, np.ndarray) else x for x in args]


def _plain(x: Array) -> bool:
    return x.flags.c_contiguous and x.flags.writeable


def _differences(found: Any, expected: Any) -> str:
    """The first difference between two lists of gradients."""
    if not isinstance(found, tuple | list):
        found, expected = [found], [expected]
    for one, two in zip(found, expected, strict=True):
        if one is not None and (text := difference(np.asarray(one), np.asarray(two))):
            return text
    return ""


def difference(found: Array, expected: Array) -> str:
    """Where two arrays differ first; empty where they do not."""
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    if not found.size:
        return ""
    finite = expected[np.isfinite(expected)]
    size = float(np.max(np.abs(finite), initial=0.0)) or 1.0
    close = np.isclose(found, expected, rtol=_CLOSE, atol=_CLOSE * size, equal_nan=True)
    if close.all():
        return ""
    at = tuple(int(n) for n in np.argwhere(~close)[0])
    where = f"at [{', '.join(map(str, at))}] " if at else ""
    return f"{where}{found[at]:.9g}, not {expected[at]:.9g}"


class Counterexample(GradientError):
    """The simplest arguments at which a property fails. It is explained when it is first printed,
    so that those on the way there cost no more than they must.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        args: Sequence[Any],
        explain: Callable[[], Any],
    ) -> None:
        super().__init__(f"{name} is wrong at the simplest arguments that were found:")
        self.args = (self.reason,)
        self.names, self.at, self.explain = tuple(names), tuple(args), explain

    def __str__(self) -> str:
        if self.report is None:
            self.report = self.explain()
        lines = [self.reason]
        lines += [shown(n, x) for n, x in zip(self.names, self.at, strict=True)]
        lines.append(str(self.report))
        if getattr(self.report, "verdict", "") == "nan":
            lines.append("  try: draw where it is defined: arrays(low=..., away_from=...)")
        return "\n".join(lines)


def shown(name: str, x: Any) -> str:
    """An argument as one would type it, and its shape."""
    if not isinstance(x, np.ndarray):
        return f"  {name} = {x!r}"
    with np.printoptions(threshold=64, edgeitems=3):
        text = np.array_repr(x, max_line_width=80).replace("\n", "\n" + " " * (len(name) + 5))
    layout = "" if _plain(x) else ", a view" if x.flags.writeable else ", read-only"
    return f"  {name} = {text}    shape {x.shape}{layout}"
