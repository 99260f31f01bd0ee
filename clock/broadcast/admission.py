"""The admission: how many viewers this worker lets in, altogether and from one address."""

import resource
from collections import Counter
from typing import Final

# The share of its open files that a worker gives to viewers, unless it is told how many. The rest is for pages, whose
# connections stay open for a while too, for viewers that are just being turned away, and for Redis.
VIEWERS_SHARE: Final = 0.5


class Full(RuntimeError):
    """There is no room for another viewer; the text says where."""


class Admission:
    """Counts the viewers. 0 is no limit, and `most` is derived from the limit on open files if it is None."""

    def __init__(self, most: int | None, most_per_address: int) -> None:
        self._most = viewers_by_open_files() if most is None else most
        self._most_per_address = most_per_address
        self._addresses: dict[object, str | None] = {}  # where each viewer comes from
        self._counts: Counter[str] = Counter()  # viewers from each address

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def is_full(self) -> bool:
        """Whether nobody more is let in."""
        return 0 < self._most <= len(self._addresses)

    @property
    def is_by_address(self) -> bool:
        """Whether there is a limit for each address, so that addresses must be known."""
        return self._most_per_address > 0

    def join(self, viewer: object, address: str | None = None) -> None:
        """Let a viewer in, whose address may be unknown.

        Raises:
            Full: there is no room.
        """
        if self.is_full:
            raise Full("this worker is full")
        if address is not None:
            if 0 < self._most_per_address <= self._counts[address]:
                raise Full("too many viewers from your address")
            self._counts[address] += 1
        self._addresses[viewer] = address

    def leave(self, viewer: object) -> None:
        """See a viewer out; nothing happens if it was not in."""
        address = self._addresses.pop(viewer, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]


def viewers_by_open_files() -> int:
    """Return how many viewers the limit on open files has room for; 0 where there is none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if limit == resource.RLIM_INFINITY else max(1, int(limit * VIEWERS_SHARE))
