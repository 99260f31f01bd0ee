"""HAProxy with the project's own configuration, in front of local workers instead of Docker's."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.subjects.subject import Deployment, Environment, Server, Subject
from testbed.processes import ROOT, Worker

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"


def balancer_missing() -> str:
    """Return what HAProxy lacks."""
    return "" if shutil.which("haproxy") else "it needs haproxy (Debian: apt-get install haproxy)"


def balancer_command(port: int, workers: Sequence[int], directory: Path) -> list[str]:
    """Return HAProxy's command for its port and the workers' ports. Write its configuration to `directory`."""
    servers = "\n".join(f"    server web{number} 127.0.0.1:{worker}" for number, worker in enumerate(workers, 1))
    text = CONFIGURATION.read_text()
    text, binds = re.subn(r"^    bind :\d+$", f"    bind 127.0.0.1:{port}", text, flags=re.MULTILINE)
    text, templates = re.subn(r"^    server-template .*$", servers, text, flags=re.MULTILINE)
    assert (binds, templates) == (1, 2), f"{CONFIGURATION} has changed; adapt the replacements above"
    configuration = directory / f"haproxy-{port}.cfg"
    configuration.write_text(text)
    return ["haproxy", "-db", "-f", str(configuration)]


def deploy_balanced(environment: Environment) -> Deployment:
    """Deploy two workers behind HAProxy."""
    workers = [Worker(environment.broker.url, environment.directory) for _ in range(2)]
    ports = [worker.port for worker in workers]
    balancer = Server("haproxy", environment, lambda port: balancer_command(port, ports, environment.directory))
    return Deployment(balancer.port, [*workers, balancer])


BALANCED = Subject(
    "haproxy", "two workers behind HAProxy", "/ws/clock/", deploy_balanced, balancer_missing, has_now=True
)
