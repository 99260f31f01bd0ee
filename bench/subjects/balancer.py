"""HAProxy in front of two local workers: with the project's own configuration, or as a plain TCP proxy."""

import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench.subjects.subject import Deployment, Environment, Server, Subject
from testbed.processes import ROOT, Worker

CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"

WORKERS: Final = 2

Command = Callable[[int, Sequence[int], Path], list[str]]


def balancer_missing() -> str:
    """Return what HAProxy lacks."""
    return "" if shutil.which("haproxy") else "it needs haproxy (Debian: apt-get install haproxy)"


def balancer_command(port: int, workers: Sequence[int], directory: Path) -> list[str]:
    """Return HAProxy's command for its port and the workers' ports. Write its configuration to `directory`."""
    text = CONFIGURATION.read_text()
    text, binds = re.subn(r"^    bind :\d+$", f"    bind 127.0.0.1:{port}", text, flags=re.MULTILINE)
    text, templates = re.subn(r"^    server-template .*$", servers(workers), text, flags=re.MULTILINE)
    assert (binds, templates) == (1, 2), f"{CONFIGURATION} has changed; adapt the replacements above"
    return haproxy(port, text, directory)


def tcp_balancer_command(port: int, workers: Sequence[int], directory: Path) -> list[str]:
    """Return the same for a configuration that only passes bytes on."""
    text = f"""\
global
    maxconn 8000
    tune.bufsize 8192
defaults
    mode tcp
    timeout connect 2s
    timeout client 90s
    timeout server 90s
listen clock
    bind 127.0.0.1:{port}
    balance leastconn
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    default-server check inter 1s rise 1 fall 2
{servers(workers)}
"""
    return haproxy(port, text, directory)


def servers(ports: Sequence[int]) -> str:
    """Return the lines for workers on these ports."""
    return "\n".join(f"    server web{number} 127.0.0.1:{port}" for number, port in enumerate(ports, 1))


def haproxy(port: int, configuration: str, directory: Path) -> list[str]:
    """Write a configuration and return HAProxy's command."""
    path = directory / f"haproxy-{port}.cfg"
    path.write_text(configuration)
    return ["haproxy", "-db", "-f", str(path)]


def deploy_balanced(environment: Environment, *, command: Command) -> Deployment:
    """Deploy the workers behind HAProxy."""
    workers = [
        Worker(environment.broker.url, environment.directory, CLOCK_NAMESPACE=environment.namespace)
        for _ in range(WORKERS)
    ]
    ports = [worker.port for worker in workers]
    balancer = Server("haproxy", environment, lambda port: command(port, ports, environment.directory))
    return Deployment(balancer.port, [*workers, balancer])


def balanced(name: str, title: str, command: Command) -> Subject:
    """Return a subject with HAProxy."""
    deploy = partial(deploy_balanced, command=command)
    return Subject(name, title, "/ws/clock/", deploy, balancer_missing, has_now=True)


BALANCED: Final = (
    balanced("haproxy-http", "two workers behind HAProxy in `mode http`", balancer_command),
    balanced("haproxy-tcp", "two workers behind HAProxy in `mode tcp`", tcp_balancer_command),
)
