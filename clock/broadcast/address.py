"""Where a viewer comes from: the address that it connected from, or that a proxy says it did."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network

# Bits of an IPv6 address that name a network. A host there may take any address, and takes a new one every day.
_NETWORK_BITS: Final = 64


def viewer_address(peer: str, forwarded: Iterable[bytes], proxies: Sequence[Network]) -> str | None:
    """Return the address of a viewer, as viewers are counted by: an IPv4 address, or the network of an IPv6 address.

    `peer` is who is connected, and `forwarded` are the values of X-Forwarded-For. They count only if the peer is a
    trusted proxy. Each proxy adds on the right what it was connected from, so they are read from there, up to the first
    address that is no trusted proxy's: what stands further left is what anybody may have written. Where that is no
    address, the proxy's own stands for it. None if the peer has no address.
    """
    address = _parse(peer)
    if address is None:
        return None
    hops = b",".join(forwarded).decode("latin-1").split(",")
    while hops and any(address in proxy for proxy in proxies):
        before = _parse(hops.pop())
        if before is None:
            break
        address = before
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _NETWORK_BITS), strict=False))
    return str(address)


def _parse(written: str) -> IPv4Address | IPv6Address | None:
    """Read an address, which some proxies write with its port."""
    word = written.strip()
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        address = ip_address(word)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
