"""The garbage collector: what is scanned, and when everything is."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from tournament.server.garbage import Garbage


class Node:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.myself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """The collector as it was."""
    yield
    gc.unfreeze()


def test_what_survives_is_not_scanned_again() -> None:
    """It is excluded, and what is new is collected."""
    garbage = Garbage(lambda: 10)
    alive = [Node() for _ in range(1_000)]
    dead = weakref.ref(Node())
    garbage.collect()
    assert dead() is None
    assert gc.get_freeze_count() > 1_000
    assert not any(isinstance(one, Node) for one in gc.get_objects())
    assert len(alive) == 1_000


def test_everything_is_scanned_when_the_crowd_has_left() -> None:
    """Garbage that was excluded is collected then, and not before."""
    population = 100
    garbage = Garbage(lambda: population)
    node = Node()
    reference = weakref.ref(node)
    garbage.collect()
    del node
    population = 51
    garbage.collect()
    assert reference() is not None
    population = 49
    garbage.collect()
    assert reference() is None


async def test_it_collects_more_often_while_a_crowd_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, then once a second while nobody comes, and every quarter of a second in a storm."""
    now = 0.0
    population = 0
    collections: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now, population
        now += seconds
        population += 60 if 3 <= now < 4 else 0
        if now > 6:
            raise asyncio.CancelledError

    monkeypatch.setattr("tournament.server.garbage.asyncio.sleep", sleep)
    garbage = Garbage(lambda: population)
    collect = garbage.collect

    def record() -> None:
        collections.append(now)
        collect()

    monkeypatch.setattr(garbage, "collect", record)
    with pytest.raises(asyncio.CancelledError):
        await garbage.run()
    assert collections == [0.0, 1.0, 2.0, 3.0, 3.25, 3.5, 3.75, 4.75, 5.75]
