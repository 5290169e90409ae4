"""Wrong gradients: attention and embeddings."""

import numpy as np
from gradient_mistakes import (
    AXIS,
    MEAN,
    OVERWRITTEN,
    PATH,
    TRANSPOSED,
    TWO,
    model,
    slip,
)

REPEATED = "repeat | duplicate | more than once | add.at | several times | accumul | twice"

model(
    "attention",
    lambda n, r: (n(4, 3), n(5, 3), n(5, 2)),
    """
    def weights(q, k):
        s = q @ k.T / np.sqrt(q.shape[1])
        e = np.exp(s - s.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def forward(q, k, v):
        return weights(q, k) @ v

    def backward(g, q, k, v):
        a = weights(q, k)
        da = g @ v.T
        ds = a * (da - np.sum(a * da, axis=1, keepdims=True))
        ds /= np.sqrt(q.shape[1])
        return ds @ k, ds.T @ q, a.T @ g
    """,
    slip(
        "attention-scale-forgotten",
        "the scores are divided by the root of the width; their gradient is not",
        "scale | sqrt | root | 1.73 | 0.577",
        ("\n    ds /= np.sqrt(q.shape[1])", ""),
    ),
    slip(
        "attention-scaled-by-number-of-queries",
        "the root of the number of queries was taken, not of the width",
        "scale | sqrt | root | width | 0.866 | 1.15",
        ("ds /= np.sqrt(q.shape[1])", "ds /= np.sqrt(q.shape[0])"),
    ),
    slip(
        "attention-softmax-backward-over-queries",
        "the softmax runs over the keys; its backward sums over the queries",
        AXIS,
        ("np.sum(a * da, axis=1, keepdims=True)", "np.sum(a * da, axis=0, keepdims=True)"),
    ),
    slip(
        "attention-softmax-skipped",
        "the gradient goes back through the softmax as if through a product",
        "softmax | jacobian | projection | sum",
        ("a * (da - np.sum(a * da, axis=1, keepdims=True))", "a * da"),
    ),
)

model(
    "attention",
    lambda n, r: (n(4, 4), n(4, 4), n(4, 4), n(4, 4)),
    """
    seen = np.tril(np.ones((4, 4), dtype=bool))

    def attend(Q, K):
        S = np.where(seen, Q @ K.T / 2.0, -np.inf)
        P = np.exp(S - S.max(-1, keepdims=True))
        return P / P.sum(-1, keepdims=True)

    def forward(X, A, B, C):
        return attend(X @ A, X @ B) @ (X @ C)

    def backward(g, X, A, B, C):
        Q, K, V = X @ A, X @ B, X @ C
        P = attend(Q, K)
        dV = P.T @ g
        dP = g @ V.T
        dS = P * (dP - (P * dP).sum(-1, keepdims=True)) / 2.0
        dQ = dS @ K
        dK = dS.T @ Q
        dX = dQ @ A.T + dK @ B.T + dV @ C.T
        return dX, X.T @ dQ, X.T @ dK, X.T @ dV
    """,
    slip(
        "self-attention-values-path-lost",
        "X feeds queries, keys and values; the part of the values is missing",
        f"{PATH} | dv | term | c.t",
        (" + dV @ C.T", ""),
    ),
    slip(
        "self-attention-keys-not-transposed",
        "dS runs over (query, key): for the keys it has to be transposed",
        f"{TRANSPOSED} | ds.t",
        ("dK = dS.T @ Q", "dK = dS @ Q"),
    ),
    slip(
        "self-attention-keys-for-queries",
        "dQ takes the keys, dK the queries: here both take their own",
        "swap | keys | instead of | exchang | ds @ k",
        ("dQ = dS @ K", "dQ = dS @ Q"),
    ),
    slip(
        "self-attention-mask-not-in-backward",
        "the weights are computed anew without the causal mask",
        "mask | causal | future | seen",
        ("P = attend(Q, K)", "P = np.exp(Q @ K.T / 2.0)\n    P /= P.sum(-1, keepdims=True)"),
    ),
    slip(
        "self-attention-values-weighted-untransposed",
        "the values' gradient takes the transpose of the weights",
        f"{TRANSPOSED} | p.t",
        ("dV = P.T @ g", "dV = P @ g"),
    ),
)

model(
    "multi-head",
    lambda n, r: (n(3, 4), n(5, 4), n(5, 4), n(4, 4)),
    """
    def heads(t):
        return t.reshape(len(t), 2, 2).transpose(1, 0, 2)

    def merge(t):
        return t.transpose(1, 0, 2).reshape(t.shape[1], -1)

    def look(q, k):
        e = np.exp(np.einsum("hqd,hkd->hqk", heads(q), heads(k)))
        return e / e.sum(axis=2, keepdims=True)

    def forward(q, k, v, O):
        return merge(look(q, k) @ heads(v)) @ O

    def backward(g, q, k, v, O):
        w = look(q, k)
        dO = merge(w @ heads(v)).T @ g
        dm = heads(g @ O.T)
        dv = w.swapaxes(1, 2) @ dm
        dw = np.einsum("hqd,hkd->hqk", dm, heads(v))
        ds = w * dw - w * np.einsum("hqk,hqk->hq", w, dw)[..., None]
        dq, dk = ds @ heads(k), np.einsum("hqk,hqd->hkd", ds, heads(q))
        return merge(dq), merge(dk), merge(dv), dO
    """,
    slip(
        "multi-head-merged-without-transpose",
        "the heads were reshaped back without moving their axis behind the positions",
        f"order | reshape | layout | permut | {TRANSPOSED} | {AXIS}",
        ("return merge(dq),", "return dq.reshape(q.shape),"),
    ),
    slip(
        "multi-head-one-head-for-all",
        "the inner sum of the softmax runs over both heads together",
        f"{AXIS} | head",
        ('np.einsum("hqk,hqk->hq", w, dw)[..., None]', 'np.einsum("hqk,hqk->q", w, dw)[:, None]'),
    ),
    slip(
        "multi-head-output-weights-forgotten",
        "the gradient goes to the heads without going back through O",
        f"o.t | output weights | output projection | {TRANSPOSED} | `o`",
        ("dm = heads(g @ O.T)", "dm = heads(g)"),
    ),
)

model(
    "additive-attention",
    lambda n, r: (n(4), n(6, 4), n(4)),
    """
    def forward(query, keys, v):
        e = np.exp(np.tanh(keys + query) @ v)
        return (e / e.sum()) @ keys

    def backward(g, query, keys, v):
        hidden = np.tanh(keys + query)
        e = np.exp(hidden @ v)
        alpha = e / e.sum()
        score = keys @ g
        dscore = alpha * (score - alpha @ score)
        inner = dscore[:, None] * v * (1 - hidden**2)
        return inner.sum(axis=0), inner + np.outer(alpha, g), dscore @ hidden
    """,
    slip(
        "additive-attention-keys-as-values-only",
        "the keys are scored and averaged: the part through the scores is missing",
        f"{PATH} | inner | term",
        ("inner + np.outer(alpha, g)", "np.outer(alpha, g)"),
    ),
    slip(
        "additive-attention-query-averaged",
        "the query is added to every key: its gradient is the sum over them, not the mean",
        f"{MEAN} | sum",
        ("inner.sum(axis=0)", "inner.mean(axis=0)"),
    ),
)

model(
    "embedding",
    lambda n, r: (n(5, 3), np.array([[1, 4, 1], [0, 1, 2]])),
    """
    def forward(table, ids):
        return table[ids]

    def backward(g, table, ids):
        d = np.zeros_like(table)
        for i, gi in zip(ids.flat, g.reshape(-1, table.shape[1])):
            d[i] += gi
        return (d,)
    """,
    slip(
        "embedding-repeated-ids-overwritten",
        "a token that comes again overwrites its row",
        f"{OVERWRITTEN} | {REPEATED}",
        ("d[i] += gi", "d[i] = gi"),
    ),
    slip(
        "embedding-averaged-over-sentences",
        "the rows are divided by the number of sentences, though nothing was averaged",
        f"{MEAN} | {TWO}",
        ("return (d,)", "return (d / len(ids),)"),
    ),
    wrt=(0,),
)

model(
    "embedding",
    lambda n, r: (n(6, 2), n(4, 2), np.array([[3, 0, 2, 3], [5, 3, 0, 0], [1, 2, 2, 0]])),
    """
    def forward(words, places, tokens):
        return 1.5 * words[tokens] * (tokens > 0)[..., None] + places

    def backward(g, words, places, tokens):
        dwords = np.zeros(words.shape)
        real = tokens > 0
        np.add.at(dwords, tokens[real], 1.5 * g[real])
        dplaces = np.add.reduce(g)
        return dwords, dplaces
    """,
    slip(
        "embedding-padding-row-trained",
        "the token 0 is padding; its row gets a gradient",
        "padding | mask | row 0 | token 0",
        ("np.add.at(dwords, tokens[real], 1.5 * g[real])", "np.add.at(dwords, tokens, 1.5 * g)"),
    ),
    slip(
        "embedding-fancy-plus-equals",
        "with += a repeated token counts once only",
        REPEATED,
        ("np.add.at(dwords, tokens[real], 1.5 * g[real])", "dwords[tokens[real]] += 1.5 * g[real]"),
    ),
    slip(
        "embedding-scale-forgotten",
        "the words were multiplied by 1.5, their gradient was not",
        "1.5 | scale | 0.667 | 2/3 | 0.66",
        ("1.5 * g[real]", "g[real]"),
    ),
    slip(
        "embedding-places-of-first-sentence",
        "the places serve every sentence: sum over the batch, not the first one only",
        "sum | batch | axis | broadcast",
        ("np.add.reduce(g)", "g[0]"),
    ),
    wrt=(0, 1),
)

model(
    "embedding-bag",
    lambda n, r: (n(5, 2), n(2, 5), np.array([2, 0, 2, 4])),
    """
    def forward(E, W, bag):
        return np.tanh(E[bag].mean(axis=0) @ W)

    def backward(g, E, W, bag):
        m = E[bag].mean(axis=0)
        dz = g * (1 - np.tanh(m @ W) ** 2)
        dE = np.zeros_like(E)
        for word in bag:
            dE[word] += W @ dz / len(bag)
        return dE, np.outer(m, dz)
    """,
    slip(
        "embedding-bag-divided-by-different-words",
        "the mean runs over all words of the bag, the repeated one included",
        f"{MEAN} | {REPEATED} | len(bag)",
        ("/ len(bag)", "/ len(set(bag.tolist()))"),
    ),
    slip(
        "embedding-bag-every-word-once",
        "the loop runs over the different words: a repeated one counts once",
        REPEATED,
        ("for word in bag", "for word in np.unique(bag)"),
    ),
    wrt=(0, 1),
)
