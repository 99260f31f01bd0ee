"""The address of a viewer, with and without proxies."""

from ipaddress import ip_network

import pytest

from clock.broadcast.address import viewer_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),  # not a trusted proxy
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the client wrote the leftmost entry
        ("10.0.0.1", [b"203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),  # two trusted proxies
        ("10.0.0.1", [b"203.0.113.9", b"198.51.100.7"], "198.51.100.7"),  # two headers
        ("10.0.0.1", [b"10.0.0.3,10.0.0.2"], "10.0.0.3"),  # a viewer in the trusted network
        ("fd00::1", [b"198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),  # the peer of a dual-stack socket
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("10.0.0.1", [b"198.51.100.7:4711"], "198.51.100.7"),  # some proxies append the port
        ("10.0.0.1", [b"[2001:db8::1]:4711"], "2001:db8::/64"),
        ("10.0.0.1", [b"2001:db8:0:1:2:3:4:5"], "2001:db8:0:1::/64"),
        ("2001:db8::1", [], "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", [], "2001:db8::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("/run/clock.sock", [b"198.51.100.7"], None),
    ],
)
def test_address(peer: str, forwarded: list[bytes], address: str | None) -> None:
    """It is the peer, or the first entry from the right that is not a trusted proxy. IPv6 counts by network."""
    assert viewer_address(peer, forwarded, PROXIES) == address


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"", b",", b"unknown", b"\xff\xfe", b"1.2.3", b"1.2.3.4.5", b"0x7f.1", b"01.2.3.4", b"127.0.0.1\0"),
        *(b"::1::", b"[", b"[]:", b"%", b"fe80::1%", b":" * 9_000, b"1" * 9_000, b"a" * 9_000 + b",,"),
    ],
)
def test_an_invalid_entry_is_replaced_by_the_proxy(garbage: bytes) -> None:
    """The address of the proxy that wrote it counts, even if a valid one is further left. Nothing is raised."""
    assert viewer_address("10.0.0.1", [b"198.51.100.7, " + garbage], PROXIES) == "10.0.0.1"


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    """That is the default."""
    assert viewer_address("127.0.0.1", [b"198.51.100.7"], []) == "127.0.0.1"
