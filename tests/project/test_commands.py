"""The commands in the documents: each has been run by a test, or the document says what it needs.

The registry names the test of each command. A new command is in none of its patterns, and fails.
"""

import ast
import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.project.documents import DOCUMENTS, ROOT, blocks, commands, text_of

# In these documents every line of a block is a command, or one of the samples.
STRICT: Final = (ROOT / "docs" / "operations.md", ROOT / "docs" / "scaling.md")
SAMPLES: Final = (
    r'time=.*|\{"time".*',  # a line of a log
    r"(export )?([A-Z_]+=\S+ ?)+",  # settings
    r"load = .*",  # a formula
    r"old=\$\(docker .*\)|while docker .*; done",  # of a script, with commands that are on lines of their own
    r'\{"op": .*',  # the rest of a command
)

WORKERS: Final = "tests/tournament/processes/test_workers.py"
WATCH: Final = "tests/clock/watch/test_command.py"


class Proof(NamedTuple):
    """The test that runs a command, as pytest names it; a folder of tests; or the script of CI.

    It contains `words`, a template for the match of the command's pattern, or the module `helper` does, which it uses.
    """

    test: str
    words: str
    helper: str = ""

    def problem(self, match: re.Match[str]) -> str | None:
        """Return what is wrong with it; None if it is good."""
        name, _, function = self.test.partition("::")
        path = ROOT / name
        if not path.exists():
            return f"{name} does not exist"
        if function and function not in functions(path):
            return f"{name} has no {function}"
        words = match.expand(self.words)
        places = [ROOT / self.helper] if self.helper else [*path.rglob("*.py")] if path.is_dir() else [path]
        return (
            None
            if any(words in place.read_text() for place in places)
            else f"{self.helper or name} does not contain {words}"
        )


# A command without the variables before it.
RUN: Final = {
    r"make up PORT=\S+": Proof(
        "tests/tournament/test_up.py::test_no_process_is_left_when_make_up_is_killed", '"up", f"PORT={port}"'
    ),
    r"make up( WORKERS=\d+)?": Proof("tests/tournament/test_up.py::test_two_workers", '"--workers", "2"'),
    r"make up BIND=0\.0\.0\.0": Proof(
        "tests/tournament/test_up.py::test_make_up_with_a_broker_and_a_name", '"--bind", "0.0.0.0"'
    ),
    r"python manage\.py ticker": Proof(
        "tests/ticker/test_command.py::test_ticks_are_on_the_boundaries_and_rise",
        '"manage.py", "ticker"',
        "testbed/processes.py",
    ),
    r"python -m tournament\.server( -p 8001 tournament\.asgi:application)?": Proof(
        "tests/tournament/server/test_server.py::test_a_crowd_can_connect_at_once",
        '"tournament.server"',
        "testbed/processes.py",
    ),
    r"python -m tournament\.server --processes 2 -p 8001 tournament\.asgi:application": Proof(
        f"{WORKERS}::test_viewers_are_spread_over_both", '"--processes", "2"', "testbed/workers.py"
    ),
    r"daphne -p 8001 tournament\.asgi:application": Proof(
        "tests/tournament/server/test_server.py::test_plain_daphne_serves_the_clock_too",
        '"daphne"',
        "testbed/processes.py",
    ),
    r"python -m tournament\.server (--version)": Proof(
        "tests/system/test_version.py::test_version_option", '"tournament.server", "\\1"'
    ),
    r"python -m tournament\.server --help": Proof(
        "tests/project/test_docs.py::test_every_option_that_is_mentioned_exists", '"tournament.server", "--help"'
    ),
    r"python manage\.py ticker --version": Proof(
        "tests/system/test_version.py::test_version_option", '"ticker", "--version"'
    ),
    r"python manage\.py watch": Proof(f"{WATCH}::test_on_a_terminal", '"manage.py", "watch"'),
    r"python manage\.py watch .*": Proof(f"{WATCH}::test_the_commands_of_the_documents", "commands(OPERATIONS)"),
    r"python manage\.py check --deploy": Proof(
        "tests/tournament/test_settings.py::test_djangos_deployment_checks_pass", 'check("--deploy"'
    ),
    r"python client\.py 127\.0\.0\.1:8001 10": Proof(
        "tests/system/test_clients.py::test_the_python_client", "client.py"
    ),
    r"promtool test rules deploy/prometheus/clock\.rules\.test\.yml": Proof(
        "tests/observe/test_rules.py::test_the_unit_tests_pass", '"test", "rules"'
    ),
    r"docker compose up( --detach --no-recreate)?( --scale \w+=\S+)*( ticker web)?": Proof(
        "tests/compose", '"--scale"'
    ),
    r"docker compose logs( \w+)+": Proof("tests/compose", 'compose("logs"'),
    r"docker compose (ps|build)": Proof("tests/compose", r'compose("\1")'),
    r"docker compose exec web python manage\.py watch": Proof("tests/compose", '"python", "manage.py", "watch"'),
    r"docker compose restart lb": Proof("tests/compose", '"restart", "lb"'),
    r"docker (stop|rm) \$old": Proof("tests/compose", r"docker \1 $old"),
    r"docker inspect --format .*": Proof("tests/compose", "docker inspect --format"),
    r"kubectl apply -k( deploy/kubernetes/overlays/trial)?": Proof("tests/kubernetes", '"apply", "-k"'),
    r"kubectl rollout restart": Proof("tests/kubernetes", '"rollout", "restart"'),
    r"kubectl --namespace clock port-forward service/clock 8001:80": Proof(
        "tests/kubernetes", '"port-forward", "service/clock"'
    ),
    r"kubectl --namespace clock exec deployment/web -- python manage\.py watch": Proof(
        "tests/kubernetes", '"exec", "deployment/web"'
    ),
    r"kubectl --namespace clock set image deployment/web web=\S+": Proof(
        "tests/kubernetes", '"set", "image", "deployment/web"'
    ),
    r"kubectl --namespace clock patch deployment/ticker --type=json --patch='\[": Proof(
        "tests/kubernetes", '"patch", "deployment/ticker", "--type=json"'
    ),
    r"kubectl --namespace clock create secret .*": Proof(
        "tests/kubernetes/test_secret.py::test_the_command_creates_the_secret_that_the_clock_reads",
        "commands(OPERATIONS)",
    ),
    r"redis-server (--replicaof) .*": Proof(
        "tests/system/test_replica.py::test_the_worker_subscribes_to_the_replica_alone", r'"\1"'
    ),
    r"make scaling|python -m bench\.scaling": Proof(
        "tests/bench/scaling/test_documents.py::test_the_measured_points_in_git_agree", "command.main([])"
    ),
    r"make scaling SCALING=(--docs)|python -m bench\.scaling (--docs)": Proof(
        "tests/bench/scaling/test_documents.py::test_the_command_writes_the_document", '"--docs"'
    ),
    r"python -m bench\.scaling\.redis_measurement": Proof(
        "tests/bench/scaling/test_redis.py::test_a_small_measurement", "measure("
    ),
    r"python -m bench\.recording": Proof(
        "tests/bench/test_recording.py::test_what_is_measured_records", "recording.main()"
    ),
    r"make (check|audit|test|page-test|soak|faults|observe-test|compose-test)( TESTS=\S+| INSTALL=no)?": Proof(
        ".ci/run", r"step \1" + "\n"
    ),
    r"make docs": Proof(
        "tests/tournament/test_configuration_document.py::test_the_generated_files_are_up_to_date", "make docs"
    ),
}

# Commands that no test runs, and a pattern of what the document says that they need.
NOT_RUN: Final = {
    r"docker compose --profile observe up": "No test runs this command: .* images",
    r"make compose-test COMPOSE=.+": "Docker",
    r"make kubernetes-test.*": "cluster",
    r"make bench": "idle cores",
    r"make \.venv": "",  # every target runs it
    r"make faults FAULTS=.+": "",  # as `make faults`
    r"make help": "",
    r"make clean": "",
    r"make format": "",
    r"make javascript-lock": "",
    r"make test PYTHON=python3\.13": r"3\.13",
    r"make (bench-full|punctuality).*": "idle cores|C compiler",
    r"make endurance.*": "20 minutes",
    r"make pictures": "",
    r"make translations": "gettext",
    r"make requirements": "uv",
    r"pre-commit install": r"pre-commit\.com",
    r"pip install websockets": "",
    r"python -m (bench|tests)\b.*": "",
}


def functions(path: Path) -> set[str]:
    """Return the names of the functions of a module."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def is_sample(line: str) -> bool:
    """Return whether a line is not a command by itself."""
    return any(re.fullmatch(sample, line) for sample in SAMPLES)


def bare(command: str) -> str:
    """Return a command without the variables before it."""
    return re.sub(r"^(?:[A-Z_]+=\S+ )+", "", command)


def problem(command: str, text: str) -> str | None:
    """Return what is wrong with a command in a document; None if a test runs it, or the document says what it needs."""
    found = [(proof, match) for pattern, proof in RUN.items() if (match := re.fullmatch(pattern, bare(command)))]
    if found:
        return next((wrong for proof, match in found if (wrong := proof.problem(match))), None)
    needs = [needed for pattern, needed in NOT_RUN.items() if re.fullmatch(pattern, bare(command))]
    if not needs:
        return "no test runs it, and the document does not say what it needs"
    text = " ".join(text.split())
    return None if any(re.search(needed, text) for needed in needs) else f"the document does not say {needs}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_run_by_a_test_or_says_what_it_needs(path: Path) -> None:
    """The registry names the test, which exists and contains the command. The changelog leaves needs to the others."""
    text = "".join(map(text_of, DOCUMENTS)) if path.name == "CHANGELOG.md" else text_of(path)
    assert {command: wrong for command in commands(path) if (wrong := problem(command, text))} == {}


@pytest.mark.parametrize("path", STRICT, ids=lambda path: path.name)
def test_every_line_of_a_block_is_a_command_or_a_sample(path: Path) -> None:
    """So that no command is overlooked."""
    known = {*commands(path)}
    lines = [line.partition(" #")[0].strip() for block in blocks(path) for line in block.splitlines()]
    assert [line for line in lines if line not in known and not is_sample(line)] == []


@pytest.mark.parametrize("path", STRICT, ids=lambda path: path.name)
def test_what_is_not_run_says_so(path: Path) -> None:
    """In these documents each such command has a reason."""
    for command in commands(path):
        reasons = [needed for pattern, needed in NOT_RUN.items() if re.fullmatch(pattern, bare(command))]
        is_run = any(re.fullmatch(pattern, bare(command)) for pattern in RUN)
        assert is_run or all(reasons) or bare(command) == "make .venv", command


def test_a_new_command_fails() -> None:
    """Without a test, with one that does not exist, and with one that does not contain it."""
    assert problem("python manage.py migrate", "") is not None
    assert problem("make bench", "at once") is not None
    (match,) = [re.fullmatch("make (dance)", "make dance")]
    assert match
    for proof in (
        Proof("tests/nowhere.py", ""),
        Proof("tests/project/test_commands.py::test_nothing", ""),
        Proof("tests/project/documents.py::links", r"\1"),
        Proof("tests/kubernetes", r"\1"),
    ):
        assert proof.problem(match) is not None
