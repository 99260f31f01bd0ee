"""The README says what is so."""

import json
import re
from pathlib import Path
from zoneinfo import ZoneInfo

from clock import contract

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_frame_is_the_contracts() -> None:
    """Letter by letter."""
    (frame,) = re.findall(r'^    (\{"message".*\})$', README, re.MULTILINE)
    assert frame == contract.format_frame(json.loads(frame)["at"], ZoneInfo("UTC"))


def test_the_rates_and_close_codes_are_the_contracts() -> None:
    """All of them."""
    *rest, last = contract.RATES
    assert f"{', '.join(map(str, rest))} or {last}; without it there are {contract.DEFAULT_RATE}" in README.replace(
        "\n", " "
    )
    codes = {int(code) for code in re.findall(r"^\| (\d{4}) \|", README, re.MULTILINE)}
    assert codes == {getattr(contract, name) for name in dir(contract) if name.startswith("CLOSE_")}


def test_every_target_of_make_that_is_named_exists() -> None:
    """And every file that is linked to."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_nothing_that_is_pinned_names_an_index() -> None:
    """The lock files hold versions and hashes, and no address."""
    for lock in ROOT.glob("requirements*.txt"):
        assert not re.search(r"://|--(?:extra-)?index|find-links", lock.read_text())
