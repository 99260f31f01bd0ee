"""The garbage collector: what is scanned, and when everything is."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from tournament.server.garbage import BLOCKS_PER_VIEWER, MAX_GARBAGE_BLOCKS, Garbage


class Node:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.myself = self


class Worker:
    """How many viewers there are, and how much memory they take."""

    def __init__(self) -> None:
        self.viewers = 0
        self.blocks = 400_000
        self.garbage = Garbage(lambda: self.viewers, blocks=lambda: self.blocks)
        self.garbage.start()
        self._old = old_garbage()

    def change(self, *, viewers: int = 0, blocks: int = 0) -> None:
        """Have more of them, or fewer, a second later."""
        self.viewers += viewers
        self.blocks += blocks
        self.garbage.check()

    @property
    def has_collected(self) -> bool:
        """Whether all garbage has been collected, since the last call."""
        has_collected = self._old() is None
        if has_collected:
            self._old = old_garbage()
        return has_collected


def old_garbage() -> weakref.ref[Node]:
    """Return a reference to garbage that only a scan of everything finds."""
    node = Node()
    gc.collect()
    return weakref.ref(node)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The collector as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.fixture
def worker() -> Worker:
    """A worker without viewers, which has just started."""
    return Worker()


def test_what_exists_at_the_start_is_never_scanned() -> None:
    """Modules, classes and functions: several times what a hundred viewers have."""
    node = Node()
    Garbage(lambda: 0).start()
    assert not any(one is node for one in gc.get_objects())


def test_old_objects_are_not_scanned_by_themselves(worker: Worker) -> None:
    """Any number of new objects changes nothing, and new garbage is collected all the same."""
    objects = [[number] for number in range(200_000)]
    assert not worker.has_collected
    new = weakref.ref(Node())
    objects += [[number] for number in range(20_000)]
    assert new() is None


def test_a_crowd_that_arrives_and_leaves_is_not_scanned(worker: Worker) -> None:
    """It takes the memory that it needs, and returns it."""
    for _ in range(90):
        worker.change(viewers=100, blocks=100 * BLOCKS_PER_VIEWER)
    for _ in range(90):
        worker.change(viewers=-100, blocks=-100 * BLOCKS_PER_VIEWER)
    assert not worker.has_collected


@pytest.mark.parametrize("viewers", [1, 9_000])
def test_garbage_is_collected_when_there_is_much(worker: Worker, viewers: int) -> None:
    """However slowly it grows, and again and again."""
    worker.change(viewers=viewers, blocks=viewers * BLOCKS_PER_VIEWER)
    for _ in range(3):
        for _ in range(100):
            worker.change(blocks=MAX_GARBAGE_BLOCKS // 100)
        assert not worker.has_collected
        worker.change(blocks=1)
        assert worker.has_collected


def test_those_who_leave_do_not_hide_garbage(worker: Worker) -> None:
    """What they return is no room for garbage."""
    worker.change(viewers=9_000, blocks=9_000 * BLOCKS_PER_VIEWER)
    worker.change(viewers=-9_000, blocks=-9_000 * BLOCKS_PER_VIEWER)
    worker.change(blocks=MAX_GARBAGE_BLOCKS + 1)
    assert worker.has_collected


async def test_it_starts_at_once_and_checks_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first collection interrupts nobody."""
    events: list[str | float] = []

    async def sleep(seconds: float) -> None:
        events.append(seconds)
        if len(events) > 5:
            raise InterruptedError

    garbage = Garbage(lambda: 0)
    monkeypatch.setattr("tournament.server.garbage.asyncio.sleep", sleep)
    monkeypatch.setattr(garbage, "start", lambda: events.append("start"))
    monkeypatch.setattr(garbage, "check", lambda: events.append("check"))
    with pytest.raises(InterruptedError):
        await garbage.run()
    assert events == ["start", 1.0, "check", 1.0, "check", 1.0]
