"""The picture of the screen of `watch` in the documentation: docs/pictures/watch.svg.

python -m tests.clock.watch.display.picture
"""

import io
import re
from typing import Final

from rich.console import Console

from clock.watch.display.screen import WIDTH, screen
from testbed.processes import ROOT
from tests.clock.watch.examples import EVENTS, summary

PICTURE: Final = ROOT / "docs" / "pictures" / "watch.svg"

TITLE: Final = "python manage.py watch https://clock.example.org --viewers 20 --min-rate 95 …"

# The picture must not load a font from elsewhere.
_FONTS: Final = re.compile(r" *@font-face \{.*?\}\n", re.DOTALL)


def picture() -> str:
    """Return the picture, of an example."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor")
    console.print(screen(summary(), EVENTS))
    drawn = console.export_svg(title=TITLE, unique_id="watch")
    return "".join(f"{line.rstrip()}\n" for line in _FONTS.sub("", drawn).splitlines())


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
