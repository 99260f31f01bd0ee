"""The heartbeat: which client it pings when, and what happens to those that do not answer. Time is counted in slots."""

from collections import Counter

import pytest

from tournament.server.heartbeat import PAUSE_AFTER_S, SLOT_S, Heartbeat

SLOTS_A_SECOND = round(1 / SLOT_S)


class Client:
    """A client that answers pings, or does not."""

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
        """Pause as a connection does."""
        self.paused = self.owes

    def end_if_silent(self) -> None:
        """End as a connection does."""
        self.ended = self.ended or self.owes


def run_for(heartbeat: Heartbeat, seconds: float) -> None:
    """Let time pass."""
    for _ in range(round(seconds * SLOTS_A_SECOND)):
        heartbeat.advance()


def test_each_client_is_pinged_once_an_interval() -> None:
    """For as long as it is connected."""
    heartbeat = Heartbeat(6, 6)
    clients = [Client() for _ in range(100)]
    for client in clients:
        heartbeat.join(client)
    run_for(heartbeat, 60)
    assert Counter(len(client.payloads) for client in clients) == {10: 100}
    heartbeat.leave(clients[0])
    run_for(heartbeat, 6)
    assert [len(client.payloads) for client in clients[:2]] == [10, 11]
    assert len(heartbeat) == 99


def test_the_pings_of_a_crowd_are_spread() -> None:
    """Of 1,500 clients that join at once, 10 are pinged in each of the 150 slots of an interval."""
    heartbeat = Heartbeat(6, 6)
    clients = [Client() for _ in range(1_500)]
    for client in clients:
        heartbeat.join(client)
    for _ in range(150):
        before = sum(len(client.payloads) for client in clients)
        heartbeat.advance()
        assert sum(len(client.payloads) for client in clients) - before == 10


def test_a_pong_proves_that_the_ping_was_read() -> None:
    """Each slot has its own random payload."""
    heartbeat = Heartbeat(1, 1)
    client = Client()
    heartbeat.join(client)
    run_for(heartbeat, 50)
    assert len(set(client.payloads)) == 50


def test_a_client_that_does_not_answer_is_paused_and_then_disconnected() -> None:
    """It is pinged at 0 s, receives no frames from 2 s on, and is disconnected at 6 s."""
    heartbeat = Heartbeat(6, 6)
    silent, other = Client(answers=False), Client()
    heartbeat.join(silent)
    heartbeat.join(other)
    heartbeat.advance()
    assert silent.owes
    run_for(heartbeat, PAUSE_AFTER_S - SLOT_S)
    assert not silent.paused
    heartbeat.advance()
    assert silent.paused
    run_for(heartbeat, 4 - SLOT_S)
    assert not silent.ended
    heartbeat.advance()
    assert silent.ended
    assert (other.paused, other.ended) == (False, False)


def test_a_late_answer_counts() -> None:
    """A client that answers while it is paused is not disconnected."""
    heartbeat = Heartbeat(6, 6)
    client = Client(answers=False)
    heartbeat.join(client)
    run_for(heartbeat, 3)
    assert client.paused
    client.owes = client.paused = False
    run_for(heartbeat, 3)
    assert not client.ended


@pytest.mark.parametrize(("interval", "timeout", "ends_after"), [(6, 2, 2.0), (6, 60, 6), (1, 1, 1), (0, 0, SLOT_S)])
def test_interval_and_timeout_are_options(interval: float, timeout: float, ends_after: float) -> None:
    """A timeout above the interval is reduced to it, and neither is less than a slot."""
    heartbeat = Heartbeat(interval, timeout)
    client = Client(answers=False)
    heartbeat.join(client)
    slots = 0
    while not client.ended:
        heartbeat.advance()
        slots += 1
    assert slots == 1 + round(ends_after * SLOTS_A_SECOND)


def test_leaving_twice_or_without_having_joined_has_no_effect() -> None:
    """A client that has left is not pinged."""
    heartbeat, client = Heartbeat(6, 6), Client()
    heartbeat.leave(client)
    heartbeat.join(client)
    heartbeat.leave(client)
    heartbeat.leave(client)
    run_for(heartbeat, 12)
    assert not client.payloads
