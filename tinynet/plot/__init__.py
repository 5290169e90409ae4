"""Pictures: functions, runs, graphs, classes, layers, losses and gradients, one call each.

Every function returns its matplotlib Axes, or an array of them where there are several panels.
Functions with one panel take `ax=`, to draw into a figure of yours. A notebook displays the
picture; a script calls `ax.figure.savefig("name.png")`, or `plt.show()` if it has imported pyplot.
matplotlib is imported when the first picture is drawn. Colours: Okabe and Ito's, which colour-blind
readers can tell apart; text and background follow matplotlib's `rcParams`.

`curves.py` is about runs, functions and differences, `graphs.py` about the tape, `classes.py` about
what a model decides, `grids.py` about images, `maps.py` about heat maps, `layers.py` about what
flows through a network, `landscape.py` about steps, `speed.py` about what a computer allows;
`style.py` holds the colours, `words.py` fits words into the room that there is.
"""

from tinynet.plot.acceptance import roc, thresholds
from tinynet.plot.classes import confusion_matrix, decision_boundary, embedding
from tinynet.plot.curves import activation, finite_differences, learning_curves, learning_rates
from tinynet.plot.graphs import tape
from tinynet.plot.grids import feature_maps, filters, images, weights
from tinynet.plot.landscape import loss_landscape
from tinynet.plot.layers import histograms
from tinynet.plot.maps import attention, gradient_errors, saliency, similarity
from tinynet.plot.speed import roofline
from tinynet.plot.style import OKABE_ITO

__all__ = [
    "OKABE_ITO",
    "activation",
    "attention",
    "confusion_matrix",
    "decision_boundary",
    "embedding",
    "feature_maps",
    "filters",
    "finite_differences",
    "gradient_errors",
    "histograms",
    "images",
    "learning_curves",
    "learning_rates",
    "loss_landscape",
    "roc",
    "roofline",
    "saliency",
    "similarity",
    "tape",
    "thresholds",
    "weights",
]
