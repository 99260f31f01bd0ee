"""What the fault suite needs beside Python, and how it comes to be there.

python -m tests.faults.tools
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.walltime import find_libfaketime

# Asked by Debian's packages before they start a service; 101 means no (/usr/share/doc/init-system-helpers).
POLICY = Path("/usr/sbin/policy-rc.d")


def missing() -> list[str]:
    """Return Debian's packages of what is not there."""
    packages = []
    if find_libfaketime() is None:
        packages.append("libfaketime")
    if shutil.which("haproxy") is None:
        packages.append("haproxy")
    if shutil.which("cc") is None:
        packages += ["gcc", "libc6-dev"]
    return packages


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
    """Install Debian's packages."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with no_service_started():
        for step in (["apt-get", "update", "-qq"], command):
            subprocess.run(step, env=environment, stdout=subprocess.DEVNULL, check=False)


def main() -> None:
    """Have all of it here, or say what to type."""
    packages = missing()
    if packages and shutil.which("apt-get") and os.geteuid() == 0:
        print(f"installing {' '.join(packages)}", file=sys.stderr)
        install(packages)
        packages = missing()
    if packages:
        sys.exit(f"The fault suite needs more than there is: sudo apt-get install {' '.join(packages)}")


if __name__ == "__main__":
    main()
