r"""Index formulas of the table's own ops: reductions, shapes, pieces, products, matrices.

In reductions i counts the entries that become one, and n is their number. Elsewhere the indices
that stand on both sides alike are left out: matrices for each index in front, rows for each other.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tinynet.explanation.formulas.template import (
    Shape,
    Structured,
    each,
    lines,
    option,
    plus,
    table,
)
from tinynet.explanation.graph import Step
from tinynet.explanation.symbols import number

# -- reductions and scans --------------------------------------------------------------------------

_MEAN = r"m = \frac{1}{n} \sum_i @u_i"


def _freedom(step: Step) -> str:
    return f"n{plus(-option(step, 'ddof'))}"


def _extreme(name: str) -> Structured:
    return Structured(
        "u",
        rf"@y = \{name}_i @u_i",
        {"u": lines(r"\bar{@u}_i = \frac{@g}{k} \, [@u_i = @y]", r"k = \sum_j [@u_j = @y]")},
    )


def _p_norm(step: Step) -> str:
    p = option(step, "p")
    if p == 2:
        return r"@y = \sqrt{\sum_i @u_i^2}"
    return rf"@y = \left(\sum_i \left|@u_i\right|^{{{number(p)}}}\right)^{{1/{number(p)}}}"


def _p_norm_back(step: Step) -> str:
    p = option(step, "p")
    text = r"\bar{@u}_i = @g \, \frac{@u_i}{@y}"
    if p != 2:
        power = number(p - 1)
        text = (
            r"\bar{@u}_i = @g \, \operatorname{sign}(@u_i) "
            rf"\left(\frac{{\left|@u_i\right|}}{{@y}}\right)^{{{power}}}"
        )
    return lines(text, r"\text{0 where } @y = 0")


REDUCTIONS = {
    "sum": Structured("u", r"@y = \sum_i @u_i", {"u": r"\bar{@u}_i = @g"}),
    "mean": Structured(
        "u", r"@y = \frac{1}{n} \sum_{i=1}^{n} @u_i", {"u": r"\bar{@u}_i = \frac{1}{n} \, @g"}
    ),
    "var": Structured(
        "u",
        lambda step: lines(
            rf"@y = \frac{{1}}{{{_freedom(step)}}} \sum_i \left(@u_i - m\right)^2", _MEAN
        ),
        {
            "u": lambda step: lines(
                rf"\bar{{@u}}_i = \frac{{2}}{{{_freedom(step)}}} \, @g \left(@u_i - m\right)", _MEAN
            )
        },
    ),
    "std": Structured(
        "u",
        lambda step: lines(
            rf"@y = \sqrt{{\frac{{1}}{{{_freedom(step)}}} \sum_i \left(@u_i - m\right)^2}}", _MEAN
        ),
        {
            "u": lambda step: lines(
                r"\bar{@u}_i = \frac{@g}{@y} \, "
                rf"\frac{{@u_i - m}}{{{_freedom(step)}}} \text{{ (0 where }} @y = 0)",
                _MEAN,
            )
        },
    ),
    "amax": _extreme("max"),
    "amin": _extreme("min"),
    "logsumexp": Structured(
        "u", r"@y = \ln \sum_i e^{@u_i}", {"u": r"\bar{@u}_i = @g \, e^{@u_i - @y}"}
    ),
    "p_norm": Structured("u", _p_norm, {"u": _p_norm_back}),
    "prod": Structured("u", r"@y = \prod_i @u_i", {"u": r"\bar{@u}_i = @g \prod_{j \ne i} @u_j"}),
    "cumsum": Structured(
        "u", r"@y_i = \sum_{j \le i} @u_j", {"u": r"\bar{@u}_j = \sum_{i \ge j} @g_i"}
    ),
    "cumprod": Structured(
        "u",
        r"@y_i = \prod_{j \le i} @u_j",
        {"u": r"\bar{@u}_j = \sum_{i \ge j} @g_i \prod_{k \le i,\, k \ne j} @u_k"},
    ),
}

# -- shapes ----------------------------------------------------------------------------------------

_BAR_U = r"\bar{@u}"
_INDICES = "ijklmnpqrstuvwxyzabcdefgh"


def _permuted(step: Step, name: str) -> str:
    """The letters of the output, or of what arrives, in the order of the axes."""
    axes = option(step, "axes")
    ndim = len(step.inputs[0].shape)
    order = range(ndim)[::-1] if axes is None else [a % ndim for a in axes]
    return f"{name}_{{{''.join(_INDICES[a] for a in order)}}}" if ndim else name


def _unpermuted(step: Step, name: str) -> str:
    ndim = len(step.inputs[0].shape)
    return f"{name}_{{{_INDICES[:ndim]}}}" if ndim else name


def _starts(step: Step) -> list[int]:
    """Where each input begins along the axis of `cat`, and where the last one ends."""
    axis, starts = option(step, "axis"), [0]
    for x in step.inputs:
        starts.append(starts[-1] + x.shape[axis])
    return starts


def _along(step: Step) -> str:
    axis = option(step, "axis") % len(step.output.shape)
    return rf"k \text{{ counts along axis {axis}}}"


def _cat(step: Step) -> str:
    starts = _starts(step)
    rows = [
        rf"@{i}_{{k{plus(-start)}}} & \text{{if }} {start} \le k < {stop}"
        for i, (start, stop) in enumerate(pairwise(starts))
    ]
    return lines("@y_k = " + table("cases", rows), _along(step))


def _dtype(x: Any) -> str:
    return rf"\text{{ as {x}}}"


SHAPES = {
    "reshape": Structured(
        "u",
        lines(r"@y_k = @u_k", r"k \text{ counts all entries, row by row}"),
        {"u": lines(r"\bar{@u}_k = @g_k", r"k \text{ counts all entries, row by row}")},
    ),
    "permute": Structured(
        "u",
        lambda step: f"{_permuted(step, '@y')} = {_unpermuted(step, '@u')}",
        {"u": lambda step: f"{_unpermuted(step, _BAR_U)} = {_permuted(step, '@g')}"},
    ),
    "broadcast_to": Structured(
        "u",
        lines(r"@y_{rk} = @u_k", r"r \text{ counts the repeats}"),
        {"u": lines(r"\bar{@u}_k = \sum_r @g_{rk}", r"r \text{ counts the repeats}")},
    ),
    "cat": Structured(
        "",
        _cat,
        lambda i, step: lines(rf"\bar{{@{i}}}_k = @g_{{k{plus(_starts(step)[i])}}}", _along(step)),
    ),
    "clone": Structured("u", "@y = @u", {"u": r"\bar{@u} = @g"}),
    "to_dtype": Structured(
        "u",
        lambda step: "@y = @u" + _dtype(option(step, "dtype")),
        {"u": lambda step: r"\bar{@u} = @g" + _dtype(step.inputs[0].dtype)},
    ),
    "to_device": Structured(
        "u",
        lambda step: rf"@y = @u \text{{ on {option(step, 'device')}}}",
        {"u": lambda step: rf"\bar{{@u}} = @g \text{{ on {option(step, 'source')}}}"},
    ),
}

# -- entries and pieces ----------------------------------------------------------------------------

_READ = r"i(k) \text{: where the index points for entry } k"


def _shifted(sign: int) -> Any:
    """(i − s) mod n, with the numbers of entries in the place of s."""

    def text(step: Step) -> str:
        shift, axis = option(step, "shift"), option(step, "axis")
        name, other = (r"@y_i", "@u") if sign < 0 else (r"\bar{@u}_i", "@g")
        counts = "all entries, row by row" if axis is None else f"along axis {each(axis)}"
        if isinstance(shift, tuple) and len(shift) > 1:
            moved, counts = f"{'-' if sign < 0 else '+'} s", f"along the axes {axis}, s = {shift}"
        else:
            moved = plus(sign * (shift[0] if isinstance(shift, tuple) else shift)).strip()
        inside = rf"(i {moved}) \bmod n" if moved else "i"
        return lines(rf"{name} = {other}_{{{inside}}}", rf"i \text{{ counts {counts}}}")

    return text


def _flipped(step: Step) -> str:
    axis = option(step, "axis")
    return r"i \text{ counts along " + ("each axis}" if axis is None else f"axis {each(axis)}}}")


def _triangle(sign: str) -> Structured:
    def text(left: str, right: str) -> Any:
        return lambda step: (
            rf"{left}_{{ij}} = {right}_{{ij}} \, [j \{sign} i{plus(option(step, 'k'))}]"
        )

    return Structured("u", text("@y", "@u"), {"u": text(r"\bar{@u}", "@g")})


def _before(step: Step) -> str:
    """How many entries `pad` puts in front, as what is added to an index."""
    fronts = tuple(before for before, _ in option(step, "pad_width"))
    return plus(fronts[0]) if len(set(fronts)) == 1 else " + p" if fronts else ""


def _fronts(step: Step) -> str:
    fronts = tuple(before for before, _ in option(step, "pad_width"))
    return f"p = {each(fronts)}" if len(set(fronts)) > 1 else ""


PIECES = {
    "getitem": Structured(
        "u",
        lines(r"@y_k = @u_{i(k)}", _READ),
        {"u": lines(r"\bar{@u}_j = \sum_{k:\, i(k) = j} @g_k", _READ)},
    ),
    "scatter": Structured(
        "u",
        lines(r"@y_j = \sum_{k:\, i(k) = j} @u_k", _READ),
        {"u": lines(r"\bar{@u}_k = @g_{i(k)}", _READ)},
    ),
    "put": Structured(
        "uv",
        lines(
            r"@y_j = \begin{cases} @v_k & \text{if } j = i(k) \text{ for a } k"
            r" \\ @u_j & \text{else} \end{cases}",
            _READ,
        ),
        {
            "u": lines(r"\bar{@u}_j = @g_j \, [j \ne i(k) \text{ for all } k]", _READ),
            "v": lines(
                r"\bar{@v}_k = @g_{i(k)}",
                _READ + r"; \text{ summed where } @v_k \text{ was repeated}",
            ),
        },
    ),
    "flip": Structured(
        "u",
        lambda step: lines(r"@y_i = @u_{n - 1 - i}", _flipped(step)),
        {"u": lambda step: lines(r"\bar{@u}_i = @g_{n - 1 - i}", _flipped(step))},
    ),
    "roll": Structured("u", _shifted(-1), {"u": _shifted(1)}),
    "tril": _triangle("le"),
    "triu": _triangle("ge"),
    "pad": Structured(
        "u",
        lambda step: lines(
            rf"@y_{{i{_before(step)}}} = @u_i",
            _fronts(step),
            rf"\text{{around it }} {number(option(step, 'value'))}",
        ),
        {
            "u": lambda step: lines(
                rf"\bar{{@u}}_i = @g_{{i{_before(step)}}}",
                _fronts(step),
            )
        },
    ),
}

# -- products --------------------------------------------------------------------------------------


def _repeated(i: int, step: Step) -> Shape:
    """Matrices are repeated along the axes in front of the last two."""
    return (*step.output.shape[:-2], *step.inputs[i].shape[-2:])


def _labels(step: Step) -> tuple[list[str], str]:
    left, _, right = option(step, "subscripts").partition("->")
    return left.split(","), right


def _indexed(name: str, labels: str) -> str:
    return f"{name}_{{{labels}}}" if labels else name


def _einsum(step: Step) -> str:
    labels, out = _labels(step)
    terms = [_indexed(f"@{i}", label) for i, label in enumerate(labels)]
    return f"{_indexed('@y', out)} = {_summed(labels, out)}" + r" \, ".join(terms)


def _summed(labels: list[str], out: str) -> str:
    """The sum over all labels that do not stand on the left."""
    over = "".join(dict.fromkeys(c for label in labels for c in label if c not in out))
    return rf"\sum_{{{over}}} " if over else ""


def _einsum_back(i: int, step: Step) -> str:
    labels, out = _labels(step)
    others = [label for j, label in enumerate(labels) if j != i]
    terms = [_indexed("@g", out)]
    terms += [_indexed(f"@{j}", label) for j, label in enumerate(labels) if j != i]
    total = _summed([out, *others], labels[i])
    bar = rf"\bar{{@{i}}}"
    return f"{_indexed(bar, labels[i])} = {total}" + r" \, ".join(terms)


def _einsum_whole(i: int, step: Step) -> Shape:
    labels, _ = _labels(step)
    sizes: dict[str, int] = {}
    for label, x in zip(labels, step.inputs, strict=True):
        for c, n in zip(label, x.shape, strict=True):
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]
    return tuple(sizes[c] for c in labels[i])


PRODUCTS = {
    "matmul": Structured(
        "uv",
        r"@y_{ik} = \sum_j @u_{ij} \, @v_{jk}",
        {
            "u": r"\bar{@u}_{ij} = \sum_k @g_{ik} \, @v_{jk}",
            "v": r"\bar{@v}_{jk} = \sum_i @u_{ij} \, @g_{ik}",
        },
        _repeated,
    ),
    "einsum": Structured("", _einsum, _einsum_back, _einsum_whole),
}

# -- matrices --------------------------------------------------------------------------------------

LINALG = {
    "inv": Structured(
        "u",
        lines(r"@y = @u^{-1}", r"\sum_j @u_{ij} \, @y_{jk} = [i = k]"),
        {"u": r"\bar{@u}_{ij} = -\sum_{k, l} @y_{ki} \, @g_{kl} \, @y_{jl}"},
    ),
    "solve": Structured(
        "uv",
        lines(r"@y = @u^{-1} \, @v", r"\sum_j @u_{ij} \, @y_{jk} = @v_{ik}"),
        {
            "u": lines(
                r"\bar{@u}_{ij} = -\sum_{k, l} w_{li} \, @g_{lk} \, @y_{jk}", r"w = @u^{-1}"
            ),
            "v": lines(r"\bar{@v}_{ik} = \sum_l w_{li} \, @g_{lk}", r"w = @u^{-1}"),
        },
        _repeated,
    ),
    "det": Structured(
        "u",
        r"@y = \sum_\pi \operatorname{sign}(\pi) \prod_i @u_{i \pi(i)}"
        r", \; \pi \text{ all permutations}",
        {
            "u": lines(
                r"\bar{@u}_{ij} = @g \, (-1)^{i + j} \det M_{ij}",
                r"M_{ij} = @u \text{ without row } i \text{ and column } j",
            )
        },
    ),
    "logabsdet": Structured(
        "u",
        r"@y = \ln \left|\det @u\right|",
        {"u": lines(r"\bar{@u}_{ij} = @g \, w_{ji}", r"w = @u^{-1}")},
    ),
    "cholesky": Structured(
        "u",
        lines(
            r"@y_{ij} = \begin{cases} \sqrt{a_{ii} - \sum_{k < i} @y_{ik}^2} & \text{if } i = j \\ "
            r"\frac{1}{@y_{jj}} \left(a_{ij} - \sum_{k < j} @y_{ik} \, @y_{jk}\right) & "
            r"\text{if } i > j \\ 0 & \text{if } i < j \end{cases}",
            r"a_{ij} = \frac{1}{2} \left(@u_{ij} + @u_{ji}\right)",
        ),
        {
            "u": lines(
                r"\bar{@u}_{ij} = \frac{1}{2} \left(s_{ij} + s_{ji}\right)",
                r"s_{ij} = \sum_{k, l} w_{ki} \, f_{kl} \, w_{lj}",
                r"f_{kl} = \left([l < k] + \frac{1}{2} [l = k]\right) \sum_m @y_{mk} \, @g_{ml}",
                r"w = @y^{-1}",
            )
        },
    ),
}

FORMULAS: dict[str, Structured] = {**REDUCTIONS, **SHAPES, **PIECES, **PRODUCTS, **LINALG}
