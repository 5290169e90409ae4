"""An explanation as one HTML page: the graph, whose modules open at a click; the derivation; and
the replay, forward and then backward, with a slider. It needs nothing from anywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from tinynet.explanation.chain import ENTRIES, Link, bar, numbers, total
from tinynet.explanation.drawing import shown, svg
from tinynet.explanation.folding import Unit
from tinynet.explanation.formulas.template import WHERE
from tinynet.explanation.graph import Graph, Step, in_words
from tinynet.explanation.mathml import mathml

MOST = 6  # steps of a module whose formulas are shown without a click

_STYLE = """
:root { color-scheme: light dark }
body { margin: 0.5em; font: 15px/1.45 system-ui, sans-serif; background: Canvas; color: CanvasText }
nav button { font: inherit; padding: 0.25em 0.9em; border: 1px solid #8a8a8a; border-radius: 5px;
  background: transparent; color: inherit; cursor: pointer }
nav button[aria-pressed=true] { background: #2b7bab; border-color: #2b7bab; color: white }
section { display: none; margin-top: 0.8em } section.open { display: block }
.line, .view, #picture { overflow-x: auto }
.line { overflow-y: hidden; padding: 0.1em 0; scrollbar-width: thin }
.view { display: none } .view.open { display: block }
#picture { overflow-y: auto; max-height: 34em }
#graph .opens { cursor: pointer } #graph .opens:hover rect { stroke-width: 3 }
.crumbs a { color: #2b7bab; cursor: pointer }
ol { padding-left: 2.2em } li { margin: 0.15em 0 } .note { opacity: 0.75; font-size: 92% }
.shape { white-space: nowrap } .where { margin-left: 1em } summary { cursor: pointer }
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
  centre(all('.view.open g').pop());
  centre(document.querySelector('.now'));
  all('nav button').forEach(b => b.setAttribute('aria-pressed', b.dataset.tab === name));
}
function fit() {  // in a notebook, which may show the page later
  const high = document.body.offsetHeight;
  if (window.frameElement && high) frameElement.style.height = Math.min(high + 20, 900) + 'px';
}
function open(path) {
  all('.view').forEach(v => v.classList.toggle('open', v.dataset.path === path));
  const parts = path && path !== '*' ? path.split('.') : [];
  const crumbs = document.querySelector('.crumbs');
  crumbs.textContent = '';
  if (all('.view').length > 1) ['*', '', ...parts].forEach((part, i) => {
    const here = i ? parts.slice(0, i - 1).join('.') : '*';
    if (!document.querySelector(`.view[data-path="${here}"]`)) return;
    if (crumbs.firstChild) crumbs.append(i === 1 ? ' · ' : ' › ');
    const a = document.createElement(here === path ? 'b' : 'a');
    a.textContent = ['all steps', 'modules'][i] ?? here;
    press(a, () => open(here));
    crumbs.append(a);
  });
  centre(all('.view.open g').pop());
}
function replay(at) {
  const n = frames.length / 2;
  all('#replay g[data-unit]').forEach(g => {
    const k = +g.dataset.unit;
    const seen = at >= n || k <= at, now = k === (at < n ? at : 2 * n - 1 - at);
    g.classList.toggle('later', !seen);
    g.classList.toggle('now', now);
    g.classList.toggle('back', at >= n && k >= 2 * n - 1 - at);
  });
  document.getElementById('said').innerHTML = frames[at];
  centre(document.querySelector('.now'));
}
all('nav button').forEach(b => b.onclick = () => tab(b.dataset.tab));
document.getElementById('picture').innerHTML = document.querySelector('.view').innerHTML;
all('#graph .opens').forEach(g => press(g, () => open(g.dataset.path)));
const slider = document.querySelector('input[type=range]');
slider.oninput = () => replay(+slider.value);
tab('graph'); open(document.querySelector('.view').dataset.path); replay(0);
const whole = document.querySelector('.view.open');  // too wide for a narrow page: its modules
if (whole.scrollWidth > 1.4 * whole.clientWidth && document.querySelector('.view[data-path=""]'))
  open('');
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
    frames = _frames(graph, steps)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(graph.loss.name)}, explained</title><style>{_STYLE}</style></head><body>
<nav><button data-tab="graph">Graph</button> <button data-tab="derivation">Derivation</button>
<button data-tab="replay">Replay</button></nav>
<section id="graph"><p class="crumbs"></p>{_views(graph)}</section>
<section id="derivation">{_derivation(graph, steps)}</section>
<section id="replay">
<input type="range" min="0" max="{len(frames) - 1}" value="0" aria-label="step">
<div id="said"></div><div id="picture"></div></section>
<script>const frames = {_json(frames)};{_SCRIPT}</script></body></html>
"""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")


def _views(graph: Graph) -> str:
    """The picture; the modules, where it shows their steps; and the inside of each module for the
    click that opens it.
    """
    whole = all(unit.path is None for unit in shown(graph, None).units)
    found = [("*", svg(graph))] if whole else []
    waiting = [""]
    for path in waiting:  # which grows
        inner = [u.path for u in shown(graph, path).units if u.path]
        if path or inner:
            found.append((path, svg(graph, path)))
        waiting += [p for p in inner if p not in waiting]
    return "\n".join(
        f'<div class="view" data-path="{escape(path)}">{picture}</div>' for path, picture in found
    )


# -- the derivation --------------------------------------------------------------------------------


def _derivation(graph: Graph, steps: list[Link]) -> str:
    links = {id(link.step): link for link in steps}
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
    """An equation, its numbers, what is said, and what it refers to: formulas of their own, so that
    a narrow page can put them below each other.
    """
    main, *rest = formula.split(WHERE, 1)
    few = numbers(values)
    parts = [mathml(main), *([mathml(f"= {few}")] if few else [])]
    parts += [f'<span class="note shape">{in_words(shape)}</span>'] if shape and not notes else []
    parts += [f'<span class="note">{escape(note)}</span>' for note in notes]
    parts += [f'<span class="where">{mathml(text)}</span>' for text in rest]
    return f'<div class="line">{" ".join(parts)}</div>'


def _made(link: Link) -> str:
    """What a step computed."""
    y = link.step.output
    return _line(link.forward, y.array, y.shape)


def _back(link: Link) -> list[str]:
    """What a step hands back, a line for each of its inputs."""
    lines = [_line(link.gathered)] if link.gathered else []
    return lines + [_line(x.formula, x.gradient, x.into.shape, x.notes) for x in link.lines]


# -- the replay ------------------------------------------------------------------------------------


def _frames(graph: Graph, steps: list[Link]) -> list[str]:
    """What is said at each place of the slider: a unit of the picture forward, then backward."""
    links = {id(link.step): link for link in steps}
    units = shown(graph, None).units
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
        head += f" through {escape(unit.path)}"
    if len(unit.steps) > MOST:
        return f"{head}: {len(unit.steps)} steps, which are in the derivation"
    return head + "".join(lines)
