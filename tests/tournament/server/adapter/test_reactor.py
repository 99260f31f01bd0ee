"""The reactor: which events are handled at once, and which wait while a crowd has thousands of them."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from tournament.server.adapter.reactor import EVENTS_SLICE_S, MonotonicReactor


class Descriptor:
    """A socket to read from. Each read takes a millisecond, by the test's clock."""

    is_prompt = False

    def __init__(self, on_read: Callable[["Descriptor"], None]) -> None:
        self.peer, self.socket = socket.socketpair()
        self.socket.setblocking(False)
        self._on_read = on_read

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self.socket.fileno()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """Return the name in Twisted's log."""
        return "descriptor"

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Read a byte."""
        self.socket.recv(1)
        self._on_read(self)


class Crowd:
    """A reactor with descriptors. `reads` has what was read, `iterations` how much was read after each iteration."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = uvloop.new_event_loop()
        self.reactor = MonotonicReactor(self.loop)
        self.reads: list[Descriptor] = []
        self.iterations: list[int] = []
        self.descriptors: list[Descriptor] = []
        self._now = 0.0
        monkeypatch.setattr("tournament.server.adapter.reactor.time.monotonic", lambda: self._now)

    def add(self, count: int, *, is_prompt: bool = False) -> list[Descriptor]:
        """Add descriptors."""
        new = [Descriptor(self._read) for _ in range(count)]
        for one in new:
            one.is_prompt = is_prompt
            self.reactor.addReader(one)
        self.descriptors += new
        return new

    def _read(self, descriptor: Descriptor) -> None:
        self._now += 0.001
        self.reads.append(descriptor)

    def run(self, iterations: int) -> None:
        """Run the loop for so many iterations."""

        def iterate(left: int) -> None:
            self.iterations.append(len(self.reads))
            if left:
                self.loop.call_soon(iterate, left - 1)
            else:
                self.loop.stop()

        self.loop.call_soon(iterate, iterations)
        self.loop.run_forever()

    def close(self) -> None:
        """Close all descriptors."""
        for one in self.descriptors:
            self.reactor.removeReader(one)
            one.peer.close()
            one.socket.close()
        self.reactor.removeAll()
        self.loop.close()


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    """A reactor without descriptors."""
    crowd = Crowd(monkeypatch)
    yield crowd
    crowd.close()


def write(descriptors: list[Descriptor]) -> None:
    """Make descriptors ready."""
    for one in descriptors:
        one.peer.send(b"x")


def test_events_are_handled_for_a_slice_in_each_iteration(crowd: Crowd) -> None:
    """All of them in their turn, each once. A tick that arrives meanwhile waits for one slice."""
    descriptors = crowd.add(100)
    write(descriptors)
    crowd.run(60)
    assert sorted(map(id, crowd.reads)) == sorted(map(id, descriptors))
    steps = [after - before for before, after in zip([0, *crowd.iterations], crowd.iterations, strict=False)]
    assert max(steps) <= 2 * EVENTS_SLICE_S / 0.001
    assert sum(step > 0 for step in steps) >= 100 / (2 * EVENTS_SLICE_S / 0.001)


def test_who_came_first_is_served_first(crowd: Crowd) -> None:
    """Events that come while others wait do not overtake them."""
    first, second = crowd.add(20), crowd.add(5)
    write(first)
    crowd.run(2)
    assert len(crowd.reads) < 20
    write(second)
    crowd.run(40)
    assert {id(one) for one in crowd.reads[:20]} == {id(one) for one in first}
    assert {id(one) for one in crowd.reads[20:]} == {id(one) for one in second}


def test_a_prompt_descriptor_does_not_wait(crowd: Crowd) -> None:
    """Such as that of a viewer, whose pong is due."""
    others = crowd.add(50)
    (viewer,) = crowd.add(1, is_prompt=True)
    write(others)
    crowd.run(2)
    write([viewer])
    crowd.run(3)
    assert viewer in crowd.reads
    assert len(crowd.reads) < 51


def test_what_was_deferred_is_watched_again(crowd: Crowd) -> None:
    """A second event of each descriptor is reported like the first."""
    descriptors = crowd.add(30)
    for count in (1, 2, 3):
        write(descriptors)
        crowd.run(40)
        assert len(crowd.reads) == 30 * count


def test_a_descriptor_that_is_not_watched_any_more_is_not_read(crowd: Crowd) -> None:
    """It was paused, or closed, while its event waited. When it is watched again, it is read."""
    descriptors = crowd.add(30)
    write(descriptors)
    crowd.run(2)
    waiting: list[Any] = [one for one in descriptors if one not in crowd.reads]
    assert len(waiting) > 10
    for one in waiting:
        crowd.reactor.removeReader(one)
    crowd.run(20)
    assert not set(waiting) & set(crowd.reads)
    crowd.reactor.addReader(waiting[0])
    crowd.run(5)
    assert waiting[0] in crowd.reads
