"""Wrong gradients: products, inverses, norms of matrices, and the rules of one variable."""

import numpy as np
from gradient_mistakes import AXIS, PATH, PRODUCT, SIGN, TRANSPOSED, TWO, model, slip

model(
    "trace",
    lambda n, r: (n(3, 3), n(3, 3)),
    """
    def forward(A, B):
        return np.trace(A @ B)

    def backward(g, A, B):
        return g * B.T, g * A.T
    """,
    slip(
        "trace-factors-not-transposed",
        "tr(A B) = Σ A_ij B_ji: the gradient of A is B transposed",
        TRANSPOSED,
        ("return g * B.T,", "return g * B,"),
    ),
)

model(
    "inverse",
    lambda n, r: (n(3, 3) + 3 * np.eye(3),),
    """
    def forward(M):
        return np.linalg.inv(M)

    def backward(g, M):
        Y = np.linalg.inv(M)
        return (-Y.T @ g @ Y.T,)
    """,
    slip(
        "inverse-sign",
        "the derivative of the inverse has a minus, as that of 1 / x",
        SIGN,
        ("-Y.T @ g", "Y.T @ g"),
    ),
    slip(
        "inverse-one-side-untransposed",
        "both inverses are transposed on the way back; the left one is not",
        TRANSPOSED,
        ("-Y.T @ g", "-Y @ g"),
    ),
)

model(
    "log-det",
    lambda n, r: (n(4, 4) + 4 * np.eye(4),),
    """
    def forward(S):
        return np.linalg.slogdet(S)[1]

    def backward(g, S):
        return (g * np.linalg.inv(S).T,)
    """,
    slip(
        "log-det-not-transposed",
        "the inverse has to be transposed; only for symmetric matrices it need not",
        f"{TRANSPOSED} | symmetr",
        ("np.linalg.inv(S).T", "np.linalg.inv(S)"),
    ),
    slip(
        "log-det-as-det",
        "det S belongs to the gradient of det, not of its logarithm",
        "determinant | det(s) | linalg.det",
        ("g * np.linalg.inv(S).T", "g * np.linalg.det(S) * np.linalg.inv(S).T"),
    ),
)

model(
    "solve",
    lambda n, r: (n(3, 3) + 3 * np.eye(3), n(3)),
    """
    def forward(A, b):
        return np.linalg.solve(A, b)

    def backward(g, A, b):
        x = np.linalg.solve(A, b)
        db = np.linalg.solve(A.T, g)
        return -np.outer(db, x), db
    """,
    slip(
        "solve-with-same-matrix",
        "on the way back the transposed system is solved",
        TRANSPOSED,
        ("solve(A.T, g)", "solve(A, g)"),
    ),
    slip(
        "solve-outer-turned",
        "the outer product was taken the other way round",
        TRANSPOSED,
        ("-np.outer(db, x)", "-np.outer(x, db)"),
    ),
    slip(
        "solve-minus-forgotten",
        "the gradient of the matrix has a minus",
        SIGN,
        ("-np.outer(db, x)", "np.outer(db, x)"),
    ),
)

model(
    "quadratic",
    lambda n, r: (n(5, 3), n(3, 3)),
    """
    def forward(x, Q):
        return np.einsum("ni,ij,nj->n", x, Q, x)

    def backward(g, x, Q):
        dx = g[:, None] * (x @ Q + x @ Q.T)
        return dx, (g[:, None] * x).T @ x
    """,
    slip(
        "quadratic-half-of-it",
        "x stands on both sides of Q; only the left one was differentiated",
        f"{PATH} | {PRODUCT} | {TRANSPOSED} | symmetr | both",
        ("(x @ Q + x @ Q.T)", "(x @ Q.T)"),
    ),
    slip(
        "quadratic-as-if-symmetric",
        "2 Q x is only right for a symmetric Q",
        f"{TRANSPOSED} | symmetr",
        ("(x @ Q + x @ Q.T)", "(2 * x @ Q)"),
    ),
)

model(
    "gram",
    lambda n, r: (n(4, 3),),
    """
    def forward(F):
        return F.T @ F / len(F)

    def backward(g, F):
        return (F @ (g + g.T) / len(F),)
    """,
    slip(
        "gram-incoming-taken-twice",
        "F is used twice: g and its transpose, not g two times",
        f"{TRANSPOSED} | symmetr | g.t",
        ("(g + g.T)", "(2 * g)"),
    ),
    slip(
        "gram-divided-by-features",
        "divided by the number of columns, the forward function divides by the rows",
        "1/n | 1/m | batch size | number of | divide | columns | len(f) | mean",
        ("/ len(F),)", "/ F.shape[1],)"),
    ),
)

model(
    "bilinear",
    lambda n, r: (n(4, 2), n(4, 3), n(5, 2, 3)),
    """
    def forward(u, v, T):
        return np.einsum("na,kab,nb->nk", u, T, v)

    def backward(g, u, v, T):
        du = np.einsum("nk,kab,nb->na", g, T, v)
        dv = np.einsum("nk,kab,na->nb", g, T, u)
        dT = np.stack([u.T @ (g[:, [k]] * v) for k in range(len(T))])
        return du, dv, dT
    """,
    slip(
        "bilinear-sample-not-weighted",
        "slice k of T is weighted by g[:, k]; all were weighted by the sum over the slices",
        f"{AXIS} | g[:, [k]] | slice | index | sum",
        ("(g[:, [k]] * v)", "(g.sum(axis=1, keepdims=True) * v)"),
    ),
    slip(
        "bilinear-slices-reversed",
        "the list was made from the last slice to the first",
        "order | revers | flip",
        ("for k in range(len(T))])", "for k in range(len(T) - 1, -1, -1)])"),
    ),
)

model(
    "norm",
    lambda n, r: (n(3, 4),),
    """
    def forward(X):
        return np.sqrt((X * X).sum(axis=1)).sum()

    def backward(g, X):
        lengths = np.linalg.norm(X, axis=1, keepdims=True)
        return (g * X / lengths,)
    """,
    slip(
        "norm-of-the-whole-matrix",
        "each row has its own length; the length of the whole matrix was taken",
        f"{AXIS} | row | length | norm",
        ("np.linalg.norm(X, axis=1, keepdims=True)", "np.linalg.norm(X)"),
    ),
    slip(
        "norm-squared-length",
        "divided by the squared length",
        "square | sqrt | root | power | length | norm",
        ("g * X / lengths", "g * X / lengths**2"),
    ),
    slip(
        "norm-two-not-cancelled",
        "the 2 of the square cancels with the half of the root",
        TWO,
        ("g * X / lengths", "2 * g * X / lengths"),
    ),
)

model(
    "unit-rows",
    lambda n, r: (n(4, 3),),
    """
    def forward(v):
        return np.array([row / np.sqrt(row @ row) for row in v])

    def backward(g, v):
        grad = []
        for gi, row in zip(g, v):
            r = np.sqrt(row @ row)
            u = row / r
            grad.append((gi - u * (u @ gi)) / r)
        return (np.array(grad),)
    """,
    slip(
        "unit-rows-projection-added",
        "the part along the row has to be taken out, not added",
        SIGN,
        ("gi - u * (u @ gi)", "gi + u * (u @ gi)"),
    ),
    slip(
        "unit-rows-projection-not-normalised",
        "the projection needs the unit vector on both sides; one was the row itself",
        "unit | norm | project | length | `u` | u @ gi",
        ("u * (u @ gi)", "u * (row @ gi)"),
    ),
)

model(
    "product",
    lambda n, r: (n(3, 4),),
    """
    def forward(x):
        return np.prod(x, axis=1)

    def backward(g, x):
        dx = np.ones_like(x)
        for j in range(x.shape[1]):
            for other in range(x.shape[1]):
                if other != j:
                    dx[:, j] *= x[:, other]
        return (g[:, None] * dx,)
    """,
    slip(
        "product-with-itself",
        "the factor's own value is left out of the product; it was multiplied in",
        "itself | its own | other factor | divide | left out | other entries | factor x | `x`",
        ("if other != j:", "if True:"),
    ),
    slip(
        "product-only-factors-before",
        "only the factors before it were multiplied, not those after it",
        "after | other factor | all other | other entries | later",
        ("if other != j:", "if other < j:"),
    ),
)

model(
    "variance",
    lambda n, r: (n(4, 6),),
    """
    def forward(x):
        return x.var(axis=0)

    def backward(g, x):
        return (2 * g * (x - x.mean(axis=0)) / x.shape[0],)
    """,
    slip(
        "variance-mean-of-rows",
        "the mean of each column is subtracted; here it is that of each row",
        AXIS,
        ("x.mean(axis=0)", "x.mean(axis=1, keepdims=True)"),
    ),
    slip(
        "variance-mean-not-subtracted",
        "2 x / n is the gradient of the mean square; the mean was not subtracted",
        "mean | centre | center",
        ("(x - x.mean(axis=0))", "x"),
    ),
    slip(
        "variance-unbiased-divisor",
        "var divides by n, the gradient by n - 1",
        "n - 1 | bessel | ddof | unbiased | 1/n | divide | number of",
        ("/ x.shape[0]", "/ (x.shape[0] - 1)"),
    ),
)

model(
    "permute",
    lambda n, r: (n(3, 3, 3), n(3)),
    """
    def forward(x, w):
        return np.transpose(x, (1, 2, 0)) * w

    def backward(g, x, w):
        back = np.argsort((1, 2, 0))
        dw = np.einsum("ijk,kij->k", g, x)
        return np.transpose(g * w, back), dw
    """,
    slip(
        "permute-same-order-again",
        "the axes were permuted once more in the same way; the order has to be undone",
        f"{AXIS} | permut | {TRANSPOSED} | invers",
        ("np.transpose(g * w, back)", "np.transpose(g * w, (1, 2, 0))"),
    ),
    slip(
        "permute-weights-before-the-transpose",
        "w was multiplied in after the axes had moved, x has to be moved first",
        f"{AXIS} | permut | {TRANSPOSED} | order",
        ('"ijk,kij->k"', '"ijk,ijk->k"'),
    ),
)

model(
    "power",
    lambda n, r: (0.5 + r.random(5), n(5)),
    """
    def forward(base, expo):
        return base**expo

    def backward(g, base, expo):
        y = base**expo
        return g * expo * base ** (expo - 1), g * y * np.log(base)
    """,
    slip(
        "power-exponent-kept",
        "the exponent drops by one",
        "exponent | power | - 1 | expo",
        ("base ** (expo - 1)", "base**expo"),
    ),
    slip(
        "power-logarithm-forgotten",
        "the derivative by the exponent has the factor log(base)",
        "log( | logarithm | `log`",
        ("g * y * np.log(base)", "g * y"),
    ),
    slip(
        "power-rule-for-an-exponential",
        "the power rule was used for the exponent",
        "log( | logarithm | `log`",
        ("g * y * np.log(base)", "g * base * expo ** 2"),
    ),
)

model(
    "quotient",
    lambda n, r: (n(4), 1 + r.random(4)),
    """
    def forward(top, low):
        return np.arctan(top / low)

    def backward(g, top, low):
        d = g / (1 + (top / low) ** 2)
        return d / low, -d * top / low**2
    """,
    slip(
        "quotient-denominator-not-squared",
        "the derivative by the denominator has its square below",
        "square | power | low**2 | quotient | by low | / low | 1/low | factor low",
        ("-d * top / low**2", "-d * top / low"),
    ),
    slip(
        "quotient-denominator-sign",
        "the derivative by the denominator is negative",
        SIGN,
        ("-d * top / low**2", "d * top / low**2"),
    ),
    slip(
        "arctan-wrong-formula",
        "1 / sqrt(1 - u²) is the slope of arcsin; that of arctan is 1 / (1 + u²)",
        "arctan | arcsin | derivative of | slope of | 1 + u | 1 + ( | sqrt",
        ("g / (1 + (top / low) ** 2)", "g / np.sqrt(1 + (top / low) ** 2)"),
    ),
)

model(
    "chain",
    lambda n, r: (0.2 + r.random((3, 2)),),
    """
    def forward(t):
        return np.log(np.sin(t) ** 2 + t)

    def backward(g, t):
        inside = np.sin(t) ** 2 + t
        dinside = 2 * np.sin(t) * np.cos(t) + 1
        return (g * dinside / inside,)
    """,
    slip(
        "chain-inner-cosine-forgotten",
        "the sine inside the square has a derivative as well",
        "cos( | cosine | `cos` | inner | chain",
        ("2 * np.sin(t) * np.cos(t) + 1", "2 * np.sin(t) + 1"),
    ),
    slip(
        "chain-summand-forgotten",
        "t alone has the slope 1, which is missing",
        "+ 1 | constant | offset | term | summand | path",
        ("2 * np.sin(t) * np.cos(t) + 1", "2 * np.sin(t) * np.cos(t)"),
    ),
    slip(
        "chain-logarithm-of-slope",
        "one over the inside is the slope of the logarithm; the logarithm itself was taken",
        "log | derivative of | slope of | 1 / inside | 1/inside | reciprocal",
        ("g * dinside / inside", "g * dinside * np.log(inside)"),
    ),
)

model(
    "concat",
    lambda n, r: (n(2, 3), n(4, 3), n(2, 3)),
    """
    def forward(a, b, c):
        return np.concatenate([a, b, np.sqrt(1 + c**2)])

    def backward(g, a, b, c):
        da, db, dc = np.split(g, [2, 6])
        return da, db, dc * c / np.sqrt(1 + c**2)
    """,
    slip(
        "concat-pieces-swapped",
        "the first and the last piece are of one shape and were swapped",
        "swap | order | exchang | slice",
        ("da, db, dc = np", "dc, db, da = np"),
    ),
    slip(
        "concat-inner-derivative-forgotten",
        "the derivative of 1 + c² inside the root leaves a factor c",
        "`c` | factor c | inner | chain | * c",
        ("dc * c / np", "dc / np"),
    ),
)
