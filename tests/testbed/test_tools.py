"""Which programs the suites need, and what is printed if they are missing."""

import re
import sys

import pytest

from testbed import debian, tools
from testbed.processes import ROOT
from testbed.tools import SUITES, TOOLS, Tool, missing


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the programs on a machine that has none at first; `debian.install` installs by package."""
    names: set[str] = set()
    fakes = tuple(tool._replace(is_there=lambda name=tool.name: name in names) for tool in TOOLS)  # type: ignore[misc]

    def install(packages: list[str]) -> None:
        names.update(tool.name for tool in fakes if not debian.refusal() and {*tool.packages} <= {*packages})

    monkeypatch.setattr(tools, "TOOLS", fakes)
    monkeypatch.setattr(debian, "install", install)
    monkeypatch.setattr(sys, "argv", ["tools", "test"])
    return names


def needed_by(suite: str) -> set[str]:
    """Return the names of the programs that a suite needs."""
    return {tool.name for tool in TOOLS if suite in tool.suites}


def test_what_is_missing_is_installed(installed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the suite needs, and nothing else."""
    monkeypatch.setattr(debian, "refusal", lambda: "")
    tools.main()
    assert installed == needed_by("test")


def test_what_stays_missing_stops_the_suite(installed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 1, and the message names the programs, the reason and the command that installs them."""
    monkeypatch.setattr(debian, "refusal", lambda: "only root can install packages")
    installed |= needed_by("test") - {"Xvfb"}
    with pytest.raises(SystemExit) as stopped:
        tools.main()
    assert stopped.value.code == (
        "make test cannot run without Xvfb.\n"
        "Nothing was installed: only root can install packages.\n"
        "On Debian: sudo apt-get install xvfb"
    )


def test_only_what_a_suite_needs_is_asked_for(installed: set[str]) -> None:
    """The browsers, say, are no part of the fault suite."""
    assert {tool.name for tool in missing(["faults"])} == needed_by("faults")
    assert "Chromium" not in needed_by("faults")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_each_tool_is_of_a_suite(tool: Tool) -> None:
    """And names a Debian package."""
    assert tool.packages
    assert tool.suites
    assert tool.suites <= {*SUITES}


def test_the_makefile_asks_for_the_tools_of_each_suite() -> None:
    """Each suite has a target that asks before it runs."""
    makefile = (ROOT / "Makefile").read_text()
    assert {*re.findall(r"^(\w+): .*tools-\1\b", makefile, re.MULTILINE)} >= {"test", "soak", "faults"}
