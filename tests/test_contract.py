"""The wire contract."""

import json
from zoneinfo import ZoneInfo

import pytest

from clock import contract
from clock.contract import BrokenContract, Tick, format_frame, format_time, parse_rate


def test_the_frame() -> None:
    """To the letter, as the README and the design give it."""
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
def test_the_zone_shows_in_the_message_alone(zone: str, text: str) -> None:
    """Its offset is the message read as UTC, less `at`."""
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
def test_the_text_is_exact(at: int, text: str) -> None:
    """Hundredths are counted, not rounded."""
    assert format_time(at, ZoneInfo("UTC")) == text


def test_a_tick_goes_through_the_channel_layer_unchanged() -> None:
    """What the ticker sends is what the relay reads."""
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
        {"frame": b"x"},
        {"frame": None},
        {"term": "1"},
        {"server": None},
        {"ahead": 1},
        {"margin": "0.1"},
        {"step": []},
        {"synchronised": 1},
        {"synchronised": "yes"},
    ],
)
def test_what_is_not_a_tick_is_refused(change: dict[str, object]) -> None:
    """Whoever can reach Redis can publish to the group."""
    message = Tick(10, "frame").message() | change
    with pytest.raises(BrokenContract, match="not a tick"):
        Tick.from_message(message)
    with pytest.raises(BrokenContract):
        Tick.from_message({})


def test_a_rate_is_one_of_the_contracts() -> None:
    """Each is a whole number of ticks, and a second is a whole number of its periods."""
    for rate in contract.RATES:
        assert parse_rate(b"rate=%d" % rate) == rate
        assert 1000 % rate == 0
        assert (1000 // rate) % contract.TICK_MS == 0


@pytest.mark.parametrize("query", [b"", b"theme=dark", b"rates=1", b"&&", b"\xff"])
def test_without_a_rate_it_is_100(query: bytes) -> None:
    """Other parameters are the page's business."""
    assert parse_rate(query) == 100


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
        b"rate",
    ],
)
def test_another_rate_is_refused_with_the_list(query: bytes) -> None:
    """The error names what is accepted, and is short enough for a close frame."""
    with pytest.raises(BrokenContract, match="100, 50, 25, 20, 10, 5, 2, 1") as caught:
        parse_rate(query)
    assert len(str(caught.value).encode()) <= 123  # RFC 6455, section 5.5.1
