"""The stack: the clock under Compose, in a project of its own, so that a test can break any part of it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self

from testbed.processes import ROOT, free_port, request, wait_until

IMAGE: Final = "tournament-clock:compose-test"

# Gives the Compose of older systems, a program of its own, the name of the newer one.
_OLDER_COMPOSE: Final = (
    'docker() { if [ "$1" = compose ]; then shift; docker-compose "$@"; else command docker "$@"; fi; }\n'
)

# Kills all processes in a container but its init and itself.
_KILL: Final = """
import os, signal
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) not in {1, os.getpid()}:
        os.kill(int(name), signal.SIGKILL)
"""

# The balancer asks the name server once a second, and each worker, too.
_BALANCER_NOTICES_S: Final = 3.0


@dataclass(frozen=True)
class Container:
    """A container: its id, its address in the network of the stack, its image, and how often Docker restarted it."""

    id: str
    address: str
    image: str
    restarts: int

    def get(self, path: str, port: int = 8001) -> tuple[int, str]:
        """Return the status and body of a page, from its own address. The status is 0 if there is no answer."""
        return request(self.address, port, path, {"Host": "localhost"})

    def kill_process(self) -> None:
        """Kill the clock's process in it, and so end it. Docker would not restart it after `docker kill`."""
        # The command ends with the container, and its exit code says nothing.
        subprocess.run(["docker", "exec", self.id, "python", "-c", _KILL], capture_output=True, check=False)


class Stack:
    """The clock under Compose. `files` are Compose files beside the main one, `settings` those of the clock."""

    def __init__(self, *files: str, image: str = IMAGE, **settings: str) -> None:
        self.port = free_port()
        self.project = f"clocktest{self.port}"
        self.excused: set[str] = set()  # containers whose process a test has killed
        self.settings = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": ":".join(("docker-compose.yml", *files)),
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "CLOCK_PORT": str(self.port),
            "CLOCK_IMAGE": image,
            **settings,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it. Its logs are printed, which pytest shows if a test has failed."""
        print(self.compose("logs", "--no-color", "--tail", "60"))
        self.compose("kill")
        self.compose("down", "--volumes", "--remove-orphans")

    def shell(self, script: str) -> str:
        """Run what an operator types, up to the first command that fails, and return what it prints."""
        prepared = script if has_compose_plugin() else _OLDER_COMPOSE + script
        done = subprocess.run(
            ["sh", "-ec", prepared], cwd=ROOT, env=self.settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def compose(self, *arguments: str) -> str:
        """Run a Compose command and return its output."""
        return self.shell(shlex.join(["docker", "compose", *arguments]))

    def scale(self, replicas: int) -> None:
        """Start it with so many workers, or change their number, and wait until all have the time."""
        self.compose("up", "--detach", "--no-build", "--scale", f"web={replicas}")
        self.wait_until_ready(replicas)

    def wait_until_ready(self, replicas: int) -> None:
        """Wait until so many workers have the time, and the balancer has noticed."""

        def is_ready() -> bool:
            workers = self.containers("web")
            return len(workers) == replicas and all(worker.get("/readyz")[0] == 200 for worker in workers)

        wait_until(is_ready, f"{replicas} workers are ready", 90)
        time.sleep(_BALANCER_NOTICES_S)

    def replace(self, image: str, **running: int) -> Callable[[], str]:
        """Return a step: replace the containers of some services, so many of each, by those of another image."""

        def step() -> str:
            self.settings["CLOCK_IMAGE"] = image
            return self.shell(replacement(**running))

        return step

    def containers(self, *services: str) -> list[Container]:
        """Return the running containers of some services, or of all."""
        return [one for name in services or ("",) for one in self._containers(name)]

    def _containers(self, service: str, *options: str) -> list[Container]:
        labels = [f"label=com.docker.compose.project={self.project}"]
        labels += [f"label=com.docker.compose.service={service}"] if service else []
        found = docker("ps", "--quiet", *options, *(word for label in labels for word in ("--filter", label))).split()
        return [_container(one) for one in json.loads(docker("inspect", *found))] if found else []

    def stop(self) -> set[int]:
        """Stop it, and return the exit codes of its tickers and workers."""
        ours = [one.id for one in self.containers("ticker", "web")]
        self.compose("stop")
        return {one["State"]["ExitCode"] for one in json.loads(docker("inspect", *ours))}

    def restarted(self) -> list[str]:
        """Return the ids of containers that Docker has restarted, although no test has killed their process."""
        return [one.id for one in self._containers("", "--all") if one.restarts and one.id not in self.excused]

    def leader(self) -> Container:
        """Return the ticker that publishes: of those that have become the leader, the one that did last."""
        became: dict[str, Container] = {}
        for one in self.containers("ticker"):
            log = docker("logs", "--timestamps", one.id).splitlines()
            states = [line for line in log if "publishing the time" in line or "standing by" in line]
            if states and "publishing the time" in states[-1]:
                became[states[-1]] = one
        assert became, "no ticker is the leader"
        return became[max(became)]

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and body of a page, through the balancer. The status is 0 if there is no answer."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except OSError as error:
            return getattr(error, "code", 0), ""

    def viewers(self) -> dict[str, int]:
        """Return the number of viewers of each worker, by its metrics."""
        found = {}
        for worker in self.containers("web"):
            counts = re.findall(r"^clock_members\{.*\} (\S+)$", worker.get("/metrics", 9100)[1], re.MULTILINE)
            found[worker.id] = sum(int(float(count)) for count in counts)
        return found

    def watch(self, *limits: str) -> dict[str, Any]:
        """Run `watch` in a worker's container, against the balancer, and return its report. The limits must hold."""
        command = ["python", "manage.py", "watch", "http://lb:8001", "--json", *limits]
        found: dict[str, Any] = json.loads(docker("exec", self.containers("web")[0].id, *command))
        return found


def replacement(**running: int) -> str:
    """Return what replaces the containers of some services, so many of each: docs/operations.md has the same lines."""
    names, twice = " ".join(running), " ".join(f"--scale {name}={2 * count}" for name, count in running.items())
    return f"""\
old=$(docker compose ps --quiet {names})
docker compose up --detach --no-recreate {twice} {names}
while docker compose ps | grep "health: starting"; do sleep 1; done
docker stop $old
docker rm $old
"""


def docker(*arguments: str) -> str:
    """Run a Docker command and return its output, of both kinds."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"docker {shlex.join(arguments)}: {done.stdout}"
    return done.stdout.strip()


@cache
def has_compose_plugin() -> bool:
    """Return whether Compose is a command of Docker."""
    return bool(
        shutil.which("docker")
        and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    )


def _container(found: dict[str, Any]) -> Container:
    addresses = [network["IPAddress"] for network in found["NetworkSettings"]["Networks"].values()]
    return Container(found["Id"], addresses[0], found["Config"]["Image"], found["RestartCount"])
