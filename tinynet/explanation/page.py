"""An explanation as one HTML page: the graph, whose modules open at a click; the derivation; and
the replay, forward and then backward, with a slider. It needs nothing from anywhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from tinynet.explanation.chain import ENTRIES, Link, bar, numbers, total
from tinynet.explanation.drawing import shown, svg
from tinynet.explanation.folding import Unit
from tinynet.explanation.formulas.template import WHERE
from tinynet.explanation.graph import Graph, Step, in_words
from tinynet.explanation.mathml import mathml, plain

MOST = 6  # steps of a module whose formulas are shown without a click

_STYLE = """
:root { color-scheme: light dark }
body { display: flow-root; margin: 0.5em; font: 15px/1.45 system-ui, sans-serif;
  overflow-wrap: anywhere; background: Canvas; color: CanvasText }
nav { display: flex; flex-wrap: wrap; gap: 0.3em }
nav button { font: inherit; padding: 0.25em 0.9em; border: 1px solid #8a8a8a; border-radius: 5px;
  background: transparent; color: inherit; cursor: pointer }
nav button[aria-pressed=true] { background: #2b7bab; border-color: #2b7bab; color: white }
section { display: none; margin-top: 0.8em } section.open { display: block }
.line, .view, #picture { overflow-x: auto; background:  /* a shadow where more is to be seen */
  linear-gradient(to right, Canvas 40%, transparent) 0 0 / 3em calc(100% + 2px) no-repeat local,
  linear-gradient(to left, Canvas 40%, transparent) 100% 0 / 3em calc(100% + 2px) no-repeat local,
  linear-gradient(to right, #8a8a8a, transparent) 0 0 / 1em 100% no-repeat scroll,
  linear-gradient(to left, #8a8a8a, transparent) 100% 0 / 1em 100% no-repeat scroll }
.line { overflow-y: hidden; padding: 0.2em 0 0.4em 1.2em; text-indent: -1.2em;
  scrollbar-width: thin }
math { font-family: math, "DejaVu Math TeX Gyre"; text-indent: 0; white-space: nowrap;
  margin: 0.15em 0 }
.view { display: none } .view.open { display: block }
#picture { overflow-y: auto; max-height: 34em }
.opens { cursor: pointer } .opens:hover rect { stroke-width: 3 }
.crumbs a { color: #2b7bab; color: light-dark(#2b7bab, #56b4e9); cursor: pointer }
ol { padding-left: 2.2em } li { margin: 0.15em 0 } .note { opacity: 0.75; font-size: 92% }
.shape { white-space: nowrap } summary { cursor: pointer }
.where { display: inline-block; margin-left: 1.2em; text-indent: 0 }
input[type=range] { width: min(34em, 95%) } #said { min-height: 5.2em; margin: 0.4em 0 }
.later rect { fill: none; opacity: 0.4 } .later text { fill: CanvasText; opacity: 0.55 }
.now rect { stroke-width: 4 } .back rect { stroke: #b34a00 }
"""

_SCRIPT = """
const all = (q, e = document) => [...e.querySelectorAll(q)];
function centre(g) {  // in a picture that is larger than its frame
  if (!g) return;
  const frame = g.closest('.view, #picture'), box = g.getBoundingClientRect();
  const around = frame.getBoundingClientRect();
  frame.scrollLeft += box.x + box.width / 2 - around.x - around.width / 2;
  frame.scrollTop += box.y + box.height / 2 - around.y - around.height / 2;
}
function press(e, f) {  // by a click or by the Enter key
  e.tabIndex = 0;
  e.onclick = f;
  e.onkeydown = event => event.key === 'Enter' && f();
}
function tab(name) {
  all('section').forEach(s => s.classList.toggle('open', s.id === name));
  crumbs.hidden = name === 'derivation';
  centre(all('.view.open g').pop());
  centre(document.querySelector('.now'));
  all('nav button').forEach(b => b.setAttribute('aria-pressed', b.dataset.tab === name));
}
function fit() {  // in a notebook, which may show the page later
  const high = document.body.offsetHeight;
  if (window.frameElement && high) frameElement.style.height = Math.min(high + 20, 900) + 'px';
}
function open(path) {  // the inside of a module, in the graph and in the replay
  const back = slider.value > slider.max / 2;
  all('.view').forEach(v => v.classList.toggle('open', v.dataset.path === path));
  picture.innerHTML = document.querySelector('.view.open').innerHTML;
  all('.opens').forEach(g => press(g, () => open(g.dataset.path)));
  const parts = path && path !== '*' ? path.split('.') : [];
  crumbs.textContent = '';
  if (all('.view').length > 1) ['*', '', ...parts].forEach((part, i) => {
    const here = i ? parts.slice(0, i - 1).join('.') : '*';
    if (!frames[here]) return;
    if (crumbs.firstChild) crumbs.append(i === 1 ? ' · ' : ' › ');
    const a = document.createElement(here === path ? 'b' : 'a');
    a.textContent = ['all steps', 'modules'][i] ?? here;
    press(a, () => open(here));
    crumbs.append(a);
  });
  if (picture.querySelector('.opens')) crumbs.append(' (a click on a module opens it)');
  slider.max = frames[path].length - 1;
  slider.value = back ? frames[path].length / 2 : 0;
  replay();
  centre(all('.view.open g').pop());
}
function replay() {
  const path = document.querySelector('.view.open').dataset.path, at = +slider.value;
  const n = frames[path].length / 2;
  all('[data-unit]', picture).forEach(g => {
    const k = +g.dataset.unit;
    const seen = at >= n || k <= at, now = k === (at < n ? at : 2 * n - 1 - at);
    g.classList.toggle('later', !seen);
    g.classList.toggle('now', now);
    g.classList.toggle('back', at >= n && k >= 2 * n - 1 - at);
  });
  document.getElementById('said').innerHTML = frames[path][at];
  centre(document.querySelector('.now'));
}
const crumbs = document.querySelector('.crumbs'), picture = document.getElementById('picture');
const slider = document.querySelector('input');
all('nav button').forEach(b => b.onclick = () => tab(b.dataset.tab));
slider.oninput = replay;
tab('graph'); open(document.querySelector('.view').dataset.path);
const whole = document.querySelector('.view.open');  // too wide for a narrow page: its modules
if (whole.scrollWidth > 1.4 * whole.clientWidth && frames['']) open('');
new ResizeObserver(fit).observe(document.body);
function tone() {  // dark where the text around the page is light, whatever the system prefers
  const [r, g, b] = getComputedStyle(frameElement).color.match(/[0-9.]+/g);
  document.documentElement.style.colorScheme = +r + +g + +b > 380 ? 'dark' : 'light';
}
if (window.frameElement) {
  tone();
  const around = parent.document;
  for (const e of [around.documentElement, around.body])
    new parent.MutationObserver(tone).observe(e, {attributes: true});
}
"""


def page(graph: Graph, steps: list[Link]) -> str:
    """The whole page."""
    links = {id(link.step): link for link in steps}
    pictures, frames = [], {}
    for name, path in _paths(graph).items():
        picture = svg(graph, path)
        pictures.append(f'<div class="view" data-path="{escape(name)}">{picture}</div>')
        frames[name] = _frames(shown(graph, path).units, links)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(graph.loss.name)}, explained</title><style>{_STYLE}</style></head><body>
<nav><button data-tab="graph">Graph</button> <button data-tab="derivation">Derivation</button>
<button data-tab="replay">Replay</button></nav>
<p class="crumbs"></p>
<section id="graph">{"".join(pictures)}</section>
<section id="derivation">{_derivation(graph, links)}</section>
<section id="replay">
<input type="range" min="0" value="0" aria-label="step">
<div id="said"></div><div id="picture"></div></section>
<script>const frames = {_json(frames)};{_SCRIPT}</script></body></html>
"""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")


def _paths(graph: Graph) -> dict[str, str | None]:
    """What the page shows, by its name in the page: all steps; the modules, where there are some;
    and the inside of each module for the click that opens it.
    """
    whole = all(unit.path is None for unit in shown(graph, None).units)
    found: dict[str, str | None] = {"*": None} if whole else {}
    waiting = [""]
    for path in waiting:  # which grows
        inner = [u.path for u in shown(graph, path).units if u.path]
        if path or inner:
            found[path] = path
        waiting += [p for p in inner if p not in waiting]
    return found


# -- the derivation --------------------------------------------------------------------------------


def _derivation(graph: Graph, links: dict[int, Link]) -> str:
    parts = [part for unit in shown(graph, None).units for part in _parts(unit, graph)]
    forward = [_listed(title, [_made(links[id(s)]) for s in inside]) for title, inside in parts]
    backward = [_listed("", [_line(bar(graph.loss) + " = 1")])]
    for title, inside in reversed(parts):
        lines = [line for step in reversed(inside) for line in _back(links[id(step)])]
        backward.append(_listed(title, lines))
    ends = [
        f"<li>{_line(total(graph, leaf), leaf.grad, leaf.shape)}</li>"
        for leaf in graph.leaves
        if leaf.grad is not None
    ]
    return (
        f'<p class="note">{ENTRIES}</p>'
        f"<h3>Forward</h3><ol>{''.join(forward)}</ol>"
        f"<h3>Backward</h3><ol>{''.join(backward)}</ol>"
        f"<h3>Gradients</h3><ul>{''.join(ends)}</ul>"
    )


def _parts(unit: Unit, graph: Graph) -> Iterator[tuple[str, list[Step]]]:
    """The steps of a unit, for each of its equal layers; a large one has a title."""
    each = len(unit.steps) // unit.count
    for first in range(0, len(unit.steps), each):
        steps = unit.steps[first : first + each]
        title = ""
        if unit.path is not None and each > MOST:
            path = ".".join(steps[0].module.split(".")[: unit.path.count(".") + 1])
            title = f"{graph.modules[path]} {path}: {each} steps"
        yield title, steps


def _listed(title: str, lines: list[str]) -> str:
    """Lines of a list; under a title that opens at a click, if there is one."""
    items = "".join(f"<li>{line}</li>" for line in lines)
    if not title:
        return items
    return f"<li><details><summary>{escape(title)}</summary><ol>{items}</ol></details></li>"


def _line(formula: str, values: Any = None, shape: Any = (), notes: Iterable[str] = ()) -> str:
    """An equation, its numbers, what is said, and what it refers to, in pieces that a narrow page
    can put below each other.
    """
    main, *rest = formula.split(WHERE, 1)
    few = numbers(values)
    entries = re.split(r"(?<=,\\,) ", "{} = " + few) if few else []  # (1, | 2, | 3)
    parts = ["<wbr>".join([_pieces(main), *map(mathml, entries)])]
    parts += [f'<span class="note shape">{in_words(shape)}</span>'] if shape and not notes else []
    parts += [f'<span class="note">{escape(note)}</span>' for note in notes]
    for text in rest:
        rows = text.removeprefix(r"\begin{aligned} & ").removesuffix(r" \end{aligned}")
        found = [f'<span class="where">{_pieces(row)}</span>' for row in rows.split(r" \\ & ")]
        parts += found if len(found) == 1 else [f"<div>{row}</div>" for row in found]
    return f'<div class="line">{" ".join(parts)}</div>'


_PLACES = re.compile(  # words, and signs before which a line may end; brackets and braces
    r"\\(?:text|mathrm|operatorname)\{(?:[^{}\\]|\\.)*\}| (?:=|\+|-|\\cdot(?! 10\^)) |(?<=,) \\; "
    r"|\\[{}]|\\(?:left|right|begin|end)\b|[][(){}]"
)


def _pieces(latex: str) -> str:
    """A formula that a line may break: within its words, before the signs between its terms, and
    between the members of a tuple.
    """
    parts, start, braces, brackets = [], 0, 0, 0
    for match in _PLACES.finditer(latex):
        token, before = match[0], latex[start : match.start()]
        braces += (token in ("{", r"\left", r"\begin")) - (token in ("}", r"\right", r"\end"))
        brackets += (token in ("(", "[", r"\{")) - (token in (")", "]", r"\}"))
        if braces or (brackets and token != r" \; "):
            continue
        if token.startswith(r"\text"):
            mark = token[6] if token[6] in ",;:" and before else ""  # which begins no line
            parts += [_math(before + rf"\text{{{mark}}}" * bool(mark))]
            parts += [escape(plain(token[6 + len(mark) : -1]))]
            start = match.end()
        elif token[0] == " ":
            parts += [_math(before), "<wbr>"]
            start = match.start()
    return "".join([*parts, _math(latex[start:])])


def _math(latex: str) -> str:
    """A piece of a formula; one that begins with a sign is read as if something stood before it."""
    latex = latex.strip()
    return mathml(("{} " if latex[0] in "=+-" else "") + latex) if latex else ""


def _made(link: Link) -> str:
    """What a step computed."""
    y = link.step.output
    return _line(link.forward, y.array, y.shape)


def _back(link: Link) -> list[str]:
    """What a step hands back, a line for each of its inputs."""
    lines = [_line(link.gathered)] if link.gathered else []
    return lines + [_line(x.formula, x.gradient, x.into.shape, x.notes) for x in link.lines]


# -- the replay ------------------------------------------------------------------------------------


def _frames(units: list[Unit], links: dict[int, Link]) -> list[str]:
    """What is said at each place of the slider: a unit of the picture forward, then backward."""
    there = [
        _told(f"Forward, {i} of {len(units)}", unit, [_made(links[id(s)]) for s in unit.steps])
        for i, unit in enumerate(units, 1)
    ]
    back = [
        _told(
            f"Backward, {i} of {len(units)}",
            unit,
            [line for s in unit.steps[::-1] for line in _back(links[id(s)])],
        )
        for i, unit in enumerate(reversed(units), 1)
    ]
    return there + back


def _told(place: str, unit: Unit, lines: list[str]) -> str:
    head = f"<b>{place}</b>"
    if unit.path is not None:
        head += f" through {escape(unit.path)}" + (f" ×{unit.count}" if unit.count > 1 else "")
    if len(unit.steps) > MOST:
        first = "the first one" if unit.count > 1 else "it"
        return f"{head}: {len(unit.steps)} steps. A click on the box steps into {first}."
    return head + "".join(lines)
