"""The reference: no name is left out, docstrings are shown as meant, pictures are right."""

from __future__ import annotations

import re
import sys

import numpy as np
import pages
import pytest

sys.path.insert(0, str(pages.DOCS / "_ext"))
import api_reference
import docstrings
import op_curves

import tinynet as tn
from tinynet.op import registry

PAGES = {path.stem: path.read_text("utf-8") for path in (pages.DOCS / "api").glob("*.md")}
SHOWN = [
    (room, name)
    for text in PAGES.values()
    for room, words in api_reference.MARK.findall(text)
    for name, _, others in api_reference.chosen(room, words.split())
    for name in (name, *others)
]
ROOMS = ["tinynet", "linalg", "func", "nn", "nn.functional", "nn.init", "nn.utils", "optim"]
ROOMS += ["optim.lr_scheduler", "data", "train", "metrics", "check", "plot", "explanation"]
ROOMS += ["models", "exercises", "kernels", "cuda", "bench"]
# Doors to what stands in another room.
ELSEWHERE = {
    ("tinynet", "exercise"),
    ("kernels", "get_num_threads"),
    ("kernels", "set_num_threads"),
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_its_place(room: str) -> None:
    shown = [name for of, name in SHOWN if of == room]
    assert len(shown) == len(set(shown)), "a name stands twice"
    missing = set(api_reference.public(room)) - set(shown)
    assert {(room, name) for name in missing} <= ELSEWHERE


def test_every_page_is_in_the_list() -> None:
    listed = PAGES["index"].split("../reference\n")[1].split("\n```")[0].split()
    assert sorted(listed) == sorted(set(PAGES) - {"index"})


def test_ops_of_one_line_are_on_the_page_of_the_ops() -> None:
    assert "exp" not in api_reference.public("tinynet")
    assert {"sum", "Tensor", "no_grad"} <= set(api_reference.public("tinynet"))
    assert "Any" not in api_reference.public("tinynet")


def test_what_a_class_shows() -> None:
    assert {"state_dict", "train", "zero_grad"} <= set(api_reference.members(tn.nn.Module))
    assert "reshape" not in api_reference.members(tn.Tensor)  # stands among the functions
    assert {"shape", "detach", "numpy"} <= set(api_reference.members(tn.Tensor))


def test_other_names_follow_the_own_one() -> None:
    text = api_reference.section("tinynet", ["ops.elementwise"])
    assert ".. autofunction:: tinynet.div\n\n   Also called ``divide``," in text


@pytest.mark.parametrize(
    ("docstring", "shown"),
    [
        (
            "x_{n,i} e^(−x) *a* in_proj W_i",
            r"x\ :sub:`n,i`\  e\ :sup:`−x`\  \*a\* in\_proj W\ :sub:`i`\ ",
        ),
        ("W_ih, not q_proj", r"W\ :sub:`ih`\ , not q\_proj"),
        ("`a*b`s and $\\sqrt d$", "``a*b``\\ s and \\ :math:`\\sqrt d`\\ "),
        ("    y = W x", ".. code-block:: text\n\n    y = W x"),
        (
            "eps   small,\n      positive\np     a chance",
            "``eps``\n    small, positive\n``p``\n    a chance",
        ),
        ("wrt: a position\n    or a name", "``wrt``\n    a position or a name"),
        ("Shapes: x (n,),\ny (n,).", "Shapes: x (n,),\ny (n,)."),
        (">>> f(x_i)\n*3*", ">>> f(x_i)\n*3*"),
    ],
)
def test_a_docstring_is_shown_as_meant(docstring: str, shown: str) -> None:
    assert docstrings.shown(docstring) == shown


# -- pictures --------------------------------------------------------------------------------------


def line(name: str, kind: str) -> list[np.ndarray]:
    """The pieces of a curve in the picture of an op, (points, 2)."""
    d = re.search(rf'class="{kind}" d="([^"]*)"', op_curves.picture(registry[name]))[1]
    return [
        np.array([point.split(",") for point in piece.split()], float) for piece in d.split("M")[1:]
    ]


def test_functions_of_one_number_have_a_picture() -> None:
    drawn = {name for name, op in registry.items() if op_curves.picture(op)}
    for name, op in registry.items():
        if op.room in op_curves.ROOMS and op.arity == 1 and op.differentiable:
            assert name in drawn
    assert {"relu", "gelu", "mse", "huber", "bce"} <= drawn
    assert not drawn & {"softmax", "matmul", "sum", "isnan"}


def test_a_picture_shows_function_and_slope() -> None:
    """tanh: from −1 to 1, slope at most 1, at the middle; the same scale for both."""
    (value,), (slope,) = line("tanh", "value"), line("tanh", "slope")
    u = value[:, 0] / op_curves.WIDTH * 8 - 4
    low, high = -1.12, 1.12  # a margin of 6 % of −1 … 1
    shown = high - value[:, 1] / op_curves.HEIGHT * (high - low)
    assert abs(shown - np.tanh(u)).max() < 0.03
    shown = high - slope[:, 1] / op_curves.HEIGHT * (high - low)
    assert abs(shown - (1 - np.tanh(u) ** 2)).max() < 0.05


def test_jumps_and_ends_are_not_joined() -> None:
    assert len(line("relu", "value")) == 1
    assert len(line("relu", "slope")) == 2
    assert len(line("floor", "value")) == 8
    assert len(line("reciprocal", "value")) == 2
    assert min(piece[:, 0].min() for piece in line("log", "value")) >= op_curves.WIDTH / 2
