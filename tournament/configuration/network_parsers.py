"""Parsers of what names a place in a network: hosts, origins, networks, addresses and the URL of a Redis."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

from redis.connection import parse_url

from tournament.configuration.origins import InvalidOrigin, normalise
from tournament.configuration.parsers import split_list
from tournament.configuration.setting import HIDDEN, InvalidValue

_HOST: Final = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\]")
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})")
_MAX_PORT: Final = 65_535

# What may follow the question mark in the URL of a Redis.
_REDIS_OPTIONS: Final = frozenset({"db", "password", "username", "ssl_certfile", "ssl_keyfile"})


@dataclass(frozen=True)
class Hosts:
    """The names that requests may have in their Host header; `*` only if `is_wildcard_allowed`."""

    is_wildcard_allowed: Callable[[], bool]

    required = (
        "a comma-separated list of at least one host name, without scheme and port; a leading dot includes all"
        " subdomains; * needs DJANGO_DEBUG, because it would let any site embed the clock by DNS rebinding"
    )

    def parse(self, text: str) -> list[str]:
        """Return the names."""
        hosts = split_list(text)
        if not hosts:
            raise InvalidValue(text)
        for host in hosts:
            if not (self.is_wildcard_allowed() if host == "*" else _HOST.fullmatch(host)):
                raise InvalidValue(host)
        return hosts


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Web origins; `for_frames`, sources of the CSP directive `frame-ancestors`, whose host may begin with `*.`."""

    for_frames: bool

    @property
    def required(self) -> str:
        """What a valid value is."""
        other = "https://*.example.org" if self.for_frames else "http://10.0.0.7:8080"
        return f"a comma-separated list of origins, such as https://example.org or {other}"

    def parse(self, text: str) -> list[str]:
        """Return the origins as browsers send them, each once and in their order."""
        origins: dict[str, None] = {}
        for item in split_list(text):
            try:
                origins[normalise(item, for_frames=self.for_frames)] = None
            except InvalidOrigin as error:
                raise InvalidValue(item, str(error)) from None
        return list(origins)


class Networks:
    """IP networks in CIDR notation; an address is a network of one."""

    required = (
        "a comma-separated list of networks, such as 10.0.0.0/8 or 2001:db8::/32, with all bits after the prefix zero"
    )

    def parse(self, text: str) -> list[IPv4Network | IPv6Network]:
        """Return the networks."""
        networks = []
        for item in split_list(text):
            try:
                networks.append(ip_network(item))
            except ValueError:
                raise InvalidValue(item) from None
        return networks


class Addresses:
    """Hosts, each with a port."""

    required = "a comma-separated list of hosts with ports, such as one:26379 or [2001:db8::7]:26379"

    def parse(self, text: str) -> list[tuple[str, int]]:
        """Return pairs of host and port."""
        addresses = []
        for item in split_list(text):
            match = _ADDRESS.fullmatch(item)
            if not match or not 0 < int(match[3]) <= _MAX_PORT:
                raise InvalidValue(item)
            addresses.append((match[1] or match[2], int(match[3])))
        return addresses


class IpAddress:
    """The address of a network interface."""

    required = "an IP address of this host, such as 127.0.0.1; 0.0.0.0 means all IPv4 addresses"

    def parse(self, text: str) -> str:
        """Return the address."""
        try:
            return str(ip_address(text))
        except ValueError:
            raise InvalidValue(text) from None


class RedisUrl:
    """The URL of a Redis or Valkey server, as redis-py reads it.

    redis-py accepts any of its options after a question mark, and they override all others. Only harmless ones are
    valid here: nobody can turn the verification of certificates off, for example.
    """

    required = (
        "redis://[user:password@]host[:port][/database], or rediss:// for TLS (with ?ssl_certfile=…&ssl_keyfile=… for"
        " a client certificate), or unix:///path/to/socket[?db=…]; in a password, write : / ? # @ % as %XX"
    )

    def parse(self, text: str) -> str:
        """Return the URL."""
        try:
            parts = urlsplit(text)
            options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else {}
            parse_url(text)  # type: ignore[no-untyped-call]
            # redis-py silently drops what a special character in a password splits off.
            is_whole = not parts.fragment and (parts.scheme == "unix" or re.fullmatch(r"/?[0-9]{0,9}", parts.path))
        except ValueError:
            is_whole, options = False, {}
        if not is_whole or not options.keys() <= _REDIS_OPTIONS:
            raise InvalidValue(text)
        return text


class OptionalRedisUrl(RedisUrl):
    """The same, or nothing."""

    def parse(self, text: str) -> str:
        """Return the URL, or an empty text."""
        return super().parse(text) if text else text


def mask_redis_url(text: str) -> str:
    """Return a valid URL of a Redis without its user, password and options, any of which may be a secret."""
    parts = urlsplit(text)
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"{HIDDEN}@{host}" if at else host, parts.path, HIDDEN if parts.query else "", ""))
