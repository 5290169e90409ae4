"""A network that can be put into a folder and taken out again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tinynet import files
from tinynet.errors import ArgumentError, FileFormatError

Self = TypeVar("Self", bound="Pretrained")

WEIGHTS, CONFIG = "model.safetensors", "config.json"


class Pretrained:
    """Adds `save_pretrained` and `from_pretrained` to a Module that is built from its config.

    A subclass names its `Config`, a frozen dataclass of numbers and texts, and its `__init__` takes
    one and keeps it as `self.config`. A folder holds `config.json`, written last, and
    `model.safetensors`, the state_dict.

    >>> import tempfile
    >>> from tinynet.models import MLP, MLPConfig
    >>> folder = tempfile.mkdtemp()
    >>> MLP(MLPConfig(inputs=4, hidden=3, classes=2)).save_pretrained(folder)
    >>> MLP.from_pretrained(folder).config
    MLPConfig(inputs=4, hidden=3, classes=2, dropout=0.2)
    """

    Config: ClassVar[type[Any]]
    config: Any

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the weights and the config into a folder, which is made if it is not there."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        weights: Any = self
        files.save(dict(weights.state_dict()), place / WEIGHTS)
        config = {"model": type(self).__name__, **asdict(self.config)}
        with files.write_atomically(place / CONFIG, text=True) as file:
            json.dump(config, file, indent=2)

    @classmethod
    def from_pretrained(cls: type[Self], folder: str | Path) -> Self:
        """The network of a folder that `save_pretrained` wrote.

        Raises `FileFormatError` where the folder holds no network, or another one.
        """
        place = Path(folder)
        for name in (CONFIG, WEIGHTS):
            if not (place / name).is_file():
                raise FileFormatError(
                    f"there is no network in {place}",
                    expected=f"a folder with {CONFIG} and {WEIGHTS}, as save_pretrained writes",
                    got="no such folder" if not place.is_dir() else f"no {name}",
                )
        try:
            config = json.loads((place / CONFIG).read_text("utf-8"))
        except ValueError as error:
            raise FileFormatError(f"{place / CONFIG} is not JSON", got=str(error)) from None
        if not isinstance(config, dict) or config.pop("model", None) != cls.__name__:
            raise FileFormatError(f"{place} does not hold a {cls.__name__}", got=f"{config}"[:80])
        model: Any = cls(config_of(cls.Config, config))  # type: ignore[call-arg]
        model.load_state_dict(files.load(place / WEIGHTS))
        loaded: Self = model
        return loaded


def config_of(kind: type[Any], entries: Mapping[str, Any]) -> Any:
    """A dataclass from what a JSON file held: unknown and missing names are errors, and lists are
    tuples again.
    """
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(entries) - known)
    if unknown:
        raise ArgumentError(
            f"{kind.__name__} has no {', '.join(unknown)}", expected=", ".join(sorted(known))
        )
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in entries.items()})
    except TypeError as error:
        raise ArgumentError(f"{kind.__name__}: {error}", got=str(dict(entries))) from None
