"""Connections to the master that Redis Sentinel names, for the channel layer's pool.

redis-py finds the master. Two things it leaves undone are here: it does not check that the server is the master, and it
does not close its connections to the sentinels. A server that is not a master, or no longer, accepts SUBSCRIBE and
PUBLISH without an error.
"""

from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import MasterNotFoundError, SentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError


class MasterConnection(SentinelManagedConnection):
    """A connection to the server that is the master at the moment it is made."""

    async def connect(self) -> None:
        """Connect to the master that the sentinels name, and disconnect from the sentinels.

        Raises:
            RedisError, OSError: no sentinel names a master, or the one that is named is unavailable or not a master.
        """
        if self.is_connected:
            return
        pool = self.connection_pool
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            # redis-py's own text is a paragraph for each sentinel.
            raise MasterNotFoundError(f"no sentinel knows of a master {pool.service_name!r} that is up") from None
        finally:
            await pool.sentinel_manager.aclose()

    async def connect_to(self, address: tuple[str, int]) -> None:
        """Connect to a server, and check that it is the master: a sentinel may not have noticed a failover yet."""
        await super().connect_to(address)  # type: ignore[no-untyped-call]
        await self.send_command("ROLE", check_health=False)
        role = (await self.read_response())[0]
        if role not in {"master", b"master"}:
            await self.disconnect()
            raise RedisConnectionError(f"a sentinel names {self.host}:{self.port}, which is not a master")


class EncryptedMasterConnection(MasterConnection, SSLConnection):
    """The same over TLS."""
