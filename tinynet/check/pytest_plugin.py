"""`pytest --gradcheck`: every pair of forward and backward becomes a test.

`pytest_tinynet`, which pytest loads at every start, loads this module when the option is given.
What a pair is, and where its arguments stand, is told in `pairs.py`. A file is imported only if it
holds a pair; a pair without arguments is skipped, and the reason says what to write.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tinynet.check.pairs import Pair, find_pairs, may_hold_pairs
from tinynet.errors import GradientError, TinynetError

pytest_plugins = ["pytest_tinynet"]  # the option, for `-p tinynet.check.pytest_plugin`


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Files with pairs, whatever they are called."""
    if file_path.suffix != ".py" or not parent.config.getoption("gradcheck"):
        return None
    if not may_hold_pairs(file_path.read_text(encoding="utf-8", errors="replace")):
        return None
    found: pytest.Collector = PairModule.from_parent(parent, path=file_path)
    return found


class PairModule(pytest.Module):
    """A file with pairs. Importing it is pytest's business."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        module = self.obj
        for pair in find_pairs(vars(module), module.__name__):
            if pair.examples is None:
                item = PairItem.from_parent(self, name=pair.name, pair=pair, case=0)
                item.add_marker(pytest.mark.skip(reason=f"no arguments: {pair.how}"))
                yield item
                continue
            try:
                count = len(pair.cases())
            except Exception:  # told by the item, when it runs
                count = 1
            for i in range(count):
                name = f"{pair.name}[{i}]" if count > 1 else pair.name
                yield PairItem.from_parent(self, name=name, pair=pair, case=i)


class PairItem(pytest.Item):
    """One pair at one point."""

    def __init__(self, *, pair: Pair, case: int, **told: Any) -> None:
        super().__init__(**told)
        self.pair, self.case = pair, case

    def runtest(self) -> None:
        report = self.pair.report(self.pair.cases()[self.case])
        if not report.ok:
            raise GradientError(str(report))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """The report alone: no line of tinynet is at fault."""
        if isinstance(excinfo.value, TinynetError):
            return f"{excinfo.value}\n\n{self.path.name}:{self.pair.line}: {self.pair.name}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.pair.line - 1, f"gradient of {self.name}"
