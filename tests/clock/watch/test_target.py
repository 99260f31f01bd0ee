"""Which addresses are accepted, and what follows from them."""

import pytest

from clock.watch.target import InvalidAddress, parse_target


@pytest.mark.parametrize(
    ("address", "stream", "now", "origin"),
    [
        ("http://127.0.0.1:8001", "ws://127.0.0.1:8001/ws/clock/", "/clock/now", "http://127.0.0.1:8001"),
        ("https://Clock.example.org/", "wss://clock.example.org/ws/clock/", "/clock/now", "https://clock.example.org"),
        ("https://a.example:443", "wss://a.example:443/ws/clock/", "/clock/now", "https://a.example"),
        ("http://a/clock/?tz=UTC&rate=10#x", "ws://a/ws/clock/?rate=10", "/clock/now", "http://a"),
        ("http://a/board/clock/embed", "ws://a/board/ws/clock/", "/board/clock/now", "http://a"),
        ("wss://a/board/ws/clock/?rate=auto", "wss://a/board/ws/clock/?rate=auto", "/board/clock/now", "https://a"),
        ("ws://a:81/ws/clock/?rate=7", "ws://a:81/ws/clock/", "/clock/now", "http://a:81"),
        ("http://[::1]:8001/clock/now", "ws://[::1]:8001/ws/clock/", "/clock/now", "http://[::1]:8001"),
    ],
)
def test_addresses(address: str, stream: str, now: str, origin: str) -> None:
    """Origins, pages and streams, with ports and below a path."""
    target = parse_target(address)
    assert (target.stream_url, target.now_path, target.origin) == (stream, now, origin)


def test_where_to_connect() -> None:
    """The port is that of the scheme if the address has none; the page is that of the clock."""
    target = parse_target("wss://clock.example.org/ws/clock/")
    assert (target.host, target.port, target.is_secure) == ("clock.example.org", 443, True)
    assert target.page_url == "https://clock.example.org/clock/"


def test_a_rate_replaces_that_of_the_address() -> None:
    """100 is the default of the stream, and not sent."""
    assert parse_target("http://a/clock/?rate=10", "50").stream_url == "ws://a/ws/clock/?rate=50"
    assert parse_target("http://a/clock/?rate=10", "100").stream_url == "ws://a/ws/clock/"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8001",
        "ftp://a/",
        "http://",
        "http://a:port/",
        "http://a:99999/",
        "http://[::1/",
        "http://user@a/",
        "http://a/board/",
        "ws://a/ws/other",
    ],
)
def test_other_addresses_are_invalid(address: str) -> None:
    """The error says so in words."""
    with pytest.raises(InvalidAddress, match="address"):
        parse_target(address)
