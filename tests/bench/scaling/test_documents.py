"""The command, and docs/scaling.md, which shows what it prints."""

import json
from pathlib import Path

import pytest

from bench.report.results import Results
from bench.report.tables import as_markdown, as_text, between_markers
from bench.scaling import __main__ as command
from bench.scaling.documents import DATA, DOCUMENT, MARKER, REDIS_DATA, Report, generated, write
from bench.scaling.limits import EPHEMERAL_PORTS
from bench.scaling.plan import VIEWERS, WIRE_BYTES, Plan, bits, plans
from clock.contract import Tick
from testbed.processes import ROOT
from tests.bench.scaling.examples import REDIS, results

DOCS = ROOT / "docs"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder of documents with made-up results."""
    (tmp_path / DATA).write_text(results().as_json())
    (tmp_path / REDIS_DATA).write_text(REDIS.as_json())
    (tmp_path / DOCUMENT).write_text("before\n<!-- scaling -->\n<!-- /scaling -->\nafter\n")
    return tmp_path


def test_the_document_in_git_shows_what_the_command_prints() -> None:
    """If this fails, run `python -m bench.scaling --docs`."""
    if not Results.from_json((DOCS / DATA).read_text()).rows:
        pytest.skip("docs/bench.json is empty: run `make bench`")
    before = (DOCS / DOCUMENT).read_text()
    assert between_markers(before, generated(DOCS), MARKER) == before


def test_the_measured_points_in_git_agree() -> None:
    """`make scaling` succeeds."""
    if not Results.from_json((DOCS / DATA).read_text()).rows:
        pytest.skip("docs/bench.json is empty: run `make bench`")
    assert command.main([]) == 0


@pytest.mark.parametrize(("slower", "code"), [({}, 0), ({"1600": 1.5}, 1)])
def test_the_exit_code_says_whether_the_model_agrees(
    docs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], slower: dict[str, float], code: int
) -> None:
    """And the table says which point does not."""
    (docs / DATA).write_text(results(slower=slower).as_json())
    monkeypatch.setattr(command, "DOCS", docs)
    assert command.main([]) == code
    assert capsys.readouterr().out.count("DISAGREES") == code


def test_results_of_another_file(
    docs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--results` names it, and nothing is measured without one."""
    other = docs / "other.json"
    (docs / DATA).rename(other)
    monkeypatch.setattr(command, "DOCS", docs)
    assert command.main(["--results", str(other)]) == 0
    assert "1,000,000" in capsys.readouterr().out
    assert command.main([]) == 1
    assert "not measured" in capsys.readouterr().out


def test_the_document_is_written_between_its_markers(docs: Path) -> None:
    """The rest stays, and without results it says how to get them."""
    text = write(docs).read_text()
    assert text.startswith("before\n<!-- scaling -->\n")
    assert text.endswith("\n<!-- /scaling -->\nafter\n")
    assert "### What viewers need" in text
    (docs / DATA).write_text(Results().as_json())
    assert "Run `make bench`" in write(docs).read_text()


def test_the_command_writes_the_document(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--docs`; without it nothing is written."""
    before = (docs / DOCUMENT).read_text()
    monkeypatch.setattr(command, "DOCS", docs)
    monkeypatch.setattr(command, "ROOT", docs)
    assert command.main([]) == 0
    assert (docs / DOCUMENT).read_text() == before
    assert command.main(["--docs"]) == 0
    assert "### What viewers need" in (docs / DOCUMENT).read_text()


def test_all_tables_have_their_columns() -> None:
    """For the terminal and in Markdown, with a row for each number of viewers and each limit."""
    report = Report.of(results(), REDIS)
    for _, headings, rows in report.tables():
        assert rows
        assert all(len(row) == len(headings) for row in rows)
    assert all(f"{viewers:,}" in report.text(form) for form in (as_text, as_markdown) for viewers in VIEWERS)


def test_a_plan_serves_its_viewers() -> None:
    """Each worker has its share, and none of them more than it was planned for."""
    for name, plan in plans(Report.of(results(), REDIS).model):
        assert plan.workers >= 2
        assert plan.viewers <= plan.workers * plan.per_worker, name
        assert plan.workers <= 8 * (plan.hosts - 1)
    assert bits(Plan(1_000, 100, 500).bits) == "96 Mbit/s"
    assert bits(Plan(1_000_000, 10, 500).bits) == "9.6 Gbit/s"


def test_the_bytes_of_a_frame_are_those_of_the_wire_contract() -> None:
    """60 of WebSocket, and 52 or more for TCP with timestamps (RFC 7323) and IPv4."""
    wire = Tick(1_795_351_680_120, json.dumps({"message": "2026-11-22 12:48:00.12", "at": 1_795_351_680_120})).to_wire()
    assert len(wire) == 60
    assert 112 <= WIRE_BYTES <= 130


def test_the_ports_are_those_of_linux() -> None:
    """Of this machine, if nobody has changed them."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert (low, high) != (32_768, 60_999) or high - low + 1 == EPHEMERAL_PORTS
