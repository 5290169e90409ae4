"""What is typed: `python -m tinynet COMMAND`. Each command is a function here, and does its work
elsewhere.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinynet.cli import check, classroom, data, systems, where
from tinynet.errors import TinynetError

_EXAMPLES = """\
examples:
  python -m tinynet tour                      a first look, with pictures, in a minute
  python -m tinynet where softmax             its formula, its derivation, its lines of code
  python -m tinynet check matmul softmax      derivatives against differences
  python -m tinynet check --mutants softmax   mistakes put into its rule: are they found?
  python -m tinynet check layers.py::tanh     tanh_forward and tanh_backward, your own
  python -m tinynet train digits-mlp --quick  train a system of the documents; alone, lists them
  python -m tinynet evaluate digits-mlp       the scores of one that was trained
  python -m tinynet generate gpt --prompt O   let a trained language model write
  python -m tinynet classroom release 04 --to hw    an assignment for a class; then grade it
  python -m tinynet embed minilm 'a' 'b'      vectors of texts, and how alike they are
  python -m tinynet data get mnist-5k         fetch a data set, check it, keep it
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
    where.declare(add)
    check.declare(add)
    data.declare(add)
    systems.declare(add)
    classroom.declare(add)
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
