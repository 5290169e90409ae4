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
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import derivations, models, nn
from tinynet.check import check_backward
from tinynet.data.archives import MINILM
from tinynet.models import sampling
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
# signs it has got down to about 11. English readers need two or three.
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
        (pieces[text[i : i + k + 1]] + alpha) / (contexts[text[i : i + k]] + alpha * V)
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

# %% [markdown]
# On its own text a longer context is always better: it learns by heart. On new text the best is $k = 2$, and then it gets worse: of
# the $62^6 \approx 6 \cdot 10^{10}$ contexts of six signs, 86 thousand places show almost none twice. The table treats *the sweet* and *thy
# sweet* as strangers. What is needed is a model that notes that contexts are *alike*.
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
    models.MLPLanguageConfig(tokens=V, context=8, width=16, hidden=128, dropout=0)
)
recurrent = models.RecurrentLanguageModel(
    models.RecurrentConfig(tokens=V, cell="RNN", width=32, hidden=128, dropout=0)
)
curves = {"window of 8": learn(window), "recurrent": learn(recurrent)}
for name, curve in curves.items():
    print(f"{name:12} {curve[-1][1]:.2f} bits per character")

# %% [markdown]
# Both are well below every table of counts. It remains to give all signs of the past a say, each by itself. That is attention; but a
# layer of attention alone is not yet a model.
#
# ## 4. A block of the Transformer
#
# Attention mixes the tokens: row $n$ becomes a mean of the rows before. That is all it does; between two such mixings each
# token should be able to *think*. So a block has two parts, attention and a perceptron that treats each row alone:
#
# $$ X' = X + \mathrm{attention}(\mathrm{norm}(X)), \qquad X'' = X' + \mathrm{mlp}(\mathrm{norm}(X')) . $$
#
# Two things are new in it: the plus, and the norm.
#
# ### The plus
#
# Let $y = x + f(x)$. Then $\partial y/\partial x = I + f'(x)$, and what arrives goes back on two ways:
#
# $$ \bar x = g + f'(x)^\top g . $$
#
# The first way has no factor. Through forty layers of $f$ alone, $g$ is multiplied by forty Jacobians, and vanishes or explodes
# (chapter 05). Through forty layers of $x + f(x)$ there is always the way on which nothing was multiplied at all. **Which curve of
# the next picture is which?**

# %% tags=["picture"]
depths = [1, 2, 4, 8, 16, 32, 64]
sizes = {"f(x)": [], "x + f(x)": []}
for name in sizes:
    for depth in depths:
        x = tn.randn(1, 64, dtype=tn.float64, requires_grad=True)
        y = x
        tn.manual_seed(0)
        for _ in range(depth):
            W = tn.randn(64, 64, dtype=tn.float64) * (0.7 / 8)
            f = tn.tanh(y @ W)
            y = f if name == "f(x)" else y + f
        (y * tn.randn(64)).sum().backward()
        sizes[name].append(np.linalg.norm(x.grad.numpy()))
figure, ax = plt.subplots(figsize=(6.2, 3.3), layout="constrained")
for (name, values), colour in zip(sizes.items(), (ORANGE, BLUE)):
    ax.plot(depths, values, "o-", color=colour, label=f"layers of {name}")
ax.set(xscale="log", yscale="log", xlabel="layers", ylabel="size of the gradient")
ax.set_xticks(depths, depths)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ### The norm
#
# Sums grow. Before each part, *layer norm* brings every row to mean 0 and variance 1. For one row $x$ of $d$ numbers,
#
# $$ m = \frac1d \sum_i x_i, \qquad v = \frac1d \sum_i (x_i - m)^2, \qquad \hat x_i = \frac{x_i - m}{\sqrt{v + \varepsilon}},
#    \qquad y_i = \gamma_i \hat x_i + \beta_i . $$
#
# **Its backward pass.** Write $r = 1/\sqrt{v + \varepsilon}$, so $\hat x_i = (x_i - m)\, r$, and $h_i = g_i \gamma_i$ for what
# arrives at $\hat x_i$. We need how $\hat x_i$ moves with $x_j$. The mean moves with $\partial m/\partial x_j = 1/d$. The variance:
#
# $$ \frac{\partial v}{\partial x_j} = \frac2d \sum_i (x_i - m)\Big(\delta_{ij} - \frac1d\Big)
#    = \frac2d (x_j - m) = \frac{2}{d}\frac{\hat x_j}{r}, $$
#
# because the differences from the mean sum to 0. And $r = (v+\varepsilon)^{-1/2}$ gives
# $\partial r/\partial v = -\tfrac12 (v+\varepsilon)^{-3/2} = -\tfrac12 r^3$. Together
#
# $$ \frac{\partial \hat x_i}{\partial x_j} = r\Big(\delta_{ij} - \frac1d\Big) + (x_i - m)\Big(-\frac{r^3}{2}\Big)\frac2d\frac{\hat x_j}{r}
#    = r \Big(\delta_{ij} - \frac1d - \frac1d\, \hat x_i \hat x_j\Big). $$
#
# Sum over $i$ with the weights $h_i$:
#
# $$ \bar x_j = r\Big( h_j - \frac1d \sum_i h_i - \hat x_j\, \frac1d \sum_i h_i \hat x_i \Big). $$
#
# Two means are taken out of $h$: the plain one, since a shift of $x$ changes nothing, and the one along $\hat x$, since a stretch
# of $x$ changes nothing either. The gradients of $\gamma$ and $\beta$ are sums over the rows.


# %%
def layer_norm(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    return gamma * centred * r + beta


def layer_norm_backward(g, x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    x_hat, h = centred * r, g * gamma
    along = np.mean(h * x_hat, axis=-1, keepdims=True)
    dx = r * (h - h.mean(axis=-1, keepdims=True) - x_hat * along)
    return dx, (g * x_hat).sum(axis=0), g.sum(axis=0)


# %% tags=["check"]
x, gamma, beta = rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=5)
assert check_backward(layer_norm, layer_norm_backward, x, gamma, beta)
expected = derivations.layer_norm.definition(x, gamma, beta)
assert np.allclose(layer_norm(x, gamma, beta), expected)
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
# One head of attention with the causal mask, a perceptron with GELU ($u\,\Phi(u)$, a softened ReLU), and two pluses:


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
    u = layer_norm(x, ones, zeros) @ W1
    phi = np.array(
        [[0.5 * (1 + math.erf(c / math.sqrt(2))) for c in row] for row in u]
    )
    return x + (u * phi) @ W2


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
# Attention does not know the order of its rows: permute keys and values together, and the sum is the same (chapter 08, exercise 6).
# So each position $n$ has a vector of its own, $p_n$, learned like a word's, and what enters is $x_n = e(\text{token}_n) + p_n$.
#
# ## 4. GPT, and what it reaches
#
# Here is the package's network, from the file: embeddings in, blocks, a norm, and the table of embeddings once more to give the
# scores.

# %%
print(inspect.getsource(models.GPT.__init__))
print(inspect.getsource(models.GPT.read))

# %% [markdown]
# All predictions of a row are trained at once: output $n$ sees inputs $1 \dots n$ and is asked for input $n + 1$. A small one: 2 layers
# of width 64, rows of 64 characters, some hundred steps. Beside the loss we draw the bigram's line: the best that the printed
# formula can do.

# %% tags=["slow"]
tn.manual_seed(0)
long = bool(os.environ.get("LONG"))
config = models.GPTConfig(
    tokens=V, window=64, width=64, layers=2, heads=4, dropout=0.0
)
gpt = models.GPT(config)
steps = 3000 if long else 500
optimizer = tn.optim.AdamW(gpt.parameters(), lr=4e-3, weight_decay=0.01)
slower = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def rows_of(text, starts):
    rows = np.stack([text[s : s + 65] for s in starts])
    return tn.tensor(rows[:, :-1]), tn.tensor(rows[:, 1:])


def bits_on(text):
    with tn.no_grad():
        x, y = rows_of(text, range(0, len(text) - 65, 64))
        scores = gpt(x)
        return F.cross_entropy(scores.flatten(0, 1), y.flatten()).item() / math.log(
            2
        )


curve, start = [], time.perf_counter()
for step in range(steps):
    x, y = rows_of(train, rng.integers(0, len(train) - 65, 16))
    loss = F.cross_entropy(gpt(x).flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    slower.step()
    if step % 50 == 49:
        curve.append((step + 1, loss.item() / math.log(2), bits_on(held)))
print(
    f"bigram {bigram_bits:.2f}, GPT after {steps} steps {curve[-1][2]:.2f} bits per character"
)

# %% tags=["slow"]
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
at, trained, seen = zip(*curve)
ax.plot(at, trained, color=ORANGE, label="GPT, on the rows it learns")
ax.plot(at, seen, color=BLUE, label="GPT, on sonnets held out")
ax.axhline(bigram_bits, color="grey", linestyle="--", label="bigram, held out")
ax.set(xlabel="step", ylabel="bits per character")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# It is below the bigram's line, and would go on falling. The full comparison, bigram, window, RNN, LSTM, GRU and GPT with the same
# budget and PyTorch beside each, is `python -m tinynet train gpt`; its numbers stand on the page "Results" of the documentation. At
# 1,000 steps the GRU is ahead of the GPT there. Large Transformers win by what they can be fed, not on 95 kilobytes.
#
# ## 5. Drawing
#
# The model gives scores $z$. Always taking the likeliest sign makes it repeat itself. Drawing from softmax makes it stumble,
# because the tail of unlikely signs is long. The *temperature* is between: $p_i \propto e^{z_i/\tau}$. With $z_1$ the largest,
#
# $$ \frac{p_i}{p_1} = e^{(z_i - z_1)/\tau} \;\longrightarrow\;
#    \begin{cases} 0 & \tau \to 0 \quad\text{(the likeliest takes all)}\\ 1 & \tau \to \infty \quad\text{(everybody alike).}\end{cases} $$
#
# *Top-k* keeps the $k$ likeliest. *Top-p* keeps the fewest that together have the share $p$: few where the model is sure, many where
# it is not.


# %%
def with_temperature(z, tau):
    e = np.exp((z - z.max()) / tau)
    return e / e.sum()


def keep_k(p, k):
    kept = np.where(p >= np.sort(p)[-k], p, 0)
    return kept / kept.sum()


# %% tags=["check"]
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

# %% tags=["slow"]
with tn.no_grad():
    prompt = tn.tensor([tokenizer.encode("Shall I compare th")])
    z = gpt(prompt).numpy()[0, -1]
order = np.argsort(-z)[:12]
figure, axes = plt.subplots(
    1, 3, figsize=(10, 2.8), sharey=True, layout="constrained"
)
for ax, tau in zip(axes, (0.3, 1.0, 3.0)):
    ax.bar(range(12), with_temperature(z.astype(float), tau)[order], color=BLUE)
    ax.set_xticks(range(12), [repr(tokenizer.decode([i]))[1:-1] for i in order])
    ax.set(title=f"after …compare th, τ = {tau}", ylim=(0, 1))
axes[0].set(ylabel="probability")
plt.show()

# %% tags=["slow"]
for tau in (0.3, 0.8, 1.5):
    pieces = sampling.text(gpt, tokenizer, "Shall I ", 160, temperature=tau)
    print(f"--- τ = {tau}\nShall I " + "".join(pieces))

# %% [markdown]
# ### Nothing twice
#
# To write token $n + 1$ we need its query only, but the keys and values of all before. They do not change when the text grows,
# because nobody sees the future. So keep them: the *key–value cache*. Without it a text of $n$ tokens reads
# $1 + 2 + \dots + n = n(n+1)/2$ rows, with it $n$. The results are the same to rounding:

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
# ## 6. The other half: BERT
#
# A model that only reads need not hide the future. *BERT* (document D, 5.2) sees both sides and is trained to fill gaps; its vectors
# serve other tasks. The package loads a real one, MiniLM, 22.6 million numbers, with its tokenizer, and agrees with the reference to
# 2e-7. It is 83 MB to download, so the next cell waits for `LONG=1` (or for a file that is there already):

# %% tags=["slow"]
if os.environ.get("LONG") or tn.data.is_cached(MINILM):
    found = tn.models.find("minilm")
    network = found.pretrained()
    sentence = ["The animal did not cross the street because it was too tired."]
    vectors = found.embed(
        network, None, [*sentence, "A cat sleeps.", "A kitten naps."]
    )
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    print("cosines:", np.round(unit @ unit.T, 2)[1:, 1:].tolist())
else:
    print(
        "python -m tinynet train minilm: its attention maps, its neighbours, its speed"
    )

# %% [markdown]
# Its attention maps are drawn by `python -m tinynet train minilm`. Some of its 72 heads have habits one can name: one looks at
# the token before, one at the token after, and in the sentence above one looks from *it* to *animal*.
#
# ## 7. What goes wrong
#
# **It sees the future.** A mask forgotten, or off by one. The training loss is wonderful, the text is nonsense. The test is the one
# of section 3: change the end, and the beginning must not move. Here is a block that leaks, and the test that tells:


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
    h = g * gamma
    dx = r * (h - h.mean(axis=-1, keepdims=True))
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
# ## 8. Exercises
#
# **1. By hand.** A model gives the three signs of a text the probabilities $\tfrac12$, $\tfrac12$ and $\tfrac1{16}$. How many bits per
# character?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("09.bits").check(your_number)

# %% [markdown]
# **2. Forward.** The best bigram model of a text, with $\alpha > 0$ added to every count, so that no pair is impossible.


# %% tags=["exercise"]
def my_bigram(ids, size, alpha): ...


tn.exercise("09.bigram").check(my_bigram)

# %% [markdown]
# **3. Backward.** *RMS norm* leaves out the mean: $y_i = \gamma_i x_i / \sqrt{\tfrac1d \sum_k x_k^2 + \varepsilon}$, $\varepsilon =
# 10^{-5}$. Derive its backward pass as in section 3.


# %% tags=["exercise"]
def my_rms_norm_backward(g, x, gamma): ...


tn.exercise("09.rms_norm_backward").check(my_rms_norm_backward)

# %% [markdown]
# **4. Derivation.** A residual part with one matrix: $Y = X + \tanh(XW)$. Both gradients.


# %% tags=["exercise"]
def my_residual_backward(g, X, W): ...


tn.exercise("09.residual_backward").check(my_residual_backward)

# %% [markdown]
# **5. Find the mistake** in `copying_loss` of section 7. Change this copy until it is right.


# %% tags=["exercise"]
def my_loss(scores, ids):
    top = scores.max(axis=1, keepdims=True)
    log_p = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(ids)), ids])


tn.exercise("09.planted_bug").check(my_loss)

# %% [markdown]
# **6. For a quiet hour** (paper only). How many numbers does a block of width $d$ hold? How many operations does it take for $n$ tokens?
# From which $n$ on does the attention cost more than the perceptron?
#
# ## Words
#
# | | |
# |---|---|
# | language model | 语言模型 |
# | token, tokenizer | 词元, 分词器 |
# | perplexity | 困惑度 |
# | Transformer | Transformer 模型 |
# | residual connection | 残差连接 |
# | layer normalisation | 层归一化 |
# | temperature; sampling | 温度; 采样 |
# | key–value cache | 键值缓存 |
# | pretraining, fine-tuning | 预训练, 微调 |
#
# ## What to read next
#
# - In the package: `models/gpt.py`, then `models/sampling.py`; `python -m tinynet generate gpt --prompt "Shall I "` after a training.
# - `python -m tinynet train bert-sentiment` fine-tunes the real weights.
# - Y. Bengio, R. Ducharme, P. Vincent and C. Jauvin, *A Neural Probabilistic Language Model*, 2003. J. Ba, J. Kiros and G. Hinton, *Layer
#   Normalization*, 2016. J. Devlin, M.-W. Chang, K. Lee and K. Toutanova, *BERT*, 2019.
