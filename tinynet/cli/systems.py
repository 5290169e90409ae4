"""`train`, `evaluate`, `generate` and `embed`: the systems of `tinynet.models`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tinynet.errors import ArgumentError, TinynetError


def declare(add: Callable[..., Any]) -> None:
    """Put the commands into the parser."""
    train = add("train", _train, "train a system of the documents, or list them")
    train.add_argument(
        "name", nargs="?", metavar="NAME", help="or all; lists the systems if left out"
    )
    train.add_argument("--quick", action="store_true", help="little data, few epochs: seconds")
    train.add_argument("--out", metavar="DIR", help="folder of the run; runs/NAME by default")
    train.add_argument(
        "--beside",
        action="store_true",
        help="train the same network on PyTorch, too, with the same data and budget",
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, for example --set epochs=3 (more than once, if wanted)",
    )
    evaluate = add("evaluate", _evaluate, "the scores of a trained system on data held out")
    _trained(evaluate)
    generate = add("generate", _generate, "let a trained language model write")
    _trained(generate)
    generate.add_argument("--prompt", default="", help="the text that it goes on from")
    generate.add_argument("--length", type=int, default=300, help="how many tokens to write")
    generate.add_argument("--temperature", type=float, default=0.8, help="0: always the likeliest")
    generate.add_argument("--top-k", type=int, help="draw from the k likeliest only")
    generate.add_argument("--top-p", type=float, help="draw from the likeliest that make up p")
    generate.add_argument("--seed", type=int, default=0)
    embed = add("embed", _embed, "vectors of texts, and how alike they are")
    _trained(embed)
    embed.add_argument("texts", nargs="+", metavar="TEXT", help="sentences")
    embed.add_argument("--npy", metavar="FILE", help="write the vectors to a file of NumPy")


def _trained(command: Any) -> None:
    command.add_argument("name", metavar="NAME", help="the system, as in `train`")
    command.add_argument(
        "--from", dest="folder", metavar="DIR", help="folder of its run; runs/NAME by default"
    )


def _train(args: Any) -> int:
    from tinynet import models

    if args.name is None:
        wide = max(map(len, models.NAMES))
        for name in models.NAMES:
            system = models.find(name)
            print(f"{name:<{wide}}   {system.document:<12} {system.about}")
        return 0
    if args.name == "all":
        return _train_all(args)
    changes = _changes(models.find(args.name), args.set)
    result = models.train(args.name, quick=args.quick, out=args.out, beside=args.beside, **changes)
    _show(result.metrics)
    print(f"\neverything is in {result.folder}: {', '.join(sorted(_held(result.folder)))}")
    return 0


def _train_all(args: Any) -> int:
    """Every system in its own folder below DIR; one that fails does not stop the others."""
    from tinynet import models

    if args.set:
        raise ArgumentError("--set changes one system: name it")
    rows, failed = [], 0
    for name in models.NAMES:
        print(f"\n== {name}", flush=True)
        folder = models.run_folder(name, args.quick, args.out or "runs")
        start = time.perf_counter()
        try:
            result = models.train(name, quick=args.quick, out=folder, beside=args.beside)
        except (TinynetError, OSError) as error:
            print(error)
            failed += 1
            rows.append((name, "failed", time.perf_counter() - start))
        else:
            rows.append((name, _first(result.metrics), time.perf_counter() - start))
    print()
    for name, said, seconds in rows:
        print(f"{name:<16}{seconds:7.1f} s   {said}")
    return 1 if failed else 0


def _first(metrics: dict[str, Any]) -> str:
    """The first number of each engine."""
    engines = {name: part for name, part in metrics.items() if isinstance(part, dict)}
    shown = [
        f"{engine}: {name} {_text(value)}"
        for engine, part in engines.items()
        for name, value in list(part.items())[:1]
        if isinstance(value, float | int)
    ]
    return ", ".join(shown)


def _held(folder: Path) -> list[str]:
    return [path.name + ("/" if path.is_dir() else "") for path in folder.iterdir()]


def _changes(system: Any, pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE, with the value of the kind that the setting has."""
    kinds = {
        field.name: type(getattr(system.Settings(), field.name))
        for field in fields(system.Settings)
    }
    changes = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in kinds:
            raise ArgumentError(
                f"--set {pair}: no such setting",
                expected=", ".join(f"{k}={v}" for k, v in asdict(system.Settings()).items()),
            )
        try:
            changes[name] = (
                {"True": True, "False": False}[text] if kinds[name] is bool else kinds[name](text)
            )
        except (KeyError, ValueError):
            raise ArgumentError(f"--set {pair}: the value is no {kinds[name].__name__}") from None
    return changes


def _show(metrics: dict[str, Any], indent: str = "") -> None:
    """Nested numbers, a line each."""
    for name, value in metrics.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            _show(value, indent + "   ")
        elif isinstance(value, list):
            print(f"{indent}{name:<32}{'  '.join(_text(v) for v in value)}")
        else:
            print(f"{indent}{name:<32}{_text(value)}")


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _open(args: Any) -> tuple[Any, Any, Any, Path]:
    """(system, its settings, its network, folder) of a run that is finished."""
    import json

    from tinynet import models
    from tinynet.models.pretrained import config_of

    system = models.find(args.name)
    folder = Path(args.folder or models.run_folder(args.name))
    config = folder / "config.json"
    if not config.is_file() or not (folder / "model").is_dir():
        model = None if args.folder else system.pretrained()
        if model is not None:
            return system, system.Settings(), model, folder
        raise ArgumentError(
            f"there is no finished run in {folder}",
            hint=f"python -m tinynet train {args.name} --out {folder}",
        )
    held = json.loads(config.read_text("utf-8"))
    if held.get("system") != args.name:
        raise ArgumentError(f"{folder} holds a run of {held.get('system')}")
    settings = config_of(system.Settings, held["settings"])
    return system, settings, system.Network.from_pretrained(folder / "model"), folder


def _evaluate(args: Any) -> int:
    system, settings, model, _ = _open(args)
    _show(system.evaluate(model, settings))
    return 0


def _generate(args: Any) -> int:
    system, _, model, folder = _open(args)
    pieces = system.generate(
        model,
        folder,
        args.prompt,
        length=args.length,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
    )  # a prompt that cannot be read is an error before anything is printed
    print(args.prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
    return 0


def _embed(args: Any) -> int:
    import numpy as np

    system, _, model, folder = _open(args)
    vectors = system.embed(model, folder, args.texts)
    if args.npy:
        from tinynet.files import write_atomically

        with write_atomically(args.npy) as file:
            np.save(file, vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    print(f"{len(vectors)} vectors of {vectors.shape[1]} numbers; the cosines between them:")
    for text, row in zip(args.texts, unit @ unit.T, strict=True):
        print("   " + " ".join(f"{value:6.3f}" for value in row) + f"   {text[:60]}")
    return 0
