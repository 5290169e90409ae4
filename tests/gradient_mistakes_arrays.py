"""Wrong gradients: broadcasting, values used twice, indexing and sorting."""

import numpy as np
from gradient_mistakes import (
    AXIS,
    INPLACE,
    MEAN,
    OVERWRITTEN,
    PATH,
    PRODUCT,
    SIGN,
    TRANSPOSED,
    TWO,
    UNSUMMED,
    model,
    slip,
)

model(
    "broadcast",
    lambda n, r: (n(4, 1), n(1, 4)),
    """
    def forward(col, row):
        return np.exp(col + 2 * row)

    def backward(g, col, row):
        d = g * np.exp(col + 2 * row)
        return d.sum(axis=1, keepdims=True), 2 * d.sum(axis=0, keepdims=True)
    """,
    slip(
        "broadcast-column-summed-down",
        "the column was spread over axis 1; it was summed over axis 0 and turned",
        AXIS,
        ("d.sum(axis=1, keepdims=True),", "d.sum(axis=0, keepdims=True).T,"),
    ),
    slip(
        "broadcast-row-first-only",
        "the row serves every row of the result: the sum over them, not the first",
        f"{UNSUMMED} | sum | {AXIS}",
        ("d.sum(axis=0, keepdims=True)", "d[:1]"),
    ),
)

model(
    "broadcast",
    lambda n, r: (n(2, 3, 4), n(3, 1), 0.6),
    """
    def forward(x, m, s):
        return x * m / s

    def backward(g, x, m, s):
        dx = g * m / s
        dm = (g * x / s).sum(axis=0).sum(axis=1, keepdims=True)
        ds = -np.sum(g * x * m) / s**2
        return dx, dm, ds
    """,
    slip(
        "broadcast-leading-axis-missing",
        "m serves the whole batch: its gradient is the sum over it, not the mean",
        f"{MEAN} | {TWO} | {AXIS}",
        (".sum(axis=0).sum(axis=1", ".mean(axis=0).sum(axis=1"),
    ),
    slip(
        "broadcast-quotient-sign",
        "the derivative of 1 / s is -1 / s²; the minus is missing",
        SIGN,
        ("ds = -np.sum", "ds = np.sum"),
    ),
    slip(
        "broadcast-last-axis-not-summed",
        "m has one column: the last axis has to be summed, not only its first entry taken",
        f"{UNSUMMED} | sum | {AXIS}",
        (".sum(axis=1, keepdims=True)", "[:, :1]"),
    ),
)

model(
    "broadcast",
    lambda n, r: (n(5, 3), n(), n(3)),
    """
    def forward(x, shift, scale):
        z = x + shift
        return z * z * scale

    def backward(g, x, shift, scale):
        z = x + shift
        dz = g * 2 * z * scale
        dscale = np.ones(len(x)) @ (g * z**2)
        return dz, dz.sum(), dscale
    """,
    slip(
        "scalar-parameter-mean",
        "one number is added to all entries: its gradient is the sum, not the mean",
        f"{MEAN} | sum",
        ("return dz, dz.sum(),", "return dz, dz.mean(),"),
    ),
    slip(
        "scalar-parameter-summed-over-rows-only",
        "one number is added to all entries; its gradient was summed over the rows only",
        f"{UNSUMMED} | sum | shape | scalar | {AXIS}",
        ("return dz, dz.sum(),", "return dz, dz.sum(axis=0),"),
    ),
    slip(
        "scale-of-unshifted-input",
        "scale multiplies z², with the shift in it; x² was taken",
        "shift | z**2 | instead of | `z`",
        ("(g * z**2)", "(g * x**2)"),
    ),
)

model(
    "outer",
    lambda n, r: (n(4), n(4), n(4, 4)),
    """
    def forward(u, v, A):
        return A + np.multiply.outer(u, v)

    def backward(g, u, v, A):
        du = (g * v).sum(-1)
        dv = (g * u[:, None]).sum(0)
        return du, dv, g
    """,
    slip(
        "outer-without-new-axis",
        "u runs along the rows: without the new axis it is laid along the columns",
        f"{AXIS} | broadcast | {TRANSPOSED} | [:, none] | column",
        ("(g * u[:, None]).sum(0)", "(g * u).sum(0)"),
    ),
    slip(
        "outer-wrong-axis",
        "u runs over axis 0, so axis 1 is summed; axis 0 was",
        f"{AXIS} | {TRANSPOSED}",
        ("(g * v).sum(-1)", "(g.T * v).sum(-1)"),
    ),
)

model(
    "reuse",
    lambda n, r: (n(3, 4), n(4, 4), n(4)),
    """
    def forward(x, W, b):
        h = np.tanh(x @ W + b)
        return np.tanh(h @ W + b)

    def backward(g, x, W, b):
        h = np.tanh(x @ W + b)
        y = np.tanh(h @ W + b)
        grads = {}
        dz = g * (1 - y**2)
        grads["W"], grads["b"] = h.T @ dz, dz.sum(axis=0)
        dz = (dz @ W.T) * (1 - h**2)
        grads["W"] = grads["W"] + x.T @ dz
        grads["b"] = grads["b"] + dz.sum(axis=0)
        return dz @ W.T, grads["W"], grads["b"]
    """,
    slip(
        "shared-layer-weights-overwritten",
        "the layer is used twice; its first entry in the dictionary is overwritten",
        f"{OVERWRITTEN} | {PATH} | shared | term",
        ('grads["W"] = grads["W"] + x.T @ dz', 'grads["W"] = x.T @ dz'),
    ),
    slip(
        "shared-layer-bias-overwritten",
        "the bias of the shared layer is overwritten by its second use",
        f"{OVERWRITTEN} | {PATH} | shared | term",
        ('grads["b"] = grads["b"] + dz.sum(axis=0)', 'grads["b"] = dz.sum(axis=0)'),
    ),
    slip(
        "shared-layer-same-input-twice",
        "both uses of W took h as the input; the first one took x",
        "x.t | instead of | `x`",
        ("+ x.T @ dz", "+ h.T @ dz"),
    ),
)

model(
    "reuse",
    lambda n, r: (n(5), n(5)),
    """
    def forward(a, b):
        p = a * b
        q = np.sin(p)
        return p * q + a

    def backward(g, a, b):
        p = a * b
        q = np.sin(p)
        dq = g * p
        dp = g * q
        dp = dp + dq * np.cos(p)
        da = g + dp * b
        db = dp * a
        return da, db
    """,
    slip(
        "diamond-branch-overwritten",
        "p is used in the product and in the sine; the first is overwritten",
        f"{OVERWRITTEN} | {PATH} | {PRODUCT} | branch",
        ("dp = dp + dq * np.cos(p)", "dp = dq * np.cos(p)"),
    ),
    slip(
        "diamond-direct-way-forgotten",
        "a is also added to the result directly",
        f"{PATH} | term | g + | + g | missing g | g is missing | skip | residual",
        ("da = g + dp * b", "da = dp * b"),
    ),
    slip(
        "diamond-factors-swapped",
        "the gradient of a takes the factor b and the other way round",
        "swap | exchang | other factor | each other | instead of | `b`",
        ("da = g + dp * b\n    db = dp * a", "da = g + dp * a\n    db = dp * b"),
    ),
)

model(
    "reuse",
    lambda n, r: (n(4) / 2,),
    """
    def forward(x):
        y = x
        for _ in range(3):
            y = y * y + x
        return y

    def backward(g, x):
        trace = [x]
        for _ in range(3):
            trace.append(trace[-1] ** 2 + x)
        dx = np.zeros_like(x)
        d = g
        for y in trace[2::-1]:
            dx += d
            d = 2 * d * y
        return (dx + d,)
    """,
    slip(
        "iteration-start-forgotten",
        "x is also where the iteration starts; that part is missing",
        f"{PATH} | start | term | + d",
        ("return (dx + d,)", "return (dx,)"),
    ),
    slip(
        "iteration-one-factor-of-the-square",
        "y * y differentiates both factors: the 2 is missing",
        f"{TWO} | both factors | square",
        ("d = 2 * d * y", "d = d * y"),
    ),
    slip(
        "iteration-states-off-by-one",
        "each step takes the state before it; the ones after it were taken",
        "off by one | off-by-one | shift | index | previous | state",
        ("trace[2::-1]", "trace[:0:-1]"),
    ),
)

model(
    "reuse",
    lambda n, r: (n(3, 4), n(3, 4)),
    """
    def forward(left, right):
        total = left + right
        return total * np.cosh(left)

    def backward(g, left, right):
        dtotal = g * np.cosh(left)
        dright = dtotal
        dleft = dtotal.copy()
        dleft += g * (left + right) * np.sinh(left)
        return dleft, dright
    """,
    slip(
        "sum-shares-one-array",
        "both gradients are the same array: adding to one changes the other",
        INPLACE,
        ("dleft = dtotal.copy()", "dleft = dtotal"),
    ),
    slip(
        "sum-second-factor-not-differentiated",
        "left stands in both factors; the cosh was held constant",
        f"{PRODUCT} | {PATH} | sinh",
        ("\n    dleft += g * (left + right) * np.sinh(left)", ""),
    ),
)

model(
    "gather",
    lambda n, r: (n(3, 4), np.array([[0, 0, 2], [3, 1, 3], [2, 2, 2]])),
    """
    def forward(x, pick):
        return np.take_along_axis(x, pick, axis=1)

    def backward(g, x, pick):
        dx = np.zeros_like(x)
        rows = np.arange(3)[:, None]
        np.add.at(dx, (rows, pick), g)
        return (dx,)
    """,
    slip(
        "gather-put-instead-of-add",
        "put_along_axis overwrites where an index is picked more than once",
        f"{OVERWRITTEN} | repeat | duplicate | add.at | more than once",
        ("np.add.at(dx, (rows, pick), g)", "np.put_along_axis(dx, pick, g, axis=1)"),
    ),
    slip(
        "gather-rows-along-columns",
        "the rows count along axis 0; without the new axis they count along axis 1",
        f"{AXIS} | [:, none] | {TRANSPOSED} | index | broadcast",
        ("rows = np.arange(3)[:, None]", "rows = np.arange(3)"),
    ),
    wrt=(0,),
)

model(
    "sort",
    lambda n, r: (n(6), np.arange(1.0, 7.0)),
    """
    def forward(x, weight):
        return np.sort(x) * weight

    def backward(g, x, weight):
        order = np.argsort(x)
        dx = np.empty_like(x)
        dx[order] = g * weight
        return dx, g * x[order]
    """,
    slip(
        "sort-not-undone",
        "the gradient was sorted once more where the order has to be undone",
        "permut | invers | order | undo | undone | scatter",
        ("dx[order] = g * weight", "dx[:] = (g * weight)[order]"),
    ),
    slip(
        "sort-order-ignored",
        "the gradient stays in sorted order",
        "permut | order | sort",
        ("dx[order] = g * weight", "dx[:] = g * weight"),
    ),
    slip(
        "sort-weights-of-unsorted",
        "the weights met the sorted x",
        "permut | order | sort",
        ("return dx, g * x[order]", "return dx, g * x"),
    ),
)

model(
    "top-k",
    lambda n, r: (n(4, 5),),
    """
    def forward(x):
        return np.sort(x, axis=1)[:, -2:].sum(axis=1)

    def backward(g, x):
        best = np.argsort(x, axis=1)[:, -2:]
        dx = np.zeros(x.shape)
        for i in range(len(x)):
            dx[i, best[i]] = g[i]
        return (dx,)
    """,
    slip(
        "top-k-smallest",
        "argsort counts up: the first two are the smallest",
        "smallest | largest | minimum | order | revers | mask | max",
        ("[:, -2:]\n    dx", "[:, :2]\n    dx"),
    ),
    slip(
        "top-k-only-the-first",
        "only the largest gets a gradient, not the second largest",
        "two | only one | mask | largest",
        ("dx[i, best[i]]", "dx[i, best[i, 1]]"),
    ),
)

model(
    "extremes",
    lambda n, r: (n(4, 4),),
    """
    def forward(x):
        return x.max(axis=0) - x.min(axis=0)

    def backward(g, x):
        dx = np.zeros_like(x)
        cols = np.arange(x.shape[1])
        dx[x.argmax(axis=0), cols] += g
        dx[x.argmin(axis=0), cols] -= g
        return (dx,)
    """,
    slip(
        "range-minimum-added",
        "the minimum is subtracted, its gradient is added",
        SIGN,
        ("cols] -= g", "cols] += g"),
    ),
    slip(
        "range-argmax-along-rows",
        "the largest of each row was sought, not of each column",
        AXIS,
        ("x.argmax(axis=0)", "x.argmax(axis=1)"),
    ),
)

model(
    "cumsum",
    lambda n, r: (n(3, 5),),
    """
    def forward(x):
        return np.cumsum(x, axis=1) ** 2

    def backward(g, x):
        d = 2 * g * np.cumsum(x, axis=1)
        dx = np.flip(np.cumsum(np.flip(d, axis=1), axis=1), axis=1)
        return (dx,)
    """,
    slip(
        "cumsum-summed-from-the-left",
        "an entry is in all later sums: the gradient is summed from the right",
        "revers | flip | from the right | from the end | backwards | suffix",
        ("np.flip(np.cumsum(np.flip(d, axis=1), axis=1), axis=1)", "np.cumsum(d, axis=1)"),
    ),
    slip(
        "cumsum-total-for-all",
        "every entry gets the whole sum, also of the places before it",
        "revers | suffix | cumsum | cumulative | running",
        (
            "np.flip(np.cumsum(np.flip(d, axis=1), axis=1), axis=1)",
            "np.repeat(d.sum(axis=1, keepdims=True), 5, axis=1)",
        ),
    ),
    slip(
        "cumsum-flipped-back-forgotten",
        "the sums were made from the right and not turned back",
        "revers | flip | order",
        ("np.flip(np.cumsum(np.flip(d, axis=1), axis=1), axis=1)", "np.cumsum(d[:, ::-1], axis=1)"),
    ),
)

model(
    "roll",
    lambda n, r: (n(4, 3), n(4, 3)),
    """
    def forward(x, y):
        return x * np.roll(y, 1, axis=0)

    def backward(g, x, y):
        return g * np.roll(y, 1, axis=0), np.roll(g * x, -1, axis=0)
    """,
    slip(
        "roll-same-direction",
        "on the way back the rows have to be rolled the other way",
        "roll | shift | direction | invers | opposite | permut",
        ("np.roll(g * x, -1, axis=0)", "np.roll(g * x, 1, axis=0)"),
    ),
    slip(
        "roll-after-the-product",
        "the product is rolled back as a whole, not g alone",
        "roll | shift | permut | order",
        ("np.roll(g * x, -1, axis=0)", "np.roll(g, -1, axis=0) * x"),
    ),
)
