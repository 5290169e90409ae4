"""What a cell prints reaches the page as it was printed."""

from __future__ import annotations

import sys
from typing import Any

import pages
import pytest

sys.path.insert(0, str(pages.DOCS / "_ext"))
import as_typed


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def test_pieces_are_joined_where_they_were_cut() -> None:
    picture = {"output_type": "display_data"}
    pieces = [stream("9,0"), picture, stream("37"), stream("w", "stderr"), stream("\nnext\n\n")]
    assert as_typed.joined(pieces) == [
        stream("9,037\nnext\n"),
        picture,
        stream("w\n", "stderr"),
    ]


@pytest.mark.parametrize(
    ("text", "signs"), [(", so", ","), ("). With", ")."), (" so", ""), (": ", ":"), ("’s", "’")]
)
def test_signs_that_must_not_begin_a_line(text: str, signs: str) -> None:
    assert as_typed.split_closing(text) == (signs, text.removeprefix(signs))
