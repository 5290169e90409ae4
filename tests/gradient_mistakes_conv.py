"""Wrong gradients: convolutions, pooling, and what shapes images."""

from gradient_mistakes import AXIS, MEAN, OVERWRITTEN, SIGN, TRANSPOSED, UNSUMMED, model, slip

model(
    "conv1d",
    lambda n, r: (n(7), n(3)),
    """
    def forward(signal, kernel):
        n, k = len(signal), len(kernel)
        return np.array([signal[t : t + k] @ kernel for t in range(n - k + 1)])

    def backward(g, signal, kernel):
        ds, dk = np.zeros(signal.shape), np.zeros(kernel.shape)
        for t, gt in enumerate(g):
            for j in range(len(kernel)):
                ds[t + j] += gt * kernel[j]
                dk[j] += gt * signal[t + j]
        return ds, dk
    """,
    slip(
        "conv1d-signal-overwritten",
        "windows overlap: a sample gets a share from each, here only from the last",
        f"{OVERWRITTEN} | overlap",
        ("ds[t + j] +=", "ds[t + j] ="),
    ),
    slip(
        "conv1d-kernel-flipped-for-signal",
        "the kernel was flipped, as for a true convolution; this one only slides it",
        "flip | revers | convolution | correlation",
        ("gt * kernel[j]", "gt * kernel[-1 - j]"),
    ),
    slip(
        "conv1d-window-starts-late",
        "the window was read one sample too early",
        "off by one | off-by-one | shift | one sample | one place | index",
        ("gt * signal[t + j]", "gt * signal[t + j - 1]"),
    ),
)

model(
    "conv1d",
    lambda n, r: (n(2, 3, 9), n(4, 3, 3), n(4)),
    """
    stride = 2

    def windows(x, k):
        return np.stack([x[:, :, i : i + k] for i in range(0, x.shape[2] - k + 1, stride)], axis=2)

    def forward(x, w, bias):
        return np.einsum("nctk,ock->not", windows(x, w.shape[2]), w) + bias[:, None]

    def backward(g, x, w, bias):
        k = w.shape[2]
        dw = np.einsum("not,nctk->ock", g, windows(x, k))
        dx = np.zeros_like(x)
        for t in range(g.shape[2]):
            start = t * stride
            dx[:, :, start : start + k] += np.tensordot(g[:, :, t], w, axes=(1, 0))
        return dx, dw, g.sum(axis=(0, 2))
    """,
    slip(
        "conv1d-stride-forgotten",
        "the windows start at t * stride, not at t",
        "stride",
        ("start = t * stride", "start = t"),
    ),
    slip(
        "conv1d-bias-mean-over-time",
        "the bias was added at every time: its gradient is the sum over them, not the mean",
        f"{MEAN} | sum",
        ("g.sum(axis=(0, 2))", "g.sum(axis=0).mean(axis=1)"),
    ),
    slip(
        "conv1d-strided-windows-set",
        "dx is set, not added to, where two windows share a sample",
        f"{OVERWRITTEN} | overlap",
        ("] += np.tensordot", "] = np.tensordot"),
    ),
)

model(
    "conv1d",
    lambda n, r: (n(8, 2), n(3, 2, 2)),
    """
    gap = 2

    def forward(x, w):
        pad = gap * (len(w) - 1)
        xp = np.vstack([np.zeros((pad, x.shape[1])), x])
        return sum(xp[j * gap : j * gap + len(x)] @ w[j] for j in range(len(w)))

    def backward(g, x, w):
        pad = gap * (len(w) - 1)
        xp = np.vstack([np.zeros((pad, x.shape[1])), x])
        dxp, dw = np.zeros(xp.shape), np.zeros(w.shape)
        for j in range(len(w)):
            here = slice(j * gap, j * gap + len(x))
            dxp[here] += g @ w[j].T
            dw[j] = xp[here].T @ g
        return dxp[pad:], dw
    """,
    slip(
        "causal-conv-wrong-end-cut",
        "the padding is in front; it was cut off at the end",
        "pad | front | shift | wrong end | crop | slice",
        ("return dxp[pad:], dw", "return dxp[:-pad], dw"),
    ),
    slip(
        "causal-conv-dilation-forgotten",
        "the taps are gap apart; the dilation is missing",
        "gap | dilat | slice | shift | j * gap",
        ("here = slice(j * gap, j * gap + len(x))", "here = slice(j, j + len(x))"),
    ),
    slip(
        "causal-conv-tap-not-transposed",
        "each tap is a matrix and has to be transposed on the way back; it is square",
        f"{TRANSPOSED} | v.t | swapaxes",
        ("g @ w[j].T", "g @ w[j]"),
    ),
)

model(
    "conv2d",
    lambda n, r: (n(2, 4, 4, 2), n(3, 3, 2, 3), n(3)),
    """
    def pad1(img):
        return np.pad(img, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def forward(img, F, b):
        N, H, W, _ = img.shape
        P = pad1(img)
        out = np.empty((N, H, W, F.shape[3]))
        for i in range(H):
            for j in range(W):
                out[:, i, j] = np.tensordot(P[:, i : i + 3, j : j + 3], F, axes=3) + b
        return out

    def backward(g, img, F, b):
        P = pad1(img)
        dP, dF, db = np.zeros_like(P), np.zeros_like(F), np.zeros_like(b)
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                top = g[:, i, j]
                dP[:, i : i + 3, j : j + 3] += np.einsum("no,abco->nabc", top, F)
                dF += np.einsum("nabc,no->abco", P[:, i : i + 3, j : j + 3], top)
                db += top.sum(axis=0)
        return dP[:, 1:-1, 1:-1], dF, db
    """,
    slip(
        "conv2d-padding-cut-on-one-side",
        "both rows of padding were cut off at the end, none at the beginning",
        "pad | crop | slice | shift | off by one | off-by-one",
        ("dP[:, 1:-1, 1:-1]", "dP[:, :-2, :-2]"),
    ),
    slip(
        "conv2d-filter-only-last-window",
        "dF is set at every window; only the last one remains",
        OVERWRITTEN,
        ("dF += np", "dF = np"),
    ),
    slip(
        "conv2d-rows-and-columns-swapped",
        "the window was put at (j, i) instead of (i, j)",
        f"swap | {TRANSPOSED} | {AXIS} | j, i | i and j | order",
        ("dP[:, i : i + 3, j : j + 3] +=", "dP[:, j : j + 3, i : i + 3] +="),
    ),
    slip(
        "conv2d-bias-last-window",
        "the bias serves every pixel; only the last one was counted",
        OVERWRITTEN,
        ("db += top", "db = top"),
    ),
)

model(
    "conv2d",
    lambda n, r: (n(2, 5, 6), n(3, 2, 2, 3)),
    """
    view = np.lib.stride_tricks.sliding_window_view

    def forward(x, w):
        cols = view(x, w.shape[2:], axis=(1, 2))
        return np.tensordot(w, cols, axes=([1, 2, 3], [0, 3, 4]))

    def backward(g, x, w):
        kh, kw = w.shape[2:]
        dw = np.tensordot(g, view(x, g.shape[1:], axis=(1, 2)), axes=([1, 2], [3, 4]))
        wide = np.pad(g, ((0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
        flipped = w[:, :, ::-1, ::-1]
        dx = np.einsum("ohwab,ocab->chw", view(wide, (kh, kw), axis=(1, 2)), flipped)
        return dx, dw
    """,
    slip(
        "conv2d-kernel-not-rotated",
        "the way back is a convolution with the kernel turned by 180 degrees; it was not turned",
        "flip | rotat | revers | 180",
        ("w[:, :, ::-1, ::-1]", "w"),
    ),
    slip(
        "conv2d-kernel-flipped-upside-down-only",
        "the kernel was flipped along one of its two axes only",
        f"flip | rotat | revers | 180 | {AXIS}",
        ("w[:, :, ::-1, ::-1]", "w[:, :, ::-1]"),
    ),
    slip(
        "conv2d-channels-flipped-too",
        "the input channels were reversed along with the kernel",
        f"flip | revers | channel | {AXIS} | order",
        ("w[:, :, ::-1, ::-1]", "w[:, ::-1, ::-1, ::-1]"),
    ),
)

model(
    "im2col",
    lambda n, r: (n(6, 6), n(9, 2)),
    """
    def patches():
        corner = (np.arange(0, 4)[:, None] * 6 + np.arange(0, 4)).reshape(-1, 1)
        inside = (np.arange(3)[:, None] * 6 + np.arange(3)).reshape(1, -1)
        return corner + inside

    def forward(image, K):
        return image.ravel()[patches()] @ K

    def backward(g, image, K):
        idx = patches()
        dcols = g @ K.T
        flat = np.zeros(image.size)
        np.add.at(flat, idx, dcols)
        return flat.reshape(image.shape), image.ravel()[idx].T @ g
    """,
    slip(
        "im2col-fancy-plus-equals",
        "flat[idx] += counts an index that comes again only once; np.add.at adds every time",
        "add.at | repeat | duplicate | more than once | several times | accumul",
        ("np.add.at(flat, idx, dcols)", "flat[idx] += dcols"),
    ),
    slip(
        "im2col-patches-in-other-order",
        "the image is stored row by row; it was put together column by column",
        f"order | {TRANSPOSED} | reshape | layout",
        ("flat.reshape(image.shape)", "flat.reshape(image.shape, order='F')"),
    ),
)

model(
    "depthwise",
    lambda n, r: (n(3, 8), n(3, 3)),
    """
    def forward(x, k):
        return np.stack([np.convolve(xc, kc, mode="full") for xc, kc in zip(x, k)])

    def backward(g, x, k):
        dx = [np.correlate(gc, kc, mode="valid") for gc, kc in zip(g, k)]
        dk = [np.correlate(gc, xc, mode="valid") for gc, xc in zip(g, x)]
        return np.stack(dx), np.stack(dk)
    """,
    slip(
        "depthwise-convolved-on-the-way-back",
        "np.convolve flips the kernel; the way back needs the unflipped one, np.correlate",
        "flip | revers | correlat",
        ("dx = [np.correlate(", "dx = [np.convolve("),
    ),
    slip(
        "depthwise-kernels-shared",
        "each channel has its own kernel; the gradients of all were added up",
        "sum | channel | separate | its own",
        ("np.stack(dk)", "np.stack(dk) * 0 + sum(dk)"),
    ),
)

model(
    "transposed-conv",
    lambda n, r: (n(4), n(3), 0.2),
    """
    def forward(x, k, b):
        y = np.full(2 * (len(x) - 1) + len(k), b)
        for i, xi in enumerate(x):
            y[2 * i : 2 * i + len(k)] += xi * k
        return y

    def backward(g, x, k, b):
        parts = [g[2 * i : 2 * i + len(k)] for i in range(len(x))]
        dx = np.array([part @ k for part in parts])
        dk = sum(xi * part for xi, part in zip(x, parts))
        return dx, dk, g.sum()
    """,
    slip(
        "transposed-conv-stride-one",
        "the pieces start 2 apart; the stride is missing",
        "stride | 2 * i | slice",
        ("[g[2 * i : 2 * i + len(k)]", "[g[i : i + len(k)]"),
    ),
    slip(
        "transposed-conv-bias-mean",
        "b is added to every output: its gradient is the sum of g, not the mean",
        f"{MEAN} | sum",
        ("g.sum()", "g.mean()"),
    ),
)

model(
    "max-pool",
    lambda n, r: (n(2, 9),),
    """
    size, step = 3, 2

    def forward(x):
        return np.array([[max(row[i : i + size]) for i in range(0, 7, step)] for row in x])

    def backward(g, x):
        dx = np.zeros_like(x)
        for r, row in enumerate(x):
            for o in range(g.shape[1]):
                first = o * step
                best = first + np.argmax(row[first : first + size])
                dx[r, best] += g[r, o]
        return (dx,)
    """,
    slip(
        "max-pool-index-within-window",
        "argmax counts within the window; where the window begins was not added",
        "offset | argmax | window | first + | index",
        ("best = first + np.argmax", "best = np.argmax"),
    ),
    slip(
        "max-pool-overlap-overwritten",
        "an entry can win two windows that overlap; the second overwrites the first",
        f"{OVERWRITTEN} | overlap",
        ("dx[r, best] += g", "dx[r, best] = g"),
    ),
    slip(
        "max-pool-window-to-all",
        "all entries of the window get the gradient, not only the largest",
        "max | mask | winner | largest | window",
        ("dx[r, best] += g[r, o]", "dx[r, first : first + size] += g[r, o]"),
    ),
)

model(
    "avg-pool",
    lambda n, r: (n(2, 4, 4),),
    """
    def forward(x):
        c, h, w = x.shape
        return x.reshape(c, h // 2, 2, w // 2, 2).mean(axis=(2, 4))

    def backward(g, x):
        dx = g.repeat(2, axis=1).repeat(2, axis=2)
        return (dx / 4,)
    """,
    slip(
        "avg-pool-divided-by-side",
        "a window holds 2 × 2 entries; divided by 2 only",
        "factor & 2 | twice | 2 times | half | 1/2 | 1/4 | mean | average | window",
        ("dx / 4", "dx / 2"),
    ),
    slip(
        "avg-pool-tiled",
        "np.tile lays the gradient out anew; each entry has to be repeated next to itself",
        f"repeat | tile | order | layout | permut | {AXIS}",
        ("g.repeat(2, axis=1).repeat(2, axis=2)", "np.tile(g, (1, 2, 2))"),
    ),
)

model(
    "upsample",
    lambda n, r: (n(3, 4),),
    """
    def forward(x):
        return np.kron(x, np.ones((2, 2)))

    def backward(g, x):
        return (g.reshape(3, 2, 4, 2).sum(axis=(1, 3)),)
    """,
    slip(
        "upsample-corner-only",
        "each entry was copied four times; only the first copy was counted",
        f"{UNSUMMED} | sum | copies | copied | every copy | repeat",
        ("g.reshape(3, 2, 4, 2).sum(axis=(1, 3))", "g[::2, ::2]"),
    ),
    slip(
        "upsample-averaged",
        "the copies' gradients are added up, not averaged",
        f"{MEAN} | sum | factor 4 | 4 times | 1/4 | 0.25",
        (".sum(axis=(1, 3))", ".mean(axis=(1, 3))"),
    ),
    slip(
        "upsample-cut-in-other-places",
        "the blocks were cut out in the order (2, rows), not (rows, 2)",
        f"order | reshape | layout | {AXIS}",
        ("g.reshape(3, 2, 4, 2).sum(axis=(1, 3))", "g.reshape(2, 3, 2, 4).sum(axis=(0, 2))"),
    ),
)

model(
    "edge-filter",
    lambda n, r: (n(4, 5),),
    """
    def forward(img):
        across = img[:, 1:] - img[:, :-1]
        down = img[1:] - img[:-1]
        return (across**2).sum() + (down**2).sum()

    def backward(g, img):
        across, down = np.diff(img, axis=1), np.diff(img, axis=0)
        d = np.zeros(img.shape)
        d[:, 1:] += across
        d[:, :-1] -= across
        d[1:] += down
        d[:-1] -= down
        return (2 * g * d,)
    """,
    slip(
        "variation-neighbour-sign",
        "the left neighbour enters with a minus",
        SIGN,
        ("d[:, :-1] -= across", "d[:, :-1] += across"),
    ),
    slip(
        "variation-upper-neighbour-forgotten",
        "a difference has two ends; the upper one gets no gradient",
        "neighbour | term | d[:-1] | path | used twice",
        ("\n    d[:-1] -= down", ""),
    ),
)
