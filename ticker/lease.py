"""The lease: of any number of tickers, the one that holds it publishes.

It is a key in Redis that expires by itself, as in Redis' own pattern for a lock on one server ("Distributed locks with
Redis": SET NX PX, and a token that only its holder can extend or delete). Two things are added. Its validity counts
from before a request was sent, by a clock that nobody can set and that runs on in suspend, so its holder believes in it
for a shorter time than Redis keeps it. And with it comes a `term`, higher than any before, by which a worker knows the
ticks of a ticker that does not know yet that it was taken over from.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import Redis

from ticker.metronome import read_running_clock

# How long it is held without being extended. A ticker that dies is missed for as long.
LEASE_MS: Final = 1_200

# When it is extended, and how long Redis may take for an answer: so two answers may fail to come.
RENEW_AFTER_NS: Final = LEASE_MS * 1_000_000 // 4
PATIENCE: Final = LEASE_MS / 1_000 / 3

# Keys: who holds the lease; the highest term there was. Arguments: the token, milliseconds, a term that was heard of.
# An answer that was lost is no matter: who holds it already gets it again, with another term.
TAKE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
local term = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) or 0, tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], term)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return term
"""

EXTEND: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

RELEASE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class Lease:
    """What one ticker knows of the lease.

    Each method that asks Redis raises RedisError or OSError (TimeoutError is one) where Redis is away, and has let go
    of its connection then: the next one goes to whichever server is the master by now.
    """

    def __init__(
        self, connect: Callable[[], Redis], namespace: str, *, running_clock: Callable[[], int] = read_running_clock
    ) -> None:
        self.term = 0  # the highest that was held
        self._connect = connect
        self._redis: Redis | None = None
        self._keys = (f"{namespace}:lease", f"{namespace}:term")
        self._token = secrets.token_hex(8)
        self._clock = running_clock
        self._valid_until = 0
        self._renew_at = 0

    def is_valid(self) -> bool:
        """Return whether this ticker may publish now."""
        return self._clock() < self._valid_until

    def is_due(self) -> bool:
        """Return whether it is time to extend it."""
        return self._clock() >= self._renew_at

    async def take(self, heard_term: int) -> bool:
        """Take the lease, if nobody else holds it, with a term above all that are stored, held or heard of."""
        asked_at = self._clock()
        term = await self._ask(TAKE, 2, *self._keys, self._token, LEASE_MS, max(heard_term, self.term))
        if term:
            self.term = term
            self._count_from(asked_at)
        return bool(term)

    async def extend(self) -> bool:
        """Hold it for longer; or return False, and it is lost."""
        asked_at = self._clock()
        self._renew_at = asked_at + RENEW_AFTER_NS
        if not self.is_valid():
            return False
        if await self._ask(EXTEND, 1, self._keys[0], self._token, LEASE_MS):
            self._count_from(asked_at)
            return True
        self._valid_until = 0
        return False

    async def release(self) -> None:
        """Let another have it at once."""
        self._valid_until = 0
        try:
            await self._ask(RELEASE, 1, self._keys[0], self._token)
        finally:
            await self.hang_up()

    async def hang_up(self) -> None:
        """Let go of the connection."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.connection_pool.aclose()

    def _count_from(self, asked_at: int) -> None:
        self._valid_until = asked_at + LEASE_MS * 1_000_000
        self._renew_at = asked_at + RENEW_AFTER_NS

    async def _ask(self, script: str, keys: int, *words: Any) -> int:
        if self._redis is None:
            self._redis = self._connect()
        try:
            async with asyncio.timeout(PATIENCE):
                answer: int = await self._redis.eval(script, keys, *words)
        except BaseException:
            await self.hang_up()
            raise
        return answer
