"""The version of the page: what a browser has loaded, and whether it is still what this worker serves."""

import functools
import hashlib
from pathlib import Path

from django.conf import settings

# Sent with `/clock/now`, where a page that has been open for weeks looks.
HEADER = "Clock-Version"

_FOLDERS = ("static", "templates", "locale")


@functools.cache
def page_version() -> str:
    """Return a name for all that makes up the page, read once: the same on every worker that serves the same.

    The zone is in it, for the page says its name.
    """
    digest = hashlib.sha256(str(settings.CLOCK_TIME_ZONE).encode())
    here = Path(__file__).resolve().parent
    for path in sorted(path for folder in _FOLDERS for path in (here / folder).rglob("*") if path.suffix != ".po"):
        if path.is_file():
            digest.update(str(path.relative_to(here)).encode() + b"\0" + path.read_bytes())
    digest.update((here / "texts.py").read_bytes())
    return digest.hexdigest()[:12]
