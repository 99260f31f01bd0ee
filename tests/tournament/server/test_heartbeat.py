"""The heartbeat: whom it pings when, and what becomes of those that do not answer. Time is counted in turns."""

from collections import Counter

import pytest

from tournament.server.heartbeat import PATIENCE, TURN, Heartbeat

TURNS_A_SECOND = round(1 / TURN)


class Client:
    """A client that answers, or does not."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.payloads: list[bytes] = []
        self.owes = False
        self.paused = False
        self.ended = False

    def ping(self, payload: bytes) -> None:
        """Answer at once, or never."""
        self.payloads.append(payload)
        self.owes = not self.answers

    def pause_if_silent(self) -> None:
        """As a connection does."""
        self.paused = self.owes

    def end_if_silent(self) -> None:
        """As a connection does."""
        self.ended = self.ended or self.owes


def take(heartbeat: Heartbeat, seconds: float) -> None:
    """Let so much time pass."""
    for _ in range(round(seconds * TURNS_A_SECOND)):
        heartbeat.take_turn()


def test_each_is_pinged_once_an_interval() -> None:
    """For as long as it stays."""
    heartbeat = Heartbeat(6, 6)
    clients = [Client() for _ in range(100)]
    for client in clients:
        heartbeat.join(client)
    take(heartbeat, 60)
    assert Counter(len(client.payloads) for client in clients) == {10: 100}
    heartbeat.leave(clients[0])
    take(heartbeat, 6)
    assert [len(client.payloads) for client in clients[:2]] == [10, 11]
    assert len(heartbeat) == 99


def test_a_crowd_that_comes_at_once_is_spread() -> None:
    """No turn has more than its share."""
    heartbeat = Heartbeat(6, 6)
    clients = [Client() for _ in range(600)]
    for client in clients:
        heartbeat.join(client)
    for _ in range(60):
        before = sum(len(client.payloads) for client in clients)
        heartbeat.take_turn()
        assert sum(len(client.payloads) for client in clients) - before == 10


def test_nobody_can_know_a_ping_without_reading_it() -> None:
    """Each turn has a payload of its own, which cannot be guessed."""
    heartbeat = Heartbeat(1, 1)
    client = Client()
    heartbeat.join(client)
    take(heartbeat, 50)
    assert len(set(client.payloads)) == 50


def test_who_does_not_answer_is_paused_and_then_ended() -> None:
    """Pinged at 0 s, without frames from 2 s on, and ended at 6 s."""
    heartbeat = Heartbeat(6, 6)
    silent, other = Client(answers=False), Client()
    heartbeat.join(silent)
    heartbeat.join(other)
    heartbeat.take_turn()
    assert silent.owes
    take(heartbeat, PATIENCE - TURN)
    assert not silent.paused
    heartbeat.take_turn()
    assert silent.paused
    take(heartbeat, 4 - TURN)
    assert not silent.ended
    heartbeat.take_turn()
    assert silent.ended
    assert (other.paused, other.ended) == (False, False)


def test_a_late_answer_is_an_answer() -> None:
    """Paused for a while, and then not: the connection sees to that when the pong comes."""
    heartbeat = Heartbeat(6, 6)
    client = Client(answers=False)
    heartbeat.join(client)
    take(heartbeat, 3)
    assert client.paused
    client.owes = client.paused = False
    take(heartbeat, 3)
    assert not client.ended


@pytest.mark.parametrize(("interval", "timeout", "ends_after"), [(6, 2, 2.0), (6, 60, 6.0), (1, 1, 1.0), (0, 0, 0.1)])
def test_interval_and_timeout_are_options(interval: float, timeout: float, ends_after: float) -> None:
    """A timeout above the interval is cut to it, and neither is below a turn."""
    heartbeat = Heartbeat(interval, timeout)
    client = Client(answers=False)
    heartbeat.join(client)
    turns = 0
    while not client.ended:
        heartbeat.take_turn()
        turns += 1
    assert turns == 1 + round(ends_after * TURNS_A_SECOND)


def test_leaving_twice_or_without_having_joined() -> None:
    """Nothing happens."""
    heartbeat, client = Heartbeat(6, 6), Client()
    heartbeat.leave(client)
    heartbeat.join(client)
    heartbeat.leave(client)
    heartbeat.leave(client)
    take(heartbeat, 12)
    assert not client.payloads
