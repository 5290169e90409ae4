# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · The multilayer perceptron and backpropagation
#
# Some points lie in a disc, others in a ring around it. No straight line parts them, so no single neuron can. Two layers of
# neurons can. But the data say only what the *last* layer should answer. Who tells a neuron in the middle what it did wrong?
#
# **After this chapter you can**
# 1. prove that one layer cannot learn XOR, and that two layers without an activation between them are one;
# 2. derive the backward pass of a layer in four lines, and write it for any depth;
# 3. work a small network through on paper, forward, backward and one step;
# 4. say what a gradient costs, and choose first weights that keep it alive through ten layers;
# 5. derive the steps of momentum and Adam, and say what each remembers.
#
# **You need** derivatives and their check (chapter 01), the tape (02), a neuron (03), losses (04).
# **Time** about 90 minutes, and 50 for the exercises.
# **Sources** document C, 4.1.1 and 4.2.1 (its backward pass is left out there); document B, 3.2.7 and 4.1.
#
# Notation: a batch is a matrix with one sample a row, $X\ (n, d)$. Index $s$ counts samples, $i$ the inputs of a layer, $o$
# its outputs. In a shape the same letters $i$ and $o$ say how many there are: $W\ (o, i)$ has the entries $w_{oi}$. $z$ comes
# before an activation $\sigma$, and $a$ after it. $\odot$ multiplies entry by entry.

# %%
import inspect
import os
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations, nn
from tinynet.check import check_backward
from tinynet.nn import functional as F
from tinynet.train import DivergenceError, fit

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(5)
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
LONG = os.environ.get("LONG") == "1"

# %% [markdown]
# ## 1. One layer is not enough
#
# XOR says 1 if exactly one of its two inputs is 1: of the four points $(0,0), (1,0), (0,1), (1,1)$ the two in the middle
# of that list are to be 1. One neuron has the score $z = w_1 x_1 + w_2 x_2 + b$ and says 1 where $z > 0$. Take three numbers
# $w_1, w_2, b$ and try. **Before you read on:** how many of the four can you get right?
#
# Write $z_{10}$ for the score of $(1, 0)$, and so on. Whatever the weights are,
#
# $$ z_{00} + z_{11} = b + (w_1 + w_2 + b) = (w_1 + b) + (w_2 + b) = z_{10} + z_{01} . $$
#
# XOR wants the left side to be at most 0, and the right side more than 0. They are the same number. So four of four cannot be.
# Three can: $w_1 = w_2 = 1$, $b = -\tfrac12$ is wrong at $(1, 1)$ only.

# %%
points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
xor = np.array([0, 1, 1, 0])

# %% tags=["check"]
best = 0
for w1, w2, b in rng.normal(size=(2000, 3)):
    z = points @ [w1, w2] + b
    assert np.isclose(z[0] + z[3], z[1] + z[2])
    best = max(best, np.sum((z > 0) == xor))
assert best == 3
assert np.array_equal((points @ [1, 1] - 0.5 > 0) == xor, [True, True, True, False])

# %% [markdown]
# ### Two layers
#
# Put two neurons before that one, each with $\max(z, 0)$, the *ReLU*, as its activation:
#
# $$ a_1 = \max(x_1 + x_2,\ 0), \qquad a_2 = \max(x_1 + x_2 - 1,\ 0), \qquad \hat y = a_1 - 2 a_2 . $$
#
# Fill in a table with a pencil, a line for each of the four points: $x_1$, $x_2$, then $a_1$, $a_2$ and $\hat y$.


# %%
def relu(z):
    return np.maximum(z, 0)


total = points.sum(axis=1)
a1, a2 = relu(total), relu(total - 1)
for row in zip(points, a1, a2, a1 - 2 * a2):
    print("x = {}   a1 = {:.0f}   a2 = {:.0f}   said {:.0f}".format(*row))

# %% tags=["check"]
assert np.array_equal(a1 - 2 * a2, xor)
for z in (-2.0, 0.0, 3.0):
    assert relu(z) == (z if z > 0 else 0)

# %% [markdown]
# What happened? The first layer, called *hidden* because its numbers are seen by nobody outside, *moved the points*. The two
# that are to be 1 fell on one place, and in the plane of $(a_1, a_2)$ a straight line is enough. It is drawn where
# $\hat y = a_1 - 2a_2 = \tfrac12$.

# %% tags=["picture"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.3), layout="constrained")
for c, (marker, colour) in enumerate((("o", BLUE), ("^", ORANGE))):
    left.scatter(
        *points[xor == c].T, c=colour, marker=marker, s=90, label=f"XOR is {c}"
    )
    right.scatter(a1[xor == c], a2[xor == c], c=colour, marker=marker, s=90)
right.plot([0.5, 2.5], [0, 1], color="grey", linestyle=":")
right.annotate("two points", (1, 0), (1.15, 0.1))
left.legend(loc="center")
left.set(xlabel="$x_1$", ylabel="$x_2$", title="as given: no line parts them")
right.set(xlabel="$a_1$", ylabel="$a_2$", title="as the hidden layer sees them")
for ax in (left, right):
    ax.set(ylim=(-0.3, 1.3))
    ax.set_xlim(-0.3, 1.3 if ax is left else 2.6)
plt.show()

# %% [markdown]
# ### Without an activation, nothing is gained
#
# Two affine layers in a row: $W_1\ (h, d)$, $b_1\ (h)$, then $W_2\ (k, h)$, $b_2\ (k)$. One sample is a row $x\ (1, d)$. Multiply out,
# and use $W_1^\top W_2^\top = (W_2 W_1)^\top$:
#
# $$ (x W_1^\top + b_1) W_2^\top + b_2 = x \underbrace{(W_2 W_1)^\top}_{(d,\, k)} + \underbrace{(b_1 W_2^\top + b_2)}_{(1,\, k)} . $$
#
# It is one affine layer with the weights $W_2 W_1$. A hundred of them would be one, too. It is the bend between two layers
# that makes two layers more than one.

# %% tags=["check"]
x = rng.normal(size=(6, 3))
W1, b1 = rng.normal(size=(4, 3)), rng.normal(size=4)
W2, b2 = rng.normal(size=(2, 4)), rng.normal(size=2)
two = (x @ W1.T + b1) @ W2.T + b2
one = x @ (W2 @ W1).T + (b1 @ W2.T + b2)
assert np.allclose(two, one)
assert not np.allclose(relu(x @ W1.T + b1) @ W2.T + b2, one)

# %% [markdown]
# ## 2. Forward
#
# A *multilayer perceptron* repeats one thing. Layer $l$ takes what the layer below gave, $A^{l-1}\ (n, d_{l-1})$, and has weights
# $W^l\ (d_l, d_{l-1})$ and biases $b^l\ (d_l)$. With $A^0 = X$,
#
# $$ Z^l = A^{l-1} (W^l)^\top + b^l, \qquad A^l = \sigma(Z^l), \qquad \text{both } (n, d_l) . $$
#
# In numbers, for sample $s$ and neuron $o$: $z_{so} = \sum_i a_{si} w_{oi} + b_o$. The last layer has no activation here. It gives
# scores, and the loss of chapter 04 takes scores.
#
# **Which Z?** Document C, 4.1.1, writes $Z = \sigma(WX + b)$ and calls it the activation. Its section 4.2.1 writes
# $z = Wa + b$, then $a = \sigma(z)$. Here $z$ is always before and $a$ after. Also, C's sample is a column. Ours is a row, as in
# PyTorch. That is all behind the transpose: $(W a)^\top = a^\top W^\top$.


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(X, layers, act):
    """The scores, and of each layer what went in, A, and its Z."""
    A, kept = X, []
    for W, b in layers:
        Z = A @ W.T + b
        kept.append((A, Z))
        A = act(Z)
    return Z, kept


# %% tags=["check"]
layers = [(W1, b1), (W2, b2)]
scores, kept = forward(x, layers, sigmoid)
for s in range(6):  # document C: one column at a time
    z1 = W1 @ x[s] + b1
    a1 = 1 / (1 + np.exp(-z1))
    assert np.allclose(kept[0][1][s], z1)
    assert np.allclose(scores[s], W2 @ a1 + b2)
assert np.allclose(sigmoid(x), (np.tanh(x / 2) + 1) / 2)
once = sigmoid(2.0 * 1.0 - 1.0)  # w = 2, x = 1, b = −1
assert np.allclose([once, sigmoid(once)], [0.7311, 0.6750], atol=1e-4)

# %% [markdown]
# The last two lines are what a mix-up costs: whoever takes the $Z$ of 4.1.1, an activation of 0.731, for that of 4.2.1 sends it
# through $\sigma$ a second time and gets 0.675.
#
# ## 3. Backward
#
# Now the question from the beginning. For the last layer the loss itself says which way each score should go: $\partial L/\partial z$
# (chapter 04). Let us walk down from there. Of each layer below we are told one thing, $\bar A = \partial L/\partial A\ (n, o)$, the
# derivative of the loss by what the layer *gave*. From it we want the derivatives by its weights, and by what it *took*.
# What it took was given by the layer below, so that one has its $\bar A$, too, and we go on.
#
# There is one rule, the chain rule of chapter 02. If a number $u$ touches the numbers $v_1, v_2, \dots$, and through them the loss, then
#
# $$ \bar u = \sum_k \bar v_k\, \frac{\partial v_k}{\partial u} . $$
#
# So **ask what a number touches, and sum over it.** Four times. (The letter $a$ stands on both sides of a layer: with the index
# $o$ it is what the layer gave, with $i$ what it took.)
#
# *The activation.* $z_{so}$ touches $a_{so}$ and nothing else, with the slope $\sigma'(z_{so})$:
#
# $$ \bar z_{so} = \bar a_{so}\, \sigma'(z_{so}) . \tag{1} $$
#
# *A weight.* $w_{oi}$ stands in $z_{so} = \sum_i a_{si} w_{oi} + b_o$ of every sample $s$, with the factor $a_{si}$. So it touches $n$ numbers:
#
# $$ \bar w_{oi} = \sum_s \bar z_{so}\, a_{si} . \tag{2} $$
#
# *A bias.* $b_o$ stands there in every sample, with the factor 1:
#
# $$ \bar b_o = \sum_s \bar z_{so} . \tag{3} $$
#
# *An input.* $a_{si}$ stands in the $z_{so}$ of its own sample, but of every neuron $o$, with the factor $w_{oi}$:
#
# $$ \bar a_{si} = \sum_o \bar z_{so}\, w_{oi} . \tag{4} $$
#
# That last line answers the question. A neuron in the middle is told the *weighted sum of what the neurons above it were told*,
# with the weights by which they listened to it. Nobody marked it. It is blamed through its listeners.
#
# Now in matrices, for layer $l$. In (2) the sum runs over the first index of both, so one of them is transposed. In (4) it runs
# over the inner ones:
#
# $$ \bar Z^l = \bar A^l \odot \sigma'(Z^l), \qquad \bar W^l = (\bar Z^l)^\top A^{l-1}, $$
#
# $$ \bar b^l = \sum_s \bar Z^l_s, \qquad \bar A^{l-1} = \bar Z^l W^l . $$
#
# The shapes remember the order: $(o, n)(n, i) = (o, i)$ for $\bar W$, and $(n, o)(o, i) = (n, i)$ for $\bar A$ below. As long as $n$, $i$ and
# $o$ differ, no other order fits.


# %%
def sigmoid_slope(z):  # σ' = σ (1 − σ): chapter 03
    a = sigmoid(z)
    return a * (1 - a)


def layer(A, W, b):
    return sigmoid(A @ W.T + b)


def layer_backward(g, A, W, b):
    dZ = g * sigmoid_slope(A @ W.T + b)
    return dZ @ W, dZ.T @ A, dZ.sum(axis=0)


# %% tags=["check"]
g = rng.normal(size=(6, 4))
dA, dW, db = layer_backward(g, x, W1, b1)
Z = x @ W1.T + b1
dz = g * np.exp(-Z) / (1 + np.exp(-Z)) ** 2  # (1), the quotient rule's way
for o in range(4):
    assert np.isclose(db[o], sum(dz[s, o] for s in range(6)))  # (3)
    for i in range(3):
        w_bar = sum(dz[s, o] * x[s, i] for s in range(6))  # (2)
        assert np.isclose(dW[o, i], w_bar)
for s in range(6):
    for i in range(3):
        a_bar = sum(dz[s, o] * W1[o, i] for o in range(4))  # (4)
        assert np.isclose(dA[s, i], a_bar)
assert np.allclose(layer(x, W1, b1), 1 / (1 + np.exp(-Z)))
assert check_backward(layer, layer_backward, x, W1, b1)

# %% [markdown]
# ## 4. A network on paper
#
# Two inputs, two hidden neurons with a sigmoid, one output. A pocket calculator is enough. The only number that you have to
# look up is $\sigma(1) = 0.7311$. (In this section an index counts layers, as in code: $z_1$ and $a_1$ are the two numbers of
# each kind in the hidden layer.)
#
# $$ x = (1,\ 2), \quad W_1 = \begin{pmatrix} 1 & -1 \\ 2 & -1 \end{pmatrix}, \quad b_1 = (1,\ 1), $$
#
# $$ W_2 = (2,\ -1), \quad b_2 = 0.5, \quad t = 1 . $$
#
# **Forward.** $z_1 = (1 - 2 + 1,\ 2 - 2 + 1) = (0,\ 1)$, so $a_1 = (0.5,\ 0.7311)$, and
# $\hat y = 2 \cdot 0.5 - 0.7311 + 0.5 = 0.7689$. The loss is $L = (\hat y - t)^2 = 0.2311^2 = 0.0534$.
#
# **Before you go on:** the answer is too low. Should the first hidden neuron speak louder, or softer? And the second?
#
# **Backward.** At the top, $\bar y = 2(\hat y - t) = -0.4621$. A minus sign means: a larger $\hat y$ makes the loss smaller.
#
# | | by rule | number |
# |---|---|---|
# | $\bar W_2 = \bar y\, a_1$ | (2) | $(-0.2311,\ -0.3378)$ |
# | $\bar b_2 = \bar y$ | (3) | $-0.4621$ |
# | $\bar a_1 = \bar y\, W_2$ | (4) | $(-0.9242,\ 0.4621)$ |
# | $\sigma'(z_1) = a_1 (1 - a_1)$ | | $(0.25,\ 0.1966)$ |
# | $\bar z_1 = \bar a_1 \odot \sigma'(z_1)$ | (1) | $(-0.2311,\ 0.0909)$ |
# | $\bar W_1 = \bar z_1^\top x$ | (2) | rows $(-0.2311,\ -0.4621)$ and $(0.0909,\ 0.1817)$ |
# | $\bar b_1 = \bar z_1$ | (3) | $(-0.2311,\ 0.0909)$ |
#
# The third row is the answer: the first hidden neuron should be louder (its $\bar a$ is negative), the second softer, because the
# output listens to it with a weight of −1.

# %%
x = np.array([[1.0, 2.0]])
W1, b1 = np.array([[1.0, -1.0], [2.0, -1.0]]), np.array([1.0, 1.0])
W2, b2 = np.array([[2.0, -1.0]]), np.array([0.5])

z1 = x @ W1.T + b1
a1 = sigmoid(z1)
y_hat = a1 @ W2.T + b2
dy = 2 * (y_hat - 1)
dW2, db2 = dy.T @ a1, dy.sum(axis=0)
dz1 = (dy @ W2) * sigmoid_slope(z1)
dW1, db1 = dz1.T @ x, dz1.sum(axis=0)
for name, value in (("said", y_hat), ("dW2", dW2), ("db2", db2), ("db1", db1)):
    print(name, value)
print("dW1", *dW1)

# %% tags=["check"]
assert np.allclose(z1, [[0, 1]])
assert np.allclose(y_hat, 0.7689, atol=5e-5)
assert np.allclose((y_hat - 1) ** 2, 0.0534, atol=5e-5)
assert np.allclose(dW2, [[-0.2311, -0.3378]], atol=5e-5)
assert np.allclose(db2, -0.4621, atol=5e-5)
assert np.allclose(dy @ W2, [[-0.9242, 0.4621]], atol=5e-5)
assert np.allclose(sigmoid_slope(z1), [[0.25, 0.1966]], atol=5e-5)
assert np.allclose(dW1, [[-0.2311, -0.4621], [0.0909, 0.1817]], atol=5e-5)
assert np.allclose(db1, [-0.2311, 0.0909], atol=5e-5)


# %% [markdown]
# **One step.** Go against the gradient with a rate of 0.1, that is $w \leftarrow w - 0.1\,\bar w$ for all nine numbers. By the meaning of
# a derivative each weight changes the loss by about its slope times its own change:
#
# $$ \Delta L \approx \sum_w \bar w\, \Delta w = \sum_w \bar w\, (-0.1\, \bar w) = -0.1 \sum_w \bar w^2 . $$
#
# The sum of all squared slopes is 0.751, so the prediction is a fall of 0.075. But the loss is only 0.053! A loss of squares
# cannot become negative. What do you expect?


# %% tags=["check"]
def paper_loss(W1, b1, W2, b2):
    return ((sigmoid(x @ W1.T + b1) @ W2.T + b2 - 1) ** 2).item()


slopes = dW1, db1, dW2, db2
squares = sum(np.sum(d**2) for d in slopes)
falls = {}
for lr in (0.1, 0.001):
    after = [w - lr * d for w, d in zip((W1, b1, W2, b2), slopes)]
    falls[lr] = paper_loss(W1, b1, W2, b2) - paper_loss(*after)
    print(f"rate {lr}: predicted fall {lr * squares:.6f}, real {falls[lr]:.6f}")
assert np.isclose(squares, 0.751, atol=5e-4)
assert np.isclose(falls[0.001], 0.001 * squares, rtol=0.01)
assert np.isclose(paper_loss(W1, b1, W2, b2), (1 - y_hat.item()) ** 2)

# %% [markdown]
# With a small rate the prediction is right to 1 %. With 0.1 the loss still falls, but the surface bends on the way. A
# slope speaks of the place where you stand.
#
# The package derives the same numbers and shows where each comes from. Choose *Derivation*, and read it
# from the loss down:

# %%
names = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
T = {k: tn.tensor(v, requires_grad=True, name=k) for k, v in names.items()}
sample, t = tn.tensor(x, name="x"), tn.tensor(np.array([[1.0]]), name="t")
z = F.linear(sample, T["W1"], T["b1"])
a = z.sigmoid()
said = F.linear(a, T["W2"], T["b2"])
loss = F.mse_loss(said, t)
tn.explain(loss, {"z": z, "a": a, "ŷ": said})

# %% [markdown]
# ## 5. From nothing, for any depth
#
# The backward pass is a loop over the layers, from the last to the first. `dZ` is carried down. It begins as the slope of
# the loss by the scores (the last layer has no activation, so rule (1) has nothing to do there). At each layer it gives
# (2) and (3); then (4) and (1) carry it through the weights and through the activation *below* them. Nothing lies below
# the first layer, so there the last line is left out.


# %%
def backward(dZ, layers, kept, slope):
    """The gradients dW, db of all layers, first layer first."""
    grads = []
    for k in reversed(range(len(layers))):
        A, W = kept[k][0], layers[k][0]
        grads = [dZ.T @ A, dZ.sum(axis=0), *grads]
        if k > 0:
            dZ = (dZ @ W) * slope(kept[k - 1][1])
    return grads


def relu_slope(z):
    return np.where(z > 0, 1.0, 0.0)


# %% [markdown]
# Look at what it needs from the forward pass: `A` and `Z` of every layer. That is why a network needs more memory when
# it learns than when it answers.
#
# One small helper: a checker wants all weights in a row, one by one, and our functions want them layer by layer.


# %%
def pairs(flat):  # W1, b1, W2, b2, … becomes (W1, b1), (W2, b2), …
    return list(zip(flat[0::2], flat[1::2]))


# %% tags=["check"]
for act, slope in ((sigmoid, sigmoid_slope), (relu, relu_slope)):

    def network(X, *weights, act=act):
        return forward(X, pairs(weights), act)[0]

    def network_backward(g, X, *weights, act=act, slope=slope):
        kept = forward(X, pairs(weights), act)[1]
        return backward(g, pairs(weights), kept, slope)

    sizes, X = (3, 4, 5, 2), rng.normal(size=(6, 3))
    flat = []
    for i, o in pairwise(sizes):
        flat += [rng.normal(size=(o, i)), rng.normal(size=o)]
    assert check_backward(network, network_backward, X, *flat, wrt=range(1, 7))

    T = [tn.tensor(w, requires_grad=True) for w in flat]
    A = tn.tensor(X)
    for W, b in pairs(T):
        Z = F.linear(A, W, b)
        A = Z.sigmoid() if act is sigmoid else Z.relu()
    g = rng.normal(size=(6, 2))
    (Z * tn.tensor(g)).sum().backward()
    assert np.allclose(Z.detach().numpy(), network(X, *flat))
    for ours, tensor in zip(network_backward(g, X, *flat), T):
        assert np.allclose(ours, tensor.grad.numpy())

# %% [markdown]
# ### The package's version
#
# Now read the same lines in the package. First the affine part: rules (4), (2) and (3), in this order. `g` is our $\bar Z$.
# `_rows` makes all leading axes one, so that sequences of samples come as rows, too. `needs` leaves out what nobody asked
# for, such as $\bar X$ of a first layer. `*b` is empty for a layer without a bias.

# %%
print(inspect.getsource(derivations.linear.backward))

# %% [markdown]
# And a whole layer with its activation, here called $\varphi$. `delta` is our $\bar Z$, by rule (1). The slopes are written with
# the *output* $y$: for a sigmoid $\varphi'(z) = y(1 - y)$. That is the slope at $z$, said with another letter. (The last
# branch, with its bell curve, is an activation of chapter 09, GELU; skip it.) `samples` are all axes but the last, and
# `tensordot` sums over them: rule (2).

# %%
print(inspect.getsource(derivations.neuron.backward))

# %% tags=["check"]
A, W, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
g = rng.normal(size=(5, 4))
theirs = derivations.neuron.backward(g, (layer(A, W, b), A, W, b), act="sigmoid")
for d1, d2 in zip(theirs, layer_backward(g, A, W, b)):
    assert np.allclose(d1, d2)

# %% [markdown]
# ### The ring
#
# The disc and the ring, with 200 points each. The loss is the binary cross-entropy of chapter 04; its derivative by the
# score is $(\sigma(z) - t)/n$. We train two networks with the functions above: one layer, and two layers with eight hidden
# ReLUs.

# %% tags=["slow"]
angle = rng.uniform(0, 2 * np.pi, 400)
radius = np.where(
    np.arange(400) < 200, rng.uniform(0, 1, 400), rng.uniform(1.6, 2.6, 400)
)
ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
is_ring = (np.arange(400) >= 200).astype(int)


def learn_ring(sizes, steps=2000, lr=0.5):
    draw, layers = np.random.default_rng(1), []
    for i, o in pairwise(sizes):  # random first weights; how large: section 7
        layers.append((draw.normal(size=(o, i)) * np.sqrt(2 / i), np.zeros(o)))
    for _ in range(steps):
        z, kept = forward(ring, layers, relu)
        dZ = (sigmoid(z) - is_ring[:, None]) / len(ring)
        grads = backward(dZ, layers, kept, relu_slope)
        layers = [
            (W - lr * dW, b - lr * db)
            for (W, b), (dW, db) in zip(layers, pairs(grads))
        ]
    return layers


figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.8), layout="constrained")
for ax, name, sizes in zip(axes, ("one layer", "two layers"), ((2, 1), (2, 8, 1))):
    found = learn_ring(sizes)
    z, _ = forward(ring, found, relu)
    share = np.mean((z[:, 0] > 0) == is_ring)
    tn.plot.decision_boundary(
        lambda p, found=found: forward(p.numpy(), found, relu)[0],
        ring,
        is_ring,
        ax=ax,
    )
    ax.set_title(f"{name}: {share:.0%} right")
    ax.set_aspect("equal")
across = np.linspace(-3, 3, 2)
for w, b in zip(*found[0]):  # where a hidden neuron has z = 0
    axes[1].plot(
        across, -(w[0] * across + b) / w[1], ":", color="black", linewidth=1
    )
axes[1].set(xlim=axes[0].get_xlim(), ylim=axes[0].get_ylim())
plt.show()

# %% [markdown]
# Each dotted line belongs to a hidden neuron: on one side it is silent, on the other it speaks. The boundary is straight
# between these lines and bends where it crosses one. More neurons, more bends.
#
# ## 6. What a gradient costs
#
# A product $(m, k)(k, p)$ takes $k$ multiplications and about as many additions for each of $mp$ entries: $2mkp$ *flops*. Count
# one layer with $n$ samples, $i$ inputs and $o$ outputs.
#
# | | product | flops |
# |---|---|---|
# | forward | $A W^\top$: $(n, i)(i, o)$ | $2nio$ |
# | backward, for the weights | $\bar Z^\top A$: $(o, n)(n, i)$ | $2nio$ |
# | backward, for the layer below | $\bar Z W$: $(n, o)(o, i)$ | $2nio$ |
#
# The same three numbers, differently paired. So **backward costs twice forward**, less the third product in the first layer.
# What is left out, biases and activations, is of the order of $n o$, without the factor $i$.


# %%
def product_flops(n, sizes):
    """Forward, backward: the products alone."""
    each = [2 * n * i * o for i, o in pairwise(sizes)]
    return sum(each), 2 * sum(each) - each[0]


# %%
tn.manual_seed(0)
hidden = nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()
model = nn.Sequential(*hidden, nn.Linear(128, 10))
out = model(tn.randn(32, 64))
cost = tn.explain.cost((out * tn.randn(32, 10)).sum(), model)
cost

# %% tags=["check"]
ahead, back = product_flops(32, (64, 128, 128, 10))
linear = cost.by_op()["linear"]
assert linear.forward.flops == ahead + 32 * (128 + 128 + 10)  # the biases
assert linear.backward.flops == back + 31 * (128 + 128 + 10)  # sums of 32 rows
assert linear.forward.flops / cost.forward.flops > 0.99
assert np.isclose(back / ahead, 1.683, atol=1e-3)

# %% [markdown]
# The package counts what its formulas really do, biases included, and the products come to our numbers exactly. Here
# backward takes 1.68 times forward, because the first layer saves its third product.
#
# Now compare with differences (chapter 01). This network has 26,122 weights, and to nudge each one takes 26,123 forward
# passes in all. Backpropagation gives all slopes for one forward pass and one backward, the price of 2.68. **That factor
# of nearly ten thousand is why neural networks can be trained at all.** It has a price of its own, in the last column:
# what is *kept* from the forward pass, the $A$ of every layer, in bytes (4 for each number).

# %% tags=["check"]
weights = sum(p.numel() for p in model.parameters())
assert weights == 26_122
assert 9700 < (weights + 1) / (1 + back / ahead) < 9800
assert cost.kept == 4 * 32 * (64 + 128 + 128 + 10)  # the 10: the factor of `out`

# %% [markdown]
# ## 7. The first weights
#
# Document B, 4.1, says that the first weights are random. *How large?* Think of ten layers. If each makes the signal three
# times larger, the last one sees it 59,049 times larger. So the factor of each layer must be very near 1. Let us compute it.
#
# ### One layer, forward
#
# Let the weights be drawn independently, with variance $v$ and symmetric about 0 (so their mean is 0), and $b = 0$. $\mathbb E$ is
# the mean over draws and samples. What comes in, $a_i$, does not depend on the weights of this layer, so the mean of a
# product splits. With $i, k$ running over the $n_{\text{in}}$ inputs,
#
# $$ \mathbb E[z_o^2] = \mathbb E\Big[\Big(\sum_i w_{oi} a_i\Big)^2\Big]
#    = \sum_i \sum_k \mathbb E[w_{oi} w_{ok}]\, \mathbb E[a_i a_k] . $$
#
# For $i \neq k$ the weights are independent, so $\mathbb E[w_{oi} w_{ok}] = 0 \cdot 0$. For $i = k$ it is $v$. Only the diagonal is left:
#
# $$ \mathbb E[z_o^2] = v \sum_i \mathbb E[a_i^2] = n_{\text{in}}\, v\ \mathbb E[a^2], $$
#
# where $\mathbb E[a^2]$ without an index is also the mean over the inputs.
#
# ### The activation
#
# Near 0, tanh does almost nothing, and $\mathbb E[a^2] \approx \mathbb E[z^2]$. (Only near 0: of a normal $z$ with mean square 1 it
# leaves 0.39. So libraries offer a *gain* for it, $\tfrac53$ on the weights.) Now a ReLU. Weights are as often $w$ as $-w$,
# so $z$ and $-z$ are equally probable. Take the two together: $\max(z, 0)^2 + \max(-z, 0)^2 = z^2$. Each has half of it on
# average: $\mathbb E[a^2] = \tfrac12 \mathbb E[z^2]$.
#
# ### Both
#
# From one layer's $z$ to the next the mean square is multiplied by $n_{\text{in}} v$ (tanh near 0), or by $n_{\text{in}} v / 2$ (ReLU).
# It stays what it is if
#
# $$ v = \frac{1}{n_{\text{in}}} \quad \text{(tanh near 0)}, \qquad v = \frac{2}{n_{\text{in}}} \quad \text{(ReLU; He and others, 2015)} . $$
#
# Backward is the same sum, over the outputs: $\bar a_i = \sum_o \bar z_o w_{oi}$ gives $\mathbb E[\bar a^2] = n_{\text{out}}\, v\ \mathbb E[\bar z^2]$, if $\bar z$ is
# taken as independent of $w$, which is nearly true at the start. And the slope of a ReLU is 1 half of the time: again $\tfrac12$. One $v$ cannot
# please both ways unless $n_{\text{in}} = n_{\text{out}}$. For tanh Glorot and Bengio (2010) take the middle of the two numbers, *Xavier*:
# $v = 2/(n_{\text{in}} + n_{\text{out}})$.


# %%
def first_weights(sizes, gain, draw):
    """Normal weights with the variance gain²/n_in, and biases 0."""
    return [
        (draw.normal(size=(o, i)) * gain / np.sqrt(i), np.zeros(o))
        for i, o in pairwise(sizes)
    ]


# %% tags=["check"]
((W, b),) = first_weights((100, 2000), np.sqrt(2), np.random.default_rng(0))
same = np.random.default_rng(0).normal(0, np.sqrt(2 / 100), (2000, 100))
assert np.allclose(W, same)
assert not b.any()
rules = derivations.initialisation
assert np.isclose(rules.he_std(100, np.sqrt(2)) ** 2, 2 / 100)
assert np.isclose(rules.xavier_std(100, 2000) ** 2, 2 / (100 + 2000))
A = rng.uniform(0, 1, (300, 100))  # its mean is not 0, and need not be
Z = A @ W.T
assert np.isclose(np.mean(Z**2), 100 * 0.02 * np.mean(A**2), rtol=0.05)
assert np.isclose(np.mean(relu(Z) ** 2), np.mean(Z**2) / 2, rtol=0.05)
assert np.allclose(relu(Z) ** 2 + relu(-Z) ** 2, Z**2)
assert np.isclose(np.mean(relu_slope(Z)), 0.5, rtol=0.05)
z = rng.normal(size=100_000)
assert np.isclose(np.mean(np.tanh(0.1 * z) ** 2), 0.1**2, rtol=0.05)
assert np.isclose(np.mean(np.tanh(z) ** 2), 0.39, atol=0.01)
assert nn.init.calculate_gain("tanh") == 5 / 3
dZ = rng.normal(size=(300, 2000))
assert np.isclose(np.mean((dZ @ W) ** 2), 2000 * 0.02, rtol=0.05)

# %% [markdown]
# ### Ten layers, forward
#
# Ten ReLU layers of 256. We take He's weights, weights half as large, and weights twice as large. **Before you run it:** by
# what factor should $z^2$ change from the first layer to the tenth, in each case?

# %% tags=["picture"]
X = rng.normal(size=(200, 256))
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for factor, colour in ((2.0, ORANGE), (1.0, BLUE), (0.5, GREEN)):
    deep = first_weights([256] * 11, factor * np.sqrt(2), np.random.default_rng(2))
    squares = [np.mean(Z**2) for _, Z in forward(X, deep, relu)[1]]
    ax.plot(range(1, 11), squares, "o", color=colour, label=f"{factor:g} × He")
    expected = squares[0] * factor ** (2 * np.arange(10.0))
    ax.plot(range(1, 11), expected, color=colour, linewidth=1)
    grown, derived = squares[9] / squares[0], factor**18
    print(f"{factor:g} × He: measured {grown:.3g}, derived {derived:.3g}")
ax.set(yscale="log", xlabel="layer", ylabel="mean of $z^2$", xticks=range(1, 11))
ax.set_title("dots: measured; lines: derived")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Nine layers lie between, each with the factor $2^2$ or $2^{-2}$, so $4^9 = 262{,}144$ or its inverse. That is all there is to an
# exploding signal: a number to the power of the depth. (Measured it is a tenth less. The formula is a mean over all draws,
# and this is one draw; the three networks share it, so they are off by the same factor.)
#
# ### Ten layers, backward
#
# On its way back the gradient meets two factors at each layer, $W$ and $\sigma'$. With Xavier's weights the first keeps its size. The
# second depends on the activation. For a sigmoid complete the square:
#
# $$ \sigma' = a(1 - a) = \tfrac14 - \big(a - \tfrac12\big)^2 \le \tfrac14 . $$
#
# So a sigmoid takes three quarters of the gradient away, at least. Nine of them leave
# $4^{-9} \approx 4 \cdot 10^{-6}$ at most. The gradient *vanishes*. Could larger weights make up for it? They make $z$ larger, so $a$ comes near 0
# or 1, and there $\sigma'$ is far below $\tfrac14$.

# %% tags=["check"]
z = np.linspace(-8, 8, 401)
assert np.allclose(sigmoid_slope(z), 0.25 - (sigmoid(z) - 0.5) ** 2)
assert np.isclose(4.0**-9, 3.8e-6, rtol=0.01)

# %% [markdown]
# `tn.explain.health` runs one batch forward and backward and measures every layer. We give it four networks. The third has
# the weights that `nn.Linear` draws by itself (as in PyTorch: uniform, with variance $1/(3 n_{\text{in}})$). The picture has the
# *size* of $\bar A$, the root of its mean square; so the factors are the roots of those above. In the printed lines 0 is the
# first linear layer and 19 the last activation.

# %% tags=["picture"]
tn.manual_seed(0)


def deep_model(act, first):
    parts = []
    for _ in range(10):
        linear = nn.Linear(64, 64)
        if first is not None:
            first(linear.weight)
            nn.init.zeros_(linear.bias)
        parts += [linear, act()]
    return nn.Sequential(*parts)


def twice_he(W):
    nn.init.normal_(W, std=2 * np.sqrt(2 / 64))


batch = tn.randn(128, 64), tn.randn(128, 64)
cases = {
    "ReLU, twice He": (nn.ReLU, twice_he),
    "ReLU, He": (nn.ReLU, nn.init.kaiming_normal_),
    "ReLU, as nn.Linear draws": (nn.ReLU, None),
    "sigmoid, Xavier": (nn.Sigmoid, nn.init.xavier_normal_),
}
figure, ax = plt.subplots(figsize=(7.6, 3.8), layout="constrained")
looks = (ORANGE, "s"), (BLUE, "o"), (PURPLE, "v"), (GREEN, "^")
for (name, case), (colour, mark) in zip(cases.items(), looks):
    health = tn.explain.health(deep_model(*case), batch, lambda y, g: (y * g).sum())
    sizes = [x.gradient for x in health.layers if x.kind != "Linear"]
    ax.plot(range(1, 11), sizes, mark + "-", color=colour, label=name)
    print(f"{name}:\n  {health.verdict[0]}")
ax.set(
    yscale="log", xlabel="layer", ylabel="size of $\\bar A$", xticks=range(1, 11)
)
ax.set_title("read it from the right: the gradient comes from there")
ax.legend(frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# - *Sigmoid.* About a quarter is left at each layer, as derived. The first layer gets a few millionths.
# - *He.* The gradient arrives nearly as it left.
# - *As drawn by `nn.Linear`.* With $v = 1/(3n)$ a ReLU layer keeps $n v / 2 = 1/6$ of the mean square, and $\sqrt{1/6} = 0.41$
#   of the size. For two or three layers nobody notices. For ten, call `nn.init.kaiming_normal_` yourself.
# - *Twice He.* Each layer doubles it, and the first gets hundreds of times too much ($2^9 = 512$).
#
# A small gradient is not a small error. It says that the loss hardly depends on this layer *now*. The layer is not finished;
# it is not heard.
#
# ## 8. The way down
#
# The gradient says which way is down. How far to go, it does not say. Three answers, for a weight $w$ with the slope $g = \bar w$.
#
# ### Gradient descent
#
# $w \leftarrow w - \eta g$, with the *learning rate* $\eta$. It remembers nothing. How large may $\eta$ be? Near a minimum at 0 the loss is a
# parabola $\tfrac12 h w^2$, with the slope $g = h w$. A step makes
#
# $$ w \leftarrow w - \eta h w = (1 - \eta h)\, w, \qquad \text{so after } k \text{ steps} \quad w_k = (1 - \eta h)^k\, w_0 . $$
#
# It shrinks only if $|1 - \eta h| < 1$, that is $\eta < 2/h$. The *steepest* direction sets this limit for all of them. A direction
# that is a hundred times flatter then needs about a hundred times as many steps.
#
# ### Momentum
#
# Keep a *velocity* $v$ (no variance from here on), which starts at 0, and let it fade by a factor $\mu$, usually 0.9:
#
# $$ v \leftarrow \mu v + g, \qquad w \leftarrow w - \eta v . $$
#
# Unrolled, $v = g_t + \mu g_{t-1} + \mu^2 g_{t-2} + \dots$ If the slope stays the same the geometric series gives $v \to g/(1 - \mu)$, ten times
# the step. If it changes its sign each time, the terms alternate, and
# $1 - \mu + \mu^2 - \dots = 1/(1 + \mu)$: about half a step. Fast along the valley, calm across it.


# %%
def momentum_step(w, v, g, lr, mu):
    v = mu * v + g
    return w - lr * v, v


# %% tags=["check"]
w, v, flip = 1.0, 0.0, 0.0
for k in range(1, 300):
    w, _ = momentum_step(w, 0.0, 3.0 * w, 0.1, 0.9)  # v = 0: gradient descent
    assert np.isclose(w, (1 - 0.1 * 3.0) ** k)
    _, v = momentum_step(0.0, v, 2.0, 0.1, 0.9)
    _, flip = momentum_step(0.0, flip, 2.0 * (-1) ** k, 0.1, 0.9)
assert np.isclose(v, 2 / (1 - 0.9))
assert np.isclose(abs(flip), 2 / (1 + 0.9))
assert abs(1 - 0.7 * 3.0) > 1 > abs(1 - 0.6 * 3.0)  # the limit is 2/3

# %% [markdown]
# ### Adam
#
# Different weights have slopes of different size, but $\eta$ is the same for all. Adam (D. Kingma and J. Ba, 2015) gives every weight
# a step of its own size. It remembers two numbers for each weight: $m$, a running mean of the slope, and $v$, one of its square.
# Both are 0 at first, and $\beta_1$, $\beta_2$ are usually 0.9 and 0.999:
#
# $$ m_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 . $$
#
# They start too small, because they start at 0. By how much? Unroll $m$:
#
# $$ m_t = (1 - \beta_1) \sum_{k=1}^t \beta_1^{\,t-k} g_k . $$
#
# If all slopes have the same mean $\mathbb E[g]$, the factors add up by the geometric series $\sum_{k=1}^t \beta^{t-k} = (1 - \beta^t)/(1 - \beta)$, and
#
# $$ \mathbb E[m_t] = (1 - \beta_1^t)\, \mathbb E[g], \qquad \mathbb E[v_t] = (1 - \beta_2^t)\, \mathbb E[g^2] . $$
#
# A known factor, so divide it out. That is the *bias correction*:
#
# $$ \hat m = \frac{m_t}{1 - \beta_1^t}, \qquad \hat v = \frac{v_t}{1 - \beta_2^t}, $$
#
# $$ w \leftarrow w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon} . $$
#
# The $\varepsilon$, $10^{-8}$, only keeps a weight whose slope was always 0 from $0/0$.
#
# **By hand.** First step, $g = 200$, $\beta_1 = 0.9$, $\beta_2 = 0.999$. Then $m = 0.1 \cdot 200 = 20$ and $v = 0.001 \cdot 40{,}000 = 40$. Corrected, $\hat m = 200$ and $\hat v = 40{,}000$. The step is
# $\eta \cdot 200/200 = \eta$. For $g = 0.002$? Also $\eta$: the scale of the loss drops out. Without the correction it would be $20/\sqrt{40} = 3.2$
# times as long.


# %%
def adam_step(w, m, v, t, g, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


# %% tags=["check"]
g = np.array([200.0, 0.002])
w, m, v = adam_step(np.zeros(2), 0.0, 0.0, 1, g, lr=0.1)
assert np.allclose(w, [-0.1, -0.1], atol=1e-6)
assert np.isclose(m[0], 20)
assert np.isclose(v[0], 40)
assert np.isclose(20 / np.sqrt(40), 3.16, atol=0.01)

w, m, v = rng.normal(size=3), np.zeros(3), np.zeros(3)
twin = tn.tensor(w, requires_grad=True)
adam = tn.optim.Adam([twin], lr=0.1)
seen = []
for t in range(1, 6):
    g = rng.normal(size=3)
    seen.append(g)
    w, m, v = adam_step(w, m, v, t, g, lr=0.1)
    twin.grad = tn.tensor(g)
    adam.step()
    weights = [0.1 * 0.9 ** (t - k) for k in range(1, t + 1)]
    assert np.allclose(m, sum(c * g for c, g in zip(weights, seen)))
    assert np.isclose(sum(weights), 1 - 0.9**t)
    assert np.allclose(w, twin.detach().numpy())

# %% [markdown]
# ### On the surface of a network
#
# A loss of 26,122 weights cannot be drawn. A slice of it can: hold all weights but two, the one into a hidden neuron, $w$, and the
# one out of it, $u$. What this neuron has to add is some function $t(x)$, and it says $u \tanh(w x)$. So look at
#
# $$ L(w, u) = \tfrac15 \sum_x \big(u \tanh(w x) - t(x)\big)^2, \qquad t(x) = 1.5 \tanh(2x), $$
#
# at five places $x$. Its minimum is 0, at $(2, 1.5)$. But the surface is no bowl. At $(0, 0)$ both slopes are 0, and it is no
# minimum: along the diagonal it goes down, across it up, a *saddle*. For a large $w$ every $\tanh(wx)$ is near 1, so $w$
# hardly matters: the floor of the valley is nearly level. And there is a twin, not drawn: $(-w, -u)$ says the same as $(w, u)$.
# With $h$ hidden neurons there are $2^h$ such twins, and $h!$ ways to put the neurons in order.


# %%
places = [0.1, 0.5, 1.0, 1.5, 2.0]


def slice_loss(w, u):
    errors = [u * tn.tanh(w * x) - 1.5 * np.tanh(2 * x) for x in places]
    return sum(e**2 for e in errors) / 5


# %% tags=["check"]
def height(w, u):
    return slice_loss(tn.tensor(w), tn.tensor(u)).item()


x, (w, u) = np.array(places), rng.normal(size=2)
by_mean = np.mean((u * np.tanh(w * x) - 1.5 * np.tanh(2 * x)) ** 2)
assert np.isclose(height(w, u), by_mean)
assert np.isclose(height(w, u), height(-w, -u))
assert np.isclose(height(2.0, 1.5), 0, atol=1e-12)
assert height(0.1, 0.1) < height(0.0, 0.0) < height(0.1, -0.1)

# %% tags=["picture"]
tn.plot.loss_landscape(
    slice_loss,
    {
        "momentum 0.9, 0.05": lambda p: tn.optim.SGD(p, lr=0.05, momentum=0.9),
        "gradient descent, 0.05": lambda p: tn.optim.SGD(p, lr=0.05),
        "Adam, 0.1": lambda p: tn.optim.Adam(p, lr=0.1),
    },
    start=(3.3, 3.3),
    steps=60,
    xlim=(-0.5, 3.5),
    ylim=(-0.2, 3.6),
).set(xlabel="w, into the neuron", ylabel="u, out of it")
plt.show()

# %% [markdown]
# Follow the three. On the slope the gradient points almost straight down, so gradient descent falls into the valley and then
# crawls along it. Momentum is carried across the valley and back, each time less, and along it. Adam's first steps are equally
# long in both weights, however different the slopes are: it goes down the diagonal, overshoots, and returns.
#
# A picture of two weights proves little. Here all 33 weights of the ring network of section 5 learn. Each way gets the best of six
# rates: the one whose loss is smallest in the mean over the 150 steps.


# %% tags=["slow"]
def ring_curve(way, lr, steps=150):
    layers = first_weights((2, 8, 1), np.sqrt(2), np.random.default_rng(1))
    flat = [w for pair in layers for w in pair]
    state = [(np.zeros_like(w), np.zeros_like(w)) for w in flat]
    losses = []
    for t in range(1, steps + 1):
        z, kept = forward(ring, pairs(flat), relu)
        losses.append(np.mean(np.logaddexp(0, z[:, 0]) - is_ring * z[:, 0]))
        dZ = (sigmoid(z) - is_ring[:, None]) / len(ring)
        for k, g in enumerate(backward(dZ, pairs(flat), kept, relu_slope)):
            m, v = state[k]
            if way == "Adam":
                flat[k], m, v = adam_step(flat[k], m, v, t, g, lr)
            else:
                mu = 0.9 if way == "momentum" else 0.0
                flat[k], m = momentum_step(flat[k], m, g, lr, mu)
            state[k] = m, v
    return losses


figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ways = "momentum", "gradient descent", "Adam"
for way, colour, line in zip(ways, (BLUE, ORANGE, GREEN), ("-", "--", "-.")):
    # with a rate that is too large e^(−z) overflows
    with np.errstate(over="ignore"):
        runs = {lr: ring_curve(way, lr) for lr in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)}
    rate = min(runs, key=lambda lr: np.mean(runs[lr]))
    ax.plot(runs[rate], line, color=colour, label=f"{way}, rate {rate:g}")
    print(f"{way}: rate {rate:g}, loss {runs[rate][-1]:.1e} in the end")
ax.set(yscale="log", xlabel="step", ylabel="loss")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Both that remember are far ahead of the one that does not. Which of the two is first is a matter of this task. Note the rates: each way
# has a best one of its own, so compare ways only after each had its own search.
#
# ## 9. Real data: digits
#
# 1,797 digits of 8 × 8 pixels. One layer, in chapter 04, read 97.2 % of the held-out ones. Now 64 → 128 → 10, from nothing: `forward`,
# `backward`, `momentum_step`. Each step takes 32 samples; a pass through all of them is an *epoch*.

# %% tags=["slow"]
digits = tn.data.load_digits(scaled=True)


def as_matrix(part):
    return part.images.numpy().reshape(-1, 64).astype(float), part.labels.numpy()


def learn_digits(train, epochs, seed=0):
    (X, t), draw = as_matrix(train), np.random.default_rng(seed)
    layers = first_weights((64, 128, 10), np.sqrt(2), draw)
    flat = [w for pair in layers for w in pair]
    velocity = [np.zeros_like(w) for w in flat]
    for _ in range(epochs):
        order = draw.permutation(len(X))
        for start in range(0, len(X), 32):
            batch = order[start : start + 32]
            scores, kept = forward(X[batch], pairs(flat), relu)
            e = np.exp(scores - scores.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            dZ = (p - np.eye(10)[t[batch]]) / len(batch)
            for k, g in enumerate(backward(dZ, pairs(flat), kept, relu_slope)):
                w, v = momentum_step(flat[k], velocity[k], g, lr=0.05, mu=0.9)
                flat[k], velocity[k] = w, v
    return pairs(flat)


def right_share(layers, part):
    X, t = as_matrix(part)
    return np.mean(forward(X, layers, relu)[0].argmax(axis=1) == t)


epochs, seeds = (40, range(5)) if LONG else (15, range(1))
for seed in seeds:
    train, test = digits.split(0.2, seed=seed)
    found = learn_digits(train, epochs)
    print(f"a random fifth, seed {seed}: {right_share(found, test):.1%} right")
first, last = digits.split_in_file_order(0.2)
share = right_share(learn_digits(first, epochs), last)
print(f"the last fifth in the file: {share:.1%} right")

# %% [markdown]
# Now the package: the same network, Adam, and `fit`, which is the loop above with a history.

# %% tags=["slow"]
for name, (train, test) in {
    "a random fifth": digits.split(0.2, seed=0),
    "the last fifth": digits.split_in_file_order(0.2),
}.items():
    tn.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    history = fit(
        model,
        (train.images, train.labels),
        loss=F.cross_entropy,
        optimizer=tn.optim.Adam(model.parameters(), lr=4e-3),
        epochs=epochs,
        validation=(test.images, test.labels),
        metrics=[tn.metrics.accuracy],
        seed=0,
        progress=False,
    )
    print(f"{name}: {history['val_accuracy'][-1]:.1%} right")

# %% [markdown]
# ### Why is the last fifth harder?
#
# Same network, same number of digits, but five times as many mistakes. Thirteen people wrote these digits, and in the file the
# digits of one hand stand near each other. A random split puts every hand into the training set. The end of the file belongs to hands that
# the network has hardly seen. That can be measured without any network: how far is a held-out digit from the nearest training digit,
# and are the two the same digit?

# %% tags=["slow"]
figure, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
for name, (train, test), colour in (
    ("a random fifth", digits.split(0.2, seed=0), BLUE),
    ("the last fifth", digits.split_in_file_order(0.2), ORANGE),
):
    (A, known), (B, true) = as_matrix(train), as_matrix(test)
    squared = (B**2).sum(axis=1)[:, None] + (A**2).sum(axis=1) - 2 * B @ A.T
    near, same = np.sqrt(squared.min(axis=1)), known[squared.argmin(axis=1)] == true
    line = "solid" if colour == BLUE else "dashed"
    look = {"color": colour, "linestyle": line, "histtype": "step"}
    ax.hist(near, np.linspace(0, 2.5, 41), label=name, **look)
    middle, share = np.median(near), same.mean()
    print(f"{name}: median distance {middle:.2f}, same digit {share:.1%}")
ax.set(xlabel="distance to the nearest training digit (white 0, black 1)")
ax.set_ylabel("held-out digits")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Neither number is wrong. They answer different questions: *how well does it read the people it knows*, and *how well does it read
# somebody else*. Say which one you mean. With `LONG=1` in the environment the cells above
# train 40 epochs on five random splits: 96.7 % to 98.1 %, in the mean 97.6 %, and 91.6 % for the last fifth; Adam 98.3 % and 91.1 %.
#
# ## 10. What goes wrong
#
# **Z or A.** Here is section 3 with one letter changed. The slope of the sigmoid is taken at $A$, the "activation $Z$" of C 4.1.1. It trains! For
# $a$ between 0 and 1, $\sigma'(a)$ lies between 0.197 and 0.25; it is always positive, so it points the right way, more or less.


# %% tags=["wrong"]
def slope_at_a(g, A, W, b):
    Y = sigmoid(A @ W.T + b)
    dZ = g * sigmoid_slope(Y)
    return dZ @ W, dZ.T @ A, dZ.sum(axis=0)


A, W, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
print(check_backward(layer, slope_at_a, A, W, b))


# %% [markdown]
# **A transposed gradient.** $\bar W = A^\top \bar Z$ instead of $\bar Z^\top A$. In most layers the shapes protest. In a square one nothing does.


# %% tags=["wrong"]
def transposed(g, A, W, b):
    dZ = g * sigmoid_slope(A @ W.T + b)
    return dZ @ W, A.T @ dZ, dZ.sum(axis=0)


print(check_backward(layer, transposed, A, W, b))


# %% [markdown]
# **No slope.** Rule (1) forgotten: the gradient goes through the activation as if it were not there.


# %% tags=["wrong"]
def no_slope(g, A, W, b):
    return g @ W, g.T @ A, g.sum(axis=0)


print(check_backward(layer, no_slope, A, W, b))

# %% [markdown]
# **All weights 0.** Then every $a$ of a ReLU or tanh layer is 0, so by (2) the next $\bar W$ is 0. And $W = 0$ makes the $\bar A$ below it 0, by (4).
# Only the last bias learns. Equal weights that are not 0 are hardly better: equal neurons get equal gradients and stay equal.

# %% tags=["check"]
X, g = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
for value in (0.0, 0.3):
    flat = [np.full(s, value) for s in ((4, 3), 4, (2, 4), 2)]
    kept = forward(X, pairs(flat), np.tanh)[1]
    grads = backward(g, pairs(flat), kept, lambda z: 1 - np.tanh(z) ** 2)
    if value == 0:
        assert [bool(d.any()) for d in grads] == [False, False, False, True]
    assert np.allclose(grads[0], grads[0][0])  # all rows: all neurons alike
    assert np.allclose(grads[2], grads[2][:, :1])

# %% [markdown]
# **Dead ReLUs.** A ReLU whose $z$ is negative for *every* sample gives 0 and passes nothing back. In a first layer, whose inputs
# stay what they are, it is silent for ever. A few are born so. One step that is much too long makes more. Here are the hidden
# neurons before and after one step of gradient descent with a rate of 20: look at the column *dead*.

# %% tags=["slow"]
train, test = digits.split(0.2, seed=0)
tn.manual_seed(0)
model = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)
)
batch = train.images, train.labels
for rate in (None, 20.0):
    if rate is not None:
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        tn.optim.SGD(model.parameters(), lr=rate).step()
    print(tn.explain.health(model, batch, F.cross_entropy), "\n")

# %% [markdown]
# It was 4 %, and now nearly a quarter of the layer is gone. A smaller rate avoids it; a leaky ReLU (exercise 4) leaves a way back.
#
# **A rate that is too large.** The slope of the cross-entropy by a score is at most 1 in size. That of the squared error grows with
# the error, and nothing holds it: where $\eta > 2/h$ (section 8) the error grows by a factor at every step. `fit` stops before bad numbers reach the weights, and names the first of them:

# %% tags=["slow"]
model = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)
)
try:
    with np.errstate(all="ignore"):
        fit(
            model,
            (train.images, F.one_hot(train.labels, 10).to(tn.float32)),
            loss=F.mse_loss,
            optimizer=tn.optim.SGD(model.parameters(), lr=50.0),
            epochs=1,
            seed=0,
            progress=False,
        )
except DivergenceError as error:
    print(error)

# %% [markdown]
# **A mistake for you to find.** An *autoencoder* squeezes its input through a few neurons and unfolds it again. This one uses the same matrix
# $W\ (h, d)$ for both: $Y = \tanh(X W^\top)\, W$. Trained with this backward pass
# its loss falls, and stops falling much too early. Find the line by reading, before you ask the check: exercise 6.


# %% tags=["wrong"]
def tied(X, W):
    return np.tanh(X @ W.T) @ W


def tied_backward(g, X, W):
    A = np.tanh(X @ W.T)
    dW = A.T @ g
    dZ = (g @ W.T) * (1 - A**2)
    dW = dZ.T @ X
    return dZ @ W, dW


# %% [markdown]
# ## 11. Exercises
#
# Each one answers at once. `tn.exercise("05.by_hand").hint()` gives a hint; there are three for each, each saying more.
#
# **1. By hand.** The network of section 4 with the same weights, but ReLU in place of the sigmoid, $x = (2, 1)$ and $t = 1$. What is the slope
# of the loss by the first weight of the first hidden neuron?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("05.by_hand").check(your_number)

# %% [markdown]
# **2. Forward.** Two layers with the activation SiLU, $a = z\,\sigma(z)$, between them, for a batch.


# %% tags=["exercise"]
def my_silu_network(X, W1, b1, W2, b2): ...


tn.exercise("05.silu_network").check(my_silu_network)

# %% [markdown]
# **3. Backward of a residual layer.** $Y = A + \mathrm{relu}(A W^\top + b)$, with a square $W$. The input goes two ways. (Why does a network of such layers
# not lose its gradient? Think of ten of them.)


# %% tags=["exercise"]
def my_residual_backward(g, A, W, b): ...


tn.exercise("05.residual_backward").check(my_residual_backward)

# %% [markdown]
# **4. Derivation.** A leaky ReLU gives $z$ for $z > 0$ and $s z$ otherwise. Derive He's standard deviation for it.


# %% tags=["exercise"]
def my_leaky_std(fan_in, s): ...


tn.exercise("05.leaky_std").check(my_leaky_std)

# %% [markdown]
# **5. A step.** AdamW: before each step of Adam, every weight shrinks by the factor $1 - \eta\lambda$. Its $m$ and $v$ never see $\lambda$.


# %% tags=["exercise"]
def my_adamw_step(w, m, v, t, g, lr, decay): ...


tn.exercise("05.adamw_step").check(my_adamw_step)

# %% [markdown]
# **6. Find the mistake** in `tied_backward` of section 10. Change this copy until it is right.


# %% tags=["exercise"]
def my_tied_backward(g, X, W):
    A = np.tanh(X @ W.T)
    dW = A.T @ g
    dZ = (g @ W.T) * (1 - A**2)
    dW = dZ.T @ X
    return dZ @ W, dW


tn.exercise("05.planted_bug").check(my_tied_backward)

# %% [markdown]
# **7. For a quiet hour** (paper only). Let the network of section 2 have ten layers of width $d$, and let $n$ samples go through it one at a time
# instead of together. Does the number of flops change? Does the number of bytes that must be read? What does that say about batches?
#
# ## Words
#
# | | |
# |---|---|
# | multilayer perceptron; hidden layer | 多层感知机; 隐藏层 |
# | activation function; activation (what it gives) | 激活函数; 激活值 |
# | forward pass; backpropagation | 前向传播; 反向传播 |
# | weight initialisation | 权重初始化 |
# | vanishing gradient; exploding gradient | 梯度消失; 梯度爆炸 |
# | learning rate; momentum; optimiser | 学习率; 动量; 优化器 |
# | batch; epoch | 批; 轮次 |
#
# ## What to read next
#
# - In the package: `python -m tinynet where neuron` and `where adam`; `derivations/initialisation.py` for section 7.
# - Chapter 06 lets neighbours share their weights. Chapter 07 uses the same layer again and again, where vanishing gradients return.
# - D. Rumelhart, G. Hinton and R. Williams, *Learning representations by back-propagating errors*, 1986. X. Glorot and Y. Bengio,
#   *Understanding the difficulty of training deep feedforward neural networks*, 2010. K. He, X. Zhang, S. Ren and J. Sun,
#   *Delving Deep into Rectifiers*, 2015. D. Kingma and J. Ba, *Adam: A Method for Stochastic Optimization*, 2015.
