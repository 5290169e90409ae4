# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here
#
# A page of handwriting is a thousand little pictures, and a picture is a grid of numbers. How does a program hold them all
# at once, and treat them all by one line? This chapter is about the box that holds them, the *tensor*, and about its
# shape. Most mistakes in deep learning are mistakes of shape. Half of them raise an error. This chapter is mostly about the
# other half.
#
# **After this chapter you can**
# 1. say where an entry of a tensor lies in memory, and what reshaping and transposing do to it;
# 2. write sums over axes and matrix products as formulas with indices, and as code without loops;
# 3. predict the result of broadcasting, and sum back what it has copied;
# 4. find the silent shape mistake that spoils a loss without an error.
#
# **You need** school algebra, and Python with functions, lists and loops. Some NumPy helps.
# **Time** about 50 minutes, and 30 for the exercises.
# **Sources** document B, 2.4 and 3.1 (data as the first step), document C, 4.1.1 (the notation of layers).

# %% [markdown]
# ## How to use this book
#
# Every chapter goes the same way. A question comes first. Then we **derive** the answer on paper, step by step. We **check**
# it by numbers, by a second route that shares no line with the first. Where it matters we make it **fast**. And we **look** at
# it.
#
# - *Predict before you run.* Where the text says "before you run the cell", write your guess down. A wrong guess teaches
#   more than a right cell.
# - *Cells with `assert` say nothing when all is well.* Each of them holds a formula of the text against another way to the
#   same number. Change the formula a little and see it complain.
# - *Exercises answer at once.* `tn.exercise("00.offset").check(…)` names the properties that hold, and for one that does not
#   it shows the simplest case. `.hint()` helps, three times.
# - *The package is part of the text.* `python -m tinynet where softmax` prints a formula, its derivation, and its lines of
#   code.
# - *Long trainings are short here.* Set `LONG=1` in the environment, and a chapter runs the real thing where it has one.
#
# Notation, the same in all chapters:
#
# | sign | meaning |
# |---|---|
# | $x$, $\mathbf x$, $X$ | a number, a vector, a matrix or a larger tensor; in code `x`, `X` |
# | $X\ (n, d)$ | its shape: $n$ rows (samples), $d$ columns (features). Samples come first |
# | $W\ (o, d)$ | weights that make $o$ outputs of $d$ inputs; $Z = XW^\top + b$ |
# | $z$, $a$ | before and after an activation |
# | $\hat y$ or $p$, $y$ or $t$ | what a model says, and what is true |
# | $L$ | the loss, one number |
# | $\bar x$, in code `dx` | $\partial L/\partial x$, which has the shape of $x$ |
# | $g$ | the derivative that arrives from above, at an output |
# | $\langle g, y\rangle$ | $\sum g_i y_i$ over all entries |
# | $\odot$ | product entry by entry |

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations
from tinynet.check import check_backward

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(0)
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

# %% [markdown]
# ## 1. A box of numbers
#
# Here is one of 1,797 handwritten digits that ship with the package. It is 8 rows of 8 numbers, from 0 for white to 16 for
# black.

# %%
digits = tn.data.load_digits()
picture = digits.images[12].numpy()
print(picture.astype(int))

# %% tags=["picture"]
figure, ax = plt.subplots(figsize=(3, 3), layout="constrained")
ax.imshow(picture, cmap="gray_r")
ax.set(xlabel="column", ylabel="row", title=f"a {digits.labels[12].item()}")
plt.show()

# %% [markdown]
# A *tensor* is such a box: entries of one kind, and a *shape* that says how many there are along each *axis*. All digits
# together are one tensor of shape (1797, 8, 8). Axis 0 counts the pictures, axis 1 the rows, axis 2 the columns.

# %%
images = digits.images.numpy()
print(
    "shape",
    images.shape,
    "  axes",
    images.ndim,
    "  entries",
    images.size,
    "  kind",
    images.dtype,
)
print("picture 12, row 3, column 4:", images[12, 3, 4])

# %% [markdown]
# ### Where is an entry?
#
# Memory has no axes. It is one long row of cells. The entries stand there in reading order: column after column, then the
# next row, then the next picture. **Before you go on:** how many entries come before picture 2, row 0, column 3?
#
# Two whole pictures of 64, and three more: 131. In general, to reach entry $(i, j, k)$ of a box $(n_0, n_1, n_2)$ we pass $i$
# pictures of $n_1 n_2$ entries, $j$ rows of $n_2$, and $k$ single ones:
#
# $$ \mathrm{offset}(i, j, k) = i\, n_1 n_2 + j\, n_2 + k = (i\, n_1 + j)\, n_2 + k . $$
#
# The right side needs one product less for each axis; it is how the computer counts.


# %%
def offset(index, shape):
    place = 0
    for i, n in zip(index, shape):
        place = place * n + i
    return place


# %% tags=["check"]
assert offset((2, 0, 3), (1797, 8, 8)) == 131
box = rng.normal(size=(3, 4, 5))
for index in np.ndindex(box.shape):
    assert box.ravel()[offset(index, box.shape)] == box[index]

# %% [markdown]
# ### Reshape and transpose
#
# `reshape` keeps the long row as it is and cuts it anew. A picture of (8, 8) becomes a vector of 64 numbers, row behind
# row. `transpose` changes which axis is which: entry $(i, j)$ of the result is entry $(j, i)$ of the original.
#
# They are not the same. The matrix $\begin{pmatrix} 0 & 1 & 2\\ 3 & 4 & 5 \end{pmatrix}$ is to have shape (3, 2). What does
# each of the two give?

# %%
A = np.arange(6).reshape(2, 3)
print("reshaped\n", A.reshape(3, 2))
print("transposed\n", A.T)

# %% tags=["check"]
A = rng.normal(size=(4, 3))
assert all(A.T[j, i] == A[i, j] for i in range(4) for j in range(3))
assert np.array_equal(
    A.reshape(2, 6).ravel(), A.ravel()
)  # the long row is the same
assert not np.array_equal(A.T.ravel(), A.ravel())

# %% [markdown]
# Neither moves a number. Both give a new *view* of the same cells. So what you write into a view changes the original, and
# that is a classic surprise:

# %% tags=["check"]
A = np.zeros((2, 3))
A.T[2, 0] = 7.0
assert A[0, 2] == 7.0  # written through the view
assert np.shares_memory(A, A.reshape(6))
assert not np.shares_memory(A, A + 0)  # arithmetic makes new cells

# %% [markdown]
# ## 2. Work on all entries at once
#
# *Entry by entry*: `X + Y`, `X * Y`, `np.exp(X)` do the same to each entry. *Along an axis*: a sum over axis 0 of $X\ (n, d)$
# adds the rows, and leaves $d$ numbers,
#
# $$ s_j = \sum_{i=1}^n X_{ij} . $$
#
# **The axis that you name is the axis that goes away.** With `keepdims=True` it stays, with size 1. *The matrix product* of
# $A\ (n, m)$ and $B\ (m, k)$ runs along the last axis of one and the first of the other:
#
# $$ C_{ij} = \sum_{l=1}^m A_{il} B_{lj}, \qquad C\ (n, k). $$
#
# Each of the $nk$ entries takes $m$ products and $m$ additions: $2nmk$ operations. Nearly all time in deep learning goes into
# this one line.


# %%
def matmul(A, B):
    C = np.zeros((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for m in range(A.shape[1]):
                C[i, j] += A[i, m] * B[m, j]
    return C


# %% tags=["check"]
A, B = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
assert np.allclose(matmul(A, B), A @ B)
assert np.allclose(matmul(A, B), np.einsum("im,mj->ij", A, B))
assert np.allclose(
    A.sum(axis=0), [sum(A[i, j] for i in range(3)) for j in range(4)]
)
assert A.sum(axis=0).shape == (4,)
assert A.sum(axis=0, keepdims=True).shape == (1, 4)

# %% [markdown]
# `np.einsum` writes the formula with its indices: those that appear on the left and not on the right are summed. When you
# are not sure of an axis, write the einsum.
#
# ## 3. Broadcasting
#
# A layer computes $XW^\top + b$. The product is $(n, o)$, the bias $b$ is $(o)$. They are of different shapes, and yet they can
# be added: the same $b$ goes to each row. This is *broadcasting*, and it has one rule.
#
# > Write the shapes under each other, **aligned at the right**. In each column the sizes must be equal, or one of them 1, or
# > missing. The 1 (or nothing) is stretched to the other.
#
# ```text
# X W^T   (n, o)         X   (n, 1, d)        y_hat   (n, 1)
# b          (o)         M      (k, d)        y          (n)
# sum     (n, o)         X-M (n, k, d)        difference (n, n)   <- oops
# ```
#
# The second example makes all differences between $n$ points and $k$ others, without a loop. The third is a mistake that
# raises no error; we come back to it.

# %% tags=["picture"]
figure, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained")
row, column = np.arange(4.0).reshape(1, 4), 10 * np.arange(3.0).reshape(3, 1)
for ax, part, title in zip(
    axes,
    (column + 0 * row, row + 0 * column, column + row),
    ("(3, 1), stretched", "(4), stretched", "their sum, (3, 4)"),
):
    ax.imshow(part, cmap="Blues", vmin=0, vmax=70)
    for i in range(3):
        for j in range(4):
            copied = (title.startswith("(3") and j) or (
                title.startswith("(4") and i
            )
            ax.text(
                j,
                i,
                f"{part[i, j]:.0f}",
                ha="center",
                va="center",
                color="dimgrey" if copied else "black",
            )
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Grey numbers are copies. They are not in memory; they are only read again.


# %%
def broadcast_shape(one, two):
    one, two = (
        (1,) * (len(two) - len(one)) + one,
        (1,) * (len(one) - len(two)) + two,
    )
    if any(a != b and 1 not in (a, b) for a, b in zip(one, two)):
        raise ValueError(f"{one} and {two} do not broadcast")
    return tuple(b if a == 1 else a for a, b in zip(one, two))


# %% tags=["check"]
for one, two in (((5, 3), (3,)), ((4, 1, 2), (3, 1)), ((), (2, 2)), ((1,), (0,))):
    assert broadcast_shape(one, two) == np.broadcast_shapes(one, two)

# %% [markdown]
# ### What was copied must be summed
#
# One fact about broadcasting will return in every backward pass. Stretch a vector $b\ (o)$ to a table $B\ (n, o)$,
# $B_{ij} = b_j$. Weigh the table with any numbers $g_{ij}$ and add up:
#
# $$ \langle g, B\rangle = \sum_{i,j} g_{ij} B_{ij} = \sum_j b_j \sum_i g_{ij}
#    = \Big\langle \sum_i g_{i\cdot},\ b \Big\rangle . $$
#
# A copy of $b_j$ met every row; so the weight of $b_j$ itself is the *sum* over the rows. Stretching and summing belong
# together like a matrix and its transpose. If $g$ is what arrives from a loss, this says: **the gradient of something that
# was broadcast is the sum over the axes along which it was stretched.**


# %%
def sum_back(g, shape):
    """g, summed over all axes along which something of this shape was stretched."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=stretched, keepdims=True)


# %% tags=["check"]
for shape in ((4,), (3, 1), (1, 4), (1, 1), ()):
    b, g = rng.normal(size=shape), rng.normal(size=(2, 3, 4))
    stretched = np.broadcast_to(b, g.shape)
    assert sum_back(g, shape).shape == shape
    assert np.isclose(np.sum(g * stretched), np.sum(sum_back(g, shape) * b))

# %% [markdown]
# ## 4. A tensor that remembers
#
# Everything so far was NumPy, and NumPy is where the formulas of this book run. The package adds a class around it. A
# `tn.tensor` computes like an array and, if asked, writes down how it came about. Then it can tell how a result depends on it.
# Chapter 02 builds this from nothing. Here is only a glance:

# %%
w = tn.tensor([1.0, 2.0, 3.0], requires_grad=True, name="w")
y = (w * w).sum()
y.backward()
print("value", y.item(), "  slopes", w.grad.numpy())

# %% [markdown]
# The slope of $\sum_i w_i^2$ at $w$ is $2w$. The names are PyTorch's: what you learn here you can use there, and the other
# way round. `tensor.numpy()` gives the array inside.

# %% tags=["check"]
step = 1e-6
for i in range(3):
    up, down = (
        np.array([1.0, 2.0, 3.0]) + sign * step * np.eye(3)[i] for sign in (1, -1)
    )
    assert np.isclose(
        (np.sum(up**2) - np.sum(down**2)) / (2 * step), w.grad.numpy()[i]
    )
assert np.array_equal(
    tn.tensor([1.0, 2.0]).numpy(), np.array([1.0, 2.0], np.float32)
)

# %% [markdown]
# ### Numbers are rounded
#
# `tn.tensor([1.0])` holds *float32*, as PyTorch does: 24 binary digits, about 7 decimal ones. NumPy's own default is
# *float64*, about 16. Derivations and checks use float64, trainings float32. The distance from 1 to the next larger number is
# called $\varepsilon$: $2^{-23}$ and $2^{-52}$. Two consequences:

# %% tags=["check"]
assert np.finfo(np.float32).eps == 2.0**-23
assert np.finfo(np.float64).eps == 2.0**-52
assert 0.1 + 0.2 != 0.3  # so compare with np.isclose
assert (1e16 + 1.0) - 1e16 == 0.0  # what is small beside its partner is lost
bytes_ = np.array([200, 100], np.uint8)
assert bytes_[:1] + bytes_[1:] == 44  # and small whole numbers go round in a circle

# %% [markdown]
# (The last one bites where pictures are kept as bytes: 200 + 100 is 44 modulo 256. Turn them into floats first.)
#
# ## 5. Real data: read digits by their means
#
# Enough to build a first reader of digits, with no derivative at all. Average all training pictures of each digit. A new
# picture is read as the digit whose average is nearest. With $X\ (n, 64)$ and the means $M\ (10, 64)$ the squared distances are
#
# $$ D_{ij} = \sum_{l=1}^{64} (X_{il} - M_{jl})^2, \qquad D\ (n, 10). $$


# %%
def distances_by_broadcasting(X, M):
    return np.sum((X[:, None, :] - M[None, :, :]) ** 2, axis=2)


# %% [markdown]
# This is broadcasting as above, (n, 1, 64) with (1, 10, 64). It makes a table of $640\,n$ numbers only to add them up. There is
# a way that does not. Open the square:
#
# $$ D_{ij} = \sum_l X_{il}^2 - 2 \sum_l X_{il} M_{jl} + \sum_l M_{jl}^2 . $$
#
# The middle term is a matrix product, $XM^\top$; the others are one number for each row. Exercise 3 asks you for the code.

# %% tags=["check"]
X, M = rng.normal(size=(5, 7)), rng.normal(size=(3, 7))
D = distances_by_broadcasting(X, M)
for i in range(5):
    for j in range(3):
        assert np.isclose(D[i, j], X[i] @ X[i] - 2 * X[i] @ M[j] + M[j] @ M[j])

# %% tags=["slow"]
train, test = digits.split(0.2, seed=0)
X, t = train.images.numpy().reshape(-1, 64), train.labels.numpy()
X_test, t_test = test.images.numpy().reshape(-1, 64), test.labels.numpy()
means = np.stack([X[t == digit].mean(axis=0) for digit in range(10)])
answers = distances_by_broadcasting(X_test, means).argmin(axis=1)
print(
    f"{np.mean(answers == t_test):.1%} of {len(t_test)} held-out digits are read right"
)
tn.plot.images(means.reshape(10, 8, 8), range(10))
plt.show()

# %% tags=["slow"]
confused = tn.metrics.confusion_matrix(answers, t_test, classes=10)
tn.plot.confusion_matrix(confused)
plt.show()

# %% [markdown]
# Ten averages and no training: nine of ten. It is the number to beat in chapters 04 to 06. Look at the picture: which digits
# are taken for a 9, and can you see why in the averages?
#
# ## 6. What goes wrong
#
# **A loss that compares everybody with everybody.** A network gives a column $\hat y\ (n, 1)$. The truths are a vector
# $y\ (n)$. Their difference is not $(n)$ but $(n, n)$, by the third line of the example above. The mean of its square is a
# number, it has a gradient, training goes on, and the network learns to predict the *average* of $y$ for everybody.

# %% tags=["wrong"]
x = rng.normal(size=(50, 1))
y = 3 * x[:, 0] + 0.1 * rng.normal(size=50)
for name, difference in (
    ("(n, 1) - (n)  ", lambda y_hat: y_hat - y),
    ("(n, 1) - (n, 1)", lambda y_hat: y_hat - y[:, None]),
):
    slopes = np.linspace(-1, 4, 501)
    losses = [np.mean(difference(s * x) ** 2) for s in slopes]
    print(
        f"{name}: the best slope is {slopes[np.argmin(losses)]:.2f}, its loss {min(losses):.2f}"
    )

# %% [markdown]
# The true slope is 3. The first loss prefers a slope near 0. No error was raised. **Print shapes; assert them.** The
# package's own loss refuses the two shapes (PyTorch's warns):

# %% tags=["wrong"]
try:
    tn.nn.functional.mse_loss(tn.tensor(x), tn.tensor(y))
except ValueError as error:
    print(type(error).__name__ + ":", error)

# %% [markdown]
# **A gradient that was not summed back.** Somebody differentiates $Z = X + b$ and returns `g` for both. For $X$ this is right.
# For $b\ (o)$ it has the shape of $Z$, and a copy of $b$ for each row. Ask the check:


# %% tags=["wrong"]
def add(X, b):
    return X + b


def add_backward(g, X, b):
    return g, g


print(
    check_backward(add, add_backward, rng.normal(size=(4, 3)), rng.normal(size=3))
)

# %% [markdown]
# **The package's way.** Its layer $XW^\top + b$ has a backward pass of three lines. You can read two of them already: the bias
# is summed back over the rows, and the gradient of $X$ is a matrix product.

# %%
print(inspect.getsource(derivations.linear.backward))

# %% tags=["check"]
X, W, b, g = (rng.normal(size=s) for s in ((4, 3), (2, 3), (2,), (4, 2)))
y, saved = X @ W.T + b, None
layer = tn.nn.functional.linear
tensors = [tn.tensor(v, requires_grad=True) for v in (X, W, b)]
(layer(*tensors) * tn.tensor(g)).sum().backward()
assert np.allclose(tensors[2].grad.numpy(), sum_back(g, (2,)))
assert np.allclose(tensors[0].grad.numpy(), matmul(g, W))

# %% [markdown]
# ## 7. Exercises
#
# **1. By hand.** A tensor has shape (4, 3, 5). How many entries come before entry (2, 1, 4)?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("00.offset").check(your_number)

# %% [markdown]
# **2. Forward.** Give every column of $X\ (n, d)$ the mean 0 and the standard deviation 1, without a loop. The
# standard deviation here is the root of the mean square (divide by $n$). A column that is constant becomes 0.


# %% tags=["exercise"]
def my_standardise(X): ...


tn.exercise("00.standardise").check(my_standardise)

# %% [markdown]
# **3. Forward, without the large table.** The squared distances of section 5 by the opened square. Rounding may make them a
# little negative: clip them at 0.


# %% tags=["exercise"]
def my_distances(X, M): ...


tn.exercise("00.distances").check(my_distances)

# %% [markdown]
# **4. Backward.** $Z = X \odot s + b$ scales and shifts every column: $X\ (n, d)$, $s\ (d)$, $b\ (d)$. Give the gradients of
# all three.


# %% tags=["exercise"]
def my_scale_shift_backward(g, X, s, b): ...


tn.exercise("00.scale_shift_backward").check(my_scale_shift_backward)

# %% [markdown]
# **5. Find the mistake.** This mean squared error works for two vectors, and for two columns. Make it right for a column
# of predictions and a vector of truths as well.


# %% tags=["exercise"]
def my_mse(y_hat, y):
    return np.mean((y_hat - y) ** 2)


tn.exercise("00.planted_bug").check(my_mse)

# %% [markdown]
# ## Words
#
# | | |
# |---|---|
# | tensor; shape; axis | 张量; 形状; 轴 |
# | entry by entry | 逐元素 |
# | broadcasting | 广播 |
# | matrix product | 矩阵乘法 |
# | transpose | 转置 |
# | view (of memory) | 视图 |
# | float32, rounding | 单精度浮点数, 舍入 |
#
# ## What to read next
#
# - Chapter 01: what a derivative is, and how to tell whether one is right.
# - C. R. Harris and others, *Array programming with NumPy*, Nature 585, 2020: the arrays of this chapter, by their makers.
# - In the package: `python -m tinynet where linear`, and the page "The engine" of the documentation.
