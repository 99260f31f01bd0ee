"""Writes what is generated from the table of settings (`make docs`). Needs a checkout of the project.

python -m tournament.configuration
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tournament.configuration.document import update_compose, update_document

_ROOT: Final = Path(__file__).resolve().parents[2]

GENERATED: Final[dict[Path, Callable[[str], str]]] = {
    _ROOT / "docs" / "configuration.md": update_document,
    _ROOT / "docker-compose.yml": update_compose,
}


def main() -> None:
    """Update each file."""
    for path, update in GENERATED.items():
        path.write_text(update(path.read_text()))


if __name__ == "__main__":
    main()
