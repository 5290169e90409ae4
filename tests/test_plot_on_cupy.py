"""Models on a GPU (or its double) are drawn as models on the CPU are."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinynet as tn
from tinynet import plot


def test_pictures_of_a_model_on_a_gpu(cupy: Any) -> None:
    model = tn.nn.Sequential(tn.nn.Linear(2, 3), tn.nn.Tanh(), tn.nn.Linear(3, 2))
    X, Y = tn.randn(6, 2), tn.tensor([0, 1, 0, 1, 1, 0])
    ours = pictures(model, X, Y)
    theirs = pictures(model.to("cuda"), X.to("cuda"), Y.to("cuda"))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def pictures(model: Any, X: Any, Y: Any) -> list[np.ndarray]:
    """Numbers out of pictures of all kinds."""
    loss = tn.nn.CrossEntropyLoss()
    boundary = plot.decision_boundary(model, X, Y)
    bars = plot.histograms(model, (X, Y), loss)[0, 1].patches
    return [
        boundary.collections[0].get_paths()[0].vertices,
        np.array([(bar.get_x(), bar.get_height()) for bar in bars]),
        np.asarray(plot.saliency(lambda x: loss(model(x), Y), X).images[1].get_array()),
        np.asarray(plot.weights(model[0].weight, (1, 2))[0].images[0].get_array()),
        np.asarray(plot.embedding(X, Y).collections[0].get_offsets()),
    ]
