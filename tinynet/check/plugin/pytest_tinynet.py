"""What pytest loads at every start: it imports nothing, not even tinynet, until it is used.

    pytest --gradcheck FILE_OR_FOLDER   every pair of forward and backward becomes a test; see
                                        `tinynet.check.pairs`
    gradcheck                           a fixture: gradcheck(forward, backward, *args)

and where an assertion about a `GradientReport` fails, the message is the report.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """--gradcheck."""
    parser.getgroup("tinynet", "gradients").addoption(
        "--gradcheck",
        action="store_true",
        default=False,
        help="check every pair of forward and backward that has example_args "
        "(imports the files that hold one)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The work is done elsewhere, and only if asked for."""
    if config.getoption("gradcheck"):
        config.pluginmanager.import_plugin("tinynet.check.pytest_plugin")


@pytest.fixture
def gradcheck() -> Callable[..., Any]:
    """gradcheck(forward, backward, *args) asserts that backward is the derivative of forward;
    gradcheck(f, *args) does so for a function of Tensors. The failure is the report.
    """
    from tinynet.check import check_backward, check_gradients

    def check(function: Callable[..., Any], *args: Any, wrt: Any = None) -> Any:
        __tracebackhide__ = True
        pair = bool(args) and callable(args[0])
        door: Any = check_backward if pair else check_gradients
        report = door(function, *args, wrt=wrt)
        if not report.ok:
            raise AssertionError(str(report))
        return report

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """A failed assertion about a GradientReport shows the whole of it."""
    if call.excinfo is not None and "tinynet.check.report" in sys.modules:
        error = call.excinfo.value
        if type(error) is AssertionError and not item.config.getoption("fulltrace", False):
            _tell(error, call.excinfo.traceback[-1].frame.f_locals)
    return (yield)


def _tell(error: AssertionError, names: dict[str, Any]) -> None:
    """Put the reports that the assertion saw into its message. Of what it computed on the way,
    pytest keeps the values under names with @.
    """
    from tinynet.check.report import GradientReport

    failed = {
        id(x): (name, x) for name, x in names.items() if isinstance(x, GradientReport) and not x.ok
    }
    computed = [x for name, x in failed.values() if name.startswith("@")]
    text = str(error)
    reports = [str(x) for x in computed or [x for _, x in failed.values()] if str(x) not in text]
    if not reports:
        return
    told, _, explanation = f"\n{text}".partition("\nassert ")
    seen = computed or "GradientReport(" in explanation or explanation.startswith("False")
    kept = told if seen else text
    error.args = ("\n".join([*filter(None, [kept.strip()]), *reports]),)
