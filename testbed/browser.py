"""Which Chromium the tests drive, and how it comes to be there.

python -m testbed.browser
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from testbed.debian import install

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


def missing() -> list[str]:
    """Return Debian's packages of what is not there. Xvfb is a display for the tests that need windows."""
    packages = []
    if find_chromium() is None:
        packages += ["chromium", "fonts-dejavu-core"]
    if shutil.which("Xvfb") is None:
        packages.append("xvfb")
    return packages


def main() -> None:
    """Have all of it here, or say what to type."""
    install(missing())
    if find_chromium() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if find_chromium() is None:
        sys.exit(ADVICE)
    if "xvfb" in missing():
        print("No Xvfb: the tests of hidden tabs are left out. On Debian: apt-get install xvfb", file=sys.stderr)


if __name__ == "__main__":
    main()
