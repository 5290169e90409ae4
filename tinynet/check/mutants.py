"""Who checks the check? Mutation testing: mistakes are planted in the rules, one at a time.

A check that passes says that the rules are right only if it would have failed on wrong ones. So
each rule is made wrong in every way that is easy to think of, and the check of `sweep.py` runs
again. A mutant for which it reports a mistake, or whose rule raises, is *killed*; one that passes
has *survived*, and shows a mistake that nobody would notice.

Mistakes of two kinds are planted:

    in the gradient that leaves a rule, for each input: negated, doubled, zero, transposed ...
    in the rule's source, at each place: a term or a factor is dropped, operands or arguments are
    swapped, a function is left out, a minus is forgotten, a constant is one too large

Some mutants are no mistakes: −0 is 0, and u + v has the same gradient for both. A survivor is
called *equivalent* if on 1,000 random arguments all its gradients are those of the right rule. That
includes what a rule does at the edge of its op's domain (a tie, a corner, a logarithm of 0):
differences cannot judge it there; tests of the conventions do.
"""

from __future__ import annotations

import ast
import copy
import functools
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinynet.check import sweep
from tinynet.check.numeric import relative_error
from tinynet.check.samples import Draw, sample
from tinynet.errors import RuleError
from tinynet.op import Derivation, Op, Rule, registry

DRAWS = 1000  # on which an equivalent mutant and the right rule agree
ROUNDING = 1e-12  # relative: how far two orders of the same arithmetic may differ

# From d(k), the right gradient of input k, the wrong one of input i of n.
Mistake = Callable[[Callable[[int], Any], int, int], Any]
IN_THE_GRADIENT: dict[str, Mistake] = {
    "negated": lambda d, i, n: -d(i),
    "doubled": lambda d, i, n: 2 * d(i),
    "halved": lambda d, i, n: d(i) / 2,
    "0.1 % too large": lambda d, i, n: 1.001 * d(i),
    "1 too large": lambda d, i, n: d(i) + 1,
    "zero": lambda d, i, n: 0 * d(i),
    "transposed": lambda d, i, n: np.transpose(d(i)),
    "that of the next input": lambda d, i, n: d((i + 1) % n),
}


class Mutant(NamedTuple):
    """A mistake that can be planted: in which op, for which input (None: in what serves them all),
    what is wrong, and what stands in the place of `op.rule` or, in a derivation, of `op.backward`.
    """

    op: Op
    argument: int | None
    change: str
    function: Callable[..., Any]

    def __str__(self) -> str:
        of = "" if self.argument is None else f" of input {self.argument}"
        return f"gradient{of}: {self.change}"


class MutantReport(NamedTuple):
    """What became of the mutants of one op: how many there were, and which were not killed."""

    name: str
    total: int
    equivalent: list[Mutant]
    survivors: list[Mutant]

    @property
    def killed(self) -> int:
        """How many mutants the check found to be wrong."""
        return self.total - len(self.equivalent) - len(self.survivors)


# -- the mistakes ----------------------------------------------------------------------------------


def mutants_of(op: Op) -> list[Mutant]:
    """All mistakes that can be planted in the rules of an op: none if it has no derivative.

    >>> for mutant in mutants_of(registry["exp"])[-3:]:
    ...     print(mutant)
    gradient of input 0: transposed
    gradient of input 0: g * y → g
    gradient of input 0: g * y → y
    """
    if not op.differentiable:
        return []
    drawn = [sample(op, Draw(seed))[0] for seed in range(50)]
    found = [
        Mutant(op, i, change, _with_gradient(op, i, wrong))
        for i in sorted({i for inputs in drawn for i in sweep.differentiable(inputs)})
        for change, wrong in IN_THE_GRADIENT.items()
        if "next" not in change or max(map(len, drawn)) > 1
    ]
    if isinstance(op, Derivation):
        return found + [Mutant(op, None, *wrong) for wrong in _rewritten(op.backward)]
    if callable(op.rules):  # one function of i serves all inputs
        return found + [
            Mutant(op, None, change, functools.partial(functools.partial, wrong))
            for change, wrong in _rewritten(op.rules)
        ]
    return found + [
        Mutant(op, i, change, _with_rule(op, i, wrong))
        for i in sorted({m.argument for m in found if m.argument is not None})
        for change, wrong in _rewritten(op.rules[i])
    ]


def _with_gradient(op: Op, i: int, wrong: Mistake) -> Callable[..., Any]:
    """`op.rule` or `op.backward`, with a mistake in the gradient of input i."""
    if isinstance(op, Derivation):
        backward = op.backward

        def changed(*args: Any, **options: Any) -> tuple[Any, ...]:
            found = list(backward(*args, **options))
            if found[i] is not None:
                found[i] = wrong(found.__getitem__, i, len(found))
            return tuple(found)

        return changed
    right = op.rule

    def rule(g: Any, y: Any, *inputs: Any, **options: Any) -> Any:
        return wrong(lambda k: right(k)(g, y, *inputs, **options), i, len(inputs))

    return _with_rule(op, i, rule)


def _with_rule(op: Op, i: int, wrong: Rule) -> Callable[[int], Rule]:
    """`op.rule` with another rule for input i."""
    right = op.rule
    return lambda k: wrong if k == i else right(k)


# -- in the source ---------------------------------------------------------------------------------


def _rewritten(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Each way to make one mistake in the rule's source: what is written instead, and the rule."""
    tree = _source(rule)
    if tree is None or rule.__closure__:  # a closure's names are not among the globals
        return
    for expression in _expressions(tree):
        for node in ast.walk(expression):
            for wrong in _mistakes(node):
                # deepcopy is told beforehand what the copy of this one node is
                changed = copy.deepcopy(expression, {id(node): wrong})
                function = _compiled(copy.deepcopy(tree, {id(expression): changed}), rule)
                yield f"{ast.unparse(expression)} → {ast.unparse(changed)}", function


def _expressions(tree: ast.Lambda | ast.FunctionDef) -> Iterator[ast.expr]:
    """What a lambda returns, or the expressions in the statements of a function."""
    if isinstance(tree, ast.Lambda):
        yield tree.body
        return
    for statement in itertools.chain.from_iterable(map(ast.walk, tree.body)):
        if isinstance(statement, ast.stmt):
            yield from (n for n in ast.iter_child_nodes(statement) if isinstance(n, ast.expr))


def _mistakes(node: ast.AST) -> Iterator[ast.expr]:
    """What might be written by mistake instead of one expression."""
    match node:
        case ast.BinOp(left, op, right):
            yield left
            if isinstance(op, ast.Sub):
                yield ast.UnaryOp(ast.USub(), right)
            elif isinstance(op, ast.Div):
                yield ast.BinOp(ast.Constant(1), op, right)
            else:
                yield right
            if not isinstance(op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr):
                yield ast.BinOp(right, op, left)
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.Compare(left, [ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() as op], [right]):
            yield ast.Compare(right, [op], [left])
        case ast.Call(function, [first, *_] as args, keywords):
            yield first
            for k in range(1, len(args)):
                swapped = [*args[: k - 1], args[k], args[k - 1], *args[k + 1 :]]
                yield ast.Call(function, swapped, keywords)
        case ast.Constant(int() | float() as value) if not isinstance(value, bool):
            yield ast.Constant(value + 1)


def _source(rule: Rule) -> ast.Lambda | ast.FunctionDef | None:
    """The rule as a syntax tree; None where there is no source. Of several lambdas in one line it
    is the one whose body stands where the compiled code says that it came from.
    """
    code = rule.__code__
    spans = set(code.co_positions())
    for node in _functions(code.co_filename).get(code.co_firstlineno, ()):
        if isinstance(node, ast.FunctionDef):
            return node
        b = node.body
        if (b.lineno, b.end_lineno, b.col_offset, b.end_col_offset) in spans:
            return node
    return None


@functools.cache
def _functions(path: str) -> dict[int, list[ast.Lambda | ast.FunctionDef]]:
    """The functions of a file, by the line in which they begin."""
    found: dict[int, list[ast.Lambda | ast.FunctionDef]] = {}
    if Path(path).is_file():
        for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Lambda | ast.FunctionDef):
                found.setdefault(node.lineno, []).append(node)
    return found


def _compiled(tree: ast.Lambda | ast.FunctionDef, rule: Rule) -> Rule:
    """The function that a syntax tree says, among the names that the rule knows."""
    line: ast.stmt
    if isinstance(tree, ast.FunctionDef):
        line = tree
    else:
        line = ast.Assign([ast.Name("rule", ast.Store())], tree)
    module = ast.fix_missing_locations(ast.Module([line], []))
    made: dict[str, Rule] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python notices that some mutants make no sense
        exec(compile(module, "<mutant>", "exec"), rule.__globals__, made)
    [function] = made.values()
    return function


# -- the verdict -----------------------------------------------------------------------------------


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The engine with the mistake in it; afterwards, whatever happened, without it.

    >>> with planted(mutants_of(registry["exp"])[0]):
    ...     [report] = sweep.check_ops(["exp"])
    >>> report.ok
    False
    """
    op, name = mutant.op, "backward" if isinstance(mutant.op, Derivation) else "rule"
    right, reads = getattr(op, name), op.reads
    setattr(op, name, mutant.function)
    op.reads = itertools.repeat(-1)  # all values are kept: other ones may be read than before
    try:
        with np.errstate(all="ignore"):  # a mistake may well give NaN
            yield
    finally:
        setattr(op, name, right)
        op.reads = reads


def _killed(mutant: Mutant, seed: int, cases: int) -> bool:
    with planted(mutant):
        try:
            errors = sweep.op_errors(mutant.op, seed=seed, cases=cases)
            return any(error > sweep.TOLERANCE for _, error in errors)
        except Exception:  # of any kind, as the mistake may be
            return True


def _equivalent(mutant: Mutant) -> bool:
    for inputs, options, g, right in itertools.islice(_right_gradients(mutant.op), DRAWS):
        with planted(mutant):
            try:
                found = list(sweep.all_gradients(mutant.op, inputs, options, g))
            except Exception:
                return False
        pairs = zip(found, right, strict=True)
        if any(relative_error(d, e) > ROUNDING for (_, d), (_, e) in pairs):
            return False
    return True


def _right_gradients(op: Op) -> Iterator[tuple[Any, ...]]:
    """Random arguments of the op with a random cotangent, not empty, and the gradients."""
    for seed in itertools.count():
        draw = Draw(seed)
        inputs, options = sample(op, draw)
        g = np.asarray(draw.rng.standard_normal(np.shape(op(*inputs, **options))))
        if g.size:
            yield inputs, options, g, list(sweep.all_gradients(op, inputs, options, g))


def check_mutants(
    names: Sequence[str] = (), *, seed: int = 0, cases: int = sweep.CASES
) -> Iterator[MutantReport]:
    """A report for each op of the registry, or for those named: which planted mistakes the check
    finds, with the arguments that `check_ops` draws for this seed. KeyError for a name that is
    no op's; RuleError where the check fails before a mistake is planted, and so proves nothing.

    >>> [r] = check_mutants(["floor"])
    >>> print(f"{r.killed} of {r.total}; of no effect: {r.equivalent[0].change} ...")
    3 of 8; of no effect: negated ...
    """
    for name in names or sorted(registry, key=lambda n: (registry[n].room, n)):
        if not all(report.ok for report in sweep.check_ops([name], seed=seed, cases=cases)):
            raise RuleError(f"the check of {name} fails already, without a mistake planted in it")
        mutants = mutants_of(registry[name])
        alive = [m for m in mutants if not _killed(m, seed, cases)]
        same = [m for m in alive if _equivalent(m)]
        yield MutantReport(name, len(mutants), same, [m for m in alive if m not in same])
