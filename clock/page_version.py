"""The version of the page. A browser compares it with what it has loaded, and so notices an upgrade of the server."""

import functools
import hashlib
from pathlib import Path

from django.conf import settings

# The header of `/clock/now`. A page that stays open for weeks reads it there.
HEADER = "Clock-Version"

_FOLDERS = ("static", "templates", "locale")


@functools.cache
def page_version() -> str:
    """Return 12 hexadecimal digits that identify the page: a hash of its files and of the settings that it contains.

    Workers that serve the same page return the same value. The files are read once per process.
    """
    digest = hashlib.sha256(f"{settings.CLOCK_TIME_ZONE} {settings.CLOCK_PAGE_RATE.requested}".encode())
    app = Path(__file__).resolve().parent
    for path in sorted(path for folder in _FOLDERS for path in (app / folder).rglob("*") if path.suffix != ".po"):
        if path.is_file():
            digest.update(str(path.relative_to(app)).encode() + b"\0" + path.read_bytes())
    digest.update((app / "texts.py").read_bytes())
    return digest.hexdigest()[:12]
