"""The table of settings, the document, Compose and settings.py agree."""

import re
from pathlib import Path

from tournament.configuration.__main__ import GENERATED
from tournament.configuration.document import settings_table, update_compose
from tournament.configuration.table import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def test_the_generated_files_are_up_to_date() -> None:
    """`make docs` changes neither docs/configuration.md nor docker-compose.yml."""
    for path, update in GENERATED.items():
        assert update(path.read_text()) == path.read_text(), f"make docs updates {path.name}"


def test_every_setting_is_documented() -> None:
    """One row each, with the default, what is required, and who uses it."""
    rows = settings_table().splitlines()[2:]
    names = re.findall(r"^\| `([A-Z_]+)` \|", "\n".join(rows), re.MULTILINE)
    assert names == [setting.name for setting in SETTINGS]
    for setting, row in zip(SETTINGS, rows, strict=True):
        assert len(re.findall(r"(?<!\\)\|", row)) == 6, row
        assert f"`{setting.default}`" in row or setting.default_note in row
        assert set(setting.used_by) <= {"ticker", "worker"}
        assert setting.description.endswith(".")


def test_every_default_is_valid() -> None:
    """Also Compose's own."""
    for setting in SETTINGS:
        setting.parser.parse(setting.default)
        if setting.compose_default is not None:
            setting.parser.parse(setting.compose_prefix + setting.compose_default)


def test_compose_passes_every_setting_on_but_debugging() -> None:
    """A setting that a container does not get would have no effect, and containers are not for debugging."""
    block = update_compose((ROOT / "docker-compose.yml").read_text())
    passed = set(re.findall(r"^    ([A-Z_]+): \S*\$\{\1:-", block, re.MULTILINE))
    assert passed == {setting.name for setting in SETTINGS} - {"DJANGO_DEBUG"}
