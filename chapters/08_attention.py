# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Attention
#
# *3 May 1987* is to become *1987-05-03*. The first thing to write stands at the end of what is read; the last, at its
# beginning. A recurrent network (chapter 07) has to carry everything along until it is needed. Would it not be better to
# *look it up*? Attention is a dictionary whose look-up has a derivative.
#
# **After this chapter you can**
# 1. explain attention as a weighted mean, and compute one by hand;
# 2. say what is wrong with the formula that a document prints, and show it by a number;
# 3. derive why scores are divided by $\sqrt d$, and measure what happens without;
# 4. derive the whole backward pass, do it by hand, and write it in six lines;
# 5. mask, split into heads, and compute attention without ever holding its $n \times n$ table.
#
# **You need** softmax and its backward pass (chapter 04), matrix products and shapes (00), a recurrent network (07).
# **Time** about 110 minutes, and 45 for the exercises.
# **Sources** document A, 3.1, 4.1–4.3; A. Vaswani and others, *Attention Is All You Need*, 2017.
#
# Notation: queries $Q\ (l, d)$, keys $K\ (s, d)$, values $V\ (s, v)$; scores $S\ (l, s)$, weights $P\ (l, s)$, output
# $Y\ (l, v)$. Small letters with an index are entries: $q_{ie}$, $k_{je}$, $v_{jf}$. Index $i$ counts queries, $j$ and $m$
# count keys, $e$ runs to $d$ (the document's $d_k$), $f$ to $v$.

# %%
import calendar
import inspect
import math
import random
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations, nn
from tinynet.check import check_backward
from tinynet.nn import functional as F

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(8)
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

# %% [markdown]
# ## 1. A dictionary that answers in part
#
# A dictionary holds keys and values. You bring a query; if it equals a key you get that key's value. *If it equals*: a tiny
# change of the query changes everything or nothing, and there is no derivative in that.
#
# So let every key answer in part. Say how well key $k_j$ fits the query $q$ by their scalar product. Turn these *scores*
# into weights that are positive and sum to 1; softmax does that (chapter 04). The answer is the mean of the values under
# these weights:
#
# $$ s_j = \sum_e q_e k_{je}, \qquad p_j = \frac{e^{s_j}}{\sum_m e^{s_m}}, \qquad y = \sum_j p_j v_j . $$
#
# **By hand.** Two keys, $k_1 = (1, 0)$ and $k_2 = (0, 1)$, with the values 10 and 20. The query is $q = (\log 3, 0)$. The scores are
# $\log 3$ and $0$, their exponentials 3 and 1, the weights 0.75 and 0.25. The answer: $7.5 + 5 = 12.5$. What is it for the query
# $(0, 0)$, which prefers nobody? And for $(100, 0)$?

# %%
keys, values = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([10.0, 20.0])


def answer(query):
    e = np.exp(keys @ query)
    return e / e.sum() @ values


for first in (math.log(3), 0, 100):
    print(f"query ({first:.4g}, 0) -> {answer([first, 0]):.4g}")

# %% tags=["check"]
assert np.isclose(answer([math.log(3), 0]), 0.75 * 10 + 0.25 * 20)
assert np.isclose(answer([0, 0]), 15)
assert np.isclose(answer([100, 0]), 10)

# %% [markdown]
# Nobody preferred: the plain mean, 15. Strongly preferred: the first value itself, as in a dictionary. Between the two
# everything is smooth. The next picture moves the query from the first key to the second, $(1 - t,\ t)$ with $t$ from 0 to 1.
# **Guess first:** what does a query five times as long do to the curve?

# %% tags=["picture"]
t = np.linspace(0, 1, 201)
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for length, line, colour in ((1, "-", BLUE), (5, "--", GREEN), (100, ":", ORANGE)):
    y = [answer(length * np.array([1 - place, place])) for place in t]
    ax.plot(t, y, line, color=colour, label=f"{length} × query")
ax.set(xlabel="t: from the first key to the second", ylabel="answer", xlim=(0, 1))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Five times as long: five times the scores, and a steeper step. A hundred times: the dictionary is back, flat on both sides.
# **Where it is flat, there is no gradient.** Section 3 comes back to this.
#
# ## 2. The formula
#
# Many queries at once are rows of a matrix. With all scores in $S = QK^\top/\sqrt d$ (the root is explained in section 3)
#
# $$ s_{ij} = \frac{1}{\sqrt d}\sum_e q_{ie} k_{je}, \qquad
#    P_{ij} = \frac{e^{s_{ij}}}{\sum_m e^{s_{im}}}, \qquad y_{if} = \sum_j P_{ij} v_{jf} . $$
#
# Each row of $P$ sums to 1: query $i$ divides its attention among the *keys*. In matrices:
#
# $$ Y = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt d}\right) V, \qquad
#    (l, d)(d, s) \to (l, s), \quad (l, s)(s, v) \to (l, v) . $$


# %%
def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(q, k, v):
    s = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    return softmax(s) @ v


# %% tags=["check"]
q, k, v = rng.normal(size=(3, 4)), rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
for i in range(3):
    e = [math.exp(sum(q[i] * k[j]) / 2) for j in range(5)]  # √4 = 2
    mean = sum(e[j] / sum(e) * v[j] for j in range(5))
    assert np.allclose(attention(q, k, v)[i], mean)
assert np.allclose(softmax(q).sum(axis=-1), 1)
no_mask, no_dropout = True, True  # the package's function has both
expected = derivations.attention.definition(q, k, v, no_mask, no_dropout)
assert np.allclose(attention(q, k, v), expected)

# %% [markdown]
# ### As printed
#
# Document A, 4.1, prints the formula without the sum:
#
# $$ \mathrm{Attention}(Q, K, V) = \frac{\exp(QK^\top/\sqrt{d_k})}{\exp(QK^\top/\sqrt{d_k})} \cdot V . $$
#
# Entry by entry the quotient is 1. **Before you go on:** what does the dictionary of section 1 answer then, to
# $(\log 3, 0)$ and to $(100, 0)$?
#
# Every key counts fully, and every query gets the same answer, $10 + 20 = 30$: the sum of all values. What is missing is the
# sum over the keys below the line, $\sum_m e^{s_{im}}$. A 4.2 then says in words that the weights are *added* to the values.
# Read literally, with weights that do sum to 1, that gives $1 + 30 = 31$, again for every query. Weights *multiply* values,
# and the products are added.

# %% tags=["check"]
ways = {"right": attention, "printed": derivations.attention.as_printed}
ways["in words"] = derivations.attention.as_worded
queries = np.array([[math.log(3), 0], [0, 0], [100, 0]]) * math.sqrt(2)  # section 1
for name, function in ways.items():
    print(f"{name:9}", np.round(function(queries, keys, values[:, None])[:, 0], 4))
found = [f(queries, keys, values[:, None])[:, 0] for f in ways.values()]
assert np.allclose(found, [[12.5, 15, 10], [30, 30, 30], [31, 31, 31]])
printed = derivations.attention.as_printed(q, k, v)
assert np.allclose(printed, v.sum(axis=0))  # and so for any numbers

# %% [markdown]
# (The queries were made $\sqrt 2$ times longer there, so that the division by $\sqrt d$ leaves the scores of section 1.)
#
# ### Where queries, keys and values come from
#
# From the tokens, by three linear layers. Let $X\ (n, c)$ hold one row for each token. Then
#
# $$ Q = X W_Q^\top, \qquad K = X W_K^\top, \qquad V = X W_V^\top, \qquad W_Q, W_K\ (d, c), \quad W_V\ (v, c) . $$
#
# One row of $X$ plays three parts: what it asks for, by what it is found, and what it says when it is found. If all three
# are made of the same $X$, this is *self-attention*: a text looks at itself. If the queries come from elsewhere, from the
# text that is being written, say, it is *cross-attention*. All that is learned are the matrices $W$. There are no weights
# *between places*; those are computed, anew for each text.

# %% [markdown]
# ## 3. Why divide by the root of $d$?
#
# How large is a score at the start of a training, when nothing is known? Let all entries of $q$ and $k$ be independent,
# with mean 0 and variance 1. Independence lets the mean of a product fall apart into a product of means:
#
# $$ \mathbb E[q_e k_e] = \mathbb E[q_e]\,\mathbb E[k_e] = 0, \qquad
#    \operatorname{Var}[q_e k_e] = \mathbb E[q_e^2 k_e^2] - 0^2 = \mathbb E[q_e^2]\,\mathbb E[k_e^2] = 1 . $$
#
# The $d$ terms of a score are independent of each other, so their variances add up. A factor $c$ before a random number
# multiplies its variance by $c^2$. Hence
#
# $$ \operatorname{Var}\Big[\sum_{e=1}^d q_e k_e\Big] = d, \qquad
#    \operatorname{Var}\Big[\frac{1}{\sqrt d}\sum_{e=1}^d q_e k_e\Big] = \frac1d\, d = 1 . $$
#
# At $d = 64$ the scores have the standard deviation 8. Two keys whose scores are one such step apart differ in weight by
# $e^8 \approx 3000$; divided by the root, by $e \approx 2.7$. Without the root one key gets nearly all. **What does that do
# to the gradient?** Remember the Jacobian of softmax, $\partial p_i/\partial s_j = p_i(\delta_{ij} - p_j)$. For weights
# $(0.999,\ 0.001)$ each of its four entries is $\pm 0.001$; for $(0.7,\ 0.3)$ it is $\pm 0.21$.

# %% tags=["check"]
for d in (4, 64, 256):
    products = rng.normal(size=(20_000, d)) * rng.normal(size=(20_000, d))
    assert abs(np.mean(products)) < 0.01
    assert abs(np.var(products) - 1) < 0.05
    assert abs(np.var(products.sum(axis=1)) / d - 1) < 0.05
    assert abs(np.var(products.sum(axis=1) / math.sqrt(d)) - 1) < 0.05
for p in (np.array([0.999, 0.001]), np.array([0.7, 0.3])):
    jacobian = np.diag(p) - np.outer(p, p)
    assert np.allclose(np.abs(jacobian), p[0] * p[1])  # 0.000999 and 0.21
    for j, step in enumerate(1e-6 * np.eye(2)):
        move = softmax(np.log(p) + step) - softmax(np.log(p) - step)
        assert np.allclose(jacobian[:, j], move / 2e-6)

# %% tags=["picture"]
sizes = 2 ** np.arange(0, 11)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
for name, power, line, colour in (
    ("plain", 0.0, "s--", ORANGE),
    ("divided by √d", 0.5, "o-", BLUE),
):
    largest, slope = [], []
    for d in sizes:
        p = softmax(rng.normal(size=(200, d)) @ rng.normal(size=(d, 32)) / d**power)
        largest.append(p.max(axis=1).mean())
        slope.append((p * (1 - p)).sum(axis=1).mean())  # the Jacobian's diagonal
    left.plot(sizes, largest, line, color=colour, label=name)
    right.plot(sizes, slope, line, color=colour, label=name)
left.set(
    xscale="log", xlabel="width d", ylabel="weight of the favourite", ylim=(0, 1)
)
right.set(xscale="log", xlabel="width d", ylabel="Σ p (1 − p)", ylim=(0, 1))
left.set_title("32 random keys: who gets the weight")
right.set_title("and what is left of the slope")
left.legend(frameon=False)
right.legend(frameon=False)
plt.show()

# %% [markdown]
# The dashed curve ends as the dictionary of section 1, flat: one key takes all, and the slope is nearly gone. Gradient
# descent could not even begin. Divided by the root, nothing depends on the width.
#
# ## 4. The whole backward pass
#
# $G = \partial L/\partial Y\ (l, v)$ arrives. We walk the three formulas of section 2 backwards, the last one first.
#
# **Values.** $Y = PV$ is a matrix product: $y_{if} = \sum_j P_{ij} v_{jf}$. So $v_{jf}$ reaches every $y_{if}$ with the slope
# $P_{ij}$, and $P_{ij}$ reaches every $y_{if}$ with the slope $v_{jf}$:
#
# $$ \bar v_{jf} = \sum_i P_{ij}\, g_{if}, \qquad \bar P_{ij} = \sum_f g_{if}\, v_{jf},
#    \qquad\text{that is}\quad \bar V = P^\top G, \quad \bar P = G V^\top . $$
#
# **Weights.** Row $i$ of $P$ is the softmax of row $i$ of $S$, and of no other row. So $s_{ij}$ reaches all weights $P_{im}$ of
# its own row, with the slopes $P_{im}(\delta_{mj} - P_{ij})$ of chapter 04:
#
# $$ \bar s_{ij} = \sum_m \bar P_{im}\, P_{im}\,(\delta_{mj} - P_{ij}) = P_{ij}\,\big(\bar P_{ij} - D_i\big),
#    \qquad D_i = \sum_m \bar P_{im} P_{im} . $$
#
# $D_i$ is the mean of row $i$ of $\bar P$ under the weights. So $\bar s_{ij}$ is positive where more of value $j$ would raise $L$ by more
# than the mean of all values does, and negative where it would raise it by less. It is scaled by the weight that the key has already.
#
# **Scores.** $s_{ij} = \sum_e q_{ie} k_{je}/\sqrt d$. The entry $q_{ie}$ reaches the scores of its row, for every $j$, with the
# slope $k_{je}/\sqrt d$. The entry $k_{je}$ reaches the scores of its *column*, for every $i$, with the slope $q_{ie}/\sqrt d$:
#
# $$ \bar q_{ie} = \frac{1}{\sqrt d} \sum_j \bar s_{ij}\, k_{je}, \quad \bar k_{je} = \frac{1}{\sqrt d} \sum_i \bar s_{ij}\, q_{ie},
#    \qquad\text{that is}\quad \bar Q = \frac{\bar S K}{\sqrt d}, \quad \bar K = \frac{\bar S^\top Q}{\sqrt d} . $$
#
# Check the shapes: $\bar S K$ is $(l, s)(s, d)$, and $\bar S^\top Q$ is $(s, l)(l, d)$. A key is asked by all queries; so its
# gradient is a sum over all queries. That is what the transpose does.
#
# **By hand.** One query, two keys, $d = v = 1$: $q = \log 3$, keys 1 and 0, values 10 and 20. These are the scores of section
# 1, so $p = (0.75,\ 0.25)$ and $y = 12.5$. Let $g = 1$. Will $\bar q$ be positive or negative?
#
# | | key 1 | key 2 |
# |---|---|---|
# | $\bar v_j = p_j\, g$ | 0.75 | 0.25 |
# | $\bar p_j = g\, v_j$ | 10 | 20 |
# | $\bar s_j = p_j(\bar p_j - D)$, with $D = 0.75 \cdot 10 + 0.25 \cdot 20 = 12.5$ | −1.875 | 1.875 |
# | $\bar k_j = \bar s_j\, q$ | −2.0599 | 2.0599 |
#
# and $\bar q = -1.875 \cdot 1 + 1.875 \cdot 0 = -1.875$. Negative: a larger $q$ prefers the first key more, and its value is
# the smaller one. The two $\bar s_j$ sum to 0, since a shift of all scores changes nothing.


# %%
def attention_backward(g, q, k, v):
    root = math.sqrt(q.shape[-1])
    p = softmax(q @ k.T / root)
    dv = p.T @ g
    dp = g @ v.T
    ds = p * (dp - np.sum(dp * p, axis=-1, keepdims=True))
    return ds @ k / root, ds.T @ q / root, dv


by_hand = (
    np.array([[math.log(3)]]),
    np.array([[1.0], [0.0]]),
    np.array([[10.0], [20]]),
)  # q, k, v

# %% tags=["check"]
assert check_backward(attention, attention_backward, q, k, v)
g = rng.normal(size=(3, 2))
ours = attention_backward(g, q, k, v)
tensors = [tn.tensor(x, requires_grad=True) for x in (q, k, v)]
F.scaled_dot_product_attention(*tensors).backward(tn.tensor(g))
for one, two in zip(ours, tensors):
    assert np.allclose(one, two.grad.numpy())
dq, dk, dv = attention_backward(np.ones((1, 1)), *by_hand)
assert np.allclose(attention(*by_hand), 12.5)
assert np.allclose(dq, -1.875)
assert np.allclose(dk[:, 0], [-2.0599, 2.0599], atol=5e-5)
assert np.allclose(dv[:, 0], [0.75, 0.25])

# %% [markdown]
# The same numbers on the package's tape. Open the replay and move its slider: forward along the arrows, then backward,
# down to −1.875.

# %%
q1, k1, v1 = (
    tn.tensor(x, requires_grad=True, name=n) for x, n in zip(by_hand, "qkv")
)
y = (q1 @ k1.mT).softmax(-1) @ v1  # √d = 1
tn.explain(y[0, 0])

# %% [markdown]
# ### A number that was there all the time
#
# $D_i$ seems to need a whole row of $P$. But put $\bar P_{im} = \sum_f g_{if} v_{mf}$ in, and change the order of the sums:
#
# $$ D_i = \sum_m P_{im} \sum_f g_{if} v_{mf} = \sum_f g_{if} \sum_m P_{im} v_{mf} = \sum_f g_{if}\, y_{if} . $$
#
# The scalar product of what arrives and what left: $l$ numbers, and no table. Section 7 lives on this line.

# %% tags=["check"]
p = softmax(q @ k.T / 2)
dp = g @ v.T
assert np.allclose(np.sum(dp * p, axis=1), np.sum(g * attention(q, k, v), axis=1))

# %% [markdown]
# ### Back to the tokens
#
# In self-attention $Q$, $K$ and $V$ are three linear layers of the same $X\ (n, c)$. By chapter 05 each has
# $\bar W = \bar Z^\top X$, and each hands $\bar Z W$ back. $X$ was used three times, so three gradients add up:
#
# $$ \bar W_Q = \bar Q^\top X, \quad \bar W_K = \bar K^\top X, \quad \bar W_V = \bar V^\top X, \qquad
#    \bar X = \bar Q W_Q + \bar K W_K + \bar V W_V . $$


# %%
def self_attention(X, W_Q, W_K, W_V):
    return attention(X @ W_Q.T, X @ W_K.T, X @ W_V.T)


def self_attention_backward(g, X, W_Q, W_K, W_V):
    dQ, dK, dV = attention_backward(g, X @ W_Q.T, X @ W_K.T, X @ W_V.T)
    dX = dQ @ W_Q + dK @ W_K + dV @ W_V
    return dX, dQ.T @ X, dK.T @ X, dV.T @ X


# %% tags=["check"]
X = rng.normal(size=(4, 3))
W_Q, W_K, W_V = (rng.normal(size=size) for size in ((2, 3), (2, 3), (5, 3)))
assert check_backward(self_attention, self_attention_backward, X, W_Q, W_K, W_V)
order = rng.permutation(4)  # rows change places: so do the answers, and that is all
shuffled = self_attention(X[order], W_Q, W_K, W_V)
assert np.allclose(shuffled, self_attention(X, W_Q, W_K, W_V)[order])

# %% [markdown]
# The last two lines show something that you may not have expected. **Attention does not know the order of the tokens:** a sum
# over keys is the same in any order. What depends on places must be told. One adds to each token's vector a second one that
# belongs to its *place*, learned like all others. Section 9 does so.
#
# ## 5. Who may look at whom
#
# When a model writes a text, word $i$ must not look at the words after it: they are not written yet. Give those scores
# $-\infty$. Then their exponentials are 0, and the other weights still sum to 1. For word $i$ the keys $j \le i$ are left; this is
# the *causal* mask. In a batch of texts of different lengths the filling at the end, the *padding*, is masked in the same way.
#
# **By hand:** three words, and all scores are equal. Without a mask each word gives $\tfrac13$ to each. With the causal one the
# first row is $(1, 0, 0)$, the second $(\tfrac12, \tfrac12, 0)$, the third $(\tfrac13, \tfrac13, \tfrac13)$.


# %%
def masked_weights(s, allowed):
    s = np.where(allowed, s, -np.inf)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# %% tags=["check"]
equal = masked_weights(np.zeros((3, 3)), np.tri(3, dtype=bool))
assert np.allclose(equal, [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]])
x = rng.normal(size=(6, 4))
causal = np.tri(6, dtype=bool)  # True where j ≤ i
p = masked_weights(x @ x.T / 2, causal)
assert np.allclose(p.sum(axis=1), 1)
assert np.all(p[~causal] == 0)
later = x.copy()
later[4:] += 1.0  # change the end of the text
assert np.allclose(
    (p @ x)[:4], (masked_weights(later @ later.T / 2, causal) @ later)[:4]
)
package = F.scaled_dot_product_attention(*[tn.tensor(x)] * 3, is_causal=True)
assert np.allclose(p @ x, package.numpy())
real = np.arange(6) < 4  # a text of four, and two places of padding
p = masked_weights(x @ x.T / 2, real)
assert np.allclose((p @ x)[:4], attention(x[:4], x[:4], x[:4]))

# %% tags=["picture"]
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
for ax, (title, allowed) in zip(
    axes, {"no mask": real | True, "causal": causal, "padding": real}.items()
):
    image = ax.imshow(
        masked_weights(x @ x.T / 2, allowed), cmap="Blues", vmin=0, vmax=1
    )
    barred = ~np.broadcast_to(allowed, (6, 6))
    for i, j in np.argwhere(barred):
        ax.text(j, i, "×", ha="center", va="center", color="grey")
    ax.set(title=title, xlabel="key j", ylabel="query i")
figure.colorbar(image, ax=axes, label="weight")
plt.show()

# %% [markdown]
# The mask belongs *before* the softmax: zeros put in after it leave rows that do not sum to 1. And **the backward pass needs no
# new line**: where $P_{ij} = 0$, the formula $\bar s_{ij} = P_{ij}(\bar P_{ij} - D_i)$ gives 0 by itself. One case is left, a query that
# may look at *nothing*. Its exponentials sum to 0, and $0/0$ is NaN. The package answers 0 there, as PyTorch does.

# %% tags=["check"]
x = rng.normal(size=(3, 2))
allowed = np.array([[True, False, False], [True, True, False], [False] * 3])
nothing = F.scaled_dot_product_attention(
    *[tn.tensor(x)] * 3, attn_mask=tn.tensor(allowed)
)
assert np.array_equal(nothing.numpy()[2], [0, 0])


def allowed_attention(q, k, v):
    return masked_weights(q @ k.T / math.sqrt(2), allowed[:2]) @ v


def allowed_attention_backward(g, q, k, v):  # as before, with the masked weights
    p, dp = masked_weights(q @ k.T / math.sqrt(2), allowed[:2]), g @ v.T
    ds = p * (dp - np.sum(dp * p, axis=-1, keepdims=True))
    return ds @ k / math.sqrt(2), ds.T @ q / math.sqrt(2), p.T @ g


assert check_backward(
    allowed_attention, allowed_attention_backward, x[:2], x, 2 * x
)

# %% [markdown]
# ## 6. Several heads
#
# One set of weights gives one mean, and a mean blurs. Say that a query wants to know the values at *two* keys, $(1, 0)$ at the one
# and $(0, 1)$ at the other. Half of the weight on each, and the answer is $(\tfrac12, \tfrac12)$. Let the two values change places:
# the answer is $(\tfrac12, \tfrac12)$ again. What stood where is lost. Two sets of weights, one for each key, would say $(1, 0)$ *and*
# $(0, 1)$.
#
# So split the width $d$ into $h$ parts of $d/h$, the *heads*. Each attends by itself, with its own part of $q$, $k$ and $v$, and
# divides by the root of its *own* width, $\sqrt{d/h}$. The answers are put side by side. The splitting is a reshape and a change of
# axes, $(n, d) \to (n, h, d/h) \to (h, n, d/h)$:

# %% tags=["picture"]
n, d, h = 5, 8, 2
shade = np.zeros((n, d, 4))
shade[:, : d // h] = (0.0, 0.447, 0.698, 0.45)  # blue, head 1
shade[:, d // h :] = (0.835, 0.369, 0.0, 0.45)  # orange, head 2
p = softmax(rng.normal(size=(h, n, n)) * 2)
figure, panels = plt.subplot_mosaic(
    "XAPY\nXBRY",
    figsize=(9.6, 3.6),
    width_ratios=[8, 4, 5, 8],
    layout="constrained",
)
for name, part, title in (
    ("X", shade, "Q, K or V  (n, d)"),
    ("A", shade[:, :4], "head 1  (n, d/h)"),
    ("B", shade[:, 4:], "head 2"),
    ("Y", shade, "answers, side by side  (n, d)"),
):
    panels[name].imshow(part)
    panels[name].set_title(title, fontsize=10)
for name, weights, colours in (("P", p[0], "Blues"), ("R", p[1], "Oranges")):
    panels[name].imshow(weights, cmap=colours, vmin=0, vmax=1)
    panels[name].set_title("its weights  (n, n)", fontsize=10)
for ax in panels.values():
    ax.set(xticks=np.arange(-0.5, ax.get_xlim()[1]), yticks=np.arange(-0.5, n))
    ax.tick_params(length=0, labelbottom=False, labelleft=False)
    ax.grid(color="white", linewidth=1)
plt.show()

# %% [markdown]
# The scores of a head cost $n^2\, d/h$ products, and there are $h$ heads: together $n^2 d$, as before. Since each head's columns of $Q$
# come from rows of $W_Q$ of its own, it can learn to ask a question of its own. At the end a last matrix $W_O\ (d, d)$ mixes the answers.
#
# Backward there is nothing new. Reshaping and changing axes only move numbers, so the gradient moves the same way back: split $G$,
# let each head do section 4, put the parts side by side.


# %%
def split_heads(x, h):
    n, d = x.shape
    return x.reshape(n, h, d // h).transpose(1, 0, 2)


def merge_heads(y):
    return y.transpose(1, 0, 2).reshape(y.shape[1], -1)


def multi_head(q, k, v, h):
    return merge_heads(
        attention(split_heads(q, h), split_heads(k, h), split_heads(v, h))
    )


def multi_head_backward(g, q, k, v, h):
    heads = zip(*(split_heads(x, h) for x in (g, q, k, v)))
    by_head = [attention_backward(*head) for head in heads]
    return tuple(merge_heads(np.stack(parts)) for parts in zip(*by_head))


# %% tags=["check"]
q, k, v = rng.normal(size=(3, 8)), rng.normal(size=(5, 8)), rng.normal(size=(5, 8))
by_part = [attention(q[:, c], k[:, c], v[:, c]) for c in (slice(0, 4), slice(4, 8))]
assert np.allclose(multi_head(q, k, v, 2), np.concatenate(by_part, axis=1))
assert np.array_equal(merge_heads(split_heads(q, 2)), q)
given = [tn.tensor(x, requires_grad=True) for x in (q, k, v)]
g = rng.normal(size=(3, 8))
heads = [x.unflatten(1, (2, 4)).transpose(0, 1) for x in given]  # (h, n, d/h)
y = F.scaled_dot_product_attention(*heads).transpose(0, 1).flatten(1)
y.backward(tn.tensor(g))
assert np.allclose(y.detach().numpy(), multi_head(q, k, v, 2))
for one, two in zip(multi_head_backward(g, q, k, v, 2), given):
    assert np.allclose(one, two.grad.numpy())

# %% [markdown]
# The package's layer has the three matrices $W_Q, W_K, W_V$ in one, under each other, and $W_O$ as `out_proj`:

# %% tags=["check"]
layer = nn.MultiheadAttention(8, 2, batch_first=True, bias=False).double()
W_Q, W_K, W_V = (w.detach().numpy() for w in layer.in_proj_weight.chunk(3))
W_O = layer.out_proj.weight.detach().numpy()
wanted = multi_head(q @ W_Q.T, k @ W_K.T, v @ W_V.T, 2) @ W_O.T
found, _ = layer(*(tn.tensor(a) for a in (q, k, v)))
assert np.allclose(found.detach().numpy(), wanted)

# %% [markdown]
# ## 7. Make it fast: no table at all
#
# For a text of $n$ tokens the table $P$ has $n^2$ entries: at $n = 8192$ in float32, 256 MiB for each head of each layer, and the
# backward pass wants it again. Can the mean be had without it?
#
# Take one query, and go through the keys in blocks. A mean is two sums, $\sum_j e^{s_j} v_j$ over $\sum_j e^{s_j}$, and sums can be
# collected. Only that $e^{s_j}$ overflows, unless we subtract the largest score, which stands perhaps in the last block. So
# subtract the largest *so far*, $M$, and keep
#
# $$ Z = \sum_{j\ \text{so far}} e^{s_j - M}, \qquad A = \sum_{j\ \text{so far}} e^{s_j - M}\, v_j . $$
#
# When a block brings a larger maximum $M'$, all that is collected is relative to the wrong number. But
# $e^{s_j - M'} = e^{s_j - M}\, e^{M - M'}$: the factor is the same for each old key. So one product puts it right:
#
# $$ Z' = Z e^{M - M'} + \sum_{j \in \text{block}} e^{s_j - M'}, \qquad
#    A' = A e^{M - M'} + \sum_{j \in \text{block}} e^{s_j - M'} v_j, \qquad y = A/Z . $$
#
# **By hand:** scores $0, \log 2 \mid \log 4$ in two blocks, values $1, 2 \mid 7$. After the first block $M = \log 2$,
# $Z = \tfrac12 + 1 = \tfrac32$ and $A = \tfrac12 \cdot 1 + 1 \cdot 2 = \tfrac52$. The second brings $M' = \log 4$, the factor is
# $e^{\log 2 - \log 4} = \tfrac12$, and $Z = \tfrac34 + 1 = \tfrac74$, $A = \tfrac54 + 7 = \tfrac{33}{4}$. The answer is
# $A/Z = \tfrac{33}{7}$. At once: weights $\tfrac17, \tfrac27, \tfrac47$, and $\tfrac17 (1 + 4 + 28) = \tfrac{33}{7}$.


# %%
def in_blocks(q, k, v, block=2):
    """The answers, and log Σ exp(s) of each query."""
    M = np.full((len(q), 1), -np.inf)
    Z, A = np.zeros((len(q), 1)), np.zeros((len(q), v.shape[1]))
    for start in range(0, len(k), block):
        kb, vb = k[start : start + block], v[start : start + block]
        s = q @ kb.T / math.sqrt(q.shape[1])
        larger = np.maximum(M, s.max(axis=1, keepdims=True))
        old, e = np.exp(M - larger), np.exp(s - larger)
        Z = Z * old + e.sum(axis=1, keepdims=True)
        A = A * old + e @ vb
        M = larger
    return A / Z, M + np.log(Z)


# %% tags=["check"]
y, log_total = in_blocks(
    np.ones((1, 1)), np.log([[1.0], [2], [4]]), np.array([[1.0], [2], [7]])
)
assert np.allclose((y, np.exp(log_total)), [[[33 / 7]], [[7]]])
for block in (1, 2, 3, 100):
    assert np.allclose(in_blocks(q, k, v, block)[0], attention(q, k, v))
assert np.allclose(in_blocks(100 * q, k, v)[0], attention(100 * q, k, v))

# %% [markdown]
# (Before the first block $M = -\infty$, and $e^{-\infty - M'} = 0$ makes the old sums vanish, as they must.)
#
# **Backward** we want $P$ again, block by block, and no sum over a row may need the whole row. Two numbers for each query
# are enough. The first is $\ell_i = M_i + \log Z_i = \log \sum_m e^{s_{im}}$, since
#
# $$ P_{ij} = \frac{e^{s_{ij}}}{e^{\ell_i}} = e^{s_{ij} - \ell_i} . $$
#
# The second is $D_i = \sum_f g_{if}\, y_{if}$ of section 4. Then each block gives its part of all three gradients:


# %%
def in_blocks_backward(g, q, k, v, block=2):
    y, log_total = in_blocks(q, k, v, block)
    D, root = np.sum(g * y, axis=1, keepdims=True), math.sqrt(q.shape[1])
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for start in range(0, len(k), block):
        part = slice(start, start + block)
        p = np.exp(q @ k[part].T / root - log_total)
        ds = p * (g @ v[part].T - D)
        dv[part] = p.T @ g
        dk[part] = ds.T @ q / root
        dq += ds @ k[part] / root
    return dq, dk, dv


# %% tags=["check"]
for block in (1, 2, 3, 100):
    found = in_blocks_backward(g, q, k, v, block)
    for one, two in zip(found, attention_backward(g, q, k, v)):
        assert np.allclose(one, two)

# %% [markdown]
# ### The package's version
#
# Here are both passes of `derivations/attention.py`. There a block is 64 *queries*, with all their keys, so that softmax needs no
# second thought; memory grows with $64\, n$ in place of $n^2$. (`kernels/attention.py` cuts both ways, as above, and uses all cores.)
#
# Find, in `forward`: the maximum `top` (0 for a query that may see nothing), $e$, the sum `total`, and $\ell$ = `top + log total`. In
# `backward`: $D$, the weights $P = e^{s - \ell}$, and the lines of section 4, `dv`, `dP`, `dS`, `dq` and `dk`. `_drop` is dropout, `_wide`
# makes float32 of float16, `needs` leaves out what nobody asked for, and a mask of numbers that is *added* to the scores has a
# gradient, too: exercise 4.

# %%
print(inspect.getsource(derivations.attention.forward))
print(inspect.getsource(derivations.attention.backward))

# %% [markdown]
# And here is what it saves, for $d = 64$.


# %% tags=["picture"]
def peak(function, n):
    x = np.ones((n, 64), np.float32)
    tracemalloc.start()
    function(x, x, x, True, True)
    found = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return found


lengths = [128, 256, 512, 1024, 2048]
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for name, function, line, colour in (
    ("the definition", derivations.attention.definition, "s-", ORANGE),
    ("in blocks of queries", derivations.attention.forward, "o-", BLUE),
):
    found = [peak(function, n) for n in lengths]
    ax.plot(lengths, found, line, color=colour, label=name)
table = [4 * n * n / 2**20 for n in lengths]
ax.plot(lengths, table, "--", color="grey", linewidth=1, label="one n × n table")
ax.set(
    xscale="log", yscale="log", xlabel="tokens n", ylabel="memory at the peak, MiB"
)
ax.set_xticks(lengths, lengths)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The slopes tell: twice the tokens, four times the memory; or twice. What is *not* saved is work. Every query still meets every
# key, and $n^2 d$ products are the price of attention.
#
# ## 8. How far does it hear?
#
# Document A, 3.1, says that attention catches relations over long distances. Let us measure it. How much does the *last* output
# depend on the *first* input, when the text gets longer? We take the size of the derivative, for two recurrent networks and
# for one layer of attention, all as they start, untrained.

# %% tags=["picture"]
lengths = [2, 4, 8, 16, 32, 64]
heard = {"RNN": [], "LSTM": [], "attention": []}
tn.manual_seed(0)
d = 32
for n in lengths:
    for name in heard:
        sizes = []
        for _ in range(5):
            x = tn.randn(1, n, d, dtype=tn.float64, requires_grad=True)
            if name == "attention":
                layer = nn.MultiheadAttention(d, 4, batch_first=True).double()
                y = layer(x, x, x)[0][0, -1]
            else:
                layer = getattr(nn, name)(d, d, batch_first=True).double()
                y = layer(x)[0][0, -1]
            (y * tn.randn(d)).sum().backward()
            sizes.append(np.linalg.norm(x.grad.numpy()[0, 0]))
        heard[name].append(np.median(sizes))
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for (name, sizes), line, colour in zip(
    heard.items(), ("s--", "^:", "o-"), (ORANGE, GREEN, BLUE)
):
    ax.plot(lengths, sizes, line, color=colour, label=name)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="tokens n",
    ylabel="|∂(last output)/∂(first input)|",
)
ax.set_xticks(lengths, lengths)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# In the recurrent networks the derivative passes through every step between, and shrinks at each (chapter 07). In attention
# it takes one step at any distance. It does get smaller, about like $1/n$: before training, every key gets the $n$-th part of the
# weight. That can be learned away, since the gradient that must do it is still there.
#
# Does it matter for learning? Chapter 07 gave its networks a clean test: a sequence of random signs, at its end say the *first*
# one. The plain network learned 16 steps and failed at 32. Here is one layer of attention with one query, on the same task, with the
# same 250 steps of 64 sequences. Each token is its sign and its place.


# %% tags=["slow"]
class Remember(nn.Module):
    def __init__(self, length, d=16):
        super().__init__()
        self.sign, self.place = nn.Linear(1, d), nn.Embedding(length, d)
        self.query = nn.Parameter(tn.randn(1, d))
        self.k, self.v = nn.Linear(d, d), nn.Linear(d, d)
        self.say = nn.Linear(d, 1)

    def forward(self, signs):  # (n, length, 1) -> (n,)
        x = self.sign(signs) + self.place(tn.arange(signs.shape[1]))
        y = F.scaled_dot_product_attention(self.query, self.k(x), self.v(x))
        return self.say(y).flatten()


def remembered(length, steps=250):
    tn.manual_seed(0)
    draw, model = np.random.default_rng(0), Remember(length)
    optimizer = tn.optim.Adam(model.parameters(), lr=0.01)

    def batch(n):
        signs = draw.choice([-1.0, 1.0], size=(n, length, 1)).astype(np.float32)
        return tn.tensor(signs), tn.tensor((signs[:, 0, 0] > 0).astype(np.float32))

    for _ in range(steps):
        signs, first = batch(64)
        loss = F.binary_cross_entropy_with_logits(model(signs), first)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with tn.no_grad():
        signs, first = batch(500)
        return np.mean((model(signs).numpy() > 0) == (first.numpy() > 0))


shares = {length: remembered(length) for length in (4, 16, 64, 256)}
print({length: f"{share:.1%}" for length, share in shares.items()})
assert min(shares.values()) > 0.95

# %% [markdown]
# At 256 steps it is as right as at 4. (The LSTM with open gates could do 64 as well. It had to be told to remember; this one
# need not be told.)
#
# ## 9. A task with an alignment one can see: dates
#
# Now the dates. English ways of writing are read letter by letter, and ten signs are written, like 1987-05-03. The dates are drawn at
# random, so that there are many, and so that *we know where each sign should look*. With a text translated by people nobody could say
# for certain.
#
# - The letters attend to each other once, so that a digit can learn whether a comma follows. What comes out is *added* to the
#   letter, which so remains itself.
# - Each letter also has its place added, for the reason of section 4.
# - Each of the ten places to be written has a query of its own, a learned vector; these attend to the letters. The keys know the
#   context. The values are the letters alone: what is written must be looked up where it stands.
# - A small perceptron after each (chapter 05).
#
# We keep the weights, to look at them. How many of 1,000 new dates will be right as a whole, after 800 steps?

# %% tags=["slow"]
draw = random.Random(0)


def date():
    y, m, d = draw.randint(1900, 2099), draw.randint(1, 12), draw.randint(1, 28)
    way = draw.choice(["{d} {m} {y}", "{m} {d}, {y}", "{m:.3} {d} {y}"])
    return way.format(d=d, m=calendar.month_name[m], y=y), f"{y}-{m:02}-{d:02}"


pairs = [date() for _ in range(9000)]
letters = sorted(set("".join(text for text, _ in pairs)))
longest = max(len(text) for text, _ in pairs)
read = np.zeros((len(pairs), longest), int)  # 0 fills up
for row, (text, _) in zip(read, pairs):
    row[: len(text)] = [1 + letters.index(c) for c in text]
signs = "0123456789-"
write = np.array([[signs.index(c) for c in answer] for _, answer in pairs])
for text, answer in pairs[:3]:
    print(f"{text:18} {answer}")

# %% tags=["slow"]
d = 64


class Attend(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, queries, keys, values, allowed):
        s = self.q(queries) @ self.k(keys).mT / math.sqrt(d)
        self.weights = s.masked_fill(~allowed, -math.inf).softmax(-1)
        return self.weights @ self.v(values)


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.letter = nn.Embedding(len(letters) + 1, d)
        self.place = nn.Embedding(longest, d)
        self.query = nn.Embedding(10, d)
        self.among, self.across = Attend(), Attend()
        self.think = nn.Sequential(
            nn.Linear(d, 2 * d), nn.ReLU(), nn.Linear(2 * d, d)
        )
        self.say = nn.Sequential(
            nn.Linear(d, 2 * d), nn.ReLU(), nn.Linear(2 * d, len(signs))
        )

    def forward(self, x):  # (n, longest) letters -> (n, 10, 11) scores
        allowed = (x != 0).unsqueeze(1)
        letter, query = self.letter(x), self.query(tn.arange(10)).unsqueeze(0)
        e = letter + self.place(tn.arange(longest))
        e = e + self.among(e, e, e, allowed)
        e = e + self.think(e)  # each letter, in its context
        return self.say(self.across(query, e, letter, allowed))


tn.manual_seed(0)
model = Translator()
optimizer = tn.optim.Adam(model.parameters(), lr=4e-3, betas=(0.9, 0.98))
slower = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
order = np.random.default_rng(0)
for _ in range(800):
    batch = order.integers(0, 8000, 64)
    scores = model(tn.tensor(read[batch]))
    loss = F.cross_entropy(scores.flatten(0, 1), tn.tensor(write[batch].ravel()))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    slower.step()
with tn.no_grad():
    said = model(tn.tensor(read[8000:])).numpy().argmax(axis=-1)
hits = said == write[8000:]
print(
    f"of 1,000 new dates: {hits.mean():.1%} of the signs, {hits.all(1).mean():.1%} whole"
)
assert hits.all(1).mean() > 0.9

# %% [markdown]
# Where does each sign look? Each row is a sign to be written, each column a letter that is read. Before you look: where must
# the first four rows be dark? And where the row of a hyphen, which is a hyphen whatever was read?


# %% tags=["slow"]
def look(text):
    """What is written, and the weights (10, letters of the text)."""
    row = np.zeros((1, longest), int)
    row[0, : len(text)] = [1 + letters.index(c) for c in text]
    with tn.no_grad():
        said = model(tn.tensor(row)).numpy()[0].argmax(axis=-1)
    answer = "".join(signs[i] for i in said)
    return answer, model.across.weights.numpy()[0, :, : len(text)]


texts = ("3 May 1987", "Nov 22 1955", "June 14, 2026")
widths = [len(text) for text in texts]
figure, axes = plt.subplots(
    1, 3, figsize=(11, 3.9), width_ratios=widths, layout="constrained"
)
for ax, text in zip(axes, texts):
    answer, weights = look(text)
    image = ax.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(text)), text.replace(" ", "␣"), fontsize=11)
    ax.set_yticks(range(10), answer, fontsize=11)
    ax.set(title=f"{text} → {answer}", xlabel="read")
axes[0].set(ylabel="written")
figure.colorbar(image, ax=axes, label="weight")
plt.show()

# %% [markdown]
# The four digits of the year look at the four digits of the year, wherever they stand. Nobody told the network. It found the
# places by gradient descent through the weights: this is the *alignment* that document A, 4.3, describes in words for 我爱北京.
# The hyphens look at a letter that says nothing to us. Any will do, as long as its value says *hyphen*.
#
# And the month? No letter of *May* is a 5. How the network writes its second digit shows the row number 6, for all twelve:

# %% tags=["slow"]
for month in calendar.month_abbr[1:]:
    answer, weights = look(f"{month} 22 1955")
    row = weights[6, :3]
    shares = ", ".join(
        f"{w:.2f} at {month[j]}" for j, w in enumerate(row) if w > 0.15
    )
    print(f"{month} -> {answer[6]}   {shares}")

# %% [markdown]
# It has made a code. One look at *b* means 2, one at *S* 9, one at *t* 0. Often the letter is not the message, but *which* letter
# it looks at: June, July and January share the *J*. In the run printed in this book one at *n* writes the 1 of January, one at *J* the 7 of
# July, and half of each the 6 of June. Another start finds another code.
#
# So read such maps with care. They say where a value came from, exactly. They do not say why it was wanted there.
#
# ## 10. What goes wrong
#
# **The factor $1/\sqrt d$, once instead of twice.** It stands in both $\bar Q$ and $\bar K$. Somebody forgets it in the second:


# %% tags=["wrong"]
def without_root(g, q, k, v):
    dq, dk, dv = attention_backward(g, q, k, v)
    return dq, dk * math.sqrt(q.shape[-1]), dv


q, k, v = rng.normal(size=(3, 4)), rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
check_backward(attention, without_root, q, k, v)

# %% [markdown]
# **Softmax along the wrong axis.** For self-attention the table is square, and `axis=-2` raises nothing. Then the *queries*
# share out each key, and rows do not sum to 1. A causal mask leaks, too: the weight of an early query on a key depends on what the
# later queries give to it. The test of section 5 tells at once: change the end, and look at the beginning.
#
# **No mask for the padding.** The same test tells: change what must not matter.


# %% tags=["wrong"]
def by_columns(s, allowed):
    return masked_weights(s.T, allowed.T).T


def without_mask(s, allowed):
    return softmax(s)


x = rng.normal(size=(5, 4))
later = x + np.array([0, 0, 0, 1, 1])[:, None]  # rows 3 and 4 change
for weigh in (masked_weights, by_columns, without_mask):
    y, z = (weigh(a @ a.T / 2, np.tri(5, dtype=bool)) @ a for a in (x, later))
    moved = np.flatnonzero(np.abs(y - z).max(axis=1) > 1e-12)
    print(f"{weigh.__name__:15} rows that moved: {moved}")

# %% [markdown]
# **A mistake for you to find.** The loss falls, slowly. Exercise 5 asks what is wrong.


# %% tags=["wrong"]
def slow_backward(g, q, k, v):
    root = math.sqrt(q.shape[-1])
    p = softmax(q @ k.T / root)
    dp = g @ v.T
    ds = p * (dp - np.sum(dp * p, axis=0, keepdims=True))
    return ds @ k / root, ds.T @ q / root, p.T @ g


# %% [markdown]
# ## 11. Exercises
#
# **1. By hand.** Two keys, $(2, 0)$ and $(0, 2)$, values 1 and 5. The query is $(\log 3, 0)$ and $d = 4$ (two more entries are 0
# everywhere), so divide by 2. What is the answer?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("08.by_hand").check(your_number)

# %% [markdown]
# **2. Forward.** Attention where query $i$ may look only at the keys with $|i - j| \le$ `reach`: a window.


# %% tags=["exercise"]
def my_window_attention(q, k, v, reach): ...


tn.exercise("08.window").check(my_window_attention)

# %% [markdown]
# **3. Backward.** Let each query decide how sharply it looks: $y_{ij} = e^{c_i x_{ij}} / \sum_m e^{c_i x_{im}}$, with scores $x\ (n, k)$ and a
# learned number $c_i$ for each row, $c\ (n)$. Both gradients.


# %% tags=["exercise"]
def my_softmax_backward(g, x, c): ...


tn.exercise("08.softmax_backward").check(my_softmax_backward)

# %% [markdown]
# **4. Derivation.** Many models add a learned table $B\ (l, s)$ to the scores, $S = QK^\top/\sqrt d + B$. Derive $\bar B$ and
# write it, without a loop.


# %% tags=["exercise"]
def my_bias_backward(g, q, k, v, B): ...


tn.exercise("08.bias_backward").check(my_bias_backward)

# %% [markdown]
# **5. Find the mistake** in `slow_backward` of section 10. Change this copy until it is right.


# %% tags=["exercise"]
def my_attention_backward(g, q, k, v):
    root = math.sqrt(q.shape[-1])
    p = softmax(q @ k.T / root)
    dp = g @ v.T
    ds = p * (dp - np.sum(dp * p, axis=0, keepdims=True))
    return ds @ k / root, ds.T @ q / root, p.T @ g


tn.exercise("08.planted_bug").check(my_attention_backward)

# %% [markdown]
# **6. For a quiet hour** (paper only). Leave the softmax out: $Y = (QK^\top)V$. The brackets may be moved, $Y = Q(K^\top V)$. How many
# products does each way take for $n$ tokens of width $d$? When is the second cheaper? Why does softmax forbid it? And
# what becomes of the first picture of section 1 without softmax?
#
# ## Words
#
# | | |
# |---|---|
# | attention, self-attention | 注意力, 自注意力 |
# | query, key, value | 查询, 键, 值 |
# | attention weights | 注意力权重 |
# | scaled dot product | 缩放点积 |
# | head, multi-head attention | 头, 多头注意力 |
# | mask; causal; padding | 掩码; 因果; 填充 |
# | position embedding | 位置嵌入 |
# | alignment | 对齐 |
# | long-range dependency | 长距离依赖 |
#
# ## What to read next
#
# - In the package: `python -m tinynet where attention`; the page "Kernels" tells how the tiles are chosen.
# - Chapter 09 stacks these layers, and lets them write.
# - D. Bahdanau, K. Cho and Y. Bengio, *Neural Machine Translation by Jointly Learning to Align and Translate*, 2014, where the
#   alignment comes from. M. Milakov and N. Gimelshein, *Online normalizer calculation for softmax*, 2018, and T. Dao and others,
#   *FlashAttention*, 2022, for section 7. The β₂ = 0.98 of section 9 is that of Vaswani and others.
