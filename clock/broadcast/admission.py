"""Admission: which viewers this worker accepts, by their number, in total and per address, and by its load."""

import resource
from collections import Counter
from typing import Final

from clock.broadcast.rate_control import RateControl
from clock.contract import DEFAULT_REQUEST, StreamRequest

# The share of the process's open files that viewers may use by default. Each page has a second connection for a while,
# for its probes. The rest is for viewers that are being refused, and for Redis.
VIEWERS_SHARE: Final = 0.46


# Why a handshake is refused: by the router, for its path, Host or Origin (403); by the contract, for its rate or phase
# (4008); and here, because the worker is full, or because the address has too many viewers (4013). Also the values of
# the metric's label `reason`.
PATH, HOST, ORIGIN, REQUEST, FULL, ADDRESS = REFUSALS = ("path", "host", "origin", "request", "full", "address")


class Full(RuntimeError):
    """The worker accepts no more viewers. `reason` is one of `REFUSALS`, and the text says which limit is reached."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Admission:
    """Counts the viewers of this worker and enforces its limits.

    For both limits 0 means unlimited. If `max_viewers` is None, it is derived from the limit on open files, and the
    worker is also full when its rate control says so.
    """

    def __init__(
        self, max_viewers: int | None, max_viewers_per_address: int, rate_control: RateControl | None = None
    ) -> None:
        self._max_viewers = default_max_viewers() if max_viewers is None else max_viewers
        self._max_viewers_per_address = max_viewers_per_address
        self._rate_control = rate_control if max_viewers is None else None
        self._addresses: dict[object, str | None] = {}  # of each viewer
        self._counts: Counter[str] = Counter()  # viewers per address

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def is_full(self) -> bool:
        """Whether no newcomer at all is admitted."""
        return self._is_limit_reached or (self._rate_control is not None and self._rate_control.is_full)

    @property
    def saturation(self) -> float:
        """How full the worker is, by its viewers or by its load, whichever is higher. From 1.0 on it is full."""
        by_viewers = len(self._addresses) / self._max_viewers if self._max_viewers else 0.0
        return max(by_viewers, self._rate_control.saturation if self._rate_control is not None else 0.0)

    @property
    def _is_limit_reached(self) -> bool:
        return 0 < self._max_viewers <= len(self._addresses)

    @property
    def needs_addresses(self) -> bool:
        """Whether there is a limit per address, so that callers must determine addresses."""
        return self._max_viewers_per_address > 0

    def admit(self, viewer: object, address: str | None = None, request: StreamRequest = DEFAULT_REQUEST) -> None:
        """Count a viewer. Without an address, the limit per address does not apply.

        Raises:
            Full: a limit is reached, or the load is too high.
        """
        if self._is_limit_reached or not (self._rate_control is None or self._rate_control.has_room_for(request)):
            raise Full(FULL, "this worker is full")
        if address is not None:
            if 0 < self._max_viewers_per_address <= self._counts[address]:
                raise Full(ADDRESS, "too many viewers from your address")
            self._counts[address] += 1
        self._addresses[viewer] = address

    def release(self, viewer: object) -> None:
        """Stop counting a viewer. Nothing happens if it is not counted."""
        address = self._addresses.pop(viewer, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]


def default_max_viewers() -> int:
    """Return how many viewers the limit on open files allows, or 0 if that is unlimited."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if limit == resource.RLIM_INFINITY else max(1, int(limit * VIEWERS_SHARE))
