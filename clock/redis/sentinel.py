"""The way to the master that Redis Sentinel names: connections for the channel layer's pool.

redis-py finds the master. What it leaves undone is here: it does not ask the server whether it is the master, and it
does not close its connections to the sentinels. What is no master (any more) takes SUBSCRIBE and PUBLISH in silence.
"""

from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import MasterNotFoundError, SentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError


class MasterConnection(SentinelManagedConnection):
    """A connection to the master, whichever that is when it is made."""

    async def connect(self) -> None:
        """Connect to the master that the sentinels name, and let go of the sentinels.

        Raises:
            RedisError, OSError: no sentinel names one, or the one that is named is away or no master.
        """
        if self.is_connected:
            return
        pool = self.connection_pool
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            # redis-py's own words are a paragraph for each sentinel.
            raise MasterNotFoundError(f"no sentinel knows of a master {pool.service_name!r} that is up") from None
        finally:
            await pool.sentinel_manager.aclose()

    async def connect_to(self, address: tuple[str, int]) -> None:
        """Connect to a server, and ask whether it is the master: a sentinel may not have heard of a failover yet."""
        await super().connect_to(address)  # type: ignore[no-untyped-call]
        await self.send_command("ROLE", check_health=False)
        role = (await self.read_response())[0]
        if role not in {"master", b"master"}:
            await self.disconnect()
            raise RedisConnectionError(f"a sentinel names {self.host}:{self.port}, which is no master")


class EncryptedMasterConnection(MasterConnection, SSLConnection):
    """The same over TLS."""
