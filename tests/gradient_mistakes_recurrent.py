"""Wrong gradients: recurrent networks."""

from gradient_mistakes import (
    OVERWRITTEN,
    PATH,
    SIGN,
    TIME,
    TRANSPOSED,
    model,
    slip,
)

model(
    "rnn",
    lambda n, r: (n(3, 4, 2), n(2, 5), n(5, 5) / 2, n(5)),
    """
    def states(X, U, R, b):
        H = [np.zeros((len(X), len(b)))]
        for t in range(X.shape[1]):
            H.append(np.tanh(X[:, t] @ U + H[t] @ R + b))
        return H

    def forward(X, U, R, b):
        return states(X, U, R, b)[-1]

    def backward(g, X, U, R, b):
        H = states(X, U, R, b)
        dX = np.zeros(X.shape)
        dU, dR, db = [np.zeros(p.shape) for p in (U, R, b)]
        dH = g
        for t in range(X.shape[1], 0, -1):
            dZ = dH * (1 - H[t] ** 2)
            dU += X[:, t - 1].T @ dZ
            dR += H[t - 1].T @ dZ
            db += dZ.sum(axis=0)
            dX[:, t - 1] = dZ @ U.T
            dH = dZ @ R.T
        return dX, dU, dR, db
    """,
    slip(
        "rnn-last-incoming-at-every-step",
        "only the last state is returned; g was added again at every time step",
        "every step | each step | every time | each time | last step | last state | + g",
        ("dH = dZ @ R.T", "dH = dZ @ R.T + g"),
    ),
    slip(
        "rnn-bias-of-first-step",
        "the bias gradient is set at every step, so only the first time step is left",
        f"{OVERWRITTEN} | time step",
        ("db += dZ", "db = dZ"),
    ),
    slip(
        "rnn-recurrent-from-current-state",
        "the recurrent weights met the state before; the current one was taken",
        f"{TIME} | h[t - 1]",
        ("dR += H[t - 1].T", "dR += H[t].T"),
    ),
    slip(
        "rnn-recurrent-not-transposed",
        "the state's gradient goes back through R.T; R is square, so R fits as well",
        f"{TRANSPOSED} | r.t",
        ("dH = dZ @ R.T", "dH = dZ @ R"),
    ),
    slip(
        "rnn-slope-skipped-between-steps",
        "between two steps the gradient was taken before the tanh, not after",
        "tanh | slope | dz",
        ("dH = dZ @ R.T", "dH = dH @ R.T"),
    ),
)

model(
    "rnn",
    lambda n, r: (n(5, 3), n(3), n(3, 3), n(3, 3), n(3, 3)),
    """
    def run(xs, h, A, B):
        hs = {-1: h}
        for t, x in enumerate(xs):
            hs[t] = np.tanh(A @ x + B @ hs[t - 1])
        return hs

    def forward(xs, h, A, B, C):
        hs = run(xs, h, A, B)
        return np.array([C @ hs[t] for t in range(len(xs))])

    def backward(g, xs, h, A, B, C):
        hs = run(xs, h, A, B)
        dA, dB, dC, dxs = map(np.zeros_like, (A, B, C, xs))
        carried = np.zeros_like(h)
        for t in reversed(range(len(xs))):
            dC += np.outer(g[t], hs[t])
            dh = C.T @ g[t] + carried
            da = (1 - hs[t] ** 2) * dh
            dA += np.outer(da, xs[t])
            dB += np.outer(da, hs[t - 1])
            dxs[t] = A.T @ da
            carried = B.T @ da
        return dxs, carried, dA, dB, dC
    """,
    slip(
        "rnn-no-gradient-through-time",
        "what comes back from the later steps is not added to dh",
        "carried | through time | later step | next step | future | time step | recurren",
        ("C.T @ g[t] + carried", "C.T @ g[t]"),
    ),
    slip(
        "rnn-loop-runs-forward",
        "the loop has to run from the last step to the first",
        "revers | order | last step | forward in time | time step | through time",
        ("for t in reversed(range(len(xs)))", "for t in range(len(xs))"),
    ),
    slip(
        "rnn-output-weights-from-earlier-state",
        "the output is made of the current state; dC took the one before",
        f"{TIME} | hs[t]",
        ("np.outer(g[t], hs[t])", "np.outer(g[t], hs[t - 1])"),
    ),
    slip(
        "rnn-slope-of-earlier-state",
        "the slope of the tanh was taken at the state one step earlier",
        f"{TIME} | hs[t] | tanh",
        ("(1 - hs[t] ** 2)", "(1 - hs[t - 1] ** 2)"),
    ),
)

model(
    "rnn",
    lambda n, r: (n(3, 2, 2), n(2, 3), n(3, 2), n(3, 3)),
    """
    def forward(x, h0, A, B):
        h, states = h0, []
        for x_t in x:
            h = np.tanh(x_t @ A.T + h @ B.T)
            states.append(h)
        return np.stack(states)

    def backward(g, x, h0, A, B):
        h = forward(x, h0, A, B)
        dx, dh, dA, dB = map(np.zeros_like, (x, h0, A, B))
        for t in reversed(range(len(x))):
            dz = (g[t] + dh) * (1 - h[t] ** 2)
            dx[t] = dz @ A
            dA += dz.T @ x[t]
            dB += dz.T @ (h[t - 1] if t else h0)
            dh = dz @ B
        return dx, dh, dA, dB
    """,
    slip(
        "rnn-recurrent-from-current-state-of-an-array",
        "all states stand in one array without the first one, h0; B met the state before",
        "previous & `h0` before the first",
        ("(h[t - 1] if t else h0)", "h[t]"),
    ),
)

model(
    "lstm",
    lambda n, r: (n(4, 3), n(12, 6) / 2, n(12)),
    """
    sg = lambda v: 1 / (1 + np.exp(-v))

    def unroll(x, W, b):
        h, c, tape = np.zeros(3), np.zeros(3), []
        for xt in x:
            u = np.concatenate([h, xt])
            i, f, o, q = np.split(W @ u + b, 4)
            i, f, o, q = sg(i), sg(f), sg(o), np.tanh(q)
            before, c = c, f * c + i * q
            h = o * np.tanh(c)
            tape.append((u, i, f, o, q, before, c, h))
        return tape

    def forward(x, W, b):
        return np.stack([step[-1] for step in unroll(x, W, b)])

    def backward(g, x, W, b):
        dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b)
        dh, dc = np.zeros(3), np.zeros(3)
        for t, (u, i, f, o, q, before, c, _) in reversed(list(enumerate(unroll(x, W, b)))):
            dh = dh + g[t]
            th = np.tanh(c)
            dc = dc + dh * o * (1 - th**2)
            di = dc * q * i * (1 - i)
            df = dc * before * f * (1 - f)
            do = dh * th * o * (1 - o)
            dq = dc * i * (1 - q**2)
            d = np.concatenate([di, df, do, dq])
            dW += np.outer(d, u)
            db += d
            du = W.T @ d
            dh, dx[t] = du[:3], du[3:]
            dc = dc * f
        return dx, dW, db
    """,
    slip(
        "lstm-forget-gate-meets-new-cell",
        "the forget gate multiplied the cell before the step, not the one after",
        f"{TIME} | before | cell",
        ("df = dc * before", "df = dc * c"),
    ),
    slip(
        "lstm-cell-without-forget-gate",
        "the cell's gradient goes to the step before through the forget gate",
        "forget | dc * f | `f`",
        ("\n        dc = dc * f", ""),
    ),
    slip(
        "lstm-output-gate-raw-cell",
        "the output gate multiplied tanh(c), not c",
        "tanh",
        ("do = dh * th", "do = dh * c"),
    ),
    slip(
        "lstm-candidate-as-a-gate",
        "the candidate went through a tanh; its slope was taken of a sigmoid",
        "tanh | sigmoid",
        ("(1 - q**2)", "q * (1 - q)"),
    ),
    slip(
        "lstm-gates-in-other-order",
        "the gates are stacked i, f, o, q; the gradients i, f, q, o",
        "order | swap | permut | exchang | stack",
        ("[di, df, do, dq]", "[di, df, dq, do]"),
    ),
    slip(
        "lstm-halves-of-the-input-swapped",
        "the state stands first in u and the input second; they were taken the other way round",
        "order | swap | exchang | split | slice | concat | half",
        ("dh, dx[t] = du[:3], du[3:]", "dh, dx[t] = du[3:], du[:3]"),
    ),
    slip(
        "lstm-cell-of-later-steps-lost",
        "dc is set, not added to: what comes from the later cells is lost",
        f"{OVERWRITTEN} | later step | next step | carried | through time | time step | cell",
        ("dc = dc + dh * o", "dc = dh * o"),
    ),
)

model(
    "gru",
    lambda n, r: (n(2, 3), n(4, 2, 3), n(3, 3, 3), n(3, 3, 3)),
    """
    def sg(v):
        return 0.5 * (1 + np.tanh(v / 2))

    def cell(h, x, W, U):
        z = sg(x @ W[0] + h @ U[0])
        r = sg(x @ W[1] + h @ U[1])
        n = np.tanh(x @ W[2] + (r * h) @ U[2])
        return z, r, n, h + z * (n - h)

    def forward(h, xs, W, U):
        for x in xs:
            h = cell(h, x, W, U)[-1]
        return h

    def backward(g, h, xs, W, U):
        past = []
        for x in xs:
            past.append((h, *cell(h, x, W, U)))
            h = past[-1][-1]
        dxs, dW, dU = np.zeros_like(xs), np.zeros_like(W), np.zeros_like(U)
        for t in range(len(xs) - 1, -1, -1):
            h, z, r, n, _ = past[t]
            dz = g * (n - h) * z * (1 - z)
            dn = g * z * (1 - n**2)
            drh = dn @ U[2].T
            dr = drh * h * r * (1 - r)
            for k, (d, s) in enumerate(((dz, h), (dr, h), (dn, r * h))):
                dW[k] += xs[t].T @ d
                dU[k] += s.T @ d
                dxs[t] += d @ W[k].T
            g = g * (1 - z) + drh * r + dz @ U[0].T + dr @ U[1].T
        return g, dxs, dW, dU
    """,
    slip(
        "gru-convention-of-the-gate",
        "here z weighs the new state: the old one keeps 1 - z, not z",
        "1 - z | gate | update",
        ("g = g * (1 - z)", "g = g * z"),
    ),
    slip(
        "gru-update-gate-sign",
        "h + z (n - h): the gate's gradient has n - h, not h - n",
        SIGN,
        ("g * (n - h) * z", "g * (h - n) * z"),
    ),
    slip(
        "gru-reset-gate-not-on-the-way-back",
        "the state went into the candidate through r; on the way back r is missing",
        "reset | drh * r | `r`",
        ("+ drh * r +", "+ drh +"),
    ),
    slip(
        "gru-candidate-weights-without-reset",
        "the candidate's recurrent weights met r * h, not h",
        "reset | r * h | `r`",
        ("(dn, r * h)", "(dn, h)"),
    ),
    slip(
        "gru-path-through-reset-gate",
        "the state also reaches the output through the reset gate; that path is missing",
        f"{PATH} | reset | term | u[1] | dr",
        (" + dr @ U[1].T", ""),
    ),
)

model(
    "leaky-integrator",
    lambda n, r: (n(6, 2), 0.3),
    """
    def forward(x, a):
        y = [x[0]]
        for v in x[1:]:
            y.append((1 - a) * y[-1] + a * v)
        return np.array(y)

    def backward(g, x, a):
        y = forward(x, a)
        dx, da, carry = np.zeros(x.shape), 0.0, 0.0
        for t in range(len(x) - 1, 0, -1):
            total = g[t] + carry
            dx[t] = a * total
            da += total @ (x[t] - y[t - 1])
            carry = (1 - a) * total
        dx[0] = g[0] + carry
        return dx, da
    """,
    slip(
        "integrator-decay-of-own-gradient",
        "carry is passed on without what came later: (1 - a) g in place of (1 - a) total",
        "carry | through time | time step | accumul | recurren",
        ("carry = (1 - a) * total", "carry = (1 - a) * g[t]"),
    ),
    slip(
        "integrator-rate-meets-current-state",
        "a multiplies x - y of the step before; the current y was taken",
        f"{TIME} | y[t - 1]",
        ("(x[t] - y[t - 1])", "(x[t] - y[t])"),
    ),
    slip(
        "integrator-start-like-the-rest",
        "the first value is taken over as it is; its gradient has no factor a",
        "factor & a | x[0] | dx[0] | start | row 0",
        ("dx[0] = g[0] + carry", "dx[0] = a * (g[0] + carry)"),
    ),
)
