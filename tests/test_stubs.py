"""What editors and mypy are told is what there is."""

from __future__ import annotations

import pytest
from stubs import STUBS


@pytest.mark.parametrize("path", STUBS, ids=lambda path: path.name)
def test_the_stub_is_up_to_date(path) -> None:
    assert path.read_text(encoding="utf-8") == STUBS[path](), "run: python tests/stubs.py"
