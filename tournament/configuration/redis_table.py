"""The part of the table of settings that says how to reach Redis; `table.py` has all of them."""

from typing import Any, Final

from tournament.configuration.network_parsers import Addresses, OptionalRedisUrl, RedisUrl, mask_redis_url
from tournament.configuration.parsers import ReadableFile, SecretText, Text
from tournament.configuration.setting import Setting

# Of the master, and of the namespace.
NAME: Final = Text(r"[A-Za-z0-9_.-]{1,50}", "1 to 50 letters, digits, dots, hyphens or underscores")

REDIS_URL: Final = Setting(
    name="REDIS_URL",
    parser=RedisUrl(),
    default="redis://127.0.0.1:6379",
    secret=True,
    mask=mask_redis_url,
    compose_default="redis://redis:6379",
    compose_note="the stack's own Redis",
    description="The Redis or Valkey server, with user, password and database number.",
)
REDIS_CA_FILE: Final = Setting(
    name="REDIS_CA_FILE",
    parser=ReadableFile(),
    description="PEM file of the authorities that sign the certificates of a `rediss://` server, in addition to the"
    " system's. In a container this is a path inside the container, so mount the file.",
)
REDIS_SENTINELS: Final = Setting(
    name="REDIS_SENTINELS",
    parser=Addresses(),
    description="Sentinels that name the master. The host and port in `REDIS_URL` are not used then.",
)
REDIS_MASTER_NAME: Final = Setting(
    name="REDIS_MASTER_NAME",
    parser=NAME,
    default="clock",
    description="The name of the master in the Sentinels' configuration.",
)
REDIS_SENTINEL_USERNAME: Final = Setting(
    name="REDIS_SENTINEL_USERNAME",
    parser=Text(r"[^\s]{0,100}", "at most 100 characters without whitespace"),
    description="The user for the Sentinels themselves, if they require one. The master's user is in `REDIS_URL`.",
)
REDIS_SENTINEL_PASSWORD: Final = Setting(
    name="REDIS_SENTINEL_PASSWORD",
    parser=SecretText(),
    secret=True,
    description="The password for the Sentinels themselves, if they require one.",
)
CLOCK_REDIS_REPLICA_URL: Final = Setting(
    name="CLOCK_REDIS_REPLICA_URL",
    parser=OptionalRedisUrl(),
    used_by=("worker",),
    secret=True,
    description="A replica of the server, from which workers receive the ticks. They still compare their clocks with"
    " the server itself, so both must be reachable.",
)

# In the order of the document.
REDIS_SETTINGS: Final[tuple[Setting[Any], ...]] = tuple(
    value for value in globals().values() if isinstance(value, Setting)
)
