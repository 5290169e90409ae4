"""What each op costs, counted by hand from its formula: flops and special values (exp, ln, √ …),
forward and backward, with a gradient for every input that can have one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

rng = np.random.default_rng(0)


class Count(NamedTuple):
    """flops, special: of the forward pass; those with `back` of the backward pass."""

    flops: int = 0
    special: int = 0
    back: int = 0
    special_back: int = 0


# -- entry by entry: for each entry of the output --------------------------------------------------
# In a rule a minus is a flop, too, and a comparison none. σ(u) is e^−|u|, 1 + e, and ÷: with the
# minus 3 flops and a special value. ln(1 + e^u) and the like are one special value.

ERF = Count(59, 1)  # |u|, min, a²; a² [a < 1]; a times a quotient of polynomials of 4th degree
assert ERF.flops == 4 + (1 + 17) + (4 + 33)  # … of 8th; −a a, its product with e^(−a²), 1 − that
CDF = ERF.flops + 3  # (1 + erf(u √½)) / 2

ENTRYWISE: dict[str, Count] = {
    "add": Count(1),  # ū = v̄ = ȳ
    "sub": Count(1, 0, 1),  # v̄ = −ȳ
    "mul": Count(1, 0, 2),
    "div": Count(1, 0, 1 + 3),  # ȳ / v; −ȳ y / v
    "neg": Count(1, 0, 1),
    "reciprocal": Count(1, 0, 3),  # −ȳ y y
    "exp": Count(0, 1, 1),
    "expm1": Count(0, 1, 2),
    "log": Count(0, 1, 1),
    "log1p": Count(0, 1, 2),
    "sqrt": Count(0, 1, 2),  # ȳ / (2 y)
    "rsqrt": Count(1, 1, 4),  # ȳ y y y / −2
    "square": Count(1, 0, 2),
    "exp2": Count(0, 1, 2),  # ȳ y ln 2
    "log2": Count(0, 1, 2),
    "log10": Count(0, 1, 2),
    "logaddexp": Count(0, 1, 2 * (1 + 3 + 1), 2),  # ȳ σ(u − v), ȳ σ(v − u)
    "sin": Count(0, 1, 1, 1),
    "cos": Count(0, 1, 2, 1),
    "tan": Count(0, 1, 3),  # ȳ (1 + y y)
    "asin": Count(0, 1, 3, 1),  # ȳ / √(1 − u u)
    "acos": Count(0, 1, 4, 1),
    "atan": Count(0, 1, 3),
    "atan2": Count(0, 1, (1 + 3 + 1) + (2 + 3 + 1)),  # ȳ v / (u u + v v); −ȳ u / the same
    "sinh": Count(0, 1, 1, 1),
    "cosh": Count(0, 1, 1, 1),
    "tanh": Count(0, 1, 3),
    "asinh": Count(0, 1, 3, 1),
    "acosh": Count(0, 1, 3, 1),
    "atanh": Count(0, 1, 3),
    "erf": Count(ERF.flops, 1, 2 + 1 + 1, 1),  # ȳ e^(−u u) · 2/√π
    "sign": Count(1),  # [u > 0] − [u < 0]
    "floor": Count(),
    "ceil": Count(),
    "trunc": Count(),
    "frac": Count(1),
    "floor_divide": Count(1),
    "remainder": Count(1, 0, 3),  # v̄ = −ȳ ⌊u / v⌋
    "fmod": Count(1, 0, 3),
    "abs": Count(1, 0, 1 + 1),  # its sign, and ȳ times it
    "relu": Count(1),
    "maximum": Count(1, 0, 2),  # ȳ / 2 at ties, for each
    "minimum": Count(1, 0, 2),
    "where": Count(),
    "sigmoid": Count(3, 1, 3),
    "pow": Count(0, 1, (1 + 1 + 1) + 2, 2),  # ȳ v u^(v−1); ȳ y ln u
    "power": Count(0, 1, 2, 1),  # ȳ (n u^(n−1)); n = 2.5
    "round": Count(2),  # times 10^d, and back; d = 2
    "clamp": Count(2),  # a bound each
    "leaky_relu": Count(1, 0, 1),
    "prelu": Count(1, 0, 2),
    "hardtanh": Count(2),
    "elu": Count(2, 1, 2),  # min(u, 0), α (e^… − 1); ȳ (y + α)
    "softplus": Count(3, 1, 2 + 3 + 1, 1),  # β u twice, /β; β u twice, σ, times ȳ
    "logsigmoid": Count(2, 1, 1 + 3 + 1, 1),
    "silu": Count(3 + 1, 1, 2 * 3 + 4, 2),  # u σ; ȳ (σ + y (1 − σ)), with σ twice
    "softsign": Count(3, 0, 4),  # u / (1 + |u|); ȳ / (1 + |u|)²
    "mish": Count(3 + 1, 2, 3 + 2 + 2 + 3 + 2, 3),  # ȳ (t + u (1 − t t) σ(u)), t = tanh softplus
    "gelu": Count(CDF + 1, 1, CDF + 3 + 4, 2),  # ȳ (Φ + u e^(−u u / 2) / √2π)
    "gelu_tanh": Count(5 + 3, 1, 5 + 4 + 8, 1),  # the inner line; its slope; the rest
}
OPTIONS: dict[str, dict[str, Any]] = {
    "power": {"exponent": 2.5},
    "round": {"decimals": 2},
    "clamp": {"min": 0.0, "max": 1.0},
}


# -- whole arrays: inputs, options, and their count ------------------------------------------------


def x(*shape: int) -> Any:
    """An input that wants a gradient."""
    return rng.uniform(0.1, 0.9, shape)


Case = tuple[tuple[Any, ...], dict[str, Any], Count]
LABELS, IDS, BOOLS = np.array([1, 0, 2, 1]), np.array([[1, 2, 1]]), rng.uniform(size=(4, 5)) < 0.5
N, ROWS = 20, 4  # most inputs have 4 rows of 5
PAIR = (x(4, 5), x(4, 5))


def reduced(each: int, special: int, back: int, special_back: int = 0, mean: int = 1) -> Count:
    """A loss of n entries: the sum, and the division by n; backward ȳ / n for ȳ itself."""
    return Count(each * N + N - 1 + mean, special * N, back * N + mean, special_back * N)


REGULAR = 3 * np.eye(3) + x(3, 3)

SHAPES: dict[str, list[Case]] = {
    "to_dtype": [((x(4, 5),), {"dtype": np.dtype(np.float32)}, Count())],
    "to_device": [((x(4, 5),), {"device": "cpu", "source": "cpu"}, Count())],
    "reshape": [((x(4, 5),), {"shape": (2, 10)}, Count())],
    "permute": [((x(4, 5),), {"axes": (1, 0)}, Count())],
    "clone": [((x(4, 5),), {}, Count())],
    "broadcast_to": [((x(5),), {"shape": (4, 5)}, Count(0, 0, 15))],  # summed over the repeats
    "cat": [((x(4, 5), x(4, 2)), {"axis": 1}, Count())],
    "getitem": [
        ((x(4, 5),), {"index": np.s_[1:3]}, Count()),
        ((x(4),), {"index": np.array([0, 0, 3])}, Count(0, 0, 3)),  # each is added in its place
    ],
    "scatter": [((x(3),), {"index": np.array([0, 0, 3]), "shape": (4,)}, Count(3))],
    "put": [((x(4, 5), x(2, 5)), {"index": np.s_[1:3]}, Count())],
    "flip": [((x(4, 5),), {"axis": 0}, Count())],
    "roll": [((x(4, 5),), {"shift": 2, "axis": 1}, Count())],
    "tril": [((x(4, 5),), {"k": 0}, Count())],
    "triu": [((x(4, 5),), {"k": 1}, Count())],
    "pad": [((x(4, 5),), {"pad_width": ((1, 1), (0, 2))}, Count())],
}

REDUCTIONS: dict[str, list[Case]] = {
    "sum": [((x(4, 5),), {"axis": 1}, Count(N - ROWS)), ((x(4, 5),), {}, Count(N - 1))],
    "mean": [((x(4, 5),), {"axis": 1}, Count(N, 0, ROWS)), ((x(4, 5),), {}, Count(N, 0, 1))],
    # the mean, u − m, its square, their sum and ÷; backward the same but 2 / (n − c) for the square
    "var": [((x(4, 5),), {"axis": 1}, Count(4 * N, 0, 4 * N))],
    "std": [((x(4, 5),), {"axis": 1}, Count(4 * N, ROWS, 4 * N + 2 * ROWS))],  # ȳ / (2 y) first
    "amax": [((x(4, 5),), {"axis": 1}, Count(N - ROWS, 0, ROWS))],  # ȳ / how many
    "amin": [((x(4, 5),), {"axis": 1}, Count(N - ROWS, 0, ROWS))],
    # max, u − max, Σ, + max; backward e^(u − y) times ȳ
    "logsumexp": [((x(4, 5),), {"axis": 1}, Count(3 * N - ROWS, N + ROWS, 2 * N, N))],
    "p_norm": [
        # Σ u u, √; |u|, u (ȳ / y¹)
        ((x(4, 5),), {"p": 2, "axis": 1}, Count(2 * N - ROWS, ROWS, 2 * N + ROWS, ROWS)),
        (
            (x(4, 5),),
            {"p": 3, "axis": 1},
            # Σ |u|³, ^(1/3); u |u|¹ (ȳ / y²)
            Count(2 * N - ROWS, N + ROWS, 3 * N + 2 * ROWS, N),
        ),
    ],
    "cumsum": [((x(4, 5),), {"axis": 1}, Count(N - ROWS, 0, N - ROWS))],
    # the products before each and after each (5 entries with the 1 in front), their product, ȳ
    "prod": [((x(4, 5),), {"axis": 1}, Count(N - ROWS, 0, 2 * (N - ROWS) + 2 * N))],
    # the products before; 3 doublings of b + a ahead(b), a ahead(a); their product
    "cumprod": [((x(4, 5),), {"axis": 1}, Count(N - ROWS, 0, (N - ROWS) + 3 * 3 * N + N))],
}

PRODUCTS: dict[str, list[Case]] = {
    "matmul": [((x(4, 5), x(5, 3)), {}, Count(2 * 60, 0, 4 * 60))],
    "einsum": [
        ((x(4, 5), x(5, 3)), {"subscripts": "ij,jk->ik"}, Count(2 * 60, 0, 4 * 60)),
        (  # (A B) C forward; backward for each term of three factors two × and one +
            (x(4, 5), x(5, 3), x(3, 2)),
            {"subscripts": "ij,jk,kl->il"},
            Count(2 * 60 + 2 * 24, 0, 3 * 3 * (4 * 5 * 3 * 2)),
        ),
    ],
    "linear": [((x(4, 5), x(3, 5), x(3)), {}, Count(2 * 60 + 12, 0, 4 * 60 + 9))],
    "neuron": [
        # σ or φ of z; backward δ, then as of a linear layer
        (
            (x(4, 5), x(3, 5), x(3)),
            {"act": act},
            Count(2 * 60 + 12 + f * 12, s * 12, 4 * 60 + 9 + b * 12 + again, sb * 12),
        )
        for act, f, s, b, sb, again in (
            ("sigmoid", 3, 1, 3, 0, 0),
            ("tanh", 0, 1, 3, 0, 0),
            ("relu", 1, 0, 0, 0, 0),
            # Φ = y / z, with z once more; ȳ (Φ + z e^(−z z / 2) / √2π)
            ("gelu", CDF + 1, 1, 1 + 3 + 4, 1, 2 * 60 + 12),
        )
    ],
    # what LAPACK does is not counted: the products around it are
    "inv": [((REGULAR,), {}, Count(0, 0, 2 * 2 * 27 + 9))],
    "solve": [((REGULAR, x(3, 2)), {}, Count(0, 0, 2 * 18 + 9))],  # −(U⁻ᵀȳ) yᵀ; each solves
    "det": [((REGULAR,), {}, Count(0, 0, 9 + 9))],  # ȳ (y u⁻ᵀ)
    "logabsdet": [((REGULAR,), {}, Count(0, 0, 9))],
    # (u + uᵀ) / 2; yᵀ ȳ; its lower half; two products; (s + sᵀ) / 2
    "cholesky": [((REGULAR @ REGULAR.T,), {}, Count(18, 0, 2 * 27 + 18 + 4 * 27 + 18))],
}

LOSSES: dict[str, list[Case]] = {
    # d, d²; ȳ 2/n d and its minus
    "mse": [(PAIR, {}, reduced(2, 0, 2)), (PAIR, {"reduction": "sum"}, reduced(2, 0, 2))],
    "mae": [(PAIR, {}, reduced(2, 0, 2))],
    "huber": [(PAIR, {}, reduced(1 + 2 + 3, 0, 2))],  # d; two bounds; c (d − c/2)
    # −|z|, max, − y z, + ln(1 + e); σ = 1 or e over 1 + e, − y, times ȳ; −ȳ z (of ȳ one number)
    "bce": [(PAIR, {}, reduced(6, 2, 2 + 2 + 1)._replace(back=5 * N + 1 + 1))],
    # each ln its max with −100; 1 − p; (y − 1) b − y a
    "bernoulli": [(PAIR, {}, reduced(2 + 1 + 4, 2, 6 + 2))],
    "kl": [
        # y (ln y − x); −ȳ y, and ȳ (ratio + [y ≠ 0])
        (PAIR, {}, reduced(2, 1, 3)._replace(back=3 * N + 1 + 1)),
        (PAIR, {"log_target": True}, reduced(2, 1, 4)._replace(back=4 * N + 1 + 1)),
    ],
    # max, x − max, Σ e; ln Σ + (max − x_t); Σ, /n. Backward e/Σ − [c = t], times ȳ / n
    "cross_entropy": [
        (
            (x(4, 5), LABELS),
            {},
            Count(2 * (N - ROWS) + N + 2 * ROWS + ROWS, N + ROWS, 3 * N + 1),
        )
    ],
    "nll": [((x(4, 5), LABELS), {}, Count(2 * ROWS + ROWS, 0, 1 + 1 + ROWS))],
    "soft_cross_entropy": [
        (
            PAIR,
            {"label_smoothing": 0.1},
            # (1 − ε) y + ε/C, ×1; max, x − max, Σ e, − ln Σ; Σ t ln p, its minus; Σ, /n
            Count(
                3 * N + 2 * (N - ROWS) + 2 * N + N + (N - ROWS) + ROWS + ROWS,
                N + ROWS,
                # ȳ (p Σ t − t); −ȳ (1 − ε), ×1, times ln p
                1 + (N - ROWS) + 3 * N + 3 + N,
                N,
            ),
        )
    ],
}

# -- layers ----------------------------------------------------------------------------------------

T, B, E, H = 5, 2, 3, 4  # steps, sequences, entries of an input, of a state
STATES = T * B * H


def recurrent(gates: int, states: int) -> tuple[Any, ...]:
    """x, the first states, two matrices, two biases."""
    G = gates * H
    return (x(T, B, E), *(x(B, H) for _ in range(states)), x(G, E), x(G, H), x(G), x(G))


def products(gates: int) -> int:
    """W x + U h for all steps; backward x̄ and h̄ cost as much, and the matrices too."""
    return 2 * gates * STATES * (E + H)


def biases(gates: int) -> int:
    """Both sums over all steps and sequences."""
    return 2 * gates * H * (T * B - 1)


def normalised(n: int, sets: int) -> Count:
    """Mean, x − m, Σ c², c s, γ, β: n entries each; Σ / n, + ε, √, 1 / √ for each set."""
    return Count(n + n + 2 * n + n + n + n + 3 * sets, sets)


def x_bar(n: int, sets: int) -> int:
    """h = ȳ γ; Σ h x̂; / n and its minus; x̂ times that, + h, mean of h, − it, times s."""
    return n + 2 * n + 2 * sets + 5 * n


WIDE, PLANES = 24, (x(2, 4, 3), x(4), x(4))  # 2 samples, 4 channels, 3 places
PAIRS, QUERIES, QK, PV = 2 * 25, 2 * 5, 2 * 2 * 25 * 3, 2 * 2 * 25 * 4  # 2 heads, 5 by 5
HEADS = (x(2, 5, 3), x(2, 5, 3), x(2, 5, 4))
SCORES = 30 + QK  # q / √E first
# max, s − max, Σ, + ln Σ, Σ p v, / Σ;  Σ ȳ y, p once more; v̄; p̄; p (p̄ − Σ); q̄ and k̄, scaled
SEEN = SCORES + 2 * (PAIRS - QUERIES) + PAIRS + QUERIES + PV + 40
SEEN_BACK = (80 - QUERIES) + (SCORES + PAIRS) + (PV + 40) + PV + 2 * PAIRS + 2 * (QK + 30 + 30)

LAYERS: dict[str, list[Case]] = {
    # max, x − max, Σ, ÷; ȳ y, Σ, ȳ − Σ, times y
    "softmax": [((x(4, 5),), {}, Count(4 * N - 2 * ROWS, N, 4 * N - ROWS))],
    # as logsumexp, and x − it; ȳ − e^y Σ ȳ
    "log_softmax": [((x(4, 5),), {}, Count(4 * N - ROWS, N + ROWS, 3 * N - ROWS, N))],
    "dropout": [((x(4, 5), BOOLS), {"p": 0.5}, Count(N, 0, N))],
    "embedding": [((IDS, x(4, 5)), {}, Count(0, 0, 3 * 5))],  # three rows are added
    "matrix_factorisation": [
        (  # p · q + b + c + μ; ȳ q, ȳ p; all four are added to their tables
            (x(4, 2), x(3, 2), x(4), x(3), np.array([0, 3, 1, 3, 2]), np.array([0, 1, 2, 2, 1])),
            {"mean": 0.5},
            Count(2 * 10 + 15, 0, 20 + 2 * 10 + 2 * 5),
        )
    ],
    # 24 pairs, 12 angles: 6 flops a pair; backward as much, −sin, and θ̄, summed over 2 samples
    "rotary": [((x(2, 4, 6), x(4, 3)), {}, Count(144, 24, 144 + 12 + 3 * 24 + 12))],
    # β̄, γ̄; both / n and s γ for each channel; ȳ − mean − x̂ mean, times s γ
    "batch_norm": [
        (PLANES, {}, normalised(WIDE, 4)._replace(back=(WIDE - 4) + 2 * WIDE + 12 + 4 * WIDE))
    ],
    "layer_norm": [
        (
            (x(4, 5), x(5), x(5)),
            {},
            normalised(N, ROWS)._replace(back=x_bar(N, ROWS) + 2 * N + (N - 5)),
        )
    ],
    "group_norm": [
        (
            PLANES,
            {"groups": 2},
            normalised(WIDE, 4)._replace(back=x_bar(WIDE, 4) + 2 * WIDE + (WIDE - 4)),
        )
    ],
    # Σ x², x / r, γ; /n, + ε, 1/√. Backward h; Σ h x̂, /n; x̂ times it, h − that, / r; γ̄
    "rms_norm": [
        ((x(4, 5), x(5)), {}, Count(4 * N + 3 * ROWS, ROWS, N + 2 * N + ROWS + 3 * N + 2 * N))
    ],
    "attention": [
        ((*HEADS, True, True), {}, Count(SEEN, PAIRS + QUERIES, SEEN_BACK, PAIRS)),
        (  # + mask; weights that are kept, twice p. Backward + mask, three times kept; its gradient
            (*HEADS, x(5, 5), np.ones((5, 5), bool)),
            {"p": 0.2},
            Count(
                SEEN + 2 * PAIRS,
                PAIRS + QUERIES,
                SEEN_BACK + PAIRS + 2 * PAIRS + (PAIRS - 25) + 25,
                PAIRS,
            ),
        ),
    ],
    "rnn": [
        (  # b + b, what h adds, the bias. Backward 1 − h², h̄ + …, times the slope
            recurrent(1, 1),
            {},
            Count(
                products(1) + 2 * STATES + 2 * H,
                STATES,
                4 * STATES + 2 * products(1) + biases(1),
            ),
        )
    ],
    "gru": [
        (
            recurrent(3, 1),
            {},
            Count(
                # 0 + b; both biases; for r and z 4 flops, as σ is half a tanh; n; the new state
                products(3) + 3 * H + 6 * STATES + 8 * STATES + 2 * STATES + 3 * STATES,
                3 * STATES,
                # (1 − z)(1 − n²); its slopes; h̄ + …, times three slopes and fresh, h̄ z
                (4 + 9 + 1 + 3 + 1 + 2) * STATES + 2 * products(3) + biases(3),
            ),
        )
    ],
    "lstm": [
        (
            recurrent(4, 2),
            {},
            Count(
                # 0 + b + b, 1 − ½; bias, what h adds, half in, half out, and a half; f c + i u, o s
                products(4) + 3 * 4 * H + 5 * 4 * STATES + 4 * STATES,
                5 * STATES,
                # a (1 − a), times what each is multiplied with; then h̄, c̄, ā, c̄ f
                (8 + 1 + 1 + 3 + 1 + 3) * STATES
                + (1 + 3 + 3 + 1 + 1) * STATES
                + 2 * products(4)
                + biases(4),
                STATES,
            ),
        )
    ],
}

# 2 images with 3 channels, 6 by 6; 4 filters 3 by 3: 16 places of 27 numbers
CONV = 2 * 2 * 4 * 16 * 27
# 2 images with 2 channels, 3 by 3; stamps 2 by 2 for 3 channels, side by side on 6 by 6
STAMPS, STAMPED = 2 * 2 * 2 * 12 * 9, 2 * 12 * 9

WINDOWS: dict[str, list[Case]] = {
    "conv2d": [
        (  # + b; x̄ and the sum of its taps, W̄ and its sum over the images, b̄
            (x(2, 3, 6, 6), x(4, 3, 3, 3), x(4)),
            {},
            Count(CONV + 128, 0, 2 * CONV + 2 * 16 * 27 + 4 * 27 + (128 - 4)),
        )
    ],
    "conv_transpose2d": [
        (
            (x(2, 2, 3, 3), x(2, 3, 2, 2), x(3)),
            {"stride": 2},
            Count(STAMPS + STAMPED + 216, 0, 2 * STAMPS + 24 + (216 - 3)),
        )
    ],
    "unfold": [((x(1, 2, 4, 4),), {"kernel_size": 2}, Count(0, 0, 2 * 9 * 4))],
    "fold": [((x(1, 8, 9),), {"output_size": (4, 4), "kernel_size": 2}, Count(2 * 9 * 4))],
    "max_pool": [
        (
            (x(1, 1, 4, 4),),
            {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)},
            Count(16, 0, 16),
        )
    ],
    "avg_pool": [
        (
            (x(1, 1, 4, 4),),
            {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)},
            Count(16 + 4, 0, 4 + 16),
        )
    ],
    # means of two: 24 entries to 12, then to 6; back 6 / 2, to 12, 12 / 2, to 24
    "adaptive_avg_pool": [
        ((x(1, 1, 4, 6),), {"output_size": (2, 3)}, Count(24 + 12, 0, 6 + 12 + 12 + 24))
    ],
    "adaptive_max_pool": [((x(1, 1, 4, 6),), {"output_size": (2, 3)}, Count(0, 0, 6))],
    # a × and a + for each neighbour; back: each entry is a neighbour of 2, or of 4
    "upsample": [
        ((x(1, 1, 3),), {"size": (6,), "scale": (None,), "mode": mode}, Count(2 * 6 * k, 0, 6 * b))
        for mode, k, b in (("nearest", 1, 2), ("linear", 2, 4))
    ],
}
