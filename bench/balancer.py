"""HAProxy as the project deploys it, but before workers known by their ports instead of by Docker's name server."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from testbed.processes import ROOT

DEPLOYED = ROOT / "deploy" / "haproxy.cfg"


def balancer_missing() -> str:
    """Say what HAProxy lacks."""
    return "" if shutil.which("haproxy") else "it needs haproxy (Debian: apt-get install haproxy)"


def balancer_command(port: int, workers: Sequence[int], directory: Path) -> list[str]:
    """Return the command of HAProxy, whose configuration is written to the directory; all ports are local."""
    servers = "\n".join(f"    server web{number} 127.0.0.1:{worker}" for number, worker in enumerate(workers, 1))
    text = DEPLOYED.read_text()
    text, binds = re.subn(r"^    bind :\d+$", f"    bind 127.0.0.1:{port}", text, flags=re.MULTILINE)
    text, templates = re.subn(r"^    server-template .*$", servers, text, flags=re.MULTILINE)
    assert (binds, templates) == (1, 2), f"{DEPLOYED} is no longer what this knows how to change"
    configuration = directory / f"haproxy-{port}.cfg"
    configuration.write_text(text)
    return ["haproxy", "-db", "-f", str(configuration)]
