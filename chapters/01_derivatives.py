# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Derivatives and how to check them
#
# Turn a knob a little, and a needle moves. How far, for each turn? With a million knobs, how far for each of them? And
# when a program claims to know: how do you find out whether it is right?
#
# **After this chapter you can**
# 1. say what a derivative is, of one number and of many, and find it with three rules;
# 2. derive the error of a difference, and the step that makes it least;
# 3. derive the complex step, and say where it fails;
# 4. check a million slopes by one number, and say how likely a mistake slips through;
# 5. name six ways in which a gradient check fools its author.
#
# **You need** chapter 00: shapes, broadcasting, rounding. Section 6 uses the mean and the variance of a random number.
# **Time** about 90 minutes, and 50 for the exercises.
# **Sources** document B, 3.2, steps 5 to 7 (gradients by the chain rule, and a step against them) and 4.2 (a gradient that
# would have failed this chapter's check: chapter 03 shows it); W. Squire and G. Trapp, *Using complex variables to estimate derivatives of real functions*, 1998.
#
# Notation: $h$ is a small step, of a number or of a vector. $f$ is short for $f(x)$ where no other place is named, and so
# are $f'$, $f''$ and $f'''$. $\varepsilon = 2^{-52}$ is the rounding unit of float64 (chapter 00).

# %%
import inspect
import math

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet.check import check_backward, complex_step, numeric, numeric_vjp

np.set_printoptions(precision=4, suppress=True)
rng = np.random.default_rng(1)
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

# %% [markdown]
# ## 1. The slope of the best line
#
# Take $f(x) = x^2$ at $x = 3$, where it is 9. Step to 3.1, and $f$ is 9.61: it rose by 0.61 over a step of 0.1, so 6.1
# for each unit. Step to 3.01, and it is 6.01 for each unit. **Before you go on:** what will 3.001 give, and what is the
# pattern?
#
# $$ \frac{(3 + h)^2 - 9}{h} = \frac{6h + h^2}{h} = 6 + h . $$
#
# The smaller the step, the nearer to 6. Now look at it through a lens. Each picture shows the middle of the one before,
# ten times larger. The blue line has slope 6, the orange one slope 7.

# %% tags=["picture"]
figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.9), layout="constrained")
for ax, width in zip(axes, (2, 0.2, 0.02)):
    x = np.linspace(3 - width, 3 + width, 200)
    ax.plot(x, x**2, color="black", linewidth=2.5, label="$x^2$")
    ax.plot(x, 9 + 6 * (x - 3), "--", color=BLUE, label="slope 6")
    ax.plot(x, 9 + 7 * (x - 3), ":", color=ORANGE, linewidth=2, label="slope 7")
    ax.set(xlabel="x", title=f"3 ± {width}", xticks=[3 - width, 3, 3 + width])
axes[0].set(ylabel="f(x)")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# On the right you can no longer tell the curve from the blue line. The orange line stays as far away as it was, however
# far you zoom. Now in numbers. At $3 + h$ the curve is at $9 + 6h + h^2$.
#
# - The blue line is at $9 + 6h$. It misses by $h^2$. That is small even *against the step*: for $h = 0.01$ it is a
#   hundredth of $h$, for $h = 0.001$ a thousandth.
# - The orange line is at $9 + 7h$. It misses by $h^2 - h$, and that is nearly the whole step, however small $h$ is.
#
# A rest like the first is written $o(h)$: **anything with $o(h)/h \to 0$ as $h \to 0$**, whatever it is in detail. So $h^2$
# is an $o(h)$. A sum of two is one again, and so is a fixed number times one. This is all we need for the definition. **The
# derivative $f'(x)$ is the slope of the line that misses the curve by no more than $o(h)$:**
#
# $$ f(x + h) = f(x) + f'(x)\, h + o(h) . $$
#
# Only one slope can do this. Suppose that $s$ and $t$ both did. Write the formula with each, and subtract:
# $(s - t)\, h = o(h)$. Divide by $h$: $s - t \to 0$. But $s - t$ does not depend on $h$, so $s = t$.
#
# For the square: $(x + h)^2 = x^2 + 2x\,h + h^2$, and $h^2$ is an $o(h)$. So $f'(x) = 2x$. A computer cannot let $h$ go to
# 0. If you take a small step and leave it at that, you get a *forward difference*:


# %%
def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


print([forward_difference(lambda x: x**2, 3.0, h) for h in (0.5, 0.25, 0.125)])

# %% tags=["check"]
for h in (0.5, 0.25, 0.125):
    assert forward_difference(lambda x: x**2, 3.0, h) == 6 + h
for h in (1e-2, 1e-4, 1e-6):  # what is left over, as a share of the step
    assert np.isclose(((3 + h) ** 2 - (9 + 6 * h)) / h, h, rtol=1e-3)
    assert np.isclose(((3 + h) ** 2 - (9 + 7 * h)) / h, -1, rtol=0.02)

# %% [markdown]
# ## 2. Three rules suffice
#
# Nobody goes back to the definition each time. Write down the best lines of two functions, $f$ and $k$, and combine the
# lines.
#
# **Sum.** Add the lines:
#
# $$ f(x+h) + k(x+h) = f + k + (f' + k')\,h + o(h) . $$
#
# What stands before $h$ is the slope: $(f + k)' = f' + k'$.
#
# **Product.** Multiply out. The product of the two steps, $f'k'h^2$, is an $o(h)$, and whatever an $o(h)$ is multiplied by
# stays one:
#
# $$ \big(f + f'h + o(h)\big)\big(k + k'h + o(h)\big) = f k + (f' k + f k')\, h + o(h) . $$
#
# So $(f k)' = f' k + f k'$. A constant $c$ has the slope 0, so $(c f)' = c f'$.
#
# **Chain.** Let $y = f(u)$ and $u = q(x)$. A step $h$ in $x$ moves $u$ by $\Delta = q'(x)\, h + o(h)$. That is a step
# for $f$:
#
# $$ f(u + \Delta) = f(u) + f'(u)\, \Delta + o(\Delta) = f(u) + f'(u)\, q'(x)\, h + o(h) . $$
#
# So $dy/dx = f'(u)\, q'(x)$. ($o(\Delta)$ is $o(h)$, too, because $\Delta$ is at most a constant times $h$.) In words:
# **slopes along a chain multiply.** Mind where they are taken: $f'$ at $u$, the value *inside*, not at $x$ and not at
# $y$.
#
# To begin with we need the slopes of a few functions.
#
# - $1/x$. The difference is $\frac{1}{x+h} - \frac1x = \frac{-h}{x(x+h)}$. Divided by $h$ it goes to $-1/x^2$.
# - $e^x$. The number $e$ is chosen so that $e^h = 1 + h + o(h)$. And $e^{x+h} = e^x e^h = e^x + e^x h + o(h)$. So the slope
#   is $e^x$ itself.
# - $\log x$ undoes the exponential: $e^{\log x} = x$. Take the slope of both sides, the left by the chain rule:
#   $x \cdot (\log x)' = 1$. So it is $1/x$.
# - $\sqrt x$ undoes the square: $\sqrt x\,\sqrt x = x$. By the product rule $2 \sqrt x \cdot (\sqrt x)' = 1$. So it is
#   $1/(2\sqrt x)$.
#
# **By hand.** A favourite of today's networks is $f(x) = x\, \sigma(x)$, called *SiLU*, with the sigmoid
# $\sigma(x) = 1/(1 + e^{-x})$. All three rules are in it. First the sigmoid, from the inside: $u = 1 + e^{-x}$ has
# slope $-e^{-x}$ (sum, chain). Then $\sigma = 1/u$ has slope $-1/u^2$ times that:
#
# $$ \sigma'(x) = \frac{e^{-x}}{(1 + e^{-x})^2} = \frac{1}{1 + e^{-x}} \cdot \frac{e^{-x}}{1 + e^{-x}}
#    = \sigma(x)\,\big(1 - \sigma(x)\big) , $$
#
# because $1 - \frac{1}{1 + e^{-x}} = \frac{e^{-x}}{1 + e^{-x}}$. Then the product $x \cdot \sigma(x)$:
#
# $$ f'(x) = \sigma(x) + x\, \sigma(x)\,\big(1 - \sigma(x)\big) . $$
#
# **Before you run the cell:** what is $f'(0)$? And for large $x$, say 100?


# %%
def silu(x):
    return x / (1 + np.exp(-x))


def silu_slope(x):
    s = 1 / (1 + np.exp(-x))
    return s + x * s * (1 - s)


print(silu_slope(np.array([0.0, 1.0, 100.0])))

# %% tags=["check"]
assert silu_slope(0.0) == 0.5
x, g = rng.normal(size=(2, 6))
assert np.allclose(forward_difference(silu, x, 1e-7), silu_slope(x), atol=1e-6)
t = tn.tensor(x, requires_grad=True)  # the package's own silu, and its own slope
y = tn.nn.functional.silu(t)
y.backward(tn.tensor(g))
assert np.allclose(silu(x), y.detach().numpy())
assert np.allclose(g * silu_slope(x), t.grad.numpy())
for f, slope in (
    (lambda x: 1 / x, -1 / 1.7**2),
    (np.exp, np.exp(1.7)),
    (np.log, 1 / 1.7),
    (np.sqrt, 1 / (2 * np.sqrt(1.7))),
    (lambda x: np.exp(x) + np.log(x), np.exp(1.7) + 1 / 1.7),
    (
        lambda x: np.exp(x) * np.log(x),
        np.exp(1.7) * np.log(1.7) + np.exp(1.7) / 1.7,
    ),
    (lambda x: np.log(1 + x * x), 2 * 1.7 / (1 + 1.7**2)),
    (lambda x: 1 / (1 + np.exp(-x)), np.exp(-1.7) / (1 + np.exp(-1.7)) ** 2),
):
    assert np.isclose(forward_difference(f, 1.7, 1e-7), slope, atol=1e-5)

# %% [markdown]
# ## 3. Many numbers
#
# A layer takes a vector $x\ (n)$ and gives a vector $y = f(x)\ (m)$. Now there are $mn$ slopes, one of each output by each
# input. Write $\partial y_i/\partial x_j$, with a round ∂, for the slope of output $i$ while only $x_j$ moves. They stand in
# a matrix, the *Jacobian* $J\ (m, n)$, $J_{ij} = \partial y_i/\partial x_j$, and it takes the place of the one slope:
#
# $$ f(x + h) = f(x) + J h + o(h), \qquad h\ (n). $$
#
# (A vector is $o(h)$ if its length, divided by $\|h\|$, goes to 0.)
#
# For a layer with 1000 inputs and 1000 outputs $J$ has a million entries, and each sample of a batch has a $J$ of its own.
# Nobody wants them. What training wants is the slope of *one* number, the loss, by each $x_j$. Let $g\ (m)$ say how much
# the loss cares for each output, $g_i = \partial L/\partial y_i$. A small step $h$ moves the outputs, and they move the
# loss by about
#
# $$ \langle g,\ f(x + h) - f(x) \rangle \approx \langle g, J h \rangle = \sum_i \sum_j g_i J_{ij} h_j
#    = \sum_j \Big( \sum_i g_i J_{ij} \Big) h_j = \langle \bar x, h \rangle . $$
#
# The bracket is $\bar x_j$. As a product of matrices it is
#
# $$ \bar x = J^\top g, \qquad (n) = (n, m) (m) . $$
#
# So there is a vector $\bar x$ of the shape of $x$ that says how much the loss cares for each *input*. We call $g$ and
# $\bar x$ *cotangents*. The map from $g$ to $\bar x$ is the *backward pass* of $f$. It needs no matrix, only a formula,
# and this book derives such formulas, one for each layer. If $f$ gives one number and $g = 1$, then $\bar x$ is its
# *gradient*.
#
# **By hand.** Let $f(x) = (x_1 x_2,\ x_1 + 3x_2)$. At $x = (2, 5)$ it is $(10, 17)$, and with $g = (1, -1)$
#
# $$ J = \begin{pmatrix} x_2 & x_1 \\ 1 & 3 \end{pmatrix} = \begin{pmatrix} 5 & 2 \\ 1 & 3 \end{pmatrix}, \qquad
#    \bar x = \begin{pmatrix} 5 - 1 \\ 2 - 3 \end{pmatrix} = \begin{pmatrix} 4 \\ -1 \end{pmatrix} . $$
#
# Step by $h = (0.1, 0.2)$. We predict $4 \cdot 0.1 - 1 \cdot 0.2 = 0.2$. Work out what really happens,
# $\langle g, f(x + h) - f(x)\rangle$, with a pencil. How large is the miss, and where does it come from?


# %%
def pair(x):
    return np.array([x[0] * x[1], x[0] + 3 * x[1]])


def pair_backward(g, x):
    return np.array([g[0] * x[1] + g[1], g[0] * x[0] + 3 * g[1]])


x, g, h = np.array([2.0, 5.0]), np.array([1.0, -1.0]), np.array([0.1, 0.2])
print("cotangent of x:", pair_backward(g, x))
print(
    f"predicted {pair_backward(g, x) @ h:.2f}, true {g @ (pair(x + h) - pair(x)):.2f}"
)

# %% [markdown]
# The miss is $h_1 h_2 = 0.02$, a product of two small numbers. It is the $o(h)$.
#
# Whoever has a backward pass can ask the package about it. Here is the whole conversation. (It draws a $g$ of its own,
# so its numbers are not 4 and −1. Section 7 says why it does that.)

# %%
check_backward(pair, pair_backward, x)

# %% tags=["check"]
assert np.array_equal(pair_backward(g, x), [4, -1])
J = np.array([[5.0, 2.0], [1.0, 3.0]])
for j, unit in enumerate(np.eye(2)):  # column j: only x_j moves
    assert np.allclose((pair(x + 1e-7 * unit) - pair(x)) / 1e-7, J[:, j], atol=1e-6)
for _ in range(3):
    g, x = rng.normal(size=2), rng.normal(size=2)
    assert np.allclose(pair_backward(g, x), numeric_vjp(pair, [x], 0, g).value)
    assert check_backward(pair, pair_backward, x)
    small = 1e-6 * rng.normal(size=2)
    moved = g @ (pair(x + small) - pair(x))
    assert np.isclose(moved, pair_backward(g, x) @ small, atol=1e-10)

# %% [markdown]
# ## 4. How small is "a little"?
#
# A difference needs no calculus, so it can judge those who use calculus. But $h$ cannot go to 0 in a computer. How
# wrong is a difference with a finite $h$? Two errors pull in opposite directions.
#
# **The curve bends.** Where the best line ends, Taylor's formula goes on: the best parabola, the best cubic. Each term
# is made so that its own derivative at $h = 0$ is right: $h^2/2$ differentiated twice is 1, $h^3/6$ three times.
#
# $$ f(x \pm h) = f \pm h f' + \frac{h^2}{2} f'' \pm \frac{h^3}{6} f''' + \dots $$
#
# Put it into the forward difference, and half a step times the bend remains. Now take the difference of *both* sides. What
# is even in $h$ cancels, and the error falls with the square of the step:
#
# $$ \frac{f(x+h) - f(x)}{h} = f' + \frac{h}{2} f'' + \dots $$
#
# $$ \frac{f(x+h) - f(x-h)}{2h} = f' + \frac{h^2}{6} f''' + \dots $$
#
# What follows $f'$ is the *truncation error*: the error of a series that was cut off. The second formula is the *central
# difference*.
#
# **Numbers are rounded.** At best a computed $f$ is the number nearest to the true one, and off by up to
# $\tfrac12 \varepsilon |f|$ (chapter 00). The difference of two such values is off by up to $\varepsilon |f|$, and then we
# divide by $h$ or by $2h$. The smaller the step, the more the *rounding error* grows. Together:
#
# $$ E_{\text{forward}}(h) = \frac{h}{2}\,|f''| + \frac{\varepsilon |f|}{h} $$
#
# $$ E_{\text{central}}(h) = \frac{h^2}{6}\,|f'''| + \frac{\varepsilon |f|}{2h} . $$
#
# One part rises with $h$, the other falls. At the best step the slope of $E$ is zero, and section 2 tells us the slope:
#
# $$ \frac{|f''|}{2} - \frac{\varepsilon |f|}{h^2} = 0 \ \Longrightarrow\ h = \sqrt{2 \varepsilon\, |f/f''|}, $$
#
# $$ \frac{h |f'''|}{3} - \frac{\varepsilon |f|}{2h^2} = 0 \ \Longrightarrow\ h = \sqrt[3]{\tfrac32\, \varepsilon\, |f/f'''|} . $$
#
# **Before you go on:** for $f = e^x$ all derivatives equal $f$. How many of the 16 digits of float64 can each formula
# get right? Put the best $h$ back into $E$.
#
# The forward difference: $h = \sqrt{2\varepsilon} \approx 2 \cdot 10^{-8}$. Both parts of $E$ are then
# $\tfrac12 \sqrt{2\varepsilon}\,|f|$, together $2 \cdot 10^{-8} |f|$: half of the digits. The central one:
# $h \approx 7 \cdot 10^{-6}$. There the second part is twice the first, so
# $E = 3 \cdot \tfrac16 h^2 |f| \approx 2 \cdot 10^{-11} |f|$: two thirds of them.


# %%
def central_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


# %% tags=["check"]
x, true = 1.0, math.e  # f = exp: every derivative is e
for h in (2.0**-5, 2.0**-7):  # large steps: truncation alone
    assert np.isclose(
        forward_difference(np.exp, x, h) - true, h / 2 * true, rtol=0.02
    )
    assert np.isclose(
        central_difference(np.exp, x, h) - true, h**2 / 6 * true, rtol=0.001
    )
eps = 2.0**-52
for h in 2.0 ** -np.arange(4, 48):  # all steps: never above the sum of both errors
    forward = abs(forward_difference(np.exp, x, h) - true)
    central = abs(central_difference(np.exp, x, h) - true)
    assert forward <= 1.1 * (h / 2 * true + eps * true / h)
    assert central <= 1.1 * (h**2 / 6 * true + eps * true / (2 * h))
grid = np.logspace(-12, 0, 100_001)  # the best steps, by trying them all
by_trying = grid[np.argmin(grid / 2 + eps / grid)]
assert np.isclose(by_trying, np.sqrt(2 * eps), rtol=1e-3)
assert np.isclose(by_trying / 2 + eps / by_trying, np.sqrt(2 * eps), rtol=1e-3)
by_trying = grid[np.argmin(grid**2 / 6 + eps / (2 * grid))]
assert np.isclose(by_trying, np.cbrt(1.5 * eps), rtol=1e-3)
assert np.isclose(
    by_trying**2 / 6 + eps / (2 * by_trying), by_trying**2 / 2, rtol=1e-3
)

# %% [markdown]
# (The steps in this check are powers of two, so that $1 + h$ holds no rounding of its own. With any other step,
# divide by the step that was really taken, `(x + h) - x`.)
#
# ### Richardson's trick
#
# The central difference has an error $ah^2$ with an unknown $a$. With the double step it is $4ah^2$. So four times the
# one minus the other is free of it. Write $D(h) = f' + a h^2 + b h^4 + \dots$ Then
#
# $$ R(h) = \frac{4 D(h) - D(2h)}{3} = \frac{4 - 1}{3} f' + \frac{4a - 4a}{3} h^2 + \frac{4b - 16b}{3} h^4 + \dots
#    = f' - 4b\,h^4 + \dots $$
#
# The next term of Taylor's formula is $h^5 f^{(5)}/120$. Divided by $h$ it gives $b = f^{(5)}/120$. So $R$ is off by
# $-h^4 f^{(5)}/30$ only. It can afford a larger step, and a larger step suffers less from rounding.


# %%
def richardson(f, x, h):
    return (4 * central_difference(f, x, h) - central_difference(f, x, 2 * h)) / 3


# %% tags=["check"]
for h in (2.0**-3, 2.0**-4):
    assert np.isclose(
        richardson(np.exp, 1.0, h) - math.e, -(h**4) / 30 * math.e, rtol=0.02
    )
    by_hand = 4 * (np.exp(1 + h) - np.exp(1 - h)) / (2 * h)
    by_hand -= (np.exp(1 + 2 * h) - np.exp(1 - 2 * h)) / (4 * h)
    assert np.isclose(richardson(np.exp, 1.0, h), by_hand / 3, rtol=1e-13)
assert abs(richardson(np.exp, 1.0, 2.0**-10) - math.e) < 2e-12

# %% [markdown]
# The package draws the whole story for any function of Tensors: dots are measured, dashed lines are the two formulas
# for $E$, and a star marks the best step. We add Richardson's. Both axes are logarithmic, so that a power of $h$ is a
# straight line. **Before you look:** which side belongs to which error? How steep are the three lines on the right?

# %% tags=["picture"]
ax = tn.plot.finite_differences(tn.exp, 1.0)
steps = np.logspace(-13, -0.5, 300)
ax.loglog(
    steps,
    np.abs(richardson(np.exp, 1.0, steps) - math.e),
    "x",
    color=GREEN,
    markersize=3,
    label="Richardson",
)
ax.set(ylim=(1e-15, 10))
ax.legend(frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# Slopes 1, 2 and 4 on the right: truncation, the powers of $h$. Slope −1 on the left, for all three: rounding, nearly the
# same noise for everybody. A better formula only meets it further down. No step is right for all functions: the best one
# depends on $|f|$ and on how fast the function bends.
#
# ## 5. The complex step: nothing is subtracted
#
# The rounding came from subtracting two nearly equal numbers. Can we do without? Step into another direction: along the
# imaginary axis, $i^2 = -1$. Taylor's formula with the step $ih$ reads
#
# $$ f(x + ih) = f + ih f' - \frac{h^2}{2} f'' - i\frac{h^3}{6} f''' + \dots $$
#
# What we know already, $f$, is real. What we want is imaginary. The computer keeps the two apart, so we need not
# subtract:
#
# $$ \frac{\operatorname{Im} f(x + ih)}{h} = f' - \frac{h^2}{6} f''' + \dots $$
#
# The truncation falls with $h^2$, and nothing grows as $h$ shrinks. So take $h = 10^{-30}$: then $h^2$ is $10^{-60}$, and
# what is left is the rounding of the imaginary part itself, in its last digit or two.
#
# **By hand.** $f(x) = x^3$ at 2. $(2 + ih)^3 = 8 + 12ih - 6h^2 - ih^3$. The imaginary part over $h$ is $12 - h^2$.


# %%
def complex_slope(f, x, h=1e-30):
    return np.imag(f(x + 1j * h)) / h


# %% tags=["check"]
assert np.isclose(complex_slope(lambda x: x**3, 2.0, 0.5), 12 - 0.5**2)
assert complex_slope(lambda x: x**3, 2.0) == 12
assert abs(complex_slope(np.exp, 1.0) - math.e) < 1e-15
x, g = rng.normal(size=(2, 6))
assert np.allclose(complex_slope(silu, x), silu_slope(x), rtol=1e-14, atol=1e-15)
theirs = complex_step(silu, [x], 0, g)  # the package's
assert np.allclose(g * complex_slope(silu, x), theirs, rtol=1e-13)

# %% [markdown]
# All digits, from one evaluation. It has a price. $f$ must be *analytic*, made of functions with such a series, and the
# code must let complex numbers through. Where it does not, no error is raised. **Before you run the cell:** which of these
# slopes at $x = -2$ will be wrong?

# %% tags=["wrong"]
for name, f in (
    ("|x|         ", np.abs),
    ("√(x²)       ", lambda x: np.sqrt(x * x)),
    ("√(x·conj(x))", lambda x: np.sqrt(x * np.conj(x))),
    ("real(x)²    ", lambda x: np.real(x) ** 2),
    ("max(x, 3x)  ", lambda x: np.maximum(x, 3 * x)),
):
    print(
        f"{name} differences {central_difference(f, -2.0, 1e-5):7.4f}",
        f"  complex step {complex_slope(f, -2.0):7.4f}",
    )

# %% [markdown]
# Three are wrong, for one reason: the result is real, so its imaginary part is 0. $|a + ib| = \sqrt{a^2 + b^2}$ is real.
# `conj` turns the sign of the imaginary part, and $(x + ih)(x - ih) = x^2 + h^2$ is real. `np.real` throws the step away.
# (Norms and scalar products are full of the first two. Write `np.sum(x * x)`, and not `np.linalg.norm(x)` or
# `np.vdot(x, x)`.)
#
# $\sqrt{x^2}$ is analytic away from 0 and comes out right. So does the maximum: NumPy compares complex numbers by their
# real parts first. At a tie it looks at the imaginary step, and answers for the right side alone. **Use the complex step
# where you know the function, differences where you do not.**

# %% tags=["check"]
for f, true in (
    (np.abs, -1),
    (lambda x: np.sqrt(x * np.conj(x)), -1),
    (lambda x: np.real(x) ** 2, -4),
):
    assert complex_slope(f, -2.0) == 0
    assert np.isclose(central_difference(f, -2.0, 1e-5), true)
assert np.isclose(complex_slope(lambda x: np.sqrt(x * x), -2.0), -1)
at_the_tie = complex_slope(lambda x: np.maximum(x, 0), 0.0)
assert at_the_tie == 1  # the slope on the right; on the left it is 0

# %% [markdown]
# ### How the package does it
#
# Both ways, and first the difference. Read the code: `line.at(h)` is $f$ at a step $h$ along a line, and `contract`
# takes $\langle g, \cdot\rangle$.

# %%
print(inspect.getsource(numeric.quick_slope))
print(inspect.getsource(numeric.complex_slope))

# %% [markdown]
# Line by line:
#
# - `h` is a step of 2.7e-4 times the size of $x$. That is far larger than the best step of a central difference, but
#   Richardson's formula can afford it.
# - `narrow` is $D(h)$, `wide` is $D(2h)$, `value` is Richardson's combination of the two.
# - `noise` is the rounding of $\langle g, f\rangle$ over $2h$. How far Richardson moved $D$, and twice the noise, is the
#   `error` that the slope admits.
# - `gap` is the slope on the right minus the slope on the left. At a smooth point it is $h f''$, and doubles with the step.
#   At a kink it stays (section 8).
# - If anything looks odd the function returns `None`. Then a ladder of steps is climbed down, from large to tiny. Where
#   nothing moves at all, `_flat` looks further away.
# - `complex_slope` is ours, with a step relative to $x$.
#
# The page "Gradient checking" of the documentation tells the whole story, and what each verdict means.
#
# ## 6. A million slopes, one number
#
# Entry by entry, a gradient of $n$ entries costs $2n$ evaluations. For a million weights nobody waits. But the
# definition of section 3 speaks of *any* step, not only of steps along an axis. Choose a random direction $v$, of the
# shape of $x$, and walk along the line $x + tv$. With the step $h = tv$ the definition says that
# $f(x + tv) = f(x) + t\, Jv + o(t)$. So on this line there is one slope, and two evaluations measure it:
#
# $$ \frac{d}{dt} \langle g, f(x + tv) \rangle \Big|_{t=0} = \langle g, J v \rangle = \langle \bar x, v \rangle . $$
#
# Somebody claims the cotangent $\bar x + e$, with an error $e$ of the shape of $x$. The claim predicts
# $\langle \bar x + e, v\rangle$ for this slope. What we see is the gap $\langle e, v\rangle$.


# %%
def along(f, g, x, v, h=1e-5):
    return np.sum(g * (f(x + h * v) - f(x - h * v))) / (2 * h)


def gap(f, backward, g, x, v):
    return np.sum(backward(g, x) * v) - along(f, g, x, v)


# %% tags=["check"]
g, x, v = rng.normal(size=(3, 2))
J = np.array([[x[1], x[0]], [1, 3]])
assert np.isclose(along(pair, g, x, v), g @ J @ v)
assert np.isclose(along(pair, g, x, v), pair_backward(g, x) @ v)
e = np.array([0.3, -0.2])  # an error that we plant
assert np.isclose(gap(pair, lambda g, x: pair_backward(g, x) + e, g, x, v), e @ v)

# %% [markdown]
# This is a gradient checker in four lines. (Its step is near the best one of section 4, for numbers of ordinary size.)
# Can a wrong gradient slip through? Draw the entries of $v$ independently from the normal distribution with mean 0 and
# variance 1. ($\mathbb E$ is the mean over many draws.) Then the gap has mean 0. In its square the mixed terms vanish,
# because $\mathbb E[v_i v_j] = 0$ for $i \ne j$, and $\mathbb E[v_i^2] = 1$ is left:
#
# $$ \mathbb E\, \langle e, v\rangle^2 = \sum_i \sum_j e_i e_j\, \mathbb E[v_i v_j] = \sum_i e_i^2 = \|e\|^2 . $$
#
# A sum of independent normal numbers is normal. So the gap is normal with the standard deviation $\|e\|$. It is *exactly*
# zero with probability zero: **one random number sees every mistake.** But "exactly" is a big word. Below a tolerance
# $\tau$ we call a gap rounding. In the middle the bell curve has the height $1/(\sqrt{2\pi}\,\|e\|)$. The area under it
# from $-\tau$ to $\tau$ is nearly a rectangle of the width $2\tau$:
#
# $$ P\big(|\langle e, v\rangle| < \tau\big) \approx \sqrt{\frac2\pi}\, \frac{\tau}{\|e\|} \qquad (\tau \ll \|e\|), $$
#
# and for $k$ independent directions the $k$-th power of this.
#
# What is lost is *power*: one wrong entry among a million is compared with the noise of all of them. Let all entries of $\bar x$ be equal and one of them wrong by 1 %. Then
# $\|e\| / \|\bar x\|$ is 0.01 for one entry, and $0.01/\sqrt n$ for $n$. **Before you go on:** how small is that for a
# million, and would float32 see it?
#
# It is $10^{-5}$. The best central difference in float64 is off by $2 \cdot 10^{-11} |f|$ and sees it easily. In
# float32, with $\varepsilon = 2^{-23}$ in the formula of section 4, it is off by $2 \cdot 10^{-5} |f|$. If $|f|$ is
# about as large as $\|\bar x\|$, the mistake drowns.

# %% tags=["check"]
e = rng.normal(size=20)
v = rng.normal(size=(20_000, 20))
gaps = v @ e
assert np.isclose(np.mean(gaps**2), e @ e, rtol=0.05)
tau = 0.05 * np.sqrt(e @ e)
assert np.isclose(
    np.mean(np.abs(gaps) < tau), np.sqrt(2 / np.pi) * 0.05, atol=0.005
)
assert np.isclose(
    np.mean(np.abs(gaps) < tau), math.erf(0.05 / np.sqrt(2)), atol=0.005
)
signs = rng.choice([-1.0, 1.0], size=(20_000, 2))  # the same variance, and yet:
assert np.isclose(np.mean((signs @ np.array([1.0, 1.0])) ** 2), 2, rtol=0.05)
assert np.isclose(np.mean(signs @ np.array([1.0, 1.0]) == 0), 0.5, atol=0.02)

# %% [markdown]
# (The last two lines: directions of signs ±1 have the same variance, and miss the error $e = (1, 1)$ half of the time.
# Normal numbers do not.)
#
# In the picture, left: the gap that one wrong entry among $n$ leaves, for three $n$. The dotted lines are the error of the
# best central difference, where $|f| = \|\bar x\|$: gaps to the left of a line are lost in it. Right: how likely $k$
# directions all miss.

# %% tags=["picture"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3), layout="constrained")
bins = np.logspace(-12, -1, 100)
for n, name, colour in ((1, "1", ORANGE), (1e3, "10³", GREEN), (1e6, "10⁶", BLUE)):
    gaps = np.abs(rng.normal(size=20_000)) * 0.01 / np.sqrt(n)  # |⟨e, v⟩| / ‖x̄‖
    left.hist(gaps, bins=bins, color=colour)
    left.text(0.008 / np.sqrt(n), 2550, name, ha="right")
for kind in ("float64", "float32"):
    resolved = np.cbrt(1.5 * np.finfo(kind).eps) ** 2 / 2  # section 4
    left.axvline(resolved, color="black", linestyle=":")
    left.text(resolved * 1.5, 3100, kind)
left.set(
    xscale="log",
    ylim=(0, 3500),
    xlabel="size of the gap, against ‖x̄‖",
    ylabel="how often, of 20,000",
    title="one of n entries wrong by 1 %",
)
ratio = np.logspace(-4, 1, 200)
miss = np.array([math.erf(r / math.sqrt(2)) for r in ratio])
for k, style, colour in ((1, "-", BLUE), (2, "--", ORANGE), (4, ":", GREEN)):
    right.loglog(ratio, miss**k, style, color=colour, label=f"k = {k}")
right.set(
    xlabel="tolerance τ / ‖e‖",
    ylabel="probability of a miss",
    title="what slips through",
    ylim=(1e-9, 2),
)
right.legend(frameon=False)
plt.show()

# %% [markdown]
# ## 7. Why `.sum()` is a blind check
#
# The direction was random. What about $g$? Many checks write `f(x).sum()` and differentiate that. It means $g = 1$, all
# ones. Then only $\bar x = J^\top 1$ is looked at, the sums of the columns of $J$. Two Jacobians whose columns have the same
# sums cannot be told apart, however wrong one of them is. Is that far-fetched? Not where outputs *compete*.
#
# Let $n$ people own $x_i > 0$ each. Their *shares* are $y_i = x_i / s$ with $s = \sum_k x_k$. Differentiate the product
# $x_i \cdot \frac1s$ by $x_j$. The first factor has the slope $\delta_{ij}$ (1 if $i = j$, else 0). The second has the slope
# $-1/s^2$ times that of $s$, which is 1 for *every* $j$:
#
# $$ \frac{\partial y_i}{\partial x_j} = \frac{\delta_{ij}}{s} - \frac{x_i}{s^2} . $$
#
# Everybody's share counts, each with its own $g_i$:
#
# $$ \bar x_j = \sum_i g_i \Big( \frac{\delta_{ij}}{s} - \frac{x_i}{s^2} \Big) = \frac{1}{s} \big( g_j - \langle g, y \rangle \big) . $$
#
# **By hand.** $x = (1, 2, 1)$, so $s = 4$ and $y = (\tfrac14, \tfrac12, \tfrac14)$. With $g = (1, 0, 0)$ it is
# $\bar x = \tfrac14 (1 - \tfrac14,\ -\tfrac14,\ -\tfrac14)$: what makes me richer raises my share, what makes others
# richer lowers it. Now take $g = (1, 1, 1)$. What is $\bar x$? Guess before you compute: what is the sum of all shares?


# %%
def shares(x):
    return x / np.sum(x)


def shares_backward(g, x):
    s = np.sum(x)
    return (g - np.sum(g * x) / s) / s


x = np.array([1.0, 2.0, 1.0])
print("g = (1, 0, 0):", shares_backward(np.array([1.0, 0.0, 0.0]), x))
print("g = (1, 1, 1):", shares_backward(np.ones(3), x))

# %% tags=["check"]
assert np.allclose(shares_backward(np.eye(3)[0], x), [0.1875, -0.0625, -0.0625])
x, g = rng.uniform(1, 3, size=4), rng.normal(size=4)
J = np.array(
    [[(i == j) / sum(x) - x[i] / sum(x) ** 2 for j in range(4)] for i in range(4)]
)
assert np.allclose(shares_backward(g, x), J.T @ g)
assert np.allclose(shares_backward(g, x), complex_step(shares, [x], 0, g))
assert np.isclose(np.sum(shares(x)), 1)
assert check_backward(shares, shares_backward, x)

# %% [markdown]
# Zero. The sum of all shares is 1, whatever happens, and a constant has no slope. So under $g = 1$ a backward pass that
# returns zeros passes, and so do two others:

# %% tags=["wrong"]
wrong = {
    "zeros        ": lambda g, x: 0 * x,
    "plain mean   ": lambda g, x: (g - np.mean(g)) / np.sum(x),
    "sign is wrong": lambda g, x: -shares_backward(g, x),
}
x, v = rng.uniform(1, 3, size=5), rng.normal(size=5)
for name, backward in wrong.items():
    ones = abs(gap(shares, backward, np.ones(5), x, v))
    random = abs(gap(shares, backward, rng.normal(size=5), x, v))
    print(f"{name}  gap with g = 1: {ones:.0e}   with a random g: {random:.0e}")

# %% [markdown]
# The same happens wherever something is conserved. A softmax has $\sum y_i = 1$, a centred vector $x - \text{mean}(x)$
# has $\sum y_i = 0$. A vector $x/\|x\|$ has $\sum y_i^2 = 1$, so there the *squared* loss is blind: with $g = 2y$ the
# true answer is 0. A batch or layer norm has both. **With a random $g$ and a random $v$ no such accident has a chance:
# one number, $\langle g, Jv \rangle = \langle \bar x, v\rangle$, weighs every entry of $J$ by a product $g_i v_j$ of
# its own.**

# %% tags=["check"]
x = rng.normal(size=5)
for f, g in (
    (lambda x: np.exp(x) / np.sum(np.exp(x)), np.ones(5)),
    (lambda x: x - np.mean(x), np.ones(5)),
    (lambda x: x / np.sqrt(np.sum(x * x)), 2 * x / np.sqrt(np.sum(x * x))),
    (lambda x: (x - np.mean(x)) / np.std(x), np.ones(5)),
    (lambda x: (x - np.mean(x)) / np.std(x), (x - np.mean(x)) / np.std(x)),
):
    assert np.allclose(numeric_vjp(f, [x], 0, g).value, 0, atol=1e-8)
    assert np.abs(numeric_vjp(f, [x], 0, rng.normal(size=5)).value).max() > 0.01

# %% [markdown]
# ## 8. Kinks
#
# The ReLU, $\max(x, 0)$, has slope 0 on the left of 0 and slope 1 on the right. At 0 itself no line is the best: zoom
# in, and the corner stays a corner. **What does a central difference say at exactly 0? And at $x = 10^{-6}$, with a
# step of $10^{-5}$?** Suppose $|x| < h$. Then $x + h$ is positive and $x - h$ negative, and
#
# $$ \frac{\max(x + h, 0) - \max(x - h, 0)}{2h} = \frac{x + h}{2h} \qquad (|x| < h) . $$
#
# At 0 it is $\tfrac12$, for every $h$. It is a slope that the function has nowhere. At $10^{-6}$, where the slope is 1, it is
# $1.1 \cdot 10^{-5}/(2 \cdot 10^{-5}) = 0.55$. Around the kink the difference slides from 0 to 1.

# %% tags=["check"]
for h in (0.5, 1e-2, 1e-5):
    assert central_difference(lambda x: np.maximum(x, 0), 0.0, h) == 0.5
    for share in (-0.9, -0.2, 0.3, 0.8):
        seen = central_difference(lambda x: np.maximum(x, 0), share * h, h)
        assert np.isclose(seen, (share * h + h) / (2 * h))
beside = central_difference(lambda x: np.maximum(x, 0), 1e-6, 1e-5)
assert np.isclose(beside, 0.55)
assert forward_difference(lambda x: np.maximum(x, 0), 0.0, 1e-5) == 1
assert forward_difference(lambda x: np.maximum(x, 0), 0.0, -1e-5) == 0

# %% tags=["picture"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3), layout="constrained")
x = np.linspace(-1, 1, 801)
left.plot(x, np.maximum(x, 0), color="black", linewidth=2.5)
for slope in (0.2, 0.4, 0.6, 0.8):
    left.plot(x, slope * x, color=BLUE, linewidth=0.8)
left.set(xlabel="x", ylabel="max(x, 0)", title="lines below the corner")
left.set(ylim=(-0.6, 1), xticks=[-1, 0, 1])
for side in (-1, 1):
    there = x[x * side > 0]
    right.plot(there, there > 0, color="black", linewidth=2.5)
for h, style, colour in ((0.5, ":", ORANGE), (0.2, "--", BLUE), (0.05, "-", GREEN)):
    seen = central_difference(lambda x: np.maximum(x, 0), x, h)
    right.plot(x, seen, style, color=colour, label=f"h = {h}")
right.set(
    xlabel="x", ylabel="slope", title="what differences see", xticks=[-1, 0, 1]
)
right.legend(frameon=False)
plt.show()

# %% [markdown]
# Two lessons. *A convention is needed.* Every line through the corner with a slope between 0 and 1 stays below the curve.
# Such a slope is called a *subgradient*. In practice any of them will do for training, since a trained number hardly ever
# lies exactly on the corner. PyTorch and this package take 0 for ReLU and for $|x|$ at 0.
#
# *A check must stay away from kinks.* A layer with $10^5$ ReLUs, its inputs spread evenly over $[-1, 1]$, has about
# $10^5 h$ of them within $h$ of the kink. With $h = 10^{-3}$ these are a hundred, and a right backward pass looks
# wrong. With $h = 10^{-5}$ it is one. The package sees the two slopes (times its own $g$), and says so:

# %%
check_backward(
    lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0), np.array([-1.0, 0.0, 2.0])
)

# %% tags=["check"]
z = rng.uniform(-1, 1, size=100_000)
assert 60 < np.sum(np.abs(z) < 1e-3) < 140
for f in (tn.relu, tn.abs):
    kink = tn.tensor(np.zeros(()), requires_grad=True)
    f(kink).backward()
    assert kink.grad.item() == 0

# %% [markdown]
# ## 9. Near enough?
#
# Two numbers, one claimed and one by differences: $a$ and $b$. They rarely agree to the last digit. When are they near
# enough? The *relative error* $|a - b| / |b|$ does not depend on units. But let the true slope be 0. Then $b$ is nothing
# but noise, $10^{-11}$ perhaps, and the right answer $a = 0$ is "wrong by 100 %". So every sensible test has two parts:
#
# $$ |a - b| \le \text{atol} + \text{rtol} \cdot |b| . $$
#
# `rtol` stands for the digits you ask for. `atol` is the noise, and section 4 says how much noise there is: about
# $h^2 |f'''|/6 + \varepsilon |f|/2h$. It depends on $|f|$, and *not* on the slope. A loss of a million with a slope near 1
# is a bad case. **Before you run the cell:** what does the constant do to the slope of $c + \sin x$, and what to its
# difference?

# %%
h = 1e-6
for c in (0.0, 1e3, 1e6):
    seen = ((c + np.sin(1 + h)) - (c + np.sin(1 - h))) / (2 * h)
    print(f"{c:9.0f} + sin x: error {abs(seen - np.cos(1.0)):.0e}")

# %% [markdown]
# The constant changes no slope, and every factor of a thousand costs three digits. **No single tolerance is right for
# all functions.** Too strict, and it cries wolf until nobody listens. Too loose, and it passes a mistake. Suppose that
# somebody divides by $n$ in place of $n - 1$. That is off by the share $1 - \frac{n-1}{n} = \frac1n$. With `rtol=0.1` you do
# not see it for any $n$ above 10.
#
# So the package estimates the error of each difference, as you have read in section 5, and tolerates four times that.
# (`tn.check.relative_error` compares against the *largest* entry, or against 1 if that is smaller. This is right for
# vectors: a tiny entry is not asked for digits that it does not have.)

# %% tags=["check"]
for c in (1e3, 1e6):
    seen = ((c + np.sin(1 + h)) - (c + np.sin(1 - h))) / (2 * h)
    assert abs(seen - np.cos(1.0)) < 1.1 * (h**2 / 6 + eps * c / (2 * h))
assert np.isclose(1 / 11, 1 / 10, rtol=0.1)  # n = 11: passes
assert not np.isclose(1 / 9, 1 / 8, rtol=0.1)  # n = 9: is seen
right = np.array([1.0, 1e-12])
assert tn.check.relative_error(right + 1e-11, right) < 1e-10
assert abs(1e-11 / right[1]) > 1  # entry by entry: "wrong by 1000 %"

# %% [markdown]
# ## 10. Real data: repair a pixel
#
# Now use a gradient that we have checked. Suppose that in each of the 1,797 digits that ship with the package a pixel
# in the middle is broken. Can it be guessed from its eight neighbours? Say it is a weighted sum of them, plus a
# constant. Row $i$ of $X\ (n, 9)$ holds the neighbours of picture $i$ and a 1. $y\ (n)$ holds the true pixels, $w\ (9)$
# the weights. **Guess:** the eight weights form a ring. Which are the largest? Can one be negative?
#
# The loss is half the mean square of the residuals $r = Xw - y$:
#
# $$ L(w) = \frac{1}{2n} \|Xw - y\|^2 . $$
#
# Its gradient comes straight from the definition. A step $h\ (9)$ turns $r$ into $r + Xh$. Open the square:
#
# $$ L(w + h) = \frac{1}{2n} \|r + Xh\|^2 = L(w) + \frac1n \langle r, Xh \rangle + \frac{1}{2n} \|Xh\|^2 . $$
#
# The last square is $o(h)$. And $\langle r, Xh\rangle = \langle X^\top r, h\rangle$, as in section 3. So the gradient
# is
#
# $$ \bar w = \frac1n X^\top r, \qquad (9) = (9, n) (n) . $$
#
# We get a present, too. Where $\bar w = 0$ the formula reads $L(w + h) = L(w) + \|Xh\|^2/2n$, never below $L(w)$. So
# such a $w^*$ is the best there is. Written out, $\bar w = 0$ is a system of nine equations:
#
# $$ X^\top X\, w^* = X^\top y . $$


# %%
def loss(w, X, y):
    return np.sum((X @ w - y) ** 2) / (2 * len(y))


def loss_backward(g, w, X, y):
    return g * X.T @ (X @ w - y) / len(y)


# %% tags=["check"]
X, y, w, h = (rng.normal(size=s) for s in ((7, 3), (7,), (3,), (3,)))
r = X @ w - y
assert np.isclose(loss(w, X, y), sum(r[i] ** 2 for i in range(7)) / 14)
opened = loss(w, X, y) + loss_backward(1, w, X, y) @ h + np.sum((X @ h) ** 2) / 14
assert np.isclose(loss(w + h, X, y), opened)  # exact, for a large step
on_a_line = along(lambda w: loss(w, X, y), 1.0, w, h, h=1.0)  # f''' = 0: any step
assert np.isclose(on_a_line, loss_backward(1.0, w, X, y) @ h, rtol=1e-12)
assert check_backward(loss, loss_backward, w, X, y, wrt=["w"])
best = np.linalg.solve(X.T @ X, X.T @ y)
assert np.allclose(loss_backward(1.0, best, X, y), 0)
assert all(
    loss(best + rng.normal(size=3), X, y) > loss(best, X, y) for _ in range(9)
)

# %% [markdown]
# (A loss that is quadratic has $f''' = 0$: its central difference has no truncation error at all. The check above takes
# the step $h = 1$.)
#
# ### Downhill
#
# Nine linear equations can be solved at once. Those of a network cannot. So let us see whether small steps against the
# gradient get there, too: $w \leftarrow w - \eta\, \bar w$. By the definition each step lowers $L$ by about
# $\eta \|\bar w\|^2$, if $\eta$ is small. How small? Here we can say exactly. Write $H = X^\top X/n\ (9, 9)$, and
# $X^\top y/n = H w^*$ by the nine equations. The gradient is $\bar w = Hw - X^\top y/n = H (w - w^*)$. With $t$ counting
# the steps, and $I$ the matrix that changes nothing:
#
# $$ w_{t+1} - w^* = w_t - w^* - \eta H (w_t - w^*) = (I - \eta H)(w_t - w^*) . $$
#
# There are directions $u$ that $H$ only stretches, $Hu = \lambda u$: its *eigenvectors*, with their *eigenvalues*
# $\lambda$. A matrix like $X^\top X$ has nine of them, square to each other, and no $\lambda$ is negative, because
# $\langle u, X^\top X u\rangle = \|Xu\|^2$. Along such a direction every step multiplies the distance by
# $1 - \eta\lambda$. That shrinks if $0 < \eta\lambda < 2$. **The largest $\lambda$ sets the limit for $\eta$, and the
# smallest one sets the pace.**


# %%
def descend(w, X, y, rate, steps):
    path = [w]
    for _ in range(steps):
        path.append(path[-1] - rate * loss_backward(1.0, path[-1], X, y))
    return np.array(path)


# %% tags=["check"]
H = X.T @ X / len(y)
values, vectors = np.linalg.eigh(H)
path = descend(w, X, y, 0.3, 5)
for t in range(6):  # along the eigenvectors: powers of 1 − ηλ
    along_them = (1 - 0.3 * values) ** t * (vectors.T @ (w - best))
    assert np.allclose(vectors.T @ (path[t] - best), along_them)

# %% tags=["slow"]
train, test = tn.data.load_digits().split(0.2, seed=0)


def neighbours(digits):
    images = digits.images.numpy().astype(float) / 16
    ring = [(r, c) for r in (3, 4, 5) for c in (3, 4, 5) if (r, c) != (4, 4)]
    columns = [images[:, r, c] for r, c in ring] + [np.ones(len(images))]
    return np.stack(columns, axis=1), images[:, 4, 4]


X, y = neighbours(train)
exact = np.linalg.solve(X.T @ X, X.T @ y)
values = np.linalg.eigvalsh(X.T @ X / len(y))
print(f"eigenvalues from {values[0]:.3f} to {values[-1]:.2f}")
print(f"so the step size must stay below {2 / values[-1]:.3f}")
start = np.zeros(9)
assert check_backward(loss, loss_backward, start, X, y, wrt=["w"])
rates = (0.1, 0.5, 0.6)
paths = {rate: descend(start, X, y, rate, 2000) for rate in rates}
for rate, path in paths.items():
    far = np.linalg.norm(path[-1] - exact)
    print(f"step size {rate}: after 2000 steps {far:.1e} from the exact weights")

# %% tags=["slow"]
figure, (left, right) = plt.subplots(
    1,
    2,
    figsize=(7.4, 3),
    layout="constrained",
    gridspec_kw={"width_ratios": [1.6, 1]},
)
looks = ((":", BLUE), ("-", GREEN), ("--", ORANGE))
for (rate, path), (style, colour) in zip(paths.items(), looks):
    far = np.linalg.norm(path - exact, axis=1)
    left.semilogy(far, style, color=colour, label=f"step size {rate}")
left.set(
    xlabel="step",
    ylabel="distance to the exact weights",
    ylim=(1e-16, 1e6),
)
left.legend(frameon=False)
ring = np.insert(paths[0.5][-1][:8], 4, np.nan).reshape(3, 3)
right.imshow(ring, cmap="PuOr", vmin=-0.6, vmax=0.6)
for i, j in np.ndindex(3, 3):
    text = "?" if (i, j) == (1, 1) else f"{ring[i, j]:+.2f}"
    ink = "white" if abs(ring[i, j]) > 0.35 else "black"
    right.text(j, i, text, ha="center", va="center", color=ink)
right.set(title="weights of the neighbours", xticks=[], yticks=[])
plt.show()
X_test, y_test = neighbours(test)
for name, guess in (
    ("the mean of all pixels there  ", np.full(len(y_test), y.mean())),
    ("the mean of the 8 neighbours  ", X_test[:, :8].mean(axis=1)),
    ("the learned weights           ", X_test @ paths[0.5][-1]),
):
    error = 16 * np.sqrt(np.mean((guess - y_test) ** 2))
    print(f"{name} off by {error:.1f} of 16 shades on new digits")

# %% [markdown]
# With a step size of 0.5, gradient descent finds the exact solution to all the digits that there are. (The flat end of
# its line is rounding.) A step size of 0.6 is 1 % beyond the limit, and it explodes. And the weights? The four
# neighbours that share a side count *for* the pixel. The upper two corners count *against* it: where a corner is dark
# and the sides are not, the stroke passes beside. Nobody said so; it is in the data.
#
# ## 11. What goes wrong
#
# Six ways to be fooled by a check. You have met two: ones for $g$, and a kink.
#
# **The step is too small.** "The smaller, the better" is true on paper only.

# %% tags=["wrong"]
for h in (1e-5, 1e-10, 1e-15, 1e-17):
    seen = central_difference(np.exp, 1.0, h)
    print(f"h = {h:.0e}: slope {seen:.10f}, true {math.e:.10f}")

# %% [markdown]
# At $10^{-15}$ not even two digits are right. At $10^{-17}$ the number $1 + h$ *is* 1, and the slope is 0.
#
# **In float32.** The same curve, with $\varepsilon = 2^{-23}$. The step that was best in float64 is useless here.
# PyTorch's default is float32. A check wants float64, whatever the training uses.

# %% tags=["wrong"]
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
steps = np.logspace(-12, 0, 200)
for kind, colour in (("float64", BLUE), ("float32", ORANGE)):
    one, h = np.array(1, kind), steps.astype(kind)
    seen = central_difference(np.exp, one, h)
    mark = "." if kind == "float64" else "+"
    ax.loglog(steps, np.abs(seen - math.e), mark, color=colour, label=kind)
ax.axvline(7e-6, color="grey", linewidth=0.8, linestyle=":")
ax.text(9e-6, 0.6, "best in float64", fontsize=9)
ax.set(
    xlabel="step h", ylabel="error of the slope", title="central difference of exp"
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The flat line at the top left is an error of 100 %: nothing moved at all.
#
# **At a symmetric point.** It is tempting to check at $x = 1$ or with weights of all ones, since one can follow the
# numbers. But $1 = 1^2 = 1^3$, and a matrix of ones is its own transpose. Here are two wrong backward passes, of $x^3$ and
# of $AW$ by $W$, at ones and at random numbers:


# %% tags=["wrong"]
def cube_backward(g, x):
    return 3 * g * x  # of x³: the exponent was lowered too far


g, v = rng.normal(size=(2, 3, 3))
for name, A in (("ones  ", np.ones((3, 3))), ("random", rng.normal(size=(3, 3)))):
    cube = abs(gap(lambda x: x**3, cube_backward, g, A, v))
    # AW moves by Av if W moves by v. Its gradient is A.T @ g, and not A @ g.
    product = abs(np.sum((A @ g) * v) - np.sum(g * (A @ v)))
    print(f"{name}: the cube is off by {cube:.0e}, the product by {product:.0e}")
check_backward(lambda x: x**3, cube_backward, np.ones(3))

# %% [markdown]
# The package also looks at a second point, a few percent away. So the cube does not fool it even at ones. The transpose
# would: a symmetric matrix is moved to another symmetric one, because there are functions for symmetric matrices only.
# **Give it random numbers, and a different size for each axis.** With $A\ (4, 3)$ the missing transpose does not even
# run.

# %% tags=["check"]
by_ones = np.ones((3, 3)), np.ones((3, 3))
by_chance = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
for args, fooled in ((by_ones, True), (by_chance, False)):
    report = check_backward(np.matmul, lambda g, A, W: A @ g, *args, wrt=[1])
    assert bool(report) == fooled

# %% [markdown]
# **Something was written into.** A forward pass that saves memory by overwriting its argument looks harmless. But the
# backward pass needs that argument, too, and finds the output in its place. The formula is right, and the gradient is
# not:


# %% tags=["wrong"]
def exp_in_place(x):
    return np.exp(x, out=x)


def exp_backward(g, x):
    return g * np.exp(x)


x = np.array([0.0, 1.0])
y = exp_in_place(x)
print("slopes by the backward pass", exp_backward(np.ones(2), x))
print("true slopes                ", np.exp([0.0, 1.0]))
check_backward(exp_in_place, exp_backward, np.array([0.0, 1.0]))

# %% [markdown]
# The package hands a copy to every call, finds that the *formula* is right, and adds a note. Take the note seriously. A
# checker that moves `x` in place has the same illness: exercise 6 has such a one.
#
# **And a mistake with its diagnosis.** The typical one for shares is to forget that the denominator moves, too:


# %% tags=["wrong"]
def careless_backward(g, x):
    return g / np.sum(x)


check_backward(shares, careless_backward, rng.uniform(1, 3, size=4))

# %% [markdown]
# The report names the missing path. When it cannot name anything, the table of entries below is still true: which
# entry, by how much, and what it should be.
#
# ## 12. Exercises
#
# Each one answers at once. `tn.exercise("01.by_hand").hint()` gives a hint; there are three, each saying more.
#
# **1. By hand.** What is the slope of $x^2/(1 + x)$ at $x = 2$?

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("01.by_hand").check(your_number)

# %% [markdown]
# **2. The bend.** Find a difference for $f''(x)$ from the three values $f(x - h)$, $f(x)$, $f(x + h)$. It must be exact
# for every polynomial of degree 3. Add Taylor's formulas for $+h$ and $-h$ and see what is left.


# %% tags=["exercise"]
def my_second_difference(f, x, h): ...


tn.exercise("01.second_difference").check(my_second_difference)

# %% [markdown]
# **3. Derivation.** Which step is best for it? You need the first term of its truncation error, with the fourth
# derivative, and its rounding error: it adds up four values ($f(x)$ counts twice), and each is off by
# $\tfrac12\varepsilon|f|$. Give the step for $f = e^x$ in float64, to two digits.

# %% tags=["exercise"]
your_step = float("nan")
tn.exercise("01.best_step").check(your_step)

# %% [markdown]
# **4. A complex step in any direction.** $f$ takes an array and gives one number. Return its slope along $v$, exact to
# rounding, with a single evaluation of $f$.


# %% tags=["exercise"]
def my_slope_along(f, x, v): ...


tn.exercise("01.slope_along").check(my_slope_along)

# %% [markdown]
# **5. Backward.** $y = x/\|x\|$ for each row of $x\ (n, d)$. Derive its backward pass as we did for the shares. Then
# try $g = 2y$ and see what section 7 said.


# %% tags=["exercise"]
def my_normalise_backward(g, x): ...


tn.exercise("01.normalise_backward").check(my_normalise_backward)

# %% [markdown]
# **6. Find the mistake.** A colleague's gradient checker says that every gradient ought to be 0. One mistake does it,
# and another one shows only for whole numbers, `x = np.array([1, 2])`. Make it right for vectors of either kind.


# %% tags=["exercise"]
def my_numeric_gradient(f, x, h):
    dx = np.zeros_like(x)
    for i in range(x.size):
        up, down = x, x
        up[i] += h
        down[i] -= h
        dx[i] = (f(up) - f(down)) / (2 * h)
    return dx


tn.exercise("01.planted_bug").check(my_numeric_gradient)

# %% [markdown]
# **7. For a quiet hour** (paper only). Combine $D(h)$, $D(2h)$ and $D(4h)$ so that the terms in $h^2$ and in $h^4$ both
# vanish. Which power of $\varepsilon$ is the best step now, and how many of the 16 digits can you hope for? Where does
# it end if you go on like this?
#
# ## Words
#
# | | |
# |---|---|
# | derivative; slope | 导数; 斜率 |
# | gradient | 梯度 |
# | chain rule | 链式法则 |
# | Jacobian | 雅可比矩阵 |
# | cotangent; backward pass | 余切向量; 反向传播 |
# | finite difference, central | 有限差分, 中心差分 |
# | truncation error; rounding error | 截断误差; 舍入误差 |
# | extrapolation (Richardson's) | (理查森) 外推法 |
# | complex step | 复数步长法 |
# | kink; subgradient | 折点; 次梯度 |
# | tolerance | 容差 |
# | least squares; gradient descent | 最小二乘; 梯度下降 |
#
# ## What to read next
#
# - Chapter 02 builds the machine that applies the chain rule for you, through any program.
# - The documentation, "Gradient checking, and what your error means": the checker's own account, and a list of mistakes.
# - W. Squire and G. Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review 40, 1998: a
#   few pages, and all of section 5. J. Martins, P. Sturdza and J. Alonso, *The complex-step derivative approximation*, ACM
#   Transactions on Mathematical Software 29, 2003: where it fails, and what to do.
# - N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, 2002: rounding, done properly.
# - A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd edition, 2008: where this road leads.
