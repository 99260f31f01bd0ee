"""Debian's packages: what the tests need beside Python comes from there, where it may be installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Asked by Debian's packages before they start a service; 101 means no (/usr/share/doc/init-system-helpers).
POLICY = Path("/usr/sbin/policy-rc.d")


@contextmanager
def no_service_started() -> Iterator[None]:
    """Have packages start nothing meanwhile."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install(packages: list[str]) -> None:
    """Install packages, without a question, as root on a Debian; elsewhere do nothing.

    Whether they are there then is for the caller to find out: it knows what to say.
    """
    if not packages or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"installing {' '.join(packages)}", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with no_service_started():
        for step in (["apt-get", "update", "-qq"], command):
            subprocess.run(step, env=environment, stdout=subprocess.DEVNULL, check=False)
