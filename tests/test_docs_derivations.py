"""The page of the proofs: its cells show what the text says, and its map leaves no proof out."""

from __future__ import annotations

import re
import sys
from typing import Any

import pages
import pytest

sys.path.insert(0, str(pages.DOCS / "_ext"))
import proof_map

from tinynet import derivations

TEXT = (pages.DOCS / "derivations.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ran() -> tuple[dict[str, str], dict[str, Any]]:
    """What the cells below each heading print, and the names that they define."""
    return pages.run(TEXT)


def test_the_map_has_every_proof_once() -> None:
    assert sorted(proof_map.names(TEXT)) == sorted(derivations.__all__)


@pytest.mark.parametrize("name", derivations.__all__)
def test_each_has_its_file_its_first_sentence_and_its_formula(name: str) -> None:
    shown = proof_map.item(name)
    assert (proof_map.ROOT / "tinynet" / "derivations" / f"{name}.py").is_file()
    assert f"`{name} <../tinynet/derivations/{name}.py>`" in shown
    module = getattr(derivations, name)
    assert " ".join(module.__doc__.split()).startswith(proof_map.sentence(module) + ".")
    if name != "sequence":  # says how steps are ordered, and has no formula
        assert re.search(r"\.\\\n  (\$[^$]+\$|`[^`\n]+`(, `[^`\n]+`)*)$", shown)
    if hasattr(module, "op"):
        assert module.op.formula in shown


def test_formulas_of_what_is_no_op() -> None:
    assert proof_map.formula(derivations.sgd) == "`w ← w − η g`"
    assert proof_map.formula(derivations.lookup).startswith("`Y = E W`, `y_k = W_(i_k)`, `W̄ = ")


def test_the_map_is_filled_in() -> None:
    page = proof_map.markdown(TEXT)
    assert "<!--" not in page
    assert page.count("\n- **{download}") == len(derivations.__all__)


def test_four_numbers_by_differences_and_by_the_proof(ran: Any) -> None:
    """x = (1, 1, 3, 3) has m = 2 and v = 1; a first entry raised by 1 moves y by (½, −½, 0, 0)."""
    printed = ran[0]
    assert "before   [-1. -1.  1.  1.]" in printed["four-numbers"]
    assert "after    [-0.948 -1.051  0.999  0.999]" in printed["four-numbers"]
    assert "per unit [ 0.5 -0.5  0.   0. ]" in printed["four-numbers"]
    assert printed["the-derivation"] == "[[ 0.5 -0.5  0.   0. ]]\n"


def test_what_the_definition_does_to_a_row_is_shown(ran: Any) -> None:
    shown = ran[0]["one-proof-from-end-to-end"]
    assert shown.startswith("def x_hat(x")
    assert "    c = x - mean(x, axis)\n    return c / np.sqrt(" in shown


def test_the_proof_is_right_and_the_mistake_is_found(ran: Any) -> None:
    right, wrong = ran[0]["the-check"], ran[0]["what-people-forget"]
    assert right.count("agree within 1e-14: True\n") == 2
    assert "\npass: The gradient of x, gamma is right: " in right
    assert re.match(
        r"wrong: The means \(line 6 .+\) are treated as constants.+ Right: gamma.", wrong
    )
