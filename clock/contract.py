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

# The valid times: from 1970 on, and in every zone still in the year 9999, the last that Python's dates know.
MIN_AT: Final = 0
MAX_AT: Final = 253_402_214_399_990

# The version of the messages. It rises when a reader of the old version would misread the new one. Another field is no
# reason, nor is an optional field less. A message without a version is of version 1.
VERSION: Final = 1

# The highest version that is taken for one, rather than for nonsense.
MAX_VERSION: Final = 9_999

# The highest term, and the highest step: so that any reader can hold them, also one whose numbers are doubles.
MAX_COUNT: Final = 2**53 - 1

# Milliseconds: no two valid clocks differ by more.
MAX_OFFSET: Final = float(MAX_AT)

# Characters of a Redis server's `run_id`, which has 40.
MAX_SERVER_LENGTH: Final = 64

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


class IncompatibleVersion(BrokenContract):
    """A message of a later version, which this program cannot read; `version` says which."""

    def __init__(self, version: int) -> None:
        super().__init__(f"incompatible tick version {version}, this program reads {VERSION}")
        self.version = version


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
        return {"type": MESSAGE_TYPE, "v": VERSION, **self._asdict()}

    @classmethod
    def from_message(cls, message: Any) -> Self:
        """Read a message of the channel layer, whatever it is: anyone with access to Redis can publish to the group.

        Required are `at` and `frame`. Other fields take their defaults where they are missing, and unknown fields are
        ignored, so tickers and workers can be upgraded one after the other.

        Raises:
            IncompatibleVersion: it is of a later version.
            BrokenContract: it is not a tick.
        """
        if type(message) is not dict:
            raise BrokenContract(f"not a tick: {type(message).__name__}")
        try:
            fields = _fields_of(message)
        except KeyError:
            fields = tuple(message.get(name, default) for name, default in _DEFAULTS.items())
        at, frame, term, step, synchronised, server, ahead, margin, version = fields
        if not (
            type(version) is type(at) is type(term) is type(step) is int
            and version == VERSION
            and MIN_AT <= at <= MAX_AT
            and not at % TICK_MS
            and 0 <= term <= MAX_COUNT
            and 0 <= step <= MAX_COUNT
            and type(frame) is type(server) is str
            and len(frame) <= MAX_FRAME_LENGTH
            and len(server) <= MAX_SERVER_LENGTH
            and frame.isascii()
            and (synchronised is True or synchronised is False or synchronised is None)
            and (type(ahead) is type(margin) is float or {type(ahead), type(margin)} <= _NUMBERS)
            # Neither infinity nor "not a number" is within these.
            and -MAX_OFFSET <= ahead <= MAX_OFFSET
            and 0 <= margin <= MAX_OFFSET
        ):
            raise _refusal(fields)
        return _new(cls, fields[:-1])  # 0.1 µs less than by name, 100 times a second

    def wire(self) -> bytes:
        """Return the frame as it goes over a socket: one unmasked text frame of RFC 6455, section 5.2."""
        return bytes((0x81, len(self.frame))) + self.frame.encode()


# Each field of a message, and what stands for it where it is missing; None is no valid `at` and no valid `frame`.
_DEFAULTS: Final = {"at": None, "frame": None, **Tick._field_defaults, "v": VERSION}
_fields_of = itemgetter(*_DEFAULTS)
_new = tuple.__new__
_NUMBERS: Final = {float, int}


def _refusal(fields: tuple[Any, ...]) -> BrokenContract:
    """Return why these fields are no tick. Of what came, only types are said: they alone are sure to be short."""
    version = fields[-1]
    if type(version) is int and VERSION < version <= MAX_VERSION:
        return IncompatibleVersion(version)
    found = ", ".join(f"{name} {type(value).__name__}" for name, value in zip(_DEFAULTS, fields, strict=True))
    return BrokenContract(f"not a tick, by type or value: {found}")


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
