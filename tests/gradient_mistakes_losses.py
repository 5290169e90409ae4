"""Wrong gradients: loss functions."""

import numpy as np
from gradient_mistakes import AXIS, MEAN, PRODUCT, SIGN, TRANSPOSED, TWO, model, slip

model(
    "mse",
    lambda n, r: (n(4, 3), n(4, 3), r.random(4)),
    """
    def forward(pred, target, weight):
        return np.average((pred - target) ** 2 * weight[:, None])

    def backward(g, pred, target, weight):
        gap = pred - target
        scale = 2.0 / gap.size
        return g * scale * weight[:, None] * gap, -g * scale * weight[:, None] * gap
    """,
    slip(
        "mse-two-forgotten",
        "the 2 of the square is missing",
        TWO,
        ("2.0 / gap.size", "1.0 / gap.size"),
    ),
    slip(
        "mse-sample-weight-forgotten",
        "the prediction's gradient leaves out the weights of the samples",
        "weight",
        ("return g * scale * weight[:, None] * gap", "return g * scale * gap"),
    ),
    slip(
        "mse-target-gets-same-sign",
        "the target enters with a minus, its gradient does not",
        SIGN,
        ("-g * scale", "g * scale"),
    ),
    wrt=(0, 1),
)

model(
    "rmse",
    lambda n, r: (n(5), n(5)),
    """
    def forward(p, t):
        return np.sqrt(np.mean(np.square(p - t)))

    def backward(g, p, t):
        diff = p - t
        root = np.sqrt(np.mean(diff**2))
        return (g * diff / (diff.size * root),)
    """,
    slip(
        "rmse-root-forgotten",
        "the derivative of the square root, one over the root, is missing",
        "root | sqrt",
        ("(diff.size * root)", "diff.size"),
    ),
    slip(
        "rmse-size-forgotten",
        "the mean under the root leaves 1/n; it is missing",
        MEAN,
        ("(diff.size * root)", "root"),
    ),
    wrt=(0,),
)

model(
    "mae",
    lambda n, r: (n(3, 2), n(3, 2)),
    """
    def forward(guess, truth):
        return np.abs(truth - guess).mean()

    def backward(g, guess, truth):
        return (-g * np.sign(truth - guess) / guess.size,)
    """,
    slip(
        "mae-sign-of-prediction",
        "the sign is that of the residual, not of the prediction",
        "residual | difference | truth - guess | guess - truth | sign of",
        ("-g * np.sign(truth - guess)", "g * np.sign(guess)"),
    ),
    slip(
        "mae-inner-minus",
        "truth - guess leaves a minus for guess",
        SIGN,
        ("(-g *", "(g *"),
    ),
    wrt=(0,),
)

model(
    "huber",
    lambda n, r: (3 * n(9), n(9)),
    """
    delta = 1.25

    def forward(a, b):
        e = np.abs(a - b)
        return np.sum(np.where(e <= delta, 0.5 * e * e, delta * (e - 0.5 * delta)))

    def backward(g, a, b):
        out = []
        for u, v in zip(a, b):
            d = u - v
            if abs(d) <= delta:
                out.append(d)
            else:
                out.append(delta * np.sign(d))
        return g * np.array(out), -g * np.array(out)
    """,
    slip(
        "huber-tail-without-sign",
        "the linear part has the slope delta or -delta; the sign is missing",
        SIGN,
        ("delta * np.sign(d)", "delta"),
    ),
    slip(
        "huber-tail-without-delta",
        "the linear part has the slope ±delta, not ±1",
        "delta | 1.25",
        ("delta * np.sign(d)", "np.sign(d)"),
    ),
    slip(
        "huber-branches-without-abs",
        "d is compared without its absolute value: large negative gaps count as small",
        "abs | branch | condition | negative gap | clip | threshold | tail",
        ("if abs(d) <= delta", "if d <= delta"),
    ),
)

model(
    "quantile",
    lambda n, r: (n(6), n(6), 0.8),
    """
    def forward(q, y, tau):
        u = y - q
        return np.mean(np.maximum(tau * u, (tau - 1) * u))

    def backward(g, q, y, tau):
        over = (y > q).astype(float)
        dq = (1 - tau) * (1 - over) - tau * over
        return (g * dq / q.shape[0],)
    """,
    slip(
        "quantile-sides-swapped",
        "tau and 1 - tau are swapped between the two sides",
        "swap | tau | side | branch | exchang",
        ("(1 - tau) * (1 - over) - tau * over", "tau * (1 - over) - (1 - tau) * over"),
    ),
    wrt=(0,),
)

model(
    "hinge",
    lambda n, r: (n(4), n(8, 4), np.sign(n(8))),
    """
    def forward(w, X, s):
        return np.maximum(0, 1 - s * X.dot(w)).mean()

    def backward(g, w, X, s):
        dw = np.zeros_like(w)
        for xi, si in zip(X, s):
            if si * (xi @ w) < 1:
                dw -= si * xi
        return (g * dw / len(s),)
    """,
    slip(
        "hinge-perceptron-condition",
        "the margin is 1: the condition of the perceptron, s x w < 0, leaves out the near ones",
        "margin | mask | < 1 | condition | hinge",
        ("(xi @ w) < 1", "(xi @ w) < 0"),
    ),
    slip(
        "hinge-label-not-in-update",
        "the label is missing in the update of an example",
        "label | si * xi | `si` | `s`",
        ("dw -= si * xi", "dw -= xi"),
    ),
    slip(
        "hinge-divided-in-the-loop",
        "the division by n stands inside the loop: early examples are divided again and again",
        "loop | divid | 1/n",
        ("dw -= si * xi", "dw = (dw - si * xi) / len(s)"),
        ("g * dw / len(s)", "g * dw"),
    ),
    wrt=(0,),
)

model(
    "multiclass-hinge",
    lambda n, r: (n(4, 6), np.array([0, 2, 1, 3, 3, 0])),
    """
    def forward(S, y):
        m = np.arange(S.shape[1])
        gaps = np.maximum(0, S - S[y, m] + 1) ** 2
        gaps[y, m] = 0
        return gaps.sum() / len(m)

    def backward(g, S, y):
        m = np.arange(S.shape[1])
        gaps = np.maximum(0, S - S[y, m] + 1)
        gaps[y, m] = 0
        dS = 2 * gaps
        dS[y, m] = -2 * gaps.sum(axis=0)
        return (g * dS / len(m),)
    """,
    slip(
        "multiclass-hinge-right-class-once",
        "the right class loses the sum of all gaps, not only the largest",
        "sum | max | all gaps | correct class | right class",
        ("-2 * gaps.sum(axis=0)", "-2 * gaps.max(axis=0)"),
    ),
    slip(
        "multiclass-hinge-right-class-forgotten",
        "the score of the right class stands in every gap; its gradient is missing",
        "correct class | right class | s[y, m] | sum | true class | label",
        ("\n    dS[y, m] = -2 * gaps.sum(axis=0)", ""),
    ),
    slip(
        "multiclass-hinge-not-squared-slope",
        "the gaps are squared: the slope is 2 * gap, not a 0 or 1",
        f"square | 2 * gap | {TWO}",
        ("dS = 2 * gaps", "dS = 2.0 * (gaps > 0)"),
    ),
    wrt=(0,),
)

model(
    "cross-entropy",
    lambda n, r: (n(4, 4), np.array([3, 0, 1, 1])),
    """
    def forward(Z, labels):
        P = np.exp(Z) / np.exp(Z).sum(axis=0)
        return -np.mean([np.log(P[c, j]) for j, c in enumerate(labels)])

    def backward(g, Z, labels):
        m = len(labels)
        dZ = np.exp(Z) / np.exp(Z).sum(axis=0)
        dZ[labels, np.arange(m)] -= 1
        return (g * dZ / m,)
    """,
    slip(
        "cross-entropy-indices-swapped",
        "classes are rows: the label has to be the first index; a square array hides it",
        f"index | swap | {TRANSPOSED} | label | one-hot | {AXIS}",
        ("dZ[labels, np.arange(m)]", "dZ[np.arange(m), labels]"),
    ),
    slip(
        "cross-entropy-labels-counted-from-one",
        "the labels count from 0, here 1 was taken off them",
        "off by one | off-by-one | label | shift | one-hot | index",
        ("dZ[labels, np", "dZ[labels - 1, np"),
    ),
    slip(
        "cross-entropy-not-averaged",
        "the loss is a mean over the columns, the gradient is not divided by m",
        f"{MEAN} | `m`",
        ("g * dZ / m", "g * dZ"),
    ),
    wrt=(0,),
)

model(
    "cross-entropy",
    lambda n, r: (r.dirichlet([2, 2, 2], 4), np.eye(3)[[0, 2, 2, 1]]),
    """
    def forward(P, Y):
        return -np.sum(np.log(P) * Y) / len(P)

    def backward(g, P, Y):
        dP = np.divide(-Y, P)
        return (g / len(P) * dP,)
    """,
    slip(
        "cross-entropy-fused-shortcut",
        "P - Y is the gradient of the logits; that of the probabilities is -Y / P",
        "logit | softmax | p - y | 1 / p | / p | divide",
        ("np.divide(-Y, P)", "P - Y"),
    ),
    slip(
        "cross-entropy-binary-formula",
        "the formula of the binary loss, with a term for 1 - Y that this loss has not",
        "binary | 1 - y | (1 - p) | 1 - p | bce",
        ("np.divide(-Y, P)", "(P - Y) / (P * (1 - P))"),
    ),
    wrt=(0,),
)

model(
    "bce-logits",
    lambda n, r: (n(3, 4), r.integers(0, 2, (3, 4)), 3.0),
    """
    def forward(z, y, pos):
        softplus = np.logaddexp(0, -z)
        return np.mean((1 - y) * z + (1 + (pos - 1) * y) * softplus)

    def backward(g, z, y, pos):
        s = 1 / (1 + np.exp(-z))
        weight = 1 + (pos - 1) * y
        return (g * (1 - y - weight * (1 - s)) / z.size,)
    """,
    slip(
        "bce-positive-weight-ignored",
        "the weight of the positive examples is missing in the gradient",
        "weight | `pos` | positive",
        ("- weight * (1 - s)", "- (1 - s)"),
    ),
    slip(
        "bce-weight-counted-once-more",
        "the weight of a positive example is pos, which is 1 + (pos - 1); here it is 1 + pos",
        "weight | `pos` | positive",
        ("(pos - 1) * y\n    return (g", "pos * y\n    return (g"),
    ),
    wrt=(0,),
)

model(
    "kl",
    lambda n, r: (r.dirichlet([3, 3, 3, 3]), r.dirichlet([3, 3, 3, 3])),
    """
    def forward(p, q):
        return np.sum(p * (np.log(p) - np.log(q)))

    def backward(g, p, q):
        dp = np.log(p) - np.log(q) + 1
        dq = -p / q
        return g * dp, g * dq
    """,
    slip(
        "kl-plus-one-forgotten",
        "p also stands in log p: p / p = 1 is missing",
        f"+ 1 | constant | offset | p / p | 1 is missing | {PRODUCT}",
        ("np.log(q) + 1", "np.log(q)"),
    ),
    slip(
        "kl-second-argument-sign",
        "log q enters with a minus",
        SIGN,
        ("dq = -p / q", "dq = p / q"),
    ),
    slip(
        "kl-ratio-upside-down",
        "the derivative of -p log q by q is -p / q, not -q / p",
        "p / q | upside | invert | reciprocal | swap | ratio | quotient",
        ("dq = -p / q", "dq = -q / p"),
    ),
)

model(
    "kl",
    lambda n, r: (n(5, 2), n(5, 2)),
    """
    def forward(mu, logvar):
        return -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))

    def backward(g, mu, logvar):
        return g * mu, g * 0.5 * (np.exp(logvar) - 1)
    """,
    slip(
        "kl-gauss-half-cancelled-wrongly",
        "the 0.5 cancels with the 2 of mu²; 2 mu is too much",
        TWO,
        ("return g * mu,", "return 2 * g * mu,"),
    ),
    slip(
        "kl-gauss-variance-not-exponentiated",
        "the derivative of exp(logvar) is exp(logvar), not logvar",
        "exp( | np.exp | `exp` | exponenti | exp of",
        ("(np.exp(logvar) - 1)", "(logvar - 1)"),
    ),
    slip(
        "kl-gauss-constant-kept",
        "logvar has the slope 1 and leaves the - 1; it is missing",
        "- 1 | constant | offset | term | -0.5 | 0.5",
        ("(np.exp(logvar) - 1)", "np.exp(logvar)"),
    ),
)

model(
    "focal",
    lambda n, r: (0.1 + 0.8 * r.random(6), 2.0),
    """
    def forward(p, gamma):
        return -np.sum((1 - p) ** gamma * np.log(p))

    def backward(g, p, gamma):
        focus = (1 - p) ** gamma
        dfocus = -gamma * (1 - p) ** (gamma - 1)
        return (-g * (dfocus * np.log(p) + focus / p),)
    """,
    slip(
        "focal-weight-held-constant",
        "the focusing weight depends on p as well; its term of the product rule is missing",
        f"{PRODUCT} | dfocus | log(p)",
        ("(dfocus * np.log(p) + focus / p)", "focus / p"),
    ),
    slip(
        "focal-inner-minus",
        "1 - p has the slope -1; the minus is missing",
        SIGN,
        ("dfocus = -gamma", "dfocus = gamma"),
    ),
    slip(
        "focal-exponent-not-lowered",
        "the derivative of u**gamma is gamma * u**(gamma - 1); the exponent stayed",
        "exponent | power | gamma - 1",
        ("** (gamma - 1)", "** gamma"),
    ),
    wrt=(0,),
)
