"""The Redis users of `deploy/redis-users.conf`: on a real server, each may do what its role needs, and no more."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from testbed.processes import ROOT, Ticker, Worker, wait_until
from testbed.redis_servers import Server
from testbed.subscriber import CHANNEL

EXAMPLE = ROOT / "deploy" / "redis-users.conf"
WARM_UP_CHANNEL = f"{CHANNEL}.rehearsal"

# Takes, extends and releases a lease, with every command that a ticker uses for it.
LEASE = """
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', 1000)
redis.call('SET', KEYS[2], '1')
redis.call('GET', KEYS[1])
redis.call('GET', KEYS[2])
redis.call('PTTL', KEYS[1])
redis.call('PEXPIRE', KEYS[1], 1000)
return redis.call('DEL', KEYS[1])
"""
KEYS = ("clock:lease", "clock:term")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    """A server with the example's users, enabled as the example says."""
    file = directory / "redis-users.conf"
    file.write_text(
        re.sub(r"^(user clock-\w+) off resetpass", r"\1 on >sesame", EXAMPLE.read_text(), flags=re.MULTILINE)
    )
    with Server(directory, "--include", str(file)) as server:
        yield server


def client(server: Server, user: str) -> Redis:
    """Return a client with the rights of a user."""
    return server.client(username=user, password="sesame")


def bound_of(worker: Worker) -> float | None:
    """Return the bound that a worker states."""
    bound: float | None = json.loads(worker.get("/clock/now")[1])["bound"]
    return bound


def test_ticker_and_worker_need_no_more(server: Server, directory: Path) -> None:
    """A real ticker and a real worker run as these users, in another database."""
    urls = [f"redis://clock-{role}:sesame@{server.address}/1" for role in ("ticker", "worker")]
    with Ticker(urls[0], directory) as ticker, Worker(urls[1], directory) as worker:
        worker.wait_for_ticks()
        wait_until(lambda: bound_of(worker) is not None, "both have compared their clocks with that of Redis")
        assert "Redis is unavailable" not in ticker.output() + worker.output()


def test_the_ticker_may_publish_subscribe_and_hold_the_lease(server: Server) -> None:
    """All commands of its role succeed."""
    with client(server, "clock-ticker") as ticker:
        ticker.publish(CHANNEL, "")
        ticker.publish(WARM_UP_CHANNEL, "")
        ticker.pubsub().subscribe(CHANNEL)
        assert ticker.eval(LEASE, 2, *KEYS, "one") == 1
        assert ticker.time()
        assert ticker.info("server")
        assert ticker.ping()
        assert ticker.role()


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("clock-worker", ["PUBLISH", CHANNEL, ""]),
        ("clock-worker", ["EVAL", "return 1", "0"]),
        ("clock-worker", ["GET", KEYS[0]]),
        ("clock-worker", ["SET", KEYS[0], ""]),
        ("clock-worker", ["SUBSCRIBE", WARM_UP_CHANNEL]),
        ("clock-ticker", ["PUBLISH", "another", ""]),
        ("clock-ticker", ["EVAL", "return redis.call('GET', KEYS[1])", "1", "another"]),
        ("clock-ticker", ["SET", "another", ""]),
        *[
            (user, command)
            for user in ("clock-ticker", "clock-worker")
            for command in (
                ["SUBSCRIBE", "another"],
                ["PSUBSCRIBE", "*"],
                ["KEYS", "*"],
                ["CONFIG", "GET", "*"],
                ["CLIENT", "LIST"],
                ["ACL", "LIST"],
                ["FLUSHALL"],
                ["SHUTDOWN"],
            )
        ],
    ],
    ids=lambda part: part if isinstance(part, str) else " ".join(part),
)
def test_all_else_is_refused(server: Server, user: str, command: list[str]) -> None:
    """Commands and keys outside the role fail with a permission error."""
    with client(server, user) as redis, pytest.raises(RedisError, match=r"no permission|NOPERM|ACL failure"):
        redis.execute_command(*command)


def test_without_a_password_nobody_gets_in(server: Server) -> None:
    """The default user is off, and so are the example's users until they have a password."""
    with server.client() as redis, pytest.raises(RedisError, match="authenticated"):
        redis.ping()
    assert re.findall(r"^user (\S+) off resetpass ", EXAMPLE.read_text(), re.MULTILINE) == [
        "default",
        "clock-ticker",
        "clock-worker",
    ]
