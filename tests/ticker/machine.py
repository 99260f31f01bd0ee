"""A fake machine for the rules of the metronome: its time passes only when a test says so."""

from collections.abc import Callable

from ticker.metronome import Metronome, Reading

MS = 1_000_000
SECOND = 1_000 * MS


class Machine:
    """Two clocks in nanoseconds, and two ways to wait.

    Each of the `events` happens once, when the monotonic clock reaches its time.
    """

    def __init__(self, wall_ns: int = 1_795_351_680 * SECOND + 3 * MS) -> None:
        self.wall_ns = wall_ns
        self.monotonic_ns = 5_000 * SECOND
        self.events: list[tuple[int, Callable[[], None]]] = []

    def metronome(self) -> Metronome:
        """Return a metronome on this machine."""
        return Metronome(self.clocks, self.sleep, self.wait)

    def clocks(self) -> Reading:
        """Read both clocks."""
        return Reading(self.wall_ns, self.monotonic_ns)

    async def sleep(self, duration_ns: int) -> None:
        """Wait as the event loop does: a millisecond too long."""
        self.wait(duration_ns + MS)

    def wait(self, duration_ns: int) -> None:
        """Wait precisely, plus the time that events take."""
        assert duration_ns > 0, "a wait for the past is a bug"
        self.stall(duration_ns)
        while self.events and self.events[0][0] <= self.monotonic_ns:
            self.events.pop(0)[1]()

    def stall(self, duration_ns: int) -> None:
        """Let time pass in which nothing runs."""
        self.monotonic_ns += duration_ns
        self.wall_ns += duration_ns

    def set_wall_clock(self, change_ns: int) -> None:
        """Set the wall clock forwards or back."""
        self.wall_ns += change_ns

    def after(self, duration_ns: int, event: Callable[[], None]) -> None:
        """Schedule an event."""
        self.events.append((self.monotonic_ns + duration_ns, event))
