"""Right gradients that a naive check rejects: kinks, and numbers of every size."""

import numpy as np
from gradient_mistakes import trap

array = np.array

# Kinks at the point, and next to it.
trap(
    "kink-relu-zero-weights",
    "kink",
    "weights of zero put every unit of the layer at the kink",
    lambda n, r: (r.random((3, 2)), np.zeros((2, 4))),
    """
    def forward(x, W):
        return np.maximum(x @ W, 0.0)

    def backward(g, x, W):
        return (x.T @ (g * (x @ W > 0)),)
    """,
    wrt=(1,),
)
trap(
    "kink-relu-slope-one",
    "kink",
    "at 0 this ReLU takes the slope of the right side",
    lambda n, r: (array([0.0, -1.5, 0.0, 2.0]),),
    """
    def forward(x):
        return (x >= 0) * x

    def backward(g, x):
        return (g * (x >= 0),)
    """,
)
trap(
    "kink-mae-exact-prediction",
    "kink",
    "one prediction hits its target exactly",
    lambda n, r: (array([0.5, 2.0, -1.0]), array([0.5, 1.0, 3.0])),
    """
    def forward(p, t):
        return np.abs(p - t).sum()

    def backward(g, p, t):
        return (g * np.sign(p - t),)
    """,
    wrt=(0,),
)
trap(
    "kink-hinge-on-the-margin",
    "kink",
    "a sample lies exactly on the margin",
    lambda n, r: (array([1.0, 0.25, 3.0]), array([1, 1, -1])),
    """
    def forward(score, label):
        return np.maximum(0, 1 - label * score).mean()

    def backward(g, score, label):
        return (-g * label * (label * score < 1) / 3,)
    """,
    wrt=(0,),
)
trap(
    "kink-clip-at-both-bounds",
    "kink",
    "two entries lie on the bounds",
    lambda n, r: (array([[-1.0, 0.3], [1.0, 4.0]]),),
    """
    def forward(x):
        return np.clip(x, -1, 1)

    def backward(g, x):
        return (g * (np.abs(x) <= 1),)
    """,
)
trap(
    "kink-maximum-shared",
    "kink",
    "the largest value stands twice and both entries get a half",
    lambda n, r: (array([2.0, 0.5, 2.0]),),
    """
    def forward(x):
        return x.max()

    def backward(g, x):
        best = x == x.max()
        return (g * best / best.sum(),)
    """,
)
trap(
    "kink-pool-of-zeros",
    "kink",
    "a window holds nothing but zeros; the first one gets the gradient",
    lambda n, r: (array([0.0, 0.0, 1.0, 3.0]),),
    """
    def forward(x):
        return x.reshape(2, 2).max(1)

    def backward(g, x):
        d = np.zeros((2, 2))
        d[[0, 1], x.reshape(2, 2).argmax(1)] = g
        return (d.ravel(),)
    """,
)
trap(
    "kink-length-of-zero",
    "kink",
    "the length of the zero vector; 0 is as good a slope as any",
    lambda n, r: (np.zeros(3),),
    """
    def forward(v):
        return np.sqrt(v @ v)

    def backward(g, v):
        return (g * v / max(np.sqrt(v @ v), 1e-12),)
    """,
)
trap(
    "near-kink-abs",
    "pass-or-kink",
    "the kink is nearer than the usual step of 1e-6",
    lambda n, r: (array([3e-8, -1e-7, 0.4]),),
    """
    def forward(x):
        return np.abs(x)

    def backward(g, x):
        return (g * np.where(x > 0, 1.0, -1.0),)
    """,
)
trap(
    "near-tie-sort",
    "pass-or-kink",
    "two entries are so close that a step swaps them",
    lambda n, r: (array([1.0, 1.0 + 2e-8, -0.5]),),
    """
    def forward(x):
        return np.sort(x) * np.array([1.0, 2.0, 5.0])

    def backward(g, x):
        d = np.empty(3)
        d[np.argsort(x)] = g * np.array([1.0, 2.0, 5.0])
        return (d,)
    """,
)
trap(
    "near-kink-leaky",
    "pass-or-kink",
    "a pre-activation of -1e-9",
    lambda n, r: (array([1e-9]), array([[-1.0, 2.0]])),
    """
    def forward(x, w):
        z = x * w
        return np.where(z > 0, z, 0.01 * z)

    def backward(g, x, w):
        d = g * np.where(x * w > 0, 1.0, 0.01)
        return (d * w).sum(axis=1), d * x
    """,
)

# Looks like a kink and is none.
trap(
    "smooth-huber-at-delta",
    "pass",
    "where the pieces of the Huber loss meet, their slopes agree",
    lambda n, r: (array([1.0, -1.0, 0.2]),),
    """
    def forward(d):
        a = np.abs(d)
        return np.where(a <= 1, d * d / 2, a - 0.5).sum()

    def backward(g, d):
        return (g * np.clip(d, -1, 1),)
    """,
)
trap(
    "smooth-x-times-abs",
    "pass",
    "x |x| is smooth enough at 0",
    lambda n, r: (array([0.0, 0.7, -2.0]),),
    """
    def forward(x):
        return x * np.abs(x)

    def backward(g, x):
        return (2 * g * np.abs(x),)
    """,
)
trap(
    "smooth-pieces",
    "pass",
    "three pieces, the point in the middle of each",
    lambda n, r: (array([-2.0, 0.1, 1.7]),),
    """
    def forward(x):
        return np.piecewise(x, [x < -1, x > 1], [lambda t: -t, lambda t: t**3, lambda t: 4 * t])

    def backward(g, x):
        return (g * np.select([x < -1, x > 1], [-1.0, 3 * x**2], 4.0),)
    """,
)
trap(
    "smooth-root-of-tiny",
    "pass",
    "sqrt(x² + 1e-10) bends sharply, but has a slope everywhere",
    lambda n, r: (array([0.0, 1e-5, -3e-4]),),
    """
    def forward(x):
        return np.sqrt(x * x + 1e-10)

    def backward(g, x):
        return (g * x / np.sqrt(x * x + 1e-10),)
    """,
)
trap(
    "smooth-median",
    "pass",
    "the median of an even number is the mean of the two in the middle",
    lambda n, r: (array([4.0, -1.0, 0.5, 2.0]),),
    """
    def forward(x):
        return np.median(x)

    def backward(g, x):
        d = np.zeros(4)
        d[np.argsort(x)[1:3]] = g / 2
        return (d,)
    """,
)
trap(
    "smooth-steps-between",
    "pass",
    "rounding has the slope 0 between its jumps",
    lambda n, r: (array([0.2, 1.9, -3.3]),),
    """
    def forward(x):
        return np.round(x) + np.sign(x)

    def backward(g, x):
        return (np.zeros_like(x),)
    """,
)
trap(
    "smooth-sawtooth",
    "pass",
    "x - floor(x) has the slope 1 away from the integers",
    lambda n, r: (array([0.5, -2.25, 7.75]),),
    """
    def forward(x):
        return x - np.floor(x)

    def backward(g, x):
        return (+g,)
    """,
)
trap(
    "smooth-branch-not-taken",
    "pass",
    "the logarithm of the branch that is not taken would be undefined",
    lambda n, r: (array([-1.0, 2.0, -0.5, 0.3]),),
    """
    def forward(x):
        safe = np.where(x > 0, x, 1.0)
        return np.where(x > 0, np.log(safe), x)

    def backward(g, x):
        return (g / np.where(x > 0, x, 1.0),)
    """,
)

# Sizes.
trap(
    "scale-inputs-1e-8",
    "pass",
    "a step of 1e-6 is a hundred times the input",
    lambda n, r: (1e-8 * n(4),),
    """
    def forward(x):
        return np.sin(1e8 * x)

    def backward(g, x):
        return (g * 1e8 * np.cos(1e8 * x),)
    """,
)
trap(
    "scale-inputs-1e8",
    "pass",
    "a step of 1e-6 is lost in the rounding of the input",
    lambda n, r: (1e8 * (1 + r.random(3)),),
    """
    def forward(x):
        return np.log(x)

    def backward(g, x):
        return (g / x,)
    """,
)
trap(
    "scale-mixed-in-one-array",
    "pass",
    "entries from 1e-7 to 1e7: no step suits them all",
    lambda n, r: (array([1e-7, 1e-3, 1.0, 1e3, 1e7]),),
    """
    def forward(x):
        return np.log(x)

    def backward(g, x):
        return (g / x,)
    """,
)
trap(
    "scale-two-arguments",
    "pass",
    "gradients of 1e-6 and of 1e6 in one call",
    lambda n, r: (1e6 * n(3), 1e-6 * n(3)),
    """
    def forward(big, small):
        return big * small

    def backward(g, big, small):
        return g * small, g * big
    """,
)
trap(
    "scale-tiny-output",
    "pass",
    "a gradient of 1e-12 is not zero",
    lambda n, r: (n(4),),
    """
    def forward(x):
        return 1e-10 * np.sum(x**3)

    def backward(g, x):
        return (g * 3e-10 * x**2,)
    """,
)
trap(
    "scale-huge-output",
    "pass",
    "an absolute tolerance fails for gradients of 1e12",
    lambda n, r: (n(3, 2),),
    """
    def forward(x):
        return 1e12 * np.exp(x)

    def backward(g, x):
        return (g * 1e12 * np.exp(x),)
    """,
)
trap(
    "offset-large-output",
    "pass",
    "an offset of 1e6 leaves few digits to the difference",
    lambda n, r: (n(4),),
    """
    def forward(x):
        return 1e6 + np.mean(np.tanh(x))

    def backward(g, x):
        return (g * (1 - np.tanh(x) ** 2) / x.size,)
    """,
)
trap(
    "offset-variance-of-large-numbers",
    "pass",
    "the variance of numbers around 1e4",
    lambda n, r: (1e4 + n(5),),
    """
    def forward(x):
        return x.var()

    def backward(g, x):
        return (g * 2 / 5 * (x - x.mean()),)
    """,
)
trap(
    "offset-angle",
    "pass",
    "the angle 1e5 + x loses five digits",
    lambda n, r: (n(3),),
    """
    def forward(x):
        return np.cos(1e5 + x)

    def backward(g, x):
        return (-g * np.sin(1e5 + x),)
    """,
)
trap(
    "cancellation-one-minus-cosine",
    "pass",
    "1 - cos x of a small x keeps half of its digits",
    lambda n, r: (array([1e-3, -2e-3, 5e-3]),),
    """
    def forward(x):
        return (1 - np.cos(x)) * 1e4

    def backward(g, x):
        return (g * np.sin(x) * 1e4,)
    """,
)
trap(
    "curvature-narrow-bell",
    "pass",
    "a bell of width 1e-4: the usual step jumps over its flank",
    lambda n, r: (array([5e-5, -1e-4]),),
    """
    def forward(x):
        return np.exp(-0.5 * (x / 1e-4) ** 2)

    def backward(g, x):
        return (-g * x / 1e-8 * np.exp(-0.5 * (x / 1e-4) ** 2),)
    """,
)
trap(
    "curvature-steep-exponential",
    "pass",
    "exp(40 x) grows by half within a hundredth",
    lambda n, r: (r.random(4),),
    """
    def forward(x):
        return np.exp(40 * x)

    def backward(g, x):
        return (40 * g * np.exp(40 * x),)
    """,
)
trap(
    "oscillation-fast",
    "pass",
    "five thousand radians to the unit",
    lambda n, r: (r.random(4),),
    """
    def forward(x):
        return np.sin(5e3 * x)

    def backward(g, x):
        return (5e3 * g * np.cos(5e3 * x),)
    """,
)
trap(
    "edge-of-the-domain",
    "pass",
    "a step of 1e-5 leaves the domain of the root and of the arccosine",
    lambda n, r: (array([1e-8, 4e-7]), array([1 - 1e-6, -1 + 1e-7])),
    """
    def forward(s, c):
        return np.sqrt(s) + np.arccos(c)

    def backward(g, s, c):
        return g / (2 * np.sqrt(s)), -g / np.sqrt((1 - c) * (1 + c))
    """,
)
trap(
    "near-a-pole",
    "pass",
    "1 / x close to its pole",
    lambda n, r: (array([1e-4, -3e-5]),),
    """
    def forward(x):
        return 1 / x

    def backward(g, x):
        return (-g / x**2,)
    """,
)
