r"""Index formulas of what looks through windows: convolution, unfold and fold, pooling, resampling.

n counts samples; p is the place of a window, u one of its taps, m and q an entry of the image. On
images these are one number for each axis, and the formulas hold along each of them.
"""

from __future__ import annotations

from typing import Any

from tinynet.explanation.formulas.template import Structured, Text, each, lines, option, plus
from tinynet.explanation.graph import Step
from tinynet.explanation.symbols import number

# -- where a tap looks -----------------------------------------------------------------------------


def _alike(step: Step, names: tuple[str, ...]) -> list[int] | None:
    """These options as one number each; None where they differ between the axes."""
    found = []
    for name in names:
        value = option(step, name)
        values = value if isinstance(value, tuple) else (value,)
        if len(set(values)) != 1:
            return None
        found.append(values[0])
    return found


def _times(factor: int, letter: str) -> str:
    return letter if factor == 1 else f"{factor}{letter}"


_GEOMETRY = ("stride", "dilation", "padding")


def _place(step: Step) -> str:
    """Where tap u of window p looks: p s + u d − P."""
    alike = _alike(step, _GEOMETRY)
    if alike is None:
        return "ps + ud - P"
    s, d, P = alike
    return f"{_times(s, 'p')} + {_times(d, 'u')}{plus(-P)}"


def _taps(step: Step, image: str) -> str:
    """What p and u mean, and the numbers that do not stand in the formula."""
    words = rf"\text{{tap }} u \text{{ of window }} p \text{{ sees }} {image}_{{{_place(step)}}}"
    words += r"\text{; 0 outside}"
    axes = len(step.output.shape if step.title == "fold" else step.inputs[0].shape) - 2
    words += _on_each(axes)
    if _alike(step, _GEOMETRY) is None:
        words += "".join(
            rf"\text{{; {name} }} {letter} = {each(option(step, name))}"
            for name, letter in zip(_GEOMETRY, "sdP", strict=True)
        )
    return words


def _on_each(axes: int) -> str:
    """That an index stands for one number on each of several axes."""
    return r"\text{; so on each axis}" if axes > 1 else ""


def _meeting(step: Step) -> str:
    """The sum over the windows and taps that look at m."""
    return rf"\sum_{{p, u:\, {_place(step)} = m}}"


# -- convolution -----------------------------------------------------------------------------------


def _grouped(step: Step, rows: int, columns: int) -> tuple[str, str]:
    """For a filter i of a weight (rows, columns) the channel that its column k means, and where
    that is not simply k, what it is.
    """
    groups = option(step, "groups")
    if groups == 1:
        return "k", ""
    share = rows // groups
    at = "i" if share == 1 else rf"\lfloor i / {share} \rfloor"
    return "c", rf"c = k + {_times(columns, '')}{'' if columns == 1 else ' '}{at}"


def _convolved(main: str, image: str) -> Text:
    """A line of a convolution; CHANNEL, PLACE and MEETING depend on the options."""

    def text(step: Step) -> str:
        rows, columns = step.inputs[1].shape[:2]
        channel, what = _grouped(step, rows, columns)
        line = main.replace("CHANNEL", channel).replace("PLACE", _place(step))
        if what and "OVER" in line:
            what = r"\text{over all } i, k \text{ with } " + what
        line = line.replace("OVER", r"\sum_{i, k}" if what else r"\sum_i")
        return lines(line.replace("MEETING", _meeting(step)), what, _taps(step, image))

    return text


CONVOLUTION = {
    "conv2d": Structured(
        "xWb",
        _convolved(r"@y_{nip} = ⟦@b_i + ⟧\sum_{k, u} @W_{iku} \, @x_{n,CHANNEL,PLACE}", r"@x"),
        {
            "x": _convolved(r"\bar{@x}_{n,CHANNEL,m} = OVER MEETING @W_{iku} \, @g_{nip}", "@x"),
            "W": _convolved(r"\bar{@W}_{iku} = \sum_{n, p} @g_{nip} \, @x_{n,CHANNEL,PLACE}", "@x"),
            "b": r"\bar{@b}_i = \sum_{n, p} @g_{nip}",
        },
    ),
    "conv_transpose2d": Structured(
        "xWb",
        _convolved(r"@y_{n,CHANNEL,m} = ⟦@b_CHANNEL + ⟧OVER MEETING @W_{iku} \, @x_{nip}", "@y"),
        {
            "x": _convolved(r"\bar{@x}_{nip} = \sum_{k, u} @W_{iku} \, @g_{n,CHANNEL,PLACE}", "@y"),
            "W": _convolved(r"\bar{@W}_{iku} = \sum_{n, p} @x_{nip} \, @g_{n,CHANNEL,PLACE}", "@y"),
            "b": r"\bar{@b}_k = \sum_{n, m} @g_{nkm}",
        },
    ),
    "unfold": Structured(
        "x",
        lambda step: lines(rf"@y_{{n,cu,p}} = @x_{{n,c,{_place(step)}}}", _taps(step, "@x")),
        {
            "x": lambda step: lines(
                rf"\bar{{@x}}_{{ncm}} = {_meeting(step)} @g_{{n,cu,p}}", _taps(step, "@x")
            )
        },
    ),
    "fold": Structured(
        "x",
        lambda step: lines(rf"@y_{{ncm}} = {_meeting(step)} @x_{{n,cu,p}}", _taps(step, "@y")),
        {
            "x": lambda step: lines(
                rf"\bar{{@x}}_{{n,cu,p}} = @g_{{n,c,{_place(step)}}}", _taps(step, "@y")
            )
        },
    ),
}

# -- pooling ---------------------------------------------------------------------------------------


def _window(step: Step) -> str:
    """The entries that window i sees."""
    dilated = "dilation" in step.options or "dilation" in getattr(step.op, "defaults", {})
    names = (
        ("stride", "dilation", "padding", "kernel") if dilated else ("stride", "padding", "kernel")
    )
    alike, last = _alike(step, names), "K - 1"
    place, settings = f"is + u{'d' if dilated else ''} - P", ""
    if alike is None:
        letters = "sdPK" if dilated else "sPK"
        settings = "".join(
            rf"\text{{; {name} }} {letter} = {each(option(step, name))}"
            for name, letter in zip(names, letters, strict=True)
        )
    else:
        s, *d, P, K = alike
        place, last = f"{_times(s, 'i')} + {_times(d[0] if d else 1, 'u')}{plus(-P)}", f"{K - 1}"
    entries = rf"w_i = \{{ {place} \mid u = 0 \dots {last} \}} \text{{, those inside}}"
    return entries + settings + _on_each(len(option(step, "kernel")))


_ADAPTIVE = (
    r"w_i = \{ \lfloor i N / M \rfloor \dots \lceil (i + 1) N / M \rceil - 1 \}"
    r" \text{ (of } N \text{ entries, } M \text{ windows)}"
)


def _adaptive(step: Step) -> str:
    return _ADAPTIVE + _on_each(len(option(step, "output_size")))


def _pooled_max(window: Any) -> Structured:
    return Structured(
        "x",
        lambda step: lines(r"@y_i = \max_{q \in w_i} @x_q", window(step)),
        {
            "x": lambda step: lines(
                r"\bar{@x}_q = \sum_{i:\, q_i = q} @g_i",
                r"q_i = \arg\max_{q \in w_i} @x_q \text{, the first}",
                window(step),
            )
        },
    )


def _pooled_mean(count: Any, window: Any) -> Structured:
    return Structured(
        "x",
        lambda step: lines(
            rf"@y_i = \frac{{1}}{{{count(step)[0]}}} \sum_{{q \in w_i}} @x_q",
            count(step)[1],
            window(step),
        ),
        {
            "x": lambda step: lines(
                rf"\bar{{@x}}_q = \sum_{{i:\, q \in w_i}} \frac{{@g_i}}{{{count(step)[0]}}}",
                count(step)[1],
                window(step),
            )
        },
    )


def _places(step: Step) -> tuple[str, str]:
    """What a sum is divided by, and what that is."""
    divisor = option(step, "divisor")
    if divisor:
        return number(divisor), ""
    if any(option(step, "padding")) and option(step, "count_include_pad"):
        return "c_i", r"c_i = \text{the places of the window, those in the padding too}"
    return r"\left|w_i\right|", ""


POOLING = {
    "max_pool": _pooled_max(_window),
    "avg_pool": _pooled_mean(_places, _window),
    "adaptive_max_pool": _pooled_max(_adaptive),
    "adaptive_avg_pool": _pooled_mean(lambda step: (r"\left|w_i\right|", ""), _adaptive),
}

# -- resampling ------------------------------------------------------------------------------------

_WEIGHTS = {
    "nearest": r"h(t) = [0 \le t < 1]",
    "nearest-exact": r"h(t) = [0 \le t < 1]",
    "linear": r"h(t) = \max(1 - \left|t\right|, 0)",
    "cubic": r"h(t) = \begin{cases} \frac{5}{4} \left|t\right|^3 - \frac{9}{4} \left|t\right|^2 + 1"
    r" & \text{if } \left|t\right| \le 1 \\ -\frac{3}{4} \left|t\right|^3 + \frac{15}{4} "
    r"\left|t\right|^2 - 6 \left|t\right| + 3 & \text{if } 1 < \left|t\right| < 2 \\ 0 & "
    r"\text{else} \end{cases}",
}


def _point(step: Step) -> str:
    mode, sizes = option(step, "mode"), option(step, "size")
    if option(step, "align_corners") and not mode.startswith("nearest"):
        ends = r"s_i = i \, \frac{N - 1}{M - 1} "
        return ends + r"\text{ (of } N \text{ entries, to } M \text{; 0 if } M = 1)"
    point = {
        "nearest": r"i \, \rho",
        "nearest-exact": r"\left(i + \frac{1}{2}\right) \rho",
    }.get(mode, r"\left(i + \frac{1}{2}\right) \rho - \frac{1}{2}")
    before = step.inputs[0].shape[-len(sizes) :]
    kept = {"linear": (1,), "nearest": (1, 2)}.get(mode, ())
    rho = tuple(
        n / m if scale is None or m in [n * k for k in kept] else 1 / scale
        for n, m, scale in zip(before, sizes, option(step, "scale"), strict=True)
    )
    return rf"s_i = {point} \text{{, }} \rho = {each(rho)}"


def _resampled(main: str) -> Text:
    return lambda step: lines(
        main,
        r"A_{iq} = \sum_r h(s_i - r) \text{ over whole } r \text{ whose nearest entry is } q",
        _WEIGHTS[option(step, "mode")],
        _point(step) + _on_each(len(option(step, "size"))),
    )


RESAMPLING = {
    "upsample": Structured(
        "x",
        _resampled(r"@y_i = \sum_q A_{iq} \, @x_q"),
        {"x": _resampled(r"\bar{@x}_q = \sum_i A_{iq} \, @g_i")},
    )
}

FORMULAS: dict[str, Structured] = {**CONVOLUTION, **POOLING, **RESAMPLING}
