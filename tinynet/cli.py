"""What is typed: `python -m tinynet COMMAND`. Each command is a function here, and does its work
elsewhere.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import inspect
import io
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tinynet.errors import ArgumentError, TinynetError

_EXAMPLES = """\
examples:
  python -m tinynet tour                      a first look, with pictures, in a minute
  python -m tinynet where softmax             its formula, its derivation, its lines of code
  python -m tinynet check matmul softmax      derivatives against differences
  python -m tinynet check --mutants softmax   mistakes put into its rule: are they found?
  python -m tinynet check layers.py::tanh     tanh_forward and tanh_backward, your own
  python -m tinynet train digits --epochs 20  train a network, save it
  python -m tinynet bench engine mlp          speed, beside the other engines here
  python -m tinynet info                      versions, machine, devices
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 1 where a check fails, or 2 for a mistake in what
    was asked.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a terminal that lacks a sign shows ? instead of failing
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        status: int = args.command(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, for example `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("tinynet: interrupted", file=sys.stderr)
        return 130
    except (TinynetError, OSError) as error:
        print(
            "tinynet: " + "; ".join(part.strip() for part in str(error).splitlines()),
            file=sys.stderr,
        )
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tinynet",
        description="The mathematics under deep learning: derived by hand, checked, made fast.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    parser.set_defaults(command=None)

    def add(name: str, function: Callable[[Any], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        return command

    tour = add("tour", _tour, "a first look at the package, in a minute")
    tour.add_argument(
        "--out", default="tinynet-tour", metavar="DIR", help="folder for the pictures"
    )
    tour.add_argument(
        "--quick", action="store_true", help="fewer epochs: some seconds, lower accuracy"
    )
    where = add("where", _where, "where a name stands: formula, rule, file and line")
    where.add_argument(
        "name",
        help="an op, a derivation, a layer or a function; B4.2, a section of a source document",
    )
    check = add("check", _check, "every derivative against differences")
    check.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="some ops, all if left out; or FILE.py::NAME, a pair of forward and backward, or "
        "FILE.py, all of its pairs, at their example_args (the file is run)",
    )
    check.add_argument("--seed", type=int, default=0, help="of the random arguments")
    check.add_argument(
        "--mutants",
        action="store_true",
        help="plant mistakes in every rule and see that the check finds them (some 3,300; "
        "three or four minutes for all ops)",
    )
    train = add("train", _train, "train a network on the digits, save it, print its accuracy")
    train.add_argument("what", choices=["digits"])
    train.add_argument("--epochs", type=_at_least_one, default=40)
    train.add_argument("--lr", type=float, default=4e-3, help="learning rate of Adam")
    train.add_argument(
        "--hidden", type=_at_least_one, default=128, help="neurons of the hidden layer"
    )
    train.add_argument(
        "--seed", type=int, default=0, help="of the split, the first weights and the order"
    )
    train.add_argument("--out", default="digits.safetensors", metavar="FILE")
    bench = add("bench", _bench, "speed, beside the engines that are installed")
    bench.add_argument("names", nargs="*", metavar="ROW", help="some rows; all if left out")
    bench.add_argument("--device", default="cpu", help="cpu or cuda")
    bench.add_argument(
        "--around",
        type=_at_least_one,
        default=0,
        metavar="N",
        help="measure each row at N more shapes, drawn within 30 %% of its own",
    )
    bench.add_argument("--json", metavar="FILE", help="write the numbers to a file, too")
    bench.add_argument("--picture", metavar="FILE", help="draw the ratios, as .png, .svg or .pdf")
    add("info", _info, "versions, machine, devices")
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


# -- the short commands ----------------------------------------------------------------------------


def _tour(args: Any) -> int:
    from tinynet import tour

    return 1 if tour.run(args.out, quick=args.quick)["failed"] else 0


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
            raise ArgumentError(f"there is no op {name!r}", hint=_nearest(name, registry))
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


def _train(args: Any) -> int:
    from tinynet.data import load_digits
    from tinynet.ops.saving import save
    from tinynet.tour import train_reader

    options = {"hidden": args.hidden, "epochs": args.epochs, "lr": args.lr, "seed": args.seed}
    digits = load_digits(scaled=True)
    model, history, score = train_reader(*digits.split(0.2, seed=args.seed), **options)
    kept = {
        "model": model.state_dict(),
        "history": history.to_dict(),
        "options": options,
        "accuracy": score,
    }
    save(kept, args.out)
    print(
        f"accuracy on the {round(0.2 * len(digits))} digits that were held out: {100 * score:.1f} %"
    )
    print(f"saved to {args.out}; tinynet.load({args.out!r})['model'] are its weights")
    return 0


def _bench(args: Any) -> int:
    from tinynet import bench
    from tinynet.bench.picture import ratios

    def progress(row: bench.Row, number: int, total: int) -> None:
        print(f"\n[{number}/{total}] ", end="", flush=True)

    print(f"{bench.machine()}; device {args.device}")
    print(bench.versions())
    print("median of one call (and quartiles); a ratio below 1 says that tinynet needs less")
    results = []
    for result in bench.run(args.names, device=args.device, around=args.around, progress=progress):
        results.append(result)
        print("\n".join(bench.lines(result)), flush=True)
    print("\n" + "\n".join(bench.table(results)))
    if args.json:
        bench.write_json(args.json, results, args.device)
    if args.picture:
        ratios(results).savefig(args.picture)
    return 0


def _info(args: Any) -> int:
    from importlib.metadata import PackageNotFoundError, version

    import tinynet
    from tinynet import arrays
    from tinynet.bench import machine

    print(f"tinynet    {tinynet.__version__}   {Path(tinynet.__file__).parent}")
    print(f"machine    {machine()}")
    for name in (
        "numpy",
        "numba",
        "safetensors",
        "matplotlib",
        "tqdm",
        "torch",
        "cupy-cuda12x",
        "cupy-cuda13x",
    ):
        try:
            print(f"{name:<13}{version(name)}")
        except PackageNotFoundError:
            print(f"{name:<13}not installed")
    devices = ["cpu"]
    try:
        devices += [f"cuda:{i}" for i in range(arrays.cupy().cuda.runtime.getDeviceCount())]
    except (
        Exception
    ) as error:  # CuPy is missing, or has no driver: whichever error it raises, there is no GPU
        reason = str(error).splitlines()[0]
        print(f"devices    cpu (no GPU: {reason})")
    else:
        print(f"devices    {', '.join(devices)}")
    return 0


# -- where -----------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """Something with a name: what it is, and how to show it."""

    title: str
    show: Callable[[], Iterator[str]]


def _where(args: Any) -> int:
    found = _index()
    wanted = args.name.removeprefix("tinynet.").removeprefix("tn.").lower()
    entries = found.get(wanted) or found.get(wanted.rpartition(".")[2])
    section = re.fullmatch(r"([a-d])[\s,.]*([\d.]*)", wanted)
    if not entries and section:
        entries = _of_document(section[1].upper(), section[2].strip("."), found)
    if not entries:
        raise ArgumentError(f"nothing is called {args.name!r}", hint=_nearest(args.name, found))
    for i, entry in enumerate(entries):
        print(("\n" if i else "") + entry.title)
        for line in entry.show():
            print(f"   {line}".rstrip())
    return 0


def _of_document(letter: str, section: str, found: dict[str, list[Entry]]) -> list[Entry]:
    """The derivations that name a source document, and a section of it (or a part of that one).

    The letters of the documents, and what they get wrong, stand in docs/errata.md.
    """
    from tinynet import derivations

    entries = []
    for name in derivations.__all__:
        module = getattr(derivations, name)
        text = " ".join(module.__doc__.split())
        named = re.findall(rf"[Dd]ocument {letter}, ((?:[\d.]+|, | and )*)", text)
        sections = [s.strip(".") for group in named for s in re.findall(r"\d[\d.]*", group)]
        if any(s == section or s.startswith(f"{section}.") or not section for s in sections):
            title = (
                f"{found[name][0].title}   document {letter}, {', '.join(dict.fromkeys(sections))}"
            )
            lines = [module.__doc__.splitlines()[0], f"at {_place(module.__file__, 1)}"]
            entries.append(Entry(title, lines.__iter__))
    return entries


def _nearest(name: str, known: Any) -> str:
    names = [n for n in known if "." not in n]
    near = difflib.get_close_matches(name.lower(), names, n=5, cutoff=0.5)
    return ", ".join(near or [n for n in sorted(names) if n.startswith(name[:1].lower())][:5])


def _index() -> dict[str, list[Entry]]:
    """Every name that `where` knows, in small letters, alone and with its room in front."""
    import tinynet
    from tinynet import derivations
    from tinynet.op import Derivation, registry

    found: dict[str, list[Entry]] = {}

    def add(name: str, room: str, entry: Entry) -> None:
        for key in (name.lower(), f"{room}.{name}".lower()):
            found.setdefault(key, []).append(entry)

    for op in registry.values():
        kind = "derivation" if isinstance(op, Derivation) else "op"
        add(op.name, "ops", Entry(f"{op.name}   ({kind})", _shower(_show_op, op)))
    for name in derivations.__all__:
        module = getattr(derivations, name)
        if name not in registry:
            title = f"derivations.{name}   (derivation)"
            add(name, "derivations", Entry(title, _shower(_show_module, module)))
    seen: set[int] = set()
    for room in (
        "",
        "nn",
        "nn.functional",
        "nn.init",
        "nn.utils",
        "nn.utils.rnn",
        "func",
        "function",
        "optim",
        "metrics",
        "data",
        "train",
        "plot",
        "check",
    ):
        module = importlib.import_module(f"tinynet.{room}" if room else "tinynet")
        for name in getattr(module, "__all__", None) or vars(module):
            x = getattr(module, name)
            public = callable(x) and not name.startswith("_") and id(x) not in seen
            same = (
                name in registry and getattr(x, "__module__", "") == "tinynet.ops.public"
            )  # the op itself
            if public and not same and getattr(x, "__module__", "").startswith(tinynet.__name__):
                seen.add(id(x))
                kind = "class" if inspect.isclass(x) else "function"
                title = f"{room or 'tinynet'}.{name}   ({kind})"
                add(name, room or "tinynet", Entry(title, _shower(_show_object, x)))
    return found


def _shower(show: Callable[[Any], Iterator[str]], x: Any) -> Callable[[], Iterator[str]]:
    return lambda: show(x)


def _place(path: str, line: int) -> str:
    """file:line, with the file relative to where the reader stands if it is below."""
    full = Path(path).resolve()
    here = Path.cwd().resolve()
    return f"{full.relative_to(here) if full.is_relative_to(here) else full}:{line}"


def _show_op(op: Any) -> Iterator[str]:
    yield (
        ("" if op.formula.startswith("y") else "y = ")
        + op.formula
        + ("" if op.domain == "real" else f"    smooth where {op.domain}")
    )
    if op.room == "derivations":
        module = sys.modules[op.definition.__module__]
        yield from _show_module(module)
        return
    import tinynet

    folder = Path(tinynet.__file__).parent
    path = folder / "ops" / f"{op.room}.py"
    path = path if path.exists() else folder / f"{op.room}.py"
    start, lines = _statement(path, op.name)
    yield f"at {_place(str(path), start)}"
    yield ""
    yield from lines
    for rule in dict.fromkeys((op.rules,) if callable(op.rules) else op.rules):
        first = rule.__code__.co_firstlineno
        if rule.__name__ != "<lambda>" and not start <= first < start + len(lines):
            yield ""
            yield from inspect.getsource(rule).splitlines()


def _statement(path: Path, name: str) -> tuple[int, list[str]]:
    """The first statement of a file that names the op: where it begins, and its lines."""
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        heads = getattr(node, "decorator_list", None) or (
            [] if isinstance(node, ast.FunctionDef) else [node]
        )
        strings = [n for head in heads for n in ast.walk(head) if isinstance(n, ast.Constant)]
        if any(n.value == name for n in strings) and not isinstance(node, ast.ImportFrom):
            start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            return start, text.splitlines()[start - 1 : node.end_lineno]
    return 1, []


def _show_module(module: Any) -> Iterator[str]:
    """The derivation as it is written, and where its functions stand."""
    path = inspect.getsourcefile(module) or ""
    for name, function in vars(module).items():
        own = inspect.isfunction(function) and function.__module__ == module.__name__
        if own and not name.startswith("_"):
            yield f"{name:<11} at {_place(path, function.__code__.co_firstlineno)}"
    yield ""
    yield from inspect.cleandoc(module.__doc__ or "").splitlines()
    backward = getattr(module, "backward", None)
    if inspect.isfunction(backward):
        yield ""
        yield from inspect.getsource(backward).splitlines()


def _show_object(x: Any) -> Iterator[str]:
    """Signature, first paragraph of the docstring, file and line."""
    try:
        yield f"{x.__name__}{inspect.signature(x)}".replace("'", "")
    except (TypeError, ValueError):
        yield x.__name__
    target = inspect.unwrap(x)
    try:
        yield f"at {_place(inspect.getsourcefile(target) or '', inspect.getsourcelines(target)[1])}"
    except (OSError, TypeError):
        return
    yield ""
    yield from inspect.cleandoc(target.__doc__ or "").split("\n\n")[0].splitlines()
