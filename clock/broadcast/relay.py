"""The relay: receives each tick once for the whole worker, and keeps the newest.

It is the only member of the channel-layer group in this process. It passes each tick that it accepts to the fan-out.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from clock.broadcast.arrivals import Arrivals
from clock.broadcast.fan_out import FanOut
from clock.broadcast.tick_filter import TickFilter
from clock.contract import GROUP, MAX_AT_MS, VERSION, BrokenContract, IncompatibleVersion, Tick
from clock.process.backoff import Backoff
from clock.process.state_log import StateLog
from clock.process.supervisor import Supervisor
from clock.redis.comparison import Comparison, RedisClock, error_bound
from clock.redis.layer import TickLayer, subscribe
from clock.redis.outage import UNAVAILABLE, describe

logger = logging.getLogger(__name__)

# Without a tick for this time the relay subscribes again: a connection that looks open can be dead.
SILENCE_TIMEOUT_S: Final = 2.0

# A subscription that brought ticks for this time is replaced without a pause when it is lost.
STABLE_AFTER_S: Final = 1.0

# Without a tick of an incompatible version for this time, the next one is logged again.
LOG_VERSION_AGAIN_AFTER_S: Final = 60.0

# The first pause between two attempts to subscribe; see `Backoff`.
FIRST_PAUSE_S: Final = 0.1

# The names of the relay's tasks.
RELAY, COMPARISON = "relay", "comparison"

# The states of the relay: before the first tick; ticks arrive; none arrive; Redis is unavailable.
WAITING, FLOWING, SILENT, REDIS_UNAVAILABLE = STATES = ("waiting", "flowing", "silent", "unavailable")


class SilenceError(Exception):
    """No tick has arrived for too long."""


class Instant(NamedTuple):
    """The present time. All values are milliseconds.

    `at` is the time since the Unix epoch, derived from a tick that is `age` old. It differs from the ticker's clock by
    at most `bound`, or `bound` is None if that is unknown. `synchronised` says whether the ticker's clock is
    disciplined by NTP or PTP, or is None if that is unknown.
    """

    at: float
    age: float
    bound: float | None
    synchronised: bool | None


class Relay:
    """Receives the ticks of the group and passes them to the fan-out.

    It subscribes to `layer`, and compares clocks with the Redis of `reference`: the one that the ticker publishes to,
    while `layer` may be that of a replica. Its tasks run under `supervisor`. The task "relay" is vital: without it the
    worker is useless. `now` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        layer: Callable[[], Any],
        *,
        reference: Callable[[], Any] | None = None,
        now: Callable[[], float] = time.monotonic,
        silence_timeout_s: float = SILENCE_TIMEOUT_S,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._layer = layer
        self._reference = reference or layer
        self._now = now
        self._silence_timeout_s = silence_timeout_s
        self.supervisor = supervisor or Supervisor(now=now)
        self.fan_out = FanOut()
        self.tick_filter = TickFilter(now)
        self.arrivals = Arrivals(self._compare)
        self.invalid = 0  # messages to the group that were not valid ticks
        self.subscriptions = 0  # attempts to subscribe
        self._redis_clock: RedisClock | None = None
        self.state = ""  # one of `STATES` once the relay has started
        self._log = StateLog(logger, now)
        self._incompatible_at = float("-inf")  # when the last tick of another version arrived

    def instant(self) -> Instant | None:
        """Return the present time by the ticker's clock, or None before the first tick."""
        tick = self.tick_filter.last
        if tick is None:
            return None
        now = self._now()
        age_ms = (now - self.tick_filter.accepted_at) * 1_000
        at = min(tick.at + age_ms, MAX_AT_MS)
        ticker = Comparison(tick.server, tick.ahead, tick.margin) if tick.server else None
        bound_ms = error_bound(at, now_ms=now * 1_000, age_ms=age_ms, worker=self._compare(), ticker=ticker)
        return Instant(at, age_ms, bound_ms, tick.synchronised)

    def _compare(self) -> Comparison | None:
        """Return the comparison of this worker's clock with that of Redis, or None if it is unknown."""
        return self._redis_clock.read() if self._redis_clock else None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped. It may be waiting for a restart."""
        return self.supervisor.is_supervised(RELAY)

    def down_for(self) -> float:
        """Return for how many seconds its task has failed; 0 while the task runs, and before the start.

        An unavailable Redis is not a failure of the task.
        """
        return self.supervisor.down_for(RELAY)

    def start(self) -> None:
        """Start on the running event loop. Nothing happens if it is running."""
        if not self.is_running:
            self.supervisor.start(RELAY, self._run, vital=True)
            self.supervisor.start(COMPARISON, self._compare_clocks)

    async def stop(self) -> None:
        """Stop, and disconnect from Redis."""
        await self.supervisor.stop(RELAY, COMPARISON)

    async def _compare_clocks(self) -> None:
        """Compare clocks forever. Only our own layer can connect to the Redis that carries the group."""
        reference = self._reference()
        if isinstance(reference, TickLayer):
            self._redis_clock = RedisClock(lambda: reference.connect(GROUP), lambda: self._now() * 1_000)
            await self._redis_clock.run()

    async def _run(self) -> None:
        """Receive ticks forever. Subscribe again whenever the ticks stop or Redis is unavailable."""
        layer = self._layer()
        backoff = Backoff(FIRST_PAUSE_S)
        self._enter(WAITING, logging.INFO, "waiting for the first tick")
        while True:
            last, started_at = self.tick_filter.last, self._now()
            self.subscriptions += 1
            try:
                await self._receive(layer)
            except SilenceError:
                if self._incompatible_at >= started_at:  # ticks arrive, and the reason to drop them is in the log
                    self.state = self._log.logged = SILENT
                else:
                    message = f"no ticks for {self._silence_timeout_s:g} s: resubscribing"
                    self._enter(SILENT, logging.WARNING, message)
            except UNAVAILABLE as error:
                self._enter(REDIS_UNAVAILABLE, logging.WARNING, f"Redis is unavailable, retrying: {describe(error)}")
            if self.tick_filter.last is not last:
                backoff.reset()
                if self._now() - started_at >= STABLE_AFTER_S:
                    continue
            await asyncio.sleep(backoff.pause())

    async def _receive(self, layer: Any) -> None:
        """Subscribe, and receive ticks until none has arrived for the silence timeout.

        Raises:
            SilenceError: no tick has arrived for the silence timeout.
            RedisError, OSError: Redis is unavailable.
        """
        started_at = self._now()
        subscription = asyncio.create_task(subscribe(layer, GROUP, self._on_messages, self._on_invalid))
        try:
            while not subscription.done():
                # Polled: a timer that is reset by every tick would cost more than the rest of the tick's path.
                silence_s = self._now() - max(started_at, self.tick_filter.accepted_at)
                if silence_s >= self._silence_timeout_s:
                    raise SilenceError
                await asyncio.wait({subscription}, timeout=self._silence_timeout_s - silence_s)
            await subscription
        finally:
            subscription.cancel()
            await asyncio.gather(subscription, return_exceptions=True)

    def _on_messages(self, messages: list[Any]) -> None:
        """Handle messages that arrived together, and pass the newest tick to the fan-out."""
        newest = None
        for message in messages:
            try:
                tick = Tick.from_message(message)
            except BrokenContract as error:
                self._on_invalid()
                if isinstance(error, IncompatibleVersion):
                    self._on_incompatible(error.version)
                else:
                    logger.debug("dropped a message: %s", error)
            else:
                if self.tick_filter.accept(tick):
                    self.arrivals.record(tick, self.tick_filter.accepted_at)
                    self.fan_out.counts.conflated += newest is not None
                    newest = tick
        if newest is not None:
            self.fan_out.send(newest)
            if not self.state == self._log.logged == FLOWING:
                self._enter(FLOWING, logging.INFO, "receiving ticks")

    def _on_invalid(self) -> None:
        self.invalid += 1

    def _on_incompatible(self, version: int) -> None:
        """Log the first of a series of ticks that this worker cannot read."""
        now = self._now()
        if now - self._incompatible_at >= LOG_VERSION_AGAIN_AFTER_S:
            logger.warning("incompatible tick version %d, this worker reads %d", version, VERSION)
        self._incompatible_at = now

    def _enter(self, state: str, level: int, message: str) -> None:
        """Change the state, and log the change once."""
        self.state = state
        self._log.enter(state, level, message)
