"""Where a viewer comes from, and whose word is taken for it."""

from ipaddress import ip_network

import pytest

from clock.broadcast.address import viewer_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),  # no proxy of ours
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the leftmost is what the client wrote
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),  # two proxies of ours
        ("10.0.0.1", [b"203.0.113.9", b"198.51.100.7"], "198.51.100.7"),  # a header that came twice
        ("10.0.0.1", [b"10.0.0.3,10.0.0.2"], "10.0.0.3"),  # a viewer within
        ("fd00::1", [b"198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),  # as a socket for both families has it
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("10.0.0.1", [b"198.51.100.7:4711"], "198.51.100.7"),  # as some proxies write it
        ("10.0.0.1", [b"[2001:db8::1]:4711"], "2001:db8::/64"),
        ("10.0.0.1", [b"2001:db8:0:1:2:3:4:5"], "2001:db8:0:1::/64"),
        ("2001:db8::1", [], "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", [], "2001:db8::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("/run/clock.sock", [b"198.51.100.7"], None),
    ],
)
def test_who_it_is(peer: str, forwarded: list[bytes], address: str | None) -> None:
    """The peer, or the first from the right that is no trusted proxy; an IPv6 address counts by its network."""
    assert viewer_address(peer, forwarded, PROXIES) == address


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"", b",", b"unknown", b"\xff\xfe", b"1.2.3", b"1.2.3.4.5", b"0x7f.1", b"01.2.3.4", b"127.0.0.1\0"),
        *(b"::1::", b"[", b"[]:", b"%", b"fe80::1%", b":" * 9_000, b"1" * 9_000, b"a" * 9_000 + b",,"),
    ],
)
def test_garbage_is_no_address(garbage: bytes) -> None:
    """The proxy that wrote it stands for it, also where a better word is further left. Nothing is raised."""
    assert viewer_address("10.0.0.1", [b"198.51.100.7, " + garbage], PROXIES) == "10.0.0.1"


def test_without_trusted_proxies_nobody_is_believed() -> None:
    """The default."""
    assert viewer_address("127.0.0.1", [b"198.51.100.7"], []) == "127.0.0.1"
