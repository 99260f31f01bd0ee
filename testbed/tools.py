"""What the fault suite needs beside Python, and how it comes to be there.

python -m testbed.tools
"""

import shutil
import sys

from testbed.debian import install
from testbed.faults.wall_clock import find_libfaketime


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


def main() -> None:
    """Have all of it here, or say what to type."""
    install(missing())
    if packages := missing():
        sys.exit(f"The fault suite needs more than there is: sudo apt-get install {' '.join(packages)}")


if __name__ == "__main__":
    main()
