"""Pictures that the readers of images share: what they answer, and what they look at."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import plot
from tinynet.grad_mode import no_grad
from tinynet.metrics import confusion_matrix
from tinynet.models.system import Run
from tinynet.nn import functional as F
from tinynet.tensor import Tensor


def answers(run: Run, model: Any, images: Tensor, labels: Tensor) -> None:
    """The confusion matrix, and images that were misread, those with the largest loss first.

    images   (n, 1, h, w), held out
    """
    model.eval()
    with no_grad():
        scores = model(images)
        losses = F.cross_entropy(scores, labels, reduction="none").array
    read, truth = scores.array.argmax(axis=1), labels.array
    classes = scores.shape[1]
    run.picture(
        "confusion_matrix", plot.confusion_matrix(confusion_matrix(read, truth, classes=classes))
    )
    wrong = np.flatnonzero(read != truth)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:24]
    if len(worst):
        run.picture("misread", plot.images(images.array[worst, 0], truth[worst], read[worst]))


def convolution(run: Run, model: Any, image: Tensor, label: Tensor) -> None:
    """The filters of the first layer, what each answers to an image, and what the answer of the
    network hangs on.

    image, label   (1, 1, h, w) and (1,)
    """
    model.eval()
    run.picture("filters", plot.weights(model.conv1.weight))
    with no_grad():
        maps = model.conv1(image).relu()
    run.picture("feature_maps", plot.feature_maps(maps))
    # The score of its class, not the loss: where the network is sure, the loss has no slope left.
    score = lambda x: model(x[None])[0, label.item()]  # noqa: E731
    run.picture("saliency", plot.saliency(score, image[0]))
