r"""Index formulas of the losses, with the sum or the mean that was asked for.

i counts all entries, n is their number. Where there are classes, b counts the samples and n is the
number of those that count; c and k are classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinynet.explanation.formulas.template import Structured, Text, lines, option, told
from tinynet.explanation.graph import Step, Value
from tinynet.explanation.symbols import number


def _over(total: str, reduction: str) -> str:
    """The factor of a loss: what arrives, over n for the mean."""
    return rf"\frac{{{total}}}{{n}}" if reduction == "mean" else total


def _signed(text: str) -> tuple[str, str]:
    """A minus in front, and the rest."""
    return ("-", text[1:]) if text.startswith("-") else ("", text)


def _loss(
    letters: str,
    index: str,
    loss: Text,
    slopes: Mapping[str, tuple[str, Text, *tuple[str, ...]]],
    uses: Callable[[Step], tuple[str, ...]] = lambda step: (),
) -> Structured:
    """A loss from that of one entry or sample, and for each input its index, the slope of that one
    loss, and what the slope refers to; `uses` are the equations that both refer to, n's first.
    """

    def used(step: Step, reduction: str) -> tuple[str, ...]:
        return uses(step)[0 if reduction == "mean" else 1 :]

    def forward(step: Step) -> str:
        reduction, one = option(step, "reduction"), told(loss, step)
        if reduction == "none":
            return lines(rf"@y_{index} = {one}", *used(step, reduction))
        sign, one = _signed(one)
        share = r"\frac{1}{n} " if reduction == "mean" else ""
        return lines(rf"@y = {sign}{share}\sum_{index} {one}", *used(step, reduction))

    def slope(letter: str) -> Text:
        place, text, *own = slopes[letter]

        def backward(step: Step) -> str:
            reduction, one = option(step, "reduction"), told(text, step)
            g = f"@g_{index}" if reduction == "none" else _over("@g", reduction)
            sign, one = _signed(one)
            return lines(
                rf"\bar{{@{letter}}}_{{{place}}} = {sign}{g} \, {one}",
                *own,
                *used(step, reduction),
            )

        return backward

    return Structured(letters, forward, {letter: slope(letter) for letter in slopes})


# -- of a prediction p and a target t --------------------------------------------------------------


def _uses(*rest: str) -> Callable[[Step], tuple[str, ...]]:
    return lambda step: ("", *rest)


def _huber(step: Step) -> tuple[str, ...]:
    delta = number(option(step, "delta"))
    return (
        "",
        rf"c_i = \min(\max(d_i, -{delta}), {delta})",
        r"d_i = @p_i - @t_i",
    )


def _kl(step: Step) -> str:
    if option(step, "log_target"):
        return r"e^{@t_i} \left(@t_i - @x_i\right)"
    return r"@t_i \left(\ln @t_i - @x_i\right)"


def _kl_model(step: Step) -> str:
    return "-e^{@t_i}" if option(step, "log_target") else "-@t_i"


def _kl_target(step: Step) -> str:
    if option(step, "log_target"):
        return r"e^{@t_i} \left(@t_i - @x_i + 1\right)"
    return r"\left(\ln @t_i - @x_i + 1\right)"


_LIMITED = r"\text{no logarithm counts as less than } {-100}"

PAIRS = {
    "mse": _loss(
        "pt",
        "i",
        r"\left(@p_i - @t_i\right)^2",
        {
            "p": ("i", r"2 \left(@p_i - @t_i\right)"),
            "t": ("i", r"-2 \left(@p_i - @t_i\right)"),
        },
    ),
    "mae": _loss(
        "pt",
        "i",
        r"\left|@p_i - @t_i\right|",
        {
            "p": ("i", r"\operatorname{sign}(@p_i - @t_i)"),
            "t": ("i", r"-\operatorname{sign}(@p_i - @t_i)"),
        },
    ),
    "huber": _loss(
        "pt",
        "i",
        r"c_i \left(d_i - \frac{c_i}{2}\right)",
        {"p": ("i", "c_i"), "t": ("i", "-c_i")},
        _huber,
    ),
    "kl": _loss("xt", "i", _kl, {"x": ("i", _kl_model), "t": ("i", _kl_target)}),
    "bce": _loss(
        "zt",
        "i",
        r"\left(\ln(1 + e^{@z_i}) - @t_i \, @z_i\right)",
        {"z": ("i", r"\left(\frac{1}{1 + e^{-@z_i}} - @t_i\right)"), "t": ("i", "-@z_i")},
    ),
    "bernoulli": _loss(
        "pt",
        "i",
        r"\left(-@t_i \ln @p_i - (1 - @t_i) \ln(1 - @p_i)\right)",
        {
            "p": ("i", r"\frac{@p_i - @t_i}{\max(@p_i \, (1 - @p_i),\, 10^{-12})}"),
            "t": ("i", r"\left(\ln(1 - @p_i) - \ln @p_i\right)"),
        },
        _uses(_LIMITED),
    ),
}

# -- of scores x for classes -----------------------------------------------------------------------

_SOFTMAX = r"p_{bc} = \frac{e^{@x_{bc}}}{\sum_k e^{@x_{bk}}}"


def _counts(step: Step) -> str:
    """A factor that is 1 for samples that count; "" where all do."""
    ignored, t = option(step, "ignore_index"), step.inputs[1]
    known = isinstance(t, Value) and t.array is not None
    if known and not np.any(t.array == ignored):
        return ""
    return rf"[@t_b \ne {ignored}]"


def _counted(step: Step) -> tuple[str, ...]:
    keep = _counts(step)
    return (rf"n = \sum_b {keep}" if keep else "",)


def _kept(text: str) -> Text:
    """The loss, or the slope, of a sample that may not count."""
    return lambda step: f"{_counts(step)} {text}".strip()


def _nll(text: str) -> Text:
    def told(step: Step) -> str:
        weight = "" if option(step, "weight") is None else r"w_{@t_b}"
        factors = (x for x in (_counts(step), weight, text) if x)
        return "-" + r" \, ".join(factors)

    return told


def _nll_counted(step: Step) -> tuple[str, ...]:
    if option(step, "weight") is None:
        return _counted(step)
    return (
        rf"n = \sum_b {_counts(step)} w_{{@t_b}}",
        r"w \text{: the weights of the classes}",
    )


def _weight(step: Step, index: str) -> str:
    return "" if option(step, "weight") is None else rf"w_{index} \, "


def _soft_uses(step: Step) -> tuple[str, ...]:
    smoothing = option(step, "label_smoothing")
    s = r"@t_{bc}"
    if smoothing:
        value = number(smoothing)
        s = rf"(1 - {value}) \, @t_{{bc}} + \frac{{{value}}}{{C}}"
    return (
        "",
        _SOFTMAX,
        f"s_{{bc}} = {s}" + (r" \text{, of } C \text{ classes}" if smoothing else ""),
        r"w \text{: the weights of the classes}" if _weight(step, "c") else "",
    )


def _soft_target(step: Step) -> str:
    smoothing = option(step, "label_smoothing")
    share = rf"(1 - {number(smoothing)}) \, " if smoothing else ""
    return rf"-{share}{_weight(step, 'c')}\ln p_{{bc}}"


CLASSES = {
    "cross_entropy": _loss(
        "xt",
        "b",
        _kept(r"\left(\ln \sum_k e^{@x_{bk}} - @x_{b @t_b}\right)"),
        {"x": ("bc", _kept(r"\left(p_{bc} - [c = @t_b]\right)"), _SOFTMAX)},
        _counted,
    ),
    "nll": _loss("xt", "b", _nll("@x_{b @t_b}"), {"x": ("bc", _nll("[c = @t_b]"))}, _nll_counted),
    "soft_cross_entropy": _loss(
        "xt",
        "b",
        lambda step: rf"-\sum_c {_weight(step, 'c')}s_{{bc}} \ln p_{{bc}}",
        {
            "x": (
                "bc",
                lambda step: (
                    rf"\left(p_{{bc}} \sum_k {_weight(step, 'k')}s_{{bk}} "
                    rf"- {_weight(step, 'c')}s_{{bc}}\right)"
                ),
            ),
            "t": ("bc", _soft_target),
        },
        _soft_uses,
    ),
}

FORMULAS: dict[str, Structured] = {**PAIRS, **CLASSES}
