"""The browsers that the tests drive: where they are. testbed/tools.py installs those that are missing."""

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

# Chromium without windows: the page's tests need a third less CPU time with it.
CHROMIUM_HEADLESS_NAME = "chromium-headless-shell"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
FIREFOX_NAMES = ("firefox-esr", "firefox")

ADVICE = """\
The tests of the page need Chromium. One of these commands installs it:
  sudo apt-get install chromium
  .venv/bin/python -m playwright install --with-deps chromium
Or set CHROMIUM to the path of one."""

# The browser that WebKitGTK's WebDriver starts. Debian has it beside the library, in a folder named for the machine.
WEBKIT_BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"), Path("MiniBrowser"))


def find_chromium(*, windows: bool = False) -> str | None:
    """Return the path of Chromium: that of $CHROMIUM, or one on the PATH, or Playwright's own.

    With `windows`, of one that can open windows.
    """
    if path := os.environ.get("CHROMIUM"):
        return path if Path(path).exists() else None
    if path := _on_path(CHROMIUM_NAMES if windows else (CHROMIUM_HEADLESS_NAME, *CHROMIUM_NAMES)):
        return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def find_firefox() -> str | None:
    """Return the path of Firefox."""
    return _on_path(FIREFOX_NAMES)


def find_webkit_driver() -> str | None:
    """Return the path of WebKitGTK's WebDriver, if its browser is installed too."""
    return shutil.which("WebKitWebDriver") if WEBKIT_BROWSER.is_absolute() else None


def _on_path(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)
