"""The lock file of the JavaScript tools."""

import json
import re
from pathlib import Path

from testbed.javascript import remove_addresses

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "package-lock.json").read_text()

# A URL, or a host of a package registry.
ADDRESS = re.compile(r"\w+://|\bregistry\.|\bregistry\s*=\s*\S", re.IGNORECASE)


def test_neither_the_lock_file_nor_the_npm_configuration_contains_an_address() -> None:
    """They contain versions and hashes only, so they work with any package registry."""
    for text in (LOCK, (ROOT / ".npmrc").read_text(), (ROOT / "package.json").read_text()):
        assert not ADDRESS.search(text)
    assert "omit-lockfile-registry-resolved=true" in (ROOT / ".npmrc").read_text()


def test_addresses_are_removed_when_the_lock_file_is_written() -> None:
    """Npm adds the addresses for donations."""
    package = {"version": "1.0.0", "funding": {"type": "opencollective", "url": "https://example.org"}}
    written = remove_addresses(json.dumps({"packages": {"node_modules/one": package}}))
    assert not ADDRESS.search(written)
    assert json.loads(written) == {"packages": {"node_modules/one": {"version": "1.0.0"}}}


def test_every_package_is_pinned() -> None:
    """Package.json names exact versions, and the lock file has a hash for each package."""
    lock = json.loads(LOCK)["packages"]
    asked = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    assert lock[""]["devDependencies"] == asked
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values())
    assert all(re.match(r"sha512-", package["integrity"]) for name, package in lock.items() if name)
