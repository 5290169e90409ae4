"""`check`: every derivative against differences; and planted mistakes, which it must find."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinynet.cli.where import nearest
from tinynet.errors import ArgumentError


def declare(add: Callable[..., Any]) -> None:
    """Put the command into the parser."""
    command = add("check", _check, "every derivative against differences")
    command.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="some ops, all if left out; or FILE.py::NAME, a pair of forward and backward, or "
        "FILE.py, all of its pairs, at their example_args (the file is run)",
    )
    command.add_argument("--seed", type=int, default=0, help="of the random arguments")
    command.add_argument(
        "--mutants",
        action="store_true",
        help="plant mistakes in every rule and see that the check finds them (some 3,300; "
        "three or four minutes for all ops)",
    )


def _check(args: Any) -> int:
    import tinynet.derivations  # noqa: F401  (puts the derivations into the registry)
    from tinynet.check import check_ops
    from tinynet.check.files import check_file, names_a_file
    from tinynet.op import registry

    files = [name for name in args.names if names_a_file(name)]
    if files and len(files) == len(args.names):
        return 1 if [name for name in files if not check_file(name)] else 0
    if files:
        raise ArgumentError(
            "ops and files are checked one or the other way", got=" ".join(args.names)
        )
    for name in args.names:
        if name not in registry:
            raise ArgumentError(f"there is no op {name!r}", hint=nearest(name, registry))
    if args.mutants:
        return _check_mutants(args)
    print(f"{'op':<21}{'room':<14}{'cases':>6}{'first':>9}{'second':>9}         formula")
    failed = 0
    for r in check_ops(args.names, seed=args.seed):
        failed += not r.ok
        numbers = "        –        –" if math.isnan(r.first) else f"{r.first:9.0e}{r.second:9.0e}"
        verdict = "ok" if r.ok else "WRONG"
        formula = r.formula if len(r.formula) <= 38 else r.formula[:37] + "…"
        print(f"{r.name:<21}{r.room:<14}{r.cases:6}{numbers}  {verdict:<5}  {formula}", flush=True)
    print(
        "\nfirst, second: the worst relative error of the first and second derivative; – has none."
    )
    if failed:
        print(f"{failed} WRONG")
    return 1 if failed else 0


def _check_mutants(args: Any) -> int:
    from tinynet.check import check_mutants
    from tinynet.check.mutants import DRAWS

    print(f"{'op':<21}{'mutants':>9}{'killed':>9}{'equivalent':>12}{'survived':>10}")
    total = killed = survived = 0
    for r in check_mutants(args.names, seed=args.seed):
        row = f"{r.total:9}{r.killed:9}{len(r.equivalent):12}{len(r.survivors):10}"
        print(f"{r.name:<21}{row}", flush=True)
        for mutant in r.equivalent:
            print(f"   equal on {DRAWS:,} draws: {mutant}")
        for mutant in r.survivors:
            print(f"   SURVIVED: {mutant}")
        total, killed, survived = total + r.total, killed + r.killed, survived + len(r.survivors)
    equivalent = total - killed - survived
    print(
        f"\n{killed}/{killed + survived} mutants killed; {equivalent} of {total} are equivalent:"
        f" on {DRAWS:,} random arguments their gradients are the right ones."
    )
    return 1 if survived else 0
