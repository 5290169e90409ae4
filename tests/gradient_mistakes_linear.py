"""Wrong gradients: regression of all sorts, single neurons, penalties."""

import numpy as np
from gradient_mistakes import AXIS, MEAN, OVERWRITTEN, SIGN, TRANSPOSED, TWO, model, slip

model(
    "logistic",
    lambda n, r: (n(4), 0.3, n(6, 4), r.integers(0, 2, 6)),
    """
    def forward(w, b, X, y):
        cost = 0.0
        for i in range(len(X)):
            a = 1 / (1 + np.exp(-(np.dot(w, X[i]) + b)))
            cost -= y[i] * np.log(a) + (1 - y[i]) * np.log(1 - a)
        return cost / len(X)

    def backward(g, w, b, X, y):
        dw, db = np.zeros(w.shape), 0.0
        for i in range(len(X)):
            a = 1 / (1 + np.exp(-(np.dot(w, X[i]) + b)))
            dw += (a - y[i]) * X[i]
            db += a - y[i]
        dw /= len(X)
        db /= len(X)
        return g * dw, g * db
    """,
    slip(
        "logistic-loop-keeps-last",
        "inside the loop over the examples dw is set, not added to: only the last example counts",
        OVERWRITTEN,
        ("dw += (a", "dw = (a"),
    ),
    slip(
        "logistic-loop-bias-not-averaged",
        "the loss is a mean, but db is not divided by the number of examples",
        MEAN,
        ("\n    db /= len(X)", ""),
    ),
    slip(
        "logistic-loop-slope-twice",
        "a - y already holds the slope of the sigmoid; it is multiplied in once more",
        "sigmoid | a * (1 - a) | a (1 - a) | a(1 - a) | a·(1 | a * (1",
        ("dw += (a - y[i]) * X[i]", "dw += (a - y[i]) * a * (1 - a) * X[i]"),
    ),
    slip(
        "logistic-loop-forgets-g",
        "the gradients are not multiplied by the incoming g",
        "incoming | upstream | cotangent | `g`",
        ("return g * dw, g * db", "return dw, db"),
    ),
    wrt=(0, 1),
)

model(
    "logistic",
    lambda n, r: (n(3), n(5, 3), np.sign(n(5))),
    """
    def forward(theta, A, s):
        return np.logaddexp(0, -s * (A @ theta)).sum()

    def backward(g, theta, A, s):
        margin = s * (A @ theta)
        weight = -s / (1 + np.exp(margin))
        return (g * (A.T @ weight),)
    """,
    slip(
        "logistic-margin-exponent-sign",
        "the sigmoid has the wrong sign in its exponent, so it is 1 - sigmoid",
        f"{SIGN} | exp(margin | sigmoid",
        ("np.exp(margin)", "np.exp(-margin)"),
    ),
    slip(
        "logistic-margin-label-forgotten",
        "the chain rule through s * (A @ theta) leaves a factor s; it is missing",
        "label | `s` | -s",
        ("-s / (1", "-1 / (1"),
    ),
    wrt=(0,),
)

model(
    "softmax-regression",
    lambda n, r: (n(3, 5), n(3), n(5, 7), r.multinomial(1, [0.3, 0.3, 0.4], 7).T),
    """
    def forward(W, b, X, Y):
        S = W.dot(X) + b[:, None]
        S = S - S.max(axis=0)
        logp = S - np.log(np.exp(S).sum(axis=0))
        return -(Y * logp).sum() / X.shape[1]

    def backward(g, W, b, X, Y):
        S = W.dot(X) + b[:, None]
        E = np.exp(S - S.max(axis=0))
        P = E / E.sum(axis=0)
        dS = g * (P - Y) / X.shape[1]
        return dS.dot(X.T), dS.sum(axis=1)
    """,
    slip(
        "softmax-regression-normalised-over-batch",
        "the probabilities are normalised over the examples, not over the classes",
        f"{AXIS} | over the examples | over the batch | over the classes",
        ("E / E.sum(axis=0)", "E / E.sum(axis=1, keepdims=True)"),
    ),
    slip(
        "softmax-regression-divided-by-features",
        "divided by X.shape[0], the number of features; the examples are the columns",
        "batch size | number of examples | number of features | shape[1] | shape[0] | 1/n | 1/m",
        ("(P - Y) / X.shape[1]", "(P - Y) / X.shape[0]"),
    ),
    slip(
        "softmax-regression-label-minus-probability",
        "Y - P instead of P - Y: the sign is turned",
        SIGN,
        ("(P - Y)", "(Y - P)"),
    ),
    wrt=(0, 1),
)

model(
    "softmax-regression",
    lambda n, r: (n(4, 3), n(5, 4), np.array([2, 0, 1, 1, 2]), 0.05),
    """
    def forward(W, X, y, lam):
        Z = X @ W
        Z = Z - Z.max(1, keepdims=True)
        lse = np.log(np.exp(Z).sum(1))
        return (lse - Z[np.arange(len(y)), y]).mean() + lam * (W * W).sum()

    def backward(g, W, X, y, lam):
        n = len(y)
        Z = X @ W
        P = np.exp(Z - Z.max(1, keepdims=True))
        P /= P.sum(1, keepdims=True)
        P[np.arange(n), y] -= 1
        return (g * (X.T @ P / n + 2 * lam * W),)
    """,
    slip(
        "softmax-regression-whole-columns",
        "P[:, y] takes 1 from whole columns instead of from one entry for each example",
        "index | arange | one-hot | one hot | correct class | columns | label",
        ("P[np.arange(n), y]", "P[:, y]"),
    ),
    slip(
        "softmax-regression-penalty-half",
        "the penalty is lam * W², its gradient 2 * lam * W; the 2 is missing",
        f"{TWO} | penalt | regulari | weight decay | lam",
        ("2 * lam * W", "lam * W"),
    ),
    slip(
        "softmax-regression-penalty-averaged",
        "the penalty's gradient is divided by n with the rest, though the penalty is no mean",
        "penalt | regulari | weight decay | lam",
        ("X.T @ P / n + 2 * lam * W", "(X.T @ P + 2 * lam * W) / n"),
    ),
    slip(
        "softmax-regression-label-not-subtracted",
        "the line that takes 1 off the probability of the right class is missing",
        "one-hot | one hot | label | correct class | right class | - y | 1 from | -= 1",
        ("\n    P[np.arange(n), y] -= 1", ""),
    ),
    wrt=(0,),
)

model(
    "neuron",
    lambda n, r: (n(5), n(4), 0.7),
    """
    def forward(w, x, target):
        out = np.tanh(np.dot(w, np.append(x, 1.0)))
        return 0.5 * (target - out) ** 2

    def backward(g, w, x, target):
        xb = np.append(x, 1.0)
        out = np.tanh(np.dot(w, xb))
        delta = (out - target) * (1 - out**2)
        return g * delta * xb, g * delta * w[:-1]
    """,
    slip(
        "neuron-sigmoid-slope-for-tanh",
        "out * (1 - out) is the slope of the sigmoid, the neuron is a tanh",
        "tanh | sigmoid",
        ("(1 - out**2)", "out * (1 - out)"),
    ),
    slip(
        "neuron-bias-weight-first",
        "the bias weight is the last entry of w; the first was cut off",
        "off by one | off-by-one | shift | slice | [:-1] | roll | bias | neighbour",
        ("w[:-1]", "w[1:]"),
    ),
    slip(
        "neuron-weight-for-input",
        "the gradient of the weights was multiplied by the weights, not by the inputs",
        "input | xb | `x` | instead of | `w`",
        ("g * delta * xb", "g * delta * w"),
    ),
    slip(
        "neuron-target-minus-output",
        "target - out belongs to the update rule; the gradient has out - target",
        SIGN,
        ("(out - target)", "(target - out)"),
    ),
    wrt=(0, 1),
)

model(
    "poisson-regression",
    lambda n, r: (n(3) / 2, n(6, 3), r.poisson(2.0, 6)),
    """
    def forward(beta, X, counts):
        eta = X.dot(beta)
        return np.mean(np.exp(eta) - counts * eta)

    def backward(g, beta, X, counts):
        eta = X.dot(beta)
        return (g * X.T.dot(np.exp(eta) - counts) / len(counts),)
    """,
    slip(
        "poisson-linear-residual",
        "the residual of linear regression: eta - counts without the exp of the link",
        "exp( | np.exp | `exp` | exponenti | exp of",
        ("np.exp(eta) - counts)", "eta - counts)"),
    ),
    wrt=(0,),
)

model(
    "elastic-net",
    lambda n, r: (n(4), n(6, 4), n(6), 0.2, 0.3),
    """
    def forward(w, X, t, l1, l2):
        r = X @ w - t
        return r @ r / (2 * len(t)) + l1 * np.abs(w).sum() + 0.5 * l2 * (w @ w)

    def backward(g, w, X, t, l1, l2):
        r = X @ w - t
        grad = X.T @ r / len(t)
        grad += l1 * np.sign(w)
        grad += l2 * w
        return (g * grad,)
    """,
    slip(
        "elastic-net-l1-value",
        "the derivative of |w| is sign(w), not |w|",
        "sign | l1 | abs",
        ("np.sign(w)", "np.abs(w)"),
    ),
    slip(
        "elastic-net-l1-without-sign",
        "l1 is added to every entry whatever the sign of w",
        "sign | l1",
        ("l1 * np.sign(w)", "l1"),
    ),
    slip(
        "elastic-net-data-term-lost",
        "the last line sets grad where it should add: the rest of the gradient is lost",
        f"{OVERWRITTEN} | term",
        ("grad += l2 * w", "grad = l2 * w"),
    ),
    slip(
        "elastic-net-data-term-doubled",
        "the loss is divided by 2n, so the 2 of the square is gone; here it is still there",
        TWO,
        ("X.T @ r / len(t)", "2 * X.T @ r / len(t)"),
    ),
    wrt=(0,),
)

model(
    "ridge",
    lambda n, r: (n(4, 2), n(5, 3), n(5, 2)),
    """
    def forward(W, X, Y):
        H = W[0] + X @ W[1:]
        return np.mean((H - Y) ** 2) + 0.5 * np.sum(W[1:] ** 2)

    def backward(g, W, X, Y):
        D = 2 * (W[0] + X @ W[1:] - Y) / Y.size
        dW = np.vstack([D.sum(axis=0), X.T @ D])
        dW[1:] += W[1:]
        return (g * dW,)
    """,
    slip(
        "ridge-divided-by-rows",
        "the mean runs over all entries of Y, not only over its rows",
        f"{MEAN} | factor 2 | 2 times | twice | columns",
        ("/ Y.size", "/ len(Y)"),
    ),
    slip(
        "ridge-bias-penalised",
        "the penalty leaves out the bias in row 0, its gradient does not",
        "bias | penalt | regulari | first row | row 0 | [1:] | w[0]",
        ("dW[1:] += W[1:]", "dW += W"),
    ),
    slip(
        "ridge-bias-row-last",
        "the gradient of the bias was put into the last row, W has it in the first",
        "order | bias | roll | permut | shift | first row",
        ("[D.sum(axis=0), X.T @ D]", "[X.T @ D, D.sum(axis=0)]"),
    ),
    wrt=(0,),
)

model(
    "rbf",
    lambda n, r: (n(5, 2), n(3, 2), 0.8 + r.random(3)),
    """
    def forward(x, c, s):
        d2 = ((x[:, None, :] - c[None, :, :]) ** 2).sum(-1)
        return np.exp(-d2 / (2 * s**2))

    def backward(g, x, c, s):
        diff = x[:, None, :] - c[None, :, :]
        d2 = (diff**2).sum(-1)
        k = g * np.exp(-d2 / (2 * s**2))
        pull = (k / s**2)[:, :, None] * diff
        dx = -pull.sum(axis=1)
        dc = pull.sum(axis=0)
        ds = (k * d2 / s**3).sum(axis=0)
        return dx, dc, ds
    """,
    slip(
        "rbf-centres-sign",
        "the centre enters with a minus: its gradient has the other sign than that of x",
        SIGN,
        ("dc = pull", "dc = -pull"),
    ),
    slip(
        "rbf-width-power",
        "the derivative of s**-2 has s**3 below, not s**2",
        "s**3 | s³ | s^3 | power | exponent | s**-3 | `s` | 1/s | / s",
        ("d2 / s**3", "d2 / s**2"),
    ),
    slip(
        "rbf-width-not-squared-below",
        "the exponent is divided by 2s², the difference here only by s",
        "s**2 | s² | s^2 | power | square | `s` | 1/s | / s",
        ("(k / s**2)", "(k / s)"),
    ),
)

model(
    "matrix-factorisation",
    lambda n, r: (n(4, 2), n(4, 2), n(4, 4), (r.random((4, 4)) < 0.6).astype(float)),
    """
    def forward(U, V, R, M):
        return 0.5 * np.sum(M * (R - U @ V.T) ** 2)

    def backward(g, U, V, R, M):
        E = g * M * (U @ V.T - R)
        return E @ V, E.T @ U
    """,
    slip(
        "factorisation-unobserved-counted",
        "the mask of the observed ratings is missing",
        "mask | `m`",
        ("g * M * (U", "g * (U"),
    ),
    slip(
        "factorisation-errors-not-transposed",
        "E has to be transposed for V; it is square, so the shapes do not tell",
        TRANSPOSED,
        ("E.T @ U", "E @ U"),
    ),
    wrt=(0, 1),
)
