"""Real Redis servers and Sentinels for the tests, with TLS, users and replicas."""

import shutil
import subprocess
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from testbed.processes import Program, accepts_connections, free_port, wait_until


class Certificate:
    """A self-signed certificate for a name or an address, and its key, as PEM files."""

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
        """Return the options that make a Redis server, and its replicas, use TLS."""
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
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(lambda: not self.running or accepts_connections(self.port), "the server accepts connections")
        assert self.running, self.output()

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    def client(self, *, username: str | None = None, password: str | None = None, ca_file: Path | None = None) -> Redis:
        """Return a client, with the rights of a user if one is named, over TLS if a CA file is. It retries nothing."""
        return Redis(
            "127.0.0.1",
            self.port,
            username=username,
            password=password,
            ssl=ca_file is not None,
            ssl_ca_certs=None if ca_file is None else str(ca_file),
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )


class Sentinel(Server):
    """A Sentinel that monitors one master under the name `clock`; a master is down after 1 s without an answer."""

    def __init__(
        self, directory: Path, master: Server, *lines: str, quorum: int = 1, certificate: Certificate | None = None
    ) -> None:
        super().__init__(directory, certificate=certificate)
        # A Sentinel stores its state in its configuration file, so it needs one.
        pairs = self.command[1 : self.command.index("--save")]
        options = [f"{name[2:]} {value}" for name, value in zip(pairs[::2], pairs[1::2], strict=True)]
        watched = [
            f"sentinel monitor clock 127.0.0.1 {master.port} {quorum}",
            "sentinel down-after-milliseconds clock 1000",
            "sentinel failover-timeout clock 4000",
        ]
        file = directory / f"sentinel-{self.port}.conf"
        file.write_text("\n".join([*options, *watched, *lines, ""]))
        self.command = [program(directory), str(file), "--sentinel"]


def program(directory: Path) -> str:
    """Return the path of a Redis server, which can also run as a Sentinel.

    Debian's `redis-tools` has the server without its service, under the name `redis-check-rdb`: the program is a server
    if it is started under the name `redis-server`, so a symbolic link in `directory` is enough.
    """
    if found := shutil.which("redis-server"):
        return found
    tool = shutil.which("redis-check-rdb")
    assert tool, "make test installs a Redis server"
    link = directory / "redis-server"
    if not link.exists():
        link.symlink_to(tool)
    return str(link)
