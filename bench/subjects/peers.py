"""The peers: other servers that do the worker's job, each in one process and with ticks from the same Redis."""

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import quote

from bench.subjects.subject import Deployment, Environment, Server, Subject
from testbed.processes import ROOT, Program

HERE = Path(__file__).parent

# What npm installs. Bun's package contains the program.
NPM_PACKAGES = {"ws": "8.23.0", "bun": "1.4.5"}
NPM_DIRECTORY = ROOT / ".bench" / "npm"

NCHAN_MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx/modules")


@cache
def npm_modules() -> Path | None:
    """Return the directory of the npm packages. Install them if they are not there; None if that fails."""
    modules, note = NPM_DIRECTORY / "node_modules", NPM_DIRECTORY / "installed"
    versions = " ".join(f"{name}@{version}" for name, version in NPM_PACKAGES.items())
    if note.exists() and note.read_text() == versions:
        return modules
    if shutil.which("npm") is None:
        return None
    NPM_DIRECTORY.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(NPM_DIRECTORY)]
    if subprocess.run([*command, *versions.split()], capture_output=True, check=False, timeout=300).returncode:
        return None
    note.write_text(versions)
    return modules


def bun_program() -> str | None:
    """Return the path of Bun: npm's, or one on the PATH."""
    modules = npm_modules()
    if modules is not None and (modules / ".bin" / "bun").exists():
        return str((modules / ".bin" / "bun").resolve())
    return shutil.which("bun")


def nchan_module() -> Path | None:
    """Return the path of Nchan's module for nginx."""
    return next((path for one in NCHAN_MODULES if (path := Path(one) / "ngx_nchan_module.so").exists()), None)


def ws_missing() -> str:
    """Return what Node's `ws` lacks."""
    if shutil.which("node") is None or npm_modules() is None:
        return "it needs node and npm (Debian: apt-get install nodejs npm)"
    return ""


def bun_missing() -> str:
    """Return what Bun lacks."""
    return "" if bun_program() else "it needs npm, which installs it (Debian: apt-get install nodejs npm), or bun"


def nchan_missing() -> str:
    """Return what Nchan lacks."""
    if shutil.which("nginx") is None or nchan_module() is None:
        return "it needs nginx and Nchan (Debian: apt-get install nginx-light libnginx-mod-nchan)"
    return ""


def deploy_ws(environment: Environment) -> Deployment:
    """Deploy a server on Node's `ws`."""
    feed = [str(environment.broker.port), environment.channel]
    command = ["node", str(HERE / "ws.js")]
    server = Server("ws", environment, lambda port: [*command, str(port), *feed, str(npm_modules())])
    return Deployment(server.port, [server])


def deploy_bun(environment: Environment) -> Deployment:
    """Deploy a server on Bun."""
    feed = [str(environment.broker.port), environment.channel]
    command = [bun_program() or "bun", str(HERE / "bun.js")]
    server = Server("bun", environment, lambda port: [*command, str(port), *feed])
    return Deployment(server.port, [server])


def deploy_nchan(environment: Environment) -> Deployment:
    """Deploy nginx with Nchan, and the program that feeds it."""

    def command(port: int) -> list[str]:
        configuration = environment.directory / f"nchan-{port}.conf"
        configuration.write_text(nchan_configuration(port, environment.directory))
        return ["nginx", "-p", str(environment.directory), "-c", str(configuration)]

    server = Server("nchan", environment, command)
    return Deployment(server.port, [server], [feeder(environment, server.port, "/publish")])


def feeder(environment: Environment, port: int, path: str, body: str = "%s") -> Program:
    """Return the program that posts the ticks to a server."""
    command = [sys.executable, "-m", "bench.subjects.feeder", str(environment.broker.port), environment.channel]
    return Program("feeder", [*command, str(port), path, body], environment.directory)


def nchan_configuration(port: int, directory: Path) -> str:
    """Return a configuration of nginx. It runs as one process, because a worker would outlive a killed master."""
    temporary_paths = "\n".join(
        f"  {kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
load_module {nchan_module()};
daemon off;
worker_processes 1;
master_process off;
worker_rlimit_nofile 20000;
error_log stderr warn;
pid {directory}/nchan-{port}.pid;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
{temporary_paths}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    tcp_nodelay on;
    location = /publish {{ nchan_publisher; nchan_channel_id ticks; nchan_store_messages off; }}
    location = /stream {{ nchan_subscriber websocket; nchan_channel_id ticks; }}
  }}
}}
"""


def centrifugo_missing() -> str:
    """Return what Centrifugo lacks."""
    return (
        "" if shutil.which("centrifugo") else "it needs centrifugo 6.3 or newer on the PATH (https://centrifugal.dev)"
    )


def deploy_centrifugo(environment: Environment) -> Deployment:
    """Deploy Centrifugo with its unidirectional WebSocket, and the program that feeds it."""

    def command(port: int) -> list[str]:
        configuration = environment.directory / f"centrifugo-{port}.json"
        configuration.write_text(json.dumps(centrifugo_configuration(port)))
        return ["centrifugo", "--config", str(configuration)]

    server = Server("centrifugo", environment, command)
    body = '{"channel": "ticks", "data": %s}'
    return Deployment(server.port, [server], [feeder(environment, server.port, "/api/publish", body)])


def centrifugo_configuration(port: int) -> dict[str, object]:
    """Return a configuration of Centrifugo, in which clients subscribe by the address, without a token."""
    return {
        "http_server": {"address": "127.0.0.1", "port": port},
        "log": {"level": "error"},
        "http_api": {"insecure": True},
        "client": {"insecure": True, "allowed_origins": ["*"]},
        "channel": {"without_namespace": {"allow_subscribe_for_client": True}},
        "uni_websocket": {"enabled": True},
    }


CENTRIFUGO_PATH = "/connection/uni_websocket?cf_connect=" + quote('{"subs":{"ticks":{}}}')

PEERS = (
    Subject("ws", f"Node, ws {NPM_PACKAGES['ws']}", "/", deploy_ws, ws_missing),
    Subject("bun", f"Bun {NPM_PACKAGES['bun']}", "/", deploy_bun, bun_missing),
    Subject("nchan", "nginx with Nchan", "/stream", deploy_nchan, nchan_missing),
    # It sends an answer to the subscription, and empty objects as pings.
    Subject("centrifugo", "Centrifugo", CENTRIFUGO_PATH, deploy_centrifugo, centrifugo_missing, is_lenient=True),
)
