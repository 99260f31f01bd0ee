"""The benchmark measures what is so, and judges it rightly."""

import contextlib
import json
import math
import re
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

import pytest

from bench import figures, report
from bench.floor import accept_key
from bench.load import Entry, Load, Window, compiled
from bench.measurement import Measurement
from bench.plan import make_plan
from bench.plot import Series, plot, steps
from bench.scenarios import SCENARIOS, Trial
from bench.subjects import SUBJECTS, Stage
from bench.targets import FAIL, INVALID, REACHED, SKIPPED, TARGETS, Verdict, judge
from testbed.accounting import cpu_ns, family, private_bytes
from testbed.processes import Broker, Program, Ticker, wait_until
from testbed.published import Published
from testbed.stalled import Stalled
from testbed.viewers import connect

MASK = b"\x01\x02\x03\x04"


def text(at: int, first: int = 0x81) -> bytes:
    """Return a tick's frame."""
    payload = json.dumps({"message": "2026-11-22 12:48:00.12", "at": at}).encode()
    return bytes((first, len(payload))) + payload


def masked(frame: bytes) -> bytes:
    """Return a frame as only a client may send it."""
    payload = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(frame[2:]))
    return bytes((frame[0], frame[1] | 0x80)) + MASK + payload


def newest_tick() -> int:
    """Return the time of the tick that was due last."""
    return time.time_ns() // 10_000_000 * 10


def shake(client: socket.socket) -> None:
    """Answer a handshake as a server should."""
    client.sendall(response(client.recv(4096)))


def response(request: bytes) -> bytes:
    """Return the right answer to a handshake."""
    found = re.search(rb"Sec-WebSocket-Key: *(\S+)", request, re.IGNORECASE)
    assert found
    accept = b64encode(sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )


class Scripted:
    """A server that does with its only client what a script says; `begun` is for the script to wait for.

    It is entered after the load generator was started: a process with threads should start no other.
    """

    def __init__(self, script: Callable[[socket.socket, threading.Event], Any]) -> None:
        self.begun = threading.Event()
        self.outcome: Any = None
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        with contextlib.closing(self._listener.accept()[0]) as self._client:
            self._client.settimeout(5)
            try:
                self.outcome = self._script(self._client, self.begun)
            except OSError as error:
                self.outcome = error
            self._ended.set()
            with contextlib.suppress(OSError):
                while self._client.recv(4096):
                    pass

    def wait(self) -> None:
        """Wait until the script has come to its end."""
        assert self._ended.wait(10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()


@pytest.fixture(params=["C", "picows"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """Either load generator: what is said of one must be so of the other."""
    if request.param == "picows":
        return [sys.executable, "-m", "bench.load_picows"]
    path = compiled()
    if path is None:
        pytest.skip("there is no C compiler here")
    return [str(path)]


def test_frames_duplicates_steps_back_and_gaps_are_counted(program: list[str]) -> None:
    """Six ticks, one of them twice, one step back by 50 ms, and 150 ms of nothing."""

    def script(client: socket.socket, begun: threading.Event) -> None:
        shake(client)
        client.sendall(text(newest_tick()))
        begun.wait(5)
        time.sleep(0.1)
        for pause in (0.02, 0.02, 0.02, 0.02, 0.15):
            client.sendall(text(newest_tick()))
            time.sleep(pause)
        at = newest_tick()
        client.sendall(text(at) + text(at)[:20])  # the second comes in two parts
        time.sleep(0.02)
        client.sendall(text(at)[20:] + text(at - 50))

    server = Scripted(script)
    with Load(server.port, program=program) as load, server:
        entry = load.connect(1, "/")
        assert (entry.asked, entry.in_, entry.failures) == (1, 1, {})
        assert load.begin()[0] == 1
        server.begun.set()
        server.wait()
        time.sleep(0.15)
        window = load.end()
        assert (window.clients, window.frames, window.worst, window.median) == (1, 8, 6, 6)
        assert (window.duplicates, window.steps_back, window.failures) == (1, 1, {})
        assert 100 < window.largest_gap_ms < 1000
        assert window.late_p50_ms is not None
        assert window.late_max_ms is not None
        assert 0 <= window.late_p50_ms <= window.late_max_ms
        assert window.late_max_ms >= 50  # that of the step back
        assert 0 <= window.cpu_share < 1
        assert load.close() == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: text(10) + response(request),
        lambda request: response(request).replace(b"Accept: ", b"Accept: x"),
        lambda _: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        lambda request: response(request) + masked(text(10)),
        lambda _: b"",
    ],
    ids=["a frame before the 101", "a wrong key", "no 101", "a masked first frame", "nothing"],
)
def test_who_does_not_get_in_rightly_is_a_failure(program: list[str], answer: Callable[[bytes], bytes]) -> None:
    """Whatever is wrong with it, such a client is not in, and is counted once with a reason."""

    def script(client: socket.socket, _begun: threading.Event) -> None:
        client.sendall(answer(client.recv(4096)))
        client.shutdown(socket.SHUT_WR)

    server = Scripted(script)
    with Load(server.port, program=program) as load, server:
        entry = load.connect(1, "/")
        assert (entry.asked, entry.in_) == (1, 0)
        assert list(entry.failures.values()) == [1]
        assert load.begin()[0] == 0
        assert load.end().worst is None


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x88\x02\x0f\xa8", "closed by the server: 4008"),
        (text(10, first=0x82), "a frame that is neither text, ping nor close"),
        (b"\x81\x02{}", "a text that is not a tick"),
        (b"", "the connection was closed"),
    ],
)
def test_what_a_server_must_not_send_ends_its_client(program: list[str], frame: bytes, reason: str) -> None:
    """It is a failure of the window in which it comes, and the client gets no more."""

    def script(client: socket.socket, begun: threading.Event) -> None:
        shake(client)
        client.sendall(text(newest_tick()))
        begun.wait(5)
        client.sendall(frame)
        if not frame:
            client.shutdown(socket.SHUT_WR)

    server = Scripted(script)
    with Load(server.port, program=program) as load, server:
        assert load.connect(1, "/").in_ == 1
        assert load.begin()[0] == 1
        server.begun.set()
        server.wait()
        time.sleep(0.15)
        assert load.end().failures == {reason: 1}
        assert load.begin()[0] == 0


def test_pings_are_answered(program: list[str]) -> None:
    """By a masked pong with the same payload."""

    def script(client: socket.socket, _begun: threading.Event) -> bytes:
        shake(client)
        client.sendall(b"\x89\x03abc" + text(newest_tick()))
        return client.recv(4096)

    server = Scripted(script)
    with Load(server.port, program=program) as load, server:
        assert load.connect(1, "/").in_ == 1
        server.wait()
        assert server.outcome[:2] == b"\x8a\x83"
        mask, payload = server.outcome[2:6], server.outcome[6:]
        assert bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload)) == b"abc"


def test_the_accept_key_is_that_of_the_rfc() -> None:
    """RFC 6455, section 1.3, has this example."""
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# --- The floor, on real ticks ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage(broker: Broker, ticker: Ticker, directory: Path) -> Stage:
    """What the floor stands on."""
    ticker.wait_for_output("publishing the time")
    return Stage(broker, directory, None)


@pytest.fixture
def floor(stage: Stage) -> Iterator[tuple[Program, int]]:
    """The floor, running, and its port."""
    cast = next(subject for subject in SUBJECTS if subject.name == "floor").make(stage)
    (program,) = cast.counted
    with program:
        yield program, cast.port


def test_the_floor_tells_the_time(floor: tuple[Program, int], program: list[str]) -> None:
    """Its clients get the ticks, and whoever asks it for a page learns that there is none."""
    with Load(floor[1], program=program) as load:
        entry = load.connect(5, "/", parallel=2, now_calls=3)
        assert (entry.in_, entry.failures, entry.other_answers) == (5, {}, 15)
        load.begin()
        time.sleep(0.5)
        window = load.end()
        assert (window.clients, window.failures, window.duplicates, window.steps_back) == (5, {}, 0, 0)
        assert window.worst
        assert window.worst > 10


def test_those_who_never_read_are_seen_to_be_closed(floor: tuple[Program, int]) -> None:
    """Not before the server has done so; the floor never does by itself."""
    stalled = Stalled(3, floor[1], "/")
    time.sleep(0.1)
    assert not stalled.look()
    floor[0].kill()
    wait_until(stalled.look, "all are closed")
    assert len(stalled.closed_after_s) == 3
    assert min(stalled.closed_after_s) >= 0.1
    stalled.hang_up()


def test_a_trial_measures_what_it_says(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time, memory, and how many of the published ticks came."""
    subject = next(subject for subject in SUBJECTS if subject.name == "floor")
    published = Published(stage.broker.port)
    monkeypatch.setattr("bench.scenarios.SETTLE", 0.2)
    with Trial(subject, stage, published, 2, 0.5) as trial:
        measured = trial.run("1")
    published.close()
    assert (measured.subject, measured.scenario, measured.repetition, measured.expected) == ("floor", "1", 2, 1)
    assert measured.window is not None
    assert measured.window.frames > 10
    assert 0 < measured.worst_share <= 1
    assert 0 < measured.cpu_us_per_frame < 100_000
    assert measured.memory_bytes > 1 << 20
    assert measured.invalid == measured.faults == ""


def test_what_processes_use(floor: tuple[Program, int]) -> None:
    """CPU time only ever grows."""
    pids = family(floor[0].pid)
    assert pids == [floor[0].pid]
    before = cpu_ns(pids)
    assert before > 0
    viewer = connect(floor[1], "/")
    wait_until(lambda: cpu_ns(pids) > before, "it works")
    viewer.socket.close()
    assert private_bytes(pids) > 1 << 20


# --- The targets, on made-up measurements ----------------------------------------------------------------------------

ENTRY = Entry(
    asked=400,
    in_=400,
    seconds=1.0,
    per_second=400.0,
    other_answers=0,
    handshake_p50_ms=1.0,
    handshake_p99_ms=2.0,
    first_frame_p50_ms=3.0,
    first_frame_p99_ms=4.0,
    now_p50_ms=None,
    now_p99_ms=None,
    failures={},
)


def made_up(subject: str, scenario: str, repetition: int) -> Measurement:
    """Return a measurement with which every target is just reached or better."""
    clients = {"0": 0, "storm": 400, "stalled": 380, "rate=10": 400}.get(scenario) or int(scenario.strip("a") or 0)
    window = Window(
        clients=clients,
        from_=0,
        to=8000,
        seconds=8.0,
        frames=800 * clients,
        worst=800 if clients else None,
        median=800 if clients else None,
        late_p50_ms=4.0,
        late_p95_ms=8.0,
        late_p99_ms=9.0,
        late_max_ms=12.0,
        largest_gap_ms=90.0,
        duplicates=0,
        steps_back=0,
        cpu_share=0.5,
        failures={},
    )
    return Measurement(
        subject=subject,
        scenario=scenario,
        repetition=repetition,
        expected=clients,
        seconds=8.0,
        cpu_ns={"0": 200_000_000, "rate=10": 400_000_000}.get(scenario, 8_000_000 * clients),
        memory_bytes=(50 << 20) + clients * 10 * 1024,
        published=800,
        window=window,
        entry=ENTRY,
        stalled=20 if scenario == "stalled" else 0,
        closed_after_s=[15.0] * 20 if scenario == "stalled" else [],
    )


def everything() -> dict[tuple[str, str], list[Measurement]]:
    """Return three repetitions of all that the targets need."""
    scenarios = {"worker": ("0", "100", "400", "storm", "800", "stalled", "rate=10"), "floor": ("100", "400", "800")}
    return {
        (subject, scenario): [made_up(subject, scenario, repetition) for repetition in (1, 2, 3)]
        for subject in ("worker", "floor", "bun", "nchan")
        for scenario in scenarios.get(subject, ("400",))
    }


def verdicts(measurements: dict[tuple[str, str], list[Measurement]]) -> dict[str, Verdict]:
    """Judge; return what became of each target."""
    judged = judge(TARGETS, [one for ones in measurements.values() for one in ones])
    return {one.what: one for one in judged}


def change_window(ones: list[Measurement], **changes: Any) -> None:
    """Change what clients got in all of some measurements."""
    for one in ones:
        assert one.window is not None
        one.window = replace(one.window, **changes)


def test_all_targets_can_be_reached() -> None:
    """By measurements in which nothing is wrong."""
    judged = verdicts(everything())
    assert len(judged) == len(TARGETS) == 18
    assert {one.verdict for one in judged.values()} == {REACHED}
    assert judged["memory per connection, 100 to 800 clients"].values == [10.0] * 3


@pytest.mark.parametrize(
    ("changed", "change", "failed"),
    [
        (("worker", "800"), {"frames": 600_000}, {"CPU per frame, 800 clients"}),
        (("worker", "100"), {"frames": 66_000}, {"CPU per frame, 100 clients"}),
        (("worker", "400"), {"worst": 799}, {"delivered to the worst-off of 400 clients"}),
        (("worker", "800"), {"worst": 770}, {"delivered to the worst-off of 800 clients"}),
        (("floor", "400"), {"late_p50_ms": 2.4}, {"lateness p50, 400 clients"}),
        (("floor", "400"), {"late_p99_ms": 5.9}, {"lateness p99, 400 clients"}),
        (("bun", "400"), {"late_p50_ms": 3.9}, {"lateness p50, 400 clients, beside Bun"}),
        (("bun", "400"), {"late_p99_ms": 8.9}, {"lateness p99, 400 clients, beside Bun"}),
        (("nchan", "400"), {"late_p50_ms": 3.9}, {"lateness p50, 400 clients, beside Nchan"}),
        (("nchan", "400"), {"late_p99_ms": 8.9}, {"lateness p99, 400 clients, beside Nchan"}),
        (("worker", "storm"), {"largest_gap_ms": 101.0}, {"the same: largest gap of the connected"}),
        (("worker", "stalled"), {"worst": 799}, {"20 of 400 never read: delivered to the worst-off of the rest"}),
        (("worker", "stalled"), {"late_p99_ms": 14.0}, {"the same: lateness p99 of the rest"}),
    ],
)
def test_a_target_is_failed_by_what_clients_got(
    changed: tuple[str, str], change: dict[str, Any], failed: set[str]
) -> None:
    """Each fails when it should, and no other does."""
    measurements = everything()
    change_window(measurements[changed], **change)
    assert {what for what, one in verdicts(measurements).items() if one.verdict == FAIL} == failed


def test_the_other_targets_are_failed_by_the_rest() -> None:
    """CPU time, memory, the time to get in, and clients that are not closed."""
    measurements = everything()
    for one in measurements["worker", "0"]:
        one.cpu_ns *= 2
    for one in measurements["worker", "rate=10"]:
        one.cpu_ns *= 2
    for one in measurements["worker", "800"]:
        one.memory_bytes += 2 * 1024 * 1024
    for one in measurements["worker", "storm"]:
        one.entry = replace(ENTRY, seconds=2.1)
    for one in measurements["worker", "stalled"]:
        one.closed_after_s.pop()
    judged = verdicts(measurements)
    assert {what for what, one in judged.items() if one.verdict == FAIL} == {
        "a worker without viewers",
        "rate=10, 400 clients",
        "memory per connection, 100 to 800 clients",
        "400 more connect while 400 stream: all in within",
        "the same: all 20 closed (looked for 25 s)",
    }
    assert judged["the same: all 20 closed (looked for 25 s)"].values == [math.inf] * 3


def test_the_median_of_the_repetitions_is_judged() -> None:
    """One bad repetition of three does not fail a target."""
    measurements = everything()
    change_window(measurements["worker", "400"][:1], worst=100)
    assert verdicts(measurements)["delivered to the worst-off of 400 clients"].verdict == REACHED
    change_window(measurements["worker", "400"][1:2], worst=100)
    assert verdicts(measurements)["delivered to the worst-off of 400 clients"].verdict == FAIL


@pytest.mark.parametrize(
    "change", [{"duplicates": 1}, {"steps_back": 1}, {"clients": 99}, {"failures": {"the connection was closed": 1}}]
)
def test_what_must_never_happen_fails_every_target_it_touches(change: dict[str, Any]) -> None:
    """In a single repetition, and whatever the figures are."""
    measurements = everything()
    change_window(measurements["worker", "100"][:1], **change)
    failed = {what for what, one in verdicts(measurements).items() if one.verdict == FAIL}
    assert failed == {"CPU per frame, 100 clients", "memory per connection, 100 to 800 clients"}


def test_a_failed_handshake_fails_the_target() -> None:
    """Even if all the others were quick."""
    measurements = everything()
    measurements["worker", "storm"][2].entry = replace(ENTRY, in_=399, failures={"no 101 in time": 1})
    judged = verdicts(measurements)["400 more connect while 400 stream: all in within"]
    assert (judged.verdict, judged.reason) == (FAIL, "no 101 in time (1)")


def test_what_cannot_be_judged_is_said_to_be_so() -> None:
    """Because the load generator was the bottleneck, a yardstick was broken, or nothing was measured."""
    measurements = everything()
    change_window(measurements["worker", "800"][:1], cpu_share=0.93)
    change_window(measurements["nchan", "400"][:1], duplicates=2)
    del measurements["bun", "400"]
    judged = verdicts(measurements)
    assert judged["CPU per frame, 800 clients"].verdict == INVALID
    assert "93 %" in judged["CPU per frame, 800 clients"].reason
    assert judged["lateness p50, 400 clients, beside Nchan"].verdict == INVALID
    assert judged["lateness p50, 400 clients, beside Bun"].verdict == SKIPPED
    assert judged["CPU per frame, 100 clients"].verdict == REACHED


def test_the_plan_has_what_the_targets_need() -> None:
    """And `--only` does what it names, and no more."""
    steps_, left_out = make_plan()
    planned = {(step.subject.name, scenario) for step in steps_ for scenario in step.scenarios}
    assert {(subject, scenario) for subject, scenario in everything() if subject not in left_out} <= planned
    (only,) = make_plan(only=["floor", "100", "1"])[0]
    assert (only.subject.name, only.scenarios) == ("floor", ["1", "100"])
    assert all(list(SCENARIOS).index(one) >= 0 for step in make_plan(full=True)[0] for one in step.scenarios)


# --- What is written -------------------------------------------------------------------------------------------------

TITLES = {subject.name: subject.title for subject in SUBJECTS}
RUN = {
    "machine": {"processor": "one", "cores": 2, "kernel": "Linux", "python": "3"},
    "repetitions": 3,
    "seconds": 8.0,
    "left_out": {"haproxy": "there is none"},
}


def test_the_tables_in_markdown_can_be_read_back() -> None:
    """Cell by cell, and the README keeps what is around them."""
    measurements = [one for ones in everything().values() for one in ones]
    judged = judge(TARGETS, measurements)
    rows = report.target_rows(judged)
    assert report.from_markdown(report.as_markdown(report.TARGET_HEADINGS, rows))[1:] == [list(row) for row in rows]
    written = figures.as_markdown(measurements, judged, TITLES, RUN)
    assert len(report.from_markdown(written)) == 1 + len(TARGETS) + 1 + len(everything())
    readme = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"
    once = figures.between_markers(readme, written)
    assert once == f"before\n<!-- bench -->\n{written}\n<!-- /bench -->\nafter\n"
    assert figures.between_markers(once, written) == once


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    """JSON with everything in it, two plots, and the README where it has the markers."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("<!-- bench --><!-- /bench -->")
    measurements = [one for ones in everything().values() for one in ones]
    measurements[0].closed_after_s = [math.inf]
    figures.write(tmp_path, measurements, judge(TARGETS, measurements), TITLES, RUN)
    told = json.loads((tmp_path / "docs" / "bench.json").read_text())
    assert len(told["measurements"]) == len(measurements)
    assert [one["verdict"] for one in told["targets"]] == [REACHED] * len(TARGETS)
    assert "Bun" in (tmp_path / "README.md").read_text()
    for name in ("bench-cpu.svg", "bench-lateness.svg"):
        root = ET.fromstring((tmp_path / "docs" / name).read_text())  # noqa: S314 - it is our own
        words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"100", "400", "800"} <= words


def test_a_plot_is_well_formed_whatever_is_in_it() -> None:
    """Nothing at all, one point, what has no logarithm, and words that XML must not take for its own."""
    for points in ([], [(100.0, 5.0)], [(1.0, 0.0), (100.0, math.inf), (400.0, 3.0)]):
        ET.fromstring(plot('<"&>', "µs", [Series("a < b & c", points, 99)]))  # noqa: S314 - it is our own
    assert steps(3.0, 12.0) == [2.0, 5.0, 10.0, 20.0]
    assert steps(1.0, 1.0) == [1.0, 2.0]
