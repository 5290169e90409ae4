"""Wrong gradients: functions applied entry by entry, with and without parameters."""

from gradient_mistakes import AXIS, INPLACE, PRODUCT, SIGN, TWO, UNSUMMED, model, slip

SLOPE = "derivative of | slope of | derivative is"

model(
    "prelu",
    lambda n, r: (n(5, 3), r.random(3)),
    """
    def forward(x, a):
        return np.maximum(x, 0) + a * np.minimum(x, 0)

    def backward(g, x, a):
        slope = np.where(x > 0, 1.0, a)
        return g * slope, (g * np.minimum(x, 0)).sum(axis=0)
    """,
    slip(
        "prelu-branches-swapped",
        "the two sides of the kink are swapped: a belongs to the negative one",
        "swap | branch | invert | exchang | negative side | x < 0 | mask | x > 0",
        ("np.where(x > 0, 1.0, a)", "np.where(x > 0, a, 1.0)"),
    ),
    slip(
        "prelu-positive-part-for-a",
        "a multiplies the negative part of x, not the positive one",
        f"{SIGN} | minimum",
        ("np.minimum(x, 0)).sum", "np.maximum(x, 0)).sum"),
    ),
    slip(
        "prelu-slope-not-summed",
        "a serves every row; its gradient has to be summed over them",
        f"{UNSUMMED} | shape",
        ("(g * np.minimum(x, 0)).sum(axis=0)", "g * np.minimum(x, 0)"),
    ),
)

model(
    "elu",
    lambda n, r: (n(4, 3),),
    """
    def forward(x, alpha=1.5):
        return np.where(x > 0, x, alpha * (np.exp(x) - 1))

    def backward(g, x, alpha=1.5):
        dx = np.ones_like(x)
        neg = x <= 0
        dx[neg] = alpha * np.exp(x[neg])
        return (g * dx,)
    """,
    slip(
        "elu-value-for-slope",
        "alpha (exp(x) - 1) is the value on the negative side; its slope has no - 1",
        f"{SLOPE} | exp( | np.exp | `exp` | exponenti | exp of",
        ("alpha * np.exp(x[neg])", "alpha * (np.exp(x[neg]) - 1)"),
    ),
    slip(
        "elu-alpha-forgotten",
        "the factor alpha on the negative side is missing",
        "alpha | 1.5",
        ("alpha * np.exp(x[neg])", "np.exp(x[neg])"),
    ),
    wrt=(0,),
)

model(
    "gelu",
    lambda n, r: (1.5 * n(7),),
    """
    c, k = np.sqrt(2 / np.pi), 0.044715

    def forward(x):
        return 0.5 * x * (1 + np.tanh(c * (x + k * x**3)))

    def backward(g, x):
        th = np.tanh(c * (x + k * x**3))
        inner = c * (1 + 3 * k * x**2)
        left = 0.5 * (1 + th)
        right = 0.5 * x * (1 - th**2) * inner
        return (g * (left + right),)
    """,
    slip(
        "gelu-cubic-exponent",
        "the derivative of x³ is 3x²; the 3 is missing",
        "factor 3 | 3 * k | 3x | 3 x | x³ | x**3 | inner | cub | x^3 | chain",
        ("3 * k * x**2", "k * x**2"),
    ),
    slip(
        "gelu-second-factor-only",
        "the product rule has two terms: the one that differentiates x is missing",
        PRODUCT,
        ("(left + right)", "right"),
    ),
    slip(
        "gelu-inner-function-forgotten",
        "the chain rule through the argument of the tanh is missing",
        "inner | chain",
        ("(1 - th**2) * inner", "(1 - th**2)"),
    ),
)

model(
    "gelu",
    lambda n, r: (n(6),),
    """
    import math

    def cdf(t):
        return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in t])

    def forward(x):
        return x * cdf(x)

    def backward(g, x):
        pdf = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return (g * (cdf(x) + x * pdf),)
    """,
    slip(
        "gelu-density-exponent",
        "the density has -x²/2 in the exponent; the half is missing",
        f"{TWO} | exponent | density | pdf",
        ("np.exp(-0.5 * x * x)", "np.exp(-x * x)"),
    ),
    slip(
        "gelu-density-not-times-x",
        "the second term of the product rule keeps the factor x",
        f"{PRODUCT} | x * pdf | `x`",
        ("+ x * pdf", "+ pdf"),
    ),
)

model(
    "softplus",
    lambda n, r: (n(3, 4), 2.5),
    """
    def forward(x, beta):
        return np.log1p(np.exp(beta * x)) / beta

    def backward(g, x, beta):
        s = 1 / (1 + np.exp(-beta * x))
        dbeta = np.sum(g * (x * s - forward(x, beta)) / beta)
        return g * s, dbeta
    """,
    slip(
        "softplus-beta-not-cancelled",
        "the beta of the chain rule cancels with the 1 / beta in front",
        "factor & beta | 2.5 | times beta | by beta | cancel",
        ("return g * s, dbeta", "return g * s * beta, dbeta"),
    ),
    slip(
        "softplus-beta-not-in-sigmoid",
        "the sigmoid takes beta * x, not x",
        "beta | 2.5",
        ("np.exp(-beta * x)", "np.exp(-x)"),
    ),
    slip(
        "softplus-quotient-rule",
        "beta also stands below: the quotient rule's second term is missing",
        f"quotient | {PRODUCT} | forward(x, beta)",
        ("(x * s - forward(x, beta)) / beta", "x * s / beta"),
    ),
)

model(
    "swish",
    lambda n, r: (n(6), 0.8),
    """
    def forward(x, beta):
        return x / (1 + np.exp(-beta * x))

    def backward(g, x, beta):
        s = 1 / (1 + np.exp(-beta * x))
        y = x * s
        return g * (s + beta * y * (1 - s)), (g * x * y * (1 - s)).sum()
    """,
    slip(
        "swish-beta-inner-x",
        "the inner derivative of beta * x by beta is x; it is missing",
        "`x` | inner | chain | x *",
        ("(g * x * y * (1 - s))", "(g * y * (1 - s))"),
    ),
    slip(
        "swish-no-product-rule",
        "x times a sigmoid: the term that differentiates the sigmoid is missing",
        f"{PRODUCT} | swish",
        ("g * (s + beta * y * (1 - s))", "g * s"),
    ),
    slip(
        "swish-beta-gradient-not-reduced",
        "beta is one number for all entries; its gradient is the sum, not one for each",
        f"{UNSUMMED} | shape | scalar",
        ("(g * x * y * (1 - s)).sum()", "g * x * y * (1 - s)"),
    ),
)

model(
    "mish",
    lambda n, r: (n(2, 3),),
    """
    def forward(x):
        return x * np.tanh(np.log1p(np.exp(x)))

    def backward(g, x):
        t = np.tanh(np.log1p(np.exp(x)))
        dt = (1 - t**2) / (1 + np.exp(-x))
        return (g * t + g * x * dt,)
    """,
    slip(
        "mish-softplus-slope-missing",
        "the chain rule stops at the tanh: the slope of the softplus inside is missing",
        "softplus | sigmoid | chain | inner | log1p",
        ("(1 - t**2) / (1 + np.exp(-x))", "1 - t**2"),
    ),
)

model(
    "sigmoid",
    lambda n, r: (n(4, 2),),
    """
    def sigmoid(t):
        return np.reciprocal(1 + np.exp(-t))

    def sigmoid_prime(t):
        return sigmoid(t) * (1 - sigmoid(t))

    def forward(x):
        return sigmoid(x)

    def backward(g, x):
        activation = sigmoid(x)
        return (g * sigmoid_prime(x),)
    """,
    slip(
        "sigmoid-prime-of-activation",
        "sigmoid_prime expects x and was given the activation: the sigmoid is applied twice",
        "twice | activation | already | sigmoid_prime(x)",
        ("sigmoid_prime(x)", "sigmoid_prime(activation)"),
    ),
    slip(
        "sigmoid-prime-of-raw-input",
        "y (1 - y) was taken with the input in place of the sigmoid's output",
        "sigmoid | output | activation",
        ("g * sigmoid_prime(x)", "g * x * (1 - x)"),
    ),
)

model(
    "relu",
    lambda n, r: (n(3, 5),),
    """
    def forward(a):
        return a.clip(min=0)

    def backward(g, a):
        da = g.copy()
        da[a < 0] = 0
        return (da,)
    """,
    slip(
        "relu-mask-of-incoming",
        "the incoming gradient is masked by its own sign, not by that of the input",
        "mask | a < 0 | a > 0 | relu | incoming",
        ("da[a < 0]", "da[da < 0]"),
    ),
    slip(
        "relu-mask-inverted",
        "the gradient is cut off where the input is positive",
        "invert | a < 0 | a > 0 | wrong way | mask | opposite | complement",
        ("da[a < 0]", "da[a > 0]"),
    ),
    slip(
        "relu-multiplied-by-output",
        "multiplied by the output of the ReLU instead of by its slope 0 or 1",
        f"{SLOPE} | relu | mask | 0 or 1 | a > 0",
        ("return (da,)", "return (da * a,)"),
    ),
)

model(
    "tanh",
    lambda n, r: (n(5),),
    """
    def forward(u):
        p, q = np.exp(u), np.exp(-u)
        return (p - q) / (p + q)

    def backward(g, u):
        p, q = np.exp(u), np.exp(-u)
        y = (p - q) / (p + q)
        return (g * (1 - y * y),)
    """,
    slip(
        "tanh-square-of-input",
        "1 - y² takes the output y, not the input u",
        "tanh | y * y",
        ("(1 - y * y)", "(1 - u * u)"),
    ),
    slip(
        "tanh-cosh-in-place-of-sinh",
        "p + q stands above the line where p - q belongs",
        f"{SIGN} | tanh | p - q | p + q",
        ("y = (p - q) / (p + q)\n    return (g", "y = (p + q) / (p - q)\n    return (g"),
    ),
)

model(
    "softsign",
    lambda n, r: (n(3, 2),),
    """
    def forward(x):
        return x / (1 + np.abs(x))

    def backward(g, x):
        low = 1 + np.abs(x)
        return (g / low**2,)
    """,
    slip(
        "softsign-denominator-not-squared",
        "the quotient rule squares the denominator",
        "square | power | low**2 | quotient | by low | / low",
        ("g / low**2", "g / low"),
    ),
)

model(
    "hard-sigmoid",
    lambda n, r: (4 * n(4, 3),),
    """
    def forward(x):
        return np.clip(0.2 * x + 0.5, 0, 1)

    def backward(g, x):
        y = 0.2 * x + 0.5
        inside = np.logical_and(y > 0, y < 1)
        return (0.2 * inside * g,)
    """,
    slip(
        "hard-sigmoid-slope-one",
        "inside the slope is 0.2, not 1",
        "0.2 | 5 times | 1/5",
        ("0.2 * inside", "inside"),
    ),
    slip(
        "hard-sigmoid-bounds-on-x",
        "the bounds 0 and 1 are those of y, but x was compared to them",
        "mask | clip | y > 0 | bound | saturat",
        ("np.logical_and(y > 0, y < 1)", "np.logical_and(x > 0, x < 1)"),
    ),
    slip(
        "hard-sigmoid-upper-bound-only",
        "only above is the gradient cut off, not below",
        "mask | clip | y > 0 | bound | saturat",
        ("np.logical_and(y > 0, y < 1)", "y < 1"),
    ),
)

model(
    "siren",
    lambda n, r: (n(5, 2), n(2, 3), n(3)),
    """
    w0 = 3.0

    def forward(x, W, phase):
        return np.sin(w0 * (x @ W) + phase)

    def backward(g, x, W, phase):
        d = g * np.cos(w0 * (x @ W) + phase)
        return w0 * d @ W.T, w0 * x.T @ d, np.add.reduce(d, axis=0)
    """,
    slip(
        "siren-frequency-forgotten",
        "the frequency w0 is missing in the gradient of W",
        "w0 | factor & 3 | inner | chain",
        ("w0 * x.T @ d", "x.T @ d"),
    ),
    slip(
        "siren-frequency-on-phase",
        "the phase is added after w0 is multiplied in; its gradient has no w0",
        "w0 | factor & 3",
        ("np.add.reduce(d, axis=0)", "w0 * np.add.reduce(d, axis=0)"),
    ),
    slip(
        "siren-cosine-sign",
        "the derivative of the sine is the cosine, without a minus",
        SIGN,
        ("d = g * np.cos", "d = -g * np.cos"),
    ),
)

model(
    "maxout",
    lambda n, r: (n(4, 6),),
    """
    def forward(x):
        return x.reshape(4, 3, 2).max(axis=2)

    def backward(g, x):
        pieces = x.reshape(4, 3, 2)
        best = pieces == pieces.max(axis=2, keepdims=True)
        return ((best * g[..., None]).reshape(x.shape),)
    """,
    slip(
        "maxout-pieces-cut-otherwise",
        "the forward function takes neighbours as the pieces of a unit, the backward one does not",
        f"order | layout | {AXIS} | reshape | permut",
        (
            "((best * g[..., None]).reshape(x.shape),)",
            "((best * g[..., None]).swapaxes(1, 2).reshape(x.shape),)",
        ),
    ),
    slip(
        "maxout-all-pieces",
        "every piece gets the gradient, not only the largest",
        "mask | max | largest | winner | argmax",
        ("(best * g[..., None])", "np.repeat(g[..., None], 2, axis=2)"),
    ),
)

model(
    "threshold",
    lambda n, r: (n(3, 3),),
    """
    def forward(x):
        return np.where(np.abs(x) > 0.5, x - 0.5 * np.sign(x), 0.0)

    def backward(g, x):
        keep = np.abs(x) > 0.5
        out = np.zeros(x.shape)
        out[keep] = g[keep]
        return (out,)
    """,
    slip(
        "threshold-one-sided",
        "soft thresholding keeps large negative entries too; the abs is missing in the mask",
        "abs | mask | negative entries | threshold",
        ("keep = np.abs(x) > 0.5", "keep = x > 0.5"),
    ),
    slip(
        "threshold-value-kept",
        "the value x is written where g belongs",
        "g[keep] | incoming | upstream | cotangent | instead of g | `g`",
        ("out[keep] = g[keep]", "out[keep] = x[keep]"),
    ),
)

model(
    "sigmoid",
    lambda n, r: (n(3, 4), n(3, 4)),
    """
    def forward(a, b):
        return a / (1 + np.exp(-a)) + a * b

    def backward(g, a, b):
        s = 1 / (1 + np.exp(-a))
        db = g * a
        da = g.copy()
        da *= b + s * (1 + a - a * s)
        return da, db
    """,
    slip(
        "sigmoid-incoming-spoilt",
        "da is the same array as g, and g is changed before db is taken from it",
        INPLACE,
        ("db = g * a\n    da = g.copy()", "da = g"),
        ("(1 + a - a * s)\n", "(1 + a - a * s)\n    db = g * a\n"),
    ),
    slip(
        "sigmoid-only-the-gated-term",
        "a also stands in a * b; the term b is missing",
        f"{PRODUCT} | path | b + | + b | missing b | b is missing | used twice",
        ("da *= b + s", "da *= s"),
    ),
)
