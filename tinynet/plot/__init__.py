"""Pictures: learning curves, confusion matrix, images, learned weights, the tape of an expression.

Every function returns a matplotlib Figure and shows nothing by itself: a notebook displays the
Figure that a cell ends with, a script calls `figure.savefig("name.png")`. Functions with one panel
take `ax=`, to draw into a figure of yours. matplotlib is imported when the first picture is drawn.
Colours: Okabe and Ito's, which colour-blind readers can tell apart.

`curves.py` is about runs and scores, `grids.py` about images, `graphs.py` about the tape;
`speed.py` about what a computer allows; `style.py` holds the colours.
"""

from tinynet.plot.curves import confusion_matrix, learning_curves
from tinynet.plot.graphs import Step, steps, tape
from tinynet.plot.grids import images, weights
from tinynet.plot.speed import roofline
from tinynet.plot.style import OKABE_ITO

__all__ = [
    "OKABE_ITO",
    "Step",
    "confusion_matrix",
    "images",
    "learning_curves",
    "roofline",
    "steps",
    "tape",
    "weights",
]
