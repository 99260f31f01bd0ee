"""The programs that each suite needs beside Python: installs those that are missing, or says how to get them.

python -m testbed.tools {test,soak,faults,observe,compose} ...
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from testbed import debian
from testbed.browser import ADVICE, find_chromium
from testbed.faults.wall_clock import find_libfaketime


def on_path(*names: str) -> Callable[[], bool]:
    """Return a function that says whether one of these programs is on the PATH."""
    return lambda: any(shutil.which(name) for name in names)


class Tool(NamedTuple):
    """A program, the Debian packages that have it, how to find it, and the suites that cannot run without it."""

    name: str
    packages: tuple[str, ...]
    is_there: Callable[[], bool]
    suites: frozenset[str]
    advice: str = ""


SUITES: Final = ("test", "soak", "faults", "observe", "compose")

TOOLS: Final = (
    Tool(
        "Chromium",
        ("chromium-headless-shell", "fonts-dejavu-core"),
        lambda: find_chromium() is not None,
        frozenset({"test", "soak", "compose"}),
        ADVICE,
    ),
    Tool("Chromium with windows", ("chromium",), lambda: find_chromium(windows=True) is not None, frozenset({"soak"})),
    # Debian's redis-tools has the server without the service that redis-server starts: see testbed/redis_servers.py.
    Tool(
        "a Redis server with TLS and Sentinel",
        ("redis-tools",),
        on_path("redis-server", "redis-check-rdb"),
        frozenset({"test", "soak", "faults"}),
    ),
    Tool("OpenSSL", ("openssl",), on_path("openssl"), frozenset({"test", "faults", "compose"})),
    Tool("a C compiler", ("gcc", "libc6-dev"), on_path("cc"), frozenset({"test", "faults"})),
    Tool("HAProxy", ("haproxy",), on_path("haproxy"), frozenset({"faults"})),
    Tool("libfaketime", ("libfaketime",), lambda: find_libfaketime() is not None, frozenset({"faults"})),
    Tool("Prometheus", ("prometheus",), on_path("prometheus", "promtool"), frozenset({"observe"})),
    # A virtual display: tabs become hidden, and WebKit starts, only on a display.
    Tool("Xvfb", ("xvfb",), on_path("Xvfb"), frozenset({"test", "soak"})),
    Tool("Firefox", ("firefox-esr",), on_path("firefox-esr", "firefox"), frozenset({"soak"})),
    Tool("WebKit's WebDriver", ("webkit2gtk-driver",), on_path("WebKitWebDriver"), frozenset({"soak"})),
)


def missing(suites: Iterable[str]) -> list[Tool]:
    """Return the tools that some suites need and this machine lacks."""
    needed = set(suites)
    return [tool for tool in TOOLS if tool.suites & needed and not tool.is_there()]


def packages_of(tools: Iterable[Tool]) -> list[str]:
    """Return the Debian packages of some tools."""
    return [package for tool in tools for package in tool.packages]


def report(tools: Iterable[Tool], suites: Iterable[str]) -> str:
    """Return what is missing for the suites and how to get it."""
    tools = list(tools)
    lines = [
        f"make {' and '.join(suites)} cannot run without {', '.join(tool.name for tool in tools)}.",
        f"On Debian: sudo apt-get install {' '.join(packages_of(tools))}",
        *(tool.advice for tool in tools if tool.advice),
    ]
    if reason := debian.refusal():
        lines.insert(1, f"Nothing was installed: {reason}.")
    return "\n".join(lines)


def main() -> None:
    """Install what the given suites lack; exit with 1 and advice if something is still missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("suites", nargs="+", choices=SUITES)
    suites = parser.parse_args().suites
    debian.install(packages_of(missing(suites)))
    if tools := missing(suites):
        sys.exit(report(tools, suites))


if __name__ == "__main__":
    main()
