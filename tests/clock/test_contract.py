"""The wire contract: frames, messages, rates, and what is refused."""

import json
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from clock import contract
from clock.contract import (
    MAX_AT_MS,
    MAX_COUNTER,
    MIN_AT_MS,
    BrokenContract,
    IncompatibleVersion,
    Tick,
    format_frame,
    format_time,
    parse_stream_request,
)
from clock.redis.flat_map import read_flat_map

# Messages as earlier tickers published them, and the ticks they contain. Keep them as long as such tickers may run.
FRAME = '{"message": "2026-11-22 12:48:00.12", "at": 1795351680120}'
SERVER = "5f0c1d6e8b7a49302c1d5e6f7a8b9c0d1e2f3a4b"
OF_VERSION_1 = [
    (  # before messages had a version
        b"\x89\xa4type\xaaclock.tick\xa2at\xcf\x00\x00\x01\xa2\x03L\x94x\xa5frame\xd9:"
        + FRAME.encode()
        + b"\xa4term\x03"
        b"\xa4step\x01\xacsynchronised\xc3\xa6server\xd9("
        + SERVER.encode()
        + b"\xa5ahead\xcb\xbf\xc0\x00\x00\x00\x00\x00\x00"
        b"\xa6margin\xcb?\xe0\x00\x00\x00\x00\x00\x00",
        Tick(1_795_351_680_120, FRAME, 3, 1, True, SERVER, -0.125, 0.5),
    ),
    (  # with a version
        b"\x8a\xa4type\xaaclock.tick\xa1v\x01\xa2at\xcf\x00\x00\x01\xa2\x03L\x94x\xa5frame\xd9:"
        + FRAME.encode()
        + b"\xa4term\x03"
        b"\xa4step\x00\xacsynchronised\xc0\xa6server\xa0\xa5ahead\xcb\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\xa6margin\xcb\x00\x00\x00\x00\x00\x00\x00\x00",
        Tick(1_795_351_680_120, FRAME, 3),
    ),
]


def test_frame_format() -> None:
    """It is exactly as documented."""
    assert (
        format_frame(1_795_351_680_120, ZoneInfo("UTC")) == '{"message": "2026-11-22 12:48:00.12", "at": 1795351680120}'
    )


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "2026-11-22 12:48:00.12"),
        ("Asia/Kathmandu", "2026-11-22 18:33:00.12"),
        ("America/St_Johns", "2026-11-22 09:18:00.12"),
        ("Pacific/Kiritimati", "2026-11-23 02:48:00.12"),
    ],
)
def test_the_zone_affects_only_the_message(zone: str, text: str) -> None:
    """Its UTC offset is the message, read as UTC, minus `at`."""
    frame = json.loads(format_frame(1_795_351_680_120, ZoneInfo(zone)))
    assert frame == {"message": text, "at": 1_795_351_680_120}


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01 00:00:00.00"),
        (10, "1970-01-01 00:00:00.01"),
        (-10, "1969-12-31 23:59:59.99"),
        (951_782_399_990, "2000-02-28 23:59:59.99"),
        (951_782_400_000, "2000-02-29 00:00:00.00"),
    ],
)
def test_hundredths_are_truncated(at: int, text: str) -> None:
    """Never rounded, also before 1970."""
    assert format_time(at, ZoneInfo("UTC")) == text


def test_a_tick_survives_the_channel_layer() -> None:
    """The relay reads the tick that the ticker sent."""
    tick = Tick(1_795_351_680_120, "frame", term=3, step=2, synchronised=False, server="a", ahead=1.5, margin=0.25)
    assert tick.message()["type"] == contract.MESSAGE_TYPE
    assert Tick.from_message(tick.message()) == tick


@pytest.mark.parametrize(
    "change",
    [
        {"at": "1"},
        {"at": None},
        {"at": True},
        {"at": 1.5},
        {"at": 15},
        {"at": MIN_AT_MS - 10},
        {"at": MAX_AT_MS + 10},
        {"at": 10**17},
        {"at": 10**5000},
        {"frame": b"x"},
        {"frame": None},
        {"frame": "x" * 126},
        {"frame": "\u0660"},
        {"term": "1"},
        {"term": True},
        {"term": -1},
        {"term": MAX_COUNTER + 1},
        {"term": 2**64 - 1},
        {"server": None},
        {"server": "x" * 65},
        {"ahead": True},
        {"ahead": float("nan")},
        {"ahead": float("-inf")},
        {"ahead": 1e300},
        {"margin": "0.1"},
        {"margin": None},
        {"margin": -0.001},
        {"margin": float("nan")},
        {"margin": float("inf")},
        {"margin": 10**400},
        {"step": []},
        {"step": -1},
        {"step": MAX_COUNTER + 1},
        {"synchronised": 1},
        {"synchronised": "yes"},
        {"v": 0},
        {"v": True},
        {"v": "2"},
        {"v": None},
        {"v": 10**5000},
    ],
    ids=lambda change: f"{next(iter(change))}-{type(next(iter(change.values()))).__name__}",
)
def test_an_invalid_field_is_refused(change: dict[str, object]) -> None:
    """Every client of Redis can publish to the group."""
    message = Tick(10, "frame").message() | change
    with pytest.raises(BrokenContract, match="not a tick"):
        Tick.from_message(message)


@pytest.mark.parametrize("name", ["at", "frame"])
def test_at_and_frame_are_required(name: str) -> None:
    """Without them a message is not a tick."""
    message = Tick(10, "frame").message()
    del message[name]
    with pytest.raises(BrokenContract, match=f"{name} NoneType"):
        Tick.from_message(message)


# --- Rolling upgrades ---


@pytest.mark.parametrize(("data", "tick"), OF_VERSION_1, ids=["no version", "1"])
def test_messages_of_older_tickers_are_read(data: bytes, tick: Tick) -> None:
    """Byte for byte as they were published."""
    assert Tick.from_message(read_flat_map(data)) == tick


@pytest.mark.parametrize("name", ["type", "v", *Tick._field_defaults])
def test_other_fields_are_optional(name: str) -> None:
    """A missing one has its default, and the others keep their values."""
    tick = Tick(10, "frame", 3, 2, synchronised=False, server="a", ahead=1.5, margin=0.25)
    message = tick.message()
    del message[name]
    expected = tick._replace(**{name: Tick._field_defaults[name]}) if name in Tick._fields else tick
    assert Tick.from_message(message) == expected


def test_the_smallest_message() -> None:
    """It has only the required fields."""
    assert Tick.from_message({"at": 10, "frame": "x"}) == Tick(10, "x")


@pytest.mark.parametrize("change", [{"ahead": 1}, {"margin": 0}, {"ahead": -3, "margin": 2}])
def test_integers_are_valid_numbers(change: dict[str, int]) -> None:
    """Some serializers write 1.0 as 1."""
    tick = Tick.from_message(Tick(10, "x").message() | change)
    assert tick == Tick(10, "x", ahead=change.get("ahead", 0), margin=change.get("margin", 0))


def test_fields_of_a_later_ticker_are_ignored() -> None:
    """If its version is the same."""
    assert Tick.from_message(Tick(10, "x").message() | {"leap": 37, "zone": None, b"raw": b"x"}) == Tick(10, "x")


@pytest.mark.parametrize(
    "message", [Tick(10, "x").message() | {"v": 2}, {"v": 2}, {"v": 2, "at": "soon"}, {"v": 9_999, "at": 10}]
)
def test_a_later_version_has_its_own_error(message: dict[str, object]) -> None:
    """Whatever else the message contains, because this program cannot know its meaning."""
    with pytest.raises(IncompatibleVersion, match=r"incompatible tick version \d+, this program reads 1") as caught:
        Tick.from_message(message)
    assert caught.value.version == message["v"]


# --- Hostile messages: every client of Redis can publish to the group ---


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    """Return a value that is wrapped so many times."""
    inner: Any = 1
    for _ in range(depth):
        inner = wrap(inner)
    return inner


HUGE_MESSAGES: dict[str, Callable[[], Any]] = {
    "deep list": lambda: nested(1_000, lambda inner: [inner]),
    "deeper list": lambda: nested(100_000, lambda inner: [inner]),
    "deep dictionary": lambda: nested(100_000, lambda inner: {"at": inner}),
    "deep time": lambda: {"at": nested(100_000, lambda inner: (inner,)), "frame": "x"},
    "deep frame": lambda: {"at": 10, "frame": nested(1_000, lambda inner: {"x": inner})},
    "long frame": lambda: {"at": 10, "frame": "x" * 10_000_000},
    "long version": lambda: {"at": 10, "frame": "x", "v": 10**5_000},
    "text": lambda: "x" * 10_000_000,
    "bytes": lambda: b"\0" * 10_000_000,
    "number": lambda: 10**5_000,
    "nothing": lambda: None,
    "tick": lambda: Tick(10, "x"),
    "pairs": lambda: [("at", 10), ("frame", "x")],
}


@pytest.mark.parametrize("kind", HUGE_MESSAGES)
def test_an_error_does_not_contain_the_message(kind: str) -> None:
    """However deep or long a message is, the error is the documented one, and short."""
    with pytest.raises(BrokenContract) as caught:
        Tick.from_message(HUGE_MESSAGES[kind]())
    assert len(str(caught.value)) < 300


texts = some.text("a \0é\u0660\ud800", max_size=9)
anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | texts | some.binary(max_size=9),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(texts, inner, max_size=4),
    max_leaves=9,
)
# Deterministic on every machine, however busy.
deterministic = settings(
    derandomize=True, database=None, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)


@deterministic
@given(changes=some.dictionaries(some.sampled_from([*Tick._fields, "v", "type", "x"]), anything, max_size=4))
def test_every_accepted_tick_is_within_the_limits(changes: dict[str, Any]) -> None:
    """Everything else raises the documented error."""
    message = Tick(1_795_351_680_120, FRAME, 3, 1).message() | changes
    try:
        tick = Tick.from_message(message)
    except BrokenContract:
        return
    assert MIN_AT_MS <= tick.at <= MAX_AT_MS
    assert tick.at % 10 == 0
    assert 0 <= tick.term <= MAX_COUNTER
    assert 0 <= tick.step <= MAX_COUNTER
    assert len(tick.to_wire()) <= 127
    format_time(tick.at, ZoneInfo("Pacific/Kiritimati"))


@deterministic
@given(anything)
def test_other_values_are_refused(message: Any) -> None:
    """With the documented error."""
    with pytest.raises(BrokenContract):
        Tick.from_message(message)


@pytest.mark.parametrize("at", [MIN_AT_MS, MAX_AT_MS])
def test_every_valid_time_can_be_formatted(at: int) -> None:
    """In every zone, and no frame is too long."""
    for name in available_timezones():
        assert len(format_frame(at, ZoneInfo(name))) <= contract.MAX_FRAME_LENGTH


def test_rates() -> None:
    """Each period is a whole number of ticks, and a second is a whole number of periods."""
    for rate in contract.RATES:
        assert parse_stream_request(b"rate=%d" % rate) == (rate, False)
        assert 1000 % rate == 0
        assert (1000 // rate) % contract.TICK_MS == 0


@pytest.mark.parametrize("query", [b"", b"theme=dark", b"rates=1", b"&&", b"\xff"])
def test_the_default_rate_is_100(query: bytes) -> None:
    """Other parameters are for the page, and ignored here."""
    assert parse_stream_request(query) == (100, False)


def test_rates_that_the_worker_chooses() -> None:
    """They are rates that a client may request, too, and are not bound to a phase."""
    assert set(contract.AUTO_RATES) < set(contract.RATES)
    assert sorted(contract.AUTO_RATES, reverse=True) == list(contract.AUTO_RATES)
    for query in (b"rate=auto", b"phase=any&rate=auto", b"rate=auto&phase=any"):
        assert parse_stream_request(query) == (contract.AUTO, True)


def test_any_phase() -> None:
    """A client gives up the first tick of each period."""
    assert parse_stream_request(b"rate=10&phase=any") == (10, True)
    assert parse_stream_request(b"phase=any") == (100, True)


@pytest.mark.parametrize("query", [b"phase=", b"phase=0", b"phase=Any", b"phase", b"phase=any&phase=any"])
def test_an_invalid_phase_is_refused(query: bytes) -> None:
    """With the valid one."""
    with pytest.raises(BrokenContract, match="phase must be any"):
        parse_stream_request(query)


@pytest.mark.parametrize(
    "query",
    [
        b"rate=",
        b"rate=3",
        b"rate=0",
        b"rate=-1",
        b"rate=1000",
        b"rate=010",
        b"rate=1e1",
        b"rate=+10",
        b"rate= 10",
        b"rate=ten",
        b"rate=\xd9\xa1",
        b"rate=" + b"9" * 10000,
        b"rate=10&rate=10",
        b"rate=AUTO",
        b"rate=auto:25",
        b"rate=auto&rate=auto",
        b"rate",
    ],
)
def test_an_invalid_rate_is_refused_with_the_valid_ones(query: bytes) -> None:
    """The error lists the valid rates, and is short enough for a close frame."""
    with pytest.raises(BrokenContract, match="auto, 100, 50, 25, 20, 10, 5, 2, 1") as caught:
        parse_stream_request(query)
    assert len(str(caught.value).encode()) <= 123  # RFC 6455, section 5.5.1
