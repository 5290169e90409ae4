"""Wrong gradients: losses that compare pairs, and the softmax with its relatives."""

import numpy as np
from gradient_mistakes import AXIS, MEAN, PATH, PRODUCT, SIGN, TRANSPOSED, TWO, model, slip

model(
    "contrastive",
    lambda n, r: (n(6, 2), n(6, 2), np.array([1, 0, 0, 1, 0, 0])),
    """
    margin = 4.0

    def forward(a, b, same):
        d = np.sqrt(((a - b) ** 2).sum(axis=1))
        return np.mean(same * d**2 + (1 - same) * np.maximum(margin - d, 0) ** 2)

    def backward(g, a, b, same):
        diff = a - b
        d = np.sqrt((diff**2).sum(axis=1))
        pull = 2 * same * d
        push = 2 * (1 - same) * np.maximum(margin - d, 0)
        dd = g * (pull - push) / len(a)
        da = (dd / d)[:, None] * diff
        return da, -da
    """,
    slip(
        "contrastive-direction-not-normalised",
        "the gradient of a distance is the unit vector diff / d; it is not divided by d",
        "`d` | / d | norm | unit | distance | length | sqrt",
        ("(dd / d)[:, None]", "dd[:, None]"),
    ),
    slip(
        "contrastive-both-the-same",
        "a - b: the gradient of b is minus that of a",
        SIGN,
        ("return da, -da", "return da, da"),
    ),
    slip(
        "contrastive-push-becomes-pull",
        "different pairs are pushed apart: margin - d has the slope -1",
        SIGN,
        ("(pull - push)", "(pull + push)"),
    ),
    wrt=(0, 1),
)

model(
    "triplet",
    lambda n, r: (n(7, 3), n(7, 3), n(7, 3)),
    """
    def forward(anchor, pos, neg):
        near = ((anchor - pos) ** 2).sum(1)
        far = ((anchor - neg) ** 2).sum(1)
        return np.maximum(0, near - far + 0.5).sum()

    def backward(g, anchor, pos, neg):
        near = ((anchor - pos) ** 2).sum(1)
        far = ((anchor - neg) ** 2).sum(1)
        active = (near - far + 0.5 > 0)[:, None] * g
        return (
            2 * active * (neg - pos),
            2 * active * (pos - anchor),
            2 * active * (anchor - neg),
        )
    """,
    slip(
        "triplet-satisfied-ones-counted",
        "triplets that keep the margin have no loss; the mask is missing",
        "mask | margin | active | hinge",
        ("active = (near - far + 0.5 > 0)[:, None] * g", "active = g"),
    ),
    slip(
        "triplet-anchor-pull-only",
        "the anchor stands in both distances; the one to the negative is missing",
        f"{PATH} | term | `neg` | negative sample",
        ("2 * active * (neg - pos)", "2 * active * (anchor - pos)"),
    ),
    slip(
        "triplet-negative-pulled",
        "the negative is pushed away; here it is pulled",
        SIGN,
        ("2 * active * (anchor - neg)", "2 * active * (neg - anchor)"),
    ),
)

model(
    "label-smoothing",
    lambda n, r: (n(4, 5), np.array([1, 4, 0, 1])),
    """
    eps = 0.2

    def forward(logits, y):
        n, k = logits.shape
        logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -((1 - eps) * logp[range(n), y].mean() + eps * logp.mean())

    def backward(g, logits, y):
        n, k = logits.shape
        target = np.full((n, k), eps / k)
        target[range(n), y] += 1 - eps
        e = np.exp(logits)
        return (g * (e / e.sum(axis=1, keepdims=True) - target) / n,)
    """,
    slip(
        "smoothing-hard-target",
        "the targets are not smoothed: the plain one-hot gradient",
        "smooth | eps | target | 0.2",
        ("np.full((n, k), eps / k)", "np.zeros((n, k))"),
        ("+= 1 - eps", "+= 1"),
    ),
    slip(
        "smoothing-target-set",
        "the right class has 1 - eps and its share eps / k; the share was overwritten",
        "overwr | += | eps | target | smooth",
        ("target[range(n), y] += 1 - eps", "target[range(n), y] = 1 - eps"),
    ),
    wrt=(0,),
)

model(
    "cosine",
    lambda n, r: (n(5), n(5)),
    """
    def forward(u, v):
        return 1 - u @ v / (np.linalg.norm(u) * np.linalg.norm(v))

    def backward(g, u, v):
        nu, nv = np.linalg.norm(u), np.linalg.norm(v)
        c = u @ v / (nu * nv)
        du = c * u / nu**2 - v / (nu * nv)
        dv = c * v / nv**2 - u / (nu * nv)
        return g * du, g * dv
    """,
    slip(
        "cosine-norm-held-constant",
        "the norm of u depends on u as well: the part along u is missing",
        f"norm | quotient | {PRODUCT} | project | c * u",
        ("du = c * u / nu**2 - v / (nu * nv)", "du = -v / (nu * nv)"),
    ),
    slip(
        "cosine-norms-swapped",
        "the part along v is divided by the square of its own norm, not that of u",
        "norm | nv | swap | instead of",
        ("c * v / nv**2", "c * v / nu**2"),
    ),
)

model(
    "dice",
    lambda n, r: (r.random((3, 4)), (r.random((3, 4)) < 0.5).astype(float)),
    """
    def forward(p, t):
        return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())

    def backward(g, p, t):
        top, low = 2 * (p * t).sum(), p.sum() + t.sum()
        return (-g * (2 * t * low - top) / low**2,)
    """,
    slip(
        "dice-below-held-constant",
        "p also stands below: the second term of the quotient rule is missing",
        f"quotient | {PRODUCT} | `top` | denominator",
        ("(2 * t * low - top) / low**2", "2 * t / low"),
    ),
    slip(
        "dice-quotient-terms-added",
        "the quotient rule subtracts its second term",
        SIGN,
        ("(2 * t * low - top)", "(2 * t * low + top)"),
    ),
    wrt=(0,),
)

model(
    "info-nce",
    lambda n, r: (n(4, 4), n(4, 4)),
    """
    tau = 0.5

    def forward(A, B):
        S = A @ B.T / tau
        return (np.log(np.exp(S).sum(axis=1)) - np.diag(S)).mean()

    def backward(g, A, B):
        S = A @ B.T / tau
        E = np.exp(S)
        D = E / E.sum(axis=1)[:, None] - np.eye(len(A))
        D *= g / (len(A) * tau)
        return D @ B, D.T @ A
    """,
    slip(
        "info-nce-pairs-not-transposed",
        "D runs over (row of A, row of B); for B it has to be transposed",
        TRANSPOSED,
        ("D.T @ A", "D @ A"),
    ),
    slip(
        "info-nce-temperature-forgotten",
        "the scores are divided by tau, their gradient is not",
        f"tau | temperature | {TWO}",
        ("(len(A) * tau)", "len(A)"),
    ),
    slip(
        "info-nce-rows-without-new-axis",
        "the sums of the rows divide the columns: the new axis is missing",
        f"{AXIS} | keepdims | broadcast | column",
        ("E.sum(axis=1)[:, None]", "E.sum(axis=1)"),
    ),
)

model(
    "softmax",
    lambda n, r: (n(3, 4),),
    """
    def forward(Z):
        rows = []
        for z in Z:
            e = np.exp(z - max(z))
            rows.append(e / sum(e))
        return np.array(rows)

    def backward(g, Z):
        out = np.empty_like(Z)
        for i, p in enumerate(forward(Z)):
            J = np.diag(p) - np.outer(p, p)
            out[i] = J @ g[i]
        return (out,)
    """,
    slip(
        "softmax-diagonal-only",
        "only the diagonal p (1 - p) of the Jacobian, as for sigmoids; the rest is missing",
        "diagonal | jacobian | sigmoid | cross term | other outputs | each other",
        ("np.diag(p) - np.outer(p, p)", "np.diag(p * (1 - p))"),
    ),
    slip(
        "softmax-jacobian-sign",
        "the outer product is subtracted from the diagonal, not added",
        SIGN,
        ("np.diag(p) - np", "np.diag(p) + np"),
    ),
)

model(
    "softmax",
    lambda n, r: (n(2, 3),),
    """
    def forward(x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return e / np.sum(e, axis=-1, keepdims=True)

    def backward(g, x):
        y = forward(x)
        return (y * (g - np.sum(g * y, axis=-1, keepdims=True)),)
    """,
    slip(
        "softmax-plain-mean",
        "g is averaged over the classes, where it is weighted by the softmax",
        "mean & weighted",
        ("np.sum(g * y, axis=-1, keepdims=True)", "np.mean(g, axis=-1, keepdims=True)"),
    ),
    slip(
        "softmax-plain-sum",
        "g is summed over the classes, where it is weighted by the softmax",
        "sum & weighted",
        ("np.sum(g * y, axis=-1, keepdims=True)", "np.sum(g, axis=-1, keepdims=True)"),
    ),
)

model(
    "softmax",
    lambda n, r: (n(5, 3), 1.7),
    """
    def forward(z, T):
        e = np.exp((z - z.max(0)) / T)
        return e / e.sum(0)

    def backward(g, z, T):
        p = forward(z, T)
        ds = p * g - p * (p * g).sum(0)
        return ds / T, -(ds * z).sum() / T**2
    """,
    slip(
        "temperature-inner-factor",
        "the logits are divided by T, their gradient is not",
        "temperature | `t` | 1/t | / t | 1.7",
        ("return ds / T,", "return ds,"),
    ),
    slip(
        "temperature-not-squared",
        "the derivative of 1 / T is -1 / T²",
        "square | t**2 | t² | power | t^2 | `t` | / t | 1/t",
        ("/ T**2", "/ T"),
    ),
    slip(
        "temperature-softmax-inner-sum-axis",
        "the inner sum runs over the samples where it should run over the classes",
        AXIS,
        ("(p * g).sum(0)", "(p * g).sum(1, keepdims=True)"),
    ),
)

model(
    "log-softmax",
    lambda n, r: (n(4, 4),),
    """
    def forward(x):
        top = x.max(axis=0, keepdims=True)
        return x - top - np.log(np.exp(x - top).sum(axis=0, keepdims=True))

    def backward(g, x):
        p = np.exp(forward(x))
        return (g - p * g.sum(axis=0, keepdims=True),)
    """,
    slip(
        "log-softmax-incoming-not-summed",
        "the normaliser gets the sum of g over its column, here each entry gets its own",
        "sum | normalis",
        ("p * g.sum(axis=0, keepdims=True)", "p * g"),
    ),
    slip(
        "log-softmax-keepdims-forgotten",
        "without keepdims the sums over the rows spread along the wrong axis",
        f"{AXIS} | keepdims | broadcast",
        ("g.sum(axis=0, keepdims=True),)", "g.sum(axis=1),)"),
    ),
    slip(
        "log-softmax-log-probability-for-probability",
        "p are the log-probabilities; they were not exponentiated",
        "exp( | np.exp | `exp` | exponenti | exp of",
        ("p = np.exp(forward(x))", "p = forward(x)"),
    ),
)

model(
    "logsumexp",
    lambda n, r: (n(3, 5),),
    """
    def forward(a):
        m = a.max(axis=1)
        return m + np.log(np.exp(a - m[:, None]).sum(axis=1))

    def backward(g, a):
        w = np.exp(a - forward(a)[:, None])
        return (g[:, None] * w,)
    """,
    slip(
        "logsumexp-hard-maximum",
        "the whole gradient goes to the largest entry, as if it were a maximum",
        "softmax | max | exp( | np.exp | `exp` | exponenti | exp of",
        ("w = np.exp(a - forward(a)[:, None])", "w = 1.0 * (a == a.max(axis=1)[:, None])"),
    ),
    slip(
        "logsumexp-divided-by-width",
        "divided by the number of entries, as for a mean",
        f"{MEAN} | 1/5 | factor 5 | 5 times",
        ("g[:, None] * w", "g[:, None] * w / a.shape[1]"),
    ),
)

model(
    "log-cosh",
    lambda n, r: (n(6), n(6)),
    """
    def forward(p, t):
        return np.log(np.cosh(p - t)).sum()

    def backward(g, p, t):
        slope = np.tanh(p - t)
        return g * slope, g * -slope
    """,
    slip(
        "log-cosh-slope-of-tanh",
        "the slope of log cosh is tanh itself, not the slope of the tanh",
        "tanh | derivative of | slope of",
        ("slope = np.tanh(p - t)", "slope = 1 - np.tanh(p - t) ** 2"),
    ),
)
