"""Web origins, normalised to what browsers send in `Origin` and compare with in `frame-ancestors`."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65535
_MAX_HOST: Final = 253  # characters of a name in DNS

_ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>.*))?")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Browsers parse a host whose last label looks like a number as an IPv4 address, and write it as four decimal numbers:
# WHATWG URL standard, "ends in a number checker".
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


class InvalidOrigin(ValueError):
    """No browser sends this as an origin; the message says why."""


def normalise(origin: str, *, for_frames: bool = False) -> str:
    """Return an origin as browsers serialise it: in lower case, without the scheme's default port, IPv6 compressed.

    With `for_frames` it is a source of the CSP directive `frame-ancestors`: `https://*.example.org` is valid there, an
    IPv6 address or an underscore is not. Chromium ignores such a source.

    Raises:
        InvalidOrigin: it is no origin.
    """
    if not origin.isascii():
        raise InvalidOrigin("an international host name must be in its xn-- form")
    match = _ORIGIN.fullmatch(origin.lower())
    if not match:
        raise InvalidOrigin("it must be http:// or https://, a host, and optionally a port")
    host = _host(match["host"], for_frames=for_frames)
    scheme, port = match["scheme"], match["port"]
    if port is None or _port(port) == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def _port(port: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > _MAX_PORT:
        raise InvalidOrigin("the port must be a number from 1 to 65535")
    return int(port)


def _host(host: str, *, for_frames: bool) -> str:
    if host.startswith("["):
        if for_frames:
            raise InvalidOrigin("browsers do not support IPv6 addresses in frame-ancestors")
        return f"[{_ipv6(host[1:-1])}]"
    name = host
    if host.startswith("*."):
        if not for_frames:
            raise InvalidOrigin("no browser sends a wildcard as its origin")
        name = host[2:]
    labels = name.split(".")
    if len(host) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidOrigin("the host must consist of labels of 1 to 63 letters, digits or hyphens, separated by dots")
    if for_frames and "_" in name:
        raise InvalidOrigin("browsers do not support underscores in frame-ancestors")
    if not all(_is_punycode(label[4:]) for label in labels if label.startswith("xn--")):
        raise InvalidOrigin("a label that begins with xn-- must be valid Punycode")
    if _NUMBER.fullmatch(labels[-1]):
        if name != host:
            raise InvalidOrigin("an IP address has no subdomains")
        _check_ipv4(name)
    return host


def _is_punycode(text: str) -> bool:
    try:
        return not text.encode().decode("punycode").isascii()
    except UnicodeError:
        return False


def _check_ipv4(host: str) -> None:
    try:
        IPv4Address(host)
    except ValueError:
        raise InvalidOrigin("an IPv4 address must be four numbers from 0 to 255, separated by dots") from None


def _ipv6(host: str) -> str:
    """Return an IPv6 address as browsers write it; unlike Python, they never use IPv4 notation in it."""
    try:
        address = IPv6Address(host)
    except ValueError:
        raise InvalidOrigin("there must be an IPv6 address in the brackets") from None
    if address.scope_id is not None:
        raise InvalidOrigin("an IPv6 address in an origin has no zone")
    if address.ipv4_mapped is None:
        return address.compressed
    high, low = divmod(int(address.ipv4_mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}"
