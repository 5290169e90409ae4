"""How fast? tinynet beside the engines that are installed: same work, one process, in turns.

In: the rows (`rows.py`: each a function that returns, for every engine, something to call) and the
stopwatch (`stopwatch.py`: warm-up, rounds in turns, medians). Not in: claims. What a page says
about speed is a row here.

Start with `rows.py`; a new row is one more decorated function there. `python -m tinynet bench`
prints the table.
"""

from tinynet.bench.rows import ROWS
from tinynet.bench.stopwatch import Result, machine, measure, report, run

__all__ = ["ROWS", "Result", "machine", "measure", "report", "run"]
