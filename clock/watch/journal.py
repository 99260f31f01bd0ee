"""The journal: what happened to the streams, in lines. Of viewers to whom the same happens, it counts the number."""

import time
from collections import Counter
from collections.abc import Callable


def _time_of_day() -> str:
    return time.strftime("%H:%M:%S")


class Journal:
    """Collects events between two updates of the display."""

    def __init__(self, time_of_day: Callable[[], str] = _time_of_day) -> None:
        self._time_of_day = time_of_day
        self._events: Counter[str] = Counter()

    def add(self, event: str) -> None:
        """Add an event of one viewer."""
        self._events[event] += 1

    def take(self) -> list[str]:
        """Return a line for each kind of event since the last call, in the order in which they first occurred."""
        now, events = self._time_of_day(), self._events
        self._events = Counter()
        return [f"{now} " + (f"({count} times) " if count > 1 else "") + event for event, count in events.items()]


def milliseconds(duration_ms: float | None, digits: int = 1) -> str:
    """Return a duration as text for people, such as `1,234.5 ms`."""
    return "unknown" if duration_ms is None else f"{duration_ms:,.{digits}f} ms"
