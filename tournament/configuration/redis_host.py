"""How to connect to Redis, as an entry for the `hosts` of a channel layer: directly to a server, or through Sentinel.

`channels_redis.utils.create_pool` turns the entry into a connection pool, for the channel layer and for every other use
of Redis.
"""

from typing import Any, Final, NamedTuple

from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from clock.redis.adapter.sentinel import EncryptedMasterConnection, MasterConnection
from tournament.configuration.setting import HIDDEN, InvalidSetting

# Options of a connection to a server; times are in seconds. Ticker and relay have their own timeouts for reads and
# writes. redis-py's `socket_timeout` must stay off: it uses `asyncio.wait_for`, which before Python 3.12 loses a
# cancellation that arrives just as its work completes (seen here 7 times in 10), and then a task cannot be stopped.
CONNECTION_OPTIONS: Final = {"socket_timeout": None, "socket_connect_timeout": 1.0, "socket_keepalive": True}

# Timeouts for connecting to a Sentinel, and for its answer, before the next Sentinel is asked. They are short because
# the ticker's lease waits for less than half a second altogether. TLS needs longer: Python reads the system's
# authorities for each connection (25 to 45 ms). Here redis-py's own timeout is good enough, because it applies once per
# connection and not 100 times per second.
SENTINEL_TIMEOUT_S: Final = 0.1
SENTINEL_TLS_TIMEOUT_S: Final = 0.2


class Sentinels(NamedTuple):
    """The addresses (host and port) of the Sentinels, their name of the master, and their own user and password."""

    addresses: list[tuple[str, int]]
    master_name: str
    username: str = ""
    password: str | None = None


def redis_host(url: str, *, ca_file: str, sentinels: Sentinels) -> dict[str, Any]:
    """Return the entry for the server at `url` or, if there are Sentinels, for the master that they name.

    With Sentinels, `url` gives the master's user, password and database, and whether all connections use TLS. With TLS,
    an authority of the system or of `ca_file` must have signed the certificates of the server and of the Sentinels.

    Raises:
        InvalidSetting: the settings contradict each other.
    """
    parsed = parse_url(url)
    encrypted = parsed.get("connection_class") is SSLConnection
    if ca_file and not encrypted:
        raise InvalidSetting("REDIS_CA_FILE", ca_file, "no file, or a REDIS_URL that begins with rediss://")
    authority = {"ssl_ca_certs": ca_file} if ca_file else {}
    if not sentinels.addresses:
        return {"address": url, **CONNECTION_OPTIONS, **authority}
    if "path" in parsed:
        raise InvalidSetting(
            "REDIS_SENTINELS", HIDDEN, "no Sentinels, or a REDIS_URL that begins with redis:// or rediss://"
        )
    timeout_s = SENTINEL_TLS_TIMEOUT_S if encrypted else SENTINEL_TIMEOUT_S
    tls = {name: value for name, value in parsed.items() if name.startswith("ssl_")} | authority
    return {
        "master_name": sentinels.master_name,
        "sentinels": sentinels.addresses,
        "sentinel_kwargs": {
            "username": sentinels.username or None,
            "password": sentinels.password,
            "ssl": encrypted,
            "retry": Retry(NoBackoff(), 0),  # redis-py's default is ten retries, for seconds
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            **tls,
        },
        "connection_class": EncryptedMasterConnection if encrypted else MasterConnection,
        **{name: value for name, value in parsed.items() if name in {"username", "password", "db"}},
        **CONNECTION_OPTIONS,
        **tls,
    }
