"""The address of a viewer: the address of its connection, or the one that a trusted proxy reports."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network

# Bits of an IPv6 address that identify a network. A host can use every address of its network, and usually changes its
# address once a day.
_NETWORK_BITS: Final = 64


def viewer_address(peer: str, forwarded: Iterable[bytes], trusted_proxies: Sequence[Network]) -> str | None:
    """Return the key by which viewers are counted: an IPv4 address, or the /64 network of an IPv6 address.

    `peer` is the address of the connection. `forwarded` are the values of X-Forwarded-For, which count only if the peer
    is a trusted proxy. Each proxy appends the address of its own peer on the right. So the list is read from the right,
    up to the first address that is not a trusted proxy: a client can forge everything to the left of that. If an entry
    is not an address, the address of the proxy that appended it is used. The result is None if the peer has no address,
    as on a Unix socket.
    """
    address = _parse(peer)
    if address is None:
        return None
    hops = b",".join(forwarded).decode("latin-1").split(",")
    while hops and any(address in network for network in trusted_proxies):
        previous = _parse(hops.pop())
        if previous is None:
            break
        address = previous
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _NETWORK_BITS), strict=False))
    return str(address)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address. Some proxies append the port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
