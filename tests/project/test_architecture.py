"""docs/architecture.md describes the code as it is."""

import re
from typing import Final

from clock import contract
from tests.project.documents import ROOT, text_of
from tests.project.modules import PRODUCT, modules, update
from tests.project.test_structure import LAYERS
from ticker.lease_scripts import LEASE_MS

ARCHITECTURE: Final = text_of(ROOT / "docs" / "architecture.md")


def test_every_module_of_the_product_is_described() -> None:
    """By its own first sentence, in one line; and no module that does not exist."""
    assert update(ARCHITECTURE) == ARCHITECTURE, "make docs updates it"
    assert len(re.findall(r"^\| `\w+\.(?:py|js)` \| \S", ARCHITECTURE, re.MULTILINE)) == len(modules()) > 0


def test_the_layers_are_those_of_the_structure() -> None:
    """From the lowest to the highest."""
    rows = re.findall(r"^\| \d+ \| (`.*`) \|$", ARCHITECTURE, re.MULTILINE)
    assert [tuple(re.findall(r"`([\w.]+)`", row)) for row in rows] == list(LAYERS)


def test_where_to_change_what() -> None:
    """The lamp's colours, the lease, the close codes and the formula of the bound are where the table says."""
    styles = text_of(ROOT / "clock" / "static" / "clock" / "clock.css")
    named = set(re.findall(r"`(--[a-z-]+)`", ARCHITECTURE))
    assert named
    assert all(f"{name}: " in styles and f"var({name})" in styles for name in named)
    assert f"`LEASE_MS` ({LEASE_MS:,} ms)" in ARCHITECTURE
    for name, code in re.findall(r"`(CLOSE_\w+)` \((\d+)\)", ARCHITECTURE):
        assert getattr(contract, name) == int(code)
    assert "def error_bound(" in text_of(ROOT / "clock" / "redis" / "comparison.py")


def test_every_name_in_capitals_exists() -> None:
    """Constants that the document mentions are in the code."""
    code = "".join(path.read_text() for top in (*PRODUCT, "tests") for path in (ROOT / top).rglob("*.py"))
    for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", ARCHITECTURE):
        assert name in code, name
