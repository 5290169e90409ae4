"""How fast? tinynet beside the engines that are installed: same work, one process, in turns.

In: the rows (`rows/`: functions that return, for every engine, something to call), the engines
(`engines.py`: one network or formula for all of them), the stopwatch (`stopwatch.py`: results
compared, warm-up, rounds in turns, medians), and what is shown (`report.py`, `picture.py`). Not in:
claims. What a page says about speed is a row here.

Start with `rows/engine.py`; a new row is one more decorated function. `python -m tinynet bench`
prints the table.
"""

from tinynet.bench import rows  # noqa: F401  (puts them into ROWS)
from tinynet.bench.report import lines, machine, table, versions, write_json
from tinynet.bench.row import ROWS, Row
from tinynet.bench.stopwatch import Result, compare, measure, run

__all__ = [
    "ROWS",
    "Result",
    "Row",
    "compare",
    "lines",
    "machine",
    "measure",
    "run",
    "table",
    "versions",
    "write_json",
]
