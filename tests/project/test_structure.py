"""The structure of the code: which folder may import which, and how many modules a folder may hold."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("clock", "ticker", "tournament", "testbed", "bench", "tests")

# From the lowest to the highest. A module may import from its own layer and from lower ones.
LAYERS = (
    ("clock.contract",),
    ("clock.asgi", "clock.process"),
    ("clock.redis",),
    ("clock.broadcast",),
    ("clock.page_version", "clock.texts"),
    ("clock.endpoints",),
    ("clock.apps", "clock.management", "clock.views", "clock.watch"),
    ("ticker",),
    ("tournament.configuration",),
    ("tournament.processes", "tournament.settings", "tournament.static_files", "tournament.urls", "tournament.up"),
    ("tournament.server",),
    ("tournament.asgi",),
    ("testbed",),
    ("bench",),
    ("tests",),
)

# The parts of the clock that the ticker uses: nothing that belongs to the workers.
FOR_THE_TICKER = ("clock.contract", "clock.process", "clock.redis")

# The modules of the page, and of these the ones that estimate the time.
SCRIPTS = ROOT / "clock" / "static" / "clock"
TIME = SCRIPTS / "time"

# Modules in a folder, at most.
MAX_MODULES = 13

# Folders of tests that have targets of their own.
SUITES = {"tests/compose", "tests/faults", "tests/kubernetes", "tests/observe"}

# Folders of tests without a counterpart of the same name: what they test is the project as a whole.
WHOLE_SYSTEM = {"compose", "endurance", "faults", "kubernetes", "observe", "page", "project", "system"}


@cache
def modules() -> dict[str, Path]:
    """Return the paths of all modules by name, without the packages' own."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for top in PACKAGES
        for path in (ROOT / top).rglob("*.py")
        if path.name != "__init__.py"
    }


@cache
def imports(name: str) -> frozenset[str]:
    """Return the names of our own modules that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules().keys() or {node.module}
    found.discard("clock")  # for its version
    return frozenset(imported for imported in found if imported.partition(".")[0] in PACKAGES)


def folder_of(name: str) -> str:
    """Return the package that a module is in."""
    return name.rpartition(".")[0]


def layer_of(name: str) -> int:
    """Return the number of a module's layer."""
    found = [n for n, group in enumerate(LAYERS) for one in group if name == one or name.startswith(f"{one}.")]
    assert len(found) == 1, f"{name} must be in one of LAYERS"
    return found[0]


@pytest.mark.parametrize("top", PACKAGES)
def test_no_module_imports_from_a_higher_layer(top: str) -> None:
    """A module imports from lower layers and from its own."""
    upwards = [
        f"{name} imports {imported}"
        for name in modules()
        if name.startswith(f"{top}.")
        for imported in imports(name)
        if layer_of(imported) > layer_of(name)
    ]
    assert upwards == []


def test_no_modules_import_each_other() -> None:
    """There is no circle of imports, whether direct or through other modules."""
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for imported in imports(name) & modules().keys():
                visit(imported, (*trail, name))
            done.add(name)

    for name in modules():
        visit(name, ())


def test_no_folders_import_each_other() -> None:
    """Of two folders, at most one imports from the other."""
    graph = {
        (folder_of(name), folder_of(imported))
        for name in modules()
        for imported in imports(name) & modules().keys()
        if folder_of(name) != folder_of(imported)
    }
    assert {(one, other) for one, other in graph if (other, one) in graph} == set()


def test_the_ticker_imports_nothing_of_the_workers() -> None:
    """The ticker imports the contract and the parts that it shares with the workers."""
    for name in modules():
        if name.startswith("ticker."):
            for imported in imports(name):
                assert imported.startswith(("ticker", *FOR_THE_TICKER)), f"{name} imports {imported}"


def test_the_page_estimates_the_time_without_the_page() -> None:
    """The modules in `time/` import, and name the types of, no others."""
    imported = {found for script in TIME.glob("*.js") for found in re.findall(r'from "([^"]+)"', script.read_text())}
    assert {Path(name).name for name in imported} <= {script.name for script in TIME.glob("*.js")}
    assert {str(Path(name).parent) for name in imported} == {"."}


def test_folders_are_small() -> None:
    """No folder has more than about a dozen modules, folders of tests included."""
    counts: dict[str, int] = {}
    for name in modules():
        counts[folder_of(name)] = counts.get(folder_of(name), 0) + 1
    for script in SCRIPTS.rglob("*.js"):
        counts[str(script.parent)] = counts.get(str(script.parent), 0) + 1
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_every_folder_of_tests_is_run() -> None:
    """`make test` runs all folders, except those that have a target of their own. Of the page it runs one file."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    folders = {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in (ROOT / "tests").rglob("test_*.py")}
    assert {*settings["testpaths"]} == folders - SUITES - {"tests/page"} | {"tests/page/test_page.py"}
    assert " tests/page\n" in (ROOT / "Makefile").read_text()


def test_the_tests_mirror_the_code() -> None:
    """Each folder of tests has the name of the folder that it tests, or is about the project as a whole."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    for folder in folders:
        inside = folder.relative_to(ROOT / "tests")
        assert inside.parts[0] in WHOLE_SYSTEM or (ROOT / inside).is_dir(), f"{inside} has no counterpart"
