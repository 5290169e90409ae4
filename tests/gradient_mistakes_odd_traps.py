"""Right gradients that a naive check rejects: saturation, zeros, odd arguments, idioms."""

import numpy as np
from gradient_mistakes import trap

array = np.array


def _locked(x):
    x.flags.writeable = False
    return x


def _same(x):
    return x, x


# Saturation.
trap(
    "saturated-softplus",
    "pass",
    "the slopes are 1 or 0 to the last digit",
    lambda n, r: (array([-700.0, -45.0, 45.0, 700.0]),),
    """
    def forward(x):
        return np.logaddexp(0, x)

    def backward(g, x):
        return (g * np.exp(-np.logaddexp(0, -x)),)
    """,
)
trap(
    "saturated-attention",
    "pass",
    "the softmax has all its weight on one entry",
    lambda n, r: (array([50.0, 0.0, -50.0]), n(3, 2)),
    """
    def forward(s, v):
        e = np.exp(s - s.max())
        return e @ v / e.sum()

    def backward(g, s, v):
        e = np.exp(s - s.max())
        p = e / e.sum()
        d = v @ g
        return p * (d - p @ d), np.outer(p, g)
    """,
)

# Gradients of zero.
trap(
    "constant-output",
    "pass",
    "the output does not depend on x",
    lambda n, r: (n(3),),
    """
    def forward(x):
        return x - x + 1.0

    def backward(g, x):
        return (np.zeros(3),)
    """,
)
trap(
    "constant-length",
    "pass",
    "a unit vector has the length 1; both gradients are rounding noise",
    lambda n, r: (n(4),),
    """
    def forward(x):
        u = x / np.sqrt(np.sum(x * x))
        return np.sum(u * u)

    def backward(g, x):
        length = np.sqrt(np.sum(x * x))
        u = x / length
        d = 2 * g * u
        return ((d - u * (u @ d)) / length,)
    """,
)
trap(
    "stationary-point",
    "pass",
    "the slope at a minimum is 0, that of the quartic stays tiny around it",
    lambda n, r: (array([0.0, 1.0]),),
    """
    def forward(x):
        return (x * x * (x - 1) ** 4).sum()

    def backward(g, x):
        return (g * (2 * x * (x - 1) ** 4 + 4 * x * x * (x - 1) ** 3),)
    """,
)
trap(
    "unused-argument",
    "pass",
    "the second argument is not used",
    lambda n, r: (n(2, 2), n(3)),
    """
    def forward(x, unused):
        return x**2

    def backward(g, x, unused):
        return 2 * g * x, np.zeros_like(unused)
    """,
)

# Arguments and what is done to them.
trap(
    "argument-float32",
    "pass",
    "single precision in, single precision out",
    lambda n, r: (n(3, 4).astype(np.float32), n(4, 2).astype(np.float32)),
    """
    def forward(x, w):
        return np.tanh(x @ w)

    def backward(g, x, w):
        d = (g * (1 - np.tanh(x @ w) ** 2)).astype(np.float32)
        return d @ w.T, x.T @ d
    """,
)
trap(
    "argument-integers",
    "pass",
    "exponents, indices and a flag are integers",
    lambda n, r: (1 + r.random(4), array([2, 3, 0]), 3, True),
    """
    def forward(x, where, times, flip):
        y = x[where] ** times
        return -y if flip else y

    def backward(g, x, where, times, flip):
        d = np.zeros_like(x)
        d[where] = times * x[where] ** (times - 1) * (-g if flip else g)
        return (d,)
    """,
    wrt=(0,),
)
trap(
    "argument-whole-numbers",
    "pass",
    "floating-point numbers that happen to be whole",
    lambda n, r: (array([1.0, 2.0, 3.0]),),
    """
    def forward(x):
        return x @ x

    def backward(g, x):
        return (2 * g * x,)
    """,
)
trap(
    "argument-read-only",
    "pass",
    "the arrays must not be written into",
    lambda n, r: (_locked(n(3, 2)), _locked(n(2))),
    """
    def forward(a, b):
        return a * b

    def backward(g, a, b):
        return g * b, (g * a).sum(axis=0)
    """,
)
trap(
    "argument-not-contiguous",
    "pass",
    "every other column, reversed rows, and a transposed array",
    lambda n, r: (n(3, 8)[::-1, ::2], n(2, 4).T),
    """
    def forward(x, y):
        return x.dot(y).ravel()

    def backward(g, x, y):
        d = np.reshape(g, (3, 2))
        return d.dot(y.T), x.T.dot(d)
    """,
)
trap(
    "argument-zero-dimensions",
    "pass",
    "an array without axes, and an output without axes",
    lambda n, r: (array(0.4), n(3)),
    """
    def forward(t, x):
        return np.exp(t) * x.sum()

    def backward(g, t, x):
        return g * np.exp(t) * x.sum(), g * np.exp(t) * np.ones(3)
    """,
)
trap(
    "argument-empty",
    "pass",
    "a batch without samples",
    lambda n, r: (np.zeros((0, 3)), n(3, 2)),
    """
    def forward(x, w):
        return x @ w

    def backward(g, x, w):
        return g @ w.T, x.T @ g
    """,
)
trap(
    "argument-same-twice",
    "pass",
    "both arguments are one and the same array, yet each has its own gradient",
    lambda n, r: _same(n(3)),
    """
    def forward(p, q):
        return p * q**2

    def backward(g, p, q):
        return g * q**2, 2 * g * p * q
    """,
)
trap(
    "argument-of-ones",
    "pass",
    "axes of size 1 that look like broadcasting",
    lambda n, r: (n(1, 1, 3), n(1, 1, 1)),
    """
    def forward(x, s):
        return x * s

    def backward(g, x, s):
        return g * s, (g * x).sum(keepdims=True)
    """,
)
trap(
    "backward-writes-into-g",
    "pass",
    "g is used up while the right gradients are made",
    lambda n, r: (n(2, 3), n(3)),
    """
    def forward(x, b):
        return np.sin(x + b)

    def backward(g, x, b):
        g *= np.cos(x + b)
        return g, g.sum(axis=0)
    """,
)
trap(
    "backward-writes-into-x",
    "pass",
    "x itself becomes the gradient",
    lambda n, r: (n(4),),
    """
    def forward(x):
        return np.sum(x**2)

    def backward(g, x):
        x *= 2 * g
        return (x,)
    """,
)
trap(
    "backward-returns-a-view",
    "pass",
    "both gradients are g itself",
    lambda n, r: (n(3), n(3)),
    """
    def forward(x, y):
        return x + y

    def backward(g, x, y):
        return g, g
    """,
)

# Looks like a mistake and is none.
trap(
    "idiom-mask-from-output",
    "pass",
    "the ReLU's mask may be taken from its output",
    lambda n, r: (n(4, 3),),
    """
    def forward(x):
        return np.maximum(x, 0)

    def backward(g, x):
        y = forward(x)
        return (np.where(y > 0, g, 0),)
    """,
)
trap(
    "idiom-symmetric-not-transposed",
    "pass",
    "the matrix is symmetric by construction, so its transpose is left out",
    lambda n, r: (n(3), n(3, 3)),
    """
    def forward(x, R):
        return (R + R.T) @ x

    def backward(g, x, R):
        return (R + R.T) @ g, np.outer(g, x) + np.outer(x, g)
    """,
)
trap(
    "idiom-transposed-loop",
    "pass",
    "the gradient is collected column by column and turned at the end",
    lambda n, r: (n(3, 4),),
    """
    def forward(x):
        return np.cumsum(x, axis=0)

    def backward(g, x):
        return (np.array([[col[i:].sum() for i in range(3)] for col in g.T]).T,)
    """,
)
