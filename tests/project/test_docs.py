"""What the documents say is so."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from channels.layers import InMemoryChannelLayer
from django.core.management import get_commands

from clock import contract
from clock.asgi import ServerStatus
from clock.broadcast.relay import Relay
from clock.contract import Tick
from clock.endpoints.metrics import metrics
from clock.redis.comparison import Comparison
from tests.project.documents import DOCUMENTS, ROOT, anchors, blocks, commands, links, spans, text_of
from tests.ticker.test_metrics import Watched
from tournament.configuration.table import SETTINGS

README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
MAX_README_LINES: Final = 150
MAX_PICTURES: Final = 10
MAX_PICTURE_BYTES: Final = 1_000_000

# The project's folders.
FOLDERS: Final = ("clock", "ticker", "tournament", "tests", "testbed", "bench", "docs", "deploy")

# Compose alone reads these.
COMPOSE_VARIABLES: Final = {"CLOCK_BIND", "CLOCK_PORT"}

# Options of other programs than ours.
FOREIGN_OPTIONS: Final = {"--scale", "--client-output-buffer-limit", "--from-literal"}

# Commands that a test or CI runs, and the file and the text (a template for the match) that show it.
TESTED: Final = {
    r"make up( \w+=\S+)*": ("tests/tournament/test_up.py", '"make", "--no-print-directory", "up"'),
    r"python manage\.py ticker": ("testbed/processes.py", '"manage.py", "ticker"'),
    r"python manage\.py watch.*": ("tests/clock/watch/test_command.py", '"manage.py", "watch"'),
    r"python -m tournament\.server -p 8001 tournament\.asgi:application": (
        "testbed/processes.py",
        '"tournament.server"',
    ),
    r"python -m tournament\.server --processes 2 -p 8001 tournament\.asgi:application": (
        "testbed/processes.py",
        '"--processes", "2"',
    ),
    r"daphne -p 8001 tournament\.asgi:application": ("testbed/processes.py", '"daphne"'),
    r"python -m tournament\.server --version": ("tests/system/test_version.py", '"tournament.server", "--version"'),
    r"python manage\.py ticker --version": ("tests/system/test_version.py", '"ticker", "--version"'),
    r"python -m tournament\.server --help": ("tests/project/test_docs.py", '"tournament.server", "--help"'),
    r"python -m tournament\.server": ("testbed/processes.py", '"tournament.server"'),
    r"(python )?manage\.py check --deploy": ("tests/tournament/test_settings.py", "--deploy"),
    r"python client\.py 127\.0\.0\.1:8001 10": ("tests/system/test_clients.py", "client.py"),
    r"docker compose up --scale web=\d+": ("tests/compose/test_compose.py", "--scale"),
    r"kubectl apply -k deploy/kubernetes/overlays/trial": ("tests/kubernetes/cluster.py", '"apply", "-k"'),
    r"kubectl --namespace clock port-forward service/clock 8001:80": (
        "tests/kubernetes/test_cluster.py",
        '"port-forward", "service/clock"',
    ),
    r"kubectl --namespace clock exec deployment/web -- python manage\.py watch": (
        "tests/kubernetes/test_cluster.py",
        '"exec", "deployment/web"',
    ),
    r"kubectl --namespace clock set image deployment/web web=\S+": (
        "tests/kubernetes/test_upgrade.py",
        '"set", "image", "deployment/web"',
    ),
    r"kubectl --namespace clock patch deployment/ticker --type=json --patch='\[": (
        "tests/kubernetes/test_upgrade.py",
        '"patch", "deployment/ticker", "--type=json"',
    ),
    r"make (check|audit|test|soak|faults|compose-test)( TESTS=\S+| INSTALL=no)?": (".ci/run", r" \1\n"),
    r"make scaling( SCALING=--docs)?|python -m bench\.scaling( --docs)?": (
        "tests/bench/scaling/test_documents.py",
        "command.main([])",
    ),
    r"python -m bench\.scaling\.redis_measurement": ("tests/bench/scaling/test_redis.py", "measure("),
    r"make docs": ("tests/tournament/test_configuration_document.py", "make docs"),
}

# Commands that no test runs, and a pattern of what the document must say that they need.
UNTESTED: Final = {
    r"make faults FAULTS=.+": "",  # as `make faults`
    r"docker compose exec web python manage\.py watch": "Docker",
    r"make \.venv": "",  # every target runs it
    r"make help": "",
    r"make clean": "",
    r"make format": "",
    r"make javascript-lock": "",
    r"make test PYTHON=python3\.13": r"3\.13",
    r"make (bench|bench-full|punctuality).*": "idle cores|C compiler",
    r"make endurance.*": "20 minutes",
    r"make kubernetes-test.*": "cluster",
    r"make pictures": "",
    r"make translations": "gettext",
    r"make requirements": "uv",
    r"pre-commit install": r"pre-commit\.com",
    r"pip install websockets": "",
    r"kubectl rollout restart": "",
    r"kubectl --namespace clock create secret .*": "You create the Secret",
    r"python -m (bench|tests)\b.*": "",
}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file in git, and to a heading in it."""
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_mentioned_exists(path: Path) -> None:
    """By its path in the project, or by its name."""
    if path.name == "CHANGELOG.md":  # it tells of the past
        return
    names = {found.name for top in FOLDERS for found in (ROOT / top).rglob("*")} | {
        found.name for found in ROOT.iterdir()
    }
    for span in spans(path):
        if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]*", span):
            assert (ROOT / span).exists(), span
        elif re.fullmatch(r"[\w./-]+\.(py|js|css|md|yml|cfg|conf|toml|json|svg|c)", span):
            assert (ROOT / span).exists() or span in names, span


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_that_is_mentioned_exists(path: Path) -> None:
    """In the table of settings, or in Compose."""
    mentioned = set(re.findall(r"\b(?:CLOCK|REDIS|DJANGO)_[A-Z_]*[A-Z]\b", text_of(path)))
    assert mentioned <= {setting.name for setting in SETTINGS} | COMPOSE_VARIABLES


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_mentioned_exists(path: Path) -> None:
    """Targets and variables of make, Python modules, and Django's commands."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z.-]+):", makefile, re.MULTILINE))
    for command in commands(path):
        if made := re.search(r"\bmake (.*)", command):
            words = shlex.split(made[1])
            assert {word for word in words if "=" not in word} <= targets, command
            assert all(re.search(rf"\b{word.partition('=')[0]}\b", makefile) for word in words if "=" in word), command
        if module := re.search(r"python -m ([\w.]+)", command):
            assert find_spec(module[1]), command
        if django := re.search(r"manage\.py (\w+)", command):
            assert django[1] in get_commands(), command


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_tested_or_says_what_it_needs(path: Path) -> None:
    """A test or CI runs it; or the document says what it needs."""
    for command in commands(path):
        bare = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", command)
        for pattern, (file, evidence) in TESTED.items():
            if match := re.fullmatch(pattern, bare):
                assert match.expand(evidence) in (ROOT / file).read_text(), command
                break
        else:
            needs = [needed for pattern, needed in UNTESTED.items() if re.fullmatch(pattern, bare)]
            assert needs, f"{command}: neither tested nor known"
            assert any(re.search(needed, text_of(path)) for needed in needs), command


def test_every_option_that_is_mentioned_exists() -> None:
    """In the worker's help, in a program of ours, or in one that the test names."""
    command = [sys.executable, "-m", "tournament.server", "--help"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    known += (ROOT / "clock" / "static" / "clock" / "clock.css").read_text()  # custom properties look like options
    for top in ("bench", "tests", "testbed", "tournament"):
        known += "".join(path.read_text() for path in (ROOT / top).rglob("*.py") if path != Path(__file__))
    options = {
        option
        for path in DOCUMENTS
        for text in [*spans(path), *blocks(path)]
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", text)
    }
    assert {option for option in options - FOREIGN_OPTIONS if option not in known} == set()


def test_the_readme_is_short() -> None:
    """A newcomer reads it in a few minutes."""
    assert len(text_of(README).splitlines()) <= MAX_README_LINES


def test_there_are_few_pictures() -> None:
    """At most ten in git, and less than 1 MB."""
    listed = subprocess.run(
        ["git", "ls-files", "*.png", "*.jpg", "*.webp"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    pictures = [ROOT / name for name in listed.stdout.split() if (ROOT / name).exists()]
    assert len(pictures) <= MAX_PICTURES
    assert sum(picture.stat().st_size for picture in pictures) < MAX_PICTURE_BYTES


@pytest.mark.parametrize("path", [README, DOCS / "protocol.md"], ids=lambda path: path.name)
def test_the_frame_is_the_contracts(path: Path) -> None:
    """Character by character."""
    (frame,) = re.findall(r'^    (\{"message": "[^"]+", "at": \d+\})$', text_of(path), re.MULTILINE)
    assert frame == contract.format_frame(json.loads(frame)["at"], ZoneInfo("UTC"))


def test_the_rates_and_close_codes_are_the_contracts() -> None:
    """All of them."""
    protocol = text_of(DOCS / "protocol.md")
    *rest, last = contract.RATES
    sentence = f"{', '.join(map(str, rest))} or {last}. The default is {contract.DEFAULT_RATE}."
    assert sentence in protocol.replace("\n", " ")
    codes = {int(code) for code in re.findall(r"^\| (\d{4}) \|", protocol, re.MULTILINE)}
    assert codes == {getattr(contract, name) for name in dir(contract) if name.startswith("CLOSE_")}


def test_the_fields_of_a_tick_are_the_contracts() -> None:
    """All fields of a message on Redis are documented, and no other."""
    (table,) = re.findall(
        r"^\| field \| type \| meaning \|\n\| --- \| --- \| --- \|\n((?:\|.*\n)+)",
        text_of(DOCS / "protocol.md"),
        re.MULTILINE,
    )
    documented = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert documented == Tick(0, "").message().keys() - {"type"}


# The metrics whose values of labels are documented, too.
ENUMERATED: Final = {
    "clock_relay_state",
    "clock_ticks_dropped_total",
    "clock_handshakes_refused_total",
    "clock_ticker_state",
    "clock_ticker_ticks_unpublished_total",
}


async def told_by_a_ticker() -> str:
    """Return the metrics of a ticker that knows everything."""
    watched = Watched()
    watched.synchronised = True
    await watched.tick(1)
    with mock.patch.object(watched.redis_clock, "read", return_value=Comparison("one", 0.0, 0.0)):
        return watched.metrics.render().decode()


async def test_the_metrics_are_documented(relay: Relay, layer: InMemoryChannelLayer) -> None:
    """All metrics of the clock, with their types and labels, and no others."""
    relay.start()
    async with asyncio.timeout(10):
        while relay.instant() is None:
            await layer.group_send(contract.GROUP, Tick(1000, "x", synchronised=True).message())
            await asyncio.sleep(0.01)
    told = metrics(ServerStatus()).decode() + await told_by_a_ticker()
    types = dict(re.findall(r"^# TYPE (clock_\w+) (\w+)$", told, re.MULTILINE))
    rows = re.findall(r"^\| `(clock_\w+)` \| (\w+) \| (.*) \|$", text_of(DOCS / "operations.md"), re.MULTILINE)
    assert {name: kind for name, kind, _ in rows} == types
    for name, _, meaning in rows:
        labels = set(re.findall(rf"^{name}\{{(.*)\}}", told, re.MULTILINE))
        keys = {key for label in labels for key in re.findall(r'(\w+)="', label)}
        assert all(f"`{key}`" in meaning for key in keys), name
        if name in ENUMERATED:
            values = {value for label in labels for value in re.findall(r'="(\w+)"', label)}
            assert all(f"`{value}`" in meaning for value in values), name


def test_the_log_lines_that_are_mentioned_exist() -> None:
    """Each part between two ellipses is in the code."""
    code = "".join(path.read_text() for top in ("clock", "ticker", "tournament") for path in (ROOT / top).rglob("*.py"))
    lines = re.findall(r"^\| `(.+)` \| (?:ticker|worker|both|all) \|", text_of(DOCS / "operations.md"), re.MULTILINE)
    assert lines
    for line in lines:
        assert all(part in code for part in line.split("…")), line


def test_the_defaults_of_the_command_line_are_documented() -> None:
    """The options whose defaults differ from Daphne's."""
    program = "import json; from tournament.server.command_line import DEFAULTS; print(json.dumps(DEFAULTS.options))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    rows = re.findall(r"^\| `--([\w-]+)` \| (\S+) \|", text_of(DOCS / "configuration.md"), re.MULTILINE)
    documented = {name.replace("-", "_"): "" if value == "empty" else int(value) for name, value in rows}
    assert documented == json.loads(done.stdout)


def test_pre_commit_runs_the_tools_of_make_check() -> None:
    """Each command of the target is a hook."""
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    for tool in re.findall(r"\$\(run\) -m (.*?)(?: \.)?$", recipe, re.MULTILINE):
        assert f"entry: .venv/bin/python -m {tool}" in hooks, tool


def test_no_lock_file_names_an_index() -> None:
    """The lock files contain versions and hashes, and no address."""
    for lock in ROOT.glob("requirements*.txt"):
        assert not re.search(r"://|--(?:extra-)?index|find-links", lock.read_text())
