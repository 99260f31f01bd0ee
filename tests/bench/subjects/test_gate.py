"""The gate passes ticks on to the subjects that it is open for, and to no others."""

import sys
from contextlib import closing
from pathlib import Path

from bench.subjects.gate import CONTROL, Gate, GateControl, channel_of, publish
from testbed.processes import Broker, Program, Ticker, wait_until
from testbed.subscriber import CHANNEL, Subscriber


def message(channel: str, payload: bytes) -> bytes:
    """Return what Redis sends to a subscriber."""
    return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
        len(channel),
        channel.encode(),
        len(payload),
        payload,
    )


def test_it_is_closed_at_first() -> None:
    """Ticks are dropped."""
    assert Gate().commands(message(CHANNEL, b"tick")) == b""


def test_it_publishes_each_tick_to_the_open_channels() -> None:
    """Unchanged, also if the bytes come in parts; the last order counts."""
    gate = Gate()
    assert gate.commands(message(CONTROL, b"one two")) == b""
    data = message(CHANNEL, b"a\r\ntick")
    assert gate.commands(data[:30]) == b""
    assert gate.commands(data[30:]) == publish(b"one", b"a\r\ntick") + publish(b"two", b"a\r\ntick")
    assert gate.commands(message(CONTROL, b"") + message(CHANNEL, b"tick")) == b""


def test_only_an_open_subject_receives_ticks(broker: Broker, ticker: Ticker, directory: Path) -> None:
    """With the real ticker and a real Redis."""
    ticker.wait_until_leader()
    with (
        closing(Subscriber(broker.port, channel_of("bench-one"))) as one,
        closing(Subscriber(broker.port, channel_of("bench-other"))) as other,
        closing(GateControl(broker.port)) as control,
        Program("gate", [sys.executable, "-m", "bench.subjects.gate", str(broker.port)], directory) as gate,
    ):
        gate.wait_for_output("open")
        control.open_for(["bench-one"])
        wait_until(lambda: len(one.read()) > 0, "the first one receives ticks")
        control.open_for(["bench-other"])
        wait_until(lambda: len(other.read()) > 0, "the second one receives ticks")
        one.socket.setblocking(False)
        _drain(one)
        assert len(other.read()) > 0
        assert _drain(one) == 0


def _drain(subscriber: Subscriber) -> int:
    """Return how many ticks have arrived."""
    count = 0
    while True:
        try:
            count += len(subscriber.read())
        except BlockingIOError:
            return count
