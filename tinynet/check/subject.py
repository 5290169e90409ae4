"""What is judged: a function of arrays, with gradients that somebody claims for it.

A hand-written pair and a function of Tensors become the same thing here. The learner's code gets
copies, always: what it writes into them is noticed, told, and does no harm.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.autograd import grad
from tinynet.errors import ArgumentError, DTypeError, describe
from tinynet.grad_mode import enable_grad, no_grad
from tinynet.tensor import Tensor

Array = np.ndarray[Any, Any]


class CountError(ArgumentError):
    """The backward function returned more gradients, or fewer, than there are arguments for."""


@dataclass
class Subject:
    """A function under test. `args` holds a float64 array for everything that may be moved.

    forward    arrays in, array out
    gradients  (g, *args) -> what was claimed, for each of `wrt`
    kinds      of each argument: "float" and "scalar" are given back as the Python or NumPy number
               that they were, "array" as an array
    backward   the learner's own backward; None: the gradients come from a tape
    """

    forward: Callable[..., Any]
    claim: Callable[..., Any]
    args: tuple[Any, ...]
    wrt: tuple[int, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    backward: Callable[..., Any] | None = None
    notes: list[str] = field(default_factory=list)
    pure: bool = True  # the forward function leaves its arguments alone
    slack: tuple[float, float] = (0.0, 0.0)  # atol and rtol that the user grants

    def given(self, args: Sequence[Any]) -> list[Any]:
        """The arguments as the learner's code wants them, as copies."""
        return [_given(x, kind) for x, kind in zip(args, self.kinds, strict=True)]

    def value(self, *args: Any) -> Array:
        """f(args), as float64, or complex128 where an argument is complex."""
        y = self.raw_value(args)
        return y.astype(np.complex128 if y.dtype.kind == "c" else np.float64)

    def raw_value(self, args: Sequence[Any]) -> Array:
        """f(args) as it comes."""
        if self.pure:
            given: list[Any] = [
                x if kind == "array" else _given(x, kind)
                for x, kind in zip(args, self.kinds, strict=True)
            ]
        else:
            given = self.given(args)
        return np.asarray(self.forward(*given))

    def moved_value(self, *args: Any) -> Array | None:
        """f at another point, None where there is none."""
        try:
            return self.value(*args)
        except Exception:  # the learner's code may raise anything
            return None

    def gradients(self, g: Array, args: Sequence[Any]) -> list[Any]:
        """The claimed gradients, as arrays; None where nothing was claimed."""
        found = self.claim(g, *self.given(args))
        return [None if d is None else np.asarray(d) for d in found]


def _given(x: Any, kind: str) -> Any:
    if kind == "float":
        return complex(x) if np.iscomplexobj(x) else float(x)
    if kind == "scalar":
        return x[()]
    return x.copy() if isinstance(x, np.ndarray) else x


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings about 0/0, and an error where a complex number loses its imaginary part."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        yield


def names_of(function: Callable[..., Any], count: int) -> tuple[str, ...]:
    """What the arguments are called in the definition; x0, x1, ... where that cannot be known."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(plain[i] if i < len(plain) else f"x{i}" for i in range(count))


def _chosen(args: Sequence[Any], wrt: Any, names: Sequence[str]) -> tuple[int, ...]:
    """The positions of what is to be differentiated."""
    if wrt is None:
        chosen = [i for i, x in enumerate(args) if _is_float(x)]
    else:
        asked = [wrt] if isinstance(wrt, int | str) else list(wrt)
        chosen = []
        for w in asked:
            if isinstance(w, str) and w not in names:
                raise ArgumentError(
                    f"wrt names {w!r}, which is no argument", expected=", ".join(names)
                )
            i = names.index(w) if isinstance(w, str) else int(w)
            if not -len(args) <= i < len(args):
                raise ArgumentError(
                    f"wrt names argument {i}", expected=f"0 to {len(args) - 1}: {', '.join(names)}"
                )
            chosen.append(i % len(args))
    for i in chosen:
        kind = np.asarray(args[i]).dtype.kind
        if kind == "c":
            raise DTypeError(
                f"{names[i]} is complex; gradients here are those of real functions",
                got=describe(args[i]),
                hint="give the real and the imaginary part as two arguments",
            )
        if kind not in "fiu":
            raise DTypeError(f"{names[i]} cannot be differentiated", got=describe(args[i]))
    if not chosen:
        raise ArgumentError(
            "there is nothing to differentiate: no argument is floating point",
            got=", ".join(describe(x) for x in args) or "no arguments",
            hint="x.astype(float), or name the arguments with wrt=",
        )
    return tuple(chosen)


def _is_float(x: Any) -> bool:
    return isinstance(x, float) or (hasattr(x, "dtype") and np.dtype(x.dtype).kind in "fc")


def _prepared(
    args: Sequence[Any], wrt: Sequence[int], names: Sequence[str]
) -> tuple[tuple[Any, ...], tuple[str, ...], list[str]]:
    """Floating-point and differentiated arguments as float64; what each was; notes."""
    values, kinds, notes = [], [], []
    for i, x in enumerate(args):
        if not (_is_float(x) or i in wrt):
            values.append(x)
            kinds.append("array" if isinstance(x, np.ndarray) else "other")
            continue
        array = np.asarray(x)
        small = array.dtype.kind == "f" and array.dtype.itemsize < 8
        if small:
            notes.append(f"{names[i]} is {array.dtype}: checked in float64")
        if array.dtype.kind in "iu":
            notes.append(f"{names[i]} holds integers: checked as float64")
        wide = np.complex128 if array.dtype.kind == "c" else np.float64
        values.append(np.array(array, dtype=wide, order="C"))
        number = isinstance(x, float | int) and not isinstance(x, np.generic)
        kinds.append("float" if number else "scalar" if isinstance(x, np.generic) else "array")
    return tuple(values), tuple(kinds), notes


def pair(
    forward: Callable[..., Any], backward: Callable[..., Any], args: Sequence[Any], wrt: Any
) -> Subject:
    """A hand-written pair of functions of arrays."""
    plain = [arrays.to_device(x.array, "cpu") if isinstance(x, Tensor) else x for x in args]
    plain = [np.asarray(x, dtype=float) if _is_numbers(x) else x for x in plain]
    names = names_of(forward, len(plain))
    chosen = _chosen(plain, wrt, names)
    values, kinds, notes = _prepared(plain, chosen, names)
    subject = Subject(forward, backward, values, chosen, names, kinds, backward, notes)

    @functools.wraps(backward)
    def claim(g: Any, *given: Any) -> list[Any]:
        return _matched(backward(g, *given), subject, wrt is not None)

    subject.claim = subject.backward = claim
    return subject


def _is_numbers(x: Any) -> bool:
    """A list of Python floats, which stands for an array."""
    return isinstance(x, list) and np.asarray(x, dtype=object).size > 0 and _all_floats(x)


def _all_floats(x: Any) -> bool:
    return all(_all_floats(v) if isinstance(v, list) else isinstance(v, float) for v in x)


def _matched(found: Any, subject: Subject, asked: bool) -> list[Any]:
    """What backward returned, one for each of `wrt`."""
    wrt, names = subject.wrt, subject.names
    if found is None:
        raise CountError("backward returned None", expected="the gradients", hint="return them")
    if isinstance(found, dict):
        found = [found.get(names[i]) for i in wrt]
    several = isinstance(found, tuple | list)
    if isinstance(found, list) and len(wrt) == 1 and len(found) != 1:
        several = False  # a list of numbers is one gradient
    gradients = list(found) if several else [found]
    if len(gradients) == len(wrt):
        return gradients
    if not asked and len(gradients) == len(subject.args):
        return [gradients[i] for i in wrt]
    if not asked and several and 0 < len(gradients) < len(wrt):
        kept, left = wrt[: len(gradients)], wrt[len(gradients) :]
        subject.wrt = kept
        subject.notes.append(
            f"backward returned {_count(len(gradients))}, taken as those of {_list(names, kept)}; "
            f"not checked: {_list(names, left)} (say wrt=... to choose)"
        )
        return gradients
    raise CountError(
        f"backward returned {_count(len(gradients))}",
        expected=f"{len(wrt)}, for {_list(names, wrt)}",
        got=", ".join("None" if d is None else describe(np.asarray(d)) for d in gradients),
        hint="return one gradient for each argument, in their order",
    )


def _count(n: int) -> str:
    return "1 gradient" if n == 1 else f"{n} gradients"


def _list(names: Sequence[str], positions: Sequence[int]) -> str:
    return ", ".join(names[i] for i in positions)


def taped(f: Callable[..., Any], args: Sequence[Any], wrt: Any) -> Subject:
    """A function of Tensors, whose gradients come from tinynet's own walk back."""
    plain = [arrays.to_device(x.array, "cpu") if isinstance(x, Tensor) else x for x in args]
    plain = [np.asarray(x, dtype=float) if _is_numbers(x) else x for x in plain]
    names = names_of(f, len(plain))
    names = tuple(
        x.name if isinstance(x, Tensor) and x.name else n for x, n in zip(args, names, strict=True)
    )
    chosen = _chosen(plain, wrt, names)
    values, kinds, notes = _prepared(plain, chosen, names)
    # An argument that was a plain number stays one, unless it is differentiated.
    kinds = tuple("array" if i in chosen else kind for i, kind in enumerate(kinds))
    wrap = [isinstance(x, Tensor | np.ndarray) or i in chosen for i, x in enumerate(args)]

    def tensors(given: Sequence[Any]) -> list[Any]:
        return [Tensor(np.asarray(x)) if w else x for x, w in zip(given, wrap, strict=True)]

    def forward(*given: Any) -> Any:
        with no_grad():
            return joined(f(*tensors(given))).array

    def claim(g: Any, *given: Any) -> list[Any]:
        with enable_grad():
            inputs = tensors(given)
            own = [inputs[i].requires_grad_() for i in chosen]
            y = joined(f(*inputs))
            if not y.requires_grad:
                return [np.zeros_like(x.array) for x in own]
            found = grad(y, own, Tensor(np.asarray(g, dtype=y.dtype)), allow_unused=True)
        return [
            np.zeros_like(x.array) if d is None else d.array
            for d, x in zip(found, own, strict=True)
        ]

    return Subject(forward, claim, values, chosen, names, kinds, None, notes)


def joined(y: Any) -> Tensor:
    """One Tensor: several outputs one after the other."""
    if isinstance(y, Tensor):
        return y
    if isinstance(y, tuple | list) and y and all(isinstance(v, Tensor) for v in y):
        from tinynet.ops import exports

        parts = [v.reshape(-1) for v in y if dtypes.is_floating(v.dtype)]
        return exports["cat"](parts)  # type: ignore[no-any-return]
    raise DTypeError("the function must return a Tensor", got=describe(y))
