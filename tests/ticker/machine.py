"""A machine whose time passes only when it is told to: what the metronome's rules are tested on."""

from collections.abc import Callable

from ticker.metronome import Metronome, Reading

MS = 1_000_000
SECOND = 1_000 * MS


class Machine:
    """Two clocks, in nanoseconds, and two ways to wait. `events` happen once, when the running clock comes to them."""

    def __init__(self, wall: int = 1_795_351_680 * SECOND + 3 * MS) -> None:
        self.wall = wall
        self.running = 5_000 * SECOND
        self.events: list[tuple[int, Callable[[], None]]] = []

    def metronome(self) -> Metronome:
        """Return a metronome on this machine."""
        return Metronome(self.clocks, self.doze, self.wait)

    def clocks(self) -> Reading:
        """Read both clocks."""
        return Reading(self.wall, self.running)

    async def doze(self, duration: int) -> None:
        """Wait as the event loop does: a millisecond too long."""
        self.wait(duration + MS)

    def wait(self, duration: int) -> None:
        """Wait exactly so long, and longer by what happens meanwhile."""
        assert duration > 0, "waiting for what has been is a bug"
        self.running += duration
        self.wall += duration
        while self.events and self.events[0][0] <= self.running:
            self.events.pop(0)[1]()

    def stall(self, duration: int) -> None:
        """Have nothing run for so long."""
        self.running += duration
        self.wall += duration

    def set_wall_clock(self, change: int) -> None:
        """Set the wall clock by so much."""
        self.wall += change

    def after(self, duration: int, event: Callable[[], None]) -> None:
        """Have something happen when so much time has passed."""
        self.events.append((self.running + duration, event))
