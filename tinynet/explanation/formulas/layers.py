r"""Index formulas of layers without windows and without time: linear maps, softmax, normalisation,
tables, dropout, attention.

b counts samples, all axes in front taken together; i is an entry of the input, o one of the output.
"""

from __future__ import annotations

from typing import Any

from tinynet.explanation.formulas.template import Shape, Structured, Text, lines, option
from tinynet.explanation.graph import Step, Value
from tinynet.explanation.symbols import number

# -- linear ----------------------------------------------------------------------------------------

_ACTIVATIONS = {  # φ(z), and φ′(z) expressed by what is at hand
    "sigmoid": (r"\frac{1}{1 + e^{-z_{bo}}}", r"@y_{bo} \left(1 - @y_{bo}\right)"),
    "tanh": (r"\tanh z_{bo}", r"\left(1 - @y_{bo}^2\right)"),
    "relu": (r"\max(z_{bo}, 0)", r"[@y_{bo} > 0]"),
    "gelu": (
        r"z_{bo} \, \Phi(z_{bo})",
        r"\left(\Phi(z_{bo}) + z_{bo} \, \frac{e^{-z_{bo}^2 / 2}}{\sqrt{2 \pi}}\right)",
    ),
}
_Z = r"z_{bo} = \sum_i @x_{bi} \, @W_{oi} ⟦+ @b_o⟧"


def _neuron_back(main: str) -> Text:
    def text(step: Step) -> str:
        act = option(step, "act")
        delta = rf"\delta_{{bo}} = @g_{{bo}} \, {_ACTIVATIONS[act][1]}"
        return lines(main, delta, _Z if act == "gelu" else "")

    return text


LINEAR = {
    "linear": Structured(
        "xWb",
        r"@y_{bo} = \sum_i @x_{bi} \, @W_{oi} ⟦+ @b_o⟧",
        {
            "x": r"\bar{@x}_{bi} = \sum_o @g_{bo} \, @W_{oi}",
            "W": r"\bar{@W}_{oi} = \sum_b @g_{bo} \, @x_{bi}",
            "b": r"\bar{@b}_o = \sum_b @g_{bo}",
        },
    ),
    "neuron": Structured(
        "xWb",
        lambda step: lines(f"@y_{{bo}} = {_ACTIVATIONS[option(step, 'act')][0]}", _Z),
        {
            "x": _neuron_back(r"\bar{@x}_{bi} = \sum_o \delta_{bo} \, @W_{oi}"),
            "W": _neuron_back(r"\bar{@W}_{oi} = \sum_b \delta_{bo} \, @x_{bi}"),
            "b": _neuron_back(r"\bar{@b}_o = \sum_b \delta_{bo}"),
        },
    ),
    "embedding": Structured(
        "iW",
        lines(r"@y_{kj} = @W_{@i_k j}", r"k \text{ counts the ids}"),
        {
            "W": lines(
                r"\bar{@W}_{vj} = \sum_{k:\, @i_k = v} @g_{kj}",
                r"v \text{: a row of the table}",
            )
        },
    ),
    "matrix_factorisation": Structured(
        "PQbcui",
        lambda step: (
            r"@y_k = @b_{@u_k} + @c_{@i_k} + \sum_f @P_{@u_k f} \, @Q_{@i_k f}"
            + (f" + {number(option(step, 'mean'))}" if option(step, "mean") else "")
        ),
        {
            "P": r"\bar{@P}_{af} = \sum_{k:\, @u_k = a} @g_k \, @Q_{@i_k f}",
            "Q": r"\bar{@Q}_{af} = \sum_{k:\, @i_k = a} @g_k \, @P_{@u_k f}",
            "b": r"\bar{@b}_a = \sum_{k:\, @u_k = a} @g_k",
            "c": r"\bar{@c}_a = \sum_{k:\, @i_k = a} @g_k",
        },
    ),
}

# -- softmax, dropout, rotations -------------------------------------------------------------------


def _dropped(left: str, right: str) -> Text:
    def text(step: Step) -> str:
        p = option(step, "p")
        if p == 1:
            return f"{left}_i = 0"
        below = f"1 - {number(p)}" if p else "1"
        return rf"{left}_i = \frac{{@m_i \, {right}_i}}{{{below}}}"

    return text


SIMPLE = {
    "softmax": Structured(
        "x",
        r"@y_i = \frac{e^{@x_i}}{\sum_k e^{@x_k}}",
        {"x": r"\bar{@x}_j = @y_j \left(@g_j - \sum_i @g_i \, @y_i\right)"},
    ),
    "log_softmax": Structured(
        "x",
        r"@y_i = @x_i - \ln \sum_k e^{@x_k}",
        {"x": r"\bar{@x}_j = @g_j - e^{@y_j} \sum_i @g_i"},
    ),
    "dropout": Structured("xm", _dropped("@y", "@x"), {"x": _dropped(r"\bar{@x}", "@g")}),
    "rotary": Structured(
        "xt",
        lines(
            r"@y_{b,2i} = @x_{b,2i} \cos @t_{bi} - @x_{b,2i+1} \sin @t_{bi}",
            r"@y_{b,2i+1} = @x_{b,2i} \sin @t_{bi} + @x_{b,2i+1} \cos @t_{bi}",
        ),
        {
            "x": lines(
                r"\bar{@x}_{b,2i} = @g_{b,2i} \cos @t_{bi} + @g_{b,2i+1} \sin @t_{bi}",
                r"\bar{@x}_{b,2i+1} = -@g_{b,2i} \sin @t_{bi} + @g_{b,2i+1} \cos @t_{bi}",
            ),
            "t": r"\bar{@t}_{bi} = @g_{b,2i+1} \, @y_{b,2i} - @g_{b,2i} \, @y_{b,2i+1}",
        },
        lambda i, step: (*step.output.shape[:-1], step.inputs[i].shape[-1]),
    ),
}

# -- normalisation ---------------------------------------------------------------------------------


def _normalised(at: str, one: str, over: str, entry: str, words: str) -> Structured:
    """y = γ x̂ + β and its gradients.

    at      the index of an entry
    one     that of a set whose entries are standardised together, `over` which is summed
    entry   that of a γ
    words   what a set is
    """
    others = "".join(c for c in at if c not in entry)
    mean = rf"\frac{{1}}{{n}} \sum_{{{over}}}"

    def forward(step: Step) -> str:
        return lines(
            rf"@y_{{{at}}} = ⟦@γ_{entry} \, ⟧\hat{{x}}_{{{at}}}⟦ + @β_{entry}⟧",
            rf"\hat{{x}}_{{{at}}} = \frac{{@x_{{{at}}} - m_{{{one}}}}}"
            rf"{{\sqrt{{v_{{{one}}} + {number(option(step, 'eps'))}}}}}",
            rf"m_{{{one}}} = {mean} @x_{{{at}}}",
            rf"v_{{{one}}} = {mean} \left(@x_{{{at}}} - m_{{{one}}}\right)^2",
            rf"\text{{sums over the }} n \text{{ entries of }} {words}",
        )

    def back(step: Step) -> str:
        return lines(
            rf"\bar{{@x}}_{{{at}}} = s_{{{one}}} "
            rf"\left(h_{{{at}}} - \mu_{{{one}}} - \hat{{x}}_{{{at}}} \, \kappa_{{{one}}}\right)",
            rf"\mu_{{{one}}} = {mean} h_{{{at}}}",
            rf"\kappa_{{{one}}} = {mean} h_{{{at}}} \, \hat{{x}}_{{{at}}}",
            rf"h_{{{at}}} = @g_{{{at}}}⟦ \, @γ_{entry}⟧",
            rf"\hat{{x}}_{{{at}}} = s_{{{one}}} \left(@x_{{{at}}} - m_{{{one}}}\right)",
            rf"s_{{{one}}} = \frac{{1}}{{\sqrt{{v_{{{one}}} + {number(option(step, 'eps'))}}}}}",
            rf"\text{{mean }} m_{{{one}}} \text{{, variance }} v_{{{one}}} "
            rf"\text{{ and sums over the }} n \text{{ entries of }} {words}",
        )

    def gamma(step: Step) -> str:
        return lines(
            rf"\bar{{@γ}}_{entry} = \sum_{{{others}}} @g_{{{at}}} \, \hat{{x}}_{{{at}}}",
            rf"\hat{{x}}_{{{at}}} = \frac{{@x_{{{at}}} - m_{{{one}}}}}"
            rf"{{\sqrt{{v_{{{one}}} + {number(option(step, 'eps'))}}}}}",
            rf"\text{{mean }} m_{{{one}}} \text{{ and variance }} v_{{{one}}} "
            rf"\text{{ of the }} n \text{{ entries of }} {words}",
        )

    beta = rf"\bar{{@β}}_{entry} = \sum_{{{others}}} @g_{{{at}}}"
    return Structured("xγβ", forward, {"x": back, "γ": gamma, "β": beta})


def _rms(step: Step) -> str:
    eps = number(option(step, "eps"))
    return rf"r_b = \sqrt{{\frac{{1}}{{n}} \sum_i @x_{{bi}}^2 + {eps}}}"


NORMS = {
    "batch_norm": _normalised("bcp", "c", "bp", "c", r"\text{channel } c"),
    "layer_norm": _normalised("bi", "b", "i", "i", r"\text{sample } b"),
    "group_norm": _normalised(
        "bcp",
        "bk",
        r"c \in k, \, p",
        "c",
        r"\text{group } k \text{, that of } c",
    ),
    "rms_norm": Structured(
        "xγ",
        lambda step: lines(
            r"@y_{bi} = ⟦@γ_i \, ⟧\hat{x}_{bi}", r"\hat{x}_{bi} = \frac{@x_{bi}}{r_b}", _rms(step)
        ),
        {
            "x": lambda step: lines(
                r"\bar{@x}_{bi} = \frac{1}{r_b} "
                r"\left(h_{bi} - \hat{x}_{bi} \, \kappa_b\right)",
                r"\kappa_b = \frac{1}{n} \sum_i h_{bi} \, \hat{x}_{bi}",
                r"h_{bi} = @g_{bi}⟦ \, @γ_i⟧",
                r"\hat{x}_{bi} = \frac{@x_{bi}}{r_b}",
                _rms(step),
            ),
            "γ": lambda step: lines(
                r"\bar{@γ}_i = \sum_b @g_{bi} \, \hat{x}_{bi}",
                r"\hat{x}_{bi} = \frac{@x_{bi}}{r_b}",
                _rms(step),
            ),
        },
    ),
}

# -- attention -------------------------------------------------------------------------------------


def _is_boolean(mask: Any) -> bool:
    return isinstance(mask, Value) and mask.dtype.kind == "b"


def _allowed(step: Step) -> str:
    """What says whether query i may attend to key j; "" where it always may."""
    causal = r"[j \le i]" if option(step, "is_causal") else ""
    mask = step.inputs[3]
    given = "@B_{ij}" if _is_boolean(mask) else ""
    return r" \, ".join(part for part in (causal, given) if part)


def _weights(step: Step) -> tuple[str, ...]:
    scale, allowed, mask = option(step, "scale"), _allowed(step), step.inputs[3]
    factor = r"\frac{1}{\sqrt{E}}" if scale is None else number(scale)
    added = "⟦ + @B_{ij}⟧" if mask is not True and not _is_boolean(mask) else ""
    a = r"a_{ij} \, " if allowed else ""
    return (
        rf"p_{{ij}} = \frac{{{a}e^{{s_{{ij}}}}}}{{\sum_l {a.replace('ij', 'il')}e^{{s_{{il}}}}}}"
        + (r" \text{ (0 where no key is allowed)}" if allowed else ""),
        rf"s_{{ij}} = {factor} \sum_e @q_{{ie}} \, @k_{{je}}{added}"
        + (r" \text{, } E \text{ entries each}" if scale is None else ""),
        f"a_{{ij}} = {allowed}" if allowed else "",
    )


def _kept(step: Step) -> str:
    """What dropout multiplies a weight with."""
    p = option(step, "p")
    if step.inputs[4] is True:
        return ""
    if p == 1:
        return r"0 \, "
    return rf"\frac{{@m_{{ij}}}}{{1 - {number(p)}}} \, " if p else r"@m_{ij} \, "


def _scores_back(main: str) -> Text:
    def text(step: Step) -> str:
        scale = option(step, "scale")
        factor = r"\frac{1}{\sqrt{E}}" if scale is None else number(scale)
        return lines(
            main.replace("FACTOR", factor),
            r"\bar{s}_{ij} = p_{ij} \left(\bar{p}_{ij} - \sum_l \bar{p}_{il} \, p_{il}\right)",
            rf"\bar{{p}}_{{ij}} = {_kept(step)}\sum_f @g_{{if}} \, @v_{{jf}}",
            *_weights(step),
        )

    return text


def _repeated(i: int, step: Step) -> Shape:
    queries, keys = step.output.shape[:-1], step.inputs[1].shape[-2]
    return (*queries, keys) if i > 2 else (*queries[:-1], *step.inputs[i].shape[-2:])


def _attended(step: Step) -> str:
    main = rf"@y_{{if}} = \sum_j {_kept(step)}p_{{ij}} \, @v_{{jf}}"
    return lines(main, *_weights(step))


ATTENTION = {
    "attention": Structured(
        "qkvBm",
        _attended,
        {
            "q": _scores_back(r"\bar{@q}_{ie} = FACTOR \sum_j \bar{s}_{ij} \, @k_{je}"),
            "k": _scores_back(r"\bar{@k}_{je} = FACTOR \sum_i \bar{s}_{ij} \, @q_{ie}"),
            "v": lambda step: lines(
                rf"\bar{{@v}}_{{jf}} = \sum_i {_kept(step)}p_{{ij}} \, @g_{{if}}", *_weights(step)
            ),
            "B": _scores_back(r"\bar{@B}_{ij} = \bar{s}_{ij}"),
        },
        _repeated,
    ),
}

FORMULAS: dict[str, Structured] = {**LINEAR, **SIMPLE, **NORMS, **ATTENTION}
