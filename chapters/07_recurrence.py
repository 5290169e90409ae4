# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Recurrence
#
# *Not a good film. Good, and not a moment too long.* Both have *not* and *good*; only the order tells them apart. And one
# sentence has four words, another forty. How can one set of weights read both, and still know the first word at the last?
#
# **After this chapter you can**
# 1. unroll a recurrent network by hand, forward and backward;
# 2. derive backpropagation through time with its indices, write it, and check it;
# 3. say from the weights whether a gradient fades or explodes, and what to do about either;
# 4. derive the backward passes of LSTM and GRU, and say why their state remembers;
# 5. count the parameters of such a layer, and batch texts of unlike lengths without reading the filling.
#
# **You need** the chain rule and the tape (chapters 01 and 02), cross-entropy (04), layers (05).
# **Time** about 100 minutes, and 50 for the exercises.
# **Sources** document C, 4.1.3 and 4.2.3; document B, 5.2–5.4; S. Hochreiter and J. Schmidhuber, *Long Short-Term Memory*,
# 1997.
#
# Notation: $t = 1 \dots T$ counts steps. $x_t\ (d)$ is the input of a step, $h_t\ (k)$ the state after it, $z_t\ (k)$ what the
# activation is applied to. In code a batch of $n$ sequences has the steps first: `x (T, n, d)`.

# %%
import inspect
import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations, nn
from tinynet.check import check_backward
from tinynet.nn import functional as F
from tinynet.nn.utils.rnn import pack_padded_sequence

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(7)
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"

# %% [markdown]
# ## 1. Why a memory?
#
# Two ways to read a text with what you know already. Take a layer with a weight for each *place*: then it has one length,
# and what it learns about *not* at place 3 says nothing about *not* at place 4. Or *count* the words: then any length will
# do, and the order is gone.
#
# You read differently: word by word, with something in mind. Each word changes it a little. That is a loop:
#
# $$ z_t = W_h h_{t-1} + W_x x_t + b, \qquad h_t = \tanh(z_t), \qquad t = 1 \dots T . $$
#
# $W_x\ (k, d)$ looks at the word, $W_h\ (k, k)$ at what was in mind, and **the same weights serve every step**. So any length
# will do, and what is learned at one place holds at all. Document C, 4.1.3, prints this with $\sigma$ for any activation; we take
# $\tanh$. It adds an output, which is a layer on top of the state:
#
# $$ o_t = \sigma(W_o h_t + b_o). $$
#
# Two remarks. C 4.2.3 calls the step $t$ a *layer*. It is none: layers have weights of their own. And the
# document leaves out where to begin: $h_1$ needs an $h_0$. Zeros are the usual choice, *nothing in mind*; a learned vector is
# another. (The errata show what either slip costs.)
#
# ## 2. Three steps, by hand
#
# Let state and input be single numbers, $w_x = 1$, $w_h = 0.5$, $b = 0$ and $h_0 = 0$. The input is $x = (1, 0, 0)$: one event,
# then silence. Draw the loop as a row of three boxes, one for each step; this is called *unrolling*. Then
#
# $$ \begin{aligned} h_1 &= \tanh(1) = 0.7616, \\ h_2 &= \tanh(0.5 \cdot 0.7616) = 0.3634, \\
#    h_3 &= \tanh(0.5 \cdot 0.3634) = 0.1797 . \end{aligned} $$
#
# The state still knows of the event, and about half of that is lost at each step.
#
# Now backward, from $L = h_3$. **Before you go on:** $w_h$ was used three times. How many terms has its gradient?
#
# | | $\bar h_t$ | $\bar z_t = \bar h_t (1 - h_t^2)$ | to $w_h$: $\bar z_t h_{t-1}$ |
# |---|---|---|---|
# | $t = 3$ | 1 | 0.9677 | 0.3517 |
# | $t = 2$ | 0.5 · 0.9677 = 0.4838 | 0.4200 | 0.3198 |
# | $t = 1$ | 0.5 · 0.4200 = 0.2100 | 0.0882 | 0 |
#
# Three terms; their sum is $\bar w_h = 0.6715$. The last is 0 only because $h_0$ is.

# %%
h, states = 0.0, []
for x_t in (1.0, 0.0, 0.0):
    h = np.tanh(0.5 * h + 1.0 * x_t)
    states.append(h)
print("states", np.array(states))

# %% tags=["check"]
assert np.allclose(states, [0.7616, 0.3634, 0.1797], atol=5e-5)
dz_3 = 1 - states[2] ** 2  # the table, from its first row down
dz_2 = 0.5 * dz_3 * (1 - states[1] ** 2)
dz_1 = 0.5 * dz_2 * (1 - states[0] ** 2)
assert np.allclose([dz_3, dz_2, dz_1], [0.9677, 0.4200, 0.0882], atol=5e-5)
assert np.allclose([dz_3 / 2, dz_2 / 2], [0.4838, 0.2100], atol=5e-5)
terms = [dz_3 * states[1], dz_2 * states[0], 0.0]
assert np.allclose(terms, [0.3517, 0.3198, 0], atol=5e-5)


def last_state(w_h):  # the other route: move w_h a little, and look
    return np.tanh(w_h * np.tanh(w_h * np.tanh(1.0)))


slope = (last_state(0.5 + 1e-6) - last_state(0.5 - 1e-6)) / 2e-6
assert np.isclose(last_state(0.5), states[2])
assert np.isclose(slope, sum(terms))
assert np.isclose(slope, 0.6715, atol=5e-5)

# %% [markdown]
# Let the package do the same on its tape. Move the slider of the replay, forward and back, and watch the gradient of `w_h`
# collect its terms.

# %%
w_h = tn.tensor(0.5, requires_grad=True, name="w_h")
h = tn.tensor(0.0, name="h_0")
for x_t in (1.0, 0.0, 0.0):
    h = (w_h * h + x_t).tanh()
tn.explain(h)

# %% [markdown]
# ## 3. Forward, from nothing
#
# A batch has $n$ sequences. Each is a row, so $W_h h$ becomes `h @ W_h.T` (chapter 05), and the loop runs over the steps. We
# return all states: the last one for *what was the text about*, all of them for *what comes next*.


# %%
def rnn(x, h0, W_x, W_h, b):
    h, states = h0, []
    for x_t in x:
        h = np.tanh(x_t @ W_x.T + h @ W_h.T + b)
        states.append(h)
    return np.stack(states)


# %% tags=["check"]
T, n, d, k = 4, 2, 3, 2
x, h0 = rng.normal(size=(T, n, d)), rng.normal(size=(n, k))
W_x, W_h, b = (rng.normal(size=s) for s in ((k, d), (k, k), (k,)))
states = rnn(x, h0, W_x, W_h, b)
for row in range(n):  # index by index
    before = h0[row]
    for t in range(T):
        before = [
            np.tanh(
                sum(W_h[i, j] * before[j] for j in range(k))
                + sum(W_x[i, e] * x[t, row, e] for e in range(d))
                + b[i]
            )
            for i in range(k)
        ]
        assert np.allclose(states[t, row], before)
assert np.allclose(states, derivations.rnn.definition(x, h0, W_x, W_h, b))

# %% [markdown]
# ## 4. Backpropagation through time
#
# Take one sequence. With indices, a step is
#
# $$ z_{t,i} = \sum_j W^h_{ij} h_{t-1,j} + \sum_e W^x_{ie} x_{t,e} + b_i, \qquad h_{t,i} = \tanh(z_{t,i}) . $$
#
# **Who sees $h_{t,j}$?** The loss sees it in two ways. Directly, through the output of step $t$; call what arrives that way
# $g_{t,j}$. And through the next step: $h_{t,j}$ stands in *every* $z_{t+1,i}$, with the slope $W^h_{ij}$. The chain rule
# adds up all ways:
#
# $$ \bar h_{t,j} = g_{t,j} + \sum_i W^h_{ij}\, \bar z_{t+1,i}, \qquad \bar h_t = g_t + W_h^\top \bar z_{t+1},
#    \qquad \bar z_{T+1} = 0 . $$
#
# **Through the activation.** $z_{t,i}$ is seen by $h_{t,i}$ alone, and $\tanh' = 1 - \tanh^2$:
#
# $$ \bar z_{t,i} = \bar h_{t,i}\,(1 - h_{t,i}^2), \qquad \text{so}\quad
#    \bar h_t = g_t + W_h^\top\big((1 - h_{t+1}^2) \odot \bar h_{t+1}\big). $$
#
# $\bar h_t$ needs $\bar h_{t+1}$. So the loop runs from $T$ down to 1, and this is all that *through time* means. At its end
# stands $\bar h_0 = W_h^\top \bar z_1$.
#
# **Weights.** $W^h_{ij}$ was used at every step, each time with the slope $h_{t-1,j}$ on $z_{t,i}$. What was used several times
# collects:
#
# $$ \bar W^h_{ij} = \sum_{t=1}^T \bar z_{t,i}\, h_{t-1,j}, \qquad \bar W^x_{ie} = \sum_{t=1}^T \bar z_{t,i}\, x_{t,e},
#    \qquad \bar b_i = \sum_{t=1}^T \bar z_{t,i}, \qquad \bar x_{t,e} = \sum_i W^x_{ie}\, \bar z_{t,i} . $$
#
# Note the index: $W_h$ met the state *before* the step. A batch adds a sum over the sequences, which the matrix
# products below do by themselves. Shapes: `dz.T @ h[t - 1]` is $(k, n)(n, k)$, `dz @ W_h` is $(n, k)(k, k)$.


# %%
def rnn_backward(g, x, h0, W_x, W_h, b):
    h = [h0, *rnn(x, h0, W_x, W_h, b)]  # h[t] is the state after t steps
    dx, dW_x, dW_h, db = map(np.zeros_like, (x, W_x, W_h, b))
    dh = np.zeros_like(h0)  # nothing comes from beyond the end
    for t in range(len(x), 0, -1):
        dh = g[t - 1] + dh  # from the output, and from the step after
        dz = dh * (1 - h[t] ** 2)
        dW_h += dz.T @ h[t - 1]
        dW_x += dz.T @ x[t - 1]
        db += dz.sum(axis=0)
        dx[t - 1] = dz @ W_x
        dh = dz @ W_h
    return dx, dh, dW_x, dW_h, db


# %% tags=["check"]
assert check_backward(rnn, rnn_backward, x, h0, W_x, W_h, b)

# %% [markdown]
# The output layer $o_t = W_o h_t + b_o$ (we leave its $\sigma$ to the loss, as in chapter 04) fills in the $g_t$. It is a linear
# layer whose weights, too, are used at every step:
#
# $$ g_t = W_o^\top \bar o_t, \qquad \bar W_o = \sum_t \bar o_t h_t^\top, \qquad \bar b_o = \sum_t \bar o_t . $$
#
# The tape knows nothing of time. It sees a long chain of ordinary operations on shared weights, and must come to the same
# numbers:

# %% tags=["check"]
W_o, b_o, do = (rng.normal(size=s) for s in ((3, k), (3,), (T, n, 3)))
given = [tn.tensor(a, requires_grad=True) for a in (h0, W_x, W_h, b, W_o, b_o)]
t_h, t_W_x, t_W_h, t_b, t_W_o, t_b_o = given
loss = 0
for t in range(T):
    t_h = (tn.tensor(x[t]) @ t_W_x.mT + t_h @ t_W_h.mT + t_b).tanh()
    loss = loss + ((t_h @ t_W_o.mT + t_b_o) * tn.tensor(do[t])).sum()
loss.backward()
ours = rnn_backward(do @ W_o, x, h0, W_x, W_h, b)[1:]
of_output = np.einsum("tno,tnk->ok", do, states), do.sum(axis=(0, 1))
for one, two in zip((*ours, *of_output), given):
    assert np.allclose(one, two.grad.numpy())

# %% [markdown]
# ### The package's version
#
# The same lines stand in `derivations/rnn.py`, where `a` is our $z$, `y` holds the states after each step, and `before`
# those before it. Three things differ. `chosen` hands a padded step through unchanged (section 10). The slopes
# $1 - h_t^2$ of all steps are made at once, before the loop. And the products for the weights wait until all $\bar z_t$
# are there: under each other they are a matrix $(Tn, k)$, and each sum over $t$ is *one* product. Find these lines:

# %%
print(inspect.getsource(derivations.rnn.backward))

# %% [markdown]
# ## 5. Fading and exploding
#
# How much does the first state still do to the last? Each step has the Jacobian
#
# $$ \frac{\partial h_{t,i}}{\partial h_{t-1,j}} = (1 - h_{t,i}^2)\, W^h_{ij}, \qquad
#    J_t = \operatorname{diag}(1 - h_t^2)\, W_h , $$
#
# and the chain rule multiplies them, the last step on the left:
#
# $$ \frac{\partial h_T}{\partial h_0} = J_T\, J_{T-1} \cdots J_1 . $$
#
# One weight matrix, $T$ times. For single numbers this is $w_h^T$ times slopes below 1: with $w_h = 0.5$ and $T = 50$ it is below
# $10^{-15}$. A number of another size than 1 that is multiplied by itself again and again can only fade or explode.


# %%
def carried(h, W_h):
    """∂h_T/∂h_0 of one sequence, from its states h (T, k)."""
    J = np.eye(len(W_h))
    for h_t in h:
        J = ((1 - h_t**2)[:, None] * W_h) @ J
    return J


# %% tags=["check"]
J = carried(states[:, 0], W_h)
for j in range(k):
    step = np.zeros((n, k))
    step[0, j] = 1e-6
    up, down = (rnn(x, h0 + s, W_x, W_h, b)[-1, 0] for s in (step, -step))
    assert np.allclose(J[:, j], (up - down) / 2e-6, atol=1e-8)
g = np.zeros((T, n, k))
g[-1, 0] = rng.normal(size=k)  # and backward it is the transposed that acts
assert np.allclose(rnn_backward(g, x, h0, W_x, W_h, b)[1][0], J.T @ g[-1, 0])

# %% [markdown]
# How large is such a product after $s$ steps? Write $\|A\|$ for the largest factor by which $A$ lengthens a vector (its
# largest singular value). Doing one after the other can at most multiply the factors, and all slopes are at most 1:
#
# $$ \Big\|\frac{\partial h_s}{\partial h_0}\Big\| \le \|W_h\|^s . $$
#
# If $\|W_h\| < 1$, the gradient *must* fade. Now take slopes equal to 1: the product is the power $W_h^s$. Let $\lambda$ be
# the eigenvalue of largest size, $\rho = |\lambda|$ the *spectral radius*. Along its eigenvector $v$ each step multiplies by
# $\lambda$: $W_h^s v = \lambda^s v$. So at least one vector is lengthened by $\rho^s$, and
#
# $$ \rho^s \le \|W_h^s\| \le \|W_h\|^s, \qquad \|W_h^s\|^{1/s} \to \rho \quad (s \to \infty) . $$
#
# The limit on the right is a theorem (Gelfand's), which the next cell does not prove but measures, at $s = 512$. In the long
# run the spectral radius decides. **Guess** before the picture: 50 steps, $\rho = 0.9$ and $\rho = 1.1$; what is left of 1?
# And what will tanh do to the second?

# %% tags=["check"]
for _ in range(5):
    W = rng.normal(size=(6, 6)) / np.sqrt(6)
    rho = np.abs(np.linalg.eigvals(W)).max()
    for power in (1, 5, 50):
        size = np.linalg.norm(np.linalg.matrix_power(W, power), 2)
        assert rho**power <= size * (1 + 1e-9)
        assert size <= np.linalg.norm(W, 2) ** power * (1 + 1e-9)
    size = np.linalg.norm(np.linalg.matrix_power(W, 512), 2)
    assert abs(size ** (1 / 512) / rho - 1) < 0.02
    few = rnn(rng.normal(size=(5, 1, 6)), np.zeros((1, 6)), np.eye(6), W, 0)[:, 0]
    assert np.linalg.norm(carried(few, W), 2) <= np.linalg.norm(W, 2) ** 5

# %% tags=["picture"]
steps, width = np.arange(1, 51), 32
base = rng.normal(size=(width, width))
base /= np.abs(np.linalg.eigvals(base)).max()  # spectral radius 1
noise = rng.normal(size=(50, 1, width))
figure, axes = plt.subplots(
    1, 2, figsize=(8, 3.4), layout="constrained", sharey=True
)
for rho, colour in ((1.1, ORANGE), (1.0, GREEN), (0.9, BLUE)):
    W = rho * base
    along = rnn(noise, np.zeros((1, width)), 0.5 * np.eye(width), W, 0)[:, 0]
    for ax, h in zip(axes, (np.zeros((50, width)), along)):
        sizes = [np.linalg.norm(carried(h[:t], W), 2) for t in steps]
        ax.plot(steps, sizes, color=colour)
        ax.annotate(f"ρ = {rho}", (51, sizes[-1]), color=colour, va="center")
    axes[0].plot(steps, rho**steps, "--", color=colour, linewidth=1)
axes[0].set(title="slopes 1 (dashed: $ρ^s$)", ylabel="size of $∂h_s/∂h_0$")
axes[1].set(title="with tanh, on noise")
for ax in axes:
    ax.set(xlabel="steps s", yscale="log", xlim=(0, 61))
plt.show()

# %% [markdown]
# Left, the solid lines run parallel to the dashed ones: the spectral radius is the rate. (They lie higher, because $W_h$ is not
# symmetric: its norm is larger than its radius.) Right, tanh has slopes below 1, and everything fades, even $\rho = 1.1$. What
# fades cannot be learned: the weights hear of what happened ten steps ago, and hardly of what happened fifty steps ago.
#
# ### When it explodes: clip
#
# As long as the state is small, the slopes are near 1, and a $\rho$ above 1 multiplies: the left picture. Then one batch can
# throw the weights far away. The cure is blunt. Put all gradients into one long vector; if it is longer than $c$, shorten it
# to $c$:
#
# $$ g \leftarrow g \cdot \min\Big(1, \frac{c}{\|g\|}\Big), \qquad \|g\|^2 = \sum_{\text{all parameters}} \sum_i g_i^2 . $$
#
# The direction stays. One factor for all: clipping each parameter by itself would turn the vector. **By hand:** two weights
# have the gradients 3 and 4, and $c = 1$. The length is 5, so 0.6 and 0.8 are left.


# %%
def clip(gradients, most):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [g * min(1, most / norm) for g in gradients]


# %% tags=["check"]
assert np.allclose(clip([np.array([3.0]), np.array([4.0])], 1), [[0.6], [0.8]])
gradients = [rng.normal(size=(3, 2)), rng.normal(size=4)]
for most in (0.5, 100.0):
    params = [nn.Parameter(tn.tensor(np.zeros_like(g))) for g in gradients]
    for p, g in zip(params, gradients):
        p.grad = tn.tensor(g)
    nn.utils.clip_grad_norm_(params, most)
    for p, g in zip(params, clip(gradients, most)):
        assert np.allclose(p.grad.numpy(), g, rtol=1e-5)

# %% [markdown]
# Clipping helps against exploding only. Stretching a gradient that has faded would not help: what is far away is small in
# it *beside* what is near, and one factor for all leaves that as it is. For that, the *step* has to change.
#
# ## 6. A cell that adds: LSTM
#
# What fades is a product. So let the memory be a **sum**. Keep a second state, the *cell* $c_t$, and at each step keep a
# share of it and add something:
#
# $$ c_t = f_t \odot c_{t-1} + i_t \odot u_t, \qquad h_t = o_t \odot \tanh(c_t). $$
#
# The shares are numbers between 0 and 1, made by sigmoids from the input and the state; they are called *gates*. $f_t$ says
# how much is **kept** (the *forget gate*: 1 forgets nothing), $i_t$ how much is **written**, $o_t$ how much is **shown**.
# $u_t$ is what might be written. All four come from one product, cut into four blocks:
#
# $$ (z^i_t, z^f_t, z^u_t, z^o_t) = W_h h_{t-1} + W_x x_t + b, $$
# $$ i_t = \sigma(z^i_t), \quad f_t = \sigma(z^f_t), \quad u_t = \tanh(z^u_t), \quad o_t = \sigma(z^o_t). $$
#
# Shapes: $W_x\ (4k, d)$, $W_h\ (4k, k)$, $b\ (4k)$. Here and from now on $\sigma(z) = 1/(1 + e^{-z})$.
#
# **By hand.** $c_{t-1} = 2$, $f = 0.9$, $i = 0.5$, $u = -0.4$, $o = 1$. Then $c_t = 1.8 - 0.2 = 1.6$ and
# $h_t = \tanh(1.6) = 0.9217$.


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_steps(x, h0, c0, W_x, W_h, b):
    h, c, steps = h0, c0, []
    for x_t in x:
        z = x_t @ W_x.T + h @ W_h.T + b
        i, f, u, o = np.split(z, 4, axis=-1)
        i, f, u, o = sigmoid(i), sigmoid(f), np.tanh(u), sigmoid(o)
        h_before, c_before = h, c
        c = f * c_before + i * u
        h = o * np.tanh(c)
        steps.append((h_before, c_before, i, f, u, o, c, h))
    return steps


def lstm(x, h0, c0, W_x, W_h, b):
    return np.stack([step[-1] for step in lstm_steps(x, h0, c0, W_x, W_h, b)])


# %% tags=["check"]
assert np.isclose(0.9 * 2 + 0.5 * -0.4, 1.6)
assert np.isclose(np.tanh(1.6), 0.9217, atol=5e-5)
x, h0, c0 = (rng.normal(size=s) for s in ((3, 2, 3), (2, 2), (2, 2)))
W_x, W_h, b = (rng.normal(size=s) for s in ((8, 3), (8, 2), (8,)))
package = derivations.lstm.definition(x, h0, c0, W_x, W_h, b, 0 * b)
assert np.allclose(lstm(x, h0, c0, W_x, W_h, b), package[..., :2])
cells = np.stack([step[6] for step in lstm_steps(x, h0, c0, W_x, W_h, b)])
assert np.allclose(cells, package[..., 2:])
z = rng.normal(size=9)
assert np.allclose(np.log(sigmoid(z) / (1 - sigmoid(z))), z)

# %% [markdown]
# ### Why its gradient survives
#
# Follow the cell alone, with the gates held. From $c_t = f_t \odot c_{t-1} + \dots$
#
# $$ \frac{\partial c_{t,i}}{\partial c_{t-1,j}} = \delta_{ij}\, f_{t,i}, \qquad
#    \frac{\partial c_T}{\partial c_0} = \operatorname{diag}\Big(\prod_{t=1}^T f_t\Big) . $$
#
# No matrix, no slope of a tanh: a product of numbers that the network itself chooses. Where it keeps $f$ at 1, the gradient
# passes any distance unchanged. And where it wants to forget, it sets $f$ to 0, and the gradient rightly stops.
#
# **The forget bias.** At the start $z^f \approx b^f$, and a bias of 0 means $f = \sigma(0) = 0.5$: after 20 steps $10^{-6}$ is
# left, no better than before. With $b^f = 3$, $f = 0.953$ and $0.953^{20} = 0.38$. A network that shall remember should begin
# by remembering.

# %% tags=["check"]
closed = np.zeros((8, 2))  # no weights at all: the gates are their biases
for bias, left in ((0.0, 0.5**20), (3.0, 0.378)):
    b20 = np.repeat([0.0, bias, 0.0, 0.0], 2)
    x20 = np.zeros((20, 1, 3))
    no_x = np.zeros((8, 3))
    c_T = [
        lstm_steps(x20, np.zeros((1, 2)), c, no_x, closed, b20)[-1][6]
        for c in (np.ones((1, 2)), np.zeros((1, 2)))
    ]
    assert np.allclose(c_T[0] - c_T[1], left, rtol=2e-3)

# %% [markdown]
# ### The whole backward pass
#
# $g_t = \partial L/\partial h_t$ arrives from the outputs. Ask again of each quantity: *who sees it?*
#
# - $h_t$ is seen by the output and by $z_{t+1}$: $\ \bar h_t = g_t + W_h^\top \bar z_{t+1}$, as before, with $4k$ numbers in $\bar z$.
# - $o_t$ is seen by $h_t = o_t \odot \tanh(c_t)$: $\ \bar o_t = \bar h_t \odot \tanh(c_t)$.
# - $c_t$ is seen by $h_t$, with the slope $o_t(1 - \tanh^2 c_t)$, *and* by $c_{t+1}$, with the slope $f_{t+1}$:
#
# $$ \bar c_t = \bar h_t \odot o_t \odot (1 - \tanh^2 c_t) + f_{t+1} \odot \bar c_{t+1} . $$
#
# - $i_t, f_t, u_t$ are seen by $c_t$: $\ \bar i_t = \bar c_t \odot u_t$, $\ \bar f_t = \bar c_t \odot c_{t-1}$,
#   $\ \bar u_t = \bar c_t \odot i_t$.
# - Through their activations, $\sigma' = \sigma(1 - \sigma)$ and $\tanh' = 1 - \tanh^2$:
#
# $$ \bar z^i_t = \bar i_t \odot i_t(1 - i_t), \quad \bar z^f_t = \bar f_t \odot f_t(1 - f_t), \quad
#    \bar z^u_t = \bar u_t \odot (1 - u_t^2), \quad \bar z^o_t = \bar o_t \odot o_t(1 - o_t) . $$
#
# The weights collect as in section 4. Two gradients travel backward now, $\bar h$ and $\bar c$; only the first passes a matrix.


# %%
def lstm_backward(g, x, h0, c0, W_x, W_h, b):
    steps = lstm_steps(x, h0, c0, W_x, W_h, b)
    dx, dW_x, dW_h, db = map(np.zeros_like, (x, W_x, W_h, b))
    dh, dc = np.zeros_like(h0), np.zeros_like(c0)
    for t in range(len(x) - 1, -1, -1):
        h_before, c_before, i, f, u, o, c, _ = steps[t]
        s = np.tanh(c)
        dh = g[t] + dh
        dc = dh * o * (1 - s**2) + dc  # through h_t, and from the cell after
        dz_i = dc * u * i * (1 - i)
        dz_f = dc * c_before * f * (1 - f)
        dz_u = dc * i * (1 - u**2)
        dz_o = dh * s * o * (1 - o)
        dz = np.concatenate([dz_i, dz_f, dz_u, dz_o], axis=-1)
        dW_h += dz.T @ h_before
        dW_x += dz.T @ x[t]
        db += dz.sum(axis=0)
        dx[t] = dz @ W_x
        dh, dc = dz @ W_h, dc * f
    return dx, dh, dc, dW_x, dW_h, db


# %% tags=["check"]
assert check_backward(lstm, lstm_backward, x, h0, c0, W_x, W_h, b)

# %% [markdown]
# Now measure what arrives, with all gates moving and all weights random, as training begins. How much does the last state
# still hear of an input $s$ steps earlier?

# %% tags=["picture"]
T, k = 60, 32
x = rng.normal(size=(T, 1, k))
g = np.zeros((T, 1, k))
g[-1] = rng.normal(size=k)
zero = np.zeros((1, k))
figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
W1, W2 = (rng.uniform(-1, 1, size=(4 * k, k)) / np.sqrt(k) for _ in range(2))
heard = {"RNN": rnn_backward(g, x, zero, W1[:k], W2[:k], np.zeros(k))[0]}
for bias in (0, 1, 3):
    b = np.repeat([0.0, bias, 0.0, 0.0], k)
    dx, *_ = lstm_backward(g, x, zero, zero, W1, W2, b)
    heard[f"LSTM, forget bias {bias}"] = dx
for (name, dx), colour in zip(heard.items(), (ORANGE, PURPLE, GREEN, BLUE)):
    sizes = np.linalg.norm(dx[:, 0], axis=1)[::-1]
    ax.plot(range(T), sizes, color=colour)
    ax.annotate(name, (T, sizes[-1]), color=colour, va="center")
ax.set(
    xlabel="distance s in steps",
    ylabel="size of ∂L/∂x at that distance",
    yscale="log",
    xlim=(0, 82),
)
plt.show()

# %% [markdown]
# Straight lines on this scale are products, and the forget bias sets their slope. With a bias of 3 hardly anything is lost in
# 60 steps. Along the cells alone $\sigma(3)^{60} = 0.054$ would be left; there is also the way through $W_h$, and the two add up.
# (This is one draw of weights, before training. What training makes of it, section 9 measures.)
#
# The package's backward pass has the same lines. `a` is our $z$, and `slope` collects, before the loop, what stands beside
# $\bar c$ and $\bar h$ in the four $\bar z$; the loop then multiplies. (`W_hr` is an optional projection of the state.
# Without it `P` is $k$, `dm` is `dh`, and the lines with `every` do nothing.)

# %%
print(inspect.getsource(derivations.lstm.backward))

# %% [markdown]
# ## 7. GRU, and counting
#
# The *gated recurrent unit* makes do with one state and three blocks. It goes from $h\ (k)$ to $h'\ (k)$ with the input
# $x\ (d)$. Its gate $q$ divides between old and new, so that it forgets exactly as much as it writes; its gate $r$ says how
# much of the old state counts for what is new:
#
# $$ r = \sigma(W^r_x x + b^r_x + W^r_h h + b^r_h), \qquad q = \sigma(W^q_x x + b^q_x + W^q_h h + b^q_h), $$
# $$ u = \tanh\big(W^u_x x + b^u_x + r \odot (W^u_h h + b^u_h)\big), \qquad h' = (1 - q) \odot u + q \odot h . $$
#
# (Elsewhere $q$ is called $z$ and $u$ is called $n$.) Where $q$ is near 1 the state passes unchanged, the same idea as in the
# LSTM. The two biases of $u$ are not the same thing, since $r$ multiplies one of them.


# %%
def gru_step(x, h, W_x, W_h, b_x, b_h):
    xr, xq, xu = np.split(x @ W_x.T + b_x, 3, axis=-1)
    hr, hq, hu = np.split(h @ W_h.T + b_h, 3, axis=-1)
    r, q = sigmoid(xr + hr), sigmoid(xq + hq)
    u = np.tanh(xu + r * hu)
    return (1 - q) * u + q * h


# %% tags=["check"]
x, h = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
W_x, W_h, b_x, b_h = (rng.normal(size=s) for s in ((6, 3), (6, 2), (6,), (6,)))
package = derivations.gru.definition(x[None], h, W_x, W_h, b_x, b_h)[0]
assert np.allclose(gru_step(x, h, W_x, W_h, b_x, b_h), package)
b_keep = np.array([0, 0, 50.0, 50.0, 0, 0])
assert np.allclose(gru_step(x, h, W_x, W_h, b_keep, b_h), h)

# %% [markdown]
# ### Its backward pass
#
# $\bar h'$ arrives. Let $z^r, z^q, z^u$ be what the activations are applied to, and $m = W^u_h h + b^u_h$ what $r$ multiplies, so
# that $z^u = W^u_x x + b^u_x + r \odot m$. *Who sees it?*
#
# - $u$ and $q$ are seen by $h'$: $\ \bar u = \bar h' \odot (1 - q)$, $\ \bar q = \bar h' \odot (h - u)$.
# - $r$ and $m$ are seen by $z^u$, each with the other as its slope: $\ \bar r = \bar z^u \odot m$, $\ \bar m = \bar z^u \odot r$.
# - Through the activations:
#
# $$ \bar z^u = \bar u \odot (1 - u^2), \quad \bar z^q = \bar q \odot q(1 - q), \quad \bar z^r = \bar r \odot r(1 - r) . $$
#
# - $h$ is seen four times: by $h'$ itself, with the slope $q$, and by three products:
#
# $$ \bar h = q \odot \bar h' + (W^r_h)^\top \bar z^r + (W^q_h)^\top \bar z^q + (W^u_h)^\top \bar m . $$
#
# The first term passes no matrix: that is the path of the LSTM's cell. And here the two biases of $u$ part. What is added to
# $W_x x$ gets $\bar z^u$, what is added to $W_h h$ gets $\bar m$. In a sequence $\bar h'$ is $g_t$ plus the $\bar h$ of the step
# after, and the weights collect as in section 4.
#
# **By hand.** Single numbers: $h = 1$, $r = q = \frac12$, $m = 1$ and $u = 0.6$, so $h' = 0.8$. Let $\bar h' = 1$. Then
# $\bar u = 0.5$, $\bar z^u = 0.5 \cdot 0.64 = 0.32$ and $\bar m = 0.16$. What are $\bar z^q$ and $\bar z^r$?


# %%
def gru_step_backward(g, x, h, W_x, W_h, b_x, b_h):
    xr, xq, xu = np.split(x @ W_x.T + b_x, 3, axis=-1)
    hr, hq, hu = np.split(h @ W_h.T + b_h, 3, axis=-1)
    r, q = sigmoid(xr + hr), sigmoid(xq + hq)
    u = np.tanh(xu + r * hu)
    dz_u = g * (1 - q) * (1 - u**2)
    dz_q = g * (h - u) * q * (1 - q)
    dz_r = dz_u * hu * r * (1 - r)  # hu is m
    dx_side = np.concatenate([dz_r, dz_q, dz_u], axis=-1)
    dh_side = np.concatenate([dz_r, dz_q, dz_u * r], axis=-1)
    dx, dh = dx_side @ W_x, g * q + dh_side @ W_h
    dW_x, dW_h = dx_side.T @ x, dh_side.T @ h
    return dx, dh, dW_x, dW_h, dx_side.sum(axis=0), dh_side.sum(axis=0)


# %% tags=["check"]
assert check_backward(gru_step, gru_step_backward, x, h, W_x, W_h, b_x, b_h)
one, none = np.ones((1, 1)), np.zeros((3, 1))
b_u = np.arctanh(0.6) - 0.5, 1.0  # with x and all weights 0
paper = 0 * one, one, none, none, np.array([0, 0, b_u[0]]), np.array([0, 0, b_u[1]])
assert np.isclose(gru_step(*paper), 0.8)
_, dh, *_, db_x, db_h = gru_step_backward(one, *paper)
assert np.isclose(dh, 0.5)
assert np.allclose(db_x, [0.08, 0.1, 0.32])
assert np.allclose(db_h, [0.08, 0.1, 0.16])

# %% [markdown]
# **How many parameters?** A block has $kd$ weights for the input, $k^2$ for the state, and $k$ biases; with $m$ blocks and
# $\beta$ biases for each
#
# $$ m\,(kd + k^2 + \beta k), \qquad m = 1\ (\text{RNN}),\ 3\ (\text{GRU}),\ 4\ (\text{LSTM}) . $$
#
# Document B, 5.2, builds `Embedding(10000, 32)`, `LSTM(64)`, `Dense(1)`. Compute it before you run the cell:
# $10000 \cdot 32 = 320{,}000$; $4(64 \cdot 32 + 64^2 + 64) = 24{,}832$; $64 + 1 = 65$. Together **344,897**. PyTorch's LSTM
# has two biases for each block, which are only ever added to each other: 256 numbers more, **345,153**, and not one function
# more.


# %%
def parameters(blocks, d, k, biases):
    return blocks * (k * d + k * k + biases * k)


for biases in (1, 2):
    total = 10_000 * 32 + parameters(4, 32, 64, biases) + 64 + 1
    print(f"{biases} for each gate: {total:,}")

# %% tags=["check"]
for name, blocks in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    layer = getattr(nn, name)(5, 3)
    assert sum(p.numel() for p in layer.parameters()) == parameters(blocks, 5, 3, 2)
model = tn.models.SentimentLSTM(tn.models.SentimentConfig())  # PyTorch's layer ...
frozen = [p.numel() for p in model.parameters() if not p.requires_grad]
counted = sum(p.numel() for p in model.parameters())
assert frozen == [256]  # ... in which one of the two biases stays 0
assert counted == 320_000 + parameters(4, 32, 64, 2) + 65 == 345_153
assert counted - 256 == 320_000 + parameters(4, 32, 64, 1) + 65 == 344_897

# %% [markdown]
# ## 8. Make it fast: one call for the whole sequence
#
# Our loop calls some twenty NumPy functions at each step, on small arrays: most of the time goes into the calls. The package
# hands the whole sequence to *one* compiled loop (`kernels/recurrent.py`), which makes the gates while the product's sums are
# still in the processor's nearest memory. Sequences do not see each other, so each core takes some of them through all steps.
# What no kernel can do is to start step 2 before step 1 has ended. (Chapter 08 will.)

# %% tags=["slow"]
T, n, d, k = 64, 32, 32, 64
layer = nn.LSTM(d, k)
arrays = [
    rng.normal(size=s).astype(np.float32)
    for s in ((T, n, d), (n, k), (n, k), (4 * k, d), (4 * k, k), (4 * k,))
]
inputs = tn.tensor(arrays[0])


def ours():
    lstm(*arrays)


def whole():
    with tn.no_grad():
        layer(inputs)


times = {}
for name, call in (("steps in NumPy", ours), ("one call", whole)):
    call()  # the first call compiles
    spent = []
    for _ in range(9):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    times[name] = np.median(spent)
    print(f"{name:15} {1000 * times[name]:6.2f} ms for {T} steps")
print(f"{times['steps in NumPy'] / times['one call']:.1f} times as fast")

# %% [markdown]
# ## 9. How far does it remember?
#
# A clean test first. A sequence of random signs, $\pm 1$; at its end the network shall say the **first** one. All that comes
# between only disturbs. We train anew for each length, 250 steps of 64 fresh sequences, and ask 500 new ones. Half right is
# guessing. By sections 5 and 6, which of the three gives up first?


# %% tags=["slow"]
def remembered(kind, forget_bias, length, seed, steps=250):
    tn.manual_seed(seed)
    draw = np.random.default_rng(seed)
    layer, read = getattr(nn, kind)(1, 16), nn.Linear(16, 1)
    if kind == "LSTM":
        with tn.no_grad():
            layer.bias_ih_l0[16:32] = forget_bias  # the second block
    params = [*layer.parameters(), *read.parameters()]
    optimiser = tn.optim.Adam(params, lr=0.01)

    def batch(n):
        signs = draw.choice([-1.0, 1.0], size=(length, n, 1)).astype(np.float32)
        first = tn.tensor((signs[0] > 0).astype(np.float32))
        return first, read(layer(tn.tensor(signs))[0][-1])

    for _ in range(steps):
        first, score = batch(64)
        loss = F.binary_cross_entropy_with_logits(score, first)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()
    with tn.no_grad():
        first, score = batch(500)
    return np.mean((score.numpy() > 0) == (first.numpy() > 0))


kinds = {
    "RNN": ("RNN", 0.0, [8, 16, 32]),
    "LSTM, forget bias 0": ("LSTM", 0.0, [8, 16, 32]),
    "LSTM, forget bias 4": ("LSTM", 4.0, [8, 16, 32, 64]),
}
right = {}
for name, (kind, bias, lengths) in kinds.items():
    right[name] = np.array(
        [[remembered(kind, bias, m, seed) for m in lengths] for seed in range(5)]
    )
    middle = np.median(right[name], axis=0)
    print(f"{name:21}", "   ".join(f"{m} {v:.0%}" for m, v in zip(lengths, middle)))
assert np.all(np.median(right["LSTM, forget bias 4"], axis=0)[:3] > 0.9)
assert np.median(right["RNN"], axis=0)[2] < 0.6
assert np.all(np.median(right["LSTM, forget bias 0"], axis=0)[1:] < 0.6)

# %% tags=["slow"]
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
signs = zip(right.items(), (ORANGE, PURPLE, BLUE), "osD", (0.94, 1.0, 1.06))
for (name, shares), colour, marker, aside in signs:  # aside: not on one another
    lengths = kinds[name][2]
    places = np.array(lengths) * aside
    ax.plot(places, np.median(shares, axis=0), "-", color=colour)
    ax.plot([], [], marker + "-", color=colour, label=name)
    for each in shares:
        ax.plot(places, each, marker, color=colour, markersize=5)
ax.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
ax.set(
    xscale="log", xlabel="length", ylabel="share that is right", ylim=(0.4, 1.03)
)
ax.set_xticks(lengths, lengths)
ax.minorticks_off()
ax.legend(frameon=False, loc="lower left")
plt.show()

# %% [markdown]
# A point is a network, each with first weights of its own; a line goes through the medians of five. The plain network learns
# 8 steps, and most often 16; at 32 most of its networks guess, and now and then one finds the way. The LSTM whose gates begin
# half open fails *earlier*, at 16: it has the formula that can remember, and four times the weights, and they alone do not
# help. With the gates open nearly all are right at 32, and most at 64. How much of the gradient comes through 16 steps **before**
# training?

# %% tags=["slow"]
for name, (kind, bias, _) in kinds.items():
    left = []
    for seed in range(5):
        tn.manual_seed(seed)
        layer, draw = getattr(nn, kind)(1, 16), np.random.default_rng(seed)
        if kind == "LSTM":
            with tn.no_grad():
                layer.bias_ih_l0[16:32] = bias
        signs = draw.choice([-1.0, 1.0], size=(17, 64, 1)).astype(np.float32)
        x, last = tn.tensor(signs, requires_grad=True), draw.normal(size=(64, 16))
        (layer(x)[0][-1] * tn.tensor(last.astype(np.float32))).sum().backward()
        first, *_, at_the_end = np.linalg.norm(x.grad.numpy()[:, :, 0], axis=1)
        left.append(first / at_the_end)
    print(f"{name:21}{np.exp(np.mean(np.log(left))):.5f}")
    assert (np.mean(left) > 0.1) == (bias == 4)

# %% [markdown]
# Printed is the slope by the first input as a share of that by the last one. The third network hears the first input from the
# start, the others have to find a whisper: so the third gets farther. It does *not* say why the plain network still finds it
# at 16 steps and the LSTM with half open gates does not; theirs are about equally low. A gradient at the start explains the
# start; then training changes it.
#
# ## 10. Real data: for or against?
#
# Document B, 5.2, reads texts with three layers: `Embedding(10000, 32)`, `LSTM(64)`, `Dense(1)` with a sigmoid; Adam, binary
# cross-entropy, batches of 32. Its 5.4 reports that 86.79 % of the test texts are right. *Which* texts it does not say: where
# its program prepares the data, there are three dots.
#
# We take 10,041 sentences from reviews of films. Fifteen or more people have rated each one; ours is the question whether a
# sentence is for the film (1) or against it (0). The 10,000 most frequent words get numbers; 1 stands for all others, and 0 is
# kept free.

# %% tags=["slow"]
films = tn.data.load_movie_snippets().clear()  # fetched once
train, test = films.split((0.9, 0.1), seed=0)
words = tn.data.WordTokenizer.train(train.texts, 10_000)
print(f"{len(train.texts):,} to learn from, {len(test.texts):,} held out")
labels = train.labels.tolist()
for label in (0, 1):
    text = next(
        t for t, y in zip(train.texts, labels) if y == label and len(t) < 80
    )
    print(f"\n{label}: {text}\n  {words.encode(text)}")

# %% [markdown]
# Sentences differ in length, and a batch is a rectangle. So short sentences are filled up with 0, the *padding*. Fed to the
# network, the padding is read like text: step after step it changes the state, and the state at the end may have forgotten
# the words. *Packing* tells the layer each length. A padded step then hands the state through,
#
# $$ h_t = h_{t-1} \quad\text{and so}\quad \bar h_{t-1} = \bar h_t, \quad \bar z_t = 0 \qquad (t > \text{length}), $$
#
# and the last state is that of each sentence's own last word.

# %% tags=["check"]
layer = nn.LSTM(3, 2, batch_first=True).double()
padded = tn.tensor(rng.normal(size=(2, 5, 3)), requires_grad=True)
pack = pack_padded_sequence(
    padded, tn.tensor([5, 2]), batch_first=True, enforce_sorted=False
)
_, (h, _) = layer(pack)
_, (alone, _) = layer(padded[1:, :2])  # the short one, by itself
assert np.allclose(h.detach().numpy()[0, 1], alone.detach().numpy()[0, 0])
(h * tn.tensor(rng.normal(size=h.shape))).sum().backward()
assert np.all(padded.grad.numpy()[1, 2:] == 0)  # nothing flows into padding
assert np.all(padded.grad.numpy()[1, :2] != 0)

# %% [markdown]
# Here is the document's network. (Its sigmoid went into the loss, chapter 04. The table begins with small numbers, as in the
# document's library.) Beside it stands the *bag of words* of section 1: one number for each word, added up,
#
# $$ z = b + \sum_{t=1}^{T} w_{x_t}, \qquad \hat y = \sigma(z) . $$
#
# It has 10,001 numbers where the LSTM has 344,897, and it cannot tell *not good* from *good not*. **Guess:** by how much will the
# LSTM win?


# %% tags=["slow"]
class Reader(nn.Module):
    def __init__(self, packed=True):
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(10_000, 32)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        self.layer = nn.LSTM(32, 64, batch_first=True)
        self.output = nn.Linear(64, 1)

    def forward(self, ids, lengths):  # ids (n, t), lengths (n) -> z (n)
        x = self.embedding(ids)  # (n, t, 32)
        if self.packed:
            x = pack_padded_sequence(
                x, lengths, batch_first=True, enforce_sorted=False
            )
        _, (h, _) = self.layer(x)  # h (1, n, 64): the last states
        return self.output(h[0])[:, 0]


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Embedding(10_000, 1, padding_idx=0)  # row 0 stays 0
        nn.init.zeros_(self.weight.weight)
        self.bias = nn.Parameter(tn.zeros(1))

    def forward(self, ids, lengths):
        return self.weight(ids).sum(1)[:, 0] + self.bias


# %% [markdown]
# Which sentences are held out is chance, and so are the first weights. So we do all of it three times, with another split and
# other first weights each. The LSTM gets two epochs: after that it begins to learn the training sentences by heart; the bag
# gets three, with a larger rate. (The two was found on a validation part, in the full run below.)


# %% tags=["slow"]
def table(part, words):
    """ids (n, t), filled up with 0; lengths (n); labels (n)."""
    rows = [words.encode(text) or [words.UNKNOWN] for text in part.texts]
    lengths = np.array([len(row) for row in rows])
    ids = np.zeros((len(rows), lengths.max()), int)
    for place, row in zip(ids, rows):
        place[: len(row)] = row
    return ids, lengths, part.labels.numpy().astype(np.float32)


def batches(data, order):
    ids, lengths, labels = data
    for rows in np.array_split(order, len(order) // 32):
        longest = lengths[rows].max()
        yield (
            tn.tensor(ids[rows, :longest]),
            tn.tensor(lengths[rows]),
            tn.tensor(labels[rows]),
        )


def learn(model, data, seed, epochs, lr):
    optimiser = tn.optim.Adam(model.parameters(), lr=lr)
    draw = np.random.default_rng(seed)
    for _ in range(epochs):
        for ids, lengths, labels in batches(data, draw.permutation(len(data[0]))):
            loss = F.binary_cross_entropy_with_logits(model(ids, lengths), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model


def share_right(model, data):
    with tn.no_grad():
        said = [
            (model(ids, lengths).numpy() > 0) == (labels.numpy() > 0.5)
            for ids, lengths, labels in batches(data, np.arange(len(data[0])))
        ]
    return np.mean(np.concatenate(said))


found = {"LSTM": [], "bag of words": []}
for seed in range(3):
    train, test = films.split((0.9, 0.1), seed=seed)
    words = tn.data.WordTokenizer.train(train.texts, 10_000)
    data, held = table(train, words), table(test, words)
    tn.manual_seed(seed)
    reader = learn(Reader(), data, seed, epochs=2, lr=0.001)
    bag = learn(Bag(), data, seed, epochs=3, lr=0.01)
    found["LSTM"].append(share_right(reader, held))
    found["bag of words"].append(share_right(bag, held))
for name, shares in found.items():
    each = ", ".join(f"{share:.1%}" for share in shares)
    print(f"{name:13}{np.mean(shares):6.1%}   ({each})")
    assert min(shares) > 0.75

# %% [markdown]
# **It does not win.** A count with 10,001 numbers does as well on the three splits. (With a thousand held-out
# sentences a share near 80 % has a standard error of 1.3 points; so do not say that the bag is *better* either.)
#
# And who forgets to pack? The same network, the same two epochs, the third split:

# %% tags=["slow"]
tn.manual_seed(seed)
unpacked = learn(Reader(packed=False), data, seed, epochs=2, lr=0.001)
print(f"with the padding read {share_right(unpacked, held):.1%}")
assert share_right(unpacked, held) < 0.6

# %% [markdown]
# It guesses. After the last word come up to forty zeros, and by section 9 an LSTM with a forget bias near 0 carries
# next to nothing so far. Nothing had warned us: the shapes fit, and the loss is a number.
#
# So does the LSTM know what *not* does? It tells after each word what it thinks: the state $h_t$ is the state of
# the first $t$ words, so one pass gives every $\hat y$. The bag only ever adds.

# %% tags=["slow"]
texts = ("a good film", "not a good film", "never dull and never too long")
figure = plt.figure(figsize=(8.5, 3.2), layout="constrained")
axes = figure.subplots(1, 3, sharey=True, width_ratios=(3, 4, 6))
for ax, text in zip(axes, texts):
    ids = tn.tensor([words.encode(text)])
    with tn.no_grad():
        states = reader.layer(reader.embedding(ids))[0]  # (1, t, 64), all of them
        thinks = reader.output(states)[0, :, 0].sigmoid().numpy()
        adds = (bag.weight(ids)[0, :, 0].cumsum(0) + bag.bias).sigmoid().numpy()
    ax.plot(thinks, "o-", color=BLUE, label="LSTM")
    ax.plot(adds, "s--", color=ORANGE, label="bag of words")
    ax.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    ax.set_xticks(range(len(thinks)), text.split())
    ax.set(ylim=(0, 1), xlim=(-0.4, len(thinks) - 0.6))
axes[0].set(ylabel="probability of “for”, so far")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# *Good* pushes both lines up; *not* pushes both down, and *a good film* outweighs it: both networks take *not a good film*
# for praise. *Never dull and never too long* is praise, and both take it for blame: they know that *never*, *dull* and *too
# long* stand in bad reviews. The LSTM's line goes hardly any other way than the bag's. It *could* hold *not* in its cell
# until *good* comes; it has not learned to. (These are the networks of the third split; others differ in the details.)
#
# ### The full run
#
# The package trains both networks with a validation part that says when to stop. Measured with
# `python -m tinynet train sentiment`: mean of three first weights, one split, 1,004 test sentences.
#
# | | parameters | right | loss |
# |---|---|---|---|
# | LSTM | 344,897 | 80.8 % | 0.4437 |
# | bag of words | 10,001 | **82.3 %** | 0.4240 |
# | document B, 5.4, on data not named | 344,897 | 86.79 % | 0.4173 |
#
# The same picture. Order matters in language, and yet the LSTM shows no gain from it here: single words tell most, and eight
# thousand sentences hold too few pairs like *never dull* to learn 24,832 weights of order from. Two lessons. Put a simple model
# beside every large one. And a model that *can* use order need not have *learned* to. What helps is more text, and it need
# not be labelled: the package's BERT (chapter 09) has read much text before it sees these sentences; it gets 89.8 % of the
# same kind of test right (`python -m tinynet train bert-sentiment`).
#
# With `LONG=1` in the environment the next cell makes the full run, which takes some minutes.

# %% tags=["slow"]
if os.environ.get("LONG"):
    print(tn.models.train("sentiment").metrics)

# %% [markdown]
# ## 11. What goes wrong
#
# **Only one step.** Somebody writes `=` for `+=` where $W_h$ collects. Then it keeps the share of the step that the loop
# comes to last, which is the first. In section 2 that is 0 in place of 0.6715.


# %% tags=["wrong"]
def overwriting_backward(g, x, h0, W_x, W_h, b):
    h = [h0, *rnn(x, h0, W_x, W_h, b)]
    dx, dW_x, dW_h, db = map(np.zeros_like, (x, W_x, W_h, b))
    dh = np.zeros_like(h0)
    for t in range(len(x), 0, -1):
        dh = g[t - 1] + dh
        dz = dh * (1 - h[t] ** 2)
        dW_h = dz.T @ h[t - 1]
        dW_x += dz.T @ x[t - 1]
        db += dz.sum(axis=0)
        dx[t - 1] = dz @ W_x
        dh = dz @ W_h
    return dx, dh, dW_x, dW_h, db


x, h0 = rng.normal(size=(3, 2, 2)), rng.normal(size=(2, 2))
W_x, W_h, b = (rng.normal(size=s) for s in ((2, 2), (2, 2), (2,)))
print(check_backward(rnn, overwriting_backward, x, h0, W_x, W_h, b))

# %% [markdown]
# **A sequence of one step hides it.** With $T = 1$ there is one share, and the code above is right. With $h_0 = 0$ and $T = 1$
# even $\bar W_h = 0$ is right. Check recurrences with at least three steps, and with an $h_0$ that is not zero.

# %% tags=["wrong"]
print(bool(check_backward(rnn, overwriting_backward, x[:1], h0, W_x, W_h, b)))

# %% [markdown]
# **A state that leaks.** Who carries the last state over into the next batch, and does not mean to, lets texts talk to each
# other. Set $h_0$ anew for each text; and where it is meant (a long text in pieces), cut the tape with `h.detach()`, or
# each batch backpropagates through all earlier ones.
#
# **Axes mixed up.** PyTorch's layers, and ours, take `(T, n, d)`. Given `(n, T, d)` nothing complains: the layer reads *across*
# the batch, and a text's answer depends on its neighbours. The test: change one sequence, and no other's answer may change.

# %% tags=["check"]
layer = nn.RNN(3, 4)  # steps first
x = rng.normal(size=(5, 2, 3)).astype(np.float32)
other = x.copy()
other[:, 1] += 1  # another second sequence
y, z = (layer(tn.tensor(a))[0].detach().numpy() for a in (x, other))
assert np.allclose(y[:, 0], z[:, 0])
x, other = x.swapaxes(0, 1), other.swapaxes(0, 1)  # batch first, by mistake
y, z = (layer(tn.tensor(a))[0].detach().numpy() for a in (x, other))
assert np.allclose(y[0], z[0])  # now "time" runs over the sequences ...
other = x.copy()
other[0] += 1
z = layer(tn.tensor(other))[0].detach().numpy()
assert not np.allclose(y[1], z[1])  # ... and the first talks to the second

# %% [markdown]
# **A mistake for you to find.** This pass has no bias. Three of its four gradients are right, and the fourth has the right
# shape: such a mistake can live long in a program that trains. Exercise 6.


# %% tags=["wrong"]
def hasty_backward(g, x, h0, W_x, W_h):
    h = rnn(x, h0, W_x, W_h, 0)
    dx, dh = np.zeros_like(x), np.zeros_like(h0)
    dW_x, dW_h = np.zeros_like(W_x), np.zeros_like(W_h)
    for t in reversed(range(len(x))):
        dh = dh + g[t]
        dz = (1 - h[t] ** 2) * dh
        dx[t] = dz @ W_x
        dW_x += dz.T @ x[t]
        dW_h += dz.T @ h[t]
        dh = dz @ W_h
    return dx, dh, dW_x, dW_h


x, g = rng.normal(size=(2, 3, 2, 2))
true = rnn_backward(g, x, h0, W_x, W_h, 0 * b)[:4]
hasty = hasty_backward(g, x, h0, W_x, W_h)
assert sum(np.allclose(one, two) for one, two in zip(true, hasty)) == 3

# %% [markdown]
# ## 12. Exercises
#
#
# **1. By hand.** No tanh: $h_t = w\,h_{t-1} + x_t$, $w = 0.5$, $h_0 = 0$, $x = (1, 2, 3)$. What is $\partial h_3/\partial w$?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("07.by_hand").check(your_number)

# %% [markdown]
# **2. Forward: from both ends.** For *what does this word mean here*, what follows matters as well. Read `x` $(T, n, d)$
# forward from `h0` and backward from `h0` with the same weights (tanh, no bias); at each step put the two states side by
# side, forward first. Return $(T, n, 2k)$.


# %% tags=["exercise"]
def my_both(x, h0, W_x, W_h): ...


tn.exercise("07.both_ends").check(my_both)

# %% [markdown]
# **3. Backward through time.** One sequence, no tanh: $h_t = W h_{t-1} + x_t$ with $x_t$ and $h_t\ (k)$; `g` $(T, k)$ arrives
# at all states. Return `dx`, `dh0`, `dW`.


# %% tags=["exercise"]
def my_linear_backward(g, x, h0, W): ...


tn.exercise("07.linear_backward").check(my_linear_backward)

# %% [markdown]
# **4. Derivation.** All slopes of the last state by the *first input*, $\partial h_{T,i}/\partial x_{1,e}$, as a matrix
# $(k, d)$. `h` $(T, k)$ holds the states $h_1 \dots h_T$ of one sequence of the network of section 1.


# %% tags=["exercise"]
def my_first_input(h, W_x, W_h): ...


tn.exercise("07.first_input").check(my_first_input)

# %% [markdown]
# **5. Backward through a gate.** An LSTM whose cell forgets as much as it writes, and shows everything: $h = \tanh(c)$,
# $c = f \odot c_0 + (1 - f) \odot u$ with $f = \sigma(p)$ and $u = \tanh(q)$, all $(n, k)$. `g` arrives at $h$. Return `dp`,
# `dq`, `dc0`.


# %% tags=["exercise"]
def my_coupled_backward(g, p, q, c0): ...


tn.exercise("07.coupled_backward").check(my_coupled_backward)

# %% [markdown]
# **6. Find the mistake** in `hasty_backward` of section 11. Change this copy until it is right.


# %% tags=["exercise"]
def my_hasty_backward(g, x, h0, W_x, W_h):
    h = rnn(x, h0, W_x, W_h, 0)
    dx, dh = np.zeros_like(x), np.zeros_like(h0)
    dW_x, dW_h = np.zeros_like(W_x), np.zeros_like(W_h)
    for t in reversed(range(len(x))):
        dh = dh + g[t]
        dz = (1 - h[t] ** 2) * dh
        dx[t] = dz @ W_x
        dW_x += dz.T @ x[t]
        dW_h += dz.T @ h[t]
        dh = dz @ W_h
    return dx, dh, dW_x, dW_h


tn.exercise("07.planted_bug").check(my_hasty_backward)

# %% [markdown]
# **7. For a quiet hour** (paper only). Let the gates look at the cell, too ("peepholes"): $z^f_t$ gets $p \odot c_{t-1}$
# added. What is $\partial c_t/\partial c_{t-1}$ now, with $h_{t-1}$ held? When does the memory of section 6 still hold?
#
# ## Words
#
# | | |
# |---|---|
# | recurrent neural network | 循环神经网络 |
# | hidden state; cell | 隐藏状态; 记忆单元 |
# | time step | 时间步 |
# | unrolling | 展开 |
# | backpropagation through time | 随时间反向传播 |
# | vanishing, exploding gradient; clipping | 梯度消失, 梯度爆炸; 梯度裁剪 |
# | spectral radius | 谱半径 |
# | long short-term memory | 长短期记忆 |
# | gate; forget gate | 门; 遗忘门 |
# | gated recurrent unit | 门控循环单元 |
# | embedding layer | 嵌入层 |
# | padding | 填充 |
# | sentiment analysis; bag of words | 情感分析; 词袋 |
#
# ## What to read next
#
# - In the package: `derivations/lstm.py` and `derivations/gru.py` derive every line; `kernels/recurrent.py` says what makes them
#   fast; `python -m tinynet train lstm-lm` writes sonnets letter by letter.
# - Chapter 08 replaces the carrying by looking up, and measures the distance again.
# - P. Werbos, *Backpropagation through time: what it does and how to do it*, 1990. R. Pascanu, T. Mikolov and Y. Bengio, *On the
#   difficulty of training recurrent neural networks*, 2013. S. Hochreiter and J. Schmidhuber, *Long Short-Term Memory*, 1997
#   (there without a forget gate); F. Gers, J. Schmidhuber and F. Cummins, *Learning to Forget: Continual Prediction with LSTM*,
#   2000. K. Cho and others, *Learning Phrase Representations using RNN Encoder–Decoder for Statistical Machine Translation*,
#   2014 (the GRU). On the data: C. J. Hutto and E. Gilbert, *VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
#   Social Media Text*, 2014.
