# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Losses and likelihood
#
# A model looks at a message and says: *spam, with probability 0.9.* It was not spam. How wrong was that?
# Training needs one number for an answer. This chapter finds the number, and its derivative.
#
# **After this chapter you can**
# 1. say what a confident mistake costs under the squared error and under the cross-entropy, and why training cares;
# 2. derive both losses from one idea, maximum likelihood;
# 3. derive the Jacobian of softmax, and its backward pass without the Jacobian;
# 4. show why softmax and cross-entropy together have the gradient $p - y$;
# 5. find what is missing in a loss that somebody printed, and show the damage by a number.
#
# **You need** derivatives and their check (chapter 01), the tape (02), a neuron (03).
# **Time** about 70 minutes, and 40 for the exercises.
# **Sources** document B, 4.1–4.3; document D, 4.1–4.2.
#
# Notation: $z$ is a score, before any squashing. $\hat y$ or $p$ is a probability that the model states. $y$ or $t$ is
# what was true. $\ell$ is the cost of one sample, $L$ the loss, one number for all of them, and $\bar x$ means
# $\partial L/\partial x$. Logarithms are natural. A shape stands behind a symbol: $x\ (n, k)$ has $n$ rows and $k$ columns.

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations
from tinynet.check import check_backward

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(4)
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"

# %% [markdown]
# ## 1. The obvious loss, and what is wrong with it
#
# Take the difference and square it. For $n$ answers $\hat y_i$ and truths $y_i$,
#
# $$ L = \frac1n \sum_{i=1}^n (\hat y_i - y_i)^2 . $$
#
# This is the *mean squared error* (B 4.1). Now its derivative by one answer. $\hat y_i$ stands in one term of the sum only,
# number $i$; the others do not move with it. So one term survives:
#
# $$ \frac{\partial L}{\partial \hat y_i} = \frac{2}{n}\,(\hat y_i - y_i) . $$


# %%
def mse(y_hat, y):
    return np.mean((y_hat - y) ** 2)


def mse_backward(g, y_hat, y):
    return g * 2 * (y_hat - y) / y.size


# %% tags=["check"]
y_hat, y = rng.normal(size=5), rng.normal(size=5)
assert np.isclose(mse(y_hat, y), sum((a - b) ** 2 for a, b in zip(y_hat, y)) / 5)
assert check_backward(mse, mse_backward, y_hat, y, wrt=["y_hat"])

# %% [markdown]
# Where $\hat y$ is a temperature or a price, this is a fine loss. Now let $\hat y$ be a probability. A neuron makes it
# from a score $z$ by the sigmoid (chapter 03),
#
# $$ \hat y = \sigma(z) = \frac{1}{1 + e^{-z}}, \qquad \sigma'(z) = \hat y\,(1 - \hat y). $$
#
# Two students predict a sample whose truth is $y = 1$. Ada has $z = -1$, so she says 0.27. Bob has $z = -8$: he is sure
# of the opposite. A training step moves a score against the slope of the loss. So call $-\partial L/\partial z$ the *push* on
# the score: a positive push moves it up. **Before you go on:** who gets the larger push from the squared error? Write it
# down.


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


for name, z in (("Ada", -1.0), ("Bob", -8.0)):
    p = sigmoid(z)
    loss, push = (p - 1) ** 2, -2 * (p - 1) * p * (1 - p)
    print(f"{name}: says {p:.4f}, loss {loss:.4f}, push {push:.4f}")

# %% [markdown]
# Ada gets 0.29, Bob 0.0007. The one who is most wrong is told almost nothing. The chain rule says why. The square gives
# $2(\hat y - y)$, and $\sigma$ gives its own slope:
#
# $$ \frac{\partial (\hat y - y)^2}{\partial z} = 2(\hat y - y)\,\hat y\,(1 - \hat y), $$
#
# and for a sure answer, right *or wrong*, the factor $\hat y(1-\hat y)$ is nearly 0. Bob's neuron has *saturated*.

# %% tags=["check"]
z = np.linspace(-6, 6, 13)
slope = 2 * (sigmoid(z) - 1) * sigmoid(z) * (1 - sigmoid(z))
h = 1e-5
differences = ((sigmoid(z + h) - 1) ** 2 - (sigmoid(z - h) - 1) ** 2) / (2 * h)
assert np.allclose(slope, differences, atol=1e-9)
assert abs(slope[0]) < 0.01  # z = −6, and wrong: hardly a push

# %% [markdown]
# ## 2. What should a probability cost?
#
# Ask first how *good* it is. A coin shows heads with an unknown probability $p$. Ten throws give 7 heads and 3 tails.
# How probable was exactly this row of throws? Each head had probability $p$, each tail $1 - p$, and the throws do not
# know of each other, so
#
# $$ \mathrm{lik}(p) = p^7 (1 - p)^3 . $$
#
# Read it as a function of $p$, with the throws fixed. It is called the *likelihood*. Which $p$ would you say fits best?

# %% tags=["picture"]
p = np.linspace(0.001, 0.999, 400)
likelihood = p**7 * (1 - p) ** 3
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3), layout="constrained")
left.plot(p, likelihood, color=BLUE)
left.set(xlabel="p", ylabel="likelihood", title="7 heads, 3 tails")
right.plot(p, -np.log(likelihood), color=ORANGE)
right.set(
    xlabel="p",
    ylabel="−log likelihood",
    title="the same, as a cost",
    ylim=(5.5, 20),
)
for ax in (left, right):
    ax.axvline(0.7, color="grey", linewidth=0.8, linestyle=":")
plt.show()

# %% [markdown]
# The best is 0.7, the share of heads. Let us derive it. The logarithm rises with its argument, so the $p$ that makes
# $\mathrm{lik}(p)$ largest makes its logarithm largest. And it turns the product into a sum:
#
# $$ \log \mathrm{lik}(p) = 7 \log p + 3 \log(1 - p). $$
#
# At the top the derivative is 0:
#
# $$ \frac{7}{p} - \frac{3}{1 - p} = 0 \quad\Longrightarrow\quad 7(1 - p) = 3p \quad\Longrightarrow\quad p = \frac{7}{10}. $$
#
# For a smaller $p$ the derivative is positive, for a larger one negative: it is a top, and the only one.


# %%
def negative_log_likelihood(p, heads, tails):
    return -(heads * np.log(p) + tails * np.log(1 - p))


# %% tags=["check"]
candidates = np.linspace(0.01, 0.99, 99)
best = np.argmin(negative_log_likelihood(candidates, 7, 3))
assert np.isclose(candidates[best], 0.7)
# the other route: multiply ten probabilities
by_product = np.prod([0.6] * 7 + [0.4] * 3)
assert np.isclose(negative_log_likelihood(0.6, 7, 3), -np.log(by_product))

# %% [markdown]
# This is the idea of the whole chapter: **choose the parameters that make the data most probable.** It has a name,
# *maximum likelihood*. Three things follow at once.
#
# - *Sums.* Independent samples multiply their probabilities, so the cost $-\log$ adds up over them. Document D, 4.2,
#   prints $L(\theta) = -\log P(y \mid x; \theta)$: minus the logarithm of the probability that a model with the parameters
#   $\theta$ gives to $y$ when it sees $x$. That is the cost of one sample. The cost of the data is the sum over all of
#   them (or their mean, which is smallest at the same $\theta$).
# - *Numbers that a computer can hold.* A thousand factors of 0.5 are $10^{-301}$, ten thousand are 0 in floating point. A
#   sum of logarithms is just −6931.
# - *No cheap certainty.* Whoever gives the truth the probability 0 pays $-\log 0 = \infty$. Bob will hear about it.

# %% tags=["check"]
assert 1e-302 < np.prod(np.full(1000, 0.5)) < 1e-301
assert np.prod(np.full(10_000, 0.5)) == 0
assert np.isclose(np.sum(np.log(np.full(10_000, 0.5))), -6931.47, atol=0.01)

# %% [markdown]
# ### The squared error is a likelihood, too
#
# Suppose that a measured $y$ is the model's $\hat y$ plus normal noise with mean 0 and standard deviation $s$. The density of
# $y$, and minus its logarithm, are
#
# $$ P(y) = \frac{1}{\sqrt{2\pi}\, s}\, \exp\Big(-\frac{(y - \hat y)^2}{2s^2}\Big), $$
#
# $$ -\log P(y) = \frac{(y - \hat y)^2}{2 s^2} + \log(\sqrt{2\pi}\, s) . $$
#
# The second term does not depend on the model. The first is the squared error, up to a factor. So the squared error is
# the right cost *if the noise is normal*, with the same $s$ everywhere. A yes or no is not a number with normal noise on it.

# %% tags=["check"]
y, y_hat, s = 1.3, 0.4, 0.7
scale = np.sqrt(2 * np.pi) * s
density = np.exp(-((y - y_hat) ** 2) / (2 * s**2)) / scale
cost = (y - y_hat) ** 2 / (2 * s**2) + np.log(scale)
assert np.isclose(-np.log(density), cost)
grid = np.linspace(y - 6, y + 6, 20_001)  # and it is a density: its area is 1
heights = np.exp(-((grid - y_hat) ** 2) / (2 * s**2)) / scale
assert np.isclose(np.sum(heights) * (grid[1] - grid[0]), 1)

# %% [markdown]
# ## 3. Yes or no: the binary cross-entropy
#
# A sample has $y = 1$ or $y = 0$, and the model says $\hat y$ for the 1. The probability that it gave to what happened is
# $\hat y$ if $y = 1$, and $1 - \hat y$ if $y = 0$. One formula for both: $\hat y^{\,y} (1 - \hat y)^{1-y}$. Take $-\log$:
#
# $$ \ell = -y \log \hat y - (1 - y) \log (1 - \hat y). $$
#
# One of the two terms is always 0. **Both are needed.** Document B, 4.1 and 4.2, prints the first one alone (as a mean over
# the samples). B 4.3 has a table of answers, four rows of which are printed, and works out the first:
# $-0 \cdot \log 0.9 = 0$; the others, it says, are similar. Work out all four with a pencil, by the printed half and by
# the whole, before you run the cell.


# %%
def binary_cross_entropy(y_hat, y):
    return -y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat)


y = np.array([0.0, 1.0, 0.0, 1.0])
y_hat = np.array([0.9, 0.1, 0.8, 0.2])
print("truth  ", y)
print("said   ", y_hat)
print("printed", y * -np.log(y_hat))
print("whole  ", binary_cross_entropy(y_hat, y))

# %% tags=["check"]
said_of_the_truth = np.where(y == 1, y_hat, 1 - y_hat)
assert np.allclose(
    binary_cross_entropy(y_hat, y), [-np.log(p) for p in said_of_the_truth]
)
assert np.allclose(y * -np.log(y_hat), [0, 2.3026, 0, 1.6094], atol=1e-4)

# %% [markdown]
# In the first row the model says *1, I am 90 % sure*, and the truth is 0. It is the spam of the beginning that was no spam.
# The printed formula charges nothing for it. The whole formula charges $-\log 0.1 = 2.30$, as much as for the mirrored
# mistake in the second row. That is the number which this chapter set out to find.
#
# ### The derivative, and a small miracle
#
# First by $\hat y$. The second term gets a plus: its own minus, times the $-1$ from inside $1 - \hat y$. Then both go on one
# denominator, where $\pm y \hat y$ cancels:
#
# $$ \begin{aligned} \frac{\partial \ell}{\partial \hat y} &= -\frac{y}{\hat y} + \frac{1 - y}{1 - \hat y} \\
#    &= \frac{-y(1 - \hat y) + (1 - y)\hat y}{\hat y(1 - \hat y)} = \frac{\hat y - y}{\hat y(1 - \hat y)} . \end{aligned} $$
#
# Now by the score, with $\partial \hat y/\partial z = \hat y (1 - \hat y)$. The factor that silenced Bob appears above and
# below, and goes:
#
# $$ \frac{\partial \ell}{\partial z} = \frac{\hat y - y}{\hat y(1-\hat y)} \cdot \hat y (1 - \hat y) = \hat y - y . $$
#
# *What you said minus what was true.* Bob's push is now 0.9997, Ada's 0.73.
#
# In code we start from the score, and compute $\ell = \log(1 + e^z) - yz$. That it is the same cost is exercise 7 (and the
# next check). `logaddexp(0, z)` is $\log(e^0 + e^z)$, without the overflow of $e^z$ for a large $z$.


# %%
def bce_of_scores(z, y):
    return np.logaddexp(0, z) - y * z


def bce_of_scores_backward(g, z, y):
    return g * (sigmoid(z) - y)


# %% tags=["check"]
z, y = rng.normal(size=6), np.array([0.0, 1, 1, 0, 1, 0])
assert np.allclose(bce_of_scores(z, y), binary_cross_entropy(sigmoid(z), y))
assert check_backward(bce_of_scores, bce_of_scores_backward, z, y, wrt=["z"])
p, h = sigmoid(z), 1e-6  # ∂ℓ/∂ŷ, by its formula and by differences
higher, lower = binary_cross_entropy(p + h, y), binary_cross_entropy(p - h, y)
assert np.allclose((p - y) / (p * (1 - p)), (higher - lower) / (2 * h))
pushes = -bce_of_scores_backward(1.0, np.array([-8.0, -1.0]), 1)
assert np.allclose(pushes, [0.9997, 0.7311], atol=5e-5)

# %% [markdown]
# Here are the two losses side by side, for a truth of 1. Left the cost of a score, right the push. Look at the far left of
# each picture, where the mistakes are.

# %% tags=["picture"]
z = np.linspace(-8, 8, 400)
p = sigmoid(z)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.1), layout="constrained")
left.plot(z, (p - 1) ** 2, "--", color=ORANGE, label="squared error")
left.plot(z, bce_of_scores(z, 1), color=BLUE, label="cross-entropy")
right.plot(z, -2 * (p - 1) * p * (1 - p), "--", color=ORANGE)
right.plot(z, 1 - p, color=BLUE)
left.set(xlabel="score z", ylabel="cost", title="truth 1: what a score costs")
right.set(xlabel="score z", ylabel="push", title="and how hard it is pushed up")
left.legend(frameon=False)
plt.show()

# %% [markdown]
# ### What half a loss does to a neuron
#
# B 4.2 lets the half, $-y \log \hat y$, teach a neuron. (It also takes the slope of the activation at the wrong place; that
# is mended in chapter 03.) Its slope by the score is
#
# $$ -\frac{y}{\hat y} \cdot \hat y (1 - \hat y) = -y\,(1 - \hat y) . $$
#
# It is 0 for every sample with $y = 0$, and never positive. So every score is pushed up, or left alone. What will the
# neuron have learned in the end?

# %% tags=["check"]
z, h = rng.normal(size=6), 1e-6
difference = -np.log(sigmoid(z + h)) + np.log(sigmoid(z - h))
assert np.allclose(difference / (2 * h), -(1 - sigmoid(z)))  # y = 1; y = 0 is clear

# %% tags=["slow"]
x = rng.normal(size=(200, 2))
truth = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(float)
for name in ("half", "whole"):
    w, b = np.zeros(2), 0.0
    for _ in range(5000):
        said = sigmoid(x @ w + b)
        dz = -truth * (1 - said) if name == "half" else said - truth
        w, b = w - x.T @ dz / 200, b - np.mean(dz)
    said = sigmoid(x @ w + b)
    printed = np.mean(truth * -np.log(said))
    ones, right = np.mean(said > 0.5), np.mean((said > 0.5) == truth)
    print(
        f"{name:5}: {right:.1%} right, says 1 to {ones:.1%}, printed {printed:.4f}"
    )
print(f"true is 1 for {np.mean(truth):.1%}")

# %% [markdown]
# The half loss is almost 0, and the neuron says 1 to nearly everything. It is right about as often as somebody who says 1
# without looking. The whole loss parts the two classes, and its neuron pays *more* by the printed measure. A loss that
# can be small while the answers are bad is not a loss for this task. Ask of every loss you meet: *which mistake is free?*
#
# ## 4. Many classes: softmax
#
# A digit is one of ten. The model gives ten scores $x_1 \dots x_k$ and we want ten probabilities: positive, with sum 1.
# To be positive, take exponentials. To sum to 1, divide by the sum. That is *softmax*:
#
# $$ y_i = \frac{e^{x_i}}{\sum_{m=1}^k e^{x_m}} . $$
#
# (Softmax is a function like any other, so here $x\ (k)$ goes in and $y\ (k)$ comes out, as in the package. The truth plays no
# part in this section. In section 5 the outputs are $p$ again, and the truth is $t$.)
#
# Why exponentials and not, say, squares? Because then *differences of scores are logarithms of odds*:
# $\log (y_i / y_j) = x_i - x_j$. Adding the same number to all scores changes nothing. With two classes and scores $z, 0$ it is
# the sigmoid again: $e^z/(e^z + 1) = \sigma(z)$.


# %%
def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


# %% tags=["check"]
x = rng.normal(size=(3, 4))
y = softmax(x)
plain = [[np.exp(a) / sum(np.exp(b) for b in row) for a in row] for row in x]
assert np.allclose(y, plain)
assert np.allclose(np.log(y[:, 0] / y[:, 1]), x[:, 0] - x[:, 1])
assert np.allclose(softmax(x + 7), y)
assert np.allclose(softmax(np.array([0.3, 0.0]))[0], sigmoid(0.3))

# %% [markdown]
# The code takes out the largest score first. By the rule just checked this changes nothing in the result. It changes
# everything in the computer: $e^{1000}$ is infinite there, and infinite over infinite is no number. With the maximum taken
# out, every exponent is at most 0, and one of them is 0, so the sum is at least 1.

# %% tags=["check"]
assert np.allclose(softmax(np.array([1000.0, 0.0, 0.0])), [1, 0, 0])
with np.errstate(all="ignore"):
    naive = np.exp([1000.0, 0.0, 0.0]) / np.sum(np.exp([1000.0, 0.0, 0.0]))
assert np.isnan(naive[0])

# %% [markdown]
# ### Three numbers, by hand
#
# Let the scores be $x = (1, 2, 3)$. Then $e^x = (2.718,\ 7.389,\ 20.086)$, their sum is 30.193, and
# $y = (0.0900,\ 0.2447,\ 0.6652)$. The largest score gets two thirds of the weight; none gets zero.
#
# Raise the *second* score a little, from 2 to 2.1. Before you run the cell: which of the three outputs go up, and which
# go down?

# %%
before = softmax(np.array([1.0, 2.0, 3.0]))
print("before", before)
print("change", softmax(np.array([1.0, 2.1, 3.0])) - before)

# %% [markdown]
# One goes up, both others go down, and the three changes sum to 0: they must, since the outputs always sum to 1.
#
# ### The Jacobian
#
# Every output depends on every score, so there are $k \times k$ slopes. To find them take logarithms, so that the quotient
# becomes a difference:
#
# $$ \log y_i = x_i - \log \sum_m e^{x_m} . $$
#
# Differentiate by $x_j$. The first term gives 1 where $i = j$ and 0 elsewhere; write $\delta_{ij}$ for that. In the second,
# the derivative of the logarithm is one over the sum, times the derivative of the sum, which is $e^{x_j}$: together
# $e^{x_j}/\sum_m e^{x_m} = y_j$. On the left, $\log y_i$ gives $(\partial y_i/\partial x_j)/y_i$. So
#
# $$ \frac{\partial y_i}{\partial x_j} = y_i\,(\delta_{ij} - y_j) . $$
#
# For $x = (1, 2, 3)$ and $j = 2$ this is $(-0.0220,\ 0.1848,\ -0.1628)$ per unit. A tenth of it is what you saw, up to the
# curve's bend. The off-diagonal slopes are negative, and each column sums to 0: what one gains the others pay.
#
# Here are the three outputs while the second score moves, and all nine slopes at $(1, 2, 3)$:

# %% tags=["picture"]
x = np.array([1.0, 2.0, 3.0])
step = 1e-6
columns = [
    (softmax(x + step * unit) - softmax(x - step * unit)) / (2 * step)
    for unit in np.eye(3)
]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.3), layout="constrained")
moved = np.linspace(-3, 6, 200)
outputs = softmax(np.stack([np.full(200, 1.0), moved, np.full(200, 3.0)], axis=1))
for i, (colour, line) in enumerate(((BLUE, "-."), (ORANGE, "-"), (GREEN, "--"))):
    left.plot(moved, outputs[:, i], line, color=colour, label=f"$y_{i + 1}$")
left.axvline(2, color="grey", linewidth=0.8, linestyle=":")
left.set(xlabel="second score $x_2$", ylabel="probability")
left.set_title("softmax of (1, $x_2$, 3)")
left.legend(frameon=False)
right.imshow(np.array(columns).T, cmap="PuOr", vmin=-0.5, vmax=0.5)
for i in range(3):
    for j in range(3):
        right.text(j, i, f"{columns[j][i]:.3f}", ha="center", va="center")
right.set(xlabel="score j", ylabel="output i", title="slopes at (1, 2, 3)")
right.set_xticks(range(3), "123")
right.set_yticks(range(3), "123")
plt.show()

# %% tags=["check"]
x = np.array([1.0, 2.0, 3.0])
y = softmax(x)
for j in range(3):
    formula = [y[i] * ((i == j) - y[j]) for i in range(3)]
    step = 1e-6 * np.eye(3)[j]
    assert np.allclose(
        formula, (softmax(x + step) - softmax(x - step)) / 2e-6, atol=1e-9
    )
    assert np.isclose(sum(formula), 0)
    if j == 1:
        assert np.allclose(formula, [-0.0220, 0.1848, -0.1628], atol=5e-5)

# %% [markdown]
# ### Backward, without the matrix
#
# In a network, a $g_i = \partial L/\partial y_i$ arrives from above. Score $x_j$ touches every output, so the chain rule sums
# over all of them:
#
# $$ \begin{aligned} \bar x_j &= \sum_i g_i\, y_i (\delta_{ij} - y_j) = g_j y_j - y_j \sum_i g_i y_i \\
#    &= y_j \Big( g_j - \sum_i g_i y_i \Big). \end{aligned} $$
#
# Read the bracket aloud: *how much more does class j bring than the average, weighted by what I believe?* For $k$ classes
# this costs about $4k$ operations. The matrix has $k^2$ entries to compute and to multiply. It is the line that runs in
# every attention layer of chapter 08. The package has it in `derivations/softmax.py`. We read it from there:

# %%
print(inspect.getsource(derivations.softmax.backward))

# %% [markdown]
# Line by line. `saved` is what the forward pass kept, its output and its input; the formula needs the output only. The sum
# is $\sum_i g_i y_i$, one number for each row, and `keepdims` leaves it as a column, so that it is taken from every entry
# of its row. The last comma makes a tuple: one gradient for each input, and here there is one.

# %% tags=["check"]
g, x = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
(dx,) = derivations.softmax.backward(g, (softmax(x), x))
for row in range(3):
    y = softmax(x[row])
    jacobian = np.array(
        [[y[i] * ((i == j) - y[j]) for j in range(4)] for i in range(4)]
    )
    assert np.allclose(dx[row], g[row] @ jacobian)
assert check_backward(
    softmax, lambda g, x: derivations.softmax.backward(g, (softmax(x), x))[0], x
)

# %% [markdown]
# ## 5. The cross-entropy of classes
#
# The class that was true is $t$. The model gave it probability $p_t$, and by section 2 that costs
#
# $$ \ell = -\log p_t = \log \sum_m e^{x_m} - x_t . $$
#
# The right side is $\log y_i$ of the Jacobian's derivation, with its sign turned. It needs no division and no logarithm of a
# tiny number. Differentiate it by $x_c$. You know the first term: it gives $p_c$. The second gives −1 where $c = t$:
#
# $$ \frac{\partial \ell}{\partial x_c} = p_c - \delta_{ct} . $$
#
# The small miracle again: what was said minus what was true, a number between −1 and 1, however sure and wrong the model is.
# To see what cancels, go the long way, through the backward pass of softmax. Of all $p_i$ only $p_t$ is in $-\log p_t$. So
# $g_t = -1/p_t$, the other $g_i$ are 0, and $\sum_i g_i p_i = -1$:
#
# $$ \bar x_c = p_c\,(g_c + 1) = p_c \quad \text{for } c \neq t, \qquad
#    \bar x_t = p_t \Big( {-\frac{1}{p_t}} + 1 \Big) = p_t - 1 . $$
#
# The $1/p_t$ of the logarithm, which explodes for Bob, meets the $p_t$ of softmax, which fades for him.
#
# **By hand.** Scores $(1, 2, 3)$, truth: the first class. The cost is $\log 30.193 - 1 = 2.408$; the gradient is
# $(0.0900 - 1,\ 0.2447,\ 0.6652)$. It sums to 0. A step against it raises the first score and lowers the other two.
#
# In code, for a batch: `x` is $(n, k)$, `t` has $n$ class numbers, which count from 0, and the loss is the mean.


# %%
def cross_entropy(x, t):
    top = np.max(x, axis=-1, keepdims=True)  # the same trick: no exponent above 0
    log_sum = np.log(np.sum(np.exp(x - top), axis=-1)) + top[..., 0]
    return np.mean(log_sum - x[np.arange(len(t)), t])


# %% tags=["check"]
x, t = np.array([[1.0, 2.0, 3.0]]), np.array([0])
assert np.isclose(cross_entropy(x, t), 2.4076, atol=1e-4)
x, t = rng.normal(size=(5, 4)), np.array([0, 3, 2, 2, 1])
assert np.isclose(
    cross_entropy(x, t),
    np.mean([-np.log(softmax(x)[i, c]) for i, c in enumerate(t)]),
)
p = softmax(x)
g = np.where(np.eye(4)[t] == 1, -1 / p, 0)  # the long way
(long_way,) = derivations.softmax.backward(g, (p, x))
assert np.allclose(long_way, p - np.eye(4)[t])
scores = tn.tensor(x, requires_grad=True)
loss = tn.nn.functional.cross_entropy(scores, tn.tensor(t))
loss.backward()
assert np.isclose(loss.item(), cross_entropy(x, t))
assert np.allclose(scores.grad.numpy(), long_way / 5)  # the mean: a fifth each

# %% [markdown]
# Let the package explain its own gradient, on the sample that we did by hand. Choose *Derivation*:

# %%
scores = tn.tensor([[1.0, 2.0, 3.0]], requires_grad=True, name="x")
truth = tn.tensor([0], name="t")
tn.explain(tn.nn.functional.cross_entropy(scores, truth))

# %% [markdown]
# ### Entropy, and what nobody can avoid
#
# Back to the coin. It fell on heads in a share $q_1 = 0.7$ of the throws, and on tails in $q_2 = 0.3$. Say $p_1$ and
# $p_2 = 1 - p_1$ of them. Of ten costs seven are $-\log p_1$ and three are $-\log p_2$, so the *mean* cost is
# $-0.7 \log p_1 - 0.3 \log p_2$. The same for any number of classes, where class $c$ was true in a share $q_c$ of the $n$
# samples, and $p_c$ is said of it each time:
#
# $$ -\frac1n \sum_{i=1}^n \log p_{t_i} = -\sum_c q_c \log p_c = H(q, p), $$
#
# the *cross-entropy* of $q$ and $p$. The coin costs least at $p = q$, as we saw, and even then it costs 0.611 a throw. That is
# $H(q) = -\sum_c q_c \log q_c$, the *entropy*: what the truth costs those who know it exactly. Whoever says $p$ instead
# pays more by the difference. Since $-\log p_c = -\log q_c + \log (q_c/p_c)$,
#
# $$ \underbrace{-\sum_c q_c \log p_c}_{H(q, p)} = \underbrace{-\sum_c q_c \log q_c}_{H(q)}
#    + \underbrace{\sum_c q_c \log \frac{q_c}{p_c}}_{\mathrm{KL}(q \,\|\, p)} . $$
#
# The last term is the *Kullback–Leibler divergence*. It is never negative: the logarithm lies below its tangent at 1,
# $\log u \le u - 1$. Put $u = p_c/q_c$:
#
# $$ -\mathrm{KL} = \sum_c q_c \log \frac{p_c}{q_c} \le \sum_c q_c \Big(\frac{p_c}{q_c} - 1\Big)
#    = \sum_c p_c - \sum_c q_c = 0 . $$
#
# The tangent touches at $u = 1$ only, so KL is 0 only where $p = q$. (It is no distance: $\mathrm{KL}(q \,\|\, p)$ and
# $\mathrm{KL}(p \,\|\, q)$ differ.)
#
# So three sentences say the same: *make the data most probable; make the cross-entropy smallest; bring the model's
# distribution as near to the data's as KL allows.* They differ by the factor $n$ and by $H(q)$, which has no parameter in it.
# (A model that looks at an input says another $p$ for each. Then all this holds for every input by itself.)


# %%
def cross(q, p):
    return -np.sum(q * np.log(p))


def kl(q, p):
    return np.sum(q * np.log(q / p))


# %% tags=["check"]
for _ in range(100):
    q, p = softmax(rng.normal(size=(2, 5)))
    assert np.isclose(cross(q, p), cross(q, q) + kl(q, p))
    assert kl(q, p) > 0
    assert kl(q, p) != kl(p, q)
q, p = np.array([0.5, 0.5]), np.array([0.25, 0.75])
assert np.isclose(cross(q, p), 0.5 * np.log(4) + 0.5 * np.log(4 / 3))
assert np.isclose(kl(q, p), 0.5 * np.log(4 / 3))
q, p = np.array([0.7, 0.3]), np.array([0.6, 0.4])  # the coin
assert np.isclose(cross(q, p), negative_log_likelihood(0.6, 7, 3) / 10)
assert np.isclose(cross(q, q), 0.611, atol=5e-4)
u = np.linspace(0.01, 5, 500)
assert np.all(np.log(u) <= u - 1)

# %% [markdown]
# ## 6. Real data: ten digits, two losses
#
# 1,797 digits of 8 × 8 pixels (they ship with the package). One layer of weights, no hidden neurons: the scores are
# $X W^\top + b$, with $X\ (n, 64)$ and $W\ (10, 64)$. We train it by the squared error of the probabilities and by the
# cross-entropy, from nothing but the formulas above, and from two starts:
#
# - *all weights 0.* Every class gets 1/10: the model admits that it knows nothing. (Chapter 03 warned about equal
#   *hidden* neurons. There are none here, and the truths differ from class to class.)
# - *large random weights.* The model knows nothing and is sure of it, like Bob: its favourite class gets 0.81 on average.
#
# One thing must be fair. With all $p = \tfrac1{10}$ the push of the squared error is exactly a fifth of the other, so equal
# rates would not be equal chances. Each loss is run with five rates. The one drawn is the one that had the largest share
# of *training* digits right, in the mean over the steps. **Before you run it:** from which start will the loss matter?

# %% tags=["check"]
p = np.full((1, 10), 0.1)
error = p - np.eye(10)[[3]]
(dx,) = derivations.softmax.backward(2 * error, (p, None))
assert np.allclose(dx, error / 5)

# %% tags=["slow"]
train, test = tn.data.load_digits(scaled=True).split(0.2, seed=0)
X, X_test = (d.images.numpy().reshape(-1, 64).astype(float) for d in (train, test))
T, T_test = train.labels.numpy(), test.labels.numpy()


def right_share(scores, T):
    return np.mean(np.argmax(scores, axis=1) == T)


def learn(loss, W, rate, steps=400):
    b, known, held_out = np.zeros(10), [], []
    for _ in range(steps):
        p = softmax(X @ W.T + b)
        known.append(right_share(p, T))
        error = p - np.eye(10)[T]
        if loss == "cross-entropy":
            dx = error
        else:  # g = 2 error, through the backward pass of softmax
            dx = 2 * p * (error - np.sum(error * p, axis=1, keepdims=True))
        W, b = W - rate * dx.T @ X / len(T), b - rate * np.mean(dx, axis=0)
        held_out.append(right_share(X_test @ W.T + b, T_test))
    return W, b, held_out, np.mean(known)


starts = {
    "all weights 0": np.zeros((10, 64)),
    "sure of nonsense": 2 * np.random.default_rng(0).normal(size=(10, 64)),
}
rates = 2, 4, 8, 16, 32
print("held-out digits right after 400 steps, at the rates", *rates)
figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.2), layout="constrained")
for ax, (start, W0) in zip(axes, starts.items()):
    print(f"{start}: the favourite gets {softmax(X @ W0.T).max(axis=1).mean():.2f}")
    for loss, line, colour in (
        ("squared error", "--", ORANGE),
        ("cross-entropy", "-", BLUE),
    ):
        runs = [learn(loss, W0, rate) for rate in rates]
        best = np.argmax([run[3] for run in runs])
        print(f"  {loss}", *(f"{run[2][-1]:7.1%}" for run in runs))
        label = f"{loss}, rate {rates[best]}"
        ax.plot(range(1, 401), runs[best][2], line, color=colour, label=label)
        if (start, loss) == ("all weights 0", "cross-entropy"):
            W, b, _, _ = runs[best]  # for the next picture
    ax.set(xlabel="step", xscale="log", ylim=(0, 1), title=start)
    ax.legend(frameon=False, fontsize=9, loc="lower right" if W0.any() else "best")
axes[0].set_ylabel("share of held-out digits right")
plt.show()

# %% [markdown]
# From 0 nobody is sure and wrong, and after 400 steps the two are level. (Many readers expect a difference here. With the
# same rate for both you would see one, but it would be the factor 5.) From the bad start most samples are Bobs. Under the
# squared error they are told almost nothing, and one digit in eight is still lost at the end. A second difference stands
# in the rows of numbers: the cross-entropy bears every rate. Under the squared error a rate that is too large leads to sure
# mistakes, and there the push is nearly 0, so the run stays there.
#
# Which digits cost the trained model most? The loss knows. These are the twelve held-out digits with the largest
# $-\log p_t$:

# %% tags=["slow"]
p = softmax(X_test @ W.T + b)
cost = -np.log(p[np.arange(len(T_test)), T_test])
worst = np.argsort(-cost)[:12]
tn.plot.images(
    test.images.numpy()[worst], T_test[worst], np.argmax(p[worst], axis=1)
)
plt.show()
print("their costs:", np.round(cost[worst], 1))
print(f"the median of all: {np.median(cost):.3f}")

# %% [markdown]
# You would hesitate at some of them, too. Looking at the worst samples tells you as much as any loss curve.
#
# ## 7. What goes wrong
#
# **A blind check.** Somebody averages where the formula weighs, `g.mean()` instead of $\sum_i g_i y_i$. They test their
# gradient, as many do, by the sum of the outputs, which means $g = 1$. Both sides are 0, and the check is content. It
# would be content with a backward pass that returns zeros: $\sum_i y_i = 1$ is constant, so nothing can be seen in it.


# %% tags=["wrong"]
def averaged_backward(g, x):
    y = softmax(x)
    return y * (g - np.mean(g, axis=-1, keepdims=True))


x = rng.normal(size=(2, 3))
ones = np.ones_like(x)
numeric = np.zeros_like(x)
for index in np.ndindex(x.shape):
    step = np.zeros_like(x)
    step[index] = 1e-6
    numeric[index] = (np.sum(softmax(x + step)) - np.sum(softmax(x - step))) / 2e-6
print(
    "by the sum, claimed and true differ by",
    np.abs(averaged_backward(ones, x) - numeric).max().round(9),
)
print(check_backward(softmax, averaged_backward, x))

# %% [markdown]
# The same code under a random $g$ fails, and the report says what is missing. **A check needs a cotangent without
# symmetry** (chapter 01).
#
# **Softmax, then a logarithm.** For scores $(0, 800)$ and truth 0, softmax gives exactly 0, and the loss is infinite. The
# cross-entropy *of scores* has no such problem: $\log\sum e^x - x_0 = 800$.

# %% tags=["check"]
far = np.array([[0.0, 800.0]])
with np.errstate(divide="ignore"):
    assert -np.log(softmax(far)[0, 0]) == np.inf
assert cross_entropy(far, np.array([0])) == 800

# %% [markdown]
# **Softmax over the wrong axis.** For a batch `x (n, k)`, `softmax` over axis 0 lets the *samples* compete. Shapes fit, the
# loss falls, and each answer depends on its neighbours in the batch. The test: the answer for a row must not change when
# another row does.

# %% tags=["check"]
x = rng.normal(size=(4, 3))
other = x.copy()
other[1:] += rng.normal(size=(3, 3))
assert np.allclose(softmax(x)[0], softmax(other)[0])
assert not np.allclose(softmax(x.T).T[0], softmax(other.T).T[0])  # the wrong axis

# %% [markdown]
# **A mistake for you to find.** This backward pass trains. Its answers are too timid, and it learns slowly from its
# worst mistakes. Exercise 6 is to find out why.


# %% tags=["wrong"]
def bce_backward(g, z, y):  # the loss of each sample is log(1 + e^z) − y z
    y_hat = 1 / (1 + np.exp(-z))
    return g * (y_hat - y) * y_hat * (1 - y_hat)


# %% [markdown]
# ## 8. Exercises
#
# Each one answers at once: with the properties that hold, and for the first that does not, with the simplest case and
# what is wrong there. `tn.exercise("04.softmax").hint()` gives a hint; there are three, each saying more.
#
# **1. By hand.** What does a model with the scores $(1, 2, 3)$ pay if the second class was true?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("04.cross_entropy").check(your_number)

# %% [markdown]
# **2. Forward.** Softmax with a temperature, for scores of any size, without looking at section 4.


# %% tags=["exercise"]
def my_softmax(x, tau): ...


tn.exercise("04.softmax").check(my_softmax)

# %% [markdown]
# **3. Derivation.** Section 4 asked: why exponentials and not squares? Take squares, $y_i = x_i^2 / \sum_m x_m^2$, no $x_i$ being
# 0. Derive all slopes $\partial y_i/\partial x_j$, and write them as a matrix. (The logarithm helps again. What is the slope of an
# output whose score is near 0?)


# %% tags=["exercise"]
def my_jacobian(x): ...


tn.exercise("04.jacobian").check(my_jacobian)

# %% [markdown]
# **4. Backward.** $v = \log$ softmax$(x)$ has a backward pass of its own. Derive it, then write it.


# %% tags=["exercise"]
def my_log_softmax_backward(g, x): ...


tn.exercise("04.log_softmax_backward").check(my_log_softmax_backward)

# %% [markdown]
# **5. Backward, with a doubt.** *Label smoothing* trusts the labels only to $1 - \varepsilon$: the truth of a sample of class $t$
# becomes $q_c = (1 - \varepsilon)\,\delta_{ct} + \varepsilon/k$, and its cost is $H(q, p)$ with $p = \mathrm{softmax}(x)$. Write the gradient of
# the mean over a batch. (Which scores are now best?)


# %% tags=["exercise"]
def my_smoothed_backward(g, x, t, eps): ...


tn.exercise("04.smoothed_backward").check(my_smoothed_backward)

# %% [markdown]
# **6. Find the mistake** in `bce_backward` of section 7. Change this copy until it is right.


# %% tags=["exercise"]
def my_bce_backward(g, z, y):
    y_hat = 1 / (1 + np.exp(-z))
    return g * (y_hat - y) * y_hat * (1 - y_hat)


tn.exercise("04.planted_bug").check(my_bce_backward)

# %% [markdown]
# **7. For a quiet hour** (paper only). Show that $\log(1 + e^z) - y z$ is the binary cross-entropy of $\hat y = \sigma(z)$,
# and that its second derivative by $z$ is $\hat y(1 - \hat y) > 0$. What does that say about the loss surface of one neuron?
#
# ## Words
#
# | | |
# |---|---|
# | loss | 损失 |
# | mean squared error | 均方误差 |
# | likelihood, maximum likelihood | 似然, 最大似然 |
# | cross-entropy; binary cross-entropy | 交叉熵; 二元交叉熵 |
# | score, before softmax (*logit*) | 得分 (logit) |
# | softmax | softmax 函数 (归一化指数函数) |
# | entropy; Kullback–Leibler divergence | 熵; KL 散度 |
# | saturated | 饱和 |
#
# ## What to read next
#
# - In the package: `python -m tinynet where cross_entropy` prints its formula, its derivation and its lines of code;
#   `kernels/cross_entropy.py` is the same in one pass over memory.
# - Chapter 05 puts layers below these scores. Chapter 08 puts softmax inside the network.
# - C. Bishop, *Pattern Recognition and Machine Learning*, 2006, sections 4.3 and 1.6. I. Goodfellow, Y. Bengio and
#   A. Courville, *Deep Learning*, 2016, sections 5.5 and 6.2.
