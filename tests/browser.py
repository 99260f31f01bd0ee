"""Which Chromium the tests drive, and how it comes to be there.

python -m tests.browser
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ADVICE = """\
The browser tests need a Chromium, and there is none. One of these brings it:
  sudo apt-get install chromium
  .venv/bin/python -m playwright install --with-deps chromium
or set CHROMIUM to the path of one."""


def find_chromium() -> str | None:
    """Return the path of a Chromium: that of $CHROMIUM, one on the PATH, or Playwright's own."""
    if given := os.environ.get("CHROMIUM"):
        return given if Path(given).exists() else None
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def install_chromium() -> None:
    """Install one: Debian's if we may, else Playwright's own."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # Xvfb is for tests/headed.py, whose tests are left out without.
        install = [
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "chromium",
            "fonts-dejavu-core",
            "xvfb",
        ]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> None:
    """Have a Chromium here, or say what to type."""
    if find_chromium() is None:
        print("no Chromium here: installing one", file=sys.stderr)
        install_chromium()
        if find_chromium() is None:
            sys.exit(ADVICE)


if __name__ == "__main__":
    main()
