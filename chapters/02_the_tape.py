# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · The tape: an autograd engine in one notebook
#
# A network has a million weights and one loss. How does the loss change with *each* of them? Asking a million times, with a
# small step in one weight after the other, takes a million forward passes. There is a way that costs about three. It
# writes down what was computed, on a *tape*, and reads the tape backwards.
#
# **After this chapter you can**
# 1. say why the order of the way back matters, and what happens without it, in exact numbers;
# 2. derive the backward rule of an op, from a sum to a matrix product, and sum back what was broadcast;
# 3. write an autograd engine of about sixty lines, and train a network on real data with it;
# 4. count what forward mode and reverse mode cost, and choose;
# 5. read the engine of the package, and say what it guards against.
#
# **You need** tensors and broadcasting (chapter 00), derivatives and their check (chapter 01).
# **Time** about 65 minutes, and 50 for the exercises.
# **Sources** document B, 2.4 and 3.1 (training as a flow chart); document C, 4.1.1 (the layers of a network, forward).
#
# Notation: $L$ is the loss, one number. $\bar x$ means $\partial L/\partial x$ and has the shape of $x$. A rule gets
# $g = \partial L/\partial y$, the derivative by the output $y$ of an op, and gives the derivatives by its inputs.
# $\langle g, y\rangle$ is $\sum g_i y_i$ over all entries. $J\ (m, n)$ is the Jacobian of an op with $n$ inputs and $m$ outputs:
# $J_{ij} = \partial y_i/\partial x_j$.

# %%
import inspect
import itertools
import os
import textwrap
import weakref

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import autograd, dispatch
from tinynet.check import check_backward

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(2)
BLUE, ORANGE, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

# %% [markdown]
# ## 1. Four additions
#
# Here is a computation of two lines:
#
# $$ b = a + a, \qquad c = b + b . $$
#
# You see at once that $c = 4a$, so $\partial c/\partial a = 4$. A program does not see it at once. It has the two lines and goes
# back through them. What is the derivative by $b$, and what does $b$ hand on to $a$?

# %% tags=["picture"]
a = tn.tensor(1.0, requires_grad=True, name="a")
b = a + a
c = b + b
tn.plot.tape(c, {"b": b, "c": c})
plt.show()

# %% [markdown]
# Each arrow is one use. Along an arrow of an addition the slope is 1. So from $a$ to $c$ there are $2 \cdot 2 = 4$ *paths*, and the
# derivative is what the chain rule says: multiply the slopes along each path, and add up over all paths.
#
# For now let every op be an addition. Then a computation is a list. Entry $i$ says which earlier values were added to make
# value $i$. We call it a *tape*:

# %%
tape = [(), (0, 0), (1, 1)]  # a;  b = a + a;  c = b + b

# %% [markdown]
# ### Two ways back that suggest themselves
#
# Start at the last value with the derivative 1. Go to what it was made from, and on from there, by recursion. Each value adds up
# what arrives. There are two versions, and they look alike. One hands on *what has just arrived*:


# %%
def passing_arrivals(tape):
    grads = [0] * len(tape)

    def visit(i, arrived):
        grads[i] += arrived
        return 1 + sum(visit(parent, arrived) for parent in tape[i])

    visits = visit(len(tape) - 1, 1)
    return grads, visits


# %% [markdown]
# The other hands on *its gradient as it stands*:


# %%
def passing_sums(tape):
    grads = [0] * len(tape)

    def visit(i, arrived):
        grads[i] += arrived
        return 1 + sum(visit(parent, grads[i]) for parent in tape[i])

    visits = visit(len(tape) - 1, 1)
    return grads, visits


# %% [markdown]
# **Before you run the cell**, walk through both with a pencil. Write down every visit. Which of the two gives 4?

# %%
print("passing arrivals", passing_arrivals(tape))
print("passing sums    ", passing_sums(tape))

# %% [markdown]
# The first is right, and it visited $b$ twice and $a$ four times: once for every path. The second is wrong. It says 6. On its
# first visit $b$ has 1 and hands on 1, twice. Then the second part arrives. Now $b$ has 2 and hands on 2, twice. The 1 that it
# had handed on before is in there again: $1 + 1 + 2 + 2 = 6$.
#
# ### Twenty doublings
#
# Let it go on: $n$ doublings, so that the last value is $2^n a$. There are $2^k$ paths to the value $k$ steps below the end, and
# the first recursion walks them all. The number of its visits is
#
# $$ \sum_{k=0}^{n} 2^k = 2^{n+1} - 1 . $$
#
# With $n = 20$ that is 2,097,151 visits, for twenty additions.
#
# And the second recursion? Follow the parts that arrive at one value, in their order. The last value gets (1). The one before it
# gets (1, 1), the next (1, 1, 2, 2), the next (1, 1, 2, 2, 4, 4, 6, 6): what a value hands on are the sums so far, each
# twice. The result is the sum of the last row. It soon has nothing to do with $2^n$.


# %%
def doublings(n):
    return [()] + [(i, i) for i in range(n)]


# %% tags=["check"]
assert doublings(2) == tape
assert passing_arrivals(tape) == ([4, 2, 1], 7)
assert passing_sums(tape) == ([6, 2, 1], 7)
arriving = [1]
for n in range(1, 9):
    arriving = [so_far for so_far in itertools.accumulate(arriving) for _ in "ab"]
    grads, visits = passing_arrivals(doublings(n))
    assert (grads[0], visits) == (2**n, 2 ** (n + 1) - 1)
    grads, visits = passing_sums(doublings(n))
    assert (grads[0], visits) == (sum(arriving), 2 ** (n + 1) - 1)

# %% tags=["slow"]
all_paths, visits = passing_arrivals(doublings(20))
wrong, _ = passing_sums(doublings(20))
print(f"{visits:,} visits")
print("passing arrivals", all_paths[0])
print("passing sums    ", wrong[0])
assert (all_paths[0], visits) == (2**20, 2_097_151)
assert len(str(wrong[0])) == 48

# %% [markdown]
# A gradient of 48 digits where 1,048,576 is right.
#
# ### The cure is an order
#
# Both troubles have one reason: a value handed something on before all of its gradient was there. So wait. **Visit a value only
# when everything that used it has been visited.** Then its gradient is complete, and one visit is enough.
#
# An order in which every value comes after all its users is called a *topological order*. Where do we get one? It is there already. A
# value can be made only from values that exist already. So its parents have smaller numbers, always. Go through the tape from
# the newest value to the oldest, and every value comes after its users.


# %%
def newest_first(tape):
    grads, visits = [0] * len(tape), 0
    grads[-1] = 1
    for i in reversed(range(len(tape))):
        visits += 1
        for parent in tape[i]:
            grads[parent] += grads[i]
    return grads, visits


# %% tags=["check"]
assert newest_first(tape) == ([4, 2, 1], 3)
assert newest_first(doublings(20)) == (
    [2**k for k in reversed(range(21))],
    21,
)
for _ in range(20):  # any tape: as the recursion over all paths, once per value
    some = [()] + [tuple(rng.integers(0, i, size=2)) for i in range(1, 8)]
    assert newest_first(some) == (passing_arrivals(some)[0], 8)

# %% [markdown]
# Twenty-one visits instead of two million. In algebra this is the distributive law. Four paths cost four products,
# $s_1 t_1 + s_1 t_2 + s_2 t_1 + s_2 t_2$. Sum first, and one product is left: $(s_1 + s_2)(t_1 + t_2)$.
#
# Here are the three ways side by side. (`tn.explain.recursion(loss)` compares them on a loss of yours.)

# %% tags=["picture"]
steps = range(1, 13)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for walk, colour, style in (
    (newest_first, BLUE, "-o"),
    (passing_arrivals, ORANGE, "--o"),
    (passing_sums, PURPLE, ":o"),
):
    found = [walk(doublings(n)) for n in steps]
    name = walk.__name__.replace("_", " ")
    look = {"color": colour, "markersize": 3, "label": name}
    left.plot(steps, [visits for _, visits in found], style, **look)
    right.plot(steps, [grads[0] for grads, _ in found], style, **look)
left.set(
    xlabel="doublings", ylabel="visits", yscale="log", title="how often it visits"
)
right.set(xlabel="doublings", ylabel="∂L/∂a", yscale="log", title="what comes out")
right.legend(frameon=False)
plt.show()

# %% [markdown]
# On the left the two recursions lie on each other: both walk all paths. On the right the two that are right do.
#
# ## 2. From slopes to rules
#
# Now values are arrays, and ops are more than additions. Let $y = f(x)$ be one op; think of
# $x\ (n)$ and $y\ (m)$ as long columns. Move $x$ by a tiny $dx$. Then $y$ moves by
# $dy = J\,dx$, with $J\ (m, n)$ the Jacobian of $f$ at $x$. And the loss moves by $\langle g, dy\rangle$, for that is what
# $g = \partial L/\partial y$ means. Write the sums out, and sum in the other order:
#
# $$ dL = \langle g, J\,dx\rangle = \sum_i g_i \sum_j J_{ij}\, dx_j = \sum_j \Big( \sum_i J_{ij}\, g_i \Big) dx_j
#    = \langle J^\top g,\ dx\rangle . $$
#
# What stands beside $dx_j$ is the derivative of $L$ by $x_j$. So $\bar x = J^\top g$.
#
# This gives a recipe for every rule. **Write $dy$. Pair it with $g$. Move everything but $dx$ to the side of $g$.** The Jacobian
# itself is never built. And a value $x$ with several users gets a part from each, which are summed (section 1):
#
# $$ \bar x = \sum_{\text{uses } y \text{ of } x} J_y^\top\, \bar y . $$
#
# Seven ops are enough for a network. The recipe on each:
#
# - **Sum** $y = a + b$. Here $dy = da + db$, so $\langle g, dy\rangle = \langle g, da\rangle + \langle g, db\rangle$: both get $g$.
# - **Product**, entry by entry. $dy = b \odot da + a \odot db$. Pairing with $g$ gives $\langle g \odot b, da\rangle$ and
#   $\langle g \odot a, db\rangle$. So $\bar a = g \odot b$ and $\bar b = g \odot a$.
# - **Matrix product** $Y = AB$, with $A\ (n, m)$ and $B\ (m, k)$. $dY = dA\,B + A\,dB$. With indices, the first part is
#
# $$ \langle g, dA\,B\rangle = \sum_{i,j} g_{ij} \sum_l dA_{il} B_{lj} = \sum_{i,l} dA_{il} \Big( \sum_j g_{ij} B_{lj} \Big)
#    = \langle g B^\top,\ dA\rangle , $$
#
# $$ \langle g, A\,dB\rangle = \sum_{i,j} g_{ij} \sum_l A_{il}\, dB_{lj} = \sum_{l,j} dB_{lj} \Big( \sum_i A_{il}\, g_{ij} \Big)
#    = \langle A^\top g,\ dB\rangle . $$
#
#   Shapes tell you if you are right: $gB^\top$ is $(n,k)(k,m)$, like $A$; $A^\top g$ is $(m,n)(n,k)$, like $B$.
# - **Transpose** $Y = A^\top$: $\sum_{ij} g_{ij}\, dA_{ji}$, so $\bar A = g^\top$.
# - **tanh**. Each entry depends on its own input: $dy = \tanh'(x)\,dx$. With $\tanh = \sinh/\cosh$ the quotient rule gives
#   $(\cosh^2 - \sinh^2)/\cosh^2 = 1 - \tanh^2$. So $\bar x = g\,(1 - y^2)$.
# - **relu** $y = \max(x, 0)$: slope 1 where $x > 0$, else 0. (At the kink itself there is none; we take 0.)
# - **Sum of all entries** $y = \sum_i x_i$: $dy = \sum_i dx_i$, so every entry gets the same number $g$.


# %%
def add_rule(g, a, b):
    return g, g


def mul_rule(g, a, b):
    return g * b, g * a


def matmul_rule(g, A, B):
    return g @ B.T, A.T @ g


def transpose_rule(g, A):
    return (g.T,)


def tanh_rule(g, x):
    return (g * (1 - np.tanh(x) ** 2),)


def relu_rule(g, x):
    return (g * (x > 0),)


def sum_rule(g, x):
    return (np.broadcast_to(g, x.shape),)


# %% [markdown]
# Each is held against differences, at random inputs, with a random $g$. (The sum over uses is put to the test in section 3, where a
# $w$ is used twice.)

# %% tags=["check"]
x, y = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
assert check_backward(np.add, add_rule, x, y)
assert check_backward(np.multiply, mul_rule, x, y)
assert check_backward(np.matmul, matmul_rule, x, rng.normal(size=(3, 4)))
assert check_backward(np.transpose, transpose_rule, x)
assert check_backward(np.tanh, tanh_rule, x)
assert check_backward(lambda x: np.maximum(x, 0), relu_rule, x)
assert check_backward(np.sum, sum_rule, x)
g, A, B = rng.normal(size=(2, 4)), x, rng.normal(size=(3, 4))
dA, dB = rng.normal(size=A.shape), rng.normal(size=B.shape)  # the pairing itself
gA, gB = matmul_rule(g, A, B)
assert np.isclose(np.sum(g * (dA @ B + A @ dB)), np.sum(gA * dA) + np.sum(gB * dB))

# %% [markdown]
# **By hand.** $A = (1\ \ 2)$ of shape (1, 2), $B = \begin{pmatrix} 3\\ 4\end{pmatrix}$ of shape (2, 1), so $Y = 11$. With $g = 10$ the
# rule gives $\bar A = g B^\top = (30\ \ 40)$ and $\bar B = A^\top g = \begin{pmatrix} 10\\ 20\end{pmatrix}$. Check one entry: raise
# $A_{12}$ from 2 to 2.1. $Y$ becomes 11.4, and $10 \cdot 0.4 = 40 \cdot 0.1$.
#
# ### What broadcasting copied
#
# One thing is left. In $XW^\top + b$ the bias $b\ (o)$ is stretched to $(n, o)$ before it is added. The rule of the sum gives $g$,
# of shape $(n, o)$. That is the gradient of the *stretched* bias. Stretching is linear, and chapter 00 found its transpose: **sum
# over the axes along which it was stretched.** We need it for every op that broadcasts. So we write it once, and call it in one
# place.


# %%
def unbroadcast(g, shape):
    """g, summed over the axes along which something of this shape was stretched."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # axes put in front
    ones = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=ones, keepdims=True)  # axis=() sums over none


# %% tags=["check"]
g = rng.normal(size=(4, 2, 3))
for shape in ((3,), (2, 1), (1, 3), (4, 1, 1), (), (4, 2, 3)):
    small = rng.normal(size=shape)
    found = unbroadcast(g, shape)
    assert found.shape == shape
    assert np.isclose(
        np.sum(g * np.broadcast_to(small, g.shape)), np.sum(found * small)
    )

# %% [markdown]
# ## 3. The engine
#
# All parts are on the table. A `Value` is an array with four things more: the values it was made from, the rule that made it, the
# number that says when it was made, and a place for its gradient. `op` makes a method from a function and its rule; every method
# goes through it. (It runs while Python reads the class, so it has no `self`.) `backward` is `newest_first` with rules where the
# slopes were 1. Read it slowly; there is nothing else.


# %%
class Value:
    """An array that remembers how it was made."""

    __array_ufunc__ = None  # array * value is our product, not NumPy's
    clock = itertools.count()

    def __init__(self, data, parents=(), rule=None):
        self.data = np.asarray(data, dtype=float)
        self.parents, self.rule = parents, rule
        self.number = next(Value.clock)
        self.zero_grad()

    def zero_grad(self):
        self.grad = np.zeros_like(self.data)

    def op(forward, rule):
        def method(*inputs):
            inputs = [x if isinstance(x, Value) else Value(x) for x in inputs]
            return Value(forward(*(x.data for x in inputs)), inputs, rule)

        return method

    __add__ = __radd__ = op(np.add, add_rule)
    __mul__ = __rmul__ = op(np.multiply, mul_rule)
    __matmul__ = op(np.matmul, matmul_rule)
    tanh = op(np.tanh, tanh_rule)
    relu = op(lambda x: np.maximum(x, 0), relu_rule)
    sum = op(np.sum, sum_rule)
    T = property(op(np.transpose, transpose_rule))

    def __sub__(self, other):
        return self + -1.0 * other

    def __rsub__(self, other):
        return -1.0 * self + other

    def backward(self, g=1.0):
        """Add ∂L/∂x to x.grad of every leaf x, for L = ⟨g, self⟩."""
        values, waiting = set(), [self]
        while waiting:  # all that this was made from; a list in place of recursion
            value = waiting.pop()
            if value not in values:
                values.add(value)
                waiting.extend(value.parents)

        arrived = {self: g * np.ones_like(self.data)}
        for value in sorted(values, key=lambda v: v.number, reverse=True):
            g = arrived.pop(value)  # complete: all its users have been here
            if not value.parents:
                value.grad = value.grad + g
                continue
            inputs = [parent.data for parent in value.parents]
            for parent, d in zip(value.parents, value.rule(g, *inputs)):
                d = unbroadcast(d, parent.data.shape)
                arrived[parent] = arrived.get(parent, 0) + d


# %% [markdown]
# About sixty lines with the rules, blank ones not counted. Look for three decisions.
#
# - *Leaves keep, others pass on.* A value without parents adds to its `.grad`. What is in between is forgotten once handed on.
# - *Gradients are added to `.grad`, not written.* Two losses, two calls, and `.grad` has the sum. The price is `zero_grad()` before
#   each step of a training.
# - *Parts meet in `arrived`.* No value hands anything on before it is taken out there, and then nothing more can arrive.
#
# **A number by hand, first.** $L = \tanh(w x + w)$ at $w = 1$, $x = 0$. The bracket is 1, its tanh 0.7616, the slope
# $1 - 0.58 = 0.42$. $w$ is used twice: once times $x = 0$, once alone. So $\bar w = 0.42\,(0 + 1) = 0.42$ and
# $\bar x = 0.42 \cdot w = 0.42$.

# %% tags=["check"]
w, x = Value(1.0), Value(0.0)
(w * x + w).tanh().backward()
assert np.allclose([w.grad, x.grad], 1 - np.tanh(1) ** 2)
assert np.isclose(w.grad, 0.42, atol=1e-4)

a = Value(1.0)
b = a + a
(b + b).backward()
assert a.grad == 4

v = a = Value(1.0)
for _ in range(20):
    v = v + v
v.backward()
assert a.grad == 2**20

x = Value([-1.0, 2.0])
y = (x.relu() * [3.0, 5.0]).sum()
y.backward()
assert y.data == 10
assert np.array_equal(x.grad, [0, 5])
(x * x).sum().backward()  # a second loss: added to the first
assert np.array_equal(x.grad, [0 - 2, 5 + 4])


# %% [markdown]
# ### A layer, a network
#
# Document C, 4.1.1, gives layer $l$ of a network as $Z^{(l)} = \sigma(W^{(l)} X^{(l-1)} + b^{(l)})$. There a sample is a column. With
# samples as rows, as in all chapters, $X$ is $(n, d)$, $W$ is $(o, d)$, and a network with one hidden layer is
#
# $$ A = \tanh(X W_1^\top + b_1), \qquad \hat y = A\, W_2^\top + b_2, \qquad L = \frac1n \sum_i (\hat y_i - y_i)^2 . $$
#
# The document stops at the forward pass. The engine does not need to be told the rest:


# %%
def network(X, W1, b1, W2, b2):
    hidden = (X @ W1.T + b1).tanh()
    return hidden @ W2.T + b2


def loss_of(y_hat, y):
    difference = y_hat - y
    return (difference * difference).sum() * (1 / len(y))


# %% [markdown]
# These functions use operators and methods only. So they run on our `Value`, and just as well on the package's tensors. Two engines, the same
# lines: do the gradients agree? And do both agree with a derivation on paper? For the paper, let $Z\ (n, h)$ be what tanh is taken
# of, and $\hat y$ and $y$ columns $(n, 1)$. Go back through the formulas with the rules of section 2, the last one first:
#
# $$ \bar{\hat y} = \tfrac2n (\hat y - y), \qquad \bar W_2 = \bar{\hat y}^\top A, \qquad \bar b_2 = \sum_i \bar{\hat y}_i,
#    \qquad \bar A = \bar{\hat y}\, W_2, $$
#
# $$ \bar Z = \bar A \odot (1 - A \odot A), \qquad \bar W_1 = \bar Z^\top X, \qquad \bar b_1 = \sum_i \bar Z_i . $$

# %% tags=["check"]
shapes = ((3, 4), (3,), (1, 3), (1,))
start = [rng.normal(size=shape) for shape in shapes]
X, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 1))

ours = [Value(p) for p in start]
loss = loss_of(network(Value(X), *ours), y)
loss.backward()

theirs = [tn.tensor(p, requires_grad=True) for p in start]
loss_of(network(tn.tensor(X), *theirs), tn.tensor(y)).backward()

W1, b1, W2, b2 = start
A = np.tanh(X @ W1.T + b1)
dy = 2 / 5 * (A @ W2.T + b2 - y)
dZ = dy @ W2 * (1 - A**2)
paper = [dZ.T @ X, dZ.sum(axis=0), dy.T @ A, dy.sum(axis=0)]
assert np.isclose(loss.data, np.mean((A @ W2.T + b2 - y) ** 2))
for one, two, three in zip(ours, theirs, paper):
    assert one.grad.shape == one.data.shape
    assert np.allclose(one.grad, two.grad.numpy(), rtol=1e-12, atol=1e-13)
    assert np.allclose(one.grad, three, rtol=1e-12, atol=1e-13)

# %% [markdown]
# ## 4. Why backwards?
#
# A chain of steps, $x \to y_1 \to y_2 \to \dots \to L$, has the Jacobian $J_k \cdots J_2 J_1$, and the gradient is its transpose times 1:
#
# $$ \bar x = J_1^\top J_2^\top \cdots J_k^\top \cdot 1 . $$
#
# A product of matrices can be worked out from either end. The result is the same. The cost is not.
#
# - *From the right*, starting at the loss: there is always a matrix times a **vector**. $J\ (p, q)$ costs $pq$ multiplications.
# - *From the left*, starting at the input: there is always a matrix times a **matrix**. The product so far has a row for each of
#   the $n$ entries of $x$. Each step costs $n$ times as much.
#
# **Before you run the cell:** two Jacobians of $100 \times 100$ and a last one of $1 \times 100$. How many multiplications from the
# right, how many from the left?


# %%
def from_the_right(jacobians):
    """J1ᵀ (J2ᵀ (… Jkᵀ 1)), and how many multiplications that took."""
    g, count = np.ones(1), 0
    for J in reversed(jacobians):
        g, count = J.T @ g, count + J.size
    return g, count


def from_the_left(jacobians):
    """((J1ᵀ J2ᵀ) …) Jkᵀ 1, the same."""
    product, count = jacobians[0].T, 0
    for J in jacobians[1:]:
        product, count = product @ J.T, count + len(product) * J.size
    return product @ np.ones(1), count + len(product)


chain = [rng.normal(size=(100, 100)) for _ in range(2)] + [
    rng.normal(size=(1, 100))
]
print("from the right", f"{from_the_right(chain)[1]:>9,}")
print("from the left ", f"{from_the_left(chain)[1]:>9,}")

# %% tags=["check"]
(one, few), (other, many) = from_the_right(chain), from_the_left(chain)
assert np.allclose(one, other)
assert np.allclose(one, np.linalg.multi_dot(chain[::-1])[0])
assert few == 2 * 100 * 100 + 100
assert many == 100 * 100 * 100 + 100 * 100 + 100

# %% [markdown]
# Working from the right is called *reverse mode*, or *backpropagation*. From the left it is *forward mode*: a pass for
# each entry of $x$, from the input on. One loss and many weights: from the right.
#
# ### The small constant
#
# What does one walk back cost, beside the forward pass? Take the most expensive op. $Y = AB$ needs $2nmk$ operations. Its rule has two
# products, $gB^\top$ and $A^\top g$, of the same three sizes: $4nmk$. **The way back costs two forward passes**, and all together three.
# It does not matter whether there are ten weights or a billion. The other ops are a small constant, too: look at the rules, none
# does more than a few operations for each one forward. The package can count:

# %% tags=["check"]
A, B, C = (
    tn.tensor(rng.normal(size=s), requires_grad=True)
    for s in ((3, 4), (4, 5), (5, 2))
)
products = tn.explain.cost((A @ B @ C).sum()).by_op()["matmul"]
assert products.forward.flops == 2 * 3 * 4 * 5 + 2 * 3 * 5 * 2
assert products.backward.flops == 2 * products.forward.flops

# %% [markdown]
# The reverse mode has a price, in memory. The rule of a product needs the factors, that of tanh its output. So the forward pass
# must keep them until the walk back comes by. A network that is a hundred layers deep keeps a hundred layers of activations.
#
# ### Forward mode, in a few lines
#
# The walk from the left needs no tape at all. Let each number carry its derivative along: $x + \dot x\,\varepsilon$, where
# $\dot x = dx/dt$ is its derivative by one chosen number $t$, and $\varepsilon^2 = 0$. Such a pair is called a *dual number*. Multiply
# two of them, and the product rule comes out by itself. Put one into a function, and its Taylor series ends after two terms:
#
# $$ (a + \dot a\,\varepsilon)(b + \dot b\,\varepsilon) = ab + (a \dot b + \dot a\, b)\,\varepsilon , \qquad
#    f(a + \dot a\,\varepsilon) = f(a) + f'(a)\,\dot a\,\varepsilon . $$


# %%
class Dual:
    """An array and its derivative by one number t."""

    __array_ufunc__ = None

    def __init__(self, data, slope=0.0):
        self.data, self.slope = np.asarray(data, float), slope * np.ones_like(data)

    def pair(method):
        return lambda a, b: method(a, b if isinstance(b, Dual) else Dual(b))

    __add__ = __radd__ = pair(lambda a, b: Dual(a.data + b.data, a.slope + b.slope))
    __sub__ = pair(lambda a, b: Dual(a.data - b.data, a.slope - b.slope))
    __rsub__ = pair(lambda a, b: b - a)
    __mul__ = __rmul__ = pair(
        lambda a, b: Dual(a.data * b.data, a.slope * b.data + a.data * b.slope)
    )
    __matmul__ = pair(
        lambda a, b: Dual(a.data @ b.data, a.slope @ b.data + a.data @ b.slope)
    )
    T = property(lambda a: Dual(a.data.T, a.slope.T))

    def tanh(self):
        y = np.tanh(self.data)
        return Dual(y, (1 - y**2) * self.slope)

    def sum(self):
        return Dual(self.data.sum(), self.slope.sum())


# %% [markdown]
# The function `network` runs on this third kind of numbers, unchanged. One pass gives the derivative of *all* outputs in *one*
# direction $v$ of the weights: $J v$. One walk back gives the derivative of *one* number by *all* weights: $J^\top g$. They must
# fit together, for any $v$ and $g$:
#
# $$ \langle g, J v\rangle = \langle J^\top g, v\rangle . $$

# %% tags=["check"]
direction = [rng.normal(size=shape) for shape in shapes]
moved = network(Dual(X), *map(Dual, start, direction)).slope  # J v, forward
g = rng.normal(size=moved.shape)
for p in ours:
    p.zero_grad()
network(Value(X), *ours).backward(g)  # Jᵀ g, backward
paired = sum(np.sum(p.grad * v) for p, v in zip(ours, direction))
assert np.isclose(np.sum(g * moved), paired, rtol=1e-12)
_, package = tn.func.jvp(
    lambda *p: network(tn.tensor(X), *p),
    tuple(map(tn.tensor, start)),
    tuple(map(tn.tensor, direction)),
)
assert np.allclose(moved, package.numpy(), rtol=1e-12)

# %% [markdown]
# **When does forward mode win?** When there are few inputs and many outputs. A rumour spreads in a town. By day $k$ a share $x_k$ has
# heard it. Each day some of these meet some of the others, a share $1 - x_k$; the number $r$ says how readily it is passed on:
#
# $$ x_{k+1} = x_k + r\, x_k (1 - x_k) . $$
#
# How does the *whole curve* depend on the one number $r$? One pass with dual numbers tells. In reverse mode each of the forty days
# would need a walk of its own. **Before you look:** on which days does a slightly larger $r$ make the largest difference: at the
# beginning, in the middle, or at the end?


# %%
def rumour(r, days=40):
    x, curve = 0.01, []
    for _ in range(days):
        x = x + r * x * (1 - x)
        curve.append(x)
    return curve


# %% tags=["check"]
slopes = [x.slope for x in rumour(Dual(0.3, 1.0))]
h = 1e-6
differences = np.subtract(rumour(0.3 + h), rumour(0.3 - h)) / (2 * h)
assert np.allclose(slopes, differences, atol=1e-7)
r = Value(0.3)
curve = rumour(r)
curve[19].backward()  # day 20 alone, by a walk of its own
assert np.isclose(r.grad, slopes[19], rtol=1e-12)
assert np.isclose(curve[0].data, 0.01 + 0.3 * 0.01 * 0.99)
assert 15 < np.argmax(slopes) + 1 < 20

# %% tags=["picture"]
curve = rumour(Dual(0.3, 1.0))
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(range(1, 41), [x.data for x in curve], color=BLUE)
left.set(xlabel="day k", ylabel="share that has heard it", title="r = 0.3")
right.plot(range(1, 41), [x.slope for x in curve], color=ORANGE)
right.set(xlabel="day k", ylabel="∂x/∂r", title="what a larger r would change")
plt.show()

# %% [markdown]
# | | one pass gives | for $n$ inputs and $m$ outputs | keeps |
# |---|---|---|---|
# | forward mode | $Jv$, one column's worth | $n$ passes | nothing |
# | reverse mode | $J^\top g$, one row's worth | $m$ passes | what the rules read |
#
# A pass costs about three times the plain one, either way: count the products in `Dual.__matmul__`, and in `matmul_rule`. Finite
# differences are a forward mode, too: one pass for each input, and rounded.
#
# ## 5. Real data: a 3 or a 5?
#
# Of the handwritten digits of chapter 00 we take the 3s and the 5s, 64 pixels each. The truth is $+1$ for a 5 and $-1$ for a 3. The
# network above, with 16 hidden neurons, is to tell them apart. It has 1,057 parameters. Everything runs on our own engine.

# %% tags=["slow"]
train, test = tn.data.load_digits(scaled=True).split(0.2, seed=0)


def threes_and_fives(data):
    images = data.images.numpy().reshape(-1, 64).astype(float)
    labels = data.labels.numpy()
    wanted = (labels == 3) | (labels == 5)
    return images[wanted], labels[wanted, None] - 4.0


X, y = threes_and_fives(train)
X_test, y_test = threes_and_fives(test)
rng = np.random.default_rng(0)
shapes = ((16, 64), (16,), (1, 16), (1,))
start = [
    rng.normal(size=s) / np.sqrt(s[-1]) if len(s) > 1 else np.zeros(s)
    for s in shapes
]
print(len(X), "to learn from,", len(X_test), "held out")
print(sum(p.size for p in start), "parameters")

# %% [markdown]
# Before we train: is the gradient of the real loss right? All 1,057 entries by one-sided differences would
# take 1,058 forward passes; the walk back costs two. So we ask for a difference along one random direction (chapter 01).

# %% tags=["slow"]
ours = [Value(p) for p in start]
loss = loss_of(network(Value(X), *ours), y)
loss.backward()

direction = [rng.normal(size=p.shape) for p in start]
h = 1e-6
up, down = (
    loss_of(
        network(Value(X), *(p + s * h * v for p, v in zip(start, direction))), y
    ).data
    for s in (1, -1)
)
slope = sum(np.sum(p.grad * v) for p, v in zip(ours, direction))
assert np.isclose((up - down) / (2 * h), slope, rtol=1e-6)

# %% [markdown]
# Training is a loop of four lines: forward, zero, backward, a step against the gradient.

# %% tags=["slow"]
steps, rate = (3000 if os.environ.get("LONG") else 300), 0.05
curve = []
for _ in range(steps):
    loss = loss_of(network(Value(X), *ours), y)
    for p in ours:
        p.zero_grad()
    loss.backward()
    for p in ours:
        p.data = p.data - rate * p.grad
    said = network(Value(X_test), *ours).data
    curve.append(
        (loss.data, np.mean((said - y_test) ** 2), np.mean(said * y_test > 0))
    )
print(f"after {steps} steps: loss {curve[-1][0]:.4f}, held out {curve[-1][1]:.4f}")
print(f"{curve[-1][2]:.1%} of the held-out digits are told apart")
assert curve[-1][2] == 1

# %% tags=["slow"]
figure, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
ax.plot([c[0] for c in curve], color=BLUE, label="loss")
ax.plot([c[1] for c in curve], "--", color=ORANGE, label="loss, held-out digits")
ax.set(xlabel="step", ylabel="mean squared error", yscale="log")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# All 68 held-out digits are right. (They are few, and 3 against 5 is easy: look at the loss, not at the 100 %. With `LONG=1` the
# network learns for 3,000 steps: the loss falls from 0.055 to 0.0062, that of the held-out digits from
# 0.049 to 0.0146.)
#
# A gradient can be taken by anything, so also by a *picture*. Here is a 3. Which pixels would have to become darker for the network
# to say 5? The derivative of the output by the 64 pixels is one walk back.

# %% tags=["slow"]
three = Value(X_test[y_test[:, 0] < 0][:1])
network(three, *ours).backward()
figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 3), layout="constrained")
left.imshow(three.data.reshape(8, 8), cmap="gray_r")
left.set(title="a 3", xlabel="column", ylabel="row")
push = three.grad.reshape(8, 8)
image = right.imshow(
    push, cmap="PuOr", vmin=-np.abs(push).max(), vmax=np.abs(push).max()
)
right.set(title="∂ŷ/∂pixel", xlabel="column")
figure.colorbar(image, ax=right, label="towards 5 if darker")
plt.show()

# %% [markdown]
# ### Training as a flow chart
#
# Document B, 2.4, draws training as a chart: data → preprocessing → embedding → layers → output → loss → backpropagation → weight
# update; 3.1 says each box in a sentence. Every box is a line of code. Here is a model that really runs: a word is
# embedded (its number picks a row of a table), then two layers and a loss. The package draws what was recorded. *Derivation* shows
# what the boxes hand to each other on the way back, with formulas.

# %%
tn.manual_seed(0)
nn = tn.nn
model = nn.Sequential(
    nn.Embedding(6, 2), nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)
)
ids = tn.tensor([0, 3, 5], name="words")  # input data, already cleaned and numbered
truth = tn.tensor([[1.0], [0.0], [1.0]], name="truth")
optimizer = tn.optim.SGD(model.parameters(), lr=0.5)

y_hat = model(ids)  # embedding, layers, output
loss = nn.functional.mse_loss(y_hat, truth)  # loss
tn.explain(loss, model)

# %% [markdown]
# That is the document's chart down to the loss; $v_1$ are the three words. Its last two boxes follow the arrows upwards, and then change what is in the yellow
# boxes. And one arrow is not drawn in the document: from the update back to the top. Training is a loop. (3.1 says of
# backpropagation that it updates the weights, and then has a box for that. They are two things: the walk back computes, the step
# changes.)

# %% tags=["check"]
before = loss.item()
for _ in range(20):
    loss = nn.functional.mse_loss(model(ids), truth)
    optimizer.zero_grad()
    loss.backward()  # backpropagation
    optimizer.step()  # weight update
assert nn.functional.mse_loss(model(ids), truth).item() < 0.5 * before

# %% [markdown]
# ## 6. The package's engine
#
# You have written one; now you can read one. The files are `op.py`, `tensor.py`, `autograd.py`, and `dispatch.py`, the door through
# which every op goes. We look at the places that matter.
#
# **The walk.** The same two thoughts: parts meet in a dictionary, here called `sums`, and the newest goes first. A *heap* hands out
# the newest node, so that nothing has to be sorted before. An *edge* is where a gradient is to go, to a node or to a leaf.

# %%
walk = inspect.getsource(autograd.propagate)
walk = walk[walk.index("        while heap") : walk.index("    except")]
print(textwrap.dedent(walk))

# %% [markdown]
# From top to bottom:
#
# 1. `heappop`: the newest node. All its users are newer and have been visited, so `g` is complete.
# 2. `hooks`, `ends`, `useful`: for those who ask for more. A hook is a function of yours that may look at `g`.
#    `tn.autograd.grad(y, x)` wants the gradient at one place; what does not lead there is skipped.
# 3. `edges is None`: a second walk finds the graph freed, and says so.
# 4. `node.gradients`: here the rules run. (`arrays.home`: on the GPU, if the array lies there.)
# 5. `edge is None`: a value that needs no gradient. Our engine takes the gradient of the pixels, too, at each step, and nobody
#    reads it.
# 6. `edge in sums`: two parts meet. Never with `+=`: two parents may have been handed the *same* array (the rule of the sum
#    returns `g` twice!), and the other would change, too. Our `arrived.get(parent, 0) + d` is a new array as well.
# 7. `borrowed` remembers which gradients lie in an array that somebody else holds. If one ends in a `.grad`, it is copied.
# 8. `heappush`: the first part has arrived at a node, so it is put on the heap, once.
# 9. `node.release()`: what was kept is freed as soon as it has been used. Ours lives as long as the loss does.
#
# **The rules** are a table, as ours are. But a rule also gets the output `y`, there is one for each input, and **the names of its
# parameters say what is kept**. Where a name begins with an underscore, only the shape is. (We break the lines at each rule.)

# %%
for name in ("mul", "tanh", "relu"):
    source = inspect.getsource(tn.op.registry[name].rules[0])
    print(source.replace(", lambda", ",\n    lambda"))

# %% [markdown]
# tanh keeps $y$ and forgets its input: $1 - y^2$ needs no second tanh. That is less memory, and less work than our `tanh_rule`.
#
# **Who keeps whom.** Our values hold their parents, with data and gradient, until the loss is gone. In the package a tensor holds its
# node, and a node holds *arrays*, those that its rules read, and the nodes before it. It does not hold tensors that were computed. So
# nothing goes in a circle, and a tensor that nobody uses is freed at once, in the middle of the forward pass. To see it, we watch by a
# *weak reference*, which does not keep alive what it refers to:

# %% tags=["check"]
x = tn.tensor(rng.normal(size=100), requires_grad=True)
z = x + 1.0  # (up to 64 entries would stay, for tn.explain to show)
array, tensor = weakref.ref(z.array), weakref.ref(z)
y = z.tanh()  # keeps y; nobody needs z any more
del z
assert array() is None
assert tensor() is None  # freed, without the garbage collector
y.sum().backward()
assert np.allclose(x.grad.numpy(), 1 - np.tanh(x.detach().numpy() + 1) ** 2)

z = Value(rng.normal(size=100))
held = weakref.ref(z)
y = z.tanh()
del z
assert held() is not None  # ours: as long as y lives

# %% [markdown]
# **One node on the way back.** The rules are run in the last lines. Four things happen before.

# %%
print(textwrap.dedent(inspect.getsource(dispatch.OpNode.gradients)))

# %% [markdown]
# - *Versions*, the first loop. A rule reads a value *later* than the forward pass did. What if somebody has changed it by then? Each
#   tensor counts its changes in place. A node remembers the count of each value that it keeps, and compares.
# - *`create_graph`*. The rules may run on arrays, or on tensors. That is the next section. (`autocasting` keeps to the dtypes of the
#   forward pass.)
# - *`self.by`* is a kernel: the same backward pass, compiled. And `Derivation` is an op whose backward pass was derived as a whole, as
#   the neuron's of chapter 03. Where neither is, the table's rules are used, for the inputs that want a gradient.
# - *The shape*. `_fit` sums back what was broadcast: one place for all ops, as in ours. But it does so only for ops
#   that broadcast. For any other op a wrong shape is an error, since it comes from a wrong rule. Our engine may sum it
#   away.
#
# ### Derivatives of derivatives
#
# Our rules run on arrays, so their results remember nothing. The package can run the *same* rules on tensors. Then the walk back is
# recorded itself, and it can be walked back, too. Let us do it by hand, for $y = x^3$ at $x = 3$. As two ops: $u = x \cdot x$, $y = u \cdot x$.
#
# *First walk*, $g = 1$. The product $u \cdot x$ gives $\bar u = g x$ and, for $x$, a first part $g u$. Then $x \cdot x$ gives twice
# $\bar u\, x$. Together
#
# $$ \bar x = g u + \bar u\, x + \bar u\, x, \qquad \bar u = g x : \qquad 9 + 9 + 9 = 27 = 3x^2 . $$
#
# *Second walk*, through this formula: it is a computation like any other. Its three terms get 1 each. $g u$ hands 1 to $u$, and
# $u = x \cdot x$ hands $2 \cdot x = 6$ to $x$. Each $\bar u\, x$ hands $\bar u = 3$ to $x$ and $x = 3$ to $\bar u$. So $\bar u$ has 6, and
# $\bar u = g x$ hands 6 to $x$. The sum is $6 + 3 + 3 + 6 = 18 = 6x$.

# %%
x = tn.tensor(3.0, requires_grad=True, name="x")
u = x * x
(dx,) = tn.autograd.grad(u * x, x, create_graph=True)
(ddx,) = tn.autograd.grad(dx, x, create_graph=True)
(dddx,) = tn.autograd.grad(ddx, x)
print(dx.item(), ddx.item(), dddx.item())

# %% tags=["check"]
for at in rng.normal(size=5):
    x = tn.tensor(at, requires_grad=True)
    (dx,) = tn.autograd.grad(x * x * x, x, create_graph=True)
    (ddx,) = tn.autograd.grad(dx, x, create_graph=True)
    (dddx,) = tn.autograd.grad(ddx, x)
    found = [dx.item(), ddx.item(), dddx.item()]
    assert np.allclose(found, [3 * at**2, 6 * at, 6])
assert np.isclose(
    ((3 + 1e-3) ** 3 - 2 * 3**3 + (3 - 1e-3) ** 3) / 1e-6, 18, atol=1e-6
)

# %% [markdown]
# Here is the tape of the *first walk*. The gradients in its boxes are those of the second. Find $g$ ($v_1$), the three
# terms, and $\bar u$ ($v_2$), in which two parts meet.

# %% tags=["picture"]
x = tn.tensor(3.0, requires_grad=True, name="x")
u = x * x
(dx,) = tn.autograd.grad(u * x, x, create_graph=True)
tn.plot.tape(dx, {"u": u, "dx": dx})
plt.show()

# %% [markdown]
# ### Memory for time
#
# Reverse mode keeps the activations of all $n$ layers. It need not. Keep only every $k$-th, a *checkpoint*, and forget the rest. When the
# walk back reaches a stretch, compute its $k$ layers once more from its checkpoint, and go back through them. At any time there are
# $n/k$ checkpoints and one stretch of $k$ in memory, $n/k + k$. That is least where the derivative by $k$ is 0, $1 - n/k^2 = 0$, at
# $k = \sqrt n$: $2\sqrt n$ instead of $n$, for one more forward pass. In the package a stretch is
# `tn.utils.checkpoint.checkpoint(stretch, x, use_reentrant=False)`; what it keeps and what it costs is held by
# `test_checkpoints_keep_less_and_compute_more` in `tests/test_explanation_costs.py`.

# %% tags=["check"]
kept = {k: 100 / k + k for k in range(1, 101)}
assert min(kept, key=kept.get) == 10
assert kept[10] == 20

# %% [markdown]
# ## 7. What goes wrong
#
# **Gradients that are not zeroed.** `.grad` collects. Without `zero_grad()` each step goes along the sum of *all* gradients so far. It
# is like a ball without friction: it rolls through the valley and up on the other side. Minimise $w^2$ from $w = 1$:

# %% tags=["wrong"]
for zeroed in (True, False):
    w, path = Value(1.0), []
    for _ in range(12):
        if zeroed:
            w.zero_grad()
        (w * w).backward()
        w.data = w.data - 0.2 * w.grad
        path.append(w.data)
    print("zeroed:    " if zeroed else "not zeroed:", np.array(path).round(2))

# %% [markdown]
# **Broadcasting that is not undone.** Scale each column of $X\ (n, d)$ by $s\ (d)$. The rule of the product gives $g \odot X$, of shape
# $(n, d)$. Here somebody saw that the shape is wrong, and took the mean. Ask the check:


# %% tags=["wrong"]
def scale(X, s):
    return X * s


def scale_backward(g, X, s):
    return g * s, np.mean(g * X, axis=0)


print(
    check_backward(
        scale, scale_backward, rng.normal(size=(4, 3)), rng.normal(size=3)
    )
)

# %% [markdown]
# **A value changed after its use.** $y = w \cdot w$ keeps $w$, for the rule. If $w$ is changed before the walk back, the rule reads the new
# one. Our engine gives a wrong number, silently. The package has counted, and refuses:

# %% tags=["wrong"]
w = Value([3.0])
y = (w * w).sum()
w.data += 1.0  # the gradient of what was computed is 6
y.backward()
print("ours says", w.grad)

w = tn.tensor([3.0], requires_grad=True)
y = (w * w).sum()
with tn.no_grad():
    w.add_(1.0)
try:
    y.backward()
except tn.errors.InPlaceError as error:
    print(error)

# %% [markdown]
# (So our training loop writes `p.data = p.data - …`, a new array, and only after the walk.)
#
# **Recursion.** The recursions of section 1 go as deep as the chain is long, and Python allows a few thousand nested
# calls. A recurrent network on a long text is deeper. The walk with a list, and the one with a heap, do not care:

# %% tags=["wrong"]
long_chain = [()] + [(i,) for i in range(20_000)]
try:
    passing_arrivals(long_chain)
except RecursionError as error:
    print("RecursionError:", error)
print("newest first:", newest_first(long_chain)[0][0])

# %% tags=["slow"]
for start_of_chain in (Value(1.0), tn.tensor(1.0, requires_grad=True)):
    v = start_of_chain
    for _ in range(100_000):
        v = v + 0.0
    v.backward()
    print(type(v).__name__, "after 100,000 ops:", float(start_of_chain.grad))
    del v

# %% [markdown]
# **A chain that is cut.** NumPy arrays remember nothing. Whoever takes one out of a tensor in the middle of a model cuts the tape there.
# The loss is right, it has a gradient, the last layer learns, and the first one stays as it was for ever. `.numpy()` refuses where a
# gradient would be lost. Whoever insists can still do it. Then the training of the package names what is not reached:


# %% tags=["wrong"]
class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 2), nn.Linear(2, 1)

    def forward(self, x):
        hidden = self.first(x).detach().numpy()
        return self.last(tn.tensor(np.tanh(hidden)))


model = Cut()
inputs, truths = tn.randn(8, 3), tn.randn(8, 1)
try:
    model.first(inputs).numpy()
except tn.errors.GraphError as error:
    print(error, end="\n\n")
try:
    tn.train.fit(
        model,
        (inputs, truths),
        loss=nn.functional.mse_loss,
        optimizer=tn.optim.SGD(model.parameters(), lr=0.1),
        epochs=1,
        progress=False,
    )
except tn.errors.GraphError as error:
    print(error)

# %% [markdown]
# **A mistake for you to find.** This walk visits each value only once. The author was proud of it. On $b = a + a$, $c = b + b$ it gives 4.
# A tape here is a list with an entry for each value: the pairs (parent, slope) it was made from, so that value $i$ is the sum of slope
# times parent. Exercise 6 is to find a tape on which it fails, and to put it right.


# %% tags=["wrong"]
def gradients(tape):
    grads = [0.0] * len(tape)
    grads[-1] = 1.0
    visited, waiting = set(), [len(tape) - 1]
    while waiting:
        i = waiting.pop()
        if i not in visited:
            visited.add(i)
            for parent, slope in tape[i]:
                grads[parent] += slope * grads[i]
                waiting.append(parent)
    return grads


print(gradients([[], [(0, 1.0), (0, 1.0)], [(1, 1.0), (1, 1.0)]]))

# %% [markdown]
# ## 8. Exercises
#
# Each one answers at once: with the properties that hold, and for the first that does not, with the simplest case and
# what is wrong there. `tn.exercise("02.order").hint()` gives a hint; there are three, each saying more.
#
# **1. By hand.** $b = a \cdot a$, $c = a + b$, $L = b \cdot c$, at $a = 2$. What is $\partial L/\partial a$? Go back through the three lines. (Afterwards
# write $L$ in terms of $a$ alone, and compare.)

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("02.by_hand").check(your_number)

# %% [markdown]
# **2. An order without numbers.** Here values have names and no numbers: `{"c": ("b", "b"), "a": (), "b": ("a", "a")}`. List
# those that `last` was made from, itself first, so that each comes after all its users. No recursion: chains are long.


# %% tags=["exercise"]
def my_order(parents, last): ...


tn.exercise("02.order").check(my_order)

# %% [markdown]
# **3. A rule, with broadcasting.** $y = a / b$ with $a\ (n, k)$ and $b\ (k)$. Derive both gradients by the recipe of section 2.


# %% tags=["exercise"]
def my_divide_backward(g, a, b): ...


tn.exercise("02.divide_backward").check(my_divide_backward)

# %% [markdown]
# **4. Derivation.** Centring, $y_{ij} = x_{ij} - \frac1k \sum_m x_{im}$ for $x\ (n, k)$, uses $x$ twice, the second time broadcast. Sum both
# parts on paper. What does the result have to do with the forward pass?


# %% tags=["exercise"]
def my_centre_backward(g, x): ...


tn.exercise("02.centre_backward").check(my_centre_backward)

# %% [markdown]
# **5. Two walks.** `f` is a function of a tensor that gives one number. Its Hessian has $n \times n$ entries; you want it times one
# vector $v$, and never build it. Use `tn.autograd.grad` twice.


# %% tags=["exercise"]
def my_hessian_times(f, x, v): ...


tn.exercise("02.hessian_times").check(my_hessian_times)

# %% [markdown]
# **6. Find the mistake** in `gradients` of section 7. Change this copy until it is right.


# %% tags=["exercise"]
def my_gradients(tape):
    grads = [0.0] * len(tape)
    grads[-1] = 1.0
    visited, waiting = set(), [len(tape) - 1]
    while waiting:
        i = waiting.pop()
        if i not in visited:
            visited.add(i)
            for parent, slope in tape[i]:
                grads[parent] += slope * grads[i]
                waiting.append(parent)
    return grads


tn.exercise("02.planted_bug").check(my_gradients)

# %% [markdown]
# **7. For a quiet hour** (paper only). The package computes $Jv$ *without* dual numbers: `tn.func.jvp` makes two walks back. How? The
# first gives $J^\top g$. As a function of $g$, what is its Jacobian?
#
# ## Words
#
# | | |
# |---|---|
# | automatic differentiation | 自动微分 |
# | tape, computational graph | 计算图 |
# | topological order | 拓扑排序 |
# | backpropagation, reverse mode | 反向传播, 反向模式 |
# | forward mode; dual number | 前向模式; 对偶数 |
# | chain rule | 链式法则 |
# | Jacobian | 雅可比矩阵 |
# | leaf; gradient | 叶节点; 梯度 |
# | to accumulate gradients | 梯度累积 |
# | in-place change | 原地操作 |
# | checkpointing | 梯度检查点 |
#
# ## What to read next
#
# - In the package: the page "The engine" of the documentation, then `autograd.py` from its first line. It is written to be read.
# - Chapter 03 takes one neuron and this chain rule. Chapter 05 goes through a whole network on paper.
# - A. Griewank and A. Walther, *Evaluating Derivatives*, second edition, 2008: the theory, with the bound on the cost of reverse mode.
# - A. G. Baydin, B. A. Pearlmutter, A. A. Radul and J. M. Siskind, *Automatic Differentiation in Machine Learning: a Survey*, Journal of
#   Machine Learning Research 18, 2018.
# - D. E. Rumelhart, G. E. Hinton and R. J. Williams, *Learning representations by back-propagating errors*, Nature 323, 1986.
# - T. Chen, B. Xu, C. Zhang and C. Guestrin, *Training Deep Nets with Sublinear Memory Cost*, 2016: checkpoints.
