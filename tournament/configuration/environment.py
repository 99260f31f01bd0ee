"""Settings read from the environment: each is checked where it is read, and a bad one stops the start by name."""

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import environ
from redis.connection import parse_url

from tournament.configuration.origins import BadOrigin, normalise

_env = environ.Env()

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off", ""})

# What may follow a question mark in the address of a Redis.
_REDIS_OPTIONS = frozenset({"db", "password", "username", "ssl_certfile", "ssl_keyfile"})


class BadSetting(SystemExit):
    """A variable holds what cannot be used.

    It is a `SystemExit`, so that whatever program loads the settings (`manage.py`, `daphne`, a test runner) ends with
    this one line on standard error and exit code 1, and without a traceback.
    """

    def __init__(self, name: str, value: str, accepts: str) -> None:
        super().__init__(f"{name}={value!r} cannot be used: it takes {accepts}.")


def _read(name: str, default: str) -> str:
    """Return the variable's text, or that of another variable where it is written `$OTHER`."""
    written = os.environ.get(name, "")
    if written.startswith("$") and written[1:] not in os.environ:
        raise BadSetting(
            name, "$…", "a text that does not begin with a dollar, or $OTHER, the name of a variable that is set"
        )
    value: str = _env.str(name, default)
    return value


def text(name: str, default: str, *, pattern: str, accepts: str) -> str:
    """Return the variable's text, which must match `pattern` from end to end."""
    value = _read(name, default)
    if not re.fullmatch(pattern, value):
        raise BadSetting(name, value, accepts)
    return value


def secret(name: str, default: str = "") -> str | None:
    """Return the variable's text, or None where it is empty; it is never repeated in an error."""
    return _read(name, default) or None


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return one of `choices`, whatever the case it was written in."""
    value = _read(name, default).upper()
    if value not in choices:
        raise BadSetting(name, value, "one of " + ", ".join(choices))
    return value


def switch(name: str, *, default: bool) -> bool:
    """Return a yes or a no."""
    value = _read(name, "on" if default else "off").strip().lower()
    if value not in _YES | _NO:
        raise BadSetting(name, value, "1, true, yes, on or 0, false, no, off")
    return value in _YES


def number(name: str, default: int, *, least: int, most: int, unit: str) -> int:
    """Return a whole number from `least` to `most`; the unit is for the error alone."""
    return _number(name, _read(name, str(default)), least, most, f"a whole number of {unit} from {least} to {most}")


def number_or_auto(name: str, default: str, *, least: int, most: int, unit: str) -> int | None:
    """Return a whole number from `least` to `most`, or None for `auto`; the unit is for the error alone."""
    value = _read(name, default)
    if value == "auto":
        return None
    return _number(name, value, least, most, f"auto, or a whole number of {unit} from {least} to {most}")


def _number(name: str, value: str, least: int, most: int, accepts: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", value) or not least <= int(value) <= most:
        raise BadSetting(name, value, accepts)
    return int(value)


def port(name: str, default: int) -> int:
    """Return a port of TCP, or 0 for none."""
    return _number(name, _read(name, str(default)), 0, 65_535, "a port from 1 to 65535, or 0 for none")


def words(name: str, default: str) -> list[str]:
    """Return a list written with commas; blanks around the words are dropped, and so are empty ones."""
    return [word.strip() for word in _read(name, default).split(",") if word.strip()]


def hosts(name: str, default: str, *, wildcard: bool) -> list[str]:
    """Return the host names (without scheme or port) that requests may name; `*` only where `wildcard` allows it."""
    found = words(name, default)
    accepts = "host names without scheme or port, with commas between; a leading dot stands for all subdomains"
    for host in found:
        if host == "*":
            if not wildcard:
                raise BadSetting(
                    name, host, accepts + "; * would let any site embed this clock, so it needs DJANGO_DEBUG"
                )
        elif not re.fullmatch(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\]", host):
            raise BadSetting(name, host, accepts)
    if not found:
        raise BadSetting(name, "", accepts + "; at least one")
    return found


def origins(name: str, default: str) -> list[str]:
    """Return web origins as browsers send them: scheme, host and, if it is not the scheme's own, port."""
    return _origins(name, default, "origins such as https://example.org or http://10.0.0.7:8080", for_frames=False)


def frame_ancestors(name: str, default: str) -> list[str]:
    """Return sources for the CSP directive `frame-ancestors`: origins, whose host may begin with `*.`."""
    return _origins(name, default, "origins such as https://example.org or https://*.example.org", for_frames=True)


def _origins(name: str, default: str, accepts: str, *, for_frames: bool) -> list[str]:
    found: dict[str, None] = {}  # each once, in their order
    for word in words(name, default):
        try:
            found[normalise(word, for_frames=for_frames)] = None
        except BadOrigin as error:
            raise BadSetting(name, word, f"{accepts}, with commas between; {error}") from None
    return list(found)


def networks(name: str, default: str) -> list[IPv4Network | IPv6Network]:
    """Return IP networks written as CIDRs; an address by itself is a network of one."""
    found = []
    for word in words(name, default):
        try:
            found.append(ip_network(word))
        except ValueError:
            accepts = (
                "networks such as 10.0.0.0/8 or 2001:db8::/32, with no bits set behind the prefix, and commas between"
            )
            raise BadSetting(name, word, accepts) from None
    return found


def redis_url(name: str, default: str) -> str:
    """Return the address of a Redis or Valkey server, as redis-py reads it; an error never repeats any of it.

    redis-py takes any of its options after a question mark, and lets them win over all others. Here those are admitted
    that do no harm: the certificates' verification, say, is not to be turned off.
    """
    value = _read(name, default)
    accepts = (
        "redis://[user:password@]host[:port][/database], rediss:// for TLS (and ?ssl_certfile=…&ssl_keyfile=… for a"
        " client's certificate), or unix:///path/to/socket[?db=…]; signs in a password that mean something, such as"
        " : / ? # @ %, are written %XX"
    )
    try:
        parts = urlsplit(value)
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else {}
        parse_url(value)  # type: ignore[no-untyped-call]
        # redis-py is silent on what such a sign in a password, not written %XX, splits off.
        whole = not parts.fragment and (parts.scheme == "unix" or re.fullmatch(r"/?[0-9]{0,9}", parts.path))
    except ValueError:  # its text would repeat a part
        whole, options = False, {}
    if not whole or not options.keys() <= _REDIS_OPTIONS:
        raise BadSetting(name, "…", accepts)
    return value


def addresses(name: str, default: str) -> list[tuple[str, int]]:
    """Return hosts, each with a port: `one:26379,192.0.2.7:26379,[2001:db8::7]:26379`."""
    accepts = "hosts with ports such as one:26379 or [2001:db8::7]:26379, with commas between"
    found = []
    for word in words(name, default):
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})", word)
        if not match or not 0 < int(match[3]) < 65536:  # noqa: PLR2004 - the ports of TCP
            raise BadSetting(name, word, accepts)
        found.append((match[1] or match[2], int(match[3])))
    return found


def file(name: str, default: str) -> str:
    """Return the path of a file that can be read, or nothing."""
    value = _read(name, default)
    if value and not (Path(value).is_file() and os.access(value, os.R_OK)):
        raise BadSetting(name, value, "the path of a file that can be read")
    return value


def time_zone(name: str, default: str) -> ZoneInfo:
    """Return a zone of the IANA database."""
    value = _read(name, default)
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, or no name of a file within the database
        raise BadSetting(name, value, "a zone of the IANA database, such as UTC or Europe/Berlin") from None
