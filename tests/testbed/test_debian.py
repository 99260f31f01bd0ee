"""When Debian packages are installed, and what is printed before."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed import debian


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that root on a Debian machine would run."""
    run: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: run.append(command))
    monkeypatch.setattr(debian, "POLICY", Path("/"))  # it exists, so nothing is written
    monkeypatch.delenv("INSTALL", raising=False)
    return run


def test_root_installs_and_says_what(commands: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """The packages are printed before they are installed, with the way to forbid it."""
    debian.install(["one", "two"])
    assert [command[1] for command in commands] == ["update", "install"]
    assert commands[1][-2:] == ["one", "two"]
    assert capsys.readouterr().err == "Installing with apt-get: one two (INSTALL=no forbids this)\n"


def test_nothing_is_installed_without_a_need(commands: list[list[str]]) -> None:
    """No package, no command."""
    debian.install([])
    assert commands == []


def test_a_flag_forbids_it(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test INSTALL=no` installs nothing."""
    monkeypatch.setenv("INSTALL", "no")
    debian.install(["one"])
    assert commands == []
    assert debian.refusal() == "INSTALL=no forbids it"


def test_others_than_root_install_nothing(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no call of sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    debian.install(["one"])
    assert commands == []
    assert debian.refusal() == "only root can install packages"


def test_other_systems_install_nothing(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without apt-get there is nothing to call."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    debian.install(["one"])
    assert commands == []
    assert debian.refusal() == "there is no apt-get"
