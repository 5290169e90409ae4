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
# 4. derive the whole backward pass, and write it in six lines;
# 5. mask, split into heads, and compute attention without ever holding its $n \times n$ table.
#
# **You need** softmax and its backward pass (chapter 04), matrix products and shapes (00), a recurrent network (07).
# **Time** about 90 minutes, and 45 for the exercises.
# **Sources** document A, 3.1, 4.1–4.3; A. Vaswani and others, *Attention Is All You Need*, 2017.
#
# Notation: queries $Q\ (l, d)$, keys $K\ (s, d)$, values $V\ (s, v)$; scores $S\ (l, s)$, weights $P\ (l, s)$, output
# $Y\ (l, v)$. Index $i$ counts queries, $j$ and $m$ count keys, $e$ runs over $d$, $f$ over $v$.

# %%
import calendar
import inspect
import math
import random
import time
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
for query in ([np.log(3), 0.0], [0.0, 0.0], [100.0, 0.0]):
    e = np.exp(keys @ query)
    print(query, "->", (e / e.sum()) @ values)

# %% [markdown]
# Nobody preferred: the plain mean, 15. Strongly preferred: the first value itself, as in a dictionary. Between the two
# everything is smooth.
#
# ## 2. The formula
#
# Many queries at once are rows of a matrix. With all scores in $S = QK^\top/\sqrt d$ (the root is explained in section 3)
#
# $$ s_{ij} = \frac{1}{\sqrt d}\sum_e q_{ie} k_{je}, \qquad
#    P_{ij} = \frac{e^{s_{ij}}}{\sum_m e^{s_{im}}}, \qquad y_{if} = \sum_j P_{ij} v_{jf} . $$
#
# Each row of $P$ sums to 1: query $i$ divides its attention among the *keys*.


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
assert np.allclose(
    attention(q, k, v), derivations.attention.definition(q, k, v, True, True)
)

# %% [markdown]
# ### As printed
#
# Document A, 4.1, prints the formula without the sum:
# $\exp(QK^\top/\sqrt{d})\,/\,\exp(QK^\top/\sqrt{d}) \cdot V$. Entry by entry the quotient is 1. Then every key counts fully and every
# query gets the same answer: the sum of all values. A 4.2 says in words that the weights are *added* to the values. They
# multiply them.

# %% tags=["check"]
printed = derivations.attention.as_printed(q, k, v)
assert np.allclose(printed, v.sum(axis=0))  # the same for each query
assert np.allclose(
    printed, derivations.attention.as_printed(rng.normal(size=q.shape), k, v)
)
assert not np.allclose(attention(q, k, v)[0], attention(q, k, v)[1])

# %% [markdown]
# ## 3. Why divide by the root of $d$?
#
# Let all entries of $q$ and $k$ be independent, with mean 0 and variance 1. A product $q_e k_e$ has mean $0$ and variance
# $\mathbb E[q_e^2]\,\mathbb E[k_e^2] = 1$. The variance of a sum of independent terms is the sum of their variances, so
#
# $$ \operatorname{Var}\Big[\sum_{e=1}^d q_e k_e\Big] = d, \qquad
#    \operatorname{Var}\Big[\frac{1}{\sqrt d}\sum_{e=1}^d q_e k_e\Big] = 1 . $$
#
# Without the root, scores at $d = 64$ differ by 8 and more, and $e^8 \approx 3000$. One key gets nearly all the weight. **What
# does that do to the gradient?** (Remember the Jacobian of softmax, $p_i(\delta_{ij} - p_j)$.)

# %% tags=["check"]
for d in (4, 64, 256):
    scores = np.sum(
        rng.normal(size=(50_000, d)) * rng.normal(size=(50_000, d)), axis=1
    )
    assert abs(np.var(scores) / d - 1) < 0.05
    assert abs(np.var(scores / math.sqrt(d)) - 1) < 0.05

# %% tags=["picture"]
sizes = 2 ** np.arange(0, 11)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
for name, power, colour in (("plain", 0.0, ORANGE), ("divided by √d", 0.5, BLUE)):
    largest, slope = [], []
    for d in sizes:
        s = rng.normal(size=(200, d)) @ rng.normal(size=(d, 32)) / d**power
        p = softmax(s)
        largest.append(p.max(axis=1).mean())
        slope.append(
            (p * (1 - p)).sum(axis=1).mean()
        )  # the diagonal of the Jacobian
    left.plot(sizes, largest, "o-", color=colour, label=name)
    right.plot(sizes, slope, "o-", color=colour)
left.set(
    xscale="log", xlabel="width d", ylabel="weight of the favourite", ylim=(0, 1)
)
right.set(xscale="log", xlabel="width d", ylabel="Σ p (1 − p)", ylim=(0, 1))
left.set_title("32 keys, random: who gets the weight")
right.set_title("and what is left of the slope")
left.legend(frameon=False)
plt.show()

# %% [markdown]
# The orange curve is a dictionary again: one key takes all, and the slope is nearly gone. Divided by the root, nothing
# depends on the width.
#
# ## 4. The whole backward pass
#
# $G = \partial L/\partial Y\ (l, v)$ arrives. We walk the three formulas backwards. You know each step already.
#
# **Values.** $Y = PV$ is a matrix product: $y_{if} = \sum_j P_{ij} v_{jf}$. So $v_{jf}$ reaches every $y_{if}$ with the slope
# $P_{ij}$, and $P_{ij}$ reaches every $y_{if}$ with the slope $v_{jf}$:
#
# $$ \bar v_{jf} = \sum_i P_{ij}\, g_{if}, \qquad \bar P_{ij} = \sum_f g_{if}\, v_{jf},
#    \qquad\text{that is}\quad \bar V = P^\top G, \quad \bar P = G V^\top . $$
#
# **Weights.** Row $i$ of $P$ is the softmax of row $i$ of $S$. By chapter 04,
#
# $$ \bar s_{ij} = P_{ij}\,\big(\bar P_{ij} - D_i\big), \qquad D_i = \sum_m \bar P_{im} P_{im} . $$
#
# **Scores.** $s_{ij} = \sum_e q_{ie} k_{je}/\sqrt d$ is a matrix product again, with the factor $1/\sqrt d$ for both:
#
# $$ \bar Q = \frac{1}{\sqrt d}\, \bar S K, \qquad \bar K = \frac{1}{\sqrt d}\, \bar S^\top Q . $$
#
# Check the shapes: $\bar S K$ is $(l, s)(s, d)$, and $\bar S^\top Q$ is $(s, l)(l, d)$. A key is asked by all queries; so its
# gradient is a sum over all queries. That is what the transpose does.


# %%
def attention_backward(g, q, k, v):
    root = math.sqrt(q.shape[-1])
    p = softmax(q @ k.T / root)
    dv = p.T @ g
    dp = g @ v.T
    ds = p * (dp - np.sum(dp * p, axis=-1, keepdims=True))
    return ds @ k / root, ds.T @ q / root, dv


# %% tags=["check"]
assert check_backward(attention, attention_backward, q, k, v)
g = rng.normal(size=(3, 2))
ours = attention_backward(g, q, k, v)
tensors = [tn.tensor(x, requires_grad=True) for x in (q, k, v)]
F.scaled_dot_product_attention(*tensors).backward(tn.tensor(g))
for one, two in zip(ours, tensors):
    assert np.allclose(one, two.grad.numpy())

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
# Look at the whole of it as the package sees it, on two queries and two keys. Move the slider of the replay: forward along
# the arrows, then backward.

# %%
small = {
    "q": [[1.0, 0.0], [0.0, 1.0]],
    "k": [[1.0, 1.0], [0.0, 2.0]],
    "v": [[1.0], [3.0]],
}
named = [tn.tensor(x, requires_grad=True, name=name) for name, x in small.items()]
scores = named[0] @ named[1].mT / math.sqrt(2)
tn.explain((scores.softmax(-1) @ named[2]).sum())

# %% [markdown]
# ## 5. Who may look at whom
#
# When a model writes a text, word $i$ must not look at the words after it: they are not written yet. Give those scores
# $-\infty$. Then their exponentials are 0, and the other weights still sum to 1. For word $i$ the keys $j \le i$ are left; this is
# the *causal* mask. In a batch of texts of different lengths the filling at the end is masked in the same way.


# %%
def masked_weights(s, allowed):
    s = np.where(allowed, s, -np.inf)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# %% tags=["check"]
x = rng.normal(size=(6, 4))
causal = np.tril(np.ones((6, 6), bool))
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

# %% [markdown]
# The mask belongs *before* the softmax. Zeros put in after it leave rows that do not sum to 1.
#
# ## 6. Several heads
#
# One set of weights can look at one thing. A date needs two at once: *which* is the month, and *where* does it stand? So
# split the width $d$ into $h$ parts of $d/h$, let each part attend by itself, and put the answers side by side. The splitting is a
# reshape and a change of axes, $(n, d) \to (n, h, d/h) \to (h, n, d/h)$, and the work is the same as before.


# %%
def split_heads(x, h):
    n, d = x.shape
    return x.reshape(n, h, d // h).transpose(1, 0, 2)


def multi_head(q, k, v, h):
    heads = attention(split_heads(q, h), split_heads(k, h), split_heads(v, h))
    return heads.transpose(1, 0, 2).reshape(len(q), -1)


# %% tags=["check"]
q, k, v = rng.normal(size=(3, 8)), rng.normal(size=(5, 8)), rng.normal(size=(5, 8))
by_part = [attention(q[:, c], k[:, c], v[:, c]) for c in (slice(0, 4), slice(4, 8))]
assert np.allclose(multi_head(q, k, v, 2), np.concatenate(by_part, axis=1))
layer = nn.MultiheadAttention(8, 2, batch_first=True, bias=False).double()
W = [w.detach().numpy() for w in layer.in_proj_weight.chunk(3)]
together = multi_head(*(x @ w.T for x, w in zip((q, k, v), W)), 2)
wanted = together @ layer.out_proj.weight.detach().numpy().T
found, _ = layer(*(tn.tensor(a) for a in (q, k, v)))
assert np.allclose(found.detach().numpy(), wanted)

# %% [markdown]
# ## 7. Make it fast: no table at all
#
# For a text of $n$ tokens the table $P$ has $n^2$ entries: at $n = 8192$ in float32, 256 MiB for each head. Writing and reading it
# takes longer than computing it. Can the mean be had without it?
#
# Go through the keys in blocks. Keep for each query three things: the largest score so far $M$, the sum of exponentials $Z$, and
# the weighted sum $A$ of values, both relative to $M$. When a block brings a larger maximum $M'$, everything old was
# computed relative to the wrong number. One factor puts it right:
#
# $$ Z' = Z e^{M - M'} + \sum_{j \in \text{block}} e^{s_j - M'}, \qquad
#    A' = A e^{M - M'} + \sum_{j \in \text{block}} e^{s_j - M'} v_j, \qquad y = A/Z . $$


# %%
def attention_in_blocks(q, k, v, block=2):
    M = np.full((len(q), 1), -np.inf)
    Z, A = np.zeros((len(q), 1)), np.zeros((len(q), v.shape[1]))
    for start in range(0, len(k), block):
        kb, vb = k[start : start + block], v[start : start + block]
        s = q @ kb.T / math.sqrt(q.shape[1])
        larger = np.maximum(M, s.max(axis=1, keepdims=True))
        old, e = np.exp(M - larger), np.exp(s - larger)
        Z, A, M = Z * old + e.sum(axis=1, keepdims=True), A * old + e @ vb, larger
    return A / Z


# %% tags=["check"]
for block in (1, 2, 3, 100):
    assert np.allclose(attention_in_blocks(q, k, v, block), attention(q, k, v))
assert np.allclose(
    attention_in_blocks(100 * q, k, v), attention(100 * q, k, v)
)  # nothing overflows

# %% [markdown]
# For the backward pass, keep only $\ell_i = M_i + \log Z_i$, one number for each query. Then $P_{ij} = e^{s_{ij} - \ell_i}$ can be had
# again for any block, and $D_i$ is the line of section 4. The package's derivation does exactly this, and
# `tinynet/kernels/attention.py` does it on all cores. Here is its forward pass, read from the package:

# %%
print(inspect.getsource(derivations.attention.forward))

# %% [markdown]
# And here is what it saves. (Both run on this machine now; the dashed line is the $n^2$ table alone.)


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
for name, function, colour in (
    ("the definition, with the table", derivations.attention.definition, ORANGE),
    ("in blocks of queries", derivations.attention.forward, BLUE),
):
    ax.plot(
        lengths,
        [peak(function, n) for n in lengths],
        "o-",
        color=colour,
        label=name,
    )
ax.plot(
    lengths, [4 * n * n / 2**20 for n in lengths], "--", color="grey", linewidth=1
)
ax.set(
    xscale="log", yscale="log", xlabel="tokens n", ylabel="memory at the peak, MiB"
)
ax.set_xticks(lengths, lengths)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The slopes tell: twice the tokens, four times the memory; or twice.
#
# ## 8. How far does it hear?
#
# Document A, 3.1, says that attention catches relations over long distances. Let us measure it. How much does the *last* output
# depend on the *first* input, when the text gets longer? We take the size of the derivative, for a recurrent network and
# for one layer of attention, both as they start, untrained.

# %% tags=["picture"]
distances = [2, 4, 8, 16, 32, 64]
heard = {"RNN": [], "LSTM": [], "attention": []}
tn.manual_seed(0)
d = 32
for n in distances:
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
for (name, sizes), colour in zip(heard.items(), (ORANGE, GREEN, BLUE)):
    ax.plot(distances, sizes, "o-", color=colour, label=name)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="distance in tokens",
    ylabel="size of the derivative",
)
ax.set_xticks(distances, distances)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# In the recurrent networks the derivative passes through every step between, and shrinks at each (chapter 07). In attention
# it takes one step at any distance. It does get smaller, about like $1/n$: before training, every key gets the $n$-th part of the
# weight. A $1/n$ can be learned away. A factor of $10^{-9}$ cannot.
#
# ## 9. Real data: dates
#
# Now the dates. English ways of writing are read letter by letter, and ten signs are written, like 1987-05-03. The network has
# three parts, all of them from this chapter: the letters attend to each other once (so that a digit can learn whether a
# comma follows); each of the ten places to be written has a query of its own; and the places attend to the letters. Their
# keys know the context, their values are the letters alone: what is written must be looked up where it stands. We keep the
# weights, to look at them.

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
print(pairs[:3])

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
        self.norm = nn.LayerNorm(d)
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
        e = self.norm(e + self.among(e, e, e, allowed))
        e = e + self.think(e)  # each letter, in its context
        return self.say(self.across(query, e, letter, allowed))


tn.manual_seed(0)
model = Translator()
optimizer = tn.optim.Adam(model.parameters(), lr=3e-3)
slower = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
order = np.random.default_rng(0)
losses, start = [], time.perf_counter()
for _ in range(800):
    batch = order.integers(0, 8000, 64)
    scores = model(tn.tensor(read[batch]))
    loss = F.cross_entropy(scores.flatten(0, 1), tn.tensor(write[batch].ravel()))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    slower.step()
    losses.append(loss.item())
with tn.no_grad():
    said = model(tn.tensor(read[8000:])).numpy().argmax(axis=-1)
right_signs, right_dates = (
    (said == write[8000:]).mean(),
    (said == write[8000:]).all(1).mean(),
)
print(
    f"of 1,000 dates not seen in training: {right_signs:.1%} of the signs, {right_dates:.1%} whole"
)

# %% [markdown]
# Where does each sign look? Each row is a sign to be written, each column a letter that is read. Before you look: where must
# the first four rows be dark?

# %% tags=["slow"]
texts = ("3 May 1987", "Nov 22 1955", "September 14, 2026")
figure, axes = plt.subplots(
    1,
    3,
    figsize=(13, 3.6),
    width_ratios=[len(t) for t in texts],
    layout="constrained",
)
for ax, text in zip(axes, texts):
    row = np.zeros((1, longest), int)
    row[0, : len(text)] = [1 + letters.index(c) for c in text]
    with tn.no_grad():
        answer = "".join(
            signs[i] for i in model(tn.tensor(row)).numpy()[0].argmax(axis=-1)
        )
    weights = model.across.weights.detach().numpy()[0, :, : len(text)]
    tn.plot.attention(weights, list(answer), list(text.replace(" ", "␣")), ax=ax)
    ax.set(title=f"{text} → {answer}", xlabel="", ylabel="")
plt.show()

# %% [markdown]
# Nobody told the network where the year stands. It found the places by gradient descent through the weights: this is the
# *alignment* that document A, 4.3, describes in words for 我爱北京.
#
# ## 10. What goes wrong
#
# **The factor $1/\sqrt d$, once instead of twice.** It stands in both $\bar Q$ and $\bar K$. Somebody forgets it in the second:


# %% tags=["wrong"]
def without_root(g, q, k, v):
    dq, dk, dv = attention_backward(g, q, k, v)
    return dq, dk * math.sqrt(q.shape[-1]), dv


q, k, v = rng.normal(size=(3, 4)), rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
print(check_backward(attention, without_root, q, k, v))

# %% [markdown]
# **Softmax along the wrong axis.** For self-attention the table is square, and `axis=-2` raises nothing. Then the *queries*
# share out each key, rows do not sum to 1, and a causal mask leaks. The first check of section 5 would have caught it.
#
# **No mask for the filling.** The model attends to padding, and an answer depends on how long its neighbours in the batch are.
# Test it like the causal mask: change what must not matter.
#
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
# **3. Backward.** Softmax over the last axis where some entries are masked: `mask` is True where a score counts, and at least
# one of each row does. Masked scores have no influence; what is their gradient?


# %% tags=["exercise"]
def my_softmax_backward(g, x, mask): ...


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
# **6. For a quiet hour** (paper only). Permute the rows of $K$ and of $V$ in the same way. Show that $Y$ does not change. What must
# be added to a sentence before attention can know the order of its words?
#
# ## Words
#
# | | |
# |---|---|
# | attention, self-attention | 注意力, 自注意力 |
# | query, key, value | 查询, 键, 值 |
# | head, multi-head attention | 头, 多头注意力 |
# | mask; causal | 掩码; 因果 |
# | alignment | 对齐 |
# | long-range dependency | 长距离依赖 |
#
# ## What to read next
#
# - In the package: `python -m tinynet where attention`; the page "Kernels" tells how the tiles are chosen.
# - Chapter 09 stacks these layers, and lets them write.
# - D. Bahdanau, K. Cho and Y. Bengio, *Neural Machine Translation by Jointly Learning to Align and Translate*, 2014, where the
#   alignment comes from. T. Dao and others, *FlashAttention*, 2022, for section 7.
