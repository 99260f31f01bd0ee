"""The lease: of any number of tickers, the one that holds it is the leader and publishes.

The lease is a key in Redis that expires, after Redis' own pattern for a lock on one server ("Distributed locks with
Redis": SET NX PX, and a token that only the holder can renew or delete). Two things are added. Its validity counts from
before the request was sent, by a clock that cannot be set and that continues during suspend. So the holder considers it
valid for a shorter time than Redis keeps it. And each lease has a `term`, a fencing token that is higher than all
before it. By the term a worker recognises the ticks of a former leader that does not know yet that another one took
over.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from clock.redis.closing import close
from ticker.lease_scripts import ACQUIRE, ALLOW_OOM, CHECK, LEASE_MS, RELEASE, RENEW
from ticker.metronome import read_monotonic_ns

logger = logging.getLogger(__name__)

LEASE_NS: Final = LEASE_MS * 1_000_000

# The interval between renewals, and the longest wait for a reply. So two replies may be lost without losing the lease.
RENEW_AFTER_NS: Final = LEASE_NS // 4
TIMEOUT_S: Final = LEASE_MS / 1_000 / 3

# The highest random rise of the term when the holder finds that Redis has lost the lease. If Redis retains neither
# lease nor term, two tickers that start together get the same term; the random rise makes their terms differ.
MAX_TERM_RISE: Final = 1_000

# The same warning is logged at most once an hour.
WARN_AGAIN_AFTER_NS: Final = 3_600 * 10**9

_ADVICE: Final = "free memory there, raise maxmemory, or give the clock a Redis of its own"


class Lease:
    """The lease, as one ticker knows it.

    Each method that sends a request raises RedisError or OSError (which includes TimeoutError) if Redis is unavailable.
    It has disconnected then, so that the next request goes to the server that is the master by that time.
    """

    def __init__(
        self, connect: Callable[[], Redis], namespace: str, *, monotonic_ns: Callable[[], int] = read_monotonic_ns
    ) -> None:
        self.term = 0  # the highest that this ticker has held
        self.expires_in_s = 0.0  # how long another ticker's lease was valid at the last attempt to acquire it
        self.is_retained = True  # whether Redis retains the lease between two requests, as far as is known
        self._connect = connect
        self._redis: Redis | None = None
        self._keys = (f"{namespace}:lease", f"{namespace}:term")
        self._token = secrets.token_hex(8)
        self._monotonic_ns = monotonic_ns
        self._valid_until_ns = 0
        self._renew_at_ns = 0
        self._script_prefix = ALLOW_OOM
        self._warned_at_ns: dict[str, int] = {}

    def is_valid(self) -> bool:
        """Return whether this ticker may publish now."""
        return self._monotonic_ns() < self._valid_until_ns

    def is_renewal_due(self) -> bool:
        """Return whether it is time to renew the lease."""
        return self._monotonic_ns() >= self._renew_at_ns

    async def acquire(self, received_term: int) -> bool:
        """Acquire the lease if nobody else holds it. Its term is above all that are stored, held or credibly received.

        Some servers do not retain the lease until the next request (`is_retained`). If that is not known yet, it is
        tested now, and the lease is not acquired: that the key was free proved nothing.
        """
        requested_at_ns = self._monotonic_ns()
        term, left_ms, foreign_lease, foreign_term = await self._request(ACQUIRE, self.term, received_term)
        self.expires_in_s = left_ms / 1_000
        if not term:
            return False
        self.term = term
        self._set_validity(requested_at_ns)
        if foreign_lease:
            logger.warning("replaced %r, which no ticker has written: nobody else may write to it", self._keys[0])
        if foreign_term:
            logger.warning("replaced %r, which was not a valid term: it is %d now", self._keys[1], term)
        if not self.is_retained or (await self.renew() and self.is_retained):
            return True
        await self.release()
        return False

    async def renew(self) -> bool:
        """Extend the lease, or return False if it is lost.

        If Redis has lost it and nobody else has held it since, it is acquired again without a gap, and `is_retained`
        becomes False. In that case the term rises, unless `is_retained` was False before.
        """
        requested_at_ns = self._monotonic_ns()
        self._renew_at_ns = requested_at_ns + RENEW_AFTER_NS
        if not self.is_valid():
            return False
        rise = 1 + secrets.randbelow(MAX_TERM_RISE) if self.is_retained else 0
        term, acquired_again = await self._request(RENEW, self.term, rise)
        if not term:
            self.invalidate()
            return False
        self.term, self.is_retained = term, not acquired_again
        if acquired_again:
            self._warn("Redis had lost the lease, which was acquired again: if Redis evicts keys, " + _ADVICE)
        self._set_validity(requested_at_ns)
        return True

    async def is_held(self) -> bool:
        """Return whether any ticker holds the lease."""
        (is_held,) = await self._request(CHECK)
        self.is_retained = self.is_retained or bool(is_held)
        return bool(is_held)

    def invalidate(self) -> None:
        """Stop considering the lease valid."""
        self._valid_until_ns = 0

    async def release(self) -> None:
        """Delete the lease in Redis, so that another ticker can acquire it at once, and disconnect."""
        self.invalidate()
        try:
            await self._request(RELEASE)
        finally:
            await self.disconnect()

    async def disconnect(self) -> None:
        """Close the connection to Redis."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await close(redis.connection_pool)

    def _set_validity(self, requested_at_ns: int) -> None:
        self._valid_until_ns = requested_at_ns + LEASE_NS
        self._renew_at_ns = requested_at_ns + RENEW_AFTER_NS

    async def _request(self, script: str, *arguments: int) -> list[int]:
        if self._redis is None:
            self._redis = self._connect()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._evaluate(self._redis, script, *arguments)
        except OutOfMemoryError:
            self._warn("Redis is out of memory and refuses the lease: " + _ADVICE)
            await self.disconnect()
            raise
        except BaseException:
            await self.disconnect()
            raise

    async def _evaluate(self, redis: Redis, script: str, *arguments: int) -> list[int]:
        words: tuple[str | int, ...] = (*self._keys, self._token, *arguments)
        try:
            reply: list[int] = await redis.eval(self._script_prefix + script, len(self._keys), *words)
        except ResponseError as error:
            if not (self._script_prefix and "compil" in str(error).lower()):
                raise
            self._script_prefix = ""  # a server before Redis 7, to which the prefix is a syntax error
            reply = await redis.eval(script, len(self._keys), *words)
        return reply

    def _warn(self, text: str) -> None:
        """Log a warning, but not the same one again within an hour."""
        now_ns = self._monotonic_ns()
        if text not in self._warned_at_ns or now_ns - self._warned_at_ns[text] >= WARN_AGAIN_AFTER_NS:
            self._warned_at_ns[text] = now_ns
            logger.warning(text)
