"""Debian packages: installs what the tests and the benchmark need beside Python, where that is allowed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Packages ask this program before they start a service; 101 forbids it (/usr/share/doc/init-system-helpers).
POLICY = Path("/usr/sbin/policy-rc.d")


def refusal() -> str:
    """Return why nothing can be installed here; empty if it can."""
    if os.environ.get("INSTALL") == "no":
        return "INSTALL=no forbids it"
    if os.geteuid() != 0:
        return "only root can install packages"
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    return ""


@contextmanager
def no_service_started() -> Iterator[None]:
    """Keep packages from starting services."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install(packages: Sequence[str]) -> None:
    """Install packages, without asking, as root on Debian; do nothing elsewhere, or if `INSTALL=no` is set.

    It prints what it installs. It does not fail: the caller checks what is there, and says what to do.
    """
    if not packages or refusal():
        return
    print(f"Installing with apt-get: {' '.join(packages)} (INSTALL=no forbids this)", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with no_service_started():
        for step in (["apt-get", "update", "-qq"], command):
            subprocess.run(step, env=environment, stdout=subprocess.DEVNULL, check=False)
