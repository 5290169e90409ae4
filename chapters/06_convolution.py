# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Convolution
#
# The network of chapter 05 reads digits. Push a digit one pixel to the left, and every one of its 64 inputs changes. It must
# learn each digit again at each place. But a stroke is a stroke wherever it stands. A convolution looks through a small
# window, with the same weights everywhere.
#
# **After this chapter you can**
# 1. compute a convolution by hand, and say what a document printed in its place;
# 2. show that it moves when the picture moves;
# 3. derive its three gradients, with all indices, and write them;
# 4. turn it into one matrix product, and derive the adjoint of that rearrangement;
# 5. train a convolutional network, and test what it has gained.
#
# **You need** losses (chapter 04), layers and backpropagation (05), tensors and their sums (00).
# **Time** about 80 minutes, and 45 for the exercises.
# **Sources** document C, 4.1.2, 4.2.2, 4.3 and 5.2–5.4.
#
# Notation: a batch of pictures $A\ (n, c, h, w)$ has $n$ pictures of $c$ channels. Filters $W\ (o, c, k, k)$ make $o$ channels,
# each with a bias $b\ (o)$. $(p, q)$ is a place of the output, $(u, v)$ a place inside the window. All start at 0.

# %%
import inspect
import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations, nn
from tinynet.check import check_backward

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(6)
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

# %% [markdown]
# ## 1. A window that slides
#
# Take a row of numbers $a = (0, 0, 5, 5, 5, 0)$ and a window of three weights $w = (-1, 0, 1)$. Lay the window over the first
# three numbers, multiply, add: $-0 + 5 = 5$. Push it one place: $-0 + 5 = 5$. **Go on with a pencil** before you run the
# cell.

# %%
a, w = np.array([0.0, 0, 5, 5, 5, 0]), np.array([-1.0, 0, 1])
print([float(w @ a[p : p + 3]) for p in range(4)])

# %% [markdown]
# The window answers where something begins, with +5, and where it ends, with −5. It is a detector of edges, and it is three
# numbers. As a formula:
#
# $$ z_p = \sum_{u=0}^{k-1} w_u\, a_{p+u} . $$
#
# A row of $m$ numbers has $m - k + 1$ places for a window of $k$. (In mathematics this is called cross-correlation; a
# *convolution* has $a_{p-u}$, that is, it turns the window round. Since the weights are learned, nobody minds, and everybody
# says convolution.)
#
# ### What the document prints
#
# C 4.1.2 says $h_{ij} = \sigma(\sum_k w_{ikj}\, a_{kj} + b_j)$ for filter $i$ at place $j$; $k$ counts channels. The weights
# carry the place $j$, and so does the bias; output $j$ sees input $j$ alone. There is no window, and nothing is shared. A row
# pushed by one place meets other weights, and gets another answer. The cell below tries both.


# %%
def correlate(a, w):
    return np.array([w @ a[p : p + len(w)] for p in range(len(a) - len(w) + 1)])


# %% tags=["check"]
a, w = rng.normal(size=9), rng.normal(size=3)
turned = np.convolve(a, w[::-1], mode="valid")  # NumPy's has a_(p-u)
assert np.allclose(correlate(a, w), turned)
moved = np.concatenate([[0.0], a])  # pushed by one place
assert np.allclose(
    correlate(moved, w)[1:], correlate(a, w)
)  # the answer moves along

printed = derivations.conv2d.as_printed  # a (channels, places), w (filters, ...)
w_printed, b_printed = rng.normal(size=(1, 1, 9)), rng.normal(size=9)
before = printed(a[None], w_printed, b_printed)
after = printed(np.roll(a, 1)[None], w_printed, b_printed)
assert not np.allclose(before[:, :-1], after[:, 1:])  # as printed it does not

# %% [markdown]
# ## 2. Pictures, channels, filters
#
# Now the window has two axes, it looks at all channels at once, and there are several windows. For picture $n$ and filter $i$:
#
# $$ z_{nipq} = b_i + \sum_{c} \sum_{u, v} w_{icuv}\; a_{n,\,c,\,p+u,\,q+v} . $$
#
# A filter has $c k^2$ weights and one bias, however large the picture is. Take 128 × 128 pixels of 3 channels. 32 filters of
# 3 × 3 have $32\,(3 \cdot 9 + 1) = 896$ numbers; as printed in C 4.1.2 they would have 1,589,248, a full layer to 128 neurons
# 6.3 million.


# %%
def conv2d(a, w, b):
    n, _, h, width = a.shape
    o, _, k, _ = w.shape
    z = np.zeros((n, o, h - k + 1, width - k + 1))
    for p in range(h - k + 1):
        for q in range(width - k + 1):
            window = a[:, :, p : p + k, q : q + k]  # (n, c, k, k)
            z[:, :, p, q] = np.tensordot(window, w, axes=([1, 2, 3], [1, 2, 3])) + b
    return z


# %% tags=["check"]
a, w, b = (
    rng.normal(size=(2, 3, 5, 6)),
    rng.normal(size=(4, 3, 3, 3)),
    rng.normal(size=4),
)
z = conv2d(a, w, b)
for n, i, p, q in [(0, 0, 0, 0), (1, 3, 2, 3), (0, 2, 1, 1)]:
    total = b[i]
    for c in range(3):
        for u in range(3):
            for v in range(3):
                total += w[i, c, u, v] * a[n, c, p + u, q + v]
    assert np.isclose(z[n, i, p, q], total)
assert np.allclose(z, derivations.conv2d.definition(a, w, b))
assert 32 * (3 * 3 * 3 + 1) == 896
assert 32 * 3 * 128 * 128 + 128 * 128 == 1_589_248
assert 128 * 128 * 3 * 128 == 6_291_456

# %% tags=["picture"]
digit = tn.data.load_digits(scaled=True).images[12].numpy()[None, None]
edges = {
    "the digit": None,
    "left and right edges": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "upper and lower edges": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "smoothed": [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for ax, (name, window) in zip(axes, edges.items()):
    shown = digit[0, 0]
    if window is not None:
        shown = conv2d(digit, np.array(window, float)[None, None], 0)[0, 0]
    largest = np.abs(shown).max()
    ax.imshow(shown, cmap="PuOr", vmin=-largest, vmax=largest)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Purple (dark left of the line in the second picture) is positive, orange negative: where the ink begins, and where it
# ends. These windows were made by hand. A network finds its own.
#
# ### It moves when the picture moves
#
# Let $(Ta)_{pq} = a_{p,\,q-1}$ be the picture, pushed right by one. Then
#
# $$ z(Ta)_{pq} = \sum_{u,v} w_{uv}\, (Ta)_{p+u,\,q+v} = \sum_{u,v} w_{uv}\, a_{p+u,\,(q-1)+v} = z(a)_{p,\,q-1} . $$
#
# Push first and look then, or look first and push then: the same. (But for the column at the left, where something new came in.)
# This is called *equivariance*. A full layer has it only if its weights repeat from place to place; and then it is a convolution.
#
# ### Padding and stride
#
# A window of 3 eats the border. *Padding* puts $P$ rows and columns of zeros on each side. A *stride* of $s$ looks at every
# $s$-th place only. With padding the picture is $h + 2P$ high, and the last window starts at most at $h + 2P - k$; so the
# places are $0, s, 2s, \dots$ up to there:
#
# $$ \text{outputs} = \left\lfloor \frac{h + 2P - k}{s} \right\rfloor + 1 . $$


# %%
def outputs(h, k, P, s):
    return (h + 2 * P - k) // s + 1


# %% tags=["check"]
pushed = np.zeros_like(a)
pushed[..., 1:] = a[..., :-1]
assert np.allclose(conv2d(pushed, w, b)[..., 1:], z[..., :-1])
for h, k, P, s in (
    (8, 3, 0, 1),
    (8, 3, 1, 1),
    (28, 5, 2, 2),
    (7, 2, 0, 2),
    (128, 3, 0, 1),
):
    places = [p for p in range(-P, h + P) if (p + P) % s == 0 and p + k <= h + P]
    assert outputs(h, k, P, s) == len(places)
    layer = nn.Conv2d(1, 1, k, stride=s, padding=P)
    assert layer(tn.zeros(1, 1, h, h)).shape[-1] == len(places)

# %% [markdown]
# ## 3. Backward
#
# $g = \partial L/\partial z$ arrives, of the shape of $z$. Read the definition once more and ask of each letter: *which outputs
# does it touch, and with what slope?*
#
# **Bias.** $b_i$ is added to every place of channel $i$ of every picture, with slope 1:
#
# $$ \bar b_i = \sum_{n, p, q} g_{nipq} . $$
#
# **Weights.** $w_{icuv}$ touches all places of channel $i$; at $(p, q)$ its slope is $a_{n,c,p+u,q+v}$:
#
# $$ \bar w_{icuv} = \sum_{n, p, q} g_{nipq}\; a_{n,\,c,\,p+u,\,q+v} . $$
#
# **Pictures.** The entry $a_{ncrs}$ is seen from every place $(p, q)$ whose window reaches it: $p + u = r$, $q + v = s$ for some
# $(u, v)$ in the window. So $p = r - u$, $q = s - v$, as far as there is such a place:
#
# $$ \bar a_{ncrs} = \sum_{i} \sum_{u, v} g_{n,\,i,\,r-u,\,s-v}\; w_{icuv} . $$
#
# Now the window *is* turned round.
#
# **By hand,** with the row of section 1, $a = (0, 0, 5, 5, 5, 0)$ and $w = (-1, 0, 1)$. Let $g = (1, 2, 0, -1)$ arrive at the
# four places. $\bar a$ first: place $p$ looked at three numbers, and hands back $g_p \cdot (-1, 0, 1)$ to just these.
#
# | | $\bar a_0$ | $\bar a_1$ | $\bar a_2$ | $\bar a_3$ | $\bar a_4$ | $\bar a_5$ |
# |---|---|---|---|---|---|---|
# | from $p = 0$ | −1 | 0 | 1 | | | |
# | from $p = 1$ | | −2 | 0 | 2 | | |
# | from $p = 2$ | | | 0 | 0 | 0 | |
# | from $p = 3$ | | | | 1 | 0 | −1 |
# | **sum** | **−1** | **−2** | **1** | **3** | **0** | **−1** |
#
# Now $\bar w_u = \sum_p g_p\, a_{p+u}$, which is a window of four numbers $g$ that slides over $a$. **Do it** before you look
# into the cell (and $\bar b$).

# %% tags=["check"]
row, w_row = np.array([0.0, 0, 5, 5, 5, 0]), np.array([-1.0, 0, 1])
g_row = np.array([1.0, 2, 0, -1])
assert np.array_equal(np.convolve(g_row, w_row), [-1, -2, 1, 3, 0, -1])
assert np.array_equal(correlate(row, g_row), [-5, 5, 15])
for of, slopes in ((0, [-1, -2, 1, 3, 0, -1]), (1, [-5, 5, 15])):
    for j, slope in enumerate(slopes):  # the other route: move a number a little
        up, down = [row.copy(), w_row.copy()], [row.copy(), w_row.copy()]
        up[of][j] += 1e-6
        down[of][j] -= 1e-6
        change = g_row @ (correlate(*up) - correlate(*down)) / 2e-6
        assert np.isclose(change, slope)
assert g_row.sum() == 2  # the bias

# %% [markdown]
# In code we do as the table does: every place hands back to where it took. Two lines in the loop, one for $\bar w$ and one
# for $\bar a$; `at` is the window of the place.


# %%
def conv2d_backward(g, a, w, b):
    da, dw, k = np.zeros_like(a), np.zeros_like(w), w.shape[-1]
    for p in range(g.shape[2]):
        for q in range(g.shape[3]):
            at = (slice(None), slice(None), slice(p, p + k), slice(q, q + k))
            dw += np.tensordot(g[:, :, p, q], a[at], axes=([0], [0]))
            da[at] += np.tensordot(g[:, :, p, q], w, axes=([1], [0]))
    return da, dw, g.sum(axis=(0, 2, 3))


# %% tags=["check"]
small = (
    rng.normal(size=(2, 2, 4, 3)),
    rng.normal(size=(2, 2, 2, 2)),
    rng.normal(size=2),
)
assert check_backward(conv2d, conv2d_backward, *small)
g = rng.normal(size=(2, 2, 3, 2))
da, dw, db = conv2d_backward(g, *small)
total = 0.0  # one entry by the formula with indices
for i in range(2):
    for u in range(2):
        for v in range(2):
            if 0 <= 2 - u < 3 and 0 <= 1 - v < 2:
                total += g[1, i, 2 - u, 1 - v] * small[1][i, 0, u, v]
assert np.isclose(da[1, 0, 2, 1], total)
tensors = [tn.tensor(x, requires_grad=True) for x in small]
nn.functional.conv2d(*tensors).backward(tn.tensor(g))
for one, two in zip((da, dw, db), tensors):
    assert np.allclose(one, two.grad.numpy())

# %% [markdown]
# ## 4. Make it fast: one matrix product
#
# The loop above visits every place. Matrix products run at the machine's full speed; so make it one. For the row of section 1,
# write down what each place sees, one below the other:
#
# $$ C = \begin{pmatrix} 0 & 0 & 5 \\ 0 & 5 & 5 \\ 5 & 5 & 5 \\ 5 & 5 & 0 \end{pmatrix}, \qquad
#    C w = C \begin{pmatrix} -1 \\ 0 \\ 1 \end{pmatrix} = \begin{pmatrix} 5 \\ 5 \\ 0 \\ -5 \end{pmatrix} . $$
#
# With pictures, the window of each place becomes a row of $C$ that is $c k^2$ numbers long: that is *im2col*. Write each
# filter as a row of $W$. Then
#
# $$ Z = C\, W^\top + b, \qquad C\ (n \cdot \text{places},\; c k^2), \quad W\ (o,\; c k^2) . $$
#
# A layer of chapter 05, with a picture cut into rows. Its backward pass is known: $\bar W = G^\top C$ and $\bar C = G W$.
# What is left is the way back from $\bar C$ to $\bar A$. Every entry of $C$ *is* an entry of $A$; some were copied several
# times. (Above, the third number stands in rows 1, 2 and 3.) What was used several times collects: $\bar A$ at a pixel is the
# sum of $\bar C$ over all its copies. That is *col2im*. It is the *adjoint* of im2col, the map that may stand on the other
# side of the scalar product:
#
# $$ \langle D, \mathrm{im2col}(A)\rangle = \langle \mathrm{col2im}(D), A\rangle \quad\text{for all } D . $$


# %%
def im2col(a, k):
    windows = np.lib.stride_tricks.sliding_window_view(a, (k, k), axis=(2, 3))
    n, c, p, q = windows.shape[:4]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * p * q, c * k * k)


def col2im(D, shape, k):
    n, c, h, w = shape
    p, q = h - k + 1, w - k + 1
    D = D.reshape(n, p, q, c, k, k).transpose(
        0, 3, 4, 5, 1, 2
    )  # (n, c, k, k, p, q)
    a = np.zeros(shape)
    for u in range(k):
        for v in range(k):
            a[:, :, u : u + p, v : v + q] += D[:, :, u, v]
    return a


def conv2d_fast(a, w, b):
    n, _, h, width = a.shape
    o, _, k, _ = w.shape
    z = im2col(a, k) @ w.reshape(o, -1).T + b
    return z.reshape(n, h - k + 1, width - k + 1, o).transpose(0, 3, 1, 2)


# %% tags=["check"]
C = im2col(np.array([row] * 3)[None, None], 3)  # three equal rows: one window high
assert np.array_equal(C[:, :3], [[0, 0, 5], [0, 5, 5], [5, 5, 5], [5, 5, 0]])
assert np.array_equal(C[:, :3] @ w_row, [5, 5, 0, -5])
assert np.allclose(conv2d_fast(a, w, b), conv2d(a, w, b))
D = rng.normal(size=im2col(a, 3).shape)
assert np.isclose(np.sum(D * im2col(a, 3)), np.sum(col2im(D, a.shape, 3) * a))
rows = g.transpose(0, 2, 3, 1).reshape(-1, 2)  # g of section 3, as rows
assert np.allclose((rows.T @ im2col(small[0], 2)).reshape(dw.shape), dw)
assert np.allclose(col2im(rows @ small[1].reshape(2, -1), small[0].shape, 2), da)

# %% [markdown]
# ### The package's version
#
# The same three steps, for any number of axes. `matrices(W)` is our $W$ $(o, ck^2)$ and `im2col` has the places as columns,
# so `X` is our $C^\top$; then $\bar C^\top = W^\top g$ is `dX`, of which `dx` is the col2im; `dW` is $g\,C$, summed over the
# pictures; `db` sums over pictures and places. `grouped` cuts the channels into groups that do not see each other; with one
# group it does nothing.

# %%
print(inspect.getsource(derivations.conv2d.backward))

# %% [markdown]
# The price is memory: $C$ holds each pixel up to $k^2$ times. Here are the times on this machine, for the second layer of a small
# network. The package's kernel cuts windows a few rows at a time, so that $C$ never exists as a whole
# (`tinynet/kernels/convolution.py`).

# %% tags=["slow"]
a_large = rng.normal(size=(32, 32, 14, 14)).astype(np.float32)
w_large, b_large = (
    rng.normal(size=(64, 32, 3, 3)).astype(np.float32),
    np.zeros(64, np.float32),
)
on_tensors = [tn.tensor(x) for x in (a_large, w_large, b_large)]
ways = {
    "loop over places": lambda: conv2d(a_large, w_large, b_large),
    "im2col": lambda: conv2d_fast(a_large, w_large, b_large),
    "the package": lambda: nn.functional.conv2d(*on_tensors),
}
milliseconds = {}
for name, way in ways.items():
    way()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        way()
        times.append(1000 * (time.perf_counter() - start))
    milliseconds[name] = np.median(times)
    print(f"{name:18}{milliseconds[name]:8.1f} ms")
pixels, cut = a_large.size, im2col(a_large, 3).size
print(
    f"im2col holds {cut:,} numbers for {pixels:,} pixels: {cut / pixels:.1f} times as many"
)

# %% [markdown]
# ## 5. Pooling
#
# Between convolutions pictures are made smaller. *Max pooling* keeps the largest of each 2 × 2 block: is the stroke there, never
# mind exactly where. Its derivative is short. The largest entry passes its slope 1; the others could change a little, and
# nothing would happen, so theirs is 0:
#
# $$ y = \max_q a_q, \qquad \bar a_q = \begin{cases} g & q \text{ is the place of the maximum} \\ 0 & \text{elsewhere.} \end{cases} $$
#
# **By hand.** For the block $\begin{pmatrix} 1 & 7 \\ 3 & 2\end{pmatrix}$ and $g = 5$: the answer is 7, and the gradient is 5
# where the 7 stands, 0 elsewhere. If two entries are equal there is a kink, and one must choose. PyTorch and this package
# give all to the first. Our two lines below give it to each of them, which is too much; numbers that were measured are
# seldom equal.


# %%
def max_pool(a):
    n, c, h, w = a.shape
    return a.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def max_pool_backward(g, a):
    won = a == np.repeat(np.repeat(max_pool(a), 2, axis=2), 2, axis=3)
    return won * np.repeat(np.repeat(g, 2, axis=2), 2, axis=3)


# %% tags=["check"]
block = np.array([[1.0, 7], [3, 2]])[None, None]
assert max_pool(block).item() == 7
assert np.array_equal(
    max_pool_backward(np.full((1, 1, 1, 1), 5.0), block)[0, 0], [[0, 5], [0, 0]]
)
distinct = rng.permutation(2 * 4 * 6).reshape(1, 2, 4, 6).astype(float)
assert check_backward(max_pool, max_pool_backward, distinct)
assert np.array_equal(
    max_pool(distinct), nn.functional.max_pool2d(tn.tensor(distinct), 2).numpy()
)
equal = tn.tensor(np.full((1, 1, 2, 2), 7.0), requires_grad=True)
nn.functional.max_pool2d(equal, 2).backward(tn.tensor(np.full((1, 1, 1, 1), 5.0)))
assert np.array_equal(equal.grad.numpy()[0, 0], [[5, 0], [0, 0]])
assert (
    max_pool_backward(np.full((1, 1, 1, 1), 5.0), equal.detach().numpy()).sum()
    == 20
)

# %% [markdown]
# Here is the package's backward pass. Its forward pass has noted in `won` which place of the window won, counted from 1; so
# it can tell equal numbers apart. The loop goes over the places in the window: `here` are the windows, `there` what they see
# at that place.

# %%
print(inspect.getsource(derivations.max_pool.backward))

# %% [markdown]
# ## 6. Real data: digits again
#
# Two convolutions, two poolings, one full layer: the ten-class network of document C, 5.2, in small. Beside it a multilayer
# perceptron as in chapter 05. Both are trained by the same recipe, on three random splits, and then asked twice: about
# held-out digits, and about the same digits pushed by one pixel. **Which of the two will suffer more?**

# %% tags=["slow"]
networks = {
    "perceptron": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)
    ),
    "convolutional": lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),  # (n, 16, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (n, 16, 4, 4)
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (n, 32, 2, 2)
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    ),
}
models, shares = {}, {}
for name, build in networks.items():
    for seed in range(3):
        train, test = tn.data.load_digits(scaled=True).split(0.2, seed=seed)
        tn.manual_seed(seed)
        model = models[name] = build()
        tn.train.fit(
            model,
            (train.images.unsqueeze(1), train.labels),
            loss=nn.functional.cross_entropy,
            optimizer=tn.optim.Adam(model.parameters(), lr=3e-3),
            epochs=12,
        )
        x = test.images.unsqueeze(1)  # (n, 1, 8, 8)
        ways = (x, tn.roll(x, 1, dims=3), tn.roll(x, 1, dims=2))
        shares[name, seed] = [
            tn.train.evaluate(
                model, (seen, test.labels), metrics=[tn.metrics.accuracy]
            )
            for seen in ways
        ]
    weights = sum(p.numel() for p in model.parameters())
    print(f"{name}, {weights:,} weights")
    for way, said in enumerate(("as they are", "pushed right", "pushed down")):
        each = [shares[name, seed][way]["accuracy"] for seed in range(3)]
        print(
            f"  {said:13}{np.mean(each):6.1%}   ({', '.join(f'{e:.1%}' for e in each)})"
        )

# %% tags=["slow"]
for seed in range(3):
    full, windows = (shares[name, seed] for name in networks)
    assert min(full[0]["accuracy"], windows[0]["accuracy"]) > 0.95
    for way in (1, 2):  # pushed, the perceptron loses more, on every split
        assert full[way]["accuracy"] < windows[way]["accuracy"]

# %% [markdown]
# As they are, both read nearly all digits, the convolutional network with two thirds of the weights. (One digit of 359 is
# 0.3 %, so say no more than that.) Pushed by a pixel both lose much, the convolutional network less, on every split. Its first
# layers move along; its last, full layer does not. Pooling to a single place would make it indifferent to shifts. So would
# showing it shifted digits while it learns: that is *augmentation*.
#
# What has it learned to look for? Above, eight of its first filters; below each, what it answers to one digit. Purple is
# positive. Which are detectors of edges, and of which?

# %% tags=["slow"]
first = models["convolutional"][0]
with tn.no_grad():
    maps = first(test.images[:1].unsqueeze(1))[0].numpy()  # (16, 8, 8)
figure, axes = plt.subplots(2, 9, figsize=(10, 2.5), layout="constrained")
axes[0, 0].axis("off")
axes[1, 0].imshow(test.images[0].numpy(), cmap="Greys")
axes[1, 0].set_title("the digit")
for i in range(8):
    for ax, shown in zip(
        axes[:, i + 1], (first.weight[i, 0].detach().numpy(), maps[i])
    ):
        largest = np.abs(shown).max()
        ax.imshow(shown, cmap="PuOr", vmin=-largest, vmax=largest)
    axes[0, i + 1].set_title(f"filter {i}")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ### The full runs
#
# The package trains larger versions, with augmentation, and measures PyTorch beside (page *Results* of the
# documentation). Ten classes, softmax and cross-entropy:
#
# | | data | right, held out |
# |---|---|---|
# | `python -m tinynet train digits-cnn` | 1,797 digits of 8 × 8 | 99.39 %, mean of 5 random splits |
# | `python -m tinynet train mnist-cnn` | MNIST, 5,000 digits of 28 × 28 | 99.0 % of 1,000 |
#
# Among the 8 × 8 digits the same hands wrote both parts. Where the last fifth of the file is held out, and with it most
# of its writers, 96.94 % are right.
#
# ## 7. The door lock
#
# Document C, 4.3 and 5.2, builds a door lock with a camera: 128 × 128 × 3 numbers, two convolutions with 32 and 64 filters,
# pooling, 128 neurons, one sigmoid. Let us count its parameters before anybody trains it.

# %% tags=["check"]
first = 32 * (3 * 3 * 3 + 1)
second = 64 * (32 * 3 * 3 + 1)
side = (((128 - 2) // 2) - 2) // 2  # 126, 63, 61, 30
full = 128 * (side * side * 64 + 1)
assert side == 30
assert first + second + full + (128 + 1) == 7_392_449
assert round(100 * full / 7_392_449, 1) == 99.7
assert 60_000 * 28 * 28 % (128 * 128 * 3) != 0  # so its own code cannot run

# %% [markdown]
# 7,392,449, and 99.7 % of them in one full layer. The document then feeds it with MNIST, and that cannot work: 60,000
# pictures of 28 × 28 are 47,040,000 numbers, and they cannot be cut into pictures of 49,152 each. Nor do ten classes fit into one
# sigmoid.
#
# With pictures of faces and of other things it does work. Here are 200, half of them faces, 25 × 25 pixels, grey. A small network
# of the same kind learns from 80 and answers *how likely is this a face?* for the other 120. From which probability on shall the
# door open? That is a choice, the *threshold*, and it weighs two mistakes: to let in what is no face (*false accept*), and to
# leave a face outside (*false reject*).

# %% tags=["slow"]
train, test = tn.data.load_faces().split(0.6, seed=0)  # fetched once
middle, spread = train.images.numpy().mean(), train.images.numpy().std()
tn.manual_seed(0)
lock = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(32 * 6 * 6, 1),
)
tn.train.fit(
    lock,
    (
        ((train.images - middle) / spread).unsqueeze(1),
        train.labels.float().unsqueeze(1),
    ),
    loss=nn.functional.binary_cross_entropy_with_logits,
    optimizer=tn.optim.Adam(lock.parameters(), lr=1e-3),
    epochs=15,
    batch_size=20,
)
with tn.no_grad():
    z = lock(((test.images - middle) / spread).unsqueeze(1))[:, 0]
p, face = z.sigmoid().numpy(), test.labels.numpy() == 1
opens = p > 0.5
right = np.sum(opens & face)
precision, recall = right / opens.sum(), right / face.sum()
f1 = 2 * precision * recall / (precision + recall)
print(
    f"accuracy {np.mean(opens == face):.1%} of {len(face)}, precision {precision:.1%},"
)
print(f"recall {recall:.1%}, F1 {f1:.1%}")
print(
    f"false accepts {np.sum(opens & ~face)}, false rejects {np.sum(~opens & face)}"
)
assert np.mean(opens == face) > 0.9

# %% tags=["slow"]
thresholds = np.linspace(0, 1, 201)
accepts = [np.mean(p[~face] > t) for t in thresholds]
rejects = [np.mean(p[face] <= t) for t in thresholds]
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.step(
    thresholds, accepts, color=ORANGE, label="false accepts, of what is no face"
)
ax.step(thresholds, rejects, "--", color=BLUE, label="false rejects, of the faces")
ax.set(xlabel="threshold", ylabel="share", ylim=(-0.01, 0.25))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# A strict lock leaves its owner outside, a lax one lets others in; here no threshold makes both lines zero. With 120 pictures
# one mistake is more than a per cent of its kind, so this curve is a sketch. The full run, with the network as printed
# (pictures enlarged to 128 × 128 × 3), in five parts, so that each of the 200 is tested once:
#
# | `python -m tinynet train door-lock` | the network | one number |
# |---|---|---|
# | accuracy | 98.0 % | 97.5 % |
# | precision; recall; F1 | 97.1 %; 99.0 %; 98.0 % | 96.1 %; 99.0 %; 97.5 % |
# | false accepts; false rejects | 3; 1 of 100 | 4; 1 of 100 |
#
# *One number* is the roughness of a picture, the mean difference of neighbouring pixels, with a threshold. It does as well as
# seven million parameters: most of the pictures without a face are smooth. So the table does not say that the network knows
# what a face is. **Put a simple rule beside every large one.**
#
# And there is a deeper fault. This lock asks *is this a face?* Yours is one; so is the burglar's. What it needs to ask is
# *whose?* That takes another output: a vector for each picture, near to those of the same person, and a threshold on the
# distance. `python -m tinynet train verification` does that. For persons that it has never seen it makes both mistakes
# equally often, in 8.6 % of the cases, at the threshold where they are equal (pixels compared as they are: 24.0 %). There
# each person is one photograph, moved, turned and lit in different ways: the data have no second one.
#
# With `LONG=1` in the environment the next cell trains the lock as printed, which takes minutes.

# %% tags=["slow"]
if os.environ.get("LONG"):
    print(tn.models.train("door-lock").metrics)

# %% [markdown]
# ## 8. What goes wrong
#
# **Put, not added.** Windows overlap. Somebody writes `=` for `+=`, and each pixel keeps what the last window
# handed back:


# %% tags=["wrong"]
def put_back(g, a, w, b):
    da, dw, k = np.zeros_like(a), np.zeros_like(w), w.shape[-1]
    for p in range(g.shape[2]):
        for q in range(g.shape[3]):
            at = (slice(None), slice(None), slice(p, p + k), slice(q, q + k))
            dw += np.tensordot(g[:, :, p, q], a[at], axes=([0], [0]))
            da[at] = np.tensordot(g[:, :, p, q], w, axes=([1], [0]))
    return da, dw, g.sum(axis=(0, 2, 3))


print(check_backward(conv2d, put_back, *small))

# %% [markdown]
# The table shows entries that several windows see. A window of 1 × 1, or one as large as the picture, would hide the mistake:
# no pixel is seen twice. **Before you run the next cell:** what does the check say of a bias whose gradient is the mean over
# the pictures, and the sum over the places?


# %% tags=["wrong"]
def mean_bias(g, a, w, b):
    da, dw, _ = conv2d_backward(g, a, w, b)
    return da, dw, g.mean(axis=0).sum(axis=(1, 2))


print(check_backward(conv2d, mean_bias, *small))

# %% [markdown]
# With a batch of one picture nothing would be wrong. So test with $n \ge 2$. For the same reason test with $h \ne w$, as
# section 2 does: on square pictures nobody notices that height and width were mixed up.
#
# **A mistake for you to find.** Max pooling of rows, with a stride smaller than the window, so that windows overlap. The first
# window gets its gradient right. Exercise 6.


# %% tags=["wrong"]
def overlapping_backward(g, a):  # y_p = max(a_p, a_p+1, a_p+2), for each row of a
    da = np.zeros_like(a)
    rows = np.arange(len(a))
    for p in range(a.shape[1] - 2):
        da[rows, a[:, p : p + 3].argmax(axis=1)] += g[:, p]
    return da


# %% [markdown]
# ## 9. Exercises
#
# **1. By hand.** A picture is 32 pixels wide. A window of 5 slides over it with padding 2 and stride 2. How many outputs?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("06.outputs").check(your_number)

# %% [markdown]
# **2. Forward.** Rows with channels, and a stride $s$: $z_{nip} = \sum_{c,u} w_{icu}\, a_{n,c,ps+u}$. Shapes: $a\ (n, c, m)$,
# $w\ (o, c, 3)$; return $z$ with $n$, $o$ and as many places as there are.


# %% tags=["exercise"]
def my_conv1d(a, w, stride): ...


tn.exercise("06.conv1d").check(my_conv1d)

# %% [markdown]
# **3. Backward.** The gradients of that, for stride 2: first derive $\bar a$ with indices. Which $p$ reach the entry $r$?
# Return `da`, `dw`.


# %% tags=["exercise"]
def my_conv1d_backward(g, a, w): ...


tn.exercise("06.conv1d_backward").check(my_conv1d_backward)

# %% [markdown]
# **4. Backward.** Mean pooling over 2 × 2 blocks: each output is the mean of its block. Return `da`; $h$ and $w$ of
# $a\ (n, c, h, w)$ are even.


# %% tags=["exercise"]
def my_mean_pool_backward(g, a): ...


tn.exercise("06.mean_pool_backward").check(my_mean_pool_backward)

# %% [markdown]
# **5. Derivation.** *Dilation*: the window looks at every second number, $z_p = \sum_u w_u\, a_{p+2u}$. With three weights
# and $m$ numbers there are $m - 4$ places. Return `da`, `dw`.


# %% tags=["exercise"]
def my_dilated_backward(g, a, w): ...


tn.exercise("06.dilated_backward").check(my_dilated_backward)

# %% [markdown]
# **6. Find the mistake** in `overlapping_backward` of section 8. Change this copy until it is right.


# %% tags=["exercise"]
def my_overlapping_backward(g, a):
    da = np.zeros_like(a)
    rows = np.arange(len(a))
    for p in range(a.shape[1] - 2):
        da[rows, a[:, p : p + 3].argmax(axis=1)] += g[:, p]
    return da


tn.exercise("06.planted_bug").check(my_overlapping_backward)

# %% [markdown]
# ## Words
#
# | | |
# |---|---|
# | convolution; cross-correlation | 卷积; 互相关 |
# | filter, kernel; window | 卷积核; 窗口 |
# | channel | 通道 |
# | bias | 偏置 |
# | feature map | 特征图 |
# | padding; stride | 填充; 步幅 |
# | pooling | 池化 |
# | equivariance | 等变性 |
# | adjoint | 伴随 |
# | false accept; false reject | 误识; 拒识 |
# | accuracy; precision; recall | 准确率; 精确率; 召回率 |
# | augmentation | 数据增强 |
#
# ## What to read next
#
# - In the package: `python -m tinynet where conv2d`; `derivations/columns.py` has im2col and its adjoint for any number of axes.
# - Chapter 07: the same weights at each step of time, and a memory.
# - Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, *Gradient-Based Learning Applied to Document Recognition*, 1998. V. Dumoulin and
#   F. Visin, *A guide to convolution arithmetic for deep learning*, 2016.
