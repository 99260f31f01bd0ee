"""The containers: their settings, privileges and limits, and how a failing one is noticed."""

import json
import time

import pytest

from testbed.processes import wait_until
from tests.compose.stack import Stack, docker
from ticker.host_clock import ask_kernel

pytestmark = pytest.mark.timeout(300)

SERVICES = ("redis", "ticker", "web", "lb")

# Prints the metrics of a worker, requested at its own address.
SCRAPE = """
import socket, urllib.request
address = socket.gethostbyname(socket.gethostname())
print(urllib.request.urlopen(f"http://{address}:9100/metrics", timeout=5).read().decode())
"""


def test_each_worker_serves_its_metrics_within_the_network(stack: Stack) -> None:
    """It serves them at its own address. The port is not published."""
    for worker in stack.containers("web"):
        assert "clock_ready 1.0" in docker("exec", worker.id, "python", "-c", SCRAPE)
        assert docker("port", worker.id) == ""


def test_settings_reach_the_containers(stack: Stack) -> None:
    """The ticker and the page use the time zone that was given to Compose."""
    status, body = stack.get("/clock/now")
    assert status == 200
    assert json.loads(body)["message"][14:16] != time.strftime("%M", time.gmtime(json.loads(body)["at"] / 1000))
    assert "Asia/Kathmandu" in stack.get("/clock/")[1]


def test_a_container_may_read_the_state_of_the_host_clock(stack: Stack) -> None:
    """`/clock/now` says whether the kernel's clock is synchronised, as this machine's kernel does."""
    assert json.loads(stack.get("/clock/now")[1])["synchronised"] is ask_kernel()


def test_two_tickers_run(stack: Stack) -> None:
    """One is the leader, the other a standby."""
    assert len(stack.containers("ticker")) == 2
    states = sorted(one.get("/healthz", 9101)[1].strip() for one in stack.containers("ticker"))
    assert states == ["leader", "standby"]


def test_containers_have_no_privileges(stack: Stack) -> None:
    """They do not run as root, cannot write to their file system, and have no capabilities."""
    for service in SERVICES:
        (container, *_) = stack.containers(service)
        uid, can_write = docker(
            "exec", container.id, "sh", "-c", "id -u; touch /x 2>/dev/null && echo yes || echo no"
        ).split()
        assert can_write == "no", service
        assert (
            uid != "0" or service == "lb"
        )  # the official HAProxy image has a user of its own; a stand-in for it may not
        capabilities = docker("exec", container.id, "sh", "-c", "grep CapEff /proc/self/status").split()[1]
        assert int(capabilities, 16) == 0, service


def test_containers_have_limits(stack: Stack) -> None:
    """Of memory, of processes, and of what their logs take."""
    for service in SERVICES:
        for container in stack.containers(service):
            (found,) = json.loads(docker("inspect", container.id))
            assert 2**26 < found["HostConfig"]["Memory"] <= 2**30, service
            assert 0 < found["HostConfig"]["PidsLimit"] <= 300, service
            assert found["HostConfig"]["LogConfig"] == {
                "Type": "json-file",
                "Config": {"max-size": "10m", "max-file": "3"},
            }, service


def test_health_is_checked(stack: Stack) -> None:
    """Of Redis, of tickers and of workers: an operator sees it."""
    checked = [one.id for one in stack.containers("redis", "ticker", "web")]

    def are_healthy() -> bool:
        states = docker("inspect", "--format", "{{.State.Health.Status}}", *checked).split()
        return states == ["healthy"] * len(checked)

    wait_until(are_healthy, "all of them are healthy", 40)
    assert stack.compose("ps").count("(healthy)") == len(checked) == 6


def test_a_container_that_restarts_again_and_again_is_noticed(stack: Stack) -> None:
    """With an invalid setting a ticker ends at once. The documented commands say so, and the log says why."""
    before = {one.id for one in stack.containers("ticker")}
    zone, stack.settings["CLOCK_TIME_ZONE"] = stack.settings["CLOCK_TIME_ZONE"], "Nowhere"
    try:
        stack.compose("up", "--detach", "--no-recreate", "--scale", "ticker=3", "ticker")
        wait_until(lambda: "Restarting" in stack.compose("ps"), "it restarts", 30)
        listed = stack.shell(
            "docker inspect --format '{{.RestartCount}} restarts: {{.Name}}' $(docker compose ps --quiet)"
        ).splitlines()
        assert len([line for line in listed if not line.startswith("0 ")]) == 1
        assert len(listed) == 8
        assert "CLOCK_TIME_ZONE='Nowhere' is invalid" in stack.compose("logs", "--no-color", "ticker")
    finally:
        stack.settings["CLOCK_TIME_ZONE"] = zone
        docker("rm", "--force", *({one.id for one in stack.containers("ticker")} - before))
