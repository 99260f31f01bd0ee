"""The internals of other libraries that our code uses: they are as pinned, and used in the adapters alone."""

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.project.libraries.pin import Pin, instance_names, problem
from tests.project.libraries.pins import PINS

ROOT = Path(__file__).resolve().parents[3]

# Which folder may import which libraries: nothing else does.
ADAPTERS = {
    "tournament/server/adapter": {"autobahn", "daphne", "twisted", "uvloop"},
    "clock/redis/adapter": {"channels_redis"},
}

# Underscored names that are documented: of the standard library, and of named tuples.
DOCUMENTED = {"_asdict", "_exit", "_field_defaults", "_fields", "_make", "_replace"}

OURS = {"bench", "clock", "testbed", "ticker", "tournament"}


def sources() -> list[Path]:
    """Return the files of the product, the benchmark and what tests share."""
    return [path for top in sorted(OURS) for path in sorted((ROOT / top).rglob("*.py"))]


def adapter_of(path: Path) -> str | None:
    """Return the adapter that a file belongs to."""
    folder = str(path.parent.relative_to(ROOT))
    return folder if folder in ADAPTERS else None


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: f"{pin.owner}:{pin.name}")
def test_a_library_is_as_pinned(pin: Pin) -> None:
    """Each internal name that we use exists, with the shape that our code expects."""
    found = problem(pin)
    assert found is None, found


@pytest.mark.parametrize(
    ("owner", "name", "shape"),
    [
        ("twisted.web.http:HTTPChannel", "_gone", "()"),
        ("twisted.web.http:HTTPChannel", "_path", "(line)"),
        ("twisted.web.http:HTTPChannel", "lineReceived", "(line, more)"),
        ("twisted.web.http:Gone", "lineReceived", "(line)"),
        ("twisted.web.gone:HTTPChannel", "lineReceived", "(line)"),
    ],
)
def test_a_broken_pin_says_what_broke_and_where_to_look(owner: str, name: str, shape: str) -> None:
    """The message has the library's version, our file, and the library's file."""
    found = problem(Pin("Twisted", owner, name, shape, "tournament/server/adapter/some.py", "something")) or ""
    assert re.match(r"Twisted \d", found)
    assert name in found
    assert "tournament/server/adapter/some.py: something" in found
    assert re.search(r"twisted/web/\w+\.py", found)


# A few, for a copy and a process each take a second. `check_with_renamed` has been run for every pin.
RENAMED = [
    ("daphne/server.py", "kill_all_applications"),
    ("redis/asyncio/sentinel.py", "connect_to"),
    ("channels_redis/pubsub.py", "_get_shard"),
]


@pytest.mark.parametrize(("file", "name"), RENAMED)
def test_a_renamed_name_breaks_its_pin(tmp_path: Path, file: str, name: str) -> None:
    """In a copy of a library in which one name is changed, that pin fails, and says so."""
    output = check_with_renamed(tmp_path, file, name)
    assert f"have {name} as" in output, output


def check_with_renamed(directory: Path, file: str, name: str) -> str:
    """Check the pins of one library, in a copy of it with one name changed. Return what is printed."""
    package = file.partition("/")[0]
    installed = Path(inspect.getsourcefile(importlib.import_module(package)) or "").parent
    copy = directory / package
    if not copy.exists():
        shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("test", "tests"))
    original = (copy.parent / file).read_text()
    changed = re.sub(rf"\b{name}\b", f"{name}_renamed", original)
    assert changed != original, f"{file} does not mention {name}"
    (copy.parent / file).write_text(changed)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.project.libraries.pins", package],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (copy.parent / file).write_text(original)
    assert done.returncode == 1, f"{name} was renamed in {file}, and no pin failed"
    return done.stdout + done.stderr


# --- Nothing is used that is not pinned, and nothing outside the adapters ---


def test_only_an_adapter_imports_its_libraries() -> None:
    """Twisted, Autobahn, Daphne, uvloop and channels-redis are imported in one folder each."""
    guarded = {library: folder for folder, libraries in ADAPTERS.items() for library in libraries}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                folder = guarded.get(module.split(".")[0])
                assert folder in {None, adapter_of(path)}, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize(
    "path", [p for p in sources() if adapter_of(p) is None], ids=lambda p: str(p.relative_to(ROOT))
)
def test_no_private_name_of_others_is_used_outside_the_adapters(path: Path) -> None:
    """An underscored attribute or import belongs to the module that uses it."""
    tree = ast.parse(path.read_text())
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            assert node.attr in own | DOCUMENTED, f"{ast.unparse(node)} in line {node.lineno}"
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            assert not any(map(is_private, names)), f"{ast.unparse(node)} in line {node.lineno}"


def test_no_inherited_private_name_is_used_outside_the_adapters() -> None:
    """A class with a base from a library neither uses nor overrides a private name of that base."""
    checked = 0
    for path in sources():
        if "class " in path.read_text() and adapter_of(path) is None and path.parts[-2] != "bench":
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            for cls in classes_of(module):
                inherited = {name for name in library_names(cls) if is_private(name)}
                checked += bool(inherited)
                assert not names_used_by(module, cls) & inherited, f"{path}: {cls.__name__}"
    assert checked > 3


ADAPTER_MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sources()
    if adapter_of(path) and path.name != "__init__.py"
]


@pytest.mark.parametrize("name", ADAPTER_MODULES)
def test_every_internal_name_is_pinned(name: str) -> None:
    """In an adapter, each inherited name that a class uses or overrides is pinned, and each private name of others."""
    module = importlib.import_module(name)
    tree = ast.parse(inspect.getsource(module))
    pinned = {pin.name for pin in PINS}
    for cls in classes_of(module):
        unpinned = (names_used_by(module, cls) & library_names(cls)) - pinned
        assert not unpinned, f"{cls.__name__} uses {unpinned}"
    own = own_names(tree)
    private = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr)}
    assert private - own - DOCUMENTED <= pinned


def is_private(name: str) -> bool:
    """Return whether a name is private."""
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.Module) -> set[str]:
    """Return the names that a module defines: functions, classes, variables, attributes and slots."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


def classes_of(module: Any) -> list[type]:
    """Return the classes that a module defines."""
    return [cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__]


@cache
def library_names(cls: type) -> frozenset[str]:
    """Return the names that a class inherits from classes of other libraries, but for those of Python itself."""
    names: set[str] = set()
    for base in cls.__mro__[1:]:
        top = base.__module__.split(".")[0]
        if top not in OURS and top not in sys.stdlib_module_names:
            names |= {name for name in vars(base) if not name.startswith("__")} | instance_names(base)
    return frozenset(names)


def names_used_by(module: Any, cls: type) -> set[str]:
    """Return the names that a class defines in its body, and that it reads or writes on itself or on `super()`."""
    (node,) = (
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    names: set[str] = set()
    for statement in node.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    for one in ast.walk(node):
        match one:
            case ast.Attribute(attr=name, value=ast.Name(id="self" | "cls")):
                names.add(name)
            case ast.Attribute(attr=name, value=ast.Call(func=ast.Name(id="super"))):
                names.add(name)
    return names
