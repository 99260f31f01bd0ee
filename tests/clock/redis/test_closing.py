"""Closing the connections to Redis while the task that closes them is cancelled."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from clock.redis.closing import close
from testbed.processes import Broker


@pytest.fixture
async def redis(broker: Broker) -> AsyncIterator[Redis]:
    """A client with an open connection. It must not have one in the end."""
    redis = Redis.from_url(broker.url)
    await redis.ping()
    yield redis
    (connection,) = redis.connection_pool._available_connections
    assert not connection.is_connected


async def test_the_connections_of_a_pool_are_closed(redis: Redis) -> None:
    """All of them."""
    await close(redis.connection_pool)


@pytest.mark.parametrize("iterations", range(6))
async def test_a_cancellation_does_not_leave_connections_open(redis: Redis, iterations: int) -> None:
    """In any of the event loop's first iterations. It takes effect unless all is done already."""
    closing = asyncio.create_task(close(redis.connection_pool))
    for _ in range(iterations):
        await asyncio.sleep(0)
    was_done = closing.done()
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled() is not was_done
    if not iterations:  # it had not even begun
        await close(redis.connection_pool)


async def test_an_error_of_the_pool_is_raised() -> None:
    """The caller decides what it means."""

    class Pool:
        async def aclose(self) -> None:
            raise OSError("too late")

    with pytest.raises(OSError, match="too late"):
        await close(Pool())
