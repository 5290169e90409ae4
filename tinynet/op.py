"""What an op is, and the registry of all of them.

An op is a function of arrays together with its derivative. A *rule* gives, for one input, the
gradient of the loss with respect to that input:

    rule(g, y, *inputs, **options)        g = dL/dy arrives, dL/dinput leaves; y is the op's output

Rules are plain NumPy: functions of `np`, operators, indexing, `.shape .ndim .dtype`, and other ops.
NumPy arrays run a rule directly; CuPy arrays and Tensors run the very same rule through NumPy's
dispatch protocols. On Tensors the rule is recorded itself, and that is all there is to derivatives
of any order.

The name of a rule's parameter says what the tape must keep: `u` its values; with an underscore
first, `_u` or `_`, only shape and dtype.

Everything else reads this registry: dispatch, the tests, the gradient check, the reference page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any
from weakref import ref

from tinynet import arrays
from tinynet.arrays import Array
from tinynet.kernels import choice

Rule = Callable[..., Any]

registry: dict[str, Op] = {}
numpy_functions: dict[
    Any, Callable[..., Any]
] = {}  # NumPy function or ufunc -> what answers for it on Tensors


class Spec:
    """What is left of an array when only its shape and dtype are kept. A small one stays whole, as
    `values`, for people to look at; of a constant, which has no place of its own on the tape, a
    weak `reference` and its `name` say which one it was.
    """

    __slots__ = ("dtype", "name", "ndim", "reference", "shape", "values")

    def __init__(self, x: Array, constant: bool = False) -> None:
        self.shape, self.ndim, self.dtype = x.shape, x.ndim, x.dtype
        self.values = x if x.size <= SMALL else None
        if constant:
            self.reference, self.name = ref(x), arrays.name_of(x)


SMALL = 64  # entries, about as many as one looks at


class Op:
    """A differentiable function: how to compute it, its rules, and what a reader wants to know
    about it.

    name        its key in the registry
    forward     arrays -> array; parameters after the inputs are options
    rules       one rule per input, or one callable for any number of inputs (see `variadic`)
    formula     LaTeX, for the reference page and for explanations
    domain      where it is defined and smooth, for the checks: "real", "positive", "nonzero", ...
    promote     "common": inputs to one dtype; "float": integers become floats as well; "number":
                truth values become integers; "none"
    masks       this many leading inputs are conditions and take no part in the promotion
    broadcasts  inputs are broadcast, so dispatch sums each gradient back to its input's shape
    view        the output may share its input's memory
    adds        where the output is a part of the one input: (total, g, **options), which adds the
                gradient to an array in place
    room        the file that holds it
    """

    # Calling an op applies it. What that means is set in dispatch.py, which knows Tensors.
    if TYPE_CHECKING:
        __call__: Callable[..., Any]

    derived = False  # whether it is a Derivation, whose forward pass also saves

    def __init__(
        self,
        name: str,
        forward: Callable[..., Array],
        rules: Sequence[Rule] | Rule = (),
        *,
        formula: str = "",
        domain: str = "real",
        promote: str = "common",
        masks: int = 0,
        broadcasts: bool = False,
        view: bool = False,
        variadic: bool = False,
        adds: Callable[..., None] | None = None,
        doc: str = "",
        room: str = "",
    ) -> None:
        self.name, self.forward, self.rules = name, forward, rules
        self.formula, self.domain, self.promote, self.masks = formula, domain, promote, masks
        self.broadcasts, self.view, self.adds = broadcasts, view, adds
        self.__doc__ = doc or (forward.__doc__ if hasattr(forward, "__code__") else "")
        self.room = room
        self.variadic = variadic
        self.accelerated = name in choice.CPU or name in choice.GPU  # whether kernels exist
        self.arity = _arity(forward, variadic) if callable(rules) or not rules else len(rules)
        self.options, self.defaults = _options(forward, self.arity)
        self.reads = self._reads()
        self.differentiable = callable(rules) or bool(rules)
        # rule(i) is the rule of input number i
        self.rule: Callable[[int], Rule] = (
            (lambda i: lambda *args, **options: rules(i, *args, **options))
            if callable(rules)
            else rules.__getitem__
        )
        if name in registry:
            raise ValueError(f"two ops are called {name!r}")
        registry[name] = self

    def run(self, arrays: Sequence[Array], options: dict[str, Any]) -> tuple[Array, Any]:
        """The output, and whatever the backward pass wants kept besides inputs and output."""
        return self.forward(*arrays, **options), None

    def _reads(self) -> Iterable[int]:
        """For each rule, the values that it reads, as bits: 1 for the output, 2 for the first
        input, 4 for the second, and so on.
        """
        if callable(self.rules):  # variadic: one rule(i, g, y, *inputs, **options) for all
            code = self.rules.__code__
            inputs = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
            output = int(not code.co_varnames[2].startswith("_"))
            return repeat(output if inputs.startswith("_") else output | -2)
        return [
            sum(
                1 << bit
                for bit, name in enumerate(rule.__code__.co_varnames[1 : self.arity + 2])
                if not name.startswith("_")
            )
            for rule in self.rules
        ]

    def __repr__(self) -> str:
        return f"<op {self.name}>"


class Derivation(Op):
    """An op with a proof of its own: a definition in primitives, and a backward derived by hand.

    definition(*x, **options) -> y               the formula, on arrays or on Tensors
    backward(g, saved, **options) -> tuple       the derived gradients, plain NumPy
    forward(*x, **options) -> (y, saved)         optional; without it the definition runs and saved
    = (y, *x)

    The first derivative runs `backward`. A derivative of a derivative differentiates the
    definition. So does `vmap` where forward or backward are `in_place`: where they write into
    arrays that they have made, which a batch that passes for one example does not let them.
    """

    derived = True

    def __init__(
        self,
        name: str,
        definition: Callable[..., Any],
        backward: Callable[..., tuple[Any, ...]],
        forward: Callable[..., tuple[Any, Any]] | None = None,
        *,
        in_place: bool = False,
        **about: Any,
    ) -> None:
        self.definition, self.backward, self.fast_forward = definition, backward, forward
        self.in_place = in_place
        self.selective = "needs" in (backward.__kwdefaults__ or {})
        super().__init__(name, definition, backward, **about)

    def run(self, arrays: Sequence[Array], options: dict[str, Any]) -> tuple[Array, Any]:
        """The output and what the derived backward wants saved."""
        if self.fast_forward is not None:
            return self.fast_forward(*arrays, **options)
        y = self.definition(*arrays, **options)
        return y, (y, *arrays)

    def _reads(self) -> Iterable[int]:
        return repeat(-1)  # all values, whichever gradient is wanted


def _arity(forward: Callable[..., Any], variadic: bool) -> int:
    """How many inputs a function takes: its parameters that have no default."""
    if variadic:
        return -1
    code = getattr(forward, "__code__", None)
    if code is None:
        return int(getattr(forward, "nin", 1))  # a ufunc
    return int(code.co_argcount) - len(getattr(forward, "__defaults__", None) or ())


def _options(forward: Callable[..., Any], arity: int) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of what follows the inputs, in order, and their defaults. Ufuncs have none."""
    code = getattr(forward, "__code__", None)
    if code is None:
        return (), {}
    positional = code.co_varnames[: code.co_argcount]
    defaults = forward.__defaults__ or ()
    given = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    given.update(forward.__kwdefaults__ or {})
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return (*positional[max(arity, 0) :], *keyword_only), given


# -- how ops are declared --------------------------------------------------------------------------


def elementwise(
    name: str,
    forward: Callable[..., Array],
    rules: Rule | tuple[Rule, ...] = (),
    formula: str = "",
    *,
    promote: str = "common",
    room: str = "elementwise",
    **about: Any,
) -> Op:
    """Declare an op that works entry by entry: name, forward, rule of each input, formula.

    A ufunc becomes the NumPy function that the op answers for. Several inputs broadcast. `room` is
    the file of `ops` in which it stands.
    """
    rules = rules if isinstance(rules, tuple) else (rules,)
    op = Op(
        name,
        forward,
        rules,
        formula=formula,
        promote=promote,
        broadcasts=True,
        room=room,
        **about,
    )
    if type(forward).__name__ == "ufunc":
        numpy_functions[forward] = op
    return op


def primitive(*answers_for: Any, name: str, **about: Any) -> Callable[[Callable[..., Any]], Op]:
    """Declare the decorated function as an op that answers for the given NumPy functions on
    Tensors.
    """

    def declare(forward: Callable[..., Any]) -> Op:
        op = Op(name, forward, room=forward.__module__.rpartition(".")[2], **about)
        numpy_functions.update(dict.fromkeys(answers_for, op))
        return op

    return declare


def implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the decorated composition of ops answer for NumPy functions on Tensors."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        numpy_functions.update(dict.fromkeys(functions, function))
        return function

    return declare
