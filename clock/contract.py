"""The wire contract: what a tick is, how it is written, and what a client may ask. All else imports it from here.

Times are integers of milliseconds since the Unix epoch, and called `at`: a multiple of 10, for a tick lies on a 10 ms
boundary of the wall clock. The tick's time is its sequence number.
"""

import json
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple, Self
from zoneinfo import ZoneInfo

TICK_MS: Final = 10

# The group of the channel layer that the ticker publishes to, and the type of its messages there.
GROUP: Final = "ticks"
MESSAGE_TYPE: Final = "clock.tick"

# Frames per second that a client may ask for with `?rate=`. Each period is a whole number of ticks, and a second is a
# whole number of periods.
RATES: Final = (100, 50, 25, 20, 10, 5, 2, 1)
DEFAULT_RATE: Final = 100

# A frame is ASCII and no longer than this, so that on the wire it is two bytes and its text: RFC 6455, section 5.2.
MAX_FRAME_LENGTH: Final = 125

# Close codes. 1001, 1012 and 1013 would say the same, but Autobahn lets an application send 1000 and 3000 to 4999 only.
CLOSE_BROKEN_CONTRACT: Final = 4008  # do not come back
CLOSE_GOING_AWAY: Final = 4012  # connect again at once, anywhere
CLOSE_FULL: Final = 4013  # try again later


class BrokenContract(ValueError):
    """What arrived is not what the contract says; the text says what was expected."""


class Tick(NamedTuple):
    """One tick, as it travels from the ticker to the workers.

    `frame` is the text that browsers get, verbatim. `term` rises when another ticker takes over, and `step` when the
    wall clock was set. `synchronised` is what the ticker's host says of its clock, or None where that is not known. The
    clock of the Redis whose `run_id` is `server` is `ahead` of the ticker's by so many milliseconds, give or take
    `margin`; where that is not known, `server` is empty.
    """

    at: int
    frame: str
    term: int = 0
    step: int = 0
    synchronised: bool | None = None
    server: str = ""
    ahead: float = 0.0
    margin: float = 0.0

    def message(self) -> dict[str, Any]:
        """Return the tick as a message of the channel layer."""
        return {"type": MESSAGE_TYPE, **self._asdict()}

    @classmethod
    def from_message(cls, message: Any) -> Self:
        """Read a message of the channel layer.

        Raises:
            BrokenContract: it is not a tick. Whoever can reach Redis can publish to the group.
        """
        try:
            tick = cls(*_fields_of(message))
        except (KeyError, TypeError):
            tick = None
        if tick is None or not (
            type(tick.at) is type(tick.term) is type(tick.step) is int
            and type(tick.frame) is type(tick.server) is str
            and type(tick.synchronised) in _BOOL_OR_NONE
            and type(tick.ahead) is type(tick.margin) is float
            and tick.frame.isascii()
            and len(tick.frame) <= MAX_FRAME_LENGTH
        ):
            raise BrokenContract(f"not a tick: {str(message)[:100]}")
        return tick

    def wire(self) -> bytes:
        """Return the frame as it goes over a socket: one unmasked text frame of RFC 6455, section 5.2."""
        return bytes((0x81, len(self.frame))) + self.frame.encode()


_fields_of = itemgetter(*Tick._fields)
_BOOL_OR_NONE: Final = (bool, type(None))


def text_of(wire: bytes) -> str:
    """Return the text in what `Tick.wire` made, for a server that makes its own frames."""
    return wire[2:].decode()


def format_time(at: int, zone: ZoneInfo) -> str:
    """Return the time as people read it, in `zone`: `2026-11-22 12:48:00.12`."""
    second, millisecond = divmod(at, 1000)
    local = datetime.fromtimestamp(second, zone).replace(tzinfo=None)
    return f"{local.isoformat(' ')}.{millisecond // 10:02d}"


def format_frame(at: int, zone: ZoneInfo) -> str:
    """Return the text frame that browsers get: `{"message": "2026-11-22 12:48:00.12", "at": 1795351680120}`.

    The zone's offset is `message` read as UTC minus `at`, so no field carries it.
    """
    return json.dumps({"message": format_time(at, zone), "at": at})


def parse_rate(query_string: bytes) -> int:
    """Return the frames per second that a query string such as `b"rate=10"` asks for.

    Raises:
        BrokenContract: the rate is not one of `RATES`, or given twice.
    """
    rates = [value for name, _, value in (pair.partition(b"=") for pair in query_string.split(b"&")) if name == b"rate"]
    if not rates:
        return DEFAULT_RATE
    # Looked up by its text, so that 010, +10 and 1e1 are not 10, and a number of any length costs nothing.
    rate = _RATES_BY_TEXT.get(rates[0])
    if rate is None or len(rates) > 1:
        raise BrokenContract("rate must be one of " + ", ".join(map(str, RATES)))
    return rate


_RATES_BY_TEXT: Final = {str(rate).encode(): rate for rate in RATES}
