"""The lease: of any number of tickers, the one that holds it publishes.

It is a key in Redis that expires by itself, as in Redis' own pattern for a lock on one server ("Distributed locks with
Redis": SET NX PX, and a token that only its holder can extend or delete). Two things are added. Its validity counts
from before a request was sent, by a clock that nobody can set and that runs on in suspend, so its holder believes in it
for a shorter time than Redis keeps it. And with it comes a `term`, higher than any before, by which a worker knows the
ticks of a ticker that does not know yet that it was taken over from.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from ticker.lease_scripts import ALLOW_OOM, EXTEND, LEASE_MS, LOOK, RELEASE, TAKE
from ticker.metronome import read_running_clock

logger = logging.getLogger(__name__)

# When it is extended, and how long Redis may take for an answer: so two answers may fail to come.
RENEW_AFTER_NS: Final = LEASE_MS * 1_000_000 // 4
PATIENCE: Final = LEASE_MS / 1_000 / 3

# By how much the term rises at most when the holder finds that Redis lost the lease. It is left to chance: where Redis
# keeps neither lease nor term, two tickers that start together get the same term, and this tells them apart.
MAX_RISE: Final = 1_000

# Nanoseconds between two equal warnings: an hour.
WARN_AGAIN_AFTER_NS: Final = 3_600 * 10**9

_ADVICE: Final = "free memory there, raise maxmemory, or give the clock a Redis of its own"


class Lease:
    """What one ticker knows of the lease.

    Each method that asks Redis raises RedisError or OSError (TimeoutError is one) where Redis is away, and has let go
    of its connection then: the next one goes to whichever server is the master by now.
    """

    def __init__(
        self, connect: Callable[[], Redis], namespace: str, *, running_clock: Callable[[], int] = read_running_clock
    ) -> None:
        self.term = 0  # the highest that was held
        self.free_in = 0.0  # seconds until another's lease runs out, unless extended, as of the last attempt to take it
        self.is_kept = True  # whether Redis still has it after a while, as far as is known
        self._connect = connect
        self._redis: Redis | None = None
        self._keys = (f"{namespace}:lease", f"{namespace}:term")
        self._token = secrets.token_hex(8)
        self._clock = running_clock
        self._valid_until = 0
        self._renew_at = 0
        self._header = ALLOW_OOM
        self._warned: dict[str, int] = {}

    def is_valid(self) -> bool:
        """Return whether this ticker may publish now."""
        return self._clock() < self._valid_until

    def is_due(self) -> bool:
        """Return whether it is time to extend it."""
        return self._clock() >= self._renew_at

    async def take(self, heard_term: int) -> bool:
        """Take the lease, if nobody else holds it, with a term above all that are stored, held or credibly heard of.

        Redis may be unable to keep it until the next command. Where that is not known yet (`is_kept`), it is found out
        now, and the lease is not taken: that it was free proved nothing.
        """
        asked_at = self._clock()
        term, left, foreign_lease, foreign_term = await self._ask(TAKE, self.term, heard_term)
        self.free_in = left / 1_000
        if not term:
            return False
        self.term = term
        self._count_from(asked_at)
        if foreign_lease:
            logger.warning("replaced %r, which no ticker has written: it must not be written to", self._keys[0])
        if foreign_term:
            logger.warning("replaced %r, which held no valid term: now it is %d", self._keys[1], term)
        if not self.is_kept or (await self.extend() and self.is_kept):
            return True
        await self.release()
        return False

    async def extend(self) -> bool:
        """Hold it for longer; or return False, and it is lost.

        If Redis has lost it, and nobody else has held it since, it is taken anew without a break, and `is_kept` is
        False. The term rises with that, but not if it was False before.
        """
        asked_at = self._clock()
        self._renew_at = asked_at + RENEW_AFTER_NS
        if not self.is_valid():
            return False
        rise = 1 + secrets.randbelow(MAX_RISE) if self.is_kept else 0
        term, anew = await self._ask(EXTEND, self.term, rise)
        if not term:
            self.give_up()
            return False
        self.term, self.is_kept = term, not anew
        if anew:
            self._warn("Redis has lost the lease, and it was taken anew: if Redis evicts keys, " + _ADVICE)
        self._count_from(asked_at)
        return True

    async def is_held(self) -> bool:
        """Return whether any ticker holds it."""
        (held,) = await self._ask(LOOK)
        self.is_kept = self.is_kept or bool(held)
        return bool(held)

    def give_up(self) -> None:
        """Believe in it no longer."""
        self._valid_until = 0

    async def release(self) -> None:
        """Let another have it at once."""
        self.give_up()
        try:
            await self._ask(RELEASE)
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

    async def _ask(self, script: str, *words: Any) -> list[int]:
        if self._redis is None:
            self._redis = self._connect()
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._evaluate(self._redis, script, *words)
        except OutOfMemoryError:
            self._warn("Redis is out of memory and refuses the lease: " + _ADVICE)
            await self.hang_up()
            raise
        except BaseException:
            await self.hang_up()
            raise

    async def _evaluate(self, redis: Redis, script: str, *words: Any) -> list[int]:
        ask = (len(self._keys), *self._keys, self._token, *words)
        try:
            answer: list[int] = await redis.eval(self._header + script, *ask)
        except ResponseError as error:
            if not (self._header and "compil" in str(error).lower()):
                raise
            self._header = ""  # a server before Redis 7, which takes its first line for a mistake
            answer = await redis.eval(script, *ask)
        return answer

    def _warn(self, text: str) -> None:
        """Log a warning, but not the same one again within an hour."""
        now = self._clock()
        if text not in self._warned or now - self._warned[text] >= WARN_AGAIN_AFTER_NS:
            self._warned[text] = now
            logger.warning(text)
