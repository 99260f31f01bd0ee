"""A pin: a name of another library, with the shape that our code expects, and the check that it still has it."""

import ast
import importlib
import inspect
import textwrap
from functools import cache
from importlib import metadata
from typing import Any, Final, NamedTuple

# The shapes, beside "(a, b=, *c)": a function or method with these parameters, where `=` marks one with a default and
# self is left out; and beside "class" and "builtin", for what has no signature.
CLASS: Final = "class attribute"
INSTANCE: Final = "instance attribute"
PROPERTY: Final = "property"
READ: Final = "read"  # the owner is a function of the library that reads an attribute of ours by this name

_STARS: Final = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}


class Pin(NamedTuple):
    """One name: where the library defines it, what it is, which file of ours uses it and what for."""

    library: str  # the distribution
    owner: str  # "module:", "module:class" or "module:class.method"
    name: str
    shape: str
    used_in: str
    purpose: str


def problem(pin: Pin) -> str | None:
    """Return what is wrong with a pin, and where to look; None if the library is as pinned."""
    try:
        owner, found = _owner_of(pin), None
        found = _shape_of(owner, pin)
    except (ImportError, AttributeError) as error:
        owner, found = None, f"missing ({error})"
    if found == pin.shape:
        return None
    version = metadata.version(pin.library)
    return (
        f"{pin.library} {version}: {pin.owner.replace(':', '.').rstrip('.')} should have {pin.name} as {pin.shape!r}, "
        f"and it is {found or 'missing'}.\n"
        f"  Used in {pin.used_in}: {pin.purpose}.\n"
        f"  Look for what replaces it in {_file_of(owner, pin)}, then change our file and this pin."
    )


def _owner_of(pin: Pin) -> Any:
    module, _, path = pin.owner.partition(":")
    owner: Any = importlib.import_module(module)
    for name in path.split(".") if path else ():
        owner = getattr(owner, name)
    return owner


def _shape_of(owner: Any, pin: Pin) -> str | None:
    """Return the shape of a name, as it is written in a pin; None if there is none."""
    if pin.shape == READ:
        return READ if pin.name in _read_in(owner) else None
    if inspect.ismodule(owner):
        return _shape_of_value(getattr(owner, pin.name, None))
    if pin.shape == INSTANCE:
        return INSTANCE if pin.name in instance_names(owner) else None
    value = vars(owner).get(pin.name)  # the owner is the class that defines it: what a base has does not count
    if inspect.isroutine(value) or isinstance(value, staticmethod | classmethod):
        return _parameters(value.__func__ if isinstance(value, staticmethod | classmethod) else value, is_method=True)
    if isinstance(value, property):
        return PROPERTY
    return CLASS if pin.name in {*vars(owner), *inspect.get_annotations(owner)} else None


def _shape_of_value(value: Any) -> str | None:
    """Return the shape of what a module defines."""
    if value is None:
        return None
    return "class" if inspect.isclass(value) else _parameters(value, is_method=False)


def _parameters(function: Any, *, is_method: bool) -> str:
    if not inspect.isfunction(inspect.unwrap(function)):
        return "builtin"
    names = [
        f"{_STARS.get(one.kind.name, '')}{one.name}{'' if one.default is inspect.Parameter.empty else '='}"
        for one in inspect.signature(function).parameters.values()
    ]
    return f"({', '.join(names[is_method:])})"


@cache
def instance_names(cls: Any) -> frozenset[str]:
    """Return the names that a class sets on `self`, or has slots for. Those of its bases do not count."""
    names = {name for name, value in vars(cls).items() if inspect.ismemberdescriptor(value)}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (TypeError, OSError):  # a builtin
        return frozenset(names)
    return frozenset(names) | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def _read_in(function: Any) -> set[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _file_of(owner: Any, pin: Pin) -> str:
    try:
        file = inspect.getsourcefile(owner)
    except TypeError:
        file = None
    return file or pin.owner.partition(":")[0].replace(".", "/") + ".py"
