"""The structure of the code: which folder may import which, and how much a folder holds."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# From the lowest to the highest: a module imports from its own line and from those above it alone.
LAYERS = (
    ("clock.contract",),
    ("clock.asgi", "clock.process"),
    ("clock.redis",),
    ("clock.broadcast",),
    ("clock.page_version", "clock.texts"),
    ("clock.endpoints",),
    ("clock.apps", "clock.views"),
    ("ticker",),
    ("tournament.configuration",),
    ("tournament.settings", "tournament.static_files", "tournament.urls", "tournament.up"),
    ("tournament.server",),
    ("tournament.asgi",),
    ("testbed",),
    ("bench",),
    ("tests",),
)

# What the ticker needs of the clock: not a line of what the workers do.
FOR_THE_TICKER = ("clock.contract", "clock.process", "clock.redis")

# Modules in a folder, at most.
MAX_MODULES = 13


def modules() -> dict[str, Path]:
    """Return all modules by name, but for packages' own and the tests."""
    found = {}
    for top in ("clock", "ticker", "tournament", "testbed", "bench"):
        for path in (ROOT / top).rglob("*.py"):
            if path.name != "__init__.py":
                found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Return the names of our modules that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules().keys() or {node.module}
    found.discard("clock")  # for its version
    return {
        name for name in found if name.split(".")[0] in {"clock", "ticker", "tournament", "testbed", "bench", "tests"}
    }


def layer_of(name: str) -> int:
    """Return the number of a module's layer."""
    found = [n for n, group in enumerate(LAYERS) for one in group if name == one or name.startswith(f"{one}.")]
    assert len(found) == 1, f"{name} belongs to one of LAYERS"
    return found[0]


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_import_goes_upwards(name: str) -> None:
    """A module imports from lower layers and from its own."""
    for imported in imports(modules()[name]):
        assert layer_of(imported) <= layer_of(name), f"{name} imports {imported}"


def test_no_circle() -> None:
    """Modules do not import each other, directly or by others."""
    graph = {name: imports(path) & modules().keys() for name, path in modules().items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for imported in graph[name]:
                visit(imported, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_folders_do_not_import_each_other() -> None:
    """Of two folders, at most one imports the other."""
    graph = {
        (folder, imported.rpartition(".")[0])
        for name, path in modules().items()
        for imported in imports(path) & modules().keys()
        if (folder := name.rpartition(".")[0]) != imported.rpartition(".")[0]
    }
    assert {(one, other) for one, other in graph if (other, one) in graph} == set()


def test_the_ticker_needs_nothing_of_the_workers() -> None:
    """The ticker imports the contract, and what it shares with the workers."""
    for name, path in modules().items():
        if name.startswith("ticker."):
            for imported in imports(path):
                assert imported.startswith(("ticker", *FOR_THE_TICKER)), f"{name} imports {imported}"


def test_folders_are_small() -> None:
    """No folder has more than about a dozen modules."""
    counts: dict[str, int] = {}
    for name in modules():
        folder = name.rpartition(".")[0]
        counts[folder] = counts.get(folder, 0) + 1
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}
