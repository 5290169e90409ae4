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
# at once, and treat them all in one line? This chapter is about the box that holds them, the *tensor*, and about its shape.
# Some mistakes of shape raise an error. The others give a number, and nobody notices. Look out for those.
#
# **After this chapter you can**
# 1. say where an entry of a tensor lies in memory, and what reshaping and transposing do to it;
# 2. write sums over axes and matrix products as formulas with indices, and as code without loops;
# 3. predict the result of broadcasting, and sum back what it has copied;
# 4. derive the backward pass of a layer by collecting terms;
# 5. find the silent shape mistake that spoils a loss without an error.
#
# **You need** school algebra, and Python with functions, lists and loops. Some NumPy helps.
# **Time** about 60 minutes, and 30 for the exercises.
# **Sources** document B, 2.4 and 3.1 (data as the first step), document C, 4.1.1 (the notation of layers).

# %% [markdown]
# ## How to use this book
#
# Every chapter goes the same way. A question comes first. Then we **derive** the answer on paper, step by step. We **check**
# it by numbers, by a second route that shares no line with the first. Where it matters we make it **fast**. And we **look** at
# it.
#
# - *Run it.* `make lab` opens the chapters in JupyterLab. Run the cells from the top; later ones use the names of earlier
#   ones.
# - *Predict before you run.* Where the text says "before you run the cell", write your guess down. A wrong guess teaches
#   more than a right cell.
# - *Cells with `assert` say nothing when all is well.* Each of them holds a formula of the text against another way to the
#   same number. Change the formula a little and see it complain.
# - *Exercises answer at once.* `tn.exercise("00.offset").check(…)` names the properties that hold, and for one that does not
#   it shows the simplest case. `.hint()` helps, three times.
# - *The package is part of the text.* `python -m tinynet where softmax` prints a formula, its derivation, and its lines of
#   code.
# - *Long trainings are short here.* Set `LONG=1` in the environment, and a chapter runs the real thing where it has one.
# - *Documents A to D* are the four articles whose formulas this book derives. Some are printed wrong. The page "What the
#   source documents get wrong" lists them, each with a number.
#
# ### Notation
#
# All chapters keep to this table. You need not learn it now; come back when a sign is new. What a chapter adds stands at
# its beginning.
#
# | sign | meaning |
# |---|---|
# | $x$, $X$ | a number or a vector; a matrix or a larger tensor. No arrows, no bold letters |
# | $X\ (n, d)$, $b\ (o)$ | the shape stands behind: $n$ rows (samples) of $d$ numbers each, samples first; a vector of $o$ numbers. Python writes `(n, d)` and `(o,)` |
# | $X_{ij}$ or $x_{ij}$, $\sum_i$ | the entry in row $i$, column $j$; a sum over all $i$. Formulas count from 1, code from 0, and places (pixels, cells of memory) from 0 in both |
# | $W\ (o, d)$, $b\ (o)$ | weights that make $o$ outputs of $d$ inputs, and their biases: $Z = XW^\top + b$ |
# | $z$, $a$ | before and after an activation, $a = \sigma(z)$. $\sigma$ is the sigmoid, or any activation where that is said |
# | $\hat y$ or $p$; $y$ or $t$ | what a model says ($p$ if it is a probability); what is true |
# | $L$; $\ell$ | the loss, one number; the loss of one sample |
# | $f'$; $\partial y/\partial x$; $J$ | a slope; the slope while only $x$ moves; all of them in a matrix, the *Jacobian* (chapter 01) |
# | $\bar x$, in code `dx` | $\partial L/\partial x$, the *gradient*, which has the shape of $x$ |
# | $g$ or $G$ | the gradient that arrives from above, at an output: $g = \bar y$ |
# | $\langle g, y\rangle$; $\lVert x\rVert$ | $\sum g_i y_i$ over all entries; the length $\sqrt{\langle x, x\rangle}$ |
# | $\odot$; $X^\top$; $\delta_{ij}$ | product entry by entry; transposed; 1 if $i = j$, else 0 |
# | $\log$; $\mathbb E$ | the natural logarithm; the mean over many draws |
# | $\eta$, in code `rate` or `lr` | the step size of a training, its *learning rate* |
#
# Letters are few. $h$ is a small step in chapter 01, a width in 03 and 05, and a state in 07. The first cell of a chapter says it.

# %%
import inspect
import math

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations
from tinynet.check import check_backward

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(0)
BLUE, ORANGE = "#0072B2", "#D55E00"  # for colour-blind readers, too

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
print(f"shape {images.shape}, axes {images.ndim}, entries {images.size}")
print(f"each is a {images.dtype}; picture 12, row 3, column 4: {images[12, 3, 4]}")

# %% [markdown]
# ### Where is an entry?
#
# Memory has no axes. It is one long row of cells. A new array fills them in reading order: the first row from left to
# right, then the next row, then the next picture. **Before you go on:** how many entries come before picture 2, row 0,
# column 3?
#
# Two whole pictures of 64, and three more: 131. In general, to reach entry $(i, j, k)$ of a box $(n_0, n_1, n_2)$ we pass $i$
# pictures of $n_1 n_2$ entries, $j$ rows of $n_2$, and $k$ single ones:
#
# $$ \mathrm{offset}(i, j, k) = i\, n_1 n_2 + j\, n_2 + k . $$
#
# The three factors $(n_1 n_2,\ n_2,\ 1)$ are the *steps* of the box, also called *strides*: how far it is to the next entry
# along each axis. The step of an axis is the product of all sizes behind it.


# %%
def steps_of(shape):
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def offset(index, steps):
    return sum(i * step for i, step in zip(index, steps))


print("steps of all digits:", steps_of(images.shape))

# %% tags=["check"]
assert offset((2, 0, 3), steps_of((1797, 8, 8))) == 131
box = rng.normal(size=(3, 4, 5))
for index in np.ndindex(box.shape):
    assert box.ravel()[offset(index, steps_of(box.shape))] == box[index]
in_bytes = [step * box.itemsize for step in steps_of(box.shape)]
assert list(box.strides) == in_bytes  # NumPy keeps the same steps, in bytes

# %% [markdown]
# ### Reshape and transpose
#
# `reshape` keeps the long row as it is and cuts it anew. A picture of (8, 8) becomes a vector of 64 numbers, row behind
# row. `transpose` changes which axis is which: entry $(i, j)$ of the result is entry $(j, i)$ of the original.
#
# They are not the same. The matrix $\begin{pmatrix} 0 & 1 & 2\\ 3 & 4 & 5 \end{pmatrix}$ is to have shape (3, 2). **Before you
# run the cell:** what does each of the two give?

# %%
A = np.arange(6).reshape(2, 3)
print("reshaped\n", A.reshape(3, 2))
print("transposed\n", A.T)

# %% tags=["check"]
A = rng.normal(size=(4, 3))
assert all(A.T[j, i] == A[i, j] for i in range(4) for j in range(3))
assert np.array_equal(A.reshape(2, 6).ravel(), A.ravel())  # the same long row
assert not np.array_equal(A.T.ravel(), A.ravel())

# %% [markdown]
# Neither has moved a number. How can that be, when the transposed matrix reads differently? By its steps. $A\ (2, 3)$ has
# the steps (3, 1). Its transpose has shape (3, 2) and the *same* cells, with the steps (1, 3). Take its entry (2, 0): the
# offset is $2 \cdot 1 + 0 \cdot 3 = 2$, and cell 2 holds the 2.
#
# Such another reading of the same cells is a *view*. What you write into a view changes the original, and that is a
# classic surprise. (Only where no steps fit the new shape does `reshape` have to copy: a transposed matrix as one row.)

# %% tags=["check"]
A = np.arange(6).reshape(2, 3)
cells = A.ravel()
for index in np.ndindex(3, 2):
    assert cells[offset(index, (1, 3))] == A.T[index]
A.T[2, 0] = 70
assert A[0, 2] == 70  # written through the view
assert np.shares_memory(A, A.reshape(6))
assert not np.shares_memory(A, A.T.reshape(6))  # no view: new cells
assert not np.shares_memory(A, A + 0)  # arithmetic makes new cells, too

# %% [markdown]
# ## 2. Work on all entries at once
#
# *Entry by entry*: `X + Y`, `X * Y`, `np.exp(X)` do the same to each entry. *Along an axis*: a sum over axis 0 of $X\ (n, d)$
# adds the rows, and leaves $s\ (d)$,
#
# $$ s_j = \sum_{i=1}^n X_{ij} . $$
#
# **The axis that you name is the axis that goes away.** With `keepdims=True` it stays, with size 1.
#
# *The matrix product* of $A\ (n, m)$ and $B\ (m, k)$ runs along the last axis of one and the first of the other:
#
# $$ C_{ij} = \sum_{l=1}^m A_{il} B_{lj}, \qquad C\ (n, k). $$
#
# Each of the $nk$ entries takes $m$ products and $m$ additions: $2nmk$ operations. Nearly all arithmetic of a network is
# this one line. In NumPy it is `A @ B`; here it is in full, and once more by `np.einsum`. That writes a formula by its
# indices: `"il,lj->ij"`. An index that stands left of the arrow and not right of it is summed.


# %%
def matmul(A, B):
    C = np.zeros((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for inner in range(A.shape[1]):
                C[i, j] += A[i, inner] * B[inner, j]
    return C


# %% tags=["check"]
A, B = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
assert np.allclose(matmul(A, B), A @ B)
assert np.allclose(matmul(A, B), np.einsum("il,lj->ij", A, B))
assert np.allclose(
    A.sum(axis=0), [sum(A[i, j] for i in range(3)) for j in range(4)]
)
assert A.sum(axis=0).shape == (4,)
assert A.sum(axis=0, keepdims=True).shape == (1, 4)

# %% [markdown]
# When you are not sure of an axis, write the einsum.
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
# X W^T          (n, o)
# b                 (o)
# sum            (n, o)
#
# X           (n, 1, d)
# M              (k, d)
# X - M       (n, k, d)
#
# y_hat          (n, 1)
# y                 (n)
# difference     (n, n)   <- oops
# ```
#
# The second example makes all differences between $n$ points and $k$ others, without a loop. The third is a mistake that
# raises no error; we come back to it.

# %% tags=["picture"]
figure, axes = plt.subplots(1, 3, figsize=(7.4, 2), layout="constrained")
i, j = np.indices((3, 4))
for ax, title, table, copied in (
    (axes[0], "(3, 1), stretched", 10 * i, j > 0),
    (axes[1], "(4), stretched", j, i > 0),
    (axes[2], "their sum, (3, 4)", 10 * i + j, i < 0),
):
    ax.imshow(table, cmap="Blues", vmin=0, vmax=70)
    for place in np.ndindex(3, 4):
        text = f"({table[place]})" if copied[place] else f"{table[place]}"
        ax.text(place[1], place[0], text, ha="center", va="center", fontsize=11)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Numbers in brackets are copies. They are not in memory. **Guess:** what is the step of an axis along which an array was
# stretched?
#
# It is 0: one goes along the axis and stays in the same cell. Now the rule as code.


# %%
def broadcast_shape(one, two):
    axes = max(len(one), len(two))
    one = (1,) * (axes - len(one)) + one  # a missing size is a 1
    two = (1,) * (axes - len(two)) + two
    for a, b in zip(one, two):
        if a != b and a != 1 and b != 1:
            raise ValueError(f"{one} and {two} do not broadcast: {a} is not {b}")
    return tuple(b if a == 1 else a for a, b in zip(one, two))


# %% tags=["check"]
for one, two in (((5, 3), (3,)), ((4, 1, 2), (3, 1)), ((), (2, 2)), ((1,), (0,))):
    assert broadcast_shape(one, two) == np.broadcast_shapes(one, two)
stretched = np.broadcast_to(np.arange(3.0).reshape(3, 1), (3, 4))
assert stretched.strides == (8, 0)  # 8 bytes to the next row, 0 to the next column

# %% [markdown]
# ### What was copied must be summed
#
# One fact about broadcasting will return in every backward pass. First with numbers. Stretch $b = (10, 100)$ to three rows.
# Weigh every entry of the table with a number, and add up:
#
# $$ B = \begin{pmatrix} 10 & 100\\ 10 & 100\\ 10 & 100 \end{pmatrix}, \qquad
#    g = \begin{pmatrix} 1 & 2\\ 3 & 4\\ 5 & 6 \end{pmatrix}, $$
#
# $$ 10\,(1 + 3 + 5) + 100\,(2 + 4 + 6) = 90 + 1200 = 1290 . $$
#
# The 10 stands in three rows and meets three weights; so its own weight is their sum, 9. In general, with $b\ (o)$
# stretched to $B\ (n, o)$, $B_{ij} = b_j$, and any $g\ (n, o)$:
#
# $$ \langle g, B\rangle = \sum_{i,j} g_{ij} B_{ij} = \sum_j b_j \sum_i g_{ij}
#    = \langle s, b\rangle \qquad\text{with}\quad s_j = \sum_i g_{ij},\quad s\ (o) . $$
#
# Now let $g_{ij}$ say how much a loss rises for each unit by which $B_{ij}$ is raised. That is what a *gradient* is. Whoever
# raises $b_j$ by one unit raises a whole column of $B$, and the loss by $\sum_i g_{ij}$. (For small units, in general;
# chapter 01 says exactly what that means.) So **the gradient of something that was broadcast is the sum over the axes along
# which it was stretched.**


# %%
def sum_back(g, shape):
    """g, summed over all axes along which something of this shape was stretched."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=stretched, keepdims=True)


# %% tags=["check"]
b, g = np.array([10, 100]), np.array([[1, 2], [3, 4], [5, 6]])
assert np.sum(g * np.broadcast_to(b, (3, 2))) == 1290
assert np.array_equal(sum_back(g, (2,)), [9, 12])
for shape in ((4,), (3, 1), (1, 4), (1, 1), ()):
    b, g = rng.normal(size=shape), rng.normal(size=(2, 3, 4))
    stretched = np.broadcast_to(b, g.shape)
    assert sum_back(g, shape).shape == shape
    assert np.isclose(np.sum(g * stretched), np.sum(sum_back(g, shape) * b))

# %% [markdown]
# ### A layer, backward
#
# The same trick gives the gradients of a whole layer, $Z_{ij} = \sum_l X_{il} W_{jl} + b_j$. Weigh with $g\ (n, o)$, and
# collect what stands beside each $X_{il}$, then what stands beside each $W_{jl}$:
#
# $$ \langle g, XW^\top\rangle = \sum_{i,j,l} g_{ij} X_{il} W_{jl} = \sum_{i,l} X_{il} \Big( \sum_j g_{ij} W_{jl} \Big)
#    = \langle X, gW\rangle , $$
#
# $$ \langle g, XW^\top\rangle = \sum_{i,j,l} g_{ij} X_{il} W_{jl} = \sum_{j,l} W_{jl} \Big( \sum_i g_{ij} X_{il} \Big)
#    = \langle W, g^\top X\rangle . $$
#
# Raise $X_{il}$ by one unit and hold the rest: the loss rises by what stands beside it. So
#
# $$ \bar X = gW, \qquad \bar W = g^\top X, \qquad \bar b_j = \sum_i g_{ij} . $$
#
# The shapes help you to remember it: $(n, o)(o, d) = (n, d)$ like $X$, and $(o, n)(n, d) = (o, d)$ like $W$. If all
# sizes differ, no other product of the two fits.


# %%
def layer(X, W, b):
    return X @ W.T + b


def layer_backward(g, X, W):
    return matmul(g, W), matmul(g.T, X), sum_back(g, W.shape[:1])


# %% tags=["check"]
X, W, b, g = (rng.normal(size=s) for s in ((4, 3), (2, 3), (2,), (4, 2)))
dX, dW, db = layer_backward(g, X, W)
more_X, more_W, more_b = (rng.normal(size=v.shape) for v in (X, W, b))
for gradient, more, raised in (  # one of the three raised, anyhow
    (dX, more_X, layer(X + more_X, W, b)),
    (dW, more_W, layer(X, W + more_W, b)),
    (db, more_b, layer(X, W, b + more_b)),
):
    rise = np.sum(g * (raised - layer(X, W, b)))
    assert np.isclose(rise, np.sum(gradient * more))

# %% [markdown]
# ## 4. A tensor that remembers
#
# Everything so far was NumPy, and NumPy is where the formulas of this book run. The package adds a class around it. A
# `tn.tensor` computes like an array and, if asked, writes down how it came about. Then it can tell how a result depends on it.
# Chapter 02 builds this from nothing. Here is only a glance:

# %%
w = tn.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = (w * w).sum()
y.backward()
print("value", y.item(), "  slopes", w.grad.numpy())

# %% [markdown]
# The slope of $\sum_i w_i^2$ at $w$ is $2w$: chapter 01 derives it, and the next cell tries it. The names are PyTorch's:
# what you learn here you can use there, and the other way round. `tensor.numpy()` gives the array inside.

# %% tags=["check"]
at, step = np.array([1.0, 2.0, 3.0]), 1e-6
for i in range(3):
    up, down = at.copy(), at.copy()
    up[i] += step
    down[i] -= step
    slope = (np.sum(up**2) - np.sum(down**2)) / (2 * step)
    assert np.isclose(slope, w.grad.numpy()[i])
assert np.array_equal(tn.tensor([1.0, 2.0]).numpy(), [1.0, 2.0])

# %% [markdown]
# ### The package's layer
#
# Here is the backward pass of its layer, read from the package. Find your three formulas.

# %%
print(inspect.getsource(derivations.linear.backward))

# %% [markdown]
# Line by line. `saved` is what the forward pass kept: $X$, $W$, and $b$ if the layer has one (`*b` is a list of one, or
# empty). `_rows` makes all axes but the last into one, so that $X$ may be $(n, t, d)$ as well. `dx` is $gW$, with the shape
# of $X$ given back. `dW` is $g^\top X$; `np.swapaxes(…, 0, 1)` transposes. The bias is summed back over the rows. `needs`
# says which of the three somebody wants; the others are not computed.

# %% tags=["check"]
X, W, b, g = (rng.normal(size=s) for s in ((4, 3), (2, 3), (2,), (4, 2)))
tensors = [tn.tensor(v, requires_grad=True) for v in (X, W, b)]
tn.nn.functional.linear(*tensors).backward(tn.tensor(g))
for tensor, ours in zip(tensors, layer_backward(g, X, W)):
    assert np.allclose(tensor.grad.numpy(), ours)
for theirs, ours in zip(
    derivations.linear.backward(g, (X, W, b)), layer_backward(g, X, W)
):
    assert np.allclose(theirs, ours)

# %% [markdown]
# ### Numbers are rounded
#
# `tn.tensor([1.0])` holds *float32*, as PyTorch does: 24 binary digits, about 7 decimal ones. NumPy's own default is
# *float64*: 53 binary digits, about 16. Derivations and checks use float64, trainings float32.
#
# The distance from 1 to the next larger number is called $\varepsilon$. It is $2^{-23}$ in float32 and $2^{-52}$ in float64.
# What falls between two numbers goes to the nearer one. So the result $x$ of one addition or one product is off by at most
# $\tfrac12 \varepsilon\, |x|$. Three things that you will meet:

# %% tags=["check"]
assert np.finfo(np.float32).eps == 2.0**-23
assert np.finfo(np.float64).eps == 2.0**-52
x = rng.normal(size=1000)
rounded = x.astype(np.float32).astype(np.float64)
assert np.all(np.abs(rounded - x) <= 2.0**-24 * np.abs(x))
# 1. Do not ask whether two results are equal; ask np.isclose.
assert 0.1 + 0.2 != 0.3
assert np.isclose(0.1 + 0.2, 0.3)
# 2. What is small beside its partner is lost.
assert (1e16 + 1.0) - 1e16 == 0.0
# 3. Whole numbers of 8 bits go round in a circle: 300 is 44 modulo 256.
assert np.array([200], np.uint8) + np.array([100], np.uint8) == 44

# %% [markdown]
# The last one bites where pictures are kept as bytes. Turn them into floats first.
#
# ## 5. Real data: read digits by their means
#
# This is enough to build a first reader of digits, with no derivative at all. Average all training pictures of each digit.
# A new picture is read as the digit whose average is nearest. With $X\ (n, 64)$ and the means $M\ (10, 64)$ the squared
# distances are
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
# The middle term is a matrix product, $XM^\top$. The first is one number for each row of $X$, the last one for each row of
# $M$. Exercise 3 asks you for the code.

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
share = np.mean(answers == t_test)
print(f"{share:.1%} of {len(t_test)} held-out digits are read right")
tn.plot.images(means.reshape(10, 8, 8), range(10), columns=5)
plt.show()

# %% tags=["slow"]
confused = tn.metrics.confusion_matrix(answers, t_test, classes=10)
assert share > 0.9
assert confused[5, 9] == confused[9, 5] == 4
tn.plot.confusion_matrix(confused)
plt.show()

# %% [markdown]
# Ten averages and no training: nine of ten. It is the number to beat in chapters 04 to 06. Now look at the mistakes. Four
# 5s are read as a 9, and four 9s as a 5. Lay one average over the other: where do they differ?
#
# ## 6. What goes wrong
#
# **A loss that compares everybody with everybody.** A network gives a column $\hat y\ (n, 1)$. The truths are a vector
# $y\ (n)$. Their difference is not $(n)$ but $(n, n)$, by the third example of section 3. The mean of its square is one
# number, it has a gradient, and training goes on. **Before you run the cell:** the points lie along a line of slope 3. Which
# slope will this loss like best?

# %% tags=["wrong"]
x = rng.normal(size=(50, 1))
y = 3 * x[:, 0] + 0.1 * rng.normal(size=50)
slopes, best = np.linspace(-1, 4, 501), []
for name, truth in (("(n, 1) - (n)   ", y), ("(n, 1) - (n, 1)", y[:, None])):
    losses = [np.mean((s * x - truth) ** 2) for s in slopes]
    best.append(slopes[np.argmin(losses)])
    print(f"{name}: the best slope is {best[-1]:.2f}, its loss {min(losses):.2f}")

# %% tags=["picture"]
figure, ax = plt.subplots(figsize=(4.6, 3), layout="constrained")
ax.plot(x, y, ".", color="grey")
ends = np.array([-2.5, 2.5])
ax.plot(ends, best[1] * ends, color=BLUE, label="compared one by one")
ax.plot(ends, best[0] * ends, "--", color=ORANGE, label="everybody with everybody")
ax.set(xlabel="x", ylabel="y")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# A slope near 0, and no error was raised. Why? Row $i$ of the table compares *one* prediction with *all* truths. Let
# $m = \frac1n \sum_j y_j$ be their mean, and write $\hat y_i - y_j = (\hat y_i - m) - (y_j - m)$. Open the square and sum
# over $j$. The mixed term has the factor $\sum_j (y_j - m) = 0$, so
#
# $$ \frac{1}{n^2} \sum_{i,j} (\hat y_i - y_j)^2 = \frac1n \sum_i (\hat y_i - m)^2 + \frac1n \sum_j (y_j - m)^2 . $$
#
# The second term does not depend on the model. The first one is least when every prediction is $m$: **the network learns to
# say the average, to everybody.**

# %% tags=["check"]
y_hat, y = rng.normal(size=(6, 1)), rng.normal(size=6)
m = sum(y) / 6
whole = np.mean([[(p - t) ** 2 for t in y] for p in y_hat[:, 0]])
assert np.isclose(np.mean((y_hat - y) ** 2), whole)  # what NumPy really computes
assert np.isclose(whole, np.mean((y_hat - m) ** 2) + np.mean((y - m) ** 2))

# %% [markdown]
# **Print shapes; assert them.** The package's own loss refuses the two shapes (PyTorch's warns):

# %% tags=["wrong"]
try:
    tn.nn.functional.mse_loss(tn.tensor(y_hat), tn.tensor(y))
except ValueError as error:
    print(type(error).__name__ + ":", error)

# %% [markdown]
# **A gradient that was not summed back.** Somebody differentiates $Z = X + b$ and returns `g` for both. For $X$ this is right.
# For $b\ (o)$ it is too large: it has a row for every copy of $b$. Ask the package's gradient check, of which chapter 01
# tells more:


# %% tags=["wrong"]
def add(X, b):
    return X + b


def add_backward(g, X, b):
    return g, g


check_backward(add, add_backward, rng.normal(size=(4, 3)), rng.normal(size=3))

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
# **4. Derivation and backward.** $Z = X \odot s + b$ scales and shifts every column: $X\ (n, d)$, $s\ (d)$, $b\ (d)$. Write
# $\langle g, Z\rangle$ with indices and collect what stands beside each $X_{ij}$, each $s_j$, each $b_j$. Then write it as
# code.


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
# | view (of memory); step, stride | 视图; 步幅 |
# | gradient | 梯度 |
# | float32, rounding | 单精度浮点数, 舍入 |
#
# ## What to read next
#
# - Chapter 01: what a derivative is, and how to tell whether one is right.
# - C. R. Harris and others, *Array programming with NumPy*, Nature 585, 2020: the arrays of this chapter, by their makers.
# - In the package: `python -m tinynet where linear`, and the page "The engine" of the documentation.
