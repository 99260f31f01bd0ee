"""The link: connections one way, reports the other."""

import socket
from collections.abc import Iterator

import pytest

from tournament.processes.link import (
    CONNECTION,
    DRAIN,
    Report,
    ReportReader,
    ReportWriter,
    open_link,
    receive,
    send_connection,
)

REPORT = Report(viewers=412, received=5_000_000_000, is_ready=True, is_open=False)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a link: the supervisor's and the worker's."""
    near, far = open_link()
    with near, far:
        yield near, far


def test_a_connection_arrives_open(ends: tuple[socket.socket, socket.socket]) -> None:
    """The worker gets the same connection, also after the supervisor has closed its own descriptor."""
    client, accepted = socket.socketpair()
    with client:
        send_connection(ends[0], accepted)
        accepted.close()
        kind, connection = receive(ends[1])
        assert kind == CONNECTION
        assert connection is not None
        with connection:
            client.sendall(b"hello")
            assert connection.recv(5) == b"hello"


def test_messages_arrive_one_by_one(ends: tuple[socket.socket, socket.socket]) -> None:
    """In the order in which they were sent, each with its own connection; then there is none; then they end."""
    near, far = ends
    clients = []
    for _ in range(3):
        client, accepted = socket.socketpair()
        with accepted:
            send_connection(near, accepted)
        clients.append(client)
    near.send(DRAIN)
    for client in clients:
        _, connection = receive(far)
        assert connection is not None
        with client, connection:
            client.sendall(b"%d" % client.fileno())
            assert connection.recv(10) == b"%d" % client.fileno()
    assert receive(far) == (DRAIN, None)
    with pytest.raises(BlockingIOError):
        receive(far)
    near.shutdown(socket.SHUT_WR)
    assert receive(far) == (b"", None)


def test_a_full_link_refuses_connections(ends: tuple[socket.socket, socket.socket]) -> None:
    """The supervisor never waits for a worker that does not receive."""
    client, accepted = socket.socketpair()
    with client, accepted, pytest.raises(OSError, match=r"temporarily unavailable|Too many references"):
        for _ in range(100_000):
            send_connection(ends[0], accepted)


def test_only_the_newest_report_counts(ends: tuple[socket.socket, socket.socket]) -> None:
    """Older ones that arrived with it are dropped. Without a new one there is none."""
    near, far = ends
    reader, writer = ReportReader(near), ReportWriter(far)
    assert reader.read() is None
    writer.write(Report(1, 2, is_ready=False, is_open=True))
    writer.write(REPORT)
    assert reader.read() == REPORT
    assert reader.read() is None


def test_a_report_may_arrive_in_parts(ends: tuple[socket.socket, socket.socket]) -> None:
    """It counts when all of it has arrived."""
    near, far = ends
    reader = ReportReader(near)
    ReportWriter(far).write(REPORT)
    data = near.recv(100)
    far.send(data[:5])
    assert reader.read() is None
    far.send(data[5:] + data[:3])
    assert reader.read() == REPORT
    far.send(data[3:])
    assert reader.read() == REPORT


def test_reports_that_nobody_reads_are_dropped(ends: tuple[socket.socket, socket.socket]) -> None:
    """A worker never waits for its supervisor, and what arrives in the end is whole."""
    near, far = ends
    reader, writer = ReportReader(near), ReportWriter(far)
    for number in range(20_000):
        writer.write(Report(number, number, is_ready=True, is_open=True))
    read = [report for _ in range(1_000) if (report := reader.read())]
    assert 0 < len(read) < 1_000
    assert all(report.viewers == report.received for report in read)
    writer.write(REPORT)
    writer.write(REPORT)
    assert reader.read() == REPORT


def test_a_report_to_a_supervisor_that_has_ended_fails(ends: tuple[socket.socket, socket.socket]) -> None:
    """So the worker notices, even if it receives nothing."""
    near, far = ends
    near.close()
    with pytest.raises(OSError, match="Broken pipe"):
        ReportWriter(far).write(REPORT)
