"""Real Redis servers and Sentinels for the tests, with TLS, users and replicas; and how they come to be there.

python -m testbed.redis_servers
"""

import shutil
import subprocess
import sys
from pathlib import Path

from redis import Redis

from testbed.debian import install
from testbed.processes import Program, takes_connections, wait_until
from tournament.up.broker import free_port


class Certificate:
    """A certificate for a name or an address, which is its own authority, and its key: PEM files."""

    def __init__(self, directory: Path, name: str, subject: str = "IP:127.0.0.1") -> None:
        self.certificate, self.key = directory / f"{name}.crt", directory / f"{name}.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-keyout", self.key, "-out", self.certificate, "-days", "2", "-subj", "/CN=a test"),
                *("-addext", f"subjectAltName={subject}"),
            ],
            check=True,
            capture_output=True,
        )

    def options(self) -> list[str]:
        """Return the options by which a Redis server speaks TLS, and its replicas with it."""
        return [
            *("--tls-cert-file", str(self.certificate)),
            *("--tls-key-file", str(self.key)),
            *("--tls-ca-cert-file", str(self.certificate)),
            *("--tls-auth-clients", "no"),
            *("--tls-replication", "yes"),
        ]


class Server(Program):
    """A Redis server on a port of its own."""

    def __init__(self, directory: Path, *options: str, certificate: Certificate | None = None) -> None:
        self.port = free_port()
        ports = ["--port", str(self.port)]
        if certificate is not None:
            ports = ["--port", "0", "--tls-port", str(self.port), *certificate.options()]
        quiet = ["--save", "", "--appendonly", "no", "--loglevel", "warning", "--repl-diskless-sync-delay", "0"]
        # A replica writes a dump, which no other server in this folder may load.
        dump = ["--dbfilename", f"redis-{self.port}.rdb"]
        command = [program(directory), "--bind", "127.0.0.1", "--dir", str(directory), *ports, *quiet, *dump, *options]
        super().__init__("redis", command, directory)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        super().start()
        wait_until(lambda: not self.running or takes_connections(self.port), "the server takes connections")
        assert self.running, self.output()

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    def client(self, **options: object) -> "Redis":
        """Return a client of it."""
        return Redis("127.0.0.1", self.port, socket_timeout=5, **options)  # type: ignore[arg-type]


class Sentinel(Server):
    """A Sentinel that watches one master, by the name of `clock`: it is down after a second."""

    def __init__(
        self, directory: Path, master: Server, *lines: str, quorum: int = 1, certificate: Certificate | None = None
    ) -> None:
        super().__init__(directory, certificate=certificate)
        # Its options are in a file, for a Sentinel writes what it learns into one.
        words = self.command[1 : self.command.index("--save")]
        options = [f"{name[2:]} {value}" for name, value in zip(words[::2], words[1::2], strict=True)]
        watched = [
            f"sentinel monitor clock 127.0.0.1 {master.port} {quorum}",
            "sentinel down-after-milliseconds clock 1000",
            "sentinel failover-timeout clock 4000",
        ]
        file = directory / f"sentinel-{self.port}.conf"
        file.write_text("\n".join([*options, *watched, *lines, ""]))
        self.command = [program(directory), str(file), "--sentinel"]


def program(directory: Path) -> str:
    """Return the path of a Redis server, which is a Sentinel too.

    Debian's `redis-tools` has it without the services that `redis-server` starts: as `redis-check-rdb`, which is a
    server when it is called by that name.
    """
    if found := shutil.which("redis-server"):
        return found
    tool = shutil.which("redis-check-rdb")
    assert tool, "make redis brings one"
    called = directory / "redis-server"
    if not called.exists():
        called.symlink_to(tool)
    return str(called)


def missing() -> list[str]:
    """Return Debian's packages of what is not there."""
    packages = []
    if not (shutil.which("redis-server") or shutil.which("redis-check-rdb")):
        packages.append("redis-tools")
    if shutil.which("openssl") is None:
        packages.append("openssl")
    return packages


def main() -> None:
    """Have all of it here, or say what to type."""
    install(missing())
    if packages := missing():
        sys.exit(
            f"The tests of TLS, users and Sentinel need more than there is: sudo apt-get install {' '.join(packages)}"
        )


if __name__ == "__main__":
    main()
