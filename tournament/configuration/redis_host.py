"""How to connect to Redis, as an entry for the `hosts` of a channel layer: straight to a server, or by Sentinel.

`channels_redis.utils.create_pool` makes a pool of connections of it, for the channel layer and for whatever else needs
Redis.
"""

from typing import Any, Final, NamedTuple

from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from clock.redis.adapter.sentinel import EncryptedMasterConnection, MasterConnection
from tournament.configuration.environment import BadSetting

# Seconds that a server may take. Ticker and relay bound what they wait for themselves: redis-py's own bound on a read
# or write goes through `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes when its work is
# just done (seen here: 7 times in 10), and then nothing can be ended.
SERVER: Final = {"socket_timeout": None, "socket_connect_timeout": 1.0, "socket_keepalive": True}

# Seconds that a sentinel may take to be reached, and to answer, before the next is asked: the ticker's lease waits for
# less than half a second in all. TLS takes longer, for Python reads the system's authorities each time (25 to 45 ms).
# Here redis-py's own bound will do: it goes with one write at the start of a connection, not a hundred a second.
SENTINEL_PATIENCE: Final = 0.1
SENTINEL_PATIENCE_TLS: Final = 0.2


class Sentinels(NamedTuple):
    """Where sentinels are (host and port), what they call the master, and what they ask for."""

    addresses: list[tuple[str, int]]
    master_name: str
    username: str = ""
    password: str | None = None


def redis_host(url: str, *, ca_file: str, sentinels: Sentinels) -> dict[str, Any]:
    """Return the entry for the server that `url` names, or, if there are sentinels, for the master that they name.

    By Sentinel, `url` gives the master's user, password and database, and whether everything goes over TLS. Over TLS,
    an authority that the system knows, or one of `ca_file`, must have signed the certificates of server and sentinels.

    Raises:
        BadSetting: these do not go together.
    """
    given = parse_url(url)
    encrypted = given.get("connection_class") is SSLConnection
    if ca_file and not encrypted:
        raise BadSetting("REDIS_CA_FILE", ca_file, "a file only with a REDIS_URL that begins with rediss://")
    authority = {"ssl_ca_certs": ca_file} if ca_file else {}
    if not sentinels.addresses:
        return {"address": url, **SERVER, **authority}
    if "path" in given:
        raise BadSetting("REDIS_SENTINELS", "…", "sentinels only with a REDIS_URL of redis:// or rediss://")
    patience = SENTINEL_PATIENCE_TLS if encrypted else SENTINEL_PATIENCE
    tls = {name: value for name, value in given.items() if name.startswith("ssl_")} | authority
    return {
        "master_name": sentinels.master_name,
        "sentinels": sentinels.addresses,
        "sentinel_kwargs": {
            "username": sentinels.username or None,
            "password": sentinels.password,
            "ssl": encrypted,
            "retry": Retry(NoBackoff(), 0),  # redis-py's own would try each ten times, for seconds
            "socket_timeout": patience,
            "socket_connect_timeout": patience,
            **tls,
        },
        "connection_class": EncryptedMasterConnection if encrypted else MasterConnection,
        **{name: value for name, value in given.items() if name in {"username", "password", "db"}},
        **SERVER,
        **tls,
    }
