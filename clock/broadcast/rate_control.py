"""The rate control: chooses the rate of viewers that requested `rate=auto`, and knows when the worker is full.

A page shows the same picture at 10 frames a second as at 100, because it estimates the time in between. So while there
is room the rate is the highest one, and in a crowd it is lower. One level applies to all of them, newcomers included.

It goes down at once: when the predicted load is too high, or ticks are conflated. It goes up only if the prediction at
the higher rate fits with a margin, after a dwell time. From 50 to 100 frames per second the load doubles, so two plain
thresholds would oscillate; and workers on one host influence each other through its cores. So the dwell time varies at
random, and doubles with each rise that did not last.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from clock.broadcast.fan_out import FanOut
from clock.broadcast.load import Load, Reading
from clock.contract import AUTO, AUTO_RATES, StreamRequest

logger = logging.getLogger(__name__)

# Seconds between two decisions.
INTERVAL_S: Final = 0.25

# Predicted loads: above `TOO_HIGH` the rate goes down, to the highest one at or below `TARGET`. It goes up if the load
# would be at most `ROOM`.
TOO_HIGH: Final = 0.72
TARGET: Final = 0.65
ROOM: Final = 0.58

# Seconds for which there must be room before the rate goes up, at least and at most, and how much they vary.
MIN_DWELL_S: Final = 3.0
MAX_DWELL_S: Final = 48.0
JITTER: Final = 0.25

# A rise that lasted for so many seconds was right, and the dwell time starts again with the minimum.
STABLE_AFTER_S: Final = 120.0

# Predicted load from which on a lower rate can help against conflation. Below it, something else keeps the worker busy.
MIN_HELPED: Final = 0.25

# Seconds that a lower rate has to show its effect on conflation.
SETTLE_S: Final = 0.5

# Predicted loads at the lowest rate, from which on newcomers with a high explicit rate are refused, and all newcomers;
# each with the load below which they are accepted again. The whole core may be used: where it is not enough for a
# moment, viewers receive fewer frames, but none that is late (see `FanOut`).
BUSY_FROM, BUSY_UNTIL = 1.0, 0.94
FULL_FROM, FULL_UNTIL = 1.06, 1.0

# Where nobody leaves the rate to the worker, all these are so many times as high. Then nobody else has given up frames
# for those who request many, and what they lose to each other are a few of a hundred.
OVERBOOKING: Final = 1.2

# Explicit rates above this are refused first.
MAX_MODEST_RATE: Final = AUTO_RATES[-1]


class RateControl:
    """Decides for one fan-out. `lowest_rate` is one of the contract's `AUTO_RATES`. `now` is a monotonic clock."""

    def __init__(
        self,
        fan_out: FanOut,
        lowest_rate: int = AUTO_RATES[-1],
        *,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.load = Load()
        self._fan_out = fan_out
        self._rates = [rate for rate in AUTO_RATES if rate >= lowest_rate]
        self._now = now
        self._cpu = cpu
        self._jitter = jitter
        self._dwell_s = MIN_DWELL_S
        self._changed_at = self._room_since = now()
        self._wait_s = self._draw_wait_s()  # the dwell time of the next rise, with its jitter
        self._was_raised = False  # by the last change
        self._is_busy = self.is_full = False  # the load would be too high even at the lowest rate

    def has_room_for(self, request: StreamRequest) -> bool:
        """Return whether a newcomer with this request can be accepted."""
        self._judge_load()
        is_modest = request.rate == AUTO or int(request.rate) <= MAX_MODEST_RATE
        return not (self.is_full or (self._is_busy and not is_modest))

    def predict(self, auto_rate: int) -> float:
        """Return the load if viewers with `rate=auto` receive so many frames per second."""
        return self.load.predict(len(self._fan_out), self._fan_out.frames_per_second(auto_rate))

    @property
    def saturation(self) -> float:
        """The predicted load at the lowest rate, as a share of the one from which on the worker is full."""
        return self._lowest_load() / FULL_FROM

    async def run(self) -> None:
        """Decide every `INTERVAL_S` seconds, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.decide()

    def decide(self) -> None:
        """Measure the load since the last decision, and change the rate if that is due."""
        counts, now = self._fan_out.counts, self._now()
        self.load.observe(
            Reading(
                now=now,
                cpu_s=self._cpu(),
                writing_s=counts.writing_s,
                frames=counts.due,
                rounds=counts.rounds,
                conflated=counts.conflated,
            )
        )
        self._judge_load()
        index = self._rates.index(self._fan_out.auto_rate)
        load = self.predict(self._rates[index])
        is_overrun = self.load.is_overrun and load >= MIN_HELPED and now - self._changed_at >= SETTLE_S
        if index + 1 < len(self._rates) and (is_overrun or load > TOO_HIGH):
            self._lower(index, now)
        elif index > 0 and not self.load.is_overrun and self.predict(self._rates[index - 1]) <= ROOM:
            if now - self._room_since >= self._wait_s:
                self._raise(index, now)
        else:
            self._room_since = now

    def _judge_load(self) -> None:
        load = self._lowest_load()
        self._is_busy = load >= (BUSY_UNTIL if self._is_busy else BUSY_FROM)
        self.is_full = load >= (FULL_UNTIL if self.is_full else FULL_FROM)

    def _lowest_load(self) -> float:
        load = self.predict(self._rates[-1])
        return load if any(request.rate == AUTO for request in self._fan_out.viewers()) else load / OVERBOOKING

    def _lower(self, index: int, now: float) -> None:
        """Change to the highest lower rate that fits, or to the lowest. A rise that did not last doubles the dwell."""
        if self._was_raised:
            has_lasted = now - self._changed_at >= STABLE_AFTER_S
            self._dwell_s = MIN_DWELL_S if has_lasted else min(2 * self._dwell_s, MAX_DWELL_S)
        lower = self._rates[index + 1 :]
        self._change(next((rate for rate in lower if self.predict(rate) <= TARGET), lower[-1]), now)

    def _raise(self, index: int, now: float) -> None:
        self._change(self._rates[index - 1], now)

    def _change(self, rate: int, now: float) -> None:
        logger.info("rate=auto is now %d frames per second, it was %d", rate, self._fan_out.auto_rate)
        self._was_raised = rate > self._fan_out.auto_rate
        self._fan_out.auto_rate = rate
        self.load.forget_conflation()
        self._changed_at = self._room_since = now
        self._wait_s = self._draw_wait_s()

    def _draw_wait_s(self) -> float:
        return self._dwell_s * self._jitter(1 - JITTER, 1 + JITTER)
