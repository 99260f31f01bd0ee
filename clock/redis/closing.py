"""Closing connections to Redis for certain, whenever the task that closes them is cancelled."""

import asyncio
from typing import Any


async def close(pool: Any) -> None:
    """Close all connections of a pool of redis-py.

    redis-py closes them in tasks of their own. If the caller is cancelled before these have started, they never start,
    and the connections stay open. So a cancellation takes effect after they have ended.

    Raises:
        RedisError, OSError: a connection could not be closed in time.
    """
    closing = asyncio.ensure_future(pool.aclose())
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await asyncio.wait({closing})
        raise
