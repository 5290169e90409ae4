"""Why a gradient is wrong: the simplest explanation that reproduces the true gradient.

In the code of the learner, recorded without its source (`recording.py`):
    flow.py, as_if.py           what was differentiated instead: the forward pass with one change,
                                in paths.py, arithmetic.py, slopes.py
    retraced.py                 the one instruction that must change, in slips.py, storage.py,
                                operands.py, constant.py, departures.py
    locate.py                   the first line that departs from the truth
    meaning.py, words.py        what values are, and what they are called
In the numbers alone, for code of any kind:
    values.py                   the table of kinds: scales, shapes, entries, factors, terms, probes

Start with `search.py`: it asks all of them, and believes what holds at a second point.
"""

from tinynet.check.diagnosis.search import diagnose

__all__ = ["diagnose"]
