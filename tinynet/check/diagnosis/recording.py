"""A run of array code, written down call by call, so that it can be read, edited and run again.

`Traced` is an ndarray whose ufuncs, functions, methods, indexing and assignments are noted as they
happen. Nothing else differs from NumPy: `x.var()` is NumPy's, `out[i] = v` writes into memory that
views share. The result is a `Program`: the straight line of NumPy calls that ran, loops unrolled,
each with the line of source and the instruction it came from.

A program runs on arrays, which gives every intermediate value, and on Tensors, which gives the true
gradient of every intermediate value. No source text is needed.
"""

from __future__ import annotations

import functools
import itertools
import operator
import sys
import types
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Site = tuple[
    str, int, int
]  # function, its first line, instruction: the same in each turn of a loop
_NUMBERS = (bool, int, float, np.generic)


class Ref(NamedTuple):
    """A value of the program, by number."""

    slot: int


@dataclass(frozen=True, eq=False)
class Step:
    """One call: slot `out` becomes function(*args, **kwargs), where Refs stand for values.

    `into` is the slot that it wrote into, where it wrote in place: `out` is then its new state.
    `counters` are the whole numbers among the variables of the code at that moment.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: int
    site: Site
    line: int
    counters: dict[str, int]
    into: int | None = None

    def compute(
        self, values: Sequence[Any], use: Callable[[int, int, Any], Any] | None = None
    ) -> Any:
        """What the call gives on these values. `use(place, slot, value)` may put another in the
        place of each: places are numbered as the values come, in lists too.
        """
        if use is None:
            return self.again(values)
        place = itertools.count()

        def put(x: Any) -> Any:
            return use(next(place), x.slot, values[x.slot]) if type(x) is Ref else x

        return self.function(*nested(self.args, put), **nested(self.kwargs, put))

    @functools.cached_property
    def again(self) -> Callable[[Sequence[Any]], Any]:
        """The call as a function of the values. A search for a repair runs each step thousands of
        times, so where its values come from is found out once.
        """
        function, kwargs = self.function, self.kwargs
        parts = [reader(x) for x in self.args]
        if kwargs:
            return lambda values: function(*[p(values) for p in parts], **fill(kwargs, values))
        if len(parts) == 2:
            first, second = parts
            return lambda values: function(first(values), second(values))
        return lambda values: function(*[p(values) for p in parts])

    def reads(self) -> list[int]:
        """The slots it takes as arguments."""
        return self._reads

    @functools.cached_property
    def _reads(self) -> list[int]:
        return [r.slot for r in refs((self.args, tuple(self.kwargs.values())))]


class Program:
    """The calls of one run.

    inputs    one slot for each argument that was an array or a float; None for the others
    steps     the calls, in order
    outputs   what was returned: Refs in place of values
    values    what each slot held when it was made
    names     what the code called a slot, where it did, and on which line
    bindings  every name as it was bound: name, slot, line, and how many steps had run
    last_line the line that returned
    memory    for each slot, the first slot that lives in the same memory: views share it
    """

    def __init__(self, codes: Iterable[types.CodeType]) -> None:
        self.codes = frozenset(codes)
        self.inputs: list[int | None] = []
        self.steps: list[Step] = []
        self.outputs: Any = None
        self.values: list[Any] = []
        self.names: dict[int, tuple[str, int]] = {}
        self.bindings: list[tuple[str, int, int, int]] = []
        self.memory: list[int] = []
        self.last_line = 0

    def made(self, value: Any) -> int:
        """A new slot for a value."""
        self.memory.append(len(self.values))
        self.values.append(
            np.array(value) if isinstance(value, (np.ndarray, np.generic)) else value
        )
        return len(self.values) - 1

    def note(
        self, function: Any, args: Any, kwargs: Any, out: int, into: int | None = None
    ) -> None:
        """Write a call down."""
        site, line, counters = self.where()
        self.steps.append(Step(function, args, kwargs, out, site, line, counters, into))

    def wrap(self, value: Any) -> Any:
        """The value as a Traced array with a slot of its own."""
        traced = np.asarray(value).view(Traced)
        traced._program, traced._slot = self, self.made(value)
        return traced

    def where(self) -> tuple[Site, int, dict[str, int]]:
        """The instruction of the learner's code that is running, its line, its loop counters."""
        frame: Any = sys._getframe(3)
        while frame is not None and frame.f_code not in self.codes:
            frame = frame.f_back
        if frame is None:
            return ("", 0, 0), 0, {}
        code = frame.f_code
        counters = {name: x for name, x in frame.f_locals.items() if type(x) is int}
        return (code.co_name, code.co_firstlineno, frame.f_lasti), frame.f_lineno, counters

    def run(
        self,
        args: Sequence[Any],
        change: Callable[[Step, Sequence[Any]], Any] | None = None,
        steps: Iterable[Step] | None = None,
        values: Sequence[Any] | None = None,
        places: Container[int] | None = None,
    ) -> list[Any]:
        """Run the calls again, on other arguments; the value of every slot.

        `change(step, values)` may stand in for a step: what it returns is the step's value, or the
        step itself to let it run as it was. `places`: it is asked only about the steps that make
        these slots. `steps` and `values`: run only these, the other slots are known.
        """
        values = [None] * len(self.values) if values is None else list(values)
        for slot, x in zip(self.inputs, args, strict=True):
            if slot is not None:
                values[slot] = x
        for step in self.steps if steps is None else steps:
            asked = change is not None and (places is None or step.out in places)
            y = change(step, values) if asked else step  # type: ignore[misc]
            if y is step:
                y = step.again(values)
                if step.into is not None:
                    y = values[step.into]
            values[step.out] = np.asarray(y) if isinstance(y, np.generic) else y
        return values

    def after(self, changed: Iterable[Step]) -> list[Step]:
        """The steps to run again when these steps change: those that read their results, and
        everything that shares memory with what they write.
        """
        dirty = {step.out for step in changed}
        memory: set[int] = set()
        size = -1
        while size != len(dirty) + len(memory):
            size = len(dirty) + len(memory)
            for step in self.steps:
                if (
                    step.out in dirty
                    or self.memory[step.out] in memory
                    or any(s in dirty or self.memory[s] in memory for s in step.reads())
                ):
                    dirty.add(step.out)
                    if step.into is not None:
                        memory.add(self.memory[step.into])
        return [step for step in self.steps if step.out in dirty]

    def sites(self) -> dict[Site, list[Step]]:
        """The steps by the instruction that made them, in order of their first run."""
        found: dict[Site, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.site, []).append(step)
        return found


def refs(x: Any) -> Iterator[Ref]:
    """All Refs within nested tuples, lists, dicts and slices."""
    if isinstance(x, Ref):
        yield x
    elif isinstance(x, (tuple, list)):
        for item in x:
            yield from refs(item)
    elif isinstance(x, dict):
        yield from refs(tuple(x.values()))
    elif isinstance(x, slice):
        yield from refs((x.start, x.stop, x.step))


def nested(x: Any, f: Callable[[Any], Any]) -> Any:
    """The same nest of tuples, lists, dicts and slices, with f applied to what is in it."""
    if type(x) in (tuple, list):
        return type(x)([nested(item, f) for item in x])
    if type(x) is dict:
        return {key: nested(item, f) for key, item in x.items()}
    if type(x) is slice:
        return slice(nested(x.start, f), nested(x.stop, f), nested(x.step, f))
    return f(x)


def fill(x: Any, values: Sequence[Any]) -> Any:
    """Values in place of Refs."""
    if type(x) is Ref:
        return values[x.slot]
    if type(x) is tuple:
        return tuple([fill(item, values) for item in x])
    if type(x) in (list, dict, slice):
        return nested(x, lambda item: values[item.slot] if type(item) is Ref else item)
    return x


def reader(x: Any) -> Callable[[Sequence[Any]], Any]:
    """What `fill(x, values)` gives, as a function of the values."""
    if type(x) is Ref:
        return operator.itemgetter(x.slot)
    if next(refs(x), None) is None:
        return lambda _: x
    return functools.partial(fill, x)


class Traced(np.ndarray[Any, Any]):
    """An ndarray that notes what is done with it. Made by `record`; not to be kept.

    >>> program = record(lambda x: np.sum(np.tanh(x).T ** 2), np.ones((2, 3)))
    >>> [step.function.__name__ for step in program.steps]
    ['tanh', 'transpose', 'square', 'sum']
    """

    _program: Program | None = None
    _slot: int = -1

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", (None,))[0]
        run = ufunc if method == "__call__" else getattr(ufunc, method)
        if method == "at":
            return call(functools.partial(_at, run), inputs, kwargs, into=inputs[0])
        if out is not None:
            return call(functools.partial(_into, run), (out, *inputs), kwargs, into=out)
        return call(run, inputs, kwargs)

    def __array_function__(self, function: Any, _types: Any, inputs: Any, kwargs: Any) -> Any:
        return call(function, inputs, kwargs)

    def __getitem__(self, key: Any) -> Any:
        return call(operator.getitem, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        call(operator.setitem, (self, key, value), {}, into=self)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> Any:
        """The transpose, noted."""
        return call(np.transpose, (self,), {})

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """Noted as np.reshape."""
        return call(np.reshape, (self, shape[0] if len(shape) == 1 else shape), kwargs)

    def transpose(self, *axes: Any) -> Any:
        """Noted as np.transpose."""
        order = axes[0] if len(axes) == 1 else axes or None
        return call(np.transpose, (self, order), {})

    def astype(self, dtype: Any, *_args: Any, **_kwargs: Any) -> Any:
        """Noted; on Tensors it is Tensor.to."""
        return call(_astype, (self, dtype), {})

    def fill(self, value: Any) -> None:
        """Noted as x[...] = value."""
        self[...] = value

    def flatten(self, order: Any = "C") -> Any:
        """Noted as a copy of np.ravel."""
        return np.copy(np.ravel(self, order=order))


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return call(function, (self, *args), kwargs)

    method.__name__, method.__doc__ = name, f"Noted as np.{name}."
    return method


_METHODS = """sum mean var std max min prod any all argmax argmin argsort cumsum cumprod ravel copy
squeeze dot clip round repeat take swapaxes diagonal trace nonzero"""
for _name in _METHODS.split():
    setattr(Traced, _name, _method(_name))


def _at(run: Any, a: Any, *args: Any) -> None:
    run(a, *args)


def _into(run: Any, out: Any, *args: Any, **kwargs: Any) -> None:
    out[...] = run(*args, **kwargs)


def _astype(x: Any, dtype: Any) -> Any:
    return x.astype(dtype) if isinstance(x, np.ndarray) else x


def call(
    function: Any, args: Any, kwargs: dict[str, Any], into: Any = None, program: Any = None
) -> Any:
    """Call a function of arrays, and note it in the program of its traced arguments."""
    seen: list[Traced] = []

    def note(x: Any) -> Any:
        if type(x) is Traced and x._program is not None:
            seen.append(x)
            return Ref(x._slot)
        return x

    noted, noted_kwargs = nested(tuple(args), note), nested(kwargs, note)
    value = function(*nested(tuple(args), plain), **nested(kwargs, plain))
    program = program or next((x._program for x in seen), None)
    if program is None:
        return into if into is not None else value
    if into is not None:
        if type(into) is not Traced or into._program is None:
            return into  # memory that is not followed: what is in it counts as constant
        out = program.made(plain(into))
        program.memory[out] = program.memory[into._slot]
        program.note(function, noted, noted_kwargs, out, into._slot)
        into._slot = out
        return into
    if isinstance(value, (tuple, list)):  # np.split gives a list
        whole = program.made(value)
        program.note(function, noted, noted_kwargs, whole)
        parts = []
        for i, part in enumerate(value):
            parts.append(program.wrap(part))
            program.note(operator.getitem, (Ref(whole), i), {}, parts[-1]._slot)
        return type(value)(parts) if type(value) in (tuple, list) else tuple(parts)
    if not isinstance(value, (np.ndarray, *_NUMBERS)):
        return value
    traced = program.wrap(value)
    owner = next((x for x in seen if np.may_share_memory(plain(x), plain(traced))), None)
    if owner is not None:
        program.memory[traced._slot] = program.memory[owner._slot]
    program.note(function, noted, noted_kwargs, traced._slot)
    return traced


def plain(x: Any) -> Any:
    """The array behind a Traced one, sharing its memory; anything else as it is."""
    return x.view(np.ndarray) if isinstance(x, Traced) else x


# -- recording -------------------------------------------------------------------------------------

_MAKERS = frozenset(("zeros", "ones", "empty", "full", "eye", "identity", "arange", "linspace"))
_REDUCTIONS = frozenset(("sum", "mean", "max", "min", "prod", "var", "std"))
_GATHERERS = frozenset(("array", "asarray", "asanyarray", "ascontiguousarray"))


class _NumPy(types.ModuleType):
    """NumPy as the recorded code sees it: arrays that it makes are noted as well."""

    def __init__(self, program: Program) -> None:
        super().__init__("numpy")
        self._program = program

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)
        if name in _MAKERS:
            return lambda *args, **kwargs: call(function, args, kwargs, program=self._program)
        if name in _REDUCTIONS:  # of a list: NumPy makes an array of it before anybody can note it
            return lambda x, *args, **kwargs: function(
                _gather(x) if isinstance(x, (list, tuple)) else x, *args, **kwargs
            )
        return _gather if name in _GATHERERS else function


def _gather(x: Any, *args: Any, **kwargs: Any) -> Any:
    """np.array; lists of traced values are stacked, so that they stay traced."""
    if isinstance(x, Traced):
        return np.copy(x)
    if isinstance(x, (list, tuple)) and any(isinstance(r, Traced) for r in _leaves(x)):
        return np.stack([_gather(item) for item in x])
    return np.array(x, *args, **kwargs)


def _leaves(x: Any) -> Iterator[Any]:
    for item in x:
        if isinstance(item, (list, tuple)):
            yield from _leaves(item)
        else:
            yield item


def record(function: Callable[..., Any], *args: Any) -> Program:
    """Run a function of arrays on copies of the arguments, and write down what it does.

    Its own code and that of the helpers in its module are followed line by line.
    """
    program = Program(())
    following: dict[Any, Any] = {}
    traced = _follow(function, _NumPy(program), following)
    program.codes = frozenset(code for f in following.values() for code in _codes(f.__code__))
    given = []
    for x in args:
        followed = isinstance(x, (np.ndarray, float, np.generic))
        given.append(program.wrap(np.array(x)) if followed else x)
        program.inputs.append(given[-1]._slot if followed else None)
    before = sys.gettrace()
    sys.settrace(functools.partial(_watch, program, {}))
    try:
        result = traced(*given)
    finally:
        sys.settrace(before)
    program.outputs = nested(result, lambda x: Ref(x._slot) if type(x) is Traced else x)
    return program


def _follow(function: Any, numpy: _NumPy, following: dict[Any, Any]) -> Any:
    """The function in a copy of its module in which NumPy and the other functions are followed."""
    if isinstance(function, types.MethodType):
        return types.MethodType(_follow(function.__func__, numpy, following), function.__self__)
    if not isinstance(function, types.FunctionType):
        return function
    if function not in following:
        scope = dict(function.__globals__)
        copy = types.FunctionType(
            function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        following[function] = copy
        for name in _names(function.__code__):
            value = scope.get(name)
            if value is np:
                scope[name] = numpy
            elif getattr(value, "__globals__", None) is function.__globals__:
                scope[name] = _follow(value, numpy, following)
    return following[function]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: types.CodeType) -> Iterator[str]:
    for c in _codes(code):
        yield from c.co_names


def _watch(program: Program, lines: dict[Any, int], frame: Any, event: str, _arg: Any) -> Any:
    """What sys.settrace calls: after each line, note what its variables are called."""
    if frame.f_code not in program.codes:
        return None
    line = lines.get(frame, frame.f_lineno)
    for name, value in frame.f_locals.items():
        if type(value) is Traced:
            if lines.get((frame, name)) != value._slot:
                lines[frame, name] = value._slot
                program.bindings.append((name, value._slot, line, len(program.steps)))
            program.names.setdefault(value._slot, (name, line))
        elif type(value) is list:
            for i, item in enumerate(value):
                if type(item) is Traced:
                    program.names.setdefault(item._slot, (f"{name}[{i}]", line))
    lines[frame] = program.last_line = frame.f_lineno
    return functools.partial(_watch, program, lines)
