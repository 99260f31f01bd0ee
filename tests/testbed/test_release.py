"""The last release: a clone that cannot build it says so."""

import subprocess
from pathlib import Path

import pytest

from testbed import release
from testbed.processes import ROOT


def git(*arguments: str, folder: Path = ROOT) -> str:
    """Run git and return its output, or nothing if it fails."""
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False).stdout.strip()


def test_a_clone_without_the_history_says_so(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the version and the remedy, and nothing is built."""
    git("init", "shallow", folder=directory)
    monkeypatch.setattr(release, "ROOT", directory / "shallow")
    with pytest.raises(release.ReleaseUnavailable, match=r"no version .*\(tag v.*\) .* git fetch --unshallow --tags"):
        release.build()


def test_a_machine_without_git_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does a container without it."""
    monkeypatch.setenv("PATH", "")
    assert release.missing() == f"git is required, to build version {release.VERSION}"


def test_the_constants_agree() -> None:
    """The commit has the tag and the version. A clone may lack them: `make compose-test` says so."""
    if reason := release.missing():
        pytest.skip(reason)
    assert f'"{release.VERSION}"' in git("show", f"{release.COMMIT}:clock/__init__.py")
    assert git("rev-parse", "--verify", "--quiet", f"{release.TAG}^{{commit}}") in {release.COMMIT, ""}
