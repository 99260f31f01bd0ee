"""The last release, as an image: the other version in tests where two versions work together.

Its files come from the history, so it needs git, and a clone that has the commit. `missing()` says what is not there.
After a release, change the three constants.
"""

import os
import shutil
import subprocess
from typing import Final

from testbed.processes import ROOT

VERSION: Final = "1.1.0"
TAG: Final = "v1.1.0"
COMMIT: Final = "d66ae2b2e34190204e3579f3c65070b53db66411"

# It has the name of the git tag, because the image that is built from the working tree may have the plain version.
IMAGE: Final = f"tournament-clock:{TAG}"

_FIND: Final = ("git", "cat-file", "-e", f"{COMMIT}^{{commit}}")
_PACK: Final = ("git", "archive", COMMIT)
_BUILD: Final = ("docker", "build", "--quiet", "--tag", IMAGE, "-")


class ReleaseUnavailable(Exception):
    """The image of the last release cannot be built. The text says why, and what to do."""


def missing() -> str:
    """Return why the files of the release cannot be had here, and what to do; or nothing."""
    if not shutil.which("git"):
        return f"git is required, to build version {VERSION}"
    if subprocess.run(_FIND, cwd=ROOT, capture_output=True, check=False).returncode:
        return (
            f"this clone has no version {VERSION} (tag {TAG}, commit {COMMIT[:7]}) in its history. "
            "In a shallow clone: git fetch --unshallow --tags"
        )
    return ""


def build() -> str:
    """Build the image of the release with Docker, and return its name. A second time takes a second.

    Raises:
        ReleaseUnavailable: the files cannot be had, or Docker cannot build them.
    """
    if reason := missing():
        raise ReleaseUnavailable(reason)
    done = subprocess.run(
        _BUILD,
        input=subprocess.run(_PACK, cwd=ROOT, capture_output=True, check=True).stdout,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},  # older versions of Docker need it for the Dockerfile
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise ReleaseUnavailable(f"Docker cannot build version {VERSION}:\n{done.stderr.decode(errors='replace')}")
    return IMAGE
