"""Other servers that can do what the worker does: each with one process on one core, fed from the same Redis."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.load import CACHE
from testbed.subscriber import CHANNEL

HERE = Path(__file__).resolve().parent

# What npm installs, pinned. Bun comes as a program in a package.
NPM_PACKAGES = {"ws": "8.23.0", "bun": "1.4.5"}

NCHAN_MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx/modules")


@dataclass(frozen=True, slots=True)
class Peer:
    """One server: its command from its port, the Redis port and a directory; and its feeder's from the two ports."""

    name: str
    title: str
    path: str
    command: Callable[[int, int, Path], list[str]]
    missing: Callable[[], str]
    feeder: Callable[[int, int], list[str]] = lambda _port, _redis_port: []


@cache
def npm_packages() -> Path | None:
    """Return the directory of the npm packages, installed now if need be; None where that cannot be done."""
    directory = CACHE / "npm"
    modules = directory / "node_modules"
    versions = " ".join(f"{name}@{version}" for name, version in NPM_PACKAGES.items())
    note = directory / "installed"
    if note.exists() and note.read_text() == versions:
        return modules
    if shutil.which("npm") is None:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(directory)]
    done = subprocess.run([*command, *versions.split()], capture_output=True, check=False, timeout=300)
    if done.returncode:
        return None
    note.write_text(versions)
    return modules


def bun_program() -> str | None:
    """Return the path of Bun: the one npm installs, else one on the PATH."""
    modules = npm_packages()
    if modules is not None and (modules / ".bin" / "bun").exists():
        return str((modules / ".bin" / "bun").resolve())
    return shutil.which("bun")


def nchan_module() -> Path | None:
    """Return the path of nginx's module Nchan."""
    return next((path for one in NCHAN_MODULES if (path := Path(one) / "ngx_nchan_module.so").exists()), None)


def ws_missing() -> str:
    """Say what Node's `ws` lacks."""
    if shutil.which("node") is None or npm_packages() is None:
        return "it needs node and npm (Debian: apt-get install nodejs npm)"
    return ""


def bun_missing() -> str:
    """Say what Bun lacks."""
    return "" if bun_program() else "it needs npm, which installs it (Debian: apt-get install nodejs npm), or bun"


def nchan_missing() -> str:
    """Say what Nchan lacks."""
    if shutil.which("nginx") is None or nchan_module() is None:
        return "it needs nginx and its module (Debian: apt-get install nginx-light libnginx-mod-nchan)"
    return ""


def ws_command(port: int, redis_port: int, _directory: Path) -> list[str]:
    """Return the command of the server on Node's `ws`."""
    return ["node", str(HERE / "ws.js"), str(port), str(redis_port), CHANNEL, str(npm_packages())]


def bun_command(port: int, redis_port: int, _directory: Path) -> list[str]:
    """Return the command of the server on Bun."""
    return [bun_program() or "bun", str(HERE / "bun.js"), str(port), str(redis_port), CHANNEL]


def nchan_command(port: int, _redis_port: int, directory: Path) -> list[str]:
    """Return the command of nginx with Nchan, whose configuration is written to the directory."""
    configuration = directory / f"nchan-{port}.conf"
    temporary = "".join(f"  {one}_temp_path {directory}/{one};\n" for one in ("client_body", "proxy", "fastcgi"))
    temporary += "".join(f"  {one}_temp_path {directory}/{one};\n" for one in ("uwsgi", "scgi"))
    configuration.write_text(
        f"load_module {nchan_module()};\n"
        "daemon off;\n"
        "worker_processes 1;\n"
        "master_process off;\n"  # one process: a worker would outlive a master that is killed
        "worker_rlimit_nofile 16384;\n"
        "error_log stderr warn;\n"
        f"pid {directory}/nchan-{port}.pid;\n"
        "events { worker_connections 8192; }\n"
        "http {\n"
        "  access_log off;\n"
        "  keepalive_requests 1000000000;\n"
        f"{temporary}"
        "  server {\n"
        f"    listen 127.0.0.1:{port} backlog=4096;\n"
        "    tcp_nodelay on;\n"
        "    location = /publish { nchan_publisher; nchan_channel_id ticks; nchan_store_messages off; }\n"
        "    location = /stream { nchan_subscriber websocket; nchan_channel_id ticks; }\n"
        "  }\n"
        "}\n"
    )
    return ["nginx", "-p", str(directory), "-c", str(configuration)]


def nchan_feeder(port: int, redis_port: int) -> list[str]:
    """Return the command that passes the ticks on to Nchan."""
    return [sys.executable, "-m", "bench.peers.feed", str(redis_port), str(port), "/publish"]


PEERS = (
    Peer("ws", "Node, ws " + NPM_PACKAGES["ws"], "/", ws_command, ws_missing),
    Peer("bun", "Bun " + NPM_PACKAGES["bun"], "/", bun_command, bun_missing),
    Peer("nchan", "nginx with Nchan", "/stream", nchan_command, nchan_missing, nchan_feeder),
)
