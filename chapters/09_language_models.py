# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · The Transformer and language models
#
# *Shall I compare thee to a summer's …* You know the next word, and you did not look it up. A language model gives each possible
# next sign a probability. This chapter starts with the simplest model there is, the one that a document prints, and ends with a
# small GPT. Everything between them is one question: how much of the past does the model see?
#
# **After this chapter you can**
# 1. measure a language model: loss, perplexity, bits per character;
# 2. derive the best bigram model by counting, say what a printed formula leaves out, and what each remedy costs;
# 3. build a Transformer block, and derive the backward pass of its layer norm;
# 4. explain why residual paths let gradients through;
# 5. draw text from a model, with temperature, top-k and top-p, and without computing anything twice.
#
# **You need** attention (chapter 08), cross-entropy (04), the multilayer perceptron (05), recurrence (07).
# **Time** about 110 minutes, and 45 for the exercises.
# **Sources** document D, 4.1–4.3, 5.2 and 6.1; A. Vaswani and others, *Attention Is All You Need*, 2017.
#
# Notation: a text is $x_1 x_2 \dots x_T$, each sign a number from 0 to $V - 1$; $V$ is the size of the vocabulary. A sign of the
# text is also called a *token*: it may be a letter, as here, or a word. Rows of a matrix $X\ (t, d)$ are the vectors of $t$ tokens, of
# width $d$. $\log$ is natural, $\log_2$ counts in bits.

# %%
import inspect
import math
import os
import textwrap
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations, models
from tinynet.check import check_backward
from tinynet.data.archives import MINILM
from tinynet.models import sampling
from tinynet.models.minilm import embed, load_minilm
from tinynet.nn import functional as F

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(9)
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"

# %% [markdown]
# ## 1. What a language model says
#
# A joint probability is a product of conditional ones. For any text, and without any assumption,
#
# $$ P(x_1 \dots x_T) = P(x_1)\; P(x_2 \mid x_1)\; P(x_3 \mid x_1 x_2) \cdots P(x_T \mid x_1 \dots x_{T-1}) . $$
#
# So a model that predicts the next sign is a model of whole texts, and each position of a text is a sample. By maximum
# likelihood (chapter 04) the loss is the mean of $-\log P$, the mean *surprise*. We take the first sign as given, so $T$ signs are
# $T - 1$ samples:
#
# $$ L = -\frac{1}{T - 1} \sum_{n=1}^{T-1} \log P(x_{n+1} \mid x_1 \dots x_n) . $$
#
# (Document D, 4.2, has one such term; the sum over the text is not printed.) Two other names for the same number. *Bits per
# character* is $L/\log 2$, the mean of $-\log_2 P$. *Perplexity* is $e^L$: a model that always hesitates among $k$ equally likely
# signs has $P = 1/k$, so $L = \log k$, and $e^L = k$.
#
# **By hand:** a model gives four signs the probabilities $\tfrac12, \tfrac14, \tfrac18, \tfrac18$. Surprises of 1, 2, 3 and 3 bits:
# 2.25 bits per character, and a perplexity of $2^{2.25} = 4.76$.


# %%
def bits_and_perplexity(p):
    loss = -np.mean(np.log(p))
    return loss / math.log(2), math.exp(loss)


# %% tags=["check"]
bits, perplexity = bits_and_perplexity(np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8]))
assert np.isclose(bits, (1 + 2 + 3 + 3) / 4)
assert np.isclose(perplexity, 4.7568, atol=1e-4)
for V in (2, 26, 62):  # who knows nothing hesitates among all
    assert np.allclose(bits_and_perplexity(np.full(9, 1 / V)), (math.log2(V), V))

# %% [markdown]
# ## 2. As printed: the last word alone
#
# Document D, 4.3, prints
#
# $$ P(x_{n+1} \mid x_1, x_2, \dots, x_n) = \mathrm{softmax}(W x_n + b) . $$
#
# The left side speaks of the whole past. On the right there is $x_n$, and nothing else. With $x_n$ as a vector for the last sign this
# is a *bigram* model, a model of pairs: it knows which sign likes to follow which.
#
# Let $x_n\ (V)$ be one-hot: 1 at the place of the sign $a$, else 0. Then $W x_n$ with $W\ (V, V)$ is the column $a$ of $W$. So each sign
# has $V$ scores of its own, and softmax can make of them any distribution without zeros; call it $p_{ac}$, the probability that $c$
# follows $a$. Which is the best?
#
# Let $N_{ac}$ count how often $c$ follows $a$ in the text, $N_a = \sum_c N_{ac}$ how often anything follows $a$, and $N = \sum_a N_a =
# T - 1$ all pairs. The $N_{ac}$ samples with the same pair have the same surprise. So the loss is
#
# $$ L = -\frac1N \sum_{a, c} N_{ac} \log p_{ac} = \sum_a \frac{N_a}{N} \Big( -\sum_c \frac{N_{ac}}{N_a} \log p_{ac} \Big) . $$
#
# In the bracket stands a cross-entropy, with the shares $q_c = N_{ac}/N_a$. By chapter 04 it is smallest where $p = q$, and each
# bracket may be made smallest by itself, since each $a$ has its own scores:
#
# $$ p_{ac} = \frac{N_{ac}}{N_a} . $$
#
# No training is needed. Counting *is* the minimum. **By hand:** the text *abacab*. Its pairs are ab, ba, ac, ca, ab. After *a* comes *b*
# twice and *c* once; after *b* and after *c* comes *a*, always. So $p_{ab} = \tfrac23$, $p_{ac} = \tfrac13$, the rest is sure, and
# $L = \tfrac15\big(2 \log\tfrac32 + \log 3\big) = 0.3819$.


# %%
def pair_counts(x, V):
    N = np.zeros((V, V))
    for a, c in zip(x[:-1], x[1:]):
        N[a, c] += 1
    return N


# %% tags=["check"]
N = pair_counts(np.array([0, 1, 0, 2, 0, 1]), 3)  # abacab
assert np.array_equal(N, [[0, 2, 1], [1, 0, 0], [1, 0, 0]])
of_each_pair = np.array([2 / 3, 1, 1 / 3, 1, 2 / 3])
assert np.isclose(-np.mean(np.log(of_each_pair)), 0.3819, atol=5e-5)
x = rng.integers(0, 4, 200)
N = pair_counts(x, 4)
assert N.sum() == 199
assert np.array_equal(N, derivations.bigram.counts(x, 4))
best = N / N.sum(axis=1, keepdims=True)
loss = -np.sum(N * np.log(best)) / N.sum()
W, b = np.log(best).T, np.zeros(4)  # such weights say the shares
assert np.isclose(loss, derivations.bigram.loss(W, b, N))
slope, _ = derivations.bigram.gradient(W, b, N)
assert np.allclose(slope, 0)
for _ in range(20):  # and every step away from it costs
    step = 0.1 * rng.normal(size=W.shape)
    assert derivations.bigram.loss(W + step, b, N) > loss

# %% [markdown]
# Now on a real text: Shakespeare's sonnets, 95,728 characters, 62 different ones. (The first use fetches a small file, once.) We
# hold the last sonnets out.

# %% tags=["slow"]
sonnets = tn.data.load_sonnets()
train_text, held_text = sonnets.split(0.1)
tokenizer = tn.data.CharacterTokenizer.train([sonnets.text])
train, held = (np.array(tokenizer.encode(t)) for t in (train_text, held_text))
V = len(tokenizer)
N = pair_counts(train, V) + 0.1  # a tenth for pairs never seen: none costs infinity
p = N / N.sum(axis=1, keepdims=True)
bigram_bits, bigram_perplexity = bits_and_perplexity(p[held[:-1], held[1:]])
print(f"{len(sonnets.text):,} characters, {V} different; {len(held):,} held out")
print(f"bigram: {bigram_bits:.2f} bits, perplexity {bigram_perplexity:.1f}")
sign, written = tokenizer.encode("S")[0], "S"
for _ in range(120):
    sign = rng.choice(V, p=p[sign])
    written += tokenizer.decode([sign])
print(written)

# %% tags=["slow"]
letters = tokenizer.encode(" abcdefghijklmnopqrstuvwxyz")
figure, ax = plt.subplots(figsize=(5.6, 5), layout="constrained")
image = ax.imshow(np.sqrt(p[np.ix_(letters, letters)]), cmap="Blues")
ax.set_xticks(range(27), list("␣abcdefghijklmnopqrstuvwxyz"), fontsize=8)
ax.set_yticks(range(27), list("␣abcdefghijklmnopqrstuvwxyz"), fontsize=8)
ax.set(
    xlabel="next", ylabel="this", title="who follows whom (root of the probability)"
)
plt.show()

# %% [markdown]
# Find the row of *q*. Then ask what this model cannot know: that after *th* comes *e*, since of *th* it sees the *h* alone. From 62
# signs it has got down to about 11. People who
# guess English letter by letter need about one bit each (C. Shannon, 1951), a perplexity of two.
#
# ## 3. More of the past
#
# ### Count longer pieces?
#
# Nothing forbids to count which sign follows each *pair*, or each five signs:
#
# $$ P(c \mid u) = \frac{N_{uc} + \alpha}{N_u + \alpha V}, \qquad u = x_{n-k+1} \dots x_n , $$
#
# where $u$ is the *context* of the last $k$ signs, and $\alpha$, a tenth, keeps what was never seen from costing infinity. $k = 1$ is the
# bigram. **Guess:** $k$ from 0 to 6, on the text that was counted, and on the sonnets held out. Where is the best $k$ of each?


# %%
def counted_bits(counted, text, k, V, alpha=0.1):
    """Bits per character of a text, by the contexts of k signs in the counted one."""
    pieces = Counter(counted[i : i + k + 1] for i in range(len(counted) - k))
    contexts = Counter(counted[i : i + k] for i in range(len(counted) - k))
    p = [
        (pieces[text[i : i + k + 1]] + alpha)
        / (contexts[text[i : i + k]] + alpha * V)
        for i in range(len(text) - k)
    ]
    return -np.mean(np.log2(p))


# %% tags=["check"]
counted, text = "abacab", "abca"
N = pair_counts(np.array([0, 1, 0, 2, 0, 1]), 3) + 0.1
p = (N / N.sum(axis=1, keepdims=True))[[0, 1, 2], [1, 2, 0]]  # ab, bc, ca
assert np.isclose(counted_bits(counted, text, 1, 3), bits_and_perplexity(p)[0])
assert np.isclose(counted_bits("ab" * 50, "ab" * 50, 0, 2), 1)  # k = 0: a fair coin

# %% tags=["slow"]
ks = range(7)
on_counted = [counted_bits(train_text, train_text, k, V) for k in ks]
on_held = [counted_bits(train_text, held_text, k, V) for k in ks]
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
ax.plot(ks, on_counted, "s--", color=ORANGE, label="on the text that was counted")
ax.plot(ks, on_held, "o-", color=BLUE, label="on sonnets held out")
ax.set(xlabel="signs of context k", ylabel="bits per character", ylim=(0, None))
ax.legend(frameon=False)
plt.show()
print("held out:", "  ".join(f"k={k}: {bits:.2f}" for k, bits in zip(ks, on_held)))
assert np.isclose(on_held[1], bigram_bits, atol=0.01)
contexts = Counter(train_text[i : i + 6] for i in range(len(train_text) - 6))
new = [held_text[i : i + 6] not in contexts for i in range(len(held_text) - 6)]
once = np.mean([count == 1 for count in contexts.values()])
print(f"contexts of six signs: {np.mean(new):.0%} of those held out are new")
print(f"of {len(contexts):,} different ones counted, {once:.0%} came only once")

# %% [markdown]
# On its own text a longer context is always better: it learns by heart. On new text $k = 3$ is best, and then it gets worse fast. Almost
# half of the contexts of six signs that stand in the held-out sonnets were never counted, and of those that were, three in four only
# once. A table cannot be helped by what is *similar*: from what follows *thy sw* it learns nothing about *my swe*. What is needed is a
# model that notes which contexts are alike.
#
# ### One formula, four models
#
# Put right, the printed formula is
#
# $$ P(x_{n+1} \mid x_1 \dots x_n) = \mathrm{softmax}(W h_n + b), $$
#
# where the *state* $h_n$ may depend on all of $x_1 \dots x_n$. Now the models differ in $h_n$, and in nothing else:
#
# | | $h_n$ | sees | what it cannot do |
# |---|---|---|---|
# | bigram | $x_n$, one-hot | one sign | see more |
# | window (chapter 05) | $\tanh\big(H\,[e_{n-k+1}; \dots; e_n] + c\big)$ | $k$ signs | see further; each place has weights of its own |
# | recurrent (chapter 07) | $\tanh(W_h h_{n-1} + W_x e_n + c)$ | all, through one state | keep all of it; work on all steps at once |
# | attention (chapter 08) | section 4 | all, each by itself | be cheap: $n^2$ |
#
# $e_n\ (d)$ is the *embedding* of the sign $x_n$, row $x_n$ of a learned table $E\ (V, d)$. Signs that behave alike get similar rows, and so
# contexts that are alike get similar states. That is what the counts lacked. $[\,\cdot\,; \cdot\,]$ puts vectors end to end, so $H$ is
# $(m, kd)$ for $m$ hidden neurons. Before the text there are zeros. The window model from nothing:


# %%
def window_states(e, H, c, k):
    """e (t, d) -> h (t, m): each from the last k rows."""
    t, d = e.shape
    padded = np.vstack([np.zeros((k - 1, d)), e])
    seen = np.hstack([padded[i : i + t] for i in range(k)])  # (t, k d)
    return np.tanh(seen @ H.T + c)


# %% tags=["check"]
config = models.MLPLanguageConfig(tokens=5, context=3, width=2, hidden=4)
theirs = models.MLPLanguageModel(config).double().eval()
ids = rng.integers(0, 5, 7)
weights = [p.detach().numpy() for p in theirs.parameters()]
E, H, c, W, b = weights
h = window_states(E[ids], H, c, 3)
assert np.allclose(h @ W.T + b, theirs(tn.tensor(ids[None])).detach().numpy()[0])
by_index = H @ np.concatenate([E[ids[4]], E[ids[5]], E[ids[6]]]) + c
assert np.allclose(h[6], np.tanh(by_index))
assert np.allclose(h[0], np.tanh(H[:, 4:] @ E[ids[0]] + c))  # two empty places

# %% [markdown]
# In the package both are a few lines. `read` gives the scores of *every* place of a row at once: output $n$ has seen $x_1 \dots x_n$,
# and is asked for $x_{n+1}$. So a row of 32 signs is 32 samples.

# %%
print(inspect.getsource(models.MLPLanguageModel.read))
print(inspect.getsource(models.RecurrentLanguageModel.read))

# %% [markdown]
# One training for all: 500 steps, each on 32 rows of 32 signs. With `LONG=1` in the environment it is 3,000.

# %% tags=["slow"]
steps = 3000 if os.environ.get("LONG") else 500


def rows_of(text, starts):
    rows = np.stack([text[s : s + 33] for s in starts])
    return tn.tensor(rows[:, :-1]), tn.tensor(rows[:, 1:])  # read, and asked for


def bits_on(model, text):
    with tn.no_grad():
        x, y = rows_of(text, range(0, len(text) - 33, 32))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    return loss.item() / math.log(2)


def learn(model):
    draw, curve = np.random.default_rng(0), []
    optimizer = tn.optim.AdamW(model.parameters(), lr=6e-3, betas=(0.9, 0.98))
    slower = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps + 1):
        if step % (steps // 10) == 0:
            curve.append((step, bits_on(model, held)))
        x, y = rows_of(train, draw.integers(0, len(train) - 33, 32))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slower.step()
    return curve


tn.manual_seed(0)
window = models.MLPLanguageModel(
    models.MLPLanguageConfig(tokens=V, context=5, width=32, hidden=192, dropout=0)
)
recurrent = models.RecurrentLanguageModel(
    models.RecurrentConfig(tokens=V, cell="RNN", width=32, hidden=128, dropout=0)
)
curves = {"window of 5": learn(window), "recurrent": learn(recurrent)}
for name, curve in curves.items():
    print(f"{name:12} {curve[-1][1]:.2f} bits per character")

# %% [markdown]
# Both are below every table of counts, the window with only two signs more than the best of them. It remains to
# give all signs of the past a say, each by itself. That is attention; but a layer of attention alone is not yet a model.
#
# ## 4. A block of the Transformer
#
# Attention mixes the tokens: what it gives row $n$ is a mean of the values of rows $1 \dots n$, a linear thing but for the weights.
# That is all it does. Between two such mixings each token should be able to *think*. So a block has two parts, attention and a
# perceptron that treats each row alone. With $X\ (t, d)$ going in and $X''\ (t, d)$ coming out,
#
# $$ X' = X + \mathrm{attention}(\mathrm{norm}(X)), \qquad X'' = X' + \mathrm{mlp}(\mathrm{norm}(X')) . $$

# %% tags=["picture"]
figure, ax = plt.subplots(figsize=(9, 2.4), layout="constrained")
ax.plot([0, 10], [0, 0], color=BLUE, linewidth=5)  # the road that nothing stands on
for start, name in ((1.0, "attention"), (5.6, "mlp")):
    end = start + 3.6
    ax.plot([start, start, end, end], [0, 1, 1, 0.2], color=ORANGE)
    ax.plot(end, 0.25, "v", color=ORANGE)
    for middle, text in ((start + 0.9, "norm"), (start + 2.5, name)):
        box = {"boxstyle": "round,pad=0.5", "facecolor": "white"}
        ax.text(middle, 1, text, ha="center", va="center", fontsize=12, bbox=box)
    ax.plot(end, 0, "o", markersize=17, color="white", markeredgecolor="black")
    ax.text(end, -0.02, "+", ha="center", va="center", fontsize=14)
for at, text in ((0.3, "$X$"), (5.1, "$X'$"), (9.75, "$X''$")):
    ax.text(at, -0.45, text, ha="center", fontsize=13)
ax.set(xlim=(0, 10), ylim=(-0.6, 1.5))
ax.axis("off")
plt.show()

# %% [markdown]
# Two things are new: the plus, and the norm.
#
# ### The plus
#
# Let $y = x + f(x)$ for a row $x\ (d)$, and let $J\ (d, d)$ be the Jacobian of $f$, $J_{ij} = \partial f_i/\partial x_j$. An entry
# $x_j$ is seen by $y_j$ directly, with the slope 1, and by every $y_i$ through $f$:
#
# $$ \bar x_j = g_j + \sum_i J_{ij}\, g_i, \qquad\text{that is}\quad \bar x = g + J^\top g . $$
#
# The first term has no factor. With layers $1 \dots l$ one above the other, the product of the Jacobians multiplies out into a sum over
# all ways through the stack; for two layers
#
# $$ (I + J_2)(I + J_1) = I + J_1 + J_2 + J_2 J_1 . $$
#
# Without the plus there is the last term alone, the product of all, which vanishes or explodes (chapter 05). With it there is
# always $I$: the blue road of the picture. **Guess:** 64 layers, with and without the plus. How much of a gradient arrives at the
# first?


# %%
def residual(x, W):
    return x + np.tanh(x @ W)


# %% tags=["check"]
x, W, W2 = rng.normal(size=(1, 4)), rng.normal(size=(4, 4)), rng.normal(size=(4, 4))


def jacobian_of(f, x):  # column j: how the outputs move with x_j
    steps = 1e-6 * np.eye(x.size)
    columns = [(f(x + step) - f(x - step))[0] / 2e-6 for step in steps]
    return np.stack(columns, axis=1)


J1 = jacobian_of(lambda x: np.tanh(x @ W), x)
J2 = jacobian_of(lambda y: np.tanh(y @ W2), residual(x, W))
both = jacobian_of(lambda x: residual(residual(x, W), W2), x)
assert np.allclose(both, np.eye(4) + J1 + J2 + J2 @ J1, atol=1e-7)
given, g = tn.tensor(x, requires_grad=True), rng.normal(size=(1, 4))
(given + (given @ tn.tensor(W)).tanh()).backward(tn.tensor(g))
assert np.allclose(given.grad.numpy()[0], g[0] + J1.T @ g[0])

# %% tags=["picture"]
depths = [1, 2, 4, 8, 16, 32, 64]
sizes = {"f(x)": [], "x + f(x)": []}
for name in sizes:
    for depth in depths:
        tn.manual_seed(0)
        x = tn.randn(1, 64, dtype=tn.float64, requires_grad=True)
        y = x
        for _ in range(depth):
            W = tn.randn(64, 64, dtype=tn.float64) * (0.7 / 8)
            f = tn.tanh(y @ W)
            y = f if name == "f(x)" else y + f
        (y * tn.randn(64)).sum().backward()
        sizes[name].append(np.linalg.norm(x.grad.numpy()))
figure, ax = plt.subplots(figsize=(6.2, 3.3), layout="constrained")
for (name, values), line, colour in zip(
    sizes.items(), ("s--", "o-"), (ORANGE, BLUE)
):
    ax.plot(depths, values, line, color=colour, label=f"layers of {name}")
ax.set(xscale="log", yscale="log", xlabel="layers", ylabel="size of the gradient")
ax.set_xticks(depths, depths)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# With the plus it even grows a little. Nothing vanishes; and what grows is the next subject.
#
# ### The norm
#
# Sums grow: each block adds something to $X$. Before each part, *layer norm* brings every row to mean 0 and variance 1. For one row
# $x\ (d)$, with $\gamma, \beta\ (d)$ learned, and a small $\varepsilon = 10^{-5}$ that keeps a row of equal numbers from dividing by 0,
#
# $$ m = \frac1d \sum_i x_i, \qquad v = \frac1d \sum_i (x_i - m)^2, \qquad \hat x_i = \frac{x_i - m}{\sqrt{v + \varepsilon}},
#    \qquad y_i = \gamma_i \hat x_i + \beta_i . $$
#
# **Its backward pass.** Write $r = 1/\sqrt{v + \varepsilon}$, so $\hat x_i = (x_i - m)\, r$, and $u_i = g_i \gamma_i$ for what
# arrives at $\hat x_i$. Every $x_j$ moves every $\hat x_i$, in three ways: directly if $i = j$, through $m$, and through $v$. The mean
# moves with $\partial m/\partial x_j = 1/d$. The variance:
#
# $$ \frac{\partial v}{\partial x_j} = \frac2d \sum_i (x_i - m)\Big(\delta_{ij} - \frac1d\Big)
#    = \frac2d (x_j - m) - \frac{2}{d^2} \underbrace{\sum_i (x_i - m)}_{0} = \frac{2}{d}\frac{\hat x_j}{r} . $$
#
# And $r = (v+\varepsilon)^{-1/2}$ gives
# $\partial r/\partial v = -\tfrac12 (v+\varepsilon)^{-3/2} = -\tfrac12 r^3$. By the product rule on $(x_i - m)\, r$, and with
# $(x_i - m)\, r = \hat x_i$ in the last step,
#
# $$ \frac{\partial \hat x_i}{\partial x_j} = r\Big(\delta_{ij} - \frac1d\Big) + (x_i - m)\Big(-\frac{r^3}{2}\Big)\frac2d\frac{\hat x_j}{r}
#    = r \Big(\delta_{ij} - \frac1d - \frac1d\, \hat x_i \hat x_j\Big). $$
#
# Sum over $i$ with the weights $u_i$:
#
# $$ \bar x_j = r\Big( u_j - \frac1d \sum_i u_i - \hat x_j\, \frac1d \sum_i u_i \hat x_i \Big). $$
#
# Two means are taken out of $u$: the plain one, since a shift of $x$ changes nothing, and the one along $\hat x$, since a stretch
# of $x$ changes nothing either. $\gamma$ and $\beta$ serve every row of $X$, so their gradients are sums over the rows,
# $\bar\gamma_i = \sum_n g_{ni} \hat x_{ni}$ and $\bar\beta_i = \sum_n g_{ni}$.
#
# **By hand:** $x = (0, 3, 6)$, $\gamma = 1$, $\varepsilon = 0$. Then $m = 3$, $v = \tfrac13(9 + 0 + 9) = 6$, $r = 0.4082$ and $\hat x = (-1.2247,\ 0,\
# 1.2247)$. Let $u = (1, 0, 0)$. The means are $\tfrac13$ and $\tfrac13(-1.2247) = -0.4082$, so
#
# $$ \bar x = 0.4082 \cdot \big(1 - \tfrac13 - \tfrac12,\ \ 0 - \tfrac13 - 0,\ \ 0 - \tfrac13 + \tfrac12\big)
#    = (0.0680,\ -0.1361,\ 0.0680) . $$
#
# It sums to 0, and so does its product with $(-1, 0, 1)$: neither shift nor stretch is left.


# %%
def layer_norm(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    x_hat = centred * r
    return gamma * x_hat + beta


def layer_norm_backward(g, x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    x_hat, u = centred * r, g * gamma
    along = np.mean(u * x_hat, axis=-1, keepdims=True)
    dx = r * (u - u.mean(axis=-1, keepdims=True) - x_hat * along)
    return dx, (g * x_hat).sum(axis=0), g.sum(axis=0)


# %% tags=["check"]
x, gamma, beta = rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=5)
assert check_backward(layer_norm, layer_norm_backward, x, gamma, beta)
expected = derivations.layer_norm.definition(x, gamma, beta)
assert np.allclose(layer_norm(x, gamma, beta), expected)
row, first = np.array([[0.0, 3, 6]]), np.array([[1.0, 0, 0]])
dx, _, _ = layer_norm_backward(first, row, np.ones(3), np.zeros(3))
assert np.allclose(dx, [[0.0680, -0.1361, 0.0680]], atol=5e-5)
g = rng.normal(size=(3, 5))
dx, _, _ = layer_norm_backward(g, x, gamma, beta)
assert np.allclose(dx.sum(axis=1), 0)  # a shift of a row changes nothing
centred = x - x.mean(axis=1, keepdims=True)
r = 1 / np.sqrt(np.mean(centred**2, axis=1) + 1e-5)
left = np.sum(dx * centred, axis=1)  # a stretch: nothing either, but for ε
assert np.allclose(left, 1e-5 * r**3 * np.sum(g * gamma * centred, axis=1))

# %% [markdown]
# ### The block, from nothing
#
# One head of attention with the causal mask; its answers go through a last matrix $W_O$ (chapter 08). A perceptron with four times
# the width inside, and GELU for its activation: $z\,\Phi(z)$, where $\Phi(z) = \tfrac12\big(1 + \mathrm{erf}(z/\sqrt2)\big)$ is the share of
# a normal distribution below $z$. It is a softened ReLU. And two pluses:


# %%
def causal_attention(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = q @ k.T / math.sqrt(q.shape[1])
    s = np.where(np.tri(len(x), dtype=bool), s, -np.inf)
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) @ v


def block(x, Wq, Wk, Wv, Wo, W1, W2):
    ones, zeros = np.ones(x.shape[1]), np.zeros(x.shape[1])
    x = x + causal_attention(layer_norm(x, ones, zeros), Wq, Wk, Wv) @ Wo
    z = layer_norm(x, ones, zeros) @ W1
    Phi = (1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2
    return x + (z * Phi) @ W2


# %% [markdown]
# Held against the package's block, which has biases, too (we set them to 0), and $W_Q, W_K, W_V$ in one matrix. The last lines ask
# whether anybody sees the future.

# %% tags=["check"]
d = 8
weights = [rng.normal(size=s) / 4 for s in ((d, d),) * 4 + ((d, 4 * d), (4 * d, d))]
x = rng.normal(size=(5, d))
config = models.GPTConfig(tokens=3, width=d, layers=1, heads=1, dropout=0.0)
theirs = models.GPT(config).double().blocks[0]
Wq, Wk, Wv, Wo, W1, W2 = (tn.tensor(w) for w in weights)
for parameter in theirs.parameters():
    if parameter.ndim == 1:
        parameter.data = tn.zeros_like(parameter)
theirs.norm1.weight.data = theirs.norm2.weight.data = tn.ones(d, dtype=tn.float64)
theirs.attention.input.weight.data = tn.cat([Wq, Wk, Wv], dim=1).T
theirs.attention.output.weight.data = Wo.T
theirs.mlp[0].weight.data, theirs.mlp[2].weight.data = W1.T, W2.T
found = theirs(tn.tensor(x[None]))[0].detach().numpy()[0]
assert np.allclose(block(x, *weights), found)
later = x.copy()
later[3:] += 1
assert np.allclose(block(later, *weights)[:3], found[:3])  # nobody sees the future

# %% [markdown]
# ### Where am I?
#
# Attention does not know the order of its keys (chapter 08, section 4). The mask tells row $n$ *which* signs came before, and still not
# in what order. So each position $n$ has a vector of its own, $p_n\ (d)$, learned like a sign's. What enters the first block is the sum
# of both, $e_n + p_n$.
#
# ## 5. GPT, and what it reaches
#
# Now all parts are there. The table $E\ (V, d)$ turns signs into rows; positions are added; blocks; a last norm; and the scores. For
# these the table is used once more, $z = E\, h_n$: a sign scores high where the state is near the sign's own vector. (*Weight tying*. It
# is the printed $W x_n + b$ with $W = E$, no $b$, and $h_n$ in the place of $x_n$. Exercise 4 derives what it means for $\bar E$.) Find each of
# these in the package's lines. `past` is for section 6.

# %%
print(inspect.getsource(models.GPT.__init__))
print(inspect.getsource(models.GPT.read))

# %% [markdown]
# Two blocks of width 64 with four heads, and the same training as before. One thing is set by hand. The package begins like GPT-2, with
# weights of spread 0.02; that suits a width of 768 and more. For a width of 64 we begin four times as large. (Without that line, the
# same 500 steps end half a bit higher.) Will it beat the recurrent network?

# %% tags=["slow"]
tn.manual_seed(0)
gpt = models.GPT(
    models.GPTConfig(tokens=V, window=32, width=64, layers=2, heads=4, dropout=0)
)
for p in gpt.parameters():
    if p.ndim > 1:
        p.data = 4 * p.data
curves["GPT"] = learn(gpt)
for name, curve in curves.items():
    print(f"{name:12} {curve[-1][1]:.2f} bits per character")

# %% tags=["slow"]
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
styles = (("s--", GREEN), ("^-.", ORANGE), ("o-", BLUE))
for (name, curve), (line, colour) in zip(curves.items(), styles):
    ax.plot(*zip(*curve[1:]), line, color=colour, label=name)
ax.axhline(bigram_bits, color="grey", linestyle=":", label="bigram, counted")
ax.set(xlabel="step", ylabel="bits per character, held out")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# After 500 steps the three are level, three quarters of a bit below what the printed formula can do at its best. They differ in how far
# they can go: GPT is the slowest to begin, and gains longest. Measured with `LONG=1`, after 3,000 steps:
#
# | bigram, counted | best table, $k = 3$ | window of 5 | recurrent | GPT |
# |---|---|---|---|---|
# | 3.45 | 2.80 | 2.67 | 2.55 | 2.53 |
#
# The window is at its end; who sees more of the past goes on.
#
# The full comparison, with larger networks, 1,000 steps and PyTorch beside each, is `python -m tinynet train NAME` for
# `bigram`, `mlp-lm`, `rnn-lm`, `lstm-lm`, `gru-lm` and `gpt`. Measured there on sonnets held out, in bits per character: 3.46, 2.65, 2.53,
# 2.45, 2.39 and 2.47 (page "Results"). The GRU is ahead of the GPT. A recurrent network is *built* to care most for what came last; a
# Transformer has to learn it. Large Transformers win by what they can be fed, not on 95 kilobytes.
#
# Has ours learned it? Here is what the four heads of its first layer look at. The number is the mean weight on the sign just before:

# %% tags=["slow"]
line = "Shall I compare"
with tn.no_grad():
    maps = gpt.attention_maps(tn.tensor([tokenizer.encode(line)]))
first_layer = maps[0].numpy()[0]  # (4 heads, t, t)
figure, axes = plt.subplots(2, 2, figsize=(7.6, 6.6), layout="constrained")
for head, (ax, weights) in enumerate(zip(axes.flat, first_layer)):
    image = ax.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(line)), line.replace(" ", "␣"), fontsize=9)
    ax.set_yticks(range(len(line)), line.replace(" ", "␣"), fontsize=9)
    before = np.mean(np.diagonal(weights, -1))
    ax.set(
        title=f"head {head + 1}: {before:.2f}", xlabel="looked at", ylabel="looks"
    )
figure.colorbar(image, ax=axes, label="weight")
plt.show()

# %% [markdown]
# All four have found that what came last matters most: the weight lies near the diagonal, and one head gives more than half of it to the
# one sign before. Together with what the row knows of its own sign that is a context of two, found by gradient descent. The
# other heads and the second layer add what lies further back.
#
# ## 6. Drawing
#
# The model gives scores $z\ (V)$, and softmax makes probabilities of them. How does one draw a sign with probability $p_i$? Lay the
# $p_i$ end to end on a stick of length 1, and throw a dart: a uniform random number $u$ between 0 and 1. It hits the piece $i$ with
# probability $p_i$. In formulas: the first $i$ with $p_1 + \dots + p_i > u$. The sign is put behind the text, and the model is asked again.
#
# Always taking the likeliest sign makes it repeat itself. Drawing makes it stumble: each unlikely sign is unlikely, but there are many
# of them, and after one that fits nowhere the model has never seen such a text. The *temperature* $\tau$ is between: $p_i \propto
# e^{z_i/\tau}$. With $z_1$ the largest,
#
# $$ \frac{p_i}{p_1} = e^{(z_i - z_1)/\tau} \;\longrightarrow\;
#    \begin{cases} 0 & \tau \to 0 \quad\text{(the likeliest takes all)}\\ 1 & \tau \to \infty \quad\text{(everybody alike).}\end{cases} $$
#
# Or cut the tail off. *Top-k* keeps the $k$ likeliest and divides by their sum. *Top-p* keeps the fewest likeliest that together have
# at least the share $p$: few where the model is sure, many where it is not.
#
# **By hand:** $p = (\tfrac12, \tfrac14, \tfrac18, \tfrac18)$. The temperature $\tau = \tfrac12$ squares every $e^{z_i}$, so it squares the
# $p_i$: 16 : 4 : 1 : 1, that is 0.73, 0.18, 0.05, 0.05. Top-2 leaves $\tfrac23, \tfrac13$. Top-p with the share 0.8: two have only 0.75,
# three have 0.875; so three stay, $\tfrac47, \tfrac27, \tfrac17$.


# %%
def with_temperature(z, tau):
    e = np.exp((z - z.max()) / tau)
    return e / e.sum()


def keep_k(p, k):
    kept = np.where(p >= np.sort(p)[-k], p, 0)
    return kept / kept.sum()


def draw_with(p, u):
    """The first i with p_0 + … + p_i > u."""
    return int(np.sum(np.cumsum(p) <= u))


# %% tags=["check"]
p = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])
assert np.allclose(with_temperature(np.log(p), 1 / 2), np.array([16, 4, 1, 1]) / 22)
assert np.allclose(keep_k(p, 2), [2 / 3, 1 / 3, 0, 0])
three = sampling.probabilities(np.log(p), top_p=0.8)
assert np.allclose(three[:2], [4 / 7, 2 / 7])
assert np.allclose(np.sort(three)[:2], [0, 1 / 7])
drawn = [draw_with(p, u) for u in (np.arange(1000) + 0.5) / 1000]
assert [drawn.count(i) for i in range(4)] == [500, 250, 125, 125]
z = rng.normal(size=6)
p = with_temperature(z, 0.7)
assert np.allclose(p, sampling.probabilities(z, temperature=0.7))
for i in range(6):
    assert np.isclose(p[i] / p[0], math.exp((z[i] - z[0]) / 0.7))
assert np.allclose(with_temperature(z, 1e9), 1 / 6)
assert np.isclose(with_temperature(z, 1e-3).max(), 1)
for k in (1, 2, 6):
    expected = sampling.probabilities(z, temperature=0.7, top_k=k)
    assert np.allclose(keep_k(p, k), expected)

# %% [markdown]
# What the GPT would write after *Shall I compare th*, in six ways. Before you look: which letters may follow *th*?

# %% tags=["slow"]
with tn.no_grad():
    prompt = tn.tensor([tokenizer.encode("Shall I compare th")])
    z = gpt(prompt).numpy()[0, -1]
z = z.astype(float)
order = np.argsort(-z)[:9]
names = [repr(tokenizer.decode([i]))[1:-1].replace(" ", "␣") for i in order]
ways = {
    "τ = 0.3": with_temperature(z, 0.3),
    "τ = 1": with_temperature(z, 1.0),
    "τ = 3": with_temperature(z, 3.0),
    "top-k, k = 3": keep_k(with_temperature(z, 1.0), 3),
    "top-p, p = 0.5": sampling.probabilities(z, top_p=0.5),
    "top-p, p = 0.9": sampling.probabilities(z, top_p=0.9),
}
figure, axes = plt.subplots(
    2, 3, figsize=(8.4, 4.8), sharey=True, layout="constrained"
)
for ax, (name, p) in zip(axes.flat, ways.items()):
    ax.bar(range(9), p[order], color=BLUE)
    ax.set_xticks(range(9), names)
    ax.set(title=name, ylim=(0, 1), xlabel="next sign")
    ax.set(ylabel="probability" if ax in axes[:, 0] else None)
plt.show()

# %% tags=["slow"]
draw = np.random.default_rng(0)
for tau in (0.1, 0.7, 1.5):
    written = "Shall I "
    with tn.no_grad():
        for _ in range(150):
            ids = tokenizer.encode(written)[-32:]  # the window
            z = gpt(tn.tensor([ids])).numpy()[0, -1].astype(float)
            sign = draw_with(with_temperature(z, tau), draw.random())
            written += tokenizer.decode([sign])
    print(f"--- τ = {tau}")
    print(textwrap.fill(written.replace("\n", " / "), 76))

# %% [markdown]
# Cold, it goes round in circles. Hot, it stumbles. Between the two there are words that do not exist and yet could. More it cannot
# have learned from 500 steps.
#
# ### Nothing twice
#
# The loop above reads the whole text again for every sign. To write token $n + 1$ we need the *query* of row $n$ alone, but the *keys
# and values* of all rows up to $n$. These do not change when the text grows, because nobody sees the future. So keep them: the *key–value
# cache*, the `past` of the package's lines. Without it a text of $n$ tokens reads $1 + 2 + \dots + n = n(n+1)/2$ rows, with it $n$.
# (What each new row must look at still grows with $n$.) The results are the same to rounding:

# %% tags=["check"]
tiny = models.GPT(
    models.GPTConfig(tokens=5, window=16, width=8, layers=2, heads=2)
).eval()
ids = rng.integers(0, 5, (1, 9))
with tn.no_grad():
    whole = tiny(tn.tensor(ids)).numpy()
    past, pieces = None, []
    for n in range(9):
        scores, past = tiny.read(tn.tensor(ids[:, n : n + 1]), past)
        pieces.append(scores.numpy())
assert np.allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)
assert sum(range(1, 10)) == 9 * 10 // 2

# %% [markdown]
# ## 7. The other half: BERT
#
# A model that only reads need not hide the future. *BERT* (document D, 5.2) is a stack of such blocks (the norms stand behind the pluses)
# **without the causal mask**: each token looks left and right. But then *the next sign* is no task to learn from: it can be seen, and copying it gives a loss
# of 0. So some tokens are hidden instead. A seventh of them or so, a set $M$ of places, is replaced by a token [MASK], and the model is
# asked what stood there:
#
# $$ L = -\frac{1}{|M|} \sum_{n \in M} \log P\big(x_n \mid \text{all tokens that are not hidden}\big), \qquad
#    P = \mathrm{softmax}(W h_n + b) . $$
#
# It is the loss of section 1, at other places. Whoever can fill gaps knows much about language, and its states $h_n$ serve other tasks:
# put a linear layer and a loss of chapter 04 on them, and train on. That is *fine-tuning*. (The code of D 5.2 leaves this layer out.
# Its model gives states, no scores, so there is no loss to take the gradient of; see the errata.)
#
# The package loads a real one, MiniLM: 6 layers of 12 heads, 22.6 million numbers, with its tokenizer, which cuts words into some
# 30,000 pieces. [CLS] and [SEP] stand before and behind each text. It agrees with the reference implementation to 2e-7 (page "Results"). It is 83
# MB to download, so the next cell waits for `LONG=1`, or for a file that is there already.
#
# We ask for the weights of all 72 heads, and draw four, each the strongest at something one can name. **Guess:** in *The animal did not cross
# the street because it was too tired*, what should *it* look at?


# %% tags=["slow"]
def minilm_weights(text):
    """The tokens (t), and the weights (6 layers, 12 heads, t, t)."""
    ids, _, _ = wordpiece.batch([text])
    with tn.no_grad():
        weights = minilm.attention_weights(ids).numpy()[:, 0]
    return [wordpiece.pieces[i] for i in ids.numpy()[0]], weights


have_minilm = bool(os.environ.get("LONG")) or tn.data.is_cached(MINILM)
if have_minilm:
    minilm, wordpiece = load_minilm()
    text = "The animal did not cross the street because it was too tired."
    tokens, weights = minilm_weights(text)
    it, animal = tokens.index("it"), tokens.index("animal")
    habits = {
        "the token before": np.diagonal(weights, -1, 2, 3).mean(axis=-1),
        "the token after": np.diagonal(weights, 1, 2, 3).mean(axis=-1),
        "[CLS]": weights[..., 1:, 0].mean(axis=-1),
        "from it to animal": weights[..., it, animal],
    }
    figure, axes = plt.subplots(2, 2, figsize=(10.5, 9), layout="constrained")
    for ax, (habit, strength) in zip(axes.flat, habits.items()):
        layer, head = np.unravel_index(strength.argmax(), strength.shape)
        image = ax.imshow(weights[layer, head], cmap="Blues", vmin=0, vmax=1)
        ax.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=11)
        ax.set_yticks(range(len(tokens)), tokens, fontsize=11)
        ax.set_title(f"{habit}: layer {layer + 1}, head {head + 1}")
    figure.colorbar(image, ax=axes, label="weight", shrink=0.6)
    plt.show()
else:
    print(
        "Not here: 83 MB. python -m tinynet data get minilm, and run this cell again"
    )

# %% [markdown]
# Two heads look one place to the left and one to the right: neighbours matter, and nobody built that in. One sends almost everything to
# [CLS]. A row must give its weight of 1 to somebody, and [CLS] is where a head looks that has nothing to say. And one looks from *it* to
# *animal*.
#
# Does that head *understand* the pronoun? A picture picked as the strongest of 72 proves nothing. So change one word: *too wide*. Now *it* is the
# street. **Where does the same head look?**

# %% tags=["slow"]
if have_minilm:
    shares = {}
    for last in ("tired", "wide"):
        tokens, weights = minilm_weights(text.replace("tired", last))
        it, nouns = (
            tokens.index("it"),
            [tokens.index(w) for w in ("animal", "street")],
        )
        shares[last] = weights[layer, head, it, nouns]
        print(
            f"too {last:5}: animal {shares[last][0]:.2f}, street {shares[last][1]:.2f}"
        )
    assert np.allclose(
        list(shares.values()), [[0.69, 0.05], [0.32, 0.15]], atol=0.006
    )

# %% [markdown]
# With *tired*: animal 0.69, street 0.05. With *wide*: animal 0.32, street 0.15. It does notice the last word: *animal* loses half of its weight and
# *street* gets three times as much. It is not enough: *animal* still leads. That is the honest reading of such maps. They show where a
# head looks, they can be tested by changing the text, and what the whole network knows is not in one head.
#
# What the states are good for: the mean of a sentence's states is a vector for the sentence. Their cosines tell what is about the same.

# %% tags=["slow"]
if have_minilm:
    sentences = ["A cat sleeps.", "A kitten naps.", "Share prices fell today."]
    vectors = embed(minilm, wordpiece, sentences)  # of length 1
    for row, sentence in zip(vectors @ vectors.T, sentences):
        print(f"{sentence:26}", "  ".join(f"{cosine:5.2f}" for cosine in row))

# %% [markdown]
# ## 8. What goes wrong
#
# **It sees the future.** A mask forgotten, or off by one. The training loss is wonderful, and the text is nonsense: when the model
# writes, the future that it relied on is not there. The test is the one of section 4: change the end, and the beginning must not
# move. Here is attention that leaks, and the test that tells:


# %% tags=["wrong"]
def leaking_attention(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = np.where(
        np.tri(len(x), k=1, dtype=bool), q @ k.T / math.sqrt(q.shape[1]), -np.inf
    )
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) @ v


x = rng.normal(size=(5, 8))
later = x + np.array([0, 0, 0, 1, 1])[:, None]
Ws = [rng.normal(size=(8, 8)) for _ in range(3)]
for attend in (causal_attention, leaking_attention):
    moved = np.abs(attend(later, *Ws) - attend(x, *Ws)).max(axis=1)
    print(f"{attend.__name__:18} rows that moved: {np.flatnonzero(moved > 1e-12)}")

# %% [markdown]
# **A layer norm without its second mean.** Somebody knows that the mean is taken out and forgets the stretch:


# %% tags=["wrong"]
def only_the_mean(g, x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    u = g * gamma
    dx = r * (u - u.mean(axis=-1, keepdims=True))
    return dx, (g * centred * r).sum(axis=0), g.sum(axis=0)


x, gamma, beta = rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=5)
check_backward(layer_norm, only_the_mean, x, gamma, beta)

# %% [markdown]
# **A mistake for you to find.** The loss of a language model, from its scores and the row that it read. It trains, its loss
# becomes tiny, and it learns to copy. Exercise 5.


# %% tags=["wrong"]
def copying_loss(scores, ids):  # scores (t, V) of what follows each of the ids (t)
    top = scores.max(axis=1, keepdims=True)
    log_p = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(ids)), ids])


# %% [markdown]
# ## 9. Exercises
#
# **1. By hand.** A model gives the three signs of a text the probabilities $\tfrac12$, $\tfrac12$ and $\tfrac1{16}$. How many bits per
# character?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("09.bits").check(your_number)

# %% [markdown]
# **2. Forward.** Top-p of section 6: from probabilities `p` keep the fewest likeliest that together have at least `share`. The result sums
# to 1, and each entry stays where it was. No two of the probabilities are equal.


# %% tags=["exercise"]
def my_top_p(p, share): ...


tn.exercise("09.top_p").check(my_top_p)

# %% [markdown]
# **3. Backward.** *RMS norm* leaves out the mean: $y_i = \gamma_i x_i / \sqrt{\tfrac1d \sum_k x_k^2 + \varepsilon}$, $\varepsilon =
# 10^{-5}$. Derive its backward pass as in section 4.


# %% tags=["exercise"]
def my_rms_norm_backward(g, x, gamma): ...


tn.exercise("09.rms_norm_backward").check(my_rms_norm_backward)

# %% [markdown]
# **4. Derivation.** Weight tying in its smallest form. The table $E\ (V, d)$ is used twice: the signs $x\ (t)$ are looked up,
# $h_n = \tanh(\text{row } x_n \text{ of } E)$, and the scores are $Z = H E^\top\ (t, V)$. Derive $\bar E$ from $\bar Z$ = `g`. (A sign may occur
# several times.)


# %% tags=["exercise"]
def my_tied_backward(g, ids, E): ...


tn.exercise("09.tied_backward").check(my_tied_backward)

# %% [markdown]
# **5. Find the mistake** in `copying_loss` of section 8. Change this copy until it is right.


# %% tags=["exercise"]
def my_loss(scores, ids):
    top = scores.max(axis=1, keepdims=True)
    log_p = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(ids)), ids])


tn.exercise("09.planted_bug").check(my_loss)

# %% [markdown]
# **6. For a quiet hour** (paper only). How many numbers does a block of width $d$ hold, without biases and norms? How many products does it
# take for $n$ tokens? From which $n$ on does the $n \times n$ part of attention cost more than the perceptron?
#
# ## Words
#
# | | |
# |---|---|
# | language model | 语言模型 |
# | token, tokenizer | 词元, 分词器 |
# | bigram | 二元语法 |
# | perplexity | 困惑度 |
# | word embedding; position embedding | 词嵌入; 位置嵌入 |
# | Transformer | Transformer 模型 |
# | residual connection | 残差连接 |
# | layer normalisation | 层归一化 |
# | temperature; sampling | 温度; 采样 |
# | weight tying | 权重共享 |
# | key–value cache | 键值缓存 |
# | masked language model | 掩码语言模型 |
# | pretraining, fine-tuning | 预训练, 微调 |
#
# ## What to read next
#
# - In the package: `models/gpt.py`, then `models/sampling.py`; `python -m tinynet generate gpt --prompt "Shall I "` after a training.
# - `python -m tinynet train bert-sentiment` fine-tunes the real weights.
# - C. Shannon, *Prediction and Entropy of Printed English*, 1951. Y. Bengio, R. Ducharme, P. Vincent and C. Jauvin, *A Neural Probabilistic Language Model*, 2003. J. Ba, J. Kiros and G. Hinton, *Layer
#   Normalization*, 2016. J. Devlin, M.-W. Chang, K. Lee and K. Toutanova, *BERT*, 2019.
