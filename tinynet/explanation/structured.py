r"""Index formulas for ops that do not work entry by entry: forward, and what they hand back.

Each formula is a template: @y is the output's name, @g its gradient, @u, @v … the inputs' names by
the letters listed first; \bar marks a derivative, ∂L/∂; what stands in ⟦ ⟧ is left out where the
input that it names was not given. What a bar over an input stands for here is
what this step hands to it; where a value is used more than once, these are summed.
A loop written from each of these lines is held against the code in the tests.
"""

from __future__ import annotations

from typing import NamedTuple


class Structured(NamedTuple):
    """How an op is written.

    letters    of the inputs, in their order; inputs beyond them take no part in formulas
    forward    the output's entries
    backward   for each input the entries of its gradient; "" where it has none
    """

    letters: str
    forward: str
    backward: tuple[str, ...]


FORMULAS: dict[str, Structured] = {
    # -- sums and products
    "sum": Structured("u", r"@y = \sum_i @u_i", (r"\bar{@u}_i = @g",)),
    "mean": Structured(
        "u", r"@y = \frac{1}{n} \sum_{i=1}^{n} @u_i", (r"\bar{@u}_i = \frac{1}{n} @g",)
    ),
    "matmul": Structured(
        "uv",
        r"@y_{ik} = \sum_j @u_{ij} \, @v_{jk}",
        (
            r"\bar{@u}_{ij} = \sum_k @g_{ik} \, @v_{jk}",
            r"\bar{@v}_{jk} = \sum_i @u_{ij} \, @g_{ik}",
        ),
    ),
    # -- moving entries
    "reshape": Structured(
        "u", r"@y_{k} = @u_{k}, \; k \text{ counts all entries}", (r"\bar{@u}_k = @g_k",)
    ),
    # -- derivations
    "linear": Structured(
        "xWb",
        r"@y_{bo} = \sum_i @x_{bi} \, @W_{oi} ⟦+ @b_o⟧",
        (
            r"\bar{@x}_{bi} = \sum_o @g_{bo} \, @W_{oi}",
            r"\bar{@W}_{oi} = \sum_b @g_{bo} \, @x_{bi}",
            r"\bar{@b}_o = \sum_b @g_{bo}",
        ),
    ),
}
