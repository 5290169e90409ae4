"""Wrong gradients: networks of a few layers, samples as rows, as columns or one at a time."""

from gradient_mistakes import AXIS, OVERWRITTEN, PATH, PRODUCT, SIGN, TRANSPOSED, model, slip

model(
    "mlp",
    lambda n, r: (n(4, 4), n(4, 4), n(4, 4), n(4, 4)),
    """
    def forward(x, A, B, C):
        for W in (A, B):
            x = np.maximum(W @ x, 0)
        return C @ x

    def backward(g, x, A, B, C):
        weights, inputs = [A, B, C], [x]
        for W in weights[:-1]:
            inputs.append(np.maximum(W @ inputs[-1], 0))
        grads = []
        d = g
        for k in (2, 1, 0):
            grads.insert(0, d @ inputs[k].T)
            d = weights[k].T @ d
            if k:
                d = d * (inputs[k] > 0)
        return (d, *grads)
    """,
    slip(
        "mlp-list-in-reverse",
        "the gradients are collected from the last layer to the first and returned that way",
        "order | revers | swap | belongs to | exchang",
        ("grads.insert(0, d @", "grads.append(d @"),
    ),
    slip(
        "mlp-mask-of-layer-below",
        "the ReLU is masked by the input of the layer below, not by its own output",
        "mask | relu | inputs[k] | layer",
        ("(inputs[k] > 0)", "(inputs[k - 1] > 0)"),
    ),
    slip(
        "mlp-delta-stepped-too-early",
        "d is carried through the weights before it is used for their gradient",
        "order | before | after | too early | too late | already | overwr | swap | earlier",
        (
            "grads.insert(0, d @ inputs[k].T)\n        d = weights[k].T @ d",
            "d = weights[k].T @ d\n        grads.insert(0, d @ inputs[k].T)",
        ),
    ),
    slip(
        "mlp-mask-forgotten",
        "the slope of the ReLU is missing: d goes through the dead units too",
        "mask | relu | > 0)",
        ("d = d * (inputs[k] > 0)", "d = d * 1.0"),
    ),
)

model(
    "mlp",
    lambda n, r: (n(4), n(4, 4), n(4), n(4, 4), n(4)),
    """
    def forward(x, W, b, V, c):
        return V @ np.tanh(W @ x + b) + c

    def backward(g, x, W, b, V, c):
        h = np.tanh(W @ x + b)
        dh = V.T @ g
        dz = dh * (1 - h * h)
        return W.T @ dz, np.outer(dz, x), dz, np.outer(g, h), g
    """,
    slip(
        "mlp-outer-turned",
        "the outer product for W was taken the wrong way round, which gives the transpose",
        f"{TRANSPOSED} | outer(dz, x)",
        ("np.outer(dz, x)", "np.outer(x, dz)"),
    ),
    slip(
        "mlp-output-weights-not-transposed",
        "the error goes back through V, not through its transpose; V is square",
        f"{TRANSPOSED} | v.t",
        ("dh = V.T @ g", "dh = V @ g"),
    ),
    slip(
        "mlp-tanh-slope-algebra",
        "1 - h² is not (1 - h)²",
        "tanh | 1 - h | derivative of | slope of",
        ("(1 - h * h)", "(1 - h) ** 2"),
    ),
    slip(
        "mlp-tanh-slope-of-slope",
        "h was computed without its tanh in the backward function",
        "tanh",
        ("h = np.tanh(W @ x + b)\n    dh", "h = W @ x + b\n    dh"),
    ),
)

model(
    "mlp",
    lambda n, r: (n(5, 4), n(4, 4), n(1, 4), n(4, 4)),
    """
    def forward(X, W, b, V):
        Z = np.einsum("ni,ij->nj", X, W) + b
        H = Z / (1 + np.exp(-Z))
        return np.einsum("nj,jk->nk", H, V) + X

    def backward(g, X, W, b, V):
        Z = np.einsum("ni,ij->nj", X, W) + b
        s = 1 / (1 + np.exp(-Z))
        dV = np.einsum("nj,nk->jk", Z * s, g)
        dH = np.einsum("nk,jk->nj", g, V)
        dZ = dH * s * (1 + Z * (1 - s))
        dW = np.einsum("ni,nj->ij", X, dZ)
        db = np.einsum("nj->j", dZ)[None]
        dX = g + np.einsum("nj,ij->ni", dZ, W)
        return dX, dW, db, dV
    """,
    slip(
        "mlp-einsum-letters-turned",
        "the result of the einsum for W is written ji, which is the transpose",
        f"{TRANSPOSED} | ->ij",
        ('"ni,nj->ij"', '"ni,nj->ji"'),
    ),
    slip(
        "mlp-einsum-backwards-through-v",
        "the einsum for dH multiplies by V, not by its transpose",
        f"{TRANSPOSED} | jk->nj | v.t",
        ('"nk,jk->nj"', '"nk,kj->nj"'),
    ),
    slip(
        "mlp-skip-lost",
        "X is also added to the output; that second way to X is missing",
        f"{PATH} | skip | residual | + g | missing g | lacks g | g is missing | term",
        ("dX = g + np.einsum", "dX = np.einsum"),
    ),
    slip(
        "mlp-sigmoid-slope-for-swish",
        "s(1 - s) is the slope of the sigmoid; swish is Z times it",
        "swish | silu | derivative of | slope of | 1 + z",
        ("s * (1 + Z * (1 - s))", "s * (1 - s)"),
    ),
)

model(
    "mlp",
    lambda n, r: (n(4, 3), n(4), n(2, 4), n(6, 3), r.random((6, 2))),
    """
    def sig(t):
        return 1 / (1 + np.exp(-t))

    def forward(W2, b2, W3, xs, ys):
        return sum(0.5 * np.sum((sig(W3 @ sig(W2 @ x + b2)) - y) ** 2) for x, y in zip(xs, ys))

    def backward(g, W2, b2, W3, xs, ys):
        nabla2, nabla_b, nabla3 = (np.zeros(p.shape) for p in (W2, b2, W3))
        for x, y in zip(xs, ys):
            a2 = sig(W2 @ x + b2)
            a3 = sig(W3 @ a2)
            delta = (a3 - y) * a3 * (1 - a3)
            nabla3 += np.outer(delta, a2)
            delta = (W3.T @ delta) * a2 * (1 - a2)
            nabla2 += np.outer(delta, x)
            nabla_b += delta
        return g * nabla2, g * nabla_b, g * nabla3
    """,
    slip(
        "mlp-cross-entropy-delta",
        "a - y is the delta of the cross-entropy; with squares the sigmoid's slope comes in",
        "sigmoid | slope | cross-entropy | cross entropy | derivative of | a3 * (1 - a3)",
        ("(a3 - y) * a3 * (1 - a3)", "a3 - y"),
    ),
    slip(
        "mlp-bias-after-the-loop",
        "the bias gradient is added once after the loop: only the last example counts",
        f"{OVERWRITTEN} | loop | every example | each example",
        ("\n        nabla_b += delta", "\n    nabla_b += delta"),
    ),
    slip(
        "mlp-hidden-slope-of-output",
        "the hidden delta takes a2 - 1 for 1 - a2: the sign is turned",
        SIGN,
        ("a2 * (1 - a2)", "a2 * (a2 - 1)"),
    ),
    wrt=(0, 1, 2),
)

model(
    "glu",
    lambda n, r: (n(3, 4), n(4, 2), n(4, 2)),
    """
    gate = lambda z: 1 / (1 + np.exp(-z))

    def forward(x, W, V):
        return (x @ W) * gate(x @ V)

    def backward(g, x, W, V):
        a, s = x @ W, gate(x @ V)
        da = g * s
        ds = g * a
        dv = ds * s * (1 - s)
        return da @ W.T + dv @ V.T, x.T @ da, x.T @ dv
    """,
    slip(
        "glu-factors-not-crossed",
        "the gradient of a product's factor takes the other factor; here each takes itself",
        "other factor | swap | product | gate | exchang | `s` | instead of",
        ("da = g * s", "da = g * a"),
    ),
    slip(
        "glu-gate-slope-forgotten",
        "the gradient of the gate does not go through the sigmoid",
        "sigmoid | s * (1 - s) | s (1 - s) | slope | gate'",
        ("dv = ds * s * (1 - s)", "dv = ds"),
    ),
    slip(
        "glu-only-linear-path",
        "x feeds both branches; only the linear one is counted in its gradient",
        f"{PATH} | branch | dv @ v.t | term | gate",
        ("da @ W.T + dv @ V.T", "da @ W.T"),
    ),
)

model(
    "autoencoder",
    lambda n, r: (n(6, 3), n(5, 6), n(3), n(6)),
    """
    def forward(W, X, b, c):
        return np.tanh(X @ W + b) @ W.T + c

    def backward(g, W, X, b, c):
        code = np.tanh(X @ W + b)
        dW = g.T @ code
        dcode = g @ W
        dz = dcode - dcode * code**2
        dW = dW + X.T @ dz
        return dW, dz @ W.T, dz.sum(0), g.sum(0)
    """,
    slip(
        "autoencoder-encoder-only",
        "the tied weights serve twice; the part of the decoder is overwritten",
        f"{PATH} | {OVERWRITTEN} | tied | shared | term | decoder",
        ("dW = dW + X.T", "dW = X.T"),
    ),
    slip(
        "autoencoder-decoder-only",
        "the tied weights serve twice; the part of the encoder is missing",
        f"{PATH} | {OVERWRITTEN} | tied | shared | term | encoder",
        ("\n    dW = dW + X.T @ dz", ""),
    ),
    slip(
        "autoencoder-output-bias-from-code",
        "the gradient of the output bias was taken from the mean, not the sum over the batch",
        "1/n | mean | average | batch size | divide | sum | factor 5 | times 5 | number of",
        ("g.sum(0)", "g.mean(0)"),
    ),
)

model(
    "mlp",
    lambda n, r: (n(4, 4), n(4, 4), n(4, 1), n(4, 4), n(4, 1)),
    """
    def forward(X, W1, b1, W2, b2):
        params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
        A = X
        for layer in ("1", "2"):
            Z = params["W" + layer].dot(A) + params["b" + layer]
            A = np.where(Z > 0, Z, 0.1 * Z)
        return A

    def backward(g, X, W1, b1, W2, b2):
        Z1 = W1.dot(X) + b1
        A1 = np.where(Z1 > 0, Z1, 0.1 * Z1)
        Z2 = W2.dot(A1) + b2
        dZ2 = g * np.where(Z2 > 0, 1, 0.1)
        grads = {"W2": dZ2.dot(A1.T), "b2": dZ2.sum(axis=1, keepdims=True)}
        dZ1 = W2.T.dot(dZ2) * np.where(Z1 > 0, 1, 0.1)
        grads["W1"] = dZ1.dot(X.T)
        grads["b1"] = dZ1.sum(axis=1, keepdims=True)
        return W1.T.dot(dZ1), grads["W1"], grads["b1"], grads["W2"], grads["b2"]
    """,
    slip(
        "mlp-columns-bias-over-features",
        "samples are columns; the bias of layer 1 is summed over the features and turned upright",
        AXIS,
        ('grads["b1"] = dZ1.sum(axis=1, keepdims=True)', 'grads["b1"] = dZ1.sum(axis=0)[:, None]'),
    ),
    slip(
        "mlp-columns-mask-of-output",
        "the hidden layer takes the slope of the output layer: Z2 for Z1",
        "z1 | layer | mask | slope | leaky",
        ("np.where(Z1 > 0, 1, 0.1)", "np.where(Z2 > 0, 1, 0.1)"),
    ),
    slip(
        "mlp-columns-weights-by-product-left",
        "the input stands on the left as with samples in rows; here they are columns",
        f"{TRANSPOSED} | order | swap",
        ("dZ1.dot(X.T)", "X.T.dot(dZ1)"),
    ),
    slip(
        "mlp-columns-same-key",
        "the bias gradient of layer 1 was returned for layer 2 as well",
        "b2 | wrong variable | instead of | swap | mixed up",
        ('grads["W2"], grads["b2"]', 'grads["W2"], grads["b1"]'),
    ),
)

model(
    "highway",
    lambda n, r: (n(5, 3), n(3, 3), n(3, 3), n(3)),
    """
    def forward(x, W, T, bias):
        h = np.tanh(x @ W)
        t = 1 / (1 + np.exp(-(x @ T + bias)))
        return t * h + (1 - t) * x

    def backward(g, x, W, T, bias):
        h = np.tanh(x @ W)
        t = 1 / (1 + np.exp(-(x @ T + bias)))
        dh = g * t * (1 - h**2)
        dt = g * (h - x) * t * (1 - t)
        dx = g * (1 - t)
        dx += dh @ W.T
        dx += dt @ T.T
        return dx, x.T @ dh, x.T @ dt, dt.sum(axis=0)
    """,
    slip(
        "highway-carry-not-in-gate",
        "the gate also weighs the carried input: h - x, not h alone",
        f"{PRODUCT} | h - x | - x | gate",
        ("g * (h - x) * t", "g * h * t"),
    ),
    slip(
        "highway-carry-gate-for-transform",
        "the carried input is weighed by 1 - t, not by t",
        "1 - t | gate | carry | skip",
        ("dx = g * (1 - t)", "dx = g * t"),
    ),
    slip(
        "highway-gate-path-set",
        "the last line sets dx; the other two ways to x are lost",
        f"{OVERWRITTEN} | {PATH}",
        ("dx += dt @ T.T", "dx = dt @ T.T"),
    ),
)

model(
    "hopfield",
    lambda n, r: (n(4), n(4, 4)),
    """
    def forward(s, J):
        return -0.5 * s @ J @ s

    def backward(g, s, J):
        ds = -0.5 * g * (J @ s + J.T @ s)
        return ds, -0.5 * g * s[:, None] * s[None, :]
    """,
    slip(
        "hopfield-symmetric-assumed",
        "J @ s twice is only right for a symmetric J: one of them is J.T @ s",
        f"{TRANSPOSED} | symmetr",
        ("J.T @ s", "J @ s"),
    ),
    slip(
        "hopfield-half-forgotten",
        "the 0.5 in front of the energy is missing in the gradient of J",
        "factor & 2 | twice | half | 1/2 | 0.5 | 2 times | factor of two | doubl",
        ("return ds, -0.5 * g", "return ds, -g"),
    ),
)
