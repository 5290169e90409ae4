"""Wrong gradients as learners write them, and right ones that look wrong to a naive check.

    from gradient_mistakes import load
    for case in load():
        case.forward(*case.args)          an array or a number
        case.right(g, *case.args)         the gradients, one for each position in case.wrt
        case.wrong(g, *case.args)         the same with one mistake; None for a trap
        case.mistake                      the mistake in words; for a trap what makes it one
        case.keywords                     a list of sets: a diagnosis is right if it holds, in lower
                                          case, all the strings of at least one set
        case.line, case.line_number       the first wrong line of case.wrong_source; where a line is
                                          missing, the one that stands in its place
        case.verdict                      "wrong"; for a trap "pass", "kink" or "pass-or-kink"

`case.args` are drawn anew at every access and are always the same; give the backward functions
copies of g, because some write into it. The cases stand in `gradient_mistakes_<family>.py`, each
as the text of one model, forward and backward, with the slips that were made in it.
"""

from __future__ import annotations

import importlib
import itertools
import linecache
import textwrap
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

MODULES = ("linear", "mlp", "activations", "losses", "softmax", "conv", "norm")
MODULES += ("recurrent", "attention", "arrays", "matrices", "traps", "odd_traps")

# What a diagnosis may say. Within a string, | separates the alternatives, & joins what must all
# be there.
SIGN = "sign | minus | negat"
TWO = "factor & 2 | twice | half | halv | 1/2 | 0.5 | 2 times | factor of two | doubl"
MEAN = "1/n | 1/m | mean | average | batch size | divide | divid | number of"
TRANSPOSED = "transpos"
AXIS = "axis | axes"
UNSUMMED = "broadcast | not summed | sum over | summed over | sum it over"
OVERWRITTEN = "overwr | accumul | += | add up | added up | only the last | last one"
PATH = "path | used twice | both uses | second use | other use | each use | accumul | used in two"
TIME = "time step | time-step | off by one | off-by-one | previous | one step | shifted"
PRODUCT = "product rule | one term | a term | other term | second term | first term | summand"
INPLACE = "in place | in-place | alias | copy | mutat | modif | overwr"

Make = Callable[..., tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    id: str
    family: str
    verdict: str
    source: str
    wrong_source: str | None
    wrt: tuple[int, ...]
    mistake: str
    keywords: list[set[str]]
    line: str | None
    line_number: int | None
    forward: Callable[..., Any]
    right: Callable[..., Any]
    wrong: Callable[..., Any] | None
    make: Make = field(repr=False)
    seed: int = field(repr=False)

    @property
    def args(self) -> tuple[Any, ...]:
        r = np.random.default_rng(self.seed)
        return self.make(lambda *shape: r.normal(size=shape), r)


@dataclass(frozen=True)
class Slip:
    id: str
    mistake: str
    keywords: list[set[str]]
    edits: tuple[tuple[str, str], ...]


_cases: dict[str, Case] = {}


def slip(id: str, mistake: str, keywords: str, *edits: tuple[str, str]) -> Slip:
    """A mistake: what is written (old, new) in the text of the model, each old one found once."""
    alternatives = [words.split("&") for words in keywords.split("|")]
    return Slip(id, mistake, [{w.strip() for w in words} for words in alternatives], edits)


def model(
    family: str, make: Make, source: str, *slips: Slip, wrt: Sequence[int] | None = None
) -> None:
    """Register one case for each slip. `make(n, r)` gives the arguments: `n(3, 4)` is a normal
    array, `r` the generator; `wrt` are by default all of them.
    """
    source = textwrap.dedent(source).strip() + "\n"
    seed = zlib.crc32(slips[0].id.encode())
    right = _run(source, f"<{slips[0].id}: right>")
    for s in slips:
        wrong_source = source
        for old, new in s.edits:
            if wrong_source.count(old) != 1:
                raise ValueError(f"{s.id}: {old!r} stands {wrong_source.count(old)} times")
            wrong_source = wrong_source.replace(old, new)
        number, line = _first_difference(source, wrong_source)
        wrong = _run(wrong_source, f"<{s.id}: wrong>")
        _add(
            Case(
                id=s.id,
                family=family,
                verdict="wrong",
                source=source,
                wrong_source=wrong_source,
                wrt=_positions(right, wrt),
                mistake=s.mistake,
                keywords=s.keywords,
                line=line,
                line_number=number,
                forward=right["forward"],
                right=right["backward"],
                wrong=wrong["backward"],
                make=make,
                seed=seed,
            )
        )


def trap(
    id: str, verdict: str, why: str, make: Make, source: str, wrt: Sequence[int] | None = None
) -> None:
    """Register a right gradient that a naive check rejects, and `why` it does."""
    source = textwrap.dedent(source).strip() + "\n"
    scope = _run(source, f"<{id}>")
    _add(
        Case(
            id=id,
            family="trap",
            verdict=verdict,
            source=source,
            wrong_source=None,
            wrt=_positions(scope, wrt),
            mistake=why,
            keywords=[{"kink"}, {"differentiable"}, {"one-sided"}] if "kink" in verdict else [],
            line=None,
            line_number=None,
            forward=scope["forward"],
            right=scope["backward"],
            wrong=None,
            make=make,
            seed=zlib.crc32(id.encode()),
        )
    )


def _add(case: Case) -> None:
    if case.id in _cases:
        raise ValueError(f"{case.id} stands twice")
    _cases[case.id] = case


def _run(source: str, filename: str) -> dict[str, Any]:
    """The names that the text defines; tracebacks and `inspect` find its lines."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {"np": np, "__name__": "learner"}
    exec(compile(source, filename, "exec"), scope)
    return scope


def _positions(scope: dict[str, Any], wrt: Sequence[int] | None) -> tuple[int, ...]:
    arguments = scope["forward"].__code__.co_argcount
    return tuple(range(arguments)) if wrt is None else tuple(wrt)


def _first_difference(right: str, wrong: str) -> tuple[int, str]:
    lines = itertools.zip_longest(right.splitlines(), wrong.splitlines())
    for number, (a, b) in enumerate(lines, 1):
        if a != b and b is not None:
            return number, b.strip()
    raise ValueError("the edit changes nothing")


@cache
def load() -> tuple[Case, ...]:
    """All cases, traps last."""
    for name in MODULES:
        importlib.import_module(f"gradient_mistakes_{name}")
    return tuple(_cases.values())
