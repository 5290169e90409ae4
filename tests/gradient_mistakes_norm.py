"""Wrong gradients: normalisation, and dropout."""

from gradient_mistakes import AXIS, MEAN, PATH, PRODUCT, SIGN, UNSUMMED, model, slip

THROUGH = "mean | variance | std | projection | statistic | depends on | path | norm | term"

model(
    "batchnorm",
    lambda n, r: (n(3, 6), n(3, 1), n(3, 1)),
    """
    def forward(X, gamma, beta):
        mu, sd = X.mean(1, keepdims=True), X.std(1, keepdims=True)
        return gamma * (X - mu) / sd + beta

    def backward(g, X, gamma, beta):
        m = X.shape[1]
        sd = X.std(1, keepdims=True)
        xhat = (X - X.mean(1, keepdims=True)) / sd
        dgamma = (g * xhat).sum(1, keepdims=True)
        dbeta = g.sum(1, keepdims=True)
        dX = gamma / (m * sd) * (m * g - dbeta - xhat * dgamma)
        return dX, dgamma, dbeta
    """,
    slip(
        "batchnorm-gamma-from-raw-input",
        "gamma multiplies the normalised input; the raw one was taken",
        "xhat | normalis | normaliz",
        ("dgamma = (g * xhat)", "dgamma = (g * X)"),
    ),
    slip(
        "batchnorm-statistics-held-constant",
        "mean and deviation depend on X too; only the direct part is there",
        THROUGH,
        ("(m * g - dbeta - xhat * dgamma)", "(m * g)"),
    ),
    slip(
        "batchnorm-deviation-held-constant",
        "the part through the deviation, xhat * dgamma, is missing",
        THROUGH,
        ("(m * g - dbeta - xhat * dgamma)", "(m * g - dbeta)"),
    ),
    slip(
        "batchnorm-scale-forgotten",
        "the gradient of the input does not take the scale gamma along",
        "gamma",
        ("dX = gamma / (m * sd)", "dX = 1 / (m * sd)"),
    ),
)

model(
    "batchnorm",
    lambda n, r: (n(5, 5), n(5), n(5)),
    """
    tiny = 1e-3

    def forward(a, scale, shift):
        dev = a - a.mean(axis=0)
        return scale * dev / np.sqrt((dev**2).mean(axis=0) + tiny) + shift

    def backward(g, a, scale, shift):
        n = len(a)
        dev = a - a.mean(axis=0)
        var = (dev**2).mean(axis=0)
        inv = (var + tiny) ** -0.5
        dnorm = g * scale
        dvar = (dnorm * dev).sum(axis=0) * -0.5 * inv**3
        ddev = dnorm * inv + dvar * 2 * dev / n
        da = ddev - ddev.mean(axis=0)
        return da, (g * dev * inv).sum(axis=0), g.sum(axis=0)
    """,
    slip(
        "batchnorm-variance-half-sign",
        "the derivative of v**-0.5 is -0.5 v**-1.5; the minus is missing",
        SIGN,
        ("* -0.5 * inv**3", "* 0.5 * inv**3"),
    ),
    slip(
        "batchnorm-variance-power",
        "the derivative of v**-0.5 takes inv to the third power, not to the second",
        "power | inv**3 | exponent | third | cub | inv³ | -1.5 | inv",
        ("-0.5 * inv**3", "-0.5 * inv**2"),
    ),
    slip(
        "batchnorm-mean-not-subtracted",
        "subtracting the mean sends its own gradient back; that part is missing",
        THROUGH,
        ("da = ddev - ddev.mean(axis=0)", "da = ddev"),
    ),
    slip(
        "batchnorm-mean-of-the-sample",
        "the mean of the gradient was taken over the features, as in a layernorm",
        AXIS,
        ("ddev - ddev.mean(axis=0)", "ddev - ddev.mean(axis=1, keepdims=True)"),
    ),
    slip(
        "batchnorm-variance-two-over-n",
        "the variance is a mean of squares: 2 dev / n; the n is missing",
        f"{MEAN} | / n",
        ("2 * dev / n", "2 * dev"),
    ),
)

model(
    "batchnorm",
    lambda n, r: (n(2, 3, 2, 2), n(3)),
    """
    over = (0, 2, 3)

    def forward(x, gamma):
        mu = x.mean(over, keepdims=True)
        return gamma.reshape(1, -1, 1, 1) * (x - mu) / np.sqrt(x.var(over, keepdims=True) + 1e-5)

    def backward(g, x, gamma):
        count = x.size // x.shape[1]
        inv = 1 / np.sqrt(x.var(over, keepdims=True) + 1e-5)
        xhat = (x - x.mean(over, keepdims=True)) * inv
        d = g * gamma.reshape(1, -1, 1, 1)
        s1 = d.sum(over, keepdims=True)
        s2 = (d * xhat).sum(over, keepdims=True)
        return inv * (d - (s1 + xhat * s2) / count), (g * xhat).sum(over)
    """,
    slip(
        "batchnorm-images-count-without-pixels",
        "the mean runs over samples and pixels; only the samples were counted",
        f"{MEAN} | pixel",
        ("count = x.size // x.shape[1]", "count = x.shape[0]"),
    ),
    slip(
        "batchnorm-images-inner-sum-signs",
        "both corrections are subtracted; the second one is added here",
        SIGN,
        ("(s1 + xhat * s2)", "(s1 - xhat * s2)"),
    ),
)

model(
    "layernorm",
    lambda n, r: (n(4, 4), n(4), n(4)),
    """
    def forward(h, gain, bias):
        out = np.empty(h.shape)
        for i, v in enumerate(h):
            out[i] = gain * (v - v.mean()) / v.std() + bias
        return out

    def backward(g, h, gain, bias):
        dh, dgain = np.empty(h.shape), np.zeros(gain.shape)
        for i, v in enumerate(h):
            sd = v.std()
            z = (v - v.mean()) / sd
            dz = g[i] * gain
            dh[i] = (dz - dz.mean() - z * np.mean(dz * z)) / sd
            dgain += g[i] * z
        return dh, dgain, g.sum(axis=0)
    """,
    slip(
        "layernorm-gain-last-row",
        "the gain serves every row; only the last one is kept",
        "overwr | accumul | += | only the last | last one",
        ("dgain += g", "dgain = g"),
    ),
    slip(
        "layernorm-gain-after-statistics",
        "the gain has to be multiplied in before the means are taken; they were taken of g",
        "gain",
        (
            "dz = g[i] * gain\n        dh[i] = (dz - dz.mean() - z * np.mean(dz * z)) / sd",
            "dz = g[i]\n        dh[i] = gain * (dz - dz.mean() - z * np.mean(dz * z)) / sd",
        ),
    ),
    slip(
        "layernorm-bias-over-features",
        "the bias gradient was summed over the features; the square array hides it",
        AXIS,
        ("g.sum(axis=0)", "g.sum(axis=1)"),
    ),
    slip(
        "layernorm-not-divided-by-deviation",
        "the last division by the deviation is missing",
        "sd | std | deviation | divide",
        ("np.mean(dz * z)) / sd", "np.mean(dz * z))"),
    ),
)

model(
    "instance-norm",
    lambda n, r: (n(2, 3, 5),),
    """
    def forward(x):
        c = x - x.mean(axis=-1, keepdims=True)
        return c / np.sqrt((c * c).mean(axis=-1, keepdims=True))

    def backward(g, x):
        s = x.std(axis=-1, keepdims=True)
        y = forward(x)
        both = g.mean(axis=-1, keepdims=True) + y * (g * y).mean(axis=-1, keepdims=True)
        return ((g - both) / s,)
    """,
    slip(
        "instance-norm-batch-statistics",
        "the mean of g was taken over the batch too, as in a batchnorm",
        AXIS,
        ("g.mean(axis=-1, keepdims=True) +", "g.mean(axis=(0, 2), keepdims=True) +"),
    ),
    slip(
        "instance-norm-projection-without-y",
        "the second correction lies along y; that factor y is missing",
        f"{THROUGH} | `y`",
        ("y * (g * y).mean", "(g * y).mean"),
    ),
)

model(
    "group-norm",
    lambda n, r: (n(3, 4, 3), n(4)),
    """
    def split(t):
        return t.reshape(len(t), 2, -1)

    def forward(x, w):
        q = split(x)
        q = (q - q.mean(2, keepdims=True)) / q.std(2, keepdims=True)
        return q.reshape(x.shape) * w[None, :, None]

    def backward(g, x, w):
        q = split(x)
        sd = q.std(2, keepdims=True)
        q = (q - q.mean(2, keepdims=True)) / sd
        dw = np.sum(g * q.reshape(x.shape), axis=(0, 2))
        d = split(g * w[None, :, None])
        d = d - d.mean(2, keepdims=True) - q * (d * q).mean(2, keepdims=True)
        return (d / sd).reshape(x.shape), dw
    """,
    slip(
        "group-norm-one-group",
        "the means of the gradient were taken over all groups of a sample together",
        f"{AXIS} | group",
        ("d - d.mean(2, keepdims=True) -", "d - d.mean((1, 2), keepdims=True) -"),
    ),
    slip(
        "group-norm-weights-per-position",
        "w serves every sample: dw is summed over the positions but taken from the first sample",
        f"{UNSUMMED} | sum | batch | {AXIS}",
        (
            "np.sum(g * q.reshape(x.shape), axis=(0, 2))",
            "np.sum(g * q.reshape(x.shape), axis=2)[0]",
        ),
    ),
)

model(
    "rms-norm",
    lambda n, r: (n(3, 5), n(5)),
    """
    def forward(x, w):
        return w * x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)

    def backward(g, x, w):
        r = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)
        d = g * w
        dx = d / r - x * np.mean(d * x, axis=-1, keepdims=True) / r**3
        return dx, np.einsum("nd,nd->d", g, x / r)
    """,
    slip(
        "rms-norm-root-held-constant",
        "the root depends on x too; the second term is missing",
        f"{THROUGH} | {PRODUCT} | quotient | root",
        ("d / r - x * np.mean(d * x, axis=-1, keepdims=True) / r**3", "d / r"),
    ),
    slip(
        "rms-norm-mean-subtracted",
        "an RMS norm subtracts no mean; the formula of the layernorm was used",
        "mean | layernorm | layer norm | centre | center",
        ("dx = d / r", "dx = (d - d.mean(axis=-1, keepdims=True)) / r"),
    ),
    slip(
        "rms-norm-sum-for-mean",
        "under the root stands a mean; the sum was taken, the factor 1/5 is missing",
        f"{MEAN} | factor 5 | 5 times",
        ("np.mean(d * x, axis=-1, keepdims=True)", "np.sum(d * x, axis=-1, keepdims=True)"),
    ),
    slip(
        "rms-norm-power-of-root",
        "the derivative of 1 / r brings r**3 below, not r**2",
        "power | r**3 | cub | exponent | `r` | / r",
        ("/ r**3", "/ r**2"),
    ),
)

model(
    "weight-norm",
    lambda n, r: (n(4, 3), n(3), n(5, 4)),
    """
    def forward(v, s, X):
        return X @ (v / np.linalg.norm(v, axis=0) * s)

    def backward(g, v, s, X):
        length = np.linalg.norm(v, axis=0)
        unit = v / length
        dW = X.T @ g
        ds = (dW * unit).sum(axis=0)
        dv = s / length * (dW - unit * ds)
        return dv, ds, g @ (unit * s).T
    """,
    slip(
        "weight-norm-length-held-constant",
        "the length depends on v: the part of dW along v has to be taken out",
        f"{THROUGH} | length | unit",
        ("(dW - unit * ds)", "dW"),
    ),
    slip(
        "weight-norm-unscaled-on-the-way-back",
        "the weights are s * unit; X was given the gradient for unit alone",
        "scale | `s` | unit * s | * s | factor s",
        ("g @ (unit * s).T", "g @ unit.T"),
    ),
    slip(
        "weight-norm-scale-from-v",
        "s multiplies the unit vectors, not v itself",
        "unit | norm | length",
        ("ds = (dW * unit)", "ds = (dW * v)"),
        ("(dW - unit * ds)", "(dW - unit * (dW * unit).sum(axis=0))"),
    ),
)

model(
    "standardise",
    lambda n, r: (n(7),),
    """
    def forward(x):
        return (x - x.mean()) / x.std(ddof=1)

    def backward(g, x):
        n, sd = x.size, x.std(ddof=1)
        z = (x - x.mean()) / sd
        dx = g - g.sum() / n - z * (g @ z) / (n - 1)
        return (dx / sd,)
    """,
    slip(
        "standardise-bessel-forgotten",
        "the deviation was computed with n - 1 below; the gradient divides by n",
        "n - 1 | bessel | ddof | unbiased",
        ("(g @ z) / (n - 1)", "(g @ z) / n"),
    ),
)

model(
    "dropout",
    lambda n, r: (n(4, 5), n(5, 3), (r.random((4, 5)) < 0.7)),
    """
    keep = 0.7

    def forward(x, W, mask):
        return (x * mask / keep) @ W

    def backward(g, x, W, mask):
        dropped = x * mask / keep
        return g @ W.T * mask / keep, dropped.T @ g
    """,
    slip(
        "dropout-scale-forgotten",
        "what was kept is divided by keep; the gradient is not",
        "scale | keep | 0.7 | 1.43 | 1.428",
        ("g @ W.T * mask / keep", "g @ W.T * mask"),
    ),
    slip(
        "dropout-scaled-by-dropped-share",
        "divided by 1 - keep, the share that is dropped",
        "scale | keep | 0.3 | 2.33 | 0.428 | 0.429",
        ("g @ W.T * mask / keep", "g @ W.T * mask / (1 - keep)"),
    ),
    slip(
        "dropout-mask-forgotten",
        "units that were dropped get a gradient: the mask is missing",
        "mask",
        ("g @ W.T * mask / keep", "g @ W.T / keep"),
    ),
    slip(
        "dropout-weights-see-all-inputs",
        "the weights met the input after the dropout, the gradient takes it before",
        "mask | dropped | dropout | keep",
        ("dropped.T @ g", "x.T @ g"),
    ),
    slip(
        "dropout-mask-on-input-twice",
        "the gradient was scaled twice: keep is squared",
        "twice | squared | keep | scale",
        ("g @ W.T * mask / keep", "g @ W.T * mask / keep**2"),
    ),
    wrt=(0, 1),
)

model(
    "dropout",
    lambda n, r: (n(2, 3, 4), n(3), r.integers(0, 2, (2, 3, 1)) * 2.0),
    """
    def forward(x, scale, channels):
        z = x + scale[:, None]
        return channels * z + x

    def backward(g, x, scale, channels):
        dz = g * channels
        return dz + g, dz.sum(axis=(0, 2))
    """,
    slip(
        "dropout-past-the-skip",
        "the skip connection goes past the dropout; its part is missing",
        f"{PATH} | skip | residual | + g | missing g | g is missing | term",
        ("return dz + g,", "return dz,"),
    ),
    slip(
        "dropout-bias-of-dropped-channels",
        "the bias lies before the dropout: its gradient takes the mask too",
        "mask | channels | dropped",
        ("dz.sum(axis=(0, 2))", "g.sum(axis=(0, 2))"),
    ),
    wrt=(0, 1),
)
