"""The target: the addresses of the clock to watch, derived from the one that the user gives."""

from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qs, urlsplit

from clock.contract import AUTO, DEFAULT_RATE, RATES

# The rates that a client may request, as text.
RATE_TEXTS: Final = tuple(map(str, (AUTO, *RATES)))

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PAGE_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

# How the paths of a clock end. What precedes them is the path below which it is served (`--root-path`).
_PATHS: Final = ("/clock/embed", "/clock/now", "/ws/clock/", "/ws/clock", "/clock/", "/clock", "/")

EXPECTED: Final = (
    "expected is an origin such as https://clock.example.org, the address of a page such as "
    "https://clock.example.org/clock/, or of a stream such as wss://clock.example.org/ws/clock/"
)


class InvalidAddress(ValueError):
    """What the user gave is not an address of a clock. The text says what is wrong."""


class Target(NamedTuple):
    """One clock: where its stream is, where it answers with the time, and the Origin that its own page has.

    `host` and `port` are those to connect to, and `rate` is what to request: `auto`, or frames per second as text.
    """

    scheme: str  # http or https
    netloc: str
    host: str
    port: int
    prefix: str  # of all paths; usually empty
    rate: str

    @property
    def is_secure(self) -> bool:
        """Whether it is reached by TLS."""
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        """The Origin of its page, without a default port, as browsers send it."""
        is_default = self.port == _DEFAULT_PORTS[self.scheme]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if is_default else f"{self.scheme}://{host}:{self.port}"

    @property
    def stream_url(self) -> str:
        """The address of its stream, with the rate."""
        query = "" if self.rate == str(DEFAULT_RATE) else f"?rate={self.rate}"
        return f"{'wss' if self.is_secure else 'ws'}://{self.netloc}{self.prefix}/ws/clock/{query}"

    @property
    def now_path(self) -> str:
        """The path of the time as JSON."""
        return f"{self.prefix}/clock/now"

    @property
    def page_url(self) -> str:
        """The address of its page."""
        return f"{self.scheme}://{self.netloc}{self.prefix}/clock/"


def parse_target(address: str, rate: str | None = None) -> Target:
    """Return the clock at an address. Without a `rate`, it is the one in the address, or the stream's default.

    Raises:
        InvalidAddress: it is not an address of a clock.
    """
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:  # an invalid port, or brackets that are not closed
        raise InvalidAddress(f"{address} is not an address: {error}") from error
    if parts.scheme not in _PAGE_SCHEMES or not host:
        raise InvalidAddress(f"{address} is not the address of a clock: {EXPECTED}")
    if parts.username is not None:
        raise InvalidAddress("the address must not contain a user or a password")
    scheme = _PAGE_SCHEMES[parts.scheme]
    return Target(
        scheme=scheme,
        netloc=parts.netloc.lower(),
        host=host,
        port=port or _DEFAULT_PORTS[scheme],
        prefix=_prefix(parts, address),
        rate=rate or _rate(parts),
    )


def _prefix(parts: SplitResult, address: str) -> str:
    path = parts.path or "/"
    ending = next((ending for ending in _PATHS if path.endswith(ending)), None)
    if ending is None or (ending == "/" and path != "/"):
        raise InvalidAddress(f"{address} is not the address of a clock: {EXPECTED}")
    return path.removesuffix(ending)


def _rate(parts: SplitResult) -> str:
    """Return the rate in an address. A page ignores an invalid one, and so does this."""
    rate = parse_qs(parts.query).get("rate", [""])[-1]
    return rate if rate in RATE_TEXTS else str(DEFAULT_RATE)
