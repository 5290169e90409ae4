r"""The perceptron: the first learning rule with a proof.

A neuron says which side of a plane a point lies on: the answer is +1 where w · x + b > 0, else
−1. Rosenblatt's rule looks at one sample (x, y), y = ±1, at a time and changes w and b only where
the answer is wrong:

    if y (w · x + b) ≤ 0:      w ← w + y x,      b ← b + y.

Why that helps: the new score of the same sample is y ((w + y x) · x + b + y) = y (w · x + b) +
‖x‖² + 1, because y² = 1. It has grown.

Theorem. Write x̃ = (x, 1), w̃ = (w, b), so that the rule reads w̃ ← w̃ + y x̃. If some unit
vector u separates the samples with a margin, y u · x̃ ≥ γ > 0 for all of them, and all ‖x̃‖ ≤ R,
then from w̃ = 0 the rule makes at most (R/γ)² mistakes, in whatever order and however often the
samples come.

Proof. Let M mistakes have been made. Each adds y x̃ to w̃.
1. Along u, w̃ gains y u · x̃ ≥ γ each time. So u · w̃ ≥ M γ.
2. In length, ‖w̃ + y x̃‖² = ‖w̃‖² + 2 y w̃ · x̃ + ‖x̃‖² ≤ ‖w̃‖² + R², since the middle term
   is not positive at a mistake. So ‖w̃‖² ≤ M R².
3. No vector is shorter than its part along u: M γ ≤ u · w̃ ≤ ‖w̃‖ ≤ √M R. Divide by √M γ and
   square.  ∎

The dimension does not occur, nor the number of samples. Without a margin (XOR) the theorem says
nothing and the rule never ends; that needs a hidden layer, and a hidden layer needs gradients,
which a step function does not have.

As a gradient rule: on a mistake, w̃ moves against the gradient of max(0, −y w̃ · x̃), step 1.

Shapes: X (n, d), y (n,) with entries ±1, w (d,), b a number.
Source: document B, 4.1 gives the neuron act(W · x), without a bias: its planes all pass through
the origin. Rosenblatt, "The perceptron", 1958; the theorem is Novikoff's, "On convergence proofs
on perceptrons", 1962.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinynet.errors import ArgumentError, ShapeError, describe


class Fit(NamedTuple):
    """What the rule ends with: the plane, the mistakes on the way, and whether none is left."""

    w: Any
    b: float
    mistakes: int
    converged: bool


def predict(X: Any, w: Any, b: float) -> Any:
    """+1 where w · x + b > 0, else −1. X (…, d), w (d,).

    >>> predict(np.array([[2.0, 0.0], [-2.0, 0.0]]), np.array([1.0, 0.0]), 0.5)
    array([ 1, -1])
    """
    return np.where(np.matmul(X, w) + b > 0, 1, -1)


def fit(X: Any, y: Any, *, epochs: int = 1000) -> Fit:
    """Rosenblatt's rule from w = 0, b = 0, sample by sample, until a whole pass has no mistake.

    X (n, d), y (n,) with entries ±1. Raises ShapeError and ArgumentError where that does not
    hold.

    >>> X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([-1, -1, -1, 1])  # AND
    >>> found = fit(X, y)
    >>> found.converged, found.mistakes <= mistake_bound(X, y, found.w, found.b)
    (True, True)
    >>> fit(X, np.array([-1, 1, 1, -1]), epochs=100).converged  # XOR
    False
    """
    _check(X, y)
    w, b, mistakes = np.zeros(X.shape[1], like=X), 0.0, 0
    for _ in range(epochs):
        before = mistakes
        for x, label in zip(X, y, strict=True):
            if label * (np.dot(w, x) + b) <= 0:
                w, b, mistakes = w + label * x, b + float(label), mistakes + 1
        if mistakes == before:
            return Fit(w, b, mistakes, True)
    return Fit(w, b, mistakes, False)


def mistake_bound(X: Any, y: Any, w: Any, b: float) -> float:
    """(R/γ)², for the margin of the plane (w, b); infinite where it does not separate the samples.

    Any separating plane gives a valid bound; the one with the widest margin gives the best.

    >>> X, y = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1, -1])
    >>> mistake_bound(X, y, np.array([1.0, 0.0]), 0.0)
    2.0
    """
    _check(X, y)
    if X.shape[0] == 0:
        return 0.0
    length = math.sqrt(float(np.sum(w * w)) + b * b)
    margin = float(np.min(y * (np.matmul(X, w) + b)))
    if margin <= 0:
        return math.inf
    return (float(np.max(np.sum(X * X, axis=1))) + 1) * (length / margin) ** 2


def _check(X: Any, y: Any) -> None:
    if X.ndim != 2 or y.shape != X.shape[:1]:
        raise ShapeError(
            "perceptron: the sizes do not fit",
            expected="X (n, d), y (n,)",
            got=f"{describe(X)}, {describe(y)}",
        )
    if not bool(np.all((y == 1) | (y == -1))):
        raise ArgumentError(
            "perceptron: the labels are +1 and −1", hint="y = 2 * y - 1 for labels 0 and 1"
        )
