"""What a system is: data, a network, a recipe and scores under one name, trained by one call.

    System      what it is: its settings, and what is done with them
    Recipe      the numbers of a training: epochs, batch, step, schedule
    Run         one training of it, and the folder that it leaves
    Trained     a network after `Run.fit`; with its twin on PyTorch, if one was asked for

The folder of a run:

    config.json      settings, versions, machine    model/          the network, save_pretrained
    metrics.json     the scores of each engine      *.png           pictures
    history*.csv     the curves                     checkpoints/    only while it runs
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from tinynet import files, optim
from tinynet.bench.report import machine, versions
from tinynet.data import Augmented, DataLoader
from tinynet.errors import ArgumentError, DataError
from tinynet.grad_mode import no_grad
from tinynet.models import beside as pytorch
from tinynet.nn import functional
from tinynet.random import Generator, manual_seed
from tinynet.train import History, evaluate, fit

Metric = Callable[[Any, Any], float]  # (predictions, labels) -> a number
Loss = Callable[
    [Any, Any, Any], Any
]  # (nn.functional of an engine, prediction, labels) -> the loss


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. A system's `Settings` add what else it has to say.

    epochs, batch_size    passes over the data; samples for each step
    optimizer, lr         a name of `tn.optim`, and its largest step size
    weight_decay          for optimizers that have it
    warmup                the share of all steps in which the step size rises from 0
    schedule              what follows: "constant", or "cosine": half a wave down to 0
    clip                  the largest norm that the gradient may have; 0 for any
    seed                  of the first weights, the order of the data, dropout and augmentation
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: str = "Adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    warmup: float = 0.0
    schedule: str = "constant"
    clip: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            f"{name}={value}"
            for name, value, least in (
                ("epochs", self.epochs, 1),
                ("batch_size", self.batch_size, 1),
                ("lr", self.lr, 0),
                ("weight_decay", self.weight_decay, 0),
                ("clip", self.clip, 0),
                ("seed", self.seed, 0),
            )
            if not value >= least
        ]
        if not 0 <= self.warmup < 1:
            wrong.append(f"warmup={self.warmup}")
        if self.schedule not in ("constant", "cosine"):
            wrong.append(f"schedule={self.schedule!r}")
        if self.optimizer not in optim.__all__:
            wrong.append(f"optimizer={self.optimizer!r}")
        if wrong:
            raise ArgumentError(
                "the recipe has settings that make no sense",
                expected="epochs and batch_size of 1 or more; lr, weight_decay, clip and seed of 0 "
                "or more; 0 <= warmup < 1; schedule constant or cosine; an optimizer of tn.optim",
                got=", ".join(wrong),
            )

    def factor(self, step: int, steps: int) -> float:
        """What the step size is multiplied by in step number `step` of `steps`.

        >>> recipe = Recipe(warmup=0.5, schedule="cosine")
        >>> [round(recipe.factor(step, 8), 2) for step in range(8)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.5, 0.15]
        """
        rising = round(self.warmup * steps)
        if step < rising:
            return (step + 1) / rising
        if self.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    def build(self, engine: Any, model: Any) -> Any:
        """The optimizer of this recipe: `engine` is `tinynet.optim` or `torch.optim`."""
        options = {"weight_decay": self.weight_decay} if self.weight_decay else {}
        return getattr(engine, self.optimizer)(
            [p for p in model.parameters() if p.requires_grad], lr=self.lr, **options
        )


@dataclass
class Trained:
    """A network after training.

    model, history, seconds          of tinynet
    twin, twin_loss, twin_seconds    of PyTorch, where it was trained beside: the network, the
                                     loss of each epoch
    """

    model: Any
    history: History
    seconds: float
    twin: Any = None
    twin_loss: list[float] = field(default_factory=list)
    twin_seconds: float = 0.0

    def scores(
        self,
        data: Any,
        metrics: Mapping[str, Metric],
        loss: Loss | None = None,
        batch_size: int = 256,
    ) -> dict[str, dict[str, float]]:
        """{"tinynet": {metric: number}}, and the same of "torch", on data that was held out."""

        def ours(prediction: Any, y: Any) -> Any:
            assert loss is not None
            return loss(functional, prediction, y)

        loader = as_batches(data, batch_size)
        found = {
            "tinynet": evaluate(
                self.model, loader, loss=ours if loss else None, metrics=dict(metrics)
            )
        }
        if self.twin is not None:
            predictions, labels = pytorch.predict(self.twin, loader)
            found["torch"] = {
                name: float(metric(predictions, labels)) for name, metric in metrics.items()
            }
            if loss:
                torch = pytorch.pytorch()
                values = torch.from_numpy(predictions), torch.from_numpy(labels)
                found["torch"] |= {"loss": loss(torch.nn.functional, *values).item()}
        return found

    def predictions(self, data: Any, batch_size: int = 256) -> dict[str, tuple[Any, Any]]:
        """{"tinynet": (what the network answers, labels)}, and the same of "torch", as arrays."""
        loader = as_batches(data, batch_size)
        self.model.eval()
        with no_grad():
            pairs = [(pytorch.call(self.model, x).array, np.asarray(y)) for x, y in loader]
        predictions, labels = map(np.concatenate, zip(*pairs, strict=True))
        found = {"tinynet": (predictions, labels)}
        if self.twin is not None:
            found["torch"] = pytorch.predict(self.twin, loader)
        return found


class Loader(Protocol):
    """(data, batch_size, generator) -> batches, in an order drawn from the generator."""

    def __call__(self, data: Any, batch_size: int, generator: Any) -> Any: ...


def shuffled(data: Any, batch_size: int, generator: Any) -> Any:
    """Every sample once in each epoch, in a new order."""
    return DataLoader(data, batch_size=batch_size, shuffle=True, generator=generator)


def augmented(transform: Callable[[Any], Any]) -> Loader:
    """As `shuffled`, each image changed at random whenever it is asked for."""
    return lambda data, batch_size, generator: shuffled(
        Augmented(data, transform), batch_size, generator
    )


def as_batches(data: Any, batch_size: int) -> Any:
    """Data sets in file order; what is batches already, as it is."""
    if isinstance(data, list) or not hasattr(data, "__getitem__"):
        return data
    return DataLoader(data, batch_size=batch_size)


class Run:
    """One training of a system: says what happens, and keeps what comes of it in a folder.

    beside    train PyTorch's twin of each network with the same data and budget, too
    """

    def __init__(
        self, name: str, settings: Any, folder: Path, *, beside: bool, progress: bool
    ) -> None:
        self.name, self.settings, self.folder = name, settings, folder
        self.beside, self.progress = beside, progress
        self.metrics: dict[str, Any] = {}
        self.checkpoints = folder / "checkpoints"

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        if self.progress:
            print(text, flush=True)

    def fit(
        self,
        model: Any,
        data: Any,
        loss: Loss,
        *,
        label: str = "",
        recipe: Any = None,
        loader: Loader = shuffled,
        **options: Any,
    ) -> Trained:
        """Train a network by the recipe, with a checkpoint after each epoch.

        label      tells the trainings of one run apart
        recipe     by default the settings of the run
        loader     puts the data into batches
        options    handed to `train.fit`: validation, metrics, patience …
        """
        recipe = recipe or self.settings

        def order() -> Any:
            return loader(data, recipe.batch_size, Generator().manual_seed(recipe.seed))

        batches = order()
        steps = recipe.epochs * len(batches)
        twin = pytorch.twin(model) if self.beside else None
        optimizer = recipe.build(optim, model)
        start = time.perf_counter()
        history = fit(
            model,
            batches,
            loss=lambda prediction, y: loss(functional, prediction, y),
            optimizer=optimizer,
            epochs=recipe.epochs,
            scheduler=optim.lr_scheduler.LambdaLR(optimizer, lambda i: recipe.factor(i, steps)),
            clip=recipe.clip or None,
            checkpoint=self._checkpoint(label),
            seed=recipe.seed,
            progress="lines" if self.progress else False,
            **options,
        )
        trained = Trained(model, history, time.perf_counter() - start, twin)
        if twin is not None:
            torch = pytorch.pytorch()
            torch.manual_seed(recipe.seed)
            batches, start = order(), time.perf_counter()
            trained.twin_loss = pytorch.fit(
                twin,
                lambda: batches,
                loss=loss,
                optimizer=recipe.build(torch.optim, twin),
                epochs=len(history),
                factor=lambda i: recipe.factor(i, steps),
                clip=recipe.clip or None,
                validation=options.get("validation") if options.get("restore_best") else None,
                say=self.say,
            )
            trained.twin_seconds = time.perf_counter() - start
        return trained

    def _checkpoint(self, label: str) -> Path:
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        return self.checkpoints / f"{label or 'training'}.safetensors"

    def picture(self, name: str, axes: Any) -> None:
        """Keep what `tn.plot` drew, as NAME.png."""
        first = np.ravel(np.asarray(axes, dtype=object))[0]
        with files.write_atomically(self.folder / f"{name}.png") as file:
            first.figure.savefig(file, format="png", dpi=150)

    def write(self, name: str, content: Any) -> None:
        """Keep plain data, as NAME.json."""
        with files.write_atomically(self.folder / f"{name}.json", text=True) as file:
            json.dump(content, file, indent=2, ensure_ascii=False)


class System:
    """A system of the documents. A subclass says what it is, and does the work.

    name, document, about    what is typed; the section that builds it; one line
    Settings                 a frozen dataclass, most often a `Recipe` with more
    quick                    the settings that make it a matter of seconds
    Network                  the class of the network that a run leaves in its folder
    """

    name: ClassVar[str]
    document: ClassVar[str] = ""
    about: ClassVar[str]
    Settings: ClassVar[type[Any]] = Recipe
    quick: ClassVar[Mapping[str, Any]] = {}
    Network: ClassVar[type[Any]]

    def train(self, run: Run) -> Any:
        """Get the data, train, measure and draw: the network comes back, the scores stand in
        `run.metrics`.
        """
        raise NotImplementedError

    def evaluate(self, model: Any, settings: Any) -> dict[str, float]:
        """The scores of a network on the data that its training held out."""
        raise NotImplementedError

    def pretrained(self) -> Any:
        """The network as it comes, for systems that can be used without a run; else None."""
        return None

    def generate(self, model: Any, folder: Path, prompt: str, **options: Any) -> Iterable[str]:
        """A text that goes on from the prompt, piece by piece."""
        raise ArgumentError(f"{self.name} does not write texts")

    def embed(self, model: Any, folder: Path, texts: Sequence[str]) -> Any:
        """One vector for each text, or for each picture's file."""
        raise ArgumentError(f"{self.name} does not make embeddings")


@dataclass(frozen=True)
class Result:
    """What `models.train` gives back: the scores, the network, and the folder with all the rest."""

    name: str
    settings: Any
    metrics: dict[str, Any]
    model: Any
    folder: Path


def run_system(
    system: System,
    settings: Any,
    folder: Path,
    *,
    beside: bool = False,
    progress: bool = True,
) -> Result:
    """Train a system into a folder; go on with one that was cut off, read one that is finished."""
    config = {"system": system.name, "settings": asdict(settings), "beside": beside}
    _check_folder(folder, config)
    run = Run(system.name, settings, folder, beside=beside, progress=progress)
    finished = folder / "metrics.json"
    if finished.is_file():
        run.say(f"{folder} holds this run, finished; its numbers:")
        model = system.Network.from_pretrained(folder / "model")
        return Result(system.name, settings, json.loads(finished.read_text("utf-8")), model, folder)
    folder.mkdir(parents=True, exist_ok=True)
    run.write("config", {**config, "machine": machine(), "versions": versions()})
    manual_seed(getattr(settings, "seed", 0))
    model = system.train(run)
    model.save_pretrained(folder / "model")
    run.write("metrics", run.metrics)
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    return Result(system.name, settings, run.metrics, model, folder)


def _check_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Another run's folder is left alone."""
    if (folder / "config.json").is_file():
        held: Any = None
        with suppress(ValueError):
            held = json.loads((folder / "config.json").read_text("utf-8"))
        old, new = _flat(held), _flat(json.loads(json.dumps(config)))  # tuples as lists
        other = [name for name in new if old.get(name) != new[name]]
        if other:
            raise DataError(
                f"{folder} holds another run",
                expected=", ".join(f"{name}={new[name]}" for name in other),
                got=", ".join(f"{name}={old.get(name)}" for name in other),
                hint="another folder with --out, or remove this one",
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise DataError(
            f"{folder} is a folder with other things in it", hint="another folder with --out"
        )


def _flat(config: Any) -> dict[str, Any]:
    """The entries of a config, those of its settings among them."""
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
        return {}
    return {**config, **config["settings"], "settings": ...}


def adjusted(system: System, quick: bool, changes: Mapping[str, Any]) -> Any:
    """The settings of a system, with what `quick` and the caller change."""
    settings = system.Settings()
    known = asdict(settings)
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise ArgumentError(
            f"{system.name} has no setting {', '.join(unknown)}", expected=", ".join(known)
        )
    return replace(settings, **({**system.quick} if quick else {}) | dict(changes))
