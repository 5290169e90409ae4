"""Tests of the tests: a mistake in any rule is found by the check, and the check's own weakness
would be found by these.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from tinynet import cli
from tinynet.check import check_mutants, check_ops, mutants, sweep
from tinynet.check.mutants import IN_THE_GRADIENT, Mutant, planted
from tinynet.check.samples import Draw, sample
from tinynet.op import Derivation, Op, registry
from tinynet.tensor import raw

mutants_of = functools.cache(mutants.mutants_of)  # several tests ask for those of each op
OPS = [name for name in sorted(registry) if registry[name].differentiable]


def changes(name: str, argument: int | None = 0) -> list[str]:
    """What is written instead of the op's rule, where the mistake is in the source."""
    found = [m.change for m in mutants_of(registry[name]) if m.argument == argument]
    return [c.partition(" → ")[2] for c in found if c not in IN_THE_GRADIENT]


@pytest.mark.parametrize("name", OPS)
def test_every_mistake_in_a_rule_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command does, in another order and with fewer draws, to be fast."""
    monkeypatch.setattr(mutants, "DRAWS", 20)
    missed = [m for m in mutants_of(registry[name]) if not mutants._killed(m, 0, 2)]
    differ = [m for m in missed if not mutants._equivalent(m)]
    survivors = [str(m) for m in differ if not mutants._killed(m, 0, sweep.CASES)]
    assert not survivors


@pytest.mark.parametrize("name", OPS)
def test_every_input_of_every_op_has_mutants(name: str) -> None:
    op = registry[name]
    places = {i for seed in range(200) for i in sweep.differentiable(sample(op, Draw(seed))[0])}
    planned = [m.argument for m in mutants_of(op)]
    assert {i for i in planned if i is not None} == places
    assert places
    assert all(planned.count(i) >= 7 for i in places)


def test_an_op_without_derivative_has_no_mutants() -> None:
    assert mutants_of(registry["eq"]) == []
    [report] = check_mutants(["eq"])
    assert (report.total, report.killed, report.survivors) == (0, 0, [])


@pytest.mark.parametrize("name", OPS)
def test_the_source_of_every_rule_is_found(name: str) -> None:
    """And is the rule's own: compiled again it reads the same names."""
    op = registry[name]
    one = isinstance(op, Derivation) or callable(op.rules)
    for rule in [op.backward if isinstance(op, Derivation) else op.rules] if one else op.rules:
        tree = mutants._source(rule)
        assert tree is not None
        assert rule.__closure__ is None
        again = mutants._compiled(tree, rule)
        assert again.__code__.co_names == rule.__code__.co_names
        assert again.__code__.co_varnames == rule.__code__.co_varnames
        assert again.__kwdefaults__ == rule.__kwdefaults__


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("exp", 0, ["g", "y"]),  # a factor is dropped
        ("sub", 1, ["g"]),  # a minus
        ("sin", 0, ["g", "np.cos(u)", "g * u"]),  # a function
        ("div", 0, ["g", "1 / v", "v / g"]),  # operands are swapped
        ("where", 1, ["c", "np.where(g, c, 0)", "np.where(c, 0, g)", "np.where(c, g, 1)"]),
        ("add", 0, []),
    ],
)
def test_mistakes_in_the_source(name: str, argument: int, expected: list[str]) -> None:
    assert changes(name, argument) == expected


def test_terms_comparisons_and_constants() -> None:
    tanh, relu = changes("tanh"), changes("relu")
    assert {"g * 1", "g * -(y * y)", "g * (y * y - 1)", "g * (2 - y * y)"} <= set(tanh)
    assert {"np.where(0 <= y, 0, g)", "np.where(y <= 1, 0, g)"} <= set(relu)
    assert any("np.sum(g, axis=axis" in c for c in changes("softmax", None))  # Σ g, not Σ g y


@pytest.mark.parametrize("name", ["mul", "softmax", "einsum", "cat"])
def test_afterwards_the_engine_is_as_before(name: str) -> None:
    op = registry[name]
    before = dict(vars(op))
    for mutant in mutants_of(op):
        with planted(mutant):
            assert vars(op) != before
        assert vars(op) == before
        with pytest.raises(ZeroDivisionError), planted(mutant):
            raise ZeroDivisionError
        assert vars(op) == before


def test_equivalent_is_what_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "DRAWS", 50)
    add, floor, maximum = check_mutants(["add", "floor", "maximum"])
    assert {m.change for m in add.equivalent} == {"that of the next input"}
    assert {m.change for m in floor.equivalent} == set(IN_THE_GRADIENT) - {
        "1 too large",
        "transposed",
        "that of the next input",
    }
    assert all("g / 2" in m.change for m in maximum.equivalent)  # the halves of a tie
    assert not add.survivors + floor.survivors + maximum.survivors


def _mutant(op: Op, rule: Any) -> Mutant:
    return Mutant(op, 0, "by hand", lambda i: rule)


def test_a_rule_that_only_the_second_derivative_shows_wrong() -> None:
    wrong = _mutant(registry["square"], lambda g, _y, u: g * 2 * raw(u))
    with planted(wrong):
        [report] = check_ops(["square"])
    assert report.first < sweep.TOLERANCE < report.second
    assert mutants._killed(wrong, 0, sweep.CASES)


def test_a_rule_that_is_wrong_when_one_gradient_is_wanted_alone() -> None:
    op = registry["kl"]
    right = op.backward

    def backward(g: Any, saved: Any, **options: Any) -> Any:
        du, dy = right(g, saved, **options)
        return (du if options["needs"][1] else 2 * du), dy

    wrong = Mutant(op, None, "by hand", backward)
    assert mutants._killed(wrong, 0, sweep.CASES)
    assert not mutants._equivalent(wrong)


def test_a_rule_that_is_zero_for_one_option_is_not_kept_out_of_sight() -> None:
    op = registry["huber"]
    right = op.backward

    def backward(g: Any, saved: Any, **options: Any) -> Any:
        return right(0 * g if options["reduction"] == "sum" else g, saved, **options)

    assert mutants._killed(Mutant(op, None, "by hand", backward), 0, sweep.CASES)


def test_a_rule_that_raises_is_killed() -> None:
    def rule(g: Any, _y: Any, _u: Any) -> Any:
        raise RuntimeError

    assert mutants._killed(_mutant(registry["tanh"], rule), 0, sweep.CASES)


def test_a_weakened_check_lets_a_mutant_survive_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "DRAWS", 50)
    assert cli.main(["check", "--mutants", "tanh", "floor"]) == 0
    out = capsys.readouterr().out
    n, more = len(mutants_of(registry["tanh"])), 3
    assert f"{n + more}/{n + more} mutants killed; 5 of {n + 8} are equivalent" in out
    assert "   equal on 50 draws: gradient of input 0: negated\n" in out
    assert "SURVIVED" not in out

    monkeypatch.setattr(sweep, "TOLERANCE", 0.01)
    assert cli.main(["check", "--mutants", "tanh"]) == 1
    out = capsys.readouterr().out
    assert "   SURVIVED: gradient of input 0: 0.1 % too large\n" in out
    assert f"{n - 1}/{n} mutants killed; 0 of {n} are equivalent" in out


def test_what_fails_without_a_mutant_proves_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry["tanh"], "rule", [lambda g, y, _u: g * (1 - y)].__getitem__)
    assert cli.main(["check", "--mutants", "tanh"]) == 2
    assert "the check of tanh fails already" in capsys.readouterr().err


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--mutants", "tahn"]) == 2
    assert capsys.readouterr().err.startswith("tinynet: there is no op 'tahn'; try: ")
    with pytest.raises(KeyError):
        next(check_mutants(["tahn"]))


def test_the_cases_do_not_depend_on_a_number_that_happens_to_vanish() -> None:
    """Σ softmax = 1: contracted with ones it has no gradient, and would never be a telling case."""
    cases = list(sweep.telling_cases(registry["softmax"], 0, 4))
    assert len(cases) == 4
    assert all(np.shape(inputs[0])[options["axis"]] > 1 for inputs, options, _ in cases)
