r"""Index formulas of the recurrent layers: the equations of a step, and the way back through time.

t counts the steps from 1 to T, b the sequences of the batch; what belongs to one step of one
sequence is a vector, and b is left out where it is the same on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinynet.explanation.formulas.template import Structured, Text, lines, option, told
from tinynet.explanation.graph import Step

# In the texts below BEFORE is the step before t and AFTER the step after it: t − 1 and t + 1, or
# the other way round where the steps run backwards; START is the first step, FIRST what comes
# before it, END what comes after the last.


def _in_time(step: Step, text: str) -> str:
    turned = option(step, "reverse")
    before, after = ("t+1", "t-1") if turned else ("t-1", "t+1")
    text = text.replace("BEFORE", before).replace("AFTER", after)
    text = text.replace("START", "T" if turned else "1")
    return text.replace("FIRST", "T+1" if turned else "0").replace("END", "0" if turned else "T+1")


def _padded(step: Step, words: str) -> str:
    """What holds for steps beyond a sequence's length."""
    lengths = option(step, "lengths")
    if lengths is None or all(n == step.inputs[0].shape[0] for n in lengths):
        return ""
    return rf"\text{{lengths {tuple(lengths)}: in the padded steps after them }} {words}"


# -- the plain layer -------------------------------------------------------------------------------


def _rnn(step: Step) -> str:
    act = r"\tanh a_t" if option(step, "nonlinearity") == "tanh" else r"\max(a_t, 0)"
    text = lines(
        r"@y_t = h_t",
        f"h_t = {act}",
        r"a_t = @W \, @x_t + @V \, h_{BEFORE}⟦ + @a + @b⟧",
        r"h_{FIRST} = @h",
        _padded(step, r"h_t = h_{BEFORE}"),
    )
    return _in_time(step, text)


def _rnn_back(step: Step, main: str) -> str:
    tanh = option(step, "nonlinearity") == "tanh"
    slope = r"\left(1 - h_t^2\right)" if tanh else "[h_t > 0]"
    rows = lines(
        main,
        rf"\bar{{a}}_t = \bar{{h}}_t \odot {slope}",
        r"\bar{h}_t = @g_t + @V^\top \bar{a}_{AFTER}",
        r"\bar{a}_{END} = 0 \text{, } @g_{FIRST} = 0 \text{, } h \text{ as in } @y",
        _padded(step, r"\bar{a}_t = 0 \text{ and } \bar{h}_{BEFORE} = @g_{BEFORE} + \bar{h}_t"),
    )
    return _in_time(step, rows)


# -- long short-term memory ------------------------------------------------------------------------


def _lstm_letters(step: Step) -> str:
    """With biases a and b, with a projection R."""
    extra = len(step.inputs) - 5
    return "xhcWV" + {0: "", 1: "R", 2: "ab", 3: "abR"}[extra]


def _projects(step: Step) -> bool:
    return _lstm_letters(step).endswith("R")


def _lstm(step: Step) -> str:
    text = lines(
        r"@y_t = (h_t, c_t)",
        r"h_t = @R \, m_t" if _projects(step) else r"h_t = m_t",
        r"m_t = o_t \odot \tanh c_t",
        r"c_t = f_t \odot c_{BEFORE} + i_t \odot u_t",
        r"i_t = \sigma(a_t^i) \text{, } f_t = \sigma(a_t^f) \text{, } u_t = \tanh a_t^u \text{, } "
        r"o_t = \sigma(a_t^o)",
        r"(a_t^i, a_t^f, a_t^u, a_t^o) = @W \, @x_t + @V \, h_{BEFORE}⟦ + @a + @b⟧",
        r"h_{FIRST} = @h \text{, } c_{FIRST} = @c",
        _padded(step, r"h_t = h_{BEFORE} \text{, } c_t = c_{BEFORE}"),
    )
    return _in_time(step, text)


def _lstm_back(step: Step, main: str) -> str:
    rows = lines(
        main,
        r"\bar{a}_t = (\bar{c}_t u_t i_t (1 - i_t), \; \bar{c}_t c_{BEFORE} f_t (1 - f_t), \; "
        r"\bar{c}_t i_t (1 - u_t^2), \; \bar{m}_t \tanh(c_t) \, o_t (1 - o_t))",
        r"\bar{c}_t = @g_t^c + \bar{m}_t o_t (1 - \tanh^2 c_t) + \bar{c}_{AFTER} f_{AFTER}",
        r"\bar{m}_t = @R^\top \bar{h}_t" if _projects(step) else r"\bar{m}_t = \bar{h}_t",
        r"\bar{h}_t = @g_t^h + @V^\top \bar{a}_{AFTER}",
        r"@g_t = (@g_t^h, @g_t^c)",
        r"\bar{a}_{END} = 0 \text{, } \bar{c}_{END} = 0 \text{, } @g_{FIRST} = 0 "
        r"\text{; the rest as in } @y",
        _padded(
            step,
            r"\bar{a}_t = 0 \text{, } m_t = \bar{m}_t = 0 \text{, } f_t = 1 \text{ and }"
            r" \bar{h}_{BEFORE} = @g_{BEFORE}^h + \bar{h}_t",
        ),
    )
    return _in_time(step, rows)


# -- the gated recurrent unit ----------------------------------------------------------------------


def _gru(step: Step) -> str:
    text = lines(
        r"@y_t = h_t",
        r"h_t = (1 - z_t) \odot n_t + z_t \odot h_{BEFORE}",
        r"r_t = \sigma(p_t^r + q_t^r) \text{, } z_t = \sigma(p_t^z + q_t^z) \text{, } "
        r"n_t = \tanh(p_t^n + r_t \odot q_t^n)",
        r"p_t = (p_t^r, p_t^z, p_t^n) = @W \, @x_t⟦ + @a⟧",
        r"q_t = (q_t^r, q_t^z, q_t^n) = @V \, h_{BEFORE}⟦ + @b⟧",
        r"h_{FIRST} = @h",
        _padded(step, r"h_t = h_{BEFORE}"),
    )
    return _in_time(step, text)


def _gru_back(step: Step, main: str) -> str:
    rows = lines(
        main,
        r"\bar{p}_t = (\bar{p}_t^r, \bar{p}_t^z, \bar{p}_t^n) \text{, } "
        r"\bar{q}_t = (\bar{p}_t^r, \bar{p}_t^z, \bar{p}_t^n r_t)",
        r"\bar{p}_t^n = \bar{h}_t (1 - z_t) (1 - n_t^2)",
        r"\bar{p}_t^z = \bar{h}_t (h_{BEFORE} - n_t) z_t (1 - z_t)",
        r"\bar{p}_t^r = \bar{p}_t^n q_t^n r_t (1 - r_t)",
        r"\bar{h}_t = @g_t + @V^\top \bar{q}_{AFTER} + \bar{h}_{AFTER} z_{AFTER}",
        r"\bar{q}_{END} = 0 \text{, } \bar{h}_{END} = 0 \text{, } @g_{FIRST} = 0 "
        r"\text{; the rest as in } @y",
        _padded(step, r"\bar{p}_t = \bar{q}_t = 0 \text{ and } z_t = 1"),
    )
    return _in_time(step, rows)


def _weights(p: str, q: str) -> dict[str, str]:
    """The gradients of what every step uses, from those of its two sums."""
    return {
        "x": rf"\bar{{@x}}_t = @W^\top \bar{{{p}}}_t",
        "h": r"\bar{@h} = \bar{h}_{FIRST}",
        "W": rf"\bar{{@W}} = \sum_{{b, t}} \bar{{{p}}}_t \, @x_t^\top",
        "V": rf"\bar{{@V}} = \sum_{{b, t}} \bar{{{q}}}_t \, h_{{BEFORE}}^\top",
        "a": rf"\bar{{@a}} = \sum_{{b, t}} \bar{{{p}}}_t",
        "b": rf"\bar{{@b}} = \sum_{{b, t}} \bar{{{q}}}_t",
    }


def _led(
    backs: Callable[[Step, str], str], letters: Text, mains: Mapping[str, str]
) -> dict[str, Text]:
    """The lines of all inputs, of which the first says what the others refer to."""

    def line(letter: str) -> Text:
        def text(step: Step) -> str:
            lead = next(i for i, gradient in enumerate(step.handed) if gradient is not None)
            if told(letters, step)[lead] == letter:
                return backs(step, mains[letter])
            return _in_time(step, lines(mains[letter], r"\text{the rest as above}"))

        return text

    return {letter: line(letter) for letter in mains}


_LSTM = {
    **_weights("a", "a"),
    "c": r"\bar{@c} = \bar{c}_{START} f_{START}",
    "R": r"\bar{@R} = \sum_{b, t} \bar{h}_t \, m_t^\top",
}

FORMULAS: dict[str, Structured] = {
    "rnn": Structured("xhWVab", _rnn, _led(_rnn_back, "xhWVab", _weights("a", "a"))),
    "lstm": Structured(_lstm_letters, _lstm, _led(_lstm_back, _lstm_letters, _LSTM)),
    "gru": Structured("xhWVab", _gru, _led(_gru_back, "xhWVab", _weights("p", "q"))),
}
